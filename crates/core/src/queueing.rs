//! Queueing theory: what the request engine must agree with, and what the fluid engine is built from.
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | c | servers | 1 |
//! | a = λ/μ | offered load | 1 |
//! | ρ = a/c | utilization | 1 |
//! | θ = cμ − λ | decay rate of the wait in M/M/c | 1/s |
//! | S, W, T = W + S | service, wait, sojourn | s |
//!
//! Sources: L. Kleinrock, *Queueing Systems I* (1975), for M/M/c and M/G/1; D. L. Jagerman, Bell System Technical
//! Journal 53 (1974), for Erlang's B of a real number of servers; G. J. Franx, Operations Research Letters 29
//! (2001), for the wait in M/D/c; A. O. Allen, *Probability, Statistics, and Queueing Theory* (2nd ed. 1990), for
//! the Allen–Cunneen approximation; S. Halfin and W. Whitt, Operations Research 29 (1981).

use crate::Distribution;
use statrs::distribution::{Continuous, ContinuousCDF, Normal};
use statrs::function::erf::erfc;
use statrs::function::gamma::gamma;

/// Erlang's B, the share of calls lost in M/M/c/c: `B(c) = a B(c−1) / (c + a B(c−1))`, `B(0) = 1`. The recursion
/// only adds and divides positive numbers, so it is stable for any c.
pub fn erlang_b(servers: u32, offered_load: f64) -> f64 {
    raise(1.0, 0.0, servers, offered_load)
}

/// Erlang's B for a real number of servers, `1/B = a ∫₀^∞ exp(−a t) (1 + t)^c dt` [Jagerman 1974, theorem 3].
///
/// The integral is an incomplete gamma function; it is evaluated for the fractional part of c (by its series for a
/// small load and by its continued fraction for a large one), from where the recursion of [`erlang_b`] goes up.
///
/// # Panics
/// If a number is negative or not finite.
pub fn erlang_b_real(servers: f64, offered_load: f64) -> f64 {
    assert!(servers >= 0.0 && servers.is_finite(), "servers must be a count, but are {servers}");
    assert!(
        offered_load >= 0.0 && offered_load.is_finite(),
        "the offered load must be finite, but is {offered_load}"
    );
    let fraction = servers.fract();
    if offered_load == 0.0 {
        return f64::from(servers == 0.0);
    }
    let start = if fraction == 0.0 { 1.0 } else { 1.0 / inverse_b_below_one(fraction, offered_load) };
    raise(start, fraction, servers as u32, offered_load)
}

/// Erlang's B for a real number of servers in constant time, however many: what a planner's table is filled from.
///
/// `1/B = 1 + Γ(c+1) eᵃ a^{−c} Q(c, a)` with the regularised incomplete gamma function Q by its uniform expansion
/// [N. M. Temme, SIAM J. Math. Anal. 10 (1979), eqs. 1.4 and 3.4], cut after two terms: with λ = a/c,
/// ½η² = λ − 1 − ln λ and η of the sign of λ − 1,
///
/// `1/B = 1 + Γ*(c) [√(2πc) exp(½cη²) ½erfc(η√(c/2)) + C₀(η) + C₁(η)/c]`.
///
/// Below `UNIFORM_SERVERS_MIN` servers it is evaluated above and taken down by the recursion of [`erlang_b`] backwards.
/// The relative error is below 1e-4 for every utilization up to 1, and below 3e-6 from 16 servers on.
///
/// # Panics
/// If a number is negative, or the offered load above the servers.
pub fn erlang_b_uniform(servers: f64, offered_load: f64) -> f64 {
    assert!(
        (0.0..=servers).contains(&offered_load),
        "the offered load must lie between 0 and the servers, {servers}, but is {offered_load}"
    );
    if offered_load == 0.0 {
        return f64::from(servers == 0.0);
    }
    uniform(servers, offered_load)
}

/// Erlang's C for a real number of servers in constant time, by [`erlang_b_uniform`]; 1 where a ≥ c.
pub fn erlang_c_uniform(servers: f64, offered_load: f64) -> f64 {
    if offered_load >= servers {
        return 1.0;
    }
    delay_of_loss(servers, offered_load, erlang_b_uniform(servers, offered_load))
}

