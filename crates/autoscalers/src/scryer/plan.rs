//! The action plan: fewest scale-ups, each of a whole batch, as late as the start-up allows.
//!
//! A plan says how many replicas are wanted in each step; a step in which that is more than in the step before is a
//! scale-up. Until one is ready a start-up passes, so what is wanted in step s must be enough for all that comes before
//! a replica that is asked for in the next step could serve:
//!
//! m(s) = max of n(t) over t = s … s + L
//!
//! A scale-up adds B replicas at most, so a steeper rise begins earlier:
//!
//! e(s) = max(m(s), e(s+1) − B)
//!
//! Only what is late already is asked for at once, however much it is: the first scale-up may go to e(0).
//!
//! **The greedy plan.** If w(s−1) < e(s), scale up to min(w(s−1) + B, M(s)); else w(s) = min(w(s−1), M(s)).
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | n(t) | replicas needed in step t | 1 |
//! | L | steps of a start-up, rounded up | 1 |
//! | B | the batch | replicas |
//! | w(s), w(−1) | wanted in step s, declared before the plan | replicas |
//! | M(s) | max of e(t) over t ≥ s | replicas |
//!
//! **No plan has fewer scale-ups**, in all and up to any step. It is feasible: e(s) ≤ e(s−1) + B ≤ w(s−1) + B, and e(s) ≤ M(s).
//! Let its (k+1)-th scale-up be in step s, so w(s−1) < e(s). It was never cut to an M(r), r < s: M(r) ≥ e(s), and what
//! had gone below that later went by a cut to a later M(r′) ≥ e(s). So each of its k scale-ups was a full batch, and
//! w(s−1) = w(−1) + k B (or e(0) + (k−1) B, if the first one was late and larger). With k scale-ups no plan has more
//! than that in step s, whatever it gives back meanwhile, and so none gets there with k. ∎
//!
//! So up to step s there are as many as max over t ≤ s of ⌈(e(t) − w(−1))⁺ / B⌉, if nothing was late. The tests compare with all
//! plans of small problems. Among the plans with that many scale-ups this is not the one with the fewest replica-steps:
//! it prefers full batches, as the sources do, because a batch cut to what this horizon needs leads to a further
//! scale-up beyond it. Over a valley it keeps what a later peak of the same horizon needs: the horizon says how long
//! idle replicas may be kept to save a scale-up.

use tidegate_core::Replicas;

/// A plan, and room for the next one.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// e of the module, and M.
    needed: Vec<(Replicas, Replicas)>,
    wanted: Vec<Replicas>,
    present: Replicas,
}

/// A scale-up of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScaleUp {
    /// In which step.
    pub step: usize,
    /// Wanted in the step before.
    pub from: Replicas,
    /// Wanted from then on.
    pub to: Replicas,
}

impl Plan {
    /// Room for plans of so many steps.
    pub fn with_capacity(n_steps: usize) -> Self {
        Self { needed: Vec::with_capacity(n_steps), wanted: Vec::with_capacity(n_steps), present: 0 }
    }

    /// Makes the plan: `needs` are the replicas that each step needs, of which the last `lead_steps` are beyond the
    /// plan's end; `present` are declared before it.
    ///
    /// # Panics
    /// If the batch is 0 or there are no more needs than lead steps.
    pub fn make(&mut self, needs: &[Replicas], lead_steps: usize, batch: Replicas, present: Replicas) {
        assert!(batch > 0 && needs.len() > lead_steps, "a plan has a step, and a scale-up a replica");
        let n_steps = needs.len() - lead_steps;
        self.present = present;
        self.needed.clear();
        self.needed.resize(n_steps, (0, 0));
        let (mut next, mut peak) = (0_u32, 0);
        for step in (0..n_steps).rev() {
            let until_ready = needs[step..=step + lead_steps].iter().copied().max().unwrap_or(0);
            next = until_ready.max(next.saturating_sub(batch));
            peak = next.max(peak);
            self.needed[step] = (next, peak);
        }
        let mut wanted = present;
        self.wanted.clear();
        for (step, (needed, peak)) in self.needed.iter().enumerate() {
            if wanted < *needed {
                let late = if step == 0 { *needed } else { 0 };
                wanted = wanted.saturating_add(batch).max(late);
            }
            wanted = wanted.min(*peak);
            self.wanted.push(wanted);
        }
    }

    /// Forgets the plan.
    pub fn clear(&mut self) {
        self.needed.clear();
        self.wanted.clear();
    }

    /// Wanted in each step; empty as long as there is no plan.
    pub fn wanted(&self) -> &[Replicas] {
        &self.wanted
    }

