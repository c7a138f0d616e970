//! Learning rates over the steps.

use std::f64::consts::PI;

/// A learning rate for each step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// Always the same.
    Constant(f64),
    /// In a straight line from the first step to the last, and then as at the end.
    Linear {
        /// At step 0.
        from: f64,
        /// At `steps` and later.
        to: f64,
        /// Steps from one to the other.
        steps: u64,
    },
    /// to + (from − to)(1 + cos(π t/steps))/2, and then as at the end (Loshchilov and Hutter, "SGDR", ICLR 2017, eq. 5,
    /// without restarts).
    Cosine {
        /// At step 0.
        from: f64,
        /// At `steps` and later.
        to: f64,
        /// Steps from one to the other.
        steps: u64,
    },
}

impl Schedule {
    /// The rate of a step; the first one is 0.
    pub fn at(self, step: u64) -> f64 {
        let share = |steps: u64| if step >= steps { 1.0 } else { step as f64 / steps as f64 };
        match self {
            Self::Constant(rate) => rate,
            Self::Linear { from, to, steps } => from + (to - from) * share(steps),
            Self::Cosine { from, to, steps } => to + (from - to) * 0.5 * (1.0 + (PI * share(steps)).cos()),
        }
    }
}

impl From<f64> for Schedule {
    fn from(rate: f64) -> Self {
        Self::Constant(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_go_from_one_end_to_the_other_and_stay_there() {
        let linear = Schedule::Linear { from: 1.0, to: 0.2, steps: 4 };
        let cosine = Schedule::Cosine { from: 1.0, to: 0.2, steps: 4 };
        let check = |schedule: Schedule, rates: [f64; 6]| {
            for (step, rate) in rates.into_iter().enumerate() {
                assert!((schedule.at(step as u64) - rate).abs() < 1e-12, "{schedule:?} at {step}");
            }
        };
        check(Schedule::from(0.3), [0.3; 6]);
        check(linear, [1.0, 0.8, 0.6, 0.4, 0.2, 0.2]);
        let eighth = 0.4 * std::f64::consts::FRAC_1_SQRT_2;
        check(cosine, [1.0, 0.6 + eighth, 0.6, 0.6 - eighth, 0.2, 0.2]);
        check(Schedule::Linear { from: 1.0, to: 0.2, steps: 0 }, [0.2; 6]);
    }
}
