//! System identification: records in, models out.

pub mod check;
pub mod error;
pub mod levenberg;
pub mod polynomial;
mod dense;
pub mod error;
pub mod kalman;
pub mod riccati;
pub mod state_space;
pub mod subspace;

pub use error::FitError;
pub use kalman::KalmanFilter;
pub use state_space::StateSpaceModel;
pub use subspace::Subspace;
pub mod queueing_fit;

pub use error::FitError;
pub use queueing_fit::{QueueingModel, QueueingParameters};
