//! Systems whose truth is known, and data drawn from them: A y = Σᵢ (Bᵢ/Fᵢ) uᵢ + (C/D) e.
//!
//! The first five are the synthetic systems of the project's reference data (parameters, noise and hold as there;
//! the data are drawn anew from the seeds here). The others add what those lack: several inputs, delays, orders that
//! differ from input to input, poles near the unit circle, na = 0, no input at all.

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use tidegate_core::{Channel, Record, Seed, Stream};
use tidegate_sysid::{InputOrders, Orders, Structure};

use super::criterion::Polynomials;

/// Samples that are thrown away, so that the process is stationary when the record begins.
const BURN: usize = 2000;

/// The path from one input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Path {
    /// Leading zeros are the delay; the rest are the parameters.
    pub b: &'static [f64],
    /// Starts with 1.
    pub f: &'static [f64],
}

impl Path {
    /// Delay in samples.
    pub fn nk(&self) -> usize {
        self.b.iter().position(|b| *b != 0.0).expect("a path does something")
    }

    /// Parameters of B.
    pub fn nb(&self) -> usize {
        self.b.len() - self.nk()
    }
}

/// A system with known parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct System {
    /// What reports call it.
    pub name: &'static str,
    /// Its structure.
    pub structure: Structure,
    /// Starts with 1.
    pub a: &'static [f64],
    /// One an input.
    pub paths: &'static [Path],
    /// Starts with 1.
    pub c: &'static [f64],
    /// Starts with 1.
    pub d: &'static [f64],
    /// Standard deviation of e.
    pub sigma: f64,
    /// Samples for which the binary inputs keep their value.
    pub hold: usize,
    /// Samples of a run.
    pub n: usize,
    /// Whether the record begins with the system at rest, not in the middle of operation.
    pub from_rest: bool,
    /// Why rows of this system are known to fail. They are judged as all others are and count as failures; only the exit code
    /// looks for failures that are new.
    pub known_gap: Option<&'static str>,
}

const ONE: &[f64] = &[1.0];

const BASE: System = System {
    name: "",
    structure: Structure::Arx,
    a: ONE,
    paths: &[],
    c: ONE,
    d: ONE,
    sigma: 1.0,
    hold: 3,
    n: 1000,
    from_rest: false,
    known_gap: None,
};

/// Second order, well damped; e as large as the input. The reference data call it `armax221`.
pub const ARMAX221: System = System {
    name: "ARMAX(2,2,2), nk 1",
    structure: Structure::Armax,
    a: &[1.0, -1.5, 0.7],
    paths: &[Path { b: &[0.0, 1.0, 0.5], f: ONE }],
    c: &[1.0, -1.0, 0.2],
    ..BASE
};

/// The four numbers of C and D do almost the same: their likelihood has a long bent valley, and a standard error, which is a
/// matter of curvature at one point, does not describe that.
const WEAK_NOISE: &str = "the samples are too few for four noise parameters that do almost the same: their likelihood is no parabola";

/// The criterion, by definition, starts 1/F at zero. What a lightly damped system has stored when the record begins is then
/// an error that is not noise.
const STORED: &str =
    "the criterion starts 1/F at zero, but these records begin in the middle of a slow oscillation";

