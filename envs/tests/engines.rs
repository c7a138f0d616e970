//! The autoscaling environment over the engines of `tidegate-sim`.

use tidegate_core::scenario::EXAMPLE;
use tidegate_core::{Env, Plant, Scenario, Seed};
use tidegate_envs::autoscale::load_scale_unmeasured;
use tidegate_envs::{ActionSet, Autoscale, AutoscaleOptions, RichView, SourceView, conformance};
use tidegate_sim::fluid::FluidPlant;
use tidegate_sim::request::RequestPlant;

fn scenario() -> Scenario {
    Scenario::parse(EXAMPLE).expect("the example is right")
}

fn rich<P: Plant>(plant: P, scenario: &Scenario, options: AutoscaleOptions) -> Autoscale<P, RichView> {
    let facts = scenario.facts();
    let view = <RichView>::new(&facts);
    Autoscale::new(plant, view, scenario, options).expect("the options fit")
}

fn conforms<P: Plant>(make_plant: impl Fn(&Scenario) -> P) {
    let scenario = scenario();
    let facts = scenario.facts();
    let targets = AutoscaleOptions { actions: ActionSet::Target {}, ticks_per_step: 4 };
    conformance::check(|| rich(make_plant(&scenario), &scenario, targets)).unwrap();
    conformance::check(|| {
        let view = SourceView::new(&facts, load_scale_unmeasured(&facts));
        let options = AutoscaleOptions::default();
        Autoscale::new(make_plant(&scenario), view, &scenario, options).expect("the options fit")
    })
    .unwrap();
}

/// Users of a whole episode are conserved, and rewards are minus the dollars.
fn books_balance<P: Plant>(plant: P) {
    let scenario = scenario();
    let mut env = rich(plant, &scenario, AutoscaleOptions::default());
    env.reset(Seed::training(1));
    let mut earned = 0.0;
    for step in 0..env.spec().steps_max {
        earned += env.step(if step % 40 < 20 { 0 } else { 2 }).reward;
    }
    let info = env.info();
    assert!((earned + info.charge.total()).abs() < 1e-9 * info.charge.total());
    // Twenty a second for an hour, within five standard deviations.
    assert!((info.users.arrived - 72_000.0).abs() < 5.0 * 72_000.0_f64.sqrt(), "{}", info.users.arrived);
    assert!(info.users.pending < 1e-3 * info.users.arrived, "{} are undecided", info.users.pending);
    assert!(info.charge.instances > 0.0 && info.launches > 0);
    assert!((0.0..=1.0).contains(&info.utilization_mean()));
}

/// Allocations in the steps of the second of two equal episodes, when buffers have grown to their size.
fn allocations<P: Plant>(plant: P) -> u64 {
    let mut env = rich(plant, &scenario(), AutoscaleOptions::default());
    let steps = env.spec().steps_max as usize;
    let mut n_allocations = 0;
    for _ in 0..2 {
        env.reset(Seed::training(0));
        n_allocations = allocation_counter::measure(|| {
            for step in 0..steps {
                env.step((step / 8) % 3);
            }
        })
        .count_total;
    }
    n_allocations
}

#[test]
fn the_engines_conform() {
    conforms(RequestPlant::new);
    conforms(FluidPlant::new);
}

#[test]
fn the_engines_books_balance() {
    books_balance(RequestPlant::new(&scenario()));
    books_balance(FluidPlant::new(&scenario()));
}

#[test]
fn steps_allocate_nothing() {
    assert_eq!(allocations(FluidPlant::new(&scenario())), 0);
    // Queues of replicas that were launched anew grow to their size again: now and then, not step by step.
    let n_allocations = allocations(RequestPlant::new(&scenario()));
    assert!(n_allocations <= 12, "{n_allocations} allocations in 240 steps and some 70,000 requests");
}
