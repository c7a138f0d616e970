//! No controller undercuts the bound, and the replay is a run like any other.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidegate_autoscalers::NamedController;
use tidegate_core::{
    Controller, ControllerStream, Decision, Observation, PoolTarget, Reason, Scenario, Split,
    decision::Targets,
};
use tidegate_experiments::cli::Engine;
use tidegate_experiments::references::{self, bound};
use tidegate_experiments::staffing::Staffing;
use tidegate_experiments::{controllers, scenarios};
use tidegate_sim::{RequestPlant, run};

/// Wants anything at any time, of any size.
struct Erratic {
    rng: ChaCha8Rng,
    most: u32,
    any_size: bool,
}

impl Controller for Erratic {
    fn period_seconds(&self) -> f64 {
        11.0
    }

    fn reset(&mut self, chance: ControllerStream) {
        self.rng = chance.0;
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let rng = &mut self.rng;
        let targets: Vec<PoolTarget> = observation
            .pools
            .iter()
            .map(|_| PoolTarget {
                wanted: rng.random_range(0..=self.most),
                replica_size: self.any_size.then(|| rng.random_range(0.5..3.0)),
                replace: rng.random_range(0..=1),
                warm: Some(rng.random_range(0..=self.most)),
                ..PoolTarget::default()
            })
            .collect();
        Decision { targets: Targets::of(&targets), ..Decision::one(0, Reason::new("at random")) }
    }
}

fn erratic(scenario: &Scenario, any_size: bool) -> Erratic {
    let most = scenario.pools[0].bounds.replicas_max;
    Erratic { rng: ChaCha8Rng::from_seed([0; 32]), most, any_size }
}

#[test]
fn no_controller_undercuts_the_bound_in_any_built_in_scenario() {
    let catalog = controllers::catalog();
    for (name, ..) in scenarios::list() {
        let study = scenarios::named(&name, true).expect("it is built in");
        let mut scenario = study.scenario().as_ref().clone();
        for pool in &mut scenario.pools {
            // Fewer than the operator would have, so that shortage is tried as well.
            pool.bounds.replicas_min = pool.bounds.replicas_min.min(1);
        }
        let (least, most) = (scenario.pools[0].bounds.replicas_min, scenario.pools[0].bounds.replicas_max);
        let fixed = |replicas: u32| NamedController::of_kind("fixed").with("replicas", i64::from(replicas));
        let rules = [fixed(least.max(1)), fixed(most.midpoint(least)), NamedController::of_kind("hpa")];
        for index in 0..2 {
            let seed = study.world(Split::Evaluation, index).1;
            let nominal = bound::dollars(&scenario, seed, false);
            let any = bound::dollars(&scenario, seed, true);
            assert!(nominal >= any && any > 0.0, "{name}, seed {index}: {nominal} and {any}");
            let check = |controller: &mut dyn Controller, what: &str, bound: f64| {
                let cost = run(&mut RequestPlant::new(&scenario), controller, seed, &mut ()).charge.total();
                assert!(cost >= bound * (1.0 - 1e-9), "{name}, seed {index}, {what}: {cost} below {bound}");
            };
            for named in &rules {
                let mut rule = catalog
                    .build_named(named, &toml::Table::new(), &scenario.facts())
                    .expect("the parameters are right");
                check(&mut *rule, &named.kind, nominal);
            }
            check(&mut erratic(&scenario, false), "at random", nominal);
            check(&mut erratic(&scenario, true), "at random, of any size", any);
        }
    }
}

/// Where capacity is never short and requests are short next to the bound, a fleet that fits is near the bound: the
/// relaxation gives away the idle time that queueing needs and no more.
#[test]
fn the_replay_lies_between_the_bound_and_the_rules() {
    for name in ["web-diurnal", "flash-crowd"] {
        let study = scenarios::named(name, true).expect("it is built in");
        let staffing = Staffing::new(study.scenario());
        let reference = references::find(Engine::Request, &study, staffing.as_ref(), 0, false);
        let bound = reference.bound_dollars.expect("the request engine has one");
        let replay = reference.replay.dollars_total;
        assert!(bound <= replay && bound > 0.6 * replay, "{name}: {bound} and {replay} ({})", reference.plan);
        assert!(reference.n_plans > 3, "{name}: {} plans", reference.n_plans);
        let fluid = references::find(Engine::Fluid, &study, staffing.as_ref(), 0, false);
        assert_eq!(fluid.bound_dollars, None);
    }
}
