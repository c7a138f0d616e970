//! Networks and optimisers as bytes that come back to the bit.
//!
//! Little-endian: the eight letters `tidegnet`, version, kind, what the kind says of itself, numbers as they are, and a
//! checksum (64-bit FNV-1a) of all before it.

use crate::network::Network;
use crate::shape::{Activation, PARAMETERS_MAX, Shape, ShapeError};

/// The version that is written, and the only one that is read.
pub const VERSION: u32 = 1;

/// The records of this package.
pub(crate) const NETWORKS: Family =
    Family { begins: "tidegnet", version: VERSION, kinds: &[NETWORK, OPTIMISER] };

/// Kinds of its records.
const NETWORK: &str = "a network";
pub(crate) const OPTIMISER: &str = "an optimiser";

/// Layers or streams of a network in a record, at most.
const SIZES_MAX: u64 = 1024;

/// Added to the number of the activation where the outputs of several streams follow the widths.
const STREAMS: u64 = 16;

/// Why bytes are not the record they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Something else.
    #[error("this is no such record: it does not begin with `{0}`")]
    NoRecord(&'static str),
    /// Written by another version of the package.
    #[error("the record is of version {found}, but {readable} is what can be read")]
    Version {
        /// Its version.
        found: u32,
        /// The only version that is read.
        readable: u32,
    },
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
        let mut writer = Writer::new(&NETWORKS, NETWORK);
        let (widths, streams) = (self.shape().widths(), self.shape().streams());
        let hidden = match self.shape().hidden() {
            Activation::Identity => 0,
            Activation::Relu => 1,
            Activation::Tanh => 2,
        };
        if streams.len() == 1 {
            writer.u64(hidden);
            writer.sizes(widths);
        } else {
            writer.u64(hidden + STREAMS);
            writer.sizes(&widths[..widths.len() - 1]);
            writer.sizes(streams);
        }
        writer.floats(self.parameters());
        writer.finish()
    }

    /// The network that [`Network::to_bytes`] wrote, of whatever shape.
    ///
    /// # Errors
    /// If the bytes are no such record, of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes, &NETWORKS, NETWORK)?;
        let code = reader.u64()?;
        let hidden = match code % STREAMS {
            0 => Activation::Identity,
            1 => Activation::Relu,
            2 => Activation::Tanh,
            other => return Err(RecordError::Impossible(format!("activation {other}"))),
        };
        let widths = reader.sizes("widths")?;
        let shape = match code / STREAMS {
            0 => Shape::new(&widths, hidden)?,
            1 => Shape::with_streams(&widths, &reader.sizes("streams")?, hidden)?,
            _ => return Err(RecordError::Impossible(format!("activation {code}"))),
        };
        let mut network = Self::zeros_if(shape, reader.rest.len())?;
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

/// Records that are written by one package: what they begin with, and what they can be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// The first letters of every record, of which there are eight.
    pub begins: &'static str,
    /// The version that is written, and the only one that is read.
    pub version: u32,
    /// What records are of, for messages; a kind is an index into them.
    pub kinds: &'static [&'static str],
}

impl Family {
    /// The kind as it stands in a record.
    fn number(&self, kind: &'static str) -> u32 {
        let position = self.kinds.iter().position(|known| *known == kind);
        position.expect("a kind of record is one of its family") as u32
    }
}

/// Puts a record together.
#[derive(Clone, Debug)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A record of this kind, empty so far.
    ///
    /// # Panics
    /// If the family has no such kind.
    pub fn new(family: &Family, kind: &'static str) -> Self {
        let mut bytes = family.begins.as_bytes().to_vec();
        bytes.extend(family.version.to_le_bytes());
        bytes.extend(family.number(kind).to_le_bytes());
        Self { bytes }
    }

    /// A whole number.
    pub fn u64(&mut self, number: u64) {
        self.bytes.extend(number.to_le_bytes());
    }

    /// A number in double precision.
    pub fn f64(&mut self, number: f64) {
        self.u64(number.to_bits());
    }

    /// How many sizes there are, and each of them.
    pub fn sizes(&mut self, sizes: &[usize]) {
        self.u64(sizes.len() as u64);
        for size in sizes {
            self.u64(*size as u64);
        }
    }

    /// Numbers, but not how many.
    pub fn floats(&mut self, numbers: &[f32]) {
        self.bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }

    /// How many bytes there are, and they: a record or a text within the record.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.u64(bytes.len() as u64);
        self.bytes.extend(bytes);
    }

    /// The record, with its checksum.
    pub fn finish(mut self) -> Vec<u8> {
        let checksum = fnv(&self.bytes);
        self.u64(checksum);
        self.bytes
    }
}

