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
use crate::rule::{ActingPool, Stabiliser, Window, positive, remembered, round_up, wrong};

/// How many of `total` are bought on demand, and how many on the spot market.
pub fn distribution(
    total: Replicas,
    on_demand_base: Replicas,
    share_above_base: f64,
) -> (Replicas, Replicas) {
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
            Some(name) => ActingPool::find(Some(name), facts)
                .map(|pool| Some(pool.index()))
                .map_err(|error| FieldError { field: field.to_owned(), ..error }),
        };
        let spot = find("spot", &parameters.spot, true)?;
        let Some(on_demand) = find("on_demand", &parameters.on_demand, false)? else {
            return Err(wrong("on_demand", "must be given, because every pool has a spot market"));
        };
        if spot == Some(on_demand) {
            return Err(wrong(
                "spot",
                format!("must differ from `on_demand`, but both are {:?}", facts.pools[on_demand].name),
            ));
        }
        let mut merged = facts.clone();
        if let Some(spot) = spot {
            let (slots, others) = (facts.pools[spot].concurrency, facts.pools[on_demand].concurrency);
            if slots != others {
                return Err(wrong(
                    "spot",
                    format!("must be a pool of {others} slots a replica, but has {slots}"),
                ));
            }
            merged.pools[on_demand].bounds =
                together(facts.pools[on_demand].bounds, facts.pools[spot].bounds);
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
        let order = || merged_order(observation.pools.len(), self.on_demand, self.spot);
        let mut pools = [PoolStatus::default(); POOLS_MAX];
        let mut n_pools = 0;
        for (pool, index) in pools.iter_mut().zip(order()) {
            *pool = observation.pools[index];
            n_pools += 1;
        }
        if let Some(spot) = self.spot {
            pools[0] = self.merged(&observation.pools[self.on_demand], &observation.pools[spot]);
        }
        self.samples.clear();
        for sample in observation.replicas {
            // A spot replica is in none of these places: it belongs to the merged pool, the first.
            let place = order().position(|index| index == usize::from(sample.pool)).unwrap_or(0);
            self.samples.push(ReplicaSample { pool: place as u16, ..*sample });
        }
        self.inner.decide(&Observation {
            pools: &pools[..n_pools],
            replicas: &self.samples,
            notices: &[],
            ..*observation
        })
    }

    fn merged(&self, on_demand: &PoolStatus, spot: &PoolStatus) -> PoolStatus {
        let bounds = together(on_demand.bounds, spot.bounds);
        // What covers for the market is not wanted twice: the rule sees what it asked for.
        let asked_for = self.total.unwrap_or(on_demand.declared + spot.declared);
        let ready = on_demand.ready + spot.ready;
        let cpu_utilization = match (on_demand.cpu_utilization, spot.cpu_utilization) {
            (Some(a), Some(b)) if ready > 0 => {
                Some((f64::from(on_demand.ready) * a + f64::from(spot.ready) * b) / f64::from(ready))
            }
            (a, b) => a.or(b),
        };
        PoolStatus {
            declared: asked_for.min(bounds.replicas_max).max(bounds.replicas_min),
            observed: on_demand.observed + spot.observed,
            ready,
            starting: on_demand.starting + spot.starting,
            draining: on_demand.draining + spot.draining,
            warm: on_demand.warm + spot.warm,
            bounds,
            cpu_utilization,
            notices: on_demand.notices + spot.notices,
            ..*on_demand
        }
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
fn merged_order(n_pools: usize, on_demand: usize, spot: Option<usize>) -> impl Iterator<Item = usize> {
    std::iter::once(on_demand)
        .chain((0..n_pools).filter(move |index| *index != on_demand && Some(*index) != spot))
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

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;
    use tidegate_core::Scrape;

    use super::*;
    use crate::testing::{self, Desk};

    /// The table of the EC2 Auto Scaling user guide: base and percentage, groups of 10, 20, 30 and 40.
    #[test]
    fn the_distribution_is_that_of_aws() {
        for (base, share, on_demand) in [
            (10, 0.5, [10, 15, 20, 25]),
            (0, 0.0, [0, 0, 0, 0]),
            (0, 0.6, [6, 12, 18, 24]),
            (0, 1.0, [10, 20, 30, 40]),
            (12, 0.0, [10, 12, 12, 12]),
        ] {
            for (total, on_demand) in [10, 20, 30, 40].into_iter().zip(on_demand) {
                assert_eq!(
                    distribution(total, base, share),
                    (on_demand, total - on_demand),
                    "{base} {share}"
                );
            }
        }
        // Fractions are rounded up in favour of on-demand.
        assert_eq!(distribution(11, 0, 0.5), (6, 5));
        assert_eq!(distribution(3, 1, 0.1), (2, 1));
    }

    /// So many in all, by a backlog of one a replica.
    const COUNTED: &str =
        "total = { kind = \"queue_depth\", backlog_per_replica = 1, scale_in_window_seconds = 0 }\n";

    fn backlog(count: f64) -> Scrape {
        Scrape { concurrency: Some(count), queue_length: Some(0.0), ..Scrape::default() }
    }

    struct Market {
        desk: Desk,
        mix: BoxedController,
    }

    impl Market {
        fn new(parameters: &str) -> Self {
            let facts = testing::facts_of_a_market();
            let mut desk = Desk::new(&facts);
            for (status, pool) in desk.pools.iter_mut().zip(&facts.pools) {
                status.dollars_per_replica_hour = pool.dollars_per_replica_hour;
            }
            let mix = testing::controller("spot_mix", &format!("{COUNTED}{parameters}"), &facts);
            Self { desk, mix }
        }

        /// What is wanted on demand and on the market for a backlog of so many, period by period; `takes` happens
        /// after each decision.
        fn wants(&mut self, counts: &[f64], mut takes: impl FnMut(usize, &mut Desk), expected: &Expect) {
            let mut line = Vec::new();
            for (step, count) in counts.iter().enumerate() {
                self.desk.see(backlog(*count));
                let decision = self.desk.decide(&mut *self.mix);
                line.push(format!("{}+{}", decision.targets[0].wanted, decision.targets[1].wanted));
                takes(step, &mut self.desk);
                self.desk.wait(self.mix.period_seconds());
            }
            expected.assert_eq(&line.join(" "));
        }
    }

    #[test]
    fn the_total_is_split_by_base_and_share() {
        let parameters = "on_demand_base = 2\non_demand_share_above_base = 0.25\n";
        Market::new(parameters).wants(
            &[0.0, 1.0, 2.0, 6.0, 7.0, 10.0, 18.0, 30.0],
            |_, _| {},
            // Each pool takes 20 at most.
            &expect!["0+0 1+0 2+0 3+3 4+3 4+6 6+12 10+20"],
        );
    }

    /// Half of 10 on the market; it takes three away and sells none for 8 periods of 15 s.
    #[test]
    fn what_the_market_does_not_give_is_covered() {
        let shock = |step: usize, desk: &mut Desk| {
            let spot = &mut desk.pools[1];
            let given = if (2..10).contains(&step) { 2 } else { spot.declared };
            (spot.ready, spot.observed) = (given, given);
        };
        let parameters = "on_demand_base = 0\non_demand_share_above_base = 0.5\nreturn_seconds = 60\n";
        Market::new(parameters).wants(
            &[10.0; 16],
            shock,
            &expect!["5+5 5+5 5+5 8+5 8+5 8+5 8+5 8+5 8+5 8+5 8+5 8+5 8+5 8+5 5+5 5+5"],
        );
        Market::new(&format!("{parameters}falls_back = false")).wants(
            &[10.0; 5],
            shock,
            &expect!["5+5 5+5 5+5 5+5 5+5"],
        );
    }

    /// The market says yes but nothing comes: after `launch_seconds` it counts as missing. An ordinary start does not.
    #[test]
    fn launches_that_do_not_arrive_are_covered_in_time() {
        let parameters = "on_demand_base = 0\non_demand_share_above_base = 0.5\nlaunch_seconds = 60\n";
        let never = |_: usize, desk: &mut Desk| {
            let spot = &mut desk.pools[1];
            (spot.ready, spot.starting) = (4, spot.declared - 4);
        };
        Market::new(parameters).wants(&[10.0; 8], never, &expect!["5+5 5+5 5+5 5+5 5+5 6+5 6+5 6+5"]);
        let mut market = Market::new(parameters);
        market.desk.startup_seconds = 45.0;
        let ramp: Vec<f64> = (0..12).map(|step| 10.0 + 2.0 * f64::from(step)).collect();
        market.wants(
            &ramp,
            |_, _| {},
            &expect!["5+5 6+6 7+7 8+8 9+9 10+10 11+11 12+12 13+13 14+14 15+15 16+16"],
        );
    }

    #[test]
    fn a_notice_moves_the_replacement_to_on_demand() {
        let noticed = |step: usize, desk: &mut Desk| desk.pools[1].notices = if step == 1 { 2 } else { 0 };
        let parameters = "on_demand_base = 0\non_demand_share_above_base = 0.5\nreturn_seconds = 30\n";
        let on_demand = format!("{parameters}replaces_on_demand = true");
        Market::new(&on_demand).wants(&[10.0; 6], noticed, &expect!["5+5 5+5 7+3 7+3 5+5 5+5"]);
        Market::new(parameters).wants(&[10.0; 4], noticed, &expect!["5+5 5+5 5+5 5+5"]);
    }

    #[test]
    fn spot_that_is_dear_is_given_up() {
        let price = |step: usize, desk: &mut Desk| {
            let on_demand = desk.pools[0].dollars_per_replica_hour;
            desk.pools[1].dollars_per_replica_hour =
                if step == 1 { 1.2 * on_demand } else { 0.3 * on_demand };
        };
        let parameters = "on_demand_base = 0\non_demand_share_above_base = 0.5\nreturn_seconds = 30\n";
        Market::new(parameters).wants(&[10.0; 6], price, &expect!["5+5 5+5 10+0 10+0 5+5 5+5"]);
        let dearer = format!("{parameters}spot_price_max = 1.5");
        Market::new(&dearer).wants(&[10.0; 3], price, &expect!["5+5 5+5 5+5"]);
    }

    /// Without a market all is on demand, and the rule is the inner one.
    #[test]
    fn without_a_market_it_is_the_inner_rule() {
        let (facts, series) = (testing::facts(), [3.0, 30.0, 50.0].map(backlog));
        let text = "total = { kind = \"queue_depth\" }";
        let mut mix = testing::controller("spot_mix", text, &facts);
        let mut inner = testing::controller("queue_depth", "", &facts);
        assert_eq!(
            testing::wanted(&mut *mix, &mut Desk::new(&facts), &series),
            testing::wanted(&mut *inner, &mut Desk::new(&facts), &series)
        );
    }

    #[test]
    fn wrong_pools_and_rules_are_refused() {
        let complain = |facts: &OperatorFacts, text: &str, expected: &Expect| {
            let table: Table = text.parse().expect("it is TOML");
            let error = Catalog::rules().build("spot_mix", &table, facts).err().expect("it is wrong");
            expected.assert_eq(&error.to_string());
        };
        let facts = testing::facts_of_a_market();
        complain(&facts, "spot = \"sopt\"", &expect![[r#"`spot` must be "web" or "spot", but is "sopt""#]]);
        complain(
            &facts,
            "spot = \"web\"",
            &expect![[r#"`spot` must differ from `on_demand`, but both are "web""#]],
        );
        complain(
            &facts,
            "total = { kind = \"spot_mix\" }",
            &expect![[r#"`total.kind` must be a rule for one pool, but is "spot_mix""#]],
        );
        complain(
            &facts,
            "total = { kind = \"threshold\", low = 0.9 }",
            &expect!["`total.low` must be below `high`, which is 0.8, but is 0.9"],
        );
        let mut uneven = facts.clone();
        uneven.pools[1].concurrency = 8;
        complain(&uneven, "", &expect!["`spot` must be a pool of 4 slots a replica, but has 8"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever the market does: within the bounds of both pools; on demand never less than base and share; in all
        /// never less than is wanted, as far as the pools can take it.
        #[test]
        fn the_split_keeps_its_promises(
            moments in prop::collection::vec((0.0..60.0_f64, 0..25_u32, 0..5_u32, 0.1..2.0_f64), 1..60),
            base in 0..10_u32,
            share in 0.0..1.0_f64,
            flags in any::<(bool, bool)>(),
        ) {
            let parameters = format!(
                "on_demand_base = {base}\non_demand_share_above_base = {share}\nfalls_back = {}\n\
                 replaces_on_demand = {}\n", flags.0, flags.1
            );
            let mut market = Market::new(&parameters);
            for (count, ready, notices, price) in moments {
                let on_demand_price = market.desk.pools[0].dollars_per_replica_hour;
                let spot = &mut market.desk.pools[1];
                spot.ready = ready.min(spot.declared);
                (spot.observed, spot.starting, spot.notices) = (spot.ready, 0, notices);
                spot.dollars_per_replica_hour = price * on_demand_price;
                market.desk.starts.clear();
                market.desk.see(backlog(count));
                let decision = market.desk.decide(&mut *market.mix);
                let (on_demand, spot) = (decision.targets[0].wanted, decision.targets[1].wanted);
                let total = round_up(count).min(40);
                prop_assert!(on_demand <= 20 && spot <= 20);
                prop_assert!(on_demand >= distribution(total, base, share).0.min(20));
                if price <= 1.0 && decision.reason.what != "spot is dear" {
                    prop_assert!(on_demand + spot >= total, "{on_demand} + {spot} for {total}");
                }
                market.desk.wait(15.0);
            }
        }
    }
}
