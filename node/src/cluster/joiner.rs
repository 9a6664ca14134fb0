//! The joiner's side: a token, and the question to a node of the cluster.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use folkmoot_transport::{Dial, Fingerprint};
use folkmoot_wire::proto::{
    AddToken, JoinReply, JoinRequest, JoinToken as StoredToken, MetaCommand, meta_command,
};
use folkmoot_wire::{Fault, limits};
use prost::Message;
use tokio::time::{sleep, timeout};

use super::join::token_hash;
use super::start::Node;
use crate::ports::Random;

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
    pub fn generate(ca: Fingerprint, random: &dyn Random) -> Self {
        let mut secret = [0; 16];
        random.fill(&mut secret);
        Self {
            ca,
            secret: hex::encode(secret),
        }
    }

    /// What the joiner shows of it.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
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

/// Makes a join token, on a running node of a real cluster.
///
/// # Errors
/// When the meta shard cannot be reached.
pub async fn create_token(
    node: &Node,
    random: &dyn Random,
    ca: Fingerprint,
    region: &str,
) -> Result<JoinToken, Fault> {
    let token = JoinToken::generate(ca, random);
    let now_ms = node.stamps.wall_ms();
    let command = MetaCommand {
        now_ms,
        op: Some(meta_command::Op::AddToken(AddToken {
            token: Some(StoredToken {
                hash: token_hash(&token.secret),
                expires_ms: now_ms + limits::JOIN_TOKEN_TTL.as_millis() as u64,
                used: false,
                region: region.to_owned(),
            }),
        })),
    };
    node.router.meta(&node.meta, command).await?;
    Ok(token)
}

/// Asks one of `addrs` after the other to let this node in, some times.
///
/// # Errors
/// Why it was refused, or why nobody answered.
pub async fn ask(
    dial: &dyn Dial,
    addrs: &[SocketAddr],
    ca: Fingerprint,
    request: &JoinRequest,
) -> anyhow::Result<JoinReply> {
    let mut last = anyhow!("no node to join through was given");
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            sleep(PAUSE).await;
        }
        for addr in addrs {
            match ask_one(dial, *addr, ca, request).await {
                Ok(reply) => match reply.error {
                    None => return Ok(reply),
                    Some(error) if !error.temporary => {
                        bail!("{addr} refused the join: {}", Fault::from(&error));
                    }
                    Some(error) => last = anyhow!("{addr}: {}", Fault::from(&error)),
                },
                Err(error) => last = error.context(format!("joining through {addr}")),
            }
        }
    }
    Err(last)
}

async fn ask_one(
    dial: &dyn Dial,
    addr: SocketAddr,
    ca: Fingerprint,
    request: &JoinRequest,
) -> anyhow::Result<JoinReply> {
    let work = async {
        let connection = dial.dial_join(addr, ca).await?;
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
