//! Solvers by name.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use tidegate_core::Replicas;
use tidegate_core::solver::{Outcome, Solver};
use tidegate_mpc::milp::Engine;
use tidegate_mpc::{
    Annealing, Decomposition, DynamicProgramming, Microlp, OnePoolMilp, PoolsMilp, ResponseMilp, SearchLimits,
};

use super::Program;

/// A solver as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SolverName {
    /// Dynamic programming: one pool, any costs; exact
    Dynamic,
    /// Branch and bound by microlp; with several pools from the decomposition's plan
    Milp,
    /// Branch and bound by `HiGHS`, the same models; needs a build with `--features highs`
    Highs,
    /// Prices on capacity and local search: several pools; a plan and a bound
    Decomposition,
    /// Simulated quantum annealing: one pool; a plan and a wide bound
    Annealing,
    /// Every one that there is for the kind of program
    All,
}

/// What a solver came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Which one.
    pub solver: SolverName,
    /// What it says.
    pub outcome: Outcome,
    /// How long it took; for the terminal only.
    pub elapsed: Duration,
}

impl Answer {
    /// The plan and its cost, if there is one.
    pub fn plan(&self) -> Option<(&[Vec<Replicas>], f64)> {
        match &self.outcome {
            Outcome::Optimal(plan) | Outcome::Feasible { plan, .. } => Some((&plan.wanted, plan.dollars)),
            Outcome::Infeasible(_) | Outcome::Unsolved { .. } => None,
        }
    }

    /// What no plan can undercut.
    pub fn bound(&self) -> Option<f64> {
        let bound = match &self.outcome {
            Outcome::Optimal(plan) => plan.dollars,
            Outcome::Feasible { bound_dollars, .. } | Outcome::Unsolved { bound_dollars } => *bound_dollars,
            Outcome::Infeasible(_) => return None,
        };
        bound.is_finite().then_some(bound)
    }
}

impl SolverName {
    /// As on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dynamic => "dynamic",
            Self::Milp => "milp",
            Self::Highs => "highs",
            Self::Decomposition => "decomposition",
            Self::Annealing => "annealing",
            Self::All => "all",
        }
    }
}

/// The solvers for a kind of program, the right exact one first.
pub fn known(program: &Program) -> Vec<SolverName> {
    use SolverName::{Annealing, Decomposition, Dynamic, Highs, Milp};
    let all = match program {
        Program::OnePool(_) => &[Dynamic, Milp, Highs, Annealing][..],
        Program::Response(_) => &[Milp, Highs],
        Program::Pools(_) => &[Milp, Decomposition, Highs],
    };
    all.iter().copied().filter(|name| cfg!(feature = "highs") || *name != Highs).collect()
}

/// Those asked for, each once; the right exact one where none is.
///
/// # Errors
/// If one is not for this kind of program, or not in this build.
pub fn chosen(wanted: &[SolverName], program: &Program) -> anyhow::Result<Vec<SolverName>> {
    let known = known(program);
    let mut chosen: Vec<SolverName> = Vec::new();
    for name in wanted {
        if *name == SolverName::Highs && !cfg!(feature = "highs") {
            anyhow::bail!("--solver highs: needs a build with `--features highs`, but this one has none");
        }
        if *name != SolverName::All && !known.contains(name) {
            let names: Vec<&str> = known.iter().map(|name| name.name()).collect();
            anyhow::bail!(
                "--solver must be, for a program of kind {}, one of {}, but is {}",
                program.kind(),
                names.join(", "),
                name.name()
            );
        }
        let those = if *name == SolverName::All { &known[..] } else { std::slice::from_ref(name) };
        chosen.extend(those.iter().filter(|name| !chosen.contains(name)).copied().collect::<Vec<_>>());
    }
    Ok(if chosen.is_empty() { known[..1].to_vec() } else { chosen })
}

/// Solves, and looks at the clock.
pub fn answer(solver: SolverName, program: &Program) -> Answer {
    let began = Instant::now();
    let outcome = outcome(solver, program);
    Answer { solver, outcome, elapsed: began.elapsed() }
}

/// Solves; the same program gives the same answer.
///
/// # Panics
/// If the solver is not one of those [`known`] for the program.
pub fn outcome(solver: SolverName, program: &Program) -> Outcome {
    match (solver, program) {
        (SolverName::Dynamic, Program::OnePool(problem)) => DynamicProgramming::default().solve(problem),
        (SolverName::Annealing, Program::OnePool(problem)) => Annealing::default().solve(problem),
        (SolverName::Decomposition, Program::Pools(problem)) => Decomposition::default().solve(problem),
        (SolverName::Milp, program) => milp(Microlp, SearchLimits::default(), program),
        #[cfg(feature = "highs")]
        (SolverName::Highs, program) => {
            let limits = SearchLimits { gap: tidegate_highs::GAP, ..SearchLimits::default() };
            milp(tidegate_highs::Highs, limits, program)
        }
        (solver, program) => unreachable!("{solver:?} is not for {}", program.kind()),
    }
}

fn milp<E: Engine>(engine: E, limits: SearchLimits, program: &Program) -> Outcome {
    match program {
        Program::OnePool(problem) => OnePoolMilp { engine, limits }.solve(problem),
        Program::Response(problem) => ResponseMilp { engine, limits }.solve(problem),
        Program::Pools(problem) => {
            let start = match Decomposition::default().solve(problem) {
                Outcome::Optimal(plan) | Outcome::Feasible { plan, .. } => Some(plan.wanted),
                Outcome::Infeasible(_) | Outcome::Unsolved { .. } => None,
            };
            PoolsMilp { engine, limits, start }.solve(problem)
        }
    }
}
