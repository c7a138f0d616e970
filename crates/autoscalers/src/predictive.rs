//! A forecast of demand one start-up ahead, a buffer on top of it, and a band within which nothing is done.
//!
//! R = (1 + b) · max over the lead window of the forecast's quantile q of demand / r, less the other pools' share
//!
//! wanted = ⌈R⌉ if R > up · declared or R < down · declared; else declared
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | R | replicas required, not rounded | 1 |
//! | b | `buffer_share` | 1 |
//! | r | requests a second that one replica can be given: `target_utilization` · slots / measured service time | 1/s |
//! | up, down | `scale_up_above`, `scale_down_below` | 1 |
//!
//! The source document's `PredictiveAutoScaler`: a random forest on calendar features, 20 % buffer, thresholds of 1.1 and
//! 0.7. Where it is left open or cannot work, this differs from it:
//!
//! - It predicts the load at one moment, five minutes ahead, and may so scale down into a peak that comes before.
//!   Here the whole time up to the lead counts, by default the nominal start-up and one period: what is asked for
//!   later comes too late.
//! - Its capacity of a replica is a constant from nowhere. Here it is measured, or entered from a load test.
//! - Untrained it predicts 0, and so would end all replicas. Here the declared count stays (`Held`) until there is a
//!   forecast and a capacity. Forecasters have a stand-in before they have history, and say so in the explanation.
//! - It retrains after every 100 records; here the forecaster is refitted at last once an hour, and a forest grows
//!   again as often as it says itself.
//!
//! It has no reactive rule beside it: what is not forecast, it does not see. Only whoever waits before no replicas at all
//! is given one.

use std::fmt;

use serde::{Deserialize, Serialize};
use tidegate_core::locate::FieldError;
use tidegate_core::service_time::HALF_LIFE_SECONDS;
use tidegate_core::{Controller, ControllerStream, Decision, Observation, OperatorFacts, Reason};

use crate::catalog::{About, Kind, Parameter, Search, read_parameters};
use crate::demand::{
    Capacity, Demand, Forecasters, GAP_AFTER, QUANTILE, REPLICA_RATE, STEP_SECONDS, TARGET_UTILIZATION,
    at_quantile, check_name, check_quantile, count, forecaster_row,
};
use crate::rule::{
    ActingPool, POOL, SERVICE_HALF_LIFE, is_at_zero, not_negative, positive, remembered, share, wrong,
};

/// The kind `predictive`.
pub fn kind(forecasters: Forecasters) -> Kind {
    let names = forecasters.names;
    Kind::new(
        ABOUT,
        move |table| check(names, &read_parameters(table)?),
        move |table, facts| {
            let parameters = read_parameters(table)?;
            check(forecasters.names, &parameters)?;
            Ok(Box::new(Predictive::new(&forecasters, facts, parameters)?))
        },
    )
}

/// What a list says of it.
pub const ABOUT: About = About {
    kind: "predictive",
    summary: "A forecast of demand one start-up ahead, a buffer on top of it, and a band within which nothing is done.",
    source: "source document, PredictiveAutoScaler",
    parameters: &[
        POOL,
        forecaster_row("\"forest\"").searched(Search::OneOf(&["forest", "seasonal_naive_day", "last_value"])),
        QUANTILE,
        Parameter::new("buffer_share", "1", "0.2", "By how much more than the forecast is staffed for.")
            .searched(Search::Linear { low: 0.0, high: 0.6 }),
        Parameter::new(
            "scale_up_above",
            "1",
            "1.1",
            "It scales up where more than this share of the declared count is required.",
        )
        .searched(Search::Linear { low: 1.0, high: 1.3 }),
        Parameter::new(
            "scale_down_below",
            "1",
            "0.7",
            "It scales down where less than this share of the declared count is required.",
        )
        .searched(Search::Linear { low: 0.4, high: 1.0 }),
        TARGET_UTILIZATION,
        REPLICA_RATE,
        Parameter::new(
            "lead_seconds",
            "s",
            "(nominal start-up and one period)",
            "How far ahead demand must be covered.",
        ),
        STEP_SECONDS,
        SERVICE_HALF_LIFE,
        GAP_AFTER,
        Parameter::new("period_seconds", "s", "60.0", "How often it decides.")
            .searched(Search::Log { low: 15.0, high: 300.0 }),
    ],
};

