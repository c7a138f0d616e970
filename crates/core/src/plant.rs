//! The plant: the service that controllers drive, and its record of what happened.

use crate::{
    Charge, Needs, Observation, OperatorFacts, PoolTarget, PoolUse, Replicas, Seed, ServiceStatistics, Tick,
};

/// A simulated service, in one of two engines: every request, or one analytic step a tick.
///
/// A run is warm-up ticks (not counted), then the horizon, then draining ticks in which nobody arrives any more
/// until every user's fate is decided.
pub trait Plant {
    /// What the operator knows.
    fn facts(&self) -> &OperatorFacts;
    /// Starts the world of this seed: initial fleet, empty queues, tick 0.
    fn reset(&mut self, seed: Seed);
    /// Seconds since the start of the run.
    fn now_seconds(&self) -> f64;
    /// Where in the run the current tick is.
    fn phase(&self) -> Phase;
    /// Declares what is wanted, one target a pool, from now on.
    fn apply(&mut self, targets: &[PoolTarget]);
    /// Lets time pass up to `until_seconds`, at most the end of the current tick.
    fn advance(&mut self, until_seconds: f64);
    /// Ends the current tick, which must have been advanced to its end, and starts the next.
    fn close_tick(&mut self) -> &TickRecord;
    /// What a real autoscaler could have measured since the last call.
    fn observe(&mut self, needs: Needs) -> Observation<'_>;
    /// Quantile of the latency of counted users so far, first attempt to success, in seconds; users who gave up
    /// count as infinite. None before any user's fate is decided.
    fn latency_quantile_seconds(&self, p: f64) -> Option<f64>;

    /// One whole tick under these targets.
    fn tick(&mut self, targets: &[PoolTarget]) -> &TickRecord {
        self.apply(targets);
        let end = (self.now_seconds() / self.facts().tick_seconds + 1e-9).floor() + 1.0;
        self.advance(end * self.facts().tick_seconds);
        self.close_tick()
    }
}

/// Where in a run a tick is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Phase {
    /// Before what is counted.
    #[default]
    WarmUp,
    /// Counted.
    Horizon,
    /// Nobody arrives any more; charged in full.
    Draining,
    /// Over: every user's fate is decided.
    Done,
}

/// What happened in one tick. Counts are `f64` because the fluid engine's are expectations; the request engine's
/// are whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TickRecord {
    /// Which tick.
    pub tick: Tick,
    /// Where in the run.
    pub phase: Phase,
    /// Attempts.
    pub attempts: AttemptLedger,
    /// Users.
    pub users: UserLedger,
    /// What the price function charges for.
    pub service: ServiceStatistics,
    /// Integral of the attempts in the system over the tick, for Little's law.
    pub attempt_seconds: f64,
    /// Summed time in system of the attempts that left it in this tick.
    pub sojourn_seconds: f64,
    /// Summed wait of the attempts that started service in this tick.
    pub wait_seconds: f64,
    /// Attempts that started service in this tick.
    pub started: f64,
    /// One a pool.
    pub pools: Vec<PoolTick>,
    /// What it cost.
    pub charge: Charge,
}

impl TickRecord {
    /// Share of the ready slots in use over the tick; 0 where no slot was ready.
    pub fn utilization(&self) -> f64 {
        let slots: f64 = self.pools.iter().map(|pool| pool.slot_seconds).sum();
        let busy: f64 = self.pools.iter().map(|pool| pool.busy_slot_seconds).sum();
        if slots > 0.0 { (busy / slots).min(1.0) } else { 0.0 }
    }

    /// Replicas that serve, over all pools, at the end of the tick.
    pub fn ready(&self) -> Replicas {
        self.pools.iter().map(|pool| pool.ready).sum()
    }
}

/// Attempts: in system before + offered = completed + rejected + abandoned + failed + in system after.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AttemptLedger {
    /// Sent by clients, retries included.
    pub offered: f64,
    /// Served to the end, wasted ones included.
    pub completed: f64,
    /// Refused by a full queue or for want of any replica.
    pub rejected: f64,
    /// Given up by the client while waiting.
    pub abandoned: f64,
    /// Lost in a crash or a preemption.
    pub failed: f64,
    /// Waiting or in service at the end of the tick.
    pub in_system: f64,
    /// Of the completed, those whose client had left.
    pub wasted: f64,
}

impl AttemptLedger {
    /// Attempts that left the system in this tick.
    pub fn left(&self) -> f64 {
        self.completed + self.rejected + self.abandoned + self.failed
    }
}

/// Users: pending before + arrived = succeeded + gave up + pending after; each succeeds at most once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UserLedger {
    /// Sent a first attempt.
    pub arrived: f64,
    /// Got an answer.
    pub succeeded: f64,
    /// Got none and will not try again.
    pub gave_up: f64,
    /// Waiting for an answer or for the next attempt, at the end of the tick.
    pub pending: f64,
}

/// What happened to one pool in one tick.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PoolTick {
    /// Declared at the end of the tick.
    pub wanted: Replicas,
    /// Serving at the end of the tick.
    pub ready: Replicas,
    /// On their way to ready at the end of the tick.
    pub starting: Replicas,
    /// Finishing their last requests at the end of the tick.
    pub draining: Replicas,
    /// Integral of the ready replicas over the tick.
    pub ready_seconds: f64,
    /// Integral of the slots of ready replicas over the tick.
    pub slot_seconds: f64,
    /// Integral of the slots in service over the tick.
    pub busy_slot_seconds: f64,
    /// Replicas asked for.
    pub launches: u32,
    /// Replicas told to drain.
    pub terminations: u32,
    /// Replicas lost in crashes, taken out as unhealthy, or abandoned by their launch hook.
    pub crashes: u32,
    /// Replicas taken back by the spot market.
    pub preemptions: u32,
    /// What is billed.
    pub usage: PoolUse,
}
