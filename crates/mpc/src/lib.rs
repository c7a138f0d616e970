//! Programs of stage costs and limits, and their solvers: costs in, a plan out.
//!
//! How many replicas to order at each stage of a horizon, where each stage has a cost over replica counts (or over the
//! total capacity of several pools), counts are bounded and change by limited steps, change may cost, and an order takes
//! time to serve. Solvers see these numbers only: who makes them of a forecast, a response model and prices is no
//! concern of this crate.
//!
//! | program | in words | formula |
//! | --- | --- | --- |
//! | [`OnePool`] | any cost table, ramps, switching, start-up delay, terminal cost | [`one_pool`] |
//! | [`ResponsePool`] | one pool, penalty through the linear dynamics of an identified model | [`response`] |
//! | [`Pools`] | pools with minimum up time and billing quantum, one requirement, courses of demand, `CVaR`, chance | [`pools`] |
//!
//! | solver ([`tidegate_core::Solver`]) | for | answer |
//! | --- | --- | --- |
//! | [`DynamicProgramming`] | [`OnePool`] | optimal; with a long delay and bounds that peak, a plan and a bound ([`dynamic`]) |
//! | [`OnePoolMilp`] | [`OnePool`], convex costs | optimal, or a plan and a bound at its node limit ([`milp`]) |
//! | [`ResponseMilp`] | [`ResponsePool`], convex costs | the same |
//! | [`Annealing`] | [`OnePool`] | a heuristic plan and a wide bound ([`annealing`]) |
//! | [`PoolsMilp`] | [`Pools`] | optimal, or a plan and a bound at its node limit ([`milp`]) |
//! | [`Decomposition`] | [`Pools`] | a plan and a proven bound, always ([`decomposition`]) |
//!
//! A program that is wrong as written, or impossible, is `Outcome::Infeasible` with the mistake or the constraint named;
//! `validate` of both programs gives it as a [`ProgramError`]. All of it is deterministic: no solver looks at a clock to
//! decide when to stop, and chance comes from a [`tidegate_core::Seed`].
//!
//! ```
//! use tidegate_core::{Solver, solver::Outcome};
//! use tidegate_mpc::{Band, Convex, DynamicProgramming, Limits, OnePool, Table};
//!
//! // Three stages that need 2, 5 and 3 replicas; a replica costs $1 a stage, each one missing $4; steps of 2.
//! let limits = Limits {
//!     bounds: vec![Band::new(0, 9); 3], ramp_up: 2, ramp_down: 2, initial: 2, ..Limits::default()
//! };
//! let costs = [2.0, 5.0, 3.0].map(|needed| Convex::shortage(needed, 4.0));
//! let stage = Table::from_convex(&limits.needed()?, &costs);
//! let problem = OnePool { limits, dollars_per_replica: vec![1.0; 3], stage, ..OnePool::default() };
//! let Outcome::Optimal(plan) = DynamicProgramming::default().solve(&problem) else { panic!("no plan") };
//! // One more than needed at first, since five cannot be reached from two.
//! assert_eq!((plan.wanted, plan.dollars), (vec![vec![3, 5, 3]], 11.0));
//! # Ok::<(), tidegate_mpc::ProgramError>(())
//! ```

pub mod annealing;
pub mod bound;
pub mod controller;
pub mod decomposition;
#[cfg(test)]
mod decomposition_tests;
mod dual;
pub mod dynamic;
#[cfg(test)]
mod dynamic_tests;
pub mod error;
pub mod formulate;
mod local_search;
pub mod milp;
#[cfg(test)]
mod milp_tests;
pub mod one_pool;
mod orders;
pub mod pools;
#[cfg(test)]
mod pools_tests;
mod replica;
pub mod response;
pub mod surface;
mod surprise;
pub mod table;
#[cfg(test)]
mod testing;
pub mod windows;

pub use annealing::Annealing;
pub use bound::{BoundPool, BoundUser, Late, Relaxation};
pub use controller::ModelPredictive;
pub use decomposition::Decomposition;
pub use dynamic::{DynamicProgramming, Law, Proof};
pub use error::ProgramError;
pub use milp::{Microlp, OnePoolMilp, PoolsMilp, ResponseMilp, SearchLimits};
pub use one_pool::{Limits, OnePool, Switching};
pub use pools::{Chance, Course, Pool, Pools, Risk};
pub use response::{Dynamics, ResponsePool};
pub use surface::{PenaltySurface, Surfaces};
pub use table::{Band, Convex, Piece, Table};
