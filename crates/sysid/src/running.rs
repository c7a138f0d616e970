//! Input-output models at work: residuals, predictions, free runs.
//!
//! **Prediction.** With the noise model H = C/(A D) = Σ hₖ q⁻ᵏ, the optimal predictor h steps ahead leaves
//! yₜ − ŷₜ = Σₖ₌₀^{h−1} hₖ eₜ₋ₖ [Ljung, section 3.2]: what the shocks of the last h steps, unknown when it was made, have done.
//! So ŷₜ = yₜ − Σ hₖ eₜ₋ₖ, in O(N h), without a filter that could be unstable. Residuals start at sample
//! s = max(na, nbᵢ + nkᵢ − 1) + nd (conditional start), so the first s + h − 1 samples have no prediction;
//! in their place stands the free run from the means.
//!
//! **State.** What a free run remembers, newest first, in deviations: y (na values), then for each input uᵢ
//! (nbᵢ + nkᵢ − 1) and its contribution wᵢ = Bᵢ/Fᵢ uᵢ (nfᵢ), then the noise n = C/D e (nd) and e (nc). A run
//! continues with e = 0. It is not minimal, but every number in it can be named.

use std::num::NonZeroU32;

use nalgebra::DMatrix;
use tidegate_core::{Model, Record, Start};

use crate::input_output::{InputOutputModel, Polynomials};
use crate::polynomial::{divide, multiply};
use crate::prediction_error::{Column, Criterion, Target, triangle};

impl InputOutputModel {
    /// The first sample that can be predicted `ahead` steps ahead.
    pub fn first_predicted(&self, ahead: NonZeroU32) -> usize {
        self.orders.skip() + ahead.get() as usize - 1
    }

    /// One-step prediction errors e, one a sample; zero in the first [`Orders::skip`](crate::orders::Orders::skip).
    ///
    /// # Panics
    /// Where the record has other channels than the model, or they differ in length.
    pub fn residuals(&self, record: &Record) -> Vec<f64> {
        self.check(record);
        let (y, u) = self.deviations(record);
        if y.len() <= self.orders.skip() {
            return vec![0.0; y.len()];
        }
        self.evaluated(&y, &u).residuals().to_vec()
    }

    /// Values in a [`Start::State`].
    pub fn state_len(&self) -> usize {
        let of_inputs = |it: &crate::orders::InputOrders| it.nb + it.nk - 1 + it.nf;
        let orders = &self.orders;
        orders.na + orders.nd + orders.nc + orders.inputs.iter().map(of_inputs).sum::<usize>()
    }

    /// The state after a record: simulating on from it gives the optimal predictions of what comes next, given the
    /// inputs.
    ///
    /// # Panics
    /// As [`Self::residuals`].
    pub fn state_after(&self, record: &Record) -> Start {
        self.check(record);
        let (y, u) = self.deviations(record);
        let mut state = Vec::with_capacity(self.state_len());
        push_last(&mut state, &y, self.orders.na);
        let is_short = y.len() < self.orders.skip();
        let contributions: Vec<Vec<f64>> = (0..u.len()).map(|i| self.contribution(i, &u[i])).collect();
        for ((u, w), it) in u.iter().zip(&contributions).zip(&self.orders.inputs) {
            push_last(&mut state, u, it.nb + it.nk - 1);
            push_last(&mut state, w, it.nf);
        }
        if is_short {
            state.resize(self.state_len(), 0.0);
        } else {
            let criterion = self.evaluated(&y, &u);
            push_last(&mut state, criterion.equation_error(), self.orders.nd);
            push_last(&mut state, criterion.residuals(), self.orders.nc);
        }
        Start::State(state)
    }

    /// The start from which a free run comes closest to the measured output: the initial values of 1/(A Fᵢ) by least
    /// squares, inputs and noise before the record at their means (MATLAB's `compare` does the same).
    ///
    /// # Panics
    /// As [`Self::residuals`].
    pub fn best_start(&self, record: &Record) -> Start {
        self.check(record);
        let n = record.outputs[0].values.len();
        let inputs = inputs_of(record);
        let still = DMatrix::from_fn(n, self.inputs.len(), |_, i| self.inputs[i].mean);
        let mean = self.output.mean;
        let free = self.simulate(&inputs, Start::Zero);
        let left: Vec<f64> = record.outputs[0].values.iter().zip(&free).map(|(y, f)| y - f).collect();
        // Where y and the contributions stand in the state.
        let mut places: Vec<usize> = (0..self.orders.na).collect();
        let mut at = self.orders.na;
        for it in &self.orders.inputs {
            at += it.nb + it.nk - 1;
            places.extend(at..at + it.nf);
            at += it.nf;
        }
        let response = |place: &usize| {
            let mut state = vec![0.0; self.state_len()];
            state[*place] = 1.0;
            let run = self.simulate(&still, Start::State(state));
            run.iter().map(|y| y - mean).collect::<Vec<f64>>()
        };
        let responses: Vec<Vec<f64>> = places.iter().map(response).collect();
        let columns: Vec<_> =
            responses.iter().map(|source| Column { source, shift: 0, factor: 1.0 }).collect();
        let target = Column { source: &left, shift: 0, factor: 1.0 };
        let mut state = vec![0.0; self.state_len()];
        if !places.is_empty() && n > 0 && left.iter().all(|it| it.is_finite()) {
            // Poles that several inputs share make responses coincide: then the shortest solution is as good as any.
            let found = triangle(&columns, target, Target::AsIs, 0..n, &[]).solve_damped(1e-14);
            places.iter().zip(found).for_each(|(place, value)| state[*place] = value);
        }
        Start::State(state)
    }

