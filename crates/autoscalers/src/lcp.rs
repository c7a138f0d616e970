//! Lazy capacity provisioning: the count moves only when staying would be wrong under every future.
//!
//! minimise Σ f(t, x(t)) + β Σ (x(t) − x(t−1))⁺;  x(t) = the count nearest to x(t−1) in [xᴸ(t), xᵁ(t)]
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | x | replicas | 1 |
//! | f | cost of one period with x replicas: instances and expected penalty | $ |
//! | β | cost of a launch | $ |
//! | xᴸ | last count of the best plan for the past alone, launches charged | 1 |
//! | xᵁ | the same, terminations charged in place of launches | 1 |
//!
//! Sources: Lin, Wierman, Andrew and Thereska, "Dynamic right-sizing for power-proportional data centers", INFOCOM 2011
//! (3-competitive for convex f and real x); Albers and Quedenfeld, "Optimal algorithms for right-sizing data centers",
//! SPAA 2018 (3-competitive for whole x as well, and no deterministic rule does better).
//!
//! With W(t, x) the least cost of the past that ends at x, `W(t, x) = f(t, x) + min_y [W(t−1, y) + β (x − y)⁺]`. For
//! convex W the minimum over y clips the slopes of W to [0, β], and charging terminations in place of launches takes
//! β x off W. So the slopes alone are kept, one a replica, and xᴸ counts those below 0, xᵁ those up to β: O(N) a
//! period, where the papers solve the whole past again.
//!
//! Where we differ: the papers are given f(t) before they choose x(t) and a launch takes no time. Here f is estimated
//! from what was measured last, so the guarantee holds for the estimated costs only, and a rising load is met late by
//! the start-up. The penalty is that of the stationary M/M/n queue; f is made convex by its lower envelope.

use serde::{Deserialize, Serialize};
use statrs::function::erf::erfc;
use tidegate_core::locate::FieldError;
use tidegate_core::service_time::{HALF_LIFE_SECONDS, ServiceTime};
use tidegate_core::{
    Controller, ControllerStream, Decision, Observation, OperatorFacts, Penalty, Reason, Replicas,
    SECONDS_PER_HOUR, ServiceLevel,
};

use crate::catalog::{About, Parameter, Rule, Search};
use crate::rule::{ActingPool, POOL, STALE, Window, positive, remembered, wrong};
use crate::signal::{Metric, Signal};

/// The algorithm: a row of costs in, the least and the most count that a best plan for the past could end at out.
#[derive(Clone, Debug, PartialEq)]
pub struct Lazy {
    launch_cost: f64,
    /// W(x + 1) − W(x), not decreasing.
    slopes: Vec<f64>,
}

impl Lazy {
    /// For counts from 0 to `replicas_max`, starting with `replicas_initial`, which cost nothing to have.
    pub fn new(replicas_max: Replicas, launch_cost: f64, replicas_initial: Replicas) -> Self {
        let mut lazy = Self { launch_cost, slopes: vec![0.0; replicas_max as usize] };
        lazy.restart(replicas_initial);
        lazy
    }

    /// Forgets the past.
    pub fn restart(&mut self, replicas_initial: Replicas) {
        for (count, slope) in self.slopes.iter_mut().enumerate() {
            *slope = if count < replicas_initial as usize { 0.0 } else { self.launch_cost };
        }
    }

    /// Takes in what each count from 0 on would cost in the present period, and gives (xᴸ, xᵁ).
    ///
    /// # Panics
    /// If there is not one cost a count. The costs must be convex ([`convex_envelope`]).
    pub fn step(&mut self, costs: &[f64]) -> (Replicas, Replicas) {
        assert_eq!(costs.len(), self.slopes.len() + 1, "one cost for each count from 0 to the most");
        for (slope, pair) in self.slopes.iter_mut().zip(costs.windows(2)) {
            *slope = slope.clamp(0.0, self.launch_cost) + (pair[1] - pair[0]);
        }
        let below = |bound: f64, or_at: bool| {
            self.slopes.partition_point(|slope| *slope < bound || (or_at && *slope == bound)) as Replicas
        };
        (below(0.0, false), below(self.launch_cost, true))
    }
}

