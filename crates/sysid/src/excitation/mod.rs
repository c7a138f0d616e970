//! Signals that make a service show its dynamics, and how much a signal or a closed loop shows.
//!
//! - [`prbs`], [`multisine`], [`staircase`]: signals for experiments;
//! - [`crest_factor`], [`persistent_order`], [`condition_number`]: how good a signal is, before it is run;
//! - [`ExcitationGate`]: whether what a closed loop happens to do suffices to identify it now.
//!
//! ```
//! use tidegate_sysid::excitation::{prbs, persistent_order, RANK_TOLERANCE};
//!
//! // Between 4 and 8 replicas, held for 3 steps at a time, 2^5 − 1 draws until it repeats.
//! let wanted = prbs(5, 3, [4.0, 8.0], 93)?;
//! assert!(wanted.iter().all(|replicas| [4.0, 8.0].contains(replicas)));
//! assert_eq!(persistent_order(&[&wanted], 6, RANK_TOLERANCE)?, 6);
//! # Ok::<(), tidegate_sysid::excitation::ExcitationError>(())
//! ```

mod eigen;
mod gate;
mod quality;
mod signals;

pub use gate::{Excitation, ExcitationGate};
pub use quality::{RANK_TOLERANCE, condition_number, crest_factor, persistent_order};
pub use signals::{Phases, Staircase, multisine, prbs, staircase};

/// What cannot be made or measured.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ExcitationError {
    /// A number out of its bounds.
    #[error("`{field}` is {value}, but must be {allowed}")]
    OutOfBounds {
        /// As written, for example `order`.
        field: &'static str,
        /// What stands there.
        value: f64,
        /// For example `from 2 to 20`.
        allowed: String,
    },
    /// A list with too few entries.
    #[error("`{field}` has {found} entries, but needs at least {needed}")]
    TooFew {
        /// As written, for example `levels`.
        field: &'static str,
        /// Its entries.
        found: usize,
        /// The least number.
        needed: usize,
    },
    /// A list with an entry twice.
    #[error("`{field}` has {value} twice")]
    Twice {
        /// As written, for example `lines`.
        field: &'static str,
        /// The entry.
        value: usize,
    },
    /// Signals of different lengths.
    #[error("signal {position} has {found} samples, but signal 0 has {expected}")]
    Lengths {
        /// Position in the list.
        position: usize,
        /// Its samples.
        found: usize,
        /// Samples of the first.
        expected: usize,
    },
}

#[cfg(test)]
mod tests;