    /// A record's outputs and inputs less the model's means.
    fn deviations(&self, record: &Record) -> (Vec<f64>, Vec<Vec<f64>>) {
        let less = |values: &[f64], mean: f64| values.iter().map(|x| x - mean).collect::<Vec<f64>>();
        let u = record.inputs.iter().zip(&self.inputs).map(|(channel, it)| less(&channel.values, it.mean));
        (less(&record.outputs[0].values, self.output.mean), u.collect())
    }

    /// The criterion at the model's parameters.
    fn evaluated<'a>(&'a self, y: &'a [f64], u: &'a [Vec<f64>]) -> Criterion<'a> {
        let u = u.iter().map(|it| &it[..]).collect();
        let mut criterion = Criterion::of(&self.orders, y, u, self.orders.skip());
        criterion.loss(&self.parameters());
        criterion
    }

    fn contribution(&self, input: usize, u: &[f64]) -> Vec<f64> {
        let mut g = u.to_vec();
        divide(self.polynomials.f[input].tail(), &mut g);
        multiply(self.polynomials.b[input].coefficients(), &g)
    }

    fn check(&self, record: &Record) {
        assert_eq!(record.outputs.len(), 1, "an input-output model has one output");
        assert_eq!(record.inputs.len(), self.inputs.len(), "as many inputs as the model has");
        let n = record.outputs[0].values.len();
        assert!(
            record.inputs.iter().all(|it| it.values.len() == n),
            "channels of one record have one length"
        );
    }
}

/// The last `n` values, newest first; zeros where there were none.
fn push_last(state: &mut Vec<f64>, values: &[f64], n: usize) {
    state.extend(values.iter().rev().copied().chain(std::iter::repeat(0.0)).take(n));
}

/// A record's inputs, steps × inputs.
pub fn inputs_of(record: &Record) -> DMatrix<f64> {
    let n = record.inputs.first().or(record.outputs.first()).map_or(0, |it| it.values.len());
    DMatrix::from_fn(n, record.inputs.len(), |t, i| record.inputs[i].values[t])
}

impl Model for InputOutputModel {
    /// See the module for the predictor. A gap in the record makes everything after it NaN.
    ///
    /// # Panics
    /// As [`InputOutputModel::residuals`].
    fn predict(&self, record: &Record, ahead: NonZeroU32) -> DMatrix<f64> {
        let e = self.residuals(record);
        let y = &record.outputs[0].values;
        let first = self.first_predicted(ahead).min(y.len());
        let response = self.noise_response((ahead.get() as usize).min(y.len()));
        let head = DMatrix::from_fn(first, self.inputs.len(), |t, i| record.inputs[i].values[t]);
        let run = self.simulate(&head, Start::Zero);
        let ahead_of =
            |t: usize| y[t] - response.iter().zip(e[..=t].iter().rev()).map(|(h, e)| h * e).sum::<f64>();
        DMatrix::from_fn(y.len(), 1, |t, _| if t < first { run[t] } else { ahead_of(t) })
    }

