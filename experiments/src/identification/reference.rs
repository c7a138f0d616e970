//! Reading a folder of reference results: `reference.json`, a row a (data, structure, established package), beside the CSV
//! files that it names. docs/identification.md says what the fields mean.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use tidegate_core::Record;
use tidegate_sysid::data::RecordExt;

use super::criterion::Polynomials;
use super::table::{self, Columns};

/// A structure as the file spells it; a list has an entry an input.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Spec {
    /// `arx`, `armax`, `oe`, `bj` or `ss`.
    pub kind: String,
    na: Option<usize>,
    nb: Option<Orders>,
    nc: Option<usize>,
    nd: Option<usize>,
    nf: Option<Orders>,
    nk: Option<Orders>,
    n: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Orders {
    All(usize),
    Each(Vec<usize>),
}

impl Orders {
    fn of(&self, n_inputs: usize) -> Vec<usize> {
        match self {
            Self::All(order) => vec![*order; n_inputs],
            Self::Each(orders) => orders.clone(),
        }
    }
}

impl Spec {
    /// Order of a polynomial of which there is one.
    pub fn single(&self, name: &str) -> usize {
        match name {
            "na" => self.na,
            "nc" => self.nc,
            "nd" => self.nd,
            "n" => self.n,
            _ => unreachable!("{name} is none of the orders"),
        }
        .unwrap_or(0)
    }

    /// Orders of a polynomial of which there is one an input; `nk` is 1 unless it is given.
    pub fn each(&self, name: &str, n_inputs: usize) -> Vec<usize> {
        let (orders, missing) = match name {
            "nb" => (&self.nb, 0),
            "nf" => (&self.nf, 0),
            "nk" => (&self.nk, 1),
            _ => unreachable!("{name} is none of the orders"),
        };
        orders.as_ref().map_or_else(|| vec![missing; n_inputs], |orders| orders.of(n_inputs))
    }

    /// As reports print it, for example `armax na 2 nb 2 nc 2 nk 1`.
    pub fn title(&self) -> String {
        let each = |orders: &Option<Orders>| {
            orders.as_ref().map(|it| match it {
                Orders::All(order) => order.to_string(),
                Orders::Each(orders) => format!("{orders:?}"),
            })
        };
        let single = |order: &Option<usize>| order.map(|it| it.to_string());
        let parts = [
            ("na", single(&self.na)),
            ("nb", each(&self.nb)),
            ("nc", single(&self.nc)),
            ("nd", single(&self.nd)),
            ("nf", each(&self.nf)),
            ("nk", each(&self.nk)),
            ("n", single(&self.n)),
        ];
        let orders =
            parts.into_iter().filter_map(|(name, order)| order.map(|order| format!(" {name} {order}")));
        std::iter::once(self.kind.clone()).chain(orders).collect()
    }
}

/// What one package gave.
#[derive(Clone, Debug, Deserialize)]
pub struct Peer {
    data: String,
    /// The package.
    pub peer: String,
    spec: Spec,
    #[serde(rename = "N")]
    n: usize,
    /// CPU seconds, where they were measured.
    pub cpu_s: Option<f64>,
    params: Option<Value>,
    est: Option<Value>,
    val: Option<Value>,
}

impl Peer {
    /// Its loss on the estimation data.
    pub fn loss(&self) -> Option<f64> {
        self.est.as_ref()?.get("loss")?.as_f64().filter(|loss| loss.is_finite())
    }

    /// A fit in percent, one an output, on estimation or validation data.
    pub fn fits(&self, on_validation: bool, name: &str) -> Option<Vec<f64>> {
        let part = if on_validation { self.val.as_ref()? } else { self.est.as_ref()? };
        match part.get(name)? {
            Value::Array(fits) => fits.iter().map(Value::as_f64).collect(),
            fit => Some(vec![fit.as_f64()?]),
        }
    }

    /// Its polynomials.
    pub fn polynomials(&self) -> Option<Polynomials> {
        let params = self.params.as_ref()?;
        let flat =
            |value: &Value| -> Option<Vec<f64>> { value.as_array()?.iter().map(Value::as_f64).collect() };
        let single = |name: &str| params.get(name).map_or(Some(vec![1.0]), flat);
        let b = nested(params.get("B")?)?;
        let f = params.get("F").map_or(Some(vec![vec![1.0]]), nested)?;
        let f = if f.len() == b.len() { f } else { vec![f[0].clone(); b.len()] };
        Some(Polynomials { a: single("A")?, b, c: single("C")?, d: single("D")?, f })
    }
}

/// One polynomial, or a list of them.
fn nested(value: &Value) -> Option<Vec<Vec<f64>>> {
    let parts = value.as_array()?;
    if parts.first()?.is_array() {
        parts.iter().map(|part| part.as_array()?.iter().map(Value::as_f64).collect()).collect()
    } else {
        Some(vec![parts.iter().map(Value::as_f64).collect::<Option<_>>()?])
    }
}

/// All packages on one structure and one data set.
#[derive(Clone, Debug)]
pub struct Case {
    /// As the file names the data.
    pub data: String,
    /// The structure.
    pub spec: Spec,
    /// The packages.
    pub peers: Vec<Peer>,
    /// Estimation data, means not removed.
    pub estimation: Record,
    /// What follows in the file; empty where there is nothing.
    pub validation: Record,
}

