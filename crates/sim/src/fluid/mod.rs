//! The fluid engine: one analytic step a tick in place of every request. Fast, for learning and planning.
//!
//! It shares demand, fleet, sensing, windows and prices with the request engine; only the flow of requests differs
//! (`flow`: expectations of what the request engine counts). Users are the whole numbers that come in the request
//! engine's world of the same seed; everything after that is an expectation.
//!
//! What it leaves out: retries are sent in the next tick at the earliest; patiences are told apart when a service ends,
//! but the queue sees only their mean; the two rules that look at queues are taken for one central queue; a quantile of
//! latency is that of the state at the end of a scrape.

mod flow;
mod latencies;
mod tables;

use tidegate_core::plant::Phase;
use tidegate_core::scenario::Balancer;
use tidegate_core::windows::Windows;
use tidegate_core::{
    AttemptLedger, Needs, Observation, OperatorFacts, POOLS_MAX, Plant, PoolTarget, PoolUse, SECONDS_PER_DAY,
    Scenario, Seed, ServiceStatistics, Tick, TickRecord, UserLedger,
};
use tidegate_workload::Demand;

use crate::fleet::{Change, ChangeKind, Fleet};
use crate::sensing::{RawPool, RawReplica, RawWindow, Sensing};
use flow::{ATTEMPTS_MAX, ByAttempt, Lane, Physics, Segment, Sums};
use latencies::Latencies;

/// Whoever still waits after draining this long gives up: there is nobody left to serve them.
const DRAIN_SECONDS_MAX: f64 = SECONDS_PER_DAY;

/// The run ends when less than this is left of its users: a run of the request engine has then seen its last one.
const PENDING_USERS: f64 = 0.1;

/// Retries are kept apart for so many ticks ahead; later ones come then.
const RETRY_TICKS: usize = 1024;

/// The service in expectation.
#[derive(Clone, Debug)]
pub struct FluidPlant {
    scenario: Scenario,
    facts: OperatorFacts,
    physics: Physics,
    demand: Demand,
    fleet: Fleet,
    sensing: Sensing,
    windows: Windows,
    /// Pools with route weights have a lane each, others share one.
    weighted: bool,
    lanes: Vec<Lane>,

    now: f64,
    tick: Tick,
    tick_start: f64,
    phase: Phase,
    /// What comes in this tick: users and retries, by number of the attempt.
    coming: ByAttempt,
    coming_elapsed_seconds: ByAttempt,
    /// Retries by the tick in which they are due, as a ring: number and time since the first attempt.
    retries: Vec<(ByAttempt, ByAttempt)>,
    retries_pending: f64,
    drains: Vec<Drain>,
    /// By position in the fleet.
    serving: Vec<bool>,
    changes: Vec<Change>,

    sums: Sums,
    scrape: RawWindow,
    scrape_pools: Vec<RawPool>,
    raw_replicas: Vec<RawReplica>,
    pools: Vec<PoolSums>,
    latencies: Latencies,
    in_system: f64,
    pending: f64,
    arrived: f64,
    record: TickRecord,
    open: Open,
}

/// Sums of the tick that goes on.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    attempts: AttemptLedger,
    users: UserLedger,
    service: ServiceStatistics,
    attempt_seconds: f64,
    sojourn_seconds: f64,
    wait_seconds: f64,
    started: f64,
}

