//! Folkmoot itself: the real command as real processes, clients with the Rust
//! SDK over QUIC.

mod clients;
mod cluster;
mod lasting;

use std::path::{Path, PathBuf};

use anyhow::Context;
use async_trait::async_trait;
use folkmoot_client::{Client, GroupId, Start};

use super::{Peer, Publisher, Replicated, Servers, Setup, Subscriber};
use crate::process;
pub(crate) use clients::publisher;
use clients::{Reader, Sender};
pub(crate) use cluster::Cluster;

/// The peer.
pub(crate) struct Folkmoot {
    program: PathBuf,
}

impl Folkmoot {
    /// Without a path: the command that was built beside this one.
    pub(crate) fn new(program: Option<PathBuf>) -> anyhow::Result<Self> {
        let program = match program {
            Some(program) => program,
            None => sibling()?,
        };
        Ok(Self { program })
    }

    /// Its command.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }
}

fn sibling() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("the path of this program")?;
    Ok(own.parent().unwrap_or(Path::new(".")).join("folkmoot"))
}

#[async_trait]
impl Peer for Folkmoot {
    fn name(&self) -> &'static str {
        "folkmoot"
    }

    fn replicas(&self) -> &'static [usize] {
        &[1, 3]
    }

    fn durability(&self, replicas: usize) -> String {
        let of = match replicas {
            1 => "its one voter",
            _ => "a majority of the shard's voters",
        };
        format!("acknowledged after fsync on {of} and apply; dedup by client_msg_id; QUIC with TLS")
    }

    async fn prepare(&mut self) -> anyhow::Result<String> {
        let said = process::output(&self.program, &["--version".to_owned()])
            .await
            .context(
                "no folkmoot: `cargo build --release -p folkmoot-node` builds it beside this program, or --folkmoot PATH",
            )?;
        Ok(said
            .trim()
            .rsplit(' ')
            .next()
            .unwrap_or("unknown")
            .to_owned())
    }

    async fn start(&self, setup: &Setup) -> anyhow::Result<Box<dyn Servers>> {
        Ok(Box::new(self.run(setup).await?))
    }

    async fn start_replicated(&self, setup: &Setup) -> anyhow::Result<Box<dyn Replicated>> {
        Ok(Box::new(self.run(setup).await?))
    }
}

impl Folkmoot {
    async fn run(&self, setup: &Setup) -> anyhow::Result<Running> {
        let mut cluster = Cluster::start(&self.program, setup).await?;
        let groups = clients::make_groups(&mut cluster, setup)
            .await
            .context("making the groups")?;
        Ok(Running {
            cluster,
            groups,
            publishers: setup.publishers,
        })
    }
}

struct Running {
    cluster: Cluster,
    groups: Vec<GroupId>,
    publishers: usize,
}

impl Running {
    /// The nodes to connect to: for one group its sequencer, for many, whose
    /// sequencers are all over the cluster, every node in turn.
    async fn edges(&self, targets: usize) -> anyhow::Result<Vec<usize>> {
        if targets == 1 {
            Ok(vec![self.cluster.leader(self.groups[0]).await?])
        } else {
            Ok((0..self.cluster.nodes.len()).collect())
        }
    }
}

#[async_trait]
impl Servers for Running {
    fn pids(&self) -> Vec<u32> {
        self.cluster.pids()
    }

    async fn publishers(&mut self, targets: usize) -> anyhow::Result<Vec<Box<dyn Publisher>>> {
        let edges = self.edges(targets).await?;
        let mut all: Vec<Box<dyn Publisher>> = Vec::new();
        for number in 0..self.publishers {
            let node = &self.cluster.nodes[edges[number % edges.len()]];
            let client: Client = clients::publisher(&[node], number).await?;
            all.push(Box::new(Sender::new(client, &self.groups[..targets])));
        }
        Ok(all)
    }

    async fn subscriber(&mut self) -> anyhow::Result<Box<dyn Subscriber>> {
        let edge = self.edges(1).await?[0];
        let node = &self.cluster.nodes[edge];
        let reader = Reader::connect(node, self.groups[0], Start::Recent(0)).await?;
        Ok(Box::new(reader))
    }

    fn must_run(&mut self) -> anyhow::Result<()> {
        self.cluster.must_run()
    }

    async fn stop(self: Box<Self>) -> anyhow::Result<()> {
        self.cluster.stop().await
    }
}
