//! The kind `dqn`: a learnt policy that drives a fleet, and a rule that takes over where the policy knows nothing.
//!
//! The policy sees and acts as it did in training ([`tidegate_envs::autoscale::Agent`]). Beside it lies the range of every
//! number that it saw there. Where one of them leaves its range by more than a quarter of the width, what a network answers
//! is an extrapolation nobody has tested: a `threshold` controller with its documented defaults decides instead, the
//! decision counts as fallback and names the number, and the agent goes on from the counts that were carried out. The
//! rule begins afresh each time it takes over, with the scrapes of the last step. A weekend is no such case: an agent that has seen
//! weekdays only takes it for one, since what is different about its load can be seen.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use tidegate_autoscalers::{
    About, BoxedController, Catalog, Kind, NamedController, Parameter, catalog::read_parameters, wrong,
};
use tidegate_core::locate::FieldError;
use tidegate_core::{
    Basis, Controller, ControllerStream, Decision, Needs, Observation, OperatorFacts, Reason, Space,
};
use tidegate_envs::autoscale::{Actions, Agent, WEEKEND, load_scale_unmeasured, rich_width};
use tidegate_envs::{RichView, SourceView, View};
use toml::{Table, Value};

use crate::learning::agent::{Access, AgentFile, Sees};
use crate::learning::environment::POOLS_LEARNT_MAX;
use crate::runs;

/// Agents of built-in scenarios; experiments/agents/README.md has the command that made each.
const BUILT_IN: &[(&str, &[u8])] = &[
    ("web-diurnal", include_bytes!("../agents/web-diurnal.agent")),
    ("flash-crowd", include_bytes!("../agents/flash-crowd.agent")),
    ("checkout", include_bytes!("../agents/checkout.agent")),
    ("batch-queue", include_bytes!("../agents/batch-queue.agent")),
    ("llm-inference", include_bytes!("../agents/llm-inference.agent")),
    ("serverless", include_bytes!("../agents/serverless.agent")),
    ("spot-mix", include_bytes!("../agents/spot-mix.agent")),
    ("multi-region", include_bytes!("../agents/multi-region.agent")),
    ("carbon", include_bytes!("../agents/carbon.agent")),
    ("noisy-sensors", include_bytes!("../agents/noisy-sensors.agent")),
    ("faults", include_bytes!("../agents/faults.agent")),
    ("retry-storm", include_bytes!("../agents/retry-storm.agent")),
    ("vertical", include_bytes!("../agents/vertical.agent")),
    ("warm-pool", include_bytes!("../agents/warm-pool.agent")),
    ("memory-bound", include_bytes!("../agents/memory-bound.agent")),
];

/// The agent for services that have none of their own, such as those of traces: it learnt on variants whose load jumps from
/// minute to minute.
const GENERAL: &[u8] = include_bytes!("../agents/general.agent");

/// As it is called in files and on the command line.
pub const KIND: &str = "dqn";

/// The kind `dqn`, for the runs of the scenario of this name.
pub fn kind(scenario: Option<&str>) -> Kind {
    let own = scenario.and_then(built_in);
    Kind::new(
        ABOUT,
        |table| read_parameters::<Parameters>(table).map(|_| ()),
        move |table, facts| {
            let own = own.or_else(|| (facts.pools.len() == 1).then_some(GENERAL));
            controller(&agent(&read_parameters(table)?, own)?, facts)
        },
    )
}

/// What a list says of it.
pub const ABOUT: About = About {
    kind: KIND,
    summary: "A policy learnt by deep Q-learning (`train`), and a threshold controller where it sees what it never saw.",
    source: "source document, OptimalAutoScaler (DQN); docs/learning.md",
    parameters: &[Parameter::new(
        "agent",
        "",
        "\"\"",
        "File of the agent, `seed-N.agent` of `train`, relative to the file that names it; empty: the agent that is built in \
         for the scenario, or the general one where there is none and the service has one pool.",
    )],
};

/// What can be set.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
pub struct Parameters {
    pub agent: String,
}

/// The agent that is built in for a scenario.
pub fn built_in(scenario: &str) -> Option<&'static [u8]> {
    BUILT_IN.iter().find(|(name, _)| *name == scenario).map(|(_, bytes)| *bytes)
}

