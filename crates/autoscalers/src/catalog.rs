//! Controllers by name: what there is, with which parameters, and how to build one.
//!
//! A controller's parameters come from its documented defaults, from the scenario's table `[controllers.<kind>]` (over
//! which an experiment may lay what it found by a search), and from what the user's file of controllers says; later
//! ones win. A rule joins with one line in [`Catalog::rules`]; controllers of other crates join with
//! [`Catalog::with`].

use std::fmt::Write as _;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tidegate_core::locate::{FieldError, find_line, located, read_toml};
use tidegate_core::{Controller, OperatorFacts};
use toml::{Table, Value};

use crate::rule::wrong;
use crate::{
    autopilot, aws, fixed, gcp, hpa, keda, knative, lcp, metric_vote, multi_dimensional, queue_depth,
    scheduled, spot_mix, square_root_staffing, threshold, vpa,
};

/// A controller ready to run.
pub type BoxedController = Box<dyn Controller + Send>;

/// A controller that is built from facts and a table of parameters, and says what they mean.
pub trait Rule: Controller + Send + Sized + 'static {
    /// What can be set. Its default is the documented default.
    type Parameters: Clone + Default + DeserializeOwned + Serialize;
    /// Name, sentence, source and parameters.
    const ABOUT: About;
    /// Checks what can be told without knowing the service.
    ///
    /// # Errors
    /// Names the parameter, its value and what is allowed.
    fn check(parameters: &Self::Parameters) -> Result<(), FieldError>;
    /// Builds it from checked parameters.
    ///
    /// # Errors
    /// If a parameter does not fit the service.
    fn new(facts: &OperatorFacts, parameters: &Self::Parameters) -> Result<Self, FieldError>;
}

/// What a list says of a kind of controller.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct About {
    /// As it is called in files and on the command line.
    pub kind: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// What can be set.
    pub parameters: &'static [Parameter],
}

/// What a list says of one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// As it is written.
    pub name: &'static str,
    /// Its unit; empty for names and tables, 1 for shares and ratios.
    pub unit: &'static str,
    /// Its default as it would be written; in parentheses where it follows from the facts.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// Where a search for a better value looks; none for what is no matter of tuning (names, periods that a
    /// namesake fixes).
    pub search: Option<Search>,
}

impl Parameter {
    /// One row.
    pub const fn new(
        name: &'static str,
        unit: &'static str,
        default: &'static str,
        meaning: &'static str,
    ) -> Self {
        Self { name, unit, default, meaning, search: None }
    }

    /// The same, to be searched.
    pub const fn searched(self, search: Search) -> Self {
        Self { search: Some(search), ..self }
    }
}

/// The values that a search may give to a parameter. Those that do not fit each other, [`Rule::check`] refuses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Search {
    /// Any number from `low` to `high`, each as likely.
    Linear {
        /// Least.
        low: f64,
        /// Most.
        high: f64,
    },
    /// Any number from `low` to `high`, each ratio as likely; `low` is above 0.
    Log {
        /// Least.
        low: f64,
        /// Most.
        high: f64,
    },
    /// Any whole number from `low` to `high`, each ratio as likely; `low` is at least 1.
    Count {
        /// Least.
        low: u32,
        /// Most.
        high: u32,
    },
    /// On or off.
    Switch,
    /// One of these names.
    OneOf(&'static [&'static str]),
}

impl Search {
    /// The value at `share`, 0 to 1, of the way through the range, so that equal shares are equally likely.
    pub fn value(self, share: f64) -> Value {
        let share = share.clamp(0.0, 1.0);
        match self {
            Self::Linear { low, high } => Value::Float(low + share * (high - low)),
            Self::Log { low, high } => Value::Float(low * (high / low).powf(share)),
            Self::Count { low, high } => {
                // Half a step beyond both ends, so that the ends are as likely as what lies between.
                let (from, to) = (f64::from(low) - 0.5, f64::from(high) + 0.5);
                let count = (from * (to / from).powf(share)).round();
                Value::Integer(count.clamp(f64::from(low), f64::from(high)) as i64)
            }
            Self::Switch => Value::Boolean(share >= 0.5),
            Self::OneOf(names) => {
                let index = ((share * names.len() as f64) as usize).min(names.len() - 1);
                Value::String(names[index].to_owned())
            }
        }
    }
}

