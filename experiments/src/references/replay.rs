//! Clairvoyant replay: plans for the realised arrivals and their realised work, carried out on the plant; the cheapest
//! is kept. All of them are to be had by somebody who knows the future, none is proven to be the best.
//!
//! A plan is the optimum of [`OnePool`] over warm-up, horizon and what is deferred beyond it, a stage a tick: prices as
//! realised, the nominal start-up as delay, and the expected penalty of the queueing model with the true moments of work
//! at the load of the tick. Work is spread evenly forward from its user's arrival over the time that it takes or a share
//! of the bound, whichever is longer; or, where the bound is short, evenly around it, so that a plan need not follow the
//! noise of single ticks. Which spread, which margin on the load, and whether queues that were not planned for are worked
//! off on top of the plan, is found one after the other by the dollars that it really costs (`docs/decisions/0019`).
//!
//! Several pools are filled in the order of list price for a slot of speed 1; what the spot market has taken back or
//! does not sell is asked of the next pool.

use tidegate_core::scenario::Pool;
use tidegate_core::{
    Controller, ControllerStream, Decision, Observation, POOLS_MAX, PoolTarget, Prices, Reason, Replicas,
    Scenario, Seed, Split, Tick, decision::Targets,
};
use tidegate_mpc::formulate::{StageLoad, prices_of, stage_costs, stage_price};
use tidegate_mpc::{Band, DynamicProgramming, Limits, OnePool, PenaltySurface, Surfaces};
use tidegate_sim::surroundings::Surroundings;
use tidegate_sim::{User, users_of_run};
use tidegate_sysid::queueing_fit::QueueingModel;

use super::REPLAY;
use crate::cli::Engine;
use crate::oracle::queueing_model;
use crate::scenarios::Study;
use crate::scores::RunRow;
use crate::staffing::Staffing;
use crate::trial;

/// Shares of the bound over which work may be deferred.
const DEFERRED: [f64; 3] = [0.25, 0.5, 0.75];

/// Seconds over which the load may be smoothed where the bound is shorter.
const SMOOTHED_SECONDS: [f64; 2] = [60.0, 300.0];

/// But over no more than so many bounds: who may wait for five seconds is not helped by a fleet that is right over five
/// minutes.
const SMOOTHED_BOUNDS: f64 = 20.0;

/// Factors on the load, upwards and downwards; each is tried as long as the one before was an improvement.
const MARGINS: [&[f64]; 2] = [&[1.1, 1.25, 1.5, 2.0, 3.0], &[0.9, 0.8, 0.7]];

/// Orders are placed for a start-up that takes this much longer than on average.
const STARTUP_MARGIN: f64 = 1.15;

/// Share of the penalty in the dollars above which it is tried to work off queues that were not planned for.
const PENALTY_FELT: f64 = 0.02;

/// Time in which an unplanned queue is to be worked off, in seconds.
const RECOVERY_SECONDS: f64 = 60.0;

/// Rows of the penalty surface over the largest load.
const N_ROWS: f64 = 200.0;

/// The cheapest of the plans, carried out.
#[derive(Clone, Debug)]
pub struct Replay {
    /// As of a controller.
    pub row: RunRow,
    /// Which plan.
    pub plan: String,
    /// How many were carried out.
    pub n_plans: usize,
}

/// What makes one plan of the family.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Member {
    spread: Spread,
    margin: f64,
    /// Whether what waits is served on top of the plan.
    recovers: bool,
}

/// Where the work of a user is planned for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Spread {
    /// Evenly over so many seconds from the arrival on.
    Forward(f64),
    /// Evenly over so many seconds, half of them before it.
    Around(f64),
}

/// The cheapest plan of the family in the evaluation world of this index.
pub fn cheapest(engine: Engine, study: &Study, staffing: Option<&Staffing>, index: u64) -> Replay {
    let (scenario, seed) = study.world(Split::Evaluation, index);
    let mut planner = Planner::new(scenario, seed);
    let mut best = Member { spread: Spread::Forward(0.0), margin: 1.0, recovers: false };
    let mut done: Vec<(bool, Vec<Replicas>)> = Vec::new();
    // None for a plan that was carried out before.
    let mut carry_out = |member: Member| {
        let plan = (member.recovers, planner.plan(member));
        if done.contains(&plan) {
            return None;
        }
        done.push(plan.clone());
        let mut controller = Clairvoyant::new(scenario, plan.1, member.recovers);
        Some(trial::run(engine, study, (Split::Evaluation, index), staffing, REPLAY, &mut controller).0.row)
    };
    let mut row = carry_out(best).expect("the first plan is new");
    let mut improves = |member: Member, best: &mut Member, row: &mut RunRow| {
        let found = carry_out(member).filter(|found| found.dollars_total < row.dollars_total);
        let is_cheaper = found.is_some();
        if let Some(found) = found {
            (*best, *row) = (member, found);
        }
        is_cheaper
    };
    for spread in spreads(scenario) {
        improves(Member { spread, ..best }, &mut best, &mut row);
    }
    if row.dollars_penalty > PENALTY_FELT * row.dollars_total {
        improves(Member { recovers: true, ..best }, &mut best, &mut row);
    }
    for margins in MARGINS {
        for margin in margins {
            if !improves(Member { margin: *margin, ..best }, &mut best, &mut row) {
                break;
            }
        }
        if best.margin > 1.0 {
            break;
        }
    }
    Replay { row, plan: best.to_string(), n_plans: done.len() }
}

