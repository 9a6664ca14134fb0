//! Finding out that our copy is wrong, and making it right: a disk or a peer
//! may have lied.

use std::collections::BTreeMap;

use bytes::Bytes;
use folkmoot_crdt::digest::RowSetDigest;
use folkmoot_storage::{Direction, Table, keys, log, value};
use folkmoot_wire::GroupId;
use folkmoot_wire::proto::{GroupPush, Head, Row};
use folkmoot_wire::row::RowKey;

use super::Output;
use super::copy::Copies;
use crate::apply::ApplyError;
use crate::rows::fingerprint;

/// Rows read at once while they are counted anew.
const CHUNK: usize = 1_000;

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
        let entry = log::read_entry(&*self.store, group, seq)?;
        Ok(entry.map(|entry| entry.chain))
    }

    /// Makes our rows with keys in `(after, last]` those given; an empty
    /// `last` means all behind `after`. The digest is wrong until
    /// [`Copies::recount`].
    pub(super) fn mirror_rows(
        &mut self,
        group: GroupId,
        (after, last): (&Bytes, &Bytes),
        rows: Vec<Row>,
        out: &mut Output,
    ) -> Result<(), ApplyError> {
        let inside = |key: &Bytes| key > after && (last.is_empty() || key <= last);
        let mut theirs: BTreeMap<RowKey, Row> = rows
            .into_iter()
            .filter(|row| inside(&row.key) && fingerprint(&self.digest_key, &group, row).is_ok())
            .filter_map(|row| Some((RowKey::from_slice(&row.key).ok()?, row)))
            .collect();
        let mut from = keys::successor(&[group.as_bytes(), &after[..]].concat());
        let to = match last.len() {
            0 => keys::rows::group_range(&group).1,
            _ => keys::successor(&[group.as_bytes(), &last[..]].concat()),
        };
        loop {
            let pairs = self
                .store
                .scan(Table::Rows, &from, &to, CHUNK, Direction::Forward)?;
            let Some((end, _)) = pairs.last() else { break };
            from = keys::successor(end);
            for (key, bytes) in pairs {
                let (_, row_key) = keys::rows::parse(&key)?;
                match theirs.get(&row_key) {
                    Some(row) if value::encode_value(row) == bytes => {
                        theirs.remove(&row_key);
                    }
                    Some(_) => {}
                    None => self.delete_row(group, row_key, out),
                }
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

    /// Computes the digest of the rows that are there.
    pub(super) fn recount(&mut self, group: GroupId, out: &mut Output) -> Result<(), ApplyError> {
        let mut digest = RowSetDigest::default();
        let (mut from, to) = keys::rows::group_range(&group);
        loop {
            let pairs = self
                .store
                .scan(Table::Rows, &from, &to, CHUNK, Direction::Forward)?;
            let Some((end, _)) = pairs.last() else { break };
            from = keys::successor(end);
            for (key, bytes) in pairs {
                let (_, row_key) = keys::rows::parse(&key)?;
                if !self.fresh.contains_key(&(group, row_key)) {
                    let row: Row = value::decode_value(bytes)?;
                    digest.insert(&fingerprint(&self.digest_key, &group, &row)?);
                }
            }
        }
        let fresh = self.fresh.iter().filter(|((of, _), _)| *of == group);
        for row in fresh.filter_map(|(_, row)| row.as_ref()) {
            digest.insert(&fingerprint(&self.digest_key, &group, row)?);
        }
        let mut head = self.head(&group)?;
        head.rows_digest = Bytes::copy_from_slice(&digest.sum);
        head.rows_count = digest.count;
        self.write_head(group, head, out);
        Ok(())
    }
}
