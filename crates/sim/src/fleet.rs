//! The fleet: replicas, their lives and their bills. Both engines share it; only the flow of requests differs.
//!
//! A life: requested → starting (random delay) → in a launch hook → registering → ready → draining → gone; or it ends
//! by a crash, by an unhealthy spell that the health check notices, or by the spot market after its notice. Prepared
//! replicas of a warm pool wait out of service and start faster. As in an AWS Auto Scaling group, a launch hook may
//! time out and give the replica up, a terminating hook keeps a replica that was scaled in and has drained out of
//! service but billed, and such a replica may go back to the warm pool instead of ending.
//!
//! Chance is a counter hash of (pool and slot, tick): the same slot launched at the same tick is as slow under every
//! controller, and hazards strike slots, not launches.
//!
//! Money: every second from request to end is billed as it passes, and at the end of a life what the billing quantum
//! and minimum add. The sum over a run is exactly what the bill says; only the tick in which the last part of a life's
//! final quantum appears is its last and not its first.

mod hazards;
#[cfg(test)]
mod tests;
mod warm_pool;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tidegate_core::observation::{Notice, ReplicaState};
use tidegate_core::scenario::{FaultsConfig, HookResult, Pool, WarmState};
use tidegate_core::{
    Bounds, Key, PoolStatus, PoolTarget, PoolTick, Replicas, SECONDS_PER_HOUR, Scenario, Seed, Stream, Tick,
};

use crate::surroundings::Surroundings;

/// All pools of a service.
#[derive(Clone, Debug)]
pub struct Fleet {
    specs: Vec<Pool>,
    faults: FaultsConfig,
    tick_seconds: f64,
    warm_up_seconds: f64,
    pools: Vec<PoolState>,
    replicas: Vec<Replica>,
    free_indices: BinaryHeap<Reverse<u32>>,
    due: BinaryHeap<Reverse<Due>>,
    notices: Vec<Notice>,
    surroundings: Surroundings,
    startup: Key,
    hook: Key,
    crash: Key,
    unhealthy: Key,
    preemption: Key,
    tick: Tick,
    n_created: u64,
    n_due: u64,
}

/// One replica. Its position in the fleet is reused after its end, its `id` never.
#[derive(Clone, Debug)]
pub struct Replica {
    /// Position of its pool.
    pub pool: u16,
    /// Its place within the pool, the lowest that was free; what hazards strike.
    pub slot: u32,
    /// Its number, never reused.
    pub id: u64,
    /// Share of the nominal size.
    pub size: f64,
    life: Life,
    created_seconds: f64,
    started_seconds: f64,
    hook_end_seconds: f64,
    ready_seconds: f64,
    changed_seconds: f64,
    /// It was scaled in, not taken back by the market: its terminating hook runs, and it may return to the warm pool.
    was_scaled_in: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// On its way to the warm pool.
    Preparing,
    Warm,
    Coming,
    Ready,
    Unhealthy,
    Draining,
    /// Drained, in the terminating hook.
    Leaving,
    Gone,
}

/// Something that a request engine must act on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// When.
    pub at_seconds: f64,
    /// Which replica.
    pub replica: u32,
    /// What.
    pub kind: ChangeKind,
}

/// What happened to a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It serves from now on.
    Ready,
    /// It takes nothing new and finishes what it has.
    Draining,
    /// It is gone; what it had in hand fails.
    Gone,
    /// It was told to go and never served: nothing was in its hands.
    Cancelled,
    /// It serves badly from now on.
    Unhealthy,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Due {
    at_seconds: f64,
    order: u64,
    replica: u32,
    id: u64,
    kind: DueKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DueKind {
    Ready,
    Prepared,
    Abandoned,
    DrainEnd,
    Left,
    Crash,
    Notice,
    Unhealthy,
    Detected,
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at_seconds.total_cmp(&other.at_seconds).then(self.order.cmp(&other.order))
    }
}

