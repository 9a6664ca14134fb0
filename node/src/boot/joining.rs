//! Joining a cluster from this machine: a token, a signing request, a
//! certificate, and the data folder they are kept in.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use folkmoot_transport::{NodeKey, QuicConfig, QuicEndpoint, QuicOptions};
use folkmoot_wire::proto::JoinRequest;
use prost::Message;

use super::folder::{Folder, Identity, Kind, pem};
use super::record;
use super::sockets::{Addresses, SystemNames};
use crate::cluster::joiner::{JoinToken, ask};
use crate::config::Config;

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
    let request = request(config, &token, &key, at)?;
    let dial = QuicEndpoint::bind(QuicConfig {
        bind: SocketAddr::new(at.listen.ip(), 0),
        edge: None,
        identity: None,
        trust: None,
        options: QuicOptions::default(),
    })?;
    let reply = ask(&*dial, &SystemNames, through, token.ca, &request).await?;
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

fn request(
    config: &Config,
    token: &JoinToken,
    key: &NodeKey,
    at: &Addresses,
) -> anyhow::Result<JoinRequest> {
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
    let survive = config.survive()?;
    Ok(JoinRequest {
        token: token.secret().to_owned(),
        node: Some(record(&unnamed, at)),
        csr: key.request()?.into(),
        shards: config.number("shards")?,
        voters: survive.1,
        goal: survive.0.into(),
    })
}
