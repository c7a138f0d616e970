//! A CloudWatch alarm: so many of the last datapoints on the wrong side of a threshold.
//!
//! A datapoint is the average over one period of the metric, or missing. An alarm looks at the last `n` datapoints
//! (`EvaluationPeriods`) and goes off if `m` of them breach (`DatapointsToAlarm`). Missing data is treated as
//! missing, `CloudWatch`'s default and what the alarms of target tracking have: the alarm looks a little farther back
//! than `n` periods, for existing datapoints; with none at all it has insufficient data. How far is not published;
//! the table of the documentation shows 5 for n = 3, hence [`LOOKBACK_EXTRA`].
//!
//! Source: `CloudWatch` User Guide, "Configuring how alarms treat missing data".

use serde::{Deserialize, Serialize};

/// How many datapoints more than `n` are looked at to make up for missing ones.
pub const LOOKBACK_EXTRA: usize = 2;

/// What an alarm says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmState {
    /// Too few datapoints breach.
    Ok,
    /// Enough do.
    Alarm,
    /// There are none.
    InsufficientData,
}

/// On which side of the threshold a datapoint breaches.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::enum_variant_names)] // CloudWatch's names
pub enum Comparison {
    /// Above.
    GreaterThanThreshold,
    /// Above or on it.
    GreaterThanOrEqualToThreshold,
    /// Below.
    LessThanThreshold,
    /// Below or on it.
    LessThanOrEqualToThreshold,
}

impl Comparison {
    /// Whether this value breaches this threshold.
    pub fn breaches(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::GreaterThanThreshold => value > threshold,
            Self::GreaterThanOrEqualToThreshold => value >= threshold,
            Self::LessThanThreshold => value < threshold,
            Self::LessThanOrEqualToThreshold => value <= threshold,
        }
    }

    /// Whether it breaches above the threshold.
    pub fn is_upper(self) -> bool {
        matches!(self, Self::GreaterThanThreshold | Self::GreaterThanOrEqualToThreshold)
    }
}

/// The state of an alarm of `m` out of `n` whose datapoints, newest first, breach, do not, or are missing. Looks at
/// `n` + [`LOOKBACK_EXTRA`] of them.
///
/// With at least `n` existing datapoints the newest `n` of them decide. With fewer, the alarm goes off if `m` breach,
/// or if the oldest that breaches is at least `m` periods old and nothing newer is in order: the documented guard
/// against going off too early on sparse data.
pub fn evaluate(newest_first: impl IntoIterator<Item = Option<bool>>, m: usize, n: usize) -> AlarmState {
    let (mut existing, mut breaching, mut all_newer_breach) = (0, 0, true);
    let mut is_old_enough = false;
    for (age, breaches) in newest_first.into_iter().take(n + LOOKBACK_EXTRA).enumerate() {
        let Some(breaches) = breaches else { continue };
        if existing < n {
            existing += 1;
            breaching += usize::from(breaches);
        }
        all_newer_breach &= breaches;
        is_old_enough |= breaches && all_newer_breach && age + 1 >= m;
    }
    if existing == 0 {
        AlarmState::InsufficientData
    } else if breaching >= m || (existing < n && is_old_enough) {
        AlarmState::Alarm
    } else {
        AlarmState::Ok
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Oldest first, as the documentation writes it: 0 in order, X breaching, - missing.
    fn check(m: usize, n: usize, rows: &[(&str, AlarmState)]) {
        for (datapoints, expected) in rows {
            let newest_first = datapoints.chars().rev().map(|point| match point {
                'X' => Some(true),
                '0' => Some(false),
                _ => None,
            });
            assert_eq!(evaluate(newest_first, m, n), *expected, "{m} of {n}: {datapoints}");
        }
    }

    use AlarmState::{Alarm, InsufficientData, Ok};

    #[test]
    fn three_of_three_as_the_documentation_has_it() {
        check(
            3,
            3,
            &[
                ("0-X-X", Ok),
                ("----0", Ok),
                ("-----", InsufficientData),
                ("0XX-X", Alarm),
                ("--X--", Alarm),
                // And what follows from the words around the table.
                ("", InsufficientData),
                ("X", Ok),
                ("XX", Ok),
                ("XXX", Alarm),
                ("XXX0", Ok),
                ("0XXX", Alarm),
                ("---X-", Ok),
                ("0-X--", Alarm),
                ("X-0--", Ok),
                // Nothing older than the evaluation range is looked at.
                ("X-----", InsufficientData),
                ("XXX-----", InsufficientData),
            ],
        );
    }

    #[test]
    fn fewer_than_all_may_do() {
        check(2, 3, &[("0-X-X", Alarm), ("00X0X", Alarm), ("00XX0", Alarm), ("0X00X", Ok), ("---X-", Alarm)]);
        check(1, 1, &[("0X", Alarm), ("X0", Ok), ("X--", Alarm), ("X---", InsufficientData)]);
    }

    #[test]
    fn fifteen_of_fifteen_waits_for_a_quarter_of_an_hour() {
        check(15, 15, &[("XXXXXXXXXXXXXX", Ok), ("XXXXXXXXXXXXXXX", Alarm), ("XXXXXXX0XXXXXXX", Ok)]);
    }

    #[test]
    fn the_edges_belong_to_the_side_that_says_equal() {
        use Comparison::*;
        let at = |comparison: Comparison| comparison.breaches(0.5, 0.5);
        assert_eq!(
            [
                GreaterThanThreshold,
                GreaterThanOrEqualToThreshold,
                LessThanThreshold,
                LessThanOrEqualToThreshold
            ]
            .map(at),
            [false, true, false, true]
        );
    }
}
