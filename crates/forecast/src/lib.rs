//! History in, quantiles of the future out.
//!
//! Every method is a [`tidegate_core::Forecaster`]: it sees one value or one gap a step and answers in the unit of
//! what it saw. What it sees is never negative, and no more is what it says. A value that is no finite number counts
//! as a gap.
//!
//! [`LastValue`], [`SeasonalNaive`] and [`MovingWindow`] have quantiles of their own. All other methods are a [`Point`],
//! which forecasts points from a history, and [`Calibrated`] makes a forecaster of it: quantiles from its own errors that
//! adapt when things change, sample paths, and what stands in before it can be fitted. An [`Ensemble`] of points is a
//! point again.
//!
//! ```
//! use tidegate_core::{Forecaster, Quantiles, Scenario, Seed, scenario};
//! use tidegate_forecast::SeasonalNaive;
//!
//! let facts = Scenario::parse(scenario::EXAMPLE)?.facts();
//! let mut forecaster = SeasonalNaive::day(3600.0);
//! forecaster.reset(facts.calendar, Seed::training(0).controller(0));
//! for hour in 0..48 {
//!     forecaster.observe(Some(f64::from(hour % 24)));
//! }
//! forecaster.refit();
//! let mut quantiles = Quantiles::default();
//! forecaster.forecast(3.try_into()?, &mut quantiles);
//! assert_eq!([0, 1, 2].map(|ahead| quantiles.median(ahead)), [0.0, 1.0, 2.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod calibrated;
pub mod conformal;
pub mod ensemble;
mod errors;
#[cfg(test)]
mod every_method;
pub mod forest;
pub mod fourier;
mod history;
pub mod holt_winters;
pub mod last_value;
pub mod linear;
pub mod moving_window;
pub mod mstl;
pub mod naive;
pub mod neural;
mod normal_equations;
mod periods;
mod point;
mod rolling;
pub mod seasonal_naive;
mod seasons;
#[cfg(test)]
mod testing;

pub use calibrated::Calibrated;
pub use ensemble::Ensemble;
pub use forest::Forest;
pub use fourier::Fourier;
pub use history::History;
pub use holt_winters::HoltWinters;
pub use last_value::LastValue;
pub use linear::Linear;
pub use moving_window::MovingWindow;
pub use mstl::Mstl;
pub use naive::Naive;
pub use neural::Neural;
pub use point::{BoxedPoint, EachWithSpread, Point};
pub use seasonal_naive::SeasonalNaive;
