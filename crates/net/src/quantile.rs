//! Quantiles at fixed levels from raw outputs, which cannot cross, and the loss that they are learnt by.
//!
//! `q_c = r_c`, `q_k = q_(k−1) + softplus(r_k)` above the centre, `q_k = q_(k+1) − softplus(r_k)` below it
//!
//! pinball loss of level τ: ρ(e) = max(τ e, (τ − 1) e), e = y − q (Koenker and Bassett, "Regression quantiles",
//! Econometrica 46, 1978), whose expectation is least at the quantile of level τ.
//!
//! | symbol | word |
//! | --- | --- |
//! | r | raw outputs of a network, one a level |
//! | c | the level in the middle |
//! | softplus(r) | ln(1 + eʳ), positive |

/// Levels, and how raw outputs become quantiles.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantileHead {
    levels: Vec<f32>,
}

impl QuantileHead {
    /// For levels between 0 and 1 that rise.
    ///
    /// # Panics
    /// If they do not, or there are none.
    pub fn new(levels: &[f64]) -> Self {
        let rise = levels.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = levels.iter().all(|level| *level > 0.0 && *level < 1.0);
        assert!(rise && inside && !levels.is_empty(), "levels rise between 0 and 1, but are {levels:?}");
        Self { levels: levels.iter().map(|level| *level as f32).collect() }
    }

    /// How many levels, which is how many raw outputs make one answer.
    pub fn n_levels(&self) -> usize {
        self.levels.len()
    }

    /// Makes quantiles of raw outputs, in place, level after level for each answer; they do not decrease.
    ///
    /// # Panics
    /// If the outputs are not whole answers.
    pub fn quantiles(&self, outputs: &mut [f32]) {
        let (n, centre) = (self.n_levels(), self.centre());
        assert!(outputs.len().is_multiple_of(n), "{} outputs are not answers of {n} levels", outputs.len());
        for answer in outputs.chunks_exact_mut(n) {
            for k in centre + 1..n {
                answer[k] = answer[k - 1] + softplus(answer[k]);
            }
            for k in (0..centre).rev() {
                answer[k] = answer[k + 1] - softplus(answer[k]);
            }
        }
    }

    /// The pinball loss, in the mean over levels and over the targets that are numbers (a NaN is a target that is not
    /// known), and its gradient by the raw outputs.
    ///
    /// # Shapes
    /// targets: batch; outputs and gradient: batch × levels.
    ///
    /// # Panics
    /// If there are not as many answers as targets.
    pub fn mean(&self, outputs: &[f32], targets: &[f32], by_outputs: &mut [f32]) -> f64 {
        let (n, centre) = (self.n_levels(), self.centre());
        assert_eq!(outputs.len(), targets.len() * n, "each target has an answer of {n} levels");
        let n_known = targets.iter().filter(|target| !target.is_nan()).count();
        let share = 1.0 / (n_known.max(1) * n) as f32;
        let mut sum = 0.0;
        by_outputs.copy_from_slice(outputs);
        self.quantiles(by_outputs);
        for ((raw, target), by) in outputs.chunks_exact(n).zip(targets).zip(by_outputs.chunks_exact_mut(n)) {
            if target.is_nan() {
                by.fill(0.0);
                continue;
            }
            for (by, level) in by.iter_mut().zip(&self.levels) {
                let error = target - *by;
                let slope = if error < 0.0 { level - 1.0 } else { *level };
                sum += f64::from(slope * error);
                *by = -slope * share;
            }
            // A quantile moves all that lie outside of it, and the centre moves all of them.
            for k in (centre + 1..n).rev() {
                by[k - 1] += by[k];
                by[k] *= sigmoid(raw[k]);
            }
            for k in 0..centre {
                by[k + 1] += by[k];
                by[k] *= -sigmoid(raw[k]);
            }
        }
        sum * f64::from(share)
    }

    fn centre(&self) -> usize {
        self.n_levels() / 2
    }
}

/// ln(1 + eˣ) without overflow.
fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Its derivative, 1/(1 + e⁻ˣ).
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: softplus(0) = ln 2; for large r it is r.
    #[test]
    fn quantiles_go_outwards_from_the_centre() {
        let head = QuantileHead::new(&[0.1, 0.5, 0.9]);
        let mut answer = [100.0, 5.0, 0.0];
        head.quantiles(&mut answer);
        assert_eq!(answer, [-95.0, 5.0, 5.0 + std::f32::consts::LN_2]);
        let mut answers = [f32::MIN, 0.0, f32::MIN, -1e9, 3.0, 1e9];
        head.quantiles(&mut answers);
        assert!(answers.chunks(3).all(<[f32]>::is_sorted));
    }

    /// τ = 0.9 and y above: 0.9 e; below: 0.1 |e|.
    #[test]
    fn the_pinball_loss_of_one_level() {
        let head = QuantileHead::new(&[0.9]);
        let mut by = [0.0; 3];
        let loss = head.mean(&[1.0, 1.0, 7.0], &[3.0, -1.0, f32::NAN], &mut by);
        assert!((loss - (0.9 + 0.1)).abs() < 1e-7, "{loss}");
        for (by, truth) in by.iter().zip([-0.45, 0.05, 0.0]) {
            assert!((by - truth).abs() < 1e-7, "{by}");
        }
    }

    /// Central differences by the raw outputs, at four levels (no middle) and five.
    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        for levels in [&[0.1, 0.3, 0.6, 0.9][..], &[0.05, 0.25, 0.5, 0.75, 0.95]] {
            let head = QuantileHead::new(levels);
            let n = 3 * levels.len();
            let mut raw: Vec<f32> = (0..n).map(|i| (1.7 * i as f32).sin()).collect();
            let (targets, mut by, mut unused) = ([0.4, -2.0, 1.3], vec![0.0; n], vec![0.0; n]);
            head.mean(&raw, &targets, &mut by);
            for i in 0..n {
                let (step, before) = (1e-2, raw[i]);
                raw[i] = before + step;
                let above = head.mean(&raw, &targets, &mut unused);
                raw[i] = before - step;
                let slope = (above - head.mean(&raw, &targets, &mut unused)) / f64::from(2.0 * step);
                raw[i] = before;
                // Rounding of the loss over the step, and its third derivative times its square.
                assert!((f64::from(by[i]) - slope).abs() < 2e-5, "{i}: {} {slope}", by[i]);
            }
        }
    }

    #[test]
    #[should_panic(expected = "levels rise between 0 and 1, but are [0.5, 0.5]")]
    fn levels_rise() {
        let _ = QuantileHead::new(&[0.5, 0.5]);
    }
}
