use super::PurgePolicy;
use crate::RaftOptions;

fn policy() -> PurgePolicy {
    PurgePolicy::of(&RaftOptions {
        snapshot_every: 80, // batches of 10
        keep_entries: 100,
        ..RaftOptions::default()
    })
}

#[test]
fn as_many_stay_as_are_to_be_kept() {
    let mut policy = policy();
    assert_eq!(policy.due(None, None), None);
    assert_eq!(policy.due(Some(50), None), None);
    assert_eq!(policy.due(Some(108), None), None, "fewer than a batch");
    assert_eq!(policy.due(Some(109), None), Some(9));
    assert_eq!(policy.due(Some(109), None), None, "asked already");
    assert_eq!(policy.due(Some(109), Some(9)), None);
    assert_eq!(policy.due(Some(118), Some(9)), None);
    assert_eq!(policy.due(Some(500), Some(9)), Some(400));
}

#[test]
fn more_may_be_forgotten_already() {
    let mut policy = policy();
    // A split, or a snapshot that came.
    assert_eq!(policy.due(Some(300), Some(300)), None);
    assert_eq!(policy.due(Some(410), Some(300)), Some(310));
}
