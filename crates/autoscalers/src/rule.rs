//! What most rules share: the pool they act on, windows of measurements, cooldown, steps and stabilisation.

use tidegate_core::locate::FieldError;
use tidegate_core::{
    Basis, Decision, Observation, OperatorFacts, POOLS_MAX, PoolFacts, PoolStatus, PoolTarget, Reason,
    Replicas, decision::Targets,
};

use crate::catalog::{Parameter, Search};

/// Absorbs the rounding of a few products and quotients before a count is rounded up.
const ROUNDING: f64 = 1e-9;

/// The pool a rule acts on; the others keep what is declared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ActingPool {
    index: usize,
}

impl ActingPool {
    /// The pool of this name, or the first.
    pub(crate) fn find(name: Option<&str>, facts: &OperatorFacts) -> Result<Self, FieldError> {
        Ok(Self { index: pool_index(name, facts)? })
    }

    pub(crate) fn facts(self, facts: &OperatorFacts) -> &PoolFacts {
        &facts.pools[self.index]
    }

    pub(crate) fn index(self) -> usize {
        self.index
    }

    pub(crate) fn status<'a>(self, observation: &Observation<'a>) -> &'a PoolStatus {
        &observation.pools[self.index]
    }

    /// Every pool but this one.
    pub(crate) fn others<'a>(
        self,
        observation: &Observation<'a>,
    ) -> impl Iterator<Item = (usize, &'a PoolStatus)> {
        observation.pools.iter().enumerate().filter(move |(index, _)| *index != self.index)
    }

    /// The nearest count within the pool's bounds.
    pub(crate) fn bounded(self, observation: &Observation<'_>, wanted: Replicas) -> Replicas {
        let bounds = self.status(observation).bounds;
        wanted.min(bounds.replicas_max).max(bounds.replicas_min)
    }

    /// So many replicas of this pool, within its bounds; the other pools keep theirs.
    pub(crate) fn decide(self, observation: &Observation<'_>, wanted: Replicas, reason: Reason) -> Decision {
        let target = PoolTarget::wanted(self.bounded(observation, wanted));
        self.decide_target(observation, target, reason)
    }

    /// This target for this pool; the other pools keep theirs.
    pub(crate) fn decide_target(
        self,
        observation: &Observation<'_>,
        target: PoolTarget,
        reason: Reason,
    ) -> Decision {
        let mut targets = [PoolTarget::default(); POOLS_MAX];
        for (target, status) in targets.iter_mut().zip(observation.pools) {
            target.wanted = status.declared;
        }
        targets[self.index] = target;
        Decision { targets: Targets::of(&targets[..observation.pools.len()]), basis: Basis::Normal, reason }
    }

    /// One replica for whoever waits before a service that has none: what an activator does. Nothing can be measured
    /// of a service at zero but that somebody is there.
    pub(crate) fn activate(self, observation: &Observation<'_>) -> Decision {
        let woken = self.decide(observation, 1, Reason::new("somebody waits and nothing runs"));
        Decision { basis: Basis::Fallback, ..woken }
    }

    /// What is declared stays, for want of data.
    pub(crate) fn hold(self, observation: &Observation<'_>, why: &'static str) -> Decision {
        let kept = self.decide(observation, self.status(observation).declared, Reason::new(why));
        Decision { basis: Basis::Held, ..kept }
    }
}

/// The measurements of one channel in a stretch of time that ends with the newest one. Fixed size.
///
/// Time is counted back from the newest measurement and not from now, because sensors deliver late; what is older
/// than the staleness limit is not used at all.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    seconds: f64,
    stale_seconds: f64,
    values: Ring<f64>,
}

impl Window {
    pub(crate) fn new(seconds: f64, stale_seconds: f64, spacing_seconds: f64) -> Self {
        Self { seconds, stale_seconds, values: Ring::for_time(seconds, spacing_seconds) }
    }

    pub(crate) fn clear(&mut self) {
        self.values.clear();
    }

    pub(crate) fn push(&mut self, at_seconds: f64, value: f64) {
        if value.is_finite() {
            self.values.push(at_seconds, value);
        }
    }

