//! Knative's pod autoscaler (KPA): concurrency or requests a second over a stable and a panic window, and to zero.
//!
//! Every 2 s: pods = ⌈average / target⌉ within the rates, in panic the larger of both windows' and never fewer
//! ([`decider`]); then bounds, and the slow way to zero ([`to_zero`]). target = utilization · total, total = the slots
//! of a replica (`containerConcurrency`) or the lower `target`.
//!
//! Knative samples its pods and its activator every second into buckets ([`buckets`]). Our sensors scrape every so
//! often, and a scrape's average stands for each second that it covers: the mean is the same, peaks within a scrape
//! are lost. As in Knative a sample counts from when it was received, so between scrapes the windows run out: with
//! scrapes 6 s apart or more the panic window is empty before the next one comes, and panic can start only when one
//! does. A lost value leaves seconds of 0, as a lost sample does there.
//!
//! Attempts waiting in front of no replica count as concurrency: they are what the activator holds and reports. Where
//! nothing is ready and nothing waits, nothing is recorded, as there is nobody to ask; so after a window at zero the
//! first request counts in full. The real activator pokes the autoscaler at once; here the request is seen with the
//! next scrape. The activator's limits and its share of the path are not modelled: excess burst capacity only decides
//! how long zero takes.

pub mod buckets;
pub mod decider;
pub mod to_zero;

use std::fmt;

use serde::{Deserialize, Serialize};
use tidegate_core::locate::FieldError;
use tidegate_core::{Controller, ControllerStream, Decision, Observation, OperatorFacts, Reason, Replicas};

use self::buckets::{Averaging, Buckets};
use self::decider::{Decider, Measured, Scale, Spec};
use self::to_zero::{Limits, ToZero};
use crate::catalog::{About, Parameter, Rule, Search};
use crate::rule::{ActingPool, POOL, not_negative, positive, share, wrong};

/// Knative allows no smaller target.
const TARGET_MIN: f64 = 0.01;

/// What it scales on.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ScalingMetric {
    /// Requests waiting or in service.
    Concurrency,
    /// Requests received a second.
    Rps,
}

/// What can be set.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
pub struct Parameters {
    pub pool: Option<String>,
    pub metric: ScalingMetric,
    pub target: Option<f64>,
    pub target_utilization: f64,
    pub stable_window_seconds: f64,
    pub panic_window_share: f64,
    pub panic_threshold: f64,
    pub averaging: Averaging,
    pub max_scale_up_rate: f64,
    pub max_scale_down_rate: f64,
    pub scale_down_delay_seconds: f64,
    pub activation_scale: Replicas,
    pub initial_scale: Replicas,
    pub min_scale: Replicas,
    pub max_scale: Replicas,
    pub target_burst_capacity: f64,
    pub enable_scale_to_zero: bool,
    pub scale_to_zero_grace_seconds: f64,
    pub pod_retention_seconds: f64,
    pub progress_deadline_seconds: f64,
    pub period_seconds: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            pool: None,
            metric: ScalingMetric::Concurrency,
            target: None,
            target_utilization: 0.7,
            stable_window_seconds: 60.0,
            panic_window_share: 0.1,
            panic_threshold: 2.0,
            averaging: Averaging::Linear,
            max_scale_up_rate: 1000.0,
            max_scale_down_rate: 2.0,
            scale_down_delay_seconds: 0.0,
            activation_scale: 1,
            initial_scale: 0,
            min_scale: 0,
            max_scale: 0,
            target_burst_capacity: 211.0,
            enable_scale_to_zero: true,
            scale_to_zero_grace_seconds: 30.0,
            pod_retention_seconds: 0.0,
            progress_deadline_seconds: 600.0,
            period_seconds: 2.0,
        }
    }
}

/// The controller.
#[derive(Clone, Debug)]
pub struct Knative {
    pool: ActingPool,
    metric: ScalingMetric,
    spec: Spec,
    limits: Limits,
    stable: Buckets,
    panic: Buckets,
    /// Up to where scrapes have been recorded.
    covered_seconds: f64,
    /// End of the newest scrape, and when it was first seen.
    newest_seconds: Option<(f64, f64)>,
    decider: Decider,
    /// None until the first decision.
    to_zero: Option<ToZero>,
    last: Option<(Measured, Scale)>,
    period_seconds: f64,
}