/// A replica that finishes what it has.
#[derive(Clone, Copy, Debug)]
struct Drain {
    at_seconds: f64,
    began_seconds: f64,
    replica: u32,
    lane: usize,
    attempts: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct PoolSums {
    busy_slot_seconds: f64,
    ready_seconds_total: f64,
    speed_slot_seconds: f64,
    /// Of the last segment.
    slots: f64,
    speed_slots: f64,
    replicas: f64,
}

impl FluidPlant {
    /// The plant of a scenario; call [`Plant::reset`] before use. Waits are tabulated here, once.
    pub fn new(scenario: &Scenario) -> Self {
        let n_pools = scenario.pools.len();
        let weighted = scenario.pools.iter().any(|pool| pool.route_weight > 0.0);
        let physics = Physics::new(scenario);
        let longest: f64 = (1..scenario.client.attempts_max)
            .map(|attempt| scenario.client.pause_seconds(attempt, 0.0))
            .fold(0.0, f64::max);
        let ring = ((longest / scenario.tick_seconds) as usize + 3).min(RETRY_TICKS);
        Self {
            facts: scenario.facts(),
            demand: Demand::new(scenario),
            fleet: Fleet::new(scenario),
            sensing: Sensing::new(scenario),
            windows: Windows::new(scenario.level),
            weighted,
            lanes: vec![Lane::new(); if weighted { n_pools } else { 1 }],
            now: 0.0,
            tick: Tick(0),
            tick_start: 0.0,
            phase: Phase::WarmUp,
            coming: [0.0; ATTEMPTS_MAX],
            coming_elapsed_seconds: [0.0; ATTEMPTS_MAX],
            retries: vec![([0.0; ATTEMPTS_MAX], [0.0; ATTEMPTS_MAX]); ring],
            retries_pending: 0.0,
            drains: Vec::new(),
            serving: Vec::new(),
            changes: Vec::new(),
            sums: Sums::default(),
            scrape: RawWindow::default(),
            scrape_pools: vec![RawPool::default(); n_pools],
            raw_replicas: Vec::new(),
            pools: vec![PoolSums::default(); n_pools],
            latencies: Latencies::new(physics.attempts_max()),
            in_system: 0.0,
            pending: 0.0,
            arrived: 0.0,
            record: TickRecord::default(),
            open: Open::default(),
            physics,
            scenario: scenario.clone(),
        }
    }

    /// Compares the ledgers with what the lanes and the retries hold.
    ///
    /// # Panics
    /// If the plant lost or invented an attempt or a user.
    pub fn audit(&self) {
        let held: f64 = self.lanes.iter().map(Lane::in_system).sum();
        let tolerance = 1e-9 * self.arrived.max(1.0);
        assert!((held - self.in_system).abs() < tolerance, "{held} held, {} in the ledger", self.in_system);
        let waiting = held + self.retries_pending + self.untouched();
        assert!((waiting - self.pending).abs() < tolerance, "{waiting} wait, {} pending", self.pending);
    }

    /// Retries of this tick that have not been offered yet.
    fn untouched(&self) -> f64 {
        let left = 1.0 - (self.now - self.tick_start) / self.scenario.tick_seconds;
        self.coming[1..].iter().sum::<f64>() * left
    }

    fn lane_of(&self, pool: usize) -> usize {
        if self.weighted { pool } else { 0 }
    }

    /// Everything up to `until`, which lies within the tick and not beyond the next scrape.
    fn pass(&mut self, until: f64) {
        self.pass_fleet(until);
        let seconds = until - self.now;
        let share = seconds / self.scenario.tick_seconds;
        let mut segment = Segment {
            start_seconds: self.now,
            seconds,
            expected: self.demand.requests_per_second(self.tick) * seconds,
            ..Segment::default()
        };
        segment.attempts[0] = self.coming[0] * share;
        let mut offered = segment.attempts[0];
        for attempt in 1..self.physics.attempts_max() {
            segment.attempts[attempt] = self.coming[attempt] * share;
            segment.elapsed_seconds[attempt] = self.coming_elapsed_seconds[attempt] * share;
            segment.expected += segment.attempts[attempt];
            offered += segment.attempts[attempt];
        }
        self.measure_pools(until, seconds);
        self.sums = Sums::default();
        if self.weighted {
            self.step_weighted(&segment);
        } else {
            let mut network = 0.0;
            for (pool, spec) in self.pools.iter().zip(&self.scenario.pools) {
                segment.slots += pool.slots;
                segment.speed_slots += pool.speed_slots;
                segment.replicas += pool.replicas;
                network += pool.speed_slots * spec.network_seconds;
            }
            segment.network_seconds =
                if segment.speed_slots > 0.0 { network / segment.speed_slots } else { 0.0 };
            self.lanes[0].step(&self.physics, &segment, &mut self.sums, &mut self.latencies);
            let busy = self.sums.busy_slot_seconds;
            self.share_busy(0..self.pools.len(), seconds, segment.slots, busy);
        }
        self.now = until;
        self.note(offered, segment.attempts[0]);
        self.measure();
    }