/// The file of an agent lies where the file of controllers does, in `folder`.
pub fn resolve(controller: &mut NamedController, folder: &Path) {
    if controller.kind == KIND
        && let Some(Value::String(path)) = controller.parameters.get_mut("agent")
        && !path.is_empty()
    {
        *path = folder.join(&*path).display().to_string();
    }
}

/// Hash of the file that these parameters of a controller name, so that a run with another agent of the same name is
/// another run; empty where they name none that can be read.
pub fn file_hash(parameters: &Table) -> String {
    let path = parameters.get("agent").and_then(Value::as_str).filter(|path| !path.is_empty());
    path.and_then(|path| fs::read(path).ok()).map_or_else(String::new, |bytes| runs::hash(&[&bytes]))
}

fn agent(parameters: &Parameters, own: Option<&[u8]>) -> Result<AgentFile, FieldError> {
    match (parameters.agent.as_str(), own) {
        ("", Some(bytes)) => AgentFile::from_bytes(bytes).map_err(|error| wrong("agent", error.to_string())),
        ("", None) => Err(wrong(
            "agent",
            "must be the file of an agent, since none is built in for this scenario and the general one sees one pool: \
             `train` makes one",
        )),
        (path, _) => AgentFile::read(Path::new(path)).map_err(|error| wrong("agent", format!("{error:#}"))),
    }
}

/// The controller of an agent for the service of these facts.
///
/// # Errors
/// If the agent learnt on no service, or its width, its actions or its period do not fit this one.
pub fn controller(agent: &AgentFile, facts: &OperatorFacts) -> Result<BoxedController, FieldError> {
    let Some(access) = agent.access else {
        return Err(wrong(
            "agent",
            format!("must have learnt on a service, but learnt on {}", agent.environment),
        ));
    };
    let load_scale = load_scale_unmeasured(facts);
    match (access.sees, facts.pools.len()) {
        (Sees::Source, _) => guarded(agent, access, facts, || SourceView::new(facts, load_scale)),
        (Sees::Rich, 1) => guarded(agent, access, facts, || RichView::<{ rich_width(1) }>::new(facts)),
        (Sees::Rich, 2) => guarded(agent, access, facts, || RichView::<{ rich_width(2) }>::new(facts)),
        (Sees::Rich, 3) => guarded(agent, access, facts, || RichView::<{ rich_width(3) }>::new(facts)),
        (Sees::Rich, POOLS_LEARNT_MAX) => {
            guarded(agent, access, facts, || RichView::<{ rich_width(POOLS_LEARNT_MAX) }>::new(facts))
        }
        (Sees::Rich, n) => {
            Err(wrong("agent", format!("can see at most {POOLS_LEARNT_MAX} pools, but there are {n}")))
        }
    }
}

fn guarded<V: View + Send + 'static>(
    agent: &AgentFile,
    access: Access,
    facts: &OperatorFacts,
    view: impl FnOnce() -> V,
) -> Result<BoxedController, FieldError> {
    let fails = |problem: String| wrong("agent", problem);
    let mut options = access.options();
    // The same seconds on another tick; decisions fall on ticks, as in training.
    let ticks = access.step_seconds() / facts.tick_seconds;
    if (ticks - ticks.round()).abs() > 1e-9 || ticks < 0.5 {
        let (step, tick) = (access.step_seconds(), facts.tick_seconds);
        return Err(fails(format!("decides every {step} s, which is no multiple of the tick of {tick} s")));
    }
    options.ticks_per_step = ticks.round() as u32;
    let actions = Actions::new(facts, options.actions).map_err(|error| fails(error.to_string()))?;
    let view = view();
    let quantities = view.quantities();
    let n_actions = Space::Discrete(actions.names().to_vec()).len();
    let (ours, theirs) = ((quantities.len(), n_actions), (agent.policy.n_inputs(), agent.policy.n_actions()));
    if ours != theirs {
        return Err(fails(format!(
            "of {} sees {} numbers and chooses among {} actions, but this service has {} and {}",
            agent.environment, theirs.0, theirs.1, ours.0, ours.1
        )));
    }
    let mut policy = agent.policy.clone();
    let names = quantities.iter().map(|quantity| kept(&quantity.name)).collect();
    let act = move |seen: &V::Vector, allowed: &[bool]| policy.act(seen.as_ref(), allowed);
    let agent_of = Agent::new(facts, view, options, act).map_err(|error| fails(error.to_string()))?;
    let rule = Catalog::rules().build("threshold", &Table::new(), facts)?;
    Ok(Box::new(Guarded {
        agent: agent_of,
        weekend: quantities.iter().position(|quantity| quantity.name == WEEKEND),
        known: agent.ranges.widened(),
        names,
        rule,
        rule_decides: false,
        chance: None,
    }))
}

