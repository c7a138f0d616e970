//! Choice of orders and delays over a grid, in parallel, with a table of all that was tried.
//!
//! Delays first: the ARX models of one moderate order over all delays, input by input, as practice has it (Ljung, System
//! Identification, section 16.4); then each structure's orders at those delays.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use clap::ValueEnum;
use rayon::prelude::*;
use serde::Serialize;
use tidegate_core::Record;
use tidegate_sysid::selection::{self, Candidate, Evaluated};
use tidegate_sysid::{FitError, InputOrders, InputOutputModel, Orders, Structure};

use super::models;

/// What the choice goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// Schwarz's criterion N ln V + d ln N.
    Bic,
    /// Akaike's criterion N ln V + 2 d.
    Aic,
    /// Akaike's final prediction error.
    Fpe,
    /// Mean squared error of predictions 10 samples ahead on the last third of the estimation data, fitted on the rest.
    Holdout,
}

impl By {
    /// As reports print it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bic => "BIC",
            Self::Aic => "AIC",
            Self::Fpe => "FPE",
            Self::Holdout => "hold-out",
        }
    }

    fn criterion(self) -> selection::By {
        match self {
            Self::Bic => selection::By::Bic,
            Self::Aic => selection::By::Aic,
            Self::Fpe => selection::By::Fpe,
            Self::Holdout => selection::By::HoldOut {
                estimation_fraction: 2.0 / 3.0,
                ahead: NonZeroU32::new(10).expect("ten is not zero"),
            },
        }
    }
}

/// One tried structure: a row of `selection.csv`, the best of each method first.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)] // the names say it
pub struct SelectionRow {
    pub method: String,
    pub structure: String,
    pub parameters: usize,
    pub loss: Option<f64>,
    /// Of the criterion, the less the better.
    pub value: Option<f64>,
    pub chosen: bool,
    /// Why there is no model.
    pub refused: String,
}

/// How far the grid goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Delays.
    pub nk: RangeInclusive<usize>,
    /// Greatest order of A, B and F.
    pub order_max: usize,
    /// Greatest order of C and D.
    pub noise_max: usize,
}

/// Order of A of the ARX models by which delays are found, and the least number of coefficients of B.
const DELAY_ORDER: usize = 4;

/// The delay of each input.
///
/// All models of one input end at the same lag, so a longer delay has fewer parameters: with as many coefficients behind
/// each delay, those one sample too early would hold the truth as well, and chance would choose.
///
/// # Errors
/// If no ARX model can be fitted at all: why the last one could not.
pub fn delays(record: &Record, grid: &Grid) -> Result<Vec<usize>, FitError> {
    let mut nk = vec![*grid.nk.start(); record.inputs.len()];
    for input in 0..nk.len() {
        let tried: Vec<Candidate> = grid
            .nk
            .clone()
            .map(|delay| {
                let mut nk = nk.clone();
                nk[input] = delay;
                let end = grid.nk.end() + DELAY_ORDER;
                let inputs = nk.iter().map(|nk| InputOrders { nb: end - nk, nf: 0, nk: *nk }).collect();
                Candidate {
                    structure: Structure::Arx,
                    orders: Orders { na: DELAY_ORDER, nc: 0, nd: 0, inputs },
                }
            })
            .collect();
        let best = ranked(Structure::Arx, &tried, record, By::Bic)?.swap_remove(0);
        best.value?;
        nk[input] = best.candidate.orders.inputs[input].nk;
    }
    Ok(nk)
}

/// All orders of a structure in the grid; inputs have the same orders, each its own delay, and all of them one sample more:
/// ARX models see a little action early where noise is coloured.
pub fn candidates(structure: Structure, nk: &[usize], grid: &Grid) -> Vec<Candidate> {
    // A plant of order 3 and more with a noise model of its own is left to ARMAX: the grid would be ten times as large.
    let most = if structure == Structure::BoxJenkins { grid.order_max.min(2) } else { grid.order_max };
    let later = usize::from(!nk.is_empty());
    let all = selection::Grid {
        structure,
        n_inputs: nk.len(),
        na: 1..=most,
        nb: 1..=grid.order_max.min(most + 1),
        nc: 1..=grid.noise_max,
        nd: 1..=grid.noise_max,
        nf: 1..=most,
        nk: 0..=later,
    };
    let mut candidates = all.candidates();
    for candidate in &mut candidates {
        for (orders, nk) in candidate.orders.inputs.iter_mut().zip(nk) {
            orders.nk += nk;
        }
    }
    candidates
}

