//! Plants that we made come back: every structure, several inputs, delays, unequal orders, slow modes, tiny noise.

use std::num::NonZeroU32;

use approx::assert_relative_eq;
use expect_test::{Expect, expect};
use nalgebra::DMatrix;
use tidegate_core::{Channel, Fit, Model, Record};

use crate::testing::Plant;
use crate::{Ar, Arma, Armax, Arx, BoxJenkins, FitError, InputOutputModel, OutputError, Polynomial};

type Estimator<'a> = &'a dyn Fit<Model = InputOutputModel, Error = FitError>;

/// θ as the plant has it, in the order of the model.
fn truth(plant: &Plant, model: &InputOutputModel) -> Vec<f64> {
    let b = plant.b.iter().zip(&model.orders.inputs).flat_map(|(b, it)| &b.coefficients()[it.nk..]);
    let f = plant.f.iter().flat_map(Polynomial::tail);
    plant.a.tail().iter().chain(b).chain(plant.c.tail()).chain(plant.d.tail()).chain(f).copied().collect()
}

/// Fits and asks that the truth lies within 3.5 standard errors: one parameter in 2,000 would not.
fn check(plant: &Plant, estimator: Estimator<'_>, n: usize, index: u64) -> InputOutputModel {
    let record = plant.record(n, index);
    let model = estimator.fit(&record).expect("the plant can be identified");
    let errors = model.standard_errors();
    for (k, (found, expected)) in model.parameters().iter().zip(truth(plant, &model)).enumerate() {
        let name = &model.parameter_names()[k];
        assert!(
            (found - expected).abs() < 3.5 * errors[k],
            "{} world {index}: {name} is {found} ± {}, but was {expected}",
            model.orders.text(model.structure),
            errors[k]
        );
    }
    let ratio = model.noise_variance() / plant.sigma.powi(2);
    assert!((ratio - 1.0).abs() < 5.0 * (2.0 / n as f64).sqrt(), "noise variance is off by {ratio}");
    model
}

#[test]
fn series_without_inputs() {
    check(&Plant::arma(&[-1.6, 0.8], &[], 2.0), &Ar::new(2), 2000, 1);
    check(&Plant::arma(&[-1.6, 0.8], &[0.5], 2.0), &Arma::new(2, 1), 2000, 2);
    check(&Plant::arma(&[], &[-0.6, 0.3], 1.0), &Arma::new(0, 2), 2000, 3);
    check(&Plant::arma(&[-0.98], &[-0.5, 0.1, 0.3], 1.0), &Arma::new(1, 3), 3000, 4);
}

#[test]
fn one_input() {
    let b = [0.0, 1.0, 0.5];
    check(&Plant::armax(&[-1.5, 0.7], &b, &[], 0.4), &Arx::new(2, &[2], &[1]), 1000, 5);
    check(&Plant::armax(&[-1.5, 0.7], &b, &[-1.0, 0.2], 1.0), &Armax::new(2, &[2], 2, &[1]), 1000, 6);
    check(
        &Plant::box_jenkins(&[&b], &[&[-1.3, 0.6]], &[], &[], 0.5),
        &OutputError::new(&[2], &[2], &[1]),
        1000,
        7,
    );
    let plant = Plant::box_jenkins(&[&b], &[&[-1.4, 0.65]], &[0.6, 0.1], &[-0.8, 0.15], 0.3);
    check(&plant, &BoxJenkins::new(&[2], 2, 2, &[2], &[1]), 2000, 8);
}

#[test]
fn delays_unequal_orders_and_feed_through() {
    // na = 0: a finite impulse response; nk = 0: the output moves with the input.
    check(&Plant::armax(&[], &[0.7, 0.3, -0.2], &[], 0.5), &Arx::new(0, &[3], &[0]), 1000, 10);
    let late = [0.0, 0.0, 0.0, 0.0, 0.8];
    check(&Plant::armax(&[-0.9], &late, &[0.4, 0.2, 0.1], 0.5), &Armax::new(1, &[1], 3, &[4]), 2000, 11);
    check(&Plant::armax(&[], &late, &[0.7], 0.5), &Armax::new(0, &[1], 1, &[4]), 2000, 12);
    let direct: &[f64] = &[0.5, 0.2];
    check(
        &Plant::box_jenkins(&[direct], &[&[-0.7]], &[], &[], 0.3),
        &OutputError::new(&[2], &[1], &[0]),
        1000,
        13,
    );
    // C only, D only.
    let (b, f): (&[f64], &[f64]) = (&[0.0, 0.0, 1.0], &[-1.5, 0.7]);
    check(
        &Plant::box_jenkins(&[b], &[f], &[0.8], &[], 0.5),
        &BoxJenkins::new(&[1], 1, 0, &[2], &[2]),
        2000,
        14,
    );
    check(
        &Plant::box_jenkins(&[b], &[f], &[], &[-0.9], 0.5),
        &BoxJenkins::new(&[1], 0, 1, &[2], &[2]),
        2000,
        15,
    );
}

