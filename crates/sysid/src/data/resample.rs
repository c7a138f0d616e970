//! Fewer and more samples.

/// The mean of each whole block of `factor` values; NaN where one of them is.
pub(super) fn block_means(values: &[f64], factor: usize) -> Vec<f64> {
    values.chunks_exact(factor).map(|block| block.iter().sum::<f64>() / factor as f64).collect()
}

/// Each value `factor` times.
pub(super) fn hold(values: &[f64], factor: usize) -> Vec<f64> {
    values.iter().flat_map(|value| std::iter::repeat_n(*value, factor)).collect()
}
