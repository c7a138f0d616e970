//! From a record and orders to a model: what all structures share.

use nalgebra::DMatrix;
use tidegate_core::Record;

use crate::check::{self, Count};
use crate::error::FitError;
use crate::input_output::{InputOutputModel, Polynomials, Signal, Warning};
use crate::orders::{Orders, Structure};
use crate::prediction_error::{Column, Criterion, Target, triangle};
use crate::prepared::{Prepared, mean, scatter};
use crate::search::{Minimum, explore, minimise};
use crate::starts::{Draws, neighbours, starts};
use crate::triangle::{Dependent, Triangle};

/// Of a column less than this is left beside those before it: rounding of sums of up to 10⁶ products.
pub(crate) const DEPENDENT: f64 = 1e-11;

/// A condition number above which standard errors are warned of.
const CONDITION_MAX: f64 = 1e7;

/// Longer records are explored on a part of this length: where the loss has its valleys is seen there, and only their
/// lowest points are followed on the whole record.
const EXPLORED: usize = 2000;

/// Up to this length a record is explored as a whole.
const WHOLE: usize = 5000;

/// Random starts beside those that are computed. Measured on 160 random plants of order 1 to 3, some with more noise than
/// signal: against a search from 100 random starts this one and its neighbours end higher in 7 cases, lower in 14.
const DRAWS: Draws = Draws { n_drawn: 200, n_kept: 24 };

/// The same where a part of a long record is explored.
const DRAWS_EXPLORED: Draws = Draws { n_drawn: 16, n_kept: 3 };

/// Around the minimum of a short record this many starts are followed, again from the new one where it is lower.
const NEIGHBOURS_MAX: usize = 12;
const ROUNDS_MAX: u64 = 5;

/// Estimates the model of these orders.
pub(crate) fn estimate(
    structure: Structure,
    orders: &Orders,
    record: &Record,
) -> Result<InputOutputModel, FitError> {
    let data = prepare(structure, orders, record)?;
    estimate_from(structure, orders, record, &data, orders.skip())
}

/// Checks record and orders and removes means.
pub(crate) fn prepare(structure: Structure, orders: &Orders, record: &Record) -> Result<Prepared, FitError> {
    let inputs = match structure {
        Structure::Ar | Structure::Arma => Count::None,
        _ => Count::AtLeastOne,
    };
    check::record(record, inputs, Count::One)?;
    if inputs != Count::None && orders.inputs.len() != record.inputs.len() {
        return Err(FitError::Order {
            field: "number of nb".into(),
            value: orders.inputs.len(),
            allowed: format!("the record has {} inputs", record.inputs.len()),
        });
    }
    orders.check()?;
    check::excited(record)?;
    Ok(Prepared::new(record))
}

/// Estimates on checked data, counting samples from `skip` on.
pub(crate) fn estimate_from(
    structure: Structure,
    orders: &Orders,
    record: &Record,
    data: &Prepared,
    skip: usize,
) -> Result<InputOutputModel, FitError> {
    let needed = skip + orders.n_parameters() + 1;
    if data.len() < needed {
        return Err(FitError::TooShort { found: data.len(), what: orders.text(structure), needed });
    }
    let is_linear = orders.nc + orders.nd == 0 && orders.inputs.iter().all(|it| it.nf == 0);
    let found = if is_linear {
        linear(orders, record, data, skip)?
    } else {
        searched(structure, orders, record, data, skip)?
    };
    Ok(model(structure, orders, record, data, skip, &found))
}

pub(crate) fn input_names(record: &Record) -> Vec<String> {
    record.inputs.iter().map(|it| it.name.clone()).collect()
}

fn arx_columns<'a>(orders: &Orders, data: &'a Prepared) -> Vec<Column<'a>> {
    let y = &data.output.values;
    let mut columns: Vec<_> =
        (1..=orders.na).map(|shift| Column { source: y, shift, factor: -1.0 }).collect();
    for (it, input) in orders.inputs.iter().zip(&data.inputs) {
        let source = &input.values;
        columns.extend((it.nk..it.nk + it.nb).map(|shift| Column { source, shift, factor: 1.0 }));
    }
    columns
}

/// The triangle of the linear regression; its solution is the ARX model.
pub(crate) fn arx_triangle(orders: &Orders, data: &Prepared, skip: usize) -> Triangle {
    let target = Column { source: &data.output.values, shift: 0, factor: 1.0 };
    triangle(&arx_columns(orders, data), target, Target::AsIs, skip..data.len(), &[])
}

fn linear(orders: &Orders, record: &Record, data: &Prepared, skip: usize) -> Result<Minimum, FitError> {
    let triangle = arx_triangle(orders, data, skip);
    let theta = triangle.solve(DEPENDENT).map_err(|Dependent(j)| FitError::Collinear {
        what: orders.names(&input_names(record)).swap_remove(j),
        remedy: "lower that order, drop an input that repeats another, or excite the inputs more",
    })?;
    let loss = triangle.residual() / (data.len() - skip) as f64;
    Ok(Minimum { theta, loss, samples: data.len() - skip, triangle, steps: 0, is_converged: true })
}

