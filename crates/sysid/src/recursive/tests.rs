use expect_test::{Expect, expect};
use nalgebra::{DMatrix, DVector};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use tidegate_core::{Seed, Stream};

use super::*;

/// y(t) = −a₁ y(t−1) − a₂ y(t−2) + b₀ u(t−1) + b₁ u(t−2) + e(t) + c₁ e(t−1) + c₂ e(t−2), driven by noise of variance 1
/// for u and `sigma`² for e.
struct System {
    truth: [f64; 6],
    sigma: f64,
    y: [f64; 2],
    u: [f64; 2],
    e: [f64; 2],
    rng: ChaCha8Rng,
}

impl System {
    fn new(truth: [f64; 6], sigma: f64, seed: u64) -> Self {
        let rng = Seed::training(seed).rng(Stream::Excitation);
        Self { truth, sigma, y: [0.0; 2], u: [0.0; 2], e: [0.0; 2], rng }
    }

    fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.rng)
    }

    /// u(t) and y(t).
    fn step(&mut self) -> (f64, f64) {
        let u = self.normal();
        (u, self.respond(u))
    }

    fn respond(&mut self, u: f64) -> f64 {
        let [a1, a2, b0, b1, c1, c2] = self.truth;
        let e = self.sigma * self.normal();
        let y = -a1 * self.y[0] - a2 * self.y[1]
            + b0 * self.u[0]
            + b1 * self.u[1]
            + e
            + c1 * self.e[0]
            + c2 * self.e[1];
        (self.y, self.u, self.e) = ([y, self.y[0]], [u, self.u[0]], [e, self.e[0]]);
        y
    }
}

const TRUTH: [f64; 6] = [-1.5, 0.7, 1.0, 0.5, -1.0, 0.2];

fn orders(nc: usize) -> Orders {
    Orders { na: 2, inputs: vec![InputOrders { nb: 2, nk: 1 }], nc }
}

fn arx(lambda: f64) -> RecursiveArmax {
    RecursiveArmax::new(orders(0), Forgetting::constant(lambda), &[100.0; 4]).expect("a model")
}

/// The weighted least squares with the prior as four more rows, by QR.
fn batch(rows: &[[f64; 4]], y: &[f64], prior_variance: f64) -> DVector<f64> {
    let n = rows.len();
    let matrix = DMatrix::from_fn(n + 4, 4, |row, column| match row.checked_sub(n) {
        None => rows[row][column],
        Some(prior) => f64::from(u8::from(prior == column)) / prior_variance.sqrt(),
    });
    let right = DVector::from_fn(n + 4, |row, _| y.get(row).copied().unwrap_or_default());
    let qr = matrix.qr();
    qr.r().solve_upper_triangular(&(qr.q().transpose() * right)).expect("a full rank")
}

#[test]
fn without_forgetting_it_is_batch_least_squares() {
    let mut system = System::new(TRUTH, 0.5, 20);
    let mut model = arx(1.0);
    let (mut rows, mut ys) = (Vec::new(), Vec::new());
    let mut past = [0.0; 4];
    for _ in 0..2000 {
        let predicted = model.predict(&[0.0]);
        let (u, y) = system.step();
        rows.push(past);
        ys.push(y);
        past = [-y, past[0], u, past[2]];
        let innovation = model.update(&[u], y).expect("y is there");
        assert!((y - predicted - innovation).abs() <= 1e-12 * y.abs().max(1.0));
    }
    let expected = batch(&rows, &ys, 100.0);
    for (ours, batch) in model.parameters().iter().zip(expected.iter()) {
        assert!((ours - batch).abs() < 1e-9, "{ours} is not {batch}");
    }
    // Residual sum of squares with the prior's share in it, over N − 4; and σ √ of the inverse's diagonal.
    let matrix = DMatrix::from_fn(2000, 4, |row, column| rows[row][column]);
    let residuals = DVector::from_column_slice(&ys) - &matrix * &expected;
    let penalised = residuals.norm_squared() + expected.norm_squared() / 100.0;
    let variance = model.noise_variance().expect("more samples than parameters");
    assert!((variance / (penalised / 1996.0) - 1.0).abs() < 1e-9, "{variance}");
    let information = matrix.transpose() * &matrix + DMatrix::identity(4, 4) / 100.0;
    let covariance = information.try_inverse().expect("a full rank");
    for k in 0..4 {
        let error = model.standard_error(k).expect("a noise variance");
        assert!((error / (variance * covariance[(k, k)]).sqrt() - 1.0).abs() < 1e-9, "{k}: {error}");
    }
}