/// All systems of the Monte Carlo study, in the order of the report. The order is part of the results: seeds are
/// counted by it.
pub const ALL: &[System] = &[
    ARMAX221,
    // `armax_slow`.
    System {
        name: "ARMAX(3,2,1), nk 2, slow",
        structure: Structure::Armax,
        a: &[1.0, -2.1, 1.45, -0.329],
        paths: &[Path { b: &[0.0, 0.0, 0.08, 0.05], f: ONE }],
        c: &[1.0, 0.5],
        sigma: 0.1,
        hold: 8,
        ..BASE
    },
    // `arx221`.
    System {
        name: "ARX(2,2), nk 1",
        a: &[1.0, -1.2, 0.5],
        paths: &[Path { b: &[0.0, 0.6, 0.3], f: ONE }],
        sigma: 0.4,
        ..BASE
    },
    // `oe221`.
    System {
        name: "OE(2,2), nk 1",
        structure: Structure::OutputError,
        paths: &[Path { b: &[0.0, 0.4, 0.2], f: &[1.0, -1.3, 0.6] }],
        sigma: 0.5,
        hold: 4,
        ..BASE
    },
    // `bj22221`, at the length of the reference data and at ten times that.
    System {
        name: "BJ(2,2,2,2), nk 1",
        structure: Structure::BoxJenkins,
        paths: &[Path { b: &[0.0, 0.5, 0.3], f: &[1.0, -1.4, 0.65] }],
        c: &[1.0, 0.6, 0.1],
        d: &[1.0, -0.8, 0.15],
        sigma: 0.3,
        hold: 4,
        known_gap: Some(WEAK_NOISE),
        ..BASE
    },
    System {
        name: "BJ(2,2,2,2), nk 1, ten times as long",
        structure: Structure::BoxJenkins,
        paths: &[Path { b: &[0.0, 0.5, 0.3], f: &[1.0, -1.4, 0.65] }],
        c: &[1.0, 0.6, 0.1],
        d: &[1.0, -0.8, 0.15],
        sigma: 0.3,
        hold: 4,
        n: 10_000,
        known_gap: Some(WEAK_NOISE),
        ..BASE
    },
    System {
        name: "ARX(3,[2 1]), nk [1 4]",
        a: &[1.0, -1.1, 0.5, -0.2],
        paths: &[Path { b: &[0.0, 0.7, -0.3], f: ONE }, Path { b: &[0.0, 0.0, 0.0, 0.0, 0.5], f: ONE }],
        sigma: 0.5,
        ..BASE
    },
    System {
        name: "ARMAX(2,[2 1],1), nk [1 3]",
        structure: Structure::Armax,
        a: &[1.0, -1.3, 0.55],
        paths: &[Path { b: &[0.0, 0.5, 0.4], f: ONE }, Path { b: &[0.0, 0.0, 0.0, -0.8], f: ONE }],
        c: &[1.0, 0.6],
        sigma: 0.6,
        ..BASE
    },
    System {
        name: "OE([2 1],[2 1]), nk [1 2]",
        structure: Structure::OutputError,
        paths: &[
            Path { b: &[0.0, 0.5, 0.2], f: &[1.0, -1.2, 0.52] },
            Path { b: &[0.0, 0.0, 0.6], f: &[1.0, -0.7] },
        ],
        sigma: 0.5,
        ..BASE
    },
    System {
        name: "BJ([1 2],1,1,[1 2]), nk [1 1]",
        structure: Structure::BoxJenkins,
        paths: &[
            Path { b: &[0.0, 0.8], f: &[1.0, -0.6] },
            Path { b: &[0.0, 0.4, 0.3], f: &[1.0, -1.1, 0.4] },
        ],
        c: &[1.0, 0.5],
        d: &[1.0, -0.8],
        sigma: 0.4,
        ..BASE
    },
    System {
        name: "ARX(0,3), nk 2",
        paths: &[Path { b: &[0.0, 0.0, 0.9, -0.4, 0.2], f: ONE }],
        sigma: 0.5,
        hold: 1,
        ..BASE
    },
    System {
        name: "ARMAX(0,2,2), nk 1",
        structure: Structure::Armax,
        paths: &[Path { b: &[0.0, 0.9, 0.4], f: ONE }],
        c: &[1.0, -0.9, 0.4],
        sigma: 0.5,
        ..BASE
    },
    System {
        name: "ARX(1,1), nk 7",
        a: &[1.0, -0.8],
        paths: &[Path { b: &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5], f: ONE }],
        sigma: 0.5,
        ..BASE
    },
    System { name: "AR(3)", structure: Structure::Ar, a: &[1.0, -1.2, 0.7, -0.2], ..BASE },
    System { name: "ARMA(2,1)", structure: Structure::Arma, a: &[1.0, -1.4, 0.6], c: &[1.0, 0.5], ..BASE },
    System {
        name: "ARX(2,2), nk 1, pole 0.995",
        a: &[1.0, -1.595, 0.597],
        paths: &[Path { b: &[0.0, 0.05, 0.03], f: ONE }],
        sigma: 0.1,
        hold: 20,
        n: 10_000,
        ..BASE
    },
    System {
        name: "ARMAX(2,1,1), nk 1, pole 0.99",
        structure: Structure::Armax,
        a: &[1.0, -1.59, 0.594],
        paths: &[Path { b: &[0.0, 0.1], f: ONE }],
        c: &[1.0, -0.5],
        sigma: 0.1,
        hold: 20,
        n: 10_000,
        ..BASE
    },
    System {
        name: "OE(1,2), nk 1, poles 0.99 ∠ 0.14, from rest",
        structure: Structure::OutputError,
        paths: &[Path { b: &[0.0, 0.02], f: &[1.0, -1.96, 0.98] }],
        sigma: 0.5,
        hold: 20,
        n: 10_000,
        from_rest: true,
        ..BASE
    },
    System {
        name: "OE(1,2), nk 1, poles 0.99 ∠ 0.14, in operation",
        structure: Structure::OutputError,
        paths: &[Path { b: &[0.0, 0.02], f: &[1.0, -1.96, 0.98] }],
        sigma: 0.5,
        hold: 20,
        n: 10_000,
        known_gap: Some(STORED),
        ..BASE
    },
];

