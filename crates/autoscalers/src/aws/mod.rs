//! AWS EC2 Auto Scaling and Application Auto Scaling: groups whose policies act on alarms, clocks and forecasts.
//!
//! What is in the documentation is done as it says; what it leaves open, docs/controllers.md lists with the choice
//! that was made here. The layers can be used apart: [`alarm`] (states from datapoints), [`adjustment`] (rounding and
//! step bounds), [`capacity_at_target`], [`warm_pool_size`] and [`raised_max_capacity`] are pure functions; a group
//! puts them together and comes as five kinds with different parameters. [`predictive_kind`] is the sixth, for whoever
//! has a forecaster.
//!
//! Sources: Amazon EC2 Auto Scaling User Guide (its public repository, 2023), API reference of EC2 Auto Scaling and
//! Application Auto Scaling, `CloudWatch` User Guide.

pub mod adjustment;
pub mod alarm;
mod group;
mod ledger;
pub mod parameters;
mod policy;
mod predictive;
mod series;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

pub use adjustment::{AdjustmentType, StepAdjustment};
pub use alarm::{AlarmState, Comparison};
pub use group::warm_pool_size;
pub use parameters::{
    EcsParameters, GroupParameters, OneSimpleParameters, OneStepParameters, OneTargetParameters,
};
pub use policy::capacity_at_target;
pub use predictive::{ForecastNeeds, raised_max_capacity};

use tidegate_core::locate::FieldError;
use tidegate_core::{Controller, ControllerStream, Decision, Needs, Observation, OperatorFacts};

use crate::catalog::{About, Kind, Parameter, Rule, Search, read_parameters};
use crate::demand::{BoxedForecaster, MakeHistory};
use crate::rule::{POOL, not_negative};
use group::Engine;
use policy::Pace;
use predictive::WithHistory;

/// A whole group with any number of policies of any type.
pub struct AwsGroup(Engine);
/// A group with one target tracking policy.
pub struct AwsTargetTracking(Engine);
/// A group with one step policy out and one in.
pub struct AwsStep(Engine);
/// A group with one simple policy out and one in.
pub struct AwsSimple(Engine);
/// A service with one target tracking policy of Application Auto Scaling.
pub struct EcsTargetTracking(Engine);

macro_rules! controllers {
    ($($kind:ty)*) => {$(
        impl Controller for $kind {
            fn period_seconds(&self) -> f64 {
                self.0.period_seconds()
            }

            fn needs(&self) -> Needs {
                self.0.needs()
            }

            fn reset(&mut self, chance: ControllerStream) {
                self.0.reset(&chance);
            }

            fn decide(&mut self, observation: &Observation<'_>) -> Decision {
                self.0.decide(observation)
            }

            fn explain(&self, out: &mut dyn fmt::Write) -> fmt::Result {
                self.0.explain(out)
            }
        }
    )*};
}

controllers! { AwsGroup AwsTargetTracking AwsStep AwsSimple EcsTargetTracking }

const EXTERNAL: Parameter =
    Parameter::new("external", "", "(none)", "Name of the external metric, with `metric = \"external\"`.");
const WARM_POOL_MIN: Parameter =
    Parameter::new("warm_pool_min", "replicas", "0", "Least size of the warm pool, where the pool has one.");
const WARM_POOL_PREPARED_MAX: Parameter = Parameter::new(
    "warm_pool_prepared_max",
    "replicas",
    "(the group's most)",
    "Most replicas in the group and the warm pool together.",
);
const METRIC_PERIOD: Parameter = Parameter::new(
    "metric_period_seconds",
    "s",
    "60.0",
    "Time between datapoints: 60 with detailed monitoring, 300 with basic, less for high-resolution metrics.",
);
const PERIOD: Parameter =
    Parameter::new("period_seconds", "s", "60.0", "How often it looks at its alarms and clocks.");
