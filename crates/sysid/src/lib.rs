//! System identification: records in, models out.

pub mod check;
mod dense;
pub mod error;
pub mod kalman;
pub mod levenberg;
pub mod polynomial;
pub mod queueing_fit;
pub mod riccati;
pub mod state_space;
pub mod subspace;

pub use error::FitError;
pub use kalman::KalmanFilter;
pub use queueing_fit::{QueueingModel, QueueingParameters};
pub use state_space::StateSpaceModel;
pub use subspace::Subspace;
