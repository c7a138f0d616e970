//! A cron expression in a time zone as a rule follows it: when it came due last and when it does next.

use chrono::{DateTime, TimeDelta};
use chrono_tz::Tz;
use croner::Cron;
use tidegate_core::Calendar;
use tidegate_core::locate::FieldError;

use crate::rule::wrong;

/// One expression, and where its clock stands. Moves forward only, until it is cleared.
#[derive(Clone, Debug)]
pub(crate) struct CronClock {
    cron: Cron,
    time_zone: Tz,
    is_started: bool,
    last: Option<DateTime<Tz>>,
    next: Option<DateTime<Tz>>,
}

impl CronClock {
    pub(crate) fn new(cron: Cron, time_zone: Tz) -> Self {
        Self { cron, time_zone, is_started: false, last: None, next: None }
    }

    pub(crate) fn clear(&mut self) {
        self.is_started = false;
    }

    /// Goes to this moment of the run.
    pub(crate) fn advance(&mut self, calendar: &Calendar, now_seconds: f64) {
        let now = calendar.at(now_seconds).with_timezone(&self.time_zone);
        if !self.is_started {
            self.is_started = true;
            self.last = self.cron.find_previous_occurrence(&now, true).ok();
            self.next = self.cron.find_next_occurrence(&now, false).ok();
        }
        while let Some(due) = self.next.filter(|due| *due <= now) {
            self.last = Some(due);
            self.next = self.cron.find_next_occurrence(&due, false).ok();
        }
    }

    /// Whether it came due less than so long ago.
    pub(crate) fn was_due_within(&self, calendar: &Calendar, now_seconds: f64, seconds: f64) -> bool {
        let since = calendar.at(now_seconds) - TimeDelta::milliseconds((seconds * 1e3) as i64);
        self.last.is_some_and(|last| last > since)
    }

    /// When it comes due next.
    pub(crate) fn next(&self) -> Option<DateTime<Tz>> {
        self.next
    }
}

/// A cron expression that comes due some day.
pub(crate) fn read_cron(text: &str, field: &str) -> Result<Cron, FieldError> {
    let cron: Cron = text.parse().map_err(|error: croner::errors::CronError| {
        wrong(
            field,
            format!(
                "must be a cron expression like \"0 8 * * MON-FRI\", but is {text:?}: {}",
                error.to_string().trim_end_matches('.')
            ),
        )
    })?;
    // The 30th of February reads well and never comes.
    let long_ago = DateTime::UNIX_EPOCH;
    match cron.find_next_occurrence(&long_ago, true) {
        Ok(_) => Ok(cron),
        Err(_) => Err(wrong(field, format!("must come due some day, but {text:?} never does"))),
    }
}

/// A time zone by name.
pub(crate) fn read_time_zone(name: &str, field: &str) -> Result<Tz, FieldError> {
    name.parse()
        .map_err(|_| wrong(field, format!("must be an IANA name like Europe/Berlin, but is {name:?}")))
}
