use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

const GAP: f64 = f64::NAN;

fn channel(name: &str, values: &[f64]) -> Channel {
    Channel { name: name.into(), unit: "1".into(), values: values.into() }
}

fn record(u: &[f64], y: &[f64]) -> Record {
    Record { step_seconds: 2.0, inputs: vec![channel("u", u)], outputs: vec![channel("y", y)] }
}

fn values_of(record: &Record) -> String {
    let texts: Vec<String> = record.channels().map(|it| format!("{} {:?}", it.name, it.values)).collect();
    format!("{} s: {}", record.step_seconds, texts.join("; "))
}

fn check(result: Result<Record, DataError>, expected: &Expect) {
    expected.assert_eq(&result.map_or_else(|error| error.to_string(), |record| values_of(&record)));
}

#[test]
fn a_record_says_what_is_wrong_with_it() {
    let check = |record: Record, expected: Expect| {
        expected.assert_eq(&record.checked().map_or_else(|error| error.to_string(), |()| "fine".into()));
    };
    let fine = record(&[1., GAP], &[3., 4.]);
    check(fine.clone(), expect!["fine"]);
    check(record(&[1.], &[3., 4.]), expect!["`y` has 2 samples, but `u` has 1"]);
    check(
        Record { step_seconds: GAP, ..fine.clone() },
        expect!["`step_seconds` must be a positive number, but is NaN"],
    );
    check(Record { step_seconds: 1., ..Record::default() }, expect!["the record has no channels"]);
    check(Record { outputs: fine.inputs.clone(), ..fine.clone() }, expect!["two channels are called `u`"]);
    check(
        record(&[1., f64::INFINITY], &[3., 4.]),
        expect!["`u` is inf at sample 1; a sample is finite, or NaN where it is missing"],
    );
    let error = fine.channel("x").expect_err("there is no x");
    expect!["no channel is called `x`; there are `u`, `y`"].assert_eq(&error.to_string());
}

#[test]
fn trends_are_those_computed_by_hand() {
    // 1, 3, gap, 9 at t = 0, 1, 3: mean 13/3, mean t 4/3, slope (Σ t y − 4·13/3) / (10 − 16/3) = (30 − 52/3)/(14/3).
    let data = record(&[1., 3., GAP, 9.], &[2., 2., 2., 4.]);
    let of = |what| Trend::fit(&data, what).expect("a trend").of("u").expect("a channel");
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-14 * b.abs().max(1.0), "{a} is not {b}");
    near(of(Detrend::Mean).level, 13. / 3.);
    near(of(Detrend::Line).slope, 38. / 14.);
    near(of(Detrend::Line).level, 13. / 3. - 38. / 14. * 4. / 3.);
    // Σ (y − 13/3)² = (100 + 16 + 196)/9 = 104/3, over 2.
    near(of(Detrend::Standard).scale, (52_f64 / 3.).sqrt());
}

#[test]
fn a_line_is_carried_on_into_the_validation_part() {
    let line: Vec<f64> = (0..10).map(|t| 5.0 - 0.5 * f64::from(t)).collect();
    let (estimation, validation) = record(&line, &line).split_at_seconds(12.0).expect("a cut");
    assert_eq!((estimation.n_samples(), validation.n_samples()), (6, 4));
    let trend = Trend::fit(&estimation, Detrend::Line).expect("a trend").shifted(6);
    let rest = trend.removed(&validation).expect("the same channels");
    assert!(rest.channels().all(|it| it.values.iter().all(|y| y.abs() < 1e-14)), "{rest:?}");
}