/// Erlang's C, the share of customers who wait in M/M/c: `C = B / (1 − ρ (1 − B))`; 1 where a ≥ c.
pub fn erlang_c(servers: u32, offered_load: f64) -> f64 {
    delay_of_loss(f64::from(servers), offered_load, erlang_b(servers, offered_load))
}

/// Erlang's C for a real number of servers, by [`erlang_b_real`].
///
/// # Panics
/// If a number is negative or not finite.
pub fn erlang_c_real(servers: f64, offered_load: f64) -> f64 {
    delay_of_loss(servers, offered_load, erlang_b_real(servers, offered_load))
}

/// Halfin and Whitt's limit of Erlang's C for many servers: `[1 + β Φ(β)/φ(β)]⁻¹`, β = (1 − ρ) √c [1981, prop. 1].
pub fn halfin_whitt_delay(servers: f64, utilization: f64) -> f64 {
    let beta = (1.0 - utilization) * servers.sqrt();
    if beta <= 0.0 {
        return 1.0;
    }
    let normal = Normal::standard();
    let density = normal.pdf(beta);
    density / (density + beta * normal.cdf(beta))
}

/// A stable M/M/c queue, first come first served, from which every figure of its wait and sojourn follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MarkovQueue {
    /// P(W > 0), Erlang's C.
    pub delay_probability: f64,
    /// θ = cμ − λ in 1/s: given that one waits, the wait is exponential with this rate.
    pub decay_per_second: f64,
    /// 1/μ in seconds.
    pub service_seconds: f64,
}

impl MarkovQueue {
    /// The queue with c servers, λ arrivals a second and mean service 1/μ; none if ρ ≥ 1.
    pub fn new(servers: u32, requests_per_second: f64, service_seconds: f64) -> Option<Self> {
        let offered_load = requests_per_second * service_seconds;
        let decay_per_second = f64::from(servers) / service_seconds - requests_per_second;
        (decay_per_second > 0.0).then(|| Self {
            delay_probability: erlang_c(servers, offered_load),
            decay_per_second,
            service_seconds,
        })
    }

    /// E W = C/θ in seconds.
    pub fn wait_mean_seconds(&self) -> f64 {
        self.delay_probability / self.decay_per_second
    }

    /// P(W > t) = C exp(−θ t).
    pub fn wait_survival(&self, seconds: f64) -> f64 {
        if seconds < 0.0 { 1.0 } else { self.delay_probability * (-self.decay_per_second * seconds).exp() }
    }

    /// E (W − t)⁺ = C exp(−θ t)/θ for t ≥ 0, in seconds.
    pub fn wait_excess_seconds(&self, seconds: f64) -> f64 {
        self.wait_survival(seconds.max(0.0)) / self.decay_per_second + (-seconds).max(0.0)
    }

    /// The wait that is not exceeded with probability `p`; 0 where p ≤ 1 − C.
    pub fn wait_quantile_seconds(&self, p: f64) -> f64 {
        ((self.delay_probability / (1.0 - p)).ln() / self.decay_per_second).max(0.0)
    }

    /// P(T > t): an exponential service with probability 1 − C, else the sum of two independent exponentials.
    pub fn sojourn_survival(&self, seconds: f64) -> f64 {
        if seconds <= 0.0 {
            return 1.0;
        }
        let rate = 1.0 / self.service_seconds;
        (1.0 - self.delay_probability) * (-rate * seconds).exp()
            + self.delay_probability * hypoexponential_survival(rate, self.decay_per_second, seconds)
    }

    /// E (T − t)⁺ in seconds.
    pub fn sojourn_excess_seconds(&self, seconds: f64) -> f64 {
        let t = seconds.max(0.0);
        let rate = 1.0 / self.service_seconds;
        let served = (-rate * t).exp() / rate;
        let delayed = hypoexponential_survival(rate, self.decay_per_second, t) / self.decay_per_second;
        served + self.delay_probability * delayed + (-seconds).max(0.0)
    }

