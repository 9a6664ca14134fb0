//! The simulator over its first seeds. Each runs twice and has to be the same
//! history, over every delivery and every write; no two seeds may be.

use folkmoot_tests::sim::failure;
use folkmoot_tests::sim::plan::{Cut, Plan};
use folkmoot_tests::sim::run::{Campaign, campaign, run};

/// As many as a test run has time for; `make sim` runs more.
const SEEDS: u64 = 50;

#[test]
fn histories_hold_their_invariants_and_repeat() {
    let asked = Campaign {
        count: SEEDS,
        ..Campaign::default()
    };
    let summary = campaign(&asked, |history| {
        if !history.findings.is_empty() {
            eprint!("{}", failure::report(history));
        }
    });
    assert_eq!((summary.seeds, summary.violations), (SEEDS, 0));
    assert!(summary.acts as u64 >= 500 * SEEDS, "{} acts", summary.acts);
}

#[test]
fn a_plan_can_be_cut_down() {
    let whole = Plan::of(7);
    assert!(whole.faults.len() >= 5, "{whole}");
    let cut = Cut {
        faults: Some(vec![1, 3]),
        steps: Some(5),
    };
    let plan = Plan::cut_down(7, &cut);
    assert_eq!(plan.faults, [whole.faults[1], whole.faults[3]]);
    let history = run(&plan).unwrap();
    assert_eq!(history.findings, []);
    assert_eq!(history.counts.faults.values().sum::<u64>(), 2);
    assert_eq!(
        failure::again(7, &history.cut),
        "make sim SEEDS=1 FROM=7 SIM='--faults 1,3 --steps 5'"
    );
}

/// Of histories that once were wrong: what of their plans it took.
#[test]
fn what_was_wrong_once_is_not() {
    let plans: [(u64, &[usize], usize); 11] = [
        // Refused, and committed later: by another attempt, or by a device that
        // forgot it.
        (1098, &[0, 6, 10, 14], 21),
        (1429, &[7], 41),
        (1957, &[], 12),
        // A fetch from who had left the shard.
        (629, &[9, 12], 43),
        // A snapshot came, with a ban in it.
        (1751, &[2, 5, 6, 7, 11], 25),
        // Cursors of members who left and came back; people who were put out
        // and added again at once.
        (1086, &[1, 6, 10, 11], 38),
        (1485, &[], 2),
        // Two keepers of a moved group each took the other for its relay.
        (885, &[0, 1, 3, 6], 12),
        // A move that asked five voters across regions one after the other.
        (341, &[7], 1),
        // A disk that failed under a lie, while its machine was down.
        (517, &[2, 11, 12], 1),
        // A voter that was cut off spoke for its shard to another one that was.
        (757, &[2, 3], 9),
    ];
    for (seed, faults, steps) in plans {
        let cut = Cut {
            faults: Some(faults.to_vec()),
            steps: Some(steps),
        };
        let history = run(&Plan::cut_down(seed, &cut)).unwrap();
        assert_eq!(history.findings, [], "seed {seed}");
    }
}
