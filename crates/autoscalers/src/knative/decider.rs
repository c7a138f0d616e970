//! From measured values to wanted pods: stable and panic mode, rates, scale-down delay, excess burst capacity.
//!
//! pods by a value v: clamp(⌈v / target⌉, ⌊ready / `max_scale_down_rate`⌋, ⌈`max_scale_up_rate` · ready⌉), ready ≥ 1
//!
//! Panic starts where ⌈panic value / target⌉ / ready reaches the threshold, is renewed while it does, and ends a stable
//! window after the last time. In it the count is the larger of both values' and never falls.

use tidegate_core::Replicas;

/// What Knative calls the decider's specification.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spec {
    /// Value of the metric that one pod should have.
    pub target_value: f64,
    /// Value that one pod can have.
    pub total_value: f64,
    /// Burst that should find room; −1 is unlimited.
    pub target_burst_capacity: f64,
    /// Wanted over ready pods at which panic starts.
    pub panic_threshold: f64,
    /// Most wanted over ready pods.
    pub max_scale_up_rate: f64,
    /// Most ready over wanted pods.
    pub max_scale_down_rate: f64,
    /// The stable window, which panic outlasts.
    pub stable_window_seconds: f64,
    /// Least pods once there is any load; 1 and less have no effect.
    pub activation_scale: Replicas,
    /// Whether anything routes to it; if not, it may shrink at once.
    pub is_reachable: bool,
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Average over the stable window.
    pub stable: f64,
    /// Average over the panic window.
    pub panic: f64,
    /// Ready pods.
    pub ready: Replicas,
}

/// What the decider says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Pods wanted.
    pub desired: Replicas,
    /// Room for a burst beyond the target; below 0 the activator belongs into the path.
    pub excess_burst: f64,
    /// Whether it is in panic mode.
    pub is_panicking: bool,
}

/// Its memory.
#[derive(Clone, Debug)]
pub struct Decider {
    panic_since_seconds: Option<f64>,
    panic_pods: Replicas,
    delay: Option<LargestLately>,
}

impl Decider {
    /// A decider that starts now: in panic mode if more than one pod is ready, since it does not know how busy they
    /// were before.
    pub fn new(
        ready: Replicas,
        now_seconds: f64,
        scale_down_delay_seconds: f64,
        period_seconds: f64,
    ) -> Self {
        let delay = (scale_down_delay_seconds > 0.0)
            .then(|| LargestLately::new(scale_down_delay_seconds, period_seconds));
        let mut decider = Self { panic_since_seconds: None, panic_pods: 0, delay };
        decider.start(ready, now_seconds);
        decider
    }

    /// The same without building it again.
    pub fn start(&mut self, ready: Replicas, now_seconds: f64) {
        self.panic_since_seconds = (ready > 1).then_some(now_seconds);
        self.panic_pods = ready;
        if let Some(delay) = &mut self.delay {
            delay.clear();
        }
    }

    /// What is wanted now.
    pub fn scale(&mut self, spec: &Spec, now_seconds: f64, measured: Measured) -> Scale {
        let ready = f64::from(measured.ready).max(1.0);
        // Rounded up and down, so that a rate close to 1 still lets it move by one.
        let most = (spec.max_scale_up_rate * ready).ceil();
        let least = if spec.is_reachable { (ready / spec.max_scale_down_rate).floor() } else { 0.0 };
        let by_stable = (measured.stable / spec.target_value).ceil();
        let by_panic = (measured.panic / spec.target_value).ceil();
        let pods = |wanted: f64| {
            let pods = wanted.max(least).min(most) as Replicas;
            if spec.activation_scale > 1 && wanted > 0.0 { pods.max(spec.activation_scale) } else { pods }
        };
        if by_panic / ready >= spec.panic_threshold {
            self.panic_since_seconds = Some(now_seconds);
        } else if self
            .panic_since_seconds
            .is_some_and(|since| since + spec.stable_window_seconds < now_seconds)
        {
            self.panic_since_seconds = None;
            self.panic_pods = 0;
        }
        let is_panicking = self.panic_since_seconds.is_some();
        let mut desired = pods(by_stable);
        if is_panicking {
            // The stable value may be the larger one, when the surge is over.
            self.panic_pods = self.panic_pods.max(desired).max(pods(by_panic));
            desired = self.panic_pods;
        }
        if let Some(delay) = self.delay.as_mut().filter(|_| spec.is_reachable) {
            desired = delay.record(now_seconds, desired);
        }
        let excess_burst = if spec.target_burst_capacity == 0.0 {
            0.0
        } else if spec.target_burst_capacity > 0.0 {
            let capacity = f64::from(measured.ready) * spec.total_value;
            (capacity - spec.target_burst_capacity - measured.panic).floor()
        } else {
            -1.0
        };
        Scale { desired, excess_burst, is_panicking }
    }
}

