//! What is done to a record before anything is fitted to it.
//!
//! [`RecordExt`] checks, cuts, fills, resamples and joins records; [`Trend`] takes means, lines and scales away and
//! puts them back. A gap is NaN and is kept as one by everything here but [`RecordExt::filled`].
//!
//! ```
//! use tidegate_core::{Channel, Record};
//! use tidegate_sysid::data::{Detrend, RecordExt, Trend};
//!
//! let channel = |name: &str, values: &[f64]| Channel { name: name.into(), unit: "1".into(), values: values.into() };
//! let record = Record {
//!     step_seconds: 15.0,
//!     inputs: vec![channel("rate", &[1.0, 2.0, f64::NAN, 4.0, 3.0, 1.0])],
//!     outputs: vec![channel("latency", &[5.0, 5.0, 6.0, 7.0, 8.0, 7.0])],
//! };
//! let (estimation, validation) = record.filled(1)?.split_at_share(0.5)?;
//! let trend = Trend::fit(&estimation, Detrend::Mean)?;
//! assert_eq!(trend.removed(&validation)?.channel("rate")?.values, [2.0, 1.0, -1.0]);
//! # Ok::<(), tidegate_sysid::data::DataError>(())
//! ```

mod gaps;
mod resample;
mod trend;

use std::ops::Range;

use tidegate_core::{Channel, Record};

pub use trend::{Baseline, Detrend, Trend};

/// What is wrong with a record, or with what is asked of it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DataError {
    /// The sample time is not a positive number.
    #[error("`step_seconds` must be a positive number, but is {0}")]
    StepSeconds(f64),
    /// There is no channel at all.
    #[error("the record has no channels")]
    NoChannels,
    /// Two channels have one name.
    #[error("two channels are called `{0}`")]
    TwiceNamed(String),
    /// No channel has this name.
    #[error("no channel is called `{name}`; there are {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is, with commas between.
        known: String,
    },
    /// Channels of one record differ in length.
    #[error("`{channel}` has {found} samples, but `{other}` has {expected}")]
    Lengths {
        /// The channel.
        channel: String,
        /// Its samples.
        found: usize,
        /// The first channel.
        other: String,
        /// Its samples.
        expected: usize,
    },
    /// A sample is infinite.
    #[error("`{channel}` is {value} at sample {sample}; a sample is finite, or NaN where it is missing")]
    NotFinite {
        /// The channel.
        channel: String,
        /// Position, from 0.
        sample: usize,
        /// What stands there.
        value: f64,
    },
    /// Too few samples that are there for what is asked.
    #[error("`{channel}` has {found} samples that are not missing; {what} needs {needed}")]
    TooFew {
        /// The channel.
        channel: String,
        /// Samples that are not NaN.
        found: usize,
        /// For example `a line`.
        what: &'static str,
        /// The least number.
        needed: usize,
    },
    /// A channel does not move, so it has no scale.
    #[error("`{channel}` is constant at {value}, so it cannot be scaled; leave it out")]
    Constant {
        /// The channel.
        channel: String,
        /// Its one value.
        value: f64,
    },
    /// A cut that leaves nothing on one side, or lies outside.
    #[error("a cut at sample {at} does not part {samples} samples in two")]
    Cut {
        /// The first sample of the second part.
        at: usize,
        /// Samples of the record.
        samples: usize,
    },
    /// A share that is none.
    #[error("`share` must be between 0 and 1, but is {0}")]
    Share(f64),
    /// Resampling by nothing.
    #[error("`factor` must be at least 1 and at most the {samples} samples of the record, but is {factor}")]
    Factor {
        /// What was asked for.
        factor: usize,
        /// Samples of the record.
        samples: usize,
    },
    /// Two records that are not of the same channels.
    #[error("record {record} has {found}, but record 0 has {expected}")]
    Differs {
        /// Position of the record in the list.
        record: usize,
        /// For example `output 0 `latency` in ms`.
        found: String,
        /// The same of the first record.
        expected: String,
    },
    /// A trend was fitted to other channels.
    #[error("the trend knows no channel `{0}`; fit it to a record with the same channels")]
    NoTrend(String),
}

/// Operations on a [`Record`]; none changes it.
pub trait RecordExt: Sized {
    /// Samples of each channel; 0 where there is no channel.
    fn n_samples(&self) -> usize;

    /// Inputs, then outputs.
    fn channels(&self) -> impl Iterator<Item = &Channel>;

    /// The channel of that name.
    ///
    /// # Errors
    /// [`DataError::Unknown`], which lists the names there are.
    fn channel(&self, name: &str) -> Result<&Channel, DataError>;

    /// That the sample time is positive, that there are channels, of different names and of one length, and that
    /// every sample is finite or NaN.
    ///
    /// # Errors
    /// The first of these that does not hold, with channel and sample.
    fn checked(&self) -> Result<(), DataError>;

