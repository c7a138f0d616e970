//! As many replicas as the backlog needs: so much backlog for each, or all of it drained in a given time.
//!
//! n = max(⌈B / b⌉, ⌈(λ + Q/T) S / c⌉) − other pools' replicas
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | B | backlog: attempts waiting, and those in service too if `counts_in_service` | 1 |
//! | b | `backlog_per_replica` | 1 |
//! | Q | attempts waiting | 1 |
//! | λ | attempts received | 1/s |
//! | T | `drain_seconds` | s |
//! | S | service time, measured as busy slots over throughput | s |
//! | c | slots of one replica | 1 |
//!
//! The first term is what KEDA and AWS's backlog per instance do (`ceil(value / target)`, an average value of an
//! external metric). Whether requests in service count depends on the queue: `RabbitMQ`'s and Kafka's triggers count
//! what is not yet acknowledged, SQS's only what waits. If only the waiting count, an empty queue asks for nobody,
//! however busy the fleet is. The second term keeps up with the arrivals and works the backlog off in time T. A count
//! is an absolute target, so what is starting is part of it. Scale-in is held back to the largest count of the last
//! `scale_in_window_seconds`, as the Kubernetes autoscaler behind KEDA does.

use serde::{Deserialize, Serialize};
use tidegate_core::locate::FieldError;
use tidegate_core::{Controller, ControllerStream, Decision, Observation, OperatorFacts, Reason};

use crate::catalog::{About, Parameter, Rule, Search};
use crate::rule::{ActingPool, Stabiliser, Window, positive, remembered, round_up};
use crate::service_time::ServiceTime;
use crate::signal::{Metric, Signal};

/// What can be set.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
pub struct Parameters {
    pub pool: Option<String>,
    pub backlog_per_replica: Option<f64>,
    pub counts_in_service: bool,
    pub drain_seconds: Option<f64>,
    pub service_half_life_seconds: f64,
    pub scale_in_window_seconds: f64,
    pub window_seconds: f64,
    pub stale_seconds: f64,
    pub period_seconds: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            pool: None,
            backlog_per_replica: None,
            counts_in_service: true,
            drain_seconds: None,
            service_half_life_seconds: 1800.0,
            scale_in_window_seconds: 300.0,
            window_seconds: 0.0,
            stale_seconds: 300.0,
            period_seconds: 15.0,
        }
    }
}

/// The controller.
#[derive(Clone, Debug)]
pub struct QueueDepth {
    pool: ActingPool,
    backlog: (Signal, Window),
    queue: (Signal, Window),
    rate: (Signal, Window),
    service_time: ServiceTime,
    stabiliser: Stabiliser,
    backlog_per_replica: Option<f64>,
    drain_seconds: Option<f64>,
    period_seconds: f64,
}

impl Rule for QueueDepth {
    type Parameters = Parameters;

    const ABOUT: About = About {
        kind: "queue_depth",
        summary: "As many replicas as the backlog needs: so much backlog for each, or all of it drained in a given time.",
        source: "source document, batch strategy (queue depth); KEDA queue triggers, AWS backlog per instance",
        parameters: &[
            Parameter::new("pool", "", "(the first pool)", "The pool it acts on; the others keep theirs."),
            Parameter::new(
                "backlog_per_replica",
                "1",
                "(one replica's slots, if no `drain_seconds`; else not used)",
                "Backlog that one replica should have.",
            )
            .searched(Search::Log { low: 0.3, high: 30.0 }),
            Parameter::new(
                "counts_in_service",
                "",
                "true",
                "Whether what is in service belongs to the backlog.",
            )
            .searched(Search::Switch),
            Parameter::new(
                "drain_seconds",
                "s",
                "(not used)",
                "Time in which the queue should be gone while arrivals go on; the larger demand counts.",
            )
            .searched(Search::Log { low: 10.0, high: 3600.0 }),
            Parameter::new(
                "service_half_life_seconds",
                "s",
                "1800.0",
                "Half-life of a sample in the measured service time.",
            )
            .searched(Search::Log { low: 300.0, high: 7200.0 }),
            Parameter::new(
                "scale_in_window_seconds",
                "s",
                "300.0",
                "Scale-in goes no lower than the largest demand of this time.",
            )
            .searched(Search::Log { low: 15.0, high: 1800.0 }),
            Parameter::new(
                "window_seconds",
                "s",
                "0.0",
                "Backlog, queue and rate are averaged over this time; 0 takes the newest scrape.",
            )
            .searched(Search::Log { low: 15.0, high: 600.0 }),
            Parameter::new("stale_seconds", "s", "300.0", "Without a scrape younger than this it holds."),
            Parameter::new("period_seconds", "s", "15.0", "How often it decides.")
                .searched(Search::Log { low: 15.0, high: 120.0 }),
        ],
    };

