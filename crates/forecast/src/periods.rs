//! Periods of a series: found in its spectrum, confirmed by its autocorrelation.
//!
//! AUTOPERIOD (Vlachos, Yu and Castelli, "On periodicity detection and structural periodic similarity", SDM 2005):
//! a frequency k/n is a candidate where its power exceeds the 99th percentile of the largest powers of
//! [`SHUFFLES`] shuffles of the series, which have its values and no periods; a candidate is a period where the
//! autocorrelation has a hill between the periods of its neighbouring frequencies, and the period is the hill's top.
//! Only the top tells the length: the spectrum of 14 days knows a week as 7 ± 2 days.
//!
//! Where we differ: the spectrum and the shuffles are those of means over some steps, [`BINS_MAX`] at most, as no period
//! that matters here is shorter than a few of them; a straight line is taken out first; the autocorrelation is padded
//! with zeros and so not circular, at full resolution within its hill; a top that is off a day or a
//! week by less than one cycle over the whole series, which its spectrum could not tell from it, is taken for that: a fold
//! over many cycles is blurred by a period that is off by a step or two.

use rand::{Rng, RngExt};
use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

/// Shuffles of the background.
pub const SHUFFLES: usize = 100;

/// Means that the spectrum is taken of, at most.
const BINS_MAX: usize = 1024;

/// Candidates that are looked at, by falling power.
const CANDIDATES_MAX: usize = 24;

/// What is left of a line by rounding, as a share of its values.
const ROUNDING: f64 = 1e-10;

/// Periods of `values` in steps, two full ones at least in the series; the strongest first, `most` of them.
pub(crate) fn periods(values: &[f64], known: &[usize], most: usize, chance: &mut impl Rng) -> Vec<usize> {
    let width = values.len().div_ceil(BINS_MAX).max(1);
    let bins: Vec<f64> =
        values.chunks_exact(width).map(|bin| bin.iter().sum::<f64>() / width as f64).collect();
    let n_bins = bins.len();
    if n_bins < 8 {
        return Vec::new();
    }
    let size_of = |values: &[f64]| values.iter().fold(0.0, |most, value| f64::max(most, value.abs()));
    let size = size_of(&bins);
    let bins = without_line(&bins);
    if size_of(&bins) <= ROUNDING * size {
        return Vec::new();
    }
    let mut planner = FftPlanner::new();
    let transform = planner.plan_fft_forward(n_bins);
    let mut spectrum = vec![Complex::default(); n_bins];
    let mut scratch = vec![Complex::default(); transform.get_inplace_scratch_len()];
    // Of two series at once, as the real and the imaginary part: Zₖ ± conj Z₋ₖ is twice the transform of one of them.
    let mut powers = |real: &[f64], imaginary: &[f64]| {
        for ((place, real), imaginary) in spectrum.iter_mut().zip(real).zip(imaginary) {
            *place = Complex::new(*real, *imaginary);
        }
        transform.process_with_scratch(&mut spectrum, &mut scratch);
        let of = |k: usize| {
            let (left, right) = (spectrum[k], spectrum[(n_bins - k) % n_bins].conj());
            [(left + right).norm_sqr() / 4.0, (left - right).norm_sqr() / 4.0]
        };
        (0..=n_bins / 2).map(of).collect::<Vec<_>>()
    };
    let power: Vec<f64> = powers(&bins, &bins).into_iter().map(|[power, _]| power).collect();
    let (mut one, mut other) = (bins.clone(), bins.clone());
    let mut shuffle = |series: &mut [f64]| {
        for left in (1..n_bins as u32).rev() {
            series.swap(left as usize, chance.random_range(0..=left) as usize);
        }
    };
    let mut largest = Vec::with_capacity(SHUFFLES);
    for _ in 0..SHUFFLES / 2 {
        shuffle(&mut one);
        shuffle(&mut other);
        let background = powers(&one, &other);
        let most =
            |series: usize| background[1..].iter().fold(0.0, |most, power| f64::max(most, power[series]));
        largest.extend([most(0), most(1)]);
    }
    largest.sort_unstable_by(f64::total_cmp);
    let threshold = largest[SHUFFLES * 99 / 100 - 1];

    let mut candidates: Vec<usize> = (2..=n_bins / 2).filter(|k| power[*k] > threshold).collect();
    candidates.sort_by(|a, b| power[*b].total_cmp(&power[*a]));
    candidates.truncate(CANDIDATES_MAX);
    if candidates.is_empty() {
        return Vec::new();
    }
    let correlation = autocorrelation(&without_line(values), &mut planner);
    let mut found: Vec<usize> = Vec::new();
    for k in candidates {
        let period_of = |k: f64| n_bins as f64 / k * width as f64;
        let (low, high) = (period_of(k as f64 + 1.0), period_of(k as f64 - 1.0));
        let Some(top) = hill(&correlation, low, high) else { continue };
        let cycles = |period: usize| values.len() as f64 / period as f64;
        let is_near = |known: usize| (cycles(top) - cycles(known)).abs() < 1.0;
        let period = known.iter().copied().find(|known| is_near(*known)).unwrap_or(top);
        let is_new = |other: &usize| (period as f64 / *other as f64 - 1.0).abs() > 0.1;
        if 2 * period <= values.len() && found.iter().all(is_new) {
            found.push(period);
        }
        if found.len() == most {
            break;
        }
    }
    found
}