impl Rule for Knative {
    type Parameters = Parameters;

    const ABOUT: About = About {
        kind: "knative",
        summary: "Knative's autoscaler: concurrency or requests a second over a stable and a panic window, and to zero.",
        source: "knative/serving 98e5ef90, pkg/autoscaler, pkg/reconciler/autoscaling/kpa, config-autoscaler",
        parameters: &[
            POOL,
            Parameter::new(
                "metric",
                "",
                "\"concurrency\"",
                "`concurrency` (waiting or in service) or `rps` (received a second).",
            ),
            Parameter::new(
                "target",
                "1 or 1/s",
                "(one replica's slots; 200 with `rps`)",
                "Value that one replica can have; with `concurrency` at most its slots.",
            ),
            Parameter::new("target_utilization", "1", "0.7", "Share of that which it should have.")
                .searched(Search::Linear { low: 0.3, high: 1.0 }),
            Parameter::new(
                "stable_window_seconds",
                "s",
                "60.0",
                "Averaged over this time, 6 to 3600, rounded to whole seconds.",
            )
            .searched(Search::Log { low: 10.0, high: 900.0 }),
            Parameter::new(
                "panic_window_share",
                "1",
                "0.1",
                "Panic window as a share of that, rounded to whole seconds.",
            )
            .searched(Search::Linear { low: 0.05, high: 0.5 }),
            Parameter::new(
                "panic_threshold",
                "1",
                "2.0",
                "Wanted by the panic window over ready at which panic starts, 1.1 to 10.",
            )
            .searched(Search::Linear { low: 1.1, high: 5.0 }),
            Parameter::new(
                "averaging",
                "",
                "\"linear\"",
                "`linear`, or `weighted_exponential` where recent seconds count more.",
            )
            .searched(Search::OneOf(&["linear", "weighted_exponential"])),
            Parameter::new("max_scale_up_rate", "1", "1000.0", "Most wanted over ready."),
            Parameter::new("max_scale_down_rate", "1", "2.0", "Most ready over wanted.")
                .searched(Search::Log { low: 1.1, high: 10.0 }),
            Parameter::new(
                "scale_down_delay_seconds",
                "s",
                "0.0",
                "Scale-in goes no lower than the largest count of this time, up to 3600.",
            )
            .searched(Search::Linear { low: 0.0, high: 900.0 }),
            Parameter::new(
                "activation_scale",
                "replicas",
                "1",
                "Least replicas as soon as there is any load.",
            )
            .searched(Search::Count { low: 1, high: 10 }),
            Parameter::new(
                "initial_scale",
                "replicas",
                "0",
                "Least replicas until so many have been ready once.",
            ),
            Parameter::new("min_scale", "replicas", "0", "Least replicas, beside the pool's own bound."),
            Parameter::new("max_scale", "replicas", "0", "Most replicas; 0 is the pool's own bound."),
            Parameter::new(
                "target_burst_capacity",
                "1",
                "211.0",
                "Burst that should find room without the activator; -1 is unlimited, 0 only at zero.",
            ),
            Parameter::new("enable_scale_to_zero", "", "true", "Whether it may go to zero."),
            Parameter::new(
                "scale_to_zero_grace_seconds",
                "s",
                "30.0",
                "How long the activator must have been in the path before zero.",
            ),
            Parameter::new(
                "pod_retention_seconds",
                "s",
                "0.0",
                "How long the last replica stays after it has become inactive.",
            )
            .searched(Search::Linear { low: 0.0, high: 1800.0 }),
            Parameter::new(
                "progress_deadline_seconds",
                "s",
                "600.0",
                "After this and 10 s an activation without traffic is given up.",
            ),
            Parameter::new("period_seconds", "s", "2.0", "How often it decides."),
        ],
    };

