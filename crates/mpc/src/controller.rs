//! Model-predictive control: forecast, formulate, solve, carry out the first move, and begin again at the next decision.
//!
//! At every decision, over T stages of Δ seconds from now:
//!
//! ```text
//! minimise Σ_t [ price Δ n_t + Δ Σ_q w_q φ(κ λ_{t,q} + β_t, r_t) ] + switching      over the plans of `one_pool`
//! ```
//!
//! | symbol | word | where from |
//! | --- | --- | --- |
//! | `n_t`, `r_t` | ordered, ready | [`one_pool`](crate::one_pool): start-up delay, orders under way, bounds, ramps |
//! | φ | penalty rate over load and ready replicas | the identified response model and the prices, tabulated: [`PenaltySurface`] |
//! | `λ_{t,q}`, `w_q` | quantiles of the load, and what each stands for | the forecaster; [`level_weights`] |
//! | κ | correction of the model | below |
//! | `β_t` | what has to be caught up with | below |
//!
//! Solved exactly by [`DynamicProgramming`], from the state as it is seen: what is ready, and what was ordered when. As
//! costs add up over stages and the plan does not react, the expected penalty needs the distribution of each stage's
//! load alone, not its course: quantiles are enough for it ([`level_weights`] says what of a risk measure).
//!
//! **Backlog.** A program of stage costs knows none. What waits is carried forward under the fleet that is ready or on
//! its way, by the mean flow, up to the first stage that an order of now can serve, and asked for as an extra load β
//! that clears it within half the service level's bound, or a stage. Until then retries beyond a tenth of the demand, which
//! may be noise of the sensors, are load as well: the forecast is of users, the fleet serves attempts, and in an overload
//! that feeds on retries there are several times as many.
//!
//! **Recourse.** A plan that does not react would hold a fleet for every load that may come. Where what is seen is answered
//! by an order that serves sooner than a fleet would be held, but not at once, a level above the median costs what it does
//! until then; see [`stage_costs`].
//!
//! **Surprise.** Where the load of the last forecast step is beyond what the forecast of now holds for possible, all of
//! the horizon is scaled with it; see the factor in `surprise.rs`.
//!
//! **Correction.** κ = e^z, and z moves by `bias_gain` · ln(measured / expected mean latency) with every window, within
//! [`BIAS`]: integral action, so that a service that is slower than its model is given more, however wrong the model is.
//!
//! **What stands in.** Without a scrape for `stale_seconds`, or before the first forecast, the declared count stays
//! (`Held`). While the response model rests on the facts alone, nothing is taken away (`Fallback`). A program that no
//! plan meets, such as a ramp limit that cannot reach the minimum, is answered by the nearest count that the bounds
//! allow (`Fallback`). One pool is planned; what serves in the others is counted as there.
//!
//! Sources: the source document, `OptimalAutoScaler`; D. Q. Mayne, J. B. Rawlings, C. V. Rao and P. O. M. Scokaert,
//! *Constrained model predictive control*, Automatica 36 (2000), for the receding horizon.

use std::fmt;

use tidegate_core::decision::Targets;
use tidegate_core::demand::Demand;
use tidegate_core::{
    Basis, Controller, ControllerStream, Decision, Identification, Observation, OperatorFacts, POOLS_MAX,
    PoolTarget, Prices, Reason, Replicas,
};

use crate::dynamic::Proof;
use crate::formulate::{
    N_LEVELS, StageLoad, backlog_after, level_weights, loads_of_counts, prices_of, stage_costs, stage_price,
};
use crate::orders::Orders;
use crate::surprise::Surprise;
use crate::{
    Band, DynamicProgramming, Law, OnePool, PenaltySurface, ProgramError, Surfaces, Switching, Table,
};

/// The limits of z.
pub const BIAS: (f64, f64) = (0.0, 0.5);

/// Retries up to this share of the demand may be the noise of two sensors.
const RETRIES: f64 = 0.1;