/// Tries all candidates and gives the best one's model on the whole record, with the rows of the table.
///
/// # Errors
/// If none can be fitted: why the first one could not.
pub fn choose(
    structure: Structure,
    candidates: &[Candidate],
    record: &Record,
    by: By,
) -> Result<(InputOutputModel, Vec<SelectionRow>), FitError> {
    let ranked = ranked(structure, candidates, record, by)?;
    let rows = ranked
        .iter()
        .enumerate()
        .map(|(rank, it)| SelectionRow {
            method: structure.name().to_owned(),
            structure: it.candidate.orders.text(structure),
            parameters: it.candidate.orders.n_parameters(),
            loss: it.loss,
            value: it.value.as_ref().ok().copied(),
            chosen: rank == 0,
            refused: it.value.as_ref().err().map_or_else(String::new, ToString::to_string),
        })
        .collect();
    let best = ranked.into_iter().next().expect("a grid has a candidate");
    best.value?;
    Ok((models::fit(structure, &best.candidate.orders, record)?, rows))
}

/// The best first, all compared on the same samples.
fn ranked(
    structure: Structure,
    candidates: &[Candidate],
    record: &Record,
    by: By,
) -> Result<Vec<Evaluated>, FitError> {
    let criterion = by.criterion();
    let evaluated = if structure == Structure::Arx && by != By::Holdout {
        selection::evaluate_arx(candidates, record, criterion)?
    } else {
        let skip = selection::common_skip(candidates)?;
        candidates
            .par_iter()
            .with_max_len(1)
            .map(|candidate| selection::evaluate(candidate, record, skip, criterion))
            .collect()
    };
    Ok(selection::rank(evaluated))
}

#[cfg(test)]
mod tests {
    use tidegate_core::Seed;

    use super::*;
    use crate::identification::synthetic::ALL;

    fn grid() -> Grid {
        Grid { nk: 0..=5, order_max: 3, noise_max: 2 }
    }

    /// One needless coefficient passes the Bayesian criterion with probability P(χ² > ln N), 0.4 % at 4,000 samples, and
    /// a grid offers several: a record now and then gets more than the truth.
    #[test]
    fn the_true_orders_and_delays_are_found() {
        let check = |name: &str, n_records: u64, least: usize| {
            let system = ALL.iter().find(|it| it.name == name).expect("it is in the list");
            let found: Vec<Orders> = (0..n_records)
                .map(|index| {
                    let record = system.draw(4000, Seed::training(index));
                    let nk = delays(&record, &grid()).expect("it fits");
                    let candidates = candidates(system.structure, &nk, &grid());
                    let (model, rows) =
                        choose(system.structure, &candidates, &record, By::Bic).expect("it fits");
                    let n_chosen = rows.iter().filter(|row| row.chosen).count();
                    assert_eq!((rows.len(), n_chosen), (candidates.len(), 1));
                    model.orders
                })
                .collect();
            let n_right = found.iter().filter(|orders| **orders == system.orders()).count();
            assert!(n_right >= least, "{name}: {n_right} of {n_records}, {found:?}");
        };
        check("ARX(2,2), nk 1", 40, 36);
        check("OE(2,2), nk 1", 4, 3);
        check("ARMAX(3,2,1), nk 2, slow", 3, 2);
    }

    #[test]
    fn every_structure_has_a_grid() {
        use Structure::{Ar, Arma, Armax, Arx, BoxJenkins, OutputError};
        let sizes = [Ar, Arx, Arma, Armax, OutputError, BoxJenkins]
            .map(|structure| candidates(structure, &[1], &grid()).len());
        assert_eq!(sizes, [3, 18, 6, 36, 18, 48]);
    }
}
