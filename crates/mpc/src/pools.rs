//! The program of several pools that share one requirement, under several courses of demand.
//!
//! Choose whole numbers `x_{k,t}`, the replicas of pool k that run (are paid for) during stage t. With starts
//! `u_{k,t} = (x_{k,t} − x_{k,t−1})⁺` and stops `v_{k,t} = (x_{k,t−1} − x_{k,t})⁺`:
//!
//! ```text
//! minimise   Σ_k [ bill_k + Σ_t (k⁺_k u_{k,t} + k⁻_k v_{k,t}) + terminal_k x_{k,T−1} ]  +  ρ(Z)
//! Z_s      = Σ_t φ_{s,t}(y_t)                                    the penalty under course s
//! y_t      = Σ_k capacity_k r_{k,t}                              total ready capacity
//! r_{k,t}  = x_{k,t} − Σ_{i=t−d_k+1}^{t} u_{k,i}                 those that started d_k stages ago or earlier
//! x_{k,t}  ≥ Σ_{i=t−m_k+1}^{t} u_{k,i}                           minimum up time
//! min_k ≤ x_{k,t} ≤ max_k,   u_{k,t} ≤ ramp_up_k,   v_{k,t} ≤ ramp_down_k
//! ```
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | `φ_{s,t}` | [`Course::penalty`], convex pieces | dollars over capacity |
//! | `d_k` | [`Pool::delay_ticks`] | stages |
//! | `m_k` | max of [`Pool::up_ticks_min`], `d_k` and 1: an order cannot be called back before it serves | stages |
//! | `q_k` | [`Pool::quantum_ticks`] | stages |
//!
//! **Bill.** A replica pays for `q_k` stages when it starts, and again every `q_k` stages while it runs, the last time
//! in full although the horizon ends. A stop takes, of the replicas past their minimum up time, one whose next payment
//! comes first; at a constant price no other choice is cheaper, since one that is due later has no more payments up to
//! any later stop. For `q_k` = 1 the bill is `Σ_t price_{k,t} x_{k,t}`; for larger ones the price has to be constant.
//!
//! **Risk.** With probabilities `π_s`, ρ(Z) is `Σ π_s Z_s`, or `(1 − w) Σ π_s Z_s + w CVaR_α(Z)`, where
//! `CVaR_α(Z) = min_η η + Σ_s π_s (Z_s − η)⁺ / (1 − α)` (Rockafellar and Uryasev 2000) is the mean of the worst share
//! 1 − α. A chance constraint asks that `y_t` ≥ `needed_{s,t}` at all stages together holds with probability ≥ a level.

use tidegate_core::{Replicas, solver::Constraint};

use crate::error::{ProgramError, finite, length, not_negative};
use crate::{Band, Convex, Switching};

/// One pool: prices, limits, life cycle.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// The price of a running replica at each stage; constant where the quantum is above 1.
    pub dollars_per_replica: Vec<f64>,
    /// The replicas allowed, the same at every stage.
    pub bounds: Band,
    /// The most that may be started from one stage to the next.
    pub ramp_up: Replicas,
    /// The most that may be stopped from one stage to the next.
    pub ramp_down: Replicas,
    /// Stages from start to service.
    pub delay_ticks: u32,
    /// Stages that a replica runs at least.
    pub up_ticks_min: u32,
    /// Stages that are paid for at once; at least 1.
    pub quantum_ticks: u32,
    /// Cost of a start and of a stop.
    pub switching: Switching,
    /// What one ready replica adds to the total capacity.
    pub capacity: f64,
    /// Replicas before the first stage: ready, past their minimum up time, next payment due at stage 0.
    pub initial: Replicas,
    /// The cost of each replica that runs at the last stage; negative where it is worth something.
    pub terminal_dollars_per_replica: f64,
}

/// One course of demand.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// Its probability.
    pub probability: f64,
    /// φ: the penalty of each stage over total ready capacity.
    pub penalty: Vec<Convex>,
}

