//! Netflix's Scryer: a forecast becomes a plan of few scale-ups, beside a reactive rule that is the safety net.
//!
//! n(t) = ⌈hooks((1 + b) · q(t) / r − others)⌉, cut to the bounds
//!
//! wanted = max(reactive, floor), where the floor follows the plan of n up at once and down by a batch at a time
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | q(t) | forecast of demand in step t at `quantile` | 1/s |
//! | b | `buffer_share` | 1 |
//! | r | requests a second that one replica can be given (Scryer: server throughput) | 1/s |
//! | others | what the other pools have declared, in replicas of this one | 1 |
//!
//! Sources: "Scryer: Netflix's Predictive Auto Scaling Engine", parts 1 and 2, Netflix technology blog, November and
//! December 2013; the source document's `ScryerAutoScaler` (an hour ahead in minutes, 15 % buffer). The parts there and here:
//!
//! - **Data collector**: [`crate::demand`].
//! - **Predictor**, a pluggable list of algorithms (an augmented linear regression, and one based on the FFT), and a
//!   pluggable **combiner**: a forecaster by name, `scryer` by default, which is an ensemble. Its intervals are in the
//!   explanation, and `quantile` staffs for another one than the median.
//! - **Action plan generator**, from the prediction and control parameters (server throughput, start time): "optimized
//!   to minimize the number of scale-up events while maintaining an optimal scale-up batch size for each": [`plan`]. What
//!   the best batch is, Netflix does not say; here it is a parameter.
//! - **Hooks** that pad the counts, for example for holidays: [`padding`].
//! - **Scaler**: carries the plan out beside Amazon Auto Scaling, which sees real-time metrics. How the two are put together
//!   is not published; the maximum is what AWS does with several policies. The plan never scales in: behind a peak
//!   the floor goes down, and the reactive rule follows as it likes.
//!
//! The plan is made again every `refresh_seconds`, starting from what is declared. A plan that cannot be renewed is followed
//! to its end. Without one (nothing forecast yet, no capacity of a replica) the reactive rule decides alone, and the
//! decision counts as fallback.

pub mod padding;
pub mod plan;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};
use tidegate_core::locate::FieldError;
use tidegate_core::service_time::HALF_LIFE_SECONDS;
use tidegate_core::{
    Basis, Bounds, Calendar, Controller, ControllerStream, Decision, Needs, Observation, OperatorFacts,
    Quantiles, Reason, Replicas,
};
use toml::Table;

use crate::catalog::{About, BoxedController, Catalog, Kind, Parameter, Search, read_parameters};
use crate::demand::{
    Capacity, Demand, Forecasters, GAP_AFTER, QUANTILE, REPLICA_RATE, STEP_SECONDS, TARGET_UTILIZATION,
    at_quantile, check_name, check_quantile, count, forecaster_row,
};
use crate::inner;
use crate::rule::{ActingPool, SERVICE_HALF_LIFE, not_negative, positive, remembered, share, wrong};
use padding::{Padding, PaddingParameters};
use plan::Plan;

/// Steps of a plan and a start-up together.
const STEPS_MAX: f64 = 10_000.0;

/// The kind `scryer`: `catalog` has the reactive rules that may stand beside the plan.
pub fn kind(catalog: Catalog, forecasters: Forecasters) -> Kind {
    let (known, names) = (catalog.clone(), forecasters.names);
    Kind::new(
        ABOUT,
        move |table| check(&known, names, &read_parameters(table)?),
        move |table, facts| {
            let parameters = read_parameters(table)?;
            check(&catalog, forecasters.names, &parameters)?;
            Ok(Box::new(Scryer::new(&catalog, &forecasters, facts, &parameters)?))
        },
    )
}

