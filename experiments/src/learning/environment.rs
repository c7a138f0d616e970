//! What can be learnt, by name: the classic environments, the built-in scenarios, and the source document's own setting.
//!
//! `autoscale/<scenario>` trains on variants of the scenario, on the fluid engine unless [`Task::on`] says otherwise, so that
//! the agent holds on a service that is not quite as written. Variant v draws, log-uniformly and by the training seed's stream
//! `Variants`, factors on the load (0.7 to 1.4), on every start-up (0.7 to 1.5) and on the work of a request (0.8 to 1.25), and with
//! [`Task::noisy`] how much the load jumps from minute to minute; what the operator believes (nominal start-up, prices, limits) stays as written. Rewards are those of
//! [`tidegate_envs::Relative`]. `source/<scenario>` is the source document's setting: four numbers, −1, 0, +1 every tick,
//! dollars, the scenario as written.

use anyhow::{Context, bail};
use tidegate_core::scenario::{Noise, Scale, Workload};
use tidegate_core::{Env, Plant, Scenario, Seed, Spec, Step, Stream};
use tidegate_envs::autoscale::{Relative, load_scale_unmeasured, rich_width};
use tidegate_envs::{
    Acrobot, ActionSet, Autoscale, CartPole, Chain, MountainCar, Randomised, RichView, SourceView, View,
};
use tidegate_sim::RequestPlant;
use tidegate_sim::fluid::FluidPlant;

use crate::cli::Engine;
use crate::learning::agent::{Access, Sees, SharedRanges};
use crate::scenarios::{self, Study};

/// The classic environments, in the order of lists.
pub const CLASSICS: [&str; 4] = ["cart-pole", "acrobot", "mountain-car", "chain"];

/// Copies that learn on a service at once; the classic environments have one, as in what was published.
const COPIES: u64 = 8;

/// Variants of each copy.
const VARIANTS: u64 = 4;

/// Seconds from one decision to the next, unless said otherwise.
const MINUTE: f64 = 60.0;

/// Most pools that an agent can see here: each number is a program of its own.
pub const POOLS_LEARNT_MAX: usize = 4;

/// Variant parameters: least and most factor, each ratio as likely.
const LOAD: (f64, f64) = (0.7, 1.4);
const STARTUP: (f64, f64) = (0.7, 1.5);
const WORK: (f64, f64) = (0.8, 1.25);

/// How long the noise of a variant's load lasts: what a service whose start-up takes longer cannot follow.
const NOISE_SECONDS: f64 = MINUTE;

/// What is learnt.
#[derive(Clone, Debug)]
pub enum Task {
    /// One of [`CLASSICS`].
    Classic(&'static str),
    /// A service.
    Service(Box<Service>),
}

/// A service that is learnt.
#[derive(Clone, Debug)]
pub struct Service {
    /// As on the command line, for example `autoscale/web-diurnal`.
    pub name: String,
    /// The scenario as written.
    pub study: Study,
    /// How the agent is let onto it.
    pub access: Access,
    /// The engine of the worlds in which it learns.
    pub engine: Engine,
    /// The largest coefficient of variation of the noise that variants have on their load.
    pub noise: f64,
}

impl Task {
    /// What this name means; with `smoke` a service has one hour.
    ///
    /// # Errors
    /// If there is no such environment, or no agent can be let onto the service.
    pub fn named(name: &str, smoke: bool) -> anyhow::Result<Self> {
        if let Some(known) = CLASSICS.iter().find(|known| **known == name) {
            return Ok(Self::Classic(known));
        }
        let Some((kind @ ("autoscale" | "source"), scenario)) = name.split_once('/') else {
            bail!(
                "--env: {name:?} is none of {}, autoscale/<scenario>, source/<scenario>",
                CLASSICS.join(", ")
            );
        };
        let study = scenarios::named(scenario, smoke).with_context(|| format!("--env {name}"))?;
        let written = study.scenario();
        if written.pools.len() > POOLS_LEARNT_MAX {
            let n_pools = written.pools.len();
            bail!(
                "--env {name}: the service has {n_pools} pools, but an agent sees at most {POOLS_LEARNT_MAX}"
            );
        }
        let (sees, actions, ticks_per_step) = match kind {
            "source" => (Sees::Source, ActionSet::Steps { step_max: 1 }, 1),
            _ => (Sees::Rich, ActionSet::Margins {}, ticks_nearest(written, MINUTE)),
        };
        let access = Access { sees, actions, ticks_per_step, tick_seconds: written.tick_seconds };
        let name = format!("{kind}/{}", study.name);
        let service = Service { name, study, access, engine: Engine::Fluid, noise: 0.0 };
        // That an environment can be made is told by making one, before the first run.
        service.variant(service.study.scenario()).with_context(|| format!("--env {}", service.name))?;
        Ok(Self::Service(Box::new(service)))
    }

