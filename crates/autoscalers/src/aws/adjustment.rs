//! What a scaling policy does to the capacity: adjustment types, their rounding, and step adjustments.
//!
//! Source: Amazon EC2 Auto Scaling User Guide, "Step and simple scaling policies". Percentages are written as shares
//! here, as everywhere in this project: 0.1 where AWS has 10.

use serde::{Deserialize, Serialize};
use tidegate_core::Replicas;
use tidegate_core::locate::FieldError;

use crate::rule::wrong;

/// How an adjustment is meant.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum AdjustmentType {
    /// So many more, or fewer.
    ChangeInCapacity,
    /// Exactly so many.
    ExactCapacity,
    /// So large a share more, or less.
    PercentChangeInCapacity,
}

impl AdjustmentType {
    /// The capacity that an adjustment makes of `capacity`; `magnitude_min` is `MinAdjustmentMagnitude`, the least
    /// change of a percentage.
    pub fn apply(self, capacity: Replicas, adjustment: f64, magnitude_min: Replicas) -> Replicas {
        let change = match self {
            Self::ChangeInCapacity => adjustment,
            Self::ExactCapacity => return adjustment as Replicas,
            Self::PercentChangeInCapacity => percent_change(capacity, adjustment, magnitude_min),
        };
        (f64::from(capacity) + change).clamp(0.0, f64::from(Replicas::MAX)) as Replicas
    }

    /// Complains about an adjustment that cannot be meant.
    pub(super) fn check(self, path: &str, adjustment: f64) -> Result<(), FieldError> {
        const SHARE_MAX: f64 = 5.0;
        const COUNT_MAX: f64 = 1e5;
        let (fits, must) = match self {
            Self::ChangeInCapacity => (
                adjustment.fract() == 0.0 && adjustment.abs() <= COUNT_MAX,
                "must be a whole number of replicas, -100000 to 100000",
            ),
            Self::ExactCapacity => (
                adjustment.fract() == 0.0 && (0.0..=COUNT_MAX).contains(&adjustment),
                "must be a whole number of replicas, 0 to 100000",
            ),
            Self::PercentChangeInCapacity => {
                ((-1.0..=SHARE_MAX).contains(&adjustment), "must be a share from -1 to 5 (0.1 is 10 percent)")
            }
        };
        if fits { Ok(()) } else { Err(wrong(path, format!("{must}, but is {adjustment}"))) }
    }
}

/// The change that a share of the capacity makes: toward zero to a whole number, but no less than one unless it is
/// nothing; then no less than the least magnitude.
fn percent_change(capacity: Replicas, share: f64, magnitude_min: Replicas) -> f64 {
    // A tenth of a number is never quite that.
    const ROUNDING: f64 = 1e-9;
    let exact = f64::from(capacity) * share;
    if exact == 0.0 {
        return 0.0;
    }
    let whole = (exact.abs() * (1.0 + ROUNDING) + ROUNDING).floor().max(1.0);
    whole.max(f64::from(magnitude_min)).copysign(exact)
}

/// One step: what is done while the metric lies so far beyond the alarm's threshold.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct StepAdjustment {
    /// Where it begins, relative to the threshold; none: at minus infinity.
    pub lower: Option<f64>,
    /// Where it ends; none: at infinity.
    pub upper: Option<f64>,
    /// What is done, by the policy's adjustment type.
    pub adjustment: f64,
}

/// The step for a metric that lies `beyond` the threshold (negative: below it). Above, a step includes its lower
/// bound and excludes its upper one; below, the other way round.
pub fn step_for(steps: &[StepAdjustment], beyond: f64, is_upper: bool) -> Option<&StepAdjustment> {
    steps.iter().find(|step| {
        let lower = step.lower.unwrap_or(f64::NEG_INFINITY);
        let upper = step.upper.unwrap_or(f64::INFINITY);
        // A metric minus a threshold: 0.7 − 0.5 is a little less than 0.2.
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-9;
        if is_upper {
            (beyond >= lower || near(beyond, lower)) && beyond < upper && !near(beyond, upper)
        } else {
            beyond > lower && !near(beyond, lower) && (beyond <= upper || near(beyond, upper))
        }
    })
}

