//! The way to a peer: the direct one, or while that does not work, one through
//! a third region.

use std::sync::Arc;

use folkmoot_transport::Connection;
use folkmoot_wire::{Fault, NodeId, limits};
use tokio::time::timeout;

use super::choose::through;
use super::counts::TunnelCounts;
use super::direct::Direct;
use super::tunnel::Tunnel;
use super::unreachable;
use crate::cluster::view::ClusterView;

/// A way.
pub struct Way {
    pub connection: Arc<dyn Connection>,
    /// `None`: it is the direct one.
    pub through: Option<NodeId>,
}

/// Finds ways.
pub struct Ways {
    me: NodeId,
    view: Arc<ClusterView>,
    /// The direct ones.
    pub direct: Arc<Direct>,
    /// What became of the others.
    pub counts: Arc<TunnelCounts>,
}

impl Ways {
    pub(in crate::cluster) fn new(
        me: NodeId,
        dial: Arc<dyn folkmoot_transport::Dial>,
        view: Arc<ClusterView>,
    ) -> Self {
        Self {
            me,
            direct: Arc::new(Direct::new(dial, Arc::clone(&view))),
            view,
            counts: Arc::default(),
        }
    }

    /// A way to a node, the direct one if that is there in time.
    ///
    /// # Errors
    /// `unavailable` when there is none.
    pub async fn find(&self, to: NodeId) -> Result<Way, Fault> {
        let why = match self.direct.soon(to).await {
            Ok(connection) => return Ok(direct(connection)),
            Err(why) => why,
        };
        // A dial that is only slow may still come first.
        tokio::select! {
            biased;
            Ok(connection) = self.direct.get(to) => Ok(direct(connection)),
            Some(way) = self.tunnel(to) => {
                tracing::info!(
                    node = to.0,
                    through = way.through.map(|node| node.0),
                    %why,
                    "a node cannot be reached directly: it is reached through another region"
                );
                Ok(way)
            }
            else => Err(why),
        }
    }

    async fn tunnel(&self, to: NodeId) -> Option<Way> {
        let placement = self.view.placement();
        let alive = |node| self.view.alive(node);
        let up = |node| self.direct.is_up(node);
        let region = placement.region_of_node(to)?.to_owned();
        let others = through(self.me, to, &placement, &alive, &up);
        for other in others.into_iter().take(limits::VIA_TRIES) {
            let tunnel = async {
                let below = self.direct.soon(other).await?;
                Tunnel::open((to, region.clone()), (other, below), &self.counts)
                    .await
                    .map_err(|error| unreachable(to, &error.to_string()))
            };
            match timeout(limits::VIA_WITHIN, tunnel).await {
                Ok(Ok(tunnel)) => {
                    return Some(Way {
                        connection: Arc::new(tunnel),
                        through: Some(other),
                    });
                }
                Ok(Err(why)) => {
                    tracing::debug!(node = to.0, through = other.0, %why, "no way through");
                }
                Err(_) => {
                    tracing::debug!(node = to.0, through = other.0, "no way through in time");
                }
            }
        }
        None
    }
}

fn direct(connection: Arc<dyn Connection>) -> Way {
    Way {
        connection,
        through: None,
    }
}
