//! One run: a controller drives a plant from the initial fleet to the last user's fate.

use tidegate_core::plant::Phase;
use tidegate_core::{
    AttemptLedger, Basis, Charge, Controller, Decision, POOLS_MAX, Plant, PoolTarget, SECONDS_PER_HOUR, Seed,
    ServiceStatistics, TickRecord, UserLedger,
};

/// A reversal of direction within this time counts as a flap.
const FLAP_SECONDS: f64 = 600.0;

/// What a run came to, over everything that is counted (horizon and draining).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RunSummary {
    /// Dollars.
    pub charge: Charge,
    /// What the price function charged for.
    pub service: ServiceStatistics,
    /// Summed flows of attempts; `in_system` is what was left at the end.
    pub attempts: AttemptLedger,
    /// Summed flows of users; `pending` is what was left at the end.
    pub users: UserLedger,
    /// Latency of users, first attempt to success: mean over those who succeeded, quantiles over all with those who
    /// gave up as infinite; NaN if there were none.
    pub latency_mean_seconds: f64,
    /// Median.
    pub latency_p50_seconds: f64,
    /// 95th percentile.
    pub latency_p95_seconds: f64,
    /// 99th percentile.
    pub latency_p99_seconds: f64,
    /// Ready replicas, averaged over the horizon.
    pub ready_mean: f64,
    /// Share of ready slots in use, averaged over the horizon.
    pub utilization_mean: f64,
    /// Billed replica-hours.
    pub replica_hours: f64,
    /// Replicas asked for.
    pub launches: u64,
    /// Replicas told to drain.
    pub terminations: u64,
    /// Replicas lost in crashes.
    pub crashes: u64,
    /// Replicas taken back by the spot market.
    pub preemptions: u64,
    /// Decisions that changed a wanted count.
    pub scaling_actions: u64,
    /// Changes against the direction of the last one within ten minutes.
    pub flaps: u64,
    /// Windows of the service level that ended.
    pub windows: u64,
    /// Energy in kilowatt-hours.
    pub energy_kwh: f64,
    /// Carbon dioxide in kilograms.
    pub carbon_kg: f64,
    /// Decisions by basis, in the order of [`Basis::ALL`].
    pub decisions: [u64; 4],
}

impl RunSummary {
    /// Share of users for whom the service level was violated: late or never.
    pub fn violating_share(&self) -> f64 {
        if self.service.users > 0.0 { self.service.violating() / self.service.users } else { 0.0 }
    }
}

/// What a run shows while it goes on.
pub trait Watch {
    /// After every tick, the counted and the others.
    fn tick(&mut self, _record: &TickRecord) {}
    /// After every decision.
    fn decision(&mut self, _now_seconds: f64, _decision: &Decision) {}
}

/// Watches nothing.
impl Watch for () {}

/// Runs `controller` on `plant` in the world of `seed`.
///
/// The first decision is taken at time 0. Decisions fall on multiples of the controller's period; those that fall
/// inside a tick split it. While the plant drains the controller goes on deciding.
pub fn run<P: Plant>(
    plant: &mut P,
    controller: &mut dyn Controller,
    seed: Seed,
    watch: &mut dyn Watch,
) -> RunSummary {
    plant.reset(seed);
    controller.reset(seed.controller(0));
    let needs = controller.needs();
    let period = controller.period_seconds();
    assert!(period > 0.0, "a controller decides every so often, not every {period} s");
    let tick_seconds = plant.facts().tick_seconds;
    let window_ticks = plant.facts().prices.level.window_ticks;
    let mut summary = RunSummary::default();
    let mut meter = Meter::default();
    let (mut ticks, mut decisions) = (0_u64, 0_u64);
    while plant.phase() != Phase::Done {
        let end = (ticks + 1) as f64 * tick_seconds;
        // A decision on the end of this tick belongs to the next one; the margin absorbs rounding of the product.
        while (decisions as f64 * period) < end - 1e-9 * period {
            plant.advance(decisions as f64 * period);
            let decision = controller.decide(&plant.observe(needs));
            plant.apply(&decision.targets);
            let counted = plant.phase() != Phase::WarmUp;
            meter.decision(decisions as f64 * period, &decision, counted, &mut summary);
            watch.decision(decisions as f64 * period, &decision);
            decisions += 1;
        }
        plant.advance(end);
        let record = plant.close_tick();
        if record.phase != Phase::WarmUp {
            meter.tick(record, tick_seconds, &mut summary);
        }
        watch.tick(record);
        ticks += 1;
    }
    summary.windows = (meter.counted_ticks / u64::from(window_ticks)).max(1);
    summary.latency_mean_seconds = summary.service.latency_seconds / summary.service.succeeded();
    let quantile = |p| plant.latency_quantile_seconds(p).unwrap_or(f64::NAN);
    summary.latency_p50_seconds = quantile(0.5);
    summary.latency_p95_seconds = quantile(0.95);
    summary.latency_p99_seconds = quantile(0.99);
    meter.finish(&mut summary);
    summary
}

