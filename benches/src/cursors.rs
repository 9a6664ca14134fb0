//! `folkmoot-bench cursors`: what it takes an edge to hear how far people have
//! read, and how little of it goes on to the home. An open loop: each mark is
//! due at its time, and is answered once the edge has it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::crowd::{Answers, Folkmoot, Marker, Marks, Over, Product, Said, Setup};
use crate::flags::Common;
use crate::machine::{Cores, Limit, Machine, Meter, Usage};
use crate::progress::Progress;
use crate::run::{self, Clean};
use crate::stats::Percentiles;
use crate::table::{align, thousands, titled};

/// Marks become due in steps of this length.
const STEP: Duration = Duration::from_millis(2);
/// The last answer comes within this time.
const LAST: Duration = Duration::from_secs(60);
/// What waits at the edge goes on within this time.
const FLUSH: Duration = Duration::from_millis(2_500);
/// Longest delay that is told apart, in microseconds.
const LONGEST: u64 = 60_000_000;
/// What is wanted, in marks a second.
const WANTED: f64 = 100_000.0;

/// Flags of `folkmoot-bench cursors`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Few readers and a short run, to see that it works
    #[arg(long)]
    quick: bool,
    /// People who read [default: 500]
    #[arg(long)]
    readers: Option<usize>,
    /// Marks a second from all of them, each a run [default: 20000,50000,100000]
    #[arg(long, value_delimiter = ',')]
    rates: Option<Vec<u32>>,
    /// Of each run [default: 10]
    #[arg(long)]
    seconds: Option<f64>,
    #[command(flatten)]
    common: Common,
}

/// Everything.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    readers: usize,
    seconds: f64,
    wanted: f64,
    rows: Vec<Row>,
}

/// One run.
#[derive(Debug, Serialize)]
struct Row {
    carrier: &'static str,
    rate: u32,
    /// Marks that were answered, a second.
    taken: f64,
    refused: u64,
    /// From when a mark was due to its answer.
    delay_ms: Percentiles,
    /// CPU seconds of the server for a million marks.
    server_s_per_million: f64,
    /// Payloads at the group's home for a thousand marks.
    payloads_per_thousand: f64,
    usage: Usage,
    limit: Limit,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    run::printed(
        options.common.json,
        async |cores| measure(options, cores).await,
        print,
    )?;
    Ok(())
}

fn print(report: &Report) {
    println!(
        "{} people tell how far they have read in one group, for {} s each; wanted: {} a second at one edge",
        report.readers,
        report.seconds,
        thousands(report.wanted)
    );
    let mut table = titled(&[
        "over",
        "asked/s",
        "taken/s",
        "refused",
        "p50 ms",
        "p99 ms",
        "max ms",
        "CPU s/M",
        "payloads/1,000",
        "limit",
    ]);
    for row in &report.rows {
        table.add_row([
            row.carrier.to_owned(),
            thousands(f64::from(row.rate)),
            thousands(row.taken),
            row.refused.to_string(),
            format!("{:.1}", row.delay_ms.p50),
            format!("{:.1}", row.delay_ms.p99),
            format!("{:.0}", row.delay_ms.most),
            format!("{:.2}", row.server_s_per_million),
            format!("{:.2}", row.payloads_per_thousand),
            row.limit.name().to_owned(),
        ]);
    }
    align(&mut table);
    println!("{table}");
}

