//! Padding: what an operator adds to the plan's counts at times that no history tells of.
//!
//! While a hook is active, r replicas become max(r · `multiply` + `add`, `least`). Hooks apply one after the other, in the order
//! in which they are written. A hook is active in every step that `duration_seconds` from a due time of its cron expression
//! reach into.

use serde::{Deserialize, Serialize};
use tidegate_core::locate::FieldError;
use tidegate_core::{Calendar, OperatorFacts, Replicas};

use crate::cron_clock::{CronClock, read_cron, read_time_zone};
use crate::rule::{not_negative, positive, wrong};

/// One hook.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PaddingParameters {
    /// When it begins.
    pub cron: String,
    /// IANA name of the cron expression's zone; by default the operator's.
    pub time_zone: Option<String>,
    /// How long it lasts.
    pub duration_seconds: f64,
    /// Times so much.
    #[serde(default = "one")]
    pub multiply: f64,
    /// And so many more.
    #[serde(default)]
    pub add: Replicas,
    /// And no fewer than this.
    #[serde(default)]
    pub least: Replicas,
}

fn one() -> f64 {
    1.0
}

/// Positions of hooks are kept as bits.
const HOOKS_MAX: usize = 64;

/// Complains about hooks that cannot be.
pub(super) fn check(hooks: &[PaddingParameters]) -> Result<(), FieldError> {
    if hooks.len() > HOOKS_MAX {
        return Err(wrong(
            "padding",
            format!("must hold at most {HOOKS_MAX} hooks, but holds {}", hooks.len()),
        ));
    }
    for (index, hook) in hooks.iter().enumerate() {
        let path = format!("padding[{index}]");
        read_cron(&hook.cron, &format!("{path}.cron"))?;
        if let Some(name) = &hook.time_zone {
            read_time_zone(name, &format!("{path}.time_zone"))?;
        }
        positive(&[(&format!("{path}.duration_seconds"), hook.duration_seconds)])?;
        not_negative(&[(&format!("{path}.multiply"), hook.multiply)])?;
        if (hook.multiply, hook.add, hook.least) == (1.0, 0, 0) {
            return Err(wrong(&path, "must set `multiply`, `add` or `least`, but sets none"));
        }
    }
    Ok(())
}

/// Which hooks are active in which of the coming steps.
#[derive(Clone, Debug)]
pub(super) struct Padding {
    calendar: Calendar,
    step_seconds: f64,
    hooks: Vec<(CronClock, PaddingParameters)>,
    /// Active hooks as bits; step i is at i modulo the length.
    active: Vec<u64>,
    /// The first step that was not looked at.
    next: u64,
}

impl Padding {
    /// `n_steps` are looked at together at most.
    pub(super) fn new(
        hooks: &[PaddingParameters],
        step_seconds: f64,
        n_steps: usize,
        facts: &OperatorFacts,
    ) -> Result<Self, FieldError> {
        let calendar = facts.calendar;
        let hook = |(index, hook): (usize, &PaddingParameters)| {
            let path = format!("padding[{index}]");
            let zone = hook.time_zone.as_ref().map(|name| read_time_zone(name, &format!("{path}.time_zone")));
            let cron = read_cron(&hook.cron, &format!("{path}.cron"))?;
            Ok((CronClock::new(cron, zone.unwrap_or(Ok(calendar.time_zone))?), hook.clone()))
        };
        let hooks = hooks.iter().enumerate().map(hook).collect::<Result<_, FieldError>>()?;
        Ok(Self { calendar, step_seconds, hooks, active: vec![0; n_steps.max(1)], next: 0 })
    }

    pub(super) fn clear(&mut self) {
        self.hooks.iter_mut().for_each(|(clock, _)| clock.clear());
        self.next = 0;
    }

    /// So many replicas in this step, and what the hooks make of them; steps must not go back by more than fit.
    pub(super) fn pad(&mut self, step: u64, replicas: f64) -> f64 {
        while self.next <= step {
            self.look();
        }
        let active = self.active[(step % self.active.len() as u64) as usize];
        let is_active = |(index, _): &(usize, &(CronClock, PaddingParameters))| active >> index & 1 == 1;
        self.hooks.iter().enumerate().filter(is_active).fold(replicas, |replicas, (_, (_, hook))| {
            (replicas * hook.multiply + f64::from(hook.add)).max(f64::from(hook.least))
        })
    }

    fn look(&mut self) {
        // A millisecond before the step's end, since what comes due then belongs to the next one.
        let until_seconds = (self.next + 1) as f64 * self.step_seconds - 1e-3;
        let mut active = 0;
        for (index, (clock, hook)) in self.hooks.iter_mut().enumerate() {
            clock.advance(&self.calendar, until_seconds);
            let reach = hook.duration_seconds + self.step_seconds - 1e-3;
            active |= u64::from(clock.was_due_within(&self.calendar, until_seconds, reach)) << index;
        }
        let place = (self.next % self.active.len() as u64) as usize;
        self.active[place] = active;
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    /// The counted part begins at 08:00; hooks are looked at by steps of ten minutes.
    #[test]
    fn hooks_hold_from_their_due_time_for_their_duration() {
        let facts = testing::facts();
        let hook =
            |cron: &str, minutes: f64, multiply: f64, add: Replicas, least: Replicas| PaddingParameters {
                cron: cron.into(),
                time_zone: None,
                duration_seconds: 60.0 * minutes,
                multiply,
                add,
                least,
            };
        let hooks = [
            hook("0 9 * * *", 30.0, 1.5, 2, 0),
            hook("20 9 * * *", 20.0, 1.0, 0, 12),
            hook("55 9 * * *", 10.0, 1.0, 0, 7),
        ];
        check(&hooks).expect("they are right");
        let mut padding = Padding::new(&hooks, 600.0, 30, &facts).expect("they are right");
        let start = f64::from(facts.calendar.warm_up_seconds) / 600.0;
        assert_eq!(start.fract(), 0.0, "the counted part begins with a step");
        let steps: Vec<f64> = (0..15).map(|step| padding.pad(start as u64 + step, 4.0)).collect();
        // 08:50; 09:00 and 09:10; 09:20 (both) and 09:30; 09:40; 09:50 and 10:00 (reached into); 10:10.
        assert_eq!(facts.calendar.local(start * 600.0).second_of_day, 8 * 3600);
        assert_eq!(steps[..5], [4.0; 5]);
        assert_eq!(steps[5..], [4.0, 8.0, 8.0, 12.0, 12.0, 4.0, 7.0, 7.0, 4.0, 4.0]);
        // Asked again, and after a reset, the answers are the same.
        assert_eq!(padding.pad(start as u64 + 8, 4.0), 12.0);
        padding.clear();
        assert_eq!(padding.pad(start as u64 + 8, 4.0), 12.0);
    }
}