const WARM_UP: Parameter = Parameter::new(
    "warm_up_seconds",
    "s",
    "300.0",
    "Time after which a replica that came into service counts as capacity and in the metric, 0 to 3600.",
)
.searched(Search::Linear { low: 0.0, high: 600.0 });
const DATAPOINTS_OUT: Parameter = Parameter::new(
    "datapoints_out",
    "1",
    "3",
    "Datapoints in a row above the threshold until it scales out.",
)
.searched(Search::Count { low: 1, high: 5 });
const DATAPOINTS_IN: Parameter =
    Parameter::new("datapoints_in", "1", "15", "Datapoints in a row below the threshold until it scales in.")
        .searched(Search::Count { low: 3, high: 30 });
const TARGET: Parameter = Parameter::new("target", "metric's", "0.5", "What the metric is kept at.")
    .searched(Search::Linear { low: 0.3, high: 0.9 });
const TRACKED: Parameter = Parameter::new(
    "metric",
    "",
    "\"cpu\"",
    "What is kept at the target; it must fall as capacity rises, see below.",
);
const WATCHED: Parameter = Parameter::new("metric", "", "\"cpu\"", "What the alarms watch.");
const PER_REPLICA: Parameter = Parameter::new(
    "per_replica",
    "",
    "true",
    "Whether an external metric is divided by the replicas that serve (backlog per instance).",
);
const PER_REPLICA_OFF: Parameter = Parameter::new(
    "per_replica",
    "",
    "false",
    "Whether an external metric is divided by the replicas that serve.",
);
const DISABLE_SCALE_IN: Parameter =
    Parameter::new("disable_scale_in", "", "false", "Whether scaling in is left to others.");
const MAGNITUDE: Parameter = Parameter::new(
    "min_adjustment_magnitude",
    "replicas",
    "0",
    "Least change that a percentage makes (MinAdjustmentMagnitude).",
);

const GROUP_PARAMETERS: &[Parameter] = &[
    POOL,
    Parameter::new("target_tracking", "", "(see below)", "Target tracking policies; see below."),
    Parameter::new("step", "", "(see below)", "Step policies, each with its alarm; see below."),
    Parameter::new("simple", "", "(none)", "Simple policies, each with its alarm; see below."),
    Parameter::new(
        "scheduled",
        "",
        "(none)",
        "Scheduled actions, `{ cron, wanted, replicas_min, replicas_max }` as in `scheduled`.",
    ),
    Parameter::new("predictive", "", "(none)", "Predictive policies; only where there is a forecaster."),
    Parameter::new("capacity_min", "replicas", "(the pool's)", "The group's least."),
    Parameter::new(
        "capacity_max",
        "replicas",
        "(the pool's)",
        "The group's most; actions and forecasts may raise it as far as the pool's.",
    ),
    Parameter::new(
        "default_instance_warm_up_seconds",
        "s",
        "(off)",
        "Warm-up of policies that set none, 0 to 3600; off, it is the default cooldown.",
    ),
    Parameter::new("default_cooldown_seconds", "s", "300.0", "Cooldown of simple policies that set none."),
    WARM_POOL_MIN,
    WARM_POOL_PREPARED_MAX,
    Parameter::new("time_zone", "", "(the operator's)", "IANA name of the zone of the cron expressions."),
    Parameter::new("schedule_lateness_seconds", "s", "0.0", "How late scheduled actions run, 0 to 120."),
    PERIOD,
];

impl Rule for AwsGroup {
    type Parameters = GroupParameters;

    const ABOUT: About = About {
        kind: "aws",
        summary: "An AWS Auto Scaling group with any number of policies: the largest capacity wins.",
        source: "Amazon EC2 Auto Scaling User Guide, 2023",
        parameters: GROUP_PARAMETERS,
    };

    fn check(parameters: &GroupParameters) -> Result<(), FieldError> {
        parameters.check(false)
    }

    fn new(facts: &OperatorFacts, parameters: &GroupParameters) -> Result<Self, FieldError> {
        Engine::new(parameters, None, None, facts).map(Self)
    }
}

impl Rule for AwsTargetTracking {
    type Parameters = OneTargetParameters;

