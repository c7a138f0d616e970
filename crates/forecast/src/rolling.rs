//! How a method did in the past: forecasts from many origins beside the values that came.
//!
//! Horizons are those of a few buckets, 1, 2, 3, 4, 6, 8, 12, … up to a day: errors of neighbouring long horizons are
//! nearly the same. Origins lie a stride apart, for the same reason.

use std::collections::VecDeque;

use crate::history::History;
use crate::last_value::lags;
use crate::point::{Guess, Point, guesses};

/// Origins are at least so far apart.
const STRIDE_SECONDS: f64 = 900.0;

/// Origins at most in a hindcast over a whole calibration part, so that its cost is bounded.
const ORIGINS_MAX: u64 = 200;

/// Buckets of horizons, and the grid of origins.
#[derive(Clone, Debug)]
pub(crate) struct Rolling {
    /// Rising; the last one is a day.
    pub(crate) aheads: Vec<u32>,
    pub(crate) stride: u64,
}

impl Rolling {
    pub(crate) fn new(history: &History) -> Self {
        let day = history.steps_a_day() as u64;
        let aheads = lags().take_while(|lag| *lag < day).chain([day]).map(|lag| lag as u32).collect();
        Self { aheads, stride: (STRIDE_SECONDS / history.step_seconds()).round().max(1.0) as u64 }
    }

    /// The least bucket that is no less than `ahead`, or the last one.
    pub(crate) fn bucket(&self, ahead: u32) -> usize {
        self.aheads.partition_point(|bucket| *bucket < ahead).min(self.aheads.len() - 1)
    }

    /// Bucket, forecast and value, of a part of the history as a whole: from evenly spaced origins in it, as many as
    /// there can be, but bounded. In each bucket in the order of time.
    pub(crate) fn over<P: Point + ?Sized>(
        &self,
        point: &P,
        history: &History,
        from: u64,
        end: u64,
        mut pair: impl FnMut(usize, Guess, f64),
    ) {
        let first = from.max(point.earliest_origin(history));
        let stride = end.saturating_sub(first).div_ceil(ORIGINS_MAX).max(1);
        let origins: Vec<u64> = (first..end).step_by(stride as usize).collect();
        if origins.is_empty() {
            return;
        }
        let longest = self.aheads.partition_point(|ahead| first + u64::from(*ahead) <= end);
        let aheads = &self.aheads[..longest];
        point.forecast_with_spread(history, &origins, aheads, &mut |index, points, spreads| {
            for ((bucket, ahead), guess) in aheads.iter().enumerate().zip(guesses(points, spreads)) {
                let step = origins[index] + u64::from(*ahead) - 1;
                if let Some(value) = history.get(step).filter(|_| step < end) {
                    pair(bucket, guess, value);
                }
            }
        });
    }
}

/// Forecasts that were made and whose values are still to come. Each is by the fit of its time: a later one has seen part
/// of what came between origin and value, and its errors would be too small just when things change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Issued {
    /// Origin and forecasts, bucket by bucket.
    pending: VecDeque<(u64, Vec<Guess>)>,
    /// Origins before this step have issued theirs, and values before it are scored.
    until: u64,
}

impl Issued {
    /// Forgets what was issued; the next origin is `end`.
    pub(crate) fn restart(&mut self, end: u64) {
        self.pending.clear();
        self.until = end;
    }

    /// Before a fit is renewed: issues its forecasts of all origins on the grid up to `end`, and gives bucket, forecast and
    /// value for all values that came since the last time; within a bucket in the order of time.
    pub(crate) fn advance<P: Point + ?Sized>(
        &mut self,
        rolling: &Rolling,
        point: &P,
        history: &History,
        end: u64,
        mut pair: impl FnMut(usize, Guess, f64),
    ) {
        let first = self.until.max(point.earliest_origin(history)).next_multiple_of(rolling.stride);
        let origins: Vec<u64> = (first..end).step_by(rolling.stride as usize).collect();
        if !origins.is_empty() {
            let pending = &mut self.pending;
            point.forecast_with_spread(history, &origins, &rolling.aheads, &mut |index, points, spreads| {
                pending.push_back((origins[index], guesses(points, spreads).collect()));
            });
        }
        for (origin, forecasts) in &self.pending {
            for ((bucket, ahead), forecast) in rolling.aheads.iter().enumerate().zip(forecasts) {
                let step = origin + u64::from(*ahead) - 1;
                if let Some(value) = history.get(step).filter(|_| (self.until..end).contains(&step)) {
                    pair(bucket, *forecast, value);
                }
            }
        }
        let longest = u64::from(*rolling.aheads.last().expect("there are buckets"));
        while self.pending.front().is_some_and(|(origin, _)| origin + longest <= end) {
            self.pending.pop_front();
        }
        self.until = end;
    }
}
