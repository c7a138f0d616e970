//! The prediction-error criterion and its exact gradient [Ljung, System Identification, 2nd ed., sections 7.2, 10.3].
//!
//! For A y = Σ (Bᵢ/Fᵢ) uᵢ + (C/D) e, on data with their means removed:
//!
//! | symbol | word | computed as |
//! | --- | --- | --- |
//! | gᵢ | filtered input | uᵢ / Fᵢ, from zero at t = 0 |
//! | wᵢ | noise-free contribution | Bᵢ gᵢ |
//! | v | equation error before the noise filter | A y − Σ wᵢ |
//! | s | first sample counted | max(na, nbᵢ + nkᵢ − 1) + nd |
//! | x | | D v for t ≥ s, 0 before |
//! | e | residual | x / C, from zero at s |
//! | V | loss | mean of e² over t ≥ s |
//!
//! This conditional start uses no value from before the record where it can be avoided: zeros there would be wrong data,
//! which a slow A remembers (the loss doubles on 1,000 samples). The gradient follows by differentiating the table:
//! ∂e/∂aⱼ = (D/C) yₜ₋ⱼ, ∂e/∂bᵢⱼ = −(D/C) gᵢ,ₜ₋ⱼ, ∂e/∂cⱼ = −(1/C) eₜ₋ⱼ, ∂e/∂dⱼ = (1/C) vₜ₋ⱼ,
//! ∂e/∂fᵢⱼ = (D/C) (wᵢ/Fᵢ)ₜ₋ⱼ, each with 1/C from zero at s.

use std::ops::Range;

use crate::orders::Orders;
use crate::polynomial::{Polynomial, divide, multiply};
use crate::prepared::Prepared;
use crate::triangle::{BLOCK, Triangle, dot};

/// A regressor: the source delayed by `shift`, times `factor`; zero before the record.
#[derive(Clone, Copy)]
pub(crate) struct Column<'a> {
    pub(crate) source: &'a [f64],
    pub(crate) shift: usize,
    pub(crate) factor: f64,
}

/// The criterion on one record, and what the last evaluation left behind for the gradient.
pub(crate) struct Criterion<'a> {
    pub(crate) orders: &'a Orders,
    pub(crate) y: &'a [f64],
    pub(crate) u: Vec<&'a [f64]>,
    /// First sample counted.
    pub(crate) skip: usize,
    theta: Vec<f64>,
    filtered: Vec<Vec<f64>>,
    contributions: Vec<Vec<f64>>,
    v: Vec<f64>,
    e: Vec<f64>,
}

impl<'a> Criterion<'a> {
    /// On prepared data, counting samples from `skip` on, which is at least that of the orders.
    pub(crate) fn new(orders: &'a Orders, data: &'a Prepared, skip: usize) -> Self {
        let u = data.inputs.iter().map(|it| &it.values[..]).collect();
        Self::of(orders, &data.output.values, u, skip)
    }

    /// On these series.
    pub(crate) fn of(orders: &'a Orders, y: &'a [f64], u: Vec<&'a [f64]>, skip: usize) -> Self {
        assert!(skip >= orders.skip(), "the first samples have no residual");
        let n_inputs = u.len();
        Self {
            orders,
            y,
            u,
            skip,
            theta: Vec::new(),
            filtered: vec![Vec::new(); n_inputs],
            contributions: vec![Vec::new(); n_inputs],
            v: Vec::new(),
            e: Vec::new(),
        }
    }

    /// Samples counted.
    pub(crate) fn samples(&self) -> usize {
        self.y.len() - self.skip
    }

    /// V(θ); infinite where it is not a number.
    pub(crate) fn loss(&mut self, theta: &[f64]) -> f64 {
        let orders = self.orders;
        self.theta = theta.to_vec();
        self.v = multiply(Polynomial::monic(&theta[orders.a()]).coefficients(), self.y);
        for (i, it) in orders.inputs.iter().enumerate() {
            let g = &mut self.filtered[i];
            g.clear();
            g.extend_from_slice(self.u[i]);
            divide(&theta[orders.f(i)], g);
            let mut b = vec![0.0; it.nk];
            b.extend_from_slice(&theta[orders.b(i)]);
            self.contributions[i] = multiply(&b, g);
            self.v.iter_mut().zip(&self.contributions[i]).for_each(|(v, w)| *v -= w);
        }
        self.e = multiply(Polynomial::monic(&theta[orders.d()]).coefficients(), &self.v);
        self.e[..self.skip].fill(0.0);
        divide(&theta[orders.c()], &mut self.e[self.skip..]);
        let loss = dot(&self.e, &self.e) / self.samples() as f64;
        if loss.is_finite() { loss } else { f64::INFINITY }
    }