/// P⁻¹ by its own recursion in dense matrices, inverted at the end.
#[test]
fn with_forgetting_the_covariance_is_that_of_the_information_form() {
    let priors = [3.0, 50.0, 0.2];
    let mut model = RecursiveLeastSquares::new(&priors, Forgetting::constant(0.9)).expect("a model");
    let mut information = DMatrix::from_diagonal(&DVector::from_iterator(3, priors.iter().map(|p| 1.0 / p)));
    let (mut theta, truth, mut restored) = (DVector::zeros(3), [1.0, -2.0, 0.5], [0; 3]);
    let mut rng = Seed::training(21).rng(Stream::Excitation);
    for t in 0..200 {
        let phi = DVector::from_fn(3, |_, _| rng.random_range(-1.0..1.0));
        let y: f64 = phi.dot(&DVector::from_column_slice(&truth)) + rng.random_range(-0.1..0.1);
        information = 0.9 * &information + &phi * phi.transpose();
        let inverse = information.clone().try_inverse().expect("a full rank");
        let error = y - phi.dot(&theta);
        theta += &inverse * &phi * error;
        if inverse[(t % 3, t % 3)] > priors[t % 3] / 10.0 {
            information[(t % 3, t % 3)] += (1.0 - 0.9) * 3.0 / priors[t % 3];
            restored[t % 3] += 1;
        }
        model.update(phi.as_slice(), y);
    }
    assert!(restored[1] < 10 && restored[2] > 60, "a wide and a narrow prior are of use {restored:?} times");
    let inverse = information.try_inverse().expect("a full rank");
    for k in 0..3 {
        assert!((model.relative_variance(k) / inverse[(k, k)] - 1.0).abs() < 1e-10);
        assert!((model.parameters()[k] - theta[k]).abs() < 1e-10);
    }
}

/// A memory of 50 samples: three memories after b₀ has doubled, the estimate is within three standard errors of the
/// new value; without forgetting it is still on its way.
#[test]
fn a_jump_is_tracked_by_what_forgets() {
    let (mut forgets, mut keeps) = (arx(0.98), arx(1.0));
    let mut system = System::new([-1.5, 0.7, 1.0, 0.5, 0.0, 0.0], 0.2, 22);
    for t in 0..1150 {
        if t == 1000 {
            system.truth[2] = 2.0;
        }
        let (u, y) = system.step();
        forgets.update(&[u], y);
        keeps.update(&[u], y);
    }
    let error = |model: &RecursiveArmax| (model.b(0)[0] - 2.0).abs();
    // After e⁻³ of the old weight is left, so is as much of the jump.
    let allowed = (-3.0_f64).exp() + 3.0 * forgets.standard_error(2).expect("a noise variance");
    assert!(error(&forgets) < allowed, "{} of {allowed}", error(&forgets));
    assert!(error(&keeps) > 0.5, "{}", error(&keeps));
}

#[test]
fn armax_finds_the_truth_where_arx_is_biased() {
    let mut system = System::new(TRUTH, 1.0, 23);
    let mut armax = RecursiveArmax::new(orders(2), Forgetting::rising_to(1.0), &[100.0; 6]).expect("a model");
    let mut arx = arx(1.0);
    for _ in 0..20_000 {
        let (u, y) = system.step();
        armax.update(&[u], y);
        arx.update(&[u], y);
    }
    for (k, truth) in TRUTH.iter().enumerate() {
        let (error, allowed) =
            (armax.parameters()[k] - truth, 3.0 * armax.standard_error(k).expect("a variance"));
        assert!(error.abs() < allowed, "{k}: {error} is beyond {allowed}");
        assert!(allowed < 0.1, "{k}: {allowed}");
    }
    let variance = armax.noise_variance().expect("a variance");
    // The deviation of an estimated variance is σ² √(2/N).
    assert!((variance - 1.0).abs() < 3.0 * (2.0 / 20_000_f64).sqrt(), "{variance}");
    let bias = (arx.a()[0] - TRUTH[0]) / arx.standard_error(0).expect("a variance");
    assert!(bias.abs() > 30.0, "{bias} standard errors");
}

