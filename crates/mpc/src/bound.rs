//! What no controller can undercut: a lower bound on instances, energy and penalty in one realised world, by weak
//! duality.
//!
//! **Relaxation.** Whoever is served received their work within their stay, in seconds of a slot that belong to a
//! billed replica; nothing else of the service is kept: no queue, no whole numbers of requests in a slot, no limit on
//! the number of replicas. With a price `λ_t` ≥ 0 on a second of work in tick t, users buy their work and replicas sell
//! it, and for *any* prices
//!
//! ```text
//! cost  ≥  Σ_i c_i(λ)  +  Σ_lives ρ(life)
//! c_i(λ) = min( g, min_f [ late_i(f) + w_i · min_{t = t(a_i) … f} λ_t ] )
//! ρ      = κ_s + Σ_{t in service} δ · ( p_t − C · max(0, λ_t − e_t) ),      κ_s = p_min · min(D, start_s − W)
//! ```
//!
//! since the work that users received is at most what replicas in service gave. Prices under which no life has a
//! negative ρ (there is nothing to gain by buying a replica and selling its work) leave Σ `c_i` as the bound. The proof
//! in full, and what of it is special to the request plant: `docs/references.md`.
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | `a_i`, `w_i` | when user i comes, and the work they bring | s |
//! | g | price of a user who gives up | dollars |
//! | `late_i(f)` | what an answer in tick f is charged, at the earliest moment of f | dollars |
//! | `p_t`, `p_min` | price of a replica, and its least from W on | dollars/s |
//! | `e_t` | price of the energy that a second of work takes beside that of an idle replica | dollars/s |
//! | C | work that a replica does in a second | 1 |
//! | D | shortest start-up: paid, but of no use | s |
//! | W | start of what is counted; what was started up before it was not paid for | s |
//! | δ | length of a tick | s |
//!
//! **Prices tried.** (1) `λ_t = min_k (p_t/C + e_t)`, the cost of work on the cheapest replica there is. (2) The same
//! plus start-ups: with `L_b` the mean work that arrives in block b of some ticks, `λ` of block b moves by
//! `(X_b − X_{b−1}) / (block's length)`, where `X_b = −κ/C` if `L_{b+1} > L_b` and 0 otherwise. A life from block i + 1
//! to j gains at most `C (X_j − X_i) ≤ κ`, its start-up; users pay κ/C for every rise of the load. The best of a few
//! lengths of block is taken. Both are checked before they are used.
//!
//! Source: weak duality, e.g. S. Boyd and L. Vandenberghe, *Convex Optimization* (2004), section 5.2; the prices of (2)
//! are the potentials of the interval scheduling of one replica.

/// A user as realised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoundUser {
    /// a, from the start of the run.
    pub arrival_seconds: f64,
    /// w, seconds of a slot of speed 1.
    pub work_seconds: f64,
    /// After this moment no answer reaches them; before `arrival_seconds` where none ever can.
    pub last_seconds: f64,
}

/// What replicas of one kind cost and give.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundPool {
    /// C.
    pub work_per_second: f64,
    /// D.
    pub startup_seconds: f64,
    /// p for every tick of the run.
    pub dollars_per_replica_second: Vec<f64>,
    /// e for every tick of the run.
    pub dollars_per_work_second: Vec<f64>,
}

/// How a late answer is charged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Late {
    /// Not user by user.
    Free,
    /// So much for each.
    PerUser(f64),
    /// So much for each second beyond the bound.
    PerSecond(f64),
}

/// One realised world.
#[derive(Clone, Debug, PartialEq)]
pub struct Relaxation {
    /// δ.
    pub tick_seconds: f64,
    /// Ticks before W.
    pub free_ticks: usize,
    /// Everybody who is charged for.
    pub users: Vec<BoundUser>,
    /// At least one.
    pub pools: Vec<BoundPool>,
    /// Latency up to which nothing is charged.
    pub bound_seconds: f64,
    /// Beyond it.
    pub late: Late,
    /// g.
    pub gave_up_dollars: f64,
    /// The least time that a second of work takes, since one request is in one slot; 0 where slots may be of any speed.
    pub seconds_per_work: f64,
}

