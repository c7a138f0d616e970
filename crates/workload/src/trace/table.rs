//! Rows and columns of a delimited text, and what a field of them means.

use chrono::{DateTime, NaiveDateTime};
use csv::{ByteRecord, ReaderBuilder};

use super::{COUNT_MAX, TIME_MAX, TimeUnit, TraceError, TraceOptions};

/// Usual names of a column of times, in lower case.
const TIME_NAMES: [&str; 20] = [
    "t_s",
    "t",
    "time",
    "timestamp",
    "time_s",
    "timestamp_s",
    "seconds",
    "t_ms",
    "time_ms",
    "timestamp_ms",
    "milliseconds",
    "ts",
    "date",
    "datetime",
    "date_time",
    "arrival",
    "arrival_time",
    "arrived",
    "submit_time",
    "start_time",
];

/// Usual names of a column of counts, in lower case.
const VALUE_NAMES: [&str; 17] = [
    "requests",
    "request_count",
    "requestcount",
    "count",
    "counts",
    "value",
    "values",
    "calls",
    "events",
    "invocations",
    "arrivals",
    "transactions",
    "hits",
    "users",
    "jobs",
    "y",
    "n",
];

/// Names of columns that hold no counts, whatever numbers are in them.
const OTHER_NAMES: [&str; 8] =
    ["observed", "day", "weekday", "day_of_week", "hour", "month", "year", "index"];

/// A Unix time in seconds stays below this for 3,000 years; one in milliseconds passed it in 1973.
const MILLISECONDS_FROM: f64 = 1e11;

/// A text whose shape is known.
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    delimiter: u8,
    has_header: bool,
    pub(super) names: Vec<String>,
    /// The first row of data.
    first: ByteRecord,
}

/// One row of data.
pub(super) struct Row<'a> {
    table: &'a Table<'a>,
    record: &'a ByteRecord,
}

impl<'a> Table<'a> {
    pub(super) fn open(bytes: &'a [u8], options: &TraceOptions) -> Result<Self, TraceError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(TraceError::File("is empty, but must have at least two rows".into()));
        }
        if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
            let problem = "must be text, but holds a zero byte".into();
            return Err(TraceError::Line { line: line_at(bytes, at), problem });
        }
        let delimiter = options.delimiter.unwrap_or_else(|| find_delimiter(bytes));
        let mut table =
            Self { bytes, delimiter, has_header: false, names: Vec::new(), first: ByteRecord::new() };
        let mut reader = table.reader();
        let mut read = |record: &mut ByteRecord| {
            // Reading from memory into bytes fails for nothing but fields of unequal number, which are allowed here.
            reader
                .read_byte_record(record)
                .map_err(|error| TraceError::File(format!("cannot be read: {error}")))
        };
        let mut head = ByteRecord::new();
        read(&mut head)?;
        table.has_header = options.header.unwrap_or_else(|| {
            !head.iter().any(|field| std::str::from_utf8(field).is_ok_and(is_number_or_stamp))
        });
        if table.has_header {
            table.names = head.iter().map(|name| String::from_utf8_lossy(name.trim_ascii()).into()).collect();
            read(&mut table.first)?;
            if table.first.is_empty() {
                return Err(TraceError::File(
                    "has a header and no rows, but must have at least two rows".into(),
                ));
            }
        } else {
            table.names = (1..=head.len()).map(|number| format!("column {number}")).collect();
            table.first = head;
        }
        Ok(table)
    }

    /// Position of the column that is called so, if need be in other cases of its letters.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let same = |column: &String| column == name;
        let alike = |column: &String| column.eq_ignore_ascii_case(name);
        self.names.iter().position(same).or_else(|| self.names.iter().position(alike))
    }

    pub(super) fn time_column(&self, options: &TraceOptions) -> Result<usize, TraceError> {
        if let Some(name) = &options.time_column {
            return self.find(name).ok_or_else(|| self.missing(name));
        }
        let usual = || TIME_NAMES.iter().find_map(|name| self.find(name));
        let stamps =
            || self.first.iter().position(|field| text_of(field).is_some_and(|text| stamp(text).is_some()));
        let numbers =
            || self.first.iter().position(|field| text_of(field).is_some_and(|text| number(text).is_some()));
        usual().or_else(stamps).or_else(numbers).filter(|column| *column < self.names.len()).ok_or_else(
            || {
                let problem = format!("is not to be found among the columns {}", self.listed());
                TraceError::Column { column: "time".into(), problem }
            },
        )
    }

    pub(super) fn value_column(&self, time: usize, options: &TraceOptions) -> Result<usize, TraceError> {
        if let Some(name) = &options.value_column {
            return self.find(name).ok_or_else(|| self.missing(name));
        }
        let usual = || VALUE_NAMES.iter().find_map(|name| self.find(name)).filter(|column| *column != time);
        let first = || {
            (0..self.names.len()).find(|column| {
                let name = self.names[*column].to_ascii_lowercase();
                let field = self.first.get(*column).and_then(text_of);
                *column != time
                    && !OTHER_NAMES.contains(&name.as_str())
                    && field.is_some_and(|text| number(text).is_some())
            })
        };
        usual().or_else(first).ok_or_else(|| {
            let problem = format!("is not to be found among the columns {}", self.listed());
            TraceError::Column { column: "count".into(), problem }
        })
    }

    /// Calls `each` with every row of data.
    pub(super) fn rows(
        &self,
        mut each: impl FnMut(&Row<'_>) -> Result<(), TraceError>,
    ) -> Result<(), TraceError> {
        let mut reader = self.reader();
        let mut record = ByteRecord::new();
        let mut skip = self.has_header;
        loop {
            let more = reader
                .read_byte_record(&mut record)
                .map_err(|error| TraceError::File(format!("cannot be read: {error}")))?;
            if !more {
                return Ok(());
            }
            if std::mem::take(&mut skip) {
                continue;
            }
            let row = Row { table: self, record: &record };
            if record.len() != self.names.len() {
                let problem = format!(
                    "must have {} fields like the first line, but has {}",
                    self.names.len(),
                    record.len()
                );
                return Err(TraceError::Line { line: row.line(), problem });
            }
            if record.iter().any(|field| field.contains(&b'\n')) {
                let problem = "must close its quotes where it ends".into();
                return Err(TraceError::Line { line: row.line(), problem });
            }
            each(&row)?;
        }
    }

    fn reader(&self) -> csv::Reader<&'a [u8]> {
        ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.delimiter)
            .from_reader(self.bytes)
    }

    fn missing(&self, name: &str) -> TraceError {
        let problem = format!("is not among the columns {}", self.listed());
        TraceError::Column { column: name.into(), problem }
    }

    fn listed(&self) -> String {
        const NAMES_MAX: usize = 12;
        let mut names: Vec<String> =
            self.names.iter().take(NAMES_MAX).map(|name| format!("`{}`", shortened(name))).collect();
        if self.names.len() > NAMES_MAX {
            names.push(format!("and {} more", self.names.len() - NAMES_MAX));
        }
        names.join(", ")
    }
}

