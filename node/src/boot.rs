//! A node on a real machine: its data folder, its keys, its sockets.
//!
//! The folder holds `identity.json` (who this node is), PEM files of its
//! keys, and the store in `db/`. Whoever founded the cluster also holds the
//! CA's key. All files with keys are readable by their owner only.

mod certificate;
mod folder;
mod joining;
mod running_file;
mod sockets;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use folkmoot_consensus::RaftOptions;
use folkmoot_gossip::{Keyring, StateKind, SwimConfig, UdpDatagrams};
use folkmoot_replication::reconcile::RowSums;
use folkmoot_storage::{CommitOptions, Indexed, RocksOptions, RocksStore, ThreadCommit};
use folkmoot_transport::{EdgeCertificate, QuicConfig, QuicEndpoint, QuicOptions};
use folkmoot_wire::NodeId;
use folkmoot_wire::proto::{
    InitCluster, MetaCommand, MetaState, NodeRecord, Setting, meta_command,
};

use crate::cluster::join::Joining;
use crate::cluster::meta::MetaHost;
use crate::cluster::parts::{GossipParts, Parts, next_start};
use crate::cluster::start::{Node, digest_key};
use crate::config::Config;
use crate::edge::{Auth, EdgeOptions};
use crate::ports::{Clock, SystemClock, SystemRandom};

pub use folder::{Folder, Identity, Kind};
use sockets::Sockets;

pub use running_file::RunningFile;
pub use sockets::{Addresses, HttpSockets};

/// Key id of the cluster's own secret in clients' tokens.
pub const CLUSTER_KEY: &str = "cluster";

/// A node that runs on this machine.
pub struct Running {
    /// The node.
    pub node: Arc<Node>,
    /// Who it is.
    pub identity: Identity,
    /// Its certificate for clients.
    pub certificate: EdgeCertificate,
    /// Where it is reached.
    pub at: Addresses,
    /// Secret of the cluster's tokens, when it has one.
    pub jwt_secret: Option<String>,
    /// Issuer and audience of tokens.
    pub issuer: String,
    pub audience: String,
    folder: Folder,
    commit: Arc<ThreadCommit>,
}

/// Makes the data folder of a new cluster's first node. The cluster begins
/// to exist at its first start.
///
/// # Errors
/// When there is a node in the folder already, or it cannot be written.
pub fn init(config: &Config, kind: Kind) -> anyhow::Result<Identity> {
    let folder = Folder::new(config.text("data"));
    if folder.exists() {
        bail!(
            "{} holds a node already; a cluster is made once. To begin anew, name another folder with --data",
            folder.path().display()
        );
    }
    folder.found(config, kind, &SystemRandom, now())
}

/// Starts the node of the configured data folder: the one that is there, one
/// that joins, or, with neither, a development cluster of its own. Its TCP
/// sockets are given back to be served.
///
/// # Errors
/// With what to do about it.
pub async fn start(config: &Config) -> anyhow::Result<(Running, HttpSockets)> {
    let folder = Folder::new(config.text("data"));
    let sockets = Sockets::bind(config).await?;
    let joins = config.joins()?;
    let identity = if folder.exists() {
        folder.identity()?
    } else if !joins.is_empty() {
        joining::join(config, &folder, &joins, &sockets.at).await?
    } else {
        let listen = config.addr("listen")?;
        if !listen.ip().is_loopback() {
            bail!(
                "{} holds no node. `folkmoot init` makes a new cluster, `folkmoot start --join ADDR --token TOKEN` joins one; \
                 without either, a development cluster starts on loopback addresses only",
                folder.path().display()
            );
        }
        init(config, Kind::Development)?
    };
    open(config, &folder, identity, sockets).await
}

fn now() -> Duration {
    Duration::from_millis(SystemClock.wall_ms())
}

