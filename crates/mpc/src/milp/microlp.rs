//! `microlp`, in pure Rust.

use good_lp::solvers::microlp::MicroLpProblem;
use microlp::{OptimizationDirection, SolveOptions, SolveOutcome};

use super::model::{Engine, Found, Model, SearchLimits};

/// The engine of the default build; what it can and cannot do is told in [the module above](super).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Microlp;

/// A model in the library's own form.
pub struct Written {
    problem: MicroLpProblem,
    n_variables: usize,
}

impl Engine for Microlp {
    fn search(&self, model: Model, limits: SearchLimits, start: Option<&[f64]>) -> Option<Found> {
        Self::solve(&Self::written(model), limits, start)
    }
}

impl Microlp {
    /// The model as the library has it: the first half of [`Engine::search`].
    pub fn written(model: Model) -> Written {
        let n_variables = model.variables.len();
        let mut problem = model.variables.minimise(model.objective).using(good_lp::microlp);
        for row in model.rows {
            good_lp::SolverModel::add_constraint(&mut problem, row);
        }
        Written { problem, n_variables }
    }

    /// The second half.
    pub fn solve(written: &Written, limits: SearchLimits, start: Option<&[f64]>) -> Option<Found> {
        // A variable of microlp is a place, so those of another problem of the same size serve as well.
        let mut same_size = microlp::Problem::new(OptimizationDirection::Minimize);
        let places: Vec<_> = (0..written.n_variables).map(|_| same_size.add_var(0.0, (0.0, 0.0))).collect();
        let mut options = SolveOptions::default();
        options.node_limit = Some(limits.n_nodes_max);
        options.mip_gap = limits.gap;
        options.warm_start = start.map(|start| places.iter().copied().zip(start.iter().copied()).collect());
        let bound_of = |bound: Option<f64>| bound.unwrap_or(f64::NEG_INFINITY);
        match written.problem.as_inner().solve_with(options).ok()? {
            SolveOutcome::Solution(solution) => {
                let bound = bound_of(solution.stats().best_bound);
                let is_closed = solution.objective() - bound <= limits.gap * solution.objective().abs();
                Some(Found {
                    values: Some(places.iter().map(|place| solution.var_value_raw(*place)).collect()),
                    is_optimal: is_closed || solution.status() == microlp::SolutionStatus::Optimal,
                    bound,
                })
            }
            SolveOutcome::Interrupted(interrupted) => Some(Found {
                values: None,
                is_optimal: false,
                bound: bound_of(interrupted.stats().best_bound),
            }),
        }
    }
}
