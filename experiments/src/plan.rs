//! Programs in files, solved side by side: what to order when, and what it would cost to do otherwise.
//!
//! [`mod@file`] reads a program as it is written in JSON, [`service`] makes one of a load and a service; [`solve`] has the
//! solvers by name, [`detail`] what a plan means stage by stage, [`reporting`] the words. docs/plan.md describes the
//! files.

pub mod detail;
pub mod file;
pub mod reporting;
pub mod service;
pub mod solve;

use tidegate_core::Replicas;
use tidegate_mpc::{OnePool, Pools, ProgramError, ResponsePool};

/// A program of any kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Program {
    /// One pool with a table of costs a stage.
    OnePool(OnePool),
    /// One pool with a penalty through linear dynamics.
    Response(ResponsePool),
    /// Several pools.
    Pools(Pools),
}

/// A program, and what only people need to know of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What is solved.
    pub program: Program,
    /// What the report is called.
    pub name: String,
    /// Length of a stage, where it has one.
    pub stage_seconds: Option<f64>,
    /// The load of each stage, to be shown beside the plan.
    pub load: Option<Vec<f64>>,
    /// The pools by name.
    pub pools: Vec<String>,
    /// How the input was understood.
    pub notes: Vec<String>,
}

impl Program {
    /// As `kind` says it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::OnePool(_) => "one_pool",
            Self::Response(_) => "response",
            Self::Pools(_) => "pools",
        }
    }

    /// Number of stages.
    pub fn n_stages(&self) -> usize {
        match self {
            Self::OnePool(problem) => problem.n_stages(),
            Self::Response(problem) => problem.pool.n_stages(),
            Self::Pools(problem) => problem.n_stages(),
        }
    }

    /// Whether it can be solved.
    ///
    /// # Errors
    /// What is wrong with it, or the constraint that cannot be met.
    pub fn validate(&self) -> Result<(), ProgramError> {
        match self {
            Self::OnePool(problem) => problem.validate(),
            Self::Response(problem) => problem.validate(),
            Self::Pools(problem) => problem.validate(),
        }
    }

    /// The objective of a plan, a list a pool; `None` where it breaks a limit.
    pub fn dollars(&self, plan: &[Vec<Replicas>]) -> Option<f64> {
        match self {
            Self::OnePool(problem) => problem.dollars(&plan[0]),
            Self::Response(problem) => problem.dollars(&plan[0]),
            Self::Pools(problem) => problem.dollars(plan).ok(),
        }
    }
}
