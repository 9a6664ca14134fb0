//! What the tests share: a home that applies commands, and laws every store
//! has to keep.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use folkmoot_crdt::digest::RowSetDigest;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_storage::{Batch, Direction, MemStore, Place, Read, Store, Table, keys, log, value};
use folkmoot_wire::entry::{self, chain_from};
use folkmoot_wire::proto::{
    Append, CollectRows, Command, CommandBatch, CreateBody, Floor, GroupKind, GroupPush,
    GroupValue, Head, Kind, MemberValue, Outcome, Row, SetApplyVersion, command, outcome, row,
};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{
    ClientMsgId, Code, GroupId, MessageId, NodeId, RegionId, ShardId, Slot, UserId,
};
use prost::Message;

use crate::apply::{At, ShardApply, ShardConfig, tombstones};
use crate::rows::fingerprint;

pub(crate) const CLUSTER: [u8; 16] = [7; 16];
pub(crate) const DIGEST_KEY: [u8; 32] = [9; 32];
pub(crate) const SHARD: ShardId = ShardId(1);
/// When the tests' time begins, in milliseconds since 1970.
pub(crate) const START_MS: u64 = 1_700_000_000_000;

pub(crate) fn user(n: u8) -> UserId {
    UserId::new(RegionId(1), Slot(u16::from(n)), [n; 11])
}

pub(crate) fn group(n: u8) -> GroupId {
    GroupId::new(RegionId(1), Slot(1_000 + u16::from(n)), [n; 11])
}

pub(crate) fn config() -> ShardConfig {
    ShardConfig {
        shard: SHARD,
        region: RegionId(1),
        slots: (Slot(0), Slot(u16::MAX)),
        generation: 1,
        cluster: CLUSTER,
        digest_key: DIGEST_KEY,
    }
}

pub(crate) fn at(index: u64) -> At {
    At {
        index,
        term: 3,
        leader: NodeId(1),
    }
}

/// An answer, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Got {
    /// A new entry.
    Seq(u64),
    /// The entry of an earlier attempt.
    Again(u64),
    /// Nothing to do, or a quiet command.
    Done,
    /// At home in another shard.
    Moved(u32),
    /// Refused.
    No(Code),
}

pub(crate) fn got(outcome: &Outcome) -> Got {
    match outcome.result.as_ref().expect("an outcome has a result") {
        outcome::Result::Committed(c) if c.duplicate => Got::Again(c.seq),
        outcome::Result::Committed(c) => Got::Seq(c.seq),
        outcome::Result::Rejected(r) => Got::No(Code::from_u32(r.code).expect("a known code")),
        outcome::Result::Done(_) | outcome::Result::Resolved(_) | outcome::Result::HomeState(_) => {
            Got::Done
        }
        outcome::Result::Moved(moved) => Got::Moved(moved.shard),
        outcome::Result::Accepted(_) => panic!("apply accepts nothing"),
    }
}

pub(crate) fn command(group: GroupId, append: Append) -> Command {
    Command {
        group: group.to_bytes(),
        op: Some(command::Op::Append(append)),
    }
}

pub(crate) fn payload(ms: u64, commands: Vec<Command>) -> Bytes {
    CommandBatch {
        proposed_hlc: Hlc::from_parts(ms, 0).as_u64(),
        commands,
    }
    .encode_to_vec()
    .into()
}

/// An append with a `client_msg_id` of this stamp and number.
pub(crate) fn append(sender: UserId, kind: Kind, stamp_ms: u64, number: u64) -> Append {
    Append {
        id: MessageId {
            hlc: Hlc::from_parts(stamp_ms, 1),
            node: NodeId(2),
        }
        .to_bytes(),
        sender: sender.to_bytes(),
        device: 1,
        client_msg_id: ClientMsgId::new(Hlc::from_parts(stamp_ms, 0), number).to_bytes(),
        kind: kind as i32,
        salt: Bytes::from_static(&[5; 16]),
        body: Bytes::from_static(b"hello"),
        ..Append::default()
    }
}

/// A shard's home: applies, writes, settles.
pub(crate) struct Home {
    pub(crate) store: Arc<MemStore>,
    pub(crate) apply: ShardApply,
    pub(crate) index: u64,
    pub(crate) ms: u64,
    number: u64,
    /// Pushes of the last payload.
    pub(crate) pushes: Vec<GroupPush>,
}

impl Home {
    pub(crate) fn new() -> Self {
        let store = Arc::new(MemStore::new());
        Self {
            apply: ShardApply::open(config(), store.clone()).expect("opens"),
            store,
            index: 0,
            ms: START_MS,
            number: 0,
            pushes: Vec::new(),
        }
    }

