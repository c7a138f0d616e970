//! Sums of products of features, from which ridge regressions are fitted without looking at the rows again.

use nalgebra::{DMatrix, DVector};

/// The sums of products of each two columns, over rows \[1, features, target\].
#[derive(Clone, Debug)]
pub(crate) struct Products {
    pub(crate) sums: DMatrix<f64>,
}

impl Products {
    /// For so many features.
    pub(crate) fn new(n_features: usize) -> Self {
        Self { sums: DMatrix::zeros(n_features + 2, n_features + 2) }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.sums += &other.sums;
    }

    /// Rows that were summed.
    pub(crate) fn n_rows(&self) -> f64 {
        self.sums[(0, 0)]
    }

    /// The minimiser of Σ (y − b₀ − bᵀx)² + λ n Σ (bⱼ sⱼ)²: intercept first. sⱼ is the standard deviation of feature j, so the
    /// penalty does not depend on units; a feature that does not vary gets 0.
    pub(crate) fn ridge(&self, lambda: f64) -> DVector<f64> {
        let (n_features, n) = (self.sums.nrows() - 2, self.n_rows());
        let target = n_features + 1;
        let mean: Vec<f64> = (0..=target).map(|column| self.sums[(0, column)] / n).collect();
        let covariance = |i: usize, j: usize| self.sums[(i, j)] / n - mean[i] * mean[j];
        let deviation: Vec<f64> = (0..=target)
            .map(|column| {
                let variance = covariance(column, column);
                // What is left of a constant by rounding.
                let is_noise = variance <= 1e-12 * self.sums[(column, column)] / n;
                if is_noise { 0.0 } else { variance.sqrt() }
            })
            .collect();
        let used: Vec<usize> = (1..target).filter(|column| deviation[*column] > 0.0).collect();
        let correlation = |i: usize, j: usize| covariance(i, j) / (deviation[i] * deviation[j]);
        let matrix = DMatrix::from_fn(used.len(), used.len(), |i, j| {
            correlation(used[i], used[j]) + if i == j { lambda } else { 0.0 }
        });
        let right = DVector::from_fn(used.len(), |i, _| covariance(used[i], target) / deviation[used[i]]);
        let mut coefficients = DVector::zeros(n_features + 1);
        // Correlations are positive semidefinite up to rounding, which λ outweighs.
        if let Some(solution) = matrix.cholesky().map(|factor| factor.solve(&right)) {
            for (place, column) in used.iter().enumerate() {
                coefficients[*column] = solution[place] / deviation[*column];
            }
        }
        coefficients[0] = mean[target] - (1..target).map(|j| coefficients[j] * mean[j]).sum::<f64>();
        coefficients
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use tidegate_core::{Seed, Stream};

    use super::*;

    /// Σ (y − b₀ − bᵀx)², from the products.
    fn squared_error(products: &Products, coefficients: &DVector<f64>) -> f64 {
        let n = coefficients.len();
        let weight = DVector::from_fn(n + 1, |i, _| if i < n { coefficients[i] } else { -1.0 });
        (&products.sums * &weight).dot(&weight)
    }

    fn rows(n: usize) -> Vec<[f64; 5]> {
        let mut rng = Seed::training(8).rng(Stream::Excitation);
        (0..n)
            .map(|_| {
                let x: [f64; 3] = [rng.random(), 10.0 * rng.random::<f64>(), 5.0];
                let noise: f64 = rng.random();
                [1.0, x[0], x[1], x[2], 3.0 - 2.0 * x[0] + 0.5 * x[1] + 0.1 * (noise - 0.5)]
            })
            .collect()
    }

    fn products(rows: &[[f64; 5]]) -> Products {
        let mut products = Products::new(3);
        for row in rows {
            let row = DVector::from_row_slice(row);
            products.sums += &row * row.transpose();
        }
        products
    }

    /// The plane comes back; the constant feature is left out; the squared error is that of the rows.
    #[test]
    fn a_plane_comes_back() {
        let rows = rows(500);
        let products = products(&rows);
        let coefficients = products.ridge(1e-12);
        for (found, made) in coefficients.iter().zip([3.0, -2.0, 0.5, 0.0]) {
            approx::assert_relative_eq!(*found, made, epsilon = 0.02);
        }
        let direct: f64 = rows
            .iter()
            .map(|row| {
                let fitted: f64 = (0..4).map(|j| coefficients[j] * row[j]).sum();
                (row[4] - fitted).powi(2)
            })
            .sum();
        approx::assert_relative_eq!(squared_error(&products, &coefficients), direct, max_relative = 1e-6);
    }

    /// The gradient of the penalised sum vanishes at the coefficients, whatever λ is.
    #[test]
    fn the_ridge_minimises_what_it_says() {
        let rows = rows(200);
        let products = products(&rows);
        let n = 200.0;
        for lambda in [1e-3, 0.1, 10.0] {
            let best = products.ridge(lambda);
            let cost = |coefficients: &DVector<f64>| {
                let penalty: f64 = (1..3)
                    .map(|j| {
                        let mean = products.sums[(0, j)] / n;
                        let variance = products.sums[(j, j)] / n - mean * mean;
                        variance * coefficients[j].powi(2)
                    })
                    .sum();
                squared_error(&products, coefficients) + lambda * n * penalty
            };
            for j in 0..3 {
                for by in [-1e-4, 1e-4] {
                    let mut other = best.clone();
                    other[j] += by;
                    assert!(cost(&other) > cost(&best), "λ {lambda}, coefficient {j}");
                }
            }
        }
    }
}
