//! What every experiment needs: arguments, scenarios, resumable runs, scores, reports and figures.
//!
//! This is the only place with a clock, a disk, threads, a terminal and arguments. A binary asks one question and
//! reads from top to bottom: sweep, runs, scores, report.
//!
//! ```
//! use tidegate_experiments::report::Table;
//!
//! let mut table = Table::new("cost", &["controller", "dollars"]);
//! table.row(["threshold".into(), "41.20".into()]);
//! assert!(table.markdown().contains("| threshold  |   41.20 |"));
//! ```
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "experiments are where clock, disk, threads and terminal belong"
)]

pub mod backtest;
pub mod cli;
pub mod comparison;
pub mod controllers;
pub mod engine;
pub mod explain;
pub mod figures;
pub mod fleet;
pub mod forecasters;
pub mod identification;
pub mod learning;
pub mod learnt_control;
pub mod manifest;
pub mod oracle;
pub mod outputs;
pub mod plan;
pub mod predictive_control;
pub mod recorder;
pub mod references;
pub mod report;
pub mod runs;
pub mod scenarios;
pub mod scores;
pub mod staffing;
pub mod trace;
pub mod trial;
pub mod tuned;
pub mod tuning;
pub mod validation;
