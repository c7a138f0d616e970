//! The cheapest life of one replica of a pool under prices on what it does at each stage: a dynamic programme whose
//! state is off, starting or bound by its minimum up time with its age, or free with the stage of its next payment.
//!
//! Replicas of a pool are exchangeable and, once what joins them is priced, independent: so the cheapest plan of the
//! whole pool is the cheapest life for each, one for those that run at the start and one for those that do not.

use crate::pools::Pool;

/// What a stage charges a replica, on top of the pool's own price and switching cost; rewards are negative.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Charge {
    pub running: f64,
    pub ready: f64,
    pub start: f64,
    pub stop: f64,
}

/// The solver of one pool; storage is kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReplicaProgram {
    /// Cost from stage t on, from each state at the end of stage t − 1.
    to_go: Vec<f64>,
}

/// States: 0 off; 1 … bound − 1 the stages it has run; then free, by the stage of its next payment modulo the quantum.
#[derive(Clone, Copy)]
struct States {
    bound: usize,
    quantum: usize,
}

impl States {
    fn n(self) -> usize {
        self.bound + self.quantum
    }

    fn free(self, due: usize) -> usize {
        self.bound + due % self.quantum
    }

    /// The state after stage `stage`, in which it runs for the `age`-th time (from 1).
    fn aged(self, age: usize, stage: usize) -> usize {
        if age < self.bound { age } else { self.free(stage + 1 - age) }
    }
}

/// What the replicas of a pool do at each stage in the cheapest plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doing {
    pub running: Vec<f64>,
    pub ready: Vec<f64>,
    pub ups: Vec<f64>,
    pub downs: Vec<f64>,
}

impl Doing {
    pub(crate) fn clear(&mut self, n_stages: usize) {
        for list in [&mut self.running, &mut self.ready, &mut self.ups, &mut self.downs] {
            list.clear();
            list.resize(n_stages, 0.0);
        }
    }
}

impl ReplicaProgram {
    /// The least cost of all replicas of a pool under the charges; adds what they do to `doing`.
    pub(crate) fn solve(&mut self, pool: &Pool, charges: &[Charge], doing: &mut Doing) -> f64 {
        let states = States { bound: pool.bound_ticks(), quantum: pool.quantum_ticks as usize };
        let n_stages = charges.len();
        self.to_go.clear();
        self.to_go.resize(states.n() * (n_stages + 1), pool.terminal_dollars_per_replica);
        self.to_go[states.n() * n_stages] = 0.0;
        for stage in (0..n_stages).rev() {
            let (head, next) = self.to_go.split_at_mut(states.n() * (stage + 1));
            let row = &mut head[states.n() * stage..];
            let step = Step { pool, states, stage, charge: charges[stage], next: &next[..states.n()] };
            row[0] = lesser(step.stay_off(), step.start());
            for (age, to_go) in row.iter_mut().enumerate().take(states.bound).skip(1) {
                *to_go = step.run_bound(age);
            }
            for due in 0..states.quantum {
                row[states.free(due)] = lesser(step.run_free(due), step.stop());
            }
        }
        let n_initial = f64::from(pool.initial);
        let n_off = f64::from(pool.most() - pool.initial);
        let mut dollars = 0.0;
        for (state, n) in [(states.free(0), n_initial), (0, n_off)] {
            if n > 0.0 {
                dollars += n * self.to_go[state];
                self.follow(pool, states, charges, state, n, doing);
            }
        }
        dollars
    }

    /// Adds the cheapest life from `state`, `n` times. Ties stay off, and stop.
    fn follow(
        &self,
        pool: &Pool,
        states: States,
        charges: &[Charge],
        mut state: usize,
        n: f64,
        doing: &mut Doing,
    ) {
        for (stage, charge) in charges.iter().enumerate() {
            let next = &self.to_go[states.n() * (stage + 1)..][..states.n()];
            let step = Step { pool, states, stage, charge: *charge, next };
            let delay = pool.delay_ticks as usize;
            let mut is_ready = false;
            if state == 0 {
                if step.start() < step.stay_off() {
                    doing.ups[stage] += n;
                    doing.running[stage] += n;
                    is_ready = delay == 0;
                    state = states.aged(1, stage);
                }
            } else if state < states.bound {
                doing.running[stage] += n;
                is_ready = state >= delay;
                state = states.aged(state + 1, stage);
            } else if step.run_free(state - states.bound) < step.stop() {
                doing.running[stage] += n;
                is_ready = true;
            } else {
                doing.downs[stage] += n;
                state = 0;
            }
            if is_ready {
                doing.ready[stage] += n;
            }
        }
    }
}