#[derive(Clone, Debug)]
struct PoolState {
    declared: Replicas,
    bounds: Bounds,
    size: f64,
    route_weight: f64,
    warm_wanted: Replicas,
    coming: Replicas,
    ready: Replicas,
    draining: Replicas,
    warm: Replicas,
    notices: u32,
    slots: Vec<bool>,
    free_slots: BinaryHeap<Reverse<u32>>,
    /// Number and summed sizes of everything that is billed at the full price.
    alive: Replicas,
    alive_size: f64,
    /// Nominal speed of all ready slots, slow starts and unhealthy spells left out.
    speed_slots: f64,
    touched_seconds: f64,
    slow_starting: Vec<u32>,
    tick: PoolTick,
    alive_seconds: f64,
    speed_slot_seconds: f64,
    ready_seconds_total: f64,
}

impl Fleet {
    /// The fleet of a scenario; call [`Fleet::reset`] before use.
    pub fn new(scenario: &Scenario) -> Self {
        let seed = Seed::training(0);
        Self {
            specs: scenario.pools.clone(),
            faults: scenario.faults,
            tick_seconds: scenario.tick_seconds,
            warm_up_seconds: f64::from(scenario.warm_up_ticks) * scenario.tick_seconds,
            pools: scenario.pools.iter().map(PoolState::new).collect(),
            replicas: Vec::new(),
            free_indices: BinaryHeap::new(),
            due: BinaryHeap::new(),
            notices: Vec::new(),
            surroundings: Surroundings::new(scenario),
            startup: seed.key(Stream::Startup),
            hook: seed.key(Stream::LaunchHook),
            crash: seed.key(Stream::Crash),
            unhealthy: seed.key(Stream::Unhealthy),
            preemption: seed.key(Stream::Preemption),
            tick: Tick(0),
            n_created: 0,
            n_due: 0,
        }
    }

    /// The initial fleet, ready at time 0, in the world of `seed`. The engine must then take up every replica that
    /// [`Fleet::serving`] lists.
    pub fn reset(&mut self, seed: Seed) {
        self.startup = seed.key(Stream::Startup);
        self.hook = seed.key(Stream::LaunchHook);
        self.crash = seed.key(Stream::Crash);
        self.unhealthy = seed.key(Stream::Unhealthy);
        self.preemption = seed.key(Stream::Preemption);
        self.surroundings.reset(seed);
        self.replicas.clear();
        self.free_indices.clear();
        self.due.clear();
        self.notices.clear();
        self.tick = Tick(0);
        self.n_created = 0;
        self.n_due = 0;
        for pool in 0..self.pools.len() {
            self.pools[pool].reset(&self.specs[pool]);
            for _ in 0..self.specs[pool].replicas_initial {
                let index = self.create(pool, 0.0, Life::Ready);
                self.pools[pool].ready += 1;
                self.serve(pool, index, 1.0);
            }
            let warm = self.specs[pool].warm_pool.as_ref().map_or(0, |warm| warm.replicas_initial);
            for _ in 0..warm {
                self.create(pool, 0.0, Life::Warm);
                self.pools[pool].warm += 1;
            }
            self.pools[pool].warm_wanted = warm;
        }
    }

    /// Declares what is wanted from now on. What must happen at once is added to `changes`.
    pub fn apply(&mut self, targets: &[PoolTarget], now_seconds: f64, changes: &mut Vec<Change>) {
        for (pool, target) in targets.iter().enumerate().take(self.pools.len()) {
            let state = &mut self.pools[pool];
            if let Some(bounds) = target.bounds {
                let nominal = self.specs[pool].bounds;
                // An operator's own limits hold whatever a controller sets.
                state.bounds = Bounds {
                    replicas_min: bounds.replicas_min.min(nominal.replicas_max),
                    replicas_max: bounds.replicas_max.min(nominal.replicas_max),
                };
            }
            if let Some(size) = target.replica_size {
                state.size = size.max(f64::MIN_POSITIVE);
            }
            if let Some(warm) = target.warm {
                let most = self.specs[pool].warm_pool.as_ref().map_or(0, |warm| warm.replicas_max);
                state.warm_wanted = warm.min(most);
            }
            if let Some(weight) = target.route_weight {
                state.route_weight = weight.max(0.0);
            }
            state.declared = target.wanted.min(state.bounds.replicas_max).max(state.bounds.replicas_min);
            if target.replace > 0 {
                self.replace(pool, target.replace, now_seconds, changes);
            }
            let state = &self.pools[pool];
            if state.declared != state.coming + state.ready || self.specs[pool].warm_pool.is_some() {
                self.reconcile(pool, now_seconds, changes);
            }
        }
    }