    /// Oldest and newest alike, in no particular order; nothing if the newest is stale.
    pub(crate) fn values(&self, now_seconds: f64) -> impl Iterator<Item = f64> {
        let newest = self.values.newest_seconds().filter(|at| *at >= now_seconds - self.stale_seconds);
        let since = newest.map_or(f64::INFINITY, |newest| newest - self.seconds);
        self.values.iter().filter(move |(at, _)| *at > since || newest == Some(*at)).map(|(_, value)| value)
    }

    pub(crate) fn mean(&self, now_seconds: f64) -> Option<f64> {
        let (mut sum, mut n) = (0.0, 0_u32);
        for value in self.values(now_seconds) {
            sum += value;
            n += 1;
        }
        (n > 0).then(|| sum / f64::from(n))
    }

    /// Whether nothing came since it was cleared.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.len == 0
    }

    pub(crate) fn capacity(&self) -> usize {
        self.values.slots.len()
    }
}

/// Timed values in the order in which they came; the newest overwrites the oldest.
#[derive(Clone, Debug)]
struct Ring<T> {
    slots: Vec<(f64, T)>,
    next: usize,
    len: usize,
}

impl<T: Copy + Default> Ring<T> {
    /// Room for so many seconds of values that come so often.
    fn for_time(seconds: f64, spacing_seconds: f64) -> Self {
        // Two more than fit: one for the newest, one for rounding.
        let slots = (seconds / spacing_seconds).ceil() as usize + 2;
        Self { slots: vec![(0.0, T::default()); slots], next: 0, len: 0 }
    }

    fn clear(&mut self) {
        (self.next, self.len) = (0, 0);
    }

    fn push(&mut self, at_seconds: f64, value: T) {
        self.slots[self.next] = (at_seconds, value);
        self.next = (self.next + 1) % self.slots.len();
        self.len = (self.len + 1).min(self.slots.len());
    }

    fn newest_seconds(&self) -> Option<f64> {
        let newest = (self.next + self.slots.len() - 1) % self.slots.len();
        (self.len > 0).then(|| self.slots[newest].0)
    }

    fn iter(&self) -> impl Iterator<Item = (f64, T)> {
        self.slots[..self.len].iter().copied()
    }
}

/// Waits after every change before the next one.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_field_names)] // the unit is in the name
pub(crate) struct Cooldown {
    out_seconds: f64,
    in_seconds: f64,
    changed_seconds: f64,
}

impl Cooldown {
    pub(crate) fn new(out_seconds: f64, in_seconds: f64) -> Self {
        Self { out_seconds, in_seconds, changed_seconds: f64::NEG_INFINITY }
    }

    pub(crate) fn clear(&mut self) {
        self.changed_seconds = f64::NEG_INFINITY;
    }

    /// Whether a change to `wanted` may be made now; if so, it is taken as made. No change is always allowed and
    /// starts no wait, so a rule that pushes against a bound stays free to turn round.
    pub(crate) fn allows(&mut self, now_seconds: f64, declared: Replicas, wanted: Replicas) -> bool {
        if wanted == declared {
            return true;
        }
        let wait = if wanted > declared { self.out_seconds } else { self.in_seconds };
        let allowed = now_seconds - self.changed_seconds >= wait;
        if allowed {
            self.changed_seconds = now_seconds;
        }
        allowed
    }
}

/// How far one step goes: a count, or a share of what is declared if that is more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepSize {
    pub(crate) replicas: Replicas,
    pub(crate) share: f64,
}

impl StepSize {
    pub(crate) fn of(self, declared: Replicas) -> Replicas {
        self.replicas.max(round_up(self.share * f64::from(declared)))
    }
}

/// Holds scale-in back to the largest count that was recommended lately (Kubernetes: downscale stabilisation).
#[derive(Clone, Debug)]
pub(crate) struct Stabiliser {
    seconds: f64,
    recommended: Ring<Replicas>,
}

impl Stabiliser {
    pub(crate) fn new(seconds: f64, period_seconds: f64) -> Self {
        Self { seconds, recommended: Ring::for_time(seconds, period_seconds) }
    }

    pub(crate) fn clear(&mut self) {
        self.recommended.clear();
    }