#[test]
fn trends_that_cannot_be_say_why() {
    let flat = record(&[7., 7., GAP], &[GAP, GAP, 1.]);
    check(
        Trend::fit(&flat, Detrend::Standard).and_then(|trend| trend.removed(&flat)),
        &expect!["`u` is constant at 7, so it cannot be scaled; leave it out"],
    );
    check(
        Trend::fit(&flat, Detrend::Line).and_then(|trend| trend.removed(&flat)),
        &expect!["`y` has 1 samples that are not missing; a line needs 2"],
    );
    let other = Record { inputs: vec![channel("w", &[1.])], ..Record::default() };
    check(
        Trend::fit(&flat, Detrend::Mean).and_then(|trend| trend.removed(&other)),
        &expect!["the trend knows no channel `w`; fit it to a record with the same channels"],
    );
}

#[test]
fn records_are_cut_in_two() {
    let data = record(&[1., 2., 3., 4.], &[5., 6., 7., 8.]);
    let first = |result: Result<(Record, Record), DataError>| result.map(|(first, _)| first);
    check(first(data.split_at_share(0.25)), &expect!["2 s: u [1.0]; y [5.0]"]);
    check(first(data.split_at_seconds(3.9)), &expect!["2 s: u [1.0, 2.0]; y [5.0, 6.0]"]);
    check(first(data.split_at_share(1.0)), &expect!["`share` must be between 0 and 1, but is 1"]);
    check(first(data.split_at_share(0.01)), &expect!["a cut at sample 0 does not part 4 samples in two"]);
    check(first(data.split_at(4)), &expect!["a cut at sample 4 does not part 4 samples in two"]);
}

/// 0.1 + 0.1 + 0.1 is not 0.3, and a cut at 0.3 s must fall on sample 3 all the same.
#[test]
fn a_cut_in_seconds_is_not_pushed_on_by_the_last_bit() {
    let data = Record { step_seconds: 0.1, ..record(&[0.; 10], &[0.; 10]) };
    for at in 1..10_u32 {
        let (first, _) = data.split_at_seconds(f64::from(at) * 0.1).expect("a cut");
        assert_eq!(first.n_samples(), at as usize);
    }
}