/// Zeros of C at 0.99 e^{±0.5i}: the way there leads out of the circle.
#[test]
fn c_stays_stable_on_the_way_to_a_border() {
    let c = [-2.0 * 0.99 * 0.5_f64.cos(), 0.99 * 0.99];
    let mut system = System::new([-1.5, 0.7, 1.0, 0.5, c[0], c[1]], 1.0, 24);
    let mut model = RecursiveArmax::new(orders(2), Forgetting::rising_to(1.0), &[1e4; 6]).expect("a model");
    for _ in 0..20_000 {
        let (u, y) = system.step();
        model.update(&[u], y);
        assert!(stability::zeros_are_within(0.995, model.c(), &mut [0.0; 2]), "{:?}", model.c());
    }
    assert!(
        model.c().iter().zip(c).all(|(ours, truth)| (ours - truth).abs() < 0.03),
        "{:?} is not {c:?}",
        model.c()
    );
}

/// Two inputs of other orders and delays, one of which acts at once, and no noise: exact up to the prior.
#[test]
fn several_inputs_with_their_own_orders_and_delays() {
    let inputs = vec![InputOrders { nb: 1, nk: 0 }, InputOrders { nb: 3, nk: 4 }];
    let truth = [-0.6, 2.0, 0.3, -0.4, 0.9];
    for nc in [0, 1] {
        let orders = Orders { na: 1, inputs: inputs.clone(), nc };
        let prior = vec![1e8; orders.n_parameters()];
        let mut model = RecursiveArmax::new(orders, Forgetting::constant(1.0), &prior).expect("a model");
        let mut rng = Seed::training(25).rng(Stream::Excitation);
        let (mut y, mut second) = (0.0, vec![0.0; 6]);
        for t in 0..300 {
            let u = [rng.random_range(-1.0..1.0), rng.random_range(-1.0..1.0)];
            let past = |lag: usize| second[second.len() - lag];
            let fresh = 0.6 * y + 2.0 * u[0] + 0.3 * past(4) - 0.4 * past(5) + 0.9 * past(6);
            let predicted = model.predict(&u);
            let innovation = model.update(&u, fresh).expect("y is there");
            assert!((fresh - predicted - innovation).abs() < 1e-12, "step {t}");
            y = fresh;
            second.push(u[1]);
        }
        for (ours, truth) in model.parameters().iter().zip(truth) {
            assert!((ours - truth).abs() < 1e-6, "{ours} is not {truth} with nc = {nc}");
        }
    }
}

#[test]
fn a_missing_output_teaches_nothing_and_a_missing_input_is_held() {
    let mut system = System::new([-1.5, 0.7, 1.0, 0.5, 0.0, 0.0], 0.0, 26);
    let mut model = arx(0.99);
    for _ in 0..2000 {
        let (u, y) = system.step();
        model.update(&[u], y);
    }
    let before = model.parameters().to_vec();
    let (u, _) = system.step();
    assert_eq!(model.update(&[u], f64::NAN), None);
    assert_eq!(model.parameters(), before);
    // The prediction has taken the place of what was not seen, so the next one is right.
    let predicted = model.predict(&[0.0]);
    let y = system.respond(3.0);
    assert!((y - predicted).abs() < 1e-6, "{y} is not {predicted}");
    model.update(&[3.0], y);
    let y = system.respond(3.0);
    model.update(&[f64::NAN], y);
    assert!((system.respond(0.0) - model.predict(&[0.0])).abs() < 1e-6);
    assert!(model.parameters().iter().all(|value| value.is_finite()));
}

/// A million steps without any movement, a million with an input that rests while noise goes on, and a million of one
/// regressor that hides another: the covariance stays within its bound and the parameters where they were.
#[test]
fn nothing_winds_up_without_excitation() {
    let lambda = 0.98_f64;
    let bound = |prior: f64, n: i32| 1.0001 * prior * lambda.powi(1 - n);
    let mut system = System::new(TRUTH, 0.1, 27);
    let mut model =
        RecursiveArmax::new(orders(2), Forgetting::constant(lambda), &[100.0; 6]).expect("a model");
    for _ in 0..2000 {
        let (u, y) = system.step();
        model.update(&[u], y);
    }
    assert_eq!(model.trust(0.1), Trust::Trusted);
    let mut resting = model.clone();
    let learnt = model.parameters().to_vec();
    let noisy = system.sigma;
    system.sigma = 0.0;
    for _ in 0..1_000_000 {
        let y = system.respond(0.0);
        model.update(&[0.0], y);
    }
    system.sigma = noisy;
    for (k, learnt) in learnt.iter().enumerate() {
        assert!(model.relative_variance(k) < bound(100.0, 6), "{k}: {}", model.relative_variance(k));
        assert!((model.parameters()[k] - learnt).abs() < 0.1, "{k} went from {learnt}");
    }
    assert!(matches!(model.trust(0.1), Trust::NotExcited { .. }), "{:?}", model.trust(0.1));

    for _ in 0..1_000_000 {
        let y = system.respond(0.0);
        resting.update(&[0.0], y);
        let largest = resting.parameters().iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        assert!(largest < 5.0, "{:?}", resting.parameters());
    }
    // The noise goes on telling A and C, but nothing tells B.
    assert!(matches!(resting.trust(0.1), Trust::NotExcited { parameter: 2 | 3, share } if share > 0.9));
    assert!((resting.a()[0] - TRUTH[0]).abs() < 0.5, "{:?}", resting.a());

    let mut collinear =
        RecursiveLeastSquares::new(&[1.0, 100.0], Forgetting::constant(lambda)).expect("a model");
    for _ in 0..1_000_000 {
        collinear.update(&[1.0, 1.0], 3.0);
    }
    assert!((collinear.predict(&[1.0, 1.0]) - 3.0).abs() < 1e-6);
    assert!((0..2).all(|k| collinear.relative_variance(k) < bound([1.0, 100.0][k], 2)));
    assert!(matches!(collinear.trust(0.1), Trust::NotExcited { .. }));
}

