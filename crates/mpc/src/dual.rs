//! The Lagrangian dual of the program of several pools; its formula is in [`decomposition`](crate::decomposition).

use crate::pools::{Life, Pools};
use crate::replica::{Charge, Doing, ReplicaProgram};

/// More sums than this are not listed; the corners of φ are looked at instead, over all real capacities.
const SUMS_MAX: usize = 2048;

/// The dual function, made once for a program.
pub(crate) struct Dual<'a> {
    problem: &'a Pools,
    /// For each stage, the capacities looked at and, course by course, their penalties.
    stages: Vec<Grid>,
    replicas: ReplicaProgram,
    charges: Vec<Charge>,
    /// What all pools do in the answer, and the capacity asked for at each stage.
    pub doing: Vec<Doing>,
    pub asked: Vec<f64>,
}

struct Grid {
    capacity: Vec<f64>,
    penalty: Vec<Vec<f64>>,
    weighted: Vec<f64>,
}

/// What is priced, one list a kind; of the pools those limits that can bind.
pub(crate) struct Layout {
    n_stages: usize,
    pub n: usize,
    /// Where the prices of starts, stops and least counts of each pool begin.
    pools: Vec<[Option<usize>; 3]>,
}

impl Layout {
    pub(crate) fn new(problem: &Pools) -> Self {
        let n_stages = problem.n_stages();
        let mut n = n_stages;
        let mut take = |is_needed: bool| {
            is_needed.then(|| {
                n += n_stages;
                n - n_stages
            })
        };
        let pools = problem
            .pools
            .iter()
            .map(|pool| {
                let most = pool.most();
                [take(pool.ramp_up < most), take(pool.ramp_down < most), take(pool.bounds.low > 0)]
            })
            .collect();
        Self { n_stages, n, pools }
    }

    /// The least price of each kind: capacity may be worth less than nothing, a limit may not.
    pub(crate) fn least(&self, index: usize) -> f64 {
        if index < self.n_stages { f64::NEG_INFINITY } else { 0.0 }
    }
}

impl<'a> Dual<'a> {
    pub(crate) fn new(problem: &'a Pools) -> Self {
        let n_stages = problem.n_stages();
        let mut most = vec![0.0; n_stages];
        let mut ready = vec![0; n_stages];
        for (pool, wanted) in problem.pools.iter().zip(problem.most()) {
            pool.trace(&wanted, &mut Life::default(), &mut ready).expect("following keeps limits");
            most.iter_mut().zip(&ready).for_each(|(all, it)| *all += pool.capacity * f64::from(*it));
        }
        let sums = sums(problem);
        let stages = (0..n_stages)
            .map(|stage| {
                let least = least_needed(problem, stage);
                let mut capacity = match &sums {
                    Some(sums) => sums.clone(),
                    None => corners(problem, stage, most[stage], least),
                };
                // Capacities are sums of a few products.
                capacity.retain(|it| *it >= least - 1e-9 && *it <= most[stage] + 1e-9);
                let of = |course: &crate::Course| {
                    capacity.iter().map(|it| course.penalty[stage].at(*it)).collect()
                };
                let penalty = problem.courses.iter().map(of).collect();
                Grid { weighted: vec![0.0; capacity.len()], capacity, penalty }
            })
            .collect();
        let doing = vec![Doing::default(); problem.pools.len()];
        let replicas = ReplicaProgram::default();
        Self { problem, stages, replicas, charges: Vec::new(), doing, asked: vec![0.0; n_stages] }
    }

    /// The weights q of the courses.
    pub(crate) fn weigh(&mut self, weights: &[f64]) {
        for grid in &mut self.stages {
            grid.weighted.fill(0.0);
            for (weight, penalty) in weights.iter().zip(&grid.penalty) {
                grid.weighted.iter_mut().zip(penalty).for_each(|(sum, it)| *sum += weight * it);
            }
        }
    }

