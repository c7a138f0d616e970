//! System identification: records in, models out.

pub mod change;
pub mod data;
pub mod error;
pub mod excitation;
pub mod recursive;
pub mod residuals;

pub use error::FitError;
