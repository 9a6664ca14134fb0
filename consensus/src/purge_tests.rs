use super::Forgetting;
use crate::RaftOptions;

fn forgetting() -> Forgetting {
    Forgetting::of(&RaftOptions {
        snapshot_every: 80, // batches of 10
        keep_entries: 100,
        ..RaftOptions::default()
    })
}

#[test]
fn as_many_stay_as_are_to_be_kept() {
    let mut forgetting = forgetting();
    assert_eq!(forgetting.due(None, None), None);
    assert_eq!(forgetting.due(Some(50), None), None);
    assert_eq!(forgetting.due(Some(108), None), None, "fewer than a batch");
    assert_eq!(forgetting.due(Some(109), None), Some(9));
    assert_eq!(forgetting.due(Some(109), None), None, "asked already");
    assert_eq!(forgetting.due(Some(109), Some(9)), None);
    assert_eq!(forgetting.due(Some(118), Some(9)), None);
    assert_eq!(forgetting.due(Some(500), Some(9)), Some(400));
}

#[test]
fn more_may_be_forgotten_already() {
    let mut forgetting = forgetting();
    // A split, or a snapshot that came.
    assert_eq!(forgetting.due(Some(300), Some(300)), None);
    assert_eq!(forgetting.due(Some(410), Some(300)), Some(310));
}
