//! Simulated quantum annealing of [`OnePool`]: a heuristic, held up against the exact answer by its gap.
//!
//! A plan is a particle on the lattice of whole counts, one coordinate a stage, with the program's cost as potential E
//! and a hopping term of strength Γ that lets it tunnel from count to count. Its partition function at temperature θ
//! is, after Suzuki and Trotter (Santoro et al. 2002), that of P classical copies ("slices") in a ring,
//!
//! ```text
//! weight = exp( − Σ_p E(n^p) / (P θ) ) · Π_p Π_t I_k(z),   k = |n^p_t − n^{p+1}_t|,   z = 2 Γ / (P θ)
//! ```
//!
//! `I_k`, the modified Bessel function of order k, is the element ⟨n| exp((z/2) (hops up + hops down)) |n ± k⟩ of the
//! lattice, which is the Ising coupling −½ ln tanh for more than two values. Metropolis steps sample it: a count of one
//! slice up or down, the same over an interval of stages, and an interval of all slices at once. The field falls by
//! equal ratios over the sweeps, the slices grow together, and the best plan that any slice came to is the answer.
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | P | [`Annealing::n_slices`] | 1 |
//! | P θ | [`Annealing::temperature`] × mean change of cost by one step from the first plan | dollars |
//! | z | falls from [`Annealing::field_first`] to [`Annealing::field_last`] | 1 |
//!
//! The bound is what no plan undercuts if every stage could choose freely: `Σ_t min_n (price_t n + φ_t(n)) + min
//! terminal`. It is cheap and wide; the plan is called optimal only where it meets it.

use rand::{Rng, RngExt};
use tidegate_core::{
    Replicas, Seed,
    seed::Stream,
    solver::{Constraint, Outcome, Plan, Solver},
};

use crate::{Band, OnePool};

/// The solver; see [the module](self).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Annealing {
    /// Trotter slices, P; at least 2.
    pub n_slices: usize,
    /// Sweeps; each tries as many steps a slice as there are stages.
    pub n_sweeps: u32,
    /// Temperature of a slice, in units of the mean change of cost by one step.
    pub temperature: f64,
    /// z in the first sweep.
    pub field_first: f64,
    /// z in the last sweep.
    pub field_last: f64,
    /// Where the chance comes from.
    pub seed: Seed,
}

impl Default for Annealing {
    fn default() -> Self {
        Self {
            n_slices: 16,
            n_sweeps: 1_000,
            temperature: 0.5,
            field_first: 3.0,
            field_last: 1e-3,
            seed: Seed::training(0),
        }
    }
}

/// Differences above this are weighed by the last ratio.
const N_ORDERS: usize = 64;

impl Solver for Annealing {
    type Problem = OnePool;

    fn solve(&mut self, problem: &OnePool) -> Outcome {
        let bands = match problem.validate().and_then(|()| problem.limits.reachable()) {
            Ok(bands) => bands,
            Err(error) => return Outcome::Infeasible(Constraint::from(error)),
        };
        let bound = free_bound(problem, &bands);
        let (dollars, wanted) = self.anneal(problem, &bands);
        let plan = Plan { wanted: vec![wanted], dollars };
        // Two sums of the same terms in different order.
        if plan.dollars - bound <= 1e-9 * (1.0 + bound.abs()) {
            Outcome::Optimal(plan)
        } else {
            Outcome::Feasible { plan, bound_dollars: bound }
        }
    }
}

/// `Σ_t min_n (price_t n + φ_t(n)) + min terminal`: ready are never more than ordered, φ does not rise where they
/// are fewer, and change costs at least nothing.
fn free_bound(problem: &OnePool, bands: &[Band]) -> f64 {
    let mut bound = 0.0;
    for (stage, band) in bands.iter().enumerate() {
        let price = problem.dollars_per_replica[stage];
        let costs = problem.stage.part(stage, *band).iter().zip(band.low..);
        bound += costs.fold(f64::INFINITY, |least, (load, n)| least.min(price * f64::from(n) + load));
    }
    let last = bands[bands.len() - 1];
    let terminal = problem.terminal.as_ref().map(|terminal| terminal.part(0, last));
    bound + terminal.map_or(0.0, |row| row.iter().copied().fold(f64::INFINITY, f64::min))
}

