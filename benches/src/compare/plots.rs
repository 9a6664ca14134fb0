//! Cost against size and pace, delay against pace.

use crate::child::report::{Cell, Herd, Report};
use crate::plot::{Axis, Chart, Series};

/// The pace at which sizes are compared.
const PACE: f64 = 100.0;
const COST: &str = "CPU seconds a million deliveries";

/// Names of files, and what is drawn into them. Without figures there is none.
pub(super) fn charts(report: &Report) -> Vec<(&'static str, Chart)> {
    let mut charts = Vec::new();
    if !report.fanout.is_empty() {
        let size = most_paced(report);
        let cost = |cell: &Cell| cell.cpu_seconds_per_million;
        let delay = |cell: &Cell| cell.delay_ms.p99;
        charts.extend([
            ("cost-by-listeners.svg", cost_by_listeners(report)),
            ("cost-by-pace.svg", by_pace(report, size, COST, cost)),
            (
                "delay-by-pace.svg",
                by_pace(report, size, "ms from due to delivered, p99", delay),
            ),
            ("most-by-listeners.svg", most(report)),
        ]);
    }
    if !report.herd.is_empty() {
        let rate = |herd: &Herd| herd.of.messages_per_second.median;
        let wait = |herd: &Herd| herd.of.wait_ms.most;
        charts.extend([
            ("herd-rate.svg", herd(report, "messages a second", rate)),
            (
                "herd-wait.svg",
                herd(report, "ms until the last has all", wait),
            ),
        ]);
    }
    charts
}

/// The number of listeners that was measured at the most paces.
fn most_paced(report: &Report) -> u64 {
    let loads = report.loads();
    let paces = |size: u64| loads.iter().filter(|load| load.0 == size).count();
    let sizes = loads.iter().map(|load| load.0);
    sizes.max_by_key(|size| paces(*size)).unwrap_or(0)
}

/// A line for each name.
fn grouped<'a>(points: impl Iterator<Item = (&'a str, (f64, f64))>) -> Vec<Series> {
    let mut series: Vec<Series> = Vec::new();
    for (name, point) in points {
        match series.iter_mut().find(|one| one.name == name) {
            Some(one) => one.points.push(point),
            None => series.push(Series::new(name, [point])),
        }
    }
    for one in &mut series {
        one.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    series
}

/// A line for each host, of where nothing was lost: who loses some has another
/// figure for the rest.
fn lines(cells: &[Cell], point: impl Fn(&Cell) -> Option<(f64, f64)>) -> Vec<Series> {
    let whole = cells.iter().filter(|cell| cell.lost == 0);
    grouped(whole.filter_map(|cell| Some((cell.host.name.as_str(), point(cell)?))))
}

fn cost_by_listeners(report: &Report) -> Chart {
    Chart {
        title: format!("Fan-out by size, {PACE} messages a second"),
        x: Axis::log("listeners"),
        y: Axis::log(COST),
        series: lines(&report.fanout, |cell| {
            let at = (cell.listeners as f64, cell.cpu_seconds_per_million);
            (cell.rate == Some(PACE)).then_some(at)
        }),
    }
}

fn by_pace(report: &Report, size: u64, unit: &str, figure: impl Fn(&Cell) -> f64) -> Chart {
    Chart {
        title: format!("Fan-out by pace, {size} listeners"),
        x: Axis::log("messages a second"),
        y: Axis::log(unit),
        series: lines(&report.fanout, |cell| {
            let rate = cell.rate.filter(|_| cell.listeners == size)?;
            Some((rate, figure(cell)))
        }),
    }
}

/// Of those, too, who had not brought all within a while after the end.
fn most(report: &Report) -> Chart {
    let most = report.fanout.iter().filter(|cell| cell.rate.is_none());
    let point = |cell: &Cell| (cell.listeners as f64, cell.deliveries_per_second);
    Chart {
        title: "Fan-out as fast as it goes".into(),
        x: Axis::log("listeners"),
        y: Axis::log("deliveries a second"),
        series: grouped(most.map(|cell| (cell.host.name.as_str(), point(cell)))),
    }
}

fn herd(report: &Report, unit: &str, figure: impl Fn(&Herd) -> f64) -> Chart {
    let point = |herd: &Herd| (herd.clients as f64, figure(herd));
    let herds = report.herd.iter();
    Chart {
        title: "A herd that comes back".into(),
        x: Axis::log("clients at once"),
        y: Axis::log(unit),
        series: grouped(herds.map(|herd| (herd.of.host.name.as_str(), point(herd)))),
    }
}
