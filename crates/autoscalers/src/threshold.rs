//! A threshold band: a step out above it, a step in below it, a wait after each step.
//!
//! u' = u · ready / (ready + starting)
//!
//! wanted = declared + step if u' > high; declared − step if u' < low; else declared
//!
//! where u is the mean cpu share of the ready replicas and u' what it will be once the replicas that are starting
//! share the load. The source document's `SimpleAutoScaler` compares u with 70 % + 10 and 70 % − 20 and goes by one
//! replica at every look, without a wait; its own list of mistakes calls that flapping. Here there is a cooldown in
//! each direction, and a scale-in is cut short where the load that it leaves would lie above the band:
//! the least count that stays is ⌈u' (ready + starting) / high⌉.

use serde::{Deserialize, Serialize};
use tidegate_core::locate::FieldError;
use tidegate_core::{Controller, ControllerStream, Decision, Observation, OperatorFacts, Reason, Replicas};

use crate::catalog::{About, Parameter, Rule, Search};
use crate::rule::{
    ActingPool, COOLDOWN_IN, COOLDOWN_OUT, COUNTS_STARTING, Cooldown, POOL, STALE, STEP, STEP_SHARE,
    StepSize, Window, band, not_negative, positive, remembered, round_up, share,
};
use crate::signal::{Metric, Signal};

/// What can be set.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
pub struct Parameters {
    pub pool: Option<String>,
    pub high: f64,
    pub low: f64,
    pub step: Replicas,
    pub step_share: f64,
    pub cooldown_out_seconds: f64,
    pub cooldown_in_seconds: f64,
    pub counts_starting: bool,
    pub guards_scale_in: bool,
    pub window_seconds: f64,
    pub stale_seconds: f64,
    pub period_seconds: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            pool: None,
            high: 0.8,
            low: 0.5,
            step: 1,
            step_share: 0.0,
            cooldown_out_seconds: 300.0,
            cooldown_in_seconds: 300.0,
            counts_starting: true,
            guards_scale_in: true,
            window_seconds: 60.0,
            stale_seconds: 300.0,
            period_seconds: 60.0,
        }
    }
}

/// The controller.
#[derive(Clone, Debug)]
pub struct Threshold {
    pool: ActingPool,
    signal: Signal,
    window: Window,
    cooldown: Cooldown,
    step: StepSize,
    parameters: Parameters,
}

impl Rule for Threshold {
    type Parameters = Parameters;

    const ABOUT: About = About {
        kind: "threshold",
        summary: "A step out above a band of cpu utilization, a step in below it, a wait after each step.",
        source: "source document, SimpleAutoScaler (target 70 %, +10, −20); cooldown from its anti-patterns",
        parameters: &[
            POOL,
            Parameter::new("high", "1", "0.8", "Utilization above which it scales out.")
                .searched(Search::Linear { low: 0.3, high: 0.95 }),
            Parameter::new("low", "1", "0.5", "Utilization below which it scales in.")
                .searched(Search::Linear { low: 0.1, high: 0.9 }),
            STEP,
            STEP_SHARE,
            COOLDOWN_OUT,
            COOLDOWN_IN,
            COUNTS_STARTING,
            Parameter::new(
                "guards_scale_in",
                "",
                "true",
                "Whether a step in is cut short where it would leave a utilization above `high`.",
            )
            .searched(Search::Switch),
            Parameter::new(
                "window_seconds",
                "s",
                "60.0",
                "Utilization is averaged over this time, from the newest scrape back.",
            )
            .searched(Search::Log { low: 15.0, high: 900.0 }),
            STALE,
            Parameter::new("period_seconds", "s", "60.0", "How often it decides.")
                .searched(Search::Log { low: 15.0, high: 300.0 }),
        ],
    };

    fn check(parameters: &Parameters) -> Result<(), FieldError> {
        band("", parameters.low, parameters.high)?;
        share(&[("high", parameters.high)])?;
        positive(&[
            ("period_seconds", parameters.period_seconds),
            ("stale_seconds", parameters.stale_seconds),
        ])?;
        not_negative(&[
            ("step_share", parameters.step_share),
            ("cooldown_out_seconds", parameters.cooldown_out_seconds),
            ("cooldown_in_seconds", parameters.cooldown_in_seconds),
        ])?;
        remembered(&[("window_seconds", parameters.window_seconds)])
    }

    fn new(facts: &OperatorFacts, parameters: &Parameters) -> Result<Self, FieldError> {
        let pool = ActingPool::find(parameters.pool.as_deref(), facts)?;
        Ok(Self {
            pool,
            signal: Signal::new(Metric::Cpu, pool, facts),
            window: Window::new(parameters.window_seconds, parameters.stale_seconds, facts.scrape_seconds),
            cooldown: Cooldown::new(parameters.cooldown_out_seconds, parameters.cooldown_in_seconds),
            step: StepSize { replicas: parameters.step, share: parameters.step_share },
            parameters: parameters.clone(),
        })
    }
}

impl Controller for Threshold {
    fn period_seconds(&self) -> f64 {
        self.parameters.period_seconds
    }

