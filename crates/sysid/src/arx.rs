//! ARX models A y = Σ Bᵢ uᵢ + e by linear least squares, through orthogonal triangularisation [Ljung, section 10.1].

use tidegate_core::{Fit, Record};

use crate::FitError;
use crate::estimate::estimate;
use crate::input_output::InputOutputModel;
use crate::orders::{Orders, Structure, inputs};

/// A y = Σ Bᵢ uᵢ + e. With na = 0 a finite impulse response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arx {
    /// Order of A.
    pub na: usize,
    /// Coefficients of each input's B beside its leading zeros.
    pub nb: Vec<usize>,
    /// Delay of each input in steps; 0 is direct feed-through.
    pub nk: Vec<usize>,
}

impl Arx {
    /// One entry an input in each list.
    pub fn new(na: usize, nb: &[usize], nk: &[usize]) -> Self {
        Self { na, nb: nb.to_vec(), nk: nk.to_vec() }
    }

    /// Orders of all polynomials.
    ///
    /// # Errors
    /// `Order` where the lists differ in length.
    pub fn orders(&self) -> Result<Orders, FitError> {
        Ok(Orders { na: self.na, nc: 0, nd: 0, inputs: inputs(&self.nb, None, &self.nk)? })
    }
}

impl Fit for Arx {
    type Model = InputOutputModel;
    type Error = FitError;

    fn fit(&self, record: &Record) -> Result<InputOutputModel, FitError> {
        estimate(Structure::Arx, &self.orders()?, record)
    }
}
