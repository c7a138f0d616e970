//! What one metric asks for.
#![allow(clippy::needless_pass_by_value, reason = "rows read better with plain metrics")]

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use tidegate_autoscalers::hpa::pods::request_milli;
use tidegate_autoscalers::hpa::{
    Calculation, Container, ContainerKind, Failure, Flags, Group, Metric, Pod, Question, Reading, Requests,
    Resource, Target, ToleranceForm, Tolerances, calculate, pods as pod_groups,
};

use super::{
    NOW, average, cpu, cpu_average, external, failed, flags, memory, object, of_pods, pods, value, values,
};

const TOLERANCES: Tolerances = Tolerances { up: 0.1, down: 0.1, form: ToleranceForm::Interval };

/// One metric over some pods: count, why, utilization or mean, ratio; with filled values the second ratio and its
/// samples; the pods of each group.
fn check(current: i32, words: &str, metric: Metric, expected: &Expect) {
    check_with(current, words, metric, TOLERANCES, expected);
}

fn check_with(current: i32, words: &str, metric: Metric, tolerances: Tolerances, expected: &Expect) {
    let (pods, reading) = pods(words);
    expected.assert_eq(&asked(current, current, &pods, &reading, &metric, tolerances));
}

/// A metric of no pods, over so many ready pods: declared, observed, values.
fn check_whole(current: i32, observed: i32, words: &str, metric: Metric, milli: &[i64], expected: &Expect) {
    let (pods, _) = pods(words);
    expected.assert_eq(&asked(current, observed, &pods, &values(milli), &metric, TOLERANCES));
}

fn asked(
    current: i32,
    observed: i32,
    pods: &[Pod],
    reading: &Reading,
    metric: &Metric,
    tolerances: Tolerances,
) -> String {
    let flags = flags();
    let question = Question { now_seconds: NOW, current, observed, pods, reading, tolerances, flags: &flags };
    match calculate(metric, &question, &mut Vec::new()) {
        Ok(found) => text(&found),
        Err(failure) => format!("{failure:?}"),
    }
}

fn text(found: &Calculation) -> String {
    let usage =
        found.utilization_percent.map_or(found.usage_milli.to_string(), |percent| format!("{percent}%"));
    let mut text = format!("{} {:?}: {usage}, {:.4}", found.replicas, found.because, found.ratio);
    if let Some(filled) = found.filled {
        write!(text, " -> {:.4} of {}", filled.ratio, filled.samples).expect("a string takes all");
    }
    let counts = found.counts;
    for (n, letter) in [
        (counts.ready, 'r'),
        (counts.unready, 'u'),
        (counts.missing, 'm'),
        (counts.ignored, 'i'),
        (counts.strays, 'x'),
    ] {
        if n > 0 {
            write!(text, ", {n}{letter}").expect("a string takes all");
        }
    }
    text
}

#[test]
fn utilization_is_a_ratio_of_sums_in_whole_percent() {
    check(3, "r300 r500 r700", cpu(30), &expect!["5 Proportional: 50%, 1.6667, 3r"]);
    check(3, "r300 r500 r700", cpu(50), &expect!["3 WithinTolerance: 50%, 1.0000, 3r"]);
    check(2, "r1000/4000 r1000/1000", cpu(50), &expect!["2 Proportional: 40%, 0.8000, 2r"]);
    check(3, "r899 r900 r900", cpu(90), &expect!["3 WithinTolerance: 89%, 0.9889, 3r"]);
    check(1, "r999", cpu(100), &expect!["1 WithinTolerance: 99%, 0.9900, 1r"]);
    check(3, "r1010/900 r1030/1000 r1020/1100", cpu(100), &expect!["3 WithinTolerance: 102%, 1.0200, 3r"]);
    check(1, "r9", cpu(1), &expect!["0 Proportional: 0%, 0.0000, 1r"]);
    check(3, "r0 r0 r0", cpu(50), &expect!["0 Proportional: 0%, 0.0000, 3r"]);
    check(2, "r0/0 r500", cpu(50), &expect!["2 WithinTolerance: 50%, 1.0000, 2r"]);
    check(1, "r500/0", cpu(50), &expect!["NoMatch"]);
    check(2, "r3000 r2000", cpu(200), &expect!["3 Proportional: 250%, 1.2500, 2r"]);
    check(2, "r100 r100", memory(5), &expect!["4 Proportional: 10%, 2.0000, 2r"]);
    check(10, "r501 r501 r501", cpu(50), &expect!["10 WithinTolerance: 50%, 1.0000, 3r"]);
}