    /// A free run with e = 0; see the module for what a state holds.
    ///
    /// # Panics
    /// Where there are more or fewer inputs than the model has, or the state has another length than
    /// [`InputOutputModel::state_len`].
    fn simulate(&self, inputs: &DMatrix<f64>, start: Start) -> DMatrix<f64> {
        assert_eq!(inputs.ncols(), self.inputs.len(), "as many inputs as the model has");
        let state = match start {
            Start::Zero => vec![0.0; self.state_len()],
            Start::State(state) => state,
        };
        assert_eq!(state.len(), self.state_len(), "the state has as many values as `state_len` says");
        let Polynomials { a, b, c, d, f } = &self.polynomials;
        let n = inputs.nrows();
        let (y_past, mut rest) = state.split_at(self.orders.na);
        let mut sum = vec![0.0; n];
        for (i, it) in self.orders.inputs.iter().enumerate() {
            let (u_past, after) = rest.split_at(it.nb + it.nk - 1);
            let (w_past, after) = after.split_at(it.nf);
            rest = after;
            let u: Vec<f64> = inputs.column(i).iter().map(|u| u - self.inputs[i].mean).collect();
            let forced = continued(b[i].coefficients(), f[i].tail(), &u, u_past, w_past);
            sum.iter_mut().zip(forced).for_each(|(sum, w)| *sum += w);
        }
        let (noise_past, e_past) = rest.split_at(self.orders.nd);
        let noise = continued(c.coefficients(), d.tail(), &vec![0.0; n], e_past, noise_past);
        sum.iter_mut().zip(noise).for_each(|(sum, noise)| *sum += noise);
        let y = continued(&[1.0], a.tail(), &sum, &[], y_past);
        DMatrix::from_iterator(n, 1, y.into_iter().map(|y| y + self.output.mean))
    }
}