#[test]
fn several_inputs() {
    let two = |plant: Plant| Plant {
        b: vec![Polynomial::new(vec![0.0, 1.0]), Polynomial::new(vec![0.0, 0.0, 0.5, -0.3])],
        f: vec![Polynomial::one(); 2],
        ..plant
    };
    check(&two(Plant::armax(&[-1.2, 0.5], &[0.0], &[], 0.4)), &Arx::new(2, &[1, 2], &[1, 2]), 2000, 20);
    check(
        &two(Plant::armax(&[-1.2, 0.5], &[0.0], &[0.5], 0.4)),
        &Armax::new(2, &[1, 2], 1, &[1, 2]),
        2000,
        21,
    );
    let (b, f): ([&[f64]; 2], [&[f64]; 2]) = ([&[0.0, 0.4, 0.2], &[0.0, 0.0, 0.7]], [&[-1.3, 0.6], &[-0.9]]);
    check(&Plant::box_jenkins(&b, &f, &[], &[], 0.3), &OutputError::new(&[2, 1], &[2, 1], &[1, 2]), 2000, 22);
    check(
        &Plant::box_jenkins(&b, &f, &[0.4], &[-0.9], 0.3),
        &BoxJenkins::new(&[2, 1], 1, 1, &[2, 1], &[1, 2]),
        3000,
        23,
    );
}

#[test]
fn slow_modes() {
    // Means of a record this short against its memory are far from those of the plant, so the bound is plain.
    let slow = Plant { hold: 40, ..Plant::box_jenkins(&[&[0.0, 0.02]], &[&[-0.998]], &[], &[], 0.2) };
    let model = OutputError::new(&[1], &[1], &[1]).fit(&slow.record(4000, 30)).expect("fits");
    assert_relative_eq!(model.poles(0)[0].re, 0.998, epsilon = 5e-4);
    assert_relative_eq!(model.steady_gain(0), 10.0, max_relative = 0.15);
    let both = Plant { hold: 20, ..Plant::armax(&[-1.97, 0.9702], &[0.0, 0.01], &[-0.9], 0.05) };
    check(&both, &Armax::new(2, &[1], 1, &[1]), 4000, 31);
    let drift = Plant::box_jenkins(&[&[0.0, 0.3]], &[&[-0.8]], &[0.2], &[-0.99], 0.2);
    check(&drift, &BoxJenkins::new(&[1], 1, 1, &[1], &[1]), 4000, 32);
}

/// Whole periods of a steady swing: the means of input and output belong together to rounding, which no other record's
/// do.
fn periodic(plant: &Plant, n_periods: usize) -> Record {
    let one = plant.record(100, 40).inputs.swap_remove(0).values;
    let n = 100 * (n_periods + 10);
    let inputs = DMatrix::from_fn(n, 1, |t, _| one[t % 100]);
    let mut noisy = plant.record(n, 41);
    let clean = plant.response(&inputs, &vec![0.0; n]);
    let forced = plant.response(&DMatrix::from_fn(n, 1, |t, _| noisy.inputs[0].values[t]), &vec![0.0; n]);
    let noise = noisy.outputs[0].values.iter().zip(&forced).map(|(y, w)| y - w);
    let y: Vec<f64> = clean.iter().zip(noise).map(|(w, noise)| w + noise).collect();
    noisy.outputs[0].values = y[1000..].to_vec();
    noisy.inputs[0].values = inputs.as_slice()[1000..].to_vec();
    noisy
}

#[test]
fn tiny_noise() {
    let quiet =
        Plant { sigma: 1e-10, burn: 0, ..Plant::armax(&[-1.5, 0.7], &[0.0, 1.0, 0.5], &[-0.6, 0.2], 1.0) };
    let model = Armax::new(2, &[2], 2, &[1]).fit(&periodic(&quiet, 20)).expect("fits");
    assert!(model.loss < 1.2e-20 && model.loss > 0.8e-20, "the loss is {}", model.loss);
    for (k, (found, expected)) in model.parameters().iter().zip(truth(&quiet, &model)).enumerate() {
        let bound = 4.0 * model.standard_errors()[k];
        assert!((found - expected).abs() < bound, "{found} ± {bound} was {expected}");
    }
}

#[test]
fn large_offsets() {
    let plant = Plant::armax(&[-1.5, 0.7], &[0.0, 1.0, 0.5], &[-1.0, 0.2], 1.0);
    let fit = Armax::new(2, &[2], 2, &[1]);
    let (low, high) = (plant.record(1000, 42), Plant { offset: 1e6, ..plant }.record(1000, 42));
    let (low, high) = (fit.fit(&low).expect("fits"), fit.fit(&high).expect("fits"));
    for (x, y) in low.parameters().iter().zip(high.parameters()) {
        assert_relative_eq!(*x, y, epsilon = 1e-6);
    }
}

