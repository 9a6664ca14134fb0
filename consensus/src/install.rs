//! What a replica has applied, and the installation of a snapshot in its
//! place.
//!
//! What came of a snapshot lies on disk before installing begins, and a marker
//! tells that it began: a crash in the middle is finished at the next start
//! (design decision D19). Installing twice is the same as once. Of a snapshot
//! that came by manifest each part on disk is a chunk with the range that it
//! replaces; all else stays.

use std::io;

use folkmoot_storage::keys::raft as keys;
use folkmoot_storage::{Batch, Commit, Read, Store, Table};
use folkmoot_wire::ShardId;
use serde::{Deserialize, Serialize};

use crate::codec::{damaged, decode_record, encode_record};
use crate::durable::make_durable;
use crate::pages;
use crate::types::SnapshotMeta;
use crate::wire::WireRange;

/// What is about to be installed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Marker {
    pub(crate) meta: SnapshotMeta,
    /// Every key of these is deleted first: what no part speaks of.
    pub(crate) ranges: Vec<WireRange>,
    /// Parts on disk.
    pub(crate) parts: u64,
}

/// Adds the record of what is applied to `batch`.
pub(crate) fn put_applied(
    shard: ShardId,
    applied: &SnapshotMeta,
    batch: &mut Batch,
) -> io::Result<()> {
    batch.put(Table::Raft, keys::snapshot(shard), encode_record(applied)?);
    Ok(())
}

/// What was applied.
pub(crate) fn read_applied(shard: ShardId, store: &dyn Read) -> io::Result<Option<SnapshotMeta>> {
    read(store, "the applied mark", &keys::snapshot(shard))
}

/// The installation that was interrupted, if there is one.
pub(crate) fn read_marker(shard: ShardId, store: &dyn Store) -> io::Result<Option<Marker>> {
    let key = keys::key(shard, keys::Kind::Installing, 0);
    read(store, "the marker of an installation", &key)
}

fn read<T: serde::de::DeserializeOwned>(
    store: &dyn Read,
    what: &str,
    key: &[u8],
) -> io::Result<Option<T>> {
    store
        .get(Table::Raft, key)
        .map_err(io::Error::other)?
        .map(|bytes| decode_record(what, &bytes))
        .transpose()
}

/// The deletion of all parts on disk.
pub(crate) fn clear_stage(shard: ShardId, batch: &mut Batch) {
    batch.delete_range(
        Table::Raft,
        keys::key(shard, keys::Kind::Stage, 0),
        keys::key(shard, keys::Kind::Stage, u64::MAX),
    );
}

/// Makes the marker and all parts durable: from here on the installation
/// will happen.
pub(crate) async fn begin(shard: ShardId, marker: &Marker, commit: &dyn Commit) -> io::Result<()> {
    let mut batch = Batch::new();
    let key = keys::key(shard, keys::Kind::Installing, 0);
    batch.put(Table::Raft, key, encode_record(marker)?);
    make_durable(commit, batch).await
}

/// Puts the parts on disk where they belong.
pub(crate) async fn finish(shard: ShardId, marker: &Marker, store: &dyn Store) -> io::Result<()> {
    let mut batch = Batch::new();
    pages::delete(&marker.ranges, &mut batch)?;
    for number in 0..marker.parts {
        let key = keys::key(shard, keys::Kind::Stage, number);
        let page = store
            .get(Table::Raft, &key)
            .map_err(io::Error::other)?
            .ok_or_else(|| damaged(format!("part {number} of the snapshot is gone")))?;
        pages::put(page, store, &mut batch)?;
        write(store, std::mem::take(&mut batch))?;
        // A large snapshot must not keep this thread from its other tasks.
        tokio::task::yield_now().await;
    }
    put_applied(shard, &marker.meta, &mut batch)?;
    batch.delete(Table::Raft, keys::key(shard, keys::Kind::Installing, 0));
    clear_stage(shard, &mut batch);
    write(store, batch)
}

fn write(store: &dyn Store, batch: Batch) -> io::Result<()> {
    store.write(batch).map_err(io::Error::other)
}
