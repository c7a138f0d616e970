//! One-second buckets of a metric and their average over a window, as Knative's collector keeps them.
//!
//! linear: Σ bₖ / n over the seconds of the window for which there can be data
//!
//! weighted exponential: Σ bₖ m (1 − m)^(now − k), m = max(0.2, 1 − (1 − 0.9999)^(1/N)), N seconds in the window
//!
//! Until the first window is full, n counts from the first second written; seconds after the last one written do not
//! count; a second in between without data is a 0. After a whole window without data the first second is forgotten.

use serde::{Deserialize, Serialize};

/// How the seconds of a window are averaged.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Averaging {
    /// Each second counts the same.
    #[default]
    Linear,
    /// Recent seconds count more.
    WeightedExponential,
}

/// The seconds of one window. Fixed size.
#[derive(Clone, Debug)]
pub struct Buckets {
    averaging: Averaging,
    values: Vec<f64>,
    /// The first and the last second written.
    written: Option<(i64, i64)>,
}

impl Buckets {
    /// An empty window of so many seconds.
    ///
    /// # Panics
    /// If it has none.
    pub fn new(seconds: u32, averaging: Averaging) -> Self {
        assert!(seconds > 0, "a window has at least one second");
        Self { averaging, values: vec![0.0; seconds as usize], written: None }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.written = None;
        self.values.fill(0.0);
    }

    /// Adds a value to a second. Second `k` ends at `k`.
    pub fn record(&mut self, second: i64, value: f64) {
        let seconds = self.seconds();
        match &mut self.written {
            None => self.written = Some((second, second)),
            Some((_, last)) if second + seconds <= *last => return,
            Some((first, last)) => {
                *first = (*first).min(second);
                if second - *last >= seconds {
                    *first = second;
                    self.values.fill(0.0);
                } else {
                    for skipped in *last + 1..=second {
                        self.values[skipped.rem_euclid(seconds) as usize] = 0.0;
                    }
                }
                *last = second.max(*last);
            }
        }
        self.values[second.rem_euclid(seconds) as usize] += value;
    }

    /// Whether nothing was written for a whole window.
    pub fn is_empty(&self, now: i64) -> bool {
        self.written.is_none_or(|(_, last)| now - last >= self.seconds())
    }

    /// The average at this second; 0 if there is no data.
    pub fn average(&self, now: i64) -> f64 {
        let Some((first, last)) = self.written.filter(|_| !self.is_empty(now)) else { return 0.0 };
        let seconds = self.seconds();
        let oldest = now.max(last) - seconds + 1;
        let value = |second: i64| self.values[second.rem_euclid(seconds) as usize];
        match self.averaging {
            Averaging::Linear => {
                let sum: f64 = (oldest..=last).map(value).sum();
                let n = (last - first + 1).min(last - oldest + 1);
                // Knative cuts to six digits, so that the last bits of a sum ask for no further pod.
                (sum / n as f64 * 1e6).floor() / 1e6
            }
            Averaging::WeightedExponential => {
                let multiplier = (1.0 - 1e-4_f64.powf(1.0 / seconds as f64)).max(0.2);
                let weight = |second: i64| {
                    multiplier * (1.0 - multiplier).powi((now.max(last) - second).min(4096) as i32)
                };
                (oldest..=last).rev().map(|second| value(second) * weight(second)).sum()
            }
        }
    }

    fn seconds(&self) -> i64 {
        i64::try_from(self.values.len()).expect("a window has few seconds")
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_average_counts_from_the_first_second_to_the_last() {
        let mut buckets = Buckets::new(5, Averaging::Linear);
        assert!(buckets.is_empty(0));
        buckets.record(10, 6.0);
        assert_eq!(buckets.average(10), 6.0);
        buckets.record(12, 6.0);
        // The second 11 is a 0.
        assert_eq!(buckets.average(12), 4.0);
        // Seconds without news are not zeros, and the window moves on: 10 is out at 15.
        assert_eq!(buckets.average(14), 4.0);
        assert_eq!(buckets.average(15), 3.0);
        assert_eq!(buckets.average(16), 6.0);
        assert!(!buckets.is_empty(16));
        assert!(buckets.is_empty(17));
        // After a window of silence it starts afresh, here at full height.
        buckets.record(30, 9.0);
        assert_eq!(buckets.average(30), 9.0);
        buckets.record(25, 100.0);
        assert_eq!(buckets.average(30), 9.0);
        buckets.record(30, 1.0);
        assert_eq!(buckets.average(30), 10.0);
    }

    #[test]
    fn a_late_value_finds_its_second() {
        let mut buckets = Buckets::new(5, Averaging::Linear);
        buckets.record(10, 1.0);
        buckets.record(8, 5.0);
        assert_eq!(buckets.average(10), 2.0);
    }

    /// A window of 60 s has the least multiplier, 0.2: after k equal seconds the average is 1 − 0.8ᵏ of them.
    #[test]
    fn recent_seconds_weigh_more() {
        let mut buckets = Buckets::new(60, Averaging::WeightedExponential);
        for second in 1..=10 {
            buckets.record(second, 3.0);
        }
        assert_abs_diff_eq!(buckets.average(10), 3.0 * (1.0 - 0.8_f64.powi(10)), epsilon = 1e-12);
        assert_abs_diff_eq!(
            buckets.average(12),
            3.0 * (1.0 - 0.8_f64.powi(10)) * 0.8_f64.powi(2),
            epsilon = 1e-12
        );
        let mut short = Buckets::new(6, Averaging::WeightedExponential);
        for second in 1..=6 {
            short.record(second, 1.0);
        }
        assert_abs_diff_eq!(short.average(6), 0.9999, epsilon = 1e-12);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Against a list of all that was written.
        #[test]
        fn an_average_is_that_of_the_list(steps in prop::collection::vec((1..9_i64, 0..50_u32), 1..60), wait in 0..12_i64) {
            let mut buckets = Buckets::new(7, Averaging::Linear);
            let mut list: Vec<(i64, f64)> = Vec::new();
            let mut now = 0;
            for (step, value) in steps {
                now += step;
                if list.last().is_some_and(|(last, _)| now - last >= 7) {
                    list.clear();
                }
                list.push((now, f64::from(value)));
                buckets.record(now, f64::from(value));
            }
            let (first, last) = (list[0].0, now);
            let now = now + wait;
            let sum: f64 = list.iter().filter(|(at, _)| *at > now - 7).map(|(_, value)| value).sum();
            let n = (last - first + 1).min(7 - wait);
            let expected = if wait >= 7 { 0.0 } else { sum / n as f64 };
            prop_assert!((buckets.average(now) - expected).abs() <= 1e-6);
        }
    }
}