impl System {
    /// Orders and delays of the structure.
    pub fn orders(&self) -> Orders {
        Orders {
            na: self.a.len() - 1,
            nc: self.c.len() - 1,
            nd: self.d.len() - 1,
            inputs: self
                .paths
                .iter()
                .map(|path| InputOrders { nb: path.nb(), nf: path.f.len() - 1, nk: path.nk() })
                .collect(),
        }
    }

    /// Name and value of every parameter, in the order in which models hold them.
    pub fn truth(&self) -> Vec<(String, f64)> {
        let tail = |monic: &[f64]| monic[1..].to_vec();
        let b = self.paths.iter().flat_map(|path| path.b[path.nk()..].to_vec());
        let f = self.paths.iter().flat_map(|path| tail(path.f));
        let values = tail(self.a)
            .into_iter()
            .chain(b)
            .chain(tail(self.c))
            .chain(tail(self.d))
            .chain(f)
            .collect::<Vec<_>>();
        let inputs: Vec<String> = (1..=self.paths.len()).map(|index| format!("u{index}")).collect();
        self.orders().names(&inputs).into_iter().zip(values).collect()
    }

    /// Its polynomials.
    pub fn polynomials(&self) -> Polynomials {
        Polynomials {
            a: self.a.to_vec(),
            b: self.paths.iter().map(|path| path.b.to_vec()).collect(),
            c: self.c.to_vec(),
            d: self.d.to_vec(),
            f: self.paths.iter().map(|path| path.f.to_vec()).collect(),
        }
    }

    /// Draws a record of this length in the world of a seed: binary inputs from `Stream::Excitation`, each input after
    /// the other; normal noise from `Stream::SensorNoise`.
    pub fn draw(&self, n: usize, seed: Seed) -> Record {
        let burn = if self.from_rest { 0 } else { BURN };
        let length = burn + n;
        let mut excitation = seed.rng(Stream::Excitation);
        let inputs: Vec<Vec<f64>> =
            self.paths.iter().map(|_| binary(length, self.hold, &mut excitation)).collect();
        let noise = self.noise(length, seed);
        let mut sum = filtered(self.c, self.d, &noise);
        for (path, input) in self.paths.iter().zip(&inputs) {
            for (sum, part) in sum.iter_mut().zip(filtered(path.b, path.f, input)) {
                *sum += part;
            }
        }
        let output = filtered(ONE, self.a, &sum);
        recorded(&inputs, &output, burn)
    }

