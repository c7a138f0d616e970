//! Quantiles of returns at fixed levels: QR-DQN (Dabney et al., "Distributional reinforcement learning with quantile
//! regression", AAAI 2018, eqs. 9 and 10).
//!
//! Σᵢ meanⱼ |τᵢ − [u < 0]| L(u)/κ, u = targetⱼ − θᵢ, τᵢ = (i + ½)/N, L(u) = u²/2 up to κ and κ(|u| − κ/2) from there on

use tidegate_net::Pointwise;

/// The loss of quantiles θ against samples of the target, and its gradient by θ.
pub(crate) fn huber(kappa: f32, quantiles: &[f32], targets: &[f32], by: &mut [f32]) -> f64 {
    let pointwise = Pointwise::Huber { threshold: kappa };
    let n = quantiles.len() as f32;
    let scale = 1.0 / (kappa * targets.len() as f32);
    let mut sum = 0.0;
    for (index, (quantile, by)) in quantiles.iter().zip(by).enumerate() {
        let level = (index as f32 + 0.5) / n;
        let (mut loss, mut slope) = (0.0, 0.0);
        for target in targets {
            let error = target - quantile;
            let side = if error < 0.0 { 1.0 - level } else { level };
            let (of_error, slope_of_error) = pointwise.of(error);
            loss += side * of_error;
            slope -= side * slope_of_error;
        }
        *by = slope * scale;
        sum += f64::from(loss * scale);
    }
    sum
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use tidegate_core::{Seed, Stream};

    use super::*;

    /// Equations 9 and 10 written out in double precision.
    fn slow(kappa: f64, quantiles: &[f64], targets: &[f32]) -> f64 {
        let mut sum = 0.0;
        for (i, quantile) in quantiles.iter().enumerate() {
            let level = (2 * i + 1) as f64 / (2 * quantiles.len()) as f64;
            for target in targets {
                let u = f64::from(*target) - quantile;
                let huber = if u.abs() <= kappa { 0.5 * u * u } else { kappa * (u.abs() - 0.5 * kappa) };
                let below = if u < 0.0 { 1.0 } else { 0.0 };
                sum += (level - below).abs() * huber / kappa / targets.len() as f64;
            }
        }
        sum
    }

    #[test]
    fn loss_and_gradient_are_those_of_the_definition() {
        let mut rng = Seed::training(4).rng(Stream::Excitation);
        for (n, kappa) in [(1, 1.0), (5, 0.25), (32, 1.0)] {
            let mut draw = || (0..n).map(|_| 4.0 * rng.random::<f32>() - 2.0).collect::<Vec<f32>>();
            let (quantiles, targets) = (draw(), draw());
            let mut by = vec![0.0; n];
            let loss = huber(kappa, &quantiles, &targets, &mut by);
            let mut doubles: Vec<f64> = quantiles.iter().map(|it| f64::from(*it)).collect();
            let truth = slow(f64::from(kappa), &doubles, &targets);
            assert!((loss - truth).abs() < 1e-5 * truth, "{loss} {truth}");
            for i in 0..n {
                let (step, before) = (1e-6, doubles[i]);
                doubles[i] = before + step;
                let above = slow(f64::from(kappa), &doubles, &targets);
                doubles[i] = before - step;
                let slope = (above - slow(f64::from(kappa), &doubles, &targets)) / (2.0 * step);
                doubles[i] = before;
                assert!((f64::from(by[i]) - slope).abs() < 1e-5, "{i}: {} {slope}", by[i]);
            }
        }
    }
}
