//! Demand over time: as written, and checked.

use std::sync::Arc;

use serde::Deserialize;

use super::check::{At, Problem, at_least, non_negative, positive};

/// More crowds a day are a level, not crowds; and each costs time to draw.
const CROWDS_PER_DAY_MAX: f64 = 1000.0;

/// Shorter spells are noise within a tick; and each costs time to draw.
const SPELL_SECONDS_MIN: f64 = 0.1;

/// Demand over time, as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum WorkloadConfig {
    /// Always the same.
    Constant {
        /// Users a second.
        requests_per_second: f64,
    },
    /// A daily and weekly profile with day effects and noise.
    Profile(ProfileConfig),
    /// A straight line from one level to another.
    Ramp {
        /// Users a second before.
        from_requests_per_second: f64,
        /// Users a second after.
        to_requests_per_second: f64,
        /// Start, in seconds after the warm-up.
        start_seconds: f64,
        /// Length.
        duration_seconds: f64,
    },
    /// Crowds at random times: a steep rise and a slow decay, added to whatever else there is.
    FlashCrowd(FlashCrowdConfig),
    /// Two levels that take turns at random: a Markov-modulated Poisson process.
    Burst(BurstConfig),
    /// Jobs that arrive in batches at times of the day.
    Batch {
        /// The batches of a day.
        batches: Vec<BatchConfig>,
    },
    /// A recorded trace.
    Trace(TraceConfig),
    /// Another workload, scaled by exactly one of factor, mean or peak.
    Scaled {
        /// What is scaled.
        of: Box<WorkloadConfig>,
        /// By this factor.
        factor: Option<f64>,
        /// To this mean, in users a second.
        mean_requests_per_second: Option<f64>,
        /// To this peak, in users a second.
        peak_requests_per_second: Option<f64>,
    },
    /// Another workload that goes up and down at random.
    Noisy {
        /// What is disturbed.
        of: Box<WorkloadConfig>,
        /// Coefficient of variation of the noise, which has mean 1.
        noise: f64,
        /// Time in which its autocorrelation falls to 1/e, in seconds; default 300.
        #[serde(default = "five_minutes")]
        noise_seconds: f64,
    },
    /// Several workloads together.
    Sum {
        /// What is added.
        of: Vec<WorkloadConfig>,
    },
}

/// A daily and weekly profile.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ProfileConfig {
    /// Users a second, averaged over a week.
    pub mean_requests_per_second: f64,
    /// Relative level at equally spaced times of the day from midnight, straight lines between, around the clock.
    pub daily: Vec<f64>,
    /// Relative level of each weekday from Monday; default all equal.
    #[serde(default = "equal_week")]
    pub weekly: [f64; 7],
    /// Coefficient of variation of a day's level from day to day; default 0.
    #[serde(default)]
    pub day_variation: f64,
    /// Standard deviation of the time by which a day's profile is early or late, in seconds; default 0.
    #[serde(default)]
    pub phase_seconds: f64,
    /// Coefficient of variation of the noise within a day; default 0.
    #[serde(default)]
    pub noise: f64,
    /// Time in which its autocorrelation falls to 1/e, in seconds; default 300.
    #[serde(default = "five_minutes")]
    pub noise_seconds: f64,
}

/// Crowds at random times.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct FlashCrowdConfig {
    /// Expected crowds a day; their number is Poisson.
    pub crowds_per_day: f64,
    /// Median height of a crowd's peak, in users a second.
    pub peak_requests_per_second: f64,
    /// Standard deviation of the logarithm of the height; default 0.3.
    #[serde(default = "three_tenths")]
    pub peak_spread: f64,
    /// From nothing to the peak, in a straight line.
    pub rise_seconds: f64,
    /// Time at the peak; default 0.
    #[serde(default)]
    pub hold_seconds: f64,
    /// Exponential decay after the peak: time to 1/e.
    pub decay_seconds: f64,
    /// Earliest hour of the day; default 0.
    #[serde(default)]
    pub hour_from: f64,
    /// Latest hour of the day; default 24.
    #[serde(default = "day_hours")]
    pub hour_to: f64,
}

