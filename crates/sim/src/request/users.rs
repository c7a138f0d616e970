//! The users of a run, with their work and their patience: drawn in user order, the same under every controller.

use rand_chacha::ChaCha8Rng;
use tidegate_core::{Distribution, Scenario, Seed, Stream, Tick};
use tidegate_workload::Demand;

/// Draws users tick by tick.
#[derive(Clone, Debug)]
pub(super) struct Users {
    demand: Demand,
    work_law: Distribution,
    timeout: Option<Distribution>,
    arrival_ticks: u32,
    work: ChaCha8Rng,
    patience: ChaCha8Rng,
    /// Of the tick drawn last: when each user arrives, and what each brings.
    pub(super) arrivals: Vec<f64>,
    pub(super) works: Vec<f64>,
    pub(super) patiences: Vec<f64>,
}

/// One user as drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct User {
    /// When the first attempt is made, from the start of the run.
    pub arrival_seconds: f64,
    /// Slot-seconds at nominal speed that a successful attempt takes; a retry repeats them.
    pub work_seconds: f64,
    /// How long each attempt is waited for; infinite for a user who waits for ever.
    pub patience_seconds: f64,
    /// Whether the first attempt falls into the counted horizon: then the request engine charges for this user under
    /// any controller.
    pub is_counted: bool,
}

/// Everybody who comes in the world of `seed`, in order of arrival.
pub fn users_of_run(scenario: &Scenario, seed: Seed) -> Vec<User> {
    let mut users = Users::new(scenario);
    users.reset(seed);
    let mut all = Vec::new();
    for tick in 0..scenario.arrival_ticks() {
        users.draw(Tick(tick));
        let brought = users.works.iter().zip(&users.patiences);
        all.extend(users.arrivals.iter().zip(brought).map(|(arrival, (work, patience))| User {
            arrival_seconds: *arrival,
            work_seconds: *work,
            patience_seconds: *patience,
            is_counted: tick >= scenario.warm_up_ticks,
        }));
    }
    all
}

impl Users {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let seed = Seed::training(0);
        Self {
            demand: Demand::new(scenario),
            work_law: scenario.work.clone(),
            timeout: scenario.client.timeout.clone(),
            arrival_ticks: scenario.arrival_ticks(),
            work: seed.rng(Stream::Work),
            patience: seed.rng(Stream::Patience),
            arrivals: Vec::new(),
            works: Vec::new(),
            patiences: Vec::new(),
        }
    }

    pub(super) fn reset(&mut self, seed: Seed) {
        self.demand.reset(seed);
        self.work = seed.rng(Stream::Work);
        self.patience = seed.rng(Stream::Patience);
    }

    /// Everybody who arrives in the tick, with work and patience. Ticks are drawn in order.
    pub(super) fn draw(&mut self, tick: Tick) {
        self.arrivals.clear();
        self.works.clear();
        self.patiences.clear();
        if tick.0 < self.arrival_ticks {
            self.demand.times(tick, &mut self.arrivals);
        }
        let n_users = self.arrivals.len();
        self.work_law.sample_into(n_users, &mut self.work, &mut self.works);
        match &self.timeout {
            None => self.patiences.resize(n_users, f64::INFINITY),
            Some(timeout) => timeout.sample_into(n_users, &mut self.patience, &mut self.patiences),
        }
    }
}