    fn reset(&mut self, _chance: ControllerStream) {
        self.window.clear();
        self.cooldown.clear();
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        self.signal.feed(observation, &mut self.window);
        let Some(measured) = self.window.mean(observation.now_seconds) else {
            return self.pool.hold(observation, "no utilization in time");
        };
        let status = self.pool.status(observation);
        if status.ready == 0 {
            return self.pool.hold(observation, "no replica is ready");
        }
        let coming = if self.parameters.counts_starting { status.starting } else { 0 };
        let sharing = status.ready + coming;
        let utilization = measured * f64::from(status.ready) / f64::from(sharing);
        let declared = status.declared;
        let step = self.step.of(declared);
        let Parameters { high, low, guards_scale_in, .. } = self.parameters;
        let (mut wanted, mut what) = if utilization > high {
            (declared.saturating_add(step), "above the band")
        } else if utilization < low {
            let least = if guards_scale_in { round_up(utilization * f64::from(sharing) / high) } else { 0 };
            (declared - step.min(sharing.saturating_sub(least)).min(declared), "below the band")
        } else {
            (declared, "within the band")
        };
        wanted = self.pool.bounded(observation, wanted);
        if !self.cooldown.allows(observation.now_seconds, declared, wanted) {
            (wanted, what) = (declared, "cooling down");
        }
        let reason = Reason::new(what).with("utilization", utilization).with("low", low).with("high", high);
        self.pool.decide(observation, wanted, reason)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use crate::testing::{self, Desk, cpu, wanted_by_cpu};

    /// Newest scrape only, so that a row reads as what was seen against what was wanted.
    fn check(parameters: &str, series: &[f64], expected: &Expect) {
        let parameters = format!("window_seconds = 0\n{parameters}");
        expected.assert_eq(&wanted_by_cpu("threshold", &parameters, series));
    }

    #[test]
    fn it_steps_outside_the_band_and_rests_on_its_edges() {
        let quick = "cooldown_out_seconds = 0\ncooldown_in_seconds = 0\n";
        check(quick, &[0.81, 0.80, 0.79, 0.51, 0.50, 0.49, 0.49], &expect!["5 5 5 5 5 4 3"]);
        check(&format!("{quick}step = 3"), &[0.9, 0.1, 0.1], &expect!["7 4 1"]);
        // 30 % of 4, of 6, of 8.
        check(&format!("{quick}step_share = 0.3"), &[0.9, 0.9, 0.9], &expect!["6 8 11"]);
    }

    #[test]
    fn the_wait_ends_exactly_with_the_cooldown() {
        check("", &[0.9; 12], &expect!["5 5 5 5 5 6 6 6 6 6 7 7"]);
        // Out at 0 s; in not before 300 s.
        check("cooldown_out_seconds = 0", &[0.9, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2], &expect!["5 5 5 5 5 4 4"]);
        check("cooldown_in_seconds = 0", &[0.9, 0.2, 0.9, 0.9, 0.9, 0.9, 0.9], &expect!["5 4 4 4 4 4 5"]);
    }

    #[test]
    fn bounds_hold_and_pushing_against_them_starts_no_wait() {
        let start = "step = 20\ncooldown_in_seconds = 300\n";
        check(start, &[0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.1], &expect!["20 20 20 20 20 20 3"]);
        check("step = 9", &[0.01; 3], &expect!["1 1 1"]);
    }

    #[test]
    fn without_data_what_is_declared_stays() {
        let lost = f64::NAN;
        check("stale_seconds = 120", &[lost, 0.9, lost, lost, lost, lost, 0.9], &expect!["4? 5 5 5 5? 5? 6"]);
    }

    /// A constant load of 1.9 replicas: by the sketch (no guard, no wait) the count never comes to rest.
    #[test]
    fn a_narrow_band_flaps_without_the_guard_and_not_with_it() {
        let run = |guards: bool| {
            let facts = testing::facts();
            let text = format!(
                "low = 0.79\nwindow_seconds = 0\ncooldown_out_seconds = 0\ncooldown_in_seconds = 0\n\
                 guards_scale_in = {guards}"
            );
            let mut controller = testing::controller("threshold", &text, &facts);
            let mut desk = Desk::new(&facts);
            let counts = (0..8).map(|_| {
                desk.see(cpu((1.9 / f64::from(desk.pools[0].ready)).min(1.0)));
                let wanted = desk.decide(&mut *controller).targets[0].wanted;
                desk.wait(60.0);
                wanted.to_string()
            });
            counts.collect::<Vec<_>>().join(" ")
        };
        expect!["3 2 3 2 3 2 3 2"].assert_eq(&run(false));
        expect!["3 3 3 3 3 3 3 3"].assert_eq(&run(true));
    }

    /// Full load on 4 replicas, one more takes 10 minutes: counted, it is enough; not counted, each wait over asks
    /// for one more.
    #[test]
    fn replicas_that_are_starting_count() {
        let run = |counts: bool| {
            let facts = testing::facts();
            let text = format!("counts_starting = {counts}\nwindow_seconds = 0");
            let mut desk = Desk { startup_seconds: 600.0, ..Desk::new(&facts) };
            let mut controller = testing::controller("threshold", &text, &facts);
            testing::wanted(&mut *controller, &mut desk, &[cpu(0.85); 12])
        };
        expect!["5 5 5 5 5 5 5 5 5 5 6 6"].assert_eq(&run(true));
        expect!["5 5 5 5 5 6 6 6 6 6 7 7"].assert_eq(&run(false));
    }

    #[test]
    fn with_several_pools_it_looks_at_its_own() {
        let facts = testing::facts_of_two_pools();
        let mut controller = testing::controller("threshold", "pool = \"spot\"", &facts);
        let mut desk = Desk::new(&facts);
        desk.pools[1].cpu_utilization = Some(0.9);
        desk.see(cpu(0.6));
        let decision = desk.decide(&mut *controller);
        assert_eq!(decision.targets.iter().map(|target| target.wanted).collect::<Vec<_>>(), [4, 5]);
        expect!["above the band (utilization 0.900, low 0.500, high 0.800)"]
            .assert_eq(&decision.reason.to_string());
    }
}
