use approx::assert_relative_eq;
use rand::RngExt;
use rand_distr::StandardNormal;
use tidegate_core::queueing::erlang_c_real;
use tidegate_core::{Channel, Penalty, Seed, Stream};

use super::*;
use crate::armax_response::ArmaxResponseFit;

const LEVEL: ServiceLevel = ServiceLevel {
    bound_seconds: 1.0,
    share: 0.99,
    window_ticks: 1,
    penalty: Penalty::PerUser { dollars_per_user: 0.01 },
    dollars_per_user_gave_up: 0.01,
};

const FIT: HammersteinFit = HammersteinFit { na: 1, nb: 1, nc: 1, slots_per_replica: 4.0, level: LEVEL };

/// A load that wanders between 30 % and 92 % of what the replicas can do, which change every few ticks.
fn excitation(n: usize, seed: u64) -> (Vec<f64>, Vec<f64>) {
    let mut rng = Seed::training(seed).rng(Stream::Excitation);
    let (mut ready, mut share) = (5.0, 0.6);
    (0..n)
        .map(|t| {
            if t % 7 == 0 {
                ready = f64::from(rng.random_range(3..9_u32));
            }
            share = (share + 0.15 * rng.sample::<f64, _>(StandardNormal)).clamp(0.3, 0.92);
            (share * ready * 4.0 / 0.2, ready)
        })
        .unzip()
}

/// The exact mean of M/M/c through a first-order lag, with white noise through (1 + 0.3 q⁻¹)/(1 − 0.5 q⁻¹).
fn record(n: usize, seed: u64, noise: f64) -> Record {
    let (load, ready) = excitation(n, seed);
    let mut rng = Seed::training(seed).rng(Stream::Learner);
    let (mut y, mut e) = (0.2, 0.0);
    let latency = load
        .iter()
        .zip(&ready)
        .map(|(load, ready)| {
            let (slots, offered) = (4.0 * ready, load * 0.2);
            let wait = erlang_c_real(slots, offered) * 0.2 / (slots - offered);
            let now = noise * rng.sample::<f64, _>(StandardNormal);
            y = 0.5 * y + 0.5 * (0.2 + wait) + now + 0.3 * e;
            e = now;
            y
        })
        .collect();
    let channel = |name: &str, values| Channel { name: name.into(), unit: "1".into(), values };
    Record {
        step_seconds: 60.0,
        inputs: vec![channel("load", load), channel("ready", ready)],
        outputs: vec![channel("latency", latency)],
    }
}

fn simulated(model: &HammersteinModel, record: &Record) -> Vec<f64> {
    let inputs = DMatrix::from_fn(record.inputs[0].values.len(), 2, |t, i| record.inputs[i].values[t]);
    model.simulate(&inputs, Start::Zero).column(0).iter().copied().collect()
}

fn root_mean_square(a: &[f64], b: &[f64]) -> f64 {
    (a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>() / a.len() as f64).sqrt()
}

#[test]
fn a_queue_behind_a_lag_is_given_back() {
    for (noise, tolerance) in [(1e-6, 0.01), (0.003, 0.05)] {
        let model = FIT.fit(&record(600, 5, noise)).expect("it is excited");
        let curve = model.curve();
        assert_relative_eq!(curve.service_seconds + curve.overhead_seconds, 0.2, max_relative = tolerance);
        assert_relative_eq!(curve.service_seconds, 0.2, max_relative = tolerance);
        assert_relative_eq!(curve.wait_factor, 1.0, max_relative = 6.0 * tolerance);
        let past = Past::default();
        let a1 = model.dynamics().step(&past, [0.0; 2], 1.0, 0.0)[0];
        assert_relative_eq!(a1, 0.5, epsilon = 2.0 * tolerance);
        assert_relative_eq!(model.dynamics().gain(0), 1.0, max_relative = 1e-9);
    }
}

/// On fresh data of the queue, the free run of curve and dynamics is nearer than that of a plane and dynamics.
#[test]
fn the_curve_simulates_a_queue_better_than_a_plane() {
    let (learnt, fresh) = (record(600, 5, 0.003), record(600, 6, 0.003));
    let curve = FIT.fit(&learnt).expect("it is excited");
    let samples = |record: &Record| -> Vec<Sample> {
        (0..600)
            .map(|t| Sample {
                requests_per_second: record.inputs[0].values[t],
                ready: record.inputs[1].values[t],
                latency_mean_seconds: record.outputs[0].values[t],
                weight: 1.0,
            })
            .collect()
    };
    let plane =
        ArmaxResponseFit { na: 1, nb: std::num::NonZeroU32::new(2).expect("two"), nc: 1, level: LEVEL }
            .fit_samples(samples(&learnt).into_iter(), 60.0, None)
            .expect("it is excited");
    let fresh_samples = samples(&fresh);
    let mut past = plane.rest(fresh_samples[0].requests_per_second, fresh_samples[0].ready);
    let planar: Vec<f64> = fresh_samples
        .iter()
        .map(|it| {
            let (time, after) = plane.respond(&past, it.requests_per_second, it.ready);
            past = after;
            time.mean_seconds()
        })
        .collect();
    let measured = &fresh.outputs[0].values;
    let (curved, planar) =
        (root_mean_square(&simulated(&curve, &fresh), measured), root_mean_square(&planar, measured));
    assert!(curved < 0.6 * planar, "curve {curved}, plane {planar}");
}

#[test]
fn predictions_use_what_was_measured_and_agree_with_the_free_run_far_ahead() {
    let record = record(300, 9, 0.003);
    let model = FIT.fit(&record).expect("it is excited");
    let ahead = |k: u32| -> Vec<f64> {
        model.predict(&record, NonZeroU32::new(k).expect("positive")).column(0).iter().copied().collect()
    };
    let measured = &record.outputs[0].values;
    let one = root_mean_square(&ahead(1), measured);
    assert!(one < 1.1 * model.deviation_seconds && one > 0.9 * model.deviation_seconds, "{one}");
    assert!(root_mean_square(&ahead(5), measured) > one);
    assert!(root_mean_square(&ahead(400), &simulated(&model, &record)) < 1e-12);
}

#[test]
fn as_a_response_model_it_rests_at_its_curve() {
    let model = FIT.fit(&record(300, 9, 0.003)).expect("it is excited").with_scv(0.5);
    let rest = model.rest(60.0, 5.0);
    let (time, after) = model.respond(&rest, 60.0, 5.0);
    assert_relative_eq!(time.mean_seconds(), at(&model.curve, 60.0, 5.0), max_relative = 1e-9);
    assert_relative_eq!(
        model.latency_mean_seconds(&after, 60.0, 5.0),
        time.mean_seconds(),
        max_relative = 1e-9
    );
    assert!(model.latency_mean_seconds(&rest, 500.0, 1.0) > 10.0 * time.mean_seconds());
}

#[test]
fn wrong_orders_are_named() {
    let error = HammersteinFit { nb: 0, ..FIT }.fit(&record(50, 1, 0.1)).expect_err("B needs a coefficient");
    assert_eq!(error.to_string(), "`nb` is 0, but must be 1 to 8");
}
