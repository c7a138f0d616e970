//! What the service level costs a second, over load and ready replicas: a response model and prices, tabulated.
//!
//! ```text
//! φ(λ, n) = 1/(J Δ) Σ_{j<J} penalty(E[statistics | state_j, λ, n]),   state_0 at rest, state_{j+1} after a tick of it
//! ```
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | φ | penalty rate | dollars/s |
//! | λ | load | requests/s |
//! | n | ready replicas | 1 |
//! | Δ | the model's tick | s |
//! | J Δ | [`PenaltySurface::hold_ticks`]: for how long a load and a fleet stay together | s |
//!
//! **Why held.** A program of stage costs has no backlog to hand on. A fleet that is too small for one tick leaves
//! behind what one tick gathers, which may well be within the bound; what it does to the users shows when it goes on.
//! Held for twice the bound, a fleet below the load is charged for those it makes late. Where the bound is shorter than
//! a tick one tick is enough.
//!
//! The prices have to be those of one tick of the model: a form that charges once an accounting tick is for the caller
//! to scale ([`prices_of`](crate::formulate::prices_of)).
//!
//! **Passing.** Where an order that is given when a load is seen serves before that time is over, a load above what was
//! expected is no reason to hold a fleet beforehand: it is answered. [`PenaltySurface::passing`] tabulates what such a load
//! does until then:
//!
//! ```text
//! ψ(λ, n) = 1/R Σ_j s_j penalty(E[statistics | state_j, λ, n]) [ℓ_j > bound],   ℓ_j = R − (j + s_j/2) Δ
//! ```
//!
//! R seconds pass until the order serves, `s_j` is the share of tick j that falls into them, and who comes in it waits for
//! no longer than is left, on average `ℓ_j`.
//!
//! **Who gives up.** How patient users are is not known to a model, but what one who gives up costs is known to the
//! operator. Whoever would wait for two and a half bounds is taken to give up: a plan that is not told would let go all
//! whom it cannot serve in time, where a violated window costs no more however many are late.
//!
//! **Grid.** Loads are multiples of a step, replicas whole; between two loads the value is a straight line. A row is
//! computed when it is first asked for, with one law of the response time for each count and held tick. In n the values
//! are made non-increasing (each at most that of one replica less): a linear model may say otherwise outside its data.

use tidegate_core::{Prices, Replicas, ResponseModel, ResponseTime, ServiceLevel, ServiceStatistics};

use crate::Band;

/// Users who would wait for so many bounds are taken to give up.
const PATIENCE_BOUNDS: f64 = 2.5;

/// A relative fall of the penalty from one count to the next that is none.
const FLAT: f64 = 1e-9;

/// The place of a row that is not filled.
const MISSING: u32 = u32::MAX;

/// How long a load and a fleet stay together.
#[derive(Clone, Copy, Debug)]
enum Until {
    /// For J ticks: φ.
    Held(u32),
    /// Until everybody is served after R seconds: ψ.
    Answered(f64),
}

/// φ or ψ over load and ready replicas; rows are filled as they are asked for.
#[derive(Clone, Debug)]
pub struct PenaltySurface {
    load_step: f64,
    replicas_max: Replicas,
    until: Until,
    /// For each multiple of the step, the place of its row; [`MISSING`] where it is not filled.
    places: Vec<u32>,
    /// Dollars a second, row after row in the order in which they were asked for, each over 0 … `replicas_max`.
    dollars: Vec<f64>,
}

impl PenaltySurface {
    /// An empty surface for up to `replicas_max` ready replicas, with a row every `load_step` requests a second.
    /// `hold_ticks` is J.
    ///
    /// # Panics
    /// If the step is not a positive number, or nothing is held.
    pub fn new(load_step: f64, replicas_max: Replicas, hold_ticks: u32) -> Self {
        assert!(hold_ticks > 0, "a fleet is held for one tick at least");
        Self::until(load_step, replicas_max, Until::Held(hold_ticks))
    }

