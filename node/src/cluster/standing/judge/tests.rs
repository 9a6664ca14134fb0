use std::time::Duration;

use folkmoot_consensus::Mark;
use folkmoot_wire::proto::{self, KnownOfYou};
use folkmoot_wire::{NodeId, ShardId, limits};

use super::{Finding, Judge, Older};

const ME: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);
const THREE: NodeId = NodeId(3);
const VOTERS: [NodeId; 3] = [ME, TWO, THREE];
const SHARD: ShardId = ShardId(7);
const ZERO: Duration = Duration::ZERO;

fn judge() -> Judge {
    Judge::new(ME, 10, 20, ZERO)
}

fn knows(start: u64) -> KnownOfYou {
    KnownOfYou {
        start,
        ..KnownOfYou::default()
    }
}

fn mark(term: u64, index: u64) -> Mark {
    Mark { term, index }
}

fn marked(term: u64, index: u64) -> KnownOfYou {
    let mark = proto::Mark {
        shard: SHARD.0,
        term,
        index,
    };
    KnownOfYou {
        start: 10,
        marks: vec![mark],
        ..KnownOfYou::default()
    }
}

fn promised(term: u64, last: (u64, u64), voters: &[NodeId]) -> KnownOfYou {
    let promise = proto::Promise {
        shard: SHARD.0,
        term,
        last_term: last.0,
        last_index: last.1,
        voters: voters.iter().map(|node| node.0).collect(),
        unsure: false,
    };
    KnownOfYou {
        start: 20,
        promises: vec![promise],
        ..KnownOfYou::default()
    }
}

fn nothing(_: ShardId) -> Option<Mark> {
    Some(Mark::default())
}

#[test]
fn a_folder_that_knows_its_last_start_is_trusted_when_all_have_answered() {
    let mut judge = judge();
    assert_eq!(judge.waits_for(SHARD, &VOTERS, ZERO), [TWO, THREE]);
    assert_eq!(judge.answered(TWO, ZERO, &knows(10), nothing), None);
    assert_eq!(judge.waits_for(SHARD, &VOTERS, ZERO), [THREE]);
    assert_eq!(judge.answered(THREE, ZERO, &knows(0), nothing), None);
    assert!(judge.waits_for(SHARD, &VOTERS, ZERO).is_empty());
}

#[test]
fn a_quorum_will_do_only_when_the_rest_had_its_time() {
    let mut judge = judge();
    let late = limits::ASK_ALL_FOR;
    assert_eq!(judge.waits_for(SHARD, &VOTERS, late), [TWO, THREE]);
    judge.answered(TWO, ZERO, &knows(10), nothing);
    let soon = late - Duration::from_millis(1);
    assert_eq!(judge.waits_for(SHARD, &VOTERS, soon), [THREE]);
    assert!(judge.waits_for(SHARD, &VOTERS, late).is_empty());
    assert!(judge.waits_for(SHARD, &[ME], ZERO).is_empty());
}

#[test]
fn a_later_start_than_the_folder_knows_is_found() {
    let mut judge = judge();
    judge.answered(TWO, ZERO, &knows(10), nothing);
    let found = judge.answered(THREE, ZERO, &knows(15), nothing);
    assert_eq!(found, Some(Finding::Older(Older::Start { by: THREE })));
    assert_eq!((judge.before(), judge.start()), (15, 20));
    // Its clock went back: the number rises all the same.
    let mut judge = Judge::new(ME, 10, 20, ZERO);
    let found = judge.answered(TWO, ZERO, &knows(30), nothing);
    assert_eq!(found, Some(Finding::Older(Older::Start { by: TWO })));
    assert_eq!(judge.start(), 31);
    assert_eq!(judge.answered(TWO, ZERO, &knows(31), nothing), None);
}

#[test]
fn a_mark_beyond_the_folder_is_found_and_one_within_is_not() {
    for (known, here, older) in [
        ((3, 10), mark(3, 10), false),
        ((3, 10), mark(3, 9), true),
        ((3, 0), mark(2, 50), true),
        // A leader of a later term cut off what was acknowledged before.
        ((3, 10), mark(4, 5), false),
    ] {
        let mut judge = judge();
        let answer = marked(known.0, known.1);
        let found = judge.answered(TWO, ZERO, &answer, |_| Some(here));
        assert_eq!(found.is_some(), older, "{known:?} {here:?}");
        // What is heard of this start is no sign of an older folder.
        let again = judge.answered(TWO, ZERO, &answer, |_| Some(here));
        assert_eq!(again, None);
    }
}

