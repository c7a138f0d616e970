//! Input-output models as JSON, bit by bit the same when read back.
//!
//! A working type of its own carries the format's name and version; [`InputOutputModel`] has no serde.

use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use crate::input_output::{InputOutputModel, Polynomials, Signal, Warning};
use crate::orders::{InputOrders, Orders, Structure};

/// What the file says it is.
const FORMAT: &str = "tidegate input-output model";

/// Version of the format that is written and read.
const VERSION: u32 = 1;

/// Why a text is not a model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, or not with these fields.
    #[error("not an input-output model: {0}")]
    Syntax(String),
    /// Another kind of file.
    #[error("`format` must be `{FORMAT}`, but is `{0}`")]
    Format(String),
    /// Written by another version.
    #[error("`version` must be {VERSION}, but is {0}")]
    Version(u32),
    /// A field contradicts another or is out of bounds.
    #[error("`{field}` {problem}")]
    Field {
        /// As written.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelText {
    format: String,
    version: u32,
    structure: StructureText,
    orders: OrdersText,
    parameters: Vec<f64>,
    output: SignalText,
    inputs: Vec<SignalText>,
    step_seconds: f64,
    loss: f64,
    samples: usize,
    estimation_fit_percent: f64,
    /// Row by row.
    covariance: Vec<Vec<f64>>,
    steps: usize,
    warnings: Vec<WarningText>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StructureText {
    Ar,
    Arx,
    Arma,
    Armax,
    OutputError,
    BoxJenkins,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrdersText {
    na: usize,
    nc: usize,
    nd: usize,
    inputs: Vec<InputOrdersText>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InputOrdersText {
    nb: usize,
    nf: usize,
    nk: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignalText {
    name: String,
    unit: String,
    mean: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum WarningText {
    NotConverged { steps: usize },
    IllConditioned { parameter: String, condition: f64 },
    Unstable { polynomial: String, radius: f64 },
}

impl InputOutputModel {
    /// As JSON, indented.
    pub fn to_json(&self) -> String {
        let text = ModelText::from(self);
        serde_json::to_string_pretty(&text).expect("a model is numbers, lists and names")
    }

    /// From JSON that [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// Another format or version, an unknown or missing field, or fields that contradict each other.
    pub fn from_json(text: &str) -> Result<Self, JsonError> {
        let syntax = |error: serde_json::Error| JsonError::Syntax(error.to_string());
        // The head comes first: fields of another version must not be blamed one by one.
        let head: Head = serde_json::from_str(text).map_err(syntax)?;
        if head.format != FORMAT {
            return Err(JsonError::Format(head.format));
        }
        if head.version != VERSION {
            return Err(JsonError::Version(head.version));
        }
        serde_json::from_str::<ModelText>(text).map_err(syntax)?.check()
    }
}

impl From<&InputOutputModel> for ModelText {
    fn from(model: &InputOutputModel) -> Self {
        let signal = |it: &Signal| SignalText { name: it.name.clone(), unit: it.unit.clone(), mean: it.mean };
        let input = |it: &InputOrders| InputOrdersText { nb: it.nb, nf: it.nf, nk: it.nk };
        let Orders { na, nc, nd, inputs } = &model.orders;
        Self {
            format: FORMAT.into(),
            version: VERSION,
            structure: match model.structure {
                Structure::Ar => StructureText::Ar,
                Structure::Arx => StructureText::Arx,
                Structure::Arma => StructureText::Arma,
                Structure::Armax => StructureText::Armax,
                Structure::OutputError => StructureText::OutputError,
                Structure::BoxJenkins => StructureText::BoxJenkins,
            },
            orders: OrdersText { na: *na, nc: *nc, nd: *nd, inputs: inputs.iter().map(input).collect() },
            parameters: model.parameters(),
            output: signal(&model.output),
            inputs: model.inputs.iter().map(signal).collect(),
            step_seconds: model.step_seconds,
            loss: model.loss,
            samples: model.samples,
            estimation_fit_percent: model.estimation_fit_percent,
            covariance: model.covariance.row_iter().map(|row| row.iter().copied().collect()).collect(),
            steps: model.steps,
            warnings: model.warnings.iter().map(WarningText::from).collect(),
        }
    }
}

impl ModelText {
    fn check(self) -> Result<InputOutputModel, JsonError> {
        let wrong = |field: &'static str, problem: String| Err(JsonError::Field { field, problem });
        let structure = match self.structure {
            StructureText::Ar => Structure::Ar,
            StructureText::Arx => Structure::Arx,
            StructureText::Arma => Structure::Arma,
            StructureText::Armax => Structure::Armax,
            StructureText::OutputError => Structure::OutputError,
            StructureText::BoxJenkins => Structure::BoxJenkins,
        };
        let input = |it: &InputOrdersText| InputOrders { nb: it.nb, nf: it.nf, nk: it.nk };
        let orders = Orders {
            na: self.orders.na,
            nc: self.orders.nc,
            nd: self.orders.nd,
            inputs: self.orders.inputs.iter().map(input).collect(),
        };
        if let Err(error) = orders.check() {
            return wrong("orders", format!("are wrong: {error}"));
        }
        if let Some(has) = orders.beyond(structure) {
            return wrong("orders", format!("give {structure} the order {has}, which it does not have"));
        }
        let n = orders.n_parameters();
        if self.parameters.len() != n {
            return wrong(
                "parameters",
                format!("has {} values, but the orders need {n}", self.parameters.len()),
            );
        }
        if self.inputs.len() != orders.inputs.len() {
            return wrong(
                "inputs",
                format!("has {} entries, but the orders {}", self.inputs.len(), orders.inputs.len()),
            );
        }
        if !(self.step_seconds.is_finite() && self.step_seconds > 0.0) {
            return wrong("step_seconds", format!("must be a positive number, but is {}", self.step_seconds));
        }
        if self.samples <= n {
            return wrong("samples", format!("must be above the {n} parameters, but is {}", self.samples));
        }
        if self.loss < 0.0 {
            return wrong("loss", format!("must not be negative, but is {}", self.loss));
        }
        if self.covariance.len() != n || self.covariance.iter().any(|row| row.len() != n) {
            return wrong("covariance", format!("must have {n} rows of {n} values"));
        }
        let polynomials = Polynomials::from_parameters(&orders, &self.parameters);
        if !polynomials.c.is_stable() {
            return wrong("parameters", "make C unstable: no predictor could use it".into());
        }
        let signal = |it: SignalText| Signal { name: it.name, unit: it.unit, mean: it.mean };
        Ok(InputOutputModel {
            structure,
            orders,
            polynomials,
            output: signal(self.output),
            inputs: self.inputs.into_iter().map(signal).collect(),
            step_seconds: self.step_seconds,
            loss: self.loss,
            samples: self.samples,
            estimation_fit_percent: self.estimation_fit_percent,
            covariance: DMatrix::from_fn(n, n, |i, j| self.covariance[i][j]),
            steps: self.steps,
            warnings: self.warnings.into_iter().map(Warning::from).collect(),
        })
    }
}

impl From<&Warning> for WarningText {
    fn from(warning: &Warning) -> Self {
        match warning.clone() {
            Warning::NotConverged { steps } => Self::NotConverged { steps },
            Warning::IllConditioned { parameter, condition } => Self::IllConditioned { parameter, condition },
            Warning::Unstable { polynomial, radius } => Self::Unstable { polynomial, radius },
        }
    }
}

impl From<WarningText> for Warning {
    fn from(warning: WarningText) -> Self {
        match warning {
            WarningText::NotConverged { steps } => Self::NotConverged { steps },
            WarningText::IllConditioned { parameter, condition } => {
                Self::IllConditioned { parameter, condition }
            }
            WarningText::Unstable { polynomial, radius } => Self::Unstable { polynomial, radius },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Plant;
    use crate::{Ar, BoxJenkins};
    use expect_test::{Expect, expect};
    use tidegate_core::Fit;

    fn model() -> InputOutputModel {
        let plant =
            Plant::box_jenkins(&[&[0.0, 0.4], &[0.0, 0.7]], &[&[-0.9], &[-0.5]], &[0.4], &[-0.9], 0.3);
        BoxJenkins::new(&[1, 1], 1, 1, &[1, 1], &[1, 1]).fit(&plant.record(200, 1)).expect("fits")
    }

    #[test]
    fn models_come_back_bit_by_bit() {
        let mut model = model();
        model.warnings = vec![
            Warning::NotConverged { steps: 3 },
            Warning::IllConditioned { parameter: "a1".into(), condition: 1.0 / 3.0 },
            Warning::Unstable { polynomial: "D".into(), radius: 1.1 },
        ];
        assert_eq!(InputOutputModel::from_json(&model.to_json()), Ok(model));
        let series = Ar::new(1).fit(&Plant::arma(&[-0.5], &[], 1.0).record(100, 2)).expect("fits");
        assert_eq!(InputOutputModel::from_json(&series.to_json()), Ok(series));
    }

    fn check(from: &str, to: &str, expected: &Expect) {
        let text = model().to_json();
        assert!(text.contains(from), "there is no {from} in the text");
        let error = InputOutputModel::from_json(&text.replacen(from, to, 1)).expect_err("the text is wrong");
        expected.assert_eq(&error.to_string());
    }

    #[test]
    fn wrong_texts_are_refused() {
        check("\"version\": 1", "\"version\": 2", &expect!["`version` must be 1, but is 2"]);
        check(
            "tidegate input-output model",
            "another",
            &expect!["`format` must be `tidegate input-output model`, but is `another`"],
        );
        check(
            "\"step_seconds\": 1.0",
            "\"step_seconds\": -1.0",
            &expect!["`step_seconds` must be a positive number, but is -1"],
        );
        check("\"nd\": 1", "\"nd\": 2", &expect!["`parameters` has 6 values, but the orders need 7"]);
        check(
            "\"box_jenkins\"",
            "\"armax\"",
            &expect!["`orders` give ARMAX the order nd, which it does not have"],
        );
        check("\"nb\": 1", "\"nb\": 0", &expect!["`orders` are wrong: `nb[0]` is 0, but must be at least 1"]);
        check(
            "\"samples\": 198",
            "\"samples\": 4",
            &expect!["`samples` must be above the 6 parameters, but is 4"],
        );
        check(
            "\"orders\"",
            "\"order\"",
            &expect![
                "not an input-output model: unknown field `order`, expected one of `format`, `version`, `structure`, `orders`, `parameters`, `output`, `inputs`, `step_seconds`, `loss`, `samples`, `estimation_fit_percent`, `covariance`, `steps`, `warnings` at line 5 column 9"
            ],
        );
        let error = InputOutputModel::from_json("{").expect_err("half a text");
        expect!["not an input-output model: EOF while parsing an object at line 1 column 1"]
            .assert_eq(&error.to_string());
    }
}
