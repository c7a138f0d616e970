//! Models as JSON that comes back bit for bit.

use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use super::{Matrices, Port, StateSpaceError, StateSpaceModel, Warning};

/// What this version writes and reads.
const VERSION: u32 = 1;
/// Says what the file holds, so that another kind of model is not taken for one.
const KIND: &str = "state_space";

/// Why a text is not a model.
#[derive(Debug, thiserror::Error)]
pub enum ModelFileError {
    /// Not JSON, or a field is missing, misspelt or of another type.
    #[error("the model file cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// Another kind of model.
    #[error("`kind` is `{0}`, but must be `state_space`")]
    Kind(String),
    /// Written by another version.
    #[error("`version` is {0}, but this program reads version 1")]
    Version(u32),
    /// Rows of a matrix differ in length.
    #[error("`{matrix}[{row}]` has {found} entries, but must have {needed}")]
    Ragged {
        /// For example `a`.
        matrix: &'static str,
        /// Position of the row, from 0.
        row: usize,
        /// Entries it has.
        found: usize,
        /// Entries of a full row.
        needed: usize,
    },
    /// The parts do not make a model.
    #[error(transparent)]
    Model(#[from] StateSpaceError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    kind: String,
    version: u32,
    step_seconds: f64,
    inputs: Vec<PortFile>,
    outputs: Vec<PortFile>,
    a: Vec<Vec<f64>>,
    b: Vec<Vec<f64>>,
    c: Vec<Vec<f64>>,
    d: Vec<Vec<f64>>,
    k: Vec<Vec<f64>>,
    innovation_covariance: Vec<Vec<f64>>,
    warnings: Vec<WarningFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PortFile {
    name: String,
    unit: String,
    mean: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum WarningFile {
    Unstable { radius: f64 },
    Stabilised { radius: f64 },
    NearUnitPole { radius: f64, steps: f64, record_steps: usize },
    NoNoiseModel {},
    OrderAboveRank { order: usize, rank: usize },
}

impl StateSpaceModel {
    /// The model as JSON; [`StateSpaceModel::from_json`] gives back the same bits.
    pub fn to_json(&self) -> String {
        let Matrices { a, b, c, d, k } = &self.matrices;
        let ports = |ports: &[Port]| {
            let file = |Port { name, unit, mean }: &Port| PortFile {
                name: name.clone(),
                unit: unit.clone(),
                mean: *mean,
            };
            ports.iter().map(file).collect()
        };
        let file = File {
            kind: KIND.into(),
            version: VERSION,
            step_seconds: self.step_seconds,
            inputs: ports(&self.inputs),
            outputs: ports(&self.outputs),
            a: rows(a),
            b: rows(b),
            c: rows(c),
            d: rows(d),
            k: rows(k),
            innovation_covariance: rows(&self.innovation_covariance),
            warnings: self.warnings.iter().map(WarningFile::from).collect(),
        };
        serde_json::to_string_pretty(&file).expect("finite numbers and text always have a JSON form")
    }

    /// The model that [`StateSpaceModel::to_json`] wrote.
    ///
    /// # Errors
    /// Text that is not such a file, another version, or parts that do not make a model.
    pub fn from_json(text: &str) -> Result<Self, ModelFileError> {
        let file: File = serde_json::from_str(text)?;
        if file.kind != KIND {
            return Err(ModelFileError::Kind(file.kind));
        }
        if file.version != VERSION {
            return Err(ModelFileError::Version(file.version));
        }
        let ports = |ports: Vec<PortFile>| -> Vec<Port> {
            ports.into_iter().map(|PortFile { name, unit, mean }| Port { name, unit, mean }).collect()
        };
        let (inputs, outputs) = (ports(file.inputs), ports(file.outputs));
        let (n, m, p) = (file.a.len(), inputs.len(), outputs.len());
        let matrices = Matrices {
            a: matrix("a", &file.a, n)?,
            b: matrix("b", &file.b, m)?,
            c: matrix("c", &file.c, n)?,
            d: matrix("d", &file.d, m)?,
            k: matrix("k", &file.k, p)?,
        };
        let covariance = matrix("innovation_covariance", &file.innovation_covariance, p)?;
        let mut model = Self::new(file.step_seconds, inputs, outputs, matrices, covariance)?;
        model.warnings = file.warnings.into_iter().map(Warning::from).collect();
        // A file that was edited must not lose the one warning that always stands.
        let radius = model.spectral_radius();
        let says_so = model.warnings.iter().any(|warning| matches!(warning, Warning::Unstable { .. }));
        if radius >= 1.0 && !says_so {
            model.warnings.push(Warning::Unstable { radius });
        }
        Ok(model)
    }
}

fn rows(matrix: &DMatrix<f64>) -> Vec<Vec<f64>> {
    matrix.row_iter().map(|row| row.iter().copied().collect()).collect()
}

fn matrix(name: &'static str, rows: &[Vec<f64>], columns: usize) -> Result<DMatrix<f64>, ModelFileError> {
    if let Some(row) = rows.iter().position(|row| row.len() != columns) {
        return Err(ModelFileError::Ragged { matrix: name, row, found: rows[row].len(), needed: columns });
    }
    Ok(DMatrix::from_fn(rows.len(), columns, |row, column| rows[row][column]))
}

impl From<&Warning> for WarningFile {
    fn from(warning: &Warning) -> Self {
        match *warning {
            Warning::Unstable { radius } => Self::Unstable { radius },
            Warning::Stabilised { radius } => Self::Stabilised { radius },
            Warning::NearUnitPole { radius, steps, record_steps } => {
                Self::NearUnitPole { radius, steps, record_steps }
            }
            Warning::NoNoiseModel => Self::NoNoiseModel {},
            Warning::OrderAboveRank { order, rank } => Self::OrderAboveRank { order, rank },
        }
    }
}

impl From<WarningFile> for Warning {
    fn from(warning: WarningFile) -> Self {
        match warning {
            WarningFile::Unstable { radius } => Self::Unstable { radius },
            WarningFile::Stabilised { radius } => Self::Stabilised { radius },
            WarningFile::NearUnitPole { radius, steps, record_steps } => {
                Self::NearUnitPole { radius, steps, record_steps }
            }
            WarningFile::NoNoiseModel {} => Self::NoNoiseModel,
            WarningFile::OrderAboveRank { order, rank } => Self::OrderAboveRank { order, rank },
        }
    }
}
