//! How closely supply followed demand: the elasticity metrics of three schools.
//!
//! Symbols: d, the least replicas that meet the service level in a tick; s, the ready replicas; T, the duration, here
//! n ticks; (x)⁺ = max(x, 0); Δx, the change from the tick before.
//!
//! | school | source |
//! | --- | --- |
//! | [`Areas`] | SPEC research group: Herbst et al., BUNGEE, SEAMS 2015 |
//! | [`Relative`] | Chameleon: Bauer et al., IEEE TPDS 2019 |
//! | [`Cluster`] | Ilyushkin et al., ICPE 2017; ACM `ToMPECS` 2018 |
//!
//! Where demand is 0, relative over-provisioning would divide by 0. There the surplus counts in units of one replica:
//! the divisor is max(d, 1), so that idle replicas at night still weigh, and a tick is never left out. A relative
//! shortage is 0 where there is no demand.

/// SPEC's metrics, in replicas and shares.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Areas {
    /// Σ (d − s)⁺ / n: missing replicas, on average over all time.
    pub accuracy_under: f64,
    /// Σ (s − d)⁺ / n: surplus replicas, on average over all time.
    pub accuracy_over: f64,
    /// Share of the ticks with s < d.
    pub timeshare_under: f64,
    /// Share of the ticks with s > d.
    pub timeshare_over: f64,
    /// (Σ |Δs| − Σ |Δd|) / T in replicas a minute: below 0 sluggish, above 0 oscillating.
    pub jitter_per_minute: f64,
}

/// Chameleon's metrics, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Relative {
    /// θᵤ = 100/T Σ (d − s)⁺ / d.
    pub under_percent: f64,
    /// θₒ = 100/T Σ (s − d)⁺ / d.
    pub over_percent: f64,
    /// τᵤ: time with s < d.
    pub under_time_percent: f64,
    /// τₒ: time with s > d.
    pub over_time_percent: f64,
    /// υ: time in which supply and demand did not move the same way.
    pub instability_percent: f64,
}

/// Ilyushkin's metrics, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cluster {
    /// Aᵤ = 100/(T R) Σ (d − s)⁺, R the resources of the cluster.
    pub under_percent: f64,
    /// Aₒ = 100/(T R) Σ (s − d)⁺.
    pub over_percent: f64,
    /// Āᵤ = 100/T Σ (d − s)⁺ / d.
    pub under_of_demand_percent: f64,
    /// Āₒ = 100/T Σ (s − d)⁺ / s: divided by supply, not by demand.
    pub over_of_supply_percent: f64,
    /// k: time in which supply moved above what demand's move asked for.
    pub instability_over_percent: f64,
    /// k′: time in which demand's move was above supply's.
    pub instability_under_percent: f64,
}

impl Areas {
    /// Of demand and supply in each tick.
    ///
    /// # Panics
    /// If the series are not equally long or are empty.
    pub fn of(demand: &[f64], supply: &[f64], tick_seconds: f64) -> Self {
        check(demand, supply);
        let n = demand.len() as f64;
        let moved = |series: &[f64]| series.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum::<f64>();
        Self {
            accuracy_under: sum(demand, supply, |d, s| (d - s).max(0.0)) / n,
            accuracy_over: sum(demand, supply, |d, s| (s - d).max(0.0)) / n,
            timeshare_under: sum(demand, supply, |d, s| f64::from(s < d)) / n,
            timeshare_over: sum(demand, supply, |d, s| f64::from(s > d)) / n,
            jitter_per_minute: (moved(supply) - moved(demand)) / (n * tick_seconds / 60.0),
        }
    }
}

impl Relative {
    /// Of demand and supply in each tick.
    ///
    /// # Panics
    /// If the series are not equally long or are empty.
    pub fn of(demand: &[f64], supply: &[f64]) -> Self {
        check(demand, supply);
        let percent = 100.0 / demand.len() as f64;
        Self {
            under_percent: percent * sum(demand, supply, |d, s| (d - s).max(0.0) / d.max(1.0)),
            over_percent: percent * sum(demand, supply, |d, s| (s - d).max(0.0) / d.max(1.0)),
            under_time_percent: percent * sum(demand, supply, |d, s| f64::from(s < d)),
            over_time_percent: percent * sum(demand, supply, |d, s| f64::from(s > d)),
            instability_percent: moves(demand, supply, |d, s| (s - d).abs().min(1.0)),
        }
    }

