//! The fixed fleet that is cheapest on training worlds: the baseline that controllers have to beat.

use anyhow::{Context, ensure};
use rayon::prelude::*;
use tidegate_autoscalers::{Catalog, NamedController};
use tidegate_core::{Bounds, Replicas, Seed, Split};
use tidegate_sim::fluid::FluidPlant;
use tidegate_sim::run;

use crate::scenarios::Study;

/// Sizes tried in each round of the search.
const N_TRIED: u32 = 6;

/// The size of least mean total cost over at most `n_worlds` training worlds, on the fluid engine.
///
/// [`search`] finds the least where cost falls and then rises, as queueing costs do.
///
/// # Errors
/// If there is no training world, or the first pool cannot be held at a fixed size.
pub fn best(study: &Study, catalog: &Catalog, n_worlds: u64) -> anyhow::Result<Replicas> {
    let n_worlds = study.n_worlds(Split::Training, n_worlds);
    ensure!(n_worlds > 0, "{}: there is no training part", study.name);
    // A plant tabulates waits when it is made, which takes longer than a run: one a world serves all sizes.
    let mut plants: Vec<(FluidPlant, Seed)> = (0..n_worlds)
        .into_par_iter()
        .map(|index| {
            let (scenario, seed) = study.world(Split::Training, index);
            (FluidPlant::new(scenario), seed)
        })
        .collect();
    let facts = study.scenario().facts();
    let mut cost = |replicas: Replicas| -> anyhow::Result<f64> {
        let fixed = NamedController::of_kind("fixed").with("replicas", i64::from(replicas));
        let charges = plants
            .par_iter_mut()
            .map(|(plant, seed)| {
                let mut controller = catalog
                    .build_named(&fixed, &toml::Table::new(), &facts)
                    .with_context(|| study.name.clone())?;
                let charge = run(plant, &mut *controller, *seed, &mut ()).charge;
                Ok(charge.instances + charge.energy + charge.penalty)
            })
            .collect::<anyhow::Result<Vec<f64>>>()?;
        Ok(charges.iter().sum())
    };

    search(facts.pools[0].bounds, &mut cost)
}

/// The size of least cost. Sizes grow by half until the cost is twice the least; around the best of them ever finer
/// steps are tried, down to single replicas.
///
/// # Errors
/// Those of `cost`.
pub fn search(
    bounds: Bounds,
    mut cost: impl FnMut(Replicas) -> anyhow::Result<f64>,
) -> anyhow::Result<Replicas> {
    let mut cost = |replicas: Replicas| anyhow::Ok((cost(replicas)?, replicas));
    let mut tried = vec![cost(bounds.replicas_min.max(1))?];
    while let Some(&(last, replicas)) = tried.last()
        && replicas < bounds.replicas_max
        && last <= 2.0 * least(&tried).0
    {
        tried.push(cost((replicas + replicas.div_ceil(2)).min(bounds.replicas_max))?);
    }
    let position = tried.iter().position(|it| *it == least(&tried)).expect("the least is one of them");
    let (mut from, mut to) =
        (tried[position.saturating_sub(1)].1, tried[(position + 1).min(tried.len() - 1)].1);
    loop {
        let step = ((to - from) / N_TRIED).max(1);
        let tried = (from..=to).step_by(step as usize).map(&mut cost).collect::<anyhow::Result<Vec<_>>>()?;
        let (_, best) = least(&tried);
        if step == 1 {
            return Ok(best);
        }
        (from, to) = ((best + 1 - step).max(from), (best + step - 1).min(to));
    }
}

/// Of equal costs, the smaller fleet.
fn least(tried: &[(f64, Replicas)]) -> (f64, Replicas) {
    let by_cost = |a: &&(f64, Replicas), b: &&(f64, Replicas)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
    *tried.iter().min_by(by_cost).expect("at least one size was tried")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{controllers, scenarios};

    /// Against all sizes there are.
    #[test]
    fn the_search_finds_what_trying_every_size_finds() {
        let study = scenarios::tests::example();
        let catalog = controllers::catalog();
        let found = best(&study, &catalog, 2).expect("it has training seeds");
        let total = |replicas: Replicas| -> f64 {
            let fixed = NamedController::of_kind("fixed").with("replicas", i64::from(replicas));
            (0..2)
                .map(|index| {
                    let (scenario, seed) = study.world(Split::Training, index);
                    let facts = scenario.facts();
                    let mut controller =
                        catalog.build_named(&fixed, &toml::Table::new(), &facts).expect("it fits");
                    let charge = run(&mut FluidPlant::new(scenario), &mut *controller, seed, &mut ()).charge;
                    charge.instances + charge.energy + charge.penalty
                })
                .sum()
        };
        let (_, expected) = least(&(1..=20).map(|replicas| (total(replicas), replicas)).collect::<Vec<_>>());
        assert_eq!(found, expected);
    }
}