    /// Its scale-ups, in order of time.
    pub fn scale_ups(&self) -> impl Iterator<Item = ScaleUp> {
        let before = std::iter::once(self.present).chain(self.wanted.iter().copied());
        let steps = before.zip(self.wanted.iter().copied()).enumerate();
        steps.filter(|(_, (from, to))| to > from).map(|(step, (from, to))| ScaleUp { step, from, to })
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    fn made(needs: &[Replicas], lead_steps: usize, batch: Replicas, present: Replicas) -> Plan {
        let mut plan = Plan::default();
        plan.make(needs, lead_steps, batch, present);
        plan
    }

    fn check(needs: &[Replicas], lead_steps: usize, batch: Replicas, present: Replicas, expected: &Expect) {
        let plan = made(needs, lead_steps, batch, present);
        let wanted: Vec<String> = plan.wanted().iter().map(ToString::to_string).collect();
        expected.assert_eq(&format!("{} by {}", wanted.join(" "), plan.scale_ups().count()));
    }

    #[test]
    fn known_needs_have_known_plans() {
        // A ramp in batches of 3; the last one is what the rest needs.
        check(&[2, 3, 4, 5, 6, 7, 8, 9], 0, 3, 2, &expect!["2 5 5 5 8 8 8 9 by 3"]);
        // Two steps earlier, with a start-up of two steps.
        check(&[2, 3, 4, 5, 6, 7, 8, 9], 2, 3, 2, &expect!["5 5 8 8 8 9 by 3"]);
        // A jump of three batches begins two steps before it.
        check(&[2, 2, 2, 2, 10], 0, 3, 2, &expect!["2 2 5 8 10 by 3"]);
        // What is late already is asked for at once.
        check(&[9, 9, 11, 2], 0, 3, 2, &expect!["9 9 11 2 by 2"]);
        // Kept over a valley, and given up behind the last peak.
        check(&[4, 8, 2, 2, 7, 3, 1], 0, 4, 4, &expect!["4 8 7 7 7 3 1 by 1"]);
        // More is there than will be needed.
        check(&[4, 3], 0, 4, 9, &expect!["4 3 by 0"]);
        check(&[0, 0], 1, 1, 0, &expect!["0 by 0"]);
    }

    /// The fewest scale-ups up to each step among all plans that are allowed, by trying them all.
    fn brute_force(needs: &[Replicas], lead_steps: usize, batch: Replicas, present: Replicas) -> Vec<u32> {
        struct Search<'a> {
            needs: &'a [Replicas],
            lead_steps: usize,
            batch: Replicas,
            first_max: Replicas,
            fewest: Vec<u32>,
            counts: Vec<u32>,
        }
        impl Search<'_> {
            /// Whether the plan can be carried on to its end; notes the counts of those that can.
            fn go(&mut self, step: usize, before: Replicas, n_scale_ups: u32) -> bool {
                if step == self.fewest.len() {
                    for (fewest, count) in self.fewest.iter_mut().zip(&self.counts) {
                        *fewest = (*fewest).min(*count);
                    }
                    return true;
                }
                let least = *self.needs[step..=step + self.lead_steps].iter().max().expect("there is a step");
                let batch_max = before + self.batch;
                let most = if step == 0 { batch_max.max(self.first_max) } else { batch_max };
                let mut can = false;
                for wanted in least..=most.min(12) {
                    self.counts[step] = n_scale_ups + u32::from(wanted > before);
                    can |= self.go(step + 1, wanted, self.counts[step]);
                }
                can
            }
        }
        let n_steps = needs.len() - lead_steps;
        // The least first scale-up with which a plan exists at all.
        for first_max in 0.. {
            let fewest = vec![u32::MAX; n_steps];
            let mut search = Search { needs, lead_steps, batch, first_max, fewest, counts: vec![0; n_steps] };
            if search.go(0, present, 0) {
                return search.fewest;
            }
        }
        unreachable!("a first scale-up that is large enough is always allowed")
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_plan_has_fewer_scale_ups(
            needs in prop::collection::vec(0_u32..7, 3..8),
            lead_steps in 0_usize..3,
            batch in 1_u32..4,
            present in 0_u32..7,
        ) {
            let plan = made(&needs, lead_steps, batch, present);
            let fewest = brute_force(&needs, lead_steps, batch, present);
            for (step, fewest) in fewest.iter().enumerate() {
                let count = plan.scale_ups().filter(|up| up.step <= step).count() as u32;
                prop_assert_eq!(count, *fewest, "up to step {}: {:?}", step, plan.wanted());
            }
        }

        /// Enough for every step, and no more at a time than a batch, but for what is late; with the closed form.
        #[test]
        fn what_is_needed_is_wanted_a_start_up_before(
            needs in prop::collection::vec(0_u32..500, 11..80),
            lead_steps in 0_usize..10,
            batch in 1_u32..60,
            present in 0_u32..500,
        ) {
            let plan = made(&needs, lead_steps, batch, present);
            for (step, wanted) in plan.wanted().iter().enumerate() {
                for needed in &needs[step..=step + lead_steps] {
                    prop_assert!(wanted >= needed);
                }
            }
            let peak = *needs.iter().max().expect("there are some");
            prop_assert!(plan.wanted().iter().all(|wanted| *wanted <= peak));
            let late = plan.needed[0].0.saturating_sub(present);
            for up in plan.scale_ups() {
                let most = if up.step == 0 { batch.max(late) } else { batch };
                prop_assert!(up.to - up.from <= most);
            }
            if late <= batch {
                let count = plan.scale_ups().count() as u32;
                prop_assert_eq!(count, peak.saturating_sub(present).div_ceil(batch));
            }
        }
    }
}
