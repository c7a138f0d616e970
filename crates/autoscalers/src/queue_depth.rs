//! As many replicas as the backlog needs: so much backlog for each, or all of it drained in a given time.
//!
//! n = max(⌈B / b⌉, ⌈Q S / (L c)⌉, ⌈(λ + Q/T) S / c⌉) − other pools' replicas
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | B | backlog: attempts waiting, and those in service too if `counts_in_service` | 1 |
//! | b | `backlog_per_replica` | 1 |
//! | Q | attempts waiting | 1 |
//! | λ | attempts received | 1/s |
//! | L | `acceptable_latency_seconds` | s |
//! | T | `drain_seconds` | s |
//! | S | service time, measured as busy slots over throughput | s |
//! | c | slots of one replica | 1 |
//!
//! The first term is what KEDA does (`ceil(value / target)`, an average value of an external metric). Whether requests in
//! service count depends on the queue: `RabbitMQ`'s and Kafka's triggers count what is not yet acknowledged, SQS's only
//! what waits. If only the waiting count, an empty queue asks for nobody, however busy the fleet is. The second is AWS's
//! acceptable backlog per instance, latency over the time that an instance takes for a message (EC2 Auto Scaling user
//! guide, "Scaling based on Amazon SQS": 10 s / 0.1 s = 100; 1500 messages want 15 instances), with that time, S / c,
//! measured here and not given. It asks for nobody when nothing waits, as there. The third keeps up with the arrivals
//! and works the backlog off in time T. A count is an absolute target, so what is starting is part of it. Scale-in is
//! held back to the largest count of the last `scale_in_window_seconds`, as the Kubernetes autoscaler behind KEDA does.
//!
//! **Zero.** Where the least fleet is none, an empty queue means no replicas, and the first attempt that waits brings one
//! back; before the service time was ever measured that one is woken as by an activator, and the decision is a fallback.

use serde::{Deserialize, Serialize};
use tidegate_core::locate::FieldError;
use tidegate_core::service_time::{HALF_LIFE_SECONDS, ServiceTime};
use tidegate_core::{Controller, ControllerStream, Decision, Observation, OperatorFacts, Reason};

use crate::catalog::{About, Parameter, Rule, Search};
use crate::rule::{
    ActingPool, POOL, SCALE_IN_WINDOW, SERVICE_HALF_LIFE, STALE, Stabiliser, Window, is_at_zero, positive,
    remembered, round_up,
};
use crate::signal::{Metric, Signal};

