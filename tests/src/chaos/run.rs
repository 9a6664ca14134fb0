//! One run, from the first node to the verdict.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use folkmoot_node::demo::replay::Replay;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::acts::{Act, Library};
use super::faults::{Fault, Kind, Schedule};
use super::field::{Field, PATIENCE};
use super::ledger::Ledger;
use super::listeners::Listeners;
use super::options::Options;
use super::people::People;
use super::progress::Progress;
use super::recovery::{Past, Recovery};
use super::report::{Messages, Replayed, Report, by_kind, events, steps};
use super::{judge, rejoin, strike, upgrade};

/// Who is not whole after so long is told of.
const LONG: Duration = Duration::from_secs(5);
/// Between two faults.
const CALM: Duration = Duration::from_millis(1_500);
/// After the last fault all that was said is settled within this time.
const SETTLED: Duration = Duration::from_secs(90);
/// An act comes to its end within this time of the last fault.
const LAST_ACT: Duration = Duration::from_secs(240);
const LOOK: Duration = Duration::from_millis(50);

/// What a run is made of.
struct Run<'a> {
    options: &'a Options,
    seed: u64,
    field: Field,
    ledger: Arc<Ledger>,
    listeners: Arc<Listeners>,
    /// The cluster's id, in hex.
    cluster: String,
    progress: Progress,
    /// Held by what must not meet a fault, and by a fault.
    calm: Mutex<()>,
}

/// Runs it in `folder`, where the nodes' logs stay.
///
/// # Errors
/// When it cannot be run at all. What is wrong with the product is in the
/// report.
pub async fn run(options: &Options, seed: u64, folder: &Path) -> anyhow::Result<Report> {
    let start = Instant::now();
    let binary = options.binary()?;
    let next = match &options.next {
        Some(path) => std::fs::canonicalize(path).context("--next")?,
        None => upgrade::changed_copy(&binary, folder.join("folkmoot-next"))?,
    };
    let versions = [upgrade::version(&binary)?, upgrade::version(&next)?];
    let progress = Progress::show(options.time(), options.json);
    progress.says("nine nodes start");
    let field = Field::start(folder, [binary, next], options.wan).await?;
    let cluster = field.cluster().await?;
    let run = Run {
        options,
        seed,
        field,
        cluster: cluster.id.clone(),
        ledger: Arc::default(),
        listeners: Arc::default(),
        progress,
        calm: Mutex::new(()),
    };
    let mut library = Library::open(&options.library()?, seed)?;
    let people = People::start(&cluster, &run.ledger, &run.listeners).await?;
    let began = Instant::now();
    let (struck, played) = tokio::join!(run.strike_all(&people), run.play_all(&mut library));
    let seconds = began.elapsed();
    let (pasts, mut violations) = struck;
    let (replays, wrong) = played;
    violations.extend(wrong);
    violations.extend(run.end(people, &replays, folder).await?);
    violations.extend(run.listeners.wrong());
    let (listeners, entries_read) = run.listeners.counts();
    Ok(Report {
        ok: violations.is_empty(),
        seed,
        again: options.again(seed),
        seconds: seconds.as_secs_f64(),
        wall_seconds: start.elapsed().as_secs_f64(),
        versions,
        nodes: run.field.machines.len(),
        wan: options.wan,
        faults: by_kind(&pasts),
        events: events(&pasts),
        histogram: steps(&pasts),
        messages: Messages::of(&run.ledger),
        replay: replayed(&replays),
        listeners,
        entries_read,
        violations,
        evidence: None,
    })
}

fn replayed(replays: &[Arc<Replay>]) -> Replayed {
    let mut all = Replayed::default();
    for replay in replays {
        all.acts += 1;
        for group in &replay.groups {
            all.logs += 1;
            all.lines += group.lines;
            all.entries += group.entries();
        }
        for (sum, clients) in all.clients.iter_mut().zip(&replay.clients) {
            *sum += clients.load(std::sync::atomic::Ordering::Relaxed);
        }
    }
    all
}

