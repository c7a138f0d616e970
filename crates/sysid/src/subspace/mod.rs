//! Subspace identification: a state-space model of several inputs and outputs by projections, without a search.
//!
//! # Method
//! The block-Hankel matrices of past and future data are compressed to one triangle (`hankel`); its weighted
//! projection spans the extended observability matrix, from which A and C follow by shift invariance
//! (`realise`); B, D and the initial state are least squares on the simulation error, K on long innovations
//! (`regress`). On request the result is refined by Gauss–Newton (`refine`).
//!
//! Sources: Van Overschee and De Moor (1996), Subspace Identification for Linear Systems; Verhaegen (1994),
//! Automatica 30(1), 61–74; Larimore (1990), 29th CDC, 596–604; Sima (1996) and the SLICOT routines IB01AD and IB01BD for
//! the numerics. We differ from SLICOT in K (two-stage least squares instead of residual covariances of R) and in the
//! refinement.
//!
//! # Which weighting, which horizon
//! Nobody knows beforehand; the theory is asymptotic, and on real records they differ by tens of percent of fit.
//! [`Choice::Auto`] tries them all on a few horizons and keeps what reproduces the estimation data best.
//!
//! # Closed loop
//! With feedback the future inputs depend on past noise, so taking them out by a projection takes noise along: the
//! estimates of all three weightings are biased however long the record is (Ljung and `McKelvey` 1996, Signal Processing 52;
//! Chou and Verhaegen 1997, Automatica 33(10)). Methods that model the noise along with the plant in one predictor (ARX of
//! high order, ARMAX, Box–Jenkins, prediction error) are not. On closed-loop records take one of those, or refine
//! with [`Refine::Prediction`], which is a prediction-error method that subspace only starts: it is consistent when the noise
//! model is right and there is a delay in the loop. [`Refine::Balanced`] is not: free simulation with inputs that depend on the
//! noise is biased too. No test on the record alone can tell that it was taken in closed loop; that is known to who
//! ran the experiment.

mod data;
mod hankel;
mod order;
mod realise;
mod refine;
mod regress;

use tidegate_core::model::{Channel, Fit, Record};

use crate::FitError;
use crate::dense::spectral_radius;
use crate::state_space::{Matrices, Port, StateSpaceModel, Warning};
use data::Data;
use hankel::Factor;
use realise::Projection;
use refine::{Aim, Candidate};

/// An input direction below this share of its size is not excited.
const EXCITATION: f64 = 1e-7;
/// Mirrored poles end at this modulus at most.
const MIRRORED_MAX: f64 = 1.0 - 1e-4;
/// Horizons tried where none is given, beside order + 2; those that the record is too short for are left out.
const HORIZONS: [usize; 5] = [5, 10, 15, 20, 30];
/// Largest order tried where none is given.
const ORDER_MAX: usize = 10;
/// Candidates that are refined; several since the criterion has local minima.
const REFINED: usize = 3;

/// How the projection is weighted; see [`Subspace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weighting {
    /// Oblique projection (Van Overschee and De Moor).
    N4sid,
    /// Past outputs as instruments (Verhaegen).
    Moesp,
    /// Canonical correlations (Larimore).
    Cva,
}

/// The number of states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Given.
    Fixed(usize),
    /// Chosen among 1 to this by the information criterion of [`Identified::order_criterion`].
    UpTo(usize),
}

/// One choice, or all of them tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice<T> {
    /// This one.
    Fixed(T),
    /// The one that reproduces the estimation data best.
    Auto,
}

/// What is done to the channels before anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preparation {
    /// Nothing: the model goes through the origin of the raw units.
    Raw,
    /// The means are taken out, and kept in the model.
    Centred,
    /// Besides, each channel is divided by its standard deviation, so that a large unit does not outweigh a small one.
    Standardised,
}

/// What follows the subspace step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refine {
    /// Nothing: the plain subspace estimate.
    None,
    /// Gauss–Newton on the one-step prediction error, the maximum-likelihood estimate; what closed-loop records need.
    Prediction,
    /// Gauss–Newton on prediction and free simulation in equal parts, both from cold starts within the record: what a
    /// model is for that is used on new data. For open-loop records.
    Balanced,
}

