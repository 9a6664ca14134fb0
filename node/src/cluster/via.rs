//! Through a third region: a node whose way to another region is cut reaches
//! it through a node that both reach (decision 38).
//!
//! The three parts: [`ways`] finds a way, [`tunnel`] makes it a connection
//! like any other, and [`Tunnels`] here is what the node between and the other
//! end do. The node between uses its own direct connection and nothing else,
//! so tunnels make no chains and no loops.

pub mod choose;
pub mod counts;
pub mod direct;
#[cfg(test)]
mod tests;
mod tunnel;
pub mod ways;

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_transport::{FrameRecv, FrameSend, FramedStream, Result as Sent};
use folkmoot_wire::proto::stream_open::What;
use folkmoot_wire::proto::{StreamOpen, Tunnel, TunnelAnswer};
use folkmoot_wire::{Code, Fault, NodeId, limits, version};
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::view::ClusterView;
use counts::{TunnelCounts, Under};
use direct::Direct;
use ways::Ways;

/// What a node does for others: it passes streams on, and serves what was
/// passed on to it.
pub struct Tunnels {
    me: NodeId,
    view: Arc<ClusterView>,
    direct: Arc<Direct>,
    counts: Arc<TunnelCounts>,
    places: Arc<Semaphore>,
}

impl Tunnels {
    /// Tunnels over the direct ones of these ways.
    pub fn new(me: NodeId, view: Arc<ClusterView>, ways: &Ways) -> Self {
        Self {
            me,
            view,
            direct: Arc::clone(&ways.direct),
            counts: Arc::clone(&ways.counts),
            places: Arc::new(Semaphore::new(limits::VIA_STREAMS)),
        }
    }

    /// Passes on a stream that the node `from` opened, if that is what it is
    /// to be; any other is for `serve`, with the node that it comes from.
    pub async fn stream<F: Future<Output = ()>>(
        &self,
        from: NodeId,
        mut stream: FramedStream,
        serve: impl FnOnce(NodeId, FramedStream, StreamOpen) -> F,
    ) {
        let Some(open) = opening(from, &mut stream).await else {
            return;
        };
        match open.what {
            Some(What::Via(via)) => self.pass_on(from, NodeId(via.to), stream).await,
            Some(What::Tunnel(tunnel)) => {
                let (by, from) = (from, NodeId(tunnel.from));
                let Some(_under) = self.take_in(by, from, &mut stream).await else {
                    return;
                };
                match opening(from, &mut stream).await {
                    None => {}
                    Some(open) if matches!(open.what, Some(What::Via(_) | What::Tunnel(_))) => {
                        let why = "a tunnel within a tunnel";
                        let fault = Fault::new(Code::Invalid, why);
                        self.answer(&mut stream, Some(fault)).await;
                    }
                    Some(open) => serve(from, stream, open).await,
                }
            }
            _ => serve(from, stream, open).await,
        }
    }

    /// Until either end ends it. What it may not, or cannot, is answered.
    async fn pass_on(&self, from: NodeId, to: NodeId, mut stream: FramedStream) {
        let (_place, onward) = match self.onward(from, to).await {
            Ok(onward) => onward,
            Err(fault) => {
                tracing::debug!(from = from.0, to = to.0, %fault, "a tunnel was refused");
                self.answer(&mut stream, Some(fault)).await;
                return;
            }
        };
        let _under = self.counts.under(true);
        tokio::select! {
            () = self.copy(stream.rx, onward.tx) => {}
            () = self.copy(onward.rx, stream.tx) => {}
        }
    }

