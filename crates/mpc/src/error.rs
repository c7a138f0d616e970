//! What can be wrong with a program as it is written.

use tidegate_core::{Replicas, solver::Constraint};

use crate::Band;

/// A program that says nothing that could be solved. A program that says something impossible is
/// [`ProgramError::Impossible`].
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ProgramError {
    /// There is nothing to decide.
    #[error("a program must have a stage, but has none")]
    NoStages,
    /// Two fields disagree on their length.
    #[error("`{field}` must have length {expected}, but has {found}")]
    Length {
        /// The field.
        field: &'static str,
        /// The length that others give.
        expected: usize,
        /// Its length.
        found: usize,
    },
    /// A cost is NaN or infinite.
    #[error("`{field}` must be finite, but is {value} at stage {stage}")]
    NotFinite {
        /// The field.
        field: &'static str,
        /// Where.
        stage: usize,
        /// What it is.
        value: f64,
    },
    /// A number is out of its range.
    #[error("`{field}` must be {range}, but is {value}")]
    Range {
        /// The field.
        field: &'static str,
        /// The range, in words.
        range: &'static str,
        /// What it is.
        value: f64,
    },
    /// A table lacks costs that a plan can come to.
    #[error(
        "`{field}` must cover {} to {} replicas at stage {stage}, but covers {} to {}",
        needed.low, needed.high, found.low, found.high
    )]
    Uncovered {
        /// The field.
        field: &'static str,
        /// Where.
        stage: usize,
        /// What it must cover.
        needed: Band,
        /// What it covers.
        found: Band,
    },
    /// With a start-up delay, one more ready replica must not make the stage dearer.
    #[error(
        "`stage` must not rise with ready replicas where there is a delay, but does at stage {stage} from {replicas} on"
    )]
    Rising {
        /// Where.
        stage: usize,
        /// From this count to the next.
        replicas: Replicas,
    },
    /// No plan meets this constraint together with the others.
    #[error("{0}")]
    Impossible(String),
}

impl From<ProgramError> for Constraint {
    fn from(error: ProgramError) -> Self {
        Self { what: error.to_string() }
    }
}

/// `Err` at the first value that is NaN or infinite.
pub(crate) fn finite(field: &'static str, values: &[f64]) -> Result<(), ProgramError> {
    // 0 · x is 0 for what is finite and NaN otherwise. Eight sums and no early exit: several values at once.
    let (eights, rest) = values.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for eight in eights {
        sums.iter_mut().zip(eight).for_each(|(sum, value)| *sum += 0.0 * value);
    }
    if sums.iter().all(|sum| *sum == 0.0) && rest.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    let stage = values.iter().position(|value| !value.is_finite()).expect("one of them is not finite");
    Err(ProgramError::NotFinite { field, stage, value: values[stage] })
}

/// `Err` unless finite and at least 0.
pub(crate) fn not_negative(field: &'static str, value: f64) -> Result<(), ProgramError> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(ProgramError::Range { field, range: "finite and at least 0", value })
}

/// `Err` unless a list has the length that others give.
pub(crate) fn length(field: &'static str, expected: usize, found: usize) -> Result<(), ProgramError> {
    if found == expected { Ok(()) } else { Err(ProgramError::Length { field, expected, found }) }
}
