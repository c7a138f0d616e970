use rand_distr::{Distribution, StandardNormal};
use tidegate_core::{Seed, seed::Stream};

use super::*;

fn scalar(x: f64) -> DMatrix<f64> {
    DMatrix::from_element(1, 1, x)
}

/// y = level + v, level a random walk.
fn local_level(q: f64, r: f64) -> LinearGaussian {
    LinearGaussian {
        a: scalar(1.0),
        b: DMatrix::zeros(1, 0),
        c: scalar(1.0),
        d: DMatrix::zeros(1, 0),
        q: scalar(q),
        r: scalar(r),
        s: scalar(0.0),
    }
}

#[test]
fn the_local_level_model_smooths_exponentially() {
    // Its steady gain solves k² = (q / r)(1 − k) (Harvey 1989, section 4.1.2): exponential smoothing with weight k.
    for (q, r) in [(0.1, 1.0), (2.0, 0.5), (1e-6, 1.0)] {
        let filter = KalmanFilter::new(local_level(q, r), DVector::zeros(1), scalar(1e6)).expect("fine");
        let gain = filter.steady_state().expect("driven and seen").gain[(0, 0)];
        let ratio: f64 = q / r;
        let expected = f64::midpoint(-ratio, (ratio * ratio + 4.0 * ratio).sqrt());
        assert!((gain - expected).abs() < 1e-9 * expected.max(1e-3), "{gain} instead of {expected}");
        // Run long, the time-varying filter has that gain.
        let mut running = filter.clone();
        for t in 0..20_000 {
            running.update(&DVector::zeros(0), &DVector::from_element(1, f64::from(t % 7)));
            if t < 19_999 {
                running.predict(&DVector::zeros(0));
            }
        }
        let filtered_gain = running.covariance()[(0, 0)] / r;
        assert!((filtered_gain - expected).abs() < 1e-8, "{filtered_gain} instead of {expected}");
    }
}

#[test]
fn a_constant_level_is_the_mean_of_what_was_measured() {
    let mut filter = KalmanFilter::new(local_level(0.0, 2.0), DVector::zeros(1), scalar(1e12)).expect("fine");
    let nothing = DVector::zeros(0);
    for value in [3.0, f64::NAN, 5.0, 10.0] {
        filter.update(&nothing, &DVector::from_element(1, value));
        filter.predict(&nothing);
    }
    assert!((filter.state()[0] - 6.0).abs() < 1e-9);
    assert!((filter.covariance()[(0, 0)] - 2.0 / 3.0).abs() < 1e-9);
}

/// Three states, two outputs that share noise, one input, state noise that is correlated with output noise.
fn system() -> LinearGaussian {
    let factor =
        DMatrix::from_fn(5, 5, |i, j| ((2 * i + 3 * j) as f64 * 0.9).sin() + f64::from(u8::from(i == j)));
    let joint = &factor * factor.transpose();
    LinearGaussian {
        a: DMatrix::from_row_slice(3, 3, &[0.9, 0.3, 0.0, -0.3, 0.9, 0.1, 0.0, 0.2, 1.05]),
        b: DMatrix::from_row_slice(3, 1, &[1.0, 0.5, -0.2]),
        c: DMatrix::from_row_slice(2, 3, &[1.0, 0.0, 0.4, 0.0, 1.0, -0.6]),
        d: DMatrix::from_row_slice(2, 1, &[0.3, 0.0]),
        q: joint.view((0, 0), (3, 3)).into_owned(),
        r: joint.view((3, 3), (2, 2)).into_owned(),
        s: joint.view((0, 3), (3, 2)).into_owned(),
    }
}

/// The joint Gaussian of all states and outputs, written out: mean and covariance of (x₀, x₁, …, y₀, y₁, …).
struct Joint {
    mean: DVector<f64>,
    covariance: DMatrix<f64>,
    steps: usize,
}

