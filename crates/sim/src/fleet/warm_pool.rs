//! The warm pool: prepared replicas that wait out of service, start faster, and may be what was scaled in before.

use super::{DueKind, Fleet, Life, Replica};

impl Fleet {
    pub(super) fn oldest_warm(&self, pool: usize) -> Option<u32> {
        if self.pools[pool].warm == 0 {
            return None;
        }
        self.of_pool(pool)
            .filter(|index| self.replicas[*index as usize].life == Life::Warm)
            .min_by(|a, b| self.replicas[*a as usize].id.cmp(&self.replicas[*b as usize].id))
    }

    pub(super) fn leave_warm_pool(&mut self, pool: usize, index: u32, now_seconds: f64) {
        let warm = self.specs[pool].warm_pool.as_ref().expect("a warm replica has a warm pool");
        let startup = warm.startup.quantile(self.startup_luck(index));
        self.pools[pool].warm -= 1;
        let replica = &mut self.replicas[index as usize];
        replica.life = Life::Coming;
        replica.created_seconds = now_seconds;
        let size = replica.size;
        self.pools[pool].alive += 1;
        self.pools[pool].alive_size += size;
        self.pools[pool].tick.launches += 1;
        self.schedule_ready(pool, index, now_seconds, startup);
    }

    pub(super) fn fill_warm_pool(&mut self, pool: usize, now_seconds: f64, sells: bool) {
        let reuses = self.specs[pool].warm_pool.as_ref().is_some_and(|warm| warm.reuse_on_scale_in);
        let preparing = |fleet: &Self| {
            let is_on_its_way = |replica: &Replica| match replica.life {
                Life::Preparing => true,
                Life::Draining | Life::Leaving => reuses && replica.was_scaled_in,
                _ => false,
            };
            fleet.of_pool(pool).filter(|index| is_on_its_way(&fleet.replicas[*index as usize])).count() as u32
        };
        while self.pools[pool].warm > self.pools[pool].warm_wanted {
            let oldest = self.oldest_warm(pool).expect("the count says that there is one");
            self.pools[pool].warm -= 1;
            self.end(oldest, now_seconds);
        }
        while sells && self.pools[pool].warm + preparing(self) < self.pools[pool].warm_wanted {
            let index = self.create(pool, now_seconds, Life::Preparing);
            let startup = self.specs[pool].startup.quantile(self.startup_luck(index));
            self.push(now_seconds + startup, index, DueKind::Prepared);
        }
    }

    /// What was scaled in and is done with goes back to the warm pool, or ends.
    pub(super) fn retire(&mut self, index: u32, now: f64) {
        let pool = self.replicas[index as usize].pool as usize;
        let reuses = self.specs[pool].warm_pool.as_ref().is_some_and(|warm| warm.reuse_on_scale_in);
        let has_room = self.pools[pool].warm < self.pools[pool].warm_wanted;
        if !(reuses && has_room && self.replicas[index as usize].was_scaled_in) {
            self.end(index, now);
            return;
        }
        self.touch(pool, now);
        // Being in service was a life of its own for the bill; what follows is charged at the warm price.
        self.close_bill(index as usize, now);
        let replica = &mut self.replicas[index as usize];
        replica.life = Life::Warm;
        replica.was_scaled_in = false;
        // What was due in its last life must not strike in its next.
        replica.id = self.n_created;
        self.n_created += 1;
        let size = replica.size;
        let state = &mut self.pools[pool];
        state.draining -= 1;
        state.stop_paying(size);
        state.warm += 1;
        state.notices = state.notices.min(state.draining);
    }
}
