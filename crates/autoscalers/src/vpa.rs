//! The Kubernetes vertical pod autoscaler: a replica as large as its usage says, launched so or replaced.
//!
//! size = max over cpu and memory of (1 + margin) · percentile(usage) / request,
//!
//! percentiles from histograms in which a sample's weight halves every `half_life_seconds`
//!
//! - cpu: every usage sample of every replica, with the same weight; memory: the peak of every replica in every
//!   `memory_interval_seconds`;
//! - target from the 90th percentile, lower and upper bound from the 50th and 95th; with confidence c, the lesser of
//!   the days of history and its samples over 1440, the upper bound is times (1 + 1/c) and the lower one times
//!   (1 + 0.001/c)⁻²;
//! - a replica is replaced if its size is outside the bounds, or if it is older than `age_seconds` and off the target
//!   by at least `change_min`; at most `eviction_tolerance` of the declared replicas are missing at any time.
//!
//! Source: kubernetes/autoscaler, vertical-pod-autoscaler: recommender (histogram, decaying histogram, estimators,
//! container state) and updater (priority, eviction restriction), whose constants the defaults are. CPU samples weigh
//! alike, as since version 1.0 (before, by the request).
//!
//! Where we differ: a replica here has one size, of which cpu speed, memory and price are shares, so the larger of the
//! two recommendations is taken for both, and the two containers of a replica are one. The plant's cpu limit is the
//! request, so usage never exceeds it, and a replica that is too small grows by the margin at a time. The plant knows
//! no end for want of memory, so there is no rule for it, nor for changes in place.

use serde::{Deserialize, Serialize};
use tidegate_core::locate::FieldError;
use tidegate_core::{
    Basis, Controller, ControllerStream, Decision, Needs, Observation, OperatorFacts, PoolTarget, Reason,
    ReplicaSample, ReplicaState, Replicas, SECONDS_PER_DAY,
};

use crate::catalog::{About, Parameter, Rule, Search};
use crate::rule::{ActingPool, POOL, not_negative, positive, share, wrong};

/// Growth of the buckets of a histogram from one to the next.
const BUCKET_GROWTH: f64 = 1.05;

/// A bucket with less weight is empty.
const WEIGHT_MIN: f64 = 1e-4;

/// Weight of a cpu sample; a memory peak has 1.
const CPU_WEIGHT: f64 = 0.1;

/// Samples a day at one a minute, which count as a day of history.
const SAMPLES_PER_DAY: f64 = 1440.0;

const BYTES_PER_GIB: f64 = 1_073_741_824.0;

/// Weights of values in buckets, halving with time.
#[derive(Clone, Debug, PartialEq)]
pub struct DecayingHistogram {
    starts: Vec<f64>,
    weights: Vec<f64>,
    half_life_seconds: f64,
    /// A sample of this time has the weight it came with; later ones more.
    reference_seconds: f64,
}

impl DecayingHistogram {
    /// With buckets from these values to the next, the last one without end.
    ///
    /// # Panics
    /// If there are none.
    pub fn new(starts: Vec<f64>, half_life_seconds: f64) -> Self {
        assert!(!starts.is_empty(), "a histogram has at least one bucket");
        let weights = vec![0.0; starts.len()];
        Self { starts, weights, half_life_seconds, reference_seconds: 0.0 }
    }

    /// With buckets that grow by 5 %: bucket n starts at first · (1.05ⁿ − 1) / 0.05, the last one at `most` or above.
    pub fn exponential(first: f64, most: f64, half_life_seconds: f64) -> Self {
        let growth = BUCKET_GROWTH - 1.0;
        let last = ((most * growth / first + 1.0).ln() / BUCKET_GROWTH.ln()).ceil() as i32;
        let starts = (0..=last).map(|n| first * (BUCKET_GROWTH.powi(n) - 1.0) / growth).collect();
        Self::new(starts, half_life_seconds)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.weights.fill(0.0);
        self.reference_seconds = 0.0;
    }

    /// Takes in a value.
    pub fn add(&mut self, value: f64, weight: f64, at_seconds: f64) {
        let weight = weight * self.growth(at_seconds);
        let bucket = self.bucket(value);
        self.weights[bucket] += weight;
    }

