//! The run's ticks and the operator's days.

use chrono::{NaiveDate, TimeDelta, Timelike};
use tidegate_core::Calendar;

/// The ticks in which users arrive, and the clock on the wall.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub(crate) tick_seconds: f64,
    pub(crate) n_ticks: usize,
    pub(crate) calendar: Calendar,
}

impl Grid {
    /// Length of warm-up and horizon.
    pub(crate) fn seconds(&self) -> f64 {
        self.n_ticks as f64 * self.tick_seconds
    }

    /// The middle of each tick, in seconds from the start of the run.
    pub(crate) fn middles(&self) -> impl Iterator<Item = f64> + '_ {
        (0..self.n_ticks).map(|tick| (tick as f64 + 0.5) * self.tick_seconds)
    }

    /// Local date and seconds since local midnight by the clock on the wall.
    pub(crate) fn local(&self, seconds: f64) -> (NaiveDate, f64) {
        let at = self.calendar.at(seconds);
        let second = f64::from(at.num_seconds_from_midnight()) + f64::from(at.nanosecond()) * 1e-9;
        (at.date_naive(), second)
    }

    /// The local dates from `before_seconds` before the run until `after_seconds` after it.
    pub(crate) fn dates(&self, before_seconds: f64, after_seconds: f64) -> Vec<NaiveDate> {
        let (first, _) = self.local(-before_seconds);
        let (last, _) = self.local(self.seconds() + after_seconds);
        first.iter_days().take_while(|date| *date <= last).collect()
    }

    /// When in the run the clock on the wall shows `hour` on `date`. An hour that the clock skips is the next
    /// minute that there is; of an hour that comes twice the first is taken.
    pub(crate) fn run_seconds(&self, date: NaiveDate, hour: f64) -> f64 {
        let midnight = date.and_hms_opt(0, 0, 0).expect("every day has its midnight on paper");
        let local = midnight + TimeDelta::milliseconds((hour * 3.6e6).round() as i64);
        let start = Calendar::new(local, self.calendar.time_zone, 0).start;
        (start - self.calendar.start).as_seconds_f64() + f64::from(self.calendar.warm_up_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_seconds_inverts_local_time() {
        let start = "2025-03-29T12:00:00".parse().expect("a local time");
        let calendar = Calendar::new(start, chrono_tz::Europe::Berlin, 600);
        let grid = Grid { tick_seconds: 60.0, n_ticks: 2880, calendar };
        let dates = grid.dates(0.0, 0.0);
        assert_eq!(dates.len(), 3);
        for date in dates {
            for hour in [0.0, 1.5, 5.25, 23.75] {
                let (back, second) = grid.local(grid.run_seconds(date, hour));
                assert_eq!((back, second), (date, hour * 3600.0));
            }
        }
        // The night in which the clock skips an hour is an hour shorter.
        let [first, second, _] = grid.dates(0.0, 0.0)[..] else { panic!("three days") };
        assert_eq!(grid.run_seconds(second, 12.0) - grid.run_seconds(first, 12.0), 23.0 * 3600.0);
    }
}
