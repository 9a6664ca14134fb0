//! Digests of a group's rows by kind: for telling where two copies differ.
//! That they differ at all, the digest in the group's head tells.

use bytes::Bytes;
use folkmoot_crdt::digest::RowSetDigest;
use folkmoot_replication::rows::fingerprint;
use folkmoot_wire::proto::{MemberStatus, Row, row};
use folkmoot_wire::row::{RowKey, RowKind};
use folkmoot_wire::{Code, Fault, GroupId};

/// Rows of a group, as they are counted.
pub struct RowDigests {
    key: [u8; 32],
    group: GroupId,
    members: RowSetDigest,
    cursors: RowSetDigest,
    profile: RowSetDigest,
    present: u64,
}

impl RowDigests {
    /// None yet.
    #[must_use]
    pub fn new(cluster: &str, group: GroupId) -> Self {
        Self {
            // Any key will do that all nodes share.
            key: blake3::derive_key("folkmoot v1 digest for clients", cluster.as_bytes()),
            group,
            members: RowSetDigest::default(),
            cursors: RowSetDigest::default(),
            profile: RowSetDigest::default(),
            present: 0,
        }
    }

    /// Counts a row.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn add(&mut self, row: &Row) -> Result<(), Fault> {
        let unreadable = |why: String| {
            tracing::error!(group = %self.group, why, "a row has no fingerprint");
            Fault::from(Code::Internal)
        };
        let kind = RowKey::from_slice(&row.key)
            .map_err(|error| unreadable(error.to_string()))?
            .kind();
        let set = match kind {
            RowKind::Member => &mut self.members,
            RowKind::Cursor => &mut self.cursors,
            RowKind::Profile => &mut self.profile,
            RowKind::Group | RowKind::Listed => return Ok(()),
        };
        let print = fingerprint(&self.key, &self.group, row);
        set.insert(&print.map_err(|error| unreadable(error.to_string()))?);
        if let Some(row::Value::Member(member)) = &row.value {
            let authority = member.authority.as_ref();
            let is_member = |status: i32| status == MemberStatus::Member as i32;
            self.present += u64::from(authority.is_some_and(|a| is_member(a.status)));
        }
        Ok(())
    }

    /// Members now.
    #[must_use]
    pub fn present(&self) -> u64 {
        self.present
    }

    /// Of the member rows: of those who left too.
    #[must_use]
    pub fn members(&self) -> Bytes {
        Bytes::copy_from_slice(&self.members.sum)
    }

    /// Of the read cursors.
    #[must_use]
    pub fn cursors(&self) -> Bytes {
        Bytes::copy_from_slice(&self.cursors.sum)
    }

    /// Of the profile.
    #[must_use]
    pub fn profile(&self) -> Bytes {
        Bytes::copy_from_slice(&self.profile.sum)
    }
}
