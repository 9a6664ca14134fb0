//! What apply sees: the store, what it staged since, and decoded copies.
//!
//! Several batches may be applied before the store has them, so reads go
//! through what is staged first. Maps are only looked into by key; whatever
//! is walked is ordered, so that replicas do the same things in one order.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use folkmoot_crdt::digest::Fingerprint;
use folkmoot_storage::{Batch, Direction, Read, Seat, Table, keys, value};
use folkmoot_wire::proto::{Covers, GroupPush, Head, Row, SealedEntry};
use folkmoot_wire::row::{self, RowKey};
use folkmoot_wire::{GroupId, RegionId};

use super::ApplyError;
use crate::rows::{digest_of, fingerprint};

/// Decoded rows kept between batches. Full: all are dropped and read again.
const CACHED_ROWS: usize = 65_536;
/// Decoded heads kept between batches. Full: likewise.
const CACHED_HEADS: usize = 16_384;
/// Pairs read at once of a range.
const SCAN: usize = 1_000;

type RowId = (GroupId, RowKey);

pub(super) struct View {
    store: Arc<Seat>,
    digest_key: [u8; 32],
    /// Written since the store last caught up; `None`: deleted.
    staged: HashMap<(Table, Bytes), Option<Bytes>>,
    heads: HashMap<GroupId, Option<Head>>,
    rows: HashMap<RowId, Option<Row>>,
    /// Operations of the batch being applied, in order.
    ops: Batch,
    touched: BTreeMap<GroupId, Touched>,
    /// Groups of which the store may still have what was there before they were
    /// dropped.
    dropped: BTreeSet<GroupId>,
}

/// What one batch did to one group.
#[derive(Default)]
struct Touched {
    chain_before: Bytes,
    entries: Vec<SealedEntry>,
    first_seq: u64,
    rows: BTreeMap<RowKey, Changed>,
}

/// A row of the batch. It is written, and counted in the group's digest, once
/// a batch, however often the batch changed it.
struct Changed {
    before: Option<Row>,
    /// `None`: deleted.
    now: Option<Row>,
    /// Followers cannot derive it from the entries.
    travels: bool,
}

impl Changed {
    fn is_gone(&self) -> bool {
        self.before.is_some() && self.now.is_none()
    }
}

impl View {
    pub(super) fn new(store: Arc<dyn Read>, region: RegionId, digest_key: [u8; 32]) -> Self {
        Self {
            store: Arc::new(Seat::new(store, region)),
            digest_key,
            staged: HashMap::new(),
            heads: HashMap::new(),
            rows: HashMap::new(),
            ops: Batch::default(),
            touched: BTreeMap::new(),
            dropped: BTreeSet::new(),
        }
    }

    pub(super) fn store(&self) -> Arc<Seat> {
        Arc::clone(&self.store)
    }

    pub(super) fn get(&self, table: Table, key: &Bytes) -> Result<Option<Bytes>, ApplyError> {
        match self.staged.get(&(table, key.clone())) {
            Some(staged) => Ok(staged.clone()),
            None if self.is_dropped(table, key) => Ok(None),
            None => Ok(self.store.get(table, key)?),
        }
    }

    pub(super) fn put(&mut self, table: Table, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        let (key, value) = (key.into(), value.into());
        self.staged
            .insert((table, key.clone()), Some(value.clone()));
        self.ops.put(table, key, value);
    }

    pub(super) fn delete(&mut self, table: Table, key: impl Into<Bytes>) {
        let key = key.into();
        self.staged.insert((table, key.clone()), None);
        self.ops.delete(table, key);
    }

    /// Deletes a range that no later read of this machine looks into.
    pub(super) fn forget_range(&mut self, table: Table, from: Bytes, to: Bytes) {
        self.ops.delete_range(table, from, to);
    }

    /// All pairs of a range of a table whose keys do not begin with a group, in
    /// order.
    pub(super) fn range(
        &self,
        table: Table,
        from: &Bytes,
        to: &Bytes,
    ) -> Result<BTreeMap<Bytes, Bytes>, ApplyError> {
        let mut all = BTreeMap::new();
        let mut next = from.clone();
        loop {
            let page = (self.store).scan(table, &next, to, SCAN, Direction::Forward)?;
            let Some((last, _)) = page.last() else {
                break;
            };
            next = keys::successor(last);
            all.extend(page);
        }
        for ((of, key), value) in &self.staged {
            if *of != table || !(from..to).contains(&key) {
                continue;
            }
            match value {
                Some(value) => all.insert(key.clone(), value.clone()),
                None => all.remove(key),
            };
        }
        Ok(all)
    }

