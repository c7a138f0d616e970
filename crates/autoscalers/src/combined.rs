//! What most production systems share: desired = max(reactive, predicted); the prediction never scales in by itself.
//!
//! D = (1 + b) · max over the lead window of the forecast's quantile q of demand
//!
//! predicted = ⌈D S / (ρ c)⌉ with a target utilization ρ, else ⌈(a + β √a) / c⌉ with a = D S; less other pools' slots
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | b | `buffer_share` | 1 |
//! | q | `quantile`, in straight lines between the levels of [`tidegate_core::Quantiles::LEVELS`] | 1 |
//! | S | service time, measured as busy slots over throughput | s |
//! | c | slots of one replica; c ρ / S are the requests a second that one replica is to get | 1 |
//! | β | margin of square-root staffing for `delay_probability` | 1 |
//!
//! The lead window reaches from now to `lead_seconds` ahead, by default the nominal start-up and one period: what is
//! asked for later comes too late for that moment, and what is needed earlier must be there as well, hence the maximum.
//! The count is held back to the largest of the last `scale_in_window_seconds`.
//!
//! AWS predictive scaling (only scales out; several policies: the largest), Netflix's Scryer (beside Amazon Auto Scaling),
//! crane's EHPA, Alibaba's AHPA and KEDA with a prediction all compose in this way. None publishes how demand becomes
//! replicas; the two ways here are a choice. They staff for a point forecast, so the median is the default: whether today
//! is busier than forecast, the reactive rule sees, and a high quantile of a method that knows little of today pays for
//! the worst day all day long.
//!
//! What demand is, and how the forecaster learns of it: [`crate::demand`].
//!
//! **Dry run** (`mode = "dry_run"`: crane's Preview, AHPA's observer, AWS's `ForecastOnly`): the reactive rule acts, and the
//! prediction is made, explained and counted. **Fallback**: with nothing forecast yet, or no service time measured, the
//! reactive rule acts alone, and the decision counts as fallback. The reactive rule decides at its own period and sees
//! what it would see alone, except that the declared count is that of both.

use std::fmt;

use serde::{Deserialize, Serialize};
use tidegate_core::locate::FieldError;
use tidegate_core::service_time::{HALF_LIFE_SECONDS, ServiceTime};
use tidegate_core::{
    Basis, Bounds, Controller, ControllerStream, Decision, Needs, Observation, OperatorFacts, Reason,
    Replicas,
};
use toml::Table;

use crate::catalog::{About, BoxedController, Catalog, Kind, Parameter, Search, read_parameters};
use crate::demand::{
    Demand, Forecasters, GAP_AFTER, QUANTILE, STEP_SECONDS, at_quantile, check_name, check_quantile,
    forecaster_row,
};
use crate::inner;
use crate::rule::{ActingPool, Stabiliser, not_negative, positive, remembered, round_up, share, wrong};
use crate::square_root_staffing::{margin, servers};

/// The kind `reactive_predictive`: `catalog` has the reactive rules that it may stand on.
pub fn kind(catalog: Catalog, forecasters: Forecasters) -> Kind {
    let (known, names) = (catalog.clone(), forecasters.names);
    Kind::new(
        ABOUT,
        move |table| check(&known, names, &read_parameters(table)?),
        move |table, facts| {
            let parameters = read_parameters(table)?;
            check(&catalog, forecasters.names, &parameters)?;
            Ok(Box::new(Combined::new(&catalog, &forecasters, facts, &parameters)?))
        },
    )
}

