//! The flow of attempts through one lane (all replicas that share traffic), as expectations: one step a segment.
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | c | ready slots, averaged over the segment | 1 |
//! | μ, κ = cμ | rate of a slot, of all slots | 1/s |
//! | λ | expected attempts, retries included | 1/s |
//! | L, Q | attempts in the system, waiting | 1 |
//! | ρ | share of the slots that work | 1 |
//! | `V = (c_a² + c_s²)/2` | Allen and Cunneen's factor | 1 |
//!
//! **Mean.** L follows `dL/dt = λ − κρ(L)` with ρ(L) the inverse of the stationary `L = cρ + V C(c, ρ) ρ/(1 − ρ)`
//! (pointwise stationary fluid flow: Wang, Tipper and Banerjee, INFOCOM 1996), by one implicit Euler step, so that it
//! is exact in the stationary regime and grows by (λ − κ) t in overload whatever the length of the step.
//!
//! **Spread.** The variance of Q grows as that of a random walk, `(λ c_a² + κ c_s²) t`, up to what the stationary law
//! has at this mean, `Q² (2/C − 1)`. Mean and variance fix the wait: an atom at zero and an exponential tail where the
//! deviation exceeds the mean (M/M/c exactly, in the stationary regime), else a certain wait `(Q − √v)/κ` (the backlog)
//! plus an exponential one.
//!
//! **Noise.** The stationary law already contains the noise of the arrivals, so it is fed the expected rate. Only a
//! backlog integrates the counts that really come: with weight `1 − v/Q²`. What the ledgers get beyond the expected
//! leaves as it would through always free slots.
//!
//! **Limits.** Where users leave the queue after τ, or the queue holds K, the wait is cut off at R and its density is
//! exponential with a rate η of either sign (M/M/c with constant patience: Barrer, Operations Research 5, 1957; as
//! diffusion, a Brownian motion between two walls). Idle share `1 − ρ = V f(0)/κ` and loss `p/(1 − p) = C V f(R)/κ` are
//! its two boundary densities; η is the root of the balance.
//!
//! Attempts leave in order of arrival, in cohorts, and each user's fate is decided when the cohort leaves; a cohort that
//! met no replica is judged by the time that it really waited.

use std::collections::VecDeque;

use tidegate_core::scenario::{ArrivalsConfig, Balancer};
use tidegate_core::{Distribution, Scenario};

use super::tables::{ErlangTable, LOG_NOBODY, Law, SojournTable, Tail, exp};
use tidegate_core::queueing::atoms;

/// The most attempts that a client may make; the check of scenarios has the same.
pub const ATTEMPTS_MAX: usize = 16;

/// Cohorts kept apart; older ones than these merge.
const COHORTS: usize = 1024;

/// Shares below this are nobody.
const NOBODY: f64 = 1e-12;

/// By number of the attempt.
pub type ByAttempt = [f64; ATTEMPTS_MAX];

/// What does not change within a run.
#[derive(Clone, Debug)]
pub struct Physics {
    erlang: ErlangTable,
    sojourn: SojournTable,
    service_seconds: f64,
    service_scv: f64,
    arrival_scv: f64,
    balancer: Balancer,
    queue_max: f64,
    bound_seconds: f64,
    /// Equally likely patiences; empty where users wait for ever.
    patience_seconds: Vec<f64>,
    patience_mean_seconds: f64,
    attempts_max: usize,
}

/// What meets the lane in one segment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Segment {
    pub start_seconds: f64,
    pub seconds: f64,
    /// Ready slots, averaged.
    pub slots: f64,
    /// The same, each by its speed.
    pub speed_slots: f64,
    /// Ready replicas, averaged.
    pub replicas: f64,
    /// Expected attempts, retries included.
    pub expected: f64,
    /// Attempts that come, by their number.
    pub attempts: ByAttempt,
    /// Their summed time since the user's first attempt.
    pub elapsed_seconds: ByAttempt,
    /// Added to every latency.
    pub network_seconds: f64,
}

/// Sums over segments.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    pub completed: f64,
    pub wasted: f64,
    pub rejected: f64,
    pub abandoned: f64,
    pub failed: f64,
    pub started: f64,
    pub wait_seconds: f64,
    pub sojourn_seconds: f64,
    /// Summed server-side latency of the completed.
    pub completed_seconds: f64,
    pub attempt_seconds: f64,
    pub busy_slot_seconds: f64,
    pub succeeded: f64,
    pub above: f64,
    pub excess_seconds: f64,
    pub latency_seconds: f64,
    /// Users whose attempt failed, by its number, and the time since their first attempt.
    pub unlucky: ByAttempt,
    pub unlucky_seconds: ByAttempt,
}

/// Attempts that arrived in one segment and have not left.
#[derive(Clone, Copy, Debug)]
struct Cohort {
    start_seconds: f64,
    seconds: f64,
    /// Those that will be served, and those that will have left before.
    admitted: f64,
    abandoning: f64,
    /// The backlog that they met; infinite where no replica was there.
    shift_seconds: f64,
    /// Shares of the attempts by their number, and mean time since the first attempt.
    shares: ByAttempt,
    elapsed_seconds: ByAttempt,
}