    fn is_dropped(&self, table: Table, key: &Bytes) -> bool {
        if self.dropped.is_empty() || !keys::slots::TABLES.contains(&table) {
            return false;
        }
        let group = key.get(..GroupId::LEN).map(GroupId::from_slice);
        matches!(group, Some(Ok(group)) if self.dropped.contains(&group))
    }

    /// Deletes all that is there of a group.
    pub(super) fn drop_group(&mut self, group: &GroupId) {
        for table in keys::slots::TABLES {
            let (from, to) = keys::prefix_range(group.as_bytes());
            self.ops.delete_range(table, from, to);
        }
        self.staged.retain(|(table, key), _| {
            !(keys::slots::TABLES.contains(table) && key.starts_with(group.as_bytes()))
        });
        self.rows.retain(|(of, _), _| of != group);
        self.heads.remove(group);
        self.touched.remove(group);
        self.dropped.insert(*group);
    }

    /// Whether the batch being applied changed a row of the group.
    pub(super) fn has_changed_rows(&self, group: &GroupId) -> bool {
        self.touched
            .get(group)
            .is_some_and(|of| !of.rows.is_empty())
    }

    /// Makes `head` the group's head, as if something had changed.
    pub(super) fn begin(&mut self, group: &GroupId, head: Head) {
        self.touched.entry(*group).or_default();
        self.heads.insert(*group, Some(head));
    }

    pub(super) fn head(&mut self, group: &GroupId) -> Result<Option<Head>, ApplyError> {
        if let Some(head) = self.heads.get(group) {
            return Ok(head.clone());
        }
        let head = match self.get(Table::Heads, &keys::heads::key(group))? {
            Some(bytes) => Some(value::decode_value::<Head>(bytes)?),
            None => None,
        };
        self.heads.insert(*group, head.clone());
        Ok(head)
    }

    pub(super) fn row(&mut self, group: &GroupId, key: RowKey) -> Result<Option<Row>, ApplyError> {
        if let Some(row) = self.rows.get(&(*group, key)) {
            return Ok(row.clone());
        }
        // Changed by this batch, and not kept in the cache.
        let changed = self.touched.get(group).and_then(|of| of.rows.get(&key));
        if let Some(changed) = changed {
            return Ok(changed.now.clone());
        }
        let row = match self.get(Table::Rows, &keys::rows::key(group, &key))? {
            Some(bytes) => Some(value::decode_value::<Row>(bytes)?),
            None => None,
        };
        self.cache(*group, key, row.clone());
        Ok(row)
    }

    pub(super) fn entry(
        &self,
        group: &GroupId,
        seq: u64,
    ) -> Result<Option<SealedEntry>, ApplyError> {
        match self.get(Table::Log, &keys::log::key(group, seq))? {
            Some(bytes) => Ok(Some(value::decode_value(bytes)?)),
            None => Ok(None),
        }
    }

    /// Writes an entry and makes `head` the group's head.
    pub(super) fn push_entry(
        &mut self,
        group: GroupId,
        chain_before: Bytes,
        entry: SealedEntry,
        head: Head,
    ) {
        self.put(
            Table::Log,
            keys::log::key(&group, head.seq),
            value::encode_value(&entry),
        );
        let touched = self.touched.entry(group).or_default();
        if touched.entries.is_empty() {
            touched.chain_before = chain_before;
            touched.first_seq = head.seq;
        }
        touched.entries.push(entry);
        self.heads.insert(group, Some(head));
    }

    /// Changes a row. `derived`: followers can tell it from an entry, so it
    /// need not travel.
    pub(super) fn put_row(
        &mut self,
        group: GroupId,
        key: RowKey,
        row: Row,
        derived: bool,
    ) -> Result<(), ApplyError> {
        self.change_row(group, key, Some(row), !derived)
    }

