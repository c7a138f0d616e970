//! Figures of forecasts: fans from a few origins, and scores by horizon or by day, a line a method.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::{
    Area, Drawn, FONT, GREY, NAME_HEIGHT, PALE, PALETTE, TRANSPARENT, bounds, color, dark, mesh, render,
    set_apart, text, tick, title,
};

/// Forecasts of one method, for [`fans`].
#[derive(Clone, Debug, PartialEq)]
pub struct FanRow {
    /// The method.
    pub caption: String,
    /// A fan a column, in the order of the columns' measured values.
    pub fans: Vec<Vec<FanPoint>>,
}

/// Quantiles of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FanPoint {
    /// Hours after the origin.
    pub hours: f64,
    /// At the levels 1, 5, 10, 25, 50, 75, 90, 95 and 99 %.
    pub quantiles: [f64; 9],
}

/// What came around one origin, for [`fans`].
#[derive(Clone, Debug, PartialEq)]
pub struct Around {
    /// Above the column.
    pub caption: String,
    /// Hours after the origin and value; gaps are NaN.
    pub measured: Vec<(f64, f64)>,
}

/// A row a method, a column an origin: the measured values as a grey line, the forecast as bands from 5 to 95 % and from 25
/// to 75 % about its median.
pub fn fans(heading: &str, unit: &str, columns: &[Around], rows: &[FanRow]) -> String {
    let (width, head, row_height, foot) = (1180, 84, 150, 46);
    let n_rows = rows.len() as u32;
    let column_width = width / (columns.len() as u32).max(1);
    render(width, head + n_rows * row_height + foot, |root| {
        title(&root, heading)?;
        let note = format!(
            "{unit}; grey: measured; line: median; bands: 25 to 75 % and 5 to 95 %; what is above the frame is cut off"
        );
        root.draw_text(&note, &text(13, &GREY, HPos::Left), (14, 36))?;
        for (column, around) in columns.iter().enumerate() {
            let left = (column as u32 * column_width).cast_signed();
            root.draw_text(&around.caption, &text(14, &BLACK, HPos::Left), (left + 56, 62))?;
            let (from, to) = bounds(around.measured.iter().map(|(hours, _)| *hours));
            // Each origin has a range of its own, and a band that runs away must not flatten what was measured.
            let values = around.measured.iter().map(|(_, value)| *value);
            let (_, highest) = bounds(values.filter(|value| value.is_finite()));
            let most = (1.35 * highest).max(1e-9);
            for (index, row) in rows.iter().enumerate() {
                let is_last = index + 1 == rows.len();
                let top = (head + index as u32 * row_height).cast_signed();
                let size = (column_width, row_height + if is_last { foot } else { 0 });
                let panel = root.clone().shrink((left, top), size);
                let mut chart = ChartBuilder::on(&panel)
                    .margin_top(20)
                    .margin_right(12)
                    .margin_left(4)
                    .x_label_area_size(if is_last { foot } else { 8 })
                    .y_label_area_size(52)
                    .build_cartesian_2d(from..to, 0.0..most)?;
                let mut grid = chart.configure_mesh();
                grid.light_line_style(TRANSPARENT)
                    .bold_line_style(PALE)
                    .axis_style(GREY)
                    .x_labels(7)
                    .y_labels(5)
                    .label_style(text(12, &GREY, HPos::Left))
                    .axis_desc_style(text(13, &BLACK, HPos::Left))
                    .y_label_formatter(&|value| tick(*value));
                if is_last {
                    grid.x_desc("hours after the origin").x_label_formatter(&|value| tick(*value)).draw()?;
                } else {
                    grid.x_label_formatter(&|_| String::new()).draw()?;
                }
                let shade = color(index);
                let fan = row.fans.get(column).map_or(&[][..], Vec::as_slice);
                for (low, high, opacity) in [(1, 7, 0.16), (3, 5, 0.3)] {
                    let edge = |level: usize| {
                        move |point: &FanPoint| (point.hours, point.quantiles[level].clamp(0.0, most))
                    };
                    let outline: Vec<(f64, f64)> =
                        fan.iter().map(edge(high)).chain(fan.iter().rev().map(edge(low))).collect();
                    chart.draw_series([Polygon::new(outline, shade.mix(opacity).filled())])?;
                }
                let measured = around.measured.split(|(_, value)| value.is_nan());
                for part in measured.filter(|part| !part.is_empty()) {
                    let line = part.iter().map(|(hours, value)| (*hours, value.min(most)));
                    chart.draw_series(LineSeries::new(line, RGBColor(120, 120, 120).stroke_width(1)))?;
                }
                let median = fan.iter().map(|point| (point.hours, point.quantiles[4].min(most)));
                chart.draw_series(LineSeries::new(median, shade.stroke_width(2)))?;
                chart.draw_series(LineSeries::new([(0.0, 0.0), (0.0, most)], GREY.stroke_width(1)))?;
                panel.draw_text(&row.caption, &text(14, &dark(shade), HPos::Left), (62, 1))?;
            }
        }
        Ok(())
    })
}

/// A line of [`by_position`].
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The method.
    pub name: String,
    /// A value a position; NaN where there is none.
    pub values: Vec<f64>,
}

/// Axes of [`by_position`].
#[derive(Clone, Debug, PartialEq)]
pub struct Axes<'a> {
    /// Below.
    pub x: &'a str,
    /// To the left.
    pub y: &'a str,
    /// What stands below each position; all as far from each other. Of very many every few are written.
    pub positions: &'a [String],
    /// A band that is wanted.
    pub band: Option<(f64, f64)>,
    /// What the axis has to hold at least.
    pub range: (f64, f64),
    /// What the axis holds at most: one bad method must not flatten the others.
    pub most: f64,
}

