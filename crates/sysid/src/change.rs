//! Whether a model has stopped to describe the service: cumulative sums of its standardised innovations.
//!
//! While a model holds, z(t) = ε(t)/σ is white with mean 0 and variance 1. A change of the gain or of an unmeasured
//! load moves the mean, one of the dynamics or of the noise the variance. [`ChangeDetector`] watches both, each with a
//! two-sided CUSUM (Page, Biometrika 41, 1954):
//!
//! S⁺(t) = max(0, S⁺(t − 1) + z − k), S⁻(t) = max(0, S⁻(t − 1) − z − k), alarm where one is above h.
//!
//! k is half of the shift to be found fastest, in deviations; h follows from the average number of samples until a false
//! alarm (average run length) by Siegmund's approximation ([`run_length`], [`threshold`]). For the variance the same
//! sums run over w = (√|z| − 0.822)/0.349, which for normal z is nearly standard normal, and to which a change of σ is
//! a change of the mean (Hawkins, J. Quality Technology 13, 1981). Innovations that are heavy-tailed or correlated give
//! more false alarms than asked for: see [`crate::residuals`] for the latter.
//!
//! ```
//! use tidegate_sysid::change::{Change, ChangeDetector};
//!
//! let mut detector = ChangeDetector::new(1.0, 10_000.0)?;
//! let innovations = (0..200).map(|t| if t % 2 == 0 { 0.6 } else { -0.9 } + if t < 100 { 0.0 } else { 2.0 });
//! let changes: Vec<Change> = innovations.map(|z| detector.update(z)).collect();
//! assert!(changes[..100].iter().all(|change| *change == Change::Quiet));
//! assert!(matches!(changes[199], Change::Changed { since: 98..=101, .. }));
//! assert!(detector.wants_identification());
//! # Ok::<(), tidegate_sysid::change::ChangeError>(())
//! ```

/// What a detector cannot be built with.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{field}` is {value}, but must be {allowed}")]
pub struct ChangeError {
    /// As written.
    pub field: &'static str,
    /// What stands there.
    pub value: f64,
    /// For example `positive`.
    pub allowed: &'static str,
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// The model predicts too little.
    MeanUp,
    /// The model predicts too much.
    MeanDown,
    /// It errs by more than it did.
    VarianceUp,
    /// It errs by less: the noise is not what it was, and with it the gain of a predictor.
    VarianceDown,
}

/// What the detector says after a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing beyond chance.
    Quiet,
    /// The model no longer holds; it stays so until [`ChangeDetector::reset`].
    Changed {
        /// The sample of the alarm, counted from 0 at the reset.
        at: u64,
        /// The likely first sample of the change: the first after the sum was last zero.
        since: u64,
        /// What has changed.
        kind: ChangeKind,
    },
}

/// One-sided cumulative sum.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    value: f64,
    since: u64,
}

impl Sum {
    fn update(&mut self, step: f64, at: u64) {
        let sum = self.value + step;
        if sum <= 0.0 {
            *self = Self { value: 0.0, since: at + 1 };
        } else {
            self.value = sum;
        }
    }
}

/// Watches standardised innovations for a change of mean or variance. A few dozen bytes; no allocation.
#[derive(Clone, Debug)]
pub struct ChangeDetector {
    /// k and h of each sum.
    tuning: [(f64, f64); 4],
    sums: [Sum; 4],
    samples: u64,
    change: Change,
}

/// In the order of the sums.
const KINDS: [ChangeKind; 4] =
    [ChangeKind::MeanUp, ChangeKind::MeanDown, ChangeKind::VarianceUp, ChangeKind::VarianceDown];

/// Mean and deviation of √|z| for normal z: 2^¼ Γ(¾)/√π and the root of √(2/π) less its square.
const ROOT_MEAN: f64 = 0.822_178_958_662_458_5;
const ROOT_DEVIATION: f64 = 0.349_150_856_701_771_3;

impl ChangeDetector {
    /// Tuned to find a mean that moves by `shift` deviations, at one false alarm in `samples_between_alarms` samples in
    /// the mean over all four sums together. The sums for the variance take the same k up to ½, that of a deviation
    /// that doubles; a larger one would not see it fall, since w is at least −2.355.
    ///
    /// Measured by simulation: 1.0 to 1.2 times `samples_between_alarms` for shifts up to 1, since √|z| has lighter
    /// tails than a normal variable.
    ///
    /// # Errors
    /// If `shift` is not positive or `samples_between_alarms` not above 10.
    pub fn new(shift: f64, samples_between_alarms: f64) -> Result<Self, ChangeError> {
        let bounds = |field, value: f64, holds: bool, allowed| {
            if holds { Ok(()) } else { Err(ChangeError { field, value, allowed }) }
        };
        bounds("shift", shift, shift > 0.0 && shift.is_finite(), "positive")?;
        let is_long = samples_between_alarms > 10.0 && samples_between_alarms.is_finite();
        bounds("samples_between_alarms", samples_between_alarms, is_long, "above 10")?;
        // Rates of rare alarms add up: four sums, each at a quarter of the rate.
        let tuned = |k: f64| (k, threshold(4.0 * samples_between_alarms, k));
        let (mean, variance) = (tuned(shift / 2.0), tuned((shift / 2.0).min(0.5)));
        Ok(Self {
            tuning: [mean, mean, variance, variance],
            sums: [Sum::default(); 4],
            samples: 0,
            change: Change::Quiet,
        })
    }

