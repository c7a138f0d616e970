//! What a controller answers.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::{POOLS_MAX, Replicas};

/// What a controller wants, how sure it is, and why. Fixed size: deciding allocates nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// One target a pool, in the order of the facts.
    pub targets: Targets,
    /// How the answer came about.
    pub basis: Basis,
    /// Why; rendered only when printed.
    pub reason: Reason,
}

impl Decision {
    /// A normal decision for a service with one pool.
    pub fn one(wanted: Replicas, reason: Reason) -> Self {
        Self { targets: Targets::of(&[PoolTarget::wanted(wanted)]), basis: Basis::Normal, reason }
    }
}

/// What is wanted of one pool.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct PoolTarget {
    /// Replicas ready or on their way to it, not draining.
    pub wanted: Replicas,
    /// New bounds of the pool, where a namesake sets them (AWS scheduled actions).
    pub bounds: Option<Bounds>,
    /// Size of the replicas launched from now on, as a share of the nominal size (vertical scaling).
    pub replica_size: Option<f64>,
    /// Replicas of another size to end now, so that new ones of the present size take their place: those
    /// that are farthest off first, then the oldest. A command, not a state: each decision counts.
    pub replace: Replicas,
    /// Replicas to keep prepared but out of service (AWS warm pool).
    pub warm: Option<Replicas>,
    /// Share of the traffic this pool should get, relative to the other pools' (regions).
    pub route_weight: Option<f64>,
}

impl PoolTarget {
    /// So many replicas, all else as it is.
    pub const fn wanted(wanted: Replicas) -> Self {
        Self { wanted, bounds: None, replica_size: None, replace: 0, warm: None, route_weight: None }
    }
}

/// The least and the most replicas of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Least, included.
    pub replicas_min: Replicas,
    /// Most, included.
    pub replicas_max: Replicas,
}

/// Up to [`POOLS_MAX`] targets in place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Targets {
    pools: [PoolTarget; POOLS_MAX],
    n_pools: usize,
}

impl Targets {
    /// These targets.
    ///
    /// # Panics
    /// If there are more than [`POOLS_MAX`].
    pub fn of(targets: &[PoolTarget]) -> Self {
        assert!(targets.len() <= POOLS_MAX, "{} pools, but at most {POOLS_MAX}", targets.len());
        let mut pools = [PoolTarget::default(); POOLS_MAX];
        pools[..targets.len()].copy_from_slice(targets);
        Self { pools, n_pools: targets.len() }
    }
}

impl Deref for Targets {
    type Target = [PoolTarget];
    fn deref(&self) -> &[PoolTarget] {
        &self.pools[..self.n_pools]
    }
}

impl DerefMut for Targets {
    fn deref_mut(&mut self) -> &mut [PoolTarget] {
        &mut self.pools[..self.n_pools]
    }
}

/// How a decision came about; reports count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Basis {
    /// By the controller's own method, on data.
    #[default]
    Normal,
    /// Kept, for want of data.
    Held,
    /// By its own method, but not to the end (a solver's limit).
    Suboptimal,
    /// By a simpler rule that stands in.
    Fallback,
}

impl Basis {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Normal, Self::Held, Self::Suboptimal, Self::Fallback];

    /// As reports print it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Held => "held",
            Self::Suboptimal => "suboptimal",
            Self::Fallback => "fallback",
        }
    }
}

/// Why, as a phrase and up to three named numbers; text is made only when it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Reason {
    /// The phrase, for example "utilization above band".
    pub what: &'static str,
    /// What it was about, for example the bottleneck's name; may be empty.
    pub detail: &'static str,
    /// Named numbers; an empty name ends the list.
    pub values: [(&'static str, f64); 3],
}

impl Reason {
    /// A phrase alone.
    pub const fn new(what: &'static str) -> Self {
        Self { what, detail: "", values: [("", 0.0); 3] }
    }

    /// The same with one more number; a fourth is dropped.
    pub fn with(mut self, name: &'static str, value: f64) -> Self {
        if let Some(free) = self.values.iter_mut().find(|(name, _)| name.is_empty()) {
            *free = (name, value);
        }
        self
    }

    /// The same, saying what it is about.
    pub const fn about(mut self, detail: &'static str) -> Self {
        self.detail = detail;
        self
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        let named = self.values.iter().take_while(|(name, _)| !name.is_empty());
        for (index, (name, value)) in named.enumerate() {
            write!(f, "{}{name} {value:.3}", if index == 0 { " (" } else { ", " })?;
        }
        if self.values[0].0.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_reads_as_a_sentence() {
        let reason = Reason::new("scale out").about("cpu").with("utilization", 0.8124).with("high", 0.8);
        assert_eq!(reason.to_string(), "scale out: cpu (utilization 0.812, high 0.800)");
        assert_eq!(Reason::new("within band").to_string(), "within band");
    }
}
