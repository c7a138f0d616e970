//! Additive Holt–Winters with a damped trend.
//!
//! ŷ(t) = ℓ + φ b + s(t−m), e = y(t) − ŷ(t)
//!
//! ℓ ← ℓ + φ b + α e, b ← φ b + α β* e, s(t) = s(t−m) + γ e
//!
//! ŷ(t+h) = ℓ + (φ + φ² + … + φʰ) b + s(t+h−m k), with the least k for which that is known
//!
//! | symbol | word | bounds |
//! | --- | --- | --- |
//! | α | level | 0 … 1 |
//! | β* | trend, as a share of α | 0 … 1 |
//! | γ | season, as γ* (1 − α) | γ*: 0 … 1 |
//! | φ | damping | 0.8 … 0.995 |
//! | m | the season: a day, or a given number of steps | steps |
//!
//! Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", 2nd edition, sections 7.2 and 7.3, in the error
//! correction form of section 7.5 (ETS(A,Ad,A), with β = αβ*). At the beginning, from the first two seasons: the level is the mean of the
//! first, the trend the difference of the means a step, the season the mean distance from those means. The parameters minimise the sum
//! of squared errors one step ahead: Nelder and Mead's simplex ("A simplex method for function minimization", Computer
//! Journal 7, 1965) within the bounds, from [`STARTS`]. In a gap the error counts as 0. With less than two seasons of
//! history there is no season, and the level begins at the first value without a trend.
//!
//! With 1440 steps a day the season is seen once a day, so γ near 0 keeps the mean of the first days and γ* near 1 follows
//! yesterday; what the trend gains within a step is damped away within an hour. The method is at its best in steps of five minutes to an hour.

use tidegate_core::{SECONDS_PER_DAY, SECONDS_PER_HOUR};

use crate::calibrated::Calibrated;
use crate::history::History;
use crate::point::Point;

/// History that is fitted to. A day more is remembered, so that a fit can be followed from its beginning for so long.
pub const FITTED_SECONDS: f64 = 14.0 * SECONDS_PER_DAY;

/// Values that a fit needs at least.
pub const VALUES_MIN: usize = 12;

/// Where the search begins: α, β*, γ* and φ, each as a share of its bounds.
pub const STARTS: [[f64; 4]; 3] = [[0.3, 0.1, 0.1, 0.75], [0.05, 0.05, 0.3, 0.9], [0.8, 0.02, 0.7, 0.3]];

/// Sums of squares that are taken from each start, at most.
const EVALUATIONS: usize = 150;

/// The simplex stops where its values differ by no more than this share.
const TOLERANCE: f64 = 1e-10;

/// The method.
#[derive(Clone, Debug)]
pub struct HoltWinters {
    season_steps: Option<usize>,
    fit: Option<Fit>,
}

/// How fast each part follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smoothing {
    /// α
    pub level: f64,
    /// β*
    pub trend: f64,
    /// γ
    pub season: f64,
    /// φ
    pub damping: f64,
}

#[derive(Clone, Debug)]
struct Fit {
    smoothing: Smoothing,
    /// The first step that was seen, and what was known before it.
    from: u64,
    start: State,
    /// The end of the fit, and what was known then.
    until: u64,
    end: State,
}

#[derive(Clone, Debug, PartialEq)]
struct State {
    level: f64,
    trend: f64,
    /// Empty without a season; `place` is that of the coming step.
    season: Vec<f64>,
    place: usize,
}

impl Default for HoltWinters {
    fn default() -> Self {
        Self::day()
    }
}

impl HoltWinters {
    /// The season is a day; where a step is longer than a third of a day there is none.
    pub const fn day() -> Self {
        Self { season_steps: None, fit: None }
    }

    /// The season is so many steps; below 2 there is none.
    pub const fn season(steps: usize) -> Self {
        Self { season_steps: Some(steps), fit: None }
    }

    /// A forecaster by this method with the season of a day, for steps of this length.
    ///
    /// # Panics
    /// If that is no positive number.
    pub fn forecaster(step_seconds: f64) -> Calibrated<Self> {
        Calibrated::new(step_seconds, Self::day())
    }

    /// The parameters that were fitted.
    pub fn smoothing(&self) -> Option<Smoothing> {
        self.fit.as_ref().map(|fit| fit.smoothing)
    }
}