#[test]
fn the_upper_edge_of_the_tolerance_depends_on_how_it_is_compared() {
    let distance = Tolerances { form: ToleranceForm::Distance, ..TOLERANCES };
    check(10, "r550", cpu(50), &expect!["10 WithinTolerance: 55%, 1.1000, 1r"]);
    check_with(10, "r550", cpu(50), distance, &expect!["2 Proportional: 55%, 1.1000, 1r"]);
    check(10, "r560", cpu(50), &expect!["2 Proportional: 56%, 1.1200, 1r"]);
    check(10, "r450", cpu(50), &expect!["10 WithinTolerance: 45%, 0.9000, 1r"]);
    check_with(10, "r450", cpu(50), distance, &expect!["10 WithinTolerance: 45%, 0.9000, 1r"]);
    check(10, "r440", cpu(50), &expect!["1 Proportional: 44%, 0.8800, 1r"]);
    check(4, "r1100 r1100", of_pods(1000), &expect!["4 WithinTolerance: 1100, 1.1000, 2r"]);
    check_with(4, "r1100 r1100", of_pods(1000), distance, &expect!["3 Proportional: 1100, 1.1000, 2r"]);
    check_with(
        3,
        "r1010",
        cpu(100),
        Tolerances { up: 0.0, down: 0.0, ..TOLERANCES },
        &expect!["2 Proportional: 101%, 1.0100, 1r"],
    );
    check_with(
        3,
        "r1000",
        cpu(100),
        Tolerances { up: 0.0, down: 0.0, ..TOLERANCES },
        &expect!["3 WithinTolerance: 100%, 1.0000, 1r"],
    );
    check_with(
        3,
        "r990",
        cpu(100),
        Tolerances { up: 0.0, down: 0.0, ..TOLERANCES },
        &expect!["1 Proportional: 99%, 0.9900, 1r"],
    );
    check_with(
        3,
        "r1900",
        cpu(100),
        Tolerances { up: 2.0, ..TOLERANCES },
        &expect!["3 WithinTolerance: 190%, 1.9000, 1r"],
    );
    check_with(
        3,
        "r1900",
        cpu(100),
        Tolerances { down: 2.0, ..TOLERANCES },
        &expect!["2 Proportional: 190%, 1.9000, 1r"],
    );
    check_with(
        3,
        "r100",
        cpu(100),
        Tolerances { down: 0.95, ..TOLERANCES },
        &expect!["3 WithinTolerance: 10%, 0.1000, 1r"],
    );
    check_with(
        3,
        "r100",
        cpu(100),
        Tolerances { up: 0.95, ..TOLERANCES },
        &expect!["1 Proportional: 10%, 0.1000, 1r"],
    );
    check_with(
        3,
        "r100",
        cpu(100),
        Tolerances { up: 0.95, form: ToleranceForm::Distance, down: 0.1 },
        &expect!["1 Proportional: 10%, 0.1000, 1r"],
    );
}

/// A wide tolerance on one side of 1 is none on the other.
#[test]
fn each_direction_has_its_tolerance() {
    let row = |down: f64, up: f64, words: &str, expected: &Expect| {
        check_with(3, words, cpu(100), Tolerances { up, down, ..TOLERANCES }, expected);
    };
    row(0.0, 0.0, "r909 r1010 r1111", &expect!["4 Proportional: 101%, 1.0100, 3r"]);
    row(0.0, 2.0, "r1890 r1910 r1900", &expect!["3 WithinTolerance: 190%, 1.9000, 3r"]);
    row(0.3, 0.08, "r1100 r1080 r1090", &expect!["4 Proportional: 109%, 1.0900, 3r"]);
    row(0.3, 0.09, "r1100 r1080 r1090", &expect!["3 WithinTolerance: 109%, 1.0900, 3r"]);
    row(0.36, 0.0, "r660 r640 r650", &expect!["3 WithinTolerance: 65%, 0.6500, 3r"]);
    row(0.35, 0.0, "r660 r640 r650", &expect!["3 WithinTolerance: 65%, 0.6500, 3r"]);
    row(0.34, 0.9, "r660 r640 r650", &expect!["2 Proportional: 65%, 0.6500, 3r"]);
    // Also with filled values: 1.9 and 0.95 of two.
    row(0.04, 2.0, "r1900 r", &expect!["3 FilledTurnsDirection: 190%, 1.9000 -> 0.9500 of 2, 1r, 1m"]);
    row(0.2, 0.0, "r600 r", &expect!["3 FilledWithinTolerance: 60%, 0.6000 -> 0.8000 of 2, 1r, 1m"]);
    row(0.1, 0.0, "r600 r", &expect!["2 Proportional: 60%, 0.6000 -> 0.8000 of 2, 1r, 1m"]);
}

#[test]
fn the_multiplier_is_the_number_of_pods_looked_at() {
    check(4, "r1000", cpu(50), &expect!["2 Proportional: 100%, 2.0000, 1r"]);
    check(4, "r1000 r1000", cpu(50), &expect!["4 Proportional: 100%, 2.0000, 2r"]);
    check(1, "r1000 r1000 r1000", cpu(50), &expect!["6 Proportional: 100%, 2.0000, 3r"]);
    // Within the tolerance the declared count stays, whatever exists.
    check(4, "r500 r500 r500 r500 r500", cpu(50), &expect!["4 WithinTolerance: 50%, 1.0000, 5r"]);
    check(2, "r500", cpu(50), &expect!["2 WithinTolerance: 50%, 1.0000, 1r"]);
}

