//! Dynamic programming for [`OnePool`]: exact, for any table of costs, in O(T · N) window minima.
//!
//! With `W_t(m)` the least cost of stages t to T − 1 when `n_{t−1} = m`, and `V_t(n) = price_t · n + φ_t(n) +
//! W_{t+1}(n)`,
//!
//! ```text
//! W_t(m) = min( min_{m ≤ n ≤ m + ramp_up}   [ V_t(n) − L_t(n) + k⁺ n ] + L_t(m) − k⁺ m,
//!               min_{m − ramp_down ≤ n ≤ m} [ V_t(n) − k⁻ n ]          + k⁻ m )
//! ```
//!
//! Both inner minima are over windows that slide with m, so a stage costs a constant number of operations a count
//! (Bellman 1957 for the recursion; the windows: [`windows`](crate::windows)). Without switching cost and delay the
//! two are one window over `V_t`.
//!
//! # The delay
//! `L_t(n) = φ_t(n) + … + φ_{t+d−1}(n)`, cut at the horizon, is what a rise costs beside its price: an order from m
//! to n leaves the service at m for d stages, so it is charged `L_t(m) − L_t(n)` on top of `φ_t(n) + …`, which count
//! n as ready at once. The state is one number, what was ordered. (Stages below d use `φ_t(min(h_t, ·))`.) Call the
//! sum with this charge the *ramp cost* of a plan. For φ that do not rise:
//!
//! 1. *The ramp cost is never below the true cost.* Let `r_t = n_s`, s the place of the minimum within
//!    t − d … t. Then `φ_t(n_s) − φ_t(n_t)` is the sum of `φ_t(n_{i−1}) − φ_t(n_i)` over i in s + 1 … t. Rises add a
//!    term ≥ 0, falls one ≤ 0; the ramp cost has all rises of the last d stages and no falls.
//! 2. *It is equal where no fall follows a rise within d − 1 stages*: then each window of changes has rises only, and
//!    the sum is the whole of it, or falls only, and both are 0. So it is always equal for d ≤ 1.
//! 3. *Some optimal plan never calls back an order that is still starting* where prices and switching costs are not
//!    negative and no bound `min_t` is above both an earlier and a later one: take the order out of the plan from its
//!    stage to its recall. What is ready stays, the price is saved, each ramp becomes smaller by one, and every
//!    count in between stays at or above the larger of the counts around. By 2 that plan's ramp cost is its cost.
//!
//! So for d ≤ 1, and for any d where `initial, min_0, min_1, …` has no peak (no entry is above both an earlier and a
//! later one: a constant bound has none), the answer is optimal. Otherwise it is [`Outcome::Feasible`], bounded by the
//! same program with a delay of one stage, which is ready no later; and optimal where the two meet.
//!
//! # Ties
//! Among moves of equal computed cost: the smallest change, and of two equal changes the one to fewer replicas. The
//! same program gives the same bits.

use tidegate_core::{
    Replicas,
    solver::{Constraint, Outcome, Plan, Solver},
};

use crate::windows::Windows;
use crate::{Band, OnePool, ProgramError, Switching};

/// The solver; it keeps its storage, so a program of the same size is solved again without allocation.
#[derive(Clone, Debug, Default)]
pub struct DynamicProgramming {
    bands: Vec<Band>,
    to_go: ToGo,
    windows: Windows,
    /// The counts of all bands as numbers; to convert them cell by cell costs as much as a window.
    counts: Vec<f64>,
    /// Over the hull of a stage's decisions and the states before it: `V_t` (infinite where it cannot be decided),
    /// `L_t`, what the window looks at, and what it finds.
    value: Vec<f64>,
    late: Vec<f64>,
    shifted: Vec<f64>,
    minima: Vec<f64>,
}

/// `W_t` for every stage, each over the states before it.
#[derive(Clone, Debug, Default)]
struct ToGo {
    rows: Vec<(Band, usize)>,
    /// Storage, of which the first `n` are in use: it is not cleared from one program to the next.
    dollars: Vec<f64>,
    n: usize,
}

/// The explicit control law at one stage: the first move from every state.
#[derive(Clone, Debug, PartialEq)]
pub struct Law {
    /// The replicas ordered before the stage, from `low` on.
    pub states: Band,
    /// What to order from each state; `None` where no plan meets the limits.
    pub wanted: Vec<Option<Replicas>>,
    /// `W_t`, the cost of the rest of the horizon from each state; infinite where there is no plan. With a delay, the
    /// ramp cost.
    pub dollars: Vec<f64>,
}