/// Rows of the surface from one replica's capacity to the next.
const ROWS_PER_REPLICA: f64 = 2.0;

/// What can be set, checked by whoever reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The pool that is planned.
    pub pool: usize,
    /// T.
    pub n_stages: usize,
    /// Δ.
    pub stage_seconds: f64,
    /// How often it decides.
    pub period_seconds: f64,
    /// From order to service.
    pub startup_seconds: f64,
    /// The weights of the forecast's levels; see [`level_weights`].
    pub weights: [f64; N_LEVELS],
    /// Whether the noise of counts is taken out of the forecast; see [`loads_of_counts`].
    pub counts_are_poisson: bool,
    /// The most replicas added, and given up, from one stage to the next.
    pub ramps: (Replicas, Replicas),
    /// Cost of change.
    pub switching: Switching,
    /// By how much z moves for a latency e times as long as expected.
    pub bias_gain: f64,
    /// Recourse only where an order serves later than this many bounds after what it answers. Sooner, the bound leaves time
    /// for what was not foreseen, and the upper levels of the forecast guard against a model that is wrong instead. From 2
    /// on there is none.
    pub recourse_bounds: f64,
    /// Without a scrape for so long it holds.
    pub stale_seconds: f64,
}

impl Settings {
    /// An hour's quarter in stages of a tick or an eighth of the bound, whichever is longer; expected cost; no ramps.
    pub fn new(facts: &OperatorFacts) -> Self {
        Self {
            pool: 0,
            n_stages: 60,
            stage_seconds: Self::stage_seconds(facts),
            period_seconds: facts.tick_seconds,
            startup_seconds: facts.pools[0].startup_seconds,
            weights: level_weights(1.0),
            counts_are_poisson: false,
            ramps: (Replicas::MAX, Replicas::MAX),
            switching: Switching::default(),
            bias_gain: 0.02,
            recourse_bounds: 0.5,
            stale_seconds: 300.0,
        }
    }

    /// Whole ticks, an eighth of the service level's bound or more.
    pub fn stage_seconds(facts: &OperatorFacts) -> f64 {
        let eighth = facts.prices.level.bound_seconds / 8.0;
        (eighth / facts.tick_seconds - 1e-9).ceil().max(1.0) * facts.tick_seconds
    }
}

/// Whether a level above the median costs only what it does until an order answers it.
///
/// A fleet is held for two bounds in whole stages, which may be longer: from 2 bounds on there is no recourse even so.
fn has_recourse(recourse_bounds: f64, bound_seconds: f64, held_seconds: f64, reaction_seconds: f64) -> bool {
    recourse_bounds < 2.0 && (recourse_bounds * bound_seconds..held_seconds).contains(&reaction_seconds)
}

/// The controller.
pub struct ModelPredictive<I> {
    settings: Settings,
    prices: Prices,
    bounds: Band,
    /// Replicas of the planned pool that one of each pool stands for.
    worth: Vec<f64>,
    /// As it is before a run.
    fresh: I,
    service: I,
    demand: Demand,
    surfaces: Surfaces,
    /// Of the model that the surfaces were computed of.
    revision: Option<u64>,
    surprise: Surprise,
    orders: Orders,
    ready_before: Replicas,
    scraped_seconds: Option<f64>,
    /// Attempts a second that come again, as last seen.
    retries: f64,
    bias: f64,
    corrected_seconds: f64,
    loads: Vec<StageLoad>,
    bands: Vec<Band>,
    problem: OnePool,
    solver: DynamicProgramming,
    wanted: Vec<Replicas>,
    last: Answer,
}

/// What the last decision rested on.
#[derive(Clone, Debug, Default)]
struct Answer {
    /// Whether there was a plan.
    is_planned: bool,
    dollars: f64,
    why: String,
}

