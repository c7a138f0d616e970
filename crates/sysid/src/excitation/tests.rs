use expect_test::{Expect, expect};
use nalgebra::{DMatrix, SymmetricEigen};
use rand_distr::{Distribution, StandardNormal};
use tidegate_core::{Seed, Stream};

use super::eigen::extreme_eigenvalues;
use super::*;

fn noise(seed: u64, n: usize) -> Vec<f64> {
    let rng = Seed::training(seed).rng(Stream::Excitation);
    StandardNormal.sample_iter(rng).take(n).collect()
}

fn check<T: std::fmt::Debug>(result: Result<T, ExcitationError>, expected: &Expect) {
    expected.assert_eq(&result.map_or_else(|error| error.to_string(), |value| format!("{value:?}")));
}

/// A period of 2ⁿ − 1 with no shorter one, and one more 1 than 0: the register has gone through every state but zero.
#[test]
fn every_register_runs_through_all_its_states() {
    for order in 2..=20_u32 {
        let period = (1_usize << order) - 1;
        let values = prbs(order, 1, [0.0, 1.0], period + order as usize).expect("a signal");
        let ones = values[..period].iter().filter(|value| **value == 1.0).count();
        assert_eq!(ones, 1 << (order - 1), "order {order}");
        let states: std::collections::BTreeSet<u32> = values
            .windows(order as usize)
            .take(period)
            .map(|window| window.iter().fold(0, |state, bit| 2 * state + u32::from(*bit == 1.0)))
            .collect();
        assert_eq!(states.len(), period, "order {order}");
        assert_eq!(values[..order as usize], values[period..], "order {order}");
    }
}

#[test]
fn the_autocorrelation_of_a_prbs_has_two_values() {
    for order in 2..=10 {
        let period = (1_usize << order) - 1;
        let values = prbs(order, 1, [-1.0, 1.0], period).expect("a signal");
        for lag in 0..period {
            let sum: f64 = (0..period).map(|t| values[t] * values[(t + lag) % period]).sum();
            assert_eq!(sum, if lag == 0 { period as f64 } else { -1.0 }, "order {order}, lag {lag}");
        }
    }
}

