//! What a run looked like tick by tick, for figures and for the elasticity metrics.

use tidegate_core::plant::Phase;
use tidegate_core::{Decision, Replicas, TickRecord};
use tidegate_sim::Watch;

/// One counted tick of the horizon.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Users who arrived, a second.
    pub users_per_second: f64,
    /// Replicas ready at the end of the tick, over all pools.
    pub ready: Replicas,
    /// Replicas wanted at the end of the tick, over all pools.
    pub wanted: Replicas,
    /// Mean latency of the users who succeeded in this tick; NaN if nobody did.
    pub latency_seconds: f64,
    /// Share of the users decided in this tick who came late or never; 0 if nobody was decided.
    pub violating_share: f64,
}

/// Keeps a [`Sample`] of every tick of the horizon.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorder {
    tick_seconds: f64,
    /// In order.
    pub samples: Vec<Sample>,
    /// Whether a decision set the size of replicas.
    pub resizes: bool,
}

impl Recorder {
    /// For ticks of this length.
    pub fn new(tick_seconds: f64) -> Self {
        Self { tick_seconds, samples: Vec::new(), resizes: false }
    }

    /// One of the columns.
    pub fn series(&self, of: impl Fn(&Sample) -> f64) -> Vec<f64> {
        self.samples.iter().map(of).collect()
    }
}

impl Watch for Recorder {
    fn tick(&mut self, record: &TickRecord) {
        if record.phase != Phase::Horizon {
            return;
        }
        let service = &record.service;
        self.samples.push(Sample {
            users_per_second: record.users.arrived / self.tick_seconds,
            ready: record.ready(),
            wanted: record.pools.iter().map(|pool| pool.wanted).sum(),
            latency_seconds: service.latency_seconds / service.succeeded(),
            violating_share: if service.users > 0.0 { service.violating() / service.users } else { 0.0 },
        });
    }

    fn decision(&mut self, _now_seconds: f64, decision: &Decision) {
        self.resizes |= decision.targets.iter().any(|target| target.replica_size.is_some());
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::{PoolTick, ServiceStatistics, UserLedger};

    use super::*;

    #[test]
    fn only_the_horizon_is_kept_and_pools_are_summed() {
        let mut recorder = Recorder::new(10.0);
        let mut record = TickRecord {
            users: UserLedger { arrived: 50.0, ..UserLedger::default() },
            service: ServiceStatistics {
                users: 40.0,
                users_above: 3.0,
                users_gave_up: 1.0,
                latency_seconds: 78.0,
                ..ServiceStatistics::default()
            },
            pools: vec![PoolTick { ready: 2, wanted: 3, ..PoolTick::default() }; 2],
            ..TickRecord::default()
        };
        recorder.tick(&record);
        record.phase = Phase::Horizon;
        recorder.tick(&record);
        let expected =
            Sample { users_per_second: 5.0, ready: 4, wanted: 6, latency_seconds: 2.0, violating_share: 0.1 };
        assert_eq!(recorder.samples, [expected]);
        assert_eq!(recorder.series(|sample| f64::from(sample.ready)), [4.0]);
    }
}