impl<I: Identification + Clone> ModelPredictive<I> {
    /// `service` knows nothing yet; its model's tick is a stage, and `demand` can be asked for the whole horizon.
    ///
    /// # Panics
    /// If there is no such pool or no stage, or the model's tick is not a stage.
    pub fn new(facts: &OperatorFacts, settings: Settings, service: I, demand: Demand) -> Self {
        use tidegate_core::ResponseModel as _;
        let pool = &facts.pools[settings.pool];
        let tick_seconds = service.model().tick_seconds();
        assert!(
            (tick_seconds - settings.stage_seconds).abs() < 1e-9 * tick_seconds,
            "a model of {tick_seconds} s for stages of {} s",
            settings.stage_seconds
        );
        assert!(settings.n_stages > 0, "a plan has a stage");
        let slots = f64::from(pool.concurrency);
        let bounds = Band::new(pool.bounds.replicas_min, pool.bounds.replicas_max);
        let prices = prices_of(&facts.prices, facts.tick_seconds, settings.stage_seconds);
        let worth: Vec<f64> = facts.pools.iter().map(|other| f64::from(other.concurrency) / slots).collect();
        let all: f64 = facts
            .pools
            .iter()
            .zip(&worth)
            .map(|(pool, worth)| f64::from(pool.bounds.replicas_max) * worth)
            .sum();
        let hold_ticks = PenaltySurface::hold_ticks(settings.stage_seconds, facts.prices.level.bound_seconds);
        // Seen with the next scrape, ordered at the next decision, served a start-up later.
        let reaction_seconds = settings.startup_seconds + facts.scrape_seconds + settings.period_seconds;
        let replicas_max = all.ceil() as Replicas;
        let bound_seconds = facts.prices.level.bound_seconds;
        let has_recourse = has_recourse(
            settings.recourse_bounds,
            bound_seconds,
            f64::from(hold_ticks) * settings.stage_seconds,
            reaction_seconds,
        );
        let held = PenaltySurface::new(1.0, replicas_max, hold_ticks);
        let passing = has_recourse.then(|| PenaltySurface::passing(1.0, replicas_max, reaction_seconds));
        let problem = OnePool { switching: settings.switching, ..OnePool::default() };
        Self {
            surfaces: Surfaces { held, passing },
            prices,
            bounds,
            worth,
            surprise: Surprise::new(demand.step_seconds(), facts.scrape_seconds),
            fresh: service.clone(),
            service,
            demand,
            revision: None,
            orders: Orders::default(),
            ready_before: 0,
            scraped_seconds: None,
            retries: 0.0,
            bias: 0.0,
            corrected_seconds: 0.0,
            loads: Vec::with_capacity(settings.n_stages),
            bands: Vec::with_capacity(settings.n_stages),
            problem,
            solver: DynamicProgramming::default(),
            wanted: Vec::with_capacity(settings.n_stages),
            last: Answer::default(),
            settings,
        }
    }

    /// The control law in explicit form: what the first order would be from every count within the bounds, all of it
    /// ready, with the loads of the last decision; and what the horizon would then cost.
    ///
    /// # Errors
    /// If there was no plan yet, or no plan is possible from one of the counts.
    pub fn law(&mut self) -> Result<Law, ProgramError> {
        let mut problem = self.problem.clone();
        problem.limits.starting.clear();
        self.solver.law(&problem, 0, self.bounds)
    }

    /// The plan of the last decision; empty where there was none.
    pub fn plan(&self) -> &[Replicas] {
        if self.last.is_planned { &self.wanted } else { &[] }
    }

    /// The least cost over the horizon with this first order, by the program of the last decision.
    pub fn move_dollars(&self, first: Replicas) -> Option<f64> {
        self.last.is_planned.then(|| self.solver.move_dollars(&self.problem, first)).flatten()
    }

