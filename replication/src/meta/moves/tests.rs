//! Changes of voters as the meta shard records them.

use folkmoot_wire::Code;
use folkmoot_wire::proto::{
    DrainNode, MetaCommand, MetaState, MoveShard, NodeRecord, RemoveNode, SettleShard, ShardRecord,
    meta_command::Op,
};

use super::may_vote;
use crate::meta::apply;

/// Nodes 1 to 4; one shard, of nodes 1 to 3, and the meta shard, of node 1.
fn state() -> MetaState {
    let node = |id| NodeRecord {
        id,
        ..NodeRecord::default()
    };
    let shard = |id, voters: &[u32]| ShardRecord {
        id,
        voters: voters.to_vec(),
        generation: 1,
        ..ShardRecord::default()
    };
    MetaState {
        nodes: (1..=4).map(node).collect(),
        shards: vec![shard(0, &[1]), shard(1, &[1, 2, 3])],
        ..MetaState::default()
    }
}

fn run(state: &mut MetaState, op: Op) -> Option<Code> {
    let before = state.clone();
    let command = MetaCommand {
        now_ms: 1,
        op: Some(op),
    };
    let outcome = apply(state, state.version + 1, command);
    if outcome.code != 0 {
        assert_eq!(*state, before, "a refusal leaves nothing behind");
    }
    Code::from_u32(outcome.code)
}

fn to(change: u64, next: &[u32]) -> Op {
    Op::MoveShard(MoveShard {
        shard: 1,
        change,
        next: next.to_vec(),
    })
}

fn settled(change: u64) -> Op {
    Op::SettleShard(SettleShard { shard: 1, change })
}

#[test]
fn a_change_is_recorded_before_and_behind() {
    let mut state = state();
    assert_eq!(run(&mut state, settled(0)), Some(Code::Invalid));
    assert_eq!(run(&mut state, to(0, &[2, 4, 3, 4])), None);
    let shard = &state.shards[1];
    assert_eq!(
        (&shard.voters[..], &shard.next[..]),
        (&[1, 2, 3][..], &[2, 3, 4][..])
    );
    assert_eq!((shard.change, shard.generation), (1, 1));
    // Late ones are refused: a plan made before, a leader that told before.
    assert_eq!(run(&mut state, to(0, &[1])), Some(Code::AlreadyExists));
    assert_eq!(run(&mut state, settled(0)), Some(Code::AlreadyExists));
    assert_eq!(run(&mut state, settled(1)), None);
    let shard = &state.shards[1];
    assert_eq!((&shard.voters[..], shard.change), (&[2, 3, 4][..], 2));
    assert!(shard.next.is_empty());
}

#[test]
fn whoever_may_have_become_a_voter_counts_until_a_change_has_ended() {
    let mut state = state();
    assert_eq!(run(&mut state, to(0, &[1, 2, 4])), None);
    assert_eq!(run(&mut state, to(1, &[1, 2, 3])), None);
    assert!(may_vote(&state.shards[1]).contains(&4));
    let remove = |node| Op::RemoveNode(RemoveNode { node });
    assert_eq!(run(&mut state, remove(4)), Some(Code::Forbidden));
    assert_eq!(run(&mut state, settled(2)), None);
    assert!(!may_vote(&state.shards[1]).contains(&4));
    assert_eq!(run(&mut state, remove(4)), None);
    // Gone is gone.
    assert_eq!(run(&mut state, to(3, &[1, 2, 4])), Some(Code::Invalid));
    let drain = DrainNode {
        node: 4,
        draining: true,
    };
    assert_eq!(run(&mut state, Op::DrainNode(drain)), Some(Code::Invalid));
    for node in [1, 2, 9] {
        assert!(run(&mut state, remove(node)).is_some(), "node {node}");
    }
}

#[test]
fn nonsense_is_refused() {
    let mut state = state();
    let many: Vec<u32> = (1..=8).collect();
    for next in [&[][..], &[9], &many] {
        assert_eq!(run(&mut state, to(0, next)), Some(Code::Invalid));
    }
    let nowhere = MoveShard {
        shard: 7,
        change: 0,
        next: vec![1],
    };
    assert_eq!(run(&mut state, Op::MoveShard(nowhere)), Some(Code::Invalid));
}
