use approx::assert_relative_eq;
use proptest::prelude::*;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use tidegate_core::queueing::MarkovQueue;
use tidegate_core::{Penalty, Seed, Stream};

use super::*;

fn level() -> ServiceLevel {
    ServiceLevel {
        bound_seconds: 1.0,
        share: 0.99,
        window_ticks: 1,
        penalty: Penalty::PerUser { dollars_per_user: 0.01 },
        dollars_per_user_gave_up: 0.01,
    }
}

fn model(parameters: QueueingParameters) -> QueueingModel {
    QueueingModel::new(parameters, 60.0, level())
}

const PLANT: QueueingParameters = QueueingParameters {
    service_seconds: 0.2,
    service_scv: 1.0,
    wait_factor: 1.0,
    overhead_seconds: 0.0,
    slots_per_replica: 4.0,
};

/// Windows of an M/M/c plant with 4 slots a replica, by the exact formulas, with so much noise.
fn windows(noise: f64, seed: u64) -> Vec<Window> {
    let mut rng: ChaCha8Rng = Seed::training(seed).rng(Stream::Excitation);
    (0..60)
        .map(|i| {
            let ready = 3 + i % 5;
            let utilization = 0.35 + 0.55 * rng.random::<f64>();
            let load = utilization * f64::from(ready * 4) / PLANT.service_seconds;
            let queue = MarkovQueue::new(ready * 4, load, PLANT.service_seconds).expect("it is stable");
            let mut noisy = |value: f64| Some(value * (1.0 + noise * rng.sample::<f64, _>(StandardNormal)));
            let mean = queue.wait_mean_seconds() + PLANT.service_seconds;
            Window {
                seconds: 60.0,
                requests_per_second: load,
                ready: f64::from(ready),
                latency_mean_seconds: noisy(mean),
                latency_quantiles_seconds: QUANTILES.map(|p| noisy(queue.sojourn_quantile_seconds(p))),
                concurrency: noisy(load * mean),
                busy_share: None,
                queue_before: None,
                weight: 1.0,
            }
        })
        .collect()
}

fn fitted(windows: &[Window]) -> QueueingFit {
    let prior = prior(1.0, 4.0);
    let start = QueueingParameters::from_logarithms(prior.mean.as_slice());
    fit(&windows.iter().copied(), &prior, &start, 0.03, Search::default(), 60.0, level())
        .expect("there are windows")
}

/// A short tick, so that the stationary queue is reached: 1e-3 of what is spare is left to the approach.
#[test]
fn at_rest_it_is_the_markov_queue() {
    for (ready, utilization) in [(1.0, 0.3), (3.0, 0.7), (10.0, 0.8), (40.0, 0.95)] {
        let load = utilization * 4.0 * ready / PLANT.service_seconds;
        let queue = MarkovQueue::new(4 * ready as u32, load, PLANT.service_seconds).expect("it is stable");
        let it = model(PLANT);
        let mut state = it.rest(load, ready);
        for _ in 0..50 {
            state = it.respond(&state, load, ready).1;
        }
        let time = it.respond(&state, load, ready).0;
        let mean = queue.wait_mean_seconds() + PLANT.service_seconds;
        assert_relative_eq!(time.mean_seconds(), mean, max_relative = 1e-3);
        assert_relative_eq!(time.survival(1.0), queue.sojourn_survival(1.0), max_relative = 1e-2);
        assert_eq!(state.backlog, 0.0);
    }
}

#[test]
fn a_markov_plant_is_given_back() {
    for (noise, tolerance) in [(0.0, 0.01), (0.05, 0.04)] {
        let fit = fitted(&windows(noise, 7));
        let found = fit.model.parameters();
        let in_all = found.service_seconds + found.overhead_seconds;
        assert_relative_eq!(in_all, PLANT.service_seconds, max_relative = tolerance);
        // Overhead and slots trade against each other: capacity is what a planner needs, and it is told apart.
        let capacity = found.slots_per_replica / found.service_seconds;
        assert_relative_eq!(capacity, 20.0, max_relative = tolerance);
        assert_relative_eq!(found.service_scv, 1.0, max_relative = 3.0 * tolerance);
        for (ready, load) in [(4.0, 70.0), (8.0, 145.0)] {
            let queue = MarkovQueue::new(4 * ready as u32, load, 0.2).expect("it is stable");
            let state = fit.model.rest(load, ready);
            let mean = fit.model.latency_mean_seconds(&state, load, ready);
            assert_relative_eq!(mean, queue.wait_mean_seconds() + 0.2, max_relative = 2.0 * tolerance);
            let p95 = fit.model.latency_quantile_seconds(&state, load, ready, 0.95);
            assert_relative_eq!(p95, queue.sojourn_quantile_seconds(0.95), max_relative = 2.0 * tolerance);
        }
    }
}

