//! Who may use whom, and what no package below `experiments` may touch. The arrows of docs/architecture.md are held
//! here, not by habit.
#![allow(clippy::disallowed_methods, reason = "a test of the sources reads them")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every package and the packages of this workspace that it may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("workload", &["core"]),
    ("sim", &["core", "workload"]),
    ("stats", &["core"]),
    ("net", &["core"]),
    ("autoscalers", &["core"]),
    ("forecast", &["core", "net"]),
    ("sysid", &["core"]),
    ("mpc", &["core"]),
    // An engine for the models of mpc, which only writes them; apart, since it is C++ behind a feature.
    ("highs", &["core", "mpc"]),
    ("dqn", &["core", "net"]),
    ("envs", &["core", "workload", "sim"]),
    (
        "experiments",
        &[
            "core",
            "workload",
            "sim",
            "stats",
            "net",
            "autoscalers",
            "forecast",
            "sysid",
            "mpc",
            "highs",
            "dqn",
            "envs",
        ],
    ),
];

/// Libraries that belong to one package (integer programs to two): terminal, threads and drawing to `experiments`, tensors to `net`, integer
/// programs to `mpc` and its engines.
const ONE_HOME: &[(&str, &[&str])] = &[
    ("anyhow", &["experiments"]),
    ("burn", &["net"]),
    ("clap", &["experiments"]),
    ("ctrlc", &["experiments"]),
    ("good_lp", &["mpc", "highs"]),
    ("highs", &["highs"]),
    ("indicatif", &["experiments"]),
    ("microlp", &["mpc"]),
    ("plotters", &["experiments"]),
    ("rayon", &["experiments"]),
    ("tpe", &["experiments"]),
];

/// What would make a run depend on more than (scenario, seed), as it is spelled after `use std::…` or in full.
const BANNED_BELOW_EXPERIMENTS: &[&str] = &[
    "fs::",
    "std::fs",
    "std::env",
    "env::var",
    "env::args",
    "std::process",
    "std::net",
    "std::thread",
    "thread::spawn",
    "Instant",
    "SystemTime",
    "println!",
    "print!",
    "eprintln!",
    "eprint!",
    "dbg!",
    "HashMap",
    "HashSet",
    "RandomState",
    "thread_rng",
    "OsRng",
    "SysRng",
    "rand::rng",
    "rand::random",
    "from_os_rng",
    "from_entropy",
];

/// Packages whose controllers, or what controllers are made of, may know an operator's facts and no more.
const KNOWS_FACTS_ONLY: &[&str] = &["autoscalers", "forecast", "sysid", "mpc", "net", "dqn"];

struct Package {
    name: String,
    folder: PathBuf,
    manifest: toml::Table,
}

#[test]
fn packages_depend_only_along_the_arrows() {
    for package in packages() {
        let allowed = ARROWS.iter().find(|(name, _)| *name == package.name);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("say in ARROWS what {} may use", package.name));
        for dependency in package.dependencies() {
            if let Some(used) = dependency.strip_prefix("tidegate-") {
                assert!(allowed.contains(&used), "{} must not use {used}", package.name);
            }
            if let Some((_, homes)) = ONE_HOME.iter().find(|(library, _)| *library == dependency) {
                assert!(homes.contains(&&*package.name), "{dependency} belongs to {homes:?}");
            }
        }
    }
}

#[test]
fn the_arrows_make_no_circle() {
    // Each package may use only those above it in the list.
    for (position, (name, uses)) in ARROWS.iter().enumerate() {
        for used in *uses {
            let above = ARROWS[..position].iter().any(|(other, _)| other == used);
            assert!(above, "{name} uses {used}, which stands below it");
        }
    }
}

#[test]
fn below_experiments_a_run_depends_on_scenario_and_seed_only() {
    for package in packages().iter().filter(|package| package.name != "experiments") {
        for (path, code) in package.code() {
            for word in BANNED_BELOW_EXPERIMENTS {
                assert!(!has_word(&code, word), "{} has {word}", path.display());
            }
        }
    }
}

#[test]
fn controllers_are_built_from_facts_and_never_from_a_scenario() {
    for package in packages().iter().filter(|it| KNOWS_FACTS_ONLY.contains(&it.name.as_str())) {
        for (path, code) in package.code() {
            // Its facts are those of the example; it is public only so that tests of other crates can use it.
            if path.ends_with("autoscalers/src/testing.rs") {
                continue;
            }
            for word in ["Scenario", "tidegate_core::scenario", "core::plant"] {
                assert!(!has_word(&code, word), "{} has {word}", path.display());
            }
        }
    }
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    // In two parts each, so that this file does not name them either.
    let roots: Vec<String> = ["home", "root", "Users", "tmp", "work", "opt", "mnt"]
        .iter()
        .map(|folder| format!("/{folder}/"))
        .collect();
    let mut files = Vec::new();
    for folder in [".ci", "crates", "envs", "experiments", "docs", "results"] {
        files.extend(walk(&workspace().join(folder)));
    }
    files.extend(["Cargo.toml", "clippy.toml", "README.md", "CHANGELOG.md"].map(|it| workspace().join(it)));
    assert!(files.len() > 50, "the workspace has more than {} files", files.len());
    for path in files {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for root in &roots {
            // Behind a letter or a dot it is part of an address or of a relative path.
            let named = text.match_indices(root.as_str()).any(|(at, _)| {
                let before = text[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | ')' | '*'))
            });
            assert!(!named, "{} names a path in {root}", path.display());
        }
    }
}

