//! A level and the shapes of some periods: what the Fourier method and MSTL both come to.

use crate::history::History;

/// Shapes that add up, and how far back the level is taken from.
#[derive(Clone, Debug)]
pub(crate) struct Seasons {
    pub(crate) name: &'static str,
    /// One period each: place i is that of the steps whose number is i modulo the period.
    pub(crate) shapes: Vec<Vec<f64>>,
    /// Steps whose mean is the level.
    pub(crate) level_steps: usize,
}

impl Seasons {
    pub(crate) fn at(&self, step: u64) -> f64 {
        self.shapes.iter().map(|shape| shape[(step % shape.len() as u64) as usize]).sum()
    }

    /// See [`crate::Point::forecast`]: the level of the newest values, and the seasons of the coming ones.
    pub(crate) fn forecast(
        &self,
        history: &History,
        origins: &[u64],
        aheads: &[u32],
        each: &mut dyn FnMut(usize, &[f64]),
    ) {
        let Some((first, last)) = origins.first().zip(origins.last()) else { return };
        let from = first.saturating_sub(self.level_steps as u64).max(history.first());
        // Sums of what is left without seasons, over the steps that were seen, and how many those are.
        let mut sums = Vec::with_capacity((last - from) as usize + 1);
        let mut sum = (0.0, 0.0);
        sums.push(sum);
        for step in from..*last {
            if let Some(value) = history.get(step) {
                sum = (sum.0 + value - self.at(step), sum.1 + 1.0);
            }
            sums.push(sum);
        }
        let mut level = history.newest().unwrap_or(0.0);
        let mut wanted = Vec::with_capacity(aheads.len());
        for (index, origin) in origins.iter().enumerate() {
            let place = (origin - from) as usize;
            let before = sums[place.saturating_sub(self.level_steps)];
            let (sum, n_seen) = (sums[place].0 - before.0, sums[place].1 - before.1);
            // Through a gap as long as that the last level stays.
            if n_seen > 0.0 {
                level = sum / n_seen;
            }
            wanted.clear();
            wanted.extend(
                aheads.iter().map(|ahead| (level + self.at(origin + u64::from(*ahead) - 1)).max(0.0)),
            );
            each(index, &wanted);
        }
    }
}
