//! The bound against worlds solved by hand, and against every plan of tiny ones.

use rand::{Rng, RngExt};

use super::*;
use crate::testing::rng;

const TICK_SECONDS: f64 = 10.0;

fn user(arrival_seconds: f64, work_seconds: f64) -> BoundUser {
    BoundUser { arrival_seconds, work_seconds, last_seconds: f64::INFINITY }
}

/// One pool at one dollar a second of one slot, no energy, nothing charged late.
fn world(n_ticks: usize, users: Vec<BoundUser>) -> Relaxation {
    Relaxation {
        tick_seconds: TICK_SECONDS,
        free_ticks: 0,
        users,
        pools: vec![BoundPool {
            work_per_second: 1.0,
            startup_seconds: 0.0,
            dollars_per_replica_second: vec![1.0; n_ticks],
            dollars_per_work_second: vec![0.0; n_ticks],
        }],
        bound_seconds: 5.0,
        late: Late::Free,
        gave_up_dollars: 100.0,
        seconds_per_work: 1.0,
    }
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9 * (1.0 + expected), "{found} is not {expected}");
}

/// Regular users with regular work: all of it is bought at the price of a slot.
#[test]
fn work_is_paid_at_the_price_of_the_cheapest_slot() {
    let mut world = world(12, (0..60).map(|i| user(f64::from(2 * i), 1.5)).collect());
    close(world.dollars(), 90.0);
    // Four slots a replica, twice as fast.
    world.pools[0].work_per_second = 8.0;
    close(world.dollars(), 90.0 / 8.0);
    // Another pool is cheaper in the second half, and in all of it but for its energy.
    let mut second = world.pools[0].clone();
    second.dollars_per_replica_second = (0..12).map(|tick| if tick < 6 { 2.0 } else { 0.5 }).collect();
    world.pools.push(second.clone());
    // Who may wait for ever waits for the second half.
    close(world.dollars(), 90.0 / 16.0);
    (world.late, world.bound_seconds) = (Late::PerUser(50.0), 1.5);
    close(world.dollars(), 45.0 / 8.0 + 45.0 / 16.0);
    second.dollars_per_replica_second = vec![0.4; 12];
    second.dollars_per_work_second = vec![0.05; 12];
    world.pools[1] = second;
    close(world.dollars(), 90.0 * (0.4 / 8.0 + 0.05));
}

#[test]
fn users_take_the_cheapest_tick_of_their_stay_and_pay_for_coming_late() {
    let prices = vec![3.0, 3.0, 2.0, 1.0, 5.0];
    let at = |arrival, late, bound_seconds| {
        let mut world = world(5, vec![user(arrival, 2.0)]);
        world.pools[0].dollars_per_replica_second.clone_from(&prices);
        (world.late, world.bound_seconds) = (late, bound_seconds);
        world.dollars()
    };
    close(at(1.0, Late::Free, 5.0), 2.0);
    close(at(1.0, Late::PerUser(10.0), 5.0), 6.0);
    // Tick 2 begins at 20 s, 19 s after they came.
    close(at(1.0, Late::PerUser(10.0), 19.0), 4.0);
    close(at(1.0, Late::PerUser(10.0), 18.9), 6.0);
    close(at(1.0, Late::PerUser(1.0), 5.0), 3.0);
    // Tick 3 begins 24 s beyond the bound.
    close(at(1.0, Late::PerSecond(0.1), 5.0), 2.0 + 2.4);
    close(at(1.0, Late::PerSecond(0.2), 5.0), 6.0);
    // Two seconds of work cannot be done within one.
    close(at(1.0, Late::PerUser(0.7), 1.0), 2.7);
    close(at(1.0, Late::PerSecond(0.7), 1.0), 6.7);
}

#[test]
fn nobody_pays_more_than_giving_up_and_who_cannot_be_served_pays_that() {
    let mut world = world(5, vec![user(0.0, 2.0), user(1.0, 300.0)]);
    close(world.dollars(), 102.0);
    world.users[0].last_seconds = 1.9;
    close(world.dollars(), 200.0);
    // Where slots may be of any speed, nothing is too long.
    world.seconds_per_work = 0.0;
    close(world.dollars(), 102.0);
}

