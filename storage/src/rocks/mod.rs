//! The store on disk: RocksDB, one column family per table.

mod catalogue;
mod error;
mod folder;
mod read;
mod snapshot;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::RwLock;
use rocksdb::{Cache, WriteBatch, WriteOptions};

pub use catalogue::RocksOptions;
pub use folder::FORMAT_VERSION;

use crate::store::Pair;
use crate::{Batch, Direction, Op, Read, Store, StoreError, Table};
use error::from_rocks;
use folder::Folder;
use read::Db;
use snapshot::Snapshots;

/// Whether a write or a sync failed: then nothing is read or written any more.
#[derive(Default)]
struct Health(OnceLock<String>);

impl Health {
    fn check(&self) -> Result<(), StoreError> {
        match self.0.get() {
            Some(cause) => Err(StoreError::Failed {
                cause: cause.clone(),
            }),
            None => Ok(()),
        }
    }

    fn fail(&self, error: StoreError) -> StoreError {
        tracing::error!(%error, "the store failed and stops");
        self.0.get_or_init(|| error.to_string());
        error
    }
}

/// The database and the lock on its folder. The database goes first: fields
/// are dropped in order.
struct Open {
    db: Arc<Db>,
    _folder: Folder,
}

/// A store in a folder of its own.
///
/// Closing is explicit ([`Store::close`]); a store that is dropped without it
/// loses nothing that was synced.
pub struct RocksStore {
    open: RwLock<Option<Open>>,
    health: Arc<Health>,
    snapshots: Arc<Snapshots>,
    read_only: bool,
}

impl RocksStore {
    /// Opens the store in `path`; makes one when the folder is empty or not
    /// there. The folder must hold nothing else.
    ///
    /// # Errors
    /// When the folder holds something else, was written by a newer build, is
    /// in use, or is damaged.
    pub fn open(path: impl AsRef<Path>, options: &RocksOptions) -> Result<Self, StoreError> {
        let cache = Cache::new_lru_cache(options.cache_bytes);
        let database = catalogue::database(options, &cache);
        Self::open_with(path.as_ref(), &database, &cache)
    }

    fn open_with(
        path: &Path,
        database: &rocksdb::Options,
        cache: &Cache,
    ) -> Result<Self, StoreError> {
        let folder = Folder::open(path)?;
        check_tables(&folder, database)?;
        let db = Db::open_cf_descriptors(database, folder.data(), catalogue::families(cache))
            .map_err(|error| opening(&folder, &error))?;
        tracing::info!(path = %folder.path().display(), "store opened");
        Ok(Self::new(db, folder, false))
    }

    /// Opens the store in `path`, of a node that is stopped, for reading.
    /// Nothing is written into the folder. The node cannot start meanwhile.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and when there is no store in `path`.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let folder = Folder::open_read_only(path.as_ref())?;
        let options = RocksOptions::default();
        let cache = Cache::new_lru_cache(options.cache_bytes);
        let mut database = catalogue::database(&options, &cache);
        database.create_if_missing(false);
        database.create_missing_column_families(false);
        // A folder that an earlier build wrote may lack the latest tables.
        let there = check_tables(&folder, &database)?;
        let families = catalogue::families_of(&cache, |table| there.contains(&table));
        let db = Db::open_cf_descriptors_read_only(&database, folder.data(), families, false)
            .map_err(|error| opening(&folder, &error))?;
        Ok(Self::new(db, folder, true))
    }

    /// Writes a table anew, without what was overwritten or deleted, and gives
    /// the bytes that the keys in `[from, to)` then take on disk, to a block or
    /// so. For measurements: it takes its time.
    ///
    /// # Errors
    /// When the store is closed or fails.
    pub fn compacted_bytes(&self, table: Table, from: &[u8], to: &[u8]) -> Result<u64, StoreError> {
        self.with_writable(|db| {
            let family = read::family(db, table)?;
            db.compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
            let range = rocksdb::Range::new(from, to);
            Ok(db
                .get_approximate_sizes_cf(family, &[range])
                .into_iter()
                .sum())
        })
    }

    fn new(db: Db, folder: Folder, read_only: bool) -> Self {
        Self {
            open: RwLock::new(Some(Open {
                db: Arc::new(db),
                _folder: folder,
            })),
            health: Arc::default(),
            snapshots: Arc::default(),
            read_only,
        }
    }

    /// Runs `work` on the database, which is not closed meanwhile.
    fn with<T>(&self, work: impl FnOnce(&Db) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let open = self.open.read();
        let open = open.as_ref().ok_or(StoreError::Closed)?;
        self.health.check()?;
        work(&open.db)
    }

    fn with_writable<T>(
        &self,
        work: impl FnOnce(&Db) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.with(|db| {
            if self.read_only {
                return Err(StoreError::ReadOnly);
            }
            work(db).map_err(|error| self.health.fail(error))
        })
    }
}

