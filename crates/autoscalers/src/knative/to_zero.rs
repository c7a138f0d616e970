//! The last step: from wanted pods to what is applied, and the slow way to zero.
//!
//! | state | until |
//! | --- | --- |
//! | activating: fewer ready than needed | enough are ready; or it gives up after the progress deadline and 10 s |
//! | active | nothing is wanted and it was active for a stable window; before that one pod stays |
//! | inactive | something is wanted; meanwhile, after max(grace, retention), or once the activator has been in the path for the grace and the retention is over, it goes to zero |

use tidegate_core::Replicas;

/// Upstream waits this much longer than the deployment's progress deadline before it gives up an activation.
const ACTIVATION_BUFFER_SECONDS: f64 = 10.0;

/// What bounds the count and its way to zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Least pods.
    pub scale_min: Replicas,
    /// Most pods; 0 is no limit.
    pub scale_max: Replicas,
    /// Least pods until so many have been ready once.
    pub initial_scale: Replicas,
    /// Whether zero is allowed.
    pub enable_scale_to_zero: bool,
    /// How long it must have been active.
    pub stable_window_seconds: f64,
    /// How long the activator must have been in the path.
    pub grace_seconds: f64,
    /// How long the last pod stays after it has become inactive.
    pub pod_retention_seconds: f64,
    /// After this and 10 s an activation is given up.
    pub progress_deadline_seconds: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Activating,
    Active,
    Inactive,
}

/// What the reconciler remembers.
#[derive(Clone, Copy, Debug)]
pub struct ToZero {
    state: State,
    since_seconds: f64,
    proxy_since_seconds: Option<f64>,
    is_initialized: bool,
}

/// What comes out of handling a wanted zero: what is reported as wanted, and what is applied.
type Handled = (Option<Replicas>, Option<Replicas>);

impl ToZero {
    /// Starts with what there is: a fleet that serves, one on its way, or none for as long as one can think.
    pub fn new(now_seconds: f64, declared: Replicas, ready: Replicas) -> Self {
        let (state, since_seconds) = match (declared, ready) {
            (_, 1..) => (State::Active, now_seconds),
            (1.., 0) => (State::Activating, now_seconds),
            (0, 0) => (State::Inactive, f64::NEG_INFINITY),
        };
        Self { state, since_seconds, proxy_since_seconds: None, is_initialized: false }
    }

    /// Whether it has gone to sleep.
    pub fn is_inactive(&self) -> bool {
        self.state == State::Inactive
    }

    /// One pass. `desired` is none where there are no measurements. Gives what is to be applied, if anything.
    pub fn reconcile(
        &mut self,
        limits: &Limits,
        now_seconds: f64,
        ready: Replicas,
        desired: Option<Replicas>,
        excess_burst: f64,
    ) -> Option<Replicas> {
        let (want, applied) = self.scale(limits, now_seconds, desired);
        let is_proxied =
            want == Some(0) || excess_burst < 0.0 || (want.is_none() && self.state == State::Inactive);
        self.proxy_since_seconds =
            if is_proxied { self.proxy_since_seconds.or(Some(now_seconds)) } else { None };
        let enough = if self.is_initialized { 1 } else { limits.initial_scale.max(1) };
        let enough = enough.max(limits.scale_min);
        self.is_initialized |= ready >= enough;
        if want == Some(0) {
            self.enter(State::Inactive, now_seconds);
        } else if want.is_some() || self.state != State::Inactive {
            self.enter(if ready < enough { State::Activating } else { State::Active }, now_seconds);
        }
        applied
    }

    fn scale(&self, limits: &Limits, now_seconds: f64, desired: Option<Replicas>) -> Handled {
        if desired.is_none() && self.state != State::Activating {
            return (None, None);
        }
        let mut least = limits.scale_min;
        if !self.is_initialized {
            least = least.max(limits.initial_scale);
        }
        let mut wanted = desired.unwrap_or(0).max(least);
        if limits.scale_max > 0 {
            wanted = wanted.min(limits.scale_max.max(least));
        }
        if wanted > 0 { (Some(wanted), Some(wanted)) } else { self.handle_zero(limits, now_seconds) }
    }

    fn handle_zero(&self, limits: &Limits, now_seconds: f64) -> Handled {
        if !limits.enable_scale_to_zero {
            return (Some(1), Some(1));
        }
        let for_seconds = now_seconds - self.since_seconds;
        match self.state {
            State::Activating => {
                let given_up = limits.progress_deadline_seconds + ACTIVATION_BUFFER_SECONDS;
                if for_seconds > given_up { (Some(0), Some(0)) } else { (None, None) }
            }
            // Marked inactive now, to zero in a later pass.
            State::Active if for_seconds >= limits.stable_window_seconds => (Some(0), None),
            State::Active => (Some(1), Some(1)),
            State::Inactive => {
                let proxied = self.proxy_since_seconds.map_or(0.0, |since| now_seconds - since);
                let is_retained = for_seconds < limits.pod_retention_seconds;
                let is_over = for_seconds >= limits.grace_seconds.max(limits.pod_retention_seconds);
                let goes = is_over || (!is_retained && proxied >= limits.grace_seconds);
                (Some(0), goes.then_some(0))
            }
        }
    }