/// The load rises twice by one slot after what is counted began: two start-ups are paid, and none for what was there.
#[test]
fn every_rise_of_the_load_pays_a_start_up() {
    let busy = |from: u32, to: u32| (from..to).map(|second| user(f64::from(second) + 0.5, 1.0));
    let users = busy(0, 200).chain(busy(400, 800)).chain(busy(600, 800)).collect();
    let mut world = world(120, users);
    world.pools[0].startup_seconds = 10.0;
    world.bound_seconds = 0.0;
    world.late = Late::PerUser(50.0);
    // Any slot is fast enough, and nobody can be served in another block than that in which they come.
    world.seconds_per_work = 0.0;
    close(world.dollars(), 800.0 + 20.0);
    // The first rise is within the warm-up's reach: only what of the start-up falls into the counted time is paid.
    world.free_ticks = 40;
    world.users.retain(|user| user.arrival_seconds >= 400.0);
    close(world.dollars(), 600.0 + 10.0);
}

#[test]
fn prices_at_which_replicas_earn_are_refused() {
    let mut world = world(4, vec![user(0.0, 1.0)]);
    assert_eq!(world.dual(&[1.0, 1.0, 1.1, 1.0]), None);
    assert_eq!(world.dual(&[1.0, -0.1, 1.0, 1.0]), None);
    world.pools[0].startup_seconds = 1.0;
    // What was there when counting began may be kept until the price rises, so the price has to fall before.
    assert_eq!(world.dual(&[1.0, 1.0, 1.1, 1.0]), None);
    assert_eq!(world.dual(&[1.0, 0.9, 1.1, 1.0]), Some(0.9));
    // A start-up of one second is worth a tenth of one tick, and only once without another start.
    assert_eq!(world.dual(&[1.0, 0.9, 1.1, 1.1]), None);
    assert_eq!(world.dual(&[1.0, 0.9, 1.1, 0.9]), Some(0.9));
    assert_eq!(world.dual(&[1.1, 1.0, 1.0, 1.0]), None);
}

/// All plans: each user gives up or is served in one tick; the fleet is the cheapest whole one that can do the work.
fn cheapest(world: &Relaxation) -> f64 {
    let pool = &world.pools[0];
    let n_ticks = pool.dollars_per_replica_second.len();
    let mut best = f64::INFINITY;
    let mut fates = vec![0; world.users.len()];
    loop {
        let mut work = vec![0.0; n_ticks];
        let mut dollars = 0.0;
        for (user, fate) in world.users.iter().zip(&fates) {
            if *fate == n_ticks {
                dollars += world.gave_up_dollars;
                continue;
            }
            let start = (*fate as f64 * world.tick_seconds).max(user.arrival_seconds);
            let end = start.max(user.arrival_seconds + user.work_seconds * world.seconds_per_work);
            let is_possible =
                (start as usize) / (world.tick_seconds as usize) == *fate && end <= user.last_seconds;
            let excess = (end - user.arrival_seconds - world.bound_seconds).max(0.0);
            dollars += match world.late {
                _ if !is_possible => f64::INFINITY,
                Late::Free => 0.0,
                Late::PerUser(price) => price * f64::from(excess > 0.0),
                Late::PerSecond(price) => price * excess,
            };
            dollars += user.work_seconds * pool.dollars_per_work_second[*fate];
            work[*fate] += user.work_seconds;
        }
        best = best.min(dollars + fleet(world, &work));
        let Some(place) = fates.iter().position(|fate| *fate < n_ticks) else { return best };
        fates[place] += 1;
        fates[..place].fill(0);
    }
}

/// The cheapest whole fleet that can do this work in each tick, start-ups paid.
fn fleet(world: &Relaxation, work: &[f64]) -> f64 {
    const MOST: usize = 6;
    let pool = &world.pools[0];
    let counted = &pool.dollars_per_replica_second[world.free_ticks..];
    let least_price = counted.iter().copied().fold(f64::INFINITY, f64::min);
    let mut costs = vec![0.0; MOST + 1];
    for (tick, work) in work.iter().enumerate().skip(world.free_ticks) {
        let counted_seconds = (tick - world.free_ticks) as f64 * world.tick_seconds;
        let start = least_price * pool.startup_seconds.min(counted_seconds);
        let of = |n: usize| {
            let is_enough = n as f64 * pool.work_per_second * world.tick_seconds >= work - 1e-9;
            let from = |m: usize| costs[m] + start * n.saturating_sub(m) as f64;
            let before = (0..=MOST).map(from).fold(f64::INFINITY, f64::min);
            let price = pool.dollars_per_replica_second[tick] * world.tick_seconds * n as f64;
            if is_enough { before + price } else { f64::INFINITY }
        };
        costs = (0..=MOST).map(of).collect();
    }
    costs.into_iter().fold(f64::INFINITY, f64::min)
}