impl std::fmt::Display for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.spread {
            Spread::Forward(0.0) => write!(f, "as it comes")?,
            Spread::Forward(seconds) => write!(f, "over {seconds} s forward")?,
            Spread::Around(seconds) => write!(f, "over {seconds} s around")?,
        }
        write!(f, ", load × {}{}", self.margin, if self.recovers { ", queues worked off" } else { "" })
    }
}

/// The other spreads that make a difference.
fn spreads(scenario: &Scenario) -> Vec<Spread> {
    let bound = scenario.level.bound_seconds;
    let deferred = DEFERRED.map(|share| share * bound);
    let is_felt = |seconds: &f64| *seconds > scenario.tick_seconds;
    let smoothed = SMOOTHED_SECONDS
        .into_iter()
        .filter(|seconds| *seconds > 0.5 * bound && *seconds <= SMOOTHED_BOUNDS * bound);
    smoothed
        .filter(is_felt)
        .map(Spread::Around)
        .chain(deferred.into_iter().filter(is_felt).map(Spread::Forward))
        .collect()
}

/// Ticks from order to service; from the warm pool where there is one that is filled.
fn startup_ticks(scenario: &Scenario) -> u32 {
    let pool = &scenario.pools[merit_order(scenario)[0]];
    let filled = pool.warm_pool.as_ref().filter(|warm| warm.replicas_initial > 0 || warm.reuse_on_scale_in);
    let process = filled.map_or(pool.startup.mean(), |warm| warm.startup.mean());
    let seconds = STARTUP_MARGIN * process + pool.hook_seconds + pool.registration_seconds;
    (seconds / scenario.tick_seconds).ceil() as u32
}

/// Pools by list price for a slot of speed 1, the cheapest first.
fn merit_order(scenario: &Scenario) -> Vec<usize> {
    let price = |pool: &Pool| pool.dollars_per_replica_hour / slots(pool);
    let mut order: Vec<usize> = (0..scenario.pools.len()).collect();
    order.sort_by(|a, b| price(&scenario.pools[*a]).total_cmp(&price(&scenario.pools[*b])));
    order
}

fn slots(pool: &Pool) -> f64 {
    f64::from(pool.concurrency) * pool.speed
}

/// Makes plans for one world, in replicas of the cheapest pool.
struct Planner<'a> {
    scenario: &'a Scenario,
    users: Vec<User>,
    model: QueueingModel,
    prices: Prices,
    surfaces: Surfaces,
    solver: DynamicProgramming,
    problem: OnePool,
    /// What all pools together can serve, in requests a second.
    most: f64,
}

impl<'a> Planner<'a> {
    fn new(scenario: &'a Scenario, seed: Seed) -> Self {
        let first = merit_order(scenario)[0];
        let pool = &scenario.pools[first];
        let in_first = |of: fn(&Pool) -> Replicas| -> Replicas {
            let all: f64 = scenario.pools.iter().map(|pool| f64::from(of(pool)) * slots(pool)).sum();
            (all / slots(pool)).floor() as Replicas
        };
        let bounds =
            Band::new(in_first(|pool| pool.bounds.replicas_min), in_first(|pool| pool.bounds.replicas_max));
        // A stage of the model is long enough that a few of them hold a fleet for twice the bound.
        let model_seconds = scenario.tick_seconds.max(scenario.level.bound_seconds / 4.0);
        let prices = prices_of(&scenario.prices(), scenario.tick_seconds, model_seconds);
        let hold_ticks = PenaltySurface::hold_ticks(model_seconds, scenario.level.bound_seconds);
        let users = users_of_run(scenario, seed);
        let most = f64::from(bounds.high) * slots(pool) / scenario.work.mean();
        let surfaces = PenaltySurface::new(most / N_ROWS, bounds.high, hold_ticks).into();
        let n_ticks = scenario.arrival_ticks() as usize + deferred_ticks(scenario);
        let limits = Limits {
            bounds: vec![bounds; n_ticks],
            ramp_up: Replicas::MAX,
            ramp_down: Replicas::MAX,
            initial: in_first(|pool| pool.replicas_initial).clamp(bounds.low, bounds.high),
            delay_ticks: startup_ticks(scenario),
            ..Limits::default()
        };
        let mut surroundings = Surroundings::new(scenario);
        surroundings.reset(seed);
        let dollars_per_replica = (0..n_ticks as u32)
            .map(|tick| {
                surroundings.begin_tick(Tick(tick));
                let carbon = surroundings.carbon_grams_per_kwh() * pool.carbon_factor / 1000.0;
                let kwh = scenario.energy.dollars_per_kwh + scenario.energy.dollars_per_carbon_kg * carbon;
                let hourly =
                    surroundings.dollars_per_replica_hour(first) + kwh * pool.resources.watts_idle / 1000.0;
                stage_price(hourly, scenario.tick_seconds)
            })
            .collect();
        let problem = OnePool { limits, dollars_per_replica, ..OnePool::default() };
        let model = queueing_model(scenario, pool, model_seconds);
        Self {
            scenario,
            users,
            model,
            prices,
            surfaces,
            solver: DynamicProgramming::default(),
            problem,
            most,
        }
    }