    fn step_weighted(&mut self, whole: &Segment) {
        let weights: [f64; POOLS_MAX] =
            std::array::from_fn(
                |pool| {
                    if pool < self.pools.len() { self.fleet.route_weight(pool) } else { 0.0 }
                },
            );
        let sum: f64 = weights.iter().sum();
        for (pool, weight) in weights.iter().enumerate().take(self.pools.len()) {
            let share = if sum > 0.0 { weight / sum } else { 1.0 / self.pools.len() as f64 };
            let sums = &self.pools[pool];
            let segment = Segment {
                slots: sums.slots,
                speed_slots: sums.speed_slots,
                replicas: sums.replicas,
                expected: whole.expected * share,
                attempts: whole.attempts.map(|attempts| attempts * share),
                elapsed_seconds: whole.elapsed_seconds.map(|elapsed| elapsed * share),
                network_seconds: self.scenario.pools[pool].network_seconds,
                ..*whole
            };
            let before = self.sums.busy_slot_seconds;
            self.lanes[pool].step(&self.physics, &segment, &mut self.sums, &mut self.latencies);
            let busy = self.sums.busy_slot_seconds - before;
            self.share_busy(pool..pool + 1, segment.seconds, segment.slots, busy);
        }
    }

    fn share_busy(&mut self, pools: std::ops::Range<usize>, seconds: f64, slots: f64, busy: f64) {
        // With a central queue a replica has in hand only what it serves.
        let central = matches!(self.scenario.balancer, Balancer::CentralQueue {});
        for pool in pools {
            let share = if slots > 0.0 { self.pools[pool].slots / slots } else { 0.0 };
            self.pools[pool].busy_slot_seconds += busy * share;
            self.scrape_pools[pool].busy_slot_seconds += busy * share;
            self.scrape_pools[pool].outstanding_seconds += busy * share;
            if !central {
                let waiting = self.lanes[self.lane_of(pool)].waiting();
                self.scrape_pools[pool].outstanding_seconds += waiting * seconds * share;
            }
        }
    }

    /// Slots of each pool over the segment that ends now.
    fn measure_pools(&mut self, until: f64, seconds: f64) {
        for (pool, sums) in self.pools.iter_mut().enumerate() {
            let ready = self.fleet.ready_seconds_total(pool, until);
            let speed = self.fleet.speed_slot_seconds(pool, until);
            let concurrency = f64::from(self.scenario.pools[pool].concurrency);
            sums.replicas = (ready - sums.ready_seconds_total) / seconds;
            sums.slots = sums.replicas * concurrency;
            sums.speed_slots = ((speed - sums.speed_slot_seconds) / seconds).max(0.0);
            sums.ready_seconds_total = ready;
            sums.speed_slot_seconds = speed;
            self.scrape_pools[pool].slot_seconds += sums.slots * seconds;
        }
    }

    /// Adds a segment's sums to the tick and to the scrape, and sends who failed to try again or home.
    fn note(&mut self, offered: f64, first: f64) {
        let sums = &self.sums;
        let record = &mut self.open;
        self.arrived += first;
        record.attempts.offered += offered;
        record.attempts.completed += sums.completed;
        record.attempts.wasted += sums.wasted;
        record.attempts.rejected += sums.rejected;
        record.attempts.abandoned += sums.abandoned;
        record.attempts.failed += sums.failed;
        record.users.arrived += first;
        record.users.succeeded += sums.succeeded;
        record.service.users_above += sums.above;
        record.service.excess_milliseconds += sums.excess_seconds * 1e3;
        record.service.latency_seconds += sums.latency_seconds;
        record.sojourn_seconds += sums.sojourn_seconds;
        record.wait_seconds += sums.wait_seconds;
        record.started += sums.started;
        record.attempt_seconds += sums.attempt_seconds;
        self.scrape.attempts += offered;
        self.scrape.first_attempts += first;
        self.scrape.errors += sums.rejected + sums.abandoned + sums.failed;
        self.scrape.completed += sums.completed;
        self.scrape.latency_seconds += sums.completed_seconds;
        self.scrape.attempt_seconds += sums.attempt_seconds;
        self.in_system += offered - sums.completed - sums.rejected - sums.abandoned - sums.failed;
        for attempt in 0..self.physics.attempts_max() {
            let users = self.sums.unlucky[attempt];
            if users > 0.0 {
                self.unlucky(attempt, users, self.sums.unlucky_seconds[attempt]);
            }
        }
    }

    fn unlucky(&mut self, attempt: usize, users: f64, elapsed_seconds: f64) {
        if attempt + 1 >= self.physics.attempts_max() {
            self.open.users.gave_up += users;
            self.latencies.gave_up(users);
            return;
        }
        let pause = self.scenario.client.pause_seconds(attempt as u32 + 1, 0.5);
        let ticks = (pause / self.scenario.tick_seconds).clamp(1.0, (self.retries.len() - 2) as f64);
        let (first, later) = (ticks as usize, ticks.fract());
        for (offset, share) in [(first, 1.0 - later), (first + 1, later)] {
            if share > 0.0 {
                let ring = self.retries.len();
                let (due, elapsed) = &mut self.retries[(self.tick.0 as usize + offset) % ring];
                due[attempt + 1] += users * share;
                elapsed[attempt + 1] += (elapsed_seconds + users * pause) * share;
            }
        }
        self.retries_pending += users;
    }

