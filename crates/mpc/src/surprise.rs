//! A load that the forecast holds for impossible: how far the present is above it.
//!
//! ```text
//! s = 1 + (x / q₅₀ − 1) · min(max((x − q₅₀) / (q₉₅ − q₅₀) − 1, 0), 1)
//! ```
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | x | the mean load of the scrapes of the last forecast step | requests/s |
//! | q₅₀, q₉₅ | median and 95 % level that were forecast for the time of these scrapes, when it was now | requests/s |
//! | s | factor on the loads of the whole horizon | 1 |
//!
//! A forecaster that knows seasons expects a crowd to be over in a minute, and goes on to expect it while the queue
//! grows. Up to the 95 % level the forecast is left alone; at twice that distance from the median and beyond, the present
//! level is taken to stay. Only upwards: who comes back to normal is soon believed, and meanwhile costs a few replicas.

use tidegate_core::{Observation, Quantiles};

/// Forecasts of now that are kept: sensors deliver late.
const SAID_MAX: usize = 16;

/// The scrapes of the last forecast step, and what was forecast for it.
#[derive(Clone, Debug)]
pub(crate) struct Surprise {
    seconds: f64,
    /// When a step was first the step of now, with its median and upper level; the oldest first.
    said: Vec<(f64, [f64; 2])>,
    /// End and load of each, the oldest first.
    scrapes: Vec<(f64, f64)>,
}

impl Surprise {
    pub(crate) fn new(step_seconds: f64, scrape_seconds: f64) -> Self {
        let n = (step_seconds / scrape_seconds).ceil() as usize + 1;
        Self { seconds: step_seconds, said: Vec::with_capacity(SAID_MAX), scrapes: Vec::with_capacity(2 * n) }
    }

    pub(crate) fn clear(&mut self) {
        self.said.clear();
        self.scrapes.clear();
    }

    pub(crate) fn observe(&mut self, observation: &Observation<'_>) {
        for scrape in observation.scrapes {
            if let Some(rate) = scrape.demand_per_second() {
                let since = scrape.at_seconds - self.seconds;
                self.scrapes.retain(|(at, _)| *at > since);
                self.scrapes.push((scrape.at_seconds, rate));
            }
        }
    }

    /// Takes the forecast of the step of now.
    pub(crate) fn say(&mut self, now_seconds: f64, now: &[f64; Quantiles::LEVELS.len()]) {
        if self.said.len() == SAID_MAX {
            self.said.remove(0);
        }
        self.said.push((now_seconds, [now[4], now[7]]));
    }

    /// s, as far as scrapes and forecasts of their time are there.
    pub(crate) fn factor(&self) -> f64 {
        let Some((newest, _)) = self.scrapes.last() else { return 1.0 };
        let middle = newest - 0.5 * self.seconds;
        let said = self.said.iter().rev().find(|(at, _)| *at <= middle);
        let Some((_, [median, high])) = said.filter(|(_, said)| said[0] > 0.0).copied() else { return 1.0 };
        let load = self.scrapes.iter().map(|(_, load)| load).sum::<f64>() / self.scrapes.len() as f64;
        // A forecaster without a spread is surprised by a tenth.
        let spread = (high - median).max(0.1 * median);
        let share = ((load - median) / spread - 1.0).clamp(0.0, 1.0);
        1.0 + (load / median - 1.0) * share
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::{Calendar, Scenario, Scrape, Tick};

    use super::*;

    #[test]
    fn up_to_the_upper_level_nothing_changes_and_at_twice_the_distance_the_present_stays() {
        let calendar: Calendar =
            Scenario::parse(tidegate_core::scenario::EXAMPLE).expect("the example is right").calendar;
        let forecast = [7.0, 8.0, 8.5, 9.0, 10.0, 10.5, 11.5, 12.0, 13.0];
        let factor = |loads: &[f64]| {
            let mut surprise = Surprise::new(60.0, 15.0);
            surprise.say(0.0, &forecast);
            for (index, load) in loads.iter().enumerate() {
                let at_seconds = 15.0 * (index + 1) as f64;
                let scrape = Scrape { at_seconds, requests_per_second: Some(*load), ..Scrape::default() };
                surprise.observe(&Observation {
                    now_seconds: at_seconds,
                    tick: Tick(0),
                    calendar: &calendar,
                    scrapes: &[scrape],
                    external: &[],
                    pools: &[],
                    replicas: &[],
                    notices: &[],
                    carbon_grams_per_kwh: None,
                });
            }
            surprise.factor()
        };
        assert_eq!(factor(&[]), 1.0);
        assert_eq!(factor(&[5.0; 4]), 1.0);
        assert_eq!(factor(&[12.0; 4]), 1.0);
        assert_eq!(factor(&[13.0; 4]), 1.0 + 0.3 * 0.5);
        assert_eq!(factor(&[14.0; 4]), 1.4);
        // One scrape alone speaks of a time before the first forecast.
        assert_eq!(factor(&[30.0]), 1.0);
        // Only the last step's four count.
        assert_eq!(factor(&[500.0, 30.0, 30.0, 30.0, 30.0]), 3.0);
    }
}
