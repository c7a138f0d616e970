//! Google Autopilot's horizontal rule: enough replicas for the highest usage of the last days, and slow to let go.
//!
//! n(t) = S over τ in [t − T, t] of Σ r(τ) / r*,  S = maximum or 95th percentile
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | r | cpu in use, in replicas fully busy: cpu share × ready, averaged over `average_seconds` | 1 |
//! | r* | `target`: cpu share that a replica should have in use | 1 |
//! | T | `history_seconds` | s |
//!
//! and then, in this order,
//!
//! - deferred downscaling: the largest n of the last `defer_seconds`;
//! - slow decay: a count above that falls so that it would halve in `halving_seconds`, every `decay_step_seconds`;
//! - small changes, up to `small_change_share` of the count, wait until they are larger;
//! - limited growth: at most `starting_share_max` of the replicas may be starting.
//!
//! Source: Rzadca et al., "Autopilot: workload autoscaling at Google scale", `EuroSys` 2020, section 3.4. From there are
//! S, the 72 hours and 5 minutes, the decay every 5 minutes that halves in an hour, and that most jobs defer by two or
//! three days. Not published are r*, the size of a small change and the limit of growth (their owners set them): the
//! defaults here are ours. The paper takes usage of any job and resource, or a user's own function of it; here it is
//! the cpu of the pool. A run shorter than T is all the history that there is, so in the first days the rule is bolder
//! than its namesake, which has always run before.

use serde::{Deserialize, Serialize};
use tidegate_core::locate::FieldError;
use tidegate_core::{Controller, ControllerStream, Decision, Observation, OperatorFacts, Reason, Replicas};

use crate::catalog::{About, Parameter, Rule, Search};
use crate::rule::{
    ActingPool, POOL, STALE, Stabiliser, Window, not_negative, positive, remembered, round_up, share, wrong,
};
use crate::signal::{Metric, Signal};

/// S: what is taken of the usages in the window.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// The largest.
    Max,
    /// The 95th percentile: the least that 95 % of them do not exceed.
    P95,
}

/// The newest values, so many at most, with order statistics at hand. It never grows.
#[derive(Clone, Debug)]
pub struct Recent {
    values: Vec<f64>,
    next: usize,
    sorted: Vec<f64>,
}

impl Recent {
    /// Room for `capacity` values.
    ///
    /// # Panics
    /// If that is none.
    pub fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "there must be room for a value");
        Self { values: Vec::with_capacity(capacity), next: 0, sorted: Vec::with_capacity(capacity) }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.values.clear();
        self.sorted.clear();
        self.next = 0;
    }

    /// Takes in a value, and drops the oldest if there is no room. What is no number is left out.
    pub fn push(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        if self.values.len() < self.values.capacity() {
            self.values.push(value);
        } else {
            let oldest = std::mem::replace(&mut self.values[self.next], value);
            self.sorted.remove(self.sorted.partition_point(|known| *known < oldest));
        }
        self.next = (self.next + 1) % self.values.capacity();
        self.sorted.insert(self.sorted.partition_point(|known| *known < value), value);
    }

    /// The statistic of these values and one more; none if both are missing.
    pub fn statistic(&self, statistic: Statistic, newest: Option<f64>) -> Option<f64> {
        let n = self.sorted.len() + usize::from(newest.is_some());
        let rank = match statistic {
            Statistic::Max => n,
            // Up to rounding of the product: 95 % of 20 are 19.
            Statistic::P95 => (0.95 * n as f64 - 1e-9).ceil() as usize,
        };
        let Some(newest) = newest else { return self.sorted.get(rank.wrapping_sub(1)).copied() };
        // The newest would stand after `below` others.
        let below = self.sorted.partition_point(|known| *known < newest);
        Some(match rank.cmp(&(below + 1)) {
            std::cmp::Ordering::Less => self.sorted[rank - 1],
            std::cmp::Ordering::Equal => newest,
            std::cmp::Ordering::Greater => self.sorted[rank - 2],
        })
    }
}

/// What can be set.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
pub struct Parameters {
    pub pool: Option<String>,
    pub target: f64,
    pub statistic: Statistic,
    pub history_seconds: f64,
    pub average_seconds: f64,
    pub defer_seconds: f64,
    pub halving_seconds: f64,
    pub decay_step_seconds: f64,
    pub small_change_share: f64,
    pub starting_share_max: f64,
    pub stale_seconds: f64,
    pub period_seconds: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            pool: None,
            target: 0.7,
            statistic: Statistic::Max,
            history_seconds: 259_200.0,
            average_seconds: 300.0,
            defer_seconds: 172_800.0,
            halving_seconds: 3600.0,
            decay_step_seconds: 300.0,
            small_change_share: 0.05,
            starting_share_max: 1.0,
            stale_seconds: 300.0,
            period_seconds: 60.0,
        }
    }
}