/// B/F x with what x and the result were before, newest first.
fn continued(b: &[f64], f: &[f64], x: &[f64], x_past: &[f64], past: &[f64]) -> Vec<f64> {
    let mut y = multiply(b, x);
    // The past ends within the first steps: it enters them as a forcing term.
    for (t, y) in y.iter_mut().enumerate() {
        let of_inputs = b.iter().skip(t + 1).zip(x_past).map(|(b, x)| b * x).sum::<f64>();
        let of_itself = f.iter().skip(t).zip(past).map(|(f, y)| f * y).sum::<f64>();
        *y += of_inputs - of_itself;
        if t > b.len().max(f.len()) {
            break;
        }
    }
    divide(f, &mut y);
    y
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use nalgebra::DVector;
    use proptest::prelude::*;
    use tidegate_core::Channel;

    use crate::input_output::Signal;
    use crate::orders::{InputOrders, Orders, Structure};
    use crate::testing::Plant;

    /// All polynomials at once, two inputs; means that are not zero.
    fn model() -> InputOutputModel {
        let inputs = vec![InputOrders { nb: 2, nf: 2, nk: 1 }, InputOrders { nb: 1, nf: 1, nk: 3 }];
        let orders = Orders { na: 1, nc: 2, nd: 1, inputs };
        let theta = [-0.5, 0.7, 0.1, -0.4, 0.3, -0.2, -0.6, -0.8, 0.3, 0.5];
        let signal = |name: &str, mean: f64| Signal { name: name.into(), unit: "1".into(), mean };
        InputOutputModel {
            structure: Structure::BoxJenkins,
            polynomials: Polynomials::from_parameters(&orders, &theta),
            orders,
            output: signal("y", 3.0),
            inputs: vec![signal("u1", 0.2), signal("u2", -0.1)],
            step_seconds: 1.0,
            loss: 1.0,
            samples: 100,
            estimation_fit_percent: 0.0,
            covariance: DMatrix::zeros(10, 10),
            steps: 0,
            warnings: Vec::new(),
        }
    }

    fn record() -> Record {
        let plant =
            Plant::box_jenkins(&[&[0.0, 0.7], &[0.0, 0.4]], &[&[-0.8], &[-0.5]], &[0.3], &[-0.6], 0.4);
        plant.record(60, 3)
    }

    fn first(record: &Record, n: usize) -> Record {
        let cut = |it: &Channel| Channel { values: it.values[..n].to_vec(), ..it.clone() };
        Record {
            inputs: record.inputs.iter().map(cut).collect(),
            outputs: record.outputs.iter().map(cut).collect(),
            ..record.clone()
        }
    }

    fn steps(ahead: usize) -> NonZeroU32 {
        NonZeroU32::new(ahead as u32).expect("at least one step")
    }

    /// What a predictor h steps ahead is: know the record up to t − h, let the model run on with e = 0.
    #[test]
    fn predictions_are_runs_from_where_the_record_ended() {
        let (model, record) = (model(), record());
        let inputs = inputs_of(&record);
        for ahead in [1, 2, 3, 7, 20] {
            let predicted = model.predict(&record, steps(ahead));
            for t in model.first_predicted(steps(ahead))..60 {
                let known = first(&record, t + 1 - ahead);
                let future = inputs.rows(t + 1 - ahead, ahead).into_owned();
                let run = model.simulate(&future, model.state_after(&known));
                assert_relative_eq!(predicted[t], run[ahead - 1], epsilon = 1e-10);
            }
        }
    }

    /// The Kalman filter of the same system in innovations form, its state the coefficients of what comes next:
    /// noise n with A D n = C e as x⁺ = Φ x + K e, n = x₁ + e. Predictions are Φ's powers.
    #[test]
    fn predictions_are_those_of_the_steady_kalman_filter() {
        let (model, record) = (model(), record());
        let Polynomials { a, c, d, .. } = &model.polynomials;
        let ad = a.product(d);
        let padded = |p: &[f64], k: usize| p.get(k).copied().unwrap_or(0.0);
        let order = 3;
        let transition = DMatrix::from_fn(order, order, |i, j| {
            let companion = if j == 0 { -padded(ad.coefficients(), i + 1) } else { 0.0 };
            companion + f64::from(u8::from(j == i + 1))
        });
        let gain = DVector::from_fn(order, |i, _| {
            padded(c.coefficients(), i + 1) - padded(ad.coefficients(), i + 1)
        });
        let free = model.simulate(&inputs_of(&record), Start::Zero);
        let noise: Vec<f64> = record.outputs[0].values.iter().zip(&free).map(|(y, f)| y - f).collect();
        // From a state of zero at the start the filter needs a while to forget: its poles are C's, 0.3 in square.
        let mut state = DVector::zeros(order);
        let mut states = Vec::new();
        for n in &noise {
            let innovation = n - state[0];
            state = &transition * &state + &gain * innovation;
            states.push(state.clone());
        }
        for ahead in [1, 2, 5] {
            let predicted = model.predict(&record, steps(ahead));
            for t in 50..60 {
                let mut at = states[t - ahead].clone();
                for _ in 1..ahead {
                    at = &transition * at;
                }
                assert_relative_eq!(predicted[t], free[t] + at[0], epsilon = 1e-8);
            }
        }
    }

    #[test]
    fn predictions_do_not_peek() {
        let (model, record) = (model(), record());
        for ahead in [1, 4] {
            let before = model.predict(&record, steps(ahead));
            for t in 0..60 {
                let mut changed = record.clone();
                changed.outputs[0].values[t] += 100.0;
                let after = model.predict(&changed, steps(ahead));
                let same = (0..(t + ahead).min(60)).all(|k| (before[k] - after[k]).abs() < 1e-9);
                assert!(
                    same,
                    "{ahead} steps ahead, sample {t} changed what was predicted before it was known"
                );
            }
        }
    }

    #[test]
    fn a_run_in_two_parts_is_one_run() {
        let (model, record) = (model(), record());
        let inputs = inputs_of(&record);
        let whole = model.simulate(&inputs, Start::Zero);
        // In a record of the model's own free run e is 0 throughout.
        let mut own = record;
        own.outputs[0].values = whole.iter().copied().collect();
        let state = model.state_after(&first(&own, 40));
        let rest = model.simulate(&inputs.rows(40, 20).into_owned(), state);
        for t in 0..20 {
            assert_relative_eq!(rest[t], whole[40 + t], epsilon = 1e-9);
        }
        assert_eq!(model.state_len(), 1 + (2 + 2) + (3 + 1) + 1 + 2);
    }

    #[test]
    fn the_best_start_is_recovered_and_beats_the_means() {
        let (model, record) = (model(), record());
        let inputs = inputs_of(&record);
        let mut state = vec![0.0; model.state_len()];
        // y, w₁, w₂, w of the second input.
        (state[0], state[3], state[4], state[8]) = (20.0, -10.0, 5.0, 30.0);
        let mut own = record;
        own.outputs[0].values = model.simulate(&inputs, Start::State(state)).iter().copied().collect();
        assert!(model.fit_simulated(&own, Start::Zero) < 90.0);
        assert!(model.fit_simulated(&own, model.best_start(&own)) > 99.999_999);
    }

    #[test]
    fn short_records_have_no_predictions_and_no_panics() {
        let (model, record) = (model(), record());
        for n in 0..8 {
            let record = first(&record, n);
            assert_eq!(model.predict(&record, steps(3)).nrows(), n);
            assert_eq!(model.residuals(&record).len(), n);
            assert!(
                matches!(model.state_after(&record), Start::State(state) if state.len() == model.state_len())
            );
        }
    }

    proptest! {
        #[test]
        fn continuing_is_the_same_as_not_stopping(
            b in prop::collection::vec(-1.0_f64..1.0, 1..6),
            f in prop::collection::vec(-0.3_f64..0.3, 0..4),
            x in prop::collection::vec(-1.0_f64..1.0, 12..30),
            cut in 0_usize..12,
        ) {
            let whole = continued(&b, &f, &x, &vec![0.0; b.len() - 1], &vec![0.0; f.len()]);
            let (mut x_past, mut past) = (Vec::new(), Vec::new());
            push_last(&mut x_past, &x[..cut], b.len() - 1);
            push_last(&mut past, &whole[..cut], f.len());
            let rest = continued(&b, &f, &x[cut..], &x_past, &past);
            for (x, y) in rest.iter().zip(&whole[cut..]) {
                prop_assert!((x - y).abs() < 1e-12);
            }
        }
    }
}
