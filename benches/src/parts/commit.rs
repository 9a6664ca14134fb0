//! How many records per second group commit makes durable on this disk.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use folkmoot_storage::{
    Batch, Commit, CommitOptions, RocksOptions, RocksStore, Store, StoreError, Table, ThreadCommit,
    keys,
};
use folkmoot_wire::{GroupId, RegionId, Slot};

const RECORD: usize = 200;
const RUN: Duration = Duration::from_secs(2);

/// Flags of `folkmoot-bench commit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Write in a new folder inside this one, which is removed afterwards
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let base = options.data.clone().unwrap_or_else(std::env::temp_dir);
    let folder = tempfile::tempdir_in(base)?;
    println!("records of {RECORD} bytes, in {}", folder.path().display());
    println!("writers  in flight each  records/s");
    for (writers, in_flight) in [(1, 1), (1, 100), (1, 1_000), (4, 1), (4, 100), (4, 1_000)] {
        let path = folder.path().join(format!("{writers}-{in_flight}"));
        let rate = measure(&path, writers, in_flight)?;
        println!("{writers:>7}  {in_flight:>14}  {rate:>9.0}");
    }
    Ok(())
}

/// Durable records per second when each of `writers` threads keeps `in_flight`
/// records on their way.
fn measure(path: &Path, writers: u16, in_flight: usize) -> Result<f64, StoreError> {
    let store: Arc<dyn Store> = Arc::new(RocksStore::open(path, &RocksOptions::default())?);
    let commit = ThreadCommit::start(Arc::clone(&store), CommitOptions::default())?;
    let begin = Instant::now();
    let records: u64 = thread::scope(|scope| {
        let writers: Vec<_> = (0..writers)
            .map(|n| {
                let commit = &commit;
                scope.spawn(move || write(commit, n, in_flight, begin))
            })
            .collect();
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap_or(0))
            .sum()
    });
    let rate = records as f64 / begin.elapsed().as_secs_f64();
    commit.stop();
    store.close()?;
    Ok(rate)
}

/// Writes until the time is over; gives the records called back for.
fn write(commit: &ThreadCommit, writer: u16, in_flight: usize, begin: Instant) -> u64 {
    let group = GroupId::new(RegionId(1), Slot(writer), [0; 11]);
    let (sender, receiver) = mpsc::channel();
    let (mut seq, mut acknowledged) = (0, 0);
    while begin.elapsed() < RUN {
        while seq - acknowledged < in_flight as u64 {
            seq += 1;
            let mut batch = Batch::new();
            batch.put(Table::Log, keys::log::key(&group, seq), vec![7; RECORD]);
            let sender = sender.clone();
            // The writer may have gone home already.
            commit.submit(batch, Box::new(move |result| drop(sender.send(result))));
        }
        match receiver.recv() {
            Ok(Ok(())) => acknowledged += 1,
            Ok(Err(error)) => {
                eprintln!("{error}");
                break;
            }
            Err(_) => break,
        }
    }
    acknowledged
}
