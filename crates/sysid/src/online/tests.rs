use approx::assert_relative_eq;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use tidegate_core::queueing::MarkovQueue;
use tidegate_core::scenario::EXAMPLE;
use tidegate_core::{Calendar, PoolStatus, Scenario, Seed, Stream, Tick};

use super::*;

/// A service of 4 slots a replica that obeys M/M/c, and its controller's view, one look a scrape.
struct Desk {
    facts: OperatorFacts,
    online: Online,
    rng: ChaCha8Rng,
    now_seconds: f64,
    service_seconds: f64,
    noise: f64,
    dropout: f64,
    ready: u32,
}

const SCRAPE_SECONDS: f64 = 15.0;

impl Desk {
    fn new(kind: Kind, seed: u64) -> Self {
        let mut facts = Scenario::parse(EXAMPLE).expect("the example is right").facts();
        (facts.tick_seconds, facts.scrape_seconds) = (SCRAPE_SECONDS, SCRAPE_SECONDS);
        let online = Online::new(&facts, OnlineParameters::new(kind));
        let rng = Seed::training(seed).rng(Stream::Excitation);
        Self {
            facts,
            online,
            rng,
            now_seconds: 0.0,
            service_seconds: 0.1,
            noise: 0.03,
            dropout: 0.05,
            ready: 4,
        }
    }

    /// One scrape window with this many replicas and this share of their slots in use.
    fn window(&mut self, ready: u32, utilization: f64) {
        self.look(ready, &[]);
        let slots = 4 * ready;
        let load = utilization * f64::from(slots) / self.service_seconds;
        let queue = MarkovQueue::new(slots, load, self.service_seconds).expect("it is stable");
        let mean = queue.wait_mean_seconds() + self.service_seconds;
        self.now_seconds += SCRAPE_SECONDS;
        let scrape = Scrape {
            at_seconds: self.now_seconds,
            window_seconds: SCRAPE_SECONDS,
            requests_per_second: self.sensor(load),
            latency_mean_seconds: self.sensor(mean),
            latency_p50_seconds: self.sensor(queue.sojourn_quantile_seconds(0.5)),
            latency_p95_seconds: self.sensor(queue.sojourn_quantile_seconds(0.95)),
            latency_p99_seconds: self.sensor(queue.sojourn_quantile_seconds(0.99)),
            concurrency: self.sensor(load * mean),
            ..Scrape::default()
        };
        self.look(ready, &[scrape]);
    }

    fn sensor(&mut self, value: f64) -> Option<f64> {
        let z: f64 = self.rng.sample(StandardNormal);
        let lost = self.rng.random::<f64>() < self.dropout;
        (!lost).then_some(value * (1.0 + self.noise * z))
    }

    fn look(&mut self, ready: u32, scrapes: &[Scrape]) {
        self.ready = ready;
        let pools = [PoolStatus { ready, ..PoolStatus::default() }];
        let calendar: Calendar = self.facts.calendar;
        self.online.observe(&Observation {
            now_seconds: self.now_seconds,
            tick: Tick::default(),
            calendar: &calendar,
            scrapes,
            external: &[],
            pools: &pools,
            replicas: &[],
            notices: &[],
            carbon_grams_per_kwh: None,
        });
    }

    /// So many windows in which load and replicas wander.
    fn excite(&mut self, n: usize) {
        let mut utilization: f64 = 0.6;
        for i in 0..n {
            if i % 6 == 0 {
                self.ready = self.rng.random_range(2..8_u32);
            }
            utilization = (utilization + 0.1 * self.rng.sample::<f64, _>(StandardNormal)).clamp(0.3, 0.85);
            self.window(self.ready, utilization);
        }
    }

    fn explained(&self) -> String {
        let mut text = String::new();
        self.online.explain(&mut text).expect("strings take all");
        text
    }

    /// Relative error of the mean latency that the model in use expects at rest, at 70 % of 5 replicas.
    fn mean_error(&self) -> f64 {
        let load = 0.7 * 20.0 / self.service_seconds;
        let queue = MarkovQueue::new(20, load, self.service_seconds).expect("it is stable");
        let model = self.online.model();
        let mean = model.latency_mean_seconds(&model.rest(load, 5.0), load, 5.0);
        mean / (queue.wait_mean_seconds() + self.service_seconds) - 1.0
    }
}

#[test]
fn before_anything_is_measured_there_is_a_prior_that_answers() {
    let desk = Desk::new(Kind::Queueing, 1);
    assert_eq!(desk.online.status(), Status::Prior(Doubt::FewWindows));
    let model = desk.online.model();
    let (service, _) = model.expect(&desk.online.state(), 100.0, 3.0);
    assert!(service.latency_seconds.is_finite() && service.users == 100.0 * SCRAPE_SECONDS);
}