    /// Sees one innovation over its deviation; a missing one (NaN) counts as a sample and tells nothing.
    pub fn update(&mut self, standardised: f64) -> Change {
        let at = self.samples;
        self.samples += 1;
        if self.change != Change::Quiet || standardised.is_nan() {
            return self.change;
        }
        let root = (standardised.abs().sqrt() - ROOT_MEAN) / ROOT_DEVIATION;
        let steps = [standardised, -standardised, root, -root];
        for (((sum, step), (k, h)), kind) in self.sums.iter_mut().zip(steps).zip(self.tuning).zip(KINDS) {
            sum.update(step - k, at);
            if sum.value > h && self.change == Change::Quiet {
                self.change = Change::Changed { at, since: sum.since, kind };
            }
        }
        self.change
    }

    /// Whether a change was found since the last reset, so that the model should be identified anew.
    pub fn wants_identification(&self) -> bool {
        self.change != Change::Quiet
    }

    /// h of the sums for the mean.
    pub fn threshold(&self) -> f64 {
        self.tuning[0].1
    }

    /// Starts anew, with a new model.
    pub fn reset(&mut self) {
        (self.sums, self.samples, self.change) = ([Sum::default(); 4], 0, Change::Quiet);
    }
}

/// Mean number of samples until a one-sided CUSUM with reference value `k` and threshold `h` gives an alarm, while the
/// mean of z is `mean` deviations: (e^(−2Δb) + 2Δb − 1) / (2Δ²) with Δ = `mean` − k and b = h + 1.166, and b² at
/// Δ = 0 (Siegmund, Sequential Analysis, 1985, §X.2).
///
/// For a two-sided one the rates of both sides add up: 1/L = 1/L⁺ + 1/L⁻.
pub fn run_length(mean: f64, k: f64, h: f64) -> f64 {
    let (delta, b) = (mean - k, h + 1.166);
    let x = 2.0 * delta * b;
    if x.abs() < 1e-4 {
        // The quotient loses its digits here; its series is b² (1 − x/3 + …).
        return b * b * (1.0 - x / 3.0);
    }
    ((-x).exp_m1() + x) / (2.0 * delta * delta)
}