/// The state of one lane.
#[derive(Clone, Debug)]
pub struct Lane {
    /// L without what draining replicas finish.
    load: f64,
    /// Q and its variance.
    waiting: f64,
    variance: f64,
    /// ρ.
    utilization: f64,
    law: Law,
    /// Seconds a unit of `law`.
    unit_seconds: f64,
    /// What the cohorts hold of those that will be served; what is not in `load` or `draining` is noise.
    stock: f64,
    /// In service at draining replicas.
    draining: f64,
    cohorts: VecDeque<Cohort>,
}

/// Where a leaving piece's latencies fall.
pub trait LatencySink {
    /// `users` of this attempt were served after a time `before_seconds` (first attempt to this one, and what lies on
    /// the network) under this law; `succeeded` of them in time.
    fn add(
        &mut self,
        attempt: usize,
        users: f64,
        succeeded: f64,
        before_seconds: f64,
        law: &Law,
        unit_seconds: f64,
    );
}

impl Physics {
    pub fn new(scenario: &Scenario) -> Self {
        let service_seconds = scenario.work.mean().max(1e-9);
        let patience_seconds = match &scenario.client.timeout {
            None => Vec::new(),
            Some(Distribution::Constant { seconds }) => vec![*seconds],
            Some(timeout) => atoms(timeout, 5),
        };
        let pools = &scenario.pools;
        let slots_max: f64 =
            pools.iter().map(|pool| f64::from(pool.bounds.replicas_max) * f64::from(pool.concurrency)).sum();
        let speed_max = pools.iter().map(|pool| pool.speed).fold(1.0, f64::max);
        let longest = patience_seconds.iter().copied().fold(scenario.level.bound_seconds, f64::max);
        Self {
            erlang: ErlangTable::new(slots_max),
            sojourn: SojournTable::new(&scenario.work, longest * speed_max / service_seconds),
            service_seconds,
            service_scv: scenario.work.scv(),
            arrival_scv: match scenario.arrivals {
                ArrivalsConfig::Renewal { coefficient_of_variation } => {
                    coefficient_of_variation * coefficient_of_variation
                }
                ArrivalsConfig::Poisson {} | ArrivalsConfig::Recorded {} => 1.0,
            },
            balancer: scenario.balancer,
            queue_max: scenario.queue_max.map_or(f64::INFINITY, f64::from),
            bound_seconds: scenario.level.bound_seconds,
            patience_mean_seconds: scenario.client.timeout.as_ref().map_or(f64::INFINITY, Distribution::mean),
            patience_seconds,
            attempts_max: scenario.client.attempts_max as usize,
        }
    }

    pub fn service_seconds(&self) -> f64 {
        self.service_seconds
    }

    pub fn service_scv(&self) -> f64 {
        self.service_scv
    }

    pub fn sojourn(&self) -> &SojournTable {
        &self.sojourn
    }

    pub fn attempts_max(&self) -> usize {
        self.attempts_max
    }

    /// How many queues there are, and the squared coefficient of variation of each one's arrivals.
    fn queues(&self, replicas: f64) -> (f64, f64) {
        let n = replicas.max(1.0);
        match self.balancer {
            // Whoever looks at the queues comes close to one queue for all: the least outstanding waits only where all
            // slots are busy, and in heavy traffic either rule keeps the queues equal (state-space collapse).
            Balancer::CentralQueue {} | Balancer::LeastOutstanding {} | Balancer::TwoChoices {} => {
                (1.0, self.arrival_scv)
            }
            Balancer::RoundRobin {} => (n, self.arrival_scv / n),
            Balancer::Random {} => (n, 1.0 + (self.arrival_scv - 1.0) / n),
        }
    }
}

impl Sums {
    fn unlucky(&mut self, attempt: usize, users: f64, elapsed_seconds: f64) {
        self.unlucky[attempt] += users;
        self.unlucky_seconds[attempt] += users * elapsed_seconds;
    }
}

/// The queue as the step of the mean sees it.
#[derive(Clone, Copy)]
struct Queue {
    seconds: f64,
    slots: f64,
    per_second: f64,
    servers: f64,
    root_servers: f64,
    /// V times the number of queues.
    factor: f64,
}

impl Lane {
    pub fn new() -> Self {
        Self::empty(VecDeque::with_capacity(COHORTS))
    }

    pub fn reset(&mut self) {
        self.cohorts.clear();
        *self = Self::empty(std::mem::take(&mut self.cohorts));
    }

    fn empty(cohorts: VecDeque<Cohort>) -> Self {
        Self {
            load: 0.0,
            waiting: 0.0,
            variance: 0.0,
            utilization: 0.0,
            law: Law { cut: f64::INFINITY, ..Law::default() },
            unit_seconds: 1.0,
            stock: 0.0,
            draining: 0.0,
            cohorts,
        }
    }

