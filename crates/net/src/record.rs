//! Networks and optimisers as bytes that come back to the bit.
//!
//! Little-endian: the eight letters `tidegnet`, version, kind, what the kind says of itself, numbers as they are, and a
//! checksum (64-bit FNV-1a) of all before it.

use crate::network::Network;
use crate::shape::{Activation, PARAMETERS_MAX, Shape, ShapeError};

/// The version that is written, and the only one that is read.
pub const VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"tidegnet";

/// Layers of a network in a record, at most.
const WIDTHS_MAX: u64 = 1024;

/// Why bytes are not the record they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Something else.
    #[error("this is no record of a network: it does not begin with `tidegnet`")]
    NoRecord,
    /// Written by another version of this package.
    #[error("the record is of version {0}, but {VERSION} is what can be read")]
    Version(u32),
    /// A network instead of an optimiser, or the other way round.
    #[error("the record is of {found}, but must be of {wanted}")]
    Kind {
        /// What it is of.
        found: String,
        /// What it should be of.
        wanted: &'static str,
    },
    /// It ends too early, or goes on.
    #[error("the record is cut off, or goes on behind its end")]
    Length,
    /// A bit has changed.
    #[error("the record is damaged: its checksum is wrong")]
    Checksum,
    /// Its shape is none.
    #[error("the record has an impossible shape: {0}")]
    Impossible(String),
    /// A network, but not the one that was asked for.
    #[error("the record is of a network {found}, but must be of {wanted}")]
    Shape {
        /// What it is of.
        found: Shape,
        /// What it should be of.
        wanted: Shape,
    },
    /// An optimiser, but not that of the network.
    #[error("the record is of an optimiser for {found} parameters, but must be for {wanted}")]
    Parameters {
        /// What it is for.
        found: u64,
        /// What it should be for.
        wanted: usize,
    },
}

impl From<ShapeError> for RecordError {
    fn from(error: ShapeError) -> Self {
        Self::Impossible(error.to_string())
    }
}

impl Network {
    /// Shape and parameters, as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new(Kind::Network);
        writer.u64(match self.shape().hidden() {
            Activation::Identity => 0,
            Activation::Relu => 1,
            Activation::Tanh => 2,
        });
        writer.u64(self.shape().widths().len() as u64);
        self.shape().widths().iter().for_each(|width| writer.u64(*width as u64));
        writer.floats(self.parameters());
        writer.finish()
    }

    /// The network that [`Network::to_bytes`] wrote, of whatever shape.
    ///
    /// # Errors
    /// If the bytes are no such record, of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes, Kind::Network)?;
        let hidden = match reader.u64()? {
            0 => Activation::Identity,
            1 => Activation::Relu,
            2 => Activation::Tanh,
            other => return Err(RecordError::Impossible(format!("activation {other}"))),
        };
        let n_widths = reader.u64()?;
        if n_widths > WIDTHS_MAX {
            return Err(RecordError::Impossible(format!("{n_widths} widths")));
        }
        let mut widths = Vec::new();
        for _ in 0..n_widths {
            let width = reader.u64()?;
            widths.push(usize::try_from(width).unwrap_or(PARAMETERS_MAX + 1));
        }
        let mut network = Self::zeros_if(Shape::new(&widths, hidden)?, reader.rest.len())?;
        let parameters = reader.floats(network.parameters().len())?;
        network.parameters_mut().copy_from_slice(&parameters);
        reader.finish()?;
        Ok(network)
    }

    /// The same, if it is of this shape.
    ///
    /// # Errors
    /// As [`Network::from_bytes`], or if its shape is another.
    pub fn from_bytes_as(shape: &Shape, bytes: &[u8]) -> Result<Self, RecordError> {
        let network = Self::from_bytes(bytes)?;
        if network.shape() != shape {
            return Err(RecordError::Shape { found: network.shape().clone(), wanted: shape.clone() });
        }
        Ok(network)
    }

    /// Nothing is allocated that the record does not hold.
    fn zeros_if(shape: Shape, n_bytes: usize) -> Result<Self, RecordError> {
        if shape.n_parameters() * 4 == n_bytes { Ok(Self::zeros(shape)) } else { Err(RecordError::Length) }
    }
}

/// What a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Network,
    Adam,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Network => "a network",
            Self::Adam => "an optimiser",
        }
    }
}

/// Puts a record together.
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(kind: Kind) -> Self {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((kind as u32).to_le_bytes());
        Self { bytes }
    }

    pub(crate) fn u64(&mut self, number: u64) {
        self.bytes.extend(number.to_le_bytes());
    }

    pub(crate) fn floats(&mut self, numbers: &[f32]) {
        self.bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        let checksum = fnv(&self.bytes);
        self.u64(checksum);
        self.bytes
    }
}

