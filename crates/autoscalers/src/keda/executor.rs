//! KEDA's own loop, 0 ↔ 1 or idle ↔ minimum, and what stands in for a trigger that fails.
//!
//! | triggers | and | then |
//! | --- | --- | --- |
//! | active | nothing declared, or an idle count set and less than the minimum | max(1, minimum) |
//! | inactive, one fails | a fallback count above 0: the other loop will go there; or no fallback at all | nothing |
//! | inactive | above the idle count, or above 0 with a minimum of 0 | after the cooldown the idle count, or 0 |
//! | inactive | no idle count, below the minimum | the minimum |
//!
//! The cooldown runs from the last poll that found a trigger active; before the first one it is the initial cooldown
//! from the start. So it goes from any count straight to 0, whatever the other loop's rules say.

use serde::{Deserialize, Serialize};
use tidegate_core::Replicas;

/// What the executor goes by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Least replicas while active.
    pub replicas_min: Replicas,
    /// Replicas while inactive, in place of the minimum.
    pub replicas_idle: Option<Replicas>,
    /// Wait after the last activity.
    pub cooldown_seconds: f64,
    /// Wait after the start, as long as there was no activity.
    pub initial_cooldown_seconds: f64,
    /// Replicas of the fallback, if there is one.
    pub fallback: Option<Replicas>,
}

/// What a poll found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Whether any trigger is active.
    pub is_active: bool,
    /// Whether any trigger failed.
    pub is_error: bool,
}

/// What it remembers.
#[derive(Clone, Copy, Debug)]
pub struct Executor {
    created_seconds: f64,
    active_seconds: Option<f64>,
}

impl Executor {
    /// One that starts now.
    pub fn new(now_seconds: f64) -> Self {
        Self { created_seconds: now_seconds, active_seconds: None }
    }

    /// What to declare after a poll, if that is the executor's to say.
    pub fn scale(
        &mut self,
        bounds: &Bounds,
        now_seconds: f64,
        declared: Replicas,
        activity: Activity,
    ) -> Option<Replicas> {
        let least = bounds.replicas_min;
        if activity.is_active {
            self.active_seconds = Some(now_seconds);
            let is_idle = bounds.replicas_idle.is_some() && declared < least;
            return (declared == 0 || is_idle).then_some(least.max(1));
        }
        if activity.is_error && bounds.fallback.is_none_or(|replicas| replicas > 0) {
            return None;
        }
        let is_above_idle = bounds.replicas_idle.is_some_and(|idle| declared > idle);
        if is_above_idle || (declared > 0 && least == 0) {
            let until = match self.active_seconds {
                Some(active) => active + bounds.cooldown_seconds,
                None => self.created_seconds + bounds.initial_cooldown_seconds,
            };
            return (until < now_seconds).then_some(bounds.replicas_idle.unwrap_or(least));
        }
        (bounds.replicas_idle.is_none() && declared < least).then_some(least)
    }
}

/// What a fallback makes of its count.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum FallbackBehavior {
    /// The count.
    #[default]
    Static,
    /// What is declared.
    CurrentReplicas,
    /// The larger of both.
    CurrentReplicasIfHigher,
    /// The smaller of both.
    CurrentReplicasIfLower,
    /// The trigger's value is nil in the formula of the scaling modifiers.
    ScalingModifiers,
}

