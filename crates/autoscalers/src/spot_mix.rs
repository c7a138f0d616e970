//! On-demand and spot replicas under one rule: a base and a share on demand, the rest on the market, and on demand again
//! what the market does not give.
//!
//! d = min(n, B) + ⌈p (n − B)⁺⌉, s = n − d
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | n | replicas wanted in all, by an inner rule that sees both pools as one | replicas |
//! | B | `on_demand_base` | replicas |
//! | p | `on_demand_share_above_base` | 1 |
//! | d, s | replicas on demand, on the spot market | replicas |
//!
//! That is AWS's instances distribution (EC2 Auto Scaling user guide, "Auto Scaling groups with multiple instance types
//! and purchase options"), fractions rounded up in favour of on-demand as there. AWS stops here: if spot capacity is not
//! to be had it keeps asking. With `falls_back`, as Karpenter does, the missing replicas are covered on demand while the
//! market is still asked. Missing are
//!
//! max( declared − observed, min( minₜ(declared − ready), minₜ(declared) − ready ) ),
//!
//! minₜ over the last `launch_seconds`: launches that the market refused at once, and replicas that were wanted for all
//! of that time and are still not ready. The second term passes over an ordinary scale-out, whose replicas are still
//! within their time.
//!
//! Capacity rebalancing is in the platform: a replica under notice no longer counts as observed, so its replacement is
//! asked for at the notice and not at its end. With `replaces_on_demand` that replacement is moved to on-demand for
//! `return_seconds`, because a notice is a sign that the market is short. Spot dearer than `spot_price_max` of the
//! on-demand price is not bought (AWS's maximum price, by default the on-demand price), and what runs is given up.
//! What moves to on-demand stays for `return_seconds` after its cause is gone, so that the mix does not flap.

use serde::{Deserialize, Serialize};
use tidegate_core::decision::Targets;
use tidegate_core::locate::FieldError;
use tidegate_core::observation::ReplicaSample;
use tidegate_core::{
    Basis, Bounds, Controller, ControllerStream, Decision, Needs, Observation, OperatorFacts, POOLS_MAX,
    PoolStatus, PoolTarget, Reason, Replicas,
};
use toml::Table;

use crate::catalog::{About, BoxedController, Catalog, Parameter, Rule, Search};
use crate::inner;
use crate::rule::{Stabiliser, Window, positive, remembered, round_up, wrong};

/// How many of `total` are bought on demand, and how many on the spot market.
pub fn distribution(total: Replicas, on_demand_base: Replicas, share_above_base: f64) -> (Replicas, Replicas) {
    let base = total.min(on_demand_base);
    let above = total - base;
    let on_demand = base + round_up(share_above_base * f64::from(above)).min(above);
    (on_demand, total - on_demand)
}

/// What can be set.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
pub struct Parameters {
    pub spot: Option<String>,
    pub on_demand: Option<String>,
    pub on_demand_base: Replicas,
    pub on_demand_share_above_base: f64,
    pub falls_back: bool,
    pub replaces_on_demand: bool,
    pub launch_seconds: Option<f64>,
    pub return_seconds: f64,
    pub spot_price_max: f64,
    pub total: Table,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            spot: None,
            on_demand: None,
            on_demand_base: 2,
            on_demand_share_above_base: 0.3,
            falls_back: true,
            replaces_on_demand: false,
            launch_seconds: None,
            return_seconds: 300.0,
            spot_price_max: 1.0,
            total: inner::of_kind("square_root_staffing"),
        }
    }
}

/// The controller.
pub struct SpotMix {
    inner: BoxedController,
    /// Positions of the two pools; without a spot pool all is bought on demand.
    on_demand: usize,
    spot: Option<usize>,
    /// Where the merged pool's replicas are shown to the inner rule, if it wants them.
    samples: Vec<ReplicaSample>,
    /// What was wanted in all at the last decision.
    total: Option<Replicas>,
    shortage: Window,
    asked: Window,
    covered: Stabiliser,
    moved: Stabiliser,
    dear: Stabiliser,
    parameters: Parameters,
}

impl Rule for SpotMix {
    type Parameters = Parameters;

