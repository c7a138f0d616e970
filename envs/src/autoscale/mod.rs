//! The simulated service as an environment: a step is a decision, a reward is minus the dollars.
//!
//! - **Observation**: a [`View`]; the source document's four numbers ([`SourceView`]) or everything an operator can
//!   measure in aggregate ([`RichView`]).
//! - **Action**: an [`ActionSet`]; −1, 0, +1 as in the source document, −k to +k, the count itself, or how much fleet above
//!   what load and queue ask for. Actions that the pool's bounds forbid are masked; taken all the same they go as far as the bounds let them.
//! - **Reward**: −(instances + energy + penalty) in dollars over the ticks of the step, from the one price function.
//! - **Episode**: [`Env::reset`] runs the warm-up with the initial fleet; steps cover the horizon; the last one ends
//!   `Truncated`, because the service goes on and a learner bootstraps from the observation at the horizon's end.
//!   What draining costs after that (nobody arrives, the fleet is held, everyone in the system is served or gives
//!   up at full charge) is part of the last reward, so that summed rewards are minus the dollars of the run. It also
//!   is a part of what a bootstrapped value promises; a learner that minds takes it out by
//!   [`Info::draining`](AutoscaleInfo::draining).
//!
//! [`Agent`] drives a plant by the same view and actions as a [`Controller`](tidegate_core::Controller), which is how
//! a learnt policy is reported.

pub mod actions;
mod agent;
mod clock;
#[cfg(test)]
mod counter_plant;
mod load;
pub mod relative;
pub mod view;

pub use actions::{ActionSet, Actions, MARGINS};
pub use agent::Agent;
pub use relative::{NoPrice, Relative};
pub use view::{Asked, RichView, SourceView, View, WEEKEND, load_scale_unmeasured, rich_width};

use tidegate_core::plant::Phase;
use tidegate_core::windows::Windows;
use tidegate_core::{
    AttemptLedger, Charge, Env, Needs, OperatorFacts, POOLS_MAX, Plant, PoolTarget, Replicas, Scenario, Seed,
    ServiceStatistics, Space, Spec, Step, StepEnd, TickRecord, UserLedger,
};

/// How an agent is let onto a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoscaleOptions {
    /// What it may do.
    pub actions: ActionSet,
    /// Accounting ticks from one decision to the next; divides warm-up and horizon.
    pub ticks_per_step: u32,
}

impl Default for AutoscaleOptions {
    /// As in the source document: −1, 0, +1 every tick.
    fn default() -> Self {
        Self { actions: ActionSet::Steps { step_max: 1 }, ticks_per_step: 1 }
    }
}

/// Options that do not fit the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AutoscaleError {
    /// No change would be possible.
    #[error("`step_max` must be at least 1, but is 0")]
    NoStep,
    /// More choices than a policy can tell apart.
    #[error("there would be {n_actions} actions, but at most 1000 can be told apart")]
    TooManyActions {
        /// So many.
        n_actions: u64,
    },
    /// Decisions would not fall on the start and the end of what is counted.
    #[error(
        "`ticks_per_step` must divide the warm-up of {warm_up_ticks} and the horizon of {horizon_ticks} ticks, but is {ticks_per_step}"
    )]
    TicksPerStep {
        /// As given.
        ticks_per_step: u32,
        /// Of the scenario.
        warm_up_ticks: u32,
        /// Of the scenario.
        horizon_ticks: u32,
    },
}

/// A service whose fleet an agent sizes.
#[derive(Clone, Debug)]
pub struct Autoscale<P, V> {
    plant: P,
    view: V,
    spec: Spec,
    actions: Actions,
    ticks_per_step: u32,
    targets: [PoolTarget; POOLS_MAX],
    n_pools: usize,
    windows: Windows,
    /// 0 where a reset must come first.
    steps_left: u32,
    info: AutoscaleInfo,
}

