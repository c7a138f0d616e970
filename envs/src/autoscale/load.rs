//! What can be measured of the demand: its level, where it goes, and how much it jumps.
//!
//! ```text
//! m = mean rate of the last minute, m′ of the minute before it
//! v² = Σ wᵢ ½ (mᵢ − m′ᵢ)² / ((mᵢ + m′ᵢ)/2)² / Σ wᵢ
//! ```
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | m | rate of first attempts, where the sensor can tell them from retries, else of all attempts | 1/s |
//! | v | coefficient of variation of the rate from one minute to the next | 1 |
//! | w | weight of a scrape, falling to 1/e in an hour | 1 |
//!
//! Half the mean square of successive differences is the variance without what changes slowly (von Neumann, "Distribution
//! of the ratio of the mean square successive difference to the variance", Annals of Mathematical Statistics 12, 1941). It is
//! taken relative to the rate, since what makes rates jump mostly grows with them; the noise of counting is in it.

use tidegate_core::{OperatorFacts, Scrape};

/// Scrapes that are kept.
const SCRAPES: usize = 16;
/// Those of them that the trend is fitted to.
const TREND_SCRAPES: usize = 8;
/// The rate of the offered load is a mean over this time, as square-root staffing has it.
const MINUTE: f64 = 60.0;
/// Time constants of the levels that the load is compared with.
const LEVEL_SECONDS: [f64; 2] = [600.0, 3600.0];
/// And of the memory of its jumps.
const VARIATION_SECONDS: f64 = 3600.0;

/// The running estimates.
#[derive(Clone, Debug)]
pub(super) struct Load {
    /// Newest first; before the first scrape that says something, 0.
    rates: [f64; SCRAPES],
    n_scrapes: u32,
    /// Scrapes of a minute.
    minute: usize,
    levels: [f64; 2],
    levels_gain: [f64; 2],
    squared_variation: f64,
    n_variations: u32,
    variation_gain: f64,
}

impl Load {
    pub(super) fn new(facts: &OperatorFacts) -> Self {
        let gain = |seconds: f64| 1.0 - (-facts.scrape_seconds / seconds).exp();
        Self {
            rates: [0.0; SCRAPES],
            n_scrapes: 0,
            minute: ((MINUTE / facts.scrape_seconds).round() as usize).clamp(1, SCRAPES / 2),
            levels: [0.0; 2],
            levels_gain: LEVEL_SECONDS.map(gain),
            squared_variation: 0.0,
            n_variations: 0,
            variation_gain: gain(VARIATION_SECONDS),
        }
    }

    /// Forgets what was measured.
    pub(super) fn clear(&mut self) {
        self.rates = [0.0; SCRAPES];
        self.levels = [0.0; 2];
        (self.n_scrapes, self.n_variations, self.squared_variation) = (0, 0, 0.0);
    }

    /// Takes in one scrape. A gap leaves the last rate standing: trends are of equally spaced values.
    #[inline]
    pub(super) fn scraped(&mut self, scrape: &Scrape) {
        let rate = first_attempts(scrape).unwrap_or(self.rates[0]);
        if self.n_scrapes == 0 {
            self.rates = [rate; SCRAPES];
        }
        self.n_scrapes += 1;
        self.rates.copy_within(..SCRAPES - 1, 1);
        self.rates[0] = rate;
        for (level, gain) in self.levels.iter_mut().zip(self.levels_gain) {
            *level += running(gain, self.n_scrapes) * (rate - *level);
        }
        let (now, before) = (self.per_second(), self.mean(self.minute));
        if self.n_scrapes as usize > 2 * self.minute && now + before > 0.0 {
            self.n_variations += 1;
            let jump = 2.0 * (now - before) / (now + before);
            let gain = running(self.variation_gain, self.n_variations);
            self.squared_variation += gain * (jump * jump / 2.0 - self.squared_variation);
        }
    }

    /// The rate of the last scrape.
    #[inline]
    pub(super) fn newest_per_second(&self) -> f64 {
        self.rates[0]
    }

    /// m, the mean rate of the last minute.
    #[inline]
    pub(super) fn per_second(&self) -> f64 {
        self.mean(0)
    }

    /// Means of the rate whose memory falls to 1/e in ten minutes and in an hour.
    #[inline]
    pub(super) fn levels_per_second(&self) -> [f64; 2] {
        self.levels
    }

