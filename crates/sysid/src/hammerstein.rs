//! Hammerstein: a static curve from queueing theory, followed by ARMAX, because response time is not linear in load or
//! instances.
//!
//! `A(q) y = B(q) g(λ, n) + C(q) e`: y the mean latency, λ the load, n the ready replicas, g the mean latency of the
//! queueing model ([`crate::queueing_fit`]) that starts the tick at rest. It depends on the utilization, on the slots,
//! and has three unknown numbers: service time s, wait factor v, overhead share δ. Slots a replica are given: with the
//! gain of the curve free they could not be told from s. B(1) = A(1), so that the curve is what the service comes to
//! rest at; b₀ is what the others leave.
//!
//! All parameters are searched together, by prediction errors, from the best static curve with A = B = C = 1
//! [L. Ljung, *System Identification* (2nd ed. 1999), section 5.2 for the form; K. S. Narendra and P. G. Gallman,
//! IEEE TAC 11 (1966) alternate instead, which is slower where curve and dynamics pull on each other].
//!
//! As a response model it knows a mean. The law around it is assumed to be the service law of that mean and a fixed
//! squared coefficient of variation, 1 where nothing better was measured: right for an unsaturated exponential
//! service, too wide under a backlog.

use std::num::NonZeroU32;

use nalgebra::DMatrix;
use tidegate_core::{Fit, Model, Record, ResponseModel, ResponseTime, ServiceLevel, Start};

use crate::check::{self, Count};
use crate::dynamics::{Dynamics, ORDER_MAX, Past};
use crate::levenberg::{Minimum, Prior, Search, minimise};
use crate::queueing_fit::{self, QueueState, QueueingModel, QueueingParameters};
use crate::{FitError, mean_response::MeanResponse};

/// How to fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HammersteinFit {
    /// Degree of A.
    pub na: usize,
    /// Coefficients of B, at least 1.
    pub nb: usize,
    /// Degree of C.
    pub nc: usize,
    /// Requests that one replica serves at once.
    pub slots_per_replica: f64,
    /// The service level of the fitted response model; its bound also says where services are looked for.
    pub level: ServiceLevel,
}

/// A fitted curve with its dynamics.
#[derive(Clone, Debug, PartialEq)]
pub struct HammersteinModel {
    curve: QueueingModel,
    dynamics: Dynamics,
    scv: f64,
    /// Covariance of [ln s, ln v, ln δ, a₁ …, b₁ …, c₁ …].
    pub covariance: DMatrix<f64>,
    /// Standard deviation of the one-step prediction errors, large ones bounded, in seconds.
    pub deviation_seconds: f64,
    parameters: Vec<f64>,
}

/// One sample: load, ready replicas, mean latency (NaN where it is missing), and how much it counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// λ.
    pub requests_per_second: f64,
    /// n.
    pub ready: f64,
    /// y.
    pub latency_mean_seconds: f64,
    /// 1 for a fresh one, less for an old one.
    pub weight: f64,
}

/// Coefficients of stable polynomials of low order are rarely larger; where the data do not tell A from C, both are 1.
const DYNAMICS_DEVIATION: f64 = 0.5;

/// Parameters of the curve.
const N_CURVE: usize = 3;

impl HammersteinFit {
    /// How many parameters it searches.
    pub fn n_parameters(&self) -> usize {
        N_CURVE + self.na + self.nb - 1 + self.nc
    }

