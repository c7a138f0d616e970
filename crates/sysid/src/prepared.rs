//! A record made ready for estimation: means removed, channels scaled.

use tidegate_core::{Channel, Record};

/// One channel as the estimators see it: x = mean + scale · value.
pub(crate) struct Centred {
    pub(crate) mean: f64,
    /// The power of two next to the standard deviation: dividing by it changes no digit, and neither tiny nor huge
    /// units can under- or overflow when squared.
    pub(crate) scale: f64,
    pub(crate) values: Vec<f64>,
}

/// All channels of a record.
pub(crate) struct Prepared {
    pub(crate) output: Centred,
    pub(crate) inputs: Vec<Centred>,
}

impl Prepared {
    pub(crate) fn new(record: &Record) -> Self {
        Self {
            output: Centred::new(&record.outputs[0]),
            inputs: record.inputs.iter().map(Centred::new).collect(),
        }
    }

    /// Samples.
    pub(crate) fn len(&self) -> usize {
        self.output.values.len()
    }
}

impl Centred {
    fn new(channel: &Channel) -> Self {
        let x = &channel.values;
        let mean = mean(x);
        let mut values: Vec<f64> = x.iter().map(|x| x - mean).collect();
        let peak = lanes(&values, 0.0, |max, x| if x.abs() > max { x.abs() } else { max })
            .into_iter()
            .fold(0.0_f64, f64::max);
        let scale = if peak > 0.0 { peak.log2().round().clamp(-1000.0, 1000.0).exp2() } else { 1.0 };
        if scale != 1.0 {
            // A power of two within the clamp has an exact inverse.
            let inverse = 1.0 / scale;
            for x in &mut values {
                *x *= inverse;
            }
        }
        Self { mean, scale, values }
    }
}

/// The mean, in two passes: the second removes what rounding a large common offset left.
pub(crate) fn mean(x: &[f64]) -> f64 {
    // A factor, not a division each; and before the sum, which could overflow.
    let share = 1.0 / x.len() as f64;
    let first: f64 = lanes(x, 0.0, |sum, x| sum + x * share).into_iter().sum();
    first + lanes(x, 0.0, |sum, x| sum + (x - first) * share).into_iter().sum::<f64>()
}

/// Σ (x − centre)².
pub(crate) fn scatter(x: &[f64], centre: f64) -> f64 {
    lanes(x, 0.0, |sum, x| sum + (x - centre) * (x - centre)).into_iter().sum()
}

/// A fold in eight lanes side by side: in one, each term would wait for the one before it.
fn lanes(x: &[f64], start: f64, fold: impl Fn(f64, f64) -> f64) -> [f64; 8] {
    let mut lanes = [start; 8];
    let chunks = x.chunks_exact(8);
    for (lane, x) in lanes.iter_mut().zip(chunks.remainder()) {
        *lane = fold(*lane, *x);
    }
    for chunk in chunks {
        for k in 0..8 {
            lanes[k] = fold(lanes[k], chunk[k]);
        }
    }
    lanes
}
