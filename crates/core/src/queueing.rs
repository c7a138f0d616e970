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
/// Below [`UNIFORM_SERVERS_MIN`] servers it is evaluated above and taken down by the recursion of [`erlang_b`] backwards.
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
mod tests {
    use approx::assert_relative_eq;
    use proptest::prelude::*;

    use super::*;

    /// Stationary probabilities of the birth–death chain of M/M/c, cut where nothing is left.
    fn chain(servers: usize, offered_load: f64) -> Vec<f64> {
        let mut weights = vec![1.0_f64];
        let mut last = 1.0;
        for n in 1..200_000 {
            last *= offered_load / n.min(servers) as f64;
            weights.push(last);
            if last < 1e-17 {
                break;
            }
        }
        let sum: f64 = weights.iter().sum();
        weights.iter().map(|weight| weight / sum).collect()
    }

    /// ∫_t^∞ of a function that falls at least as fast as exp(−x/scale), by Simpson's rule over 80 scales.
    fn integral(survival: impl Fn(f64) -> f64, from: f64, scale: f64) -> f64 {
        const N: usize = 40_000;
        let step = 80.0 * scale / N as f64;
        let at = |i: usize| survival(from + i as f64 * step);
        (0..N / 2).map(|i| at(2 * i) + 4.0 * at(2 * i + 1) + at(2 * i + 2)).sum::<f64>() * step / 3.0
    }

    /// Dimensioning tables of the ITU (Teletraffic Engineering Handbook 2010, appendix; loads at which B is 1 %).
    #[test]
    fn erlang_b_is_the_published_table() {
        for (servers, load) in
            [(1, 0.0101), (5, 1.3608), (10, 4.4612), (20, 12.031), (50, 37.901), (100, 84.064)]
        {
            assert_relative_eq!(erlang_b(servers, load), 0.01, max_relative = 2e-3);
        }
    }

    #[test]
    fn erlang_c_and_the_mean_wait_are_the_chains() {
        for (servers, load) in [(1_u32, 0.5), (2, 1.8), (7, 5.0), (30, 28.5)] {
            let chain = chain(servers as usize, load);
            let waits: f64 = chain[servers as usize..].iter().sum();
            assert_relative_eq!(erlang_c(servers, load), waits, max_relative = 1e-9);
            let waiting: f64 =
                chain.iter().enumerate().map(|(n, p)| n.saturating_sub(servers as usize) as f64 * p).sum();
            let queue = MarkovQueue::new(servers, load / 0.3, 0.3).expect("it is stable");
            assert_relative_eq!(queue.wait_mean_seconds() * load / 0.3, waiting, max_relative = 1e-9);
        }
    }

    #[test]
    fn real_servers_meet_the_integral_and_the_whole_ones() {
        for servers in [0.25, 0.5, 1.75, 4.3, 19.9] {
            for load in [0.05, 0.7, 1.9, 2.1, 6.0, 25.0] {
                let integrand = |t: f64| load * (servers * t.ln_1p() - load * t).exp();
                let inverse = integral(integrand, 0.0, (servers + 40.0) / (40.0 * load));
                assert_relative_eq!(erlang_b_real(servers, load), 1.0 / inverse, max_relative = 1e-6);
            }
        }
        // The continued fraction and the series meet where one takes over from the other.
        let (below, above) = (erlang_b_real(0.3, 2.0 - 1e-12), erlang_b_real(0.3, 2.0));
        assert_relative_eq!(below, above, max_relative = 1e-11);
        assert_relative_eq!(erlang_b_real(7.0, 3.0), erlang_b(7, 3.0), max_relative = 1e-14);
        assert_relative_eq!(erlang_b_real(7.0 - 1e-9, 3.0), erlang_b(7, 3.0), max_relative = 1e-7);
    }

    #[test]
    fn halfin_and_whitt_are_the_limit() {
        let error = |servers: f64| {
            let utilization = 1.0 - 0.8 / servers.sqrt();
            let exact = erlang_c(servers as u32, utilization * servers);
            (halfin_whitt_delay(servers, utilization) / exact - 1.0).abs()
        };
        assert!(error(1e5) < 2e-3 && error(1e5) < error(1e3) && error(1e3) < error(1e1));
    }

