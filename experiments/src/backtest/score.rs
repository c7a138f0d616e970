//! Sums of losses of quantile forecasts, and what is made of them.
//!
//! | what | formula | source |
//! | --- | --- | --- |
//! | scale | Q = mean of abs(y(t) − y(t−m)) over the training part, pairs with a gap left out | Hyndman and Koehler, "Another look at measures of forecast accuracy", International Journal of Forecasting 22, 2006 |
//! | MASE | mean of abs(y − ŷ(½)) / Q | the same |
//! | pinball | mean over levels q and values of max(q (y − ŷ(q)), (q − 1)(y − ŷ(q))) / Q | Koenker and Bassett, "Regression quantiles", Econometrica 46, 1978 |
//! | coverage | share of ŷ(0.05) ≤ y ≤ ŷ(0.95) | |
//! | width | mean of (ŷ(0.95) − ŷ(0.05)) / Q | |
//!
//! m is the season in steps. The scale never sees a value of the test part, and it is one number for all horizons, so that
//! errors of different horizons can be compared; a MASE above 1 far ahead is therefore no disgrace.

use serde::{Deserialize, Serialize};
use tidegate_core::Quantiles;
use tidegate_stats::interval::{Interval, stratified};

use crate::scores::{LEVEL, RESAMPLING};

/// Where in [`Quantiles::LEVELS`] the ends of the 90 % interval are.
const ENDS: (usize, usize) = (1, 7);

/// Where the median is.
const MEDIAN: usize = 4;

/// Resamples of an interval.
const N_DRAWS: usize = 1999;

/// Losses of some forecasts, each already divided by the scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Values that were scored.
    pub n: u32,
    /// Absolute errors of the median.
    pub absolute: f64,
    /// Pinball losses, the mean over the levels.
    pub pinball: f64,
    /// Values inside the 90 % interval.
    pub covered: u32,
    /// Widths of that interval.
    pub width: f64,
}

impl Sums {
    /// Adds a forecast and the value that came.
    pub fn add(&mut self, quantiles: &[f64; Quantiles::LEVELS.len()], value: f64, scale: f64) {
        self.n += 1;
        self.absolute += (value - quantiles[MEDIAN]).abs() / scale;
        self.pinball += pinball(quantiles, value) / scale;
        self.covered += u32::from((quantiles[ENDS.0]..=quantiles[ENDS.1]).contains(&value));
        self.width += (quantiles[ENDS.1] - quantiles[ENDS.0]) / scale;
    }
}

/// The mean over the levels of the pinball loss.
pub fn pinball(quantiles: &[f64; Quantiles::LEVELS.len()], value: f64) -> f64 {
    let losses = Quantiles::LEVELS.iter().zip(quantiles).map(|(level, quantile)| {
        let over = value - quantile;
        (level * over).max((level - 1.0) * over)
    });
    losses.sum::<f64>() / Quantiles::LEVELS.len() as f64
}

/// The mean absolute error of the seasonal naive forecast within `training`, a season of `season` steps. None if there is
/// no pair, or nothing changes.
pub fn scale(training: &[Option<f64>], season: usize) -> Option<f64> {
    let pairs = training.iter().zip(training.get(season..)?);
    let errors: Vec<f64> = pairs.filter_map(|(before, now)| Some(((*now)? - (*before)?).abs())).collect();
    let mean = tidegate_stats::mean(&errors);
    (mean > 0.0).then_some(mean)
}

/// Which mean of [`Sums`] is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// Mean absolute scaled error of the median.
    Mase,
    /// Mean scaled pinball loss.
    Pinball,
    /// Share inside the 90 % interval.
    Coverage,
    /// Mean scaled width of the 90 % interval.
    Width,
}

impl Score {
    /// The sum that its mean is made of.
    pub fn sum(self, sums: &Sums) -> f64 {
        match self {
            Self::Mase => sums.absolute,
            Self::Pinball => sums.pinball,
            Self::Coverage => f64::from(sums.covered),
            Self::Width => sums.width,
        }
    }

    /// Of one block; NaN of nothing.
    pub fn of(self, sums: &Sums) -> f64 {
        self.sum(sums) / f64::from(sums.n)
    }

    /// Over all blocks.
    pub fn mean(self, blocks: &[Sums]) -> f64 {
        ratio(&self.pairs(blocks))
    }

    /// Over all blocks with limits from resampled blocks; none below ten blocks.
    pub fn interval(self, blocks: &[Sums]) -> Option<Interval> {
        ratio_interval(&self.pairs(blocks))
    }

    fn pairs(self, blocks: &[Sums]) -> Vec<(f64, f64)> {
        blocks.iter().map(|sums| (self.sum(sums), f64::from(sums.n))).collect()
    }
}

