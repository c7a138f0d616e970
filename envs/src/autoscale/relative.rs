//! The reward that an agent learns from, in units that do not depend on the service: replicas too many.
//!
//! ```text
//! r = −(C + Φ′ − Φ − p Δ a) / (p Δ), a = n E[S] / (c Δ), Φ = w b⁴
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
//! | Φ, Φ′ | what the unfinished window will cost as it looks before and after the step | $ |
//! | w | price of a violated window; 0 unless the penalty is [`Penalty::PerWindow`] | $ |
//! | b | share of its error budget that is spent ([`Windows::budget_spent`](tidegate_core::windows::Windows::budget_spent)) | 1 |
//!
//! With a fleet of k and no penalty, r = a − k: minus the replicas above the load. What is added, p Δ a, is the same
//! whatever the agent does, so it changes no optimal policy; it takes out of the values the rise and fall of the load, which
//! in dollars is most of their variance. A step of overload costs thousands of replicas and is not cut: an agent that does
//! not tell bad from worse does not leave what is bad.
//!
//! A window is charged when it ends, an hour after what may have caused it, and a discounted return hardly knows of it. So
//! the agent pays as the budget is spent, and has back at the window's end what was not lost: Φ is 0 where a window begins, so
//! that the sum over a window is its price or nothing, as without Φ. This is the shaping of Ng, Harada and Russell ("Policy
//! invariance under reward transformations", ICML 1999) for undiscounted returns, which is what reports count; with γ before Φ′
//! it would keep discounted optima instead, and with them the blindness for the window's end. The fourth power makes the first
//! violations cheap and the last ones dear.
//!
//! Draining is left out because a bootstrapped value already stands for what comes after the horizon.

use tidegate_core::{Env, Penalty, Plant, SECONDS_PER_HOUR, Scenario, Seed, Spec, Step};

use super::{Autoscale, AutoscaleInfo, View};

