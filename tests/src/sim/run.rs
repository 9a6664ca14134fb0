//! One history, and many.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{set_hook, take_hook};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use anyhow::Context;
use parking_lot::Mutex;
use tokio::runtime::{Builder, RngSeed};
use tokio::time::{Instant, timeout};

use super::book::{Book, Outcome};
use super::findings::Findings;
use super::invariants::End;
use super::plan::Plan;
use super::trace::{Event, Trace, difference};
use super::workload::Crowd;
use super::world::World;
use super::{net, quiet, workload};

/// What came out of one history.
pub struct History {
    pub seed: u64,
    /// Over every delivery and every write.
    pub hash: String,
    pub events: Vec<Event>,
    pub findings: Vec<String>,
    /// Virtual time it took.
    pub took: Duration,
    /// Changes of logs that were acknowledged, and all that were wanted.
    pub acked: usize,
    pub acts: usize,
}

/// The command that runs a seed again.
#[must_use]
pub fn again(seed: u64) -> String {
    format!("make sim SEEDS=1 FROM={seed}")
}

/// Runs the history of a seed.
///
/// # Errors
/// When the runtime cannot be made.
pub fn run(seed: u64) -> anyhow::Result<History> {
    // tokio wakes those who wait for one thing in an order of its own drawing.
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .rng_seed(RngSeed::from_bytes(&seed.to_be_bytes()))
        .build()?;
    watch_panics();
    PANICKED.set(None);
    let mut history = runtime.block_on(history(&Plan::of(seed)));
    // The tasks that are left end here, and may not panic either.
    drop(runtime);
    history.findings.extend(PANICKED.take());
    Ok(history)
}

thread_local! {
    /// What panicked on this thread: in no task of a node or a client may
    /// anything, and tokio keeps it to the task.
    static PANICKED: Cell<Option<String>> = const { Cell::new(None) };
}

fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            PANICKED.set(Some(info.to_string()));
            before(info);
        }));
    });
}

async fn history(plan: &Plan) -> History {
    let start = Instant::now();
    let findings = Findings::default();
    let trace = Arc::new(Trace::new());
    let book = Arc::new(Book::new(plan.people, findings.clone()));
    let whole = timeout(plan.longest(), live(plan, &trace, &book, &findings));
    match whole.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => findings.add(format!("{error:#}")),
        Err(_) => findings.add(format!("not at its end after {:?}", plan.longest())),
    }
    let took = start.elapsed();
    let (hash, events) = trace.finish();
    let pages = book.pages();
    let acked = |outcome: &Outcome| matches!(outcome, Outcome::Acked(_));
    History {
        seed: plan.seed,
        hash,
        events,
        findings: findings.all(),
        took,
        acked: pages.acts.iter().filter(|a| acked(&a.outcome)).count(),
        acts: pages.acts.len(),
    }
}

async fn live(
    plan: &Plan,
    trace: &Arc<Trace>,
    book: &Arc<Book>,
    findings: &Findings,
) -> anyhow::Result<()> {
    let network = net::network(Arc::clone(trace), Arc::clone(book));
    let mut world = World::found(plan, network, trace, findings)
        .await
        .context("the cluster")?;
    let Crowd { people, groups } = workload::gather(plan, &world, book, findings)
        .await
        .context("the people")?;
    let crowd = Crowd {
        people,
        groups: Arc::clone(&groups),
    };
    let busy = workload::start(crowd, plan.steps);
    world.suffer(&plan.faults).await.context("the faults")?;
    let mut people = Vec::new();
    for person in busy {
        people.push(person.await.context("a person")?);
    }
    if let Err(what) = quiet::reach(&world, &people, book).await {
        findings.add(what);
    }
    End::new(&world, book, &groups, findings).check();
    Ok(())
}

/// Runs a seed twice: what was found, and whether both were one history.
///
/// # Errors
/// As [`run`].
pub fn run_twice(seed: u64) -> anyhow::Result<History> {
    let mut first = run(seed)?;
    let second = run(seed)?;
    if first.hash != second.hash {
        let where_to = difference(&first.events, &second.events);
        first.findings.push(format!(
            "two runs differ: {}",
            where_to.unwrap_or_else(|| "in what the short form does not show".into())
        ));
    }
    Ok(first)
}

/// What came out of many.
#[derive(Default)]
pub struct Summary {
    pub seeds: u64,
    /// Seeds with findings.
    pub violations: u64,
    hashes: BTreeMap<String, u64>,
}

/// Runs `count` seeds twice each, from `from` on, on all processors, and shows
/// each history as it ends. Two seeds with one hash count as a violation.
#[must_use]
pub fn campaign(from: u64, count: u64, show: impl Fn(&History) + Sync) -> Summary {
    let next = AtomicU64::new(from);
    let summary = Mutex::new(Summary::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + count {
                        return;
                    }
                    match run_twice(seed) {
                        Ok(mut history) => {
                            let mut summary = summary.lock();
                            summary.add(&mut history);
                            show(&history);
                        }
                        Err(error) => {
                            summary.lock().violations += 1;
                            eprintln!("seed {seed}: {error:#}; again: {}", again(seed));
                        }
                    }
                }
            });
        }
    });
    summary.into_inner()
}

impl Summary {
    fn add(&mut self, history: &mut History) {
        self.seeds += 1;
        if let Some(other) = self.hashes.insert(history.hash.clone(), history.seed) {
            history
                .findings
                .push(format!("seed {other} has the same hash"));
        }
        self.violations += u64::from(!history.findings.is_empty());
    }
}