    /// One payload of these commands, written and settled.
    pub(crate) fn run(&mut self, commands: Vec<Command>) -> Vec<Outcome> {
        self.index += 1;
        self.ms += 10;
        let mut batch = Batch::new();
        let bytes = payload(self.ms, commands);
        let (outcomes, pushes) = self
            .apply
            .apply(at(self.index), &bytes, &mut batch)
            .expect("applies");
        self.store.write(batch).expect("writes");
        self.apply.settled();
        self.pushes = pushes;
        outcomes
    }

    pub(crate) fn one(&mut self, group: GroupId, append: Append) -> Got {
        got(&self.run(vec![command(group, append)])[0])
    }

    pub(crate) fn quiet(&mut self, group: Option<GroupId>, op: command::Op) -> Outcome {
        let group = group.map(|g| g.to_bytes()).unwrap_or_default();
        self.run(vec![Command {
            group,
            op: Some(op),
        }])
        .remove(0)
    }

    /// An append that was never sent before.
    pub(crate) fn fresh(&mut self, sender: UserId, kind: Kind) -> Append {
        self.number += 1;
        append(sender, kind, self.ms, self.number)
    }

    pub(crate) fn create(&mut self, group: GroupId, owner: UserId, body: CreateBody) -> Got {
        let append = Append {
            body: Bytes::from(body.encode_to_vec()),
            ..self.fresh(owner, Kind::Create)
        };
        self.one(group, append)
    }

    /// An open group of `owner`'s, with the members given.
    pub(crate) fn open_group(&mut self, id: GroupId, owner: UserId, members: &[UserId]) {
        assert_eq!(self.create(id, owner, open_body()), Got::Seq(1));
        for member in members {
            assert!(matches!(self.join(id, *member), Got::Seq(_)));
        }
    }

    pub(crate) fn say(&mut self, group: GroupId, sender: UserId) -> Got {
        let append = self.fresh(sender, Kind::Message);
        self.one(group, append)
    }

    pub(crate) fn join(&mut self, group: GroupId, who: UserId) -> Got {
        let append = Append {
            body: Bytes::new(),
            ..self.fresh(who, Kind::Join)
        };
        self.one(group, append)
    }

    /// `sender` does something to `subject`.
    pub(crate) fn act(
        &mut self,
        group: GroupId,
        kind: Kind,
        sender: UserId,
        subject: UserId,
        body: &impl Message,
    ) -> Got {
        let append = Append {
            subject: subject.to_bytes(),
            body: Bytes::from(body.encode_to_vec()),
            ..self.fresh(sender, kind)
        };
        self.one(group, append)
    }

    /// `sender` does something to an entry.
    pub(crate) fn on(&mut self, group: GroupId, kind: Kind, sender: UserId, target: u64) -> Got {
        let append = Append {
            target,
            ..self.fresh(sender, kind)
        };
        self.one(group, append)
    }

    /// The log keeps nothing up to `floor` any more.
    pub(crate) fn prune(&mut self, group: GroupId, floor: u64) {
        let last = log::read_entry(&*self.store, &group, floor).expect("reads");
        let last = last.expect("is there");
        let mut head = self.head(group);
        head.floor = Some(Floor {
            seq: floor,
            count: last.decode_header().expect("a header").count,
            chain: last.chain,
        });
        head.version += 1;
        let mut batch = Batch::new();
        let (from, to) = (keys::log::key(&group, 0), keys::log::key(&group, floor + 1));
        batch.delete_range(Table::Log, from, to);
        batch.put(
            Table::Heads,
            keys::heads::key(&group),
            value::encode_value(&head),
        );
        self.store.write(batch).expect("writes");
        self.apply.reload().expect("reloads");
        self.index += 1;
    }

    /// From now on apply goes by this version.
    pub(crate) fn raise(&mut self, version: u32) {
        let set = SetApplyVersion { version };
        self.quiet(None, command::Op::SetApplyVersion(set));
    }

    /// Collects what may be now.
    pub(crate) fn collectable(&self, group: GroupId) -> Command {
        let rows = log::read_rows(&*self.store, &group, &[], &[], 1_000).expect("reads");
        let keys: Vec<RowKey> = rows.iter().map(|(key, _)| *key).collect();
        let found = tombstones(&*self.store, &group, &keys).expect("reads");
        Command {
            group: group.to_bytes(),
            op: Some(command::Op::Collect(CollectRows { rows: found.rows })),
        }
    }

    pub(crate) fn row(&self, group: GroupId, key: RowKey) -> Option<row::Value> {
        let row = log::read_row(&*self.store, &group, &key).expect("reads")?;
        row.value
    }