/// Less the least-squares line.
fn without_line(values: &[f64]) -> Vec<f64> {
    let n = values.len() as f64;
    let middle = (n - 1.0) / 2.0;
    let mean = values.iter().sum::<f64>() / n;
    let (mut across, mut along) = (0.0, 0.0);
    for (place, value) in values.iter().enumerate() {
        let at = place as f64 - middle;
        across += at * (value - mean);
        along += at * at;
    }
    let slope = if along > 0.0 { across / along } else { 0.0 };
    let line = |place: usize| mean + slope * (place as f64 - middle);
    values.iter().enumerate().map(|(place, value)| value - line(place)).collect()
}

/// Of a series without mean, at each lag up to three quarters of its length (so that a hill over two
/// cycles has a right side): Σ x(t) x(t+lag) / (n − lag) over the variance.
fn autocorrelation(values: &[f64], planner: &mut FftPlanner<f64>) -> Vec<f64> {
    let n = values.len();
    let lags = 3 * n / 4;
    // Any size that is no less will do; powers of two twice over are too far apart.
    let size = [1, 3, 5].into_iter().map(|odd| odd * (n + lags).div_ceil(odd).next_power_of_two()).min();
    let size = size.expect("there are three");
    let mut spectrum = vec![Complex::default(); size];
    for (place, value) in spectrum.iter_mut().zip(values) {
        *place = Complex::new(*value, 0.0);
    }
    planner.plan_fft_forward(size).process(&mut spectrum);
    for value in &mut spectrum {
        *value = Complex::new(value.norm_sqr(), 0.0);
    }
    planner.plan_fft_inverse(size).process(&mut spectrum);
    let variance = spectrum[0].re / n as f64;
    if variance <= 0.0 {
        return vec![0.0; lags + 1];
    }
    (0..=lags).map(|lag| spectrum[lag].re / (n - lag) as f64 / variance).collect()
}

/// The lag of the largest autocorrelation between two lags, if it rises to it from the left and falls to the right:
/// the least-squares slopes on both sides say so.
fn hill(correlation: &[f64], low: f64, high: f64) -> Option<usize> {
    let low = (low.floor() as usize).max(1);
    let high = (high.ceil() as usize).min(correlation.len() - 1);
    if low + 2 > high {
        return None;
    }
    // Of equal ones the first.
    let top = (low..=high).fold(low, |top, lag| if correlation[lag] > correlation[top] { lag } else { top });
    if top == low || top == high || correlation[top] <= 0.0 {
        return None;
    }
    let rises = |part: &[f64]| {
        let middle = (part.len() - 1) as f64 / 2.0;
        part.iter().enumerate().map(|(place, value)| (place as f64 - middle) * value).sum::<f64>()
    };
    (rises(&correlation[low..=top]) > 0.0 && rises(&correlation[top..=high]) < 0.0).then_some(top)
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution, StandardNormal};
    use tidegate_core::{Seed, Stream};

    use super::*;

    fn found(n: usize, noise: f64, waves: &[(f64, f64)], known: &[usize]) -> Vec<usize> {
        let mut rng = Seed::training(4).rng(Stream::Excitation);
        let values: Vec<f64> = (0..n)
            .map(|step| {
                let wave =
                    |(period, size): &(f64, f64)| size * (std::f64::consts::TAU * step as f64 / period).sin();
                let random: f64 = StandardNormal.sample(&mut rng);
                100.0 + 0.01 * step as f64 + noise * random + waves.iter().map(wave).sum::<f64>()
            })
            .collect();
        periods(&values, known, 3, &mut rng)
    }

    #[test]
    fn periods_come_back() {
        assert_eq!(found(480, 0.1, &[(24.0, 5.0)], &[]), [24]);
        assert_eq!(found(480, 5.0, &[(24.0, 5.0)], &[24]), [24]);
        assert_eq!(found(1344, 1.0, &[(24.0, 5.0), (168.0, 3.0)], &[24, 168]), [24, 168]);
        // No whole number of cycles, and no whole number of bins.
        assert_eq!(found(10_000, 1.0, &[(700.0, 5.0)], &[]).len(), 1);
        assert!((found(10_000, 1.0, &[(700.0, 5.0)], &[])[0]).abs_diff(700) <= 7);
    }

    #[test]
    fn noise_trends_and_constants_have_no_period() {
        assert_eq!(found(2000, 1.0, &[], &[24]), [0; 0]);
        assert_eq!(found(2000, 0.0, &[], &[24]), [0; 0]);
        assert_eq!(found(5, 1.0, &[], &[24]), [0; 0]);
        // Less than two cycles.
        assert_eq!(found(300, 0.1, &[(200.0, 5.0)], &[]), [0; 0]);
    }

    /// By the sum itself.
    #[test]
    fn the_autocorrelation_is_the_sum_that_it_is_said_to_be() {
        let mut rng = Seed::training(5).rng(Stream::Excitation);
        let values: Vec<f64> = (0..101).map(|_| StandardNormal.sample(&mut rng)).collect();
        let fast = autocorrelation(&values, &mut FftPlanner::new());
        let variance = values.iter().map(|value| value * value).sum::<f64>() / 101.0;
        for lag in 0..=75 {
            let sum: f64 = (0..101 - lag).map(|step| values[step] * values[step + lag]).sum();
            approx::assert_relative_eq!(fast[lag], sum / (101 - lag) as f64 / variance, epsilon = 1e-12);
        }
    }
}
