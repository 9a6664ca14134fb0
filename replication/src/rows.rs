//! Digests of a group's rows: equal when, and only when, the rows are.

use folkmoot_crdt::digest::{Fingerprint, RowSetDigest};
use folkmoot_wire::GroupId;
use folkmoot_wire::proto::{Head, Row};
use folkmoot_wire::row;

use crate::apply::ApplyError;

/// The digest that a head carries.
pub fn digest_of(head: &Head) -> RowSetDigest {
    let mut digest = RowSetDigest::default();
    if let Ok(sum) = <[u8; 32]>::try_from(&head.rows_digest[..]) {
        digest.sum = sum;
    }
    digest.count = head.rows_count;
    digest
}

/// Fingerprint of one row of a group, under the cluster's key.
pub fn fingerprint(key: &[u8; 32], group: &GroupId, row: &Row) -> Result<Fingerprint, ApplyError> {
    let input = row::fingerprint_input(row).map_err(|error| ApplyError::Corrupt {
        group: *group,
        what: error.to_string(),
    })?;
    let mut id = Vec::with_capacity(GroupId::LEN + row.key.len());
    id.extend_from_slice(group.as_bytes());
    id.extend_from_slice(&row.key);
    Ok(Fingerprint::of(key, &id, &input))
}
