//! Models of the service that linear ones are held against: a queue fitted to what was measured, and the same curve with
//! dynamics behind it.

use std::num::NonZeroU32;

use nalgebra::DMatrix;
use tidegate_core::{Fit, Model, Record, ResponseModel, Scenario, Start};
use tidegate_sysid::data::RecordExt;
use tidegate_sysid::levenberg::Search;
use tidegate_sysid::queueing_fit::{self, Window};
use tidegate_sysid::{FitError, HammersteinFit, Polynomial, QueueingModel, QueueingParameters};

use super::models::{STEPS_DRAWN, steps};
use super::scores::Identified;
use crate::report::number;

/// What model and data do not get right by more than sampling, as a share.
const MISFIT: f64 = 0.04;

/// Orders of the dynamics behind the curve.
const DYNAMICS: (usize, usize, usize) = (1, 2, 1);

/// Both models on a record of load, ready replicas and mean latency.
pub fn fit(scenario: &Scenario, record: &Record) -> Vec<(String, Result<Identified, String>)> {
    vec![
        ("Hammerstein".into(), hammerstein(scenario, record).map_err(|error| error.to_string())),
        ("queueing".into(), queueing(scenario, record).map_err(|error| error.to_string())),
    ]
}

fn hammerstein(scenario: &Scenario, record: &Record) -> Result<Identified, FitError> {
    let facts = scenario.facts();
    let (na, nb, nc) = DYNAMICS;
    let method = HammersteinFit {
        na,
        nb,
        nc,
        slots_per_replica: f64::from(facts.pools[0].concurrency),
        level: facts.prices.level,
    };
    let model = method.fit(record)?;
    let curve = model.curve();
    let structure = format!("Hammerstein({na},{nb},{nc})");
    let (a, [b, _], c) = model.dynamics().coefficients();
    let shown = |first: &str, values: &[f64]| {
        let terms = values.iter().map(|it| format!("{it:.4}"));
        std::iter::once(first.to_owned())
            .chain(terms)
            .filter(|it| !it.is_empty())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let poles = Polynomial::monic(&a).roots();
    let zeros = vec![Polynomial::new(b.clone()).roots()];
    Ok(Identified {
        method: "Hammerstein".into(),
        summary: format!(
            "{structure}: A y(t) = B g(load, ready) + C e(t)\n  g: {}\n  coefficients of q^0, q^-1, ...\n  A = {}\n  B = {}\n  C = {}\n\
             standard deviation of one-step errors {} s, large ones bounded",
            curve_text(curve),
            shown("1", &a),
            shown("", &b),
            shown("1", &c),
            number(model.deviation_seconds)
        ),
        json: curve_json("hammerstein", curve, Some((&a, &b, &c))),
        structure,
        n_parameters: method.n_parameters(),
        n_noise_parameters: na + nc,
        warnings: Vec::new(),
        poles,
        zeros,
        steps: steps(&model, record, STEPS_DRAWN),
        model: Box::new(model),
    })
}

fn queueing(scenario: &Scenario, record: &Record) -> Result<Identified, FitError> {
    let facts = scenario.facts();
    let level = facts.prices.level;
    let slots = f64::from(facts.pools[0].concurrency);
    let (load, ready) = (&record.inputs[0].values, &record.inputs[1].values);
    let windows = (0..record.n_samples()).map(|t| Window {
        seconds: record.step_seconds,
        requests_per_second: load[t],
        ready: ready[t],
        latency_mean_seconds: Some(record.outputs[0].values[t]).filter(|it| it.is_finite()),
        latency_quantiles_seconds: [None; 3],
        concurrency: None,
        busy_share: None,
        queue_before: None,
        weight: 1.0,
    });
    let prior = queueing_fit::prior(level.bound_seconds, slots);
    let start = QueueingParameters::from_logarithms(prior.mean.as_slice());
    let found =
        queueing_fit::fit(&windows, &prior, &start, MISFIT, Search::default(), record.step_seconds, level)?;
    let parameters = *found.model.parameters();
    let model = Queue(found.model);
    Ok(Identified {
        method: "queueing".into(),
        structure: "queueing fit".into(),
        summary: format!("queueing fit: {}\n", curve_text(&parameters)),
        json: curve_json("queueing", &parameters, None),
        n_parameters: queueing_fit::N_PARAMETERS,
        n_noise_parameters: 0,
        warnings: Vec::new(),
        poles: Vec::new(),
        zeros: Vec::new(),
        steps: steps(&model, record, STEPS_DRAWN),
        model: Box::new(model),
    })
}

/// A queueing model as one that predicts: it never looks at the measured latency, so that every horizon is a free
/// simulation, from rest at the first sample.
struct Queue(QueueingModel);

impl Model for Queue {
    fn predict(&self, record: &Record, _ahead: NonZeroU32) -> DMatrix<f64> {
        let n = record.n_samples();
        self.course(n, |t| (record.inputs[0].values[t], record.inputs[1].values[t]))
    }

    fn simulate(&self, inputs: &DMatrix<f64>, _start: Start) -> DMatrix<f64> {
        self.course(inputs.nrows(), |t| (inputs[(t, 0)], inputs[(t, 1)]))
    }
}

impl Queue {
    fn course(&self, n: usize, at: impl Fn(usize) -> (f64, f64)) -> DMatrix<f64> {
        let mut latencies = DMatrix::zeros(n, 1);
        let Some(first) = (n > 0).then(|| at(0)) else { return latencies };
        let mut state = self.0.rest(first.0, first.1);
        for t in 0..n {
            let (load, ready) = at(t);
            let (time, after) = self.0.respond(&state, load, ready);
            latencies[(t, 0)] = time.mean_seconds();
            state = after;
        }
        latencies
    }
}

fn curve_text(curve: &QueueingParameters) -> String {
    format!(
        "service {} s (squared coefficient of variation {}), wait factor {}, overhead {} s, {} slots a replica",
        number(curve.service_seconds),
        number(curve.service_scv),
        number(curve.wait_factor),
        number(curve.overhead_seconds),
        number(curve.slots_per_replica)
    )
}

/// A, B and C behind the curve.
type Behind<'a> = (&'a [f64], &'a [f64], &'a [f64]);

fn curve_json(kind: &str, curve: &QueueingParameters, behind: Option<Behind<'_>>) -> String {
    let mut value = serde_json::json!({
        "kind": kind,
        "service_seconds": curve.service_seconds,
        "service_scv": curve.service_scv,
        "wait_factor": curve.wait_factor,
        "overhead_seconds": curve.overhead_seconds,
        "slots_per_replica": curve.slots_per_replica,
    });
    if let Some((a, b, c)) = behind {
        value["a"] = a.into();
        value["b"] = b.into();
        value["c"] = c.into();
    }
    serde_json::to_string_pretty(&value).expect("numbers and text") + "\n"
}