/// What can be set.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
pub struct Parameters {
    pub pool: Option<String>,
    pub forecaster: String,
    pub quantile: f64,
    pub buffer_share: f64,
    pub scale_up_above: f64,
    pub scale_down_below: f64,
    pub target_utilization: f64,
    pub replica_requests_per_second: Option<f64>,
    pub lead_seconds: Option<f64>,
    pub step_seconds: f64,
    pub service_half_life_seconds: f64,
    pub stale_seconds: f64,
    pub period_seconds: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            pool: None,
            forecaster: "forest".into(),
            quantile: 0.5,
            buffer_share: 0.2,
            scale_up_above: 1.1,
            scale_down_below: 0.7,
            target_utilization: 0.8,
            replica_requests_per_second: None,
            lead_seconds: None,
            step_seconds: 60.0,
            service_half_life_seconds: HALF_LIFE_SECONDS,
            stale_seconds: 300.0,
            period_seconds: 60.0,
        }
    }
}

/// The controller.
pub struct Predictive {
    pool: ActingPool,
    demand: Demand,
    capacity: Capacity,
    lead_seconds: f64,
    parameters: Parameters,
    last: Option<Prediction>,
}

/// What a forecast came to.
#[derive(Clone, Copy, Debug)]
struct Prediction {
    requests_per_second: f64,
    /// What one replica can be given.
    of_replica: f64,
    replicas_required: f64,
}

fn check(names: &[&str], parameters: &Parameters) -> Result<(), FieldError> {
    check_name(names, &parameters.forecaster)?;
    check_quantile(parameters.quantile)?;
    not_negative(&[("buffer_share", parameters.buffer_share)])?;
    share(&[
        ("scale_down_below", parameters.scale_down_below),
        ("target_utilization", parameters.target_utilization),
    ])?;
    let up = parameters.scale_up_above;
    if !(up >= 1.0 && up.is_finite()) {
        return Err(wrong("scale_up_above", format!("must be at least 1, but is {up}")));
    }
    positive(&[
        ("replica_requests_per_second", parameters.replica_requests_per_second.unwrap_or(1.0)),
        ("step_seconds", parameters.step_seconds),
        ("service_half_life_seconds", parameters.service_half_life_seconds),
        ("stale_seconds", parameters.stale_seconds),
        ("period_seconds", parameters.period_seconds),
    ])?;
    remembered(&[
        ("lead_seconds", parameters.lead_seconds.unwrap_or(0.0)),
        ("stale_seconds", parameters.stale_seconds),
    ])
}

impl Predictive {
    fn new(
        forecasters: &Forecasters,
        facts: &OperatorFacts,
        parameters: Parameters,
    ) -> Result<Self, FieldError> {
        let pool = ActingPool::find(parameters.pool.as_deref(), facts)?;
        let startup_seconds = pool.facts(facts).startup_seconds;
        let lead_seconds = parameters.lead_seconds.unwrap_or(startup_seconds + parameters.period_seconds);
        let (step, stale) = (parameters.step_seconds, parameters.stale_seconds);
        Ok(Self {
            pool,
            demand: forecasters.demand(&parameters.forecaster, facts, step, stale, lead_seconds),
            capacity: Capacity::new(
                parameters.service_half_life_seconds,
                parameters.target_utilization,
                parameters.replica_requests_per_second,
                facts,
            ),
            lead_seconds,
            parameters,
            last: None,
        })
    }

    /// What will be needed; none as long as there is no forecast or no capacity.
    fn predict(&mut self, observation: &Observation<'_>) -> Option<Prediction> {
        let of_replica = self.capacity.of(self.pool)?;
        let window = self.demand.forecast(observation.now_seconds, self.lead_seconds)?;
        let at = |levels| at_quantile(levels, self.parameters.quantile);
        let requests_per_second = window.iter().map(at).filter(|rate| rate.is_finite()).reduce(f64::max)?;
        let load = requests_per_second * (1.0 + self.parameters.buffer_share);
        let replicas_required = load / of_replica - self.capacity.others(self.pool, observation);
        Some(Prediction { requests_per_second, of_replica, replicas_required })
    }
}

impl Controller for Predictive {
    fn period_seconds(&self) -> f64 {
        self.parameters.period_seconds
    }

    fn reset(&mut self, chance: ControllerStream) {
        self.demand.reset(chance);
        self.capacity.clear();
        self.last = None;
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        self.demand.feed(observation);
        self.capacity.feed(observation);
        let declared = self.pool.status(observation).declared;
        let is_somebody = observation.latest().is_some_and(|scrape| {
            [scrape.requests_per_second, scrape.queue_length].into_iter().flatten().any(|seen| seen > 0.0)
        });
        let sleeps_through = is_at_zero(observation) && is_somebody;
        self.last = self.predict(observation);
        let Some(Prediction { requests_per_second, replicas_required, .. }) = self.last else {
            if sleeps_through {
                return self.pool.activate(observation);
            }
            return self.pool.hold(observation, "no forecast or no capacity of a replica yet");
        };
        let present = f64::from(declared);
        let (what, wanted) = if replicas_required > self.parameters.scale_up_above * present {
            ("more is required than there is", count(replicas_required))
        } else if replicas_required < self.parameters.scale_down_below * present {
            ("less is required than there is", count(replicas_required))
        } else {
            ("what is required is near what there is", declared)
        };
        if sleeps_through && wanted == 0 {
            return self.pool.activate(observation);
        }
        let reason = Reason::new(what)
            .with("required", replicas_required)
            .with("declared", present)
            .with("requests per second", requests_per_second);
        self.pool.decide(observation, wanted, reason)
    }

