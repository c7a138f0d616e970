//! The two references that stand beside the controllers of a comparison, world by world: what no controller can undercut,
//! and what somebody who knew the future could have had.
//!
//! [`bound`] builds the relaxation of a realised world that [`tidegate_mpc::bound`] bounds; [`replay`] plans on the
//! realised arrivals and carries the plans out on the plant. Proof and limits: `docs/references.md`; the family of plans:
//! `docs/decisions/0019`.

pub mod bound;
pub mod replay;

use std::path::Path;

use anyhow::bail;
use serde::{Deserialize, Serialize};
use tidegate_core::Split;

use crate::cli::Engine;
use crate::runs::{self, Finished, Job};
use crate::scenarios::Study;
use crate::scores::RunRow;
use crate::staffing::Staffing;
use crate::trial::Scored;

/// The name of the replay among controllers.
pub const REPLAY: &str = "clairvoyant_replay";

/// What a run may fall short of the bound by, relative to it: sums of a million terms.
const TOLERANCE: f64 = 1e-9;

/// The references of one world.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reference {
    /// What no controller can undercut; none on the fluid engine.
    pub bound_dollars: Option<f64>,
    /// The cheapest plan, carried out.
    pub replay: RunRow,
    /// Which of the family that was.
    pub plan: String,
    /// How many plans were carried out.
    pub n_plans: usize,
}

/// The references of the worlds of one study, in the order of the seeds.
#[derive(Clone, Debug)]
pub struct References {
    /// One a seed.
    pub of_seeds: Vec<Reference>,
    /// Whether the bound allows for replicas of any size, because a controller changed it.
    pub any_size: bool,
}

/// One world.
#[derive(Clone, Copy, Debug)]
struct World {
    study: usize,
    index: u64,
    any_size: bool,
}

/// Finds the references of every world in which `scored` has runs (sorted by study), and writes them into those rows.
///
/// # Errors
/// If `out` cannot be written, a run panicked, or a run of the request engine is cheaper than the bound: then one of the
/// two is wrong, and the message names the run.
pub fn refer(
    out: &Path,
    program: &str,
    engine: Engine,
    studies: &[Study],
    staffing: &[Option<Staffing>],
    threads: usize,
    scored: &mut [Finished<Scored>],
) -> anyhow::Result<Vec<References>> {
    let mut jobs = Vec::new();
    for (study, it) in studies.iter().enumerate() {
        let of_study =
            || scored.iter().map(|it| &it.result).filter(|it| it.row.scenario == studies[study].name);
        let any_size = of_study().any(|it| it.resizes);
        let n_seeds = of_study().map(|it| it.row.seed + 1).max().unwrap_or(0);
        let hash = runs::hash(&[
            program.as_bytes(),
            it.hash.as_bytes(),
            engine.name().as_bytes(),
            &[u8::from(any_size)],
        ]);
        for index in 0..n_seeds {
            let name = format!("references/{}/{index}", it.name);
            jobs.push(Job { name, hash: hash.clone(), what: World { study, index, any_size } });
        }
    }
    let find = |world: &World| {
        find(engine, &studies[world.study], staffing[world.study].as_ref(), world.index, world.any_size)
    };
    let found = runs::run_all(out, &jobs, threads, &find)?;
    let references: Vec<References> = (0..studies.len())
        .map(|study| {
            let mine = jobs.iter().zip(&found).filter(|(job, _)| job.what.study == study);
            let any_size = mine.clone().any(|(job, _)| job.what.any_size);
            References { of_seeds: mine.map(|(_, finished)| finished.result.clone()).collect(), any_size }
        })
        .collect();
    for finished in scored {
        let row = &mut finished.result.row;
        let study =
            studies.iter().position(|study| study.name == row.scenario).expect("runs are of the studies");
        let reference = &references[study].of_seeds[row.seed as usize];
        reference.write_into(row);
        check(&finished.run, row)?;
    }
    Ok(references)
}

/// The references of one world.
pub fn find(
    engine: Engine,
    study: &Study,
    staffing: Option<&Staffing>,
    index: u64,
    any_size: bool,
) -> Reference {
    let (scenario, seed) = study.world(Split::Evaluation, index);
    let bound_dollars = (engine == Engine::Request).then(|| bound::dollars(scenario, seed, any_size));
    let replay::Replay { mut row, plan, n_plans } = replay::cheapest(engine, study, staffing, index);
    row.bound_dollars = bound_dollars.unwrap_or(f64::NAN);
    row.replay_dollars = row.dollars_total;
    Reference { bound_dollars, replay: row, plan, n_plans }
}

/// Rows of runs of seed 0 with their references, and those of the replay, each with its name: what a check compares with
/// the disk. A run is given by its name, its study and what it left; runs of one study stand together.
pub fn with_seed_0(
    engine: Engine,
    studies: &[Study],
    staffing: &[Option<Staffing>],
    scored: &[(String, usize, Scored)],
) -> Vec<(String, RunRow)> {
    let mut rows = Vec::new();
    for of_study in scored.chunk_by(|(_, a, _), (_, b, _)| a == b) {
        let study = of_study[0].1;
        let any_size = of_study.iter().any(|(.., scored)| scored.resizes);
        let reference = find(engine, &studies[study], staffing[study].as_ref(), 0, any_size);
        for (name, _, scored) in of_study {
            let mut row = scored.row.clone();
            reference.write_into(&mut row);
            rows.push((name.clone(), row));
        }
        rows.push((format!("references/{}/0", studies[study].name), reference.replay));
    }
    rows
}

impl Reference {
    /// Writes both into the row of a run in this world.
    pub fn write_into(&self, row: &mut RunRow) {
        row.bound_dollars = self.bound_dollars.unwrap_or(f64::NAN);
        row.replay_dollars = self.replay.dollars_total;
    }
}

impl References {
    /// Rows of the replay.
    pub fn rows(&self) -> Vec<RunRow> {
        self.of_seeds.iter().map(|it| it.replay.clone()).collect()
    }

    /// The bounds, a seed; none on the fluid engine.
    pub fn bounds(&self) -> Option<Vec<f64>> {
        self.of_seeds.iter().map(|it| it.bound_dollars).collect()
    }
}

/// The rows of all replays.
pub fn rows(references: &[References]) -> Vec<RunRow> {
    references.iter().flat_map(References::rows).collect()
}

/// Whether a run keeps to the bound in its row.
///
/// # Errors
/// If it is cheaper.
pub fn check(run: &str, row: &RunRow) -> anyhow::Result<()> {
    let (bound, cost) = (row.bound_dollars, row.dollars_total);
    if cost < bound - TOLERANCE * bound.abs() {
        bail!("run {run} came to {cost} dollars, below the bound of {bound}: plant or proof is wrong");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scores::tests::row;

    #[test]
    fn a_run_below_the_bound_is_named() {
        let mut row = row("s", "c", 0, 10.0);
        assert!(check("compare/s/c/0", &row).is_ok(), "without a bound there is nothing to keep");
        row.bound_dollars = 10.0;
        assert!(check("compare/s/c/0", &row).is_ok());
        row.bound_dollars = 10.1;
        let error = check("compare/s/c/0", &row).expect_err("it is below").to_string();
        assert_eq!(
            error,
            "run compare/s/c/0 came to 10 dollars, below the bound of 10.1: plant or proof is wrong"
        );
    }
}
