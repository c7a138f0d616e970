//! An Auto Scaling group: its policies, and how their wishes become one capacity.
//!
//! At each look: scheduled actions that came due set the bounds and the desired capacity. Then, over the policies,
//!
//! wanted = max of what scales out, if any does; else max of what scales in; else desired
//!
//! where target tracking scales in only if every target tracking policy that may wants to. A forecast is a floor on
//! top, and the group's bounds cut the result.

use std::fmt;

use tidegate_core::locate::FieldError;
use tidegate_core::{
    Basis, Bounds, ControllerStream, Decision, Needs, Observation, OperatorFacts, PoolTarget, Reason,
    Replicas,
};

use super::alarm::AlarmState;
use super::ledger::Ledger;
use super::parameters::{
    GroupParameters, PredictiveMode, PredictiveParameters, StepParameters, TargetTrackingParameters,
};
use super::policy::{Group as Now, Pace, Proposal, Simple, Step, TargetTracking};
use super::predictive::{Predictive, WithHistory};
use super::series::is_average_over_replicas;
use super::{AdjustmentType, Comparison, StepAdjustment};
use crate::rule::{ActingPool, wrong};
use crate::scheduled::{Settings, Timetable};
use crate::signal::Metric;

/// Makes the forecaster of a predictive policy, with what is known from before the run.
pub(super) type MakeForecaster<'a> = &'a dyn Fn() -> WithHistory;

/// What all kinds of this module are.
pub(super) struct Engine {
    pool: ActingPool,
    period_seconds: f64,
    needs: Needs,
    trackers: Vec<TargetTracking>,
    steps: Vec<Step>,
    simples: Vec<Simple>,
    predictives: Vec<Predictive>,
    schedule: Option<Schedule>,
    ledger: Ledger,
    /// The pool's own bounds; the group's stay within the upper one.
    pool_bounds: Bounds,
    /// The group's bounds where they are not the pool's, at the start and now.
    own_bounds_initial: Option<Bounds>,
    own_bounds: Option<Bounds>,
    warm_pool: Option<WarmPoolSize>,
    last: Option<Last>,
}

struct Schedule {
    timetable: Timetable,
    settings: Vec<Settings>,
    lateness_seconds: f64,
}

/// How many instances are kept prepared.
#[derive(Clone, Copy, Debug)]
struct WarmPoolSize {
    least: Replicas,
    prepared_max: Option<Replicas>,
}

/// The last decision, for who asks why.
#[derive(Clone, Copy, Debug)]
struct Last {
    now_seconds: f64,
    desired: Replicas,
    wanted: Replicas,
    what: &'static str,
}

/// The size of a warm pool: what is prepared at most (by default the group's most) less what is desired, and no less
/// than the least size.
pub fn warm_pool_size(
    desired: Replicas,
    capacity_max: Replicas,
    prepared_max: Option<Replicas>,
    least: Replicas,
) -> Replicas {
    prepared_max.unwrap_or(capacity_max).saturating_sub(desired).max(least)
}

