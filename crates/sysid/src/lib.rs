//! System identification: records in, models out.

pub mod check;
pub mod error;
pub mod levenberg;
pub mod polynomial;
pub mod queueing_fit;

pub use error::FitError;
pub use queueing_fit::{QueueingModel, QueueingParameters};