#[test]
fn pods_that_are_not_ready_lower_the_demand_of_cpu_going_up_and_are_left_out_going_down() {
    check(3, "u300 r500 r700", cpu(30), &expect!["4 Proportional: 60%, 2.0000 -> 1.3333 of 3, 2r, 1u"]);
    check(3, "N300 r500 r700", cpu(30), &expect!["4 Proportional: 60%, 2.0000 -> 1.3333 of 3, 2r, 1u"]);
    check(3, "n300 r500 r700", cpu(30), &expect!["5 Proportional: 50%, 1.6667, 3r"]);
    check(3, "h300 r500 r700", cpu(30), &expect!["4 Proportional: 60%, 2.0000 -> 1.3333 of 3, 2r, 1u"]);
    check(3, "H300 r500 r700", cpu(30), &expect!["5 Proportional: 50%, 1.6667, 3r"]);
    check(3, "k300 r500 r700", cpu(30), &expect!["5 Proportional: 50%, 1.6667, 3r"]);
    check(3, "c300 r500 r700", cpu(30), &expect!["4 Proportional: 60%, 2.0000 -> 1.3333 of 3, 2r, 1u"]);
    check(3, "s300 r500 r700", cpu(30), &expect!["4 Proportional: 60%, 2.0000 -> 1.3333 of 3, 2r, 1u"]);
    check(3, "p r500 r700", cpu(30), &expect!["4 Proportional: 60%, 2.0000 -> 1.3333 of 3, 2r, 1u"]);
    check(
        3,
        "u300 u500 r400",
        cpu(30),
        &expect!["3 FilledTurnsDirection: 40%, 1.3333 -> 0.4333 of 3, 1r, 2u"],
    );
    check(5, "r100 r300 r500 u250 u250", cpu(50), &expect!["2 Proportional: 30%, 0.6000, 3r, 2u"]);
    check(5, "r100 p p p p", cpu(50), &expect!["1 Proportional: 10%, 0.2000, 1r, 4u"]);
    check(2, "u900 u900", cpu(50), &expect!["NoSamples"]);
    check(2, "p p", cpu(50), &expect!["Nothing"]);
    // Exactly at the target nothing is filled in.
    check(3, "u900 r500 r500", cpu(50), &expect!["3 WithinTolerance: 50%, 1.0000, 2r, 1u"]);
}

#[test]
fn readiness_is_for_cpu_alone() {
    check(3, "u300 r500 r700", memory(30), &expect!["5 Proportional: 50%, 1.6667, 3r"]);
    check(3, "u300 r500 r700", of_pods(300), &expect!["5 Proportional: 500, 1.6667, 3r"]);
    check(
        3,
        "u300 r500 r700",
        cpu_average(300),
        &expect!["4 Proportional: 600, 2.0000 -> 1.3333 of 3, 2r, 1u"],
    );
    check(3, "p r500 r700", memory(30), &expect!["4 Proportional: 60%, 2.0000 -> 1.3333 of 3, 2r, 1u"]);
    check(2, "c500 s700", memory(30), &expect!["4 Proportional: 60%, 2.0000, 2r"]);
    check(2, "e500 e500", of_pods(250), &expect!["4 Proportional: 500, 2.0000, 2r"]);
}

#[test]
fn deleted_and_failed_pods_do_not_count_and_succeeded_ones_do() {
    check(2, "r500 r700 f f", cpu(30), &expect!["4 Proportional: 60%, 2.0000, 2r, 2i"]);
    check(2, "r500 r700 f9000 d9000", cpu(30), &expect!["4 Proportional: 60%, 2.0000, 2r, 2i"]);
    check(2, "r500 r700 d9000", of_pods(300), &expect!["4 Proportional: 600, 2.0000, 2r, 1i"]);
    check(2, "e500 r700", cpu(30), &expect!["4 Proportional: 60%, 2.0000, 2r"]);
    check(1, "d500", cpu(30), &expect!["NoSamples"]);
    check(1, "f500", cpu(30), &expect!["NoSamples"]);
}

