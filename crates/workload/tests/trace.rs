//! The reader of traces: what it finds, what it refuses and in which words, and the real traces.

use std::fmt::Write as _;

use approx::assert_relative_eq;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tidegate_core::scenario::Scale;
use tidegate_workload::trace::{Gaps, TimeUnit, TraceKind};
use tidegate_workload::{Trace, TraceOptions, Window, read_trace};

fn read(text: &str) -> Trace {
    read_trace(text.as_bytes(), &TraceOptions::default()).expect("a right trace")
}

fn check(bytes: impl AsRef<[u8]>, expected: &Expect) {
    let error = read_trace(bytes.as_ref(), &TraceOptions::default()).expect_err("the trace is wrong");
    expected.assert_eq(&error.to_string());
}

fn check_with(text: &str, options: &TraceOptions, expected: &Expect) {
    let error = read_trace(text.as_bytes(), options).expect_err("the trace is wrong");
    expected.assert_eq(&error.to_string());
}

#[test]
fn wrong_files_name_line_field_value_and_what_is_allowed() {
    check("", &expect!["the file is empty, but must have at least two rows"]);
    check(" \n\n\t\r\n", &expect!["the file is empty, but must have at least two rows"]);
    check("t_s,requests\n", &expect!["the file has a header and no rows, but must have at least two rows"]);
    check("t_s,requests\n0,3\n", &expect!["the file has one row of data, but must have at least two"]);
    check(
        "t_s,requests\n0,3\n60,many\n",
        &expect![[r#"line 3: `requests` must be a number, but is "many""#]],
    );
    check(
        "t_s,requests\n0,3\n60,-4\n",
        &expect![[r#"line 3: `requests` must be a count from 0 to 1e15, but is "-4""#]],
    );
    check(
        "t_s,requests\n0,3\n60,NaN\n",
        &expect![[r#"line 3: `requests` must be a count from 0 to 1e15, but is "NaN""#]],
    );
    check(
        "t_s,requests\n0,3\n60,1e400\n",
        &expect![[r#"line 3: `requests` must be a count from 0 to 1e15, but is "1e400""#]],
    );
    check(
        "t_s,requests\n0,3\n60,4\n30,5\n",
        &expect![[r#"line 4: `t_s` must not go back, but is "30" after 60 s"#]],
    );
    check(
        "t_s,requests\n0,3\n\n\nx,4\n",
        &expect![[r#"line 5: `t_s` must be a time in seconds, but is "x""#]],
    );
    check(
        "t_s,requests\n0,3\n1e30,4\n",
        &expect![[r#"line 3: `t_s` must be a time of at most 1e13 s, but is "1e30""#]],
    );
    check(
        "t_s,requests\n0,3\n60,4,5\n",
        &expect!["line 3: must have 2 fields like the first line, but has 3"],
    );
    check("t_s,requests\n0,3\n60\n", &expect!["line 3: must have 2 fields like the first line, but has 1"]);
    check("t_s,requests\n0,3\n60,\u{fffd}\0\n", &expect!["line 3: must be text, but holds a zero byte"]);
    check(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", &expect!["line 3: must be text, but holds a zero byte"]);
    check(
        b"t_s,requests\n0,3\n60,\xff\xfe\n",
        &expect!["line 3: `requests` must be text in UTF-8, but is not"],
    );
    check("words\nand more\nand more\n", &expect!["`time` is not to be found among the columns `words`"]);
    check(
        "t_s,requests,observed\n0,3,1\n60,4,perhaps\n",
        &expect![[r#"line 3: `observed` must be 0 or 1, but is "perhaps""#]],
    );
    check(
        "t_s,requests,observed\n0,3,0\n60,4,0\n",
        &expect!["the file has no row that was observed, but must have one"],
    );
    let even = (0..200).fold(String::from("t_s,requests\n"), |mut text, row| {
        let _ = writeln!(text, "{},1", row * 60);
        text
    });
    check(
        even.clone() + "11940,1\n",
        &expect![[r#"line 202: `t_s` must be after the row before, but is "11940" again"#]],
    );
    check(
        even + "9e12,1\n",
        &expect!["the file spans 9000000000000 s in steps of 60 s, but must have at most 20000000 steps"],
    );
    let long = format!("t_s,requests\n0,3\n60,{}\n", "9".repeat(3_000_000));
    check(
        long,
        &expect![[
            r#"line 3: `requests` must be a count from 0 to 1e15, but is "9999999999999999999999999999999999999999…""#
        ]],
    );
    let unclosed = format!("t_s,requests\n0,\"3\n{}", "60,4\n".repeat(1000));
    check(unclosed, &expect!["line 2: must close its quotes where it ends"]);
}

#[test]
fn wrong_options_name_what_there_is() {
    let text = "t_s,requests\n0,3\n60,4\n";
    let columns = |time: Option<&str>, value: Option<&str>| TraceOptions {
        time_column: time.map(str::to_owned),
        value_column: value.map(str::to_owned),
        ..TraceOptions::default()
    };
    check_with(
        text,
        &columns(None, Some("hits")),
        &expect!["`hits` is not among the columns `t_s`, `requests`"],
    );
    check_with(
        text,
        &columns(Some("when"), None),
        &expect!["`when` is not among the columns `t_s`, `requests`"],
    );
    let counts = TraceOptions { kind: Some(TraceKind::Counts), ..TraceOptions::default() };
    check_with("t_s\n0\n60\n", &counts, &expect!["`count` is not to be found among the columns `t_s`"]);
    let step = TraceOptions { step_seconds: Some(-1.0), ..TraceOptions::default() };
    check_with(text, &step, &expect!["`step_seconds` must be a positive number, but is -1"]);
    check_with(
        "t_s,requests\n5,3\n5,4\n",
        &counts,
        &expect!["`t_s` must go forward, but is the same in every row"],
    );
    let stamps = TraceOptions { time_unit: Some(TimeUnit::Stamps), ..TraceOptions::default() };
    check_with(
        text,
        &stamps,
        &expect![[r#"line 2: `t_s` must be a number or a time like 2025-03-03T08:00:00Z, but is "0""#]],
    );
    let trace = read(text);
    let window = |from_seconds, to_seconds| Window { from_seconds, to_seconds };
    expect!["`window` must lie within 0 to 120 s, but is 60 to 180 s"]
        .assert_eq(&trace.recorded(window(60.0, 180.0), 1.0).expect_err("too long").to_string());
    expect!["`window` must lie within 0 to 120 s, but is NaN to 60 s"]
        .assert_eq(&trace.recorded(window(f64::NAN, 60.0), 1.0).expect_err("no number").to_string());
    expect!["`factor` must not be negative and must be finite, but is inf"]
        .assert_eq(&trace.recorded(trace.window(), f64::INFINITY).expect_err("infinite").to_string());
    let silent = read("t_s,requests\n0,0\n60,0\n");
    expect!["`scale` cannot be reached: nobody was observed in the window"]
        .assert_eq(&silent.factor(Scale::Peak(1.0), silent.window()).expect_err("nobody").to_string());
}

/// The same four counts in every dress.
#[test]
fn delimiter_header_and_unit_are_found() {
    let dresses = [
        "t_s,requests\n0,3\n60,4\n120,5\n180,6\n",
        "\u{feff}t_s;requests\r\n0;3\r\n60;4\r\n120;5\r\n180;6",
        "0\t3\n60\t4\n120\t5\n180\t6\n",
        "\n\n\"time\" , \"hits\" \n 0 , 3\n 60 , 4.0\n\n120,5\n180, 6e0\n",
        "timestamp,requests\n1700000000000,3\n1700000060000,4\n1700000120000,5\n1700000180000,6\n",
        "time_ms,requests\n0,3\n60000,4\n120000,5\n180000,6\n",
        "host,when,bytes\na,2025-03-03T00:00:00Z,3\nb,2025-03-03T01:01:00+01:00,4\nc,2025-03-03T00:02:00.0Z,5\nd,2025-03-03T00:03:00-00:00,6\n",
        "TIMESTAMP,requests\n2025-03-03 00:00:00.0000000,3\n2025-03-03 00:01:00.0000000,4\n2025-03-03 00:02:00,5\n2025-03-03 00:03,6\n",
        "requests,day,t_s\n3,0,0\n4,0,60\n5,0,120\n6,1,180\n",
    ];
    for text in dresses {
        let trace = read(text);
        assert_eq!(trace.counts, [3.0, 4.0, 5.0, 6.0], "{text}");
        assert_eq!((trace.kind, trace.step_seconds, trace.rows), (TraceKind::Counts, 60.0, 4), "{text}");
        assert_eq!((trace.value_total, trace.gaps()), (18.0, Gaps::default()), "{text}");
    }
    assert_eq!(read(dresses[6]).value_column.as_deref(), Some("bytes"));
    assert_eq!(read(dresses[6]).first_seconds, 1_740_960_000.0);
    assert_eq!(read(dresses[2]).value_column.as_deref(), Some("column 2"));
}

#[test]
fn gaps_get_straight_lines_and_are_counted() {
    // A missing row, an empty value, and rows that were not observed, one of them at the end.
    let trace = read(
        "t_s,requests,observed\n0,10,1\n60,20,1\n180,40,1\n240,,1\n300,7,0\n360,70,1\n420,70,1\n480,70,1\n540,1,0\n",
    );
    assert_eq!(trace.counts, [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 70.0, 70.0, 70.0]);
    assert_eq!(trace.gaps(), Gaps { n_gaps: 3, n_steps: 4, n_steps_longest: 2 });
    assert_eq!(trace.value_total, 288.0);
    assert_relative_eq!(trace.unobserved_share(trace.window()).expect("all of it"), 0.4);
    // Scaling looks at what was observed only.
    let mean = trace.factor(Scale::Mean(2.0), trace.window()).expect("somebody");
    assert_relative_eq!(mean, 2.0 * 60.0 * 6.0 / 280.0);
}

#[test]
fn requests_are_kept_one_by_one() {
    let text = "arrived,host\n100.5,a\n100.5,b\n101,a\n163,c\n400,a\n";
    let trace = read(text);
    assert_eq!((trace.kind, trace.first_seconds, trace.step_seconds), (TraceKind::Requests, 100.5, 60.0));
    assert_eq!(trace.counts, [3.0, 1.0, 0.0, 0.0, 1.0]);
    assert_eq!(trace.value_total, 5.0);
    let window = Window { from_seconds: 60.0, to_seconds: 300.0 };
    let recorded = trace.recorded(window, 1.0).expect("inside");
    assert_eq!(recorded.arrivals_seconds.as_deref(), Some(&[2.5, 239.5][..]));
    assert_eq!(
        recorded.requests_per_second.iter().map(|rate| rate * 60.0).collect::<Vec<_>>(),
        [1.0, 0.0, 0.0, 1.0]
    );
    assert!(trace.recorded(window, 2.0).expect("inside").arrivals_seconds.is_none());
}

#[test]
fn windows_conserve_counts_and_days_split_time() {
    let text = (0..4 * 24).fold(String::from("t_s,requests\n"), |mut text, hour| {
        let _ = writeln!(text, "{},{}", hour * 3600, hour % 7);
        text
    });
    let trace = read(&text);
    let whole = trace.counts.iter().sum::<f64>();
    let (train, test) = trace.window().split_at(2.5 * 86_400.0);
    assert_eq!((train.days().count(), test.days().count()), (2, 1));
    let users = |window: Window| {
        let recorded = trace.recorded(window, 3.0).expect("inside");
        recorded.requests_per_second.iter().sum::<f64>() * recorded.step_seconds
    };
    assert_relative_eq!(users(trace.window()), 3.0 * whole, max_relative = 1e-12);
    for cut in [3600.0, 5000.0, 12_345.6] {
        let (before, after) = trace.window().split_at(cut);
        assert_relative_eq!(users(before) + users(after), 3.0 * whole, max_relative = 1e-12);
    }
    let factor = trace.factor(Scale::Peak(9.0), train).expect("somebody");
    let peak = trace
        .recorded(train, factor)
        .expect("inside")
        .requests_per_second
        .iter()
        .copied()
        .fold(0.0, f64::max);
    assert_relative_eq!(peak, 9.0, max_relative = 1e-12);
}

/// Rows and sum of every file as its README says; needs `../shared`, and says nothing where that is not.
#[test]
#[allow(clippy::disallowed_methods)] // the real traces are files, and are no part of the repository
fn real_traces_have_the_rows_and_sums_of_their_readme() {
    use TraceKind::{Counts, Requests};
    const TRACES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/traces/");
    if std::fs::read(format!("{TRACES}README.md")).is_err() {
        return;
    }
    // File, column if it is not the one that is found, kind, rows, sum, and the steps that are gaps.
    let files = [
        ("nasa_http_1995-07_1min", None, Counts, 39_693, 1_891_713.0, 0),
        ("nasa_http_1995-08_1min", None, Counts, 44_641, 1_569_897.0, 0),
        ("worldcup98_1min", None, Counts, 125_310, 1_352_804_107.0, 0),
        ("worldcup98_1998-06-25_2days_1s", None, Counts, 172_800, 90_233_538.0, 0),
        ("twitter_sample_stream_2021-08_10s", None, Counts, 189_906, 120_774_324.0, 3812),
        ("aws_elb_request_count_5min", None, Counts, 4032, 249_327.0, 8),
        ("twitter_volume_AMZN_5min", None, Counts, 15_831, 843_768.0, 0),
        ("twitter_volume_GOOG_5min", None, Counts, 15_842, 328_506.0, 0),
        ("wikipedia_requests_1h", None, Counts, 1483, 2_112_744_963.0, 0),
        ("ibm_transactions_15min", None, Counts, 672, 8_522_685.0, 0),
        ("epa_http_1995_100s", None, Counts, 863, 47_725.0, 0),
        ("bank_call_centre_5min", None, Counts, 27_716, 5_323_661.0, 19_397),
        ("isp_transatlantic_link_A5M_5min", None, Counts, 14_772, 56_299_955_703_341.0, 0),
        ("azure_vm_v2_2019_cpu_demand_5min", None, Counts, 8640, 53_434_800_000.0, 0),
        ("autothrottle_4x1h_1s", Some("bursty"), Counts, 3600, 587_788.0, 0),
        ("autothrottle_4x1h_1s", None, Counts, 3600, 945_292.0, 0),
        ("azure_functions_2019_100apps_concurrency_1min", None, Counts, 1440, 36_447.0, 0),
        ("azure_llm_2023_code_requests", Some("generated_tokens"), Requests, 8819, 245_896.0, 0),
        ("azure_llm_2023_conv_requests", Some("generated_tokens"), Requests, 19_366, 4_088_665.0, 0),
        ("alibaba_genai_2024_requests", Some("exec_s"), Requests, 26_823, 768_899.0, 0),
        ("llnl_atlas_jobs_part1", Some("run_s"), Requests, 25_620, 152_347_443.0, 0),
        ("llnl_atlas_jobs_part1", None, Requests, 25_620, 25_620.0, 0),
    ];
    for (file, column, kind, rows, sum, gaps) in files {
        let bytes = std::fs::read(format!("{TRACES}{file}.csv")).expect("a file of the README");
        let options = TraceOptions { value_column: column.map(str::to_owned), ..TraceOptions::default() };
        let trace = read_trace(&bytes, &options).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!((trace.kind, trace.rows, trace.gaps().n_steps), (kind, rows, gaps), "{file}");
        // The README gives this one sum, of values with a decimal, to six digits.
        let tolerance = if file.starts_with("azure_vm") { 1e-5 } else { 0.0 };
        assert_relative_eq!(trace.value_total, sum, max_relative = tolerance, epsilon = 0.0);
        let recorded = trace.recorded(trace.window(), 1.0).expect("all of it");
        let users = recorded.requests_per_second.iter().sum::<f64>() * recorded.step_seconds;
        assert_relative_eq!(users, trace.counts.iter().sum::<f64>(), max_relative = 1e-9);
    }
    // Not a demand over time: sorted by what was loaded, so its times go back where the next kind begins.
    let bytes =
        std::fs::read(format!("{TRACES}alibaba_genai_2024_startup_latency.csv")).expect("a file of it");
    check(bytes, &expect![[r#"line 7533: `t_s` must not go back, but is "0" after 80427 s"#]]);
}

/// A right trace with a few bytes changed is read or refused; it never panics, and what is read holds together.
fn survives(bytes: &[u8]) {
    let Ok(trace) = read_trace(bytes, &TraceOptions::default()) else { return };
    assert_eq!(trace.counts.len(), trace.observed.len());
    assert!(trace.rows >= 2 && trace.step_seconds > 0.0);
    assert!(trace.counts.iter().all(|count| (0.0..=1e18).contains(count)));
    if let Some(times) = &trace.arrivals_seconds {
        assert!(times.is_sorted() && times.len() == trace.rows);
    }
    trace.recorded(trace.window(), 1.0).expect("all of it is inside");
}

fn seeds() -> Vec<&'static [u8]> {
    vec![
        b"t_s,requests,observed\n0,10,1\n60,20,1\n180,40,1\n240,,1\n300,7,0\n360,70,1\n420,70,1\n",
        b"timestamp;requests\r\n2025-03-03T00:00:00Z;3\r\n2025-03-03T00:01:00Z;4\r\n2025-03-03T00:02:00Z;5\r\n",
        b"arrived,tokens\n0.5,12\n0.5,13\n0.75,99\n17.25,3\n400.125,4\n",
        b"1700000000000\t3\n1700000060000\t4\n1700000120000\t5\n",
        b"\"t_s\",\"requests\"\n\"0\",\"3\"\n\"1\",\"4\"\n\"2\",\"5\"\n\"3\",\"6\"\n",
    ]
}

/// What is put in: bytes that mean something to a reader of tables, and texts that mean something to one of numbers.
const PIECES: [&str; 24] = [
    ",",
    ";",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "\"",
    "\0",
    "-",
    "e",
    "nan",
    "inf",
    "1e308",
    "-0",
    "0x1",
    " ",
    "999999999999999",
    "2025-02-30T25:61:00Z",
    "+99:99",
    "\u{feff}",
    "é",
    "\u{202e}",
    "1e-320",
    ".",
];

fn mutation() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), 0..5_u8, any::<u8>(), 0..PIECES.len(), 0..12_usize);
    (0..5_usize, prop::collection::vec(edit, 1..8)).prop_map(|(seed, edits)| {
        let mut bytes = seeds()[seed].to_vec();
        for (place, what, byte, piece, length) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = place.index(bytes.len());
            let end = (at + length).min(bytes.len());
            match what {
                0 => bytes[at] = byte,
                1 => drop(bytes.drain(at..end)),
                2 => drop(bytes.splice(at..at, PIECES[piece].bytes())),
                3 => drop(bytes.splice(at..end, PIECES[piece].bytes())),
                _ => {
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
            }
        }
        bytes
    })
}

fn mutate(cases: u32, seed: [u8; 32]) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let result = TestRunner::new_with_rng(config, rng).run(&mutation(), |bytes| {
        survives(&bytes);
        Ok(())
    });
    if let Err(error) = result {
        panic!("with seed {seed:?}: {error}");
    }
}

#[test]
fn mutated_traces_never_panic() {
    mutate(20_000, [7; 32]);
}

/// Run by hand: `cargo test --release -p tidegate-workload --test trace -- --ignored`.
#[test]
#[ignore = "takes minutes"]
fn mutated_traces_never_panic_for_long() {
    for round in 0..60 {
        mutate(200_000, [round; 32]);
    }
}
