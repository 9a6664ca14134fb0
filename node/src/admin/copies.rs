//! A group as one node holds it, asked of any node: what operators compare.

use bytes::Bytes;
use folkmoot_wire::proto::{FetchHead, FetchRows, Head, RowPage, node_reply, node_request};
use folkmoot_wire::{Code, Fault, GroupId, NodeId, limits};
use serde_json::{Value, json};

use super::Admin;
use crate::cluster::peers::Class;
use crate::row_digests::RowDigests;

/// The copy of node `at`, with digests by kind.
///
/// # Errors
/// `not_here` when it holds none, or when it cannot be reached.
pub(super) async fn show(admin: &Admin, group: GroupId, at: NodeId) -> Result<Value, Fault> {
    let head = head(admin, group, at).await?.ok_or(Code::NotHere)?;
    let mut digests = RowDigests::new(&admin.running.identity.cluster, group);
    let mut after = Bytes::new();
    loop {
        let page = rows(admin, group, at, after).await?;
        for row in &page.rows {
            digests.add(row)?;
        }
        if page.next.is_empty() {
            break;
        }
        after = page.next;
    }
    Ok(json!({
        "group": group.to_string(),
        "node": at.0,
        "members_listed": digests.present(),
        "seq": head.seq,
        "count": head.count,
        "chain": hex::encode(&head.chain),
        "rows": head.rows_count,
        "rows_digest": hex::encode(&head.rows_digest),
        "digest_of_members": hex::encode(digests.members()),
        "digest_of_cursors": hex::encode(digests.cursors()),
        "digest_of_profile": hex::encode(digests.profile()),
        "version": head.version,
    }))
}

fn is_here(admin: &Admin, at: NodeId) -> bool {
    at.0 == admin.running.identity.node
}

/// The shard that the group is at home in.
fn shard(admin: &Admin, group: &GroupId) -> u32 {
    let home = admin.running.node.view.home_of(group);
    home.map_or(0, |shard| shard.id.0)
}

async fn ask(
    admin: &Admin,
    at: NodeId,
    request: node_request::Request,
) -> Result<node_reply::Reply, Fault> {
    let peers = &admin.running.node.peers;
    peers
        .call(at, Class::Bulk, request, limits::RPC_DEADLINE)
        .await
}

async fn head(admin: &Admin, group: GroupId, at: NodeId) -> Result<Option<Head>, Fault> {
    if is_here(admin, at) {
        let node = &admin.running.node;
        return node.reads.head(&node.view.place_of(&group));
    }
    let request = node_request::Request::FetchHead(FetchHead {
        group: group.to_bytes(),
        shard: shard(admin, &group),
        as_voter: false,
    });
    match ask(admin, at, request).await? {
        node_reply::Reply::Head(head) => Ok(head.head),
        _ => Err(Code::Internal.into()),
    }
}

async fn rows(admin: &Admin, group: GroupId, at: NodeId, after: Bytes) -> Result<RowPage, Fault> {
    let fetch = FetchRows {
        group: group.to_bytes(),
        after_key: after,
        limit: limits::PAGE_ROWS,
        shard: shard(admin, &group),
        ..FetchRows::default()
    };
    if is_here(admin, at) {
        let node = &admin.running.node;
        return node.reads.fetch_rows(&node.view.place_of(&group), &fetch);
    }
    match ask(admin, at, node_request::Request::FetchRows(fetch)).await? {
        node_reply::Reply::Rows(page) => Ok(page),
        _ => Err(Code::Internal.into()),
    }
}
