//! The clients: sixteen who write, each a member of every group, and one who
//! reads.

use std::pin::Pin;
use std::task::{Context as Task, Poll};

use anyhow::Context;
use async_trait::async_trait;
use folkmoot_client::{Client, Entries, Entry, Group, GroupId, NewGroup, Receipt, Sent, Start};
use folkmoot_wire::proto::Kind;
use futures_util::stream::{FuturesUnordered, StreamExt, TryStreamExt};
use futures_util::{FutureExt, stream};

use super::cluster::{Cluster, Node};
use crate::load::payload::{Payloads, tag_of};
use crate::peer::{Publisher, Setup, Subscriber, Tag};

/// The largest window that is measured.
const PIPELINE: usize = 256;
/// Groups made at once by one client.
const MAKING: usize = 32;
/// Joins of one client under way at once.
const JOINING: usize = 200;
/// Entries that wait for the reader at most.
const ROOM: usize = 10_000;
const READER: &str = "reader";

/// Connects to the first of these nodes, and to another when that is gone.
async fn connect_to_any(nodes: &[&Node], subject: &str) -> anyhow::Result<Client> {
    let node = nodes.first().context("no node")?;
    let client = Client::builder()
        .edges(nodes.iter().map(|node| node.listen.to_string()))
        .token(node.user(subject).await?)
        .trust_fingerprint(&node.fingerprint)
        .only_quic()
        .pipeline(PIPELINE)
        .room(ROOM)
        .name("folkmoot-bench")
        .connect()
        .await;
    client.with_context(|| format!("{subject} cannot connect to {}", node.listen))
}

async fn connect(node: &Node, subject: &str) -> anyhow::Result<Client> {
    connect_to_any(&[node], subject).await
}

/// The client of a publisher.
pub(crate) async fn publisher(nodes: &[&Node], number: usize) -> anyhow::Result<Client> {
    connect_to_any(nodes, &format!("publisher-{number}")).await
}

/// Makes the groups, with all publishers as members, and the reader in the
/// first.
pub(super) async fn make_groups(
    cluster: &mut Cluster,
    setup: &Setup,
) -> anyhow::Result<Vec<GroupId>> {
    let mut clients = Vec::new();
    for number in 0..setup.publishers {
        let node = &cluster.nodes[number % cluster.nodes.len()];
        clients.push(publisher(&[node], number).await?);
    }
    let founder = clients[0].clone();
    let groups: Vec<GroupId> = stream::iter(0..setup.targets)
        .map(move |number| make(founder.clone(), number))
        .buffered(MAKING)
        .try_collect()
        .await?;
    let joins: Vec<_> = clients
        .iter()
        .map(|client| join_all(client.clone(), groups.clone()))
        .collect();
    futures_util::future::try_join_all(joins).await?;
    let reader = connect(&cluster.nodes[0], READER).await?;
    reader.group(groups[0]).join(READER).await?;
    clients.push(reader);
    for client in clients {
        client.close().await;
    }
    cluster.must_run()?;
    Ok(groups)
}

async fn make(founder: Client, number: usize) -> anyhow::Result<GroupId> {
    let group = NewGroup {
        name: format!("bench {number}"),
        nick: "founder".to_owned(),
        open: true,
        ..NewGroup::default()
    };
    Ok(founder.create_group(group).await?.id())
}

async fn join_all(client: Client, groups: Vec<GroupId>) -> anyhow::Result<()> {
    stream::iter(groups)
        .map(|group| join(client.clone(), group))
        .buffer_unordered(JOINING)
        .try_for_each(|()| async { Ok(()) })
        .await
}

async fn join(client: Client, group: GroupId) -> anyhow::Result<()> {
    // The founder is there already, which changes nothing.
    let nick = client.user().to_string();
    client.group(group).join(nick).await?;
    Ok(())
}

/// A message whose receipt is awaited.
struct Awaited(Tag, Receipt);

impl Future for Awaited {
    type Output = (Tag, folkmoot_client::Result<Sent>);

    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        let tag = self.0;
        self.1.poll_unpin(task).map(|result| (tag, result))
    }
}

/// One that sends.
pub(super) struct Sender {
    client: Client,
    groups: Vec<Group>,
    awaited: FuturesUnordered<Awaited>,
    payloads: Payloads,
}

impl Sender {
    pub(super) fn new(client: Client, groups: &[GroupId]) -> Self {
        Self {
            groups: groups.iter().map(|group| client.group(*group)).collect(),
            client,
            awaited: FuturesUnordered::new(),
            payloads: Payloads::new(),
        }
    }
}

#[async_trait]
impl Publisher for Sender {
    async fn send(&mut self, target: usize, tag: Tag) -> anyhow::Result<()> {
        let receipt = self.groups[target].submit(self.payloads.of(tag)).await?;
        self.awaited.push(Awaited(tag, receipt));
        Ok(())
    }

    /// The SDK sends by itself.
    async fn flush(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    async fn done(&mut self, tags: &mut Vec<Tag>) -> anyhow::Result<()> {
        let mut next = self.awaited.next().await;
        while let Some((tag, result)) = next {
            let sent = result.with_context(|| format!("message {tag} was refused"))?;
            // A retry of the SDK's may find what it sent before.
            anyhow::ensure!(sent.seq > 0, "message {tag} made no entry");
            tags.push(tag);
            next = self.awaited.next().now_or_never().flatten();
        }
        Ok(())
    }

    async fn close(self: Box<Self>) {
        self.client.close().await;
    }
}

/// One that reads.
pub(super) struct Reader {
    client: Client,
    entries: Entries,
}

impl Reader {
    pub(super) async fn connect(node: &Node, group: GroupId, from: Start) -> anyhow::Result<Self> {
        let client = connect(node, READER).await?;
        let entries = client.group(group).entries_from(from).await?;
        Ok(Self { client, entries })
    }

    /// Reads up to the entry `head`, and ends.
    pub(super) async fn up_to(mut self, head: u64) -> anyhow::Result<Vec<Tag>> {
        let mut tags = Vec::new();
        let mut seq = 0;
        while seq < head {
            let entry = self.entries.next().await.context("reading has ended")?;
            seq = entry.seq();
            tags.extend(message(&entry)?);
        }
        self.client.close().await;
        Ok(tags)
    }
}

/// The message that an entry is. Joins are entries too.
fn message(entry: &Entry) -> anyhow::Result<Option<Tag>> {
    if entry.kind() != Kind::Message {
        return Ok(None);
    }
    let text = entry.text().unwrap_or_default();
    let tag = tag_of(text.as_bytes()).context("an entry that was not sent")?;
    Ok(Some(tag))
}

#[async_trait]
impl Subscriber for Reader {
    async fn next(&mut self, tags: &mut Vec<Tag>) -> anyhow::Result<()> {
        while tags.is_empty() {
            let mut next = Some(self.entries.next().await.context("reading has ended")?);
            while let Some(entry) = next {
                tags.extend(message(&entry)?);
                next = self.entries.next().now_or_never().flatten();
            }
        }
        Ok(())
    }

    async fn close(self: Box<Self>) {
        self.client.close().await;
    }
}
