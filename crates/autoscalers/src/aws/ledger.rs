//! What a group knows of its own instances: which have not warmed up, and when the last activity ended.

use std::collections::VecDeque;

use tidegate_core::{PoolStatus, ReplicaSample, Replicas};

/// Kept from what the API says at each decision, so that times are known to one period.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    ready: Option<Replicas>,
    first_seconds: f64,
    /// When replicas became ready, and how many; oldest first.
    came: VecDeque<(f64, Replicas)>,
    is_active: bool,
    activity_end_seconds: f64,
}

impl Ledger {
    /// Remembers warm-ups of up to `seconds`, looking every `period_seconds`.
    pub(super) fn new(seconds: f64, period_seconds: f64) -> Self {
        Self {
            ready: None,
            first_seconds: f64::NEG_INFINITY,
            came: VecDeque::with_capacity((seconds / period_seconds).ceil() as usize + 2),
            is_active: false,
            activity_end_seconds: f64::NEG_INFINITY,
        }
    }

    pub(super) fn clear(&mut self) {
        self.came.clear();
        *self = Self { came: std::mem::take(&mut self.came), ..Self::new(0.0, 1.0) };
    }

    pub(super) fn see(&mut self, now_seconds: f64, status: &PoolStatus) {
        // What was there at first is taken as warm.
        let before = *self.ready.get_or_insert_with(|| {
            self.first_seconds = now_seconds;
            status.ready
        });
        self.ready = Some(status.ready);
        if status.ready > before {
            if self.came.len() == self.came.capacity() {
                self.came.pop_front();
            }
            self.came.push_back((now_seconds, status.ready - before));
        }
        let mut gone = before.saturating_sub(status.ready);
        // The youngest go first.
        while gone > 0 {
            let Some((_, count)) = self.came.back_mut() else { break };
            let taken = gone.min(*count);
            (*count, gone) = (*count - taken, gone - taken);
            if *count == 0 {
                self.came.pop_back();
            }
        }
        let is_active = status.starting > 0 || status.draining > 0;
        if is_active || self.is_active {
            self.activity_end_seconds = now_seconds;
        }
        self.is_active = is_active;
    }

    /// The capacity was changed now.
    pub(super) fn changed(&mut self, now_seconds: f64) {
        self.activity_end_seconds = now_seconds;
    }

    /// Replicas that serve and have not warmed up.
    pub(super) fn warming(&self, now_seconds: f64, warm_up_seconds: f64) -> Replicas {
        let young = self.came.iter().filter(|(at, _)| now_seconds - at < warm_up_seconds);
        young.map(|(_, count)| count).sum()
    }

    /// Whether this replica has warmed up.
    pub(super) fn is_warm(&self, replica: &ReplicaSample, now_seconds: f64, warm_up_seconds: f64) -> bool {
        let since = replica.ready_changed_seconds;
        since <= self.first_seconds || now_seconds - since >= warm_up_seconds
    }

    /// Whether replicas are being launched or ended.
    pub(super) fn is_active(&self) -> bool {
        self.is_active
    }

    /// When the last launch or termination was over, as far as is known; in the past without end if there was none.
    pub(super) fn activity_end_seconds(&self) -> f64 {
        self.activity_end_seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(ready: Replicas, starting: Replicas, draining: Replicas) -> PoolStatus {
        PoolStatus { ready, starting, draining, ..PoolStatus::default() }
    }

    #[test]
    fn what_came_lately_is_warming_and_the_youngest_go_first() {
        let mut ledger = Ledger::new(300.0, 60.0);
        ledger.see(0.0, &status(4, 0, 0));
        assert_eq!(ledger.warming(0.0, 300.0), 0);
        ledger.see(60.0, &status(6, 0, 0));
        ledger.see(120.0, &status(9, 0, 0));
        assert_eq!(ledger.warming(120.0, 300.0), 5);
        assert_eq!(ledger.warming(359.0, 300.0), 5);
        assert_eq!(ledger.warming(360.0, 300.0), 3);
        ledger.see(180.0, &status(5, 0, 0));
        assert_eq!(ledger.warming(180.0, 300.0), 1);
        ledger.see(240.0, &status(2, 0, 0));
        assert_eq!(ledger.warming(240.0, 300.0), 0);
        ledger.clear();
        ledger.see(0.0, &status(7, 0, 0));
        assert_eq!(ledger.warming(0.0, 300.0), 0);
    }

    #[test]
    fn an_activity_ends_with_the_last_launch_or_termination() {
        let mut ledger = Ledger::new(300.0, 60.0);
        ledger.see(0.0, &status(4, 0, 0));
        assert_eq!(ledger.activity_end_seconds(), f64::NEG_INFINITY);
        ledger.see(60.0, &status(4, 2, 0));
        assert!(ledger.is_active());
        ledger.see(120.0, &status(5, 1, 0));
        ledger.see(180.0, &status(6, 0, 0));
        assert!(!ledger.is_active());
        ledger.see(240.0, &status(6, 0, 0));
        assert_eq!(ledger.activity_end_seconds(), 180.0);
    }
}