    const ABOUT: About = About {
        kind: "aws_target_tracking",
        summary: "EC2 target tracking: capacity in proportion to metric over target, out after 3 minutes, in after 15.",
        source: "Amazon EC2 Auto Scaling User Guide, target tracking scaling policies, 2023",
        parameters: &[
            POOL,
            TRACKED,
            EXTERNAL,
            PER_REPLICA,
            TARGET,
            DISABLE_SCALE_IN,
            WARM_UP,
            DATAPOINTS_OUT,
            DATAPOINTS_IN,
            METRIC_PERIOD,
            WARM_POOL_MIN,
            WARM_POOL_PREPARED_MAX,
            PERIOD,
        ],
    };

    fn check(parameters: &OneTargetParameters) -> Result<(), FieldError> {
        parameters.group().check(false).map_err(parameters::flat)
    }

    fn new(facts: &OperatorFacts, parameters: &OneTargetParameters) -> Result<Self, FieldError> {
        Engine::new(&parameters.group(), None, None, facts).map(Self).map_err(parameters::flat)
    }
}

impl Rule for AwsStep {
    type Parameters = OneStepParameters;

    const ABOUT: About = About {
        kind: "aws_step",
        summary: "EC2 step scaling: a small step just beyond a threshold, a large one farther out, in both directions.",
        source: "Amazon EC2 Auto Scaling User Guide, step scaling policies, 2023",
        parameters: &[
            POOL,
            WATCHED,
            EXTERNAL,
            PER_REPLICA_OFF,
            Parameter::new("high", "metric's", "0.6", "From here up it scales out.")
                .searched(Search::Linear { low: 0.4, high: 0.9 }),
            Parameter::new("low", "metric's", "0.4", "From here down it scales in.")
                .searched(Search::Linear { low: 0.1, high: 0.7 }),
            Parameter::new(
                "step_width",
                "metric's",
                "0.1",
                "How far beyond a threshold the large step begins.",
            )
            .searched(Search::Linear { low: 0.02, high: 0.3 }),
            Parameter::new("small_adjustment", "1", "0.1", "The small step, as a share of the capacity.")
                .searched(Search::Log { low: 0.02, high: 0.5 }),
            Parameter::new("large_adjustment", "1", "0.3", "The large step, as a share of the capacity.")
                .searched(Search::Log { low: 0.05, high: 1.0 }),
            MAGNITUDE,
            WARM_UP,
            DATAPOINTS_OUT,
            DATAPOINTS_IN,
            METRIC_PERIOD,
            WARM_POOL_MIN,
            WARM_POOL_PREPARED_MAX,
            PERIOD,
        ],
    };

    fn check(parameters: &OneStepParameters) -> Result<(), FieldError> {
        parameters.check()
    }

    fn new(facts: &OperatorFacts, parameters: &OneStepParameters) -> Result<Self, FieldError> {
        Engine::new(&parameters.group(), None, None, facts).map(Self).map_err(parameters::flat)
    }
}

impl Rule for AwsSimple {
    type Parameters = OneSimpleParameters;

    const ABOUT: About = About {
        kind: "aws_simple",
        summary: "EC2 simple scaling: one adjustment, then a wait for the activity and for the cooldown after it.",
        source: "Amazon EC2 Auto Scaling User Guide, simple scaling policies and scaling cooldowns, 2023",
        parameters: &[
            POOL,
            WATCHED,
            EXTERNAL,
            PER_REPLICA_OFF,
            Parameter::new("high", "metric's", "0.7", "From here up it scales out.")
                .searched(Search::Linear { low: 0.4, high: 0.9 }),
            Parameter::new("low", "metric's", "0.3", "From here down it scales in.")
                .searched(Search::Linear { low: 0.1, high: 0.7 }),
            Parameter::new(
                "adjustment_type",
                "",
                "\"percent_change_in_capacity\"",
                "How adjustments are meant: this, `change_in_capacity` or `exact_capacity`.",
            ),
            Parameter::new(
                "adjustment_out",
                "1 or replicas",
                "0.3",
                "What is done above; a percentage is written as a share.",
            )
            .searched(Search::Log { low: 0.02, high: 1.0 }),
            Parameter::new("adjustment_in", "1 or replicas", "-0.1", "What is done below.")
                .searched(Search::Linear { low: -0.5, high: -0.02 }),
            MAGNITUDE,
            Parameter::new(
                "cooldown_seconds",
                "s",
                "300.0",
                "Wait after the end of the last launch or termination.",
            )
            .searched(Search::Linear { low: 0.0, high: 900.0 }),
            DATAPOINTS_OUT,
            DATAPOINTS_IN,
            METRIC_PERIOD,
            WARM_POOL_MIN,
            WARM_POOL_PREPARED_MAX,
            PERIOD,
        ],
    };

