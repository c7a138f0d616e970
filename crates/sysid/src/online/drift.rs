//! Surprises of the queueing fit, in the deviations that it expects, corrected by their running deviation and handed to
//! the change detector.

use crate::change::{Change, ChangeDetector, ChangeKind};

/// The shift to be found fastest, in deviations.
const SHIFT: f64 = 1.5;
/// Surprises count no more than this: one wild scrape is not a change.
const CLIP: f64 = 3.0;
/// Share of the newest surprise in the running square.
const NEWEST: f64 = 0.03;
/// The running square never falls below: a few quiet scrapes must not make an ordinary one a surprise.
const SQUARE_MIN: f64 = 0.5;
/// So many surprises at least are of the new kind when even the sharpest shift is called.
const SURELY_NEW: usize = 4;

/// Watches for surprises of one sign.
#[derive(Clone, Debug)]
pub(super) struct Drift {
    square: f64,
    detector: ChangeDetector,
}

impl Drift {
    /// One false alarm in so many scrapes.
    ///
    /// # Panics
    /// If there are to be ten scrapes or fewer from one false alarm to the next.
    pub(super) fn new(scrapes_between_alarms: f64) -> Self {
        let detector = ChangeDetector::new(SHIFT, scrapes_between_alarms)
            .unwrap_or_else(|error| panic!("`scrapes_between_alarms`: {error}"));
        Self { square: 1.0, detector }
    }

    /// Takes a surprise; at an alarm gives how many surprises are surely of the changed kind, and starts anew.
    ///
    /// A change of the deviation alone is no change of the service: it differs between a quiet and a busy hour, and the
    /// running deviation follows it. The detector only starts anew.
    pub(super) fn push(&mut self, surprise: f64) -> Option<usize> {
        let z = (surprise / self.square.sqrt()).clamp(-CLIP, CLIP);
        // Only what is no surprise says how much is usual.
        if z.abs() < CLIP {
            self.square = (self.square + NEWEST * (surprise * surprise - self.square)).max(SQUARE_MIN);
        }
        let Change::Changed { kind, .. } = self.detector.update(z) else { return None };
        self.detector.reset();
        // The sum may have begun to rise by chance, long before the change.
        matches!(kind, ChangeKind::MeanUp | ChangeKind::MeanDown).then_some(SURELY_NEW)
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand_distr::StandardNormal;
    use tidegate_core::{Seed, Stream};

    use super::*;

    #[test]
    fn noise_is_no_change_and_a_shift_is_one_soon() {
        let mut rng = Seed::training(2).rng(Stream::Excitation);
        let mut drift = Drift::new(1e6);
        for _ in 0..20_000 {
            assert_eq!(drift.push(1.6 * rng.sample::<f64, _>(StandardNormal)), None);
        }
        let mut n = 1;
        while drift.push(4.0 + 1.6 * rng.sample::<f64, _>(StandardNormal)).is_none() {
            n += 1;
        }
        assert!((SURELY_NEW..=12).contains(&n), "{n} surprises of 2.5 deviations");
    }
}
