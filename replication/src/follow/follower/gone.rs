//! Rows that are gone at the home: said so by a push, or found to be missing
//! there by a session about rows.

use bytes::Bytes;
use folkmoot_wire::GroupId;
use folkmoot_wire::proto::{GroupPush, Row, Tombstone};
use folkmoot_wire::row::{self, RowKey};

use super::Output;
use super::copy::Copies;
use crate::apply::ApplyError;
use crate::rows::{digest_of, fingerprint};

impl Copies {
    /// Deletes what a push says is gone, and gives on what was here.
    pub(super) fn take_gone(
        &mut self,
        group: GroupId,
        gone: &[Tombstone],
        out: &mut Output,
    ) -> Result<(), ApplyError> {
        let mut held = Vec::new();
        for tombstone in gone {
            if let Some(row) = self.held(&group, &tombstone.key)?
                && row::is_gone(tombstone, &row)
            {
                held.push(row);
            }
        }
        self.delete(group, held, out)
    }

    /// Deletes rows that the upstream does not have. The copy is older than the
    /// last collection there: nothing else will say that they are gone.
    pub(super) fn drop_rows(
        &mut self,
        group: GroupId,
        keys: &[Bytes],
        out: &mut Output,
    ) -> Result<(), ApplyError> {
        let mut held = Vec::new();
        for key in keys {
            held.extend(self.held(&group, key)?);
        }
        self.delete(group, held, out)
    }

    fn held(&self, group: &GroupId, key: &[u8]) -> Result<Option<Row>, ApplyError> {
        match RowKey::from_slice(key) {
            Ok(key) => self.row(group, &key),
            Err(_) => Ok(None),
        }
    }

    fn delete(
        &mut self,
        group: GroupId,
        rows: Vec<Row>,
        out: &mut Output,
    ) -> Result<(), ApplyError> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut head = self.head(&group)?;
        let mut digest = digest_of(&head);
        let mut gone = Vec::with_capacity(rows.len());
        for row in rows {
            let Ok(key) = RowKey::from_slice(&row.key) else {
                continue;
            };
            digest.remove(&fingerprint(&self.digest_key, &group, &row)?);
            self.delete_row(group, key, out);
            gone.push(row::tombstone_of(&row));
        }
        head.rows_digest = Bytes::copy_from_slice(&digest.sum);
        head.rows_count = digest.count;
        self.write_head(group, head.clone(), out);
        out.gone += gone.len() as u64;
        out.pushes.push(GroupPush {
            group: group.to_bytes(),
            head: Some(head),
            gone,
            ..GroupPush::default()
        });
        Ok(())
    }
}