    /// The same for a load that is answered after R = `reaction_seconds`: ψ instead of φ.
    ///
    /// # Panics
    /// If step or seconds are not positive numbers.
    pub fn passing(load_step: f64, replicas_max: Replicas, reaction_seconds: f64) -> Self {
        let is_time = reaction_seconds > 0.0 && reaction_seconds.is_finite();
        assert!(is_time, "answered after {reaction_seconds} s");
        Self::until(load_step, replicas_max, Until::Answered(reaction_seconds))
    }

    fn until(load_step: f64, replicas_max: Replicas, until: Until) -> Self {
        let mut surface = Self { load_step, replicas_max, until, places: Vec::new(), dollars: Vec::new() };
        surface.clear(load_step);
        surface
    }

    /// J such that J ticks of a model are at least twice the bound.
    pub fn hold_ticks(tick_seconds: f64, bound_seconds: f64) -> u32 {
        (2.0 * bound_seconds / tick_seconds).ceil().max(1.0) as u32
    }

    /// Forgets all rows, as for a new model; `load_step` as in [`PenaltySurface::new`].
    pub fn clear(&mut self, load_step: f64) {
        assert!(load_step > 0.0 && load_step.is_finite(), "rows every {load_step} requests a second");
        self.load_step = load_step;
        self.places.clear();
        self.dollars.clear();
    }

    /// Adds `weight` · φ(`load`, n) to `out` for all n of `band`; counts above the surface's largest are as good as it.
    ///
    /// # Panics
    /// If the load is negative or not finite, or `out` is not as long as the band.
    pub fn add<M: ResponseModel>(
        &mut self,
        service: (&M, &Prices),
        load: f64,
        weight: f64,
        band: Band,
        out: &mut [f64],
    ) {
        assert!(load >= 0.0 && load.is_finite(), "a load of {load} requests a second");
        assert_eq!(out.len(), band.n_counts(), "one place a count");
        let at = load / self.load_step;
        let below = at as usize;
        let share = at - below as f64;
        // On a row the next one is not needed.
        let above = below + usize::from(share > 0.0);
        self.fill(service, below);
        self.fill(service, above);
        let (of_below, of_above) = (weight * (1.0 - share), weight * share);
        let (below, above) = (self.row(below), self.row(above));
        let n_known = below.len().saturating_sub(band.low as usize).min(out.len());
        let (known, beyond) = out.split_at_mut(n_known);
        let rows = below.iter().zip(above).skip(band.low as usize);
        for (out, (below, above)) in known.iter_mut().zip(rows) {
            *out = *out + of_below * below + of_above * above;
        }
        // Beyond the last count it goes on as there.
        let (below, above) = (below[below.len() - 1], above[above.len() - 1]);
        for out in beyond {
            *out = *out + of_below * below + of_above * above;
        }
    }

    /// φ at one point.
    #[cfg(test)]
    fn at<M: ResponseModel>(&mut self, service: (&M, &Prices), load: f64, ready: Replicas) -> f64 {
        let mut out = [0.0];
        self.add(service, load, 1.0, Band::new(ready, ready), &mut out);
        out[0]
    }

    /// A row that is filled.
    fn row(&self, row: usize) -> &[f64] {
        let width = self.replicas_max as usize + 1;
        &self.dollars[self.places[row] as usize * width..][..width]
    }

    fn fill<M: ResponseModel>(&mut self, (model, prices): (&M, &Prices), row: usize) {
        if self.places.len() <= row {
            self.places.resize(row + 1, MISSING);
        }
        if self.places[row] != MISSING {
            return;
        }
        let width = self.replicas_max as usize + 1;
        let place = self.dollars.len() / width;
        self.places[row] = place as u32;
        self.dollars.resize((place + 1) * width, 0.0);
        let load = row as f64 * self.load_step;
        let row = &mut self.dollars[place * width..];
        let (mut first, mut least) = (f64::INFINITY, f64::INFINITY);
        for ready in 0..row.len() {
            let dollars = match self.until {
                Until::Held(ticks) => held(model, prices, load, ready as f64, ticks),
                Until::Answered(seconds) => passing(model, prices, load, ready as f64, seconds),
            };
            let dollars = dollars.min(least);
            first = if ready == 0 { dollars } else { first };
            // Where nobody waits any more, one replica more changes nothing; nor does it where all are late.
            if least - dollars <= FLAT * dollars && dollars <= 0.5 * first {
                row[ready..].fill(dollars);
                break;
            }
            row[ready] = dollars;
            least = dollars;
        }
    }
}