    /// The same, learnt on this engine.
    ///
    /// # Errors
    /// If a classic environment is meant, which has none.
    pub fn on(self, engine: Engine) -> anyhow::Result<Self> {
        match self {
            Self::Classic(name) => {
                bail!("--engine {}: {name} is no service and has no engine", engine.name())
            }
            Self::Service(service) => Ok(Self::Service(Box::new(Service { engine, ..*service }))),
        }
    }

    /// The same, with a decision about every so many seconds: in the number of ticks nearest to it that divides warm-up and
    /// horizon.
    ///
    /// # Errors
    /// If no agent of `autoscale` is meant: the others have a step of their own.
    pub fn every(self, seconds: f64) -> anyhow::Result<Self> {
        match self {
            Self::Service(mut service) if service.access.sees == Sees::Rich => {
                service.access.ticks_per_step = ticks_nearest(service.study.scenario(), seconds);
                Ok(Self::Service(service))
            }
            Self::Classic(_) | Self::Service(_) => bail!(
                "--period-seconds {seconds}: {} decides at every step of its own; only autoscale/<scenario> has a period",
                self.name()
            ),
        }
    }

    /// The same, with noise on the load of every variant: of a coefficient of variation up to this, small ones more often.
    ///
    /// # Errors
    /// If no agent of `autoscale` is meant: the others have no variants.
    pub fn noisy(self, noise: f64) -> anyhow::Result<Self> {
        match self {
            Self::Service(mut service) if service.access.sees == Sees::Rich => {
                service.noise = noise;
                Ok(Self::Service(service))
            }
            Self::Classic(_) | Self::Service(_) => bail!(
                "--noise {noise}: {} has no variants to draw it for; only autoscale/<scenario> has",
                self.name()
            ),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Classic(name) => name,
            Self::Service(service) => &service.name,
        }
    }

    /// Of everything that it is made of; the program is hashed apart.
    pub fn hash(&self) -> String {
        match self {
            Self::Classic(name) => (*name).to_owned(),
            Self::Service(it) => {
                let (engine, ticks) = (it.engine.name(), it.access.ticks_per_step);
                format!("{} {} {engine} {ticks} {}", it.name, it.study.hash, it.noise)
            }
        }
    }

    /// The copies that learn with this training seed, which write what they observe into `ranges`.
    pub fn training(&self, seed: u64, ranges: &SharedRanges) -> Vec<AnyEnv> {
        let watched = |env: Box<dyn Erased>| AnyEnv { env, ranges: Some(ranges.clone()) };
        match self {
            Self::Classic(name) => vec![watched(classic(name))],
            Self::Service(service) => (0..COPIES).map(|copy| watched(service.copy(seed, copy))).collect(),
        }
    }

    /// One environment as it is evaluated: a classic one as it is, a service as written.
    pub fn plain(&self) -> AnyEnv {
        let env = match self {
            Self::Classic(name) => classic(name),
            Self::Service(service) => {
                service.variant(service.study.scenario()).expect("one was made when the task was named")
            }
        };
        AnyEnv { env, ranges: None }
    }
}

impl Service {
    fn copy(&self, seed: u64, copy: u64) -> Box<dyn Erased> {
        let scenario = self.study.scenario();
        if self.access.sees == Sees::Source {
            return self.variant(scenario).expect("one was made when the task was named");
        }
        let variants = (0..VARIANTS)
            .map(|variant| {
                let changed = varied(scenario, self.noise, Seed::training(seed), copy * VARIANTS + variant);
                let env = self.variant(&changed).expect("one was made when the task was named");
                AnyEnv { env, ranges: None }
            })
            .collect();
        Box::new(Randomised::new(variants))
    }