    fn explain(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let Some(Prediction { requests_per_second, of_replica, replicas_required }) = self.last else {
            return write!(out, "no prediction yet ({})", self.demand.method());
        };
        write!(
            out,
            "quantile {} of the demand of the next {:.0} s is {requests_per_second:.3} requests a second ({}); with {} \
             on top and {of_replica:.3} a replica, {replicas_required:.3} replicas are required",
            self.parameters.quantile,
            self.lead_seconds,
            self.demand.method(),
            self.parameters.buffer_share,
        )
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use tidegate_core::{Basis, Scrape, Seed};
    use toml::Table;

    use super::*;
    use crate::catalog::{BoxedController, Catalog};
    use crate::testing::{self, Desk};

    /// The service time is 0.5 s, so a replica of 4 slots can be given 6.4/s at 80 %.
    fn scrape(rate: f64, desk: &Desk) -> Scrape {
        Scrape {
            requests_per_second: Some(rate),
            first_attempts_per_second: Some(rate),
            errors_per_second: Some(0.0),
            queue_length: Some(0.0),
            cpu_utilization: Some(rate * 0.5 / (4.0 * f64::from(desk.pools[0].ready.max(1)))),
            ..Scrape::default()
        }
    }

    fn build(told: &[f64], parameters: &str, facts: &OperatorFacts) -> BoxedController {
        let catalog = Catalog::rules().with(kind(testing::forecasters(told)));
        let table: Table = parameters.parse().expect("parameters are written in TOML");
        let mut controller = catalog.build("predictive", &table, facts).expect("it is right");
        controller.reset(Seed::training(0).controller(0));
        controller
    }

    /// What was wanted of the first pool, one decision a minute: `?` held, `f` by fallback.
    fn check(told: &[f64], parameters: &str, rates: &[f64], expected: &Expect) {
        let facts = testing::facts();
        let mut controller = build(told, parameters, &facts);
        let mut desk = Desk::new(&facts);
        let mut counts = Vec::new();
        for rate in rates {
            desk.see(scrape(*rate, &desk));
            let decision = desk.decide(&mut *controller);
            let mark = match decision.basis {
                Basis::Held => "?",
                Basis::Fallback => "f",
                _ => "",
            };
            counts.push(format!("{}{mark}", decision.targets[0].wanted));
            desk.wait(controller.period_seconds());
        }
        expected.assert_eq(&counts.join(" "));
    }

    /// 24/s with a fifth more need 4.5 replicas. Declared 4: 4.5 > 4.4, so 5. Declared 5: within 3.5 to 5.5. The forecaster
    /// knows nothing before the first step is over, at the third look.
    #[test]
    fn the_buffer_and_the_thresholds_are_those_of_the_source() {
        check(&[24.0], "", &[24.0; 5], &expect!["4? 4? 5 5 5"]);
        // 23.4/s: 4.3875 are required, less than 4.4.
        check(&[23.4], "", &[24.0; 4], &expect!["4? 4? 4 4"]);
        // 15/s: 2.8125 are required, more than 2.8; 14.9/s: 2.79.
        check(&[15.0], "", &[24.0; 4], &expect!["4? 4? 4 4"]);
        check(&[14.9], "", &[24.0; 4], &expect!["4? 4? 3 3"]);
        check(&[24.0], "buffer_share = 0.6", &[24.0; 4], &expect!["4? 4? 6 6"]);
        check(&[24.0], "replica_requests_per_second = 2.4", &[24.0; 4], &expect!["4? 4? 12 12"]);
    }

    /// The step of minute 6 needs 9. Start-up and period are two minutes: the decision of minute 4 asks for them, and
    /// they are ready a minute early. The dip before it is not followed, since the peak is in the window.
    #[test]
    fn what_is_needed_one_start_up_ahead_is_asked_for_now() {
        let told = [24.0, 24.0, 24.0, 24.0, 24.0, 6.0, 48.0, 48.0, 48.0, 6.0];
        check(&told, "", &[24.0; 12], &expect!["4? 4? 5 5 9 9 9 9 9 2 2 2"]);
        check(&told, "lead_seconds = 0", &[24.0; 12], &expect!["4? 4? 5 5 5 2 9 9 9 2 2 2"]);
    }

    /// A ramp that is known: whenever demand comes, what serves it is ready.
    #[test]
    fn with_a_perfect_forecast_capacity_is_never_late() {
        for startup_seconds in [0.0, 45.0, 60.0, 200.0, 600.0] {
            let mut facts = testing::facts();
            facts.pools[0].startup_seconds = startup_seconds;
            let ramp: Vec<f64> = (0..90).map(|minute| 24.0 + f64::from(minute.clamp(12, 60) - 12)).collect();
            let mut controller = build(&ramp, "", &facts);
            let mut desk = Desk { startup_seconds, ..Desk::new(&facts) };
            for (minute, rate) in ramp.iter().enumerate() {
                // At 100 % of its slots a replica serves 8/s.
                let least = rate / 8.0;
                assert!(f64::from(desk.pools[0].ready) >= least, "{startup_seconds}: minute {minute}");
                desk.see(scrape(*rate, &desk));
                desk.decide(&mut *controller);
                desk.wait(60.0);
            }
            // ⌈72 · 1.2 / 6.4⌉ = 14; the last step up left 13 (12.94 at 69/s), of which 13.5 are not above 110 %.
            assert!((13..=14).contains(&desk.pools[0].ready), "{}", desk.pools[0].ready);
        }
    }

    #[test]
    fn it_comes_back_from_zero() {
        let mut facts = testing::facts();
        (facts.pools[0].bounds.replicas_min, facts.pools[0].replicas_initial) = (0, 0);
        let mut controller = build(&[], "", &facts);
        let mut desk = Desk::new(&facts);
        let mut wanted = |rate: f64, queue: f64| {
            let cpu = (desk.pools[0].ready > 0).then(|| scrape(rate, &desk).cpu_utilization).flatten();
            desk.see(Scrape { queue_length: Some(queue), cpu_utilization: cpu, ..scrape(rate, &desk) });
            let decision = desk.decide(&mut *controller);
            desk.wait(60.0);
            format!("{} {}", decision.targets[0].wanted, decision.basis.name())
        };
        assert_eq!(wanted(0.0, 0.0), "0 held");
        assert_eq!(wanted(2.0, 1.0), "1 fallback");
        assert_eq!(wanted(2.0, 1.0), "1 normal");
        for _ in 0..4 {
            wanted(0.0, 0.0);
        }
        assert_eq!(wanted(0.0, 0.0), "0 normal");
        // The forecast repeats the last step, in which there was nobody.
        assert_eq!(wanted(1.0, 1.0), "1 fallback");
    }

    #[test]
    fn it_is_explained() {
        let facts = testing::facts();
        let mut controller = build(&[24.0], "", &facts);
        let mut desk = Desk::new(&facts);
        let mut text = String::new();
        controller.explain(&mut text).expect("a string takes all");
        for _ in 0..3 {
            desk.see(scrape(24.0, &desk));
            desk.decide(&mut *controller);
            desk.wait(60.0);
        }
        text.push('\n');
        controller.explain(&mut text).expect("a string takes all");
        expect![[r"
            no prediction yet (told)
            quantile 0.5 of the demand of the next 120 s is 24.000 requests a second (told); with 0.2 on top and 6.400 a replica, 4.500 replicas are required"]]
        .assert_eq(&text);
    }

    #[test]
    fn wrong_parameters_are_refused() {
        let complain = |text: &str, expected: &Expect| {
            let table: Table = text.parse().expect("it is TOML");
            let error = testing::catalog().check("predictive", &table).expect_err("it is wrong");
            expected.assert_eq(&error.to_string());
        };
        complain("scale_up_above = 0.9", &expect!["`scale_up_above` must be at least 1, but is 0.9"]);
        complain(
            "scale_down_below = 1.1",
            &expect!["`scale_down_below` must be above 0 and at most 1, but is 1.1"],
        );
        complain("quantile = 0", &expect!["`quantile` must be 0.01 to 0.99, but is 0"]);
        complain(
            "replica_requests_per_second = 0",
            &expect!["`replica_requests_per_second` must be a positive number, but is 0"],
        );
        complain(
            "forecaster = \"tree\"",
            &expect![[
                r#"`forecaster` must be one of `seasonal_naive_day`, `last_value`, `linear`, `forest`, `scryer`, but is "tree""#
            ]],
        );
    }

    #[test]
    fn the_handbook_and_the_defaults_are_right() {
        testing::check_handbook::<Parameters>(&testing::catalog(), "predictive");
    }
}
