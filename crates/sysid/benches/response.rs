//! What a response model costs in the loop: one scrape taken in by the online identification, and a planner's table of 60
//! ticks and 100 counts of replicas.
//!
//! Goals, for each kind: a scrape under 400 µs on average, fits included; a cell of the table under 1.5 µs. The run
//! fails where the fastest of the repeats misses them; machines are shared, so the fastest is the least disturbed.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a benchmark reads the clock and prints"
)]

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use tidegate_core::scenario::EXAMPLE;
use tidegate_core::{Observation, OperatorFacts, PoolStatus, ResponseModel, Scenario, Scrape, Tick};
use tidegate_sysid::online::{Kind, Online, OnlineParameters};
use tidegate_sysid::{QueueingModel, QueueingParameters};

const TICKS: u32 = 60;
const REPLICAS: u32 = 100;
const SCRAPES: u32 = 960;
const REPEATS: usize = 10;
const CELL_GOAL_NANOSECONDS: f64 = 1500.0;
const SCRAPE_GOAL_NANOSECONDS: f64 = 400_000.0;

fn facts() -> OperatorFacts {
    let mut facts = Scenario::parse(EXAMPLE).expect("the example is right").facts();
    (facts.tick_seconds, facts.scrape_seconds) = (15.0, 15.0);
    facts
}

/// The plant of the scrapes: 4 slots a replica, 0.1 s of service, load and replicas that move.
fn truth() -> QueueingModel {
    let parameters = QueueingParameters {
        service_seconds: 0.1,
        service_scv: 1.0,
        wait_factor: 1.0,
        overhead_seconds: 0.001,
        slots_per_replica: 4.0,
    };
    QueueingModel::new(parameters, 15.0, facts().prices.level)
}

/// Load, ready replicas and scrape, over and over.
fn scrapes() -> Vec<(u32, Scrape)> {
    let truth = truth();
    (0..SCRAPES)
        .map(|i| {
            let ready = 3 + (i / 6) % 5;
            let share = 0.6 + 0.25 * (f64::from(i) * 0.37).sin();
            let load = share * f64::from(ready) * 40.0;
            let rest = truth.rest(load, f64::from(ready));
            let time = truth.respond(&rest, load, f64::from(ready)).0;
            // What a sensor does to a value: some per cent, differently each time.
            let noisy = |value: f64, channel: f64| {
                Some(value * (1.0 + 0.03 * (f64::from(i) * 12.99 + channel).sin()))
            };
            let scrape = Scrape {
                at_seconds: f64::from(i + 1) * 15.0,
                window_seconds: 15.0,
                requests_per_second: Some(load),
                latency_mean_seconds: noisy(time.mean_seconds(), 0.0),
                latency_p50_seconds: noisy(time.quantile_seconds(0.5), 1.0),
                latency_p95_seconds: noisy(time.quantile_seconds(0.95), 2.0),
                latency_p99_seconds: noisy(time.quantile_seconds(0.99), 3.0),
                concurrency: noisy(load * time.mean_seconds(), 4.0),
                queue_length: Some(rest.waiting),
                ..Scrape::default()
            };
            (ready, scrape)
        })
        .collect()
}

fn observe_all(online: &mut Online, facts: &OperatorFacts, scrapes: &[(u32, Scrape)]) {
    for (ready, scrape) in scrapes {
        let pools = [PoolStatus { ready: *ready, ..PoolStatus::default() }];
        online.observe(&Observation {
            now_seconds: scrape.at_seconds,
            tick: Tick::default(),
            calendar: &facts.calendar,
            scrapes: std::slice::from_ref(scrape),
            external: &[],
            pools: &pools,
            replicas: &[],
            notices: &[],
            carbon_grams_per_kwh: None,
        });
    }
}

/// The penalty of each count of replicas in each tick, from a queue at rest.
fn fill<M: ResponseModel>(model: &M, table: &mut [f64]) {
    for (tick, row) in table.chunks_mut(REPLICAS as usize).enumerate() {
        let load = 800.0 + 700.0 * (tick as f64 * 0.1).sin();
        let state = model.rest(load, 50.0);
        for (ready, cell) in row.iter_mut().enumerate() {
            *cell = model.expect(&state, load, ready as f64 + 1.0).0.users_above;
        }
    }
}

/// The fastest of the repeats, in nanoseconds a piece.
fn fastest(pieces: u32, mut run: impl FnMut()) -> f64 {
    let mut fastest = f64::INFINITY;
    for _ in 0..REPEATS {
        let start = Instant::now();
        run();
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    fastest / f64::from(pieces) * 1e9
}

fn response(criterion: &mut Criterion) {
    let (facts, scrapes) = (facts(), scrapes());
    let mut table = vec![0.0; (TICKS * REPLICAS) as usize];
    for kind in [Kind::Queueing, Kind::Hammerstein, Kind::Armax] {
        let mut learnt = Online::new(&facts, OnlineParameters::new(kind));
        let scrape = fastest(SCRAPES, || {
            learnt = Online::new(&facts, OnlineParameters::new(kind));
            observe_all(&mut learnt, &facts, &scrapes);
        });
        let cell = fastest(TICKS * REPLICAS, || fill(black_box(learnt.model()), &mut table));
        println!("{kind:?}: {scrape:.0} ns a scrape, {cell:.0} ns a cell, {:?}", learnt.status());
        assert!(cell < CELL_GOAL_NANOSECONDS, "{kind:?}: {cell:.0} ns a cell");
        assert!(scrape < SCRAPE_GOAL_NANOSECONDS, "{kind:?}: {scrape:.0} ns a scrape");
    }

    let model = truth();
    let mut group = criterion.benchmark_group("response");
    group.sample_size(20);
    group.bench_function("table 60 x 100, queueing", |bencher| {
        bencher.iter(|| fill(black_box(&model), &mut table));
    });
    group.finish();
}

criterion_group!(benches, response);
criterion_main!(benches);
