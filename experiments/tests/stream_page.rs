//! docs/reproducibility.md lists every stream of chance under the number that it has.

const PAGE: &str = include_str!("../../docs/reproducibility.md");
const SEED: &str = include_str!("../../crates/core/src/seed.rs");

#[test]
fn the_table_of_streams_is_that_of_the_code() {
    let (_, streams) = SEED.split_once("pub enum Stream {\n").expect("streams are an enum");
    let (streams, _) = streams.split_once("\n}\n").expect("it ends");
    let written = streams.lines().filter_map(|line| line.trim().strip_suffix(',')?.split_once(" = "));
    let expected: Vec<String> = written.map(|(name, number)| format!("| {number} | `{name}` |")).collect();
    assert!(expected.len() >= 21, "a stream was taken away");
    let rows: Vec<&str> = PAGE
        .lines()
        .filter(|line| line.starts_with("| ") && line[2..].starts_with(|c: char| c.is_ascii_digit()))
        .collect();
    assert_eq!(rows.len(), expected.len(), "a row is missing or too many");
    for (row, expected) in rows.iter().zip(&expected) {
        assert!(row.starts_with(expected.as_str()), "{row:?} is not {expected:?}");
    }
}
