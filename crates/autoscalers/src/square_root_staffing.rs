//! Square-root staffing on the measured rate: the offered load, and a safety margin of its square root.
//!
//! n = ⌈(a + β √a − s) / c⌉, a = λ S
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | λ | attempts received, averaged over `window_seconds` | 1/s |
//! | S | service time, measured as busy slots over throughput | s |
//! | a | offered load: slots that would be busy if there were enough | 1 |
//! | β | safety margin, from the wanted probability that a request has to wait | 1 |
//! | s | slots of the other pools | 1 |
//! | c | slots of one replica | 1 |
//!
//! β solves P(W > 0) = [1 + β Φ(β)/φ(β)]⁻¹ (Halfin and Whitt, "Heavy-traffic limits for queues with many exponential
//! servers", Operations Research 29, 1981). It is the limit for many exponential servers behind one queue; with split
//! queues or a start-up that takes long in relation to the load's changes the margin must be wider. The source
//! document has no such rule; it is what queueing theory would do with a reactive sensor. A count is an absolute
//! target, so what is starting is part of it. Scale-in is held back to the largest count of the last
//! `scale_in_window_seconds`.
//!
//! **Zero.** Where the least fleet is none, no load means no replicas. As soon as an attempt is received or waits, the
//! formula gives one at least; before the service time was ever measured, an attempt before an empty service wakes one
//! replica, as an activator does, and that decision is a fallback. At zero the rate is that of the newest scrapes alone,
//! not of the silence before them.

use serde::{Deserialize, Serialize};
use statrs::function::erf::erfc;
use tidegate_core::locate::FieldError;
use tidegate_core::service_time::{HALF_LIFE_SECONDS, ServiceTime};
use tidegate_core::{Controller, ControllerStream, Decision, Observation, OperatorFacts, Reason};

use crate::catalog::{About, Parameter, Rule, Search};
use crate::rule::{
    ActingPool, POOL, SCALE_IN_WINDOW, SERVICE_HALF_LIFE, STALE, Stabiliser, Window, is_at_zero, positive,
    remembered, round_up, wrong,
};
use crate::signal::{Metric, Signal};

/// P(W > 0) in the limit of many servers, as a function of the margin β ≥ 0 (Halfin and Whitt 1981, eq. 2.3).
pub fn delay_probability(margin: f64) -> f64 {
    let density = (-0.5 * margin * margin).exp() / std::f64::consts::TAU.sqrt();
    let below = 0.5 * erfc(-margin / std::f64::consts::SQRT_2);
    density / (density + margin * below)
}

/// The margin β at which a request waits with this probability: the inverse of [`delay_probability`], by bisection.
///
/// # Panics
/// If the probability is not strictly between 0 and 1.
pub fn margin(delay_probability_wanted: f64) -> f64 {
    assert!(
        delay_probability_wanted > 0.0 && delay_probability_wanted < 1.0,
        "a probability of waiting is between 0 and 1, not {delay_probability_wanted}"
    );
    // At 38 the normal density leaves the range of f64, so no smaller probability can be asked for.
    let (mut low, mut high) = (0.0, 38.0);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if delay_probability(middle) > delay_probability_wanted { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// Servers for an offered load a with margin β: a + β √a, not rounded.
pub fn servers(offered_load: f64, margin: f64) -> f64 {
    offered_load + margin * offered_load.sqrt()
}

/// What can be set.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
pub struct Parameters {
    pub pool: Option<String>,
    pub delay_probability: f64,
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
            delay_probability: 0.1,
            service_half_life_seconds: HALF_LIFE_SECONDS,
            scale_in_window_seconds: 300.0,
            window_seconds: 60.0,
            stale_seconds: 300.0,
            period_seconds: 15.0,
        }
    }
}

/// The controller.
#[derive(Clone, Debug)]
pub struct SquareRootStaffing {
    pool: ActingPool,
    rate: (Signal, Window),
    queue: (Signal, Window),
    service_time: ServiceTime,
    stabiliser: Stabiliser,
    margin: f64,
    period_seconds: f64,
}