impl Joint {
    fn new(system: &LinearGaussian, first: &DVector<f64>, spread: &DMatrix<f64>, inputs: &[f64]) -> Self {
        let steps = inputs.len();
        // Everything is linear in the sources (x₀, w₀, v₀, w₁, v₁, …).
        let n_sources = 3 + 5 * steps;
        let mut sources = DMatrix::zeros(n_sources, n_sources);
        sources.view_mut((0, 0), (3, 3)).copy_from(spread);
        for t in 0..steps {
            let at = 3 + 5 * t;
            sources.view_mut((at, at), (3, 3)).copy_from(&system.q);
            sources.view_mut((at + 3, at + 3), (2, 2)).copy_from(&system.r);
            sources.view_mut((at, at + 3), (3, 2)).copy_from(&system.s);
            sources.view_mut((at + 3, at), (2, 3)).copy_from(&system.s.transpose());
        }
        let n_values = 3 * (steps + 1) + 2 * steps;
        let mut map = DMatrix::zeros(n_values, n_sources);
        let mut mean = DVector::zeros(n_values);
        map.view_mut((0, 0), (3, 3)).fill_with_identity();
        mean.rows_mut(0, 3).copy_from(first);
        for (t, input) in inputs.iter().enumerate() {
            let (state, output, source) = (3 * t, 3 * (steps + 1) + 2 * t, 3 + 5 * t);
            let state_map = map.rows(state, 3).into_owned();
            let state_mean = mean.rows(state, 3).into_owned();
            let mut next = &system.a * &state_map;
            next.view_mut((0, source), (3, 3)).fill_with_identity();
            map.rows_mut(state + 3, 3).copy_from(&next);
            let mut seen = &system.c * state_map;
            seen.view_mut((0, source + 3), (2, 2)).fill_with_identity();
            map.rows_mut(output, 2).copy_from(&seen);
            mean.rows_mut(state + 3, 3).copy_from(&(&system.a * &state_mean + system.b.column(0) * *input));
            mean.rows_mut(output, 2).copy_from(&(&system.c * state_mean + system.d.column(0) * *input));
        }
        Self { covariance: &map * sources * map.transpose(), mean, steps }
    }

    /// Mean and covariance of the state at `t`, given these outputs (position, value).
    fn condition(&self, t: usize, given: &[(usize, f64)]) -> (DVector<f64>, DMatrix<f64>) {
        let first = 3 * (self.steps + 1);
        let rows: Vec<usize> = given.iter().map(|(position, _)| first + position).collect();
        let state: Vec<usize> = (3 * t..3 * t + 3).collect();
        let own = self.covariance.select_rows(&rows).select_columns(&rows);
        let cross = self.covariance.select_rows(&state).select_columns(&rows);
        let errors = DVector::from_iterator(
            given.len(),
            given.iter().zip(&rows).map(|((_, value), row)| value - self.mean[*row]),
        );
        let weights = own.cholesky().expect("noise on every output").solve(&cross.transpose()).transpose();
        let prior = self.covariance.select_rows(&state).select_columns(&state);
        (self.mean.rows(3 * t, 3) + &weights * errors, prior - &weights * cross.transpose())
    }
}

#[test]
fn the_filter_is_gaussian_conditioning_done_step_by_step() {
    let system = system();
    let mut rng = Seed::training(5).rng(Stream::Excitation);
    let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
    let (first, spread) = (DVector::from_column_slice(&[1.0, -2.0, 0.5]), DMatrix::identity(3, 3) * 2.0);
    let inputs: Vec<f64> = (0..8).map(|_| normal()).collect();
    let joint = Joint::new(&system, &first, &spread, &inputs);
    let mut filter = KalmanFilter::new(system, first, spread).expect("fine");
    let mut given = Vec::new();
    for (t, &input) in inputs.iter().enumerate() {
        let input = DVector::from_element(1, input);
        let mut output = DVector::from_fn(2, |_, _| 3.0 * normal());
        // A gap in one output, in both, and a step without any call of update.
        match t {
            2 => output[1] = f64::NAN,
            4 => output.fill(f64::NAN),
            _ => {}
        }
        if t != 5 {
            filter.update(&input, &output);
            given.extend(
                (0..2).filter(|&port| !output[port].is_nan()).map(|port| (2 * t + port, output[port])),
            );
            let (mean, covariance) = joint.condition(t, &given);
            assert!((filter.state() - mean).amax() < 1e-9, "state after sample {t}");
            assert!((filter.covariance() - covariance).amax() < 1e-9, "covariance after sample {t}");
        }
        filter.predict(&input);
        let (mean, covariance) = joint.condition(t + 1, &given);
        assert!((filter.state() - mean).amax() < 1e-9, "state before sample {}", t + 1);
        assert!((filter.covariance() - covariance).amax() < 1e-9, "covariance before sample {}", t + 1);
    }
}

