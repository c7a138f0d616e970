//! The mean service time as an operator can measure it: busy slots over throughput.
//!
//! By Little's law for the slots alone, busy slots = throughput · service time, so
//!
//! S = Σ wᵢ uᵢ sᵢ Δᵢ / Σ wᵢ (λᵢ − eᵢ − ΔQᵢ/Δᵢ) Δᵢ
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | u | mean cpu share in use, standing in for the share of busy slots | 1 |
//! | s | slots of the ready replicas | 1 |
//! | λ, e | attempts received, attempts that failed | 1/s |
//! | ΔQ | by how much the queue grew in the window | 1 |
//! | Δ | window of one scrape | s |
//! | w | weight, halving every half-life | 1 |
//!
//! Sums are smoothed and then divided, so that a quiet window counts for as little as it tells. A fleet in change is
//! left out, once there is an estimate: its slots are known for the moment of the decision, not for the window. The
//! cpu share is biased where an idle replica uses cpu; the estimate, and what is staffed on it, is then too large.

use crate::{Observation, OperatorFacts};

/// Half-life of the weights unless said otherwise: longer than a burst, shorter than a shift of what is asked for.
pub const HALF_LIFE_SECONDS: f64 = 1800.0;

/// The running estimate.
#[derive(Clone, Debug)]
pub struct ServiceTime {
    half_life_seconds: f64,
    concurrency: Vec<f64>,
    busy_slot_seconds: f64,
    completed: f64,
    queue_length: Option<f64>,
    slots: f64,
}

impl ServiceTime {
    /// An estimate whose weights halve every `half_life_seconds`.
    pub fn new(half_life_seconds: f64, facts: &OperatorFacts) -> Self {
        let concurrency = facts.pools.iter().map(|pool| f64::from(pool.concurrency)).collect();
        Self {
            half_life_seconds,
            concurrency,
            busy_slot_seconds: 0.0,
            completed: 0.0,
            queue_length: None,
            slots: -1.0,
        }
    }

    /// Forgets what was measured.
    pub fn clear(&mut self) {
        (self.busy_slot_seconds, self.completed) = (0.0, 0.0);
        (self.queue_length, self.slots) = (None, -1.0);
    }

    /// Slots of one replica of a pool.
    pub fn concurrency(&self, pool: usize) -> f64 {
        self.concurrency[pool]
    }

    /// Takes in what became visible since the last call.
    pub fn feed(&mut self, observation: &Observation<'_>) {
        let pools = observation.pools.iter().zip(&self.concurrency);
        let slots = pools.map(|(pool, slots)| f64::from(pool.ready) * slots).sum::<f64>();
        let is_draining = observation.pools.iter().any(|pool| pool.draining > 0);
        let is_steady = slots == self.slots && !is_draining;
        self.slots = slots;
        for scrape in observation.scrapes {
            let before = std::mem::replace(&mut self.queue_length, scrape.queue_length);
            let grown = match (before, scrape.queue_length) {
                (Some(before), Some(queue)) => queue - before,
                (None, Some(0.0)) => 0.0,
                _ => continue,
            };
            let (Some(utilization), Some(received), Some(failed)) =
                (scrape.cpu_utilization, scrape.requests_per_second, scrape.errors_per_second)
            else {
                continue;
            };
            let completed = (received - failed) * scrape.window_seconds - grown;
            if completed > 0.0 && (is_steady || self.completed == 0.0) {
                let kept = (-scrape.window_seconds / self.half_life_seconds).exp2();
                self.busy_slot_seconds =
                    self.busy_slot_seconds * kept + utilization * slots * scrape.window_seconds;
                self.completed = self.completed * kept + completed;
            }
        }
    }

    /// Seconds of one slot that one request takes; none before the first usable scrape.
    pub fn seconds(&self) -> Option<f64> {
        (self.completed > 0.0 && self.busy_slot_seconds > 0.0)
            .then(|| self.busy_slot_seconds / self.completed)
    }
}
