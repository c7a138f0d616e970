//! The datapoints of one metric: an average a period, or missing.

use std::collections::VecDeque;

use tidegate_core::locate::FieldError;
use tidegate_core::{Observation, OperatorFacts, ReplicaSample};

use super::alarm::LOOKBACK_EXTRA;
use super::ledger::Ledger;
use crate::rule::{ActingPool, Window, positive, wrong};
use crate::signal::{Metric, Signal};

/// Which metric, and how often it has a datapoint; as written in a policy.
#[derive(Clone, Copy, Debug)]
pub(super) struct MetricChoice<'a> {
    pub(super) metric: Metric,
    pub(super) external: Option<&'a str>,
    pub(super) per_replica: bool,
    pub(super) period_seconds: f64,
}

impl MetricChoice<'_> {
    /// Complains about a choice that cannot be; `path` is where the policy stands, `decides_seconds` how often the
    /// group looks at its alarms.
    pub(super) fn check(&self, path: &str, decides_seconds: f64) -> Result<(), FieldError> {
        match (self.metric == Metric::External, self.external) {
            (true, None) => {
                let problem = "must name the external metric, since `metric` is \"external\"";
                return Err(wrong(&format!("{path}external"), problem));
            }
            (false, Some(name)) => {
                let problem = format!("needs `metric = \"external\"`, but is {name:?}");
                return Err(wrong(&format!("{path}external"), problem));
            }
            _ => {}
        }
        let field = format!("{path}metric_period_seconds");
        positive(&[(&field, self.period_seconds)])?;
        let ratio = self.period_seconds / decides_seconds;
        if ratio < 0.5 || (ratio - ratio.round()).abs() > 1e-9 {
            let problem = format!(
                "must be a multiple of `period_seconds`, which is {decides_seconds}, but is {}",
                self.period_seconds
            );
            return Err(wrong(&field, problem));
        }
        Ok(())
    }
}

/// The last datapoints of one metric.
#[derive(Clone, Debug)]
pub(super) struct Series {
    signal: Signal,
    pool: ActingPool,
    metric: Metric,
    /// Whether an external metric is divided by the replicas that serve.
    is_shared_out: bool,
    window: Window,
    decisions_per_point: u32,
    n_decisions: u32,
    newest_first: VecDeque<Option<f64>>,
    kept: usize,
    is_fresh: bool,
}

impl Series {
    /// Room for alarms of up to `n` datapoints.
    pub(super) fn new(
        choice: &MetricChoice<'_>,
        n: usize,
        decides_seconds: f64,
        pool: ActingPool,
        facts: &OperatorFacts,
    ) -> Result<Self, FieldError> {
        let signal = match choice.external {
            Some(name) => Signal::external(name, pool, facts)?,
            None => Signal::new(choice.metric, pool, facts),
        };
        Ok(Self {
            signal,
            pool,
            metric: choice.metric,
            is_shared_out: choice.per_replica && choice.metric == Metric::External,
            window: Window::new(choice.period_seconds, f64::INFINITY, facts.scrape_seconds),
            decisions_per_point: (choice.period_seconds / decides_seconds).round() as u32,
            n_decisions: 0,
            newest_first: VecDeque::with_capacity(n + LOOKBACK_EXTRA),
            kept: n + LOOKBACK_EXTRA,
            is_fresh: false,
        })
    }

    pub(super) fn clear(&mut self) {
        self.window.clear();
        self.newest_first.clear();
        self.n_decisions = 0;
        self.is_fresh = false;
    }

    /// Takes what became visible, and closes a datapoint where a period is over. Replicas that are not older than
    /// the warm-up, if there is one, are left out of it.
    pub(super) fn feed(
        &mut self,
        observation: &Observation<'_>,
        ledger: &Ledger,
        warm_up_seconds: Option<f64>,
    ) {
        self.signal.feed(observation, &mut self.window);
        self.is_fresh = self.n_decisions.is_multiple_of(self.decisions_per_point);
        self.n_decisions = self.n_decisions.wrapping_add(1);
        if !self.is_fresh {
            return;
        }
        let mut point = self.window.mean(observation.now_seconds);
        self.window.clear();
        if self.is_shared_out {
            let ready = self.pool.status(observation).ready.max(1);
            point = point.map(|value| value / f64::from(ready));
        }
        if let Some(seconds) = warm_up_seconds.filter(|seconds| *seconds > 0.0) {
            let is_warm = |replica: &ReplicaSample| ledger.is_warm(replica, observation.now_seconds, seconds);
            point = point
                .and_then(|value| Some(value * warm_ratio(self.metric, self.pool, observation, is_warm)?));
        }
        self.newest_first.truncate(self.kept - 1);
        self.newest_first.push_front(point);
    }

    /// Whether the last decision closed a datapoint.
    pub(super) fn is_fresh(&self) -> bool {
        self.is_fresh
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = Option<f64>> + '_ {
        self.newest_first.iter().copied()
    }

    /// The newest datapoint that exists.
    pub(super) fn newest(&self) -> Option<f64> {
        self.newest_first().flatten().next()
    }
}

/// Mean of the warm replicas' last samples over that of all that serve: what leaving the others out makes of the
/// average. One where that is not known or the metric is no average over replicas; none where no replica is warm.
fn warm_ratio(
    metric: Metric,
    pool: ActingPool,
    observation: &Observation<'_>,
    is_warm: impl Fn(&ReplicaSample) -> bool,
) -> Option<f64> {
    if !is_average_over_replicas(metric) {
        return Some(1.0);
    }
    let (mut warm, mut all) = ((0.0, 0_u32), (0.0, 0_u32));
    let (mut n_serve, mut n_warm) = (0_u32, 0_u32);
    let serving = observation
        .replicas
        .iter()
        .filter(|replica| usize::from(replica.pool) == pool.index() && replica.is_ready);
    for replica in serving {
        let is_warm = is_warm(replica);
        n_serve += 1;
        n_warm += u32::from(is_warm);
        let Some(usage) = replica.usage else { continue };
        let value = match metric {
            Metric::RequestsPerSecondPerReplica => usage.requests_per_second,
            _ => usage.cpu_cores.iter().sum(),
        };
        all = (all.0 + value, all.1 + 1);
        if is_warm {
            warm = (warm.0 + value, warm.1 + 1);
        }
    }
    if n_serve > 0 && n_warm == 0 {
        return None;
    }
    let mean = |(sum, n): (f64, u32)| if n > 0 { sum / f64::from(n) } else { 0.0 };
    Some(if warm.1 > 0 && mean(all) > 0.0 { mean(warm) / mean(all) } else { 1.0 })
}

/// Whether single replicas' samples say what leaving some of them out makes of it.
pub(super) fn is_average_over_replicas(metric: Metric) -> bool {
    matches!(metric, Metric::Cpu | Metric::RequestsPerSecondPerReplica)
}