    /// What to want in each tick.
    fn plan(&mut self, member: Member) -> Vec<Replicas> {
        let Self { scenario, model, prices, surfaces, problem, .. } = self;
        let n_ticks = problem.limits.bounds.len();
        let most = self.most;
        let loads: Vec<StageLoad> = spread_load(scenario, &self.users, member.spread, n_ticks)
            .into_iter()
            // Above twice what the whole fleet can serve nothing is decided any more.
            .map(|load| StageLoad::certain((member.margin * load).min(2.0 * most)))
            .collect();
        let bands = problem.limits.needed().expect("bounds without ramps can be kept");
        let mut table = std::mem::take(&mut problem.stage);
        let service = (&*model, &*prices);
        stage_costs(surfaces, service, &loads, scenario.tick_seconds, 0, &bands, &mut table);
        problem.stage = table;
        let mut wanted = Vec::new();
        self.solver.plan(problem, &mut wanted).expect("the program is right as written");
        wanted
    }
}

/// Ticks after the last arrival that plans reach into.
fn deferred_ticks(scenario: &Scenario) -> usize {
    let seconds = scenario.level.bound_seconds.min(4.0 * 3600.0);
    (seconds / scenario.tick_seconds).ceil() as usize
}

/// Requests of mean work a second, in each tick.
fn spread_load(scenario: &Scenario, users: &[User], spread: Spread, n_ticks: usize) -> Vec<f64> {
    let tick_seconds = scenario.tick_seconds;
    let speed = scenario.pools.iter().map(|pool| pool.speed).fold(0.0, f64::max);
    let end = n_ticks as f64 * tick_seconds;
    // Whole ticks as differences, parts of ticks as they are.
    let (mut parts, mut steps) = (vec![0.0; n_ticks + 1], vec![0.0; n_ticks + 1]);
    for user in users {
        let mut work_seconds = user.work_seconds;
        let mut own = work_seconds / speed;
        if own > user.patience_seconds {
            // Nobody can serve them within their patience; every attempt is worked on in vain all the same.
            let attempts = f64::from(scenario.client.attempts_max);
            (work_seconds, own) = (attempts * work_seconds, attempts * user.patience_seconds);
        }
        let (from, length) = match spread {
            Spread::Forward(seconds) => (user.arrival_seconds, own.max(seconds)),
            Spread::Around(seconds) => {
                let length = own.max(seconds);
                (user.arrival_seconds - (length - own) / 2.0, length)
            }
        };
        let (from, to) = (from.max(0.0), (from + length).min(end));
        if to <= from {
            continue;
        }
        let density = work_seconds / (to - from);
        let (first, last) = ((from / tick_seconds) as usize, ((to / tick_seconds) as usize).min(n_ticks));
        if first == last {
            parts[first] += density * (to - from);
            continue;
        }
        parts[first] += density * ((first + 1) as f64 * tick_seconds - from);
        parts[last] += density * (to - last as f64 * tick_seconds);
        steps[first + 1] += density * tick_seconds;
        steps[last] -= density * tick_seconds;
    }
    let scale = 1.0 / (scenario.work.mean() * tick_seconds);
    let mut level = 0.0;
    parts
        .iter()
        .zip(&steps)
        .take(n_ticks)
        .map(|(part, step)| {
            level += step;
            (scale * (part + level)).max(0.0)
        })
        .collect()
}

/// Wants what was planned.
struct Clairvoyant {
    tick_seconds: f64,
    /// In replicas of the first pool of the order.
    plan: Vec<Replicas>,
    order: Vec<usize>,
    slots: Vec<f64>,
    bounds: Vec<Band>,
    is_spot: Vec<bool>,
    is_routed: bool,
    /// Seconds of work that a waiting request stands for, where queues are worked off.
    waiting_work_seconds: Option<f64>,
    queue_length: f64,
}

