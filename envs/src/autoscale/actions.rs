//! What an agent may do to a fleet: numbered changes of the wanted replicas of one pool at a time.

use tidegate_core::{Bounds, OperatorFacts, PoolTarget, Replicas};

use super::{Asked, AutoscaleError};

/// Which actions there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionSet {
    /// −k to +k replicas; the source document's −1, 0, +1 with k = 1.
    Steps {
        /// k, at least 1.
        step_max: Replicas,
    },
    /// The wanted count itself, from the least to the most replicas of the pool.
    Target {},
    /// Square-root staffing with a band, a margin β of the [`MARGINS`]: n(β) = ⌈(a + β σ − s) / c⌉ within the
    /// pool's bounds, where a are the slots asked for and σ is their spread ([`View::asked`](super::View::asked)), s are the slots that the
    /// other pools are wanted to have, and c those of one replica. The wanted count moves to the nearest one from n(β) to
    /// n(β + [`ROOM`]), as lazy capacity provisioning moves (Lin, Wierman, Andrew and Thereska, IEEE/ACM Transactions on Networking 21, 2013): so it does
    /// not follow the noise of a. There is no action that holds: whatever an agent has learnt, its fleet goes where load and queue go, so
    /// that no policy leaves an overload to itself. While nothing is measured and nobody waits, or by a view
    /// that estimates no load, all actions hold.
    Margins {},
}

/// Width of the band of [`ActionSet::Margins`], in spreads.
pub const ROOM: f64 = 0.75;

/// The margins β of [`ActionSet::Margins`], in spreads of the slots asked for: from less fleet than that to
/// what catches a crowd. A stored agent knows them by number only: who changes them or [`ROOM`] makes another version of
/// its files.
pub const MARGINS: [f64; 13] = [-0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0];

/// The numbered actions for the pools of one service.
///
/// With one pool they are in the order of their numbers: −k … −1, hold, +1 … +k, or the counts upwards. With
/// several pools one step moves one pool, so that the number of actions grows with the sum over pools and not with
/// the product: the first pool's actions come first (with the one hold, where there is one), then the next pool's.
#[derive(Clone, Debug, PartialEq)]
pub struct Actions {
    moves: Vec<Move>,
    names: Vec<String>,
    bounds: Vec<Bounds>,
    /// Of one replica, a number a pool.
    slots: Vec<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Move {
    Hold,
    By { pool: usize, change: i64 },
    To { pool: usize, wanted: Replicas },
    Staff { pool: usize, margin: f64 },
}

impl Actions {
    /// The actions of `set` for these pools.
    ///
    /// # Errors
    /// If there would be none but to hold, or more than 1,000.
    pub fn new(facts: &OperatorFacts, set: ActionSet) -> Result<Self, AutoscaleError> {
        let mut actions = Self {
            moves: Vec::new(),
            names: Vec::new(),
            bounds: facts.pools.iter().map(|pool| pool.bounds).collect(),
            slots: facts.pools.iter().map(|pool| f64::from(pool.concurrency)).collect(),
        };
        let n_actions: u64 = match set {
            ActionSet::Steps { step_max: 0 } => return Err(AutoscaleError::NoStep),
            ActionSet::Steps { step_max } => 1 + 2 * u64::from(step_max) * facts.pools.len() as u64,
            ActionSet::Target {} => {
                actions.bounds.iter().map(|b| u64::from(b.replicas_max) - u64::from(b.replicas_min) + 1).sum()
            }
            ActionSet::Margins {} => (MARGINS.len() * facts.pools.len()) as u64,
        };
        if n_actions > N_ACTIONS_MAX {
            return Err(AutoscaleError::TooManyActions { n_actions });
        }
        for (pool, pool_facts) in facts.pools.iter().enumerate() {
            let name = &pool_facts.name;
            match set {
                ActionSet::Steps { step_max } => {
                    let step_max = i64::from(step_max);
                    for change in -step_max..=step_max {
                        match change {
                            0 if pool == 0 => actions.push("hold".into(), Move::Hold),
                            0 => {}
                            _ => actions.push(format!("{name} {change:+}"), Move::By { pool, change }),
                        }
                    }
                }
                ActionSet::Target {} => {
                    let Bounds { replicas_min, replicas_max } = pool_facts.bounds;
                    for wanted in replicas_min..=replicas_max {
                        actions.push(format!("{name} {wanted}"), Move::To { pool, wanted });
                    }
                }
                ActionSet::Margins {} => {
                    for margin in MARGINS {
                        actions.push(format!("{name} margin {margin:+}"), Move::Staff { pool, margin });
                    }
                }
            }
        }
        Ok(actions)
    }

    /// Their names, in the order of their numbers.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Changes what is wanted, where this is asked for; an action that is not allowed goes as far as the
    /// bounds let it.
    ///
    /// # Panics
    /// If there is no such action.
    #[inline]
    pub fn apply(&self, action: usize, targets: &mut [PoolTarget], asked: Option<Asked>) {
        match self.moves[action] {
            Move::Hold => {}
            Move::By { pool, change } => {
                let Bounds { replicas_min, replicas_max } = self.bounds[pool];
                let wanted = i64::from(targets[pool].wanted) + change;
                targets[pool].wanted =
                    wanted.clamp(i64::from(replicas_min), i64::from(replicas_max)) as Replicas;
            }
            Move::To { pool, wanted } => targets[pool].wanted = wanted,
            Move::Staff { pool, margin } => {
                let Some(Asked { slots, spread }) = asked else { return };
                let others = targets.iter().zip(&self.slots).enumerate().filter(|(other, _)| *other != pool);
                let others: f64 = others.map(|(_, (target, slots))| f64::from(target.wanted) * slots).sum();
                let Bounds { replicas_min, replicas_max } = self.bounds[pool];
                let needed = |margin: f64| {
                    let replicas = (slots + margin * spread - others) / self.slots[pool];
                    replicas.ceil().clamp(f64::from(replicas_min), f64::from(replicas_max)) as Replicas
                };
                targets[pool].wanted = targets[pool].wanted.clamp(needed(margin), needed(margin + ROOM));
            }
        }
    }

