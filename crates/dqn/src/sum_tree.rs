//! Sums over ranges of positive numbers, so that an index can be drawn in proportion to its number in logarithmic time
//! (Schaul et al., "Prioritized experience replay", ICLR 2016, appendix B.2.1).

/// A binary tree whose leaves are the numbers and whose other nodes are sums of two.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SumTree {
    /// Node 1 is the root, the children of node i are 2 i and 2 i + 1, and the leaves are the second half.
    nodes: Vec<f64>,
}

impl SumTree {
    /// Of so many numbers, all 0.
    pub(crate) fn new(n: usize) -> Self {
        Self { nodes: vec![0.0; 2 * n.next_power_of_two()] }
    }

    /// Of all numbers.
    pub(crate) fn total(&self) -> f64 {
        self.nodes[1]
    }

    /// One number.
    pub(crate) fn get(&self, index: usize) -> f64 {
        self.nodes[self.nodes.len() / 2 + index]
    }

    /// Changes one. Sums are added anew, so that no rounding gathers.
    pub(crate) fn set(&mut self, index: usize, value: f64) {
        let mut node = self.nodes.len() / 2 + index;
        self.nodes[node] = value;
        while node > 1 {
            node /= 2;
            self.nodes[node] = self.nodes[2 * node] + self.nodes[2 * node + 1];
        }
    }

    /// The first index up to which the numbers sum to more than `mass`, which is at least 0 and below the total. It is never
    /// one whose number is 0, whatever rounding does.
    pub(crate) fn find(&self, mut mass: f64) -> usize {
        let mut node = 1;
        while node < self.nodes.len() / 2 {
            let (left, right) = (self.nodes[2 * node], self.nodes[2 * node + 1]);
            if mass < left || right == 0.0 {
                node *= 2;
            } else {
                mass -= left;
                node = 2 * node + 1;
            }
        }
        node - self.nodes.len() / 2
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use tidegate_core::{Seed, Stream};

    use super::*;

    /// Against sums written out, with numbers that change and some that are 0.
    #[test]
    fn an_index_is_found_where_the_sums_written_out_have_it() {
        let mut rng = Seed::training(1).rng(Stream::Excitation);
        for n in [1, 2, 5, 64, 77] {
            let (mut tree, mut values) = (SumTree::new(n), vec![0.0; n]);
            for _ in 0..200 {
                let index = rng.random_range(0..n);
                // Quarters, whose sums are exact.
                values[index] = f64::from(rng.random_range(0..8_u32)) / 4.0;
                tree.set(index, values[index]);
                let total: f64 = values.iter().sum();
                assert_eq!((tree.total(), tree.get(index)), (total, values[index]));
                if total > 0.0 {
                    let mass = rng.random::<f64>() * total;
                    let mut sum = 0.0;
                    let slow = values.iter().position(|value| {
                        sum += value;
                        sum > mass
                    });
                    assert_eq!(Some(tree.find(mass)), slow);
                }
            }
        }
    }

    #[test]
    fn a_mass_that_rounding_has_made_too_large_finds_a_number_that_is_not_0() {
        let mut tree = SumTree::new(8);
        tree.set(2, 0.1);
        assert_eq!(tree.find(0.2), 2);
    }
}
