//! Minima over sliding windows.
//!
//! Where a monotone deque has branches that no processor can foresee, this has none: narrow windows by doubling
//! (min over 2w = min of two minima over w), wide ones by the minima from both ends of blocks as long as the window
//! (van Herk 1992; Gil and Werman 1993). Both are exact and O(n), the first with a factor log2 of a small width.

/// Up to this width doubling is faster: its passes work on several numbers at once.
const NARROW: usize = 128;

/// Storage that is kept from one use to the next.
#[derive(Clone, Debug, Default)]
pub struct Windows {
    prefix: Vec<f64>,
    suffix: Vec<f64>,
}

impl Windows {
    /// `out[i]` = min of `values[i − behind ..= i + ahead]`, as far as that lies within `values`.
    ///
    /// # Panics
    /// If `out` is shorter than `values`.
    pub fn minima(&mut self, values: &[f64], behind: usize, ahead: usize, out: &mut [f64]) {
        let n = values.len();
        let out = &mut out[..n];
        if n == 0 {
            return;
        }
        let (behind, ahead) = (behind.min(n - 1), ahead.min(n - 1));
        let width = behind + ahead + 1;
        if behind == n - 1 && ahead == n - 1 {
            out.fill(least(values));
        } else if width <= NARROW && 2 * width <= n {
            self.narrow(values, behind, width, out);
        } else {
            self.wide(values, behind, width.min(n), ahead, out);
        }
    }

    fn narrow(&mut self, values: &[f64], behind: usize, width: usize, out: &mut [f64]) {
        let n = values.len();
        // Infinity on both sides stands for what lies outside.
        let (mut from, mut to) = (&mut self.prefix, &mut self.suffix);
        from.clear();
        from.resize(behind, f64::INFINITY);
        from.extend_from_slice(values);
        from.resize(n + width - 1, f64::INFINITY);
        to.resize(from.len().max(to.len()), 0.0);
        let (mut covered, mut left) = (1, from.len());
        while covered < width {
            let step = covered.min(width - covered);
            left -= step;
            covered += step;
            let pairs = from[..left].iter().zip(&from[step..]);
            let into = if covered == width { &mut *out } else { &mut to[..left] };
            into.iter_mut().zip(pairs).for_each(|(to, (a, b))| *to = less(*a, *b));
            std::mem::swap(&mut from, &mut to);
        }
        if width == 1 {
            out.copy_from_slice(values);
        }
    }

    fn wide(&mut self, values: &[f64], behind: usize, width: usize, ahead: usize, out: &mut [f64]) {
        let n = values.len();
        self.prefix.resize(n.max(self.prefix.len()), 0.0);
        self.suffix.resize(n.max(self.suffix.len()), 0.0);
        let (prefix, suffix) = (&mut self.prefix[..n], &mut self.suffix[..n]);
        let blocks = values.chunks(width).zip(prefix.chunks_mut(width).zip(suffix.chunks_mut(width)));
        for (block, (prefix, suffix)) in blocks {
            let (mut from_left, mut from_right) = (f64::INFINITY, f64::INFINITY);
            let n = block.len();
            let (prefix, suffix) = (&mut prefix[..n], &mut suffix[..n]);
            // Two chains of dependent minima at once; one alone waits for itself.
            for i in 0..n {
                from_left = less(from_left, block[i]);
                prefix[i] = from_left;
                from_right = less(from_right, block[n - 1 - i]);
                suffix[n - 1 - i] = from_right;
            }
        }
        // Windows cut at the left end lie in the first block; those in full span at most two blocks; those cut at
        // the right end start in the last block or the one before.
        let full = (n + 1).saturating_sub(width);
        let cut_left = behind.min(n);
        for (i, out) in out[..cut_left].iter_mut().enumerate() {
            *out = prefix[(i + ahead).min(n - 1)];
        }
        let whole = full.min(n - cut_left);
        let pairs = suffix[..whole].iter().zip(&prefix[n.min(width - 1)..]);
        for (out, (suffix, prefix)) in out[cut_left..cut_left + whole].iter_mut().zip(pairs) {
            *out = less(*suffix, *prefix);
        }
        let last_block = (n - 1) / width * width;
        for (i, out) in out.iter_mut().enumerate().skip(cut_left + whole) {
            let start = i - behind;
            *out = if start >= last_block { suffix[start] } else { less(suffix[start], prefix[n - 1]) };
        }
    }
}

/// The least of all, by eight at a time.
fn least(values: &[f64]) -> f64 {
    let (eights, rest) = values.as_chunks::<8>();
    let mut least = [f64::INFINITY; 8];
    for eight in eights {
        least.iter_mut().zip(eight).for_each(|(least, value)| *least = less(*least, *value));
    }
    least.iter().chain(rest).fold(f64::INFINITY, |least, value| less(least, *value))
}

/// The lesser of two numbers, neither NaN. `f64::min` also looks for NaN.
#[inline]
fn less(a: f64, b: f64) -> f64 {
    if b < a { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_and_length_agrees_with_looking_at_all() {
        let mut windows = Windows::default();
        let values: Vec<f64> = (0..70_u32).map(|i| f64::from(i.wrapping_mul(2_654_435_761) >> 20)).collect();
        for n in 1..=values.len() {
            for (behind, ahead) in
                (0..=n + 1).flat_map(|behind| [0, 1, 3, 15, 16, 40, n].map(|ahead| (behind, ahead)))
            {
                let mut found = vec![0.0; n];
                let mut by_blocks = vec![0.0; n];
                let (at_most_behind, at_most_ahead) = (behind.min(n - 1), ahead.min(n - 1));
                let width = (at_most_behind + at_most_ahead + 1).min(n);
                windows.wide(&values[..n], at_most_behind, width, at_most_ahead, &mut by_blocks);
                windows.minima(&values[..n], behind, ahead, &mut found);
                for (i, found) in found.iter().enumerate() {
                    let window = &values[i.saturating_sub(behind)..(i + ahead + 1).min(n)];
                    let truth = window.iter().copied().fold(f64::INFINITY, f64::min);
                    assert_eq!(*found, truth, "length {n}, {behind} behind, {ahead} ahead, at {i}");
                    assert_eq!(
                        by_blocks[i], truth,
                        "by blocks: length {n}, {behind} behind, {ahead} ahead, at {i}"
                    );
                }
            }
        }
    }
}
