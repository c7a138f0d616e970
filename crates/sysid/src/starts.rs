//! Where searches start.
//!
//! - ARMA, ARMAX: Hannan & Rissanen (1982): the residuals of a long ARX stand in for e, then least squares; repeated with
//!   better residuals. Also C = 1, and random stable C with A and B by least squares, which are linear once C is known.
//! - OE: Steiglitz & `McBride` (1965) from F = 1, on the data and on the noise-free output of a long ARX; random stable F
//!   with B by least squares.
//! - BJ: the starts of OE, also on series whitened by the A of a long ARX, each with an ARMA model of what it leaves; and
//!   with white noise.
//!
//! Random polynomials are many, and cheap: linear least squares gives the rest of each. Only those of least loss become
//! starts. The random polynomials come from a fixed seed: the same record gives the same model.

use rand::{Rng, RngExt};
use tidegate_core::{Seed, Stream};

use crate::orders::{InputOrders, Orders};
use crate::polynomial::{Polynomial, divide, multiply};
use crate::prediction_error::{Column, Criterion, Target, triangle};
use crate::search::stabilised;

/// Rounds of Steiglitz & `McBride`; it does not descend, so the best round is kept.
const ROUNDS: usize = 8;

/// Random factors tried for each pole of a minimum.
const N_NEIGHBOURS: usize = 6;

/// Ridge, relative to the columns' lengths, that keeps least squares of a start defined whatever the data.
const RIDGE: f64 = 1e-13;

/// The series that starts are computed on.
#[derive(Clone)]
struct Series<'a> {
    y: &'a [f64],
    u: Vec<&'a [f64]>,
}

/// How many random polynomials are drawn, and how many of them, those of least loss, become starts.
#[derive(Clone, Copy)]
pub(crate) struct Draws {
    pub(crate) n_drawn: usize,
    pub(crate) n_kept: usize,
}

/// Starts for a search on these series, the most promising first.
pub(crate) fn starts(orders: &Orders, y: &[f64], u: &[&[f64]], draws: Draws) -> Vec<Vec<f64>> {
    let series = Series { y, u: u.to_vec() };
    let mut rng = Seed::training(0).rng(Stream::Search);
    let mut starts = Vec::new();
    if orders.inputs.iter().all(|it| it.nf == 0) && orders.nd == 0 {
        starts.extend(rated(orders, &series, hannan_rissanen(orders, &series)).into_iter().next());
        starts.push(given_noise_filter(orders, &series, &vec![0.0; orders.nc]));
        let drawn = (0..draws.n_drawn)
            .map(|_| given_noise_filter(orders, &series, &random_stable(&mut rng, orders.nc)))
            .collect();
        starts.extend(rated(orders, &series, drawn).into_iter().take(draws.n_kept));
        return starts;
    }
    let plant = Orders { na: 0, nc: 0, nd: 0, inputs: orders.inputs.clone() };
    let is_noisy = orders.nc + orders.nd > 0;
    let whole = |plant_theta: Vec<f64>| {
        if !is_noisy {
            return plant_theta;
        }
        let mut criterion = Criterion::of(&plant, y, u.to_vec(), plant.skip());
        criterion.loss(&plant_theta);
        let noise = noise_model(orders, &criterion.equation_error()[plant.skip()..]);
        joined(orders, &plant, &plant_theta, &noise)
    };
    let mut plants = steiglitz_mcbride(&plant, &series);
    if is_noisy {
        starts.push(joined(orders, &plant, &plants[0], &vec![0.0; orders.nc + orders.nd]));
    }
    plants.extend(from_long_arx(&plant, &series));
    // The long ARX' A whitens the noise, and the plant between whitened series is the same.
    let whitened = if is_noisy { whitened(orders, &series) } else { None };
    let white = whitened
        .as_ref()
        .map_or(series.clone(), |(y, u)| Series { y, u: u.iter().map(|u| &u[..]).collect() });
    if is_noisy {
        plants.extend(steiglitz_mcbride(&plant, &white));
    }
    starts.extend(plants.into_iter().map(whole));
    let drawn = (0..draws.n_drawn)
        .map(|_| whole(given_poles(&plant, &white, |nf| random_stable(&mut rng, nf))))
        .collect();
    starts.extend(rated(orders, &series, drawn).into_iter().take(draws.n_kept));
    starts
}

