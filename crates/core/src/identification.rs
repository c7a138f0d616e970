//! A response model that is learnt while it is used.

use std::fmt;

use crate::{Observation, ResponseModel};

/// What a planner asks of whoever identifies the service for it.
pub trait Identification {
    /// What is identified.
    type Model: ResponseModel;

    /// Takes what became visible; to be called at each decision.
    fn observe(&mut self, observation: &Observation<'_>);

    /// The model in use.
    fn model(&self) -> &Self::Model;

    /// How often the model was replaced so far: what was computed of an older one is out of date.
    fn revision(&self) -> u64;

    /// Whether the model rests on data, and not on the operator's facts and a few measurements alone.
    fn is_known(&self) -> bool;

    /// The load that one replica can serve at most, in requests a second; positive.
    fn replica_requests_per_second(&self) -> f64;

    /// Requests that wait now because capacity was missing, beyond those that wait by chance.
    fn backlog_requests(&self) -> f64;

    /// Mean latency that the model expects of the last window, and what was measured in it, in seconds; none where
    /// there was no measurement.
    fn last_latency_seconds(&self) -> Option<Latencies>;

    /// Writes what is known, how well, and why no better.
    ///
    /// # Errors
    /// Only those of the writer.
    fn explain(&self, _out: &mut dyn fmt::Write) -> fmt::Result {
        Ok(())
    }
}

/// A measurement beside what was expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latencies {
    /// End of the window, in seconds since the start of the run.
    pub at_seconds: f64,
    /// By the model.
    pub expected_seconds: f64,
    /// By the sensor.
    pub measured_seconds: f64,
}
