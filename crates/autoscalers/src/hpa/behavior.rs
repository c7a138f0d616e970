//! What holds a proposal back: stabilization, rate limits and bounds, with `behavior` and without.
//!
//! Without: stabilized = max(proposal, recommendations not older than the flag's window); then no more than
//! max(2 · current, 4), no more than the maximum, no less than the minimum.
//!
//! With: lowest = min(proposal, recommendations younger than the window upwards), highest = max(proposal,
//! recommendations younger than the window downwards), stabilized = current brought into [lowest, highest]. Then for
//! each policy, with base = current − added + removed in its period:
//!
//! | | up | down |
//! | --- | --- | --- |
//! | pods v | base + v | base − v |
//! | percent v | ⌈base (1 + v/100)⌉ | trunc(base (1 − v/100)) |
//!
//! of which `selectPolicy` takes the one with the most or the least change, never on the wrong side of current.
//! Source: `horizontal.go`, from `stabilizeRecommendation` to `calculateScaleDownLimitWithBehaviors`. Counts wrap
//! where `int32` would; a float that fits no count saturates, where Go leaves it to the processor.

use serde::{Deserialize, Serialize};

use super::spec::{Behavior, Flags, Policy, PolicyKind, ScalingRules, Select, Spec};

/// What the controller remembers of one autoscaler from pass to pass. Upstream it is lost when the controller restarts,
/// but for `scaled_to_zero`, which is a condition of the object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Memory {
    /// Proposals as they were before stabilization. In no order of time, since a new one takes an old one's place.
    pub recommendations: Vec<Recommendation>,
    /// Whether that log has begun; one that holds anything has.
    pub is_seeded: bool,
    /// Changes upwards that were written; kept only with `behavior`.
    pub up: Vec<Event>,
    /// Changes downwards that were written.
    pub down: Vec<Event>,
    /// Condition `ScaledToZero`: whether it was the autoscaler that went to zero.
    pub scaled_to_zero: bool,
    /// When the last change was written.
    pub last_scale_seconds: Option<f64>,
}

impl Memory {
    /// Forgets everything, and keeps the room.
    pub fn clear(&mut self) {
        self.recommendations.clear();
        self.up.clear();
        self.down.clear();
        (self.is_seeded, self.scaled_to_zero, self.last_scale_seconds) = (false, false, None);
    }

    /// Makes room for what an autoscaler of this spec can remember, if it is asked this often.
    pub fn reserve(&mut self, spec: &Spec, flags: &Flags, period_seconds: f64) {
        // One for the seed, one for what is still young at the edge, one for rounding.
        let room = |seconds: f64| (seconds / period_seconds).ceil() as usize + 3;
        let behavior = spec.behavior.as_ref();
        let window = behavior.map_or(flags.downscale_stabilization_seconds, |behavior| {
            f64::from(up_window(behavior).max(down_window(behavior, flags)))
        });
        let longest = |rules: &ScalingRules| f64::from(longest_period(&rules.policies));
        reserve_up_to(&mut self.recommendations, room(window));
        reserve_up_to(&mut self.up, behavior.map_or(0, |behavior| room(longest(&behavior.up))));
        reserve_up_to(&mut self.down, behavior.map_or(0, |behavior| room(longest(&behavior.down))));
    }

    /// The first recommendation is what is declared, since nobody knows how busy it was before.
    pub fn seed(&mut self, current: i32, now_seconds: f64) {
        if !self.is_seeded && self.recommendations.is_empty() {
            self.recommendations.push(Recommendation { replicas: current, at_seconds: now_seconds });
        }
        self.is_seeded = true;
    }

    /// Without `behavior`: the highest of the proposal and the recommendations that are not older than the window.
    pub fn stabilize(&mut self, proposal: i32, window_seconds: f64, now_seconds: f64) -> Stabilized {
        let since = now_seconds - window_seconds;
        let (mut highest, mut old) = (proposal, None);
        for (index, past) in self.recommendations.iter().enumerate() {
            if past.at_seconds < since {
                old = Some(index);
            } else {
                highest = highest.max(past.replicas);
            }
        }
        self.recommend(proposal, now_seconds, old);
        Stabilized { replicas: highest, lowest: proposal, highest }
    }

