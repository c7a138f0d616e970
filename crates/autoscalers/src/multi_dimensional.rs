//! A weighted score over cpu, memory, network and disk decides how far to go, and names its bottleneck.
//!
//! For a dimension with utilization u, target τ and threshold θ
//!
//! s = min(1, (u − τ)/θ) if u > τ + θ; max(−1, (u − τ)/θ) if u < τ − θ; else 0
//!
//! | | score | change |
//! | --- | --- | --- |
//! | out | Σ w s⁺ / Σ w ≥ 0.3 | + ⌈5 · score⌉, so 1 to 5 |
//! | in, if every s < 0 | −Σ w s / Σ w ≥ 0.3 | − ⌈3 · score⌉, so 1 to 3 |
//!
//! summed over the dimensions that have data. Targets, thresholds and weights are those of the source document's
//! `MultiDimensionalAutoScaler`. Where we differ from it, and why:
//!
//! - There an idle dimension offsets a busy one: with cpu at 100 % and the rest idle the score is
//!   0.4 − 0.6 = −0.2, and a saturated service stays as it is. Here only what is above its band counts for scale-out,
//!   and, as the reason it prints says ("All resources under-utilized"), all must be below theirs for scale-in.
//!   `offsets = true` gives its rule back, for the experiment on what it costs.
//! - `int(score · 5) + 1` gives 6 at a score of 1 where its comment says 1 to 5; here it is rounded up.
//! - It never defines the bottleneck; here it is the dimension that is the most thresholds above its target.
//! - It has no cooldown and asks again while replicas start; here there is one, and the load is expected to spread
//!   over those that start: u · ready / (ready + starting).

use std::fmt;

use serde::{Deserialize, Serialize};
use tidegate_core::locate::FieldError;
use tidegate_core::{Controller, ControllerStream, Decision, Observation, OperatorFacts, Reason, Replicas};

use crate::catalog::{About, Parameter, Rule, Search};
use crate::rule::{
    ActingPool, COOLDOWN_IN, COOLDOWN_OUT, COUNTS_STARTING, Cooldown, POOL, Window, not_negative, positive,
    remembered, round_up, share, wrong,
};
use crate::signal::{Metric, Signal};

/// Sums of four weighted scores of order 1; the weights 0.4, 0.3, 0.2 and 0.1 do not add up to 1 in binary.
const TOLERANCE: f64 = 1e-9;

const NAMES: [&str; 4] = ["cpu", "memory", "network", "disk"];
const METRICS: [Metric; 4] = [Metric::Cpu, Metric::Memory, Metric::Network, Metric::Disk];

/// What can be set.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
pub struct Parameters {
    pub pool: Option<String>,
    pub targets_scale: f64,
    pub score: f64,
    pub step_out_max: Replicas,
    pub step_in_max: Replicas,
    pub offsets: bool,
    pub counts_starting: bool,
    pub cooldown_out_seconds: f64,
    pub cooldown_in_seconds: f64,
    pub window_seconds: f64,
    pub stale_seconds: f64,
    pub period_seconds: f64,
    pub cpu: Dimension,
    pub memory: Dimension,
    pub network: Dimension,
    pub disk: Dimension,
}

/// One resource.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Dimension {
    /// How much it counts.
    pub weight: f64,
    /// Utilization that is wanted.
    pub target: f64,
    /// Half the width of the band around it.
    pub threshold: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            pool: None,
            targets_scale: 1.0,
            score: 0.3,
            step_out_max: 5,
            step_in_max: 3,
            offsets: false,
            counts_starting: true,
            cooldown_out_seconds: 300.0,
            cooldown_in_seconds: 300.0,
            window_seconds: 60.0,
            stale_seconds: 300.0,
            period_seconds: 60.0,
            cpu: Dimension { weight: 0.4, target: 0.7, threshold: 0.1 },
            memory: Dimension { weight: 0.3, target: 0.8, threshold: 0.1 },
            network: Dimension { weight: 0.2, target: 0.6, threshold: 0.15 },
            disk: Dimension { weight: 0.1, target: 0.5, threshold: 0.2 },
        }
    }
}

/// The controller.
#[derive(Clone, Debug)]
pub struct MultiDimensional {
    pool: ActingPool,
    signals: [Signal; 4],
    windows: [Window; 4],
    dimensions: [Dimension; 4],
    cooldown: Cooldown,
    parameters: Parameters,
    /// Of the last decision: utilization as compared, and the score it gave.
    last: [Option<(f64, f64)>; 4],
}

impl Rule for MultiDimensional {
    type Parameters = Parameters;