/// What a list says of it.
pub const ABOUT: About = About {
    kind: "reactive_predictive",
    summary: "The larger of what a reactive rule wants and what a forecast of demand needs one start-up time ahead.",
    source: "AWS predictive scaling, Scryer, crane EHPA, Alibaba AHPA; docs/controllers.md",
    parameters: &[
        Parameter::new(
            "pool",
            "",
            "(the first pool)",
            "The pool for which the prediction counts; what other pools have is subtracted.",
        ),
        Parameter::new(
            "mode",
            "",
            "\"auto\"",
            "`auto`, or `dry_run`: predict, explain and count, and let the reactive rule act alone.",
        ),
        Parameter::new(
            "reactive",
            "",
            "{ kind = \"square_root_staffing\" }",
            "The reactive rule: a kind and its parameters.",
        ),
        forecaster_row("\"seasonal_naive_day\"")
            .searched(Search::OneOf(&["seasonal_naive_day", "last_value"])),
        QUANTILE,
        Parameter::new("buffer_share", "1", "0.0", "By how much more than that is staffed for.")
            .searched(Search::Linear { low: 0.0, high: 0.5 }),
        Parameter::new(
            "target_utilization",
            "1",
            "(not used)",
            "Staffs for this utilization, in place of the square root.",
        ),
        Parameter::new(
            "delay_probability",
            "1",
            "0.1",
            "Share of requests that may have to wait; gives the square root's margin.",
        )
        .searched(Search::Log { low: 0.001, high: 0.5 }),
        Parameter::new(
            "lead_seconds",
            "s",
            "(nominal start-up and one period)",
            "How far ahead demand must be covered.",
        ),
        STEP_SECONDS,
        Parameter::new(
            "service_half_life_seconds",
            "s",
            "1800.0",
            "Half-life of a sample in the measured service time.",
        ),
        Parameter::new(
            "scale_in_window_seconds",
            "s",
            "300.0",
            "The predicted count goes no lower than the largest of this time.",
        )
        .searched(Search::Log { low: 30.0, high: 1800.0 }),
        GAP_AFTER,
    ],
};

/// What the prediction may do.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It acts where it wants more.
    Auto,
    /// It is only made, explained and counted.
    DryRun,
}

/// What can be set.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
pub struct Parameters {
    pub pool: Option<String>,
    pub mode: Mode,
    pub reactive: Table,
    pub forecaster: String,
    pub quantile: f64,
    pub buffer_share: f64,
    pub target_utilization: Option<f64>,
    pub delay_probability: f64,
    pub lead_seconds: Option<f64>,
    pub step_seconds: f64,
    pub service_half_life_seconds: f64,
    pub scale_in_window_seconds: f64,
    pub stale_seconds: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            pool: None,
            mode: Mode::Auto,
            reactive: inner::of_kind("square_root_staffing"),
            forecaster: "seasonal_naive_day".into(),
            quantile: 0.5,
            buffer_share: 0.0,
            target_utilization: None,
            delay_probability: 0.1,
            lead_seconds: None,
            step_seconds: 60.0,
            service_half_life_seconds: HALF_LIFE_SECONDS,
            scale_in_window_seconds: 300.0,
            stale_seconds: 300.0,
        }
    }
}

/// The controller.
pub struct Combined {
    pool: ActingPool,
    reactive: BoxedController,
    demand: Demand,
    service_time: ServiceTime,
    stabiliser: Stabiliser,
    staffing: Staffing,
    quantile: f64,
    buffer_share: f64,
    lead_seconds: f64,
    mode: Mode,
    last: Option<Prediction>,
    counts: Counts,
}

/// How demand becomes slots.
#[derive(Clone, Copy, Debug)]
enum Staffing {
    Utilization(f64),
    SquareRoot { margin: f64 },
}

/// What a forecast came to.
#[derive(Clone, Copy, Debug)]
struct Prediction {
    requests_per_second: f64,
    replicas: Replicas,
}

/// Decisions since the reset.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    decisions: u64,
    predicted: u64,
    raised: u64,
    /// By how many replicas in all the prediction was above the reactive rule.
    raised_replicas: u64,
}