/// Refuses tables that this build does not know: RocksDB's own message about
/// them would help nobody. Gives those that are there.
fn check_tables(folder: &Folder, options: &rocksdb::Options) -> Result<Vec<Table>, StoreError> {
    // RocksDB names its live manifest in CURRENT: without it there is no
    // database yet.
    if !folder.data().join("CURRENT").exists() {
        return Ok(Vec::new());
    }
    let names = Db::list_cf(options, folder.data()).map_err(|error| opening(folder, &error))?;
    let unknown = names.iter().find(|name| {
        *name != rocksdb::DEFAULT_COLUMN_FAMILY_NAME && Table::from_name(name).is_none()
    });
    match unknown {
        Some(name) => Err(StoreError::NewerFormat {
            path: folder.path().to_owned(),
            found: format!("{FORMAT_VERSION} with a table {name:?}"),
            supported: FORMAT_VERSION,
        }),
        None => Ok(names
            .iter()
            .filter_map(|name| Table::from_name(name))
            .collect()),
    }
}

fn opening(folder: &Folder, error: &rocksdb::Error) -> StoreError {
    from_rocks(
        &format!("open the store in {}", folder.path().display()),
        error,
    )
}

fn write_batch(db: &Db, batch: &Batch) -> Result<(), StoreError> {
    if batch.is_empty() {
        return Ok(());
    }
    // A record's header takes about 12 bytes.
    let mut out = WriteBatch::with_capacity_bytes(batch.len_bytes() + 12 * batch.len() + 16);
    for op in batch {
        match op {
            Op::Put { table, key, value } => out.put_cf(read::family(db, *table)?, key, value),
            Op::Delete { table, key } => out.delete_cf(read::family(db, *table)?, key),
            Op::DeleteRange { table, from, to } => {
                out.delete_range_cf(read::family(db, *table)?, from, to);
            }
        }
    }
    let mut options = WriteOptions::default();
    options.set_sync(false);
    db.write_opt(out, &options)
        .map_err(|error| from_rocks("write to the store", &error))
}

fn sync_wal(db: &Db) -> Result<(), StoreError> {
    db.flush_wal(true)
        .map_err(|error| from_rocks("sync the store", &error))
}

impl Read for RocksStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.with(|db| read::get(db, None, table, key))
    }

    fn get_many(&self, table: Table, keys: &[Bytes]) -> Vec<Result<Option<Bytes>, StoreError>> {
        self.with(|db| read::get_many(db, table, keys))
            .unwrap_or_else(|error| keys.iter().map(|_| Err(error.clone())).collect())
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Pair>, StoreError> {
        self.with(|db| read::scan(db, None, table, (from, to), limit, direction))
    }
}

impl Store for RocksStore {
    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        self.with_writable(|db| write_batch(db, &batch))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.with_writable(sync_wal)
    }

    fn snapshot(&self) -> Arc<dyn Read> {
        let open = self.open.read();
        self.snapshots
            .take(open.as_ref().map(|open| &open.db), &self.health)
    }

    fn close(&self) -> Result<(), StoreError> {
        let Some(open) = self.open.write().take() else {
            return Ok(());
        };
        let synced = if self.read_only || self.health.check().is_err() {
            self.health.check()
        } else {
            sync_wal(&open.db).map_err(|error| self.health.fail(error))
        };
        self.snapshots.end();
        open.db.cancel_all_background_work(true);
        drop(open);
        tracing::info!("store closed");
        synced
    }

    fn approximate_bytes(&self) -> u64 {
        let open = self.open.read();
        let Some(open) = open.as_ref() else {
            return 0;
        };
        let property = |table: Table, name: &str| -> u64 {
            read::family(&open.db, table)
                .ok()
                .and_then(|family| open.db.property_int_value_cf(family, name).ok().flatten())
                .unwrap_or(0)
        };
        Table::ALL
            .into_iter()
            .map(|table| {
                property(table, "rocksdb.total-sst-files-size")
                    + property(table, "rocksdb.cur-size-all-mem-tables")
            })
            .sum()
    }
}

#[cfg(test)]
mod tests;