    /// The shadow price of the service level at a stage: by how much its penalty would rise with one ready replica
    /// less than planned.
    pub fn shadow_dollars(&self, stage: usize) -> Option<f64> {
        let ready = self.problem.ready(self.plan().get(..=stage)?, stage);
        let less = ready.checked_sub(1).filter(|less| self.problem.stage.band(stage).contains(*less))?;
        Some(self.problem.stage.at(stage, less) - self.problem.stage.at(stage, ready))
    }

    fn fill(&mut self, others: Replicas, bands: &[Band], table: &mut Table) {
        let service = (self.service.model(), &self.prices);
        let stage_seconds = self.settings.stage_seconds;
        stage_costs(&mut self.surfaces, service, &self.loads, stage_seconds, others, bands, table);
    }

    /// Moves κ by what was measured since the last decision.
    fn correct(&mut self) {
        let Some(latencies) = self.service.last_latency_seconds() else { return };
        if latencies.at_seconds <= self.corrected_seconds || !self.service.is_known() {
            return;
        }
        self.corrected_seconds = latencies.at_seconds;
        let error = (latencies.measured_seconds / latencies.expected_seconds).ln();
        if error.is_finite() {
            self.bias = (self.bias + self.settings.bias_gain * error.clamp(-1.0, 1.0)).clamp(BIAS.0, BIAS.1);
        }
    }

    /// The loads of all stages; false where there is no forecast.
    fn look_ahead(&mut self, observation: &Observation<'_>) -> bool {
        let Settings { stage_seconds, n_stages, weights, counts_are_poisson, .. } = self.settings;
        let now = observation.now_seconds;
        let first = self.demand.step_of(now);
        let step_seconds = self.demand.step_seconds();
        let ahead_seconds = n_stages as f64 * stage_seconds;
        let Some(quantiles) = self.demand.forecast(now, ahead_seconds) else { return false };
        self.surprise.say(now, &quantiles[0]);
        let factor = self.bias.exp() * self.surprise.factor();
        self.loads.clear();
        for stage in 0..n_stages {
            let step = ((now + (stage as f64 + 0.5) * stage_seconds) / step_seconds) as u64;
            let step = ((step - first) as usize).min(quantiles.len() - 1);
            let said = quantiles[step].map(|load| load.max(0.0));
            let said = if counts_are_poisson { loads_of_counts(said, step_seconds) } else { said };
            let requests_per_second = said.map(|load| load * factor);
            self.loads.push(StageLoad { requests_per_second, weights });
        }
        true
    }

    /// Adds what has to be caught up with to the loads, given what is ready at each stage if nothing is ordered.
    fn catch_up(&mut self, delay: usize, ready: impl Fn(usize) -> f64) {
        let stage_seconds = self.settings.stage_seconds;
        let clear_seconds = (0.5 * self.prices.level.bound_seconds).max(stage_seconds);
        let clear_stages = (clear_seconds / stage_seconds).ceil() as usize;
        let replica = self.service.replica_requests_per_second();
        let mut backlog = self.service.backlog_requests();
        for stage in 0..self.loads.len().min(delay + clear_stages) {
            let load = &mut self.loads[stage];
            let mean: f64 =
                load.requests_per_second.iter().zip(load.weights).map(|(load, weight)| load * weight).sum();
            let extra = backlog / clear_seconds + self.retries;
            for load in &mut load.requests_per_second {
                *load += extra;
            }
            if stage < delay {
                backlog = backlog_after(backlog, mean + self.retries, replica * ready(stage), stage_seconds);
            }
        }
    }

