use expect_test::{Expect, expect};
use tidegate_core::model::{Channel, Model, Record, Start};

use super::*;
use crate::kalman::KalmanFilter;
use crate::subspace::tests::{example, model, simulated};

/// x' = 0.5 x + 2 (u − 1) + 0.3 e, y − 10 = 4 x + 0.1 (u − 1) + e.
fn first_order() -> StateSpaceModel {
    let port = |name: &str, unit: &str, mean| Port { name: name.into(), unit: unit.into(), mean };
    let scalar = |x| DMatrix::from_element(1, 1, x);
    let matrices =
        Matrices { a: scalar(0.5), b: scalar(2.0), c: scalar(4.0), d: scalar(0.1), k: scalar(0.3) };
    let (inputs, outputs) = (vec![port("replicas", "1", 1.0)], vec![port("latency", "ms", 10.0)]);
    StateSpaceModel::new(15.0, inputs, outputs, matrices, scalar(0.04)).expect("fine")
}

fn record(inputs: &[f64], outputs: &[f64]) -> Record {
    let channel =
        |name: &str, values: &[f64]| Channel { name: name.into(), unit: "1".into(), values: values.to_vec() };
    Record { step_seconds: 15.0, inputs: vec![channel("u", inputs)], outputs: vec![channel("y", outputs)] }
}

#[test]
fn a_first_order_model_runs_as_by_hand() {
    let model = first_order();
    // u − ū = 1, 0, 0: x = 0, 2, 1, so y − ȳ = 0.1, 8, 4.
    let inputs = DMatrix::from_column_slice(3, 1, &[2.0, 1.0, 1.0]);
    assert_eq!(model.simulate(&inputs, Start::Zero).as_slice(), [10.1, 18.0, 14.0]);
    assert_eq!(model.simulate(&inputs, Start::State(vec![1.0])).as_slice(), [14.1, 20.0, 15.0]);
    // Measured 11.1: e = 1, which adds 0.3 to the next state; then the prediction is met, and 0.15 is left of it.
    let record = record(&[2.0, 1.0, 1.0], &[11.1, 19.2, 0.0]);
    let one = model.predict(&record, NonZeroU32::MIN);
    assert!((one - DMatrix::from_column_slice(3, 1, &[10.1, 19.2, 14.6])).amax() < 1e-12);
    // Two steps ahead the first sample is not known yet at the second.
    let two = model.predict(&record, NonZeroU32::new(2).expect("positive"));
    assert!((two - DMatrix::from_column_slice(3, 1, &[10.1, 18.0, 14.6])).amax() < 1e-12);
    let gain = model.dc_gain().expect("no pole at 1")[(0, 0)];
    assert!((gain - (0.1 + 4.0 * 2.0 / 0.5)).abs() < 1e-12);
    let response = model.step_response(60);
    assert_eq!(response.responses[1][(0, 0)], 8.1);
    assert!((response.responses[59][(0, 0)] - gain).abs() < 1e-12);
}

#[test]
fn a_prediction_far_ahead_is_a_simulation() {
    let (model, steps) = (example(), 40);
    let record = simulated(&model, steps, 0.5, 3);
    let far = model.predict(&record, NonZeroU32::new(1000).expect("positive"));
    let free = model.simulate(&columns(&record.inputs, steps), Start::Zero);
    assert!((far - free).amax() < 1e-12);
    // And errors grow with the distance, from the innovation (0.5) on.
    let error = |ahead| {
        let record = simulated(&model, 5000, 0.5, 4);
        let predicted = model.predict(&record, NonZeroU32::new(ahead).expect("positive"));
        (predicted - columns(&record.outputs, 5000)).norm() / (2.0_f64 * 5000.0).sqrt()
    };
    let errors = [1, 2, 5, 20].map(error);
    assert!((errors[0] - 0.5).abs() < 0.01 && errors.is_sorted(), "{errors:?}");
}

#[test]
fn the_gain_is_that_of_its_own_kalman_filter() {
    let model = example();
    let filter =
        KalmanFilter::new(model.linear_gaussian(), DVector::zeros(4), DMatrix::zeros(4, 4)).expect("fine");
    let steady = filter.steady_state().expect("A − K C is stable");
    assert!((&steady.gain - &model.matrices().k).amax() < 1e-9);
    assert!(steady.covariance.amax() < 1e-9, "the state is known but for the past");
    assert!((steady.innovation_covariance - model.innovation_covariance()).amax() < 1e-9);
}

#[test]
fn the_best_initial_state_is_the_one_that_was() {
    let model = example();
    let start = vec![1.0, -2.0, 0.5, 3.0];
    let mut record = simulated(&model, 80, 0.0, 8);
    let run = model.simulate(&columns(&record.inputs, 80), Start::State(start.clone()));
    for (channel, column) in record.outputs.iter_mut().zip(run.column_iter()) {
        channel.values = column.iter().copied().collect();
    }
    record.outputs[0].values[5] = f64::NAN;
    for (found, expected) in model.best_initial_state(&record).iter().zip(&start) {
        assert!((found - expected).abs() < 1e-9);
    }
    let fit = model.fit_percent(&record);
    assert!(fit.simulated_from_best.iter().all(|fit| *fit > 100.0 - 1e-7), "{fit:?}");
    assert!(fit.simulated_from_zero.iter().all(|fit| *fit < 90.0), "{fit:?}");
}