    #[test]
    fn sojourn_in_one_server_is_exponential() {
        let queue = MarkovQueue::new(1, 8.0, 0.1).expect("it is stable");
        for t in [0.01, 0.3, 2.0] {
            assert_relative_eq!(queue.sojourn_survival(t), (-2.0 * t).exp(), max_relative = 1e-12);
            assert_relative_eq!(
                queue.sojourn_excess_seconds(t),
                (-2.0 * t).exp() / 2.0,
                max_relative = 1e-12
            );
        }
        assert_relative_eq!(queue.sojourn_quantile_seconds(0.95), 20.0_f64.ln() / 2.0, max_relative = 1e-9);
    }

    /// The numbers in DESIGN.md's argument for charging statistics: P(T > 3) = 5.9 % though E T < 3.
    #[test]
    fn the_penalty_of_a_mean_is_not_the_mean_penalty() {
        let queue = MarkovQueue::new(20, 17.0, 1.0).expect("it is stable");
        assert!(queue.wait_mean_seconds() + 1.0 < 3.0);
        assert_relative_eq!(queue.sojourn_survival(3.0), 0.059, max_relative = 0.01);
    }

    #[test]
    fn excess_is_the_integral_of_survival() {
        for (servers, load) in [(1, 0.7), (4, 3.0), (20, 17.0), (2, 1.0)] {
            let queue = MarkovQueue::new(servers, load / 0.5, 0.5).expect("it is stable");
            let scale = 0.5 + 1.0 / queue.decay_per_second;
            for t in [0.0, 0.4, 3.0] {
                let sojourn = integral(|x| queue.sojourn_survival(x), t, scale);
                assert_relative_eq!(queue.sojourn_excess_seconds(t), sojourn, max_relative = 1e-6);
                let wait = integral(|x| queue.wait_survival(x), t, scale);
                assert_relative_eq!(queue.wait_excess_seconds(t), wait, max_relative = 1e-6);
            }
        }
    }

    #[test]
    fn equal_rates_are_the_limit_of_unequal_ones() {
        for t in [0.1, 1.0, 20.0] {
            let equal = hypoexponential_survival(2.0, 2.0, t);
            assert_relative_eq!(equal, (1.0 + 2.0 * t) * (-2.0 * t).exp(), max_relative = 1e-12);
            assert_relative_eq!(hypoexponential_survival(2.0, 2.0 + 1e-9, t), equal, max_relative = 1e-7);
            let (a, b) = (3.0_f64, 0.5_f64);
            let textbook = (b * (-a * t).exp() - a * (-b * t).exp()) / (b - a);
            assert_relative_eq!(hypoexponential_survival(a, b, t), textbook, max_relative = 1e-9);
        }
        assert!(hypoexponential_survival(1e3, 1e-3, 1e3) > 0.36, "no overflow at rates far apart");
    }

    /// Erlang's alternating sum has all its digits while t is a few services.
    #[test]
    fn wait_in_md1_is_erlangs_sum() {
        for load in [0.3, 0.7, 0.9] {
            for t in [0.0_f64, 0.4, 1.0, 2.7, 4.5] {
                let mut sum = 0.0;
                let mut factorial = 1.0;
                for k in 0..=t.floor() as i32 {
                    factorial *= f64::from(k.max(1));
                    let x = load * (f64::from(k) - t);
                    sum += (-x).exp() * x.powi(k) / factorial;
                }
                let erlang = 1.0 - (1.0 - load) * sum;
                assert_relative_eq!(md1_wait_survival(load, 1.0, t), erlang, epsilon = 1e-10);
            }
        }
    }

