//! How far a method was off in the past, as offsets of the quantiles from its point forecast.
//!
//! For n past errors in order, e₍₁₎ ≤ … ≤ e₍ₙ₎, the offset of level q is
//!
//! e₍⌈(n+1)q⌉₎ above one half, e₍⌊(n+1)q⌋₎ below it, the mean of both at one half,
//!
//! with the position cut to 1 … n. This is split conformal prediction on the method's own errors (Lei et al.,
//! "Distribution-free predictive inference for regression", JASA 113, 2018): if the coming error is exchangeable with
//! the past ones, a value lies at or below the quantile of level q > ½ with probability q at least, wherever
//! (n+1)q ≤ n; with fewer errors the largest one stands in, which covers n/(n+1). Errors of a time series are
//! exchangeable only roughly, so coverage is measured in the tests of each method. The offset at one half corrects a
//! bias: the median is the point forecast only where the method errs as often up as down. Offsets rise with the level,
//! so the quantiles do not cross.

use tidegate_core::Quantiles;

/// Errors that are sorted for one set of offsets; more are thinned out evenly. Neighbours tell nearly the same, and
/// at 1024 the 1 % level still has ten errors beyond it.
pub(crate) const ERRORS_MAX: usize = 1024;

pub(crate) type Levels = [f64; Quantiles::LEVELS.len()];

/// Offsets of the levels from the point forecast; how many errors they come from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Offsets {
    pub(crate) n_errors: usize,
    by_level: Levels,
}

impl Offsets {
    /// Of the errors that `error` gives for the steps from `first` up to, not including, `end`; `scratch` is room to
    /// sort in.
    pub(crate) fn of(
        first: u64,
        end: u64,
        scratch: &mut Vec<f64>,
        error: impl Fn(u64) -> Option<f64>,
    ) -> Self {
        scratch.clear();
        let stride = end.saturating_sub(first).div_ceil(ERRORS_MAX as u64).max(1);
        // Back from the newest, so that the newest error always counts.
        let mut step = end;
        while step > first {
            scratch.extend(error(step - 1));
            step = step.saturating_sub(stride);
        }
        scratch.sort_unstable_by(f64::total_cmp);
        let n_errors = scratch.len();
        if n_errors == 0 {
            return Self::default();
        }
        let order = |position: f64| scratch[(position as usize).clamp(1, n_errors) - 1];
        let by_level = Quantiles::LEVELS.map(|level| {
            let position = (n_errors as f64 + 1.0) * level;
            // The levels are decimal fractions: 0.95 · 20 is to be 19.
            let (below, above) = ((position + 1e-9).floor(), (position - 1e-9).ceil());
            if level < 0.5 {
                order(below)
            } else if level > 0.5 {
                order(above)
            } else {
                f64::midpoint(order(below), order(above))
            }
        });
        Self { n_errors, by_level }
    }

    /// The quantiles about a point forecast, the offsets `factor` times as large; never negative.
    pub(crate) fn about(&self, point: f64, factor: f64) -> Levels {
        self.by_level.map(|offset| not_negative(point + factor * offset))
    }

    /// The same spread without its bias: the median lies on the point.
    pub(crate) fn centred(mut self) -> Self {
        let median = self.by_level[Quantiles::LEVELS.len() / 2];
        self.by_level = self.by_level.map(|offset| offset - median);
        self
    }
}

/// A forecast of what is never negative is not negative, nor infinite.
pub(crate) fn not_negative(value: f64) -> f64 {
    value.clamp(0.0, f64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 19 errors 1 … 19: the positions are 20 q, and where that is below 1 or above 19 the end stands in.
    #[test]
    fn the_offsets_are_order_statistics() {
        let offsets = Offsets::of(0, 19, &mut Vec::new(), |step| Some(step as f64 + 1.0));
        assert_eq!(offsets.about(0.0, 1.0), [1.0, 1.0, 2.0, 5.0, 10.0, 15.0, 18.0, 19.0, 19.0]);
        assert_eq!(offsets.about(100.0, 2.0)[8], 138.0);
        let two = Offsets::of(0, 2, &mut Vec::new(), |step| Some(step as f64));
        assert_eq!(two.about(0.0, 1.0), [0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn many_errors_are_thinned_and_the_newest_stays() {
        let mut scratch = Vec::new();
        let offsets = Offsets::of(7, 10_007, &mut scratch, |step| Some(step as f64));
        assert!(offsets.n_errors <= ERRORS_MAX && offsets.n_errors > ERRORS_MAX / 2);
        assert_eq!(scratch.last(), Some(&10_006.0));
    }
}
