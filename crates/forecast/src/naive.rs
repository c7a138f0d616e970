//! The naive methods as points: members of an ensemble.
//!
//! As forecasters of their own they are [`crate::LastValue`] and [`crate::SeasonalNaive`], which take their quantiles from errors at one lag.

use tidegate_core::SECONDS_PER_DAY;

use crate::history::History;
use crate::point::Point;
use crate::seasonal_naive::SEASONS_REMEMBERED;

/// What was so long ago comes again; or the last value.
#[derive(Clone, Debug)]
pub struct Naive {
    season_seconds: Option<f64>,
    is_fitted: bool,
}

impl Naive {
    /// The last value goes on.
    pub const fn last_value() -> Self {
        Self { season_seconds: None, is_fitted: false }
    }

    /// Yesterday comes again.
    pub const fn day() -> Self {
        Self { season_seconds: Some(SECONDS_PER_DAY), is_fitted: false }
    }

    /// Last week comes again.
    pub const fn week() -> Self {
        Self { season_seconds: Some(7.0 * SECONDS_PER_DAY), is_fitted: false }
    }
}

impl Point for Naive {
    fn name(&self) -> &'static str {
        match self.season_seconds {
            _ if !self.is_fitted => "",
            None => "last value",
            Some(season) if season > SECONDS_PER_DAY => "seasonal naive, week",
            Some(_) => "seasonal naive, day",
        }
    }

    fn remembered_seconds(&self) -> f64 {
        // The last value needs no more than itself, but errors of a day ahead are to be had over some days.
        SEASONS_REMEMBERED * self.season_seconds.unwrap_or(SECONDS_PER_DAY)
    }

    fn reset(&mut self, _: u64) {
        self.is_fitted = false;
    }

    fn fit(&mut self, history: &History, end: u64) {
        let first = history.first_seen();
        self.is_fitted = match self.season_seconds {
            None => end > first,
            Some(season) => history.earlier(end, season).is_some_and(|step| step >= first),
        };
    }

    fn earliest_origin(&self, history: &History) -> u64 {
        let season = self.season_seconds.map_or(1, |season| history.steps_in(season).max(1));
        history.first_seen() + season
    }

    fn forecast(
        &self,
        history: &History,
        origins: &[u64],
        aheads: &[u32],
        each: &mut dyn FnMut(usize, &[f64]),
    ) {
        let first = history.first_seen();
        let mut wanted = Vec::with_capacity(aheads.len());
        for (index, origin) in origins.iter().enumerate() {
            let last = || (first..*origin).rev().find_map(|step| history.get(step)).unwrap_or(0.0);
            wanted.clear();
            match self.season_seconds {
                None => wanted.resize(aheads.len(), last()),
                Some(season) => {
                    let step = |ahead: u32| origin + u64::from(ahead) - 1;
                    let back =
                        |ahead: u32| history.earlier(step(ahead), season).map(|source| step(ahead) - source);
                    let (nearest, furthest) = (back(aheads[0]), back(aheads[aheads.len() - 1]));
                    // The clock is not set in between: asking the calendar at each step would cost the most of all.
                    let same = nearest.filter(|back| Some(*back) == furthest);
                    wanted.extend(aheads.iter().map(|ahead| {
                        let source = same.and_then(|back| step(*ahead).checked_sub(back));
                        let seen =
                            source.filter(|source| source < origin).and_then(|source| history.get(source));
                        seen.or_else(|| history.repeated(step(*ahead), *origin, season)).unwrap_or_else(last)
                    }));
                }
            }
            each(index, &wanted);
        }
    }
}
