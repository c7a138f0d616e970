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

    fn oldest_warm(&self, pool: usize) -> Option<u32> {
        if self.pools[pool].warm == 0 {
            return None;
        }
        self.of_pool(pool)
            .filter(|index| self.replicas[*index as usize].life == Life::Warm)
            .min_by(|a, b| self.replicas[*a as usize].id.cmp(&self.replicas[*b as usize].id))
    }

    fn leave_warm_pool(&mut self, pool: usize, index: u32, now_seconds: f64) {
        let warm = self.specs[pool].warm_pool.as_ref().expect("a warm replica has a warm pool");
        let startup = warm.startup.quantile(self.startup_luck(index));
        self.pools[pool].warm -= 1;
        let replica = &mut self.replicas[index as usize];
        replica.life = Life::Coming;
        replica.created_seconds = now_seconds;
        let size = replica.size;
        self.pools[pool].alive += 1;
        self.pools[pool].alive_size += size;
        self.pools[pool].tick.launches += 1;
        self.schedule_ready(pool, index, now_seconds, startup);
    }

    fn fill_warm_pool(&mut self, pool: usize, now_seconds: f64, sells: bool) {
        let reuses = self.specs[pool].warm_pool.as_ref().is_some_and(|warm| warm.reuse_on_scale_in);
        let preparing = |fleet: &Self| {
            let is_on_its_way = |replica: &Replica| match replica.life {
                Life::Preparing => true,
                Life::Draining | Life::Leaving => reuses && replica.was_scaled_in,
                _ => false,
            };
            fleet.of_pool(pool).filter(|index| is_on_its_way(&fleet.replicas[*index as usize])).count() as u32
        };
        while self.pools[pool].warm > self.pools[pool].warm_wanted {
            let oldest = self.oldest_warm(pool).expect("the count says that there is one");
            self.pools[pool].warm -= 1;
            self.end(oldest, now_seconds);
        }
        while sells && self.pools[pool].warm + preparing(self) < self.pools[pool].warm_wanted {
            let index = self.create(pool, now_seconds, Life::Preparing);
            let startup = self.specs[pool].startup.quantile(self.startup_luck(index));
            self.push(now_seconds + startup, index, DueKind::Prepared);
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

    fn strike(&mut self, pool: usize, start: f64, shock_share: f64, hazards: &[(f64, DueKind, Key); 3]) {
        let hours = self.tick_seconds / SECONDS_PER_HOUR;
        for index in 0..self.replicas.len() as u32 {
            let replica = &self.replicas[index as usize];
            if usize::from(replica.pool) != pool || !replica.counts() {
                continue;
            }
            let (place, tick) = (place(replica.pool, replica.slot), u64::from(self.tick.0));
            // The shock has numbers of its own: the same key with the top bit of the place set.
            if shock_share > 0.0 && self.preemption.uniform(place | 1 << 63, tick) < shock_share {
                self.push(start, index, DueKind::Notice);
                continue;
            }
            for (rate, kind, key) in hazards {
                // The first event of a Poisson process at this rate, if it falls into the tick.
                let waited = if *rate > 0.0 { -key.uniform(place, tick).ln() / rate } else { f64::INFINITY };
                if waited < hours {
                    self.push(start + waited * SECONDS_PER_HOUR, index, *kind);
                }
            }
        }
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

    /// What was scaled in and is done with goes back to the warm pool, or ends.
    fn retire(&mut self, index: u32, now: f64) {
        let pool = self.replicas[index as usize].pool as usize;
        let reuses = self.specs[pool].warm_pool.as_ref().is_some_and(|warm| warm.reuse_on_scale_in);
        let has_room = self.pools[pool].warm < self.pools[pool].warm_wanted;
        if !(reuses && has_room && self.replicas[index as usize].was_scaled_in) {
            self.end(index, now);
            return;
        }
        self.touch(pool, now);
        // Being in service was a life of its own for the bill; what follows is charged at the warm price.
        self.close_bill(index as usize, now);
        let replica = &mut self.replicas[index as usize];
        replica.life = Life::Warm;
        replica.was_scaled_in = false;
        // What was due in its last life must not strike in its next.
        replica.id = self.n_created;
        self.n_created += 1;
        let size = replica.size;
        let state = &mut self.pools[pool];
        state.draining -= 1;
        state.stop_paying(size);
        state.warm += 1;
        state.notices = state.notices.min(state.draining);
    }

    /// A spot notice: the balancer stops sending at once, a replacement is asked for, and at the end of the notice
    /// the replica is gone.
    fn preempt(&mut self, pool: usize, index: u32, now: f64, changes: &mut Vec<Change>) {
        let notice_seconds = self.specs[pool].spot.map_or(0.0, |spot| spot.notice_seconds);
        self.pools[pool].tick.preemptions += 1;
        self.notices.push(Notice {
            pool: pool as u16,
            replica: self.replicas[index as usize].id,
            at_seconds: now,
            gone_seconds: now + notice_seconds,
        });
        self.pools[pool].notices += 1;
        self.dismiss(index, now, notice_seconds, changes);
        self.reconcile(pool, now, changes);
    }

    /// A replica ends with whatever it has in hand.
    fn lose(&mut self, index: u32, now: f64, changes: &mut Vec<Change>) {
        let pool = self.replicas[index as usize].pool as usize;
        match self.replicas[index as usize].life {
            Life::Coming => self.pools[pool].coming -= 1,
            Life::Ready | Life::Unhealthy => self.stop_serving(index, now),
            Life::Draining | Life::Leaving | Life::Preparing | Life::Warm | Life::Gone => {}
        }
        self.end(index, now);
        changes.push(Change { at_seconds: now, replica: index, kind: ChangeKind::Gone });
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(more: &str) -> Fleet {
        let text = tidegate_core::scenario::EXAMPLE
            .replace("startup = { kind = \"exponential\", mean_seconds = 60 }", more);
        Fleet::new(&Scenario::parse(&text).expect("the scenario is right"))
    }

    fn wanted(fleet: &mut Fleet, wanted: Replicas, now: f64) -> Vec<Change> {
        let mut changes = Vec::new();
        fleet.advance(now, &mut changes);
        fleet.apply(&[PoolTarget::wanted(wanted)], now, &mut changes);
        changes
    }

    /// Runs ticks from the one that starts at `from` until `to`, and sums what is billed.
    fn billed(fleet: &mut Fleet, from: u32, to: u32, last: bool) -> f64 {
        let mut changes = Vec::new();
        (from..to)
            .map(|tick| {
                fleet.begin_tick(Tick(tick), &mut changes);
                let end = f64::from(tick + 1) * 15.0;
                fleet.advance(end, &mut changes);
                fleet.close_tick(0, end, 0.0, last && tick + 1 == to).usage.billed_replica_seconds
            })
            .sum()
    }

    #[test]
    fn a_start_takes_its_time_and_is_paid_from_the_request() {
        let mut fleet = fleet("startup = { kind = \"constant\", seconds = 100 }\nregistration_seconds = 20");
        fleet.reset(Seed::training(0));
        assert!(wanted(&mut fleet, 6, 0.0).is_empty());
        assert_eq!((fleet.status(0).ready, fleet.status(0).starting), (4, 2));
        let mut changes = Vec::new();
        fleet.advance(119.9, &mut changes);
        assert!(changes.is_empty());
        fleet.advance(120.0, &mut changes);
        assert_eq!(changes.len(), 2);
        assert_eq!(fleet.ready(0), 6);
        let tick = fleet.close_tick(0, 120.0, 0.0, false);
        assert_eq!(tick.usage.billed_replica_seconds, 6.0 * 120.0);
        assert_eq!(tick.ready_seconds, 4.0 * 120.0);
    }

    #[test]
    fn a_short_life_pays_the_minimum_and_an_hour_begun_is_an_hour_paid() {
        // The warm-up of the example ends at 1200 s; lives are counted from there.
        let minute = "startup = { kind = \"constant\", seconds = 0 }\ndrain_seconds_max = 0";
        let mut one = fleet(minute);
        one.reset(Seed::training(0));
        billed(&mut one, 0, 80, false);
        wanted(&mut one, 5, 1200.0);
        let first = billed(&mut one, 80, 81, false);
        wanted(&mut one, 4, 1215.0);
        let rest = billed(&mut one, 81, 90, false);
        assert_eq!(first + rest, 4.0 * 150.0 + 60.0);

        let mut hourly = fleet(&format!("{minute}\nbilling_quantum_seconds = 3600"));
        hourly.reset(Seed::training(0));
        billed(&mut hourly, 0, 80, false);
        wanted(&mut hourly, 5, 1200.0);
        // 4 lives of 1.5 hours and one of 600 s.
        let first = billed(&mut hourly, 80, 120, false);
        wanted(&mut hourly, 4, 1800.0);
        let rest = billed(&mut hourly, 120, 80 + 360, true);
        assert_eq!(first + rest, 4.0 * 7200.0 + 3600.0);
    }

    #[test]
    fn the_same_slot_at_the_same_tick_is_as_slow_whatever_came_before() {
        let startup_seconds = |relaunch: bool| {
            let mut fleet =
                fleet("startup = { kind = \"exponential\", mean_seconds = 60 }\ndrain_seconds_max = 0");
            fleet.reset(Seed::training(9));
            let mut changes = Vec::new();
            fleet.begin_tick(Tick(3), &mut changes);
            wanted(&mut fleet, 5, 45.0);
            if relaunch {
                wanted(&mut fleet, 4, 46.0);
                wanted(&mut fleet, 5, 46.0);
            }
            fleet.advance(1e6, &mut changes);
            let ready = changes.iter().find(|change| change.kind == ChangeKind::Ready).expect("it starts");
            ready.at_seconds - if relaunch { 46.0 } else { 45.0 }
        };
        assert!((startup_seconds(false) - startup_seconds(true)).abs() < 1e-9);
    }

    #[test]
    fn hazards_strike_at_their_rate() {
        let text = tidegate_core::scenario::EXAMPLE.replace("mean_seconds = 60", "mean_seconds = 1")
            + "\n[faults]\ncrashes_per_replica_hour = 2\n";
        let mut fleet = Fleet::new(&Scenario::parse(&text).expect("the scenario is right"));
        fleet.reset(Seed::training(2));
        let mut crashes = 0;
        let mut changes = Vec::new();
        for tick in 0..24_000_u32 {
            fleet.begin_tick(Tick(tick), &mut changes);
            let end = f64::from(tick + 1) * 15.0;
            fleet.advance(end, &mut changes);
            crashes += fleet.close_tick(0, end, 0.0, false).crashes;
            changes.clear();
        }
        // 4 replicas, 100 hours, 2 an hour each: 800, give or take 4 standard deviations of a Poisson count.
        assert!((f64::from(crashes) - 800.0).abs() < 4.0 * 800_f64.sqrt(), "{crashes} crashes");
        assert_eq!(fleet.status(0).observed, 4);
    }

    /// Four of size 1; three go for size 0.5 and cost half as much; then one of those goes first, since
    /// it is farthest off.
    #[test]
    fn replacing_changes_sizes_and_not_the_count() {
        let mut fleet = fleet("startup = { kind = \"constant\", seconds = 20 }\ndrain_seconds_max = 0");
        fleet.reset(Seed::training(0));
        let mut changes = Vec::new();
        let resize =
            |fleet: &mut Fleet, size: f64, replace: Replicas, now: f64, changes: &mut Vec<Change>| {
                fleet.advance(now, changes);
                let target = PoolTarget { replica_size: Some(size), replace, ..PoolTarget::wanted(4) };
                fleet.apply(&[target], now, changes);
                fleet.advance(now, changes);
            };
        let sizes = |fleet: &Fleet| {
            let mut sizes: Vec<_> = fleet.serving().map(|index| fleet.replica(index).size).collect();
            sizes.sort_by(f64::total_cmp);
            sizes
        };
        resize(&mut fleet, 0.5, 0, 0.0, &mut changes);
        assert_eq!((fleet.status(0).ready, fleet.status(0).starting), (4, 0));
        resize(&mut fleet, 0.5, 3, 0.0, &mut changes);
        assert_eq!((fleet.status(0).ready, fleet.status(0).starting), (1, 3));
        fleet.advance(100.0, &mut changes);
        assert_eq!(sizes(&fleet), [0.5, 0.5, 0.5, 1.0]);
        assert_eq!(fleet.speed_slot_seconds(0, 100.0), 4.0 * (100.0 + 3.0 * 0.5 * 80.0));
        assert_eq!(fleet.close_tick(0, 100.0, 0.0, false).usage.billed_replica_seconds, 100.0 + 3.0 * 50.0);
        resize(&mut fleet, 0.8, 1, 100.0, &mut changes);
        fleet.advance(200.0, &mut changes);
        assert_eq!(sizes(&fleet), [0.5, 0.5, 0.8, 1.0]);
        // No more go than are of another size, and none twice.
        resize(&mut fleet, 0.8, 99, 200.0, &mut changes);
        assert_eq!((fleet.status(0).ready, fleet.status(0).starting), (1, 3));
        fleet.advance(300.0, &mut changes);
        assert_eq!(sizes(&fleet), [0.8; 4]);
    }

    #[test]
    fn a_warm_replica_starts_faster_and_is_charged_apart() {
        let mut fleet = fleet(
            "startup = { kind = \"constant\", seconds = 100 }\n\
             warm_pool = { replicas_max = 2, replicas_initial = 1, dollars_per_replica_hour = 0.01, \
             startup = { kind = \"constant\", seconds = 10 } }",
        );
        fleet.reset(Seed::training(0));
        wanted(&mut fleet, 6, 0.0);
        let mut changes = Vec::new();
        fleet.advance(10.0, &mut changes);
        assert_eq!(changes.len(), 1, "the warm one is ready after 10 s");
        fleet.advance(200.0, &mut changes);
        assert_eq!(fleet.ready(0), 6);
        // The place in the warm pool was filled again, at the full price while it was prepared.
        assert_eq!(fleet.status(0).warm, 1);
        let tick = fleet.close_tick(0, 200.0, 0.0, false);
        assert_eq!(tick.usage.billed_warm_seconds, 100.0);
    }

    #[test]
    fn a_warm_pool_by_state_has_the_documented_prices_and_delays() {
        let shown = |state: &str| {
            let text = tidegate_core::scenario::EXAMPLE.replace(
                "startup = {",
                &format!("warm_pool = {{ replicas_max = 2, state = \"{state}\" }}\nstartup = {{"),
            );
            let scenario = Scenario::parse(&text).expect("the scenario is right");
            let warm = scenario.pools[0].warm_pool.clone().expect("it has one");
            format!("{:.0} s, {:.5} $/h", warm.startup.mean(), warm.dollars_per_replica_hour)
        };
        // 30 GiB and 34 GiB at 0.08 dollars a month of 730 hours; the example costs 0.1 dollars an hour.
        assert_eq!(shown("stopped"), "40 s, 0.00329 $/h");
        assert_eq!(shown("hibernated"), "20 s, 0.00373 $/h");
        assert_eq!(shown("running"), "0 s, 0.10000 $/h");
    }

    #[test]
    fn what_is_scaled_in_goes_back_to_the_warm_pool_and_is_charged_apart() {
        let mut fleet = fleet(
            "startup = { kind = \"constant\", seconds = 100 }\ndrain_seconds_max = 30\n\
             warm_pool = { replicas_max = 2, replicas_initial = 1, dollars_per_replica_hour = 0.01, \
             startup = { kind = \"constant\", seconds = 10 }, reuse_on_scale_in = true }",
        );
        fleet.reset(Seed::training(0));
        let target = |wanted, warm| [PoolTarget { warm: Some(warm), ..PoolTarget::wanted(wanted) }];
        let mut changes = Vec::new();
        fleet.apply(&target(3, 2), 0.0, &mut changes);
        // What drains will fill the place: nothing is launched for it.
        assert_eq!((fleet.status(0).draining, fleet.status(0).warm, fleet.living().count()), (1, 1, 5));
        fleet.drained(changes[0].replica, 20.0);
        assert_eq!((fleet.status(0).draining, fleet.status(0).warm), (0, 2));
        // The end of its first draining is of no consequence to its second life.
        fleet.apply(&target(5, 2), 25.0, &mut changes);
        changes.clear();
        fleet.advance(35.0, &mut changes);
        assert_eq!((changes.len(), fleet.ready(0)), (2, 5));
        fleet.advance(60.0, &mut changes);
        assert_eq!(fleet.ready(0), 5);
        // Without room in the warm pool it ends.
        fleet.advance(200.0, &mut changes);
        assert_eq!(fleet.status(0).warm, 2);
        changes.clear();
        fleet.apply(&target(4, 2), 200.0, &mut changes);
        fleet.drained(changes[0].replica, 210.0);
        assert_eq!((fleet.status(0).warm, fleet.living().count()), (2, 6));
    }

    #[test]
    fn a_terminating_hook_is_billed_and_out_of_service() {
        let mut fleet = fleet(
            "startup = { kind = \"constant\", seconds = 0 }\ndrain_seconds_max = 30\nterminating_hook_seconds = 60",
        );
        fleet.reset(Seed::training(0));
        let changes = wanted(&mut fleet, 3, 0.0);
        fleet.drained(changes[0].replica, 10.0);
        assert_eq!((fleet.status(0).ready, fleet.status(0).draining), (3, 1));
        let mut changes = Vec::new();
        fleet.advance(70.0, &mut changes);
        // It had left its requests behind, so that its end is nobody's concern.
        assert_eq!((changes.len(), fleet.status(0).draining, fleet.living().count()), (0, 0, 3));
        let tick = fleet.close_tick(0, 100.0, 0.0, false);
        assert_eq!(tick.usage.billed_replica_seconds, 3.0 * 100.0 + 70.0);
        assert_eq!(tick.ready_seconds, 3.0 * 100.0);
    }

    #[test]
    fn a_silent_launch_hook_gives_the_replica_up_or_lets_it_in() {
        let started = |result: &str, share: f64| {
            let mut fleet = fleet(&format!(
                "startup = {{ kind = \"constant\", seconds = 10 }}\nhook_seconds = 5\n\
                 launch_hook = {{ failure_share = {share}, timeout_seconds = 40, default_result = \"{result}\" }}"
            ));
            fleet.reset(Seed::training(0));
            wanted(&mut fleet, 6, 0.0);
            let mut changes = Vec::new();
            fleet.advance(15.0, &mut changes);
            let answered = fleet.ready(0) - 4;
            fleet.advance(50.0, &mut changes);
            let crashes = fleet.close_tick(0, 50.0, 0.0, false).crashes;
            (answered, fleet.ready(0) - 4, fleet.status(0).starting, crashes)
        };
        assert_eq!(started("abandon", 0.0), (2, 2, 0, 0));
        // Both are given up at 50 s and replaced.
        assert_eq!(started("abandon", 1.0), (0, 0, 2, 2));
        assert_eq!(started("continue", 1.0), (0, 2, 0, 0));
    }

    #[test]
    fn launch_hooks_fail_as_often_as_they_should() {
        let mut fleet = fleet(
            "startup = { kind = \"constant\", seconds = 0 }\ndrain_seconds_max = 0\n\
             launch_hook = { failure_share = 0.2, timeout_seconds = 30, default_result = \"continue\" }",
        );
        fleet.reset(Seed::training(3));
        let mut changes = Vec::new();
        let (mut silent, n) = (0, 2000_u32);
        for tick in 0..n {
            let now = f64::from(tick) * 15.0;
            fleet.begin_tick(Tick(tick), &mut changes);
            wanted(&mut fleet, 5, now);
            fleet.advance(now, &mut changes);
            silent += fleet.status(0).starting;
            wanted(&mut fleet, 4, now + 1.0);
            fleet.advance(now + 1.0, &mut changes);
        }
        // 2000 launches, 400 silent, give or take 4 standard deviations.
        assert!((f64::from(silent) - 400.0).abs() < 4.0 * (f64::from(n) * 0.16).sqrt(), "{silent}");
    }

    #[test]
    fn slow_starts_lose_what_the_ramp_says() {
        let mut fleet = fleet(
            "startup = { kind = \"constant\", seconds = 0 }\nslow_start_seconds = 40\nslow_start_speed = 0.5",
        );
        fleet.reset(Seed::training(0));
        wanted(&mut fleet, 5, 0.0);
        let mut changes = Vec::new();
        fleet.advance(0.0, &mut changes);
        // Half of 0.5 missing on average over 40 s of one replica with 4 slots.
        let expected = 5.0 * 4.0 * 60.0 - 0.25 * 40.0 * 4.0;
        for now in [13.0, 29.0, 60.0] {
            fleet.speed_slot_seconds(0, now);
        }
        assert!((fleet.speed_slot_seconds(0, 60.0) - expected).abs() < 1e-9);
        assert_eq!(fleet.speed(changes[0].replica, 20.0), 0.75);
    }
}
