//! Where a learner's random numbers come from: four places far apart in one stream of its seed, so that a draw for one
//! purpose moves no draw for another.

use rand_chacha::ChaCha8Rng;
use tidegate_core::{Seed, Stream};

/// What is drawn. The number is part of the results.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// The first weights.
    Initial = 0,
    /// Random actions.
    Exploration = 1,
    /// What is replayed.
    Replay = 2,
    /// Noise in the weights.
    Noise = 3,
}

impl Purpose {
    /// The generator for it, of which no other comes within 2⁶⁴ words.
    pub(crate) fn rng(self, seed: Seed) -> ChaCha8Rng {
        let mut rng = seed.rng(Stream::Learner);
        rng.set_word_pos((self as u128) << 64);
        rng
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn purposes_draw_different_numbers_and_places_can_be_kept() {
        let draw = |purpose: Purpose| purpose.rng(Seed::training(3)).next_u64();
        let purposes = [Purpose::Initial, Purpose::Exploration, Purpose::Replay, Purpose::Noise];
        let mut drawn: Vec<u64> = purposes.map(draw).to_vec();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 4);
        let mut rng = Purpose::Noise.rng(Seed::training(3));
        for _ in 0..37 {
            rng.next_u32();
        }
        let mut again = Purpose::Noise.rng(Seed::training(3));
        again.set_word_pos(rng.get_word_pos());
        assert_eq!(rng.next_u64(), again.next_u64());
    }
}
