//! Figures of a search for parameters: cost against what was spent, and cost before and after.

use plotters::coord::combinators::BindKeyPoints;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;
use tidegate_stats::interval::Interval;

use super::{
    Area, Drawn, FONT, GREY, PALE, PALETTE, TRANSPARENT, bounds, color, dark, decades, mesh, render, text,
    tick, title,
};

/// The search for one controller's parameters, for [`searches`].
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// Its name.
    pub controller: String,
    /// Simulated hours spent, mean cost of the set that was tried, and whether a model proposed it.
    pub tried: Vec<(f64, f64, bool)>,
    /// Cost of what was there before.
    pub untuned: f64,
}

/// One controller's cost before and after, for [`before_and_after`].
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its name.
    pub controller: String,
    /// Mean dollars with what was there, and their interval.
    pub before: (f64, Option<Interval>),
    /// The same with what was found; nothing if that was no better.
    pub after: Option<(f64, Option<Interval>)>,
}

/// For each controller the cost of every set that was tried against the simulated hours spent by then, and the best so
/// far; the same axes for all.
pub fn searches(heading: &str, courses: &[Course]) -> String {
    const COLUMNS: u32 = 4;
    let rows = (courses.len() as u32).div_ceil(COLUMNS).max(1);
    let (width, height, head, foot) = (270, 165, 62, 34);
    let (least, _) = bounds(courses.iter().flat_map(|course| course.tried.iter().map(|it| it.1)));
    let (_, untuned) = bounds(courses.iter().map(|course| course.untuned));
    // Sets can be worse without limit; what matters is near the best and what was there before.
    let (low, high) = (least.max(1e-6) / 1.15, (1.15 * untuned).clamp(2.0 * least, 8.0 * least).max(2e-6));
    let (_, hours) = bounds(courses.iter().flat_map(|course| course.tried.iter().map(|it| it.0)));
    render(COLUMNS * width, head + rows * height + foot, |root| {
        title(&root, heading)?;
        let note = "grey: tried at random; colour: chosen by what was seen; line: best so far; dashed: untuned; at the top: \
                    beyond the frame";
        root.draw_text(note, &text(13, &GREY, HPos::Left), (14, 36))?;
        for (index, course) in courses.iter().enumerate() {
            let (column, row) = (index as u32 % COLUMNS, index as u32 / COLUMNS);
            let corner = ((column * width).cast_signed(), (head + row * height).cast_signed());
            let panel = root.clone().shrink(corner, (width, height));
            one_search(&panel, course, hours, (low, high), color(index))?;
        }
        let at = (14, (head + rows * height + 8).cast_signed());
        let axes = "across: simulated hours spent; up: mean dollars of a training run, fluid engine";
        root.draw_text(axes, &text(13, &GREY, HPos::Left), at)?;
        Ok(())
    })
}

/// Mean cost of each controller before and after, the cheapest after on top.
pub fn before_and_after(heading: &str, changes: &[Change]) -> String {
    let final_cost = |change: &Change| change.after.map_or(change.before.0, |after| after.0);
    let mut changes: Vec<&Change> = changes.iter().collect();
    changes.sort_by(|a, b| final_cost(a).total_cmp(&final_cost(b)));
    // The interval of a mean that one bad day makes may reach to the sky; it is cut off at the frame.
    let means = changes.iter().flat_map(|change| [change.before.0, final_cost(change)]);
    let (least, most) = bounds(means.filter(|dollars| *dollars > 0.0));
    // Nothing at all has the bounds 0 and 1, and a logarithmic axis must not start at 0.
    let (low, high) = ((least / 1.3).max(1e-6 * most), most * 1.3);
    let (row_height, head) = (26, 70);
    let rows = changes.len() as u32;
    render(900, head + rows * row_height + 60, |root| {
        title(&root, heading)?;
        let note = "hollow: untuned; filled: tuned, orange where that is dearer; bars: 95 % intervals, from ten runs on";
        root.draw_text(note, &text(13, &GREY, HPos::Left), (14, 36))?;
        let area = root.margin(head, 0, 0, 0);
        let mut chart = ChartBuilder::on(&area)
            .margin_left(190)
            .margin_right(24)
            .x_label_area_size(46)
            .build_cartesian_2d(
                (low..high).log_scale().with_key_points(ticks(low, high)),
                f64::from(rows)..0.0,
            )?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(PALE)
            .axis_style(GREY)
            .disable_y_mesh()
            .x_label_formatter(&|value| tick(*value))
            .label_style(text(13, &GREY, HPos::Left))
            .axis_desc_style(text(14, &BLACK, HPos::Left))
            .x_desc("total dollars of an evaluation run")
            .draw()?;
        let (left, top) = area.get_base_pixel();
        for (row, change) in changes.iter().enumerate() {
            let y = row as f64 + 0.5;
            let is_better = change.after.is_some_and(|after| after.0 <= change.before.0);
            let color = if is_better { PALETTE[0] } else { PALETTE[1] };
            let shade = if change.after.is_some() { color } else { GREY };
            if let Some(after) = change.after {
                let ends = [(change.before.0, y), (after.0, y)];
                chart.draw_series(LineSeries::new(ends, PALE.stroke_width(3)))?;
            }
            for (mean, interval, is_filled) in [
                Some((change.before.0, change.before.1, false)),
                change.after.map(|after| (after.0, after.1, true)),
            ]
            .into_iter()
            .flatten()
            {
                if let Some(interval) = interval {
                    let ends = [(interval.low.max(low), y), (interval.high.min(high), y)];
                    chart.draw_series(LineSeries::new(ends, shade.stroke_width(1)))?;
                }
                let at = (mean.clamp(low, high), y);
                chart.draw_series([Circle::new(at, 5, WHITE.filled())])?;
                let style = if is_filled { shade.filled() } else { shade.stroke_width(2) };
                chart.draw_series([Circle::new(at, 5, style)])?;
            }
            let (_, y) = chart.backend_coord(&(low, y));
            let label = if change.after.is_some() {
                change.controller.clone()
            } else {
                format!("{} (as it was)", change.controller)
            };
            let style = text(14, &BLACK, HPos::Right);
            area.draw_text(&label, &style, (182 - left.min(0), y - top - 8))?;
        }
        Ok(())
    })
}

