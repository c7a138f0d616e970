use expect_test::{Expect, expect};
use tidegate_core::{Scrape, Seed};

use super::*;
use crate::testing::{self, Desk};

/// A reactive rule that keeps what is declared until utilization is below a tenth.
const STAYS: &str = "reactive = { kind = \"threshold\", high = 0.99, low = 0.1, step = 20, cooldown_in_seconds = 0, \
                     cooldown_out_seconds = 0, window_seconds = 0, guards_scale_in = false }\n";

/// A replica of 4 slots with 0.5 s a request serves 8/s.
fn scrape(rate: f64, desk: &Desk) -> Scrape {
    Scrape {
        requests_per_second: Some(rate),
        first_attempts_per_second: Some(rate),
        errors_per_second: Some(0.0),
        queue_length: Some(0.0),
        cpu_utilization: Some(rate * 0.5 / (4.0 * f64::from(desk.pools[0].ready.max(1)))),
        ..Scrape::default()
    }
}

fn build(told: &[f64], parameters: &str, facts: &OperatorFacts) -> BoxedController {
    let catalog = Catalog::rules().with(kind(Catalog::rules(), testing::forecasters(told)));
    let table: Table = parameters.parse().expect("parameters are written in TOML");
    let mut controller = catalog.build("scryer", &table, facts).expect("it is right");
    controller.reset(Seed::training(0).controller(0));
    controller
}

/// What was wanted of the first pool, one decision a minute: `?` held, `f` by fallback; and the explanation at the end.
fn run(told: &[f64], parameters: &str, rates: &[f64]) -> (String, String) {
    let facts = testing::facts();
    let mut controller = build(told, parameters, &facts);
    let mut desk = Desk::new(&facts);
    let mut counts = Vec::new();
    for rate in rates {
        desk.see(scrape(*rate, &desk));
        let decision = desk.decide(&mut *controller);
        let mark = match decision.basis {
            Basis::Held => "?",
            Basis::Fallback => "f",
            _ => "",
        };
        counts.push(format!("{}{mark}", decision.targets[0].wanted));
        desk.wait(controller.period_seconds());
    }
    let mut text = String::new();
    controller.explain(&mut text).expect("a string takes all");
    (counts.join(" "), text)
}

fn check(told: &[f64], parameters: &str, rates: &[f64], expected: &Expect) {
    expected.assert_eq(&run(told, parameters, rates).0);
}

const AT_ONCE: &str = "buffer_share = 0\nrelease_seconds = 0\n";

/// At 80 % a replica is given 6.4/s: 24/s need 4 and 76.8/s need 12. The reactive rule has its own view when nothing is
/// planned. A step must be over before anything is forecast.
#[test]
fn the_plan_goes_up_in_batches_a_start_up_before_the_need() {
    let told: Vec<f64> = (0..20).map(|minute| if minute < 12 { 24.0 } else { 76.8 }).collect();
    let batch = |size: u32| format!("{STAYS}{AT_ONCE}batch_replicas = {size}");
    // Start-up and period are two steps.
    check(&told, &batch(8), &[24.0; 14], &expect!["4f 4f 4 4 4 4 4 4 4 4 12 12 12 12"]);
    check(&told, &batch(3), &[24.0; 14], &expect!["4f 4f 4 4 4 4 4 4 7 10 12 12 12 12"]);
    let early = format!("{}\nlead_seconds = 240", batch(8));
    check(&told, &early, &[24.0; 14], &expect!["4f 4f 4 4 4 4 4 4 12 12 12 12 12 12"]);
    // What is late is asked for at once, whatever a batch is.
    check(&[76.8], &batch(2), &[24.0; 4], &expect!["4f 4f 12 12"]);
    // 24/s and half as much again need 5.6.
    check(&[24.0], &format!("{STAYS}buffer_share = 0.5"), &[24.0; 3], &expect!["4f 4f 6"]);
}

