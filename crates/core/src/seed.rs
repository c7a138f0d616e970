//! Where every random number comes from.
//!
//! A [`Seed`] names a world. From it come two kinds of chance:
//!
//! - [`Seed::rng`]: a `ChaCha8` generator for what is drawn in one fixed order whatever the controller does
//!   (demand, users' arrivals, their work, their patience);
//! - [`Seed::key`]: a counter hash for what depends on the controller, addressed by what the thing is (pool, slot
//!   and tick of a start-up; user and attempt of a retry), so that no controller re-rolls its luck.
//!
//! A controller gets a [`ControllerStream`], keyed by the *output* of the cipher: no stream of the plant can be
//! derived from it.
//!
//! Stream numbers are part of the results: add, never renumber.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a seed may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Split {
    /// Learning, tuning, identification.
    Training,
    /// What is reported.
    Evaluation,
}

/// One world: the same seed gives the same demand, users and luck to every controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seed {
    split: Split,
    index: u64,
}

/// The sources of chance. The number is part of the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
#[non_exhaustive]
pub enum Stream {
    /// The demand path: amplitude, phase, day effects, time and size of crowds.
    Demand = 1,
    /// How many users arrive in each tick.
    ArrivalCounts = 2,
    /// When within the tick they arrive.
    ArrivalTimes = 3,
    /// The work each user brings, in user order.
    Work = 4,
    /// How long each user waits before giving up, in user order.
    Patience = 5,
    /// Start-up delay, keyed by (pool and slot, tick).
    Startup = 6,
    /// Back-off jitter, keyed by (user, attempt).
    Retry = 7,
    /// Balancer choices, keyed by (user, attempt).
    Balance = 8,
    /// Sensor noise, keyed by (channel, scrape).
    SensorNoise = 9,
    /// Sensor drop-outs, keyed by (channel, scrape).
    SensorDropout = 10,
    /// Crash hazard, keyed by (pool and slot, tick).
    Crash = 11,
    /// Spot preemption hazard, keyed by (pool and slot, tick).
    Preemption = 12,
    /// Spot price path.
    SpotPrice = 13,
    /// Shocks to spot capacity, by time.
    CapacityShock = 14,
    /// Replicas that turn unhealthy without dying, keyed by (pool and slot, tick).
    Unhealthy = 15,
    /// Carbon intensity path.
    Carbon = 16,
    /// State of an environment at reset (classic environments).
    EnvReset = 17,
    /// Exploration and initialisation of learners.
    Learner = 18,
    /// Resampling for intervals.
    Resample = 19,
    /// Excitation signals for identification.
    Excitation = 20,
    /// What a controller may draw from; never given to anything else.
    Controller = 21,
    /// Launch hooks that never answer, keyed by (pool and slot, tick).
    LaunchHook = 22,
    /// Candidates of a search for better parameters.
    Search = 23,
    /// Variants of a scenario that a learner is trained on, keyed by (variant, parameter).
    Variants = 24,
}

impl Seed {
    /// The `index`-th world for learning, tuning and identification.
    pub const fn training(index: u64) -> Self {
        Self { split: Split::Training, index }
    }

    /// The `index`-th world for reported results; it is none of the training worlds.
    pub const fn evaluation(index: u64) -> Self {
        Self { split: Split::Evaluation, index }
    }

    /// What this seed may be used for.
    pub const fn split(self) -> Split {
        self.split
    }

    /// Its number within the split.
    pub const fn index(self) -> u64 {
        self.index
    }

    /// A generator for what is drawn in one fixed order. Opening one costs over 100 ns: not for single requests.
    pub fn rng(self, stream: Stream) -> ChaCha8Rng {
        let mut key = [0_u8; 32];
        key[..8].copy_from_slice(b"tidegate");
        key[8] = match self.split {
            Split::Training => 1,
            Split::Evaluation => 2,
        };
        key[16..24].copy_from_slice(&self.index.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(stream as u64);
        rng
    }

    /// The counter hash of one stream.
    pub fn key(self, stream: Stream) -> Key {
        let mut rng = self.rng(stream);
        Key { low: rng.next_u64(), high: rng.next_u64() | 1 }
    }

    /// The chance that the `ordinal`-th controller of a run may use.
    pub fn controller(self, ordinal: u64) -> ControllerStream {
        let mut rng = self.rng(Stream::Controller);
        rng.set_word_pos(u128::from(ordinal) * 16);
        let mut key = [0_u8; 32];
        rng.fill_bytes(&mut key);
        ControllerStream(ChaCha8Rng::from_seed(key))
    }
}

impl std::fmt::Display for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.split {
            Split::Training => write!(f, "training {}", self.index),
            Split::Evaluation => write!(f, "evaluation {}", self.index),
        }
    }
}

