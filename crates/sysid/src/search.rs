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
    /// Of [∂e/∂θ, −e] there.
    pub(crate) triangle: Triangle,
    /// Steps tried, all starts together.
    pub(crate) steps: usize,
    pub(crate) is_converged: bool,
}

/// Steps with which every start is followed.
const STEPS_FIRST: usize = 12;

/// Steps with which a start is followed on a part of the record.
const STEPS_EXPLORED: usize = 20;

/// Steps after which the search gives up; deep flat valleys take dozens.
const STEPS_MAX: usize = 300;

/// How many of the starts are followed to the end.
const FINALISTS: usize = 3;

/// The least loss found from these starts; `None` where none gives a finite loss.
pub(crate) fn minimise(criterion: &mut Criterion<'_>, starts: &[Vec<f64>]) -> Option<Minimum> {
    let mut found: Vec<Minimum> = Vec::new();
    let mut steps = 0;
    for start in starts {
        if let Some(minimum) = descend(criterion, start, STEPS_FIRST, &found) {
            steps += minimum.steps;
            if !found.iter().any(|known| is_same(known, &minimum.theta)) {
                found.push(minimum);
            }
        }
    }
    found.sort_by(|x, y| x.loss.total_cmp(&y.loss));
    let mut best: Option<Minimum> = None;
    for candidate in found.into_iter().take(FINALISTS) {
        if best.as_ref().is_some_and(|best| is_same(best, &candidate.theta)) {
            continue;
        }
        let end = if candidate.is_converged {
            candidate
        } else {
            let end = descend(criterion, &candidate.theta, STEPS_MAX, &[]).unwrap_or(candidate);
            steps += end.steps;
            end
        };
        if best.as_ref().is_none_or(|best| end.loss < best.loss) {
            best = Some(end);
        }
    }
    best.map(|best| Minimum { steps, ..best })
}

/// The lowest points seen from these starts, the best first; for a search on more data.
pub(crate) fn explore(criterion: &mut Criterion<'_>, starts: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut found: Vec<Minimum> = Vec::new();
    for start in starts {
        if let Some(minimum) = descend(criterion, start, STEPS_EXPLORED, &found)
            && !found.iter().any(|known| is_same(known, &minimum.theta))
        {
            found.push(minimum);
        }
    }
    found.sort_by(|x, y| x.loss.total_cmp(&y.loss));
    found.into_iter().take(FINALISTS).map(|it| it.theta).collect()
}

/// Whether θ lies within a hundredth of a standard error of a minimum: it would end there.
fn is_same(known: &Minimum, theta: &[f64]) -> bool {
    let step: Vec<f64> = theta.iter().zip(&known.theta).map(|(x, y)| x - y).collect();
    // ‖J δ‖² against σ² = loss: that is δ in units of standard errors.
    known.is_converged && known.triangle.moved(&step) <= 1e-2 * known.loss.sqrt()
}

/// θ with C and F made stable.
pub(crate) fn stabilised(orders: &Orders, theta: &[f64]) -> Vec<f64> {
    let mut theta = theta.to_vec();
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
    known: &[Minimum],
) -> Option<Minimum> {
    let mut theta = stabilised(criterion.orders, start);
    let mut loss = criterion.loss(&theta);
    if !loss.is_finite() {
        return None;
    }
    let mut triangle = criterion.triangle();
    let (mut damping, mut growth) = (1e-4, 2.0);
    let mut is_converged = false;
    let mut steps = 0;
    while steps < steps_max {
        // No step explains anything of e any more, to rounding.
        if triangle.explained() <= 1e-13 || loss == 0.0 {
            is_converged = true;
            break;
        }
        steps += 1;
        let step = triangle.solve_damped(damping);
        let moved: Vec<f64> = theta.iter().zip(&step).map(|(x, d)| x + d).collect();
        let trial = stabilised(criterion.orders, &moved);
        let is_mirrored = trial != moved;
        let trial_loss = criterion.loss(&trial);
        // What the linear model promises: ‖e‖² − ‖e + J δ‖² in mean squares, for this δ.
        let promised = promised(&triangle, &step) / criterion.samples() as f64;
        let small = theta.iter().zip(&step).all(|(x, d)| d.abs() <= 1e-12 * (x.abs() + 1e-3));
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
            (theta, loss, triangle) = (trial, trial_loss, next);
            if small {
                is_converged = true;
                break;
            }
            if known.iter().any(|known| is_same(known, &theta)) {
                break;
            }
        } else {
            if small {
                is_converged = true;
                break;
            }
            damping *= growth;
            growth *= 2.0;
        }
    }
    Some(Minimum { theta, loss, triangle, steps, is_converged })
}

/// ‖e‖² − ‖e + J δ‖² = 2 zᵀRδ − ‖Rδ‖², with R δ ≈ z the triangular system.
fn promised(triangle: &Triangle, step: &[f64]) -> f64 {
    let r = triangle.matrix();
    let moved = r * nalgebra::DVector::from_column_slice(step);
    let z = triangle.right();
    moved.iter().zip(&z).map(|(m, z)| m * (2.0 * z - m)).sum()
}
