//! A model as it grows, and what searches one.

use good_lp::{Expression, ProblemVariables, Variable, constraint, variable};

use crate::{Convex, Piece};

/// When a search stops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchLimits {
    /// Branch-and-bound nodes, the root not counted.
    pub n_nodes_max: u64,
    /// Relative gap between the best plan and the bound at which it counts as solved.
    pub gap: f64,
}

impl Default for SearchLimits {
    fn default() -> Self {
        Self { n_nodes_max: 10_000, gap: 0.0 }
    }
}

/// What searches a model: a branch and bound of one library or another.
pub trait Engine {
    /// Minimises, from `start`, a value for every variable in the order of their making. `None` where there is no
    /// solution or the method breaks down.
    fn search(&self, model: Model, limits: SearchLimits, start: Option<&[f64]>) -> Option<Found>;
}

/// What a search came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The best values, in the order in which variables were made; none where no solution was found.
    pub values: Option<Vec<f64>>,
    /// Whether the gap asked for is closed.
    pub is_optimal: bool,
    /// What no solution can undercut; −∞ where nothing is known.
    pub bound: f64,
}

/// A mixed-integer linear program, to be minimised. Its objective has no constant: `microlp` would lose it.
#[derive(Default)]
pub struct Model {
    /// The variables, their bounds, and which of them are whole.
    pub variables: ProblemVariables,
    /// What is minimised.
    pub objective: Expression,
    /// The rows.
    pub rows: Vec<good_lp::Constraint>,
}

/// A variable and its place among all.
#[derive(Clone, Copy)]
pub(super) struct Column {
    pub variable: Variable,
    pub index: usize,
}

impl Model {
    pub(super) fn whole(&mut self, low: f64, high: f64) -> Column {
        let index = self.variables.len();
        Column { variable: self.variables.add(variable().integer().min(low).max(high)), index }
    }

    pub(super) fn real(&mut self, low: f64, high: f64) -> Column {
        let index = self.variables.len();
        Column { variable: self.variables.add(variable().min(low).max(high)), index }
    }

    /// A variable that is at least φ of an expression; none where φ is 0.
    pub(super) fn above(&mut self, cost: &Convex, of: &Expression) -> Option<Column> {
        if cost.pieces.is_empty() {
            return None;
        }
        let (flat, sloped): (Vec<&Piece>, Vec<&Piece>) =
            cost.pieces.iter().partition(|piece| piece.slope_dollars == 0.0);
        let low = flat.iter().fold(f64::NEG_INFINITY, |low, piece| low.max(piece.intercept_dollars));
        let column = self.real(low, f64::INFINITY);
        let above = column.variable;
        for piece in sloped {
            let line = of.clone() * piece.slope_dollars + piece.intercept_dollars;
            self.rows.push(constraint!(above >= line));
        }
        Some(column)
    }
}
