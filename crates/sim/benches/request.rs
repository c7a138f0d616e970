//! How many requests a second the request engine carries on one core, with time-outs and records on.
//!
//! Goals (docs/performance.md): 8 million for M/M/10 with a central queue, 4 million for 50 replicas of 4 slots with
//! least-outstanding balancing. The run fails where the fastest of the repeats misses its goal; machines are shared,
//! so the fastest is the least disturbed one. The median is printed beside it.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a benchmark reads the clock and prints"
)]

use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidegate_core::{Plant, PoolTarget, Scenario, Seed};
use tidegate_sim::RequestPlant;

const TICKS: u32 = 4;
const REPEATS: usize = 9;

fn plant(replicas: u32, concurrency: u32, balancer: &str, requests_per_second: f64) -> RequestPlant {
    let mean_seconds = 0.8 * f64::from(replicas * concurrency) / requests_per_second;
    let text = format!(
        r#"
        name = "bench"
        summary = "a steady load at utilization 0.8"
        time = {{ warm_up_ticks = 0, horizon_ticks = {TICKS} }}
        workload = {{ kind = "constant", requests_per_second = {requests_per_second} }}
        service = {{ work = {{ kind = "exponential", mean_seconds = {mean_seconds} }}, balancer = {{ kind = "{balancer}" }} }}
        client = {{ timeout = {{ kind = "constant", seconds = 1 }}, attempts_max = 2 }}
        service_level = {{ bound_seconds = 0.05, penalty = {{ kind = "per_user", dollars_per_user = 0.001 }} }}
        [[pools]]
        name = "web"
        concurrency = {concurrency}
        replicas_max = {replicas}
        replicas_initial = {replicas}
        startup = {{ kind = "constant", seconds = 60 }}
        dollars_per_replica_hour = 0.1
        "#
    );
    RequestPlant::new(&Scenario::parse(&text).expect("the scenario is right"))
}

/// One whole horizon; gives the requests that it carried.
fn carry(plant: &mut RequestPlant, replicas: u32) -> f64 {
    plant.reset(Seed::training(1));
    (0..TICKS).map(|_| plant.tick(&[PoolTarget::wanted(replicas)]).attempts.completed).sum()
}

fn bench(criterion: &mut Criterion) {
    let cases = [
        ("M/M/10, central queue", 10, 1, "central_queue", 8000.0, 8e6),
        ("50 replicas x 4, least outstanding", 50, 4, "least_outstanding", 16_000.0, 4e6),
    ];
    let mut missed = Vec::new();
    for (name, replicas, concurrency, balancer, requests_per_second, goal) in cases {
        let mut plant = plant(replicas, concurrency, balancer, requests_per_second);
        let requests = carry(&mut plant, replicas);
        assert!(requests > 0.99 * requests_per_second * f64::from(TICKS) * 15.0, "the load was not carried");
        let mut rates: Vec<f64> = (0..REPEATS)
            .map(|_| {
                let start = Instant::now();
                let requests = carry(&mut plant, replicas);
                requests / start.elapsed().as_secs_f64()
            })
            .collect();
        rates.sort_by(f64::total_cmp);
        let (median, fastest) = (rates[REPEATS / 2], rates[REPEATS - 1]);
        println!(
            "{name}: median {:.2}, fastest {:.2} million requests a second, goal {:.0}",
            median / 1e6,
            fastest / 1e6,
            goal / 1e6
        );
        if fastest < goal {
            missed.push(name);
        }
        let mut group = criterion.benchmark_group("request engine");
        group.throughput(Throughput::Elements(requests as u64)).sample_size(10);
        group.bench_function(name, |bencher| bencher.iter(|| carry(&mut plant, replicas)));
        group.finish();
    }
    assert!(missed.is_empty(), "goals missed: {missed:?}");
}

criterion_group!(benches, bench);
criterion_main!(benches);
