//! Rolling origin for forecasters: series in, scores by method, horizon and day out.
//!
//! The protocol, the formulas and how to read the tables are in docs/forecasting.md.

pub mod horizon;
pub mod protocol;
pub mod reporting;
pub mod score;
pub mod summary;
pub mod workload;