/// Two levels that take turns at random.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct BurstConfig {
    /// Users a second in the quiet state.
    pub quiet_requests_per_second: f64,
    /// Users a second in the busy state.
    pub busy_requests_per_second: f64,
    /// Mean length of a quiet spell.
    pub quiet_seconds: f64,
    /// Mean length of a busy spell.
    pub busy_seconds: f64,
}

/// One daily batch.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct BatchConfig {
    /// Hour of the day at which it starts.
    pub hour: f64,
    /// Mean number of jobs.
    pub jobs: f64,
    /// Coefficient of variation of the number; default 0.
    #[serde(default)]
    pub variation: f64,
    /// Time over which they arrive.
    pub spread_seconds: f64,
    /// Standard deviation of the start, in seconds; default 0.
    #[serde(default)]
    pub jitter_seconds: f64,
}

/// A recorded trace in a file.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TraceConfig {
    /// Path of the file, from the scenario's folder.
    pub file: String,
    /// Column of the counts; default: found.
    pub column: Option<String>,
}

/// How users arrive within a tick.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ArrivalsConfig {
    /// Independently of each other.
    Poisson {},
    /// With gamma-distributed spacings (in operational time) of this coefficient of variation.
    Renewal {
        /// Standard deviation over mean of a spacing.
        coefficient_of_variation: f64,
    },
    /// Exactly as the trace says.
    Recorded {},
}

impl Default for ArrivalsConfig {
    fn default() -> Self {
        Self::Poisson {}
    }
}

/// Demand over time, checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Workload {
    /// Always the same, in users a second.
    Constant(f64),
    /// A daily and weekly profile.
    Profile(ProfileConfig),
    /// A straight line from one level to another.
    Ramp {
        /// Users a second before.
        from: f64,
        /// Users a second after.
        to: f64,
        /// Start, in seconds after the warm-up.
        start_seconds: f64,
        /// Length.
        duration_seconds: f64,
    },
    /// Crowds at random times.
    FlashCrowd(FlashCrowdConfig),
    /// Two levels that take turns at random.
    Burst(BurstConfig),
    /// Daily batches.
    Batch(Vec<BatchConfig>),
    /// A recorded trace.
    Recorded(Recorded),
    /// Another workload, scaled.
    Scaled(Box<Workload>, Scale),
    /// Another workload times log-normal noise of mean 1.
    Noisy(Box<Workload>, Noise),
    /// Several together.
    Sum(Vec<Workload>),
}

/// What a workload is scaled to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// By a factor.
    Factor(f64),
    /// To a mean over the run, in users a second.
    Mean(f64),
    /// To a peak over the run's ticks, in users a second.
    Peak(f64),
}

/// How a workload is disturbed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Coefficient of variation.
    pub variation: f64,
    /// Time in which the autocorrelation of its logarithm falls to 1/e.
    pub correlation_seconds: f64,
}

/// What a trace says, on its own grid; shared, not copied, between runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Users a second in each step; a step that was not observed holds the interpolated value.
    pub requests_per_second: Arc<[f64]>,
    /// Length of a step.
    pub step_seconds: f64,
    /// Every single arrival, in seconds from the start of the trace, where the trace has one row a request.
    pub arrivals_seconds: Option<Arc<[f64]>>,
}

/// Turns the name of a trace file into what it says.
pub type ReadTrace<'a> = &'a mut dyn FnMut(&TraceConfig) -> Result<Recorded, String>;