    /// Takes back a value that was added with the same weight and time.
    pub fn subtract(&mut self, value: f64, weight: f64, at_seconds: f64) {
        let weight = weight * self.growth(at_seconds);
        let bucket = self.bucket(value);
        let left = self.weights[bucket] - weight;
        self.weights[bucket] = if left < WEIGHT_MIN { 0.0 } else { left };
    }

    /// Whether nothing of weight is in it.
    pub fn is_empty(&self) -> bool {
        self.weights.iter().all(|weight| *weight < WEIGHT_MIN)
    }

    /// The end of the bucket in which this share of the weight is reached; 0 if it is empty.
    pub fn percentile(&self, share: f64) -> f64 {
        let is_full = |weight: &f64| *weight >= WEIGHT_MIN;
        let Some(first) = self.weights.iter().position(is_full) else { return 0.0 };
        let last = self.weights.iter().rposition(is_full).expect("there is a first");
        let wanted = share * self.weights.iter().sum::<f64>();
        let mut sum = 0.0;
        let reached = (first..last).find(|bucket| {
            sum += self.weights[*bucket];
            sum >= wanted
        });
        // The last bucket has no end.
        self.starts[(reached.unwrap_or(last) + 1).min(self.starts.len() - 1)]
    }

    fn bucket(&self, value: f64) -> usize {
        self.starts.partition_point(|start| *start <= value).max(1) - 1
    }

    /// How much more a sample of this time weighs than one of the reference time. The reference moves before that
    /// grows beyond what a float holds.
    fn growth(&mut self, at_seconds: f64) -> f64 {
        const HALVINGS_MAX: f64 = 100.0;
        if at_seconds - self.reference_seconds > HALVINGS_MAX * self.half_life_seconds {
            let halvings = ((at_seconds - self.reference_seconds) / self.half_life_seconds).round();
            let kept = (-halvings).exp2();
            self.weights.iter_mut().for_each(|weight| *weight *= kept);
            self.reference_seconds += halvings * self.half_life_seconds;
        }
        ((at_seconds - self.reference_seconds) / self.half_life_seconds).exp2()
    }
}

/// A target and the bounds within which there is no hurry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recommendation {
    /// What should be.
    pub target: f64,
    /// Below this it is too little.
    pub lower: f64,
    /// Above this it is too much.
    pub upper: f64,
}

impl Recommendation {
    /// From the three percentiles of usage, with a margin as a share and the history's confidence.
    pub fn new(percentiles: Self, margin: f64, confidence: f64, least: f64) -> Self {
        let with_margin = |usage: f64| usage * (1.0 + margin);
        Self {
            target: with_margin(percentiles.target).max(least),
            lower: (with_margin(percentiles.lower) * (1.0 + 0.001 / confidence).powi(-2)).max(least),
            upper: (with_margin(percentiles.upper) * (1.0 + 1.0 / confidence)).max(least),
        }
    }

    fn each(self, change: impl Fn(f64) -> f64) -> Self {
        Self { target: change(self.target), lower: change(self.lower), upper: change(self.upper) }
    }

    fn larger(self, other: Self) -> Self {
        Self {
            target: self.target.max(other.target),
            lower: self.lower.max(other.lower),
            upper: self.upper.max(other.upper),
        }
    }

    /// Whether a replica of this size and age should be replaced.
    pub fn replaces(&self, size: f64, age_seconds: f64, parameters: &Parameters) -> bool {
        let is_outside = size < self.lower || size > self.upper;
        let change = (self.target - size).abs() / size;
        is_outside || (age_seconds >= parameters.age_seconds && change >= parameters.change_min)
    }
}

/// How many replicas may be evicted now, of so many declared and so many running.
pub fn evictable(declared: Replicas, running: Replicas, parameters: &Parameters) -> Replicas {
    if declared < parameters.evicted_of_min {
        return 0;
    }
    let missing_max = (f64::from(declared) * parameters.eviction_tolerance) as Replicas;
    if missing_max == 0 {
        return u32::from(running >= declared).min(running);
    }
    running.saturating_sub(declared - missing_max)
}

