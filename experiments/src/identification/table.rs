//! A user's table of equally spaced samples: a CSV file with a line of names becomes a record.
//!
//! A cell that is empty, `NaN`, `NA` or `null` is a gap; everything else must be a finite number. What is wrong is said with
//! file, line, column, value and what is allowed.

use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow, bail, ensure};
use tidegate_core::{Channel, Record};

/// What to take from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Columns {
    /// Names of the outputs, at least one.
    pub outputs: Vec<String>,
    /// Names of the inputs; none for a time series.
    pub inputs: Vec<String>,
    /// Time between rows.
    pub step_seconds: f64,
}

/// What a file held.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The chosen columns; a gap is NaN.
    pub record: Record,
    /// Gaps, in the order of the columns.
    pub gaps: Vec<Gap>,
}

/// Missing cells of one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The column.
    pub channel: String,
    /// Line of the first missing cell; the names are line 1.
    pub first_line: usize,
    /// How many cells are missing.
    pub n_missing: usize,
    /// The most missing in a row.
    pub n_longest: usize,
}

/// Reads the columns of a file.
///
/// # Errors
/// If the file cannot be read, a column is not there, or a cell is no finite number.
pub fn read(path: &Path, columns: &Columns) -> anyhow::Result<Table> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    of_bytes(&bytes, columns).with_context(|| path.display().to_string())
}

/// The same of bytes that were read already.
///
/// # Errors
/// As [`read`].
pub fn of_bytes(bytes: &[u8], columns: &Columns) -> anyhow::Result<Table> {
    let text = std::str::from_utf8(bytes).context("the file is not UTF-8 text")?;
    let text = text.trim_start_matches('\u{feff}');
    let delimiter = delimiter(text.lines().next().unwrap_or_default());
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(text.as_bytes());
    let names: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    ensure!(
        names.iter().any(|name| !name.is_empty()),
        "line 1 must hold the names of the columns, but is empty"
    );
    ensure!(
        !names.iter().all(|name| name.parse::<f64>().is_ok()),
        "line 1 must hold the names of the columns, but holds the numbers {}",
        names.join(", ")
    );
    ensure!(!columns.outputs.is_empty(), "--output: name at least one of the columns {}", names.join(", "));
    let wanted: Vec<(usize, &String)> = columns
        .outputs
        .iter()
        .map(|name| ("--output", name))
        .chain(columns.inputs.iter().map(|name| ("--inputs", name)))
        .map(|(argument, name)| Ok((position(argument, name, &names)?, name)))
        .collect::<anyhow::Result<_>>()?;
    for (index, (place, name)) in wanted.iter().enumerate() {
        ensure!(!wanted[..index].iter().any(|(other, _)| other == place), "column `{name}` is named twice");
    }
    let mut values: Vec<Vec<f64>> = vec![Vec::new(); wanted.len()];
    let mut lines = Vec::new();
    for row in reader.records() {
        let row = row?;
        let line = row.position().map_or(0, csv::Position::line) as usize;
        lines.push(line);
        for ((place, name), values) in wanted.iter().zip(&mut values) {
            values.push(cell(&row[*place]).with_context(|| format!("line {line}, column `{name}`"))?);
        }
    }
    ensure!(!lines.is_empty(), "there are no rows below the names");
    let gaps =
        wanted.iter().zip(&values).filter_map(|((_, name), values)| gap(name, values, &lines)).collect();
    let mut channels = wanted
        .iter()
        .zip(values)
        .map(|((_, name), values)| Channel { name: (*name).clone(), unit: "1".into(), values })
        .collect::<Vec<_>>();
    let inputs = channels.split_off(columns.outputs.len());
    Ok(Table { record: Record { step_seconds: columns.step_seconds, inputs, outputs: channels }, gaps })
}

/// What separates the cells: whichever of these the names hold most of.
fn delimiter(names: &str) -> u8 {
    let count = |byte: u8| names.bytes().filter(|it| *it == byte).count();
    [b',', b';', b'\t'].into_iter().max_by_key(|byte| (count(*byte), *byte == b',')).expect("there are three")
}

fn position(argument: &str, name: &str, names: &[String]) -> anyhow::Result<usize> {
    names.iter().position(|it| it == name).ok_or_else(|| {
        let distance =
            |other: &&String| strsim::damerau_levenshtein(&other.to_lowercase(), &name.to_lowercase());
        let nearest = names.iter().min_by_key(distance).map_or("", String::as_str);
        anyhow!(
            "{argument}: there is no column `{name}`; the columns are {} (the nearest is `{nearest}`)",
            names.join(", ")
        )
    })
}