/// The controller.
#[derive(Clone, Debug)]
pub struct Autopilot {
    pool: ActingPool,
    signal: Signal,
    now: Window,
    recent: Recent,
    /// When the next average joins the history; none before the first measurement.
    due_seconds: Option<f64>,
    stabiliser: Stabiliser,
    decay: Decay,
    parameters: Parameters,
}

/// A count that falls by steps towards a lower one. What is below one replica is kept in mind, or a small fleet
/// would never fall.
#[derive(Clone, Copy, Debug, Default)]
struct Decay {
    level: f64,
    stepped_seconds: f64,
}

impl Decay {
    /// The count to have now, given the one that is and the lower one that would do.
    fn fall(
        &mut self,
        now_seconds: f64,
        declared: Replicas,
        wanted: Replicas,
        parameters: &Parameters,
    ) -> Replicas {
        let Parameters { halving_seconds, decay_step_seconds, .. } = *parameters;
        if halving_seconds <= 0.0 {
            return wanted;
        }
        if round_up(self.level) != declared {
            // It starts to fall, or someone else set the count.
            *self = Self { level: f64::from(declared), stepped_seconds: now_seconds };
        }
        while now_seconds - self.stepped_seconds >= decay_step_seconds && self.level > f64::from(wanted) {
            self.stepped_seconds += decay_step_seconds;
            self.level *= (-decay_step_seconds / halving_seconds).exp2();
        }
        self.level = self.level.max(f64::from(wanted));
        round_up(self.level)
    }
}

impl Rule for Autopilot {
    type Parameters = Parameters;

    const ABOUT: About = About {
        kind: "autopilot",
        summary: "Enough replicas for the highest cpu usage of the last days, let go slowly, as Google Autopilot scales horizontally.",
        source: "Rzadca et al., EuroSys 2020, section 3.4",
        parameters: &[
            POOL,
            Parameter::new("target", "1", "0.7", "Cpu share that a replica should have in use (r*).")
                .searched(Search::Linear { low: 0.3, high: 0.95 }),
            Parameter::new(
                "statistic",
                "",
                "\"max\"",
                "What is taken of the usages in the history: `max` or `p95`.",
            )
            .searched(Search::OneOf(&["max", "p95"])),
            Parameter::new("history_seconds", "s", "259200.0", "Length of the history (T).")
                .searched(Search::Log { low: 300.0, high: 604_800.0 }),
            Parameter::new(
                "average_seconds",
                "s",
                "300.0",
                "Usage is averaged over this time; the history has one value for each.",
            )
            .searched(Search::Log { low: 60.0, high: 900.0 }),
            Parameter::new(
                "defer_seconds",
                "s",
                "172800.0",
                "Deferred downscaling: it goes no lower than the largest demand of this time.",
            )
            .searched(Search::Log { low: 60.0, high: 259_200.0 }),
            Parameter::new(
                "halving_seconds",
                "s",
                "3600.0",
                "Slow decay: the time in which the count may halve; 0 lets it fall at once.",
            )
            .searched(Search::Log { low: 300.0, high: 14_400.0 }),
            Parameter::new("decay_step_seconds", "s", "300.0", "Time between two steps of the decay."),
            Parameter::new(
                "small_change_share",
                "1",
                "0.05",
                "Changes of at most this share of the count are left until they are larger.",
            )
            .searched(Search::Linear { low: 0.0, high: 0.2 }),
            Parameter::new(
                "starting_share_max",
                "1",
                "1.0",
                "Limited growth: the share of the replicas that may be starting; 1 is no limit.",
            )
            .searched(Search::Linear { low: 0.2, high: 1.0 }),
            STALE,
            Parameter::new("period_seconds", "s", "60.0", "How often it decides."),
        ],
    };

    fn check(parameters: &Parameters) -> Result<(), FieldError> {
        share(&[("target", parameters.target), ("starting_share_max", parameters.starting_share_max)])?;
        positive(&[
            ("average_seconds", parameters.average_seconds),
            ("decay_step_seconds", parameters.decay_step_seconds),
            ("period_seconds", parameters.period_seconds),
            ("stale_seconds", parameters.stale_seconds),
        ])?;
        not_negative(&[
            ("halving_seconds", parameters.halving_seconds),
            ("small_change_share", parameters.small_change_share),
        ])?;
        remembered(&[
            ("history_seconds", parameters.history_seconds),
            ("average_seconds", parameters.average_seconds),
            ("defer_seconds", parameters.defer_seconds),
        ])?;
        let Parameters { history_seconds, average_seconds, .. } = *parameters;
        if history_seconds < average_seconds {
            return Err(wrong(
                "history_seconds",
                format!(
                    "must be at least `average_seconds`, which is {average_seconds}, but is {history_seconds}"
                ),
            ));
        }
        Ok(())
    }