    /// Attempts in the system, those included that will leave unserved.
    pub fn in_system(&self) -> f64 {
        self.cohorts.iter().map(|cohort| cohort.admitted + cohort.abandoning).sum()
    }

    /// Expected attempts waiting.
    pub fn waiting(&self) -> f64 {
        self.waiting
    }

    /// The wait of who comes now, in units of `unit_seconds`.
    pub fn law(&self) -> (&Law, f64) {
        (&self.law, self.unit_seconds)
    }

    /// How long the oldest has waited: the backlog, or since when nobody serves.
    pub fn oldest_age_seconds(&self, now_seconds: f64) -> f64 {
        match self.cohorts.front() {
            Some(cohort) if cohort.shift_seconds == f64::INFINITY => now_seconds - cohort.start_seconds,
            Some(_) => (self.law.shift + self.law.waits * self.law.mean) * self.unit_seconds,
            None => 0.0,
        }
    }

    /// A replica with so many slots stops taking requests; gives how many it still serves.
    pub fn drain(&mut self, slots: f64) -> f64 {
        let moved = (slots * self.utilization).min(self.load);
        self.load -= moved;
        self.draining += moved;
        moved
    }

    /// A drained replica is gone; `left` of what it had is lost with it.
    pub fn lose_draining(&mut self, left: f64, now_seconds: f64, sums: &mut Sums) {
        let left = left.min(self.draining);
        self.draining -= left;
        self.fail(left, now_seconds, sums);
    }

    /// A serving replica is lost with what it serves, and with its share of the queues where it has one.
    pub fn crash(&mut self, physics: &Physics, slots: f64, replicas: f64, now_seconds: f64, sums: &mut Sums) {
        let (queues, _) = physics.queues(replicas);
        let own_queue = if queues > 1.0 { self.waiting / queues } else { 0.0 };
        let lost = (slots * self.utilization + own_queue).min(self.load);
        self.load -= lost;
        self.waiting -= own_queue.min(self.waiting);
        self.fail(lost, now_seconds, sums);
    }

    /// One segment.
    pub fn step(
        &mut self,
        physics: &Physics,
        segment: &Segment,
        sums: &mut Sums,
        sink: &mut impl LatencySink,
    ) {
        let h = segment.seconds;
        let arriving: f64 = segment.attempts[..physics.attempts_max].iter().sum();
        let in_system_before = self.in_system();
        if segment.speed_slots <= 1e-9 {
            self.stand_still(physics, segment, arriving, sums);
            sums.attempt_seconds += f64::midpoint(in_system_before, self.in_system()) * h;
            return;
        }
        self.unit_seconds = physics.service_seconds * segment.slots / segment.speed_slots;
        let unit = self.unit_seconds;
        let per_second = segment.slots / unit;
        let (queues, arrival_scv) = physics.queues(segment.replicas);
        let servers = segment.slots / queues;
        let queue = Queue {
            seconds: h,
            slots: segment.slots,
            per_second,
            servers,
            root_servers: servers.sqrt(),
            factor: queues * self.variability(arrival_scv, physics.service_scv),
        };
        // A backlog integrates the counts that really come; the stationary law has their noise already.
        let certain = if self.waiting > 0.0 {
            (1.0 - self.variance / (self.waiting * self.waiting)).max(0.0)
        } else {
            0.0
        };
        let inflow = segment.expected + certain * (arriving - segment.expected);
        let growth = (segment.expected / h * arrival_scv * (1.0 - certain * certain)
            + per_second * physics.service_scv)
            * (h * queues);
        let available = self.load + inflow;
        let bounded = physics.bounded_queues(segment.replicas);
        let limit = self.limit(physics, per_second * unit, bounded);
        let before = self.law.shift;
        self.settle(physics, &queue, available, growth);
        let mut lost = self.loss_if_free(limit);
        if lost > 1e-3 || self.law.shift > 0.5 * limit {
            let shift = before.min(self.law.shift).min(0.75 * limit);
            lost = self.settle_between_walls(physics, &queue, inflow, shift, limit);
        } else if lost > NOBODY {
            self.settle(physics, &queue, available - inflow * lost, growth);
        }
        let flow = per_second * self.utilization * h;
        let held_by_patience =
            physics.patience_mean_seconds <= physics.queue_max_seconds(per_second, bounded);
        let rejected = if held_by_patience { 0.0 } else { arriving * lost };
        let abandoning = if held_by_patience { arriving * lost } else { 0.0 };
        refuse(physics, segment, rejected, arriving, sums);
        let admitted = arriving - rejected - abandoning;
        self.enter(physics, segment, admitted, abandoning, arriving, self.law.shift * unit);

        // What leaves: the expected flow, what draining replicas finish, and the noise as through free slots.
        let finished = self.draining * h / (h + unit);
        let noise = self.stock - self.load - self.draining - inflow * (1.0 - lost);
        let leaving = (flow + noise * h / (h + unit) + finished).clamp(0.0, self.stock);
        self.draining -= finished;
        self.load = (self.load + inflow * (1.0 - lost) - flow).max(0.0);
        self.serve(physics, segment, leaving, sums, sink);
        let beyond = self.load - segment.slots * self.utilization - self.waiting;
        if held_by_patience && beyond > 1e-9 * self.load {
            // Capacity fell, and who waits longer than the patience leaves.
            self.load -= self.expire(physics, beyond.min(self.stock), sums);
        }
        let capacity = segment.slots * h + finished * unit;
        sums.busy_slot_seconds += (leaving * unit).min(capacity);
        let waits = self.law.shift + self.law.waits * self.law.mean;
        sums.started += leaving;
        sums.wait_seconds += leaving * waits * unit;
        sums.attempt_seconds += f64::midpoint(in_system_before, self.in_system()) * h;
    }