    /// The fleet, and the replicas that have nothing left in hand, in order of time.
    fn pass_fleet(&mut self, until: f64) {
        loop {
            let next = self
                .drains
                .iter()
                .enumerate()
                .min_by(|a, b| a.1.at_seconds.total_cmp(&b.1.at_seconds))
                .map(|(index, drain)| (index, drain.at_seconds))
                .filter(|(_, at)| *at <= until);
            let boundary = next.map_or(until, |(_, at)| at);
            if self.fleet.next_seconds() <= boundary {
                let mut changes = std::mem::take(&mut self.changes);
                self.fleet.advance(boundary, &mut changes);
                let any = !changes.is_empty();
                self.changes = changes;
                if any {
                    self.take_up();
                    continue;
                }
            }
            let Some((index, at)) = next else { break };
            let drain = self.drains.swap_remove(index);
            self.fleet.drained(drain.replica, at);
        }
    }

    fn take_up(&mut self) {
        let mut changes = std::mem::take(&mut self.changes);
        self.sums = Sums::default();
        for change in changes.drain(..) {
            let index = change.replica as usize;
            if self.serving.len() <= index {
                self.serving.resize(index + 1, false);
            }
            let pool = usize::from(self.fleet.replica(change.replica).pool);
            let lane = self.lane_of(pool);
            let slots = f64::from(self.scenario.pools[pool].concurrency);
            let served = self.serving[index];
            match change.kind {
                ChangeKind::Ready => self.serving[index] = true,
                ChangeKind::Unhealthy | ChangeKind::Cancelled => {}
                ChangeKind::Draining => {
                    self.serving[index] = false;
                    let attempts = self.lanes[lane].drain(slots);
                    let unit = self.physics.service_seconds()
                        / self.fleet.speed(change.replica, change.at_seconds).max(1e-9);
                    let at_seconds = change.at_seconds + unit * last_of(attempts, self.physics.service_scv());
                    let began_seconds = change.at_seconds;
                    self.drains.push(Drain {
                        at_seconds,
                        began_seconds,
                        replica: change.replica,
                        lane,
                        attempts,
                    });
                }
                ChangeKind::Gone => {
                    self.serving[index] = false;
                    if let Some(at) = self.drains.iter().position(|drain| drain.replica == change.replica) {
                        let drain = self.drains.swap_remove(at);
                        let waited = change.at_seconds - drain.began_seconds;
                        let left = drain.attempts * (-waited / self.physics.service_seconds()).exp();
                        self.lanes[drain.lane].lose_draining(left, change.at_seconds, &mut self.sums);
                    } else if served {
                        let replicas = f64::from(self.fleet.ready(pool)) + 1.0;
                        self.lanes[lane].crash(
                            &self.physics,
                            slots,
                            replicas,
                            change.at_seconds,
                            &mut self.sums,
                        );
                    }
                }
            }
        }
        self.changes = changes;
        if self.sums.failed > 0.0 {
            self.note(0.0, 0.0);
        }
    }

    /// Takes a scrape where its window ends now.
    fn measure(&mut self) {
        if self.sensing.next_scrape_seconds() > self.now + 1e-9 * self.scenario.tick_seconds {
            return;
        }
        let mut queue_length = 0.0;
        let mut oldest = 0.0_f64;
        for lane in &self.lanes {
            queue_length += lane.waiting();
            oldest = oldest.max(lane.oldest_age_seconds(self.now));
        }
        self.scrape.queue_length = queue_length;
        self.scrape.oldest_age_seconds = oldest;
        if self.scrape.completed > 1e-9 {
            let mut quantiles = [0.0; 3];
            let n_lanes = self.lanes.len() as f64;
            for lane in &self.lanes {
                let (law, unit) = lane.law();
                let own = self.physics.sojourn().quantiles(law);
                for (sum, quantile) in quantiles.iter_mut().zip(own) {
                    *sum += quantile * unit / n_lanes;
                }
            }
            self.scrape.latency_quantiles_seconds = quantiles.map(Some);
        }
        if self.sensing.wants_replicas() {
            self.sample_replicas();
        }
        self.sensing.scrape(&self.scrape, &self.scrape_pools, &self.raw_replicas);
        self.scrape = RawWindow::default();
        self.scrape_pools.fill(RawPool::default());
    }

