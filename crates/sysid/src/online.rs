//! Identification in the loop: scrapes in, a response model out, with forgetting, doubt and alarm.
//!
//! A queueing fit runs always. It is what there is from the first scrape on, since its prior needs only the operator's
//! facts; it is the model itself for [`Kind::Queueing`], and stands in for the other kinds until the data are rich
//! enough for them.
//!
//! **Windows.** A scrape speaks of the replicas that were ready in its window, not of those that are ready now: counts
//! are kept with their times and averaged over the window, with straight lines between looks. Windows in which the
//! count moved weigh a quarter. Of a scrape without a rate nothing is used but its queue.
//!
//! **Forgetting.** For the queueing fit by blocks: when a block of windows is full, its posterior becomes the prior of
//! the next one, its precision shrunk by exp(−block/memory) towards that of the facts. What later data do not excite
//! stays where it was known, less and less certainly; what they do excite follows them. The mean models weigh each
//! sample of a sliding stretch by exp(−age/memory).
//!
//! **Trust.** A queueing fit is trusted where service and capacity are known to the given relative errors; a mean model
//! where load and replicas moved, and not together. What is not trusted is not adopted: the last trusted model stays,
//! and [`Status::Held`] says why.
//!
//! **Change.** Logarithms of measured over expected mean latency of the queueing fit, in the deviations that the
//! fit expects and these corrected by what is usual, go to [`crate::change::ChangeDetector`]. At an alarm all windows but the last few are dropped, the prior
//! opens again around what was known, and the fit of what is left is used until it is trusted.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroU32;

use tidegate_core::identification::{Identification, Latencies};
use tidegate_core::{Observation, OperatorFacts, ResponseModel, Scrape, ServiceLevel};

use crate::armax_response::ArmaxResponseFit;
use crate::dynamics::Past;
use crate::hammerstein::{HammersteinFit, Sample};
use crate::levenberg::{Prior, Search};
use crate::loop_model::{LoopModel, LoopState};
use crate::mean_response::{MeanResponse, scv_of_p95};
use crate::queueing_fit::{self, QueueState, QueueingFit, QueueingModel, QueueingParameters, Window};

mod drift;
mod parameters;
mod ready;
mod status;

use drift::Drift;
pub use parameters::{Kind, OnlineParameters};
use ready::ReadyHistory;
pub use status::{Doubt, Status};

/// Identification of one service from what its controller sees.
#[derive(Clone, Debug)]
pub struct Online {
    parameters: OnlineParameters,
    level: ServiceLevel,
    tick_seconds: f64,
    /// Scrapes that make one sample of a mean model.
    scrapes_per_sample: usize,
    sample_seconds: f64,
    /// Slots of each pool's replica over those of the first's.
    replicas_worth: Vec<f64>,
    slots_per_replica: f64,
    facts_prior: Prior,

    history: ReadyHistory,
    windows: VecDeque<Window>,
    samples: VecDeque<Sample>,
    pending: Pending,
    since_fit: usize,
    /// Windows since the start or the last change.
    seen: usize,
    block_prior: Prior,
    queueing: QueueingFit,
    model: LoopModel,
    status: Status,
    drift: Drift,
    p95_over_mean_ln: Option<f64>,

    /// Whether the last queueing fit was trusted, so that surprises mean something.
    watches: bool,
    /// At the end of the last window.
    queue: QueueState,
    past: Past,
    state_seconds: f64,
    /// The queue brought forward to the last look.
    queue_now: QueueState,
    /// Ready on average since the last scrape.
    ready_now: f64,
    requests_per_second: f64,
    queue_length: Option<f64>,
    n_alarms: u32,
    /// How often `model` was replaced.
    revision: u64,
    /// Of the queueing fit, at the last window with a latency.
    last_latency: Option<Latencies>,
}

/// Scrapes of a sample that is not yet full.
#[derive(Clone, Copy, Debug, Default)]
struct Pending {
    n: usize,
    /// Those with a rate.
    known: usize,
    load: f64,
    ready: f64,
    latency: f64,
    requests: f64,
}

/// Before the first.
const NO_SAMPLE: Sample =
    Sample { requests_per_second: 0.0, ready: 1.0, latency_mean_seconds: f64::NAN, weight: 0.0 };

/// Two models of one service that are further apart in the middle of their data than this are not both right.
const DISAGREEMENT_MAX: f64 = 1.5;

/// Windows that a trusted fit needs at least, and up to which each window is followed by a fit.
const WINDOWS_MIN: usize = 8;

