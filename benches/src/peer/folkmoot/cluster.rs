//! A cluster of one node or three, in one region.

use std::collections::BTreeMap;
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
pub(crate) struct Node {
    name: String,
    pub(crate) listen: SocketAddr,
    gossip: SocketAddr,
    admin: SocketAddr,
    folder: PathBuf,
    api: Api,
    /// Its number in the cluster.
    id: u64,
    /// Of its certificate for clients.
    pub(crate) fingerprint: String,
}

/// The processes.
pub(crate) struct Cluster {
    servers: Vec<Server>,
    pub(crate) nodes: Vec<Node>,
    program: PathBuf,
    setup: Setup,
    /// What nodes are told besides.
    flags: Vec<String>,
}

impl Cluster {
    /// Starts all nodes and waits until every shard has all its voters.
    pub(super) async fn start(program: &Path, setup: &Setup) -> anyhow::Result<Self> {
        Self::start_with(program, setup, Vec::new()).await
    }

    /// The same with other settings.
    pub(crate) async fn start_with(
        program: &Path,
        setup: &Setup,
        flags: Vec<String>,
    ) -> anyhow::Result<Self> {
        let mut ports = Ports::new(std::process::id());
        write_certificate(&setup.folder)?;
        let mut cluster = Self {
            servers: Vec::new(),
            nodes: Vec::new(),
            program: program.to_owned(),
            setup: setup.clone(),
            flags,
        };
        for number in 0..setup.replicas {
            let mut node = Node::new(number, &mut ports, &setup.folder)?;
            let flags = cluster.flags(&node);
            let mut args = vec!["start".to_owned()];
            match cluster.nodes.first() {
                None => {
                    let init = [&["init".to_owned()], &flags[..]].concat();
                    process::output(program, &init).await?;
                }
                Some(first) => args.extend(first.invite().await?),
            }
            args.extend(flags);
            cluster.servers.push(cluster.run(&node, &args)?);
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
        cluster.wait_whole().await?;
        Ok(cluster)
    }

    fn flags(&self, node: &Node) -> Vec<String> {
        let mut flags = node.flags(&self.setup);
        flags.extend(self.flags.iter().cloned());
        flags
    }

    fn run(&self, node: &Node, args: &[String]) -> anyhow::Result<Server> {
        let Setup { folder, core, .. } = &self.setup;
        Server::start(&node.name, &self.program, args, folder, *core)
    }

    /// Waits until every node sees all the others, and every shard led.
    async fn wait_whole(&mut self) -> anyhow::Result<()> {
        let nodes = &self.nodes;
        process::until(&mut self.servers, || async move {
            for node in nodes {
                if let Some(missing) = node.missing(nodes.len()).await? {
                    return Ok(Some(format!("{}: {missing}", node.name)));
                }
            }
            Ok(None)
        })
        .await
    }

    /// The seq of the group's last entry.
    pub(super) async fn head(&self, group: GroupId) -> anyhow::Result<u64> {
        let leader = &self.nodes[self.leader(group).await?];
        let shown = leader.api.get(&format!("/v1/groups/{group}")).await?;
        shown["seq"].as_u64().context("a group without a head")
    }

    /// Kills a node, and waits until it is gone.
    pub(super) async fn kill(&mut self, at: usize) -> anyhow::Result<()> {
        self.servers[at].kill().await
    }

    /// Starts a killed node again; it is there when its copy of the group has
    /// all that the others had when it began.
    pub(super) async fn again(&mut self, at: usize, group: GroupId) -> anyhow::Result<()> {
        let mut args = vec!["start".to_owned()];
        args.extend(self.flags(&self.nodes[at]));
        self.servers[at] = self.run(&self.nodes[at], &args)?;
        self.wait_whole().await?;
        let wanted = self.head(group).await?;
        let node = &self.nodes[at];
        let path = &format!("/v1/groups/{group}?node={}", node.id);
        process::until(&mut self.servers, || async move {
            let seq = node.api.get(path).await?["seq"].as_u64();
            Ok((seq < Some(wanted)).then(|| format!("its copy is at {seq:?} of {wanted}")))
        })
        .await
    }

    /// The node that sequences a group, by its own word: others may be behind.
    pub(super) async fn leader(&self, group: GroupId) -> anyhow::Result<usize> {
        let path = format!("/v1/groups/{group}");
        let shard = self.nodes[0].api.get(&path).await?["shard"].clone();
        for (at, node) in self.nodes.iter().enumerate() {
            let shards = node.api.get("/v1/shards").await?;
            let leads = |s: &Value| s["shard"] == shard && s["leader"].as_u64() == Some(node.id);
            if list(&shards, "shards").iter().any(leads) {
                return Ok(at);
            }
        }
        bail!("shard {shard} of the group has no leader")
    }

    /// The shards that groups are at home in.
    pub(crate) async fn shards_of(
        &self,
        groups: impl Iterator<Item = GroupId>,
    ) -> anyhow::Result<BTreeMap<GroupId, u64>> {
        let mut shards = BTreeMap::new();
        for group in groups {
            let shown = self.nodes[0]
                .api
                .get(&format!("/v1/groups/{group}"))
                .await?;
            let shard = shown["shard"].as_u64().context("a group without a shard")?;
            shards.insert(group, shard);
        }
        Ok(shards)
    }

    /// Index of the last payload that a group's sequencer has applied.
    pub(crate) async fn applied(&self, group: GroupId) -> anyhow::Result<u64> {
        let leader = &self.nodes[self.leader(group).await?];
        let shown = leader.api.get(&format!("/v1/groups/{group}")).await?;
        let shards = leader.api.get("/v1/shards").await?;
        let of_group = |shard: &&Value| shard["shard"] == shown["shard"];
        let shard = list(&shards, "shards").iter().find(of_group);
        let applied = shard.and_then(|shard| shard["applied"].as_u64());
        applied.context("a shard that has applied nothing")
    }

    /// How many messages a group has at its home.
    pub(crate) async fn count(&self, group: GroupId) -> anyhow::Result<u64> {
        let leader = &self.nodes[self.leader(group).await?];
        let shown = leader.api.get(&format!("/v1/groups/{group}")).await?;
        shown["count"].as_u64().context("a group without a count")
    }

    /// Splits a shard in its middle; returns when the new one has a leader that
    /// the cluster knows of. Gives its number.
    pub(crate) async fn split(&self, shard: u64) -> anyhow::Result<u64> {
        let api = &self.nodes[0].api;
        let path = format!("/v1/shards/{shard}/split");
        let asked = api.post(&path, &json!({})).await?;
        let child = asked["new_shard"].as_u64().context("no new shard")?;
        loop {
            let shards = api.get("/v1/shards").await?;
            let mut shards = list(&shards, "shards").iter();
            let is_born =
                |one: &&Value| one["shard"].as_u64() == Some(child) && one["unborn"] == false;
            if shards.any(|one| is_born(&one)) {
                return Ok(child);
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.servers.iter().filter_map(Server::pid).collect()
    }

    pub(crate) fn must_run(&mut self) -> anyhow::Result<()> {
        self.servers.iter_mut().try_for_each(Server::must_run)
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
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

    fn flags(&self, setup: &Setup) -> Vec<String> {
        let voters = setup.replicas;
        let [certificate, key] = certificate_files(&setup.folder);
        vec![
            format!("--data={}", self.folder.display()),
            format!("--certificate={}", certificate.display()),
            format!("--certificate-key={}", key.display()),
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

    /// Where its store is, to be looked at when it has ended.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.join("db")
    }

    /// A token for a user.
    pub(crate) async fn user(&self, subject: &str) -> anyhow::Result<String> {
        let asked = json!({ "subject": subject });
        let answer = self.api.post("/v1/client-token", &asked).await?;
        match answer["token"].as_str() {
            Some(token) => Ok(token.to_owned()),
            None => bail!("the node gave no token"),
        }
    }
}

/// The certificate that all nodes show to clients, and its key.
fn certificate_files(folder: &Path) -> [PathBuf; 2] {
    ["certificate.pem", "certificate-key.pem"].map(|name| folder.join(name))
}

/// One for all nodes, as behind one name: a client goes from any to any other.
fn write_certificate(folder: &Path) -> anyhow::Result<()> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])
        .context("making a certificate")?;
    let [certificate, key] = certificate_files(folder);
    std::fs::write(certificate, made.cert.pem())?;
    std::fs::write(key, made.signing_key.serialize_pem())?;
    Ok(())
}

fn list<'a>(answer: &'a Value, key: &str) -> &'a [Value] {
    answer[key].as_array().map_or(&[], Vec::as_slice)
}