#[test]
fn innovations_are_white_and_as_large_as_the_filter_says() {
    let mut system = system();
    // Stable, so that 4000 steps do not leave the range in which differences of states mean something.
    system.a *= 0.85;
    let mut rng = Seed::training(6).rng(Stream::Excitation);
    let mut normal = |n: usize| DVector::from_fn(n, |_, _| -> f64 { StandardNormal.sample(&mut rng) });
    let mut joint = DMatrix::zeros(5, 5);
    joint.view_mut((0, 0), (3, 3)).copy_from(&system.q);
    joint.view_mut((3, 3), (2, 2)).copy_from(&system.r);
    joint.view_mut((0, 3), (3, 2)).copy_from(&system.s);
    joint.view_mut((3, 0), (2, 3)).copy_from(&system.s.transpose());
    let root = joint.cholesky().expect("positive definite").unpack();
    let mut filter =
        KalmanFilter::new(system.clone(), DVector::zeros(3), DMatrix::identity(3, 3)).expect("fine");
    let mut truth = normal(3);
    let (mut squares, mut lagged, n_steps) = (0.0, 0.0, 4000);
    let mut previous = DVector::zeros(2);
    for _ in 0..n_steps {
        let (noise, input) = (&root * normal(5), normal(1));
        let output = &system.c * &truth + &system.d * &input + noise.rows(3, 2);
        truth = &system.a * truth + &system.b * &input + noise.rows(0, 3);
        let innovation = filter.update(&input, &output);
        let factor = innovation.covariance.cholesky().expect("positive definite").unpack();
        let white = factor.solve_lower_triangular(&innovation.errors).expect("regular");
        squares += white.norm_squared();
        lagged += white.dot(&previous);
        previous = white;
        filter.predict(&input);
    }
    // χ² with 8000 degrees of freedom, and a sum of as many products: 4 standard deviations each.
    let freedom = 2.0 * f64::from(n_steps);
    assert!((squares - freedom).abs() < 4.0 * (2.0 * freedom).sqrt(), "{squares} of {freedom}");
    assert!(lagged.abs() < 4.0 * freedom.sqrt(), "{lagged}");
}

#[test]
fn covariances_stay_positive_where_the_noise_is_tiny() {
    // A prior 10¹² times as uncertain as the sensor: the short form (I − L C) P loses its sign here.
    let mut system = local_level(1e-12, 1e-12);
    system.a = DMatrix::from_row_slice(2, 2, &[1.0, 1.0, 0.0, 1.0]);
    system.c = DMatrix::from_row_slice(1, 2, &[1.0, 0.0]);
    (system.b, system.q) = (DMatrix::zeros(2, 0), DMatrix::identity(2, 2) * 1e-14);
    system.s = DMatrix::zeros(2, 1);
    let mut filter = KalmanFilter::new(system, DVector::zeros(2), DMatrix::identity(2, 2)).expect("fine");
    let nothing = DVector::zeros(0);
    for t in 0..1000 {
        filter.update(&nothing, &DVector::from_element(1, 0.1 * f64::from(t)));
        let smallest = filter.covariance().symmetric_eigenvalues().min();
        assert!(smallest > 0.0, "step {t}: {smallest}");
        filter.predict(&nothing);
    }
    assert!((filter.state()[1] - 0.1).abs() < 1e-6);
}

#[test]
fn what_does_not_fit_is_named() {
    let mut system = local_level(1.0, 1.0);
    system.s = DMatrix::zeros(1, 2);
    let error = KalmanFilter::new(system, DVector::zeros(1), scalar(1.0)).expect_err("shape");
    assert_eq!(error.to_string(), "`s` is 1 × 2, but must be 1 × 1");
    let error = KalmanFilter::new(local_level(1.0, 0.0), DVector::zeros(1), scalar(1.0)).expect_err("noise");
    assert_eq!(error.to_string(), "`r` must be positive definite; give every output some noise");
}
