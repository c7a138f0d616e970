//! The parameters that a network starts with.

use rand::{Rng, RngExt};

use crate::shape::Shape;

/// A rule for the first weights and biases of every layer. All are uniform in ± a bound.
///
/// | symbol | word |
/// | --- | --- |
/// | n, m | inputs and outputs of the layer |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initial {
    /// Weights and biases ± 1/√n, as `torch.nn.Linear` starts (Kaiming uniform with a = √5).
    TorchLinear,
    /// Weights ± √(6/n), biases 0: keeps the variance through `ReLU` (He et al., "Delving deep into rectifiers", ICCV
    /// 2015, eq. 10).
    KaimingUniform,
    /// Weights ± √(6/(n + m)), biases 0: keeps the variance through tanh, forwards and backwards (Glorot and Bengio,
    /// AISTATS 2010, eq. 16).
    XavierUniform,
}

impl Initial {
    /// Fills the parameters of a network of this shape, in their order, with one draw for each that is not 0.
    ///
    /// # Panics
    /// If there are not as many as the shape has.
    pub fn fill(self, shape: &Shape, parameters: &mut [f32], rng: &mut impl Rng) {
        assert_eq!(parameters.len(), shape.n_parameters(), "the parameters are those of the shape {shape}");
        for layer in shape.layers() {
            let (n, m) = (layer.n_inputs as f32, layer.n_outputs as f32);
            let (of_weights, of_biases) = match self {
                Self::TorchLinear => (n.sqrt().recip(), n.sqrt().recip()),
                Self::KaimingUniform => ((6.0 / n).sqrt(), 0.0),
                Self::XavierUniform => ((6.0 / (n + m)).sqrt(), 0.0),
            };
            for weight in &mut parameters[layer.weights] {
                *weight = symmetric(of_weights, rng);
            }
            for bias in &mut parameters[layer.biases] {
                *bias = if of_biases == 0.0 { 0.0 } else { symmetric(of_biases, rng) };
            }
        }
    }
}

/// Uniform in ± `bound`.
fn symmetric(bound: f32, rng: &mut impl Rng) -> f32 {
    (2.0 * rng.random::<f32>() - 1.0) * bound
}

#[cfg(test)]
mod tests {
    use tidegate_core::{Seed, Stream};

    use super::*;
    use crate::shape::Activation;

    /// Bound and variance (bound²/3) of weights and biases of both layers, by the formulas; the variance of n uniform numbers
    /// within four standard errors, bound² √(4/45/n).
    #[test]
    fn weights_are_spread_as_the_papers_say() {
        let shape = Shape::new(&[300, 200, 100], Activation::Relu).expect("a shape");
        let check = |initial: Initial, bounds: [(f64, f64); 2]| {
            let mut parameters = vec![f32::NAN; shape.n_parameters()];
            initial.fill(&shape, &mut parameters, &mut Seed::training(3).rng(Stream::Learner));
            for (layer, (of_weights, of_biases)) in shape.layers().zip(bounds) {
                for (range, bound) in [(layer.weights, of_weights), (layer.biases, of_biases)] {
                    let values = &parameters[range];
                    let n = values.len() as f64;
                    let variance = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / n;
                    let error = 4.0 * bound * bound * (4.0 / 45.0 / n).sqrt();
                    assert!((variance - bound * bound / 3.0).abs() <= error, "{initial:?}: {variance}");
                    assert!(values.iter().all(|value| f64::from(value.abs()) <= bound * (1.0 + 1e-6)));
                }
            }
        };
        let by = |n: f64| (n.sqrt().recip(), n.sqrt().recip());
        check(Initial::TorchLinear, [by(300.0), by(200.0)]);
        check(Initial::KaimingUniform, [((6.0_f64 / 300.0).sqrt(), 0.0), ((6.0_f64 / 200.0).sqrt(), 0.0)]);
        check(Initial::XavierUniform, [((6.0_f64 / 500.0).sqrt(), 0.0), ((6.0_f64 / 300.0).sqrt(), 0.0)]);
    }
}