#[test]
fn missing_pods_argue_against_the_change() {
    // Down: as busy as they may be.
    check(4, "r400 r95 r r", cpu(100), &expect!["3 Proportional: 24%, 0.2400 -> 0.6200 of 4, 2r, 2m"]);
    check(2, "r600 r", cpu(100), &expect!["2 Proportional: 60%, 0.6000 -> 0.8000 of 2, 1r, 1m"]);
    check(4, "r200 r100 r/2000", cpu(300), &expect!["2 Proportional: 15%, 0.0500 -> 0.5233 of 3, 2r, 1m"]);
    check(
        4,
        "r100 r100 r100 r",
        cpu_average(500),
        &expect!["2 Proportional: 100, 0.2000 -> 0.4000 of 4, 3r, 1m"],
    );
    check(
        4,
        "r100 r100 r100 r",
        of_pods(500),
        &expect!["2 Proportional: 100, 0.2000 -> 0.4000 of 4, 3r, 1m"],
    );
    check(4, "r100 r100 r100 r", cpu(50), &expect!["3 Proportional: 10%, 0.2000 -> 0.6400 of 4, 3r, 1m"]);
    // Up: idle.
    check(2, "r1900 r", cpu(100), &expect!["2 FilledWithinTolerance: 190%, 1.9000 -> 0.9500 of 2, 1r, 1m"]);
    check(3, "r2000 r2000 r", cpu(50), &expect!["8 Proportional: 200%, 4.0000 -> 2.6600 of 3, 2r, 1m"]);
    check(3, "r3000 r3000 r", of_pods(1000), &expect!["6 Proportional: 3000, 3.0000 -> 2.0000 of 3, 2r, 1m"]);
    // At the target: left out, and the ratio is 1 again.
    check(2, "r1000 r", cpu(100), &expect!["2 FilledWithinTolerance: 100%, 1.0000 -> 1.0000 of 1, 1r, 1m"]);
    check(
        5,
        "r20000 r19000 r21000 r r",
        of_pods(20_000),
        &expect!["5 FilledWithinTolerance: 20000, 1.0000 -> 1.0000 of 3, 3r, 2m"],
    );
    // None has a sample.
    check(2, "r r", cpu(50), &expect!["Nothing"]);
    check(2, "r r", of_pods(50), &expect!["Nothing"]);
}

#[test]
fn missing_and_unready_pods_together() {
    // Up: both idle.
    check(
        4,
        "u100 r2000 r2000 r",
        cpu(50),
        &expect!["8 Proportional: 200%, 4.0000 -> 2.0000 of 4, 2r, 1u, 1m"],
    );
    check(4, "p r2000 r", cpu(50), &expect!["4 Proportional: 200%, 4.0000 -> 1.3200 of 3, 1r, 1u, 1m"]);
    // Down: the unready one is left out, the missing one is busy.
    check(
        3,
        "u100 r450 r",
        cpu(50),
        &expect!["3 FilledTurnsDirection: 45%, 0.9000 -> 1.4400 of 2, 1r, 1u, 1m"],
    );
    check(4, "u100 r100 r100 r", cpu(50), &expect!["3 Proportional: 10%, 0.2000 -> 0.8000 of 3, 2r, 1u, 1m"]);
    check(
        4,
        "p p r100 r",
        cpu(50),
        &expect!["4 FilledWithinTolerance: 10%, 0.2000 -> 1.1000 of 2, 1r, 2u, 1m"],
    );
}

#[test]
fn a_change_of_direction_keeps_the_count() {
    check(3, "r700 u0 u0", cpu(50), &expect!["3 FilledTurnsDirection: 70%, 1.4000 -> 0.4600 of 3, 1r, 2u"]);
    check(3, "r400 r r", cpu(50), &expect!["3 FilledTurnsDirection: 40%, 0.8000 -> 1.6000 of 3, 1r, 2m"]);
    check(
        2,
        "r1050/1000 r",
        cpu(100),
        &expect!["2 FilledTurnsDirection: 105%, 1.0500 -> 0.5200 of 2, 1r, 1m"],
    );
    // The ratio stays below 1, but there are more samples than are declared: a surge.
    check(2, "r100 r100 r", cpu(50), &expect!["2 CountTurnsDirection: 10%, 0.2000 -> 0.8000 of 3, 2r, 1m"]);
    check(
        2,
        "r10000 r10000 r",
        of_pods(17_000),
        &expect!["2 CountTurnsDirection: 10000, 0.5882 -> 0.7255 of 3, 2r, 1m"],
    );
    // Above 1, with fewer samples than declared.
    check(
        6,
        "r1000 r1000 u0",
        cpu(50),
        &expect!["6 CountTurnsDirection: 100%, 2.0000 -> 1.3200 of 3, 2r, 1u"],
    );
    check(1, "r1000 r1000 u0", cpu(50), &expect!["4 Proportional: 100%, 2.0000 -> 1.3200 of 3, 2r, 1u"]);
}

