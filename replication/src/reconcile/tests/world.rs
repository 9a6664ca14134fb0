//! A holder of rows, and a session between two.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use folkmoot_crdt::digest::RowSetDigest;
use folkmoot_storage::{Batch, MemStore, Place, Store, Table, keys, value};
use folkmoot_wire::proto::{CursorValue, Row, row};
use folkmoot_wire::row::{RowKey, merge};
use folkmoot_wire::{RegionId, Slot, UserId};
use prost::Message;

use crate::reconcile::{Found, RowSums, Session, Shape, answer};
use crate::rows::fingerprint;
use crate::testing::{DIGEST_KEY, group};

/// So small that few rows make several levels.
pub(super) const SMALL: Shape = Shape {
    first: 4,
    parts: 3,
    leaf: 2,
};

/// User `n`; neighbours in number are none in the order of keys.
pub(super) fn nth(n: u32) -> UserId {
    let hash = blake3::hash(&n.to_be_bytes());
    let unique: [u8; 11] = hash.as_bytes()[..11].try_into().expect("11 bytes");
    UserId::new(RegionId(1 + (n % 3) as u16), Slot(1), unique)
}

pub(super) fn cursor(n: u32, seq: u64) -> Row {
    Row {
        key: RowKey::Cursor(nth(n)).to_bytes(),
        value: Some(row::Value::Cursor(CursorValue {
            seq,
            count: seq,
            at_all: 0,
        })),
    }
}

pub(super) struct Holder {
    pub(super) store: Arc<dyn Store>,
    pub(super) sums: Arc<RowSums>,
}

impl Holder {
    pub(super) fn new(rows: impl IntoIterator<Item = Row>) -> Self {
        let (store, sums) = RowSums::over(Arc::new(MemStore::new()), DIGEST_KEY);
        let holder = Self { store, sums };
        holder.put(rows);
        holder
    }

    pub(super) fn put(&self, rows: impl IntoIterator<Item = Row>) {
        let mut batch = Batch::new();
        for row in rows {
            let key = RowKey::from_slice(&row.key).expect("a key");
            let stored = value::encode_value(&row);
            batch.put(Table::Rows, keys::rows::key(&group(1), &key), stored);
        }
        self.store.write(batch).expect("writes");
    }

    pub(super) fn delete(&self, key: &[u8]) {
        let mut batch = Batch::new();
        batch.delete(Table::Rows, [group(1).as_bytes(), key].concat());
        self.store.write(batch).expect("writes");
    }

    pub(super) fn rows(&self) -> BTreeMap<Bytes, Row> {
        let (from, to) = keys::rows::group_range(&group(1));
        let pairs = self
            .store
            .scan(
                Table::Rows,
                &from,
                &to,
                usize::MAX,
                folkmoot_storage::Direction::Forward,
            )
            .expect("scans");
        pairs
            .into_iter()
            .map(|(_, bytes)| value::decode_value::<Row>(bytes).expect("a row"))
            .map(|row| (row.key.clone(), row))
            .collect()
    }

    /// The digest, from the rows.
    pub(super) fn digest(&self) -> RowSetDigest {
        let prints: Vec<_> = self
            .rows()
            .values()
            .map(|row| fingerprint(&DIGEST_KEY, &group(1), row).expect("a print"))
            .collect();
        prints.iter().collect()
    }

    /// Merges rows into ours, by their law.
    pub(super) fn merge(&self, rows: Vec<Row>) {
        let mut held = self.rows();
        let merged = rows.into_iter().map(|row| match held.remove(&row.key) {
            Some(ours) => merge(&ours, &row).expect("merges"),
            None => row,
        });
        self.put(merged);
    }

    pub(super) fn fresh<T>(&self, work: impl FnOnce(&mut crate::reconcile::Sums) -> T) -> T {
        self.sums.with(&Place::of_birth(group(1)), |sums| {
            while !sums.refresh(40).expect("reads") {}
            work(sums)
        })
    }
}

/// What one session cost and found.
#[derive(Debug, Default)]
pub(super) struct Ran {
    pub(super) trips: usize,
    pub(super) bytes: usize,
    pub(super) theirs: Vec<Row>,
    pub(super) ours: Vec<Bytes>,
}

/// `a` asks `b` until nothing is left to ask.
pub(super) fn run(a: &Holder, b: &Holder, shape: Shape, word: u32) -> Ran {
    let mut session = Session::new(shape, word);
    let mut ran = Ran::default();
    while let Some(asked) = a.fresh(|sums| session.ask(sums)).expect("asks") {
        let diff = b
            .fresh(|sums| answer(sums, &shape, &asked, None))
            .expect("answers");
        ran.trips += 1;
        ran.bytes += asked.encoded_len() + diff.encoded_len();
        let found: Found = a
            .fresh(|sums| session.answered(sums, diff))
            .expect("takes it");
        assert!(!found.stalled);
        ran.theirs.extend(found.theirs);
        ran.ours.extend(found.ours);
        assert!(ran.trips < 10_000, "goes round in circles");
    }
    assert!(session.is_done());
    ran
}
