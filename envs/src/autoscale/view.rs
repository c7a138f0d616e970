//! What an agent sees of a service: numbers of order one, made from what an autoscaler can measure.
//!
//! Everything is measured by what the operator knows (bounds, slots, service level, prices) or can measure, never by the
//! truth. A sensor that says nothing leaves its last value standing; how old the newest scrape is can be seen. Unbounded
//! quantities x with a natural unit u are shown as x / (x + u), which is ½ at u.

use std::f64::consts::TAU;

use tidegate_core::service_time::{HALF_LIFE_SECONDS, ServiceTime};
use tidegate_core::{
    LocalTime, Observation, OperatorFacts, PoolFacts, Quantity, Replicas, SECONDS_PER_DAY, Scrape,
};

use super::clock::WallClock;
use super::load::{Load, first_attempts};
use crate::quantity;

/// Turns observations into vectors. The same view serves the environment, in which an agent learns, and the
/// controller, as which it is reported.
pub trait View {
    /// A fixed number of `f32`.
    type Vector: Copy + AsRef<[f32]> + AsMut<[f32]>;
    /// One for each place of the vector.
    fn quantities(&self) -> Vec<Quantity>;
    /// Forgets the last run.
    fn reset(&mut self);
    /// What there is to see now. Every observation of a run must be shown, in order: each lends only what is new.
    fn see(&mut self, observation: &Observation<'_>) -> Self::Vector;
    /// What is asked of the service, as measured by now; none where nothing is measured yet, and by a view that does not
    /// estimate it.
    fn asked(&self) -> Option<Asked> {
        None
    }
}

/// A load scale for an operator who has measured nothing yet: what all slots of the largest fleet would take if a
/// request took a second.
pub fn load_scale_unmeasured(facts: &OperatorFacts) -> f64 {
    slots_max(facts)
}

/// The source document's state: load, instances, time of day, day of week.
#[derive(Clone, Debug)]
pub struct SourceView {
    clock: WallClock,
    load_scale_requests_per_second: f64,
    replicas_max: f64,
    load: f32,
}

impl SourceView {
    /// Load is shown in multiples of `load_scale_requests_per_second`, for example the peak of the training part.
    ///
    /// # Panics
    /// If that is not positive.
    pub fn new(facts: &OperatorFacts, load_scale_requests_per_second: f64) -> Self {
        assert!(load_scale_requests_per_second > 0.0, "a load scale must be positive");
        Self {
            clock: WallClock::new(facts.calendar),
            load_scale_requests_per_second,
            replicas_max: facts.pools.iter().map(|pool| f64::from(pool.bounds.replicas_max)).sum(),
            load: 0.0,
        }
    }
}

impl View for SourceView {
    type Vector = [f32; 4];

    fn quantities(&self) -> Vec<Quantity> {
        vec![
            quantity("load", "load scale", 0.0, f32::INFINITY),
            quantity("instances", "replicas max", 0.0, 1.0),
            quantity("time of day", "day", 0.0, 1.0),
            quantity("day of week", "week", 0.0, 1.0),
        ]
    }

    fn reset(&mut self) {
        self.load = 0.0;
    }

    #[inline]
    fn see(&mut self, observation: &Observation<'_>) -> [f32; 4] {
        for rate in observation.scrapes.iter().filter_map(first_attempts) {
            self.load = (rate / self.load_scale_requests_per_second) as f32;
        }
        let instances: f64 = observation.pools.iter().map(|pool| f64::from(pool.observed)).sum();
        let LocalTime { day_of_week, second_of_day } = self.clock.local(observation.now_seconds);
        [
            self.load,
            part(instances, self.replicas_max),
            (f64::from(second_of_day) / SECONDS_PER_DAY) as f32,
            (f64::from(day_of_week) / 7.0) as f32,
        ]
    }
}

/// What the number is called that is 1 on a Saturday or Sunday, else 0.
pub const WEEKEND: &str = "weekend";

/// What a service is asked to serve, as far as it can be measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked {
    /// a, slots that what comes and what waits ask for.
    pub slots: f64,
    /// σ, by how much that goes up and down by itself, in slots; at least 1. It is what margins are counted in.
    pub spread: f64,
}

