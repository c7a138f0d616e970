//! What a day of demand costs: a reset, a look-up, and an arrival instant.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use tidegate_core::{Scenario, Seed, Tick, scenario::EXAMPLE};
use tidegate_workload::Demand;

/// A day of 15 s ticks with every term of the profile switched on.
fn day(workload: &str, arrivals: &str) -> Scenario {
    let text = EXAMPLE
        .replace("horizon_ticks = 240", "horizon_ticks = 5680")
        .replace("kind = \"constant\"\nrequests_per_second = 20", workload)
        .replace("[service]", &format!("[arrivals]\n{arrivals}\n[service]"));
    Scenario::parse(&text).expect("a right scenario")
}

const PROFILE: &str = "kind = \"profile\"
mean_requests_per_second = 20
daily = [3, 2, 1, 1, 2, 3, 5, 8, 9, 9, 8, 7, 7, 8, 9, 9, 8, 7, 6, 6, 6, 5, 4, 3]
day_variation = 0.1
phase_seconds = 900
noise = 0.1";

fn demand(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("demand");
    for (name, arrivals) in [
        ("reset_poisson", "kind = \"poisson\""),
        ("reset_renewal", "kind = \"renewal\"\ncoefficient_of_variation = 2"),
    ] {
        let mut demand = Demand::new(&day(PROFILE, arrivals));
        let mut index = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                index += 1;
                demand.reset(Seed::training(index));
                demand.users(Tick(100))
            });
        });
    }
    for (name, arrivals) in [
        ("times_poisson", "kind = \"poisson\""),
        ("times_renewal", "kind = \"renewal\"\ncoefficient_of_variation = 2"),
    ] {
        let mut demand = Demand::new(&day(PROFILE, arrivals));
        demand.reset(Seed::training(1));
        let users: u64 = demand.counts().iter().map(|users| u64::from(*users)).sum();
        group.throughput(Throughput::Elements(users));
        let mut into = Vec::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut seen = 0;
                for tick in 0..5760 {
                    demand.times(Tick(tick), &mut into);
                    seen += into.len() as u64;
                    black_box(&into);
                }
                assert_eq!(seen, users, "every user arrives");
            });
        });
    }
    let demand = Demand::new(&day(PROFILE, "kind = \"poisson\""));
    group.throughput(Throughput::Elements(5760));
    group.bench_function("look_up", |bencher| {
        bencher.iter(|| {
            (0..5760)
                .map(|tick| {
                    let tick = black_box(Tick(tick));
                    demand.requests_per_second(tick) + f64::from(demand.users(tick))
                })
                .sum::<f64>()
        });
    });
    group.finish();
}

criterion_group!(benches, demand);
criterion_main!(benches);
