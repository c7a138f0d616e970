//! Whether the residuals of a model are white, and independent of its inputs.
//!
//! Plain functions of slices, so any model's residuals can be tested; [`ResidualReport::new`] puts them together with
//! verdicts. With the means taken from residuals ε and input u (N samples each, those skipped at the start of a
//! prediction left out of both):
//!
//! - r(τ) = Σ ε(t) ε(t − τ) / Σ ε², of deviation 1/√N if ε is white;
//! - Q = N (N + 2) Σ r(τ)² / (N − τ) over τ = 1 … m, χ² with m − p degrees of freedom if ε is white (Ljung and Box,
//!   Biometrika 65, 1978), p the number of estimated parameters that shape the noise: na + nc of an ARMAX model,
//!   nc + nd of Box–Jenkins, 0 of output error (Box, Jenkins and Reinsel, Time Series Analysis, 4th ed. 2008,
//!   §8.2.2 and §12.3.4: those of the input's dynamics do not count). The approximation needs m well above p;
//! - s(τ) = Σ ε(t) u(t − τ) / √(Σ ε² Σ u²), of variance P/N if the two are independent, with P = Σ ρ(k) ρ′(k) over all
//!   k, ρ and ρ′ the autocorrelations of ε and u (Ljung 1999, eq. 16.67, normalised by both variances): 1/N only if one
//!   of them is white. P is estimated with Bartlett's weights, which keep it positive, over min(N/4, 20 m) lags.
//!
//! Correlation at τ ≥ 0 means that the model leaves out something of the input's action; at τ < 0, that the input
//! acts on later inputs through a controller (feedback), which is no fault of the model.
//!
//! One of 25 lags is outside of its own 99 % bound in 22 % of all good models, so the verdicts use bounds that hold for
//! all lags jointly (Bonferroni); the bound for one lag is there for figures.
//!
//! Toolboxes write 2.58/√N for the 99 % bound; here the quantile is not rounded (2.5758).

use std::ops::RangeInclusive;

use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};

/// What cannot be tested.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ResidualError {
    /// A value is missing or infinite.
    #[error(
        "`{signal}` is {value} at sample {sample}; leave out what was not predicted, of residuals and inputs alike"
    )]
    NotFinite {
        /// `residuals`, or the name of an input.
        signal: String,
        /// Position, from 0.
        sample: usize,
        /// What stands there.
        value: f64,
    },
    /// An input that does not go with the residuals.
    #[error("`{input}` has {found} samples, but there are {expected} residuals")]
    Lengths {
        /// Its name.
        input: String,
        /// Its samples.
        found: usize,
        /// The number of residuals.
        expected: usize,
    },
    /// Too many lags for the data, or too few for the parameters.
    #[error(
        "`lags` is {lags}, but must be above the {parameters} noise parameters and below the {samples} samples"
    )]
    Lags {
        /// What was asked for.
        lags: usize,
        /// Parameters that shape the noise.
        parameters: usize,
        /// Samples.
        samples: usize,
    },
    /// A signal that is constant has no correlation.
    #[error("`{signal}` is constant")]
    Constant {
        /// `residuals`, or the name of an input.
        signal: String,
    },
    /// A confidence that is none.
    #[error("`confidence` must be between 0 and 1, but is {0}")]
    Confidence(f64),
}

/// The portmanteau statistic of Ljung and Box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LjungBox {
    /// Q.
    pub q: f64,
    /// m − p.
    pub degrees_of_freedom: usize,
    /// Chance of a larger Q if the residuals are white.
    pub p_value: f64,
}

/// Correlation of residuals with one input.
#[derive(Clone, Debug, PartialEq)]
pub struct CrossCorrelation {
    /// The input.
    pub input: String,
    /// At lags −m to m: residual against the input so many steps before.
    pub values: Vec<f64>,
    /// Deviation of each if the two are independent.
    pub deviation: f64,
}

/// What a test says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Nothing speaks against the model.
    Passed,
    /// The correlation at this lag is the furthest beyond what chance gives.
    Failed {
        /// In steps.
        lag: isize,
        /// The correlation there.
        correlation: f64,
    },
}