    /// Change of the rate from scrape to scrape: the slope of the least-squares line through the last eight.
    #[inline]
    pub(super) fn slope(&self) -> f64 {
        const CENTRE: f64 = (TREND_SCRAPES - 1) as f64 / 2.0;
        // Σ (i − centre)² = n (n² − 1) / 12
        const SPREAD: f64 = (TREND_SCRAPES * (TREND_SCRAPES * TREND_SCRAPES - 1)) as f64 / 12.0;
        let rates = self.rates[..TREND_SCRAPES].iter().enumerate();
        rates.map(|(index, rate)| (CENTRE - index as f64) * rate).sum::<f64>() / SPREAD
    }

    /// v².
    #[inline]
    pub(super) fn squared_variation(&self) -> f64 {
        self.squared_variation
    }

    /// Mean rate of a minute that ended so many scrapes ago.
    #[inline]
    fn mean(&self, ago: usize) -> f64 {
        self.rates[ago..ago + self.minute].iter().sum::<f64>() / self.minute as f64
    }
}

/// First attempts a second where the sensor can tell them from retries, else all attempts.
#[inline]
pub(super) fn first_attempts(scrape: &Scrape) -> Option<f64> {
    scrape.first_attempts_per_second.or(scrape.requests_per_second).map(|rate| rate.max(0.0))
}

/// Gain of a running mean that begins as a plain one.
#[inline]
fn running(gain: f64, n: u32) -> f64 {
    gain.max(1.0 / f64::from(n))
}

#[cfg(test)]
mod tests {
    use tidegate_core::Scenario;
    use tidegate_core::scenario::EXAMPLE;

    use super::*;

    fn load(rates: impl IntoIterator<Item = f64>) -> Load {
        let facts = Scenario::parse(EXAMPLE).expect("the example is right").facts();
        assert_eq!(facts.scrape_seconds, 15.0, "the example scrapes every tick");
        let mut load = Load::new(&facts);
        for rate in rates {
            load.scraped(&Scrape { first_attempts_per_second: Some(rate), ..Scrape::default() });
        }
        load
    }

    #[test]
    fn rates_on_a_line_have_its_mean_and_its_slope() {
        let load = load((0..40).map(|index| 10.0 + 2.0 * f64::from(index)));
        assert_eq!((load.newest_per_second(), load.per_second()), (88.0, 85.0));
        assert!((load.slope() - 2.0).abs() < 1e-12);
    }

    #[test]
    fn levels_forget_as_their_time_says() {
        // An hour at 10, then ten minutes at 20: 1/e of the step is left to go of the quick level.
        let load = load((0..240 + 40).map(|index| if index < 240 { 10.0 } else { 20.0 }));
        let [quick, slow] = load.levels_per_second();
        assert!((quick - (20.0 - 10.0 * (-1.0_f64).exp())).abs() < 1e-9, "{quick}");
        let gain = 1.0 - (-1.0_f64 / 240.0).exp();
        assert!((slow - (20.0 - 10.0 * (1.0 - gain).powi(40))).abs() < 1e-9, "{slow}");
    }

    /// Minutes that are 8 and 12 in turn: the standard deviation is 2, two tenths of the mean; but successive differences
    /// are larger than those of independent minutes, by √2. Between the minutes the windows overlap.
    #[test]
    fn variation_is_that_of_minutes_and_no_trend() {
        let minutes = load((0..4000).map(|index| if index / 4 % 2 == 0 { 8.0 } else { 12.0 }));
        // Windows a scrape apart: differences of 4, 2, 0 and −2.
        let expected = 0.5 * (16.0 + 4.0 + 0.0 + 4.0) / 4.0 / 100.0;
        let is = minutes.squared_variation();
        assert!((is / expected - 1.0).abs() < 0.02, "{is} and {expected}");
        let steady = load((0..400).map(|index| 100.0 + 0.01 * f64::from(index)));
        assert!(steady.squared_variation() < 1e-7, "{}", steady.squared_variation());
        assert_eq!(load([0.0; 50]).squared_variation(), 0.0, "nobody comes");
    }

    #[test]
    fn a_gap_changes_no_rate_and_retries_are_no_demand() {
        let mut load = load([10.0; 20]);
        load.scraped(&Scrape::default());
        load.scraped(&Scrape {
            requests_per_second: Some(99.0),
            first_attempts_per_second: Some(10.0),
            ..Scrape::default()
        });
        assert_eq!((load.per_second(), load.slope(), load.squared_variation()), (10.0, 0.0, 0.0));
    }
}