/// The floor follows the plan down by a batch every five minutes, and the reactive rule goes in behind it.
#[test]
fn behind_a_peak_the_floor_goes_down_by_batches() {
    let told: Vec<f64> = (0..40).map(|minute| if minute < 6 { 76.8 } else { 6.4 }).collect();
    let parameters = |release: u32| {
        format!(
            "{STAYS}buffer_share = 0\nbatch_replicas = 5\nrelease_seconds = {release}\nhorizon_seconds = 300"
        )
    };
    let rates: Vec<f64> = (0..20).map(|minute| if minute < 6 { 76.8 } else { 0.5 }).collect();
    check(&told, &parameters(0), &rates, &expect!["20f 20f 20 20 20 20 1 1 1 1 1 1 1 1 1 1 1 1 1 1"]);
    check(&told, &parameters(300), &rates, &expect!["20f 20f 20 20 20 20 12 7 7 7 7 7 2 2 2 2 2 1 1 1"]);
}

/// A ramp that is known, over three hours: what serves it is ready whenever it comes, and the count goes up by as many
/// scale-ups as one batch after the other makes: by brute force no plan has fewer (`plan.rs`).
#[test]
fn a_known_ramp_is_never_late_and_takes_the_fewest_scale_ups() {
    for (startup_seconds, batch) in [(0.0, 3), (60.0, 5), (90.0, 4), (600.0, 7), (1500.0, 2)] {
        let mut facts = testing::facts();
        facts.pools[0].startup_seconds = startup_seconds;
        facts.pools[0].bounds.replicas_max = 40;
        // 25.6/s need 4, and 204.8/s need 32.
        let ramp: Vec<f64> =
            (0..240).map(|minute| (25.6 + 1.2 * f64::from((minute - 40).max(0))).min(204.8)).collect();
        let parameters = format!("{STAYS}{AT_ONCE}batch_replicas = {batch}");
        let mut controller = build(&ramp, &parameters, &facts);
        let mut desk = Desk { startup_seconds, ..Desk::new(&facts) };
        let mut n_scale_ups = 0;
        for rate in &ramp {
            let needed = (rate / 6.4 - 1e-9).ceil() as u32;
            assert!(desk.pools[0].ready >= needed, "at {} s {needed} are needed", desk.now_seconds);
            desk.see(scrape(*rate, &desk));
            let before = desk.pools[0].declared;
            desk.decide(&mut *controller);
            n_scale_ups += u32::from(desk.pools[0].declared > before);
            desk.wait(60.0);
        }
        assert_eq!(
            n_scale_ups,
            (32_u32 - 4).div_ceil(batch),
            "start-up {startup_seconds}, batches of {batch}"
        );
        assert_eq!(desk.pools[0].declared, 32);
    }
}

/// Part 1 of the blog: in an outage demand falls away, a reactive rule shrinks the fleet, and the retries meet what is
/// left of it. The plan holds what was forecast.
#[test]
fn an_outage_does_not_shrink_the_fleet() {
    let rates: Vec<f64> = (0..12).map(|minute| if minute < 4 { 51.2 } else { 0.1 }).collect();
    check(&[51.2], &format!("{STAYS}{AT_ONCE}"), &rates, &expect!["20f 20f 20 20 8 8 8 8 8 8 8 8"]);
    let alone = format!("{STAYS}{AT_ONCE}replica_requests_per_second = 1e9");
    check(&[51.2], &alone, &rates, &expect!["20f 20f 20 20 1 1 1 1 1 1 1 1"]);
}

#[test]
fn hooks_pad_the_plan() {
    let facts = testing::facts();
    let at = facts.calendar.at(600.0).format("%M %H").to_string();
    let hook =
        format!("padding = [{{ cron = \"{at} * * *\", duration_seconds = 120, multiply = 1.5, add = 1 }}]\n");
    let parameters = format!("{hook}{STAYS}{AT_ONCE}batch_replicas = 20\nhorizon_seconds = 60");
    // 4 · 1.5 + 1 in the minutes 10 and 11, asked for two minutes before; the reactive rule stays there.
    check(&[25.6], &parameters, &[25.6; 13], &expect!["4f 4f 4 4 4 4 4 4 7 7 7 7 7"]);
}