impl Engine {
    /// A group by these parameters, which were checked. `pace` stands in for the warm-up of target tracking.
    pub(super) fn new(
        parameters: &GroupParameters,
        pace: Option<Pace>,
        make_forecaster: Option<MakeForecaster<'_>>,
        facts: &OperatorFacts,
    ) -> Result<Self, FieldError> {
        let pool = ActingPool::find(parameters.pool.as_deref(), facts)?;
        let decides = parameters.period_seconds;
        let has_policies = parameters.target_tracking.is_some()
            || parameters.step.is_some()
            || parameters.simple.is_some()
            || parameters.scheduled.is_some()
            || parameters.predictive.is_some();
        let (default_tracking, default_steps) = default_policies();
        let default_predictive = [PredictiveParameters {
            mode: PredictiveMode::ForecastAndScale,
            ..PredictiveParameters::default()
        }];
        let tracking = match &parameters.target_tracking {
            Some(policies) => policies.as_slice(),
            None if has_policies => &[],
            None => &default_tracking,
        };
        let steps = match &parameters.step {
            Some(policies) => policies.as_slice(),
            None if has_policies => &[],
            None => &default_steps,
        };
        let predictive = match &parameters.predictive {
            Some(policies) => policies.as_slice(),
            None if has_policies || make_forecaster.is_none() => &[],
            None => &default_predictive,
        };
        let at = |list: &str, index: usize| {
            let path = format!("{list}[{index}]");
            move |error: FieldError| wrong(&format!("{path}.{}", error.field), error.problem)
        };
        let mut longest = 0.0_f64;
        let mut needs = Needs::AGGREGATES;
        let mut warm_up = |seconds: f64, metric: Metric| {
            longest = longest.max(seconds);
            needs.replicas |= seconds > 0.0 && is_average_over_replicas(metric);
            seconds
        };
        let mut trackers = Vec::with_capacity(tracking.len());
        for (index, policy) in tracking.iter().enumerate() {
            let pace = pace.unwrap_or_else(|| Pace::WarmUp {
                seconds: warm_up(parameters.warm_up_seconds(policy.warm_up_seconds), policy.metric),
            });
            let tracker = TargetTracking::new(policy, pace, decides, pool, facts);
            trackers.push(tracker.map_err(at("target_tracking", index))?);
        }
        let mut step_policies = Vec::with_capacity(steps.len());
        for (index, policy) in steps.iter().enumerate() {
            let seconds = warm_up(parameters.warm_up_seconds(policy.warm_up_seconds), policy.metric);
            let step = Step::new(policy, seconds, decides, pool, facts);
            step_policies.push(step.map_err(at("step", index))?);
        }
        let mut simples = Vec::new();
        for (index, policy) in parameters.simple.iter().flatten().enumerate() {
            let cooldown = policy.cooldown_seconds.unwrap_or(parameters.default_cooldown_seconds);
            let simple = Simple::new(policy, cooldown, decides, pool, facts);
            simples.push(simple.map_err(at("simple", index))?);
        }
        let mut predictives = Vec::with_capacity(predictive.len());
        for (index, policy) in predictive.iter().enumerate() {
            let make = make_forecaster.expect("predictive policies without a forecaster were refused");
            let predictive = Predictive::new(policy, make(), decides, pool, facts);
            predictives.push(predictive.map_err(at("predictive", index))?);
        }
        let schedule = match &parameters.scheduled {
            None => None,
            Some(entries) => Some(Schedule {
                timetable: Timetable::new(
                    entries,
                    "scheduled",
                    parameters.time_zone.as_deref(),
                    facts.calendar,
                )?,
                settings: entries.iter().map(Settings::of).collect(),
                lateness_seconds: parameters.schedule_lateness_seconds,
            }),
        };
        let pool_facts = pool.facts(facts);
        let pool_bounds = pool_facts.bounds;
        let sets_bounds = parameters.capacity_min.or(parameters.capacity_max).is_some();
        let own_bounds = Bounds {
            replicas_min: parameters.capacity_min.unwrap_or(pool_bounds.replicas_min),
            replicas_max: parameters.capacity_max.unwrap_or(pool_bounds.replicas_max),
        };
        if own_bounds.replicas_max > pool_bounds.replicas_max {
            let problem = format!(
                "must be at most {}, the pool's limit, but is {}",
                pool_bounds.replicas_max, own_bounds.replicas_max
            );
            return Err(wrong("capacity_max", problem));
        }
        if own_bounds.replicas_min > own_bounds.replicas_max {
            let problem =
                format!("must be at most {}, but is {}", own_bounds.replicas_max, own_bounds.replicas_min);
            return Err(wrong("capacity_min", problem));
        }
        let own_bounds = sets_bounds.then_some(own_bounds);
        Ok(Self {
            pool,
            period_seconds: decides,
            needs,
            trackers,
            steps: step_policies,
            simples,
            predictives,
            schedule,
            ledger: Ledger::new(longest, decides),
            pool_bounds,
            own_bounds_initial: own_bounds,
            own_bounds,
            // A service of tasks has none.
            warm_pool: (pool_facts.warm_max > 0 && pace.is_none()).then_some(WarmPoolSize {
                least: parameters.warm_pool_min,
                prepared_max: parameters.warm_pool_prepared_max,
            }),
            last: None,
        })
    }

    pub(super) fn period_seconds(&self) -> f64 {
        self.period_seconds
    }

    pub(super) fn needs(&self) -> Needs {
        self.needs
    }

    pub(super) fn reset(&mut self, chance: &ControllerStream) {
        self.trackers.iter_mut().for_each(TargetTracking::clear);
        self.steps.iter_mut().for_each(|policy| policy.alarm.series.clear());
        self.simples.iter_mut().for_each(|policy| policy.alarm.series.clear());
        self.predictives.iter_mut().for_each(|policy| policy.reset(chance.clone()));
        if let Some(schedule) = &mut self.schedule {
            schedule.timetable.restart();
        }
        self.ledger.clear();
        self.own_bounds = self.own_bounds_initial;
        self.last = None;
    }

    pub(super) fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let now_seconds = observation.now_seconds;
        let status = self.pool.status(observation);
        self.ledger.see(now_seconds, status);
        self.trackers.iter_mut().for_each(|policy| policy.feed(observation, &self.ledger));
        self.steps.iter_mut().for_each(|policy| policy.feed(observation, &self.ledger));
        self.simples.iter_mut().for_each(|policy| policy.feed(observation, &self.ledger));
        self.predictives.iter_mut().for_each(|policy| policy.advance(observation));

