//! What an agent sees of a service: numbers of order one, made from what an autoscaler can measure.
//!
//! Everything is normalised by what the operator knows (bounds, slots, service level, prices, a load scale of the
//! operator's own), never by the truth. A sensor that says nothing leaves its last value standing; how old the newest
//! scrape is can be seen. Unbounded quantities x with a natural unit u are shown as x / (x + u), which is ½ at u.

use std::f64::consts::TAU;

use tidegate_core::service_time::{HALF_LIFE_SECONDS, ServiceTime};
use tidegate_core::{LocalTime, Observation, OperatorFacts, Quantity, SECONDS_PER_DAY, Scrape};

use super::clock::WallClock;
use crate::quantity;

/// Turns observations into vectors. The same view serves the environment, in which an agent learns, and the
/// controller, as which it is reported.
pub trait View {
    /// A fixed number of `f32`.
    type Vector: Copy + AsRef<[f32]>;
    /// One for each place of the vector.
    fn quantities(&self) -> Vec<Quantity>;
    /// Forgets the last run.
    fn reset(&mut self);
    /// What there is to see now. Every observation of a run must be shown, in order: each lends only what is new.
    fn see(&mut self, observation: &Observation<'_>) -> Self::Vector;
    /// Slots that what comes and what waits ask for, as measured by now; none where nothing is measured yet, and by a view
    /// that does not estimate it.
    fn slots_asked(&self) -> Option<f64> {
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

/// Rates over the last scrapes and their trend, saturation, latency, the state of every pool, and the calendar.
///
/// `WIDTH` is [`rich_width`] of the number of pools; left out, it is that of one pool.
#[derive(Clone, Debug)]
pub struct RichView<const WIDTH: usize = { rich_width(1) }> {
    clock: WallClock,
    circle: DayCircle,
    scale: Scale,
    pools: Vec<PoolScale>,
    /// First attempts a second in load scales, newest first.
    rates: [f32; TREND_SCRAPES],
    /// What scrapes said last, in the order of the places.
    measured: [f32; MEASURED],
    newest_seconds: Option<f64>,
    service_time: ServiceTime,
    /// Scrapes whose mean is the rate of the offered load.
    load_scrapes: usize,
    queue_length: f64,
}

/// Numbers that a [`RichView`] of so many pools shows.
pub const fn rich_width(n_pools: usize) -> usize {
    SERVICE + PER_POOL * n_pools
}

#[derive(Clone, Copy, Debug)]
struct Scale {
    load_requests_per_second: f64,
    slots: f64,
    bound_seconds: f64,
    scrape_seconds: f64,
    /// Rates change from scrape to scrape; agents care for the change over a start-up.
    scrapes_per_startup: f32,
}

#[derive(Clone, Copy, Debug)]
struct PoolScale {
    replicas_max: f64,
    slots: f64,
    dollars_per_replica_hour: f64,
}

impl<const WIDTH: usize> RichView<WIDTH> {
    /// Load is shown in multiples of `load_scale_requests_per_second`, for example the peak of the training part.
    ///
    /// # Panics
    /// If that is not positive, or the facts have other than `WIDTH`'s number of pools.
    pub fn new(facts: &OperatorFacts, load_scale_requests_per_second: f64) -> Self {
        assert!(load_scale_requests_per_second > 0.0, "a load scale must be positive");
        let width = rich_width(facts.pools.len());
        assert_eq!(WIDTH, width, "{} pools are seen in {width} numbers", facts.pools.len());
        let startup_seconds = facts.pools.iter().map(|pool| pool.startup_seconds).fold(0.0, f64::max);
        Self {
            clock: WallClock::new(facts.calendar),
            circle: DayCircle::new(),
            scale: Scale {
                load_requests_per_second: load_scale_requests_per_second,
                slots: slots_max(facts),
                bound_seconds: facts.prices.level.bound_seconds,
                scrape_seconds: facts.scrape_seconds,
                scrapes_per_startup: (startup_seconds / facts.scrape_seconds).max(1.0) as f32,
            },
            pools: facts
                .pools
                .iter()
                .map(|pool| PoolScale {
                    replicas_max: f64::from(pool.bounds.replicas_max),
                    slots: f64::from(pool.concurrency),
                    dollars_per_replica_hour: pool.dollars_per_replica_hour,
                })
                .collect(),
            rates: [0.0; TREND_SCRAPES],
            measured: [0.0; MEASURED],
            newest_seconds: None,
            service_time: ServiceTime::new(HALF_LIFE_SECONDS, facts),
            load_scrapes: ((LOAD_SECONDS / facts.scrape_seconds).round() as usize).clamp(1, TREND_SCRAPES),
            queue_length: 0.0,
        }
    }

    #[inline]
    fn scraped(&mut self, scrape: &Scrape) {
        let Scale { load_requests_per_second, slots, bound_seconds, .. } = self.scale;
        self.newest_seconds = Some(scrape.at_seconds);
        // A gap leaves the last rate standing: the trend must stay one of equally spaced values.
        let rate =
            first_attempts(scrape).map_or(self.rates[0], |rate| (rate / load_requests_per_second) as f32);
        self.rates.copy_within(..TREND_SCRAPES - 1, 1);
        self.rates[0] = rate;
        self.queue_length = scrape.queue_length.unwrap_or(self.queue_length).max(0.0);
        let failed = scrape.errors_per_second.zip(scrape.requests_per_second);
        let now = [
            failed.map(|(errors, requests)| part(errors, requests)),
            scrape.cpu_utilization.map(|utilization| part(utilization, 1.0)),
            scrape.queue_length.map(|queue| squash(queue, slots)),
            scrape.concurrency.map(|concurrency| squash(concurrency, slots)),
            scrape.latency_p95_seconds.map(|latency| squash(latency, bound_seconds)),
        ];
        for (last, now) in self.measured.iter_mut().zip(now) {
            *last = now.unwrap_or(*last);
        }
    }
}

impl<const WIDTH: usize> View for RichView<WIDTH> {
    type Vector = [f32; WIDTH];

    fn quantities(&self) -> Vec<Quantity> {
        let mut quantities = vec![
            quantity("rate", "load scale", 0.0, f32::INFINITY),
            quantity("rate 1 scrape ago", "load scale", 0.0, f32::INFINITY),
            quantity("rate 2 scrapes ago", "load scale", 0.0, f32::INFINITY),
            quantity("rate 3 scrapes ago", "load scale", 0.0, f32::INFINITY),
            quantity("trend", "load scale/start-up", f32::NEG_INFINITY, f32::INFINITY),
            quantity("errors", "share of attempts", 0.0, 1.0),
            quantity("utilization", "1", 0.0, 1.0),
            quantity("queue", "x/(x + slots max)", 0.0, 1.0),
            quantity("concurrency", "x/(x + slots max)", 0.0, 1.0),
            quantity("latency p95", "x/(x + bound)", 0.0, 1.0),
            quantity("age of scrape", "x/(x + scrape interval)", 0.0, 1.0),
            quantity("time of day, sine", "1", -1.0, 1.0),
            quantity("time of day, cosine", "1", -1.0, 1.0),
            quantity("weekend", "1", 0.0, 1.0),
            quantity("carbon", "kg/kWh", 0.0, f32::INFINITY),
            quantity("slots asked", "slots max", 0.0, f32::INFINITY),
            quantity("margin", "x/(|x| + 2 roots of the slots asked)", -1.0, 1.0),
        ];
        for pool in 0..self.pools.len() {
            quantities.extend([
                quantity(&format!("pool {pool} ready"), "replicas max", 0.0, 1.0),
                quantity(&format!("pool {pool} starting"), "replicas max", 0.0, 1.0),
                quantity(&format!("pool {pool} wanted"), "replicas max", 0.0, 1.0),
                quantity(&format!("pool {pool} draining"), "replicas max", 0.0, 1.0),
                quantity(&format!("pool {pool} notices"), "replicas max", 0.0, 1.0),
                quantity(&format!("pool {pool} price"), "list price", 0.0, f32::INFINITY),
            ]);
        }
        quantities
    }

    fn reset(&mut self) {
        self.rates = [0.0; TREND_SCRAPES];
        self.measured = [0.0; MEASURED];
        self.newest_seconds = None;
        self.service_time.clear();
        self.queue_length = 0.0;
    }

    /// λ S + q S / max(S, `CLEAR_BOUNDS` · bound): the offered load by Little's law, and what serves the q who wait at the last
    /// scrape in time. λ is the rate of the last minute, S the measured service time; q while none is measured.
    #[inline]
    fn slots_asked(&self) -> Option<f64> {
        let rates = &self.rates[..self.load_scrapes];
        let rate = f64::from(rates.iter().sum::<f32>()) / rates.len() as f64;
        let Some(service_seconds) = self.service_time.seconds() else {
            // With no replica nothing is served and no service time is measured: a slot for each who waits makes a beginning.
            return (self.queue_length > 0.0).then_some(self.queue_length);
        };
        let offered_load = rate * self.scale.load_requests_per_second * service_seconds;
        let clear_seconds = (CLEAR_BOUNDS * self.scale.bound_seconds).max(service_seconds);
        Some(offered_load + self.queue_length * service_seconds / clear_seconds)
    }

    #[inline]
    fn see(&mut self, observation: &Observation<'_>) -> [f32; WIDTH] {
        for scrape in observation.scrapes {
            self.scraped(scrape);
        }
        self.service_time.feed(observation);
        let slots_asked = self.slots_asked();
        let wanted = observation
            .pools
            .iter()
            .zip(&self.pools)
            .map(|(status, pool)| f64::from(status.declared) * pool.slots);
        let margin = slots_asked.map_or(0.0, |asked| (wanted.sum::<f64>() - asked) / asked.max(1.0).sqrt());
        let [rate, rate1, rate2, rate3, ..] = self.rates;
        let [errors, utilization, queue, concurrency, latency] = self.measured;
        let age = self
            .newest_seconds
            .map_or(1.0, |at| squash(observation.now_seconds - at, self.scale.scrape_seconds));
        let LocalTime { day_of_week, second_of_day } = self.clock.local(observation.now_seconds);
        let (sin, cos) = self.circle.sin_cos(second_of_day);
        let mut values = [0.0; WIDTH];
        values[..SERVICE].copy_from_slice(&[
            rate,
            rate1,
            rate2,
            rate3,
            slope(&self.rates) * self.scale.scrapes_per_startup,
            errors,
            utilization,
            queue,
            concurrency,
            latency,
            age,
            sin as f32,
            cos as f32,
            f32::from(u8::from(day_of_week >= 5)),
            observation.carbon_grams_per_kwh.map_or(0.0, |grams| (grams.max(0.0) / 1e3) as f32),
            slots_asked.map_or(0.0, |asked| (asked / self.scale.slots) as f32),
            (margin / (margin.abs() + 2.0)) as f32,
        ]);
        let places = values[SERVICE..].chunks_exact_mut(PER_POOL);
        for ((places, status), scale) in places.zip(observation.pools).zip(&self.pools) {
            let counts = [status.ready, status.starting, status.declared, status.draining, status.notices];
            for (place, count) in places.iter_mut().zip(counts) {
                *place = part(f64::from(count), scale.replicas_max);
            }
            places[PER_POOL - 1] = if scale.dollars_per_replica_hour > 0.0 {
                (status.dollars_per_replica_hour / scale.dollars_per_replica_hour) as f32
            } else {
                1.0
            };
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

/// Scrapes that the trend is fitted to.
const TREND_SCRAPES: usize = 8;
const MEASURED: usize = 5;
const SERVICE: usize = 17;
/// The rate of the offered load is a mean over this time, as square-root staffing has it.
const LOAD_SECONDS: f64 = 60.0;
/// A queue is to be served within so many bounds, so that those who come behind it are in time as well; or in one service
/// time, where that is longer.
const CLEAR_BOUNDS: f64 = 0.25;
const PER_POOL: usize = 6;

fn slots_max(facts: &OperatorFacts) -> f64 {
    facts.pools.iter().map(|pool| f64::from(pool.bounds.replicas_max) * f64::from(pool.concurrency)).sum()
}

/// First attempts a second where the sensor can tell them from retries, else all attempts.
#[inline]
fn first_attempts(scrape: &Scrape) -> Option<f64> {
    scrape.first_attempts_per_second.or(scrape.requests_per_second).map(|rate| rate.max(0.0))
}

/// Change from scrape to scrape: the slope of the least-squares line through values, newest first.
#[inline]
fn slope(values: &[f32; TREND_SCRAPES]) -> f32 {
    const CENTRE: f32 = (TREND_SCRAPES - 1) as f32 / 2.0;
    // Σ (i − centre)² = n (n² − 1) / 12
    const SPREAD: f32 = (TREND_SCRAPES * (TREND_SCRAPES * TREND_SCRAPES - 1)) as f32 / 12.0;
    let moment: f32 = values.iter().enumerate().map(|(index, value)| (CENTRE - index as f32) * value).sum();
    moment / SPREAD
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

    #[test]
    fn rates_rise_along_a_line_and_the_trend_is_its_slope() {
        let facts = facts();
        assert_eq!(facts.scrape_seconds, 15.0, "the example scrapes every tick");
        let mut view = <RichView>::new(&facts, 40.0);
        let scrapes: Vec<Scrape> = (0..8)
            .map(|index| Scrape {
                at_seconds: 15.0 * f64::from(index + 1),
                requests_per_second: Some(99.0),
                first_attempts_per_second: Some(10.0 + 2.0 * f64::from(index)),
                ..Scrape::default()
            })
            .collect();
        let seen = view.see(&observation(&facts, 120.0, &scrapes, &[PoolStatus::default()]));
        assert_eq!(value(&view, &seen, "rate"), 24.0 / 40.0);
        assert_eq!(value(&view, &seen, "rate 3 scrapes ago"), 18.0 / 40.0);
        // Two a scrape, four scrapes a start-up.
        assert!((value(&view, &seen, "trend") - 8.0 / 40.0).abs() < 1e-6);
        assert_eq!(value(&view, &seen, "age of scrape"), 0.0);
        // 20 minutes of warm-up before eight o'clock, two minutes into it.
        let angle = (7.0 * 60.0 + 42.0) / (24.0 * 60.0) * TAU;
        assert!((f64::from(value(&view, &seen, "time of day, sine")) - angle.sin()).abs() < 1e-6);
        let again = view.see(&observation(&facts, 135.0, &[], &[PoolStatus::default()]));
        assert_eq!(value(&view, &again, "rate"), 24.0 / 40.0, "silence leaves the last value standing");
        assert_eq!(value(&view, &again, "age of scrape"), 0.5, "but one sees that it is one interval old");
    }

    #[test]
    fn saturation_is_one_half_at_its_unit_and_gaps_change_nothing() {
        let facts = facts();
        let mut view = <RichView>::new(&facts, 40.0);
        let first = Scrape {
            requests_per_second: Some(40.0),
            errors_per_second: Some(10.0),
            cpu_utilization: Some(1.2),
            queue_length: Some(80.0),
            concurrency: Some(240.0),
            latency_p95_seconds: Some(2.0),
            ..Scrape::default()
        };
        let pool = PoolStatus {
            declared: 10,
            ready: 5,
            starting: 4,
            draining: 1,
            dollars_per_replica_hour: 0.15,
            ..PoolStatus::default()
        };
        for scrapes in [&[first][..], &[Scrape::default()], &[]] {
            let seen = view.see(&observation(&facts, 0.0, scrapes, &[pool]));
            let expected = [
                ("rate", 1.0),
                ("errors", 0.25),
                ("utilization", 1.0),
                ("queue", 0.5),
                ("concurrency", 0.75),
                ("latency p95", 0.5),
                ("pool 0 ready", 0.25),
                ("pool 0 starting", 0.2),
                ("pool 0 wanted", 0.5),
                ("pool 0 draining", 0.05),
                ("pool 0 price", 1.5),
            ];
            for (name, expected) in expected {
                assert!((value(&view, &seen, name) - expected).abs() < 1e-6, "{name}");
            }
        }
    }

    /// By hand: ten users a second keep half of twenty slots busy, so a request takes a second and ten slots are needed; ten
    /// replicas with four slots each are 30 slots more, 9.49 roots of ten. Six who wait ask for six more, since a
    /// quarter of the bound of two seconds is less than the second that each of them takes.
    #[test]
    fn slots_are_asked_for_what_comes_and_for_what_waits() {
        let facts = facts();
        let mut view = <RichView>::new(&facts, 40.0);
        let scrapes: Vec<Scrape> = (0..4)
            .map(|index| Scrape {
                at_seconds: 15.0 * f64::from(index + 1),
                window_seconds: 15.0,
                // Noise of two a second that the mean over a minute takes out.
                first_attempts_per_second: Some(if index % 2 == 0 { 12.0 } else { 8.0 }),
                requests_per_second: Some(10.0),
                errors_per_second: Some(0.0),
                cpu_utilization: Some(0.5),
                queue_length: Some(0.0),
                ..Scrape::default()
            })
            .collect();
        let pool = PoolStatus { declared: 10, ready: 5, ..PoolStatus::default() };
        assert_eq!(view.slots_asked(), None);
        view.queue_length = 3.0;
        assert_eq!(view.slots_asked(), Some(3.0), "nobody can say how long they take");
        let seen = view.see(&observation(&facts, 60.0, &scrapes, &[pool]));
        let asked = view.slots_asked().expect("it is measured");
        assert!((asked - 10.0).abs() < 1e-5, "{asked}");
        let margin = 30.0 / 10.0_f32.sqrt();
        assert!((value(&view, &seen, "slots asked") - 10.0 / 80.0).abs() < 1e-6);
        assert!((value(&view, &seen, "margin") - margin / (margin + 2.0)).abs() < 1e-6);
        let waiting = Scrape {
            at_seconds: 75.0,
            queue_length: Some(6.0),
            first_attempts_per_second: Some(12.0),
            ..Scrape::default()
        };
        view.see(&observation(&facts, 75.0, &[waiting], &[pool]));
        let asked = view.slots_asked().expect("it is measured");
        assert!((asked - 16.0).abs() < 1e-5, "{asked}");
        view.scale.bound_seconds = 8.0;
        let asked = view.slots_asked().expect("it is measured");
        assert!((asked - 13.0).abs() < 1e-5, "two seconds are left for them: {asked}");
        view.reset();
        let seen = view.see(&observation(&facts, 0.0, &[], &[pool]));
        assert_eq!((view.slots_asked(), value(&view, &seen, "margin")), (None, 0.0));
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
