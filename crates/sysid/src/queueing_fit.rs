//! A plain queueing model of a service, and its fit to what a controller can measure.
//!
//! G/G/c with c = K · ready slots: Allen and Cunneen's wait, v times that of M/M/c; a service of mean s and squared
//! coefficient of variation κ; an overhead d that occupies no slot. Five numbers, so that a few dozen scrapes are
//! enough, and what they do not tell stays with the prior.
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | s, κ | mean and squared coefficient of variation of the service | s, 1 |
//! | v = (cₐ² + κ)/2 | factor of the wait against M/M/c; fitted by itself, since cₐ² is unknown | 1 |
//! | d = δ s | overhead | s |
//! | K | requests that one replica really serves at once | 1 |
//! | C = c/s | capacity | 1/s |
//! | b | backlog: what the mean flow left behind, `b' = λ − C` where b > 0 | requests |
//! | q | requests that wait by chance | requests |
//! | u | the utilization at which q is what waits in the stationary queue: `q = v C(u) u/(1 − u)`, C(u) Erlang's | 1 |
//!
//! The stationary wait has no end as λ → C, and none beyond. Over one tick of Δ it is finite: q moves by the
//! pointwise stationary fluid flow `q' = C (min(ρ, 1) − u(q))` [D. Tipper and M. K. Sundareshan, IEEE JSAC 8 (1990)],
//! of which one implicit Euler step is taken. With erlang's C frozen that is a quadratic in u, the coordinate
//! transformation of traffic engineering [R. M. Kimber and E. M. Hollis, TRRL report 909 (1979)]; a few turns of
//! freezing again make it exact. From an empty queue at ρ = 1 it gives q ≈ √(v C Δ), as diffusion does up to a factor.
//! Load beyond C adds to b, which is certain.
//!
//! Sources besides: A. O. Allen, *Probability, Statistics, and Queueing Theory* (2nd ed. 1990), section 5.6.

use nalgebra::DMatrix;
use tidegate_core::queueing::erlang_c_uniform;
use tidegate_core::response::{BacklogWait, Service};
use tidegate_core::{ResponseModel, ResponseTime, ServiceLevel};

use crate::FitError;
use crate::levenberg::{Minimum, Prior, Search, minimise};

/// The numbers of the queueing model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueueingParameters {
    /// s, mean time in a slot.
    pub service_seconds: f64,
    /// κ, its squared coefficient of variation.
    pub service_scv: f64,
    /// v, the factor of the wait against M/M/c.
    pub wait_factor: f64,
    /// d, what every request takes outside a slot.
    pub overhead_seconds: f64,
    /// K, slots of one replica.
    pub slots_per_replica: f64,
}

/// How many numbers the model has.
pub const N_PARAMETERS: usize = 5;

impl QueueingParameters {
    /// [ln s, ln v, ln δ, ln K, ln κ], in which priors and covariances are given.
    pub fn logarithms(&self) -> [f64; N_PARAMETERS] {
        [
            self.service_seconds.ln(),
            self.wait_factor.ln(),
            (self.overhead_seconds / self.service_seconds).ln(),
            self.slots_per_replica.ln(),
            self.service_scv.ln(),
        ]
    }

    /// The inverse of [`QueueingParameters::logarithms`].
    ///
    /// # Panics
    /// If there are not [`N_PARAMETERS`].
    pub fn from_logarithms(logarithms: &[f64]) -> Self {
        let [service, wait, overhead, slots, scv] = logarithms else {
            panic!("there are {N_PARAMETERS} parameters, not {}", logarithms.len())
        };
        Self {
            service_seconds: service.exp(),
            service_scv: scv.exp(),
            wait_factor: wait.exp(),
            overhead_seconds: (overhead + service).exp(),
            slots_per_replica: slots.exp(),
        }
    }
}

/// A service as a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueingModel {
    parameters: QueueingParameters,
    service: Service,
    tick_seconds: f64,
    level: ServiceLevel,
}

/// What waits at the start of a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QueueState {
    /// b, left behind by the mean flow.
    pub backlog: f64,
    /// q, by chance.
    pub waiting: f64,
}

/// One stretch of time as the model sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    /// The law of the response times of those who arrive in it.
    pub time: ResponseTime,
    /// What waits at its end.
    pub after: QueueState,
    /// u, the utilization of the slots that chance sees.
    pub utilization: f64,
    /// Requests waiting or in a slot, on average.
    pub in_system: f64,
}