/// How the penalties of the courses become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Risk {
    /// Their mean.
    #[default]
    Expected,
    /// (1 − weight) · mean + weight · `CVaR` at the level.
    ConditionalValue {
        /// α, at least 0 and below 1; at 0 it is the mean.
        level: f64,
        /// From 0 to 1.
        weight: f64,
    },
}

/// The capacity that has to be there at all stages of a course, for courses of a total probability.
#[derive(Clone, Debug, PartialEq)]
pub struct Chance {
    /// The least probability, from 0 to 1.
    pub level: f64,
    /// For each course, the capacity needed at each stage.
    pub needed: Vec<Vec<f64>>,
}

/// The program; see [the module](self).
#[derive(Clone, Debug, PartialEq)]
pub struct Pools {
    /// The pools.
    pub pools: Vec<Pool>,
    /// The courses of demand.
    pub courses: Vec<Course>,
    /// How they are weighed.
    pub risk: Risk,
    /// The chance constraint, if any.
    pub chance: Option<Chance>,
}

/// Probabilities are sums of a few numbers.
const PROBABILITY_TOLERANCE: f64 = 1e-9;

impl Pool {
    /// m: the stages for which a start is bound.
    pub fn bound_ticks(&self) -> usize {
        self.up_ticks_min.max(self.delay_ticks).max(1) as usize
    }

    /// The limit of starts as far as it can matter.
    pub(crate) fn ups_max(&self) -> Replicas {
        self.ramp_up.min(self.most())
    }

    /// The limit of stops as far as it can matter.
    pub(crate) fn downs_max(&self) -> Replicas {
        self.ramp_down.min(self.most())
    }

    /// The most replicas that ever run.
    pub(crate) fn most(&self) -> Replicas {
        self.bounds.high.max(self.initial)
    }

    fn validate(&self, n_stages: usize) -> Result<(), ProgramError> {
        length("dollars_per_replica", n_stages, self.dollars_per_replica.len())?;
        finite("dollars_per_replica", &self.dollars_per_replica)?;
        for dollars in &self.dollars_per_replica {
            not_negative("dollars_per_replica", *dollars)?;
        }
        not_negative("switching.up_dollars", self.switching.up_dollars)?;
        not_negative("switching.down_dollars", self.switching.down_dollars)?;
        not_negative("capacity", self.capacity)?;
        finite("terminal_dollars_per_replica", &[self.terminal_dollars_per_replica])?;
        if self.quantum_ticks == 0 {
            return Err(ProgramError::Range { field: "quantum_ticks", range: "at least 1", value: 0.0 });
        }
        if self.quantum_ticks > 1 {
            let first = self.dollars_per_replica[0];
            if let Some(other) = self.dollars_per_replica.iter().find(|dollars| **dollars != first) {
                let range = "constant where the billing quantum is above 1";
                return Err(ProgramError::Range { field: "dollars_per_replica", range, value: *other });
            }
        }
        Ok(())
    }

    /// The bill, switching and terminal costs of a course of this pool, and its ready replicas; `None` where it
    /// breaks a limit. Storage is reused from call to call.
    pub(crate) fn trace(&self, wanted: &[Replicas], life: &mut Life, ready: &mut [Replicas]) -> Option<f64> {
        let (bound, delay, quantum) =
            (self.bound_ticks(), self.delay_ticks as usize, self.quantum_ticks as usize);
        life.reset(quantum, self.initial);
        let mut dollars = 0.0;
        let (mut last, mut free, mut late) = (self.initial, self.initial, 0);
        for (stage, &count) in wanted.iter().enumerate() {
            let (up, down) = (count.saturating_sub(last), last.saturating_sub(count));
            if stage >= bound {
                let grown = life.ups[stage - bound];
                free += grown;
                life.free[(stage - bound) % quantum] += grown;
            }
            if up > self.ramp_up || down > self.ramp_down || !self.bounds.contains(count) || down > free {
                return None;
            }
            free -= down;
            life.ups.push(up);
            late += up;
            if stage >= delay {
                late -= life.ups[stage - delay];
            }
            ready[stage] = count - late;
            if quantum == 1 {
                dollars += self.dollars_per_replica[stage] * f64::from(count);
            } else {
                let mut left = down;
                for due in (stage..stage + quantum).map(|due| due % quantum) {
                    let stopped = left.min(life.free[due]);
                    life.free[due] -= stopped;
                    life.all[due] -= stopped;
                    left -= stopped;
                }
                life.all[stage % quantum] += up;
                let paid = life.all[stage % quantum] * self.quantum_ticks;
                dollars += self.dollars_per_replica[stage] * f64::from(paid);
            }
            dollars += self.switching.up_dollars * f64::from(up);
            dollars += self.switching.down_dollars * f64::from(down);
            last = count;
        }
        Some(dollars + self.terminal_dollars_per_replica * f64::from(last))
    }

