//! Training: environments by name, settings by preset, a run that can be stopped anywhere, and what comes of it.
//!
//! - [`environment`]: what can be learnt, by the name on the command line, and the variants that an agent meets;
//! - [`settings`]: options of the learner by preset and environment;
//! - [`course`]: one run of one training seed, with its log and its checkpoint;
//! - [`agent`]: what is stored of a learnt policy: the network, how it was let onto the service, and what it has seen;
//! - [`evaluation`]: the final greedy policy on evaluation seeds;
//! - [`reporting`]: the tables and the learning curve.

pub mod agent;
pub mod course;
pub mod environment;
pub mod evaluation;
pub mod reporting;
pub mod settings;

pub use agent::{Access, AgentFile, Ranges, Sees};
pub use course::{Course, LogLine, Trained};
pub use environment::Task;
pub use settings::Preset;
