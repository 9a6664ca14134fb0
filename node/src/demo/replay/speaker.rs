//! One speaker: a user, pinned to an edge, and what it does.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use folkmoot_client::{
    Backoff, Carrier, Client, ClientError, SendOptions, Sent, UserId, proto::Kind,
};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::stage::Stage;
use super::{Performance, Replay};
use crate::demo::script::{Act, User};

/// A first session is tried for this long: a node may be down, and then it
/// refuses at once.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(500);
/// A node that was away comes back within seconds here.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(50),
    cap: Duration::from_secs(2),
};
/// Refusals that are listed. More are only counted.
const REFUSED_MAX: usize = 1_000;

/// A user of one group.
pub(super) struct Speaker {
    replay: Arc<Replay>,
    group: Arc<Performance>,
    user: User,
    subject: String,
    region: usize,
    /// Place of its edge among the cluster's members.
    member: usize,
    carrier: Carrier,
    client: Mutex<Option<Client>>,
}

impl Speaker {
    pub(super) fn new(
        replay: &Arc<Replay>,
        group: &Arc<Performance>,
        user: User,
        number: usize,
    ) -> Self {
        let subject = format!("{}/{}", group.name, group.script.users[user]);
        let hash = blake3::hash(subject.as_bytes());
        let [a, b, ..] = *hash.as_bytes();
        let cluster = &replay.cluster;
        let region = usize::from(a) % cluster.regions;
        Self {
            replay: Arc::clone(replay),
            group: Arc::clone(group),
            user,
            subject,
            region,
            member: region * cluster.per_region + usize::from(b) % cluster.per_region,
            carrier: match number % 2 {
                0 => Carrier::Quic,
                _ => Carrier::WebSocket,
            },
            client: Mutex::default(),
        }
    }

    /// Its client, connected when there is none.
    pub(super) async fn client(&self) -> anyhow::Result<Client> {
        let mut held = self.client.lock().await;
        if let Some(client) = &*held {
            return Ok(client.clone());
        }
        let client = self.connect().await?;
        *held = Some(client.clone());
        Ok(client)
    }

    async fn connect(&self) -> anyhow::Result<Client> {
        let end = Instant::now() + PATIENCE;
        loop {
            // Not held while waiting: others' nodes are up.
            let permit = self.replay.connecting.acquire().await?;
            let error = match self.attempt().await {
                Ok(client) => {
                    self.met(client.user());
                    return Ok(client);
                }
                Err(error) => error,
            };
            drop(permit);
            if Instant::now() > end {
                let edge = &self.replay.cluster.members[self.member].place.name;
                return Err(error.context(format!("{} cannot connect to {edge}", self.subject)));
            }
            sleep(PAUSE).await;
        }
    }

    async fn attempt(&self) -> anyhow::Result<Client> {
        let cluster = &self.replay.cluster;
        let member = &cluster.members[self.member];
        let token = cluster.token(member, &self.subject).await?;
        // Its own edge first, then the others of its region.
        let others = cluster.of_region(self.region).iter();
        let others = others.filter(|other| other.id != member.id);
        let builder = self
            .replay
            .dialers
            .builder(self.carrier)
            .edge(member.place.listen.to_string())
            .edges(others.map(|other| other.place.listen.to_string()))
            .backoff(BACKOFF)
            .token(token);
        Ok(builder.connect().await?)
    }

    fn met(&self, id: UserId) {
        let known = self.group.users.lock()[self.user].replace(id);
        if known.is_none() {
            let place = usize::from(self.carrier == Carrier::WebSocket);
            self.replay.clients[place].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Its id; connects when it is not known yet.
    async fn id(&self) -> anyhow::Result<UserId> {
        let known = self.group.users.lock()[self.user];
        match known {
            Some(id) => Ok(id),
            None => Ok(self.client().await?.user()),
        }
    }

    /// It has nothing more to say.
    pub(super) async fn close(&self) {
        let client = self.client.lock().await.take();
        if let Some(client) = client {
            client.close().await;
        }
    }
}

impl Stage {
    /// Does one step and waits until it is committed. How long that took counts
    /// from when it was due, if it was.
    pub(super) async fn perform(&self, at: usize, due: Option<Instant>) -> anyhow::Result<()> {
        let step = &self.group.script.steps[at];
        let speaker = step.user.map(|user| &self.speakers[user]);
        let client = match speaker {
            Some(speaker) => speaker.client().await?,
            None => self.bridge.clone(),
        };
        let from = speaker.map_or(self.group.home, |speaker| speaker.region);
        let group = client.group(self.group.id);
        let message = |kind, text: &str| SendOptions {
            kind,
            ..SendOptions::text(text)
        };
        let message = match &step.act {
            Act::Join | Act::Leave | Act::Rename { .. } => None,
            Act::Message { text, mention } => {
                let mut message = message(Kind::Message, text);
                if let Some(user) = mention {
                    message.mentions.push(self.speakers[*user].id().await?);
                }
                Some(message)
            }
            Act::Action { text } => Some(message(Kind::Action, text)),
            Act::Notice { text } => Some(message(Kind::Notice, text)),
        };
        let start = due.unwrap_or_else(Instant::now);
        let sent = match (&step.act, message) {
            (_, Some(message)) => group.send_with(message).await,
            (Act::Leave, None) => group.leave().await,
            (Act::Rename { to }, None) => group.rename(step.nick.as_str(), to.as_str()).await,
            (_, None) => group.join(step.nick.as_str()).await,
        };
        self.settled(at, from, start, sent)
    }

    fn settled(
        &self,
        at: usize,
        from: usize,
        start: Instant,
        sent: Result<Sent, ClientError>,
    ) -> anyhow::Result<()> {
        let name = &self.group.name;
        let step = &self.group.script.steps[at];
        let refused = match sent {
            Ok(sent) if sent.seq > 0 => {
                let home = self.group.home;
                self.replay
                    .delays
                    .committed(self.number, sent.seq, from, home, start);
                None
            }
            Ok(_) if !self.group.script.is_entry(step) => None,
            Ok(_) => Some("it changed nothing".to_owned()),
            Err(ClientError::Closed) => {
                return Err(ClientError::Closed).context(format!("{name}: step {at}"));
            }
            Err(error) => Some(error.to_string()),
        };
        self.group.done.fetch_add(1, Ordering::Relaxed);
        if let Some(why) = refused {
            let mut refusals = self.replay.refused.lock();
            if refusals.len() < REFUSED_MAX {
                let kind = step.kind().as_str_name();
                refusals.push(format!("{name}: step {at}, {kind} of {}: {why}", step.nick));
            }
        }
        Ok(())
    }
}
