//! Box–Jenkins models y = Σ (Bᵢ/Fᵢ) uᵢ + (C/D) e by the prediction-error method.

use tidegate_core::{Fit, Record};

use crate::FitError;
use crate::estimate::estimate;
use crate::input_output::InputOutputModel;
use crate::orders::{Orders, Structure, inputs};

/// y = Σ (Bᵢ/Fᵢ) uᵢ + (C/D) e.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoxJenkins {
    /// Coefficients of each input's B beside its leading zeros.
    pub nb: Vec<usize>,
    /// Order of C.
    pub nc: usize,
    /// Order of D.
    pub nd: usize,
    /// Order of each input's F.
    pub nf: Vec<usize>,
    /// Delay of each input in steps; 0 is direct feed-through.
    pub nk: Vec<usize>,
}

impl BoxJenkins {
    /// One entry an input in each list.
    pub fn new(nb: &[usize], nc: usize, nd: usize, nf: &[usize], nk: &[usize]) -> Self {
        Self { nb: nb.to_vec(), nc, nd, nf: nf.to_vec(), nk: nk.to_vec() }
    }

    /// Orders of all polynomials.
    ///
    /// # Errors
    /// `Order` where the lists differ in length.
    pub fn orders(&self) -> Result<Orders, FitError> {
        let inputs = inputs(&self.nb, Some(&self.nf), &self.nk)?;
        Ok(Orders { na: 0, nc: self.nc, nd: self.nd, inputs })
    }
}

impl Fit for BoxJenkins {
    type Model = InputOutputModel;
    type Error = FitError;

    fn fit(&self, record: &Record) -> Result<InputOutputModel, FitError> {
        estimate(Structure::BoxJenkins, &self.orders()?, record)
    }
}
