//! The built program: the same bytes for any number of threads and after an interruption, and wrong input is refused with
//! what is wrong.
#![allow(clippy::disallowed_methods, reason = "a test of a program runs it and reads what it wrote")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn backtest(folder: &Path, arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_backtest");
    Command::new(program).args(arguments).current_dir(folder).output().expect("it starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned()
}

/// Twelve days of half-hours with a shape of the day and a gap.
fn trace() -> String {
    let row = |step: usize| {
        let hour = step as f64 / 2.0;
        let count =
            1000.0 + 500.0 * (hour * std::f64::consts::TAU / 24.0).sin() + ((step * 7919) % 101) as f64;
        format!("{},{}\n", step * 1800, count.round())
    };
    let rows: String = (0..12 * 48).filter(|step| *step != 400).map(row).collect();
    format!("t_s,requests\n{rows}")
}

fn folder() -> tempfile::TempDir {
    let at = tempfile::tempdir().expect("a folder");
    fs::write(at.path().join("mine.csv"), trace()).expect("it is written");
    at
}

/// All that was written, but for wall times and the partial runs.
fn written(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let named = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.expect("it can be read");
        (entry.file_name().to_string_lossy().into_owned(), entry.path())
    };
    fs::read_dir(folder)
        .expect("it is there")
        .map(named)
        .filter(|(name, path)| name != "timings.csv" && path.is_file())
        .map(|(name, path)| (name, fs::read(path).expect("it can be read")))
        .collect()
}

const CHOICE: [&str; 6] = [
    "--trace",
    "mine.csv",
    "--method",
    "last_value,seasonal_naive_day,linear,ensemble",
    "--horizons",
    "1,4h,1d",
];

#[test]
fn threads_and_interruptions_change_no_byte_and_a_check_finds_the_rows() {
    let at = folder();
    let run = |more: &[&str]| {
        let output = backtest(at.path(), &[&CHOICE[..], more].concat());
        assert!(output.status.success(), "{}", said(&output));
    };
    run(&["--threads", "1", "--out", "one"]);
    run(&["--threads", "4", "--out", "four"]);
    let one = written(&at.path().join("one"));
    assert!(one.contains_key("runs.csv") && one.contains_key("fans-mine.svg"), "{:?}", one.keys());
    assert_eq!(one, written(&at.path().join("four")));
    // Four methods, three horizons, five days with a training part of seven; the last has no day after it.
    let rows = String::from_utf8(one["runs.csv"].clone()).expect("text");
    assert_eq!(rows.lines().count(), 1 + 4 * 3 * 4);

    let journal = fs::read(at.path().join("one/partial/runs.jsonl")).expect("it is there");
    fs::create_dir_all(at.path().join("cut/partial")).expect("a folder");
    fs::write(at.path().join("cut/partial/runs.jsonl"), &journal[..journal.len() / 2])
        .expect("it is written");
    run(&["--out", "cut"]);
    assert_eq!(one, written(&at.path().join("cut")));

    run(&["--out", "one", "--check"]);
    fs::write(at.path().join("one/runs.csv"), rows.replacen(",48,", ",47,", 1)).expect("it is written");
    let output = backtest(at.path(), &[&CHOICE[..], &["--out", "one", "--check"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
}

#[test]
fn wrong_input_is_refused_with_what_is_wrong() {
    let at = folder();
    fs::write(at.path().join("bad.csv"), "t_s,requests\n0,5\n60,many\n").expect("it is written");
    fs::write(at.path().join("flat.csv"), "t_s,requests\n".to_owned() + &flat()).expect("it is written");
    let check = |arguments: &[&str], expected: &str| {
        let output = backtest(at.path(), arguments);
        assert_eq!((output.status.code(), said(&output).as_str()), (Some(2), expected));
        assert!(!at.path().join("results").exists());
    };
    check(&["--trace", "none.csv"], "error: none.csv: No such file or directory (os error 2)");
    check(&["--trace", "bad.csv"], "error: bad.csv: line 3: `requests` must be a number, but is \"many\"");
    check(&["--trace", "flat.csv"], "error: flat: nothing varies in the 60 steps of the training part");
    check(
        &["--trace", "mine.csv", "--bin-seconds", "2000"],
        "error: mine.csv: --bin-seconds must be a whole multiple of the trace's step of 1800 s, but is 2000",
    );
    let names = tidegate_experiments::forecasters::NAMES.join(", ");
    check(&["--method", "lineal"], &format!("error: --method: \"lineal\" is none of {names}"));
}

fn flat() -> String {
    let rows: Vec<String> = (0..100).map(|step| format!("{},7\n", step * 60)).collect();
    rows.concat()
}
