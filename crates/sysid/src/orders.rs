//! Orders and delays of an input-output model, and where each parameter stands.

use std::fmt;
use std::ops::Range;

use crate::FitError;

/// Which corner of the general structure A y = Σ (Bᵢ/Fᵢ) uᵢ + (C/D) e a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Structure {
    /// A y = e.
    Ar,
    /// A y = Σ Bᵢ uᵢ + e.
    Arx,
    /// A y = C e.
    Arma,
    /// A y = Σ Bᵢ uᵢ + C e.
    Armax,
    /// y = Σ (Bᵢ/Fᵢ) uᵢ + e.
    OutputError,
    /// y = Σ (Bᵢ/Fᵢ) uᵢ + (C/D) e.
    BoxJenkins,
}

impl Structure {
    /// As papers and toolboxes call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ar => "AR",
            Self::Arx => "ARX",
            Self::Arma => "ARMA",
            Self::Armax => "ARMAX",
            Self::OutputError => "OE",
            Self::BoxJenkins => "BJ",
        }
    }
}

/// Orders of one input's polynomials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InputOrders {
    /// Coefficients of B beside its leading zeros; at least 1.
    pub nb: usize,
    /// Order of F.
    pub nf: usize,
    /// Steps from input to output: leading zeros of B. 0 is direct feed-through.
    pub nk: usize,
}

/// Orders of all polynomials. Parameters stand in the order a, b (input by input), c, d, f (input by input).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Orders {
    /// Order of A.
    pub na: usize,
    /// Order of C.
    pub nc: usize,
    /// Order of D.
    pub nd: usize,
    /// B, F and delay of each input.
    pub inputs: Vec<InputOrders>,
}

/// No order or delay may be larger: what is larger is a slip, and its regressors would fill the memory.
pub const ORDER_MAX: usize = 1000;

impl Orders {
    /// The first sample whose residual needs no value from before the record: max(na, nbᵢ + nkᵢ − 1) + nd.
    pub fn skip(&self) -> usize {
        let inputs = self.inputs.iter().map(|it| it.nb + it.nk - 1).max().unwrap_or(0);
        self.na.max(inputs) + self.nd
    }

    /// Number of parameters.
    pub fn n_parameters(&self) -> usize {
        self.na + self.nc + self.nd + self.inputs.iter().map(|it| it.nb + it.nf).sum::<usize>()
    }

    /// Where a₁ … stand.
    pub fn a(&self) -> Range<usize> {
        0..self.na
    }

    /// Where the coefficients of Bᵢ stand.
    pub fn b(&self, input: usize) -> Range<usize> {
        let start = self.na + self.inputs[..input].iter().map(|it| it.nb).sum::<usize>();
        start..start + self.inputs[input].nb
    }

    /// Where c₁ … stand.
    pub fn c(&self) -> Range<usize> {
        let start = self.na + self.inputs.iter().map(|it| it.nb).sum::<usize>();
        start..start + self.nc
    }

    /// Where d₁ … stand.
    pub fn d(&self) -> Range<usize> {
        let start = self.c().end;
        start..start + self.nd
    }

    /// Where f₁ … of input i stand.
    pub fn f(&self, input: usize) -> Range<usize> {
        let start = self.d().end + self.inputs[..input].iter().map(|it| it.nf).sum::<usize>();
        start..start + self.inputs[input].nf
    }

    /// Names of the parameters; the number is the power of q⁻¹ that the parameter belongs to: `b3 of u` is the
    /// coefficient of q⁻³ in B.
    pub fn names(&self, inputs: &[String]) -> Vec<String> {
        let of = |input: usize| match self.inputs.len() {
            1 => String::new(),
            _ => format!(" of {}", inputs[input]),
        };
        let mut names: Vec<String> = (1..=self.na).map(|k| format!("a{k}")).collect();
        for (input, it) in self.inputs.iter().enumerate() {
            names.extend((it.nk..it.nk + it.nb).map(|k| format!("b{k}{}", of(input))));
        }
        names.extend((1..=self.nc).map(|k| format!("c{k}")));
        names.extend((1..=self.nd).map(|k| format!("d{k}")));
        for (input, it) in self.inputs.iter().enumerate() {
            names.extend((1..=it.nf).map(|k| format!("f{k}{}", of(input))));
        }
        names
    }

