//! The replicas that were ready, over time.

use std::collections::VecDeque;

/// Looks that are remembered: the scrapes of one look are rarely older.
const LOOKS: usize = 256;

/// Counts with their times.
#[derive(Clone, Debug)]
pub(super) struct ReadyHistory(VecDeque<(f64, f64)>);

impl Default for ReadyHistory {
    fn default() -> Self {
        Self(VecDeque::with_capacity(LOOKS))
    }
}

impl ReadyHistory {
    /// So many are ready now.
    pub(super) fn push(&mut self, seconds: f64, ready: f64) {
        if self.0.len() >= LOOKS {
            self.0.pop_front();
        }
        self.0.push_back((seconds, ready));
    }

    /// The mean count from one time to another, and whether it moved. Between looks the count goes in a straight line:
    /// when it jumped is not known. Before the first look it is that of the first, after the last that of the last.
    pub(super) fn mean(&self, from: f64, to: f64) -> (f64, bool) {
        let Some(&last) = self.0.back() else { return (0.0, false) };
        let mut area = 0.0;
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut add = |start: (f64, f64), end: (f64, f64)| {
            let (a, b) = (start.0.max(from), end.0.min(to));
            if b <= a {
                return;
            }
            let slope =
                if end.0 > start.0 && start.1 != end.1 { (end.1 - start.1) / (end.0 - start.0) } else { 0.0 };
            let at = |t: f64| if slope == 0.0 { start.1 } else { start.1 + slope * (t - start.0) };
            area += f64::midpoint(at(a), at(b)) * (b - a);
            least = least.min(start.1.min(end.1));
            most = most.max(start.1.max(end.1));
        };
        let first = self.0[0];
        add((from.min(first.0), first.1), first);
        // Newest first: windows are near the end.
        let mut later = last;
        add(last, (to.max(last.0), last.1));
        for &look in self.0.iter().rev().skip(1) {
            add(look, later);
            if look.0 <= from {
                break;
            }
            later = look;
        }
        if to > from { (area / (to - from), most > least) } else { (last.1, false) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_areas_under_straight_lines() {
        let mut history = ReadyHistory::default();
        for (seconds, ready) in [(10.0, 2.0), (20.0, 2.0), (30.0, 6.0), (40.0, 6.0)] {
            history.push(seconds, ready);
        }
        assert_eq!(history.mean(10.0, 20.0), (2.0, false));
        assert_eq!(history.mean(20.0, 30.0), (4.0, true));
        assert_eq!(history.mean(25.0, 35.0), ((5.0 * 5.0 + 5.0 * 6.0) / 10.0, true));
        assert_eq!(history.mean(0.0, 15.0), (2.0, false));
        assert_eq!(history.mean(35.0, 55.0), (6.0, false));
    }
}
