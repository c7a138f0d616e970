//! Mixed-integer linear programs of all kinds, modelled with `good_lp` and searched by an [`Engine`]: [`Microlp`] here,
//! `HiGHS` in `tidegate-highs`.
//!
//! Limits are counts of nodes and a gap, never seconds: `microlp` reads a clock only where it is given a time limit,
//! and it is given none. What `microlp` does not offer, and what is done about it:
//!
//! - `good_lp` passes no node limit on, so the model that it built is handed to `microlp` itself.
//! - The relaxation at the root is no node: it cannot be cut short, and where it is hard, neither can the solve.
//! - There is no basis to keep from one program to the next: only a start, which is checked and becomes the first
//!   incumbent. A start that was given is also kept here, and returned where the search finds nothing better.
//! - Rows hold to 1e-7 and whole numbers to 1e-6; plans are rounded and charged again by the program's definition.

mod microlp;
mod model;
mod pools;

use good_lp::{Expression, Variable, constraint};
use tidegate_core::{
    Replicas,
    solver::{Constraint, Outcome, Plan, Solver},
};

pub use microlp::{Microlp, Written};
use model::Column;
pub use model::{Engine, Found, Model, SearchLimits};

use crate::{OnePool, Pools, ProgramError, ResponsePool};

/// Programs of one pool whose costs are convex; others are [`Outcome::Unsolved`] without bound.
///
/// With the lines through neighbouring whole counts as cuts the linear relaxation has whole vertices, so the search
/// seldom branches; [`DynamicProgramming`](crate::DynamicProgramming) is faster and takes any costs. With a delay,
/// `r_t ≤ n_i` for i in t − d … t: exact for any bounds.
#[derive(Clone, Debug)]
pub struct OnePoolMilp<E = Microlp> {
    /// What searches.
    pub engine: E,
    /// When to stop.
    pub limits: SearchLimits,
}

/// Programs of one pool with a penalty through linear dynamics: `y_t` is a variable, its recursion a row a stage, and
/// the excess lies above p · (`y_t` − bound) and 0. Costs of the pool itself have to be convex.
#[derive(Clone, Debug)]
pub struct ResponseMilp<E = Microlp> {
    /// What searches.
    pub engine: E,
    /// When to stop.
    pub limits: SearchLimits,
}

/// Programs of several pools. Variables, beside the penalties `z_{s,t}`: starts `u_{k,t}` and stops `s_{k,t,ρ}`
/// (whole), and `n_{k,t,ρ}`, replicas past their minimum up time whose next payment is due at a stage ≡ ρ modulo the
/// quantum:
///
/// ```text
/// n_{t,ρ} = n_{t−1,ρ} + u_{t−m} [t − m ≡ ρ] − s_{t,ρ} ≥ 0
/// x_t     = Σ_{a<m} u_{t−a} + Σ_ρ n_{t,ρ}          r_t = Σ_{d≤a<m} u_{t−a} + Σ_ρ n_{t,ρ}
/// bill    = Σ_t price q (Σ_{a<m, a≡0} u_{t−a} + n_{t, t mod q})
/// z_{s,t} ≥ intercept + slope · y_t                 for every piece
/// CVaR:     η + Σ_s π_s e_s / (1 − α),  e_s ≥ Σ_t z_{s,t} − η,  e_s ≥ 0
/// chance:   y_t ≥ needed_{s,t} b_s,  Σ_s π_s b_s ≥ level,  b_s ∈ {0, 1}
/// ```
#[derive(Clone, Debug)]
pub struct PoolsMilp<E = Microlp> {
    /// What searches.
    pub engine: E,
    /// When to stop.
    pub limits: SearchLimits,
    /// A plan to start from; one that breaks a limit is left aside.
    pub start: Option<Vec<Vec<Replicas>>>,
}

impl<E> OnePoolMilp<E> {
    /// By an engine, with the usual limits.
    pub fn by(engine: E) -> Self {
        Self { engine, limits: SearchLimits::default() }
    }
}

impl<E> ResponseMilp<E> {
    /// By an engine, with the usual limits.
    pub fn by(engine: E) -> Self {
        Self { engine, limits: SearchLimits::default() }
    }
}

impl<E> PoolsMilp<E> {
    /// By an engine, with the usual limits, from nothing.
    pub fn by(engine: E) -> Self {
        Self { engine, limits: SearchLimits::default(), start: None }
    }
}

