//! A response model from a linear ARMAX: load and ready replicas in, mean latency out.
//!
//! `A(q) y = B₁(q) λ + B₂(q) n + C(q) e` on deviations from their means, each in its own standard deviation. It is what
//! the source document asks for, and the baseline that the others have to beat: a plane through a curve. It is right
//! near the point at which it was identified; away from it latency can even be expected to be negative, and is cut at
//! the least mean that was measured. It knows nothing of a backlog beyond its poles.
//!
//! The search is that of [`crate::levenberg`] on one-step prediction errors, with weights, so that it can forget, and
//! can go on from the last estimate: that is why the fit of the polynomial models, which does neither, is not used here.
//! A start from A = C = 1, B = 0 is enough: with C = 1 the criterion is a parabola.

use std::num::NonZeroU32;

use nalgebra::DMatrix;
use tidegate_core::{ResponseModel, ResponseTime, ServiceLevel};

use crate::FitError;
use crate::dynamics::{Dynamics, Past};
use crate::hammerstein::Sample;
use crate::levenberg::{Prior, Search, minimise};
use crate::mean_response::MeanResponse;

/// How to fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArmaxResponseFit {
    /// Degree of A.
    pub na: usize,
    /// Coefficients of B₁ and of B₂, the one without delay included; at least 1.
    pub nb: NonZeroU32,
    /// Degree of C.
    pub nc: usize,
    /// The service level of the response model.
    pub level: ServiceLevel,
}

/// A linear response model.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmaxResponse {
    dynamics: Dynamics,
    load: Scale,
    ready: Scale,
    latency: Scale,
    least_seconds: f64,
    scv: f64,
    tick_seconds: f64,
    level: ServiceLevel,
    parameters: Vec<f64>,
    /// Covariance of [a₁ …, b₁₀ …, b₂₀ …, c₁ …], of scaled channels.
    pub covariance: DMatrix<f64>,
    /// Standard deviation of the one-step prediction errors, large ones bounded, in seconds.
    pub deviation_seconds: f64,
}

/// Mean and standard deviation of a channel.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scale {
    mean: f64,
    deviation: f64,
}

impl Scale {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let n = values.clone().count() as f64;
        let mean = values.clone().sum::<f64>() / n;
        let variance = values.map(|it| (it - mean) * (it - mean)).sum::<f64>() / n;
        // A channel that does not move has no scale of its own.
        Self { mean, deviation: if variance > 0.0 { variance.sqrt() } else { 1.0 } }
    }

    fn inwards(self, value: f64) -> f64 {
        (value - self.mean) / self.deviation
    }

    fn outwards(self, value: f64) -> f64 {
        self.mean + value * self.deviation
    }
}

impl ArmaxResponseFit {
    /// How many parameters it searches.
    pub fn n_parameters(&self) -> usize {
        self.na + 2 * self.nb.get() as usize + self.nc
    }

