//! The simulated service: arrivals and replicas in; latency, queue and dollars out.

pub mod fleet;
pub mod fluid;
pub mod request;
pub mod run;
pub mod sensing;
pub mod steady;
pub mod surroundings;

pub use request::{RequestPlant, User, users_of_run};
pub use run::{RunSummary, Watch, run};
