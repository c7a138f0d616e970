//! Mixed-integer linear programs of all kinds, modelled with `good_lp` and solved by `microlp`.
//!
//! Limits are counts of nodes and a gap, never seconds: `microlp` reads a clock only where it is given a time limit,
//! and it is given none. What it does not offer, and what is done about it:
//!
//! - `good_lp` passes no node limit on, so the model that it built is handed to `microlp` itself.
//! - The relaxation at the root is no node: it cannot be cut short, and where it is hard, neither can the solve.
//! - There is no basis to keep from one program to the next: only a start, which is checked and becomes the first
//!   incumbent. A start that was given is also kept here, and returned where the search finds nothing better.
//! - Rows hold to 1e-7 and whole numbers to 1e-6; plans are rounded and charged again by the program's definition.

use good_lp::solvers::microlp::MicroLpProblem;
use good_lp::{Expression, ProblemVariables, Variable, constraint, variable};
use microlp::{SolveOptions, SolveOutcome};
use tidegate_core::{
    Replicas,
    solver::{Constraint, Outcome, Plan, Solver},
};

use crate::{Convex, OnePool, Piece, Pools, ProgramError, ResponsePool, Risk};

/// When a search stops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchLimits {
    /// Branch-and-bound nodes, the root not counted.
    pub n_nodes_max: u64,
    /// Relative gap between the best plan and the bound at which it counts as solved.
    pub gap: f64,
}

impl Default for SearchLimits {
    fn default() -> Self {
        Self { n_nodes_max: 10_000, gap: 0.0 }
    }
}

/// Programs of one pool whose costs are convex; others are [`Outcome::Unsolved`] without bound.
///
/// With the lines through neighbouring whole counts as cuts the linear relaxation has whole vertices, so the search
/// seldom branches; [`DynamicProgramming`](crate::DynamicProgramming) is faster and takes any costs. With a delay,
/// `r_t ≤ n_i` for i in t − d … t: exact for any bounds.
#[derive(Clone, Debug, Default)]
pub struct OnePoolMilp {
    /// When to stop.
    pub limits: SearchLimits,
}

/// Programs of one pool with a penalty through linear dynamics: `y_t` is a variable, its recursion a row a stage, and
/// the excess lies above p · (`y_t` − bound) and 0. Costs of the pool itself have to be convex.
#[derive(Clone, Debug, Default)]
pub struct ResponseMilp {
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
#[derive(Clone, Debug, Default)]
pub struct PoolsMilp {
    /// When to stop.
    pub limits: SearchLimits,
    /// A plan to start from; one that breaks a limit is left aside.
    pub start: Option<Vec<Vec<Replicas>>>,
}

/// A variable and its place among all.
#[derive(Clone, Copy)]
struct Column {
    variable: Variable,
    index: usize,
}

/// What switches a pool: a column a stage, and for stops one for each stage of the next payment.
struct Switches {
    starts: Vec<Column>,
    stops: Vec<Vec<Column>>,
}

/// What a search came to.
struct Found {
    values: Option<Vec<f64>>,
    is_optimal: bool,
    bound: f64,
}

/// A model as it grows. Its objective has no constant: `microlp` would lose it.
#[derive(Default)]
struct Model {
    variables: ProblemVariables,
    objective: Expression,
    rows: Vec<good_lp::Constraint>,
}

impl Model {
    fn whole(&mut self, low: f64, high: f64) -> Column {
        let index = self.variables.len();
        Column { variable: self.variables.add(variable().integer().min(low).max(high)), index }
    }

    fn real(&mut self, low: f64, high: f64) -> Variable {
        self.variables.add(variable().min(low).max(high))
    }

    /// A variable that is at least φ of an expression; none where φ is 0.
    fn above(&mut self, cost: &Convex, of: &Expression) -> Option<Variable> {
        if cost.pieces.is_empty() {
            return None;
        }
        let (flat, sloped): (Vec<&Piece>, Vec<&Piece>) =
            cost.pieces.iter().partition(|piece| piece.slope_dollars == 0.0);
        let low = flat.iter().fold(f64::NEG_INFINITY, |low, piece| low.max(piece.intercept_dollars));
        let above = self.real(low, f64::INFINITY);
        for piece in sloped {
            let line = of.clone() * piece.slope_dollars + piece.intercept_dollars;
            self.rows.push(constraint!(above >= line));
        }
        Some(above)
    }