/// Lowers values at 0, 1, 2, … to their greatest convex minorant. `corners` is room to work in; it grows to at most
/// the number of values.
pub fn convex_envelope(values: &mut [f64], corners: &mut Vec<usize>) {
    let slope = |values: &[f64], from: usize, to: usize| (values[to] - values[from]) / (to - from) as f64;
    corners.clear();
    for at in 0..values.len() {
        while let [.., before, last] = corners[..]
            && slope(values, before, last) >= slope(values, last, at)
        {
            corners.pop();
        }
        corners.push(at);
    }
    for pair in corners.windows(2) {
        let (start, rise) = (values[pair[0]], slope(values, pair[0], pair[1]));
        for (steps, value) in values[pair[0]..pair[1]].iter_mut().enumerate() {
            *value = start + rise * steps as f64;
        }
    }
}

/// What a stretch of time is expected to cost in penalties, as a function of the number of slots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpectedPenalty {
    /// What was promised, and what breaking it costs.
    pub level: ServiceLevel,
    /// The accounting tick.
    pub tick_seconds: f64,
    /// Length of the stretch.
    pub seconds: f64,
    /// Requests that arrive, and what already waits spread over the stretch.
    pub requests_per_second: f64,
    /// Mean time of one slot that a request takes.
    pub service_seconds: f64,
}

impl ExpectedPenalty {
    /// Dollars with so many slots, of which Erlang's B for the offered load is given.
    ///
    /// A stable queue is taken as the stationary M/M/n queue. Where it is not stable all users are late, and the
    /// requests beyond what is served are charged as given up. No user costs more than one who gave up.
    pub fn dollars(&self, slots: f64, erlang_b: f64) -> f64 {
        let Self { level, requests_per_second: rate, service_seconds, .. } = *self;
        if rate <= 0.0 {
            return 0.0;
        }
        let users = rate * self.seconds;
        let capacity = slots / service_seconds;
        let decay = capacity - rate;
        let unserved = (-decay).max(0.0) * self.seconds;
        let lost = unserved * level.dollars_per_user_gave_up;
        if decay <= 0.0 {
            return lost + self.of_late_users(1.0, f64::INFINITY, f64::INFINITY, users);
        }
        let delayed = erlang_b / (1.0 - rate / capacity * (1.0 - erlang_b));
        let service_rate = 1.0 / service_seconds;
        let bound = level.bound_seconds;
        let served = (-service_rate * bound).exp();
        let both = sum_survival(service_rate, decay, bound);
        let late = (1.0 - delayed) * served + delayed * both;
        let excess_seconds = served * service_seconds + delayed * both / decay;
        self.of_late_users(late, excess_seconds, service_seconds + delayed / decay, users)
    }

    /// Dollars for the share of users above the bound, the mean excess over it and the mean sojourn.
    fn of_late_users(&self, late: f64, excess_seconds: f64, sojourn_seconds: f64, users: f64) -> f64 {
        let level = &self.level;
        let gave_up = users * level.dollars_per_user_gave_up;
        match level.penalty {
            Penalty::PerUser { dollars_per_user } => dollars_per_user * late * users,
            Penalty::PerMillisecond { dollars_per_millisecond } => {
                (dollars_per_millisecond * excess_seconds * 1e3 * users).min(gave_up)
            }
            Penalty::PerWindow { dollars_per_window } => {
                // The number of late users in a window as a normal variable, users as independent.
                let window_seconds = f64::from(level.window_ticks) * self.tick_seconds;
                let in_window = users / self.seconds * window_seconds;
                let margin = (1.0 - level.share - late) * in_window.sqrt();
                let deviation = (late * (1.0 - late)).sqrt().max(1e-9);
                let violated = 0.5 * erfc(margin / deviation / std::f64::consts::SQRT_2);
                dollars_per_window * violated * self.seconds / window_seconds
            }
            Penalty::MeanLatency { dollars_per_millisecond } => {
                let ticks = self.seconds / self.tick_seconds;
                let excess_milliseconds = (sojourn_seconds - level.bound_seconds).max(0.0) * 1e3;
                (dollars_per_millisecond * excess_milliseconds * ticks).min(gave_up)
            }
        }
    }
}