impl Point for HoltWinters {
    fn name(&self) -> &'static str {
        match &self.fit {
            None => "",
            Some(fit) if fit.start.season.is_empty() => "Holt, damped",
            Some(_) => "Holt–Winters, damped",
        }
    }

    fn remembered_seconds(&self) -> f64 {
        FITTED_SECONDS + SECONDS_PER_DAY
    }

    fn refit_seconds(&self) -> f64 {
        SECONDS_PER_HOUR
    }

    fn reset(&mut self, _: u64) {
        self.fit = None;
    }

    fn fit(&mut self, history: &History, end: u64) {
        self.fit = None;
        let from = history.recent(end, FITTED_SECONDS);
        if end < from + VALUES_MIN as u64 {
            return;
        }
        let day = history.steps_a_day();
        let season_steps = self.season_steps.unwrap_or(if day >= 3 { day } else { 0 });
        let values: Vec<f64> = (from..end).map(|step| history.get(step).unwrap_or(f64::NAN)).collect();
        let start = State::start(&history.filled(from, end), season_steps);
        let smoothing = search(&values, &start);
        let mut end_state = start.clone();
        end_state.follow(&smoothing, &values);
        self.fit = Some(Fit { smoothing, from, start, until: end, end: end_state });
    }

    fn earliest_origin(&self, history: &History) -> u64 {
        let first = history.first_seen();
        // What was known before the fit's own first step is not known of one that the history has forgotten since.
        self.fit
            .as_ref()
            .map_or(first, |fit| if first <= fit.from { fit.from + 1 } else { fit.until.max(first) })
    }

    fn forecast(
        &self,
        history: &History,
        origins: &[u64],
        aheads: &[u32],
        each: &mut dyn FnMut(usize, &[f64]),
    ) {
        let (Some(fit), Some(first)) = (&self.fit, origins.first()) else { return };
        let (mut step, mut state) =
            if *first >= fit.until { (fit.until, fit.end.clone()) } else { (fit.from, fit.start.clone()) };
        let mut wanted = Vec::with_capacity(aheads.len());
        for (index, origin) in origins.iter().enumerate() {
            while step < *origin {
                state.see(&fit.smoothing, history.get(step).unwrap_or(f64::NAN));
                step += 1;
            }
            wanted.clear();
            wanted.extend(aheads.iter().map(|ahead| state.ahead(fit.smoothing.damping, *ahead).max(0.0)));
            each(index, &wanted);
        }
    }
}

impl State {
    fn start(values: &[f64], season_steps: usize) -> Self {
        if season_steps < 2 || values.len() < 2 * season_steps {
            return Self { level: values[0], trend: 0.0, season: Vec::new(), place: 0 };
        }
        let (first, second) = (&values[..season_steps], &values[season_steps..2 * season_steps]);
        let mean = |values: &[f64]| values.iter().sum::<f64>() / season_steps as f64;
        let (level, next) = (mean(first), mean(second));
        let about = |(a, b): (&f64, &f64)| f64::midpoint(a - level, b - next);
        let season = first.iter().zip(second).map(about).collect();
        Self { level, trend: (next - level) / season_steps as f64, season, place: 0 }
    }

    /// One step; returns its error, 0 for a gap.
    fn see(&mut self, smoothing: &Smoothing, value: f64) -> f64 {
        let coming = self.level + smoothing.damping * self.trend;
        let season = self.season.get(self.place).copied().unwrap_or(0.0);
        let error = if value.is_nan() { 0.0 } else { value - coming - season };
        self.level = coming + smoothing.level * error;
        self.trend = smoothing.damping * self.trend + smoothing.level * smoothing.trend * error;
        if let Some(season) = self.season.get_mut(self.place) {
            *season += smoothing.season * error;
            self.place = if self.place + 1 == self.season.len() { 0 } else { self.place + 1 };
        }
        error
    }

    /// All values; returns the sum of squared errors.
    fn follow(&mut self, smoothing: &Smoothing, values: &[f64]) -> f64 {
        let mut sum = 0.0;
        for value in values {
            let error = self.see(smoothing, *value);
            sum += error * error;
        }
        sum
    }