/// Labels of a logarithmic axis: powers of ten and their halves where it is long, equal steps where it is short.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    if high > 8.0 * low {
        return decades(low, high);
    }
    let rough = (high - low) / 5.0;
    let power = 10.0_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|it| it * power).into_iter().find(|step| *step >= rough);
    let step = step.expect("ten times the power is above it");
    ((low / step).ceil() as i64..=(high / step).floor() as i64).map(|n| n as f64 * step).collect()
}

fn one_search(
    panel: &Area<'_>,
    course: &Course,
    hours: f64,
    (low, high): (f64, f64),
    color: RGBColor,
) -> Drawn {
    let mut chart = ChartBuilder::on(panel)
        .margin_top(24)
        .margin_right(14)
        .margin_left(4)
        .x_label_area_size(22)
        .y_label_area_size(50)
        .build_cartesian_2d(0.0..hours * 1.02, (low..high).log_scale().with_key_points(ticks(low, high)))?;
    mesh(&mut chart, "", "", 4, 4)?;
    let inside = |dollars: f64| dollars.clamp(low, high);
    let untuned = [(0.0, inside(course.untuned)), (hours, inside(course.untuned))];
    chart.draw_series(DashedLineSeries::new(untuned, 5, 4, GREY.stroke_width(1)))?;
    let dot = |(hours, dollars, is_model): &(f64, f64, bool)| {
        let shade = if *is_model { color } else { GREY };
        Circle::new((*hours, inside(*dollars)), 2, shade.mix(0.6).filled())
    };
    chart.draw_series(course.tried.iter().map(dot))?;
    let mut line = Vec::new();
    let mut best = f64::INFINITY;
    for (hours, dollars, _) in &course.tried {
        if best.is_finite() {
            line.push((*hours, inside(best)));
        }
        best = best.min(*dollars);
        line.push((*hours, inside(best)));
    }
    chart.draw_series(LineSeries::new(line, color.stroke_width(2)))?;
    let caption = (FONT, 14).into_font().color(&dark(color));
    panel.draw_text(&course.controller, &caption, (54, 6))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_axes_have_labels() {
        assert_eq!(ticks(55.0, 120.0), [60.0, 80.0, 100.0, 120.0]);
        assert_eq!(ticks(2.6, 6.0), [3.0, 4.0, 5.0, 6.0]);
        assert_eq!(ticks(15.0, 900.0), [20.0, 50.0, 100.0, 200.0, 500.0]);
    }

    #[test]
    fn figures_survive_what_searches_can_give() {
        let course =
            |tried: Vec<(f64, f64, bool)>, untuned| Course { controller: "hpa".into(), tried, untuned };
        for courses in [
            vec![],
            vec![course(vec![], 0.0)],
            vec![
                course(vec![(1.0, 5.0, false), (2.0, 4000.0, true)], 5.0),
                course(vec![(1.0, 0.0, false)], 0.0),
            ],
        ] {
            let svg = searches("example", &courses);
            assert!(svg.starts_with("<svg") && !svg.contains("NaN"));
        }
        let before = Change { controller: "hpa".into(), before: (10.0, None), after: None };
        let after = Change {
            controller: "kpa".into(),
            before: (10.0, Some(Interval { estimate: 10.0, low: 9.0, high: 11.0 })),
            after: Some((5.0, None)),
        };
        for changes in [vec![], vec![before.clone()], vec![before, after]] {
            let svg = before_and_after("example", &changes);
            assert!(svg.starts_with("<svg") && !svg.contains("NaN"));
        }
    }
}