type Check = dyn Fn(&Table) -> Result<(), FieldError> + Send + Sync;
type Build = dyn Fn(&Table, &OperatorFacts) -> Result<BoxedController, FieldError> + Send + Sync;

/// One kind of controller.
#[derive(Clone)]
pub struct Kind {
    /// What a list says of it.
    pub about: About,
    check: Arc<Check>,
    build: Arc<Build>,
}

impl Kind {
    /// The kind of a [`Rule`].
    pub fn of<R: Rule>() -> Self {
        Self::new(
            R::ABOUT,
            |table| R::check(&read_parameters(table)?),
            |table, facts| {
                let parameters = read_parameters(table)?;
                R::check(&parameters)?;
                Ok(Box::new(R::new(facts, &parameters)?))
            },
        )
    }

    /// A kind that needs more than facts and parameters: what that is, the closures hold (a forecaster, a network).
    pub fn new(
        about: About,
        check: impl Fn(&Table) -> Result<(), FieldError> + Send + Sync + 'static,
        build: impl Fn(&Table, &OperatorFacts) -> Result<BoxedController, FieldError> + Send + Sync + 'static,
    ) -> Self {
        Self { about, check: Arc::new(check), build: Arc::new(build) }
    }

    /// Its parameters as a Markdown table, as in docs/controllers.md.
    pub fn table(&self) -> String {
        let mut table =
            String::from("| parameter | unit | default | what it does |\n| --- | --- | --- | --- |\n");
        for Parameter { name, unit, default, meaning, .. } in self.about.parameters {
            let default =
                if default.starts_with('(') { (*default).to_owned() } else { format!("`{default}`") };
            writeln!(table, "| `{name}` | {unit} | {default} | {meaning} |").expect("a string takes all");
        }
        table
    }
}

/// Reads a table of parameters; a complaint names the field.
///
/// # Errors
/// If a field is unknown, missing or of the wrong type.
pub fn read_parameters<T: DeserializeOwned>(table: &Table) -> Result<T, FieldError> {
    // Through text, because `read_toml` knows how to name the field; the text's lines are nobody's.
    let text = toml::to_string(table).expect("a table that was read can be written");
    read_toml(&text).map_err(|error| FieldError { line: None, ..error })
}

/// A controller as the user chose it: a name for reports, a kind, and what is not as by default.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedController {
    /// As reports call it.
    pub name: String,
    /// A kind of the catalog.
    pub kind: String,
    /// Parameters that are set.
    pub parameters: Table,
    /// Where they stand in the file they came from, for example `controllers[2]`; a complaint starts with it.
    pub path: String,
    /// The file that `hpa` names, whose text is the parameter `manifest`.
    pub manifest_file: Option<String>,
}

impl NamedController {
    /// A controller with the defaults of its kind, called like it.
    pub fn of_kind(kind: &str) -> Self {
        Self {
            name: kind.into(),
            kind: kind.into(),
            parameters: Table::new(),
            path: kind.into(),
            manifest_file: None,
        }
    }

    /// The same by another name.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The same with one more parameter.
    pub fn with(mut self, parameter: &str, value: impl Into<Value>) -> Self {
        self.parameters.insert(parameter.into(), value.into());
        self
    }

    /// The complaint about this controller, with the path to where the field stands: in the user's file if it is set
    /// there, else in the scenario's table of this kind if it is set there.
    fn complaint(&self, scenario: &Table, error: FieldError) -> FieldError {
        let first = error.field.split(['.', '[']).next().unwrap_or_default();
        let is_scenarios = !self.parameters.contains_key(first)
            && scenario.get(&self.kind).and_then(|table| table.get(first)).is_some();
        let path = if is_scenarios { format!("controllers.{}", self.kind) } else { self.path.clone() };
        FieldError { field: join(&path, &error.field), ..error }
    }
}

/// Kinds of controllers.
#[derive(Clone)]
pub struct Catalog {
    kinds: Vec<Kind>,
}