/// An agent, and who decides where it knows nothing.
struct Guarded<V, F> {
    agent: Agent<V, F>,
    /// Place of the weekend, where the view shows it.
    weekend: Option<usize>,
    /// Least and most of every number.
    known: Vec<(f32, f32)>,
    names: Vec<&'static str>,
    rule: BoxedController,
    rule_decides: bool,
    chance: Option<ControllerStream>,
}

impl<V: View, F: FnMut(&V::Vector, &[bool]) -> usize> Controller for Guarded<V, F> {
    fn period_seconds(&self) -> f64 {
        self.agent.period_seconds()
    }

    fn needs(&self) -> Needs {
        self.rule.needs()
    }

    fn reset(&mut self, chance: ControllerStream) {
        self.chance = Some(chance.clone());
        self.rule_decides = false;
        self.agent.reset(chance);
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let now_seconds = observation.now_seconds;
        let mut seen = self.agent.see(observation);
        if let Some(place) = self.weekend {
            let (least, most) = self.known[place];
            let weekend = &mut seen.as_mut()[place];
            *weekend = weekend.clamp(least, most);
        }
        let is_outside = |(value, (least, most)): (&f32, &(f32, f32))| !(*least..=*most).contains(value);
        let outside = seen.as_ref().iter().zip(&self.known).position(is_outside);
        let (Some(place), true) = (outside, self.agent.acts_at(now_seconds)) else {
            self.rule_decides = false;
            return self.agent.answer(&seen, now_seconds);
        };
        if !self.rule_decides {
            let chance = self.chance.clone().expect("a controller is reset before it decides");
            self.rule.reset(chance);
        }
        self.rule_decides = true;
        let mut decision = self.rule.decide(observation);
        self.agent.follow(&decision.targets);
        let (least, most) = self.known[place];
        decision.basis = Basis::Fallback;
        decision.reason = Reason::new("never seen in training, so a threshold decides")
            .about(self.names[place])
            .with("seen", f64::from(seen.as_ref()[place]))
            .with("least", f64::from(least))
            .with("most", f64::from(most));
        decision
    }
}