impl QueueingModel {
    /// The model with these numbers.
    ///
    /// # Panics
    /// If a parameter or the tick is not a positive number (an overhead may be 0).
    pub fn new(parameters: QueueingParameters, tick_seconds: f64, level: ServiceLevel) -> Self {
        let QueueingParameters { service_seconds, service_scv, wait_factor, slots_per_replica, .. } =
            parameters;
        for value in [service_seconds, service_scv, wait_factor, slots_per_replica, tick_seconds] {
            assert!(value > 0.0 && value.is_finite(), "{parameters:?} with ticks of {tick_seconds} s");
        }
        assert!(parameters.overhead_seconds >= 0.0, "{parameters:?}");
        Self { parameters, service: Service::new(service_seconds, service_scv), tick_seconds, level }
    }

    /// Its numbers.
    pub fn parameters(&self) -> &QueueingParameters {
        &self.parameters
    }

    /// The state when so many requests wait: as many by chance as at rest, the others left behind.
    pub fn state_of(&self, queue_length: f64, requests_per_second: f64, ready: f64) -> QueueState {
        let rest = self.rest(requests_per_second, ready);
        let waiting = rest.waiting.min(queue_length);
        QueueState { backlog: queue_length - waiting, waiting }
    }

    /// A stretch of `seconds` under a constant load.
    pub fn flow(&self, state: QueueState, requests_per_second: f64, ready: f64, seconds: f64) -> Flow {
        let QueueingParameters { service_seconds, wait_factor, overhead_seconds, slots_per_replica, .. } =
            self.parameters;
        // Less than one replica stands for one that is there for a part of the stretch: until it comes nothing is
        // served, and then at the pace of one.
        let slots = slots_per_replica * ready.max(1.0);
        let capacity = slots / service_seconds;
        let idle_seconds = (1.0 - ready).max(0.0) * seconds;
        let served_per_second = capacity * ready.clamp(0.0, 1.0);
        let growth = (requests_per_second - served_per_second) * seconds;
        let backlog = (state.backlog + growth).max(0.0);
        let share = if backlog > 0.0 || idle_seconds > 0.0 {
            1.0
        } else if state.backlog > 0.0 {
            // Drained before the end; −growth is at least the backlog.
            state.backlog / -growth
        } else {
            0.0
        };
        let load = (requests_per_second / capacity).min(1.0);
        let (spare, delayed) = self.spare(state.waiting, slots, capacity * seconds, load);
        let waiting = wait_factor * delayed * (1.0 - spare) / spare;
        let time = ResponseTime {
            overhead_seconds,
            service: self.service,
            delay_probability: delayed,
            decay_per_second: capacity * spare / wait_factor,
            backlog: BacklogWait {
                share,
                first_seconds: state.backlog / capacity + idle_seconds,
                last_seconds: backlog / capacity,
            },
        };
        let in_slots = (requests_per_second * service_seconds).min(slots);
        Flow {
            time,
            after: QueueState { backlog, waiting },
            utilization: 1.0 - spare,
            in_system: in_slots + waiting + share * f64::midpoint(state.backlog, backlog),
        }
    }

    /// 1 − u after an implicit Euler step of q, and Erlang's C at u: with A = C Δ and R = q + A ρ, the root of
    /// `A w² + (R + k − A) w − k = 0` in w = 1 − u, k = v C(u) found again until it stays.
    fn spare(&self, waiting: f64, slots: f64, served: f64, load: f64) -> (f64, f64) {
        const TURNS_MAX: u32 = 40;
        const TOLERANCE: f64 = 1e-9; // of u, relative to what is spare
        let wait_factor = self.parameters.wait_factor;
        let sum = waiting + served * load;
        if sum <= 0.0 {
            return (1.0, 0.0);
        }
        let turn = |spare: f64| {
            let delayed = erlang_c_uniform(slots, slots * (1.0 - spare));
            let k = wait_factor * delayed;
            let b = sum + k - served;
            let root = (b * b + 4.0 * served * k).sqrt();
            let next = if b >= 0.0 { 2.0 * k / (b + root) } else { (root - b) / (2.0 * served) };
            (next.clamp(f64::EPSILON, 1.0), delayed)
        };
        // The turns converge by themselves; secants through the last two make three or four of them enough.
        let mut before = (1.0 - load).max(f64::EPSILON);
        let (mut spare, mut delayed) = turn(before);
        let mut change_before = spare - before;
        for _ in 0..TURNS_MAX {
            let (next, delayed_here) = turn(spare);
            let change = next - spare;
            delayed = delayed_here;
            if change.abs() <= TOLERANCE * spare {
                break;
            }
            let secant = spare - change * (spare - before) / (change - change_before);
            (before, change_before) = (spare, change);
            spare = if secant > 0.0 && secant <= 1.0 { secant } else { next };
        }
        (spare, delayed)
    }
}

