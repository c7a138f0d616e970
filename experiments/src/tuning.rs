//! A search for the parameters of least cost, with a budget that is counted in simulated time.
//!
//! Every controller gets the same budget on the same training worlds. It is spent in this order, and everything that
//! is simulated counts, warm-up and draining included:
//!
//! 1. what the scenario sets already, over the documented defaults;
//! 2. random search over the ranges that the catalog declares ([`Parameter::search`]), to half of what there is;
//! 3. tree-structured Parzen estimators (TPE; crate `tpe`), told all of the above, until the budget is spent but for
//! 4. the rescoring: the cheapest few and what the scenario sets, on the engine of the report and on other training
//!    worlds. The cheapest there is taken, and what the scenario sets if nothing undercuts it.
//!
//! Sets that a controller refuses, and sets that were tried, are drawn again and cost nothing. Numbers are rounded to
//! three digits, so that what is written down is what was tried. TPE sees the unit cube of shares; each parameter has
//! an estimator of its own, as in Bergstra, Bardenet, Bengio and Kégl, "Algorithms for Hyper-Parameter Optimization",
//! NIPS 24 (2011), so it knows nothing of how two parameters act together. It draws from one stream, and everything
//! happens in one order, so a search is a function of the scenario, the kind and the budget.
//!
//! A fixed fleet has one parameter and a cost that falls and then rises: its sizes are searched by
//! [`fleet::search`], on the same budget.

use rand::RngExt;
use tidegate_autoscalers::catalog::Search;
use tidegate_autoscalers::{About, Parameter};
use tidegate_core::{Bounds, Replicas, Seed, Stream};
use toml::{Table, Value};
use tpe::{TpeOptimizer, categorical_range, histogram_estimator, parzen_estimator};

use crate::fleet;

/// The cheapest sets of the search that are rescored, beside what the scenario sets.
pub const N_FINALISTS: usize = 3;

/// Draws in a row that are refused or were tried before a search is taken to have seen everything.
const DRAWS_MAX: u32 = 1000;

/// So many of them are asked of TPE. Where it is sure of a corner that a controller refuses, it would go on for ever.
const ASKED_MAX: u32 = 100;

/// The world from which searches draw; it is no world that anything runs in.
const CHANCE: Seed = Seed::training(u64::MAX);

/// What may be spent, in ticks of simulated time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// On everything.
    pub ticks: u64,
    /// Kept for rescoring.
    pub rescoring_ticks: u64,
}

/// What one set of parameters came to on a few worlds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Mean of a run.
    pub dollars: f64,
    /// Simulated on all of them.
    pub ticks: u64,
}

/// Where a set of parameters came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The scenario's table over the documented defaults.
    Untuned,
    /// Random search.
    Random,
    /// TPE.
    Model,
    /// The search over sizes of a fixed fleet.
    Size,
}

/// A set of parameters that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// What it sets over what the scenario sets; empty if nothing.
    pub parameters: Table,
    /// Where it came from.
    pub origin: Origin,
    /// Mean cost of a run.
    pub dollars: f64,
    /// Spent when it was known.
    pub spent_ticks: u64,
}

/// What a search came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// In the order in which they were tried; the first is untuned.
    pub tried: Vec<Tried>,
    /// On the engine of the report; the first is untuned, the others by their cost in the search. Empty where there
    /// was nothing to choose from.
    pub rescored: Vec<Tried>,
    /// Spent in all.
    pub spent_ticks: u64,
}

impl Found {
    /// The cheapest of those rescored; untuned if it is no dearer than any.
    pub fn winner(&self) -> Option<&Tried> {
        self.rescored.iter().min_by(|a, b| a.dollars.total_cmp(&b.dollars))
    }

    /// What the winner sets; nothing where nothing was better than what there was.
    pub fn parameters(&self) -> Table {
        self.winner().map_or_else(Table::new, |winner| winner.parameters.clone())
    }
}

