//! The rules that people run today, each faithful to its namesake; docs/controllers.md describes them.
//!
//! A rule is built from what the operator knows and a table of parameters, and is asked through
//! [`tidegate_core::Controller`].
//!
//! ```
//! use tidegate_autoscalers::{Catalog, NamedController};
//! use tidegate_core::{Scenario, scenario};
//!
//! let scenario = Scenario::parse(scenario::EXAMPLE)?;
//! let catalog = Catalog::rules();
//! let careful = NamedController::of_kind("threshold").named("careful").with("high", 0.6).with("low", 0.3);
//! let controller = catalog.build_named(&careful, &scenario.controllers, &scenario.facts())?;
//! assert_eq!(controller.period_seconds(), 60.0);
//! # Ok::<(), tidegate_core::locate::FieldError>(())
//! ```

pub mod autopilot;
pub mod aws;
pub mod catalog;
pub mod combined;
mod cron_clock;
pub mod demand;
pub mod fixed;
pub mod gcp;
pub mod hpa;
mod inner;
pub mod keda;
pub mod knative;
pub mod lcp;
pub mod metric_vote;
pub mod multi_dimensional;
pub mod predictive;
pub mod queue_depth;
mod rule;
pub mod scheduled;
pub mod scryer;
mod signal;
pub mod spot_mix;
pub mod square_root_staffing;
#[doc(hidden)]
pub mod testing;
pub mod threshold;
pub mod vpa;

pub use catalog::{
    About, BoxedController, Catalog, Kind, NamedController, Parameter, Rule, Search, effective_parameters,
};
pub use rule::{POOL, not_negative, pool_index, positive, remembered, share, wrong};
pub use signal::Metric;
