//! The service as a planner sees it: how long the requests of one tick take, and what that means for the price function.
//!
//! The law of a response time is the sum of independent parts,
//!
//! ```text
//! T = d + S + W + V,
//! ```
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | d | what is certain | s |
//! | S | service: a mixture of at most two exponentials (the certain part of a regular service is in d) | s |
//! | W | wait by chance: 0 with probability 1 − C, else exponential with rate θ, as in M/M/c | s |
//! | V | wait behind a backlog: with probability φ uniform between two ends, since a backlog that the mean flow builds or drains changes in a straight line within the tick; else 0 | s |
//!
//! It has a closed form in everything that is charged for: with G the survival function of S + W, J₁(t) = ∫ₜ G and
//! J₂(t) = ∫ₜ J₁, the uniform part turns `P(T > t)` into a difference of J₁ over the width and `E (T − t)⁺` into one
//! of J₂. Sources: L. Kleinrock, *Queueing Systems I* (1975), for W; W. Whitt, Operations Research 30 (1982),
//! section 3, for S of two moments.

use statrs::distribution::{ContinuousCDF, Normal};

use crate::queueing::{hypoexponential_survival, quantile};
use crate::{ServiceLevel, ServiceStatistics};

/// The least squared coefficient of variation of a service; below it a service is as good as certain.
const SCV_MIN: f64 = 1e-6;

/// Widths of a backlog below this share of the time scale are a point: there the difference over the width would lose
/// digits, and the midpoint is right to the square of this.
const WIDTH_MIN: f64 = 1e-5;

/// The expected response of one service, tick by tick.
///
/// The model knows its tick and the service level, because both are the operator's and neither changes in a plan.
/// Everything charged is an expectation over the sojourn law, never a function of a mean.
pub trait ResponseModel {
    /// The state to carry on from, for example the backlog; small, since a planner holds one a branch.
    type State: Clone;

    /// The length of the tick that it answers for.
    fn tick_seconds(&self) -> f64;

    /// What was promised to the users.
    fn level(&self) -> &ServiceLevel;

    /// The state after the load and the replicas have been these for long, without a backlog.
    fn rest(&self, requests_per_second: f64, ready: f64) -> Self::State;

    /// How long the requests that arrive in one tick take, and the state after it.
    ///
    /// `requests_per_second` is the load of that tick, `ready` the replicas that serve during it; neither need be
    /// whole. The answer is finite for every finite load, and for no replicas too.
    fn respond(
        &self,
        state: &Self::State,
        requests_per_second: f64,
        ready: f64,
    ) -> (ResponseTime, Self::State);

    /// The expected statistics of the users who arrive in one tick, and the state after it.
    ///
    /// Users count in the tick in which they arrive and not, as in a plant's ledger, in that in which their fate is
    /// decided: the sums over a long stretch are the same, and no plan gains by pushing users beyond its horizon.
    fn expect(
        &self,
        state: &Self::State,
        requests_per_second: f64,
        ready: f64,
    ) -> (ServiceStatistics, Self::State) {
        let (time, after) = self.respond(state, requests_per_second, ready);
        (time.statistics(requests_per_second * self.tick_seconds(), self.level()), after)
    }

    /// Mean latency of the requests of one tick, in seconds.
    fn latency_mean_seconds(&self, state: &Self::State, requests_per_second: f64, ready: f64) -> f64 {
        self.respond(state, requests_per_second, ready).0.mean_seconds()
    }

    /// The latency that a share `p` of the requests of one tick does not exceed, in seconds.
    fn latency_quantile_seconds(
        &self,
        state: &Self::State,
        requests_per_second: f64,
        ready: f64,
        p: f64,
    ) -> f64 {
        self.respond(state, requests_per_second, ready).0.quantile_seconds(p)
    }
}