    /// With `behavior`: the current count, brought to between the lowest recommendation of the window upwards and the
    /// highest of the window downwards. Both windows can hold it.
    pub fn stabilize_with(
        &mut self,
        behavior: &Behavior,
        flags: &Flags,
        current: i32,
        proposal: i32,
        now_seconds: f64,
    ) -> Stabilized {
        let since_up = now_seconds - f64::from(up_window(behavior));
        let since_down = now_seconds - f64::from(down_window(behavior, flags));
        let (mut lowest, mut highest, mut old) = (proposal, proposal, None);
        for (index, past) in self.recommendations.iter().enumerate() {
            if past.at_seconds > since_up {
                lowest = lowest.min(past.replicas);
            }
            if past.at_seconds > since_down {
                highest = highest.max(past.replicas);
            }
            if past.at_seconds < since_up && past.at_seconds < since_down {
                old = Some(index);
            }
        }
        self.recommend(proposal, now_seconds, old);
        Stabilized { replicas: current.max(lowest).min(highest), lowest, highest }
    }

    /// With `behavior`: what rate limits and bounds leave of a stabilized proposal.
    pub fn limit(
        &self,
        behavior: &Behavior,
        current: i32,
        stabilized: i32,
        bounds: (i32, i32),
        now_seconds: f64,
    ) -> Limited {
        let (least, most) = bounds;
        if stabilized > current {
            let rate = self.up_limit(&behavior.up, current, now_seconds).max(current);
            let (allowed, limit) = if most > rate { (rate, Limit::RateUp) } else { (most, Limit::Maximum) };
            if stabilized > allowed {
                return Limited { replicas: allowed, rate_limit: Some(rate), limit };
            }
            return Limited { replicas: stabilized, rate_limit: Some(rate), limit: Limit::Within };
        }
        if stabilized < current {
            let rate = self.down_limit(&behavior.down, current, now_seconds).min(current);
            let (allowed, limit) =
                if least < rate { (rate, Limit::RateDown) } else { (least, Limit::Minimum) };
            if stabilized < allowed {
                return Limited { replicas: allowed, rate_limit: Some(rate), limit };
            }
            return Limited { replicas: stabilized, rate_limit: Some(rate), limit: Limit::Within };
        }
        Limited { replicas: stabilized, rate_limit: None, limit: Limit::Within }
    }

    /// How many the policies upwards allow; below the current count where past changes have used them up.
    pub fn up_limit(&self, rules: &ScalingRules, current: i32, now_seconds: f64) -> i32 {
        let proposals = rules.policies.iter().map(|policy| {
            let base = self.period_start(policy, current, now_seconds);
            match policy.kind {
                PolicyKind::Pods => base.wrapping_add(policy.value),
                // Up, since a change that rounds to nothing would never let it grow.
                PolicyKind::Percent => {
                    (f64::from(base) * (1.0 + f64::from(policy.value) / 100.0)).ceil() as i32
                }
            }
        });
        match rules.select {
            Select::Disabled => current,
            Select::Min => proposals.min().unwrap_or(i32::MAX),
            Select::Max => proposals.max().unwrap_or(i32::MIN),
        }
    }

    /// How few the policies downwards allow; above the current count where past changes have used them up.
    pub fn down_limit(&self, rules: &ScalingRules, current: i32, now_seconds: f64) -> i32 {
        let proposals = rules.policies.iter().map(|policy| {
            let base = self.period_start(policy, current, now_seconds);
            match policy.kind {
                PolicyKind::Pods => base.wrapping_sub(policy.value),
                PolicyKind::Percent => (f64::from(base) * (1.0 - f64::from(policy.value) / 100.0)) as i32,
            }
        });
        match rules.select {
            Select::Disabled => current,
            Select::Min => proposals.max().unwrap_or(i32::MIN),
            Select::Max => proposals.min().unwrap_or(i32::MAX),
        }
    }

