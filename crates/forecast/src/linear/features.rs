//! The features of the linear method: which there are, and what they are at a step.

use std::collections::BTreeMap;

use tidegate_core::SECONDS_PER_DAY;

use crate::history::{History, Moment};

/// Slots of the calendar are no shorter.
const SLOT_SECONDS: f64 = 600.0;

/// Harmonics of the day, and of the weekend's own day.
const HARMONICS: [usize; 2] = [12, 4];

/// Values that are averaged before a step.
const WINDOWS: [usize; 4] = [1, 4, 16, 64];

/// Trend, means of the windows, the value a day before and the mean around it, means of the windows a day before.
pub(super) const DYNAMIC_MAX: usize = 1 + WINDOWS.len() + 2 + WINDOWS.len();

/// Which features there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) day: usize,
    pub(super) slots_a_day: usize,
    /// Steps to either side of the same time a day before that are averaged.
    around: usize,
    pub(super) has_day: bool,
    pub(super) has_week: bool,
    pub(super) has_day_before: bool,
}

/// Features of the calendar, slot by slot of the week.
pub(super) struct Week {
    pub(super) n_features: usize,
    features: Vec<f64>,
}

impl Week {
    pub(super) fn slot(&self, slot: usize) -> &[f64] {
        &self.features[slot * self.n_features..][..self.n_features]
    }
}

impl Shape {
    pub(super) fn of(history: &History, n_steps: usize) -> Self {
        let day = history.steps_a_day();
        // Steps of some hours: a day of them has no shape that harmonics could tell.
        let has_day = day >= 4 && n_steps >= day;
        Self {
            day,
            slots_a_day: (SECONDS_PER_DAY / history.step_seconds().max(SLOT_SECONDS)).round().max(1.0)
                as usize,
            around: (day / 96).min(8),
            has_day,
            has_week: n_steps >= 7 * day,
            has_day_before: has_day && n_steps >= 2 * day + WINDOWS[WINDOWS.len() - 1],
        }
    }

    /// Steps that a row needs before it.
    pub(super) fn lead(&self) -> usize {
        let longest = WINDOWS[WINDOWS.len() - 1].min(self.day.max(4));
        longest + if self.has_day_before { self.day } else { 0 }
    }

    pub(super) fn slot(&self, at: Moment) -> usize {
        let slot = (at.second_of_day / SECONDS_PER_DAY * self.slots_a_day as f64) as usize;
        at.day_of_week as usize * self.slots_a_day + slot.min(self.slots_a_day - 1)
    }

    pub(super) fn calendar(&self) -> Week {
        let harmonics = |n: usize| n.min((self.slots_a_day - 1) / 2);
        let [of_day, of_weekend] = [self.has_day, self.has_day && self.has_week];
        let n_day = if of_day { harmonics(HARMONICS[0]) } else { 0 };
        let n_weekend = if of_weekend { harmonics(HARMONICS[1]) } else { 0 };
        let n_waves = n_day.max(n_weekend);
        let wave = |slot: usize, k: usize| {
            let time = std::f64::consts::TAU * (slot as f64 + 0.5) / self.slots_a_day as f64;
            [(k as f64 * time).cos(), (k as f64 * time).sin()]
        };
        // The same every day.
        let waves: Vec<f64> =
            (0..self.slots_a_day).flat_map(|slot| (1..=n_waves).flat_map(move |k| wave(slot, k))).collect();
        let mut features = Vec::new();
        for day_of_week in 0..7 {
            for slot in 0..self.slots_a_day {
                let waves = &waves[2 * n_waves * slot..][..2 * n_waves];
                features.extend_from_slice(&waves[..2 * n_day]);
                let is_weekend = f64::from(u8::from(day_of_week >= 5));
                features.extend(waves[..2 * n_weekend].iter().map(|value| is_weekend * value));
                if self.has_week {
                    features.extend((0..7).map(|day| f64::from(u8::from(day == day_of_week))));
                }
            }
        }
        Week { n_features: features.len() / (7 * self.slots_a_day), features }
    }

    /// The dynamic features of the step at `at`, but the trend: `sums[i]` is the sum of the i values before place i.
    pub(super) fn dynamic(&self, sums: &[f64], at: usize) -> [f64; DYNAMIC_MAX] {
        let mean = |at: usize, window: usize| (sums[at] - sums[at - window]) / window as f64;
        let longest = self.day.max(4);
        let mut features = [0.0; DYNAMIC_MAX];
        for (index, window) in WINDOWS.into_iter().enumerate() {
            features[1 + index] = mean(at, window.min(longest));
        }
        if self.has_day_before {
            let before = at - self.day;
            features[5] = sums[before + 1] - sums[before];
            // Of a day of four steps the values around it would reach today.
            features[6] = mean(before + 1 + self.around, 1 + 2 * self.around);
            for (index, window) in WINDOWS.into_iter().enumerate() {
                features[7 + index] = mean(before, window.min(longest));
            }
        }
        features
    }
}

impl Shape {
    /// Coefficients of the dynamic features as weights of the sums, so many steps back.
    pub(super) fn taps(&self, dynamic: &[f64]) -> Vec<(usize, f64)> {
        let mut weights = BTreeMap::new();
        let mut mean = |newest: usize, window: usize, by: f64| {
            *weights.entry(newest).or_insert(0.0) += by / window as f64;
            *weights.entry(newest + window).or_insert(0.0) -= by / window as f64;
        };
        let longest = self.day.max(4);
        for (index, window) in WINDOWS.into_iter().enumerate() {
            mean(0, window.min(longest), dynamic[1 + index]);
        }
        if self.has_day_before {
            mean(self.day - 1, 1, dynamic[5]);
            mean(self.day - 1 - self.around, 1 + 2 * self.around, dynamic[6]);
            for (index, window) in WINDOWS.into_iter().enumerate() {
                mean(self.day, window.min(longest), dynamic[7 + index]);
            }
        }
        weights.into_iter().rev().collect()
    }
}