impl ResponseModel for QueueingModel {
    type State = QueueState;

    fn tick_seconds(&self) -> f64 {
        self.tick_seconds
    }

    fn level(&self) -> &ServiceLevel {
        &self.level
    }

    /// The stationary queue; where it would have no end, what gathers by chance in a hundred ticks.
    fn rest(&self, requests_per_second: f64, ready: f64) -> QueueState {
        const LONG_TICKS: f64 = 100.0;
        let seconds = LONG_TICKS * self.tick_seconds;
        let after = self.flow(QueueState::default(), requests_per_second, ready, seconds).after;
        QueueState { backlog: 0.0, waiting: after.waiting }
    }

    fn respond(
        &self,
        state: &QueueState,
        requests_per_second: f64,
        ready: f64,
    ) -> (ResponseTime, QueueState) {
        let flow = self.flow(*state, requests_per_second, ready, self.tick_seconds);
        (flow.time, flow.after)
    }
}

/// What was measured over one stretch of time: what the fit learns from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Window {
    /// Its length.
    pub seconds: f64,
    /// λ of the attempts.
    pub requests_per_second: f64,
    /// The replicas that were ready in it, on average.
    pub ready: f64,
    /// Mean latency of those who completed in it.
    pub latency_mean_seconds: Option<f64>,
    /// Quantiles of the same at [`QUANTILES`].
    pub latency_quantiles_seconds: [Option<f64>; 3],
    /// Requests waiting or in a slot, on average.
    pub concurrency: Option<f64>,
    /// Share of the slots in use; only where the sensor is known to measure that, as cpu does for work that never waits
    /// for anything else.
    pub busy_share: Option<f64>,
    /// Requests that waited when it began.
    pub queue_before: Option<f64>,
    /// How much it counts: 1 for a fresh one, less for an old one.
    pub weight: f64,
}

/// The levels of the quantiles in a [`Window`].
pub const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

/// A queueing model with what is known of its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueingFit {
    /// The model.
    pub model: QueueingModel,
    /// Covariance of [`QueueingParameters::logarithms`]; the square root of a diagonal is a relative error.
    pub covariance: DMatrix<f64>,
    /// Mean square of the standardised residuals, large ones bounded; about 1 where the model is right.
    pub loss: f64,
}

/// What an operator knows before anything is measured: how long a request takes only to a factor of ten, that
/// spacings and services may vary less or more than exponential ones, and how many requests a replica is meant to
/// serve at once.
pub fn prior(bound_seconds: f64, slots_per_replica: f64) -> Prior {
    // A service level that a service alone would break is not sold: a fifth of the bound is a middle guess.
    Prior::independent(
        &[(bound_seconds / 5.0).ln(), 0.0, 0.03_f64.ln(), slots_per_replica.ln(), 0.0],
        &[2.3, 0.7, 1.0, 0.2, 0.7],
    )
}

/// Fits the queueing model to windows: standardised differences of logarithms, large ones bounded (Huber), and a prior.
///
/// The standard deviation of each difference is that of sampling n = λ Δ requests, the correlation of neighbours' waits
/// included, plus `misfit` for what model and sensor do not get right.
///
/// # Errors
/// `TooShort` without a window that says anything; `Diverged` where no finite criterion is found.
pub fn fit(
    windows: &(impl Iterator<Item = Window> + Clone),
    prior: &Prior,
    start: &QueueingParameters,
    misfit: f64,
    search: Search,
    tick_seconds: f64,
    level: ServiceLevel,
) -> Result<QueueingFit, FitError> {
    let what = "a queueing model";
    let mut model = QueueingModel::new(*start, tick_seconds, level);
    let mut found = None;
    // The deviations are those of the model that the search starts from, and then once more of what it found: were
    // they those of the model on trial, one near saturation would excuse itself.
    for _ in 0..2 {
        let deviations: Vec<Deviations> =
            windows.clone().map(|window| Deviations::of(&model, &window, misfit)).collect();
        let minimum = minimise(&model.parameters.logarithms(), prior, search, |theta, into| {
            // Beyond these a service is no service; the search steps back.
            if theta.iter().any(|it| it.abs() > 30.0) {
                return false;
            }
            let model = QueueingModel::new(QueueingParameters::from_logarithms(theta), tick_seconds, level);
            for (window, deviations) in windows.clone().zip(&deviations) {
                residuals(&model, &window, deviations, |r| into.push(r));
            }
            true
        })
        .ok_or_else(|| FitError::Diverged { what: what.into() })?;
        if minimum.n_residuals == 0 {
            return Err(FitError::TooShort { found: 0, what: what.into(), needed: 1 });
        }
        let parameters = QueueingParameters::from_logarithms(minimum.parameters.as_slice());
        model = QueueingModel::new(parameters, tick_seconds, level);
        found = Some(minimum);
    }
    let Minimum { covariance, loss, n_residuals, .. } = found.expect("the loop was gone through");
    Ok(QueueingFit { model, covariance, loss: loss / n_residuals as f64 })
}

