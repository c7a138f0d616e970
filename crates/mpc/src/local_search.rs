//! Plans of several pools made better step by step: a count up or down over an interval of stages, in one pool or from
//! one pool to another.
//!
//! For one pool with linear costs the program is in terms of differences of cumulated starts and stops, so a plan that
//! no set of such steps improves is optimal; for several pools it is a heuristic.

use rand::{Rng, RngExt};
use tidegate_core::Replicas;

use crate::pools::{Life, Pools};

/// A plan with its costs, and storage for trials.
pub(crate) struct Search<'a> {
    problem: &'a Pools,
    plan: Vec<Vec<Replicas>>,
    pool_dollars: Vec<f64>,
    ready: Vec<Vec<Replicas>>,
    dollars: f64,
    trial: Trial,
}

#[derive(Default)]
struct Trial {
    life: Life,
    ready: Vec<Vec<Replicas>>,
    capacity: Vec<f64>,
}

/// One more (or less) replica of a pool from stage `from` to before stage `to`.
#[derive(Clone, Copy)]
struct Change {
    pool: usize,
    from: usize,
    to: usize,
    is_more: bool,
}

impl<'a> Search<'a> {
    /// From a plan; `None` where it breaks a limit.
    pub(crate) fn new(problem: &'a Pools, plan: Vec<Vec<Replicas>>) -> Option<Self> {
        let dollars = problem.dollars(&plan).ok()?;
        let mut life = Life::default();
        let mut ready = vec![vec![0; problem.n_stages()]; plan.len()];
        let pools = problem.pools.iter().zip(&plan).zip(&mut ready);
        let pool_dollars = pools
            .map(|((pool, wanted), ready)| pool.trace(wanted, &mut life, ready))
            .collect::<Option<_>>()?;
        let trial = Trial { life, ready: ready.clone(), capacity: vec![0.0; problem.n_stages()] };
        Some(Self { problem, plan, pool_dollars, ready, dollars, trial })
    }

    pub(crate) fn dollars(&self) -> f64 {
        self.dollars
    }

    pub(crate) fn plan(&self) -> &[Vec<Replicas>] {
        &self.plan
    }

    /// Takes steps down until a whole round finds none.
    pub(crate) fn descend(&mut self) {
        let (n_stages, n_pools) = (self.problem.n_stages(), self.problem.pools.len());
        let delay = |pool: usize| self.problem.pools[pool].delay_ticks as usize;
        let delays: Vec<usize> = (0..n_pools).map(delay).collect();
        loop {
            let before = self.dollars;
            for from in 0..n_stages {
                for to in from + 1..=n_stages {
                    for pool in 0..n_pools {
                        for is_more in [false, true] {
                            self.attempt(&[Change { pool, from, to, is_more }]);
                        }
                        for other in (0..n_pools).filter(|other| *other != pool) {
                            // Both serve from the same stage on.
                            let start = (from + delays[pool]).saturating_sub(delays[other]);
                            let less = Change { pool, from, to, is_more: false };
                            let more = Change { pool: other, from: start, to, is_more: true };
                            if start < to {
                                self.attempt(&[less, more]);
                            }
                        }
                    }
                }
            }
            // What is gained below this is rounding.
            if self.dollars >= before - 1e-9 * (1.0 + before.abs()) {
                break;
            }
        }
    }

    /// A plan near to this one, as far as limits allow, to descend from elsewhere.
    pub(crate) fn kicked(&self, rng: &mut impl Rng) -> Vec<Vec<Replicas>> {
        let n_stages = self.problem.n_stages();
        let mut plan = self.plan.clone();
        for _ in 0..3 {
            let pool = rng.random_range(0..plan.len());
            let (a, b) = (rng.random_range(0..n_stages), rng.random_range(0..n_stages));
            let (from, to) = (a.min(b), a.max(b) + 1);
            let is_more = rng.random_bool(0.5);
            let target: Vec<Replicas> = plan[pool]
                .iter()
                .enumerate()
                .map(|(stage, count)| match (from..to).contains(&stage) {
                    false => *count,
                    true if is_more => count + 1,
                    true => count.saturating_sub(1),
                })
                .collect();
            self.problem.pools[pool].follow(|stage| target[stage], &mut plan[pool]);
        }
        plan
    }

    /// Makes the changes if all limits hold after them and the plan is cheaper.
    fn attempt(&mut self, changes: &[Change]) {
        if !self.apply(changes, false) {
            return;
        }
        let better = self.tried(changes);
        if let Some((dollars, pool_dollars)) = better.filter(|it| it.0 < self.dollars - 1e-9) {
            self.dollars = dollars;
            for (change, dollars) in changes.iter().zip(pool_dollars) {
                self.pool_dollars[change.pool] = dollars;
                std::mem::swap(&mut self.ready[change.pool], &mut self.trial.ready[change.pool]);
            }
        } else {
            self.apply(changes, true);
        }
    }

    /// Whether counts stay within bounds; if not, nothing is changed.
    fn apply(&mut self, changes: &[Change], is_undone: bool) -> bool {
        let fits = |change: &Change| {
            let bounds = self.problem.pools[change.pool].bounds;
            let mut counts = self.plan[change.pool][change.from..change.to].iter();
            if change.is_more {
                counts.all(|it| *it < bounds.high)
            } else {
                counts.all(|it| *it > bounds.low)
            }
        };
        if !is_undone && !changes.iter().all(fits) {
            return false;
        }
        for change in changes {
            for count in &mut self.plan[change.pool][change.from..change.to] {
                *count = if change.is_more == is_undone { *count - 1 } else { *count + 1 };
            }
        }
        true
    }

    /// The cost of the changed plan, in all and of the changed pools.
    fn tried(&mut self, changes: &[Change]) -> Option<(f64, [f64; 2])> {
        let Trial { life, ready, capacity } = &mut self.trial;
        let mut changed = [0.0; 2];
        for (change, dollars) in changes.iter().zip(&mut changed) {
            let pool = &self.problem.pools[change.pool];
            *dollars = pool.trace(&self.plan[change.pool], life, &mut ready[change.pool])?;
        }
        let mut sum = 0.0;
        capacity.fill(0.0);
        for (index, pool) in self.problem.pools.iter().enumerate() {
            let place = changes.iter().position(|change| change.pool == index);
            sum += place.map_or(self.pool_dollars[index], |place| changed[place]);
            let ready = if place.is_some() { &ready[index] } else { &self.ready[index] };
            capacity.iter_mut().zip(ready).for_each(|(all, it)| *all += pool.capacity * f64::from(*it));
        }
        Some((sum + self.problem.penalty(capacity)?, changed))
    }
}
