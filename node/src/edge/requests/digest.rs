//! Digests of a group's rows as this node holds them: two nodes with equal
//! digests have equal rows.

use bytes::Bytes;
use folkmoot_wire::proto::{Digest, server_frame};
use folkmoot_wire::{Fault, GroupId, limits};

use super::group_id;
use crate::edge::session::Session;
use crate::row_digests::RowDigests;

/// Rows that are walked for digests by kind. In larger groups only the
/// digest of all rows, which the head carries, is answered.
const WALKED_ROWS: u64 = 50_000;

pub(super) async fn digest_rows(
    session: &Session,
    group: &[u8],
) -> Result<server_frame::Body, Fault> {
    let group = group_id(group)?;
    session.member(group).await?;
    let head = session.head(group).await?;
    let mut digest = Digest {
        group: group.to_bytes(),
        rows: head.rows_digest,
        count: head.rows_count,
        ..Digest::default()
    };
    if head.rows_count <= WALKED_ROWS {
        let walked = walk(session, group).await?;
        digest.members = walked.members();
        digest.cursors = walked.cursors();
        digest.profile = walked.profile();
    }
    Ok(server_frame::Body::Digest(digest))
}

async fn walk(session: &Session, group: GroupId) -> Result<RowDigests, Fault> {
    let backend = &session.core.backend;
    let mut digests = RowDigests::new(&backend.cluster(), group);
    let mut after = Bytes::new();
    loop {
        let page = backend.rows(group, None, after, limits::PAGE_ROWS);
        let (rows, next) = page.await?;
        for row in &rows {
            digests.add(row)?;
        }
        if next.is_empty() || rows.is_empty() {
            return Ok(digests);
        }
        after = next;
    }
}
