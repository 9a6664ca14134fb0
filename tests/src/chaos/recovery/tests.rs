use super::*;
use crate::chaos::ledger::Outcome;

fn seconds(all: &[u64]) -> Vec<Duration> {
    all.iter().map(|s| Duration::from_secs(*s)).collect()
}

#[test]
fn percentiles_are_values_that_occurred() {
    let times = seconds(&[4, 1, 3, 2]);
    let at = |percent| percentile(&times, percent).map(|time| time.as_secs());
    assert_eq!(
        [at(0), at(50), at(75), at(99), at(100)].map(Option::unwrap_or_default),
        [1, 2, 3, 4, 4]
    );
    assert_eq!(percentile(&[], 50), None);
}

#[test]
fn a_bound_belongs_to_the_step_below_it() {
    let counts = histogram(&seconds(&[1, 2, 3, 61]));
    assert_eq!(counts, [0, 0, 0, 1, 1, 1, 0, 0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_group_is_back_with_its_first_lane_and_all_with_the_last() {
    let ledger = Ledger::default();
    let lane = |publisher, group| Lane { publisher, group };
    let lanes = [lane(0, 0), lane(1, 0), lane(0, 1)];
    let injected = Instant::now();
    for (at, lane) in lanes.iter().enumerate() {
        let (no, _) = ledger.sends(*lane);
        tokio::time::advance(Duration::from_secs(1)).await;
        let at_once = Instant::now();
        if at < 2 {
            ledger.settled(
                no,
                Outcome::Acknowledged {
                    seq: 1,
                    at: at_once,
                },
            );
        }
    }
    let struck = Struck {
        injected,
        healed: Instant::now(),
        note: String::new(),
    };
    let recovery = Recovery::of(&ledger, &lanes, &struck);
    assert_eq!(recovery.spans.groups_from_injection, None);
    let recovery = Recovery::of(&ledger, &lanes[..2], &struck);
    assert_eq!(
        recovery.spans.groups_from_injection,
        Some(Duration::from_secs(1))
    );
    assert_eq!(
        recovery.spans.all_from_injection,
        Some(Duration::from_secs(2))
    );
    assert_eq!(recovery.spans.all_from_healing, None);
}