impl Rule for SquareRootStaffing {
    type Parameters = Parameters;

    const ABOUT: About = About {
        kind: "square_root_staffing",
        summary: "The measured offered load, and a safety margin of its square root.",
        source: "Halfin and Whitt, Operations Research 29 (1981)",
        parameters: &[
            POOL,
            Parameter::new(
                "delay_probability",
                "1",
                "0.1",
                "Share of requests that may have to wait; gives β.",
            )
            .searched(Search::Log { low: 0.0001, high: 0.9 }),
            SERVICE_HALF_LIFE,
            SCALE_IN_WINDOW,
            Parameter::new("window_seconds", "s", "60.0", "The rate is averaged over this time.")
                .searched(Search::Log { low: 15.0, high: 600.0 }),
            STALE,
            Parameter::new("period_seconds", "s", "15.0", "How often it decides.")
                .searched(Search::Log { low: 15.0, high: 120.0 }),
        ],
    };

    fn check(parameters: &Parameters) -> Result<(), FieldError> {
        let wanted = parameters.delay_probability;
        if !(wanted > 0.0 && wanted < 1.0) {
            return Err(wrong("delay_probability", format!("must be above 0 and below 1, but is {wanted}")));
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
        let newest = Window::new(0.0, parameters.stale_seconds, facts.scrape_seconds);
        Ok(Self {
            pool,
            rate: (Signal::new(Metric::RequestsPerSecond, pool, facts), window),
            queue: (Signal::new(Metric::QueueLength, pool, facts), newest),
            service_time: ServiceTime::new(parameters.service_half_life_seconds, facts),
            stabiliser: Stabiliser::new(parameters.scale_in_window_seconds, parameters.period_seconds),
            margin: margin(parameters.delay_probability),
            period_seconds: parameters.period_seconds,
        })
    }
}

impl Controller for SquareRootStaffing {
    fn period_seconds(&self) -> f64 {
        self.period_seconds
    }

