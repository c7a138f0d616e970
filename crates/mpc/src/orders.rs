//! What was ordered and is not ready yet, by what the operator's API shows: counts, from decision to decision.

use tidegate_core::Replicas;

/// Orders under way, the oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Orders {
    under_way: Vec<(f64, Replicas)>,
}

impl Orders {
    pub(crate) fn clear(&mut self) {
        self.under_way.clear();
    }

    /// Brings the list to `starting` replicas: those that appeared were ordered just now, those that are gone are the
    /// oldest where as many became ready, else the newest, which a scale-in takes first.
    pub(crate) fn see(&mut self, now_seconds: f64, starting: Replicas, became_ready: Replicas) {
        let known = self.n();
        if starting >= known {
            self.push(now_seconds, starting - known);
            return;
        }
        let gone = known - starting;
        let ready = became_ready.min(gone);
        self.take_oldest(ready);
        self.take_newest(gone - ready);
    }

    /// How many become ready at the start of stage 1, 2, …, one entry a stage up to `delay` − 1; those that are
    /// overdue at stage 1.
    pub(crate) fn starting(
        &self,
        now_seconds: f64,
        startup_seconds: f64,
        stage_seconds: f64,
        delay: u32,
        out: &mut Vec<Replicas>,
    ) {
        out.clear();
        let n_entries = (delay as usize).saturating_sub(1);
        out.resize(n_entries, 0);
        if n_entries == 0 {
            return;
        }
        for (at_seconds, count) in &self.under_way {
            let left_seconds = startup_seconds - (now_seconds - at_seconds);
            let stage = (left_seconds / stage_seconds - 1e-9).ceil().max(1.0) as usize;
            out[stage.min(n_entries) - 1] += count;
        }
    }

    fn n(&self) -> Replicas {
        self.under_way.iter().map(|(_, count)| count).sum()
    }

    fn push(&mut self, at_seconds: f64, count: Replicas) {
        if count > 0 {
            self.under_way.push((at_seconds, count));
        }
    }

    fn take_oldest(&mut self, mut count: Replicas) {
        for (_, there) in &mut self.under_way {
            let taken = count.min(*there);
            *there -= taken;
            count -= taken;
        }
        self.under_way.retain(|(_, there)| *there > 0);
    }

    fn take_newest(&mut self, mut count: Replicas) {
        for (_, there) in self.under_way.iter_mut().rev() {
            let taken = count.min(*there);
            *there -= taken;
            count -= taken;
        }
        self.under_way.retain(|(_, there)| *there > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starting(orders: &Orders, now_seconds: f64) -> Vec<Replicas> {
        let mut out = Vec::new();
        orders.starting(now_seconds, 100.0, 20.0, 5, &mut out);
        out
    }

    #[test]
    fn orders_come_ready_when_their_start_up_is_over() {
        let mut orders = Orders::default();
        orders.see(0.0, 3, 0);
        orders.see(20.0, 5, 0);
        // 60 s and 80 s are left.
        assert_eq!(starting(&orders, 40.0), [0, 0, 3, 2]);
        // Two of the first became ready, and two more were ordered and called back at once.
        orders.see(60.0, 3, 2);
        assert_eq!(starting(&orders, 60.0), [0, 1, 2, 0]);
        orders.see(80.0, 1, 0);
        assert_eq!(starting(&orders, 80.0), [1, 0, 0, 0]);
        // Overdue: the next stage.
        assert_eq!(starting(&orders, 500.0), [1, 0, 0, 0]);
        orders.see(520.0, 0, 1);
        assert_eq!(starting(&orders, 520.0), [0; 4]);
    }
}
