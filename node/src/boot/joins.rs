//! How a node answers those who want to join.

use std::sync::Arc;

use folkmoot_wire::NodeId;

use super::folder::{Folder, Identity, Kind};
use crate::cluster::join::{CaJoins, CaNode, NoJoins, PassOn};
use crate::cluster::parts::Joins;
use crate::cluster::start::Node;
use crate::ports::SystemClock;

/// The three ways.
pub(super) enum JoinAnswers {
    Refused,
    Passed(Arc<PassOn>),
    Signed(Arc<CaJoins>),
}

impl JoinAnswers {
    pub(super) fn new(folder: &Folder, identity: &Identity) -> anyhow::Result<Self> {
        if identity.kind == Kind::Development {
            return Ok(Self::Refused);
        }
        Ok(match folder.ca()? {
            Some(ca) => {
                let (id, key) = identity.gossip_key()?;
                let mut gossip_key = vec![id];
                gossip_key.extend_from_slice(&key[..]);
                Self::Signed(Arc::new(CaJoins {
                    ca,
                    cluster: identity.cluster_bytes()?,
                    gossip_key: gossip_key.into(),
                    clock: Arc::new(SystemClock),
                    node: std::sync::OnceLock::new(),
                }))
            }
            None => Self::Passed(Arc::new(PassOn {
                me: NodeId(identity.node),
                meta: std::sync::OnceLock::new(),
                peers: std::sync::OnceLock::new(),
            })),
        })
    }

    pub(super) fn port(&self) -> Arc<dyn Joins> {
        match self {
            Self::Refused => Arc::new(NoJoins),
            Self::Passed(port) => Arc::clone(port) as Arc<dyn Joins>,
            Self::Signed(port) => Arc::clone(port) as Arc<dyn Joins>,
        }
    }

    pub(super) fn connect(&self, node: &Node) {
        match self {
            Self::Refused => {}
            Self::Passed(port) => {
                let _ = port.meta.set(Arc::clone(&node.meta));
                let _ = port.peers.set(Arc::clone(&node.peers));
            }
            Self::Signed(port) => {
                let _ = port.node.set(CaNode {
                    router: Arc::clone(&node.router),
                    meta: Arc::clone(&node.meta),
                    view: Arc::clone(&node.view),
                });
            }
        }
    }
}
