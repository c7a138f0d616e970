//! The simulated service: arrivals and replicas in; latency, queue and dollars out.

pub mod fleet;
pub mod run;
pub mod surroundings;

pub use run::{RunSummary, Watch, run};
