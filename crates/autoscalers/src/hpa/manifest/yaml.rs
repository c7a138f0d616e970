//! One YAML (or JSON) document, and the line on which each of its fields stands.
//!
//! serde loses positions, and the library that makes values of YAML does not give them. So the text is read a second
//! time by a parser that names the place of every event.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser};
use serde::Deserialize;
use serde_yaml_ng::Value;
use tidegate_core::locate::FieldError;

/// A document and where its fields stand.
#[derive(Clone, Debug)]
pub struct Document {
    /// What it says, anchors and merge keys resolved.
    pub value: Value,
    lines: BTreeMap<String, usize>,
}

impl Document {
    /// Reads a text that holds one document.
    ///
    /// # Errors
    /// If it is no YAML, holds none or several documents, or says something twice.
    pub fn read(text: &str) -> Result<Self, FieldError> {
        let places = places(text);
        if let Some((field, first, second)) = places.iter().find_map(|places| places.twice.as_ref()) {
            let problem = format!("must stand once, but stands on line {first}, too");
            return Err(FieldError { line: Some(*second), field: field.clone(), problem });
        }
        let mut documents = Vec::new();
        for (index, document) in serde_yaml_ng::Deserializer::from_str(text).enumerate() {
            let value = Value::deserialize(document).map_err(|error| unreadable(text, &error))?;
            if !value.is_null() {
                documents.push((index, value));
            }
        }
        let (index, mut value) = match documents.len() {
            1 => documents.remove(0),
            0 => return Err(complaint(None, "must hold one document, but is empty")),
            n => {
                let kinds: Vec<&str> = documents.iter().map(|(_, value)| kind_of(value)).collect();
                let problem = format!("must hold one document, but holds {n} ({})", kinds.join(", "));
                return Err(complaint(None, problem));
            }
        };
        value.apply_merge().map_err(|error| unreadable(text, &error))?;
        Ok(Self { value, lines: places.into_iter().nth(index).unwrap_or_default().lines })
    }

    /// The line on which a field stands; of a field that is not there, that of what would hold it.
    pub fn line(&self, field: &str) -> Option<usize> {
        let mut path = field;
        loop {
            if let Some(line) = self.lines.get(path) {
                return Some(*line);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }

    /// A complaint about a field, with its line looked up.
    pub fn complaint(&self, field: &str, problem: impl Into<String>) -> FieldError {
        FieldError { line: self.line(field), field: field.to_owned(), problem: problem.into() }
    }
}

/// The path of a field below another.
pub fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A complaint about the text as a whole.
fn complaint(line: Option<usize>, problem: impl Into<String>) -> FieldError {
    FieldError { line, field: "yaml".into(), problem: problem.into() }
}

fn kind_of(document: &Value) -> &str {
    document.get("kind").and_then(Value::as_str).unwrap_or("no kind")
}

fn unreadable(text: &str, error: &serde_yaml_ng::Error) -> FieldError {
    let line = error.location().map(|location| location.line());
    let is_tab = line
        .and_then(|line| text.lines().nth(line - 1))
        .is_some_and(|line| line.trim_start_matches(' ').starts_with('\t'));
    if is_tab {
        return complaint(line, "cannot be read: the line is indented by a tab, but YAML allows only spaces");
    }
    // The library says the place once more at the end.
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or_default();
    complaint(line, format!("cannot be read: {said}"))
}

/// Where the fields of one document stand.
#[derive(Clone, Debug, Default)]
struct Places {
    lines: BTreeMap<String, usize>,
    /// The first field that stands twice, with both lines.
    twice: Option<(String, usize, usize)>,
}

/// What is open while the events pass by.
enum Open {
    Map { path: String, key: Option<String> },
    List { path: String, length: usize },
}

/// Those of every document, as far as the text can be read.
fn places(text: &str) -> Vec<Places> {
    let mut documents: Vec<Places> = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    for (event, span) in Parser::new_from_str(text).map_while(Result::ok) {
        let (Some(here), line) = (documents.last_mut(), span.start.line()) else {
            if matches!(event, Event::DocumentStart(_)) {
                documents.push(Places::default());
            }
            continue;
        };
        match &event {
            Event::DocumentStart(_) => documents.push(Places::default()),
            Event::MappingEnd | Event::SequenceEnd => {
                open.pop();
            }
            Event::Scalar(text, ..) => {
                if let Some(Open::Map { path, key: key @ None }) = open.last_mut() {
                    let field = below(path, text);
                    let before = here.lines.insert(field.clone(), line);
                    // The merge key may stand twice by some readers; by the standard's it may not.
                    if let Some(before) = before {
                        here.twice.get_or_insert((field, before, line));
                    }
                    *key = Some(text.clone().into_owned());
                } else {
                    place(&mut open, here, line);
                }
            }
            Event::Alias(_) => {
                place(&mut open, here, line);
            }
            Event::MappingStart(..) => {
                let path = place(&mut open, here, line);
                open.push(Open::Map { path, key: None });
            }
            Event::SequenceStart(..) => {
                let path = place(&mut open, here, line);
                open.push(Open::List { path, length: 0 });
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
    }
    documents
}

/// The path of a value that begins here.
fn place(open: &mut [Open], here: &mut Places, line: usize) -> String {
    match open.last_mut() {
        None => String::new(),
        Some(Open::Map { path, key }) => below(path, &key.take().unwrap_or_default()),
        Some(Open::List { path, length }) => {
            let path = format!("{path}[{length}]");
            *length += 1;
            here.lines.insert(path.clone(), line);
            path
        }
    }
}
