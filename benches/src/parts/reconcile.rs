//! What it costs to find the rows in which two copies differ, and to bring
//! them: bytes, round trips and time, for one million rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, ensure};
use folkmoot_replication::reconcile::{RowSums, SHAPE, Session, Shape, answer};
use folkmoot_storage::{Batch, MemStore, Place, Store, Table, keys, value};
use folkmoot_wire::proto::{CursorValue, Row, row};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{GroupId, RegionId, Slot, UserId};
use prost::Message;

const KEY: [u8; 32] = [7; 32];
/// Rows written at once.
const BATCH: u32 = 10_000;
/// Differences that are measured.
const DIFFERENCES: [u32; 3] = [1, 100, 10_000];
/// Prints and sums, in bytes, as our own messages have them.
const PRINT: u64 = 4;

/// Flags of `folkmoot-bench reconcile`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Rows of each copy
    #[arg(long, default_value_t = 1_000_000)]
    rows: u32,
}

#[derive(Debug, serde::Serialize)]
struct Line {
    differences: u32,
    scheme: String,
    round_trips: u64,
    bytes: u64,
    /// Bytes of the rows that differ, which any scheme has to bring.
    row_bytes: u64,
    /// log2 of the ways to choose so many rows of so many, in bytes, and the
    /// rows' own bytes.
    floor_bytes: u64,
    /// Of both sides together; none where the cost was counted, not run.
    milliseconds: Option<f64>,
}

#[derive(Debug, serde::Serialize)]
struct Report {
    rows: u32,
    /// The first summary of all rows of one copy.
    summary_milliseconds: f64,
    blocks: usize,
    lines: Vec<Line>,
}

fn group() -> GroupId {
    GroupId::new(RegionId(1), Slot(1), [1; 11])
}

fn user(n: u32) -> anyhow::Result<UserId> {
    let hash = blake3::hash(&n.to_be_bytes());
    let unique: [u8; 11] = hash.as_bytes()[..11].try_into()?;
    Ok(UserId::new(
        RegionId(1 + (n % 3) as u16),
        Slot((n % 64) as u16),
        unique,
    ))
}

fn cursor(n: u32, seq: u64) -> anyhow::Result<Row> {
    Ok(Row {
        key: RowKey::Cursor(user(n)?).to_bytes(),
        value: Some(row::Value::Cursor(CursorValue {
            seq,
            count: seq,
            at_all: 3,
        })),
    })
}

/// One copy.
struct Copy {
    store: Arc<dyn Store>,
    sums: Arc<RowSums>,
}

impl Copy {
    fn of(rows: u32) -> anyhow::Result<Self> {
        let (store, sums) = RowSums::over(Arc::new(MemStore::new()), KEY);
        let copy = Self { store, sums };
        let all: Vec<u32> = (0..rows).collect();
        for some in all.chunks(BATCH as usize) {
            copy.put(some.iter().map(|n| cursor(*n, 100_000)))?;
        }
        Ok(copy)
    }

    fn put(&self, rows: impl Iterator<Item = anyhow::Result<Row>>) -> anyhow::Result<()> {
        let mut batch = Batch::new();
        for row in rows {
            let row = row?;
            let key = RowKey::from_slice(&row.key)?;
            let stored = value::encode_value(&row);
            batch.put(Table::Rows, keys::rows::key(&group(), &key), stored);
        }
        Ok(self.store.write(batch)?)
    }

    fn refresh(&self) -> anyhow::Result<usize> {
        self.sums.with(&Place::of_birth(group()), |sums| {
            while !sums.refresh(usize::MAX)? {}
            Ok(sums.blocks())
        })
    }
}

/// One session, between two copies whose summaries are fresh.
fn session(ours: &Copy, theirs: &Copy, shape: &Shape) -> anyhow::Result<(u64, u64, Vec<Row>)> {
    let mut session = Session::new(*shape, 0);
    let (mut trips, mut bytes, mut rows) = (0, 0, Vec::new());
    while let Some(asked) = ours
        .sums
        .with(&Place::of_birth(group()), |sums| session.ask(sums))?
    {
        let answered = |sums: &mut _| answer(sums, shape, &asked, None);
        let diff = theirs.sums.with(&Place::of_birth(group()), answered)?;
        trips += 1;
        bytes += (asked.encoded_len() + diff.encoded_len()) as u64;
        let found = ours
            .sums
            .with(&Place::of_birth(group()), |s| session.answered(s, diff))?;
        ensure!(!found.stalled, "an answer said nothing");
        rows.extend(found.theirs);
    }
    Ok((trips, bytes, rows))
}

/// log2 of `n` over `k`.
fn choose_bits(n: u32, k: u32) -> f64 {
    (0..k)
        .map(|i| (f64::from(n - i) / f64::from(k - i)).log2())
        .sum()
}

