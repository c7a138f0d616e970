//! Windows of the service level: every so many ticks, whether too large a share of the users violated.

use tidegate_core::{ServiceLevel, ServiceStatistics};

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
}
