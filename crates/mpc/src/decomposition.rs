//! Several pools by Lagrangian relaxation: a bound from one dynamic programme a pool, a plan by rounding and local search.
//!
//! What joins replicas is priced: capacity by `λ_t`, ramp limits by `μ⁺, μ⁻ ≥ 0`, the least count by `ν ≥ 0`. For any
//! prices, and any weights q of the courses that ρ allows,
//!
//! ```text
//! D(λ, μ, ν) = Σ_t min_{y ∈ Y_t} [ Σ_s q_s φ_{s,t}(y) + λ_t y ]
//!            + Σ_k [ cheapest lives of pool k under −λ_t capacity_k a ready stage, −ν_{k,t} a running one,
//!                    μ⁺_{k,t} a start, μ⁻_{k,t} a stop ]
//!            + Σ_k Σ_t ( ν_{k,t} min_k − μ⁺_{k,t} ramp_up_k − μ⁻_{k,t} ramp_down_k )
//! ```
//!
//! is at most the optimum (Geoffrion 1974). `Y_t` are the sums that ready replicas can have, up to the most that the
//! pools can have ready by t, where they are few; then φ is in effect cut at them, which the linear relaxation is not.
//! Under a chance constraint `Y_t` begins at the capacity that the stage needs by itself with the probability asked for.
//!
//! The cheapest life of a replica is a dynamic programme over off, starting or bound by its age, and free by the stage of
//! its next payment; replicas of a pool differ only in whether they run at the start. Prices begin with what one more
//! unit of capacity would save the best plan of a local search, and follow the volume algorithm (Barahona and Anbil 2000): steps from the best prices along the slope at an average of past
//! answers,
//!
//! ```text
//! λ = λ_best + f · (upper − D_best) / |ḡ|² · ḡ,   x̄ ← a x + (1 − a) x̄,   ḡ the slope at x̄
//! ```
//!
//! with a between `a_max` / 10 and `a_max` such that |ḡ| becomes smallest, f cut after 20 steps without a better bound, all by
//! counts of steps, so a run repeats bit for bit. The average x̄ comes near the relaxation's fractional plan; it is
//! rounded at three thresholds, made to keep the limits, and improved by local search, which goes on from random kicks
//! (by a seed). Under `CVaR` the weights of the courses are first the probabilities, then half way to the worst case of
//! the best plan: each choice gives a bound, the best is kept.
//!
//! A pool with prices alone has a whole optimum, so the best D without the sums `Y_t` would be the linear relaxation's
//! value (Geoffrion's integrality property); it is the sums that make it better.

use rand::Rng;
use tidegate_core::{
    Replicas, Seed,
    seed::Stream,
    solver::{Constraint, Outcome, Plan, Solver},
};

use crate::dual::{Dual, Layout};
use crate::local_search::Search;
use crate::pools::Pools;
use crate::replica::Doing;

/// The solver. It always gives a plan where there is one, and a bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decomposition {
    /// Steps of the dual for each choice of weights of the courses.
    pub n_steps: u32,
    /// Descents from a kicked plan.
    pub n_kicks: u32,
    /// Where the kicks come from.
    pub seed: Seed,
}

impl Default for Decomposition {
    fn default() -> Self {
        Self { n_steps: 2_000, n_kicks: 20, seed: Seed::training(0) }
    }
}

/// Steps between two roundings of the average.
const ROUND_STEPS: u32 = 1000;
/// How often, under `CVaR`, the weights of the courses are chosen anew.
const N_WEIGHINGS: usize = 4;

impl Solver for Decomposition {
    type Problem = Pools;

