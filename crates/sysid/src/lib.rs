//! System identification: records in, models out.

pub mod error;

pub use error::FitError;