        let scheduled = self.run_schedule(now_seconds);
        self.raise_max(status.bounds);
        let bounds = self.bounds(status.bounds);
        let within = |count: Replicas| count.min(bounds.replicas_max).max(bounds.replicas_min);
        let desired = within(scheduled.unwrap_or(status.declared));
        let group = Now { now_seconds, desired, status, ledger: &self.ledger };

        let (together, has_data) = self.combine(&group);
        let dynamic = together.out.or(together.inwards).unwrap_or(desired);
        let floor = self.predictives.iter().filter_map(Predictive::floor).max();
        let wanted = within(dynamic.max(floor.unwrap_or(0)));
        let what = if wanted > within(dynamic) {
            "forecast"
        } else if wanted > desired {
            "scale out"
        } else if wanted < desired {
            "scale in"
        } else if desired != status.declared {
            if scheduled.is_some() { "schedule" } else { "bounds" }
        } else if together.out.is_some() {
            if within(dynamic) < dynamic { "at the most" } else { "what is needed is on its way" }
        } else if together.inwards.is_some() {
            "at the least"
        } else if has_data {
            "nothing to do"
        } else {
            "insufficient data"
        };
        if wanted != desired {
            for policy in &mut self.trackers {
                policy.scaled(now_seconds, desired, wanted);
            }
        }
        if wanted != status.declared {
            self.ledger.changed(now_seconds);
        }
        self.last = Some(Last { now_seconds, desired, wanted, what });

        let target = PoolTarget {
            bounds: self.own_bounds.map(|_| bounds),
            warm: self
                .warm_pool
                .map(|size| warm_pool_size(wanted, bounds.replicas_max, size.prepared_max, size.least)),
            ..PoolTarget::wanted(wanted)
        };
        let mut reason = Reason::new(what).with("desired", f64::from(desired));
        if let Some(metric) = self.leading_metric() {
            reason = reason.with("metric", metric);
        }
        if let Some(floor) = floor {
            reason = reason.with("forecast", f64::from(floor));
        }
        let mut decision = self.pool.decide_target(observation, target, reason);
        if !has_data && wanted == status.declared && scheduled.is_none() && floor.is_none() {
            decision.basis = Basis::Held;
        }
        decision
    }

    /// The bounds in force.
    fn bounds(&self, of_pool: Bounds) -> Bounds {
        let Some(own) = self.own_bounds else { return of_pool };
        let replicas_max = own.replicas_max.min(self.pool_bounds.replicas_max);
        // Two actions may set bounds that cross; then the upper one gives way, since the lower one is what keeps the
        // service up.
        let replicas_min = own.replicas_min.min(self.pool_bounds.replicas_max);
        Bounds { replicas_min, replicas_max: replicas_max.max(replicas_min) }
    }

    /// Puts scheduled actions into force, and gives the desired capacity that the last of them set.
    fn run_schedule(&mut self, now_seconds: f64) -> Option<Replicas> {
        let schedule = self.schedule.as_mut()?;
        let mut due = Settings::default();
        let settings = &schedule.settings;
        schedule
            .timetable
            .advance(now_seconds - schedule.lateness_seconds, |index| due.apply(settings[index]));
        if due.replicas_min.or(due.replicas_max).is_some() {
            let bounds = self.own_bounds.unwrap_or(self.pool_bounds);
            self.own_bounds = Some(Bounds {
                replicas_min: due.replicas_min.unwrap_or(bounds.replicas_min),
                replicas_max: due.replicas_max.unwrap_or(bounds.replicas_max),
            });
        }
        due.wanted
    }

    /// Lets a forecast raise the group's most.
    fn raise_max(&mut self, of_pool: Bounds) {
        let bounds = self.own_bounds.unwrap_or(of_pool);
        let raised =
            self.predictives.iter().map(|policy| policy.raised_max(bounds.replicas_max)).max().unwrap_or(0);
        if raised > bounds.replicas_max {
            self.own_bounds = Some(Bounds { replicas_max: raised, ..bounds });
        }
    }

    /// What the dynamic policies want together, and whether any of them has data.
    fn combine(&self, group: &Now<'_>) -> (Together, bool) {
        let mut together = Together { n_with_data: 0, out: None, inwards: None };
        let mut all_in = true;
        let mut tracking_in = None;
        let mut any_fresh_in = false;
        for policy in &self.trackers {
            let proposal = policy.propose(group);
            let is_fresh = policy.series.is_fresh();
            if let Proposal::In(count) = proposal {
                tracking_in = tracking_in.max(Some(count));
                any_fresh_in |= is_fresh;
                together.n_with_data += 1;
            } else {
                all_in &= !policy.may_scale_in();
                together.add(proposal, is_fresh);
            }
        }
        for policy in &self.steps {
            together.add(policy.propose(group), policy.alarm.series.is_fresh());
        }
        for policy in &self.simples {
            together.add(policy.propose(group), policy.alarm.series.is_fresh());
        }
        if all_in && any_fresh_in {
            together.inwards = together.inwards.max(tracking_in);
        }
        let has_alarms = !(self.trackers.is_empty() && self.steps.is_empty() && self.simples.is_empty());
        let has_data = together.n_with_data > 0 || !has_alarms;
        (together, has_data)
    }

    /// The newest datapoint of the first policy.
    fn leading_metric(&self) -> Option<f64> {
        let tracked = self.trackers.first().map(|policy| &policy.series);
        let stepped = self.steps.first().map(|policy| &policy.alarm.series);
        let simple = self.simples.first().map(|policy| &policy.alarm.series);
        tracked.or(stepped).or(simple)?.newest()
    }

    pub(super) fn explain(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let Some(last) = self.last else { return writeln!(out, "no decision yet") };
        writeln!(out, "{}: desired {}, wanted {}", last.what, last.desired, last.wanted)?;
        for (index, policy) in self.trackers.iter().enumerate() {
            let (high, low) = policy.alarms();
            write!(out, "target_tracking[{index}]: ")?;
            write_metric(out, policy.series.newest())?;
            writeln!(out, ", target {}, high {}, low {}", policy.target, name(high), name(low))?;
        }
        for (list, alarms) in [
            ("step", self.steps.iter().map(|policy| &policy.alarm).collect::<Vec<_>>()),
            ("simple", self.simples.iter().map(|policy| &policy.alarm).collect()),
        ] {
            for (index, alarm) in alarms.iter().enumerate() {
                write!(out, "{list}[{index}]: ")?;
                write_metric(out, alarm.series.newest())?;
                writeln!(out, ", threshold {}, {}", alarm.threshold, name(alarm.state()))?;
            }
        }
        let waiting = last.now_seconds - self.ledger.activity_end_seconds();
        if !self.simples.is_empty() && waiting.is_finite() {
            writeln!(out, "last activity ended {waiting:.0} s ago")?;
        }
        for (index, policy) in self.predictives.iter().enumerate() {
            let mode = match policy.mode() {
                PredictiveMode::ForecastOnly => "forecast only",
                PredictiveMode::ForecastAndScale => "forecast and scale",
            };
            match policy.forecast_capacity() {
                Some(capacity) => writeln!(out, "predictive[{index}]: {capacity}, {mode}")?,
                None => writeln!(out, "predictive[{index}]: no forecast yet, {mode}")?,
            }
        }
        Ok(())
    }
}

