//! Frames of what is new: encoded once, shared by all who get the same.

use bytes::Bytes;
use folkmoot_wire::proto::{
    Covers, Deliver, MemberSelf, Row, RowsChanged, SealedEntry, ServerFrame, row, server_frame,
};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{GroupId, UserId, limits};
use prost::Message;

use super::window::Gathered;

/// Bytes of entries or rows in one frame, unless one alone is larger. Well
/// under the largest frame, whatever surrounds them.
const CHUNK_BYTES: usize = limits::PAGE_BYTES;

fn push(body: server_frame::Body) -> Bytes {
    let frame = ServerFrame {
        id: 0,
        body: Some(body),
    };
    Bytes::from(frame.encode_to_vec())
}

/// Splits a list where the sum of `size` would pass the limit.
fn chunks<T>(items: &[T], size: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let (mut all, mut start, mut sum) = (Vec::new(), 0, 0);
    for (i, item) in items.iter().enumerate() {
        let len = size(item);
        if sum + len > CHUNK_BYTES && i > start {
            all.push(&items[start..i]);
            (start, sum) = (i, 0);
        }
        sum += len;
    }
    if start < items.len() {
        all.push(&items[start..]);
    }
    all
}

/// Deliveries of what was gathered from seq `start` to `end`; entries below
/// `visible_from` are left out, and covered: that is deliberate.
pub(super) fn deliveries(
    group: &GroupId,
    news: &Gathered,
    start: u64,
    end: u64,
    visible_from: u64,
) -> Vec<Bytes> {
    let skip = start.saturating_sub(news.from) as usize;
    let take = (end + 1).saturating_sub(start) as usize;
    let entries: Vec<&SealedEntry> = news.entries.iter().skip(skip).take(take).collect();
    let mut from = start;
    chunks(&entries, |entry| entry.encoded_len())
        .into_iter()
        .map(|chunk| {
            let to = from + chunk.len() as u64 - 1;
            let seen = (from..=to).zip(chunk);
            let frame = push(server_frame::Body::Deliver(Deliver {
                group: group.to_bytes(),
                covers: Some(Covers { from, to }),
                entries: seen
                    .filter(|(seq, _)| *seq >= visible_from)
                    .map(|(_, entry)| (*entry).clone())
                    .collect(),
            }));
            from = to + 1;
            frame
        })
        .collect()
}

/// Whether a row is for everybody: not one by one who came without an entry, and
/// no cursors but in a small group.
pub(super) fn is_public(row: &Row, small: bool) -> bool {
    match &row.value {
        Some(row::Value::Cursor(_)) => small,
        Some(row::Value::Member(member)) => member.authority.is_none_or(|a| a.quiet == 0),
        _ => true,
    }
}

/// What of the rows is for everybody.
pub(super) fn public_rows(news: &Gathered, small: bool) -> Vec<Row> {
    news.rows
        .values()
        .filter(|row| is_public(row, small))
        .map(|row| {
            let mut row = row.clone();
            if let Some(row::Value::Member(member)) = &mut row.value
                && let Some(own) = &mut member.self_
            {
                *own = seen_by_others(own);
            }
            row
        })
        .collect()
}

/// The same with what is the user's own business, if there is any.
pub(super) fn rows_for(public: &[Row], news: &Gathered, user: &UserId) -> Option<Vec<Row>> {
    let own = [
        RowKey::Member(*user).to_bytes(),
        RowKey::Cursor(*user).to_bytes(),
    ];
    let own: Vec<&Row> = own.iter().filter_map(|key| news.rows.get(key)).collect();
    if own.is_empty() {
        return None;
    }
    let mut rows: Vec<Row> = public
        .iter()
        .filter(|row| own.iter().all(|o| o.key != row.key))
        .cloned()
        .collect();
    rows.extend(own.into_iter().cloned());
    Some(rows)
}

/// A member's settings are nobody else's business; the nick is.
pub(in crate::edge) fn seen_by_others(own: &MemberSelf) -> MemberSelf {
    MemberSelf {
        hlc: own.hlc,
        node: own.node,
        nick: own.nick.clone(),
        ..MemberSelf::default()
    }
}

/// Frames of changed rows.
pub(super) fn rows_changed(group: &GroupId, rows: &[Row]) -> Vec<Bytes> {
    chunks(rows, Message::encoded_len)
        .into_iter()
        .map(|chunk| {
            push(server_frame::Body::RowsChanged(RowsChanged {
                group: group.to_bytes(),
                rows: chunk.to_vec(),
            }))
        })
        .collect()
}
