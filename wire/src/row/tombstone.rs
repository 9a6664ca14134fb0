//! Rows that only say that something is gone: they may be collected once all
//! who hold them know.

use folkmoot_crdt::hlc::Hlc;

use crate::proto::row::Value;
use crate::proto::{MemberStatus, Row, Tombstone};

/// The seq by which a row is older or newer than others of its key: of the
/// entry that wrote it, or that a cursor points at. 0 of kinds that are never
/// gone.
#[must_use]
pub fn seq_of(row: &Row) -> u64 {
    match &row.value {
        Some(Value::Member(member)) => member.authority.map_or(0, |authority| authority.seq),
        Some(Value::Cursor(cursor)) => cursor.seq,
        Some(Value::Listed(listed)) => listed.source_seq,
        Some(Value::Group(_) | Value::Profile(_)) | None => 0,
    }
}

/// What may be collected of a row once the group's log is at `log`; `None`: the
/// row says more than that something is gone. That is so of a ban, of a mute
/// that is not over by the log's time, and of settings that were stamped ahead
/// of the log: they could win over those of a member who comes back.
#[must_use]
pub fn tombstone(row: &Row, log: Hlc) -> Option<Tombstone> {
    let gone = match row.value.as_ref()? {
        Value::Member(member) => {
            let authority = member.authority.unwrap_or_default();
            let own = member.self_.as_ref().map_or(0, |own| own.hlc);
            authority.status() == MemberStatus::Left
                && authority.muted_until_ms <= log.millis()
                && Hlc::from_u64(own) <= log
        }
        Value::Listed(listed) => !listed.listed,
        Value::Group(_) | Value::Cursor(_) | Value::Profile(_) => false,
    };
    gone.then(|| Tombstone {
        key: row.key.clone(),
        seq: seq_of(row),
    })
}

/// Whether `tombstone` is of this row, or of a newer one of its key.
#[must_use]
pub fn is_gone(tombstone: &Tombstone, row: &Row) -> bool {
    tombstone.key == row.key && seq_of(row) <= tombstone.seq
}