    fn reset(&mut self, _chance: ControllerStream) {
        self.rate.1.clear();
        self.queue.1.clear();
        self.service_time.clear();
        self.stabiliser.clear();
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let is_asleep = is_at_zero(observation);
        if is_asleep && !observation.scrapes.is_empty() {
            // The silence before the first attempt says nothing of those that come now.
            self.rate.1.clear();
        }
        for (signal, window) in [&mut self.rate, &mut self.queue] {
            signal.feed(observation, window);
        }
        self.service_time.feed(observation);
        let rate = self.rate.1.mean(observation.now_seconds);
        let waits = self.queue.1.mean(observation.now_seconds).is_some_and(|queue| queue > 0.0);
        let Some((rate, service_seconds)) = rate.zip(self.service_time.seconds()) else {
            if is_asleep && (waits || rate.is_some_and(|rate| rate > 0.0)) {
                return self.pool.activate(observation);
            }
            return self.pool.hold(observation, "no rate or service time yet");
        };
        let offered_load = rate * service_seconds;
        let others: f64 = self
            .pool
            .others(observation)
            .map(|(index, pool)| f64::from(pool.declared) * self.service_time.concurrency(index))
            .sum();
        let slots = servers(offered_load, self.margin) - others;
        let mut needed = round_up(slots / self.service_time.concurrency(self.pool.index()));
        if is_asleep && waits {
            // They came before the window of the rate.
            needed = needed.max(1);
        }
        let declared = self.pool.status(observation).declared;
        let wanted = self.stabiliser.settle(observation.now_seconds, declared, needed);
        let reason = Reason::new("offered load and its square root")
            .with("offered load", offered_load)
            .with("service time in seconds", service_seconds)
            .with("needed", f64::from(needed));
        self.pool.decide(observation, wanted, reason)
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;
    use tidegate_core::Scrape;

    use super::*;
    use crate::testing::{self, Desk, wanted};

    /// Erlang's C by the recursion of Erlang's B: B(0) = 1, B(n) = a B(n−1) / (n + a B(n−1)).
    fn erlang_c(servers: u32, offered_load: f64) -> f64 {
        let blocked = (1..=servers).fold(1.0, |b, n| offered_load * b / (f64::from(n) + offered_load * b));
        let servers = f64::from(servers);
        servers * blocked / (servers - offered_load * (1.0 - blocked))
    }

    #[test]
    fn erlang_c_is_itself_right() {
        // M/M/1: the utilization; M/M/2 at ρ: 2ρ²/(1+ρ).
        assert_relative_eq!(erlang_c(1, 0.8), 0.8, max_relative = 1e-12);
        assert_relative_eq!(erlang_c(2, 1.5), 2.0 * 0.75 * 0.75 / 1.75, max_relative = 1e-12);
    }

    /// β Φ(β) = φ(β) has the root 0.506054; there half of the requests wait. Where nobody may wait or everybody
    /// must, the margin is infinite or nothing.
    #[test]
    fn the_margin_is_that_of_halfin_and_whitt() {
        assert_relative_eq!(delay_probability(0.0), 1.0);
        assert_relative_eq!(margin(0.5), 0.506_054, max_relative = 1e-5);
        let normal_cdf_1 = 0.841_344_746_068_543;
        let normal_pdf_1 = 0.241_970_724_519_143;
        let at_one = 1.0 / (1.0 + normal_cdf_1 / normal_pdf_1);
        assert_relative_eq!(delay_probability(1.0), at_one, max_relative = 1e-10);
        assert_relative_eq!(margin(at_one), 1.0, max_relative = 1e-10);
        assert!(margin(1e-300).is_finite() && margin(1.0 - 1e-12) < 1e-9);
    }

    proptest! {
        #[test]
        fn margin_and_probability_are_inverses(probability in 1e-6..0.999_f64) {
            let again = delay_probability(margin(probability));
            prop_assert!((again - probability).abs() <= 1e-9 * probability, "{probability} became {again}");
        }
    }

    /// With n servers and load a = n − β√a, Erlang's C tends to the limit as 1/√n.
    #[test]
    fn erlang_c_tends_to_the_limit() {
        for probability in [0.05, 0.2, 0.5, 0.8] {
            let beta = margin(probability);
            let gap = |n: u32| {
                let root = f64::midpoint(-beta, (beta * beta + 4.0 * f64::from(n)).sqrt());
                (erlang_c(n, root * root) - probability).abs()
            };
            let (few, many) = (gap(25), gap(2500));
            assert!(few < 0.04, "{probability}: {few} at 25 servers");
            assert!(many < 0.15 * few, "{probability}: {few} at 25, {many} at 2500 servers");
        }
    }

    fn scrape(rate: f64, utilization: f64) -> Scrape {
        let some = |value: f64| Some(value).filter(|value| value.is_finite());
        Scrape {
            requests_per_second: some(rate),
            errors_per_second: Some(0.0),
            queue_length: Some(0.0),
            cpu_utilization: some(utilization),
            ..Scrape::default()
        }
    }

    fn check(parameters: &str, series: &[Scrape], expected: &Expect) {
        let facts = testing::facts();
        let parameters = format!("window_seconds = 0\n{parameters}");
        let mut controller = testing::controller("square_root_staffing", &parameters, &facts);
        expected.assert_eq(&wanted(&mut *controller, &mut Desk::new(&facts), series));
    }

    /// 16 slots, 75 % busy, 24/s: S = 0.5 s. β(0.5) = 0.506.
    /// 24/s: a = 12, 13.75 slots, 4 replicas; 100/s: a = 50, 53.6 slots, 14 replicas; nobody: the least, 1.
    #[test]
    fn it_staffs_the_measured_load() {
        let series =
            [scrape(24.0, 0.75), scrape(100.0, f64::NAN), scrape(0.0, f64::NAN), scrape(9e9, f64::NAN)];
        check("delay_probability = 0.5\nscale_in_window_seconds = 0", &series, &expect!["4 14 1 20"]);
        check("delay_probability = 0.01\nscale_in_window_seconds = 0", &series, &expect!["6 17 1 20"]);
        check("delay_probability = 0.5\nscale_in_window_seconds = 30", &series, &expect!["4 14 14 20"]);
    }

    #[test]
    fn without_data_what_is_declared_stays() {
        let lost = f64::NAN;
        check(
            "stale_seconds = 15",
            &[scrape(24.0, lost), scrape(100.0, 0.9), scrape(lost, 0.9), scrape(lost, 0.9)],
            &expect!["4? 5 5 5?"],
        );
    }

    /// Nobody: nothing. Somebody, of whom nothing is known: one. Then by the formula, down to none and back.
    #[test]
    fn it_goes_to_zero_and_comes_back() {
        let mut facts = testing::facts();
        (facts.pools[0].bounds.replicas_min, facts.pools[0].replicas_initial) = (0, 0);
        let text = "window_seconds = 0\nscale_in_window_seconds = 0\ndelay_probability = 0.5";
        let mut controller = testing::controller("square_root_staffing", text, &facts);
        let lost = f64::NAN;
        let waiting = |rate| Scrape { queue_length: Some(3.0), ..scrape(rate, lost) };
        let series = [
            scrape(0.0, lost),
            waiting(0.0),
            waiting(24.0),
            scrape(6.0, 0.75),
            scrape(24.0, lost),
            scrape(0.0, lost),
            scrape(0.0, lost),
            waiting(0.0),
            scrape(0.0, lost),
            scrape(24.0, lost),
        ];
        let counts = wanted(&mut *controller, &mut Desk::new(&facts), &series);
        expect!["0? 1 1? 1 4 0 0 1 0 4"].assert_eq(&counts);
    }

    /// The service time is had back from a plant that is known, at any utilization and while the queue grows.
    #[test]
    fn the_service_time_is_had_back() {
        let facts = testing::facts();
        let mut desk = Desk::new(&facts);
        let mut estimate = ServiceTime::new(1800.0, &facts);
        assert_eq!(estimate.seconds(), None);
        let mut queue = 0.0;
        for step in 0..400 {
            let wave = f64::from(step % 40) / 40.0;
            let utilization = (0.2 + wave).min(1.0);
            // Beyond full the queue takes what is not served.
            let received = (0.2 + wave) * 16.0 / 0.4;
            let served = utilization * 16.0 / 0.4;
            queue += (received - served) * facts.scrape_seconds;
            desk.see(Scrape { queue_length: Some(queue), ..scrape(received, utilization) });
            estimate.feed(&desk.observation());
            desk.scrapes.clear();
            desk.wait(facts.scrape_seconds);
        }
        assert_relative_eq!(estimate.seconds().expect("there were scrapes"), 0.4, max_relative = 1e-9);
    }

    /// While replicas come or drain, their number now is not that of the window; such a sample would be off by the
    /// ratio of the two.
    #[test]
    fn a_fleet_in_change_is_left_out() {
        let facts = testing::facts();
        let mut desk = Desk::new(&facts);
        let mut estimate = ServiceTime::new(1800.0, &facts);
        for (ready, draining, slots_then) in
            [(4, 0, 16.0), (4, 0, 16.0), (8, 0, 16.0), (8, 3, 44.0), (8, 0, 32.0)]
        {
            (desk.pools[0].ready, desk.pools[0].draining) = (ready, draining);
            desk.see(scrape(0.6 * slots_then / 0.5, 0.6));
            estimate.feed(&desk.observation());
            desk.scrapes.clear();
        }
        assert_relative_eq!(estimate.seconds().expect("there were scrapes"), 0.5, max_relative = 1e-12);
    }
}
