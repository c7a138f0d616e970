//! Figures as SVG: runs over time, cost against violations, cost against fleet size.
//!
//! Colours are Okabe and Ito's, which people who confuse red and green can tell apart; every line and point is also
//! named where it is, so that nothing hangs on a legend.

use plotters::coord::Shift;
use plotters::coord::combinators::BindKeyPoints;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use tidegate_stats::interval::Interval;

use crate::report::number;

pub use tuning::{Change, Course, before_and_after, searches};

pub mod forecasts;
pub mod identification;
pub mod learning;
pub mod plan;
mod tuning;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Okabe and Ito's palette without yellow, which is too pale for lines on white.
const PALETTE: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
];
const GREY: RGBColor = RGBColor(110, 110, 110);
const PALE: RGBColor = RGBColor(225, 225, 225);
const FONT: &str = "sans-serif";

/// From one name to the next, in pixels.
const NAME_HEIGHT: u32 = 17;

/// Points that a line over time is reduced to; finer than a screen shows is only bytes.
const N_POINTS: usize = 320;

/// One controller's run for [`over_time`].
#[derive(Clone, Debug, PartialEq)]
pub struct Lane {
    /// Its name.
    pub controller: String,
    /// Ready replicas in each tick.
    pub ready: Vec<f64>,
    /// Mean latency in each tick in seconds; NaN where nobody was served.
    pub latency_seconds: Vec<f64>,
}

/// What all lanes of a figure share.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// Above the figure.
    pub title: String,
    /// Length of a tick.
    pub tick_seconds: f64,
    /// When the first tick begins, after the start of the run.
    pub start_hours: f64,
    /// Users a second in each tick.
    pub users_per_second: Vec<f64>,
    /// The least replicas that meet the service level in each tick, if that is known.
    pub demand: Option<Vec<f64>>,
    /// The service level's bound.
    pub bound_seconds: f64,
}

/// One controller for [`cost_against_violations`].
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Its name.
    pub controller: String,
    /// Mean share of violating users.
    pub violating_share: f64,
    /// Its interval.
    pub violating_interval: Option<Interval>,
    /// Mean total dollars.
    pub dollars: f64,
    /// Their interval.
    pub dollars_interval: Option<Interval>,
}

/// One fleet size for [`cost_against_fleet`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FleetCost {
    /// Replicas, all the time.
    pub replicas: f64,
    /// Mean dollars for instances and energy.
    pub instances: f64,
    /// Mean dollars of penalties.
    pub penalty: f64,
}