fn cell(text: &str) -> anyhow::Result<f64> {
    if ["", "na", "nan", "null"].contains(&text.to_ascii_lowercase().as_str()) {
        return Ok(f64::NAN);
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => bail!("must be a finite number, or empty or NaN for a gap, but is {text:?}"),
    }
}

fn gap(name: &str, values: &[f64], lines: &[usize]) -> Option<Gap> {
    let first = values.iter().position(|value| value.is_nan())?;
    let n_longest =
        values.split(|value| !value.is_nan()).map(<[f64]>::len).max().expect("a split has at least one part");
    Some(Gap {
        channel: name.to_owned(),
        first_line: lines[first],
        n_missing: values.iter().filter(|value| value.is_nan()).count(),
        n_longest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(outputs: &[&str], inputs: &[&str]) -> Columns {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Columns { outputs: owned(outputs), inputs: owned(inputs), step_seconds: 2.0 }
    }

    fn check(text: &str, outputs: &[&str], inputs: &[&str], expected: &str) {
        let said = match of_bytes(text.as_bytes(), &columns(outputs, inputs)) {
            Ok(Table { record, gaps }) => {
                let shown = |channels: &[Channel]| {
                    channels
                        .iter()
                        .map(|it| format!("{} {:?}", it.name, it.values))
                        .collect::<Vec<_>>()
                        .join(" ")
                };
                let gaps: Vec<String> = gaps
                    .iter()
                    .map(|gap| {
                        format!(
                            "; gap {} line {} n {} longest {}",
                            gap.channel, gap.first_line, gap.n_missing, gap.n_longest
                        )
                    })
                    .collect();
                format!("{} | {}{}", shown(&record.outputs), shown(&record.inputs), gaps.concat())
            }
            Err(error) => format!("{error:#}"),
        };
        assert_eq!(said, expected);
    }

    #[test]
    fn columns_are_found_by_name_whatever_separates_them() {
        check("u,y\n1,2\n3,4\n", &["y"], &["u"], "y [2.0, 4.0] | u [1.0, 3.0]");
        check("\u{feff}y; u 1 ;u2\r\n1;2;3\r\n", &["y"], &["u2", "u 1"], "y [1.0] | u2 [3.0] u 1 [2.0]");
        check("y\tz\n1\t2\n", &["z", "y"], &[], "z [2.0] y [1.0] | ");
    }

    #[test]
    fn gaps_are_counted_and_named_by_line() {
        check(
            "u,y\n1,2\n,nan\n3,NA\n4,5\n5,\n",
            &["y"],
            &["u"],
            "y [2.0, NaN, NaN, 5.0, NaN] | u [1.0, NaN, 3.0, 4.0, 5.0]; gap y line 3 n 3 longest 2; gap u line 3 n 1 longest 1",
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_line_and_column_and_what_is_allowed() {
        check(
            "u1,temp\n1,2\n",
            &["tmp"],
            &["u1"],
            "--output: there is no column `tmp`; the columns are u1, temp (the nearest is `temp`)",
        );
        check(
            "u1,y\n1,2\n",
            &["y"],
            &["U2"],
            "--inputs: there is no column `U2`; the columns are u1, y (the nearest is `u1`)",
        );
        check(
            "u,y\n1,2\n1,x3\n",
            &["y"],
            &["u"],
            "line 3, column `y`: must be a finite number, or empty or NaN for a gap, but is \"x3\"",
        );
        check(
            "u,y\n1,inf\n",
            &["y"],
            &["u"],
            "line 2, column `y`: must be a finite number, or empty or NaN for a gap, but is \"inf\"",
        );
        check(
            "1,2\n3,4\n",
            &["y"],
            &["u"],
            "line 1 must hold the names of the columns, but holds the numbers 1, 2",
        );
        check("u,y\n", &["y"], &["u"], "there are no rows below the names");
        check("u,y\n1,2\n", &["y"], &["y"], "column `y` is named twice");
        check(
            "u,y\n1,2\n3\n",
            &["y"],
            &["u"],
            "CSV error: record 2 (line: 3, byte: 8): found record with 1 fields, but the previous record has 2 fields",
        );
    }
}