    /// What a plan costs at each stage (bill, switching, and at the last one the terminal cost), and its ready replicas;
    /// `None` where it breaks a limit.
    pub fn stages(&self, wanted: &[Replicas]) -> Option<(Vec<f64>, Vec<Replicas>)> {
        let (mut life, mut ready) = (Life::default(), vec![0; wanted.len()]);
        let (mut dollars, mut before) = (Vec::new(), 0.0);
        for n_stages in 1..=wanted.len() {
            let sum = self.trace(&wanted[..n_stages], &mut life, &mut ready)?;
            // What ends here is charged for its end, which the horizon's end alone should be.
            let is_last = n_stages == wanted.len();
            let running = f64::from(wanted[n_stages - 1]);
            let terminal = if is_last { 0.0 } else { self.terminal_dollars_per_replica * running };
            dollars.push(sum - terminal - before);
            before = sum - terminal;
        }
        Some((dollars, ready))
    }

    /// The stops of a plan that keeps the limits, for each stage by the stage of the next payment modulo the quantum:
    /// those that [`Pool::trace`] charges by.
    pub(crate) fn stops(&self, wanted: &[Replicas]) -> Vec<Vec<Replicas>> {
        let (bound, quantum) = (self.bound_ticks(), self.quantum_ticks as usize);
        let mut free = vec![0; quantum];
        free[0] = self.initial;
        let before = |stage: usize| if stage == 0 { self.initial } else { wanted[stage - 1] };
        let mut all = vec![vec![0; quantum]; wanted.len()];
        for (stage, stops) in all.iter_mut().enumerate() {
            if let Some(start) = stage.checked_sub(bound) {
                free[start % quantum] += wanted[start].saturating_sub(before(start));
            }
            let mut left = before(stage).saturating_sub(wanted[stage]);
            for due in (stage..stage + quantum).map(|due| due % quantum) {
                stops[due] = left.min(free[due]);
                free[due] -= stops[due];
                left -= stops[due];
            }
        }
        all
    }

    /// A plan as close to `target` as going forward allows; it keeps every limit if the first stage can.
    pub(crate) fn follow(&self, target: impl Fn(usize) -> Replicas, wanted: &mut [Replicas]) {
        let bound = self.bound_ticks();
        let mut ups = vec![0; wanted.len()];
        let (mut last, mut free) = (self.initial, self.initial);
        for stage in 0..wanted.len() {
            if stage >= bound {
                free += ups[stage - bound];
            }
            let least = last.saturating_sub(self.ramp_down.min(free)).max(self.bounds.low);
            let most = last.saturating_add(self.ramp_up).min(self.bounds.high).max(least);
            let count = target(stage).clamp(least, most);
            ups[stage] = count.saturating_sub(last);
            free -= last.saturating_sub(count);
            last = count;
            wanted[stage] = count;
        }
    }
}

/// What is kept while the life of a pool is followed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Life {
    ups: Vec<Replicas>,
    /// By the stage of the next payment, modulo the quantum: those past their minimum up time, and all.
    free: Vec<Replicas>,
    all: Vec<Replicas>,
}

impl Life {
    fn reset(&mut self, quantum: usize, initial: Replicas) {
        self.ups.clear();
        for counts in [&mut self.free, &mut self.all] {
            counts.clear();
            counts.resize(quantum, 0);
            counts[0] = initial;
        }
    }
}