    /// The program of now.
    fn formulate(&mut self, observation: &Observation<'_>) -> Result<(f64, Proof), ProgramError> {
        let Settings { pool, n_stages, stage_seconds, startup_seconds, ramps, .. } = self.settings;
        let status = &observation.pools[pool];
        let there = status.ready + status.starting;
        let delay = (startup_seconds / stage_seconds - 1e-9).ceil().max(0.0) as u32;
        let others = |count: fn(&tidegate_core::PoolStatus) -> Replicas| {
            let pools = observation.pools.iter().zip(&self.worth).enumerate();
            let others = pools.filter(|(index, _)| *index != pool);
            others.map(|(_, (status, worth))| f64::from(count(status)) * worth).sum::<f64>() as Replicas
        };
        let others = others(|status| status.ready + status.starting);
        let limits = &mut self.problem.limits;
        limits.bounds.clear();
        limits.bounds.resize(n_stages, self.bounds);
        (limits.ramp_up, limits.ramp_down) = ramps;
        (limits.initial, limits.delay_ticks) = (there, delay);
        self.orders.starting(
            observation.now_seconds,
            startup_seconds,
            stage_seconds,
            delay,
            &mut limits.starting,
        );
        let price = stage_price(status.dollars_per_replica_hour, stage_seconds);
        self.problem.dollars_per_replica.clear();
        self.problem.dollars_per_replica.resize(n_stages, price);
        let limits = std::mem::take(&mut self.problem.limits);
        self.catch_up(delay as usize, |stage| f64::from(limits.ready_most(stage) + others));
        self.problem.limits = limits;
        let replica = self.service.replica_requests_per_second();
        if self.revision != Some(self.service.revision()) {
            self.revision = Some(self.service.revision());
            self.surfaces.clear(replica / ROWS_PER_REPLICA);
        }
        self.bands.clear();
        self.bands.resize(n_stages, self.bounds.hull(Band::new(0, there)));
        let (bands, mut stage) = (std::mem::take(&mut self.bands), std::mem::take(&mut self.problem.stage));
        self.fill(others, &bands, &mut stage);
        (self.bands, self.problem.stage) = (bands, stage);
        self.solver.plan(&self.problem, &mut self.wanted)
    }

    /// This count of the planned pool; the other pools keep theirs. Whoever waits before a service at zero is given one
    /// replica: nothing can be measured there but that somebody is.
    fn answer(
        &self,
        observation: &Observation<'_>,
        wanted: Replicas,
        basis: Basis,
        reason: Reason,
    ) -> Decision {
        let is_at_zero = wanted == 0 && observation.pools.iter().all(|pool| pool.declared == 0);
        let is_somebody = observation.latest().is_some_and(|scrape| {
            [scrape.requests_per_second, scrape.queue_length].into_iter().flatten().any(|seen| seen > 0.0)
        });
        let (wanted, basis, reason) = if is_at_zero && is_somebody {
            (1, Basis::Fallback, Reason::new("somebody waits and nothing runs"))
        } else {
            (wanted, basis, reason)
        };
        let mut targets = [PoolTarget::default(); POOLS_MAX];
        for (target, status) in targets.iter_mut().zip(observation.pools) {
            target.wanted = status.declared;
        }
        targets[self.settings.pool].wanted = wanted;
        Decision { targets: Targets::of(&targets[..observation.pools.len()]), basis, reason }
    }
}

impl<I: Identification + Clone> Controller for ModelPredictive<I> {
    fn period_seconds(&self) -> f64 {
        self.settings.period_seconds
    }

