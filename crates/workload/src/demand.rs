//! The users of one run: how many are expected, how many come, and when.
//!
//! | word | what it is | where it is drawn |
//! | --- | --- | --- |
//! | rate | λₖ, expected users a second in tick k, averaged over the tick | `Stream::Demand`, a part of the stream for each part of the workload |
//! | users | Nₖ, how many come in tick k | `Stream::ArrivalCounts`, one draw a tick in tick order |
//! | times | when they come, sorted | `Stream::ArrivalTimes`, a part of the stream for each tick |
//!
//! Both engines see the same Nₖ. Within a tick the rate is constant. All of it comes from outside: nothing that a
//! controller does changes a draw.

use tidegate_core::scenario::{ArrivalsConfig, Workload};
use tidegate_core::{Scenario, Seed, Tick};

use crate::arrivals::{Poisson, Renewal};
use crate::days::Grid;
use crate::recorded::RecordedArrivals;
use crate::source::Source;

/// Demand of one scenario; [`Demand::reset`] draws the path of a seed.
#[derive(Clone, Debug)]
pub struct Demand {
    grid: Grid,
    source: Source,
    arrivals: Arrivals,
    /// Expected users a second, tick by tick.
    rates: Vec<f64>,
    /// Users that come, tick by tick.
    users: Vec<u32>,
}

#[derive(Clone, Debug)]
enum Arrivals {
    Poisson(Poisson),
    Renewal(Renewal),
    Recorded(RecordedArrivals),
}

impl Demand {
    /// The demand of `scenario` in the world of `Seed::training(0)`, until it is reset.
    ///
    /// # Panics
    /// If the scenario has recorded arrivals but no trace with one row a request; the check of scenarios forbids it.
    pub fn new(scenario: &Scenario) -> Self {
        let grid = Grid {
            tick_seconds: scenario.tick_seconds,
            n_ticks: scenario.arrival_ticks() as usize,
            calendar: scenario.calendar,
        };
        let arrivals = match scenario.arrivals {
            ArrivalsConfig::Poisson {} => Arrivals::Poisson(Poisson::new()),
            ArrivalsConfig::Renewal { coefficient_of_variation } => {
                Arrivals::Renewal(Renewal::new(coefficient_of_variation))
            }
            ArrivalsConfig::Recorded {} => {
                let single = match &scenario.workload {
                    Workload::Recorded(recorded) => recorded.arrivals_seconds.as_ref(),
                    _ => None,
                };
                let single = single.expect("recorded arrivals come with a trace of single requests");
                Arrivals::Recorded(RecordedArrivals::new(single, &grid))
            }
        };
        let source = Source::new(&scenario.workload, &grid);
        let (rates, users) = (vec![0.0; grid.n_ticks], vec![0; grid.n_ticks]);
        let mut demand = Self { grid, source, arrivals, rates, users };
        demand.reset(Seed::training(0));
        demand
    }

    /// Draws the path of `seed` for warm-up and horizon. Allocates nothing.
    pub fn reset(&mut self, seed: Seed) {
        self.rates.fill(0.0);
        self.source.add(seed, &self.grid, &mut self.rates);
        let tick_seconds = self.grid.tick_seconds;
        match &mut self.arrivals {
            Arrivals::Poisson(poisson) => poisson.reset(seed, tick_seconds, &self.rates, &mut self.users),
            Arrivals::Renewal(renewal) => renewal.reset(seed, tick_seconds, &self.rates, &mut self.users),
            Arrivals::Recorded(recorded) => recorded.count(&mut self.users),
        }
    }

    /// Expected users a second in `tick`; 0 outside warm-up and horizon.
    #[inline]
    pub fn requests_per_second(&self, tick: Tick) -> f64 {
        self.rates.get(tick.0 as usize).copied().unwrap_or(0.0)
    }

    /// Users that come in `tick`; 0 outside warm-up and horizon.
    #[inline]
    pub fn users(&self, tick: Tick) -> u32 {
        self.users.get(tick.0 as usize).copied().unwrap_or(0)
    }

    /// Fills `into` with the arrival instants of `tick` in seconds from the start of the run, sorted, as many as
    /// [`Demand::users`] says, none before the tick's start, all before its end.
    ///
    /// Every tick has its own part of the stream, so ticks may be asked for in any order and more than once.
    pub fn times(&mut self, tick: Tick, into: &mut Vec<f64>) {
        into.clear();
        let users = self.users(tick);
        if users == 0 {
            return;
        }
        let span = Span {
            start: tick.start_seconds(self.grid.tick_seconds),
            end: tick.next().start_seconds(self.grid.tick_seconds),
        };
        match &mut self.arrivals {
            Arrivals::Poisson(poisson) => poisson.times(tick, span, users, into),
            Arrivals::Renewal(renewal) => {
                renewal.times(tick, span, users, self.rates[tick.0 as usize], into);
            }
            Arrivals::Recorded(recorded) => into.extend_from_slice(recorded.times(tick)),
        }
    }

    /// Expected users a second, tick by tick from the start of the warm-up.
    pub fn rates(&self) -> &[f64] {
        &self.rates
    }

    /// Users that come, tick by tick from the start of the warm-up.
    pub fn counts(&self) -> &[u32] {
        &self.users
    }
}

/// A stretch of the run in seconds: `start` belongs to it, `end` does not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) start: f64,
    pub(crate) end: f64,
}