/// What can be varied.
pub enum Space {
    /// Nothing.
    Nothing,
    /// The size of the fleet.
    Size(Bounds),
    /// Ranges of parameters.
    Ranges(Vec<(&'static str, Search)>),
}

impl Space {
    /// What a kind declares; `fixed` has the bounds of the pool it acts on.
    pub fn of(about: &About, bounds: Bounds) -> Self {
        if about.kind == "fixed" {
            return Self::Size(bounds);
        }
        let range = |parameter: &Parameter| parameter.search.map(|search| (parameter.name, search));
        let ranges: Vec<_> = about.parameters.iter().filter_map(range).collect();
        if ranges.is_empty() { Self::Nothing } else { Self::Ranges(ranges) }
    }

    /// For the protocol: each parameter and the values that it may get.
    pub fn described(&self) -> Vec<(String, String)> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Size(bounds) => {
                vec![("replicas".into(), format!("{} to {}", bounds.replicas_min, bounds.replicas_max))]
            }
            Self::Ranges(ranges) => {
                ranges.iter().map(|(name, search)| ((*name).to_owned(), described(*search))).collect()
            }
        }
    }
}

/// What a search needs to know of the world.
pub trait Bench {
    /// Whether a controller can be built with this over what the scenario sets.
    fn fits(&self, parameters: &Table) -> bool;
    /// Runs it on the training worlds of the search, on the fluid engine.
    ///
    /// # Errors
    /// If it cannot be run.
    fn cost(&mut self, parameters: &Table) -> anyhow::Result<Cost>;
    /// Runs it on the training worlds of the rescoring, on the engine of the report.
    ///
    /// # Errors
    /// If it cannot be run.
    fn rescore(&mut self, parameters: &Table) -> anyhow::Result<Cost>;
}

/// Spends the budget.
///
/// # Errors
/// Those of the bench.
pub fn search(space: &Space, budget: Budget, bench: &mut dyn Bench) -> anyhow::Result<Found> {
    let mut ledger = Ledger { bench, budget, spent_ticks: 0, dearest_ticks: 0, tried: Vec::new() };
    match space {
        Space::Nothing => {
            return Ok(Found { tried: Vec::new(), rescored: Vec::new(), spent_ticks: 0 });
        }
        Space::Size(bounds) => ledger.sizes(*bounds)?,
        Space::Ranges(ranges) => ledger.ranges(ranges)?,
    }
    ledger.rescore()
}

/// What was spent on what.
struct Ledger<'a> {
    bench: &'a mut dyn Bench,
    budget: Budget,
    spent_ticks: u64,
    /// The dearest evaluation so far, by which it is judged whether there is room for one more: how long a run
    /// drains is known only afterwards.
    dearest_ticks: u64,
    tried: Vec<Tried>,
}

