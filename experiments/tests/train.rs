//! The built program: wrong input is refused before anything is written, results do not depend on threads, a signal leaves
//! a checkpoint, and what was trained can be compared.
#![allow(clippy::disallowed_methods, reason = "a test of a program runs it and reads what it wrote")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use expect_test::{Expect, expect};

fn program(name: &str, folder: &Path, arguments: &[&str]) -> Output {
    Command::new(name).args(arguments).current_dir(folder).output().expect("it starts")
}

fn train(folder: &Path, arguments: &[&str]) -> Output {
    program(env!("CARGO_BIN_EXE_train"), folder, arguments)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned()
}

/// All that was written, but for wall times and the partial runs.
fn written(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(folder)
        .expect("it is there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file() && !path.ends_with("timings.csv"))
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read(path).expect("it is there"))
        })
        .collect()
}

#[test]
fn wrong_arguments_are_refused_with_code_2() {
    let check = |arguments: &[&str], expected: &Expect| {
        let at = folder();
        let output = train(at.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        expected.assert_eq(&said(&output));
        assert_eq!(fs::read_dir(at.path()).expect("it is there").count(), 0, "{arguments:?} wrote something");
    };
    check(
        &["--env", "cartpole"],
        &expect![[
            r#"error: --env: "cartpole" is none of cart-pole, acrobot, mountain-car, chain, autoscale/<scenario>, source/<scenario>"#
        ]],
    );
    check(
        &["--env", "chain", "--preset", "zoo"],
        &expect![
            "error: --preset zoo: there are tuned settings for cart-pole, acrobot and mountain-car only"
        ],
    );
    check(&["--preset", "best"], &expect!["error: invalid value 'best' for '--preset <PRESET>'"]);
    check(&["--seeds", "0"], &expect!["error: invalid value '0' for '--seeds <N>': 0 is not in 1..=1000"]);
    check(
        &["--env", "autoscale/mine.toml"],
        &expect!["error: --env autoscale/mine.toml: mine.toml: No such file or directory (os error 2)"],
    );
}

#[test]
fn results_do_not_depend_on_threads_and_a_stored_seed_is_found_again() {
    let at = folder();
    fs::write(at.path().join("mine.toml"), tidegate_core::scenario::EXAMPLE).expect("it is written");
    let choice = ["--env", "autoscale/mine.toml", "--smoke", "--threads"];
    for threads in ["1", "2"] {
        let output = train(at.path(), &[&choice[..], &[threads, "--out", threads]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let (one, two) = (written(&at.path().join("1")), written(&at.path().join("2")));
    assert_eq!(one.keys().collect::<Vec<_>>(), two.keys().collect::<Vec<_>>());
    for (name, bytes) in &one {
        assert!(two[name] == *bytes, "{name} differs");
    }
    for name in ["seed-0.agent", "seed-1.agent", "training.jsonl", "runs.csv", "report.html", "learning.svg"]
    {
        assert!(one.contains_key(name), "{name} is missing");
    }
    // Four rules and two agents, two engines, two worlds.
    assert_eq!(String::from_utf8_lossy(&one["runs.csv"]).lines().count(), 1 + 6 * 2 * 2);

    // What was trained runs in a comparison as any other controller.
    let text = "[[controllers]]\nname = \"ours\"\nkind = \"dqn\"\nagent = \"1/seed-0.agent\"\n";
    fs::write(at.path().join("c.toml"), text).expect("it is written");
    let compared = program(
        env!("CARGO_BIN_EXE_compare"),
        at.path(),
        &["--scenario", "mine.toml", "--controllers", "c.toml", "--controller", "fixed,ours", "--seeds", "1"],
    );
    assert!(compared.status.success(), "{}", String::from_utf8_lossy(&compared.stderr));

    let check = |arguments: &[&str]| train(at.path(), arguments);
    let choice = ["--env", "chain", "--seeds", "1", "--steps", "1500", "--out", "chain"];
    assert!(check(&choice).status.success());
    let again = check(&[&choice[..], &["--check"]].concat());
    assert_eq!(String::from_utf8_lossy(&again.stdout), "seed 0 is as stored in chain\n");
    let more = check(&["--env", "chain", "--seeds", "1", "--steps", "1600", "--out", "chain", "--check"]);
    assert_eq!(
        (more.status.code(), said(&more)),
        (Some(1), "error: chain: seed-0.agent differs from what is trained now".into())
    );
}

#[cfg(unix)]
#[test]
fn a_signal_leaves_a_checkpoint() {
    use std::thread::sleep;
    use std::time::Duration;

    let at = folder();
    let arguments = ["--env", "chain", "--seeds", "1", "--steps", "1000000000", "--out", "long"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_train"));
    command.args(arguments).current_dir(at.path()).stderr(std::process::Stdio::piped());
    let running = command.spawn().expect("it starts");
    let partial = at.path().join("long/partial");
    for _ in 0..600 {
        if partial.join("runs.jsonl").exists() {
            break;
        }
        sleep(Duration::from_millis(100));
    }
    sleep(Duration::from_secs(2));
    let pid = running.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("it starts").success());
    let output = running.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("error: interrupted: 0 of 1 runs are trained"), "{said}");
    assert!(partial.join("seed-0.checkpoint").exists(), "{said}");
    assert!(!at.path().join("long/report.md").exists());
}
