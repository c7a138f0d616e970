//! A rule inside a rule: which kind it is, with its parameters, as a table `{ kind = "…", … }`.

use tidegate_core::OperatorFacts;
use tidegate_core::locate::FieldError;
use toml::{Table, Value};

use crate::catalog::{BoxedController, Catalog};
use crate::rule::wrong;

/// A table with this kind and nothing else.
pub(crate) fn of_kind(kind: &str) -> Table {
    Table::from_iter([("kind".to_owned(), Value::String(kind.to_owned()))])
}

/// Checks what can be told without the facts; a complaint's path starts with `field`.
pub(crate) fn check(catalog: &Catalog, field: &str, table: &Table) -> Result<(), FieldError> {
    let (kind, parameters) = split(field, table)?;
    catalog.check(&kind, &parameters).map_err(|error| within(field, error))
}

/// Builds the inner rule.
pub(crate) fn build(
    catalog: &Catalog,
    field: &str,
    table: &Table,
    facts: &OperatorFacts,
) -> Result<BoxedController, FieldError> {
    let (kind, parameters) = split(field, table)?;
    catalog.build(&kind, &parameters, facts).map_err(|error| within(field, error))
}

fn split(field: &str, table: &Table) -> Result<(String, Table), FieldError> {
    let mut parameters = table.clone();
    match parameters.remove("kind") {
        Some(Value::String(kind)) => Ok((kind, parameters)),
        Some(other) => {
            Err(wrong(&format!("{field}.kind"), format!("must be a text in quotes, but is {other}")))
        }
        None => Err(wrong(&format!("{field}.kind"), "must be given, but is missing")),
    }
}

fn within(field: &str, error: FieldError) -> FieldError {
    let path = if error.field == "toml" { field.to_owned() } else { format!("{field}.{}", error.field) };
    FieldError { field: path, ..error }
}
