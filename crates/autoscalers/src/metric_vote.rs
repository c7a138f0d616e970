//! Policies vote: each compares a statistic of one metric with two thresholds; a strict majority moves the fleet.
//!
//! out if #{policies above `high`} > n/2; in if #{policies below `low`} > n/2; else as it is
//!
//! n counts all policies: one whose metric has no data votes for no change, as in the source document's
//! `MetricBasedAutoScaler`. Where we differ from it: a period ends with the metric's newest value and not with now,
//! so that late sensors still count; a vote that changes nothing, because the fleet is at its bound, starts no
//! cooldown; `p95` is a percentile (there an unknown statistic falls back to the mean in silence); and if no policy
//! has data the decision is counted as held.

use std::fmt;

use serde::{Deserialize, Serialize};
use tidegate_core::locate::FieldError;
use tidegate_core::{Controller, ControllerStream, Decision, Observation, OperatorFacts, Reason, Replicas};

use crate::catalog::{About, Parameter, Rule, Search};
use crate::rule::{
    ActingPool, Cooldown, POOL, STEP, STEP_SHARE, StepSize, Window, band, not_negative, positive, remembered,
    wrong,
};
use crate::signal::{Metric, Signal};

/// What can be set.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
pub struct Parameters {
    pub pool: Option<String>,
    pub policies: Vec<Policy>,
    pub thresholds_scale: f64,
    pub step: Replicas,
    pub step_share: f64,
    pub cooldown_seconds: f64,
    pub stale_seconds: f64,
    pub period_seconds: f64,
}

/// One voter.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What it looks at.
    pub metric: Metric,
    /// Name of the external metric, with `metric = "external"`.
    pub external: Option<String>,
    /// It votes for more above this, in the metric's unit.
    pub high: f64,
    /// It votes for fewer below this.
    pub low: f64,
    /// What it makes of the values of its period; default the average.
    #[serde(default)]
    pub statistic: Statistic,
    /// Values of this time count; default 300 s.
    #[serde(default = "five_minutes")]
    pub period_seconds: f64,
}

/// What a policy makes of the values of its period.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// Arithmetic mean.
    #[default]
    Average,
    /// Largest.
    Max,
    /// Smallest.
    Min,
    /// 95th percentile, with straight lines between the order statistics (Hyndman and Fan's type 7).
    P95,
}

fn five_minutes() -> f64 {
    300.0
}

impl Default for Parameters {
    fn default() -> Self {
        let policy = |metric, high, low| Policy {
            metric,
            external: None,
            high,
            low,
            statistic: Statistic::Average,
            period_seconds: five_minutes(),
        };
        Self {
            pool: None,
            policies: vec![
                policy(Metric::Cpu, 0.8, 0.5),
                policy(Metric::LatencyP95PerBound, 0.8, 0.4),
                policy(Metric::QueuePerReplica, 1.0, 0.1),
            ],
            thresholds_scale: 1.0,
            step: 1,
            step_share: 0.0,
            cooldown_seconds: 300.0,
            stale_seconds: 300.0,
            period_seconds: 60.0,
        }
    }
}

/// The controller.
#[derive(Clone, Debug)]
pub struct MetricVote {
    pool: ActingPool,
    voters: Vec<Voter>,
    cooldown: Cooldown,
    step: StepSize,
    period_seconds: f64,
}

#[derive(Clone, Debug)]
struct Voter {
    policy: Policy,
    signal: Signal,
    window: Window,
    /// Room to sort the values of one period.
    sorted: Vec<f64>,
    value: Option<f64>,
}

impl Rule for MetricVote {
    type Parameters = Parameters;

    const ABOUT: About = About {
        kind: "metric_vote",
        summary: "Policies on one metric each vote for more or fewer replicas; a strict majority moves the fleet.",
        source: "source document, MetricBasedAutoScaler",
        parameters: &[
            POOL,
            Parameter::new("policies", "", "(the three policies below)", "Who votes; see below."),
            Parameter::new("thresholds_scale", "1", "1.0", "Factor on `high` and `low` of every policy.")
                .searched(Search::Log { low: 0.4, high: 1.6 }),
            STEP,
            STEP_SHARE,
            Parameter::new("cooldown_seconds", "s", "300.0", "Wait after any step before the next one.")
                .searched(Search::Log { low: 15.0, high: 1800.0 }),
            Parameter::new(
                "stale_seconds",
                "s",
                "300.0",
                "A metric without a value younger than this has no data.",
            ),
            Parameter::new("period_seconds", "s", "60.0", "How often it decides.")
                .searched(Search::Log { low: 15.0, high: 300.0 }),
        ],
    };