    /// Residuals of the last θ, zero before `skip`.
    pub(crate) fn residuals(&self) -> &[f64] {
        &self.e
    }

    /// A y − Σ (Bᵢ/Fᵢ) uᵢ of the last θ.
    pub(crate) fn equation_error(&self) -> &[f64] {
        &self.v
    }

    /// Bᵢ/Fᵢ uᵢ of the last θ.
    pub(crate) fn contribution(&self, input: usize) -> &[f64] {
        &self.contributions[input]
    }

    /// uᵢ/Fᵢ of the last θ.
    pub(crate) fn filtered_input(&self, input: usize) -> &[f64] {
        &self.filtered[input]
    }

    /// The triangle of [∂e/∂θ, −e] at the last θ: its least-squares solution is the Gauss–Newton step.
    pub(crate) fn triangle(&self) -> Triangle {
        let orders = self.orders;
        let theta = &self.theta;
        let d = Polynomial::monic(&theta[orders.d()]);
        let shaped = |x: &[f64]| multiply(d.coefficients(), x);
        // Without D the sources are used as they are.
        let plain = orders.nd == 0;
        let y_shaped = if plain || orders.na == 0 { Vec::new() } else { shaped(self.y) };
        let g_shaped: Vec<_> =
            self.filtered.iter().map(|g| if plain { Vec::new() } else { shaped(g) }).collect();
        let slopes: Vec<Vec<f64>> = (0..self.u.len())
            .map(|i| {
                if orders.inputs[i].nf == 0 {
                    return Vec::new();
                }
                let mut h = self.contributions[i].clone();
                divide(&theta[orders.f(i)], &mut h);
                if plain { h } else { shaped(&h) }
            })
            .collect();
        let mut columns = Vec::with_capacity(orders.n_parameters());
        let y = if plain { self.y } else { &y_shaped };
        columns.extend((1..=orders.na).map(|shift| Column { source: y, shift, factor: 1.0 }));
        for (i, it) in orders.inputs.iter().enumerate() {
            let source = if plain { &self.filtered[i] } else { &g_shaped[i] };
            columns.extend((it.nk..it.nk + it.nb).map(|shift| Column { source, shift, factor: -1.0 }));
        }
        columns.extend((1..=orders.nc).map(|shift| Column { source: &self.e, shift, factor: -1.0 }));
        columns.extend((1..=orders.nd).map(|shift| Column { source: &self.v, shift, factor: 1.0 }));
        for (source, it) in slopes.iter().zip(&orders.inputs) {
            columns.extend((1..=it.nf).map(|shift| Column { source, shift, factor: 1.0 }));
        }
        let target = Column { source: &self.e, shift: 0, factor: -1.0 };
        triangle(&columns, target, Target::AsIs, self.skip..self.y.len(), &theta[orders.c()])
    }
}

/// Whether the right-hand side goes through the filter too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    AsIs,
    Filtered,
}

