//! The request engine against queueing theory, at fixed seeds, to ±3 %; `validate` does it to ±1 % with intervals.

use tidegate_core::queueing::{MarkovQueue, mg1_wait_mean_seconds};
use tidegate_core::{Distribution, Seed};
use tidegate_sim::steady::SteadyQueue;

const EXPONENTIAL: &str = r#"{ kind = "exponential", mean_seconds = 1 }"#;
const CONSTANT: &str = r#"{ kind = "constant", seconds = 1 }"#;
const LOG_NORMAL: &str = r#"{ kind = "log_normal", mean_seconds = 1, coefficient_of_variation = 1.0 }"#;
const HYPER: &str = r#"{ kind = "hyper_exponential", mean_seconds = 1, coefficient_of_variation = 1.5 }"#;

fn check(
    work: &'static str,
    replicas: u32,
    concurrency: u32,
    utilization: f64,
    customers: f64,
    wait_seconds: f64,
) {
    let queue = SteadyQueue { work, replicas, concurrency, balancer: "central_queue", utilization };
    let measured = queue.run(Seed::evaluation(7)).serve(customers);
    let error = measured.wait_seconds / wait_seconds - 1.0;
    assert!(
        error.abs() < 0.03,
        "{work} x {replicas} x {concurrency} at {utilization}, seed evaluation 7: wait {}, theory {wait_seconds}",
        measured.wait_seconds
    );
    // What is in the system at the two ends of the run is all that may differ.
    assert!(measured.little < 1e-3, "Little's law is off by {}", measured.little);
}

#[test]
fn many_servers() {
    for (replicas, concurrency) in [(1, 1), (5, 2), (50, 1)] {
        let slots = replicas * concurrency;
        for (utilization, customers) in [(0.5, 2e6), (0.8, 1e7), (0.95, 2e7)] {
            if slots == 50 && utilization == 0.5 {
                continue; // hardly anybody waits: the relative error of so small a mean says nothing
            }
            let theory = MarkovQueue::new(slots, utilization * f64::from(slots), 1.0)
                .expect("it is stable")
                .wait_mean_seconds();
            check(EXPONENTIAL, replicas, concurrency, utilization, customers, theory);
        }
    }
}

#[test]
fn one_server_with_any_work() {
    let works = [
        (CONSTANT, Distribution::Constant { seconds: 1.0 }),
        (LOG_NORMAL, Distribution::log_normal(1.0, 1.0)),
        (HYPER, Distribution::hyper_exponential(1.0, 1.5)),
    ];
    for (text, work) in works {
        for (utilization, customers) in [(0.5, 2e6), (0.8, 4e6), (0.95, 3e7)] {
            check(text, 1, 1, utilization, customers, mg1_wait_mean_seconds(utilization, 1.0, work.scv()));
        }
    }
}