/// All tests of one model's residuals.
#[derive(Clone, Debug, PartialEq)]
pub struct ResidualReport {
    /// Autocorrelation at lags 0 to m.
    pub autocorrelation: Vec<f64>,
    /// Half width of the confidence band of one lag of it.
    pub autocorrelation_bound: f64,
    /// Ljung–Box over lags 1 to m.
    pub ljung_box: LjungBox,
    /// With each input.
    pub cross_correlations: Vec<CrossCorrelation>,
    confidence: f64,
}

impl ResidualReport {
    /// Tests `residuals` with m = `lags` against themselves and each named input; `n_noise_parameters` is p above.
    ///
    /// # Errors
    /// Signals that are not finite, of different lengths or constant, and lags or confidence out of bounds.
    pub fn new(
        residuals: &[f64],
        inputs: &[(&str, &[f64])],
        lags: usize,
        n_noise_parameters: usize,
        confidence: f64,
    ) -> Result<Self, ResidualError> {
        if !(confidence > 0.0 && confidence < 1.0) {
            return Err(ResidualError::Confidence(confidence));
        }
        let samples = residuals.len();
        if lags <= n_noise_parameters || lags >= samples {
            return Err(ResidualError::Lags { lags, parameters: n_noise_parameters, samples });
        }
        check("residuals", residuals)?;
        let autocorrelation = autocorrelation(residuals, lags);
        let mut cross_correlations = Vec::new();
        for &(name, input) in inputs {
            if input.len() != samples {
                let (found, expected) = (input.len(), samples);
                return Err(ResidualError::Lengths { input: name.to_owned(), found, expected });
            }
            check(name, input)?;
            let reach = lags.cast_signed();
            cross_correlations.push(CrossCorrelation {
                input: name.to_owned(),
                values: cross_correlation(residuals, input, -reach..=reach),
                deviation: cross_deviation(residuals, input, lags),
            });
        }
        Ok(Self {
            ljung_box: ljung_box(&autocorrelation, samples, n_noise_parameters),
            autocorrelation,
            autocorrelation_bound: normal_quantile(confidence) / (samples as f64).sqrt(),
            cross_correlations,
            confidence,
        })
    }

    /// White, by Ljung–Box at the confidence of the report; the lag named is that of the largest correlation.
    pub fn whiteness(&self) -> Verdict {
        if self.ljung_box.p_value >= 1.0 - self.confidence {
            return Verdict::Passed;
        }
        let (lag, correlation) = largest(self.autocorrelation.iter().copied().enumerate().skip(1));
        Verdict::Failed { lag: lag.cast_signed(), correlation }
    }

    /// Independent of past and present values of input `index`, at lags 0 to m jointly.
    ///
    /// # Panics
    /// If there is no such input.
    pub fn independence(&self, index: usize) -> Verdict {
        self.jointly(index, 0..=self.lags())
    }

    /// No feedback from residuals to input `index`: lags −m to −1 jointly.
    ///
    /// # Panics
    /// If there is no such input.
    pub fn no_feedback(&self, index: usize) -> Verdict {
        self.jointly(index, -self.lags()..=-1)
    }

    /// Half width of the confidence band of one lag of the correlation with input `index`.
    ///
    /// # Panics
    /// If there is no such input.
    pub fn cross_bound(&self, index: usize) -> f64 {
        normal_quantile(self.confidence) * self.cross_correlations[index].deviation
    }

    fn lags(&self) -> isize {
        self.autocorrelation.len().cast_signed() - 1
    }

    fn jointly(&self, index: usize, lags: RangeInclusive<isize>) -> Verdict {
        let cross = &self.cross_correlations[index];
        let n_lags = lags.clone().count() as f64;
        let bound = normal_quantile(1.0 - (1.0 - self.confidence) / n_lags) * cross.deviation;
        let value = |lag: isize| cross.values[(lag + self.lags()) as usize];
        let (lag, correlation) = largest(lags.map(|lag| (lag, value(lag))));
        if correlation.abs() <= bound { Verdict::Passed } else { Verdict::Failed { lag, correlation } }
    }
}

/// r(τ) for τ = 0 … `lags`. The mean is taken away; the sums are not corrected for their fewer terms.
///
/// # Panics
/// If there are not more values than lags.
pub fn autocorrelation(values: &[f64], lags: usize) -> Vec<f64> {
    assert!(values.len() > lags, "{lags} lags need more than {} values", values.len());
    let deviations = deviations(values);
    let sum =
        |lag: usize| deviations[lag..].iter().zip(&deviations).map(|(now, before)| now * before).sum::<f64>();
    let power = sum(0);
    (0..=lags).map(|lag| sum(lag) / power).collect()
}