    /// The environment over one scenario that differs from the written one in what the operator does not know.
    fn variant(&self, scenario: &Scenario) -> anyhow::Result<Box<dyn Erased>> {
        match (self.access.sees, scenario.pools.len()) {
            (Sees::Source, _) => {
                let facts = scenario.facts();
                let view = SourceView::new(&facts, load_scale_unmeasured(&facts));
                Ok(match self.engine {
                    Engine::Fluid => Box::new(self.dollars(FluidPlant::new(scenario), scenario, view)?),
                    Engine::Request => Box::new(self.dollars(RequestPlant::new(scenario), scenario, view)?),
                })
            }
            (Sees::Rich, 1) => self.rich::<{ rich_width(1) }>(scenario),
            (Sees::Rich, 2) => self.rich::<{ rich_width(2) }>(scenario),
            (Sees::Rich, 3) => self.rich::<{ rich_width(3) }>(scenario),
            (Sees::Rich, _) => self.rich::<{ rich_width(POOLS_LEARNT_MAX) }>(scenario),
        }
    }

    fn rich<const WIDTH: usize>(&self, scenario: &Scenario) -> anyhow::Result<Box<dyn Erased>> {
        match self.engine {
            Engine::Fluid => self.relative::<_, WIDTH>(FluidPlant::new(scenario), scenario),
            Engine::Request => self.relative::<_, WIDTH>(RequestPlant::new(scenario), scenario),
        }
    }

    fn relative<P: Plant + 'static, const WIDTH: usize>(
        &self,
        plant: P,
        scenario: &Scenario,
    ) -> anyhow::Result<Box<dyn Erased>> {
        let facts = scenario.facts();
        let view = RichView::<WIDTH>::new(&facts);
        Ok(Box::new(Relative::new(self.dollars(plant, scenario, view)?, scenario)?))
    }

    fn dollars<P: Plant, V: View>(
        &self,
        plant: P,
        scenario: &Scenario,
        view: V,
    ) -> anyhow::Result<Autoscale<P, V>> {
        Ok(Autoscale::new(plant, view, scenario, self.access.options())?)
    }
}

/// A variant of a scenario: load, start-ups and work times factors that the seed draws, and the load with noise of
/// coefficient of variation `noise` u², u uniform.
pub fn varied(scenario: &Scenario, noise: f64, seed: Seed, variant: u64) -> Scenario {
    let key = seed.key(Stream::Variants);
    let factor = |parameter: u64, (least, most): (f64, f64)| -> f64 {
        least * (most / least).powf(key.uniform(variant, parameter))
    };
    let (load, startup, work) = (factor(0, LOAD), factor(1, STARTUP), factor(2, WORK));
    let mut varied = scenario.clone();
    varied.workload = Workload::Scaled(Box::new(varied.workload), Scale::Factor(load));
    if noise > 0.0 {
        // Most services are calm, and the price of noise grows with its square.
        let variation = noise * key.uniform(variant, 3).powi(2);
        let noise = Noise { variation, correlation_seconds: NOISE_SECONDS };
        varied.workload = Workload::Noisy(Box::new(varied.workload), noise);
    }
    varied.work = varied.work.scaled(work);
    for pool in &mut varied.pools {
        pool.startup = pool.startup.scaled(startup);
    }
    varied
}

/// The number of ticks nearest to so many seconds that divides warm-up and horizon.
fn ticks_nearest(scenario: &Scenario, seconds: f64) -> u32 {
    let Scenario { warm_up_ticks, horizon_ticks, tick_seconds, .. } = *scenario;
    let away = |ticks: u32| (f64::from(ticks) * tick_seconds - seconds).abs();
    (1..=horizon_ticks)
        .filter(|ticks| warm_up_ticks.is_multiple_of(*ticks) && horizon_ticks.is_multiple_of(*ticks))
        .min_by(|a, b| away(*a).total_cmp(&away(*b)))
        .unwrap_or(1)
}

fn classic(name: &str) -> Box<dyn Erased> {
    match name {
        "cart-pole" => Box::new(CartPole::new()),
        "acrobot" => Box::new(Acrobot::new()),
        "mountain-car" => Box::new(MountainCar::new()),
        _ => Box::new(Chain::new()),
    }
}

/// Numbers of the widest observation.
const WIDTH_MAX: usize = rich_width(POOLS_LEARNT_MAX);

/// An observation of any environment.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    values: [f32; WIDTH_MAX],
    width: usize,
}

impl Seen {
    fn of(observation: &[f32]) -> Self {
        let mut values = [0.0; WIDTH_MAX];
        values[..observation.len()].copy_from_slice(observation);
        Self { values, width: observation.len() }
    }
}

impl AsRef<[f32]> for Seen {
    fn as_ref(&self) -> &[f32] {
        &self.values[..self.width]
    }
}

