//! The port behind which all that is measured is alike: servers are started,
//! publishers send messages and learn when they are durable, a subscriber
//! gets them.

mod folkmoot;
mod jetstream;
mod redis;
mod replicated;
mod socket;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;

pub(crate) use folkmoot::{Cluster, Folkmoot, publisher};
pub(crate) use jetstream::{JetStream, JetStreamShelf, prepare as prepare_nats};
pub(crate) use redis::{Redis, RedisShelf, version as redis_version};
pub(crate) use replicated::Replicated;

/// The number of a message, unique from its servers' start on.
pub(crate) type Tag = u64;

/// What servers are started for.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// One or three, each a process.
    pub(crate) replicas: usize,
    /// Groups, subjects or streams.
    pub(crate) targets: usize,
    pub(crate) publishers: usize,
    /// For their data; new.
    pub(crate) folder: PathBuf,
    /// Where they are pinned to.
    pub(crate) core: Option<usize>,
}

impl Setup {
    /// One server with one target and one publisher, for many who read.
    pub(crate) fn of_one(crowd: &crate::crowd::Setup) -> Self {
        Self {
            replicas: 1,
            targets: 1,
            publishers: 1,
            folder: crowd.folder.clone(),
            core: crowd.core,
        }
    }
}

/// Something that is measured.
#[async_trait]
pub(crate) trait Peer: Send + Sync {
    fn name(&self) -> &'static str;

    /// The numbers of replicas it has a mode for that survives losing one.
    fn replicas(&self) -> &'static [usize];

    /// What it is when it acknowledges: for the notes.
    fn durability(&self, replicas: usize) -> String;

    /// Finds or installs its program; gives the version.
    async fn prepare(&mut self) -> anyhow::Result<String>;

    /// Starts servers and makes the targets.
    async fn start(&self, setup: &Setup) -> anyhow::Result<Box<dyn Servers>>;

    /// The same with servers that may die, where it has a mode for that.
    async fn start_replicated(&self, setup: &Setup) -> anyhow::Result<Box<dyn Replicated>> {
        anyhow::bail!(
            "{} has no mode with {} replicas that survives losing one",
            self.name(),
            setup.replicas
        )
    }
}

/// Running servers of one peer. Dropping them kills them.
#[async_trait]
pub(crate) trait Servers: Send {
    fn pids(&self) -> Vec<u32>;

    /// Connects all publishers, for load on the first `targets`: each
    /// connected where this peer is fastest for that.
    async fn publishers(&mut self, targets: usize) -> anyhow::Result<Vec<Box<dyn Publisher>>>;

    /// Gets what comes to the first target from now on.
    async fn subscriber(&mut self) -> anyhow::Result<Box<dyn Subscriber>>;

    /// Fails when a server has ended.
    fn must_run(&mut self) -> anyhow::Result<()>;

    async fn stop(self: Box<Self>) -> anyhow::Result<()>;
}

/// One connection that sends.
#[async_trait]
pub(crate) trait Publisher: Send {
    /// Sends the message `tag` to a target, perhaps only with the next flush.
    async fn send(&mut self, target: usize, tag: Tag) -> anyhow::Result<()>;

    async fn flush(&mut self) -> anyhow::Result<()>;

    /// Waits until at least one message is acknowledged, and adds all that
    /// are. Fails when one is refused. May be dropped while it waits.
    async fn done(&mut self, tags: &mut Vec<Tag>) -> anyhow::Result<()>;

    async fn close(self: Box<Self>);
}

/// One connection that receives.
#[async_trait]
pub(crate) trait Subscriber: Send {
    /// Waits until at least one message is there, and adds all that are. May
    /// be dropped while it waits.
    async fn next(&mut self, tags: &mut Vec<Tag>) -> anyhow::Result<()>;

    async fn close(self: Box<Self>);
}

/// Names of targets: `bench.17`.
fn target_names(count: usize) -> Arc<[String]> {
    (0..count).map(|target| format!("bench.{target}")).collect()
}

/// Has so many messages stored, in order.
async fn fill(servers: &mut dyn Servers, messages: Tag) -> anyhow::Result<()> {
    /// Messages sent before their acknowledgements are waited for.
    const AT_ONCE: Tag = 200;
    let mut publishers = servers.publishers(1).await?;
    let publisher = publishers.first_mut().context("no publisher")?;
    let (mut sent, mut stored, mut done) = (0, 0, Vec::new());
    while stored < messages {
        while sent < messages && sent - stored < AT_ONCE {
            publisher.send(0, sent).await?;
            sent += 1;
        }
        publisher.flush().await?;
        publisher.done(&mut done).await?;
        stored += done.drain(..).count() as Tag;
    }
    Ok(())
}