impl Online {
    /// Before anything was measured.
    ///
    /// # Panics
    /// If the facts have no pool, or `windows_max` is below 16.
    pub fn new(facts: &OperatorFacts, parameters: OnlineParameters) -> Self {
        assert!(parameters.windows_max >= 2 * WINDOWS_MIN, "{parameters:?}");
        let level = facts.prices.level;
        let slots_per_replica = f64::from(facts.pools[0].concurrency);
        let facts_prior = queueing_fit::prior(level.bound_seconds, slots_per_replica);
        let scrapes_per_sample = (facts.tick_seconds / facts.scrape_seconds).round().max(1.0) as usize;
        let queueing = QueueingFit {
            model: QueueingModel::new(
                QueueingParameters::from_logarithms(facts_prior.mean.as_slice()),
                facts.tick_seconds,
                level,
            ),
            covariance: facts_prior
                .precision
                .clone()
                .try_inverse()
                .expect("every parameter has a prior deviation"),
            loss: 1.0,
        };
        Self {
            parameters,
            level,
            tick_seconds: facts.tick_seconds,
            scrapes_per_sample,
            sample_seconds: scrapes_per_sample as f64 * facts.scrape_seconds,
            replicas_worth: facts
                .pools
                .iter()
                .map(|it| f64::from(it.concurrency) / slots_per_replica)
                .collect(),
            slots_per_replica,
            history: ReadyHistory::default(),
            windows: VecDeque::with_capacity(parameters.windows_max),
            samples: VecDeque::with_capacity(parameters.windows_max),
            pending: Pending::default(),
            since_fit: 0,
            seen: 0,
            block_prior: facts_prior.clone(),
            model: LoopModel::Queueing(queueing.model.clone()),
            queueing,
            facts_prior,
            status: Status::Prior(Doubt::FewWindows),
            drift: Drift::new(parameters.scrapes_between_alarms),
            p95_over_mean_ln: None,
            watches: false,
            queue: QueueState::default(),
            past: Past::default(),
            state_seconds: 0.0,
            queue_now: QueueState::default(),
            ready_now: 0.0,
            requests_per_second: 0.0,
            queue_length: None,
            n_alarms: 0,
            revision: 0,
            last_latency: None,
        }
    }

    /// Takes what became visible; to be called at each decision. Allocates only when a fit is due.
    pub fn observe(&mut self, observation: &Observation<'_>) {
        let ready: f64 = observation
            .pools
            .iter()
            .zip(&self.replicas_worth)
            .map(|(pool, worth)| f64::from(pool.ready) * worth)
            .sum();
        self.history.push(observation.now_seconds, ready);
        for scrape in observation.scrapes {
            self.take(scrape);
        }
        let late = observation.now_seconds - self.state_seconds;
        let (ready, _) = self.history.mean(self.state_seconds, observation.now_seconds);
        self.ready_now = ready;
        self.queue_now = if late > 0.0 {
            self.queueing.model.flow(self.queue, self.requests_per_second, ready, late).after
        } else {
            self.queue
        };
    }

    /// The model in use.
    pub fn model(&self) -> &LoopModel {
        &self.model
    }

    /// Its state at the last look; for mean models at the end of the last full tick that was seen.
    pub fn state(&self) -> LoopState {
        match self.model {
            LoopModel::Queueing(_) => LoopState::Queue(self.queue_now),
            LoopModel::Hammerstein(_) | LoopModel::Armax(_) => LoopState::Past(self.past),
        }
    }

    /// How far it is to be trusted.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The queueing fit, which runs beside every kind.
    pub fn queueing(&self) -> &QueueingFit {
        &self.queueing
    }

    /// The load of the last scrape that had one, attempts a second.
    pub fn requests_per_second(&self) -> f64 {
        self.requests_per_second
    }

    /// Changes that were called so far.
    pub fn n_alarms(&self) -> u32 {
        self.n_alarms
    }