    fn check(parameters: &Parameters) -> Result<(), FieldError> {
        if parameters.policies.is_empty() {
            return Err(wrong("policies", "must name at least one policy, but is empty"));
        }
        for (index, policy) in parameters.policies.iter().enumerate() {
            let path = format!("policies[{index}].");
            band(&path, policy.low, policy.high)?;
            remembered(&[(&format!("{path}period_seconds"), policy.period_seconds)])?;
            if (policy.metric == Metric::External) != policy.external.is_some() {
                let problem = "must be given if and only if `metric` is \"external\"";
                return Err(wrong(&format!("{path}external"), problem));
            }
        }
        positive(&[
            ("thresholds_scale", parameters.thresholds_scale),
            ("period_seconds", parameters.period_seconds),
            ("stale_seconds", parameters.stale_seconds),
        ])?;
        not_negative(&[
            ("step_share", parameters.step_share),
            ("cooldown_seconds", parameters.cooldown_seconds),
        ])
    }

    fn new(facts: &OperatorFacts, parameters: &Parameters) -> Result<Self, FieldError> {
        let pool = ActingPool::find(parameters.pool.as_deref(), facts)?;
        let voter = |(index, policy): (usize, &Policy)| {
            let signal = match &policy.external {
                Some(name) => Signal::external(name, pool, facts)
                    .map_err(|error| wrong(&format!("policies[{index}].external"), error.problem))?,
                None => Signal::new(policy.metric, pool, facts),
            };
            let window = Window::new(policy.period_seconds, parameters.stale_seconds, facts.scrape_seconds);
            let sorted = Vec::with_capacity(window.capacity());
            let scale = parameters.thresholds_scale;
            let policy = Policy { high: scale * policy.high, low: scale * policy.low, ..policy.clone() };
            Ok(Voter { policy, signal, window, sorted, value: None })
        };
        Ok(Self {
            pool,
            voters: parameters.policies.iter().enumerate().map(voter).collect::<Result<_, FieldError>>()?,
            cooldown: Cooldown::new(parameters.cooldown_seconds, parameters.cooldown_seconds),
            step: StepSize { replicas: parameters.step, share: parameters.step_share },
            period_seconds: parameters.period_seconds,
        })
    }
}

impl Controller for MetricVote {
    fn period_seconds(&self) -> f64 {
        self.period_seconds
    }

    fn reset(&mut self, _chance: ControllerStream) {
        self.cooldown.clear();
        for voter in &mut self.voters {
            voter.window.clear();
            voter.value = None;
        }
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let (mut votes_out, mut votes_in, mut informed) = (0, 0, 0);
        for voter in &mut self.voters {
            voter.signal.feed(observation, &mut voter.window);
            voter.value = voter.statistic(observation.now_seconds);
            if let Some(value) = voter.value {
                informed += 1;
                votes_out += usize::from(value > voter.policy.high);
                votes_in += usize::from(value < voter.policy.low);
            }
        }
        if informed == 0 {
            return self.pool.hold(observation, "no metric has data");
        }
        let declared = self.pool.status(observation).declared;
        let step = self.step.of(declared);
        let (mut wanted, mut what) = if 2 * votes_out > self.voters.len() {
            (declared.saturating_add(step), "majority for more")
        } else if 2 * votes_in > self.voters.len() {
            (declared.saturating_sub(step), "majority for fewer")
        } else {
            (declared, "no majority")
        };
        wanted = self.pool.bounded(observation, wanted);
        if !self.cooldown.allows(observation.now_seconds, declared, wanted) {
            (wanted, what) = (declared, "cooling down");
        }
        let reason = Reason::new(what)
            .with("out", votes_out as f64)
            .with("in", votes_in as f64)
            .with("of", self.voters.len() as f64);
        self.pool.decide(observation, wanted, reason)
    }

