//! Latencies, counted in the cells of an `hdrhistogram`: units of 10 µs, two digits, up to 28 hours.
//!
//! Every request is recorded twice, and the library's `record` takes 75 instructions; finding the cell here takes 25
//! and finds the same one (a test compares). Quantiles are the library's: the cells are poured into a histogram when
//! somebody asks.

use hdrhistogram::Histogram;

const UNITS_PER_SECOND: f64 = 1e5;
const UNITS_MAX: u64 = 10_000_000_000;
/// Cells to each doubling, from the first 256, which are one unit wide: that is what two digits need.
const HALF: usize = 128;

/// Counts of latencies; longer ones than the longest are counted as that.
#[derive(Clone, Debug)]
pub struct Latencies {
    counts: Vec<u32>,
}

impl Latencies {
    pub fn new() -> Self {
        Self { counts: vec![0; cell(UNITS_MAX) + 1] }
    }

    /// The histogram that fits these cells.
    pub fn histogram() -> Histogram<u32> {
        Histogram::new_with_bounds(1, UNITS_MAX, 2).expect("two digits up to a day fit")
    }

    #[inline]
    pub fn record(&mut self, seconds: f64) {
        let units = ((seconds * UNITS_PER_SECOND) as u64).min(UNITS_MAX);
        self.counts[cell(units)] += 1;
    }

    pub fn len(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    pub fn reset(&mut self) {
        self.counts.fill(0);
    }

    /// Makes `histogram` hold these latencies and nothing else.
    pub fn pour_into(&self, histogram: &mut Histogram<u32>) {
        histogram.reset();
        for (cell, count) in self.counts.iter().enumerate() {
            if *count > 0 {
                histogram.saturating_record_n(lowest(cell), *count);
            }
        }
    }
}

/// The latency that a share `p` of those in the histogram does not exceed, in seconds.
pub fn seconds_at(histogram: &Histogram<u32>, p: f64) -> f64 {
    let value = histogram.value_at_quantile(p);
    histogram.median_equivalent(value) as f64 / UNITS_PER_SECOND
}

#[inline]
fn cell(units: u64) -> usize {
    let doublings = 56 - (units | 255).leading_zeros() as usize;
    doublings * HALF + (units >> doublings) as usize
}

/// The least value of a cell.
fn lowest(cell: usize) -> u64 {
    let doublings = (cell / HALF).saturating_sub(1);
    ((cell - doublings * HALF) as u64) << doublings
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_cell_is_the_librarys() {
        let histogram = Latencies::histogram();
        for index in 0..=cell(UNITS_MAX) {
            assert_eq!(cell(lowest(index)), index);
            assert_eq!(histogram.lowest_equivalent(lowest(index)), lowest(index));
            assert_eq!(lowest(index + 1), histogram.next_non_equivalent(lowest(index)));
        }
    }

    proptest! {
        #[test]
        fn the_histogram_is_what_the_library_would_have_recorded(
            latencies in prop::collection::vec((-6.0..6.0_f64).prop_map(|x| 10_f64.powf(x)), 1..300),
        ) {
            let (mut ours, mut theirs) = (Latencies::new(), Latencies::histogram());
            for seconds in &latencies {
                ours.record(*seconds);
                theirs.saturating_record(((seconds * UNITS_PER_SECOND) as u64).min(UNITS_MAX));
            }
            let mut poured = Latencies::histogram();
            ours.pour_into(&mut poured);
            prop_assert_eq!(ours.len(), latencies.len() as u64);
            for percent in 0..=100 {
                let p = f64::from(percent) / 100.0;
                prop_assert_eq!(seconds_at(&poured, p), seconds_at(&theirs, p));
            }
        }
    }
}