    /// D at the prices; leaves what is done in `doing` and `asked`.
    pub(crate) fn value(&mut self, layout: &Layout, prices: &[f64]) -> f64 {
        let n_stages = layout.n_stages;
        let mut dollars = 0.0;
        for ((grid, price), asked) in self.stages.iter().zip(prices).zip(&mut self.asked) {
            let mut least = (f64::INFINITY, 0.0);
            for (penalty, capacity) in grid.weighted.iter().zip(&grid.capacity) {
                let cost = penalty + price * capacity;
                if cost < least.0 {
                    least = (cost, *capacity);
                }
            }
            dollars += least.0;
            *asked = least.1;
        }
        for ((pool, places), doing) in self.problem.pools.iter().zip(&layout.pools).zip(&mut self.doing) {
            let [ups, downs, low] = places.map(|place| place.map(|place| &prices[place..place + n_stages]));
            let price = |prices: Option<&[f64]>, stage: usize| prices.map_or(0.0, |prices| prices[stage]);
            self.charges.clear();
            for (stage, capacity_price) in prices[..n_stages].iter().enumerate() {
                let charge = Charge {
                    running: -price(low, stage),
                    ready: -capacity_price * pool.capacity,
                    start: price(ups, stage),
                    stop: price(downs, stage),
                };
                dollars -= charge.running * f64::from(pool.bounds.low);
                dollars -=
                    charge.start * f64::from(pool.ups_max()) + charge.stop * f64::from(pool.downs_max());
                self.charges.push(charge);
            }
            doing.clear(n_stages);
            dollars += self.replicas.solve(pool, &self.charges, doing);
        }
        dollars
    }

    /// The slope of D in the prices for something done: what is asked for less what is there.
    pub(crate) fn slope(&self, layout: &Layout, doing: &[Doing], asked: &[f64], into: &mut [f64]) {
        let n_stages = layout.n_stages;
        into[..n_stages].copy_from_slice(asked);
        for ((pool, places), doing) in self.problem.pools.iter().zip(&layout.pools).zip(doing) {
            for (slope, ready) in into.iter_mut().zip(&doing.ready) {
                *slope -= pool.capacity * ready;
            }
            let kinds = [
                (&doing.ups, 1.0, -f64::from(pool.ups_max())),
                (&doing.downs, 1.0, -f64::from(pool.downs_max())),
                (&doing.running, -1.0, f64::from(pool.bounds.low)),
            ];
            for (place, (done, sign, constant)) in places.iter().zip(kinds) {
                if let Some(place) = place {
                    let slopes = into[*place..place + n_stages].iter_mut();
                    slopes.zip(done).for_each(|(slope, done)| *slope = sign * done + constant);
                }
            }
        }
    }
}

/// All capacities that ready replicas can sum to, in order; `None` where they are many.
fn sums(problem: &Pools) -> Option<Vec<f64>> {
    let mut sums = vec![0.0];
    for pool in &problem.pools {
        if sums.len().saturating_mul(pool.most() as usize + 1) > SUMS_MAX * 64 {
            return None;
        }
        let counts = 0..=pool.most();
        let mut longer: Vec<f64> = counts
            .flat_map(|count| sums.iter().map(move |sum| sum + pool.capacity * f64::from(count)))
            .collect();
        longer.sort_by(f64::total_cmp);
        // The same sum in another order of its terms.
        longer.dedup_by(|a, b| *a - *b < 1e-9);
        if longer.len() > SUMS_MAX {
            return None;
        }
        sums = longer;
    }
    Some(sums)
}

/// Where two pieces of a course cross, and the ends: the least of any weighted sum of φ and a linear function is there.
fn corners(problem: &Pools, stage: usize, most: f64, least: f64) -> Vec<f64> {
    let mut corners = vec![least.max(0.0), most];
    for course in &problem.courses {
        let pieces = &course.penalty[stage].pieces;
        for (index, a) in pieces.iter().enumerate() {
            for b in &pieces[..index] {
                let crossing =
                    (b.intercept_dollars - a.intercept_dollars) / (a.slope_dollars - b.slope_dollars);
                if crossing.is_finite() {
                    corners.push(crossing);
                }
            }
        }
    }
    corners.sort_by(f64::total_cmp);
    corners.dedup();
    corners
}

/// The least capacity that a stage needs by itself under the chance constraint: what holds at all stages together
/// with some probability holds at each with no smaller one.
fn least_needed(problem: &Pools, stage: usize) -> f64 {
    let Some(chance) = &problem.chance else { return 0.0 };
    let mut needs: Vec<(f64, f64)> = problem
        .courses
        .iter()
        .zip(&chance.needed)
        .map(|(course, needed)| (needed[stage], course.probability))
        .collect();
    needs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut met = 0.0;
    for (need, probability) in needs {
        if met >= chance.level - 1e-9 {
            break;
        }
        met += probability;
        if met >= chance.level - 1e-9 {
            return need.max(0.0);
        }
    }
    0.0
}