/// What happened since the reset and what holds now: for reports, not for agents.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AutoscaleInfo {
    /// Steps since the reset.
    pub steps: u32,
    /// Dollars of the last step, draining included if it was the last of the episode.
    pub step_charge: Charge,
    /// Dollars since the warm-up, draining included once it is over.
    pub charge: Charge,
    /// Of these, those charged in draining.
    pub draining: Charge,
    /// What the price function charged for since the warm-up.
    pub service: ServiceStatistics,
    /// Share of the error budget that the window in which the horizon is now has spent ([`Windows::budget_spent`]).
    pub budget_spent: f64,
    /// Summed flows of attempts since the warm-up; `in_system` is what is left now.
    pub attempts: AttemptLedger,
    /// Summed flows of users since the warm-up; `pending` is what is left now.
    pub users: UserLedger,
    /// Integral of the ready replicas over the horizon so far.
    pub ready_seconds: f64,
    /// Integral of the slots of ready replicas over the horizon so far.
    pub slot_seconds: f64,
    /// Integral of the slots in service over the horizon so far.
    pub busy_slot_seconds: f64,
    /// Replicas asked for since the warm-up.
    pub launches: u32,
    /// Replicas told to drain since the warm-up.
    pub terminations: u32,
    /// Replicas lost in crashes since the warm-up.
    pub crashes: u32,
    /// Replicas taken back by the spot market since the warm-up.
    pub preemptions: u32,
    /// Serving now, over all pools.
    pub ready: Replicas,
    /// On their way to ready now, over all pools.
    pub starting: Replicas,
    /// Wanted now, over all pools.
    pub wanted: Replicas,
}

impl<P: Plant, V: View> Autoscale<P, V> {
    /// The environment over this plant, which must be the plant of this scenario.
    ///
    /// # Errors
    /// If the options do not fit the scenario.
    pub fn new(
        plant: P,
        view: V,
        scenario: &Scenario,
        options: AutoscaleOptions,
    ) -> Result<Self, AutoscaleError> {
        let AutoscaleOptions { actions, ticks_per_step } = options;
        let Scenario { warm_up_ticks, horizon_ticks, .. } = *scenario;
        let divides = |ticks: u32| ticks_per_step > 0 && ticks.is_multiple_of(ticks_per_step);
        if !(divides(warm_up_ticks) && divides(horizon_ticks)) {
            return Err(AutoscaleError::TicksPerStep { ticks_per_step, warm_up_ticks, horizon_ticks });
        }
        let actions = Actions::new(plant.facts(), actions)?;
        let spec = Spec {
            name: format!("autoscale/{}", scenario.name),
            observation: view.quantities(),
            action: Space::Discrete(actions.names().to_vec()),
            steps_max: horizon_ticks / ticks_per_step,
        };
        let (targets, n_pools) = initial_targets(plant.facts());
        let windows = Windows::new(plant.facts().prices.level);
        let info = AutoscaleInfo::default();
        Ok(Self {
            plant,
            view,
            spec,
            actions,
            ticks_per_step,
            targets,
            n_pools,
            windows,
            steps_left: 0,
            info,
        })
    }

    /// The plant, for what a report needs beyond the info (quantiles of latency).
    pub fn plant(&self) -> &P {
        &self.plant
    }

    #[inline]
    fn see(&mut self) -> V::Vector {
        self.view.see(&self.plant.observe(Needs::AGGREGATES))
    }
}

impl<P: Plant, V: View> Env for Autoscale<P, V> {
    type Action = usize;
    type Observation = V::Vector;
    type Info = AutoscaleInfo;

    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: Seed) -> V::Vector {
        self.plant.reset(seed);
        self.view.reset();
        (self.targets, self.n_pools) = initial_targets(self.plant.facts());
        self.info = AutoscaleInfo::default();
        self.windows.reset();
        self.steps_left = self.spec.steps_max;
        // The view looks as often as it will in the horizon, so that its memory is as full as a controller's.
        while self.plant.phase() == Phase::WarmUp {
            self.see();
            for _ in 0..self.ticks_per_step {
                self.plant.tick(&self.targets[..self.n_pools]);
            }
        }
        assert_eq!(
            self.plant.phase(),
            Phase::Horizon,
            "the plant is not that of the scenario: its warm-up differs"
        );
        self.see()
    }

    fn step(&mut self, action: usize) -> Step<V::Vector> {
        assert!(self.steps_left > 0, "the episode is over, or none was started: reset first");
        self.steps_left -= 1;
        self.info.steps += 1;
        self.info.step_charge = Charge::default();
        let targets = &mut self.targets[..self.n_pools];
        self.actions.apply(action, targets, self.view.asked());
        for _ in 0..self.ticks_per_step {
            let record = self.plant.tick(targets);
            self.windows.tick(&mut record.service.clone(), false);
            self.info.add(record);
        }
        self.info.budget_spent = self.windows.budget_spent();
        let observation = self.see();
        let end = (self.steps_left == 0).then_some(StepEnd::Truncated);
        if end.is_some() {
            self.drain();
        }
        Step { observation, reward: -self.info.step_charge.total(), end }
    }

    fn info(&self) -> &AutoscaleInfo {
        &self.info
    }

    fn allowed(&self, mask: &mut [bool]) {
        self.actions.allowed(&self.targets[..self.n_pools], mask);
    }
}

