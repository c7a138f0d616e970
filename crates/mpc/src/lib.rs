//! Programs of stage costs and limits, and their solvers.

pub mod annealing;
pub mod decomposition;
#[cfg(test)]
mod decomposition_tests;
mod dual;
pub mod dynamic;
#[cfg(test)]
mod dynamic_tests;
pub mod error;
mod local_search;
pub mod milp;
#[cfg(test)]
mod milp_tests;
pub mod one_pool;
pub mod pools;
mod replica;
pub mod table;
#[cfg(test)]
mod testing;
pub mod windows;

pub use annealing::Annealing;
pub use decomposition::Decomposition;
pub use dynamic::{DynamicProgramming, Law, Proof};
pub use error::ProgramError;
pub use milp::{OnePoolMilp, PoolsMilp, SearchLimits};
pub use one_pool::{Limits, OnePool, Switching};
pub use pools::{Chance, Course, Pool, Pools, Risk};
pub use table::{Band, Convex, Piece, Table};