/// Load, and below it for each controller the ready replicas (left) and the mean latency (right), on one time axis.
pub fn over_time(world: &World, lanes: &[Lane]) -> String {
    let rows = lanes.len() as u32 + 1;
    let (width, head, row_height, foot) = (1080, 62, 104, 46);
    render(width, head + rows * row_height + foot, |root| {
        title(&root, &world.title)?;
        let start = world.start_hours;
        let hours = start..start + world.users_per_second.len() as f64 * world.tick_seconds / 3600.0;
        let shown = |series: &[f64]| -> Vec<(f64, f64)> {
            let points = thinned(series, world.tick_seconds);
            points.into_iter().map(|(hour, value)| (start + hour, value)).collect()
        };
        let highest = |series: &[f64]| shown(series).iter().map(|(_, value)| *value).fold(1.0, f64::max);
        let needed_most = world.demand.as_deref().map(highest);
        let ready_most =
            lanes.iter().map(|lane| highest(&lane.ready)).fold(needed_most.unwrap_or(1.0), f64::max);
        // One controller that runs away must not flatten all the others.
        let ready_max = needed_most.map_or(ready_most, |needed| ready_most.min(2.5 * needed));
        let latencies =
            || lanes.iter().flat_map(|lane| shown(&lane.latency_seconds)).map(|(_, latency)| latency);
        let latency_max = latencies().fold(world.bound_seconds * 2.0, f64::max) * 1.3;
        let latency_min =
            latencies().filter(|latency| *latency > 0.0).fold(world.bound_seconds / 2.0, f64::min) / 1.3;
        let (left, right) = root.split_horizontally(width / 2);
        for (column, area) in [left, right].into_iter().enumerate() {
            let below = area.margin(head, 0, 0, 0);
            for row in 0..rows {
                let is_last = row + 1 == rows;
                let top = row * row_height;
                let panel =
                    below.clone().shrink((0, top), (width / 2, row_height + if is_last { foot } else { 0 }));
                let lane = row.checked_sub(1).map(|lane| (&lanes[lane as usize], color(lane as usize)));
                let feet = if is_last { foot } else { 8 };
                match (lane, column) {
                    (None, _) => {
                        let most = world.users_per_second.iter().copied().fold(0.0, f64::max) * 1.1;
                        let mut chart =
                            panel_chart(&panel, feet, hours.clone(), 0.0..most.max(1e-9), is_last)?;
                        let area = AreaSeries::new(shown(&world.users_per_second), 0.0, GREY.mix(0.25));
                        chart.draw_series(area.border_style(GREY))?;
                        caption(&panel, "load (users/s)", GREY)?;
                    }
                    (Some((lane, color)), 0) => {
                        let range = 0.0..ready_max * 1.1;
                        let mut chart = panel_chart(&panel, feet, hours.clone(), range, is_last)?;
                        let inside = shown(&lane.ready)
                            .into_iter()
                            .map(|(hour, ready)| (hour, ready.min(ready_max * 1.1)));
                        let area = AreaSeries::new(inside, 0.0, color.mix(0.18));
                        chart.draw_series(area.border_style(color.stroke_width(2)))?;
                        if let Some(demand) = &world.demand {
                            chart.draw_series(LineSeries::new(shown(demand), BLACK.stroke_width(1)))?;
                        }
                        let most = highest(&lane.ready);
                        let beyond = if most > ready_max {
                            format!(" (up to {})", tick(most.round()))
                        } else {
                            String::new()
                        };
                        caption(&panel, &format!("{}: ready replicas{beyond}", lane.controller), color)?;
                    }
                    (Some((lane, color)), _) => {
                        let range = (latency_min..latency_max)
                            .log_scale()
                            .with_key_points(decades(latency_min, latency_max));
                        let mut chart = panel_chart(&panel, feet, hours.clone(), range, is_last)?;
                        let bound = [(hours.start, world.bound_seconds), (hours.end, world.bound_seconds)];
                        chart.draw_series(LineSeries::new(bound, GREY.stroke_width(1)))?;
                        // A gap in the latency is a gap in the line.
                        let points = shown(&lane.latency_seconds);
                        for part in points.split(|(_, latency)| latency.is_nan()) {
                            chart
                                .draw_series(LineSeries::new(part.iter().copied(), color.stroke_width(1)))?;
                        }
                        caption(&panel, &format!("{}: mean latency (s)", lane.controller), color)?;
                    }
                }
            }
        }
        let demand =
            if world.demand.is_some() { "black line: least replicas that meet the level; " } else { "" };
        let note = format!("{demand}grey line: the level's bound of {} s", number(world.bound_seconds));
        root.draw_text(&note, &text(13, &GREY, HPos::Left), (14, 36))?;
        Ok(())
    })
}

