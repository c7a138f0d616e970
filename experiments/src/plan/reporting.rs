//! The words: what the solvers say, the plan, and what would be otherwise. Wall time has a table of its own, which only the
//! terminal shows.

use tidegate_core::Replicas;
use tidegate_core::solver::Outcome;

use super::detail::{self, OtherMove, StageOfPlan};
use super::solve::Answer;
use super::{Case, Program};
use crate::figures::plan::{Planned, PlannedPool, plan as figure};
use crate::report::{Report, Table, number, seconds};

/// Relative difference below which two objectives are the same.
const TOLERANCE: f64 = 1e-6;

/// The plan of the answers that is shown: the cheapest, of equal ones the first.
pub fn shown(answers: &[Answer]) -> Option<&Answer> {
    let dollars = |answer: &Answer| answer.plan().map_or(f64::INFINITY, |(_, dollars)| dollars);
    let least = answers.iter().map(dollars).fold(f64::INFINITY, f64::min);
    let is_least = |answer: &&Answer| dollars(answer) <= least + TOLERANCE * least.abs();
    answers.iter().filter(|answer| answer.plan().is_some()).find(is_least)
}

/// The report, and the stages of the plan that it shows.
pub fn report(case: &Case, answers: &[Answer]) -> (Report, Option<Vec<StageOfPlan>>) {
    let mut report = Report::new(&format!("Plan: {}", case.name));
    let program = &case.program;
    report.paragraph(format!(
        "A program of kind {}, {} stages, {}.",
        program.kind(),
        program.n_stages(),
        match program {
            Program::Pools(problem) => {
                format!("pools {}, {} courses of demand", case.pools.join(", "), problem.courses.len())
            }
            Program::OnePool(_) | Program::Response(_) => "one pool".to_owned(),
        }
    ));
    for note in &case.notes {
        report.paragraph(note);
    }
    if let Some(Outcome::Infeasible(constraint)) = answers.first().map(|answer| &answer.outcome) {
        report.paragraph(format!(
            "Infeasible: {}. No plan keeps this together with the other limits.",
            constraint.what
        ));
        return (report, None);
    }
    report.table(solvers(program, answers));
    let Some(answer) = shown(answers) else {
        report.paragraph("No solver found a plan.");
        return (report, None);
    };
    let (plan, dollars) = answer.plan().expect("it is one that has a plan");
    report.heading(2, "The plan");
    report.paragraph(format!("First move: {}.", first_move(case, plan)));
    let stages = detail::stages(program, plan);
    report.table(plan_table(case, &stages));
    let (capacity, penalty) = stages
        .iter()
        .fold((0.0, 0.0), |(a, b), stage| (a + stage.capacity_dollars, b + stage.penalty_dollars));
    let risk = dollars - capacity - penalty;
    let worst = if risk.abs() > TOLERANCE * (1.0 + dollars.abs()) {
        format!(" as expected, and ${} more for the worst courses", money(risk))
    } else {
        String::new()
    };
    report.paragraph(format!(
        "By {}: ${} for capacity, ${} of penalties{worst}. The last column is what one more ready {} at a stage would \
         change its penalty by; it costs its price.",
        answer.solver.name(),
        money(capacity),
        money(penalty),
        if matches!(program, Program::Pools(_)) { "unit of capacity" } else { "replica" }
    ));
    report.figure("plan.svg", "The plan over time", figure(&planned(case, &stages)));
    if let Some(law) = detail::law(program) {
        report.heading(2, "From another count");
        report.paragraph(
            "What to order at the first stage from each count, and what the whole horizon then costs.",
        );
        report.table(law_table(program, &law));
    }
    report.heading(2, "Another first move");
    report.paragraph(match program {
        Program::Pools(_) => {
            "The plan with that one change, the other stages as they are: at least what the best plan costs."
        }
        _ => "The best plan that begins so.",
    });
    report.table(moves_table(case, &detail::other_moves(program, answer)));
    (report, Some(stages))
}

fn money(value: f64) -> String {
    let text = format!("{value:.4}");
    if text.trim_start_matches(['-', '0', '.']).is_empty() {
        "0.0000".into()
    } else {
        text.replace('-', "−")
    }
}