    /// Everyone who is left leaves served: what remains is less than anyone can count.
    pub fn flush(
        &mut self,
        physics: &Physics,
        segment: &Segment,
        sums: &mut Sums,
        sink: &mut impl LatencySink,
    ) {
        self.serve(physics, segment, self.stock + 1.0, sums, sink);
        self.reset();
    }

    /// Everyone who is left gives up waiting.
    pub fn send_home(&mut self, sums: &mut Sums) {
        while let Some(cohort) = self.cohorts.pop_front() {
            let attempts = cohort.admitted + cohort.abandoning;
            sums.abandoned += attempts;
            for (attempt, share) in cohort.shares.iter().enumerate() {
                sums.unlucky(attempt, attempts * share, cohort.elapsed_seconds[attempt]);
            }
        }
        self.reset();
    }

    /// The implicit Euler step: ρ (c + κh + V C(c, ρ)/(1 − ρ)) = L + λh, by Newton's method inside a bracket, from the
    /// last ρ; then the wait from mean and variance.
    fn settle(&mut self, physics: &Physics, queue: &Queue, available: f64, growth: f64) {
        let room = queue.slots + queue.per_second * queue.seconds;
        if available <= NOBODY {
            self.utilization = 0.0;
            self.waiting = 0.0;
            self.variance = 0.0;
            self.law = Law { cut: f64::INFINITY, ..Law::default() };
            return;
        }
        let (mut low, mut high) = (0.0, 1.0);
        let mut rho = self.utilization.clamp(1e-6, 1.0 - 1e-6).min(available / room);
        let mut waits = 0.0;
        for _ in 0..50 {
            let (value, slope) = physics.erlang.waits(queue.servers, queue.root_servers, rho);
            waits = value;
            let missing = rho * (room * (1.0 - rho) + queue.factor * waits) - available * (1.0 - rho);
            let steepness = room * (1.0 - 2.0 * rho) + queue.factor * (waits + rho * slope) + available;
            if missing > 0.0 {
                high = rho;
            } else {
                low = rho;
            }
            let correction = missing / steepness;
            // The error after a correction is of the order of its square.
            if correction.abs() <= 1e-6 * (1.0 - rho) {
                rho -= correction;
                break;
            }
            let next = rho - correction;
            rho = if next > low && next < high { next } else { f64::midpoint(low, high) };
        }
        self.utilization = rho;
        self.waiting = (available - room * rho).max(0.0);
        let square = self.waiting * self.waiting;
        let stationary = square * (2.0 / waits.max(1e-9) - 1.0);
        self.variance = (self.variance + growth).min(stationary);
        let served_a_unit = queue.slots * rho;
        self.law = if self.waiting < NOBODY || served_a_unit < NOBODY {
            Law { cut: f64::INFINITY, ..Law::default() }
        } else if self.variance >= square {
            let waits = 2.0 / (1.0 + self.variance / square);
            let mean = self.waiting / (waits * served_a_unit);
            Law { shift: 0.0, waits, decay: 1.0 / mean, mean, cut: f64::INFINITY }
        } else {
            let mean = (self.variance.sqrt() / served_a_unit).max(1e-9);
            let shift = (self.waiting / served_a_unit - mean).max(0.0);
            Law { shift, waits: 1.0, decay: 1.0 / mean, mean, cut: f64::INFINITY }
        };
    }

    /// V, with Krämer and Langenbach-Belz's correction (1976) for arrivals more regular than Poisson, at the last ρ.
    fn variability(&self, arrival_scv: f64, service_scv: f64) -> f64 {
        let sum = (arrival_scv + service_scv).max(2e-3);
        if arrival_scv >= 1.0 || self.utilization <= 0.0 {
            return 0.5 * sum;
        }
        let missing = (1.0 - arrival_scv) * (1.0 - arrival_scv);
        0.5 * sum * (-2.0 * (1.0 - self.utilization) * missing / (3.0 * self.utilization * sum)).exp()
    }