impl Catalog {
    /// The rules of this crate.
    pub fn rules() -> Self {
        Self {
            kinds: vec![
                Kind::of::<fixed::Fixed>(),
                Kind::of::<threshold::Threshold>(),
                Kind::of::<metric_vote::MetricVote>(),
                Kind::of::<multi_dimensional::MultiDimensional>(),
                Kind::of::<scheduled::Scheduled>(),
                Kind::of::<queue_depth::QueueDepth>(),
                Kind::of::<square_root_staffing::SquareRootStaffing>(),
                Kind::of::<spot_mix::SpotMix>(),
                Kind::of::<lcp::Lcp>(),
                Kind::of::<autopilot::Autopilot>(),
                Kind::of::<vpa::Vpa>(),
                Kind::of::<hpa::Hpa>(),
                Kind::of::<aws::AwsGroup>(),
                Kind::of::<aws::AwsTargetTracking>(),
                Kind::of::<aws::AwsStep>(),
                Kind::of::<aws::AwsSimple>(),
                Kind::of::<aws::EcsTargetTracking>(),
                Kind::of::<knative::Knative>(),
                Kind::of::<gcp::Gcp>(),
                Kind::of::<keda::Keda>(),
            ],
        }
    }

    /// The same with one kind more.
    ///
    /// # Panics
    /// If there is a kind of that name already.
    pub fn with(mut self, kind: Kind) -> Self {
        let name = kind.about.kind;
        assert!(
            self.kinds.iter().all(|known| known.about.kind != name),
            "two kinds of controllers are `{name}`"
        );
        self.kinds.push(kind);
        self
    }

    /// All kinds, in the order in which they joined.
    pub fn list(&self) -> &[Kind] {
        &self.kinds
    }

    /// A controller of this kind; what is not in the table is as by default.
    ///
    /// # Errors
    /// If there is no such kind, or a parameter is wrong; the field is the parameter's path.
    pub fn build(
        &self,
        kind: &str,
        parameters: &Table,
        facts: &OperatorFacts,
    ) -> Result<BoxedController, FieldError> {
        (self.find(kind)?.build)(parameters, facts)
    }

    /// Checks parameters as far as that can be done without the facts.
    ///
    /// # Errors
    /// As [`Catalog::build`].
    pub fn check(&self, kind: &str, parameters: &Table) -> Result<(), FieldError> {
        (self.find(kind)?.check)(parameters)
    }

    /// This controller for one service: `scenario` is [`tidegate_core::Scenario::controllers`], of which the table
    /// of the kind stands in for the defaults.
    ///
    /// # Errors
    /// As [`Catalog::build`]; the field is the path in the file where the parameter stands.
    pub fn build_named(
        &self,
        controller: &NamedController,
        scenario: &Table,
        facts: &OperatorFacts,
    ) -> Result<BoxedController, FieldError> {
        let parameters = effective_parameters(controller, scenario);
        self.build(&controller.kind, &parameters, facts)
            .map_err(|error| controller.complaint(scenario, error))
    }

    /// Checks a scenario's own tables ([`tidegate_core::Scenario::controllers`]) as far as that can be done
    /// without its facts.
    ///
    /// # Errors
    /// The field is the path in the scenario's file; whoever has the text finds the line
    /// ([`tidegate_core::locate::find_line`]).
    pub fn check_scenario(&self, scenario: &Table) -> Result<(), FieldError> {
        for (kind, parameters) in scenario {
            let path = format!("controllers.{kind}");
            let known = self.find(kind).map_err(|error| FieldError { field: path.clone(), ..error })?;
            let Value::Table(parameters) = parameters else {
                return Err(wrong(&path, format!("must be a table of parameters, but is {parameters}")));
            };
            (known.check)(parameters)
                .map_err(|error| FieldError { field: join(&path, &error.field), ..error })?;
        }
        Ok(())
    }

    /// Reads a file of controllers: tables `[[controllers]]` with `name`, `kind` and parameters. One with `hpa`, the
    /// name of a manifest's file, is refused; [`Catalog::read_controllers_with`] takes it.
    ///
    /// # Errors
    /// With line and field, if the text is no TOML, a kind is unknown, a name comes twice, or a parameter is wrong
    /// by itself (what must fit the service is checked when it is built).
    pub fn read_controllers(&self, text: &str) -> Result<Vec<NamedController>, FieldError> {
        self.read_controllers_with(text, &mut |_| Err("no files are read here".into()))
    }

