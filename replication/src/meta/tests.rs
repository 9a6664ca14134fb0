//! The meta shard's rules, and what placement makes of its state.

use std::sync::Arc;

use folkmoot_wire::proto::{
    AddRegion, AddToken, InitCluster, JoinToken, MetaCommand, MetaOutcome, MetaState, NodeRecord,
    RegionRecord, RegisterNode, SetGoal, SetSetting, Setting, SurvivalGoal, UpdateNode,
    meta_command::Op,
};
use folkmoot_wire::{Code, RegionId, ShardId, Slot};
use proptest::prelude::*;

use super::apply;
use crate::placement::Placement;

#[derive(Default)]
struct Meta {
    state: MetaState,
    index: u64,
}

impl Meta {
    fn run(&mut self, now_ms: u64, op: Op) -> MetaOutcome {
        self.index += 1;
        let op = Some(op);
        apply(&mut self.state, self.index, MetaCommand { now_ms, op })
    }

    fn init(&mut self, shards: u32, voters: u32) -> MetaOutcome {
        let init = InitCluster {
            cluster: vec![1; 16].into(),
            name: "test".into(),
            first: Some(node("eu")),
            shards,
            voters,
            ..InitCluster::default()
        };
        self.run(1, Op::Init(init))
    }

    fn token(&mut self, hash: u8, region: &str) {
        let token = JoinToken {
            hash: vec![hash].into(),
            expires_ms: 1_000,
            region: region.into(),
            used: false,
        };
        let added = self.run(1, Op::AddToken(AddToken { token: Some(token) }));
        assert_eq!(added.code, 0);
    }

    fn join(&mut self, now_ms: u64, hash: u8, key: u8, region: &str) -> MetaOutcome {
        let register = RegisterNode {
            node: Some(node(region)),
            token_hash: vec![hash].into(),
            public_key: vec![key].into(),
            shards: 4,
            voters: 3,
            goal: 0,
        };
        self.run(now_ms, Op::Register(register))
    }
}

fn node(region: &str) -> NodeRecord {
    NodeRecord {
        region: region.into(),
        ..NodeRecord::default()
    }
}

fn code(outcome: &MetaOutcome) -> Option<Code> {
    Code::from_u32(outcome.code)
}

#[test]
fn a_cluster_is_made_once_and_whole() {
    let mut meta = Meta::default();
    // A refusal leaves nothing behind.
    for (shards, voters) in [(3, 1), (2_048, 1), (4, 2), (4, 5)] {
        assert_eq!(code(&meta.init(shards, voters)), Some(Code::Invalid));
        assert_eq!(meta.state, MetaState::default());
    }
    let nameless = InitCluster {
        cluster: vec![1; 16].into(),
        first: Some(node("")),
        ..InitCluster::default()
    };
    assert_eq!(code(&meta.run(1, Op::Init(nameless))), Some(Code::Invalid));
    let made = meta.init(4, 1);
    assert_eq!((made.code, made.node, made.version), (0, 1, meta.index));
    assert_eq!(code(&meta.init(4, 1)), Some(Code::AlreadyExists));
    assert_eq!(meta.state.nodes.len(), 1);
    assert_eq!(meta.state.shards.len(), 5);
    assert_eq!(meta.state.shards[0].id, ShardId::META.0);
}