    #[test]
    fn wait_in_md1_integrates_to_its_mean_far_out() {
        for load in [0.5, 0.8, 0.95] {
            let scale = 1.0 / (1.0 - load);
            // Between whole services the survival is smooth: one Simpson panel each quarter service.
            let mean: f64 = (0..(4.0 * 25.0 * scale) as usize)
                .map(|i| {
                    let at = |x: f64| md1_wait_survival(load, 1.0, (i as f64 + x) * 0.25);
                    (at(0.0) + 4.0 * at(0.5) + at(1.0 - 1e-12)) / 24.0
                })
                .sum();
            assert_relative_eq!(mean, md1_wait_mean_seconds(load, 1.0), max_relative = 1e-4);
        }
        let median = md1_wait_quantile_seconds(0.9, 1.0, 0.5);
        assert_relative_eq!(md1_wait_survival(0.9, 1.0, median), 0.5, max_relative = 1e-6);
    }

    #[test]
    fn allen_cunneen_is_exact_where_it_should_be() {
        for scv in [0.0, 1.0, 4.0] {
            assert_relative_eq!(
                allen_cunneen_wait_mean_seconds(1, 0.8, 1.0, 1.0, scv),
                mg1_wait_mean_seconds(0.8, 1.0, scv),
                max_relative = 1e-12
            );
        }
        assert_eq!(allen_cunneen_wait_mean_seconds(3, 3.0, 1.0, 1.0, 1.0), f64::INFINITY);
    }

    #[test]
    fn the_uniform_expansion_is_erlangs_b() {
        for servers in [0.5, 1.0, 1.7, 2.0, 3.3, 4.0, 5.0, 8.0, 16.3, 64.0, 500.0, 4000.0] {
            for share in [0.05, 0.2, 0.5, 0.8, 0.9, 0.97, 0.999, 1.0] {
                let exact = erlang_b_real(servers, share * servers);
                let error = (erlang_b_uniform(servers, share * servers) / exact - 1.0).abs();
                // Where nothing is lost there is nothing to compare.
                if exact > 1e-250 {
                    let bound = if servers < 16.0 { 1e-4 } else { 3e-6 };
                    assert!(error < bound, "{servers} servers at {share}: {error}");
                }
            }
        }
    }

    #[test]
    fn atoms_give_the_markov_queue_back() {
        let queue = MarkovQueue::new(6, 5.2, 1.0).expect("it is stable");
        let sojourn = Sojourn {
            shift_seconds: 0.0,
            delay_probability: queue.delay_probability,
            decay_per_second: queue.decay_per_second,
            service_seconds: atoms(&Distribution::Exponential { mean_seconds: 1.0 }, 256),
        };
        for t in [0.0, 0.5, 3.0] {
            assert_relative_eq!(sojourn.survival(t), queue.sojourn_survival(t), epsilon = 4e-3);
            assert_relative_eq!(
                sojourn.excess_seconds(t),
                queue.sojourn_excess_seconds(t),
                max_relative = 2e-3
            );
        }
    }

    proptest! {
        #[test]
        fn more_servers_never_hurt(servers in 1_u32..80, share in 0.05_f64..0.98) {
            let load = share * f64::from(servers);
            prop_assert!(erlang_b(servers + 1, load) < erlang_b(servers, load));
            prop_assert!(erlang_c(servers + 1, load) < erlang_c(servers, load));
            prop_assert!(erlang_c(servers, load) >= erlang_b(servers, load));
            let real = erlang_c_real(f64::from(servers) + 0.5, load);
            prop_assert!(erlang_c(servers + 1, load) <= real && real <= erlang_c(servers, load));
        }

        #[test]
        fn quantiles_invert_survival(servers in 1_u32..40, share in 0.1_f64..0.98, p in 0.01_f64..0.999) {
            let queue = MarkovQueue::new(servers, share * f64::from(servers), 1.0).expect("it is stable");
            let sojourn = queue.sojourn_quantile_seconds(p);
            prop_assert!((queue.sojourn_survival(sojourn) - (1.0 - p)).abs() < 1e-9);
            let wait = queue.wait_quantile_seconds(p);
            let survival = queue.wait_survival(wait);
            prop_assert!((survival - (1.0 - p)).abs() < 1e-9 || (wait == 0.0 && survival <= 1.0 - p + 1e-9));
        }
    }
}
