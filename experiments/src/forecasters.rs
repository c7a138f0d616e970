//! The forecasters that controllers are given, and what those may know when a run begins: training worlds.
//!
//! A run of one day holds no earlier day, so a seasonal method alone would be the last value all day long. An operator
//! has the days before; here they are training worlds, never evaluation ones:
//!
//! - of a scenario, [`HISTORY_DAYS`] training seeds, each for a whole day, one after the other, on the dates before the
//!   run, so that weekdays fit. What is fed is the users that arrive in each step, without noise and delay of sensors,
//!   by the demand alone: users do not depend on a controller. Days of other seeds have other amplitudes, phases and
//!   noise, as other days have; but today's noise does not go over from yesterday's, and what one seed keeps for all
//!   its days (a scenario without day effects) is not carried over either.
//! - of a trace, its training days on their dates, moved by whole weeks until they end just before the run.
//! - of a trace that is its own training part, or is one part of a scenario, nothing: every world holds the same data.

use std::sync::{Arc, OnceLock};

use chrono::TimeDelta;
use tidegate_autoscalers::demand::{BoxedForecaster, Forecasters};
use tidegate_core::scenario::Workload;
use tidegate_core::{Calendar, SECONDS_PER_DAY, Scenario, Seed, Split};
use tidegate_forecast::{
    BoxedPoint, Ensemble, Forest, Fourier, HoltWinters, LastValue, Linear, MovingWindow, Mstl, Neural,
    SeasonalNaive,
};
use tidegate_workload::Demand;

use crate::scenarios::Study;

/// Training seeds whose days come before a run of a scenario: as many as AWS predictive scaling looks at.
pub const HISTORY_DAYS: u64 = 14;

/// The first of these seeds. Experiments tune on the seeds from 0 on; a day that a controller is tuned on should not be
/// one that its forecaster has seen.
const HISTORY_FROM: u64 = 1000;

/// As controllers ask for them.
pub const NAMES: [&str; 13] = [
    "seasonal_naive_day",
    "seasonal_naive_week",
    "last_value",
    "moving_window",
    "linear",
    "fourier",
    "holt_winters",
    "mstl",
    "forest",
    "neural",
    "ensemble",
    "ensemble_median",
    "scryer",
];

/// Those of [`NAMES`] that combine several of the others.
pub const COMBINED: [&str; 3] = ["ensemble", "ensemble_median", "scryer"];

/// Forecasters that know nothing before the run.
pub fn without_history() -> Forecasters {
    Forecasters { names: &NAMES, make: Arc::new(make), history: Arc::new(|_, _| Vec::new()) }
}

/// Forecasters that have seen the training days of a study.
pub fn of_study(study: &Study) -> Forecasters {
    let history = Arc::new(History::new(study));
    Forecasters {
        history: Arc::new(move |calendar, step_seconds| history.before(calendar, step_seconds)),
        ..without_history()
    }
}

/// What a report says of the history.
pub fn note(study: &Study) -> String {
    let n_days = History::new(study).worlds.len();
    if n_days == 0 {
        return "Forecasters know nothing before the run: there are no training days apart from it.".into();
    }
    format!("Forecasters have seen {n_days} training days before the run, as demand without sensor noise.")
}

fn make(name: &str, step_seconds: f64) -> BoxedForecaster {
    match name {
        "seasonal_naive_day" => Box::new(SeasonalNaive::day(step_seconds)),
        "seasonal_naive_week" => Box::new(SeasonalNaive::week(step_seconds)),
        "last_value" => Box::new(LastValue::new(step_seconds)),
        "moving_window" => Box::new(MovingWindow::new(step_seconds, SECONDS_PER_DAY)),
        "linear" => Box::new(Linear::forecaster(step_seconds)),
        "fourier" => Box::new(Fourier::forecaster(step_seconds)),
        "holt_winters" => Box::new(HoltWinters::forecaster(step_seconds)),
        "mstl" => Box::new(Mstl::forecaster(step_seconds)),
        "forest" => Box::new(Forest::forecaster(step_seconds)),
        "neural" => Box::new(Neural::forecaster(step_seconds)),
        "ensemble" => Box::new(Ensemble::weighted(Ensemble::all_members()).forecaster(step_seconds)),
        "ensemble_median" => Box::new(Ensemble::median(Ensemble::all_members()).forecaster(step_seconds)),
        "scryer" => Box::new(Ensemble::weighted(scryer_members()).forecaster(step_seconds)),
        _ => unreachable!("names are checked when parameters are: {name}"),
    }
}

/// The two predictors that Netflix had in production, and the network that the source document has beside them.
fn scryer_members() -> Vec<BoxedPoint> {
    vec![Box::new(Linear::new()), Box::new(Fourier::new()), Box::new(Neural::default())]
}

