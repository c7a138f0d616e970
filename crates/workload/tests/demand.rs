//! Demand against what the formulas say of it.

use std::sync::Arc;

use approx::assert_relative_eq;
use tidegate_core::scenario::{EXAMPLE, Recorded, Workload};
use tidegate_core::{Scenario, Seed, Tick};
use tidegate_workload::Demand;

const DAY: u32 = 5760;
const POISSON: &str = "kind = \"poisson\"";
const PROFILE: &str = r#"kind = "profile"
mean_requests_per_second = 2.0
daily = [3, 2, 1, 1, 2, 3, 5, 8, 9, 9, 8, 7, 7, 8, 9, 9, 8, 7, 6, 6, 6, 5, 4, 3]
weekly = [1.1, 1.0, 1.0, 1.0, 0.9, 0.4, 0.3]
day_variation = 0.2
phase_seconds = 900
noise = 0.3"#;

/// The example scenario with this workload, warm-up and horizon of `ticks` ticks of 15 s in all.
fn scenario(workload: &str, arrivals: &str, ticks: u32) -> Scenario {
    let text = EXAMPLE
        .replace("horizon_ticks = 240", &format!("horizon_ticks = {}", ticks - 80))
        .replace("kind = \"constant\"\nrequests_per_second = 20", workload)
        .replace("[service]", &format!("[arrivals]\n{arrivals}\n[service]"));
    Scenario::parse(&text).expect("a right scenario")
}

fn demand(workload: &str, ticks: u32, seed: u64) -> Demand {
    let mut demand = Demand::new(&scenario(workload, POISSON, ticks));
    demand.reset(Seed::training(seed));
    demand
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut n) = (0.0, 0.0);
    for value in values {
        sum += value;
        n += 1.0;
    }
    sum / n
}

fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let m = mean(values.iter().copied());
    (m, mean(values.iter().map(|x| (x - m) * (x - m))))
}

/// Mean and variance are both λ Δ, each within 4.5 standard errors; the variance of the sample variance of a Poisson
/// number is (λ + 2 λ²)/n. Both ways of drawing (below and above a mean of 12) are tried.
#[test]
fn poisson_counts_have_the_mean_and_the_variance_of_the_rate() {
    for rate in [0.02, 0.5, 20.0, 400.0] {
        let demand = demand(&format!("kind = \"constant\"\nrequests_per_second = {rate}"), 20_000, 3);
        let counts: Vec<f64> = demand.counts().iter().map(|users| f64::from(*users)).collect();
        let (n, wanted) = (counts.len() as f64, rate * 15.0);
        let (mean, variance) = mean_and_variance(&counts);
        assert!((mean - wanted).abs() < 4.5 * (wanted / n).sqrt(), "mean {mean} for {wanted}");
        let error = ((wanted + 2.0 * wanted * wanted) / n).sqrt();
        assert!((variance - wanted).abs() < 4.5 * error, "variance {variance} for {wanted}");
    }
}

/// Kolmogorov's statistic √n sup|F̂ − F| over the places of all arrivals within their ticks, against its 99.9 %
/// quantile of 1.95; and, for ticks with many users, over the places of the third of them, whose law is a beta
/// distribution: the joint law is that of order statistics, not only the marginal one.
#[test]
fn poisson_times_are_sorted_uniforms() {
    let mut demand = demand("kind = \"constant\"\nrequests_per_second = 0.5", DAY, 1);
    let (mut all, mut thirds, mut into) = (Vec::new(), Vec::new(), Vec::new());
    for tick in 0..DAY {
        demand.times(Tick(tick), &mut into);
        assert_eq!(into.len(), demand.users(Tick(tick)) as usize);
        assert!(into.is_sorted());
        let start = f64::from(tick) * 15.0;
        assert!(into.iter().all(|time| (start..start + 15.0).contains(time)));
        all.extend(into.iter().map(|time| (time - start) / 15.0));
        if let [_, _, third, rest @ ..] = &into[..]
            && rest.len() == 4
        {
            // Third of seven: Beta(3, 5), whose distribution function is a binomial tail.
            let u = (third - start) / 15.0;
            let binomial = [1.0, 7.0, 21.0];
            let below: f64 =
                (0..3_i32).map(|k| binomial[k as usize] * u.powi(k) * (1.0 - u).powi(7 - k)).sum();
            thirds.push(1.0 - below);
        }
    }
    assert!(all.len() > 40_000 && thirds.len() > 500);
    for uniforms in [all, thirds] {
        let statistic = kolmogorov(uniforms);
        assert!(statistic < 1.95, "{statistic}");
    }
}