/// Starts next to a minimum, but in other valleys: one factor of one F is exchanged, for an integrator or by lot, and B is
/// fitted anew. A search that has all poles right but one is freed by this; for OE and BJ.
pub(crate) fn neighbours(
    orders: &Orders,
    y: &[f64],
    u: &[&[f64]],
    theta: &[f64],
    round: u64,
) -> Vec<Vec<f64>> {
    let series = Series { y, u: u.to_vec() };
    let mut rng = Seed::training(1 + round).rng(Stream::Search);
    let whitened = if orders.nc + orders.nd > 0 { whitened(orders, &series) } else { None };
    let white = whitened
        .as_ref()
        .map_or(series.clone(), |(y, u)| Series { y, u: u.iter().map(|u| &u[..]).collect() });
    let plant = Orders { na: 0, nc: 0, nd: 0, inputs: orders.inputs.clone() };
    let noise = [&theta[orders.c()], &theta[orders.d()]].concat();
    let poles: Vec<Vec<f64>> = (0..u.len()).map(|i| theta[orders.f(i)].to_vec()).collect();
    let mut starts = Vec::new();
    for i in 0..u.len() {
        let roots = Polynomial::monic(&poles[i]).roots();
        // Each real root and each pair once; a pair is led by its upper half.
        for root in roots.iter().filter(|root| root.im >= 0.0) {
            let mut kept = roots.clone();
            kept.retain(|other| other != root && *other != root.conj());
            let kept = Polynomial::from_roots(&kept);
            let gone = poles[i].len() - kept.degree();
            let integrator = Polynomial::monic(&[1e-9 - 1.0]);
            let mut others = vec![integrator.product(&Polynomial::monic(&random_stable(&mut rng, gone - 1)))];
            others.extend((0..N_NEIGHBOURS).map(|_| Polynomial::monic(&random_stable(&mut rng, gone))));
            for other in others {
                let mut exchanged = poles.clone();
                exchanged[i] = kept.product(&other).tail().to_vec();
                let mut next = exchanged.into_iter();
                let fitted = given_poles(&plant, &white, |_| next.next().expect("one F an input"));
                starts.push(joined(orders, &plant, &fitted, &noise));
            }
        }
    }
    rated(orders, &series, starts)
}

/// Starts made stable, the one of least loss first; those without a finite loss are left out.
fn rated(orders: &Orders, series: &Series<'_>, starts: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let mut criterion = Criterion::of(orders, series.y, series.u.clone(), orders.skip());
    let mut rated: Vec<(f64, Vec<f64>)> = starts
        .into_iter()
        .map(|theta| {
            let theta = stabilised(orders, &theta);
            (criterion.loss(&theta), theta)
        })
        .filter(|(loss, _)| loss.is_finite())
        .collect();
    rated.sort_by(|(x, _), (y, _)| x.total_cmp(y));
    rated.into_iter().map(|(_, theta)| theta).collect()
}

/// All series filtered by the A of a long ARX.
fn whitened(orders: &Orders, series: &Series<'_>) -> Option<(Vec<f64>, Vec<Vec<f64>>)> {
    let long = long(orders, series.y.len());
    if long.skip() + long.n_parameters() >= series.y.len() {
        return None;
    }
    let theta = given_noise_filter(&long, series, &[]);
    let a = Polynomial::monic(&theta[long.a()]);
    let filter = |x: &[f64]| multiply(a.coefficients(), x);
    Some((filter(series.y), series.u.iter().map(|u| filter(u)).collect()))
}

/// θ of the whole model from that of its plant and c, d.
fn joined(orders: &Orders, plant: &Orders, plant_theta: &[f64], noise: &[f64]) -> Vec<f64> {
    let mut theta = vec![0.0; orders.n_parameters()];
    for i in 0..orders.inputs.len() {
        theta[orders.b(i)].copy_from_slice(&plant_theta[plant.b(i)]);
        theta[orders.f(i)].copy_from_slice(&plant_theta[plant.f(i)]);
    }
    let (c, d) = noise.split_at(orders.nc);
    theta[orders.c()].copy_from_slice(c);
    theta[orders.d()].copy_from_slice(d);
    theta
}

/// c and d of D v = C e by Hannan & Rissanen.
fn noise_model(orders: &Orders, v: &[f64]) -> Vec<f64> {
    let arma = Orders { na: orders.nd, nc: orders.nc, nd: 0, inputs: Vec::new() };
    let series = Series { y: v, u: Vec::new() };
    if v.len() < 4 * (arma.n_parameters() + 1) {
        return vec![0.0; arma.n_parameters()];
    }
    let theta = if arma.nc == 0 {
        given_noise_filter(&arma, &series, &[])
    } else {
        let found = rated(&arma, &series, hannan_rissanen(&arma, &series));
        found.into_iter().next().unwrap_or_else(|| vec![0.0; arma.n_parameters()])
    };
    [&theta[arma.c()], &theta[arma.a()]].concat()
}

