//! Pages of rows and of entries, from the copy here or from the home.

use bytes::Bytes;
use folkmoot_replication::placement::Shard;
use folkmoot_wire::page::LogPage;
use folkmoot_wire::proto::{FetchLog, FetchRows, Row, node_reply, node_request, row};
use folkmoot_wire::row::{RowKey, RowKind, merge};
use folkmoot_wire::{Code, Fault, GroupId};

use super::super::read::members::question;
use super::NodeBackend;
use crate::backend::{FoundMembers, LogRange, MembersWanted, is_member};

#[cfg(test)]
mod tests;

/// Which rows of a group.
pub(super) struct RowsWanted {
    /// `None`: of every kind.
    pub kind: Option<RowKind>,
    /// Behind this row key; empty: from the first.
    pub after: Bytes,
    pub limit: u32,
}

/// The later of what was answered and what is here. Who answers may be a voter
/// that lies behind this copy: a departure that was seen here is never undone
/// by a row from before it.
fn later(here: Option<Row>, there: Option<Row>) -> Result<Option<Row>, Fault> {
    match (here, there) {
        (Some(here), Some(there)) => merge(&here, &there)
            .map(Some)
            .map_err(|error| Fault::new(Code::Internal, error.to_string())),
        (here, there) => Ok(there.or(here)),
    }
}

/// That nobody answers is no news; where a group went is.
fn is_no_news(fault: &Fault) -> bool {
    fault.code.temporary() && fault.code != Code::Moved
}

impl NodeBackend {
    /// One row; `sure`: as the leader has it. Never an older one than is here.
    pub(super) async fn row_of(
        &self,
        shard: &Shard,
        group: &GroupId,
        key: RowKey,
        sure: bool,
    ) -> Result<Option<Row>, Fault> {
        let request = node_request::Request::FetchRows(FetchRows {
            group: group.to_bytes(),
            key: key.to_bytes(),
            shard: shard.id.0,
            as_voter: true,
            ..FetchRows::default()
        });
        let copies = &self.copies;
        let answer = match sure {
            false => copies.from_home(shard, group, request).await?,
            true => copies.from_leader(shard, group, request).await?,
        };
        match answer {
            None => copies.here(shard, group, |place| copies.reads.row(place, &key)),
            // Read after the answer came: what was applied meanwhile counts.
            Some(node_reply::Reply::Rows(page)) => copies.here(shard, group, |place| {
                let here = copies.reads.row(place, &key)?;
                later(here, page.rows.into_iter().next())
            }),
            Some(_) => Err(Code::Internal.into()),
        }
    }

    pub(super) async fn rows_of(
        &self,
        shard: &Shard,
        group: &GroupId,
        wanted: &RowsWanted,
    ) -> Result<(Vec<Row>, Bytes), Fault> {
        let prefix: Vec<u8> = wanted.kind.map(|kind| kind as u8).into_iter().collect();
        // Kinds are stored in order, so a kind's rows begin behind its byte.
        let after_key = if wanted.after.is_empty() {
            Bytes::from(prefix.clone())
        } else {
            wanted.after.clone()
        };
        let request = node_request::Request::FetchRows(FetchRows {
            group: group.to_bytes(),
            after_key,
            limit: wanted.limit,
            shard: shard.id.0,
            as_voter: true,
            ..FetchRows::default()
        });
        let copies = &self.copies;
        let page = match copies.from_home(shard, group, request).await? {
            None => {
                return copies.here(shard, group, |place| {
                    let (after, limit) = (&wanted.after, wanted.limit);
                    copies.reads.rows(place, &prefix, after, limit)
                });
            }
            Some(node_reply::Reply::Rows(page)) => page,
            Some(_) => return Err(Code::Internal.into()),
        };
        let count = page.rows.len();
        let of_kind = page.rows.into_iter();
        let rows: Vec<Row> = of_kind.filter(|row| row.key.starts_with(&prefix)).collect();
        let next = if rows.len() == count {
            page.next
        } else {
            Bytes::new()
        };
        Ok((rows, next))
    }

    pub(super) async fn members_of(
        &self,
        shard: &Shard,
        group: &GroupId,
        wanted: &MembersWanted,
    ) -> Result<FoundMembers, Fault> {
        let question = question(wanted, group.to_bytes(), shard.id.0);
        let request = node_request::Request::FindMembers(question);
        let copies = &self.copies;
        match copies.from_home(shard, group, request).await? {
            None => copies.here(shard, group, |place| copies.reads.members(place, wanted)),
            Some(node_reply::Reply::Members(page)) => Ok(page.into()),
            Some(_) => Err(Code::Internal.into()),
        }
    }

    pub(super) async fn log_of(
        &self,
        shard: &Shard,
        group: &GroupId,
        range: LogRange,
    ) -> Result<LogPage, Fault> {
        let request = node_request::Request::FetchLog(FetchLog {
            group: group.to_bytes(),
            after: range.after,
            before: range.before,
            limit: range.limit,
            max_bytes: range.max_bytes as u32,
            backward: range.backward,
            reader: range.reader.map_or_else(Bytes::new, |user| user.to_bytes()),
            shard: shard.id.0,
            as_voter: true,
        });
        let copies = &self.copies;
        let answer = match copies.from_home(shard, group, request.clone()).await? {
            None => match copies.here(shard, group, |place| copies.reads.log(place, range)) {
                Err(fault) if self.may_others_know(shard, group, &range, &fault).await? => {
                    match copies.ask(shard, group, request).await {
                        Err(other) if is_no_news(&other) => return Err(fault),
                        answer => answer?,
                    }
                }
                here => return here,
            },
            Some(answer) => answer,
        };
        match answer {
            node_reply::Reply::Log(slice) => Ok(slice.into()),
            _ => Err(Code::Internal.into()),
        }
    }

    /// What this node's disk lost, others have; and who has just joined, by its
    /// home, may not have by this copy.
    async fn may_others_know(
        &self,
        shard: &Shard,
        group: &GroupId,
        range: &LogRange,
        fault: &Fault,
    ) -> Result<bool, Fault> {
        match (fault.code, range.reader) {
            (Code::NotHere, _) => Ok(true),
            (Code::NotFound | Code::Banned, Some(reader)) => {
                let key = RowKey::Member(reader);
                match self.row_of(shard, group, key, true).await {
                    Ok(Some(Row {
                        value: Some(row::Value::Member(member)),
                        ..
                    })) => Ok(is_member(&member)),
                    Ok(_) => Ok(false),
                    Err(other) if is_no_news(&other) => Ok(false),
                    Err(other) => Err(other),
                }
            }
            _ => Ok(false),
        }
    }
}
