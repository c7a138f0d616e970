//! Windows of the service level: every so many ticks, whether too large a share of the users violated.

use crate::{ServiceLevel, ServiceStatistics};

/// Counts up to the end of each window.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    level: ServiceLevel,
    ticks: u32,
    users: f64,
    violating: f64,
}

impl Windows {
    /// Windows of a service level; the first starts with the first counted tick.
    pub fn new(level: ServiceLevel) -> Self {
        Self { level, ticks: 0, users: 0.0, violating: 0.0 }
    }

    /// Forgets an unfinished window.
    pub fn reset(&mut self) {
        *self = Self::new(self.level);
    }

    /// Takes a counted tick's statistics and notes in them whether a window ended violated. With `last`, an
    /// unfinished window ends too.
    pub fn tick(&mut self, service: &mut ServiceStatistics, last: bool) {
        self.ticks += 1;
        self.users += service.users;
        self.violating += service.violating();
        if self.ticks == self.level.window_ticks || last {
            service.windows_violated = f64::from(self.level.window_violated(self.users, self.violating));
            self.reset();
        }
    }

    /// Share of the error budget of the unfinished window that is spent, if users go on to come as they did in it:
    ///
    /// b = min(1, v / ((1 − share) · u · w / t))
    ///
    /// with v of u users violating in the first t of w ticks. 0 where a window begins; 1 where it is lost unless more users
    /// come than did so far.
    pub fn budget_spent(&self) -> f64 {
        if self.violating <= 0.0 {
            return 0.0;
        }
        let users = self.users * f64::from(self.level.window_ticks) / f64::from(self.ticks);
        (self.violating / ((1.0 - self.level.share) * users)).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Penalty;

    /// One of a hundred users may violate, windows of four ticks.
    fn windows() -> Windows {
        Windows::new(ServiceLevel {
            bound_seconds: 1.0,
            share: 0.99,
            window_ticks: 4,
            penalty: Penalty::PerWindow { dollars_per_window: 1.0 },
            dollars_per_user_gave_up: 0.0,
        })
    }

    fn statistics(users: f64, users_above: f64) -> ServiceStatistics {
        ServiceStatistics { users, users_above, ..ServiceStatistics::default() }
    }

    #[test]
    fn a_window_is_violated_by_more_than_the_allowed_share_and_the_last_one_may_be_short() {
        let mut windows = windows();
        let violated = [0.5, 0.5, 0.0, 0.0, 1.0, 1.0, 1.0, 1.1].map(|above| {
            let mut service = statistics(100.0, above);
            windows.tick(&mut service, false);
            service.windows_violated
        });
        assert_eq!(violated, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        let mut short = statistics(100.0, 1.1);
        windows.tick(&mut short, true);
        assert_eq!(short.windows_violated, 1.0);
    }

    /// By hand: at a hundred users a tick four violations are the budget.
    #[test]
    fn a_budget_is_spent_at_the_pace_of_the_users_so_far_and_is_whole_again_in_the_next_window() {
        let mut windows = windows();
        assert_eq!(windows.budget_spent(), 0.0);
        let spent = [1.0, 0.0, 2.5, 0.0, 0.0].map(|above| {
            windows.tick(&mut statistics(100.0, above), false);
            windows.budget_spent()
        });
        for (spent, expected) in spent.iter().zip([0.25, 0.25, 0.875, 0.0, 0.0]) {
            assert!((spent - expected).abs() < 1e-12, "{spent}, expected {expected}");
        }
        windows.tick(&mut statistics(0.0, 9.0), false);
        assert_eq!(windows.budget_spent(), 1.0, "more than all of it is all of it");
    }
}