fn kolmogorov(mut uniforms: Vec<f64>) -> f64 {
    uniforms.sort_by(f64::total_cmp);
    let n = uniforms.len() as f64;
    let farthest = uniforms.iter().enumerate().map(|(index, u)| {
        let (below, above) = (index as f64 / n, (index as f64 + 1.0) / n);
        (u - below).abs().max((above - u).abs())
    });
    farthest.fold(0.0, f64::max) * n.sqrt()
}

#[test]
fn times_do_not_depend_on_the_order_of_asking() {
    for arrivals in [POISSON, "kind = \"renewal\"\ncoefficient_of_variation = 2.5"] {
        let mut demand = Demand::new(&scenario(PROFILE, arrivals, 400));
        let mut forward = vec![Vec::new(); 400];
        for (tick, times) in forward.iter_mut().enumerate() {
            demand.times(Tick(tick as u32), times);
        }
        let mut into = Vec::new();
        for (tick, times) in forward.iter().enumerate().rev() {
            demand.times(Tick(tick as u32), &mut into);
            assert_eq!(&into, times, "{arrivals}, tick {tick}");
        }
    }
}

/// Spacings of arrivals at a constant rate have mean 1/λ and the wanted coefficient of variation, and counts over
/// long times have c² times the variance of Poisson counts.
#[test]
fn renewal_spacings_have_the_wanted_variability() {
    for cv in [0.3, 1.0, 2.0, 4.0] {
        let arrivals = format!("kind = \"renewal\"\ncoefficient_of_variation = {cv}");
        let constant = "kind = \"constant\"\nrequests_per_second = 2";
        let mut demand = Demand::new(&scenario(constant, &arrivals, 20_000));
        demand.reset(Seed::training(5));
        let (mut times, mut into) = (Vec::new(), Vec::new());
        for tick in 0..20_000 {
            demand.times(Tick(tick), &mut into);
            assert_eq!(into.len(), demand.users(Tick(tick)) as usize);
            times.extend_from_slice(&into);
        }
        assert!(times.is_sorted());
        let spacings: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let (mean, variance) = mean_and_variance(&spacings);
        let n = spacings.len() as f64;
        assert!((mean - 0.5).abs() < 4.5 * 0.5 * cv / n.sqrt(), "mean spacing {mean} at {cv}");
        assert_relative_eq!(variance.sqrt() / mean, cv, max_relative = 0.03);
        // Hours have 7,200 arrivals: the asymptotic variance c² holds but for its estimate's own error.
        let hours: Vec<f64> = demand
            .counts()
            .chunks_exact(100)
            .map(|ticks| ticks.iter().map(|users| f64::from(*users)).sum())
            .collect();
        let (mean, variance) = mean_and_variance(&hours);
        assert_relative_eq!(variance / mean, cv * cv, max_relative = 4.5 * (2.0_f64 / 200.0).sqrt());
    }
}