/// A service by its mean and variability: a certain part, and a mixture of at most two exponentials.
///
/// cₛ² ≤ 1: m (1 − cₛ) for certain, and an exponential of mean m cₛ; cₛ² > 1: hyper-exponential with balanced means
/// [Whitt 1982, eq. 3.7]. Both have the two moments exactly, and both are the exponential at 1. Against a log-normal
/// of the same moments the 95th percentile is off by 3 % at cₛ² = 0.5 and by 7 % at 2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Service {
    /// What every request takes at least, in seconds.
    pub fixed_seconds: f64,
    /// Probability of the first phase.
    pub share: f64,
    /// Means of the two phases, in seconds.
    pub phase_seconds: [f64; 2],
}

impl Service {
    /// The service with this mean and squared coefficient of variation.
    pub fn new(mean_seconds: f64, scv: f64) -> Self {
        if scv <= 1.0 {
            let random = mean_seconds * scv.max(SCV_MIN).sqrt();
            return Self {
                fixed_seconds: mean_seconds - random,
                share: 1.0,
                phase_seconds: [random, random],
            };
        }
        let share = 0.5 * (1.0 + ((scv - 1.0) / (scv + 1.0)).sqrt());
        Self {
            fixed_seconds: 0.0,
            share,
            phase_seconds: [mean_seconds / (2.0 * share), mean_seconds / (2.0 * (1.0 - share))],
        }
    }

    /// Its mean in seconds.
    pub fn mean_seconds(&self) -> f64 {
        let [first, second] = self.phase_seconds;
        self.fixed_seconds + self.share * first + (1.0 - self.share) * second
    }
}

/// A wait behind a backlog, for a share of the users.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BacklogWait {
    /// φ, the share of the tick's users who meet a backlog.
    pub share: f64,
    /// The wait of the first of them, in seconds.
    pub first_seconds: f64,
    /// The wait of the last of them, in seconds.
    pub last_seconds: f64,
}

/// The law of the response time of the requests that arrive in one tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResponseTime {
    /// d without the service's own certain part, in seconds: overhead that occupies no slot.
    pub overhead_seconds: f64,
    /// S.
    pub service: Service,
    /// C = P(W > 0).
    pub delay_probability: f64,
    /// θ in 1/s, positive.
    pub decay_per_second: f64,
    /// V.
    pub backlog: BacklogWait,
}

impl ResponseTime {
    /// The law of this mean and squared coefficient of variation, without a wait of its own: what a model that
    /// knows only the mean can say.
    pub fn of_mean(mean_seconds: f64, scv: f64) -> Self {
        Self {
            overhead_seconds: 0.0,
            service: Service::new(mean_seconds, scv),
            delay_probability: 0.0,
            decay_per_second: 1.0,
            backlog: BacklogWait::default(),
        }
    }

    /// E T in seconds.
    pub fn mean_seconds(&self) -> f64 {
        let BacklogWait { share, first_seconds, last_seconds } = self.backlog;
        self.overhead_seconds
            + self.service.mean_seconds()
            + self.delay_probability / self.decay_per_second
            + share * f64::midpoint(first_seconds, last_seconds)
    }

    /// P(T > t).
    pub fn survival(&self, seconds: f64) -> f64 {
        self.spread(seconds, Integral::None).clamp(0.0, 1.0)
    }

    /// E (T − t)⁺ in seconds.
    pub fn excess_seconds(&self, seconds: f64) -> f64 {
        self.spread(seconds, Integral::Once).max(0.0)
    }

    /// The time that is not exceeded with probability `p`, by bisection.
    pub fn quantile_seconds(&self, p: f64) -> f64 {
        quantile(|t| self.survival(t), p, self.mean_seconds().max(f64::MIN_POSITIVE))
    }

    /// What is expected of so many users under this service level.
    ///
    /// Nobody gives up: how patient users are is not part of the law. A window of w ticks counts in each as 1/w of
    /// the probability that w ticks like this one break the promise: n w users, each late with p = P(T > bound)
    /// independently, so that their number is nearly normal; that neighbours wait together is neglected.
    pub fn statistics(&self, users: f64, level: &ServiceLevel) -> ServiceStatistics {
        let above = self.survival(level.bound_seconds);
        let window_ticks = f64::from(level.window_ticks);
        let in_window = users * window_ticks;
        let allowed = 1.0 - level.share;
        let violated = if in_window > 0.0 {
            // The half is the continuity correction; it also keeps the deviation positive.
            let deviation = (in_window * above * (1.0 - above)).sqrt().max(0.5);
            Normal::standard().cdf(((above - allowed) * in_window - 0.5) / deviation)
        } else {
            0.0
        };
        ServiceStatistics {
            users,
            users_above: users * above,
            excess_milliseconds: users * self.excess_seconds(level.bound_seconds) * 1e3,
            users_gave_up: 0.0,
            latency_seconds: users * self.mean_seconds(),
            windows_violated: violated / window_ticks,
        }
    }

