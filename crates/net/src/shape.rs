//! How wide the layers of a network are, and what stands between them.

use std::fmt;
use std::ops::Range;

/// What a hidden layer does to its sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// z: the network as a whole is linear.
    Identity,
    /// max(z, 0).
    Relu,
    /// tanh z.
    Tanh,
}

impl Activation {
    pub(crate) fn apply(self, values: &mut [f32]) {
        match self {
            Self::Identity => {}
            // Written so that NaN stays NaN: `max` would hide it.
            Self::Relu => {
                for value in values {
                    *value = if *value < 0.0 { 0.0 } else { *value };
                }
            }
            Self::Tanh => values.iter_mut().for_each(|value| *value = value.tanh()),
        }
    }

    /// Multiplies `deltas` by the derivative at the sums whose activations these are; at a sum of 0 that of
    /// [`Activation::Relu`] is 0.
    pub(crate) fn carry_back(self, activations: &[f32], deltas: &mut [f32]) {
        let pairs = deltas.iter_mut().zip(activations);
        match self {
            Self::Identity => {}
            Self::Relu => pairs.for_each(|(delta, value)| *delta = if *value > 0.0 { *delta } else { 0.0 }),
            Self::Tanh => pairs.for_each(|(delta, value)| *delta *= 1.0 - value * value),
        }
    }
}

/// Widths of the layers, from the inputs to the outputs, and the activation of all layers but the last, which has
/// none. Behind the last hidden layer but one it may part into streams, each with a last hidden layer and outputs of its
/// own; what comes out is their outputs side by side.
///
/// Shown as `4-256-256-2 relu`, or `4-256-2(256)-2+1 relu` with two streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    widths: Vec<usize>,
    /// Outputs of each stream; of a plain stack of layers, all of them.
    streams: Vec<usize>,
    hidden: Activation,
}

/// Widths of which no network can be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// There is no layer between inputs and outputs.
    #[error("`widths` must name inputs and outputs at least, but has {0} entries")]
    TooFew(usize),
    /// There is no hidden layer that streams could have of their own.
    #[error("`widths` must name a hidden layer where there are streams, but has {0} entries")]
    NoHidden(usize),
    /// A layer without units.
    #[error("`widths[{0}]` must be at least 1, but is 0")]
    Empty(usize),
    /// More than are meant to be called small.
    #[error("`widths` must need at most {PARAMETERS_MAX} parameters, but need more: {0:?}")]
    TooLarge(Vec<usize>),
}

/// Parameters of a network, at most: a record that claims more is broken.
pub const PARAMETERS_MAX: usize = 1 << 28;

/// One dense layer, and where its parameters are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The layer whose outputs it reads; none reads the inputs of the network.
    pub reads: Option<usize>,
    /// Its inputs.
    pub n_inputs: usize,
    /// Its outputs.
    pub n_outputs: usize,
    /// Its weights among the parameters: that from input i to output j is at `i * n_outputs + j`.
    pub weights: Range<usize>,
    /// Its biases among the parameters.
    pub biases: Range<usize>,
    /// What it does to its sums.
    pub activation: Activation,
    /// Which of the outputs of the network it gives; none of a hidden layer.
    pub gives: Option<Range<usize>>,
}

impl Shape {
    /// `widths` from the inputs to the outputs, for example `[4, 256, 256, 2]`; `hidden` is the activation of all layers but
    /// the last.
    ///
    /// # Errors
    /// With fewer than two widths, a width of 0, or more than [`PARAMETERS_MAX`] parameters.
    pub fn new(widths: &[usize], hidden: Activation) -> Result<Self, ShapeError> {
        if widths.len() < 2 {
            return Err(ShapeError::TooFew(widths.len()));
        }
        let streams = vec![widths[widths.len() - 1]];
        Self { widths: widths.to_vec(), streams, hidden }.checked()
    }

