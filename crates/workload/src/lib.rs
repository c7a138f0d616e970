//! Demand over time: generators, trace formats, arrival processes.
//!
//! A [`Demand`] turns a scenario and a seed into users: an expected rate and a number of users for every tick, and
//! their arrival instants. A [`Trace`] is what a user's own file says.
//!
//! ```
//! use tidegate_core::{Scenario, Seed, Tick, scenario::EXAMPLE};
//! use tidegate_workload::Demand;
//!
//! let scenario = Scenario::parse(EXAMPLE)?;
//! let mut demand = Demand::new(&scenario);
//! demand.reset(Seed::training(7));
//! let mut arrivals_seconds = Vec::new();
//! demand.times(Tick(3), &mut arrivals_seconds);
//! assert_eq!(arrivals_seconds.len(), demand.users(Tick(3)) as usize);
//! assert_eq!(demand.requests_per_second(Tick(3)), 20.0);
//! # Ok::<(), tidegate_core::ScenarioError>(())
//! ```

pub mod arrivals;
pub mod batch;
pub mod burst;
pub mod crowd;
mod days;
pub mod demand;
mod noise;
pub mod profile;
pub mod recorded;
mod source;
pub mod trace;

pub use demand::Demand;
pub use trace::{Trace, TraceError, TraceOptions, Window, read_trace};
