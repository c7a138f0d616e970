//! Which action values speak for: the greatest, or all by a softmax.

/// The allowed action of the greatest value; of equal ones the first. None if no action is allowed.
pub(crate) fn greedy(values: &[f32], allowed: &[bool]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (action, value) in values.iter().enumerate() {
        if allowed[action] && best.is_none_or(|best| *value > values[best]) {
            best = Some(action);
        }
    }
    best
}

/// τ ln π of every allowed action, π = softmax(values/τ) over those that are allowed:
/// q − max q − τ ln Σ exp((q − max q)/τ). Actions that are not allowed, and all where none is, get 0.
pub(crate) fn scaled_logarithms(values: &[f32], allowed: &[bool], temperature: f32, logarithms: &mut [f32]) {
    logarithms.fill(0.0);
    let Some(best) = greedy(values, allowed) else { return };
    let all = values.iter().zip(allowed).filter(|(_, allowed)| **allowed);
    let sum: f32 = all.map(|(value, _)| ((value - values[best]) / temperature).exp()).sum();
    for ((logarithm, value), allowed) in logarithms.iter_mut().zip(values).zip(allowed) {
        if *allowed {
            *logarithm = value - values[best] - temperature * sum.ln();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_greatest_that_are_allowed() {
        let check = |allowed: [bool; 4], best: Option<usize>| {
            assert_eq!(greedy(&[1.0, 7.0, 3.0, 3.0], &allowed), best, "{allowed:?}");
        };
        check([true; 4], Some(1));
        check([true, false, true, true], Some(2));
        check([false, false, false, true], Some(3));
        check([false; 4], None);
    }

    /// Values 0 and τ ln 3 allowed: probabilities 1/4 and 3/4; the greatest value of all is not.
    #[test]
    fn probabilities_are_shared_by_those_allowed() {
        let temperature = 0.5_f32;
        let values = [0.0, 9.0, temperature * 3.0_f32.ln()];
        let mut logarithms = [9.0; 3];
        scaled_logarithms(&values, &[true, false, true], temperature, &mut logarithms);
        for (logarithm, truth) in logarithms.iter().zip([0.25_f32.ln(), 0.0, 0.75_f32.ln()]) {
            assert!((logarithm - temperature * truth).abs() < 1e-6, "{logarithms:?}");
        }
    }
}
