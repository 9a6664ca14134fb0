//! One history, and many.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{set_hook, take_hook};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use anyhow::Context;
use parking_lot::Mutex;
use tokio::runtime::{Builder, RngSeed};
use tokio::time::{Instant, timeout};

use super::book::Outcome;
use super::findings::Finding;
use super::invariants::End;
use super::oracle::Oracle;
use super::plan::{Cut, Plan};
use super::sometimes::{Counts, State};
use super::suffering::Suffering;
use super::trace::{Event, difference};
use super::weather::Weather;
use super::workload::Crowd;
use super::world::{World, WorldParts};
use super::{net, quiet, workload};

/// What came out of one history.
pub struct History {
    pub seed: u64,
    /// What of the seed's plan it was.
    pub cut: Cut,
    /// Over every delivery and every write.
    pub hash: String,
    pub events: Vec<Event>,
    pub findings: Vec<Finding>,
    /// How often each fault and each interesting state occurred.
    pub counts: Counts,
    /// Virtual time it took.
    pub took: Duration,
    /// Changes of logs that were acknowledged, and all that were wanted.
    pub acked: usize,
    pub acts: usize,
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seed, hash, events) = (self.seed, &self.hash, self.events.len());
        let (acked, acts, took) = (self.acked, self.acts, self.took.as_secs());
        let verdict = match self.findings.is_empty() {
            true => "ok",
            false => "WRONG",
        };
        write!(
            f,
            "seed {seed:>6}  {hash}  {events:>6} events  {acked:>4} of {acts:>4} acknowledged  \
             {took:>4} s virtual  {verdict}"
        )
    }
}

/// Runs the history of a plan.
///
/// # Errors
/// When the runtime cannot be made.
pub fn run(plan: &Plan) -> anyhow::Result<History> {
    // tokio wakes those who wait for one thing in an order of its own drawing.
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .rng_seed(RngSeed::from_bytes(&plan.seed.to_be_bytes()))
        .build()?;
    watch_panics();
    PANICKED.set(None);
    let mut history = runtime.block_on(history(plan));
    // The tasks that are left end here, and may not panic either.
    drop(runtime);
    let panicked = PANICKED.take().map(|what| Finding {
        invariant: "panics",
        what,
    });
    history.findings.extend(panicked);
    Ok(history)
}

