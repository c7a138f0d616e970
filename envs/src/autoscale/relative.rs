//! The reward that an agent learns from, in units that do not depend on the service: replicas too many.
//!
//! ```text
//! r = max(−1000, −(C − p Δ a) / (p Δ)), a = n E[S] / (c Δ)
//! ```
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | C | what the step was charged, without draining | $ |
//! | p | list price of the first pool's replica | $/s |
//! | Δ | length of a step | s |
//! | a | what the users who arrived in the step need: their work over the slots of one replica of the first pool | replicas |
//! | n | users who arrived in the step | 1 |
//! | E\[S\] | mean work at nominal speed | s |
//! | c | slots of one replica of the first pool, by its speed | 1 |
//!
//! With a fleet of k and no penalty, r = a − k: minus the replicas above the load. What is added, p Δ a, is the same
//! whatever the agent does, so (but for the limit) it changes no optimal policy; it takes out of the values the rise and
//! fall of the load, which in dollars is most of their variance. The limit is for overloads of minutes, which cost thousands
//! of replicas: their square would be all that a network learns. Beyond it an agent does not tell bad from worse.
//! Draining is left out because a bootstrapped value already stands for what comes after the horizon.

use tidegate_core::{Env, Plant, SECONDS_PER_HOUR, Scenario, Seed, Spec, Step};

use super::{Autoscale, AutoscaleInfo, View};

/// The least reward of a step, in replicas for one step.
pub const REWARD_MIN: f64 = -1000.0;

/// [`Autoscale`] with rewards in replicas instead of dollars.
#[derive(Clone, Debug)]
pub struct Relative<P, V> {
    env: Autoscale<P, V>,
    /// p Δ.
    dollars_per_replica_step: f64,
    /// E[S] / (c Δ).
    replicas_per_user: f64,
}

/// There is no price to count in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`pools[0].dollars_per_replica_hour` must be positive where rewards are counted in it, but is 0")]
pub struct NoPrice;

impl<P: Plant, V: View> Relative<P, V> {
    /// The same environment, which must be that of this scenario.
    ///
    /// # Errors
    /// If the first pool costs nothing.
    pub fn new(env: Autoscale<P, V>, scenario: &Scenario) -> Result<Self, NoPrice> {
        let pool = &scenario.pools[0];
        if pool.dollars_per_replica_hour <= 0.0 {
            return Err(NoPrice);
        }
        let step_seconds = scenario.tick_seconds * f64::from(env.ticks_per_step);
        let speed = f64::from(pool.concurrency) * pool.speed;
        Ok(Self {
            env,
            dollars_per_replica_step: pool.dollars_per_replica_hour / SECONDS_PER_HOUR * step_seconds,
            replicas_per_user: scenario.work.mean() / (speed * step_seconds),
        })
    }
}

impl<P: Plant, V: View> Env for Relative<P, V> {
    type Action = usize;
    type Observation = V::Vector;
    type Info = AutoscaleInfo;

    fn spec(&self) -> &Spec {
        self.env.spec()
    }

    fn reset(&mut self, seed: Seed) -> V::Vector {
        self.env.reset(seed)
    }

    fn step(&mut self, action: usize) -> Step<V::Vector> {
        let arrived = self.env.info().users.arrived;
        let mut step = self.env.step(action);
        let info = self.env.info();
        // Nobody drains before the last step, so what is in the ledger is of that step.
        let dollars = info.step_charge.total() - info.draining.total();
        let needed = (info.users.arrived - arrived) * self.replicas_per_user;
        step.reward = (needed - dollars / self.dollars_per_replica_step).max(REWARD_MIN);
        step
    }

    fn info(&self) -> &AutoscaleInfo {
        self.env.info()
    }

    fn allowed(&self, mask: &mut [bool]) {
        self.env.allowed(mask);
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::scenario::EXAMPLE;

    use super::super::counter_plant::CounterPlant;
    use super::super::load_scale_unmeasured;
    use super::*;
    use crate::{ActionSet, AutoscaleOptions, SourceView, conformance};

    const OPTIONS: AutoscaleOptions =
        AutoscaleOptions { actions: ActionSet::Steps { step_max: 2 }, ticks_per_step: 4 };

    fn scenario() -> Scenario {
        Scenario::parse(EXAMPLE).expect("the example is right")
    }

    fn dollars(scenario: &Scenario) -> Autoscale<CounterPlant, SourceView> {
        let facts = scenario.facts();
        let view = SourceView::new(&facts, load_scale_unmeasured(&facts));
        Autoscale::new(CounterPlant::new(scenario), view, scenario, OPTIONS).expect("the options fit")
    }

    fn relative(scenario: &Scenario) -> Relative<CounterPlant, SourceView> {
        Relative::new(dollars(scenario), scenario).expect("it has a price")
    }

    #[test]
    fn rewards_in_replicas_conform() {
        let scenario = scenario();
        conformance::check(|| relative(&scenario)).unwrap();
    }

    /// Dollars of the plain environment turned into replicas by hand: the example has 4 slots a replica, 0.5 s of work and
    /// steps of a minute.
    #[test]
    fn a_reward_is_the_load_less_the_dollars_in_replicas() {
        // Half the price, so that what one replica alone costs in penalties meets the limit.
        let mut scenario = scenario();
        scenario.pools[0].dollars_per_replica_hour *= 0.5;
        let price = scenario.pools[0].dollars_per_replica_hour;
        assert_eq!((scenario.work.mean(), scenario.pools[0].concurrency), (0.5, 4));
        let (mut plain, mut env) = (dollars(&scenario), relative(&scenario));
        let seed = Seed::training(3);
        assert_eq!(plain.reset(seed), env.reset(seed));
        let (mut before, mut n_limited) = (0.0, 0);
        for step in 0..60 {
            // Down to one replica for the last part, so that the limit is met.
            let action = if step < 30 { (step * 7) % 5 } else { 0 };
            let (theirs, ours) = (plain.step(action), env.step(action));
            assert_eq!((theirs.observation, theirs.end), (ours.observation, ours.end));
            let arrived = plain.info().users.arrived - before;
            before = plain.info().users.arrived;
            let charged = -theirs.reward - plain.info().draining.total();
            let expected = arrived * 0.5 / 4.0 / 60.0 - charged / (price / 60.0);
            n_limited += usize::from(expected < -1000.0);
            assert!((ours.reward - expected.max(-1000.0)).abs() < 1e-9, "{} at step {step}", ours.reward);
        }
        assert!(n_limited > 0 && n_limited < 60, "{n_limited} of 60 steps met the limit");
        assert_eq!(env.info(), plain.info());
    }

    #[test]
    fn a_pool_that_costs_nothing_is_named() {
        let mut scenario = scenario();
        scenario.pools[0].dollars_per_replica_hour = 0.0;
        let error = Relative::new(dollars(&scenario), &scenario).expect_err("there is no price");
        expect_test::expect![
            "`pools[0].dollars_per_replica_hour` must be positive where rewards are counted in it, but is 0"
        ]
        .assert_eq(&error.to_string());
    }
}