    /// Fits to samples; the search goes on from `start` where that has the same orders, by a step or two; else it starts
    /// from a static curve.
    ///
    /// # Errors
    /// `TooShort` with fewer than three samples a parameter, `Diverged` where no finite criterion is found.
    pub fn fit_samples(
        &self,
        samples: &(impl Iterator<Item = Sample> + Clone),
        step_seconds: f64,
        start: Option<&HammersteinModel>,
    ) -> Result<HammersteinModel, FitError> {
        let what = format!("Hammerstein({},{},{})", self.na, self.nb, self.nc);
        let n_parameters = self.n_parameters();
        let found = samples.clone().filter(|it| it.latency_mean_seconds.is_finite()).count();
        if found < 3 * n_parameters {
            return Err(FitError::TooShort { found, what, needed: 3 * n_parameters });
        }
        let diverged = || FitError::Diverged { what: what.clone() };
        let known = queueing_fit::prior(self.level.bound_seconds, self.slots_per_replica);
        let mut prior = Prior::flat(n_parameters);
        for i in 0..N_CURVE {
            prior.mean[i] = known.mean[i];
            prior.precision[(i, i)] = known.precision[(i, i)];
        }
        for i in N_CURVE..n_parameters {
            prior.precision[(i, i)] = DYNAMICS_DEVIATION.powi(-2);
        }
        let (first, search) = match start.filter(|it| it.parameters.len() == n_parameters) {
            Some(start) => (start.parameters.clone(), Search::GO_ON),
            None => {
                (self.static_start(&prior, samples, step_seconds).ok_or_else(diverged)?, Search::default())
            }
        };
        let (scale, minimum) =
            self.search(&first, &prior, search, samples, step_seconds).ok_or_else(diverged)?;
        let theta = minimum.parameters.as_slice();
        Ok(HammersteinModel {
            curve: self.curve(theta, step_seconds).ok_or_else(diverged)?,
            dynamics: self.dynamics(theta),
            scv: 1.0,
            covariance: minimum.covariance,
            deviation_seconds: scale,
            parameters: theta.to_vec(),
        })
    }

    /// The best curve without dynamics, by logarithms: they need no scale.
    fn static_start(
        &self,
        prior: &Prior,
        samples: &(impl Iterator<Item = Sample> + Clone),
        step_seconds: f64,
    ) -> Option<Vec<f64>> {
        let prior = Prior {
            mean: prior.mean.rows(0, N_CURVE).into_owned(),
            precision: prior.precision.view((0, 0), (N_CURVE, N_CURVE)).into_owned(),
        };
        let curve = minimise(prior.mean.as_slice(), &prior, Search::default(), |theta, into| {
            let Some(curve) = self.curve(theta, step_seconds) else { return false };
            for sample in samples.clone().filter(|it| it.latency_mean_seconds > 0.0) {
                let ratio =
                    sample.latency_mean_seconds / at(&curve, sample.requests_per_second, sample.ready);
                into.push(sample.weight.sqrt() * ratio.ln() / 0.1);
            }
            true
        })?;
        let mut theta = vec![0.0; self.n_parameters()];
        theta[..N_CURVE].copy_from_slice(curve.parameters.as_slice());
        Some(theta)
    }

    /// Searches twice, since the scale of the errors is not known before: in the scale of where it starts, then in the
    /// scale that this found. Gives the last scale too.
    fn search(
        &self,
        theta: &[f64],
        prior: &Prior,
        search: Search,
        samples: &(impl Iterator<Item = Sample> + Clone),
        step_seconds: f64,
    ) -> Option<(f64, Minimum)> {
        let weight: f64 =
            samples.clone().filter(|it| it.latency_mean_seconds.is_finite()).map(|it| it.weight).sum();
        let go = |theta: &[f64], scale: f64| {
            minimise(theta, prior, search, |theta, into| {
                let push = |weight: f64, error: f64| into.push(weight * error / scale);
                self.errors(theta, samples.clone(), step_seconds, push)
            })
        };
        let scale = self.deviation(theta, samples.clone(), step_seconds)?;
        let rough = go(theta, scale)?;
        let scale = scale * (rough.loss / weight).sqrt().max(1e-6);
        let minimum = go(rough.parameters.as_slice(), scale)?;
        Some((scale * (minimum.loss / weight).sqrt(), minimum))
    }

    fn curve(&self, theta: &[f64], step_seconds: f64) -> Option<QueueingModel> {
        if theta[..N_CURVE].iter().any(|it| it.abs() > 30.0) {
            return None;
        }
        let logarithms = [theta[0], theta[1], theta[2], self.slots_per_replica.ln(), 0.0];
        Some(QueueingModel::new(QueueingParameters::from_logarithms(&logarithms), step_seconds, self.level))
    }