    /// Names of the channels whose samples, gaps left out, are all one value (or that have no samples at all).
    fn constant_channels(&self) -> Vec<&str>;

    /// The samples of `range`, of all channels.
    ///
    /// # Panics
    /// If `range` is not within the record.
    fn part(&self, range: Range<usize>) -> Self;

    /// Estimation and validation part: the samples before `at`, and those from `at` on.
    ///
    /// # Errors
    /// [`DataError::Cut`] if a part would be empty.
    fn split_at(&self, at: usize) -> Result<(Self, Self), DataError>;

    /// [`RecordExt::split_at`] the sample `share × samples`, rounded to the nearest.
    ///
    /// # Errors
    /// [`DataError::Share`] if it is not strictly between 0 and 1, [`DataError::Cut`] if a part would be empty.
    fn split_at_share(&self, share: f64) -> Result<(Self, Self), DataError>;

    /// [`RecordExt::split_at`] the first sample at or after `seconds`; sample 0 is at 0 s.
    ///
    /// # Errors
    /// [`DataError::Cut`] if a part would be empty.
    fn split_at_seconds(&self, seconds: f64) -> Result<(Self, Self), DataError>;

    /// Runs of missing samples of each channel, in order of channels and time.
    fn gaps(&self) -> Vec<(&str, Range<usize>)>;

    /// The record with every gap of at most `samples_max` filled by the line between its neighbours. Longer gaps,
    /// and those at either end, stay.
    ///
    /// # Errors
    /// What [`RecordExt::checked`] finds.
    fn filled(&self, samples_max: usize) -> Result<Self, DataError>;

    /// The longest stretches in which no channel has a gap, those of fewer than `samples_min` left out; with
    /// [`RecordExt::part`] they are records.
    fn segments(&self, samples_min: usize) -> Vec<Range<usize>>;

    /// One sample for `factor`: the mean of each block, which is the anti-alias filter. What is left over at the
    /// end is dropped. A block with a gap gives a gap.
    ///
    /// The mean over M samples damps a frequency f by |sin(π f M h) / (M sin(π f h))| with h the old step: 0 at
    /// every multiple of the new sampling rate, 0.64 at the new Nyquist frequency. It delays inputs and outputs
    /// alike, by (M − 1)/2 old steps, and gives back an input that was held over each block exactly.
    ///
    /// # Errors
    /// [`DataError::Factor`], and what [`RecordExt::checked`] finds.
    fn decimated(&self, factor: usize) -> Result<Self, DataError>;

    /// `factor` equal samples for each: a zero-order hold.
    ///
    /// # Errors
    /// [`DataError::Factor`] if `factor` is 0, and what [`RecordExt::checked`] finds.
    fn held(&self, factor: usize) -> Result<Self, DataError>;

    /// Several experiments on the same channels as one record, with one missing sample between them, so that no
    /// method takes the jump from one to the next for dynamics and [`RecordExt::segments`] finds them again.
    ///
    /// # Errors
    /// [`DataError::Differs`] where sample time, names or units are not those of the first record,
    /// [`DataError::NoChannels`] for no records at all, and what [`RecordExt::checked`] finds.
    fn joined(records: &[Self]) -> Result<Self, DataError>;
}

impl RecordExt for Record {
    fn n_samples(&self) -> usize {
        self.channels().next().map_or(0, |channel| channel.values.len())
    }

    fn channels(&self) -> impl Iterator<Item = &Channel> {
        self.inputs.iter().chain(&self.outputs)
    }

    fn channel(&self, name: &str) -> Result<&Channel, DataError> {
        self.channels().find(|channel| channel.name == name).ok_or_else(|| {
            let known: Vec<String> = self.channels().map(|channel| format!("`{}`", channel.name)).collect();
            DataError::Unknown { name: name.to_owned(), known: known.join(", ") }
        })
    }

    fn checked(&self) -> Result<(), DataError> {
        if !(self.step_seconds > 0.0 && self.step_seconds.is_finite()) {
            return Err(DataError::StepSeconds(self.step_seconds));
        }
        let first = self.channels().next().ok_or(DataError::NoChannels)?;
        for (position, channel) in self.channels().enumerate() {
            if self.channels().take(position).any(|before| before.name == channel.name) {
                return Err(DataError::TwiceNamed(channel.name.clone()));
            }
            if channel.values.len() != first.values.len() {
                return Err(DataError::Lengths {
                    channel: channel.name.clone(),
                    found: channel.values.len(),
                    other: first.name.clone(),
                    expected: first.values.len(),
                });
            }
            if let Some(sample) = channel.values.iter().position(|value| value.is_infinite()) {
                let value = channel.values[sample];
                return Err(DataError::NotFinite { channel: channel.name.clone(), sample, value });
            }
        }
        Ok(())
    }

    fn constant_channels(&self) -> Vec<&str> {
        self.channels()
            .filter(|channel| {
                let mut present = channel.values.iter().filter(|value| !value.is_nan());
                let first = present.next();
                present.all(|value| Some(value) == first)
            })
            .map(|channel| channel.name.as_str())
            .collect()
    }