impl Clairvoyant {
    fn new(scenario: &Scenario, plan: Vec<Replicas>, recovers: bool) -> Self {
        let pools = &scenario.pools;
        Self {
            tick_seconds: scenario.tick_seconds,
            plan,
            order: merit_order(scenario),
            slots: pools.iter().map(slots).collect(),
            bounds: pools
                .iter()
                .map(|pool| Band::new(pool.bounds.replicas_min, pool.bounds.replicas_max))
                .collect(),
            is_spot: pools.iter().map(|pool| pool.spot.is_some()).collect(),
            is_routed: pools.iter().any(|pool| pool.route_weight > 0.0),
            waiting_work_seconds: recovers.then(|| scenario.work.mean()),
            queue_length: 0.0,
        }
    }
}

impl Controller for Clairvoyant {
    fn period_seconds(&self) -> f64 {
        self.tick_seconds
    }

    fn reset(&mut self, _chance: ControllerStream) {
        self.queue_length = 0.0;
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let planned = self.plan.get(observation.tick.0 as usize).copied();
        // Who is left when the plan ends is served by what is least, but by something.
        let planned = planned.unwrap_or(1);
        let mut missing = f64::from(planned) * self.slots[self.order[0]];
        self.queue_length = observation
            .scrapes
            .iter()
            .rev()
            .find_map(|scrape| scrape.queue_length)
            .unwrap_or(self.queue_length);
        if let Some(work_seconds) = self.waiting_work_seconds {
            let slots = self.slots[self.order[0]];
            // In whole replicas, so that the few who wait at any time change nothing.
            missing += slots * (self.queue_length * work_seconds / (RECOVERY_SECONDS * slots)).floor();
        }
        let mut targets = [PoolTarget::default(); POOLS_MAX];
        for (place, &pool) in self.order.iter().enumerate() {
            let rest = self.order[place + 1..].iter();
            let least_elsewhere: f64 =
                rest.map(|pool| f64::from(self.bounds[*pool].low) * self.slots[*pool]).sum();
            let here = ((missing - least_elsewhere) / self.slots[pool]).ceil().max(0.0) as Replicas;
            let wanted = here.clamp(self.bounds[pool].low, self.bounds[pool].high);
            let status = &observation.pools[pool];
            let lost = if self.is_spot[pool] { status.declared.saturating_sub(status.observed) } else { 0 };
            missing -= f64::from(wanted.saturating_sub(lost)) * self.slots[pool];
            targets[pool] = PoolTarget::wanted(wanted);
            if self.is_routed {
                targets[pool].route_weight = Some(f64::from(wanted) * self.slots[pool]);
            }
        }
        let targets = Targets::of(&targets[..self.slots.len()]);
        Decision { targets, ..Decision::one(0, Reason::new("as planned")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenarios::tests::example;

    /// Spreading moves work about and loses none, but for what falls behind the plan's end.
    #[test]
    fn spreading_keeps_the_work() {
        let study = example();
        let scenario = study.scenario();
        let users = users_of_run(scenario, Seed::training(3));
        let n_ticks = scenario.arrival_ticks() as usize + 100;
        let work: f64 = users.iter().map(|user| user.work_seconds).sum();
        for spread in [Spread::Forward(0.0), Spread::Forward(100.0), Spread::Around(300.0)] {
            let load = spread_load(scenario, &users, spread, n_ticks);
            let sum = load.iter().sum::<f64>() * scenario.tick_seconds * scenario.work.mean();
            assert!((sum / work - 1.0).abs() < 1e-9, "{spread:?}: {sum} is not {work}");
        }
        // One user, by hand: three seconds from 13 s on, spread over 20 s, are 0.3, 2.25 and 0.45 s of work.
        let one = User { arrival_seconds: 13.0, work_seconds: 3.0, patience_seconds: 9.0, is_counted: true };
        let load = spread_load(scenario, &[one], Spread::Forward(20.0), 4);
        let expected = [0.3, 2.25, 0.45, 0.0].map(|work| work / (scenario.work.mean() * 15.0));
        for (found, expected) in load.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{load:?}");
        }
        // Who cannot be served within their patience is worked on once an attempt.
        let hopeless = User { patience_seconds: 2.0, ..one };
        let sum: f64 = spread_load(scenario, &[hopeless], Spread::Forward(0.0), 40).iter().sum();
        let expected = 3.0 * f64::from(scenario.client.attempts_max) / (scenario.work.mean() * 15.0);
        assert!((sum - expected).abs() < 1e-12, "{sum} is not {expected}");
    }
}