/// Total dollars against the share of violating users, a point a controller with its intervals. Below and to the left
/// is better.
pub fn cost_against_violations(heading: &str, outcomes: &[Outcome]) -> String {
    /// What a share of 0 is drawn as, in percent: a logarithm needs a floor.
    const FLOOR_PERCENT: f64 = 0.001;
    // The interval of a mean may reach beyond what a share can be.
    let percent = |share: f64| (share * 100.0).clamp(FLOOR_PERCENT, 100.0);
    let spread = |low: f64, high: f64| {
        // A run that cost nothing has no place on a logarithmic axis, and no need for one.
        let low = low.max(1e-6 * high).max(1e-9);
        ((low / 1.6)..(high * 1.6)).log_scale().with_key_points(decades(low / 1.6, high * 1.6))
    };
    let shares = outcomes.iter().flat_map(|outcome| {
        let interval = outcome.violating_interval;
        [outcome.violating_share].into_iter().chain(interval.into_iter().flat_map(|it| [it.low, it.high]))
    });
    let (least, most) = bounds(shares.map(percent));
    let costs = outcomes.iter().flat_map(|outcome| {
        let interval = outcome.dollars_interval;
        [outcome.dollars].into_iter().chain(interval.into_iter().flat_map(|it| [it.low, it.high]))
    });
    let (cheapest, dearest) = bounds(costs.filter(|dollars| *dollars > 0.0));
    // Without a tenfold range a logarithmic axis would have hardly a label.
    let is_log = |low: f64, high: f64| high > 10.0 * low;
    let level = |low: f64, high: f64| {
        let room = (high - low).max(0.05 * high) * 0.15;
        (low - room).max(0.0)..high + room
    };
    let (x_log, x) = (spread(least, most), level(least, most));
    let (y_log, y) = (spread(cheapest, dearest), level(cheapest, dearest));
    let names = outcomes.len() as u32 * NAME_HEIGHT;
    render(860, (names + 120).max(500), |root| {
        title(&root, heading)?;
        let area = root.margin(48, 0, 0, 0);
        match (is_log(least, most), is_log(cheapest, dearest)) {
            (true, true) => scatter(&area, outcomes, &percent, x_log, y_log),
            (true, false) => scatter(&area, outcomes, &percent, x_log, y),
            (false, true) => scatter(&area, outcomes, &percent, x, y_log),
            (false, false) => scatter(&area, outcomes, &percent, x, y),
        }
    })
}

/// Dollars of a fixed fleet against its size, with what other controllers cost as horizontal lines.
pub fn cost_against_fleet(heading: &str, sweep: &[FleetCost], others: &[(String, f64)]) -> String {
    let total = |cost: &FleetCost| cost.instances + cost.penalty;
    let best = sweep.iter().min_by(|a, b| total(a).total_cmp(&total(b)));
    let lowest = best.map_or(1.0, total);
    // Far too small a fleet costs a hundredfold; what matters is around the best.
    let instances_most = sweep.iter().map(|cost| cost.instances).fold(0.0, f64::max);
    let other_most = others.iter().map(|(_, dollars)| *dollars).filter(|dollars| *dollars < 4.0 * lowest);
    let most = other_most.fold((2.2 * lowest).max(instances_most), f64::max) * 1.08;
    let (from, to) = bounds(sweep.iter().map(|cost| cost.replicas));
    render(820, 500, |root| {
        title(&root, heading)?;
        let area = root.margin(62, 0, 0, 0);
        let room = (to - from).max(1.0);
        let mut chart = ChartBuilder::on(&area)
            .margin_left(12)
            .margin_right(190)
            .x_label_area_size(46)
            .y_label_area_size(62)
            .build_cartesian_2d((from - 0.02 * room)..(to + 0.02 * room), 0.0..most)?;
        mesh(&mut chart, "fixed fleet (replicas)", "dollars a run", 10, 8)?;
        let lines: [(&str, RGBColor, Part); 3] = [
            ("instances", PALETTE[0], |cost| cost.instances),
            ("penalty", PALETTE[1], |cost| cost.penalty),
            ("total", BLACK, |cost| cost.instances + cost.penalty),
        ];
        let mut labels = Vec::new();
        for (name, color, of) in lines {
            let points: Vec<(f64, f64)> = sweep.iter().map(|cost| (cost.replicas, of(cost))).collect();
            // What is above the frame is cut off, not squeezed into it.
            let inside: Vec<(f64, f64)> = clipped(&points, most);
            let width = if name == "total" { 3 } else { 2 };
            chart.draw_series(LineSeries::new(inside, color.stroke_width(width)))?;
            if let Some((_, dollars)) = points.last() {
                labels.push((dollars.min(most), format!("fixed: {name}"), color));
            }
        }
        for (index, (name, dollars)) in others.iter().enumerate() {
            if *dollars > most {
                continue;
            }
            let color = color(index + 2);
            let ends = [(from, *dollars), (to, *dollars)];
            chart.draw_series(DashedLineSeries::new(ends, 5, 4, color.stroke_width(1)))?;
            labels.push((*dollars, name.clone(), color));
        }
        if let Some(best) = best {
            let at = (best.replicas, total(best));
            chart.draw_series([Circle::new(at, 5, BLACK.filled())])?;
            let note =
                format!("best fixed fleet: {} replicas, ${}", best.replicas, crate::report::dollars(at.1));
            root.draw_text(&note, &text(14, &GREY, HPos::Left), (14, 36))?;
        }
        let (x, _) = chart.backend_coord(&(to + 0.02 * room, 0.0));
        let mut places: Vec<(f64, String, RGBColor)> = labels
            .into_iter()
            .map(|(dollars, name, color)| (f64::from(chart.backend_coord(&(to, dollars)).1), name, color))
            .collect();
        set_apart(&mut places, f64::from(NAME_HEIGHT), 450.0);
        let (left, top) = root.get_base_pixel();
        for (y, name, color) in places {
            root.draw_text(&name, &text(14, &dark(color), HPos::Left), (x - left + 8, y as i32 - top - 7))?;
        }
        Ok(())
    })
}