/// s(τ) for each τ of `lags`: residual against input τ steps before, or −τ steps after.
///
/// # Panics
/// If the two are not equally long, or not longer than the lags reach.
pub fn cross_correlation(residuals: &[f64], input: &[f64], lags: RangeInclusive<isize>) -> Vec<f64> {
    assert_eq!(residuals.len(), input.len(), "one input for each residual");
    let (residuals, input) = (deviations(residuals), deviations(input));
    let power = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>();
    let scale = 1.0 / (power(&residuals) * power(&input)).sqrt();
    let product = |late: &[f64], early: &[f64], lag: usize| {
        late[lag..].iter().zip(early).map(|(late, early)| late * early).sum::<f64>()
    };
    lags.map(|lag| {
        let steps = lag.unsigned_abs();
        let sum =
            if lag >= 0 { product(&residuals, &input, steps) } else { product(&input, &residuals, steps) };
        sum * scale
    })
    .collect()
}

/// Deviation of s(τ) at any lag if residuals and input are independent, √(P/N) with P as above.
///
/// # Panics
/// If the two are not equally long, or empty.
pub fn cross_deviation(residuals: &[f64], input: &[f64], lags: usize) -> f64 {
    let n = residuals.len();
    let reach = (n / 4).min(20 * lags);
    let (of_residuals, of_input) = (autocorrelation(residuals, reach), autocorrelation(input, reach));
    let weight = |lag: usize| 1.0 - lag as f64 / (reach + 1) as f64;
    let both_sides: f64 = (1..=reach).map(|lag| weight(lag) * of_residuals[lag] * of_input[lag]).sum();
    ((1.0 + 2.0 * both_sides) / n as f64).sqrt()
}

/// Q and its p-value from autocorrelations at lags 0 to m of `n_samples` residuals.
///
/// # Panics
/// If m is not above `n_noise_parameters` and below `n_samples`.
pub fn ljung_box(autocorrelation: &[f64], n_samples: usize, n_noise_parameters: usize) -> LjungBox {
    let lags = autocorrelation.len().saturating_sub(1);
    assert!(lags > n_noise_parameters && lags < n_samples, "{lags} lags of {n_samples} samples");
    let n = n_samples as f64;
    let sum: f64 = (1..=lags).map(|lag| autocorrelation[lag].powi(2) / (n_samples - lag) as f64).sum();
    let (q, degrees_of_freedom) = (n * (n + 2.0) * sum, lags - n_noise_parameters);
    let chi_squared = ChiSquared::new(degrees_of_freedom as f64).expect("there is a degree of freedom");
    LjungBox { q, degrees_of_freedom, p_value: chi_squared.sf(q) }
}

/// z with P(|Z| ≤ z) = `confidence` for a standard normal Z.
fn normal_quantile(confidence: f64) -> f64 {
    Normal::standard().inverse_cdf(f64::midpoint(1.0, confidence))
}

fn deviations(values: &[f64]) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| value - mean).collect()
}

fn largest<L>(correlations: impl Iterator<Item = (L, f64)>) -> (L, f64) {
    correlations.max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())).expect("there is a lag")
}

