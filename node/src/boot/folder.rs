//! The data folder of a node: who it is, and its keys.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use folkmoot_transport::{ClusterCa, ClusterId, NodeIdentity, NodeKey};
use folkmoot_wire::NodeId;
use folkmoot_wire::proto::MetaState;
use prost::Message;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::cluster::join::CERTIFICATE_LIFE;
use crate::config::Config;
use crate::ports::Random;

/// There when the cluster was made.
const FOUNDED: &str = "founded";

/// Which kind of cluster a node was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One node on loopback that refuses joins.
    Development,
    /// A real one.
    Cluster,
}

/// Who a node is.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The cluster's id, in hex.
    pub cluster: String,
    /// The node's number.
    pub node: u32,
    /// Its region.
    pub region: String,
    /// Its name.
    pub name: String,
    /// The kind of its cluster.
    pub kind: Kind,
    /// It made the cluster.
    pub founder: bool,
    /// Key id and gossip key, in hex.
    pub gossip_key: String,
    /// Secret of clients' tokens that the founder made; empty elsewhere.
    #[serde(default)]
    pub jwt_secret: String,
}

impl Identity {
    /// The cluster's id.
    ///
    /// # Errors
    /// When the file was changed by hand.
    pub fn cluster_bytes(&self) -> anyhow::Result<[u8; 16]> {
        let bytes = hex::decode(&self.cluster).context("identity.json: cluster")?;
        <[u8; 16]>::try_from(bytes.as_slice()).context("identity.json: a cluster id is 16 bytes")
    }

    /// The gossip key and its id.
    ///
    /// # Errors
    /// When the file was changed by hand.
    pub fn gossip_key(&self) -> anyhow::Result<(u8, Zeroizing<[u8; 32]>)> {
        let bytes =
            Zeroizing::new(hex::decode(&self.gossip_key).context("identity.json: gossip_key")?);
        let Some((id, key)) = bytes.split_first() else {
            bail!("identity.json: gossip_key is empty");
        };
        let key = <[u8; 32]>::try_from(key).context("identity.json: a gossip key is 33 bytes")?;
        Ok((*id, Zeroizing::new(key)))
    }
}

/// A data folder.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Names a folder; nothing is touched.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the store is.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.path.join("db")
    }

    /// Whether a node lives here.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.path.join("identity.json").exists()
    }

    /// Who lives here.
    ///
    /// # Errors
    /// When the file cannot be read or is not one of ours.
    pub fn identity(&self) -> anyhow::Result<Identity> {
        let path = self.path.join("identity.json");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    /// Makes the founder of a new cluster.
    pub(super) fn found(
        &self,
        config: &Config,
        kind: Kind,
        random: &dyn Random,
        now: Duration,
    ) -> anyhow::Result<Identity> {
        let mut cluster = [0; 16];
        random.fill(&mut cluster);
        let region = config.text("region").to_owned();
        let ca = ClusterCa::generate(ClusterId(cluster), now)?;
        let key = NodeKey::generate()?;
        let request = key.request()?;
        let certificate = ca.issue(&request, NodeId(1), &region, now, CERTIFICATE_LIFE)?;
        let identity = Identity {
            cluster: hex::encode(cluster),
            node: 1,
            name: config
                .optional("name")
                .map_or_else(|| format!("{region}-1"), str::to_owned),
            region,
            kind,
            founder: true,
            gossip_key: format!("01{}", random_hex(random, 32)),
            jwt_secret: random_hex(random, 32),
        };
        self.create()?;
        self.write("ca.crt", ca.certificate_pem().as_bytes())?;
        self.write("ca.key", ca.key_pem().as_bytes())?;
        self.write("node.crt", pem("CERTIFICATE", &certificate).as_bytes())?;
        self.write("node.key", key.to_pem().as_bytes())?;
        self.write_identity(&identity)?;
        Ok(identity)
    }

    pub(super) fn create(&self) -> anyhow::Result<()> {
        fs::create_dir_all(&self.path).with_context(|| format!("making {}", self.path.display()))
    }

    /// Written last: with it the node exists.
    pub(super) fn write_identity(&self, identity: &Identity) -> anyhow::Result<()> {
        self.write("identity.json", &serde_json::to_vec_pretty(identity)?)
    }

    /// Writes a file that only its owner may read, and makes it durable.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.path.join(name);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("writing {}", path.display()))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(())
    }

    pub(super) fn read(&self, name: &str) -> anyhow::Result<String> {
        let path = self.path.join(name);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// The CA, where its key lives here.
    pub(super) fn ca(&self) -> anyhow::Result<Option<ClusterCa>> {
        if !self.path.join("ca.key").exists() {
            return Ok(None);
        }
        let key = Zeroizing::new(self.read("ca.key")?);
        Ok(Some(ClusterCa::from_pem(&self.read("ca.crt")?, &key)?))
    }

    /// The node's key and certificate.
    pub(super) fn node_identity(&self) -> anyhow::Result<NodeIdentity> {
        let key = NodeKey::from_pem(&Zeroizing::new(self.read("node.key")?))?;
        let certificate = certificate(&self.read("node.crt")?).context("node.crt")?;
        let ca = certificate_of_ca(&self.read("ca.crt")?)?;
        Ok(NodeIdentity::new(&key, certificate, ca, UnixTime::now())?)
    }

    /// Whether the cluster's founder made it already.
    pub(super) fn has_founded(&self) -> bool {
        self.path.join(FOUNDED).exists()
    }

    /// From now on an empty store is a lost one.
    pub(super) fn founded(&self) -> anyhow::Result<()> {
        match self.has_founded() {
            true => Ok(()),
            false => self.write(FOUNDED, b""),
        }
    }

    /// What a joiner was told of the cluster, for its first start.
    pub(crate) fn first_meta(&self) -> anyhow::Result<Option<MetaState>> {
        let path = self.path.join("meta.first");
        if !path.exists() {
            return Ok(None);
        }
        let bytes = fs::read(&path)?;
        Ok(Some(
            MetaState::decode(bytes.as_slice()).context("meta.first")?,
        ))
    }
}

/// One certificate out of PEM.
fn certificate(text: &str) -> anyhow::Result<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(text.as_bytes())
        .map_err(|error| anyhow::anyhow!("no certificate in this PEM: {error}"))
}

fn certificate_of_ca(text: &str) -> anyhow::Result<CertificateDer<'static>> {
    certificate(text).context("ca.crt")
}

/// PEM text of DER bytes.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let body = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// A random secret, in hex.
fn random_hex(random: &dyn Random, bytes: usize) -> String {
    let mut out = vec![0; bytes];
    random.fill(&mut out);
    hex::encode(out)
}