    /// Starts a tick: prices move, shocks strike, and every living replica draws its hazards for the tick.
    pub fn begin_tick(&mut self, tick: Tick, changes: &mut Vec<Change>) {
        self.tick = tick;
        let start = tick.start_seconds(self.tick_seconds);
        let struck = self.surroundings.begin_tick(tick);
        for (pool, struck) in struck.iter().enumerate().take(self.pools.len()) {
            let share = self.specs[pool].spot.filter(|_| *struck).map_or(0.0, |spot| spot.shock_share);
            let preemptions = self.specs[pool].spot.map_or(0.0, |spot| spot.preemptions_per_replica_hour);
            let hazards = [
                (self.faults.crashes_per_replica_hour, DueKind::Crash, self.crash),
                (self.faults.unhealthy_per_replica_hour, DueKind::Unhealthy, self.unhealthy),
                (preemptions, DueKind::Notice, self.preemption),
            ];
            if share > 0.0 || hazards.iter().any(|(rate, ..)| *rate > 0.0) {
                self.strike(pool, start, share, &hazards);
            }
            if self.pools[pool].declared != self.pools[pool].coming + self.pools[pool].ready {
                self.reconcile(pool, start, changes);
            }
        }
    }

    /// When the next thing is due; infinite if nothing is.
    #[inline]
    pub fn next_seconds(&self) -> f64 {
        self.due.peek().map_or(f64::INFINITY, |Reverse(due)| due.at_seconds)
    }

    /// Carries out everything that is due up to and including `until_seconds`, in order of time.
    pub fn advance(&mut self, until_seconds: f64, changes: &mut Vec<Change>) {
        while let Some(Reverse(due)) = self.due.peek().copied() {
            if due.at_seconds > until_seconds {
                break;
            }
            self.due.pop();
            if self.replicas[due.replica as usize].id == due.id {
                self.carry_out(due, changes);
            }
        }
    }

    /// A draining replica has nothing left in hand.
    pub fn drained(&mut self, replica: u32, now_seconds: f64) {
        if self.replicas[replica as usize].life == Life::Draining {
            self.leave(replica, now_seconds);
        }
    }

    /// How fast a slot of this replica works now, relative to nominal work.
    #[inline]
    pub fn speed(&self, replica: u32, now_seconds: f64) -> f64 {
        let replica = &self.replicas[replica as usize];
        let spec = &self.specs[replica.pool as usize];
        let mut speed = spec.speed * replica.size;
        let age = now_seconds - replica.ready_seconds;
        if age < spec.slow_start_seconds {
            speed *= spec.slow_start_speed + (1.0 - spec.slow_start_speed) * (age / spec.slow_start_seconds);
        }
        if replica.life == Life::Unhealthy {
            speed *= self.faults.unhealthy_speed;
        }
        speed
    }

    /// One replica, by position.
    pub fn replica(&self, index: u32) -> &Replica {
        &self.replicas[index as usize]
    }

