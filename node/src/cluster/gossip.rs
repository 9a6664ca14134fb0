//! Gossip's ports on a node: state packets travel over the nodes' QUIC.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_gossip::{LinkError, StateLink};
use folkmoot_transport::FramedStream;
use folkmoot_wire::NodeId;
use folkmoot_wire::proto::{GossipOpen, GossipPacket, stream_open};
use prost::Message;
use rand::RngCore;
use tokio::sync::{Mutex, mpsc};

use super::peers::Peers;
use crate::ports::Random;

/// State packets that wait. Full: dropped; gossip repeats itself.
pub const PACKETS: usize = 256;

/// State packets over streams between nodes, one a peer.
pub struct PeerStateLink {
    peers: Arc<Peers>,
    streams: Mutex<BTreeMap<NodeId, FramedStream>>,
    received: Mutex<mpsc::Receiver<(NodeId, Bytes)>>,
}

impl PeerStateLink {
    /// A link whose packets arrive on `received`.
    pub fn new(peers: Arc<Peers>, received: mpsc::Receiver<(NodeId, Bytes)>) -> Self {
        Self {
            peers,
            streams: Mutex::default(),
            received: Mutex::new(received),
        }
    }
}

#[async_trait]
impl StateLink for PeerStateLink {
    async fn send(&self, to: NodeId, payload: Bytes) -> Result<(), LinkError> {
        let frame = Bytes::from(GossipPacket { payload }.encode_to_vec());
        let held = self.streams.lock().await.remove(&to);
        let mut stream = match held {
            Some(stream) => stream,
            None => self
                .peers
                .open(to, stream_open::What::Gossip(GossipOpen {}))
                .await
                .map_err(|_| LinkError::Unreachable(to))?,
        };
        stream
            .tx
            .send(frame)
            .await
            .map_err(|_| LinkError::Unreachable(to))?;
        self.streams.lock().await.insert(to, stream);
        Ok(())
    }

    async fn recv(&self) -> Option<(NodeId, Bytes)> {
        self.received.lock().await.recv().await
    }
}

/// The node's randomness, as a generator.
pub struct PortRng(pub Arc<dyn Random>);

impl RngCore for PortRng {
    fn next_u32(&mut self) -> u32 {
        self.0.number() as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0.number()
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        self.0.fill(out);
    }
}