/// What a list says of it.
pub const ABOUT: About = About {
    kind: "scryer",
    summary: "A forecast becomes a plan of few scale-ups, each of a whole batch, beside a reactive rule.",
    source: "Netflix technology blog, Scryer, parts 1 and 2 (2013); source document, ScryerAutoScaler",
    parameters: &[
        Parameter::new(
            "pool",
            "",
            "(the first pool)",
            "The pool that is planned; what other pools have is subtracted.",
        ),
        Parameter::new(
            "reactive",
            "",
            "{ kind = \"aws_target_tracking\" }",
            "The reactive rule: a kind and its parameters.",
        ),
        forecaster_row("\"scryer\"").searched(Search::OneOf(&["scryer", "linear", "seasonal_naive_day"])),
        QUANTILE,
        Parameter::new("buffer_share", "1", "0.15", "By how much more than the forecast is staffed for.")
            .searched(Search::Linear { low: 0.0, high: 0.6 }),
        TARGET_UTILIZATION,
        REPLICA_RATE,
        Parameter::new(
            "lead_seconds",
            "s",
            "(nominal start-up and one period)",
            "How long before its need a replica is asked for.",
        ),
        Parameter::new(
            "horizon_seconds",
            "s",
            "3600.0",
            "How far the plan reaches beyond that: so long may idle replicas be kept to save a scale-up.",
        )
        .searched(Search::Log { low: 600.0, high: 14_400.0 }),
        STEP_SECONDS,
        Parameter::new("refresh_seconds", "s", "300.0", "How often the plan is made again.")
            .searched(Search::Log { low: 60.0, high: 3600.0 }),
        Parameter::new(
            "batch_replicas",
            "replicas",
            "(a tenth of the pool's most)",
            "What one scale-up adds at most, unless it is late.",
        )
        .searched(Search::Count { low: 1, high: 40 }),
        Parameter::new(
            "release_seconds",
            "s",
            "300.0",
            "The floor goes down by one batch in this time at most; 0: as the plan does.",
        )
        .searched(Search::Linear { low: 0.0, high: 1800.0 }),
        Parameter::new("padding", "", "[]", "Hooks that add to the counts at given times; see below."),
        SERVICE_HALF_LIFE,
        GAP_AFTER,
    ],
};

/// What can be set.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
pub struct Parameters {
    pub pool: Option<String>,
    pub reactive: Table,
    pub forecaster: String,
    pub quantile: f64,
    pub buffer_share: f64,
    pub target_utilization: f64,
    pub replica_requests_per_second: Option<f64>,
    pub lead_seconds: Option<f64>,
    pub horizon_seconds: f64,
    pub step_seconds: f64,
    pub refresh_seconds: f64,
    pub batch_replicas: Option<Replicas>,
    pub release_seconds: f64,
    pub padding: Vec<PaddingParameters>,
    pub service_half_life_seconds: f64,
    pub stale_seconds: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            pool: None,
            reactive: inner::of_kind("aws_target_tracking"),
            forecaster: "scryer".into(),
            quantile: 0.5,
            buffer_share: 0.15,
            target_utilization: 0.8,
            replica_requests_per_second: None,
            lead_seconds: None,
            horizon_seconds: 3600.0,
            step_seconds: 60.0,
            refresh_seconds: 300.0,
            batch_replicas: None,
            release_seconds: 300.0,
            padding: Vec::new(),
            service_half_life_seconds: HALF_LIFE_SECONDS,
            stale_seconds: 300.0,
        }
    }
}

fn check(catalog: &Catalog, names: &[&str], parameters: &Parameters) -> Result<(), FieldError> {
    inner::check(catalog, "reactive", &parameters.reactive)?;
    check_name(names, &parameters.forecaster)?;
    check_quantile(parameters.quantile)?;
    padding::check(&parameters.padding)?;
    share(&[("target_utilization", parameters.target_utilization)])?;
    not_negative(&[("buffer_share", parameters.buffer_share)])?;
    if parameters.batch_replicas == Some(0) {
        return Err(wrong("batch_replicas", "must be at least 1, but is 0"));
    }
    positive(&[
        ("replica_requests_per_second", parameters.replica_requests_per_second.unwrap_or(1.0)),
        ("horizon_seconds", parameters.horizon_seconds),
        ("step_seconds", parameters.step_seconds),
        ("refresh_seconds", parameters.refresh_seconds),
        ("service_half_life_seconds", parameters.service_half_life_seconds),
        ("stale_seconds", parameters.stale_seconds),
    ])?;
    remembered(&[
        ("horizon_seconds", parameters.horizon_seconds),
        ("lead_seconds", parameters.lead_seconds.unwrap_or(0.0)),
        ("refresh_seconds", parameters.refresh_seconds),
        ("release_seconds", parameters.release_seconds),
        ("stale_seconds", parameters.stale_seconds),
    ])
}

