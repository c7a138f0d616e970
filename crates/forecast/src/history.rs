//! What was seen, step by step, as far back as a method remembers.

use chrono::Offset;
use tidegate_core::Calendar;

/// Above this a value is cut, so that sums and differences stay finite.
const VALUE_MAX: f64 = 1e100;

/// The newest steps; a gap is kept as such. Fixed size.
#[derive(Clone, Debug)]
pub(crate) struct History {
    step_seconds: f64,
    /// A ring: step i is at i modulo its length; NaN is a gap.
    values: Vec<f64>,
    n_steps: u64,
    newest: Option<f64>,
    calendar: Option<Calendar>,
}

impl History {
    /// # Panics
    /// If the step is not a positive number of seconds.
    pub(crate) fn new(step_seconds: f64, remembered_seconds: f64) -> Self {
        assert!(
            step_seconds > 0.0 && step_seconds.is_finite(),
            "a step lasts some seconds, not {step_seconds}"
        );
        let n_remembered = (remembered_seconds / step_seconds).ceil().max(2.0) as usize;
        Self { step_seconds, values: vec![f64::NAN; n_remembered], n_steps: 0, newest: None, calendar: None }
    }

    pub(crate) fn reset(&mut self, calendar: Calendar) {
        (self.n_steps, self.newest, self.calendar) = (0, None, Some(calendar));
    }

    pub(crate) fn push(&mut self, value: Option<f64>) {
        let value = value.filter(|value| value.is_finite()).map(|value| value.clamp(0.0, VALUE_MAX));
        let place = self.place(self.n_steps);
        self.values[place] = value.unwrap_or(f64::NAN);
        self.newest = value.or(self.newest);
        self.n_steps += 1;
    }

    /// Steps seen, gaps included; the next one has this number.
    pub(crate) fn n_steps(&self) -> u64 {
        self.n_steps
    }

    /// The oldest step that is remembered.
    pub(crate) fn first(&self) -> u64 {
        self.n_steps.saturating_sub(self.values.len() as u64)
    }

    /// The value of a step; none if it was a gap, is forgotten, or is still to come.
    pub(crate) fn get(&self, step: u64) -> Option<f64> {
        let is_there = step >= self.first() && step < self.n_steps;
        let value = self.values[self.place(step)];
        (is_there && !value.is_nan()).then_some(value)
    }

    /// The newest value: through a gap the last one before it stays.
    pub(crate) fn newest(&self) -> Option<f64> {
        self.newest
    }

    /// The step at which the clock on the wall shows what it shows at `step`, but `seconds` of it earlier. None before
    /// the first step.
    pub(crate) fn earlier(&self, step: u64, seconds: f64) -> Option<u64> {
        let at = (step as f64 + 0.5) * self.step_seconds;
        let mut back = seconds;
        if let Some(calendar) = &self.calendar {
            let offset = |at: f64| f64::from(calendar.at(at).offset().fix().local_minus_utc());
            back -= offset(at) - offset(at - seconds);
        }
        let back = (back / self.step_seconds).round().max(1.0) as u64;
        step.checked_sub(back)
    }

    pub(crate) fn steps_in(&self, seconds: f64) -> u64 {
        (seconds / self.step_seconds) as u64
    }

    fn place(&self, step: u64) -> usize {
        (step % self.values.len() as u64) as usize
    }
}
