//! Figures of identified models: measured against predicted, correlations of residuals, step responses, coverage.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::{
    Area, Chart, Drawn, GREY, PALE, PALETTE, TRANSPARENT, bounds, color, dark, mesh, render, set_apart, text,
    tick, title,
};

/// One model's course against the measured one, for [`measured_and_predicted`].
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// The model, and what is said of it beside its name.
    pub caption: String,
    /// Predicted values; NaN where there is none.
    pub predicted: Vec<f64>,
    /// Freely simulated values; NaN where there is none.
    pub simulated: Vec<f64>,
}

/// The residuals of one model, for [`residual_correlations`].
#[derive(Clone, Debug, PartialEq)]
pub struct Correlations {
    /// The model, and whether it passes.
    pub caption: String,
    /// Half the width of the band around 0 in which a value of a right model lies.
    pub bound: f64,
    /// Autocorrelation at lags 1, 2, …
    pub auto: Vec<f64>,
    /// For each input its name, its bounds lag by lag, and the cross-correlation of residual(t) with input(t − lag), from
    /// this lag on.
    pub cross: Vec<Cross>,
}

/// Cross-correlation of residuals and one input.
#[derive(Clone, Debug, PartialEq)]
pub struct Cross {
    /// The input.
    pub input: String,
    /// Lag of the first value.
    pub first_lag: i32,
    /// A value a lag.
    pub values: Vec<f64>,
    /// Half the width of the band.
    pub bound: f64,
}

/// Step responses from one input, for [`step_responses`].
#[derive(Clone, Debug, PartialEq)]
pub struct Steps {
    /// For example `ready → latency_seconds`.
    pub caption: String,
    /// For each model its name and its response at 0, 1, 2, … steps.
    pub models: Vec<(String, Vec<f64>)>,
}

/// The coverage of one parameter's interval, for [`coverage`].
#[derive(Clone, Debug, PartialEq)]
pub struct Covered {
    /// System and parameter.
    pub name: String,
    /// Share of the runs in which the interval held the truth.
    pub share: f64,
    /// Whether the test rejects it.
    pub rejected: bool,
}

/// A row a model: measured (grey), predicted (blue) and simulated (orange) over time.
pub fn measured_and_predicted(
    heading: &str,
    note: &str,
    x: &str,
    times: &[f64],
    measured: &[f64],
    courses: &[Course],
) -> String {
    let (width, head, row_height, foot) = (1080, 62, 122, 46);
    let rows = courses.len() as u32;
    // A model that runs away must not flatten what was measured.
    let (low, high) = bounds(measured.iter().copied().filter(|value| value.is_finite()));
    let room = (high - low).max(1e-9 * high.abs()).max(1e-12);
    let (low, high) = (low - 0.25 * room, high + 0.25 * room);
    let (from, to) = bounds(times.iter().copied());
    render(width, head + rows * row_height + foot, |root| {
        title(&root, heading)?;
        root.draw_text(note, &text(13, &GREY, HPos::Left), (14, 36))?;
        for (row, course) in courses.iter().enumerate() {
            let is_last = row + 1 == courses.len();
            let top = (head + row as u32 * row_height).cast_signed();
            let panel = root.clone().shrink((0, top), (width, row_height + if is_last { foot } else { 0 }));
            let mut chart = ChartBuilder::on(&panel)
                .margin_top(24)
                .margin_right(16)
                .margin_left(4)
                .x_label_area_size(if is_last { foot } else { 8 })
                .y_label_area_size(62)
                .build_cartesian_2d(from..to, low..high)?;
            axes(&mut chart, is_last.then_some(x))?;
            let line = |values: &[f64]| -> Vec<Vec<(f64, f64)>> {
                let points: Vec<(f64, f64)> =
                    times.iter().zip(values).map(|(time, value)| (*time, value.clamp(low, high))).collect();
                points
                    .split(|(_, value)| value.is_nan())
                    .map(<[(f64, f64)]>::to_vec)
                    .filter(|it| !it.is_empty())
                    .collect()
            };
            for part in line(measured) {
                chart.draw_series(LineSeries::new(part, RGBColor(150, 150, 150).stroke_width(2)))?;
            }
            for part in line(&course.simulated) {
                chart.draw_series(LineSeries::new(part, PALETTE[1].stroke_width(1)))?;
            }
            for part in line(&course.predicted) {
                chart.draw_series(LineSeries::new(part, PALETTE[0].stroke_width(1)))?;
            }
            panel.draw_text(&course.caption, &text(14, &BLACK, HPos::Left), (70, 5))?;
        }
        Ok(())
    })
}

