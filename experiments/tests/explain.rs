//! The built program `explain`: its pages are those of docs/explain.md, wrong input is refused before anything is
//! printed, and a replay says what the run did.
#![allow(clippy::disallowed_methods, reason = "a test of a program runs it and reads what it wrote")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use expect_test::{Expect, expect};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn examples() -> PathBuf {
    root().join("docs/examples/explain")
}

fn run_in(program: &str, folder: &Path, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).current_dir(folder).output().expect("it starts")
}

fn explain(folder: &Path, arguments: &[&str]) -> Output {
    run_in(env!("CARGO_BIN_EXE_explain"), folder, arguments)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// What it prints when all is well.
fn printed(folder: &Path, arguments: &[&str]) -> String {
    let output = explain(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Every `console` block of the page is a command and what it prints; `UPDATE_EXPECT=1` writes it anew.
#[test]
fn the_page_shows_what_is_printed() {
    const FENCE: &str = "```console\n";
    let path = root().join("docs/explain.md");
    let page = fs::read_to_string(&path).expect("it is there");
    let mut parts = page.split(FENCE);
    let mut expected = parts.next().expect("a beginning").to_owned();
    let mut n_blocks = 0;
    for part in parts {
        let (block, rest) = part.split_once("```\n").expect("a block ends");
        let command = block.lines().next().expect("a command");
        let arguments: Vec<&str> = command.strip_prefix("$ explain ").expect("a call").split(' ').collect();
        let said = printed(&root(), &arguments);
        let lines: Vec<&str> = said.lines().map(str::trim_end).collect();
        write!(expected, "{FENCE}{command}\n{}\n```\n{rest}", lines.join("\n")).expect("a string takes all");
        n_blocks += 1;
    }
    assert_eq!(n_blocks, 4);
    if expected != page && std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, expected).expect("it is written");
        return;
    }
    assert_eq!(expected, page, "docs/explain.md shows something else; UPDATE_EXPECT=1 writes it anew");
}

/// What a part of the schema is about: a reference followed, of several forms the one with fields or items.
fn resolved<'a>(schema: &'a Value, part: &'a Value) -> &'a Value {
    if let Some(name) = part["$ref"].as_str() {
        return resolved(schema, schema.pointer(name.trim_start_matches('#')).expect("it is defined"));
    }
    let forms = part["anyOf"].as_array().into_iter().flatten().map(|form| resolved(schema, form));
    forms.into_iter().find(|form| form.get("properties").or(form.get("items")).is_some()).unwrap_or(part)
}

/// Every field of `value` is named in `part` of the schema, what must be given is, and closed choices hold. That the
/// schema's names are those of the reader, a test beside the reader says.
fn fits(schema: &Value, part: &Value, path: &str, value: &Value) {
    let part = resolved(schema, part);
    if let Some(choices) = part["enum"].as_array() {
        assert!(choices.contains(value), "{path}: {value}");
    }
    match value {
        Value::Object(fields) => {
            for required in part["required"].as_array().into_iter().flatten() {
                assert!(
                    fields.contains_key(required.as_str().expect("a name")),
                    "{path}: {required} is missing"
                );
            }
            for (name, value) in fields {
                let of_name = part["properties"].get(name).unwrap_or(&part["additionalProperties"]);
                assert!(of_name.is_object(), "{path}.{name} is not in the schema");
                fits(schema, of_name, &format!("{path}.{name}"), value);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                assert!(part["items"].is_object(), "{path} is no list in the schema");
                fits(schema, &part["items"], &format!("{path}[{index}]"), item);
            }
        }
        _ => {}
    }
}

#[test]
fn the_examples_fit_the_schema_and_slips_are_refused() {
    let read = |path: PathBuf| -> Value {
        serde_json::from_str(&fs::read_to_string(path).expect("it is there")).expect("it is JSON")
    };
    let schema = read(root().join("docs/explain-state.schema.json"));
    let mut example = Value::Null;
    for name in ["startup-cascade", "failing-metric", "rate-limit"] {
        example = read(examples().join(format!("{name}.json")));
        fits(&schema, &schema, name, &example);
    }
    let change = |path: &str, name: &str, value: Value| {
        let mut state = example.clone();
        let place = state.pointer_mut(path).expect("it is there").as_object_mut().expect("an object");
        place.insert(name.to_owned(), value);
        state
    };
    for (path, name, value) in [
        ("", "replicas", Value::from(3)),
        ("", "now", Value::Null),
        ("", "specReplicas", Value::from(-1)),
        ("/pods/0", "phase", Value::from("running")),
        ("/pods/0", "status", Value::from(1)),
        ("/pods/0/containers/0", "kind", Value::from("main")),
        ("/pods/0/containers/0/requests", "cpu", Value::from("5 %")),
        ("/pods/0/containers/0/requests", "gpu", Value::from(1)),
        ("/scaleEvents/0", "change", Value::from(0)),
        ("/recommendations/0", "replicas", Value::from(1.5)),
    ] {
        let wrong = change(path, name, value);
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state.json");
        fs::write(&state, wrong.to_string()).expect("it is written");
        let state = state.to_str().expect("text");
        let output = explain(&examples(), &["--hpa", "rate-limit.yaml", "--state", state]);
        assert_eq!(output.status.code(), Some(2), "{path} {name} passes");
    }
}

#[test]
fn json_says_what_the_page_says() {
    let said = printed(&examples(), &["--hpa", "rate-limit.yaml", "--state", "rate-limit.json", "--json"]);
    let json: Value = serde_json::from_str(&said).expect("it is JSON");
    let page = printed(&examples(), &["--hpa", "rate-limit.yaml", "--state", "rate-limit.json"]);
    assert_eq!(json["conclusion"].as_str(), page.trim_end().lines().last());
    let at = |path: &str| json.pointer(path).cloned().unwrap_or_default();
    for (path, expected) in [
        ("/desired_replicas", Value::from(22)),
        ("/proposal", Value::from(34)),
        ("/stabilization/up/replicas", Value::from(27)),
        ("/limits/policies/0/base", Value::from(16)),
        ("/limits/limit", Value::from("rate_up")),
        ("/metrics/0/proposal", Value::from(30)),
        ("/metrics/0/counts/ready", Value::from(20)),
        ("/metrics/1/decides", Value::from(true)),
        ("/metrics/1/rule", Value::from("per_pod")),
        ("/conditions/2/reason", Value::from("ScaleUpLimit")),
        // What was written is remembered: 2 more, upwards.
        ("/memory/up/1/change", Value::from(2)),
    ] {
        assert_eq!(at(path), expected, "{path}");
    }
    // Every field that the page of the documentation lists is there.
    let docs = fs::read_to_string(root().join("docs/explain.md")).expect("it is there");
    for name in json.as_object().expect("an object").keys() {
        assert!(docs.contains(&format!("`{name}`")) || docs.contains(&format!("`{name}[]`")), "{name}");
    }
}

/// Wrong input: exit code 2, one line that says where, nothing printed or written.
fn refused(files: &[(&str, &str)], arguments: &[&str], expected: &Expect) {
    refused_by(env!("CARGO_BIN_EXE_explain"), files, arguments, expected);
}

fn refused_by(program: &str, files: &[(&str, &str)], arguments: &[&str], expected: &Expect) {
    let at = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        fs::write(at.path().join(name), text).expect("it is written");
    }
    let output = run_in(program, at.path(), arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert_eq!(text(&output.stdout), "", "{arguments:?}");
    expected.assert_eq(said.lines().next().unwrap_or_default());
    assert_eq!(fs::read_dir(at.path()).expect("it is there").count(), files.len(), "{arguments:?} wrote");
}

const HPA: &str = "apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: web }
spec:
  scaleTargetRef: { kind: Deployment, name: web }
  maxReplicas: 10
";
const STATE: &str = "{ \"now\": 100, \"specReplicas\": 2 }\n";
const TRACE: &str = "t_s,requests\n0,400\n600,900\n1200,300\n1800,500\n";

#[test]
fn wrong_input_is_refused_with_file_line_field_and_what_is_allowed() {
    let wrong_hpa = HPA.replace("maxReplicas: 10", "maxReplica: 10");
    let one = ["--hpa", "h.yaml", "--state", "s.json"];
    refused(
        &[("h.yaml", &wrong_hpa), ("s.json", STATE)],
        &one,
        &expect![
            "error: h.yaml: line 6: `spec.maxReplica` is unknown, expected one of `behavior`, `maxReplicas`, `metrics`, `minReplicas`, `scaleTargetRef` (did you mean `maxReplicas`?)"
        ],
    );
    refused(
        &[("h.yaml", HPA), ("s.json", &STATE.replace('2', "\"2\""))],
        &one,
        &expect![[r#"error: s.json: line 1: `specReplicas` must be a whole number, but is the text "2""#]],
    );
    refused(&[("h.yaml", HPA)], &one, &expect!["error: s.json: No such file or directory (os error 2)"]);
    refused(&[("s.json", STATE)], &one, &expect!["error: h.yaml: No such file or directory (os error 2)"]);
    refused(&[], &[], &expect!["error: the following required arguments were not provided:"]);
    refused(
        &[],
        &["--hpa", "h.yaml"],
        &expect!["error: the following required arguments were not provided:"],
    );
    refused(
        &[("h.yaml", HPA)],
        &["--hpa", "h.yaml", "--controller", "hpa", "--scenario", "x"],
        &expect!["error: the argument '--hpa <FILE.yaml>' cannot be used with '--controller <NAME>'"],
    );
    refused(
        &[("h.yaml", HPA)],
        &["--hpa", "h.yaml", "--state", "s.json", "--trace", "t.csv"],
        &expect!["error: the argument '--state <FILE.json>' cannot be used with '--trace <FILE.csv>'"],
    );
    // Lists of names grow.
    for (arguments, expected) in [
        (
            ["--controller", "hpaa", "--scenario", "checkout"],
            "error: --controller: \"hpaa\" is none of fixed, ",
        ),
        (
            ["--controller", "hpa", "--scenario", "checkuot"],
            "error: --scenario: \"checkuot\" is none of web-diurnal, ",
        ),
    ] {
        let output = explain(&root(), &arguments);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.starts_with(expected), "{said}");
    }
    let replay = ["--hpa", "h.yaml", "--trace", "t.csv"];
    refused(
        &[("h.yaml", HPA), ("t.csv", "t_s,requests\n0,4\n60,many\n")],
        &replay,
        &expect![[r#"error: t.csv: line 3: `requests` must be a number, but is "many""#]],
    );
    refused(
        &[("h.yaml", &wrong_hpa), ("t.csv", TRACE)],
        &replay,
        &expect![
            "error: h.yaml: line 6: `spec.maxReplica` is unknown, expected one of `behavior`, `maxReplicas`, `metrics`, `minReplicas`, `scaleTargetRef` (did you mean `maxReplicas`?)"
        ],
    );
    let external = "  metrics: [{ type: External, external: { metric: { name: q }, target: { type: Value, value: 1 } } }]\n";
    refused(
        &[("h.yaml", &format!("{HPA}{external}")), ("t.csv", TRACE)],
        &replay,
        &expect![[
            r#"error: h.yaml: `spec.metrics[0]`: an external metric must be left out, since the service has none, but is "q""#
        ]],
    );
    let with = |more: &[&'static str]| [&replay[..], more].concat();
    refused(
        &[("h.yaml", HPA), ("t.csv", TRACE)],
        &with(&["--from", "noon"]),
        &expect![[
            r#"error: --from: must be a time such as 2025-03-03T10:00:00Z or a number of seconds, but is "noon""#
        ]],
    );
    refused(
        &[("h.yaml", HPA), ("t.csv", TRACE)],
        &with(&["--from", "600", "--to", "300"]),
        &expect!["error: --to: must be at least 600 s after the start, but is 300 s"],
    );
    refused(
        &[("h.yaml", HPA), ("t.csv", TRACE)],
        &with(&["--to", "1999-01-01T00:00:00Z"]),
        &expect![
            "error: --to: must not be before the start, 2025-03-03T00:00:00+00:00, but is 1999-01-01T00:00:00Z"
        ],
    );
}

/// The file of controllers names the manifest, and complaints name both.
#[test]
fn a_file_of_controllers_may_name_a_manifest() {
    let controllers = "[[controllers]]\nname = \"ours\"\nhpa = \"h.yaml\"\n";
    let wrong = HPA.replace("maxReplicas: 10", "maxReplicas: 0");
    let call = ["--controllers", "c.toml", "--controller", "ours", "--trace", "t.csv"];
    let check = |controllers: &str, manifest: &str, expected: &Expect| {
        let files = [("c.toml", controllers), ("h.yaml", manifest), ("t.csv", TRACE)];
        refused_by(env!("CARGO_BIN_EXE_compare"), &files, &call, expected);
    };
    check(
        controllers,
        &wrong,
        &expect![
            "error: c.toml: line 3: `controllers[0].hpa` is wrong: h.yaml: line 6: `spec.maxReplicas` must be at least 1, but is 0"
        ],
    );
    check(
        &controllers.replace("h.yaml", "other.yaml"),
        HPA,
        &expect![
            "error: c.toml: line 3: `controllers[0].hpa` cannot be read: other.yaml: No such file or directory (os error 2)"
        ],
    );
    check(
        &format!("{controllers}kind = \"fixed\"\n"),
        HPA,
        &expect![[
            r#"error: c.toml: line 4: `controllers[0].kind` must be "hpa" or left out beside `hpa`, but is "fixed""#
        ]],
    );
    check(
        &format!("{controllers}manifest = \"\"\"x\"\"\"\n"),
        HPA,
        &expect![
            "error: c.toml: line 4: `controllers[0].manifest` must not stand beside `hpa`, which is a manifest, too"
        ],
    );
    check(
        &controllers.replace("\"h.yaml\"", "7"),
        HPA,
        &expect!["error: c.toml: line 3: `controllers[0].hpa` must be a text in quotes, but is 7"],
    );

    let at = tempfile::tempdir().expect("a folder");
    fs::create_dir(at.path().join("own")).expect("a folder");
    for (name, text) in [("own/c.toml", controllers), ("own/h.yaml", HPA), ("t.csv", TRACE)] {
        fs::write(at.path().join(name), text).expect("it is written");
    }
    let call = [
        "--controllers",
        "own/c.toml",
        "--controller",
        "ours",
        "--trace",
        "t.csv",
        "--engine",
        "fluid",
        "--out",
        "out",
    ];
    let output = run_in(env!("CARGO_BIN_EXE_compare"), at.path(), &call);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report = fs::read_to_string(at.path().join("out/report.md")).expect("it is written");
    let line = report.lines().find(|line| line.contains("manifest")).expect("the parameters are there");
    assert!(
        line.contains("`ours`: manifest = h.yaml (hash ") && !report.contains("scaleTargetRef"),
        "{line}"
    );
    let manifest = fs::read_to_string(at.path().join("out/manifest.toml")).expect("it is written");
    assert!(manifest.contains("scaleTargetRef"), "the manifest is what the results are made of");

    // The same controller by another way, in a replay.
    let by_file =
        ["--controllers", "own/c.toml", "--controller", "ours", "--trace", "t.csv", "--engine", "fluid"];
    let by_hpa = ["--hpa", "own/h.yaml", "--trace", "t.csv", "--engine", "fluid"];
    let changes = |said: String| -> Vec<String> {
        said.lines().filter(|line| line.contains('→')).map(str::to_owned).collect()
    };
    assert_eq!(changes(printed(at.path(), &by_file)), changes(printed(at.path(), &by_hpa)));
}

/// Text, JSON lines and CSV tell one story, and the summary counts it.
#[test]
fn a_replay_tells_one_story_in_every_form() {
    let at = tempfile::tempdir().expect("a folder");
    let out = at.path().join("decisions.csv");
    let out = out.to_str().expect("text");
    let call = |more: &[&str]| {
        let base = ["--hpa", "startup-cascade.yaml", "--trace", "requests.csv", "--engine", "fluid"];
        printed(&examples(), &[&base[..], more].concat())
    };
    let lines: Vec<Value> = call(&["--json", "--out", out])
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object a line"))
        .collect();
    let (summary, changes) = lines.split_last().expect("a summary");
    // The counts of the run go on until the last user is served.
    let counted = summary["summary"]["changes"].as_u64().expect("a number");
    assert!(counted >= changes.len() as u64 && !changes.is_empty());
    let page = call(&[]);
    assert_eq!(page.lines().filter(|line| line.contains(" → ")).count(), changes.len());
    assert!(page.contains(&format!("{counted} changes")), "{page}");

    let mut csv = csv::Reader::from_path(out).expect("it is written");
    let rows: Vec<csv::StringRecord> = csv.records().map(|row| row.expect("a row")).collect();
    // 26 hours of decisions, one every 15 s.
    assert_eq!(rows.len(), 26 * 240);
    let changed: Vec<&csv::StringRecord> = rows.iter().filter(|row| row[3] != row[4]).collect();
    assert_eq!(changed.len(), changes.len());
    for (row, entry) in changed.iter().zip(changes) {
        assert_eq!(entry["at"], row[0]);
        assert_eq!(entry["to"].to_string(), row[4]);
        assert_eq!(entry["reason"], row[8]);
    }
    // One goes on where the other left off: nobody but the autoscaler declares counts.
    for pair in changes.windows(2) {
        assert_eq!(pair[0]["to"], pair[1]["from"]);
    }

    let some =
        call(&["--from", "2026-03-02T13:00:00Z", "--to", "2026-03-02T13:30:00Z", "--every", "--working"]);
    assert_eq!(some.lines().filter(|line| line.starts_with("2026-03-02T13:")).count(), 120);
    assert!(some.contains("ScalingLimited"), "{some}");
}

/// A scenario's service under a trace, a scenario's own demand, and several pools.
#[test]
fn scenarios_are_replayed_too() {
    let on =
        ["--hpa", "startup-cascade.yaml", "--scenario", "web-diurnal", "--trace", "requests.csv", "--engine"];
    let said = printed(&examples(), &[&on[..], &["fluid", "--to", "3600"]].concat());
    assert!(said.contains("web on web-diurnal (fluid engine), 60 min"), "{said}");
    let pools = [
        "--controller",
        "threshold",
        "--scenario",
        "spot-mix",
        "--engine",
        "fluid",
        "--to",
        "120",
        "--every",
    ];
    let said = printed(&examples(), &pools);
    assert!(
        said.lines().next().is_some_and(|line| line.contains("on-demand") || line.contains("spot")),
        "{said}"
    );
    let same = printed(&examples(), &pools);
    assert_eq!(said, same);
}
