//! Output-error models y = Σ (Bᵢ/Fᵢ) uᵢ + e: the best free run from zero.

use tidegate_core::{Fit, Record};

use crate::FitError;
use crate::estimate::estimate;
use crate::input_output::InputOutputModel;
use crate::orders::{Orders, Structure, inputs};

/// y = Σ (Bᵢ/Fᵢ) uᵢ + e.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputError {
    /// Coefficients of each input's B beside its leading zeros.
    pub nb: Vec<usize>,
    /// Order of each input's F.
    pub nf: Vec<usize>,
    /// Delay of each input in steps; 0 is direct feed-through.
    pub nk: Vec<usize>,
}

impl OutputError {
    /// One entry an input in each list.
    pub fn new(nb: &[usize], nf: &[usize], nk: &[usize]) -> Self {
        Self { nb: nb.to_vec(), nf: nf.to_vec(), nk: nk.to_vec() }
    }

    /// Orders of all polynomials.
    ///
    /// # Errors
    /// `Order` where the lists differ in length.
    pub fn orders(&self) -> Result<Orders, FitError> {
        Ok(Orders { na: 0, nc: 0, nd: 0, inputs: inputs(&self.nb, Some(&self.nf), &self.nk)? })
    }
}

impl Fit for OutputError {
    type Model = InputOutputModel;
    type Error = FitError;

    fn fit(&self, record: &Record) -> Result<InputOutputModel, FitError> {
        estimate(Structure::OutputError, &self.orders()?, record)
    }
}