fn random(rng: &mut impl Rng) -> Relaxation {
    let n_ticks: usize = rng.random_range(2..=4);
    let free_ticks = rng.random_range(0..=1);
    let from = free_ticks as f64 * TICK_SECONDS;
    let users = (0..rng.random_range(1..=4))
        .map(|_| {
            let arrival_seconds = rng.random_range(from..n_ticks as f64 * TICK_SECONDS);
            let stay = if rng.random_bool(0.5) { f64::INFINITY } else { rng.random_range(5.0..40.0) };
            let last_seconds = arrival_seconds + stay;
            BoundUser { arrival_seconds, work_seconds: rng.random_range(1.0..20.0), last_seconds }
        })
        .collect();
    let price = rng.random_range(0.5..2.0);
    let mut prices = |spread: f64| -> Vec<f64> {
        (0..n_ticks).map(|_| price * (1.0 + rng.random_range(0.0..=spread))).collect()
    };
    let (replicas, energy) = (prices(1.0), prices(0.5));
    let has_energy = rng.random_bool(0.3);
    Relaxation {
        tick_seconds: TICK_SECONDS,
        free_ticks,
        users,
        pools: vec![BoundPool {
            work_per_second: f64::from(rng.random_range(1..=3_u32)),
            startup_seconds: rng.random_range(0.0..12.0),
            dollars_per_replica_second: replicas,
            dollars_per_work_second: energy
                .iter()
                .map(|price| if has_energy { *price } else { 0.0 })
                .collect(),
        }],
        bound_seconds: rng.random_range(0.0..25.0),
        late: match rng.random_range(0..3) {
            0 => Late::Free,
            1 => Late::PerUser(rng.random_range(0.0..20.0)),
            _ => Late::PerSecond(rng.random_range(0.0..2.0)),
        },
        gave_up_dollars: rng.random_range(5.0..60.0),
        seconds_per_work: if rng.random_bool(0.7) { 1.0 } else { 0.0 },
    }
}

#[test]
fn no_plan_of_a_tiny_world_is_below_the_bound() {
    let (mut ratios, mut n_with_startups) = (0.0, 0);
    for seed in 0..400 {
        let world = random(&mut rng(seed + 9_000_000));
        let (bound, truth) = (world.dollars(), cheapest(&world));
        assert!(bound <= truth * (1.0 + 1e-9), "seed {seed}: bound {bound} above {truth}: {world:?}");
        assert!(bound > 0.0, "seed {seed}");
        ratios += bound / truth;
        n_with_startups += u32::from(bound > world.dual(&world.base()).expect("plain prices") * (1.0 + 1e-9));
    }
    // One replica for one or two users leaves most of its time unsold, so a tiny world is far from its bound.
    assert!(ratios / 400.0 > 0.4, "mean ratio {}", ratios / 400.0);
    assert!(n_with_startups > 10, "{n_with_startups} worlds where start-ups count");
}

#[test]
fn dearer_worlds_have_higher_bounds() {
    for seed in 0..100 {
        let world = random(&mut rng(seed + 9_100_000));
        let plain = world.dollars();
        let mut dearer = world.clone();
        for price in &mut dearer.pools[0].dollars_per_replica_second {
            *price *= 1.1;
        }
        let base = |world: &Relaxation| world.dual(&world.base()).expect("plain prices");
        assert!(base(&dearer) >= base(&world), "seed {seed}");
        let mut fuller = world.clone();
        fuller.users.push(user(world.users[0].arrival_seconds, 3.0));
        assert!(base(&fuller) > base(&world), "seed {seed}");
        // All prices in another currency.
        let mut scaled = world.clone();
        let pool = &mut scaled.pools[0];
        let prices = pool.dollars_per_replica_second.iter_mut().chain(&mut pool.dollars_per_work_second);
        prices.for_each(|price| *price *= 7.0);
        scaled.gave_up_dollars *= 7.0;
        scaled.late = match world.late {
            Late::Free => Late::Free,
            Late::PerUser(dollars) => Late::PerUser(7.0 * dollars),
            Late::PerSecond(dollars) => Late::PerSecond(7.0 * dollars),
        };
        close(scaled.dollars(), 7.0 * plain);
        // Another pool can only help.
        let mut wider = world.clone();
        wider.pools.push(world.pools[0].clone());
        wider.pools[1].dollars_per_replica_second.iter_mut().for_each(|price| *price *= 1.2);
        assert!(wider.dollars() <= plain * (1.0 + 1e-9), "seed {seed}");
    }
}