#[test]
fn units_do_not_matter() {
    let plant = Plant::box_jenkins(&[&[0.0, 0.5, 0.3]], &[&[-1.4, 0.65]], &[0.6], &[-0.8], 0.3);
    let record = plant.record(800, 50);
    let mut scaled = record.clone();
    scaled.outputs[0].values.iter_mut().for_each(|y| *y *= 1e-120);
    scaled.inputs[0].values.iter_mut().for_each(|u| *u *= 1e90);
    let fit = BoxJenkins::new(&[2], 1, 1, &[2], &[1]);
    let (plain, scaled) = (fit.fit(&record).expect("fits"), fit.fit(&scaled).expect("fits"));
    assert_relative_eq!(plain.fpe(), scaled.fpe() * 1e240, max_relative = 1e-8);
    for (k, (x, y)) in plain.parameters().iter().zip(scaled.parameters()).enumerate() {
        let unit = if k < 2 { 1e210 } else { 1.0 };
        assert_relative_eq!(*x, y * unit, max_relative = 1e-5);
    }
}

#[test]
fn a_start_at_the_truth_finds_nothing_lower() {
    // Resonant and slow poles at once, and an input that hardly moves: the loss has several valleys.
    let f = Polynomial::monic(&[-1.9, 0.95]).product(&Polynomial::monic(&[-0.98]));
    let plant =
        Plant { hold: 11, ..Plant::box_jenkins(&[&[0.0, 0.1, -0.05, 0.02]], &[f.tail()], &[], &[], 0.5) };
    for index in 60..64 {
        let record = plant.record(600, index);
        let model = OutputError::new(&[3], &[3], &[1]).fit(&record).expect("fits");
        let data = crate::prepared::Prepared::new(&record);
        let mut criterion =
            crate::prediction_error::Criterion::new(&model.orders, &data, model.orders.skip());
        let mut theta = truth(&plant, &model);
        theta[..3].iter_mut().for_each(|b| *b *= data.inputs[0].scale / data.output.scale);
        let known = crate::search::minimise(&mut criterion, &[theta]).expect("finite");
        let known = known.loss * data.output.scale.powi(2);
        assert!(model.loss <= known * (1.0 + 1e-9), "world {index}: {} above {known}", model.loss);
    }
}

