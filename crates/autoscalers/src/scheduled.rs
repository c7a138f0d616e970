//! Cron entries set the wanted count or the bounds, on the clock on the wall, daylight saving included.
//!
//! An entry comes into force when its cron expression comes due, and what it sets stays until another entry sets the
//! same thing; at the start of a run the last one before is in force, so a schedule does not depend on when one starts
//! to look. Entries that come due together apply in the order in which they are written. This is what a scheduled
//! action of an AWS Auto Scaling group does (it sets minimum, maximum and desired capacity at a time, by cron in a
//! time zone). The source document names scheduled scaling in its table of strategies and gives no code for it.
//!
//! Daylight saving follows Vixie cron, as the library does (the Open Cron Pattern Specification): an entry with a
//! fixed hour, minute and second that falls into the hour that is skipped comes due at the end of the gap, and in the
//! hour that comes twice it comes due once, the first time; a pattern with steps or wildcards skips the gap and comes
//! due in both hours.

use std::fmt;

use chrono::DateTime;
use chrono_tz::Tz;
use croner::Cron;
use serde::{Deserialize, Serialize};
use tidegate_core::locate::FieldError;
use tidegate_core::{
    Bounds, Calendar, Controller, ControllerStream, Decision, Observation, OperatorFacts, PoolTarget, Reason,
    Replicas,
};

use crate::catalog::{About, Parameter, Rule, Search};
use crate::cron_clock::{read_cron, read_time_zone};
use crate::rule::{ActingPool, POOL, not_negative, positive, wrong};

/// What can be set.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
pub struct Parameters {
    pub pool: Option<String>,
    pub entries: Option<Vec<EntryParameters>>,
    pub time_zone: Option<String>,
    pub lead_seconds: f64,
    pub period_seconds: f64,
}

/// One entry as it is written.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct EntryParameters {
    /// Minute, hour, day of month, month, day of week; seconds may come first.
    pub cron: String,
    /// Replicas wanted from then on.
    pub wanted: Option<Replicas>,
    /// Least replicas from then on.
    pub replicas_min: Option<Replicas>,
    /// Most replicas from then on.
    pub replicas_max: Option<Replicas>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { pool: None, entries: None, time_zone: None, lead_seconds: 0.0, period_seconds: 60.0 }
    }
}

/// The controller.
#[derive(Clone, Debug)]
pub struct Scheduled {
    pool: ActingPool,
    pool_bounds: Bounds,
    timetable: Timetable,
    settings: Vec<Settings>,
    lead_seconds: f64,
    period_seconds: f64,
    in_force: Settings,
    /// The entry that came into force last.
    last: Option<usize>,
}

/// What an entry sets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) wanted: Option<Replicas>,
    pub(crate) replicas_min: Option<Replicas>,
    pub(crate) replicas_max: Option<Replicas>,
}

impl Settings {
    pub(crate) fn of(entry: &EntryParameters) -> Self {
        Self { wanted: entry.wanted, replicas_min: entry.replicas_min, replicas_max: entry.replicas_max }
    }

    pub(crate) fn apply(&mut self, newer: Self) {
        self.wanted = newer.wanted.or(self.wanted);
        self.replicas_min = newer.replicas_min.or(self.replicas_min);
        self.replicas_max = newer.replicas_max.or(self.replicas_max);
    }
}

/// Cron expressions on the clock on the wall: which come due, in order of time.
#[derive(Clone, Debug)]
pub(crate) struct Timetable {
    calendar: Calendar,
    time_zone: Tz,
    /// With the time at which each comes due next; none if never again.
    crons: Vec<(Cron, Option<DateTime<Tz>>)>,
    is_started: bool,
}

impl Timetable {
    /// The crons of these entries, in the operator's time zone unless another is named; `field` is what the list is
    /// called where it is written.
    pub(crate) fn new(
        entries: &[EntryParameters],
        field: &str,
        time_zone: Option<&str>,
        calendar: Calendar,
    ) -> Result<Self, FieldError> {
        let time_zone = time_zone.map_or(Ok(calendar.time_zone), |name| read_time_zone(name, "time_zone"))?;
        let cron = |(index, entry): (usize, &EntryParameters)| {
            Ok((read_cron(&entry.cron, &format!("{field}[{index}].cron"))?, None))
        };
        let crons = entries.iter().enumerate().map(cron).collect::<Result<_, _>>()?;
        Ok(Self { calendar, time_zone, crons, is_started: false })
    }