impl Ledger<'_> {
    fn ranges(&mut self, ranges: &[(&'static str, Search)]) -> anyhow::Result<()> {
        let limit_ticks = self.budget.ticks - self.budget.rescoring_ticks;
        let mut rng = CHANCE.rng(Stream::Search);
        let mut estimators: Vec<TpeOptimizer> = ranges.iter().map(|(_, search)| estimator(*search)).collect();
        self.attempt(Table::new(), Origin::Untuned)?;
        loop {
            let is_early = 2 * self.spent_ticks < limit_ticks;
            let mut drawn = None;
            for draw in 0..DRAWS_MAX {
                let is_random = is_early || draw >= ASKED_MAX;
                let points: Vec<f64> = ranges
                    .iter()
                    .zip(&mut estimators)
                    .map(|((_, search), estimator)| {
                        if is_random {
                            rng.random::<f64>() * extent(*search)
                        } else {
                            let Ok(point) = estimator.ask(&mut rng);
                            point
                        }
                    })
                    .collect();
                let parameters: Table = ranges
                    .iter()
                    .zip(&points)
                    .map(|((name, search), point)| ((*name).to_owned(), value(*search, *point)))
                    .collect();
                if !self.is_tried(&parameters) && self.bench.fits(&parameters) {
                    let origin = if is_random { Origin::Random } else { Origin::Model };
                    drawn = Some((points, parameters, origin));
                    break;
                }
            }
            let Some((points, parameters, origin)) = drawn else { return Ok(()) };
            if !self.has_room(limit_ticks) {
                return Ok(());
            }
            let dollars = self.attempt(parameters, origin)?;
            for (estimator, point) in estimators.iter_mut().zip(points) {
                estimator
                    .tell(point, dollars)
                    .expect("a point that it was asked for or that lies in its range");
            }
        }
    }

    fn sizes(&mut self, bounds: Bounds) -> anyhow::Result<()> {
        let limit_ticks = self.budget.ticks - self.budget.rescoring_ticks;
        self.attempt(Table::new(), Origin::Untuned)?;
        fleet::search(bounds, |replicas: Replicas| {
            let parameters = Table::from_iter([("replicas".to_owned(), i64::from(replicas).into())]);
            if let Some(before) = self.tried.iter().find(|tried| tried.parameters == parameters) {
                return Ok(before.dollars);
            }
            // Without room, sizes that were not tried are as good as impossible.
            if !self.has_room(limit_ticks) || !self.bench.fits(&parameters) {
                return Ok(f64::INFINITY);
            }
            self.attempt(parameters, Origin::Size)
        })?;
        Ok(())
    }

    fn rescore(mut self) -> anyhow::Result<Found> {
        let mut finalists: Vec<&Tried> = self.tried.iter().collect();
        finalists.sort_by(|a, b| a.dollars.total_cmp(&b.dollars));
        // What is untuned is rescored whatever it cost, and first: it wins where all are equal.
        let better = finalists.into_iter().filter(|tried| tried.origin != Origin::Untuned).take(N_FINALISTS);
        let finalists: Vec<Tried> = self.tried[..1].iter().chain(better).cloned().collect();
        self.dearest_ticks = 0;
        let mut rescored = Vec::new();
        for finalist in finalists {
            if !self.has_room(self.budget.ticks) {
                break;
            }
            let Cost { dollars, ticks } = self.bench.rescore(&finalist.parameters)?;
            self.spend(ticks);
            rescored.push(Tried { dollars, spent_ticks: self.spent_ticks, ..finalist });
        }
        Ok(Found { tried: self.tried, rescored, spent_ticks: self.spent_ticks })
    }

    fn attempt(&mut self, parameters: Table, origin: Origin) -> anyhow::Result<f64> {
        let Cost { dollars, ticks } = self.bench.cost(&parameters)?;
        self.spend(ticks);
        self.tried.push(Tried { parameters, origin, dollars, spent_ticks: self.spent_ticks });
        Ok(dollars)
    }

    fn spend(&mut self, ticks: u64) {
        self.spent_ticks += ticks;
        self.dearest_ticks = self.dearest_ticks.max(ticks);
    }

    fn has_room(&self, limit_ticks: u64) -> bool {
        self.spent_ticks + self.dearest_ticks <= limit_ticks
    }

    fn is_tried(&self, parameters: &Table) -> bool {
        self.tried.iter().any(|tried| tried.parameters == *parameters)
    }
}

/// The value of a parameter at a point of its estimator, in three digits.
fn value(search: Search, point: f64) -> Value {
    match search.value(point / extent(search)) {
        Value::Float(exact) => Value::Float(rounded(exact)),
        other => other,
    }
}

/// Three significant digits, through text, so that the nearest number to what is written down is taken.
fn rounded(exact: f64) -> f64 {
    format!("{exact:.2e}").parse().expect("a number that was written can be read")
}

/// Names and switches have an estimator that counts; a point is a position among them.
fn extent(search: Search) -> f64 {
    match search {
        Search::Linear { .. } | Search::Log { .. } | Search::Count { .. } => 1.0,
        Search::Switch => 2.0,
        Search::OneOf(names) => names.len() as f64,
    }
}

fn estimator(search: Search) -> TpeOptimizer {
    let n = extent(search);
    match search {
        Search::Linear { .. } | Search::Log { .. } | Search::Count { .. } => {
            TpeOptimizer::new(parzen_estimator(), tpe::range(0.0, n).expect("0 is below 1"))
        }
        Search::Switch | Search::OneOf(_) => {
            let range = categorical_range(n as usize).expect("a list of names is not empty");
            TpeOptimizer::new(histogram_estimator(), range)
        }
    }
}

fn described(search: Search) -> String {
    match search {
        Search::Linear { low, high } => format!("{low} to {high}"),
        Search::Log { low, high } => format!("{low} to {high}, by ratio"),
        Search::Count { low, high } => format!("whole numbers {low} to {high}, by ratio"),
        Search::Switch => "false or true".into(),
        Search::OneOf(names) => names.join(" or "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cost is the distance from a point in the logarithm of one number, a count and a switch; the others are noise.
    struct Bowl {
        ticks: u64,
        n_calls: u64,
        refuses: bool,
    }

    const RANGES: [(&str, Search); 4] = [
        ("a", Search::Log { low: 1.0, high: 1000.0 }),
        ("b", Search::Count { low: 1, high: 50 }),
        ("c", Search::Switch),
        ("d", Search::Linear { low: 0.0, high: 1.0 }),
    ];

    fn bowl(parameters: &Table) -> f64 {
        let number = |name: &str, default: f64| {
            let of = |value: &Value| value.as_float().or_else(|| value.as_integer().map(|it| it as f64));
            parameters.get(name).and_then(of).unwrap_or(default)
        };
        let off = if parameters.get("c").and_then(Value::as_bool) == Some(true) { 0.0 } else { 1.0 };
        1.0 + (number("a", 900.0) / 30.0).ln().powi(2) + (number("b", 50.0) / 7.0).ln().powi(2) + off
    }

    impl Bench for Bowl {
        fn fits(&self, parameters: &Table) -> bool {
            // As a rule would: one parameter must stay below another.
            !self.refuses || parameters.get("d").and_then(Value::as_float).is_none_or(|d| d < 0.5)
        }
        fn cost(&mut self, parameters: &Table) -> anyhow::Result<Cost> {
            self.n_calls += 1;
            // Runs drain longer or shorter.
            Ok(Cost { dollars: bowl(parameters), ticks: self.ticks + self.n_calls % 3 })
        }
        fn rescore(&mut self, parameters: &Table) -> anyhow::Result<Cost> {
            self.cost(parameters)
        }
    }

    fn ranges() -> Space {
        Space::Ranges(RANGES.to_vec())
    }

    fn found(budget: Budget, refuses: bool) -> Found {
        search(&ranges(), budget, &mut Bowl { ticks: 10, n_calls: 0, refuses }).expect("it runs")
    }

    #[test]
    fn what_is_spent_is_the_sum_of_what_was_simulated_and_no_more_than_the_budget() {
        for ticks in [100, 500, 1234] {
            let found = found(Budget { ticks, rescoring_ticks: 48 }, true);
            let n = found.tried.len() as u64;
            let of_search = |n: u64| (1..=n).map(|call| 10 + call % 3).sum::<u64>();
            assert_eq!(found.tried.last().map(|last| last.spent_ticks), Some(of_search(n)));
            assert_eq!(found.spent_ticks, of_search(n + found.rescored.len() as u64));
            assert!(found.spent_ticks <= ticks, "{} of {ticks}", found.spent_ticks);
            assert!(found.spent_ticks + 2 * 12 > ticks, "{} of {ticks}", found.spent_ticks);
            let limit = ticks - 48;
            let early = found.tried.iter().filter(|tried| 2 * tried.spent_ticks < limit);
            assert!(early.skip(1).all(|tried| tried.origin == Origin::Random));
        }
    }

    #[test]
    fn refused_and_repeated_sets_cost_nothing_and_never_run() {
        let found = found(Budget { ticks: 3000, rescoring_ticks: 48 }, true);
        for (index, tried) in found.tried.iter().enumerate() {
            assert!(tried.parameters.get("d").and_then(Value::as_float).is_none_or(|d| d < 0.5));
            assert!(found.tried[..index].iter().all(|before| before.parameters != tried.parameters));
        }
        let few = Space::Ranges(vec![("c", Search::Switch)]);
        let all = search(
            &few,
            Budget { ticks: 3000, rescoring_ticks: 48 },
            &mut Bowl { ticks: 10, n_calls: 0, refuses: false },
        )
        .expect("it runs");
        assert_eq!(all.tried.len(), 3, "untuned, off, on");
    }

    /// By the mean, since the best one of all may be a lucky one of the random ones.
    #[test]
    fn the_model_looks_where_it_is_cheap() {
        let found = found(Budget { ticks: 2000, rescoring_ticks: 48 }, false);
        let mean = |origin: Origin| {
            let costs: Vec<f64> =
                found.tried.iter().filter(|it| it.origin == origin).map(|it| it.dollars).collect();
            tidegate_stats::mean(&costs)
        };
        assert!(mean(Origin::Model) < 0.6 * mean(Origin::Random));
        let winner = found.winner().expect("there is one");
        assert!(winner.dollars < 1.5, "{winner:?}");
    }

    #[test]
    fn what_is_untuned_is_kept_where_nothing_undercuts_it() {
        struct Flat;
        impl Bench for Flat {
            fn fits(&self, _: &Table) -> bool {
                true
            }
            fn cost(&mut self, _: &Table) -> anyhow::Result<Cost> {
                Ok(Cost { dollars: 5.0, ticks: 10 })
            }
            fn rescore(&mut self, _: &Table) -> anyhow::Result<Cost> {
                self.cost(&Table::new())
            }
        }
        let found =
            search(&ranges(), Budget { ticks: 300, rescoring_ticks: 40 }, &mut Flat).expect("it runs");
        assert_eq!((found.rescored.len(), found.parameters()), (1 + N_FINALISTS, Table::new()));
    }

    /// Against every size there is, and with a budget for only a few of them.
    #[test]
    fn sizes_are_searched_until_the_budget_is_spent() {
        struct Valley;
        impl Bench for Valley {
            fn fits(&self, _: &Table) -> bool {
                true
            }
            fn cost(&mut self, parameters: &Table) -> anyhow::Result<Cost> {
                let replicas = parameters.get("replicas").and_then(Value::as_integer).unwrap_or(60) as f64;
                Ok(Cost { dollars: replicas + 900.0 / replicas, ticks: 10 })
            }
            fn rescore(&mut self, parameters: &Table) -> anyhow::Result<Cost> {
                self.cost(parameters)
            }
        }
        let bounds = Bounds { replicas_min: 1, replicas_max: 80 };
        let of = |ticks| {
            search(&Space::Size(bounds), Budget { ticks, rescoring_ticks: 40 }, &mut Valley).expect("it runs")
        };
        assert_eq!(of(10_000).parameters()["replicas"].as_integer(), Some(30));
        let few = of(120);
        assert_eq!((few.spent_ticks, few.tried.len()), (120, 8));
    }

    #[test]
    fn numbers_have_three_digits_and_stay_in_their_range() {
        let search = Search::Linear { low: 0.3, high: 0.95 };
        assert_eq!(value(search, 1.0 / 3.0), Value::Float(0.517));
        assert_eq!((value(search, 0.0), value(search, 1.0)), (Value::Float(0.3), Value::Float(0.95)));
        assert_eq!(value(Search::Switch, 1.2), Value::Boolean(true));
        assert_eq!(value(Search::OneOf(&["x", "y", "z"]), 1.2), Value::String("y".into()));
        assert_eq!(rounded(12_345.6), 12_300.0);
    }
}