    fn solve(&mut self, problem: &Pools) -> Outcome {
        if let Err(error) = problem.validate() {
            return Outcome::Infeasible(Constraint::from(error));
        }
        let mut best = Best { plan: problem.most(), dollars: f64::INFINITY };
        let most = best.plan.clone();
        best.descend_from(problem, most);
        let stay = problem.pools.iter().map(|pool| {
            let mut wanted = vec![0; problem.n_stages()];
            pool.follow(|_| pool.initial, &mut wanted);
            wanted
        });
        best.descend_from(problem, stay.collect());
        let bound = self.bound(problem, &mut best);
        let mut rng = self.seed.rng(Stream::Search);
        for _ in 0..self.n_kicks {
            if is_closed(best.dollars, bound) {
                break;
            }
            best.kick(problem, &mut rng);
        }
        let plan = Plan { dollars: best.dollars, wanted: best.plan };
        if is_closed(plan.dollars, bound) {
            Outcome::Optimal(plan)
        } else {
            Outcome::Feasible { plan, bound_dollars: bound }
        }
    }
}

/// A plan at its bound, but for rounding of sums.
fn is_closed(dollars: f64, bound: f64) -> bool {
    dollars - bound <= 1e-9 * (1.0 + dollars.abs())
}

struct Best {
    plan: Vec<Vec<Replicas>>,
    dollars: f64,
}

impl Best {
    fn descend_from(&mut self, problem: &Pools, plan: Vec<Vec<Replicas>>) {
        let Some(mut search) = Search::new(problem, plan) else { return };
        search.descend();
        if search.dollars() < self.dollars {
            self.dollars = search.dollars();
            self.plan = search.plan().to_vec();
        }
    }

    fn kick(&mut self, problem: &Pools, rng: &mut impl Rng) {
        let search = Search::new(problem, self.plan.clone()).expect("the best plan keeps the limits");
        let kicked = search.kicked(rng);
        self.descend_from(problem, kicked);
    }
}

/// The averages of past answers.
struct Average {
    doing: Vec<Doing>,
    asked: Vec<f64>,
}

impl Average {
    /// a · new + (1 − a) · old.
    fn mix(&mut self, share: f64, doing: &[Doing], asked: &[f64]) {
        let mix = |old: &mut [f64], new: &[f64]| {
            old.iter_mut().zip(new).for_each(|(old, new)| *old = share * new + (1.0 - share) * *old);
        };
        mix(&mut self.asked, asked);
        for (old, new) in self.doing.iter_mut().zip(doing) {
            mix(&mut old.running, &new.running);
            mix(&mut old.ready, &new.ready);
            mix(&mut old.ups, &new.ups);
            mix(&mut old.downs, &new.downs);
        }
    }
}

impl Decomposition {
    /// The best bound found; on the way, plans from averages of answers.
    fn bound(self, problem: &Pools, best: &mut Best) -> f64 {
        let layout = Layout::new(problem);
        let mut dual = Dual::new(problem);
        let mut prices: Vec<f64> = guess(problem, &best.plan, layout.n);
        let mut weights: Vec<f64> = problem.courses.iter().map(|course| course.probability).collect();
        let n_weighings = if matches!(problem.risk, crate::Risk::Expected) { 1 } else { N_WEIGHINGS };
        let mut bound = f64::NEG_INFINITY;
        for _ in 0..n_weighings {
            dual.weigh(&weights);
            bound = bound.max(self.ascend(problem, &layout, &mut dual, &mut prices, best));
            let worst = problem.worst_weights(&course_sums(problem, &best.plan));
            weights.iter_mut().zip(&worst).for_each(|(weight, worst)| *weight = 0.5 * (*weight + worst));
        }
        bound
    }