    fn check(parameters: &Parameters) -> Result<(), FieldError> {
        positive(&[
            ("period_seconds", parameters.period_seconds),
            ("progress_deadline_seconds", parameters.progress_deadline_seconds),
        ])?;
        share(&[
            ("target_utilization", parameters.target_utilization),
            ("panic_window_share", parameters.panic_window_share),
        ])?;
        not_negative(&[
            ("scale_to_zero_grace_seconds", parameters.scale_to_zero_grace_seconds),
            ("pod_retention_seconds", parameters.pod_retention_seconds),
        ])?;
        within("stable_window_seconds", parameters.stable_window_seconds, 6.0, 3600.0)?;
        within("panic_threshold", parameters.panic_threshold, 1.1, 10.0)?;
        within("scale_down_delay_seconds", parameters.scale_down_delay_seconds, 0.0, 3600.0)?;
        within("target", parameters.target.unwrap_or(1.0), TARGET_MIN, 1e9)?;
        for (name, rate) in [
            ("max_scale_up_rate", parameters.max_scale_up_rate),
            ("max_scale_down_rate", parameters.max_scale_down_rate),
        ] {
            if !(rate > 1.0 && rate.is_finite()) {
                return Err(wrong(name, format!("must be a number above 1, but is {rate}")));
            }
        }
        let burst = parameters.target_burst_capacity;
        if burst != -1.0 && !(burst >= 0.0 && burst.is_finite()) {
            return Err(wrong("target_burst_capacity", format!("must be -1, 0 or positive, but is {burst}")));
        }
        if parameters.max_scale > 0 && parameters.min_scale > parameters.max_scale {
            let problem = format!(
                "must be at most `max_scale`, which is {}, but is {}",
                parameters.max_scale, parameters.min_scale
            );
            return Err(wrong("min_scale", problem));
        }
        Ok(())
    }

    fn new(facts: &OperatorFacts, parameters: &Parameters) -> Result<Self, FieldError> {
        let pool = ActingPool::find(parameters.pool.as_deref(), facts)?;
        let slots = f64::from(pool.facts(facts).concurrency);
        let total_value = match parameters.metric {
            ScalingMetric::Concurrency => parameters.target.unwrap_or(slots).min(slots),
            ScalingMetric::Rps => parameters.target.unwrap_or(200.0),
        };
        let stable_window = parameters.stable_window_seconds.round();
        let panic_window = (stable_window * parameters.panic_window_share).round().max(1.0);
        Ok(Self {
            pool,
            metric: parameters.metric,
            spec: Spec {
                target_value: (total_value * parameters.target_utilization).max(TARGET_MIN),
                total_value,
                target_burst_capacity: parameters.target_burst_capacity,
                panic_threshold: parameters.panic_threshold,
                max_scale_up_rate: parameters.max_scale_up_rate,
                max_scale_down_rate: parameters.max_scale_down_rate,
                stable_window_seconds: stable_window,
                activation_scale: parameters.activation_scale,
                is_reachable: true,
            },
            limits: Limits {
                scale_min: parameters.min_scale,
                scale_max: parameters.max_scale,
                initial_scale: parameters.initial_scale,
                enable_scale_to_zero: parameters.enable_scale_to_zero,
                stable_window_seconds: stable_window,
                grace_seconds: parameters.scale_to_zero_grace_seconds,
                pod_retention_seconds: parameters.pod_retention_seconds,
                progress_deadline_seconds: parameters.progress_deadline_seconds,
            },
            stable: Buckets::new(stable_window as u32, parameters.averaging),
            panic: Buckets::new(panic_window as u32, parameters.averaging),
            covered_seconds: f64::NEG_INFINITY,
            newest_seconds: None,
            decider: Decider::new(0, 0.0, parameters.scale_down_delay_seconds, parameters.period_seconds),
            to_zero: None,
            last: None,
            period_seconds: parameters.period_seconds,
        })
    }
}

fn within(field: &str, value: f64, least: f64, most: f64) -> Result<(), FieldError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(wrong(field, format!("must be {least} to {most}, but is {value}")))
}

impl Controller for Knative {
    fn period_seconds(&self) -> f64 {
        self.period_seconds
    }