/// A row a model: autocorrelation of the residuals, then their cross-correlation with each input, as stems in their bands.
pub fn residual_correlations(heading: &str, models: &[Correlations]) -> String {
    let n_columns = models.iter().map(|model| model.cross.len() + 1).max().unwrap_or(1) as u32;
    let (width, head, row_height, foot) = (1080, 62, 112, 40);
    let column_width = width / n_columns;
    render(width, head + models.len() as u32 * row_height + foot, |root| {
        title(&root, heading)?;
        let note = "stems: correlation at each lag; band: 99 % of the values of white residuals; a stem outside the band is drawn orange";
        root.draw_text(note, &text(13, &GREY, HPos::Left), (14, 36))?;
        for (row, model) in models.iter().enumerate() {
            let is_last = row + 1 == models.len();
            let top = (head + row as u32 * row_height).cast_signed();
            let auto =
                Cross { input: String::new(), first_lag: 1, values: model.auto.clone(), bound: model.bound };
            for (column, cross) in std::iter::once(&auto).chain(&model.cross).enumerate() {
                let left = (column as u32 * column_width).cast_signed();
                let size = (column_width, row_height + if is_last { foot } else { 0 });
                let panel = root.clone().shrink((left, top), size);
                let caption = if column == 0 {
                    model.caption.clone()
                } else {
                    format!("residuals and {}", cross.input)
                };
                stems(&panel, cross, &caption, is_last.then_some(foot))?;
            }
        }
        Ok(())
    })
}

fn stems(panel: &Area<'_>, cross: &Cross, caption: &str, foot: Option<u32>) -> Drawn {
    let first = f64::from(cross.first_lag);
    let last = first + cross.values.len() as f64 - 1.0;
    let most = cross.values.iter().map(|value| value.abs()).fold(1.6 * cross.bound, f64::max) * 1.1;
    let mut chart = ChartBuilder::on(panel)
        .margin_top(24)
        .margin_right(14)
        .margin_left(4)
        .x_label_area_size(foot.unwrap_or(8))
        .y_label_area_size(52)
        .build_cartesian_2d((first - 1.0)..(last + 1.0), -most..most)?;
    chart.draw_series([Rectangle::new(
        [(first - 1.0, -cross.bound), (last + 1.0, cross.bound)],
        PALETTE[4].mix(0.25).filled(),
    )])?;
    axes(&mut chart, foot.map(|_| "lag (samples)"))?;
    chart.draw_series(LineSeries::new([(first - 1.0, 0.0), (last + 1.0, 0.0)], GREY.stroke_width(1)))?;
    for (index, value) in cross.values.iter().enumerate().filter(|(_, value)| value.is_finite()) {
        let lag = first + index as f64;
        let shade = if value.abs() > cross.bound { PALETTE[1] } else { PALETTE[0] };
        chart.draw_series(LineSeries::new([(lag, 0.0), (lag, *value)], shade.stroke_width(2)))?;
        chart.draw_series([Circle::new((lag, *value), 2, shade.filled())])?;
    }
    panel.draw_text(caption, &text(14, &BLACK, HPos::Left), (58, 5))?;
    Ok(())
}

/// A panel an input: the step responses of all models, each named at its end.
pub fn step_responses(heading: &str, x: &str, step_seconds: f64, panels: &[Steps]) -> String {
    let (width, head, height) = (1080, 48, 330);
    render(width, head + panels.len() as u32 * height, |root| {
        title(&root, heading)?;
        for (row, steps) in panels.iter().enumerate() {
            let top = (head + row as u32 * height).cast_signed();
            let panel = root.clone().shrink((0, top), (width, height));
            let values = steps.models.iter().flat_map(|(_, values)| values.iter().copied());
            let (low, high) = bounds(values.filter(|value| value.is_finite()).chain([0.0]));
            let room = (high - low).max(1e-9);
            let n = steps.models.iter().map(|(_, values)| values.len()).max().unwrap_or(1);
            let to = (n.max(2) - 1) as f64 * step_seconds;
            let mut chart = ChartBuilder::on(&panel)
                .margin_top(28)
                .margin_right(190)
                .margin_left(4)
                .x_label_area_size(42)
                .y_label_area_size(70)
                .build_cartesian_2d(0.0..to, (low - 0.06 * room)..(high + 0.06 * room))?;
            axes(&mut chart, Some(x))?;
            chart.draw_series(LineSeries::new([(0.0, 0.0), (to, 0.0)], GREY.stroke_width(1)))?;
            let mut labels = Vec::new();
            for (index, (name, values)) in steps.models.iter().enumerate() {
                let color = color(index);
                let points =
                    values.iter().enumerate().map(|(step, value)| (step as f64 * step_seconds, *value));
                chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
                let last = values.last().copied().unwrap_or(0.0).clamp(low, high);
                labels.push((f64::from(chart.backend_coord(&(to, last)).1), name.clone(), color));
            }
            set_apart(&mut labels, 16.0, f64::from(top) + f64::from(height) - 50.0);
            for (y, name, color) in labels {
                let at = ((width - 184).cast_signed(), y as i32 - top - 8);
                panel.draw_text(&name, &text(13, &dark(color), HPos::Left), at)?;
            }
            panel.draw_text(&steps.caption, &text(14, &BLACK, HPos::Left), (76, 6))?;
        }
        Ok(())
    })
}

