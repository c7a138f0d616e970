//! The search for the least loss: Levenberg–Marquardt from several starts.
//!
//! Each step solves min ‖J δ + e‖² + λ ‖D δ‖² by orthogonal triangularisation, D the lengths of J's columns
//! [Moré 1978], λ by the gain ratio [Nielsen 1999]. A trial whose C or F is unstable is mirrored at the unit circle first.
//! All starts are followed for a while, those that come to a minimum already known are given up, and the best few are
//! followed to the end.

use crate::orders::Orders;
use crate::polynomial::Polynomial;
use crate::prediction_error::Criterion;
use crate::triangle::Triangle;

/// Where a search ended.
#[derive(Clone, Debug)]
pub(crate) struct Minimum {
    pub(crate) theta: Vec<f64>,
    pub(crate) loss: f64,
    /// Samples that the loss counts.
    pub(crate) samples: usize,
    /// Of [∂e/∂θ, −e] there.
    pub(crate) triangle: Triangle,
    /// Steps tried, all starts together.
    pub(crate) steps: usize,
    pub(crate) is_converged: bool,
}

/// Steps with which every start is followed at first.
const STEPS_FIRST: usize = 20;

/// Of those that have not come to a minimum by then, this many, the lowest, get more steps.
const SECOND: (usize, usize) = (8, 60);

/// Steps after which the search gives up; deep flat valleys take dozens.
const STEPS_MAX: usize = 300;

/// How many that are still on their way after that are followed to the end.
const FINALISTS: usize = 3;

/// ‖what a step explains of e‖ / ‖e‖ at which a start counts as at its minimum: the loss there is within 10⁻⁸ of it.
const NEAR: f64 = 1e-4;

/// The same at the end: rounding.
const EXACT: f64 = 1e-13;

/// The least loss found from these starts; `None` where none gives a finite loss.
pub(crate) fn minimise(criterion: &mut Criterion<'_>, starts: &[Vec<f64>]) -> Option<Minimum> {
    let found = valleys(criterion, starts);
    let mut steps: usize = found.iter().map(|it| it.steps).sum();
    let mut best: Option<Minimum> = None;
    let mut n_followed = 0;
    for candidate in found {
        let can_win = |best: &Minimum| {
            // At its minimum to 10⁻⁸ and above the best by more: it cannot. What is still on its way might.
            !candidate.is_converged && n_followed < FINALISTS || candidate.loss < best.loss * (1.0 + 1e-7)
        };
        if best.as_ref().is_some_and(|best| best.is_met_by(&candidate) || !can_win(best)) {
            continue;
        }
        n_followed += 1;
        let end = descend(criterion, &candidate.theta, STEPS_MAX, EXACT, &[]).unwrap_or(candidate);
        steps += end.steps;
        if best.as_ref().is_none_or(|best| end.loss < best.loss) {
            best = Some(end);
        }
    }
    best.map(|best| Minimum { steps, ..best })
}

/// The lowest points seen from these starts, the best first; for a search on more data.
pub(crate) fn explore(criterion: &mut Criterion<'_>, starts: &[Vec<f64>]) -> Vec<Vec<f64>> {
    valleys(criterion, starts).into_iter().take(FINALISTS).map(|it| it.theta).collect()
}

/// Where the starts lead, the lowest first, each place once.
fn valleys(criterion: &mut Criterion<'_>, starts: &[Vec<f64>]) -> Vec<Minimum> {
    let mut found: Vec<Minimum> = Vec::new();
    let add = |found: &mut Vec<Minimum>, minimum: Minimum| {
        if !found.iter().any(|known| known.is_met_by(&minimum)) {
            found.push(minimum);
        }
    };
    for start in starts {
        if let Some(minimum) = descend(criterion, start, STEPS_FIRST, NEAR, &found) {
            add(&mut found, minimum);
        }
    }
    let lowest_first = |x: &Minimum, y: &Minimum| x.loss.total_cmp(&y.loss);
    found.sort_by(lowest_first);
    let (n_more, steps_more) = SECOND;
    let (mut all, on_their_way): (Vec<_>, Vec<_>) = found.into_iter().partition(|it| it.is_converged);
    for (k, candidate) in on_their_way.into_iter().enumerate() {
        if k < n_more {
            let steps = candidate.steps;
            let further = descend(criterion, &candidate.theta, steps_more, NEAR, &all).unwrap_or(candidate);
            add(&mut all, Minimum { steps: steps + further.steps, ..further });
        } else {
            all.push(candidate);
        }
    }
    all.sort_by(lowest_first);
    all
}

impl Minimum {
    /// Whether another search has come within a few tenths of a standard error of this minimum: it would end here.
    ///
    /// Where the data leave a direction open, ‖J δ‖ is small along it however far; so the losses must agree as well,
    /// as they do within such a distance: (0.3 σ)² / N of V = σ².
    fn is_met_by(&self, other: &Self) -> bool {
        self.is_met_at(&other.theta, other.loss, other.samples)
    }

    fn is_met_at(&self, theta: &[f64], loss: f64, samples: usize) -> bool {
        if !self.is_converged || (loss - self.loss).abs() * samples as f64 > 0.2 * self.loss {
            return false;
        }
        let step: Vec<f64> = theta.iter().zip(&self.theta).map(|(x, y)| x - y).collect();
        // ‖J δ‖² against σ² = loss: that is δ in units of standard errors.
        self.triangle.moved(&step) <= 0.3 * self.loss.sqrt()
    }
}