/// A counter hash: the same (a, b) always gives the same number, in any order of asking.
///
/// Two rounds of 64 × 64 → 128-bit multiply and fold (the mixing step of wyhash), keyed by 128 bits of `ChaCha8`.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    low: u64,
    high: u64,
}

impl Key {
    /// 64 uniform bits that belong to (a, b).
    #[inline]
    pub fn bits(self, a: u64, b: u64) -> u64 {
        const ODD_A: u64 = 0xa076_1d64_78bd_642f;
        const ODD_B: u64 = 0xe703_7ed1_a0b4_28db;
        let first = fold(a ^ self.low ^ ODD_A, b.wrapping_mul(ODD_B) ^ self.high);
        fold(first ^ ODD_B ^ self.high, a.wrapping_add(ODD_A) ^ b.rotate_left(32) ^ self.low)
    }

    /// A uniform number in the open interval (0, 1) that belongs to (a, b).
    #[inline]
    pub fn uniform(self, a: u64, b: u64) -> f64 {
        ((self.bits(a, b) >> 11) as f64 + 0.5) * f64::from_bits(0x3ca0_0000_0000_0000) // 2^-53
    }

    /// An index below `n` that belongs to (a, b).
    ///
    /// # Panics
    /// If `n` is 0.
    #[inline]
    pub fn index(self, a: u64, b: u64, n: usize) -> usize {
        assert!(n > 0, "an index needs something to point into");
        ((u128::from(self.bits(a, b)) * n as u128) >> 64) as usize
    }
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

/// The only chance a controller has. It is keyed by output of the cipher, so the plant's streams cannot be had
/// from it.
#[derive(Clone, Debug)]
pub struct ControllerStream(pub ChaCha8Rng);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn training_and_evaluation_never_meet() {
        for index in 0..100 {
            let a = Seed::training(index).rng(Stream::Demand).next_u64();
            let b = Seed::evaluation(index).rng(Stream::Demand).next_u64();
            assert_ne!(a, b, "index {index}");
        }
    }

    #[test]
    fn streams_differ_from_each_other_and_from_the_controllers() {
        let seed = Seed::evaluation(5);
        let plant = seed.rng(Stream::Demand).next_u64();
        assert_ne!(plant, seed.rng(Stream::Work).next_u64());
        assert_ne!(plant, seed.controller(0).0.next_u64());
        assert_ne!(seed.controller(0).0.next_u64(), seed.controller(1).0.next_u64());
    }

    /// Mean and variance of neighbouring keys, and the correlation between neighbours, to 4.5 standard errors:
    /// counters are the worst input a hash can have.
    #[test]
    fn neighbouring_counters_give_independent_uniforms() {
        const N: u64 = 400;
        let key = Seed::training(1).key(Stream::Crash);
        let (mut sum, mut sum_squares, mut across, mut along) = (0.0, 0.0, 0.0, 0.0);
        for a in 0..N {
            for b in 0..N {
                let u = key.uniform(a, b) - 0.5;
                sum += u;
                sum_squares += u * u;
                across += u * (key.uniform(a + 1, b) - 0.5);
                along += u * (key.uniform(a, b + 1) - 0.5);
            }
        }
        let n = (N * N) as f64;
        let standard_error = (1.0 / 12.0 / n).sqrt();
        assert!((sum / n).abs() < 4.5 * standard_error, "mean {}", sum / n);
        assert!((sum_squares / n - 1.0 / 12.0).abs() < 4.5 * (1.0 / 180.0 / n).sqrt());
        for covariance in [across / n, along / n] {
            assert!(covariance.abs() < 4.5 / 12.0 / n.sqrt(), "covariance {covariance}");
        }
    }

    #[test]
    fn uniform_stays_inside_the_open_interval() {
        let key = Key { low: 0, high: 1 };
        for a in 0..10_000 {
            let u = key.uniform(a, 0);
            assert!(u > 0.0 && u < 1.0, "{u} at {a}");
        }
    }
}