    /// The largest of what is recommended now and what was in the last `seconds`. The log starts with what is
    /// declared, as in Kubernetes: a controller that has just started does not know how busy it was before.
    pub(crate) fn settle(&mut self, now_seconds: f64, declared: Replicas, recommended: Replicas) -> Replicas {
        if self.recommended.len == 0 {
            self.recommended.push(now_seconds, declared);
        }
        self.recommended.push(now_seconds, recommended);
        let since = now_seconds - self.seconds;
        let lately = self.recommended.iter().filter(|(at, _)| *at > since).map(|(_, count)| count).max();
        lately.unwrap_or(0).max(recommended)
    }
}

/// Whether the service is at zero: no replica is wanted in any pool.
pub(crate) fn is_at_zero(observation: &Observation<'_>) -> bool {
    observation.pools.iter().all(|pool| pool.declared == 0)
}

/// The least count that is no less than this, up to rounding errors.
pub(crate) fn round_up(count: f64) -> Replicas {
    // A rate gone wild asks for the most there can be.
    let count = count.clamp(0.0, f64::from(Replicas::MAX));
    (count - ROUNDING * count.max(1.0)).ceil() as Replicas
}

// Rows of the tables of parameters that mean the same wherever they stand, since the code behind them is shared.

/// Of the pool that a controller acts on.
pub const POOL: Parameter =
    Parameter::new("pool", "", "(the first pool)", "The pool it acts on; the others keep theirs.");
/// Of the staleness of a window of measurements.
pub(crate) const STALE: Parameter =
    Parameter::new("stale_seconds", "s", "300.0", "Without a scrape younger than this it holds.");
/// Of [`StepSize`].
pub(crate) const STEP: Parameter = Parameter::new("step", "replicas", "1", "How far one step goes.")
    .searched(Search::Count { low: 1, high: 20 });
/// Of [`StepSize`].
pub(crate) const STEP_SHARE: Parameter =
    Parameter::new("step_share", "1", "0.0", "The same as a share of the declared count; the larger counts.")
        .searched(Search::Linear { low: 0.0, high: 0.5 });
/// Of [`Cooldown`].
pub(crate) const COOLDOWN_OUT: Parameter =
    Parameter::new("cooldown_out_seconds", "s", "300.0", "Wait after any step before the next one out.")
        .searched(Search::Log { low: 15.0, high: 1800.0 });
/// Of [`Cooldown`].
pub(crate) const COOLDOWN_IN: Parameter =
    Parameter::new("cooldown_in_seconds", "s", "300.0", "Wait after any step before the next one in.")
        .searched(Search::Log { low: 15.0, high: 1800.0 });
/// Of utilization that is expected once starting replicas share the load.
pub(crate) const COUNTS_STARTING: Parameter = Parameter::new(
    "counts_starting",
    "",
    "true",
    "Whether replicas that are starting are expected to share the load.",
)
.searched(Search::Switch);
/// Of the measured service time.
pub(crate) const SERVICE_HALF_LIFE: Parameter = Parameter::new(
    "service_half_life_seconds",
    "s",
    "1800.0",
    "Half-life of a sample in the measured service time.",
)
.searched(Search::Log { low: 300.0, high: 7200.0 });
/// Of [`Stabiliser`].
pub(crate) const SCALE_IN_WINDOW: Parameter = Parameter::new(
    "scale_in_window_seconds",
    "s",
    "300.0",
    "Scale-in goes no lower than the largest demand of this time.",
)
.searched(Search::Log { low: 15.0, high: 1800.0 });

/// The place of the pool of this name, or 0.
///
/// # Errors
/// If there is no such pool: names those that there are.
pub fn pool_index(name: Option<&str>, facts: &OperatorFacts) -> Result<usize, FieldError> {
    let Some(name) = name else { return Ok(0) };
    facts.pools.iter().position(|pool| pool.name == name).ok_or_else(|| {
        let known: Vec<_> = facts.pools.iter().map(|pool| format!("{:?}", pool.name)).collect();
        wrong("pool", format!("must be {}, but is {name:?}", known.join(" or ")))
    })
}

/// A complaint about one parameter; its line is looked up by whoever has the text.
pub fn wrong(field: &str, problem: impl Into<String>) -> FieldError {
    FieldError { line: None, field: field.to_owned(), problem: problem.into() }
}

/// Complains about every value that is not a positive number.
///
/// # Errors
/// For the first one: names the parameter, its value and what is allowed.
pub fn positive(values: &[(&str, f64)]) -> Result<(), FieldError> {
    each(values, |value| value > 0.0 && value.is_finite(), "must be a positive number")
}