    /// Checks that there is something to estimate and that no order is a slip.
    ///
    /// # Errors
    /// `Order` with the field.
    pub fn check(&self) -> Result<(), FitError> {
        let bounded = |field: String, value: usize, least: usize| {
            if value < least {
                Err(FitError::Order { field, value, allowed: format!("must be at least {least}") })
            } else if value > ORDER_MAX {
                Err(FitError::Order { field, value, allowed: format!("must be at most {ORDER_MAX}") })
            } else {
                Ok(())
            }
        };
        for (i, it) in self.inputs.iter().enumerate() {
            bounded(format!("nb[{i}]"), it.nb, 1)?;
            bounded(format!("nf[{i}]"), it.nf, 0)?;
            bounded(format!("nk[{i}]"), it.nk, 0)?;
        }
        for (field, value) in [("na", self.na), ("nc", self.nc), ("nd", self.nd)] {
            bounded(field.into(), value, 0)?;
        }
        if self.n_parameters() == 0 {
            return Err(FitError::Order {
                field: "na".into(),
                value: 0,
                allowed: "a series without inputs needs na or nc of at least 1".into(),
            });
        }
        Ok(())
    }

    /// The name of an order that is not zero although the structure has none such.
    pub(crate) fn beyond(&self, structure: Structure) -> Option<&'static str> {
        use Structure::{Ar, Arma, Armax, Arx, BoxJenkins, OutputError};
        let has = |structures: &[Structure]| structures.contains(&structure);
        let with_inputs = has(&[Arx, Armax, OutputError, BoxJenkins]);
        let rows = [
            ("na", self.na > 0, has(&[Ar, Arx, Arma, Armax])),
            ("nb", !self.inputs.is_empty(), with_inputs),
            ("nc", self.nc > 0, has(&[Arma, Armax, BoxJenkins])),
            ("nd", self.nd > 0, has(&[BoxJenkins])),
            ("nf", self.inputs.iter().any(|it| it.nf > 0), has(&[OutputError, BoxJenkins])),
        ];
        rows.into_iter().find(|(_, is_there, may_be)| *is_there && !may_be).map(|(name, ..)| name)
    }

    /// For example `ARMAX(2,2,2,3)`: the orders that the structure has, in the order na, nb, nc, nd, nf, nk; of
    /// several inputs `[2 1]`.
    pub fn text(&self, structure: Structure) -> String {
        let list = |value: fn(&InputOrders) -> usize| match &self.inputs[..] {
            [one] => value(one).to_string(),
            all => {
                let all: Vec<String> = all.iter().map(|it| value(it).to_string()).collect();
                format!("[{}]", all.join(" "))
            }
        };
        let (nb, nf, nk) = (list(|it| it.nb), list(|it| it.nf), list(|it| it.nk));
        let Self { na, nc, nd, .. } = self;
        let inside = match structure {
            Structure::Ar => format!("{na}"),
            Structure::Arma => format!("{na},{nc}"),
            Structure::Arx => format!("{na},{nb},{nk}"),
            Structure::Armax => format!("{na},{nb},{nc},{nk}"),
            Structure::OutputError => format!("{nb},{nf},{nk}"),
            Structure::BoxJenkins => format!("{nb},{nc},{nd},{nf},{nk}"),
        };
        format!("{}({inside})", structure.name())
    }
}

/// Orders per input from parallel lists, which must be of one length.
///
/// # Errors
/// `Order` naming the list whose length differs from that of `nb`.
pub(crate) fn inputs(nb: &[usize], nf: Option<&[usize]>, nk: &[usize]) -> Result<Vec<InputOrders>, FitError> {
    for (field, list) in [("nf", nf.unwrap_or(nb)), ("nk", nk)] {
        if list.len() != nb.len() {
            return Err(FitError::Order {
                field: format!("number of {field}"),
                value: list.len(),
                allowed: format!("there are {} nb, and each input has one of both", nb.len()),
            });
        }
    }
    let orders = nb.iter().zip(nk).enumerate();
    Ok(orders.map(|(i, (&nb, &nk))| InputOrders { nb, nf: nf.map_or(0, |nf| nf[i]), nk }).collect())
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
