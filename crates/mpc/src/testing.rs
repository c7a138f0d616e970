//! Small random programs and the brute force that they are held against.

use rand::{Rng, RngExt};
use tidegate_core::{Replicas, Seed, seed::Stream};

use crate::pools::{Chance, Course, Life, Pool, Pools, Risk};
use crate::{Band, Convex, Limits, OnePool, Switching, Table};

/// What a random program of one pool may have.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Stages, at most.
    pub n_stages: usize,
    /// Replicas, at most.
    pub replicas_max: Replicas,
    /// Start-up delay, at most.
    pub delay_max: u32,
    /// Costs that fall by less and less.
    pub is_convex: bool,
}

/// A generator of a test's own.
pub fn rng(index: u64) -> impl Rng {
    Seed::training(index).rng(Stream::Search)
}

/// A random program; about one in ten is infeasible.
pub fn one_pool(kind: Kind, rng: &mut impl Rng) -> OnePool {
    let n_stages = rng.random_range(1..=kind.n_stages);
    let delay_ticks = rng.random_range(0..=kind.delay_max);
    let top = kind.replicas_max;
    let bounds = (0..n_stages)
        .map(|_| {
            let low = if rng.random_bool(0.4) { rng.random_range(0..=top / 2) } else { 0 };
            Band::new(low, rng.random_range(low.max(top / 2)..=top))
        })
        .collect();
    let mut ramp = || if rng.random_bool(0.2) { Replicas::MAX } else { rng.random_range(1..=3) };
    let (ramp_up, ramp_down) = (ramp(), ramp());
    let initial = rng.random_range(0..=top);
    let starting = (1..delay_ticks).map(|_| u32::from(rng.random_bool(0.3))).collect::<Vec<_>>();
    let starting = if starting.iter().sum::<u32>() > initial { Vec::new() } else { starting };
    let limits = Limits { bounds, ramp_up, ramp_down, initial, delay_ticks, starting };
    let bands = vec![Band::new(0, top); n_stages];
    // Quarters, so that ties are common and sums are exact.
    let quarter = |rng: &mut _, most: u32| f64::from(RngExt::random_range(rng, 0..=most)) / 4.0;
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for _ in 0..n_stages {
        let mut row: Vec<f64> = (0..=top).map(|_| quarter(rng, 40)).collect();
        if kind.is_convex {
            // Slopes that rise, from steep falls to none, or to rises where nothing forbids them.
            let most = if delay_ticks > 0 { 0.0 } else { 2.0 };
            let mut slopes: Vec<f64> =
                (0..top).map(|_| (quarter(rng, 20) - 4.0).min(most) - 0.5 * most).collect();
            slopes.sort_by(f64::total_cmp);
            for index in 1..row.len() {
                row[index] = row[index - 1] + slopes[index - 1].min(most);
            }
        } else if delay_ticks > 0 {
            row.sort_by(|a, b| b.total_cmp(a));
        }
        rows.push(row);
    }
    let stage = Table::from_fn(&bands, |stage, replicas| rows[stage][replicas as usize]);
    let switching = if rng.random_bool(0.5) {
        Switching { up_dollars: quarter(rng, 8), down_dollars: quarter(rng, 8) }
    } else {
        Switching::default()
    };
    let slope = quarter(rng, 8) - 1.0;
    let terminal = rng
        .random_bool(0.5)
        .then(|| Table::from_fn(&[Band::new(0, top)], |_, replicas| (slope * f64::from(replicas)).abs()));
    let dollars_per_replica = (0..n_stages).map(|_| quarter(rng, 8)).collect();
    OnePool { limits, dollars_per_replica, stage, switching, terminal }
}

/// The least cost of all plans, each looked at; `None` where none meets the limits.
pub fn brute_force(problem: &OnePool) -> Option<f64> {
    brute_force_by(problem, &|wanted| problem.dollars(wanted))
}

/// As [`brute_force`], with another objective over the same plans.
pub fn brute_force_by(problem: &OnePool, dollars: &dyn Fn(&[Replicas]) -> Option<f64>) -> Option<f64> {
    type Dollars<'a> = &'a dyn Fn(&[Replicas]) -> Option<f64>;
    fn extend(problem: &OnePool, dollars: Dollars, wanted: &mut Vec<Replicas>, least: &mut Option<f64>) {
        let Some(band) = problem.limits.bounds.get(wanted.len()) else {
            if let Some(dollars) = dollars(wanted) {
                *least = Some(least.map_or(dollars, |least| least.min(dollars)));
            }
            return;
        };
        for count in band.low..=band.high {
            let last = wanted.last().copied().unwrap_or(problem.limits.initial);
            if count.saturating_sub(last) <= problem.limits.ramp_up
                && last.saturating_sub(count) <= problem.limits.ramp_down
            {
                wanted.push(count);
                extend(problem, dollars, wanted, least);
                wanted.pop();
            }
        }
    }
    let mut least = None;
    extend(problem, dollars, &mut Vec::new(), &mut least);
    least
}