/// Sum over sum; NaN of nothing.
pub fn ratio(pairs: &[(f64, f64)]) -> f64 {
    let (above, below) = pairs.iter().fold((0.0, 0.0), |(a, b), (above, below)| (a + above, b + below));
    above / below
}

/// Percentile interval of sum over sum, whole pairs resampled: a block has all or nothing of its dependence.
pub fn ratio_interval(pairs: &[(f64, f64)]) -> Option<Interval> {
    let positions: Vec<f64> = (0..pairs.len()).map(|index| index as f64).collect();
    let mut statistic = |groups: &[Vec<f64>]| {
        let chosen: Vec<(f64, f64)> = groups[0].iter().map(|position| pairs[*position as usize]).collect();
        ratio(&chosen)
    };
    stratified(&[&positions], &mut statistic, N_DRAWS, LEVEL, RESAMPLING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_and_the_median_are_where_they_are_said_to_be() {
        let levels = Quantiles::LEVELS;
        assert_eq!((levels[ENDS.0], levels[MEDIAN], levels[ENDS.1]), (0.05, 0.5, 0.95));
    }

    /// Training 2 4 _ 5 6 10 9 with a season of 3: pairs (2, 5), (4, 6), (5, 9) and none with the gap; mean of 3, 2, 4 is 3.
    #[test]
    fn the_scale_is_the_seasonal_naive_of_the_training_part() {
        let training = [Some(2.0), Some(4.0), None, Some(5.0), Some(6.0), Some(10.0), Some(9.0)];
        assert_eq!(scale(&training, 3), Some(3.0));
        assert_eq!(scale(&training, 7), None);
        assert_eq!(scale(&training, 8), None);
        assert_eq!(scale(&[Some(1.0); 9], 1), None);
    }

    /// Quantiles 1 … 9 at the nine levels and the value 6.5: above the first six. Sum of level times distance below it,
    /// 0.01·5.5 + 0.05·4.5 + 0.1·3.5 + 0.25·2.5 + 0.5·1.5 + 0.75·0.5, is 2.38; above it,
    /// 0.1·0.5 + 0.05·1.5 + 0.01·2.5, is 0.15.
    #[test]
    fn losses_agree_with_hand_counts() {
        let quantiles = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
        approx::assert_relative_eq!(pinball(&quantiles, 6.5), 2.53 / 9.0, max_relative = 1e-12);
        let mut sums = Sums::default();
        sums.add(&quantiles, 6.5, 3.0);
        sums.add(&quantiles, 8.0, 3.0);
        sums.add(&quantiles, 1.9, 3.0);
        assert_eq!((sums.n, sums.covered), (3, 2));
        approx::assert_relative_eq!(Score::Mase.of(&sums), (1.5 + 3.0 + 3.1) / 9.0, max_relative = 1e-12);
        approx::assert_relative_eq!(Score::Width.of(&sums), 2.0, max_relative = 1e-12);
        approx::assert_relative_eq!(Score::Coverage.of(&sums), 2.0 / 3.0, max_relative = 1e-12);
    }

    /// The pinball loss is least, in the mean, where the quantile is the quantile.
    #[test]
    fn true_quantiles_have_the_least_pinball_loss() {
        let mean_at = |shift: f64| {
            let quantiles = Quantiles::LEVELS.map(|level| level + shift);
            let values = (0..1000).map(|index| (f64::from(index) + 0.5) / 1000.0);
            values.map(|value| pinball(&quantiles, value)).sum::<f64>()
        };
        assert!(mean_at(0.0) < mean_at(0.02) && mean_at(0.0) < mean_at(-0.02));
    }

    /// A day counts by its values: 1 over 10 values is 0.1 and 9 over 30 is 0.3; together 0.25, not 0.2.
    #[test]
    fn blocks_count_by_their_values() {
        let block = |n: u32, absolute: f64| Sums { n, absolute, ..Sums::default() };
        assert_eq!(Score::Mase.mean(&[block(10, 1.0), block(30, 9.0)]), 0.25);
        assert!(Score::Mase.mean(&[]).is_nan());
        let nine = [block(10, 1.0); 9];
        assert_eq!(Score::Mase.interval(&nine), None);
        let twelve: Vec<Sums> = (0..12).map(|day| block(10, f64::from(day))).collect();
        let interval = Score::Mase.interval(&twelve).expect("twelve days");
        // The standard error of the mean of 0, 0.1, …, 1.1 is 0.1: about two of them on either side.
        approx::assert_relative_eq!(interval.estimate, 0.55, max_relative = 1e-12);
        assert!((0.15..0.25).contains(&(interval.high - interval.estimate)), "{interval:?}");
    }
}
