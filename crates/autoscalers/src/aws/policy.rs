//! The dynamic scaling policies: target tracking, step and simple.

use tidegate_core::locate::FieldError;
use tidegate_core::{Observation, OperatorFacts, PoolStatus, Replicas};

use super::adjustment::{AdjustmentType, StepAdjustment, step_for};
use super::alarm::{AlarmState, Comparison, evaluate};
use super::ledger::Ledger;
use super::parameters::{AlarmChoice, SimpleParameters, StepParameters, TargetTrackingParameters};
use super::series::Series;
use crate::rule::{ActingPool, round_up};

/// The capacity at which a metric that falls as capacity rises would be at its target: ⌈capacity · metric / target⌉.
///
/// Rounding up adds two where 1.5 are missing, and takes one away where 1.5 are too many, as documented; the formula
/// itself is not published.
pub fn capacity_at_target(capacity: Replicas, metric: f64, target: f64) -> Replicas {
    round_up(f64::from(capacity) * metric / target)
}

/// What a policy wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proposal {
    /// Its alarms have no data.
    NoData,
    /// Nothing.
    Rest,
    /// At least so many; no fewer than are desired.
    Out(Replicas),
    /// So few; no more than are desired.
    In(Replicas),
}

/// The capacity of the group as policies reckon with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group<'a> {
    pub(super) now_seconds: f64,
    pub(super) desired: Replicas,
    pub(super) status: &'a PoolStatus,
    pub(super) ledger: &'a Ledger,
}

/// What keeps a policy from acting twice on one cause.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// EC2: instances that warm up are no part of the capacity when scaling out, those that terminate are when
    /// scaling in, and nothing is scaled in while something comes or warms up.
    WarmUp {
        /// How long that takes once in service.
        seconds: f64,
    },
    /// Application Auto Scaling: until a cooldown is over, a scale-out counts from the capacity before the one that
    /// began it, and nothing more is scaled in.
    Cooldown {
        /// After a scale-out.
        out_seconds: f64,
        /// After a scale-in.
        in_seconds: f64,
        /// When the scale-out began that the cooldown is of, and the capacity before it.
        out: Option<(f64, Replicas)>,
        /// When it was last scaled in.
        in_at_seconds: f64,
    },
}

impl Pace {
    pub(super) fn cooldown(out_seconds: f64, in_seconds: f64) -> Self {
        Self::Cooldown { out_seconds, in_seconds, out: None, in_at_seconds: f64::NEG_INFINITY }
    }

    fn clear(&mut self) {
        if let Self::Cooldown { out_seconds, in_seconds, .. } = *self {
            *self = Self::cooldown(out_seconds, in_seconds);
        }
    }

    /// The warm-up, where there is one.
    fn warm_up_seconds(self) -> Option<f64> {
        if let Self::WarmUp { seconds } = self { Some(seconds) } else { None }
    }

    /// The capacity that a scale-out counts from.
    fn out_base(self, group: &Group<'_>) -> Replicas {
        match self {
            Self::WarmUp { seconds } => {
                group.status.ready.saturating_sub(group.ledger.warming(group.now_seconds, seconds))
            }
            Self::Cooldown { out: Some((at, before)), out_seconds, .. }
                if group.now_seconds - at < out_seconds =>
            {
                before.min(group.desired)
            }
            Self::Cooldown { .. } => group.desired,
        }
    }

    /// The capacity that a scale-in counts from.
    fn in_base(self, group: &Group<'_>) -> Replicas {
        match self {
            Self::WarmUp { .. } => group.status.ready + group.status.draining,
            Self::Cooldown { .. } => group.desired,
        }
    }

    fn blocks_scale_in(self, group: &Group<'_>) -> bool {
        match self {
            Self::WarmUp { seconds } => {
                // An action that has just asked for more is a scale-out in progress, too.
                group.desired > group.status.declared
                    || group.status.starting > 0
                    || group.ledger.warming(group.now_seconds, seconds) > 0
            }
            Self::Cooldown { in_seconds, in_at_seconds, .. } => {
                group.now_seconds - in_at_seconds < in_seconds
            }
        }
    }

