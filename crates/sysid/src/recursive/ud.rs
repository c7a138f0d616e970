//! A covariance matrix as P = U D Uᵀ, with U unit upper triangular and D diagonal and positive, which rounding cannot
//! make indefinite (Bierman, Factorization Methods for Discrete Sequential Estimation, 1977, ch. V; Ljung and Söderström,
//! Theory and Practice of Recursive Identification, 1983, §6.2, Fig. 6.1).

#[derive(Clone, Debug)]
pub(super) struct Ud {
    /// Columns of U above the diagonal, one after the other: column j starts at j (j − 1) / 2.
    u: Vec<f64>,
    d: Vec<f64>,
    /// Uᵀ φ.
    f: Vec<f64>,
    gain: Vec<f64>,
}

impl Ud {
    pub(super) fn new(variances: &[f64]) -> Self {
        let n = variances.len();
        Self { u: vec![0.0; n * (n - 1) / 2], d: variances.to_vec(), f: vec![0.0; n], gain: vec![0.0; n] }
    }

    /// P φ / (λ + φᵀ P φ) of the last [`Ud::observe`].
    pub(super) fn gain(&self) -> &[f64] {
        &self.gain
    }

    /// P ← (P − P φ φᵀ P / (λ + φᵀ P φ)) / λ; gives λ + φᵀ P φ.
    pub(super) fn observe(&mut self, regressors: &[f64], lambda: f64) -> f64 {
        // The same code with its number of parameters written in, for which the compiler unrolls the triangle
        // (same operations in the same order, so the same bits).
        match self.d.len() {
            4 => self.observe_sized(regressors, lambda, 4),
            5 => self.observe_sized(regressors, lambda, 5),
            6 => self.observe_sized(regressors, lambda, 6),
            8 => self.observe_sized(regressors, lambda, 8),
            n => self.observe_sized(regressors, lambda, n),
        }
    }

    #[inline(always)]
    #[allow(clippy::inline_always, reason = "the constant `n` must reach the loops")]
    fn observe_sized(&mut self, regressors: &[f64], lambda: f64, n: usize) -> f64 {
        let (regressors, f, u) = (&regressors[..n], &mut self.f[..n], &self.u[..n * (n - 1) / 2]);
        let mut start = 0;
        for j in 0..n {
            let mut sum = regressors[j];
            for i in 0..j {
                sum += u[start + i] * regressors[i];
            }
            f[j] = sum;
            start += j;
        }
        let alpha = self.update(0, lambda, 1.0 / lambda, n);
        let inverse = 1.0 / alpha;
        self.gain[..n].iter_mut().for_each(|gain| *gain *= inverse);
        alpha
    }

    /// P⁻¹ ← P⁻¹ + `information` e eᵀ, with e the unit vector of parameter `k`.
    #[inline]
    pub(super) fn inform(&mut self, k: usize, information: f64) {
        let root = information.sqrt();
        self.f[..k].fill(0.0);
        self.f[k] = root;
        for j in k + 1..self.d.len() {
            self.f[j] = root * self.u[j * (j - 1) / 2 + k];
        }
        self.gain[..k].fill(0.0);
        self.update(k, 1.0, 1.0, self.d.len());
    }

    /// The variance of parameter `k`, Σ Uₖⱼ² Dⱼ.
    pub(super) fn variance(&self, k: usize) -> f64 {
        let above = (k + 1..self.d.len()).map(|j| self.u[j * (j - 1) / 2 + k].powi(2) * self.d[j]);
        self.d[k] + above.sum::<f64>()
    }

    /// The rank-one update for f = Uᵀ φ with zeros before `first`; leaves P φ in `gain` and gives α₀ + φᵀ P φ.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "the constant `n` must reach the loops")]
    fn update(&mut self, first: usize, alpha_0: f64, inflation: f64, n: usize) -> f64 {
        let (d, f, gain) = (&mut self.d[..n], &self.f[..n], &mut self.gain[..n]);
        let u = &mut self.u[..n * (n - 1) / 2];
        let mut alpha = alpha_0;
        let mut inverse_before = 1.0 / alpha_0;
        let mut start = first * first.saturating_sub(1) / 2;
        for j in first..n {
            let g = d[j] * f[j];
            let alpha_before = alpha;
            alpha += f[j] * g;
            let inverse = 1.0 / alpha;
            d[j] *= inflation * alpha_before * inverse;
            let p = -f[j] * inverse_before;
            for i in 0..j {
                let before = u[start + i];
                u[start + i] = before + gain[i] * p;
                gain[i] += before * g;
            }
            gain[j] = g;
            inverse_before = inverse;
            start += j;
        }
        alpha
    }
}
