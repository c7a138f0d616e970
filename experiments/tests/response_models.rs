//! Response models identified in the loop, held against the plant: what a controller can see is enough to find the
//! service time, to expect the latency of fresh ticks, and to notice that the service has become slower.

use rand::RngExt;
use tidegate_core::scenario::EXAMPLE;
use tidegate_core::{
    Needs, Observation, OperatorFacts, Plant, PoolTarget, ResponseModel, Scenario, Scrape, Seed, Stream,
};
use tidegate_sim::RequestPlant;
use tidegate_sim::fluid::FluidPlant;
use tidegate_sysid::Online;
use tidegate_sysid::online::{Kind, OnlineParameters, Status};

/// The example under two levels of load, with starts of 15 s, and work of this mean. Sensors have noise, delay and gaps.
fn scenario(work_seconds: f64) -> Scenario {
    let text = EXAMPLE
        .replace(
            "kind = \"constant\"\nrequests_per_second = 20",
            "kind = \"burst\"\nquiet_requests_per_second = 16\nbusy_requests_per_second = 28\n\
             quiet_seconds = 240\nbusy_seconds = 240",
        )
        .replace("mean_seconds = 0.5", &format!("mean_seconds = {work_seconds}"))
        .replace("kind = \"exponential\", mean_seconds = 60", "kind = \"constant\", seconds = 15")
        .replace("horizon_ticks = 240", "horizon_ticks = 2000")
        + "\n[sensing]\ndelay_seconds = 5\nnoise = 0.02\ndropout = 0.02\n";
    Scenario::parse(&text).expect("the scenario is right")
}

/// A service whose work may change, its fleet moved at random, and what identifies it.
struct Bench<P> {
    plant: P,
    online: Online,
    facts: OperatorFacts,
    chance: rand_chacha::ChaCha8Rng,
    wanted: u32,
    ticks: u32,
    /// When the plant was put in place, on the clock of the identification.
    offset_seconds: f64,
}

impl<P: Plant> Bench<P> {
    fn new(make: impl Fn(&Scenario) -> P, kind: Kind, seed: u64) -> Self {
        let scenario = scenario(0.5);
        let facts = scenario.facts();
        let mut plant = make(&scenario);
        plant.reset(Seed::training(seed));
        Self {
            plant,
            online: Online::new(&facts, OnlineParameters::new(kind)),
            facts,
            chance: Seed::training(seed).rng(Stream::Excitation),
            wanted: 6,
            ticks: 0,
            offset_seconds: 0.0,
        }
    }

    /// Another service in the place of this one.
    fn replace(&mut self, plant: P, seed: u64) {
        self.offset_seconds += self.plant.now_seconds();
        self.plant = plant;
        self.plant.reset(Seed::training(seed));
    }

    /// One tick: look, let `look` see ready replicas and scrapes too, decide at random.
    fn tick(&mut self, mut look: impl FnMut(f64, &[Scrape])) {
        let seen = self.plant.observe(Needs::AGGREGATES);
        let mut scrapes = seen.scrapes.to_vec();
        for scrape in &mut scrapes {
            scrape.at_seconds += self.offset_seconds;
        }
        look(f64::from(seen.pools[0].ready), &scrapes);
        let now_seconds = seen.now_seconds + self.offset_seconds;
        self.online.observe(&Observation { now_seconds, scrapes: &scrapes, ..seen });
        if self.ticks.is_multiple_of(8) {
            self.wanted = self.chance.random_range(4..10);
        }
        self.ticks += 1;
        self.plant.tick(&[PoolTarget::wanted(self.wanted)]);
    }

    fn explained(&self) -> String {
        let mut text = String::new();
        self.online.explain(&mut text).expect("strings take all");
        text
    }
}

/// Bounds on what is found after two hours, and on a further hour with the model as it is.
fn check<P: Plant>(
    make: impl Fn(&Scenario) -> P,
    kind: Kind,
    service_error: f64,
    mean_error: f64,
    p95_error: f64,
) {
    let mut bench = Bench::new(make, kind, 5);
    assert_eq!(bench.facts.tick_seconds, bench.facts.scrape_seconds, "a scrape is a tick here");
    (0..480).for_each(|_| bench.tick(|_, _| {}));
    let said = bench.explained();
    assert_eq!(bench.online.status(), Status::Trusted, "{kind:?}: {said}");
    assert_eq!(bench.online.n_alarms(), 0, "{kind:?}: {said}");
    let found = bench.online.queueing().model.parameters();
    let service = found.service_seconds + found.overhead_seconds;
    assert!((service / 0.5 - 1.0).abs() < service_error, "{kind:?}: {said}");
    let capacity = found.slots_per_replica / found.service_seconds;
    assert!((capacity / 8.0 - 1.0).abs() < 0.1, "{kind:?}: {said}");

    // Fresh ticks, each expected from the state before it by a model that stays as it is.
    let frozen = bench.online.model().clone();
    let (mut squares, mut p95_logs, mut n) = (0.0, 0.0, 0.0);
    let mut state = None;
    for _ in 0..240 {
        bench.tick(|ready, scrapes| {
            for scrape in scrapes {
                let Some(load) = scrape.requests_per_second else { continue };
                let before = state.unwrap_or_else(|| frozen.rest(load, ready));
                let (time, after) = frozen.respond(&before, load, ready);
                state = Some(after);
                if let (Some(mean), Some(p95)) = (scrape.latency_mean_seconds, scrape.latency_p95_seconds) {
                    squares += (mean / time.mean_seconds()).ln().powi(2);
                    p95_logs += (p95 / time.quantile_seconds(0.95)).ln();
                    n += 1.0;
                }
            }
        });
    }
    let (mean, p95): (f64, f64) = ((squares / n).sqrt(), p95_logs / n);
    assert!(n > 200.0 && mean < mean_error, "{kind:?}: mean off by {mean}; {said}");
    assert!(p95.abs() < p95_error, "{kind:?}: p95 off by {p95}; {said}");
}

#[test]
fn the_request_engine_is_identified_from_its_scrapes() {
    check(RequestPlant::new, Kind::Queueing, 0.04, 0.15, 0.08);
    check(RequestPlant::new, Kind::Hammerstein, 0.04, 0.15, 0.15);
    check(RequestPlant::new, Kind::Armax, 0.04, 0.25, 0.2);
}

#[test]
fn the_fluid_engine_is_identified_from_its_scrapes() {
    check(FluidPlant::new, Kind::Queueing, 0.04, 0.1, 0.08);
}

#[test]
fn a_service_that_becomes_slower_is_noticed() {
    for kind in [Kind::Queueing, Kind::Hammerstein] {
        let mut bench = Bench::new(RequestPlant::new, kind, 6);
        (0..300).for_each(|_| bench.tick(|_, _| {}));
        assert_eq!(
            (bench.online.status(), bench.online.n_alarms()),
            (Status::Trusted, 0),
            "{}",
            bench.explained()
        );
        bench.replace(RequestPlant::new(&scenario(0.7)), 7);
        let mut n = 0;
        while bench.online.n_alarms() == 0 {
            bench.tick(|_, _| {});
            n += 1;
            assert!(n <= 15, "{kind:?}: not noticed after {n} scrapes; {}", bench.explained());
        }
        (0..160).for_each(|_| bench.tick(|_, _| {}));
        assert_eq!(bench.online.status(), Status::Trusted, "{}", bench.explained());
        let found = bench.online.queueing().model.parameters();
        let service = found.service_seconds + found.overhead_seconds;
        assert!((service / 0.7 - 1.0).abs() < 0.06, "{kind:?}: {}", bench.explained());
    }
}
