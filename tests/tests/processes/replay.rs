//! Three regions as real processes carry a real channel: `folkmoot demo`
//! headless, judged by its offline exports and not by its own word.

use std::fs;

use serde_json::Value;

use super::log::{bundled, check_one_log, check_speakers, regions, said, said_in};
use super::node::command;

/// Each region's export of the one group, and the report.
fn replayed(extra: &[&str]) -> (Vec<String>, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let output = command()
        .args(["demo", "--headless", "--exit", "--replay"])
        .arg(bundled())
        .arg("--export")
        .arg(folder.path())
        .args(extra)
        .output()
        .expect("the demo runs");
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let name = bundled();
    let name = name.file_stem().and_then(|name| name.to_str());
    let report = fs::read(folder.path().join("report.json")).expect("the report");
    let report = serde_json::from_slice(&report).expect("JSON");
    (regions(folder.path(), name.expect("a name")), report)
}

#[test]
fn three_regions_hold_the_log_in_the_order_of_the_file() {
    let (regions, _) = replayed(&["--wan", "0.1"]);
    assert_eq!(regions.len(), 3);
    let log = check_one_log(&regions);
    assert_eq!(said_in(&log), said(&bundled()));
}

#[test]
fn pipelined_over_six_nodes_each_line_once_and_each_speaker_in_order() {
    let (regions, report) = replayed(&["--wan", "0", "--pipelined", "--nodes-per-region", "2"]);
    assert_eq!(regions.len(), 3);
    check_speakers(&said_in(&check_one_log(&regions)), &said(&bundled()));
    // One copy a region. It is about 0.8: what nodes say in silence would need
    // a minute more to break the bound.
    let ratio = report["bytes"]["ratio"].as_f64().expect("a ratio");
    assert!(
        ratio <= 1.3,
        "{ratio} bytes between regions to one of entries"
    );
}
