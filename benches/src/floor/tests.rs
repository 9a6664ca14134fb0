use serde_json::json;

use super::{Line, lines};
use crate::child::Said;
use crate::child::report::Report;

fn cell(host: &str, rate: Option<f64>, cost: f64) -> serde_json::Value {
    json!({
        "host": host, "kind": "", "version": "1", "listeners": 1000, "rate": rate,
        "deliveries_per_second": 1e6 / cost, "cpu_seconds_per_million": cost, "lost": 0,
        "limit": "none", "delay_ms": { "p50": 1.0, "p99": 2.0, "most": 4.0 },
    })
}

#[test]
fn ours_stands_over_the_loop_that_writes_the_same() {
    let cells = json!([
        cell("folkmoot websocket", Some(100.0), 3.0),
        cell("floor, tls", Some(100.0), 1.5),
        cell("floor, tcp", Some(100.0), 1.0),
        cell("folkmoot websocket", None, 0.5),
        cell("floor, tls", None, 0.25),
    ]);
    let commit = json!([
        { "in_flight": 16, "group_commit": 900.0, "bare_loop": 1_000.0 },
        { "in_flight": 4096, "group_commit": 80_000.0, "bare_loop": 100_000.0 },
    ]);
    let figure = json!({ "figure": "per_second", "median": 500.0, "min": 1.0, "max": 1.0 });
    let path = json!([{
        "peer": "folkmoot", "version": "1", "replicas": 1, "durability": "",
        "cells": [{ "window": 1, "targets": 1, "figures": [figure] }],
    }]);
    let read = Report::read(&[
        Said::made("folkmoot-bench fanout", json!({ "cells": cells })),
        Said::made("folkmoot-bench commit", json!({ "rows": commit })),
        Said::made("folkmoot-bench path", json!({ "rows": path })),
    ]);
    let lines = lines(&read.unwrap());
    let times: Vec<_> = lines.iter().map(|Line { times, .. }| *times).collect();
    assert_eq!(
        times,
        [Some(2.0), None, Some(0.5), Some(0.9), Some(0.8), Some(0.5)]
    );
    assert!(
        lines[5].what.ends_with("16: committed by a node"),
        "{lines:?}"
    );
}
