//! What nobody has outside a simulation: the demand that will come, and the service as it is. Controllers that are given
//! either are called `oracle-…` and reported apart.

use std::fmt;
use std::num::NonZeroU32;

use tidegate_core::demand::Demand;
use tidegate_core::forecast::Paths;
use tidegate_core::identification::{Identification, Latencies};
use tidegate_core::scenario::{ArrivalsConfig, Pool};
use tidegate_core::{
    Calendar, ControllerStream, Forecaster, Observation, OperatorFacts, Quantiles, ResponseModel, Scenario,
    Seed,
};
use tidegate_mpc::ModelPredictive;
use tidegate_mpc::formulate::prices_of;
use tidegate_sysid::queueing_fit::{QueueingModel, QueueingParameters};

use crate::predictive_control::{Parameters, identification, settings};

/// What an oracle is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The users that will come.
    Demand,
    /// Distribution of the work, speed and slots.
    Service,
    /// Both.
    Both,
}

/// Model-predictive control that is told something.
///
/// # Errors
/// If a parameter does not fit the service.
pub fn controller(
    scenario: &Scenario,
    seed: Seed,
    parameters: &Parameters,
    told: Told,
    forecasters: &tidegate_autoscalers::demand::Forecasters,
) -> Result<tidegate_autoscalers::BoxedController, tidegate_core::locate::FieldError> {
    let facts = scenario.facts();
    let settings = settings(&facts, parameters)?;
    let stage_seconds = settings.stage_seconds;
    let ahead_seconds = settings.n_stages as f64 * stage_seconds;
    let demand = if told == Told::Service {
        let (step, stale) = (parameters.step_seconds, parameters.stale_seconds);
        forecasters.demand(&parameters.forecaster, &facts, step, stale, ahead_seconds)
    } else {
        let step_seconds = tidegate_core::demand::whole_scrapes(facts.tick_seconds, &facts);
        let forecaster = Box::new(TrueDemand::new(scenario, seed, step_seconds));
        let stale = parameters.stale_seconds;
        Demand::new(forecaster, Vec::new(), facts.calendar, step_seconds, stale, ahead_seconds)
    };
    Ok(if told == Told::Demand {
        let service = identification(&facts, parameters, stage_seconds);
        Box::new(ModelPredictive::new(&facts, settings, service, demand))
    } else {
        let service = TrueService::new(scenario, stage_seconds);
        Box::new(ModelPredictive::new(&facts, settings, service, demand))
    })
}

/// A forecast that comes true: the users that arrive in each step of a world, at every level.
struct TrueDemand {
    users_per_second: Vec<f64>,
    n_seen: usize,
}

impl TrueDemand {
    fn new(scenario: &Scenario, seed: Seed, step_seconds: f64) -> Self {
        let mut demand = tidegate_workload::Demand::new(scenario);
        demand.reset(seed);
        let per_step = (step_seconds / scenario.tick_seconds).round().max(1.0) as usize;
        let rate = |users: &[u32]| users.iter().map(|users| f64::from(*users)).sum::<f64>() / step_seconds;
        Self { users_per_second: demand.counts().chunks(per_step).map(rate).collect(), n_seen: 0 }
    }
}

impl Forecaster for TrueDemand {
    fn reset(&mut self, _start: Calendar, _chance: ControllerStream) {
        self.n_seen = 0;
    }

    fn observe(&mut self, _value: Option<f64>) {
        self.n_seen += 1;
    }

    fn refit(&mut self) {}

    /// After the last arrivals nobody comes.
    fn forecast(&self, horizon: NonZeroU32, into: &mut Quantiles) {
        let coming = self.users_per_second.iter().skip(self.n_seen).copied();
        let coming = coming.chain(std::iter::repeat(0.0)).take(horizon.get() as usize);
        into.values.clear();
        into.values.extend(coming.map(|rate| [rate; Quantiles::LEVELS.len()]));
    }

    fn paths(&mut self, horizon: NonZeroU32, into: &mut Paths) {
        let mut quantiles = Quantiles::default();
        self.forecast(horizon, &mut quantiles);
        into.values.clear();
        for _ in 0..into.n_paths {
            into.values.extend(quantiles.values.iter().map(|levels| levels[0]));
        }
    }

    fn method(&self) -> &'static str {
        "true demand"
    }
}

/// The queueing model of a scenario by its own numbers: mean and variability of the work, slots and speed of one pool,
/// arrivals as variable as they are drawn, one queue.
pub fn queueing_model(scenario: &Scenario, pool: &Pool, tick_seconds: f64) -> QueueingModel {
    let service_scv = scenario.work.scv();
    let arrivals_scv = match scenario.arrivals {
        ArrivalsConfig::Renewal { coefficient_of_variation } => coefficient_of_variation.powi(2),
        ArrivalsConfig::Poisson {} | ArrivalsConfig::Recorded {} => 1.0,
    };
    let parameters = QueueingParameters {
        service_seconds: scenario.work.mean() / pool.speed,
        service_scv: service_scv.max(1e-6),
        // Allen and Cunneen's.
        wait_factor: f64::midpoint(arrivals_scv, service_scv),
        overhead_seconds: pool.network_seconds,
        slots_per_replica: f64::from(pool.concurrency),
    };
    let prices = prices_of(&scenario.prices(), scenario.tick_seconds, tick_seconds);
    QueueingModel::new(parameters, tick_seconds, prices.level)
}

/// The service as it is; what waits is measured.
#[derive(Clone)]
struct TrueService {
    model: QueueingModel,
    worth: Vec<f64>,
    backlog: f64,
}

impl TrueService {
    fn new(scenario: &Scenario, stage_seconds: f64) -> Self {
        let facts: OperatorFacts = scenario.facts();
        let first = f64::from(facts.pools[0].concurrency);
        Self {
            model: queueing_model(scenario, &scenario.pools[0], stage_seconds),
            worth: facts.pools.iter().map(|pool| f64::from(pool.concurrency) / first).collect(),
            backlog: 0.0,
        }
    }
}

impl Identification for TrueService {
    type Model = QueueingModel;

    fn observe(&mut self, observation: &Observation<'_>) {
        let ready: f64 = observation
            .pools
            .iter()
            .zip(&self.worth)
            .map(|(pool, worth)| f64::from(pool.ready) * worth)
            .sum();
        if let Some(scrape) = observation.latest()
            && let (Some(queue), Some(load)) = (scrape.queue_length, scrape.requests_per_second)
        {
            self.backlog = self.model.state_of(queue.max(0.0), load.max(0.0), ready).backlog;
        }
    }

    fn model(&self) -> &QueueingModel {
        &self.model
    }

    fn revision(&self) -> u64 {
        0
    }

    fn is_known(&self) -> bool {
        true
    }

    fn replica_requests_per_second(&self) -> f64 {
        let known = self.model.parameters();
        known.slots_per_replica / known.service_seconds
    }

    fn backlog_requests(&self) -> f64 {
        self.backlog
    }

    /// Nothing corrects what is known.
    fn last_latency_seconds(&self) -> Option<Latencies> {
        None
    }

    fn explain(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(
            out,
            "as it is: {:.3} s a request, ticks of {} s",
            self.model.parameters().service_seconds,
            self.model.tick_seconds()
        )
    }
}