/// The threshold h of a one-sided CUSUM with reference value `k` that gives one false alarm in `samples` samples in the
/// mean, by [`run_length`]; 0 where even that gives fewer.
///
/// # Panics
/// If `samples` is not finite, or `k` is not positive.
pub fn threshold(samples: f64, k: f64) -> f64 {
    assert!(samples.is_finite() && k > 0.0, "a threshold for {samples} samples at {k}");
    let (mut low, mut high) = (0.0, 1.0);
    while run_length(0.0, k, high) < samples {
        high *= 2.0;
    }
    // 60 halvings reach the last bit of any threshold.
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if run_length(0.0, k, middle) < samples {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use rand_distr::{Distribution, StandardNormal};
    use tidegate_core::{Seed, Stream};

    use super::*;

    fn noise(seed: u64) -> impl Iterator<Item = f64> {
        StandardNormal.sample_iter(Seed::training(seed).rng(Stream::Excitation))
    }

    /// Montgomery, Introduction to Statistical Quality Control, 6th ed., §9.1.3: k = ½, h = 5 gives 938.2 one-sided and
    /// 469.1 two-sided in control, 10.34 for a shift of one deviation (the exact values are 465 and 10.4).
    #[test]
    fn run_lengths_are_the_published_ones() {
        assert!((run_length(0.0, 0.5, 5.0) - 938.2).abs() < 0.05);
        assert!((run_length(1.0, 0.5, 5.0) - 10.34).abs() < 0.005);
        assert!((threshold(938.2, 0.5) - 5.0).abs() < 1e-4);
        // Where the drift vanishes, b².
        assert!((run_length(0.5, 0.5, 5.0) - 6.166_f64.powi(2)).abs() < 1e-9);
        assert!((run_length(0.5 + 2e-5, 0.5, 5.0) / run_length(0.5 + 1e-5, 0.5, 5.0) - 1.0).abs() < 1e-4);
    }

    /// √|z| has E = 2^¼ Γ(¾)/√π; Γ(¾) = 1.2254167024651776.
    #[test]
    fn the_root_is_standardised_as_in_theory() {
        let mean = 2_f64.powf(0.25) * 1.225_416_702_465_177_6 / std::f64::consts::PI.sqrt();
        let deviation = ((2.0 / std::f64::consts::PI).sqrt() - mean * mean).sqrt();
        assert!(
            (ROOT_MEAN - mean).abs() < 1e-9 && (ROOT_DEVIATION - deviation).abs() < 1e-9,
            "{mean} {deviation}"
        );
    }

    /// Mean samples to an alarm over so many runs, and how many of them were of each kind.
    fn simulate(runs: u32, shift: f64, between: f64, z: impl Fn(f64) -> f64, seed: u64) -> (f64, [u32; 4]) {
        let mut noise = noise(seed);
        let mut detector = ChangeDetector::new(shift, between).expect("a detector");
        let (mut samples, mut kinds) = (0, [0; 4]);
        for _ in 0..runs {
            detector.reset();
            let (at, kind) = loop {
                let z = z(noise.next().expect("noise has no end"));
                if let Change::Changed { at, kind, .. } = detector.update(z) {
                    break (at, kind);
                }
            };
            samples += at + 1;
            kinds[KINDS.iter().position(|it| *it == kind).expect("one of four")] += 1;
        }
        (samples as f64 / f64::from(runs), kinds)
    }

    /// Run lengths are nearly exponential, so the mean of 2000 has a deviation of 2.2 %; Siegmund's approximation and
    /// the tails of √|z| may cost as much again, and no sum may be silent.
    #[test]
    fn false_alarms_come_as_rarely_as_asked() {
        for (shift, between) in [(1.0, 500.0), (1.0, 2000.0), (0.5, 500.0), (2.0, 1000.0)] {
            let (mean, kinds) = simulate(2000, shift, between, |z| z, 40);
            assert!((mean / between - 1.0).abs() < 0.25, "{mean} instead of {between}: {kinds:?}");
            assert!(kinds.iter().all(|kind| *kind > 150), "{kinds:?}");
        }
    }

    #[test]
    fn changes_are_found_as_fast_as_theory_says_and_called_by_name() {
        let h = ChangeDetector::new(1.0, 2000.0).expect("a detector").threshold();
        let (delay, kinds) = simulate(2000, 1.0, 2000.0, |z| z + 1.0, 41);
        let expected = run_length(1.0, 0.5, h);
        // The variance's sums may be first, so it can only be faster than the mean's alone.
        assert!(delay < 1.05 * expected && delay > 0.8 * expected, "{delay} instead of {expected}");
        assert!(kinds[0] > 1600, "{kinds:?}");
        let (delay, kinds) = simulate(2000, 1.0, 2000.0, |z| z - 1.5, 42);
        assert!(delay < 1.05 * run_length(1.5, 0.5, h) && kinds[1] > 1600, "{delay} {kinds:?}");
        // Twice the deviation moves the mean of w by (√2 − 1) 0.822/0.349 = 0.98.
        let (delay, kinds) = simulate(2000, 1.0, 2000.0, |z| 2.0 * z, 43);
        assert!(delay < 1.1 * run_length(0.98, 0.5, h) && kinds[2] > 1000, "{delay} {kinds:?}");
        let (delay, kinds) = simulate(2000, 1.0, 2000.0, |z| 0.3 * z, 44);
        assert!(delay < 15.0 && kinds[3] == 2000, "{delay} {kinds:?}");
    }

    /// After 300 quiet samples the mean moves: the alarm comes after that, and its start is put near it.
    #[test]
    fn the_start_of_a_change_is_put_near_where_it_was() {
        let mut starts = Vec::new();
        for seed in 100..300 {
            let mut detector = ChangeDetector::new(2.0, 1e5).expect("a detector");
            for (t, z) in noise(seed).take(400).enumerate() {
                detector.update(if t < 300 { z } else { z + 2.0 });
            }
            let Change::Changed { at, since, kind: ChangeKind::MeanUp } = detector.change else { continue };
            if at >= 300 {
                starts.push(since);
            }
        }
        assert!(starts.len() > 185, "{} of 200", starts.len());
        starts.sort_unstable();
        let (early, middle, late) = (starts[10], starts[starts.len() / 2], starts[starts.len() - 10]);
        assert!((299..=301).contains(&middle) && early > 290 && late < 306, "{early} {middle} {late}");
    }

    #[test]
    fn an_alarm_stays_until_the_reset_and_nothing_is_allocated() {
        let counted = allocation_counter::measure(|| {
            let mut detector = ChangeDetector::new(1.0, 100.0).expect("a detector");
            assert_eq!(detector.update(f64::NAN), Change::Quiet);
            let alarm = detector.update(1e3);
            assert_eq!(alarm, Change::Changed { at: 1, since: 0, kind: ChangeKind::MeanUp });
            assert_eq!(detector.update(0.0), alarm);
            assert!(detector.wants_identification());
            detector.reset();
            assert_eq!(detector.update(0.5), Change::Quiet);
        });
        assert_eq!(counted.count_total, 0);
    }

    #[test]
    fn what_cannot_be_built_says_why() {
        let error =
            |shift, between| ChangeDetector::new(shift, between).expect_err("no detector").to_string();
        expect!["`shift` is -1, but must be positive"].assert_eq(&error(-1.0, 100.0));
        expect!["`samples_between_alarms` is 5, but must be above 10"].assert_eq(&error(1.0, 5.0));
    }
}