    /// Replicas of one pool are alike in expectation.
    fn sample_replicas(&mut self) {
        self.raw_replicas.clear();
        let window = self.scenario.sensing.scrape_seconds;
        let slots: f64 = self.scrape_pools.iter().map(|pool| pool.slot_seconds).sum();
        for index in self.fleet.serving() {
            let replica = self.fleet.replica(index);
            let sums = &self.scrape_pools[usize::from(replica.pool)];
            let concurrency = f64::from(self.scenario.pools[usize::from(replica.pool)].concurrency);
            let per_slot = |value: f64| if sums.slot_seconds > 0.0 { value / sums.slot_seconds } else { 0.0 };
            let share = if slots > 0.0 { concurrency / slots } else { 0.0 };
            self.raw_replicas.push(RawReplica {
                replica: index,
                id: replica.id,
                pool: replica.pool,
                busy_share: per_slot(sums.busy_slot_seconds).min(1.0),
                concurrency: per_slot(sums.outstanding_seconds) * concurrency,
                requests_per_second: self.scrape.attempts * share / window,
            });
        }
    }

    fn begin_tick(&mut self) {
        self.tick_start = self.tick.start_seconds(self.scenario.tick_seconds);
        let ring = self.retries.len();
        let (due, elapsed) = &mut self.retries[self.tick.0 as usize % ring];
        for attempt in 0..self.physics.attempts_max() {
            self.coming[attempt] = std::mem::take(&mut due[attempt]);
            self.coming_elapsed_seconds[attempt] = std::mem::take(&mut elapsed[attempt]);
            self.retries_pending -= self.coming[attempt];
        }
        self.coming[0] = f64::from(self.demand.users(self.tick));
        let mut changes = std::mem::take(&mut self.changes);
        self.fleet.begin_tick(self.tick, &mut changes);
        self.changes = changes;
        if !self.changes.is_empty() {
            self.take_up();
        }
    }

    /// The last tick: who is left is fewer than can be counted (or nobody will ever serve them).
    fn finish(&mut self, served: bool) {
        self.sums = Sums::default();
        let segment = Segment { start_seconds: self.now, seconds: 1.0, ..Segment::default() };
        for lane in &mut self.lanes {
            if served {
                lane.flush(&self.physics, &segment, &mut self.sums, &mut self.latencies);
            } else {
                lane.send_home(&mut self.sums);
            }
        }
        let unlucky: f64 = self.sums.unlucky.iter().sum();
        self.sums.unlucky = [0.0; ATTEMPTS_MAX];
        self.note(0.0, 0.0);
        // What is left may be rounding of either sign.
        let waiting = (self.retries_pending + unlucky).max(0.0);
        self.retries_pending = 0.0;
        self.open.users.gave_up += waiting;
        self.latencies.gave_up(waiting);
    }
}

impl Plant for FluidPlant {
    fn facts(&self) -> &OperatorFacts {
        &self.facts
    }

    fn reset(&mut self, seed: Seed) {
        self.demand.reset(seed);
        self.fleet.reset(seed);
        self.sensing.reset(seed);
        self.windows.reset();
        for lane in &mut self.lanes {
            lane.reset();
        }
        self.now = 0.0;
        self.tick = Tick(0);
        self.phase = if self.scenario.warm_up_ticks > 0 { Phase::WarmUp } else { Phase::Horizon };
        self.coming = [0.0; ATTEMPTS_MAX];
        self.coming_elapsed_seconds = [0.0; ATTEMPTS_MAX];
        self.retries.fill(([0.0; ATTEMPTS_MAX], [0.0; ATTEMPTS_MAX]));
        self.retries_pending = 0.0;
        self.drains.clear();
        self.changes.clear();
        self.serving.fill(false);
        for index in self.fleet.serving() {
            let index = index as usize;
            if self.serving.len() <= index {
                self.serving.resize(index + 1, false);
            }
            self.serving[index] = true;
        }
        self.scrape = RawWindow::default();
        self.scrape_pools.fill(RawPool::default());
        self.pools.fill(PoolSums::default());
        self.latencies.reset();
        self.latencies.counting = self.phase != Phase::WarmUp;
        (self.in_system, self.pending, self.arrived) = (0.0, 0.0, 0.0);
        self.open = Open::default();
        self.begin_tick();
    }

