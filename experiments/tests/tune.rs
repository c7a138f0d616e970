//! The built programs: what is tuned does not depend on threads or interruptions, the protocol is fixed and found
//! again, and `compare --tuned` runs what was found.
#![allow(clippy::disallowed_methods, reason = "a test of a program runs it and reads what it wrote")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use expect_test::expect;
use tidegate_experiments::runs;

fn program(name: &str, folder: &Path, arguments: &[&str]) -> Output {
    Command::new(name).args(arguments).current_dir(folder).output().expect("it starts")
}

fn tune(folder: &Path, arguments: &[&str]) -> Output {
    program(env!("CARGO_BIN_EXE_tune"), folder, arguments)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned()
}

/// The example, whose runs last an hour, with a fleet that is far too large at the start, so that there is something
/// to be found.
fn oversized() -> String {
    let text = tidegate_core::scenario::EXAMPLE;
    let changed = text.replacen("replicas_initial = 4", "replicas_initial = 14", 1);
    assert_ne!(changed, text);
    changed
}

/// A folder with it.
fn folder() -> tempfile::TempDir {
    let at = tempfile::tempdir().expect("a folder");
    fs::write(at.path().join("mine.toml"), oversized()).expect("it is written");
    at
}

const CHOICE: [&str; 10] = [
    "--scenario",
    "mine.toml",
    "--controller",
    "fixed,threshold,scheduled",
    "--seeds",
    "10",
    "--training-seeds",
    "3",
    "--budget-hours",
    "40",
];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&CHOICE[..], more].concat()
}

/// All that was written, but for wall times and the partial runs.
fn written(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(folder)
        .expect("it is there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file() && path.file_name().is_some_and(|name| name != "timings.csv"))
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read(&path).expect("it can be read"))
        })
        .collect()
}

fn table(bytes: &[u8]) -> toml::Table {
    String::from_utf8(bytes.to_vec()).expect("text").parse().expect("this is TOML")
}