/// The controller.
pub struct Scryer {
    pool: ActingPool,
    calendar: Calendar,
    reactive: BoxedController,
    demand: Demand,
    capacity: Capacity,
    padding: Padding,
    settings: Settings,
    needs: Vec<Replicas>,
    plan: Plan,
    made: Option<Made>,
    floor: Option<Floor>,
    now_seconds: f64,
    counts: Counts,
}

/// Parameters, completed by the facts.
#[derive(Clone, Copy, Debug)]
struct Settings {
    quantile: f64,
    buffer_share: f64,
    lead_steps: usize,
    horizon_steps: usize,
    batch: Replicas,
    refresh_seconds: f64,
    release_seconds: f64,
}

/// The plan that is followed.
#[derive(Clone, Copy, Debug)]
struct Made {
    at_seconds: f64,
    first_step: u64,
    method: &'static str,
    peak: Peak,
    n_padded: usize,
}

/// The step of the plan with the most demand.
#[derive(Clone, Copy, Debug)]
struct Peak {
    requests_per_second: f64,
    levels: [f64; Quantiles::LEVELS.len()],
}

/// What the reactive rule may not go below.
#[derive(Clone, Copy, Debug)]
struct Floor {
    replicas: Replicas,
    changed_seconds: f64,
}

/// Since the reset.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    plans: u64,
    decisions: u64,
    raised: u64,
}

impl Scryer {
    fn new(
        catalog: &Catalog,
        forecasters: &Forecasters,
        facts: &OperatorFacts,
        parameters: &Parameters,
    ) -> Result<Self, FieldError> {
        let pool = ActingPool::find(parameters.pool.as_deref(), facts)?;
        let reactive = inner::build(catalog, "reactive", &parameters.reactive, facts)?;
        let of_pool = pool.facts(facts);
        let lead_seconds =
            parameters.lead_seconds.unwrap_or(of_pool.startup_seconds + reactive.period_seconds());
        let ahead_seconds = lead_seconds + parameters.horizon_seconds;
        let (step, stale) = (parameters.step_seconds, parameters.stale_seconds);
        let name = &parameters.forecaster;
        let demand = forecasters.demand(name, facts, step, stale, ahead_seconds + 2.0 * step);
        let step_seconds = demand.step_seconds();
        if ahead_seconds / step_seconds > STEPS_MAX {
            let problem = format!(
                "must be, with the lead, at most {STEPS_MAX} steps of {step_seconds} s, but is {}",
                parameters.horizon_seconds
            );
            return Err(wrong("horizon_seconds", problem));
        }
        let steps = |seconds: f64| (seconds / step_seconds - 1e-9).ceil().max(0.0) as usize;
        let settings = Settings {
            quantile: parameters.quantile,
            buffer_share: parameters.buffer_share,
            lead_steps: steps(lead_seconds),
            horizon_steps: steps(parameters.horizon_seconds).max(1),
            batch: parameters.batch_replicas.unwrap_or(of_pool.bounds.replicas_max / 10).max(1),
            refresh_seconds: parameters.refresh_seconds,
            release_seconds: parameters.release_seconds,
        };
        // One more, for the step in which a plan begins.
        let n_steps = settings.horizon_steps + settings.lead_steps + 1;
        Ok(Self {
            pool,
            calendar: facts.calendar,
            reactive,
            padding: Padding::new(&parameters.padding, step_seconds, n_steps, facts)?,
            demand,
            capacity: Capacity::new(
                parameters.service_half_life_seconds,
                parameters.target_utilization,
                parameters.replica_requests_per_second,
                facts,
            ),
            settings,
            needs: Vec::with_capacity(n_steps),
            plan: Plan::with_capacity(n_steps),
            made: None,
            floor: None,
            now_seconds: 0.0,
            counts: Counts::default(),
        })
    }