/// Complains about steps that AWS would refuse: none, gaps, overlaps, bounds that cross, more than one open end, or a
/// side of the threshold without its open end.
///
/// # Errors
/// Names the step, or the list at `path`.
pub fn check_steps(path: &str, steps: &[StepAdjustment]) -> Result<(), FieldError> {
    if steps.is_empty() {
        return Err(wrong(path, "must hold at least one step, but is empty"));
    }
    for (index, step) in steps.iter().enumerate() {
        let at = format!("{path}[{index}]");
        if [step.lower, step.upper].into_iter().flatten().any(|bound| !bound.is_finite()) {
            return Err(wrong(&at, "must have finite bounds; leave one out where the step has no end"));
        }
        match (step.lower, step.upper) {
            (None, None) => return Err(wrong(&at, "must have a `lower` or an `upper`, but has neither")),
            (Some(lower), Some(upper)) if lower >= upper => {
                return Err(wrong(
                    &format!("{at}.lower"),
                    format!("must be below `upper`, which is {upper}, but is {lower}"),
                ));
            }
            _ => {}
        }
    }
    for (open, name) in [
        (steps.iter().filter(|step| step.lower.is_none()).count(), "lower"),
        (steps.iter().filter(|step| step.upper.is_none()).count(), "upper"),
    ] {
        if open > 1 {
            return Err(wrong(
                path,
                format!("must leave out `{name}` in one step at most, but does in {open}"),
            ));
        }
    }
    let mut order: Vec<usize> = (0..steps.len()).collect();
    let begin = |index: usize| steps[index].lower.unwrap_or(f64::NEG_INFINITY);
    order.sort_by(|a, b| begin(*a).total_cmp(&begin(*b)));
    for pair in order.windows(2) {
        let (upper, lower) = (steps[pair[0]].upper.unwrap_or(f64::INFINITY), begin(pair[1]));
        if upper != lower {
            let what = if upper < lower { "leave a gap" } else { "overlap" };
            return Err(wrong(
                path,
                format!(
                    "must be without gaps and overlaps, but steps {} and {} {what} between {} and {}",
                    pair[0],
                    pair[1],
                    upper.min(lower),
                    upper.max(lower)
                ),
            ));
        }
    }
    let sides = [
        (steps.iter().any(|step| step.lower.is_some_and(|lower| lower < 0.0)), "lower", "a negative `lower`"),
        (steps.iter().any(|step| step.upper.is_some_and(|upper| upper > 0.0)), "upper", "a positive `upper`"),
    ];
    for (is_needed, name, because) in sides {
        let is_there =
            steps.iter().any(|step| if name == "lower" { step.lower } else { step.upper }.is_none());
        if is_needed && !is_there {
            return Err(wrong(path, format!("must leave out `{name}` in one step, since one has {because}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::AdjustmentType::*;
    use super::*;

    #[test]
    fn percentages_round_as_documented() {
        // Against 100 instances the change is the documented value itself.
        for (exact, rounded) in
            [(12.7, 12.0), (0.67, 1.0), (-0.58, -1.0), (-6.67, -6.0), (1.0, 1.0), (0.0, 0.0)]
        {
            assert_eq!(percent_change(100, exact / 100.0, 0), rounded, "{exact}");
        }
        // What binary fractions make of tenths.
        assert_eq!(percent_change(100, 0.29, 0), 29.0);
        assert_eq!(percent_change(30, 0.1, 0), 3.0);
    }

    #[test]
    fn the_documented_examples_of_each_type() {
        assert_eq!(ChangeInCapacity.apply(3, 5.0, 0), 8);
        assert_eq!(ExactCapacity.apply(3, 5.0, 0), 5);
        assert_eq!(PercentChangeInCapacity.apply(10, 0.1, 0), 11);
        // 25 % of 4 is 1, but the least is 2.
        assert_eq!(PercentChangeInCapacity.apply(4, 0.25, 2), 6);
        assert_eq!(PercentChangeInCapacity.apply(4, -0.25, 2), 2);
        assert_eq!(PercentChangeInCapacity.apply(4, 0.0, 2), 4);
        assert_eq!(ChangeInCapacity.apply(3, -5.0, 0), 0);
        assert_eq!(PercentChangeInCapacity.apply(0, 0.5, 2), 0);
    }

    fn step(lower: Option<f64>, upper: Option<f64>, adjustment: f64) -> StepAdjustment {
        StepAdjustment { lower, upper, adjustment }
    }

    /// The two tables of the documentation: threshold 50, out +10 % from 60 and +30 % from 70, in −10 % to 40 and
    /// −30 % to 30.
    #[test]
    fn bounds_belong_to_the_step_that_lies_farther_out() {
        let out =
            [step(Some(0.0), Some(0.1), 0.0), step(Some(0.1), Some(0.2), 0.1), step(Some(0.2), None, 0.3)];
        let at = |metric: f64| step_for(&out, metric - 0.5, true).map(|step| step.adjustment);
        assert_eq!([0.5, 0.59, 0.6, 0.69, 0.7, 0.99].map(at), [0.0, 0.0, 0.1, 0.1, 0.3, 0.3].map(Some));
        let inward = [
            step(Some(-0.1), Some(0.0), 0.0),
            step(Some(-0.2), Some(-0.1), -0.1),
            step(None, Some(-0.2), -0.3),
        ];
        let at = |metric: f64| step_for(&inward, metric - 0.5, false).map(|step| step.adjustment);
        assert_eq!([0.5, 0.41, 0.4, 0.31, 0.3, 0.0].map(at), [0.0, 0.0, -0.1, -0.1, -0.3, -0.3].map(Some));
        assert_eq!(step_for(&out, -0.1, true), None);
        check_steps("steps", &out).expect("the documentation is right");
        check_steps("steps", &inward).expect("the documentation is right");
    }

    #[test]
    fn steps_that_aws_would_refuse_are_refused() {
        let complain = |steps: &[StepAdjustment], expected: &Expect| {
            expected.assert_eq(&check_steps("steps", steps).expect_err("they are wrong").to_string());
        };
        complain(&[], &expect!["`steps` must hold at least one step, but is empty"]);
        complain(
            &[step(None, None, 1.0)],
            &expect!["`steps[0]` must have a `lower` or an `upper`, but has neither"],
        );
        complain(
            &[step(Some(2.0), Some(1.0), 1.0)],
            &expect!["`steps[0].lower` must be below `upper`, which is 1, but is 2"],
        );
        complain(
            &[step(Some(0.0), Some(1.0), 1.0), step(Some(2.0), None, 2.0)],
            &expect![
                "`steps` must be without gaps and overlaps, but steps 0 and 1 leave a gap between 1 and 2"
            ],
        );
        complain(
            &[step(Some(0.0), Some(3.0), 1.0), step(Some(2.0), None, 2.0)],
            &expect!["`steps` must be without gaps and overlaps, but steps 0 and 1 overlap between 2 and 3"],
        );
        complain(
            &[step(Some(0.0), None, 1.0), step(Some(2.0), None, 2.0)],
            &expect!["`steps` must leave out `upper` in one step at most, but does in 2"],
        );
        complain(
            &[step(Some(0.0), Some(1.0), 1.0)],
            &expect!["`steps` must leave out `upper` in one step, since one has a positive `upper`"],
        );
        complain(
            &[step(Some(-1.0), Some(0.0), 1.0)],
            &expect!["`steps` must leave out `lower` in one step, since one has a negative `lower`"],
        );
        complain(
            &[step(Some(f64::NAN), None, 1.0)],
            &expect!["`steps[0]` must have finite bounds; leave one out where the step has no end"],
        );
    }

    #[test]
    fn adjustments_that_cannot_be_meant_are_refused() {
        let complain = |kind: AdjustmentType, adjustment, expected: &Expect| {
            expected.assert_eq(&kind.check("adjustment", adjustment).expect_err("it is wrong").to_string());
        };
        complain(
            ChangeInCapacity,
            1.5,
            &expect!["`adjustment` must be a whole number of replicas, -100000 to 100000, but is 1.5"],
        );
        complain(
            ExactCapacity,
            -1.0,
            &expect!["`adjustment` must be a whole number of replicas, 0 to 100000, but is -1"],
        );
        complain(
            PercentChangeInCapacity,
            10.0,
            &expect!["`adjustment` must be a share from -1 to 5 (0.1 is 10 percent), but is 10"],
        );
        complain(
            PercentChangeInCapacity,
            f64::NAN,
            &expect!["`adjustment` must be a share from -1 to 5 (0.1 is 10 percent), but is NaN"],
        );
    }
}
