//! What was seen, step by step, as far back as a method remembers.

use chrono::{Datelike, Offset, Timelike};
use tidegate_core::{Calendar, SECONDS_PER_DAY, SECONDS_PER_HOUR};

/// Above this a value is cut, so that sums and differences stay finite.
const VALUE_MAX: f64 = 1e100;

/// The newest steps; a gap is kept as such. Fixed size.
#[derive(Clone, Debug)]
pub struct History {
    step_seconds: f64,
    /// A ring: step i is at i modulo its length; NaN is a gap.
    values: Vec<f64>,
    n_steps: u64,
    newest: Option<f64>,
    calendar: Option<Calendar>,
}

impl History {
    /// # Panics
    /// If the step is not a positive number of seconds.
    pub(crate) fn new(step_seconds: f64, remembered_seconds: f64) -> Self {
        assert!(
            step_seconds > 0.0 && step_seconds.is_finite(),
            "a step lasts some seconds, not {step_seconds}"
        );
        let n_remembered = (remembered_seconds / step_seconds).ceil().max(2.0) as usize;
        Self { step_seconds, values: vec![f64::NAN; n_remembered], n_steps: 0, newest: None, calendar: None }
    }

    pub(crate) fn reset(&mut self, calendar: Calendar) {
        (self.n_steps, self.newest, self.calendar) = (0, None, Some(calendar));
    }

    pub(crate) fn push(&mut self, value: Option<f64>) {
        let value = value.filter(|value| value.is_finite()).map(|value| value.clamp(0.0, VALUE_MAX));
        let place = self.place(self.n_steps);
        self.values[place] = value.unwrap_or(f64::NAN);
        self.newest = value.or(self.newest);
        self.n_steps += 1;
    }

    /// Steps seen, gaps included; the next one has this number.
    pub fn n_steps(&self) -> u64 {
        self.n_steps
    }

    /// The oldest step that is remembered.
    pub fn first(&self) -> u64 {
        self.n_steps.saturating_sub(self.values.len() as u64)
    }

    /// The value of a step; none if it was a gap, is forgotten, or is still to come.
    pub fn get(&self, step: u64) -> Option<f64> {
        let is_there = step >= self.first() && step < self.n_steps;
        let value = self.values[self.place(step)];
        (is_there && !value.is_nan()).then_some(value)
    }

    /// The newest value: through a gap the last one before it stays.
    pub fn newest(&self) -> Option<f64> {
        self.newest
    }

    /// The step at which the clock on the wall shows what it shows at `step`, but `seconds` of it earlier. None before
    /// the first step.
    pub(crate) fn earlier(&self, step: u64, seconds: f64) -> Option<u64> {
        let at = (step as f64 + 0.5) * self.step_seconds;
        let mut back = seconds;
        if let Some(calendar) = &self.calendar {
            let offset = |at: f64| f64::from(calendar.at(at).offset().fix().local_minus_utc());
            back -= offset(at) - offset(at - seconds);
        }
        let back = (back / self.step_seconds).round().max(1.0) as u64;
        step.checked_sub(back)
    }

    /// Steps of a day, rounded; one at least.
    pub fn steps_a_day(&self) -> usize {
        (SECONDS_PER_DAY / self.step_seconds).round().max(1.0) as usize
    }

    /// How long a step is.
    pub fn step_seconds(&self) -> f64 {
        self.step_seconds
    }

    /// The first step that is remembered and no gap, or the next step where there is none.
    pub fn first_seen(&self) -> u64 {
        (self.first()..self.n_steps).find(|step| self.get(*step).is_some()).unwrap_or(self.n_steps)
    }

    /// The values of the steps from `first` up to, not including, `end`, each gap filled from what was seen before it:
    /// the last value in the first step of a gap, the day before from the second on, as far as there is one. What is
    /// before the first value is that value.
    pub fn filled(&self, first: u64, end: u64) -> Vec<f64> {
        let day = self.steps_a_day();
        let mut filled: Vec<f64> = Vec::with_capacity((end - first) as usize);
        let mut last = self.get(self.first_seen()).unwrap_or(0.0);
        let mut is_long = false;
        for (index, step) in (first..end).enumerate() {
            let value = self.get(step);
            let stand_in = if is_long && index >= day { filled[index - day] } else { last };
            filled.push(value.unwrap_or(stand_in));
            last = value.unwrap_or(last);
            is_long = value.is_none();
        }
        filled
    }

    /// The first step that was seen in the so many seconds before `end`, as far as they are remembered.
    pub(crate) fn recent(&self, end: u64, seconds: f64) -> u64 {
        self.first_seen().max(end.saturating_sub(self.steps_in(seconds)))
    }