    /// The volume algorithm from `prices`, which become the best found.
    fn ascend(
        self,
        problem: &Pools,
        layout: &Layout,
        dual: &mut Dual<'_>,
        prices: &mut [f64],
        best: &mut Best,
    ) -> f64 {
        let mut bound = dual.value(layout, prices);
        let mut average = Average { doing: dual.doing.clone(), asked: dual.asked.clone() };
        let (mut slope, mut mean_slope) = (vec![0.0; layout.n], vec![0.0; layout.n]);
        let mut trial = prices.to_vec();
        let (mut factor, mut share_max, mut n_failed) = (1.0, 0.1_f64, 0);
        let mut bound_then = bound;
        for step in 1..=self.n_steps {
            dual.slope(layout, &average.doing, &average.asked, &mut mean_slope);
            // A limit with room to spare and no price asks for no step.
            for (index, slope) in mean_slope.iter_mut().enumerate() {
                if *slope < 0.0 && prices[index] <= layout.least(index) {
                    *slope = 0.0;
                }
            }
            let square = dot(&mean_slope, &mean_slope);
            if square < 1e-18 || is_closed(best.dollars, bound) {
                break;
            }
            // The optimum is above the bound and not above the best plan.
            let length = factor * (best.dollars - bound) / square;
            for (index, trial) in trial.iter_mut().enumerate() {
                *trial = (prices[index] + length * mean_slope[index]).max(layout.least(index));
            }
            let value = dual.value(layout, &trial);
            dual.slope(layout, &dual.doing, &dual.asked, &mut slope);
            // The share of the new answer that makes the average's slope smallest.
            let (along, new) = (dot(&slope, &mean_slope), dot(&slope, &slope));
            let smallest = (square - along) / (square - 2.0 * along + new).max(1e-18);
            let share = smallest.clamp(0.1 * share_max, share_max);
            average.mix(share, &dual.doing, &dual.asked);
            if value > bound {
                bound = value;
                prices.copy_from_slice(&trial);
                n_failed = 0;
                if along > 0.0 {
                    factor = (1.1 * factor).min(2.0);
                }
            } else {
                n_failed += 1;
                if n_failed % 20 == 0 {
                    factor = (0.66 * factor).max(1e-4);
                }
            }
            if step % 100 == 0 {
                if bound - bound_then < 0.01 * bound.abs() {
                    share_max = (0.5 * share_max).max(1e-3);
                }
                bound_then = bound;
            }
            if step % ROUND_STEPS == 0 {
                round(problem, &average, best);
            }
        }
        bound
    }
}

/// Plans from an average, its counts rounded up from three thresholds.
fn round(problem: &Pools, average: &Average, best: &mut Best) {
    for threshold in [0.3, 0.5, 0.7] {
        let pools = problem.pools.iter().zip(&average.doing).map(|(pool, doing)| {
            let mut wanted = vec![0; problem.n_stages()];
            pool.follow(|stage| (doing.running[stage] + 1.0 - threshold).floor() as Replicas, &mut wanted);
            wanted
        });
        best.descend_from(problem, pools.collect());
    }
}

/// Prices to start from: what one more unit of capacity would save a plan, halfway between its slopes to both sides.
fn guess(problem: &Pools, plan: &[Vec<Replicas>], n: usize) -> Vec<f64> {
    let mut prices = vec![0.0; n];
    let capacity = capacity_of(problem, plan);
    for (stage, (price, at)) in prices.iter_mut().zip(&capacity).enumerate() {
        for course in &problem.courses {
            let penalty = &course.penalty[stage];
            *price += course.probability * 0.5 * (penalty.at(at - 1.0) - penalty.at(at + 1.0));
        }
    }
    prices
}

/// The penalty of a plan under each course.
fn course_sums(problem: &Pools, plan: &[Vec<Replicas>]) -> Vec<f64> {
    let capacity = capacity_of(problem, plan);
    let sum = |course: &crate::Course| {
        course.penalty.iter().zip(&capacity).fold(0.0, |sum, (penalty, it)| sum + penalty.at(*it))
    };
    problem.courses.iter().map(sum).collect()
}

fn capacity_of(problem: &Pools, plan: &[Vec<Replicas>]) -> Vec<f64> {
    problem.capacity(plan).expect("the best plan keeps the limits")
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b)
}
