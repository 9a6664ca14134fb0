//! Sets damaged parts of a stopped node's store aside: a new store is made of
//! all that can be used, and the old one keeps its bytes under another name.
//! At the next start the node fetches what is missing from others, and votes
//! on it only when it has caught up (decision 33).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bytes::Bytes;
use folkmoot_replication::placement::Placement;
use folkmoot_storage::{
    Batch, Direction, RocksOptions, RocksStore, Store, StoreError, Table, keys,
};
use folkmoot_wire::proto::MetaState;
use folkmoot_wire::{NodeId, ShardId};

use super::inspect::Found;
use super::slots_here;
use crate::boot::{Folder, Identity};
use crate::cluster::machine::state_ranges;

/// Records copied at once.
const PAGE: usize = 1_024;
/// Bytes of a batch.
const BATCH: usize = 1024 * 1024;

/// What would be lost for good, in words. Empty: others have it all.
#[must_use]
pub fn losses(found: &[Found]) -> Vec<String> {
    let lost = found.iter().filter(|found| found.wrong > 0 && found.alone);
    lost.map(|found| match found.shard {
        0 => "the meta shard: which nodes, regions and shards there are".to_owned(),
        shard => format!(
            "shard {shard} of region {}, with {} groups that can still be read: this node is its only voter",
            found.region, found.groups
        ),
    })
    .collect()
}

/// What would be lost with a store that cannot be opened, as far as the folder
/// tells without it.
#[must_use]
pub fn losses_of_all(identity: &Identity, first: Option<&MetaState>) -> Vec<String> {
    let mut losses = Vec::new();
    if identity.founder {
        losses.push("the meta shard: which nodes, regions and shards there are".to_owned());
    }
    let regions = first.map_or(&[][..], |meta| &meta.regions);
    let region = regions.iter().find(|region| region.name == identity.region);
    if region.is_none_or(|region| region.voters < 2) {
        losses.push(format!(
            "all shards of region {} that have this node as their only voter",
            identity.region
        ));
    }
    losses
}

/// Where the old store and the new one go.
pub struct Places {
    pub store: PathBuf,
    new: PathBuf,
    pub aside: PathBuf,
}

impl Places {
    /// Of a data folder. What an earlier repair that was cut short made is
    /// made anew.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn of(folder: &Folder) -> anyhow::Result<Self> {
        let path = folder.path();
        let mut aside = (1..).map(|n| path.join(format!("db.aside-{n}")));
        let aside = aside.find(|path| !path.exists());
        let new = path.join("db.new");
        if new.exists() {
            fs::remove_dir_all(&new).with_context(|| new.display().to_string())?;
        }
        Ok(Self {
            store: folder.store(),
            new,
            aside: aside.context("numbers are endless")?,
        })
    }

    /// The old store goes aside, the new one takes its place.
    fn swap(&self) -> anyhow::Result<()> {
        let moved = |from: &Path, to: &Path| {
            fs::rename(from, to)
                .with_context(|| format!("moving {} to {}", from.display(), to.display()))
        };
        moved(&self.store, &self.aside)?;
        moved(&self.new, &self.store)?;
        if let Some(parent) = self.store.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    }
}

/// Makes a new store of what is whole, without the shards in `damaged`.
pub struct Repair<'a> {
    pub old: &'a dyn Store,
    pub me: NodeId,
    pub placement: &'a Placement,
    pub damaged: &'a BTreeSet<ShardId>,
}

type KeyRange = (Bytes, Bytes);