impl Row<'_> {
    pub(super) fn text(&self, column: usize) -> Result<&str, TraceError> {
        let field = &self.record[column];
        text_of(field).ok_or_else(|| self.problem(column, "must be text in UTF-8, but is not".into()))
    }

    pub(super) fn find_unit(&self, column: usize) -> TimeUnit {
        let name = self.table.names[column].to_ascii_lowercase();
        match self.text(column).ok().and_then(number) {
            None => TimeUnit::Stamps,
            Some(value) if value >= MILLISECONDS_FROM || name.ends_with("ms") || name == "milliseconds" => {
                TimeUnit::Milliseconds
            }
            Some(_) => TimeUnit::Seconds,
        }
    }

    pub(super) fn seconds(&self, column: usize, unit: TimeUnit) -> Result<f64, TraceError> {
        let text = self.text(column)?;
        let (value, wanted) = match unit {
            TimeUnit::Seconds => (number(text), "a time in seconds"),
            TimeUnit::Milliseconds => (number(text).map(|value| value / 1e3), "a time in milliseconds"),
            TimeUnit::Stamps => (stamp(text), "a number or a time like 2025-03-03T08:00:00Z"),
        };
        let value =
            value.ok_or_else(|| self.problem(column, format!("must be {wanted}, but is {}", shown(text))))?;
        if value.abs() <= TIME_MAX {
            Ok(value)
        } else {
            let problem = format!("must be a time of at most {TIME_MAX:e} s, but is {}", shown(text));
            Err(self.problem(column, problem))
        }
    }

    /// A count; an empty field is a gap.
    pub(super) fn count(&self, column: usize) -> Result<Option<f64>, TraceError> {
        let text = self.text(column)?;
        if text.is_empty() {
            return Ok(None);
        }
        let value = number(text)
            .ok_or_else(|| self.problem(column, format!("must be a number, but is {}", shown(text))))?;
        if (0.0..=COUNT_MAX).contains(&value) {
            Ok(Some(value))
        } else {
            let problem = format!("must be a count from 0 to {COUNT_MAX:e}, but is {}", shown(text));
            Err(self.problem(column, problem))
        }
    }

    pub(super) fn flag(&self, column: usize) -> Result<bool, TraceError> {
        match self.text(column)? {
            "1" | "1.0" | "true" | "True" => Ok(true),
            "0" | "0.0" | "false" | "False" => Ok(false),
            text => Err(self.problem(column, format!("must be 0 or 1, but is {}", shown(text)))),
        }
    }

    pub(super) fn problem(&self, column: usize, problem: String) -> TraceError {
        let column = shortened(&self.table.names[column]);
        TraceError::Field { line: self.line(), column, problem }
    }

    /// The line on which the row begins; the position that the reader gives is before the empty lines it skipped.
    fn line(&self) -> usize {
        let bytes = self.table.bytes;
        let start = self.record.position().map_or(0, |position| position.byte() as usize).min(bytes.len());
        let skipped = bytes[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        line_at(bytes, start + skipped)
    }
}

/// A value for a message: quoted, escaped, not longer than a line.
pub(super) fn shown(text: &str) -> String {
    format!("{:?}", shortened(text))
}

fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    let mut short: String = text.chars().take(CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn text_of(field: &[u8]) -> Option<&str> {
    std::str::from_utf8(field).ok().map(str::trim)
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// Unix seconds of a time stamp.
fn stamp(text: &str) -> Option<f64> {
    let naive = || {
        ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"]
            .iter()
            .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
            .map(|time| time.and_utc().timestamp_micros())
    };
    let micros =
        DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_micros()).or_else(naive)?;
    Some(micros as f64 / 1e6)
}

fn is_number_or_stamp(text: &str) -> bool {
    let text = text.trim();
    number(text).is_some() || stamp(text).is_some()
}

fn find_delimiter(bytes: &[u8]) -> u8 {
    let line = bytes.trim_ascii_start();
    let line = line.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or(line);
    let count = |delimiter: u8| line.iter().filter(|byte| **byte == delimiter).count();
    // The first of equals wins, so a line without any is a single column.
    [b',', b';', b'\t'].into_iter().rev().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

fn line_at(bytes: &[u8], offset: usize) -> usize {
    bytes[..offset.min(bytes.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}