    /// Where the wait ends at the latest, in units: patience, or full queues.
    fn limit(&self, physics: &Physics, served_a_unit: f64, bounded: f64) -> f64 {
        let patience = physics.patience_mean_seconds / self.unit_seconds;
        // One more than fits: the one that would wait behind all of them is refused.
        patience.min((physics.queue_max + 1.0) * bounded / served_a_unit)
    }

    /// The share of attempts that meet the limit while it hardly matters: p = C (1 − ρ) exp(−θR), M/M/c + D to first
    /// order.
    fn loss_if_free(&self, limit: f64) -> f64 {
        let room = limit - self.law.shift;
        if room <= 0.0 {
            return 1.0;
        }
        let exponent = self.law.decay * room;
        if exponent > -LOG_NOBODY || self.law.waits <= 0.0 {
            return 0.0;
        }
        self.law.waits * (1.0 - self.utilization).max(NOBODY) * exp(-exponent)
    }

    /// The balance where the limit matters; gives the share of attempts that are lost.
    fn settle_between_walls(
        &mut self,
        physics: &Physics,
        queue: &Queue,
        inflow: f64,
        shift: f64,
        limit: f64,
    ) -> f64 {
        let room = limit - shift;
        let flow_max = queue.slots + queue.per_second * queue.seconds;
        let per_unit = queue.slots;
        // Densities are per unit; κ is c per unit.
        let (factor, load) = (queue.factor / (room * per_unit), self.load);
        // The balance falls in the tilt (more negative, more waiting): Newton's method inside a bracket. It starts level,
        // as halving the bracket would: from the last step's tilt it may end at another root where the balance is not
        // quite monotone (a day with a fleet too small came out 0.1 % apart), and saves next to nothing.
        let (mut low, mut high) = (-TILT_MAX, TILT_MAX);
        let mut tilt = 0.0_f64;
        let (mut rho, mut waits, mut lost, mut waiting);
        let mut walls;
        let mut left = 60;
        loop {
            walls = between_walls(tilt);
            let (mean, mean_slope) = (room * walls.mean, room * walls.mean_slope);
            rho = (1.0 - factor * walls.first).max(0.0);
            let rho_slope = if rho > 0.0 { -factor * walls.slope } else { 0.0 };
            let mut waits_slope = 0.0;
            waits = 1.0;
            if shift <= 0.0 {
                (waits, waits_slope) = physics.erlang.waits(queue.servers, queue.root_servers, rho);
                waits_slope *= rho_slope;
            }
            let odds = waits * factor * walls.last;
            let odds_slope = factor * (waits_slope * walls.last + waits * (walls.slope - 1.0));
            lost = odds / (1.0 + odds);
            let lost_slope = odds_slope / ((1.0 + odds) * (1.0 + odds));
            let waited = shift + waits * mean;
            waiting = per_unit * rho * waited;
            let waiting_slope =
                per_unit * (rho_slope * waited + rho * (waits_slope * mean + waits * mean_slope));
            let missing = flow_max * rho + waiting - load - inflow * (1.0 - lost);
            let steepness = flow_max * rho_slope + waiting_slope + inflow * lost_slope;
            if missing > 0.0 {
                low = tilt;
            } else {
                high = tilt;
            }
            let correction = missing / steepness;
            left -= 1;
            if left == 0 || correction.abs() <= 1e-7 * (1.0 + tilt.abs()) || high - low <= 1e-12 {
                break;
            }
            let next = tilt - correction;
            tilt = if next > low && next < high { next } else { f64::midpoint(low, high) };
        }
        let mean = room * walls.mean;
        let spread = room * walls.deviation(tilt);
        self.utilization = rho;
        self.waiting = waiting;
        let square = (waits * (mean * mean + spread * spread) - waits * waits * mean * mean).max(0.0);
        self.variance = square * (per_unit * rho) * (per_unit * rho);
        self.law = Law { shift, waits, decay: tilt / room, mean, cut: room };
        lost
    }

    /// No replica is there: everything waits, in order, until one is, or until its client leaves.
    fn stand_still(&mut self, physics: &Physics, segment: &Segment, arriving: f64, sums: &mut Sums) {
        let fits = (physics.queue_max - self.stock).max(0.0);
        let rejected = (arriving - fits).max(0.0);
        refuse(physics, segment, rejected, arriving, sums);
        let admitted = arriving - rejected;
        self.enter(physics, segment, admitted, 0.0, arriving, f64::INFINITY);
        self.utilization = 0.0;
        let now = segment.start_seconds + segment.seconds;
        let mut expired = 0.0;
        while let Some(cohort) = self.cohorts.front_mut() {
            let left_before = now - physics.patience_mean_seconds;
            if cohort.start_seconds >= left_before {
                break;
            }
            let share = ((left_before - cohort.start_seconds) / cohort.seconds.max(1e-9)).min(1.0);
            let (served, leaving) = (cohort.admitted * share, cohort.abandoning * share);
            expired += served;
            abandon(physics, cohort, served + leaving, sums);
            if share >= 1.0 {
                self.cohorts.pop_front();
            } else {
                cohort.admitted -= served;
                cohort.abandoning -= leaving;
                let passed = cohort.seconds * share;
                cohort.start_seconds += passed;
                cohort.seconds -= passed;
            }
        }
        self.stock = (self.stock - expired).max(0.0);
        self.load = (self.stock - self.draining).max(0.0);
        self.waiting = self.load;
        self.variance = 0.0;
        self.law = Law { cut: f64::INFINITY, ..Law::default() };
    }

