//! Forecasters: history in, quantiles of the next steps out. No method knows what it is used for.

use std::num::NonZeroU32;

use crate::{Calendar, ControllerStream};

/// A method that sees one value or one gap a step and says what may come.
///
/// It is built with its step length, time zone and unit. The series is first attempts where the sensor can tell;
/// else it is inflated by retries, and the documentation of the user says so.
pub trait Forecaster {
    /// Forgets everything; the next step observed begins at the start of `start`'s run.
    fn reset(&mut self, start: Calendar, chance: ControllerStream);
    /// One step; `None` is a gap. Cheap.
    fn observe(&mut self, value: Option<f64>);
    /// Fits again to what was seen.
    fn refit(&mut self);
    /// Non-crossing quantiles of the next `horizon` steps; empty as long as nothing was seen.
    fn forecast(&self, horizon: NonZeroU32, into: &mut Quantiles);
    /// Sample paths over the next `horizon` steps: a quantile stacked over a horizon is not a scenario.
    fn paths(&mut self, horizon: NonZeroU32, into: &mut Paths);
    /// By which method it would answer now: its own, or the simpler one that stands in for want of history.
    fn method(&self) -> &'static str {
        ""
    }
}

/// Quantiles of each coming step at the fixed [`Quantiles::LEVELS`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quantiles {
    /// Step by step; within a step in the order of the levels, not decreasing.
    pub values: Vec<[f64; Quantiles::LEVELS.len()]>,
}

impl Quantiles {
    /// The levels, as shares.
    pub const LEVELS: [f64; 9] = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];

    /// The median of the step `ahead` (0 is the next one).
    pub fn median(&self, ahead: usize) -> f64 {
        self.values[ahead][4]
    }
}

/// Sample paths, each of the same number of steps.
///
/// # Shapes
/// `values[path * horizon + step]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Paths {
    /// How many paths are wanted; set by the caller.
    pub n_paths: usize,
    /// Path after path.
    pub values: Vec<f64>,
}