    /// Fits to samples; the search goes on from `start` where that has the same orders, by a step or two.
    ///
    /// # Errors
    /// `TooShort` with fewer than three samples a parameter, `Diverged` where no finite criterion is found.
    pub fn fit_samples(
        &self,
        samples: impl Iterator<Item = Sample> + Clone,
        step_seconds: f64,
        start: Option<&ArmaxResponse>,
    ) -> Result<ArmaxResponse, FitError> {
        // Weak: for scaled channels a gain of 10 is enormous, and where the data say nothing 0 is right.
        const PRIOR_DEVIATION: f64 = 10.0;
        let n = self.n_parameters();
        let what = format!("ARMAX({},{},{})", self.na, self.nb, self.nc);
        let means = samples.clone().map(|it| it.latency_mean_seconds).filter(|it| it.is_finite());
        let found = means.clone().count();
        if found < 3 * n {
            return Err(FitError::TooShort { found, what, needed: 3 * n });
        }
        let load = Scale::of(samples.clone().map(|it| it.requests_per_second));
        let ready = Scale::of(samples.clone().map(|it| it.ready));
        let latency = Scale::of(means.clone());
        let scaled = samples.clone().map(|it| {
            let inputs = [load.inwards(it.requests_per_second), ready.inwards(it.ready)];
            (inputs, latency.inwards(it.latency_mean_seconds))
        });
        let weights: Vec<f64> = samples.map(|it| it.weight.sqrt()).collect();
        let (first, how) = match start.filter(|it| it.parameters.len() == n) {
            Some(start) => (start.parameters.clone(), Search::GO_ON),
            None => (vec![0.0; n], Search::default()),
        };
        let prior = Prior::independent(&vec![0.0; n], &vec![PRIOR_DEVIATION; n]);
        // The scale of the errors is that of the output at first, then that which the first search found.
        let search = |first: &[f64], scale: f64| {
            minimise(first, &prior, how, |theta, into| {
                let dynamics = self.dynamics(theta);
                if !dynamics.is_stable() {
                    return false;
                }
                dynamics.errors(scaled.clone(), |t, error| into.push(weights[t] * error / scale));
                true
            })
            .ok_or_else(|| FitError::Diverged { what: what.clone() })
        };
        let weight: f64 = weights.iter().map(|it| it * it).sum();
        let rough = search(&first, 1.0)?;
        let scale = (rough.loss / weight).sqrt().max(1e-9);
        let minimum = search(rough.parameters.as_slice(), scale)?;
        let deviation = scale * (minimum.loss / weight).sqrt();
        Ok(ArmaxResponse {
            dynamics: self.dynamics(minimum.parameters.as_slice()),
            load,
            ready,
            latency,
            least_seconds: means.fold(f64::INFINITY, f64::min),
            scv: 1.0,
            tick_seconds: step_seconds,
            level: self.level,
            covariance: minimum.covariance,
            deviation_seconds: deviation * latency.deviation,
            parameters: minimum.parameters.as_slice().to_vec(),
        })
    }

    fn dynamics(&self, theta: &[f64]) -> Dynamics {
        let nb = self.nb.get() as usize;
        let (a, rest) = theta.split_at(self.na);
        let (load, rest) = rest.split_at(nb);
        let (ready, c) = rest.split_at(nb);
        Dynamics::new(a, &[load, ready], c)
    }
}

impl ArmaxResponse {
    /// The linear part, on scaled channels.
    pub fn dynamics(&self) -> &Dynamics {
        &self.dynamics
    }

    /// Seconds of latency for one more request a second, and for one more replica, at rest.
    pub fn gains(&self) -> [f64; 2] {
        [(0, self.load), (1, self.ready)]
            .map(|(input, scale)| self.dynamics.gain(input) * self.latency.deviation / scale.deviation)
    }

    /// The same model with another assumption on the law around the mean.
    pub fn with_scv(self, scv: f64) -> Self {
        Self { scv, ..self }
    }

    fn inputs(&self, requests_per_second: f64, ready: f64) -> [f64; 2] {
        [self.load.inwards(requests_per_second), self.ready.inwards(ready)]
    }
}

impl ResponseModel for ArmaxResponse {
    type State = Past;

    fn tick_seconds(&self) -> f64 {
        self.tick_seconds
    }

    fn level(&self) -> &ServiceLevel {
        &self.level
    }

    fn rest(&self, requests_per_second: f64, ready: f64) -> Past {
        let inputs = self.inputs(requests_per_second, ready);
        let output = self.dynamics.gain(0) * inputs[0] + self.dynamics.gain(1) * inputs[1];
        self.dynamics.rest(inputs, output)
    }

    /// The law around the mean is assumed, as in [`crate::hammerstein`]; the cut mean is not fed back, so that the
    /// linear model stays what was identified.
    fn respond(&self, past: &Past, requests_per_second: f64, ready: f64) -> (ResponseTime, Past) {
        let inputs = self.inputs(requests_per_second, ready);
        let expected = self.dynamics.expected(past, inputs);
        let mean = self.latency.outwards(expected).max(self.least_seconds);
        (ResponseTime::of_mean(mean, self.scv), self.dynamics.step(past, inputs, expected, 0.0))
    }
}

impl MeanResponse for ArmaxResponse {
    fn expected_seconds(&self, past: &Past, requests_per_second: f64, ready: f64) -> f64 {
        self.latency.outwards(self.dynamics.expected(past, self.inputs(requests_per_second, ready)))
    }