    /// The same under feedback: u(t) = r(t) − `gain` · y(t), with r the binary signal times `reference`.
    ///
    /// # Panics
    /// If the system has not one input, or C/D and F are not those of an ARMAX structure with a delay.
    pub fn draw_closed_loop(&self, n: usize, gain: f64, reference: f64, seed: Seed) -> Record {
        assert!(self.d == ONE && self.paths.len() == 1 && self.paths[0].f == ONE && self.paths[0].nk() > 0);
        let length = BURN + n;
        let drawn = binary(length, self.hold, &mut seed.rng(Stream::Excitation));
        let noise = self.noise(length, seed);
        let (mut input, mut output) = (Vec::with_capacity(length), Vec::with_capacity(length));
        let past = |weights: &[f64], values: &[f64], t: usize| -> f64 {
            weights.iter().take(t + 1).enumerate().skip(1).map(|(lag, weight)| weight * values[t - lag]).sum()
        };
        for t in 0..length {
            let y = -past(self.a, &output, t)
                + past(self.paths[0].b, &input, t)
                + past(self.c, &noise, t)
                + noise[t];
            output.push(y);
            input.push(reference * drawn[t] - gain * y);
        }
        recorded(&[input], &output, BURN)
    }

    fn noise(&self, length: usize, seed: Seed) -> Vec<f64> {
        let mut rng = seed.rng(Stream::SensorNoise);
        (0..length)
            .map(|_| {
                let draw: f64 = StandardNormal.sample(&mut rng);
                self.sigma * draw
            })
            .collect()
    }
}

fn recorded(inputs: &[Vec<f64>], output: &[f64], burn: usize) -> Record {
    let channel =
        |name: String, values: &[f64]| Channel { name, unit: "1".into(), values: values[burn..].to_vec() };
    Record {
        step_seconds: 1.0,
        inputs: inputs
            .iter()
            .enumerate()
            .map(|(index, input)| channel(format!("u{}", index + 1), input))
            .collect(),
        outputs: vec![channel("y".into(), output)],
    }
}

/// A signal of ±1 that keeps each value for `hold` samples.
fn binary(length: usize, hold: usize, rng: &mut impl rand::Rng) -> Vec<f64> {
    let mut level = 1.0;
    (0..length)
        .map(|t| {
            if t % hold == 0 {
                level = if rng.random::<bool>() { 1.0 } else { -1.0 };
            }
            level
        })
        .collect()
}

/// (numerator/denominator) x from rest; the denominator starts with 1.
pub fn filtered(numerator: &[f64], denominator: &[f64], x: &[f64]) -> Vec<f64> {
    let mut y = Vec::with_capacity(x.len());
    for t in 0..x.len() {
        let mut sum = 0.0;
        for (lag, weight) in numerator.iter().enumerate().take(t + 1) {
            sum += weight * x[t - lag];
        }
        for (lag, weight) in denominator.iter().enumerate().take(t + 1).skip(1) {
            sum -= weight * y[t - lag];
        }
        y.push(sum);
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without noise the closed loop is the open loop fed with the input that it produced.
    #[test]
    fn a_closed_loop_is_the_same_system_as_the_open_one() {
        let quiet = System { sigma: 0.0, ..ARMAX221 };
        let closed = quiet.draw_closed_loop(50, 0.1, 1.0, Seed::training(1));
        let (u, y) = (&closed.inputs[0].values, &closed.outputs[0].values);
        for t in 2..50 {
            let expected = 1.5 * y[t - 1] - 0.7 * y[t - 2] + u[t - 1] + 0.5 * u[t - 2];
            assert!((y[t] - expected).abs() < 1e-12, "at {t}: {} and {expected}", y[t]);
        }
    }

    /// The autocovariance of an AR(1) with C is known; here through the variance of the disturbance of `BASE`-like
    /// systems: (1 + 2 a c + c²)/(1 − a²) with A = 1 − a q⁻¹ and C = 1 + c q⁻¹.
    #[test]
    fn the_variance_of_the_noise_path_is_the_closed_form() {
        let system =
            System { structure: Structure::Arma, a: &[1.0, -0.6], c: &[1.0, 0.5], paths: &[], ..BASE };
        let record = system.draw(200_000, Seed::training(2));
        let y = &record.outputs[0].values;
        let variance = tidegate_stats::variance(y);
        let expected = (1.0 + 2.0 * 0.6 * 0.5 + 0.25) / (1.0 - 0.36);
        // The standard error of the variance is about 1 % here.
        assert!((variance / expected - 1.0).abs() < 0.04, "{variance} and {expected}");
    }
}
