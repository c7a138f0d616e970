//! The figure of a plan: load, what is ordered and ready, and what it costs, on one axis of time.

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::{Chart, Drawn, GREY, PALE, TRANSPARENT, caption, color, render, text, tick, title};

/// One pool of a [`Planned`].
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedPool {
    /// Its name.
    pub name: String,
    /// Ordered, a stage each.
    pub ordered: Vec<f64>,
    /// Ready, a stage each.
    pub ready: Vec<f64>,
}

/// What is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Above the figure.
    pub title: String,
    /// Length of a stage; without it the axis counts stages.
    pub stage_seconds: Option<f64>,
    /// The load of each stage, if it is known.
    pub load: Option<Vec<f64>>,
    /// The pools.
    pub pools: Vec<PlannedPool>,
    /// Dollars for capacity, a stage each.
    pub capacity_dollars: Vec<f64>,
    /// Dollars of penalty, a stage each.
    pub penalty_dollars: Vec<f64>,
}

/// Values of stages as steps: a line, with what is below it filled or not.
struct Steps<'a> {
    values: &'a [f64],
    color: RGBColor,
    is_filled: bool,
}

/// A panel for the load, one for each pool, one for the dollars. Values hold from the start of a stage to its end, so they
/// are drawn as steps.
pub fn plan(planned: &Planned) -> String {
    let n_stages = planned.capacity_dollars.len();
    let width = planned.stage_seconds.map_or(1.0, |seconds| seconds / 3600.0);
    let end = n_stages as f64 * width;
    let x = if planned.stage_seconds.is_some() { "hours from now" } else { "stage" };
    let mut panels: Vec<(String, RGBColor, Vec<Steps<'_>>)> = Vec::new();
    if let Some(load) = &planned.load {
        panels.push(("load (requests/s)".into(), GREY, vec![filled(load, GREY)]));
    }
    for (index, pool) in planned.pools.iter().enumerate() {
        let shade = color(index);
        let ordered = Steps { values: &pool.ordered, color: BLACK, is_filled: false };
        let what = format!("{}: ready (filled), ordered (black line)", pool.name);
        panels.push((what, shade, vec![filled(&pool.ready, shade), ordered]));
    }
    let both: Vec<f64> =
        planned.capacity_dollars.iter().zip(&planned.penalty_dollars).map(|(a, b)| a + b).collect();
    let (capacity, penalty) = (color(4), color(1));
    panels.push((
        "dollars a stage: capacity (blue), penalty on top (orange)".into(),
        GREY,
        vec![filled(&both, penalty), filled(&planned.capacity_dollars, capacity)],
    ));
    let (head, row_height, foot) = (40_u32, 130_u32, 46_u32);
    let n_rows = panels.len() as u32;
    render(1000, head + n_rows * row_height + foot, |root| {
        title(&root, &planned.title)?;
        for (row, (what, shade, lines)) in panels.iter().enumerate() {
            let is_last = row + 1 == panels.len();
            let top = (head + row as u32 * row_height).cast_signed();
            let size = (1000, row_height + if is_last { foot } else { 0 });
            let panel = root.clone().shrink((0, top), size);
            let values = || lines.iter().flat_map(|line| line.values.iter().copied());
            let (most, least) = (values().fold(0.0, f64::max), values().fold(0.0, f64::min));
            let room = 1.1 * (most - least).max(1e-9);
            let mut chart = ChartBuilder::on(&panel)
                .margin_top(24)
                .margin_right(16)
                .margin_left(4)
                .x_label_area_size(if is_last { foot } else { 8 })
                .y_label_area_size(58)
                .build_cartesian_2d(0.0..end, (most - room).min(0.0)..(least + room).max(0.0))?;
            let mut mesh = chart.configure_mesh();
            mesh.light_line_style(TRANSPARENT)
                .bold_line_style(PALE)
                .axis_style(GREY)
                .x_labels(13)
                .y_labels(4)
                .y_label_formatter(&|value| tick(*value))
                .label_style(text(12, &GREY, HPos::Left));
            if is_last {
                mesh.x_label_formatter(&|value| tick(*value)).x_desc(x).axis_desc_style(text(
                    13,
                    &BLACK,
                    HPos::Left,
                ));
                mesh.draw()?;
            } else {
                mesh.x_label_formatter(&|_| String::new()).draw()?;
            }
            for line in lines {
                draw(&mut chart, line, width)?;
            }
            caption(&panel, what, *shade)?;
        }
        Ok(())
    })
}

fn filled(values: &[f64], color: RGBColor) -> Steps<'_> {
    Steps { values, color, is_filled: true }
}

fn draw(chart: &mut Chart<'_, '_, RangedCoordf64, RangedCoordf64>, line: &Steps<'_>, width: f64) -> Drawn {
    let corner = |(stage, value): (usize, &f64)| {
        [(stage as f64 * width, *value), ((stage + 1) as f64 * width, *value)]
    };
    let corners: Vec<(f64, f64)> = line.values.iter().enumerate().flat_map(corner).collect();
    let style = line.color.stroke_width(1);
    if line.is_filled {
        // A third of the colour on white, opaque: areas that lie on each other must not mix.
        let part = |value: u8| 170 + value / 3;
        let pale = RGBColor(part(line.color.0), part(line.color.1), part(line.color.2));
        chart.draw_series(AreaSeries::new(corners, 0.0, pale).border_style(style))?;
    } else {
        chart.draw_series(LineSeries::new(corners, style))?;
    }
    Ok(())
}
