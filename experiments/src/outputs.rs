//! Files of results: writing them, and comparing them with what a run gives now.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Serialize;

use crate::report::Report;
use crate::scores;

/// Writes one file.
///
/// # Errors
/// If it cannot be written.
pub fn write(out: &Path, file: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let path = out.join(file);
    fs::write(&path, bytes).with_context(|| path.display().to_string())
}

/// Writes a report in all its forms, with its figures.
///
/// # Errors
/// If a file cannot be written.
pub fn write_report(out: &Path, report: &Report) -> anyhow::Result<()> {
    write(out, "report.md", report.markdown().as_bytes())?;
    write(out, "report.tex", report.latex().as_bytes())?;
    write(out, "report.html", report.html().as_bytes())?;
    for (file, svg) in report.figures() {
        write(out, file, svg.as_bytes())?;
    }
    Ok(())
}

/// Compares rows, each with the name of its run, with those of `runs.csv`.
///
/// # Errors
/// If there is no such file, it has other columns, or a row is not in it.
pub fn check_rows<R: Serialize>(
    out: &Path,
    rows: impl IntoIterator<Item = (String, R)>,
) -> anyhow::Result<()> {
    let path = out.join("runs.csv");
    let stored = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut different = Vec::new();
    let mut n_checked = 0;
    for (name, row) in rows {
        let text = String::from_utf8(scores::csv_bytes(&[row])?).context("a row is text")?;
        let (header, line) = text.trim_end().split_once('\n').context("a header and a row")?;
        if stored.lines().next() != Some(header) {
            bail!("{}: it has other columns", path.display());
        }
        n_checked += 1;
        if !stored.lines().any(|stored| stored == line) {
            different.push(name);
        }
    }
    if !different.is_empty() {
        bail!("{}: {} of {n_checked} runs differ: {}", path.display(), different.len(), different.join(", "));
    }
    println!("{n_checked} runs are as stored in {}", path.display());
    Ok(())
}