    /// Makes the plan again if it is time to, and gives what it wants now.
    fn planned(
        &mut self,
        observation: &Observation<'_>,
        bounds: Bounds,
        reactive: Replicas,
    ) -> Option<Replicas> {
        let now_seconds = observation.now_seconds;
        let step = self.demand.step_of(now_seconds);
        let wanted = |made: Made, plan: &Plan| {
            plan.wanted().get(step.saturating_sub(made.first_step) as usize).copied()
        };
        let is_old = |made: Made| now_seconds - made.at_seconds >= self.settings.refresh_seconds;
        let followed = self.made.and_then(|made| wanted(made, &self.plan));
        if followed.is_none() || self.made.is_none_or(is_old) {
            let declared = self.pool.status(observation).declared;
            let made = self.make_plan(observation, bounds, declared.max(reactive));
            self.counts.plans += u64::from(made.is_some());
            self.made = made.or(self.made);
        }
        self.made.and_then(|made| wanted(made, &self.plan))
    }

    fn make_plan(
        &mut self,
        observation: &Observation<'_>,
        bounds: Bounds,
        present: Replicas,
    ) -> Option<Made> {
        let Settings { quantile, buffer_share, lead_steps, horizon_steps, batch, .. } = self.settings;
        let of_replica = self.capacity.of(self.pool)?;
        let others = self.capacity.others(self.pool, observation);
        let now_seconds = observation.now_seconds;
        let first_step = self.demand.step_of(now_seconds);
        let method = self.demand.method();
        let n_steps = horizon_steps + lead_steps;
        let ahead_seconds = n_steps as f64 * self.demand.step_seconds();
        let steps = self.demand.forecast(now_seconds, ahead_seconds)?.get(..n_steps)?;
        let is_number =
            |levels: &[f64; Quantiles::LEVELS.len()]| levels.iter().all(|level| level.is_finite());
        if !steps.iter().all(is_number) {
            return None;
        }
        let mut peak = Peak { requests_per_second: 0.0, levels: [0.0; Quantiles::LEVELS.len()] };
        let mut n_padded = 0;
        self.needs.clear();
        for (step, levels) in (first_step..).zip(steps) {
            let requests_per_second = at_quantile(levels, quantile);
            if requests_per_second >= peak.requests_per_second {
                peak = Peak { requests_per_second, levels: *levels };
            }
            let replicas = (requests_per_second * (1.0 + buffer_share) / of_replica - others).max(0.0);
            let padded = self.padding.pad(step, replicas);
            n_padded += usize::from(padded != replicas);
            self.needs.push(count(padded).min(bounds.replicas_max).max(bounds.replicas_min));
        }
        self.plan.make(&self.needs, lead_steps, batch, present);
        Some(Made { at_seconds: now_seconds, first_step, method, peak, n_padded })
    }

    /// Up at once, down by a batch at a time.
    fn settle(&mut self, now_seconds: f64, planned: Replicas) -> Replicas {
        let Settings { batch, release_seconds, .. } = self.settings;
        let floor = self.floor.get_or_insert(Floor { replicas: planned, changed_seconds: now_seconds });
        if release_seconds <= 0.0 || planned > floor.replicas {
            *floor = Floor { replicas: planned, changed_seconds: now_seconds };
        } else if planned < floor.replicas && now_seconds - floor.changed_seconds >= release_seconds {
            let replicas = floor.replicas.saturating_sub(batch).max(planned);
            *floor = Floor { replicas, changed_seconds: now_seconds };
        }
        floor.replicas
    }
}