/// P(X + Y > t) of independent exponentials with these rates; stable where they are nearly equal.
fn sum_survival(rate_a: f64, rate_b: f64, seconds: f64) -> f64 {
    let gap = (rate_a - rate_b).abs() * seconds;
    let shrink = if gap > 1e-12 { -(-gap).exp_m1() / gap } else { 1.0 };
    (-rate_a * seconds).exp() + rate_a * seconds * (-rate_a.min(rate_b) * seconds).exp() * shrink
}

/// What can be set.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
pub struct Parameters {
    pub pool: Option<String>,
    pub launch_seconds: Option<f64>,
    pub penalty_factor: f64,
    pub service_half_life_seconds: f64,
    pub window_seconds: f64,
    pub stale_seconds: f64,
    pub period_seconds: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            pool: None,
            launch_seconds: None,
            penalty_factor: 1.0,
            service_half_life_seconds: HALF_LIFE_SECONDS,
            window_seconds: 60.0,
            stale_seconds: 300.0,
            period_seconds: 15.0,
        }
    }
}

/// The controller.
#[derive(Clone, Debug)]
pub struct Lcp {
    pool: ActingPool,
    rate: (Signal, Window),
    queue: (Signal, Window),
    service_time: ServiceTime,
    lazy: Lazy,
    has_started: bool,
    costs: Vec<f64>,
    corners: Vec<usize>,
    level: ServiceLevel,
    tick_seconds: f64,
    penalty_factor: f64,
    period_seconds: f64,
}

impl Rule for Lcp {
    type Parameters = Parameters;

    const ABOUT: About = About {
        kind: "lcp",
        summary: "Lazy capacity provisioning: the count moves only as far as the best plans for the past, with launches charged early or late, agree that it must.",
        source: "Lin, Wierman, Andrew and Thereska, INFOCOM 2011; Albers and Quedenfeld, SPAA 2018",
        parameters: &[
            POOL,
            Parameter::new(
                "launch_seconds",
                "s",
                "(start-up or billing minimum, the longer)",
                "Cost of a launch, as so many seconds of a replica's price.",
            )
            .searched(Search::Log { low: 15.0, high: 14_400.0 }),
            Parameter::new(
                "penalty_factor",
                "1",
                "1.0",
                "Times the expected penalty; above 1 it is more careful than the prices ask for.",
            )
            .searched(Search::Log { low: 0.1, high: 10.0 }),
            Parameter::new(
                "service_half_life_seconds",
                "s",
                "1800.0",
                "Half-life of a sample in the measured service time.",
            )
            .searched(Search::Log { low: 300.0, high: 14_400.0 }),
            Parameter::new("window_seconds", "s", "60.0", "The rate is averaged over this time.")
                .searched(Search::Linear { low: 0.0, high: 300.0 }),
            STALE,
            Parameter::new(
                "period_seconds",
                "s",
                "15.0",
                "How often it decides; also the stretch that costs are for.",
            ),
        ],
    };

    fn check(parameters: &Parameters) -> Result<(), FieldError> {
        positive(&[
            ("launch_seconds", parameters.launch_seconds.unwrap_or(1.0)),
            ("penalty_factor", parameters.penalty_factor),
            ("service_half_life_seconds", parameters.service_half_life_seconds),
            ("period_seconds", parameters.period_seconds),
            ("stale_seconds", parameters.stale_seconds),
        ])?;
        remembered(&[("window_seconds", parameters.window_seconds)])
    }

