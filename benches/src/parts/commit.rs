//! How many records a second the store's group commit makes durable on this
//! disk, and how many a bare loop that writes as many at once.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use folkmoot_storage::{
    Batch, Commit, CommitOptions, RocksOptions, RocksStore, Store, Table, ThreadCommit, keys,
};
use folkmoot_wire::{GroupId, RegionId, Slot};
use serde::Serialize;

use crate::flags::Common;
use crate::machine::{Cores, Machine, pin_this_thread};
use crate::run;
use crate::table::{align, thousands, titled};

const RECORD: usize = 200;
const RUN: Duration = Duration::from_secs(2);
/// Records on their way at once. 16 and 4,096 are those of `path`.
const IN_FLIGHT: [usize; 4] = [1, 16, 256, 4_096];

/// Flags of `folkmoot-bench commit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
}

/// Everything.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    record_bytes: usize,
    rows: Vec<Row>,
}

/// Durable records a second.
#[derive(Debug, Serialize)]
struct Row {
    in_flight: usize,
    group_commit: f64,
    bare_loop: f64,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    run::printed(
        options.common.json,
        async |cores| measure(options, cores),
        print,
    )?;
    Ok(())
}

fn print(report: &Report) {
    println!("records of {} bytes a second", report.record_bytes);
    let mut table = titled(&["on their way", "group commit", "bare loop", "ours to it"]);
    for row in &report.rows {
        table.add_row([
            row.in_flight.to_string(),
            thousands(row.group_commit),
            thousands(row.bare_loop),
            format!("{:.2}", row.group_commit / row.bare_loop),
        ]);
    }
    align(&mut table);
    println!("{table}");
}

fn measure(options: &Options, cores: Cores) -> anyhow::Result<Report> {
    let folder = run::folder(options.common.data.as_deref())?;
    let mut rows = Vec::new();
    for in_flight in IN_FLIGHT {
        let path = |name: &str| folder.path().join(format!("{name}-{in_flight}"));
        rows.push(Row {
            in_flight,
            group_commit: group_commit(&path("ours"), in_flight, cores)?,
            bare_loop: on_core(cores.server, || bare_loop(&path("bare"), in_flight))?,
        });
    }
    Ok(Report {
        machine: Machine::here(&cores, folder.path()),
        record_bytes: RECORD,
        rows,
    })
}

/// Does it on a thread of this core, as all threads that it starts are.
fn on_core<R: Send>(
    core: Option<usize>,
    work: impl FnOnce() -> anyhow::Result<R> + Send,
) -> anyhow::Result<R> {
    let pinned = || {
        core.map_or(Ok(()), pin_this_thread)?;
        work()
    };
    let done = thread::scope(|scope| scope.spawn(pinned).join());
    done.map_err(|_| anyhow!("a thread has failed"))?
}

/// With the store and what commits on the servers' core, and who writes on the
/// generator's.
fn group_commit(path: &Path, in_flight: usize, cores: Cores) -> anyhow::Result<f64> {
    let (store, commit) = on_core(cores.server, || {
        let store: Arc<dyn Store> = Arc::new(RocksStore::open(path, &RocksOptions::default())?);
        let commit = ThreadCommit::start(Arc::clone(&store), CommitOptions::default())?;
        Ok((store, commit))
    })?;
    let begin = Instant::now();
    let records = write(&commit, in_flight, begin)?;
    let rate = records as f64 / begin.elapsed().as_secs_f64();
    commit.stop();
    store.close()?;
    Ok(rate)
}

fn key(seq: u64) -> bytes::Bytes {
    keys::log::key(&GroupId::new(RegionId(1), Slot(7), [0; 11]), seq)
}

/// Writes until the time is over; gives the records called back for.
fn write(commit: &ThreadCommit, in_flight: usize, begin: Instant) -> anyhow::Result<u64> {
    let (sender, receiver) = mpsc::channel();
    let (mut seq, mut acknowledged) = (0, 0);
    while begin.elapsed() < RUN {
        while seq - acknowledged < in_flight as u64 {
            seq += 1;
            let mut batch = Batch::new();
            batch.put(Table::Log, key(seq), vec![7; RECORD]);
            let sender = sender.clone();
            // Who waits may have gone home already.
            commit.submit(batch, Box::new(move |result| drop(sender.send(result))));
        }
        receiver.recv().context("the commit thread has ended")??;
        acknowledged += 1;
    }
    Ok(acknowledged)
}

/// RocksDB as it comes, and one batch after the other, each synced.
fn bare_loop(path: &Path, batch: usize) -> anyhow::Result<f64> {
    let db = rocksdb::DB::open_default(path)?;
    let mut synced = rocksdb::WriteOptions::default();
    synced.set_sync(true);
    let begin = Instant::now();
    let mut records = 0;
    while begin.elapsed() < RUN {
        let mut writes = rocksdb::WriteBatch::default();
        for _ in 0..batch {
            records += 1;
            writes.put(key(records), [7; RECORD]);
        }
        db.write_opt(writes, &synced)?;
    }
    Ok(records as f64 / begin.elapsed().as_secs_f64())
}
