//! `HiGHS` as an engine.

use good_lp::SolverModel;
use highs::{HighsModelStatus, HighsSolutionStatus};
use tidegate_mpc::{
    SearchLimits,
    milp::{Engine, Found, Model},
};

/// The relative gap to ask for: the library's own, 1e-4, is too wide to compare plans by, and at 0 it may go on for long
/// over differences of rounding.
pub const GAP: f64 = 1e-6;

/// The engine: one thread, nothing in parallel, no limit of time, so the same program gives the same plan.
///
/// The node limit is the library's `mip_max_nodes`. Its presolve, cuts and heuristics at the root are no nodes. A start
/// has a value for every variable, as the library asks; it becomes the first incumbent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Highs;

impl Engine for Highs {
    fn search(&self, model: Model, limits: SearchLimits, start: Option<&[f64]>) -> Option<Found> {
        let mut problem = model.variables.minimise(model.objective).using(good_lp::highs);
        for row in model.rows {
            problem.add_constraint(row);
        }
        let mut problem = problem.try_into_inner().ok()?;
        problem.make_quiet();
        problem.try_set_option("threads", 1).ok()?;
        problem.try_set_option("parallel", "off").ok()?;
        problem
            .try_set_option("mip_max_nodes", i32::try_from(limits.n_nodes_max).unwrap_or(i32::MAX))
            .ok()?;
        problem.try_set_option("mip_rel_gap", limits.gap).ok()?;
        // Its absolute gap would else end the search of programs of few dollars.
        problem.try_set_option("mip_abs_gap", 0.0).ok()?;
        if let Some(start) = start {
            problem.try_set_solution(Some(start), None, None, None).ok()?;
        }
        let solved = problem.try_solve().ok()?;
        let has_values = solved.primal_solution_status() == HighsSolutionStatus::Feasible;
        let is_optimal = has_values && solved.status() == HighsModelStatus::Optimal;
        // Programs were checked before, so one without a solution broke the method.
        let is_broken = [HighsModelStatus::Infeasible, HighsModelStatus::UnboundedOrInfeasible];
        if is_broken.contains(&solved.status()) {
            return None;
        }
        let bound = solved.double_info_value(c"mip_dual_bound").ok()?;
        Some(Found {
            values: has_values.then(|| solved.get_solution().columns().to_vec()),
            is_optimal,
            bound,
        })
    }
}