/// What rounding may move a time by, in ticks, and a path of sums, relative to its terms.
const ROUNDING: f64 = 1e-9;

/// Lengths of block that are tried, in ticks.
const BLOCKS: [usize; 5] = [1, 4, 12, 40, 120];

impl Relaxation {
    /// The bound: the best of the prices that are tried; see [the module](self).
    ///
    /// # Panics
    /// If there is no pool, or pools have prices for different numbers of ticks.
    pub fn dollars(&self) -> f64 {
        let base = self.base();
        let plain = self.dual(&base).expect("no replica works below the cost of the cheapest");
        let load = self.load(base.len());
        BLOCKS
            .iter()
            .filter_map(|block| self.dual(&self.with_startups(&base, &load, *block)))
            .fold(plain, f64::max)
    }

    /// Σ `c_i` at these prices of work; none where some life would have a negative ρ.
    ///
    /// # Panics
    /// If there is not one price for every tick.
    pub fn dual(&self, work_prices: &[f64]) -> Option<f64> {
        let is_right = work_prices.iter().all(|price| *price >= 0.0);
        if !is_right || !self.pools.iter().all(|pool| self.has_no_bargain(pool, work_prices)) {
            return None;
        }
        let least = Least::new(work_prices);
        Some(self.users.iter().map(|user| self.user_dollars(user, work_prices, &least)).sum())
    }

    fn base(&self) -> Vec<f64> {
        let n_ticks = self.pools[0].dollars_per_replica_second.len();
        let cost = |pool: &BoundPool, tick: usize| {
            pool.dollars_per_replica_second[tick] / pool.work_per_second + pool.dollars_per_work_second[tick]
        };
        (0..n_ticks)
            .map(|tick| self.pools.iter().map(|pool| cost(pool, tick)).fold(f64::INFINITY, f64::min))
            .collect()
    }

    /// Work that arrives in each tick.
    fn load(&self, n_ticks: usize) -> Vec<f64> {
        let mut load = vec![0.0; n_ticks];
        for user in &self.users {
            load[self.tick_of(user.arrival_seconds).min(n_ticks - 1)] += user.work_seconds;
        }
        load
    }

    /// Prices (2) of the module.
    fn with_startups(&self, base: &[f64], load: &[f64], block: usize) -> Vec<f64> {
        let mut prices = base.to_vec();
        let of_block = |start: usize| -> f64 {
            load[start.min(load.len())..(start + block).min(load.len())].iter().sum()
        };
        let least_prices: Vec<f64> = self.pools.iter().map(|pool| self.least_price(pool)).collect();
        // min over pools of κ/C for what is ready at the start of a tick.
        let startup_price = |tick: usize| {
            let of = |(pool, least_price): (&BoundPool, &f64)| {
                self.startup_dollars(pool, tick, *least_price) / pool.work_per_second
            };
            self.pools.iter().zip(&least_prices).map(of).fold(f64::INFINITY, f64::min)
        };
        let mut before = 0.0;
        let mut start = self.free_ticks;
        // What is left over at the end keeps the plain price, so that no block is shorter than the others.
        while start + block <= prices.len() {
            let next = start + block;
            let potential = if of_block(next) > of_block(start) { -startup_price(next) } else { 0.0 };
            let step = (potential - before) / (block as f64 * self.tick_seconds);
            for price in &mut prices[start..next] {
                *price += step;
            }
            before = potential;
            start = next;
        }
        prices
    }

