//! Quiet commands: they take no seq. Cursors and self rows arrive in
//! batches; one bad change does not hold up the others.

use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::proto::{CursorBatch, CursorValue, MemberSelf, Row, SelfRows, row};
use folkmoot_wire::row::{self as row_key, RowKey};
use folkmoot_wire::{GroupId, UserId, limits};

use super::{Answer, ApplyError, ShardApply, Step, done};

impl ShardApply {
    /// Cursors move forward and never past the head. A change that does not
    /// fit is left out: the edge that sent it checked against an older head.
    pub(super) fn cursors(&mut self, group: GroupId, batch: &CursorBatch) -> Answer {
        let Some(head) = self.view.head(&group)? else {
            return done();
        };
        for change in batch.changes.iter().take(limits::BATCH_COMMANDS) {
            let Ok(user) = UserId::from_slice(&change.user) else {
                continue;
            };
            if change.seq == 0 || change.seq > head.seq {
                continue;
            }
            if self.standing(&group, &user)?.is_member() {
                self.move_cursor(group, user, change.seq)?;
            }
        }
        done()
    }

    fn move_cursor(&mut self, group: GroupId, user: UserId, seq: u64) -> Result<(), ApplyError> {
        if seq <= self.read_to(&group, user)? {
            return Ok(());
        }
        let Some(entry) = self.view.entry(&group, seq)? else {
            return Ok(());
        };
        let header = entry.decode_header().map_err(|error| ApplyError::Corrupt {
            group,
            what: format!("entry {seq}: {error}"),
        })?;
        let cursor = CursorValue {
            seq,
            count: header.count,
            at_all: header.at_all,
        };
        self.put_cursor(group, user, cursor)
    }

    fn read_to(&mut self, group: &GroupId, user: UserId) -> Result<u64, ApplyError> {
        let row = self.view.row(group, RowKey::Cursor(user))?;
        Ok(match row.and_then(|row| row.value) {
            Some(row::Value::Cursor(cursor)) => cursor.seq,
            _ => 0,
        })
    }

    /// A cursor that is not behind the one held.
    pub(super) fn put_cursor(
        &mut self,
        group: GroupId,
        user: UserId,
        cursor: CursorValue,
    ) -> Result<(), ApplyError> {
        let key = RowKey::Cursor(user);
        let row = Row {
            key: key.to_bytes(),
            value: Some(row::Value::Cursor(cursor)),
        };
        self.view.put_row(group, key, row, false)
    }

    /// The self part of a member row: last writer by `(hlc, node)`.
    pub(super) fn self_rows(&mut self, step: &Step, group: GroupId, rows: SelfRows) -> Answer {
        // A stamp beyond all others could never be overwritten again.
        let latest = step.proposed.millis() + limits::HLC_DRIFT_MS;
        for change in rows.changes.into_iter().take(limits::BATCH_COMMANDS) {
            let (Ok(user), Some(own)) = (UserId::from_slice(&change.user), change.self_) else {
                continue;
            };
            let stamp = Hlc::from_u64(own.hlc).millis();
            if own.nick.len() <= limits::NICK_MAX && stamp <= latest {
                self.merge_self(group, user, own)?;
            }
        }
        done()
    }

    fn merge_self(
        &mut self,
        group: GroupId,
        user: UserId,
        mut own: MemberSelf,
    ) -> Result<(), ApplyError> {
        let Some(mut value) = self.member(&group, &user)? else {
            return Ok(());
        };
        let key = RowKey::Member(user);
        let held = Row {
            key: key.to_bytes(),
            value: Some(row::Value::Member(value.clone())),
        };
        // The nick is authority in a group's log: a rename is an entry.
        own.nick = value.self_.take().unwrap_or_default().nick;
        value.self_ = Some(own);
        let written = Row {
            key: key.to_bytes(),
            value: Some(row::Value::Member(value)),
        };
        if let Ok(merged) = row_key::merge(&held, &written) {
            self.view.put_row(group, key, merged, false)?;
        }
        Ok(())
    }
}