    fn explain(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        for Voter { policy, value, .. } in &self.voters {
            write!(out, "{:?} of {:?}: ", policy.statistic, policy.metric)?;
            match value {
                Some(value) => writeln!(out, "{value:.3} (low {}, high {})", policy.low, policy.high)?,
                None => writeln!(out, "no data")?,
            }
        }
        Ok(())
    }
}

impl Voter {
    fn statistic(&mut self, now_seconds: f64) -> Option<f64> {
        match self.policy.statistic {
            Statistic::Average => self.window.mean(now_seconds),
            Statistic::Max => self.window.values(now_seconds).reduce(f64::max),
            Statistic::Min => self.window.values(now_seconds).reduce(f64::min),
            Statistic::P95 => {
                self.sorted.clear();
                self.sorted.extend(self.window.values(now_seconds));
                self.sorted.sort_unstable_by(f64::total_cmp);
                quantile(&self.sorted, 0.95)
            }
        }
    }
}

/// The p-quantile of sorted values, with straight lines between them.
fn quantile(sorted: &[f64], p: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = p * last as f64;
    let below = (position.floor() as usize).min(last);
    let above = (below + 1).min(last);
    Some(sorted[below] + (position - below as f64) * (sorted[above] - sorted[below]))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use tidegate_core::Scrape;
    use tidegate_core::observation::ExternalSample;

    use super::quantile;
    use crate::testing::{self, Desk, wanted, wanted_by_cpu};

    const CPU: &str = "[[policies]]\nmetric = \"cpu\"\nhigh = 0.8\nlow = 0.5\nperiod_seconds = 0\n";
    const MEMORY: &str = "[[policies]]\nmetric = \"memory\"\nhigh = 0.85\nlow = 0.5\nperiod_seconds = 0\n";
    const P95: &str =
        "[[policies]]\nmetric = \"latency_p95_seconds\"\nhigh = 1\nlow = 0.3\nperiod_seconds = 0\n";

    /// One row: cpu, memory, p95 latency, as seen by a freshly started rule.
    fn check(policies: &[&str], seen: [f64; 3], expected: &Expect) {
        let some = |value: f64| Some(value).filter(|value| value.is_finite());
        let scrape = Scrape {
            cpu_utilization: some(seen[0]),
            memory_utilization: some(seen[1]),
            latency_p95_seconds: some(seen[2]),
            ..Scrape::default()
        };
        let facts = testing::facts();
        let mut controller = testing::controller("metric_vote", &policies.concat(), &facts);
        let mut desk = Desk::new(&facts);
        desk.see(scrape);
        let decision = desk.decide(&mut *controller);
        expected.assert_eq(&format!("{} {}", decision.targets[0].wanted, decision.reason));
    }

    /// With everything at half its threshold, halved thresholds vote as whole ones do on what is seen now.
    #[test]
    fn a_scale_moves_every_threshold_alike() {
        let scaled = "thresholds_scale = 0.5\n";
        check(
            &[scaled, CPU, MEMORY],
            [0.41, 0.43, 0.0],
            &expect!["5 majority for more (out 2.000, in 0.000, of 2.000)"],
        );
        check(
            &[scaled, CPU, MEMORY],
            [0.39, 0.42, 0.0],
            &expect!["4 no majority (out 0.000, in 0.000, of 2.000)"],
        );
        check(
            &[scaled, CPU, MEMORY],
            [0.24, 0.24, 0.0],
            &expect!["3 majority for fewer (out 0.000, in 2.000, of 2.000)"],
        );
    }

    #[test]
    fn a_strict_majority_decides() {
        let lost = f64::NAN;
        let three = [CPU, MEMORY, P95];
        check(&three, [0.9, 0.9, 2.0], &expect!["5 majority for more (out 3.000, in 0.000, of 3.000)"]);
        check(&three, [0.9, 0.6, 2.0], &expect!["5 majority for more (out 2.000, in 0.000, of 3.000)"]);
        check(&three, [0.9, 0.6, 0.5], &expect!["4 no majority (out 1.000, in 0.000, of 3.000)"]);
        check(&three, [0.1, 0.1, 2.0], &expect!["3 majority for fewer (out 1.000, in 2.000, of 3.000)"]);
        check(&three, [0.9, 0.1, 0.5], &expect!["4 no majority (out 1.000, in 1.000, of 3.000)"]);
        // Half is no majority, neither against nor beside an abstention.
        check(&[CPU, MEMORY], [0.9, 0.1, lost], &expect!["4 no majority (out 1.000, in 1.000, of 2.000)"]);
        check(&[CPU, MEMORY], [0.9, 0.6, lost], &expect!["4 no majority (out 1.000, in 0.000, of 2.000)"]);
        check(
            &[CPU, MEMORY],
            [0.9, 0.9, lost],
            &expect!["5 majority for more (out 2.000, in 0.000, of 2.000)"],
        );
        check(&[CPU], [0.9, lost, lost], &expect!["5 majority for more (out 1.000, in 0.000, of 1.000)"]);
    }

    #[test]
    fn a_policy_without_data_votes_for_no_change() {
        let lost = f64::NAN;
        check(
            &[CPU, MEMORY, P95],
            [0.9, lost, lost],
            &expect!["4 no majority (out 1.000, in 0.000, of 3.000)"],
        );
        check(
            &[CPU, MEMORY, P95],
            [0.9, 0.9, lost],
            &expect!["5 majority for more (out 2.000, in 0.000, of 3.000)"],
        );
        check(&[CPU, MEMORY, P95], [lost, lost, lost], &expect!["4 no metric has data"]);
    }

    #[test]
    fn the_statistic_is_over_the_period() {
        let run = |statistic: &str| {
            let policy = format!(
                "cooldown_seconds = 0\n[[policies]]\nmetric = \"cpu\"\nhigh = 0.8\nlow = 0.5\n\
                 statistic = \"{statistic}\"\nperiod_seconds = 180\n"
            );
            wanted_by_cpu("metric_vote", &policy, &[0.6, 0.9, 0.6, 0.6, 0.6, 0.4, 0.6])
        };
        expect!["4 4 4 4 4 4 4"].assert_eq(&run("average"));
        expect!["4 5 6 7 7 7 7"].assert_eq(&run("max"));
        expect!["4 4 4 4 4 3 2"].assert_eq(&run("min"));
        expect!["4 5 6 7 7 7 7"].assert_eq(&run("p95"));
    }

    #[test]
    fn cooldown_holds_both_directions() {
        expect!["5 5 5 5 5 4 4"].assert_eq(&wanted_by_cpu(
            "metric_vote",
            CPU,
            &[0.9, 0.9, 0.1, 0.9, 0.9, 0.1, 0.1],
        ));
    }

    /// Values of `NumPy`'s `percentile` with its default method.
    #[test]
    fn quantiles_are_those_of_type_seven() {
        assert_eq!(quantile(&[], 0.95), None);
        assert_eq!(quantile(&[3.0], 0.95), Some(3.0));
        assert!((quantile(&[1.0, 2.0, 3.0, 4.0], 0.95).expect("four values") - 3.85).abs() < 1e-12);
        let to_twenty: Vec<_> = (0..=20).map(f64::from).collect();
        assert_eq!(quantile(&to_twenty, 0.95), Some(19.0));
    }

    #[test]
    fn external_metrics_vote_too() {
        let policy = "[[policies]]\nmetric = \"external\"\nexternal = \"jobs\"\nhigh = 100\nlow = 10\n";
        let mut facts = testing::facts();
        facts.external_metrics = vec!["age".into(), "jobs".into()];
        let mut controller = testing::controller("metric_vote", policy, &facts);
        let mut desk = Desk::new(&facts);
        desk.external = vec![
            ExternalSample { metric: 0, at_seconds: 0.0, value: Some(1e6) },
            ExternalSample { metric: 1, at_seconds: 0.0, value: None },
        ];
        assert_eq!(wanted(&mut *controller, &mut desk, &[Scrape::default()]), "4?");
        desk.external = vec![ExternalSample { metric: 1, at_seconds: 60.0, value: Some(101.0) }];
        assert_eq!(wanted(&mut *controller, &mut desk, &[Scrape::default()]), "5");
        let mut explained = String::new();
        controller.explain(&mut explained).expect("a string takes all");
        expect!["Average of External: 101.000 (low 10, high 100)"].assert_eq(explained.trim_end());
    }
}