/// How good a plan is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Proof {
    /// None is cheaper.
    Optimal,
    /// None is cheaper than this.
    Bound(f64),
}

impl Solver for DynamicProgramming {
    type Problem = OnePool;

    /// A program that is wrong as written is infeasible by that mistake; see [`OnePool::validate`].
    fn solve(&mut self, problem: &OnePool) -> Outcome {
        let mut wanted = Vec::new();
        match self.plan(problem, &mut wanted) {
            Err(error) => Outcome::Infeasible(Constraint::from(error)),
            Ok((dollars, proof)) => {
                let plan = Plan { wanted: vec![wanted], dollars };
                match proof {
                    Proof::Optimal => Outcome::Optimal(plan),
                    Proof::Bound(bound_dollars) => Outcome::Feasible { plan, bound_dollars },
                }
            }
        }
    }
}

impl DynamicProgramming {
    /// The plan into storage of the caller, its cost, and how good it is. Allocates only to grow.
    ///
    /// # Errors
    /// As [`OnePool::validate`].
    pub fn plan(
        &mut self,
        problem: &OnePool,
        wanted: &mut Vec<Replicas>,
    ) -> Result<(f64, Proof), ProgramError> {
        let initial = problem.limits.initial;
        let start = Band::new(initial, initial);
        problem.check(0, start, &mut self.bands)?;
        let delay = problem.limits.delay_ticks;
        self.sweep(problem, delay, 0, start);
        wanted.clear();
        let mut state = initial;
        for stage in 0..problem.n_stages() {
            state = self.first_move(problem, stage, state).expect("the bands are checked, so a plan exists");
            wanted.push(state);
        }
        let dollars = problem.dollars(wanted).expect("the recursion keeps every limit");
        let lows = problem.limits.bounds.iter().map(|band| band.low);
        if delay <= 1 || !has_peak(std::iter::once(initial).chain(lows)) {
            return Ok((dollars, Proof::Optimal));
        }
        self.sweep(problem, 1, 0, start);
        let bound = self.to_go.row(0)[0];
        // Two sums of the same terms in different order.
        let meets = dollars - bound <= 1e-12 * (1.0 + dollars.abs());
        Ok((dollars, if meets { Proof::Optimal } else { Proof::Bound(bound.min(dollars)) }))
    }

    /// The first move at `stage` from each of `states`, taken as ready but for [`starting`]. The stage costs have to
    /// cover what can be reached from them.
    ///
    /// [`starting`]: crate::Limits::starting
    ///
    /// # Errors
    /// As [`OnePool::validate`].
    pub fn law(&mut self, problem: &OnePool, stage: usize, states: Band) -> Result<Law, ProgramError> {
        if stage >= problem.n_stages() {
            let range = "a stage of the program";
            return Err(ProgramError::Range { field: "stage", range, value: stage as f64 });
        }
        if states.low > states.high {
            let Band { low, high } = states;
            return Err(ProgramError::Impossible(format!(
                "a state of at least {low} and at most {high} replicas"
            )));
        }
        problem.check(stage, states, &mut self.bands)?;
        self.sweep(problem, problem.limits.delay_ticks, stage, states);
        let wanted = (states.low..=states.high).map(|state| self.first_move(problem, stage, state)).collect();
        Ok(Law { states, wanted, dollars: self.to_go.row(stage).to_vec() })
    }

