//! How well an identified model does on a record: errors of h-step prediction and of free simulation.

use std::num::NonZeroU32;

use nalgebra::{Complex, DMatrix};
use serde::Serialize;
use tidegate_core::{Channel, Model, Record, Start};

use tidegate_sysid::data::RecordExt;

use super::criterion::{fit_percent, rmse};

/// A model of any kind with what a report says of it.
pub struct Identified {
    /// The method, for example `ARMAX`.
    pub method: String,
    /// With its orders, for example `ARMAX(2,[2 1],1), nk [1 1]`.
    pub structure: String,
    /// The summary that it prints of itself.
    pub summary: String,
    /// The file of the model.
    pub json: String,
    /// Free parameters.
    pub n_parameters: usize,
    /// Of these, those that shape the noise, which cost the whiteness test a degree of freedom each.
    pub n_noise_parameters: usize,
    /// What is to be said before it is trusted.
    pub warnings: Vec<String>,
    /// Of the path from inputs to outputs; empty where a model has none.
    pub poles: Vec<Complex<f64>>,
    /// For each input its finite zeros (of the first output).
    pub zeros: Vec<Vec<Complex<f64>>>,
    /// For each input and output the response to a unit step, around the operating point.
    pub steps: Vec<Vec<Vec<f64>>>,
    /// The model.
    pub model: Box<dyn Model + Send + Sync>,
}

/// How a score came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Horizon {
    /// Predicted so many steps ahead.
    Ahead(NonZeroU32),
    /// Simulated, never seeing the output.
    Free,
}

impl Horizon {
    /// As tables print it.
    pub fn name(self) -> String {
        match self {
            Self::Ahead(steps) => steps.to_string(),
            Self::Free => "simulation".into(),
        }
    }
}

/// A row of `runs.csv`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)] // the names say it; formulas are in docs/identification.md
pub struct ScoreRow {
    pub method: String,
    pub structure: String,
    pub data: String,
    pub output: String,
    pub horizon: String,
    pub fit_percent: f64,
    pub rmse: f64,
}

impl Identified {
    /// What the model says of every output of a record, a row a sample.
    pub fn course(&self, record: &Record, horizon: Horizon) -> DMatrix<f64> {
        match horizon {
            Horizon::Ahead(steps) => self.model.predict(record, steps),
            Horizon::Free => self.model.simulate(&matrix(&record.inputs, record.n_samples()), Start::Zero),
        }
    }

    /// A row an output and horizon, over the samples from `from` on.
    pub fn scores(&self, data: &str, record: &Record, from: usize, horizons: &[Horizon]) -> Vec<ScoreRow> {
        let mut rows = Vec::new();
        for horizon in horizons {
            let course = self.course(record, *horizon);
            for (index, output) in record.outputs.iter().enumerate() {
                let predicted: Vec<f64> = course.column(index).iter().skip(from).copied().collect();
                rows.push(ScoreRow {
                    method: self.method.clone(),
                    structure: self.structure.clone(),
                    data: data.to_owned(),
                    output: output.name.clone(),
                    horizon: horizon.name(),
                    fit_percent: fit_percent(&output.values[from..], &predicted),
                    rmse: rmse(&output.values[from..], &predicted),
                });
            }
        }
        rows
    }
}

/// Channels as columns.
pub fn matrix(channels: &[Channel], n: usize) -> DMatrix<f64> {
    DMatrix::from_fn(n, channels.len(), |row, column| channels[column].values[row])
}