    /// The policy had its way.
    fn scaled(&mut self, now_seconds: f64, before: Replicas, wanted: Replicas) {
        let Self::Cooldown { out_seconds, out, in_at_seconds, .. } = self else { return };
        if wanted > before {
            // A larger scale-out within the cooldown begins none of its own, or the capacity that it counts from
            // would creep up while nothing of it serves yet.
            if out.is_none_or(|(at, _)| now_seconds - at >= *out_seconds) {
                *out = Some((now_seconds, before));
            }
            *in_at_seconds = f64::NEG_INFINITY;
        } else if wanted < before {
            *in_at_seconds = now_seconds;
        }
    }
}

/// Share of the target below which a managed alarm sees too much capacity.
const LOW_SHARE: f64 = 0.9;

/// A target tracking policy with its two managed alarms.
#[derive(Clone, Debug)]
pub(super) struct TargetTracking {
    pub(super) series: Series,
    pub(super) target: f64,
    may_scale_in: bool,
    datapoints_out: usize,
    datapoints_in: usize,
    pub(super) pace: Pace,
}

impl TargetTracking {
    pub(super) fn new(
        parameters: &TargetTrackingParameters,
        pace: Pace,
        decides_seconds: f64,
        pool: ActingPool,
        facts: &OperatorFacts,
    ) -> Result<Self, FieldError> {
        let (datapoints_out, datapoints_in) =
            (parameters.datapoints_out as usize, parameters.datapoints_in as usize);
        let n = datapoints_out.max(datapoints_in);
        Ok(Self {
            series: Series::new(&parameters.metric(), n, decides_seconds, pool, facts)?,
            target: parameters.target,
            may_scale_in: !parameters.disable_scale_in,
            datapoints_out,
            datapoints_in,
            pace,
        })
    }

    pub(super) fn clear(&mut self) {
        self.series.clear();
        self.pace.clear();
    }

    pub(super) fn feed(&mut self, observation: &Observation<'_>, ledger: &Ledger) {
        self.series.feed(observation, ledger, self.pace.warm_up_seconds());
    }

    pub(super) fn may_scale_in(&self) -> bool {
        self.may_scale_in
    }

    /// States of the high and of the low alarm.
    pub(super) fn alarms(&self) -> (AlarmState, AlarmState) {
        let state = |comparison: Comparison, threshold: f64, n: usize| {
            let breaches = |point: Option<f64>| point.map(|value| comparison.breaches(value, threshold));
            evaluate(self.series.newest_first().map(breaches), n, n)
        };
        (
            state(Comparison::GreaterThanThreshold, self.target, self.datapoints_out),
            state(Comparison::LessThanThreshold, LOW_SHARE * self.target, self.datapoints_in),
        )
    }

    pub(super) fn propose(&self, group: &Group<'_>) -> Proposal {
        let (high, low) = self.alarms();
        let Some(metric) = self.series.newest() else { return Proposal::NoData };
        if high == AlarmState::Alarm {
            let wanted = capacity_at_target(self.pace.out_base(group), metric, self.target);
            return Proposal::Out(wanted.max(group.desired));
        }
        if low == AlarmState::Alarm && self.may_scale_in && !self.pace.blocks_scale_in(group) {
            let wanted = capacity_at_target(self.pace.in_base(group), metric, self.target);
            return Proposal::In(wanted.min(group.desired));
        }
        // The low alarm looks back farther; what it still knows is no ground to say that all is well.
        if high == AlarmState::InsufficientData { Proposal::NoData } else { Proposal::Rest }
    }

    pub(super) fn scaled(&mut self, now_seconds: f64, before: Replicas, wanted: Replicas) {
        self.pace.scaled(now_seconds, before, wanted);
    }
}

/// An alarm that a user made, with the policy that it calls.
#[derive(Clone, Debug)]
pub(super) struct Alarmed {
    pub(super) series: Series,
    comparison: Comparison,
    pub(super) threshold: f64,
    n: usize,
    m: usize,
}

impl Alarmed {
    fn new(
        choice: &AlarmChoice<'_>,
        decides_seconds: f64,
        pool: ActingPool,
        facts: &OperatorFacts,
    ) -> Result<Self, FieldError> {
        let (m, n) = (choice.datapoints as usize, choice.evaluation_periods as usize);
        Ok(Self {
            series: Series::new(&choice.metric, n, decides_seconds, pool, facts)?,
            comparison: choice.comparison,
            threshold: choice.threshold,
            n,
            m,
        })
    }

    pub(super) fn state(&self) -> AlarmState {
        let breaches =
            |point: Option<f64>| point.map(|value| self.comparison.breaches(value, self.threshold));
        evaluate(self.series.newest_first().map(breaches), self.m, self.n)
    }

