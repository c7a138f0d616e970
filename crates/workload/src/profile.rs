//! A daily and weekly profile with day effects and noise.
//!
//! λ(t) = m/n · f(t) · d(s(t) + φ(t)) · e(t)
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | m | `mean_requests_per_second` | 1/s |
//! | d | `daily` at a time of the day: straight lines between its levels, around the clock | 1 |
//! | s | local time of day by the clock on the wall | s |
//! | f | the day's factor: `weekly` of its weekday times a log-normal effect of mean 1 and CV `day_variation` | 1 |
//! | φ | the day's phase, normal with standard deviation `phase_seconds` | s |
//! | n | mean of f · d over a week without effects, so that the mean of λ over a week is m | 1 |
//! | e | log-normal noise of mean 1, CV `noise` and correlation time `noise_seconds` (`noise.rs`) | 1 |
//!
//! f and φ are constant within a day, independent between days, and go over into the next day's in a straight line
//! from an hour before midnight to an hour after it. The value of a tick is that in its middle.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use tidegate_core::SECONDS_PER_DAY;
use tidegate_core::scenario::Noise;
use tidegate_core::scenario::workload::ProfileConfig;

use crate::days::Grid;
use crate::noise::{NoiseProcess, log_normal, log_sigma};

/// Time before and after midnight in which one day goes over into the next.
const BLEND_SECONDS: f64 = 3600.0;

#[derive(Clone, Debug)]
pub(crate) struct Profile {
    /// Levels of the day, scaled to the wanted mean over a week, the first one again at the end.
    daily: Vec<f64>,
    seconds_per_level: f64,
    /// The weekday's level of each day that the run touches, the days before and after included.
    weekly: Vec<f64>,
    moments: Vec<Moment>,
    effect_sigma: f64,
    phase_seconds: f64,
    noise: NoiseProcess,
    /// Scratch of a reset: factor and phase of each day.
    days: Vec<Day>,
}

/// The middle of a tick: time of day, the day before the nearest midnight, and how far the next one has taken over.
#[derive(Clone, Copy, Debug)]
struct Moment {
    second_of_day: f64,
    day: usize,
    toward_next: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Day {
    factor: f64,
    phase_seconds: f64,
}

impl Profile {
    pub(crate) fn new(config: &ProfileConfig, grid: &Grid) -> Self {
        use chrono::Datelike;
        let dates = grid.dates(SECONDS_PER_DAY, SECONDS_PER_DAY);
        let weekly: Vec<f64> =
            dates.iter().map(|date| config.weekly[date.weekday().num_days_from_monday() as usize]).collect();
        let moments = grid
            .middles()
            .map(|middle| {
                let (date, second_of_day) = grid.local(middle);
                let day = dates.binary_search(&date).expect("the dates cover the run");
                Moment::new(second_of_day, day)
            })
            .collect();
        let seconds_per_level = SECONDS_PER_DAY / config.daily.len() as f64;
        let mut daily = config.daily.clone();
        daily.push(config.daily[0]);
        let scale = config.mean_requests_per_second / week_mean(&daily, seconds_per_level, &config.weekly);
        for level in &mut daily {
            *level *= scale;
        }
        Self {
            daily,
            seconds_per_level,
            days: vec![Day::default(); weekly.len()],
            weekly,
            moments,
            effect_sigma: log_sigma(config.day_variation),
            phase_seconds: config.phase_seconds,
            noise: NoiseProcess::new(
                Noise { variation: config.noise, correlation_seconds: config.noise_seconds },
                grid.tick_seconds,
            ),
        }
    }

    pub(crate) fn add(&mut self, rng: &mut ChaCha8Rng, rates: &mut [f64]) {
        for (day, weekly) in self.days.iter_mut().zip(&self.weekly) {
            day.factor = weekly * log_normal(self.effect_sigma, rng.sample(StandardNormal));
            day.phase_seconds = self.phase_seconds * rng.sample::<f64, _>(StandardNormal);
        }
        let mut noise = self.noise.begin(rng);
        for (rate, moment) in rates.iter_mut().zip(&self.moments) {
            let (before, after) = (self.days[moment.day], self.days[moment.day + 1]);
            let factor = before.factor + moment.toward_next * (after.factor - before.factor);
            let phase =
                before.phase_seconds + moment.toward_next * (after.phase_seconds - before.phase_seconds);
            let level = level(&self.daily, self.seconds_per_level, moment.second_of_day + phase);
            *rate += level * factor * noise.next(rng);
        }
    }
}

impl Moment {
    /// `day` is at least 1.
    fn new(second_of_day: f64, day: usize) -> Self {
        let to_midnight = SECONDS_PER_DAY - second_of_day;
        if second_of_day < BLEND_SECONDS {
            let toward_next = 0.5 + 0.5 * second_of_day / BLEND_SECONDS;
            Self { second_of_day, day: day - 1, toward_next }
        } else if to_midnight < BLEND_SECONDS {
            Self { second_of_day, day, toward_next: 0.5 - 0.5 * to_midnight / BLEND_SECONDS }
        } else {
            Self { second_of_day, day, toward_next: 0.0 }
        }
    }
}

/// The level at a time of the day, which may lie outside the day; `daily` ends with its first level.
#[inline]
fn level(daily: &[f64], seconds_per_level: f64, second_of_day: f64) -> f64 {
    let second = if (0.0..SECONDS_PER_DAY).contains(&second_of_day) {
        second_of_day
    } else {
        second_of_day.rem_euclid(SECONDS_PER_DAY)
    };
    let position = second / seconds_per_level;
    let left = (position as usize).min(daily.len() - 2);
    daily[left] + (position - left as f64) * (daily[left + 1] - daily[left])
}

/// Mean of daily level times weekday factor over a week, by the midpoints of its half-minutes: the product is a
/// piecewise parabola, so the rule errs by less than 10⁻⁶ of it.
fn week_mean(daily: &[f64], seconds_per_level: f64, weekly: &[f64; 7]) -> f64 {
    const STEPS: u32 = 2880;
    let step_seconds = SECONDS_PER_DAY / f64::from(STEPS);
    let mut sum = 0.0;
    for day in 0..7 {
        for step in 0..STEPS {
            let second = (f64::from(step) + 0.5) * step_seconds;
            let moment = Moment::new(second, day + 7);
            let (before, after) = (weekly[moment.day % 7], weekly[(moment.day + 1) % 7]);
            let factor = before + moment.toward_next * (after - before);
            sum += factor * level(daily, seconds_per_level, second);
        }
    }
    sum / f64::from(7 * STEPS)
}
