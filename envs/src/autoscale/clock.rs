//! Local time at a moment of a run, without a search in the time zone's table for every tick.

use tidegate_core::{Calendar, LocalTime};

const HOUR: u32 = 3600;
const DAY: u32 = 86_400;

/// [`Calendar::local`], remembered for the hour. Where the offset from UTC changes within the hour it asks the
/// calendar every time, so that the answer is the same.
#[derive(Clone, Debug)]
pub struct WallClock {
    calendar: Calendar,
    /// Which hour of the run is remembered.
    hour: Option<u32>,
    /// Local time at its start, unless the offset changes within it.
    start: Option<LocalTime>,
}

impl WallClock {
    /// A clock that goes by this calendar.
    pub fn new(calendar: Calendar) -> Self {
        Self { calendar, hour: None, start: None }
    }

    /// Day of week and second of day, `seconds` into the run.
    #[inline]
    pub fn local(&mut self, seconds: f64) -> LocalTime {
        let whole = seconds as u32;
        let hour = whole / HOUR;
        if self.hour != Some(hour) {
            let start = self.calendar.local(f64::from(hour * HOUR));
            let end = self.calendar.local(f64::from((hour + 1) * HOUR));
            self.hour = Some(hour);
            self.start = (after(start, HOUR) == end).then_some(start);
        }
        match self.start {
            Some(start) => after(start, whole % HOUR),
            None => self.calendar.local(f64::from(whole)),
        }
    }
}

#[inline]
fn after(start: LocalTime, seconds: u32) -> LocalTime {
    let second_of_day = start.second_of_day + seconds;
    LocalTime {
        day_of_week: (start.day_of_week + second_of_day / DAY) % 7,
        second_of_day: second_of_day % DAY,
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::Scenario;
    use tidegate_core::scenario::EXAMPLE;

    use super::*;

    /// Weeks in which clocks change: by an hour, by half an hour, at a minute past midnight, and not at all.
    #[test]
    fn it_says_what_the_calendar_says() {
        let weeks = [
            ("2025-03-27T00:00:00", "Europe/Berlin"),
            ("2025-10-23T00:00:00", "Europe/Berlin"),
            ("2025-04-03T00:00:00", "Australia/Lord_Howe"),
            ("2010-03-12T00:00:00", "America/St_Johns"),
            ("2025-12-29T00:00:00", "Asia/Kolkata"),
        ];
        for (start, time_zone) in weeks {
            let text = EXAMPLE
                .replace("2025-03-03T08:00:00", start)
                .replace("time_zone = \"UTC\"", &format!("time_zone = \"{time_zone}\""));
            let calendar = Scenario::parse(&text).expect("the example is right").calendar;
            let mut clock = WallClock::new(calendar);
            for tick in 0..7 * 86_400 / 15 {
                let seconds = f64::from(tick) * 15.0;
                assert_eq!(clock.local(seconds), calendar.local(seconds), "{time_zone}, second {seconds}");
            }
            assert_eq!(clock.local(7.0), calendar.local(7.0), "going back to {time_zone}'s first hour");
        }
    }
}
