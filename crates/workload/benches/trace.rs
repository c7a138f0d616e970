//! What reading a trace costs: two weeks of seconds, a file of 10 MB.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidegate_workload::{TraceOptions, read_trace};

const ROWS: u32 = 14 * 86_400;

fn trace(criterion: &mut Criterion) {
    let counts = (0..ROWS).fold(String::from("t_s,requests\n"), |mut text, row| {
        let _ = writeln!(text, "{row},{}", (row * 37) % 101);
        text
    });
    let stamps = (0..ROWS / 8).fold(String::from("timestamp,requests\n"), |mut text, row| {
        let (day, hour, minute) = (row / 1440 % 28 + 1, row / 60 % 24, row % 60);
        let month = row / 40_320 + 1;
        let _ = writeln!(text, "2025-{month:02}-{day:02}T{hour:02}:{minute:02}:00Z,{}", (row * 37) % 101);
        text
    });
    let mut group = criterion.benchmark_group("read_trace");
    group.sample_size(10);
    for (name, text, rows) in [("seconds", counts, ROWS), ("stamps", stamps, ROWS / 8)] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let trace = read_trace(black_box(text.as_bytes()), &TraceOptions::default()).expect("right");
                assert_eq!(trace.rows, rows as usize, "every row is read");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, trace);
criterion_main!(benches);