    /// Fills `W_t` for t from T down to `first`, which starts from `states`.
    fn sweep(&mut self, problem: &OnePool, delay: u32, first: usize, states: Band) {
        let n_stages = problem.n_stages();
        let (up, down) = (problem.limits.ramp_up as usize, problem.limits.ramp_down as usize);
        let Switching { up_dollars, down_dollars } = problem.switching;
        let is_one_window = delay == 0 && up_dollars == 0.0 && down_dollars == 0.0;
        let all = self.bands[first..].iter().fold(states, |all, band| all.hull(*band));
        self.counts.clear();
        self.counts.extend((all.low..=all.high).map(f64::from));
        let last = self.bands[n_stages - 1];
        self.to_go.clear(n_stages);
        match &problem.terminal {
            Some(terminal) => self.to_go.push(n_stages, last).copy_from_slice(terminal.part(0, last)),
            None => self.to_go.push(n_stages, last).fill(0.0),
        }
        for stage in (first..n_stages).rev() {
            let decisions = self.bands[stage];
            let states = if stage == first { states } else { self.bands[stage - 1] };
            let hull = decisions.hull(states);
            let n = hull.n_counts();
            let cost = StageCost { problem, stage };
            self.minima.resize(n.max(self.minima.len()), 0.0);
            let decided = (decisions.low - hull.low) as usize;
            let decided_to = decided + decisions.n_counts();
            self.value.resize(n.max(self.value.len()), 0.0);
            self.value[..decided].fill(f64::INFINITY);
            self.value[decided_to..n].fill(f64::INFINITY);
            let counts = &self.counts[(hull.low - all.low) as usize..][..n];
            let value = &mut self.value[decided..decided_to];
            cost.values(decisions, &counts[decided..], self.to_go.row(stage + 1), value);
            let before = (states.low - hull.low) as usize;
            let before = before..before + states.n_counts();
            let minima = &mut self.minima[..n];
            let to_go = self.to_go.push(stage, states);
            if is_one_window {
                let value = &self.value[..n];
                if states == hull {
                    self.windows.minima(value, down, up, to_go);
                } else {
                    self.windows.minima(value, down, up, minima);
                    to_go.copy_from_slice(&minima[before]);
                }
                continue;
            }
            self.late.clear();
            self.late.resize(n, 0.0);
            cost.late(delay, hull, &mut self.late);
            self.shifted.resize(n.max(self.shifted.len()), 0.0);
            let shifted = &mut self.shifted[..n];
            let (value, late) = (&self.value[..n], &self.late[..n]);
            for i in 0..n {
                shifted[i] = rise_to(value[i], late[i], up_dollars, counts[i]);
            }
            self.windows.minima(shifted, 0, up, minima);
            let (from, late, m) = (&minima[before.clone()], &late[before.clone()], &counts[before.clone()]);
            for (to_go, ((least, late), m)) in to_go.iter_mut().zip(from.iter().zip(late).zip(m)) {
                *to_go = least + rise_from(*late, up_dollars, *m);
            }
            for i in 0..n {
                shifted[i] = value[i] - down_dollars * counts[i];
            }
            self.windows.minima(shifted, down, 0, minima);
            for (to_go, (least, m)) in to_go.iter_mut().zip(minima[before].iter().zip(m)) {
                let fall = least + down_dollars * m;
                *to_go = if fall < *to_go { fall } else { *to_go };
            }
        }
    }

    /// The least cost of a plan that orders `to` first, after [`DynamicProgramming::plan`] of this program whose proof
    /// was [`Proof::Optimal`]; none where the limits forbid it. With a delay, the ramp cost.
    pub fn move_dollars(&self, problem: &OnePool, to: Replicas) -> Option<f64> {
        self.moved(problem, 0, problem.limits.initial, to)
    }

    /// The first move in the order of ties whose cost, computed as in the sweep, is the cost to go.
    fn first_move(&self, problem: &OnePool, stage: usize, state: Replicas) -> Option<Replicas> {
        let to_go = self.to_go.at(stage, state);
        if to_go == f64::INFINITY {
            return None;
        }
        let limits = &problem.limits;
        let decisions = self.bands[stage];
        let is_best = |to: &Replicas| self.moved(problem, stage, state, *to) == Some(to_go);
        (0..=limits.ramp_up.max(limits.ramp_down)).find_map(|change| {
            // The bounds are looked at first: without ramp limits most changes lie outside.
            let fall = state.checked_sub(change).filter(|to| decisions.contains(*to) && is_best(to));
            let rise = || state.checked_add(change).filter(|to| decisions.contains(*to) && is_best(to));
            fall.or_else(rise)
        })
    }

    /// The cost from `stage` on of a move between two counts, with the operations of the sweep.
    #[inline]
    fn moved(&self, problem: &OnePool, stage: usize, from: Replicas, to: Replicas) -> Option<f64> {
        let limits = &problem.limits;
        let is_allowed = if to < from { from - to <= limits.ramp_down } else { to - from <= limits.ramp_up };
        if !is_allowed || !self.bands[stage].contains(to) {
            return None;
        }
        let Switching { up_dollars, down_dollars } = problem.switching;
        let delay = limits.delay_ticks;
        let cost = StageCost { problem, stage };
        let value = cost.value_at(to, self.to_go.at(stage + 1, to));
        if delay == 0 && up_dollars == 0.0 && down_dollars == 0.0 {
            return Some(value);
        }
        let (n, m) = (f64::from(to), f64::from(from));
        let fall = || value - down_dollars * n + down_dollars * m;
        let rise = || {
            rise_to(value, cost.late_at(delay, to), up_dollars, n)
                + rise_from(cost.late_at(delay, from), up_dollars, m)
        };
        // To stay is both, and rounding may tell them apart.
        Some(match to.cmp(&from) {
            std::cmp::Ordering::Less => fall(),
            std::cmp::Ordering::Greater => rise(),
            std::cmp::Ordering::Equal => fall().min(rise()),
        })
    }
}