fn check(catalog: &Catalog, names: &[&str], parameters: &Parameters) -> Result<(), FieldError> {
    inner::check(catalog, "reactive", &parameters.reactive)?;
    check_name(names, &parameters.forecaster)?;
    check_quantile(parameters.quantile)?;
    let delay = parameters.delay_probability;
    if !(delay > 0.0 && delay < 1.0) {
        return Err(wrong("delay_probability", format!("must be above 0 and below 1, but is {delay}")));
    }
    share(&[("target_utilization", parameters.target_utilization.unwrap_or(1.0))])?;
    not_negative(&[("buffer_share", parameters.buffer_share)])?;
    positive(&[
        ("step_seconds", parameters.step_seconds),
        ("service_half_life_seconds", parameters.service_half_life_seconds),
        ("stale_seconds", parameters.stale_seconds),
    ])?;
    remembered(&[
        ("scale_in_window_seconds", parameters.scale_in_window_seconds),
        ("lead_seconds", parameters.lead_seconds.unwrap_or(0.0)),
        ("stale_seconds", parameters.stale_seconds),
    ])
}

impl Combined {
    fn new(
        catalog: &Catalog,
        forecasters: &Forecasters,
        facts: &OperatorFacts,
        parameters: &Parameters,
    ) -> Result<Self, FieldError> {
        let pool = ActingPool::find(parameters.pool.as_deref(), facts)?;
        let reactive = inner::build(catalog, "reactive", &parameters.reactive, facts)?;
        let period = reactive.period_seconds();
        let lead_seconds = parameters.lead_seconds.unwrap_or(pool.facts(facts).startup_seconds + period);
        let staffing = match parameters.target_utilization {
            Some(utilization) => Staffing::Utilization(utilization),
            None => Staffing::SquareRoot { margin: margin(parameters.delay_probability) },
        };
        let (step, stale) = (parameters.step_seconds, parameters.stale_seconds);
        Ok(Self {
            pool,
            reactive,
            demand: forecasters.demand(&parameters.forecaster, facts, step, stale, lead_seconds),
            service_time: ServiceTime::new(parameters.service_half_life_seconds, facts),
            stabiliser: Stabiliser::new(parameters.scale_in_window_seconds, period),
            staffing,
            quantile: parameters.quantile,
            buffer_share: parameters.buffer_share,
            lead_seconds,
            mode: parameters.mode,
            last: None,
            counts: Counts::default(),
        })
    }
}

impl Controller for Combined {
    fn period_seconds(&self) -> f64 {
        self.reactive.period_seconds()
    }

    fn needs(&self) -> Needs {
        self.reactive.needs()
    }

    fn reset(&mut self, chance: ControllerStream) {
        let mut forecasters_chance = chance.clone();
        // Another part of the same cipher: what one of the two draws, the other does not see.
        forecasters_chance.0.set_stream(1);
        self.reactive.reset(chance);
        self.demand.reset(forecasters_chance);
        self.service_time.clear();
        self.stabiliser.clear();
        (self.last, self.counts) = (None, Counts::default());
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let mut decision = self.reactive.decide(observation);
        self.demand.feed(observation);
        self.service_time.feed(observation);
        self.last = self.predict(observation, &decision);
        self.counts.decisions += 1;
        let bounds = self.bounds(observation, &decision);
        let target = &mut decision.targets[self.pool.index()];
        let reactive = target.wanted;
        let Some(Prediction { requests_per_second, replicas }) = self.last else {
            if decision.basis == Basis::Normal {
                decision.basis = Basis::Fallback;
                decision.reason = Reason::new("nothing predicted; the reactive rule alone")
                    .about(decision.reason.what)
                    .with("reactive", f64::from(reactive));
            }
            return decision;
        };
        self.counts.predicted += 1;
        let predicted = replicas.min(bounds.replicas_max).max(bounds.replicas_min);
        let is_raised = predicted > reactive;
        self.counts.raised += u64::from(is_raised);
        self.counts.raised_replicas += u64::from(predicted.saturating_sub(reactive));
        let what = match (self.mode, is_raised) {
            (Mode::DryRun, _) => "dry run; the reactive rule acts",
            (Mode::Auto, true) => "the prediction is above the reactive rule",
            (Mode::Auto, false) => "the reactive rule is not below the prediction",
        };
        if is_raised && self.mode == Mode::Auto {
            target.wanted = predicted;
            decision.basis = Basis::Normal;
        }
        if decision.basis != Basis::Held {
            decision.reason = Reason::new(what)
                .about(decision.reason.what)
                .with("reactive", f64::from(reactive))
                .with("predicted", f64::from(predicted))
                .with("requests per second", requests_per_second);
        }
        decision
    }

