//! How far ahead a forecast is scored: a number of steps, or a time.

use std::fmt;
use std::str::FromStr;

/// As asked for on the command line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Horizon {
    /// So many steps of the series.
    Steps(u32),
    /// So many seconds.
    Seconds(f64),
}

/// A horizon on the grid of one series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// As written: `1 step`, `15 min`, `4 h`, `1 d`.
    pub label: String,
    /// Steps ahead; 1 is the next one.
    pub steps: u32,
}

/// What may be written, for messages.
const ALLOWED: &str =
    "a whole number of steps from 1 on, or a time of at most 7 days such as 90s, 15m, 4h or 1d";

const SECONDS_MAX: f64 = 7.0 * 86_400.0;

impl FromStr for Horizon {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} must be {ALLOWED}");
        let Some((at, unit)) = text.char_indices().next_back() else { return Err(wrong()) };
        let seconds = match unit {
            's' => 1.0,
            'm' => 60.0,
            'h' => 3600.0,
            'd' => 86_400.0,
            _ => {
                let steps: u32 = text.parse().map_err(|_| wrong())?;
                return if (1..=100_000).contains(&steps) { Ok(Self::Steps(steps)) } else { Err(wrong()) };
            }
        };
        let number: f64 = text[..at].parse().map_err(|_| wrong())?;
        let seconds = number * seconds;
        if seconds > 0.0 && seconds <= SECONDS_MAX { Ok(Self::Seconds(seconds)) } else { Err(wrong()) }
    }
}

/// As it is read.
impl fmt::Display for Horizon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps(steps) => write!(f, "{steps}"),
            Self::Seconds(seconds) => write!(f, "{seconds}s"),
        }
    }
}

impl Horizon {
    /// On a grid: the nearest step; none where the time is shorter than a step.
    pub fn on(self, step_seconds: f64) -> Option<Ahead> {
        match self {
            Self::Steps(1) => Some(Ahead { label: "1 step".into(), steps: 1 }),
            Self::Steps(steps) => Some(Ahead { label: format!("{steps} steps"), steps }),
            Self::Seconds(seconds) => {
                let steps = (seconds / step_seconds).round() as u32;
                (seconds >= step_seconds).then(|| Ahead { label: written(seconds), steps })
            }
        }
    }
}

/// A time in its largest unit.
fn written(seconds: f64) -> String {
    let units = [(86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s")];
    let (unit, name) = units.into_iter().find(|(unit, _)| seconds >= *unit).unwrap_or((1.0, "s"));
    format!("{} {name}", seconds / unit)
}

/// Those that a series allows: rising, each number of steps once, none beyond `steps_max`.
pub fn on_grid(horizons: &[Horizon], step_seconds: f64, steps_max: usize) -> Vec<Ahead> {
    let mut aheads: Vec<Ahead> = horizons.iter().filter_map(|horizon| horizon.on(step_seconds)).collect();
    aheads.retain(|ahead| ahead.steps as usize <= steps_max);
    // The sort keeps the order of the command line among equals: "1 step" stands before "15 min".
    aheads.sort_by_key(|ahead| ahead.steps);
    aheads.dedup_by_key(|ahead| ahead.steps);
    aheads
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn horizons_are_read_as_written() {
        let check = |text: &str, expected: &str| {
            let said = text.parse::<Horizon>().map_or_else(
                |error| error,
                |horizon| horizon.on(60.0).map_or("none".into(), |it| format!("{} = {}", it.label, it.steps)),
            );
            assert_eq!(said, expected);
        };
        check("1", "1 step = 1");
        check("12", "12 steps = 12");
        check("15m", "15 min = 15");
        check("1.5h", "1.5 h = 90");
        check("1d", "1 d = 1440");
        check("30s", "none");
        let again = |text: &str| text.parse::<Horizon>().expect("a horizon").to_string();
        assert_eq!((again("12"), again("1.5h")), ("12".into(), "5400s".into()));
        for wrong in ["", "0", "-1", "h", "8d", "0m", "15 min", "nanh"] {
            check(wrong, &format!("{wrong:?} must be {ALLOWED}"));
        }
    }

    #[test]
    fn a_series_has_each_horizon_once_and_none_that_is_too_long() {
        let all: Vec<Horizon> =
            ["1d", "1", "15m", "1h"].iter().map(|text| text.parse().expect("a horizon")).collect();
        let labels = |step: f64, most: usize| -> Vec<String> {
            on_grid(&all, step, most).into_iter().map(|ahead| ahead.label).collect()
        };
        assert_eq!(labels(60.0, 1440), ["1 step", "15 min", "1 h", "1 d"]);
        assert_eq!(labels(900.0, 95), ["1 step", "1 h"]);
        assert_eq!(labels(3600.0, 1), ["1 step"]);
    }
}