    fn new(facts: &OperatorFacts, parameters: &Parameters) -> Result<Self, FieldError> {
        /// One slope and one cost a replica are kept and gone through at every decision.
        const REPLICAS_MAX: Replicas = 100_000;
        let pool = ActingPool::find(parameters.pool.as_deref(), facts)?;
        let own = pool.facts(facts);
        let most = own.bounds.replicas_max;
        if most > REPLICAS_MAX {
            let problem = format!("must have at most {REPLICAS_MAX} replicas, but may have {most}");
            return Err(wrong("pool", problem));
        }
        let launch_seconds =
            parameters.launch_seconds.unwrap_or_else(|| own.startup_seconds.max(own.billing_minimum_seconds));
        let launch_cost = own.dollars_per_replica_hour * launch_seconds / SECONDS_PER_HOUR;
        let watch = |metric, seconds| {
            let window = Window::new(seconds, parameters.stale_seconds, facts.scrape_seconds);
            (Signal::new(metric, pool, facts), window)
        };
        Ok(Self {
            pool,
            rate: watch(Metric::RequestsPerSecond, parameters.window_seconds),
            queue: watch(Metric::QueueLength, 0.0),
            service_time: ServiceTime::new(parameters.service_half_life_seconds, facts),
            lazy: Lazy::new(most, launch_cost, own.replicas_initial),
            has_started: false,
            costs: vec![0.0; most as usize + 1],
            corners: Vec::with_capacity(most as usize + 1),
            level: facts.prices.level,
            tick_seconds: facts.tick_seconds,
            penalty_factor: parameters.penalty_factor,
            period_seconds: parameters.period_seconds,
        })
    }
}

impl Lcp {
    /// f: what each count would cost in one period.
    fn price(&mut self, penalty: &ExpectedPenalty, dollars_per_replica_hour: f64, others: f64) {
        let slots_each = self.service_time.concurrency(self.pool.index());
        let a = penalty.requests_per_second * penalty.service_seconds;
        let dollars_each = dollars_per_replica_hour * self.period_seconds / SECONDS_PER_HOUR;
        // Erlang's B by its recursion, which goes through all counts anyway.
        let (mut slots, mut blocked) = (0.0, 1.0);
        for (count, cost) in self.costs.iter_mut().enumerate() {
            let wanted = others + count as f64 * slots_each;
            while slots < wanted {
                slots += 1.0;
                blocked *= a / (slots + a * blocked);
            }
            *cost = count as f64 * dollars_each + self.penalty_factor * penalty.dollars(slots, blocked);
        }
        convex_envelope(&mut self.costs, &mut self.corners);
    }
}

impl Controller for Lcp {
    fn period_seconds(&self) -> f64 {
        self.period_seconds
    }

