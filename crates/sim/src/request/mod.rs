//! The request engine: every request, event by event. It is the truth that reports use.
//!
//! Events in order of time, and at equal times in this order: a service ends, a client's patience ends, a retry is
//! sent, a replica changes, a scrape is taken, a user arrives.
//!
//! Users' arrivals, work and patience are drawn in user order, before anything that a controller did can matter; a
//! retry repeats its user's work. Memory is bounded by what is in the system and by the arrivals of one tick.

#![allow(
    clippy::inline_always,
    reason = "what every event goes through, inlined into one loop: a tenth fewer instructions a request"
)]

mod balance;
mod completions;
mod latencies;
mod users;

pub use users::{User, users_of_run};

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use hdrhistogram::Histogram;
use tidegate_core::plant::Phase;
use tidegate_core::windows::Windows;
use tidegate_core::{
    AttemptLedger, Distribution, Key, Needs, Observation, OperatorFacts, Plant, PoolTarget, PoolUse,
    SECONDS_PER_DAY, Scenario, Seed, ServiceStatistics, Stream, Tick, TickRecord, UserLedger,
};

use crate::fleet::{Change, ChangeKind, Fleet};
use crate::sensing::{RawPool, RawReplica, RawWindow, Sensing};
use balance::{Integral, Route, Stations};
use completions::{Completion, Completions};
use latencies::{Latencies, seconds_at};
use users::Users;

/// Whoever still waits after draining this long gives up: there is nobody left to serve them.
const DRAIN_SECONDS_MAX: f64 = SECONDS_PER_DAY;

/// The service, request by request.
#[derive(Clone, Debug)]
pub struct RequestPlant {
    scenario: Scenario,
    facts: OperatorFacts,
    /// Those of the current tick, their arrivals closed by an infinite one.
    users: Users,
    fleet: Fleet,
    sensing: Sensing,
    windows: Windows,
    retry: Key,

    now: f64,
    tick: Tick,
    phase: Phase,
    /// Which of them is next.
    next_arrival: usize,
    /// The next time-out, retry, change or scrape: anything but arrivals and completions.
    next_other: f64,

    jobs: Vec<Job>,
    free_jobs: Vec<u32>,
    completions: Completions,
    /// One patience for all keeps deadlines in order of offering; a drawn one needs a heap.
    timeouts_in_order: VecDeque<Timeout>,
    timeouts: BinaryHeap<Reverse<Timeout>>,
    retries: BinaryHeap<Reverse<Retry>>,
    stations: Stations,
    changes: Vec<Change>,

    totals: Totals,
    at_tick: Totals,
    at_scrape: Totals,
    in_system: Integral,
    in_system_at_tick: f64,
    in_system_at_scrape: f64,
    pools: Vec<PoolSums>,
    raw_pools: Vec<RawPool>,
    raw_replicas: Vec<RawReplica>,
    latencies: Latencies,
    gave_up_counted: u64,
    window_latencies: Latencies,
    window_histogram: Histogram<u32>,
    record: TickRecord,
}