/// A random pool of at most `replicas_max` replicas.
pub fn pool(n_stages: usize, replicas_max: Replicas, rng: &mut impl Rng) -> Pool {
    let quarter = |rng: &mut _, most: u32| f64::from(RngExt::random_range(rng, 0..=most)) / 4.0;
    let quantum_ticks = if rng.random_bool(0.3) { rng.random_range(2..=3) } else { 1 };
    let price = quarter(rng, 8);
    let is_constant = quantum_ticks > 1;
    let high = rng.random_range(1..=replicas_max);
    Pool {
        dollars_per_replica: (0..n_stages)
            .map(|_| if is_constant { price } else { quarter(rng, 8) })
            .collect(),
        bounds: Band::new(rng.random_range(0..=1), high),
        ramp_up: if rng.random_bool(0.3) { Replicas::MAX } else { rng.random_range(1..=2) },
        ramp_down: if rng.random_bool(0.3) { Replicas::MAX } else { rng.random_range(1..=2) },
        delay_ticks: rng.random_range(0..=2),
        up_ticks_min: rng.random_range(0..=3),
        quantum_ticks,
        switching: Switching { up_dollars: quarter(rng, 4), down_dollars: quarter(rng, 4) },
        capacity: [1.0, 1.0, 1.0, 0.5, 1.5][rng.random_range(0..5)],
        initial: rng.random_range(0..=high),
        terminal_dollars_per_replica: quarter(rng, 4) - 0.5,
    }
}

/// A random program of several pools, one or three courses, any risk.
pub fn pools(n_pools: usize, n_stages: usize, replicas_max: Replicas, rng: &mut impl Rng) -> Pools {
    let pools = (0..n_pools).map(|_| pool(n_stages, replicas_max, rng)).collect();
    let n_courses = if rng.random_bool(0.5) { 1 } else { 3 };
    let most = f64::from(replicas_max) * n_pools as f64;
    let mut needed: Vec<Vec<f64>> = Vec::new();
    let courses = (0..n_courses)
        .map(|index| {
            let need: Vec<f64> =
                (0..n_stages).map(|_| (rng.random_range(0.0..most) * 4.0).round() / 4.0).collect();
            let dollars = f64::from(rng.random_range(2..=20_i32)) / 4.0;
            let penalty = need.iter().map(|need| Convex::shortage(*need, dollars)).collect();
            needed.push(need.iter().map(|need| 0.5 * need).collect());
            let probability = if n_courses == 1 { 1.0 } else { [0.5, 0.25, 0.25][index] };
            Course { probability, penalty }
        })
        .collect();
    let risk = if rng.random_bool(0.5) {
        Risk::Expected
    } else {
        Risk::ConditionalValue { level: [0.0, 0.5, 0.6, 0.9][rng.random_range(0..4)], weight: 0.5 }
    };
    let chance = rng.random_bool(0.2).then_some(Chance { level: 0.7, needed });
    Pools { pools, courses, risk, chance }
}

/// Calls `each` with every plan of one pool that keeps its limits, its dollars and its ready replicas.
pub fn each_plan(pool: &Pool, n_stages: usize, mut each: impl FnMut(&[Replicas], f64, &[Replicas])) {
    let n_counts = pool.bounds.n_counts();
    let (mut life, mut ready, mut wanted) = (Life::default(), vec![0; n_stages], vec![0; n_stages]);
    for code in 0..n_counts.pow(n_stages as u32) {
        let mut left = code;
        for count in &mut wanted {
            *count = pool.bounds.low + (left % n_counts) as Replicas;
            left /= n_counts;
        }
        if let Some(dollars) = pool.trace(&wanted, &mut life, &mut ready) {
            each(&wanted, dollars, &ready);
        }
    }
}

/// The least cost of all plans of several pools; `None` where none meets the limits.
pub fn brute_force_pools(problem: &Pools) -> Option<f64> {
    let n_stages = problem.n_stages();
    let mut sums = vec![(0.0, vec![0.0; n_stages])];
    for pool in &problem.pools {
        let mut longer = Vec::new();
        each_plan(pool, n_stages, |_, dollars, ready| {
            longer.extend(sums.iter().map(|(sum, capacity)| {
                let each =
                    capacity.iter().zip(ready).map(|(all, ready)| all + pool.capacity * f64::from(*ready));
                (sum + dollars, each.collect::<Vec<f64>>())
            }));
        });
        sums = longer;
    }
    let total = |(dollars, capacity): &(f64, Vec<f64>)| Some(dollars + problem.penalty(capacity)?);
    sums.iter().filter_map(total).min_by(f64::total_cmp)
}
