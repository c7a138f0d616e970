//! Ends of service in order of time: a four-ary heap, which touches fewer cache lines than a binary one, with a
//! replacement of the first entry, because most ends of service start the next one.

/// One end of service.
#[derive(Clone, Copy, Debug)]
pub struct Completion {
    pub at: f64,
    pub job: u32,
    pub generation: u32,
}

/// All that are due.
#[derive(Clone, Debug, Default)]
pub struct Completions {
    heap: Vec<Completion>,
}

impl Completions {
    /// When the next service ends; infinite if none does.
    #[inline]
    pub fn next_seconds(&self) -> f64 {
        self.heap.first().map_or(f64::INFINITY, |first| first.at)
    }

    /// The next one.
    #[inline]
    pub fn first(&self) -> Completion {
        self.heap[0]
    }

    #[inline]
    pub fn push(&mut self, completion: Completion) {
        self.heap.push(completion);
        let mut child = self.heap.len() - 1;
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
        let last = self.heap.pop().expect("there is one to pop");
        if !self.heap.is_empty() {
            self.replace_first(last);
        }
    }

    /// Drops the first and puts another in.
    #[inline]
    pub fn replace_first(&mut self, completion: Completion) {
        let heap = self.heap.as_mut_slice();
        let mut parent = 0;
        loop {
            let child = 4 * parent + 1;
            // Four children compared as a tree and without branches, which nobody could predict; the last parent may
            // have fewer.
            let least = if let Some([a, b, c, d]) = heap.get(child..child + 4) {
                let (left, right) = (usize::from(b.at < a.at), 2 + usize::from(d.at < c.at));
                let left_at = if b.at < a.at { b.at } else { a.at };
                let right_at = if d.at < c.at { d.at } else { c.at };
                child + if right_at < left_at { right } else { left }
            } else {
                let rest = heap.get(child..).unwrap_or_default();
                let least = rest.iter().enumerate().reduce(|a, b| if b.1.at < a.1.at { b } else { a });
                let Some((offset, _)) = least else { break };
                child + offset
            };
            if completion.at <= heap[least].at {
                break;
            }
            heap[parent] = heap[least];
            parent = least;
        }
        heap[parent] = completion;
    }

    pub fn clear(&mut self) {
        self.heap.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn comes_out_sorted(times in prop::collection::vec(0.0..1e3_f64, 1..200), replaced in 0..50_usize) {
            let mut heap = Completions::default();
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
