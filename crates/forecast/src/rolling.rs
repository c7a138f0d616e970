//! How a method did in the past: forecasts from many origins beside the values that came.
//!
//! Horizons are those of a few buckets, 1, 2, 3, 4, 6, 8, 12, … up to a day: errors of neighbouring long horizons are
//! nearly the same. Origins lie a stride apart, for the same reason.

use crate::history::History;
use crate::last_value::lags;
use crate::point::Point;

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

    /// Bucket, forecast and value of all origins on the grid whose value came in the steps from `from` up to, not
    /// including, `end`; within a bucket in the order of time.
    pub(crate) fn since<P: Point + ?Sized>(
        &self,
        point: &P,
        history: &History,
        from: u64,
        end: u64,
        mut pair: impl FnMut(usize, f64, f64),
    ) {
        let mut origins = Vec::new();
        for (bucket, ahead) in self.aheads.iter().enumerate() {
            let back = u64::from(*ahead) - 1;
            let first = from.saturating_sub(back).max(point.earliest_origin(history));
            origins.clear();
            origins.extend(
                (first.next_multiple_of(self.stride)..end.saturating_sub(back)).step_by(self.stride as usize),
            );
            if origins.is_empty() {
                continue;
            }
            point.forecast(history, &origins, &[*ahead], &mut |index, forecast| {
                if let Some(value) = history.get(origins[index] + back) {
                    pair(bucket, forecast[0], value);
                }
            });
        }
    }

    /// The same of a part of the history as a whole, from evenly spaced origins in it: as many as there can be, but
    /// bounded. In each bucket in the order of time.
    pub(crate) fn over<P: Point + ?Sized>(
        &self,
        point: &P,
        history: &History,
        from: u64,
        end: u64,
        mut pair: impl FnMut(usize, f64, f64),
    ) {
        let first = from.max(point.earliest_origin(history));
        let stride = end.saturating_sub(first).div_ceil(ORIGINS_MAX).max(1);
        let origins: Vec<u64> = (first..end).step_by(stride as usize).collect();
        if origins.is_empty() {
            return;
        }
        let longest = self.aheads.partition_point(|ahead| first + u64::from(*ahead) <= end);
        let aheads = &self.aheads[..longest];
        point.forecast(history, &origins, aheads, &mut |index, forecast| {
            for ((bucket, ahead), forecast) in aheads.iter().enumerate().zip(forecast) {
                let step = origins[index] + u64::from(*ahead) - 1;
                if let Some(value) = history.get(step).filter(|_| step < end) {
                    pair(bucket, *forecast, value);
                }
            }
        });
    }
}
