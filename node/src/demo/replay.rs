//! Replaying logs: each a group, each speaker a user with a client of its own
//! at an edge of one region.

mod clients;
mod measure;
mod observe;
mod speaker;
mod stage;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use folkmoot_client::{Entry, GroupId, UserId};
use folkmoot_wire::limits;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::cluster::Cluster;
use super::script::{BRIDGE, Script};
use super::{irc, regions};
pub use clients::Dialers;
use measure::Delays;
pub use measure::Quantiles;
pub use observe::Observers;
use stage::Stage;
pub use stage::TIME_AHEAD;

/// Subject of the bridge, which owns the groups.
pub const BRIDGE_SUBJECT: &str = "bridge";
/// Clients that connect at once.
const CONNECTING: usize = 48;
/// With [`Pace::Pipelined`]: speakers that speak at once.
const SPEAKING: usize = 600;
/// Room in a group for those who join from the page.
const VISITORS: usize = 100;
/// Between the last line of a day and the first of the next one.
const NIGHT: Duration = Duration::from_secs(60);

/// When a line is said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// When the one before it is committed.
    LineByLine,
    /// When the speaker's own before it is.
    Pipelined,
    /// At its time in the log, so many times as fast, whatever became of those
    /// before it; but no speaker's before his own. That time begins
    /// [`TIME_AHEAD`] after the replay does.
    Timed(f64),
}

/// A log to replay.
pub struct Log {
    /// The group's name.
    pub name: String,
    /// Lines read.
    pub lines: usize,
    pub script: Script,
    /// When each step is due at the log's own speed, from the first on.
    pub due: Vec<Duration>,
    /// Room in the group for others than the speakers.
    pub room: usize,
}

impl Log {
    /// From the bytes of a file.
    #[must_use]
    pub fn of(name: String, bytes: &[u8]) -> Self {
        Self::of_days(name, &[bytes])
    }

    /// From several files, one after the other.
    #[must_use]
    pub fn of_days(name: String, days: &[&[u8]]) -> Self {
        let mut timed = Vec::new();
        let mut begin = Duration::ZERO;
        for day in days {
            let times = irc::times(day);
            let first = times.first().copied().unwrap_or_default();
            let times = times.into_iter().map(|time| begin + (time - first));
            timed.extend(times.zip(irc::events(day)));
            begin = timed.last().map_or(begin, |(last, _)| *last + NIGHT);
        }
        let lines = timed.len();
        let (script, due) = Script::timed(timed);
        Self {
            name,
            lines,
            script,
            due,
            room: VISITORS,
        }
    }
}

/// Called with region, number of the group and entry, for each entry that the
/// observer of a region reads.
pub type Listen = Box<dyn Fn(usize, usize, &Entry) + Send + Sync>;

/// A group with its script.
pub struct Performance {
    pub name: String,
    pub lines: usize,
    pub script: Script,
    /// When each step is due at the log's own speed.
    pub due: Vec<Duration>,
    pub id: GroupId,
    /// Region.
    pub home: usize,
    /// Steps that are committed.
    pub done: AtomicU64,
    /// Ids of the script's users, once they are known.
    pub users: Mutex<Vec<Option<UserId>>>,
}

impl Performance {
    /// Entries when all is said: the group's creation comes first.
    pub fn entries(&self) -> u64 {
        self.script.entries().count() as u64 + 1
    }
}

/// Everything a replay is and comes to.
pub struct Replay {
    pub cluster: Arc<Cluster>,
    pub dialers: Arc<Dialers>,
    pub groups: Vec<Arc<Performance>>,
    pub bridge: UserId,
    delays: Delays,
    /// Those who came in by the page: what they say is in no script.
    pub guests: Mutex<BTreeSet<UserId>>,
    /// What was refused for good.
    pub refused: Mutex<Vec<String>>,
    /// Clients over QUIC and over WebSocket.
    pub clients: [AtomicU64; 2],
    /// Entries delivered to each region's observer.
    pub delivered: Vec<AtomicU64>,
    /// Who else wants to know what the observers read.
    pub listen: Option<Listen>,
    connecting: Semaphore,
    speaking: Semaphore,
}

impl Replay {
    /// Makes a group for each log.
    pub async fn prepare(cluster: Arc<Cluster>, logs: Vec<Log>) -> anyhow::Result<Self> {
        let first = cluster.members.first().context("a demo has nodes")?;
        let mut groups = Vec::with_capacity(logs.len());
        let mut bridge = None;
        for (number, mut log) in logs.into_iter().enumerate() {
            let home = number % cluster.regions;
            let cap = log.script.users.len() + 1 + log.room;
            log.script.quiet_joins = cap > limits::LARGE_GROUP as usize;
            let request = json!({
                "name": log.name,
                "region": regions::NAMES[home],
                "owner": BRIDGE_SUBJECT,
                "nick": BRIDGE,
                "open": true,
                "member_cap": cap,
            });
            let made = first.place.api.post("/v1/groups", &request).await;
            let made = made.with_context(|| format!("making the group {}", log.name))?;
            let id = |key: &str| made[key].as_str().with_context(|| format!("no {key}"));
            bridge = Some(id("owner")?.parse()?);
            groups.push(Arc::new(Performance {
                id: id("group")?.parse()?,
                home,
                done: AtomicU64::new(0),
                users: Mutex::new(vec![None; log.script.users.len()]),
                name: log.name,
                lines: log.lines,
                script: log.script,
                due: log.due,
            }));
        }
        let regions = cluster.regions;
        Ok(Self {
            dialers: Arc::new(Dialers::new(&cluster)?),
            groups,
            bridge: bridge.context("nothing to replay")?,
            delays: Delays::new(regions),
            guests: Mutex::default(),
            refused: Mutex::default(),
            clients: Default::default(),
            delivered: (0..regions).map(|_| AtomicU64::new(0)).collect(),
            listen: None,
            connecting: Semaphore::new(CONNECTING),
            speaking: Semaphore::new(SPEAKING),
            cluster,
        })
    }

    /// Replays all groups side by side. Returns how long it took.
    pub async fn run(
        self: &Arc<Self>,
        observers: &Observers,
        pace: Pace,
    ) -> anyhow::Result<Duration> {
        let start = Instant::now();
        let mut running = JoinSet::new();
        for number in 0..self.groups.len() {
            let stage = Arc::new(Stage::new(self, observers, number));
            match pace {
                Pace::LineByLine => running.spawn(stage.one_by_one()),
                Pace::Pipelined => running.spawn(stage.each_in_turn(None)),
                Pace::Timed(speed) => running.spawn(stage.each_in_turn(Some(speed))),
            };
        }
        while let Some(ended) = running.join_next().await {
            ended.context("a group's replay ended early")??;
        }
        Ok(start.elapsed())
    }

    /// Steps committed, of how many.
    pub fn progress(&self) -> (u64, u64) {
        let done = self
            .groups
            .iter()
            .map(|group| group.done.load(Ordering::Relaxed))
            .sum();
        let total = self
            .groups
            .iter()
            .map(|group| group.script.steps.len() as u64)
            .sum();
        (done, total)
    }

    /// From sending, or when it was due, to the answer: by the sender's region
    /// and the home.
    pub fn send_to_commit(&self) -> Vec<Quantiles> {
        self.delays.commit(self.region_names())
    }

    /// From sending, or when it was due, to delivery: by the sender's region
    /// and the reader's.
    pub fn send_to_deliver(&self) -> Vec<Quantiles> {
        self.delays.deliver(self.region_names())
    }

    fn region_names(&self) -> &'static [&'static str] {
        &regions::NAMES[..self.cluster.regions]
    }
}