    const ABOUT: About = About {
        kind: "spot_mix",
        summary: "A base and a share of the fleet on demand, the rest on the spot market, and on demand again what the market does not give.",
        source: "AWS EC2 Auto Scaling, instances distribution of a mixed group; fallback as in Karpenter",
        parameters: &[
            Parameter::new(
                "spot",
                "",
                "(the first pool with a spot market)",
                "The pool that is bought on the market.",
            ),
            Parameter::new("on_demand", "", "(the first pool without)", "The pool that is bought on demand."),
            Parameter::new(
                "on_demand_base",
                "replicas",
                "2",
                "So many are on demand before any is bought on the market.",
            )
            .searched(Search::Count { low: 1, high: 20 }),
            Parameter::new(
                "on_demand_share_above_base",
                "1",
                "0.3",
                "Share of the rest that is on demand, rounded up.",
            )
            .searched(Search::Linear { low: 0.0, high: 1.0 }),
            Parameter::new(
                "falls_back",
                "",
                "true",
                "Whether what the market does not give is covered on demand.",
            )
            .searched(Search::Switch),
            Parameter::new(
                "replaces_on_demand",
                "",
                "false",
                "Whether a replica under notice is replaced on demand and not on the market.",
            )
            .searched(Search::Switch),
            Parameter::new(
                "launch_seconds",
                "s",
                "(twice the nominal start-up of the spot pool)",
                "A launch that takes longer counts as not given.",
            ),
            Parameter::new(
                "return_seconds",
                "s",
                "300.0",
                "What moved to on-demand stays so long after its cause is gone.",
            )
            .searched(Search::Log { low: 60.0, high: 3600.0 }),
            Parameter::new(
                "spot_price_max",
                "1",
                "1.0",
                "Price above which nothing is bought on the market, as a share of the on-demand price.",
            ),
            Parameter::new(
                "total",
                "",
                "{ kind = \"square_root_staffing\" }",
                "The rule that says how many are wanted in all: a kind and its parameters.",
            ),
        ],
    };

    fn check(parameters: &Parameters) -> Result<(), FieldError> {
        let share = parameters.on_demand_share_above_base;
        if !(0.0..=1.0).contains(&share) {
            return Err(wrong("on_demand_share_above_base", format!("must be 0 to 1, but is {share}")));
        }
        positive(&[("spot_price_max", parameters.spot_price_max)])?;
        remembered(&[
            ("return_seconds", parameters.return_seconds),
            ("launch_seconds", parameters.launch_seconds.unwrap_or(0.0)),
        ])?;
        if parameters.total.get("kind").and_then(|kind| kind.as_str()) == Some(Self::ABOUT.kind) {
            return Err(wrong("total.kind", "must be a rule for one pool, but is \"spot_mix\""));
        }
        inner::check(&Catalog::rules(), "total", &parameters.total)
    }

    fn new(facts: &OperatorFacts, parameters: &Parameters) -> Result<Self, FieldError> {
        let find = |field: &str, name: &Option<String>, is_spot: bool| match name {
            None => Ok(facts.pools.iter().position(|pool| pool.spot_notice_seconds.is_some() == is_spot)),
            Some(name) => match facts.pools.iter().position(|pool| pool.name == *name) {
                Some(index) => Ok(Some(index)),
                None => {
                    let known: Vec<_> = facts.pools.iter().map(|pool| format!("{:?}", pool.name)).collect();
                    Err(wrong(field, format!("must be {}, but is {name:?}", known.join(" or "))))
                }
            },
        };
        let spot = find("spot", &parameters.spot, true)?;
        let Some(on_demand) = find("on_demand", &parameters.on_demand, false)? else {
            return Err(wrong("on_demand", "must be given, because every pool has a spot market"));
        };
        if spot == Some(on_demand) {
            return Err(wrong("spot", format!("must differ from `on_demand`, but both are {:?}", facts.pools[on_demand].name)));
        }
        let mut merged = facts.clone();
        if let Some(spot) = spot {
            let (slots, others) = (facts.pools[spot].concurrency, facts.pools[on_demand].concurrency);
            if slots != others {
                return Err(wrong("spot", format!("must be a pool of {others} slots a replica, but has {slots}")));
            }
            merged.pools[on_demand].bounds = together(facts.pools[on_demand].bounds, facts.pools[spot].bounds);
            merged.pools[on_demand].replicas_initial += facts.pools[spot].replicas_initial;
            merged.pools[on_demand].startup_seconds =
                facts.pools[on_demand].startup_seconds.max(facts.pools[spot].startup_seconds);
        }
        // What the inner rule acts on comes first, then the pools that are none of this rule's business.
        let order = merged_order(facts.pools.len(), on_demand, spot);
        merged.pools = order.map(|index| merged.pools[index].clone()).collect();
        let inner = inner::build(&Catalog::rules(), "total", &parameters.total, &merged)?;
        let period = inner.period_seconds();
        let startup = facts.pools[spot.unwrap_or(on_demand)].startup_seconds;
        let launch_seconds = parameters.launch_seconds.unwrap_or(2.0 * startup);
        let n_samples = facts.pools.iter().map(|pool| pool.bounds.replicas_max as usize).sum::<usize>();
        let watch = || Window::new(launch_seconds, f64::INFINITY, period);
        let keep = || Stabiliser::new(parameters.return_seconds, period);
        Ok(Self {
            samples: if inner.needs().replicas { Vec::with_capacity(4 * n_samples) } else { Vec::new() },
            inner,
            on_demand,
            spot,
            total: None,
            shortage: watch(),
            asked: watch(),
            covered: keep(),
            moved: keep(),
            dear: keep(),
            parameters: parameters.clone(),
        })
    }
}