impl Annealing {
    fn anneal(self, problem: &OnePool, bands: &[Band]) -> (f64, Vec<Replicas>) {
        let n_stages = problem.n_stages();
        let n_slices = self.n_slices.max(2);
        let first = start(problem, bands);
        let dollars = problem.dollars(&first).expect("the start keeps the limits");
        let mut best = (dollars, first.clone());
        let temperature = self.temperature * mean_change(problem, bands, &first);
        let mut slices = vec![first; n_slices];
        let mut costs = vec![dollars; n_slices];
        let mut rng = self.seed.rng(Stream::Search);
        let n_steps = f64::from(self.n_sweeps.max(2) - 1);
        for sweep in 0..self.n_sweeps {
            let share = f64::from(sweep) / n_steps;
            let coupling = Coupling::new(self.field_first * (self.field_last / self.field_first).powf(share));
            for slice in 0..n_slices {
                for step in 0..n_stages {
                    let (from, to) = interval(step, n_stages, &mut rng);
                    let is_more = rng.random_bool(0.5);
                    let Some(change) = change(problem, bands, &mut slices[slice], from, to, is_more) else {
                        continue;
                    };
                    let (before, after) = ((slice + n_slices - 1) % n_slices, (slice + 1) % n_slices);
                    let action: f64 = (from..to)
                        .map(|stage| {
                            let now = slices[slice][stage];
                            let was = if is_more { now - 1 } else { now + 1 };
                            [slices[before][stage], slices[after][stage]].iter().fold(0.0, |sum, other| {
                                sum + coupling.of(now, *other) - coupling.of(was, *other)
                            })
                        })
                        .sum();
                    if is_taken(change / temperature + action, &mut rng) {
                        costs[slice] += change;
                        keep(problem, &mut best, costs[slice], &slices[slice]);
                    } else {
                        shift(&mut slices[slice][from..to], !is_more);
                    }
                }
            }
            Self::move_all(problem, bands, &mut slices, &mut costs, temperature, &mut best, &mut rng);
        }
        best
    }

    /// One interval of all slices at once, which no coupling holds back.
    fn move_all(
        problem: &OnePool,
        bands: &[Band],
        slices: &mut [Vec<Replicas>],
        costs: &mut [f64],
        temperature: f64,
        best: &mut (f64, Vec<Replicas>),
        rng: &mut impl Rng,
    ) {
        let n_stages = problem.n_stages();
        for step in 0..n_stages {
            let (from, to) = interval(step, n_stages, rng);
            let is_more = rng.random_bool(0.5);
            let mut changes = Vec::with_capacity(slices.len());
            for slice in slices.iter_mut() {
                match change(problem, bands, slice, from, to, is_more) {
                    Some(change) => changes.push(change),
                    None => break,
                }
            }
            let sum: f64 = changes.iter().sum();
            if changes.len() == slices.len() && is_taken(sum / temperature, rng) {
                for ((cost, change), slice) in costs.iter_mut().zip(&changes).zip(slices.iter()) {
                    *cost += change;
                    keep(problem, best, *cost, slice);
                }
            } else {
                for slice in &mut slices[..changes.len()] {
                    shift(&mut slice[from..to], !is_more);
                }
            }
        }
    }
}

/// A plan that keeps the limits: back from the last stage, where counts from which the rest can be reached are known,
/// then forward, each stage as near to the one before as it may be.
fn start(problem: &OnePool, bands: &[Band]) -> Vec<Replicas> {
    let limits = &problem.limits;
    let mut able = bands.to_vec();
    for stage in (1..able.len()).rev() {
        let next = able[stage];
        let now = &mut able[stage - 1];
        now.low = now.low.max(next.low.saturating_sub(limits.ramp_up));
        now.high = now.high.min(next.high.saturating_add(limits.ramp_down));
    }
    let mut last = limits.initial;
    let count = |band: &Band| {
        last = last.clamp(band.low, band.high);
        last
    };
    able.iter().map(count).collect()
}

