//! How far an identified model is to be trusted, and why no further.

use std::fmt;

/// How far the model in use is to be trusted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Status {
    /// It rests on the facts and what little was measured.
    Prior(Doubt),
    /// It is the newest fit.
    Trusted,
    /// It is the last trusted fit; the newest one is in doubt.
    Held(Doubt),
    /// The service has changed; what was measured since is fitted, and not yet trusted.
    Changed(Doubt),
}

/// Why a fit is not trusted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Doubt {
    /// Too little was measured.
    FewWindows,
    /// Service time is known only to this relative error.
    Service(f64),
    /// Capacity is known only to this relative error.
    Capacity(f64),
    /// The load hardly moved: this coefficient of variation.
    LoadConstant(f64),
    /// The replicas hardly moved: this coefficient of variation.
    ReadyConstant(f64),
    /// Load and replicas moved together: this correlation.
    Together(f64),
    /// Its mean latency at the middle of the data is this many times that of the queueing fit.
    Disagrees(f64),
    /// No finite fit was found.
    NoFit,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FewWindows => write!(f, "too little was measured"),
            Self::Service(error) => write!(f, "service time is known to a factor of {:.2} only", error.exp()),
            Self::Capacity(error) => write!(f, "capacity is known to a factor of {:.2} only", error.exp()),
            Self::LoadConstant(cv) => write!(f, "the load moved by {cv:.3} of its mean only"),
            Self::ReadyConstant(cv) => write!(f, "the replicas moved by {cv:.3} of their mean only"),
            Self::Together(r) => write!(f, "load and replicas moved together, correlation {r:.2}"),
            Self::Disagrees(ratio) => write!(f, "its latency is {ratio:.2} times that of the queueing fit"),
            Self::NoFit => write!(f, "no finite fit was found"),
        }
    }
}