    /// The sojourn that is not exceeded with probability `p`, by bisection.
    pub fn sojourn_quantile_seconds(&self, p: f64) -> f64 {
        quantile(|t| self.sojourn_survival(t), p, self.service_seconds)
    }
}

/// P(X + Y > t) of independent exponentials with these rates.
///
/// `exp(−a t) + a t exp(−min t) φ(|a − b| t)` with φ(x) = (1 − exp(−x))/x equals the textbook's
/// `(b exp(−a t) − a exp(−b t))/(b − a)` and has its limit at equal rates, `(1 + a t) exp(−a t)`, without cancellation.
pub fn hypoexponential_survival(rate_a: f64, rate_b: f64, seconds: f64) -> f64 {
    if seconds <= 0.0 {
        return 1.0;
    }
    let gap = (rate_a - rate_b).abs() * seconds;
    let phi = if gap > 1e-12 { -(-gap).exp_m1() / gap } else { 1.0 };
    (-rate_a * seconds).exp() + rate_a * seconds * (-rate_a.min(rate_b) * seconds).exp() * phi
}

/// E W in M/G/1 in seconds: `ρ/(1 − ρ) · (1 + c_s²)/2 · E S` (Pollaczek and Khinchine); infinite if ρ ≥ 1.
pub fn mg1_wait_mean_seconds(requests_per_second: f64, service_seconds: f64, service_scv: f64) -> f64 {
    let utilization = requests_per_second * service_seconds;
    if utilization >= 1.0 {
        return f64::INFINITY;
    }
    utilization / (1.0 - utilization) * (1.0 + service_scv) / 2.0 * service_seconds
}

/// E W in M/D/1 in seconds: half of M/M/1's.
pub fn md1_wait_mean_seconds(requests_per_second: f64, service_seconds: f64) -> f64 {
    mg1_wait_mean_seconds(requests_per_second, service_seconds, 0.0)
}

/// P(W > t) in M/D/1.
///
/// Erlang's alternating sum `1 − (1 − ρ) Σ_k exp(−λ(kD − t)) (λ(kD − t))^k / k!` loses all digits after a few
/// services. Franx [2001, eq. 12] has the same in positive terms only: for (k − 1) D ≤ t < k D,
/// `P(W ≤ t) = exp(−u) Σ_{j<k} Q(k−1−j) u^j / j!`, u = λ(kD − t), Q(m) = P(at most m + 1 in system), and the numbers
/// in system follow from cutting the chain at departures between n and n + 1, again without a difference.
///
/// # Panics
/// If ρ ≥ 1: then there is no stationary wait.
pub fn md1_wait_survival(requests_per_second: f64, service_seconds: f64, seconds: f64) -> f64 {
    let load = requests_per_second * service_seconds;
    assert!(load < 1.0, "a stationary wait needs a utilization below 1, but it is {load}");
    if seconds < 0.0 {
        return 1.0;
    }
    let k = (seconds / service_seconds).floor() as usize + 1;
    let at_most = md1_number_at_most(load, k + 1);
    let u = requests_per_second * (k as f64 * service_seconds - seconds);
    let mut term = (-u).exp();
    let mut sum = 0.0;
    for j in 0..k {
        sum += term * at_most[k - j];
        term *= u / (j + 1) as f64;
    }
    (1.0 - sum).max(0.0)
}

/// The wait in M/D/1 that is not exceeded with probability `p`, by bisection.
///
/// # Panics
/// If ρ ≥ 1.
pub fn md1_wait_quantile_seconds(requests_per_second: f64, service_seconds: f64, p: f64) -> f64 {
    quantile(|t| md1_wait_survival(requests_per_second, service_seconds, t), p, service_seconds)
}

/// E W in G/G/c in seconds, Allen and Cunneen's approximation: M/M/c's times `(c_a² + c_s²)/2`; exact for M/M/c and
/// M/G/1; infinite if ρ ≥ 1.
pub fn allen_cunneen_wait_mean_seconds(
    servers: u32,
    requests_per_second: f64,
    service_seconds: f64,
    arrival_scv: f64,
    service_scv: f64,
) -> f64 {
    MarkovQueue::new(servers, requests_per_second, service_seconds)
        .map_or(f64::INFINITY, |queue| queue.wait_mean_seconds() * f64::midpoint(arrival_scv, service_scv))
}