    /// Writes what is known, how well, and why no better.
    ///
    /// # Errors
    /// Only those of the writer.
    pub fn explain(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        match self.status {
            Status::Prior(doubt) => write!(out, "prior: {doubt}")?,
            Status::Trusted => write!(out, "trusted")?,
            Status::Held(doubt) => write!(out, "last trusted model kept: {doubt}")?,
            Status::Changed(doubt) => write!(out, "the service changed: {doubt}")?,
        }
        let found = self.queueing.model.parameters();
        let errors = self.relative_errors();
        write!(
            out,
            "; service {:.3} s (to {:.0} %), {:.2} slots a replica (capacity to {:.0} %), wait factor {:.2}, \
             {} windows, {} changes",
            found.service_seconds + found.overhead_seconds,
            errors[0] * 100.0,
            found.slots_per_replica,
            errors[1] * 100.0,
            found.wait_factor,
            self.seen,
            self.n_alarms
        )?;
        match &self.model {
            LoopModel::Queueing(_) => Ok(()),
            LoopModel::Hammerstein(model) => {
                write!(out, "; curve and dynamics, error {:.4} s", model.deviation_seconds)
            }
            LoopModel::Armax(model) => {
                let [load, ready] = model.gains();
                write!(out, "; linear, {load:.5} s a request/s, {ready:.5} s a replica")
            }
        }
    }

    fn take(&mut self, scrape: &Scrape) {
        let queue_before = self.queue_length;
        self.queue_length = usable(scrape.queue_length);
        let from = scrape.at_seconds - scrape.window_seconds;
        let (ready, moved) = self.history.mean(from, scrape.at_seconds);
        let load = usable(scrape.requests_per_second);
        self.requests_per_second = load.unwrap_or(self.requests_per_second);
        let busy_share =
            if self.parameters.cpu_is_busy_share { usable(scrape.cpu_utilization) } else { None };
        let window = Window {
            seconds: scrape.window_seconds,
            requests_per_second: self.requests_per_second,
            ready,
            latency_mean_seconds: usable(scrape.latency_mean_seconds),
            latency_quantiles_seconds: [
                usable(scrape.latency_p50_seconds),
                usable(scrape.latency_p95_seconds),
                usable(scrape.latency_p99_seconds),
            ],
            concurrency: usable(scrape.concurrency),
            busy_share,
            queue_before,
            weight: if moved { 0.25 } else { 1.0 },
        };
        self.state_seconds = scrape.at_seconds;
        if load.is_none() {
            // The load of the last scrape with the replicas of this one would be a state that never was.
            self.gap();
            return;
        }
        let surprise = self.step(&window);
        if let (Some(mean), Some(p95)) = (window.latency_mean_seconds, window.latency_quantiles_seconds[1]) {
            let ratio = (p95 / mean).ln();
            let before = self.p95_over_mean_ln.unwrap_or(ratio);
            self.p95_over_mean_ln = Some(before + 0.05 * (ratio - before));
        }
        self.windows.push_back(window);
        self.seen += 1;
        self.since_fit += 1;
        // Before a fit is trusted its surprises are its own.
        if let Some(surprise) = surprise.filter(|_| self.watches && !moved)
            && let Some(since) = self.drift.push(surprise)
        {
            self.changed(since);
        }
        if self.seen <= WINDOWS_MIN || self.since_fit >= self.parameters.refit_windows {
            self.refit();
        }
        if self.windows.len() >= self.parameters.windows_max {
            self.close_block();
        }
    }

    /// Carries the states over a window, and gives the logarithm of measured over expected mean latency, in deviations.
    ///
    /// The queueing fit is what is surprised, also where another model is in use: its surprises are independent from
    /// scrape to scrape where a linear model's misfit comes and goes with the load.
    fn step(&mut self, window: &Window) -> Option<f64> {
        let Window { requests_per_second: load, ready, seconds, .. } = *window;
        let model = &self.queueing.model;
        let before = window.queue_before.map_or(self.queue, |queue| model.state_of(queue, load, ready));
        let flow = model.flow(before, load, ready, seconds);
        self.queue = self.queue_length.map_or(flow.after, |queue| model.state_of(queue, load, ready));
        let deviation = queueing_fit::mean_deviation(model, window, self.parameters.misfit);
        self.last_latency = window.latency_mean_seconds.map(|measured_seconds| Latencies {
            at_seconds: self.state_seconds,
            expected_seconds: flow.time.mean_seconds(),
            measured_seconds,
        });
        if let Some(sample) = self.sample(window)
            && let Some(model) = self.model.mean_response()
        {
            self.past = carry(model, &self.past, &sample);
        }
        let behind = flow.time.backlog;
        // Near saturation and behind a backlog latency is mostly chance and history: it says nothing of a change.
        let steady = behind.share * behind.first_seconds.max(behind.last_seconds) < 0.05 * seconds
            && flow.utilization < 0.95;
        let measured = window.latency_mean_seconds.filter(|it| steady && *it > 0.0)?;
        Some((measured / flow.time.mean_seconds()).ln() / deviation)
    }