fn check(signal: &str, values: &[f64]) -> Result<(), ResidualError> {
    if let Some(sample) = values.iter().position(|value| !value.is_finite()) {
        let value = values[sample];
        return Err(ResidualError::NotFinite { signal: signal.to_owned(), sample, value });
    }
    if values.iter().all(|value| value == &values[0]) {
        return Err(ResidualError::Constant { signal: signal.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};
    use tidegate_core::{Seed, Stream};

    use super::*;

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12 * b.abs().max(1.0), "{a} is not {b}");
    }

    /// 1, 2, 4, 1 less its mean 2 is −1, 0, 2, −1 with sum of squares 6.
    #[test]
    fn correlations_by_hand() {
        let r = autocorrelation(&[1., 2., 4., 1.], 2);
        near(r[0], 1.0);
        near(r[1], -2. / 6.); // 0·−1 + 2·0 + −1·2
        near(r[2], -2. / 6.); // 2·−1 + −1·0
        let test = ljung_box(&r, 4, 0);
        near(test.q, 4. * 6. * (1. / 9. / 3. + 1. / 9. / 2.));
        // χ² with 2 degrees of freedom is exponential: P(χ² > q) = e^(−q/2).
        near(test.p_value, (-test.q / 2.).exp());
        // Against 0, 1, 0, 3 less 1: −1, 0, −1, 2 with sum of squares 6.
        let cross = cross_correlation(&[1., 2., 4., 1.], &[0., 1., 0., 3.], -1..=1);
        near(cross[0], (0. - 0. + 2. * 2.) / 6.); // u one step after
        near(cross[1], (1. + 0. - 2. - 2.) / 6.);
        near(cross[2], (0. + 0. + 1.) / 6.); // u one step before
    }

    /// Tables of χ²: 31.410 with 20 degrees of freedom is exceeded with probability 5 %, 44.314 with 25 in 1 %.
    #[test]
    fn p_values_are_those_of_the_tables() {
        for (q, degrees, p) in [(31.410, 20, 0.05), (44.314, 25, 0.01), (34.382, 25, 0.10)] {
            // One correlation that gives this Q, and a parameter count that gives the degrees.
            let (n, lags) = (1000.0_f64, 30);
            let mut r = vec![0.0; lags + 1];
            r[1] = (q * (n - 1.0) / (n * (n + 2.0))).sqrt();
            let test = ljung_box(&r, 1000, lags - degrees);
            assert!((test.q - q).abs() < 1e-9 && test.degrees_of_freedom == degrees);
            assert!((test.p_value - p).abs() < 1e-5, "{}", test.p_value);
        }
    }

    /// x(t) = φ x(t−1) + e(t).
    fn ar1(phi: f64, n: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let mut x = 0.0;
        (0..n + 100)
            .map(|_| {
                let e: f64 = StandardNormal.sample(rng);
                x = phi * x + e;
                x
            })
            .skip(100)
            .collect()
    }

    /// Shares of rejections over 2000 pairs of 300 samples at 5 %: whiteness, independence, feedback.
    fn rejections(phi_residuals: f64, phi_input: f64) -> [f64; 3] {
        const RUNS: usize = 2000;
        let mut rng = Seed::training(30).rng(Stream::Excitation);
        let mut rejected = [0.0; 3];
        for _ in 0..RUNS {
            let (e, u) = (ar1(phi_residuals, 300, &mut rng), ar1(phi_input, 300, &mut rng));
            let report = ResidualReport::new(&e, &[("u", &u)], 15, 0, 0.95).expect("a report");
            let verdicts = [report.whiteness(), report.independence(0), report.no_feedback(0)];
            for (rejected, verdict) in rejected.iter_mut().zip(verdicts) {
                *rejected += f64::from(u8::from(verdict != Verdict::Passed)) / RUNS as f64;
            }
        }
        rejected
    }

    /// The deviation of a measured level of 5 % is 0.5 %. Bonferroni's bound is on the safe side where lags are
    /// correlated, so there only too many rejections are a fault, and none at all.
    #[test]
    fn tests_have_the_level_that_they_say() {
        let [whiteness, independence, feedback] = rejections(0.0, 0.0);
        assert!((whiteness - 0.05).abs() < 0.02, "{whiteness}");
        assert!((0.03..0.065).contains(&independence) && (0.03..0.065).contains(&feedback), "{independence}");
        let [_, independence, feedback] = rejections(0.0, 0.9);
        assert!((0.01..0.065).contains(&independence) && (0.01..0.065).contains(&feedback), "{independence}");
        // Coloured residuals are found out, and do not make a false alarm of the correlation with a coloured input,
        // as 1/N for the variance would: there P is (1 + 0.64) / (1 − 0.64) = 4.6.
        let [whiteness, independence, feedback] = rejections(0.8, 0.8);
        assert!(whiteness > 0.999, "{whiteness}");
        assert!((0.01..0.10).contains(&independence) && (0.01..0.10).contains(&feedback), "{independence}");
    }

    /// P of two first-order signals is (1 + φ₁φ₂) / (1 − φ₁φ₂).
    #[test]
    fn the_cross_deviation_is_that_of_theory() {
        let mut rng = Seed::training(31).rng(Stream::Excitation);
        for (phi_e, phi_u) in [(0.0, 0.9), (0.8, 0.8), (0.5, -0.5)] {
            let n = 20_000;
            let (e, u) = (ar1(phi_e, n, &mut rng), ar1(phi_u, n, &mut rng));
            let p = cross_deviation(&e, &u, 25).powi(2) * n as f64;
            let expected = (1.0 + phi_e * phi_u) / (1.0 - phi_e * phi_u);
            assert!((p / expected - 1.0).abs() < 0.1, "{p} is not {expected}");
        }
    }

    /// The residuals of an AR(1) fit have degrees m − 1: the level with the correction, and too few rejections without.
    #[test]
    fn fitted_parameters_take_degrees_of_freedom() {
        const RUNS: usize = 4000;
        let mut rng = Seed::training(32).rng(Stream::Excitation);
        let (mut corrected, mut plain) = (0.0, 0.0);
        for _ in 0..RUNS {
            let y = ar1(0.5, 300, &mut rng);
            let sum = |f: &dyn Fn(usize) -> f64| (1..300).map(f).sum::<f64>();
            let phi = sum(&|t| y[t] * y[t - 1]) / sum(&|t| y[t - 1] * y[t - 1]);
            let residuals: Vec<f64> = (1..300).map(|t| y[t] - phi * y[t - 1]).collect();
            let r = autocorrelation(&residuals, 5);
            corrected += f64::from(u8::from(ljung_box(&r, 299, 1).p_value < 0.05)) / RUNS as f64;
            plain += f64::from(u8::from(ljung_box(&r, 299, 0).p_value < 0.05)) / RUNS as f64;
        }
        assert!((corrected - 0.05).abs() < 0.015 && plain < 0.03, "{corrected} and {plain}");
    }

    #[test]
    fn what_is_left_out_of_a_model_is_found_at_its_lag() {
        let mut rng = Seed::training(33).rng(Stream::Excitation);
        let (u, noise) = (ar1(0.0, 500, &mut rng), ar1(0.0, 500, &mut rng));
        let residuals: Vec<f64> =
            (0..500).map(|t| noise[t] + if t >= 3 { 0.5 * u[t - 3] } else { 0.0 }).collect();
        let report = ResidualReport::new(&residuals, &[("u", &u)], 20, 0, 0.99).expect("a report");
        assert!(
            matches!(report.independence(0), Verdict::Failed { lag: 3, .. }),
            "{:?}",
            report.independence(0)
        );
        assert_eq!(report.no_feedback(0), Verdict::Passed);
        // The other way round the input follows the residuals.
        let report = ResidualReport::new(&u, &[("y", &residuals)], 20, 0, 0.99).expect("a report");
        assert!(
            matches!(report.no_feedback(0), Verdict::Failed { lag: -3, .. }),
            "{:?}",
            report.no_feedback(0)
        );
        assert_eq!(report.independence(0), Verdict::Passed);
        near(report.autocorrelation_bound * 500_f64.sqrt(), 2.575_829_303_548_901);
        let coloured = ar1(0.7, 500, &mut rng);
        let report = ResidualReport::new(&coloured, &[], 20, 0, 0.99).expect("a report");
        assert!(matches!(report.whiteness(), Verdict::Failed { lag: 1, .. }));
    }

    #[test]
    fn what_cannot_be_tested_says_why() {
        let check = |residuals: &[f64], input: &[f64], lags, confidence, expected: Expect| {
            let error = ResidualReport::new(residuals, &[("u", input)], lags, 2, confidence).map(|_| ());
            expected.assert_eq(&error.expect_err("no report").to_string());
        };
        let e = [1., 2., 4., 1., 5.];
        check(
            &e,
            &e,
            2,
            0.9,
            expect!["`lags` is 2, but must be above the 2 noise parameters and below the 5 samples"],
        );
        check(
            &e,
            &e,
            5,
            0.9,
            expect!["`lags` is 5, but must be above the 2 noise parameters and below the 5 samples"],
        );
        check(&e, &e, 3, 1.0, expect!["`confidence` must be between 0 and 1, but is 1"]);
        check(&e, &e[1..], 3, 0.9, expect!["`u` has 4 samples, but there are 5 residuals"]);
        check(&e, &[3.; 5], 3, 0.9, expect!["`u` is constant"]);
        check(
            &[1., 2., f64::NAN, 1., 5.],
            &e,
            3,
            0.9,
            expect![
                "`residuals` is NaN at sample 2; leave out what was not predicted, of residuals and inputs alike"
            ],
        );
    }
}
