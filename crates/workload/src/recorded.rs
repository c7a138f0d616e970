//! A trace on the run's ticks. The trace's time 0 is the start of the run, warm-up included.
//!
//! A step that lies in several ticks gives each its share of the time, so counts are conserved (but for the steps
//! that the run's end cuts off); after the trace's end nobody comes.

use std::sync::Arc;

use tidegate_core::Tick;
use tidegate_core::scenario::Recorded;

use crate::days::Grid;

/// Users a second in each tick, counts conserved.
pub(crate) fn resample(recorded: &Recorded, grid: &Grid) -> Vec<f64> {
    (0..grid.n_ticks)
        .map(|tick| {
            let (from, to) = (tick as f64 * grid.tick_seconds, (tick + 1) as f64 * grid.tick_seconds);
            let users = users_between(&recorded.requests_per_second, recorded.step_seconds, from, to);
            users / grid.tick_seconds
        })
        .collect()
}

/// Users that come between two times, at rates that are constant in each step.
pub(crate) fn users_between(rates: &[f64], step_seconds: f64, from: f64, to: f64) -> f64 {
    rates
        .iter()
        .enumerate()
        .skip((from / step_seconds) as usize)
        .take_while(|(step, _)| (*step as f64) * step_seconds < to)
        .map(|(step, rate)| {
            let overlap = to.min((step + 1) as f64 * step_seconds) - from.max(step as f64 * step_seconds);
            rate * overlap.max(0.0)
        })
        .sum()
}

/// Every single arrival of the run, and which of them fall in which tick.
#[derive(Clone, Debug)]
pub(crate) struct RecordedArrivals {
    times: Arc<[f64]>,
    /// Position of the first arrival of each tick, and one more for the end.
    firsts: Vec<usize>,
}

impl RecordedArrivals {
    /// # Panics
    /// If the times are not sorted.
    pub(crate) fn new(times: &Arc<[f64]>, grid: &Grid) -> Self {
        assert!(times.is_sorted(), "the arrivals of a trace are in order of time");
        let firsts = (0..=grid.n_ticks)
            .map(|tick| {
                let start = tick as f64 * grid.tick_seconds;
                times.partition_point(|time| *time < start)
            })
            .collect();
        Self { times: times.clone(), firsts }
    }

    pub(crate) fn count(&self, users: &mut [u32]) {
        for (users, ends) in users.iter_mut().zip(self.firsts.windows(2)) {
            *users = (ends[1] - ends[0]) as u32;
        }
    }

    pub(crate) fn times(&self, tick: Tick) -> &[f64] {
        let tick = tick.0 as usize;
        &self.times[self.firsts[tick]..self.firsts[tick + 1]]
    }
}
