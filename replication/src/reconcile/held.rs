//! Rows of a group in the store, range by range.

use bytes::Bytes;
use folkmoot_crdt::digest::{Fingerprint, RowSetDigest};
use folkmoot_storage::{Direction, Read, Table, keys, value};
use folkmoot_wire::GroupId;
use folkmoot_wire::proto::Row;

use super::{Range, span};
use crate::apply::ApplyError;
use crate::rows::fingerprint;

/// Rows read at once.
const CHUNK: usize = 512;

/// A row with its print.
pub(super) struct Held {
    pub(super) row: Row,
    pub(super) print: Fingerprint,
}

/// The rows with keys in `range`, at most `limit`, in order.
pub(super) fn read(
    store: &dyn Read,
    digest_key: &[u8; 32],
    group: &GroupId,
    range: &Range,
    limit: usize,
) -> Result<Vec<Held>, ApplyError> {
    let mut from = Bytes::from([group.as_bytes(), &range.from[..]].concat());
    let to = match range.to.len() {
        0 => keys::rows::group_range(group).1,
        _ => Bytes::from([group.as_bytes(), &range.to[..]].concat()),
    };
    let mut rows = Vec::new();
    while rows.len() < limit {
        let page = CHUNK.min(limit - rows.len());
        let pairs = store.scan(Table::Rows, &from, &to, page, Direction::Forward)?;
        let Some((last, _)) = pairs.last() else { break };
        from = keys::successor(last);
        let whole = pairs.len() < page;
        for (_, bytes) in pairs {
            let row: Row = value::decode_value(bytes)?;
            let print = fingerprint(digest_key, group, &row)?;
            rows.push(Held { row, print });
        }
        if whole {
            break;
        }
    }
    Ok(rows)
}

pub(super) fn sum(rows: &[Held]) -> RowSetDigest {
    rows.iter().map(|row| &row.print).collect()
}

/// The shortest key above `low` and not above `high`, of which `low` is less:
/// where a range may begin so that the one falls before it and the other in it.
pub(super) fn between(low: &[u8], high: &Bytes) -> Bytes {
    high.slice(..(span::common(low, high) + 1).min(high.len()))
}
