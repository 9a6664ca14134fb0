//! Finding out that our copy is wrong, and making it right: a disk or a peer
//! may have lied.

use std::collections::BTreeMap;

use bytes::Bytes;
use folkmoot_crdt::digest::RowSetDigest;
use folkmoot_storage::{StoreError, Table, keys, log, value};
use folkmoot_wire::proto::{GroupPush, Head, Row};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{GroupId, without};

use super::Output;
use super::copy::Copies;
use crate::apply::ApplyError;
use crate::rows::fingerprint;

impl Copies {
    /// Whether the head is that of the log beside it. Looked at once a group:
    /// from then on the two are written together.
    pub(super) fn is_sound(&mut self, group: &GroupId) -> Result<bool, ApplyError> {
        if self.is_loaded(group) {
            return Ok(true);
        }
        let head = self.head(group)?;
        Ok(self
            .chain_at(group, head.seq)?
            .is_some_and(|chain| chain == head.chain))
    }

    /// Whether `head` lies on another history than ours.
    pub(super) fn forks(&mut self, group: &GroupId, head: &Head) -> Result<bool, ApplyError> {
        without!(ChainCheck => { return Ok(false); });
        let local = self.head(group)?;
        if head.seq == 0 || head.seq > local.seq {
            return Ok(false);
        }
        if head.seq == local.seq {
            return Ok(head.chain != local.chain);
        }
        if local.floor.is_some_and(|floor| floor.seq > head.seq) {
            // Our floor was the word of an upstream, and nothing proves it. One
            // that is newer than all we completed and is below it denies it.
            return Ok(head.version > local.version);
        }
        let ours = self.chain_at(group, head.seq)?;
        Ok(ours.is_some_and(|chain| chain != head.chain))
    }

    /// The chain after the entry `seq`, if the store has it.
    fn chain_at(&mut self, group: &GroupId, seq: u64) -> Result<Option<Bytes>, ApplyError> {
        if seq == 0 {
            return Ok(Some(self.empty(group).chain));
        }
        let head = self.head(group)?;
        if let Some(floor) = head.floor.filter(|floor| floor.seq == seq) {
            return Ok(Some(floor.chain));
        }
        match log::read_entry(&*self.store, group, seq) {
            Ok(entry) => Ok(entry.map(|entry| entry.chain)),
            // As good as not there.
            Err(StoreError::Entry { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes our rows the upstream's: `theirs` as they are, and of `ours` none.
    /// The digest is wrong until [`Copies::recount`].
    pub(super) fn mirror_rows(
        &mut self,
        group: GroupId,
        theirs: Vec<Row>,
        ours: Vec<Bytes>,
        out: &mut Output,
    ) -> Result<(), ApplyError> {
        let theirs: BTreeMap<RowKey, Row> = theirs
            .into_iter()
            .filter(|row| fingerprint(&self.digest_key, &group, row).is_ok())
            .filter_map(|row| Some((RowKey::from_slice(&row.key).ok()?, row)))
            .collect();
        for key in ours {
            let key = RowKey::from_slice(&key).ok();
            if let Some(key) = key.filter(|key| !theirs.contains_key(key)) {
                self.delete_row(group, key, out);
            }
        }
        let changed: Vec<Row> = theirs.values().cloned().collect();
        for (key, row) in theirs {
            self.put_row(group, key, row, out);
        }
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

    /// Makes the head's digest that of the rows that are there: `stored` is
    /// that of the store's, before what this event wrote.
    pub(super) fn recount(
        &mut self,
        group: GroupId,
        stored: RowSetDigest,
        out: &mut Output,
    ) -> Result<(), ApplyError> {
        let mut digest = stored;
        for ((_, key), row) in self.fresh.iter().filter(|((of, _), _)| *of == group) {
            let before = self.store.get(Table::Rows, &keys::rows::key(&group, key))?;
            if let Some(bytes) = before {
                let before: Row = value::decode_value(bytes)?;
                digest.remove(&fingerprint(&self.digest_key, &group, &before)?);
            }
            if let Some(row) = row {
                digest.insert(&fingerprint(&self.digest_key, &group, row)?);
            }
        }
        let mut head = self.head(&group)?;
        head.rows_digest = Bytes::copy_from_slice(&digest.sum);
        head.rows_count = digest.count;
        self.write_head(group, head, out);
        Ok(())
    }
}
