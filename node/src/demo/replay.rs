//! Replaying logs: each a group, each speaker a user with a client of its own
//! at an edge of one region.

mod clients;
mod measure;
mod observe;
mod speaker;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use folkmoot_client::{Entry, GroupId, UserId};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::cluster::Cluster;
use super::script::{BRIDGE, Script};
use super::{irc, regions};
pub use clients::Dialers;
pub(super) use measure::{Delays, Quantiles};
pub use observe::Observers;
use speaker::Speaker;

/// Subject of the bridge, which owns the groups.
pub const BRIDGE_SUBJECT: &str = "bridge";
/// Clients that connect at once.
const CONNECTING: usize = 48;
/// With `--pipelined`: speakers that speak at once.
const SPEAKING: usize = 600;
/// A speaker's client is connected so many steps before it is needed.
const AHEAD: usize = 48;
/// Room in a group for those who join from the page.
const VISITORS: usize = 100;

/// A log to replay.
pub struct Log {
    /// The group's name.
    pub name: String,
    /// Lines read.
    pub lines: usize,
    pub script: Script,
}

impl Log {
    /// From the bytes of a file.
    #[must_use]
    pub fn of(name: String, bytes: &[u8]) -> Self {
        Self {
            name,
            lines: irc::events(bytes).count(),
            script: Script::of(irc::events(bytes)),
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
        self.script.steps.len() as u64 + 1
    }
}

/// Everything a replay is and comes to.
pub struct Replay {
    pub cluster: Arc<Cluster>,
    pub dialers: Arc<Dialers>,
    pub groups: Vec<Arc<Performance>>,
    pub bridge: UserId,
    pub(super) delays: Delays,
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
        for (number, log) in logs.into_iter().enumerate() {
            let home = number % cluster.regions;
            let request = json!({
                "name": log.name,
                "region": regions::NAMES[home],
                "owner": BRIDGE_SUBJECT,
                "nick": BRIDGE,
                "open": true,
                "member_cap": log.script.users.len() + 1 + VISITORS,
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
        pipelined: bool,
    ) -> anyhow::Result<Duration> {
        let start = Instant::now();
        let mut running = JoinSet::new();
        for number in 0..self.groups.len() {
            let stage = Arc::new(Stage::new(self, observers, number));
            if pipelined {
                running.spawn(stage.all_at_once());
            } else {
                running.spawn(stage.one_by_one());
            }
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
}

/// One group's replay as it runs.
struct Stage {
    replay: Arc<Replay>,
    group: Arc<Performance>,
    number: usize,
    speakers: Vec<Arc<Speaker>>,
    /// Says the notices.
    bridge: folkmoot_client::Client,
    /// With order: the step that is next.
    at: watch::Sender<usize>,
}

impl Stage {
    fn new(replay: &Arc<Replay>, observers: &Observers, number: usize) -> Self {
        let group = Arc::clone(&replay.groups[number]);
        // A running number, so that transports alternate over all groups.
        let before: usize = replay.groups[..number]
            .iter()
            .map(|g| g.script.users.len())
            .sum();
        let speakers = (0..group.script.users.len())
            .map(|user| Arc::new(Speaker::new(replay, &group, user, before + user)))
            .collect();
        Self {
            replay: Arc::clone(replay),
            bridge: observers.client(group.home),
            number,
            group,
            speakers,
            at: watch::Sender::new(0),
        }
    }

    /// A line is said only when the one before it is committed.
    async fn one_by_one(self: Arc<Self>) -> anyhow::Result<()> {
        let spans = self.group.script.spans();
        let ahead = tokio::spawn(Arc::clone(&self).connect_ahead(spans.clone()));
        for at in 0..self.group.script.steps.len() {
            self.at.send_replace(at);
            self.perform(at).await?;
            if let Some(user) = self.group.script.steps[at].user
                && spans[user].1 == at
            {
                let speaker = Arc::clone(&self.speakers[user]);
                tokio::spawn(async move { speaker.close().await });
            }
        }
        ahead.abort();
        Ok(())
    }

    /// Connects the clients of those who are soon to speak.
    async fn connect_ahead(self: Arc<Self>, spans: Vec<(usize, usize)>) {
        let mut first: Vec<(usize, usize)> = spans
            .iter()
            .enumerate()
            .map(|(user, span)| (span.0, user))
            .collect();
        first.sort_unstable();
        let mut at = self.at.subscribe();
        for (step, user) in first {
            if at.wait_for(|at| at + AHEAD >= step).await.is_err() {
                return;
            }
            let speaker = Arc::clone(&self.speakers[user]);
            // Whoever needs it meets the error again.
            tokio::spawn(async move { drop(speaker.client().await) });
        }
    }

    /// Each speaker says his lines in order, and waits for others only to
    /// take over a nick.
    async fn all_at_once(self: Arc<Self>) -> anyhow::Result<()> {
        let mut lines: Vec<Vec<usize>> = vec![Vec::new(); self.speakers.len()];
        let mut notices = Vec::new();
        for (at, step) in self.group.script.steps.iter().enumerate() {
            match step.user {
                Some(user) => lines[user].push(at),
                None => notices.push(at),
            }
        }
        let nicks = Arc::new(Nicks::new(self.group.script.nick_from()));
        let mut speaking = JoinSet::new();
        let stage = Arc::clone(&self);
        speaking.spawn(async move {
            for at in notices {
                stage.perform(at).await?;
            }
            anyhow::Ok(())
        });
        for (user, lines) in lines.into_iter().enumerate() {
            let stage = Arc::clone(&self);
            let nicks = Arc::clone(&nicks);
            speaking.spawn(async move {
                let mut turn = stage.replay.speaking.acquire().await?;
                for at in lines {
                    if let Some(before) = nicks.waits_for(at) {
                        // The other may need this turn.
                        drop(turn);
                        before.wait().await;
                        turn = stage.replay.speaking.acquire().await?;
                    }
                    stage.perform(at).await?;
                    nicks.done(at);
                }
                stage.speakers[user].close().await;
                drop(turn);
                Ok(())
            });
        }
        while let Some(ended) = speaking.join_next().await {
            ended.context("a speaker ended early")??;
        }
        Ok(())
    }
}

/// Steps that must not come before another user's.
struct Nicks {
    from: Vec<Option<usize>>,
    /// Steps that others wait for.
    awaited: HashMap<usize, Done>,
}

/// Whether a step is done.
struct Done(watch::Sender<bool>);

impl Done {
    async fn wait(&self) {
        // The sender lives as long as this.
        let _ = self.0.subscribe().wait_for(|done| *done).await;
    }
}

impl Nicks {
    fn new(from: Vec<Option<usize>>) -> Self {
        let awaited = from.iter().flatten();
        Self {
            awaited: awaited
                .map(|at| (*at, Done(watch::Sender::new(false))))
                .collect(),
            from,
        }
    }

    fn waits_for(&self, at: usize) -> Option<&Done> {
        self.awaited.get(&self.from[at]?)
    }

    fn done(&self, at: usize) {
        if let Some(done) = self.awaited.get(&at) {
            done.0.send_replace(true);
        }
    }
}