/// A sojourn T = d + W + S: a certain wait, an exponential one with a certain probability, and a service from any
/// distribution, given by equally likely values.
#[derive(Clone, Debug, PartialEq)]
pub struct Sojourn {
    /// d in seconds, for example of a backlog.
    pub shift_seconds: f64,
    /// P(W > 0).
    pub delay_probability: f64,
    /// θ in 1/s: given W > 0, it is exponential with this rate.
    pub decay_per_second: f64,
    /// The services, each as likely.
    pub service_seconds: Vec<f64>,
}

impl Sojourn {
    /// P(T > t).
    pub fn survival(&self, seconds: f64) -> f64 {
        let y = seconds - self.shift_seconds;
        self.mean_over_services(|service| {
            if service > y {
                1.0
            } else {
                self.delay_probability * (-self.decay_per_second * (y - service)).exp()
            }
        })
    }

    /// E (T − t)⁺ in seconds.
    pub fn excess_seconds(&self, seconds: f64) -> f64 {
        let y = seconds - self.shift_seconds;
        let waited = self.delay_probability / self.decay_per_second;
        self.mean_over_services(|service| {
            if service > y {
                service - y + waited
            } else {
                waited * (-self.decay_per_second * (y - service)).exp()
            }
        })
    }

    fn mean_over_services(&self, value: impl Fn(f64) -> f64) -> f64 {
        self.service_seconds.iter().map(|service| value(*service)).sum::<f64>()
            / self.service_seconds.len() as f64
    }
}

/// `n` equally likely values that stand for a distribution: the mean of each n-th part between quantiles, so that
/// their mean is the distribution's own.
///
/// A part's mean is integrated from quantiles (16 midpoints); what the midpoint rule cuts from the tail goes to the last.
pub fn atoms(distribution: &Distribution, n: usize) -> Vec<f64> {
    const MIDPOINTS: usize = 16;
    let mut values: Vec<f64> = (0..n)
        .map(|part| {
            (0..MIDPOINTS)
                .map(|point| {
                    let p = (part as f64 + (point as f64 + 0.5) / MIDPOINTS as f64) / n as f64;
                    distribution.quantile(p)
                })
                .sum::<f64>()
                / MIDPOINTS as f64
        })
        .collect();
    let missing = (distribution.mean() * n as f64 - values.iter().sum::<f64>()).max(0.0);
    if let Some(last) = values.last_mut() {
        *last += missing;
    }
    values
}