    fn new(facts: &OperatorFacts, parameters: &Parameters) -> Result<Self, FieldError> {
        let pool = ActingPool::find(parameters.pool.as_deref(), facts)?;
        let capacity = (parameters.history_seconds / parameters.average_seconds).round() as usize;
        Ok(Self {
            pool,
            signal: Signal::new(Metric::Cpu, pool, facts),
            now: Window::new(parameters.average_seconds, parameters.stale_seconds, facts.scrape_seconds),
            recent: Recent::new(capacity.max(1)),
            due_seconds: None,
            stabiliser: Stabiliser::new(parameters.defer_seconds, parameters.period_seconds),
            decay: Decay::default(),
            parameters: parameters.clone(),
        })
    }
}

impl Autopilot {
    /// What the count may be at once, if so many are ready and at most a share of all may be starting. One more than
    /// there is may always start, or an empty fleet would stay so.
    fn limited_growth(&self, declared: Replicas, ready: Replicas, wanted: Replicas) -> Replicas {
        let most = self.parameters.starting_share_max;
        if most >= 1.0 || wanted <= declared {
            return wanted;
        }
        let allowed = (f64::from(ready) / (1.0 - most)) as Replicas;
        wanted.min(allowed.max(ready + 1).max(declared))
    }
}

impl Controller for Autopilot {
    fn period_seconds(&self) -> f64 {
        self.parameters.period_seconds
    }

