//! A forecaster made of a method of point forecasts: quantiles and sample paths from its own errors, and what stands in
//! while there are none.
//!
//! quantile q of step t+h: ŷ(t+h) + σ(ŷ(t+h)) · offset of level q in the bucket of h
//!
//! with errors (y − ŷ) / σ(ŷ). Offsets are those of `conformal.rs` of this crate: adaptive, for each bucket of horizons.
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | ŷ | forecast of the method | that of the values |
//! | σ(ŷ) | 1, √(ŷ + c), ŷ + c, or what the method itself expects where it says ([`Point::forecast_with_spread`]): whichever gives the errors the largest Laplace likelihood | |
//! | c | a tenth of the mean of the history | that of the values |
//!
//! Counts vary more where there are more of them, and an interval of one width for the night and the noon would be
//! right on average only. A method that learns quantiles knows more than that; dividing by its own spread is locally
//! weighted conformal prediction (section 5.2 of Lei et al.).
//!
//! **Errors** are out of sample. The first time, and whenever the history has become twice as long until it fills the
//! memory, the method is fitted to the first two thirds and its errors are those of the last third (split conformal
//! prediction; Lei et al., JASA 113, 2018); then it is fitted to all. At every other refit the forecasts of the fit so far
//! are noted, from all origins since the refit before, and those noted earlier are scored on the values that came; then
//! the fit is renewed (not more often than [`Point::refit_seconds`]). Origins are a quarter of an hour apart at least, and so quantiles
//! adapt once a refit: for coverage to come back within a day of a change, refit more than once a day. Up to a day
//! ahead each bucket has errors of its own; beyond it the offsets of a day grow by the root of the horizon.
//!
//! **Paths.** A past origin is drawn for each of at least [`TEMPLATES_MIN`] templates, and the errors that the present
//! fit makes from there, step by step, are ranked at each step among all templates; rank r of n becomes the quantile at
//! level (r − 1 + u)/n, with one uniform u a path. So each step of the paths has the forecast's own quantiles, and the
//! paths rise and fall together as past errors did, over steps as well as between them: the Schaake shuffle (Clark et
//! al., "The Schaake shuffle", J. Hydrometeorology 5, 2004; as ensemble copula coupling in Schefzik et al., Statistical
//! Science 28, 2013) with forecast errors in place of weather. Where the past is shorter than the horizon, a template's
//! errors begin again.
//!
//! **What stands in.** Until the method can be fitted the answer is that of [`crate::LastValue`], formula, spread and
//! paths; until a bucket has [`ERRORS_MIN`] errors its spread is the last value's about the method's point.
//! [`Forecaster::method`] says which.
//!
//! A value costs one store; a forecast of h steps costs what the method's does and h sorted nines.

use std::num::NonZeroU32;

use rand::{Rng, RngExt};
use tidegate_core::{Calendar, ControllerStream, Forecaster, Paths, Quantiles};

use crate::conformal::{Adaptive, about, quantile};
use crate::errors::not_negative;
use crate::history::History;
use crate::last_value::{ERRORS_MIN, Spread, go_on};
use crate::point::{Guess, Point, guesses, is_due};
use crate::rolling::{Issued, Rolling};

/// Paths whose errors are ranked, at least: a rank among fewer would be coarse.
pub const TEMPLATES_MIN: usize = 64;

/// The least spread that is taken from a method, in c of the module.
const OWN_MIN: f64 = 0.05;

/// See the module.
#[derive(Clone, Debug)]
pub struct Calibrated<P> {
    point: P,
    history: History,
    rolling: Rolling,
    buckets: Vec<Adaptive>,
    scale: Scale,
    issued: Issued,
    /// The end of what the method is fitted to.
    fitted_at: u64,
    /// Once the history has so many steps, all errors are taken anew.
    renewed_at: u64,
    spread: Spread,
    chance: Option<ControllerStream>,
}

impl<P: Point> Calibrated<P> {
    /// Of this method, for steps of this length.
    ///
    /// # Panics
    /// If that is no positive number.
    pub fn new(step_seconds: f64, point: P) -> Self {
        let history = History::new(step_seconds, point.remembered_seconds());
        let rolling = Rolling::new(&history);
        let bucket = Adaptive::new(rolling.stride as f64 * step_seconds);
        Self {
            point,
            buckets: vec![bucket; rolling.aheads.len()],
            rolling,
            history,
            scale: Scale::default(),
            issued: Issued::default(),
            fitted_at: 0,
            renewed_at: 0,
            spread: Spread::new(),
            chance: None,
        }
    }

    /// The method, as it is fitted now.
    pub fn point(&self) -> &P {
        &self.point
    }

    /// What was seen.
    pub fn history(&self) -> &History {
        &self.history
    }

    fn is_fitted(&self) -> bool {
        !self.point.name().is_empty()
    }