    const ABOUT: About = About {
        kind: "multi_dimensional",
        summary: "A weighted score over cpu, memory, network and disk decides how far to go, and names its bottleneck.",
        source: "source document, MultiDimensionalAutoScaler",
        parameters: &[
            POOL,
            Parameter::new(
                "targets_scale",
                "1",
                "1.0",
                "Factor on the target of every dimension; the bands stay as wide.",
            )
            .searched(Search::Log { low: 0.4, high: 1.2 }),
            Parameter::new("score", "1", "0.3", "Score from which it acts.")
                .searched(Search::Linear { low: 0.1, high: 0.9 }),
            Parameter::new("step_out_max", "replicas", "5", "Replicas added at a score of 1.")
                .searched(Search::Count { low: 1, high: 20 }),
            Parameter::new("step_in_max", "replicas", "3", "Replicas removed at a score of −1.")
                .searched(Search::Count { low: 1, high: 20 }),
            Parameter::new(
                "offsets",
                "",
                "false",
                "Whether an idle dimension offsets a busy one, as in the source document's sketch.",
            )
            .searched(Search::Switch),
            COUNTS_STARTING,
            COOLDOWN_OUT,
            COOLDOWN_IN,
            Parameter::new(
                "window_seconds",
                "s",
                "60.0",
                "Utilizations are averaged over this time, from the newest scrape back.",
            )
            .searched(Search::Log { low: 15.0, high: 900.0 }),
            Parameter::new(
                "stale_seconds",
                "s",
                "300.0",
                "A dimension without a scrape younger than this is left out.",
            ),
            Parameter::new("period_seconds", "s", "60.0", "How often it decides.")
                .searched(Search::Log { low: 15.0, high: 300.0 }),
            Parameter::new(
                "cpu",
                "1",
                "{ weight = 0.4, target = 0.7, threshold = 0.1 }",
                "Weight, target and band of cpu.",
            ),
            Parameter::new(
                "memory",
                "1",
                "{ weight = 0.3, target = 0.8, threshold = 0.1 }",
                "The same of memory.",
            ),
            Parameter::new(
                "network",
                "1",
                "{ weight = 0.2, target = 0.6, threshold = 0.15 }",
                "The same of the network.",
            ),
            Parameter::new(
                "disk",
                "1",
                "{ weight = 0.1, target = 0.5, threshold = 0.2 }",
                "The same of the disk.",
            ),
        ],
    };

    fn check(parameters: &Parameters) -> Result<(), FieldError> {
        for (name, dimension) in NAMES.iter().zip(parameters.dimensions()) {
            not_negative(&[(&format!("{name}.weight"), dimension.weight)])?;
            share(&[
                (&format!("{name}.target"), dimension.target),
                (&format!("{name}.threshold"), dimension.threshold),
            ])?;
            if parameters.targets_scale * dimension.target > 1.0 {
                let problem =
                    format!("must leave `{name}.target` at most 1, but is {}", parameters.targets_scale);
                return Err(wrong("targets_scale", problem));
            }
        }
        if parameters.dimensions().iter().all(|dimension| dimension.weight == 0.0) {
            return Err(wrong("cpu.weight", "must be positive for some dimension, but all are 0"));
        }
        share(&[("score", parameters.score)])?;
        positive(&[
            ("targets_scale", parameters.targets_scale),
            ("period_seconds", parameters.period_seconds),
            ("stale_seconds", parameters.stale_seconds),
        ])?;
        not_negative(&[
            ("cooldown_out_seconds", parameters.cooldown_out_seconds),
            ("cooldown_in_seconds", parameters.cooldown_in_seconds),
        ])?;
        remembered(&[("window_seconds", parameters.window_seconds)])
    }

    fn new(facts: &OperatorFacts, parameters: &Parameters) -> Result<Self, FieldError> {
        let pool = ActingPool::find(parameters.pool.as_deref(), facts)?;
        let window = Window::new(parameters.window_seconds, parameters.stale_seconds, facts.scrape_seconds);
        Ok(Self {
            pool,
            signals: METRICS.map(|metric| Signal::new(metric, pool, facts)),
            windows: [window.clone(), window.clone(), window.clone(), window],
            dimensions: parameters.dimensions().map(|dimension| Dimension {
                target: parameters.targets_scale * dimension.target,
                ..dimension
            }),
            cooldown: Cooldown::new(parameters.cooldown_out_seconds, parameters.cooldown_in_seconds),
            parameters: parameters.clone(),
            last: [None; 4],
        })
    }
}

impl Parameters {
    fn dimensions(&self) -> [Dimension; 4] {
        [self.cpu, self.memory, self.network, self.disk]
    }
}