thread_local! {
    /// What panicked on this thread: in no task of a node or a client may
    /// anything, and tokio keeps it to the task.
    static PANICKED: Cell<Option<String>> = const { Cell::new(None) };
    /// When the history on this thread began.
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Virtual time since the history on this thread began, as in its trace.
#[must_use]
pub fn elapsed() -> Duration {
    BEGAN.get().map_or(Duration::ZERO, |began| began.elapsed())
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
    BEGAN.set(Some(start));
    let oracle = Oracle::new(plan);
    match timeout(plan.longest(), live(plan, &oracle)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => oracle.findings.add(format!("{error:#}")),
        Err(_) => {
            let finding = format!("not at its end after {:?}", plan.longest());
            oracle.findings.add(finding);
        }
    }
    let took = start.elapsed();
    let (hash, events) = oracle.trace.finish();
    let pages = oracle.book.pages();
    let acked = |outcome: &Outcome| matches!(outcome, Outcome::Acked(_));
    History {
        seed: plan.seed,
        cut: plan.cut.clone(),
        hash,
        events,
        findings: oracle.findings.all(),
        counts: oracle.sometimes.counts(),
        took,
        acked: pages.acts.iter().filter(|a| acked(&a.outcome)).count(),
        acts: pages.acts.len(),
    }
}

async fn live(plan: &Plan, oracle: &Oracle) -> anyhow::Result<()> {
    let weather = Arc::new(Weather::new(plan.seed));
    let parts = WorldParts {
        net: net::network(oracle, Arc::clone(&weather)),
        weather,
        oracle,
        start: Instant::now(),
    };
    let mut world = World::found(plan, parts).await.context("the cluster")?;
    let Crowd { people, groups } = workload::gather(plan, &world, oracle)
        .await
        .context("the people")?;
    let crowd = Crowd {
        people,
        groups: Arc::clone(&groups),
    };
    let busy = workload::start(crowd, plan.steps, &world.weather);
    let suffering = Suffering::new(&mut world, oracle, &groups);
    suffering.all(&plan.faults).await.context("the faults")?;
    let mut people = Vec::new();
    for person in busy {
        people.push(person.await.context("a person")?);
    }
    if let Err(what) = quiet::reach(&world, &people, &oracle.book).await {
        oracle.findings.add(what);
    }
    for _ in quiet::rehomed(&world) {
        oracle.sometimes.saw(State::Rehomed);
    }
    for _ in world.lies.iter().filter(|lie| !lie.stands(&world)) {
        oracle.sometimes.saw(State::LieMended);
    }
    End::new(&world, oracle, &groups).check();
    Ok(())
}

/// Runs a plan twice: what was found, and whether both were one history.
///
/// # Errors
/// As [`run`].
pub fn run_twice(plan: &Plan) -> anyhow::Result<History> {
    let mut first = run(plan)?;
    let second = run(plan)?;
    if first.hash != second.hash {
        let where_to = difference(&first.events, &second.events);
        first.findings.push(Finding {
            invariant: "repeats",
            what: where_to.unwrap_or_else(|| "in what the short form does not show".into()),
        });
    }
    Ok(first)
}

/// Seeds, and what of their plans.
#[derive(Debug, Clone, Default)]
pub struct Campaign {
    pub from: u64,
    pub count: u64,
    pub cut: Cut,
}

/// Runs seeds, each twice, on all processors, and shows each history as it
/// ends. Two seeds with one hash count as a violation.
#[must_use]
pub fn campaign(asked: &Campaign, show: impl Fn(&History) + Sync) -> Summary {
    let next = AtomicU64::new(asked.from);
    let summary = Mutex::new(Summary::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= asked.from + asked.count {
                        return;
                    }
                    match run_twice(&Plan::cut_down(seed, &asked.cut)) {
                        Ok(mut history) => {
                            summary.lock().add(&mut history);
                            show(&history);
                        }
                        Err(error) => {
                            summary.lock().violations += 1;
                            eprintln!("seed {seed}: {error:#}");
                        }
                    }
                }
            });
        }
    });
    summary.into_inner()
}

/// What came out of many.
pub struct Summary {
    pub seeds: u64,
    /// Seeds with findings.
    pub violations: u64,
    /// Changes of logs that were wanted, and those acknowledged.
    pub acts: usize,
    pub acked: usize,
    /// How often what occurred.
    pub counts: Counts,
    hashes: BTreeMap<String, u64>,
}

/// So many seeds have everything in them that can occur.
pub const ENOUGH: u64 = 100;

impl Summary {
    fn new() -> Self {
        Self {
            seeds: 0,
            violations: 0,
            acts: 0,
            acked: 0,
            counts: Counts::none(),
            hashes: BTreeMap::new(),
        }
    }

    /// What had to occur in so many seeds and did not.
    #[must_use]
    pub fn never(&self) -> Vec<&'static str> {
        match self.seeds >= ENOUGH {
            true => self.counts.never(),
            false => Vec::new(),
        }
    }

    /// Whether all held, and was tried.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.violations == 0 && self.never().is_empty()
    }

    fn add(&mut self, history: &mut History) {
        self.seeds += 1;
        if let Some(other) = self.hashes.insert(history.hash.clone(), history.seed) {
            history.findings.push(Finding {
                invariant: "repeats",
                what: format!("seed {other} has the same hash"),
            });
        }
        self.acts += history.acts;
        self.acked += history.acked;
        self.counts.add(&history.counts);
        self.violations += u64::from(!history.findings.is_empty());
    }
}
