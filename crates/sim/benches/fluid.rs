//! How many ticks a second the fluid engine takes on one core, with aggregate sensing and an observation each tick.
//!
//! Goal (docs/performance.md): 2 million for one pool of up to 60 replicas whose fleet changes every ten minutes. The run
//! fails where the fastest of the repeats misses its goal; machines are shared, so the fastest is the least disturbed.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a benchmark reads the clock and prints"
)]

use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidegate_core::{Needs, Plant, PoolTarget, Scenario, Seed};
use tidegate_sim::fluid::FluidPlant;

const TICKS: u32 = 5_000;
const REPEATS: usize = 200;
const GOAL_TICKS_PER_SECOND: f64 = 2e6;

fn plant() -> FluidPlant {
    let text = format!(
        r#"
        name = "bench"
        summary = "a steady load at utilization near 0.8 on some 47 replicas of four slots"
        time = {{ warm_up_ticks = 0, horizon_ticks = {TICKS} }}
        workload = {{ kind = "constant", requests_per_second = 300 }}
        service = {{ work = {{ kind = "exponential", mean_seconds = 0.5 }}, balancer = {{ kind = "central_queue" }} }}
        client = {{ timeout = {{ kind = "constant", seconds = 10 }}, attempts_max = 2 }}
        service_level = {{ bound_seconds = 2, penalty = {{ kind = "per_user", dollars_per_user = 0.001 }} }}
        [[pools]]
        name = "web"
        concurrency = 4
        replicas_max = 60
        replicas_initial = 46
        startup = {{ kind = "exponential", mean_seconds = 60 }}
        dollars_per_replica_hour = 0.1
        "#
    );
    FluidPlant::new(&Scenario::parse(&text).unwrap_or_else(|error| panic!("{error}")))
}

/// Steps through the horizon; gives what it cost, so that nothing is optimised away.
fn horizon(plant: &mut FluidPlant) -> f64 {
    let mut dollars = 0.0;
    for tick in 0..TICKS {
        dollars += plant.observe(Needs::AGGREGATES).now_seconds * 0.0;
        dollars += plant.tick(&[PoolTarget::wanted(46 + tick / 40 % 3)]).charge.total();
    }
    dollars
}

fn fluid(criterion: &mut Criterion) {
    let mut plant = plant();
    let mut fastest = f64::INFINITY;
    for repeat in 0..REPEATS {
        plant.reset(Seed::training(repeat as u64));
        let start = Instant::now();
        assert!(horizon(&mut plant) > 0.0);
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    let ticks_per_second = f64::from(TICKS) / fastest;
    println!(
        "fluid: {:.2} million ticks a second, {:.0} ns a tick",
        ticks_per_second / 1e6,
        1e9 / ticks_per_second
    );
    let mut group = criterion.benchmark_group("fluid");
    group.throughput(Throughput::Elements(u64::from(TICKS))).sample_size(10);
    group.bench_function("one pool, tick and observe", |bencher| {
        bencher.iter_batched(
            || {
                let mut plant = plant.clone();
                plant.reset(Seed::training(0));
                plant
            },
            |mut plant| horizon(&mut plant),
            criterion::BatchSize::PerIteration,
        );
    });
    group.finish();
    assert!(ticks_per_second >= GOAL_TICKS_PER_SECOND, "{ticks_per_second:.0} ticks a second");
}

criterion_group!(benches, fluid);
criterion_main!(benches);
