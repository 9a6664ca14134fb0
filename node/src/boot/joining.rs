//! Joining a cluster: a token, a signing request, a certificate.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use folkmoot_transport::{Dial, Fingerprint, NodeKey, QuicConfig, QuicEndpoint, QuicOptions};
use folkmoot_wire::proto::{
    AddToken, JoinReply, JoinRequest, JoinToken as StoredToken, MetaCommand, meta_command,
};
use folkmoot_wire::{Fault, limits};
use prost::Message;
use tokio::time::{sleep, timeout};

use super::folder::{Folder, Identity, Kind, pem, random_hex};
use super::record;
use super::sockets::{Addresses, resolve};
use crate::cluster::join::token_hash;
use crate::cluster::start::Node;
use crate::config::Config;
use crate::ports::{Clock, SystemClock, SystemRandom};

const PREFIX: &str = "fmj1_";
const ATTEMPTS: usize = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// What lets a node in: the fingerprint of the cluster's CA, by which the
/// joiner knows the cluster, and a secret, by which the cluster knows the
/// joiner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// Of the CA's certificate.
    pub ca: Fingerprint,
    secret: String,
}

impl JoinToken {
    /// A new token for the cluster of this CA.
    #[must_use]
    pub fn generate(ca: Fingerprint) -> Self {
        Self {
            ca,
            secret: random_hex(&SystemRandom, 16),
        }
    }
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{PREFIX}{}_{}",
            URL_SAFE_NO_PAD.encode(self.ca.0),
            self.secret
        )
    }
}

impl FromStr for JoinToken {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let wrong = || {
            anyhow!(
                "this is no join token: it begins with {PREFIX} and comes from `folkmoot token create`"
            )
        };
        // The fingerprint's base64url may itself hold `_`; its length is fixed.
        let rest = text.trim().strip_prefix(PREFIX).ok_or_else(wrong)?;
        let (ca, secret) = rest.split_at_checked(43).ok_or_else(wrong)?;
        let secret = secret.strip_prefix('_').ok_or_else(wrong)?;
        let ca = URL_SAFE_NO_PAD.decode(ca).map_err(|_| wrong())?;
        let ca = <[u8; 32]>::try_from(ca.as_slice()).map_err(|_| wrong())?;
        if secret.len() != 32 {
            return Err(wrong());
        }
        Ok(Self {
            ca: Fingerprint(ca),
            secret: secret.to_owned(),
        })
    }
}

/// Makes a join token that is good for `life`, on a running node of a real
/// cluster.
///
/// # Errors
/// When the meta shard cannot be reached.
pub async fn create_token(
    node: &Node,
    ca: Fingerprint,
    region: &str,
    life: Duration,
) -> Result<JoinToken, Fault> {
    let token = JoinToken::generate(ca);
    let now_ms = SystemClock.wall_ms();
    let command = MetaCommand {
        now_ms,
        op: Some(meta_command::Op::AddToken(AddToken {
            token: Some(StoredToken {
                hash: token_hash(&token.secret),
                expires_ms: now_ms + life.as_millis() as u64,
                used: false,
                region: region.to_owned(),
            }),
        })),
    };
    node.router.meta(&node.meta, command).await?;
    Ok(token)
}

/// Joins through one of these nodes and makes the data folder.
pub(super) async fn join(
    config: &Config,
    folder: &Folder,
    through: &[String],
    at: &Addresses,
) -> anyhow::Result<Identity> {
    let Some(token) = config.optional("token") else {
        bail!(
            "joining needs a token: on a node of the cluster, `folkmoot token create` prints the command"
        );
    };
    let token: JoinToken = token.parse()?;
    let key = NodeKey::generate()?;
    let reply = ask(config, &token, &key, through, at).await?;
    let identity = Identity {
        cluster: hex::encode(&reply.cluster),
        node: reply.node,
        region: config.text("region").to_owned(),
        name: config.optional("name").map_or_else(
            || format!("{}-{}", config.text("region"), reply.node),
            str::to_owned,
        ),
        kind: Kind::Cluster,
        founder: false,
        gossip_key: hex::encode(&reply.gossip_key),
        jwt_secret: String::new(),
    };
    folder.create()?;
    folder.write(
        "ca.crt",
        pem("CERTIFICATE", &reply.ca_certificate).as_bytes(),
    )?;
    folder.write(
        "node.crt",
        pem("CERTIFICATE", &reply.certificate).as_bytes(),
    )?;
    folder.write("node.key", key.to_pem().as_bytes())?;
    let meta = reply
        .meta
        .context("the answer told nothing of the cluster")?;
    folder.write("meta.first", &meta.encode_to_vec())?;
    folder.write_identity(&identity)?;
    tracing::info!(
        node = identity.node,
        region = identity.region,
        "joined the cluster"
    );
    Ok(identity)
}

async fn ask(
    config: &Config,
    token: &JoinToken,
    key: &NodeKey,
    through: &[String],
    at: &Addresses,
) -> anyhow::Result<JoinReply> {
    let unnamed = Identity {
        cluster: String::new(),
        node: 0,
        region: config.text("region").to_owned(),
        name: config.text("name").to_owned(),
        kind: Kind::Cluster,
        founder: false,
        gossip_key: String::new(),
        jwt_secret: String::new(),
    };
    let request = JoinRequest {
        token: token.secret.clone(),
        node: Some(record(&unnamed, at)),
        csr: key.request()?.into(),
        shards: config.number("shards")?,
        voters: config.number("voters")?,
    };
    let dial = QuicEndpoint::bind(QuicConfig {
        bind: SocketAddr::new(at.listen.ip(), 0),
        edge: None,
        identity: None,
        trust: None,
        options: QuicOptions::default(),
    })?;
    let mut last = anyhow!("no node to join through was given");
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            sleep(PAUSE).await;
        }
        // Names are asked for anew each time: they may move meanwhile.
        for name in through {
            let addrs = match resolve(name).await {
                Ok(addrs) => addrs,
                Err(error) => {
                    last = error;
                    continue;
                }
            };
            for addr in addrs {
                match ask_one(&*dial, addr, token, &request).await {
                    Ok(reply) => match reply.error {
                        None => return Ok(reply),
                        Some(error) if !error.temporary => {
                            bail!("{name} refused the join: {}", Fault::from(&error));
                        }
                        Some(error) => last = anyhow!("{name}: {}", Fault::from(&error)),
                    },
                    Err(error) => last = error.context(format!("joining through {name}")),
                }
            }
        }
    }
    Err(last)
}

async fn ask_one(
    dial: &dyn Dial,
    addr: SocketAddr,
    token: &JoinToken,
    request: &JoinRequest,
) -> anyhow::Result<JoinReply> {
    let work = async {
        let connection = dial.dial_join(addr, token.ca).await?;
        let mut stream = connection.open().await?;
        stream.tx.send(request.encode_to_vec().into()).await?;
        let frame = stream
            .rx
            .recv()
            .await?
            .context("the node closed without an answer")?;
        Ok::<_, anyhow::Error>(JoinReply::decode(frame)?)
    };
    timeout(limits::PROPOSE_DEADLINE * 2, work)
        .await
        .context("no answer in time")?
}