    /// σ = (θᵤ⁵ + θₒ⁵ + τᵤ⁵ + τₒ⁵ + υ⁵)^(1/5): the distance from a perfect scaler, 0 is perfect.
    pub fn deviation(&self) -> f64 {
        self.all().iter().map(|metric| metric.powi(5)).sum::<f64>().powf(0.2)
    }

    /// ε = (Π b / m)^(1/5): the elastic speed-up against another scaler (usually none at all)
    /// with metrics b, above 1 is better.
    /// A metric that is 0 for both counts as equal; None where it is 0 for one of the two only, since then the
    /// product says nothing of the other four.
    pub fn speed_up(&self, base: &Self) -> Option<f64> {
        let ratios = base.all().into_iter().zip(self.all());
        let product: Option<f64> = ratios
            .map(|(base, ours)| match (base > 0.0, ours > 0.0) {
                (true, true) => Some(base / ours),
                (false, false) => Some(1.0),
                _ => None,
            })
            .product();
        product.map(|product| product.powf(0.2))
    }

    /// κ: share of the pairwise comparisons, metric by metric with every other scaler, that this one wins; a tie is
    /// half a win. None without others.
    pub fn competition(&self, others: &[Self]) -> Option<f64> {
        let ours = self.all();
        let wins: f64 = others
            .iter()
            .flat_map(|other| ours.into_iter().zip(other.all()))
            .map(|(ours, theirs)| if ours < theirs { 1.0 } else { f64::from(ours == theirs) / 2.0 })
            .sum();
        (!others.is_empty()).then(|| wins / (others.len() * ours.len()) as f64)
    }

    fn all(&self) -> [f64; 5] {
        [
            self.under_percent,
            self.over_percent,
            self.under_time_percent,
            self.over_time_percent,
            self.instability_percent,
        ]
    }
}

impl Cluster {
    /// Of demand and supply in each tick, on a cluster of `resources` replicas.
    ///
    /// # Panics
    /// If the series are not equally long or are empty, or the cluster has nothing.
    pub fn of(demand: &[f64], supply: &[f64], resources: f64) -> Self {
        check(demand, supply);
        assert!(resources > 0.0, "a cluster has resources, not {resources}");
        let percent = 100.0 / demand.len() as f64;
        Self {
            under_percent: percent / resources * sum(demand, supply, |d, s| (d - s).max(0.0)),
            over_percent: percent / resources * sum(demand, supply, |d, s| (s - d).max(0.0)),
            under_of_demand_percent: percent * sum(demand, supply, |d, s| (d - s).max(0.0) / d.max(1.0)),
            over_of_supply_percent: percent * sum(demand, supply, |d, s| (s - d).max(0.0) / s.max(1.0)),
            instability_over_percent: moves(demand, supply, |d, s| (s - d).clamp(0.0, 1.0)),
            instability_under_percent: moves(demand, supply, |d, s| (d - s).clamp(0.0, 1.0)),
        }
    }
}

fn check(demand: &[f64], supply: &[f64]) {
    assert_eq!(demand.len(), supply.len(), "demand and supply are on one grid");
    assert!(!demand.is_empty(), "elasticity of nothing");
}

fn sum(demand: &[f64], supply: &[f64], term: impl Fn(f64, f64) -> f64) -> f64 {
    demand.iter().zip(supply).map(|(d, s)| term(*d, *s)).sum()
}

/// 100/(n − 1) Σ term(sgn Δd, sgn Δs); 0 for a single tick.
fn moves(demand: &[f64], supply: &[f64], term: impl Fn(f64, f64) -> f64) -> f64 {
    if demand.len() < 2 {
        return 0.0;
    }
    let total: f64 = demand
        .windows(2)
        .zip(supply.windows(2))
        .map(|(d, s)| term(sign(d[1] - d[0]), sign(s[1] - s[0])))
        .sum();
    100.0 * total / (demand.len() - 1) as f64
}