    /// Searches from values of some variables; the rest of the start is found by a linear program. `None` where there
    /// is no solution or the simplex method breaks down.
    fn solve(self, limits: SearchLimits, start: &[(Column, f64)]) -> Option<Found> {
        let n_variables = self.variables.len();
        let mut model: MicroLpProblem = self.variables.minimise(self.objective).using(good_lp::microlp);
        for row in self.rows {
            good_lp::SolverModel::add_constraint(&mut model, row);
        }
        // A variable of microlp is a place, so those of another problem of the same size serve as well.
        let mut same_size = microlp::Problem::new(microlp::OptimizationDirection::Minimize);
        let places: Vec<_> = (0..n_variables).map(|_| same_size.add_var(0.0, (0.0, 0.0))).collect();
        let mut options = SolveOptions::default();
        options.node_limit = Some(limits.n_nodes_max);
        options.mip_gap = limits.gap;
        if !start.is_empty() {
            let values = start.iter().map(|(column, value)| (places[column.index], *value));
            options.warm_start = Some(values.collect());
        }
        let bound_of = |bound: Option<f64>| bound.unwrap_or(f64::NEG_INFINITY);
        match model.as_inner().solve_with(options).ok()? {
            SolveOutcome::Solution(solution) => Some(Found {
                values: Some(places.iter().map(|place| solution.var_value_raw(*place)).collect()),
                is_optimal: solution.status() == microlp::SolutionStatus::Optimal,
                bound: bound_of(solution.stats().best_bound),
            }),
            SolveOutcome::Interrupted(interrupted) => Some(Found {
                values: None,
                is_optimal: false,
                bound: bound_of(interrupted.stats().best_bound),
            }),
        }
    }
}

/// What a program without a solution, or one that broke the simplex method, is answered with; programs were checked
/// before, so it is the latter.
const BROKEN: Outcome = Outcome::Unsolved { bound_dollars: f64::NEG_INFINITY };

impl Solver for OnePoolMilp {
    type Problem = OnePool;

    fn solve(&mut self, problem: &OnePool) -> Outcome {
        let mut model = Model::default();
        let wanted = match one_pool(&mut model, problem) {
            Ok(Some(wanted)) => wanted,
            Ok(None) => return BROKEN,
            Err(error) => return Outcome::Infeasible(Constraint::from(error)),
        };
        search_one(model, self.limits, &wanted, |plan| problem.dollars(plan))
    }
}

impl Solver for ResponseMilp {
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
            let output = model.real(f64::NEG_INFINITY, f64::INFINITY);
            model.rows.push(constraint!(output == next));
            let excess = model.above(&penalty, &Expression::from(output)).expect("it has two pieces");
            model.objective += excess;
            outputs.push(output);
        }
        search_one(model, self.limits, &wanted, |plan| problem.dollars(plan))
    }
}

/// Searches a model whose plan is one list of columns.
fn search_one(
    model: Model,
    limits: SearchLimits,
    wanted: &[Column],
    dollars: impl Fn(&[Replicas]) -> Option<f64>,
) -> Outcome {
    let Some(found) = model.solve(limits, &[]) else { return BROKEN };
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
            let ready = model.real(f64::from(needed[stage].low).min(most), most);
            for column in &wanted[stage.saturating_sub(delay)..=stage] {
                let ordered = column.variable;
                model.rows.push(constraint!(ready <= ordered));
            }
            Expression::from(ready)
        };
        if let Some(dollars) = model.above(&cost, &ready) {
            model.objective += dollars;
        }
        let (up_max, down_max) = (problem.limits.ramp_up, problem.limits.ramp_down);
        let most = f64::from(bands[stage].high.max(problem.limits.initial));
        let up = model.real(0.0, f64::from(up_max).min(most));
        let down = model.real(0.0, f64::from(down_max));
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
            model.objective += dollars;
        }
    }
    Ok(Some(wanted))
}

impl Solver for PoolsMilp {
    type Problem = Pools;