fn status(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Optimal(_) => "optimal",
        Outcome::Feasible { .. } => "feasible",
        Outcome::Infeasible(_) => "infeasible",
        Outcome::Unsolved { .. } => "no plan",
    }
}

fn solvers(program: &Program, answers: &[Answer]) -> Table {
    let header = ["solver", "status", "objective, $", "bound, $", "gap, %", "plan"];
    let mut table = Table::new("What the solvers say", &header);
    let first = answers.iter().find_map(Answer::plan);
    let dash = || "–".to_owned();
    for answer in answers {
        let objective = answer.plan().map(|(_, dollars)| dollars);
        let gap = objective
            .zip(answer.bound())
            .map(|(dollars, bound)| 100.0 * (dollars - bound) / bound.abs().max(1e-9));
        let plan = match (answer.plan(), first) {
            (Some((plan, _)), Some((first, _))) => compared(plan, first),
            _ if is_not_convex(program, answer) => "costs are not convex".to_owned(),
            _ => dash(),
        };
        table.row([
            answer.solver.name().to_owned(),
            status(&answer.outcome).to_owned(),
            objective.map_or_else(dash, money),
            answer.bound().map_or_else(dash, money),
            gap.map_or_else(dash, |gap| format!("{gap:.4}")),
            plan,
        ]);
    }
    table
}

/// Why an integer program of one pool may be left unsolved.
fn is_not_convex(program: &Program, answer: &Answer) -> bool {
    let pool = match program {
        Program::OnePool(problem) => problem,
        Program::Response(problem) => &problem.pool,
        Program::Pools(_) => return false,
    };
    answer.bound().is_none() && (0..pool.n_stages()).any(|stage| pool.stage.pieces(stage).is_none())
}

fn compared(plan: &[Vec<Replicas>], first: &[Vec<Replicas>]) -> String {
    let n_stages = first[0].len();
    let differs = |stage: &usize| plan.iter().zip(first).any(|(a, b)| a[*stage] != b[*stage]);
    match (0..n_stages).filter(differs).count() {
        0 => "the same".into(),
        n => format!("differs at {n} of {n_stages} stages"),
    }
}

fn first_move(case: &Case, plan: &[Vec<Replicas>]) -> String {
    let initial: Vec<Replicas> = match &case.program {
        Program::OnePool(problem) => vec![problem.limits.initial],
        Program::Response(problem) => vec![problem.pool.limits.initial],
        Program::Pools(problem) => problem.pools.iter().map(|pool| pool.initial).collect(),
    };
    let one = |((name, initial), wanted): ((&String, &Replicas), &Vec<Replicas>)| match (*initial, wanted[0])
    {
        (from, to) if from == to => format!("{name}: stay at {to}"),
        (from, to) => format!("{name}: from {from} to {to}"),
    };
    let moves: Vec<String> = case.pools.iter().zip(&initial).zip(plan).map(one).collect();
    moves.join("; ")
}

/// Neighbouring stages in which nothing changes are one row: their loads and last column as a mean, dollars as a sum.
fn plan_table(case: &Case, stages: &[StageOfPlan]) -> Table {
    let mut header = vec!["stages".to_owned()];
    if case.load.is_some() {
        header.push("load".into());
    }
    for name in &case.pools {
        let of = if case.pools.len() > 1 { format!(" {name}") } else { String::new() };
        header.push(format!("ordered{of}"));
        header.push(format!("ready{of}"));
    }
    header.extend(["capacity, $", "penalty, $", "total, $", "one more, $"].map(str::to_owned));
    let names: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = Table::new("The plan", &names);
    let mut first = 0;
    for part in stages.chunk_by(|a, b| a.ordered == b.ordered && a.ready == b.ready) {
        let (last, n) = (first + part.len() - 1, part.len() as f64);
        let mut row = vec![if first == last { first.to_string() } else { format!("{first}–{last}") }];
        if let Some(load) = &case.load {
            row.push(number(load[first..=last].iter().sum::<f64>() / n));
        }
        for (ordered, ready) in part[0].ordered.iter().zip(&part[0].ready) {
            row.extend([ordered.to_string(), ready.to_string()]);
        }
        let sum = |of: &dyn Fn(&StageOfPlan) -> f64| part.iter().map(of).sum::<f64>();
        row.push(money(sum(&|stage| stage.capacity_dollars)));
        row.push(money(sum(&|stage| stage.penalty_dollars)));
        row.push(money(sum(&StageOfPlan::dollars)));
        let one_more: Option<Vec<f64>> = part.iter().map(|stage| stage.one_more_dollars).collect();
        row.push(one_more.map_or_else(|| "–".into(), |each| money(each.iter().sum::<f64>() / n)));
        table.row(row);
        first = last + 1;
    }
    table
}

