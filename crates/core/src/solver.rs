//! Solvers: a program of costs and limits in, a plan out. They know nothing of models or simulators.

use crate::Replicas;

/// A method for one kind of program.
pub trait Solver {
    /// Costs and limits.
    type Problem;
    /// Finds a plan, or says why there is none.
    fn solve(&mut self, problem: &Self::Problem) -> Outcome;
}

/// What a solver found. A plan exists only where one was found.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// No plan is cheaper.
    Optimal(Plan),
    /// A plan, and what no plan can undercut.
    Feasible {
        /// The best plan found.
        plan: Plan,
        /// A proven lower bound.
        bound_dollars: f64,
    },
    /// No plan meets this constraint together with the others.
    Infeasible(Constraint),
    /// Stopped before a plan was found.
    Unsolved {
        /// A proven lower bound.
        bound_dollars: f64,
    },
}

/// Replicas over a horizon, and what they cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// For each pool, the replicas wanted at each stage.
    pub wanted: Vec<Vec<Replicas>>,
    /// The objective.
    pub dollars: f64,
}

/// A constraint by name, with the numbers that clash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    /// For example `start 9 cannot reach at most 3 by steps of 1`.
    pub what: String,
}
