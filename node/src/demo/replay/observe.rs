//! One client in each region that reads every group. They are the bridge's,
//! which is in all groups as their owner: observing adds nothing to a log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use folkmoot_client::{Carrier, Client, Start};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::{BRIDGE_SUBJECT, Replay};
use crate::demo::regions;

/// How long a new group may take to be known everywhere.
const KNOWN: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);

/// The observers.
pub struct Observers {
    clients: Vec<Client>,
    /// Entries seen, by region and group.
    seen: Arc<Vec<Vec<AtomicU64>>>,
    readers: JoinSet<()>,
}

impl Observers {
    /// Connects them and begins to read.
    pub async fn start(replay: &Arc<Replay>) -> anyhow::Result<Self> {
        let cluster = &replay.cluster;
        let none = || {
            (0..replay.groups.len())
                .map(|_| AtomicU64::new(0))
                .collect()
        };
        let seen: Arc<Vec<Vec<AtomicU64>>> =
            Arc::new((0..cluster.regions).map(|_| none()).collect());
        let mut clients = Vec::new();
        let mut readers = JoinSet::new();
        for region in 0..cluster.regions {
            let carrier = [Carrier::Quic, Carrier::WebSocket][region % 2];
            let edges = cluster.of_region(region);
            let first = edges.first().context("a region has nodes")?;
            let client = replay
                .dialers
                .builder(carrier)
                .edges(edges.iter().map(|member| member.place.listen.to_string()))
                .token(cluster.token(first, BRIDGE_SUBJECT).await?)
                .connect()
                .await
                .with_context(|| format!("the observer in {}", regions::NAMES[region]))?;
            if client.user() != replay.bridge {
                bail!(
                    "{BRIDGE_SUBJECT} is another user in {}",
                    regions::NAMES[region]
                );
            }
            for number in 0..replay.groups.len() {
                let mut entries = open(replay, &client, number).await?;
                let replay = Arc::clone(replay);
                let seen = Arc::clone(&seen);
                readers.spawn(async move {
                    while let Some(entry) = entries.next().await {
                        if entry.seq() > 1 {
                            replay.delays.delivered(number, entry.seq(), region);
                        }
                        replay.delivered[region].fetch_add(1, Ordering::Relaxed);
                        seen[region][number].store(entry.seq(), Ordering::Relaxed);
                        if let Some(listen) = &replay.listen {
                            listen(region, number, &entry);
                        }
                    }
                });
            }
            clients.push(client);
        }
        Ok(Self {
            clients,
            seen,
            readers,
        })
    }

    /// The bridge's client in a region.
    pub fn client(&self, region: usize) -> Client {
        self.clients[region].clone()
    }

    /// Waits until each has seen every group whole.
    pub async fn all_seen(&self, replay: &Replay, within: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        loop {
            let mut missing = None;
            for (region, seen) in self.seen.iter().enumerate() {
                for (group, seen) in replay.groups.iter().zip(seen) {
                    let seen = seen.load(Ordering::Relaxed);
                    if seen < group.entries() {
                        missing = Some(format!(
                            "the observer in {} has seen {seen} of {} entries of {}",
                            regions::NAMES[region],
                            group.entries(),
                            group.name
                        ));
                    }
                }
            }
            match missing {
                None => return Ok(()),
                Some(missing) if Instant::now() > deadline => bail!("{missing}"),
                Some(_) => sleep(PAUSE).await,
            }
        }
    }

    /// Ends them.
    pub async fn close(mut self) {
        self.readers.abort_all();
        for client in self.clients {
            client.close().await;
        }
    }
}

/// A region may hear of a new group a moment later.
async fn open(
    replay: &Replay,
    client: &Client,
    number: usize,
) -> anyhow::Result<folkmoot_client::Entries> {
    let group = &replay.groups[number];
    let deadline = Instant::now() + KNOWN;
    loop {
        match client.group(group.id).entries_from(Start::Beginning).await {
            Ok(entries) => return Ok(entries),
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| format!("reading {}", group.name));
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}