impl Default for OnePoolMilp {
    fn default() -> Self {
        Self::by(Microlp)
    }
}

impl Default for ResponseMilp {
    fn default() -> Self {
        Self::by(Microlp)
    }
}

impl Default for PoolsMilp {
    fn default() -> Self {
        Self::by(Microlp)
    }
}

/// What a program without a solution, or one that broke the simplex method, is answered with; programs were checked
/// before, so it is the latter.
const BROKEN: Outcome = Outcome::Unsolved { bound_dollars: f64::NEG_INFINITY };

impl<E: Engine> Solver for OnePoolMilp<E> {
    type Problem = OnePool;

    fn solve(&mut self, problem: &OnePool) -> Outcome {
        let mut model = Model::default();
        let wanted = match one_pool(&mut model, problem) {
            Ok(Some(wanted)) => wanted,
            Ok(None) => return BROKEN,
            Err(error) => return Outcome::Infeasible(Constraint::from(error)),
        };
        search_one(&self.engine, model, self.limits, &wanted, |plan| problem.dollars(plan))
    }
}

impl<E: Engine> Solver for ResponseMilp<E> {
    type Problem = ResponsePool;

    fn solve(&mut self, problem: &ResponsePool) -> Outcome {
        if let Err(error) = problem.validate() {
            return Outcome::Infeasible(Constraint::from(error));
        }
        let mut model = Model::default();
        let wanted = match one_pool(&mut model, &problem.pool) {
            Ok(Some(wanted)) => wanted,
            Ok(None) => return BROKEN,
            Err(error) => return Outcome::Infeasible(Constraint::from(error)),
        };
        let dynamics = &problem.dynamics;
        let penalty = dynamics.penalty();
        let mut outputs: Vec<Variable> = Vec::new();
        for stage in 0..wanted.len() {
            let mut next = Expression::from(dynamics.known[stage]);
            for (index, a) in dynamics.autoregression.iter().enumerate() {
                match stage.checked_sub(index + 1) {
                    Some(then) => next += -*a * outputs[then],
                    None => next += -*a * dynamics.outputs_before[index - stage],
                }
            }
            for (lag, b) in dynamics.replicas.iter().enumerate() {
                match stage.checked_sub(lag) {
                    Some(then) => next += *b * wanted[then].variable,
                    None => next += *b * dynamics.replicas_before[lag - stage - 1],
                }
            }
            let output = model.real(f64::NEG_INFINITY, f64::INFINITY).variable;
            model.rows.push(constraint!(output == next));
            let excess = model.above(&penalty, &Expression::from(output)).expect("it has two pieces");
            model.objective += excess.variable;
            outputs.push(output);
        }
        search_one(&self.engine, model, self.limits, &wanted, |plan| problem.dollars(plan))
    }
}

/// Searches a model whose plan is one list of columns.
fn search_one(
    engine: &impl Engine,
    model: Model,
    limits: SearchLimits,
    wanted: &[Column],
    dollars: impl Fn(&[Replicas]) -> Option<f64>,
) -> Outcome {
    let Some(found) = engine.search(model, limits, None) else { return BROKEN };
    let count =
        |values: &Vec<f64>| wanted.iter().map(|column| values[column.index].round() as Replicas).collect();
    let plan: Option<Vec<Replicas>> = found.values.as_ref().map(count);
    answer(&found, plan.and_then(|plan| Some((dollars(&plan)?, vec![plan]))))
}

