//! Autoscaling controllers: what they are given and what they answer.

use std::fmt;

use crate::{ControllerStream, Decision, Observation};

/// A rule, plan or policy that says how many replicas there should be.
///
/// It is built from [`crate::OperatorFacts`] and its own parameters, never from the scenario, and it always answers.
pub trait Controller {
    /// How often it decides, in seconds; independent of the accounting tick (Knative 2 s, HPA 15 s, CloudWatch
    /// rules 60 s). Constant over a run.
    fn period_seconds(&self) -> f64;

    /// What it wants to be shown beyond the aggregates. Constant over a run.
    fn needs(&self) -> Needs {
        Needs::AGGREGATES
    }

    /// Forgets the last run and takes the chance for the next.
    fn reset(&mut self, chance: ControllerStream);

    /// What to do now. No allocation; called every [`Controller::period_seconds`].
    fn decide(&mut self, observation: &Observation<'_>) -> Decision;

    /// Writes why the last decision came out as it did, in as much detail as it has.
    ///
    /// # Errors
    /// Only those of the writer.
    fn explain(&self, _out: &mut dyn fmt::Write) -> fmt::Result {
        Ok(())
    }
}

/// What a controller wants to be shown beyond the aggregates, because it costs more than the fluid step itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Needs {
    /// Every replica's state and last sample ([`Observation::replicas`]).
    pub replicas: bool,
}

impl Needs {
    /// Scrapes and pool counts only.
    pub const AGGREGATES: Self = Self { replicas: false };
    /// Every replica's state and last sample as well.
    pub const REPLICAS: Self = Self { replicas: true };
}
