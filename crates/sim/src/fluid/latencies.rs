//! The latencies of a run's users, kept as laws and resolved only when a quantile is asked for.
//!
//! A served piece adds its users to a cell of (certain part, mean of the exponential part), shared among the nearest
//! cells so that both keep their means. Users who were served after their patience are the slowest of their kind, so a
//! kind's distribution is cut where its successes end.

use super::flow::{ATTEMPTS_MAX, LatencySink};
use super::tables::{Law, Octaves, SojournTable};

/// Certain parts from 4 ms to a day, exponential parts from 1 ms.
const SHIFTS: Octaves = Octaves { exponent_min: -8, doublings: 25, bits: 3 };
const MEANS: Octaves = Octaves { exponent_min: -10, doublings: 27, bits: 2 };

/// Latencies by number of the attempt that succeeded.
#[derive(Clone, Debug)]
pub struct Latencies {
    kinds: Vec<Kind>,
    gave_up: f64,
    /// Whether what comes is counted.
    pub counting: bool,
}

#[derive(Clone, Debug)]
struct Kind {
    users: f64,
    succeeded: f64,
    unit_seconds: f64,
    /// Shifts (the first is none) without a further wait.
    at_once: Vec<f64>,
    /// Shifts × means.
    delayed: Vec<f64>,
}

impl Latencies {
    pub fn new(attempts_max: usize) -> Self {
        let shifts = SHIFTS.points() + 1;
        let kind = Kind {
            users: 0.0,
            succeeded: 0.0,
            unit_seconds: 0.0,
            at_once: vec![0.0; shifts],
            delayed: vec![0.0; shifts * MEANS.points()],
        };
        Self { kinds: vec![kind; attempts_max.min(ATTEMPTS_MAX)], gave_up: 0.0, counting: false }
    }

    pub fn reset(&mut self) {
        self.gave_up = 0.0;
        self.counting = false;
        for kind in &mut self.kinds {
            (kind.users, kind.succeeded, kind.unit_seconds) = (0.0, 0.0, 0.0);
            kind.at_once.fill(0.0);
            kind.delayed.fill(0.0);
        }
    }

    pub fn gave_up(&mut self, users: f64) {
        if self.counting {
            self.gave_up += users;
        }
    }

    /// The latency that a share `p` of the users does not exceed; those who gave up count as infinite.
    pub fn quantile_seconds(&self, sojourn: &SojournTable, p: f64) -> Option<f64> {
        let succeeded: f64 = self.kinds.iter().map(|kind| kind.succeeded).sum();
        let all = succeeded + self.gave_up;
        if all <= 0.0 {
            return None;
        }
        let later = (1.0 - p) * all - self.gave_up;
        if later < 0.0 {
            return Some(f64::INFINITY);
        }
        let above = |x: f64| self.kinds.iter().map(|kind| kind.above(sojourn, x)).sum::<f64>();
        let (mut low, mut high) = (0.0, 1.0);
        while above(high) > later && high < 1e7 {
            high *= 2.0;
        }
        // 40 halvings: finer than the cells by far.
        for _ in 0..40 {
            let middle = f64::midpoint(low, high);
            if above(middle) > later {
                low = middle;
            } else {
                high = middle;
            }
        }
        Some(f64::midpoint(low, high))
    }
}

impl Kind {
    /// Users of this kind who succeeded later than `seconds`.
    fn above(&self, sojourn: &SojournTable, seconds: f64) -> f64 {
        if self.succeeded <= 0.0 {
            return 0.0;
        }
        let unit = self.unit_seconds / self.users;
        let mut sum = 0.0;
        for (shift, at_once) in self.at_once.iter().enumerate() {
            let certain = if shift == 0 { 0.0 } else { SHIFTS.value(shift - 1) / unit };
            let law = Law { shift: certain, waits: 0.0, decay: 1.0, mean: 1.0, cut: f64::INFINITY };
            if *at_once > 0.0 {
                sum += at_once * sojourn.tail(&law, seconds / unit).survival;
            }
            for (point, delayed) in
                self.delayed[shift * MEANS.points()..][..MEANS.points()].iter().enumerate()
            {
                if *delayed > 0.0 {
                    let mean = MEANS.value(point) / unit;
                    let law = Law { waits: 1.0, decay: 1.0 / mean, mean, ..law };
                    sum += delayed * sojourn.tail(&law, seconds / unit).survival;
                }
            }
        }
        (sum - (self.users - self.succeeded)).max(0.0)
    }
}

impl LatencySink for Latencies {
    #[inline]
    fn add(
        &mut self,
        attempt: usize,
        users: f64,
        succeeded: f64,
        before_seconds: f64,
        law: &Law,
        unit_seconds: f64,
    ) {
        if !self.counting {
            return;
        }
        let kind = &mut self.kinds[attempt];
        kind.users += users;
        kind.succeeded += succeeded;
        kind.unit_seconds += users * unit_seconds;
        let mut shift = before_seconds + law.shift * unit_seconds;
        let mut waits = law.waits;
        if law.cut < f64::INFINITY {
            // Near the wall the wait hardly varies.
            shift += waits * law.mean * unit_seconds;
            waits = 0.0;
        }
        let (cell, part) = if shift < SHIFTS.least() {
            (0, shift / SHIFTS.least())
        } else {
            let (cell, part) = SHIFTS.locate(shift);
            (cell + 1, part)
        };
        let columns = MEANS.points();
        let (column, across) = MEANS.locate(law.mean * unit_seconds);
        for (row, share) in [(cell, 1.0 - part), (cell + 1, part)] {
            if share > 0.0 {
                let users = users * share;
                kind.at_once[row] += users * (1.0 - waits);
                let delayed = &mut kind.delayed[row * columns + column..][..2];
                delayed[0] += users * waits * (1.0 - across);
                delayed[1] += users * waits * across;
            }
        }
    }
}
