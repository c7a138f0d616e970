//! Ends of service in order of time: a four-ary heap, which touches fewer cache lines than a binary one, with a
//! replacement of the first entry, because most ends of service start the next one.

/// One end of service.
#[derive(Clone, Copy, Debug)]
pub struct Completion {
    pub at: f64,
    pub job: u32,
    pub generation: u32,
}

/// All that are due. The heap is filled up with ends that never come, so that every parent has four children or none.
#[derive(Clone, Debug)]
pub struct Completions {
    heap: Vec<Completion>,
    n: usize,
}

const NEVER: Completion = Completion { at: f64::INFINITY, job: u32::MAX, generation: 0 };

impl Completions {
    pub fn new() -> Self {
        Self { heap: vec![NEVER], n: 0 }
    }

    /// When the next service ends; infinite if none does.
    #[inline]
    pub fn next_seconds(&self) -> f64 {
        self.heap[0].at
    }

    /// The next one.
    #[inline]
    pub fn first(&self) -> Completion {
        self.heap[0]
    }

    #[inline]
    pub fn push(&mut self, completion: Completion) {
        if self.n == self.heap.len() {
            self.heap.extend([NEVER; 4]);
        }
        let mut child = self.n;
        self.n += 1;
        while child > 0 {
            let parent = (child - 1) / 4;
            if self.heap[parent].at <= completion.at {
                break;
            }
            self.heap[child] = self.heap[parent];
            child = parent;
        }
        self.heap[child] = completion;
    }

    #[inline]
    pub fn pop(&mut self) {
        assert!(self.n > 0, "there is one to pop");
        self.n -= 1;
        let last = std::mem::replace(&mut self.heap[self.n], NEVER);
        if self.n > 0 {
            self.replace_first(last);
        }
    }

    /// Drops the first and puts another in.
    #[inline]
    pub fn replace_first(&mut self, completion: Completion) {
        let mut parent = 0;
        // Four children compared as a tree and without branches, which nobody could predict.
        while let Some(children) = self.heap.get(4 * parent + 1..4 * parent + 5) {
            let [a, b, c, d] = [children[0].at, children[1].at, children[2].at, children[3].at];
            let (left, left_at) = (usize::from(b < a), if b < a { b } else { a });
            let (right, right_at) = (2 + usize::from(d < c), if d < c { d } else { c });
            let least = if right_at < left_at { right } else { left };
            let least_at = if right_at < left_at { right_at } else { left_at };
            if completion.at <= least_at {
                break;
            }
            self.heap[parent] = children[least];
            parent = 4 * parent + 1 + least;
        }
        self.heap[parent] = completion;
    }

    pub fn clear(&mut self) {
        self.heap.truncate(1);
        self.heap[0] = NEVER;
        self.n = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn comes_out_sorted(times in prop::collection::vec(0.0..1e3_f64, 1..200), replaced in 0..50_usize) {
            let mut heap = Completions::new();
            let mut expected = times.clone();
            for (job, at) in times.iter().enumerate() {
                heap.push(Completion { at: *at, job: job as u32, generation: 0 });
            }
            for step in 0..replaced {
                let at = heap.next_seconds() + step as f64;
                let first = expected.iter().copied().fold(f64::INFINITY, f64::min);
                let position = expected.iter().position(|x| *x == first).expect("it is there");
                expected[position] = at;
                heap.replace_first(Completion { at, job: 0, generation: 0 });
            }
            expected.sort_by(f64::total_cmp);
            for at in expected {
                prop_assert_eq!(heap.next_seconds(), at);
                heap.pop();
            }
            prop_assert_eq!(heap.next_seconds(), f64::INFINITY);
        }
    }
}
