//! The exact binomial test, and which counts it does not reject.

use statrs::distribution::{Binomial, Discrete, DiscreteCDF};

/// Two-sided p-value of `k` successes in `n` trials of probability `p`: twice the smaller tail, at most 1 (the test that
/// inverts the interval of Clopper and Pearson, Biometrika 26, 1934).
///
/// # Panics
/// If `p` is not a probability, or `k` exceeds `n`.
pub fn two_sided(k: u64, n: u64, p: f64) -> f64 {
    assert!(k <= n, "{k} of {n}");
    let law = Binomial::new(p, n).expect("a probability");
    let (lower, upper) = (law.cdf(k), law.sf(k) + law.pmf(k));
    (2.0 * lower.min(upper)).min(1.0)
}

/// The least and the most successes that [`two_sided`] does not reject at a level.
pub fn accepted(n: u64, p: f64, level: f64) -> (u64, u64) {
    let least = (0..=n).find(|k| two_sided(*k, n, p) >= level).unwrap_or(0);
    let most = (0..=n).rev().find(|k| two_sided(*k, n, p) >= level).unwrap_or(n);
    (least, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_cases_by_hand() {
        // Fair coin, 5 tosses: P(0) = 1/32; twice that is 1/16. At 2 of 5 the tails are 1/2 and 26/32.
        assert!((two_sided(0, 5, 0.5) - 1.0 / 16.0).abs() < 1e-12);
        assert!((two_sided(5, 5, 0.5) - 1.0 / 16.0).abs() < 1e-12);
        assert!((two_sided(2, 5, 0.5) - 1.0).abs() < 1e-12);
        assert_eq!(accepted(5, 0.5, 0.1), (1, 4));
    }

    /// The probability of rejection under the hypothesis is summed over all counts and stays below the level.
    #[test]
    fn the_test_keeps_its_level() {
        for (n, p, level) in [(40, 0.95, 0.05), (1000, 0.95, 0.001)] {
            let law = Binomial::new(p, n).expect("a probability");
            let rejected: f64 = (0..=n).filter(|k| two_sided(*k, n, p) < level).map(|k| law.pmf(k)).sum();
            assert!(rejected <= level && rejected > level / 20.0, "{n} {p}: {rejected}");
        }
    }
}