/// Load, trends and noise, saturation, latency, the state of every pool, and the calendar, in units of the service itself: so an
/// agent that learnt on one sees another one of other size as it saw its own.
///
/// ```text
/// a = m S + q S / max(S, bound/4)
/// σ² = max(a, 1) + v² (m S)²
/// ```
///
/// | symbol | word | unit |
/// | --- | --- | --- |
/// | m, v | mean rate of the last minute, coefficient of variation from minute to minute (`load.rs`) | 1/s, 1 |
/// | S | measured service time ([`ServiceTime`]) | s |
/// | q | attempts that wait | 1 |
/// | a | slots asked for: the offered load by Little's law, and what serves those who wait in time | 1 |
/// | σ | spread: that of the busy slots of a service with enough of them, and the noise of the load on top | 1 |
///
/// With Poisson arrivals v is small and σ = √a, so that margins are those of square-root staffing; where load jumps, a service
/// needs more, as staffing for overdispersed arrivals has it (Mathijsen, Janssen, van Leeuwaarden and Zwart, "Robust
/// heavy-traffic approximations for service systems facing overdispersed demand", Queueing Systems 90, 2018). While no S is
/// known, a = q. Everything that is counted in slots is shown as x / (|x| + 2 σ).
///
/// `WIDTH` is [`rich_width`] of the number of pools; left out, it is that of one pool.
#[derive(Clone, Debug)]
pub struct RichView<const WIDTH: usize = { rich_width(1) }> {
    clock: WallClock,
    circle: DayCircle,
    bound_seconds: f64,
    scrape_seconds: f64,
    /// Agents care for the change over a start-up.
    scrapes_per_startup: f64,
    pools: Vec<PoolScale>,
    load: Load,
    service_time: ServiceTime,
    measured: Measured,
    newest_seconds: Option<f64>,
}

/// Numbers that a [`RichView`] of so many pools shows.
pub const fn rich_width(n_pools: usize) -> usize {
    SERVICE + PER_POOL * n_pools
}

#[derive(Clone, Copy, Debug)]
struct PoolScale {
    replicas_max: f64,
    slots: f64,
    dollars_per_replica_hour: f64,
}

/// What scrapes said last; a scrape that says nothing leaves it standing.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    errors: f32,
    utilization: f32,
    queue_length: f64,
    concurrency: f64,
    latency_p95: f32,
}

impl<const WIDTH: usize> RichView<WIDTH> {
    /// A view of the service of these facts.
    ///
    /// # Panics
    /// If they have other than `WIDTH`'s number of pools.
    pub fn new(facts: &OperatorFacts) -> Self {
        let width = rich_width(facts.pools.len());
        assert_eq!(WIDTH, width, "{} pools are seen in {width} numbers", facts.pools.len());
        let startup_seconds = facts.pools.iter().map(|pool| pool.startup_seconds).fold(0.0, f64::max);
        let scale = |pool: &PoolFacts| PoolScale {
            replicas_max: f64::from(pool.bounds.replicas_max),
            slots: f64::from(pool.concurrency),
            dollars_per_replica_hour: pool.dollars_per_replica_hour,
        };
        Self {
            clock: WallClock::new(facts.calendar),
            circle: DayCircle::new(),
            bound_seconds: facts.prices.level.bound_seconds,
            scrape_seconds: facts.scrape_seconds,
            scrapes_per_startup: (startup_seconds / facts.scrape_seconds).max(1.0),
            pools: facts.pools.iter().map(scale).collect(),
            load: Load::new(facts),
            service_time: ServiceTime::new(HALF_LIFE_SECONDS, facts),
            measured: Measured::default(),
            newest_seconds: None,
        }
    }

