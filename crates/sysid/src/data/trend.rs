//! Means, lines and scales: taken away before a fit, kept, and put back on what the model gives.
//!
//! A sample y(t) becomes (y(t) − level − slope · t) / scale, with t counted from the first sample of the record that
//! the trend was fitted to. Putting back is the inverse up to the rounding of one subtraction and one addition (two
//! units in the last place of the larger of sample and level); bit for bit is not possible in floating point.

use tidegate_core::{Channel, Record};

use super::{DataError, RecordExt, map};

/// What is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detrend {
    /// The mean.
    Mean,
    /// The least-squares line.
    Line,
    /// The mean; what is left is divided by its standard deviation (divisor N − 1).
    Standard,
}

/// What was taken from one channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Baseline {
    /// At sample 0, in the unit of the channel.
    pub level: f64,
    /// A sample, in the unit of the channel.
    pub slope: f64,
    /// What the rest is divided by, in the unit of the channel; 1 but for [`Detrend::Standard`].
    pub scale: f64,
}

impl Baseline {
    /// What stands at sample `t` where the model says 0.
    pub fn at(&self, t: f64) -> f64 {
        self.level + self.slope * t
    }

    /// From the channel's unit to the model's.
    pub fn remove(&self, value: f64, t: f64) -> f64 {
        (value - self.at(t)) / self.scale
    }

    /// From the model's unit to the channel's.
    pub fn restore(&self, value: f64, t: f64) -> f64 {
        value * self.scale + self.at(t)
    }
}

/// What was taken from each channel of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Trend {
    baselines: Vec<(String, Baseline)>,
}

impl Trend {
    /// The trend of every channel of `record`, its gaps left out.
    ///
    /// # Errors
    /// [`DataError::TooFew`] below one sample for a mean and two for a line or a scale; [`DataError::Constant`] for
    /// a scale of a channel that does not move; what [`RecordExt::checked`] finds.
    pub fn fit(record: &Record, what: Detrend) -> Result<Self, DataError> {
        record.checked()?;
        let baselines = record
            .channels()
            .map(|channel| Ok((channel.name.clone(), baseline(channel, what)?)))
            .collect::<Result<_, _>>()?;
        Ok(Self { baselines })
    }

    /// What was taken from that channel.
    ///
    /// # Errors
    /// [`DataError::NoTrend`] if there was none of that name.
    pub fn of(&self, channel: &str) -> Result<Baseline, DataError> {
        let found = self.baselines.iter().find(|(name, _)| name == channel);
        found.map(|(_, baseline)| *baseline).ok_or_else(|| DataError::NoTrend(channel.to_owned()))
    }

    /// A record without the trend. Sample 0 of `record` is taken for sample 0 of the one fitted to, which does not
    /// matter but for lines; a later part goes through [`Trend::shifted`].
    ///
    /// # Errors
    /// [`DataError::NoTrend`] for a channel that the fitted record did not have.
    pub fn removed(&self, record: &Record) -> Result<Record, DataError> {
        self.applied(record, Baseline::remove)
    }

    /// The inverse of [`Trend::removed`].
    ///
    /// # Errors
    /// [`DataError::NoTrend`] for a channel that the fitted record did not have.
    pub fn restored(&self, record: &Record) -> Result<Record, DataError> {
        self.applied(record, Baseline::restore)
    }

    /// The same trend as seen from `samples` later: for the validation part behind an estimation part.
    pub fn shifted(&self, samples: usize) -> Self {
        let later = |line: &Baseline| Baseline { level: line.at(samples as f64), ..*line };
        Self { baselines: self.baselines.iter().map(|(name, line)| (name.clone(), later(line))).collect() }
    }

    fn applied(&self, record: &Record, change: fn(&Baseline, f64, f64) -> f64) -> Result<Record, DataError> {
        let mut changed = map(record, record.step_seconds, <[f64]>::to_vec);
        for channel in changed.inputs.iter_mut().chain(&mut changed.outputs) {
            let baseline = self.of(&channel.name)?;
            for (t, value) in channel.values.iter_mut().enumerate() {
                *value = change(&baseline, *value, t as f64);
            }
        }
        Ok(changed)
    }
}

fn baseline(channel: &Channel, what: Detrend) -> Result<Baseline, DataError> {
    let present =
        || channel.values.iter().enumerate().filter(|(_, y)| !y.is_nan()).map(|(t, y)| (t as f64, *y));
    let found = present().count();
    let (needed, name) = match what {
        Detrend::Mean => (1, "a mean"),
        Detrend::Line => (2, "a line"),
        Detrend::Standard => (2, "a scale"),
    };
    if found < needed {
        return Err(DataError::TooFew { channel: channel.name.clone(), found, what: name, needed });
    }
    // Sums around a first guess of the mean, so that a large level costs no digits.
    let n = found as f64;
    let guess = present().map(|(_, y)| y).sum::<f64>() / n;
    let mean = guess + present().map(|(_, y)| y - guess).sum::<f64>() / n;
    let mut baseline = Baseline { level: mean, slope: 0.0, scale: 1.0 };
    match what {
        Detrend::Mean => {}
        Detrend::Line => {
            let mean_t = present().map(|(t, _)| t).sum::<f64>() / n;
            let s_ty: f64 = present().map(|(t, y)| (t - mean_t) * (y - mean)).sum();
            let s_tt: f64 = present().map(|(t, _)| (t - mean_t).powi(2)).sum();
            baseline.slope = s_ty / s_tt;
            baseline.level = mean - baseline.slope * mean_t;
        }
        Detrend::Standard => {
            let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
            for (_, y) in present() {
                (low, high) = (low.min(y), high.max(y));
            }
            if low == high {
                return Err(DataError::Constant { channel: channel.name.clone(), value: low });
            }
            baseline.scale = (present().map(|(_, y)| (y - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        }
    }
    Ok(baseline)
}