/// Subspace identification of a state-space model.
///
/// Needs a record without gaps, with inputs that do not depend on the outputs (the module's page on closed loops).
/// Without inputs it models the outputs as filtered noise.
///
/// ```
/// use tidegate_core::{Channel, Fit, Record};
/// use tidegate_sysid::Subspace;
///
/// // y(t+1) = 0.8 y(t) + u(t) under a pseudo-random input.
/// let u: Vec<f64> = (0..500_i32).map(|t| f64::from(t * t).sin()).collect();
/// let y: Vec<f64> = u.iter().scan(0.0, |x, u| Some(std::mem::replace(x, 0.8 * *x + u))).collect();
/// let channel = |name: &str, values| Channel { name: name.into(), unit: "1".into(), values };
/// let record = Record { step_seconds: 1.0, inputs: vec![channel("u", u)], outputs: vec![channel("y", y)] };
/// let model = Subspace::with_order(1).fit(&record)?;
/// assert!((model.poles()[0].re - 0.8).abs() < 1e-3);
/// # Ok::<(), tidegate_sysid::FitError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Subspace {
    /// Number of states.
    pub order: Order,
    /// Block rows of past and of future, s; must exceed order / outputs, and 2 s (inputs + outputs) + 2 s samples are needed.
    pub horizon: Choice<usize>,
    /// How the projection is weighted.
    pub weighting: Choice<Weighting>,
    /// Whether D may differ from zero: whether an input acts within the step in which it is set.
    pub has_feedthrough: bool,
    /// What is done to the channels first.
    pub preparation: Preparation,
    /// Whether an unstable estimate is mirrored into the unit circle; it warns in either case.
    pub is_stabilised: bool,
    /// What follows.
    pub refine: Refine,
}

impl Default for Subspace {
    /// Order up to 10 by criterion, weighting and horizon tried, refined for prediction and simulation alike.
    fn default() -> Self {
        Self {
            order: Order::UpTo(ORDER_MAX),
            horizon: Choice::Auto,
            weighting: Choice::Auto,
            has_feedthrough: true,
            preparation: Preparation::Standardised,
            is_stabilised: true,
            refine: Refine::Balanced,
        }
    }
}

/// A fitted model and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Identified {
    /// The model.
    pub model: StateSpaceModel,
    /// Singular values of the weighted projection that it came from, largest first; where they fall is the order.
    pub singular_values: Vec<f64>,
    /// The weighting used.
    pub weighting: Weighting,
    /// The horizon used.
    pub horizon: usize,
    /// The criterion of each order from 1 on, where the order was chosen: the least is taken.
    pub order_criterion: Vec<f64>,
}

impl Subspace {
    /// One plain N4SID estimate: nothing tried, nothing refined.
    pub fn n4sid(order: usize, horizon: usize) -> Self {
        Self {
            order: Order::Fixed(order),
            horizon: Choice::Fixed(horizon),
            weighting: Choice::Fixed(Weighting::N4sid),
            refine: Refine::None,
            ..Self::default()
        }
    }

    /// The default at a given order.
    pub fn with_order(order: usize) -> Self {
        Self { order: Order::Fixed(order), ..Self::default() }
    }

    /// Fits, and says how.
    ///
    /// # Errors
    /// Bad samples, constant or collinear channels, a record too short, inputs that excite too little, an order that the
    /// horizon does not allow; each names what to change.
    pub fn identify(&self, record: &Record) -> Result<Identified, FitError> {
        let data = Data::new(record, self.preparation)?;
        let (order, order_criterion) = self.choose_order(&data)?;
        let horizons = self.horizons(&data, order)?;
        let factors = excited_factors(&data, order, &horizons)?;
        let weightings = self.weightings();
        // A single plain estimate is not compared with anything, so its criterion would be idle work.
        let is_compared = self.refine != Refine::None || factors.len() * weightings.len() > 1;
        let mut trials = Vec::new();
        for factor in &factors {
            let innovations = regress::long_innovations(&data, factor, self.has_feedthrough);
            for &weighting in &weightings {
                let Some(projection) = realise::project(factor, weighting) else { continue };
                let horizon = factor.horizon;
                if let Some((matrices, made)) =
                    self.estimate(&data, &projection, &innovations, horizon, order)
                {
                    let criterion =
                        if is_compared { refine::criterion(&data, &matrices, self.aim()) } else { 0.0 };
                    let candidate = Candidate { matrices, criterion };
                    trials.push(Trial { candidate, made, projection, weighting, horizon });
                }
            }
        }
        // Better criterion first; equal ones stay in the order tried.
        trials.sort_by(|a, b| a.candidate.criterion.total_cmp(&b.candidate.criterion));
        let n_refined = if self.refine == Refine::None { 0 } else { REFINED.min(trials.len()) };
        for trial in &mut trials[..n_refined] {
            let candidate = trial.candidate.clone();
            if candidate.criterion.is_finite() && trial.made.has_noise_model {
                trial.candidate = refine::refine(&data, candidate, self.aim(), self.has_feedthrough);
            }
        }
        trials.sort_by(|a, b| a.candidate.criterion.total_cmp(&b.candidate.criterion));
        let best = trials.into_iter().next();
        best.and_then(|trial| finish(record, &data, trial, order_criterion))
            .ok_or_else(|| FitError::Diverged { what: format!("a state-space model of order {order}") })
    }