#[test]
fn the_plan_is_explained() {
    let told: Vec<f64> = (0..40).map(|minute| if minute < 12 { 24.0 } else { 76.8 }).collect();
    let parameters = format!("{STAYS}{AT_ONCE}batch_replicas = 5");
    let (_, text) = run(&told, &parameters, &[24.0; 11]);
    expect![[r"
        plan of 07:47 until 08:47: demand of at most 76.800 requests a second (told; 5 % to 95 %: 76.800 to 76.800), 0 steps padded
        07:49 scale up from 4 to 9, done
        07:50 scale up from 9 to 12, done
        batches of 5; the floor is 12
        2 plans; in 11 decisions 2 above the reactive rule, which says:
    "]].assert_eq(&text);
    let (_, text) = run(&told, &parameters, &[24.0; 1]);
    expect![[r"
        no plan yet (told)
        0 plans; in 1 decisions 0 above the reactive rule, which says:
    "]]
    .assert_eq(&text);
}

/// The forecaster gives no numbers: no plan, and the reactive rule alone.
#[test]
fn without_numbers_there_is_no_plan() {
    check(&[f64::NAN], &format!("{STAYS}{AT_ONCE}"), &[24.0; 4], &expect!["4f 4f 4f 4f"]);
    check(&[f64::INFINITY], &format!("{STAYS}{AT_ONCE}"), &[24.0; 4], &expect!["4f 4f 4f 4f"]);
    check(&[1e300], &format!("{STAYS}{AT_ONCE}"), &[24.0; 4], &expect!["4f 4f 20 20"]);
}

#[test]
fn wrong_parameters_are_refused() {
    let complain = |text: &str, expected: &Expect| {
        let table: Table = text.parse().expect("it is TOML");
        let error = testing::catalog().build("scryer", &table, &testing::facts()).err().expect("it is wrong");
        expected.assert_eq(&error.to_string());
    };
    complain("batch_replicas = 0", &expect!["`batch_replicas` must be at least 1, but is 0"]);
    complain(
        "reactive = { kind = \"scryer\" }",
        &expect![[
            r#"`reactive.kind` must be one of `fixed`, `threshold`, `metric_vote`, `multi_dimensional`, `scheduled`, `queue_depth`, `square_root_staffing`, `spot_mix`, `lcp`, `autopilot`, `vpa`, `hpa`, `aws`, `aws_target_tracking`, `aws_step`, `aws_simple`, `ecs_target_tracking`, `knative`, `gcp`, `keda`, but is "scryer""#
        ]],
    );
    complain("horizon_seconds = 0", &expect!["`horizon_seconds` must be a positive number, but is 0"]);
    complain(
        "horizon_seconds = 604800\nstep_seconds = 15",
        &expect!["`horizon_seconds` must be, with the lead, at most 10000 steps of 15 s, but is 604800"],
    );
    complain(
        "padding = [{ cron = \"0 8 * * *\", duration_seconds = 60 }]",
        &expect!["`padding[0]` must set `multiply`, `add` or `least`, but sets none"],
    );
    complain(
        "padding = [{ cron = \"0 8 * * *\", duration_seconds = 0, add = 1 }]",
        &expect!["`padding[0].duration_seconds` must be a positive number, but is 0"],
    );
    complain(
        "padding = [{ cron = \"0 8 * *\", duration_seconds = 60, add = 1 }]",
        &expect![[
            r#"`padding[0].cron` must be a cron expression like "0 8 * * MON-FRI", but is "0 8 * *": Invalid pattern: Pattern must have between 5 and 7 fields"#
        ]],
    );
}

#[test]
fn the_handbook_and_the_defaults_are_right() {
    testing::check_handbook::<Parameters>(&testing::catalog(), "scryer");
}
