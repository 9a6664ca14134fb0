use serde_json::json;

use super::{chosen, page, plots};
use crate::child::Said;
use crate::child::report::Report;

fn cell(host: &str, kind: &str, rate: Option<f64>, cost: f64, lost: u64) -> serde_json::Value {
    json!({
        "host": host, "kind": kind, "version": "1", "notes": "as it is", "listeners": 1000,
        "slow": 0, "rate": rate, "deliveries_per_second": 1e5 / cost,
        "cpu_seconds_per_million": cost, "lost": lost, "limit": "none",
        "delay_ms": { "p50": 1.0, "p99": 2.0, "p999": 3.0, "most": 4.0 },
    })
}

fn report() -> Report {
    let spread = json!({ "median": 9_000.0, "min": 8_000.0, "max": 10_000.0, "runs": [9_000.0] });
    let herd = json!({
        "host": "redis streams", "kind": "peer", "version": "7", "notes": "kept",
        "messages_per_second": spread, "cpu_seconds_per_million": 1.0,
        "wait_ms": { "p50": 1.0, "p99": 2.0, "most": 4.0 }, "memory_more": 0, "limit": "server",
    });
    let mut figure = spread.clone();
    figure["figure"] = json!("per_second");
    let cells = [
        cell("folkmoot websocket", "ours", Some(10.0), 4.0, 0),
        cell("folkmoot websocket", "ours", Some(100.0), 2.0, 0),
        cell("nats core", "peer", Some(10.0), 8.0, 0),
        cell("nats core", "peer", Some(100.0), 8.0, 7_000),
        cell("nats core", "peer", None, 1.0, 0),
    ];
    let idle = json!({ "host": "nats core", "version": "1", "server": 2048.0, "slab": 1024.0 });
    let path = json!({
        "peer": "redis", "version": "7", "replicas": 1, "durability": "fsync",
        "cells": [{ "kind": "rate", "window": 256, "targets": 1, "figures": [figure] }],
    });
    let all = [
        Said::made("folkmoot-bench fanout", json!({ "cells": cells })),
        Said::made(
            "folkmoot-bench herd",
            json!({ "clients": 50, "newest": 500, "rows": [herd] }),
        ),
        Said::made("folkmoot-bench connections", json!({ "rows": [idle] })),
        Said::made("folkmoot-bench path", json!({ "rows": [path] })),
    ];
    Report::read(&all).unwrap()
}

#[test]
fn the_page_has_every_figure_and_what_was_not_reached() {
    let page = page::page(&report(), [("a.svg", "A plot")].into_iter());
    for line in [
        "folkmoot-bench fanout\nfolkmoot-bench herd",
        "![A plot](a.svg)",
        "| nats core | 12,500 | 8.00 | 0.50 |  | 1.0 | 2.0 |  |",
        "| nats core | 12,500 | 8.00 | 0.25 |  | 1.0 | 2.0 | 7,000 did not come in time |",
        "## 1,000 listeners, as fast as it goes",
        "| redis streams | 9,000 | 1.00 |  |  | 1 | 4 | 0 | server |",
        "| nats core | 2.0 | 1.0 |",
        "| redis x1 | 9,000 (8,000–10,000) |",
        "| redis x1 | 7 | fsync |",
    ] {
        assert!(page.contains(line), "no {line:?} in\n{page}");
    }
}

#[test]
fn plots_leave_out_what_lost_some() {
    let charts = plots::charts(&report());
    let chart = |name: &str| {
        let found = charts.iter().find(|chart| chart.0 == name);
        &found.unwrap_or_else(|| panic!("no {name}")).1
    };
    let cost = chart("cost-by-pace.svg").series.iter();
    let lines: Vec<_> = cost
        .map(|one| (one.name.as_str(), one.points.len()))
        .collect();
    assert_eq!(lines, [("folkmoot websocket", 2), ("nats core", 1)]);
    assert_eq!(chart("most-by-listeners.svg").series.len(), 1);
    for (name, chart) in &charts {
        assert!(chart.svg().unwrap().contains("</svg>"), "{name}");
    }
}

#[test]
fn workloads_are_chosen_by_name() {
    assert_eq!(chosen(&[]).unwrap().len(), 4);
    assert_eq!(chosen(&["herd".to_owned()]).unwrap().len(), 1);
    let wrong = chosen(&["head".to_owned()]).err().unwrap().to_string();
    assert!(wrong.contains("fanout, herd"), "{wrong}");
}