    /// Spreads the integral of the survival function of S + W over the backlog's wait.
    fn spread(&self, seconds: f64, integral: Integral) -> f64 {
        let y = seconds - self.overhead_seconds - self.service.fixed_seconds;
        let BacklogWait { share, first_seconds, last_seconds } = self.backlog;
        if share <= 0.0 {
            return self.mixture(y, integral);
        }
        let width = (last_seconds - first_seconds).abs();
        let scale = self.service.mean_seconds().max(first_seconds).max(last_seconds);
        let behind = if width <= WIDTH_MIN * scale {
            self.mixture(y - f64::midpoint(first_seconds, last_seconds), integral)
        } else {
            let next = integral.next();
            (self.mixture(y - first_seconds.max(last_seconds), next)
                - self.mixture(y - first_seconds.min(last_seconds), next))
                / width
        };
        if share >= 1.0 {
            return behind;
        }
        share * behind + (1.0 - share) * self.mixture(y, integral)
    }

    /// The integral over both phases.
    fn mixture(&self, seconds: f64, integral: Integral) -> f64 {
        let Service { share, phase_seconds: [first, second], .. } = self.service;
        let value = self.phase(first, seconds, integral);
        if share >= 1.0 {
            return value;
        }
        share * value + (1.0 - share) * self.phase(second, seconds, integral)
    }

    /// G, J₁ or J₂ at t of an exponential service of mean m and the wait W:
    ///
    /// ```text
    /// G  = (1 − C) e + C h,   J₁ = m e + C h/θ,   J₂ = m² e + C (m e/θ + h/θ²),
    /// ```
    ///
    /// e = exp(−t/m), h the survival of the sum of both exponentials; below 0 the straight continuations of these.
    fn phase(&self, mean: f64, seconds: f64, integral: Integral) -> f64 {
        let t = seconds.max(0.0);
        let delayed = self.delay_probability;
        let e = (-t / mean).exp();
        let h =
            if delayed > 0.0 { hypoexponential_survival(1.0 / mean, self.decay_per_second, t) } else { 0.0 };
        let wait = 1.0 / self.decay_per_second;
        let once = mean * e + delayed * h * wait;
        let before = (-seconds).max(0.0);
        match integral {
            Integral::None => (1.0 - delayed) * e + delayed * h,
            Integral::Once => once + before,
            Integral::Twice => {
                mean * mean * e + delayed * wait * (mean * e + h * wait) + before * (once + 0.5 * before)
            }
        }
    }
}

/// How often the survival function is integrated from t on.
#[derive(Clone, Copy)]
enum Integral {
    None,
    Once,
    Twice,
}