    /// Which actions keep every pool within its bounds.
    ///
    /// # Panics
    /// If the mask has not one place an action.
    pub fn allowed(&self, targets: &[PoolTarget], mask: &mut [bool]) {
        assert_eq!(mask.len(), self.moves.len(), "one place an action");
        for (allowed, move_) in mask.iter_mut().zip(&self.moves) {
            *allowed = match *move_ {
                Move::Hold | Move::To { .. } | Move::Staff { .. } => true,
                Move::By { pool, change } => {
                    let Bounds { replicas_min, replicas_max } = self.bounds[pool];
                    let wanted = i64::from(targets[pool].wanted) + change;
                    (i64::from(replicas_min)..=i64::from(replicas_max)).contains(&wanted)
                }
            };
        }
    }

    fn push(&mut self, name: String, move_: Move) {
        self.names.push(name);
        self.moves.push(move_);
    }
}

/// More than any value network should have outputs; a pool without an upper bound has 2³².
const N_ACTIONS_MAX: u64 = 1000;

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use tidegate_core::Scenario;
    use tidegate_core::scenario::EXAMPLE;

    use super::*;

    const ASKED: Asked = Asked { slots: 9.0, spread: 3.0 };

    /// The wanted counts after each action from `start`, with those that are not allowed in brackets.
    fn check(n_pools: usize, set: ActionSet, start: Replicas, expected: &Expect) {
        let mut facts = Scenario::parse(EXAMPLE).expect("the example is right").facts();
        facts.pools[0].bounds = Bounds { replicas_min: 1, replicas_max: 5 };
        let mut spot = facts.pools[0].clone();
        spot.name = "spot".into();
        facts.pools.push(spot);
        facts.pools.truncate(n_pools);
        let actions = match Actions::new(&facts, set) {
            Ok(actions) => actions,
            Err(error) => return expected.assert_eq(&error.to_string()),
        };
        let before = vec![PoolTarget::wanted(start); n_pools];
        let mut mask = vec![false; actions.names().len()];
        actions.allowed(&before, &mut mask);
        let rendered: Vec<String> = (0..mask.len())
            .map(|action| {
                let mut after = before.clone();
                actions.apply(action, &mut after, Some(ASKED));
                let wanted: Vec<String> = after.iter().map(|target| target.wanted.to_string()).collect();
                let wanted = wanted.join("/");
                let name = &actions.names()[action];
                if mask[action] { format!("{name}: {wanted}") } else { format!("({name}: {wanted})") }
            })
            .collect();
        expected.assert_eq(&rendered.join(", "));
    }

    #[test]
    fn actions_change_what_is_wanted_within_bounds() {
        check(1, ActionSet::Steps { step_max: 1 }, 3, &expect!["web -1: 2, hold: 3, web +1: 4"]);
        check(1, ActionSet::Steps { step_max: 1 }, 5, &expect!["web -1: 4, hold: 5, (web +1: 5)"]);
        check(
            1,
            ActionSet::Steps { step_max: 2 },
            2,
            &expect!["(web -2: 1), web -1: 1, hold: 2, web +1: 3, web +2: 4"],
        );
        check(
            2,
            ActionSet::Steps { step_max: 1 },
            1,
            &expect!["(web -1: 1/1), hold: 1/1, web +1: 2/1, (spot -1: 1/1), spot +1: 1/2"],
        );
        check(1, ActionSet::Target {}, 2, &expect!["web 1: 1, web 2: 2, web 3: 3, web 4: 4, web 5: 5"]);
        // Nine slots of load, four a replica: 9 + 3 β slots, less those of the other pool.
        check(
            1,
            ActionSet::Margins {},
            2,
            &expect![
                "web margin -0.5: 2, web margin +0: 3, web margin +0.25: 3, web margin +0.5: 3, web margin +0.75: 3, web margin +1: 3, web margin +1.25: 4, web margin +1.5: 4, web margin +2: 4, web margin +2.5: 5, web margin +3: 5, web margin +4: 5, web margin +6: 5"
            ],
        );
        check(
            2,
            ActionSet::Margins {},
            1,
            &expect![
                "web margin -0.5: 1/1, web margin +0: 2/1, web margin +0.25: 2/1, web margin +0.5: 2/1, web margin +0.75: 2/1, web margin +1: 2/1, web margin +1.25: 3/1, web margin +1.5: 3/1, web margin +2: 3/1, web margin +2.5: 4/1, web margin +3: 4/1, web margin +4: 5/1, web margin +6: 5/1, spot margin -0.5: 1/1, spot margin +0: 1/2, spot margin +0.25: 1/2, spot margin +0.5: 1/2, spot margin +0.75: 1/2, spot margin +1: 1/2, spot margin +1.25: 1/3, spot margin +1.5: 1/3, spot margin +2: 1/3, spot margin +2.5: 1/4, spot margin +3: 1/4, spot margin +4: 1/5, spot margin +6: 1/5"
            ],
        );
        check(1, ActionSet::Steps { step_max: 0 }, 2, &expect!["`step_max` must be at least 1, but is 0"]);
        check(
            2,
            ActionSet::Steps { step_max: 400 },
            2,
            &expect!["there would be 1601 actions, but at most 1000 can be told apart"],
        );
    }
}
