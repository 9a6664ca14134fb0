//! How far people have read.

use bytes::Bytes;
use folkmoot_wire::proto::{
    Cursors, GetCursors, MarkRead, Ok as Done, Row, UserCursor, row, server_frame,
};
use folkmoot_wire::row::{RowKey, RowKind};
use folkmoot_wire::{Code, Fault, GroupId, limits};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::{group_id, user_id};
use crate::backend::LogRange;
use crate::edge::session::Session;

/// Cursors asked for at once.
const AT_ONCE: usize = 16;

pub(super) async fn mark_read(
    session: &Session,
    request: &MarkRead,
) -> Result<server_frame::Body, Fault> {
    let group = group_id(&request.group)?;
    session.member(group).await?;
    if request.seq == 0 {
        return Err(Fault::new(Code::Invalid, "seqs begin with 1"));
    }
    let mut head = session.head(group).await?;
    if request.seq > head.seq {
        // It may have been read at another edge, and not be here yet.
        let there = session.core.backend.home_head(group).await?;
        head = there.ok_or(Code::NotFound)?;
    }
    if request.seq > head.seq {
        let detail = format!("{} of {}", request.seq, head.seq);
        return Err(Fault::new(Code::CursorAhead, detail));
    }
    let core = &session.core;
    core.backend.move_cursor(group, session.user, request.seq);
    if core.fanout.is_passive(&session.user, &group) {
        let count = if request.seq == head.seq {
            Some(head.count)
        } else {
            count_at(session, group, request.seq).await
        };
        // Unknown: the next bump shows too many unread, not too few.
        if let Some(count) = count {
            core.fanout.cursor_moved(&session.user, &group, count);
        }
    }
    Ok(server_frame::Body::Ok(Done {}))
}

async fn count_at(session: &Session, group: GroupId, seq: u64) -> Option<u64> {
    let range = LogRange {
        after: seq - 1,
        before: seq + 1,
        limit: 1,
        max_bytes: limits::PAGE_BYTES,
        backward: false,
        reader: None,
    };
    let page = session.core.backend.log(group, range).await.ok()?;
    Some(page.entries().next()?.decode_header().ok()?.count)
}

pub(super) async fn get_cursors(
    session: &Session,
    request: &GetCursors,
) -> Result<server_frame::Body, Fault> {
    let group = group_id(&request.group)?;
    session.member(group).await?;
    let rows = if request.users.is_empty() {
        all(session, group).await?
    } else {
        named(session, group, &request.users).await?
    };
    Ok(server_frame::Body::Cursors(Cursors {
        group: group.to_bytes(),
        cursors: rows.into_iter().filter_map(cursor).collect(),
    }))
}

fn cursor(row: Row) -> Option<UserCursor> {
    match (RowKey::from_slice(&row.key), row.value) {
        (Ok(RowKey::Cursor(user)), Some(row::Value::Cursor(cursor))) => Some(UserCursor {
            user: user.to_bytes(),
            cursor: Some(cursor),
        }),
        _ => None,
    }
}

async fn named(session: &Session, group: GroupId, users: &[Bytes]) -> Result<Vec<Row>, Fault> {
    if users.len() > limits::PAGE_ROWS as usize {
        let detail = format!("at most {} users at once", limits::PAGE_ROWS);
        return Err(Fault::new(Code::Invalid, detail));
    }
    let mut asks = Vec::with_capacity(users.len());
    for user in users {
        asks.push(
            session
                .core
                .backend
                .row(group, RowKey::Cursor(user_id(user)?)),
        );
    }
    let rows = stream::iter(asks).buffered(AT_ONCE);
    let rows: Vec<Option<Row>> = rows.try_collect().await?;
    Ok(rows.into_iter().flatten().collect())
}

async fn all(session: &Session, group: GroupId) -> Result<Vec<Row>, Fault> {
    let members = session.group_value(group).await?.member_count;
    if members > limits::SMALL_GROUP {
        let detail = format!(
            "of groups with more than {} members, ask for users by name",
            limits::SMALL_GROUP
        );
        return Err(Fault::new(Code::Invalid, detail));
    }
    // People who left keep their cursors: more rows than members, one page.
    let backend = &session.core.backend;
    let kind = Some(RowKind::Cursor);
    let page = backend.rows(group, kind, Bytes::new(), limits::PAGE_ROWS);
    Ok(page.await?.0)
}
