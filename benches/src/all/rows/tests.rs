use serde_json::json;

use super::{Wanted, connections, counts, fanout, herd, slow};

fn cell(
    host: &str,
    kind: &str,
    rate: Option<f64>,
    cost: f64,
    deliveries: f64,
) -> serde_json::Value {
    json!({
        "host": host, "kind": kind, "rate": rate, "listeners": 1000, "slow": 0,
        "cpu_seconds_per_million": cost, "deliveries_per_second": deliveries,
        "delay_ms": { "p99": 60.0 },
    })
}

#[test]
fn fan_out_is_compared_with_the_best_peer_and_the_floor() {
    let both = |host: &str, kind: &str, cost, deliveries| {
        [
            cell(host, kind, Some(100.0), cost, 1e5),
            cell(host, kind, None, cost, deliveries),
        ]
    };
    let cells = [
        both("folkmoot websocket", "ours", 2.4, 3e6),
        both("folkmoot websocket, window 0", "ours", 7.0, 2e6),
        both("folkmoot quic", "ours", 4.4, 7e5),
        both("redis pub/sub", "peer", 5.0, 2e6),
        both("redis pub/sub, tls", "peer", 7.0, 1e6),
        both("nats core", "peer", 10.0, 7e5),
        both("floor, tls", "floor", 1.2, 1.5e6),
    ]
    .concat();
    let rows = fanout(&json!({ "cells": cells })).expect("rows");
    let row = |at: usize| (&rows[at], rows[at].peer.as_ref().expect("a peer"));
    let (websocket, peer) = row(0);
    assert_eq!((peer.name.as_str(), peer.times), ("redis pub/sub", 0.48));
    assert_eq!(websocket.floor.as_ref().map(|floor| floor.times), Some(2.0));
    assert!(websocket.holds);
    let (quic, peer) = row(1);
    assert_eq!((peer.name.as_str(), quic.holds), ("nats core", true));
    assert!(quic.floor.is_none(), "it was not measured");
    let (no_window, peer) = row(2);
    assert_eq!(peer.name, "redis pub/sub, tls");
    assert_eq!((peer.times, no_window.holds), (1.0, true));
    let (most, peer) = row(3);
    assert_eq!((peer.times, most.holds), (1.5, false));
    assert_eq!(most.wanted, Wanted::LeastTimes(2.0));
}

#[test]
fn who_is_not_there_is_not_beaten() {
    let row = |host: &str, kind: &str, rate: f64| {
        json!({
            "host": host, "kind": kind, "messages_per_second": { "median": rate },
            "wait_ms": { "most": 1_400.0 }, "memory_more": 0,
        })
    };
    let ours = row("folkmoot websocket", "ours", 1.1e6);
    let rows = herd(&json!({ "rows": [ours, row("redis streams", "peer", 1.0e6)] })).expect("rows");
    assert!(!rows[0].holds, "JetStream was not measured");
    assert!(rows[1].holds && rows[2].holds && rows[3].holds);
    assert!(herd(&json!({ "rows": [] })).is_err());
}

#[test]
fn slow_readers_are_compared_with_none() {
    let mut some = cell("folkmoot websocket", "ours", Some(100.0), 2.0, 1e5);
    some["slow"] = json!(100);
    some["delay_ms"]["p99"] = json!(67.0);
    let all = cell("folkmoot websocket", "ours", Some(100.0), 2.0, 1e5);
    let rows = slow(&json!({ "cells": [all, some] })).expect("rows");
    assert!(!rows[0].holds, "67 is more than a tenth above 60");
}

#[test]
fn figures_of_their_own_are_held_against_what_is_wanted() {
    let rows = json!({ "rows": [
        { "host": "folkmoot websocket", "server": 18.0 * 1024.0 },
        { "host": "folkmoot quic", "server": 20.0 * 1024.0 },
        { "host": "mosquitto", "server": 6.0 * 1024.0 },
        { "host": "floor, tcp", "server": 1024.0 },
    ] });
    let rows = connections(&rows).expect("rows");
    assert_eq!(
        rows.iter().map(|row| row.holds).collect::<Vec<_>>(),
        [false, true]
    );
    assert_eq!(rows[0].peer.as_ref().map(|peer| peer.times), Some(3.0));
    let asked = json!({ "groups": 1000, "rows": [{ "server_ms": 6.0, "round_trips": 1 }] });
    let rows = counts(&asked).expect("rows");
    assert_eq!(
        rows.iter().map(|row| row.holds).collect::<Vec<_>>(),
        [false, true]
    );
}