    fn explain(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let Counts { decisions, predicted, raised, raised_replicas } = self.counts;
        match self.last {
            None => write!(out, "no prediction yet ({})", self.demand.method())?,
            Some(Prediction { requests_per_second, replicas }) => write!(
                out,
                "quantile {} of the demand of the next {:.0} s is {requests_per_second:.3} requests a second ({}), \
                 for which {replicas} replicas are needed",
                self.quantile,
                self.lead_seconds,
                self.demand.method()
            )?,
        }
        write!(
            out,
            "; in {decisions} decisions {predicted} predictions, {raised} of them above the reactive rule, by \
             {raised_replicas} replicas in all; the reactive rule: "
        )?;
        self.reactive.explain(out)
    }
}

impl Combined {
    /// What will be needed; none as long as there is no forecast or no service time.
    fn predict(&mut self, observation: &Observation<'_>, reactive: &Decision) -> Option<Prediction> {
        let window = self.demand.forecast(observation.now_seconds, self.lead_seconds)?;
        let demand = window.iter().map(|levels| at_quantile(levels, self.quantile)).reduce(f64::max)?;
        let requests_per_second = demand * (1.0 + self.buffer_share);
        let load = requests_per_second * self.service_time.seconds()?;
        let slots = match self.staffing {
            Staffing::Utilization(utilization) => load / utilization,
            Staffing::SquareRoot { margin } => servers(load, margin),
        };
        let others: f64 = (reactive.targets.iter().enumerate())
            .filter(|(index, _)| *index != self.pool.index())
            .map(|(index, target)| f64::from(target.wanted) * self.service_time.concurrency(index))
            .sum();
        let needed = round_up((slots - others) / self.service_time.concurrency(self.pool.index()));
        // It starts with what it says itself: what is declared is the reactive rule's business.
        let replicas = self.stabiliser.settle(observation.now_seconds, needed, needed);
        Some(Prediction { requests_per_second, replicas })
    }

