//! A report: written once as blocks, rendered for the terminal, as Markdown, as LaTeX tables and as one HTML page.

use std::fmt::Write;

/// Headings, paragraphs, tables and figures in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    blocks: Vec<Block>,
}

#[derive(Clone, Debug, PartialEq)]
enum Block {
    Heading(usize, String),
    Paragraph(String),
    Verbatim(String),
    Table(Table),
    Figure { file: String, caption: String, svg: String },
}

/// Text in rows; the first column is set to the left, the others to the right.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    caption: String,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Report {
    /// An empty one.
    pub fn new(title: &str) -> Self {
        Self { blocks: vec![Block::Heading(1, title.to_owned())] }
    }

    /// Adds a heading of level 2 or below.
    pub fn heading(&mut self, level: usize, text: impl Into<String>) {
        self.blocks.push(Block::Heading(level, text.into()));
    }

    /// Adds a paragraph.
    pub fn paragraph(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Paragraph(text.into()));
    }

    /// Adds lines that are set as they are, in a font of one width.
    pub fn verbatim(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Verbatim(text.into()));
    }

    /// Adds a table.
    pub fn table(&mut self, table: Table) {
        self.blocks.push(Block::Table(table));
    }

    /// Adds a figure: a file beside the Markdown, drawn into the page.
    pub fn figure(&mut self, file: &str, caption: &str, svg: String) {
        self.blocks.push(Block::Figure { file: file.to_owned(), caption: caption.to_owned(), svg });
    }

    /// The figures, by file name.
    pub fn figures(&self) -> impl Iterator<Item = (&str, &str)> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Figure { file, svg, .. } => Some((file.as_str(), svg.as_str())),
            _ => None,
        })
    }

    /// For a terminal: no figures.
    pub fn terminal(&self) -> String {
        self.blocks
            .iter()
            .filter_map(|block| match block {
                Block::Heading(_, text) => Some(format!("{text}\n{}\n\n", "=".repeat(text.chars().count()))),
                Block::Paragraph(text) => Some(format!("{}\n", folded(text, 110))),
                Block::Verbatim(text) => Some(format!("{text}\n\n")),
                Block::Table(table) => Some(format!("{}\n", table.terminal())),
                Block::Figure { .. } => None,
            })
            .collect()
    }

    /// Markdown; figures are links to their files.
    pub fn markdown(&self) -> String {
        let blocks: Vec<String> = self
            .blocks
            .iter()
            .map(|block| match block {
                Block::Heading(level, text) => format!("{} {text}\n", "#".repeat(*level)),
                Block::Paragraph(text) => format!("{text}\n"),
                Block::Verbatim(text) => format!("```text\n{text}\n```\n"),
                Block::Table(table) => table.markdown(),
                Block::Figure { file, caption, .. } => format!("![{caption}]({file})\n"),
            })
            .collect();
        blocks.join("\n")
    }

    /// The tables for a paper; needs the package `booktabs`.
    pub fn latex(&self) -> String {
        let mut out = String::from("% Generated; needs \\usepackage{booktabs}.\n");
        for block in &self.blocks {
            if let Block::Table(table) = block {
                out.push_str(&table.latex());
            }
        }
        out
    }

    /// One page that needs nothing else.
    pub fn html(&self) -> String {
        let title = match &self.blocks[0] {
            Block::Heading(_, text) => escape_html(text),
            _ => unreachable!("a report starts with its title"),
        };
        let body: String = self
            .blocks
            .iter()
            .map(|block| match block {
                Block::Heading(level, text) => format!("<h{level}>{}</h{level}>\n", escape_html(text)),
                Block::Paragraph(text) => format!("<p>{}</p>\n", escape_html(text)),
                Block::Verbatim(text) => format!("<pre>{}</pre>\n", escape_html(text)),
                Block::Table(table) => table.html(),
                Block::Figure { caption, svg, .. } => {
                    format!("<figure>\n{svg}\n<figcaption>{}</figcaption></figure>\n", escape_html(caption))
                }
            })
            .collect();
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
        )
    }
}