    /// The same, where `read` gives the text of the manifest's file that `hpa` names. Such a controller is of kind
    /// `hpa`, whether it says so or not, and the text becomes its parameter `manifest`.
    ///
    /// # Errors
    /// As [`Catalog::read_controllers`], and if a manifest cannot be read or is wrong.
    pub fn read_controllers_with(
        &self,
        text: &str,
        read: &mut dyn FnMut(&str) -> Result<String, String>,
    ) -> Result<Vec<NamedController>, FieldError> {
        let file: ControllersFile = read_toml(text)?;
        if file.controllers.is_empty() {
            return Err(located(text, "controllers", "must list at least one controller, but is empty"));
        }
        let mut controllers: Vec<NamedController> = Vec::with_capacity(file.controllers.len());
        for (index, mut parameters) in file.controllers.into_iter().enumerate() {
            let path = format!("controllers[{index}]");
            let name = take_string(&mut parameters, "name", &path, text)?;
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
                let problem = format!("must be letters, digits, `-`, `_` and `.`, but is {name:?}");
                return Err(located(text, &join(&path, "name"), problem));
            }
            if controllers.iter().any(|known| known.name == name) {
                let problem = format!("must differ from the others', but {name:?} comes twice");
                return Err(located(text, &join(&path, "name"), problem));
            }
            let manifest_file = take_manifest(&mut parameters, &path, text, read)?;
            let kind = take_string(&mut parameters, "kind", &path, text)?;
            let in_file = |error: FieldError| {
                let field = join(&path, &error.field);
                FieldError { line: find_line(text, &field), field, ..error }
            };
            (self.find(&kind).map_err(in_file)?.check)(&parameters).map_err(in_file)?;
            controllers.push(NamedController { name, kind, parameters, path, manifest_file });
        }
        Ok(controllers)
    }

    fn find(&self, kind: &str) -> Result<&Kind, FieldError> {
        self.kinds.iter().find(|known| known.about.kind == kind).ok_or_else(|| {
            let known: Vec<_> = self.kinds.iter().map(|kind| format!("`{}`", kind.about.kind)).collect();
            wrong("kind", format!("must be one of {}, but is {kind:?}", known.join(", ")))
        })
    }
}