/// Metropolis: whether a change of the action is taken.
fn is_taken(action: f64, rng: &mut impl Rng) -> bool {
    action <= 0.0 || rng.random::<f64>() < (-action).exp()
}

/// Keeps a plan that is cheaper than the best by the running sum and by its definition.
fn keep(problem: &OnePool, best: &mut (f64, Vec<Replicas>), cost: f64, plan: &[Replicas]) {
    if cost < best.0 - 1e-9 {
        let dollars = problem.dollars(plan).expect("steps keep the limits");
        if dollars < best.0 {
            best.0 = dollars;
            best.1.clear();
            best.1.extend_from_slice(plan);
        }
    }
}

/// Stage `step`, or, every other time, an interval from there of random length.
fn interval(step: usize, n_stages: usize, rng: &mut impl Rng) -> (usize, usize) {
    let length = if rng.random_bool(0.5) { 1 } else { rng.random_range(1..=n_stages - step) };
    (step, step + length)
}

fn shift(counts: &mut [Replicas], is_more: bool) {
    for count in counts {
        *count = if is_more { *count + 1 } else { *count - 1 };
    }
}

/// Shifts an interval and gives the change of cost; leaves the plan as it is and gives none where a limit forbids it.
fn change(
    problem: &OnePool,
    bands: &[Band],
    plan: &mut [Replicas],
    from: usize,
    to: usize,
    is_more: bool,
) -> Option<f64> {
    let fits =
        |(count, band): (&Replicas, &Band)| if is_more { *count < band.high } else { *count > band.low };
    if !plan[from..to].iter().zip(&bands[from..to]).all(fits) {
        return None;
    }
    let before = part(problem, plan, from, to);
    shift(&mut plan[from..to], is_more);
    let is_within = |stage: usize| {
        let (last, now) = (last(problem, plan, stage), plan[stage]);
        now.saturating_sub(last) <= problem.limits.ramp_up
            && last.saturating_sub(now) <= problem.limits.ramp_down
    };
    if !is_within(from) || (to < plan.len() && !is_within(to)) {
        shift(&mut plan[from..to], !is_more);
        return None;
    }
    Some(part(problem, plan, from, to) - before)
}

fn last(problem: &OnePool, plan: &[Replicas], stage: usize) -> Replicas {
    if stage == 0 { problem.limits.initial } else { plan[stage - 1] }
}

/// The part of the cost that counts of stages `from` to before `to` have a say in.
fn part(problem: &OnePool, plan: &[Replicas], from: usize, to: usize) -> f64 {
    let n_stages = plan.len();
    let served = (to + problem.limits.delay_ticks as usize).min(n_stages);
    let mut dollars = 0.0;
    for stage in from..served {
        dollars += problem.stage.at(stage, problem.ready(plan, stage));
    }
    for (stage, count) in plan.iter().enumerate().take(to).skip(from) {
        dollars += problem.dollars_per_replica[stage] * f64::from(*count);
    }
    for stage in from..(to + 1).min(n_stages) {
        let (last, now) = (last(problem, plan, stage), plan[stage]);
        dollars += problem.switching.up_dollars * f64::from(now.saturating_sub(last))
            + problem.switching.down_dollars * f64::from(last.saturating_sub(now));
    }
    if to == n_stages
        && let Some(terminal) = &problem.terminal
    {
        dollars += terminal.at(0, plan[n_stages - 1]);
    }
    dollars
}

/// The mean size of the change of cost by one step of one count, the unit of temperature; 1 where nothing can change.
fn mean_change(problem: &OnePool, bands: &[Band], plan: &[Replicas]) -> f64 {
    let mut trial = plan.to_vec();
    let (mut sum, mut n) = (0.0, 0.0);
    for stage in 0..plan.len() {
        for to in [stage + 1, plan.len()] {
            for is_more in [false, true] {
                if let Some(change) = change(problem, bands, &mut trial, stage, to, is_more) {
                    shift(&mut trial[stage..to], !is_more);
                    sum += change.abs() / (to - stage) as f64;
                    n += 1.0;
                }
            }
        }
    }
    if sum > 0.0 { sum / n } else { 1.0 }
}