    fn part(&self, range: Range<usize>) -> Self {
        map(self, self.step_seconds, |values| values[range.clone()].to_vec())
    }

    fn split_at(&self, at: usize) -> Result<(Self, Self), DataError> {
        let samples = self.n_samples();
        if at == 0 || at >= samples {
            return Err(DataError::Cut { at, samples });
        }
        Ok((self.part(0..at), self.part(at..samples)))
    }

    fn split_at_share(&self, share: f64) -> Result<(Self, Self), DataError> {
        if !(share > 0.0 && share < 1.0) {
            return Err(DataError::Share(share));
        }
        self.split_at((share * self.n_samples() as f64).round() as usize)
    }

    fn split_at_seconds(&self, seconds: f64) -> Result<(Self, Self), DataError> {
        // A time that is a whole number of steps must not be pushed to the next sample by its last bit.
        let steps = seconds / self.step_seconds;
        let nearest = steps.round();
        let at = if (steps - nearest).abs() <= 1e-9 * nearest.abs() { nearest } else { steps.ceil() };
        self.split_at(at as usize)
    }

    fn gaps(&self) -> Vec<(&str, Range<usize>)> {
        self.channels()
            .flat_map(|channel| {
                gaps::runs(&channel.values, |value| value.is_nan())
                    .into_iter()
                    .map(|run| (channel.name.as_str(), run))
            })
            .collect()
    }

    fn filled(&self, samples_max: usize) -> Result<Self, DataError> {
        self.checked()?;
        Ok(map(self, self.step_seconds, |values| gaps::filled(values, samples_max)))
    }

    fn segments(&self, samples_min: usize) -> Vec<Range<usize>> {
        let is_whole: Vec<bool> = (0..self.n_samples())
            .map(|sample| self.channels().all(|channel| !channel.values[sample].is_nan()))
            .collect();
        let mut whole = gaps::runs(&is_whole, |is_whole| *is_whole);
        whole.retain(|run| run.len() >= samples_min);
        whole
    }

    fn decimated(&self, factor: usize) -> Result<Self, DataError> {
        self.checked()?;
        let samples = self.n_samples();
        if factor == 0 || factor > samples {
            return Err(DataError::Factor { factor, samples });
        }
        Ok(map(self, self.step_seconds * factor as f64, |values| resample::block_means(values, factor)))
    }

    fn held(&self, factor: usize) -> Result<Self, DataError> {
        self.checked()?;
        if factor == 0 {
            return Err(DataError::Factor { factor, samples: self.n_samples() });
        }
        Ok(map(self, self.step_seconds / factor as f64, |values| resample::hold(values, factor)))
    }

    fn joined(records: &[Self]) -> Result<Self, DataError> {
        let (first, others) = records.split_first().ok_or(DataError::NoChannels)?;
        first.checked()?;
        let mut joined = first.clone();
        for (position, record) in others.iter().enumerate() {
            record.checked()?;
            same_channels(first, record, position + 1)?;
            append(&mut joined.inputs, &record.inputs);
            append(&mut joined.outputs, &record.outputs);
        }
        Ok(joined)
    }
}

/// The record with other values.
fn map(record: &Record, step_seconds: f64, values: impl Fn(&[f64]) -> Vec<f64>) -> Record {
    let mapped = |channels: &[Channel]| {
        channels
            .iter()
            .map(|channel| Channel {
                name: channel.name.clone(),
                unit: channel.unit.clone(),
                values: values(&channel.values),
            })
            .collect()
    };
    Record { step_seconds, inputs: mapped(&record.inputs), outputs: mapped(&record.outputs) }
}

fn append(to: &mut [Channel], from: &[Channel]) {
    for (to, from) in to.iter_mut().zip(from) {
        to.values.push(f64::NAN);
        to.values.extend_from_slice(&from.values);
    }
}

fn same_channels(first: &Record, record: &Record, position: usize) -> Result<(), DataError> {
    let differs = |found, expected| Err(DataError::Differs { record: position, found, expected });
    if record.step_seconds != first.step_seconds {
        return differs(
            format!("a step of {} s", record.step_seconds),
            format!("a step of {} s", first.step_seconds),
        );
    }
    let kinds = [("input", &first.inputs, &record.inputs), ("output", &first.outputs, &record.outputs)];
    for (kind, expected, found) in kinds {
        if found.len() != expected.len() {
            return differs(
                format!("{} {kind} channels", found.len()),
                format!("{} {kind} channels", expected.len()),
            );
        }
        let says = |index: usize, channel: &Channel| {
            format!("{kind} {index} `{}` in `{}`", channel.name, channel.unit)
        };
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            if (&found.name, &found.unit) != (&expected.name, &expected.unit) {
                return differs(says(index, found), says(index, expected));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