    fn weightings(&self) -> Vec<Weighting> {
        match self.weighting {
            Choice::Fixed(weighting) => vec![weighting],
            Choice::Auto => vec![Weighting::N4sid, Weighting::Moesp, Weighting::Cva],
        }
    }

    fn horizons(&self, data: &Data, order: usize) -> Result<Vec<usize>, FitError> {
        let least = least_horizon(order, data.n_outputs);
        let fits = |horizon: usize| steps_needed(data, horizon) <= data.steps;
        let too_short = |horizon: usize| FitError::TooShort {
            found: data.steps,
            what: format!("a state-space model of order {order} with horizon {horizon}"),
            needed: steps_needed(data, horizon),
        };
        if order == 0 {
            return Err(FitError::Order {
                field: "order".into(),
                value: 0,
                allowed: "must be at least 1".into(),
            });
        }
        match self.horizon {
            Choice::Fixed(horizon) if horizon < least => Err(FitError::Order {
                field: "horizon".into(),
                value: horizon,
                allowed: format!("order {order} with {} outputs needs at least {least}", data.n_outputs),
            }),
            Choice::Fixed(horizon) if !fits(horizon) => Err(too_short(horizon)),
            Choice::Fixed(horizon) => Ok(vec![horizon]),
            Choice::Auto => {
                let mut horizons: Vec<usize> = HORIZONS.into_iter().chain([order + 2, least]).collect();
                horizons.retain(|&horizon| horizon >= least && fits(horizon));
                horizons.sort_unstable();
                horizons.dedup();
                // The least one is the last resort of a short record.
                if horizons.len() > 1 && horizons[0] == least && least < order + 2 {
                    horizons.remove(0);
                }
                if horizons.is_empty() { Err(too_short(least)) } else { Ok(horizons) }
            }
        }
    }

    /// The plain estimate of one projection; nothing where its numbers are not finite.
    fn estimate(
        &self,
        data: &Data,
        projection: &Projection,
        innovations: &[f64],
        horizon: usize,
        order: usize,
    ) -> Option<(Matrices, Made)> {
        let (mut a, c) = projection.realise(order, data.n_outputs);
        let radius = spectral_radius(&a);
        let is_mirrored = radius >= 1.0 && self.is_stabilised;
        if is_mirrored {
            a = realise::mirror(&a, MIRRORED_MAX)?;
        }
        let (mut matrices, start) = regress::inputs(data, &a, &c, self.has_feedthrough)?;
        let gain = regress::gain(data, &matrices, &start, innovations, horizon);
        let made = Made { mirrored_radius: is_mirrored.then_some(radius), has_noise_model: gain.is_some() };
        if let Some(gain) = gain {
            matrices.k = gain;
        }
        Some((matrices, made))
    }

    /// What candidates are compared and refined by; where unstable models may stay, their free runs say nothing.
    fn aim(&self) -> Aim {
        match self.refine {
            Refine::Prediction => Aim { simulation_weight: 0.0, warms_up: true },
            Refine::None | Refine::Balanced => {
                Aim { simulation_weight: if self.is_stabilised { 0.5 } else { 0.0 }, warms_up: false }
            }
        }
    }
}