/// The equilibrium start makes the expected count right from the first tick; an ordinary renewal process with CV 2
/// would bring 1.5 users too many.
#[test]
fn renewal_counts_are_right_from_the_start() {
    let arrivals = "kind = \"renewal\"\ncoefficient_of_variation = 2";
    let constant = "kind = \"constant\"\nrequests_per_second = 0.2";
    let mut demand = Demand::new(&scenario(constant, arrivals, 90));
    let first: Vec<f64> = (0..20_000)
        .map(|seed| {
            demand.reset(Seed::training(seed));
            f64::from(demand.users(Tick(0)))
        })
        .collect();
    let (mean, variance) = mean_and_variance(&first);
    assert!((mean - 3.0).abs() < 4.5 * (variance / 20_000.0).sqrt(), "{mean}");
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_seed_another_path() {
    let burst = "kind = \"burst\"\nquiet_requests_per_second = 1\nbusy_requests_per_second = 9
quiet_seconds = 300\nbusy_seconds = 60";
    let crowd = "kind = \"flash_crowd\"\ncrowds_per_day = 8\npeak_requests_per_second = 10\nrise_seconds = 60
decay_seconds = 600";
    let batch =
        "kind = \"batch\"\nbatches = [{ hour = 9, jobs = 50, variation = 0.5, spread_seconds = 600 }]";
    for workload in [PROFILE, burst, crowd, batch] {
        let mut demand = Demand::new(&scenario(workload, POISSON, DAY));
        let (mut paths, mut times) = (Vec::new(), Vec::new());
        for seed in [Seed::training(1), Seed::evaluation(1), Seed::training(2), Seed::training(1)] {
            demand.reset(seed);
            demand.times(Tick(320), &mut times);
            let bits: Vec<u64> = demand.rates().iter().map(|rate| rate.to_bits()).collect();
            paths.push((bits, demand.counts().to_vec(), times.clone()));
        }
        assert_eq!(paths[0], paths[3]);
        assert_ne!(paths[0].0, paths[1].0, "{workload}");
        assert_ne!(paths[0].0, paths[2].0, "{workload}");
        assert_ne!(paths[1].0, paths[2].0, "{workload}");
    }
}

#[test]
fn outside_the_run_nobody_comes() {
    let mut demand = demand(PROFILE, 400, 1);
    let mut into = vec![1.0];
    for tick in [Tick(400), Tick(u32::MAX)] {
        assert_eq!((demand.users(tick), demand.requests_per_second(tick)), (0, 0.0));
        demand.times(tick, &mut into);
        assert!(into.is_empty());
    }
}

/// Parts draw from parts of the stream that are theirs: the first part of a sum is what it is alone.
#[test]
fn a_sum_is_the_sum_of_its_parts() {
    let inline = PROFILE.replace('\n', ", ");
    let burst = "kind = \"burst\", quiet_requests_per_second = 0, busy_requests_per_second = 9, \
                 quiet_seconds = 300, busy_seconds = 60";
    let alone = demand(PROFILE, DAY, 4);
    let sum = demand(&format!("kind = \"sum\"\nof = [{{ {inline} }}, {{ {burst} }}]"), DAY, 4);
    let silent = "kind = \"scaled\", factor = 0, of";
    let behind =
        demand(&format!("kind = \"sum\"\nof = [{{ {silent} = {{ {inline} }} }}, {{ {burst} }}]"), DAY, 4);
    let mut bursts = 0;
    for tick in (0..DAY).map(Tick) {
        let parts = alone.requests_per_second(tick) + behind.requests_per_second(tick);
        assert_relative_eq!(sum.requests_per_second(tick), parts, max_relative = 1e-14);
        bursts += u32::from(behind.requests_per_second(tick) > 0.0);
    }
    assert!(bursts > 100 && bursts < DAY - 100);
}

#[test]
fn a_scaled_workload_has_the_wanted_mean_or_peak() {
    let inline = PROFILE.replace('\n', ", ");
    let alone = demand(PROFILE, DAY, 4);
    for seed in [4, 5] {
        let scaled = |how: &str| demand(&format!("kind = \"scaled\"\n{how}\nof = {{ {inline} }}"), DAY, seed);
        let by_mean = scaled("mean_requests_per_second = 7");
        assert_relative_eq!(mean(by_mean.rates().iter().copied()), 7.0, max_relative = 1e-12);
        let by_peak = scaled("peak_requests_per_second = 30");
        let peak = by_peak.rates().iter().copied().fold(0.0, f64::max);
        assert_relative_eq!(peak, 30.0, max_relative = 1e-12);
    }
    let half = demand(&format!("kind = \"scaled\"\nfactor = 0.5\nof = {{ {inline} }}"), DAY, 4);
    for (half, whole) in half.rates().iter().zip(alone.rates()) {
        assert_eq!(*half, 0.5 * whole);
    }
}

/// A week without effects has the mean that the parameter says (to the midpoint rule on 15 s); with effects the mean
/// over many weeks has it within 4.5 standard errors of the effects.
#[test]
fn a_profile_has_its_mean_over_a_week() {
    let week = 7 * DAY;
    let steady = PROFILE
        .replace("day_variation = 0.2", "")
        .replace("phase_seconds = 900", "")
        .replace("noise = 0.3", "");
    assert_relative_eq!(mean(demand(&steady, week, 1).rates().iter().copied()), 2.0, max_relative = 1e-5);
    let mut random = Demand::new(&scenario(PROFILE, POISSON, week));
    let weeks: Vec<f64> = (0..200)
        .map(|seed| {
            random.reset(Seed::training(seed));
            mean(random.rates().iter().copied())
        })
        .collect();
    let (mean, variance) = mean_and_variance(&weeks);
    let error = (variance / 200.0).sqrt();
    assert!((mean - 2.0).abs() < 4.5 * error, "{mean} ± {error}");
    // Of seven days with weights from the weekly profile: 0.2² Σ w² / (Σ w)².
    let weekly: [f64; 7] = [1.1, 1.0, 1.0, 1.0, 0.9, 0.4, 0.3];
    let days: f64 = weekly.iter().map(|w| w * w).sum::<f64>() / weekly.iter().sum::<f64>().powi(2);
    assert_relative_eq!(variance.sqrt() / mean, 0.2 * days.sqrt(), max_relative = 0.2);
}

/// The levels stand at the times of the day that the calendar says: the run starts at 7:40 on a Monday, its counted
/// part at 8:00, and the time zone's shift counts.
#[test]
fn a_profile_follows_the_clock_on_the_wall() {
    let workload = "kind = \"profile\"\nmean_requests_per_second = 1\ndaily = [0, 0, 1, 0]";
    let busiest = |zone: &str| {
        let text = EXAMPLE
            .replace("horizon_ticks = 240", "horizon_ticks = 5680")
            .replace("time_zone = \"UTC\"", &format!("time_zone = \"{zone}\""))
            .replace("kind = \"constant\"\nrequests_per_second = 20", workload);
        let demand = Demand::new(&Scenario::parse(&text).expect("a right scenario"));
        let peak = demand.rates().iter().copied().fold(0.0, f64::max);
        demand.rates().iter().position(|rate| *rate == peak).expect("a peak")
    };
    // 12:00 is 4 h and the warm-up of 20 min after the run's start; the ticks about it are equally near.
    assert!((1039..=1040).contains(&busiest("UTC")));
    assert!((1039..=1040).contains(&busiest("Asia/Tokyo")));
}

/// Stationary moments of the noise: CV and autocorrelation of its logarithm after `noise_seconds`.
#[test]
fn noise_has_the_wanted_size_and_memory() {
    let noise = "noise = 0.4\nnoise_seconds = 150";
    for workload in [
        format!("kind = \"profile\"\nmean_requests_per_second = 5\ndaily = [1]\n{noise}"),
        format!("kind = \"noisy\"\nof = {{ kind = \"constant\", requests_per_second = 5 }}\n{noise}"),
    ] {
        let demand = demand(&workload, 200_000, 8);
        let (mean, variance) = mean_and_variance(demand.rates());
        assert_relative_eq!(mean, 5.0, max_relative = 0.02);
        assert_relative_eq!(variance.sqrt() / mean, 0.4, max_relative = 0.03);
        let logs: Vec<f64> = demand.rates().iter().map(|rate| rate.ln()).collect();
        let (centre, spread) = mean_and_variance(&logs);
        let covariance = logs.iter().zip(&logs[10..]).map(|(a, b)| (a - centre) * (b - centre)).sum::<f64>()
            / logs.len() as f64;
        assert_relative_eq!(covariance / spread, (-1.0_f64).exp(), max_relative = 0.05);
    }
}

/// Noise draws from a part of the stream that is its own: what is disturbed has the path that it has alone.
#[test]
fn a_noisy_workload_is_another_one_times_noise() {
    let inline = PROFILE.replace('\n', ", ");
    let alone = demand(PROFILE, DAY, 4);
    let noisy =
        |noise: f64| demand(&format!("kind = \"noisy\"\nnoise = {noise}\nof = {{ {inline} }}"), DAY, 4);
    assert_eq!(noisy(0.0).rates(), alone.rates());
    let factors: Vec<f64> =
        noisy(0.3).rates().iter().zip(alone.rates()).map(|(noisy, of)| noisy / of).collect();
    let (mean, variance) = mean_and_variance(&factors);
    // A day holds 288 correlation times of five minutes.
    assert_relative_eq!(mean, 1.0, max_relative = 0.08);
    assert_relative_eq!(variance.sqrt(), 0.3, max_relative = 0.15);
}

/// Mean rate and limit of the index of dispersion as in the module's formulas.
#[test]
fn bursts_have_the_moments_of_their_chain() {
    let workload = "kind = \"burst\"\nquiet_requests_per_second = 1\nbusy_requests_per_second = 9
quiet_seconds = 40\nbusy_seconds = 10";
    let demand = demand(workload, 400_000, 2);
    let (r1, r2, l1, l2) = (1.0 / 40.0, 1.0 / 10.0, 1.0, 9.0);
    let rate: f64 = (l1 * r2 + l2 * r1) / (r1 + r2);
    let dispersion = 1.0 + 2.0 * (l1 - l2) * (l1 - l2) * r1 * r2 / ((r1 + r2).powi(2) * (l1 * r2 + l2 * r1));
    let counts: Vec<f64> = demand
        .counts()
        .chunks_exact(200)
        .map(|ticks| ticks.iter().map(|users| f64::from(*users)).sum())
        .collect();
    let (mean, variance) = mean_and_variance(&counts);
    let error = (dispersion * rate / (400_000.0 * 15.0)).sqrt();
    assert!((mean / 3000.0 - rate).abs() < 4.5 * error, "{} for {rate}", mean / 3000.0);
    assert_relative_eq!(variance / mean, dispersion, max_relative = 4.5 * (2.0_f64 / 2000.0).sqrt());
}

/// A crowd brings h (r/2 + k + d) users; over many days their mean number is that of the height's log-normal law.
#[test]
fn crowds_bring_the_users_of_their_shape() {
    let workload =
        "kind = \"flash_crowd\"\ncrowds_per_day = 2\npeak_requests_per_second = 10\npeak_spread = 0.5
rise_seconds = 100\nhold_seconds = 300\ndecay_seconds = 700\nhour_from = 10\nhour_to = 14";
    let days = 3000;
    let demand = demand(workload, days * DAY, 6);
    let users = demand.rates().iter().sum::<f64>() * 15.0;
    let height = 10.0 * (0.125_f64).exp();
    let wanted = f64::from(days) * 2.0 * height * (50.0 + 300.0 + 700.0);
    // CV of a compound Poisson sum: √(E h² / n) / E h.
    let error = ((0.25_f64).exp() / f64::from(2 * days)).sqrt();
    assert!((users / wanted - 1.0).abs() < 4.5 * error, "{}", users / wanted);
    // Nobody comes before ten: the run starts at 7:40, and by then last day's crowds are over.
    assert!(demand.rates()[..559].iter().all(|rate| *rate == 0.0));
}

#[test]
fn batches_bring_the_jobs_of_their_mean_and_variance() {
    let workload = "kind = \"batch\"
batches = [{ hour = 0, jobs = 100, variation = 0.5, spread_seconds = 7, jitter_seconds = 600 }, \
        { hour = 12, jobs = 40, spread_seconds = 3600 }]";
    let days = 2000;
    let demand = demand(workload, days * DAY, 6);
    // From noon to noon: a day's second batch and, near midnight, the next day's first.
    let jobs: Vec<f64> = demand.counts()[880..]
        .chunks_exact(DAY as usize)
        .map(|ticks| ticks.iter().map(|users| f64::from(*users)).sum())
        .collect();
    let (mean, variance) = mean_and_variance(&jobs);
    let wanted = 140.0 + 50.0 * 50.0;
    assert!((mean - 140.0).abs() < 4.5 * (wanted / f64::from(days)).sqrt(), "{mean}");
    assert_relative_eq!(variance, wanted, max_relative = 0.25);
}

#[test]
fn a_ramp_is_exact_in_every_tick() {
    let workload = "kind = \"ramp\"\nfrom_requests_per_second = 2\nto_requests_per_second = 10
start_seconds = 100\nduration_seconds = 400";
    let demand = demand(workload, 200, 1);
    // The warm-up lasts 1,200 s, so the ramp goes from 1,300 s to 1,700 s.
    let users: f64 = demand.rates().iter().sum::<f64>() * 15.0;
    assert_relative_eq!(users, 1300.0 * 2.0 + 400.0 * 6.0 + 1300.0 * 10.0, max_relative = 1e-12);
    assert_eq!(demand.rates()[85], 2.0);
    assert_eq!(demand.rates()[114], 10.0);
    assert_relative_eq!(demand.rates()[100], 2.0 + 8.0 * (1507.5 - 1300.0) / 400.0, max_relative = 1e-12);
}

fn recorded(rates: Vec<f64>, step_seconds: f64, single: Option<Vec<f64>>, ticks: u32) -> Scenario {
    let mut scenario = scenario("kind = \"constant\"\nrequests_per_second = 1", POISSON, ticks);
    if single.is_some() {
        scenario.arrivals = tidegate_core::scenario::ArrivalsConfig::Recorded {};
    }
    scenario.workload = Workload::Recorded(Recorded {
        requests_per_second: rates.into(),
        step_seconds,
        arrivals_seconds: single.map(Arc::from),
    });
    scenario
}

#[test]
fn resampling_a_trace_conserves_counts() {
    // Steps finer than, equal to, coarser than and not commensurable with the tick of 15 s.
    for step_seconds in [1.0, 15.0, 60.0, 7.3, 100.0] {
        let n_steps = (1500.0 / step_seconds) as usize;
        let rates: Vec<f64> = (0..n_steps).map(|step| ((step * 37) % 11) as f64).collect();
        let users: f64 = rates.iter().sum::<f64>() * step_seconds;
        let demand = Demand::new(&recorded(rates.clone(), step_seconds, None, 200));
        assert_relative_eq!(demand.rates().iter().sum::<f64>() * 15.0, users, max_relative = 1e-12);
        assert!(demand.rates()[101..].iter().all(|rate| *rate == 0.0), "nobody after the end");
        if step_seconds == 60.0 {
            assert_eq!(demand.rates()[4..8], [rates[1]; 4]);
        }
    }
}

#[test]
fn recorded_arrivals_are_exactly_those_of_the_trace() {
    let single: Vec<f64> = (0_u32..4000).map(|index| f64::from(index * index) / 10_000.0).collect();
    let mut demand = Demand::new(&recorded(vec![4.0; 100], 15.0, Some(single.clone()), 100));
    demand.reset(Seed::evaluation(1));
    let (mut all, mut into) = (Vec::new(), Vec::new());
    for tick in 0..100 {
        demand.times(Tick(tick), &mut into);
        assert_eq!(into.len(), demand.users(Tick(tick)) as usize);
        all.extend_from_slice(&into);
    }
    let inside: Vec<f64> = single.into_iter().filter(|time| *time < 1500.0).collect();
    assert_eq!(all, inside);
}