impl Table {
    /// An empty table with these columns.
    pub fn new(caption: &str, header: &[&str]) -> Self {
        Self {
            caption: caption.to_owned(),
            header: header.iter().map(|name| (*name).to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// If it has not as many cells as the header.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        assert_eq!(cells.len(), self.header.len(), "a row has a cell a column");
        self.rows.push(cells);
    }

    /// As Markdown, aligned in the source as well.
    pub fn markdown(&self) -> String {
        let widths = self.widths();
        let line = |cells: &[String]| format!("| {} |\n", padded(cells, &widths).join(" | "));
        let rule: Vec<String> = widths
            .iter()
            .enumerate()
            .map(
                |(column, width)| {
                    if column == 0 { "-".repeat(*width) } else { format!("{}:", "-".repeat(width - 1)) }
                },
            )
            .collect();
        let mut out = line(&self.header);
        let _ = writeln!(out, "| {} |", rule.join(" | "));
        out.extend(self.rows.iter().map(|row| line(row)));
        out
    }

    fn terminal(&self) -> String {
        let widths = self.widths();
        let line = |cells: &[String]| format!("{}\n", padded(cells, &widths).join("  ").trim_end());
        let mut out = line(&self.header);
        let _ =
            writeln!(out, "{}", widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>().join("  "));
        out.extend(self.rows.iter().map(|row| line(row)));
        out
    }

    fn latex(&self) -> String {
        let line = |cells: &[String]| {
            format!("{} \\\\\n", cells.iter().map(|cell| escape_latex(cell)).collect::<Vec<_>>().join(" & "))
        };
        let columns = "r".repeat(self.header.len() - 1);
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!(
            "\\begin{{table}}\n\\centering\n\\caption{{{}}}\n\\begin{{tabular}}{{l{columns}}}\n\\toprule\n{}\\midrule\n\
             {rows}\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n",
            escape_latex(&self.caption),
            line(&self.header)
        )
    }

    fn html(&self) -> String {
        let line = |cells: &[String], tag: &str| {
            let cells: Vec<String> = cells.iter().map(|cell| escape_html(cell)).collect();
            format!("<tr><{tag}>{}</{tag}></tr>\n", cells.join(&format!("</{tag}><{tag}>")))
        };
        let rows: String = self.rows.iter().map(|row| line(row, "td")).collect();
        format!(
            "<div class=\"wide\"><table>\n<caption>{}</caption>\n<thead>{}</thead>\n<tbody>{rows}</tbody>\n</table></div>\n",
            escape_html(&self.caption),
            line(&self.header, "th")
        )
    }

    fn widths(&self) -> Vec<usize> {
        (0..self.header.len())
            .map(|column| {
                let cells = self.rows.iter().chain([&self.header]).map(|row| row[column].chars().count());
                cells.max().expect("there is a header")
            })
            .collect()
    }
}

/// A number with three significant digits, as people write it.
pub fn number(value: f64) -> String {
    if value.is_nan() {
        return "–".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞".into() } else { "−∞".into() };
    }
    // Which digits there are is decided after rounding: 9.996 has two decimals, not three.
    let magnitude = value.abs();
    let text = match magnitude {
        0.0 => "0".into(),
        _ if magnitude >= 99.95 => format!("{value:.0}"),
        _ if magnitude >= 9.995 => format!("{value:.1}"),
        _ if magnitude >= 0.9995 => format!("{value:.2}"),
        _ if magnitude >= 0.001 => format!("{value:.3}"),
        _ => format!("{value:.1e}"),
    };
    text.replace('-', "−")
}

/// Dollars with cents below a thousand.
pub fn dollars(value: f64) -> String {
    let text = if value.abs() < 999.995 { format!("{value:.2}") } else { format!("{value:.0}") };
    text.replace('-', "−")
}

/// A share as percent.
pub fn percent(share: f64) -> String {
    format!("{} %", number(share * 100.0))
}

/// A duration in seconds.
pub fn seconds(value: f64) -> String {
    if value.is_finite() { format!("{} s", number(value)) } else { number(value) }
}

fn padded(cells: &[String], widths: &[usize]) -> Vec<String> {
    cells
        .iter()
        .zip(widths)
        .enumerate()
        .map(
            |(column, (cell, width))| {
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            },
        )
        .collect()
}

fn folded(text: &str, width: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
    out
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn escape_latex(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '%' | '$' | '&' | '#' | '_' | '{' | '}' => out.extend(['\\', c]),
            '−' => out.push_str("$-$"),
            '–' => out.push_str("--"),
            '∞' => out.push_str("$\\infty$"),
            '±' => out.push_str("$\\pm$"),
            '×' => out.push_str("$\\times$"),
            '\\' => out.push_str("\\textbackslash{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            _ => out.push(c),
        }
    }
    out
}

const STYLE: &str = "
body{max-width:72rem;margin:2rem auto;padding:0 1rem;font:16px/1.5 system-ui,sans-serif;color:#1a1a1a;background:#fff}
h1,h2,h3{line-height:1.2}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums;margin:1rem 0;white-space:nowrap}
caption{text-align:left;font-weight:600;padding:.3rem 0}
th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid #ddd}
th{border-bottom:2px solid #555}
th:first-child,td:first-child{text-align:left}
tbody tr:hover{background:#f3f6f9}
pre{overflow-x:auto;font-size:.85rem;background:#f6f7f8;padding:.7rem}
figure{margin:1.5rem 0}
figure svg{max-width:100%;height:auto}
figcaption{font-size:.85rem;color:#555}
";

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn table() -> Table {
        let mut table = Table::new("Cost & more", &["controller", "dollars"]);
        table.row(["fixed".into(), "12.50".into()]);
        table.row(["queue_depth <x>".into(), "−3 %".into()]);
        table
    }

    #[test]
    fn one_table_in_four_forms() {
        let mut report = Report::new("Title");
        report.table(table());
        report.figure("a.svg", "A figure", "<svg/>".into());
        let check = |text: &str, expected: &Expect| expected.assert_eq(text);
        check(
            &report.markdown(),
            &expect![[r"
                # Title

                | controller      | dollars |
                | --------------- | ------: |
                | fixed           |   12.50 |
                | queue_depth <x> |    −3 % |

                ![A figure](a.svg)
            "]],
        );
        check(
            &report.terminal(),
            &expect![[r"
                Title
                =====

                controller       dollars
                ---------------  -------
                fixed              12.50
                queue_depth <x>     −3 %

            "]],
        );
        check(
            &report.latex(),
            &expect![[r"
                % Generated; needs \usepackage{booktabs}.
                \begin{table}
                \centering
                \caption{Cost \& more}
                \begin{tabular}{lr}
                \toprule
                controller & dollars \\
                \midrule
                fixed & 12.50 \\
                queue\_depth <x> & $-$3 \% \\
                \bottomrule
                \end{tabular}
                \end{table}
            "]],
        );
        let html = report.html();
        assert!(html.contains("<td>queue_depth &lt;x&gt;</td>") && html.contains("<svg/>"));
        assert!(!html.contains("<script"));
    }

    #[test]
    fn numbers_read_as_people_write_them() {
        let cases = [
            (0.0, "0"),
            (0.01234, "0.012"),
            (0.000_012_3, "1.2e−5"),
            (-1.234, "−1.23"),
            (9.996, "10.0"),
            (99.97, "100"),
            (12_345.6, "12346"),
            (f64::NAN, "–"),
            (f64::INFINITY, "∞"),
        ];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
        assert_eq!((dollars(12.345), dollars(1234.5)), ("12.35".into(), "1234".into()));
        assert_eq!((percent(0.0123), seconds(0.25)), ("1.23 %".into(), "0.250 s".into()));
    }

    #[test]
    fn long_text_is_folded_between_words() {
        assert_eq!(folded("one two three four", 9), "one two\nthree\nfour\n");
    }
}
