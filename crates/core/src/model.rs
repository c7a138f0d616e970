//! Recorded data, and models fitted to it.

use std::num::NonZeroU32;

use nalgebra::DMatrix;

/// Equally spaced samples of named channels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Time between samples.
    pub step_seconds: f64,
    /// What was set or came from outside.
    pub inputs: Vec<Channel>,
    /// What was measured.
    pub outputs: Vec<Channel>,
}

/// One named series; a gap is NaN.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Channel {
    /// As it is called in the data.
    pub name: String,
    /// Its unit; `1` for a plain number.
    pub unit: String,
    /// One value a step.
    pub values: Vec<f64>,
}

/// A method that turns data into a model.
pub trait Fit {
    /// What comes out.
    type Model: Model;
    /// Why nothing may come out.
    type Error;
    /// Fits to a record.
    ///
    /// # Errors
    /// When the data cannot determine the model; the error says what to change.
    fn fit(&self, record: &Record) -> Result<Self::Model, Self::Error>;
}

/// A fitted dynamic model from named inputs to named outputs.
pub trait Model {
    /// Predicts each sample from what was measured up to `ahead` steps before it.
    ///
    /// # Shapes
    /// Steps × outputs.
    fn predict(&self, record: &Record, ahead: NonZeroU32) -> DMatrix<f64>;

    /// Runs freely from `start`, never seeing a measured output.
    ///
    /// # Shapes
    /// `inputs` is steps × inputs; the result steps × outputs.
    fn simulate(&self, inputs: &DMatrix<f64>, start: Start) -> DMatrix<f64>;
}

/// Where a free simulation starts.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// All past values zero (deviations from the mean).
    Zero,
    /// This state of the model.
    State(Vec<f64>),
}