    fn reset(&mut self, chance: ControllerStream) {
        self.service.clone_from(&self.fresh);
        self.demand.reset(chance);
        self.revision = None;
        self.surprise.clear();
        self.orders.clear();
        self.ready_before = 0;
        (self.scraped_seconds, self.retries) = (None, 0.0);
        (self.bias, self.corrected_seconds) = (0.0, 0.0);
        self.last = Answer::default();
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let now = observation.now_seconds;
        let status = observation.pools[self.settings.pool];
        self.service.observe(observation);
        self.demand.feed(observation);
        self.surprise.observe(observation);
        self.orders.see(now, status.starting, status.ready.saturating_sub(self.ready_before));
        self.ready_before = status.ready;
        if let Some(scrape) = observation.latest() {
            self.scraped_seconds = Some(scrape.at_seconds);
            let first = scrape.demand_per_second().unwrap_or(0.0);
            self.retries =
                scrape.retries_per_second().map_or(0.0, |again| (again - RETRIES * first).max(0.0));
        }
        self.correct();
        self.last.is_planned = false;
        if self.scraped_seconds.is_none_or(|at| now - at > self.settings.stale_seconds) {
            return self.answer(observation, status.declared, Basis::Held, Reason::new("no fresh scrape"));
        }
        if !self.look_ahead(observation) {
            return self.answer(observation, status.declared, Basis::Held, Reason::new("no forecast yet"));
        }
        let (dollars, proof) = match self.formulate(observation) {
            Ok(found) => found,
            Err(error) => {
                self.last.why = error.to_string();
                let nearest = status.declared.clamp(self.bounds.low, self.bounds.high);
                let reason = Reason::new("no plan meets the limits");
                return self.answer(observation, nearest, Basis::Fallback, reason);
            }
        };
        (self.last.is_planned, self.last.dollars) = (true, dollars);
        let first = self.wanted[0];
        let reason = Reason::new("first move of the plan")
            .about(self.demand.method())
            .with("horizon dollars", dollars)
            .with("load", self.loads[0].requests_per_second[N_LEVELS / 2])
            .with("correction", self.bias.exp());
        if !self.service.is_known() && first < status.declared {
            let reason = Reason { what: "the service is not known yet: nothing is taken away", ..reason };
            return self.answer(observation, status.declared, Basis::Fallback, reason);
        }
        let basis = if proof == Proof::Optimal { Basis::Normal } else { Basis::Suboptimal };
        self.answer(observation, first, basis, reason)
    }

    /// The plan, what one replica more or less would cost, the shadow price of the service level, and the model.
    fn explain(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        if self.last.is_planned {
            write!(out, "plan over {} stages of {} s:", self.wanted.len(), self.settings.stage_seconds)?;
            let mut from = 0;
            for stage in 1..=self.wanted.len() {
                if stage == self.wanted.len() || self.wanted[stage] != self.wanted[from] {
                    write!(out, " {}×{}", self.wanted[from], stage - from)?;
                    from = stage;
                }
            }
            write!(out, ", ${:.4}", self.last.dollars)?;
            let first = self.wanted[0];
            for (name, other) in [("one less", first.checked_sub(1)), ("one more", first.checked_add(1))] {
                if let Some(dollars) = other.and_then(|other| self.move_dollars(other)) {
                    write!(out, "; {name} now ${:+.5}", dollars - self.last.dollars)?;
                }
            }
            let served = (self.problem.limits.delay_ticks as usize).min(self.wanted.len() - 1);
            if let Some(dollars) = self.shadow_dollars(served) {
                write!(
                    out,
                    "; at stage {served} one replica less would add ${dollars:.5} of penalty, and one costs ${:.5}",
                    self.problem.dollars_per_replica[served]
                )?;
            }
            writeln!(out)?;
        } else if !self.last.why.is_empty() {
            writeln!(out, "no plan: {}", self.last.why)?;
        } else {
            writeln!(out, "no plan yet")?;
        }
        write!(out, "service ")?;
        self.service.explain(out)?;
        write!(out, "; latency correction {:.3}", self.bias.exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of `serverless`: a bound of 10 s, stages of 15, and 23 s from a scrape to a replica.
    #[test]
    fn from_two_bounds_on_there_is_no_recourse_though_stages_hold_a_fleet_for_three() {
        let has = |bounds| has_recourse(bounds, 10.0, 30.0, 23.0);
        assert!(has(0.0) && has(0.5) && has(1.99));
        assert!(!has(2.0) && !has(2.5));
        assert!(!has_recourse(0.5, 10.0, 30.0, 4.9) && !has_recourse(0.0, 10.0, 30.0, 30.0));
    }
}