/// What can be set.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
pub struct Parameters {
    pub pool: Option<String>,
    pub target_percentile: f64,
    pub lower_percentile: f64,
    pub upper_percentile: f64,
    pub safety_margin: f64,
    pub half_life_seconds: f64,
    pub memory_interval_seconds: f64,
    pub includes_memory: bool,
    pub cpu_cores_min: f64,
    pub memory_gib_min: f64,
    pub size_min: f64,
    pub size_max: f64,
    pub evicts: bool,
    pub change_min: f64,
    pub age_seconds: f64,
    pub evicted_of_min: Replicas,
    pub eviction_tolerance: f64,
    pub period_seconds: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            pool: None,
            target_percentile: 0.9,
            lower_percentile: 0.5,
            upper_percentile: 0.95,
            safety_margin: 0.15,
            half_life_seconds: 86_400.0,
            memory_interval_seconds: 86_400.0,
            includes_memory: true,
            cpu_cores_min: 0.025,
            memory_gib_min: 0.244_140_625, // 250 MiB
            size_min: 0.05,
            size_max: 4.0,
            evicts: true,
            change_min: 0.1,
            age_seconds: 43_200.0,
            evicted_of_min: 2,
            eviction_tolerance: 0.5,
            period_seconds: 60.0,
        }
    }
}

/// The controller.
#[derive(Clone, Debug)]
pub struct Vpa {
    pool: ActingPool,
    cpu: DecayingHistogram,
    memory: DecayingHistogram,
    first_seconds: Option<f64>,
    last_seconds: f64,
    n_samples: u64,
    /// By id. Its capacity is reserved once; replicas beyond it are not looked at.
    known: Vec<Known>,
    cpu_cores: f64,
    memory_gib: f64,
    parameters: Parameters,
}

/// What is remembered of one replica.
#[derive(Clone, Copy, Debug)]
struct Known {
    id: u64,
    size: f64,
    sampled_seconds: f64,
    peak_gib: f64,
    peak_until_seconds: f64,
}

impl Rule for Vpa {
    type Parameters = Parameters;

    const ABOUT: About = About {
        kind: "vpa",
        summary: "Replicas as large as the percentiles of their usage say, with a margin; those far off are replaced. The count stays.",
        source: "kubernetes/autoscaler, vertical-pod-autoscaler (recommender and updater)",
        parameters: &[
            POOL,
            Parameter::new("target_percentile", "1", "0.9", "Percentile of usage for the target.")
                .searched(Search::Linear { low: 0.7, high: 0.99 }),
            Parameter::new("lower_percentile", "1", "0.5", "The same for the lower bound."),
            Parameter::new("upper_percentile", "1", "0.95", "The same for the upper bound."),
            Parameter::new("safety_margin", "1", "0.15", "Added to each, as a share of it.")
                .searched(Search::Linear { low: 0.0, high: 1.0 }),
            Parameter::new("half_life_seconds", "s", "86400.0", "Time in which a sample's weight halves.")
                .searched(Search::Log { low: 3600.0, high: 259_200.0 }),
            Parameter::new(
                "memory_interval_seconds",
                "s",
                "86400.0",
                "Each replica's memory counts with its peak in each interval of this length.",
            ),
            Parameter::new(
                "includes_memory",
                "",
                "true",
                "Whether memory has a say; if not, the size follows cpu alone.",
            ),
            Parameter::new("cpu_cores_min", "cores", "0.025", "Least recommendation of cpu."),
            Parameter::new("memory_gib_min", "GiB", "0.244140625", "Least recommendation of memory."),
            Parameter::new("size_min", "1", "0.05", "Least size, as a share of the nominal one."),
            Parameter::new("size_max", "1", "4.0", "Largest size."),
            Parameter::new(
                "evicts",
                "",
                "true",
                "Whether replicas that are far off are replaced; if not, only new ones get the size.",
            ),
            Parameter::new(
                "change_min",
                "1",
                "0.1",
                "Within the bounds, a replica that is off by at least this share is replaced.",
            )
            .searched(Search::Linear { low: 0.05, high: 0.5 }),
            Parameter::new("age_seconds", "s", "43200.0", "But not before this age.")
                .searched(Search::Log { low: 600.0, high: 86_400.0 }),
            Parameter::new(
                "evicted_of_min",
                "replicas",
                "2",
                "With fewer declared replicas none is replaced.",
            ),
            Parameter::new(
                "eviction_tolerance",
                "1",
                "0.5",
                "Share of the declared replicas that may be missing during replacement; at least one.",
            )
            .searched(Search::Linear { low: 0.0, high: 0.5 }),
            Parameter::new("period_seconds", "s", "60.0", "How often it samples and decides."),
        ],
    };

