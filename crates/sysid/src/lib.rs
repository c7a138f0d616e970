//! System identification: records in, models out.

pub mod check;
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