    /// The same with streams: `widths` from the inputs to the last hidden layer, of which each stream has one of its own,
    /// and the outputs of each stream. A single stream is a plain stack of layers.
    ///
    /// # Errors
    /// Without a hidden layer or a stream, with a width of 0, or more than [`PARAMETERS_MAX`] parameters.
    pub fn with_streams(widths: &[usize], streams: &[usize], hidden: Activation) -> Result<Self, ShapeError> {
        if widths.len() < 2 || streams.is_empty() {
            return Err(ShapeError::NoHidden(widths.len()));
        }
        if streams.contains(&0) {
            return Err(ShapeError::Empty(widths.len()));
        }
        let n_outputs = streams.iter().try_fold(0_usize, |sum, n| sum.checked_add(*n));
        let widths = [widths, &[n_outputs.unwrap_or(usize::MAX)]].concat();
        Self { widths, streams: streams.to_vec(), hidden }.checked()
    }

    fn checked(self) -> Result<Self, ShapeError> {
        if let Some(index) = self.widths.iter().position(|width| *width == 0) {
            return Err(ShapeError::Empty(index));
        }
        // With one more for each that a stream has of its own, this is never too small.
        let of_layer =
            |pair: &[usize]| pair[0].checked_add(1)?.checked_mul(pair[1])?.checked_mul(self.streams.len());
        let n_most = self.widths.windows(2).try_fold(0_usize, |sum, pair| sum.checked_add(of_layer(pair)?));
        if n_most.is_none_or(|n| n > PARAMETERS_MAX) {
            return Err(ShapeError::TooLarge(self.widths));
        }
        Ok(self)
    }

    /// The widths, from the inputs to the outputs.
    pub fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// The activation of all layers but the last.
    pub fn hidden(&self) -> Activation {
        self.hidden
    }

    /// How many numbers go in.
    pub fn n_inputs(&self) -> usize {
        self.widths[0]
    }

    /// How many numbers come out.
    pub fn n_outputs(&self) -> usize {
        self.widths[self.widths.len() - 1]
    }

    /// How many outputs each stream has; a plain stack of layers is one stream.
    pub fn streams(&self) -> &[usize] {
        &self.streams
    }

    /// Weights and biases of all layers.
    pub fn n_parameters(&self) -> usize {
        self.layers().map(|layer| (layer.n_inputs + 1) * layer.n_outputs).sum()
    }