    fn check(parameters: &Parameters) -> Result<(), FieldError> {
        share(&[
            ("target_percentile", parameters.target_percentile),
            ("lower_percentile", parameters.lower_percentile),
            ("upper_percentile", parameters.upper_percentile),
        ])?;
        positive(&[
            ("half_life_seconds", parameters.half_life_seconds),
            ("memory_interval_seconds", parameters.memory_interval_seconds),
            ("size_min", parameters.size_min),
            ("size_max", parameters.size_max),
            ("period_seconds", parameters.period_seconds),
        ])?;
        not_negative(&[
            ("safety_margin", parameters.safety_margin),
            ("cpu_cores_min", parameters.cpu_cores_min),
            ("memory_gib_min", parameters.memory_gib_min),
            ("change_min", parameters.change_min),
            ("age_seconds", parameters.age_seconds),
            ("eviction_tolerance", parameters.eviction_tolerance),
        ])?;
        let Parameters { size_min, size_max, eviction_tolerance, .. } = *parameters;
        if size_min > size_max {
            return Err(wrong(
                "size_min",
                format!("must be at most `size_max`, which is {size_max}, but is {size_min}"),
            ));
        }
        if eviction_tolerance > 1.0 {
            return Err(wrong("eviction_tolerance", format!("must be 0 to 1, but is {eviction_tolerance}")));
        }
        Ok(())
    }

    fn new(facts: &OperatorFacts, parameters: &Parameters) -> Result<Self, FieldError> {
        /// More replicas than this are not looked at one by one.
        const KNOWN_MAX: usize = 10_000;
        let pool = ActingPool::find(parameters.pool.as_deref(), facts)?;
        let own = pool.facts(facts);
        // Twice the most, because those that drain exist beside those that replace them.
        let room = (own.bounds.replicas_max as usize).saturating_mul(2).min(KNOWN_MAX) + 16;
        Ok(Self {
            pool,
            cpu: DecayingHistogram::exponential(0.01, 1000.0, parameters.half_life_seconds),
            memory: DecayingHistogram::exponential(1e7, 1e12, parameters.half_life_seconds),
            first_seconds: None,
            last_seconds: 0.0,
            n_samples: 0,
            known: Vec::with_capacity(room),
            cpu_cores: own.containers.iter().map(|container| container.cpu_cores_requested).sum(),
            memory_gib: own.containers.iter().map(|container| container.memory_gib_requested).sum(),
            parameters: parameters.clone(),
        })
    }
}

impl Vpa {
    /// Takes in what the replicas used.
    fn sample(&mut self, replicas: &[ReplicaSample], size_in_force: f64) {
        self.known.retain(|known| replicas.binary_search_by_key(&known.id, |sample| sample.id).is_ok());
        for sample in replicas {
            let at = match self.known.binary_search_by_key(&sample.id, |known| known.id) {
                Ok(at) => at,
                Err(_) if self.known.len() == self.known.capacity() => continue,
                Err(at) => {
                    // Whoever is new was launched with the size that has been in force since the last decision.
                    self.known.insert(at, Known::new(sample.id, size_in_force));
                    at
                }
            };
            let Some(usage) = sample.usage else { continue };
            let cores: f64 = usage.cpu_cores.iter().sum();
            let gib: f64 = usage.memory_gib.iter().sum();
            let start = usage.at_seconds - usage.window_seconds;
            let known = &mut self.known[at];
            if !(start > known.sampled_seconds && cores >= 0.0 && gib >= 0.0) {
                continue;
            }
            known.sampled_seconds = start;
            self.cpu.add(cores, CPU_WEIGHT, start);
            self.n_samples += 1;
            self.first_seconds.get_or_insert(start);
            self.last_seconds = self.last_seconds.max(start);
            known.see_memory(gib, start, self.parameters.memory_interval_seconds, &mut self.memory);
        }
    }