/// Any environment whose action is a choice, so that the learner is compiled once. What a call through a pointer costs is
/// nothing beside a gradient step.
pub struct AnyEnv {
    env: Box<dyn Erased>,
    ranges: Option<SharedRanges>,
}

impl AnyEnv {
    fn see(&self, observation: &Seen) {
        if let Some(ranges) = &self.ranges {
            ranges.borrow_mut().see(observation.as_ref());
        }
    }
}

impl Env for AnyEnv {
    type Action = usize;
    type Observation = Seen;
    /// Reports look at runs of controllers.
    type Info = ();

    fn spec(&self) -> &Spec {
        self.env.its_spec()
    }

    fn reset(&mut self, seed: Seed) -> Seen {
        let seen = self.env.begin(seed);
        self.see(&seen);
        seen
    }

    fn step(&mut self, action: usize) -> Step<Seen> {
        let step = self.env.go_on(action);
        self.see(&step.observation);
        step
    }

    fn info(&self) -> &() {
        &()
    }

    fn allowed(&self, mask: &mut [bool]) {
        self.env.its_allowed(mask);
    }
}

/// [`Env`] without its types.
trait Erased {
    fn its_spec(&self) -> &Spec;
    fn begin(&mut self, seed: Seed) -> Seen;
    fn go_on(&mut self, action: usize) -> Step<Seen>;
    fn its_allowed(&self, mask: &mut [bool]);
}

impl<E: Env<Action = usize>> Erased for E {
    fn its_spec(&self) -> &Spec {
        self.spec()
    }

    fn begin(&mut self, seed: Seed) -> Seen {
        Seen::of(self.reset(seed).as_ref())
    }

    fn go_on(&mut self, action: usize) -> Step<Seen> {
        let Step { observation, reward, end } = self.step(action);
        Step { observation: Seen::of(observation.as_ref()), reward, end }
    }