impl Repair<'_> {
    /// Copies, and swaps the two. `each` is told of the records copied.
    ///
    /// # Errors
    /// When a part that passed for whole cannot be read, or nothing can be
    /// written.
    pub fn run(&self, places: &Places, each: &mut dyn FnMut(u64)) -> anyhow::Result<()> {
        let new = RocksStore::open(&places.new, &RocksOptions::default())?;
        let mut copied = 0;
        // What is worked out from other tables is made anew from what is left.
        for table in Table::ALL.into_iter().filter(|t| !t.is_derived()) {
            let mut from = Bytes::new();
            for (hole, end) in self.holes(table) {
                self.copy(&new, table, (from, hole), &mut copied, each)?;
                from = end;
            }
            let end = Bytes::from_static(keys::TABLE_END);
            self.copy(&new, table, (from, end), &mut copied, each)?;
        }
        release(&new)?;
        let older = self.numbers(&new)?;
        let mut batch = Batch::new();
        batch.delete(Table::Node, keys::node::INDEXED);
        for shard in self.placement.all_shards() {
            let mine = shard.voters.contains(&self.me);
            if mine && !self.damaged.contains(&shard.id) && older.1 {
                batch.put(
                    Table::Node,
                    keys::node::remembered(shard.id),
                    older.0.clone(),
                );
            }
        }
        new.write(batch)?;
        new.sync()?;
        new.close()?;
        places.swap()
    }

    /// Says in the new store that it may lack something since now. Gives the
    /// number of that, and whether the old store had none: what had not been
    /// remembered of an earlier finding stays so.
    fn numbers(&self, new: &dyn Store) -> Result<(Bytes, bool), StoreError> {
        let read = |key: &[u8]| -> Result<u64, StoreError> {
            let value = new.get(Table::Node, key)?;
            let number = value.and_then(|bytes| <[u8; 8]>::try_from(&bytes[..]).ok());
            Ok(number.map_or(0, u64::from_be_bytes))
        };
        let before = read(keys::node::OLDER)?;
        let number = (read(keys::node::INCARNATION)? + 1).max(before + 1);
        let value = Bytes::copy_from_slice(&number.to_be_bytes());
        let mut batch = Batch::new();
        for name in [keys::node::OLDER, keys::node::INCARNATION] {
            batch.put(Table::Node, Bytes::from_static(name), value.clone());
        }
        new.write(batch)?;
        Ok((value, before == 0))
    }

    /// What is left out of a table, in order.
    fn holes(&self, table: Table) -> Vec<KeyRange> {
        let mut holes = Vec::new();
        for id in self.damaged {
            let Some(shard) = self.placement.shard(*id) else {
                continue;
            };
            let directory = self.placement.state().directory.iter();
            let directory: Vec<_> = directory
                .filter(|range| range.shard == id.0)
                .cloned()
                .collect();
            let slots = slots_here(shard, self.old);
            let state = state_ranges(shard, slots, &directory).into_iter();
            holes.extend(
                state
                    .filter(|(of, _, _)| *of == table)
                    .map(|(_, from, to)| (from, to)),
            );
            match table {
                Table::Raft => holes.push(keys::raft::shard_range(*id)),
                Table::Node => {
                    let (first, last) = slots;
                    holes.push(keys::node::copies_of(shard.region, first, last));
                    let one = |key: Bytes| (key.clone(), keys::successor(&key));
                    holes.push(one(keys::node::follow(*id)));
                    holes.push(one(keys::node::replica(*id)));
                    holes.push(one(keys::node::remembered(*id)));
                }
                _ => {}
            }
        }
        holes.sort();
        holes
    }

    fn copy(
        &self,
        new: &dyn Store,
        table: Table,
        (mut from, to): KeyRange,
        copied: &mut u64,
        each: &mut dyn FnMut(u64),
    ) -> anyhow::Result<()> {
        let mut batch = Batch::new();
        loop {
            let page = self.old.scan(table, &from, &to, PAGE, Direction::Forward);
            let page = match page {
                Ok(page) => page,
                Err(error) if table == Table::Node => {
                    eprintln!(
                        "what is behind a damaged record of this node alone is left out: {error}"
                    );
                    break;
                }
                Err(error) => bail!(
                    "table {table} cannot be read beside what is set aside ({error}): nothing was changed"
                ),
            };
            let Some((last, _)) = page.last() else { break };
            from = keys::successor(last);
            *copied += page.len() as u64;
            for (key, value) in page {
                batch.put(table, key, value);
            }
            if batch.len_bytes() >= BATCH {
                new.write(std::mem::take(&mut batch))?;
            }
            each(*copied);
        }
        if !batch.is_empty() {
            new.write(batch)?;
        }
        Ok(())
    }
}

/// Takes a folder that is older than what the node had for all there is. Gives
/// whether it was.
///
/// # Errors
/// When the store fails.
pub fn trust(store: &dyn Store, placement: &Placement) -> Result<bool, StoreError> {
    let Some(older) = store.get(Table::Node, keys::node::OLDER)? else {
        return Ok(false);
    };
    let mut batch = Batch::new();
    for shard in placement.all_shards() {
        batch.put(Table::Node, keys::node::remembered(shard.id), older.clone());
    }
    store.write(batch)?;
    store.sync()?;
    Ok(true)
}

/// Lets a node start again that was stopped because another process had its
/// number. Gives whether it was.
///
/// # Errors
/// When the store fails.
pub fn release(store: &dyn Store) -> Result<bool, StoreError> {
    let name = Bytes::from_static(keys::node::REPLACED);
    let replaced = store.get(Table::Node, &name)?.is_some();
    let mut batch = Batch::new();
    batch.delete(Table::Node, name);
    store.write(batch)?;
    store.sync()?;
    Ok(replaced)
}

/// Puts an empty store in the place of one that cannot be opened.
///
/// # Errors
/// When it cannot be made.
pub fn replace_all(places: &Places) -> anyhow::Result<()> {
    let new = RocksStore::open(&places.new, &RocksOptions::default())?;
    let mut batch = Batch::new();
    let one = Bytes::copy_from_slice(&1u64.to_be_bytes());
    for name in [keys::node::OLDER, keys::node::INCARNATION] {
        batch.put(Table::Node, Bytes::from_static(name), one.clone());
    }
    new.write(batch)?;
    new.close()?;
    places.swap()
}