    fn reset(&mut self, _chance: ControllerStream) {
        self.stable.clear();
        self.panic.clear();
        self.covered_seconds = f64::NEG_INFINITY;
        self.newest_seconds = None;
        self.to_zero = None;
        self.last = None;
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let now = observation.now_seconds;
        let status = *self.pool.status(observation);
        if self.to_zero.is_none() {
            self.decider.start(status.ready, now);
        }
        self.feed(observation);
        self.last = self.measure(observation).map(|measured| {
            let scale = self.decider.scale(&self.spec, now, measured);
            (measured, scale)
        });
        let to_zero = self.to_zero.get_or_insert_with(|| ToZero::new(now, status.declared, status.ready));
        let limits = Limits {
            // The pool's own bounds are the revision's as well; a bound of 1 means never to zero.
            scale_min: self.limits.scale_min.max(status.bounds.replicas_min),
            ..self.limits
        };
        let desired = self.last.map(|(_, scale)| scale.desired);
        let excess_burst = self.last.map_or(0.0, |(_, scale)| scale.excess_burst);
        let applied = to_zero.reconcile(&limits, now, status.ready, desired, excess_burst);
        let Some((measured, scale)) = self.last else {
            return match applied {
                Some(wanted) => self.pool.decide(observation, wanted, Reason::new("no measurement yet")),
                // Nothing serves and nothing waits, and a sensor that lives says so: that is no want of data.
                None if to_zero.is_inactive() && self.hears(now) => {
                    self.pool.decide(observation, status.declared, Reason::new("asleep"))
                }
                None => self.pool.hold(observation, "no measurement in the stable window"),
            };
        };
        let what = match applied {
            None => "waits to go to zero",
            Some(0) => "to zero",
            Some(_) if scale.is_panicking => "panic",
            Some(_) => "stable",
        };
        let reason = Reason::new(what)
            .with("stable", measured.stable)
            .with("panic", measured.panic)
            .with("target", self.spec.target_value);
        self.pool.decide(observation, applied.unwrap_or(status.declared), reason)
    }

    fn explain(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let Some((measured, scale)) = self.last else { return writeln!(out, "no measurements") };
        let Spec { target_value, total_value, target_burst_capacity, .. } = self.spec;
        writeln!(
            out,
            "stable {:.3} / {target_value:.3}: {:.3} pods",
            measured.stable,
            measured.stable / target_value
        )?;
        writeln!(
            out,
            "panic {:.3} / {target_value:.3}: {:.3} pods",
            measured.panic,
            measured.panic / target_value
        )?;
        let mode = if scale.is_panicking { "panic" } else { "stable" };
        writeln!(out, "{mode} mode, {} ready: {} wanted", measured.ready, scale.desired)?;
        writeln!(
            out,
            "excess burst capacity {} of {} · {total_value} − {target_burst_capacity}",
            scale.excess_burst, measured.ready
        )
    }
}

impl Knative {
    /// Puts what became visible since the last call into the buckets.
    fn feed(&mut self, observation: &Observation<'_>) {
        let has_pods = observation.pools.iter().any(|pool| pool.ready > 0);
        for scrape in observation.scrapes {
            let at = scrape.at_seconds;
            self.newest_seconds = Some((at, observation.now_seconds));
            // No second twice, and no more than the window holds.
            let from = (at - scrape.window_seconds)
                .max(self.covered_seconds)
                .max(at - self.spec.stable_window_seconds);
            self.covered_seconds = at;
            let value = match self.metric {
                ScalingMetric::Concurrency => scrape.concurrency,
                ScalingMetric::Rps => scrape.requests_per_second,
            };
            let Some(value) = value.filter(|value| value.is_finite()) else { continue };
            if value <= 0.0 && !has_pods {
                continue;
            }
            let mut second = from.floor() as i64 + 1;
            while ((second - 1) as f64) < at {
                let part = at.min(second as f64) - from.max((second - 1) as f64);
                self.stable.record(second, value * part);
                self.panic.record(second, value * part);
                second += 1;
            }
        }
    }