impl Controller for Scryer {
    fn period_seconds(&self) -> f64 {
        self.reactive.period_seconds()
    }

    fn needs(&self) -> Needs {
        self.reactive.needs()
    }

    fn reset(&mut self, chance: ControllerStream) {
        let mut forecasters_chance = chance.clone();
        // Another part of the same cipher: what one of the two draws, the other does not see.
        forecasters_chance.0.set_stream(1);
        self.reactive.reset(chance);
        self.demand.reset(forecasters_chance);
        self.capacity.clear();
        self.padding.clear();
        self.plan.clear();
        (self.made, self.floor, self.now_seconds) = (None, None, 0.0);
        self.counts = Counts::default();
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let mut decision = self.reactive.decide(observation);
        self.demand.feed(observation);
        self.capacity.feed(observation);
        self.now_seconds = observation.now_seconds;
        self.counts.decisions += 1;
        let target = decision.targets[self.pool.index()];
        let reactive = target.wanted;
        let bounds = target.bounds.unwrap_or(self.pool.status(observation).bounds);
        let Some(planned) = self.planned(observation, bounds, reactive) else {
            self.floor = None;
            if decision.basis == Basis::Normal {
                decision.basis = Basis::Fallback;
                decision.reason = Reason::new("no plan; the reactive rule alone")
                    .about(decision.reason.what)
                    .with("reactive", f64::from(reactive));
            }
            return decision;
        };
        let floor = self.settle(observation.now_seconds, planned);
        let within = floor.min(bounds.replicas_max).max(bounds.replicas_min);
        let is_raised = within > reactive;
        let what = if is_raised { "the plan" } else { "the reactive rule is not below the plan" };
        if is_raised {
            self.counts.raised += 1;
            decision.targets[self.pool.index()].wanted = within;
            decision.basis = Basis::Normal;
        }
        if decision.basis != Basis::Held {
            decision.reason = Reason::new(what)
                .about(decision.reason.what)
                .with("reactive", f64::from(reactive))
                .with("planned", f64::from(planned))
                .with("floor", f64::from(floor));
        }
        decision
    }

    fn explain(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        match self.made {
            None => writeln!(out, "no plan yet ({})", self.demand.method())?,
            Some(made) => self.explain_plan(made, out)?,
        }
        let Counts { plans, decisions, raised } = self.counts;
        writeln!(
            out,
            "{plans} plans; in {decisions} decisions {raised} above the reactive rule, which says:"
        )?;
        self.reactive.explain(out)
    }
}

impl Scryer {
    fn explain_plan(&self, made: Made, out: &mut dyn fmt::Write) -> fmt::Result {
        let clock = |seconds: f64| self.calendar.at(seconds).format("%H:%M");
        let step_seconds = self.demand.step_seconds();
        let end = made.first_step + self.plan.wanted().len() as u64;
        let Peak { requests_per_second, levels } = made.peak;
        writeln!(
            out,
            "plan of {} until {}: demand of at most {requests_per_second:.3} requests a second ({}; 5 % to 95 %: {:.3} \
             to {:.3}), {} steps padded",
            clock(made.at_seconds),
            clock(end as f64 * step_seconds),
            made.method,
            levels[1],
            levels[7],
            made.n_padded,
        )?;
        for up in self.plan.scale_ups() {
            // In the step of the plan's making it is done at once.
            let at_seconds = ((made.first_step + up.step as u64) as f64 * step_seconds).max(made.at_seconds);
            let is_done = if at_seconds <= self.now_seconds { "done" } else { "to come" };
            writeln!(out, "{} scale up from {} to {}, {is_done}", clock(at_seconds), up.from, up.to)?;
        }
        let floor = self.floor.map_or(0, |floor| floor.replicas);
        writeln!(out, "batches of {}; the floor is {floor}", self.settings.batch)
    }
}
