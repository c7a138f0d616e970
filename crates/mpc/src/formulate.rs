//! Forecasts, models and prices in, numbers of a program out: plain functions, so that solvers see costs and limits only.

use tidegate_core::{Penalty, Prices, Quantiles, Replicas, ResponseModel, SECONDS_PER_HOUR, ServiceLevel};

use crate::surface::Surfaces;
use crate::{Band, PenaltySurface, Table};

/// Number of levels of a forecast.
pub const N_LEVELS: usize = Quantiles::LEVELS.len();

/// The place of the median among them.
const MEDIAN: usize = N_LEVELS / 2;

/// What is known of the load of one stage: weighted points. The weights add up to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StageLoad {
    /// Requests a second at each level.
    pub requests_per_second: [f64; N_LEVELS],
    /// Probability that each stands for.
    pub weights: [f64; N_LEVELS],
}

impl StageLoad {
    /// A load that is known.
    pub fn certain(requests_per_second: f64) -> Self {
        let mut weights = [0.0; N_LEVELS];
        weights[MEDIAN] = 1.0;
        Self { requests_per_second: [requests_per_second; N_LEVELS], weights }
    }
}

/// What each of [`Quantiles::LEVELS`] stands for, if only the worst share `tail_share` of what may come counts: all
/// between the middles to its neighbours, the outer ones with what is beyond them, cut at 1 − `tail_share` from below.
///
/// With the whole, Σ w φ(λ) is the expected penalty. With less it is its conditional value at risk at the level
/// 1 − `tail_share`, stage by stage, as φ does not fall with the load; the sum over stages is at least the conditional
/// value at risk of the sum, which is the same where all stages are bad together (R. T. Rockafellar and S. Uryasev,
/// *Conditional value-at-risk for general loss distributions*, J. Banking & Finance 26, 2002, on coherence).
///
/// # Panics
/// If the share is not above 0 and at most 1.
pub fn level_weights(tail_share: f64) -> [f64; N_LEVELS] {
    assert!(tail_share > 0.0 && tail_share <= 1.0, "a tail of {tail_share}");
    let levels = Quantiles::LEVELS;
    let mut weights = [0.0; N_LEVELS];
    let mut left = tail_share;
    for level in (0..N_LEVELS).rev() {
        let from = if level == 0 { 0.0 } else { f64::midpoint(levels[level - 1], levels[level]) };
        let to = if level + 1 == N_LEVELS { 1.0 } else { f64::midpoint(levels[level], levels[level + 1]) };
        weights[level] = (to - from).min(left) / tail_share;
        left = (left - (to - from)).max(0.0);
    }
    weights
}

/// Quantiles of the load, of quantiles of what is counted of it in steps of `step_seconds`.
///
/// A forecaster is fitted to counts. If users come independently of each other, a count N of a load λ has the variance
/// λ Δ of Poisson's law beside that of λ itself, and a response model has it too: planned with as it is, it would be paid
/// for twice. In the normal approximation variances add up level by level,
///
/// ```text
/// (q_p − q₅₀)² = (N_p/Δ − N₅₀/Δ)² − z_p² N₅₀/Δ²,   no less than 0
/// ```
///
/// with the quantiles z of the normal law. The body of the distribution is narrowed; far tails, which say that a crowd may
/// come, are left as they are.
pub fn loads_of_counts(requests_per_second: [f64; N_LEVELS], step_seconds: f64) -> [f64; N_LEVELS] {
    let median = requests_per_second[MEDIAN];
    let variance = median.max(0.0) / step_seconds;
    let mut loads = requests_per_second;
    for (load, z) in loads.iter_mut().zip(NORMAL) {
        let away = *load - median;
        *load = median + (away * away - z * z * variance).max(0.0).sqrt().copysign(away);
    }
    loads
}

/// The quantiles of the standard normal law at [`Quantiles::LEVELS`].
const NORMAL: [f64; N_LEVELS] = [
    -2.326_347_874_040_841,
    -1.644_853_626_951_472_7,
    -1.281_551_565_544_600_4,
    -0.674_489_750_196_081_7,
    0.0,
    0.674_489_750_196_081_7,
    1.281_551_565_544_600_4,
    1.644_853_626_951_472_7,
    2.326_347_874_040_841,
];