/// What can be set.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
pub struct Parameters {
    pub pool: Option<String>,
    pub backlog_per_replica: Option<f64>,
    pub counts_in_service: bool,
    pub external: Option<String>,
    pub acceptable_latency_seconds: Option<f64>,
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
            external: None,
            acceptable_latency_seconds: None,
            drain_seconds: None,
            service_half_life_seconds: HALF_LIFE_SECONDS,
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
    acceptable_latency_seconds: Option<f64>,
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
            POOL,
            Parameter::new(
                "backlog_per_replica",
                "1",
                "(one replica's slots, if neither of the times below is set; else not used)",
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
                "external",
                "",
                "(not used)",
                "External metric that is taken for the backlog and for what waits.",
            ),
            Parameter::new(
                "acceptable_latency_seconds",
                "s",
                "(not used)",
                "Time in which a replica should be through with its share of what waits; the larger demand counts.",
            ),
            Parameter::new(
                "drain_seconds",
                "s",
                "(not used)",
                "Time in which the queue should be gone while arrivals go on; the larger demand counts.",
            )
            .searched(Search::Log { low: 10.0, high: 3600.0 }),
            SERVICE_HALF_LIFE,
            SCALE_IN_WINDOW,
            Parameter::new(
                "window_seconds",
                "s",
                "0.0",
                "Backlog, queue and rate are averaged over this time; 0 takes the newest scrape.",
            )
            .searched(Search::Log { low: 15.0, high: 600.0 }),
            STALE,
            Parameter::new("period_seconds", "s", "15.0", "How often it decides.")
                .searched(Search::Log { low: 15.0, high: 120.0 }),
        ],
    };

    fn check(parameters: &Parameters) -> Result<(), FieldError> {
        for (name, value) in [
            ("backlog_per_replica", parameters.backlog_per_replica),
            ("acceptable_latency_seconds", parameters.acceptable_latency_seconds),
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
        let (backlog, queue) = match &parameters.external {
            None => (watch(in_backlog), watch(Metric::QueueLength)),
            Some(name) => {
                let queue = (Signal::external(name, pool, facts)?, window.clone());
                (queue.clone(), queue)
            }
        };
        let needs_default =
            parameters.drain_seconds.is_none() && parameters.acceptable_latency_seconds.is_none();
        Ok(Self {
            pool,
            backlog,
            queue,
            rate: watch(Metric::RequestsPerSecond),
            service_time: ServiceTime::new(parameters.service_half_life_seconds, facts),
            stabiliser: Stabiliser::new(parameters.scale_in_window_seconds, parameters.period_seconds),
            backlog_per_replica: parameters.backlog_per_replica.or(needs_default.then_some(slots)),
            acceptable_latency_seconds: parameters.acceptable_latency_seconds,
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
        let (rate, waiting) = (self.rate.1.mean(now), self.queue.1.mean(now));
        // So many slots busy with this much work a second, less what the other pools have.
        let staffed = |requests_per_second: f64| {
            let slots = requests_per_second * self.service_time.seconds()?;
            let others: f64 = self
                .pool
                .others(observation)
                .map(|(index, pool)| f64::from(pool.declared) * self.service_time.concurrency(index))
                .sum();
            Some(round_up((slots - others) / self.service_time.concurrency(self.pool.index())))
        };
        let by_latency = self.acceptable_latency_seconds.and_then(|seconds| staffed(waiting? / seconds));
        let by_drain = self.drain_seconds.and_then(|seconds| staffed(rate? + waiting? / seconds));
        let somebody_waits = waiting.is_some_and(|waiting| waiting > 0.0);
        let is_asleep = is_at_zero(observation);
        // The larger of those that can be told; an `Option` that is none is less than any other.
        let Some(mut needed) = by_backlog.max(by_latency).max(by_drain) else {
            if is_asleep && (somebody_waits || rate.is_some_and(|rate| rate > 0.0)) {
                return self.pool.activate(observation);
            }
            return self.pool.hold(observation, "no backlog or service time yet");
        };
        if is_asleep && somebody_waits {
            needed = needed.max(1);
        }
        let declared = self.pool.status(observation).declared;
        let wanted = self.stabiliser.settle(now, declared, needed);
        let what = if by_drain > by_backlog.max(by_latency) {
            "time to drain"
        } else if by_latency > by_backlog {
            "acceptable latency"
        } else {
            "backlog"
        };
        let reason = Reason::new(what)
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

    /// The example of the AWS user guide: 1500 messages, 0.1 s each, 10 s acceptable: 15 instances. An instance of 4
    /// slots takes 0.1 s a message where one slot takes 0.4 s.
    #[test]
    fn the_acceptable_backlog_is_that_of_aws() {
        let calm = Scrape {
            requests_per_second: Some(24.0),
            errors_per_second: Some(0.0),
            cpu_utilization: Some(0.6),
            ..backlog(0.0, 9.6)
        };
        let jam = |waiting| Scrape { queue_length: Some(waiting), cpu_utilization: None, ..calm };
        let at_once = "scale_in_window_seconds = 0\nacceptable_latency_seconds = 10";
        check(at_once, &[calm, jam(1500.0), jam(1501.0), jam(100.0)], &expect!["1 15 16 1"]);
        check(&format!("{at_once}\ndrain_seconds = 50"), &[calm, jam(1500.0)], &expect!["3 15"]);
        check(&format!("{at_once}\nbacklog_per_replica = 3"), &[calm], &expect!["4"]);
    }

    #[test]
    fn it_goes_to_zero_and_comes_back() {
        let mut facts = testing::facts();
        (facts.pools[0].bounds.replicas_min, facts.pools[0].replicas_initial) = (0, 0);
        for (parameters, expected) in [
            ("", expect!["0 2 0 1"]),
            ("drain_seconds = 60", expect!["0? 1 1? 1?"]),
            ("counts_in_service = false\nbacklog_per_replica = 10", expect!["0 1 0 1"]),
        ] {
            let parameters = format!("scale_in_window_seconds = 0\n{parameters}");
            let mut controller = testing::controller("queue_depth", &parameters, &facts);
            let series = [backlog(0.0, 0.0), backlog(7.0, 0.0), backlog(0.0, 0.0), backlog(1.0, 0.0)];
            expected.assert_eq(&wanted(&mut *controller, &mut Desk::new(&facts), &series));
        }
    }

    #[test]
    fn the_backlog_can_be_an_external_metric() {
        let mut facts = testing::facts();
        facts.external_metrics = vec!["other".into(), "jobs".into()];
        let text = "external = \"jobs\"\nbacklog_per_replica = 10\nscale_in_window_seconds = 0";
        let mut controller = testing::controller("queue_depth", text, &facts);
        let mut desk = Desk::new(&facts);
        let sample =
            |metric, value| tidegate_core::observation::ExternalSample { metric, at_seconds: 0.0, value };
        desk.external = vec![sample(0, Some(900.0)), sample(1, Some(71.0)), sample(1, None)];
        desk.see(backlog(500.0, 16.0));
        assert_eq!(desk.decide(&mut *controller).targets[0].wanted, 8);
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
