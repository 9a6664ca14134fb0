//! Line charts as SVG, for the pages in `docs/`.

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, anyhow};
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

/// Width and height, in pixels.
const SIZE: (u32, u32) = (900, 420);
/// To the right of it stand the names of the lines.
const LINES_WIDTH: u32 = 650;
/// Between two names.
const NAME_HEIGHT: i32 = 24;
const FONT: &str = "sans-serif";
/// Told apart by all (Okabe and Ito, 2008), and behind them by most (Tol, 2021).
/// As many as the hosts of a fan-out: no two lines of a chart are of one colour.
const COLOURS: [RGBColor; 13] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(60, 60, 60),
    RGBColor(136, 34, 85),
    RGBColor(153, 153, 51),
    RGBColor(51, 34, 136),
    RGBColor(170, 170, 170),
    RGBColor(240, 228, 66),
    RGBColor(120, 70, 20),
];

/// One axis.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    /// What it is, with its unit.
    pub(crate) label: String,
    pub(crate) log: bool,
}

impl Axis {
    pub(crate) fn log(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            log: true,
        }
    }

    pub(crate) fn linear(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            log: false,
        }
    }

    /// A little more than these values take. Without any: something.
    fn range(&self, values: impl Iterator<Item = f64> + Clone) -> Range<f64> {
        let most = values.clone().fold(f64::MIN, f64::max);
        let least = values.fold(f64::MAX, f64::min);
        match self.log {
            _ if most < least => 0.1..1.0,
            true => least / 1.6..most * 1.6,
            false => least.min(0.0)..(most * 1.08).max(least.min(0.0) + 1.0),
        }
    }
}

/// One line.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Series {
    pub(crate) fn new(name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self {
            name: name.to_owned(),
            points: points.into_iter().collect(),
        }
    }
}

/// Lines over one pair of axes.
#[derive(Debug, Clone)]
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
}

impl Chart {
    /// Writes it to `path`, whose folder is there.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        std::fs::write(path, self.svg()?).with_context(|| path.display().to_string())
    }

    /// What [`Chart::write`] writes.
    pub(crate) fn svg(&self) -> anyhow::Result<String> {
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            let points = self.shown();
            let x = self.x.range(points.iter().flatten().map(|point| point.0));
            let y = self.y.range(points.iter().flatten().map(|point| point.1));
            match (self.x.log, self.y.log) {
                (true, true) => self.draw(&area, &points, x.log_scale(), y.log_scale()),
                (true, false) => self.draw(&area, &points, x.log_scale(), y),
                (false, true) => self.draw(&area, &points, x, y.log_scale()),
                (false, false) => self.draw(&area, &points, x, y),
            }
            .map_err(|error| anyhow!("{}: {error}", self.title))?;
        }
        // Some editors strip what is behind the last line's end.
        svg.push('\n');
        Ok(svg)
    }

    /// What has a place: a logarithm has none for zero.
    fn shown(&self) -> Vec<Vec<(f64, f64)>> {
        let fits = |axis: &Axis, value: f64| value.is_finite() && (!axis.log || value > 0.0);
        let has_place = |(x, y): &(f64, f64)| fits(&self.x, *x) && fits(&self.y, *y);
        self.series
            .iter()
            .map(|series| series.points.iter().copied().filter(has_place).collect())
            .collect()
    }

    fn draw<'a, X, Y>(
        &self,
        area: &DrawingArea<SVGBackend<'a>, plotters::coord::Shift>,
        points: &[Vec<(f64, f64)>],
        x: X,
        y: Y,
    ) -> Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>
    where
        X: AsRangedCoord<Value = f64>,
        Y: AsRangedCoord<Value = f64>,
        X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        area.fill(&WHITE)?;
        let (lines, names) = area.split_horizontally(LINES_WIDTH);
        let mut chart = ChartBuilder::on(&lines)
            .caption(&self.title, (FONT, 18))
            .margin(14)
            .margin_right(24)
            .x_label_area_size(46)
            .y_label_area_size(72)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .light_line_style(RGBColor(240, 240, 240))
            .bold_line_style(RGBColor(215, 215, 215))
            .label_style((FONT, 13))
            .axis_desc_style((FONT, 14))
            .x_desc(&self.x.label)
            .y_desc(&self.y.label)
            .x_label_formatter(&|value| short(*value))
            .y_label_formatter(&|value| short(*value))
            .draw()?;
        for (at, (series, points)) in self.series.iter().zip(points).enumerate() {
            let colour = COLOURS[at % COLOURS.len()];
            let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
            chart.draw_series(line)?;
            let dots = points.iter().map(|at| Circle::new(*at, 3, colour.filled()));
            chart.draw_series(dots)?;
            let y = 56 + NAME_HEIGHT * at as i32;
            names.draw(&PathElement::new([(4, y), (22, y)], colour.stroke_width(3)))?;
            let font = (FONT, 13).into_font();
            names.draw(&Text::new(series.name.clone(), (28, y - 7), font))?;
        }
        area.present()
    }
}

/// A figure as a label: 0.25, 40, 2k, 3M.
fn short(value: f64) -> String {
    let (divided, unit) = match value.abs() {
        v if v >= 1e12 => (value / 1e12, "T"),
        v if v >= 1e9 => (value / 1e9, "G"),
        v if v >= 1e6 => (value / 1e6, "M"),
        v if v >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    // Two digits behind the point, and none that say nothing.
    let digits = format!("{divided:.2}");
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    format!("{digits}{unit}")
}
