//! A cluster as the people of a replay need to know it: who serves where.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use folkmoot_transport::Fingerprint;
use folkmoot_wire::NodeId;
use serde_json::json;

use crate::cli::Api;

/// Where a node is.
pub struct Place {
    /// `eu-1`.
    pub name: String,
    /// Its region's number.
    pub region: usize,
    /// Its data folder.
    pub folder: PathBuf,
    /// For clients of its region: past the wide area.
    pub listen: SocketAddr,
    /// What its gossip goes out from.
    pub gossip: SocketAddr,
    /// Its admin API.
    pub admin: SocketAddr,
    /// Asks it.
    pub api: Api,
}

/// A node that runs.
pub struct Member {
    /// Where.
    pub place: Place,
    /// Its number.
    pub id: NodeId,
    /// Of its certificate for clients.
    pub fingerprint: Fingerprint,
}

impl Member {
    /// What clients have to know of a node that is up.
    ///
    /// # Errors
    /// When it does not answer as a node.
    pub async fn of(place: Place) -> anyhow::Result<Self> {
        let status = place.api.get("/v1/status").await?;
        let id = status["node"]
            .as_u64()
            .and_then(|id| u32::try_from(id).ok());
        let fingerprint = status["certificate"]
            .as_str()
            .context("a node without certificate")?;
        Ok(Self {
            id: NodeId(id.context("a node without a number")?),
            fingerprint: fingerprint.parse().context("a certificate's fingerprint")?,
            place,
        })
    }
}

/// The cluster.
pub struct Cluster {
    /// The cluster's id, in hex.
    pub id: String,
    /// How many regions.
    pub regions: usize,
    /// How many nodes in each.
    pub per_region: usize,
    /// By region, then by number.
    pub members: Vec<Member>,
}

impl Cluster {
    /// The cluster of these members, of as many in each region.
    ///
    /// # Errors
    /// When the first does not answer as a node.
    pub async fn of(regions: usize, members: Vec<Member>) -> anyhow::Result<Self> {
        let first = members.first().context("a cluster has at least one node")?;
        let status = first.place.api.get("/v1/status").await?;
        let id = status["cluster"]
            .as_str()
            .context("a node without cluster")?;
        Ok(Self {
            id: id.to_owned(),
            regions,
            per_region: members.len() / regions.max(1),
            members,
        })
    }

    /// The nodes of a region.
    #[must_use]
    pub fn of_region(&self, region: usize) -> &[Member] {
        let from = region * self.per_region;
        &self.members[from..from + self.per_region]
    }

    /// A token for a client.
    ///
    /// # Errors
    /// When the member gives none.
    pub async fn token(&self, member: &Member, subject: &str) -> anyhow::Result<String> {
        let request = json!({ "subject": subject });
        let answer = member.place.api.post("/v1/client-token", &request).await?;
        let token = answer["token"].as_str().context("the node gave no token")?;
        Ok(token.to_owned())
    }
}
