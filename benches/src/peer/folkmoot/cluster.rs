//! A cluster of one node or three, in one region.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use folkmoot_client::GroupId;
use folkmoot_node::cli::Api;
use folkmoot_node::demo::ports::Ports;
use serde_json::{Value, json};

use crate::peer::Setup;
use crate::process::{self, Server};

const REGION: &str = "bench";
const SHARDS: usize = 16;
/// Sends per session that no publisher reaches: what is measured is the node,
/// not the limit that protects it.
const SENDS: u32 = 100_000_000;

/// A node, as clients and operators see it.
pub(super) struct Node {
    name: String,
    pub(super) listen: SocketAddr,
    gossip: SocketAddr,
    admin: SocketAddr,
    folder: PathBuf,
    api: Api,
    /// Its number in the cluster.
    id: u64,
    /// Of its certificate for clients.
    pub(super) fingerprint: String,
}

/// The processes.
pub(super) struct Cluster {
    servers: Vec<Server>,
    pub(super) nodes: Vec<Node>,
}

impl Cluster {
    /// Starts all nodes and waits until every shard has all its voters.
    pub(super) async fn start(program: &Path, setup: &Setup) -> anyhow::Result<Self> {
        let mut ports = Ports::new(std::process::id());
        let mut cluster = Self {
            servers: Vec::new(),
            nodes: Vec::new(),
        };
        for number in 0..setup.replicas {
            let mut node = Node::new(number, &mut ports, &setup.folder)?;
            let flags = node.flags(setup.replicas);
            let mut args = vec!["start".to_owned()];
            match cluster.nodes.first() {
                None => {
                    let init = [&["init".to_owned()], &flags[..]].concat();
                    process::output(program, &init).await?;
                }
                Some(first) => args.extend(first.invite().await?),
            }
            args.extend(flags);
            let server = Server::start(&node.name, program, &args, &setup.folder, setup.core)?;
            cluster.servers.push(server);
            let api = &node.api;
            process::until(&mut cluster.servers, || async move {
                let status = api.get("/v1/status").await?;
                let is_known = status["nodes"].as_u64() > Some(0);
                Ok((!is_known).then(|| format!("status: {status}")))
            })
            .await?;
            node.meet().await?;
            cluster.nodes.push(node);
        }
        let nodes = &cluster.nodes;
        process::until(&mut cluster.servers, || async move {
            for node in nodes {
                if let Some(missing) = node.missing(nodes.len()).await? {
                    return Ok(Some(format!("{}: {missing}", node.name)));
                }
            }
            Ok(None)
        })
        .await?;
        Ok(cluster)
    }

    /// The node that sequences a group.
    pub(super) async fn leader(&self, group: GroupId) -> anyhow::Result<usize> {
        let api = &self.nodes[0].api;
        let group = api.get(&format!("/v1/groups/{group}")).await?;
        let shards = api.get("/v1/shards").await?;
        let shard = list(&shards, "shards")
            .iter()
            .find(|shard| shard["shard"] == group["shard"])
            .context("a group without a shard")?;
        let leader = shard["leader"].as_u64();
        let found = self.nodes.iter().position(|node| Some(node.id) == leader);
        found.with_context(|| format!("the group's shard has no leader: {shard}"))
    }

    pub(super) fn pids(&self) -> Vec<u32> {
        self.servers.iter().filter_map(Server::pid).collect()
    }

    pub(super) fn must_run(&mut self) -> anyhow::Result<()> {
        self.servers.iter_mut().try_for_each(Server::must_run)
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        // The founder last: it keeps the meta shard.
        for server in self.servers.into_iter().rev() {
            server.stop().await?;
        }
        Ok(())
    }
}

impl Node {
    fn new(number: usize, ports: &mut Ports, folder: &Path) -> anyhow::Result<Self> {
        let name = format!("node-{}", number + 1);
        let admin = ports.free()?;
        Ok(Self {
            listen: ports.free()?,
            gossip: ports.free()?,
            admin,
            folder: folder.join(&name),
            name,
            api: Api::at(admin, true)?,
            id: 0,
            fingerprint: String::new(),
        })
    }

    fn flags(&self, voters: usize) -> Vec<String> {
        vec![
            format!("--data={}", self.folder.display()),
            format!("--name={}", self.name),
            format!("--region={REGION}"),
            format!("--listen={}", self.listen),
            format!("--gossip={}", self.gossip),
            format!("--admin={}", self.admin),
            format!("--voters={voters}"),
            format!("--shards={SHARDS}"),
            format!("--sends-per-second={SENDS}"),
            format!("--sends-burst={SENDS}"),
            "--log=warn".to_owned(),
        ]
    }

    /// What a new node has to say to join through this one.
    async fn invite(&self) -> anyhow::Result<Vec<String>> {
        let asked = json!({ "region": REGION });
        let answer = self.api.post("/v1/tokens", &asked).await?;
        let token = answer["token"].as_str().context("no join token")?;
        Ok(vec![
            format!("--join={}", self.listen),
            format!("--token={token}"),
        ])
    }

    /// Learns who it is.
    async fn meet(&mut self) -> anyhow::Result<()> {
        let status = self.api.get("/v1/status").await?;
        self.id = status["node"].as_u64().context("a node without a number")?;
        let fingerprint = status["certificate"].as_str();
        self.fingerprint = fingerprint
            .context("a node without certificate")?
            .to_owned();
        Ok(())
    }

    /// What this node does not see of a whole cluster.
    async fn missing(&self, nodes: usize) -> anyhow::Result<Option<String>> {
        let answer = self.api.get("/v1/nodes").await?;
        let alive = list(&answer, "nodes")
            .iter()
            .filter(|node| node["state"] == "alive")
            .count();
        if alive != nodes {
            return Ok(Some(format!("sees {alive} of {nodes} nodes alive")));
        }
        let answer = self.api.get("/v1/shards").await?;
        let shards = list(&answer, "shards");
        if shards.len() != SHARDS {
            return Ok(Some(format!("sees {} of {SHARDS} shards", shards.len())));
        }
        let unfit = shards.iter().find(|shard| {
            list(shard, "voters").len() != nodes || shard["leader"].as_u64() == Some(0)
        });
        Ok(unfit.map(|shard| format!("shard: {shard}")))
    }

    /// A token for a user.
    pub(super) async fn user(&self, subject: &str) -> anyhow::Result<String> {
        let asked = json!({ "subject": subject });
        let answer = self.api.post("/v1/client-token", &asked).await?;
        match answer["token"].as_str() {
            Some(token) => Ok(token.to_owned()),
            None => bail!("the node gave no token"),
        }
    }
}

fn list<'a>(answer: &'a Value, key: &str) -> &'a [Value] {
    answer[key].as_array().map_or(&[], Vec::as_slice)
}