    fn enter(
        &mut self,
        physics: &Physics,
        segment: &Segment,
        admitted: f64,
        abandoning: f64,
        arriving: f64,
        shift_seconds: f64,
    ) {
        if arriving <= 0.0 || admitted + abandoning <= 0.0 {
            return;
        }
        self.stock += admitted;
        let mut cohort = Cohort {
            start_seconds: segment.start_seconds,
            seconds: segment.seconds,
            admitted,
            abandoning,
            shift_seconds,
            shares: [0.0; ATTEMPTS_MAX],
            elapsed_seconds: [0.0; ATTEMPTS_MAX],
        };
        for attempt in 0..physics.attempts_max {
            let attempts = segment.attempts[attempt];
            if attempts > 0.0 {
                cohort.shares[attempt] = attempts / arriving;
                cohort.elapsed_seconds[attempt] = segment.elapsed_seconds[attempt] / attempts;
            }
        }
        if self.cohorts.len() == COHORTS {
            let last = self.cohorts.back_mut().expect("a full queue has a last one");
            last.merge(&cohort);
        } else {
            self.cohorts.push_back(cohort);
        }
    }

    /// `leaving` attempts end their service, the oldest first.
    fn serve(
        &mut self,
        physics: &Physics,
        segment: &Segment,
        leaving: f64,
        sums: &mut Sums,
        sink: &mut impl LatencySink,
    ) {
        let mut rest = leaving;
        let unit = self.unit_seconds;
        let sojourn_mean = 1.0 + self.law.waits * self.law.mean;
        let mut served = 0.0;
        // First attempts that meet the same law are judged together.
        let mut alike = 0.0;
        while let Some(cohort) = self.cohorts.front_mut() {
            if rest <= 0.0 && cohort.admitted > 0.0 {
                break;
            }
            let taken = cohort.admitted.min(rest);
            let share = if cohort.admitted > 0.0 { taken / cohort.admitted } else { 1.0 };
            let mut law = self.law;
            let known = cohort.shift_seconds.max(law.shift * unit);
            if known > 0.0 {
                // In a backlog, what they waited is what lies between their coming and their going.
                let came = cohort.start_seconds + cohort.seconds * share / 2.0;
                let went =
                    segment.start_seconds + segment.seconds * (served + taken / 2.0) / leaving.max(taken);
                law.shift = ((went - came) / unit - sojourn_mean).clamp(0.0, known / unit);
            }
            let left = cohort.abandoning * share;
            if left > 0.0 {
                abandon(physics, cohort, left, sums);
            }
            if known <= 0.0 && cohort.shares[0] >= 1.0 {
                alike += taken;
            } else {
                judge(physics, cohort, taken, &law, unit, segment.network_seconds, sums, sink);
            }
            served += taken;
            rest -= taken;
            self.stock = (self.stock - taken).max(0.0);
            if share >= 1.0 {
                self.cohorts.pop_front();
            } else {
                let passed = cohort.seconds * share;
                cohort.start_seconds += passed;
                cohort.seconds -= passed;
                cohort.admitted -= taken;
                cohort.abandoning -= left;
            }
        }
        if alike > 0.0 {
            judge(physics, &Cohort::FIRST, alike, &self.law, unit, segment.network_seconds, sums, sink);
        }
    }

    /// `lost` attempts fail, the oldest first: they are in service.
    fn fail(&mut self, lost: f64, now_seconds: f64, sums: &mut Sums) {
        let mut rest = lost.min(self.stock);
        self.stock -= rest;
        for cohort in &mut self.cohorts {
            let taken = cohort.admitted.min(rest);
            if taken <= 0.0 {
                continue;
            }
            rest -= taken;
            cohort.admitted -= taken;
            sums.failed += taken;
            let age =
                (now_seconds - cohort.start_seconds - cohort.seconds / 2.0).clamp(0.0, self.unit_seconds);
            sums.sojourn_seconds += taken * age;
            for (attempt, share) in cohort.shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
                sums.unlucky(attempt, taken * share, cohort.elapsed_seconds[attempt] + age);
            }
        }
    }

    /// `beyond` attempts leave the queue unserved, the oldest first; gives how many there were.
    fn expire(&mut self, physics: &Physics, beyond: f64, sums: &mut Sums) -> f64 {
        let mut rest = beyond;
        for cohort in &mut self.cohorts {
            let taken = cohort.admitted.min(rest);
            rest -= taken;
            cohort.admitted -= taken;
            abandon(physics, cohort, taken, sums);
        }
        self.stock -= beyond - rest;
        beyond - rest
    }
}

