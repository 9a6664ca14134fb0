use std::time::Duration;

use folkmoot_consensus::Status;
use folkmoot_wire::{NodeId, ShardId};

use super::{Known, Note};

fn status(leader: u32, term: u64) -> Status {
    Status {
        shard: ShardId(3),
        leader: (leader > 0).then_some(NodeId(leader)),
        term,
        is_leader: false,
        last_log: 0,
        last_applied: 0,
        voters: Vec::new(),
    }
}

fn see(known: &mut Known, leader: u32, term: u64, ms: u64) -> Option<Note> {
    let now = Duration::from_millis(ms);
    known.see(NodeId(1), &status(leader, term), now)
}

#[test]
fn each_leader_of_each_term_is_noted_once() {
    let mut known = Known::default();
    assert_eq!(see(&mut known, 2, 1, 0), Some(Note::Follows(NodeId(2))));
    assert_eq!(see(&mut known, 2, 1, 10), None);
    assert_eq!(see(&mut known, 0, 2, 20), None, "an election");
    assert_eq!(see(&mut known, 2, 1, 25), None, "it came to nothing");
    assert_eq!(see(&mut known, 1, 3, 30), Some(Note::Leads));
    assert_eq!(see(&mut known, 1, 4, 40), Some(Note::Leads));
}

#[test]
fn a_shard_that_stays_without_a_leader_is_noted_once() {
    let mut known = Known::default();
    assert_eq!(see(&mut known, 0, 1, 0), None);
    assert_eq!(see(&mut known, 0, 2, 1_999), None);
    assert_eq!(see(&mut known, 0, 3, 2_000), Some(Note::Leaderless));
    assert_eq!(see(&mut known, 0, 4, 9_000), None);
    assert_eq!(see(&mut known, 2, 5, 9_100), Some(Note::Follows(NodeId(2))));
    assert_eq!(see(&mut known, 0, 6, 9_200), None);
    assert_eq!(see(&mut known, 0, 6, 11_200), Some(Note::Leaderless));
}