/// Values over named positions, a line a method, each named at its end.
pub fn by_position(heading: &str, note: &str, axes: &Axes<'_>, lines: &[Line]) -> String {
    let (width, right) = (960, 200);
    let height = (lines.len() as u32 * NAME_HEIGHT + 150).max(430);
    let all = || lines.iter().flat_map(|line| line.values.iter().copied()).filter(|value| value.is_finite());
    let (low, high) = bounds(all().chain([axes.range.0, axes.range.1]));
    let (low, high) = (low, high.min(axes.most));
    let room = 0.04 * (high - low);
    let last = axes.positions.len().saturating_sub(1).max(1) as f64;
    render(width, height, |root| {
        title(&root, heading)?;
        root.draw_text(note, &text(13, &GREY, HPos::Left), (14, 36))?;
        let area = root.margin(58, 0, 0, 0);
        let mut chart = ChartBuilder::on(&area)
            .margin_left(10)
            .margin_right(right)
            .x_label_area_size(46)
            .y_label_area_size(62)
            .build_cartesian_2d(
                (-0.03 * last)..(1.03 * last),
                (low - room).max(axes.range.0)..(high + room),
            )?;
        if let Some((from, to)) = axes.band {
            let corners = [(-0.03 * last, from), (1.03 * last, to)];
            chart.draw_series([Rectangle::new(corners, PALETTE[4].mix(0.22).filled())])?;
        }
        positions(&mut chart, &area, axes)?;
        let mut names = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let shade = color(index);
            let point = |(position, value): (usize, &f64)| (position as f64, value.min(high + room));
            let points: Vec<(f64, f64)> =
                line.values.iter().enumerate().filter(|(_, value)| value.is_finite()).map(point).collect();
            let Some(end) = points.last().copied() else { continue };
            let marks = points.len() <= 12;
            // There are more methods than colours; the second time round lines are dashed.
            if index < PALETTE.len() {
                chart.draw_series(LineSeries::new(points.clone(), shade.stroke_width(2)))?;
            } else {
                chart.draw_series(DashedLineSeries::new(points.clone(), 6, 4, shade.stroke_width(2)))?;
            }
            if marks {
                chart.draw_series(points.iter().map(|at| Circle::new(*at, 3, shade.filled())))?;
            }
            let (x, y) = chart.backend_coord(&end);
            names.push((f64::from(y), (x, y, line.name.as_str()), shade));
        }
        set_apart(&mut names, f64::from(NAME_HEIGHT), f64::from(height) - 50.0);
        for (y, (end_x, end_y, name), shade) in names {
            let x = (width - right).cast_signed() + 14;
            let y = y as i32;
            root.draw(&PathElement::new([(end_x + 4, end_y), (x - 3, y)], shade.mix(0.45)))?;
            root.draw_text(name, &text(14, &dark(shade), HPos::Left), (x, y - 8))?;
        }
        Ok(())
    })
}

type Plain<'a, 'b> =
    super::Chart<'a, 'b, plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>;

/// The grid, and the names of the positions: an axis of numbers would write between them.
fn positions(chart: &mut Plain<'_, '_>, area: &Area<'_>, axes: &Axes<'_>) -> Drawn {
    mesh(chart, axes.x, axes.y, 0, 8)?;
    let (left, top) = area.get_base_pixel();
    let (_, rows) = chart.plotting_area().get_pixel_range();
    let every = axes.positions.len().div_ceil(16).max(1);
    for (position, name) in axes.positions.iter().enumerate().step_by(every) {
        let (x, _) = chart.backend_coord(&(position as f64, 0.0));
        let style = (FONT, 13).into_font().color(&GREY);
        let (wide, _) = area.estimate_text_size(name, &style)?;
        let at = (x - left - (wide / 2).cast_signed(), rows.end - top + 6);
        area.draw_text(name, &text(13, &GREY, HPos::Left), at)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_odd_values_are_drawn_without_nonsense() {
        let check = |svg: &str, word: &str| {
            assert!(svg.starts_with("<svg") && svg.contains(word) && !svg.contains("NaN"), "{svg}");
        };
        let around =
            Around { caption: "day 3".into(), measured: vec![(-1.0, 2.0), (0.0, f64::NAN), (1.0, 0.0)] };
        let point = FanPoint { hours: 0.0, quantiles: [0.0, 0.0, 1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 1e12] };
        let row = |fans: Vec<Vec<FanPoint>>| FanRow { caption: "mstl".into(), fans };
        check(
            &fans("h", "1/s", std::slice::from_ref(&around), &[row(vec![vec![point; 3]]), row(Vec::new())]),
            "day 3",
        );
        check(&fans("h", "1/s", &[], &[]), "measured");
        let positions = ["1 step".to_owned(), "1 h".to_owned()];
        let axes = Axes {
            x: "x",
            y: "y",
            positions: &positions,
            band: Some((0.85, 0.95)),
            range: (0.0, 1.0),
            most: 2.0,
        };
        let line = |values: Vec<f64>| Line { name: "forest".into(), values };
        let lines = [line(vec![0.5, 1e9]), line(vec![f64::NAN, 1.0]), line(vec![f64::NAN; 2])];
        check(&by_position("h", "n", &axes, &lines), "1 step");
        check(&by_position("h", "n", &axes, &vec![line(vec![1.0, 1.0]); 12]), "forest");
    }
}