/// The surfaces that stage costs are made of.
#[derive(Clone, Debug)]
pub struct Surfaces {
    /// φ.
    pub held: PenaltySurface,
    /// ψ, where what is seen is answered before a fleet that is too small has done its worst.
    pub passing: Option<PenaltySurface>,
}

impl Surfaces {
    /// Forgets all rows, as [`PenaltySurface::clear`].
    pub fn clear(&mut self, load_step: f64) {
        self.held.clear(load_step);
        if let Some(passing) = &mut self.passing {
            passing.clear(load_step);
        }
    }
}

impl From<PenaltySurface> for Surfaces {
    /// Without recourse.
    fn from(held: PenaltySurface) -> Self {
        Self { held, passing: None }
    }
}

/// φ by its definition.
fn held<M: ResponseModel>(model: &M, prices: &Prices, load: f64, ready: f64, hold_ticks: u32) -> f64 {
    let level = model.level();
    let users = load * model.tick_seconds();
    let mut state = model.rest(load, ready);
    let (mut dollars, mut mean_before) = (0.0, f64::NAN);
    for tick in 0..hold_ticks {
        let (time, after) = model.respond(&state, load, ready);
        let give_up = time.survival(PATIENCE_BOUNDS * level.bound_seconds);
        let now = prices.penalty(&statistics(&time, users, level, give_up));
        dollars += now;
        let mean_seconds = time.mean_seconds();
        let is_steady = (mean_seconds - mean_before).abs() <= FLAT * mean_seconds;
        let is_lost = give_up >= 1.0 - FLAT;
        if is_steady || is_lost {
            // As it is it goes on: a fleet that keeps up, or one behind a backlog that only grows.
            dollars += f64::from(hold_ticks - tick - 1) * now;
            break;
        }
        (state, mean_before) = (after, mean_seconds);
    }
    dollars / (f64::from(hold_ticks) * model.tick_seconds())
}

/// ψ by its definition.
fn passing<M: ResponseModel>(model: &M, prices: &Prices, load: f64, ready: f64, seconds: f64) -> f64 {
    let level = model.level();
    let tick_seconds = model.tick_seconds();
    let patience_seconds = PATIENCE_BOUNDS * level.bound_seconds;
    let mut state = model.rest(load, ready);
    let (mut dollars, mut left_seconds) = (0.0, seconds);
    loop {
        let share = (left_seconds / tick_seconds).min(1.0);
        let longest_seconds = left_seconds - 0.5 * share * tick_seconds;
        if longest_seconds <= level.bound_seconds {
            return dollars / seconds;
        }
        let (time, after) = model.respond(&state, load, ready);
        let give_up = if longest_seconds > patience_seconds { time.survival(patience_seconds) } else { 0.0 };
        dollars += share * prices.penalty(&statistics(&time, load * tick_seconds, level, give_up));
        (state, left_seconds) = (after, left_seconds - share * tick_seconds);
    }
}

/// The statistics of so many users of whom a share gives up.
fn statistics(time: &ResponseTime, users: f64, level: &ServiceLevel, give_up: f64) -> ServiceStatistics {
    let mut statistics = time.statistics(users, level);
    statistics.users_gave_up = users * give_up;
    statistics.users_above = (statistics.users_above - statistics.users_gave_up).max(0.0);
    statistics
}

#[cfg(test)]
mod tests {
    use tidegate_core::Penalty;
    use tidegate_core::response::{BacklogWait, Service};

    use super::*;

    /// A fluid queue of replicas that serve one request a second each.
    struct Fluid(ServiceLevel);

