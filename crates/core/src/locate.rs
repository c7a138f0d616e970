//! Reading TOML so that every complaint names the line and the field.
//!
//! serde loses positions inside enums tagged by `kind`: an error there points at the head of the table. So the
//! field's path is carried along, completed from the message where the message names the field or shows the value,
//! and then looked up in the spans of the parsed document.

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

/// Something wrong with a field of a TOML text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}`{field}` {problem}", line.map_or(String::new(), |line| format!("line {line}: ")))]
pub struct FieldError {
    /// Where it stands, counted from 1, if it stands anywhere.
    pub line: Option<usize>,
    /// Its path as written, for example `pools[0].startup.mean_seconds`.
    pub field: String,
    /// What is wrong, for example `must be a positive number, but is -15`.
    pub problem: String,
}

/// Reads a TOML text into what serde can make of it.
///
/// # Errors
/// With line and field, if the text is no TOML or does not fit the type.
pub fn read_toml<T: DeserializeOwned>(text: &str) -> Result<T, FieldError> {
    let deserializer = toml::Deserializer::parse(text).map_err(|error| {
        let line = error.span().map(|span| line_of(text, span.start));
        FieldError { line, field: "toml".into(), problem: format!("cannot be read: {}", error.message()) }
    })?;
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let mut field = error.path().to_string();
        let inner = error.into_inner();
        let message = inner.message().trim().to_owned();
        if let Some(name) = named_in(&message)
            && field.rsplit(['.', ']']).next() != Some(name)
        {
            field = join(&field, name);
        } else if let Some(inner) = shown_in(&message).and_then(|shown| search(text, &field, &shown)) {
            field = inner;
        }
        let field = if field == "." { "toml".to_owned() } else { field };
        located(text, &field, message)
    })
}

/// A complaint about `field` of `text`, with its line looked up.
pub fn located(text: &str, field: &str, problem: impl Into<String>) -> FieldError {
    FieldError { line: find_line(text, field), field: field.to_owned(), problem: problem.into() }
}

/// The line on which a field's value stands; of a field that is not there, its table's.
pub fn find_line(text: &str, field: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut line = None;
    let mut here: Option<&DeValue<'_>> = None;
    for part in parts(field) {
        let next = match (&part, here) {
            (Part::Name(name), None) => document.get_ref().get(name.as_str()),
            (Part::Name(name), Some(DeValue::Table(table))) => table.get(name.as_str()),
            (Part::Index(index), Some(DeValue::Array(array))) => array.get(*index),
            _ => None,
        };
        let Some(next) = next else { break };
        line = Some(line_of(text, next.span().start));
        here = Some(next.get_ref());
    }
    line
}

enum Part {
    Name(String),
    Index(usize),
}

fn parts(field: &str) -> Vec<Part> {
    field
        .split(['.', '[', ']'])
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().map_or_else(|_| Part::Name(part.to_owned()), Part::Index))
        .collect()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() || path == "." { name.to_owned() } else { format!("{path}.{name}") }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// The field that serde's message names: "unknown field `x`", "missing field `x`".
fn named_in(message: &str) -> Option<&str> {
    ["unknown field `", "missing field `"]
        .iter()
        .find_map(|start| message.strip_prefix(start))
        .and_then(|rest| rest.split('`').next())
}

/// The value that serde's message shows: "invalid type: string "x", expected f64".
fn shown_in(message: &str) -> Option<String> {
    let rest = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "))?;
    rest.split(", expected").next().map(str::to_owned)
}

/// The path below `field` of the first value that serde would show as `shown`.
fn search(text: &str, field: &str, shown: &str) -> Option<String> {
    let document = DeTable::parse(text).ok()?;
    let mut here: Option<&DeValue<'_>> = None;
    for part in parts(field) {
        here = Some(match (part, here) {
            (Part::Name(name), None) => document.get_ref().get(name.as_str())?.get_ref(),
            (Part::Name(name), Some(DeValue::Table(table))) => table.get(name.as_str())?.get_ref(),
            (Part::Index(index), Some(DeValue::Array(array))) => array.get(index)?.get_ref(),
            _ => return None,
        });
    }
    match here? {
        DeValue::Table(_) | DeValue::Array(_) => search_below(here?, field, shown),
        _ => None,
    }
}

fn search_below(value: &DeValue<'_>, path: &str, shown: &str) -> Option<String> {
    let as_shown = match value {
        DeValue::String(value) => format!("string {value:?}"),
        DeValue::Integer(value) => format!("integer `{}`", value.as_str()),
        DeValue::Float(value) => format!("floating point `{}`", value.as_str()),
        DeValue::Boolean(value) => format!("boolean `{value}`"),
        DeValue::Datetime(_) => String::new(),
        DeValue::Array(values) => {
            return values.iter().enumerate().find_map(|(index, value)| {
                search_below(value.get_ref(), &format!("{path}[{index}]"), shown)
            });
        }
        DeValue::Table(table) => {
            return table
                .iter()
                .find_map(|(name, value)| search_below(value.get_ref(), &join(path, name.get_ref()), shown));
        }
    };
    (as_shown == shown).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[allow(dead_code)]
        shapes: Vec<Shape>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
    enum Shape {
        Circle {
            #[allow(dead_code)]
            radius: f64,
        },
        Dot {},
    }

    fn check(text: &str, expected: &Expect) {
        expected.assert_eq(&read_toml::<Outer>(text).expect_err("the text is wrong").to_string());
    }

    #[test]
    fn errors_inside_tagged_enums_name_line_and_field() {
        check(
            "a = ",
            &expect!["line 1: `toml` cannot be read: string values must be quoted, expected literal string"],
        );
        let ok = "[[shapes]]\nkind = \"dot\"\n[[shapes]]\nkind = \"circle\"\n";
        check(
            &format!("{ok}radius = \"x\"\n"),
            &expect![[r#"line 5: `shapes[1].radius` invalid type: string "x", expected f64"#]],
        );
        check(
            &format!("{ok}radius = 1\ncolour = 2\n"),
            &expect!["line 6: `shapes[1].colour` unknown field `colour`, expected `radius`"],
        );
        check(ok, &expect!["line 3: `shapes[1].radius` missing field `radius`"]);
        check(
            "[[shapes]]\nkind = \"dot\"\nsize = 1\n",
            &expect!["line 3: `shapes[0].size` unknown field `size`, there are no fields"],
        );
        check(
            "[[shapes]]\nkind = \"ring\"\n",
            &expect!["line 2: `shapes[0].kind` unknown variant `ring`, expected `circle` or `dot`"],
        );
        check("shape = 1\n", &expect!["line 1: `shape` unknown field `shape`, expected `shapes`"]);
    }
}