impl Pools {
    /// Number of stages, T.
    pub fn n_stages(&self) -> usize {
        self.pools.first().map_or(0, |pool| pool.dollars_per_replica.len())
    }

    /// Whether the program says something that can be solved.
    ///
    /// # Errors
    /// What is wrong with it, or the constraint that cannot be met. Bounds do not change with time, so a pool that can
    /// enter them at stage 0 can stay; a chance constraint is held against the plan that has the most capacity at
    /// every stage.
    pub fn validate(&self) -> Result<(), ProgramError> {
        let n_stages = self.n_stages();
        if n_stages == 0 {
            return Err(ProgramError::NoStages);
        }
        for (index, pool) in self.pools.iter().enumerate() {
            pool.validate(n_stages)?;
            let Band { low, high } = pool.bounds;
            if low > high {
                return Err(ProgramError::Impossible(format!(
                    "pool {index}: at least {low} and at most {high} replicas"
                )));
            }
            let start = pool.initial;
            if start.saturating_add(pool.ramp_up) < low {
                let step = pool.ramp_up;
                let what =
                    format!("pool {index}: start {start} cannot reach at least {low} by a step of {step}");
                return Err(ProgramError::Impossible(what));
            }
            if start.saturating_sub(pool.ramp_down) > high {
                let step = pool.ramp_down;
                let what =
                    format!("pool {index}: start {start} cannot reach at most {high} by a step of {step}");
                return Err(ProgramError::Impossible(what));
            }
        }
        let mut sum = 0.0;
        for course in &self.courses {
            not_negative("probability", course.probability)?;
            sum += course.probability;
            length("penalty", n_stages, course.penalty.len())?;
            for (stage, piece) in course
                .penalty
                .iter()
                .enumerate()
                .flat_map(|(stage, penalty)| penalty.pieces.iter().map(move |piece| (stage, piece)))
            {
                for value in [piece.intercept_dollars, piece.slope_dollars] {
                    if !value.is_finite() {
                        return Err(ProgramError::NotFinite { field: "penalty", stage, value });
                    }
                }
            }
        }
        if (sum - 1.0).abs() > PROBABILITY_TOLERANCE {
            return Err(ProgramError::Range { field: "probability", range: "1 in sum", value: sum });
        }
        if let Risk::ConditionalValue { level, weight } = self.risk {
            if !(0.0..1.0).contains(&level) {
                let range = "at least 0 and below 1";
                return Err(ProgramError::Range { field: "risk.level", range, value: level });
            }
            if !(0.0..=1.0).contains(&weight) {
                return Err(ProgramError::Range {
                    field: "risk.weight",
                    range: "from 0 to 1",
                    value: weight,
                });
            }
        }
        if let Some(chance) = &self.chance {
            if !(0.0..=1.0).contains(&chance.level) {
                let range = "from 0 to 1";
                return Err(ProgramError::Range { field: "chance.level", range, value: chance.level });
            }
            length("chance.needed", self.courses.len(), chance.needed.len())?;
            for needed in &chance.needed {
                length("chance.needed", n_stages, needed.len())?;
                finite("chance.needed", needed)?;
            }
            let met = self.met(chance, &self.capacity(&self.most())?);
            if met < chance.level - PROBABILITY_TOLERANCE {
                return Err(ProgramError::Impossible(format!(
                    "chance: capacity as needed with probability {}, but at most {met} by any plan",
                    chance.level
                )));
            }
        }
        Ok(())
    }

    /// The plan that has the most replicas of every pool at every stage.
    pub(crate) fn most(&self) -> Vec<Vec<Replicas>> {
        let mut plan = vec![vec![0; self.n_stages()]; self.pools.len()];
        for (pool, wanted) in self.pools.iter().zip(&mut plan) {
            pool.follow(|_| Replicas::MAX, wanted);
        }
        plan
    }

