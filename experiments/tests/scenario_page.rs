//! docs/scenarios.md names every field of a scenario file, with the default that the code has.

const PAGE: &str = include_str!("../../docs/scenarios.md");
const CONFIG: &str = include_str!("../../crates/core/src/scenario/config.rs");
const WORKLOAD: &str = include_str!("../../crates/core/src/scenario/workload.rs");
const EXAMPLE: &str = include_str!("../../crates/core/src/scenario/example.toml");

/// Where each struct is described.
const SECTIONS: &[(&str, &str)] = &[
    ("ScenarioConfig", "## Top level"),
    ("TimeConfig", "## `[time]`"),
    ("ServiceConfig", "## `[service]`"),
    ("ClientConfig", "## `[client]`"),
    ("PoolConfig", "## `[[pools]]`"),
    ("LaunchHookConfig", "### `[pools.launch_hook]`"),
    ("SpotConfig", "### `[pools.spot]`"),
    ("WarmPoolConfig", "### `[pools.warm_pool]`"),
    ("ResourcesConfig", "### `[pools.resources]`"),
    ("ServiceLevelConfig", "## `[service_level]`"),
    ("SensingConfig", "## `[sensing]`"),
    ("ExternalConfig", "### `[[sensing.external]]`"),
    ("FaultsConfig", "## `[faults]`"),
    ("EnergyConfig", "## `[energy]`"),
    ("ProfileConfig", "### `kind = \"profile\"`"),
    ("FlashCrowdConfig", "### `kind = \"flash_crowd\"`"),
    ("BurstConfig", "### `kind = \"burst\"`"),
    ("BatchConfig", "### `batches` of `kind = \"batch\"`"),
    ("TraceConfig", "### `kind = \"trace\"`"),
];

/// A field as the source has it.
struct Field<'a> {
    name: &'a str,
    kind: &'a str,
    default: Default<'a>,
}

#[derive(Debug)]
enum Default<'a> {
    Required,
    /// Of the type.
    Plain,
    /// A function of this name gives it.
    Named(&'a str),
}

#[test]
fn every_field_is_described_with_its_default() {
    let mut n_fields = 0;
    for source in [CONFIG, WORKLOAD] {
        for (name, body) in items(source, "pub struct ").filter(|(_, body)| body.contains("    pub ")) {
            if !source[..source.find(body).expect("it is a part")]
                .lines()
                .rev()
                .take(4)
                .any(|line| line.contains("Deserialize"))
            {
                continue; // it is what a checked file became
            }
            let heading = SECTIONS.iter().find(|(known, _)| *known == name);
            let (_, heading) = heading.unwrap_or_else(|| panic!("say in SECTIONS where {name} is described"));
            let section = section(heading);
            for field in fields(body) {
                n_fields += 1;
                let shown = default_shown(section, field.name)
                    .unwrap_or_else(|| panic!("{heading} has no row for `{}`", field.name));
                check_default(&field, shown, source, heading);
            }
        }
    }
    assert!(n_fields > 100, "only {n_fields} fields were found");
}

#[test]
fn every_kind_and_its_fields_are_named() {
    let mut n_names = 0;
    for source in [CONFIG, WORKLOAD] {
        for (name, body) in items(source, "pub enum ") {
            // `Workload` and `Scale` are what a checked file became.
            if ["Workload", "Scale"].contains(&name) {
                continue;
            }
            for line in body.lines().map(str::trim).filter(|line| !line.starts_with(['/', '#', '}'])) {
                let word = line.split([' ', '(', ',', ':', '{']).next().unwrap_or_default();
                let word =
                    if word.starts_with(char::is_uppercase) { snake_case(word) } else { word.to_owned() };
                n_names += 1;
                assert!(PAGE.contains(&format!("`{word}`")), "{name}: `{word}` is not named");
            }
        }
    }
    assert!(n_names > 40, "only {n_names} names were found");
}

/// What is left out of the page's example are defaults: both are the same scenario.
#[test]
fn the_example_of_the_page_is_the_example() {
    let page = PAGE.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let read = |text| tidegate_core::Scenario::parse(text).expect("it is right");
    assert_eq!(read(page), read(EXAMPLE));
}

#[test]
fn every_built_in_scenario_has_a_row() {
    for (name, _, _) in tidegate_experiments::scenarios::list() {
        assert!(PAGE.contains(&format!("\n| `{name}` |")), "{name} has no row");
    }
}

fn check_default(field: &Field<'_>, shown: &str, source: &str, heading: &str) {
    let place = format!("{heading}: `{}` is {shown:?} on the page", field.name);
    let expected = match field.default {
        Default::Required if field.kind.starts_with("Option<") => {
            assert_ne!(shown, "required", "{place}");
            return;
        }
        Default::Required => "required".to_owned(),
        Default::Plain if ["f64", "u32"].contains(&field.kind) => "0".to_owned(),
        Default::Plain => {
            assert_ne!(shown, "required", "{place}");
            return;
        }
        Default::Named(function) => {
            let value =
                value_of(function, source).unwrap_or_else(|| panic!("{function} is not in the source"));
            if value.starts_with('[') {
                return; // a list is said in words
            }
            value
        }
    };
    let number = |text: &str| text.replace([',', '_'], "").parse::<f64>();
    match (number(shown), number(&expected)) {
        (Ok(shown), Ok(expected)) => assert_eq!(shown, expected, "{place}"),
        _ => assert_eq!(shown, expected, "{place}"),
    }
}

/// The value that a function of defaults gives: `name: type = value;` or `fn name() -> type {` and a line.
fn value_of(function: &str, source: &str) -> Option<String> {
    let short = source.lines().find_map(|line| {
        let rest = line.trim().strip_prefix(function)?.strip_prefix(": ")?;
        Some(rest.split_once(" = ")?.1.trim_end_matches(';'))
    });
    let long = || source.split(&format!("fn {function}() ")).nth(1)?.lines().nth(1);
    let value = short.or_else(long)?.trim();
    Some(value.trim_end_matches(".into()").trim_matches('"').to_owned())
}

/// Name and body of each item that starts like this, as rustfmt writes them.
fn items<'a>(source: &'a str, start: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    source.match_indices(start).filter_map(move |(at, _)| {
        let rest = &source[at + start.len()..];
        let (name, rest) = rest.split_once(" {\n")?;
        Some((name, rest.split_once("\n}\n")?.0))
    })
}

fn fields(body: &str) -> Vec<Field<'_>> {
    let mut fields = Vec::new();
    let mut default = Default::Required;
    for line in body.lines().map(str::trim) {
        if line == "#[serde(default)]" {
            default = Default::Plain;
        } else if let Some(rest) = line.strip_prefix("#[serde(default = \"") {
            default = Default::Named(rest.split('"').next().unwrap_or_default());
        } else if let Some((name, kind)) = line.strip_prefix("pub ").and_then(|rest| rest.split_once(": ")) {
            let default = std::mem::replace(&mut default, Default::Required);
            fields.push(Field { name, kind: kind.trim_end_matches(','), default });
        }
    }
    fields
}

/// The page from a heading to the next.
fn section(heading: &str) -> &'static str {
    let (_, rest) =
        PAGE.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("there is no {heading}"));
    rest.split("\n## ").next().and_then(|rest| rest.split("\n### ").next()).unwrap_or(rest)
}

/// The third column of a field's row.
fn default_shown<'a>(section: &'a str, field: &str) -> Option<&'a str> {
    let row = section.lines().find_map(|line| line.strip_prefix(&format!("| `{field}` |")))?;
    row.split('|').nth(1).map(str::trim)
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}
