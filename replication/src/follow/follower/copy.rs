//! Copies of logs and rows: verified, merged, written.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use folkmoot_storage::{Batch, Read, Table, keys, value};
use folkmoot_wire::entry::{self, Chain};
use folkmoot_wire::proto::{
    Covers, EntryHeader, Floor, GroupPush, Head, HeadMark, Row, SealedEntry,
};
use folkmoot_wire::row::{self as row_key, RowKey};
use folkmoot_wire::{GroupId, without};

use super::Output;
use crate::apply::ApplyError;
use crate::follow::lean;
use crate::rows::{digest_of, fingerprint};

pub(super) struct Copies {
    pub(super) store: Arc<dyn Read>,
    cluster: [u8; 16],
    pub(super) digest_key: [u8; 32],
    heads: BTreeMap<GroupId, Head>,
    /// Rows written by the event being handled, which the store has not yet;
    /// `None`: deleted.
    pub(super) fresh: BTreeMap<(GroupId, RowKey), Option<Row>>,
}

impl Copies {
    pub(super) fn new(store: Arc<dyn Read>, cluster: [u8; 16], digest_key: [u8; 32]) -> Self {
        Self {
            store,
            cluster,
            digest_key,
            heads: BTreeMap::new(),
            fresh: BTreeMap::new(),
        }
    }

    /// The head of our own copy; of one that is empty when there is none.
    pub(super) fn head(&mut self, group: &GroupId) -> Result<Head, ApplyError> {
        if let Some(head) = self.heads.get(group) {
            return Ok(head.clone());
        }
        let head = match self.store.get(Table::Heads, &keys::heads::key(group))? {
            Some(bytes) => value::decode_value::<Head>(bytes)?,
            None => self.empty(group),
        };
        self.heads.insert(*group, head.clone());
        Ok(head)
    }

    /// Whether the head was looked at before.
    pub(super) fn is_loaded(&self, group: &GroupId) -> bool {
        self.heads.contains_key(group)
    }

    pub(super) fn put_row(&mut self, group: GroupId, key: RowKey, row: Row, out: &mut Output) {
        let stored = value::encode_value(&row);
        out.batch
            .put(Table::Rows, keys::rows::key(&group, &key), stored);
        self.fresh.insert((group, key), Some(row));
    }

    pub(super) fn delete_row(&mut self, group: GroupId, key: RowKey, out: &mut Output) {
        out.batch.delete(Table::Rows, keys::rows::key(&group, &key));
        self.fresh.insert((group, key), None);
    }

    pub(super) fn empty(&self, group: &GroupId) -> Head {
        Head {
            chain: Bytes::copy_from_slice(&entry::genesis(&self.cluster, group)),
            rows_digest: Bytes::from_static(&[0; 32]),
            ..Head::default()
        }
    }

    /// Appends what follows from our copy; what we hold is left out, what
    /// lies behind a gap is left for a fetch, what does not verify too.
    pub(super) fn take_entries(
        &mut self,
        group: GroupId,
        chain_before: &[u8],
        entries: Vec<SealedEntry>,
        out: &mut Output,
    ) -> Result<(), ApplyError> {
        let mut head = self.head(&group)?;
        let before = head.chain.clone();
        let mut taken: Vec<SealedEntry> = Vec::new();
        let mut headers = Vec::new();
        let mut first = true;
        for sealed in entries {
            let Ok(header) = sealed.decode_header() else {
                break;
            };
            let at_first = std::mem::take(&mut first);
            if header.seq <= head.seq {
                continue;
            }
            if header.seq != head.seq.saturating_add(1)
                || (at_first && chain_before != &head.chain[..])
            {
                break;
            }
            let Some(chain) = follows(&sealed, &head) else {
                break;
            };
            advance(&mut head, &header, &chain);
            out.batch.put(
                Table::Log,
                keys::log::key(&group, header.seq),
                value::encode_value(&sealed),
            );
            taken.push(sealed);
            headers.push(header);
        }
        if taken.is_empty() {
            return Ok(());
        }
        let covers = Covers {
            // In this order: a liar's last entry may have the last seq of all.
            from: head.seq - (taken.len() as u64 - 1),
            to: head.seq,
        };
        self.write_head(group, head, out);
        let rows = self.derived(&group, &headers)?;
        // The rows are derived again downstream, so they are not pushed on.
        self.merge_rows(group, rows, out)?;
        out.pushes.push(GroupPush {
            group: group.to_bytes(),
            head: Some(self.head(&group)?),
            covers: Some(covers),
            chain_before: before,
            entries: taken,
            ..GroupPush::default()
        });
        Ok(())
    }

