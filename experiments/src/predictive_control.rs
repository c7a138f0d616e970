//! The kind `mpc`: model-predictive control put together of a forecaster, identification in the loop and the planner.

use serde::{Deserialize, Serialize};
use tidegate_autoscalers::demand::{Forecasters, GAP_AFTER, check_name, forecaster_row};
use tidegate_autoscalers::{
    About, Kind, POOL, Parameter, Search, catalog::read_parameters, not_negative, pool_index, positive,
    remembered, share, wrong,
};
use tidegate_core::locate::FieldError;
use tidegate_core::{OperatorFacts, PoolFacts, Replicas, SECONDS_PER_HOUR};
use tidegate_mpc::controller::Settings;
use tidegate_mpc::formulate::level_weights;
use tidegate_mpc::{ModelPredictive, Switching};
use tidegate_sysid::online::{self, Online, OnlineParameters};

/// A day of stages of a minute; what a decision costs grows with them.
const STAGES_MAX: u32 = 1440;

/// The kind `mpc`.
pub fn kind(forecasters: Forecasters) -> Kind {
    let names = forecasters.names;
    Kind::new(
        ABOUT,
        move |table| check(names, &read_parameters(table)?),
        move |table, facts| {
            let parameters = read_parameters(table)?;
            check(forecasters.names, &parameters)?;
            Ok(Box::new(build(&forecasters, facts, &parameters)?))
        },
    )
}

/// What a list says of it.
pub const ABOUT: About = About {
    kind: "mpc",
    summary: "Model-predictive control: the cheapest plan for the forecast by the identified service and the prices, of \
              which the first move is carried out.",
    source: "source document, OptimalAutoScaler",
    parameters: &[
        POOL,
        forecaster_row("\"linear\"").searched(Search::OneOf(&[
            "linear",
            "last_value",
            "holt_winters",
            "seasonal_naive_day",
        ])),
        Parameter::new("step_seconds", "s", "30.0", "Step of the forecast; rounded up to whole scrapes.")
            .searched(Search::Log { low: 15.0, high: 120.0 }),
        Parameter::new(
            "model",
            "",
            "\"queueing\"",
            "What is identified of the service: `queueing`, `hammerstein` or `armax`.",
        ),
        Parameter::new("memory_seconds", "s", "7200.0", "Time after which a measurement weighs 1/e."),
        Parameter::new(
            "cpu_is_busy_share",
            "",
            "true",
            "Whether the share of cpu in use is the share of slots in use, as where requests do nothing but compute.",
        ),
        Parameter::new(
            "arrivals_are_poisson",
            "",
            "true",
            "Whether users come independently of each other: then the wait is never taken for less than theirs.",
        ),
        Parameter::new(
            "demand",
            "",
            "\"quantiles\"",
            "What of the forecast counts: `quantiles`, the expected cost over all of them, or `median` alone.",
        ),
        Parameter::new(
            "tail_share",
            "1",
            "1.0",
            "Of the quantiles only this worst share counts: conditional value at risk, stage by stage.",
        )
        .searched(Search::Log { low: 0.05, high: 1.0 }),
        Parameter::new(
            "counts_are_poisson",
            "",
            "false",
            "Whether the spread that counts have where users come independently of each other is taken out of the forecast's.",
        ),
        Parameter::new("stages", "1", "60", "Stages of the horizon."),
        Parameter::new(
            "stage_seconds",
            "s",
            "(an eighth of the bound, in whole ticks)",
            "Length of a stage; rounded up to whole ticks.",
        ),
        Parameter::new("startup_seconds", "s", "(nominal)", "From order to service, as planned with."),
        Parameter::new("ramp_up", "replicas", "(none)", "The most that is added from one stage to the next."),
        Parameter::new(
            "ramp_down",
            "replicas",
            "(none)",
            "The most that is given up from one stage to the next.",
        ),
        Parameter::new(
            "stop_share",
            "1",
            "1.0",
            "Put on every replica given up, in the plan, as a share of what it costs to start one again: without it the \
             plan follows the noise of the forecast.",
        )
        .searched(Search::Linear { low: 0.0, high: 3.0 }),
        Parameter::new(
            "bias_gain",
            "1",
            "0.02",
            "How fast the load is corrected where latency is not as the model expects, a window.",
        )
        .searched(Search::Linear { low: 0.0, high: 0.1 }),
        Parameter::new(
            "recourse_bounds",
            "bounds",
            "0.5",
            "Where an order serves later than this after what it answers, but sooner than two bounds, a load above the median \
             costs what it does until then; from 2 on never.",
        ),
        GAP_AFTER,
        Parameter::new("period_seconds", "s", "(one tick)", "How often it decides."),
    ],
};

/// What can be set.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
pub struct Parameters {
    pub pool: Option<String>,
    pub forecaster: String,
    pub step_seconds: f64,
    pub model: ModelKind,
    pub memory_seconds: f64,
    pub cpu_is_busy_share: bool,
    pub arrivals_are_poisson: bool,
    pub demand: DemandKind,
    pub tail_share: f64,
    pub counts_are_poisson: bool,
    pub stages: u32,
    pub stage_seconds: Option<f64>,
    pub startup_seconds: Option<f64>,
    pub ramp_up: Option<Replicas>,
    pub ramp_down: Option<Replicas>,
    pub stop_share: f64,
    pub bias_gain: f64,
    pub recourse_bounds: f64,
    pub stale_seconds: f64,
    pub period_seconds: Option<f64>,
}

