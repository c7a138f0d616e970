//! The program of one pool: costs a stage, bounds, ramp limits, switching costs, a start-up delay.
//!
//! Choose whole numbers `n_0 … n_{T−1}`, what is ordered during each stage, to minimise
//!
//! ```text
//! Σ_t [ price_t · n_t + φ_t(r_t) + k⁺ (n_t − n_{t−1})⁺ + k⁻ (n_{t−1} − n_t)⁺ ] + terminal(n_{T−1})
//! min_t ≤ n_t ≤ max_t,   −ramp_down ≤ n_t − n_{t−1} ≤ ramp_up,   n_{−1} = initial
//! ```
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | `n_t` | ordered: paid for | replicas |
//! | `r_t` | ready: serving | replicas |
//! | `φ_t` | [`OnePool::stage`], any table | dollars |
//! | `d` | [`Limits::delay_ticks`] | stages |
//!
//! What is ordered at stage t is paid from t on and ready from t + d on. A replica that is given up is one that is
//! still starting, the latest order first, before one that is ready. So
//!
//! ```text
//! r_t = min(h_t, n_{t−d}, …, n_t)        (n before stage 0 is `initial`)
//! ```
//!
//! where `h_t` is what of the initial fleet has started up by stage t ([`Limits::starting`]). Without a delay,
//! `r_t = n_t`.

use tidegate_core::Replicas;

use crate::error::{ProgramError, finite, length, not_negative};
use crate::{Band, Table};

/// Bounds, ramp limits, start-up and the state at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The replicas allowed at each stage.
    pub bounds: Vec<Band>,
    /// The most that may be added from one stage to the next; `Replicas::MAX` for no limit.
    pub ramp_up: Replicas,
    /// The most that may be given up from one stage to the next; `Replicas::MAX` for no limit.
    pub ramp_down: Replicas,
    /// Replicas at the start, ready or starting.
    pub initial: Replicas,
    /// Stages from order to service.
    pub delay_ticks: u32,
    /// How many of the initial replicas become ready at the start of stage 1, 2, …; shorter than the delay, empty
    /// where all are ready.
    pub starting: Vec<Replicas>,
}

/// Dollars for each replica more or less than the stage before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Switching {
    /// A replica added.
    pub up_dollars: f64,
    /// A replica given up.
    pub down_dollars: f64,
}

/// The program of one pool; see [the module](self).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OnePool {
    /// What may be ordered when.
    pub limits: Limits,
    /// The price of an ordered replica at each stage; at least 0.
    pub dollars_per_replica: Vec<f64>,
    /// φ: the cost of each stage over *ready* replicas, for the counts of [`Limits::needed`] at least.
    pub stage: Table,
    /// Cost of change.
    pub switching: Switching,
    /// The cost of what is ordered at the last stage: one row; `None` for 0.
    pub terminal: Option<Table>,
}

impl Limits {
    /// The counts that can be ordered at each stage: those within the bounds that ramps from `initial` reach.
    ///
    /// # Errors
    /// [`ProgramError::Impossible`] names the first bound that cannot be met. Bands are intervals, so where no stage
    /// is empty every count of a band can be gone on from: the check is exact.
    pub fn reachable(&self) -> Result<Vec<Band>, ProgramError> {
        let mut bands = Vec::new();
        self.reach(0, Band::new(self.initial, self.initial), &mut bands)?;
        Ok(bands)
    }

    /// The counts that can be *ready* at each stage, which the stage costs have to cover: without a delay those of
    /// [`Limits::reachable`], with a delay also those of the stages before.
    ///
    /// # Errors
    /// As [`Limits::reachable`].
    pub fn needed(&self) -> Result<Vec<Band>, ProgramError> {
        let bands = self.reachable()?;
        let states = Band::new(self.initial, self.initial);
        Ok((0..bands.len()).map(|stage| self.needed_at(stage, 0, states, &bands)).collect())
    }

    /// The hull of the bands of the stages `stage − d` to `stage`, and of `states` before stage `first`.
    pub(crate) fn needed_at(&self, stage: usize, first: usize, states: Band, bands: &[Band]) -> Band {
        let delay = self.delay_ticks as usize;
        let window = stage.saturating_sub(delay).max(first)..=stage;
        let needed = bands[window].iter().fold(bands[stage], |all, band| all.hull(*band));
        if stage >= first + delay {
            return needed;
        }
        let needed = needed.hull(states);
        Band { low: needed.low.min(self.ready_most(stage)), ..needed }
    }

    /// What of the initial fleet has started up by `stage`, if nothing is given up.
    pub fn ready_most(&self, stage: usize) -> Replicas {
        self.starting.iter().skip(stage).fold(self.initial, |ready, late| ready.saturating_sub(*late))
    }

    /// Bands that ramps reach from `states` before stage `first` on; entries before `first` are the bounds.
    pub(crate) fn reach(
        &self,
        first: usize,
        states: Band,
        bands: &mut Vec<Band>,
    ) -> Result<(), ProgramError> {
        bands.clear();
        bands.extend_from_slice(&self.bounds[..first]);
        let mut last = states;
        for (stage, bound) in self.bounds.iter().enumerate().skip(first) {
            if bound.low > bound.high {
                return Err(ProgramError::Impossible(format!(
                    "stage {stage}: at least {} and at most {} replicas",
                    bound.low, bound.high
                )));
            }
            let (least, most) =
                (last.low.saturating_sub(self.ramp_down), last.high.saturating_add(self.ramp_up));
            let from = || match states {
                Band { low, high } if low == high => format!("start {low}"),
                Band { low, high } => format!("start {low} to {high}"),
            };
            if most < bound.low {
                return Err(ProgramError::Impossible(format!(
                    "{} cannot reach at least {} at stage {stage} by steps of {}",
                    from(),
                    bound.low,
                    self.ramp_up
                )));
            }
            if least > bound.high {
                return Err(ProgramError::Impossible(format!(
                    "{} cannot reach at most {} at stage {stage} by steps of {}",
                    from(),
                    bound.high,
                    self.ramp_down
                )));
            }
            last = Band::new(least.max(bound.low), most.min(bound.high));
            bands.push(last);
        }
        Ok(())
    }