impl ToGo {
    fn clear(&mut self, n_stages: usize) {
        self.n = 0;
        self.rows.clear();
        self.rows.resize(n_stages + 1, (Band::new(0, 0), 0));
    }

    fn push(&mut self, stage: usize, states: Band) -> &mut [f64] {
        let start = self.n;
        self.n += states.n_counts();
        self.rows[stage] = (states, start);
        self.dollars.resize(self.n.max(self.dollars.len()), 0.0);
        &mut self.dollars[start..self.n]
    }

    fn row(&self, stage: usize) -> &[f64] {
        let (states, start) = self.rows[stage];
        &self.dollars[start..start + states.n_counts()]
    }

    fn at(&self, stage: usize, state: Replicas) -> f64 {
        let (states, start) = self.rows[stage];
        self.dollars[start + (state - states.low) as usize]
    }
}

/// The costs of one stage, a row at a time and one by one, with the same operations in the same order.
#[derive(Clone, Copy)]
struct StageCost<'a> {
    problem: &'a OnePool,
    stage: usize,
}

impl StageCost<'_> {
    /// `V_t` of all `decisions`, given the counts as numbers and `W_{t+1}` of them.
    fn values(self, decisions: Band, counts: &[f64], to_go: &[f64], out: &mut [f64]) {
        let price = self.problem.dollars_per_replica[self.stage];
        let limits = &self.problem.limits;
        if self.stage < limits.starting.len() {
            for ((out, to_go), n) in out.iter_mut().zip(to_go).zip(decisions.low..=decisions.high) {
                *out = price * f64::from(n) + self.load_at(self.stage, n) + to_go;
            }
            return;
        }
        let row = self.problem.stage.part(self.stage, decisions);
        for ((out, to_go), (load, n)) in out.iter_mut().zip(to_go).zip(row.iter().zip(counts)) {
            *out = price * n + load + to_go;
        }
    }

    fn value_at(self, n: Replicas, to_go: f64) -> f64 {
        self.problem.dollars_per_replica[self.stage] * f64::from(n) + self.load_at(self.stage, n) + to_go
    }

    /// `L_t` of all counts of a band, added to `out`.
    fn late(self, delay: u32, band: Band, out: &mut [f64]) {
        for stage in self.late_stages(delay) {
            if stage < self.problem.limits.starting.len() {
                out.iter_mut().zip(band.low..=band.high).for_each(|(out, n)| *out += self.load_at(stage, n));
            } else {
                let row = self.problem.stage.part(stage, band);
                out.iter_mut().zip(row).for_each(|(out, dollars)| *out += dollars);
            }
        }
    }

    fn late_at(self, delay: u32, n: Replicas) -> f64 {
        self.late_stages(delay).fold(0.0, |sum, stage| sum + self.load_at(stage, n))
    }

    fn late_stages(self, delay: u32) -> std::ops::Range<usize> {
        self.stage..(self.stage + delay as usize).min(self.problem.n_stages())
    }

    /// φ at `stage`, no more of n ready than have started up.
    fn load_at(self, stage: usize, n: Replicas) -> f64 {
        let limits = &self.problem.limits;
        let ready = if stage < limits.starting.len() { n.min(limits.ready_most(stage)) } else { n };
        self.problem.stage.at(stage, ready)
    }
}

/// What a rise to n costs, but for what depends on where it came from.
#[inline]
fn rise_to(value: f64, late: f64, up_dollars: f64, n: f64) -> f64 {
    value - late + up_dollars * n
}

/// What a rise from m costs, but for what depends on where it goes.
#[inline]
fn rise_from(late: f64, up_dollars: f64, m: f64) -> f64 {
    late - up_dollars * m
}

/// Whether an entry is above both an earlier and a later one.
fn has_peak(entries: impl Iterator<Item = Replicas>) -> bool {
    let (mut least, mut most_above_earlier) = (Replicas::MAX, 0);
    for entry in entries {
        if entry < most_above_earlier {
            return true;
        }
        if entry > least {
            most_above_earlier = most_above_earlier.max(entry);
        }
        least = least.min(entry);
    }
    false
}
