//! What the experiments on system identification share: data in, models and their scores out.

pub mod binomial;
pub mod criterion;
pub mod plant;
pub mod reference;
pub mod synthetic;
pub mod table;