fn searched(
    structure: Structure,
    orders: &Orders,
    record: &Record,
    data: &Prepared,
    skip: usize,
) -> Result<Minimum, FitError> {
    // Inputs that repeat each other leave B open whatever the other polynomials are.
    let of_inputs = Orders { na: 0, nc: 0, nd: 0, inputs: orders.inputs.clone() };
    if orders.inputs.len() > 1 || orders.inputs.iter().any(|it| it.nb > 1) {
        let columns = arx_columns(&of_inputs, data);
        let target = Column { source: &data.output.values, shift: 0, factor: 1.0 };
        let lagged = triangle(&columns, target, Target::AsIs, skip..data.len(), &[]);
        lagged.solve(DEPENDENT).map_err(|Dependent(j)| FitError::Collinear {
            what: of_inputs.names(&input_names(record)).swap_remove(j),
            remedy: "lower nb, drop an input that repeats another, or excite the inputs more",
        })?;
    }
    let (y, n) = (&data.output.values, data.len());
    let mut criterion = Criterion::new(orders, data, skip);
    let u = criterion.u.clone();
    let all = if n > WHOLE {
        let part = liveliest(y, EXPLORED.max(20 * orders.n_parameters()).max(2 * skip).min(n));
        let u_part: Vec<&[f64]> = u.iter().map(|it| &it[part.clone()]).collect();
        let from = starts(orders, &y[part.clone()], &u_part, DRAWS_EXPLORED);
        let mut explored = Criterion::of(orders, &y[part], u_part, skip);
        explore(&mut explored, &from)
    } else {
        starts(orders, y, &u, DRAWS)
    };
    let found = minimise(&mut criterion, &all);
    let mut best = found.ok_or_else(|| FitError::Diverged { what: orders.text(structure) })?;
    if n <= WHOLE && orders.inputs.iter().any(|it| it.nf > 0) {
        for round in 0..ROUNDS_MAX {
            let around = neighbours(orders, y, &u, &best.theta, round);
            let steps = best.steps;
            match minimise(&mut criterion, &around[..around.len().min(NEIGHBOURS_MAX)]) {
                Some(other) if other.loss < best.loss * (1.0 - 1e-9) => best = other,
                _ => break,
            }
            best.steps += steps;
        }
    }
    Ok(best)
}

/// The part of a record in which the output moves most.
fn liveliest(y: &[f64], length: usize) -> std::ops::Range<usize> {
    let energy = |start: &usize| y[*start..start + length].iter().map(|y| y * y).sum::<f64>();
    let starts = (0..=y.len() - length).step_by(length);
    let start = starts.max_by(|x, y| energy(x).total_cmp(&energy(y))).unwrap_or(0);
    start..start + length
}

/// Back in the units of the record.
fn model(
    structure: Structure,
    orders: &Orders,
    record: &Record,
    data: &Prepared,
    skip: usize,
    found: &Minimum,
) -> InputOutputModel {
    let scale = data.output.scale;
    let mut units = vec![1.0; orders.n_parameters()];
    for (i, input) in data.inputs.iter().enumerate() {
        units[orders.b(i)].fill(scale / input.scale);
    }
    let theta: Vec<f64> = found.theta.iter().zip(&units).map(|(x, unit)| x * unit).collect();
    let samples = data.len() - skip;
    let (gram, condition) = found.triangle.inverse_gram();
    let n_free = (samples - orders.n_parameters()) as f64;
    // In scaled units first: the scale's square alone could underflow.
    let covariance = DMatrix::from_fn(units.len(), units.len(), |i, j| {
        gram[(i, j)] * (found.loss * samples as f64 / n_free) * units[i] * units[j]
    });
    let loss = found.loss * scale * scale;
    let counted = &data.output.values[skip..];
    let moved = scatter(counted, mean(counted));
    let missed = found.loss * samples as f64;
    let estimation_fit_percent = if missed == 0.0 { 100.0 } else { 100.0 * (1.0 - (missed / moved).sqrt()) };
    let polynomials = Polynomials::from_parameters(orders, &theta);
    let mut warnings = Vec::new();
    if !found.is_converged {
        warnings.push(Warning::NotConverged { steps: found.steps });
    }
    if condition > CONDITION_MAX {
        // The parameter with the largest variance relative to what its column alone would give.
        let alone = found.triangle.lengths();
        let inflation = |j: usize| gram[(j, j)] * alone[j] * alone[j];
        let worst = (0..units.len()).max_by(|&i, &j| inflation(i).total_cmp(&inflation(j)));
        let worst = worst.expect("a model has parameters");
        let parameter = orders.names(&input_names(record)).swap_remove(worst);
        warnings.push(Warning::IllConditioned { parameter, condition });
    }
    for (polynomial, name) in [(&polynomials.a, "A"), (&polynomials.d, "D")] {
        if !polynomial.is_stable() {
            let radius = polynomial.roots().first().map_or(0.0, |z| z.norm());
            warnings.push(Warning::Unstable { polynomial: name.into(), radius });
        }
    }
    InputOutputModel {
        structure,
        orders: orders.clone(),
        polynomials,
        output: Signal::of(&record.outputs[0], data.output.mean),
        inputs: record
            .inputs
            .iter()
            .zip(&data.inputs)
            .map(|(channel, it)| Signal::of(channel, it.mean))
            .collect(),
        step_seconds: record.step_seconds,
        loss,
        samples,
        estimation_fit_percent,
        covariance,
        steps: found.steps,
        warnings,
    }
}
