use rand_distr::{Distribution, StandardNormal};
use tidegate_core::{Forecaster, Seed, Stream};

use super::*;
use crate::Naive;
use crate::testing::{calendar_in, forecast, reset};

const STEP_SECONDS: f64 = 600.0;
const DAY: u64 = 144;
const SIGMA: f64 = 20.0;

fn sine(step: u64) -> f64 {
    300.0 - 150.0 * (std::f64::consts::TAU * (step % DAY) as f64 / DAY as f64).cos()
}

fn noisy(n: u64) -> impl Iterator<Item = f64> {
    let mut rng = Seed::training(41).rng(Stream::Excitation);
    (0..n).map(move |step| {
        let normal: f64 = StandardNormal.sample(&mut rng);
        (sine(step) + SIGMA * normal).max(0.0)
    })
}

fn history(values: impl IntoIterator<Item = f64>) -> History {
    let mut history = History::new(STEP_SECONDS, REMEMBERED_SECONDS);
    history.reset(calendar_in(chrono_tz::UTC, "2025-03-03T00:00:00"));
    values.into_iter().for_each(|value| history.push(Some(value)));
    history
}

fn forecasts(point: &impl Point, history: &History, origins: &[u64], aheads: &[u32]) -> Vec<f64> {
    let mut all = Vec::new();
    point.forecast(history, origins, aheads, &mut |_, forecast| all.extend_from_slice(forecast));
    all
}

/// A day ahead, from origins of the last day but one, neither of which was fitted to. By the value a day before the mean absolute
/// distance to the noiseless sine is that of the noise, σ √(2/π) = 0.8 σ.
#[test]
fn a_noisy_day_is_learnt_better_than_by_repeating_it() {
    let history = history(noisy(16 * DAY));
    let (end, aheads) = (14 * DAY, (1..=DAY as u32).collect::<Vec<_>>());
    let origins: Vec<u64> = (end..end + DAY).step_by(7).collect();
    let error = |point: &mut dyn Point| {
        point.reset(1);
        point.fit(&history, end);
        let (mut sum, mut n) = (0.0, 0.0);
        point.forecast(&history, &origins, &aheads, &mut |index, forecast| {
            for (ahead, value) in forecast.iter().enumerate() {
                sum += (value - sine(origins[index] + ahead as u64)).abs();
                n += 1.0;
            }
        });
        sum / n
    };
    let (neural, naive) = (error(&mut Neural::default()), error(&mut Naive::day()));
    assert!((naive / (0.8 * SIGMA) - 1.0).abs() < 0.15, "naive {naive}");
    assert!(neural < 0.5 * naive, "{neural}, naive {naive}");
}

