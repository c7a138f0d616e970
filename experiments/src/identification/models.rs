//! From orders and a record to a model with what a report says of it.

use nalgebra::{Complex, DMatrix};
use tidegate_core::{Fit, Model, Record, Start};
use tidegate_sysid::data::RecordExt;
use tidegate_sysid::subspace::{Order, Subspace};
use tidegate_sysid::{
    Ar, Arma, Armax, Arx, BoxJenkins, FitError, InputOutputModel, Orders, OutputError, StateSpaceModel,
    Structure,
};

use super::scores::{Identified, matrix};

/// Steps after which a response counts as settled, and up to which it is drawn.
pub const STEPS_DRAWN: usize = 120;

/// Fits an input–output model.
///
/// # Errors
/// What the method refuses.
pub fn fit(structure: Structure, orders: &Orders, record: &Record) -> Result<InputOutputModel, FitError> {
    let Orders { na, nc, nd, ref inputs } = *orders;
    let each = |of: fn(&tidegate_sysid::InputOrders) -> usize| inputs.iter().map(of).collect::<Vec<_>>();
    let (nb, nf, nk) = (each(|it| it.nb), each(|it| it.nf), each(|it| it.nk));
    match structure {
        Structure::Ar => Ar::new(na).fit(record),
        Structure::Arx => Arx::new(na, &nb, &nk).fit(record),
        Structure::Arma => Arma::new(na, nc).fit(record),
        Structure::Armax => Armax::new(na, &nb, nc, &nk).fit(record),
        Structure::OutputError => OutputError::new(&nb, &nf, &nk).fit(record),
        Structure::BoxJenkins => BoxJenkins::new(&nb, nc, nd, &nf, &nk).fit(record),
    }
}

/// An input–output model as a report shows it.
pub fn input_output(model: InputOutputModel, record: &Record) -> Identified {
    let inputs = 0..model.inputs.len();
    let mut poles: Vec<Complex<f64>> = Vec::new();
    for pole in inputs.clone().flat_map(|input| model.poles(input)) {
        // A's roots come with every input.
        if !poles.iter().any(|known| (known - pole).norm() < 1e-9) {
            poles.push(pole);
        }
    }
    if model.inputs.is_empty() {
        poles = model.noise_poles();
    }
    Identified {
        method: model.structure.name().to_owned(),
        structure: model.orders.text(model.structure),
        summary: model.to_string(),
        json: model.to_json(),
        n_parameters: model.orders.n_parameters(),
        n_noise_parameters: model.orders.na + model.orders.nc + model.orders.nd,
        warnings: model.warnings.iter().map(ToString::to_string).collect(),
        poles,
        zeros: inputs.map(|input| model.zeros(input)).collect(),
        steps: steps(&model, record, STEPS_DRAWN),
        model: Box::new(model),
    }
}

/// Fits a state-space model; without an order the method chooses one.
///
/// # Errors
/// What the method refuses.
pub fn subspace(order: Option<usize>, record: &Record) -> Result<StateSpaceModel, FitError> {
    let method = order.map_or_else(Subspace::default, |order| Subspace {
        order: Order::Fixed(order),
        ..Subspace::default()
    });
    Ok(method.identify(record)?.model)
}

/// A state-space model as a report shows it.
pub fn state_space(model: StateSpaceModel, record: &Record) -> Identified {
    let (n, m, l) = (model.order(), model.inputs().len(), model.outputs().len());
    Identified {
        method: "subspace".into(),
        structure: format!("state space, order {n}"),
        summary: model.to_string(),
        json: model.to_json(),
        // Up to a change of basis: B, C, K, D and as many of A as there are states.
        n_parameters: n * m + 2 * n * l + m * l,
        n_noise_parameters: n,
        warnings: model.warnings().iter().map(ToString::to_string).collect(),
        poles: model.poles(),
        zeros: Vec::new(),
        steps: steps(&model, record, STEPS_DRAWN),
        model: Box::new(model),
    }
}

/// For each input and output the response to a unit step from the operating point of a record (its means), by two free
/// simulations: the way that is the same for every model, linear or not.
pub fn steps(model: &dyn Model, record: &Record, n: usize) -> Vec<Vec<Vec<f64>>> {
    let means: Vec<f64> = record.inputs.iter().map(|input| known_mean(&input.values)).collect();
    let settle = settling(record);
    let rest = DMatrix::from_fn(settle + n, means.len(), |_, input| means[input]);
    let before = model.simulate(&rest, Start::Zero);
    (0..means.len())
        .map(|input| {
            let mut stepped = rest.clone();
            stepped.view_mut((settle, input), (n, 1)).add_scalar_mut(1.0);
            let after = model.simulate(&stepped, Start::Zero);
            (0..record.outputs.len())
                .map(|output| {
                    (settle..settle + n).map(|t| after[(t, output)] - before[(t, output)]).collect()
                })
                .collect()
        })
        .collect()
}

/// A model that is not linear must first come to rest at the operating point.
fn settling(record: &Record) -> usize {
    200.min(record.n_samples())
}

fn known_mean(values: &[f64]) -> f64 {
    let known: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    tidegate_stats::mean(&known)
}

/// Free simulation over a record's inputs.
pub fn simulated(model: &dyn Model, record: &Record) -> DMatrix<f64> {
    model.simulate(&matrix(&record.inputs, record.n_samples()), Start::Zero)
}
