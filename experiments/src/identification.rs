//! What the experiments on system identification share: data in, models and their scores out.

pub mod binomial;
pub mod criterion;
pub mod feedback;
pub mod models;
pub mod monte_carlo;
pub mod parity;
pub mod plant;
pub mod reference;
pub mod reporting;
pub mod scores;
pub mod selection;
pub mod service;
pub mod session;
pub mod synthetic;
pub mod table;