/// θ with C and F made stable.
pub(crate) fn stabilised(orders: &Orders, theta: &[f64]) -> Vec<f64> {
    let mut theta = theta.to_vec();
    // A step out of all bounds has no roots to mirror; its loss is not finite either, and so it is not taken.
    if theta.iter().any(|it| !it.is_finite()) {
        return theta;
    }
    let ranges = (0..orders.inputs.len()).map(|i| orders.f(i)).chain([orders.c()]);
    for range in ranges.filter(|it| !it.is_empty()) {
        let reflected = Polynomial::monic(&theta[range.clone()]).reflected();
        theta[range].copy_from_slice(reflected.tail());
    }
    theta
}

/// Follows one start; gives up where it meets a known minimum.
fn descend(
    criterion: &mut Criterion<'_>,
    start: &[f64],
    steps_max: usize,
    tolerance: f64,
    known: &[Minimum],
) -> Option<Minimum> {
    let samples = criterion.samples();
    let mut theta = stabilised(criterion.orders, start);
    let mut loss = criterion.loss(&theta);
    if !loss.is_finite() {
        return None;
    }
    let mut triangle = criterion.triangle();
    let (mut damping, mut growth) = (1e-4, 2.0);
    let mut is_converged = false;
    let mut steps = 0;
    // What the first trial from the present θ promised, as a share of the loss.
    let mut hope = f64::INFINITY;
    while steps < steps_max {
        if triangle.explained() <= tolerance || loss == 0.0 {
            is_converged = true;
            break;
        }
        steps += 1;
        let (step, is_at_wall) = bounded_step(criterion.orders, &theta, &triangle, damping);
        // What the linear model promises: ‖e‖² − ‖e + J δ‖² in mean squares, for this δ.
        let promised = triangle.promised(&step) / samples as f64;
        hope = hope.min(promised / loss);
        if is_at_wall && damping <= 1e-3 && promised <= tolerance * tolerance * loss {
            is_converged = true;
            break;
        }
        let moved: Vec<f64> = theta.iter().zip(&step).map(|(x, d)| x + d).collect();
        let trial = stabilised(criterion.orders, &moved);
        let is_mirrored = trial != moved;
        let trial_loss = criterion.loss(&trial);
        let is_small = theta.iter().zip(&step).all(|(x, d)| d.abs() <= 1e-12 * (x.abs() + 1e-3));
        // Where the promise drowns in rounding of the loss, the gradient decides.
        let is_level = !is_mirrored && (trial_loss - loss).abs() <= 1e-13 * loss && promised <= 1e-12 * loss;
        if trial_loss < loss || is_level {
            let next = criterion.triangle();
            if is_level && next.explained() >= triangle.explained() {
                is_converged = true;
                break;
            }
            let gain = if is_mirrored || promised <= 0.0 { 0.5 } else { (loss - trial_loss) / promised };
            damping *= (1.0 - (2.0 * gain - 1.0).powi(3)).max(0.1);
            damping = damping.max(1e-16);
            growth = 2.0;
            hope = f64::INFINITY;
            (theta, loss, triangle) = (trial, trial_loss, next);
            if is_small && damping <= 1.0 {
                is_converged = true;
                break;
            }
            if known.iter().any(|known| known.is_met_at(&theta, loss, samples)) {
                break;
            }
        } else {
            if is_small {
                // Damped to a standstill: at the minimum where nothing worth naming was to be won.
                is_converged = hope <= 1e-7;
                break;
            }
            damping *= growth;
            growth *= 2.0;
        }
    }
    Some(Minimum { theta, loss, samples, triangle, steps, is_converged })
}

/// How far inside the unit circle a search may come: the least value of P at z = ±1 for C and F.
const WALL: f64 = 1e-12;

/// The damped step, held back where it would carry a real root of C or F through z = 1 or z = −1; and whether it was.
///
/// A pole that wants to be an integrator (or absorbs what removing means has left) comes to the circle and stays; mirroring
/// alone would throw every trial back and damp the other parameters to a standstill. A real root passes ±1 where
/// P(±1) = 1 + Σ (±1)ᵏ pₖ changes sign, which is linear in the step: an equality where it binds.
fn bounded_step(orders: &Orders, theta: &[f64], triangle: &Triangle, damping: f64) -> (Vec<f64>, bool) {
    let damped = triangle.damped(damping);
    let mut step = damped.back_substitute();
    let mut walls: Vec<(Vec<f64>, f64)> = Vec::new();
    let polynomials: Vec<_> = (0..orders.inputs.len())
        .map(|i| orders.f(i))
        .chain([orders.c()])
        .filter(|it| !it.is_empty())
        .collect();
    // Holding one root back may push another out; each wall is added once.
    loop {
        let before = walls.len();
        for range in &polynomials {
            for sign in [1.0, -1.0] {
                let mut row = vec![0.0; theta.len()];
                let mut power = 1.0;
                for k in range.clone() {
                    power *= sign;
                    row[k] = power;
                }
                let value = 1.0 + row.iter().zip(theta).map(|(r, x)| r * x).sum::<f64>();
                let change: f64 = row.iter().zip(&step).map(|(r, d)| r * d).sum();
                let is_new = walls.iter().all(|(known, _)| *known != row);
                if is_new && value + change < WALL * 0.5 {
                    walls.push((row, WALL - value));
                }
            }
        }
        if walls.len() == before {
            return (step, !walls.is_empty());
        }
        match damped.held(&walls) {
            Some(held) => step = held,
            None => return (step, false),
        }
    }
}
