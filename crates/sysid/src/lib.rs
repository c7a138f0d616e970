//! System identification: records in, models out.

pub mod check;
pub mod error;
pub mod polynomial;

pub use error::FitError;
