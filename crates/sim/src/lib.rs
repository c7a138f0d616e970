//! The simulated service: arrivals and replicas in; latency, queue and dollars out.

pub mod run;

pub use run::{RunSummary, Watch, run};