    fn now_seconds(&self) -> f64 {
        self.now
    }

    fn phase(&self) -> Phase {
        self.phase
    }

    fn apply(&mut self, targets: &[PoolTarget]) {
        let mut changes = std::mem::take(&mut self.changes);
        self.fleet.apply(targets, self.now, &mut changes);
        self.changes = changes;
        if !self.changes.is_empty() {
            self.take_up();
        }
    }

    /// As provided, without a division and a rounding to find the tick that is known here.
    fn tick(&mut self, targets: &[PoolTarget]) -> &TickRecord {
        self.apply(targets);
        self.advance(self.tick.next().start_seconds(self.scenario.tick_seconds));
        self.close_tick()
    }

    fn advance(&mut self, until_seconds: f64) {
        // A scrape that divides the tick splits it; the margin keeps rounding from making empty segments.
        let margin = 1e-9 * self.scenario.tick_seconds;
        while until_seconds > self.now + margin {
            let scrape = self.sensing.next_scrape_seconds();
            let until = if scrape < until_seconds - margin { scrape } else { until_seconds };
            self.pass(until);
        }
    }

    fn close_tick(&mut self) -> &TickRecord {
        let end = self.now;
        let drained_seconds = f64::from(self.tick.0) * self.facts.tick_seconds
            - f64::from(self.scenario.arrival_ticks()) * self.facts.tick_seconds;
        let users = &self.open.users;
        let left = self.pending + users.arrived - users.succeeded - users.gave_up;
        let nobody_left = left < PENDING_USERS;
        let last = self.phase == Phase::Draining && (nobody_left || drained_seconds > DRAIN_SECONDS_MAX);
        if last {
            self.finish(nobody_left);
        }
        let open = std::mem::take(&mut self.open);
        let users = open.users;
        self.pending =
            if last { 0.0 } else { self.pending + users.arrived - users.succeeded - users.gave_up };
        if last {
            self.in_system = 0.0;
        }
        let record = &mut self.record;
        record.tick = self.tick;
        record.phase = self.phase;
        record.attempts = AttemptLedger { in_system: self.in_system, ..open.attempts };
        record.users = UserLedger { pending: self.pending, ..users };
        record.service = ServiceStatistics {
            users: users.succeeded + users.gave_up,
            users_gave_up: users.gave_up,
            ..open.service
        };
        record.attempt_seconds = open.attempt_seconds;
        record.sojourn_seconds = open.sojourn_seconds;
        record.wait_seconds = open.wait_seconds;
        record.started = open.started;
        if self.phase != Phase::WarmUp {
            self.windows.tick(&mut record.service, last);
        }
        record.pools.clear();
        let mut usage = [PoolUse::default(); POOLS_MAX];
        for (pool, sums) in self.pools.iter_mut().enumerate() {
            let tick = self.fleet.close_tick(pool, end, sums.busy_slot_seconds, last);
            sums.busy_slot_seconds = 0.0;
            sums.speed_slot_seconds = 0.0;
            usage[pool] = tick.usage;
            record.pools.push(tick);
        }
        record.charge = self.facts.prices.charge(&record.service, &usage[..self.pools.len()]);
        self.tick = self.tick.next();
        self.phase = if last {
            Phase::Done
        } else if self.tick.0 < self.scenario.warm_up_ticks {
            Phase::WarmUp
        } else if self.tick.0 < self.scenario.arrival_ticks() {
            Phase::Horizon
        } else {
            Phase::Draining
        };
        self.latencies.counting = self.phase != Phase::WarmUp;
        self.begin_tick();
        &self.record
    }

    fn observe(&mut self, needs: Needs) -> Observation<'_> {
        self.sensing.observe(self.now, self.tick, &mut self.fleet, needs)
    }

    fn latency_quantile_seconds(&self, p: f64) -> Option<f64> {
        self.latencies.quantile_seconds(self.physics.sojourn(), p)
    }
}

/// Mean time until the last of `n` services in progress ends, in mean services: the residual of one, and for each
/// further one what a maximum of exponentials adds (harmonic numbers), in proportion to the variability.
fn last_of(n: f64, scv: f64) -> f64 {
    const EULER: f64 = 0.577_215_664_901_532_9;
    let harmonic = if n >= 1.0 { n.ln() + EULER + (1.0 - EULER) / n } else { n };
    0.5 * (1.0 + scv) * n.min(1.0) + scv.min(1.0) * (harmonic - 1.0).max(0.0)
}

#[cfg(test)]
mod tests;