    fn check(parameters: &Parameters) -> Result<(), FieldError> {
        for (name, value) in [
            ("backlog_per_replica", parameters.backlog_per_replica),
            ("drain_seconds", parameters.drain_seconds),
        ] {
            positive(&[(name, value.unwrap_or(1.0))])?;
        }
        positive(&[
            ("period_seconds", parameters.period_seconds),
            ("stale_seconds", parameters.stale_seconds),
            ("service_half_life_seconds", parameters.service_half_life_seconds),
        ])?;
        remembered(&[
            ("window_seconds", parameters.window_seconds),
            ("scale_in_window_seconds", parameters.scale_in_window_seconds),
        ])
    }

    fn new(facts: &OperatorFacts, parameters: &Parameters) -> Result<Self, FieldError> {
        let pool = ActingPool::find(parameters.pool.as_deref(), facts)?;
        let window = Window::new(parameters.window_seconds, parameters.stale_seconds, facts.scrape_seconds);
        let watch = |metric| (Signal::new(metric, pool, facts), window.clone());
        let slots = f64::from(pool.facts(facts).concurrency);
        let in_backlog = if parameters.counts_in_service { Metric::Concurrency } else { Metric::QueueLength };
        Ok(Self {
            pool,
            backlog: watch(in_backlog),
            queue: watch(Metric::QueueLength),
            rate: watch(Metric::RequestsPerSecond),
            service_time: ServiceTime::new(parameters.service_half_life_seconds, facts),
            stabiliser: Stabiliser::new(parameters.scale_in_window_seconds, parameters.period_seconds),
            backlog_per_replica: parameters.backlog_per_replica.or(match parameters.drain_seconds {
                None => Some(slots),
                Some(_) => None,
            }),
            drain_seconds: parameters.drain_seconds,
            period_seconds: parameters.period_seconds,
        })
    }
}

impl Controller for QueueDepth {
    fn period_seconds(&self) -> f64 {
        self.period_seconds
    }