    fn reset(&mut self, _chance: ControllerStream) {
        self.now.clear();
        self.recent.clear();
        self.due_seconds = None;
        self.stabiliser.clear();
        self.decay = Decay::default();
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let status = *self.pool.status(observation);
        // Usage, not share: a share tells nothing once the fleet has changed.
        self.signal.feed_scaled(observation, f64::from(status.ready), &mut self.now);
        let now = observation.now_seconds;
        let Some(usage) = self.now.mean(now) else {
            return self.pool.hold(observation, "no utilization in time");
        };
        let average_seconds = self.parameters.average_seconds;
        let due = *self.due_seconds.get_or_insert(now);
        if now >= due {
            self.recent.push(usage);
            self.due_seconds = Some(due + (((now - due) / average_seconds).floor() + 1.0) * average_seconds);
        }
        let most = self.recent.statistic(self.parameters.statistic, Some(usage)).unwrap_or(usage);
        let needed = round_up(most / self.parameters.target);
        let declared = status.declared;
        // The log starts with the first demand and not with the declared count, which would be a floor for days.
        let deferred = self.pool.bounded(observation, self.stabiliser.settle(now, needed, needed));
        let is_small = f64::from(deferred.abs_diff(declared))
            <= self.parameters.small_change_share * f64::from(declared);
        let aim = if is_small { declared } else { deferred };
        let (wanted, what) = if aim < declared {
            (self.decay.fall(now, declared, aim, &self.parameters), "slow decay")
        } else {
            // A fall that is broken off starts anew.
            self.decay = Decay::default();
            let wanted = self.limited_growth(declared, status.ready, aim);
            let what = if wanted < aim {
                "limited growth"
            } else if deferred != aim {
                "too small a change"
            } else {
                "usage of the last days"
            };
            (wanted, what)
        };
        let reason = Reason::new(what)
            .with("busy replicas", usage)
            .with("most", most)
            .with("needed", f64::from(needed));
        self.pool.decide(observation, wanted, reason)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{self, Desk, cpu, wanted_by_cpu};

    /// As it is without any smoothing, with usage as of the newest scrape, unless the row says otherwise.
    const PLAIN: &str =
        "target = 0.5\naverage_seconds = 60\nhistory_seconds = 60\ndefer_seconds = 0\nhalving_seconds = 0\n";

    fn check(parameters: &str, series: &[f64], expected: &Expect) {
        let mut table: toml::Table = PLAIN.parse().expect("this is TOML");
        table.extend(parameters.parse::<toml::Table>().expect("this is TOML"));
        expected.assert_eq(&wanted_by_cpu("autopilot", &table.to_string(), series));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        /// Against sorting what is in the window.
        #[test]
        fn the_statistics_are_those_of_the_sorted_window(
            values in prop::collection::vec(0..50_u32, 1..200), capacity in 1..60_usize, has_newest in any::<bool>(),
        ) {
            let mut recent = Recent::new(capacity);
            let room = recent.sorted.capacity();
            for (at, value) in values.iter().enumerate() {
                recent.push(f64::from(*value));
                let newest = has_newest.then_some(f64::from((value * 7) % 50));
                let mut window: Vec<f64> =
                    values[(at + 1).saturating_sub(capacity)..=at].iter().map(|v| f64::from(*v)).collect();
                window.extend(newest);
                window.sort_unstable_by(f64::total_cmp);
                let rank = (window.len() * 95).div_ceil(100);
                prop_assert_eq!(recent.statistic(Statistic::P95, newest), Some(window[rank - 1]));
                prop_assert_eq!(recent.statistic(Statistic::Max, newest), window.last().copied());
            }
            prop_assert_eq!(recent.sorted.capacity(), room);
        }

        /// It never halves in less than the given time, give or take the rounding to whole replicas, and never has
        /// more replicas starting than it may.
        #[test]
        fn it_is_never_faster_than_its_limits(
            series in prop::collection::vec(0.0..1.0_f64, 1..200), halving in 300.0..7200.0_f64, most in 0.2..0.9_f64,
        ) {
            let facts = testing::facts();
            let text = format!(
                "{PLAIN}small_change_share = 0\nstarting_share_max = {most}\n"
            ).replace("halving_seconds = 0", &format!("halving_seconds = {halving}"));
            let mut controller = testing::controller("autopilot", &text, &facts);
            let mut desk = Desk { startup_seconds: 150.0, ..Desk::new(&facts) };
            let mut counts: Vec<(f64, f64)> = Vec::new();
            for value in series {
                let before = desk.pools[0];
                desk.see(cpu(value));
                let now = desk.now_seconds;
                let wanted = desk.decide(&mut *controller).targets[0].wanted;
                if wanted > before.declared {
                    let starting = f64::from(wanted - before.ready) / f64::from(wanted);
                    prop_assert!(starting <= most + 1e-9 || wanted <= before.ready + 1, "{starting} are starting");
                }
                for (at, count) in &counts {
                    // Steps fall on a grid that starts with the fall, and a count is up to one above its level.
                    let least = (count - 1.0) * (-(now - at + 300.0) / halving).exp2() - 1e-9;
                    prop_assert!(f64::from(wanted) >= least, "{count} at {at} became {wanted} at {now}");
                }
                counts.push((now, f64::from(wanted)));
                desk.wait(60.0);
            }
        }
    }

    /// 4 replicas at 60 % are 2.4 busy ones; at 50 % each that are 5, and so on.
    #[test]
    fn usage_over_target_is_the_count() {
        check("", &[0.6, 0.6, 0.2, 0.01, 1.0], &expect!["5 6 3 1 2"]);
        // The highest of the last three minutes.
        check("history_seconds = 180", &[0.6, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], &expect!["5 5 5 1 1 1 1"]);
    }

    #[test]
    fn a_day_is_not_forgotten_by_default() {
        let mut series = vec![0.9];
        series.extend([0.1; 200]);
        let counts = wanted_by_cpu("autopilot", "average_seconds = 60", &series);
        assert_eq!(counts.rsplit(' ').next(), Some("6"), "{counts}");
    }

    #[test]
    fn what_is_too_many_halves_in_the_given_time() {
        let facts = testing::facts();
        let text = PLAIN.replace("halving_seconds = 0", "halving_seconds = 3600");
        let mut controller = testing::controller("autopilot", &text, &facts);
        let mut desk = Desk::new(&facts);
        desk.pools[0].declared = 16;
        desk.pools[0].ready = 16;
        let mut counts = Vec::new();
        for minute in 0..=180 {
            desk.see(cpu(0.0));
            let wanted = desk.decide(&mut *controller).targets[0].wanted;
            if minute % 60 == 0 {
                counts.push(wanted);
            }
            desk.wait(60.0);
        }
        // The first minute starts it; 5 % of 16 are no small change.
        assert_eq!(counts, [16, 8, 4, 2]);
    }

    #[test]
    fn small_changes_wait() {
        // 4 of 50 % each are at their target; 5 are wanted at 60 %, a change by a quarter.
        check("small_change_share = 0.25", &[0.6, 0.6, 0.7], &expect!["4 4 6"]);
        check("small_change_share = 0.24", &[0.6], &expect!["5"]);
    }

    #[test]
    fn no_more_start_than_may() {
        // Half may be starting: 4 ready, 8 in all, and no more while those start.
        let facts = testing::facts();
        let mut controller =
            testing::controller("autopilot", &format!("{PLAIN}starting_share_max = 0.5"), &facts);
        let mut desk = Desk { startup_seconds: 120.0, ..Desk::new(&facts) };
        let series = [1.0; 6].map(cpu);
        expect!["8 8 16 16 20 20"].assert_eq(&testing::wanted(&mut *controller, &mut desk, &series));
    }

    #[test]
    fn without_data_what_is_declared_stays() {
        let lost = f64::NAN;
        check("stale_seconds = 60", &[lost, 0.9, lost, lost, 0.9], &expect!["4? 8 8 8? 15"]);
    }
}
