//! The relaxation of a realised world of the request plant, in plain numbers: its users, prices and start-ups.
//!
//! | number | where it comes from |
//! | --- | --- |
//! | a, w | the draws of the request engine itself ([`users_of_run`]) |
//! | last moment of a user | a + attempts · patience + the longest pauses; before a if one attempt's patience is too short |
//! | `p_t` | the price in force (the spot price's realised path), and what an idle replica's energy and carbon cost |
//! | `e_t` | energy and carbon of a busy slot beside an idle one, over its speed |
//! | C | slots · speed, of a pool whose replicas may turn unhealthy to a speed above 1 by that much more |
//! | D | start-up of the luckiest draw that the hash can give, hook and registration; of the warm pool where that is less |
//! | late | per user, per millisecond; charges by the window and on mean latency count as nothing |
//!
//! With replicas of any size only what is the same for each dollar is left: C and D for replicas of size 1, no least
//! time in a slot and no energy of work.

use tidegate_core::scenario::Pool;
use tidegate_core::{Penalty, SECONDS_PER_DAY, SECONDS_PER_HOUR, Scenario, Seed, Tick};
use tidegate_mpc::{BoundPool, BoundUser, Late, Relaxation};
use tidegate_sim::surroundings::Surroundings;
use tidegate_sim::users_of_run;

/// The least number that the counter hash gives (`tidegate_core::Key::uniform`): the luckiest start-up there is.
const LUCK_MIN: f64 = 1.0 / (1_u64 << 54) as f64;

/// What no controller can undercut in the world of `seed` on the request plant; with `any_size` none that changes the
/// size of replicas either.
pub fn dollars(scenario: &Scenario, seed: Seed, any_size: bool) -> f64 {
    relaxation(scenario, seed, any_size).dollars()
}

/// The relaxation of that world.
pub fn relaxation(scenario: &Scenario, seed: Seed, any_size: bool) -> Relaxation {
    let speed_most = scenario.pools.iter().map(|pool| speed(scenario, pool)).fold(0.0, f64::max);
    let seconds_per_work = if any_size { 0.0 } else { 1.0 / speed_most };
    let client = &scenario.client;
    let pauses: f64 = (1..client.attempts_max).map(|attempt| client.pause_seconds(attempt, 0.0)).sum();
    let users = users_of_run(scenario, seed)
        .into_iter()
        .filter(|user| user.is_counted)
        .map(|user| {
            let stay = user.patience_seconds * f64::from(client.attempts_max) + pauses;
            let is_served = user.work_seconds * seconds_per_work <= user.patience_seconds * (1.0 + 1e-9);
            BoundUser {
                arrival_seconds: user.arrival_seconds,
                work_seconds: user.work_seconds,
                last_seconds: if is_served { user.arrival_seconds + stay } else { f64::NEG_INFINITY },
            }
        })
        .collect();
    Relaxation {
        tick_seconds: scenario.tick_seconds,
        free_ticks: scenario.warm_up_ticks as usize,
        users,
        pools: pools(scenario, seed, any_size),
        bound_seconds: scenario.level.bound_seconds,
        late: match scenario.level.penalty {
            Penalty::PerUser { dollars_per_user } => Late::PerUser(dollars_per_user),
            Penalty::PerMillisecond { dollars_per_millisecond } => {
                Late::PerSecond(1e3 * dollars_per_millisecond)
            }
            Penalty::PerWindow { .. } | Penalty::MeanLatency { .. } => Late::Free,
        },
        gave_up_dollars: scenario.level.dollars_per_user_gave_up,
        seconds_per_work,
    }
}

/// Prices over all ticks that a run can have: the engine sends everybody home after a day of draining.
fn pools(scenario: &Scenario, seed: Seed, any_size: bool) -> Vec<BoundPool> {
    let drained_ticks = (SECONDS_PER_DAY / scenario.tick_seconds) as u32 + 2;
    let mut surroundings = Surroundings::new(scenario);
    surroundings.reset(seed);
    let mut pools: Vec<BoundPool> = scenario
        .pools
        .iter()
        .map(|pool| BoundPool {
            work_per_second: f64::from(pool.concurrency) * speed(scenario, pool),
            startup_seconds: startup_seconds(pool),
            dollars_per_replica_second: Vec::new(),
            dollars_per_work_second: Vec::new(),
        })
        .collect();
    for tick in 0..scenario.arrival_ticks() + drained_ticks {
        surroundings.begin_tick(Tick(tick));
        for (index, (pool, spec)) in pools.iter_mut().zip(&scenario.pools).enumerate() {
            let carbon_kg_per_kwh = surroundings.carbon_grams_per_kwh() * spec.carbon_factor / 1000.0;
            let energy = scenario.energy;
            let dollars_per_kwh = energy.dollars_per_kwh + energy.dollars_per_carbon_kg * carbon_kg_per_kwh;
            let dollars_per_watt_second = dollars_per_kwh / (1000.0 * SECONDS_PER_HOUR);
            let resources = &spec.resources;
            let idle = resources.watts_idle * dollars_per_watt_second;
            let busy = (resources.watts_busy - resources.watts_idle) * dollars_per_watt_second;
            pool.dollars_per_replica_second
                .push(surroundings.dollars_per_replica_hour(index) / SECONDS_PER_HOUR + idle);
            pool.dollars_per_work_second.push(if any_size { 0.0 } else { busy / pool.work_per_second });
        }
    }
    pools
}

/// The most that a slot of this pool does in a second.
fn speed(scenario: &Scenario, pool: &Pool) -> f64 {
    let faults = &scenario.faults;
    let spell = if faults.unhealthy_per_replica_hour > 0.0 { faults.unhealthy_speed } else { 1.0 };
    pool.speed * spell.max(1.0)
}

/// The shortest time from request to ready that can be drawn.
fn startup_seconds(pool: &Pool) -> f64 {
    let warm = pool.warm_pool.as_ref().map_or(f64::INFINITY, |warm| warm.startup.quantile(LUCK_MIN));
    let process = pool.startup.quantile(LUCK_MIN).min(warm).max(0.0);
    // A hook that never answers is waited for until it times out, which may be sooner.
    let silent = pool.launch_hook.map_or(f64::INFINITY, |hook| hook.timeout_seconds);
    process * (1.0 - 1e-6) + pool.hook_seconds.min(silent) + pool.registration_seconds
}
