#![allow(warnings)]
use std::time::Instant;
use tidegate_core::Replicas;
use tidegate_core::solver::{Outcome, Solver};
use tidegate_mpc::*;
/// A day in half hours with a lunch peak and an evening peak: on-demand, spot, a second region, reserved machines.
fn program(n_pools: usize, quantum_ticks: u32) -> Pools {
    let n_stages = 48_usize;
    // Price, most, ramp, delay, minimum up time, capacity.
    let kinds =
        [(1.0, 16, 3, 1, 2, 1.0), (0.45, 8, 2, 2, 6, 1.0), (0.8, 10, 2, 2, 4, 1.5), (0.6, 6, 1, 4, 12, 0.8)];
    let pools =
        kinds[..n_pools].iter().map(|&(price, most, ramp, delay_ticks, up_ticks_min, capacity)| Pool {
            dollars_per_replica: vec![price; n_stages],
            bounds: Band::new(1, most),
            ramp_up: ramp,
            ramp_down: ramp,
            delay_ticks,
            up_ticks_min,
            quantum_ticks,
            switching: Switching { up_dollars: 0.3, down_dollars: 0.1 },
            capacity,
            initial: most / 4,
            terminal_dollars_per_replica: 0.0,
        });
    let needed = |stage: usize| {
        let hour = stage as f64 / 2.0;
        let bump = |at: f64, width: f64, height: f64| height * (-((hour - at) / width).powi(2)).exp();
        4.0 + 1.7 * n_pools as f64 * (bump(12.5, 2.0, 1.0) + bump(20.0, 1.5, 1.6))
    };
    let penalty = (0..n_stages).map(|stage| {
        let need = needed(stage);
        let mut convex = Convex::shortage(need, 4.0);
        convex.pieces.push(Piece { intercept_dollars: 0.8 * (need + 2.0), slope_dollars: -0.8 });
        convex
    });
    let course = Course { probability: 1.0, penalty: penalty.collect() };
    Pools { pools: pools.collect(), courses: vec![course], risk: Risk::Expected, chance: None }
}


fn show(name:&str,o:Outcome,s:f64){ match o { Outcome::Optimal(p)=>println!("{name} optimal {:.4} {s:.2}s",p.dollars), Outcome::Feasible{plan,bound_dollars}=>println!("{name} {:.4} bound {:.4} gap {:.3}% {s:.2}s",plan.dollars,bound_dollars,100.*(plan.dollars/bound_dollars-1.)), o=>println!("{name} {o:?}")}}
fn main(){
 for k in [3,4]{
  let p=program(k,1);
  for n in [1000,2000,4000] { let t=Instant::now(); let o=Decomposition{n_steps:n,n_kicks:0,..Decomposition::default()}.solve(&p); show(&format!("K={k} steps {n}"),o,t.elapsed().as_secs_f64()); }
  let t=Instant::now(); let o=Decomposition{n_steps:500,n_kicks:0,..Decomposition::default()}.solve(&p); show(&format!("K={k} kicks 60"),o.clone(),t.elapsed().as_secs_f64());
  let start = match o { Outcome::Optimal(p)=>p.wanted, Outcome::Feasible{plan,..}=>plan.wanted, _=>panic!() };
  let t=Instant::now(); let o=PoolsMilp{limits:SearchLimits{n_nodes_max:if k==2 {200} else {20},gap:1e-6},start:Some(start)}.solve(&p); show(&format!("K={k} milp"),o,t.elapsed().as_secs_f64());
 }}
