//! Rows that follow from entries. They are written in one batch with these, so
//! that a copy never knows less of them than its log says.

use folkmoot_wire::GroupId;
use folkmoot_wire::proto::{EntryHeader, MemberAuthority, MemberValue, Row, row};
use folkmoot_wire::row::RowKey;

use super::copy::Copies;
use crate::apply::{ApplyError, departure, implied_cursor};

impl Copies {
    /// The rows that follow from these entries.
    pub(super) fn derived(
        &self,
        group: &GroupId,
        headers: &[EntryHeader],
    ) -> Result<Vec<Row>, ApplyError> {
        let cursors = headers.iter().filter_map(implied_cursor);
        let mut rows: Vec<Row> = cursors
            .map(|(user, cursor)| Row {
                key: RowKey::Cursor(user).to_bytes(),
                value: Some(row::Value::Cursor(cursor)),
            })
            .collect();
        for header in headers {
            rows.extend(self.departed(group, header)?);
        }
        Ok(rows)
    }

    /// The row of a member whom an entry puts out. Rows may come later than
    /// entries, and until then the copy must not take one who is out for a
    /// member. It knows less than the home's row of that seq and is less by
    /// the merge law, so that one stands once it comes.
    fn departed(&self, group: &GroupId, header: &EntryHeader) -> Result<Option<Row>, ApplyError> {
        let Some((user, status)) = departure(header) else {
            return Ok(None);
        };
        let key = RowKey::Member(user);
        // Without a row nobody is taken for a member.
        if self.row(group, &key)?.is_none() {
            return Ok(None);
        }
        let authority = MemberAuthority {
            seq: header.seq,
            status: status as i32,
            ..MemberAuthority::default()
        };
        Ok(Some(Row {
            key: key.to_bytes(),
            value: Some(row::Value::Member(MemberValue {
                authority: Some(authority),
                self_: None,
            })),
        }))
    }
}
