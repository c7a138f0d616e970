//! Do the standard errors tell the truth? Many runs of known systems: how often each parameter lies within three of its
//! own standard errors, and how often its 95 % interval holds the truth.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ChiSquared, ContinuousCDF};
use tidegate_core::Seed;
use tidegate_stats::{mean, variance};

use super::binomial;
use super::models;
use super::synthetic::System;

/// A result is reported by this many standard errors.
const NEAR: f64 = 3.0;

/// Share of the runs that must lie within three standard errors.
pub const NEAR_SHARE_MIN: f64 = 0.99;

/// Coverage of the interval that is tested.
pub const LEVEL: f64 = 0.95;

/// Half the width of that interval in standard errors.
const HALF_WIDTH: f64 = 1.959_963_984_540_054;

/// The test rejects all rows together with at most this probability if every interval is right.
pub const FAMILY_LEVEL: f64 = 0.05;

/// What one run gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Estimate {
    /// Parameters and standard errors, in the order of the truth.
    Done {
        /// Estimates.
        parameters: Vec<f64>,
        /// Their standard errors.
        errors: Vec<f64>,
        /// How many warnings the model carried.
        n_warnings: usize,
        /// N ln (V(truth)/V(estimate)): as χ² with as many degrees of freedom as parameters, if all is right.
        likelihood_ratio: f64,
    },
    /// The method refused; such a run counts as a miss.
    Refused(String),
}

/// One parameter of one system over all runs: a row of `runs.csv`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)] // the names say it; docs/identification.md has the tests
pub struct ParameterRow {
    pub system: String,
    pub samples: usize,
    pub parameter: String,
    pub truth: f64,
    pub runs: u64,
    pub refused: u64,
    pub warned: u64,
    pub mean: f64,
    pub standard_deviation: f64,
    /// Root mean square of the standard errors that the runs reported.
    pub standard_error: f64,
    /// (mean − truth) over its own standard error.
    pub bias_z: f64,
    pub within_3: f64,
    pub covered: f64,
    pub coverage_p: f64,
    pub passed: bool,
    /// Why rows of this system are known to fail; empty for all others.
    pub known_gap: String,
}

/// Runs `first` to `first + count` of a system; the `position`-th of [`super::synthetic::ALL`] has seeds of its own.
pub fn runs(position: usize, system: &System, first: u64, count: u64) -> Vec<Estimate> {
    (first..first + count)
        .map(|run| {
            let seed = Seed::evaluation(position as u64 * 100_000 + run);
            let record = system.draw(system.n, seed);
            match models::fit(system.structure, &system.orders(), &record) {
                Ok(model) => Estimate::Done {
                    parameters: model.parameters(),
                    errors: model.standard_errors(),
                    n_warnings: model.warnings.len(),
                    likelihood_ratio: model.samples as f64
                        * (system.polynomials().loss_on(&record) / model.loss).ln(),
                },
                Err(error) => Estimate::Refused(error.to_string()),
            }
        })
        .collect()
}

/// The rows of a system; `n_rows` is how many there are over all systems, by which the level of the test is divided.
pub fn rows(system: &System, estimates: &[Estimate], n_rows: usize) -> Vec<ParameterRow> {
    let n_runs = estimates.len() as u64;
    let refused = estimates.iter().filter(|it| matches!(it, Estimate::Refused(_))).count() as u64;
    let warned =
        estimates.iter().filter(|it| matches!(it, Estimate::Done { n_warnings: 1.., .. })).count() as u64;
    system
        .truth()
        .into_iter()
        .enumerate()
        .map(|(index, (name, truth))| {
            let pairs: Vec<(f64, f64)> = estimates
                .iter()
                .filter_map(|it| match it {
                    Estimate::Done { parameters, errors, .. } => Some((parameters[index], errors[index])),
                    Estimate::Refused(_) => None,
                })
                .collect();
            let within = |width: f64| {
                pairs.iter().filter(|(value, error)| (value - truth).abs() <= width * error).count() as u64
            };
            let values: Vec<f64> = pairs.iter().map(|pair| pair.0).collect();
            let squares: Vec<f64> = pairs.iter().map(|pair| pair.1 * pair.1).collect();
            let deviation = variance(&values).sqrt();
            let covered = within(HALF_WIDTH);
            let within_3 = within(NEAR) as f64 / n_runs as f64;
            let coverage_p = binomial::two_sided(covered, n_runs, LEVEL);
            ParameterRow {
                system: system.name.to_owned(),
                samples: system.n,
                parameter: name,
                truth,
                runs: n_runs,
                refused,
                warned,
                mean: mean(&values),
                standard_deviation: deviation,
                standard_error: mean(&squares).sqrt(),
                bias_z: (mean(&values) - truth) / deviation * (values.len() as f64).sqrt(),
                within_3,
                covered: covered as f64 / n_runs as f64,
                coverage_p,
                passed: is_near(within(NEAR), n_runs, FAMILY_LEVEL / n_rows as f64)
                    && coverage_p >= FAMILY_LEVEL / n_rows as f64,
                known_gap: system.known_gap.unwrap_or_default().to_owned(),
            }
        })
        .collect()
}

