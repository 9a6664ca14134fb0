//! Reads of groups: from this node's store, for other nodes and for the edge.

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_replication::apply::ApplyError;
use folkmoot_replication::reconcile::{self, RowSums, SHAPE};
use folkmoot_storage::{Direction, Read, Store, StoreError, Table, keys, log, value};
use folkmoot_wire::entry;
use folkmoot_wire::proto::{
    Covers, FetchLog, FetchRows, GroupHead, GroupHeads, Head, ListGroupsOnNode, LogSlice,
    MemberAuthority, MemberStatus, ReconcileRows, Row, RowDiff, RowPage, SealedEntry, row,
};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{Code, Fault, GroupId, UserId, limits};

use crate::backend::{LogRange, refusal};

/// Reads what this node's store holds.
pub struct LocalReads {
    store: Arc<dyn Store>,
    sums: Arc<RowSums>,
    cluster: [u8; 16],
}

impl LocalReads {
    /// Reads of a store.
    pub fn new(store: Arc<dyn Store>, sums: Arc<RowSums>, cluster: [u8; 16]) -> Self {
        Self {
            store,
            sums,
            cluster,
        }
    }

    /// The head of the copy here.
    ///
    /// # Errors
    /// When the store fails.
    pub fn head(&self, group: &GroupId) -> Result<Option<Head>, Fault> {
        head_of(&*self.store, group).map_err(storage)
    }

    /// One row.
    ///
    /// # Errors
    /// When the store fails.
    pub fn row(&self, group: &GroupId, key: &RowKey) -> Result<Option<Row>, Fault> {
        let found = self
            .store
            .get(Table::Rows, &keys::rows::key(group, key))
            .map_err(storage)?;
        found
            .map(|bytes| value::decode_value(bytes).map_err(storage))
            .transpose()
    }

    /// Rows whose key begins with `prefix`, behind `after`.
    ///
    /// # Errors
    /// When the store fails.
    pub fn rows(
        &self,
        group: &GroupId,
        prefix: &[u8],
        after: &[u8],
        limit: u32,
    ) -> Result<(Vec<Row>, Bytes), Fault> {
        let (mut from, to) = keys::rows::prefix_range(group, prefix);
        if !after.is_empty() {
            let mut last = group.as_bytes().to_vec();
            last.extend_from_slice(after);
            from = from.max(keys::successor(&last));
        }
        let limit = limit.clamp(1, limits::PAGE_ROWS) as usize;
        let pairs = self
            .store
            .scan(Table::Rows, &from, &to, limit, Direction::Forward)
            .map_err(storage)?;
        let next = match pairs.last() {
            Some((key, _)) if pairs.len() == limit => key.slice(GroupId::LEN..),
            _ => Bytes::new(),
        };
        let rows = pairs
            .into_iter()
            .map(|(_, bytes)| value::decode_value(bytes).map_err(storage))
            .collect::<Result<_, _>>()?;
        Ok((rows, next))
    }

    /// Entries of the copy here. What lies behind its end is not covered.
    ///
    /// # Errors
    /// `not_here` when there is no copy, or when the store fails. When the
    /// reader is no member by this copy, what such a one is told.
    pub fn log(&self, group: &GroupId, range: LogRange) -> Result<LogSlice, Fault> {
        let authority = match &range.reader {
            Some(reader) => self.authority(group, reader)?,
            None => MemberAuthority::default(),
        };
        let Some(head) = self.head(group)? else {
            return Err(Code::NotHere.into());
        };
        let limit = range.limit.clamp(1, limits::PAGE_ENTRIES);
        let max_bytes = range.max_bytes.clamp(1, limits::PAGE_BYTES);
        let end = match range.before {
            0 => head.seq,
            before => (before - 1).min(head.seq),
        };
        let floor = head.floor.as_ref().map_or(0, |floor| floor.seq);
        let mut after = range.after.max(authority.visible_from.saturating_sub(1));
        if range.backward {
            after = after.max(end.saturating_sub(u64::from(limit)));
        }
        let gone = after < floor;
        after = after.max(floor);
        let entries = log::read_entries(
            &*self.store,
            group,
            after,
            end.saturating_add(1),
            limit as usize,
            max_bytes,
        )
        .map_err(storage)?;
        let to = entries.last().map_or(after, |(seq, _)| *seq);
        Ok(LogSlice {
            group: group.to_bytes(),
            covers: Some(Covers {
                from: after.saturating_add(1),
                to,
            }),
            chain_before: self.chain_at(group, after, &head)?,
            entries: entries.into_iter().map(|(_, entry)| entry).collect(),
            head: Some(head),
            gone,
        })
    }

    /// What a member may, by the copy here.
    fn authority(&self, group: &GroupId, reader: &UserId) -> Result<MemberAuthority, Fault> {
        let row = self.row(group, &RowKey::Member(*reader))?;
        let authority = match row.and_then(|row| row.value) {
            Some(row::Value::Member(member)) => member.authority.unwrap_or_default(),
            _ => MemberAuthority::default(),
        };
        match authority.status() {
            MemberStatus::Member => Ok(authority),
            status => Err(refusal(status).into()),
        }
    }