/// Days before a run; their demand is drawn when it is first asked for.
struct History {
    /// Each with the day on which it begins, counted from any day of reference.
    worlds: Vec<(Scenario, Seed)>,
    is_trace: bool,
    days: OnceLock<Vec<Day>>,
}

struct Day {
    /// The day on which it begins, counted from the first one.
    index: i64,
    users_per_second: Vec<f64>,
    tick_seconds: f64,
}

impl History {
    fn new(study: &Study) -> Self {
        let is_trace = study.is_trace();
        let wanted = if is_trace { u64::MAX } else { HISTORY_DAYS };
        let n_worlds = study.n_worlds(Split::Training, wanted);
        let from = if is_trace { 0 } else { HISTORY_FROM };
        let worlds = (0..n_worlds).map(|index| {
            let (scenario, seed) = study.world(Split::Training, from + index);
            let mut scenario = Scenario::clone(scenario);
            if !is_trace {
                scenario.calendar.start -= TimeDelta::days((n_worlds - index).cast_signed());
                scenario.horizon_ticks = (SECONDS_PER_DAY / scenario.tick_seconds).round() as u32;
            }
            (scenario, seed)
        });
        let first_run = study.world(Split::Evaluation, 0).0;
        let is_same = |(scenario, _): &(Scenario, Seed)| scenario.calendar.start >= first_run.calendar.start;
        let mut worlds: Vec<_> = worlds.collect();
        if worlds.iter().any(is_same) || (!is_trace && is_recorded(&first_run.workload)) {
            worlds.clear();
        }
        Self { worlds, is_trace, days: OnceLock::new() }
    }

    fn days(&self) -> &[Day] {
        self.days.get_or_init(|| {
            let first = self.worlds.first().map(|(scenario, _)| scenario.calendar.start);
            let day = |(scenario, seed): &(Scenario, Seed)| {
                let mut demand = Demand::new(scenario);
                demand.reset(*seed);
                let counted = demand.counts().iter().skip(scenario.warm_up_ticks as usize);
                Day {
                    index: first.map_or(0, |first| (scenario.calendar.start - first).num_days()),
                    users_per_second: counted
                        .map(|users| f64::from(*users) / scenario.tick_seconds)
                        .collect(),
                    tick_seconds: scenario.tick_seconds,
                }
            };
            self.worlds.iter().map(day).collect()
        })
    }

    /// Mean users a second in each step before the run of this calendar, up to its start.
    fn before(&self, run: &Calendar, step_seconds: f64) -> Vec<Option<f64>> {
        let days = self.days();
        let Some(last) = days.last() else { return Vec::new() };
        // Whole days between the last training day and the run; whole weeks of them are left out.
        let gap = if self.is_trace {
            let last_start = self.worlds.last().expect("a day has a world").0.calendar.start;
            ((run.start - last_start).num_days() - 1).rem_euclid(7)
        } else {
            0
        };
        // Seconds, counted from the counted start of the run.
        let start_of = |day: &Day| (day.index - last.index - 1 - gap) as f64 * SECONDS_PER_DAY;
        let end = -f64::from(run.warm_up_seconds);
        let n_steps = ((end - start_of(&days[0])) / step_seconds).max(0.0) as usize;
        let begin = end - n_steps as f64 * step_seconds;
        let mut sums = vec![(0.0, 0_u32); n_steps];
        for day in days {
            for (tick, users) in day.users_per_second.iter().enumerate() {
                let middle = start_of(day) + (tick as f64 + 0.5) * day.tick_seconds;
                if middle < begin {
                    continue;
                }
                if let Some((sum, n_ticks)) = sums.get_mut(((middle - begin) / step_seconds) as usize) {
                    *sum += users;
                    *n_ticks += 1;
                }
            }
        }
        let mean = |(sum, n_ticks): (f64, u32)| (n_ticks > 0).then(|| sum / f64::from(n_ticks));
        sums.into_iter().map(mean).collect()
    }
}

