//! The final greedy policy on evaluation seeds, never the best checkpoint.
//!
//! A classic environment is played; an agent of a service runs as the controller `dqn`, with its safety rule, on the
//! scenario as written, on both engines, whichever it learnt on; request is where it must hold. Beside it run a few
//! rules with documented defaults in the same worlds.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tidegate_autoscalers::{BoxedController, NamedController};
use tidegate_core::{Seed, Split};

use crate::cli::Engine;
use crate::controllers;
use crate::engine::simulate;
use crate::learning::agent::AgentFile;
use crate::learning::course::Trained;
use crate::learning::environment::{Service, Task};
use crate::learnt_control;
use crate::runs::{self, Job};

/// Rules beside the agents.
pub const RULES: [&str; 4] = ["fixed", "threshold", "square_root_staffing", "lcp"];

/// Engines, in the order of tables.
pub const ENGINES: [Engine; 2] = [Engine::Fluid, Engine::Request];

/// One episode of one agent in a classic environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpisodeRow {
    /// The training seed.
    pub training_seed: u64,
    /// The evaluation seed.
    pub evaluation_seed: u64,
    /// Sum of rewards.
    pub total: f64,
    /// Steps.
    pub length: u64,
}

/// One run of one controller in an evaluation world of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DayRow {
    /// The engine.
    pub engine: String,
    /// The rule, or `dqn` for an agent.
    pub controller: String,
    /// The training seed of an agent.
    pub training_seed: Option<u64>,
    /// The evaluation seed.
    pub evaluation_seed: u64,
    /// All dollars.
    pub dollars_total: f64,
    /// Of these, penalties.
    pub dollars_penalty: f64,
    /// Share of users late or never served.
    pub violating_share: f64,
    /// Ready replicas on average.
    pub ready_mean: f64,
    /// Decisions that changed a count.
    pub scaling_actions: u64,
    /// Share of decisions that the safety rule took.
    pub fallback_share: f64,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub enum Evaluated {
    /// Episodes, seed by seed.
    Episodes(Vec<EpisodeRow>),
    /// Days of agents that learnt on this engine: engine by engine, rules first, then agents.
    Days(Engine, Vec<DayRow>),
}

/// Runs what is not yet on disk.
///
/// # Errors
/// If an agent does not fit its own service, a file cannot be written, or a run panics.
pub fn evaluate(
    out: &Path,
    program: &str,
    task: &Task,
    trained: &[Trained],
    n_worlds: u64,
    threads: usize,
) -> anyhow::Result<Evaluated> {
    match task {
        Task::Classic(_) => episodes(out, program, task, trained, n_worlds, threads),
        Task::Service(service) => days(out, program, service, trained, n_worlds, threads),
    }
}

fn episodes(
    out: &Path,
    program: &str,
    task: &Task,
    trained: &[Trained],
    n_worlds: u64,
    threads: usize,
) -> anyhow::Result<Evaluated> {
    let jobs: Vec<Job<&Trained>> = trained
        .iter()
        .map(|it| Job {
            name: format!("train/{}/{}", task.name(), it.seed),
            hash: runs::hash(&[program.as_bytes(), &it.agent, &n_worlds.to_le_bytes()]),
            what: it,
        })
        .collect();
    let finished = runs::run_all(out, &jobs, threads, &|it: &&Trained| {
        let agent = AgentFile::from_bytes(&it.agent).expect("it was written by this program");
        let (mut policy, mut env) = (agent.policy, task.plain());
        let play = |evaluation_seed| {
            let episode = policy.play(&mut env, Seed::evaluation(evaluation_seed));
            EpisodeRow {
                training_seed: it.seed,
                evaluation_seed,
                total: episode.total,
                length: episode.length,
            }
        };
        (0..n_worlds).map(play).collect::<Vec<EpisodeRow>>()
    })?;
    Ok(Evaluated::Episodes(finished.into_iter().flat_map(|it| it.result).collect()))
}

/// Who drives the fleet.
enum Driver {
    Rule(NamedController),
    Agent(u64, Box<AgentFile>),
}

fn days(
    out: &Path,
    program: &str,
    service: &Service,
    trained: &[Trained],
    n_worlds: u64,
    threads: usize,
) -> anyhow::Result<Evaluated> {
    let (study, catalog) = (&service.study, controllers::catalog());
    let facts = study.scenario().facts();
    let mut drivers = Vec::new();
    for rule in RULES {
        let named = NamedController::of_kind(rule);
        controllers::check(std::slice::from_ref(&named), &catalog, study)?;
        drivers.push((rule.to_owned(), Vec::new(), Driver::Rule(named)));
    }
    for it in trained {
        let agent = AgentFile::from_bytes(&it.agent)?;
        learnt_control::controller(&agent, &facts)?;
        drivers.push((format!("dqn-{}", it.seed), it.agent.clone(), Driver::Agent(it.seed, Box::new(agent))));
    }
    let mut jobs = Vec::new();
    for engine in ENGINES {
        for (name, agent, driver) in &drivers {
            let parts: [&[u8]; 4] =
                [program.as_bytes(), study.hash.as_bytes(), engine.name().as_bytes(), agent];
            for world in 0..n_worlds {
                jobs.push(Job {
                    name: format!("train/{}/{}/{name}/{world}", service.name, engine.name()),
                    hash: runs::hash(&parts),
                    what: (engine, driver, world),
                });
            }
        }
    }
    let finished =
        runs::run_all(out, &jobs, threads, &|(engine, driver, world): &(Engine, &Driver, u64)| {
            let (scenario, seed) = study.world(Split::Evaluation, *world);
            let (controller, training_seed, mut built): (&str, Option<u64>, BoxedController) = match driver {
                Driver::Rule(named) => {
                    let built = catalog.build_named(named, &scenario.controllers, &facts);
                    (&named.kind, None, built.expect("every rule was built once before the first run"))
                }
                Driver::Agent(of, agent) => {
                    let built = learnt_control::controller(agent, &facts);
                    (learnt_control::KIND, Some(*of), built.expect("every agent was built once before"))
                }
            };
            let summary = simulate(*engine, scenario, &mut *built, seed, &mut ());
            let n_decisions: u64 = summary.decisions.iter().sum();
            DayRow {
                engine: engine.name().to_owned(),
                controller: controller.to_owned(),
                training_seed,
                evaluation_seed: *world,
                dollars_total: summary.charge.total(),
                dollars_penalty: summary.charge.penalty,
                violating_share: summary.violating_share(),
                ready_mean: summary.ready_mean,
                scaling_actions: summary.scaling_actions,
                fallback_share: summary.decisions[3] as f64 / n_decisions.max(1) as f64,
            }
        })?;
    Ok(Evaluated::Days(service.engine, finished.into_iter().map(|it| it.result).collect()))
}