    fn validate(&self) -> Result<(), ProgramError> {
        if self.bounds.is_empty() {
            return Err(ProgramError::NoStages);
        }
        if self.starting.len() > (self.delay_ticks as usize).saturating_sub(1) {
            return Err(ProgramError::Length {
                field: "starting",
                expected: (self.delay_ticks as usize).saturating_sub(1),
                found: self.starting.len(),
            });
        }
        let starting: u64 = self.starting.iter().map(|count| u64::from(*count)).sum();
        if starting > u64::from(self.initial) {
            return Err(ProgramError::Range {
                field: "starting",
                range: "at most the initial replicas in sum",
                value: starting as f64,
            });
        }
        Ok(())
    }
}

impl OnePool {
    /// Number of stages, T.
    pub fn n_stages(&self) -> usize {
        self.limits.bounds.len()
    }

    /// Whether the program says something that can be solved.
    ///
    /// # Errors
    /// What is wrong with it, or the constraint that cannot be met.
    pub fn validate(&self) -> Result<(), ProgramError> {
        let mut bands = Vec::new();
        self.check(0, Band::new(self.limits.initial, self.limits.initial), &mut bands)
    }

    /// As [`OnePool::validate`], from any of `states` before stage `first`; leaves the bands of what can be ordered.
    pub(crate) fn check(
        &self,
        first: usize,
        states: Band,
        bands: &mut Vec<Band>,
    ) -> Result<(), ProgramError> {
        self.limits.validate()?;
        let n_stages = self.n_stages();
        length("dollars_per_replica", n_stages, self.dollars_per_replica.len())?;
        length("stage", n_stages, self.stage.n_stages())?;
        finite("dollars_per_replica", &self.dollars_per_replica)?;
        if let Some(dollars) = self.dollars_per_replica.iter().find(|dollars| **dollars < 0.0) {
            not_negative("dollars_per_replica", *dollars)?;
        }
        not_negative("switching.up_dollars", self.switching.up_dollars)?;
        not_negative("switching.down_dollars", self.switching.down_dollars)?;
        self.limits.reach(first, states, bands)?;
        for stage in first..n_stages {
            let (needed, found) =
                (self.limits.needed_at(stage, first, states, bands), self.stage.band(stage));
            if !found.covers(needed) {
                return Err(ProgramError::Uncovered { field: "stage", stage, needed, found });
            }
            let row = self.stage.row(stage);
            if finite("stage", row).is_err() {
                let value = *row.iter().find(|value| !value.is_finite()).expect("one of them is not finite");
                return Err(ProgramError::NotFinite { field: "stage", stage, value });
            }
            if self.limits.delay_ticks > 0 {
                // Costs that are computed may rise by rounding.
                let rises = |pair: &[f64]| pair[1] > pair[0] + 1e-9 * (1.0 + pair[0].abs());
                if let Some(index) = row.windows(2).position(rises) {
                    let replicas = found.low + index as Replicas;
                    return Err(ProgramError::Rising { stage, replicas });
                }
            }
        }
        if let Some(terminal) = &self.terminal {
            length("terminal", 1, terminal.n_stages())?;
            let (needed, found) = (bands[n_stages - 1], terminal.band(0));
            if !found.covers(needed) {
                return Err(ProgramError::Uncovered { field: "terminal", stage: 0, needed, found });
            }
            finite("terminal", terminal.row(0))?;
        }
        Ok(())
    }

    /// Ready replicas at `stage` under a plan.
    pub fn ready(&self, wanted: &[Replicas], stage: usize) -> Replicas {
        let delay = self.limits.delay_ticks as usize;
        let least =
            *wanted[stage.saturating_sub(delay)..=stage].iter().min().expect("a window holds its own stage");
        if stage < delay { least.min(self.limits.ready_most(stage)) } else { least }
    }

    /// The objective of a plan, by its definition; `None` where it breaks a limit. `wanted` has a count a stage.
    ///
    /// # Panics
    /// If the program is not [valid](OnePool::validate): then costs may be missing.
    pub fn dollars(&self, wanted: &[Replicas]) -> Option<f64> {
        let limits = &self.limits;
        let mut dollars = 0.0;
        let mut last = limits.initial;
        for (stage, &count) in wanted.iter().enumerate() {
            let (up, down) = (count.saturating_sub(last), last.saturating_sub(count));
            if !limits.bounds[stage].contains(count) || up > limits.ramp_up || down > limits.ramp_down {
                return None;
            }
            dollars += self.dollars_per_replica[stage] * f64::from(count)
                + self.stage.at(stage, self.ready(wanted, stage))
                + self.switching.up_dollars * f64::from(up)
                + self.switching.down_dollars * f64::from(down);
            last = count;
        }
        Some(dollars + self.terminal.as_ref().map_or(0.0, |terminal| terminal.at(0, last)))
    }
}
