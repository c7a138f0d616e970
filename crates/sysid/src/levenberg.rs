//! Robust nonlinear least squares with a prior: few parameters, any residuals, by Levenberg and Marquardt.
//!
//! Minimises `Σ ρ(rᵢ(θ)) + (θ − θ₀)ᵀ P (θ − θ₀)`, ρ Huber's function (r² within h, 2h|r| − h² beyond), by Gauss–Newton
//! steps on reweighted residuals [P. J. Huber, *Robust Statistics* (1981), section 7.8] with Marquardt's damping
//! [D. W. Marquardt, SIAM J. 11 (1963)]. Derivatives are forward differences, so parameters should be of order one:
//! logarithms of what must be positive. The covariance is `(JᵀWJ + P)⁻¹`, in which residuals count as standardised.

use nalgebra::{DMatrix, DVector};

/// What is known before the data: a normal law.
#[derive(Clone, Debug, PartialEq)]
pub struct Prior {
    /// θ₀.
    pub mean: DVector<f64>,
    /// P, the inverse of the covariance; zero where nothing is known.
    pub precision: DMatrix<f64>,
}

impl Prior {
    /// Independent parameters with these standard deviations.
    pub fn independent(mean: &[f64], deviation: &[f64]) -> Self {
        let precision = DVector::from_iterator(deviation.len(), deviation.iter().map(|it| it.powi(-2)));
        Self { mean: DVector::from_column_slice(mean), precision: DMatrix::from_diagonal(&precision) }
    }

    /// Nothing is known of so many parameters.
    pub fn flat(n_parameters: usize) -> Self {
        Self { mean: DVector::zeros(n_parameters), precision: DMatrix::zeros(n_parameters, n_parameters) }
    }
}

/// Where the search ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Minimum {
    /// θ.
    pub parameters: DVector<f64>,
    /// `(JᵀWJ + P)⁻¹` there.
    pub covariance: DMatrix<f64>,
    /// Σ ρ(rᵢ) alone.
    pub loss: f64,
    /// Residuals that it rests on.
    pub n_residuals: usize,
}

/// How to search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Search {
    /// h, in standard deviations; infinite for plain least squares.
    pub huber: f64,
    /// Steps at most.
    pub steps_max: u32,
    /// The search ends where a step changes no parameter by more.
    pub tolerance: f64,
}

impl Search {
    /// For a fit that goes on from one of nearly the same data: one step or two are enough, and a cold search would only
    /// polish what the next data move again.
    pub const GO_ON: Self = Self { huber: 2.0, steps_max: 1, tolerance: 1e-3 };
}

impl Default for Search {
    fn default() -> Self {
        Self { huber: 2.0, steps_max: 50, tolerance: 1e-7 }
    }
}

/// Searches from `start`; `residuals` appends the standardised residuals at θ to an empty vector, and says with
/// `false` that there is no model there.
///
/// None where the start has no finite criterion, or where data and prior leave a parameter open.
pub fn minimise(
    start: &[f64],
    prior: &Prior,
    search: Search,
    mut residuals: impl FnMut(&[f64], &mut Vec<f64>) -> bool,
) -> Option<Minimum> {
    const STEP: f64 = 1e-6; // balances rounding and curvature for parameters of order one
    const DAMPING_MAX: f64 = 1e12;
    let n = start.len();
    let mut theta = DVector::from_column_slice(start);
    let (mut here, mut there) = (Vec::new(), Vec::new());
    let mut evaluate = |theta: &DVector<f64>, into: &mut Vec<f64>| {
        into.clear();
        if !residuals(theta.as_slice(), into) {
            return f64::INFINITY;
        }
        let loss: f64 = into.iter().map(|r| huber(*r, search.huber)).sum();
        if loss.is_finite() { loss } else { f64::INFINITY }
    };
    let penalty = |theta: &DVector<f64>| {
        let away = theta - &prior.mean;
        (&prior.precision * &away).dot(&away)
    };
    let mut loss = evaluate(&theta, &mut here);
    if loss == f64::INFINITY {
        return None;
    }
    let mut damping = 1e-3;
    let mut columns = vec![Vec::new(); n];
    let mut normal = prior.precision.clone();
    for _ in 0..=search.steps_max {
        for (j, column) in columns.iter_mut().enumerate() {
            let mut moved = theta.clone();
            moved[j] += STEP;
            if evaluate(&moved, column) == f64::INFINITY {
                // At the edge of what is a model the difference is taken backwards.
                moved[j] -= 2.0 * STEP;
                if evaluate(&moved, column) == f64::INFINITY {
                    return None;
                }
                column.iter_mut().zip(&here).for_each(|(c, r)| *c = (r - *c) / STEP);
            } else {
                column.iter_mut().zip(&here).for_each(|(c, r)| *c = (*c - r) / STEP);
            }
        }
        let weighted = |a: &[f64], b: &[f64]| -> f64 {
            here.iter().zip(a.iter().zip(b)).map(|(r, (x, y))| weight(*r, search.huber) * x * y).sum()
        };
        normal = prior.precision.clone();
        let mut gradient = &prior.precision * (&theta - &prior.mean);
        for i in 0..n {
            gradient[i] += weighted(&columns[i], &here);
            for j in 0..=i {
                let sum = weighted(&columns[i], &columns[j]);
                normal[(i, j)] += sum;
                if i != j {
                    normal[(j, i)] += sum;
                }
            }
        }
        let mut largest = 0.0;
        loop {
            let mut damped = normal.clone();
            for i in 0..n {
                damped[(i, i)] += damping * normal[(i, i)].max(f64::MIN_POSITIVE);
            }
            if let Some(cholesky) = damped.cholesky() {
                let step = cholesky.solve(&gradient);
                let trial = &theta - &step;
                if step.amax() <= search.tolerance {
                    break;
                }
                let trial_loss = evaluate(&trial, &mut there);
                if trial_loss + penalty(&trial) <= loss + penalty(&theta) {
                    largest = step.amax();
                    theta = trial;
                    loss = trial_loss;
                    std::mem::swap(&mut here, &mut there);
                    damping = (damping * 0.1).max(1e-12);
                    break;
                }
            }
            damping *= 10.0;
            if damping > DAMPING_MAX {
                break;
            }
        }
        if largest <= search.tolerance {
            break;
        }
    }
    let covariance = normal.cholesky()?.inverse();
    Some(Minimum { parameters: theta, covariance, loss, n_residuals: here.len() })
}