    fn dynamics(&self, theta: &[f64]) -> Dynamics {
        let (a, rest) = theta[N_CURVE..].split_at(self.na);
        let (b_later, c) = rest.split_at(self.nb - 1);
        let mut b = [0.0; ORDER_MAX + 1];
        b[0] = 1.0 + a.iter().sum::<f64>() - b_later.iter().sum::<f64>();
        b[1..self.nb].copy_from_slice(b_later);
        Dynamics::new(a, &[&b[..self.nb]], c)
    }

    /// Hands each weighted prediction error to `each`; `false` where there is no stable model.
    fn errors(
        &self,
        theta: &[f64],
        samples: impl Iterator<Item = Sample> + Clone,
        step_seconds: f64,
        mut each: impl FnMut(f64, f64),
    ) -> bool {
        let Some(curve) = self.curve(theta, step_seconds) else { return false };
        let dynamics = self.dynamics(theta);
        if !dynamics.is_stable() {
            return false;
        }
        let mut weights = samples.clone().map(|it| it.weight.sqrt());
        let mut next = 0;
        dynamics.errors(
            samples.map(|it| ([at(&curve, it.requests_per_second, it.ready), 0.0], it.latency_mean_seconds)),
            |t, error| {
                let weight = weights.nth(t - next).unwrap_or(0.0);
                next = t + 1;
                each(weight, error);
            },
        );
        true
    }

    /// A robust scale of the errors: their median size, as of a normal law.
    fn deviation(
        &self,
        theta: &[f64],
        samples: impl Iterator<Item = Sample> + Clone,
        step_seconds: f64,
    ) -> Option<f64> {
        let mut sizes = Vec::new();
        if !self.errors(theta, samples, step_seconds, |_, error| sizes.push(error.abs())) {
            return None;
        }
        sizes.sort_by(f64::total_cmp);
        let median = *sizes.get(sizes.len() / 2)?;
        Some((median / 0.6745).max(1e-9))
    }
}

/// g.
fn at(curve: &QueueingModel, requests_per_second: f64, ready: f64) -> f64 {
    let rest = QueueState { backlog: 0.0, ..curve.rest(requests_per_second, ready) };
    curve.latency_mean_seconds(&rest, requests_per_second, ready)
}

impl Fit for HammersteinFit {
    type Model = HammersteinModel;
    type Error = FitError;

    /// Inputs: load a second and ready replicas; output: mean latency in seconds.
    fn fit(&self, record: &Record) -> Result<HammersteinModel, FitError> {
        check::record(record, Count::AtLeastOne, Count::One)?;
        let [load, ready] = record.inputs.as_slice() else {
            return Err(FitError::Channels {
                kind: "inputs",
                found: record.inputs.len(),
                allowed: "two: load and ready replicas",
            });
        };
        for (field, value, least) in [("na", self.na, 0), ("nb", self.nb, 1), ("nc", self.nc, 0)] {
            if value < least || value > ORDER_MAX {
                let allowed = format!("must be {least} to {ORDER_MAX}");
                return Err(FitError::Order { field: field.into(), value, allowed });
            }
        }
        check::excited(record)?;
        let samples = (0..load.values.len()).map(|t| Sample {
            requests_per_second: load.values[t],
            ready: ready.values[t],
            latency_mean_seconds: record.outputs[0].values[t],
            weight: 1.0,
        });
        self.fit_samples(&samples, record.step_seconds, None)
    }
}

impl HammersteinModel {
    /// The numbers of the curve.
    pub fn curve(&self) -> &QueueingParameters {
        self.curve.parameters()
    }

    /// The linear part.
    pub fn dynamics(&self) -> &Dynamics {
        &self.dynamics
    }

    /// The same model with another assumption on the law around the mean.
    pub fn with_scv(self, scv: f64) -> Self {
        Self { scv, ..self }
    }