    fn solve(&mut self, problem: &Pools) -> Outcome {
        if let Err(error) = problem.validate() {
            return Outcome::Infeasible(Constraint::from(error));
        }
        let start = self.start.clone().and_then(|plan| Some((problem.dollars(&plan).ok()?, plan)));
        let (found, running) = search_pools(problem, self.limits, start.as_ref().map(|(_, plan)| &plan[..]));
        let Some(found) = found else {
            return match start {
                Some((dollars, wanted)) => {
                    Outcome::Feasible { plan: Plan { wanted, dollars }, bound_dollars: f64::NEG_INFINITY }
                }
                None => BROKEN,
            };
        };
        let plan = found.values.as_ref().and_then(|values| {
            let count =
                |part: &Vec<usize>| part.iter().map(|index| values[*index]).sum::<f64>().round() as Replicas;
            let plan: Vec<Vec<Replicas>> =
                running.iter().map(|parts| parts.iter().map(count).collect()).collect();
            Some((problem.dollars(&plan).ok()?, plan))
        });
        let best = match (plan, start) {
            (Some(plan), Some(start)) => Some(if start.0 < plan.0 { start } else { plan }),
            (plan, start) => plan.or(start),
        };
        answer(&found, best)
    }
}

/// For each pool and stage, the columns whose sum is what runs.
type Running = Vec<Vec<Vec<usize>>>;

/// Models and searches a program that was checked, from a plan that keeps its limits.
fn search_pools(
    problem: &Pools,
    limits: SearchLimits,
    start: Option<&[Vec<Replicas>]>,
) -> (Option<Found>, Running) {
    let n_stages = problem.n_stages();
    let mut model = Model::default();
    let mut capacity = vec![Expression::default(); n_stages];
    let mut switches: Vec<Switches> = Vec::new();
    let mut running: Running = Vec::new();
    for pool in &problem.pools {
        let (bound, delay, quantum) =
            (pool.bound_ticks(), pool.delay_ticks as usize, pool.quantum_ticks as usize);
        let (ups_max, downs_max) = (f64::from(pool.ups_max()), f64::from(pool.downs_max()));
        let most = f64::from(pool.most());
        let ups: Vec<Column> = (0..n_stages).map(|_| model.whole(0.0, ups_max)).collect();
        let mut free: Vec<Option<Column>> = vec![None; quantum];
        let (mut parts, mut stops_of_stages) = (Vec::new(), Vec::new());
        for stage in 0..n_stages {
            let (mut all_stops, mut all_free) = (Expression::default(), Expression::default());
            let (mut part, mut stops_of_stage): (Vec<usize>, Vec<Column>) = (Vec::new(), Vec::new());
            for (due, last) in free.iter_mut().enumerate() {
                let stops = model.whole(0.0, downs_max);
                stops_of_stage.push(stops);
                let index = model.variables.len();
                let now = Column { variable: model.real(0.0, most), index };
                let mut before = match *last {
                    Some(column) => Expression::from(column.variable),
                    None => Expression::from(if due == 0 { f64::from(pool.initial) } else { 0.0 }),
                };
                if stage >= bound && (stage - bound) % quantum == due {
                    before += ups[stage - bound].variable;
                }
                let (now_variable, stopped) = (now.variable, stops.variable);
                model.rows.push(constraint!(now_variable == before - stopped));
                all_stops += stopped;
                all_free += now.variable;
                part.push(now.index);
                *last = Some(now);
            }
            let young = |least: usize| (least..bound).filter(|age| *age <= stage).map(|age| ups[stage - age]);
            let sum = |expression: &Expression, columns: &mut dyn Iterator<Item = Column>| {
                columns.fold(expression.clone(), |sum, column| sum + column.variable)
            };
            part.extend(young(0).map(|column| column.index));
            let count = sum(&all_free, &mut young(0));
            let ready = sum(&all_free, &mut young(delay));
            let due = free[stage % quantum].expect("every residue has its variable").variable;
            let paying = (0..bound).step_by(quantum).filter(|age| *age <= stage).map(|age| ups[stage - age]);
            let paid = sum(&Expression::from(due), &mut { paying });
            let price = pool.dollars_per_replica[stage] * f64::from(pool.quantum_ticks);
            model.objective += paid * price
                + pool.switching.up_dollars * ups[stage].variable
                + all_stops.clone() * pool.switching.down_dollars;
            model.rows.push(constraint!(all_stops <= downs_max));
            let (low, high) = (f64::from(pool.bounds.low), f64::from(pool.bounds.high));
            model.rows.push(constraint!(count.clone() >= low));
            model.rows.push(constraint!(count.clone() <= high));
            if stage + 1 == n_stages {
                model.objective += count * pool.terminal_dollars_per_replica;
            }
            capacity[stage] += ready * pool.capacity;
            parts.push(part);
            stops_of_stages.push(stops_of_stage);
        }
        switches.push(Switches { starts: ups, stops: stops_of_stages });
        running.push(parts);
    }
    charge_penalties(&mut model, problem, &capacity);
    let hints = start.map_or_else(Vec::new, |plan| hints(problem, plan, &switches));
    (model.solve(limits, &hints), running)
}

