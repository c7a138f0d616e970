//! A policy as a controller.

use tidegate_core::{
    Basis, Controller, ControllerStream, Decision, Observation, OperatorFacts, POOLS_MAX, PoolTarget, Reason,
    decision::Targets,
};

use super::{Actions, AutoscaleError, AutoscaleOptions, View, initial_targets};

/// Sees and acts as in the environment: the policy is given what the view sees and which actions are allowed, and
/// names one. The initial fleet is held while the warm-up lasts, as it is in training.
#[derive(Clone, Debug)]
pub struct Agent<V, F> {
    view: V,
    policy: F,
    actions: Actions,
    mask: Vec<bool>,
    initial: ([PoolTarget; POOLS_MAX], usize),
    targets: [PoolTarget; POOLS_MAX],
    period_seconds: f64,
    warm_up_seconds: f64,
}

impl<V: View, F: FnMut(&V::Vector, &[bool]) -> usize> Agent<V, F> {
    /// An agent for the service of these facts.
    ///
    /// # Errors
    /// If the options do not fit.
    pub fn new(
        facts: &OperatorFacts,
        view: V,
        options: AutoscaleOptions,
        policy: F,
    ) -> Result<Self, AutoscaleError> {
        let actions = Actions::new(facts, options.actions)?;
        let initial = initial_targets(facts);
        Ok(Self {
            view,
            policy,
            mask: vec![true; actions.names().len()],
            actions,
            initial,
            targets: initial.0,
            period_seconds: facts.tick_seconds * f64::from(options.ticks_per_step),
            warm_up_seconds: f64::from(facts.calendar.warm_up_seconds),
        })
    }

    /// What there is to see now; to be called once for every observation.
    pub fn see(&mut self, observation: &Observation<'_>) -> V::Vector {
        self.view.see(observation)
    }

    /// Whether the warm-up is over by then, so that the policy is asked.
    pub fn acts_at(&self, now_seconds: f64) -> bool {
        // Half a period of margin for rounding; decisions fall on multiples of the period.
        now_seconds >= self.warm_up_seconds - self.period_seconds / 2.0
    }

    /// What the policy does about what was seen.
    pub fn answer(&mut self, seen: &V::Vector, now_seconds: f64) -> Decision {
        let acts = self.acts_at(now_seconds);
        let targets = &mut self.targets[..self.initial.1];
        let mut reason = Reason::new("holds the initial fleet while the run warms up");
        if acts {
            self.actions.allowed(targets, &mut self.mask);
            let action = (self.policy)(seen, &self.mask);
            self.actions.apply(action, targets, self.view.asked());
            reason = Reason::new("greedy action").with("action", action as f64);
        }
        Decision { targets: Targets::of(targets), basis: Basis::Normal, reason }
    }

    /// Goes on from what somebody else decided: actions change these counts.
    ///
    /// # Panics
    /// If there is not one target a pool.
    pub fn follow(&mut self, targets: &[PoolTarget]) {
        assert_eq!(targets.len(), self.initial.1, "one target a pool");
        self.targets[..targets.len()].copy_from_slice(targets);
    }
}

impl<V: View, F: FnMut(&V::Vector, &[bool]) -> usize> Controller for Agent<V, F> {
    fn period_seconds(&self) -> f64 {
        self.period_seconds
    }

    fn reset(&mut self, _chance: ControllerStream) {
        self.view.reset();
        self.targets = self.initial.0;
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let seen = self.see(observation);
        self.answer(&seen, observation.now_seconds)
    }
}