    fn reset(&mut self, _chance: ControllerStream) {
        self.rate.1.clear();
        self.queue.1.clear();
        self.service_time.clear();
        self.has_started = false;
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        for (signal, window) in [&mut self.rate, &mut self.queue] {
            signal.feed(observation, window);
        }
        self.service_time.feed(observation);
        let now = observation.now_seconds;
        let Some((rate, service_seconds)) = self.rate.1.mean(now).zip(self.service_time.seconds()) else {
            return self.pool.hold(observation, "no rate or service time yet");
        };
        let status = *self.pool.status(observation);
        if !self.has_started {
            self.lazy.restart(status.declared);
            self.has_started = true;
        }
        // What waits has to be served in this period as well.
        let waiting = self.queue.1.mean(now).unwrap_or(0.0);
        let penalty = ExpectedPenalty {
            level: self.level,
            tick_seconds: self.tick_seconds,
            seconds: self.period_seconds,
            requests_per_second: rate + waiting / self.period_seconds,
            service_seconds,
        };
        let others: f64 = self
            .pool
            .others(observation)
            .map(|(index, pool)| f64::from(pool.declared) * self.service_time.concurrency(index))
            .sum();
        self.price(&penalty, status.dollars_per_replica_hour, others);
        let (low, high) = self.lazy.step(&self.costs);
        let wanted = status.declared.max(low).min(high);
        let what = match wanted.cmp(&status.declared) {
            std::cmp::Ordering::Less => "too many for any future",
            std::cmp::Ordering::Equal => "lazy",
            std::cmp::Ordering::Greater => "too few for any future",
        };
        let reason = Reason::new(what)
            .with("offered load", penalty.requests_per_second * service_seconds)
            .with("least", f64::from(low))
            .with("most", f64::from(high));
        self.pool.decide(observation, wanted, reason)
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;
    use tidegate_core::Scrape;

    use super::*;
    use crate::testing::{self, Desk, wanted};

    /// Σ f + β Σ (up or down steps)⁺ of a plan.
    fn cost_of(plan: &[usize], start: usize, costs: &[Vec<f64>], beta: f64, is_up: bool) -> f64 {
        let mut before = start;
        let mut sum = 0.0;
        for (count, row) in plan.iter().zip(costs) {
            let step = if is_up { count.saturating_sub(before) } else { before.saturating_sub(*count) };
            sum += row[*count] + beta * step as f64;
            before = *count;
        }
        sum
    }

    /// The least cost over all plans, and the least and the most last count of those that have it.
    fn brute_force(start: usize, costs: &[Vec<f64>], beta: f64, is_up: bool) -> (f64, usize, usize) {
        let counts = costs[0].len();
        let mut best = (f64::INFINITY, 0, 0);
        for number in 0..counts.pow(costs.len() as u32) {
            let mut rest = number;
            let plan: Vec<_> = costs
                .iter()
                .map(|_| {
                    let count = rest % counts;
                    rest /= counts;
                    count
                })
                .collect();
            let (cost, last) = (cost_of(&plan, start, costs, beta, is_up), plan[plan.len() - 1]);
            if cost < best.0 {
                best = (cost, last, last);
            } else if cost == best.0 {
                best = (cost, best.1.min(last), best.2.max(last));
            }
        }
        best
    }

    /// Convex rows of whole numbers from 0 on, so that sums are exact and ties are ties.
    fn convex_rows(counts: usize, periods: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Vec<f64>>> {
        let row = (prop::collection::vec(-6..7_i32, counts - 1), 0..4_i32).prop_map(|(mut slopes, above)| {
            slopes.sort_unstable();
            let mut row = vec![0];
            for slope in slopes {
                row.push(row[row.len() - 1] + slope);
            }
            let least = row.iter().copied().min().expect("there is one");
            row.iter().map(|value| f64::from(value - least + above)).collect()
        });
        prop::collection::vec(row, periods)
    }

    fn run_lazy(start: usize, costs: &[Vec<f64>], beta: f64) -> Vec<usize> {
        let mut lazy = Lazy::new(costs[0].len() as Replicas - 1, beta, start as Replicas);
        let mut count = start as Replicas;
        let mut plan = Vec::new();
        for row in costs {
            let (low, high) = lazy.step(row);
            count = count.max(low).min(high);
            plan.push(count as usize);
        }
        plan
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        /// xᴸ and xᵁ are what the definition says: last counts of the best plans for the past, over all plans.
        #[test]
        fn the_two_bounds_are_those_of_all_plans(
            costs in convex_rows(4, 1..6), start in 0..4_usize, beta in 0..6_i32,
        ) {
            let beta = f64::from(beta);
            let mut lazy = Lazy::new(3, beta, start as Replicas);
            for periods in 1..=costs.len() {
                let (low, high) = lazy.step(&costs[periods - 1]);
                prop_assert!(low <= high);
                prop_assert_eq!(low as usize, brute_force(start, &costs[..periods], beta, true).1);
                prop_assert_eq!(high as usize, brute_force(start, &costs[..periods], beta, false).2);
            }
        }

        /// The guarantee that the papers prove.
        #[test]
        fn it_costs_at_most_three_times_the_optimum(costs in convex_rows(6, 1..40), beta in 0..30_i32) {
            let beta = f64::from(beta);
            // The optimum by the plain recursion over all pairs of counts.
            let mut least: Vec<f64> = (0..6).map(|count| beta * f64::from(count)).collect();
            for row in &costs {
                let ended: Vec<f64> = least.iter().zip(row).map(|(before, cost)| before + cost).collect();
                least = (0..6_usize)
                    .map(|to| {
                        let from = ended.iter().enumerate();
                        from.map(|(from, cost)| cost + beta * to.saturating_sub(from) as f64)
                            .fold(f64::INFINITY, f64::min)
                    })
                    .collect();
            }
            let optimum = least.iter().copied().fold(f64::INFINITY, f64::min);
            let paid = cost_of(&run_lazy(0, &costs, beta), 0, &costs, beta, true);
            prop_assert!(paid >= optimum - 1e-9, "{paid} below the optimum {optimum}");
            prop_assert!(paid <= 3.0 * optimum + 1e-9, "{paid} above three times {optimum}");
        }

        #[test]
        fn the_envelope_is_convex_below_and_the_greatest(values in prop::collection::vec(-50.0..50.0_f64, 1..30)) {
            let mut envelope = values.clone();
            convex_envelope(&mut envelope, &mut Vec::new());
            for (below, value) in envelope.iter().zip(&values) {
                prop_assert!(below <= &(value + 1e-9));
            }
            for three in envelope.windows(3) {
                prop_assert!(three[1] - three[0] <= three[2] - three[1] + 1e-9);
            }
            // At each point the greatest is the least of all chords above it.
            for at in 0..values.len() {
                let mut least = values[at];
                for from in 0..at {
                    for to in at + 1..values.len() {
                        let share = (at - from) as f64 / (to - from) as f64;
                        least = least.min(values[from] + share * (values[to] - values[from]));
                    }
                }
                prop_assert!((envelope[at] - least).abs() < 1e-9, "{} is not {least}", envelope[at]);
            }
        }

        /// It moves only against its bounds, and then no further than to them.
        #[test]
        fn it_is_lazy(costs in convex_rows(5, 1..20), beta in 1..20_i32) {
            let mut lazy = Lazy::new(4, f64::from(beta), 2);
            let mut before = 2;
            for row in &costs {
                let (low, high) = lazy.step(row);
                let count = before.max(low).min(high);
                prop_assert!(count == before || (count == low && low > before) || (count == high && high < before));
                before = count;
            }
        }
    }

    /// One replica is needed for a while, then none: it is kept until idling has cost a launch, as in ski rental.
    #[test]
    fn an_idle_replica_is_kept_as_long_as_a_launch_costs() {
        let mut lazy = Lazy::new(1, 5.0, 1);
        // Idling costs 1 a period.
        let kept = (0..20).take_while(|_| lazy.step(&[0.0, 1.0]).1 == 1).count();
        assert_eq!(kept, 5);
        // And one is launched when doing without it has cost a launch, here 2 a period.
        let mut lazy = Lazy::new(1, 5.0, 0);
        let without = (0..20).take_while(|_| lazy.step(&[2.0, 0.0]).0 == 0).count();
        assert_eq!(without, 2);
    }

    fn level(penalty: Penalty) -> ServiceLevel {
        ServiceLevel {
            bound_seconds: 3.0,
            share: 0.95,
            window_ticks: 20,
            penalty,
            dollars_per_user_gave_up: 1.0,
        }
    }

    /// M/M/1 at λ = 0.5, S = 1: T is exponential with rate 0.5, so P(T > 3) = e^−1.5 and E (T − 3)⁺ = 2 e^−1.5.
    #[test]
    fn penalties_are_those_of_the_markov_queue() {
        let dollars = |penalty, rate, slots: f64, blocked| {
            let expected = ExpectedPenalty {
                level: level(penalty),
                tick_seconds: 15.0,
                seconds: 30.0,
                requests_per_second: rate,
                service_seconds: 1.0,
            };
            expected.dollars(slots, blocked)
        };
        let per_user = Penalty::PerUser { dollars_per_user: 0.1 };
        let blocked = 0.5 / 1.5;
        assert_relative_eq!(
            dollars(per_user, 0.5, 1.0, blocked),
            15.0 * 0.1 * (-1.5_f64).exp(),
            max_relative = 1e-12
        );
        let per_millisecond = Penalty::PerMillisecond { dollars_per_millisecond: 1e-4 };
        let excess = 15.0 * 2000.0 * (-1.5_f64).exp();
        assert_relative_eq!(dollars(per_millisecond, 0.5, 1.0, blocked), excess * 1e-4, max_relative = 1e-12);
        // E T = 2, below the bound; at λ = 0.8 it is 5, two seconds above it, once in each of two ticks.
        let mean = Penalty::MeanLatency { dollars_per_millisecond: 1e-4 };
        assert_eq!(dollars(mean, 0.5, 1.0, blocked), 0.0);
        assert_relative_eq!(dollars(mean, 0.8, 1.0, 0.8 / 1.8), 2.0 * 0.2, max_relative = 1e-9);
        // P(T > 3) = 22 % where 5 % are allowed: every window is violated, 30 s are a tenth of one. With two slots
        // and an offered load of a thousandth hardly anyone waits, but 5 % of services alone are that long.
        let window = Penalty::PerWindow { dollars_per_window: 7.0 };
        assert_relative_eq!(dollars(window, 0.5, 1.0, blocked), 0.7, max_relative = 1e-3);
        // Overload: everybody is late, and λ − 1 requests a second are lost at a dollar each.
        assert_relative_eq!(dollars(per_user, 1.5, 1.0, 0.6), 45.0 * 0.1 + 15.0, max_relative = 1e-12);
        assert_relative_eq!(dollars(per_user, 1.5, 0.0, 1.0), 45.0 * 0.1 + 45.0, max_relative = 1e-12);
    }

    fn check(parameters: &str, series: &[Scrape], expected: &Expect) {
        let facts = testing::facts();
        let mut controller = testing::controller("lcp", &format!("window_seconds = 0\n{parameters}"), &facts);
        expected.assert_eq(&wanted(&mut *controller, &mut Desk::new(&facts), series));
    }

    fn scrape(rate: f64) -> Scrape {
        Scrape {
            requests_per_second: Some(rate).filter(|rate| rate.is_finite()),
            errors_per_second: Some(0.0),
            queue_length: Some(0.0),
            ..Scrape::default()
        }
    }

    /// 16 slots, 75 % busy: the service time is 0.5 s.
    fn measured() -> Scrape {
        Scrape { cpu_utilization: Some(0.75), ..scrape(24.0) }
    }

    #[test]
    fn a_rise_is_met_at_once_if_it_is_dear_and_a_fall_after_a_launchs_worth_of_idling() {
        let mut series = vec![measured(), scrape(24.0), scrape(100.0)];
        series.extend([scrape(24.0); 12]);
        check("launch_seconds = 60", &series, &expect!["4 4 14 14 14 14 14 5 5 5 5 5 5 5 5"]);
        check("launch_seconds = 150", &series, &expect!["4 4 14 14 14 14 14 14 14 14 14 14 14 5 5"]);
    }

    #[test]
    fn without_data_what_is_declared_stays() {
        let lost = f64::NAN;
        check(
            "stale_seconds = 15",
            &[scrape(lost), measured(), scrape(lost), scrape(lost)],
            &expect!["4? 4 4 4?"],
        );
    }
}
