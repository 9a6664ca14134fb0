//! Reads of groups: from this node's store, for other nodes and for the edge.

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_replication::apply::{self, ApplyError};
use folkmoot_replication::placement::{Shard, has_slot};
use folkmoot_replication::reconcile::{self, RowSums, SHAPE};
use folkmoot_storage::{Direction, Place, Read, Store, StoreError, Table, keys, log, value};
use folkmoot_wire::page::LogPage;
use folkmoot_wire::proto::{
    Covers, FetchLog, FetchRows, Head, HomeState, LogSlice, MemberAuthority, MemberStatus, Moved,
    ReconcileRows, Row, RowDiff, RowPage, row,
};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{Code, Fault, GroupId, UserId, limits};

use super::extent::Kept;
use super::mender::Suspects;
use crate::backend::{LogRange, refusal};

mod list;
pub(super) mod members;
pub(super) mod proof;
pub(super) mod readers;
mod recent;
mod standings;

use proof::{Page, Unproven};
use recent::{Found, Recent, Source};

/// Reads what this node's store holds.
pub struct LocalReads {
    pub(super) store: Arc<dyn Store>,
    sums: Arc<RowSums>,
    cluster: [u8; 16],
    recent: Recent,
    /// Copies with entries that do not follow from those before them.
    pub suspects: Arc<Suspects>,
}

impl LocalReads {
    /// Reads of a store.
    pub fn new(store: Arc<dyn Store>, sums: Arc<RowSums>, cluster: [u8; 16]) -> Self {
        Self {
            store,
            sums,
            cluster,
            recent: Recent::default(),
            suspects: Arc::default(),
        }
    }

    /// Where a shard sends those who ask for a group that is not at home there,
    /// as this node has it. A replica has all groups that are in the slots it
    /// `keeps`; others may have no copy of this one.
    ///
    /// # Errors
    /// When the store fails.
    pub fn moved(
        &self,
        shard: &Shard,
        group: &GroupId,
        keeps: Option<Kept>,
    ) -> Result<Option<Moved>, Fault> {
        let slots = keeps.map_or(shard.slots, |keeps| keeps.slots);
        if !shard.has_slot_of(group) || !has_slot(slots, group) {
            let child = shard.child.map_or(0, |child| child.0);
            return Ok(Some(Moved {
                shard: child,
                epoch: 0,
            }));
        }
        if keeps.is_none_or(|keeps| keeps.moves) {
            let record = apply::home_record(&*self.store, shard.id, group).map_err(storage)?;
            if let Some(record) = record {
                return Ok(apply::away(&record));
            }
        }
        let stranger =
            keeps.is_some() && !shard.bore(group) && self.head(&shard.place(*group))?.is_none();
        Ok(stranger.then(Moved::default))
    }

    /// How a shard stands to a group, as far as that is written down here.
    ///
    /// # Errors
    /// When the store fails.
    pub fn home(&self, shard: &Shard, group: &GroupId) -> Result<HomeState, Fault> {
        let home = apply::home_record(&*self.store, shard.id, group).map_err(storage)?;
        let home = home.unwrap_or_default();
        let head = self.head(&shard.place(*group))?;
        Ok(HomeState {
            epoch: home.epoch,
            phase: home.phase,
            held: head.map_or(0, |head| head.seq),
        })
    }

    /// The head of the copy here.
    ///
    /// # Errors
    /// When the store fails.
    pub fn head(&self, place: &Place) -> Result<Option<Head>, Fault> {
        log::read_head(&place.seat(&*self.store), &place.group).map_err(storage)
    }

