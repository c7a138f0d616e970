//! The integer programs of [`tidegate_mpc`], searched by `HiGHS` (Huangfu and Hall 2018) instead of `microlp`.
//!
//! Empty without the feature `highs`: `HiGHS` is C++, built from source, and needs cmake, a C++ compiler and libclang.
//! Models are those of [`tidegate_mpc::milp`], written once; here is what runs them.
#![cfg_attr(
    feature = "highs",
    doc = r#"
```
use tidegate_core::{Solver, solver::Outcome};
use tidegate_highs::{GAP, Highs};
use tidegate_mpc::{Band, Convex, Limits, OnePool, OnePoolMilp, SearchLimits, Table};

// Three stages that need 2, 5 and 3 replicas; a replica costs $1 a stage, each one missing $4; steps of 2.
let limits = Limits {
    bounds: vec![Band::new(0, 9); 3], ramp_up: 2, ramp_down: 2, initial: 2, ..Limits::default()
};
let costs = [2.0, 5.0, 3.0].map(|needed| Convex::shortage(needed, 4.0));
let stage = Table::from_convex(&limits.needed()?, &costs);
let problem = OnePool { limits, dollars_per_replica: vec![1.0; 3], stage, ..OnePool::default() };
let mut solver = OnePoolMilp::by(Highs);
solver.limits = SearchLimits { gap: GAP, ..solver.limits };
let Outcome::Optimal(plan) = solver.solve(&problem) else { panic!("no plan") };
assert_eq!(plan.wanted, vec![vec![3, 5, 3]]);
# Ok::<(), tidegate_mpc::ProgramError>(())
```
"#
)]

#[cfg(feature = "highs")]
mod engine;

#[cfg(feature = "highs")]
pub use engine::{GAP, Highs};