/// All parameters of one system together: a row of `joint.csv`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)] // the names say it
pub struct JointRow {
    pub system: String,
    pub samples: usize,
    pub parameters: usize,
    pub runs: u64,
    /// Mean of the likelihood ratio; the number of parameters if all is right.
    pub likelihood_ratio: f64,
    /// Share of the runs whose joint 95 % region, by likelihood ratio, holds the truth.
    pub covered: f64,
    pub coverage_p: f64,
    pub passed: bool,
    pub known_gap: String,
}

/// Whether the truth lies where the likelihood says, for all parameters together: this needs no parabola, so it tells a wrong
/// minimum from one that standard errors cannot describe.
pub fn joint(system: &System, estimates: &[Estimate], n_systems: usize) -> JointRow {
    let ratios: Vec<f64> = estimates
        .iter()
        .filter_map(|it| match it {
            Estimate::Done { likelihood_ratio, .. } => Some(*likelihood_ratio),
            Estimate::Refused(_) => None,
        })
        .collect();
    let parameters = system.orders().n_parameters();
    let law = ChiSquared::new(parameters as f64).expect("there is a parameter");
    let most = law.inverse_cdf(LEVEL);
    let covered = ratios.iter().filter(|ratio| **ratio <= most).count() as u64;
    let n_runs = estimates.len() as u64;
    let coverage_p = binomial::two_sided(covered, n_runs, LEVEL);
    JointRow {
        system: system.name.to_owned(),
        samples: system.n,
        parameters,
        runs: n_runs,
        likelihood_ratio: mean(&ratios),
        covered: covered as f64 / n_runs as f64,
        coverage_p,
        passed: coverage_p >= FAMILY_LEVEL / n_systems as f64,
        known_gap: system.known_gap.unwrap_or_default().to_owned(),
    }
}

/// Whether enough of the runs lie near. Of a thousand and more the share itself must be reached; of fewer, where one miss is
/// more than a percent, a test that it is reached must not reject.
fn is_near(near: u64, n_runs: u64, level: f64) -> bool {
    near as f64 >= NEAR_SHARE_MIN * n_runs as f64
        || (n_runs < 1000 && binomial::two_sided(near, n_runs, NEAR_SHARE_MIN) >= level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identification::synthetic::{ALL, ARMAX221};

    /// Estimates that are exactly normal around the truth, or too sure of themselves.
    fn drawn(scale: f64) -> Vec<Estimate> {
        let truth: Vec<f64> = ARMAX221.truth().into_iter().map(|it| it.1).collect();
        // Quantiles of the normal distribution in place of draws: the shares are then known exactly.
        (0..1000)
            .map(|run| {
                use statrs::distribution::Normal;
                let z = Normal::standard().inverse_cdf((f64::from(run) + 0.5) / 1000.0);
                Estimate::Done {
                    parameters: truth.iter().map(|it| it + 0.1 * z).collect(),
                    errors: vec![0.1 * scale; truth.len()],
                    n_warnings: 0,
                    likelihood_ratio: 0.0,
                }
            })
            .collect()
    }

    #[test]
    fn right_standard_errors_pass_and_wrong_ones_do_not() {
        let right = rows(&ARMAX221, &drawn(1.0), 80);
        assert!(
            right.iter().all(|row| row.passed && row.covered == 0.95 && row.within_3 == 0.998),
            "{right:?}"
        );
        assert!(rows(&ARMAX221, &drawn(0.85), 80).iter().all(|row| !row.passed));
        assert!(rows(&ARMAX221, &drawn(1.3), 80).iter().all(|row| !row.passed));
    }

    #[test]
    fn runs_that_gave_nothing_count_as_misses() {
        let mut estimates = drawn(1.0);
        for estimate in &mut estimates[480..520] {
            *estimate = Estimate::Refused("too short".into());
        }
        let rows = rows(&ARMAX221, &estimates, 80);
        assert_eq!((rows[0].refused, rows[0].covered), (40, 0.91));
        assert!(!rows[0].passed);
    }

    #[test]
    fn every_system_has_a_name_and_parameters_of_its_own() {
        let names: std::collections::BTreeSet<&str> = ALL.iter().map(|it| it.name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(ALL.iter().all(|it| !it.truth().is_empty()));
    }
}