    /// Stores a change that was written; the last outdated event makes room for it. Anything but an increase is
    /// stored downwards.
    pub fn store(&mut self, behavior: &Behavior, before: i32, after: i32, now_seconds: f64) -> Event {
        let is_up = after > before;
        let (rules, events) =
            if is_up { (&behavior.up, &mut self.up) } else { (&behavior.down, &mut self.down) };
        let since = now_seconds - f64::from(longest_period(&rules.policies));
        for event in events.iter_mut().filter(|event| event.at_seconds < since) {
            event.is_outdated = true;
        }
        let change = if is_up { after.wrapping_sub(before) } else { before.wrapping_sub(after) };
        let event = Event { change, at_seconds: now_seconds, is_outdated: false };
        match events.iter().rposition(|event| event.is_outdated) {
            Some(old) => events[old] = event,
            None => events.push(event),
        }
        event
    }

    /// Records a proposal as it was before stabilization, in place of the last old one if there is one.
    fn recommend(&mut self, replicas: i32, at_seconds: f64, old: Option<usize>) {
        let new = Recommendation { replicas, at_seconds };
        match old {
            Some(old) => self.recommendations[old] = new,
            None => self.recommendations.push(new),
        }
    }

    /// How many there were when a policy's period began, as far as the events tell.
    fn period_start(&self, policy: &Policy, current: i32, now_seconds: f64) -> i32 {
        let added = change_in_period(&self.up, policy.period_seconds, now_seconds);
        let removed = change_in_period(&self.down, policy.period_seconds, now_seconds);
        current.wrapping_sub(added).wrapping_add(removed)
    }
}

/// The sum of the changes younger than the period.
pub fn change_in_period(events: &[Event], period_seconds: i32, now_seconds: f64) -> i32 {
    let since = now_seconds - f64::from(period_seconds);
    let young = events.iter().filter(|event| event.at_seconds > since);
    young.fold(0, |sum, event| sum.wrapping_add(event.change))
}

/// Without `behavior`: what bounds and the cap on one pass leave of a stabilized proposal. The cap has no period: every
/// pass may double.
pub fn limit_without(flags: &Flags, current: i32, stabilized: i32, bounds: (i32, i32)) -> Limited {
    let (least, most) = bounds;
    let rate = (flags.scale_up_factor * f64::from(current)).max(flags.scale_up_minimum) as i32;
    let (allowed, limit) = if most > rate { (rate, Limit::RateUp) } else { (most, Limit::Maximum) };
    let (replicas, limit) = if stabilized < least {
        (least, Limit::Minimum)
    } else if stabilized > allowed {
        (allowed, limit)
    } else {
        (stabilized, Limit::Within)
    };
    Limited { replicas, rate_limit: Some(rate), limit }
}

/// One proposal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recommendation {
    /// How many.
    pub replicas: i32,
    /// When.
    pub at_seconds: f64,
}

/// One change that was written.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// By how many; never negative.
    pub change: i32,
    /// When.
    pub at_seconds: f64,
    /// Older than the longest policy looks back; the next event may take its place.
    #[serde(default)]
    pub is_outdated: bool,
}

/// What stabilization did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Stabilized {
    /// What is left of the proposal.
    pub replicas: i32,
    /// The lowest recommendation of the window upwards: what it may go up to.
    pub lowest: i32,
    /// The highest recommendation of the window downwards: what it may go down to.
    pub highest: i32,
}

/// What rate limits and bounds did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limited {
    /// What is left of the stabilized proposal.
    pub replicas: i32,
    /// What the policies allow in the direction of the proposal; none if it asks for no change.
    pub rate_limit: Option<i32>,
    /// What it came up against.
    pub limit: Limit,
}

/// What a proposal came up against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Nothing.
    Within,
    /// The policies upwards.
    RateUp,
    /// `maxReplicas`.
    Maximum,
    /// The policies downwards.
    RateDown,
    /// `minReplicas`.
    Minimum,
}

fn up_window(behavior: &Behavior) -> i32 {
    behavior.up.window_seconds.unwrap_or(0)
}

fn down_window(behavior: &Behavior, flags: &Flags) -> i32 {
    behavior.down.window_seconds.unwrap_or(flags.downscale_stabilization_seconds as i32)
}

fn longest_period(policies: &[Policy]) -> i32 {
    policies.iter().map(|policy| policy.period_seconds).max().unwrap_or(0).max(0)
}

fn reserve_up_to<T>(list: &mut Vec<T>, room: usize) {
    list.reserve(room.saturating_sub(list.len()));
}
