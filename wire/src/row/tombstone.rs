//! Rows that only say that something is gone: they may be collected once all
//! who hold them know.

use folkmoot_crdt::hlc::Hlc;

use crate::proto::row::Value;
use crate::proto::{MemberStatus, Row, Tombstone};

/// By what a row is older or newer than others of its key: the entry that wrote
/// it, or that a cursor points at, and which change without an entry behind that
/// one. `(0, 0)` of kinds that are never gone.
fn age(row: &Row) -> (u64, u64) {
    match &row.value {
        Some(Value::Member(member)) => {
            let authority = member.authority.unwrap_or_default();
            (authority.seq, authority.quiet)
        }
        Some(Value::Cursor(cursor)) => (cursor.seq, 0),
        Some(Value::Listed(listed)) => (listed.source_seq, listed.source_quiet),
        Some(Value::Group(_) | Value::Profile(_)) | None => (0, 0),
    }
}

/// Says that this row is gone.
#[must_use]
pub fn tombstone_of(row: &Row) -> Tombstone {
    let (seq, quiet) = age(row);
    Tombstone {
        key: row.key.clone(),
        seq,
        quiet,
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
    gone.then(|| tombstone_of(row))
}

/// Whether a row says no more than that something is gone, now or once the
/// group's log is further on.
#[must_use]
pub fn says_gone(row: &Row) -> bool {
    tombstone(row, Hlc::from_u64(u64::MAX)).is_some()
}

/// Whether `tombstone` is of this row, or of a newer one of its key.
#[must_use]
pub fn is_gone(tombstone: &Tombstone, row: &Row) -> bool {
    tombstone.key == row.key && age(row) <= (tombstone.seq, tombstone.quiet)
}