impl Controller for SpotMix {
    fn period_seconds(&self) -> f64 {
        self.inner.period_seconds()
    }

    fn needs(&self) -> Needs {
        self.inner.needs()
    }

    fn reset(&mut self, chance: ControllerStream) {
        self.inner.reset(chance);
        self.total = None;
        self.shortage.clear();
        self.asked.clear();
        self.covered.clear();
        self.moved.clear();
        self.dear.clear();
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let asked = self.ask(observation);
        let mut targets = [PoolTarget::default(); POOLS_MAX];
        for (target, status) in targets.iter_mut().zip(observation.pools) {
            target.wanted = status.declared;
        }
        let total = asked.targets[0].wanted;
        self.total = Some(total);
        let mut reason = Reason::new("on demand").with("total", f64::from(total));
        match self.spot {
            None => targets[self.on_demand].wanted = total,
            Some(spot) => {
                let mix = self.mix(observation, spot, total);
                targets[self.on_demand].wanted = mix.on_demand;
                targets[spot].wanted = mix.spot;
                reason = Reason { what: mix.what, ..reason }
                    .with("on demand", f64::from(mix.on_demand))
                    .with("spot", f64::from(mix.spot));
            }
        }
        let is_kept = observation.pools.iter().zip(&targets).all(|(pool, it)| pool.declared == it.wanted);
        let basis = match asked.basis {
            // The total is held, but the market may have moved what it is made of.
            Basis::Held if !is_kept => Basis::Normal,
            basis => basis,
        };
        let reason = if basis == Basis::Held { asked.reason } else { reason.about(asked.reason.what) };
        Decision { targets: Targets::of(&targets[..observation.pools.len()]), basis, reason }
    }

    fn explain(&self, out: &mut dyn std::fmt::Write) -> std::fmt::Result {
        self.inner.explain(out)
    }
}

struct Mix {
    on_demand: Replicas,
    spot: Replicas,
    what: &'static str,
}

impl SpotMix {
    /// Asks the inner rule, which sees the two pools as one.
    fn ask(&mut self, observation: &Observation<'_>) -> Decision {
        let Some(spot) = self.spot else {
            let order = merged_order(observation.pools.len(), self.on_demand, None);
            return self.ask_about(observation, order, None);
        };
        let (on_demand, spot_status) = (observation.pools[self.on_demand], observation.pools[spot]);
        let bounds = together(on_demand.bounds, spot_status.bounds);
        // What covers for the market is not wanted twice: the rule sees what it asked for.
        let asked_for = self.total.unwrap_or(on_demand.declared + spot_status.declared);
        let ready = on_demand.ready + spot_status.ready;
        let of_both = |a: f64, b: f64| {
            let (weight_a, weight_b) = (f64::from(on_demand.ready), f64::from(spot_status.ready));
            (weight_a * a + weight_b * b) / (weight_a + weight_b)
        };
        let cpu = match (on_demand.cpu_utilization, spot_status.cpu_utilization) {
            (Some(a), Some(b)) if ready > 0 => Some(of_both(a, b)),
            (a, b) => a.or(b),
        };
        let merged = PoolStatus {
            declared: asked_for.clamp(bounds.replicas_min, bounds.replicas_max),
            observed: on_demand.observed + spot_status.observed,
            ready,
            starting: on_demand.starting + spot_status.starting,
            draining: on_demand.draining + spot_status.draining,
            warm: on_demand.warm + spot_status.warm,
            bounds,
            cpu_utilization: cpu,
            notices: on_demand.notices + spot_status.notices,
            ..on_demand
        };
        let order = merged_order(observation.pools.len(), self.on_demand, Some(spot));
        self.ask_about(observation, order, Some(merged))
    }

