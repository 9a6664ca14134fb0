use std::time::Duration;

use super::{Limit, Report, Row};
use crate::machine::{Machine, Usage};
use crate::path::cells::{Cell, Figure, Measured, Shape};

const SHAPE: Shape = Shape {
    many: 1_000,
    time: Duration::from_secs(5),
    warmup: Duration::from_secs(1),
};
const RATE: Cell = Cell::Rate {
    window: 256,
    targets: 1,
};

fn measured(figures: &[(Figure, f64)], server: f64, generator: f64) -> Measured {
    Measured {
        figures: figures.to_vec(),
        usage: Usage {
            server,
            generator,
            others: 1.0,
        },
    }
}

fn row(peer: &'static str, replicas: usize, rates: &[f64], p99: f64, cpu: (f64, f64)) -> Row {
    let mut row = Row {
        peer,
        version: "1".to_owned(),
        replicas,
        durability: "synced".to_owned(),
        cells: Vec::new(),
    };
    for cell in [Cell::Latency, RATE] {
        row.cells.push(super::Column {
            cell,
            figures: Vec::new(),
            server_cpu: None,
            generator_cpu: None,
            other_cpu: None,
            limit: None,
            runs: Vec::new(),
        });
    }
    for rate in rates {
        row.take(vec![
            measured(
                &[(Figure::CommitP99, p99), (Figure::LateP99, 0.1)],
                5.0,
                5.0,
            ),
            measured(&[(Figure::PerSecond, *rate)], cpu.0, cpu.1),
        ]);
    }
    row
}

pub(in crate::path) fn report() -> Report {
    let machine = Machine {
        cpu: "a core".to_owned(),
        cores: 2,
        kernel: "6".to_owned(),
        server_core: Some(0),
        generator_core: Some(1),
        on_disk: true,
    };
    let rows = vec![
        row("folkmoot", 1, &[100.0, 300.0, 200.0], 2.0, (99.0, 50.0)),
        row("folkmoot", 3, &[80.0, 90.0, 100.0], 2.0, (99.0, 95.0)),
        row("jetstream", 3, &[40.0, 20.0, 30.0], 4.0, (50.0, 97.0)),
        row("redis", 1, &[400.0, 400.0, 400.0], 1.0, (40.0, 30.0)),
    ];
    Report::new(machine, 3, &SHAPE, rows)
}

#[test]
fn medians_and_whose_core_is_full() {
    let report = report();
    let column = |row: usize| &report.rows[row].cells[1];
    let spread = column(0).spread(Figure::PerSecond).expect("measured");
    assert_eq!(
        (spread.median, spread.min, spread.max),
        (200.0, 100.0, 300.0)
    );
    let limits: Vec<_> = (0..4).map(|row| column(row).limit).collect();
    let wanted = [Limit::Server, Limit::Both, Limit::Generator, Limit::Waiting];
    assert_eq!(limits, wanted.map(Some));
}

#[test]
fn ratios_are_between_as_many_replicas_and_say_what_is_met() {
    let report = report();
    let found: Vec<_> = report
        .ratios
        .iter()
        .map(|r| (r.to, r.replicas, r.figure, r.ratio, r.met))
        .collect();
    assert_eq!(
        found,
        [
            ("redis", 1, Figure::CommitP99, 2.0, None),
            ("redis", 1, Figure::PerSecond, 0.5, Some(false)),
            ("jetstream", 3, Figure::CommitP99, 0.5, Some(true)),
            ("jetstream", 3, Figure::PerSecond, 3.0, Some(true)),
        ]
    );
}

#[test]
fn the_json_names_every_figure_with_all_its_runs() {
    let json = serde_json::to_value(report()).expect("JSON");
    let column = &json["rows"][2]["cells"][1];
    assert_eq!(column["kind"], "rate");
    assert_eq!(column["window"], 256);
    assert_eq!(column["limit"], "generator");
    let figure = &column["figures"][0];
    assert_eq!(figure["figure"], "per_second");
    assert_eq!(figure["median"], 30.0);
    assert_eq!(figure["runs"], serde_json::json!([40.0, 20.0, 30.0]));
    assert_eq!(json["ratios"][1]["to"], "redis");
}

#[test]
fn a_shape_has_one_measurement_of_each_kind() {
    let names: Vec<_> = SHAPE.cells().iter().map(Cell::name).collect();
    assert_eq!(
        names,
        [
            "latency at 1000/s, 1 target",
            "rate at window 1, 1 target",
            "rate at window 256, 1 target",
            "rate at window 1, 1000 targets",
            "rate at window 256, 1000 targets",
        ]
    );
    assert_eq!(SHAPE.targets(&SHAPE.cells()), 1_000);
    assert_eq!(SHAPE.targets(&SHAPE.cells()[..3]), 1);
}