    #[inline]
    fn scraped(&mut self, scrape: &Scrape) {
        self.newest_seconds = Some(scrape.at_seconds);
        self.load.scraped(scrape);
        let last = self.measured;
        let failed = scrape.errors_per_second.zip(scrape.requests_per_second);
        self.measured = Measured {
            errors: failed.map_or(last.errors, |(errors, requests)| part(errors, requests)),
            utilization: scrape.cpu_utilization.map_or(last.utilization, |used| part(used, 1.0)),
            queue_length: scrape.queue_length.map_or(last.queue_length, |queue| queue.max(0.0)),
            concurrency: scrape.concurrency.unwrap_or(last.concurrency),
            latency_p95: scrape
                .latency_p95_seconds
                .map_or(last.latency_p95, |latency| squash(latency, self.bound_seconds)),
        };
    }
}

impl<const WIDTH: usize> View for RichView<WIDTH> {
    type Vector = [f32; WIDTH];

    fn quantities(&self) -> Vec<Quantity> {
        const SLOTS: &str = "x/(|x| + 2 spreads)";
        let signed = |name: &str| quantity(name, SLOTS, -1.0, 1.0);
        let share = |name: &str, unit: &'static str| quantity(name, unit, 0.0, 1.0);
        let mut quantities = vec![
            signed("newest rate above the minute's"),
            signed("trend over a start-up"),
            signed("load above that of ten minutes"),
            signed("load above that of an hour"),
            share("slots asked", "x/(x + 100)"),
            share("noise of the load", "x/(x + slots asked/4), variances"),
            share("service time", "x/(x + bound)"),
            share("errors", "share of attempts"),
            share("utilization", "1"),
            share("queue", SLOTS),
            share("concurrency", "x/(x + slots ready)"),
            share("latency p95", "x/(x + bound)"),
            share("age of scrape", "x/(x + scrape interval)"),
            quantity("time of day, sine", "1", -1.0, 1.0),
            quantity("time of day, cosine", "1", -1.0, 1.0),
            share(WEEKEND, "1"),
            quantity("carbon", "kg/kWh", 0.0, f32::INFINITY),
            signed("slots ready above asked"),
            signed("slots wanted above asked"),
            share("slots to the limit", SLOTS),
        ];
        for pool in 0..self.pools.len() {
            let of = |what: &str| format!("pool {pool} {what}");
            quantities.extend([
                share(&of("ready"), "x/(x + slots asked)"),
                share(&of("starting"), SLOTS),
                share(&of("wanted"), "x/(x + slots asked)"),
                share(&of("draining"), SLOTS),
                share(&of("notices"), SLOTS),
                quantity(&of("price"), "list price", 0.0, f32::INFINITY),
            ]);
        }
        quantities
    }

    fn reset(&mut self) {
        self.load.clear();
        self.service_time.clear();
        self.measured = Measured::default();
        self.newest_seconds = None;
    }

    #[inline]
    fn asked(&self) -> Option<Asked> {
        let queue_length = self.measured.queue_length;
        let Some(service_seconds) = self.service_time.seconds() else {
            // With no replica nothing is served and no service time is measured: a slot for each who waits makes a beginning.
            let some = Asked { slots: queue_length, spread: queue_length.max(1.0).sqrt() };
            return (queue_length > 0.0).then_some(some);
        };
        let offered_load = self.load.per_second() * service_seconds;
        let clear_seconds = (CLEAR_BOUNDS * self.bound_seconds).max(service_seconds);
        let slots = offered_load + queue_length * service_seconds / clear_seconds;
        let noise = self.load.squared_variation() * offered_load * offered_load;
        Some(Asked { slots, spread: (slots.max(1.0) + noise).sqrt() })
    }