#[test]
fn signals_by_hand() {
    // x³ + x² + 1: s(t + 3) = s(t) + s(t + 2), from 1 1 1.
    check(
        prbs(3, 2, [4.0, 8.0], 15),
        &expect!["[8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 4.0, 4.0, 8.0, 8.0, 4.0, 4.0, 4.0, 4.0, 8.0]"],
    );
    let sine = multisine(4, &[1], Phases::Schroeder).expect("a sine");
    let expected = [2_f64.sqrt(), 0.0, -(2_f64.sqrt()), 0.0];
    assert!(sine.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{sine:?}");
    check(prbs(21, 1, [0.0, 1.0], 5), &expect!["`order` is 21, but must be from 2 to 20"]);
    check(prbs(5, 0, [0.0, 1.0], 5), &expect!["`clock_steps` is 0, but must be at least 1"]);
    check(multisine(8, &[4], Phases::Schroeder), &expect!["`lines` is 4, but must be from 1 to below 4"]);
    check(multisine(8, &[], Phases::Schroeder), &expect!["`lines` has 0 entries, but needs at least 1"]);
    check(multisine(8, &[3, 3], Phases::Schroeder), &expect!["`lines` has 3 twice"]);
}

#[test]
fn multisines_have_their_lines_only_and_unit_power() {
    let mut rng = Seed::training(3).rng(Stream::Excitation);
    let lines = [1, 2, 5, 11, 30];
    for values in [
        multisine(64, &lines, Phases::Schroeder).expect("a signal"),
        multisine(64, &lines, Phases::Random(&mut rng)).expect("a signal"),
    ] {
        for line in 0..=32_usize {
            let (mut re, mut im) = (0.0, 0.0);
            for (t, value) in values.iter().enumerate() {
                let angle = std::f64::consts::TAU * (line * t) as f64 / 64.0;
                (re, im) = (re + value * angle.cos(), im - value * angle.sin());
            }
            let power = (re * re + im * im) / (64.0 * 64.0);
            let expected = if lines.contains(&line) { 2.0 / 5.0 / 4.0 } else { 0.0 };
            assert!((power - expected).abs() < 1e-13, "line {line}: {power}");
        }
    }
}

/// All neighbours with one phase have a crest of √(2K) at t = 0; Schroeder's phases bring it below 1.8.
#[test]
fn schroeder_phases_flatten_the_crest() {
    let lines: Vec<usize> = (1..=40).collect();
    let crest = crest_factor(&multisine(512, &lines, Phases::Schroeder).expect("a signal"));
    assert!((1.2..1.8).contains(&crest), "{crest}");
    let mut rng = Seed::training(4).rng(Stream::Excitation);
    let random = crest_factor(&multisine(512, &lines, Phases::Random(&mut rng)).expect("a signal"));
    assert!(random > crest && random < (80_f64).sqrt(), "{random}");
    assert_eq!(crest_factor(&[1.0, -1.0, 1.0]), 1.0);
    assert!(crest_factor(&[0.0]).is_nan());
}

#[test]
fn orders_of_excitation_are_those_of_theory() {
    let order =
        |signals: &[&[f64]], tolerance| persistent_order(signals, 12, tolerance).expect("long enough");
    let mut rng = Seed::training(5).rng(Stream::Excitation);
    for k in 1..=5_usize {
        let lines: Vec<usize> = (1..=k).map(|line| 7 * line).collect();
        let sines = multisine(100, &lines, Phases::Random(&mut rng)).expect("a signal");
        assert_eq!(order(&[&sines], RANK_TOLERANCE), 2 * k, "{k} lines");
        // A mean is one more line, at frequency 0, of order 1.
        let raised: Vec<f64> = sines.iter().map(|value| value + 3.0).collect();
        assert_eq!(order(&[&raised], RANK_TOLERANCE), 2 * k + 1, "{k} lines and a mean");
    }
    assert_eq!(order(&[&[3.0; 200]], RANK_TOLERANCE), 1);
    assert_eq!(order(&[&[0.0; 200]], RANK_TOLERANCE), 0);
    // A step within the record has one edge in 1000 samples, which a tolerance of some 1/N leaves out.
    let step: Vec<f64> = (0..1000).map(|t| f64::from(u8::from(t >= 100))).collect();
    assert_eq!(order(&[&step], 10.0 / 1000.0), 1);
    assert_eq!(order(&[&noise(6, 500)], 0.1), 12);
    // Period 2³ − 1 in −1, 1: its seven values of the circulant matrix are all non-zero, an eighth there is not.
    let prbs = prbs(3, 1, [-1.0, 1.0], 70).expect("a signal");
    assert_eq!(order(&[&prbs], RANK_TOLERANCE), 7);
}

/// Two inputs that each excite every order, but one of which is the other a step before, excite order 1 only.
#[test]
fn inputs_that_follow_each_other_do_not_excite_together() {
    let both = noise(7, 501);
    let (now, before) = (&both[1..], &both[..500]);
    let order = |a: &[f64], b: &[f64]| persistent_order(&[a, b], 5, RANK_TOLERANCE).expect("long enough");
    assert_eq!(order(now, before), 1);
    assert_eq!(order(now, &noise(8, 500)), 5);
    let scaled: Vec<f64> = now.iter().map(|value| 1e6 * value).collect();
    let condition = condition_number(&[now, &noise(8, 500)], 3).expect("long enough");
    let in_other_units = condition_number(&[&scaled, &noise(8, 500)], 3).expect("long enough");
    assert!((1.0..2.0).contains(&condition) && (condition - in_other_units).abs() < 1e-9, "{condition}");
    assert_eq!(condition_number(&[now, before], 2), Ok(f64::INFINITY));
    check(persistent_order(&[&[1.0; 5]], 4, 0.0), &expect!["`order` is 4, but must be from 1 to 3"]);
    check(
        persistent_order(&[&[1.0; 5], &[1.0]], 1, 0.0),
        &expect!["signal 1 has 1 samples, but signal 0 has 5"],
    );
}

/// u = (1, 2, 3), order 2: rows (2, 1), (3, 2), over 14/3: R = [13 8; 8 5] · 3/28, whose eigenvalues are those of
/// [13 8; 8 5], 9 ± √80.
#[test]
fn a_condition_by_hand() {
    let condition = condition_number(&[&[1.0, 2.0, 3.0]], 2).expect("long enough");
    let expected = (9.0 + 80_f64.sqrt()) / (9.0 - 80_f64.sqrt());
    assert!((condition / expected - 1.0).abs() < 1e-12, "{condition} is not {expected}");
}

#[test]
fn eigenvalues_agree_with_those_of_a_library() {
    for n in 1..10_usize {
        let draws = noise(n as u64, n * n);
        let factor = DMatrix::from_row_slice(n, n, &draws);
        let symmetric = &factor * factor.transpose();
        let (low, high) = extreme_eigenvalues(&mut symmetric.as_slice().to_vec(), n);
        let library = SymmetricEigen::new(symmetric).eigenvalues;
        assert!(
            (low - library.min()).abs() < 1e-12 * high && (high - library.max()).abs() < 1e-12 * high,
            "{n}"
        );
    }
}

#[test]
fn stairs_visit_every_level_once_a_round_within_bounds() {
    let levels = [2, 5, 9, 14];
    let stairs = Staircase { levels: &levels, replicas_min: 1, replicas_max: 20, dwell_steps: 6 };
    let mut rng = Seed::training(9).rng(Stream::Excitation);
    let values = staircase(&stairs, &mut rng, 6 * 4 * 50 - 3).expect("a signal");
    assert_eq!(values.len(), 6 * 4 * 50 - 3);
    let heights: Vec<f64> = values.chunks(6).map(|stair| stair[0]).collect();
    assert!(values.chunks(6).all(|stair| stair.iter().all(|value| *value == stair[0])));
    assert!(heights.windows(2).all(|pair| pair[0] != pair[1]));
    for round in heights.chunks(4) {
        let mut sorted = round.to_vec();
        sorted.sort_by(f64::total_cmp);
        assert_eq!(sorted, [2.0, 5.0, 9.0, 14.0]);
    }
    let mut again = Seed::training(9).rng(Stream::Excitation);
    assert_eq!(staircase(&stairs, &mut again, values.len()), Ok(values));
    let narrow = Staircase { replicas_max: 10, ..stairs };
    check(staircase(&narrow, &mut again, 1), &expect!["`levels` is 14, but must be from 1 to 10"]);
    check(
        staircase(&Staircase { levels: &[3], ..stairs }, &mut again, 1),
        &expect!["`levels` has 1 entries, but needs at least 2"],
    );
    check(
        staircase(&Staircase { dwell_steps: 0, ..stairs }, &mut again, 1),
        &expect!["`dwell_steps` is 0, but must be at least 1"],
    );
}

/// A gate over (u, y) in units of 2 and 5, with a memory of 100 samples.
fn gate() -> ExcitationGate {
    ExcitationGate::new(&[2.0, 5.0], 0.99, 0.1, 100.0).expect("a gate")
}

#[test]
fn a_gate_is_open_for_noise_and_closed_for_what_does_not_move_or_moves_together() {
    let (u, y) = (noise(10, 1000), noise(11, 1000));
    let run = |regressors: &dyn Fn(usize) -> [f64; 2]| {
        let mut gate = gate();
        (0..1000).for_each(|t| gate.update(&regressors(t)));
        gate.excitation()
    };
    let open = run(&|t| [2.0 * u[t], 5.0 * y[t]]);
    assert!(open.suffices && (0.6..1.0).contains(&open.power_least) && open.condition < 2.0, "{open:?}");
    assert!((open.samples - 100.0).abs() < 0.01, "{open:?}");
    let faint = run(&|t| [0.2 * u[t], 0.5 * y[t]]);
    assert!(!faint.suffices && (faint.condition - open.condition).abs() < 1e-9, "{faint:?}");
    let still = run(&|t| [2.0 * u[t], 0.0]);
    assert!(!still.suffices && still.power_least == 0.0 && still.condition.is_infinite(), "{still:?}");
    // Proportional feedback without noise: no number of samples tells the two apart.
    let feedback = run(&|t| [-0.4 * 5.0 * y[t], 5.0 * y[t]]);
    assert!(!feedback.suffices && feedback.condition > 1e12, "{feedback:?}");
}

#[test]
fn a_gate_closes_within_its_memory_and_does_not_allocate() {
    let (u, y) = (noise(12, 500), noise(13, 500));
    let mut gate = gate();
    assert!(!gate.excitation().suffices, "nothing was seen yet");
    let counted = allocation_counter::measure(|| {
        for t in 0..500 {
            gate.update(&[2.0 * u[t], 5.0 * y[t]]);
        }
        assert!(gate.excitation().suffices);
        gate.update(&[f64::NAN, 1.0]);
        assert!(gate.excitation().suffices, "a missing sample teaches nothing and spoils nothing");
        // ln 0.1 / ln 0.99 = 229: after so many still samples the power is a tenth of what it was.
        (0..250).for_each(|_| gate.update(&[0.0, 0.0]));
        assert!(!gate.excitation().suffices);
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn gates_that_cannot_be_say_why() {
    let error = |scales: &[f64], forgetting, power, condition| {
        ExcitationGate::new(scales, forgetting, power, condition).map(|_| ())
    };
    check(error(&[], 0.9, 0.1, 9.0), &expect!["`scales` has 0 entries, but needs at least 1"]);
    check(error(&[0.0], 0.9, 0.1, 9.0), &expect!["`scales` is 0, but must be positive"]);
    check(error(&[1.0], 1.1, 0.1, 9.0), &expect!["`forgetting` is 1.1, but must be above 0 and at most 1"]);
    check(error(&[1.0], 0.9, -1.0, 9.0), &expect!["`power_min` is -1, but must be at least 0"]);
    check(error(&[1.0], 0.9, 0.1, 0.5), &expect!["`condition_max` is 0.5, but must be at least 1"]);
}