    /// As new.
    pub(crate) fn restart(&mut self) {
        self.is_started = false;
    }

    /// Calls `due` with the position of everything that came due since the last call, in order of time; the first
    /// call after a restart, with the last occurrences up to then.
    pub(crate) fn advance(&mut self, at_seconds: f64, mut due: impl FnMut(usize)) {
        let now = self.calendar.at(at_seconds).with_timezone(&self.time_zone);
        if !self.is_started {
            self.is_started = true;
            self.start(&now, due);
            return;
        }
        loop {
            let next = self.crons.iter().enumerate().filter_map(|(index, (_, next))| Some(((*next)?, index)));
            let Some((at, index)) = next.min().filter(|(at, _)| *at <= now) else { break };
            due(index);
            let (cron, next) = &mut self.crons[index];
            *next = cron.find_next_occurrence(&at, false).ok();
        }
    }

    /// The last occurrences up to now, oldest first, and then the next ones.
    fn start(&mut self, now: &DateTime<Tz>, mut due: impl FnMut(usize)) {
        let mut applied: Option<(DateTime<Tz>, usize)> = None;
        loop {
            let previous = self.crons.iter().enumerate().filter_map(|(index, (cron, _))| {
                Some((cron.find_previous_occurrence(now, true).ok()?, index))
            });
            let Some(oldest) = previous.filter(|occurrence| Some(*occurrence) > applied).min() else { break };
            due(oldest.1);
            applied = Some(oldest);
        }
        for (cron, next) in &mut self.crons {
            *next = cron.find_next_occurrence(now, false).ok();
        }
    }
}

/// Complains about entries that set nothing, never come due, or cross their own bounds; `field` as in [`Timetable`].
pub(crate) fn check_entries(entries: &[EntryParameters], field: &str) -> Result<(), FieldError> {
    if entries.is_empty() {
        return Err(wrong(field, "must hold at least one entry, but is empty"));
    }
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("{field}[{index}]");
        read_cron(&entry.cron, &format!("{path}.cron"))?;
        if entry.wanted.or(entry.replicas_min).or(entry.replicas_max).is_none() {
            return Err(wrong(&path, "must set `wanted`, `replicas_min` or `replicas_max`, but sets none"));
        }
        if let (Some(least), Some(most)) = (entry.replicas_min, entry.replicas_max)
            && least > most
        {
            let problem = format!("must be at most `replicas_max`, which is {most}, but is {least}");
            return Err(wrong(&format!("{path}.replicas_min"), problem));
        }
    }
    Ok(())
}

impl Rule for Scheduled {
    type Parameters = Parameters;

    const ABOUT: About = About {
        kind: "scheduled",
        summary: "Cron entries set the wanted count or the bounds, on the clock on the wall, daylight saving included.",
        source: "source document, scheduled strategy; AWS EC2 Auto Scaling scheduled actions; Vixie cron",
        parameters: &[
            POOL,
            Parameter::new("entries", "", "(business hours, see below)", "What comes due when; see below."),
            Parameter::new(
                "time_zone",
                "",
                "(the operator's)",
                "IANA name of the zone of the cron expressions.",
            ),
            Parameter::new(
                "lead_seconds",
                "s",
                "0.0",
                "How much earlier entries come into force, for example the start-up time.",
            )
            .searched(Search::Linear { low: 0.0, high: 3600.0 }),
            Parameter::new("period_seconds", "s", "60.0", "How often it looks at the clock."),
        ],
    };

    fn check(parameters: &Parameters) -> Result<(), FieldError> {
        not_negative(&[("lead_seconds", parameters.lead_seconds)])?;
        positive(&[("period_seconds", parameters.period_seconds)])?;
        if let Some(name) = &parameters.time_zone {
            read_time_zone(name, "time_zone")?;
        }
        parameters.entries.as_ref().map_or(Ok(()), |entries| check_entries(entries, "entries"))
    }