/// −1, 0 or 1; `f64::signum` has no 0.
fn sign(x: f64) -> f64 {
    f64::from(i8::from(x > 0.0) - i8::from(x < 0.0))
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    // Shortage 0 2 0 0, surplus 0 0 0 2; moves of demand + - 0, of supply 0 + -.
    const DEMAND: [f64; 4] = [2.0, 4.0, 2.0, 2.0];
    const SUPPLY: [f64; 4] = [2.0, 2.0, 2.0, 4.0];

    #[test]
    fn areas_of_a_series_worked_by_hand() {
        let areas = Areas::of(&DEMAND, &SUPPLY, 30.0);
        assert_eq!(areas.accuracy_under, 0.5);
        assert_eq!(areas.accuracy_over, 0.5);
        assert_eq!(areas.timeshare_under, 0.25);
        assert_eq!(areas.timeshare_over, 0.25);
        // Supply moved by 2, demand by 4, in two minutes.
        assert_eq!(areas.jitter_per_minute, -1.0);
    }

    #[test]
    fn relative_metrics_of_a_series_worked_by_hand() {
        let relative = Relative::of(&DEMAND, &SUPPLY);
        assert_eq!(relative.under_percent, 12.5);
        assert_eq!(relative.over_percent, 25.0);
        assert_eq!(relative.under_time_percent, 25.0);
        assert_eq!(relative.over_time_percent, 25.0);
        // Demand + - 0 against supply 0 0 +: never alike.
        assert_eq!(relative.instability_percent, 100.0);
        let fifth = 12.5_f64.powi(5) + 3.0 * 25.0_f64.powi(5) + 100.0_f64.powi(5);
        assert_relative_eq!(relative.deviation(), fifth.powf(0.2), max_relative = 1e-12);
    }

    #[test]
    fn cluster_metrics_of_a_series_worked_by_hand() {
        let cluster = Cluster::of(&DEMAND, &SUPPLY, 8.0);
        assert_eq!(cluster.under_percent, 6.25);
        assert_eq!(cluster.over_percent, 6.25);
        assert_eq!(cluster.under_of_demand_percent, 12.5);
        // The surplus of 2 is divided by the supply of 4.
        assert_eq!(cluster.over_of_supply_percent, 12.5);
        // Supply above demand's move in the second and third step, below it in the first.
        assert_relative_eq!(cluster.instability_over_percent, 200.0 / 3.0, max_relative = 1e-12);
        assert_relative_eq!(cluster.instability_under_percent, 100.0 / 3.0, max_relative = 1e-12);
    }

    #[test]
    fn no_demand_counts_surplus_in_replicas_and_shortage_not_at_all() {
        let relative = Relative::of(&[0.0, 0.0], &[3.0, 0.0]);
        assert_eq!(relative.over_percent, 150.0);
        assert_eq!(relative.under_percent, 0.0);
        let cluster = Cluster::of(&[0.0, 1.0], &[0.0, 0.0], 4.0);
        assert_eq!(cluster.over_of_supply_percent, 0.0);
        assert_eq!(cluster.under_of_demand_percent, 50.0);
    }

    #[test]
    fn a_perfect_scaler_is_perfect_and_one_tick_is_enough() {
        let perfect = Relative::of(&DEMAND, &DEMAND);
        assert_eq!(perfect, Relative::default());
        assert_eq!(perfect.deviation(), 0.0);
        assert_eq!(Cluster::of(&[5.0], &[5.0], 5.0), Cluster::default());
        assert_eq!(Areas::of(&[5.0], &[5.0], 15.0), Areas::default());
    }

    #[test]
    fn speed_up_and_competition_of_tables_worked_by_hand() {
        let of = |metrics: [f64; 5]| Relative {
            under_percent: metrics[0],
            over_percent: metrics[1],
            under_time_percent: metrics[2],
            over_time_percent: metrics[3],
            instability_percent: metrics[4],
        };
        let ours = of([1.0, 2.0, 3.0, 4.0, 0.0]);
        let base = of([2.0, 4.0, 6.0, 8.0, 0.0]);
        assert_relative_eq!(
            ours.speed_up(&base).expect("alike zeros"),
            16.0_f64.powf(0.2),
            max_relative = 1e-12
        );
        assert_eq!(ours.speed_up(&of([0.0, 1.0, 1.0, 1.0, 0.0])), None);
        // Four wins and a tie against the base; one tie and four losses against a perfect one.
        assert_eq!(ours.competition(&[base]), Some(0.9));
        assert_eq!(ours.competition(&[base, Relative::default()]), Some(0.5));
        assert_eq!(ours.competition(&[]), None);
    }
}