/// As a forecaster, which has the spread of its errors too: of normal noise, 90 % within 1.645 σ to either side.
#[test]
fn its_spread_is_that_of_the_noise() {
    let mut forecaster = Neural::forecaster(STEP_SECONDS);
    reset(&mut forecaster);
    noisy(14 * DAY).for_each(|value| forecaster.observe(Some(value)));
    let quantiles = forecast(&mut forecaster, DAY as u32);
    assert_eq!(forecaster.method(), "neural, calendar, days before and newest values");
    let widths = quantiles.values.iter().map(|levels| levels[7] - levels[1]);
    let width = widths.sum::<f64>() / DAY as f64 / (2.0 * 1.645 * SIGMA);
    assert!((0.85..1.25).contains(&width), "{width} times what it should be");
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_does_not() {
    let history = history(noisy(5 * DAY));
    let answers = |seed: u64| {
        let mut neural = Neural::new(100);
        neural.reset(seed);
        neural.fit(&history, 5 * DAY);
        forecasts(&neural, &history, &[4 * DAY, 5 * DAY], &[1, 30, 200])
    };
    assert_eq!(answers(1), answers(1));
    assert_ne!(answers(1), answers(2));
}

/// Whatever came after the end of a fit, and after an origin, is not in the forecast.
#[test]
fn it_does_not_see_what_is_to_come() {
    let end = 5 * DAY;
    let answers = |later: f64| {
        let values: Vec<f64> = noisy(end).chain(std::iter::repeat_n(later, DAY as usize)).collect();
        let history = history(values);
        let mut neural = Neural::new(60);
        neural.fit(&history, end);
        forecasts(&neural, &history, &[end - 9, end], &[1, 5, 144, 150])
    };
    assert_eq!(answers(0.0), answers(1e6));
}

/// The features of a row, from their definitions, for horizons within the day and beyond a week.
#[test]
fn features_are_what_they_are_called() {
    let history = history((0..22 * DAY).map(|step| (step * step % 977) as f64));
    let unit = Unit::of(&(0..22 * DAY).filter_map(|step| history.get(step)));
    let number = |step: u64| unit.number(history.get(step).expect("it was seen"));
    let mean = |from: u64, to: u64| (from..to).map(number).sum::<f64>() / (to - from) as f64;
    for (n_steps, n_days, has_week) in
        [(DAY, 0, false), (3 * DAY, 1, false), (6 * DAY, 2, false), (18 * DAY, 2, true)]
    {
        let layout = Layout::of(&history, n_steps);
        assert_eq!((layout.n_days, layout.has_week()), (n_days, has_week));
        let features = Features::new(&history, layout, unit, 0..21 * DAY, 10 * DAY..22 * DAY);
        for (origin, ahead) in
            [(11 * DAY + 3, 1), (12 * DAY, 100), (12 * DAY + 70, 144), (13 * DAY, 8 * 144 + 5)]
        {
            let mut row = Vec::new();
            features.row(origin, ahead, &mut row);
            assert_eq!(row.len(), layout.n_features());
            let step = origin + u64::from(ahead) - 1;
            let known = |season: u64| {
                (1..=22).map(|n| step - n * season).find(|step| *step < origin).expect("one is")
            };
            let time = std::f64::consts::TAU * ((step % DAY) as f64 + 0.5) / DAY as f64;
            let weekend = f64::from(u8::from(step / DAY % 7 >= 5));
            let mut truth: Vec<f64> =
                (1..=4).flat_map(|k| [(f64::from(k) * time).cos(), (f64::from(k) * time).sin()]).collect();
            truth.push(weekend);
            truth.extend((0..4).map(|i| weekend * truth[i]).collect::<Vec<_>>());
            truth.extend([1, 4, 16, 64].map(|window| mean(origin - window, origin)));
            if n_days > 0 {
                truth.extend([1, 4, 16, 64].map(|window| mean(origin - DAY - window, origin - DAY)));
                truth.push(number(known(DAY)));
                let around =
                    |step: u64| if step + 1 < origin { mean(step - 1, step + 2) } else { number(step) };
                truth.extend((0..n_days).map(|day| around(known(DAY) - day * DAY)));
                if has_week {
                    truth.push(around(known(7 * DAY)));
                }
            }
            let level = mean(origin - if n_days > 0 { DAY } else { 64 }, origin);
            truth[13..].iter_mut().for_each(|value| *value -= level);
            truth.extend([f64::from(ahead).ln(), f64::from(ahead) / DAY as f64]);
            for (place, (feature, truth)) in row.iter().zip(truth).enumerate() {
                assert!((f64::from(*feature) - truth).abs() < 1e-4, "{place}: {feature}, not {truth}");
            }
        }
    }
}

/// Of eight days of hours, the first two thirds once were not enough to be fitted to, as an origin looked back on 112 hours;
/// so for two weeks there were no errors of its own, and then those of a change were the first.
#[test]
fn eight_days_of_hours_are_enough_to_have_errors() {
    let mut history = History::new(3600.0, REMEMBERED_SECONDS);
    history.reset(calendar_in(chrono_tz::UTC, "2025-03-03T00:00:00"));
    noisy(8 * 24).for_each(|value| history.push(Some(value)));
    let mut neural = Neural::new(10);
    neural.fit(&history, 8 * 24 * 2 / 3);
    assert_eq!(neural.name(), "neural, calendar, days before and newest values");
    for step_seconds in [60.0, 900.0, 3600.0, 21_600.0] {
        let history = History::new(step_seconds, REMEMBERED_SECONDS);
        let day = history.steps_a_day() as u64;
        for n_steps in (2 * day..22 * day).step_by(day as usize / 4) {
            let lead = Layout::of(&history, n_steps).lead();
            assert!(3 * lead <= 2 * n_steps, "{lead} of {n_steps} steps of {step_seconds} s");
        }
    }
}

#[test]
fn units_are_undone() {
    for values in [vec![0.0, 3.0, 500.0], vec![0.0; 3], vec![7.0; 2], vec![1e-300, 1e100], vec![]] {
        let unit = Unit::of(&values.iter().copied());
        let rounding = 1e-12 * values.iter().fold(0.0, |most: f64, value| most.max(*value)).max(1.0);
        for value in values {
            let again = unit.value(unit.number(value));
            assert!((again - value).abs() <= rounding, "{again}, not {value}");
        }
    }
}
