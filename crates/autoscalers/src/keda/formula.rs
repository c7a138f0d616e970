//! The formula of scaling modifiers: one number made of the triggers' values, in the language Expr as in KEDA.

use std::fmt;

use expr::{Context, Program, Value};
use tidegate_core::locate::FieldError;

use crate::rule::wrong;

/// A formula over named triggers.
pub(super) struct Formula {
    text: String,
    names: Vec<String>,
    program: Program,
    context: Context,
}

impl Formula {
    /// Reads it, and tries it with a value for every trigger.
    pub(super) fn read(text: &str, names: &[String]) -> Result<Self, FieldError> {
        let field = "scaling_modifiers.formula";
        let program = expr::compile(text)
            .map_err(|error| wrong(field, format!("must be an expression, but is {text:?}: {error}")))?;
        let mut formula =
            Self { text: text.into(), names: names.to_vec(), program, context: Context::default() };
        match formula.compute(&vec![Some(1.0); names.len()]) {
            Ok(_) => Ok(formula),
            Err(why) => {
                let known = names.join("`, `");
                Err(wrong(field, format!("must be a number made of `{known}`, but is {text:?}: {why}")))
            }
        }
    }

    /// Its value; a trigger without one is nil.
    pub(super) fn value(&mut self, values: &[Option<f64>]) -> Option<f64> {
        self.compute(values).ok().filter(|value| value.is_finite())
    }

    fn compute(&mut self, values: &[Option<f64>]) -> Result<f64, String> {
        for (name, value) in self.names.iter().zip(values) {
            self.context.insert(name.as_str(), value.map_or(Value::Nil, Value::Float));
        }
        match expr::run(&self.program, &self.context) {
            Ok(Value::Float(value)) => Ok(value),
            Ok(Value::Integer(value)) => Ok(value as f64),
            Ok(other) => Err(format!("it gives {other}")),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl fmt::Debug for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Formula").field(&self.text).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, values: &[Option<f64>]) -> Option<f64> {
        let names = ["trig_one".to_owned(), "trig_two".to_owned()];
        Formula::read(text, &names).unwrap_or_else(|error| panic!("{text}: {error}")).value(values)
    }

    /// The kinds of formulas that KEDA's documentation shows.
    #[test]
    fn formulas_read_as_in_keda() {
        let both = [Some(3.0), Some(8.0)];
        assert_eq!(value("(trig_one + trig_two)/2", &both), Some(5.5));
        assert_eq!(value("trig_one > 2 ? trig_one + trig_two : 1", &both), Some(11.0));
        assert_eq!(value("trig_one > 2 ? 7 : trig_two", &both), Some(7.0));
        assert_eq!(value("max([trig_one, trig_two])", &both), Some(8.0));
        assert_eq!(value("trig_one ?? trig_two", &[None, Some(8.0)]), Some(8.0));
        assert_eq!(value("trig_one ?? trig_two", &both), Some(3.0));
        assert_eq!(value("trig_one + trig_two", &[None, Some(8.0)]), None);
        assert_eq!(value("trig_one / (trig_two - 8)", &both), None);
    }

    #[test]
    fn a_formula_that_gives_no_number_is_refused() {
        let complain = |text: &str| {
            Formula::read(text, &["a".to_owned()]).err().map(|error| error.field).unwrap_or_default()
        };
        assert_eq!(complain("a +"), "scaling_modifiers.formula");
        assert_eq!(complain("a > 1"), "scaling_modifiers.formula");
        assert_eq!(complain("b + 1"), "scaling_modifiers.formula");
    }
}