impl Workload {
    pub(super) fn check(config: &WorkloadConfig, at: &At<'_>, read: ReadTrace<'_>) -> Result<Self, Problem> {
        Ok(match config {
            WorkloadConfig::Constant { requests_per_second } => {
                Self::Constant(non_negative(at, "requests_per_second", *requests_per_second)?)
            }
            WorkloadConfig::Profile(profile) => {
                positive(at, "mean_requests_per_second", profile.mean_requests_per_second)?;
                if profile.daily.is_empty() {
                    return Err(at.problem("daily", "must hold at least one level, but is empty"));
                }
                for (index, level) in profile.daily.iter().enumerate() {
                    non_negative(at, &format!("daily[{index}]"), *level)?;
                }
                for (index, level) in profile.weekly.iter().enumerate() {
                    non_negative(at, &format!("weekly[{index}]"), *level)?;
                }
                for (name, levels) in [("daily", &profile.daily[..]), ("weekly", &profile.weekly[..])] {
                    if levels.iter().all(|level| *level == 0.0) {
                        return Err(at.problem(name, "must hold a level above 0, but all are 0"));
                    }
                }
                non_negative(at, "day_variation", profile.day_variation)?;
                non_negative(at, "phase_seconds", profile.phase_seconds)?;
                non_negative(at, "noise", profile.noise)?;
                positive(at, "noise_seconds", profile.noise_seconds)?;
                Self::Profile(profile.clone())
            }
            WorkloadConfig::Ramp {
                from_requests_per_second,
                to_requests_per_second,
                start_seconds,
                duration_seconds,
            } => Self::Ramp {
                from: non_negative(at, "from_requests_per_second", *from_requests_per_second)?,
                to: non_negative(at, "to_requests_per_second", *to_requests_per_second)?,
                start_seconds: non_negative(at, "start_seconds", *start_seconds)?,
                duration_seconds: positive(at, "duration_seconds", *duration_seconds)?,
            },
            WorkloadConfig::FlashCrowd(crowd) => {
                non_negative(at, "crowds_per_day", crowd.crowds_per_day)?;
                if crowd.crowds_per_day > CROWDS_PER_DAY_MAX {
                    let what =
                        format!("must be at most {CROWDS_PER_DAY_MAX}, but is {}", crowd.crowds_per_day);
                    return Err(at.problem("crowds_per_day", &what));
                }
                positive(at, "peak_requests_per_second", crowd.peak_requests_per_second)?;
                non_negative(at, "peak_spread", crowd.peak_spread)?;
                positive(at, "rise_seconds", crowd.rise_seconds)?;
                non_negative(at, "hold_seconds", crowd.hold_seconds)?;
                positive(at, "decay_seconds", crowd.decay_seconds)?;
                hour(at, "hour_from", crowd.hour_from)?;
                hour(at, "hour_to", crowd.hour_to)?;
                at_least(at, "hour_to", crowd.hour_to, crowd.hour_from)?;
                Self::FlashCrowd(*crowd)
            }
            WorkloadConfig::Burst(burst) => {
                non_negative(at, "quiet_requests_per_second", burst.quiet_requests_per_second)?;
                non_negative(at, "busy_requests_per_second", burst.busy_requests_per_second)?;
                at_least(at, "quiet_seconds", burst.quiet_seconds, SPELL_SECONDS_MIN)?;
                at_least(at, "busy_seconds", burst.busy_seconds, SPELL_SECONDS_MIN)?;
                Self::Burst(*burst)
            }
            WorkloadConfig::Batch { batches } => {
                for (index, batch) in batches.iter().enumerate() {
                    let at = at.inside(&format!("batches[{index}]"));
                    hour(&at, "hour", batch.hour)?;
                    positive(&at, "jobs", batch.jobs)?;
                    non_negative(&at, "variation", batch.variation)?;
                    positive(&at, "spread_seconds", batch.spread_seconds)?;
                    non_negative(&at, "jitter_seconds", batch.jitter_seconds)?;
                }
                Self::Batch(batches.clone())
            }
            WorkloadConfig::Trace(trace) => {
                Self::Recorded(read(trace).map_err(|problem| at.problem("file", &problem))?)
            }
            WorkloadConfig::Scaled { of, factor, mean_requests_per_second, peak_requests_per_second } => {
                let of = Self::check(of, &at.inside("of"), read)?;
                let scale = match (factor, mean_requests_per_second, peak_requests_per_second) {
                    (Some(factor), None, None) => Scale::Factor(non_negative(at, "factor", *factor)?),
                    (None, Some(mean), None) => Scale::Mean(positive(at, "mean_requests_per_second", *mean)?),
                    (None, None, Some(peak)) => Scale::Peak(positive(at, "peak_requests_per_second", *peak)?),
                    _ => {
                        return Err(at.problem(
                            "factor",
                            "must be given, or one of `mean_requests_per_second` and `peak_requests_per_second`",
                        ));
                    }
                };
                Self::Scaled(Box::new(of), scale)
            }
            WorkloadConfig::Noisy { of, noise, noise_seconds } => {
                let of = Self::check(of, &at.inside("of"), read)?;
                let noise = Noise {
                    variation: non_negative(at, "noise", *noise)?,
                    correlation_seconds: positive(at, "noise_seconds", *noise_seconds)?,
                };
                Self::Noisy(Box::new(of), noise)
            }
            WorkloadConfig::Sum { of } => Self::Sum(
                of.iter()
                    .enumerate()
                    .map(|(index, part)| Self::check(part, &at.inside(&format!("of[{index}]")), read))
                    .collect::<Result<_, _>>()?,
            ),
        })
    }
}

