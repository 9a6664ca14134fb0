//! The simulator over its first seeds. Each runs twice and has to be the same
//! history, over every delivery and every write; no two seeds may be.

use folkmoot_tests::sim::run::{again, campaign};

/// As many as a test run has time for; `make sim` runs more.
const SEEDS: u64 = 20;

#[test]
fn histories_hold_their_invariants_and_repeat() {
    let summary = campaign(0, SEEDS, |history| {
        for finding in &history.findings {
            eprintln!("seed {}: {finding}", history.seed);
        }
        if !history.findings.is_empty() {
            eprintln!("seed {} again: {}", history.seed, again(history.seed));
        }
    });
    assert_eq!((summary.seeds, summary.violations), (SEEDS, 0));
}