fn law_table(program: &Program, law: &tidegate_mpc::Law) -> Table {
    let initial = match program {
        Program::OnePool(problem) => problem.limits.initial,
        Program::Response(_) | Program::Pools(_) => unreachable!("only a table has a law"),
    };
    let mut table = Table::new("The law at the first stage", &["count now", "order", "horizon, $"]);
    for ((state, wanted), dollars) in (law.states.low..).zip(&law.wanted).zip(&law.dollars) {
        let here = if state == initial { format!("{state} (now)") } else { state.to_string() };
        let wanted = wanted.map_or_else(|| "no plan".to_owned(), |wanted| wanted.to_string());
        let dollars = if dollars.is_finite() { money(*dollars) } else { "–".into() };
        table.row([here, wanted, dollars]);
    }
    table
}

fn moves_table(case: &Case, moves: &[OtherMove]) -> Table {
    let mut table = Table::new("Other first moves", &["pool", "order", "more, $"]);
    for other in moves {
        let more = match &other.more_dollars {
            Ok(more) => money(*more),
            Err(why) => format!("not allowed: {why}"),
        };
        table.row([case.pools[other.pool].clone(), other.ordered.to_string(), more]);
    }
    table
}

fn planned(case: &Case, stages: &[StageOfPlan]) -> Planned {
    let counts =
        |of: &dyn Fn(&StageOfPlan) -> Replicas| stages.iter().map(|stage| f64::from(of(stage))).collect();
    Planned {
        title: case.name.clone(),
        stage_seconds: case.stage_seconds,
        load: case.load.clone(),
        pools: (case.pools.iter().enumerate())
            .map(|(pool, name)| PlannedPool {
                name: name.clone(),
                ordered: counts(&|stage| stage.ordered[pool]),
                ready: counts(&|stage| stage.ready[pool]),
            })
            .collect(),
        capacity_dollars: stages.iter().map(|stage| stage.capacity_dollars).collect(),
        penalty_dollars: stages.iter().map(|stage| stage.penalty_dollars).collect(),
    }
}

/// `plan.csv`: a row a stage.
///
/// # Errors
/// If a row cannot be written.
pub fn csv(case: &Case, stages: &[StageOfPlan]) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut header = vec!["stage".to_owned(), "start_seconds".into(), "load".into()];
    for name in &case.pools {
        let of = if case.pools.len() > 1 { format!("_{name}") } else { String::new() };
        header.extend([format!("ordered{of}"), format!("ready{of}")]);
    }
    header.extend(["capacity_dollars", "penalty_dollars", "dollars", "one_more_dollars"].map(str::to_owned));
    writer.write_record(&header)?;
    let text = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    for (index, stage) in stages.iter().enumerate() {
        let mut row = vec![
            index.to_string(),
            text(case.stage_seconds.map(|seconds| seconds * index as f64)),
            text(case.load.as_ref().map(|load| load[index])),
        ];
        for (ordered, ready) in stage.ordered.iter().zip(&stage.ready) {
            row.extend([ordered.to_string(), ready.to_string()]);
        }
        let dollars = [stage.capacity_dollars, stage.penalty_dollars, stage.dollars()];
        row.extend(dollars.map(|it| it.to_string()));
        row.push(text(stage.one_more_dollars));
        writer.write_record(&row)?;
    }
    Ok(writer.into_inner()?)
}

/// Wall time of each solver, for the terminal.
pub fn timings(answers: &[Answer]) -> String {
    let one = |answer: &Answer| format!("{} {}", answer.solver.name(), seconds(answer.elapsed.as_secs_f64()));
    answers.iter().map(one).collect::<Vec<_>>().join(", ")
}