/// Complains about every value that is negative or not finite.
///
/// # Errors
/// For the first one: names the parameter, its value and what is allowed.
pub fn not_negative(values: &[(&str, f64)]) -> Result<(), FieldError> {
    each(values, |value| value >= 0.0 && value.is_finite(), "must be a number that is not negative")
}

/// Complains about every value that is no share above 0.
///
/// # Errors
/// For the first one: names the parameter, its value and what is allowed.
pub fn share(values: &[(&str, f64)]) -> Result<(), FieldError> {
    each(values, |value| value > 0.0 && value <= 1.0, "must be above 0 and at most 1")
}

/// Complains if the lower threshold is not below the upper one, or one of them is no number.
pub(crate) fn band(path: &str, low: f64, high: f64) -> Result<(), FieldError> {
    not_negative(&[(&format!("{path}low"), low), (&format!("{path}high"), high)])?;
    low_below_high(path, low, high)
}

/// Complains if the lower threshold is not below the upper one.
pub(crate) fn low_below_high(path: &str, low: f64, high: f64) -> Result<(), FieldError> {
    if low < high {
        return Ok(());
    }
    Err(wrong(&format!("{path}low"), format!("must be below `high`, which is {high}, but is {low}")))
}

/// Complains about times of which the memory would need an unreasonable amount of room.
///
/// # Errors
/// For the first one: names the parameter, its value and what is allowed.
pub fn remembered(values: &[(&str, f64)]) -> Result<(), FieldError> {
    const DAYS_MAX: f64 = 7.0 * tidegate_core::SECONDS_PER_DAY;
    each(values, |value| (0.0..=DAYS_MAX).contains(&value), "must be 0 to 604800 (a week)")
}

fn each(values: &[(&str, f64)], fits: impl Fn(f64) -> bool, must: &str) -> Result<(), FieldError> {
    match values.iter().find(|(_, value)| !fits(*value)) {
        None => Ok(()),
        Some((field, value)) => Err(wrong(field, format!("{must}, but is {value}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_counts_back_from_its_newest_value_and_forgets_stale_ones() {
        let mut window = Window::new(60.0, 300.0, 15.0);
        assert_eq!(window.mean(0.0), None);
        for scrape in 1..=10 {
            window.push(15.0 * f64::from(scrape), f64::from(scrape));
        }
        // 60 s hold the scrapes 7 to 10, however late one looks.
        assert_eq!(window.mean(150.0), Some(8.5));
        assert_eq!(window.mean(450.0), Some(8.5));
        assert_eq!(window.mean(450.1), None);
        window.push(165.0, f64::NAN);
        assert_eq!(window.mean(165.0), Some(8.5));
        window.clear();
        assert_eq!(window.mean(165.0), None);
    }

    #[test]
    fn a_window_of_no_length_is_the_newest_value() {
        let mut window = Window::new(0.0, 300.0, 15.0);
        for scrape in 1..=3 {
            window.push(15.0 * f64::from(scrape), f64::from(scrape));
        }
        assert_eq!(window.mean(45.0), Some(3.0));
    }

    #[test]
    fn rounding_up_forgives_the_last_bits() {
        assert_eq!(round_up(0.1 + 0.2), 1);
        assert_eq!(round_up((0.1 + 0.2 + 0.3) * 5.0), 3);
        assert_eq!(round_up(3.000_1), 4);
        assert_eq!(round_up(0.0), 0);
        assert!(round_up(f64::INFINITY) > 4_000_000_000);
    }

    #[test]
    fn stabilisation_is_the_largest_recommendation_of_the_window() {
        let mut stabiliser = Stabiliser::new(60.0, 15.0);
        let recommended = [2, 2, 7, 3, 3, 3, 3, 1, 1];
        let settled: Vec<_> = (0_u32..)
            .zip(recommended)
            .map(|(step, count)| stabiliser.settle(15.0 * f64::from(step), 5, count))
            .collect();
        // The first four hold the declared 5; the 7 of 30 s is out at 90 s, the last 3 at 150 s.
        assert_eq!(settled, [5, 5, 7, 7, 7, 7, 3, 3, 3]);
    }
}