    fn enter(&mut self, state: State, now_seconds: f64) {
        if self.state != state {
            (self.state, self.since_seconds) = (state, now_seconds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        scale_min: 0,
        scale_max: 0,
        initial_scale: 0,
        enable_scale_to_zero: true,
        stable_window_seconds: 60.0,
        grace_seconds: 30.0,
        pod_retention_seconds: 0.0,
        progress_deadline_seconds: 600.0,
    };

    /// When the first zero is applied to one ready pod that has nothing to do from 0 s on.
    fn zero_at(limits: &Limits, excess_burst: f64) -> Option<u32> {
        let mut to_zero = ToZero::new(0.0, 1, 1);
        (0..1000)
            .map(|step| 2 * step)
            .find(|now| to_zero.reconcile(limits, f64::from(*now), 1, Some(0), excess_burst) == Some(0))
    }

    #[test]
    fn the_way_to_zero_takes_a_stable_window_and_the_grace() {
        // Inactive at 60 s, and the activator comes into the path only then.
        assert_eq!(zero_at(&LIMITS, 10.0), Some(90));
        // It was in the path all the time: the next pass.
        assert_eq!(zero_at(&LIMITS, -10.0), Some(62));
        assert_eq!(zero_at(&Limits { pod_retention_seconds: 20.0, ..LIMITS }, -10.0), Some(80));
        assert_eq!(zero_at(&Limits { pod_retention_seconds: 300.0, ..LIMITS }, 10.0), Some(360));
        assert_eq!(zero_at(&Limits { enable_scale_to_zero: false, ..LIMITS }, -10.0), None);
        assert_eq!(zero_at(&Limits { scale_min: 1, ..LIMITS }, -10.0), None);
    }

    #[test]
    fn one_pod_stays_until_then_and_traffic_starts_the_wait_again() {
        let mut to_zero = ToZero::new(0.0, 5, 5);
        assert_eq!(to_zero.reconcile(&LIMITS, 10.0, 5, Some(0), 0.0), Some(1));
        assert_eq!(to_zero.reconcile(&LIMITS, 60.0, 1, Some(0), 0.0), None);
        assert!(to_zero.is_inactive());
        assert_eq!(to_zero.reconcile(&LIMITS, 62.0, 1, Some(3), 0.0), Some(3));
        assert!(!to_zero.is_inactive());
        assert_eq!(to_zero.reconcile(&LIMITS, 100.0, 3, Some(0), 0.0), Some(1));
        assert_eq!(to_zero.reconcile(&LIMITS, 122.0, 1, Some(0), 0.0), None);
    }

    #[test]
    fn an_activation_that_leads_nowhere_is_given_up() {
        let mut to_zero = ToZero::new(0.0, 0, 0);
        assert_eq!(to_zero.reconcile(&LIMITS, 0.0, 0, Some(2), -1.0), Some(2));
        assert_eq!(to_zero.reconcile(&LIMITS, 60.0, 0, Some(0), -1.0), None);
        assert_eq!(to_zero.reconcile(&LIMITS, 610.0, 0, None, -1.0), None);
        assert_eq!(to_zero.reconcile(&LIMITS, 612.0, 0, None, -1.0), Some(0));
    }

    #[test]
    fn bounds_hold_and_the_initial_scale_until_it_was_reached() {
        let limits = Limits { scale_min: 2, scale_max: 8, initial_scale: 5, ..LIMITS };
        let mut to_zero = ToZero::new(0.0, 0, 0);
        assert_eq!(to_zero.reconcile(&limits, 0.0, 0, Some(1), 0.0), Some(5));
        assert_eq!(to_zero.reconcile(&limits, 2.0, 5, Some(1), 0.0), Some(5));
        assert_eq!(to_zero.reconcile(&limits, 4.0, 5, Some(1), 0.0), Some(2));
        assert_eq!(to_zero.reconcile(&limits, 6.0, 2, Some(100), 0.0), Some(8));
    }

    #[test]
    fn without_measurements_nothing_is_applied() {
        let mut to_zero = ToZero::new(0.0, 3, 3);
        assert_eq!(to_zero.reconcile(&LIMITS, 100.0, 3, None, 0.0), None);
    }
}