/// In twenty draws of the noise the truth lies within two standard errors of capacity about as often as it should.
#[test]
fn the_covariance_covers_the_truth() {
    let inside = (0..20)
        .filter(|seed| {
            let fit = fitted(&windows(0.03, *seed));
            let found = fit.model.parameters();
            let error = (found.service_seconds / 0.2).ln();
            error.abs() < 2.0 * fit.covariance[(0, 0)].sqrt()
        })
        .count();
    assert!(inside >= 16, "{inside} of 20");
}

#[test]
fn wild_windows_move_the_fit_little() {
    let mut windows = windows(0.02, 3);
    for i in [5, 20, 41] {
        windows[i].latency_mean_seconds = Some(30.0);
        windows[i].concurrency = Some(1e-3);
    }
    let found = *fitted(&windows).model.parameters();
    assert_relative_eq!(found.service_seconds + found.overhead_seconds, 0.2, max_relative = 0.06);
}

#[test]
fn without_windows_the_prior_is_all_there_is_and_that_is_an_error() {
    let prior = prior(1.0, 4.0);
    let start = QueueingParameters::from_logarithms(prior.mean.as_slice());
    let error = fit(&std::iter::empty(), &prior, &start, 0.03, Search::default(), 60.0, level())
        .expect_err("nothing was measured");
    assert_eq!(
        error.to_string(),
        "0 samples are too few for a queueing model, which needs 1; give more data or lower the orders"
    );
}

/// λ = 30/s on 20/s for 60 s: 600 wait behind, and who comes then waits 30 s; then 5 replicas clear them in 60/7 s.
#[test]
fn overload_leaves_a_backlog_that_is_worked_off() {
    let it = model(PLANT);
    let (time, after) = it.respond(&QueueState::default(), 30.0, 1.0);
    assert_relative_eq!(after.backlog, 600.0, max_relative = 1e-12);
    assert_relative_eq!(time.backlog.last_seconds, 30.0, max_relative = 1e-12);
    assert!(time.mean_seconds() > 15.0 && time.mean_seconds() < 20.0, "{}", time.mean_seconds());
    let (time, cleared) = it.respond(&after, 30.0, 5.0);
    assert_eq!(cleared.backlog, 0.0);
    assert_relative_eq!(time.backlog.share, 600.0 / 70.0 / 60.0, max_relative = 1e-12);
    assert_relative_eq!(time.backlog.first_seconds, 6.0, max_relative = 1e-12);
    let (service, _) = it.expect(&QueueState::default(), 30.0, 0.0);
    assert!(service.excess_milliseconds.is_finite() && service.users_above == service.users);
}

proptest! {
    /// What a planner's programmes rest on: more replicas, sooner; more load, later; and never a number that is none.
    #[test]
    fn latency_falls_with_replicas_and_rises_with_load(
        load in 0.0_f64..400.0, ready in 0.0_f64..20.0, more in 0.01_f64..5.0,
        backlog in 0.0_f64..500.0, waiting in 0.0_f64..50.0, factor in 0.3_f64..4.0,
    ) {
        let it = model(QueueingParameters { wait_factor: factor, ..PLANT });
        let state = QueueState { backlog, waiting };
        let (few, few_after) = it.respond(&state, load, ready);
        let (many, many_after) = it.respond(&state, load, ready + more);
        let (busy, _) = it.respond(&state, load + more, ready);
        for t in [0.05, 0.5, 1.0, 5.0] {
            prop_assert!(many.survival(t) <= few.survival(t) + 1e-6, "{t}: {} {}", many.survival(t), few.survival(t));
            prop_assert!(many.excess_seconds(t) <= few.excess_seconds(t) * (1.0 + 1e-6) + 1e-9);
        }
        prop_assert!(busy.mean_seconds() >= few.mean_seconds() * (1.0 - 1e-6));
        prop_assert!(many_after.backlog <= few_after.backlog);
        prop_assert!(few_after.waiting.is_finite() && few.mean_seconds().is_finite());
    }
}