async fn open(
    config: &Config,
    folder: &Folder,
    identity: Identity,
    sockets: Sockets,
) -> anyhow::Result<(Running, HttpSockets)> {
    let store = RocksStore::open(folder.store(), &RocksOptions::default())
        .with_context(|| format!("the store in {}", folder.store().display()))?;
    let rows_key = digest_key(&identity.cluster_bytes()?);
    let store = Indexed::over(Arc::new(store)).context("the index of members")?;
    let (store, sums) = RowSums::over(store, rows_key);
    let commit = Arc::new(ThreadCommit::start(
        Arc::clone(&store),
        CommitOptions::default(),
    )?);
    let started = next_start(&*store, SystemClock.wall_ms())?;
    let Sockets {
        quic,
        gossip,
        http,
        at,
    } = sockets;
    let certificate = certificate::current(folder, config, now())?;
    let options = QuicConfig {
        bind: at.listen,
        edge: Some(certificate.clone()),
        identity: Some(Arc::new(folder.node_identity()?)),
        trust: None,
        options: QuicOptions::default(),
    };
    let quic = QuicEndpoint::on(quic, options)?;
    let meta = match MetaHost::stored(&*store)? {
        Some(meta) => meta,
        None => folder.first_meta()?.unwrap_or_default(),
    };
    let found = found_command(config, &identity, &meta, &at)?;
    if found.is_some() && folder.has_founded() {
        bail!(
            "the store in {} is empty, and this node made its cluster long ago: it would make it a second time. Put a backup of {} back; a new cluster is made in another folder",
            folder.store().display(),
            folder.path().display()
        );
    }
    let gossip = gossip_parts(config, &identity, &meta, gossip, &at)?;
    let (issuer, audience) = (
        config.text("issuer").to_owned(),
        config.text("audience").to_owned(),
    );
    let jwt_secret = jwt_secret(config, &identity, &meta);
    let auth = auth(config, jwt_secret.as_deref(), &issuer, &audience)?;
    let joins = joining_of(folder, &identity)?;
    let node = Node::start(
        Parts {
            me: NodeId(identity.node),
            region: identity.region.clone(),
            cluster: identity.cluster_bytes()?,
            started,
            meta,
            found,
            follow_all: config.text("follow") == "full",
            authority_lease: Duration::from_secs(config.number("authority_lease")?.into()),
            raft: RaftOptions::default(),
            store,
            sums,
            commit: Arc::clone(&commit) as Arc<dyn folkmoot_storage::Commit>,
            listeners: vec![Arc::clone(&quic) as Arc<dyn folkmoot_transport::Listener>],
            dial: quic,
            gossip: Some(gossip),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            auth,
            edge: EdgeOptions {
                sends: config.sends()?,
                window: config.window()?,
                ..EdgeOptions::default()
            },
        },
        joins.port(),
    )
    .await?;
    if identity.founder {
        folder.founded()?;
    }
    joins.connect(&node);
    let replace_after = config.number("replace_after")?;
    node.keep_shape(Duration::from_secs(replace_after.into()));
    if config.text("follow_people") == "on" {
        node.follow_people();
    }
    let running = Running {
        node,
        identity,
        certificate,
        at,
        jwt_secret,
        issuer,
        audience,
        folder: folder.clone(),
        commit,
    };
    Ok((running, http))
}

impl Running {
    /// Fingerprint of the cluster's CA: part of every join token.
    ///
    /// # Errors
    /// When the CA's certificate cannot be read.
    pub fn ca_fingerprint(&self) -> anyhow::Result<folkmoot_transport::Fingerprint> {
        let identity = self.folder.node_identity()?;
        Ok(folkmoot_transport::Fingerprint::of(identity.ca()))
    }

    /// Keeps the certificate for clients fresh, for as long as it is polled.
    pub async fn keep_certificate(&self, config: Config) {
        certificate::keep(self.certificate.clone(), self.folder.clone(), config, now).await;
    }

    /// Says in the data folder that the node runs.
    ///
    /// # Errors
    /// When it cannot be written there.
    pub fn file(&self) -> anyhow::Result<RunningFile> {
        RunningFile::write(&self.folder, &self.at)
    }

    /// Waits for what the node cannot go on after.
    pub async fn failed(&self) -> String {
        let mut failed = self.commit.failed();
        tokio::select! {
            biased;
            reason = self.node.failed() => reason,
            _ = failed.wait_for(Option::is_some) => match &*self.commit.failed().borrow() {
                Some(error) => error.to_string(),
                None => "the disk failed".to_owned(),
            },
        }
    }
}