    /// Positions of all replicas that serve (ready or unhealthy).
    pub fn serving(&self) -> impl Iterator<Item = u32> + '_ {
        self.living().filter(|index| self.replicas[*index as usize].serves())
    }

    /// Positions of all replicas that exist.
    pub fn living(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.replicas.len() as u32).filter(|index| self.replicas[*index as usize].life != Life::Gone)
    }

    /// Most positions that were ever in use at once.
    pub fn positions(&self) -> usize {
        self.replicas.len()
    }

    /// Replicas of a pool that serve now.
    pub fn ready(&self, pool: usize) -> Replicas {
        self.pools[pool].ready
    }

    /// Replicas of a pool that finish their last requests.
    pub fn draining(&self, pool: usize) -> Replicas {
        self.pools[pool].draining
    }

    /// The share of the traffic a pool should get, relative to the others.
    pub fn route_weight(&self, pool: usize) -> f64 {
        self.pools[pool].route_weight
    }

    /// Integral over time, since the start of the tick and up to `now`, of the slots that serve, each by its speed
    /// (slow starts and unhealthy spells included).
    pub fn speed_slot_seconds(&mut self, pool: usize, now_seconds: f64) -> f64 {
        self.touch(pool, now_seconds);
        self.pools[pool].speed_slot_seconds
    }

    /// Integral over time, since the start of the run and up to `now`, of the replicas that serve.
    pub fn ready_seconds_total(&mut self, pool: usize, now_seconds: f64) -> f64 {
        self.touch(pool, now_seconds);
        self.pools[pool].ready_seconds_total
    }

    /// Spot notices since the last call of [`Fleet::forget_notices`].
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// The notices were seen.
    pub fn forget_notices(&mut self) {
        self.notices.clear();
    }

    /// Carbon intensity now.
    pub fn carbon_grams_per_kwh(&self) -> f64 {
        self.surroundings.carbon_grams_per_kwh()
    }

    /// What the operator's API says of a pool; the cpu utilization is the sensor's to add.
    pub fn status(&self, pool: usize) -> PoolStatus {
        let state = &self.pools[pool];
        PoolStatus {
            declared: state.declared,
            observed: state.coming + state.ready,
            ready: state.ready,
            starting: state.coming,
            draining: state.draining,
            warm: state.warm,
            bounds: state.bounds,
            cpu_utilization: None,
            replica_size: state.size,
            route_weight: state.route_weight,
            dollars_per_replica_hour: self.surroundings.dollars_per_replica_hour(pool),
            notices: state.notices,
        }
    }

    /// Ends the tick at `end_seconds` for a pool, given the slot-seconds that were in service in it, and gives what
    /// happened. With `last`, every living replica's bill is closed as if it ended now.
    pub fn close_tick(
        &mut self,
        pool: usize,
        end_seconds: f64,
        busy_slot_seconds: f64,
        last: bool,
    ) -> PoolTick {
        self.touch(pool, end_seconds);
        if last {
            for index in 0..self.replicas.len() {
                if usize::from(self.replicas[index].pool) == pool {
                    self.close_bill(index, end_seconds);
                }
            }
        }
        let spec = &self.specs[pool];
        let state = &mut self.pools[pool];
        let mut tick = std::mem::take(&mut state.tick);
        let alive_seconds = std::mem::take(&mut state.alive_seconds);
        state.speed_slot_seconds = 0.0;
        tick.wanted = state.declared;
        tick.ready = state.ready;
        tick.starting = state.coming;
        tick.draining = state.draining;
        tick.slot_seconds = tick.ready_seconds * f64::from(spec.concurrency);
        tick.busy_slot_seconds = busy_slot_seconds;
        tick.usage.billed_replica_seconds += alive_seconds;
        tick.usage.dollars_per_replica_hour = self.surroundings.dollars_per_replica_hour(pool);
        let resources = &spec.resources;
        // What waits stopped or hibernated takes no power; what waits running does.
        let is_running = spec.warm_pool.as_ref().is_some_and(|warm| warm.state == WarmState::Running);
        let warm_seconds = if is_running { tick.usage.billed_warm_seconds } else { 0.0 };
        let watt_seconds = (alive_seconds + warm_seconds) * resources.watts_idle
            + busy_slot_seconds / f64::from(spec.concurrency) * (resources.watts_busy - resources.watts_idle);
        tick.usage.energy_kwh = watt_seconds / (1000.0 * SECONDS_PER_HOUR);
        tick.usage.carbon_kg =
            tick.usage.energy_kwh * self.surroundings.carbon_grams_per_kwh() * spec.carbon_factor / 1000.0;
        tick
    }

    /// Brings the integrals of a pool up to now.
    fn touch(&mut self, pool: usize, now_seconds: f64) {
        let state = &mut self.pools[pool];
        let elapsed = now_seconds - state.touched_seconds;
        if elapsed <= 0.0 {
            return;
        }
        let from = state.touched_seconds;
        state.touched_seconds = now_seconds;
        let ready_seconds = f64::from(state.ready) * elapsed;
        state.tick.ready_seconds += ready_seconds;
        state.ready_seconds_total += ready_seconds;
        state.alive_seconds += state.alive_size * elapsed;
        state.speed_slot_seconds += state.speed_slots * elapsed;
        state.tick.usage.billed_warm_seconds += f64::from(state.warm) * elapsed;
        if !state.slow_starting.is_empty() {
            let spec = &self.specs[pool];
            let (replicas, unhealthy_speed) = (&self.replicas, self.faults.unhealthy_speed);
            let (ramp, missing) = (spec.slow_start_seconds, 1.0 - spec.slow_start_speed);
            let mut lost = 0.0;
            state.slow_starting.retain(|index| {
                let replica = &replicas[*index as usize];
                // What is missing to full speed falls in a straight line to 0 at the end of the ramp.
                let end = replica.ready_seconds + ramp;
                if replica.serves() && from < end {
                    let until = now_seconds.min(end);
                    let mean_missing = missing * (end - f64::midpoint(from, until)) / ramp;
                    let health = if replica.life == Life::Unhealthy { unhealthy_speed } else { 1.0 };
                    lost += mean_missing * (until - from) * replica.size * health;
                }
                replica.serves() && now_seconds < end
            });
            state.speed_slot_seconds -= lost * spec.speed * f64::from(spec.concurrency);
        }
    }

    /// Launches or ends replicas until what comes and serves is what was declared.
    fn reconcile(&mut self, pool: usize, now_seconds: f64, changes: &mut Vec<Change>) {
        self.touch(pool, now_seconds);
        while self.pools[pool].coming + self.pools[pool].ready > self.pools[pool].declared {
            let victim = self.victim(pool);
            self.replicas[victim as usize].was_scaled_in = true;
            self.dismiss(victim, now_seconds, f64::INFINITY, changes);
            self.pools[pool].tick.terminations += 1;
        }
        let sells = self.surroundings.sells(pool, now_seconds);
        while self.pools[pool].coming + self.pools[pool].ready < self.pools[pool].declared {
            if let Some(warm) = self.oldest_warm(pool) {
                self.leave_warm_pool(pool, warm, now_seconds);
            } else if sells {
                let index = self.create(pool, now_seconds, Life::Coming);
                let spec = &self.specs[pool];
                let startup = spec.startup.quantile(self.startup_luck(index));
                self.schedule_ready(pool, index, now_seconds, startup);
                self.pools[pool].tick.launches += 1;
            } else {
                break;
            }
        }
        if self.specs[pool].warm_pool.is_some() {
            self.fill_warm_pool(pool, now_seconds, sells);
        }
    }

    fn startup_luck(&self, index: u32) -> f64 {
        let replica = &self.replicas[index as usize];
        self.startup.uniform(place(replica.pool, replica.slot), u64::from(self.tick.0))
    }

    fn schedule_ready(&mut self, pool: usize, index: u32, now_seconds: f64, startup_seconds: f64) {
        let spec = &self.specs[pool];
        let replica = &mut self.replicas[index as usize];
        let silent = spec.launch_hook.filter(|hook| {
            let luck = self.hook.uniform(place(replica.pool, replica.slot), u64::from(self.tick.0));
            luck < hook.failure_share
        });
        let hook_seconds = silent.map_or(spec.hook_seconds, |hook| hook.timeout_seconds);
        replica.started_seconds = now_seconds + startup_seconds;
        replica.hook_end_seconds = replica.started_seconds + hook_seconds;
        replica.ready_seconds = replica.hook_end_seconds + spec.registration_seconds;
        let (hook_end, ready) = (replica.hook_end_seconds, replica.ready_seconds);
        self.pools[pool].coming += 1;
        if silent.is_some_and(|hook| hook.default_result == HookResult::Abandon) {
            self.push(hook_end, index, DueKind::Abandoned);
        } else {
            self.push(ready, index, DueKind::Ready);
        }
    }

    /// Whom to end: what never served before what serves, the youngest first (as Kubernetes chooses among pods on
    /// equal nodes).
    fn victim(&self, pool: usize) -> u32 {
        self.of_pool(pool)
            .filter(|index| self.replicas[*index as usize].counts())
            .max_by(|a, b| {
                let (a, b) = (&self.replicas[*a as usize], &self.replicas[*b as usize]);
                (a.life == Life::Coming)
                    .cmp(&(b.life == Life::Coming))
                    .then(a.ready_seconds.total_cmp(&b.ready_seconds))
                    .then(a.id.cmp(&b.id))
            })
            .expect("the counts say that there is one")
    }

    /// Tells up to `n` serving replicas to go that have not the size in force; what is launched instead has it.
    fn replace(&mut self, pool: usize, n: Replicas, now_seconds: f64, changes: &mut Vec<Change>) {
        let size = self.pools[pool].size;
        for _ in 0..n {
            let outdated = self
                .of_pool(pool)
                .filter(|index| {
                    let replica = &self.replicas[*index as usize];
                    replica.serves() && replica.size != size
                })
                .max_by(|a, b| {
                    let (a, b) = (&self.replicas[*a as usize], &self.replicas[*b as usize]);
                    let change = |replica: &Replica| size / replica.size - 1.0;
                    change(a).abs().total_cmp(&change(b).abs()).then(b.id.cmp(&a.id))
                });
            let Some(outdated) = outdated else { break };
            self.dismiss(outdated, now_seconds, f64::INFINITY, changes);
            self.pools[pool].tick.terminations += 1;
        }
    }

    /// Tells a replica to go: it drains if it serves, for at most `seconds_max` and the pool's own limit.
    fn dismiss(&mut self, index: u32, now_seconds: f64, seconds_max: f64, changes: &mut Vec<Change>) {
        let pool = self.replicas[index as usize].pool as usize;
        self.touch(pool, now_seconds);
        if self.replicas[index as usize].life == Life::Coming {
            self.pools[pool].coming -= 1;
            self.end(index, now_seconds);
            changes.push(Change { at_seconds: now_seconds, replica: index, kind: ChangeKind::Cancelled });
            return;
        }
        self.stop_serving(index, now_seconds);
        self.replicas[index as usize].life = Life::Draining;
        self.pools[pool].draining += 1;
        let limit = self.specs[pool].drain_seconds_max.min(seconds_max);
        self.push(now_seconds + limit, index, DueKind::DrainEnd);
        changes.push(Change { at_seconds: now_seconds, replica: index, kind: ChangeKind::Draining });
    }

    fn carry_out(&mut self, due: Due, changes: &mut Vec<Change>) {
        let (index, now) = (due.replica, due.at_seconds);
        let life = self.replicas[index as usize].life;
        let pool = self.replicas[index as usize].pool as usize;
        self.touch(pool, now);
        match due.kind {
            DueKind::Ready => {
                assert_eq!(life, Life::Coming, "only what was coming becomes ready");
                let replica = &mut self.replicas[index as usize];
                replica.life = Life::Ready;
                replica.changed_seconds = now;
                self.pools[pool].coming -= 1;
                self.pools[pool].ready += 1;
                if self.specs[pool].slow_start_seconds > 0.0 {
                    self.pools[pool].slow_starting.push(index);
                }
                self.serve(pool, index, 1.0);
                changes.push(Change { at_seconds: now, replica: index, kind: ChangeKind::Ready });
            }
            DueKind::Prepared => {
                // Preparing is a life of its own for the bill; what follows is charged at the warm price.
                self.close_bill(index as usize, now);
                let replica = &mut self.replicas[index as usize];
                replica.life = Life::Warm;
                let size = replica.size;
                self.pools[pool].warm += 1;
                self.pools[pool].stop_paying(size);
            }
            DueKind::DrainEnd if life == Life::Draining => {
                self.leave(index, now);
                changes.push(Change { at_seconds: now, replica: index, kind: ChangeKind::Gone });
            }
            DueKind::Left => self.retire(index, now),
            DueKind::Abandoned => {
                assert_eq!(life, Life::Coming, "only what was coming is abandoned");
                self.pools[pool].tick.crashes += 1;
                self.dismiss(index, now, 0.0, changes);
                self.reconcile(pool, now, changes);
            }
            DueKind::Crash if life == Life::Ready || life == Life::Unhealthy || life == Life::Coming => {
                self.pools[pool].tick.crashes += 1;
                self.lose(index, now, changes);
                self.reconcile(pool, now, changes);
            }
            DueKind::Unhealthy if life == Life::Ready => {
                self.serve(pool, index, -1.0);
                self.replicas[index as usize].life = Life::Unhealthy;
                self.replicas[index as usize].changed_seconds = now;
                self.serve(pool, index, self.faults.unhealthy_speed);
                self.push(now + self.faults.detection_seconds, index, DueKind::Detected);
                changes.push(Change { at_seconds: now, replica: index, kind: ChangeKind::Unhealthy });
            }
            DueKind::Detected if life == Life::Unhealthy => {
                self.pools[pool].tick.crashes += 1;
                self.lose(index, now, changes);
                self.reconcile(pool, now, changes);
            }
            DueKind::Notice if life == Life::Ready || life == Life::Unhealthy || life == Life::Coming => {
                self.preempt(pool, index, now, changes);
            }
            DueKind::Crash | DueKind::Unhealthy | DueKind::Detected | DueKind::Notice | DueKind::DrainEnd => {
            }
        }
    }

    /// A replica has drained, or was given no more time to: its terminating hook comes next, where it has one.
    fn leave(&mut self, index: u32, now: f64) {
        let replica = &mut self.replicas[index as usize];
        let hook_seconds = self.specs[usize::from(replica.pool)].terminating_hook_seconds;
        if replica.was_scaled_in && hook_seconds > 0.0 {
            replica.life = Life::Leaving;
            self.push(now + hook_seconds, index, DueKind::Left);
        } else {
            self.retire(index, now);
        }
    }

    /// Adds (`factor` > 0) or takes away (−1) a replica's slots to or from what serves at nominal speed.
    fn serve(&mut self, pool: usize, index: u32, factor: f64) {
        let spec = &self.specs[pool];
        let size = self.replicas[index as usize].size;
        let state = &mut self.pools[pool];
        state.speed_slots += factor * size * spec.speed * f64::from(spec.concurrency);
        if state.ready == 0 {
            // Nothing serves: leave no rounding behind.
            state.speed_slots = 0.0;
        }
    }

    fn stop_serving(&mut self, index: u32, now: f64) {
        let pool = self.replicas[index as usize].pool as usize;
        let health = if self.replicas[index as usize].life == Life::Unhealthy {
            self.faults.unhealthy_speed
        } else {
            1.0
        };
        self.pools[pool].ready -= 1;
        self.replicas[index as usize].changed_seconds = now;
        self.serve(pool, index, -health);
    }

    /// Ends a life and closes its bill.
    fn end(&mut self, index: u32, now: f64) {
        let pool = self.replicas[index as usize].pool as usize;
        self.touch(pool, now);
        let (life, size, slot) = {
            let replica = &self.replicas[index as usize];
            (replica.life, replica.size, replica.slot)
        };
        match life {
            Life::Gone => return,
            Life::Warm => {}
            Life::Draining | Life::Leaving => {
                self.pools[pool].draining -= 1;
                self.pools[pool].stop_paying(size);
            }
            Life::Preparing | Life::Coming | Life::Ready | Life::Unhealthy => {
                self.pools[pool].stop_paying(size);
            }
        }
        self.close_bill(index as usize, now);
        self.replicas[index as usize].life = Life::Gone;
        self.replicas[index as usize].id = u64::MAX;
        self.free_indices.push(Reverse(index));
        let state = &mut self.pools[pool];
        state.slots[slot as usize] = false;
        state.free_slots.push(Reverse(slot));
        state.notices = state.notices.min(state.draining);
    }

    /// Adds what the billing quantum and minimum make of a life that ends now.
    fn close_bill(&mut self, index: usize, now: f64) {
        let replica = &self.replicas[index];
        if matches!(replica.life, Life::Gone | Life::Warm) {
            return;
        }
        let spec = &self.specs[usize::from(replica.pool)];
        let life = now - replica.created_seconds.max(self.warm_up_seconds);
        if life < 0.0 {
            return;
        }
        let quanta = (life / spec.billing_quantum_seconds - 1e-9).ceil().max(0.0);
        let billed = (quanta * spec.billing_quantum_seconds).max(spec.billing_minimum_seconds);
        let size = replica.size;
        self.pools[usize::from(replica.pool)].tick.usage.billed_replica_seconds +=
            (billed - life).max(0.0) * size;
    }

    fn create(&mut self, pool: usize, now_seconds: f64, life: Life) -> u32 {
        let state = &mut self.pools[pool];
        let slot = state.free_slots.pop().map_or_else(
            || {
                state.slots.push(false);
                state.slots.len() as u32 - 1
            },
            |Reverse(slot)| slot,
        );
        state.slots[slot as usize] = true;
        let size = state.size;
        if life != Life::Warm {
            state.alive += 1;
            state.alive_size += size;
        }
        let replica = Replica {
            pool: pool as u16,
            slot,
            id: self.n_created,
            size,
            life,
            created_seconds: now_seconds,
            started_seconds: now_seconds,
            hook_end_seconds: now_seconds,
            // The initial fleet is past any slow start.
            ready_seconds: if life == Life::Ready { f64::NEG_INFINITY } else { f64::INFINITY },
            changed_seconds: now_seconds,
            was_scaled_in: false,
        };
        self.n_created += 1;
        if let Some(Reverse(index)) = self.free_indices.pop() {
            self.replicas[index as usize] = replica;
            index
        } else {
            self.replicas.push(replica);
            self.replicas.len() as u32 - 1
        }
    }

    fn of_pool(&self, pool: usize) -> impl Iterator<Item = u32> + '_ {
        (0..self.replicas.len() as u32)
            .filter(move |index| usize::from(self.replicas[*index as usize].pool) == pool)
    }

    fn push(&mut self, at_seconds: f64, replica: u32, kind: DueKind) {
        let id = self.replicas[replica as usize].id;
        self.due.push(Reverse(Due { at_seconds, order: self.n_due, replica, id, kind }));
        self.n_due += 1;
    }
}

