//! Publishers: clients in every region, over both transports, who say
//! something to a group of each region again and again, whatever happens, and
//! read all that is said there.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use folkmoot_client::{
    Backoff, Carrier, Client, ClientError, Entries, Group, GroupId, Receipt, Start,
};
use folkmoot_node::demo::cluster::Cluster;
use folkmoot_node::demo::regions;
use folkmoot_node::demo::replay::Dialers;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::lab::REGIONS;
use super::ledger::{Lane, Ledger, Outcome};
use super::listeners::Listeners;

/// One says something to each group this often.
const EVERY: Duration = Duration::from_millis(500);
/// A new group is known everywhere within this time.
const KNOWN: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);
const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(50),
    cap: Duration::from_secs(2),
};
const CARRIERS: [Carrier; 2] = [Carrier::Quic, Carrier::WebSocket];

/// The publishers and their groups.
pub struct People {
    /// One group at home in each region.
    pub groups: Vec<GroupId>,
    /// All ways from publishers to groups.
    pub lanes: Vec<Lane>,
    clients: Vec<Client>,
    stop: watch::Sender<bool>,
    speaking: Vec<JoinHandle<()>>,
    reading: JoinSet<()>,
}

impl People {
    /// Makes the groups, connects everybody, and lets them begin.
    ///
    /// # Errors
    /// When a group cannot be made or somebody cannot come in.
    pub async fn start(
        cluster: &Cluster,
        ledger: &Arc<Ledger>,
        listeners: &Arc<Listeners>,
    ) -> anyhow::Result<Self> {
        let groups = make_groups(cluster).await?;
        let dialers = Dialers::new(cluster)?;
        let (stop, stopped) = watch::channel(false);
        let mut people = Self {
            groups,
            lanes: Vec::new(),
            clients: Vec::new(),
            stop,
            speaking: Vec::new(),
            reading: JoinSet::new(),
        };
        for region in 0..REGIONS {
            for (first, carrier) in CARRIERS.into_iter().enumerate() {
                let client = connect(cluster, &dialers, region, first, carrier).await?;
                people.begin(client, ledger, listeners, &stopped).await?;
            }
        }
        Ok(people)
    }

    async fn begin(
        &mut self,
        client: Client,
        ledger: &Arc<Ledger>,
        listeners: &Arc<Listeners>,
        stopped: &watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let publisher = self.clients.len();
        for number in 0..self.groups.len() {
            let group = client.group(self.groups[number]);
            let mut entries = come_in(&group, &format!("publisher {publisher}")).await?;
            let listener = listeners.add(format!("publisher {publisher}"), group.id());
            let listeners = Arc::clone(listeners);
            self.reading.spawn(async move {
                while let Some(entry) = entries.next().await {
                    listeners.heard(listener, &entry);
                }
            });
            let lane = Lane {
                publisher,
                group: number,
            };
            self.lanes.push(lane);
            let speaking = speak(group, lane, Arc::clone(ledger), stopped.clone());
            self.speaking.push(tokio::spawn(speaking));
        }
        self.clients.push(client);
        Ok(())
    }

    /// They fall silent. Gives up on what is not settled after `patience`:
    /// it stays open in the ledger.
    pub async fn fall_silent(&mut self, patience: Duration) {
        self.stop.send_replace(true);
        let end = Instant::now() + patience;
        for speaking in &mut self.speaking {
            let left = end.saturating_duration_since(Instant::now());
            if timeout(left, &mut *speaking).await.is_err() {
                speaking.abort();
            }
        }
    }

    /// They go.
    pub async fn leave(mut self) {
        self.reading.abort_all();
        for client in self.clients {
            client.close().await;
        }
    }
}

async fn make_groups(cluster: &Cluster) -> anyhow::Result<Vec<GroupId>> {
    let first = cluster.members.first().context("a cluster has nodes")?;
    let mut groups = Vec::new();
    for name in regions::NAMES.iter().take(REGIONS) {
        let request = json!({
            "name": format!("publishers-{name}"),
            "region": name,
            "owner": "warden",
            "nick": "warden",
            "open": true,
        });
        let made = first.place.api.post("/v1/groups", &request).await?;
        let id = made["group"].as_str().context("a group without id")?;
        groups.push(id.parse()?);
    }
    Ok(groups)
}

async fn connect(
    cluster: &Cluster,
    dialers: &Dialers,
    region: usize,
    first: usize,
    carrier: Carrier,
) -> anyhow::Result<Client> {
    // Not all of a region through one node.
    let (late, early) = cluster.of_region(region).split_at(first);
    let edges = || early.iter().chain(late);
    let first = early.first().context("a region has nodes")?;
    let subject = format!("publisher-{}-{carrier:?}", regions::NAMES[region]);
    let client = dialers
        .builder(carrier)
        .edges(edges().map(|member| member.place.listen.to_string()))
        .backoff(BACKOFF)
        .token(cluster.token(first, &subject).await?)
        .connect()
        .await;
    client.with_context(|| format!("{subject} cannot connect"))
}

/// An edge may hear of a new group, or that somebody is in it, a moment later.
async fn come_in(group: &Group, nick: &str) -> anyhow::Result<Entries> {
    let end = Instant::now() + KNOWN;
    loop {
        let joined = match group.join(nick).await {
            Ok(_) => group.entries_from(Start::Beginning).await,
            Err(error) => Err(error),
        };
        match joined {
            Ok(entries) => return Ok(entries),
            Err(error) if Instant::now() > end => {
                return Err(error).with_context(|| format!("{nick} cannot come in"));
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// Speaks until it is stopped, then waits for what is open.
async fn speak(group: Group, lane: Lane, ledger: Arc<Ledger>, mut stopped: watch::Receiver<bool>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = stopped.changed() => break,
            _ = ticks.tick() => {}
        }
        let (no, text) = ledger.sends(lane);
        match group.submit(text).await {
            Ok(receipt) => {
                open.spawn(settle(receipt, no, Arc::clone(&ledger)));
            }
            Err(error) => ledger.settled(no, outcome_of(error)),
        }
        while open.try_join_next().is_some() {}
    }
    while open.join_next().await.is_some() {}
}

async fn settle(receipt: Receipt, no: usize, ledger: Arc<Ledger>) {
    let outcome = match receipt.await {
        Ok(sent) => Outcome::Acknowledged {
            seq: sent.seq,
            at: Instant::now(),
        },
        Err(error) => outcome_of(error),
    };
    ledger.settled(no, outcome);
}

fn outcome_of(error: ClientError) -> Outcome {
    match error {
        // Never given to an edge.
        ClientError::Full(_) => Outcome::Refused("the send queue is full".to_owned()),
        ClientError::Fault(fault) if !fault.code.temporary() => Outcome::Refused(fault.to_string()),
        other => Outcome::Unknown(other.to_string()),
    }
}
