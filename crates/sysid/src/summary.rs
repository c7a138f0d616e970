//! How an input-output model prints: polynomials with standard errors, sample time, figures of the fit.

use std::fmt;

use crate::input_output::{InputOutputModel, Polynomials};
use crate::orders::Structure;

impl InputOutputModel {
    /// The model's equation, for example `A y(t) = B u(t) + C e(t)`.
    pub fn equation(&self) -> &'static str {
        match (self.structure, self.inputs.len()) {
            (Structure::Ar, _) => "A y(t) = e(t)",
            (Structure::Arma, _) => "A y(t) = C e(t)",
            (Structure::Arx, 1) => "A y(t) = B u(t) + e(t)",
            (Structure::Arx, _) => "A y(t) = Sum B_i u_i(t) + e(t)",
            (Structure::Armax, 1) => "A y(t) = B u(t) + C e(t)",
            (Structure::Armax, _) => "A y(t) = Sum B_i u_i(t) + C e(t)",
            (Structure::OutputError, 1) => "y(t) = [B/F] u(t) + e(t)",
            (Structure::OutputError, _) => "y(t) = Sum [B_i/F_i] u_i(t) + e(t)",
            (Structure::BoxJenkins, 1) => "y(t) = [B/F] u(t) + [C/D] e(t)",
            (Structure::BoxJenkins, _) => "y(t) = Sum [B_i/F_i] u_i(t) + [C/D] e(t)",
        }
    }
}

impl fmt::Display for InputOutputModel {
    /// In the manner of MATLAB's `present`: value (+/- standard error) per coefficient.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.orders.text(self.structure), self.equation())?;
        let errors = self.standard_errors();
        let Polynomials { a, b, c, d, f: denominators } = &self.polynomials;
        let orders = &self.orders;
        if orders.na > 0 {
            polynomial(f, "A", 0, a.coefficients(), &errors[orders.a()])?;
        }
        let of = |name: &str, i: usize| match self.inputs.len() {
            1 => name.to_owned(),
            _ => format!("{name} of {}", self.inputs[i].name),
        };
        for (i, b) in b.iter().enumerate() {
            let nk = orders.inputs[i].nk;
            polynomial(f, &of("B", i), nk, &b.coefficients()[nk..], &errors[orders.b(i)])?;
        }
        if orders.nc > 0 {
            polynomial(f, "C", 0, c.coefficients(), &errors[orders.c()])?;
        }
        if orders.nd > 0 {
            polynomial(f, "D", 0, d.coefficients(), &errors[orders.d()])?;
        }
        for (i, it) in denominators.iter().enumerate().filter(|(_, it)| it.degree() > 0) {
            polynomial(f, &of("F", i), 0, it.coefficients(), &errors[orders.f(i)])?;
        }
        writeln!(
            f,
            "sample time {} s; {} parameters from {} samples{}",
            self.step_seconds,
            orders.n_parameters(),
            self.samples,
            if self.steps > 0 { format!(", {} steps of search", self.steps) } else { String::new() }
        )?;
        write!(
            f,
            "fit {:.2} % one step ahead; FPE {}, MSE {}",
            self.estimation_fit_percent,
            significant(self.fpe()),
            significant(self.loss)
        )?;
        self.warnings.iter().try_for_each(|warning| write!(f, "\nwarning: {warning}"))
    }
}

/// One line; a leading 1 has no error.
fn polynomial(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    delay: usize,
    coefficients: &[f64],
    errors: &[f64],
) -> fmt::Result {
    write!(f, "  {name} = ")?;
    let fixed = coefficients.len() - errors.len();
    for (k, value) in coefficients.iter().enumerate() {
        let size = significant(value.abs());
        match (k, *value < 0.0) {
            (0, true) => write!(f, "-{size}")?,
            (0, false) => write!(f, "{size}")?,
            (_, true) => write!(f, " - {size}")?,
            (_, false) => write!(f, " + {size}")?,
        }
        if k >= fixed {
            write!(f, " (+/- {})", significant(errors[k - fixed]))?;
        }
        if delay + k > 0 {
            write!(f, " q^-{}", delay + k)?;
        }
    }
    writeln!(f)
}

/// Four significant digits.
fn significant(value: f64) -> String {
    if value == 0.0 || value == 1.0 {
        return format!("{value}");
    }
    let digits = value.abs().log10().floor();
    if (-4.0..6.0).contains(&digits) {
        format!("{value:.*}", (3.0 - digits).max(0.0) as usize)
    } else {
        format!("{value:.3e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Plant;
    use crate::{Armax, BoxJenkins};
    use expect_test::expect;
    use tidegate_core::Fit;

    #[test]
    fn a_model_prints_as_control_engineers_know_it() {
        let plant = Plant::armax(&[-1.5, 0.7], &[0.0, 1.0, 0.5], &[-1.0, 0.2], 0.5);
        let model = Armax::new(2, &[2], 2, &[1]).fit(&plant.record(500, 1)).expect("fits");
        // The number of steps may change with the search; the rest may not.
        let text = InputOutputModel { steps: 9, ..model }.to_string();
        expect![[r"
            ARMAX(2,2,2,1): A y(t) = B u(t) + C e(t)
              A = 1 - 1.499 (+/- 0.005358) q^-1 + 0.6996 (+/- 0.004313) q^-2
              B = 0.9731 (+/- 0.02361) q^-1 + 0.5274 (+/- 0.03182) q^-2
              C = 1 - 0.9963 (+/- 0.04419) q^-1 + 0.2360 (+/- 0.04398) q^-2
            sample time 1 s; 6 parameters from 498 samples, 9 steps of search
            fit 92.27 % one step ahead; FPE 0.2757, MSE 0.2691"]]
        .assert_eq(&text);
        let plant = Plant::box_jenkins(&[&[0.0, 0.4], &[0.0, 0.7]], &[&[-0.9], &[-0.5]], &[], &[-0.9], 0.3);
        let model =
            BoxJenkins::new(&[1, 1], 0, 1, &[1, 1], &[1, 1]).fit(&plant.record(500, 2)).expect("fits");
        expect![[r"
            BJ([1 1],0,1,[1 1],[1 1]): y(t) = Sum [B_i/F_i] u_i(t) + [C/D] e(t)
              B of u1 = 0.4131 (+/- 0.01420) q^-1
              B of u2 = 0.7043 (+/- 0.01664) q^-1
              D = 1 - 0.9057 (+/- 0.01957) q^-1
              F of u1 = 1 - 0.9065 (+/- 0.008806) q^-1
              F of u2 = 1 - 0.4946 (+/- 0.01834) q^-1
            sample time 1 s; 5 parameters from 498 samples, 9 steps of search
            fit 85.59 % one step ahead; FPE 0.09521, MSE 0.09332"]]
        .assert_eq(&InputOutputModel { steps: 9, ..model }.to_string());
    }

    #[test]
    fn four_digits() {
        for (value, text) in
            [(0.0, "0"), (1.0, "1"), (0.012_345_6, "0.01235"), (123.456, "123.5"), (1e-9, "1.000e-9")]
        {
            assert_eq!(significant(value), text);
        }
    }
}
