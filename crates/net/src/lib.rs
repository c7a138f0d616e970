//! Small networks: seeded initialisation, forward passes, gradients, Adam, records.
//!
//! A [`Network`] is a stack of dense layers whose parameters are one flat slice, so that what is built on it (target
//! networks, noisy or dueling heads, averages) works on slices of numbers. A loss is a function of the outputs that
//! writes its gradient by them; [`Network::gradient`] carries it back to the parameters, [`Adam`] steps along it, and a
//! [`Trainer`] does both. Whoever trains owns the loop.
//!
//! No thread is started and nothing is drawn but from the generator that is passed in: the same calls give the same
//! bits on the same class of processor, whatever else runs.
//!
//! ```
//! use tidegate_core::{Seed, Stream};
//! use tidegate_net::{Activation, Initial, Network, Pass, Pointwise, Shape, Trainer};
//!
//! let shape = Shape::new(&[1, 16, 1], Activation::Tanh)?;
//! let mut rng = Seed::training(0).rng(Stream::Learner);
//! let mut network = Network::new(shape, Initial::XavierUniform, &mut rng);
//! let mut trainer = Trainer::new(&network, 1e-2);
//! let (inputs, targets) = ([-1.0, 0.0, 1.0], [1.0, 0.0, 1.0]);
//! for _ in 0..500 {
//!     trainer.step(&mut network, &inputs, |outputs, by_outputs| {
//!         Pointwise::Squared.mean(outputs, &targets, by_outputs)
//!     })?;
//! }
//! let mut pass = Pass::default();
//! assert!((network.forward(&[1.0], &mut pass)[0] - 1.0).abs() < 0.05);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod adam;
pub mod initial;
mod kernels;
pub mod loss;
pub mod network;
pub mod quantile;
pub mod record;
pub mod schedule;
pub mod shape;
pub mod trainer;

pub use adam::{Adam, AdamOptions, clip_norm};
pub use initial::Initial;
pub use loss::Pointwise;
pub use network::{Network, Pass};
pub use quantile::QuantileHead;
pub use record::{Family, Reader, RecordError, Writer};
pub use schedule::Schedule;
pub use shape::{Activation, Shape, ShapeError};
pub use trainer::{NotFinite, Trainer};