/// A, B by least squares on data filtered by 1/C, and that C.
fn given_noise_filter(orders: &Orders, series: &Series<'_>, c: &[f64]) -> Vec<f64> {
    let columns = arx_columns(orders, series);
    let target = Column { source: series.y, shift: 0, factor: 1.0 };
    let found =
        triangle(&columns, target, Target::Filtered, orders.skip()..series.y.len(), c).solve_damped(RIDGE);
    [&found[..], c].concat()
}

/// −yₜ₋₁ … and uᵢ,ₜ₋ₖ …
fn arx_columns<'a>(orders: &Orders, series: &Series<'a>) -> Vec<Column<'a>> {
    let mut columns: Vec<_> =
        (1..=orders.na).map(|shift| Column { source: series.y, shift, factor: -1.0 }).collect();
    for (it, source) in orders.inputs.iter().zip(&series.u) {
        columns.extend((it.nk..it.nk + it.nb).map(|shift| Column { source, shift, factor: 1.0 }));
    }
    columns
}

/// Orders of an ARX long enough to whiten, and short enough for the data.
fn long(orders: &Orders, n: usize) -> Orders {
    let largest =
        orders.inputs.iter().map(|it| it.nb.max(it.nf)).chain([orders.na, orders.nc, orders.nd]).max();
    let wanted = (2 * largest.unwrap_or(0)).max(10);
    let order = wanted.min(n / (6 * (1 + orders.inputs.len()))).max(1);
    let inputs = orders.inputs.iter().map(|it| InputOrders { nb: order, nf: 0, nk: it.nk }).collect();
    Orders { na: order, nc: 0, nd: 0, inputs }
}

/// The rounds of Hannan & Rissanen; none where the series is too short.
fn hannan_rissanen(orders: &Orders, series: &Series<'_>) -> Vec<Vec<f64>> {
    let mut rounds = Vec::new();
    let long = long(orders, series.y.len());
    if long.skip().max(orders.skip()) + orders.nc + orders.n_parameters() >= series.y.len() {
        return rounds;
    }
    let theta = given_noise_filter(&long, series, &[]);
    let mut criterion = Criterion::of(&long, series.y, series.u.clone(), long.skip());
    criterion.loss(&theta);
    let mut residuals = criterion.residuals().to_vec();
    let mut first = long.skip().max(orders.skip());
    let mut criterion = Criterion::of(orders, series.y, series.u.clone(), orders.skip());
    for _ in 0..3 {
        let mut columns = arx_columns(orders, series);
        columns.extend((1..=orders.nc).map(|shift| Column { source: &residuals, shift, factor: 1.0 }));
        let target = Column { source: series.y, shift: 0, factor: 1.0 };
        let range = first + orders.nc..series.y.len();
        let found = triangle(&columns, target, Target::AsIs, range, &[]).solve_damped(RIDGE);
        let found = stabilised(orders, &found);
        if !criterion.loss(&found).is_finite() {
            break;
        }
        residuals = criterion.residuals().to_vec();
        first = orders.skip();
        rounds.push(found);
    }
    rounds
}

/// The rounds of Steiglitz & `McBride`, the best first; and with F = 1 kept, should none be finite.
///
/// With several inputs F differs between them. Input i sees ŷᵢ = y − Σ other contributions, and
/// y = Σ [Bᵢ uᵢ/F°ᵢ − (Fᵢ − F°ᵢ) ŷᵢ/F°ᵢ] is linear in Bᵢ and Fᵢ; with one input it is the classic F y/F° = B u/F°.
fn steiglitz_mcbride(orders: &Orders, series: &Series<'_>) -> Vec<Vec<f64>> {
    let skip = orders.skip().max(orders.inputs.iter().map(|it| it.nf).max().unwrap_or(0));
    let mut theta = vec![0.0; orders.n_parameters()];
    let mut best: Option<(f64, Vec<f64>)> = None;
    let mut criterion = Criterion::of(orders, series.y, series.u.clone(), orders.skip());
    if skip + orders.n_parameters() >= series.y.len() {
        return vec![theta];
    }
    criterion.loss(&theta);
    for _ in 0..ROUNDS {
        let seen: Vec<Vec<f64>> = (0..series.u.len())
            .map(|i| {
                let others = criterion.equation_error().iter().zip(criterion.contribution(i));
                let mut own: Vec<f64> = others.map(|(v, w)| v + w).collect();
                divide(&theta[orders.f(i)], &mut own);
                own
            })
            .collect();
        let mut columns = Vec::new();
        for (i, it) in orders.inputs.iter().enumerate() {
            let source = criterion.filtered_input(i);
            columns.extend((it.nk..it.nk + it.nb).map(|shift| Column { source, shift, factor: 1.0 }));
        }
        for (it, source) in orders.inputs.iter().zip(&seen) {
            columns.extend((1..=it.nf).map(|shift| Column { source, shift, factor: -1.0 }));
        }
        let target = Column { source: series.y, shift: 0, factor: 1.0 };
        let found = triangle(&columns, target, Target::AsIs, skip..series.y.len(), &[]).solve_damped(RIDGE);
        for i in 0..orders.inputs.len() {
            theta[orders.b(i)].copy_from_slice(&found[orders.b(i)]);
            for k in orders.f(i) {
                theta[k] += found[k];
            }
        }
        theta = stabilised(orders, &theta);
        let loss = criterion.loss(&theta);
        if !loss.is_finite() {
            break;
        }
        if best.as_ref().is_none_or(|(least, _)| loss < *least) {
            best = Some((loss, theta.clone()));
        }
    }
    vec![best.map_or_else(|| given_poles(orders, series, |nf| vec![0.0; nf]), |(_, theta)| theta)]
}