    fn new(facts: &OperatorFacts, parameters: &Parameters) -> Result<Self, FieldError> {
        let pool = ActingPool::find(parameters.pool.as_deref(), facts)?;
        let pool_bounds = pool.facts(facts).bounds;
        let written = parameters.entries.clone().unwrap_or_else(|| business_hours(pool_bounds));
        let sets_bounds = written.iter().any(|entry| entry.replicas_min.or(entry.replicas_max).is_some());
        for (index, entry) in written.iter().enumerate() {
            let (least, most) = (pool_bounds.replicas_min, pool_bounds.replicas_max);
            if let Some(wanted) =
                entry.wanted.filter(|wanted| !(least..=most).contains(wanted) && !sets_bounds)
            {
                let problem = format!("must be {least} to {most}, but is {wanted}");
                return Err(wrong(&format!("entries[{index}].wanted"), problem));
            }
        }
        let time_zone = parameters.time_zone.as_deref();
        Ok(Self {
            pool,
            pool_bounds,
            timetable: Timetable::new(&written, "entries", time_zone, facts.calendar)?,
            settings: written.iter().map(Settings::of).collect(),
            lead_seconds: parameters.lead_seconds,
            period_seconds: parameters.period_seconds,
            in_force: Settings::default(),
            last: None,
        })
    }
}

/// Half of the most replicas from 8 to 20 o'clock, a quarter in the night, every day: a guess that a user should
/// replace, here so that the kind can be run by name.
fn business_hours(bounds: Bounds) -> Vec<EntryParameters> {
    let entry = |cron: &str, share: Replicas| EntryParameters {
        cron: cron.into(),
        wanted: Some(bounds.replicas_max.div_ceil(share).max(bounds.replicas_min)),
        replicas_min: None,
        replicas_max: None,
    };
    vec![entry("0 8 * * *", 2), entry("0 20 * * *", 4)]
}

impl Controller for Scheduled {
    fn period_seconds(&self) -> f64 {
        self.period_seconds
    }

    fn reset(&mut self, _chance: ControllerStream) {
        self.timetable.restart();
        self.in_force = Settings::default();
        self.last = None;
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let (in_force, last, settings) = (&mut self.in_force, &mut self.last, &self.settings);
        self.timetable.advance(observation.now_seconds + self.lead_seconds, |index| {
            in_force.apply(settings[index]);
            *last = Some(index);
        });
        let mut bounds = self.pool.status(observation).bounds;
        let mut target = PoolTarget::default();
        if self.in_force.replicas_min.or(self.in_force.replicas_max).is_some() {
            let replicas_min = self.in_force.replicas_min.unwrap_or(self.pool_bounds.replicas_min);
            let replicas_max = self.in_force.replicas_max.unwrap_or(self.pool_bounds.replicas_max);
            // Two entries may set bounds that cross; then the lower one wins, since it is what keeps the service up.
            bounds = Bounds { replicas_min, replicas_max: replicas_max.max(replicas_min) };
            target.bounds = Some(bounds);
        }
        let wanted = self.in_force.wanted.unwrap_or(self.pool.status(observation).declared);
        target.wanted = wanted.min(bounds.replicas_max).max(bounds.replicas_min);
        let what = if self.last.is_some() { "schedule" } else { "no entry has come due yet" };
        let mut decision = self.pool.decide_target(observation, target, Reason::new(what));
        if let Some(last) = self.last {
            decision.reason = decision.reason.with("entry", last as f64);
        }
        decision
    }

