use super::{delays, head, notes, rates, ratios};
use crate::path::report::tests::report;

#[test]
fn every_row_has_its_figures_and_who_was_full() {
    let report = report();
    let text = rates(&report).to_string();
    let line = text
        .lines()
        .find(|line| line.contains("jetstream x3"))
        .expect("a line");
    assert!(line.contains("30 (20-40)"), "{line}");
    assert!(line.contains("generator"), "{line}");
    let text = delays(&report).to_string();
    assert!(text.contains("2.00 (2.00-2.00)"), "{text}");
    let text = ratios(&report).to_string();
    assert!(text.contains("at least 3"), "{text}");
}

#[test]
fn it_says_what_durable_meant_and_warns_where_it_was_not() {
    let mut report = report();
    assert!(head(&report).contains("256 bytes"));
    assert!(notes(&report).contains("redis x1 1: 1 process; synced"));
    assert!(!notes(&report).contains("NOT ON A DISK"));
    report.machine.on_disk = false;
    report.machine.server_core = None;
    assert!(notes(&report).contains("NOT ON A DISK"));
    assert!(head(&report).contains("NOT PINNED"));
}