/// A hash tree over key hashes, of fixed depth and 16 children a node: its
/// levels are compared one by one, and the rows of leaves that differ listed.
/// No part of it is run; what would be sent is counted.
fn tree(all: &[u32], changed: &BTreeSet<u32>, depth: u32) -> (u64, u64) {
    let place = |n: u32, level: u32| {
        let hash = blake3::hash(&n.to_le_bytes());
        let first: [u8; 4] = [0, 1, 2, 3].map(|at| hash.as_bytes()[at]);
        u64::from(u32::from_be_bytes(first)) >> (32 - 4 * level)
    };
    let mut bytes = PRINT;
    for level in 0..depth {
        let differ: BTreeSet<u64> = changed.iter().map(|n| shifted(&place, *n, level)).collect();
        // The children's sums, and which node's they are.
        bytes += differ.len() as u64 * (16 * PRINT + 4);
    }
    let leaves: BTreeSet<u64> = changed.iter().map(|n| place(*n, depth)).collect();
    let listed = all.iter().filter(|n| leaves.contains(&place(**n, depth)));
    bytes += listed.count() as u64 * PRINT + leaves.len() as u64 * 4;
    // The root and one level a trip, and the lists with the rows.
    (u64::from(depth) + 2, bytes)
}

fn shifted(place: &impl Fn(u32, u32) -> u64, n: u32, level: u32) -> u64 {
    if level == 0 { 0 } else { place(n, level) }
}

fn shapes() -> Vec<(String, Shape)> {
    let shape = |first, parts, leaf| Shape { first, parts, leaf };
    let mut all = vec![SHAPE];
    for tried in [
        shape(4, 4, 8),
        shape(16, 16, 16),
        shape(16, 16, 32),
        shape(64, 16, 8),
        shape(64, 16, 16),
        shape(64, 16, 64),
        shape(256, 16, 16),
        shape(256, 64, 16),
        shape(1_024, 32, 32),
    ] {
        if !all.contains(&tried) {
            all.push(tried);
        }
    }
    let name = |s: &Shape| format!("ranges {}/{}, lists of {}", s.first, s.parts, s.leaf);
    all.into_iter().map(|s| (name(&s), s)).collect()
}

fn measure(options: &Options) -> anyhow::Result<Report> {
    let (ours, theirs) = (Copy::of(options.rows)?, Copy::of(options.rows)?);
    let begun = Instant::now();
    let blocks = ours.refresh()?;
    let summary = begun.elapsed();
    let all: Vec<u32> = (0..options.rows).collect();
    let mut lines = Vec::new();
    for differences in DIFFERENCES {
        ensure!(differences <= options.rows, "too few rows");
        // Rows far from each other: keys are hashes.
        let changed: BTreeSet<u32> = (0..differences).collect();
        theirs.put(changed.iter().map(|n| cursor(*n, 100_001)))?;
        theirs.refresh()?;
        let wanted: BTreeMap<_, _> = changed
            .iter()
            .map(|n| cursor(*n, 100_001).map(|row| (row.key.clone(), row)))
            .collect::<Result<_, _>>()?;
        let row_bytes: u64 = wanted.values().map(|row| row.encoded_len() as u64).sum();
        let floor = (choose_bits(options.rows, differences) / 8.0).ceil() as u64 + row_bytes;
        let line = |scheme: String, round_trips, bytes, milliseconds| Line {
            differences,
            scheme,
            round_trips,
            bytes,
            row_bytes,
            floor_bytes: floor,
            milliseconds,
        };
        for (name, shape) in shapes() {
            let begun = Instant::now();
            let (trips, bytes, rows) = session(&ours, &theirs, &shape)?;
            let took = begun.elapsed().as_secs_f64() * 1_000.0;
            let found: BTreeMap<_, _> = rows.into_iter().map(|r| (r.key.clone(), r)).collect();
            // By 32 bits a row in ten thousand million is missed, and found
            // by the next session.
            ensure!(found == wanted, "{name}: not what differs");
            lines.push(line(name, trips, bytes, Some(took)));
        }
        for depth in [4, 5] {
            let (trips, bytes) = tree(&all, &changed, depth);
            let name = format!("hash tree, {depth} levels of 16");
            lines.push(line(name, trips, bytes + row_bytes, None));
        }
        let whole = u64::from(options.rows) * row_bytes / u64::from(differences);
        let pages = u64::from(options.rows.div_ceil(folkmoot_wire::limits::PAGE_ROWS));
        lines.push(line("all rows, in pages".into(), pages, whole, None));
    }
    Ok(Report {
        rows: options.rows,
        summary_milliseconds: summary.as_secs_f64() * 1_000.0,
        blocks,
        lines,
    })
}

fn print(report: &Report) {
    println!(
        "{} rows; the first summary took {:.0} ms and has {} blocks",
        report.rows, report.summary_milliseconds, report.blocks
    );
    println!("| differences | scheme | round trips | bytes | times the floor | ms |");
    println!("|---|---|---|---|---|---|");
    for line in &report.lines {
        let times = line.bytes as f64 / line.floor_bytes as f64;
        let took = line.milliseconds.map(|ms| format!("{ms:.1}"));
        println!(
            "| {} | {} | {} | {} | {times:.1} | {} |",
            line.differences,
            line.scheme,
            line.round_trips,
            line.bytes,
            took.unwrap_or_default()
        );
    }
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let report = measure(options).context("reconcile")?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    Ok(())
}