/// Starts and stops of a plan; a linear program finds the rest.
fn hints(problem: &Pools, plan: &[Vec<Replicas>], columns: &[Switches]) -> Vec<(Column, f64)> {
    let mut hints = Vec::new();
    for ((pool, wanted), columns) in problem.pools.iter().zip(plan).zip(columns) {
        let before = std::iter::once(pool.initial).chain(wanted.iter().copied());
        for ((before, now), column) in before.zip(wanted).zip(&columns.starts) {
            hints.push((*column, f64::from(now.saturating_sub(before))));
        }
        for (columns, stops) in columns.stops.iter().zip(pool.stops(wanted)) {
            hints.extend(columns.iter().zip(stops).map(|(column, stops)| (*column, f64::from(stops))));
        }
    }
    hints
}

/// ρ(Z) and the chance constraint.
fn charge_penalties(model: &mut Model, problem: &Pools, capacity: &[Expression]) {
    let mut sums = Vec::new();
    for course in &problem.courses {
        let mut sum = Expression::default();
        for (penalty, capacity) in course.penalty.iter().zip(capacity) {
            if let Some(dollars) = model.above(penalty, capacity) {
                sum += dollars;
            }
        }
        sums.push(sum);
    }
    let mean_weight = match problem.risk {
        Risk::Expected => 1.0,
        Risk::ConditionalValue { level, weight } => {
            let threshold = model.real(f64::NEG_INFINITY, f64::INFINITY);
            model.objective += weight * threshold;
            for (course, sum) in problem.courses.iter().zip(&sums) {
                let excess = model.real(0.0, f64::INFINITY);
                model.rows.push(constraint!(excess >= sum.clone() - threshold));
                model.objective += weight * course.probability / (1.0 - level) * excess;
            }
            1.0 - weight
        }
    };
    for (course, sum) in problem.courses.iter().zip(sums) {
        model.objective += sum * (mean_weight * course.probability);
    }
    if let Some(chance) = &problem.chance {
        let mut met = Expression::default();
        for (course, needed) in problem.courses.iter().zip(&chance.needed) {
            let is_met = model.whole(0.0, 1.0).variable;
            met += course.probability * is_met;
            for (needed, capacity) in needed.iter().zip(capacity).filter(|(needed, _)| **needed > 0.0) {
                model.rows.push(constraint!(capacity.clone() >= *needed * is_met));
            }
        }
        // Probabilities are sums of a few numbers.
        let level = chance.level - 1e-9;
        model.rows.push(constraint!(met >= level));
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
            let mut problem = pools(2, 6, 2, &mut rng(seed + 7_000_000));
            // Whether a course is met is not part of a start, so a chance constraint may leave it fractional.
            problem.chance = None;
            let Outcome::Optimal(best) = PoolsMilp::default().solve(&problem) else { continue };
            // No node is looked at, so without a start there is a plan only where the relaxation is whole.
            let limits = SearchLimits { n_nodes_max: 0, gap: 0.0 };
            let has_plan =
                |start| search_pools(&problem, limits, start).0.is_some_and(|it| it.values.is_some());
            assert!(has_plan(Some(&best.wanted[..])), "seed {seed}: the start is left aside");
            n_taken += 1;
            n_needed += usize::from(!has_plan(None));
        }
        assert!(n_taken > 60 && n_needed > 5, "{n_taken} starts, {n_needed} of them needed");
    }
}
