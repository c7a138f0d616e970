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
    for (servers, load) in [(1, 0.0101), (5, 1.3608), (10, 4.4612), (20, 12.031), (50, 37.901), (100, 84.064)]
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
        assert_relative_eq!(queue.sojourn_excess_seconds(t), (-2.0 * t).exp() / 2.0, max_relative = 1e-12);
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
        assert_relative_eq!(sojourn.excess_seconds(t), queue.sojourn_excess_seconds(t), max_relative = 2e-3);
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
