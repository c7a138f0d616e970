//! What models of the mean latency share: a past that measured means carry on, and the law assumed around a mean.

use tidegate_core::{ResponseModel, ResponseTime};

use crate::dynamics::Past;

/// A response model that knows the mean latency a tick, and learns its state from measured means.
pub trait MeanResponse: ResponseModel<State = Past> {
    /// The mean expected of this tick, in seconds; not yet cut at what is possible.
    fn expected_seconds(&self, past: &Past, requests_per_second: f64, ready: f64) -> f64;

    /// The past after a tick whose mean was measured.
    fn measured(&self, past: &Past, requests_per_second: f64, ready: f64, latency_mean_seconds: f64) -> Past;
}

/// The most that is assumed of a law of which only mean and 95th percentile are known: with heavier tails the
/// percentile over the mean of the two-phase law falls again, and one ratio has two laws.
const SCV_MAX: f64 = 3.0;

/// The squared coefficient of variation at which [`ResponseTime::of_mean`] has this 95th percentile over its mean,
/// by bisection; cut to what can be told from it.
pub fn scv_of_p95(p95_over_mean: f64) -> f64 {
    let beyond = |scv: f64| ResponseTime::of_mean(1.0, scv).survival(p95_over_mean);
    let (mut low, mut high) = (1e-3_f64.ln(), SCV_MAX.ln());
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        if beyond(middle.exp()) < 0.05 { low = middle } else { high = middle }
    }
    f64::midpoint(low, high).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_gives_its_law_back() {
        for scv in [0.05, 0.5, 1.0, 2.0, 2.9] {
            let ratio = ResponseTime::of_mean(1.0, scv).quantile_seconds(0.95);
            let found = scv_of_p95(ratio);
            assert!((found / scv - 1.0).abs() < 1e-6, "{scv}: {found}");
        }
        assert!(scv_of_p95(50.0) > 2.999 && scv_of_p95(0.5) < 1.001e-3);
    }
}