    /// One row.
    ///
    /// # Errors
    /// When the store fails.
    pub fn row(&self, place: &Place, key: &RowKey) -> Result<Option<Row>, Fault> {
        let key = keys::rows::key(&place.group, key);
        let found = place.seat(&*self.store).get(Table::Rows, &key);
        let found = found.map_err(storage)?;
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
        place: &Place,
        prefix: &[u8],
        after: &[u8],
        limit: u32,
    ) -> Result<(Vec<Row>, Bytes), Fault> {
        let (mut from, to) = keys::rows::prefix_range(&place.group, prefix);
        if !after.is_empty() {
            let mut last = place.group.as_bytes().to_vec();
            last.extend_from_slice(after);
            from = from.max(keys::successor(&last));
        }
        let limit = limit.clamp(1, limits::PAGE_ROWS) as usize;
        let pairs = place
            .seat(&*self.store)
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
    /// `not_here` when there is no copy, when that ends before the range, or
    /// when the store fails. When the reader is no member by this copy, what such a one is told.
    pub fn log(&self, place: &Place, range: LogRange) -> Result<LogPage, Fault> {
        let authority = match &range.reader {
            Some(reader) => self.authority(place, reader)?,
            None => MemberAuthority::default(),
        };
        let Some(head) = self.head(place)? else {
            return Err(Code::NotHere.into());
        };
        let limit = range.limit.clamp(1, limits::PAGE_ENTRIES);
        let max_bytes = range.max_bytes.clamp(1, limits::PAGE_BYTES);
        let end = match range.before {
            0 => head.seq,
            before => (before - 1).min(head.seq),
        };
        let floor = head.floor.as_ref().map_or(0, |floor| floor.seq);
        let mut page = Page {
            after: range.after.max(authority.visible_from.saturating_sub(1)),
            before: end.saturating_add(1),
            limit: limit as usize,
            max_bytes,
            backward: range.backward,
        };
        let gone = page.wanted().0 <= floor;
        page.after = page.after.max(floor);
        if page.after > head.seq {
            // Another replica may have it.
            let detail = format!("this node's copy ends at {}", head.seq);
            return Err(Fault::new(Code::NotHere, detail));
        }
        let found = self.proven(place, &head, &page)?;
        let slice = LogSlice {
            group: place.group.to_bytes(),
            covers: Some(Covers {
                from: found.from,
                to: found.end() - 1,
            }),
            chain_before: found.chain_before,
            entries: Vec::new(),
            head: Some(head),
            gone,
        };
        let runs = found.runs;
        Ok(LogPage { slice, runs })
    }

    /// What a member may, by the copy here.
    fn authority(&self, place: &Place, reader: &UserId) -> Result<MemberAuthority, Fault> {
        let row = self.row(place, &RowKey::Member(*reader))?;
        let authority = match row.and_then(|row| row.value) {
            Some(row::Value::Member(member)) => member.authority.unwrap_or_default(),
            _ => MemberAuthority::default(),
        };
        match authority.status() {
            MemberStatus::Member => Ok(authority),
            status => Err(refusal(status).into()),
        }
    }

    /// Entries that follow from what comes before them. What does not is never
    /// given away.
    fn proven(&self, place: &Place, head: &Head, page: &Page) -> Result<Found, Fault> {
        let source = Source {
            store: &place.seat(&*self.store),
            cluster: &self.cluster,
            group: &place.group,
            head,
        };
        self.recent.read(&source, page).map_err(|why| match why {
            Unproven::Store(error) => storage(error),
            Unproven::Damaged { seq } => {
                self.suspects.add(*place, seq);
                let detail = format!("entry {seq} is damaged here, and fetched from other nodes");
                Fault::new(Code::NotHere, detail)
            }
        })
    }

    /// Answers another node's fetch of a log.
    ///
    /// # Errors
    /// As [`LocalReads::log`].
    pub fn fetch_log(&self, place: &Place, fetch: &FetchLog) -> Result<LogSlice, Fault> {
        let reader = match fetch.reader.len() {
            0 => None,
            _ => Some(
                UserId::from_slice(&fetch.reader)
                    .map_err(|error| Fault::new(Code::Invalid, error.to_string()))?,
            ),
        };
        let range = LogRange {
            after: fetch.after,
            before: fetch.before,
            limit: fetch.limit,
            max_bytes: fetch.max_bytes as usize,
            backward: fetch.backward,
            reader,
        };
        self.log(place, range).map(LogSlice::from)
    }

    /// Answers another node's fetch of rows.
    ///
    /// # Errors
    /// When the store fails.
    pub fn fetch_rows(&self, place: &Place, fetch: &FetchRows) -> Result<RowPage, Fault> {
        // Read first: the rows are then at least as new as the head says.
        let head = self.head(place)?;
        let (rows, next) = if fetch.key.is_empty() {
            self.rows(place, &[], &fetch.after_key, fetch.limit)?
        } else {
            let key = RowKey::from_slice(&fetch.key)
                .map_err(|error| Fault::new(Code::Invalid, error.to_string()))?;
            (self.row(place, &key)?.into_iter().collect(), Bytes::new())
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
    pub async fn reconcile(&self, place: &Place, asked: &ReconcileRows) -> Result<RowDiff, Fault> {
        let failed = |error: ApplyError| {
            tracing::error!(group = %place.group, %error, "rows could not be summed up");
            Fault::from(Code::Internal)
        };
        // Read first: the rows are then at least as new as the head says.
        let head = self.head(place)?;
        loop {
            let diff = self.sums.with(place, |sums| {
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
}

/// A failing store, as an answer.
#[must_use]
pub fn storage(error: StoreError) -> Fault {
    tracing::error!(%error, "a read failed");
    Fault::new(Code::Internal, "the store could not be read")
}

#[cfg(test)]
mod tests;