    /// Fits to the first two thirds, takes the errors of the last, and fits to all.
    fn renew(&mut self, end: u64) {
        let first = self.history.first_seen();
        let split = first + (end - first) * 2 / 3;
        self.buckets.iter_mut().for_each(Adaptive::clear);
        self.point.fit(&self.history, split);
        if self.is_fitted() {
            let mut pairs = Vec::new();
            self.rolling.over(&self.point, &self.history, split, end, |bucket, guess, value| {
                pairs.push((bucket, guess, value));
            });
            self.scale = Scale::of(&pairs);
            for (bucket, guess, value) in pairs {
                self.buckets[bucket].remember(self.scale.error(guess, value));
            }
            self.renewed_at = end - first + end;
        }
        self.point.fit(&self.history, end);
        self.fitted_at = end;
        self.issued.restart(end);
    }

    /// Scores the fit on what came since the last time, and fits to all.
    fn advance(&mut self, end: u64) {
        let (buckets, scale) = (&mut self.buckets, self.scale);
        let (point, history) = (&self.point, &self.history);
        self.issued.advance(&self.rolling, point, history, end, |bucket, guess, value| {
            buckets[bucket].score(scale.error(guess, value));
        });
        if is_due(&self.point, &self.history, self.fitted_at, end) {
            self.point.fit(&self.history, end);
            self.fitted_at = end;
        }
    }

    fn guesses(&self, horizon: NonZeroU32) -> Vec<Guess> {
        let aheads: Vec<u32> = (1..=horizon.get()).collect();
        let mut all = Vec::new();
        let origin = self.history.n_steps();
        self.point.forecast_with_spread(&self.history, &[origin], &aheads, &mut |_, points, spreads| {
            all.extend(guesses(points, spreads));
        });
        all
    }

    fn quantiles(&self, guess: Guess, ahead: u32) -> [f64; Quantiles::LEVELS.len()] {
        let index = self.rolling.bucket(ahead);
        let (bucket, point) = (&self.buckets[index], not_negative(guess.point));
        if bucket.n_errors() < ERRORS_MIN {
            return self.spread.centred_about(point, ahead);
        }
        let further = (f64::from(ahead) / f64::from(self.rolling.aheads[index])).sqrt().max(1.0);
        about(point, further * self.scale.sigma(Guess { point, ..guess }), bucket.offsets())
    }

    /// Errors of the present fit from past origins, over the horizon; one template after the other.
    fn templates(&self, n_templates: usize, horizon: usize, chance: &mut ControllerStream) -> Vec<f64> {
        let end = self.history.n_steps();
        let first = self.point.earliest_origin(&self.history);
        // At least one value comes after an origin, and half of the past may be an origin where it is short.
        let span = end.saturating_sub(first);
        let n_origins = (span.saturating_sub(horizon as u64)).max(span / 2).max(1);
        let mut origins: Vec<u64> =
            (0..n_templates).map(|_| first + chance.0.random_range(0..n_origins)).collect();
        origins.sort_unstable();
        let aheads: Vec<u32> = (1..=horizon as u32).collect();
        let mut errors = vec![0.0; n_templates * horizon];
        self.point.forecast_with_spread(&self.history, &origins, &aheads, &mut |index, points, spreads| {
            let errors = &mut errors[index * horizon..][..horizon];
            let n_known = ((end - origins[index]) as usize).min(horizon);
            let mut error = 0.0;
            for (ahead, guess) in guesses(points, spreads).enumerate().take(n_known) {
                let value = self.history.get(origins[index] + ahead as u64);
                error = value.map_or(error, |value| self.scale.error(guess, value));
                errors[ahead] = error;
            }
            for ahead in n_known..horizon {
                errors[ahead] = errors[ahead - n_known];
            }
        });
        // Sorted origins would make neighbouring paths alike.
        for left in (1..n_templates).rev() {
            let right = chance.0.random_range(0..=left);
            let (head, tail) = errors.split_at_mut(left * horizon);
            if right < left {
                head[right * horizon..][..horizon].swap_with_slice(&mut tail[..horizon]);
            }
        }
        errors
    }
}

impl<P: Point> Forecaster for Calibrated<P> {
    fn reset(&mut self, start: Calendar, mut chance: ControllerStream) {
        self.history.reset(start);
        self.point.reset(chance.0.next_u64());
        self.buckets.iter_mut().for_each(Adaptive::clear);
        self.scale = Scale::default();
        (self.fitted_at, self.renewed_at) = (0, 0);
        self.issued.restart(0);
        self.spread.clear();
        self.chance = Some(chance);
    }

    fn observe(&mut self, value: Option<f64>) {
        self.history.push(value);
    }

