//! Two one-sided CUSUMs of surprises that are standardised by their own running deviation [Page 1954].

/// What a surprise has to be on average, in deviations, before the sums rise.
const SLACK: f64 = 0.75;
/// Surprises count no more than this: one wild scrape is not a change.
const CLIP: f64 = 3.0;
/// Share of the newest surprise in the running square.
const NEWEST: f64 = 0.03;

/// Watches for surprises of one sign.
#[derive(Clone, Debug)]
pub(super) struct Drift {
    square: f64,
    least: f64,
    alarm: f64,
    up: (f64, usize),
    down: (f64, usize),
}

impl Drift {
    /// `misfit`: the deviation that it starts from, and never goes below half of.
    pub(super) fn new(misfit: f64, alarm: f64) -> Self {
        Self { square: misfit * misfit, least: misfit * misfit / 4.0, alarm, up: (0.0, 0), down: (0.0, 0) }
    }

    /// Takes a surprise; at an alarm gives how many surprises are surely of the changed kind, and starts anew.
    pub(super) fn push(&mut self, surprise: f64) -> Option<usize> {
        let deviation = self.square.sqrt();
        let z = (surprise / deviation).clamp(-CLIP, CLIP);
        // Only what is no surprise says how much is usual.
        if z.abs() < CLIP {
            self.square = (self.square + NEWEST * (surprise * surprise - self.square)).max(self.least);
        }
        let rise = |(sum, n): (f64, usize), z: f64| {
            let sum = sum + z - SLACK;
            if sum > 0.0 { (sum, n + 1) } else { (0.0, 0) }
        };
        self.up = rise(self.up, z);
        self.down = rise(self.down, -z);
        let since = [self.up, self.down].into_iter().filter(|it| it.0 > self.alarm).map(|it| it.1).max()?;
        (self.up, self.down) = ((0.0, 0), (0.0, 0));
        // The sum may have risen by chance before the change: what the sharpest change needs is surely of the new kind.
        Some(since.min((self.alarm / (CLIP - SLACK)).ceil() as usize))
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
        let mut drift = Drift::new(0.05, 10.0);
        for _ in 0..20_000 {
            assert_eq!(drift.push(0.08 * rng.sample::<f64, _>(StandardNormal)), None);
        }
        let mut n = 0;
        let since = loop {
            n += 1;
            if let Some(since) = drift.push(0.2 + 0.08 * rng.sample::<f64, _>(StandardNormal)) {
                break since;
            }
        };
        assert!(n <= 10, "{n} surprises of 2.5 deviations");
        assert!(since <= n, "it began {since} ago, in truth {n}");
    }
}