    fn its_allowed(&self, mask: &mut [bool]) {
        self.allowed(mask);
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::Distribution;
    use tidegate_envs::conformance;

    use super::*;

    #[test]
    fn every_built_in_scenario_can_be_learnt_in_steps_of_about_a_minute() {
        for (name, _, _) in scenarios::list() {
            for kind in ["autoscale", "source"] {
                let task = Task::named(&format!("{kind}/{name}"), true).expect("it can be learnt");
                let Task::Service(service) = &task else { unreachable!("it is a service") };
                let seconds = service.access.step_seconds();
                assert!(kind == "source" || (30.0..=90.0).contains(&seconds), "{name}: {seconds} s");
                let spec = task.plain();
                assert_eq!(spec.spec().name, format!("autoscale/{name}"));
            }
        }
    }

    #[test]
    fn what_an_agent_trains_on_conforms() {
        let task = Task::named("autoscale/flash-crowd", true).expect("it can be learnt");
        for engine in [Engine::Fluid, Engine::Request] {
            let task = task.clone().on(engine).expect("it is a service");
            let ranges = SharedRanges::default();
            conformance::check(|| task.training(3, &ranges).swap_remove(5)).unwrap();
            let seen = ranges.borrow();
            assert!(seen.least.iter().zip(&seen.most).any(|(least, most)| least < most));
        }
    }

    #[test]
    fn the_engines_are_other_worlds_and_checkpoints_know_it() {
        let fluid = Task::named("autoscale/web-diurnal", true).expect("it can be learnt");
        let request = fluid.clone().on(Engine::Request).expect("it is a service");
        let observed = |task: &Task| {
            let mut env = task.training(0, &SharedRanges::default()).swap_remove(0);
            env.reset(Seed::training(4));
            let seen: Vec<Seen> = (0..20).map(|_| env.step(0).observation).collect();
            seen.iter().flat_map(|it| it.as_ref().to_vec()).collect::<Vec<f32>>()
        };
        assert_ne!(observed(&fluid), observed(&request));
        assert_ne!(fluid.hash(), request.hash());
        let error =
            Task::named("chain", true).and_then(|it| it.on(Engine::Request)).expect_err("it has none");
        expect_test::expect!["--engine request: chain is no service and has no engine"]
            .assert_eq(&error.to_string());
    }

    #[test]
    fn a_period_is_the_nearest_number_of_ticks_and_belongs_to_agents_of_autoscale() {
        let task = Task::named("autoscale/flash-crowd", false).expect("it can be learnt");
        let seconds = |task: &Task| match task {
            Task::Service(service) => service.access.step_seconds(),
            Task::Classic(_) => unreachable!("it is a service"),
        };
        assert_eq!(seconds(&task), 60.0);
        // Ticks are 15 s; three of them do not divide the warm-up.
        for (asked, got) in [(30.0, 30.0), (44.0, 30.0), (50.0, 60.0), (1.0, 15.0)] {
            let changed = task.clone().every(asked).expect("it has a period");
            assert_eq!(seconds(&changed), got, "{asked} s");
            assert_eq!(changed.hash() == task.hash(), got == 60.0);
        }
        let refused = ["source/web-diurnal", "chain"].map(|name| {
            let task = Task::named(name, true).expect("it is there");
            task.every(30.0).expect_err("it has none").to_string()
        });
        expect_test::expect![[r#"
            [
                "--period-seconds 30: source/web-diurnal decides at every step of its own; only autoscale/<scenario> has a period",
                "--period-seconds 30: chain decides at every step of its own; only autoscale/<scenario> has a period",
            ]
        "#]].assert_debug_eq(&refused);
    }

    #[test]
    fn variants_change_what_the_operator_does_not_know_within_their_bounds() {
        let study = scenarios::named("web-diurnal", false).expect("it is built in");
        let scenario = study.scenario();
        let mut loads = Vec::new();
        for variant in 0..200 {
            let varied = varied(scenario, 0.0, Seed::training(1), variant);
            assert_eq!(varied.facts(), scenario.facts());
            let ratio = |of: fn(&Scenario) -> &Distribution| of(&varied).mean() / of(scenario).mean();
            let (work, startup) = (ratio(|it| &it.work), ratio(|it| &it.pools[0].startup));
            assert!((0.8..1.25).contains(&work) && (0.7..1.5).contains(&startup), "{work}, {startup}");
            let Workload::Scaled(_, Scale::Factor(load)) = varied.workload else { panic!("it is scaled") };
            loads.push(load);
        }
        loads.sort_by(f64::total_cmp);
        // Log-uniform: half of them below √(0.7 · 1.4) = 0.99, to three standard errors of the median.
        assert!(loads[0] >= 0.7 && loads[199] < 1.4 && (loads[100] - 0.99).abs() < 0.08, "{}", loads[100]);
    }

    #[test]
    fn noise_is_drawn_for_every_variant_and_changes_nothing_else() {
        let study = scenarios::named("web-diurnal", false).expect("it is built in");
        let mut variations: Vec<f64> = (0..200)
            .map(|variant| {
                let of = |noise| varied(study.scenario(), noise, Seed::training(1), variant);
                let (calm, noisy) = (of(0.0), of(0.6));
                let Workload::Noisy(load, Noise { variation, correlation_seconds }) = noisy.workload else {
                    panic!("it is noisy")
                };
                assert_eq!((*load, noisy.work, correlation_seconds), (calm.workload, calm.work, 60.0));
                variation
            })
            .collect();
        variations.sort_by(f64::total_cmp);
        // 0.6 u²: half of them below 0.15, to three standard errors of the median.
        let median = variations[100];
        assert!(variations[199] < 0.6 && (median - 0.15).abs() < 0.065, "{median}");

        let task = Task::named("autoscale/web-diurnal", true).expect("it can be learnt");
        assert_ne!(task.clone().noisy(0.6).expect("it has variants").hash(), task.hash());
        let error = Task::named("chain", true).and_then(|it| it.noisy(0.6)).expect_err("it has none");
        expect_test::expect![
            "--noise 0.6: chain has no variants to draw it for; only autoscale/<scenario> has"
        ]
        .assert_eq(&error.to_string());
    }

    #[test]
    fn what_cannot_be_learnt_is_named_with_what_can() {
        let check = |name: &str, expected: expect_test::Expect| {
            expected.assert_eq(&format!("{:#}", Task::named(name, true).expect_err("there is none")));
        };
        check(
            "cartpole",
            expect_test::expect![[
                r#"--env: "cartpole" is none of cart-pole, acrobot, mountain-car, chain, autoscale/<scenario>, source/<scenario>"#
            ]],
        );
        let error = format!("{:#}", Task::named("autoscale/x", true).expect_err("there is none"));
        assert!(
            error.starts_with("--env autoscale/x: --scenario: \"x\" is none of web-diurnal, flash-crowd")
        );
    }
}