impl<P: Plant, V: View> Autoscale<P, V> {
    fn drain(&mut self) {
        assert_ne!(
            self.plant.phase(),
            Phase::Horizon,
            "the plant is not that of the scenario: its horizon differs"
        );
        while self.plant.phase() != Phase::Done {
            self.info.add(self.plant.tick(&self.targets[..self.n_pools]));
            // Nobody looks, but what is not taken would pile up in the plant.
            self.plant.observe(Needs::AGGREGATES);
        }
    }
}

impl AutoscaleInfo {
    /// Share of the ready slots in use, averaged over the horizon so far; 0 if none was ready.
    pub fn utilization_mean(&self) -> f64 {
        if self.slot_seconds > 0.0 { self.busy_slot_seconds / self.slot_seconds } else { 0.0 }
    }

    #[inline]
    fn add(&mut self, record: &TickRecord) {
        self.step_charge.add(&record.charge);
        self.charge.add(&record.charge);
        self.service.add(&record.service);
        self.attempts.offered += record.attempts.offered;
        self.attempts.completed += record.attempts.completed;
        self.attempts.rejected += record.attempts.rejected;
        self.attempts.abandoned += record.attempts.abandoned;
        self.attempts.failed += record.attempts.failed;
        self.attempts.wasted += record.attempts.wasted;
        self.attempts.in_system = record.attempts.in_system;
        self.users.arrived += record.users.arrived;
        self.users.succeeded += record.users.succeeded;
        self.users.gave_up += record.users.gave_up;
        self.users.pending = record.users.pending;
        (self.ready, self.starting, self.wanted) = (0, 0, 0);
        for pool in &record.pools {
            self.launches += pool.launches;
            self.terminations += pool.terminations;
            self.crashes += pool.crashes;
            self.preemptions += pool.preemptions;
            self.ready += pool.ready;
            self.starting += pool.starting;
            self.wanted += pool.wanted;
        }
        if record.phase == Phase::Draining {
            self.draining.add(&record.charge);
        } else {
            for pool in &record.pools {
                self.ready_seconds += pool.ready_seconds;
                self.slot_seconds += pool.slot_seconds;
                self.busy_slot_seconds += pool.busy_slot_seconds;
            }
        }
    }
}

fn initial_targets(facts: &OperatorFacts) -> ([PoolTarget; POOLS_MAX], usize) {
    let mut targets = [PoolTarget::default(); POOLS_MAX];
    for (target, pool) in targets.iter_mut().zip(&facts.pools) {
        *target = PoolTarget::wanted(pool.replicas_initial);
    }
    (targets, facts.pools.len())
}

#[cfg(test)]
mod tests {
    use tidegate_core::scenario::EXAMPLE;
    use tidegate_sim::run;

    use super::counter_plant::CounterPlant;
    use super::*;
    use crate::conformance;

    fn scenario() -> Scenario {
        Scenario::parse(EXAMPLE).expect("the example is right")
    }

    fn rich(scenario: &Scenario, options: AutoscaleOptions) -> Autoscale<CounterPlant, RichView> {
        let facts = scenario.facts();
        let view = <RichView>::new(&facts);
        Autoscale::new(CounterPlant::new(scenario), view, scenario, options).expect("the options fit")
    }

    fn source(scenario: &Scenario, options: AutoscaleOptions) -> Autoscale<CounterPlant, SourceView> {
        let facts = scenario.facts();
        let view = SourceView::new(&facts, load_scale_unmeasured(&facts));
        Autoscale::new(CounterPlant::new(scenario), view, scenario, options).expect("the options fit")
    }

    const EVERY_MINUTE: AutoscaleOptions =
        AutoscaleOptions { actions: ActionSet::Target {}, ticks_per_step: 4 };

    #[test]
    fn conforms_with_every_view_and_action_set() {
        let scenario = scenario();
        let steps = AutoscaleOptions { actions: ActionSet::Steps { step_max: 3 }, ..Default::default() };
        for options in [AutoscaleOptions::default(), steps, EVERY_MINUTE] {
            conformance::check(|| rich(&scenario, options)).unwrap();
            conformance::check(|| source(&scenario, options)).unwrap();
        }
    }

