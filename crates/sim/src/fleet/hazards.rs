//! What strikes replicas: crashes, unhealthy spells, notices and shocks of the spot market.

use tidegate_core::observation::Notice;
use tidegate_core::{Key, SECONDS_PER_HOUR};

use super::{Change, ChangeKind, DueKind, Fleet, Life, place};

impl Fleet {
    pub(super) fn strike(
        &mut self,
        pool: usize,
        start: f64,
        shock_share: f64,
        hazards: &[(f64, DueKind, Key); 3],
    ) {
        let hours = self.tick_seconds / SECONDS_PER_HOUR;
        for index in 0..self.replicas.len() as u32 {
            let replica = &self.replicas[index as usize];
            if usize::from(replica.pool) != pool || !replica.counts() {
                continue;
            }
            let (place, tick) = (place(replica.pool, replica.slot), u64::from(self.tick.0));
            // The shock has numbers of its own: the same key with the top bit of the place set.
            if shock_share > 0.0 && self.preemption.uniform(place | 1 << 63, tick) < shock_share {
                self.push(start, index, DueKind::Notice);
                continue;
            }
            for (rate, kind, key) in hazards {
                // The first event of a Poisson process at this rate, if it falls into the tick.
                let waited = if *rate > 0.0 { -key.uniform(place, tick).ln() / rate } else { f64::INFINITY };
                if waited < hours {
                    self.push(start + waited * SECONDS_PER_HOUR, index, *kind);
                }
            }
        }
    }

    /// A spot notice: the balancer stops sending at once, a replacement is asked for, and at the end of the notice
    /// the replica is gone.
    pub(super) fn preempt(&mut self, pool: usize, index: u32, now: f64, changes: &mut Vec<Change>) {
        let notice_seconds = self.specs[pool].spot.map_or(0.0, |spot| spot.notice_seconds);
        self.pools[pool].tick.preemptions += 1;
        self.notices.push(Notice {
            pool: pool as u16,
            replica: self.replicas[index as usize].id,
            at_seconds: now,
            gone_seconds: now + notice_seconds,
        });
        self.pools[pool].notices += 1;
        self.dismiss(index, now, notice_seconds, changes);
        self.reconcile(pool, now, changes);
    }

    /// A replica ends with whatever it has in hand.
    pub(super) fn lose(&mut self, index: u32, now: f64, changes: &mut Vec<Change>) {
        let pool = self.replicas[index as usize].pool as usize;
        match self.replicas[index as usize].life {
            Life::Coming => self.pools[pool].coming -= 1,
            Life::Ready | Life::Unhealthy => self.stop_serving(index, now),
            Life::Draining | Life::Leaving | Life::Preparing | Life::Warm | Life::Gone => {}
        }
        self.end(index, now);
        changes.push(Change { at_seconds: now, replica: index, kind: ChangeKind::Gone });
    }
}
