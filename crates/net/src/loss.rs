//! Losses that compare each output with a target of its own.

/// A function of the error e = output − target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pointwise {
    /// e², as `torch.nn.MSELoss` (without a half).
    Squared,
    /// e²/2 up to |e| = threshold, and from there on threshold · (|e| − threshold/2) (Huber, Annals of Mathematical
    /// Statistics 35, 1964; as `torch.nn.HuberLoss`).
    Huber {
        /// Where it becomes linear; positive.
        threshold: f32,
    },
}

impl Pointwise {
    /// The loss of one error, and its slope there.
    pub fn of(self, error: f32) -> (f32, f32) {
        match self {
            Self::Squared => (error * error, 2.0 * error),
            Self::Huber { threshold } if error.abs() <= threshold => (0.5 * error * error, error),
            Self::Huber { threshold } => {
                let slope = threshold.copysign(error);
                (threshold * (error.abs() - 0.5 * threshold), slope)
            }
        }
    }

    /// The mean over all outputs, and its gradient by each.
    ///
    /// # Panics
    /// If there are not as many targets as outputs, or none.
    pub fn mean(self, outputs: &[f32], targets: &[f32], by_outputs: &mut [f32]) -> f64 {
        assert_eq!(outputs.len(), targets.len(), "each output has a target");
        assert!(!outputs.is_empty(), "a mean is of something");
        let share = 1.0 / outputs.len() as f32;
        let mut sum = 0.0;
        for ((output, target), by) in outputs.iter().zip(targets).zip(by_outputs) {
            let (loss, slope) = self.of(output - target);
            *by = slope * share;
            sum += f64::from(loss);
        }
        sum / outputs.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values by hand; slopes from the definition.
    #[test]
    fn losses_are_those_of_the_formulas() {
        let huber = Pointwise::Huber { threshold: 2.0 };
        for (loss, error, expected) in [
            (Pointwise::Squared, -3.0, (9.0, -6.0)),
            (huber, 1.0, (0.5, 1.0)),
            (huber, -2.0, (2.0, -2.0)),
            (huber, 5.0, (8.0, 2.0)),
            (huber, -5.0, (8.0, -2.0)),
        ] {
            assert_eq!(loss.of(error), expected, "{loss:?} of {error}");
        }
        let mut by = [0.0; 2];
        assert_eq!(Pointwise::Squared.mean(&[1.0, 5.0], &[2.0, 2.0], &mut by), 5.0);
        assert_eq!(by, [-1.0, 3.0]);
    }

    #[test]
    fn an_output_that_is_no_number_is_seen_in_the_loss() {
        for loss in [Pointwise::Squared, Pointwise::Huber { threshold: 1.0 }] {
            assert!(loss.mean(&[f32::NAN], &[0.0], &mut [0.0]).is_nan());
        }
    }
}
