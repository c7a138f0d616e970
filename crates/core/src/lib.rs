//! The words every other crate of Tidegate speaks: quantities, seeds and the contracts.
//!
//! A scenario is read as written, checked once, and trusted from then on; what a controller may know of it is
//! its [`OperatorFacts`].
//!
//! ```
//! use tidegate_core::{Scenario, Seed, Stream};
//!
//! let scenario = Scenario::parse(tidegate_core::scenario::EXAMPLE)?;
//! assert_eq!(scenario.facts().pools[0].name, "web");
//!
//! // Chance belongs to the thing: the same slot launched at the same tick draws the same number again.
//! let startup = Seed::evaluation(3).key(Stream::Startup);
//! assert_eq!(startup.uniform(7, 40), startup.uniform(7, 40));
//! # Ok::<(), tidegate_core::ScenarioError>(())
//! ```

pub mod calendar;
pub mod controller;
pub mod decision;
pub mod demand;
pub mod distribution;
pub mod env;
pub mod facts;
pub mod forecast;
pub mod identification;
pub mod locate;
pub mod model;
pub mod observation;
pub mod plant;
pub mod price;
pub mod quantities;
pub mod queueing;
pub mod response;
pub mod scenario;
pub mod seed;
pub mod service_time;
pub mod solver;
pub mod vector;
pub mod windows;

pub use calendar::{Calendar, LocalTime};
pub use controller::{Controller, Needs};
pub use decision::{Basis, Bounds, Decision, PoolTarget, Reason};
pub use distribution::Distribution;
pub use env::{Env, Quantity, Space, Spec, Step, StepEnd};
pub use facts::{OperatorFacts, PoolFacts};
pub use forecast::{Forecaster, Paths, Quantiles};
pub use identification::Identification;
pub use model::{Channel, Fit, Model, Record, Start};
pub use observation::{Observation, PoolStatus, ReplicaSample, ReplicaState, Scrape};
pub use plant::{AttemptLedger, Plant, PoolTick, TickRecord, UserLedger};
pub use price::{Charge, Penalty, PoolUse, Prices, ServiceLevel, ServiceStatistics};
pub use quantities::{POOLS_MAX, Replicas, SECONDS_PER_DAY, SECONDS_PER_HOUR, Tick};
pub use response::{ResponseModel, ResponseTime};
pub use scenario::{Scenario, ScenarioError};
pub use seed::{ControllerStream, Key, Seed, Split, Stream};
pub use solver::{Constraint, Outcome, Plan, Solver};
pub use vector::VectorEnv;