/// Scatter of estimates over many records against the covariance that each of them claims.
#[test]
fn covariance_agrees_with_scatter() {
    let plant = Plant::armax(&[-0.8], &[0.0, 1.0], &[0.5], 0.5);
    let models: Vec<InputOutputModel> = (0..300)
        .map(|index| Armax::new(1, &[1], 1, &[1]).fit(&plant.record(400, 1000 + index)).expect("fits"))
        .collect();
    let n = models.len() as f64;
    for k in 0..3 {
        let mean = models.iter().map(|it| it.parameters()[k]).sum::<f64>() / n;
        let scatter = models.iter().map(|it| (it.parameters()[k] - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let claimed = models.iter().map(|it| it.covariance[(k, k)]).sum::<f64>() / n;
        // A variance from 300 draws is known to 8 %.
        assert!((scatter / claimed - 1.0).abs() < 0.25, "parameter {k}: {scatter} against {claimed}");
    }
}

/// The optimal prediction error h steps ahead has variance σ² Σ hₖ² over k < h.
#[test]
fn errors_of_long_predictions_have_the_variance_of_theory() {
    let plant = Plant::box_jenkins(&[&[0.0, 0.5]], &[&[-0.7]], &[0.6, 0.1], &[-0.8, 0.15], 0.3);
    let model = check(&plant, &BoxJenkins::new(&[1], 2, 2, &[1], &[1]), 20_000, 70);
    let record = plant.record(20_000, 71);
    for ahead in [1, 2, 5, 40] {
        let ahead = NonZeroU32::new(ahead).expect("positive");
        let first = model.first_predicted(ahead);
        let predicted = model.predict(&record, ahead);
        let y = &record.outputs[0].values;
        let missed: f64 =
            (first..y.len()).map(|t| (y[t] - predicted[t]).powi(2)).sum::<f64>() / (y.len() - first) as f64;
        let response = plant.c.impulse_response(&plant.d, ahead.get() as usize);
        let theory = plant.sigma.powi(2) * response.iter().map(|h| h * h).sum::<f64>();
        assert_relative_eq!(missed, theory, max_relative = 0.05);
    }
}

fn failure(estimator: Estimator<'_>, record: &Record, expected: &Expect) {
    expected
        .assert_eq(&estimator.fit(record).map_or_else(|error| error.to_string(), |model| model.to_string()));
}

#[test]
fn bad_input_is_named() {
    let record = Plant::armax(&[-0.5], &[0.0, 1.0], &[], 0.5).record(100, 80);
    let arx = Arx::new(1, &[1], &[1]);
    let with = |change: &dyn Fn(&mut Record)| {
        let mut changed = record.clone();
        change(&mut changed);
        changed
    };
    let gap = with(&|it| it.outputs[0].values[7] = f64::NAN);
    failure(&arx, &gap, &expect!["`y` has a gap at sample 7; fill it or split the record there"]);
    let infinite = with(&|it| it.inputs[0].values[3] = f64::INFINITY);
    failure(&arx, &infinite, &expect!["`u1` is inf at sample 3; every sample must be finite"]);
    let constant = with(&|it| it.inputs[0].values.fill(4.0));
    failure(&arx, &constant, &expect!["`u1` is constant at 4; excite it or leave it out"]);
    let short = with(&|it| {
        it.inputs[0].values.truncate(5);
        it.outputs[0].values.truncate(5);
    });
    failure(
        &Armax::new(2, &[2], 2, &[3]),
        &short,
        &expect![
            "5 samples are too few for ARMAX(2,2,2,3), which needs 11; give more data or lower the orders"
        ],
    );
    let twice = with(&|it| {
        let again = Channel { name: "u2".into(), ..it.inputs[0].clone() };
        it.inputs.push(again);
    });
    failure(
        &Arx::new(1, &[1, 1], &[1, 1]),
        &twice,
        &expect![
            "the data do not determine b1 of u2; lower that order, drop an input that repeats another, or excite the inputs more"
        ],
    );
    failure(
        &OutputError::new(&[1, 1], &[1, 1], &[1, 1]),
        &twice,
        &expect![
            "the data do not determine b1 of u2; lower nb, drop an input that repeats another, or excite the inputs more"
        ],
    );
    failure(&Arx::new(1, &[0], &[1]), &record, &expect!["`nb[0]` is 0, but must be at least 1"]);
    failure(&Arx::new(1, &[1], &[100_000]), &record, &expect!["`nk[0]` is 100000, but must be at most 1000"]);
    failure(
        &Arx::new(1, &[1, 1], &[1]),
        &record,
        &expect!["`number of nk` is 1, but there are 2 nb, and each input has one of both"],
    );
    failure(
        &Arx::new(1, &[1, 1], &[1, 1]),
        &record,
        &expect!["`number of nb` is 2, but the record has 1 inputs"],
    );
    failure(&Ar::new(2), &record, &expect!["the record has 1 inputs, but this method takes none"]);
    let alone = with(&|it| it.inputs.clear());
    failure(
        &Ar::new(0),
        &alone,
        &expect!["`na` is 0, but a series without inputs needs na or nc of at least 1"],
    );
}

#[test]
fn what_disappoints_is_a_warning_and_never_nan() {
    // Orders far too high on little data: poles and zeros cancel anywhere.
    let record = Plant::armax(&[-0.5], &[0.0, 1.0], &[], 0.5).record(150, 90);
    let model = BoxJenkins::new(&[3], 3, 3, &[3], &[1]).fit(&record).expect("a model comes out");
    assert!(model.parameters().iter().chain(model.covariance.iter()).all(|it| it.is_finite()));
    // A random walk: A has its root next to 1, perhaps beyond.
    let explosive = Plant { hold: 1, ..Plant::armax(&[-1.004], &[0.0, 1.0], &[], 0.5) };
    let model = Arx::new(1, &[1], &[1]).fit(&explosive.record(300, 91)).expect("least squares does not mind");
    assert!(!model.is_stable());
    let expected = expect!["A has a root of modulus 1.004264: predictions are sound, free runs grow"];
    expected.assert_eq(&model.warnings[0].to_string());
    // No noise at all: the loss is rounding, and the parameters are the plant's.
    let exact = periodic(&Plant::armax(&[-1.5, 0.7], &[0.0, 1.0, 0.5], &[], 0.0), 5);
    let model = Armax::new(2, &[2], 1, &[1]).fit(&exact).expect("fits");
    assert!(model.loss < 1e-24 && model.parameters().iter().all(|it| it.is_finite()));
    assert_relative_eq!(model.parameters()[0], -1.5, epsilon = 1e-9);
}

#[test]
fn equal_input_equal_bits() {
    let record = Plant::box_jenkins(&[&[0.0, 0.5]], &[&[-0.7]], &[0.6], &[-0.8], 0.3).record(500, 95);
    let fit = BoxJenkins::new(&[1], 1, 1, &[1], &[1]);
    assert_eq!(fit.fit(&record), fit.fit(&record));
}