    #[inline]
    fn see(&mut self, observation: &Observation<'_>) -> [f32; WIDTH] {
        for scrape in observation.scrapes {
            self.scraped(scrape);
        }
        self.service_time.feed(observation);
        let asked = self.asked();
        let Asked { slots, spread } = asked.unwrap_or(Asked { slots: 0.0, spread: 1.0 });
        let at_least_one = slots.max(1.0);
        let service_seconds = self.service_time.seconds().unwrap_or(0.0);
        let in_slots = |per_second: f64| per_second * service_seconds;
        let in_spreads = |slots: f64| (slots / (slots.abs() + 2.0 * spread)) as f32;
        let rate = self.load.per_second();
        let [quick, slow] = self.load.levels_per_second();
        let (mut ready, mut wanted, mut room) = (0.0, 0.0, 0.0);
        for (status, pool) in observation.pools.iter().zip(&self.pools) {
            ready += f64::from(status.ready) * pool.slots;
            wanted += f64::from(status.declared) * pool.slots;
            room += (pool.replicas_max - f64::from(status.declared)).max(0.0) * pool.slots;
        }
        let Measured { errors, utilization, concurrency, latency_p95, .. } = self.measured;
        let age =
            self.newest_seconds.map_or(1.0, |at| squash(observation.now_seconds - at, self.scrape_seconds));
        let LocalTime { day_of_week, second_of_day } = self.clock.local(observation.now_seconds);
        let (sin, cos) = self.circle.sin_cos(second_of_day);
        let mut values = [0.0; WIDTH];
        values[..SERVICE].copy_from_slice(&[
            in_spreads(in_slots(self.load.newest_per_second() - rate)),
            in_spreads(in_slots(self.load.slope() * self.scrapes_per_startup)),
            in_spreads(in_slots(rate - quick)),
            in_spreads(in_slots(rate - slow)),
            squash(slots, 100.0),
            squash(spread * spread - at_least_one, at_least_one / 4.0),
            squash(service_seconds, self.bound_seconds),
            errors,
            utilization,
            in_spreads((slots - in_slots(rate)).max(0.0)),
            squash(concurrency, ready.max(1.0)),
            latency_p95,
            age,
            sin as f32,
            cos as f32,
            f32::from(u8::from(day_of_week >= 5)),
            observation.carbon_grams_per_kwh.map_or(0.0, |grams| (grams.max(0.0) / 1e3) as f32),
            in_spreads(ready - slots),
            in_spreads(wanted - slots),
            in_spreads(room),
        ]);
        let places = values[SERVICE..].chunks_exact_mut(PER_POOL);
        for ((places, status), pool) in places.zip(observation.pools).zip(&self.pools) {
            let of = |replicas: Replicas| f64::from(replicas) * pool.slots;
            places.copy_from_slice(&[
                squash(of(status.ready), at_least_one),
                in_spreads(of(status.starting)),
                squash(of(status.declared), at_least_one),
                in_spreads(of(status.draining)),
                in_spreads(of(status.notices)),
                if pool.dollars_per_replica_hour > 0.0 {
                    (status.dollars_per_replica_hour / pool.dollars_per_replica_hour) as f32
                } else {
                    1.0
                },
            ]);
        }
        values
    }
}

/// The hand of a clock that goes round once a day, by the sum of two tabulated angles: a call of sine and cosine took
/// more than all other numbers of a view.
#[derive(Clone, Debug)]
struct DayCircle {
    /// Sine and cosine at every fifth minute.
    coarse: Vec<[f64; 2]>,
    /// And at every second of the first five.
    fine: Vec<[f64; 2]>,
}

const FINE: u32 = 300;
const COARSE: u32 = SECONDS_PER_DAY as u32 / FINE;

impl DayCircle {
    fn new() -> Self {
        let at = |second: u32| {
            let (sin, cos) = (f64::from(second) * (TAU / SECONDS_PER_DAY)).sin_cos();
            [sin, cos]
        };
        Self { coarse: (0..COARSE).map(|cell| at(cell * FINE)).collect(), fine: (0..FINE).map(at).collect() }
    }