    /// Total ready capacity at each stage.
    pub(crate) fn capacity(&self, plan: &[Vec<Replicas>]) -> Result<Vec<f64>, ProgramError> {
        let mut ready = vec![0; self.n_stages()];
        let mut capacity = vec![0.0; self.n_stages()];
        for (pool, wanted) in self.pools.iter().zip(plan) {
            pool.trace(wanted, &mut Life::default(), &mut ready)
                .ok_or_else(|| ProgramError::Impossible("a pool cannot keep its limits".to_owned()))?;
            capacity
                .iter_mut()
                .zip(&ready)
                .for_each(|(sum, ready)| *sum += pool.capacity * f64::from(*ready));
        }
        Ok(capacity)
    }

    /// The probability of the courses whose need is met at all stages.
    fn met(&self, chance: &Chance, capacity: &[f64]) -> f64 {
        // Capacities are sums of a few products.
        let is_met = |needed: &[f64]| needed.iter().zip(capacity).all(|(needed, it)| *it >= needed - 1e-9);
        let courses = self.courses.iter().zip(&chance.needed);
        courses.filter(|(_, needed)| is_met(needed)).fold(0.0, |sum, (course, _)| sum + course.probability)
    }

    /// ρ(Z) for a course of total ready capacity; `None` where it misses the chance constraint.
    pub fn penalty(&self, capacity: &[f64]) -> Option<f64> {
        if let Some(chance) = &self.chance
            && self.met(chance, capacity) < chance.level - PROBABILITY_TOLERANCE
        {
            return None;
        }
        let sum = |course: &Course| -> f64 {
            course.penalty.iter().zip(capacity).fold(0.0, |sum, (penalty, it)| sum + penalty.at(*it))
        };
        match self.risk {
            Risk::Expected => Some(self.courses.iter().fold(0.0, |all, it| all + it.probability * sum(it))),
            Risk::ConditionalValue { .. } => {
                let sums: Vec<f64> = self.courses.iter().map(sum).collect();
                let weights = self.worst_weights(&sums);
                Some(weights.iter().zip(&sums).fold(0.0, |all, (weight, sum)| all + weight * sum))
            }
        }
    }

    /// The weights q of the courses with which `Σ q_s Z_s = ρ(Z)`: the largest such sum over all q that ρ allows, so
    /// for any other Z it is a lower bound of ρ.
    pub(crate) fn worst_weights(&self, sums: &[f64]) -> Vec<f64> {
        let probability = |index: usize| self.courses[index].probability;
        let Risk::ConditionalValue { level, weight } = self.risk else {
            return (0..sums.len()).map(probability).collect();
        };
        let mut order: Vec<usize> = (0..sums.len()).collect();
        order.sort_by(|a, b| sums[*b].total_cmp(&sums[*a]));
        let mut weights: Vec<f64> =
            (0..sums.len()).map(|index| (1.0 - weight) * probability(index)).collect();
        let mut left = 1.0 - level;
        for index in order {
            let share = probability(index).min(left);
            left -= share;
            weights[index] += weight * share / (1.0 - level);
        }
        weights
    }

    /// The objective of a plan, by its definition: a list a pool, a count a stage.
    ///
    /// # Errors
    /// The limit that it breaks.
    pub fn dollars(&self, plan: &[Vec<Replicas>]) -> Result<f64, Constraint> {
        let broken = |what: String| Constraint { what };
        let mut ready = vec![0; self.n_stages()];
        let mut capacity = vec![0.0; self.n_stages()];
        let mut dollars = 0.0;
        for (index, (pool, wanted)) in self.pools.iter().zip(plan).enumerate() {
            dollars += pool
                .trace(wanted, &mut Life::default(), &mut ready)
                .ok_or_else(|| broken(format!("pool {index}: bounds, ramp limits or minimum up time")))?;
            capacity
                .iter_mut()
                .zip(&ready)
                .for_each(|(sum, ready)| *sum += pool.capacity * f64::from(*ready));
        }
        let penalty = self.penalty(&capacity).ok_or_else(|| broken("chance constraint".to_owned()))?;
        Ok(dollars + penalty)
    }
}