/// Whether a trace is part of the demand: then it is the same in every world.
pub(crate) fn is_recorded(workload: &Workload) -> bool {
    match workload {
        Workload::Recorded(_) => true,
        Workload::Scaled(of, _) | Workload::Noisy(of, _) => is_recorded(of),
        Workload::Sum(parts) => parts.iter().any(is_recorded),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::{OperatorFacts, Quantiles};

    use super::*;

    /// Every name makes a forecaster that answers, and what controllers have by default is among them.
    #[test]
    fn every_name_is_a_forecaster() {
        let facts: OperatorFacts = crate::scenarios::tests::example().scenario().facts();
        for name in NAMES {
            let mut forecaster = make(name, 60.0);
            forecaster.reset(facts.calendar, Seed::training(0).controller(0));
            forecaster.observe(Some(10.0));
            let mut quantiles = Quantiles::default();
            forecaster.forecast(3.try_into().expect("it is not 0"), &mut quantiles);
            assert_eq!(quantiles.values.len(), 3, "{name}");
        }
        assert!(COMBINED.iter().all(|name| NAMES.contains(name)));
        let catalog = crate::controllers::catalog();
        for kind in ["predictive", "scryer", "reactive_predictive", "aws_predictive"] {
            let built = catalog.build(kind, &toml::Table::new(), &facts);
            assert!(built.is_ok(), "{kind}: {}", built.err().expect("it failed"));
        }
    }

    /// The last step ends where the warm-up begins, and is the users of those ticks in the last training world.
    #[test]
    fn a_scenarios_history_is_its_training_worlds_up_to_the_warm_up() {
        let study = crate::scenarios::tests::example();
        let scenario = study.scenario();
        let history = History::new(&study);
        let steps = history.before(&scenario.calendar, 60.0);
        let warm_up = f64::from(scenario.calendar.warm_up_seconds);
        assert_eq!(steps.len(), ((HISTORY_DAYS as f64 * SECONDS_PER_DAY - warm_up) / 60.0) as usize);
        assert!(steps.iter().all(Option::is_some));
        let (world, seed) = history.worlds.last().expect("there are days");
        assert_eq!(*seed, Seed::training(HISTORY_FROM + HISTORY_DAYS - 1));
        let mut demand = Demand::new(world);
        demand.reset(*seed);
        let ticks = (60.0 / world.tick_seconds) as usize;
        let end = demand.counts().len() - (warm_up / world.tick_seconds) as usize;
        let users: u32 = demand.counts()[end - ticks..end].iter().sum();
        assert_eq!(steps.last().copied().flatten(), Some(f64::from(users) / 60.0));
        assert_eq!(world.calendar.local(0.0), scenario.calendar.local(0.0 - SECONDS_PER_DAY));
    }

    /// Days of a trace with 10 and 20 users a second, and a run some days later.
    fn trace(days_later: i64) -> (Study, Vec<Option<f64>>) {
        let mut scenario = Scenario::clone(crate::scenarios::tests::example().scenario());
        (scenario.horizon_ticks, scenario.warm_up_ticks) = (5760, 80);
        (scenario.tick_seconds, scenario.calendar.warm_up_seconds) = (15.0, 1200);
        let day = |rate: f64, days: i64| {
            let mut scenario = scenario.clone();
            scenario.calendar.start += TimeDelta::days(days);
            scenario.workload = Workload::Recorded(tidegate_core::scenario::Recorded {
                requests_per_second: vec![rate; 5840].into(),
                step_seconds: 15.0,
                arrivals_seconds: None,
            });
            Arc::new(scenario)
        };
        let training = vec![day(10.0, 0), day(20.0, 1)];
        let study =
            Study::of_days("t", "", String::new(), Vec::new(), training, vec![day(900.0, days_later)]);
        let calendar = study.scenario().calendar;
        let steps = History::new(&study).before(&calendar, 60.0);
        (study, steps)
    }

    /// The day after the training part: both days, less the warm-up. Two days after it: a day is missing. A week and
    /// a day after it: as on the day after.
    #[test]
    fn a_traces_history_keeps_its_weekdays() {
        for (days_later, missing) in [(2, 0), (3, 1440), (9, 0), (12, 3 * 1440)] {
            let (study, steps) = trace(days_later);
            assert_eq!(steps.len(), 2 * 1440 - 20 + missing);
            for (day, rate) in [(0, 10.0), (1, 20.0)] {
                let values: Vec<f64> =
                    steps[day * 1440..][..1400].iter().map(|value| value.expect("it was seen")).collect();
                approx::assert_relative_eq!(tidegate_stats::mean(&values), rate, max_relative = 0.01);
            }
            assert!(steps.iter().rev().take(missing.saturating_sub(20)).all(Option::is_none));
            assert!(note(&study).contains("2 training days"));
        }
    }

    /// A trace of one day is its own training part, and what is recorded is the same in every world.
    #[test]
    fn what_is_evaluated_is_never_history() {
        let (study, steps) = trace(1);
        assert!(steps.is_empty() && note(&study).contains("nothing"));
    }

    #[test]
    fn a_recorded_demand_is_no_history_of_itself() {
        let recorded = tidegate_core::scenario::Recorded {
            requests_per_second: vec![1.0].into(),
            step_seconds: 15.0,
            arrivals_seconds: None,
        };
        assert!(is_recorded(&Workload::Sum(vec![Workload::Recorded(recorded)])));
        assert!(!is_recorded(&crate::scenarios::tests::example().scenario().workload));
    }
}