impl Dimension {
    fn score(&self, utilization: f64) -> f64 {
        let distance = self.thresholds_above(utilization);
        if distance.abs() > 1.0 + TOLERANCE { distance.clamp(-1.0, 1.0) } else { 0.0 }
    }

    fn thresholds_above(&self, utilization: f64) -> f64 {
        (utilization - self.target) / self.threshold
    }
}

impl Controller for MultiDimensional {
    fn period_seconds(&self) -> f64 {
        self.parameters.period_seconds
    }

    fn reset(&mut self, _chance: ControllerStream) {
        self.windows.iter_mut().for_each(Window::clear);
        self.cooldown.clear();
        self.last = [None; 4];
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        for (signal, window) in self.signals.iter().zip(&mut self.windows) {
            signal.feed(observation, window);
        }
        let status = self.pool.status(observation);
        if status.ready == 0 {
            return self.pool.hold(observation, "no replica is ready");
        }
        let coming = if self.parameters.counts_starting { status.starting } else { 0 };
        let share = f64::from(status.ready) / f64::from(status.ready + coming);
        let (mut weights, mut above, mut below, mut all_below) = (0.0, 0.0, 0.0, true);
        let mut bottleneck = ("", f64::NEG_INFINITY);
        for (index, dimension) in self.dimensions.iter().enumerate() {
            let utilization = self.windows[index].mean(observation.now_seconds).map(|mean| mean * share);
            self.last[index] = utilization.map(|utilization| (utilization, dimension.score(utilization)));
            let Some((utilization, score)) = self.last[index].filter(|_| dimension.weight > 0.0) else {
                continue;
            };
            weights += dimension.weight;
            above += dimension.weight * score.max(0.0);
            below += dimension.weight * (-score).max(0.0);
            all_below &= score < 0.0;
            let distance = dimension.thresholds_above(utilization);
            if distance > bottleneck.1 {
                bottleneck = (NAMES[index], distance);
            }
        }
        if weights == 0.0 {
            return self.pool.hold(observation, "no dimension has data");
        }
        let score = match (self.parameters.offsets, above > 0.0, all_below) {
            (true, _, _) => (above - below) / weights,
            (false, true, _) => above / weights,
            (false, false, true) => -below / weights,
            (false, false, false) => 0.0,
        };
        let declared = status.declared;
        let Parameters { score: least, step_out_max, step_in_max, .. } = self.parameters;
        let (mut wanted, mut what) = if score >= least - TOLERANCE {
            (declared.saturating_add(round_up(score * f64::from(step_out_max))), "scale out")
        } else if score <= TOLERANCE - least {
            (declared.saturating_sub(round_up(-score * f64::from(step_in_max))), "scale in")
        } else {
            (declared, "within the bands")
        };
        wanted = self.pool.bounded(observation, wanted);
        if !self.cooldown.allows(observation.now_seconds, declared, wanted) {
            (wanted, what) = (declared, "cooling down");
        }
        let reason = Reason::new(what)
            .about(bottleneck.0)
            .with("score", score)
            .with("thresholds above target", bottleneck.1);
        self.pool.decide(observation, wanted, reason)
    }