/// The value that makes the other loop go to so many replicas; none if there is no such value. `per_ready` is the
/// number of ready replicas where the metric is compared as a whole.
pub fn fallback_value(
    behavior: FallbackBehavior,
    replicas: Replicas,
    declared: Replicas,
    target: f64,
    per_ready: Option<Replicas>,
) -> Option<f64> {
    let wanted = match behavior {
        FallbackBehavior::Static | FallbackBehavior::ScalingModifiers => replicas,
        FallbackBehavior::CurrentReplicas => declared,
        FallbackBehavior::CurrentReplicasIfHigher => declared.max(replicas),
        FallbackBehavior::CurrentReplicasIfLower => declared.min(replicas),
    };
    let value = target * f64::from(wanted);
    match per_ready {
        None => Some(value),
        Some(0) => None,
        Some(ready) => Some(value / f64::from(ready)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        replicas_min: 0,
        replicas_idle: None,
        cooldown_seconds: 300.0,
        initial_cooldown_seconds: 0.0,
        fallback: None,
    };
    const ACTIVE: Activity = Activity { is_active: true, is_error: false };
    const INACTIVE: Activity = Activity { is_active: false, is_error: false };
    const FAILED: Activity = Activity { is_active: false, is_error: true };

    #[test]
    fn zero_comes_a_cooldown_after_the_last_activity() {
        let mut executor = Executor::new(0.0);
        assert_eq!(executor.scale(&BOUNDS, 30.0, 0, ACTIVE), Some(1));
        assert_eq!(executor.scale(&BOUNDS, 60.0, 7, ACTIVE), None);
        assert_eq!(executor.scale(&BOUNDS, 90.0, 7, INACTIVE), None);
        assert_eq!(executor.scale(&BOUNDS, 360.0, 7, INACTIVE), None);
        assert_eq!(executor.scale(&BOUNDS, 390.0, 7, INACTIVE), Some(0));
        assert_eq!(executor.scale(&BOUNDS, 420.0, 0, INACTIVE), None);
    }

    #[test]
    fn before_any_activity_the_initial_cooldown_counts() {
        let bounds = Bounds { initial_cooldown_seconds: 120.0, ..BOUNDS };
        let mut executor = Executor::new(0.0);
        assert_eq!(executor.scale(&bounds, 120.0, 2, INACTIVE), None);
        assert_eq!(executor.scale(&bounds, 150.0, 2, INACTIVE), Some(0));
        assert_eq!(Executor::new(0.0).scale(&BOUNDS, 30.0, 2, INACTIVE), Some(0));
    }

    #[test]
    fn an_idle_count_stands_in_for_the_minimum() {
        let bounds = Bounds { replicas_min: 5, replicas_idle: Some(0), ..BOUNDS };
        let mut executor = Executor::new(0.0);
        assert_eq!(executor.scale(&bounds, 0.0, 0, ACTIVE), Some(5));
        assert_eq!(executor.scale(&bounds, 300.0, 5, INACTIVE), None);
        assert_eq!(executor.scale(&bounds, 330.0, 5, INACTIVE), Some(0));
        assert_eq!(executor.scale(&bounds, 360.0, 0, INACTIVE), None);
        assert_eq!(executor.scale(&bounds, 390.0, 2, ACTIVE), Some(5));
    }

    #[test]
    fn with_a_minimum_it_only_mends_what_is_below() {
        let bounds = Bounds { replicas_min: 2, ..BOUNDS };
        let mut executor = Executor::new(0.0);
        assert_eq!(executor.scale(&bounds, 900.0, 7, INACTIVE), None);
        assert_eq!(executor.scale(&bounds, 930.0, 1, INACTIVE), Some(2));
        assert_eq!(executor.scale(&bounds, 960.0, 0, ACTIVE), Some(2));
    }

    #[test]
    fn a_failing_trigger_keeps_it_from_zero() {
        let mut executor = Executor::new(0.0);
        assert_eq!(executor.scale(&BOUNDS, 900.0, 7, FAILED), None);
        assert_eq!(executor.scale(&Bounds { fallback: Some(3), ..BOUNDS }, 900.0, 7, FAILED), None);
        assert_eq!(executor.scale(&Bounds { fallback: Some(0), ..BOUNDS }, 900.0, 7, FAILED), Some(0));
    }

    #[test]
    fn a_fallback_reports_what_gives_its_count() {
        use FallbackBehavior::*;
        let check = |behavior, per_ready| fallback_value(behavior, 6, 4, 10.0, per_ready);
        assert_eq!(check(Static, None), Some(60.0));
        assert_eq!(check(CurrentReplicas, None), Some(40.0));
        assert_eq!(check(CurrentReplicasIfHigher, None), Some(60.0));
        assert_eq!(check(CurrentReplicasIfLower, None), Some(40.0));
        assert_eq!(check(Static, Some(3)), Some(20.0));
        assert_eq!(check(Static, Some(0)), None);
    }
}
