//! How users arrive within a tick: independently, or with spacings of a wanted variability.
//!
//! **Poisson.** Nₖ ~ Poisson(λₖ Δ), and given Nₖ = n the instants are n sorted uniforms. With E₁ … Eₙ₊₁
//! independent exponentials and Sᵢ their partial sums, (S₁, …, Sₙ)/Sₙ₊₁ are distributed as the order statistics of
//! n uniforms (Devroye 1986, Non-Uniform Random Variate Generation, ch. V.2): sorted without sorting.
//!
//! **Renewal.** In operational time Λ(t) = ∫₀ᵗ λ the spacings are independent gamma variables of mean 1 and
//! coefficient of variation c (shape 1/c², scale c²); the jth arrival falls at Λ⁻¹(Sⱼ) (Gerhardt and Nelson 2009,
//! Transforming renewal processes for simulation of nonstationary arrival processes, INFORMS J. Computing
//! 21). The first spacing is drawn from the equilibrium distribution, U · Gamma(1/c² + 1, c²): a uniform share of
//! a length-biased spacing, so that E N(t) = Λ(t) from the start, and the variance of counts
//! over long times is c² times their mean. With c = 1 it is a Poisson process. From c of about 3 the arrivals are
//! bunches with long pauses between.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Exp1, Gamma};
use tidegate_core::{Seed, Stream, Tick};

use crate::demand::Span;

/// Words of the stream that belong to one tick: enough for 10⁹ users.
const TICK_BITS: u32 = 32;

/// Independent arrivals.
#[derive(Clone, Debug)]
pub(crate) struct Poisson {
    times: ChaCha8Rng,
}

impl Poisson {
    pub(crate) fn new() -> Self {
        Self { times: Seed::training(0).rng(Stream::ArrivalTimes) }
    }

    pub(crate) fn reset(&mut self, seed: Seed, tick_seconds: f64, rates: &[f64], users: &mut [u32]) {
        self.times = seed.rng(Stream::ArrivalTimes);
        let mut rng = seed.rng(Stream::ArrivalCounts);
        for (users, rate) in users.iter_mut().zip(rates) {
            *users = poisson(rate * tick_seconds, &mut rng);
        }
    }

    pub(crate) fn times(&mut self, tick: Tick, span: Span, users: u32, into: &mut Vec<f64>) {
        self.times.set_word_pos(u128::from(tick.0) << TICK_BITS);
        let mut sum = 0.0;
        into.extend((0..users).map(|_| {
            sum += self.times.sample::<f64, _>(Exp1);
            sum
        }));
        sum += self.times.sample::<f64, _>(Exp1);
        let scale = (span.end - span.start) / sum;
        let last = span.end.next_down();
        for time in into {
            *time = (span.start + *time * scale).min(last);
        }
    }
}

/// One Poisson number of this mean; 0 for the mean 0, at most `u32::MAX`.
pub(crate) fn poisson(mean: f64, rng: &mut ChaCha8Rng) -> u32 {
    match rand_distr::Poisson::new(mean) {
        Ok(poisson) => poisson.sample(rng) as u32,
        Err(_) => 0,
    }
}

/// Arrivals with gamma spacings in operational time.
#[derive(Clone, Debug)]
pub(crate) struct Renewal {
    spacing: Gamma<f64>,
    length_biased: Gamma<f64>,
    rng: ChaCha8Rng,
    /// At the start of each tick: position in the stream, and operational time to the next arrival.
    starts: Vec<(u128, f64)>,
}

impl Renewal {
    pub(crate) fn new(coefficient_of_variation: f64) -> Self {
        let scv = coefficient_of_variation * coefficient_of_variation;
        let gamma = |shape| Gamma::new(shape, scv).expect("a checked coefficient of variation is positive");
        Self {
            spacing: gamma(1.0 / scv),
            length_biased: gamma(1.0 / scv + 1.0),
            rng: Seed::training(0).rng(Stream::ArrivalTimes),
            starts: Vec::new(),
        }
    }

    pub(crate) fn reset(&mut self, seed: Seed, tick_seconds: f64, rates: &[f64], users: &mut [u32]) {
        self.rng = seed.rng(Stream::ArrivalTimes);
        self.starts.clear();
        let mut ahead = self.rng.random::<f64>() * self.length_biased.sample(&mut self.rng);
        for (users, rate) in users.iter_mut().zip(rates) {
            self.starts.push((self.rng.get_word_pos(), ahead));
            let in_tick = rate * tick_seconds;
            *users = 0;
            while ahead < in_tick {
                *users += 1;
                ahead += self.spacing.sample(&mut self.rng);
            }
            ahead -= in_tick;
        }
    }

    pub(crate) fn times(&mut self, tick: Tick, span: Span, users: u32, rate: f64, into: &mut Vec<f64>) {
        let (position, mut ahead) = self.starts[tick.0 as usize];
        self.rng.set_word_pos(position);
        let last = span.end.next_down();
        for _ in 0..users {
            into.push((span.start + ahead / rate).min(last));
            ahead += self.spacing.sample(&mut self.rng);
        }
    }
}