    /// Carries the states over a window without a rate: the queue is what was measured, if it was, and the sample of the
    /// mean models goes on without it.
    fn gap(&mut self) {
        if let Some(queue) = self.queue_length {
            self.queue = QueueState { backlog: (queue - self.queue.waiting).max(0.0), ..self.queue };
        }
        self.pending.n += 1;
        if let Some(sample) = self.full_sample()
            && let Some(model) = self.model.mean_response()
        {
            self.past = carry(model, &self.past, &sample);
        }
    }

    /// Adds the window to the sample under way; gives the sample where that made it full.
    fn sample(&mut self, window: &Window) -> Option<Sample> {
        let pending = &mut self.pending;
        pending.n += 1;
        pending.known += 1;
        pending.load += window.requests_per_second;
        pending.ready += window.ready;
        if let Some(latency) = window.latency_mean_seconds {
            pending.latency += latency * window.requests_per_second;
            pending.requests += window.requests_per_second;
        }
        self.full_sample()
    }

    /// The sample under way if it is full.
    fn full_sample(&mut self) -> Option<Sample> {
        let pending = self.pending;
        if pending.n < self.scrapes_per_sample {
            return None;
        }
        self.pending = Pending::default();
        let known = pending.known as f64;
        // Of a sample without a rate the one before is repeated; a latency is a gap where nobody was served.
        let gap = Sample { latency_mean_seconds: f64::NAN, ..*self.samples.back().unwrap_or(&NO_SAMPLE) };
        let sample = if pending.known == 0 {
            gap
        } else {
            let served = pending.requests > 0.0;
            Sample {
                requests_per_second: pending.load / known,
                ready: pending.ready / known,
                latency_mean_seconds: if served { pending.latency / pending.requests } else { f64::NAN },
                weight: 1.0,
            }
        };
        if self.parameters.kind != Kind::Queueing {
            if self.samples.len() >= self.parameters.windows_max {
                self.samples.pop_front();
            }
            self.samples.push_back(sample);
        }
        Some(sample)
    }

    fn refit(&mut self) {
        self.since_fit = 0;
        let start = *self.queueing.model.parameters();
        let doubt = match queueing_fit::fit(
            &self.windows.iter().copied(),
            &self.block_prior,
            &start,
            self.parameters.misfit,
            if self.watches { Search::GO_ON } else { Search::default() },
            self.tick_seconds,
            self.level,
        ) {
            Ok(fit) => {
                self.queueing = fit;
                self.doubt()
            }
            Err(_) => Some(Doubt::NoFit),
        };
        self.watches = doubt.is_none();
        let doubt = match self.parameters.kind {
            Kind::Queueing => {
                let untrusted = matches!(self.status, Status::Prior(_) | Status::Changed(_));
                if doubt.is_none() || untrusted {
                    self.adopt_queueing();
                }
                doubt
            }
            Kind::Hammerstein | Kind::Armax => self.refit_mean(),
        };
        self.status = match (doubt, self.status) {
            (None, _) => Status::Trusted,
            (Some(doubt), Status::Prior(_)) => Status::Prior(doubt),
            (Some(doubt), Status::Changed(_)) => Status::Changed(doubt),
            (Some(doubt), Status::Trusted | Status::Held(_)) => Status::Held(doubt),
        };
    }

    /// The queueing fit becomes the model in use, its wait at least that of Poisson arrivals where they are.
    fn adopt_queueing(&mut self) {
        self.revision += 1;
        let mut found = *self.queueing.model.parameters();
        if self.parameters.arrivals_are_poisson {
            found.wait_factor = found.wait_factor.max(f64::midpoint(1.0, found.service_scv));
        }
        self.model = LoopModel::Queueing(QueueingModel::new(found, self.tick_seconds, self.level));
    }

    /// Relative errors of what an idle request takes and of capacity, from the covariance of the logarithms.
    fn relative_errors(&self) -> [f64; 2] {
        let covariance = &self.queueing.covariance;
        // ln s (1 + δ) has the derivatives 1 and δ/(1 + δ); ln K/s is a difference.
        let found = self.queueing.model.parameters();
        let overhead = found.overhead_seconds / (found.overhead_seconds + found.service_seconds);
        let service = covariance[(0, 0)]
            + 2.0 * overhead * covariance[(0, 2)]
            + overhead * overhead * covariance[(2, 2)];
        let capacity = covariance[(0, 0)] + covariance[(3, 3)] - 2.0 * covariance[(0, 3)];
        [service.max(0.0).sqrt(), capacity.max(0.0).sqrt()]
    }