/// What a hazard or a start-up strikes: a slot of a pool.
fn place(pool: u16, slot: u32) -> u64 {
    u64::from(pool) << 32 | u64::from(slot)
}

impl Replica {
    /// Whether requests reach it.
    pub fn serves(&self) -> bool {
        matches!(self.life, Life::Ready | Life::Unhealthy)
    }

    /// Whether it counts towards what was wanted: it comes or serves.
    pub fn counts(&self) -> bool {
        matches!(self.life, Life::Coming | Life::Ready | Life::Unhealthy)
    }

    /// Where in its life it is, as the operator's API says.
    pub fn state(&self, now_seconds: f64) -> ReplicaState {
        match self.life {
            Life::Warm => ReplicaState::Warm,
            Life::Preparing => ReplicaState::Starting,
            Life::Coming if now_seconds < self.started_seconds => ReplicaState::Starting,
            Life::Coming if now_seconds < self.hook_end_seconds => ReplicaState::InHook,
            Life::Coming => ReplicaState::Warming,
            Life::Ready => ReplicaState::Ready,
            Life::Unhealthy => ReplicaState::Unhealthy,
            Life::Draining | Life::Leaving => ReplicaState::Draining,
            Life::Gone => ReplicaState::Gone,
        }
    }

    /// When it was asked for.
    pub fn created_seconds(&self) -> f64 {
        self.created_seconds
    }