#[derive(Default)]
struct Meter {
    wanted: Option<[PoolTarget; POOLS_MAX]>,
    last_change: [(f64, i64); POOLS_MAX],
    counted_ticks: u64,
    horizon_seconds: f64,
    ready_seconds: f64,
    slot_utilization_seconds: f64,
}

impl Meter {
    fn decision(&mut self, now: f64, decision: &Decision, counted: bool, summary: &mut RunSummary) {
        let mut wanted = [PoolTarget::default(); POOLS_MAX];
        wanted[..decision.targets.len()].copy_from_slice(&decision.targets);
        if let Some(before) = self.wanted {
            for (pool, (target, before)) in wanted.iter().zip(&before).enumerate() {
                let change = i64::from(target.wanted) - i64::from(before.wanted);
                if change == 0 {
                    continue;
                }
                let (at, last) = self.last_change[pool];
                if counted {
                    summary.scaling_actions += 1;
                    summary.flaps += u64::from(last * change < 0 && now - at < FLAP_SECONDS);
                }
                self.last_change[pool] = (now, change.signum());
            }
        }
        self.wanted = Some(wanted);
        if counted {
            let index = Basis::ALL.iter().position(|basis| *basis == decision.basis);
            summary.decisions[index.expect("every basis is listed")] += 1;
        }
    }

    fn tick(&mut self, record: &TickRecord, tick_seconds: f64, summary: &mut RunSummary) {
        summary.charge.add(&record.charge);
        summary.service.add(&record.service);
        add_attempts(&mut summary.attempts, &record.attempts);
        add_users(&mut summary.users, &record.users);
        for pool in &record.pools {
            summary.launches += u64::from(pool.launches);
            summary.terminations += u64::from(pool.terminations);
            summary.crashes += u64::from(pool.crashes);
            summary.preemptions += u64::from(pool.preemptions);
            summary.replica_hours += pool.usage.billed_replica_seconds / SECONDS_PER_HOUR;
            summary.energy_kwh += pool.usage.energy_kwh;
            summary.carbon_kg += pool.usage.carbon_kg;
        }
        self.counted_ticks += 1;
        if record.phase == Phase::Horizon {
            self.horizon_seconds += tick_seconds;
            self.ready_seconds += record.pools.iter().map(|pool| pool.ready_seconds).sum::<f64>();
            self.slot_utilization_seconds += record.utilization() * tick_seconds;
        }
    }

    fn finish(&self, summary: &mut RunSummary) {
        summary.ready_mean = self.ready_seconds / self.horizon_seconds;
        summary.utilization_mean = self.slot_utilization_seconds / self.horizon_seconds;
    }
}

fn add_attempts(sum: &mut AttemptLedger, tick: &AttemptLedger) {
    sum.offered += tick.offered;
    sum.completed += tick.completed;
    sum.rejected += tick.rejected;
    sum.abandoned += tick.abandoned;
    sum.failed += tick.failed;
    sum.wasted += tick.wasted;
    sum.in_system = tick.in_system;
}

fn add_users(sum: &mut UserLedger, tick: &UserLedger) {
    sum.arrived += tick.arrived;
    sum.succeeded += tick.succeeded;
    sum.gave_up += tick.gave_up;
    sum.pending = tick.pending;
}
