//! System identification: records in, models out.
//!
//! ```
//! use tidegate_core::{Fit, Record, Start};
//! use tidegate_sysid::{Armax, FitError, testing};
//!
//! // A plant we make: y(t) = 1.5 y(t-1) - 0.7 y(t-2) + u(t-1) + 0.5 u(t-2) + e(t) - e(t-1) + 0.2 e(t-2).
//! let plant = testing::Plant::armax(&[-1.5, 0.7], &[0.0, 1.0, 0.5], &[-1.0, 0.2], 0.5);
//! let record: Record = plant.record(2000, 1);
//! let model = Armax::new(2, &[2], 2, &[1]).fit(&record)?;
//! assert!((model.polynomials.a.coefficients()[1] + 1.5).abs() < 0.03);
//! assert!(model.fit_simulated(&record, Start::Zero) > 80.0);
//! # Ok::<(), FitError>(())
//! ```

mod ar;
mod arma;
mod armax;
pub mod armax_response;
mod arx;
mod box_jenkins;
pub mod change;
pub mod check;
pub mod data;
mod dense;
pub mod dynamics;
pub mod error;
mod estimate;
pub mod excitation;
pub mod fit_quality;
pub mod hammerstein;
pub mod input_output;
pub mod json;
pub mod kalman;
pub mod levenberg;
pub mod loop_model;
pub mod mean_response;
pub mod online;
pub mod orders;
mod output_error;
pub mod polynomial;
mod prediction_error;
mod prepared;
pub mod queueing_fit;
#[cfg(test)]
mod recovery;
pub mod recursive;
pub mod residuals;
pub mod riccati;
pub mod running;
mod search;
pub mod selection;
mod starts;
pub mod state_space;
pub mod subspace;
pub mod summary;
pub mod testing;
mod triangle;

pub use ar::Ar;
pub use arma::Arma;
pub use armax::Armax;
pub use armax_response::ArmaxResponse;
pub use arx::Arx;
pub use box_jenkins::BoxJenkins;
pub use error::FitError;
pub use hammerstein::{HammersteinFit, HammersteinModel};
pub use input_output::{InputOutputModel, Warning};
pub use kalman::KalmanFilter;
pub use loop_model::{LoopModel, LoopState};
pub use online::Online;
pub use orders::{InputOrders, Orders, Structure};
pub use output_error::OutputError;
pub use polynomial::Polynomial;
pub use queueing_fit::{QueueingModel, QueueingParameters};
pub use state_space::StateSpaceModel;
pub use subspace::Subspace;
