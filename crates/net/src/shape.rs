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
/// none.
///
/// Shown as `4-256-256-2 relu`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    widths: Vec<usize>,
    hidden: Activation,
}

/// Widths of which no network can be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// There is no layer between inputs and outputs.
    #[error("`widths` must name inputs and outputs at least, but has {0} entries")]
    TooFew(usize),
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
        if let Some(index) = widths.iter().position(|width| *width == 0) {
            return Err(ShapeError::Empty(index));
        }
        let of_layer = |pair: &[usize]| pair[0].checked_add(1)?.checked_mul(pair[1]);
        let n_parameters = widths.windows(2).try_fold(0_usize, |sum, pair| sum.checked_add(of_layer(pair)?));
        if n_parameters.is_none_or(|n| n > PARAMETERS_MAX) {
            return Err(ShapeError::TooLarge(widths.to_vec()));
        }
        Ok(Self { widths: widths.to_vec(), hidden })
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

    /// Weights and biases of all layers.
    pub fn n_parameters(&self) -> usize {
        self.widths.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum()
    }

    /// The layers in order; parameters are stored layer by layer, weights before biases.
    pub fn layers(&self) -> impl DoubleEndedIterator<Item = Layer> + ExactSizeIterator + '_ {
        let n_layers = self.widths.len() - 1;
        (0..n_layers).map(move |index| {
            let start = self.widths[..=index].windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum::<usize>();
            let (n_inputs, n_outputs) = (self.widths[index], self.widths[index + 1]);
            let end_of_weights = start + n_inputs * n_outputs;
            Layer {
                n_inputs,
                n_outputs,
                weights: start..end_of_weights,
                biases: end_of_weights..end_of_weights + n_outputs,
                activation: if index + 1 == n_layers { Activation::Identity } else { self.hidden },
            }
        })
    }

    /// Multiplications and additions of a forward pass of one row, each counted as one, without activations.
    pub fn flops(&self) -> u64 {
        self.widths.windows(2).map(|pair| 2 * pair[0] as u64 * pair[1] as u64).sum()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, width) in self.widths.iter().enumerate() {
            write!(f, "{}{width}", if index == 0 { "" } else { "-" })?;
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