/// Reads the folder.
///
/// # Errors
/// If a file is missing or wrong: its name, and what is wrong.
pub fn read(folder: &Path) -> anyhow::Result<Vec<Case>> {
    let path = folder.join("reference.json");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let peers: Vec<Peer> = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    ensure!(!peers.is_empty(), "{}: there are no rows", path.display());
    let mut cases: Vec<Case> = Vec::new();
    for (index, peer) in peers.into_iter().enumerate() {
        let known = cases.iter_mut().find(|case| case.data == peer.data && case.spec == peer.spec);
        if let Some(case) = known {
            case.peers.push(peer);
            continue;
        }
        let named = || format!("{}: row {}, `data` {:?}", path.display(), index + 1, peer.data);
        ensure!(
            ["arx", "armax", "oe", "bj", "ss"].contains(&peer.spec.kind.as_str()),
            "{}: `spec.kind` is {:?}, but must be arx, armax, oe, bj or ss",
            named(),
            peer.spec.kind
        );
        let file = file_of(folder, &peer.data).with_context(named)?;
        let whole = record(&file)?;
        let rows = whole.outputs[0].values.len();
        ensure!(
            peer.n > 0 && peer.n <= rows,
            "{}: `N` is {}, but must be 1 to {rows}, the rows of the file",
            named(),
            peer.n
        );
        cases.push(Case {
            data: peer.data.clone(),
            spec: peer.spec.clone(),
            estimation: whole.part(0..peer.n),
            validation: whole.part(peer.n..rows),
            peers: vec![peer],
        });
    }
    Ok(cases)
}

/// `name`, `name.csv`, or the same without folder, or without a number of rows at its end (`hair_dryer_300`).
fn file_of(folder: &Path, data: &str) -> anyhow::Result<PathBuf> {
    let name = data.rsplit('/').next().unwrap_or(data);
    let stem = name.strip_suffix(".csv").unwrap_or(name);
    let shorter = stem.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_');
    [format!("{stem}.csv"), format!("{shorter}.csv")]
        .iter()
        .map(|file| folder.join(file))
        .find(|path| path.is_file())
        .ok_or_else(|| anyhow!("there is neither {stem}.csv nor {shorter}.csv in {}", folder.display()))
}

/// Columns whose names start with `u` are inputs, those with `y` outputs.
fn record(path: &Path) -> anyhow::Result<Record> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let names: Vec<String> =
        text.lines().next().unwrap_or_default().split(',').map(|name| name.trim().to_owned()).collect();
    let of = |letter: char| names.iter().filter(|name| name.starts_with(letter)).cloned().collect::<Vec<_>>();
    let columns = Columns { outputs: of('y'), inputs: of('u'), step_seconds: 1.0 };
    let table = table::of_bytes(text.as_bytes(), &columns).with_context(|| path.display().to_string())?;
    if let Some(gap) = table.gaps.first() {
        bail!("{}: line {}, column `{}` is empty", path.display(), gap.first_line, gap.channel);
    }
    Ok(table.record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(reference: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("reference.json"), reference).expect("written");
        fs::write(folder.path().join("dryer.csv"), "u_volt,y_temp\n1,2\n3,4\n5,6\n").expect("written");
        folder
    }

    fn row(data: &str, kind: &str, n: usize) -> String {
        format!(
            r#"[{{"data":"{data}","peer":"p","N":{n},"cpu_s":0.5,"spec":{{"kind":"{kind}","na":1,"nb":[1],"nk":2}},
            "params":{{"A":[1,-0.5],"B":[0,0,3]}},"est":{{"loss":0.25,"fit_sim":[80]}}}}]"#
        )
    }

    #[test]
    fn a_folder_becomes_cases() {
        for data in ["dryer", "far/dryer.csv", "dryer_2"] {
            let cases = read(folder(&row(data, "arx", 2)).path()).expect("it is right");
            let case = &cases[0];
            assert_eq!(case.spec.title(), "arx na 1 nb [1] nk 2");
            assert_eq!(
                (case.spec.each("nb", 1), case.spec.each("nk", 1), case.spec.single("nc")),
                (vec![1], vec![2], 0)
            );
            assert_eq!(case.estimation.outputs[0].values, [2.0, 4.0]);
            assert_eq!(case.validation.inputs[0].values, [5.0]);
            let peer = &case.peers[0];
            assert_eq!((peer.loss(), peer.fits(false, "fit_sim")), (Some(0.25), Some(vec![80.0])));
            assert_eq!(peer.polynomials().expect("it has them").b, [[0.0, 0.0, 3.0]]);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_row() {
        let check = |reference: &str, expected: &str| {
            let folder = folder(reference);
            let error = format!("{:#}", read(folder.path()).expect_err("it is wrong"));
            let error = error.replace(&folder.path().display().to_string(), "DIR");
            assert_eq!(error, expected);
        };
        check(
            &row("dryer", "armx", 2),
            "DIR/reference.json: row 1, `data` \"dryer\": `spec.kind` is \"armx\", but must be arx, armax, oe, bj or ss",
        );
        check(
            &row("dryer", "arx", 9),
            "DIR/reference.json: row 1, `data` \"dryer\": `N` is 9, but must be 1 to 3, the rows of the file",
        );
        check(
            &row("x1", "arx", 2),
            "DIR/reference.json: row 1, `data` \"x1\": there is neither x1.csv nor x.csv in DIR",
        );
        check("[]", "DIR/reference.json: there are no rows");
    }
}
