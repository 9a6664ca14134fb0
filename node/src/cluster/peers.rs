//! Calls to other nodes: one connection a peer, one stream of calls a class.
//!
//! Classes keep bulk from delaying consensus: a fetch of history never stands
//! in front of a heartbeat.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use folkmoot_transport::{Connection, Dial, FrameRecv, FramedStream, PeerKind};
use folkmoot_wire::proto::{
    NodeReply, NodeRequest, RpcOpen, StreamOpen, node_reply, node_request, stream_open,
};
use folkmoot_wire::{Code, Fault, NodeId, limits, version};
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::pack::packed;
use super::view::ClusterView;

/// Frames waiting to be written on one stream of calls. Full: callers wait.
const CALL_QUEUE: usize = 1_024;
/// After a failed dial, the next one waits this long.
const REDIAL: Duration = Duration::from_millis(300);

/// What a call is about; each class has a stream of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Consensus.
    Raft,
    /// Proposals and what else is small and urgent.
    Live,
    /// Fetches.
    Bulk,
}

type Reply = Result<node_reply::Reply, Fault>;
type Pending = Arc<Mutex<BTreeMap<u64, oneshot::Sender<Reply>>>>;

/// One stream of calls.
#[derive(Clone)]
struct Calls {
    frames: mpsc::Sender<Bytes>,
    pending: Pending,
    next: Arc<AtomicU64>,
}

#[derive(Default)]
struct Peer {
    connection: Option<Arc<dyn Connection>>,
    calls: BTreeMap<Class, Calls>,
    failed_at: Option<Instant>,
}

/// All peers of this node.
pub struct Peers {
    me: NodeId,
    region: String,
    dial: Arc<dyn Dial>,
    view: Arc<ClusterView>,
    peers: Mutex<BTreeMap<NodeId, Arc<AsyncMutex<Peer>>>>,
}

impl Peers {
    /// No connections yet: they are made when first used.
    pub fn new(me: NodeId, region: String, dial: Arc<dyn Dial>, view: Arc<ClusterView>) -> Self {
        Self {
            me,
            region,
            dial,
            view,
            peers: Mutex::new(BTreeMap::new()),
        }
    }

    /// This node.
    #[must_use]
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// Calls a node and waits for its answer.
    ///
    /// # Errors
    /// `unavailable` when the call did not leave, `deadline` when it is not
    /// known whether it was done, or what the node answered.
    pub async fn call(
        &self,
        to: NodeId,
        class: Class,
        request: node_request::Request,
        deadline: Duration,
    ) -> Reply {
        let work = async {
            let calls = self.calls(to, class).await?;
            let id = calls.next.fetch_add(1, Ordering::Relaxed);
            let (tx, rx) = oneshot::channel();
            calls.pending.lock().insert(id, tx);
            let _forget = Forget(&calls.pending, id);
            let frame = NodeRequest {
                id,
                deadline_ms: deadline.as_millis() as u32,
                request: Some(request),
            };
            if calls
                .frames
                .send(frame.encode_to_vec().into())
                .await
                .is_err()
            {
                return Err(unreachable(to, "the connection ended"));
            }
            rx.await
                .unwrap_or_else(|_| Err(unreachable(to, "the connection ended")))
        };
        match timeout(deadline, work).await {
            Ok(reply) => reply,
            Err(_) => Err(Fault::new(Code::Deadline, format!("node {to}"))),
        }
    }