/// Wishes, put together.
struct Together {
    n_with_data: u32,
    out: Option<Replicas>,
    inwards: Option<Replicas>,
}

impl Together {
    fn add(&mut self, proposal: Proposal, is_fresh: bool) {
        self.n_with_data += u32::from(proposal != Proposal::NoData);
        match proposal {
            // Without a new datapoint nothing new is known: acting again would count the same excess twice.
            Proposal::Out(count) if is_fresh => self.out = self.out.max(Some(count)),
            Proposal::In(count) if is_fresh => self.inwards = self.inwards.max(Some(count)),
            _ => {}
        }
    }
}

/// What a group does of which nothing else is said: it keeps cpu at one half, and does not wait for three minutes where
/// one is far above it: at three quarters it adds a half, as target tracking will, and from nine tenths on, where cpu no
/// longer says how much is missing, as much as there is.
fn default_policies() -> ([TargetTrackingParameters; 1], [StepParameters; 1]) {
    let step = StepParameters {
        metric: Metric::Cpu,
        external: None,
        per_replica: false,
        threshold: 0.75,
        comparison: Comparison::GreaterThanOrEqualToThreshold,
        adjustment_type: AdjustmentType::PercentChangeInCapacity,
        steps: vec![
            StepAdjustment { lower: Some(0.0), upper: Some(0.15), adjustment: 0.5 },
            StepAdjustment { lower: Some(0.15), upper: None, adjustment: 1.0 },
        ],
        min_adjustment_magnitude: 0,
        warm_up_seconds: None,
        metric_period_seconds: 60.0,
        evaluation_periods: 1,
        datapoints_to_alarm: None,
    };
    ([TargetTrackingParameters::default()], [step])
}

fn write_metric(out: &mut dyn fmt::Write, metric: Option<f64>) -> fmt::Result {
    match metric {
        Some(metric) => write!(out, "metric {metric:.3}"),
        None => write!(out, "metric missing"),
    }
}

/// As `CloudWatch` writes it.
fn name(state: AlarmState) -> &'static str {
    match state {
        AlarmState::Ok => "OK",
        AlarmState::Alarm => "ALARM",
        AlarmState::InsufficientData => "INSUFFICIENT_DATA",
    }
}
