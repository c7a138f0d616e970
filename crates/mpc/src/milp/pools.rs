//! Several pools as a model, a plan as values of its variables, and values as a plan.

use good_lp::{Expression, constraint};
use tidegate_core::Replicas;

use super::model::{Column, Model};
use crate::{Pool, Pools, Risk};

/// Where the variables of a model are.
#[derive(Default)]
pub(super) struct Layout {
    n: usize,
    pools: Vec<PoolLayout>,
    /// For each course and stage the penalty; none where it is 0.
    dollars: Vec<Vec<Option<Column>>>,
    /// η, and what each course is above it; under `CVaR` only.
    threshold: Option<Column>,
    excess: Vec<Column>,
    /// Whether each course is met; under a chance constraint only.
    met: Vec<Column>,
}

/// The columns of a pool: one a stage, and for stops and what is free one for each stage of the next payment as well.
#[derive(Default)]
struct PoolLayout {
    starts: Vec<Column>,
    stops: Vec<Vec<Column>>,
    free: Vec<Vec<Column>>,
}

/// The model of a program that was checked.
pub(super) fn formulate(problem: &Pools) -> (Model, Layout) {
    let n_stages = problem.n_stages();
    let mut model = Model::default();
    let mut layout = Layout::default();
    let mut capacity = vec![Expression::default(); n_stages];
    for pool in &problem.pools {
        let (bound, delay, quantum) =
            (pool.bound_ticks(), pool.delay_ticks as usize, pool.quantum_ticks as usize);
        let (ups_max, downs_max) = (f64::from(pool.ups_max()), f64::from(pool.downs_max()));
        let most = f64::from(pool.most());
        let ups: Vec<Column> = (0..n_stages).map(|_| model.whole(0.0, ups_max)).collect();
        let mut free: Vec<Option<Column>> = vec![None; quantum];
        let mut columns = PoolLayout::default();
        for stage in 0..n_stages {
            let (mut all_stops, mut all_free) = (Expression::default(), Expression::default());
            let mut stops_of_stage = Vec::new();
            for (due, last) in free.iter_mut().enumerate() {
                let stops = model.whole(0.0, downs_max);
                stops_of_stage.push(stops);
                let now = model.real(0.0, most);
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
                *last = Some(now);
            }
            let young = |least: usize| (least..bound).filter(|age| *age <= stage).map(|age| ups[stage - age]);
            let sum = |expression: &Expression, columns: &mut dyn Iterator<Item = Column>| {
                columns.fold(expression.clone(), |sum, column| sum + column.variable)
            };
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
            columns.stops.push(stops_of_stage);
            columns.free.push(free.iter().flatten().copied().collect());
        }
        columns.starts = ups;
        layout.pools.push(columns);
    }
    charge_penalties(&mut model, &mut layout, problem, &capacity);
    layout.n = model.variables.len();
    (model, layout)
}

impl Layout {
    /// The plan that values say: what ran before, and starts and stops since.
    pub fn plan(&self, problem: &Pools, values: &[f64]) -> Vec<Vec<Replicas>> {
        let count = |column: &Column| values[column.index].round() as Replicas;
        let wanted = |(pool, columns): (&Pool, &PoolLayout)| {
            let switched = columns.starts.iter().zip(&columns.stops);
            let mut running = pool.initial;
            let run = switched.map(|(starts, stops)| {
                running = (running + count(starts)).saturating_sub(stops.iter().map(count).sum());
                running
            });
            run.collect()
        };
        problem.pools.iter().zip(&self.pools).map(wanted).collect()
    }

    /// The value of every variable under a plan that keeps the limits.
    pub fn values(&self, problem: &Pools, plan: &[Vec<Replicas>]) -> Vec<f64> {
        let mut values = vec![0.0; self.n];
        for ((pool, wanted), columns) in problem.pools.iter().zip(plan).zip(&self.pools) {
            let before = std::iter::once(pool.initial).chain(wanted.iter().copied());
            for ((before, now), column) in before.zip(wanted).zip(&columns.starts) {
                values[column.index] = f64::from(now.saturating_sub(before));
            }
            let (bound, quantum) = (pool.bound_ticks(), pool.quantum_ticks as usize);
            let mut free = vec![0.0; quantum];
            free[0] = f64::from(pool.initial);
            for (stage, stops) in pool.stops(wanted).into_iter().enumerate() {
                if let Some(start) = stage.checked_sub(bound) {
                    free[start % quantum] += values[columns.starts[start].index];
                }
                for (due, stops) in stops.into_iter().enumerate() {
                    free[due] -= f64::from(stops);
                    values[columns.stops[stage][due].index] = f64::from(stops);
                    values[columns.free[stage][due].index] = free[due];
                }
            }
        }
        let capacity = problem.capacity(plan).expect("the plan keeps the limits");
        let mut sums = Vec::new();
        for (course, columns) in problem.courses.iter().zip(&self.dollars) {
            let mut sum = 0.0;
            for ((penalty, capacity), column) in course.penalty.iter().zip(&capacity).zip(columns) {
                if let Some(column) = column {
                    values[column.index] = penalty.at(*capacity);
                    sum += values[column.index];
                }
            }
            sums.push(sum);
        }
        if let (Some(threshold), Risk::ConditionalValue { level, .. }) = (self.threshold, problem.risk) {
            let at_risk = value_at_risk(problem, &sums, level);
            values[threshold.index] = at_risk;
            for (column, sum) in self.excess.iter().zip(&sums) {
                values[column.index] = (sum - at_risk).max(0.0);
            }
        }
        if let Some(chance) = &problem.chance {
            for (column, needed) in self.met.iter().zip(&chance.needed) {
                // As the program itself counts them.
                let is_met = capacity.iter().zip(needed).all(|(it, needed)| *it >= needed - 1e-9);
                values[column.index] = f64::from(is_met);
            }
        }
        values
    }
}

/// The least sum that the courses pass with a probability of at most 1 − level: η at its best.
fn value_at_risk(problem: &Pools, sums: &[f64], level: f64) -> f64 {
    let mut courses: Vec<_> = problem.courses.iter().map(|course| course.probability).zip(sums).collect();
    courses.sort_by(|a, b| a.1.total_cmp(b.1));
    let mut below = 0.0;
    let is_enough = |(probability, _): &&(f64, &f64)| {
        below += probability;
        below >= level
    };
    let last = courses.last().map_or(0.0, |(_, sum)| **sum);
    courses.iter().find(is_enough).map_or(last, |(_, sum)| **sum)
}

/// ρ(Z) and the chance constraint.
fn charge_penalties(model: &mut Model, layout: &mut Layout, problem: &Pools, capacity: &[Expression]) {
    let mut sums = Vec::new();
    for course in &problem.courses {
        let above = |(penalty, capacity)| model.above(penalty, capacity);
        let dollars: Vec<Option<Column>> = course.penalty.iter().zip(capacity).map(above).collect();
        sums.push(dollars.iter().flatten().fold(Expression::default(), |sum, it| sum + it.variable));
        layout.dollars.push(dollars);
    }
    let mean_weight = match problem.risk {
        Risk::Expected => 1.0,
        Risk::ConditionalValue { level, weight } => {
            let column = model.real(f64::NEG_INFINITY, f64::INFINITY);
            layout.threshold = Some(column);
            let threshold = column.variable;
            model.objective += weight * threshold;
            for (course, sum) in problem.courses.iter().zip(&sums) {
                let column = model.real(0.0, f64::INFINITY);
                layout.excess.push(column);
                let excess = column.variable;
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
            let column = model.whole(0.0, 1.0);
            layout.met.push(column);
            let is_met = column.variable;
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
