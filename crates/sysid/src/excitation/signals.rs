//! Pseudo-random binary sequences, sums of sines, and stairs of replica counts.

use std::f64::consts::{PI, TAU};

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use tidegate_core::Replicas;

use super::ExcitationError;

/// Exponents of a primitive polynomial over GF(2) for each degree n from 2: x^n + Σ x^k + 1 (Xilinx application note
/// 052, P. Alfke 1996, table 3). That they are primitive is tested by running through every period.
const EXPONENTS: [&[u32]; 19] = [
    &[1],
    &[2],
    &[3],
    &[3],
    &[5],
    &[6],
    &[6, 5, 4],
    &[5],
    &[7],
    &[9],
    &[6, 4, 1],
    &[4, 3, 1],
    &[5, 3, 1],
    &[14],
    &[15, 13, 4],
    &[14],
    &[11],
    &[6, 2, 1],
    &[17],
];

/// A maximum-length pseudo-random binary sequence: `levels[1]` where the shift register gives 1, `levels[0]` where
/// it gives 0, each draw held for `clock_steps` samples, repeated to `n_samples`.
///
/// The register of `order` n cells starts with ones and repeats after 2ⁿ − 1 draws, of which 2ⁿ⁻¹ are ones. Over a
/// period, with levels ±1, the autocorrelation is 2ⁿ − 1 at lag 0 and −1 at any other (Söderström and Stoica, System
/// Identification, 1989, §5.3), so it excites every order up to its period. Holding (a clock of some steps) moves power
/// to low frequencies, where a slow service is; the spectrum has its first zero at 1/`clock_steps` of the sampling
/// rate.
///
/// # Errors
/// [`ExcitationError::OutOfBounds`] if `order` is not from 2 to 20 or `clock_steps` is 0.
pub fn prbs(
    order: u32,
    clock_steps: usize,
    levels: [f64; 2],
    n_samples: usize,
) -> Result<Vec<f64>, ExcitationError> {
    if !(2..=20).contains(&order) {
        let allowed = "from 2 to 20".into();
        return Err(ExcitationError::OutOfBounds { field: "order", value: f64::from(order), allowed });
    }
    if clock_steps == 0 {
        let allowed = "at least 1".into();
        return Err(ExcitationError::OutOfBounds { field: "clock_steps", value: 0.0, allowed });
    }
    // s(t + n) = s(t) + Σ s(t + k) over GF(2); the lowest bit is the oldest.
    let taps = EXPONENTS[order as usize - 2].iter().fold(1_u32, |taps, exponent| taps | (1 << exponent));
    let mut register = (1_u32 << order) - 1;
    let mut values = Vec::with_capacity(n_samples);
    while values.len() < n_samples {
        let level = levels[(register & 1) as usize];
        let n_held = clock_steps.min(n_samples - values.len());
        values.extend(std::iter::repeat_n(level, n_held));
        let fresh = (register & taps).count_ones() & 1;
        register = (register >> 1) | (fresh << (order - 1));
    }
    Ok(values)
}

/// How the sines of a [`multisine`] are set against each other.
pub enum Phases<'a> {
    /// −π k (k − 1) / K for the k-th of K lines: for neighbouring lines a crest factor of about 1.7 (Schroeder,
    /// IEEE Trans. Information Theory 16, 1970).
    Schroeder,
    /// Uniform over the circle; different draws are different experiments with one spectrum.
    Random(&'a mut dyn Rng),
}