    /// The same, and gives up as soon as gossip finds the node dead: such a
    /// node does not answer, and that its connection is gone shows only seconds
    /// later. One that was held for dead before is waited for: whoever asks it
    /// has nobody better, and gossip may be wrong (D1).
    ///
    /// # Errors
    /// As for [`Peers::call`].
    pub async fn call_living(
        &self,
        to: NodeId,
        class: Class,
        request: node_request::Request,
        deadline: Duration,
    ) -> Reply {
        let died = async {
            let mut members = self.view.watch();
            let mut can_die = self.view.alive(to);
            while can_die && self.view.alive(to) {
                can_die = members.changed().await.is_ok();
            }
            if !can_die {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            reply = self.call(to, class, request, deadline) => reply,
            () = died => Err(unreachable(to, "it died")),
        }
    }

    /// Opens a stream of its own to a node.
    ///
    /// # Errors
    /// `unavailable` when the node cannot be reached.
    pub async fn open(&self, to: NodeId, what: stream_open::What) -> Result<FramedStream, Fault> {
        let connection = self.connection(to).await?;
        open_on(&*connection, what, self.is_far(&*connection))
            .await
            .map_err(|error| unreachable(to, &error.to_string()))
    }

    /// Whether the peer is in another region: bytes are dear on the way there,
    /// and a few milliseconds are not.
    fn is_far(&self, connection: &dyn Connection) -> bool {
        matches!(connection.peer(), PeerKind::Node { region, .. } if *region != self.region)
    }

    async fn calls(&self, to: NodeId, class: Class) -> Result<Calls, Fault> {
        let slot = self.slot(to);
        let mut peer = slot.lock().await;
        if let Some(calls) = peer.calls.get(&class)
            && !calls.frames.is_closed()
        {
            return Ok(calls.clone());
        }
        let connection = self.connect(to, &mut peer).await?;
        let far = self.is_far(&*connection);
        let opened = open_on(&*connection, stream_open::What::Rpc(RpcOpen {}), far).await;
        let stream = match opened {
            Ok(stream) => stream,
            Err(error) => {
                peer.connection = None;
                return Err(unreachable(to, &error.to_string()));
            }
        };
        let calls = run(stream, far);
        peer.calls.insert(class, calls.clone());
        Ok(calls)
    }

    async fn connection(&self, to: NodeId) -> Result<Arc<dyn Connection>, Fault> {
        let slot = self.slot(to);
        let mut peer = slot.lock().await;
        self.connect(to, &mut peer).await
    }

    fn slot(&self, to: NodeId) -> Arc<AsyncMutex<Peer>> {
        Arc::clone(self.peers.lock().entry(to).or_default())
    }

    async fn connect(&self, to: NodeId, peer: &mut Peer) -> Result<Arc<dyn Connection>, Fault> {
        if let Some(connection) = &peer.connection {
            return Ok(Arc::clone(connection));
        }
        if let Some(at) = peer.failed_at
            && at.elapsed() < REDIAL
        {
            return Err(unreachable(to, "the last dial failed"));
        }
        let addr = self.address(to)?;
        match self.dial.dial_node(to, addr).await {
            Ok(connection) => {
                peer.failed_at = None;
                peer.calls.clear();
                peer.connection = Some(Arc::clone(&connection));
                self.watch(to, Arc::clone(&connection));
                Ok(connection)
            }
            Err(error) => {
                peer.failed_at = Some(Instant::now());
                Err(unreachable(to, &error.to_string()))
            }
        }
    }

    /// Forgets the connection when it ends, so that the next call dials.
    fn watch(&self, to: NodeId, connection: Arc<dyn Connection>) {
        let slot = self.slot(to);
        tokio::spawn(async move {
            let reason = connection.closed().await;
            tracing::debug!(node = to.0, %reason, "connection to a peer ended");
            let mut peer = slot.lock().await;
            if peer
                .connection
                .as_ref()
                .is_some_and(|held| Arc::ptr_eq(held, &connection))
            {
                *peer = Peer::default();
            }
        });
    }

    fn address(&self, to: NodeId) -> Result<SocketAddr, Fault> {
        self.view
            .address(to)
            .ok_or_else(|| unreachable(to, "its address is not known"))
    }

    /// Bytes to and from other nodes since the start, by region, of the
    /// connections this node dialled and that live now.
    #[must_use]
    pub fn connections(&self) -> Vec<(NodeId, Arc<dyn Connection>)> {
        let slots: Vec<_> = {
            let peers = self.peers.lock();
            peers
                .iter()
                .map(|(id, slot)| (*id, Arc::clone(slot)))
                .collect()
        };
        slots
            .into_iter()
            .filter_map(|(id, slot)| {
                let peer = slot.try_lock().ok()?;
                Some((id, peer.connection.clone()?))
            })
            .collect()
    }

    /// Closes every connection.
    pub async fn close(&self) {
        for (_, connection) in self.connections() {
            connection.close(Code::Draining as u32, "the node is stopping");
        }
    }
}

struct Forget<'a>(&'a Pending, u64);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

async fn open_on(
    connection: &dyn Connection,
    what: stream_open::What,
    far: bool,
) -> Result<FramedStream, folkmoot_transport::TransportError> {
    let mut stream = connection.open().await?;
    let open = StreamOpen {
        version: version::NODE,
        what: Some(what),
        packed: far,
    };
    stream.tx.send(open.encode_to_vec().into()).await?;
    if far { packed(stream) } else { Ok(stream) }
}

/// Waits for frames to be written; on a way between regions a moment longer, so
/// that more of them travel together. `false`: there will be none.
pub(super) async fn gather(
    queue: &mut mpsc::Receiver<Bytes>,
    far: bool,
    waiting: &mut Vec<Bytes>,
) -> bool {
    if queue.recv_many(waiting, CALL_QUEUE).await == 0 {
        return false;
    }
    if far {
        sleep(limits::CALL_GATHER).await;
        while waiting.len() < CALL_QUEUE
            && let Ok(frame) = queue.try_recv()
        {
            waiting.push(frame);
        }
    }
    true
}

/// Runs a stream of calls until it ends; then every open call fails.
fn run(stream: FramedStream, far: bool) -> Calls {
    let (frames, mut queue) = mpsc::channel::<Bytes>(CALL_QUEUE);
    let pending: Pending = Arc::default();
    let FramedStream { mut tx, rx } = stream;
    tokio::spawn(async move {
        let mut waiting = Vec::new();
        while gather(&mut queue, far, &mut waiting).await {
            if tx.send_many(&waiting).await.is_err() {
                break;
            }
            waiting.clear();
        }
    });
    let answers = Arc::clone(&pending);
    let closer = frames.clone();
    tokio::spawn(async move {
        receive(rx, &answers).await;
        // Dropping the senders fails every call that still waits.
        answers.lock().clear();
        drop(closer);
    });
    Calls {
        frames,
        pending,
        next: Arc::new(AtomicU64::new(1)),
    }
}

async fn receive(mut rx: Box<dyn FrameRecv>, pending: &Pending) {
    while let Ok(Some(frame)) = rx.recv().await {
        let Ok(reply) = NodeReply::decode(frame) else {
            return;
        };
        let waiting = pending.lock().remove(&reply.id);
        if let Some(waiting) = waiting {
            let answer = match reply.reply {
                Some(node_reply::Reply::Error(error)) => Err(Fault::from(&error)),
                Some(answer) => Ok(answer),
                None => Err(Fault::new(Code::MalformedFrame, "an empty reply")),
            };
            // The caller may have given up meanwhile.
            let _ = waiting.send(answer);
        }
    }
}

fn unreachable(node: NodeId, why: &str) -> Fault {
    Fault::new(Code::Unavailable, format!("node {node}: {why}"))
}
