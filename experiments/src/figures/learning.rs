//! Return against steps: a line a seed, or a mean with its band.

use plotters::prelude::*;

use super::{
    Drawn, GREY, HPos, NAME_HEIGHT, PALETTE, bounds, color, dark, mesh, render, set_apart, text, title,
};

/// A line of [`learning_curve`].
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What it is called at its end.
    pub name: String,
    /// Steps and return.
    pub points: Vec<(f64, f64)>,
}

/// An interval at one place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// Steps.
    pub step: f64,
    /// Lower limit of the return.
    pub low: f64,
    /// Upper limit.
    pub high: f64,
}

/// Returns of learners over their steps, each named at its end, with a band behind them.
pub fn learning_curve(heading: &str, curves: &[Curve], band: &[Band]) -> String {
    let (width, right) = (960, 170);
    let height = (curves.len() as u32 * NAME_HEIGHT + 130).max(430);
    let all = || curves.iter().flat_map(|curve| curve.points.iter().copied());
    let (_, last) = bounds(all().map(|(step, _)| step));
    let limits = band.iter().flat_map(|it| [it.low, it.high]);
    let (low, high) = bounds(all().map(|(_, value)| value).chain(limits));
    let room = (0.04 * (high - low)).max(1e-6);
    render(width, height, |root| -> Drawn {
        title(&root, heading)?;
        let area = root.margin(44, 0, 0, 0);
        let mut chart = ChartBuilder::on(&area)
            .margin_left(10)
            .margin_right(right)
            .x_label_area_size(46)
            .y_label_area_size(74)
            .build_cartesian_2d(0.0..1.02 * last, (low - room)..(high + room))?;
        mesh(&mut chart, "steps of the environment", "return of an episode", 8, 8)?;
        if !band.is_empty() {
            let upper = band.iter().map(|it| (it.step, it.high));
            let lower = band.iter().rev().map(|it| (it.step, it.low));
            let around: Vec<(f64, f64)> = upper.chain(lower).collect();
            chart.draw_series([Polygon::new(around, PALETTE[0].mix(0.2))])?;
        }
        let mut names = Vec::new();
        for (index, Curve { name, points }) in curves.iter().enumerate() {
            let Some(end) = points.last() else { continue };
            let shade = color(index);
            chart.draw_series(LineSeries::new(points.iter().copied(), shade.stroke_width(2)))?;
            chart.draw_series(points.iter().map(|at| Circle::new(*at, 2, shade.filled())))?;
            let (x, y) = chart.backend_coord(end);
            names.push((f64::from(y), (x, y, name.as_str()), shade));
        }
        set_apart(&mut names, f64::from(NAME_HEIGHT), f64::from(height) - 50.0);
        for (y, (end_x, end_y, name), shade) in names {
            let (x, y) = ((width - right).cast_signed() + 14, y as i32);
            root.draw(&PathElement::new([(end_x + 4, end_y), (x - 3, y)], shade.mix(0.45)))?;
            root.draw_text(name, &text(14, &dark(shade), HPos::Left), (x, y - 8))?;
        }
        if all().next().is_none() {
            root.draw_text("no episode ended", &text(14, &GREY, HPos::Left), (100, 80))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_of_nothing_and_of_equal_values_are_drawn_without_nonsense() {
        let check = |curves: Vec<Curve>, band: &[Band], word: &str| {
            let svg = learning_curve("h", &curves, band);
            assert!(svg.starts_with("<svg") && svg.contains(word) && !svg.contains("NaN"), "{svg}");
        };
        check(vec![Curve { name: "seed 0".into(), points: Vec::new() }], &[], "no episode ended");
        let flat = vec![(1e3, 500.0), (2e3, 500.0)];
        check(vec![Curve { name: "seed 0".into(), points: flat.clone() }], &[], "seed 0");
        let band = [Band { step: 1e3, low: 499.0, high: 501.0 }, Band { step: 2e3, low: 500.0, high: 500.0 }];
        check(vec![Curve { name: "mean".into(), points: flat }], &band, "<polygon");
    }
}