    fn explain(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        for ((name, last), dimension) in NAMES.iter().zip(&self.last).zip(&self.dimensions) {
            match last {
                Some((utilization, score)) => writeln!(
                    out,
                    "{name}: {utilization:.3} (target {}, threshold {}) scores {score} at weight {}",
                    dimension.target, dimension.threshold, dimension.weight
                )?,
                None => writeln!(out, "{name}: no data")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use tidegate_core::Scrape;

    use crate::testing::{self, Desk, wanted};

    fn scrape([cpu, memory, network, disk]: [f64; 4]) -> Scrape {
        let some = |value: f64| Some(value).filter(|value| value.is_finite());
        Scrape {
            cpu_utilization: some(cpu),
            memory_utilization: some(memory),
            network_utilization: some(network),
            disk_utilization: some(disk),
            ..Scrape::default()
        }
    }

    /// One row: cpu, memory, network, disk as seen by a freshly started rule with 10 replicas.
    fn check(parameters: &str, seen: [f64; 4], expected: &Expect) {
        let mut facts = testing::facts();
        facts.pools[0].replicas_initial = 10;
        let mut controller = testing::controller("multi_dimensional", parameters, &facts);
        let mut desk = Desk::new(&facts);
        desk.see(scrape(seen));
        let decision = desk.decide(&mut *controller);
        expected.assert_eq(&format!("{} {}", decision.targets[0].wanted, decision.reason));
    }

    /// Targets 0.35, 0.4, 0.3, 0.25; the bands are as wide as ever.
    #[test]
    fn a_scale_moves_every_target_alike() {
        let scaled = "targets_scale = 0.5";
        check(
            scaled,
            [0.46, 0.4, 0.3, 0.25],
            &expect!["12 scale out: cpu (score 0.400, thresholds above target 1.100)"],
        );
        check(
            scaled,
            [0.44, 0.4, 0.3, 0.25],
            &expect!["10 within the bands: cpu (score 0.000, thresholds above target 0.900)"],
        );
    }

    #[test]
    fn the_score_adds_one_to_five_and_removes_one_to_three() {
        check(
            "",
            [1.0, 1.0, 1.0, 1.0],
            &expect!["15 scale out: cpu (score 1.000, thresholds above target 3.000)"],
        );
        check(
            "",
            [0.9, 0.8, 0.6, 0.5],
            &expect!["12 scale out: cpu (score 0.400, thresholds above target 2.000)"],
        );
        check(
            "",
            [0.7, 0.95, 0.6, 0.5],
            &expect!["12 scale out: memory (score 0.300, thresholds above target 1.500)"],
        );
        check(
            "",
            [0.7, 0.8, 0.9, 0.9],
            &expect!["12 scale out: network (score 0.300, thresholds above target 2.000)"],
        );
        check(
            "",
            [0.7, 0.8, 0.9, 0.5],
            &expect!["10 within the bands: network (score 0.200, thresholds above target 2.000)"],
        );
        check(
            "",
            [0.1, 0.1, 0.1, 0.1],
            &expect!["7 scale in: disk (score -1.000, thresholds above target -2.000)"],
        );
        check(
            "",
            [0.1, 0.1, 0.1, 0.5],
            &expect!["10 within the bands: disk (score 0.000, thresholds above target 0.000)"],
        );
        // On the edges of the bands nothing scores.
        check(
            "",
            [0.8, 0.9, 0.75, 0.7],
            &expect!["10 within the bands: cpu (score 0.000, thresholds above target 1.000)"],
        );
    }

    #[test]
    fn an_idle_dimension_hides_a_busy_one_only_in_the_sketch() {
        check(
            "",
            [1.0, 0.3, 0.1, 0.1],
            &expect!["12 scale out: cpu (score 0.400, thresholds above target 3.000)"],
        );
        check(
            "offsets = true",
            [1.0, 0.3, 0.1, 0.1],
            &expect!["10 within the bands: cpu (score -0.200, thresholds above target 3.000)"],
        );
        check(
            "offsets = true",
            [1.0, 1.0, 1.0, 1.0],
            &expect!["15 scale out: cpu (score 1.000, thresholds above target 3.000)"],
        );
        check(
            "offsets = true",
            [0.1, 0.1, 0.1, 0.5],
            &expect!["7 scale in: disk (score -0.900, thresholds above target 0.000)"],
        );
    }

    #[test]
    fn dimensions_without_data_are_left_out() {
        let lost = f64::NAN;
        check(
            "",
            [lost, 0.95, lost, lost],
            &expect!["15 scale out: memory (score 1.000, thresholds above target 1.500)"],
        );
        check(
            "",
            [0.2, lost, lost, lost],
            &expect!["7 scale in: cpu (score -1.000, thresholds above target -5.000)"],
        );
        check("", [lost; 4], &expect!["10 no dimension has data"]);
        check(
            "cpu = { weight = 0, target = 0.7, threshold = 0.1 }",
            [1.0, 0.8, 0.6, 0.5],
            &expect!["10 within the bands: memory (score 0.000, thresholds above target 0.000)"],
        );
    }

    #[test]
    fn it_waits_and_counts_those_that_start() {
        let facts = testing::facts();
        let mut controller =
            testing::controller("multi_dimensional", "cooldown_out_seconds = 60\nwindow_seconds = 0", &facts);
        let mut desk = Desk { startup_seconds: 180.0, ..Desk::new(&facts) };
        let busy = scrape([0.95, 0.8, 0.6, 0.5]);
        expect!["6 6 6 8 8 8"].assert_eq(&wanted(&mut *controller, &mut desk, &[busy; 6]));
        let mut explained = String::new();
        controller.explain(&mut explained).expect("a string takes all");
        expect![[r"
            cpu: 0.712 (target 0.7, threshold 0.1) scores 0 at weight 0.4
            memory: 0.600 (target 0.8, threshold 0.1) scores -1 at weight 0.3
            network: 0.450 (target 0.6, threshold 0.15) scores 0 at weight 0.2
            disk: 0.375 (target 0.5, threshold 0.2) scores 0 at weight 0.1"]]
        .assert_eq(explained.trim_end());
    }
}