/// The costs of what a replica can do at one stage, with what follows.
struct Step<'a> {
    pool: &'a Pool,
    states: States,
    stage: usize,
    charge: Charge,
    next: &'a [f64],
}

impl Step<'_> {
    fn stay_off(&self) -> f64 {
        self.next[0]
    }

    fn stop(&self) -> f64 {
        self.charge.stop + self.pool.switching.down_dollars + self.next[0]
    }

    fn start(&self) -> f64 {
        let start = self.charge.start + self.pool.switching.up_dollars;
        start + self.run(true, self.pool.delay_ticks == 0) + self.next[self.states.aged(1, self.stage)]
    }

    /// Has run for `age` stages, fewer than it is bound for.
    fn run_bound(&self, age: usize) -> f64 {
        let is_paid = age.is_multiple_of(self.states.quantum);
        self.run(is_paid, age >= self.pool.delay_ticks as usize)
            + self.next[self.states.aged(age + 1, self.stage)]
    }

    fn run_free(&self, due: usize) -> f64 {
        self.run(self.stage % self.states.quantum == due, true) + self.next[self.states.free(due)]
    }

    fn run(&self, is_paid: bool, is_ready: bool) -> f64 {
        let quantum = f64::from(self.pool.quantum_ticks);
        let bill = if is_paid { self.pool.dollars_per_replica[self.stage] * quantum } else { 0.0 };
        bill + self.charge.running + if is_ready { self.charge.ready } else { 0.0 }
    }
}

fn lesser(a: f64, b: f64) -> f64 {
    if b < a { b } else { a }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use tidegate_core::Replicas;

    use super::*;
    use crate::testing::{each_plan, pool, rng};

    /// Costs are sums of a few quarters.
    const TOLERANCE: f64 = 1e-9;

    /// Truth: all plans of the pool, without ramp limits, each charged by the definition of the bill.
    #[test]
    fn the_cheapest_lives_are_the_cheapest_plan() {
        for seed in 0..400 {
            let mut rng = rng(seed + 4_000_000);
            let mut pool = pool(5, 2, &mut rng);
            (pool.ramp_up, pool.ramp_down, pool.bounds.low) = (Replicas::MAX, Replicas::MAX, 0);
            pool.initial = pool.initial.min(pool.bounds.high);
            let charges: Vec<Charge> = (0..5)
                .map(|_| Charge {
                    running: f64::from(rng.random_range(0..3_i32)) / 4.0,
                    ready: -f64::from(rng.random_range(0..20_i32)) / 4.0,
                    start: f64::from(rng.random_range(0..3_i32)) / 4.0,
                    stop: f64::from(rng.random_range(0..3_i32)) / 4.0,
                })
                .collect();
            let charged = |running: &[f64], ready: &[f64], ups: &[f64], downs: &[f64]| {
                (0..5).fold(0.0, |sum, t| {
                    let charge = charges[t];
                    sum + charge.running * running[t]
                        + charge.ready * ready[t]
                        + charge.start * ups[t]
                        + charge.stop * downs[t]
                })
            };
            let mut truth = f64::INFINITY;
            each_plan(&pool, 5, |wanted, dollars, ready| {
                let of = |count: &Replicas| f64::from(*count);
                let running: Vec<f64> = wanted.iter().map(of).collect();
                let ready: Vec<f64> = ready.iter().map(of).collect();
                let before = std::iter::once(of(&pool.initial)).chain(running.iter().copied());
                let changes: Vec<f64> = before.zip(&running).map(|(before, now)| now - before).collect();
                let ups: Vec<f64> = changes.iter().map(|change| change.max(0.0)).collect();
                let downs: Vec<f64> = changes.iter().map(|change| (-change).max(0.0)).collect();
                truth = truth.min(dollars + charged(&running, &ready, &ups, &downs));
            });
            let mut doing = Doing::default();
            doing.clear(5);
            let found = ReplicaProgram::default().solve(&pool, &charges, &mut doing);
            assert!((found - truth).abs() < TOLERANCE, "seed {seed}: {found} is not {truth}");
            let wanted: Vec<Replicas> = doing.running.iter().map(|count| *count as Replicas).collect();
            let mut ready = vec![0; 5];
            let own =
                pool.trace(&wanted, &mut crate::pools::Life::default(), &mut ready).expect("it keeps limits");
            let again = own + charged(&doing.running, &doing.ready, &doing.ups, &doing.downs);
            assert!((again - found).abs() < TOLERANCE, "seed {seed}: its lives cost {again}, not {found}");
        }
    }
}
