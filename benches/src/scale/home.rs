//! The home of the group: the product's apply on a store in memory. Raft
//! itself is not run; what it commits is.

use std::sync::Arc;

use anyhow::ensure;
use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_replication::apply::{At, ShardApply, ShardConfig};
use folkmoot_replication::placement::Shard;
use folkmoot_storage::{Batch, MemStore, Read, Store, log};
use folkmoot_wire::proto::{
    Append, Command, CommandBatch, CreateBody, CursorBatch, CursorChange, GroupKind, GroupPush,
    Head, JoinBody, Kind, command, outcome,
};
use folkmoot_wire::{ClientMsgId, GroupId, MessageId, NodeId, RegionId, Slot, UserId, limits};
use prost::Message;

pub(super) const CLUSTER: [u8; 16] = [7; 16];
pub(super) const DIGEST_KEY: [u8; 32] = [9; 32];
/// When the simulation's time begins, in milliseconds since 1970.
pub(super) const START_MS: u64 = 1_800_000_000_000;
/// Bytes of a message, which no compression makes smaller; as
/// `folkmoot-bench path` has them.
pub(super) const BODY_BYTES: usize = 256;

/// A person, of any region.
pub(super) fn user(n: u32) -> UserId {
    let hash = blake3::hash(&n.to_be_bytes());
    let mut unique = [0; 11];
    unique.copy_from_slice(&hash.as_bytes()[..11]);
    UserId::new(RegionId(1 + (n % 50) as u16), Slot(n as u16), unique)
}

pub(super) struct Home {
    pub(super) store: Arc<MemStore>,
    pub(super) group: GroupId,
    apply: ShardApply,
    leader: NodeId,
    index: u64,
    number: u64,
}

impl Home {
    /// An open group at home in this shard, with so many members.
    pub(super) fn open(shard: &Shard, group: GroupId) -> anyhow::Result<Self> {
        let store = Arc::new(MemStore::new());
        let config = ShardConfig {
            shard: shard.id,
            region: shard.region,
            slots: shard.slots,
            generation: shard.generation,
            cluster: CLUSTER,
            digest_key: DIGEST_KEY,
        };
        let read = Arc::clone(&store) as Arc<dyn Read>;
        Ok(Self {
            apply: ShardApply::open(config, read)?,
            store,
            group,
            leader: shard.voters.first().copied().unwrap_or(NodeId(1)),
            index: 0,
            number: 0,
        })
    }

    /// The shard's version: everything up to it is applied.
    pub(super) fn version(&self) -> u64 {
        self.index
    }

    pub(super) fn head(&self) -> anyhow::Result<Head> {
        Ok(log::read_head(&*self.store, &self.group)?.unwrap_or_default())
    }

    /// Creates the group for its first member.
    pub(super) fn create(&mut self, ms: u64) -> anyhow::Result<Vec<GroupPush>> {
        let body = CreateBody {
            kind: GroupKind::Group as i32,
            name: "everybody".into(),
            member_cap: limits::MEMBER_CAP_MAX,
            open: true,
            nick: "member 0".into(),
            ..CreateBody::default()
        };
        let create = self.append(ms, user(0), Kind::Create, body.encode_to_vec().into());
        self.run(ms, vec![create])
    }

    /// These join, in one batch.
    pub(super) fn join(
        &mut self,
        ms: u64,
        members: std::ops::Range<u32>,
    ) -> anyhow::Result<Vec<GroupPush>> {
        let joins = members
            .map(|n| {
                let body = JoinBody {
                    nick: format!("member {n}"),
                    ..JoinBody::default()
                };
                self.append(ms, user(n), Kind::Join, body.encode_to_vec().into())
            })
            .collect();
        self.run(ms, joins)
    }

    /// One message of the first member.
    pub(super) fn say(&mut self, ms: u64) -> anyhow::Result<Vec<GroupPush>> {
        let mut body = vec![0; BODY_BYTES];
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.number.to_be_bytes());
        hasher.finalize_xof().fill(&mut body);
        let say = self.append(ms, user(0), Kind::Message, body.into());
        self.run(ms, vec![say])
    }

    /// These have read everything, told in one batch as an edge tells it.
    pub(super) fn read(
        &mut self,
        ms: u64,
        members: std::ops::Range<u32>,
    ) -> anyhow::Result<Vec<GroupPush>> {
        let seq = self.head()?.seq;
        let changes = members.map(|n| CursorChange {
            user: user(n).to_bytes(),
            seq,
        });
        let command = Command {
            group: self.group.to_bytes(),
            op: Some(command::Op::Cursors(CursorBatch {
                changes: changes.collect(),
            })),
        };
        self.run(ms, vec![command])
    }

    fn append(&mut self, ms: u64, sender: UserId, kind: Kind, body: Bytes) -> Command {
        self.number += 1;
        let salt = blake3::hash(&self.number.to_le_bytes());
        let append = Append {
            id: MessageId {
                hlc: Hlc::from_parts(START_MS + ms, self.number as u16),
                node: self.leader,
            }
            .to_bytes(),
            sender: sender.to_bytes(),
            device: 1,
            client_msg_id: ClientMsgId::new(Hlc::from_parts(START_MS + ms, 0), self.number)
                .to_bytes(),
            kind: kind as i32,
            salt: Bytes::copy_from_slice(&salt.as_bytes()[..16]),
            body,
            ..Append::default()
        };
        Command {
            group: self.group.to_bytes(),
            op: Some(command::Op::Append(append)),
        }
    }

    /// One payload, as Raft would commit it.
    fn run(&mut self, ms: u64, commands: Vec<Command>) -> anyhow::Result<Vec<GroupPush>> {
        self.index += 1;
        let payload = CommandBatch {
            proposed_hlc: Hlc::from_parts(START_MS + ms, 0).as_u64(),
            commands,
        };
        let at = At {
            index: self.index,
            term: 1,
            leader: self.leader,
        };
        let mut batch = Batch::new();
        let payload = Bytes::from(payload.encode_to_vec());
        let (outcomes, pushes) = self.apply.apply(at, &payload, &mut batch)?;
        for outcome in outcomes {
            let refused = matches!(outcome.result, Some(outcome::Result::Rejected(_)));
            ensure!(!refused, "refused: {outcome:?}");
        }
        self.store.write(batch)?;
        self.apply.settled();
        // What concerns people's own lists is other groups' business.
        let group = self.group.to_bytes();
        Ok(pushes
            .into_iter()
            .filter(|push| push.group == group)
            .collect())
    }
}
