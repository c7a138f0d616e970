//! Choice of orders and delays over a grid, in parallel, with a table of all that was tried.
//!
//! Delays first: the ARX models of one moderate order over all delays, input by input, as practice has it (Ljung, System
//! Identification, section 16.4); then each structure's orders at those delays.

use clap::ValueEnum;
use rayon::prelude::*;
use serde::Serialize;
use tidegate_core::{Record, Start};
use tidegate_sysid::{FitError, InputOrders, InputOutputModel, Orders, Structure};

use super::criterion::rmse;
use super::models;
use super::reference::part;
use super::scores::{matrix, samples};

/// What the choice goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// Schwarz's criterion N ln V + d ln N.
    Bic,
    /// Akaike's criterion N ln V + 2 d.
    Aic,
    /// Error of free simulation on the last third of the estimation data, fitted on the first two.
    Holdout,
}

/// One tried structure: a row of `selection.csv`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)] // the names say it
pub struct SelectionRow {
    pub method: String,
    pub structure: String,
    pub parameters: usize,
    pub loss: Option<f64>,
    pub fpe: Option<f64>,
    pub aic: Option<f64>,
    pub bic: Option<f64>,
    pub holdout_rmse: Option<f64>,
    pub warnings: usize,
    pub chosen: bool,
    /// Why there is no model.
    pub refused: String,
}

/// How far the grid goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Least delay.
    pub nk_min: usize,
    /// Greatest delay.
    pub nk_max: usize,
    /// Greatest order of A, B and F.
    pub order_max: usize,
    /// Greatest order of C and D.
    pub noise_max: usize,
}

/// Share of the estimation data that a hold-out fits on.
const FITTED: (usize, usize) = (2, 3);

/// Order of the ARX models by which delays are found.
const DELAY_ORDER: usize = 4;

/// The delay of each input.
///
/// # Errors
/// If no ARX model can be fitted at all: why the last one could not.
pub fn delays(record: &Record, grid: Grid) -> Result<Vec<usize>, FitError> {
    let mut nk = vec![grid.nk_min; record.inputs.len()];
    for input in 0..nk.len() {
        let tried: Vec<(usize, Result<f64, FitError>)> = (grid.nk_min..=grid.nk_max)
            .into_par_iter()
            .map(|delay| {
                let mut nk = nk.clone();
                nk[input] = delay;
                let inputs =
                    nk.iter().map(|nk| InputOrders { nb: DELAY_ORDER.min(grid.order_max), nf: 0, nk: *nk });
                let orders = Orders { na: DELAY_ORDER, nc: 0, nd: 0, inputs: inputs.collect() };
                (delay, models::fit(Structure::Arx, &orders, record).map(|model| model.bic()))
            })
            .collect();
        let best = tried.iter().filter_map(|(delay, bic)| Some((*delay, *bic.as_ref().ok()?)));
        match best.min_by(|a, b| a.1.total_cmp(&b.1)) {
            Some((delay, _)) => nk[input] = delay,
            None => return Err(tried.into_iter().find_map(|it| it.1.err()).expect("a delay was tried")),
        }
    }
    Ok(nk)
}

/// All orders of a structure in the grid; inputs have the same orders, each its own delay.
pub fn candidates(structure: Structure, nk: &[usize], grid: Grid) -> Vec<Orders> {
    let (a, b, c) = (1..=grid.order_max, 1..=grid.order_max, 1..=grid.noise_max);
    let orders = |na: usize, nb: usize, nf: usize, nc: usize, nd: usize| Orders {
        na,
        nc,
        nd,
        inputs: nk.iter().map(|nk| InputOrders { nb, nf, nk: *nk }).collect(),
    };
    match structure {
        Structure::Ar => a.map(|na| orders(na, 0, 0, 0, 0)).collect(),
        Structure::Arx => a.flat_map(|na| b.clone().map(move |nb| orders(na, nb, 0, 0, 0))).collect(),
        Structure::Arma => a.flat_map(|na| c.clone().map(move |nc| orders(na, 0, 0, nc, 0))).collect(),
        Structure::Armax => a
            .flat_map(|na| b.clone().map(move |nb| (na, nb)))
            .flat_map(|(na, nb)| c.clone().map(move |nc| orders(na, nb, 0, nc, 0)))
            .collect(),
        Structure::OutputError => a.flat_map(|nf| b.clone().map(move |nb| orders(0, nb, nf, 0, 0))).collect(),
        Structure::BoxJenkins => a
            .flat_map(|nf| b.clone().map(move |nb| (nf, nb)))
            // A plant of order 3 and more with a noise model of its own is left to ARMAX: the grid would be ten times as large.
            .filter(|(nf, nb)| *nf <= 2 && *nb <= 2)
            .flat_map(|(nf, nb)| c.clone().map(move |nc| (nf, nb, nc)))
            .flat_map(|(nf, nb, nc)| (1..=grid.noise_max).map(move |nd| orders(0, nb, nf, nc, nd)))
            .collect(),
    }
}