/// Excited for a million steps: U D Uᵀ must not lose its digits to a million multiplications.
#[test]
fn a_million_steps_with_forgetting_keep_the_covariance_right() {
    let mut rng = Seed::training(28).rng(Stream::Excitation);
    let mut long = RecursiveLeastSquares::new(&[1e4; 3], Forgetting::constant(0.95)).expect("a model");
    let mut fresh = long.clone();
    for t in 0..1_000_002 {
        // The second regressor is nearly the first, at a condition of some 1e6.
        let (x, z, w) =
            (rng.random_range(-1.0..1.0), rng.random_range(-1.0..1.0), rng.random_range(-1.0..1.0));
        let phi = [x, x + 1e-3 * z, 100.0 * w];
        let y = phi[0] - 2.0 * phi[1] + 0.5 * phi[2];
        long.update(&phi, y);
        if t >= 999_000 {
            fresh.update(&phi, y); // In step with the turns of `long`: 999,000 is a multiple of 3.
        }
    }
    // 1002 steps at 0.95 leave 5e-23 of the past, so both know the same.
    for k in 0..3 {
        let (a, b) = (long.relative_variance(k), fresh.relative_variance(k));
        assert!((a / b - 1.0).abs() < 1e-7, "{k}: {a} is not {b}");
    }
}

#[test]
fn an_update_allocates_nothing() {
    let mut model =
        RecursiveArmax::new(orders(2), Forgetting::rising_to(0.99), &[100.0; 6]).expect("a model");
    let mut system = System::new(TRUTH, 0.1, 29);
    let counted = allocation_counter::measure(|| {
        for _ in 0..500 {
            let (u, y) = system.step();
            let _ = model.predict(&[u]);
            model.update(&[u], y);
            let _ = (model.standard_error(0), model.trust(0.1));
        }
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn what_cannot_be_built_says_why() {
    let check = |orders: Orders, forgetting, prior: &[f64], expected: Expect| {
        let error =
            RecursiveArmax::new(orders, forgetting, prior).map(|_| ()).expect_err("it cannot be built");
        expected.assert_eq(&error.to_string());
    };
    let fine = Forgetting::constant(0.9);
    check(
        orders(0),
        fine,
        &[1.0; 3],
        expect!["`prior_variances.len()` is 3, but must be 4, one a coefficient"],
    );
    check(orders(0), fine, &[0.0; 4], expect!["`prior_variances` is 0, but must be positive"]);
    check(Orders::default(), fine, &[], expect!["`prior_variances.len()` is 0, but must be at least 1"]);
    let nothing = Orders { na: 1, inputs: vec![InputOrders { nb: 0, nk: 1 }], nc: 0 };
    check(nothing, fine, &[1.0], expect!["`inputs.nb` is 0, but must be at least 1"]);
    let never = Forgetting::constant(0.0);
    check(orders(0), never, &[1.0; 4], expect!["`forgetting.start` is 0, but must be above 0 and at most 1"]);
    let frozen = Forgetting { rate: 1.0, ..fine };
    check(
        orders(0),
        frozen,
        &[1.0; 4],
        expect!["`forgetting.rate` is 1, but must be at least 0 and below 1"],
    );
    let mut model = RecursiveArmax::new(orders(1), fine, &[1.0; 5]).expect("a model");
    let error = model.start_from(&[0.0, 0.0, 0.0, 0.0, 1.0]).expect_err("a zero on the circle");
    expect!["`c` is 1, but must be of zeros smaller than 0.995"].assert_eq(&error.to_string());
}