    /// Deletes a row, if it is there.
    pub(super) fn delete_row(&mut self, group: GroupId, key: RowKey) -> Result<(), ApplyError> {
        self.change_row(group, key, None, false)
    }

    fn change_row(
        &mut self,
        group: GroupId,
        key: RowKey,
        row: Option<Row>,
        travels: bool,
    ) -> Result<(), ApplyError> {
        let old = self.row(&group, key)?;
        if old == row {
            return Ok(());
        }
        let head = self.head(&group)?;
        self.heads.insert(group, Some(head.unwrap_or_default()));
        let touched = self.touched.entry(group).or_default();
        let changed = touched.rows.entry(key).or_insert_with(|| Changed {
            before: old,
            now: None,
            travels: false,
        });
        changed.now.clone_from(&row);
        changed.travels |= travels;
        self.cache(group, key, row);
        Ok(())
    }

    /// Profiles are large and rarely read: they stay in the store.
    fn cache(&mut self, group: GroupId, key: RowKey, row: Option<Row>) {
        if key != RowKey::Profile {
            self.rows.insert((group, key), row);
        }
    }

    fn fingerprint(&self, group: &GroupId, row: &Row) -> Result<Fingerprint, ApplyError> {
        fingerprint(&self.digest_key, group, row)
    }

    /// Writes the rows that a batch changed; the group's digest follows.
    fn write_rows(
        &mut self,
        group: &GroupId,
        head: &mut Head,
        rows: &BTreeMap<RowKey, Changed>,
    ) -> Result<(), ApplyError> {
        let mut digest = digest_of(head);
        for (key, Changed { before, now, .. }) in rows {
            if let Some(before) = before {
                digest.remove(&self.fingerprint(group, before)?);
            }
            let stored = keys::rows::key(group, key);
            match now {
                Some(now) => {
                    digest.insert(&self.fingerprint(group, now)?);
                    self.put(Table::Rows, stored, value::encode_value(now));
                }
                None => self.delete(Table::Rows, stored),
            }
        }
        if !rows.is_empty() {
            head.rows_digest = Bytes::copy_from_slice(&digest.sum);
            head.rows_count = digest.count;
        }
        Ok(())
    }

    /// Ends a batch: rows and heads are written and the pushes made.
    ///
    /// # Errors
    /// When a row cannot be counted in the digest.
    pub(super) fn finish(
        &mut self,
        version: u64,
        batch: &mut Batch,
    ) -> Result<Vec<GroupPush>, ApplyError> {
        let touched = std::mem::take(&mut self.touched);
        let mut pushes = Vec::with_capacity(touched.len());
        for (group, touched) in touched {
            let Some(Some(mut head)) = self.heads.get(&group).cloned() else {
                continue;
            };
            self.write_rows(&group, &mut head, &touched.rows)?;
            head.version = version;
            if touched.rows.values().any(Changed::is_gone) {
                head.tombstones = version;
            }
            self.heads.insert(group, Some(head.clone()));
            self.put(
                Table::Heads,
                keys::heads::key(&group),
                value::encode_value(&head),
            );
            pushes.push(touched.into_push(group, head));
        }
        batch.extend(self.store.batch(std::mem::take(&mut self.ops)));
        Ok(pushes)
    }

    /// The store has everything staged.
    pub(super) fn settled(&mut self) {
        self.staged.clear();
        self.dropped.clear();
        if self.rows.len() > CACHED_ROWS {
            self.rows.clear();
        }
        if self.heads.len() > CACHED_HEADS {
            self.heads.clear();
        }
    }
}

impl Touched {
    fn into_push(self, group: GroupId, head: Head) -> GroupPush {
        let covers = (!self.entries.is_empty()).then_some(Covers {
            from: self.first_seq,
            to: head.seq,
        });
        let gone = self.rows.values().filter(|row| row.is_gone());
        let gone = gone.filter_map(|row| row.before.as_ref());
        let gone = gone.map(row::tombstone_of).collect();
        let travelling = self.rows.into_values().filter(|row| row.travels);
        GroupPush {
            group: group.to_bytes(),
            head: Some(head),
            covers,
            chain_before: self.chain_before,
            entries: self.entries,
            gone,
            rows: travelling.filter_map(|row| row.now).collect(),
            mark: None,
            moved: None,
        }
    }
}
