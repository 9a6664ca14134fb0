//! Where the world in memory lies, and who may enter it.

use std::sync::Arc;

use folkmoot_replication::placement::Placement;
use folkmoot_wire::proto::{DirectoryRange, MetaState, RegionRecord, ShardRecord};

use crate::edge::{Grant, SigningKey, issue};

pub(super) const EPOCH_MS: u64 = 1_700_000_000_000;
pub(super) const SECRET: [u8; 32] = [5; 32];

pub(super) fn placement() -> Placement {
    Placement::new(Arc::new(MetaState {
        regions: vec![RegionRecord {
            id: 1,
            name: "here".into(),
            shards: 1,
            voters: 1,
            made: true,
            ..RegionRecord::default()
        }],
        shards: vec![ShardRecord {
            id: 1,
            region: 1,
            slot_from: 0,
            slot_to: 65_535,
            voters: vec![1],
            generation: 1,
            ..ShardRecord::default()
        }],
        directory: vec![DirectoryRange {
            from: 0,
            to: 255,
            shard: 1,
        }],
        ..MetaState::default()
    }))
}

pub(super) fn token(subject: &str) -> String {
    let grant = Grant {
        subject,
        issuer: "app",
        audience: "folkmoot",
        expires_ms: EPOCH_MS + 3_600_000,
        not_before_ms: None,
        nick: None,
    };
    issue(&SigningKey::Hs256(SECRET.to_vec()), "k", &grant).unwrap()
}
