//! What a record must hold before any method looks at it.

use std::fmt;

use tidegate_core::{Channel, Record};

use crate::FitError;

/// How many channels of a kind a method takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// None at all: a method for a series without inputs.
    None,
    /// Exactly one.
    One,
    /// One or more.
    AtLeastOne,
    /// Any number, also none.
    Any,
}

impl Count {
    /// Whether this many are allowed.
    pub const fn allows(self, found: usize) -> bool {
        match self {
            Self::None => found == 0,
            Self::One => found == 1,
            Self::AtLeastOne => found >= 1,
            Self::Any => true,
        }
    }

    /// As an error says it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::One => "exactly 1",
            Self::AtLeastOne => "at least 1",
            Self::Any => "any number",
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Checks that a record is a record: a positive sample time, as many channels as the method takes, all of one
/// length, without gaps and finite. Whether its channels move is [`excited`]'s business.
///
/// # Errors
/// The first thing found wrong, in that order.
pub fn record(record: &Record, inputs: Count, outputs: Count) -> Result<(), FitError> {
    if !(record.step_seconds.is_finite() && record.step_seconds > 0.0) {
        return Err(FitError::StepSeconds(record.step_seconds));
    }
    for (kind, channels, count) in [("inputs", &record.inputs, inputs), ("outputs", &record.outputs, outputs)]
    {
        if !count.allows(channels.len()) {
            return Err(FitError::Channels { kind, found: channels.len(), allowed: count.text() });
        }
    }
    // The outputs come first: they are what everything else is measured against.
    let mut all = record.outputs.iter().chain(&record.inputs);
    if let Some(first) = all.next()
        && let Some(other) = all.find(|it| it.values.len() != first.values.len())
    {
        return Err(FitError::Lengths {
            channel: other.name.clone(),
            found: other.values.len(),
            other: first.name.clone(),
            expected: first.values.len(),
        });
    }
    record.outputs.iter().chain(&record.inputs).try_for_each(finite)
}

/// Checks that every sample of a channel is a finite number.
///
/// # Errors
/// `Gap` or `NotFinite` with the position.
pub fn finite(channel: &Channel) -> Result<(), FitError> {
    match channel.values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(sample) if channel.values[sample].is_nan() => {
            Err(FitError::Gap { channel: channel.name.clone(), sample })
        }
        Some(sample) => {
            Err(FitError::NotFinite { channel: channel.name.clone(), sample, value: channel.values[sample] })
        }
    }
}

/// Checks that every channel moves: from a constant one nothing can be learnt.
///
/// # Errors
/// `Constant`, for inputs first.
pub fn excited(record: &Record) -> Result<(), FitError> {
    for channel in record.inputs.iter().chain(&record.outputs) {
        if let Some(&value) = channel.values.first()
            && channel.values.iter().all(|it| *it == value)
        {
            return Err(FitError::Constant { channel: channel.name.clone(), value });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn channel(name: &str, values: &[f64]) -> Channel {
        Channel { name: name.into(), unit: "1".into(), values: values.to_vec() }
    }

    fn check(step_seconds: f64, u: &[f64], y: &[f64], expected: &Expect) {
        let it = Record { step_seconds, inputs: vec![channel("u", u)], outputs: vec![channel("y", y)] };
        let result = record(&it, Count::AtLeastOne, Count::One).and_then(|()| excited(&it));
        expected.assert_eq(&result.map_or_else(|error| error.to_string(), |()| "fine".into()));
    }

    #[test]
    fn every_fault_is_named() {
        check(1.0, &[1.0, 2.0], &[3.0, 4.0], &expect!["fine"]);
        check(0.0, &[1.0], &[1.0], &expect!["`step_seconds` must be a positive number, but is 0"]);
        check(1.0, &[1.0, 2.0, 3.0], &[3.0, 4.0], &expect!["`u` has 3 samples, but `y` has 2"]);
        check(
            1.0,
            &[1.0, f64::NAN],
            &[3.0, 4.0],
            &expect!["`u` has a gap at sample 1; fill it or split the record there"],
        );
        check(
            1.0,
            &[1.0, 2.0],
            &[f64::NEG_INFINITY, 4.0],
            &expect!["`y` is -inf at sample 0; every sample must be finite"],
        );
        check(1.0, &[2.0, 2.0], &[3.0, 4.0], &expect!["`u` is constant at 2; excite it or leave it out"]);
    }

    #[test]
    fn the_number_of_channels_is_checked() {
        let it = Record { step_seconds: 1.0, inputs: Vec::new(), outputs: vec![channel("y", &[1.0])] };
        let error = record(&it, Count::AtLeastOne, Count::One).expect_err("there is no input");
        expect!["the record has 0 inputs, but this method takes at least 1"].assert_eq(&error.to_string());
        assert_eq!(record(&it, Count::None, Count::One), Ok(()));
    }
}