    /// Appends entries that came without their chains, if our log then ends as
    /// the marked one does. Gives the last seq among them, of whatever log.
    pub(super) fn take_marked(
        &mut self,
        group: GroupId,
        mark: &HeadMark,
        entries: Vec<SealedEntry>,
        out: &mut Output,
    ) -> Result<u64, ApplyError> {
        let head = self.head(&group)?;
        let (mut next, mut last) = (head.seq.saturating_add(1), 0);
        let mut chain = head.chain.clone();
        let mut linked = Vec::with_capacity(entries.len());
        for sealed in entries {
            let Ok(header) = sealed.decode_header() else {
                break;
            };
            last = last.max(header.seq);
            if header.seq < next {
                continue;
            }
            let previous = entry::chain_from(&chain);
            let sealed = previous.and_then(|previous| sealed.behind(&previous));
            let Some(sealed) = sealed.ok().filter(|_| header.seq == next) else {
                break;
            };
            chain = sealed.chain.clone();
            next = next.saturating_add(1);
            linked.push(sealed);
        }
        if lean::same_log(mark, &chain) {
            self.take_entries(group, &head.chain, linked, out)?;
        }
        Ok(last)
    }

    /// Merges rows into ours and gives on those that changed.
    pub(super) fn take_rows(
        &mut self,
        group: GroupId,
        rows: Vec<Row>,
        out: &mut Output,
    ) -> Result<(), ApplyError> {
        let changed = self.merge_rows(group, rows, out)?;
        if !changed.is_empty() {
            out.pushes.push(GroupPush {
                group: group.to_bytes(),
                head: Some(self.head(&group)?),
                rows: changed,
                ..GroupPush::default()
            });
        }
        Ok(())
    }

    fn merge_rows(
        &mut self,
        group: GroupId,
        rows: Vec<Row>,
        out: &mut Output,
    ) -> Result<Vec<Row>, ApplyError> {
        let mut head = self.head(&group)?;
        let mut digest = digest_of(&head);
        let mut changed = Vec::new();
        for row in rows {
            let Ok(key) = RowKey::from_slice(&row.key) else {
                continue;
            };
            let held = self.row(&group, &key)?;
            let merged = match &held {
                None => row,
                Some(held) => match row_key::merge(held, &row) {
                    Ok(merged) if merged != *held => merged,
                    _ => continue,
                },
            };
            let Ok(print) = fingerprint(&self.digest_key, &group, &merged) else {
                continue;
            };
            if let Some(held) = &held {
                digest.remove(&fingerprint(&self.digest_key, &group, held)?);
            }
            digest.insert(&print);
            self.put_row(group, key, merged.clone(), out);
            changed.push(merged);
        }
        if !changed.is_empty() {
            head.rows_digest = Bytes::copy_from_slice(&digest.sum);
            head.rows_count = digest.count;
            self.write_head(group, head, out);
        }
        Ok(changed)
    }

    pub(super) fn row(&self, group: &GroupId, key: &RowKey) -> Result<Option<Row>, ApplyError> {
        if let Some(row) = self.fresh.get(&(*group, *key)) {
            return Ok(row.clone());
        }
        Ok(
            match self.store.get(Table::Rows, &keys::rows::key(group, key))? {
                Some(bytes) => Some(value::decode_value(bytes)?),
                None => None,
            },
        )
    }