    /// The layers in order, stream after stream behind those that all share; parameters are stored layer by layer, weights
    /// before biases.
    pub fn layers(&self) -> impl DoubleEndedIterator<Item = Layer> + ExactSizeIterator + '_ {
        (0..self.n_layers()).map(|index| self.layer(index))
    }

    /// How many layers all streams share: in a plain stack, all but the last hidden one and the last.
    pub fn n_shared(&self) -> usize {
        self.widths.len().saturating_sub(3)
    }

    fn n_layers(&self) -> usize {
        let n_of_stream = self.widths.len() - 1 - self.n_shared();
        self.n_shared() + self.streams.len() * n_of_stream
    }

    fn layer(&self, index: usize) -> Layer {
        let size = |(n_inputs, n_outputs): (usize, usize)| (n_inputs + 1) * n_outputs;
        let start = (0..index).map(|before| size(self.ends_of(before))).sum();
        let (n_inputs, n_outputs) = self.ends_of(index);
        let n_shared = self.n_shared();
        let n_of_stream = self.widths.len() - 1 - n_shared;
        let is_first_of_stream = index >= n_shared && (index - n_shared).is_multiple_of(n_of_stream);
        let stream = index.saturating_sub(n_shared) / n_of_stream;
        let is_last = index + 1 == n_shared + (stream + 1) * n_of_stream;
        let before: usize = self.streams[..stream].iter().sum();
        let end_of_weights = start + n_inputs * n_outputs;
        Layer {
            reads: if is_first_of_stream { n_shared } else { index }.checked_sub(1),
            n_inputs,
            n_outputs,
            weights: start..end_of_weights,
            biases: end_of_weights..end_of_weights + n_outputs,
            activation: if is_last { Activation::Identity } else { self.hidden },
            gives: is_last.then(|| before..before + n_outputs),
        }
    }

    /// Inputs and outputs of a layer.
    fn ends_of(&self, index: usize) -> (usize, usize) {
        let (n_shared, n_widths) = (self.n_shared(), self.widths.len());
        if index < n_shared {
            return (self.widths[index], self.widths[index + 1]);
        }
        let n_of_stream = n_widths - 1 - n_shared;
        let (stream, depth) = ((index - n_shared) / n_of_stream, (index - n_shared) % n_of_stream);
        let n_outputs =
            if depth + 1 == n_of_stream { self.streams[stream] } else { self.widths[n_shared + depth + 1] };
        (self.widths[n_shared + depth], n_outputs)
    }

    /// Multiplications and additions of a forward pass of one row, each counted as one, without activations.
    pub fn flops(&self) -> u64 {
        self.layers().map(|layer| 2 * layer.n_inputs as u64 * layer.n_outputs as u64).sum()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_streams = self.streams.len();
        for (index, width) in self.widths[..self.widths.len() - 1].iter().enumerate() {
            let dash = if index == 0 { "" } else { "-" };
            if n_streams > 1 && index + 2 == self.widths.len() {
                write!(f, "{dash}{n_streams}({width})")?;
            } else {
                write!(f, "{dash}{width}")?;
            }
        }
        for (index, width) in self.streams.iter().enumerate() {
            write!(f, "{}{width}", if index == 0 { "-" } else { "+" })?;
        }
        f.write_str(match self.hidden {
            Activation::Identity => " linear",
            Activation::Relu => " relu",
            Activation::Tanh => " tanh",
        })
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(widths: &[usize], expected: &Expect) {
        let said = match Shape::new(widths, Activation::Relu) {
            Ok(shape) => {
                let layers: Vec<_> =
                    shape.layers().map(|it| (it.weights, it.biases, it.activation)).collect();
                format!("{shape}, {} parameters: {layers:?}", shape.n_parameters())
            }
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&said);
    }

    #[test]
    fn parameters_are_stored_layer_by_layer() {
        check(&[2, 3], &expect!["2-3 relu, 9 parameters: [(0..6, 6..9, Identity)]"]);
        check(
            &[4, 2, 1],
            &expect!["4-2-1 relu, 13 parameters: [(0..8, 8..10, Relu), (10..12, 12..13, Identity)]"],
        );
    }

    /// Both streams read layer 0, and each has a hidden layer of three and outputs of its own.
    #[test]
    fn streams_part_before_the_last_hidden_layer() {
        let show = |widths: &[usize]| {
            let shape = Shape::with_streams(widths, &[2, 1], Activation::Relu).expect("a shape");
            let layers: Vec<_> =
                shape.layers().map(|it| (it.reads, it.n_inputs, it.n_outputs, it.weights.start)).collect();
            format!("{shape}, {} parameters: {layers:?}", shape.n_parameters())
        };
        expect!["4-5-2(3)-2+1 relu, 73 parameters: [(None, 4, 5, 0), (Some(0), 5, 3, 25), (Some(1), 3, 2, 43), (Some(0), 5, 3, 51), (Some(3), 3, 1, 69)]"].assert_eq(&show(&[4, 5, 3]));
        expect!["4-2(3)-2+1 relu, 42 parameters: [(None, 4, 3, 0), (Some(0), 3, 2, 15), (None, 4, 3, 23), (Some(2), 3, 1, 38)]"].assert_eq(&show(&[4, 3]));
        let said =
            Shape::with_streams(&[4], &[2, 1], Activation::Relu).expect_err("no hidden layer").to_string();
        expect!["`widths` must name a hidden layer where there are streams, but has 1 entries"]
            .assert_eq(&said);
    }

    #[test]
    fn impossible_widths_are_named() {
        check(&[3], &expect!["`widths` must name inputs and outputs at least, but has 1 entries"]);
        check(&[3, 0, 1], &expect!["`widths[1]` must be at least 1, but is 0"]);
        check(
            &[1 << 40, 1 << 40],
            &expect![
                "`widths` must need at most 268435456 parameters, but need more: [1099511627776, 1099511627776]"
            ],
        );
    }
}