/// In a fleet at its limit any queue is one that chance may bring, and it is a backlog all the same: a planner that was told
/// of none would let it stand. At ease nothing is missing.
#[test]
fn whoever_waits_in_a_full_fleet_is_a_backlog() {
    let mut desk = Desk::new(Kind::Queueing, 3);
    (desk.noise, desk.dropout) = (0.0, 0.0);
    desk.excite(40);
    let backlog = |desk: &mut Desk, utilization: f64, queue: f64| {
        desk.now_seconds += SCRAPE_SECONDS;
        let scrape = Scrape {
            at_seconds: desk.now_seconds,
            window_seconds: SCRAPE_SECONDS,
            requests_per_second: Some(utilization * 20.0 / desk.service_seconds),
            queue_length: Some(queue),
            ..Scrape::default()
        };
        desk.look(5, &[scrape]);
        desk.online.backlog_requests()
    };
    // By chance there wait C(20, 15.6) · 0.78 / 0.22, one or two, in a fleet as full as square-root staffing has it.
    let full = backlog(&mut desk, 0.999, 300.0);
    assert!((290.0..300.0).contains(&full), "{full} of 300");
    let at_ease = backlog(&mut desk, 0.6, 0.3);
    assert!(at_ease < 0.3, "{at_ease}");
}

#[test]
fn one_scrape_is_better_than_the_facts_and_a_dozen_are_trusted() {
    let mut desk = Desk::new(Kind::Queueing, 2);
    desk.dropout = 0.0;
    desk.window(4, 0.5);
    assert!(matches!(desk.online.status(), Status::Prior(Doubt::FewWindows)));
    assert!(desk.mean_error().abs() < 0.3, "{}", desk.explained());
    desk.excite(11);
    assert_eq!(desk.online.status(), Status::Trusted, "{}", desk.explained());
    assert!(desk.mean_error().abs() < 0.05, "{}: {}", desk.mean_error(), desk.explained());
}

#[test]
fn every_kind_learns_and_says_when() {
    for (kind, tolerance) in [(Kind::Queueing, 0.03), (Kind::Hammerstein, 0.06), (Kind::Armax, 0.25)] {
        let mut desk = Desk::new(kind, 3);
        desk.excite(240);
        assert_eq!(desk.online.status(), Status::Trusted, "{kind:?} {}", desk.explained());
        assert!(desk.mean_error().abs() < tolerance, "{kind:?} {}: {}", desk.mean_error(), desk.explained());
        assert_eq!(desk.online.n_alarms(), 0, "{kind:?} {}", desk.explained());
        let (load, ready) = (120.0, 5.0);
        let model = desk.online.model();
        let p95 = model.latency_quantile_seconds(&model.rest(load, ready), load, ready, 0.95);
        let truth = MarkovQueue::new(20, load, 0.1).expect("it is stable").sojourn_quantile_seconds(0.95);
        assert_relative_eq!(p95, truth, max_relative = 2.0 * tolerance);
    }
}

#[test]
fn a_service_that_becomes_slower_is_noticed_and_learnt_anew() {
    for kind in [Kind::Queueing, Kind::Hammerstein] {
        let mut desk = Desk::new(kind, 4);
        desk.excite(200);
        desk.service_seconds = 0.14;
        let mut n = 0;
        while desk.online.n_alarms() == 0 {
            desk.excite(1);
            n += 1;
            assert!(n <= 12, "{kind:?}: not noticed after {n} scrapes; {}", desk.explained());
        }
        assert!(matches!(desk.online.status(), Status::Changed(_) | Status::Trusted), "{}", desk.explained());
        desk.excite(100);
        assert_eq!(desk.online.status(), Status::Trusted, "{kind:?} {}", desk.explained());
        assert!(desk.mean_error().abs() < 0.08, "{kind:?} {}: {}", desk.mean_error(), desk.explained());
    }
}

#[test]
fn data_that_do_not_move_leave_the_trusted_model_in_place() {
    let mut desk = Desk::new(Kind::Armax, 5);
    desk.excite(150);
    assert_eq!(desk.online.status(), Status::Trusted);
    for _ in 0..120 {
        desk.window(5, 0.5);
    }
    let Status::Held(Doubt::LoadConstant(_) | Doubt::ReadyConstant(_)) = desk.online.status() else {
        panic!("{}", desk.explained());
    };
    assert!(matches!(desk.online.model(), LoopModel::Armax(_)));
    let mut fresh = Desk::new(Kind::Armax, 5);
    for _ in 0..60 {
        fresh.window(5, 0.5);
    }
    assert!(matches!(fresh.online.status(), Status::Prior(Doubt::ReadyConstant(_) | Doubt::LoadConstant(_))));
    assert!(matches!(fresh.online.model(), LoopModel::Queueing(_)), "the queueing fit stands in");
}

#[test]
fn a_dead_sensor_and_an_empty_service_leave_numbers() {
    for kind in [Kind::Queueing, Kind::Hammerstein, Kind::Armax] {
        let mut desk = Desk::new(kind, 6);
        desk.excite(60);
        for i in 0..60 {
            desk.now_seconds += SCRAPE_SECONDS;
            let scrape = Scrape {
                at_seconds: desk.now_seconds,
                window_seconds: SCRAPE_SECONDS,
                requests_per_second: [None, Some(0.0), Some(f64::NAN)][i % 3],
                latency_mean_seconds: [None, Some(f64::INFINITY)][i % 2],
                ..Scrape::default()
            };
            desk.look((i % 2) as u32, &[scrape]);
            let (service, _) = desk.online.model().expect(&desk.online.state(), 50.0, 3.0);
            assert!(service.latency_seconds.is_finite() && service.latency_seconds >= 0.0, "{kind:?} {i}");
        }
    }
}