fn huber(r: f64, h: f64) -> f64 {
    if r.abs() <= h { r * r } else { h * (2.0 * r.abs() - h) }
}

fn weight(r: f64, h: f64) -> f64 {
    if r.abs() <= h { 1.0 } else { h / r.abs() }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    /// Rosenbrock's valley as residuals: 10 (y − x²) and 1 − x; its minimum is (1, 1).
    #[test]
    fn it_finds_the_end_of_rosenbrocks_valley() {
        let search = Search { huber: f64::INFINITY, ..Search::default() };
        let found = minimise(&[-1.2, 1.0], &Prior::flat(2), search, |theta, into| {
            into.extend([10.0 * (theta[1] - theta[0] * theta[0]), 1.0 - theta[0]]);
            true
        })
        .expect("it has a minimum");
        assert_relative_eq!(found.parameters[0], 1.0, epsilon = 1e-6);
        assert_relative_eq!(found.parameters[1], 1.0, epsilon = 1e-6);
    }

    /// A line through points of which one is wrong: the bounded influence of the wrong one is what Huber's is for.
    #[test]
    fn one_wrong_point_moves_a_robust_line_little() {
        let slope = |huber: f64| {
            minimise(&[0.0], &Prior::flat(1), Search { huber, ..Search::default() }, |theta, into| {
                into.extend((1..=20).map(|x| {
                    let y = if x == 20 { 140.0 } else { 2.0 * f64::from(x) };
                    y - theta[0] * f64::from(x)
                }));
                true
            })
            .expect("it is determined")
            .parameters[0]
        };
        // Least squares: 2 + 100 · 20/Σx² = 2 + 2000/2870.
        assert_relative_eq!(slope(f64::INFINITY), 2.0 + 2000.0 / 2870.0, epsilon = 1e-5);
        // Huber with h = 1: Σ_{x<20} x² (2 − s) + 20 h = 0.
        assert_relative_eq!(slope(1.0), 2.0 + 20.0 / 2470.0, epsilon = 1e-5);
    }

    /// A normal prior and normal data have a normal posterior: precisions add.
    #[test]
    fn prior_and_data_are_weighed_by_their_precision() {
        let prior = Prior::independent(&[1.0], &[0.5]);
        let search = Search { huber: f64::INFINITY, ..Search::default() };
        let found = minimise(&[0.0], &prior, search, |theta, into| {
            into.extend([3.0 - theta[0]; 12]);
            true
        })
        .expect("it is determined");
        assert_relative_eq!(found.parameters[0], (4.0 * 1.0 + 12.0 * 3.0) / 16.0, epsilon = 1e-6);
        assert_relative_eq!(found.covariance[(0, 0)], 1.0 / 16.0, epsilon = 1e-6);
    }

    #[test]
    fn what_nothing_tells_is_refused() {
        let found = minimise(&[0.0, 0.0], &Prior::flat(2), Search::default(), |theta, into| {
            into.push(theta[0] - 1.0);
            true
        });
        assert_eq!(found, None);
    }
}