#[test]
fn what_is_tuned_is_a_function_of_the_arguments_and_is_used_by_compare() {
    let at = folder();
    let run = |out: &str, threads: &str| {
        let output = tune(at.path(), &with(&["--out", out, "--threads", threads]));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        written(&at.path().join(out))
    };
    let expected = run("one", "1");
    for file in ["protocol.toml", "tuned.toml", "report.html", "example-search.svg", "example-tuned.svg"] {
        assert!(expected.contains_key(file), "{file} is missing");
    }
    assert_eq!(run("eight", "8"), expected);

    // Killed in the search, in the middle of a line: the same command goes on to the same bytes.
    let bytes = fs::read(at.path().join("eight/partial/runs.jsonl")).expect("it is there");
    for (out, part) in [("early", 5), ("late", 2)] {
        let folder = at.path().join(out).join("partial");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("runs.jsonl"), &bytes[..bytes.len() / part]).expect("it is written");
        assert_eq!(run(out, "2"), expected);
    }

    // The manifest has the hash of the protocol, the protocol the budget that was kept.
    let (manifest, protocol) = (table(&expected["manifest.toml"]), table(&expected["protocol.toml"]));
    assert_eq!(manifest["protocol"].as_str(), Some(&*runs::sha256(&expected["protocol.toml"])));
    let scenario = &protocol["scenarios"]["example"];
    assert_eq!(scenario["hash"], manifest["scenarios"]["example"]);
    for (kind, controller) in scenario["controllers"].as_table().expect("a table") {
        let hours = controller["hours_spent"].as_float().expect("a number");
        // A run is 80 + 240 ticks of 15 s and some draining; the three worlds cost 4 h in the search and rescoring.
        assert!(hours > 5.0 && hours <= 40.0, "{kind}: {hours}");
    }

    // What was found stands in the very rows that `compare --tuned` gives.
    let compare = |more: &[&str]| {
        let choice = ["--scenario", "mine.toml", "--seeds", "2", "--controller", "threshold,fixed"];
        let arguments = [&choice[..], more].concat();
        program(env!("CARGO_BIN_EXE_compare"), at.path(), &arguments)
    };
    let output = compare(&["--tuned", "one/tuned.toml", "--out", "tuned"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = fs::read_to_string(at.path().join("tuned/report.md")).expect("it is there");
    assert!(
        report.contains("tuned with 40.0 simulated hours each on training seed 0 (fluid engine)"),
        "{report}"
    );
    let tuned = table(&expected["tuned.toml"]);
    let found = &tuned["scenarios"]["example"]["controllers"]["threshold"];
    let used = table(&fs::read(at.path().join("tuned/manifest.toml")).expect("it is there"));
    assert_eq!(used["controllers"]["example"]["threshold"], *found);
    let rows = |file: &str, controller: &str| -> Vec<String> {
        let text = fs::read_to_string(at.path().join(file)).expect("it is there");
        let start = format!("example,{controller},");
        text.lines().filter_map(|line| line.strip_prefix(&start)).take(2).map(str::to_owned).collect()
    };
    assert!(!found.as_table().expect("a table").is_empty(), "the example's threshold can be bettered");
    assert_eq!(rows("tuned/runs.csv", "threshold"), rows("one/runs.csv", "threshold-tuned"));

    // The user's file wins over what was found.
    let own = "[[controllers]]\nname = \"threshold\"\nkind = \"threshold\"\nhigh = 0.77\nlow = 0.2\n";
    fs::write(at.path().join("own.toml"), own).expect("it is written");
    let output = compare(&["--tuned", "one/tuned.toml", "--controllers", "own.toml", "--out", "own"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let used = table(&fs::read(at.path().join("own/manifest.toml")).expect("it is there"));
    assert_eq!(used["controllers"]["example"]["threshold"]["high"].as_float(), Some(0.77));

    // A scenario that has changed since is refused.
    let changed = oversized().replacen("mean_seconds = 60", "mean_seconds = 61", 1);
    fs::write(at.path().join("mine.toml"), changed).expect("it is written");
    let output = compare(&["--tuned", "one/tuned.toml", "--out", "changed"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said(&output).starts_with("error: one/tuned.toml: \"example\" was tuned with hash"),
        "{}",
        said(&output)
    );
    assert!(!at.path().join("changed").exists());
    let output = compare(&["--tuned", "--out", "nowhere"]);
    expect!["error: results/tune/tuned.toml: No such file or directory (os error 2)"]
        .assert_eq(&said(&output));
}

#[test]
fn a_check_finds_rows_and_protocols_that_were_changed() {
    let at = folder();
    let output = tune(at.path(), &with(&["--engine", "fluid", "--out", "out"]));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let check = || tune(at.path(), &with(&["--engine", "fluid", "--out", "out", "--check"]));
    assert!(check().status.success());
    let runs = at.path().join("out/runs.csv");
    let text = fs::read_to_string(&runs).expect("it is there");
    fs::write(&runs, text.replace("threshold,0,", "threshold,0,1")).expect("it is written");
    let output = check();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("runs differ: tune/example/threshold/0"), "{}", said(&output));
    let protocol = at.path().join("out/protocol.toml");
    let text = fs::read_to_string(&protocol).expect("it is there");
    fs::write(&protocol, text.replace("budget_hours = 40.0", "budget_hours = 50.0")).expect("it is written");
    assert!(said(&check()).starts_with("error: protocol.toml: its SHA-256 is "), "{}", said(&check()));
}

#[test]
fn wrong_arguments_are_refused_before_anything_is_written() {
    let at = folder();
    let refused = |arguments: &[&str]| {
        let output = tune(at.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(fs::read_dir(at.path()).expect("it is there").count(), 1, "{arguments:?} wrote something");
        said(&output)
    };
    expect!["error: --budget-hours: must be 68 to 1e9 for example, but is 60"].assert_eq(&refused(&[
        "--scenario",
        "mine.toml",
        "--budget-hours",
        "60",
    ]));
    expect![
        "error: --controllers: kinds are tuned, not controllers of a file; choose them with --controller"
    ]
    .assert_eq(&refused(&["--scenario", "mine.toml", "--controllers", "c.toml"]));
}

#[test]
fn the_antipatterns_are_measured_in_a_smoke_run() {
    let at = folder();
    let run = |more: &[&str]| {
        let arguments = [&["--smoke", "--seeds", "1", "--out", "out"], more].concat();
        program(env!("CARGO_BIN_EXE_antipatterns"), at.path(), &arguments)
    };
    let output = run(&[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files = written(&at.path().join("out"));
    for file in ["report.md", "runs.csv", "manifest.toml", "web-diurnal.svg", "memory-bound.svg"] {
        assert!(files.contains_key(file), "{file} is missing");
    }
    // The same seeds give the same files, from nothing and on another number of threads.
    fs::remove_dir_all(at.path().join("out/partial")).expect("it is there");
    assert!(run(&["--threads", "1"]).status.success());
    assert_eq!(written(&at.path().join("out")), files);
    // What the question fixes cannot be given.
    for fixed in ["--scenario", "--controller", "--trace", "--controllers", "--baseline", "--full", "--list"]
    {
        let output = run(&[fixed]);
        assert_eq!(output.status.code(), Some(2), "{fixed}");
        assert!(said(&output).contains(&format!("unexpected argument '{fixed}'")), "{}", said(&output));
    }
}