    fn measured(&self, past: &Past, requests_per_second: f64, ready: f64, latency_mean_seconds: f64) -> Past {
        let inputs = self.inputs(requests_per_second, ready);
        let output = self.latency.inwards(latency_mean_seconds);
        self.dynamics.step(past, inputs, output, output - self.dynamics.expected(past, inputs))
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;
    use rand::RngExt;
    use rand_distr::StandardNormal;
    use tidegate_core::{Penalty, Seed, Stream};

    use super::*;

    pub(crate) const LEVEL: ServiceLevel = ServiceLevel {
        bound_seconds: 1.0,
        share: 0.99,
        window_ticks: 1,
        penalty: Penalty::PerUser { dollars_per_user: 0.01 },
        dollars_per_user_gave_up: 0.01,
    };

    fn fit(nc: usize) -> ArmaxResponseFit {
        ArmaxResponseFit { na: 1, nb: NonZeroU32::new(2).expect("two"), nc, level: LEVEL }
    }

    /// y − 0.3 = 0.6 (y₋ − 0.3) + 0.004 (λ − 50) − 0.02 (n₋ − 6) + e + 0.4 e₋.
    fn plant(n: usize, noise: f64) -> Vec<Sample> {
        let mut rng = Seed::training(11).rng(Stream::Excitation);
        let (mut y, mut e, mut ready) = (0.3, 0.0, 6.0);
        (0..n)
            .map(|_| {
                let load = 50.0 + 10.0 * rng.sample::<f64, _>(StandardNormal);
                let now = noise * rng.sample::<f64, _>(StandardNormal);
                y = 0.3 + 0.6 * (y - 0.3) + 0.004 * (load - 50.0) - 0.02 * (ready - 6.0) + now + 0.4 * e;
                (e, ready) = (now, f64::from(rng.random_range(3..10_u32)));
                Sample { requests_per_second: load, ready, latency_mean_seconds: y, weight: 1.0 }
            })
            .collect()
    }

    #[test]
    fn a_linear_plant_is_given_back() {
        for (noise, tolerance) in [(1e-3, 0.02), (0.01, 0.1)] {
            let model =
                fit(1).fit_samples(plant(2000, noise).into_iter(), 60.0, None).expect("it is excited");
            let [load, ready] = model.gains();
            assert_relative_eq!(load, 0.004 / 0.4, max_relative = tolerance);
            assert_relative_eq!(ready, -0.02 / 0.4, max_relative = tolerance);
            assert_relative_eq!(model.deviation_seconds, noise, max_relative = 0.1);
        }
    }

    #[test]
    fn forgetting_follows_a_plant_that_changed() {
        let mut samples = plant(1200, 0.005);
        for sample in &mut samples[600..] {
            sample.latency_mean_seconds += 0.1 * (sample.requests_per_second - 50.0) / 10.0;
        }
        for (age, sample) in samples.iter_mut().rev().enumerate() {
            sample.weight = (-(age as f64) / 100.0).exp();
        }
        let model = fit(0).fit_samples(samples.into_iter(), 60.0, None).expect("it is excited");
        // The added part comes in the same tick only: b₀ rises by 0.01, b₁ falls by 0.6 of it, the gain by 0.01.
        assert_relative_eq!(model.gains()[0], 0.02, max_relative = 0.15);
    }

    #[test]
    fn the_state_of_rest_stays_and_latency_is_never_negative() {
        let model = fit(1).fit_samples(plant(500, 0.01).into_iter(), 60.0, None).expect("it is excited");
        let rest = model.rest(60.0, 5.0);
        let (time, after) = model.respond(&rest, 60.0, 5.0);
        assert_relative_eq!(
            model.respond(&after, 60.0, 5.0).0.mean_seconds(),
            time.mean_seconds(),
            max_relative = 1e-9
        );
        assert!(model.respond(&model.rest(0.0, 90.0), 0.0, 90.0).0.mean_seconds() > 0.0);
    }

    #[test]
    fn too_few_samples_are_refused() {
        let error =
            fit(1).fit_samples(plant(10, 0.01).into_iter(), 60.0, None).expect_err("they are too few");
        assert_eq!(
            error.to_string(),
            "10 samples are too few for ARMAX(1,2,1), which needs 18; give more data or lower the orders"
        );
    }
}
