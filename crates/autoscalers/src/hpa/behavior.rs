//! What holds a proposal back: stabilization, rate limits and bounds, with `behavior` and without.

use serde::{Deserialize, Serialize};

/// What the controller remembers of one autoscaler from pass to pass. Upstream it is lost when the controller restarts,
/// but for `scaled_to_zero`, which is a condition of the object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Memory {
    /// Proposals as they were before stabilization. In no order of time, since a new one takes an old one's place.
    pub recommendations: Vec<Recommendation>,
    /// Changes upwards that were written; kept only with `behavior`.
    pub up: Vec<Event>,
    /// Changes downwards that were written.
    pub down: Vec<Event>,
    /// Condition `ScaledToZero`: whether it was the autoscaler that went to zero.
    pub scaled_to_zero: bool,
    /// When the last change was written.
    pub last_scale_seconds: Option<f64>,
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