#[test]
fn comments_and_tests_are_left_out_and_code_is_not() {
    let source = "//! Scenario\nuse a; // HashMap\n#[cfg(test)]\nmod golden;\nfn f() { fs::x() }\n#[cfg(test)]\nmod tests {\n    HashMap\n}\nfn g() {}\n";
    assert_eq!(code_of(source), "use a; \nfn f() { fs::x() }\nfn g() {}\n");
    assert!(has_word("std::{fs::x}", "fs::") && !has_word("offs::x", "fs::"));
    assert!(has_word("(Instant::now)", "Instant") && !has_word("Instantiate()", "Instant"));
    assert_eq!(test_modules(source), ["golden"]);
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is inside the workspace").to_owned()
}

/// The members of the workspace.
fn packages() -> Vec<Package> {
    let root = read_toml(&workspace().join("Cargo.toml"));
    let members = root["workspace"]["members"].as_array().expect("members are a list");
    let packages: Vec<Package> = members
        .iter()
        .map(|member| {
            let folder = workspace().join(member.as_str().expect("a folder"));
            let manifest = read_toml(&folder.join("Cargo.toml"));
            let name = manifest["package"]["name"].as_str().expect("a name");
            let name = name.strip_prefix("tidegate-").expect("packages are called tidegate-…").to_owned();
            Package { name, folder, manifest }
        })
        .collect();
    assert!(packages.len() >= 7, "there are {} packages", packages.len());
    packages
}

impl Package {
    /// What its library and binaries are built with, on any target; tests may use more.
    fn dependencies(&self) -> BTreeSet<String> {
        let tables = |of: &toml::Table| -> Vec<toml::Table> {
            ["dependencies", "build-dependencies"]
                .iter()
                .filter_map(|kind| of.get(*kind)?.as_table().cloned())
                .collect()
        };
        let mut all = tables(&self.manifest);
        if let Some(targets) = self.manifest.get("target").and_then(toml::Value::as_table) {
            all.extend(targets.values().filter_map(toml::Value::as_table).flat_map(tables));
        }
        all.iter().flat_map(|table| table.keys().cloned()).collect()
    }

    /// Its sources without comments and tests.
    fn code(&self) -> Vec<(PathBuf, String)> {
        let sources: Vec<(PathBuf, String)> = walk(&self.folder.join("src"))
            .into_iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
            .map(|path| (path.clone(), fs::read_to_string(&path).expect("a source is text")))
            .collect();
        assert!(!sources.is_empty(), "{} has no sources", self.name);
        let tests: BTreeSet<String> = sources.iter().flat_map(|(_, text)| test_modules(text)).collect();
        let is_test = |path: &Path| {
            let of_module = if path.ends_with("mod.rs") { path.parent() } else { Some(path) };
            let name = of_module.and_then(Path::file_stem).unwrap_or_default().to_string_lossy();
            tests.contains(&*name)
        };
        sources
            .into_iter()
            .filter(|(path, _)| !is_test(path))
            .map(|(path, text)| (path, code_of(&text)))
            .collect()
    }
}

fn read_toml(path: &Path) -> toml::Table {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a folder that may not exist; those of unfinished runs are nobody's.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
        .into_iter()
        .filter(|path| !path.ends_with("partial") && !path.ends_with("target"))
        .flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] })
        .collect()
}

/// A source without comments and without what is behind `#[cfg(test)]`. As rustfmt writes it, an item ends where a
/// line at its own depth ends it.
fn code_of(source: &str) -> String {
    let mut code = String::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            let depth = line.len() - line.trim_start().len();
            let end = format!("{}}}", " ".repeat(depth));
            let item = lines.by_ref().find(|line| !line.trim_start().starts_with("#["));
            if item.is_some_and(|item| item.trim_end().ends_with('{')) {
                lines.by_ref().find(|line| line.trim_end() == end);
            }
            continue;
        }
        // A `//` inside of a text is taken for a comment; no banned word is looked for in texts.
        let kept = line.split("//").next().unwrap_or_default();
        if !kept.trim().is_empty() {
            code.push_str(kept);
            code.push('\n');
        }
    }
    code
}

/// Modules in files of their own that only tests see.
fn test_modules(source: &str) -> Vec<String> {
    source
        .split("#[cfg(test)]")
        .skip(1)
        .filter_map(|rest| {
            let item = rest.trim_start().lines().next()?.trim();
            Some(item.strip_suffix(';')?.rsplit_once("mod ")?.1.to_owned())
        })
        .collect()
}

/// Whether `word` is there and is not a part of a longer name.
fn has_word(code: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        let joins_behind = word.ends_with(is_name) && after.is_some_and(is_name);
        !before.is_some_and(is_name) && !joins_behind
    })
}