    /// The days of history, or its samples as days, whichever is less.
    fn confidence(&self) -> f64 {
        let days = (self.last_seconds - self.first_seconds.unwrap_or(0.0)) / SECONDS_PER_DAY;
        days.min(self.n_samples as f64 / SAMPLES_PER_DAY)
    }

    /// The recommended size, as a share of the nominal one; none without a sample.
    pub fn recommendation(&self) -> Option<Recommendation> {
        let parameters = &self.parameters;
        self.first_seconds?;
        let of = |histogram: &DecayingHistogram, unit: f64, least: f64, request: f64| {
            let percentiles = Recommendation {
                target: histogram.percentile(parameters.target_percentile) / unit,
                lower: histogram.percentile(parameters.lower_percentile) / unit,
                upper: histogram.percentile(parameters.upper_percentile) / unit,
            };
            Recommendation::new(percentiles, parameters.safety_margin, self.confidence(), least)
                .each(|amount| amount / request)
        };
        let mut size = of(&self.cpu, 1.0, parameters.cpu_cores_min, self.cpu_cores);
        if parameters.includes_memory {
            size = size.larger(of(&self.memory, BYTES_PER_GIB, parameters.memory_gib_min, self.memory_gib));
        }
        Some(size.each(|size| size.clamp(parameters.size_min, parameters.size_max)))
    }

    /// How many replicas should be replaced, and may be.
    fn evictions(
        &self,
        recommended: &Recommendation,
        replicas: &[ReplicaSample],
        declared: Replicas,
        now: f64,
    ) -> Replicas {
        let running = replicas.iter().filter(|sample| sample.state == ReplicaState::Ready);
        let wanting = running.clone().filter(|sample| {
            let age_seconds = now - sample.started_seconds.unwrap_or(now);
            let known = self.known.binary_search_by_key(&sample.id, |known| known.id);
            known.is_ok_and(|at| recommended.replaces(self.known[at].size, age_seconds, &self.parameters))
        });
        let most = evictable(declared, running.clone().count() as Replicas, &self.parameters);
        (wanting.count() as Replicas).min(most)
    }
}

impl Known {
    fn new(id: u64, size: f64) -> Self {
        Self {
            id,
            size,
            sampled_seconds: f64::NEG_INFINITY,
            peak_gib: 0.0,
            peak_until_seconds: f64::NEG_INFINITY,
        }
    }

    /// Keeps one peak an interval in the histogram, dated at the interval's end.
    fn see_memory(&mut self, gib: f64, at_seconds: f64, interval: f64, peaks: &mut DecayingHistogram) {
        if at_seconds < self.peak_until_seconds {
            if gib <= self.peak_gib {
                return;
            }
            peaks.subtract(self.peak_gib * BYTES_PER_GIB, 1.0, self.peak_until_seconds);
        } else if self.peak_until_seconds == f64::NEG_INFINITY {
            self.peak_until_seconds = at_seconds + interval;
        } else {
            let passed = ((at_seconds - self.peak_until_seconds) / interval).floor();
            self.peak_until_seconds += (passed + 1.0) * interval;
        }
        self.peak_gib = gib;
        peaks.add(gib * BYTES_PER_GIB, 1.0, self.peak_until_seconds);
    }
}

impl Controller for Vpa {
    fn period_seconds(&self) -> f64 {
        self.parameters.period_seconds
    }

    fn needs(&self) -> Needs {
        Needs::REPLICAS
    }

