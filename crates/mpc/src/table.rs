//! Costs over (stage, replicas), stored flat and only where they are needed.

use tidegate_core::Replicas;

/// Replica counts from `low` to `high`, both included; empty where `low` is above `high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    /// The least.
    pub low: Replicas,
    /// The most.
    pub high: Replicas,
}

impl Band {
    /// From `low` to `high`.
    pub const fn new(low: Replicas, high: Replicas) -> Self {
        Self { low, high }
    }

    /// How many counts it holds.
    pub const fn n_counts(self) -> usize {
        if self.low > self.high { 0 } else { (self.high - self.low) as usize + 1 }
    }

    /// Whether `replicas` lies in it.
    pub const fn contains(self, replicas: Replicas) -> bool {
        self.low <= replicas && replicas <= self.high
    }

    /// Whether all of `other` lies in it.
    pub const fn covers(self, other: Self) -> bool {
        self.low <= other.low && other.high <= self.high
    }

    /// The smallest band that holds both.
    pub fn hull(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }
}

/// One affine piece of a convex cost: intercept + slope · x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Piece {
    /// Dollars at x = 0.
    pub intercept_dollars: f64,
    /// Dollars for one more unit of x (a replica, or a unit of capacity).
    pub slope_dollars: f64,
}

impl Piece {
    /// Its value at `x`.
    pub fn at(self, x: f64) -> f64 {
        self.intercept_dollars + self.slope_dollars * x
    }
}

/// A convex cost φ(x) = max over pieces of (intercept + slope · x); 0 where there is no piece.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Convex {
    /// The pieces, in any order.
    pub pieces: Vec<Piece>,
}

impl Convex {
    /// The penalty of shortage: `dollars` for each unit of x below `needed`, nothing from there on.
    pub fn shortage(needed: f64, dollars: f64) -> Self {
        let short = Piece { intercept_dollars: needed * dollars, slope_dollars: -dollars };
        Self { pieces: vec![Piece { intercept_dollars: 0.0, slope_dollars: 0.0 }, short] }
    }

    /// φ(x).
    pub fn at(&self, x: f64) -> f64 {
        let most = self.pieces.iter().fold(f64::NEG_INFINITY, |most, piece| most.max(piece.at(x)));
        if self.pieces.is_empty() { 0.0 } else { most }
    }
}

/// A cost for every replica count of a band at every stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    rows: Vec<Row>,
    dollars: Vec<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Row {
    band: Band,
    start: usize,
}

impl Table {
    /// `cost(stage, replicas)` for all replicas of each stage's band.
    pub fn from_fn(bands: &[Band], cost: impl FnMut(usize, Replicas) -> f64) -> Self {
        let mut table = Self::default();
        table.refill(bands, cost);
        table
    }

    /// One convex cost a stage, at the whole counts of the stage's band.
    ///
    /// # Panics
    /// If there are fewer costs than bands.
    pub fn from_convex(bands: &[Band], costs: &[Convex]) -> Self {
        assert!(costs.len() >= bands.len(), "every stage needs its cost");
        Self::from_fn(bands, |stage, replicas| costs[stage].at(f64::from(replicas)))
    }

    /// As [`Table::from_fn`], into the same storage: no allocation once it is large enough.
    pub fn refill(&mut self, bands: &[Band], mut cost: impl FnMut(usize, Replicas) -> f64) {
        self.rows.clear();
        self.dollars.clear();
        for (stage, band) in bands.iter().enumerate() {
            self.rows.push(Row { band: *band, start: self.dollars.len() });
            self.dollars.extend((band.low..=band.high).map(|replicas| cost(stage, replicas)));
        }
    }

    /// As [`Table::refill`], a whole row of zeros at a time.
    pub fn refill_rows(&mut self, bands: &[Band], mut fill: impl FnMut(usize, &mut [f64])) {
        self.rows.clear();
        self.dollars.clear();
        for (stage, band) in bands.iter().enumerate() {
            let start = self.dollars.len();
            self.rows.push(Row { band: *band, start });
            self.dollars.resize(start + band.n_counts(), 0.0);
            fill(stage, &mut self.dollars[start..]);
        }
    }

    /// Number of stages.
    pub fn n_stages(&self) -> usize {
        self.rows.len()
    }

    /// The counts that a stage has costs for.
    pub fn band(&self, stage: usize) -> Band {
        self.rows[stage].band
    }

    /// The costs of a stage, from the band's least count on.
    pub fn row(&self, stage: usize) -> &[f64] {
        let Row { band, start } = self.rows[stage];
        &self.dollars[start..start + band.n_counts()]
    }

    /// The costs of the counts of `band` at a stage.
    ///
    /// # Panics
    /// If the table does not cover them.
    pub fn part(&self, stage: usize, band: Band) -> &[f64] {
        let skipped = (band.low - self.band(stage).low) as usize;
        &self.row(stage)[skipped..skipped + band.n_counts()]
    }

    /// The cost of `replicas` at a stage.
    ///
    /// # Panics
    /// If the table does not cover it.
    pub fn at(&self, stage: usize, replicas: Replicas) -> f64 {
        self.row(stage)[(replicas - self.band(stage).low) as usize]
    }

    /// The lines through neighbouring counts of a row, equal slopes joined; `None` where the row is not convex.
    /// Their maximum is the row at whole counts and its interpolation between them: the cuts with which the linear
    /// program of one pool is integral.
    pub fn pieces(&self, stage: usize) -> Option<Convex> {
        let (row, low) = (self.row(stage), f64::from(self.band(stage).low));
        let scale = row.iter().fold(1.0_f64, |most, dollars| most.max(dollars.abs()));
        // Slopes are differences of numbers of this size.
        let tolerance = 1e-11 * scale;
        let line = |x: f64, dollars: f64, slope: f64| Piece {
            intercept_dollars: dollars - slope * x,
            slope_dollars: slope,
        };
        if let [only] = row {
            return Some(Convex { pieces: vec![line(low, *only, 0.0)] });
        }
        let mut pieces: Vec<Piece> = Vec::new();
        for (index, pair) in row.windows(2).enumerate() {
            let slope = pair[1] - pair[0];
            match pieces.last() {
                Some(last) if slope < last.slope_dollars - tolerance => return None,
                Some(last) if slope <= last.slope_dollars + tolerance => {}
                _ => pieces.push(line(low + index as f64, pair[0], slope)),
            }
        }
        Some(Convex { pieces })
    }
}