    fn check(parameters: &OneSimpleParameters) -> Result<(), FieldError> {
        parameters.check()
    }

    fn new(facts: &OperatorFacts, parameters: &OneSimpleParameters) -> Result<Self, FieldError> {
        Engine::new(&parameters.group(), None, None, facts).map(Self).map_err(parameters::flat)
    }
}

impl Rule for EcsTargetTracking {
    type Parameters = EcsParameters;

    const ABOUT: About = About {
        kind: "ecs_target_tracking",
        summary: "Target tracking of Application Auto Scaling, as for ECS: cooldowns in place of a warm-up.",
        source: "Application Auto Scaling API reference, TargetTrackingScalingPolicyConfiguration",
        parameters: &[
            POOL,
            TRACKED,
            EXTERNAL,
            PER_REPLICA,
            TARGET,
            DISABLE_SCALE_IN,
            Parameter::new(
                "scale_out_cooldown_seconds",
                "s",
                "300.0",
                "Time after a scale-out in which only what exceeds it is added.",
            )
            .searched(Search::Linear { low: 0.0, high: 600.0 }),
            Parameter::new(
                "scale_in_cooldown_seconds",
                "s",
                "300.0",
                "Time after a scale-in in which nothing more is scaled in; a scale-out ends it.",
            )
            .searched(Search::Linear { low: 0.0, high: 900.0 }),
            DATAPOINTS_OUT,
            DATAPOINTS_IN,
            METRIC_PERIOD,
            PERIOD,
        ],
    };

    fn check(parameters: &EcsParameters) -> Result<(), FieldError> {
        not_negative(&[
            ("scale_out_cooldown_seconds", parameters.scale_out_cooldown_seconds),
            ("scale_in_cooldown_seconds", parameters.scale_in_cooldown_seconds),
        ])?;
        parameters.group().check(false).map_err(parameters::flat)
    }

    fn new(facts: &OperatorFacts, parameters: &EcsParameters) -> Result<Self, FieldError> {
        let pace =
            Pace::cooldown(parameters.scale_out_cooldown_seconds, parameters.scale_in_cooldown_seconds);
        Engine::new(&parameters.group(), Some(pace), None, facts).map(Self).map_err(parameters::flat)
    }
}

/// The kind `aws_predictive`: the group of `aws`, whose `predictive` policies get forecasters from `make_forecaster`,
/// one each. Where no policy of any type is set, it has `aws`'s default ones and one predictive policy that acts.
/// `history` is demand a second before the run, as [`crate::demand::Forecasters::history`]; its last 14 days are used.
pub fn predictive_kind(
    make_forecaster: impl Fn(&ForecastNeeds) -> BoxedForecaster + Send + Sync + 'static,
    history: Arc<MakeHistory>,
) -> Kind {
    const ABOUT: About = About {
        kind: "aws_predictive",
        summary: "The group of `aws` with predictive policies: the forecast of the hour is a floor, bought ahead.",
        source: "Amazon EC2 Auto Scaling User Guide, predictive scaling, 2023",
        parameters: GROUP_PARAMETERS,
    };
    Kind::new(
        ABOUT,
        |table| read_parameters::<GroupParameters>(table)?.check(true),
        move |table, facts| {
            let parameters: GroupParameters = read_parameters(table)?;
            parameters.check(true)?;
            let needs = ForecastNeeds::of(facts);
            let make = || WithHistory::new(make_forecaster(&needs), &*history, &needs);
            Ok(Box::new(AwsGroup(Engine::new(&parameters, None, Some(&make), facts)?)))
        },
    )
}