#[test]
fn samples_of_unknown_pods_count_as_pods_and_not_as_usage() {
    check(
        4,
        "r4000 r9500 r3000 r7000 x3200 x2000",
        cpu(100),
        &expect!["24 Proportional: 587%, 5.8700, 4r, 2x"],
    );
    check(2, "r500 r500 x9000", of_pods(500), &expect!["14 Proportional: 3333, 6.6660, 2r, 1x"]);
    check(
        2,
        "r600 r x0",
        cpu(100),
        &expect!["2 CountTurnsDirection: 60%, 0.6000 -> 0.8000 of 3, 1r, 1m, 1x"],
    );
    check(1, "r x100", cpu(100), &expect!["NoMatch"]);
}

#[test]
fn means_are_truncated() {
    check(3, "r50000 r15000 r30000", of_pods(15_000), &expect!["7 Proportional: 31666, 2.1111, 3r"]);
    check(2, "r1 r2", of_pods(1), &expect!["2 WithinTolerance: 1, 1.0000, 2r"]);
    check(3, "r0 r0 r1", of_pods(1), &expect!["0 Proportional: 0, 0.0000, 3r"]);
    check(2, "r-1 r-2", of_pods(1), &expect!["-2 Proportional: -1, -1.0000, 2r"]);
    check(3, "r300 r500 r700", cpu_average(250), &expect!["6 Proportional: 500, 2.0000, 3r"]);
}

#[test]
fn requests_must_be_there_for_utilization_only() {
    check(2, "r500 r500/-", cpu(50), &expect!["NoRequest { pod: 1, container: 0 }"]);
    // Even of a pod that does not count.
    check(2, "r500 f/-", cpu(50), &expect!["NoRequest { pod: 1, container: 0 }"]);
    check(2, "r500 r500/-", cpu_average(500), &expect!["2 WithinTolerance: 500, 1.0000, 2r"]);
    check(0, "", cpu(50), &expect!["Nothing"]);
    check(0, "x500", cpu(50), &expect!["NoPods"]);
    check(1, "r500", Metric::Resource { resource: Resource::Cpu, target: value(5) }, &expect!["Target"]);
    check(1, "r500", object(Target::Utilization { percent: 5 }), &expect!["Target"]);
    check(1, "r500", external(Target::Utilization { percent: 5 }), &expect!["Target"]);
    check(1, "r500", Metric::Unknown { kind: "Cheese".into() }, &expect!["Type"]);
}

#[test]
fn a_value_is_held_against_ready_pods() {
    check_whole(
        3,
        3,
        "r r r",
        object(value(15_000)),
        &[20_000],
        &expect!["4 Proportional: 20000, 1.3333, 3r"],
    );
    check_whole(
        3,
        3,
        "u r u",
        object(value(10_000)),
        &[50_000],
        &expect!["5 Proportional: 50000, 5.0000, 1r"],
    );
    check_whole(3, 3, "r n p", external(value(1000)), &[3000], &expect!["3 Proportional: 3000, 3.0000, 1r"]);
    // Pods that are being deleted count as long as they are ready.
    check_whole(1, 1, "r d", external(value(1000)), &[3000], &expect!["6 Proportional: 3000, 3.0000, 2r"]);
    check_whole(3, 3, "e e r", external(value(1000)), &[3000], &expect!["3 Proportional: 3000, 3.0000, 1r"]);
    check_whole(3, 3, "r r r", external(value(1000)), &[1100], &expect!["3 WithinTolerance: 1100, 1.1000"]);
    check_whole(3, 3, "r r r", external(value(1000)), &[1101], &expect!["4 Proportional: 1101, 1.1010, 3r"]);
    check_whole(
        3,
        3,
        "r r r",
        external(value(1000)),
        &[400, 300, 200],
        &expect!["3 WithinTolerance: 900, 0.9000"],
    );
    check_whole(
        3,
        3,
        "r r r",
        external(value(1000)),
        &[100, 200],
        &expect!["1 Proportional: 300, 0.3000, 3r"],
    );
    check_whole(
        5,
        5,
        "r r r r r",
        external(value(14_334)),
        &[8600],
        &expect!["3 Proportional: 8600, 0.6000, 5r"],
    );
    check_whole(3, 3, "r r r", external(value(8888)), &[8600], &expect!["3 WithinTolerance: 8600, 0.9676"]);
    check_whole(
        3,
        3,
        "r r r",
        object(value(20_000)),
        &[20_666],
        &expect!["3 WithinTolerance: 20666, 1.0333"],
    );
    // An object has one value.
    check_whole(
        3,
        3,
        "r r r",
        object(value(1000)),
        &[2000, 9000],
        &expect!["6 Proportional: 2000, 2.0000, 3r"],
    );
    check_whole(3, 3, "", external(value(1000)), &[1000], &expect!["3 WithinTolerance: 1000, 1.0000"]);
    check_whole(3, 3, "", external(value(1000)), &[2000], &expect!["NoPods"]);
    check_whole(3, 3, "r r r", external(value(1000)), &[], &expect!["Nothing"]);
    check_whole(3, 3, "r r r", external(value(1000)), &[0], &expect!["0 Proportional: 0, 0.0000, 3r"]);
    check_whole(
        3,
        3,
        "r r r",
        external(value(1000)),
        &[-1500],
        &expect!["-4 Proportional: -1500, -1.5000, 3r"],
    );
}