/// −ln of `I_k(z)` / `I_0(z)`.
struct Coupling {
    minus_log: [f64; N_ORDERS],
    beyond: f64,
}

impl Coupling {
    fn new(z: f64) -> Self {
        // r_k = I_k / I_{k−1} = 1 / (2 k / z + r_{k+1}) [DLMF 10.29.1], downwards, where it is stable.
        let mut ratios = [0.0; N_ORDERS];
        let mut ratio = 0.0;
        for order in (1..N_ORDERS + 32).rev() {
            ratio = 1.0 / (2.0 * order as f64 / z + ratio);
            if order < N_ORDERS {
                ratios[order] = ratio;
            }
        }
        let mut minus_log = [0.0; N_ORDERS];
        for order in 1..N_ORDERS {
            minus_log[order] = minus_log[order - 1] - ratios[order].ln();
        }
        Self { minus_log, beyond: -ratios[N_ORDERS - 1].ln() }
    }

    fn of(&self, a: Replicas, b: Replicas) -> f64 {
        let order = a.abs_diff(b) as usize;
        if order < N_ORDERS {
            self.minus_log[order]
        } else {
            self.minus_log[N_ORDERS - 1] + (order - N_ORDERS + 1) as f64 * self.beyond
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DynamicProgramming;
    use crate::testing::{Kind, one_pool, rng};

    #[test]
    fn couplings_are_bessel_functions() {
        for z in [0.01_f64, 1.0, 3.0] {
            // I_k(z) = Σ_j (z/2)^{2j+k} / (j! (j + k)!) [DLMF 10.25.2].
            let series = |order: u32| {
                let mut term = (1..=order).fold(1.0, |term, i| term * z / 2.0 / f64::from(i));
                let mut sum = 0.0;
                for j in 1..60_u32 {
                    sum += term;
                    term *= z * z / 4.0 / f64::from(j * (j + order));
                }
                sum
            };
            let coupling = Coupling::new(z);
            for order in 0..20_u32 {
                let truth = -(series(order) / series(0)).ln();
                assert!((coupling.of(order, 0) - truth).abs() < 1e-9 * (1.0 + truth), "order {order} at {z}");
            }
        }
    }

    #[test]
    fn it_comes_near_the_optimum_and_never_below() {
        let (mut gaps, mut n, mut n_optimal) = (0.0, 0.0, 0);
        for seed in 0..60 {
            let kind = Kind { n_stages: 16, replicas_max: 10, delay_max: 1, is_convex: seed % 2 == 0 };
            let problem = one_pool(kind, &mut rng(seed + 9_000_000));
            let truth = DynamicProgramming::default().solve(&problem);
            let found = Annealing { n_sweeps: 800, n_slices: 8, ..Annealing::default() }.solve(&problem);
            let (plan, bound) = match (found, &truth) {
                (Outcome::Infeasible(found), Outcome::Infeasible(truth)) => {
                    assert_eq!(found, *truth);
                    continue;
                }
                (Outcome::Optimal(plan), _) => (plan.clone(), plan.dollars),
                (Outcome::Feasible { plan, bound_dollars }, _) => (plan, bound_dollars),
                (found, truth) => panic!("seed {seed}: {found:?}, {truth:?}"),
            };
            let Outcome::Optimal(truth) = truth else { panic!("seed {seed}: a delay of one stage is exact") };
            assert_eq!(problem.dollars(&plan.wanted[0]), Some(plan.dollars), "seed {seed}");
            assert!(plan.dollars >= truth.dollars - 1e-9, "seed {seed}: below the optimum");
            assert!(bound <= truth.dollars + 1e-9, "seed {seed}: the bound is above the optimum");
            gaps += (plan.dollars - truth.dollars) / (1.0 + truth.dollars.abs());
            n += 1.0;
            n_optimal += usize::from(plan.dollars < truth.dollars + 1e-9);
        }
        assert!(
            gaps / n < 0.02 && f64::from(n_optimal as u32) > 0.8 * n,
            "gap {}, {n_optimal} of {n}",
            gaps / n
        );
    }
}