/// The command that makes the cluster, when it is not made yet.
fn found_command(
    config: &Config,
    identity: &Identity,
    meta: &MetaState,
    at: &Addresses,
) -> anyhow::Result<Option<MetaCommand>> {
    if !identity.founder || !meta.nodes.is_empty() {
        return Ok(None);
    }
    let setting = |key: &str, value: &str| Setting {
        key: key.to_owned(),
        value: value.to_owned(),
    };
    let survive = config.survive()?;
    Ok(Some(MetaCommand {
        now_ms: SystemClock.wall_ms(),
        op: Some(meta_command::Op::Init(InitCluster {
            cluster: Bytes::copy_from_slice(&identity.cluster_bytes()?),
            name: identity.name.clone(),
            ca_certificate: Bytes::new(),
            first: Some(record(identity, at)),
            shards: config.number("shards")?,
            voters: survive.1,
            goal: survive.0.into(),
            settings: vec![setting("jwt_secret", &identity.jwt_secret)],
        })),
    }))
}

/// This node, as the meta shard records it.
fn record(identity: &Identity, at: &Addresses) -> NodeRecord {
    NodeRecord {
        id: identity.node,
        region: identity.region.clone(),
        name: identity.name.clone(),
        quic_addr: at.advertise.to_string(),
        gossip_addr: at.gossip.to_string(),
        admin_addr: at.admin.to_string(),
        ..NodeRecord::default()
    }
}

fn gossip_parts(
    config: &Config,
    identity: &Identity,
    meta: &MetaState,
    socket: UdpDatagrams,
    at: &Addresses,
) -> anyhow::Result<GossipParts> {
    let seeds = meta
        .nodes
        .iter()
        .filter(|node| node.id != identity.node && !node.left)
        .filter_map(|node| node.gossip_addr.parse().ok())
        .collect();
    let swim = match config.text("swim") {
        "lan" => SwimConfig {
            suspect_for: Duration::from_secs(2),
            ..SwimConfig::default()
        },
        _ => SwimConfig::default(),
    };
    Ok(GossipParts {
        datagrams: Arc::new(socket),
        addr: at.gossip,
        quic: at.advertise,
        keyring: keyring(identity)?,
        seeds,
        swim,
        state: StateKind::Chitchat,
    })
}

fn keyring(identity: &Identity) -> anyhow::Result<Keyring> {
    let (id, key) = identity.gossip_key()?;
    Ok(Keyring::new(id, [(id, key)])?)
}

fn jwt_secret(config: &Config, identity: &Identity, meta: &MetaState) -> Option<String> {
    if let Some(secret) = config.optional("jwt_secret") {
        return Some(secret.to_owned());
    }
    let setting = meta.settings.iter().find(|s| s.key == "jwt_secret");
    setting
        .map(|setting| setting.value.clone())
        .or_else(|| Some(identity.jwt_secret.clone()))
        .filter(|secret| !secret.is_empty())
}

fn auth(
    config: &Config,
    secret: Option<&str>,
    issuer: &str,
    audience: &str,
) -> anyhow::Result<Auth> {
    let mut auth = Auth::new(issuer, audience);
    if let Some(secret) = secret {
        auth = auth.with_hs256(CLUSTER_KEY, secret.as_bytes());
    }
    if let Some(key) = config.optional("jwt_public_key") {
        let key = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, key)
            .context("jwt_public_key is base64url of 32 bytes")?;
        auth = auth.with_ed25519("configured", &key)?;
    }
    Ok(auth)
}

/// How this node answers those who want to join.
fn joining_of(folder: &Folder, identity: &Identity) -> anyhow::Result<Joining> {
    if identity.kind == Kind::Development {
        return Ok(Joining::Refused);
    }
    let Some(ca) = folder.ca()? else {
        return Ok(Joining::passed());
    };
    let (id, key) = identity.gossip_key()?;
    let mut gossip_key = vec![id];
    gossip_key.extend_from_slice(&key[..]);
    Ok(Joining::signed(
        Box::new(ca),
        identity.cluster_bytes()?,
        gossip_key.into(),
        Arc::new(SystemClock),
    ))
}