#[test]
fn gaps_are_found_filled_and_split_at() {
    let data = record(&[GAP, 1., GAP, 4., 5., GAP, GAP, 8.], &[0., 1., 2., 3., 4., 5., 6., GAP]);
    expect![[r#"[("u", 0..1), ("u", 2..3), ("u", 5..7), ("y", 7..8)]"#]]
        .assert_eq(&format!("{:?}", data.gaps()));
    check(
        data.filled(1),
        &expect![
            "2 s: u [NaN, 1.0, 2.5, 4.0, 5.0, NaN, NaN, 8.0]; y [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, NaN]"
        ],
    );
    let filled = data.filled(2).expect("a record");
    assert_eq!(filled.inputs[0].values[1..], [1., 2.5, 4., 5., 6., 7., 8.]);
    assert_eq!(filled.segments(1), std::iter::once(1..7).collect::<Vec<_>>());
    assert_eq!(data.segments(1), [1..2, 3..5]);
    assert_eq!(data.segments(2), std::iter::once(3..5).collect::<Vec<_>>());
}

#[test]
fn resampling_means_blocks_and_holds_samples() {
    let data = record(&[1., 3., 5., GAP, 9.], &[1., 1., 2., 2., 3.]);
    check(data.decimated(2), &expect!["4 s: u [2.0, NaN]; y [1.0, 2.0]"]);
    check(data.part(0..2).held(2), &expect!["1 s: u [1.0, 1.0, 3.0, 3.0]; y [1.0, 1.0, 1.0, 1.0]"]);
    let no_factor = "`factor` must be at least 1 and at most the 5 samples of the record, but is";
    assert_eq!(data.decimated(6).expect_err("too many").to_string(), format!("{no_factor} 6"));
    assert_eq!(data.held(0).expect_err("none").to_string(), format!("{no_factor} 0"));
}

/// A sine at the new sampling rate would be aliased to a constant by plain sub-sampling; the mean takes it out, and
/// damps one at the new Nyquist frequency by 1 / (M sin(π / 2M)).
#[test]
fn decimation_does_not_alias() {
    let sine = |period: f64, phase: f64| -> Vec<f64> {
        (0..400).map(|t| (std::f64::consts::TAU * f64::from(t) / period + phase).sin()).collect()
    };
    let at_rate =
        record(&sine(8.0, 1.0), &sine(16.0, std::f64::consts::PI / 16.0)).decimated(8).expect("a record");
    assert!(at_rate.inputs[0].values.iter().all(|u| u.abs() < 1e-12));
    let gain = 1.0 / (8.0 * (std::f64::consts::PI / 16.0).sin());
    for (block, y) in at_rate.outputs[0].values.iter().enumerate() {
        let sign = if block % 2 == 0 { 1.0 } else { -1.0 };
        assert!((y - sign * gain).abs() < 1e-12, "{y} in block {block}, {gain} expected");
    }
}

#[test]
fn records_are_joined_only_if_they_are_of_the_same_channels() {
    let one = record(&[1., 2.], &[3., 4.]);
    let joined = Record::joined(&[one.clone(), one.part(0..1)]);
    check(joined, &expect!["2 s: u [1.0, 2.0, NaN, 1.0]; y [3.0, 4.0, NaN, 3.0]"]);
    let mut other = one.clone();
    other.outputs[0].unit = "ms".into();
    let differs = Record::joined(&[one.clone(), other]);
    check(differs, &expect!["record 1 has output 0 `y` in `ms`, but record 0 has output 0 `y` in `1`"]);
    let coarse = Record { step_seconds: 3.0, ..one.clone() };
    check(
        Record::joined(&[one.clone(), one.clone(), coarse]),
        &expect!["record 2 has a step of 3 s, but record 0 has a step of 2 s"],
    );
    let bare = Record { inputs: Vec::new(), ..one.clone() };
    check(
        Record::joined(&[one, bare]),
        &expect!["record 1 has 0 input channels, but record 0 has 1 input channels"],
    );
}

#[test]
fn channels_that_do_not_move_are_named() {
    assert_eq!(record(&[2., GAP, 2.], &[2., 3., 2.]).constant_channels(), ["u"]);
    assert_eq!(record(&[GAP, GAP], &[1., 1.]).constant_channels(), ["u", "y"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_trend_comes_back(
        values in prop::collection::vec((-1e6..1e6_f64, -1.0..1.0_f64), 3..50),
        what in prop::sample::select(vec![Detrend::Mean, Detrend::Line, Detrend::Standard]),
    ) {
        let (u, y): (Vec<f64>, Vec<f64>) = values.into_iter().unzip();
        let data = record(&u, &y);
        let trend = Trend::fit(&data, what).expect("a trend");
        let back = trend.restored(&trend.removed(&data).expect("the same")).expect("the same");
        for (back, data) in back.channels().zip(data.channels()) {
            // Four roundings of numbers no larger than three times the largest sample (a line may overshoot).
            let largest = data.values.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
            for (back, value) in back.values.iter().zip(&data.values) {
                prop_assert!((back - value).abs() <= 12.0 * f64::EPSILON * largest, "{back} was {value}");
            }
        }
    }

    #[test]
    fn what_was_joined_or_held_comes_back(lengths in prop::collection::vec(1..6_usize, 1..6), power in 0..4_u32) {
        let parts: Vec<Record> = lengths
            .iter()
            .map(|n| record(&(0..*n).map(|t| t as f64).collect::<Vec<_>>(), &vec![0.25; *n]))
            .collect();
        let joined = Record::joined(&parts).expect("the same channels");
        let back: Vec<Record> = joined.segments(1).into_iter().map(|run| joined.part(run)).collect();
        prop_assert_eq!(&back, &parts);
        let factor = 2_usize.pow(power); // A power of two, so that the means are exact.
        prop_assert_eq!(parts[0].held(factor).and_then(|it| it.decimated(factor)), Ok(parts[0].clone()));
    }
}