/// The dollars of each stage over the ready replicas of its band, into `table`: its length times the expected penalty
/// rate, `others` replicas serving beside those that are planned.
///
/// With recourse ([`Surfaces::passing`]) a level above the median costs what it does until it is answered, but no less than
/// the median does and no more than if the fleet were held.
///
/// # Panics
/// If there are fewer loads than bands.
pub fn stage_costs<M: ResponseModel>(
    surfaces: &mut Surfaces,
    service: (&M, &Prices),
    loads: &[StageLoad],
    stage_seconds: f64,
    others: Replicas,
    bands: &[Band],
    table: &mut Table,
) {
    assert!(loads.len() >= bands.len(), "every stage needs its load");
    let Surfaces { held, passing } = surfaces;
    let n_held = if passing.is_some() { MEDIAN + 1 } else { N_LEVELS };
    let [mut median, mut worst, mut answered] = [const { Vec::new() }; 3];
    table.refill_rows(bands, |stage, row| {
        let Band { low, high } = bands[stage];
        let all = Band::new(low + others, high + others);
        let StageLoad { requests_per_second: loads, weights } = loads[stage];
        for (load, weight) in loads.iter().zip(weights).take(n_held).filter(|(_, weight)| *weight > 0.0) {
            held.add(service, *load, weight * stage_seconds, all, row);
        }
        if let Some(passing) = passing {
            let n_counts = row.len();
            let over = |surface: &mut PenaltySurface, load: f64, out: &mut Vec<f64>| {
                out.clear();
                out.resize(n_counts, 0.0);
                surface.add(service, load, stage_seconds, all, out);
            };
            over(held, loads[MEDIAN], &mut median);
            for level in (n_held..N_LEVELS).filter(|level| weights[*level] > 0.0) {
                over(held, loads[level], &mut worst);
                over(passing, loads[level], &mut answered);
                for (index, dollars) in row.iter_mut().enumerate() {
                    *dollars += weights[level] * worst[index].min(answered[index]).max(median[index]);
                }
            }
        }
        // Each row of the surface falls exactly; sums of their multiples may rise in the last digit. To look for it takes a
        // fraction of what it takes to mend it.
        let n_rises: usize = row.windows(2).map(|pair| usize::from(pair[1] > pair[0])).sum();
        if n_rises > 0 {
            let mut least = f64::INFINITY;
            for dollars in row {
                least = dollars.min(least);
                *dollars = least;
            }
        }
    });
}

/// The price of one replica for one stage.
pub fn stage_price(dollars_per_replica_hour: f64, stage_seconds: f64) -> f64 {
    dollars_per_replica_hour * stage_seconds / SECONDS_PER_HOUR
}

/// The prices as they are for a model whose tick is a stage: windows are counted in stages, and what is charged once
/// an accounting tick is charged as often in a stage.
pub fn prices_of(prices: &Prices, tick_seconds: f64, stage_seconds: f64) -> Prices {
    let ticks = stage_seconds / tick_seconds;
    let level = prices.level;
    let window_ticks = (f64::from(level.window_ticks) / ticks).round().max(1.0) as u32;
    let penalty = match level.penalty {
        Penalty::MeanLatency { dollars_per_millisecond } => {
            Penalty::MeanLatency { dollars_per_millisecond: dollars_per_millisecond * ticks }
        }
        other => other,
    };
    Prices { level: ServiceLevel { window_ticks, penalty, ..level }, ..prices.clone() }
}

/// What is left behind after `seconds` in which `capacity_per_second` is served, by the mean flow.
pub fn backlog_after(backlog: f64, requests_per_second: f64, capacity_per_second: f64, seconds: f64) -> f64 {
    (backlog + (requests_per_second - capacity_per_second) * seconds).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_the_masses_between_the_middles_and_of_a_tail_the_upper_ones() {
        let all = level_weights(1.0);
        let expected = [0.03, 0.045, 0.1, 0.2, 0.25, 0.2, 0.1, 0.045, 0.03];
        for (weight, expected) in all.iter().zip(expected) {
            assert!((weight - expected).abs() < 1e-12, "{all:?}");
        }
        let tail = level_weights(0.05);
        assert!((tail[8] - 0.6).abs() < 1e-12 && (tail[7] - 0.4).abs() < 1e-12, "{tail:?}");
        assert!(tail[..7].iter().all(|weight| *weight == 0.0));
        for share in [0.01, 0.3, 0.5, 0.999] {
            assert!((level_weights(share).iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn of_counts_the_loads_are_had_back() {
        // A normal load of 12 a second ± 1, counted in steps of 30 s: variances add up.
        let of = |deviation: f64| NORMAL.map(|z| 12.0 + z * deviation);
        let counted = of((1.0_f64 + 12.0 / 30.0).sqrt());
        for (load, expected) in loads_of_counts(counted, 30.0).iter().zip(of(1.0)) {
            assert!((load - expected).abs() < 1e-12, "{load}, not {expected}");
        }
        // Counts alone are a load that is known; and nobody is counted where nobody comes.
        for load in loads_of_counts(of((12.0_f64 / 30.0).sqrt()), 30.0) {
            // The root of what rounding leaves.
            assert!((load - 12.0).abs() < 1e-6, "{load}");
        }
        let mut crowd = [0.0; N_LEVELS];
        crowd[8] = 40.0;
        assert_eq!(loads_of_counts(crowd, 30.0), crowd);
    }

    /// Against the error function's own series: P(Z ≤ z) = ½ + φ(z) (z + z³/3 + z⁵/(3·5) + …).
    #[test]
    fn quantiles_of_the_normal_law_are_those_of_the_levels() {
        for (z, level) in NORMAL.iter().zip(Quantiles::LEVELS) {
            let (mut term, mut sum) = (*z, 0.0);
            for n in 1..100 {
                sum += term;
                term *= z * z / f64::from(2 * n + 1);
            }
            let below = 0.5 + (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt() * sum;
            assert!((below - level).abs() < 1e-14, "{below}, not {level}");
        }
    }
}