    /// Our copy is the upstream's as of `head`.
    pub(super) fn complete(
        &mut self,
        group: GroupId,
        head: &Head,
        out: &mut Output,
    ) -> Result<(), ApplyError> {
        let mut local = self.head(&group)?;
        if local.version == head.version {
            return Ok(());
        }
        if head
            .floor
            .as_ref()
            .is_some_and(|floor| floor.seq == head.seq)
        {
            // No entry is left that would tell.
            (local.hlc, local.count, local.at_all) = (head.hlc, head.count, head.at_all);
        }
        local.version = head.version;
        local.tombstones = head.tombstones;
        local.epoch = head.epoch;
        local.floor.clone_from(&head.floor);
        self.write_head(group, local.clone(), out);
        match out.pushes.last_mut() {
            // The push just made for this group says it.
            Some(push) if push.group[..] == group.as_bytes()[..] => push.head = Some(local),
            _ => out.pushes.push(GroupPush {
                group: group.to_bytes(),
                head: Some(local),
                ..GroupPush::default()
            }),
        }
        Ok(())
    }

    /// Begins a copy at the upstream's floor: what is below it is gone.
    pub(super) fn start_at(
        &mut self,
        group: GroupId,
        floor: &Floor,
        out: &mut Output,
    ) -> Result<(), ApplyError> {
        let mut head = self.head(&group)?;
        let sound = entry::chain_from(&floor.chain).is_ok();
        if head.seq < floor.seq && sound {
            out.batch.delete_range(
                Table::Log,
                keys::log::key(&group, 0),
                keys::log::key(&group, floor.seq),
            );
            head.seq = floor.seq;
            head.count = floor.count;
            head.chain = floor.chain.clone();
            head.floor = Some(floor.clone());
            // Nobody's departure is read there any more: not a whole copy
            // until its rows are the upstream's.
            head.version = 0;
            self.write_head(group, head, out);
        }
        Ok(())
    }

    /// Throws our log of a group away; rows stay, they merge.
    pub(super) fn discard(&mut self, group: GroupId, out: &mut Output) -> Result<(), ApplyError> {
        let held = self.head(&group)?;
        let fresh = Head {
            rows_digest: held.rows_digest,
            rows_count: held.rows_count,
            ..self.empty(&group)
        };
        let (from, to) = keys::log::group_range(&group);
        out.batch.delete_range(Table::Log, from, to);
        self.write_head(group, fresh, out);
        Ok(())
    }

    pub(super) fn write_head(&mut self, group: GroupId, head: Head, out: &mut Output) {
        put_head(&mut out.batch, &group, &head);
        self.heads.insert(group, head);
    }

    /// Nothing of the group is here any more.
    pub(super) fn forget(&mut self, group: &GroupId) {
        self.heads.insert(*group, self.empty(group));
        self.fresh.retain(|(of, _), _| of != group);
    }

    /// Whether the event being handled wrote rows of the group.
    pub(super) fn has_fresh(&self, group: &GroupId) -> bool {
        self.fresh.keys().any(|(of, _)| of == group)
    }

    /// The driver wrote the batch of the event before.
    pub(super) fn settled(&mut self) {
        self.fresh.clear();
    }
}

fn put_head(batch: &mut Batch, group: &GroupId, head: &Head) {
    batch.put(
        Table::Heads,
        keys::heads::key(group),
        value::encode_value(head),
    );
}

fn follows(sealed: &SealedEntry, head: &Head) -> Option<Chain> {
    without!(ChainCheck => { return entry::chain_from(&sealed.chain).ok(); });
    let previous = entry::chain_from(&head.chain).ok()?;
    let (_, chain) = sealed.verify(&previous, head.seq + 1).ok()?;
    Some(chain)
}

fn advance(head: &mut Head, header: &EntryHeader, chain: &Chain) {
    head.seq = header.seq;
    head.hlc = header.hlc;
    head.count = header.count;
    head.at_all = header.at_all;
    head.epoch = header.epoch;
    head.chain = Bytes::copy_from_slice(chain);
}