/// The largest count of the last so many periods, this one included.
#[derive(Clone, Debug)]
struct LargestLately {
    period_seconds: f64,
    slots: Vec<(i64, Replicas)>,
}

impl LargestLately {
    fn new(seconds: f64, period_seconds: f64) -> Self {
        let n = (seconds / period_seconds).ceil() as usize;
        let mut largest = Self { period_seconds, slots: vec![(0, 0); n.max(1)] };
        largest.clear();
        largest
    }

    fn clear(&mut self) {
        self.slots.fill((i64::MIN / 2, 0));
    }

    fn record(&mut self, now_seconds: f64, count: Replicas) -> Replicas {
        // The margin keeps a multiple of the period in its own slot.
        let index = (now_seconds / self.period_seconds + 1e-9).floor() as i64;
        let n = i64::try_from(self.slots.len()).expect("a delay has few periods");
        let slot = &mut self.slots[index.rem_euclid(n) as usize];
        *slot = if slot.0 == index { (index, slot.1.max(count)) } else { (index, count) };
        let lately = self.slots.iter().filter(|(at, _)| index - at < n).map(|(_, count)| *count);
        lately.max().unwrap_or(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPEC: Spec = Spec {
        target_value: 10.0,
        total_value: 20.0,
        target_burst_capacity: 100.0,
        panic_threshold: 2.0,
        max_scale_up_rate: 10.0,
        max_scale_down_rate: 2.0,
        stable_window_seconds: 60.0,
        activation_scale: 1,
        is_reachable: true,
    };

    fn at(ready: Replicas, stable: f64, panic: f64) -> Measured {
        Measured { stable, panic, ready }
    }

    /// One row: a decider that starts with one pod, asked once.
    fn check(spec: &Spec, measured: Measured, desired: Replicas, excess_burst: f64, is_panicking: bool) {
        let scale = Decider::new(1, 0.0, 0.0, 2.0).scale(spec, 0.0, measured);
        assert_eq!(scale, Scale { desired, excess_burst, is_panicking }, "{measured:?}");
    }

    #[test]
    fn panic_starts_at_twice_the_pods() {
        check(&SPEC, at(5, 50.0, 90.0), 5, -90.0, false);
        // 91 needs 10 pods, twice the ready 5.
        check(&SPEC, at(5, 50.0, 91.0), 10, -91.0, true);
        // No pod counts as one, but has no room.
        check(&SPEC, at(0, 0.5, 5.0), 1, -105.0, false);
        check(&SPEC, at(0, 0.5, 10.1), 2, -111.0, true);
    }

    #[test]
    fn rates_bound_a_step_and_always_allow_one() {
        check(&SPEC, at(5, 1000.0, 30.0), 50, -30.0, false);
        check(&SPEC, at(5, 0.0, 0.0), 2, 0.0, false);
        check(&SPEC, at(1, 0.0, 0.0), 0, -80.0, false);
        let timid = Spec { max_scale_up_rate: 1.1, max_scale_down_rate: 1.1, ..SPEC };
        check(&timid, at(2, 1000.0, 0.0), 3, -60.0, false);
        check(&timid, at(9, 0.0, 0.0), 8, 80.0, false);
        let unreachable = Spec { is_reachable: false, ..SPEC };
        check(&unreachable, at(9, 0.0, 0.0), 0, 80.0, false);
    }

    #[test]
    fn an_activation_scale_counts_from_the_first_request_on() {
        let spec = Spec { activation_scale: 3, ..SPEC };
        check(&spec, at(1, 0.0, 0.0), 0, -80.0, false);
        check(&spec, at(1, 0.1, 0.0), 3, -80.0, false);
        check(&spec, at(1, 40.0, 0.0), 4, -80.0, false);
    }

    #[test]
    fn excess_burst_capacity_is_what_a_burst_leaves() {
        check(&Spec { target_burst_capacity: 0.0, ..SPEC }, at(5, 10.0, 10.0), 2, 0.0, false);
        check(&Spec { target_burst_capacity: -1.0, ..SPEC }, at(5, 10.0, 10.0), 2, -1.0, false);
        check(&Spec { target_burst_capacity: 20.0, ..SPEC }, at(5, 10.0, 10.5), 2, 69.0, false);
    }

    /// In panic it never falls; it ends strictly more than a stable window after the last time over the threshold.
    #[test]
    fn panic_lasts_a_stable_window() {
        let mut decider = Decider::new(1, 0.0, 0.0, 2.0);
        let mut ask = |now: f64, ready: Replicas, stable: f64, panic: f64| {
            decider.scale(&SPEC, now, at(ready, stable, panic)).desired
        };
        assert_eq!(ask(0.0, 1, 10.0, 40.0), 4);
        assert_eq!(ask(2.0, 1, 10.0, 30.0), 4);
        assert_eq!(ask(20.0, 4, 60.0, 10.0), 6);
        assert_eq!(ask(62.0, 6, 10.0, 10.0), 6);
        assert_eq!(ask(62.1, 6, 10.0, 10.0), 3);
    }

    #[test]
    fn a_decider_that_starts_amid_a_fleet_keeps_it_for_a_stable_window() {
        let mut decider = Decider::new(8, 100.0, 0.0, 2.0);
        assert_eq!(decider.scale(&SPEC, 160.0, at(8, 0.0, 0.0)).desired, 8);
        assert_eq!(decider.scale(&SPEC, 162.0, at(8, 0.0, 0.0)).desired, 4);
        assert!(!Decider::new(1, 100.0, 0.0, 2.0).scale(&SPEC, 100.0, at(1, 0.0, 0.0)).is_panicking);
    }

    #[test]
    fn a_scale_down_waits_for_its_delay() {
        let mut decider = Decider::new(1, 0.0, 30.0, 2.0);
        let mut ask = |now: f64, stable: f64| decider.scale(&SPEC, now, at(1, stable, 0.0)).desired;
        assert_eq!(ask(2.0, 40.0), 4);
        assert_eq!(ask(4.0, 20.0), 4);
        assert_eq!(ask(30.0, 0.0), 4);
        assert_eq!(ask(32.0, 0.0), 2);
        assert_eq!(ask(34.0, 0.0), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Never faster than the rates allow, and in panic never down.
        #[test]
        fn it_keeps_to_its_rates(moments in prop::collection::vec((0..200_u32, 0.0..3000.0_f64, 0.0..3000.0_f64), 1..60)) {
            let mut decider = Decider::new(moments[0].0, 0.0, 0.0, 2.0);
            let (mut before, mut was_panicking) = (moments[0].0, moments[0].0 > 1);
            for (step, (ready, stable, panic)) in moments.iter().enumerate() {
                let scale = decider.scale(&SPEC, 7.0 * step as f64, at(*ready, *stable, *panic));
                let some = (*ready).max(1);
                prop_assert!(scale.desired >= some / 2);
                prop_assert!(scale.desired <= (10 * some).max(before));
                if scale.is_panicking && was_panicking {
                    prop_assert!(scale.desired >= before);
                }
                (before, was_panicking) = (scale.desired, scale.is_panicking);
            }
        }
    }
}