#[test]
fn from_zero_the_ratio_is_the_count() {
    check_whole(0, 0, "", object(value(15_000)), &[20_000], &expect!["2 FromZero: 20000, 1.3333"]);
    // No tolerance there.
    check_whole(0, 0, "", external(value(1000)), &[1050], &expect!["2 FromZero: 1050, 1.0500"]);
    check_whole(0, 0, "", external(value(1000)), &[1], &expect!["1 FromZero: 1, 0.0010"]);
    check_whole(0, 0, "", external(value(1000)), &[0], &expect!["0 FromZero: 0, 0.0000"]);
    check_whole(0, 0, "", external(average(1000)), &[2500], &expect!["3 PerPod: 9223372036854775807, inf"]);
    check_whole(0, 0, "", external(average(1000)), &[0], &expect!["0 PerPod: 0, NaN"]);
    check(0, "", of_pods(1000), &expect!["Nothing"]);
}

#[test]
fn an_average_is_over_observed_pods() {
    check_whole(3, 3, "", external(average(2150)), &[8600], &expect!["4 PerPod: 2867, 1.3333"]);
    check_whole(3, 4, "", external(average(2150)), &[8600], &expect!["4 WithinTolerance: 2150, 1.0000"]);
    check_whole(5, 5, "", external(average(2867)), &[8600], &expect!["3 PerPod: 1720, 0.5999"]);
    check_whole(3, 3, "", external(average(2900)), &[8600], &expect!["3 WithinTolerance: 2867, 0.9885"]);
    check_whole(3, 3, "", object(average(5000)), &[20_000], &expect!["4 PerPod: 6667, 1.3333"]);
    check_whole(5, 5, "", object(average(2000)), &[6000], &expect!["3 PerPod: 1200, 0.6000"]);
    // Within the tolerance it is the observed count, not the declared one.
    check_whole(3, 4, "", object(average(5000)), &[20_166], &expect!["4 WithinTolerance: 5042, 1.0083"]);
    check_whole(
        3,
        4,
        "",
        external(average(5000)),
        &[20_000, 166],
        &expect!["4 WithinTolerance: 5042, 1.0083"],
    );
    check_whole(3, 0, "", external(average(1000)), &[2500], &expect!["3 PerPod: 9223372036854775807, inf"]);
    check_whole(3, 3, "", external(average(2867)), &[0], &expect!["0 PerPod: 0, 0.0000"]);
    check_whole(3, 3, "", external(average(1000)), &[], &expect!["Nothing"]);
}

#[test]
fn what_is_too_large_is_capped() {
    let (half, most) = (i64::MAX / 2 + 1, i64::MAX);
    check_whole(
        3,
        3,
        "r r r",
        object(value(1)),
        &[most],
        &expect!["2147483647 Proportional: 9223372036854775807, 9223372036854775808.0000, 3r"],
    );
    check_whole(
        3,
        3,
        "r r r",
        external(value(most)),
        &[half, half],
        &expect!["3 WithinTolerance: 9223372036854775807, 1.0000"],
    );
    check_whole(
        3,
        3,
        "r r r",
        external(value(1)),
        &[half, half],
        &expect!["2147483647 Proportional: 9223372036854775807, 9223372036854775808.0000, 3r"],
    );
    check_whole(
        1,
        1,
        "r",
        external(average(1)),
        &[most],
        &expect!["2147483647 PerPod: 9223372036854775807, 9223372036854775808.0000"],
    );
    check_whole(
        1,
        1,
        "r",
        external(average(most)),
        &[most],
        &expect!["1 WithinTolerance: 9223372036854775807, 1.0000"],
    );
    check_whole(
        1,
        1,
        "r",
        external(average(1000)),
        &[half, half],
        &expect!["2147483647 PerPod: 9223372036854775807, 9223372036854776.0000"],
    );
    check_whole(
        0,
        0,
        "",
        external(value(1)),
        &[most],
        &expect!["2147483647 FromZero: 9223372036854775807, 9223372036854775808.0000"],
    );
    check_whole(
        2,
        2,
        "r r",
        object(average(1)),
        &[most],
        &expect!["2147483647 PerPod: 4611686018427387904, 4611686018427387904.0000"],
    );
    // A sum below zero is taken for an overflow, by a target per pod.
    check_whole(
        2,
        2,
        "r r",
        external(average(1000)),
        &[-5],
        &expect!["2147483647 PerPod: 9223372036854775807, 4611686018427388.0000"],
    );
    check(1, "r9000000000", of_pods(1), &expect!["2147483647 Proportional: 9000000000, 9000000000.0000, 1r"]);
}