/// Tries all candidates, marks the best, and gives its model on the whole record.
///
/// # Errors
/// If none can be fitted: why the first one could not.
pub fn choose(
    structure: Structure,
    candidates: &[Orders],
    record: &Record,
    by: By,
) -> Result<(InputOutputModel, Vec<SelectionRow>), FitError> {
    let tried: Vec<(Result<InputOutputModel, FitError>, Option<f64>)> = candidates
        .par_iter()
        .with_max_len(1)
        .map(|orders| {
            let model = models::fit(structure, orders, record);
            let held =
                (by == By::Holdout && model.is_ok()).then(|| holdout(structure, orders, record)).flatten();
            (model, held)
        })
        .collect();
    let score = |(model, held): &(Result<InputOutputModel, FitError>, Option<f64>)| -> Option<f64> {
        let model = model.as_ref().ok()?;
        match by {
            By::Bic => Some(model.bic()),
            By::Aic => Some(model.aic()),
            By::Holdout => *held,
        }
        .filter(|score| !score.is_nan())
    };
    let best = tried
        .iter()
        .enumerate()
        .filter_map(|(index, it)| Some((index, score(it)?)))
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(index, _)| index);
    let rows = candidates
        .iter()
        .zip(&tried)
        .enumerate()
        .map(|(index, (orders, (model, held)))| {
            let of = |of: fn(&InputOutputModel) -> f64| model.as_ref().ok().map(of);
            SelectionRow {
                method: structure.name().to_owned(),
                structure: orders.text(structure),
                parameters: orders.n_parameters(),
                loss: of(|it| it.loss),
                fpe: of(InputOutputModel::fpe),
                aic: of(InputOutputModel::aic),
                bic: of(InputOutputModel::bic),
                holdout_rmse: *held,
                warnings: model.as_ref().map_or(0, |it| it.warnings.len()),
                chosen: best == Some(index),
                refused: model.as_ref().err().map_or_else(String::new, ToString::to_string),
            }
        })
        .collect();
    let mut models: Vec<Result<InputOutputModel, FitError>> = tried.into_iter().map(|it| it.0).collect();
    match best {
        Some(index) => Ok((models.swap_remove(index)?, rows)),
        None => {
            Err(models.into_iter().find_map(Result::err).expect("a candidate that is not best was refused"))
        }
    }
}

fn holdout(structure: Structure, orders: &Orders, record: &Record) -> Option<f64> {
    use tidegate_core::Model;
    let n = samples(record);
    let cut = n * FITTED.0 / FITTED.1;
    let model = models::fit(structure, orders, &part(record, 0, cut)).ok()?;
    let held = part(record, cut, n);
    let course = model.simulate(&matrix(&held.inputs, n - cut), Start::Zero);
    let predicted: Vec<f64> = course.column(0).iter().copied().collect();
    Some(rmse(&held.outputs[0].values, &predicted))
}

#[cfg(test)]
mod tests {
    use tidegate_core::Seed;

    use super::*;
    use crate::identification::synthetic::ALL;

    const GRID: Grid = Grid { nk_min: 0, nk_max: 5, order_max: 3, noise_max: 2 };

    #[test]
    fn the_true_orders_and_delays_are_found() {
        for name in ["ARX(2,2), nk 1", "ARMAX(3,2,1), nk 2, slow", "OE(2,2), nk 1"] {
            let system = ALL.iter().find(|it| it.name == name).expect("it is in the list");
            let record = system.draw(4000, Seed::training(7));
            let nk = delays(&record, GRID).expect("it fits");
            assert_eq!(nk, [system.paths[0].nk()], "{name}");
            let candidates = candidates(system.structure, &nk, GRID);
            let (model, rows) = choose(system.structure, &candidates, &record, By::Bic).expect("it fits");
            assert_eq!(model.orders, system.orders(), "{name}");
            assert_eq!((rows.len(), rows.iter().filter(|row| row.chosen).count()), (candidates.len(), 1));
        }
    }

    #[test]
    fn every_structure_has_a_grid() {
        let sizes = [
            Structure::Ar,
            Structure::Arx,
            Structure::Arma,
            Structure::Armax,
            Structure::OutputError,
            Structure::BoxJenkins,
        ]
        .map(|structure| candidates(structure, &[1], GRID).len());
        assert_eq!(sizes, [3, 9, 6, 18, 9, 16]);
    }
}
