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
        let peak = values.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
        let scale = if peak > 0.0 { peak.log2().round().clamp(-1000.0, 1000.0).exp2() } else { 1.0 };
        if scale != 1.0 {
            values.iter_mut().for_each(|x| *x /= scale);
        }
        Self { mean, scale, values }
    }
}

/// The mean, in two passes: the second removes what rounding a large common offset left.
pub(crate) fn mean(x: &[f64]) -> f64 {
    // A factor, not a division each; and before the sum, which could overflow.
    let share = 1.0 / x.len() as f64;
    let first = sum(x.iter().map(|x| x * share));
    first + sum(x.iter().map(|x| (x - first) * share))
}

fn sum(values: impl Iterator<Item = f64>) -> f64 {
    // Eight running sums, as in `triangle::dot`.
    let mut sums = [0.0_f64; 8];
    for (t, x) in values.enumerate() {
        sums[t % 8] += x;
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}