    /// Place of the queue in what a [`RichView`] shows.
    const QUEUE: usize = 9;

    /// Always scales by the measured queue, so that the fleet moves.
    fn by_queue(queue: f32, mask: &[bool]) -> usize {
        let wish = if queue > 0.02 { 2 } else { 0 };
        if mask[wish] { wish } else { 1 }
    }

    /// An agent in its environment and the same agent as a controller of a run live the same life and pay the same.
    #[test]
    fn an_agent_is_reported_for_what_it_earned() {
        let scenario = scenario();
        let facts = scenario.facts();
        for ticks_per_step in [1, 4] {
            for seed in (0..5).map(Seed::evaluation) {
                let options = AutoscaleOptions { ticks_per_step, ..Default::default() };
                let mut env = rich(&scenario, options);
                let mut seen = env.reset(seed);
                let mut earned = 0.0;
                loop {
                    let mut mask = [false; 3];
                    env.allowed(&mut mask);
                    let step = env.step(by_queue(seen[QUEUE], &mask));
                    earned += step.reward;
                    seen = step.observation;
                    if step.end.is_some() {
                        break;
                    }
                }
                let view = <RichView>::new(&facts);
                let mut agent =
                    Agent::new(&facts, view, options, |seen: &[f32; rich_width(1)], mask: &[bool]| {
                        by_queue(seen[QUEUE], mask)
                    })
                    .expect("the options fit");
                let summary = run(&mut CounterPlant::new(&scenario), &mut agent, seed, &mut ());
                let info = env.info();
                // Draining may differ: there the environment holds and the controller goes on deciding.
                assert!(info.charge.total() > 0.0 && info.launches > 10, "the fleet must move: {info:?}");
                assert!((earned + info.charge.total()).abs() < 1e-9);
                assert_eq!(info.users.arrived, summary.users.arrived);
                let spared = (info.charge.total() - summary.charge.total()).abs();
                assert!(spared <= info.draining.total() + 1e-9, "{spared} apart");
                assert!(u64::from(info.launches) <= summary.launches);
                assert!((info.ready_seconds / (240.0 * 15.0) - summary.ready_mean).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn a_step_allocates_nothing() {
        let mut env = rich(&scenario(), AutoscaleOptions::default());
        let mut mask = [false; 3];
        // The plant's buffers have their size after one episode.
        for _ in 0..2 {
            env.reset(Seed::training(0));
            let allocated = allocation_counter::measure(|| {
                for step in 0..240 {
                    env.allowed(&mut mask);
                    env.step(step % 3);
                }
            });
            assert_eq!(allocated.count_total, 0);
        }
    }

    #[test]
    fn the_last_reward_holds_what_draining_costs_and_everybody_is_decided() {
        let scenario = scenario();
        let mut env = source(&scenario, AutoscaleOptions::default());
        env.reset(Seed::training(5));
        let mut last = None;
        for _ in 0..240 {
            // Down to one replica, which cannot keep up, so that many wait at the end.
            last = Some(env.step(0));
        }
        let info = env.info();
        assert_eq!(last.and_then(|step| step.end), Some(StepEnd::Truncated));
        assert!(info.draining.total() > 0.0);
        assert!(info.step_charge.total() > info.draining.total());
        assert!(info.users.pending < 1e-9, "{} users are undecided", info.users.pending);
    }

    #[test]
    fn options_that_do_not_fit_are_named() {
        let scenario = scenario();
        let facts = scenario.facts();
        let make = |options| {
            Autoscale::new(CounterPlant::new(&scenario), SourceView::new(&facts, 20.0), &scenario, options)
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        let seven = AutoscaleOptions { ticks_per_step: 7, ..Default::default() };
        expect_test::expect![[
            r#"Err("`ticks_per_step` must divide the warm-up of 80 and the horizon of 240 ticks, but is 7")"#
        ]]
        .assert_eq(&format!("{:?}", make(seven)));
        let none = AutoscaleOptions { actions: ActionSet::Steps { step_max: 0 }, ticks_per_step: 1 };
        expect_test::expect![[r#"Err("`step_max` must be at least 1, but is 0")"#]]
            .assert_eq(&format!("{:?}", make(none)));
    }
}
