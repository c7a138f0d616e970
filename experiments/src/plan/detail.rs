//! What a plan means stage by stage, and what it would cost to begin otherwise.

use tidegate_core::Replicas;
use tidegate_mpc::{Band, Convex, DynamicProgramming, Law, OnePool, Pools, ResponsePool};

use super::Program;
use super::solve::{self, Answer, SolverName};

/// The law is shown for so many counts below and above the start.
pub const AROUND: Replicas = 5;

/// One stage of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct StageOfPlan {
    /// Ordered, a pool each.
    pub ordered: Vec<Replicas>,
    /// Ready, a pool each.
    pub ready: Vec<Replicas>,
    /// Bills and switching, and at the last stage the terminal cost.
    pub capacity_dollars: f64,
    /// The stage cost; expected where there are several courses.
    pub penalty_dollars: f64,
    /// What one more ready replica (of several pools: one more unit of capacity) at this stage would change the
    /// penalties by; `None` where its cost is not known.
    pub one_more_dollars: Option<f64>,
}

impl StageOfPlan {
    /// All of it.
    pub fn dollars(&self) -> f64 {
        self.capacity_dollars + self.penalty_dollars
    }
}

/// Another first move.
#[derive(Clone, Debug, PartialEq)]
pub struct OtherMove {
    /// Which pool.
    pub pool: usize,
    /// What is ordered first.
    pub ordered: Replicas,
    /// What the whole horizon then costs more than the plan, or why it cannot be.
    pub more_dollars: Result<f64, String>,
}

/// A plan stage by stage.
///
/// # Panics
/// If the plan breaks a limit of the program.
pub fn stages(program: &Program, plan: &[Vec<Replicas>]) -> Vec<StageOfPlan> {
    match program {
        Program::OnePool(problem) => of_one_pool(problem, &plan[0]),
        Program::Response(problem) => of_response(problem, &plan[0]),
        Program::Pools(problem) => of_pools(problem, plan),
    }
}

fn of_one_pool(problem: &OnePool, wanted: &[Replicas]) -> Vec<StageOfPlan> {
    let mut last = problem.limits.initial;
    let stage = |(stage, &count): (usize, &Replicas)| {
        let ready = problem.ready(wanted, stage);
        let (up, down) = (count.saturating_sub(last), last.saturating_sub(count));
        last = count;
        let is_last = stage + 1 == wanted.len();
        let terminal = problem.terminal.as_ref().filter(|_| is_last).map_or(0.0, |it| it.at(0, count));
        let penalty_dollars = problem.stage.at(stage, ready);
        let is_known = problem.stage.band(stage).contains(ready + 1);
        StageOfPlan {
            ordered: vec![count],
            ready: vec![ready],
            capacity_dollars: problem.dollars_per_replica[stage] * f64::from(count)
                + problem.switching.up_dollars * f64::from(up)
                + problem.switching.down_dollars * f64::from(down)
                + terminal,
            penalty_dollars,
            one_more_dollars: is_known.then(|| problem.stage.at(stage, ready + 1) - penalty_dollars),
        }
    };
    wanted.iter().enumerate().map(stage).collect()
}

fn of_response(problem: &ResponsePool, wanted: &[Replicas]) -> Vec<StageOfPlan> {
    let dynamics = &problem.dynamics;
    let excess = |plan: &[Replicas]| -> Vec<f64> {
        let above = |output: f64| dynamics.dollars_per_excess * (output - dynamics.bound).max(0.0);
        dynamics.outputs(plan).into_iter().map(above).collect()
    };
    let penalties = excess(wanted);
    let mut stages = of_one_pool(&problem.pool, wanted);
    for (index, stage) in stages.iter_mut().enumerate() {
        stage.penalty_dollars += penalties[index];
        // It moves the output of all stages after it as well.
        let mut more = wanted.to_vec();
        more[index] += 1;
        let change: f64 = excess(&more).iter().zip(&penalties).map(|(more, now)| more - now).sum();
        stage.one_more_dollars = stage.one_more_dollars.map(|own| own + change);
    }
    stages
}