/// One part of the cost of a fleet.
type Part = fn(&FleetCost) -> f64;

type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Draws into a string; the backend writes to memory, so nothing can go wrong that the caller could mend.
fn render(width: u32, height: u32, draw: impl FnOnce(Area<'_>) -> Drawn) -> String {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        root.fill(&WHITE).expect("memory takes all");
        draw(root.clone()).expect("memory takes all");
        root.present().expect("memory takes all");
    }
    svg
}

fn title(root: &Area<'_>, heading: &str) -> Drawn {
    Ok(root.draw_text(heading, &text(18, &BLACK, HPos::Left), (14, 12))?)
}

fn caption(panel: &Area<'_>, what: &str, color: RGBColor) -> Drawn {
    Ok(panel.draw_text(what, &text(14, &dark(color), HPos::Left), (66, 4))?)
}

fn text(size: i32, color: &RGBColor, at: HPos) -> TextStyle<'_> {
    (FONT, size).into_font().color(color).pos(Pos::new(at, VPos::Top))
}

fn color(index: usize) -> RGBColor {
    PALETTE[index % PALETTE.len()]
}

type Chart<'a, 'b, X, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, Y>>;

fn panel_chart<'a, 'b, R>(
    panel: &'a Area<'b>,
    feet: u32,
    hours: std::ops::Range<f64>,
    range: R,
    is_last: bool,
) -> Result<Chart<'a, 'b, plotters::coord::types::RangedCoordf64, R::CoordDescType>, Box<dyn std::error::Error>>
where
    R: AsRangedCoord<Value = f64>,
    R::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(panel)
        .margin_top(22)
        .margin_right(14)
        .margin_left(4)
        .x_label_area_size(feet)
        .y_label_area_size(56)
        .build_cartesian_2d(hours, range)?;
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(TRANSPARENT)
        .bold_line_style(PALE)
        .axis_style(GREY)
        .y_labels(4)
        .y_label_formatter(&|value| tick(*value))
        .y_label_style(text(12, &GREY, HPos::Left));
    if is_last {
        mesh.x_labels(9)
            .x_label_formatter(&|hour| tick(*hour))
            .x_label_style(text(12, &GREY, HPos::Left))
            .x_desc("hours since the start of the run")
            .axis_desc_style(text(13, &GREY, HPos::Left))
            .draw()?;
    } else {
        mesh.x_labels(9).x_label_formatter(&|_| String::new()).draw()?;
    }
    Ok(chart)
}

fn mesh<X, Y>(chart: &mut Chart<'_, '_, X, Y>, x: &str, y: &str, n_x: usize, n_y: usize) -> Drawn
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(PALE)
        .axis_style(GREY)
        .x_labels(n_x)
        .y_labels(n_y)
        .x_label_formatter(&|value| tick(*value))
        .y_label_formatter(&|value| tick(*value))
        .label_style(text(13, &GREY, HPos::Left))
        .axis_desc_style(text(14, &BLACK, HPos::Left))
        .x_desc(x)
        .y_desc(y)
        .draw()?;
    Ok(())
}