    fn ask_about(
        &mut self,
        observation: &Observation<'_>,
        order: impl Iterator<Item = usize> + Clone,
        merged: Option<PoolStatus>,
    ) -> Decision {
        let mut pools = [PoolStatus::default(); POOLS_MAX];
        let mut n_pools = 0;
        for (place, index) in order.clone().enumerate() {
            pools[place] = observation.pools[index];
            n_pools += 1;
        }
        if let Some(merged) = merged {
            pools[0] = merged;
        }
        self.samples.clear();
        for sample in observation.replicas {
            let pool = usize::from(sample.pool);
            let is_spot = self.spot == Some(pool);
            let place = order.clone().position(|index| index == pool).unwrap_or(0);
            let pool = if is_spot { 0 } else { place as u16 };
            self.samples.push(ReplicaSample { pool, ..*sample });
        }
        self.inner.decide(&Observation {
            pools: &pools[..n_pools],
            replicas: &self.samples,
            notices: &[],
            ..*observation
        })
    }

    fn mix(&mut self, observation: &Observation<'_>, spot: usize, total: Replicas) -> Mix {
        let now = observation.now_seconds;
        let (market, stable) = (&observation.pools[spot], &observation.pools[self.on_demand]);
        let Parameters { on_demand_base, on_demand_share_above_base, falls_back, replaces_on_demand, .. } =
            self.parameters;
        let dearest = self.parameters.spot_price_max * stable.dollars_per_replica_hour;
        let dear = u32::from(market.dollars_per_replica_hour > dearest);
        let is_dear = self.dear.settle(now, dear, dear) > 0;
        let missing = if falls_back { self.missing(now, market) } else { 0 };
        let notices = if replaces_on_demand { market.notices } else { 0 };
        let covered = self.covered.settle(now, missing, missing);
        let moved = self.moved.settle(now, notices, notices);

        let share = if is_dear { 1.0 } else { on_demand_share_above_base };
        let (mut on_demand, mut on_spot) = distribution(total, on_demand_base, share);
        let moved = moved.min(on_spot);
        (on_demand, on_spot) = (on_demand + moved, on_spot - moved);
        // What one pool cannot take is the other's.
        let beyond = on_spot.saturating_sub(market.bounds.replicas_max);
        on_demand += beyond;
        on_spot = within(on_spot - beyond, market.bounds);
        let beyond = on_demand.saturating_sub(stable.bounds.replicas_max);
        on_spot = within(on_spot + if is_dear { 0 } else { beyond }, market.bounds);
        let covered = covered.min(on_spot);
        let what = match (is_dear, moved, covered) {
            (true, ..) => "spot is dear",
            (_, 1.., _) => "replacing on demand",
            (_, _, 1..) => "covering for the market",
            _ => "base and share",
        };
        Mix { on_demand: within(on_demand + covered, stable.bounds), spot: on_spot, what }
    }

    /// Replicas that the market was asked for and does not give.
    fn missing(&mut self, now: f64, market: &PoolStatus) -> Replicas {
        if self.asked.is_empty() {
            // Nothing is late that was not yet waited for.
            self.shortage.push(now, 0.0);
            self.asked.push(now, 0.0);
        } else {
            self.shortage.push(now, f64::from(market.declared.saturating_sub(market.ready)));
            self.asked.push(now, f64::from(market.declared));
        }
        let least = |window: &Window| window.values(now).fold(f64::INFINITY, f64::min);
        let late = least(&self.shortage).min(least(&self.asked) - f64::from(market.ready));
        market.declared.saturating_sub(market.observed).max(round_up(late))
    }
}

/// The pools as the inner rule sees them: the merged one, then the others.
fn merged_order(n_pools: usize, on_demand: usize, spot: Option<usize>) -> impl Iterator<Item = usize> + Clone {
    std::iter::once(on_demand).chain((0..n_pools).filter(move |index| *index != on_demand && Some(*index) != spot))
}

fn together(a: Bounds, b: Bounds) -> Bounds {
    Bounds {
        replicas_min: a.replicas_min.saturating_add(b.replicas_min),
        replicas_max: a.replicas_max.saturating_add(b.replicas_max),
    }
}

fn within(wanted: Replicas, bounds: Bounds) -> Replicas {
    wanted.min(bounds.replicas_max).max(bounds.replicas_min)
}
