//! Demand as controllers forecast it: scrapes in, steps of equal length to a forecaster, quantiles of the next steps out.
//!
//! **Demand** is what arrived for the first time in each step, as the scrapes say, where the sensor can tell; else all
//! attempts, and then it is inflated by retries. A step without a scrape is a gap. The forecaster may be given a
//! history from before the run. It is refitted after steps 1, 2, 3, … further and further apart, at last once an hour.

use std::num::NonZeroU32;
use std::ops::Range;

use crate::{
    Calendar, ControllerStream, Forecaster, Observation, OperatorFacts, Quantiles, SECONDS_PER_HOUR,
};

/// A forecaster ready to run.
pub type BoxedForecaster = Box<dyn Forecaster + Send>;

/// A forecaster, what it is fed with, and what it said last.
pub struct Demand {
    calendar: Calendar,
    forecaster: BoxedForecaster,
    history: Vec<Option<f64>>,
    steps: Steps,
    quantiles: Quantiles,
}

impl Demand {
    /// The forecaster is made for steps of `step_seconds`, which are whole scrapes ([`whole_scrapes`]); `history` is
    /// demand a second before the run, step by step up to its start. A step without a scrape for `stale_seconds` is a
    /// gap; `ahead_seconds` is the farthest that will be asked for.
    pub fn new(
        forecaster: BoxedForecaster,
        history: Vec<Option<f64>>,
        calendar: Calendar,
        step_seconds: f64,
        stale_seconds: f64,
        ahead_seconds: f64,
    ) -> Self {
        let steps_max = ((ahead_seconds + stale_seconds) / step_seconds) as usize + 4;
        Self {
            calendar,
            forecaster,
            history,
            steps: Steps::new(step_seconds, stale_seconds),
            quantiles: Quantiles { values: Vec::with_capacity(steps_max) },
        }
    }

    /// Forgets the last run; the forecaster sees the history.
    pub fn reset(&mut self, chance: ControllerStream) {
        // The first step of the history begins as long before the run as the history is.
        let before = self.history.len() as f64 * self.steps.step_seconds;
        let calendar = Calendar {
            warm_up_seconds: self.calendar.warm_up_seconds + before.round() as u32,
            ..self.calendar
        };
        self.forecaster.reset(calendar, chance);
        for value in &self.history {
            self.forecaster.observe(*value);
        }
        self.steps.clear();
        if !self.history.is_empty() {
            self.forecaster.refit();
            self.steps.refit_at = self.steps.an_hour();
        }
        self.quantiles.values.clear();
    }

    /// Takes in what became visible since the last call; says whether a step came to its end.
    pub fn feed(&mut self, observation: &Observation<'_>) -> bool {
        let before = self.steps.open;
        self.steps.feed(observation, &mut *self.forecaster);
        self.steps.open > before
    }

    /// Quantiles of the steps from that of `now_seconds` to that of `ahead_seconds` later; none before the first step.
    pub fn forecast(
        &mut self,
        now_seconds: f64,
        ahead_seconds: f64,
    ) -> Option<&[[f64; Quantiles::LEVELS.len()]]> {
        let ahead = self.steps.ahead(now_seconds, ahead_seconds);
        self.forecaster.forecast(NonZeroU32::new(ahead.end)?, &mut self.quantiles);
        self.quantiles.values.get(ahead.start as usize..).filter(|steps| !steps.is_empty())
    }

    /// Number of the step of this moment, from the run's start.
    pub fn step_of(&self, at_seconds: f64) -> u64 {
        (at_seconds / self.steps.step_seconds).max(0.0) as u64
    }

    /// Length of a step.
    pub fn step_seconds(&self) -> f64 {
        self.steps.step_seconds
    }

    /// By which method the forecaster answers now.
    pub fn method(&self) -> &'static str {
        self.forecaster.method()
    }
}

/// A step of whole scrapes that is no shorter than this.
pub fn whole_scrapes(step_seconds: f64, facts: &OperatorFacts) -> f64 {
    (step_seconds / facts.scrape_seconds - 1e-9).ceil().max(1.0) * facts.scrape_seconds
}

/// Scrapes in, steps out.
#[derive(Clone, Debug)]
struct Steps {
    step_seconds: f64,
    stale_seconds: f64,
    /// Number of the step that is being filled, from the run's start.
    open: u64,
    sum: f64,
    weight: f64,
    /// The forecaster is refitted when the open step is this one.
    refit_at: u64,
}

impl Steps {
    fn new(step_seconds: f64, stale_seconds: f64) -> Self {
        Self { step_seconds, stale_seconds, open: 0, sum: 0.0, weight: 0.0, refit_at: 1 }
    }

    fn clear(&mut self) {
        *self = Self::new(self.step_seconds, self.stale_seconds);
    }

    fn feed(&mut self, observation: &Observation<'_>, forecaster: &mut dyn Forecaster) {
        for scrape in observation.scrapes {
            let middle = scrape.at_seconds - 0.5 * scrape.window_seconds;
            let step = (middle / self.step_seconds).max(0.0) as u64;
            while self.open < step {
                self.close(forecaster);
            }
            if let Some(rate) = scrape.demand_per_second().filter(|_| step == self.open) {
                self.sum += rate * scrape.window_seconds;
                self.weight += scrape.window_seconds;
            }
        }
        // Sensors deliver late; what is not there after this long will not come.
        while (self.open + 1) as f64 * self.step_seconds + self.stale_seconds <= observation.now_seconds {
            self.close(forecaster);
        }
    }

    fn close(&mut self, forecaster: &mut dyn Forecaster) {
        forecaster.observe((self.weight > 0.0).then(|| self.sum / self.weight));
        (self.sum, self.weight) = (0.0, 0.0);
        self.open += 1;
        if self.open >= self.refit_at {
            forecaster.refit();
            self.refit_at = self.open + (self.open / 4).clamp(1, self.an_hour());
        }
    }

    fn an_hour(&self) -> u64 {
        ((SECONDS_PER_HOUR / self.step_seconds) as u64).max(1)
    }

    /// The steps from now to so far ahead, counted from the open one: from the first on, up to and without the last.
    fn ahead(&self, now_seconds: f64, lead_seconds: f64) -> Range<u32> {
        let now = (now_seconds / self.step_seconds).max(0.0) as u64;
        let end = ((now_seconds + lead_seconds) / self.step_seconds).max(0.0) as u64;
        let from_open = |step: u64| step.saturating_sub(self.open) as u32;
        from_open(now)..from_open(end) + 1
    }
}

/// A quantile between the fixed levels, in straight lines.
pub fn at_quantile(levels: &[f64; Quantiles::LEVELS.len()], quantile: f64) -> f64 {
    let known = Quantiles::LEVELS;
    let above = known.iter().position(|level| *level >= quantile).unwrap_or(known.len() - 1).max(1);
    let share = (quantile - known[above - 1]) / (known[above] - known[above - 1]);
    levels[above - 1] + share * (levels[above] - levels[above - 1])
}