fn scatter<X, Y>(area: &Area<'_>, outcomes: &[Outcome], percent: &dyn Fn(f64) -> f64, x: X, y: Y) -> Drawn
where
    X: AsRangedCoord<Value = f64>,
    Y: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let longest = outcomes.iter().map(|outcome| outcome.controller.len()).max().unwrap_or(0) as u32;
    let mut chart = ChartBuilder::on(area)
        .margin_left(12)
        .margin_right(36 + 8 * longest.min(40))
        .x_label_area_size(46)
        .y_label_area_size(62)
        .build_cartesian_2d(x, y)?;
    mesh(&mut chart, "users outside the service level (%)", "total dollars a run", 8, 8)?;
    // Names stand beside the frame, each with a line to its point: good controllers lie close together.
    let point = |outcome: &Outcome| (percent(outcome.violating_share), outcome.dollars);
    let (left, top) = area.get_base_pixel();
    let mut names = Vec::new();
    for (index, outcome) in outcomes.iter().enumerate() {
        let (x, y) = chart.backend_coord(&point(outcome));
        names.push((f64::from(y - top), ((x - left, y - top), outcome.controller.as_str()), color(index)));
    }
    let (columns, rows) = chart.plotting_area().get_pixel_range();
    set_apart(&mut names, f64::from(NAME_HEIGHT), f64::from(rows.end - top) - 8.0);
    for (y, (from, name), color) in &names {
        let (x, y) = (columns.end - left + 18, *y as i32);
        area.draw(&PathElement::new([*from, (x, y)], color.mix(0.45)))?;
        area.draw_text(name, &text(14, &dark(*color), HPos::Left), (x + 5, y - 8))?;
    }
    for (index, outcome) in outcomes.iter().enumerate() {
        let color = color(index);
        let at = point(outcome);
        if let Some(interval) = outcome.dollars_interval {
            let ends = [(at.0, interval.low), (at.0, interval.high)];
            chart.draw_series(LineSeries::new(ends, color.stroke_width(2)))?;
        }
        if let Some(interval) = outcome.violating_interval {
            let ends = [(percent(interval.low), at.1), (percent(interval.high), at.1)];
            chart.draw_series(LineSeries::new(ends, color.stroke_width(2)))?;
        }
        chart.draw_series([Circle::new(at, 5, color.filled())])?;
    }
    Ok(())
}

/// A number on an axis: no more digits than it needs.
fn tick(value: f64) -> String {
    // Sums of steps carry rounding errors far behind the digits that matter.
    let text = format!("{value:.6}");
    match text.trim_end_matches('0').trim_end_matches('.') {
        "-0" => "0".into(),
        text => text.replace('-', "−"),
    }
}

/// Text has thinner strokes than lines, so it is darker.
fn dark(color: RGBColor) -> RGBColor {
    let part = |value: u8| (f64::from(value) * 0.75) as u8;
    RGBColor(part(color.0), part(color.1), part(color.2))
}

/// Least and greatest; 0 to 1 of nothing.
fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

/// 1, 2 and 5 times the powers of ten between these, or the powers alone where those would crowd the axis.
fn decades(low: f64, high: f64) -> Vec<f64> {
    let (from, to) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let steps: &[f64] = if to - from > 3 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    (from..=to)
        .flat_map(|power| steps.iter().map(move |step| step * 10.0_f64.powi(power)))
        .filter(|value| (low..=high).contains(value))
        .collect()
}

/// Moves labels until neighbours are at least `gap` pixels apart: down, and up again from `lowest`.
fn set_apart<T>(places: &mut [(f64, T, RGBColor)], gap: f64, lowest: f64) {
    places.sort_by(|a, b| a.0.total_cmp(&b.0));
    for index in 1..places.len() {
        places[index].0 = places[index].0.max(places[index - 1].0 + gap);
    }
    let mut most = lowest;
    for place in places.iter_mut().rev() {
        place.0 = place.0.min(most);
        most = place.0 - gap;
    }
}

/// The line up to where it leaves the frame at the top.
fn clipped(points: &[(f64, f64)], most: f64) -> Vec<(f64, f64)> {
    let mut inside: Vec<(f64, f64)> = Vec::with_capacity(points.len() + 1);
    for pair in points.windows(2) {
        let [(x0, y0), (x1, y1)] = [pair[0], pair[1]];
        let crossing = || (x0 + (x1 - x0) * (most - y0) / (y1 - y0), most);
        match (y0 <= most, y1 <= most) {
            (true, true) => inside.extend([pair[0], pair[1]]),
            (true, false) => inside.extend([pair[0], crossing()]),
            (false, true) => inside.extend([crossing(), pair[1]]),
            (false, false) => {}
        }
    }
    inside.dedup();
    inside
}