    fn drive(&self, requests_per_second: f64, ready: f64) -> [f64; 2] {
        [at(&self.curve, requests_per_second, ready), 0.0]
    }
}

impl Model for HammersteinModel {
    /// From rest at the first sample.
    fn predict(&self, record: &Record, ahead: NonZeroU32) -> DMatrix<f64> {
        let (load, ready) = (&record.inputs[0].values, &record.inputs[1].values);
        let measured = &record.outputs[0].values;
        let ahead = ahead.get() as usize;
        let drives: Vec<_> = load.iter().zip(ready).map(|(load, ready)| self.drive(*load, *ready)).collect();
        // The past before each sample, all measured.
        let mut pasts = Vec::with_capacity(drives.len());
        let mut past = drives.first().map_or([0.0; ORDER_MAX], |drive| self.dynamics.rest(*drive, drive[0]));
        for (drive, y) in drives.iter().zip(measured) {
            pasts.push(past);
            let error = y - self.dynamics.expected(&past, *drive);
            past = self.dynamics.step(&past, *drive, *y, error);
        }
        DMatrix::from_fn(drives.len(), 1, |t, _| {
            let from = (t + 1).saturating_sub(ahead);
            let mut past = pasts[from];
            for drive in &drives[from..t] {
                past = self.dynamics.step(&past, *drive, self.dynamics.expected(&past, *drive), 0.0);
            }
            self.dynamics.expected(&past, drives[t])
        })
    }

    /// `Start::Zero` is at rest under the first input, which is what no deviation means for a curve.
    ///
    /// # Panics
    /// If a given state is longer than [`ORDER_MAX`], or `inputs` has not two columns.
    fn simulate(&self, inputs: &DMatrix<f64>, start: Start) -> DMatrix<f64> {
        let drives: Vec<_> = inputs.row_iter().map(|row| self.drive(row[0], row[1])).collect();
        let mut past: Past = match start {
            Start::Zero => {
                drives.first().map_or([0.0; ORDER_MAX], |drive| self.dynamics.rest(*drive, drive[0]))
            }
            Start::State(state) => {
                let mut past = [0.0; ORDER_MAX];
                past[..state.len()].copy_from_slice(&state);
                past
            }
        };
        DMatrix::from_iterator(
            drives.len(),
            1,
            drives.iter().map(|drive| {
                let y = self.dynamics.expected(&past, *drive);
                past = self.dynamics.step(&past, *drive, y, 0.0);
                y
            }),
        )
    }
}

impl ResponseModel for HammersteinModel {
    type State = Past;

    fn tick_seconds(&self) -> f64 {
        self.curve.tick_seconds()
    }

    fn level(&self) -> &ServiceLevel {
        self.curve.level()
    }

    fn rest(&self, requests_per_second: f64, ready: f64) -> Past {
        let drive = self.drive(requests_per_second, ready);
        self.dynamics.rest(drive, drive[0])
    }

    /// The mean is cut at what a request takes on an idle service.
    fn respond(&self, past: &Past, requests_per_second: f64, ready: f64) -> (ResponseTime, Past) {
        let drive = self.drive(requests_per_second, ready);
        let least = self.curve().service_seconds + self.curve().overhead_seconds;
        let mean = self.dynamics.expected(past, drive).max(least);
        (ResponseTime::of_mean(mean, self.scv), self.dynamics.step(past, drive, mean, 0.0))
    }
}

impl MeanResponse for HammersteinModel {
    fn expected_seconds(&self, past: &Past, requests_per_second: f64, ready: f64) -> f64 {
        self.dynamics.expected(past, self.drive(requests_per_second, ready))
    }

    fn measured(&self, past: &Past, requests_per_second: f64, ready: f64, latency_mean_seconds: f64) -> Past {
        let drive = self.drive(requests_per_second, ready);
        let error = latency_mean_seconds - self.dynamics.expected(past, drive);
        self.dynamics.step(past, drive, latency_mean_seconds, error)
    }
}

#[cfg(test)]
mod tests;
