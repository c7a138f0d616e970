//! What the clock on the wall says at a moment of a run.

use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

/// Ties the run's seconds to the operator's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// The instant at which the counted part of the run begins (the end of the warm-up).
    pub start: DateTime<Utc>,
    /// Where in the run's seconds that is.
    pub warm_up_seconds: u32,
    /// The operator's time zone, with its daylight saving rules.
    pub time_zone: Tz,
}

/// Local time as calendar features use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// Monday is 0.
    pub day_of_week: u32,
    /// Seconds since local midnight by the clock on the wall.
    pub second_of_day: u32,
}

impl Calendar {
    /// A calendar whose counted part starts at a local time. A time that the clock skips moves to the next valid
    /// minute; of a time that comes twice the first is taken.
    pub fn new(local_start: NaiveDateTime, time_zone: Tz, warm_up_seconds: u32) -> Self {
        let start = (0..=180)
            .find_map(|minutes| {
                time_zone.from_local_datetime(&(local_start + TimeDelta::minutes(minutes))).earliest()
            })
            .expect("no time zone skips more than three hours")
            .with_timezone(&Utc);
        Self { start, warm_up_seconds, time_zone }
    }

    /// The instant `seconds` into the run, in the operator's time zone.
    pub fn at(&self, seconds: f64) -> DateTime<Tz> {
        let since_start = seconds - f64::from(self.warm_up_seconds);
        let offset = TimeDelta::milliseconds((since_start * 1e3).round() as i64);
        (self.start + offset).with_timezone(&self.time_zone)
    }

    /// Day of week and second of day, `seconds` into the run.
    pub fn local(&self, seconds: f64) -> LocalTime {
        let at = self.at(seconds);
        LocalTime {
            day_of_week: at.weekday().num_days_from_monday(),
            second_of_day: at.num_seconds_from_midnight(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(local: &str, time_zone: Tz) -> Calendar {
        Calendar::new(local.parse().expect("a local time"), time_zone, 600)
    }

    #[test]
    fn the_run_starts_when_the_warm_up_ends() {
        let monday = calendar("2025-03-03T00:00:00", chrono_tz::UTC);
        assert_eq!(monday.local(600.0), LocalTime { day_of_week: 0, second_of_day: 0 });
        assert_eq!(monday.local(0.0), LocalTime { day_of_week: 6, second_of_day: 85_800 });
    }

    #[test]
    fn daylight_saving_moves_the_wall_clock() {
        let berlin = calendar("2025-03-30T00:00:00", chrono_tz::Europe::Berlin);
        assert_eq!(berlin.local(600.0 + 7200.0).second_of_day, 3 * 3600);
        let skipped = calendar("2025-03-30T02:30:00", chrono_tz::Europe::Berlin);
        assert_eq!(skipped.local(600.0).second_of_day, 3 * 3600);
    }
}
