//! Runs of samples, and lines across gaps.

use std::ops::Range;

/// The longest runs of items that are `wanted`.
pub(super) fn runs<T>(items: &[T], wanted: impl Fn(&T) -> bool) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut first = None;
    for (position, item) in items.iter().enumerate() {
        match (wanted(item), first) {
            (true, None) => first = Some(position),
            (false, Some(start)) => {
                runs.push(start..position);
                first = None;
            }
            _ => {}
        }
    }
    runs.extend(first.map(|start| start..items.len()));
    runs
}

/// The values with gaps of at most `samples_max` between two samples filled by the line between those.
pub(super) fn filled(values: &[f64], samples_max: usize) -> Vec<f64> {
    let mut filled = values.to_vec();
    for gap in runs(values, |value| value.is_nan()) {
        if gap.len() > samples_max || gap.start == 0 || gap.end == values.len() {
            continue; // Nothing is known on one side, or too little of what went on between.
        }
        let (before, after) = (values[gap.start - 1], values[gap.end]);
        for sample in gap.clone() {
            let share = (sample + 1 - gap.start) as f64 / (gap.len() + 1) as f64;
            filled[sample] = before + share * (after - before);
        }
    }
    filled
}