#[test]
fn a_metric_of_one_container() {
    use ContainerKind::{Init, Regular, Sidecar};
    let row = |containers: &[(&str, ContainerKind, Option<i64>)], name: Option<&str>, whole: Option<i64>| {
        let requests = |cpu_milli| Requests { cpu_milli, memory_milli: None };
        let containers = containers.iter().map(|(name, kind, cpu)| Container {
            name: (*name).to_owned(),
            kind: *kind,
            requests: requests(*cpu),
        });
        let (mut pods, _) = pods("r");
        pods[0].containers = containers.collect();
        pods[0].requests = whole.map(|milli| requests(Some(milli)));
        match request_milli(&pods[0], 0, name, Resource::Cpu, &flags()) {
            Ok(milli) => milli.to_string(),
            Err(failure) => format!("{failure:?}"),
        }
    };
    let two = [("app", Regular, Some(100)), ("log", Regular, Some(50))];
    let with_sidecar = [("app", Regular, Some(100)), ("init", Init, Some(900)), ("mesh", Sidecar, Some(50))];
    let bare = [("app", Regular, None), ("log", Regular, Some(50))];
    assert_eq!(row(&two, None, None), "150");
    assert_eq!(row(&two, Some("log"), None), "50");
    assert_eq!(row(&two, Some("log"), Some(800)), "50");
    assert_eq!(row(&two, None, Some(800)), "800");
    assert_eq!(row(&with_sidecar, None, None), "150");
    assert_eq!(row(&with_sidecar, Some("mesh"), None), "50");
    assert_eq!(row(&with_sidecar, Some("init"), None), "NoContainer { pod: 0 }");
    assert_eq!(row(&bare, None, None), "NoRequest { pod: 0, container: 0 }");
    assert_eq!(row(&bare, Some("log"), None), "50");
    assert_eq!(row(&bare, Some("app"), None), "NoRequest { pod: 0, container: 0 }");
    assert_eq!(row(&bare, None, Some(800)), "800");
    assert_eq!(row(&two, Some("gone"), None), "NoContainer { pod: 0 }");
    assert_eq!(row(&[], None, None), "0");
}

/// A pod that requests memory as a whole has no cpu request of its own: what its containers need at once counts.
#[test]
fn a_pod_with_requests_as_a_whole() {
    let (mut pods, _) = pods("r");
    let container = |name: &str, kind, cpu| Container {
        name: name.to_owned(),
        kind,
        requests: Requests { cpu_milli: Some(cpu), memory_milli: None },
    };
    pods[0].requests = Some(Requests { cpu_milli: None, memory_milli: Some(1) });
    pods[0].containers = vec![
        container("app", ContainerKind::Regular, 100),
        container("mesh", ContainerKind::Sidecar, 50),
        container("init", ContainerKind::Init, 300),
    ];
    let request = |pod: &Pod, flags: &Flags| request_milli(pod, 0, None, Resource::Cpu, flags);
    assert_eq!(request(&pods[0], &flags()), Ok(350)); // the init container beside the sidecar
    assert_eq!(request(&pods[0], &Flags { pod_level_resources: false, ..flags() }), Ok(150));
    pods[0].overhead.cpu_milli = Some(7);
    assert_eq!(request(&pods[0], &flags()), Ok(357));
    pods[0].containers.clear();
    pods[0].overhead = Requests::default();
    assert_eq!(request(&pods[0], &flags()), Err(Failure::NoPodRequest { pod: 0 }));
}

#[test]
fn the_edges_of_readiness() {
    let (pods, reading) = pods("r500");
    let (pod, sample) = (&pods[0], reading.samples[0].expect("it has one"));
    let check = |age: f64, status, since: f64, sampled: f64, expected: &Expect| {
        let mut pod = pod.clone();
        pod.started_seconds = Some(NOW - age);
        if let Some(ready) = &mut pod.ready {
            (ready.status, ready.changed_seconds) = (status, NOW - since);
        }
        let mut sample = sample;
        sample.at_seconds = NOW - sampled;
        let group = pod_groups::group(&pod, Some(&sample), true, &flags(), NOW);
        let text = match group {
            Group::Unready(why) => format!("unready: {why:?}"),
            other => format!("{other:?}"),
        };
        expected.assert_eq(&text);
    };
    // The initialization period is over at 300 s to the second.
    check(299.0, Some(false), 100.0, 0.0, &expect!["unready: Initializing"]);
    check(300.0, Some(false), 100.0, 0.0, &expect!["Ready"]);
    check(301.0, Some(false), 100.0, 0.0, &expect!["Ready"]);
    // A whole window of 30 s must lie after the change.
    check(100.0, Some(true), 30.0, 0.0, &expect!["Ready"]);
    check(100.0, Some(true), 29.9, 0.0, &expect!["unready: SampleBeforeReady"]);
    check(100.0, Some(true), 60.0, 30.0, &expect!["Ready"]);
    check(100.0, Some(true), 60.0, 31.0, &expect!["unready: SampleBeforeReady"]);
    check(100.0, None, 60.0, 0.0, &expect!["Ready"]);
    check(100.0, None, 20.0, 0.0, &expect!["unready: SampleBeforeReady"]);
    // The readiness delay is over at 30 s to the second.
    check(3600.0, Some(false), 3571.0, 0.0, &expect!["unready: NeverReady"]);
    check(3600.0, Some(false), 3570.0, 0.0, &expect!["Ready"]);
    check(3600.0, Some(true), 3590.0, 9999.0, &expect!["Ready"]);
    check(3600.0, None, 3590.0, 0.0, &expect!["Ready"]);
}

