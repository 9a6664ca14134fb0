//! What a split does to the records, and what is refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use folkmoot_wire::proto::{
    MetaCommand, MetaOutcome, MetaState, MoveShard, NodeRecord, SettleSplit, ShardRecord,
    SplitShard, meta_command::Op,
};
use folkmoot_wire::{Code, RegionId, ShardId, Slot};
use proptest::prelude::*;

use crate::meta::apply;
use crate::placement::Placement;

fn cluster() -> MetaState {
    let shard = |id, slot_from, slot_to| ShardRecord {
        id,
        region: 1,
        slot_from,
        slot_to,
        voters: vec![1, 2, 3],
        generation: 1,
        ..ShardRecord::default()
    };
    let node = |id| NodeRecord {
        id,
        region: "eu".into(),
        ..NodeRecord::default()
    };
    MetaState {
        nodes: (1..=4).map(node).collect(),
        shards: vec![shard(1, 0, 0x7fff), shard(2, 0x8000, 0xffff)],
        next_shard: 3,
        ..MetaState::default()
    }
}

fn run(state: &mut MetaState, op: Op) -> MetaOutcome {
    let index = state.version + 1;
    let op = Some(op);
    apply(state, index, MetaCommand { now_ms: 1, op })
}

fn split(state: &mut MetaState, shard: u32, at: u32) -> MetaOutcome {
    let record = state.shards.iter().find(|record| record.id == shard);
    let change = record.map_or(0, |record| record.change);
    run(state, Op::SplitShard(SplitShard { shard, change, at }))
}

fn settle(state: &mut MetaState, shard: u32) -> MetaOutcome {
    let record = state.shards.iter().find(|record| record.id == shard);
    let change = record.map_or(0, |record| record.change);
    run(state, Op::SettleSplit(SettleSplit { shard, change }))
}

fn code(outcome: &MetaOutcome) -> Option<Code> {
    Code::from_u32(outcome.code)
}

#[test]
fn a_split_makes_a_shard_of_the_same_voters() {
    let mut state = cluster();
    let outcome = split(&mut state, 1, 0x4000);
    assert_eq!((outcome.code, outcome.node), (0, 3));
    let (parent, child) = (&state.shards[0], &state.shards[2]);
    assert_eq!((parent.slot_from, parent.slot_to), (0, 0x3fff));
    assert_eq!((parent.slots_made, parent.change), (0x8000, 1));
    assert_eq!((child.slot_from, child.slot_to), (0x4000, 0x7fff));
    assert_eq!((child.parent, child.unborn, child.change), (1, true, 1));
    assert_eq!((&child.voters, child.generation), (&vec![1, 2, 3], 2));
    // Two at once would leave it open what the second begins with.
    assert_eq!(code(&split(&mut state, 1, 0x2000)), Some(Code::Busy));
    assert_eq!(code(&split(&mut state, 3, 0x5000)), Some(Code::Busy));
    assert_eq!(settle(&mut state, 3).code, 0);
    assert_eq!(code(&settle(&mut state, 3)), Some(Code::Invalid));
    assert_eq!(split(&mut state, 1, 0x2000).code, 0);
    assert_eq!(state.shards[0].slots_made, 0x8000, "what it was made with");
}

#[test]
fn voters_stay_while_a_split_is_under_way() {
    let mut state = cluster();
    assert_eq!(split(&mut state, 1, 9).code, 0);
    for (shard, change) in [(1, 1), (3, 1)] {
        let next = vec![2, 3, 4];
        let moved = Op::MoveShard(MoveShard {
            shard,
            change,
            next,
        });
        assert_eq!(code(&run(&mut state, moved)), Some(Code::Busy), "{shard}");
    }
    assert_eq!(settle(&mut state, 3).code, 0);
    for (shard, change) in [(1, 1), (3, 2)] {
        let next = vec![2, 3, 4];
        let moved = Op::MoveShard(MoveShard {
            shard,
            change,
            next,
        });
        assert_eq!(run(&mut state, moved).code, 0, "{shard}");
    }
    assert_eq!(
        code(&split(&mut state, 1, 5)),
        Some(Code::Busy),
        "it is getting other voters"
    );
}

#[test]
fn what_cannot_be_split_is_refused_with_the_reason() {
    let mut state = cluster();
    let before = state.clone();
    for at in [0, 0x8000, 0xffff, 0x1_0000] {
        let outcome = split(&mut state, 1, at);
        assert_eq!(code(&outcome), Some(Code::Invalid), "{at}");
        assert!(outcome.detail.contains("1 to 32767"), "{}", outcome.detail);
    }
    for shard in [0, 99] {
        assert_eq!(code(&split(&mut state, shard, 5)), Some(Code::Invalid));
    }
    let late = SplitShard {
        shard: 1,
        change: 7,
        at: 5,
    };
    let outcome = run(&mut state, Op::SplitShard(late));
    assert_eq!(code(&outcome), Some(Code::AlreadyExists));
    assert_eq!(state, before);
    state.shards[0].slot_to = 0;
    let outcome = split(&mut state, 1, 0);
    assert!(outcome.detail.contains("one slot"), "{}", outcome.detail);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However often and wherever shards are split: each slot is in exactly
    /// one, and each has what it was made with in front of what it has.
    #[test]
    fn splits_partition_the_slots(
        splits in proptest::collection::vec((0..40usize, any::<u16>(), any::<bool>()), 0..40),
    ) {
        let mut state = cluster();
        for (which, at, settles) in splits {
            let shard = state.shards[which % state.shards.len()].id;
            let made = split(&mut state, shard, u32::from(at));
            if made.code == 0 && settles {
                prop_assert_eq!(settle(&mut state, made.node).code, 0);
            }
        }
        let placement = Placement::new(Arc::new(state.clone()));
        let mut next = 0u32;
        let mut sorted = state.shards.clone();
        sorted.sort_by_key(|record| record.slot_from);
        for record in &sorted {
            prop_assert_eq!(record.slot_from, next);
            next = record.slot_to + 1;
            let shard = placement.shard(ShardId(record.id)).unwrap();
            prop_assert_eq!(shard.made.0, shard.slots.0);
            prop_assert!(shard.made.1 >= shard.own.1);
            // Until a split is known to be done its slots are the parent's.
            let asked = match record.unborn {
                true => ShardId(record.parent),
                false => shard.id,
            };
            for slot in [shard.slots.0, shard.slots.1] {
                let found = placement.shard_of_slot(RegionId(1), Slot(slot.0));
                let owner = if slot <= shard.own.1 { asked } else { shard.id };
                prop_assert_eq!(found.map(|found| found.id), Some(owner));
            }
        }
        prop_assert_eq!(next, 0x1_0000);
        let ids: BTreeSet<_> = state.shards.iter().map(|record| record.id).collect();
        prop_assert_eq!(ids.len(), state.shards.len());
    }
}
