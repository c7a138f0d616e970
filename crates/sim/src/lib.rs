//! The simulated service: arrivals and replicas in; latency, queue and dollars out.

pub mod fleet;
pub mod queueing;
pub mod run;
pub mod sensing;
pub mod surroundings;
pub mod windows;

pub use run::{RunSummary, Watch, run};