/// The t at which a falling survival function passes 1 − p.
pub(crate) fn quantile(survival: impl Fn(f64) -> f64, p: f64, scale: f64) -> f64 {
    let wanted = 1.0 - p;
    if survival(0.0) <= wanted {
        return 0.0;
    }
    let mut high = scale;
    while survival(high) > wanted {
        high *= 2.0;
    }
    let mut low = 0.0;
    // 60 halvings leave less than a unit in the last place of the upper end.
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if survival(middle) > wanted {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// Erlang's recursion from `start = B(fraction)` up by `steps`.
fn raise(start: f64, fraction: f64, steps: u32, offered_load: f64) -> f64 {
    (1..=steps).fold(start, |blocked, step| {
        let weighted = offered_load * blocked;
        weighted / (f64::from(step) + fraction + weighted)
    })
}

/// 1/B(c, a) for 0 < c < 1: `a^{−c} e^a Γ(c + 1, a)`.
fn inverse_b_below_one(c: f64, a: f64) -> f64 {
    let s = c + 1.0;
    if a < 2.0 {
        // Γ(s, a) = Γ(s) − γ(s, a), γ(s, a) = a^s e^{−a} Σ aⁿ / (s (s+1) … (s+n)).
        let (mut term, mut sum, mut n) = (1.0 / s, 1.0 / s, 0.0);
        while term > 1e-17 * sum {
            n += 1.0;
            term *= a / (s + n);
            sum += term;
        }
        return a.exp() * a.powf(-c) * gamma(s) - a * sum;
    }
    // Γ(s, a) = e^{−a} a^s / (a + 1 − s − 1(1 − s)/(a + 3 − s − 2(2 − s)/(a + 5 − s − …))), from the back: for a ≥ 2
    // and 1 < s < 2 sixty terms are more than doubles can tell.
    let mut tail = 0.0;
    for n in (1..=60).rev() {
        let n = f64::from(n);
        tail = n * (n - s) / (a + 2.0 * n + 1.0 - s - tail);
    }
    a / (a + 1.0 - s - tail)
}

/// Servers from which two terms of the uniform expansion are enough.
const UNIFORM_SERVERS_MIN: f64 = 4.0;

/// 1/B by the uniform expansion; see [`erlang_b_uniform`] for the symbols.
fn uniform(c: f64, a: f64) -> f64 {
    if c < UNIFORM_SERVERS_MIN {
        // B(c) = (c + 1) B(c + 1) / (a (1 − B(c + 1))).
        let above = uniform(c + 1.0, a);
        return ((c + 1.0) * above / (a * (1.0 - above))).min(1.0);
    }
    let lambda = a / c;
    let mu = lambda - 1.0;
    let half_square = mu - lambda.ln();
    let eta = -(2.0 * half_square.max(0.0)).sqrt();
    let (c0, c1) = if eta > -0.02 {
        // Near 0 the closed forms cancel; these are their first terms.
        (
            -1.0 / 3.0 + eta * (1.0 / 12.0 + eta * (-2.0 / 135.0 + eta / 864.0)),
            -1.0 / 540.0 + eta * (-1.0 / 288.0 + eta / 378.0),
        )
    } else {
        let (by_eta, by_mu) = (1.0 / eta, 1.0 / mu);
        (by_mu - by_eta, by_eta * by_eta * by_eta - by_mu * (by_mu * (by_mu + 1.0) + 1.0 / 12.0))
    };
    let by_c = 1.0 / c;
    let stirling = 1.0 + by_c * (1.0 / 12.0 + by_c * (1.0 / 288.0 - by_c * (139.0 / 51840.0)));
    let served =
        (std::f64::consts::TAU * c).sqrt() * (c * half_square).exp() * (0.5 * erfc(eta * (0.5 * c).sqrt()));
    1.0 / (1.0 + stirling * (served + c0 + c1 * by_c))
}

fn delay_of_loss(servers: f64, offered_load: f64, lost: f64) -> f64 {
    if offered_load >= servers {
        return 1.0;
    }
    lost / (1.0 - offered_load / servers * (1.0 - lost))
}

/// P(N ≤ n) for n < `n_values` in M/D/1, by `π(n+1) a(0) = π(0) Ā(n) + Σ_{i=1..n} π(i) Ā(n+1−i)`, Ā(j) the probability
/// of more than j arrivals in a service.
fn md1_number_at_most(load: f64, n_values: usize) -> Vec<f64> {
    let none = (-load).exp();
    let more_than: Vec<f64> = (0..n_values).map(|j| poisson_above(load, j)).collect();
    let mut number = vec![1.0 - load];
    for n in 0..n_values - 1 {
        let up: f64 = (1..=n).map(|i| number[i] * more_than[n + 1 - i]).sum();
        number.push((number[0] * more_than[n] + up) / none);
    }
    let mut sum = 0.0;
    number
        .iter()
        .map(|probability| {
            sum += probability;
            sum
        })
        .collect()
}

/// P(Poisson(mean) > j) as a sum of what is above, so that small tails keep their digits.
fn poisson_above(mean: f64, j: usize) -> f64 {
    let mut term = (-mean).exp();
    for i in 1..=j + 1 {
        term *= mean / i as f64;
    }
    let (mut sum, mut i) = (0.0, (j + 2) as f64);
    while term > 1e-18 * sum && term > 0.0 {
        sum += term;
        term *= mean / i;
        i += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests;
