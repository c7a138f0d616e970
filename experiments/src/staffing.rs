//! Demand in replicas: the least fleet that meets the service level at a given rate, for the elasticity metrics.
//!
//! By the queueing model, not by utilization: T = W + S with S from the scenario and W that of the stationary
//! G/G/n queue of all slots, n = replicas × concurrency: delayed with Erlang's C, then exponential with the mean that
//! Allen and Cunneen's (1 + cₛ²)/2 gives it. A rate is met by c replicas if P(T > bound) ≤ 1 − share.

use tidegate_core::Scenario;
use tidegate_core::queueing::{MarkovQueue, Sojourn, atoms};

/// The highest rate that each number of replicas meets.
#[derive(Clone, Debug, PartialEq)]
pub struct Staffing {
    /// Position c − 1 is for c replicas; rising.
    requests_per_second_max: Vec<f64>,
}

impl Staffing {
    /// Of a scenario with one pool; none for several (what they share is a decision, not a demand), or if the level
    /// cannot be met by any fleet because the service alone takes too long too often.
    pub fn new(scenario: &Scenario) -> Option<Self> {
        let [pool] = scenario.pools.as_slice() else { return None };
        let bound_seconds = scenario.level.bound_seconds - pool.network_seconds;
        let services: Vec<f64> =
            atoms(&scenario.work, 256).into_iter().map(|seconds| seconds / pool.speed).collect();
        let service_seconds = scenario.work.mean() / pool.speed;
        let wait_factor = f64::midpoint(1.0, scenario.work.scv());
        let mut sojourn = Sojourn {
            shift_seconds: 0.0,
            delay_probability: 0.0,
            decay_per_second: 1.0,
            service_seconds: services,
        };
        if sojourn.survival(bound_seconds) > 1.0 - scenario.level.share {
            return None;
        }
        let mut meets = |slots: u32, rate: f64| {
            MarkovQueue::new(slots, rate, service_seconds).is_some_and(|queue| {
                sojourn.delay_probability = queue.delay_probability;
                sojourn.decay_per_second = queue.decay_per_second / wait_factor;
                sojourn.survival(bound_seconds) <= 1.0 - scenario.level.share
            })
        };
        let requests_per_second_max = (1..=pool.bounds.replicas_max)
            .map(|replicas| {
                let slots = replicas * pool.concurrency;
                let (mut low, mut high) = (0.0, f64::from(slots) / service_seconds);
                // 30 halvings leave a billionth of the capacity.
                for _ in 0..30 {
                    let middle = f64::midpoint(low, high);
                    if meets(slots, middle) { low = middle } else { high = middle }
                }
                low
            })
            .collect();
        Some(Self { requests_per_second_max })
    }

    /// The least replicas that meet the level at this rate; 0 for nobody, and the most there may be where even those
    /// do not suffice.
    pub fn replicas(&self, requests_per_second: f64) -> f64 {
        if requests_per_second <= 0.0 {
            return 0.0;
        }
        let short = self.requests_per_second_max.partition_point(|most| *most < requests_per_second);
        (short + 1).min(self.requests_per_second_max.len()) as f64
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::scenario::EXAMPLE;

    use super::*;

    fn example() -> Scenario {
        Scenario::parse(EXAMPLE).expect("the example is right")
    }

    /// The example's work is exponential, so the sojourn of M/M/n is known in closed form.
    #[test]
    fn the_least_fleet_of_an_exponential_service_is_that_of_the_closed_form() {
        let mut scenario = example();
        scenario.level.bound_seconds = 3.0;
        let staffing = Staffing::new(&scenario).expect("one pool");
        for rate in [1.0, 7.0, 20.0, 60.0, 130.0] {
            let least = (1..=20_u32)
                .find(|replicas| {
                    MarkovQueue::new(replicas * 4, rate, 0.5)
                        .is_some_and(|queue| queue.sojourn_survival(3.0) <= 0.01)
                })
                .expect("twenty suffice");
            assert_eq!(staffing.replicas(rate), f64::from(least), "rate {rate}");
        }
    }

    #[test]
    fn nobody_needs_nothing_and_too_many_need_all_there_is() {
        let mut scenario = example();
        scenario.level.bound_seconds = 3.0;
        let staffing = Staffing::new(&scenario).expect("one pool");
        assert_eq!((staffing.replicas(0.0), staffing.replicas(1e6)), (0.0, 20.0));
        assert!(staffing.requests_per_second_max.is_sorted());
    }

    #[test]
    fn there_is_no_demand_where_the_service_alone_is_too_slow() {
        let mut scenario = example();
        // P(S > 1 s) of an exponential of 0.5 s is 13.5 %.
        scenario.level.bound_seconds = 1.0;
        assert_eq!(Staffing::new(&scenario), None);
    }
}
