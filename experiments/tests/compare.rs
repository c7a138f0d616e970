//! The built program: wrong input is refused before anything is written, and the same command gives the same bytes.
#![allow(clippy::disallowed_methods, reason = "a test of a program runs it and reads what it wrote")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use expect_test::{Expect, expect};

fn compare(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_compare"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("it starts")
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Wrong input: exit code 2, one line that says where, nothing written.
fn refused(files: &[(&str, &str)], arguments: &[&str], expected: &Expect) {
    let at = folder();
    for (name, text) in files {
        fs::write(at.path().join(name), text).expect("it is written");
    }
    let output = compare(at.path(), arguments);
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    expected.assert_eq(said.lines().next().unwrap_or_default());
    let left = fs::read_dir(at.path()).expect("it is there").count();
    assert_eq!(left, files.len(), "{arguments:?} wrote something");
}

#[test]
fn wrong_arguments_and_files_are_refused_with_code_2() {
    let example = tidegate_core::scenario::EXAMPLE;
    refused(&[], &["--sceanrio", "x"], &expect!["error: unexpected argument '--sceanrio' found"]);
    refused(
        &[],
        &["--seeds", "0"],
        &expect!["error: invalid value '0' for '--seeds <N>': 0 is not in 1..=100000"],
    );
    refused(
        &[],
        &["--scenario", "no.toml"],
        &expect!["error: no.toml: No such file or directory (os error 2)"],
    );
    refused(&[], &["--controller", "fixed,fixed"], &expect![[r#"error: --controller: "fixed" comes twice"#]]);
    let wrong = example.replacen("mean_seconds = 60", "mean_seconds = -15", 1);
    refused(
        &[("mine.toml", &wrong)],
        &["--scenario", "mine.toml"],
        &expect![
            "error: mine.toml: line 29: `pools[0].startup.mean_seconds` must be a positive number, but is -15"
        ],
    );
    refused(
        &[
            ("mine.toml", example),
            ("c.toml", "[[controllers]]\nname = \"a\"\nkind = \"fixed\"\nreplica = 3\n"),
        ],
        &["--scenario", "mine.toml", "--controllers", "c.toml"],
        &expect![[
            r"error: c.toml: line 4: `controllers[0].replica` unknown field `replica`, expected `pool` or `replicas`"
        ]],
    );
    refused(
        &[
            ("mine.toml", example),
            ("c.toml", "[[controllers]]\nname = \"a\"\nkind = \"fixed\"\nreplicas = 300\n"),
        ],
        &["--scenario", "mine.toml", "--controllers", "c.toml"],
        &expect!["error: example, controller a: `controllers[0].replicas` must be 1 to 20, but is 300"],
    );
    refused(
        &[("mine.toml", example)],
        &["--scenario", "mine.toml", "--baseline", "none"],
        &expect![[
            r#"error: --baseline: "none" is none of fixed, threshold, metric_vote, multi_dimensional, hpa, aws_target_tracking, knative, queue_depth, square_root_staffing, lcp, mpc"#
        ]],
    );
    refused(
        &[("t.csv", "")],
        &["--trace", "t.csv"],
        &expect!["error: t.csv: the file is empty, but must have at least two rows"],
    );
    refused(
        &[("t.csv", "t_s,requests\n0,4\n60,many\n")],
        &["--trace", "t.csv"],
        &expect![[r#"error: t.csv: line 3: `requests` must be a number, but is "many""#]],
    );
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

#[test]
fn threads_and_interruptions_leave_no_trace_in_the_results() {
    let at = folder();
    fs::write(at.path().join("mine.toml"), tidegate_core::scenario::EXAMPLE).expect("it is written");
    let run = |out: &str, threads: &str| {
        let arguments = [
            "--scenario",
            "mine.toml",
            "--seeds",
            "10",
            "--out",
            out,
            "--threads",
            threads,
            "--engine",
            "request",
        ];
        let output = compare(at.path(), &arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        written(&at.path().join(out))
    };
    let expected = run("one", "1");
    for file in ["manifest.toml", "report.html", "report.md", "report.tex", "runs.csv", "example-cost.svg"] {
        assert!(expected.contains_key(file), "{file} is missing");
    }
    let text = |file: &str| String::from_utf8(expected[file].clone()).expect("text");
    assert!(text("runs.csv").contains("\nexample,clairvoyant_replay,9,"));
    for row in ["| clairvoyant replay ", "| bound "] {
        assert!(text("report.md").contains(row), "{row} is missing");
    }
    assert_eq!(run("two", "2"), expected);
    assert_eq!(run("eight", "8"), expected);

    // Killed in the middle of a line: the same command goes on to the same bytes.
    let partial = at.path().join("two/partial/runs.jsonl");
    let bytes = fs::read(&partial).expect("it is there");
    fs::create_dir_all(at.path().join("cut/partial")).expect("a folder");
    fs::write(at.path().join("cut/partial/runs.jsonl"), &bytes[..bytes.len() / 2]).expect("it is written");
    assert_eq!(run("cut", "2"), expected);

    let check = |out: &str| {
        compare(at.path(), &["--scenario", "mine.toml", "--seeds", "10", "--out", out, "--check"])
    };
    assert!(check("one").status.success());
    let tampered = String::from_utf8(expected["runs.csv"].clone())
        .expect("text")
        .replace("threshold,0,", "threshold,0,1");
    fs::write(at.path().join("one/runs.csv"), tampered).expect("it is written");
    let output = check("one");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("1 of 12 runs differ: compare/example/threshold/0")
    );
}