/// A name that lives as long as the program, as a reason needs it; each is kept once.
fn kept(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().expect("nobody panics while it is held");
    if let Some(known) = names.get(name) {
        return known;
    }
    let kept: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.insert(kept);
    kept
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use tidegate_core::scenario::Workload;
    use tidegate_core::{Env, Scenario, Seed};
    use tidegate_sim::fluid::FluidPlant;
    use tidegate_sim::{Watch, run};

    use super::*;
    use crate::learning::{Course, Preset, Ranges, Task, settings};

    /// An agent of few steps on an hour of the scenario: it must be the same one, not a good one.
    fn trained(name: &str, seed: u64) -> (Task, AgentFile) {
        let task = Task::named(name, true).expect("it is there");
        let options = settings::options(&task, Preset::Double, Some(800)).expect("it is there");
        let course = Course { task: &task, options: &options, seed, program: "test", folder: None };
        let trained = course.train(&mut |_| {}, &mut |_| false).expect("it runs").expect("nobody stops it");
        (task, AgentFile::from_bytes(&trained.agent).expect("it was just written"))
    }

    fn scenario(task: &Task) -> Scenario {
        let Task::Service(service) = task else { panic!("it is a service") };
        (**service.study.scenario()).clone()
    }

    #[derive(Default)]
    struct Kept(Vec<(f64, u32, Decision)>);

    impl Watch for Kept {
        fn decision(&mut self, now_seconds: f64, decision: &Decision) {
            self.0.push((now_seconds, decision.targets[0].wanted, *decision));
        }
    }

    fn everything(width: usize) -> Ranges {
        Ranges { least: vec![-1e9; width], most: vec![1e9; width] }
    }

    fn drive(agent: &AgentFile, scenario: &Scenario, seed: Seed) -> (Kept, tidegate_sim::RunSummary) {
        let mut controller = controller(agent, &scenario.facts()).expect("it fits");
        let mut kept = Kept::default();
        let summary = run(&mut FluidPlant::new(scenario), &mut *controller, seed, &mut kept);
        (kept, summary)
    }

    #[test]
    fn inside_its_range_the_agent_drives_the_fleet_as_it_did_in_the_environment() {
        for name in ["autoscale/web-diurnal", "source/web-diurnal"] {
            // So little training may teach to hold: one is taken that moves the fleet.
            let moves = |training_seed| {
                let (task, mut agent) = trained(name, training_seed);
                agent.ranges = everything(agent.policy.n_inputs());
                let (scenario, seed) = (scenario(&task), Seed::evaluation(4));
                let (kept, summary) = drive(&agent, &scenario, seed);
                let initial = scenario.pools[0].replicas_initial;
                let moves = kept.0.iter().any(|(_, wanted, _)| *wanted != initial);
                moves.then_some((task, agent, scenario, seed, kept, summary))
            };
            let found = (0..20).find_map(moves);
            let (task, mut agent, scenario, seed, kept, summary) = found.expect("one of twenty moves it");
            let mut env = task.plain();
            let mut seen = env.reset(seed);
            let mut allowed = vec![true; agent.policy.n_actions()];
            let start = f64::from(scenario.facts().calendar.warm_up_seconds);
            let decided = kept.0.iter().filter(|(at, _, _)| *at >= start - 1.0);
            // The same action at every step, of what is seen: so the same counts before it.
            for (step, (_, _, decision)) in decided.enumerate() {
                env.allowed(&mut allowed);
                let action = agent.policy.act(seen.as_ref(), &allowed);
                assert_eq!(decision.reason.values[0], ("action", action as f64), "{name}, step {step}");
                let taken = env.step(action);
                seen = taken.observation;
                if taken.end.is_some() {
                    break;
                }
            }
            assert!(kept.0.len() > 40 && summary.decisions[3] == 0, "{:?}", summary.decisions);
        }
    }

    #[test]
    fn outside_its_range_a_threshold_decides_and_the_agent_goes_on_from_there() {
        let (task, mut agent) = trained("source/web-diurnal", 0);
        let (scenario, seed) = (scenario(&task), Seed::evaluation(4));
        // It has only ever seen the minutes around half past midnight.
        let time_of_day = 2;
        agent.ranges = everything(agent.policy.n_inputs());
        (agent.ranges.least[time_of_day], agent.ranges.most[time_of_day]) = (0.02, 0.03);
        let (kept, summary) = drive(&agent, &scenario, seed);
        let start = f64::from(scenario.facts().calendar.warm_up_seconds);
        let (taken_over, own): (Vec<&(f64, u32, Decision)>, Vec<_>) = kept
            .0
            .iter()
            .filter(|(at, _, _)| *at >= start - 1.0)
            .partition(|(_, _, decision)| decision.basis == Basis::Fallback);
        assert_eq!(taken_over.len() as u64, summary.decisions[3]);
        expect![
            "never seen in training, so a threshold decides: time of day (seen 0.000, least 0.018, most 0.032)"
        ]
        .assert_eq(&taken_over[0].2.reason.to_string());
        // One step of the agent changes the count by one at most, whoever decided before.
        for pair in kept.0.windows(2).filter(|pair| pair[1].2.basis == Basis::Normal) {
            assert!(pair[0].1.abs_diff(pair[1].1) <= 1, "{pair:?}");
        }
        assert!(own.len() > 60 && taken_over.len() > 150, "{} and {}", own.len(), taken_over.len());
    }

    #[test]
    fn an_agent_that_does_not_fit_is_named_with_both_sides() {
        fn check(agent: &AgentFile, scenario: &Scenario, expected: &Expect) {
            let error = controller(agent, &scenario.facts()).err().expect("it does not fit");
            expected.assert_eq(&error.to_string());
        }
        let (task, agent) = trained("autoscale/web-diurnal", 0);
        let named = |name: &str| scenario(&Task::named(name, true).expect("it is there"));
        check(
            &agent,
            &named("autoscale/spot-mix"),
            &expect![
                "`agent` of autoscale/web-diurnal sees 26 numbers and chooses among 13 actions, but this service has 32 and 26"
            ],
        );
        let slower = Scenario { tick_seconds: 25.0, ..scenario(&task) };
        check(
            &agent,
            &slower,
            &expect!["`agent` decides every 60 s, which is no multiple of the tick of 25 s"],
        );
        let classic = AgentFile { access: None, environment: "cart-pole".into(), ..agent };
        check(
            &classic,
            &scenario(&task),
            &expect!["`agent` must have learnt on a service, but learnt on cart-pole"],
        );
    }

    #[test]
    fn what_no_agent_can_be_read_from_is_named() {
        let check = |scenario: Option<&str>, parameters: &str, expected: &Expect| {
            let catalog = Catalog::rules().with(kind(scenario));
            let mut facts = Scenario::parse(tidegate_core::scenario::EXAMPLE).expect("it is right").facts();
            facts.pools.push(facts.pools[0].clone());
            let table: Table = parameters.parse().expect("it is TOML");
            let error = catalog.build(KIND, &table, &facts).err().expect("there is no agent");
            expected.assert_eq(&error.to_string());
        };
        check(
            Some("example"),
            "",
            &expect![
                "`agent` must be the file of an agent, since none is built in for this scenario and the general one sees one pool: `train` makes one"
            ],
        );
        check(
            None,
            "agent = \"no.agent\"",
            &expect!["`agent` no.agent: No such file or directory (os error 2)"],
        );
        check(None, "agnet = \"a\"", &expect!["`agnet` unknown field `agnet`, expected `agent`"]);
    }

    #[test]
    fn built_in_agents_are_those_of_their_scenarios_and_fit_them() {
        for (name, bytes) in BUILT_IN {
            let agent = AgentFile::from_bytes(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(agent.environment, format!("autoscale/{name}"));
            let facts = scenario(&Task::named(&agent.environment, false).expect("it is built in")).facts();
            assert!(controller(&agent, &facts).is_ok(), "{name}");
        }
    }

    /// An hour of the service that the general agent learnt on, under another name and with the same load at all times.
    fn unnamed() -> Scenario {
        let known = scenario(&Task::named("autoscale/web-diurnal", true).expect("it is there"));
        Scenario { name: "unnamed".into(), workload: Workload::Constant(12.0), ..known }
    }

    fn wanted(kept: &Kept) -> Vec<u32> {
        kept.0.iter().map(|(_, wanted, _)| *wanted).collect()
    }

    #[test]
    fn a_weekend_is_taken_for_a_weekday_by_who_saw_no_other() {
        let mut scenario = unnamed();
        let agent = AgentFile::from_bytes(GENERAL).expect("it is built in");
        let quantities = <RichView>::new(&scenario.facts()).quantities();
        let place = quantities.iter().position(|quantity| quantity.name == WEEKEND).expect("it is seen");
        assert_eq!(agent.ranges.most[place], 0.0, "it learnt on a Tuesday");
        let (tuesday, _) = drive(&agent, &scenario, Seed::evaluation(4));
        scenario.calendar.start += chrono::TimeDelta::days(4);
        let (saturday, _) = drive(&agent, &scenario, Seed::evaluation(4));
        assert_eq!(wanted(&saturday), wanted(&tuesday));
    }

    #[test]
    fn the_general_agent_drives_what_has_none_of_its_own() {
        let scenario = unnamed();
        assert!(built_in(&scenario.name).is_none());
        let catalog = Catalog::rules().with(kind(Some(&scenario.name)));
        let mut controller =
            catalog.build(KIND, &Table::new(), &scenario.facts()).expect("one pool is what it sees");
        let mut kept = Kept::default();
        let summary = run(&mut FluidPlant::new(&scenario), &mut *controller, Seed::evaluation(4), &mut kept);
        let agent = AgentFile::from_bytes(GENERAL).expect("it is built in");
        assert_eq!(wanted(&kept), wanted(&drive(&agent, &scenario, Seed::evaluation(4)).0));
        let own = kept.0.iter().filter(|(_, _, decision)| decision.basis == Basis::Normal).count();
        assert!(own > kept.0.len() / 2, "{own} of {} decisions", kept.0.len());
        assert!(summary.launches + summary.terminations > 0, "the fleet must move");
    }

    #[test]
    fn the_handbook_and_the_defaults_are_right() {
        let catalog = Catalog::rules().with(kind(None));
        tidegate_autoscalers::testing::check_handbook::<Parameters>(&catalog, KIND);
    }
}
