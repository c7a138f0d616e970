//! How many requests a second the request engine carries on one core, with time-outs and records on.
//!
//! Beside each stands a bare loop in the same run: exponential draws, a binary heap of ends of service, a queue of
//! arrival times, and nothing else, so that ratios can be compared between machines, busy or not.
//!
//! Goals (docs/performance.md): 8 million for M/M/10 with a central queue, 4 million for 50 replicas of 4 slots with
//! least-outstanding balancing. The run fails where the fastest of the repeats misses its goal; machines are shared,
//! so the fastest is the least disturbed one. The median is printed beside it.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a benchmark reads the clock and prints"
)]

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::RngExt;
use rand_distr::Exp1;
use tidegate_core::{Plant, PoolTarget, Scenario, Seed, Stream};
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

/// The least that a simulation of M/M/c can do: draw, push, pop, add up the waits.
fn bare_loop(servers: usize, customers: u32) -> f64 {
    let mut rng = Seed::training(1).rng(Stream::Work);
    let rate = 0.8 * servers as f64;
    let mut ends: BinaryHeap<Reverse<u64>> = BinaryHeap::new();
    let mut queue: VecDeque<f64> = VecDeque::new();
    let (mut arrival, mut wait, mut arrived) = (rng.sample::<f64, _>(Exp1) / rate, 0.0, 0);
    while arrived < customers {
        let end = ends.peek().map_or(f64::INFINITY, |Reverse(bits)| f64::from_bits(*bits));
        if end <= arrival {
            ends.pop();
            if let Some(since) = queue.pop_front() {
                wait += end - since;
                ends.push(Reverse((end + rng.sample::<f64, _>(Exp1)).to_bits()));
            }
        } else {
            arrived += 1;
            if ends.len() < servers {
                ends.push(Reverse((arrival + rng.sample::<f64, _>(Exp1)).to_bits()));
            } else {
                queue.push_back(arrival);
            }
            arrival += rng.sample::<f64, _>(Exp1) / rate;
        }
    }
    wait
}

fn fastest_and_median(mut once: impl FnMut() -> f64) -> (f64, f64) {
    let mut rates: Vec<f64> = (0..REPEATS)
        .map(|_| {
            let start = Instant::now();
            let requests = once();
            requests / start.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    (rates[REPEATS - 1], rates[REPEATS / 2])
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
        let (fastest, median) = fastest_and_median(|| carry(&mut plant, replicas));
        let servers = (replicas * concurrency) as usize;
        let (bare_fastest, bare_median) = fastest_and_median(|| {
            std::hint::black_box(bare_loop(servers, requests as u32));
            requests
        });
        println!(
            "{name}: median {:.2}, fastest {:.2} million requests a second, goal {:.0}; bare loop median {:.2}, \
             fastest {:.2}; ratio of the fastest {:.2}",
            median / 1e6,
            fastest / 1e6,
            goal / 1e6,
            bare_median / 1e6,
            bare_fastest / 1e6,
            fastest / bare_fastest
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