#[test]
fn a_metrics_api_that_fails_is_a_failure() {
    let (pods, _) = pods("r r");
    let all = [cpu(50), memory(50), cpu_average(5), of_pods(5), object(value(5)), external(average(5))];
    for metric in all {
        assert_eq!(asked(2, 2, &pods, &failed("no answer"), &metric, TOLERANCES), "Api");
        assert_eq!(asked(2, 2, &pods, &Reading::default(), &metric, TOLERANCES), "Nothing");
    }
}

fn words() -> impl Strategy<Value = Vec<String>> {
    let kind = prop::sample::select(vec!["r", "n", "N", "u", "h", "H", "c", "s", "p", "e", "f", "d"]);
    let word =
        (kind, prop::option::weighted(0.8, 0..3000_u32), 1..2000_u32).prop_map(|(kind, usage, request)| {
            format!("{kind}{}/{request}", usage.map_or(String::new(), |u| u.to_string()))
        });
    prop::collection::vec(word, 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_pods_does_not_matter(words in words(), current in 0..30_i32, target in 1..200_i32, turn in 0..20_usize) {
        let mut turned = words.clone();
        turned.rotate_left(turn.min(words.len()));
        turned.reverse();
        let ask = |words: &[String], metric: &Metric| {
            let (pods, reading) = pods(&words.join(" "));
            asked(current, current, &pods, &reading, metric, TOLERANCES)
        };
        for metric in [cpu(target), memory(target), of_pods(i64::from(target) * 10), cpu_average(500)] {
            prop_assert_eq!(ask(&words, &metric), ask(&turned, &metric));
        }
    }

    /// More load never asks for fewer replicas, fewer ready pods never for more.
    #[test]
    fn more_usage_never_asks_for_less(words in words(), current in 1..30_i32, target in 1..200_i32, more in 0..500_i64) {
        let (pods, mut reading) = pods(&words.join(" "));
        let flags = flags();
        let count = |reading: &Reading| {
            let question = Question {
                now_seconds: NOW, current, observed: current, pods: &pods, reading, tolerances: TOLERANCES, flags: &flags,
            };
            calculate(&cpu(target), &question, &mut Vec::new()).map(|found| (found.replicas, found.filled.is_some()))
        };
        let before = count(&reading);
        for sample in reading.samples.iter_mut().flatten() {
            sample.milli += more;
        }
        // With filled values the two sides of 1 are filled differently, so that only within one side is it monotone.
        if let (Ok((before, false)), Ok((after, false))) = (before, count(&reading)) {
            // The declared count stands in within the tolerance, which the ready pods may exceed or not.
            prop_assert!(after >= before || before == current || after == current, "{before} -> {after}");
        }
    }

    /// Brute force: without missing and unready pods it is the textbook formula.
    #[test]
    fn ready_pods_alone_follow_the_formula(usage in prop::collection::vec(0..3000_i64, 1..30), current in 1..40_i32, target in 1..200_i32) {
        let words: Vec<_> = usage.iter().map(|milli| format!("r{milli}")).collect();
        let (pods, reading) = pods(&words.join(" "));
        let flags = flags();
        let question = Question {
            now_seconds: NOW, current, observed: current, pods: &pods, reading: &reading, tolerances: TOLERANCES, flags: &flags,
        };
        let found = calculate(&cpu(target), &question, &mut Vec::new()).expect("all is there");
        let n = i64::try_from(usage.len()).expect("a few");
        let percent = usage.iter().sum::<i64>() / (10 * n);
        // In whole numbers: |percent / target - 1| <= 1/10 is 10 |percent - target| <= target.
        let target = i64::from(target);
        let expected = if 10 * (percent - target).abs() <= target {
            i64::from(current)
        } else {
            (percent * n + target - 1) / target
        };
        // Where the edge is not exact in binary, both sides are right.
        let is_edge = 10 * (percent - target).abs() == target;
        prop_assert!(is_edge || i64::from(found.replicas) == expected || {
            // The product of ratio and count may lie one bit above a whole number.
            (percent * n) % target == 0 && i64::from(found.replicas) == expected + 1
        }, "{} instead of {expected}", found.replicas);
    }
}