#[test]
fn another_process_under_this_number_is_found() {
    let mut judge = judge();
    judge.answered(TWO, ZERO, &knows(10), nothing);
    assert_eq!(judge.answered(THREE, ZERO, &knows(10), nothing), None);
    let found = judge.answered(THREE, ZERO, &knows(25), nothing);
    assert_eq!(found, Some(Finding::Replaced { by: THREE }));
    assert_eq!(judge.answered(TWO, ZERO, &knows(20), nothing), None);
    let found = judge.answered(TWO, ZERO, &knows(25), nothing);
    assert_eq!(found, Some(Finding::Replaced { by: TWO }));
}

#[test]
fn an_older_folder_waits_for_the_word_of_all_others() {
    let mut judge = judge();
    assert!(judge.doubt(Older::Start { by: TWO }, ZERO));
    assert!(!judge.doubt(Older::Before, ZERO));
    let late = limits::ASK_ANEW_AFTER;
    // Too early: another process may still run.
    judge.answered(TWO, ZERO, &promised(9, (4, 40), &VOTERS), nothing);
    judge.answered(THREE, late, &promised(8, (5, 30), &VOTERS), nothing);
    assert_eq!(judge.recall(SHARD, &VOTERS), Err(vec![TWO]));
    assert_eq!(judge.waits_for(SHARD, &VOTERS, late * 9), [TWO]);
    judge.answered(TWO, late, &promised(9, (4, 40), &VOTERS), nothing);
    let promises = judge.recall(SHARD, &VOTERS).unwrap();
    let mut terms: Vec<u64> = promises.iter().map(|promise| promise.term).collect();
    terms.sort_unstable();
    assert_eq!(terms, [8, 9]);
    // Still not before it is written down.
    assert!(!judge.waits_for(SHARD, &VOTERS, late).is_empty());
    judge.remembered(SHARD);
    assert!(judge.waits_for(SHARD, &VOTERS, late).is_empty());
}

#[test]
fn those_who_vote_by_now_are_asked_too() {
    let mut judge = judge();
    judge.doubt(Older::Before, ZERO);
    let late = limits::ASK_ANEW_AFTER;
    let now = [ME, TWO, NodeId(4)];
    judge.answered(TWO, late, &promised(9, (4, 40), &now), nothing);
    judge.answered(THREE, late, &promised(9, (4, 40), &VOTERS), nothing);
    assert_eq!(judge.recall(SHARD, &VOTERS), Err(vec![NodeId(4)]));
    let mut unsure = promised(9, (4, 60), &now);
    unsure.promises[0].unsure = true;
    judge.answered(NodeId(4), late, &unsure, nothing);
    assert_eq!(judge.recall(SHARD, &VOTERS), Err(vec![NodeId(4)]));
    judge.answered(NodeId(4), late, &promised(9, (4, 60), &now), nothing);
    assert_eq!(judge.recall(SHARD, &VOTERS).unwrap().len(), 3);
}

#[test]
fn who_votes_alone_waits_for_others_and_an_older_folder_for_what_is_agreed_on() {
    let others = [TWO, THREE];
    let first = judge();
    assert_eq!(first.waits_for_others(SHARD, &others, ZERO), others);
    assert!(first.waits_for_others(SHARD, &[], ZERO).is_empty());
    let soon = limits::ASK_ALL_FOR;
    assert!(first.waits_for_others(SHARD, &others, soon).is_empty());
    let mut judge = judge();
    // One that came later knows nothing of this node.
    judge.answered(THREE, ZERO, &knows(0), nothing);
    assert_eq!(judge.waits_for_others(SHARD, &others, ZERO), [TWO]);
    judge.answered(TWO, ZERO, &knows(10), nothing);
    assert!(judge.waits_for_others(SHARD, &others, ZERO).is_empty());
    judge.doubt(Older::Before, ZERO);
    let late = limits::ASK_ALL_FOR * 100;
    assert_eq!(judge.waits_for_others(SHARD, &others, late), others);
    judge.placed();
    assert!(judge.waits_for_others(SHARD, &others, late).is_empty());
}

#[test]
fn what_was_remembered_is_in_doubt_when_the_folder_is_put_back_once_more() {
    let others = [TWO, THREE];
    let mut judge = judge();
    judge.doubt(Older::Before, ZERO);
    judge.remembered(SHARD);
    // As after a repair whose loss was accepted: the others may be gone.
    let late = limits::ASK_ALL_FOR;
    assert!(judge.waits_for_others(SHARD, &others, late).is_empty());
    assert!(judge.waits_for(SHARD, &VOTERS, late).is_empty());
    assert!(!judge.doubt(
        Older::Mark {
            by: TWO,
            shard: SHARD,
            known: mark(9, 9),
            here: mark(1, 1)
        },
        late
    ));
    assert!(judge.doubt(Older::Start { by: TWO }, late));
    assert_eq!(judge.waits_for_others(SHARD, &others, late * 9), others);
    assert!(!judge.waits_for(SHARD, &VOTERS, late * 9).is_empty());
}