    fn reset(&mut self, _chance: ControllerStream) {
        for (_, window) in [&mut self.backlog, &mut self.queue, &mut self.rate] {
            window.clear();
        }
        self.service_time.clear();
        self.stabiliser.clear();
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        for (signal, window) in [&mut self.backlog, &mut self.queue, &mut self.rate] {
            signal.feed(observation, window);
        }
        self.service_time.feed(observation);
        let now = observation.now_seconds;
        let by_backlog =
            self.backlog_per_replica.zip(self.backlog.1.mean(now)).map(|(per_replica, backlog)| {
                let others: f64 =
                    self.pool.others(observation).map(|(_, pool)| f64::from(pool.declared)).sum();
                round_up(backlog / per_replica - others)
            });
        let by_drain = self.drain_seconds.and_then(|seconds| {
            let rate = self.rate.1.mean(now)? + self.queue.1.mean(now)? / seconds;
            let slots = rate * self.service_time.seconds()?;
            let others: f64 = self
                .pool
                .others(observation)
                .map(|(index, pool)| f64::from(pool.declared) * self.service_time.concurrency(index))
                .sum();
            Some(round_up((slots - others) / self.service_time.concurrency(self.pool.index())))
        });
        // The larger of those that can be told; an `Option` that is none is less than any other.
        let Some(needed) = by_backlog.max(by_drain) else {
            return self.pool.hold(observation, "no backlog or service time yet");
        };
        let declared = self.pool.status(observation).declared;
        let wanted = self.stabiliser.settle(now, declared, needed);
        let reason = Reason::new(if by_drain > by_backlog { "time to drain" } else { "backlog" })
            .with("backlog", self.backlog.1.mean(now).unwrap_or(f64::NAN))
            .with("needed", f64::from(needed));
        self.pool.decide(observation, wanted, reason)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use tidegate_core::Scrape;

    use crate::testing::{self, Desk, wanted};

    fn check(parameters: &str, series: &[Scrape], expected: &Expect) {
        let facts = testing::facts();
        let mut controller = testing::controller("queue_depth", parameters, &facts);
        expected.assert_eq(&wanted(&mut *controller, &mut Desk::new(&facts), series));
    }

    fn backlog(waiting: f64, in_service: f64) -> Scrape {
        Scrape { queue_length: Some(waiting), concurrency: Some(waiting + in_service), ..Scrape::default() }
    }

    #[test]
    fn each_replica_gets_its_backlog() {
        let at_once = "scale_in_window_seconds = 0\n";
        let series =
            [(0.0, 16.0), (0.0, 17.0), (23.0, 16.0), (0.0, 0.0), (1e9, 0.0)].map(|(q, s)| backlog(q, s));
        check(at_once, &series, &expect!["4 5 10 1 20"]);
        check(&format!("{at_once}backlog_per_replica = 10"), &series, &expect!["2 2 4 1 20"]);
        check(
            &format!("{at_once}backlog_per_replica = 10\ncounts_in_service = false"),
            &series,
            &expect!["1 1 3 1 20"],
        );
    }

    #[test]
    fn scale_in_waits_for_the_whole_window() {
        let mut series = vec![backlog(40.0, 16.0)];
        series.resize(7, backlog(0.0, 8.0));
        check("scale_in_window_seconds = 60", &series, &expect!["14 14 14 14 2 2 2"]);
    }

    #[test]
    fn without_data_what_is_declared_stays() {
        let series = [Scrape::default(), backlog(40.0, 16.0), Scrape::default(), Scrape::default()];
        check("stale_seconds = 15", &series, &expect!["4? 14 14 14?"]);
    }

    /// 4 replicas of 4 slots at 75 %, 24 requests a second: the service time is 0.5 s. 24/s and 240 waiting, gone in
    /// 60 s, need (24 + 4) · 0.5 = 14 slots; gone in 10 s, (24 + 24) · 0.5 = 24 slots.
    #[test]
    fn the_queue_is_drained_in_time() {
        let calm = Scrape {
            requests_per_second: Some(24.0),
            errors_per_second: Some(0.0),
            cpu_utilization: Some(0.75),
            ..backlog(0.0, 12.0)
        };
        let jam = Scrape { queue_length: Some(240.0), cpu_utilization: None, ..calm };
        let at_once = "scale_in_window_seconds = 0\n";
        check(&format!("{at_once}drain_seconds = 60"), &[calm, jam], &expect!["3 4"]);
        check(&format!("{at_once}drain_seconds = 10"), &[calm, jam], &expect!["3 6"]);
        check(&format!("{at_once}drain_seconds = 10"), &[jam], &expect!["4?"]);
    }

    #[test]
    fn what_other_pools_have_is_not_asked_for_again() {
        let facts = testing::facts_of_two_pools();
        let mut controller = testing::controller("queue_depth", "pool = \"spot\"", &facts);
        let mut desk = Desk::new(&facts);
        desk.pools[0].declared = 5;
        desk.see(backlog(20.0, 12.0));
        let counts: Vec<_> =
            desk.decide(&mut *controller).targets.iter().map(|target| target.wanted).collect();
        // 32 in 4s are 8, of which the first pool has 5; but the window still holds the 4 that were declared.
        assert_eq!(counts, [5, 4]);
    }
}