/// One period of a sum of sines of equal amplitude, of mean 0 and root mean square 1: line l has l whole cycles in
/// the `period` samples.
///
/// K lines below the Nyquist frequency excite exactly order 2K ([`super::persistent_order`]). How peaked it is says
/// [`super::crest_factor`].
///
/// # Errors
/// [`ExcitationError::TooFew`] for no lines, [`ExcitationError::OutOfBounds`] for one that is not from 1 to below
/// `period` / 2, [`ExcitationError::Twice`] for one that comes twice.
pub fn multisine(
    period: usize,
    lines: &[usize],
    mut phases: Phases<'_>,
) -> Result<Vec<f64>, ExcitationError> {
    if lines.is_empty() {
        return Err(ExcitationError::TooFew { field: "lines", found: 0, needed: 1 });
    }
    for (position, &line) in lines.iter().enumerate() {
        if line == 0 || 2 * line >= period {
            let allowed = format!("from 1 to below {}", period as f64 / 2.0);
            return Err(ExcitationError::OutOfBounds { field: "lines", value: line as f64, allowed });
        }
        if lines[..position].contains(&line) {
            return Err(ExcitationError::Twice { field: "lines", value: line });
        }
    }
    let n_lines = lines.len() as f64;
    let amplitude = (2.0 / n_lines).sqrt();
    let mut values = vec![0.0; period];
    for (k, &line) in lines.iter().enumerate() {
        let phase = match &mut phases {
            Phases::Schroeder => -PI * (k * (k + 1)) as f64 / n_lines,
            Phases::Random(rng) => rng.random_range(0.0..TAU),
        };
        for (t, value) in values.iter_mut().enumerate() {
            // The cycles are reduced in whole numbers, so that each line closes exactly.
            let turn = (line * t % period) as f64 / period as f64;
            *value += amplitude * (TAU * turn + phase).cos();
        }
    }
    Ok(values)
}

/// Stairs of replica counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Staircase<'a> {
    /// The counts to visit, each once a round.
    pub levels: &'a [Replicas],
    /// Least count that the pool may have.
    pub replicas_min: Replicas,
    /// Greatest count that the pool may have.
    pub replicas_max: Replicas,
    /// Steps on each stair: longer than the service takes to settle, start-up included.
    pub dwell_steps: usize,
}

/// Replica counts that stay for `dwell_steps` on each level, in rounds that visit every level once in an order drawn
/// anew; two neighbouring stairs are never of one height.
///
/// A binary signal cannot show that the tenth replica helps less than the second; this can.
///
/// # Errors
/// [`ExcitationError::TooFew`] for fewer than two levels, [`ExcitationError::Twice`] for one that comes twice,
/// [`ExcitationError::OutOfBounds`] for one outside of the bounds, or a dwell of 0 steps.
pub fn staircase(
    stairs: &Staircase<'_>,
    rng: &mut dyn Rng,
    n_samples: usize,
) -> Result<Vec<f64>, ExcitationError> {
    let &Staircase { levels, replicas_min, replicas_max, dwell_steps } = stairs;
    if levels.len() < 2 {
        return Err(ExcitationError::TooFew { field: "levels", found: levels.len(), needed: 2 });
    }
    if dwell_steps == 0 {
        let allowed = "at least 1".into();
        return Err(ExcitationError::OutOfBounds { field: "dwell_steps", value: 0.0, allowed });
    }
    for (position, &level) in levels.iter().enumerate() {
        if !(replicas_min..=replicas_max).contains(&level) {
            let allowed = format!("from {replicas_min} to {replicas_max}");
            return Err(ExcitationError::OutOfBounds { field: "levels", value: f64::from(level), allowed });
        }
        if levels[..position].contains(&level) {
            return Err(ExcitationError::Twice { field: "levels", value: level as usize });
        }
    }
    let mut values = Vec::with_capacity(n_samples);
    let mut round = levels.to_vec();
    while values.len() < n_samples {
        let last = values.last().copied();
        round.shuffle(rng);
        if last == Some(f64::from(round[0])) {
            // Changing places with any later stair keeps them apart.
            let other = rng.random_range(1..round.len());
            round.swap(0, other);
        }
        for &level in &round {
            let n_held = dwell_steps.min(n_samples - values.len());
            values.extend(std::iter::repeat_n(f64::from(level), n_held));
        }
    }
    Ok(values)
}