/// A row a parameter: the share of the runs in which its 95 % interval held the truth, and the range in which the exact test
/// does not reject.
pub fn coverage(heading: &str, accepted: (f64, f64), rows: &[Covered]) -> String {
    let (row_height, head) = (17, 62);
    let n = rows.len() as u32;
    let (low, high) = bounds(rows.iter().map(|row| row.share).chain([accepted.0, accepted.1]));
    let room = 0.1 * (high - low);
    let percent = (100.0 * (low - room))..(100.0 * (high + room)).min(100.0);
    render(900, head + n * row_height + 50, |root| {
        title(&root, heading)?;
        let note = "band: shares that the exact binomial test does not reject; orange: rejected";
        root.draw_text(note, &text(13, &GREY, HPos::Left), (14, 36))?;
        let area = root.margin(head, 0, 0, 0);
        let mut chart = ChartBuilder::on(&area)
            .margin_left(320)
            .margin_right(24)
            .x_label_area_size(46)
            .build_cartesian_2d(percent, f64::from(n)..0.0)?;
        let band = [(100.0 * accepted.0, f64::from(n)), (100.0 * accepted.1, 0.0)];
        chart.draw_series([Rectangle::new(band, PALETTE[4].mix(0.25).filled())])?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(PALE)
            .axis_style(GREY)
            .disable_y_mesh()
            .x_label_formatter(&|value| tick(*value))
            .label_style(text(13, &GREY, HPos::Left))
            .axis_desc_style(text(14, &BLACK, HPos::Left))
            .x_desc("runs whose 95 % interval held the truth (%)")
            .draw()?;
        let (_, top) = area.get_base_pixel();
        for (row, covered) in rows.iter().enumerate() {
            let y = row as f64 + 0.5;
            let shade = if covered.rejected { PALETTE[1] } else { PALETTE[0] };
            chart.draw_series([Circle::new((100.0 * covered.share, y), 4, shade.filled())])?;
            let (_, y) = chart.backend_coord(&(95.0, y));
            area.draw_text(&covered.name, &text(12, &BLACK, HPos::Right), (312, y - top - 7))?;
        }
        Ok(())
    })
}

type Plain<'a, 'b> =
    Chart<'a, 'b, plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>;

/// Grid and labels; the horizontal axis has numbers and a name only where one is given.
fn axes(chart: &mut Plain<'_, '_>, x: Option<&str>) -> Drawn {
    if let Some(x) = x {
        return mesh(chart, x, "", 9, 5);
    }
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(PALE)
        .axis_style(GREY)
        .x_labels(9)
        .y_labels(5)
        .x_label_formatter(&|_| String::new())
        .y_label_formatter(&|value| tick(*value))
        .label_style(text(13, &GREY, HPos::Left))
        .draw()?;
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
        let course = Course {
            caption: "ARX".into(),
            predicted: vec![f64::NAN, 1.0, 1e9],
            simulated: vec![0.0, f64::NAN, f64::NAN],
        };
        check(
            &measured_and_predicted("h", "n", "s", &[0.0, 1.0, 2.0], &[1.0, f64::NAN, 1.0], &[course]),
            "ARX",
        );
        let cross = Cross { input: "u".into(), first_lag: -1, values: vec![0.5, f64::NAN, 0.0], bound: 0.1 };
        let model = Correlations { caption: "OE".into(), bound: 0.1, auto: vec![0.2], cross: vec![cross] };
        check(&residual_correlations("h", &[model]), "residuals and u");
        let steps = Steps {
            caption: "u → y".into(),
            models: vec![("BJ".into(), vec![0.0]), ("none".into(), vec![])],
        };
        check(&step_responses("h", "s", 1.0, &[steps]), "BJ");
        let row = Covered { name: "a1".into(), share: 0.95, rejected: false };
        check(&coverage("h", (0.92, 0.97), &[row]), "a1");
    }
}