async fn measure(options: &Options, cores: Cores) -> anyhow::Result<Report> {
    let quick = options.quick;
    let readers = options.readers.unwrap_or(if quick { 50 } else { 500 });
    let seconds = options.seconds.unwrap_or(if quick { 1.0 } else { 10.0 });
    let rates = match (&options.rates, quick) {
        (Some(rates), _) => rates.clone(),
        (None, true) => vec![5_000],
        (None, false) => vec![20_000, 50_000, 100_000],
    };
    if !(1..=10_000).contains(&readers) || !(0.5..=600.0).contains(&seconds) {
        bail!("--readers is between 1 and 10000, --seconds between 0.5 and 600");
    }
    if rates.iter().any(|rate| !(1..=1_000_000).contains(rate)) {
        bail!("--rates are between 1 and 1000000");
    }
    let folder = run::folder(options.common.data.as_deref())?;
    let carriers = [("websocket", Over::WebSocket), ("quic", Over::Quic)];
    let progress = Progress::show(rates.len() * carriers.len());
    let mut rows = Vec::new();
    for (carrier, over) in carriers {
        for rate in &rates {
            progress.step(&format!("{carrier}, {rate} a second"));
            let mut product = Folkmoot::new(options.common.folkmoot.clone(), over, true);
            product.prepare().await?;
            let setup = Setup {
                listeners: readers,
                folder: folder.path().join("server"),
                core: cores.server,
            };
            std::fs::create_dir(&setup.folder)?;
            let _clean = Clean(&setup.folder);
            // Each mark is of a message that its reader has not marked before.
            let messages = (f64::from(*rate) * seconds / readers as f64).ceil() as u64 + 1;
            let marks = product.marks(&setup, messages).await?;
            let one = one(&marks, carrier, *rate, seconds, cores).await;
            rows.push(one.with_context(|| format!("{carrier} at {rate}"))?);
            marks.stop().await?;
        }
    }
    drop(progress);
    Ok(Report {
        machine: Machine::here(&cores, folder.path()),
        readers,
        seconds,
        wanted: WANTED,
        rows,
    })
}

/// What was answered, of all readers.
struct Heard {
    delays: Histogram<u64>,
    refused: u64,
}

async fn one(
    marks: &Marks,
    carrier: &'static str,
    rate: u32,
    seconds: f64,
    cores: Cores,
) -> anyhow::Result<Row> {
    let (mut markers, answers): (Vec<_>, Vec<_>) = marks.readers().await?.into_iter().unzip();
    sleep(FLUSH).await;
    let heard = Arc::new(Mutex::new(Heard {
        delays: Histogram::new_with_max(LONGEST, 3)?,
        refused: 0,
    }));
    let total = (f64::from(rate) * seconds) as u64;
    let before = marks.payloads().await?;
    let meter = Meter::start(marks.pids(), cores)?;
    let start = Instant::now();
    let hearing = hear(answers, total, markers.len() as u64, &heard);
    pace(&mut markers, rate, total, start).await?;
    for one in hearing {
        timeout(LAST, one)
            .await
            .context("a mark without answer")???;
    }
    let time = start.elapsed().as_secs_f64();
    let usage = meter.stop()?;
    sleep(FLUSH).await;
    let payloads = marks.payloads().await?.saturating_sub(before);
    let heard = heard.lock();
    let taken = heard.delays.len();
    Ok(Row {
        carrier,
        rate,
        taken: taken as f64 / time,
        refused: heard.refused,
        delay_ms: Percentiles::of(&heard.delays),
        server_s_per_million: usage.server / 100.0 * time / (taken.max(1) as f64 / 1e6),
        payloads_per_thousand: payloads as f64 / (total as f64 / 1e3),
        limit: Limit::of(&usage),
        usage,
    })
}

/// Reads the answers of each reader until it has all of its own.
fn hear(
    answers: Vec<Answers>,
    total: u64,
    readers: u64,
    heard: &Arc<Mutex<Heard>>,
) -> Vec<JoinHandle<anyhow::Result<()>>> {
    let each = |(number, mut answers): (u64, Answers)| {
        let heard = Arc::clone(heard);
        let own = total / readers + u64::from(number < total % readers);
        tokio::spawn(async move {
            for _ in 0..own {
                match answers.next().await? {
                    Said::Done(due) => {
                        let delay = due.elapsed().as_micros() as u64;
                        heard.lock().delays.saturating_record(delay);
                    }
                    Said::Refused => heard.lock().refused += 1,
                }
            }
            anyhow::Ok(())
        })
    };
    (0..).zip(answers).map(each).collect()
}

/// Marks as they become due, by one reader after the other.
async fn pace(markers: &mut [Marker], rate: u32, total: u64, start: Instant) -> anyhow::Result<()> {
    let (mut sent, readers) = (0, markers.len() as u64);
    let mut step = start;
    while sent < total {
        sleep_until(step).await;
        let due = (step - start).as_secs_f64() * f64::from(rate);
        while sent < total && (sent as f64) <= due {
            let at = start + Duration::from_secs_f64(sent as f64 / f64::from(rate));
            markers[(sent % readers) as usize].mark(at).await?;
            sent += 1;
        }
        step += STEP;
    }
    Ok(())
}