#[test]
fn tokens_serve_once_in_time_and_in_their_region() {
    let mut meta = Meta::default();
    meta.init(4, 1);
    meta.token(1, "");
    meta.token(2, "us");
    meta.token(3, "");
    assert_eq!(
        code(&meta.join(2, 9, 1, "eu")),
        Some(Code::JoinTokenUnknown)
    );
    assert_eq!(
        code(&meta.join(1_000, 1, 1, "eu")),
        Some(Code::JoinTokenExpired)
    );
    assert_eq!(code(&meta.join(2, 2, 1, "eu")), Some(Code::UnknownRegion));
    assert_eq!(code(&meta.join(2, 1, 1, "")), Some(Code::Invalid));
    assert_eq!(meta.join(2, 1, 1, "eu").node, 2);
    assert_eq!(code(&meta.join(2, 1, 2, "eu")), Some(Code::JoinTokenUsed));
    assert_eq!(meta.join(2, 2, 3, "us").node, 3);
    // The answer was lost: the same key asks again, with whatever token.
    assert_eq!(meta.join(2, 1, 1, "eu").node, 2);
    assert_eq!(meta.join(9_999, 9, 3, "us").node, 3);
    assert_eq!(meta.state.nodes.len(), 3);
    // Once more added, a used token is still used.
    meta.token(1, "");
    assert_eq!(code(&meta.join(2, 1, 7, "eu")), Some(Code::JoinTokenUsed));
}

#[test]
fn ended_tokens_are_forgotten_after_a_day() {
    let mut meta = Meta::default();
    meta.init(4, 1);
    meta.token(1, "");
    let endless = JoinToken {
        hash: vec![2].into(),
        expires_ms: u64::MAX,
        ..JoinToken::default()
    };
    meta.run(
        1,
        Op::AddToken(AddToken {
            token: Some(endless),
        }),
    );
    let day = 24 * 3_600 * 1_000;
    let third = JoinToken {
        hash: vec![3].into(),
        expires_ms: u64::MAX,
        ..JoinToken::default()
    };
    meta.run(1_000 + day, Op::AddToken(AddToken { token: Some(third) }));
    let hashes: Vec<u8> = meta.state.tokens.iter().map(|t| t.hash[0]).collect();
    assert_eq!(hashes, [2, 3]);
    let none = JoinToken {
        expires_ms: 5,
        ..JoinToken::default()
    };
    let added = meta.run(1, Op::AddToken(AddToken { token: Some(none) }));
    assert_eq!(code(&added), Some(Code::Invalid));
}

#[test]
fn shards_are_made_when_there_are_nodes_enough() {
    let mut meta = Meta::default();
    meta.init(4, 3);
    assert_eq!(
        (meta.state.shards.len(), meta.state.directory.len()),
        (1, 0)
    );
    for key in 1..=2 {
        meta.token(key, "");
        meta.join(2, key, key, "eu");
        let made = if key == 2 { 5 } else { 1 };
        assert_eq!(meta.state.shards.len(), made);
    }
    for shard in &meta.state.shards[1..] {
        let voters: std::collections::BTreeSet<_> = shard.voters.iter().collect();
        assert_eq!(voters.len(), 3);
    }
    let placement = Placement::new(Arc::new(meta.state));
    assert!(placement.directory_shard("app", "ann").is_some());
}

#[test]
fn settings_regions_and_addresses_change() {
    let mut meta = Meta::default();
    meta.init(1, 1);
    for value in ["a", "b"] {
        let setting = Some(Setting {
            key: "k".into(),
            value: value.into(),
        });
        assert_eq!(meta.run(1, Op::SetSetting(SetSetting { setting })).code, 0);
    }
    assert_eq!(meta.state.settings.len(), 1);
    assert_eq!(meta.state.settings[0].value, "b");
    let region = Some(RegionRecord {
        name: "us".into(),
        ..RegionRecord::default()
    });
    assert_eq!(
        meta.run(
            1,
            Op::AddRegion(AddRegion {
                region: region.clone()
            })
        )
        .code,
        0
    );
    let again = meta.run(1, Op::AddRegion(AddRegion { region }));
    assert_eq!(code(&again), Some(Code::AlreadyExists));
    let moved = NodeRecord {
        id: 1,
        quic_addr: "a:1".into(),
        region: "mars".into(),
        ..node("")
    };
    assert_eq!(
        meta.run(1, Op::UpdateNode(UpdateNode { node: Some(moved) }))
            .code,
        0
    );
    assert_eq!(meta.state.nodes[0].quic_addr, "a:1");
    assert_eq!(meta.state.nodes[0].region, "eu");
    let version = meta.state.version;
    let stranger = meta.run(
        1,
        Op::UpdateNode(UpdateNode {
            node: Some(NodeRecord { id: 99, ..node("") }),
        }),
    );
    assert_eq!(
        (code(&stranger), stranger.version),
        (Some(Code::Invalid), version)
    );
    let nothing = apply(&mut meta.state, 99, MetaCommand::default());
    assert_eq!(code(&nothing), Some(Code::UnknownRequest));
}