    /// When its process started; none before.
    pub fn started_seconds(&self, now_seconds: f64) -> Option<f64> {
        (now_seconds >= self.started_seconds).then_some(self.started_seconds)
    }

    /// When its readiness last changed.
    pub fn ready_changed_seconds(&self) -> f64 {
        self.changed_seconds
    }
}

impl PoolState {
    fn new(spec: &Pool) -> Self {
        Self {
            declared: spec.replicas_initial,
            bounds: spec.bounds,
            size: 1.0,
            route_weight: spec.route_weight,
            warm_wanted: 0,
            coming: 0,
            ready: 0,
            draining: 0,
            warm: 0,
            notices: 0,
            slots: Vec::new(),
            free_slots: BinaryHeap::new(),
            alive: 0,
            alive_size: 0.0,
            speed_slots: 0.0,
            touched_seconds: 0.0,
            slow_starting: Vec::new(),
            tick: PoolTick::default(),
            alive_seconds: 0.0,
            speed_slot_seconds: 0.0,
            ready_seconds_total: 0.0,
        }
    }

    /// Something of this size is no longer billed at the full price.
    fn stop_paying(&mut self, size: f64) {
        self.alive -= 1;
        // Nothing is billed: leave no rounding behind.
        self.alive_size = if self.alive == 0 { 0.0 } else { self.alive_size - size };
    }

    /// As new, keeping what was allocated.
    fn reset(&mut self, spec: &Pool) {
        let (mut slots, mut free_slots, mut slow_starting) = (
            std::mem::take(&mut self.slots),
            std::mem::take(&mut self.free_slots),
            std::mem::take(&mut self.slow_starting),
        );
        slots.clear();
        free_slots.clear();
        slow_starting.clear();
        *self = Self { slots, free_slots, slow_starting, ..Self::new(spec) };
    }
}