/// Takes one apart, whose head and checksum were right.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], wanted: Kind) -> Result<Self, RecordError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(RecordError::NoRecord)?;
        let (version, rest) = rest.split_first_chunk::<4>().ok_or(RecordError::Length)?;
        let version = u32::from_le_bytes(*version);
        if version != VERSION {
            return Err(RecordError::Version(version));
        }
        let (kind, rest) = rest.split_first_chunk::<4>().ok_or(RecordError::Length)?;
        let (rest, checksum) = rest.split_last_chunk::<8>().ok_or(RecordError::Length)?;
        if fnv(&bytes[..bytes.len() - checksum.len()]) != u64::from_le_bytes(*checksum) {
            return Err(RecordError::Checksum);
        }
        let kind = u32::from_le_bytes(*kind);
        if kind != wanted as u32 {
            let known = [Kind::Network, Kind::Adam].into_iter().find(|known| *known as u32 == kind);
            let found = known.map_or_else(|| format!("kind {kind}"), |known| known.name().to_owned());
            return Err(RecordError::Kind { found, wanted: wanted.name() });
        }
        Ok(Self { rest })
    }

    pub(crate) fn u64(&mut self) -> Result<u64, RecordError> {
        let (number, rest) = self.rest.split_first_chunk::<8>().ok_or(RecordError::Length)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*number))
    }

    pub(crate) fn floats(&mut self, n: usize) -> Result<Vec<f32>, RecordError> {
        let (numbers, rest) = self.rest.split_at_checked(4 * n).ok_or(RecordError::Length)?;
        self.rest = rest;
        let (numbers, _) = numbers.as_chunks::<4>();
        Ok(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    pub(crate) fn finish(self) -> Result<(), RecordError> {
        if self.rest.is_empty() { Ok(()) } else { Err(RecordError::Length) }
    }
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use tidegate_core::{Seed, Stream};

    use super::*;
    use crate::{Adam, Initial};

    fn network(widths: &[usize]) -> Network {
        let shape = Shape::new(widths, Activation::Tanh).expect("a shape");
        Network::new(shape, Initial::XavierUniform, &mut Seed::training(0).rng(Stream::Learner))
    }

    /// A published value of the checksum.
    #[test]
    fn the_checksum_is_fnv_1a() {
        assert_eq!(fnv(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn numbers_of_all_kinds_come_back_to_the_bit() {
        let mut network = network(&[2, 3, 1]);
        let odd = [f32::NAN, f32::NEG_INFINITY, -0.0, f32::MIN_POSITIVE / 8.0, f32::MAX];
        network.parameters_mut()[..5].copy_from_slice(&odd);
        let again = Network::from_bytes(&network.to_bytes()).expect("what was written");
        let bits = |network: &Network| network.parameters().iter().map(|it| it.to_bits()).collect::<Vec<_>>();
        assert_eq!((bits(&again), again.shape()), (bits(&network), network.shape()));
    }

    fn check(bytes: &[u8], expected: &Expect) {
        let shape = Shape::new(&[2, 3, 1], Activation::Tanh).expect("a shape");
        expected.assert_eq(&Network::from_bytes_as(&shape, bytes).expect_err("it is broken").to_string());
    }

    #[test]
    fn every_wrong_record_is_told_apart() {
        let good = network(&[2, 3, 1]).to_bytes();
        let with = |change: fn(&mut Vec<u8>)| {
            let mut bytes = good.clone();
            change(&mut bytes);
            bytes
        };
        check(b"PK", &expect!["this is no record of a network: it does not begin with `tidegnet`"]);
        check(&with(|it| it[8] = 2), &expect!["the record is of version 2, but 1 is what can be read"]);
        check(&with(|it| it[40] ^= 1), &expect!["the record is damaged: its checksum is wrong"]);
        check(&with(|it| it.truncate(14)), &expect!["the record is cut off, or goes on behind its end"]);
        check(&with(|it| it.truncate(60)), &expect!["the record is damaged: its checksum is wrong"]);
        check(
            &network(&[2, 4, 1]).to_bytes(),
            &expect!["the record is of a network 2-4-1 tanh, but must be of 2-3-1 tanh"],
        );
        check(&Adam::new(13).to_bytes(), &expect!["the record is of an optimiser, but must be of a network"]);
        let error = Adam::from_bytes(&Adam::new(12).to_bytes(), &network(&[2, 3, 1]));
        expect!["the record is of an optimiser for 12 parameters, but must be for 13"]
            .assert_eq(&error.expect_err("it is of another network").to_string());
    }

    /// With a right checksum, but a shape that would need all memory, or that of no network.
    #[test]
    fn an_impossible_shape_is_refused_before_memory_is_taken() {
        let record = |numbers: &[u64]| {
            let mut writer = Writer::new(Kind::Network);
            for number in numbers {
                writer.u64(*number);
            }
            writer.finish()
        };
        let huge = u64::from(u32::MAX);
        check(&record(&[1, huge]), &expect!["the record has an impossible shape: 4294967295 widths"]);
        check(&record(&[9, 2, 1, 1]), &expect!["the record has an impossible shape: activation 9"]);
        check(&record(&[1, 2, 1, 1]), &expect!["the record is cut off, or goes on behind its end"]);
        check(
            &record(&[1, 2, 3, 0]),
            &expect!["the record has an impossible shape: `widths[1]` must be at least 1, but is 0"],
        );
        check(
            &record(&[1, 2, 1 << 14, 1 << 13]),
            &expect!["the record is cut off, or goes on behind its end"],
        );
    }
}