    fn bounds(&self, observation: &Observation<'_>, reactive: &Decision) -> Bounds {
        reactive.targets[self.pool.index()].bounds.unwrap_or(self.pool.status(observation).bounds)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use approx::assert_relative_eq;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;
    use tidegate_core::{Quantiles, Scrape};

    use super::*;
    use crate::testing::{self, Desk};

    /// 16 slots at 75 % with 24/s: the service time is 0.5 s.
    fn scrape(rate: f64) -> Scrape {
        Scrape {
            requests_per_second: Some(rate),
            first_attempts_per_second: Some(rate),
            errors_per_second: Some(0.0),
            queue_length: Some(0.0),
            cpu_utilization: Some(0.75),
            ..Scrape::default()
        }
    }

    /// What was wanted of the first pool, one decision a minute: `f` by fallback, `?` held.
    fn run(told: &[f64], parameters: &str, rates: &[f64]) -> (String, String) {
        let facts = testing::facts();
        let catalog = Catalog::rules().with(kind(Catalog::rules(), testing::forecasters(told)));
        let table: Table = parameters.parse().expect("parameters are written in TOML");
        let mut controller = catalog.build("reactive_predictive", &table, &facts).expect("it is right");
        controller.reset(tidegate_core::Seed::training(0).controller(0));
        let mut desk = Desk::new(&facts);
        let mut counts = Vec::new();
        for (index, rate) in rates.iter().enumerate() {
            // The service time is 0.5 s, whatever the fleet is; beyond full nothing is cut, for the same reason.
            let utilization = rate * 0.5 / (4.0 * f64::from(desk.pools[0].ready));
            let seen = Scrape { cpu_utilization: Some(utilization), ..scrape(*rate) };
            desk.see(if index == 0 { scrape(24.0) } else { seen });
            let decision = desk.decide(&mut *controller);
            let mark = match decision.basis {
                Basis::Held => "?",
                Basis::Fallback => "f",
                _ => "",
            };
            counts.push(format!("{}{mark}", decision.targets[0].wanted));
            desk.wait(controller.period_seconds());
        }
        let mut text = String::new();
        controller.explain(&mut text).expect("a string takes all");
        (counts.join(" "), text)
    }

    fn check(told: &[f64], parameters: &str, rates: &[f64], expected: &Expect) {
        expected.assert_eq(&run(told, parameters, rates).0);
    }

    const STAYS: &str = "reactive = { kind = \"threshold\", high = 0.99, low = 0.0 }\n\
                         target_utilization = 0.6\nscale_in_window_seconds = 0\n";

    /// At 60 % a replica gets 4.8/s, so 24/s need 5, 48/s need 10. The reactive rule keeps what is declared, and so the
    /// fleet stays when the prediction falls.
    #[test]
    fn the_prediction_scales_out_and_never_in() {
        let told = [24.0, 24.0, 48.0, 48.0, 48.0, 12.0, 12.0, 12.0, 12.0];
        // Start-up 60 s and a period of 60 s: two steps ahead. The first step is closed at the third decision.
        check(&told, STAYS, &[24.0; 8], &expect!["4f 4f 10 10 10 10 10 10"]);
        check(&told, &format!("{STAYS}lead_seconds = 0"), &[24.0; 8], &expect!["4f 4f 10 10 10 10 10 10"]);
        check(&[12.0], STAYS, &[24.0; 4], &expect!["4f 4f 4 4"]);
    }

    #[test]
    fn what_is_needed_one_lead_time_ahead_is_asked_for_now() {
        let told = [24.0, 24.0, 24.0, 24.0, 24.0, 24.0, 48.0, 48.0, 48.0];
        for (lead_seconds, expected) in [
            (0, expect!["4f 4f 5 5 5 5 10"]),
            (120, expect!["4f 4f 5 5 10 10 10"]),
            (150, expect!["4f 4f 5 5 10 10 10"]),
        ] {
            check(&told, &format!("{STAYS}lead_seconds = {lead_seconds}"), &[24.0; 7], &expected);
        }
    }

    /// The buffer is on demand: 24/s and half as much again need 8 (7.5). The square root: a = 12, β(0.5) = 0.506,
    /// 13.75 slots, 4 replicas.
    #[test]
    fn demand_becomes_replicas_as_documented() {
        check(&[24.0], &format!("{STAYS}buffer_share = 0.5"), &[24.0; 3], &expect!["4f 4f 8"]);
        let root = "reactive = { kind = \"threshold\", high = 0.99, low = 0.0 }\n\
                    delay_probability = 0.5\nscale_in_window_seconds = 0";
        check(&[24.0], root, &[24.0; 3], &expect!["4f 4f 4"]);
        check(&[100.0], root, &[24.0; 3], &expect!["4f 4f 14"]);
        check(&[9e9], root, &[24.0; 3], &expect!["4f 4f 20"]);
    }

    /// The reactive rule alone decides, and what the prediction would have done is told.
    #[test]
    fn in_a_dry_run_the_reactive_rule_acts() {
        let rates = [24.0, 24.0, 24.0, 80.0, 80.0, 24.0, 12.0, 12.0];
        let parameters = "reactive = { kind = \"threshold\", cooldown_in_seconds = 0 }\nmode = \"dry_run\"\n\
                          target_utilization = 0.6";
        let (dry, text) = run(&[48.0], parameters, &rates);
        let (never, _) = run(&[0.0], &parameters.replace("dry_run", "auto"), &rates);
        assert_eq!(dry, never, "a prediction of nothing changes nothing either");
        expect!["4f 4f 4 5 5 5 4 3"].assert_eq(&dry);
        expect!["quantile 0.5 of the demand of the next 120 s is 48.000 requests a second (told), for which 10 replicas are needed; in 8 decisions 6 predictions, 6 of them above the reactive rule, by 34 replicas in all; the reactive rule: "]
            .assert_eq(&text);
    }

    #[test]
    fn other_levels_lie_between_the_fixed_ones() {
        let levels = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
        for (level, value) in Quantiles::LEVELS.iter().zip(levels) {
            assert_relative_eq!(at_quantile(&levels, *level), value, max_relative = 1e-12);
        }
        assert_relative_eq!(at_quantile(&levels, 0.8), 6.0 + 1.0 / 3.0, max_relative = 1e-12);
        assert_relative_eq!(at_quantile(&levels, 0.03), 1.5, max_relative = 1e-12);
    }

    /// The history's last step ends where the run begins; then come the run's own.
    #[test]
    fn the_history_comes_first_and_the_clock_fits() {
        let facts = testing::facts();
        let mut forecasters = testing::forecasters(&[]);
        forecasters.history = Arc::new(|_, step_seconds| {
            assert_eq!(step_seconds, 60.0);
            vec![Some(48.0), None, Some(36.0)]
        });
        let catalog = Catalog::rules().with(kind(Catalog::rules(), forecasters));
        let table: Table = STAYS.parse().expect("it is TOML");
        let mut controller = catalog.build("reactive_predictive", &table, &facts).expect("it is right");
        controller.reset(tidegate_core::Seed::training(0).controller(0));
        let mut desk = Desk::new(&facts);
        desk.see(scrape(24.0));
        // The forecaster of the tests repeats the newest value: 36/s need 8.
        assert_eq!(desk.decide(&mut *controller).targets[0].wanted, 8);
    }

    #[test]
    fn wrong_parameters_are_refused() {
        let complain = |text: &str, expected: &Expect| {
            let catalog = Catalog::rules().with(kind(Catalog::rules(), testing::forecasters(&[])));
            let table: Table = text.parse().expect("it is TOML");
            let error = catalog.check("reactive_predictive", &table).expect_err("it is wrong");
            expected.assert_eq(&error.to_string());
        };
        complain("reactive = { high = 0.7 }", &expect!["`reactive.kind` must be given, but is missing"]);
        complain(
            "reactive = { kind = \"threshold\", hihg = 0.7 }",
            &expect![
                "`reactive.hihg` unknown field `hihg`, expected one of `pool`, `high`, `low`, `step`, `step_share`, `cooldown_out_seconds`, `cooldown_in_seconds`, `counts_starting`, `guards_scale_in`, `window_seconds`, `stale_seconds`, `period_seconds`"
            ],
        );
        complain("quantile = 0.999", &expect!["`quantile` must be 0.01 to 0.99, but is 0.999"]);
        complain(
            "forecaster = \"crystal_ball\"",
            &expect![[
                r#"`forecaster` must be one of `seasonal_naive_day`, `last_value`, `linear`, `forest`, `scryer`, but is "crystal_ball""#
            ]],
        );
    }

    #[test]
    fn the_handbook_and_the_defaults_are_right() {
        testing::check_handbook::<Parameters>(&testing::catalog(), "reactive_predictive");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        /// On the same series, with the fleet that the reactive rule alone would have: never fewer than that rule
        /// wants, and as many as it or the prediction wants. Within the bounds always.
        #[test]
        fn it_is_the_larger_of_the_two(
            told in prop::collection::vec(0.0..300.0_f64, 1..10),
            rates in prop::collection::vec(0.0..200.0_f64, 3..20),
        ) {
            let staffing = "target_utilization = 0.6\nscale_in_window_seconds = 0\n";
            let reactive = "reactive = { kind = \"square_root_staffing\", scale_in_window_seconds = 0 }\n";
            let numbers = |text: String| -> Vec<u32> {
                text.split(' ').map(|count| count.trim_end_matches(['f', '?']).parse().expect("a count")).collect()
            };
            let both = numbers(run(&told, &format!("{staffing}{reactive}"), &rates).0);
            let alone = numbers(run(&told, &format!("mode = \"dry_run\"\n{staffing}{reactive}"), &rates).0);
            for (both, alone) in both.iter().zip(&alone) {
                prop_assert!((1..=20).contains(both) && both >= alone, "{both} and {alone}");
            }
        }
    }
}
