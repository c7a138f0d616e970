//! Why data did not become a model. Each message says what is wrong and what to change.

/// What is wrong with the data, the orders, or both together.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FitError {
    /// The method takes another number of channels.
    #[error("the record has {found} {kind}, but this method takes {allowed}")]
    Channels {
        /// `inputs` or `outputs`.
        kind: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        allowed: &'static str,
    },
    /// Channels of one record differ in length.
    #[error("`{channel}` has {found} samples, but `{other}` has {expected}")]
    Lengths {
        /// The channel.
        channel: String,
        /// Its samples.
        found: usize,
        /// The first channel.
        other: String,
        /// Its samples.
        expected: usize,
    },
    /// A sample is missing (NaN): no method here guesses it.
    #[error("`{channel}` has a gap at sample {sample}; fill it or split the record there")]
    Gap {
        /// The channel.
        channel: String,
        /// Position, from 0.
        sample: usize,
    },
    /// A sample is infinite.
    #[error("`{channel}` is {value} at sample {sample}; every sample must be finite")]
    NotFinite {
        /// The channel.
        channel: String,
        /// Position, from 0.
        sample: usize,
        /// What stands there.
        value: f64,
    },
    /// Fewer samples than the orders need.
    #[error(
        "{found} samples are too few for {what}, which needs {needed}; give more data or lower the orders"
    )]
    TooShort {
        /// Samples of the record.
        found: usize,
        /// For example `ARMAX(2,2,2) with delay 1`.
        what: String,
        /// The least number of samples.
        needed: usize,
    },
    /// A channel does not move, so nothing can be learnt from it.
    #[error("`{channel}` is constant at {value}; excite it or leave it out")]
    Constant {
        /// The channel.
        channel: String,
        /// Its one value.
        value: f64,
    },
    /// The data do not tell the parameters apart.
    #[error("the data do not determine {what}; {remedy}")]
    Collinear {
        /// For example `b2 of u2`.
        what: String,
        /// What to change.
        remedy: &'static str,
    },
    /// The inputs are too simple to tell a model of this order.
    #[error(
        "the inputs excite order {found}, but {what} needs {needed}; use a richer input (random steps, a multisine), or lower the order or the horizon"
    )]
    Excitation {
        /// The order to which they excite persistently.
        found: usize,
        /// For example `order 4 with horizon 10`.
        what: String,
        /// The order that is needed.
        needed: usize,
    },
    /// An order is out of what is allowed.
    #[error("`{field}` is {value}, but {allowed}")]
    Order {
        /// As written, for example `nk[0]`.
        field: String,
        /// What stands there.
        value: usize,
        /// For example `must be at least 1`.
        allowed: String,
    },
    /// The sample time is not a positive number.
    #[error("`step_seconds` must be a positive number, but is {0}")]
    StepSeconds(f64),
    /// The search found no finite criterion anywhere.
    #[error("no start gave a finite criterion for {what}; scale the channels, or lower the orders")]
    Diverged {
        /// For example `BJ(2,2,2,2)`.
        what: String,
    },
}
