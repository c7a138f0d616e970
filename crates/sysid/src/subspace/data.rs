//! A record, checked and brought to deviations of order one.

use tidegate_core::model::{Channel, Record};

use super::Preparation;
use crate::FitError;
use crate::check::{self, Count};
use crate::state_space::{mean, spread};

/// Two inputs whose correlation comes nearer to ±1 than this are one.
const COLLINEAR: f64 = 1e-10;

/// Deviations from the means over the standard deviations (or the raw values), sample after sample.
#[derive(Clone)]
pub(super) struct Data {
    pub steps: usize,
    pub n_inputs: usize,
    pub n_outputs: usize,
    pub inputs: Vec<f64>,
    pub outputs: Vec<f64>,
    pub input_means: Vec<f64>,
    pub output_means: Vec<f64>,
    pub input_scales: Vec<f64>,
    pub output_scales: Vec<f64>,
}

impl Data {
    pub(super) fn new(record: &Record, preparation: Preparation) -> Result<Self, FitError> {
        check(record)?;
        let steps = record.outputs[0].values.len();
        let means = |channels: &[Channel]| -> Vec<f64> {
            channels
                .iter()
                .map(|channel| if preparation == Preparation::Raw { 0.0 } else { mean(&channel.values) })
                .collect()
        };
        let spreads = |channels: &[Channel]| -> Vec<f64> {
            channels
                .iter()
                .map(
                    |channel| {
                        if preparation == Preparation::Standardised { spread(&channel.values) } else { 1.0 }
                    },
                )
                .collect()
        };
        let (input_means, output_means) = (means(&record.inputs), means(&record.outputs));
        let (input_scales, output_scales) = (spreads(&record.inputs), spreads(&record.outputs));
        let interleave = |channels: &[Channel], means: &[f64], scales: &[f64]| {
            let mut values = Vec::with_capacity(steps * channels.len());
            for t in 0..steps {
                let scaled = channels.iter().zip(means.iter().zip(scales));
                values.extend(scaled.map(|(channel, (mean, scale))| (channel.values[t] - mean) / scale));
            }
            values
        };
        Ok(Self {
            steps,
            n_inputs: record.inputs.len(),
            n_outputs: record.outputs.len(),
            inputs: interleave(&record.inputs, &input_means, &input_scales),
            outputs: interleave(&record.outputs, &output_means, &output_scales),
            input_means,
            output_means,
            input_scales,
            output_scales,
        })
    }

    pub(super) fn input(&self, t: usize) -> &[f64] {
        &self.inputs[t * self.n_inputs..][..self.n_inputs]
    }

    /// Inputs and outputs from step `first` to the one before `end`.
    pub(super) fn between(&self, first: usize, end: usize) -> (&[f64], &[f64]) {
        let (m, p) = (self.n_inputs, self.n_outputs);
        (&self.inputs[first * m..end * m], &self.outputs[first * p..end * p])
    }

    pub(super) fn output(&self, t: usize) -> &[f64] {
        &self.outputs[t * self.n_outputs..][..self.n_outputs]
    }
}

fn check(record: &Record) -> Result<(), FitError> {
    check::record(record, Count::Any, Count::AtLeastOne)?;
    check::excited(record)?;
    for (position, channel) in record.inputs.iter().enumerate() {
        for other in &record.inputs[..position] {
            if 1.0 - correlation(&channel.values, &other.values).abs() < COLLINEAR {
                return Err(FitError::Collinear {
                    what: format!("the effects of `{}` and `{}` apart", other.name, channel.name),
                    remedy: "they move together: leave one out, or move them independently",
                });
            }
        }
    }
    Ok(())
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    let product: f64 = a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum();
    product / (spread(a) * spread(b) * a.len() as f64)
}
