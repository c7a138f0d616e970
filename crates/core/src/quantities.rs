//! Counted things and the constants between units.

use std::fmt;

/// A number of replicas: ready, starting, wanted. Counts need no arithmetic that an integer lacks.
pub type Replicas = u32;

/// The most pools a scenario may have. A fixed bound keeps [`crate::Decision`] free of allocation.
pub const POOLS_MAX: usize = 8;

/// Seconds in an hour, the unit in which clouds quote prices.
pub const SECONDS_PER_HOUR: f64 = 3600.0;

/// Seconds in a day.
pub const SECONDS_PER_DAY: f64 = 86_400.0;

/// A position on the accounting grid, counted from the start of the warm-up; never summed up in floats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u32);

impl Tick {
    /// The tick after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// When this tick begins, in seconds from the start of the run.
    pub fn start_seconds(self, tick_seconds: f64) -> f64 {
        f64::from(self.0) * tick_seconds
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tick {}", self.0)
    }
}