    /// What speaks against the queueing fit.
    fn doubt(&self) -> Option<Doubt> {
        let [service, capacity] = self.relative_errors();
        if self.seen < WINDOWS_MIN {
            Some(Doubt::FewWindows)
        } else if service > self.parameters.service_error_max {
            Some(Doubt::Service(service))
        } else if capacity > self.parameters.capacity_error_max {
            Some(Doubt::Capacity(capacity))
        } else {
            None
        }
    }

    /// Fits the mean model and adopts it where its data are rich enough; else says what they lack.
    fn refit_mean(&mut self) -> Option<Doubt> {
        let doubt = self.poor();
        let untrusted = matches!(self.status, Status::Prior(_) | Status::Changed(_));
        if doubt.is_some() {
            if untrusted {
                self.adopt_queueing();
            }
            return doubt;
        }
        let n = self.samples.len();
        let memory = self.parameters.memory_seconds / self.sample_seconds;
        let samples = self
            .samples
            .iter()
            .enumerate()
            .map(|(i, sample)| Sample { weight: (-((n - 1 - i) as f64) / memory).exp(), ..*sample });
        let scv = self.p95_over_mean_ln.map_or(1.0, |it| scv_of_p95(it.exp()));
        let step_seconds = self.sample_seconds;
        // A model that was in doubt for what it is, and not for its data, is searched for anew.
        let goes_on = !matches!(self.status, Status::Held(Doubt::Disagrees(_) | Doubt::NoFit));
        let level = self.level;
        let fitted = if self.parameters.kind == Kind::Hammerstein {
            let start = match &self.model {
                LoopModel::Hammerstein(model) if goes_on => Some(model),
                _ => None,
            };
            HammersteinFit { na: 1, nb: 1, nc: 1, slots_per_replica: self.slots_per_replica, level }
                .fit_samples(&samples, step_seconds, start)
                .map(|it| LoopModel::Hammerstein(it.with_scv(scv)))
        } else {
            let start = match &self.model {
                LoopModel::Armax(model) if goes_on => Some(model),
                _ => None,
            };
            ArmaxResponseFit { na: 1, nb: NonZeroU32::MIN.saturating_add(1), nc: 1, level }
                .fit_samples(samples, step_seconds, start)
                .map(|it| LoopModel::Armax(it.with_scv(scv)))
        };
        let Ok(model) = fitted else { return Some(Doubt::NoFit) };
        let load = self.samples.iter().map(|it| it.requests_per_second).sum::<f64>() / n as f64;
        let ready = self.samples.iter().map(|it| it.ready).sum::<f64>() / n as f64;
        let ratio =
            rest_mean_seconds(&model, load, ready) / rest_mean_seconds(&self.queueing.model, load, ready);
        if !(1.0 / DISAGREEMENT_MAX..DISAGREEMENT_MAX).contains(&ratio) {
            return Some(Doubt::Disagrees(ratio));
        }
        if let Some(model) = model.mean_response() {
            // The state is that of the new parameters: the samples are gone through again.
            let first = self.samples[0];
            let rest = model.rest(first.requests_per_second, first.ready);
            self.past = self.samples.iter().fold(rest, |past, sample| carry(model, &past, sample));
        }
        self.revision += 1;
        self.model = model;
        None
    }

    /// What the samples of a mean model lack.
    fn poor(&self) -> Option<Doubt> {
        const SAMPLES_MIN: usize = 30;
        const VARIATION_MIN: f64 = 0.03;
        const CORRELATION_MAX: f64 = 0.97;
        let n = self.samples.len();
        if n < SAMPLES_MIN {
            return Some(Doubt::FewWindows);
        }
        let mean = |value: &dyn Fn(&Sample) -> f64| self.samples.iter().map(value).sum::<f64>() / n as f64;
        let (load, ready) = (mean(&|it| it.requests_per_second), mean(&|it| it.ready));
        let load_variance = mean(&|it| (it.requests_per_second - load).powi(2));
        let ready_variance = mean(&|it| (it.ready - ready).powi(2));
        let covariance = mean(&|it| (it.requests_per_second - load) * (it.ready - ready));
        let variation = |variance: f64, mean: f64| if mean > 0.0 { variance.sqrt() / mean } else { 0.0 };
        let load_variation = variation(load_variance, load);
        let ready_variation = variation(ready_variance, ready);
        let correlation = covariance / (load_variance * ready_variance).sqrt();
        if load_variation < VARIATION_MIN {
            Some(Doubt::LoadConstant(load_variation))
        } else if ready_variation < VARIATION_MIN {
            Some(Doubt::ReadyConstant(ready_variation))
        } else if correlation.abs() > CORRELATION_MAX {
            Some(Doubt::Together(correlation))
        } else {
            None
        }
    }

