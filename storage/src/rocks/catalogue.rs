//! Every option of RocksDB, in one place.
//!
//! Durability rests on these: writes go to the WAL unsynced and one
//! `flush_wal(true)` makes many of them durable; no `unordered_write`, no
//! `manual_wal_flush`, no WAL turned off. A WAL that is cut short (the tail of
//! unsynced writes) is recovered; one that is damaged in the middle is an
//! error, not a silent cut (D19).

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, LogLevel,
    Options, ReadOptions, WriteBufferManager,
};

use crate::Table;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Part of a memtable that its Bloom filter takes: some ten bits for each of the
/// keys that find room beside their values.
const MEMTABLE_BLOOM: f64 = 0.02;

/// What a node may choose. The defaults suit a small machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RocksOptions {
    /// Block cache of all tables together, in bytes; memtables, indexes and
    /// filters are charged to it.
    pub cache_bytes: usize,
    /// Memtables of all tables together, in bytes. Over: the largest is
    /// written out.
    pub write_buffer_bytes: usize,
    /// WAL files together, in bytes. Over: the tables that keep the oldest one
    /// alive are written out.
    pub wal_bytes: u64,
    /// Flushes and compactions at once.
    pub background_jobs: i32,
    /// Files kept open.
    pub open_files: i32,
}

impl Default for RocksOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 256 * MIB,
            write_buffer_bytes: 128 * MIB,
            wal_bytes: 128 * MIB as u64,
            background_jobs: 2,
            open_files: 1_000,
        }
    }
}

/// How a table is kept.
struct Spec {
    table: Table,
    /// One memtable, in bytes.
    write_buffer: usize,
    /// One uncompressed block, in bytes: larger for scans, smaller for reads
    /// of single keys.
    block: usize,
    /// Bits per key of a Bloom filter, for tables that are asked for keys
    /// which are often not there. Their memtables have one as well.
    bloom_bits: Option<f64>,
    /// How blocks are compressed: the same on every level, so that files whose
    /// keys rise, as a log's do, move down as they are.
    compression: DBCompressionType,
    /// Files of the first level at which compaction begins, writers are slowed
    /// down, and writers wait. RocksDB's own when `None`.
    first_level: Option<[i32; 3]>,
}

const SPECS: [Spec; Table::ALL.len()] = [
    // Written once, read back rarely, deleted soon by range.
    spec(Table::Raft, 32 * MIB, 16 * KIB, None).passing(),
    spec(Table::Log, 32 * MIB, 16 * KIB, None),
    spec(Table::Heads, 8 * MIB, 4 * KIB, Some(10.0)),
    spec(Table::Rows, 16 * MIB, 8 * KIB, Some(10.0)),
    // Nearly every read finds nothing.
    spec(Table::Dedup, 16 * MIB, 4 * KIB, Some(10.0)),
    spec(Table::Shards, MIB, 4 * KIB, None),
    spec(Table::Outbox, 4 * MIB, 8 * KIB, None),
    spec(Table::Users, 4 * MIB, 4 * KIB, Some(10.0)),
    spec(Table::Inbox, 4 * MIB, 4 * KIB, Some(10.0)),
    spec(Table::Index, 8 * MIB, 8 * KIB, None),
    // Most people are mentioned nowhere.
    spec(Table::Mentions, 4 * MIB, 4 * KIB, Some(10.0)),
    // Nearly every read finds nothing.
    spec(Table::Gone, 4 * MIB, 4 * KIB, Some(10.0)),
    spec(Table::Node, MIB, 4 * KIB, None),
];

const fn spec(table: Table, write_buffer: usize, block: usize, bloom_bits: Option<f64>) -> Spec {
    Spec {
        table,
        write_buffer,
        block,
        bloom_bits,
        compression: DBCompressionType::Lz4,
        first_level: None,
    }
}

impl Spec {
    /// What is deleted before it is worth compressing or moving.
    const fn passing(self) -> Self {
        Self {
            compression: DBCompressionType::None,
            first_level: Some([16, 40, 60]),
            ..self
        }
    }
}

/// Options of the database as a whole.
pub(super) fn database(options: &RocksOptions, cache: &Cache) -> Options {
    let mut db = Options::default();
    db.create_if_missing(true);
    db.create_missing_column_families(true);
    db.set_paranoid_checks(true);
    db.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    db.set_max_total_wal_size(options.wal_bytes);
    db.set_max_background_jobs(options.background_jobs);
    db.set_max_open_files(options.open_files);
    // Memtables count against the cache, so that one number bounds both. No
    // stalls: over the limit a flush is started, and writers go on.
    db.set_write_buffer_manager(&WriteBufferManager::new_write_buffer_manager_with_cache(
        options.write_buffer_bytes,
        false,
        cache.clone(),
    ));
    // Spreads the writing of table files; the WAL is synced by us.
    db.set_bytes_per_sync(MIB as u64);
    // RocksDB's own log: short, the node has its own.
    db.set_log_level(LogLevel::Warn);
    db.set_keep_log_file_num(3);
    db.set_max_log_file_size(4 * MIB);
    db.set_stats_dump_period_sec(0);
    db.set_stats_persist_period_sec(0);
    db
}

/// All column families with their options.
pub(super) fn families(cache: &Cache) -> Vec<ColumnFamilyDescriptor> {
    families_of(cache, |_| true)
}

/// Those of some tables.
pub(super) fn families_of(
    cache: &Cache,
    has: impl Fn(Table) -> bool,
) -> Vec<ColumnFamilyDescriptor> {
    SPECS
        .iter()
        .filter(|spec| has(spec.table))
        .map(|spec| ColumnFamilyDescriptor::new(spec.table.name(), family(spec, cache)))
        .collect()
}

fn family(spec: &Spec, cache: &Cache) -> Options {
    let mut block = BlockBasedOptions::default();
    block.set_block_cache(cache);
    block.set_block_size(spec.block);
    block.set_cache_index_and_filter_blocks(true);
    block.set_cache_index_and_filter_blocks_with_high_priority(true);
    block.set_pin_l0_filter_and_index_blocks_in_cache(true);
    if let Some(bits) = spec.bloom_bits {
        block.set_bloom_filter(bits, false);
        block.set_whole_key_filtering(true);
    }
    let mut family = Options::default();
    family.set_block_based_table_factory(&block);
    family.set_write_buffer_size(spec.write_buffer);
    family.set_max_write_buffer_number(3);
    family.set_level_compaction_dynamic_level_bytes(true);
    family.set_compression_type(spec.compression);
    if spec.bloom_bits.is_some() {
        family.set_memtable_whole_key_filtering(true);
        family.set_memtable_prefix_bloom_ratio(MEMTABLE_BLOOM);
    }
    if let Some([begin, slow, wait]) = spec.first_level {
        family.set_level_zero_file_num_compaction_trigger(begin);
        family.set_level_zero_slowdown_writes_trigger(slow);
        family.set_level_zero_stop_writes_trigger(wait);
    }
    family
}

/// Options of every read.
pub(super) fn reads() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_verify_checksums(true);
    options
}

#[cfg(test)]
#[test]
fn the_catalogue_has_every_table_once() {
    let tables: Vec<Table> = SPECS.iter().map(|spec| spec.table).collect();
    assert_eq!(tables, Table::ALL);
}