/// At most [`N_POINTS`] means of equal stretches, at their middles in hours; NaN where all of a stretch is.
fn thinned(series: &[f64], tick_seconds: f64) -> Vec<(f64, f64)> {
    let stretch = series.len().div_ceil(N_POINTS).max(1);
    series
        .chunks(stretch)
        .enumerate()
        .map(|(index, part)| {
            let there: Vec<f64> = part.iter().copied().filter(|value| value.is_finite()).collect();
            let middle = (index * stretch) as f64 + part.len() as f64 / 2.0;
            (middle * tick_seconds / 3600.0, tidegate_stats::mean(&there))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_series_are_thinned_to_their_means() {
        let series: Vec<f64> = (0..640).map(f64::from).collect();
        let points = thinned(&series, 3600.0);
        assert_eq!((points.len(), points[0], points[319]), (320, (1.0, 0.5), (639.0, 638.5)));
        assert!(thinned(&[f64::NAN, f64::NAN], 1.0).iter().all(|(_, value)| value.is_nan()));
        assert!(thinned(&[], 1.0).is_empty());
    }

    #[test]
    fn labels_keep_their_order_and_their_distance() {
        let mut places = vec![(10.0, "b", BLACK), (9.0, "a", BLACK), (80.0, "c", BLACK)];
        set_apart(&mut places, 17.0, 90.0);
        assert_eq!(
            places.iter().map(|place| (place.0, place.1)).collect::<Vec<_>>(),
            [(9.0, "a"), (26.0, "b"), (80.0, "c")]
        );
    }

    #[test]
    fn labels_at_the_bottom_move_up() {
        let mut places = vec![(88.0, "a", BLACK), (89.0, "b", BLACK)];
        set_apart(&mut places, 17.0, 90.0);
        assert_eq!((places[0].0, places[1].0), (73.0, 90.0));
    }

    #[test]
    fn logarithmic_axes_have_labels_enough() {
        assert_eq!(decades(0.9, 12.0), [1.0, 2.0, 5.0, 10.0]);
        assert_eq!(decades(0.02, 300.0), [0.1, 1.0, 10.0, 100.0]);
    }

    #[test]
    fn a_line_is_cut_where_it_leaves_the_frame() {
        let points = [(0.0, 30.0), (1.0, 10.0), (2.0, 5.0), (3.0, 15.0)];
        assert_eq!(clipped(&points, 10.0), [(1.0, 10.0), (2.0, 5.0), (2.5, 10.0)]);
    }

    #[test]
    fn figures_name_every_controller_and_survive_what_runs_can_give() {
        let world = World {
            title: "diurnal".into(),
            tick_seconds: 15.0,
            start_hours: 0.0,
            users_per_second: vec![0.0; 40],
            demand: None,
            bound_seconds: 0.5,
        };
        let lane = Lane {
            controller: "threshold".into(),
            ready: vec![0.0; 40],
            latency_seconds: vec![f64::NAN; 40],
        };
        let svg = over_time(&world, &[lane]);
        assert!(svg.starts_with("<svg") && svg.contains("threshold: ready replicas") && !svg.contains("NaN"));
        let outcome = |share, dollars| Outcome {
            controller: "fixed".into(),
            violating_share: share,
            violating_interval: None,
            dollars,
            dollars_interval: None,
        };
        for outcomes in [vec![outcome(0.0, 0.0)], vec![outcome(0.5, 10.0), outcome(1.0, 1e4)]] {
            let svg = cost_against_violations("diurnal", &outcomes);
            assert!(svg.contains("fixed") && !svg.contains("NaN"));
        }
        let cost = FleetCost { replicas: 3.0, instances: 1.0, penalty: 2.0 };
        let svg = cost_against_fleet("diurnal", &[cost], &[("threshold".into(), 2.5)]);
        assert!(
            svg.contains("best fixed fleet: 3 replicas, $3.00")
                && svg.contains("threshold")
                && !svg.contains("NaN")
        );
    }
}