/// Back to the units of the record.
fn finish(record: &Record, data: &Data, trial: Trial, order_criterion: Vec<f64>) -> Option<Identified> {
    let mut matrices = trial.candidate.matrices;
    let p = data.n_outputs;
    let innovations = matrices.innovations(&data.inputs, &data.outputs);
    let mut covariance = regress::covariance(&innovations, p);
    for (column, scale) in data.input_scales.iter().enumerate() {
        matrices.b.column_mut(column).unscale_mut(*scale);
        matrices.d.column_mut(column).unscale_mut(*scale);
    }
    for (row, scale) in data.output_scales.iter().enumerate() {
        matrices.c.row_mut(row).scale_mut(*scale);
        matrices.d.row_mut(row).scale_mut(*scale);
        matrices.k.column_mut(row).unscale_mut(*scale);
        covariance.row_mut(row).scale_mut(*scale);
        covariance.column_mut(row).scale_mut(*scale);
    }
    let order = matrices.a.nrows();
    let ports = |channels: &[Channel], means: &[f64]| -> Vec<Port> {
        let port = |(channel, mean): (&Channel, &f64)| Port {
            name: channel.name.clone(),
            unit: channel.unit.clone(),
            mean: *mean,
        };
        channels.iter().zip(means).map(port).collect()
    };
    let (inputs, outputs) =
        (ports(&record.inputs, &data.input_means), ports(&record.outputs, &data.output_means));
    let mut model = StateSpaceModel::new(record.step_seconds, inputs, outputs, matrices, covariance).ok()?;
    if let Some(radius) = trial.made.mirrored_radius {
        model.warn(Warning::Stabilised { radius });
    }
    let radius = model.spectral_radius();
    let steps = -1.0 / radius.ln();
    if radius < 1.0 && steps > data.steps as f64 {
        model.warn(Warning::NearUnitPole { radius, steps, record_steps: data.steps });
    }
    if !trial.made.has_noise_model {
        model.warn(Warning::NoNoiseModel);
    }
    let rank = trial.projection.rank();
    if rank < order {
        model.warn(Warning::OrderAboveRank { order, rank });
    }
    Some(Identified {
        model,
        singular_values: trial.projection.singular_values,
        weighting: trial.weighting,
        horizon: trial.horizon,
        order_criterion,
    })
}

/// What was tried and came out.
struct Trial {
    candidate: Candidate,
    made: Made,
    projection: Projection,
    weighting: Weighting,
    horizon: usize,
}

/// What a user must be told about an estimate.
struct Made {
    mirrored_radius: Option<f64>,
    has_noise_model: bool,
}

/// The triangles of the horizons for which the inputs excite enough; an error where there are none.
fn excited_factors(data: &Data, order: usize, horizons: &[usize]) -> Result<Vec<Factor>, FitError> {
    let factors: Vec<Factor> =
        horizons.iter().map(|&horizon| Factor::new(data, horizon)).filter(is_excited).collect();
    if !factors.is_empty() {
        return Ok(factors);
    }
    let needed = 2 * horizons[0];
    let found = hankel::excitation(data, needed, EXCITATION);
    let what = format!("order {order} with horizon {}", horizons[0]);
    Err(FitError::Excitation { found, what, needed })
}

/// Γ without its last block row must have n independent rows, and the past must hold as many.
fn least_horizon(order: usize, n_outputs: usize) -> usize {
    order.div_ceil(n_outputs) + 1
}

/// So many samples that the Hankel matrices have twice as many rows as columns.
fn steps_needed(data: &Data, horizon: usize) -> usize {
    4 * horizon * (data.n_inputs + data.n_outputs) + 2 * horizon - 1
}

fn is_excited(factor: &Factor) -> bool {
    // Past inputs too: together they are the Hankel matrix of 2 s block rows.
    let inputs = 2 * factor.future_inputs();
    (0..inputs).all(|column| factor.r[(column, column)].abs() > EXCITATION * factor.r.column(column).norm())
}

impl Fit for Subspace {
    type Model = StateSpaceModel;
    type Error = FitError;

    fn fit(&self, record: &Record) -> Result<StateSpaceModel, FitError> {
        self.identify(record).map(|identified| identified.model)
    }
}

#[cfg(test)]
pub(crate) mod tests;