    /// The chain after entry `seq`.
    fn chain_at(&self, group: &GroupId, seq: u64, head: &Head) -> Result<Bytes, Fault> {
        if seq == 0 {
            return Ok(Bytes::copy_from_slice(&entry::genesis(
                &self.cluster,
                group,
            )));
        }
        if let Some(floor) = &head.floor
            && floor.seq == seq
        {
            return Ok(floor.chain.clone());
        }
        let bytes = self
            .store
            .get(Table::Log, &keys::log::key(group, seq))
            .map_err(storage)?;
        match bytes {
            Some(bytes) => {
                let sealed: SealedEntry = value::decode_value(bytes).map_err(storage)?;
                Ok(sealed.chain)
            }
            None => Ok(Bytes::new()),
        }
    }

    /// Answers another node's fetch of a log.
    ///
    /// # Errors
    /// As [`LocalReads::log`].
    pub fn fetch_log(&self, fetch: &FetchLog) -> Result<LogSlice, Fault> {
        let group = parse(&fetch.group)?;
        let reader = match fetch.reader.len() {
            0 => None,
            _ => Some(
                UserId::from_slice(&fetch.reader)
                    .map_err(|error| Fault::new(Code::Invalid, error.to_string()))?,
            ),
        };
        self.log(
            &group,
            LogRange {
                after: fetch.after,
                before: fetch.before,
                limit: fetch.limit,
                max_bytes: fetch.max_bytes as usize,
                backward: fetch.backward,
                reader,
            },
        )
    }

    /// Answers another node's fetch of rows.
    ///
    /// # Errors
    /// When the store fails.
    pub fn fetch_rows(&self, fetch: &FetchRows) -> Result<RowPage, Fault> {
        let group = parse(&fetch.group)?;
        // Read first: the rows are then at least as new as the head says.
        let head = self.head(&group)?;
        let (rows, next) = if fetch.key.is_empty() {
            self.rows(&group, &[], &fetch.after_key, fetch.limit)?
        } else {
            let key = RowKey::from_slice(&fetch.key)
                .map_err(|error| Fault::new(Code::Invalid, error.to_string()))?;
            (self.row(&group, &key)?.into_iter().collect(), Bytes::new())
        };
        Ok(RowPage {
            group: fetch.group.clone(),
            rows,
            next,
            head,
        })
    }

    /// Tells another node in which rows its copy and this one differ.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn reconcile(&self, asked: &ReconcileRows) -> Result<RowDiff, Fault> {
        let group = parse(&asked.group)?;
        let failed = |error: ApplyError| {
            tracing::error!(%group, %error, "rows could not be summed up");
            Fault::from(Code::Internal)
        };
        // Read first: the rows are then at least as new as the head says.
        let head = self.head(&group)?;
        loop {
            let diff = self.sums.with(&group, |sums| {
                if sums.refresh(limits::ROW_SUM_READS)? {
                    return reconcile::answer(sums, &SHAPE, asked, head.clone()).map(Some);
                }
                Ok(None)
            });
            if let Some(diff) = diff.map_err(failed)? {
                return Ok(diff);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Heads of the groups that this node holds, in order of id.
    ///
    /// # Errors
    /// When the store fails.
    pub fn list(&self, list: &ListGroupsOnNode) -> Result<GroupHeads, Fault> {
        let limit = list.limit.clamp(1, limits::PAGE_ROWS) as usize;
        let from = keys::successor(&list.after);
        let to = [0xff_u8; GroupId::LEN + 1];
        let pairs = self
            .store
            .scan(Table::Heads, &from, &to, limit, Direction::Forward)
            .map_err(storage)?;
        let next = match pairs.last() {
            Some((key, _)) if pairs.len() == limit => key.clone(),
            _ => Bytes::new(),
        };
        let heads = pairs
            .into_iter()
            .map(|(key, bytes)| {
                Ok(GroupHead {
                    group: key,
                    head: Some(value::decode_value(bytes).map_err(storage)?),
                })
            })
            .collect::<Result<_, Fault>>()?;
        Ok(GroupHeads { heads, next })
    }
}

/// The head of a group, of any reader.
///
/// # Errors
/// When the store fails.
pub fn head_of(read: &dyn Read, group: &GroupId) -> Result<Option<Head>, StoreError> {
    log::read_head(read, group)
}

/// A failing store, as an answer.
#[must_use]
pub fn storage(error: StoreError) -> Fault {
    tracing::error!(%error, "a read failed");
    Fault::new(Code::Internal, "the store could not be read")
}

fn parse(group: &[u8]) -> Result<GroupId, Fault> {
    GroupId::from_slice(group).map_err(|error| Fault::new(Code::Invalid, error.to_string()))
}

#[cfg(test)]
mod tests;