/// Standard deviations of logarithms of what is measured in a window.
#[derive(Clone, Copy, Debug)]
struct Deviations {
    /// Of a mean.
    mean: f64,
    /// Of the share beyond each of [`QUANTILES`].
    beyond: [f64; 3],
}

impl Deviations {
    fn of(model: &QueueingModel, window: &Window, misfit: f64) -> Self {
        let requests = (window.requests_per_second * window.seconds).max(1.0);
        let flow = model.window(window);
        let mean = flow.time.mean_seconds();
        let wait = flow.time.delay_probability / flow.time.decay_per_second / mean;
        // Waits of neighbours are alike for about the relaxation time of the queue: that many fewer count.
        let spare = (1.0 - flow.utilization).max(1e-3);
        let relaxation_seconds = (flow.time.decay_per_second * spare).recip();
        let wander = (2.0 * relaxation_seconds / window.seconds).min(1.0) * wait * wait;
        // An error of the measured load moves the wait by 1/(1 − u) of itself, and more often up than down.
        let by_load = misfit * wait * flow.utilization / spare;
        let common = wander + misfit * misfit + by_load * by_load;
        let beyond = QUANTILES.map(|p| {
            let steepness = -(1.0 - p).ln();
            (p / ((1.0 - p) * requests) + steepness * steepness * common).sqrt()
        });
        Self { mean: (common + 1.0 / requests).sqrt(), beyond }
    }
}

/// The standard deviation of the logarithm of a window's measured mean latency.
pub(crate) fn mean_deviation(model: &QueueingModel, window: &Window, misfit: f64) -> f64 {
    Deviations::of(model, window, misfit).mean
}

impl QueueingModel {
    /// The stretch of a window, from the queue that was measured before it, or from rest.
    fn window(&self, window: &Window) -> Flow {
        let (load, ready) = (window.requests_per_second, window.ready);
        let before = window
            .queue_before
            .map_or_else(|| self.rest(load, ready), |queue| self.state_of(queue, load, ready));
        self.flow(before, load, ready, window.seconds)
    }
}

/// The standardised differences between what was measured in a window and what the model expects there.
fn residuals(model: &QueueingModel, window: &Window, deviations: &Deviations, mut push: impl FnMut(f64)) {
    let (load, ready) = (window.requests_per_second, window.ready);
    let requests = load * window.seconds;
    if requests < 1.0 || ready <= 0.0 || window.weight <= 0.0 {
        return;
    }
    let flow = model.window(window);
    let weight = window.weight.sqrt();
    let mut compare = |measured: Option<f64>, expected: f64| {
        if let Some(measured) = measured.filter(|it| *it > 0.0) {
            push(weight * (measured / expected).ln() / deviations.mean);
        }
    };
    let QueueingParameters { service_seconds, slots_per_replica, .. } = model.parameters;
    compare(window.concurrency, flow.in_system);
    compare(window.busy_share, load * service_seconds / (slots_per_replica * ready));
    // Who completes behind a long queue came long before: latencies speak of another load then. The measured queue
    // decides, not the model's, or a model could escape what it does not fit by expecting a backlog.
    if window.queue_before.is_some_and(|queue| queue > 0.25 * requests) {
        return;
    }
    compare(window.latency_mean_seconds, flow.time.mean_seconds());
    for ((quantile, p), deviation) in
        window.latency_quantiles_seconds.iter().zip(QUANTILES).zip(deviations.beyond)
    {
        if let Some(seconds) = quantile.filter(|it| *it > 0.0) {
            // P(T > measured) against 1 − p costs no search for the model's own quantile.
            let beyond = flow.time.survival(seconds).max(1e-9);
            push(weight * (beyond / (1.0 - p)).ln() / deviation);
        }
    }
}

#[cfg(test)]
mod tests;