/// An attempt in the system.
#[derive(Clone, Copy, Debug)]
struct Job {
    offered: f64,
    first: f64,
    work: f64,
    patience: f64,
    user: u64,
    replica: u32,
    /// Grows whenever the place is reused, so that what refers to an earlier attempt is known to be stale.
    generation: u32,
    attempt: u32,
    state: JobState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JobState {
    Free,
    Queued,
    Serving,
    /// In service, but its client has left: wasted work.
    Orphan,
    /// Its client left while it waited; the queue has yet to drop it.
    Abandoned,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Timeout {
    at: f64,
    job: u32,
    generation: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Retry {
    at: f64,
    user: u64,
    first: f64,
    work: f64,
    patience: f64,
    attempt: u32,
}

/// Counts and sums since the start of the run; a tick and a scrape are differences of them.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    offered: u64,
    completed: u64,
    rejected: u64,
    abandoned: u64,
    failed: u64,
    wasted: u64,
    started: u64,
    wait_seconds: f64,
    sojourn_seconds: f64,
    completed_seconds: f64,
    arrived: u64,
    succeeded: u64,
    gave_up: u64,
    above: u64,
    excess_milliseconds: f64,
    latency_seconds: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct PoolSums {
    busy: Integral,
    /// Attempts waiting at the pool's replicas; those in a group's queue wait at none.
    waiting: Integral,
    busy_at_tick: f64,
    busy_at_scrape: f64,
    waiting_at_scrape: f64,
    slots_at_scrape: f64,
}

impl RequestPlant {
    /// The plant of a scenario; call [`Plant::reset`] before use.
    pub fn new(scenario: &Scenario) -> Self {
        let seed = Seed::training(0);
        Self {
            facts: scenario.facts(),
            users: Users::new(scenario),
            fleet: Fleet::new(scenario),
            sensing: Sensing::new(scenario),
            windows: Windows::new(scenario.level),
            retry: seed.key(Stream::Retry),
            now: 0.0,
            tick: Tick(0),
            phase: Phase::WarmUp,
            next_arrival: 0,
            next_other: 0.0,
            jobs: Vec::new(),
            free_jobs: Vec::new(),
            completions: Completions::new(),
            timeouts_in_order: VecDeque::new(),
            timeouts: BinaryHeap::new(),
            retries: BinaryHeap::new(),
            stations: Stations::new(scenario),
            changes: Vec::new(),
            totals: Totals::default(),
            at_tick: Totals::default(),
            at_scrape: Totals::default(),
            in_system: Integral::default(),
            in_system_at_tick: 0.0,
            in_system_at_scrape: 0.0,
            pools: vec![PoolSums::default(); scenario.pools.len()],
            raw_pools: Vec::new(),
            raw_replicas: Vec::new(),
            latencies: Latencies::new(),
            gave_up_counted: 0,
            window_latencies: Latencies::new(),
            window_histogram: Latencies::histogram(),
            record: TickRecord::default(),
            scenario: scenario.clone(),
        }
    }

    /// Counts everything again from the structures themselves and compares it with the ledgers.
    ///
    /// # Panics
    /// If the plant lost or invented an attempt or a user.
    pub fn audit(&self) {
        let live = |state| matches!(state, JobState::Queued | JobState::Serving | JobState::Orphan);
        let in_system = self.jobs.iter().filter(|job| live(job.state)).count() as u64;
        let left = self.totals.completed + self.totals.rejected + self.totals.abandoned + self.totals.failed;
        assert_eq!(self.totals.offered, left + in_system, "the plant lost attempts");
        let clients = |state| matches!(state, JobState::Queued | JobState::Serving);
        let waiting = self.jobs.iter().filter(|job| clients(job.state)).count() + self.retries.len();
        let decided = self.totals.succeeded + self.totals.gave_up;
        assert_eq!(self.totals.arrived, decided + waiting as u64, "the plant lost users");
        let serving = |state| matches!(state, JobState::Serving | JobState::Orphan);
        let busy = self.jobs.iter().filter(|job| serving(job.state)).count();
        assert_eq!(busy, self.stations.busy(), "the stations lost jobs");
        let queued = self.jobs.iter().filter(|job| job.state == JobState::Queued).count();
        assert_eq!(queued, self.stations.queued(), "the queues lost jobs");
    }

    fn pending(&self) -> u64 {
        self.totals.arrived - self.totals.succeeded - self.totals.gave_up
    }

    /// Everything that happens up to and including `until`.
    fn pass(&mut self, until: f64) {
        loop {
            let completion = self.completions.next_seconds();
            let arrival = self.users.arrivals[self.next_arrival];
            if completion <= arrival && completion <= self.next_other {
                if completion > until {
                    break;
                }
                self.now = completion;
                self.complete();
            } else if arrival < self.next_other {
                if arrival > until {
                    break;
                }
                self.now = arrival;
                self.arrive(arrival);
            } else {
                if self.next_other > until {
                    break;
                }
                self.now = self.next_other;
                self.other(self.now);
            }
        }
        self.now = until;
    }

    /// A time-out, a retry, a change of the fleet or a scrape.
    fn other(&mut self, now: f64) {
        if self.next_timeout() <= now {
            self.time_out();
        } else if self.retries.peek().is_some_and(|Reverse(retry)| retry.at <= now) {
            let Reverse(retry) = self.retries.pop().expect("it was just seen");
            let Retry { user, first, work, patience, attempt, .. } = retry;
            self.offer(&Job { first, work, patience, user, attempt, ..Job::new(now) });
        } else if self.fleet.next_seconds() <= now {
            let mut changes = std::mem::take(&mut self.changes);
            self.fleet.advance(now, &mut changes);
            self.take_up(&mut changes);
            self.changes = changes;
        } else if self.sensing.next_scrape_seconds() <= now {
            self.scrape(now);
        }
        self.look_ahead();
    }

    fn look_ahead(&mut self) {
        let retry = self.retries.peek().map_or(f64::INFINITY, |Reverse(retry)| retry.at);
        self.next_other = self
            .next_timeout()
            .min(retry)
            .min(self.fleet.next_seconds())
            .min(self.sensing.next_scrape_seconds());
    }

    #[inline(always)]
    fn arrive(&mut self, now: f64) {
        let (work, patience) = (self.users.works[self.next_arrival], self.users.patiences[self.next_arrival]);
        self.next_arrival += 1;
        let user = self.totals.arrived;
        self.totals.arrived += 1;
        self.offer(&Job { work, patience, user, ..Job::new(now) });
    }

    /// An attempt reaches the service.
    #[inline]
    fn offer(&mut self, job: &Job) {
        let now = job.offered;
        self.totals.offered += 1;
        let route = self.stations.route(job.user, job.attempt, &self.fleet);
        if let Some(replica) = self.stations.free_slot(&route) {
            let index = self.keep(job, JobState::Serving);
            let service = self.start(index, replica, now);
            if service > job.patience {
                self.watch_patience(index, now + job.patience);
            }
            self.completions.push(self.completion(index, now + service));
        } else if self.stations.is_full(&route) {
            self.totals.rejected += 1;
            self.client_failed(job, now);
        } else {
            let index = self.keep(job, JobState::Queued);
            self.wait_in_line(&route, index, now);
            if job.patience < f64::INFINITY {
                self.watch_patience(index, now + job.patience);
            }
        }
    }

    #[inline]
    fn wait_in_line(&mut self, route: &Route, index: u32, now: f64) {
        let replica = self.stations.enqueue(route, index, now);
        self.jobs[index as usize].replica = replica;
        if let Some(pool) = self.stations.pool_of(replica) {
            self.pools[pool].waiting.add(now, 1.0);
        }
    }

    /// A waiting attempt's client left; its place in the queue is dropped when the queue comes to it.
    fn abandon(&mut self, index: u32, now: f64) {
        let job = self.jobs[index as usize];
        self.totals.abandoned += 1;
        self.leave(&job, now);
        self.stations.abandon(job.replica, now);
        if let Some(pool) = self.stations.pool_of(job.replica) {
            self.pools[pool].waiting.add(now, -1.0);
        }
        self.jobs[index as usize].state = JobState::Abandoned;
    }

    /// Takes an attempt into the system.
    #[inline(always)]
    fn keep(&mut self, job: &Job, state: JobState) -> u32 {
        self.in_system.add(job.offered, 1.0);
        if let Some(index) = self.free_jobs.pop() {
            let place = &mut self.jobs[index as usize];
            *place = Job { state, generation: place.generation, ..*job };
            index
        } else {
            self.jobs.push(Job { state, ..*job });
            self.jobs.len() as u32 - 1
        }
    }

    #[inline(always)]
    fn free(&mut self, index: u32) {
        let job = &mut self.jobs[index as usize];
        job.state = JobState::Free;
        job.generation = job.generation.wrapping_add(1);
        self.free_jobs.push(index);
    }

    #[inline]
    fn completion(&self, index: u32, at: f64) -> Completion {
        Completion { at, job: index, generation: self.jobs[index as usize].generation }
    }

    /// Puts a job into a free slot of `replica`; gives the time that service takes.
    #[inline(always)]
    fn start(&mut self, index: u32, replica: u32, now: f64) -> f64 {
        let job = &mut self.jobs[index as usize];
        let waited_here = job.state == JobState::Queued && job.replica == replica;
        job.state = JobState::Serving;
        job.replica = replica;
        self.totals.started += 1;
        self.totals.wait_seconds += now - job.offered;
        let work = job.work;
        let pool = self.stations.start(replica, now);
        self.pools[pool].busy.add(now, 1.0);
        if waited_here {
            self.pools[pool].waiting.add(now, -1.0);
        }
        work / self.stations.speed(replica, now, &self.fleet)
    }

    #[inline(always)]
    fn complete(&mut self) {
        let Completion { at: now, job: index, generation } = self.completions.first();
        let job = self.jobs[index as usize];
        if job.generation != generation {
            // Lost in a crash.
            self.completions.pop();
            return;
        }
        self.totals.completed += 1;
        self.totals.completed_seconds += now - job.offered;
        self.leave(&job, now);
        self.window_latencies.record(now - job.offered);
        let pool = self.stations.end(job.replica, now);
        self.pools[pool].busy.add(now, -1.0);
        if job.state == JobState::Orphan {
            self.totals.wasted += 1;
        } else {
            self.succeed(now - job.first + self.scenario.pools[pool].network_seconds);
        }
        self.free(index);
        if let Some(next) = self.next_for(job.replica) {
            let service = self.start(next, job.replica, now);
            self.completions.replace_first(self.completion(next, now + service));
        } else {
            self.completions.pop();
            if self.stations.release(job.replica) {
                self.fleet.drained(job.replica, now);
                // A terminating hook may begin.
                self.next_other = self.next_other.min(self.fleet.next_seconds());
            }
        }
    }

    #[inline(always)]
    fn succeed(&mut self, latency: f64) {
        self.totals.succeeded += 1;
        self.totals.latency_seconds += latency;
        let excess = latency - self.scenario.level.bound_seconds;
        if excess > 0.0 {
            self.totals.above += 1;
            self.totals.excess_milliseconds += excess * 1e3;
        }
        if self.phase != Phase::WarmUp {
            self.latencies.record(latency);
        }
    }

    /// An attempt is no longer in the system.
    #[inline]
    fn leave(&mut self, job: &Job, now: f64) {
        self.totals.sojourn_seconds += now - job.offered;
        self.in_system.add(now, -1.0);
    }

    /// The next job that waits for this replica; abandoned ones before it are dropped.
    #[inline(always)]
    fn next_for(&mut self, replica: u32) -> Option<u32> {
        loop {
            let index = self.stations.dequeue(replica)?;
            if self.jobs[index as usize].state == JobState::Queued {
                self.stations.took_from_queue(replica, self.now);
                return Some(index);
            }
            self.free(index);
        }
    }

    /// The client of an attempt that failed tries again or gives up.
    fn client_failed(&mut self, job: &Job, now: f64) {
        let client = &self.scenario.client;
        if job.attempt < client.attempts_max {
            let luck = self.retry.uniform(job.user, u64::from(job.attempt));
            let at = now + client.pause_seconds(job.attempt, luck);
            let Job { user, first, work, patience, attempt, .. } = *job;
            self.retries.push(Reverse(Retry { at, user, first, work, patience, attempt: attempt + 1 }));
            self.next_other = self.next_other.min(at);
        } else {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        self.totals.gave_up += 1;
        self.gave_up_counted += u64::from(self.phase != Phase::WarmUp);
    }

    #[inline]
    fn watch_patience(&mut self, index: u32, at: f64) {
        self.next_other = self.next_other.min(at);
        let timeout = Timeout { at, job: index, generation: self.jobs[index as usize].generation };
        if matches!(self.scenario.client.timeout, Some(Distribution::Constant { .. })) {
            self.timeouts_in_order.push_back(timeout);
        } else {
            self.timeouts.push(Reverse(timeout));
        }
    }

    #[inline]
    fn next_timeout(&self) -> f64 {
        let in_order = self.timeouts_in_order.front().map_or(f64::INFINITY, |timeout| timeout.at);
        let drawn = self.timeouts.peek().map_or(f64::INFINITY, |Reverse(timeout)| timeout.at);
        in_order.min(drawn)
    }

    fn time_out(&mut self) {
        let timeout = self
            .timeouts_in_order
            .pop_front()
            .or_else(|| self.timeouts.pop().map(|Reverse(timeout)| timeout))
            .expect("its time was just seen");
        let index = timeout.job;
        let job = self.jobs[index as usize];
        if self.is_over(&timeout) {
            self.drop_timeouts();
            return;
        }
        match job.state {
            JobState::Queued => {
                self.abandon(index, timeout.at);
                self.client_failed(&job, timeout.at);
            }
            JobState::Serving => {
                self.jobs[index as usize].state = JobState::Orphan;
                self.client_failed(&job, timeout.at);
            }
            JobState::Orphan | JobState::Abandoned | JobState::Free => {}
        }
    }

    /// Whether the attempt that was watched has left the system.
    fn is_over(&self, timeout: &Timeout) -> bool {
        self.jobs[timeout.job as usize].generation != timeout.generation
    }

    /// Where patience is long next to service, most of those watched were served in time: all of them up to the first
    /// that was not are dropped at once, which saves an event each.
    fn drop_timeouts(&mut self) {
        while self.timeouts_in_order.front().is_some_and(|timeout| self.is_over(timeout)) {
            self.timeouts_in_order.pop_front();
        }
        while self.timeouts.peek().is_some_and(|Reverse(timeout)| self.is_over(timeout)) {
            self.timeouts.pop();
        }
    }

    /// Acts on what happened to replicas.
    fn take_up(&mut self, changes: &mut Vec<Change>) {
        for change in changes.drain(..) {
            let (now, replica) = (change.at_seconds, change.replica);
            match change.kind {
                ChangeKind::Ready => {
                    self.stations.open(replica, now, &self.fleet);
                    self.fill(replica, now);
                }
                ChangeKind::Unhealthy => self.stations.slow_down(replica, now, &self.fleet),
                ChangeKind::Draining => {
                    if self.stations.close(replica) {
                        self.fleet.drained(replica, now);
                    }
                }
                ChangeKind::Gone => self.lose(replica, now),
                ChangeKind::Cancelled => {}
            }
        }
    }

    /// A replica opened: it takes what waits for any replica, or what waits because there was none.
    fn fill(&mut self, replica: u32, now: f64) {
        if self.stations.has_central_queue() {
            while self.stations.has_free_slot(replica) {
                let Some(next) = self.next_for(replica) else { break };
                let service = self.start(next, replica, now);
                self.completions.push(self.completion(next, now + service));
            }
            self.stations.offer_slots(replica);
            return;
        }
        // Whatever waited because no replica was there is handed out by the balancer, oldest first.
        for index in self.stations.take_homeless(replica) {
            let job = self.jobs[index as usize];
            if job.state != JobState::Queued {
                self.free(index);
                continue;
            }
            let route = self.stations.route(job.user, job.attempt, &self.fleet);
            if let Some(replica) = self.stations.free_slot(&route) {
                let service = self.start(index, replica, now);
                self.completions.push(self.completion(index, now + service));
            } else {
                self.wait_in_line(&route, index, now);
            }
        }
    }

    /// A replica is gone: what it had in hand fails.
    fn lose(&mut self, replica: u32, now: f64) {
        for index in 0..self.jobs.len() as u32 {
            let job = self.jobs[index as usize];
            if job.replica != replica || !matches!(job.state, JobState::Serving | JobState::Orphan) {
                continue;
            }
            let pool = self.stations.end(replica, now);
            self.pools[pool].busy.add(now, -1.0);
            self.fail(index, now);
        }
        for index in self.stations.take_queue(replica, now) {
            if self.jobs[index as usize].state == JobState::Queued {
                if let Some(pool) = self.stations.pool_of(replica) {
                    self.pools[pool].waiting.add(now, -1.0);
                }
                self.fail(index, now);
            } else {
                self.free(index);
            }
        }
        self.stations.forget(replica);
    }

    fn fail(&mut self, index: u32, now: f64) {
        let job = self.jobs[index as usize];
        self.totals.failed += 1;
        self.leave(&job, now);
        self.free(index);
        if job.state != JobState::Orphan {
            self.client_failed(&job, now);
        }
    }

    fn scrape(&mut self, now: f64) {
        let (totals, before) = (&self.totals, &self.at_scrape);
        self.window_latencies.pour_into(&mut self.window_histogram);
        let quantile =
            |p: f64| (!self.window_histogram.is_empty()).then(|| seconds_at(&self.window_histogram, p));
        let errors = |totals: &Totals| totals.rejected + totals.abandoned + totals.failed;
        let in_system = self.in_system.at(now);
        let raw = RawWindow {
            attempts: (totals.offered - before.offered) as f64,
            first_attempts: (totals.arrived - before.arrived) as f64,
            errors: (errors(totals) - errors(before)) as f64,
            completed: (totals.completed - before.completed) as f64,
            latency_seconds: totals.completed_seconds - before.completed_seconds,
            latency_quantiles_seconds: [quantile(0.5), quantile(0.95), quantile(0.99)],
            queue_length: self.stations.queued() as f64,
            attempt_seconds: in_system - self.in_system_at_scrape,
            oldest_age_seconds: self.oldest_age(now),
        };
        self.in_system_at_scrape = in_system;
        self.at_scrape = self.totals;
        self.window_latencies.reset();
        self.raw_pools.clear();
        for (pool, sums) in self.pools.iter_mut().enumerate() {
            let (busy, waiting) = (sums.busy.at(now), sums.waiting.at(now));
            let slots =
                self.fleet.ready_seconds_total(pool, now) * f64::from(self.scenario.pools[pool].concurrency);
            self.raw_pools.push(RawPool {
                slot_seconds: slots - sums.slots_at_scrape,
                busy_slot_seconds: busy - sums.busy_at_scrape,
                outstanding_seconds: busy - sums.busy_at_scrape + waiting - sums.waiting_at_scrape,
            });
            sums.busy_at_scrape = busy;
            sums.waiting_at_scrape = waiting;
            sums.slots_at_scrape = slots;
        }
        self.raw_replicas.clear();
        if self.sensing.wants_replicas() {
            self.stations.sample(
                now,
                self.scenario.sensing.scrape_seconds,
                &self.fleet,
                &mut self.raw_replicas,
            );
        }
        self.sensing.scrape(&raw, &self.raw_pools, &self.raw_replicas);
    }

    fn oldest_age(&self, now: f64) -> f64 {
        let oldest = self.stations.fronts(|index| {
            let job = &self.jobs[index as usize];
            (job.state == JobState::Queued).then_some(job.offered)
        });
        oldest.map_or(0.0, |offered| now - offered)
    }

    fn begin_tick(&mut self) {
        self.draw_users();
        let mut changes = std::mem::take(&mut self.changes);
        self.fleet.begin_tick(self.tick, &mut changes);
        self.take_up(&mut changes);
        self.changes = changes;
        self.look_ahead();
    }

    /// Everybody who arrives in the tick that begins.
    fn draw_users(&mut self) {
        self.next_arrival = 0;
        self.users.draw(self.tick);
        self.users.arrivals.push(f64::INFINITY);
    }

    /// Whoever still waits gives up: their attempts leave as abandoned.
    fn send_everyone_home(&mut self) {
        for _ in 0..self.retries.len() {
            self.give_up();
        }
        self.retries.clear();
        for index in 0..self.jobs.len() as u32 {
            match self.jobs[index as usize].state {
                JobState::Queued => {
                    self.abandon(index, self.now);
                    self.give_up();
                }
                JobState::Serving => {
                    self.jobs[index as usize].state = JobState::Orphan;
                    self.give_up();
                }
                JobState::Orphan | JobState::Abandoned | JobState::Free => {}
            }
        }
    }
}

impl Plant for RequestPlant {
    fn facts(&self) -> &OperatorFacts {
        &self.facts
    }

    fn reset(&mut self, seed: Seed) {
        self.users.reset(seed);
        self.fleet.reset(seed);
        self.sensing.reset(seed);
        self.windows.reset();
        self.retry = seed.key(Stream::Retry);
        self.now = 0.0;
        self.tick = Tick(0);
        self.phase = if self.scenario.warm_up_ticks > 0 { Phase::WarmUp } else { Phase::Horizon };
        self.jobs.clear();
        self.free_jobs.clear();
        self.completions.clear();
        self.timeouts_in_order.clear();
        self.timeouts.clear();
        self.retries.clear();
        self.changes.clear();
        self.stations.reset(seed);
        self.totals = Totals::default();
        self.at_tick = Totals::default();
        self.at_scrape = Totals::default();
        self.in_system = Integral::default();
        self.in_system_at_tick = 0.0;
        self.in_system_at_scrape = 0.0;
        self.pools.fill(PoolSums::default());
        self.latencies.reset();
        self.window_latencies.reset();
        self.gave_up_counted = 0;
        let serving: Vec<u32> = self.fleet.serving().collect();
        for replica in serving {
            self.stations.open(replica, 0.0, &self.fleet);
            self.stations.offer_slots(replica);
        }
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
        self.take_up(&mut changes);
        self.changes = changes;
        self.look_ahead();
    }

    fn advance(&mut self, until_seconds: f64) {
        if until_seconds > self.now {
            self.pass(until_seconds);
        }
    }

    fn close_tick(&mut self) -> &TickRecord {
        let end = self.now;
        let drained_seconds = f64::from(self.tick.0) * self.facts.tick_seconds
            - f64::from(self.scenario.arrival_ticks()) * self.facts.tick_seconds;
        if self.phase == Phase::Draining && drained_seconds > DRAIN_SECONDS_MAX {
            self.send_everyone_home();
        }
        let last = self.phase == Phase::Draining && self.pending() == 0;
        let (totals, before) = (&self.totals, &self.at_tick);
        let record = &mut self.record;
        record.tick = self.tick;
        record.phase = self.phase;
        let left = totals.completed + totals.rejected + totals.abandoned + totals.failed;
        record.attempts = AttemptLedger {
            offered: (totals.offered - before.offered) as f64,
            completed: (totals.completed - before.completed) as f64,
            rejected: (totals.rejected - before.rejected) as f64,
            abandoned: (totals.abandoned - before.abandoned) as f64,
            failed: (totals.failed - before.failed) as f64,
            in_system: (totals.offered - left) as f64,
            wasted: (totals.wasted - before.wasted) as f64,
        };
        assert_eq!(self.in_system.count(), record.attempts.in_system, "the plant lost attempts");
        record.users = UserLedger {
            arrived: (totals.arrived - before.arrived) as f64,
            succeeded: (totals.succeeded - before.succeeded) as f64,
            gave_up: (totals.gave_up - before.gave_up) as f64,
            pending: (totals.arrived - totals.succeeded - totals.gave_up) as f64,
        };
        record.service = ServiceStatistics {
            users: record.users.succeeded + record.users.gave_up,
            users_above: (totals.above - before.above) as f64,
            excess_milliseconds: totals.excess_milliseconds - before.excess_milliseconds,
            users_gave_up: record.users.gave_up,
            latency_seconds: totals.latency_seconds - before.latency_seconds,
            windows_violated: 0.0,
        };
        record.sojourn_seconds = totals.sojourn_seconds - before.sojourn_seconds;
        record.wait_seconds = totals.wait_seconds - before.wait_seconds;
        record.started = (totals.started - before.started) as f64;
        let in_system = self.in_system.at(end);
        record.attempt_seconds = in_system - self.in_system_at_tick;
        self.in_system_at_tick = in_system;
        if self.phase != Phase::WarmUp {
            self.windows.tick(&mut record.service, last);
        }
        record.pools.clear();
        let mut usage = [PoolUse::default(); tidegate_core::POOLS_MAX];
        for (pool, sums) in self.pools.iter_mut().enumerate() {
            let busy = sums.busy.at(end);
            let tick = self.fleet.close_tick(pool, end, busy - sums.busy_at_tick, last);
            sums.busy_at_tick = busy;
            usage[pool] = tick.usage;
            record.pools.push(tick);
        }
        record.charge = self.facts.prices.charge(&record.service, &usage[..self.pools.len()]);
        self.at_tick = self.totals;

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
        self.begin_tick();
        &self.record
    }

    fn observe(&mut self, needs: Needs) -> Observation<'_> {
        self.sensing.observe(self.now, self.tick, &mut self.fleet, needs)
    }

    fn latency_quantile_seconds(&self, p: f64) -> Option<f64> {
        let users = self.latencies.len() + self.gave_up_counted;
        if users == 0 {
            return None;
        }
        // Those who gave up are the slowest of all.
        let rank = p * users as f64;
        let succeeded = self.latencies.len() as f64;
        if rank > succeeded {
            return Some(f64::INFINITY);
        }
        let mut histogram = Latencies::histogram();
        self.latencies.pour_into(&mut histogram);
        Some(seconds_at(&histogram, rank / succeeded))
    }
}

impl Job {
    /// A first attempt, now.
    fn new(now: f64) -> Self {
        Self {
            offered: now,
            first: now,
            work: 0.0,
            patience: f64::INFINITY,
            user: 0,
            replica: Stations::NOWHERE,
            generation: 0,
            attempt: 1,
            state: JobState::Free,
        }
    }
}

impl Eq for Timeout {}

impl PartialOrd for Timeout {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timeout {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at
            .total_cmp(&other.at)
            .then(self.job.cmp(&other.job))
            .then(self.generation.cmp(&other.generation))
    }
}

impl Eq for Retry {}

impl PartialOrd for Retry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Retry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.total_cmp(&other.at).then(self.user.cmp(&other.user))
    }
}