    /// The posterior of a full block becomes the prior of the next, less certain by what is forgotten meanwhile.
    fn close_block(&mut self) {
        self.refit();
        let block_seconds: f64 = self.windows.iter().map(|it| it.seconds).sum();
        let kept = (-block_seconds / self.parameters.memory_seconds).exp();
        if let Some(precision) = self.queueing.covariance.clone().try_inverse() {
            let learnt = precision - &self.facts_prior.precision;
            self.block_prior.precision = &self.facts_prior.precision + learnt * kept;
            self.block_prior.mean.copy_from_slice(&self.queueing.model.parameters().logarithms());
        }
        self.windows.clear();
    }

    /// A change was called, and the last `since` windows are of the new kind.
    fn changed(&mut self, since: usize) {
        self.n_alarms += 1;
        let old = self.windows.len().saturating_sub(since);
        self.windows.drain(..old);
        let samples = since.div_ceil(self.scrapes_per_sample);
        let old_samples = self.samples.len().saturating_sub(samples);
        self.samples.drain(..old_samples);
        self.seen = self.windows.len();
        self.block_prior.precision.copy_from(&self.facts_prior.precision);
        self.block_prior.mean.copy_from_slice(&self.queueing.model.parameters().logarithms());
        self.status = Status::Changed(Doubt::FewWindows);
        self.watches = false;
        self.since_fit = self.parameters.refit_windows;
    }
}

impl Identification for Online {
    type Model = LoopModel;

    fn observe(&mut self, observation: &Observation<'_>) {
        Self::observe(self, observation);
    }

    fn model(&self) -> &LoopModel {
        &self.model
    }

    fn revision(&self) -> u64 {
        self.revision
    }

    /// After a change the fit of what came since is doubtful, but better than what the facts say.
    fn is_known(&self) -> bool {
        !matches!(self.status, Status::Prior(_))
    }

    /// K/s of the queueing fit, which runs beside every kind.
    fn replica_requests_per_second(&self) -> f64 {
        let found = self.queueing.model.parameters();
        found.slots_per_replica / found.service_seconds
    }

    /// All who wait, less those who would at rest by chance, in a fleet no fuller than square-root staffing with a margin
    /// of one would have it: u = 1 − 1/√(slots + 1). At rest in a full fleet any queue is one of chance, and still somebody
    /// has to serve it.
    fn backlog_requests(&self) -> f64 {
        let QueueState { backlog, waiting } = self.queue_now;
        let model = &self.queueing.model;
        let slots = model.parameters().slots_per_replica * self.ready_now;
        let most = self.replica_requests_per_second() * self.ready_now * (1.0 - 1.0 / (slots + 1.0).sqrt());
        let by_chance = model.rest(self.requests_per_second.min(most), self.ready_now).waiting;
        (backlog + waiting - by_chance).max(0.0)
    }

    fn last_latency_seconds(&self) -> Option<Latencies> {
        self.last_latency
    }

    fn explain(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        Self::explain(self, out)
    }
}

/// The past after a sample, by its measured mean where there is one.
fn carry(model: &dyn MeanResponse, past: &Past, sample: &Sample) -> Past {
    let Sample { requests_per_second, ready, latency_mean_seconds, .. } = *sample;
    if latency_mean_seconds.is_finite() {
        model.measured(past, requests_per_second, ready, latency_mean_seconds)
    } else {
        model.respond(past, requests_per_second, ready).1
    }
}

/// Mean latency at rest.
fn rest_mean_seconds<M: ResponseModel>(model: &M, requests_per_second: f64, ready: f64) -> f64 {
    model.latency_mean_seconds(&model.rest(requests_per_second, ready), requests_per_second, ready)
}

/// What a sensor gives, where it is a number that can be one.
fn usable(value: Option<f64>) -> Option<f64> {
    value.filter(|it| it.is_finite() && *it >= 0.0)
}

#[cfg(test)]
mod tests;