    #[inline]
    fn sin_cos(&self, second_of_day: u32) -> (f64, f64) {
        let [sin, cos] = self.coarse[(second_of_day / FINE) as usize];
        let [sin_rest, cos_rest] = self.fine[(second_of_day % FINE) as usize];
        (sin * cos_rest + cos * sin_rest, cos * cos_rest - sin * sin_rest)
    }
}

const SERVICE: usize = 20;
/// A queue is to be served within so many bounds, so that those who come behind it are in time as well; or in one service
/// time, where that is longer.
const CLEAR_BOUNDS: f64 = 0.25;
const PER_POOL: usize = 6;

fn slots_max(facts: &OperatorFacts) -> f64 {
    facts.pools.iter().map(|pool| f64::from(pool.bounds.replicas_max) * f64::from(pool.concurrency)).sum()
}

/// `value` as a share of `whole`, within 0 to 1; 0 of nothing.
#[inline]
fn part(value: f64, whole: f64) -> f32 {
    if whole > 0.0 { (value / whole).clamp(0.0, 1.0) as f32 } else { 0.0 }
}

/// x / (x + u).
#[inline]
fn squash(value: f64, unit: f64) -> f32 {
    match value {
        f64::INFINITY => 1.0,
        positive if positive > 0.0 => (positive / (positive + unit)) as f32,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::scenario::EXAMPLE;
    use tidegate_core::{PoolStatus, Scenario, Tick};

    use super::*;

    fn facts() -> OperatorFacts {
        // One pool of at most 20 replicas with 4 slots, start-up 60 s, scrapes every 15 s, bound 2 s.
        Scenario::parse(EXAMPLE).expect("the example is right").facts()
    }

    fn observation<'a>(
        facts: &'a OperatorFacts,
        now_seconds: f64,
        scrapes: &'a [Scrape],
        pools: &'a [PoolStatus],
    ) -> Observation<'a> {
        Observation {
            now_seconds,
            tick: Tick(0),
            calendar: &facts.calendar,
            scrapes,
            external: &[],
            pools,
            replicas: &[],
            notices: &[],
            carbon_grams_per_kwh: None,
        }
    }

    fn value(view: &RichView, seen: &[f32], name: &str) -> f32 {
        let place = view.quantities().iter().position(|quantity| quantity.name == name);
        seen[place.expect("there is such a quantity")]
    }

    #[test]
    fn the_day_goes_round() {
        let circle = DayCircle::new();
        for second in 0..86_400 {
            let (sin, cos) = (f64::from(second) * (TAU / SECONDS_PER_DAY)).sin_cos();
            let seen = circle.sin_cos(second);
            assert!((seen.0 - sin).abs() < 1e-15 && (seen.1 - cos).abs() < 1e-15, "second {second}");
        }
    }

    /// Ten users a second keep half of twenty slots busy, so a request takes a second and ten slots are asked for; four of ten
    /// replicas' forty slots are still to come.
    fn steady(scrapes: u32) -> Vec<Scrape> {
        (0..scrapes)
            .map(|index| Scrape {
                at_seconds: 15.0 * f64::from(index + 1),
                window_seconds: 15.0,
                first_attempts_per_second: Some(10.0),
                requests_per_second: Some(10.0),
                errors_per_second: Some(0.0),
                cpu_utilization: Some(0.5),
                queue_length: Some(0.0),
                ..Scrape::default()
            })
            .collect()
    }

    fn pool() -> PoolStatus {
        PoolStatus {
            declared: 10,
            ready: 5,
            starting: 4,
            draining: 1,
            dollars_per_replica_hour: 0.15,
            ..PoolStatus::default()
        }
    }

    /// x / (|x| + 2 σ).
    fn in_spreads(slots: f64, spread: f64) -> f32 {
        (slots / (slots.abs() + 2.0 * spread)) as f32
    }

    #[test]
    fn counts_are_shown_in_spreads_of_the_slots_asked_for() {
        let facts = facts();
        let mut view = <RichView>::new(&facts);
        assert_eq!(view.asked(), None);
        let seen = view.see(&observation(&facts, 60.0, &steady(4), &[pool()]));
        let root = 10.0_f64.sqrt();
        assert_eq!(view.asked(), Some(Asked { slots: 10.0, spread: root }));
        for (name, expected) in [
            ("newest rate above the minute's", 0.0),
            ("trend over a start-up", 0.0),
            ("load above that of an hour", 0.0),
            ("slots asked", 10.0 / 110.0),
            ("noise of the load", 0.0),
            ("service time", 1.0 / 3.0),
            ("utilization", 0.5),
            ("queue", 0.0),
            ("slots ready above asked", in_spreads(10.0, root)),
            ("slots wanted above asked", in_spreads(30.0, root)),
            ("slots to the limit", in_spreads(40.0, root)),
            ("pool 0 ready", 2.0 / 3.0),
            ("pool 0 starting", in_spreads(16.0, root)),
            ("pool 0 wanted", 0.8),
            ("pool 0 draining", in_spreads(4.0, root)),
            ("pool 0 price", 1.5),
            ("age of scrape", 0.0),
        ] {
            assert!((value(&view, &seen, name) - expected).abs() < 1e-6, "{name}");
        }
        // 20 minutes of warm-up before eight o'clock, a minute into it.
        let angle = (7.0 * 60.0 + 41.0) / (24.0 * 60.0) * TAU;
        assert!((f64::from(value(&view, &seen, "time of day, sine")) - angle.sin()).abs() < 1e-6);
        let again = view.see(&observation(&facts, 75.0, &[], &[pool()]));
        assert_eq!(value(&view, &again, "utilization"), 0.5, "silence leaves the last value standing");
        assert_eq!(value(&view, &again, "age of scrape"), 0.5, "but one sees that it is one interval old");
        view.reset();
        let seen = view.see(&observation(&facts, 0.0, &[], &[pool()]));
        assert_eq!((view.asked(), value(&view, &seen, "slots asked")), (None, 0.0));
    }

    /// Services of other size in the same state look the same: four times the load and the fleet in spreads of twice the size.
    #[test]
    fn a_service_looks_like_one_of_another_size() {
        let small = facts();
        let mut large = facts();
        large.pools[0].concurrency *= 4;
        let place = |name: &str| {
            let view = <RichView>::new(&small);
            view.quantities().iter().position(|quantity| quantity.name == name).expect("it is there")
        };
        let seen = |facts: &OperatorFacts, margin: f64, factor: f64| {
            let scrapes: Vec<Scrape> = steady(8)
                .into_iter()
                .map(|scrape| Scrape {
                    first_attempts_per_second: Some(10.0 * factor),
                    requests_per_second: Some(10.0 * factor),
                    ..scrape
                })
                .collect();
            let mut view = <RichView>::new(facts);
            let slots = f64::from(facts.pools[0].concurrency);
            // Busy slots are half of those of five replicas.
            view.see(&observation(facts, 60.0, &scrapes[..4], &[pool()]));
            let ready = ((10.0 * factor + margin * (10.0 * factor).sqrt()) / slots).round();
            let fleet = PoolStatus { ready: ready as Replicas, declared: ready as Replicas, ..pool() };
            view.see(&observation(facts, 120.0, &scrapes[4..], &[fleet]))
        };
        let (small_seen, large_seen) = (seen(&small, 20.0, 1.0), seen(&large, 20.0, 4.0));
        for name in ["slots ready above asked", "slots wanted above asked", "trend over a start-up", "queue"]
        {
            let (small, large) = (small_seen[place(name)], large_seen[place(name)]);
            assert!((small - large).abs() < 0.01, "{name}: {small} and {large}");
        }
        assert!(small_seen[place("slots asked")] < large_seen[place("slots asked")]);
    }

    #[test]
    fn what_waits_is_asked_for_and_what_jumps_spreads() {
        let facts = facts();
        let mut view = <RichView>::new(&facts);
        view.measured.queue_length = 3.0;
        let unknown = Asked { slots: 3.0, spread: 3.0_f64.sqrt() };
        assert_eq!(view.asked(), Some(unknown), "nobody can say how long they take");
        view.see(&observation(&facts, 60.0, &steady(4), &[pool()]));
        // A quarter of the bound of two seconds is less than the second that each of them takes.
        let waiting = Scrape { at_seconds: 75.0, queue_length: Some(6.0), ..Scrape::default() };
        let seen = view.see(&observation(&facts, 75.0, &[waiting], &[pool()]));
        let asked = view.asked().expect("it is measured");
        assert!((asked.slots - 16.0).abs() < 1e-9 && (asked.spread - 4.0).abs() < 1e-9, "{asked:?}");
        assert!((value(&view, &seen, "queue") - in_spreads(6.0, 4.0)).abs() < 1e-6);
        view.bound_seconds = 8.0;
        let asked = view.asked().expect("it is measured");
        assert!((asked.slots - 13.0).abs() < 1e-9, "two seconds are left for them: {asked:?}");
        // Minutes of 6 and 14 users a second in turn.
        let jumps: Vec<Scrape> = (0..2000)
            .map(|index| Scrape {
                at_seconds: 90.0 + 15.0 * f64::from(index),
                first_attempts_per_second: Some(if index / 4 % 2 == 0 { 6.0 } else { 14.0 }),
                queue_length: Some(0.0),
                ..Scrape::default()
            })
            .collect();
        let seen = view.see(&observation(&facts, 30_090.0, &jumps, &[pool()]));
        let variation = view.load.squared_variation();
        assert!(variation > 0.1, "{variation}");
        let Asked { slots, spread } = view.asked().expect("it is measured");
        assert!((spread - (slots + variation * slots * slots).sqrt()).abs() < 1e-9, "{spread}");
        let noise = variation * slots;
        assert!((f64::from(value(&view, &seen, "noise of the load")) - noise / (noise + 0.25)).abs() < 1e-6);
    }

    #[test]
    fn saturation_is_one_half_at_its_unit_and_gaps_change_nothing() {
        let facts = facts();
        let mut view = <RichView>::new(&facts);
        let first = Scrape {
            requests_per_second: Some(40.0),
            errors_per_second: Some(10.0),
            cpu_utilization: Some(1.2),
            concurrency: Some(60.0),
            latency_p95_seconds: Some(2.0),
            ..Scrape::default()
        };
        for scrapes in [&[first][..], &[Scrape::default()], &[]] {
            let seen = view.see(&observation(&facts, 0.0, scrapes, &[pool()]));
            let expected =
                [("errors", 0.25), ("utilization", 1.0), ("concurrency", 0.75), ("latency p95", 0.5)];
            for (name, expected) in expected {
                assert!((value(&view, &seen, name) - expected).abs() < 1e-6, "{name}");
            }
        }
    }

    #[test]
    fn the_source_document_sees_four_numbers() {
        let facts = facts();
        let mut view = SourceView::new(&facts, 40.0);
        let scrape = Scrape { requests_per_second: Some(20.0), ..Scrape::default() };
        let pool = PoolStatus { observed: 5, ..PoolStatus::default() };
        // Monday, 2025-03-03, noon.
        let seen = view.see(&observation(&facts, 1200.0 + 4.0 * 3600.0, &[scrape], &[pool]));
        assert_eq!(seen, [0.5, 0.25, 0.5, 0.0]);
    }
}