/// What is identified of the service.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// A queueing fit.
    Queueing,
    /// A static curve and ARMAX.
    Hammerstein,
    /// Linear ARMAX.
    Armax,
}

/// What of the forecast counts.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum DemandKind {
    /// The expected cost over all levels.
    Quantiles,
    /// The middle one alone.
    Median,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            pool: None,
            forecaster: "linear".into(),
            step_seconds: 30.0,
            model: ModelKind::Queueing,
            memory_seconds: 7200.0,
            cpu_is_busy_share: true,
            arrivals_are_poisson: true,
            demand: DemandKind::Quantiles,
            tail_share: 1.0,
            counts_are_poisson: false,
            stages: 60,
            stage_seconds: None,
            startup_seconds: None,
            ramp_up: None,
            ramp_down: None,
            stop_share: 1.0,
            bias_gain: 0.02,
            recourse_bounds: 0.5,
            stale_seconds: 300.0,
            period_seconds: None,
        }
    }
}

fn check(names: &[&str], parameters: &Parameters) -> Result<(), FieldError> {
    check_name(names, &parameters.forecaster)?;
    share(&[("tail_share", parameters.tail_share)])?;
    positive(&[
        ("step_seconds", parameters.step_seconds),
        ("memory_seconds", parameters.memory_seconds),
        ("stage_seconds", parameters.stage_seconds.unwrap_or(1.0)),
        ("period_seconds", parameters.period_seconds.unwrap_or(1.0)),
        ("stale_seconds", parameters.stale_seconds),
    ])?;
    not_negative(&[
        ("stop_share", parameters.stop_share),
        ("bias_gain", parameters.bias_gain),
        ("recourse_bounds", parameters.recourse_bounds),
    ])?;
    remembered(&[
        ("stale_seconds", parameters.stale_seconds),
        ("startup_seconds", parameters.startup_seconds.unwrap_or(0.0)),
    ])?;
    if !(1..=STAGES_MAX).contains(&parameters.stages) {
        return Err(wrong("stages", format!("must be 1 to {STAGES_MAX}, but is {}", parameters.stages)));
    }
    Ok(())
}

fn build(
    forecasters: &Forecasters,
    facts: &OperatorFacts,
    parameters: &Parameters,
) -> Result<ModelPredictive<Online>, FieldError> {
    let settings = settings(facts, parameters)?;
    let ahead_seconds = settings.n_stages as f64 * settings.stage_seconds;
    let demand = forecasters.demand(
        &parameters.forecaster,
        facts,
        parameters.step_seconds,
        parameters.stale_seconds,
        ahead_seconds,
    );
    let service = identification(facts, parameters, settings.stage_seconds);
    Ok(ModelPredictive::new(facts, settings, service, demand))
}

/// What the planner is told.
///
/// # Errors
/// If there is no such pool.
pub fn settings(facts: &OperatorFacts, parameters: &Parameters) -> Result<Settings, FieldError> {
    let pool = pool_index(parameters.pool.as_deref(), facts)?;
    let plain = Settings::new(facts);
    let whole_ticks = |seconds: f64| (seconds / facts.tick_seconds - 1e-9).ceil() * facts.tick_seconds;
    let weights = match parameters.demand {
        DemandKind::Quantiles => level_weights(parameters.tail_share),
        DemandKind::Median => {
            let mut weights = [0.0; 9];
            weights[4] = 1.0;
            weights
        }
    };
    let PoolFacts { startup_seconds, dollars_per_replica_hour, .. } = facts.pools[pool];
    let start_dollars = startup_seconds * dollars_per_replica_hour / SECONDS_PER_HOUR;
    Ok(Settings {
        pool,
        n_stages: parameters.stages as usize,
        stage_seconds: parameters.stage_seconds.map_or(plain.stage_seconds, whole_ticks),
        period_seconds: parameters.period_seconds.unwrap_or(plain.period_seconds),
        startup_seconds: parameters.startup_seconds.unwrap_or(facts.pools[pool].startup_seconds),
        weights,
        counts_are_poisson: parameters.counts_are_poisson,
        ramps: (parameters.ramp_up.unwrap_or(Replicas::MAX), parameters.ramp_down.unwrap_or(Replicas::MAX)),
        switching: Switching { up_dollars: 0.0, down_dollars: parameters.stop_share * start_dollars },
        bias_gain: parameters.bias_gain,
        recourse_bounds: parameters.recourse_bounds,
        stale_seconds: parameters.stale_seconds,
    })
}

/// Identification in steps of a stage.
pub fn identification(facts: &OperatorFacts, parameters: &Parameters, stage_seconds: f64) -> Online {
    let kind = match parameters.model {
        ModelKind::Queueing => online::Kind::Queueing,
        ModelKind::Hammerstein => online::Kind::Hammerstein,
        ModelKind::Armax => online::Kind::Armax,
    };
    let learning = OnlineParameters {
        memory_seconds: parameters.memory_seconds,
        cpu_is_busy_share: parameters.cpu_is_busy_share,
        arrivals_are_poisson: parameters.arrivals_are_poisson,
        ..OnlineParameters::new(kind)
    };
    let prices = tidegate_mpc::formulate::prices_of(&facts.prices, facts.tick_seconds, stage_seconds);
    Online::new(&OperatorFacts { tick_seconds: stage_seconds, prices, ..facts.clone() }, learning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handbook_and_the_defaults_are_right() {
        let catalog =
            tidegate_autoscalers::Catalog::rules().with(kind(crate::forecasters::without_history()));
        tidegate_autoscalers::testing::check_handbook::<Parameters>(&catalog, "mpc");
    }
}