    impl ResponseModel for Fluid {
        type State = f64;
        fn tick_seconds(&self) -> f64 {
            10.0
        }
        fn level(&self) -> &ServiceLevel {
            &self.0
        }
        fn rest(&self, _: f64, _: f64) -> f64 {
            0.0
        }
        fn respond(&self, backlog: &f64, load: f64, ready: f64) -> (ResponseTime, f64) {
            let after = (backlog + (load - ready) * 10.0).max(0.0);
            let wait = |backlog: f64| backlog / ready.max(1e-3);
            let behind = BacklogWait { share: 1.0, first_seconds: wait(*backlog), last_seconds: wait(after) };
            let service = Service::new(1e-3, 1e-6);
            let time = ResponseTime {
                overhead_seconds: 0.0,
                service,
                delay_probability: 0.0,
                decay_per_second: 1.0,
                backlog: if after > 0.0 { behind } else { BacklogWait::default() },
            };
            (time, after)
        }
    }

    fn prices(bound_seconds: f64) -> Prices {
        let penalty = Penalty::PerUser { dollars_per_user: 1.0 };
        let level = ServiceLevel {
            bound_seconds,
            share: 0.9,
            window_ticks: 1,
            penalty,
            dollars_per_user_gave_up: 1.0,
        };
        Prices { level, dollars_per_warm_hour: vec![0.0], dollars_per_kwh: 0.0, dollars_per_carbon_kg: 0.0 }
    }

    /// Four too many a second before six: 40 are left after one tick, a wait of 6.7 s, so that one tick alone makes
    /// nobody wait for 20 s. Held for four ticks the wait grows to 26.7 s, and who comes in the last quarter is late.
    #[test]
    fn a_fleet_below_the_load_is_charged_for_what_it_makes_late_later() {
        let prices = prices(20.0);
        let fluid = Fluid(prices.level);
        let at = |hold_ticks| PenaltySurface::new(1.0, 10, hold_ticks).at((&fluid, &prices), 10.0, 6);
        assert_eq!(at(1), 0.0);
        let held = PenaltySurface::hold_ticks(10.0, 20.0);
        assert_eq!(held, 4);
        // The wait reaches 20 s after 30 s.
        assert!((at(held) - 10.0 * 10.0 / 40.0).abs() < 0.01, "{}", at(held));
    }

    /// Nobody serves, and after 25 s everybody is served: who comes in the first ten seconds waits for 20 s on average, in
    /// the next for 10, in the last five for 2.5. With a bound of 15 s the first ten seconds' hundred users are late, and of
    /// those nobody gives up, for 2.5 bounds are more than is left. Held, everybody gives up.
    #[test]
    fn a_load_that_is_answered_costs_what_it_does_until_then() {
        let prices = prices(15.0);
        let fluid = Fluid(prices.level);
        let service = (&fluid, &prices);
        assert!((PenaltySurface::passing(1.0, 20, 25.0).at(service, 10.0, 0) - 100.0 / 25.0).abs() < 1e-2);
        assert!((PenaltySurface::new(1.0, 20, 3).at(service, 10.0, 0) - 10.0).abs() < 1e-2);
        // Who keeps up needs no answer, and an answer within the bound is none too late.
        assert_eq!(PenaltySurface::passing(1.0, 20, 25.0).at(service, 10.0, 11), 0.0);
        assert_eq!(PenaltySurface::passing(1.0, 20, 15.0).at(service, 10.0, 0), 0.0);
    }

    #[test]
    fn between_rows_it_is_a_straight_line_and_beyond_the_last_count_flat() {
        let prices = prices(2.0);
        let fluid = Fluid(prices.level);
        let mut surface = PenaltySurface::new(2.0, 5, 1);
        let service = (&fluid, &prices);
        let (low, high) = (surface.at(service, 8.0, 4), surface.at(service, 10.0, 4));
        assert!(low > 0.0 && high > low);
        assert!((surface.at(service, 8.5, 4) - (0.75 * low + 0.25 * high)).abs() < 1e-12);
        assert_eq!(surface.at(service, 8.0, 9), surface.at(service, 8.0, 5));
        let mut row = vec![0.0; 6];
        surface.add(service, 9.0, 1.0, Band::new(0, 5), &mut row);
        assert!(row.windows(2).all(|pair| pair[1] <= pair[0]), "{row:?}");
        // Another step, another model: nothing of the old rows is left.
        surface.clear(1.0);
        let fresh = PenaltySurface::new(1.0, 5, 1).at(service, 8.5, 4);
        assert_eq!(surface.at(service, 8.5, 4), fresh);
    }
}
