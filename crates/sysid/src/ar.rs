//! Autoregression A y = e by linear least squares (the covariance method: no windows, no zeros before the record).

use tidegate_core::{Fit, Record};

use crate::FitError;
use crate::estimate::estimate;
use crate::input_output::InputOutputModel;
use crate::orders::{Orders, Structure};

/// Autoregression A y = e; takes a record without inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ar {
    /// Order of A.
    pub na: usize,
}

impl Ar {
    /// Of this order.
    pub const fn new(na: usize) -> Self {
        Self { na }
    }

    /// Orders of all polynomials.
    ///
    /// # Errors
    /// `Order` where the lists differ in length.
    pub fn orders(&self) -> Result<Orders, FitError> {
        Ok(Orders { na: self.na, nc: 0, nd: 0, inputs: Vec::new() })
    }
}

impl Fit for Ar {
    type Model = InputOutputModel;
    type Error = FitError;

    fn fit(&self, record: &Record) -> Result<InputOutputModel, FitError> {
        estimate(Structure::Ar, &self.orders()?, record)
    }
}
