//! System identification: records in, models out.

pub mod armax_response;
pub mod change;
pub mod check;
pub mod data;
pub mod dynamics;
pub mod error;
pub mod excitation;
pub mod hammerstein;
pub mod levenberg;
pub mod loop_model;
pub mod mean_response;
pub mod online;
pub mod polynomial;
pub mod queueing_fit;
pub mod recursive;
pub mod residuals;

pub use armax_response::ArmaxResponse;
pub use error::FitError;
pub use hammerstein::{HammersteinFit, HammersteinModel};
pub use loop_model::{LoopModel, LoopState};
pub use online::Online;
pub use queueing_fit::{QueueingModel, QueueingParameters};