    /// The averages as they stand, less what the other pools take; none if nothing came for a stable window.
    fn measure(&self, observation: &Observation<'_>) -> Option<Measured> {
        let (newest, seen) = self.newest_seconds?;
        // A sample counts from when it was received.
        let second = (newest + (observation.now_seconds - seen)).ceil() as i64;
        if self.stable.is_empty(second) {
            return None;
        }
        let others: f64 = self.pool.others(observation).map(|(_, pool)| f64::from(pool.declared)).sum();
        let rest = |value: f64| (value - others * self.spec.target_value).max(0.0);
        Some(Measured {
            stable: rest(self.stable.average(second)),
            panic: rest(self.panic.average(second)),
            ready: self.pool.status(observation).ready,
        })
    }

    /// Whether a scrape came within a stable window.
    fn hears(&self, now_seconds: f64) -> bool {
        self.newest_seconds.is_some_and(|(_, seen)| now_seconds - seen < self.spec.stable_window_seconds)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use tidegate_core::{Bounds, OperatorFacts, Scrape};

    use crate::testing::{self, Desk};

    /// One pool of 10 slots (target 7) that may go to zero, scraped every second.
    fn facts() -> OperatorFacts {
        let mut facts = testing::facts();
        facts.scrape_seconds = 1.0;
        facts.pools[0].concurrency = 10;
        facts.pools[0].bounds = Bounds { replicas_min: 0, replicas_max: 50 };
        facts.pools[0].replicas_initial = 1;
        facts
    }

    /// What is wanted after each change, as `second:count`, for a concurrency that changes at given seconds.
    fn check(parameters: &str, facts: &OperatorFacts, load: &[(f64, f64)], until: f64, expected: &Expect) {
        let mut controller = testing::controller("knative", parameters, facts);
        let mut desk = Desk { startup_seconds: 4.0, ..Desk::new(facts) };
        let mut changes = Vec::new();
        let mut wanted = u32::MAX;
        while desk.now_seconds < until {
            let now = desk.now_seconds;
            if now > 0.0 && now % facts.scrape_seconds == 0.0 {
                let current =
                    load.iter().rev().find(|(from, _)| *from < now).map_or(0.0, |(_, value)| *value);
                desk.see(Scrape { concurrency: Some(current), ..Scrape::default() });
            }
            if now % 2.0 == 0.0 {
                let decision = desk.decide(&mut *controller);
                let target = decision.targets[0].wanted;
                if target != wanted {
                    changes.push(format!("{now}:{target}"));
                    wanted = target;
                }
            }
            desk.wait(1.0);
        }
        expected.assert_eq(&changes.join(" "));
    }

    /// 6 of 7 keep one pod; 70 need 10: in the panic window one second of 70 among six of 6 is seen at once.
    #[test]
    fn a_surge_is_met_by_panic_and_a_lull_after_a_stable_window() {
        check(
            "",
            &facts(),
            &[(0.0, 6.0), (100.0, 70.0), (160.0, 6.0)],
            300.0,
            &expect!["0:1 102:4 104:7 106:10 168:9 174:8 180:7 188:6 194:5 200:4 206:3 214:2 220:1"],
        );
    }

    #[test]
    fn it_sleeps_and_wakes() {
        check(
            "",
            &facts(),
            &[(0.0, 6.0), (20.0, 0.0), (300.0, 20.0), (310.0, 0.0)],
            600.0,
            &expect!["0:1 82:0 302:3 366:1 372:0"],
        );
        check(
            "target_burst_capacity = 0",
            &facts(),
            &[(0.0, 6.0), (20.0, 0.0)],
            600.0,
            &expect!["0:1 110:0"],
        );
    }

    #[test]
    fn sparse_scrapes_still_work() {
        let sparse = OperatorFacts { scrape_seconds: 15.0, ..facts() };
        check(
            "",
            &sparse,
            &[(0.0, 6.0), (90.0, 70.0), (180.0, 6.0)],
            400.0,
            &expect!["0:1 106:10 196:8 210:6 216:5 226:4 228:3 236:2 240:1"],
        );
    }

    #[test]
    fn without_data_what_is_declared_stays() {
        let facts = facts();
        let mut controller = testing::controller("knative", "", &facts);
        let mut desk = Desk::new(&facts);
        assert_eq!(testing::wanted(&mut *controller, &mut desk, &[Scrape::default(); 3]), "1? 1? 1?");
    }
}