/// Adds the program of one pool and gives the columns of what is ordered; none where its costs are not convex.
fn one_pool(model: &mut Model, problem: &OnePool) -> Result<Option<Vec<Column>>, ProgramError> {
    problem.validate()?;
    let (bands, needed) = (problem.limits.reachable()?, problem.limits.needed()?);
    let n_stages = problem.n_stages();
    let wanted: Vec<Column> =
        bands.iter().map(|band| model.whole(f64::from(band.low), f64::from(band.high))).collect();
    let initial = f64::from(problem.limits.initial);
    let delay = problem.limits.delay_ticks as usize;
    for stage in 0..n_stages {
        let count = wanted[stage].variable;
        model.objective += problem.dollars_per_replica[stage] * count;
        let Some(cost) = problem.stage.pieces(stage) else { return Ok(None) };
        let ready = if delay == 0 {
            Expression::from(count)
        } else {
            let mut most = f64::from(needed[stage].high);
            if stage < delay {
                most = most.min(f64::from(problem.limits.ready_most(stage)));
            }
            let ready = model.real(f64::from(needed[stage].low).min(most), most).variable;
            for column in &wanted[stage.saturating_sub(delay)..=stage] {
                let ordered = column.variable;
                model.rows.push(constraint!(ready <= ordered));
            }
            Expression::from(ready)
        };
        if let Some(dollars) = model.above(&cost, &ready) {
            model.objective += dollars.variable;
        }
        let (up_max, down_max) = (problem.limits.ramp_up, problem.limits.ramp_down);
        let most = f64::from(bands[stage].high.max(problem.limits.initial));
        let up = model.real(0.0, f64::from(up_max).min(most)).variable;
        let down = model.real(0.0, f64::from(down_max)).variable;
        let last = match stage {
            0 => Expression::from(initial),
            _ => Expression::from(wanted[stage - 1].variable),
        };
        model.rows.push(constraint!(count - last == up - down));
        model.objective += problem.switching.up_dollars * up + problem.switching.down_dollars * down;
    }
    if let Some(terminal) = &problem.terminal {
        let Some(cost) = terminal.pieces(0) else { return Ok(None) };
        let last = Expression::from(wanted[n_stages - 1].variable);
        if let Some(dollars) = model.above(&cost, &last) {
            model.objective += dollars.variable;
        }
    }
    Ok(Some(wanted))
}

impl<E: Engine> Solver for PoolsMilp<E> {
    type Problem = Pools;

    fn solve(&mut self, problem: &Pools) -> Outcome {
        if let Err(error) = problem.validate() {
            return Outcome::Infeasible(Constraint::from(error));
        }
        let start = self.start.clone().and_then(|plan| Some((problem.dollars(&plan).ok()?, plan)));
        let (model, layout) = pools::formulate(problem);
        let values = start.as_ref().map(|(_, plan)| layout.values(problem, plan));
        let found = self.engine.search(model, self.limits, values.as_deref());
        let Some(found) = found else {
            return match start {
                Some((dollars, wanted)) => {
                    Outcome::Feasible { plan: Plan { wanted, dollars }, bound_dollars: f64::NEG_INFINITY }
                }
                None => BROKEN,
            };
        };
        let plan = found.values.as_ref().and_then(|values| {
            let plan = layout.plan(problem, values);
            Some((problem.dollars(&plan).ok()?, plan))
        });
        let best = match (plan, start) {
            (Some(plan), Some(start)) => Some(if start.0 < plan.0 { start } else { plan }),
            (plan, start) => plan.or(start),
        };
        answer(&found, best)
    }
}

fn answer(found: &Found, best: Option<(f64, Vec<Vec<Replicas>>)>) -> Outcome {
    let Some((dollars, wanted)) = best else { return Outcome::Unsolved { bound_dollars: found.bound } };
    let plan = Plan { wanted, dollars };
    if found.is_optimal {
        Outcome::Optimal(plan)
    } else {
        Outcome::Feasible { plan, bound_dollars: found.bound.min(dollars) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{pools, rng};

    #[test]
    fn microlp_takes_a_plan_as_its_start() {
        let (mut n_taken, mut n_needed) = (0, 0);
        for seed in 0..100 {
            let problem = pools(2, 6, 2, &mut rng(seed + 7_000_000));
            let Outcome::Optimal(best) = PoolsMilp::default().solve(&problem) else { continue };
            // No node is looked at, so without a start there is a plan only where the relaxation is whole.
            let limits = SearchLimits { n_nodes_max: 0, gap: 0.0 };
            let has_plan = |start: Option<&[Vec<Replicas>]>| {
                let (model, layout) = pools::formulate(&problem);
                let start = start.map(|plan| layout.values(&problem, plan));
                let found = Microlp.search(model, limits, start.as_deref());
                found.is_some_and(|it| it.values.is_some())
            };
            assert!(has_plan(Some(&best.wanted[..])), "seed {seed}: the start is left aside");
            n_taken += 1;
            n_needed += usize::from(!has_plan(None));
        }
        assert!(n_taken > 60 && n_needed > 5, "{n_taken} starts, {n_needed} of them needed");
    }
}