    async fn onward(
        &self,
        from: NodeId,
        to: NodeId,
    ) -> Result<(OwnedSemaphorePermit, FramedStream), Fault> {
        if to == self.me || to == from {
            let why = format!("a tunnel from node {from} to node {to} goes nowhere");
            return Err(Fault::new(Code::Invalid, why));
        }
        self.known(from)?;
        self.known(to)?;
        self.three_regions([from, self.me, to])?;
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| Fault::new(Code::Busy, "no more streams are passed on now"))?;
        let open = async {
            // Never by a way that is a tunnel itself.
            let connection = self.direct.soon(to).await?;
            begin(&*connection, from)
                .await
                .map_err(|error| unreachable(to, &error.to_string()))
        };
        let onward = timeout(limits::VIA_WITHIN, open)
            .await
            .unwrap_or_else(|_| Err(unreachable(to, "it takes no stream")))?;
        Ok((place, onward))
    }

    /// The stream that the node `by` passed on for `from` is served as if that
    /// one had opened it, as long as what is returned is held. `None`: it is
    /// not, and was answered so.
    async fn take_in(&self, by: NodeId, from: NodeId, stream: &mut FramedStream) -> Option<Under> {
        let fault = self.may_pass_on(by, from).err();
        if let Some(fault) = &fault {
            tracing::warn!(by = by.0, from = from.0, %fault, "a tunnel was refused");
        }
        let refused = fault.is_some();
        let answered = self.answer(stream, fault).await;
        (answered && !refused).then(|| self.counts.under(false))
    }

    fn may_pass_on(&self, by: NodeId, from: NodeId) -> Result<(), Fault> {
        if from == self.me || from == by {
            let why = format!("node {by} passes on for node {from}");
            return Err(Fault::new(Code::Invalid, why));
        }
        self.known(by)?;
        self.known(from)?;
        self.three_regions([from, by, self.me])
    }

    /// The ends and the node between stand in three regions: so nobody speaks
    /// for a neighbour of its own, nor of the other end, with which that votes.
    fn three_regions(&self, nodes: [NodeId; 3]) -> Result<(), Fault> {
        let placement = self.view.placement();
        let [from, by, to] = nodes.map(|node| placement.region_of_node(node));
        if from != by && by != to && from != to {
            return Ok(());
        }
        let [from, by, to] = nodes;
        Err(Fault::new(
            Code::Invalid,
            format!("nodes {from}, {by} and {to} do not stand in three regions"),
        ))
    }

    /// A node of the cluster that has not left it.
    fn known(&self, node: NodeId) -> Result<(), Fault> {
        let placement = self.view.placement();
        match placement.node(node) {
            Some(record) if !record.left => Ok(()),
            Some(_) => Err(Fault::new(
                Code::Forbidden,
                format!("node {node} has left the cluster"),
            )),
            None => Err(Fault::new(
                Code::Invalid,
                format!("node {node} is not known to node {}", self.me),
            )),
        }
    }

    async fn answer(&self, stream: &mut FramedStream, fault: Option<Fault>) -> bool {
        let answer = TunnelAnswer {
            error: fault.map(Into::into),
            node: self.me.0,
        };
        let sent = stream.tx.send(answer.encode_to_vec().into()).await;
        sent.is_ok()
    }

    async fn copy(&self, mut from: Box<dyn FrameRecv>, mut to: Box<dyn FrameSend>) {
        while let Ok(Some(frame)) = from.recv().await {
            let bytes = Bytes::len(&frame);
            if to.send(frame).await.is_err() {
                return;
            }
            self.counts.add_bytes(bytes);
        }
    }
}

/// What a stream is to be, by its first frame.
async fn opening(from: NodeId, stream: &mut FramedStream) -> Option<StreamOpen> {
    let frame = stream.rx.recv().await.ok()??;
    let Ok(open) = StreamOpen::decode(frame) else {
        tracing::warn!(
            node = from.0,
            "a stream began with something else than its opening"
        );
        return None;
    };
    if open.version != version::NODE {
        tracing::warn!(
            node = from.0,
            theirs = open.version,
            "another node protocol"
        );
        return None;
    }
    Some(open)
}

async fn begin(
    connection: &dyn folkmoot_transport::Connection,
    from: NodeId,
) -> Sent<FramedStream> {
    let mut stream = connection.open().await?;
    let open = StreamOpen {
        version: version::NODE,
        what: Some(What::Tunnel(Tunnel { from: from.0 })),
        packed: false,
    };
    stream.tx.send(open.encode_to_vec().into()).await?;
    Ok(stream)
}

pub(super) fn unreachable(node: NodeId, why: &str) -> Fault {
    Fault::new(Code::Unavailable, format!("node {node}: {why}"))
}