/// The triangle of [columns, target] over a range of samples, the columns filtered by 1/C from zero at its start, where
/// `tail` is C without its 1.
///
/// Blocks of rows are gathered, filtered and folded while they are in the cache.
pub(crate) fn triangle(
    columns: &[Column<'_>],
    target: Column<'_>,
    of_target: Target,
    range: Range<usize>,
    tail: &[f64],
) -> Triangle {
    let n = columns.len();
    let mut triangle = Triangle::new(n);
    let n_filtered = if of_target == Target::Filtered { n + 1 } else { n };
    // Whole groups of lanes; what is over stays zero.
    let n_lanes = (n + 1).next_multiple_of(LANES) + LANES;
    let mut block = vec![0.0; n_lanes * BLOCK];
    let mut past = vec![[0.0; LANES]; n_filtered.div_ceil(LANES) * tail.len()];
    let mut held = [0.0; BLOCK];
    for start in range.clone().step_by(BLOCK) {
        let rows = BLOCK.min(range.end - start);
        for (column, into) in columns.iter().chain([&target]).zip(block.chunks_exact_mut(BLOCK)) {
            gather(*column, start, &mut into[..rows]);
        }
        if !tail.is_empty() {
            // A target that is not filtered may stand in a group that is.
            held.copy_from_slice(&block[n * BLOCK..(n + 1) * BLOCK]);
            for (group, past) in past.chunks_exact_mut(tail.len()).enumerate() {
                let lanes = &mut block[group * LANES * BLOCK..(group + 1) * LANES * BLOCK];
                divide_lanes(tail, lanes, rows, past);
            }
            if of_target == Target::AsIs {
                block[n * BLOCK..(n + 1) * BLOCK].copy_from_slice(&held);
            }
        }
        triangle.absorb(&mut block, BLOCK, rows);
        block[(n + 1) * BLOCK..].fill(0.0);
    }
    triangle
}

fn gather(column: Column<'_>, start: usize, into: &mut [f64]) {
    let Column { source, shift, factor } = column;
    let missing = shift.saturating_sub(start).min(into.len());
    into[..missing].fill(0.0);
    let from = (start + missing).saturating_sub(shift);
    let known = into.len() - missing;
    into[missing..].iter_mut().zip(&source[from..from + known]).for_each(|(x, s)| *x = factor * s);
}

/// Columns that are filtered side by side: each waits for its own last value, so four take the time of one.
const LANES: usize = 4;

fn divide_lanes(tail: &[f64], lanes: &mut [f64], rows: usize, past: &mut [[f64; LANES]]) {
    match *tail {
        [c1] => divide_lanes_by([c1], lanes, rows, past),
        [c1, c2] => divide_lanes_by([c1, c2], lanes, rows, past),
        [c1, c2, c3] => divide_lanes_by([c1, c2, c3], lanes, rows, past),
        _ => {
            for t in 0..rows {
                for lane in 0..LANES {
                    let known: f64 = tail.iter().zip(&*past).map(|(c, past)| c * past[lane]).sum();
                    lanes[lane * BLOCK + t] -= known;
                }
                past.rotate_right(1);
                for lane in 0..LANES {
                    past[0][lane] = lanes[lane * BLOCK + t];
                }
            }
        }
    }
}

fn divide_lanes_by<const N: usize>(
    tail: [f64; N],
    lanes: &mut [f64],
    rows: usize,
    past: &mut [[f64; LANES]],
) {
    let mut state = [[0.0; LANES]; N];
    state.copy_from_slice(past);
    let (first, rest) = lanes.split_at_mut(BLOCK);
    let (second, rest) = rest.split_at_mut(BLOCK);
    let (third, fourth) = rest.split_at_mut(BLOCK);
    let (first, second, third, fourth) =
        (&mut first[..rows], &mut second[..rows], &mut third[..rows], &mut fourth[..rows]);
    for t in 0..rows {
        let mut sum = [first[t], second[t], third[t], fourth[t]];
        for k in (0..N).rev() {
            for lane in 0..LANES {
                sum[lane] -= tail[k] * state[k][lane];
            }
        }
        for k in (1..N).rev() {
            state[k] = state[k - 1];
        }
        state[0] = sum;
        [first[t], second[t], third[t], fourth[t]] = sum;
    }
    past.copy_from_slice(&state);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orders::InputOrders;
    use crate::testing::Plant;
    use approx::assert_relative_eq;
    use nalgebra::{DMatrix, DVector};
    use tidegate_core::Record;

    /// Two inputs, every polynomial there, one direct feed-through.
    fn orders() -> Orders {
        let inputs = vec![InputOrders { nb: 2, nf: 2, nk: 0 }, InputOrders { nb: 1, nf: 1, nk: 3 }];
        Orders { na: 2, nc: 2, nd: 1, inputs }
    }

    const THETA: [f64; 12] = [-0.5, 0.2, 0.7, 0.1, -0.4, 0.3, -0.2, -0.6, -0.8, 0.3, 0.5, 0.0];

    fn theta() -> Vec<f64> {
        THETA[..11].to_vec()
    }

    fn record() -> Record {
        Plant::box_jenkins(&[&[1.0, 0.2], &[0.0, 0.5]], &[&[-0.8], &[-0.5]], &[0.3], &[-0.6], 0.4)
            .record(300, 7)
    }

    /// The definition of the criterion, one difference equation after the other.
    fn by_definition(data: &Prepared, theta: &[f64]) -> Vec<f64> {
        let [a1, a2, b0, b1, b3, c1, c2, d1, f1, f2, g1] = *theta else { panic!("eleven parameters") };
        let (y, u, z) = (&data.output.values, &data.inputs[0].values, &data.inputs[1].values);
        let n = y.len();
        let past = |x: &[f64], t: usize, k: usize| if t >= k { x[t - k] } else { 0.0 };
        let (mut w, mut r, mut v, mut e) = (vec![0.0; n], vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        for t in 0..n {
            w[t] = b0 * u[t] + b1 * past(u, t, 1) - f1 * past(&w, t, 1) - f2 * past(&w, t, 2);
            r[t] = b3 * past(z, t, 3) - g1 * past(&r, t, 1);
            v[t] = y[t] + a1 * past(y, t, 1) + a2 * past(y, t, 2) - w[t] - r[t];
            if t >= 4 {
                e[t] = v[t] + d1 * v[t - 1] - c1 * past(&e, t, 1) - c2 * past(&e, t, 2);
            }
        }
        e
    }

    #[test]
    fn residuals_are_those_of_the_definition() {
        let (orders, data) = (orders(), Prepared::new(&record()));
        let mut criterion = Criterion::new(&orders, &data, orders.skip());
        let loss = criterion.loss(&theta());
        let expected = by_definition(&data, &theta());
        for (e, expected) in criterion.residuals().iter().zip(&expected) {
            assert_relative_eq!(*e, expected, epsilon = 1e-12);
        }
        assert_eq!(orders.skip(), 4);
        assert_relative_eq!(loss, expected.iter().map(|e| e * e).sum::<f64>() / 296.0, max_relative = 1e-12);
    }

    #[test]
    fn the_gradient_is_exact() {
        let (orders, data) = (orders(), Prepared::new(&record()));
        let mut criterion = Criterion::new(&orders, &data, orders.skip());
        let theta = theta();
        let residuals = |criterion: &mut Criterion<'_>, theta: &[f64]| {
            criterion.loss(theta);
            DVector::from_column_slice(criterion.residuals())
        };
        let step = 1e-6;
        let columns: Vec<DVector<f64>> = (0..theta.len())
            .map(|k| {
                let (mut up, mut down) = (theta.clone(), theta.clone());
                up[k] += step;
                down[k] -= step;
                (residuals(&mut criterion, &up) - residuals(&mut criterion, &down)) / (2.0 * step)
            })
            .collect();
        let jacobian = DMatrix::from_columns(&columns);
        let e = residuals(&mut criterion, &theta);
        let triangle = criterion.triangle();
        let r = triangle.matrix();
        let (gram, expected) = (r.transpose() * &r, jacobian.transpose() * &jacobian);
        assert_relative_eq!(gram, expected, max_relative = 1e-6, epsilon = 1e-4);
        let slope = r.transpose() * DVector::from_vec(triangle.right());
        assert_relative_eq!(slope, -(jacobian.transpose() * e), max_relative = 1e-6, epsilon = 1e-4);
    }

    #[test]
    fn filtering_side_by_side_is_filtering() {
        // Orders beyond those that have a loop of their own, and blocks that do not end with the record.
        let x: Vec<f64> = (0..300).map(|t| f64::from((t * t) % 17) - 8.0).collect();
        for tail in [&[0.5][..], &[-1.2, 0.5], &[0.3, 0.2, 0.1], &[-0.3, 0.2, 0.1, 0.05], &[0.1; 6]] {
            let columns: Vec<_> = (0..6).map(|shift| Column { source: &x, shift, factor: 1.0 }).collect();
            let target = Column { source: &x, shift: 7, factor: 1.0 };
            let found = triangle(&columns, target, Target::Filtered, 10..300, tail).matrix();
            let filtered: Vec<DVector<f64>> = (0..6)
                .map(|shift| {
                    let mut column = x[10 - shift..300 - shift].to_vec();
                    divide(tail, &mut column);
                    DVector::from_vec(column)
                })
                .collect();
            let expected = DMatrix::from_columns(&filtered);
            let (gram, expected) = (found.transpose() * &found, expected.transpose() * &expected);
            assert_relative_eq!(gram, expected, max_relative = 1e-9);
        }
    }
}