    fn explain(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        match self.last {
            Some(last) => writeln!(out, "in force: entry {last}, {}", self.timetable.crons[last].0),
            None => writeln!(out, "no entry has come due yet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use expect_test::{Expect, expect};
    use tidegate_core::{Calendar, OperatorFacts};
    use toml::Table;

    use crate::catalog::Catalog;
    use crate::testing::{self, Desk};

    const NIGHT: &str = "[[entries]]\ncron = \"30 2 * * *\"\nwanted = 9\n[[entries]]\ncron = \"0 9 * * *\"\nwanted = 5\n\
                         [[entries]]\ncron = \"0 1 * * *\"\nwanted = 2\n";

    fn facts_at(local_start: &str, time_zone: chrono_tz::Tz) -> OperatorFacts {
        let start = local_start.parse().expect("a local time");
        OperatorFacts { calendar: Calendar::new(start, time_zone, 0), ..testing::facts() }
    }

    /// Changes of the wanted count over so many hours, as local time = count.
    fn changes(facts: &OperatorFacts, parameters: &str, hours: f64) -> String {
        let mut controller = testing::controller("scheduled", parameters, facts);
        let mut desk = Desk::new(facts);
        let (mut line, mut last) = (String::new(), None);
        while desk.now_seconds <= hours * 3600.0 {
            let wanted = desk.decide(&mut *controller).targets[0].wanted;
            if last.replace(wanted) != Some(wanted) {
                let local = facts.calendar.at(desk.now_seconds);
                let space = if line.is_empty() { "" } else { ", " };
                write!(line, "{space}{} = {wanted}", local.format("%a %H:%M%:::z"))
                    .expect("a string takes all");
            }
            desk.wait(controller.period_seconds());
        }
        line
    }

    fn check(start: &str, parameters: &str, hours: f64, expected: &Expect) {
        let facts = facts_at(start, chrono_tz::Europe::Berlin);
        expected.assert_eq(&changes(&facts, parameters, hours));
    }

    #[test]
    fn entries_come_due_by_the_clock_on_the_wall() {
        check(
            "2025-03-03T00:00:00",
            NIGHT,
            24.0,
            &expect!["Mon 00:00+01 = 5, Mon 01:00+01 = 2, Mon 02:30+01 = 9, Mon 09:00+01 = 5"],
        );
        check(
            "2025-03-03T00:00:00",
            "",
            24.0,
            &expect!["Mon 00:00+01 = 5, Mon 08:00+01 = 10, Mon 20:00+01 = 5"],
        );
        // From Sunday to Tuesday: the weekend's entry is Friday's.
        let week = "[[entries]]\ncron = \"0 8 * * MON-FRI\"\nwanted = 12\n\
                    [[entries]]\ncron = \"0 18 * * MON-FRI\"\nwanted = 3\n";
        check(
            "2025-03-02T12:00:00",
            week,
            36.0,
            &expect!["Sun 12:00+01 = 3, Mon 08:00+01 = 12, Mon 18:00+01 = 3"],
        );
    }

    #[test]
    fn an_entry_in_the_hour_that_is_skipped_comes_due_after_it() {
        check(
            "2025-03-30T00:00:00",
            NIGHT,
            12.0,
            &expect!["Sun 00:00+01 = 5, Sun 01:00+01 = 2, Sun 03:00+02 = 9, Sun 09:00+02 = 5"],
        );
        let wildcard = "[[entries]]\ncron = \"*/30 2 * * *\"\nwanted = 9\n[[entries]]\ncron = \"0 0 * * *\"\nwanted = 3\n";
        check("2025-03-30T00:00:00", wildcard, 12.0, &expect!["Sun 00:00+01 = 3"]);
    }

    #[test]
    fn an_entry_in_the_hour_that_comes_twice_comes_due_once() {
        check(
            "2025-10-26T00:00:00",
            NIGHT,
            12.0,
            &expect!["Sun 00:00+02 = 5, Sun 01:00+02 = 2, Sun 02:30+02 = 9, Sun 09:00+01 = 5"],
        );
        // Between the two hours something else is in force; a wildcard comes due in both of them.
        let twice = "[[entries]]\ncron = \"*/30 2 * * *\"\nwanted = 9\n[[entries]]\ncron = \"45 2 * * *\"\nwanted = 3\n";
        check(
            "2025-10-26T00:00:00",
            twice,
            12.0,
            &expect!["Sun 00:00+02 = 3, Sun 02:00+02 = 9, Sun 02:45+02 = 3, Sun 02:00+01 = 9"],
        );
    }

    #[test]
    fn the_zone_of_the_schedule_may_differ_from_the_operators() {
        let utc = format!("time_zone = \"UTC\"\n{NIGHT}");
        check(
            "2025-03-30T00:00:00",
            &utc,
            12.0,
            &expect!["Sun 00:00+01 = 5, Sun 03:00+02 = 2, Sun 04:30+02 = 9, Sun 11:00+02 = 5"],
        );
    }

    #[test]
    fn a_lead_time_comes_early() {
        check(
            "2025-03-03T00:00:00",
            &format!("lead_seconds = 300\n{NIGHT}"),
            12.0,
            &expect!["Mon 00:00+01 = 5, Mon 00:55+01 = 2, Mon 02:25+01 = 9, Mon 08:55+01 = 5"],
        );
    }

    /// What is in force must not depend on when one started to look.
    #[test]
    fn starting_late_is_the_same_as_having_run_through() {
        let parameters = format!(
            "{NIGHT}[[entries]]\ncron = \"*/20 2-3 * * *\"\nreplicas_min = 3\n\
             [[entries]]\ncron = \"10 3 * * *\"\nreplicas_min = 1\n"
        );
        for day in ["2025-03-30", "2025-10-26", "2025-07-01"] {
            // A day earlier, so that every entry has come due once.
            let facts = facts_at(&format!("{day}T00:00:00"), chrono_tz::Europe::Berlin);
            let mut through = testing::controller("scheduled", &parameters, &facts);
            let mut desk = Desk { now_seconds: -86_400.0, ..Desk::new(&facts) };
            while desk.now_seconds < 6.0 * 3600.0 {
                let expected = through.decide(&desk.observation());
                let mut late = testing::controller("scheduled", &parameters, &facts);
                if desk.now_seconds >= 0.0 {
                    let decision = late.decide(&desk.observation());
                    assert_eq!(decision.targets, expected.targets, "{day} {}", desk.now_seconds);
                }
                desk.wait(60.0);
            }
        }
    }

    #[test]
    fn entries_can_set_bounds_of_their_own() {
        let parameters = "[[entries]]\ncron = \"0 1 * * *\"\nreplicas_min = 8\nreplicas_max = 40\n\
                          [[entries]]\ncron = \"0 2 * * *\"\nwanted = 30\n\
                          [[entries]]\ncron = \"0 3 * * *\"\nreplicas_min = 1\nreplicas_max = 2\n";
        check(
            "2025-03-03T00:30:00",
            parameters,
            3.0,
            &expect!["Mon 00:30+01 = 2, Mon 01:00+01 = 30, Mon 03:00+01 = 2"],
        );
    }

    #[test]
    fn wrong_entries_are_refused() {
        let complain = |parameters: &str, expected: &Expect| {
            let table: Table = parameters.parse().expect("this is TOML");
            let built = Catalog::rules().build("scheduled", &table, &testing::facts());
            expected.assert_eq(&built.err().expect("it is wrong").to_string());
        };
        complain("entries = []", &expect!["`entries` must hold at least one entry, but is empty"]);
        complain(
            "[[entries]]\ncron = \"0 8 * *\"\nwanted = 3",
            &expect![[
                r#"`entries[0].cron` must be a cron expression like "0 8 * * MON-FRI", but is "0 8 * *": Invalid pattern: Pattern must have between 5 and 7 fields"#
            ]],
        );
        complain(
            "[[entries]]\ncron = \"0 8 30 2 *\"\nwanted = 3",
            &expect![[r#"`entries[0].cron` must come due some day, but "0 8 30 2 *" never does"#]],
        );
        complain(
            "[[entries]]\ncron = \"0 8 * * *\"",
            &expect!["`entries[0]` must set `wanted`, `replicas_min` or `replicas_max`, but sets none"],
        );
        complain(
            "[[entries]]\ncron = \"0 8 * * *\"\nwanted = 99",
            &expect!["`entries[0].wanted` must be 1 to 20, but is 99"],
        );
        complain(
            "[[entries]]\ncron = \"0 8 * * *\"\nreplicas_min = 9\nreplicas_max = 2",
            &expect!["`entries[0].replicas_min` must be at most `replicas_max`, which is 2, but is 9"],
        );
        complain(
            "time_zone = \"Berlin\"",
            &expect![[r#"`time_zone` must be an IANA name like Europe/Berlin, but is "Berlin""#]],
        );
    }
}