    /// The newest datapoint, if the alarm is on.
    fn alarming(&self) -> Result<f64, Proposal> {
        match self.state() {
            AlarmState::InsufficientData => Err(Proposal::NoData),
            AlarmState::Ok => Err(Proposal::Rest),
            AlarmState::Alarm => self.series.newest().ok_or(Proposal::NoData),
        }
    }
}

/// A step scaling policy.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) alarm: Alarmed,
    kind: AdjustmentType,
    steps: Vec<StepAdjustment>,
    magnitude_min: Replicas,
    pace: Pace,
}

impl Step {
    pub(super) fn new(
        parameters: &StepParameters,
        warm_up_seconds: f64,
        decides_seconds: f64,
        pool: ActingPool,
        facts: &OperatorFacts,
    ) -> Result<Self, FieldError> {
        Ok(Self {
            alarm: Alarmed::new(&parameters.alarm(), decides_seconds, pool, facts)?,
            kind: parameters.adjustment_type,
            steps: parameters.steps.clone(),
            magnitude_min: parameters.min_adjustment_magnitude,
            pace: Pace::WarmUp { seconds: warm_up_seconds },
        })
    }

    pub(super) fn feed(&mut self, observation: &Observation<'_>, ledger: &Ledger) {
        self.alarm.series.feed(observation, ledger, self.pace.warm_up_seconds());
    }

    pub(super) fn propose(&self, group: &Group<'_>) -> Proposal {
        let metric = match self.alarm.alarming() {
            Ok(metric) => metric,
            Err(proposal) => return proposal,
        };
        let beyond = metric - self.alarm.threshold;
        let Some(step) = step_for(&self.steps, beyond, self.alarm.comparison.is_upper()) else {
            return Proposal::Rest;
        };
        let apply = |capacity| self.kind.apply(capacity, step.adjustment, self.magnitude_min);
        let grows = match self.kind {
            AdjustmentType::ExactCapacity => apply(group.desired) > group.desired,
            _ => step.adjustment > 0.0,
        };
        if grows {
            Proposal::Out(apply(self.pace.out_base(group)).max(group.desired))
        } else if step.adjustment == 0.0 && self.kind != AdjustmentType::ExactCapacity
            || self.pace.blocks_scale_in(group)
        {
            Proposal::Rest
        } else {
            Proposal::In(apply(self.pace.in_base(group)).min(group.desired))
        }
    }
}

/// A simple scaling policy.
#[derive(Clone, Debug)]
pub(super) struct Simple {
    pub(super) alarm: Alarmed,
    kind: AdjustmentType,
    adjustment: f64,
    magnitude_min: Replicas,
    cooldown_seconds: f64,
}

impl Simple {
    pub(super) fn new(
        parameters: &SimpleParameters,
        cooldown_seconds: f64,
        decides_seconds: f64,
        pool: ActingPool,
        facts: &OperatorFacts,
    ) -> Result<Self, FieldError> {
        Ok(Self {
            alarm: Alarmed::new(&parameters.alarm(), decides_seconds, pool, facts)?,
            kind: parameters.adjustment_type,
            adjustment: parameters.adjustment,
            magnitude_min: parameters.min_adjustment_magnitude,
            cooldown_seconds,
        })
    }

    pub(super) fn feed(&mut self, observation: &Observation<'_>, ledger: &Ledger) {
        self.alarm.series.feed(observation, ledger, None);
    }

    /// Whether an activity or the cooldown after it keeps the policy waiting.
    pub(super) fn waits(&self, group: &Group<'_>) -> bool {
        let since = group.now_seconds - group.ledger.activity_end_seconds();
        group.ledger.is_active() || since < self.cooldown_seconds
    }

    pub(super) fn propose(&self, group: &Group<'_>) -> Proposal {
        if let Err(proposal) = self.alarm.alarming() {
            return proposal;
        }
        if self.waits(group) {
            return Proposal::Rest;
        }
        let wanted = self.kind.apply(group.desired, self.adjustment, self.magnitude_min);
        match wanted.cmp(&group.desired) {
            std::cmp::Ordering::Greater => Proposal::Out(wanted),
            std::cmp::Ordering::Less => Proposal::In(wanted),
            std::cmp::Ordering::Equal => Proposal::Rest,
        }
    }
}