#[test]
fn a_gap_counts_as_an_innovation_of_zero() {
    let model = first_order();
    let record = record(&[1.0; 3], &[f64::NAN, 11.0, 10.0]);
    let predicted = model.predict(&record, NonZeroU32::MIN);
    assert!((predicted - DMatrix::from_column_slice(3, 1, &[10.0, 10.0, 11.2])).amax() < 1e-12);
}

#[test]
fn json_gives_back_the_same_bits() {
    let mut models = vec![first_order(), example(), model(&[1.5], &[], &[1.0, 0.3], &[], &[0.1, 0.2], 2)];
    models[1].matrices.a *= 1.0 / 3.0;
    models[1].warn(Warning::NearUnitPole { radius: 0.1 + 0.2, steps: 1e300, record_steps: 7 });
    models[1].warn(Warning::NoNoiseModel);
    models[1].warn(Warning::OrderAboveRank { order: 4, rank: 2 });
    models[1].warn(Warning::Stabilised { radius: 1.0 + f64::EPSILON });
    assert!(matches!(models[2].warnings(), [Warning::Unstable { .. }]));
    for model in models {
        assert_eq!(StateSpaceModel::from_json(&model.to_json()).expect("just written"), model);
    }
}

fn check_file(from: &str, to: &str, expected: &str) {
    let text = first_order().to_json();
    assert!(text.contains(from), "{text}");
    let error = StateSpaceModel::from_json(&text.replacen(from, to, 1)).expect_err(expected);
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[test]
fn files_that_are_no_model_say_why() {
    check_file("\"version\": 1", "\"version\": 2", "`version` is 2, but this program reads version 1");
    check_file("\"state_space\"", "\"armax\"", "`kind` is `armax`, but must be `state_space`");
    check_file("15.0", "-1.0", "`step_seconds` must be a positive number, but is -1");
    check_file("\"warnings\"", "\"warning\"", "the model file cannot be read: unknown field `warning`");
    check_file("0.5", "0.5, 0.5", "`a[0]` has 2 entries, but must have 1");
    check_file("4.0", "1e999", "the model file cannot be read: number out of range");
}

#[test]
fn parts_that_do_not_fit_are_named() {
    let fine = first_order();
    let with = |change: &dyn Fn(&mut Matrices)| {
        let mut matrices = fine.matrices.clone();
        change(&mut matrices);
        let (inputs, outputs) = (fine.inputs.clone(), fine.outputs.clone());
        StateSpaceModel::new(1.0, inputs, outputs, matrices, DMatrix::zeros(1, 1))
            .map_err(|error| error.to_string())
    };
    assert_eq!(with(&|m| m.c = DMatrix::zeros(2, 1)), Err("`c` is 2 × 1, but must be 1 × 1".into()));
    assert_eq!(with(&|m| m.k[(0, 0)] = f64::NAN), Err("`k` holds NaN; every number must be finite".into()));
    assert_eq!(
        with(&|m| m.a = DMatrix::zeros(0, 0)),
        Err("`a` is empty; a model has at least one state and one output".into())
    );
}

fn check_print(model: &StateSpaceModel, expected: &Expect) {
    expected.assert_eq(&model.to_string());
}

#[test]
fn a_model_prints_as_a_control_engineer_writes_it() {
    check_print(
        &first_order(),
        &expect![[r"
        discrete-time state-space model, step 15 s: 1 states, 1 inputs, 1 outputs
          x(t+1) = A x(t) + B u(t) + K e(t)
            y(t) = C x(t) + D u(t) + e(t)
          u1 = replicas [1] less its mean 1.000000
          y1 = latency [ms] less its mean 10.000000
                A =      0.500000
                B =      2.000000
                C =      4.000000
                D =      0.100000
                K =      0.300000
            cov e =      0.040000
          poles:  0.500000
          DC gain =     16.100000
    "]],
    );
    let oscillator = model(&[0.0, 1.5, -1.5, 0.0], &[1.0, 0.0], &[2e-7, 0.0], &[0.0], &[0.0; 2], 1);
    check_print(
        &oscillator,
        &expect![[r"
        discrete-time state-space model, step 1 s: 2 states, 1 inputs, 1 outputs
          x(t+1) = A x(t) + B u(t) + K e(t)
            y(t) = C x(t) + D u(t) + e(t)
          u1 = u0 [1] less its mean 0.000000
          y1 = y0 [1] less its mean 0.000000
                A =      0.000000      1.500000
                        -1.500000      0.000000
                B =      1.000000
                         0.000000
                C =    2.00000e-7      0.000000
                D =      0.000000
                K =      0.000000
                         0.000000
            cov e =      1.000000
          poles:  0.000000 ± 1.500000i
          DC gain =    6.15385e-8
          warning: the model is unstable (largest pole modulus 1.500000); do not simulate it far
    "]],
    );
}
