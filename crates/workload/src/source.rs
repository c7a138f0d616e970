//! A workload made ready to draw paths: what does not depend on the seed is computed once.

use rand_chacha::ChaCha8Rng;
use tidegate_core::scenario::{Scale, Workload};
use tidegate_core::{Seed, Stream};

use crate::batch::Batches;
use crate::burst::Burst;
use crate::crowd::Crowds;
use crate::days::Grid;
use crate::noise::NoiseProcess;
use crate::profile::Profile;
use crate::recorded::resample;

/// Words of the demand stream that belong to one part of a workload.
const PART_BITS: u32 = 40;

#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// No chance in it: users a second, tick by tick.
    Fixed(Vec<f64>),
    Profile(u32, Profile),
    Crowds(u32, Crowds),
    Burst(u32, Burst),
    Batches(u32, Batches),
    Scaled {
        of: Box<Source>,
        scale: Scale,
        path: Vec<f64>,
    },
    Noisy {
        of: Box<Source>,
        noise: NoiseProcess,
        part: u32,
        path: Vec<f64>,
    },
    Sum(Vec<Source>),
}

impl Source {
    pub(crate) fn new(workload: &Workload, grid: &Grid) -> Self {
        Self::numbered(workload, grid, &mut 0)
    }

    /// Random parts are numbered as they are written, and each draws from its own part of the stream: a part that
    /// is added behind the others leaves them as they were.
    fn numbered(workload: &Workload, grid: &Grid, part: &mut u32) -> Self {
        let number = |part: &mut u32| {
            *part += 1;
            *part - 1
        };
        match workload {
            Workload::Constant(rate) => Self::Fixed(vec![*rate; grid.n_ticks]),
            Workload::Ramp { from, to, start_seconds, duration_seconds } => {
                Self::Fixed(ramp(grid, *from, *to, *start_seconds, *duration_seconds))
            }
            Workload::Recorded(recorded) => Self::Fixed(resample(recorded, grid)),
            Workload::Profile(config) => Self::Profile(number(part), Profile::new(config, grid)),
            Workload::FlashCrowd(config) => Self::Crowds(number(part), Crowds::new(config, grid)),
            Workload::Burst(config) => Self::Burst(number(part), Burst::new(config)),
            Workload::Batch(configs) => Self::Batches(number(part), Batches::new(configs, grid)),
            Workload::Scaled(of, scale) => Self::Scaled {
                of: Box::new(Self::numbered(of, grid, part)),
                scale: *scale,
                path: vec![0.0; grid.n_ticks],
            },
            Workload::Noisy(of, noise) => Self::Noisy {
                of: Box::new(Self::numbered(of, grid, part)),
                noise: NoiseProcess::new(*noise, grid.tick_seconds),
                part: number(part),
                path: vec![0.0; grid.n_ticks],
            },
            Workload::Sum(of) => {
                Self::Sum(of.iter().map(|workload| Self::numbered(workload, grid, part)).collect())
            }
        }
    }

    /// Adds the path of `seed` to `rates`.
    pub(crate) fn add(&mut self, seed: Seed, grid: &Grid, rates: &mut [f64]) {
        match self {
            Self::Fixed(path) => add_scaled(path, 1.0, rates),
            Self::Profile(part, profile) => profile.add(&mut chance(seed, *part), rates),
            Self::Crowds(part, crowds) => crowds.add(&mut chance(seed, *part), grid, rates),
            Self::Burst(part, burst) => burst.add(&mut chance(seed, *part), grid, rates),
            Self::Batches(part, batches) => batches.add(&mut chance(seed, *part), grid, rates),
            Self::Scaled { of, scale, path } => {
                path.fill(0.0);
                of.add(seed, grid, path);
                add_scaled(path, factor(*scale, path), rates);
            }
            Self::Noisy { of, noise, part, path } => {
                path.fill(0.0);
                of.add(seed, grid, path);
                let mut rng = chance(seed, *part);
                let mut noise = noise.begin(&mut rng);
                for (rate, value) in rates.iter_mut().zip(path) {
                    *rate += *value * noise.next(&mut rng);
                }
            }
            Self::Sum(of) => of.iter_mut().for_each(|part| part.add(seed, grid, rates)),
        }
    }
}

/// The factor that brings `path` to the wanted mean or peak; 1 if there is nothing to scale.
fn factor(scale: Scale, path: &[f64]) -> f64 {
    let ratio = |wanted: f64, is: f64| if is > 0.0 { wanted / is } else { 1.0 };
    match scale {
        Scale::Factor(factor) => factor,
        Scale::Mean(wanted) => ratio(wanted, path.iter().sum::<f64>() / path.len() as f64),
        Scale::Peak(wanted) => ratio(wanted, path.iter().copied().fold(0.0, f64::max)),
    }
}

fn add_scaled(path: &[f64], factor: f64, rates: &mut [f64]) {
    for (rate, value) in rates.iter_mut().zip(path) {
        *rate += factor * value;
    }
}

fn chance(seed: Seed, part: u32) -> ChaCha8Rng {
    let mut rng = seed.rng(Stream::Demand);
    rng.set_word_pos(u128::from(part) << PART_BITS);
    rng
}

/// `from` before the ramp, `to` after it; the mean over each tick is exact.
fn ramp(grid: &Grid, from: f64, to: f64, start_seconds: f64, duration_seconds: f64) -> Vec<f64> {
    let start = f64::from(grid.calendar.warm_up_seconds) + start_seconds;
    // Integral of the share of the way that is done, from the start of the ramp.
    let way = |t: f64| {
        let t = t - start;
        let inside = t.clamp(0.0, duration_seconds);
        inside * inside / (2.0 * duration_seconds) + (t - duration_seconds).max(0.0)
    };
    (0..grid.n_ticks)
        .map(|tick| {
            let (a, b) = (tick as f64 * grid.tick_seconds, (tick + 1) as f64 * grid.tick_seconds);
            let share = (way(b) - way(a)) / (b - a);
            from + (to - from) * share.clamp(0.0, 1.0)
        })
        .collect()
}