    fn least_price(&self, pool: &BoundPool) -> f64 {
        pool.dollars_per_replica_second[self.free_ticks..].iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// κ.
    fn startup_dollars(&self, pool: &BoundPool, tick: usize, least_price: f64) -> f64 {
        let counted_seconds = tick.saturating_sub(self.free_ticks) as f64 * self.tick_seconds;
        least_price * pool.startup_seconds.min(counted_seconds)
    }

    /// Whether no life of a replica has a negative ρ. Within a tick ρ is concave in the moments of start and end, so
    /// lives from the start of a tick to the end of one are enough.
    fn has_no_bargain(&self, pool: &BoundPool, work_prices: &[f64]) -> bool {
        let replica_prices = &pool.dollars_per_replica_second;
        assert_eq!(replica_prices.len(), work_prices.len(), "a price for every tick");
        let least_price = self.least_price(pool);
        // Of the lives that serve until the end of the tick.
        let mut best = f64::INFINITY;
        let mut paid = 0.0;
        for tick in self.free_ticks..work_prices.len() {
            let sold =
                pool.work_per_second * (work_prices[tick] - pool.dollars_per_work_second[tick]).max(0.0);
            paid += replica_prices[tick] * self.tick_seconds;
            best = best.min(self.startup_dollars(pool, tick, least_price))
                + self.tick_seconds * (replica_prices[tick] - sold);
            if best < -1e-14 * paid {
                return false;
            }
        }
        true
    }

    /// `c_i`.
    fn user_dollars(&self, user: &BoundUser, work_prices: &[f64], least: &Least) -> f64 {
        let last_tick = work_prices.len() - 1;
        let served_seconds = user.work_seconds * self.seconds_per_work * (1.0 - ROUNDING);
        let stay_seconds = user.last_seconds - user.arrival_seconds;
        if served_seconds > stay_seconds {
            return self.gave_up_dollars;
        }
        let at = |seconds: f64| ((seconds / self.tick_seconds + ROUNDING).max(0.0) as usize).min(last_tick);
        let (first, last) = (self.tick_of(user.arrival_seconds).min(last_tick), at(user.last_seconds));
        let in_time = at(user.arrival_seconds + self.bound_seconds).min(last);
        let work = |until: usize| user.work_seconds * least.between(first, until);
        let mut best = self.gave_up_dollars;
        if self.late == Late::Free {
            return best.min(work(last));
        }
        if served_seconds <= self.bound_seconds {
            best = best.min(work(in_time));
        }
        match self.late {
            Late::Free => {}
            Late::PerUser(dollars) => best = best.min(dollars + work(last)),
            Late::PerSecond(dollars) => {
                for tick in in_time..=last {
                    let excess = tick as f64 * self.tick_seconds - user.arrival_seconds - self.bound_seconds;
                    let excess = excess.max(served_seconds - self.bound_seconds).max(0.0);
                    let late = dollars * excess * (1.0 - ROUNDING);
                    if late >= best {
                        break;
                    }
                    best = best.min(late + work(tick));
                }
            }
        }
        best
    }

    /// The tick of a moment, never too late by rounding.
    fn tick_of(&self, seconds: f64) -> usize {
        (seconds / self.tick_seconds - ROUNDING).max(0.0) as usize
    }
}

/// The least value of any stretch, by a table of stretches whose lengths are powers of two.
struct Least {
    levels: Vec<Vec<f64>>,
}

impl Least {
    fn new(values: &[f64]) -> Self {
        let mut levels = vec![values.to_vec()];
        let mut length = 1;
        while 2 * length <= values.len() {
            let below = levels.last().expect("there is a first");
            let next = (0..=values.len() - 2 * length).map(|i| below[i].min(below[i + length])).collect();
            levels.push(next);
            length *= 2;
        }
        Self { levels }
    }

    fn between(&self, first: usize, last: usize) -> f64 {
        let n = last.max(first) - first + 1;
        let level = n.ilog2() as usize;
        let of_level = &self.levels[level];
        of_level[first].min(of_level[first + n - (1 << level)])
    }
}

#[cfg(test)]
#[path = "bound_tests.rs"]
mod tests;