#[test]
fn what_is_to_be_survived_is_said_of_a_region() {
    let set = |region: &str, voters| {
        Op::SetGoal(SetGoal {
            region: region.into(),
            goal: SurvivalGoal::Region.into(),
            voters,
        })
    };
    let mut meta = Meta::default();
    assert_eq!(meta.init(4, 3).code, 0);
    assert!(!meta.state.regions[0].made, "it waits for three nodes");
    let unknown = meta.run(2, set("us", 0));
    assert_eq!(code(&unknown), Some(Code::UnknownRegion));
    let two = meta.run(2, set("eu", 2));
    assert_eq!(code(&two), Some(Code::Invalid));
    assert_eq!(meta.run(2, set("eu", 0)).code, 0);
    let region = &meta.state.regions[0];
    assert_eq!(region.goal(), SurvivalGoal::Region);
    assert!(region.made, "the others come with the nodes");
    assert!(
        meta.state.shards[1..]
            .iter()
            .all(|shard| shard.voters == [1])
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However a cluster grew: every slot of a region that has shards is in
    /// exactly one of them, every directory slot in exactly one range, and
    /// voters are nodes of the region.
    #[test]
    fn shards_partition_their_regions(
        first in (0..7u32, any::<bool>()),
        joins in proptest::collection::vec((0..3usize, 0..11u32, any::<bool>()), 0..12),
        probes in proptest::collection::vec(any::<u16>(), 40),
    ) {
        let mut meta = Meta::default();
        let voters = |three| if three { 3 } else { 1 };
        meta.init(1 << first.0, voters(first.1));
        for (n, (region, shards, three)) in joins.into_iter().enumerate() {
            let n = n as u8 + 1;
            meta.token(n, "");
            let register = RegisterNode {
                node: Some(node(["eu", "us", "ap"][region])),
                token_hash: vec![n].into(),
                public_key: vec![n].into(),
                shards: 1 << shards,
                voters: voters(three),
                goal: 0,
            };
            prop_assert_eq!(meta.run(2, Op::Register(register)).code, 0);
        }
        let state = Arc::new(meta.state);
        let placement = Placement::new(state.clone());
        for region in &state.regions {
            let mut shards: Vec<_> = state.shards.iter().filter(|s| s.id != 0 && s.region == region.id).collect();
            prop_assert_eq!(shards.len(), if region.made { region.shards as usize } else { 0 });
            shards.sort_by_key(|s| s.slot_from);
            let mut next = 0;
            for shard in &shards {
                prop_assert_eq!(shard.slot_from, next);
                next = shard.slot_to + 1;
                for voter in &shard.voters {
                    prop_assert_eq!(&state.nodes[*voter as usize - 1].region, &region.name);
                }
            }
            prop_assert_eq!(next, if region.made { 65_536 } else { 0 });
            for slot in probes.iter().copied().chain([0, u16::MAX]) {
                let found = placement.shard_of_slot(RegionId(region.id as u16), Slot(slot));
                prop_assert_eq!(found.is_some(), region.made);
                if let Some(shard) = found {
                    prop_assert!(shard.slots.0.0 <= slot && slot <= shard.slots.1.0);
                }
            }
        }
        let ids: std::collections::BTreeSet<_> = state.shards.iter().map(|s| s.id).collect();
        prop_assert_eq!(ids.len(), state.shards.len());
        let mut next = 0;
        for range in &state.directory {
            prop_assert_eq!(range.from, next);
            prop_assert!(ids.contains(&range.shard));
            next = range.to + 1;
        }
        prop_assert_eq!(next, if state.directory.is_empty() { 0 } else { 256 });
    }
}