impl Run<'_> {
    /// One fault after the other, until the time is over.
    async fn strike_all(&self, people: &People) -> (Vec<Past>, Vec<String>) {
        let (mut pasts, mut violations) = (Vec::new(), Vec::new());
        let start = Instant::now();
        for fault in Schedule::of(self.seed, self.options.kinds()) {
            self.progress.at(start.elapsed());
            if start.elapsed() >= self.options.time() {
                break;
            }
            let _calm = self.calm.lock().await;
            let whom = self.whom(&fault);
            self.progress
                .says(&format!("{}: {} of {whom}", fault.number, fault.kind));
            match self.one(&fault, people).await {
                Ok(past) => {
                    self.progress.line(&line(&past));
                    pasts.push(past);
                }
                Err(error) => {
                    let what = format!(
                        "fault {}, {} of {whom}: {error:#}",
                        fault.number, fault.kind
                    );
                    self.progress.line(&what);
                    violations.push(what);
                    if let Err(error) = self.field.revive() {
                        violations.push(format!("healing all: {error:#}"));
                    }
                    // What it broke would be found again and again.
                    break;
                }
            }
        }
        self.progress.at(start.elapsed());
        (pasts, violations)
    }

    fn whom(&self, fault: &Fault) -> String {
        let name = |region: usize| folkmoot_node::demo::regions::NAMES[region].to_owned();
        match fault.kind {
            Kind::RegionCut | Kind::RegionLoss => name(fault.region),
            Kind::RegionDeaf => format!("{} to {}", name(fault.region), name(fault.other)),
            Kind::Upgrade => "all".to_owned(),
            _ => self.field.machines[fault.machine].name().to_owned(),
        }
    }

    async fn one(&self, fault: &Fault, people: &People) -> anyhow::Result<Past> {
        let mut struck = strike::strike(&self.field, fault, self.seed).await?;
        let mut late = Vec::new();
        let end = struck.healed + PATIENCE;
        loop {
            let recovery = Recovery::of(&self.ledger, &people.lanes, &struck);
            if recovery.spans.all_from_healing.is_some() {
                break;
            }
            late.extend(rejoin::late(&self.field).await?);
            anyhow::ensure!(
                Instant::now() < end,
                "after {PATIENCE:?} not everybody is served again: {:?}",
                self.unserved(people, &struck)
            );
            sleep(LOOK).await;
        }
        let lacked = self.field.is_whole(PATIENCE).await?;
        let whole = struck.healed.elapsed();
        if whole > LONG {
            late.push(format!("long {lacked}"));
        }
        let recovery = Recovery {
            whole: Some(whole),
            ..Recovery::of(&self.ledger, &people.lanes, &struck)
        };
        sleep(CALM).await;
        late.extend(rejoin::late(&self.field).await?);
        self.field.is_whole(PATIENCE).await?;
        struck
            .note
            .extend(late.iter().map(|said| format!("; {said}")));
        Ok(Past {
            fault: fault.clone(),
            whom: self.whom(fault),
            recovery,
            struck,
        })
    }

    fn unserved(&self, people: &People, struck: &strike::Struck) -> Vec<super::ledger::Lane> {
        let first = self.ledger.first_since(struck.healed, &people.lanes);
        let lanes = people.lanes.iter().zip(first);
        (lanes.filter(|(_, first)| first.is_none()))
            .map(|(lane, _)| *lane)
            .collect()
    }

    /// One act after the other, until the time is over.
    async fn play_all(&self, library: &mut Library) -> (Vec<Arc<Replay>>, Vec<String>) {
        let (mut replays, mut violations) = (Vec::new(), Vec::new());
        let end = Instant::now() + self.options.time();
        while Instant::now() < end && violations.is_empty() {
            let prepared = {
                let _calm = self.calm.lock().await;
                Act::prepare(&self.field, library, &self.listeners).await
            };
            let act = match prepared {
                Ok(act) => act,
                Err(error) => {
                    violations.push(format!("an act cannot begin: {error:#}"));
                    break;
                }
            };
            let left = end.saturating_duration_since(Instant::now()) + LAST_ACT;
            match timeout(left, act.play()).await {
                Ok(Ok(wrong)) => violations.extend(wrong),
                Ok(Err(error)) => violations.push(format!("an act broke off: {error:#}")),
                Err(_) => violations.push(format!("an act does not end: {}", how_far(&act))),
            }
            replays.push(act.end().await);
        }
        (replays, violations)
    }

    /// Everything is healed. What is there?
    async fn end(
        &self,
        mut people: People,
        replays: &[Arc<Replay>],
        folder: &Path,
    ) -> anyhow::Result<Vec<String>> {
        let mut violations = Vec::new();
        self.progress
            .says("all is healed: what was said is settled");
        if let Err(error) = self.field.is_whole(PATIENCE).await {
            violations.push(format!("when all is healed: {error:#}"));
        }
        people.fall_silent(SETTLED).await;
        self.progress.says("all nodes are to agree");
        let groups = people.groups.clone();
        match self.field.cluster().await {
            Ok(now) => {
                let wrong = judge::online(&now, replays, &groups, &self.listeners).await;
                violations.extend(wrong);
            }
            Err(error) => violations.push(format!("the nodes cannot be asked: {error:#}")),
        }
        people.leave().await;
        self.progress
            .says("the nodes stop, and their folders are read");
        for machine in &self.field.machines {
            let ended = match machine.ended()? {
                Some(status) => status,
                None => machine.stop().await?,
            };
            if !ended.success() {
                let why = machine.last_words();
                violations.push(format!("{} ended with {ended}: {why}", machine.name()));
            }
        }
        let export = folder.join("export");
        let (ledger, id) = (&self.ledger, &self.cluster);
        let read = judge::offline(&self.field, replays, &groups, ledger, id, &export);
        violations.extend(read?);
        Ok(violations)
    }
}

fn how_far(act: &Act) -> String {
    let (done, of) = act.replay.progress();
    format!("{done} of {of} steps")
}

fn line(past: &Past) -> String {
    let ms = |time: Option<Duration>| time.map_or("-".to_owned(), |t| t.as_millis().to_string());
    format!(
        "{:>4} {:<16}{:<10} groups {:>6} ms; after its end all {:>6} ms, whole {:>6} ms  {}",
        past.fault.number,
        past.fault.kind,
        past.whom,
        ms(past.recovery.spans.groups_from_injection),
        ms(past.recovery.spans.all_from_healing),
        ms(past.recovery.whole),
        past.struck.note
    )
}
