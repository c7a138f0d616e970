//! Distributions of returns on a grid: C51 (Bellemare, Dabney and Munos, "A distributional perspective on reinforcement
//! learning", ICML 2017, Algorithm 1).

/// Equal steps from the least return to the greatest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Grid {
    pub(crate) atoms: usize,
    pub(crate) least: f32,
    pub(crate) most: f32,
}

impl Grid {
    fn step(self) -> f32 {
        (self.most - self.least) / (self.atoms - 1) as f32
    }

    fn at(self, atom: usize) -> f32 {
        self.least + atom as f32 * self.step()
    }

    /// Mean of the distribution with these logits.
    pub(crate) fn mean(self, logits: &[f32]) -> f32 {
        let (mut sum, mut weighted) = (0.0, 0.0);
        let greatest = greatest(logits);
        for (atom, logit) in logits.iter().enumerate() {
            let mass = (logit - greatest).exp();
            sum += mass;
            weighted += mass * atom as f32;
        }
        self.least + self.step() * (weighted / sum)
    }

    /// Adds to `target` the projection of this share of the distribution with these logits, whose returns z have become
    /// reward + discount · z: each probability goes to both neighbours on the grid, more to the nearer one.
    pub(crate) fn project(self, share: f32, logits: &[f32], reward: f32, discount: f32, target: &mut [f32]) {
        let greatest = greatest(logits);
        let sum: f32 = logits.iter().map(|logit| (logit - greatest).exp()).sum();
        for (atom, logit) in logits.iter().enumerate() {
            let probability = share * (logit - greatest).exp() / sum;
            let moved = (reward + discount * self.at(atom)).clamp(self.least, self.most);
            let place = (moved - self.least) / self.step();
            let below = (place.floor() as usize).min(self.atoms - 2);
            let above_share = place - below as f32;
            target[below] += probability * (1.0 - above_share);
            target[below + 1] += probability * above_share;
        }
    }
}

/// Σ t (ln t − ln p), t the target and p = softmax(logits): the divergence, whose gradient by the logits is p − t.
pub(crate) fn divergence(logits: &[f32], target: &[f32], by: &mut [f32]) -> f64 {
    let greatest = greatest(logits);
    let sum: f32 = logits.iter().map(|logit| (logit - greatest).exp()).sum();
    let mut divergence = 0.0;
    for ((logit, target), by) in logits.iter().zip(target).zip(by) {
        let ln_p = logit - greatest - sum.ln();
        *by = ln_p.exp() - target;
        if *target > 0.0 {
            divergence += f64::from(target * (target.ln() - ln_p));
        }
    }
    divergence
}

/// NaN where there is one, so that it is seen.
fn greatest(logits: &[f32]) -> f32 {
    logits.iter().fold(f32::NEG_INFINITY, |most, logit| if most >= *logit { most } else { *logit })
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use tidegate_core::{Seed, Stream};

    use super::*;

    /// The definition: atom i gets Σⱼ [1 − |clip(r + γ zⱼ) − zᵢ| / Δz] pⱼ where that is positive (eq. 7 of the paper).
    fn slow(grid: Grid, logits: &[f32], reward: f64, discount: f64) -> Vec<f64> {
        let masses: Vec<f64> = logits.iter().map(|logit| f64::from(*logit).exp()).collect();
        let sum: f64 = masses.iter().sum();
        let (least, most) = (f64::from(grid.least), f64::from(grid.most));
        let step = (most - least) / (grid.atoms - 1) as f64;
        let at = |atom: usize| least + step * atom as f64;
        (0..grid.atoms)
            .map(|i| {
                let of = |j: usize| {
                    let moved = (reward + discount * at(j)).clamp(least, most);
                    (1.0 - (moved - at(i)).abs() / step).clamp(0.0, 1.0) * masses[j] / sum
                };
                (0..grid.atoms).map(of).sum()
            })
            .collect()
    }

    #[test]
    fn projections_are_those_of_the_definition() {
        let mut rng = Seed::training(2).rng(Stream::Excitation);
        for atoms in [2, 3, 51] {
            let grid = Grid { atoms, least: -1.0, most: 2.0 };
            for (reward, discount) in
                [(0.0, 1.0), (0.3, 0.9), (5.0, 0.5), (-4.0, 0.99), (0.7, 0.0), (2.0, 0.0)]
            {
                let logits: Vec<f32> = (0..atoms).map(|_| 4.0 * rng.random::<f32>() - 2.0).collect();
                let mut target = vec![0.0; atoms];
                grid.project(0.25, &logits, reward, discount, &mut target);
                grid.project(0.75, &logits, reward, discount, &mut target);
                let truth = slow(grid, &logits, f64::from(reward), f64::from(discount));
                for (target, truth) in target.iter().zip(truth) {
                    // Places on the grid are of order 50 in single precision.
                    assert!(
                        (f64::from(*target) - truth).abs() < 5e-6,
                        "{reward} {discount}: {target} {truth}"
                    );
                }
            }
        }
    }

    /// By finite differences; it is 0 where the distributions are equal, and its mean is that of the definition.
    #[test]
    fn the_divergence_and_its_gradient() {
        let grid = Grid { atoms: 4, least: 0.0, most: 3.0 };
        let target = [0.1, 0.0, 0.6, 0.3];
        let mut logits = [0.2, -0.4, 1.0, 0.3_f32];
        let (mut by, mut unused) = ([0.0; 4], [0.0; 4]);
        divergence(&logits, &target, &mut by);
        for atom in 0..4 {
            let (step, before) = (1e-2, logits[atom]);
            logits[atom] = before + step;
            let above = divergence(&logits, &target, &mut unused);
            logits[atom] = before - step;
            let slope = (above - divergence(&logits, &target, &mut unused)) / f64::from(2.0 * step);
            logits[atom] = before;
            assert!((f64::from(by[atom]) - slope).abs() < 5e-5, "{atom}: {} {slope}", by[atom]);
        }
        let equal = [0.1_f32, 0.2, 0.3, 0.4];
        let logits = equal.map(f32::ln);
        assert!(divergence(&logits, &equal, &mut by).abs() < 1e-6);
        assert!(by.iter().all(|by| by.abs() < 1e-6));
        assert!((grid.mean(&logits) - 2.0).abs() < 1e-6);
    }

    #[test]
    fn what_is_no_number_is_seen() {
        let grid = Grid { atoms: 2, least: 0.0, most: 1.0 };
        for logits in [[f32::NAN, 0.0], [0.0, f32::NAN]] {
            assert!(grid.mean(&logits).is_nan());
            assert!(divergence(&logits, &[0.5, 0.5], &mut [0.0; 2]).is_nan());
        }
    }
}