/// [`Autoscale`] with rewards in replicas instead of dollars.
#[derive(Clone, Debug)]
pub struct Relative<P, V> {
    env: Autoscale<P, V>,
    /// p Δ.
    dollars_per_replica_step: f64,
    /// E[S] / (c Δ).
    replicas_per_user: f64,
    /// w.
    dollars_per_window: f64,
    /// Φ.
    foreseen_dollars: f64,
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
            dollars_per_window: match scenario.level.penalty {
                Penalty::PerWindow { dollars_per_window } => dollars_per_window,
                Penalty::PerUser { .. } | Penalty::PerMillisecond { .. } | Penalty::MeanLatency { .. } => 0.0,
            },
            foreseen_dollars: 0.0,
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
        self.foreseen_dollars = 0.0;
        self.env.reset(seed)
    }

    fn step(&mut self, action: usize) -> Step<V::Vector> {
        let arrived = self.env.info().users.arrived;
        let mut step = self.env.step(action);
        let info = self.env.info();
        // Nobody drains before the last step, so what is in the ledger is of that step.
        let charged = info.step_charge.total() - info.draining.total();
        let foreseen = self.dollars_per_window * info.budget_spent.powi(4);
        let dollars = charged + foreseen - std::mem::replace(&mut self.foreseen_dollars, foreseen);
        let needed = (info.users.arrived - arrived) * self.replicas_per_user;
        step.reward = needed - dollars / self.dollars_per_replica_step;
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

    use tidegate_sim::fluid::FluidPlant;

    use super::super::counter_plant::CounterPlant;
    use super::super::load_scale_unmeasured;
    use super::*;
    use crate::{ActionSet, AutoscaleOptions, SourceView, conformance};

    const OPTIONS: AutoscaleOptions =
        AutoscaleOptions { actions: ActionSet::Steps { step_max: 2 }, ticks_per_step: 4 };

    fn scenario() -> Scenario {
        Scenario::parse(EXAMPLE).expect("the example is right")
    }

    fn dollars<P: Plant>(plant: P, scenario: &Scenario) -> Autoscale<P, SourceView> {
        let facts = scenario.facts();
        let view = SourceView::new(&facts, load_scale_unmeasured(&facts));
        Autoscale::new(plant, view, scenario, OPTIONS).expect("the options fit")
    }

    fn relative<P: Plant>(plant: P, scenario: &Scenario) -> Relative<P, SourceView> {
        Relative::new(dollars(plant, scenario), scenario).expect("it has a price")
    }

    #[test]
    fn rewards_in_replicas_conform() {
        let scenario = scenario();
        conformance::check(|| relative(CounterPlant::new(&scenario), &scenario)).unwrap();
    }

    /// Dollars of the plain environment turned into replicas by hand: the example has 4 slots a replica, 0.5 s of work and
    /// steps of a minute.
    #[test]
    fn a_reward_is_the_load_less_the_dollars_in_replicas() {
        let scenario = scenario();
        let price = scenario.pools[0].dollars_per_replica_hour;
        assert_eq!((scenario.work.mean(), scenario.pools[0].concurrency), (0.5, 4));
        let plant = || CounterPlant::new(&scenario);
        let (mut plain, mut env) = (dollars(plant(), &scenario), relative(plant(), &scenario));
        let seed = Seed::training(3);
        assert_eq!(plain.reset(seed), env.reset(seed));
        let (mut before, mut least) = (0.0, 0.0_f64);
        for step in 0..60 {
            // Down to one replica for the last part, so that an overload is charged.
            let action = if step < 30 { (step * 7) % 5 } else { 0 };
            let (theirs, ours) = (plain.step(action), env.step(action));
            assert_eq!((theirs.observation, theirs.end), (ours.observation, ours.end));
            let arrived = plain.info().users.arrived - before;
            before = plain.info().users.arrived;
            let charged = -theirs.reward - plain.info().draining.total();
            let expected = arrived * 0.5 / 4.0 / 60.0 - charged / (price / 60.0);
            least = least.min(expected);
            assert!((ours.reward - expected).abs() < 1e-9, "{} at step {step}", ours.reward);
        }
        assert!(least < -100.0, "there was no overload: {least}");
        assert_eq!(env.info(), plain.info());
    }

    /// Windows of five minutes at fifty dollars, lost by an overload of the last ones: in sum over a window the reward is what
    /// was charged, and the loss is charged when the budget is spent, not when the window ends.
    #[test]
    fn a_lost_window_is_charged_when_it_is_lost() {
        let mut scenario = scenario();
        scenario.level.penalty = Penalty::PerWindow { dollars_per_window: 50.0 };
        scenario.level.share = 0.5;
        let ticks = scenario.level.window_ticks;
        assert_eq!((ticks % 4, scenario.horizon_ticks % ticks), (0, 0), "windows end where steps do");
        let price = scenario.pools[0].dollars_per_replica_hour / 60.0;
        let plant = || FluidPlant::new(&scenario);
        let (mut plain, mut env) = (dollars(plant(), &scenario), relative(plant(), &scenario));
        let seed = Seed::training(3);
        assert_eq!(plain.reset(seed), env.reset(seed));
        let (mut arrived, mut theirs, mut ours, mut n_lost, mut n_early) = (0.0, 0.0, 0.0, 0, 0);
        for step in 1..=60 {
            let action = if step < 30 { 4 } else { 0 };
            let (charged, reward) = (-plain.step(action).reward, env.step(action).reward);
            let info = plain.info();
            theirs += charged - info.draining.total();
            ours -= (reward - (info.users.arrived - arrived) * 0.5 / 4.0 / 60.0) * price;
            arrived = info.users.arrived;
            let ends = step % (ticks / 4) == 0;
            n_early += u32::from(!ends && ours - theirs > 49.9);
            if ends {
                n_lost += u32::from(info.service.windows_violated > f64::from(n_lost));
                assert!((ours - theirs).abs() < 1e-6, "{ours} and {theirs} by step {step}");
            }
        }
        assert!(n_lost > 0 && n_lost < 12, "{n_lost} windows were lost");
        assert!(n_early > 0, "no loss was seen coming");
    }

    #[test]
    fn a_pool_that_costs_nothing_is_named() {
        let mut scenario = scenario();
        scenario.pools[0].dollars_per_replica_hour = 0.0;
        let error = Relative::new(dollars(CounterPlant::new(&scenario), &scenario), &scenario)
            .expect_err("there is no price");
        expect_test::expect![
            "`pools[0].dollars_per_replica_hour` must be positive where rewards are counted in it, but is 0"
        ]
        .assert_eq(&error.to_string());
    }
}