/// The parameters that a controller gets in a scenario, without the defaults: the scenario's table of its kind under
/// what the controller sets itself. `scenario` is [`tidegate_core::Scenario::controllers`].
pub fn effective_parameters(controller: &NamedController, scenario: &Table) -> Table {
    let mut parameters = match scenario.get(&controller.kind) {
        Some(Value::Table(table)) => table.clone(),
        _ => Table::new(),
    };
    parameters.extend(controller.parameters.clone());
    parameters
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ControllersFile {
    controllers: Vec<Table>,
}

/// Puts the text of the manifest that `hpa` names in its place; its name, if there is one.
fn take_manifest(
    table: &mut Table,
    path: &str,
    text: &str,
    read: &mut dyn FnMut(&str) -> Result<String, String>,
) -> Result<Option<String>, FieldError> {
    if !table.contains_key("hpa") {
        return Ok(None);
    }
    let file = take_string(table, "hpa", path, text)?;
    let complaint = |field: &str, problem: String| Err(located(text, &join(path, field), problem));
    match table.get("kind") {
        None => table.insert("kind".into(), "hpa".into()),
        Some(Value::String(kind)) if kind == "hpa" => None,
        Some(other) => {
            return complaint("kind", format!("must be \"hpa\" or left out beside `hpa`, but is {other}"));
        }
    };
    if table.contains_key("manifest") {
        return complaint("manifest", "must not stand beside `hpa`, which is a manifest, too".into());
    }
    let manifest = match read(&file) {
        Ok(manifest) => manifest,
        Err(why) => return complaint("hpa", format!("cannot be read: {why}")),
    };
    if let Err(error) = hpa::manifest::read(&manifest) {
        return complaint("hpa", format!("is wrong: {file}: {error}"));
    }
    table.insert("manifest".into(), manifest.into());
    Ok(Some(file))
}

fn take_string(table: &mut Table, field: &str, path: &str, text: &str) -> Result<String, FieldError> {
    match table.remove(field) {
        Some(Value::String(value)) => Ok(value),
        Some(other) => {
            Err(located(text, &join(path, field), format!("must be a text in quotes, but is {other}")))
        }
        None => Err(located(text, &join(path, field), "must be given, but is missing")),
    }
}

fn join(path: &str, field: &str) -> String {
    if field == "toml" { path.to_owned() } else { format!("{path}.{field}") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use expect_test::{Expect, expect};
    use tidegate_core::Scenario;
    use tidegate_core::scenario::EXAMPLE;

    use super::*;

    const DOCS: &str = include_str!("../../../docs/controllers.md");

    fn facts() -> OperatorFacts {
        Scenario::parse(EXAMPLE).expect("the example is right").facts()
    }

    fn defaults_of<R: Rule>() -> Table {
        Table::try_from(R::Parameters::default()).expect("parameters are a table")
    }

    #[test]
    fn every_kind_can_be_built_from_its_defaults_alone() {
        let catalog = Catalog::rules();
        for kind in catalog.list() {
            let named = NamedController::of_kind(kind.about.kind);
            let built = catalog.build_named(&named, &Table::new(), &facts());
            assert!(built.is_ok(), "{}: {}", kind.about.kind, built.err().expect("it failed"));
        }
    }

    /// The documented parameters are those that can be read, no more and no fewer, and the documented defaults are
    /// those that are used.
    #[test]
    fn the_documented_parameters_are_the_real_ones() {
        fn check<R: Rule>() {
            let kind = R::ABOUT.kind;
            let unknown = Table::from_iter([("no_such_field".to_owned(), Value::Boolean(true))]);
            let error = read_parameters::<R::Parameters>(&unknown).err().expect("the field is unknown");
            let expected = error.problem.split("expected").nth(1).unwrap_or_default();
            let real: BTreeSet<_> = expected.split('`').skip(1).step_by(2).collect();
            let documented: BTreeSet<_> = R::ABOUT.parameters.iter().map(|row| row.name).collect();
            assert_eq!(documented, real, "{kind}");
            let defaults = defaults_of::<R>();
            for row in R::ABOUT.parameters {
                let used = defaults.get(row.name);
                if row.default.starts_with('(') {
                    // Follows from the facts, or is a list that the handbook shows below the table.
                    assert!(matches!(used, None | Some(Value::Array(_))), "{kind}.{}", row.name);
                } else {
                    let text = format!("value = {}", row.default);
                    let table: Table =
                        text.parse().unwrap_or_else(|error| panic!("{kind}.{}: {error}", row.name));
                    assert_eq!(used, table.get("value"), "{kind}.{}", row.name);
                }
            }
        }
        check::<fixed::Fixed>();
        check::<threshold::Threshold>();
        check::<metric_vote::MetricVote>();
        check::<multi_dimensional::MultiDimensional>();
        check::<scheduled::Scheduled>();
        check::<queue_depth::QueueDepth>();
        check::<square_root_staffing::SquareRootStaffing>();
        check::<spot_mix::SpotMix>();
        check::<lcp::Lcp>();
        check::<autopilot::Autopilot>();
        check::<vpa::Vpa>();
        check::<hpa::Hpa>();
        check::<aws::AwsGroup>();
        check::<aws::AwsTargetTracking>();
        check::<aws::AwsStep>();
        check::<aws::AwsSimple>();
        check::<aws::EcsTargetTracking>();
        check::<knative::Knative>();
        check::<gcp::Gcp>();
        check::<keda::Keda>();
    }

    #[test]
    fn a_search_covers_its_range_evenly() {
        let counts: Vec<_> = (0..=8)
            .map(|step| Search::Count { low: 1, high: 4 }.value(f64::from(step) / 8.0).to_string())
            .collect();
        assert_eq!(counts.join(" "), "1 1 1 1 2 2 3 3 4");
        assert_eq!(
            Search::Log { low: 10.0, high: 1000.0 }.value(0.5).as_float().map(f64::round),
            Some(100.0)
        );
        assert_eq!(Search::Linear { low: 0.2, high: 0.4 }.value(7.0), Value::Float(0.4));
        assert_eq!(Search::OneOf(&["a", "b"]).value(1.0), Value::String("b".into()));
        assert_eq!(Search::Switch.value(0.4), Value::Boolean(false));
    }

    /// Every value that a search may propose is read by the rule, and the documented default is written within.
    #[test]
    fn what_a_search_proposes_can_be_read() {
        for kind in Catalog::rules().list() {
            for parameter in kind.about.parameters {
                for share in [0.0, 0.3, 1.0] {
                    let Some(search) = parameter.search else { continue };
                    let mut table = Table::new();
                    table.insert(parameter.name.into(), search.value(share));
                    let Err(error) = (kind.check)(&table) else { continue };
                    // Only another parameter's value may stand against it.
                    let (kind, name) = (kind.about.kind, parameter.name);
                    assert!(error.problem.contains('`'), "{kind}.{name} at {share}: {error}");
                    assert!(!error.problem.contains("unknown field"), "{kind}.{name}: {error}");
                }
            }
        }
    }

    #[test]
    fn the_handbook_shows_every_parameter_table() {
        for kind in Catalog::rules().list() {
            let table = kind.table();
            assert!(DOCS.contains(&table), "docs/controllers.md lacks for `{}`:\n{table}", kind.about.kind);
            assert!(DOCS.contains(kind.about.summary), "docs/controllers.md lacks: {}", kind.about.summary);
        }
    }

    fn read(text: &str, expected: &Expect) {
        let shown = match Catalog::rules().read_controllers(text) {
            Ok(controllers) => {
                let each = controllers.iter().map(|c| format!("{} = {} {}", c.name, c.kind, c.parameters));
                each.collect::<Vec<_>>().join("\n").replace('\n', "; ")
            }
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn a_file_of_controllers_is_read_or_refused_with_line_and_field() {
        let head = "[[controllers]]\nname = \"a\"\nkind = \"threshold\"\n";
        read(&format!("{head}high = 0.9\n"), &expect!["a = threshold high = 0.9; "]);
        read("", &expect!["`controllers` missing field `controllers`"]);
        read(
            "controllers = []",
            &expect!["line 1: `controllers` must list at least one controller, but is empty"],
        );
        read(
            "[[controllers]]\nkind = \"fixed\"\n",
            &expect!["line 1: `controllers[0].name` must be given, but is missing"],
        );
        read(
            "[[controllers]]\nname = 3\nkind = \"fixed\"\n",
            &expect!["line 2: `controllers[0].name` must be a text in quotes, but is 3"],
        );
        read(
            "[[controllers]]\nname = \"a b\"\nkind = \"fixed\"\n",
            &expect![[
                r#"line 2: `controllers[0].name` must be letters, digits, `-`, `_` and `.`, but is "a b""#
            ]],
        );
        read(
            "[[controllers]]\nname = \"a\"\nkind = \"treshold\"\n",
            &expect![[
                r#"line 3: `controllers[0].kind` must be one of `fixed`, `threshold`, `metric_vote`, `multi_dimensional`, `scheduled`, `queue_depth`, `square_root_staffing`, `spot_mix`, `lcp`, `autopilot`, `vpa`, `hpa`, `aws`, `aws_target_tracking`, `aws_step`, `aws_simple`, `ecs_target_tracking`, `knative`, `gcp`, `keda`, but is "treshold""#
            ]],
        );
        read(
            &format!("{head}{head}"),
            &expect![[r#"line 5: `controllers[1].name` must differ from the others', but "a" comes twice"#]],
        );
        read(
            &format!("{head}hihg = 0.9\n"),
            &expect![
                "line 4: `controllers[0].hihg` unknown field `hihg`, expected one of `pool`, `high`, `low`, `step`, `step_share`, `cooldown_out_seconds`, `cooldown_in_seconds`, `counts_starting`, `guards_scale_in`, `window_seconds`, `stale_seconds`, `period_seconds`"
            ],
        );
        read(
            &format!("{head}high = \"0.9\"\n"),
            &expect![[r#"line 4: `controllers[0].high` invalid type: string "0.9", expected f64"#]],
        );
        read(
            &format!("{head}high = 0.4\n"),
            &expect!["line 1: `controllers[0].low` must be below `high`, which is 0.4, but is 0.5"],
        );
        read(
            &format!("{head}high = nan\n"),
            &expect!["line 4: `controllers[0].high` must be a number that is not negative, but is NaN"],
        );
        read(
            &format!("{head}step = -1\n"),
            &expect!["line 4: `controllers[0].step` invalid value: integer `-1`, expected u32"],
        );
        read(
            "[[controllers]]\nname = \"v\"\nkind = \"metric_vote\"\n\
             [[controllers.policies]]\nmetric = \"cpu\"\nlow = 0.5\nhigh = 0.8\n\
             [[controllers.policies]]\nmetric = \"heat\"\nlow = 0.5\nhigh = 0.8\n",
            &expect![
                "line 9: `controllers[0].policies[1].metric` unknown variant `heat`, expected one of `cpu`, `memory`, `network`, `disk`, `requests_per_second`, `requests_per_second_per_replica`, `error_share`, `latency_mean_seconds`, `latency_p95_seconds`, `latency_p99_seconds`, `latency_p95_per_bound`, `queue_length`, `queue_per_replica`, `oldest_age_seconds`, `concurrency`, `external`"
            ],
        );
        read(
            "[[controllers]]\nname = \"s\"\nkind = \"scheduled\"\n\
             [[controllers.entries]]\ncron = \"0 25 * * *\"\nwanted = 3\n",
            &expect![[
                r#"line 5: `controllers[0].entries[0].cron` must be a cron expression like "0 8 * * MON-FRI", but is "0 25 * * *": Component error: Number out of bounds"#
            ]],
        );
    }

    #[test]
    fn a_scenarios_table_stands_in_for_the_defaults() {
        let scenario: Table =
            "[threshold]\nhigh = 0.7\nlow = 0.3\npool = \"wbe\"".parse().expect("this is TOML");
        let catalog = Catalog::rules();
        catalog.check_scenario(&scenario).expect("a pool's name is checked with the facts");
        let named = NamedController::of_kind("threshold").named("mine").with("high", 0.9);
        assert_eq!(
            effective_parameters(&named, &scenario).to_string(),
            "high = 0.9\nlow = 0.3\npool = \"wbe\"\n"
        );
        let complain = |named: &NamedController| {
            catalog.build_named(named, &scenario, &facts()).err().expect("there is no such pool").to_string()
        };
        expect![[r#"`controllers.threshold.pool` must be "web", but is "wbe""#]].assert_eq(&complain(&named));
        expect![[r#"`threshold.pool` must be "web", but is "bew""#]]
            .assert_eq(&complain(&named.with("pool", "bew")));
    }

    #[test]
    fn a_scenarios_table_is_checked() {
        let check = |text: &str, expected: &Expect| {
            let table: Table = text.parse().expect("this is TOML");
            let error = Catalog::rules().check_scenario(&table).expect_err("the table is wrong");
            expected.assert_eq(&error.to_string());
        };
        check(
            "[treshold]\nhigh = 0.7",
            &expect![[
                r#"`controllers.treshold` must be one of `fixed`, `threshold`, `metric_vote`, `multi_dimensional`, `scheduled`, `queue_depth`, `square_root_staffing`, `spot_mix`, `lcp`, `autopilot`, `vpa`, `hpa`, `aws`, `aws_target_tracking`, `aws_step`, `aws_simple`, `ecs_target_tracking`, `knative`, `gcp`, `keda`, but is "treshold""#
            ]],
        );
        check("threshold = 3", &expect!["`controllers.threshold` must be a table of parameters, but is 3"]);
        check(
            "[threshold]\nhihg = 0.7",
            &expect![
                "`controllers.threshold.hihg` unknown field `hihg`, expected one of `pool`, `high`, `low`, `step`, `step_share`, `cooldown_out_seconds`, `cooldown_in_seconds`, `counts_starting`, `guards_scale_in`, `window_seconds`, `stale_seconds`, `period_seconds`"
            ],
        );
        check(
            "[threshold]\nlow = 0.9",
            &expect!["`controllers.threshold.low` must be below `high`, which is 0.8, but is 0.9"],
        );
    }

    #[test]
    fn controllers_of_other_crates_join_with_one_line() {
        const ABOUT: About =
            About { kind: "idle", summary: "Does nothing.", source: "a test", parameters: &[] };
        let idle =
            Kind::new(ABOUT, |_| Ok(()), |_, facts| Catalog::rules().build("fixed", &Table::new(), facts));
        let catalog = Catalog::rules().with(idle);
        assert!(catalog.build("idle", &Table::new(), &facts()).is_ok());
        assert_eq!(catalog.list().last().map(|kind| kind.about.kind), Some("idle"));
    }
}