impl Physics {
    fn queue_max_seconds(&self, per_second: f64, bounded: f64) -> f64 {
        (self.queue_max + 1.0) * bounded / per_second
    }

    /// How many queues the limit holds for: the central one, or each replica's own, which rules that look at queues keep
    /// equal and so fill together.
    fn bounded_queues(&self, replicas: f64) -> f64 {
        match self.balancer {
            Balancer::CentralQueue {} => 1.0,
            Balancer::LeastOutstanding {}
            | Balancer::TwoChoices {}
            | Balancer::RoundRobin {}
            | Balancer::Random {} => replicas.max(1.0),
        }
    }
}

impl Cohort {
    /// First attempts, whoever sent them.
    const FIRST: Self = {
        let mut shares = [0.0; ATTEMPTS_MAX];
        shares[0] = 1.0;
        Self {
            start_seconds: 0.0,
            seconds: 0.0,
            admitted: 0.0,
            abandoning: 0.0,
            shift_seconds: 0.0,
            shares,
            elapsed_seconds: [0.0; ATTEMPTS_MAX],
        }
    };

    fn merge(&mut self, later: &Self) {
        let (mine, theirs) = (self.admitted + self.abandoning, later.admitted + later.abandoning);
        let all = mine + theirs;
        for attempt in 0..ATTEMPTS_MAX {
            let users = self.shares[attempt] * mine + later.shares[attempt] * theirs;
            if users > 0.0 {
                self.elapsed_seconds[attempt] = (self.elapsed_seconds[attempt] * self.shares[attempt] * mine
                    + later.elapsed_seconds[attempt] * later.shares[attempt] * theirs)
                    / users;
            }
            self.shares[attempt] = users / all;
        }
        self.seconds = later.start_seconds + later.seconds - self.start_seconds;
        self.admitted += later.admitted;
        self.abandoning += later.abandoning;
        self.shift_seconds = self.shift_seconds.max(later.shift_seconds);
    }
}

/// Attempts that are turned away at once.
fn refuse(physics: &Physics, segment: &Segment, rejected: f64, arriving: f64, sums: &mut Sums) {
    if rejected <= 0.0 {
        return;
    }
    sums.rejected += rejected;
    let share = rejected / arriving;
    for attempt in 0..physics.attempts_max {
        sums.unlucky[attempt] += segment.attempts[attempt] * share;
        sums.unlucky_seconds[attempt] += segment.elapsed_seconds[attempt] * share;
    }
}

/// `attempts` of a cohort leave the queue unserved, at the end of their patience.
fn abandon(physics: &Physics, cohort: &Cohort, attempts: f64, sums: &mut Sums) {
    let patience = physics.patience_mean_seconds;
    sums.abandoned += attempts;
    sums.sojourn_seconds += attempts * patience;
    for attempt in 0..physics.attempts_max {
        let share = cohort.shares[attempt];
        if share > 0.0 {
            sums.unlucky(attempt, attempts * share, cohort.elapsed_seconds[attempt] + patience);
        }
    }
}

/// What becomes of `taken` attempts whose service ends, given that they did not leave the queue before.
#[allow(clippy::too_many_arguments)] // the inner function of one caller; a struct would only rename them
#[inline]
fn judge(
    physics: &Physics,
    cohort: &Cohort,
    taken: f64,
    law: &Law,
    unit: f64,
    network_seconds: f64,
    sums: &mut Sums,
    sink: &mut impl LatencySink,
) {
    if taken <= 0.0 {
        return;
    }
    sums.completed += taken;
    let mean = (law.shift + law.waits * law.mean + 1.0) * unit;
    sums.sojourn_seconds += taken * mean;
    sums.completed_seconds += taken * mean;
    let n_patiences = physics.patience_seconds.len();
    // Without a time-out, one pass in which nothing is cut off.
    for index in 0..n_patiences.max(1) {
        let (patience, out, waited) = match physics.patience_seconds.get(index) {
            None => (0.0, Tail::default(), 0.0),
            Some(patience) => {
                let out = physics.sojourn.tail(law, patience / unit);
                (*patience, out, wait_survival(law, patience / unit))
            }
        };
        let users = taken / n_patiences.max(1) as f64;
        let served_in_queue = (1.0 - waited).max(NOBODY);
        let late =
            if out.survival > waited { ((out.survival - waited) / served_in_queue).min(1.0) } else { 0.0 };
        sums.wasted += users * late;
        // Per attempt that was served: successes are those with T ≤ patience.
        let scale = users * (1.0 - late) / (1.0 - out.survival).max(NOBODY);
        for attempt in 0..physics.attempts_max {
            let share = cohort.shares[attempt];
            if share <= 0.0 {
                continue;
            }
            let before = cohort.elapsed_seconds[attempt] + network_seconds;
            let succeeded = users * share * (1.0 - late);
            sums.succeeded += succeeded;
            // E (T; T ≤ τ) = E T − E (T − τ)⁺ − τ P(T > τ).
            let in_time = (mean - out.excess * unit - patience * out.survival).max(0.0);
            sums.latency_seconds += scale * share * in_time + succeeded * before;
            let bound = physics.bound_seconds - before;
            if n_patiences == 0 || bound < patience {
                let tail = physics.sojourn.tail(law, bound / unit);
                let room = patience - bound;
                let above = (tail.survival - out.survival).max(0.0);
                let excess = ((tail.excess - out.excess) * unit - room * out.survival).max(0.0);
                sums.above += scale * share * above;
                sums.excess_seconds += scale * share * excess;
            }
            if late > 0.0 {
                sums.unlucky(attempt, users * share * late, cohort.elapsed_seconds[attempt] + patience);
            }
            sink.add(attempt, users * share, succeeded, before, law, unit);
        }
    }
}

