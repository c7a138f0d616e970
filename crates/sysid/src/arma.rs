//! ARMA models A y = C e by the prediction-error method.

use tidegate_core::{Fit, Record};

use crate::FitError;
use crate::estimate::estimate;
use crate::input_output::InputOutputModel;
use crate::orders::{Orders, Structure};

/// A y = C e; takes a record without inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arma {
    /// Order of A.
    pub na: usize,
    /// Order of C.
    pub nc: usize,
}

impl Arma {
    /// Of these orders.
    pub const fn new(na: usize, nc: usize) -> Self {
        Self { na, nc }
    }

    /// Orders of all polynomials.
    ///
    /// # Errors
    /// `Order` where the lists differ in length.
    pub fn orders(&self) -> Result<Orders, FitError> {
        Ok(Orders { na: self.na, nc: self.nc, nd: 0, inputs: Vec::new() })
    }
}

impl Fit for Arma {
    type Model = InputOutputModel;
    type Error = FitError;

    fn fit(&self, record: &Record) -> Result<InputOutputModel, FitError> {
        estimate(Structure::Arma, &self.orders()?, record)
    }
}