    /// What the clock showed one or more seasons before a step: the newest of it that was seen before `until`.
    pub(crate) fn repeated(&self, step: u64, until: u64, seconds: f64) -> Option<f64> {
        let mut back = seconds;
        loop {
            let source = self.earlier(step, back)?;
            if source < self.first() {
                return None;
            }
            if let Some(value) = self.get(source).filter(|_| source < until) {
                return Some(value);
            }
            back += seconds;
        }
    }

    fn moment(&self, step: u64) -> Moment {
        let at = (step as f64 + 0.5) * self.step_seconds;
        let Some(calendar) = &self.calendar else {
            let day_of_week = (at / SECONDS_PER_DAY % 7.0) as u32;
            return Moment { day_of_week, second_of_day: at % SECONDS_PER_DAY, day_of_month: 1, month: 1 };
        };
        let local = calendar.at(at);
        Moment {
            day_of_week: local.weekday().num_days_from_monday(),
            // Milliseconds are all that a calendar knows.
            second_of_day: f64::from(local.num_seconds_from_midnight())
                + f64::from(local.nanosecond() % 1_000_000_000) * 1e-9,
            day_of_month: local.day(),
            month: local.month(),
        }
    }

    pub(crate) fn steps_in(&self, seconds: f64) -> u64 {
        (seconds / self.step_seconds) as u64
    }

    fn place(&self, step: u64) -> usize {
        (step % self.values.len() as u64) as usize
    }
}

/// What the clock and the calendar on the wall say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moment {
    /// Monday is 0.
    pub(crate) day_of_week: u32,
    pub(crate) second_of_day: f64,
    /// The first is 1.
    pub(crate) day_of_month: u32,
    /// January is 1.
    pub(crate) month: u32,
}

/// The clock on the wall, step by step, at the middle of each.
///
/// The time zone is asked at every full hour only, as it changes at no other moment: asking costs a hundred times what
/// counting on does.
#[derive(Clone, Debug)]
pub(crate) struct WallClock<'a> {
    history: &'a History,
    step: u64,
    coming: Moment,
}

impl<'a> WallClock<'a> {
    /// The first one told is that of `step`.
    pub(crate) fn new(history: &'a History, step: u64) -> Self {
        Self { history, step, coming: history.moment(step) }
    }
}

impl Iterator for WallClock<'_> {
    type Item = Moment;

    fn next(&mut self) -> Option<Moment> {
        let told = self.coming;
        self.step += 1;
        let later = told.second_of_day + self.history.step_seconds;
        if (later / SECONDS_PER_HOUR).floor() == (told.second_of_day / SECONDS_PER_HOUR).floor() {
            self.coming.second_of_day = later;
        } else {
            self.coming = self.history.moment(self.step);
        }
        Some(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::calendar_in;

    /// Over both changes of daylight saving, in steps that divide the hour and steps that do not.
    #[test]
    fn the_clock_that_counts_tells_what_the_calendar_tells() {
        for (zone, start) in [
            (chrono_tz::Europe::Berlin, "2025-03-29T12:00:00"),
            (chrono_tz::Europe::Berlin, "2025-10-25T12:00:00"),
            (chrono_tz::Australia::Lord_Howe, "2025-04-05T12:00:00"),
            (chrono_tz::Asia::Kathmandu, "2025-04-05T12:00:00"),
        ] {
            for step_seconds in [60.0, 7.0, 700.0, 3600.0, 5400.0] {
                let mut history = History::new(step_seconds, 1e6);
                let calendar = calendar_in(zone, start);
                history.reset(calendar);
                for (step, told) in WallClock::new(&history, 5).take(2000).enumerate() {
                    let local = calendar.local((step as f64 + 5.5) * step_seconds);
                    assert_eq!(told.day_of_week, local.day_of_week);
                    let difference = told.second_of_day - f64::from(local.second_of_day);
                    assert!((0.0..1.0).contains(&difference), "{zone}, {step}: {difference}");
                    let date = calendar.at((step as f64 + 5.5) * step_seconds);
                    assert_eq!((told.day_of_month, told.month), (date.day(), date.month()));
                }
            }
        }
    }

    /// A short gap holds the last value; a long one is yesterday's, and nothing that came later is in it.
    #[test]
    fn gaps_are_filled_from_the_past() {
        let mut history = History::new(3600.0, 1e6);
        history.reset(calendar_in(chrono_tz::UTC, "2025-03-03T00:00:00"));
        for step in 0..72_u64 {
            let is_gap = (30..31).contains(&step) || (54..60).contains(&step);
            history.push((!is_gap).then_some(step as f64));
        }
        let filled = history.filled(0, 72);
        assert_eq!(filled[30], 29.0);
        assert_eq!(filled[54..60], [53.0, 31.0, 32.0, 33.0, 34.0, 35.0]);
        assert_eq!(filled[60], 60.0);
    }
}