/// P(W > x).
fn wait_survival(law: &Law, x: f64) -> f64 {
    let y = x - law.shift;
    if y < 0.0 {
        1.0
    } else if law.cut < f64::INFINITY || law.decay * y > -LOG_NOBODY {
        0.0
    } else {
        law.waits * exp(-law.decay * y)
    }
}

/// Exponential densities steeper than this, over the whole room, are a wall's own.
const TILT_MAX: f64 = 600.0;

/// An exponential density on (0, 1) with rate η, the tilt: what the balance between two walls asks of it.
#[derive(Clone, Copy)]
struct BetweenWalls {
    /// Its values at 0 and 1.
    first: f64,
    last: f64,
    mean: f64,
    /// By the tilt: of the value at 0 (at 1 it is one less), and of the mean.
    slope: f64,
    mean_slope: f64,
}

/// f(0) = η/(1 − e^{−η}), f(1) = f(0) − η, mean (1 − f(1))/η; f′(0) = f(0) times the mean.
#[inline]
fn between_walls(tilt: f64) -> BetweenWalls {
    if tilt.abs() < FLAT {
        let square = tilt * tilt;
        // To the fifth order: what is left out is below 1e-15.
        let even = 1.0 + square / 12.0 - square * square / 720.0;
        return BetweenWalls {
            first: even + 0.5 * tilt,
            last: even - 0.5 * tilt,
            mean: 0.5 - tilt / 12.0 + tilt * square / 720.0,
            slope: 0.5 + tilt / 6.0 - tilt * square / 180.0,
            mean_slope: -1.0 / 12.0 + square / 240.0,
        };
    }
    let small = exp(-tilt.abs());
    let (far, near) = (tilt.abs() / (1.0 - small), tilt.abs() * small / (1.0 - small));
    let (first, last) = if tilt > 0.0 { (far, near) } else { (near, far) };
    let mean = (1.0 - last) / tilt;
    let slope = first * mean;
    BetweenWalls { first, last, mean, slope, mean_slope: (1.0 - slope - mean) / tilt }
}

/// Below this tilt the closed forms lose digits and the series does not.
const FLAT: f64 = 1e-2;

impl BetweenWalls {
    /// The standard deviation: 1/η² − e^{−η}/(1 − e^{−η})², squared.
    fn deviation(&self, tilt: f64) -> f64 {
        if tilt.abs() < FLAT {
            return 1.0 / 12.0_f64.sqrt();
        }
        ((1.0 - self.first * self.last) / (tilt * tilt)).max(0.0).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    #[test]
    fn a_density_between_walls_is_its_integral() {
        const N: usize = 20_000;
        for tilt in [-300.0_f64, -7.0, -0.3, -0.011, -0.009, 0.0, 1e-4, 0.009, 0.011, 2.0, 40.0] {
            let at = |i: usize| (i as f64 + 0.5) / N as f64;
            // From the higher end, so that nothing overflows.
            let density = |x: f64| (-tilt.abs() * if tilt > 0.0 { x } else { 1.0 - x }).exp();
            let sum = |power: i32| (0..N).map(|i| density(at(i)) * at(i).powi(power)).sum::<f64>() / N as f64;
            let (whole, mean) = (sum(0), sum(1) / sum(0));
            let walls = between_walls(tilt);
            assert_relative_eq!(walls.first, density(0.0) / whole, max_relative = 1e-4);
            assert_relative_eq!(walls.last, density(1.0) / whole, max_relative = 1e-4);
            assert_relative_eq!(walls.mean, mean, max_relative = 1e-4);
            let deviation = (sum(2) / whole - mean * mean).sqrt();
            assert_relative_eq!(walls.deviation(tilt), deviation, max_relative = 1e-4);
            let step = 1e-5 * (1.0 + tilt.abs());
            let (above, below) = (between_walls(tilt + step), between_walls(tilt - step));
            assert_relative_eq!(
                walls.slope,
                (above.first - below.first) / (2.0 * step),
                max_relative = 1e-4,
                epsilon = 1e-9
            );
            let slope = (above.mean - below.mean) / (2.0 * step);
            assert_relative_eq!(walls.mean_slope, slope, max_relative = 1e-4, epsilon = 1e-9);
        }
    }
}
