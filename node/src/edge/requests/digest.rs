//! Digests of a group's rows as this node holds them: two nodes with equal
//! digests have equal rows.

use bytes::Bytes;
use folkmoot_crdt::digest::RowSetDigest;
use folkmoot_replication::rows::fingerprint;
use folkmoot_wire::proto::{Digest, Row, server_frame};
use folkmoot_wire::row::RowKind;
use folkmoot_wire::{Code, Fault, GroupId, limits};

use super::group_id;
use crate::edge::session::Session;

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
        digest.members = walk(session, group, RowKind::Member).await?;
        digest.cursors = walk(session, group, RowKind::Cursor).await?;
        digest.profile = walk(session, group, RowKind::Profile).await?;
    }
    Ok(server_frame::Body::Digest(digest))
}

async fn walk(session: &Session, group: GroupId, kind: RowKind) -> Result<Bytes, Fault> {
    let backend = &session.core.backend;
    // For comparison between nodes by a client, so any key they share will do.
    let key = blake3::derive_key(
        "folkmoot v1 digest for clients",
        backend.cluster().as_bytes(),
    );
    let mut digest = RowSetDigest::default();
    let mut after = Bytes::new();
    loop {
        let page = backend.rows(group, Some(kind), after, limits::PAGE_ROWS);
        let (rows, next) = page.await?;
        for row in &rows {
            digest.insert(&print(&key, group, row)?);
        }
        if next.is_empty() || rows.is_empty() {
            return Ok(Bytes::copy_from_slice(&digest.sum));
        }
        after = next;
    }
}

fn print(
    key: &[u8; 32],
    group: GroupId,
    row: &Row,
) -> Result<folkmoot_crdt::digest::Fingerprint, Fault> {
    fingerprint(key, &group, row).map_err(|error| {
        tracing::error!(%group, %error, "a row has no fingerprint");
        Fault::from(Code::Internal)
    })
}