    fn refit(&mut self) {
        self.spread.refit(&self.history);
        if self.history.newest().is_none() || self.chance.is_none() {
            return;
        }
        let end = self.history.n_steps();
        if self.is_fitted() && (end < self.renewed_at || self.history.first() > 0) {
            self.advance(end);
        } else {
            self.renew(end);
        }
        self.buckets.iter_mut().for_each(Adaptive::settle);
    }

    fn forecast(&self, horizon: NonZeroU32, into: &mut Quantiles) {
        into.values.clear();
        let Some(newest) = self.history.newest() else { return };
        if self.is_fitted() {
            let guesses = self.guesses(horizon);
            into.values.extend((1..).zip(guesses).map(|(ahead, guess)| self.quantiles(guess, ahead)));
        } else {
            into.values.extend((1..=horizon.get()).map(|ahead| self.spread.about(newest, ahead)));
        }
    }

    fn paths(&mut self, horizon: NonZeroU32, into: &mut Paths) {
        into.values.clear();
        let Some(newest) = self.history.newest() else { return };
        if !self.is_fitted() {
            for _ in 0..into.n_paths {
                go_on(&self.history, newest, horizon, self.chance.as_mut(), &mut into.values);
            }
            return;
        }
        let mut chance = self.chance.take().expect("what is fitted was reset");
        let n_steps = horizon.get() as usize;
        let n_templates = into.n_paths.max(TEMPLATES_MIN);
        let errors = self.templates(n_templates, n_steps, &mut chance);
        let within: Vec<f64> = (0..into.n_paths).map(|_| chance.0.random()).collect();
        into.values.resize(into.n_paths * n_steps, 0.0);
        let mut order: Vec<usize> = (0..n_templates).collect();
        for (ahead, guess) in self.guesses(horizon).into_iter().enumerate() {
            let levels = self.quantiles(guess, ahead as u32 + 1);
            let error = |path: usize| errors[path * n_steps + ahead];
            order.sort_unstable_by(|a, b| error(*a).total_cmp(&error(*b)).then(a.cmp(b)));
            for (rank, path) in order.iter().enumerate().filter(|(_, path)| **path < within.len()) {
                let level = (rank as f64 + within[*path]) / n_templates as f64;
                into.values[path * n_steps + ahead] = quantile(&levels, level);
            }
        }
        self.chance = Some(chance);
    }

    fn method(&self) -> &'static str {
        match (self.history.newest(), self.point.name()) {
            (None, _) => "nothing seen",
            (Some(_), "") => "last value",
            (Some(_), name) => name,
        }
    }
}

/// How the size of errors goes with the forecast.
#[derive(Clone, Copy, Debug, Default)]
struct Scale {
    growth: Growth,
    /// The c of the module.
    least: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Growth {
    #[default]
    None,
    Root,
    Proportional,
    /// As the method says.
    Own,
}

impl Scale {
    /// The one under which errors are likeliest: for Laplace errors of scale b σ, with the best b, the logarithm of the
    /// likelihood is −log mean(|e|/σ) − mean(log σ), and a constant.
    fn of(pairs: &[(usize, Guess, f64)]) -> Self {
        let mean = |of: &dyn Fn(Guess, f64) -> f64| {
            pairs.iter().map(|(_, guess, value)| of(*guess, *value) / pairs.len() as f64).sum::<f64>()
        };
        let least = 0.1 * mean(&|_, value| value);
        let none = Self { growth: Growth::None, least };
        // Far below any rate there is; the quotients below stay finite.
        if least < 1e-100 {
            return none;
        }
        let unlikely = |scale: &Self| {
            let size = mean(&|guess, value| scale.error(guess, value).abs());
            size.ln() + mean(&|guess, _| scale.sigma(guess).ln())
        };
        let says = pairs.iter().all(|(_, guess, _)| guess.spread.is_some());
        let all = [Growth::None, Growth::Root, Growth::Proportional, Growth::Own];
        let all = all.into_iter().filter(|growth| says || *growth != Growth::Own);
        // Without any error all are likely, and the first one stays.
        all.map(|growth| Self { growth, least })
            .map(|scale| (unlikely(&scale), scale))
            .fold((f64::INFINITY, none), |best, next| if next.0 < best.0 { next } else { best })
            .1
    }

    fn sigma(&self, guess: Guess) -> f64 {
        let level = guess.point.max(0.0) + self.least;
        match self.growth {
            Growth::None => 1.0,
            Growth::Root => level.sqrt(),
            Growth::Proportional => level,
            // A method that is too sure of itself once must not make one error count for all.
            Growth::Own => guess.spread.unwrap_or(level).max(OWN_MIN * self.least),
        }
    }

    fn error(&self, guess: Guess, value: f64) -> f64 {
        let point = not_negative(guess.point);
        (value - point) / self.sigma(Guess { point, ..guess })
    }
}