    pub(crate) fn member(&self, group: GroupId, user: UserId) -> MemberValue {
        match self.row(group, RowKey::Member(user)) {
            Some(row::Value::Member(value)) => value,
            other => panic!("not a member row: {other:?}"),
        }
    }

    pub(crate) fn group_value(&self, group: GroupId) -> GroupValue {
        match self.row(group, RowKey::Group) {
            Some(row::Value::Group(value)) => value,
            other => panic!("not a group row: {other:?}"),
        }
    }

    pub(crate) fn head(&self, group: GroupId) -> Head {
        head(&*self.store, group)
    }
}

pub(crate) fn open_body() -> CreateBody {
    CreateBody {
        kind: GroupKind::Group as i32,
        name: "tea".into(),
        open: true,
        nick: "owner".into(),
        ..CreateBody::default()
    }
}

pub(crate) fn head(store: &dyn Read, group: GroupId) -> Head {
    log::read_head(store, &group)
        .expect("reads")
        .unwrap_or_default()
}

/// Every key and value of a store.
pub(crate) fn dump(store: &dyn Read) -> BTreeMap<(usize, Bytes), Bytes> {
    let mut all = BTreeMap::new();
    for (n, table) in Table::ALL.into_iter().enumerate() {
        let pairs = store
            .scan(table, &[], keys::TABLE_END, usize::MAX, Direction::Forward)
            .expect("scans");
        all.extend(pairs.into_iter().map(|(key, value)| ((n, key), value)));
    }
    all
}

pub(crate) fn rows_of(store: &dyn Read, group: GroupId) -> Vec<Row> {
    let (from, to) = keys::rows::group_range(&group);
    store
        .scan(Table::Rows, &from, &to, usize::MAX, Direction::Forward)
        .expect("scans")
        .into_iter()
        .map(|(_, bytes)| value::decode_value(bytes).expect("a row"))
        .collect()
}

pub(crate) fn digest(store: &dyn Read, group: GroupId) -> RowSetDigest {
    let mut digest = RowSetDigest::default();
    for row in rows_of(store, group) {
        digest.insert(&fingerprint(&DIGEST_KEY, &group, &row).expect("a row"));
    }
    digest
}

/// What holds of every store at any time: logs are dense, rise in HLC, count
/// right and chain from genesis to their head; digests are those of the rows.
pub(crate) fn check_laws(store: &dyn Read) {
    for (Place { group, .. }, head) in log::read_heads(store, None, usize::MAX).expect("heads") {
        let entries = log::read_entries(store, &group, 0, 0, usize::MAX, usize::MAX);
        let entries = entries.expect("entries");
        let mut chain = entry::genesis(&CLUSTER, &group);
        let (mut hlc, mut count, mut at_all) = (0, 0, 0);
        for (n, (seq, sealed)) in (1..).zip(&entries) {
            assert_eq!(*seq, n, "{group}: seqs are dense");
            let (header, next) = sealed.verify(&chain, n).expect("the chain holds");
            assert!(header.hlc > hlc, "{group}: HLCs rise");
            count += u64::from(header.countable);
            at_all += u64::from(header.mentions_all);
            assert_eq!((header.count, header.at_all), (count, at_all));
            (chain, hlc) = (next, header.hlc);
        }
        assert_eq!(
            head.seq,
            entries.len() as u64,
            "{group}: the head is the end"
        );
        if head.seq > 0 {
            assert_eq!(chain_from(&head.chain).expect("a chain"), chain);
            assert_eq!((head.hlc, head.count, head.at_all), (hlc, count, at_all));
        }
        let digest = digest(store, group);
        assert_eq!(&head.rows_digest[..], &digest.sum[..], "{group}: digest");
        assert_eq!(head.rows_count, digest.count);
        check_rows(store, group, &head);
    }
}

fn check_rows(store: &dyn Read, group: GroupId, head: &Head) {
    let mut members = 0;
    let mut told = None;
    for row in rows_of(store, group) {
        match row.value.expect("a value") {
            row::Value::Cursor(cursor) => {
                assert!(cursor.seq <= head.seq, "{group}: a cursor passed the head");
                let entry = log::read_entry(store, &group, cursor.seq).expect("reads");
                let header = entry.expect("is there").decode_header().expect("header");
                assert_eq!((cursor.count, cursor.at_all), (header.count, header.at_all));
            }
            row::Value::Member(value) => {
                members += u32::from(value.authority.expect("authority").status == 1);
            }
            row::Value::Group(value) => told = Some(value),
            row::Value::Profile(_) | row::Value::Listed(_) => {}
        }
    }
    if let Some(value) = told {
        assert_eq!(value.member_count, members, "{group}: members are counted");
        assert!(members <= value.member_cap, "{group}: over its cap");
    }
}