    fn ahead(&self, damping: f64, ahead: u32) -> f64 {
        let gain = damping * (1.0 - damping.powi(ahead.cast_signed())) / (1.0 - damping);
        let season = if self.season.is_empty() {
            0.0
        } else {
            self.season[(self.place + ahead as usize - 1) % self.season.len()]
        };
        self.level + gain * self.trend + season
    }
}

impl Smoothing {
    /// From shares of the bounds, cut to 0 … 1.
    fn at(shares: [f64; 4]) -> Self {
        let [level, trend, season, damping] = shares.map(|share| share.clamp(0.0, 1.0));
        Self { level, trend, season: season * (1.0 - level), damping: 0.8 + 0.195 * damping }
    }
}

/// The parameters of the least sum of squared errors.
fn search(values: &[f64], start: &State) -> Smoothing {
    let mut state = start.clone();
    let mut sum = |shares: [f64; 4]| {
        state.clone_from(start);
        state.follow(&Smoothing::at(shares), values)
    };
    let found = STARTS.map(|start| simplex(start, &mut sum));
    let best = found.into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).expect("there are starts");
    Smoothing::at(best.0)
}

/// Nelder and Mead's search for a minimum, within 0 … 1 in each direction.
fn simplex<const N: usize>(start: [f64; N], value: &mut impl FnMut([f64; N]) -> f64) -> ([f64; N], f64) {
    let mut corners = vec![(start, value(start))];
    for direction in 0..N {
        let mut corner = start;
        corner[direction] += if corner[direction] > 0.5 { -0.2 } else { 0.2 };
        corners.push((corner, value(corner)));
    }
    let mut n_evaluations = N + 1;
    while n_evaluations < EVALUATIONS {
        corners.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (best, worst) = (corners[0].1, corners[N].1);
        if worst - best <= TOLERANCE * best.abs() {
            break;
        }
        let centre: [f64; N] =
            std::array::from_fn(|i| corners[..N].iter().map(|corner| corner.0[i]).sum::<f64>() / N as f64);
        let from_worst = corners[N].0;
        let mut at = |factor: f64| {
            let corner =
                std::array::from_fn(|i| (centre[i] + factor * (centre[i] - from_worst[i])).clamp(0.0, 1.0));
            n_evaluations += 1;
            (corner, value(corner))
        };
        let reflected = at(1.0);
        let replacement = if reflected.1 < best {
            let expanded = at(2.0);
            Some(if expanded.1 < reflected.1 { expanded } else { reflected })
        } else if reflected.1 < corners[N - 1].1 {
            Some(reflected)
        } else {
            let contracted = if reflected.1 < worst { at(0.5) } else { at(-0.5) };
            (contracted.1 < worst.min(reflected.1)).then_some(contracted)
        };
        if let Some(replacement) = replacement {
            corners[N] = replacement;
        } else {
            let towards = corners[0].0;
            for corner in &mut corners[1..] {
                corner.0 = std::array::from_fn(|i| f64::midpoint(corner.0[i], towards[i]));
                corner.1 = value(corner.0);
            }
            n_evaluations += N;
        }
    }
    corners.into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).expect("it has corners")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Australian quarterly visitor nights, 1999 to 2015 (`austourists` of R's `fpp2`).
    const TOURISTS: [f64; 68] = [
        30.05251, 19.14850, 25.31769, 27.59144, 32.07646, 23.48796, 28.47594, 35.12375, 36.83848, 25.00702,
        30.72223, 28.69376, 36.64099, 23.82461, 29.31168, 31.77031, 35.17788, 19.77524, 29.60175, 34.53884,
        41.27360, 26.65586, 28.27986, 35.19115, 42.20566, 24.64917, 32.66734, 37.25735, 45.24246, 29.35048,
        36.34421, 41.78208, 49.27660, 31.27540, 37.85063, 38.83704, 51.23690, 31.83855, 41.32342, 42.79900,
        55.70836, 33.40714, 42.31664, 45.15712, 59.57608, 34.83733, 44.84168, 46.97125, 60.01903, 38.37118,
        46.97586, 50.73380, 61.64687, 39.29957, 52.67121, 54.33232, 66.83436, 40.87119, 51.82854, 57.49191,
        65.25147, 43.06121, 54.76076, 59.83447, 73.25703, 47.69662, 61.09777, 66.05576,
    ];

    fn forecasts(state: &State, damping: f64, n: u32) -> Vec<f64> {
        (1..=n).map(|ahead| state.ahead(damping, ahead)).collect()
    }

    fn close(found: &[f64], published: &[f64], max_relative: f64) {
        assert_eq!(found.len(), published.len());
        for (found, published) in found.iter().zip(published) {
            approx::assert_relative_eq!(found, published, max_relative = max_relative);
        }
    }

    /// statsmodels 0.15.0, `ETSModel(error="add", trend="add", damped_trend=True, seasonal="add")` with the initial values
    /// of [`State::start`] given as known, and these parameters. (Its `ExponentialSmoothing` has the same sum of squares,
    /// but forecasts the last season of the cycle without its last correction.)
    #[test]
    fn with_given_parameters_it_agrees_with_statsmodels() {
        let mut state = State::start(&TOURISTS, 4);
        close(&[state.level, state.trend], &[25.527_535, 1.065_873_125], 1e-9);
        let smoothing = Smoothing { level: 0.3, trend: 0.1, season: 0.2, damping: 0.95 };
        let sum = state.follow(&smoothing, &TOURISTS);
        close(&[sum], &[480.659_902_818_663_57], 1e-12);
        let published = [
            74.539_635_428_259_2,
            51.727_141_183_496_3,
            62.870_638_320_526_2,
            66.656_942_214_323_73,
            76.646_517_400_839_29,
            53.728_679_057_447_38,
        ];
        close(&forecasts(&state, 0.95, 6), &published, 1e-12);
    }

    /// The parameters that statsmodels' own search finds (`ExponentialSmoothing`, SLSQP, the same bounds), and those of L-BFGS-B
    /// from sixty starts; forecasts by `ETSModel`.
    #[test]
    fn the_search_finds_the_minimum_that_statsmodels_finds() {
        let start = State::start(&TOURISTS, 4);
        let smoothing = search(&TOURISTS, &start);
        let mut state = start;
        let sum = state.follow(&smoothing, &TOURISTS);
        assert!(sum <= 379.727_972 * (1.0 + 1e-5), "{sum}");
        let found = [smoothing.level, smoothing.trend, smoothing.season, smoothing.damping];
        close(&found, &[0.364_379, 0.071_563, 0.410_560, 0.994_490], 0.02);
        let published = [76.238_065, 51.756_179, 64.188_332, 68.577_779, 79.126_416, 54.628_614];
        close(&forecasts(&state, smoothing.damping, 6), &published, 2e-3);
    }

    /// Without trend and season it is simple exponential smoothing, whose level is Σ α (1−α)ʲ y(t−j) + (1−α)ⁿ ℓ₀.
    #[test]
    fn without_trend_and_season_the_level_is_the_weighted_sum() {
        let mut state = State::start(&TOURISTS[..7], 4);
        assert!(state.season.is_empty());
        let alpha = 0.3;
        state.follow(&Smoothing { level: alpha, trend: 0.0, season: 0.0, damping: 0.9 }, &TOURISTS[..7]);
        let weighted = |n: i32| {
            let past: f64 =
                (0..n).map(|j| alpha * (1.0 - alpha).powi(j) * TOURISTS[(n - 1 - j) as usize]).sum();
            past + (1.0 - alpha).powi(n) * TOURISTS[0]
        };
        close(&forecasts(&state, 0.9, 2), &[weighted(7), weighted(7)], 1e-12);
    }

    /// A bowl whose lowest point lies inside, on a side, and in a corner.
    #[test]
    fn the_simplex_finds_the_bottom_of_a_bowl() {
        for bottom in [[0.3, 0.6], [0.0, 0.5], [-1.0, 2.0]] {
            let mut bowl = |[x, y]: [f64; 2]| {
                let (dx, dy) = (x - bottom[0], y - bottom[1]);
                dx * dx + 3.0 * dy * dy + dx * dy
            };
            let (_, found) = simplex([0.5, 0.5], &mut bowl);
            // By brute force over a grid.
            let steps = || (0..=1000).map(|step| f64::from(step) / 1000.0);
            let least = steps()
                .flat_map(|x| steps().map(move |y| [x, y]))
                .map(&mut bowl)
                .fold(f64::INFINITY, f64::min);
            assert!(found <= least + 1e-5, "{bottom:?}: {found} above {least}");
        }
    }
}
