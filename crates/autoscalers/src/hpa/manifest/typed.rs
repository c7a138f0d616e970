//! From a document to the Kubernetes type, with nothing dropped in silence.
//!
//! The library's types ignore unknown fields, fill missing ones, and report a wrong type without its place.
//! `serde_ignored` sees what was ignored, `serde_path_to_error` where a type was wrong; which names would have been
//! right, the type itself says when it is asked to read one field of a name that it cannot have (`Probe`).

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_ignored::Path;
use tidegate_core::locate::FieldError;

use super::yaml::{Document, below};

/// Reads a document as `T`.
///
/// # Errors
/// If a field is unknown or has the wrong type.
pub fn read<'de, T: Deserialize<'de>>(document: &Document) -> Result<T, FieldError> {
    let mut unknown: Vec<String> = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(document.value.clone(), &mut track);
    let read = serde_ignored::deserialize(tracked, |path| unknown.push(written(&path)));
    let typed: T = match read {
        Ok(typed) => typed,
        Err(error) => {
            let field = track.path().to_string();
            let field = if field == "." { "" } else { &field };
            let said = error.to_string();
            return Err(match said.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
                Some(name) => document.complaint(&below(field, name), "must be given, but is missing"),
                None => document.complaint(if field.is_empty() { "yaml" } else { field }, plain(&said)),
            });
        }
    };
    let Some(field) = unknown.first() else { return Ok(typed) };
    let (parent, name) = field.rsplit_once('.').unwrap_or(("", field));
    let names = names_at::<T>(parent);
    let distance = |known: &str| {
        let (known, name) = (known.to_lowercase(), name.to_lowercase());
        let is_part = known.contains(&name) || name.contains(&known);
        if is_part { 1 } else { strsim::damerau_levenshtein(&known, &name) }
    };
    let near = names.iter().filter(|known| distance(known) <= 3).min_by_key(|known| distance(known));
    let hint = near.map_or(String::new(), |near| format!(" (did you mean `{near}`?)"));
    let listed: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    Err(document.complaint(field, format!("is unknown, expected one of {}{hint}", listed.join(", "))))
}

/// A path as the manifest writes it.
fn written(path: &Path<'_>) -> String {
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", written(parent)),
        Path::Map { parent, key } => below(&written(parent), key),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            written(parent)
        }
    }
}

/// serde's words in those of the other messages.
fn plain(message: &str) -> String {
    let place = message.find(" at line ").unwrap_or(message.len());
    let message = &message[..place];
    if let Some((found, allowed)) =
        message.strip_prefix("unknown variant `").and_then(|rest| rest.split_once("`, expected "))
    {
        return format!("must be {allowed}, but is {found:?}");
    }
    let rest = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    let Some((found, expected)) = rest.and_then(|rest| rest.split_once(", expected ")) else {
        return format!("cannot be read: {message}");
    };
    let expected = match expected {
        "i32" if found.starts_with("integer") => "a whole number of 32 bits",
        "i32" | "i64" | "u32" | "u64" => "a whole number",
        "a string" | "string" => "a text",
        "bool" | "a boolean" => "true or false",
        "a sequence" => "a list",
        "f64" => "a number",
        "Quantity" => super::quantity::ALLOWED,
        other if other.starts_with(char::is_uppercase) || other.starts_with("struct ") => {
            "a mapping of fields"
        }
        other => other,
    };
    let found = match found.split_once(' ') {
        Some(("string", text)) => format!("the text {text}"),
        Some(("integer" | "floating", text)) => {
            text.trim_start_matches("point ").trim_matches('`').to_owned()
        }
        Some(("boolean", text)) => text.trim_matches('`').to_owned(),
        Some(("unit", _)) => "empty".to_owned(),
        _ if found == "sequence" => "a list".to_owned(),
        _ if found == "map" => "a mapping".to_owned(),
        _ => found.to_owned(),
    };
    format!("must be {expected}, but is {found}")
}

/// The names of the fields of what stands at `path` of a `T`; none where any name is right.
pub fn names_at<'de, T: Deserialize<'de>>(path: &str) -> Vec<&'static str> {
    let parts: Vec<&str> = path.split(['.', '[']).filter(|part| !part.is_empty()).collect();
    let mut names: &'static [&'static str] = &[];
    // It always ends in an error: either at the end of the path or where the path leads nowhere.
    let _ = T::deserialize(Probe { path: &parts, names: &mut names });
    names.to_vec()
}

/// A value that has one field a level, along a path; at its end it writes down which fields it is asked for.
struct Probe<'a> {
    path: &'a [&'a str],
    names: &'a mut &'static [&'static str],
}

#[derive(Debug)]
struct Found;

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the path has ended")
    }
}

impl std::error::Error for Found {}

impl de::Error for Found {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Found;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Found> {
        Err(Found)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Found> {
        if self.path.is_empty() {
            *self.names = fields;
            return Err(Found);
        }
        visitor.visit_map(self)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Found> {
        if self.path.is_empty() { Err(Found) } else { visitor.visit_map(self) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Found> {
        if self.path.is_empty() { Err(Found) } else { visitor.visit_seq(self) }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Found> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Found> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct enum identifier ignored_any
    }
}

impl<'de> MapAccess<'de> for Probe<'_> {
    type Error = Found;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Found> {
        let key = self.path.first().ok_or_else(|| Found::custom("no key is left"))?;
        seed.deserialize(StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Found> {
        seed.deserialize(Probe { path: &self.path[1..], names: self.names })
    }
}

impl<'de> SeqAccess<'de> for Probe<'_> {
    type Error = Found;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Found> {
        seed.deserialize(Probe { path: &self.path[1..], names: self.names }).map(Some)
    }
}
