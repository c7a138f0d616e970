//! System identification: records in, models out.

mod ar;
mod arma;
mod armax;
mod arx;
mod box_jenkins;
pub mod check;
pub mod error;
mod estimate;
pub mod input_output;
pub mod orders;
mod output_error;
pub mod polynomial;
mod prediction_error;
mod prepared;
pub mod running;
mod search;
mod starts;
mod triangle;

pub use ar::Ar;
pub use arma::Arma;
pub use armax::Armax;
pub use arx::Arx;
pub use box_jenkins::BoxJenkins;
pub use error::FitError;
pub use input_output::{InputOutputModel, Warning};
pub use orders::{InputOrders, Orders, Structure};
pub use output_error::OutputError;
pub use polynomial::Polynomial;