/// Steiglitz & `McBride` on the noise-free output of a long ARX, whose plant is consistent where its order suffices.
fn from_long_arx(orders: &Orders, series: &Series<'_>) -> Vec<Vec<f64>> {
    let long = long(orders, series.y.len());
    if long.skip() + long.n_parameters() >= series.y.len() {
        return Vec::new();
    }
    let theta = given_noise_filter(&long, series, &[]);
    let a = Polynomial::monic(&theta[long.a()]).reflected();
    let mut criterion = Criterion::of(&long, series.y, series.u.clone(), long.skip());
    criterion.loss(&theta);
    let mut clean = vec![0.0; series.y.len()];
    for i in 0..series.u.len() {
        clean.iter_mut().zip(criterion.contribution(i)).for_each(|(sum, w)| *sum += w);
    }
    divide(a.tail(), &mut clean);
    if clean.iter().all(|it| it.is_finite()) {
        steiglitz_mcbride(orders, &Series { y: &clean, u: series.u.clone() })
    } else {
        Vec::new()
    }
}

/// B by least squares for given F.
fn given_poles(orders: &Orders, series: &Series<'_>, mut poles: impl FnMut(usize) -> Vec<f64>) -> Vec<f64> {
    let mut theta = vec![0.0; orders.n_parameters()];
    let mut filtered = Vec::new();
    for (i, it) in orders.inputs.iter().enumerate() {
        theta[orders.f(i)].copy_from_slice(&poles(it.nf));
        let mut g = series.u[i].to_vec();
        divide(&theta[orders.f(i)], &mut g);
        filtered.push(g);
    }
    let fir = Orders {
        inputs: orders.inputs.iter().map(|it| InputOrders { nf: 0, ..*it }).collect(),
        ..orders.clone()
    };
    let filtered = Series { y: series.y, u: filtered.iter().map(|it| &it[..]).collect() };
    let b = given_noise_filter(&fir, &filtered, &[]);
    for i in 0..orders.inputs.len() {
        theta[orders.b(i)].copy_from_slice(&b[fir.b(i)]);
    }
    theta
}

/// A stable polynomial of this order without its 1: time constants and periods from a step to hundreds of steps, evenly
/// on a logarithmic scale.
fn random_stable(rng: &mut impl Rng, order: usize) -> Vec<f64> {
    let mut product = Polynomial::one();
    let mut left = order;
    while left > 0 {
        let scale = rng.random::<f64>();
        // Now and then an integrator, all but: a pole at 1 beside a zero absorbs what removing means has left, and that
        // valley is narrow.
        let distance = if rng.random::<f64>() < 0.15 { 1e-9 } else { 10_f64.powf(-3.0 * scale - 0.05) };
        let radius = 1.0 - distance;
        let factor = if left >= 2 && rng.random::<f64>() < 0.5 {
            let angle = std::f64::consts::PI * 10_f64.powf(-2.0 * rng.random::<f64>());
            Polynomial::monic(&[-2.0 * radius * angle.cos(), radius * radius])
        } else {
            // A pole with alternating sign is rarer in what is sampled, but it occurs.
            let sign = if rng.random::<f64>() < 0.2 { 1.0 } else { -1.0 };
            Polynomial::monic(&[sign * radius])
        };
        left -= factor.degree();
        product = product.product(&factor);
    }
    product.tail().to_vec()
}