fn hour(at: &At<'_>, name: &str, value: f64) -> Result<f64, Problem> {
    if (0.0..=24.0).contains(&value) {
        Ok(value)
    } else {
        Err(at.problem(name, &format!("must be an hour from 0 to 24, but is {value}")))
    }
}

fn equal_week() -> [f64; 7] {
    [1.0; 7]
}

fn five_minutes() -> f64 {
    300.0
}

fn three_tenths() -> f64 {
    0.3
}

fn day_hours() -> f64 {
    24.0
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use crate::Scenario;
    use crate::scenario::EXAMPLE;

    fn check(workload: &str, expected: &Expect) {
        let text = EXAMPLE.replace("kind = \"constant\"\nrequests_per_second = 20", workload);
        let error = Scenario::parse(&text).expect_err("the workload is wrong");
        expected.assert_eq(&error.to_string());
    }

    #[test]
    fn wrong_workloads_name_line_field_value_and_bound() {
        let crowd =
            "kind = \"flash_crowd\"\npeak_requests_per_second = 5\nrise_seconds = 60\ndecay_seconds = 600\n";
        check(
            &format!("{crowd}crowds_per_day = 1e9"),
            &expect!["line 16: `workload.crowds_per_day` must be at most 1000, but is 1000000000"],
        );
        check(
            &format!("{crowd}crowds_per_day = 1\nhour_to = 25"),
            &expect!["line 17: `workload.hour_to` must be an hour from 0 to 24, but is 25"],
        );
        check(
            &format!("{crowd}crowds_per_day = 1\nhold_seconds = -1"),
            &expect!["line 17: `workload.hold_seconds` must not be negative and must be finite, but is -1"],
        );
        let burst = "kind = \"burst\"\nquiet_requests_per_second = 1\nbusy_requests_per_second = 5\n";
        check(
            &format!("{burst}quiet_seconds = 60\nbusy_seconds = 0"),
            &expect!["line 16: `workload.busy_seconds` must be at least 0.1, but is 0"],
        );
        let batch = "kind = \"batch\"\nbatches = [{ hour = 6, jobs = 5, spread_seconds = 60 }, ";
        check(
            &format!("{batch}{{ hour = -1, jobs = 5, spread_seconds = 60 }}]"),
            &expect!["line 13: `workload.batches[1].hour` must be an hour from 0 to 24, but is -1"],
        );
        check(
            "kind = \"profile\"\nmean_requests_per_second = 1\ndaily = [0, 0]",
            &expect!["line 14: `workload.daily` must hold a level above 0, but all are 0"],
        );
        check(
            "kind = \"scaled\"\nof = { kind = \"constant\", requests_per_second = 1 }",
            &expect![
                "line 11: `workload.factor` must be given, or one of `mean_requests_per_second` and `peak_requests_per_second`"
            ],
        );
        let noisy = "kind = \"noisy\"\nof = { kind = \"constant\", requests_per_second = 1 }\n";
        check(
            &format!("{noisy}noise = -0.5"),
            &expect!["line 14: `workload.noise` must not be negative and must be finite, but is -0.5"],
        );
        check(
            &format!("{noisy}noise = 0.5\nnoise_seconds = 0"),
            &expect!["line 15: `workload.noise_seconds` must be a positive number, but is 0"],
        );
    }
}