/// Takes a record apart, whose head and checksum were right.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A record that must be of this kind.
    ///
    /// # Errors
    /// If it is of another family, version or kind, or its checksum is wrong.
    ///
    /// # Panics
    /// If the family has no such kind.
    pub fn new(bytes: &'a [u8], family: &Family, kind: &'static str) -> Result<Self, RecordError> {
        let rest = bytes.strip_prefix(family.begins.as_bytes());
        let rest = rest.ok_or(RecordError::NoRecord(family.begins))?;
        let (version, rest) = rest.split_first_chunk::<4>().ok_or(RecordError::Length)?;
        let version = u32::from_le_bytes(*version);
        if version != family.version {
            return Err(RecordError::Version { found: version, readable: family.version });
        }
        let (number, rest) = rest.split_first_chunk::<4>().ok_or(RecordError::Length)?;
        let (rest, checksum) = rest.split_last_chunk::<8>().ok_or(RecordError::Length)?;
        if fnv(&bytes[..bytes.len() - checksum.len()]) != u64::from_le_bytes(*checksum) {
            return Err(RecordError::Checksum);
        }
        let number = u32::from_le_bytes(*number);
        if number != family.number(kind) {
            let known = family.kinds.get(number as usize);
            let found = known.map_or_else(|| format!("kind {number}"), |known| (*known).to_owned());
            return Err(RecordError::Kind { found, wanted: kind });
        }
        Ok(Self { rest })
    }

    /// A whole number.
    ///
    /// # Errors
    /// If the record ends before.
    pub fn u64(&mut self) -> Result<u64, RecordError> {
        let (number, rest) = self.rest.split_first_chunk::<8>().ok_or(RecordError::Length)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*number))
    }

    /// A whole number that counts what is in memory.
    ///
    /// # Errors
    /// If the record ends before, or it is beyond all memory.
    pub fn size(&mut self) -> Result<usize, RecordError> {
        usize::try_from(self.u64()?).map_err(|_| RecordError::Length)
    }

    /// A text that was written as bytes.
    ///
    /// # Errors
    /// If the record ends before.
    pub fn text(&mut self) -> Result<String, RecordError> {
        Ok(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    /// A number in double precision.
    ///
    /// # Errors
    /// If the record ends before.
    pub fn f64(&mut self) -> Result<f64, RecordError> {
        Ok(f64::from_bits(self.u64()?))
    }

    /// What [`Writer::sizes`] wrote; `name` is for the message. A size beyond all memory becomes one that no network may
    /// have.
    ///
    /// # Errors
    /// If the record ends before, or there are more than anything has.
    pub fn sizes(&mut self, name: &str) -> Result<Vec<usize>, RecordError> {
        let n = self.u64()?;
        if n > SIZES_MAX {
            return Err(RecordError::Impossible(format!("{n} {name}")));
        }
        (0..n).map(|_| Ok(usize::try_from(self.u64()?).unwrap_or(PARAMETERS_MAX + 1))).collect()
    }

    /// So many numbers.
    ///
    /// # Errors
    /// If the record ends before.
    pub fn floats(&mut self, n: usize) -> Result<Vec<f32>, RecordError> {
        let n_bytes = n.checked_mul(4).ok_or(RecordError::Length)?;
        let (numbers, rest) = self.rest.split_at_checked(n_bytes).ok_or(RecordError::Length)?;
        self.rest = rest;
        let (numbers, _) = numbers.as_chunks::<4>();
        Ok(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    /// What [`Writer::bytes`] wrote.
    ///
    /// # Errors
    /// If the record ends before.
    pub fn bytes(&mut self) -> Result<&'a [u8], RecordError> {
        let n = self.size()?;
        let (bytes, rest) = self.rest.split_at_checked(n).ok_or(RecordError::Length)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// That nothing is left.
    ///
    /// # Errors
    /// If something is.
    pub fn finish(self) -> Result<(), RecordError> {
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
    fn streams_come_back() {
        let shape = Shape::with_streams(&[2, 5, 3], &[4, 2], Activation::Relu).expect("a shape");
        let network = Network::new(shape, Initial::TorchLinear, &mut Seed::training(1).rng(Stream::Learner));
        assert_eq!(Network::from_bytes(&network.to_bytes()), Ok(network));
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
        check(b"PK", &expect!["this is no such record: it does not begin with `tidegnet`"]);
        check(&with(|it| it[8] = 2), &expect!["the record is of version 2, but 1 is what can be read"]);
        check(&with(|it| it[40] ^= 1), &expect!["the record is damaged: its checksum is wrong"]);
        check(&with(|it| it.truncate(14)), &expect!["the record is cut off, or goes on behind its end"]);
        check(&with(|it| it.truncate(60)), &expect!["the record is damaged: its checksum is wrong"]);
        check(
            &network(&[2, 4, 1]).to_bytes(),
            &expect!["the record is of a network 2-4-1 tanh, but must be of 2-3-1 tanh"],
        );
        check(&Adam::new(13).to_bytes(), &expect!["the record is of an optimiser, but must be of a network"]);
        let error = Adam::from_bytes(&Adam::new(12).to_bytes(), 13);
        expect!["the record is of an optimiser for 12 parameters, but must be for 13"]
            .assert_eq(&error.expect_err("it is of another network").to_string());
    }

    /// With a right checksum, but a shape that would need all memory, or that of no network.
    #[test]
    fn an_impossible_shape_is_refused_before_memory_is_taken() {
        let record = |numbers: &[u64]| {
            let mut writer = Writer::new(&NETWORKS, NETWORK);
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