fn of_pools(problem: &Pools, plan: &[Vec<Replicas>]) -> Vec<StageOfPlan> {
    let pools: Vec<(Vec<f64>, Vec<Replicas>)> = (problem.pools.iter().zip(plan))
        .map(|(pool, wanted)| pool.stages(wanted).expect("a plan keeps the limits"))
        .collect();
    let expected = |stage: usize, capacity: f64| -> f64 {
        let at = |penalty: &Convex| penalty.at(capacity);
        problem.courses.iter().map(|course| course.probability * at(&course.penalty[stage])).sum()
    };
    let stage = |stage: usize| {
        let ready: Vec<Replicas> = pools.iter().map(|(_, ready)| ready[stage]).collect();
        let capacity =
            problem.pools.iter().zip(&ready).map(|(pool, ready)| pool.capacity * f64::from(*ready)).sum();
        let penalty_dollars = expected(stage, capacity);
        StageOfPlan {
            ordered: plan.iter().map(|wanted| wanted[stage]).collect(),
            ready,
            capacity_dollars: pools.iter().map(|(dollars, _)| dollars[stage]).sum(),
            penalty_dollars,
            one_more_dollars: Some(expected(stage, capacity + 1.0) - penalty_dollars),
        }
    };
    (0..problem.n_stages()).map(stage).collect()
}

/// What it would cost to order one fewer or one more at first. One pool: the best plan that begins so, by the solver of
/// `answer`. Several pools: the plan with that one change (its bounds are the same at all stages, so a first move
/// cannot be asked for), which is at least what the best plan would cost.
pub fn other_moves(program: &Program, answer: &Answer) -> Vec<OtherMove> {
    let Some((plan, dollars)) = answer.plan() else { return Vec::new() };
    let mut moves = Vec::new();
    for (pool, wanted) in plan.iter().enumerate() {
        for ordered in [wanted[0].checked_sub(1), wanted[0].checked_add(1)].into_iter().flatten() {
            let cost = match program {
                Program::OnePool(problem) => {
                    let forced = forced(problem, ordered);
                    forced.and_then(|it| best(answer.solver, &Program::OnePool(it)))
                }
                Program::Response(problem) => forced(&problem.pool, ordered).and_then(|pool| {
                    best(answer.solver, &Program::Response(ResponsePool { pool, ..problem.clone() }))
                }),
                Program::Pools(problem) => {
                    let mut other = plan.to_vec();
                    other[pool][0] = ordered;
                    problem.dollars(&other).map_err(|constraint| constraint.what)
                }
            };
            moves.push(OtherMove { pool, ordered, more_dollars: cost.map(|cost| cost - dollars) });
        }
    }
    moves
}

/// The program in which the first order is given.
fn forced(problem: &OnePool, ordered: Replicas) -> Result<OnePool, String> {
    let bounds = problem.limits.bounds[0];
    if !bounds.contains(ordered) {
        return Err(format!("stage 0: at least {} and at most {} replicas", bounds.low, bounds.high));
    }
    let mut problem = problem.clone();
    problem.limits.bounds[0] = Band::new(ordered, ordered);
    Ok(problem)
}

fn best(solver: SolverName, program: &Program) -> Result<f64, String> {
    program.validate().map_err(|error| error.to_string())?;
    let answer = solve::answer(solver, program);
    answer.plan().map(|(_, dollars)| dollars).ok_or_else(|| "no plan was found".to_owned())
}

/// The explicit law at the first stage for the counts around the start; fewer where costs are missing, and none where
/// the program is not one of a table.
pub fn law(program: &Program) -> Option<Law> {
    let Program::OnePool(problem) = program else { return None };
    let initial = problem.limits.initial;
    (0..=AROUND).rev().find_map(|around| {
        let states = Band::new(initial.saturating_sub(around), initial.saturating_add(around));
        DynamicProgramming::default().law(problem, 0, states).ok()
    })
}