impl Integral {
    fn next(self) -> Self {
        match self {
            Self::None => Self::Once,
            Self::Once | Self::Twice => Self::Twice,
        }
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;
    use proptest::prelude::*;

    use super::*;
    use crate::Penalty;
    use crate::queueing::MarkovQueue;

    fn law(scv: f64, backlog: BacklogWait) -> ResponseTime {
        ResponseTime {
            overhead_seconds: 0.03,
            service: Service::new(0.2, scv),
            delay_probability: 0.4,
            decay_per_second: 3.0,
            backlog,
        }
    }

    #[test]
    fn a_service_has_its_two_moments() {
        for scv in [1e-3, 0.25, 1.0, 2.0, 9.0] {
            let service = Service::new(0.7, scv);
            assert_relative_eq!(service.mean_seconds(), 0.7, max_relative = 1e-12);
            let [first, second] = service.phase_seconds;
            let random = service.share * first + (1.0 - service.share) * second;
            let square = 2.0 * (service.share * first * first + (1.0 - service.share) * second * second);
            assert_relative_eq!(square - random * random, scv * 0.49, max_relative = 1e-9);
        }
    }

    #[test]
    fn without_backlog_it_is_the_markov_queue() {
        let queue = MarkovQueue::new(6, 26.0, 0.2).expect("it is stable");
        let time = ResponseTime {
            overhead_seconds: 0.0,
            service: Service::new(0.2, 1.0),
            delay_probability: queue.delay_probability,
            decay_per_second: queue.decay_per_second,
            backlog: BacklogWait::default(),
        };
        for t in [0.0, 0.1, 0.5, 2.0] {
            assert_relative_eq!(time.survival(t), queue.sojourn_survival(t), max_relative = 1e-12);
            assert_relative_eq!(
                time.excess_seconds(t),
                queue.sojourn_excess_seconds(t),
                max_relative = 1e-12
            );
        }
        assert_relative_eq!(
            time.quantile_seconds(0.95),
            queue.sojourn_quantile_seconds(0.95),
            max_relative = 1e-9
        );
    }

    #[test]
    fn mean_excess_and_quantile_are_integrals_and_inverse_of_the_survival() {
        let backlogs = [
            BacklogWait::default(),
            BacklogWait { share: 1.0, first_seconds: 0.2, last_seconds: 1.7 },
            BacklogWait { share: 0.3, first_seconds: 0.8, last_seconds: 0.0 },
            BacklogWait { share: 1.0, first_seconds: 0.5, last_seconds: 0.5 + 1e-7 },
        ];
        for backlog in backlogs {
            for scv in [0.3, 1.0, 3.0] {
                let time = law(scv, backlog);
                let step = 1e-3;
                let integral = |from: f64| {
                    (0..40_000).map(|i| time.survival(from + (f64::from(i) + 0.5) * step)).sum::<f64>() * step
                };
                assert_relative_eq!(time.mean_seconds(), integral(0.0), max_relative = 1e-4);
                assert_relative_eq!(time.excess_seconds(0.6), integral(0.6), max_relative = 1e-4);
                assert_relative_eq!(time.excess_seconds(0.0), time.mean_seconds(), max_relative = 1e-9);
                let t = time.quantile_seconds(0.9);
                assert_relative_eq!(time.survival(t), 0.1, max_relative = 1e-6);
            }
        }
    }

    #[test]
    fn windows_break_where_more_are_late_than_allowed() {
        let level = ServiceLevel {
            bound_seconds: 0.5,
            share: 0.9,
            window_ticks: 4,
            penalty: Penalty::PerUser { dollars_per_user: 1.0 },
            dollars_per_user_gave_up: 1.0,
        };
        let violated = |mean_seconds: f64, users: f64| {
            ResponseTime::of_mean(mean_seconds, 1.0).statistics(users, &level).windows_violated
        };
        // exp(−0.5/m) is the share late: 10 % at m = 0.217.
        assert!(violated(0.1, 1000.0) < 1e-9);
        assert!(
            (violated(0.217_147, 1000.0) - 0.125).abs() < 0.005,
            "half of the windows, one in four ticks"
        );
        assert!(violated(0.4, 1000.0) > 0.249_999);
        assert_eq!(violated(0.4, 0.0), 0.0);
    }

    proptest! {
        #[test]
        fn a_longer_backlog_never_helps(
            t in 0.0_f64..5.0, share in 0.0_f64..1.0, first in 0.0_f64..3.0, last in 0.0_f64..3.0, more in 0.0_f64..2.0,
        ) {
            let short = law(1.5, BacklogWait { share, first_seconds: first, last_seconds: last });
            let long = law(1.5, BacklogWait { share, first_seconds: first + more, last_seconds: last });
            prop_assert!(long.survival(t) >= short.survival(t) - 1e-9);
            prop_assert!(long.excess_seconds(t) >= short.excess_seconds(t) - 1e-9);
        }
    }
}