    fn reset(&mut self, _chance: ControllerStream) {
        self.cpu.clear();
        self.memory.clear();
        (self.first_seconds, self.last_seconds, self.n_samples) = (None, 0.0, 0);
        self.known.clear();
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let status = *self.pool.status(observation);
        let pool = self.pool.index();
        let from = observation.replicas.partition_point(|sample| usize::from(sample.pool) < pool);
        let to = observation.replicas.partition_point(|sample| usize::from(sample.pool) <= pool);
        let replicas = &observation.replicas[from..to];
        self.sample(replicas, status.replica_size);
        let Some(recommended) = self.recommendation() else {
            return self.pool.hold(observation, "no usage yet");
        };
        let declared = self.pool.bounded(observation, status.declared);
        let replace = if self.parameters.evicts {
            self.evictions(&recommended, replicas, declared, observation.now_seconds)
        } else {
            0
        };
        let target =
            PoolTarget { replica_size: Some(recommended.target), replace, ..PoolTarget::wanted(declared) };
        let reason = Reason::new(if replace > 0 { "replacing" } else { "size" })
            .with("target", recommended.target)
            .with("least", recommended.lower)
            .with("most", recommended.upper);
        let decision = self.pool.decide_target(observation, target, reason);
        Decision { basis: Basis::Normal, ..decision }
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;
    use proptest::prelude::*;
    use tidegate_core::observation::ReplicaUsage;

    use super::*;
    use crate::testing::{self, Desk};

    fn unit_buckets(n: u32) -> DecayingHistogram {
        DecayingHistogram::new((0..n).map(f64::from).collect(), 3600.0)
    }

    #[test]
    fn buckets_grow_by_five_percent() {
        let cpu = DecayingHistogram::exponential(0.01, 1000.0, 3600.0);
        assert_eq!(cpu.starts[0], 0.0);
        let mut expected = 0.01;
        for pair in cpu.starts.windows(2) {
            assert_relative_eq!(pair[1] - pair[0], expected, max_relative = 1e-9);
            expected *= 1.05;
        }
        let last = cpu.starts.len() - 1;
        assert!(cpu.starts[last] >= 1000.0 && cpu.starts[last - 1] < 1000.0);
        assert_eq!((cpu.bucket(-1.0), cpu.bucket(0.0), cpu.bucket(0.01), cpu.bucket(1e9)), (0, 0, 1, last));
    }

    /// Weights 2⁻³·1, 2⁻²·2, 2⁻¹·3 and 4, one half-life apart, sum to 6.125: shares up to 0.0204, 0.1020, 0.3469 and 1.
    #[test]
    fn older_values_weigh_less() {
        let mut histogram = unit_buckets(11);
        for n in 1..=4_u32 {
            histogram.add(f64::from(n), f64::from(n), 3600.0 * f64::from(n));
        }
        let steps =
            [0.0, 0.0204, 0.0205, 0.102, 0.1021, 0.3469, 0.347, 1.0].map(|share| histogram.percentile(share));
        assert_eq!(steps, [2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 5.0, 5.0]);
    }

    #[test]
    fn a_value_of_long_ago_is_forgotten_and_an_empty_histogram_gives_nothing() {
        let mut histogram = unit_buckets(11);
        assert_eq!((histogram.percentile(0.5), histogram.is_empty()), (0.0, true));
        histogram.add(7.0, 1.0, 0.0);
        histogram.add(1.0, 1.0, 101.0 * 3600.0);
        assert_eq!(histogram.percentile(1.0), 2.0);
        histogram.clear();
        assert!(histogram.is_empty());
        // The last bucket has no end.
        histogram.add(99.0, 1.0, 0.0);
        assert_eq!(histogram.percentile(1.0), 10.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        /// Against the definition: sort the values, weigh them, go up until the share is reached, take the end of the
        /// bucket.
        #[test]
        fn percentiles_are_those_of_the_weighted_values(
            samples in prop::collection::vec((0.0..20.0_f64, 0.0..400_000.0_f64), 1..60), share in 0.01..1.0_f64,
        ) {
            let mut histogram = DecayingHistogram::exponential(0.01, 1000.0, 86_400.0);
            for (value, at) in &samples {
                histogram.add(*value, 1.0, *at);
            }
            let mut sorted = samples.clone();
            sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
            let weight = |at: f64| (at / 86_400.0).exp2();
            let total: f64 = sorted.iter().map(|(_, at)| weight(*at)).sum();
            let mut sum = 0.0;
            let reached = sorted.iter().find(|(_, at)| {
                sum += weight(*at);
                sum >= share * total - 1e-9
            });
            let (value, _) = reached.expect("the share is at most 1");
            let end = histogram.percentile(share);
            prop_assert!(end >= *value && end <= value * 1.05 + 0.010_001, "{value} ends at {end}");
        }

        /// What is added and taken back has not been there.
        #[test]
        fn a_value_can_be_taken_back(values in prop::collection::vec(0.0..9.0_f64, 1..20), at in 0.0..1e5_f64) {
            let mut histogram = unit_buckets(11);
            histogram.add(4.5, 1.0, 0.0);
            let before = histogram.clone();
            for value in &values {
                histogram.add(*value, 1.0, at);
            }
            for value in &values {
                histogram.subtract(*value, 1.0, at);
            }
            let first = before.percentile(0.5);
            // Taking back rounds what is left of a bucket to nothing below the least weight.
            prop_assert!(values.iter().any(|value| (4.0..5.0).contains(value)) || histogram.percentile(0.5) == first);
        }

        /// It asks for no more evictions than leave the tolerated number, for sizes within its bounds, and for the
        /// count that there is.
        #[test]
        fn it_keeps_to_its_limits(
            usages in prop::collection::vec(0.0..8.0_f64, 1..40), declared in 1..20_u32, missing in 0..5_u32,
            tolerance in 0.0..1.0_f64,
        ) {
            let facts = testing::facts();
            let text = format!("eviction_tolerance = {tolerance}\nage_seconds = 60\nsize_min = 0.2\nsize_max = 2");
            let mut controller = testing::controller("vpa", &text, &facts);
            let mut desk = Desk::new(&facts);
            desk.pools[0].declared = declared;
            let running = declared.saturating_sub(missing);
            for usage in usages {
                desk.wait(60.0);
                let samples: Vec<_> = (0..running).map(|id| sample(id, usage, 1.0, desk.now_seconds)).collect();
                let decision = controller.decide(&Observation { replicas: &samples, ..desk.observation() });
                let target = decision.targets[0];
                prop_assert_eq!(target.wanted, declared);
                prop_assert!(target.replica_size.is_none_or(|size| (0.2..=2.0).contains(&size)));
                let left = running - target.replace;
                let least = declared - ((f64::from(declared) * tolerance) as u32).max(1);
                prop_assert!(target.replace == 0 || left >= least, "{left} of {declared} are left");
                prop_assert!(declared >= 2 || target.replace == 0);
                desk.pools[0].replica_size = target.replica_size.unwrap_or(1.0);
            }
        }
    }

    /// 50 % more for the upper bound after two days, 3 times after half a day; 1440 samples make a day at most.
    #[test]
    fn bounds_widen_with_little_history() {
        let usage = Recommendation { target: 1.0, lower: 0.5, upper: 1.2 };
        let of = |confidence| Recommendation::new(usage, 0.15, confidence, 0.025);
        assert_relative_eq!(of(2.0).upper, 1.2 * 1.15 * 1.5, max_relative = 1e-12);
        assert_relative_eq!(of(0.5).upper, 1.2 * 1.15 * 3.0, max_relative = 1e-12);
        // 30 minutes of history: the source's comment says 0.9.
        assert_relative_eq!(of(30.0 / 1440.0).lower / (0.5 * 1.15), 0.910, max_relative = 1e-3);
        assert_eq!((of(0.0).lower, of(0.0).upper), (0.025, f64::INFINITY));
        assert_relative_eq!(of(1.0).target, 1.15);
    }

    #[test]
    fn who_is_replaced() {
        let parameters = Parameters::default();
        let recommended = Recommendation { target: 5.0, lower: 1.0, upper: 6.0 };
        let hours = |size, hours: f64| recommended.replaces(size, 3600.0 * hours, &parameters);
        // Outside the bounds at once; within them only if old and off by a tenth.
        assert!(hours(0.9, 0.0) && hours(6.1, 0.0));
        assert!(!hours(4.0, 11.9) && hours(4.0, 12.0));
        assert!(!hours(5.3, 99.0) && !hours(4.6, 99.0));
    }

    #[test]
    fn how_many_may_be_missing() {
        let parameters = Parameters::default();
        let of = |declared, running| evictable(declared, running, &parameters);
        assert_eq!((of(1, 1), of(2, 2), of(3, 3), of(10, 10), of(10, 7), of(10, 5)), (0, 1, 1, 5, 2, 0));
        let strict = Parameters { eviction_tolerance: 0.0, ..parameters };
        assert_eq!((evictable(10, 10, &strict), evictable(10, 9, &strict)), (1, 0));
    }

    fn sample(id: u32, cores: f64, memory: f64, now: f64) -> ReplicaSample {
        ReplicaSample {
            pool: 0,
            id: u64::from(id),
            state: ReplicaState::Ready,
            created_seconds: 0.0,
            started_seconds: Some(0.0),
            is_ready: true,
            ready_changed_seconds: 0.0,
            usage: Some(ReplicaUsage {
                at_seconds: now,
                window_seconds: 15.0,
                cpu_cores: [cores, 0.0],
                memory_gib: [memory, 0.0],
                requests_per_second: 0.0,
                concurrency: 0.0,
            }),
        }
    }

    /// Two cores requested, 0.8 used: that is in a bucket that ends at 0.8 … 0.85, times 1.15 over 2. The upper bound is
    /// below 1 only after a day.
    #[test]
    fn four_oversized_replicas_are_replaced_after_half_a_day_and_two_at_a_time() {
        let facts = testing::facts();
        let mut controller = testing::controller("vpa", "", &facts);
        let mut desk = Desk::new(&facts);
        let mut evicted = Vec::new();
        let mut allocations = 0;
        while desk.now_seconds < 50_000.0 {
            let samples: Vec<_> = (0..4).map(|id| sample(id, 0.8, 0.5, desk.now_seconds)).collect();
            let observation = Observation { replicas: &samples, ..desk.observation() };
            let mut decision = None;
            allocations +=
                allocation_counter::measure(|| decision = Some(controller.decide(&observation))).count_total;
            let target = decision.expect("it was asked").targets[0];
            if target.replace > 0 {
                evicted.push((desk.now_seconds, target.replace));
            }
            let size = target.replica_size.expect("there is usage");
            assert!((0.46..0.489).contains(&size), "{size}");
            desk.pools[0].replica_size = size;
            desk.wait(60.0);
        }
        assert_eq!(evicted[0], (43_200.0, 2));
        assert_eq!(allocations, 0);
    }

    #[test]
    fn memory_counts_with_its_peak() {
        let facts = testing::facts();
        let parameters = Parameters { memory_interval_seconds: 600.0, ..Parameters::default() };
        let mut vpa = Vpa::new(&facts, &parameters).expect("the defaults are right");
        // 4 GiB requested: peaks of 1, 3 and 2 GiB in three intervals; what lies below a peak leaves nothing.
        for (interval, peak) in [1.0, 3.0, 2.0].into_iter().enumerate() {
            for minute in 0..10_u32 {
                let now = 600.0 * interval as f64 + 60.0 * f64::from(minute) + 15.0;
                let used = if minute == 5 { peak } else { 0.5 };
                vpa.sample(&[sample(0, 0.1, used, now)], 1.0);
            }
        }
        let full = vpa.memory.weights.iter().filter(|weight| **weight > WEIGHT_MIN).count();
        assert_eq!(full, 3);
        let size = vpa.recommendation().expect("there is usage").target;
        assert!((3.0..3.16).contains(&(size * 4.0 / 1.15)), "{size}");
        let alone = Vpa { parameters: Parameters { includes_memory: false, ..parameters }, ..vpa };
        assert!(alone.recommendation().expect("there is usage").target < 0.08);
    }

    #[test]
    fn without_usage_all_stays() {
        let facts = testing::facts();
        let mut controller = testing::controller("vpa", "", &facts);
        let desk = Desk::new(&facts);
        let decision = controller.decide(&desk.observation());
        assert_eq!((decision.basis, decision.targets[0]), (Basis::Held, PoolTarget::wanted(4)));
    }
}
