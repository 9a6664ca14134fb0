//! Calls to other nodes: one connection a peer, one stream of calls a class.
//!
//! Classes keep bulk from delaying consensus: a fetch of history never stands
//! in front of a heartbeat. Whether a connection is direct or a way through a
//! third region is nobody's business above this.

mod calls;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use folkmoot_transport::{Connection, Dial, FramedStream, PeerKind};
use folkmoot_wire::proto::{NodeRequest, RpcOpen, node_request, stream_open};
use folkmoot_wire::{Code, Fault, NodeId, limits};
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::via::counts::TunnelCounts;
use super::via::direct::REDIAL;
use super::via::unreachable;
use super::via::ways::{Way, Ways};
use super::view::ClusterView;
pub(super) use calls::gather;
use calls::{Calls, Pending, Reply, open_on, run};

/// How often it is looked whether calls of a way that was left are done.
const LOOK: Duration = Duration::from_millis(50);

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

#[derive(Default)]
struct Peer {
    connection: Option<Arc<dyn Connection>>,
    calls: BTreeMap<Class, Calls>,
    failed_at: Option<Instant>,
}

impl Peer {
    fn uses(&self, connection: &Arc<dyn Connection>) -> bool {
        let held = self.connection.as_ref();
        held.is_some_and(|held| Arc::ptr_eq(held, connection))
    }
}

type Slot = Arc<AsyncMutex<Peer>>;

/// All peers of this node.
pub struct Peers {
    me: NodeId,
    region: String,
    ways: Arc<Ways>,
    view: Arc<ClusterView>,
    peers: Mutex<BTreeMap<NodeId, Slot>>,
}

impl Peers {
    /// No connections yet: they are made when first used.
    pub fn new(me: NodeId, region: String, dial: Arc<dyn Dial>, view: Arc<ClusterView>) -> Self {
        Self {
            me,
            region,
            ways: Arc::new(Ways::new(me, dial, Arc::clone(&view))),
            view,
            peers: Mutex::new(BTreeMap::new()),
        }
    }

    /// This node.
    #[must_use]
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// The ways to them.
    #[must_use]
    pub fn ways(&self) -> &Ways {
        &self.ways
    }

    /// What became of those through third regions.
    #[must_use]
    pub fn tunnels(&self) -> &TunnelCounts {
        &self.ways.counts
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
        let (_, connection) = self.connect(to, self.lock(to).await).await?;
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
        let peer = self.lock(to).await;
        if let Some(calls) = peer.calls.get(&class)
            && !calls.frames.is_closed()
        {
            return Ok(calls.clone());
        }
        let (mut peer, connection) = self.connect(to, peer).await?;
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

    async fn lock(&self, to: NodeId) -> OwnedMutexGuard<Peer> {
        let slot = Arc::clone(self.peers.lock().entry(to).or_default());
        slot.lock_owned().await
    }

    async fn connect(
        &self,
        to: NodeId,
        mut peer: OwnedMutexGuard<Peer>,
    ) -> Result<(OwnedMutexGuard<Peer>, Arc<dyn Connection>), Fault> {
        if let Some(connection) = &peer.connection {
            let connection = Arc::clone(connection);
            return Ok((peer, connection));
        }
        if let Some(at) = peer.failed_at
            && at.elapsed() < REDIAL
        {
            return Err(unreachable(to, "the last dial failed"));
        }
        // A task of its own: a call that ends at its deadline does not take
        // the search with it, or no short one would ever get through.
        let ways = Arc::clone(&self.ways);
        let search = tokio::spawn(async move {
            let way = ways.find(to).await;
            let connection = way.map(|way| take(way, to, &mut peer, &ways));
            if connection.is_err() {
                peer.failed_at = Some(Instant::now());
            }
            connection.map(|connection| (peer, connection))
        });
        search
            .await
            .unwrap_or_else(|_| Err(unreachable(to, "the search for a way ended")))
    }

    /// Closes every connection.
    pub async fn close(&self) {
        let slots: Vec<Slot> = self.peers.lock().values().cloned().collect();
        for slot in slots {
            // One that is being made ends by itself.
            if let Ok(peer) = slot.try_lock()
                && let Some(connection) = &peer.connection
            {
                connection.close(Code::Draining as u32, "the node is stopping");
            }
        }
        self.ways.direct.close();
    }
}

/// Uses a way from now on.
fn take(
    way: Way,
    to: NodeId,
    peer: &mut OwnedMutexGuard<Peer>,
    ways: &Arc<Ways>,
) -> Arc<dyn Connection> {
    let slot = Arc::clone(OwnedMutexGuard::mutex(peer));
    let connection = way.connection;
    peer.failed_at = None;
    peer.calls.clear();
    peer.connection = Some(Arc::clone(&connection));
    watch(Arc::clone(&slot), Arc::clone(&connection));
    if way.through.is_some() {
        tokio::spawn(come_back(
            to,
            slot,
            Arc::clone(&connection),
            Arc::clone(ways),
        ));
    }
    connection
}

/// Forgets the connection when it ends, so that the next call looks for a way.
fn watch(slot: Slot, connection: Arc<dyn Connection>) {
    tokio::spawn(async move {
        connection.closed().await;
        let mut peer = slot.lock().await;
        if peer.uses(&connection) {
            *peer = Peer::default();
        }
    });
}

/// Goes back to the direct way once that is there. The other one ends when its
/// calls are done; what is streamed over it begins anew, on the direct one.
async fn come_back(to: NodeId, slot: Slot, tunnel: Arc<dyn Connection>, ways: Arc<Ways>) {
    let back = async {
        loop {
            if let Ok(connection) = ways.direct.get(to).await {
                return connection;
            }
            sleep(limits::VIA_AGAIN).await;
        }
    };
    let connection = tokio::select! {
        biased;
        _ = tunnel.closed() => return,
        connection = back => connection,
    };
    let mut peer = slot.lock_owned().await;
    if !peer.uses(&tunnel) {
        return;
    }
    let calls = std::mem::take(&mut peer.calls);
    let way = Way {
        connection,
        through: None,
    };
    take(way, to, &mut peer, &ways);
    drop(peer);
    tracing::info!(node = to.0, "a node is reached directly again");
    let done = async {
        while calls.values().any(|calls| !calls.pending.lock().is_empty()) {
            sleep(LOOK).await;
        }
    };
    let _ = timeout(limits::VIA_LINGER, done).await;
    tunnel.close(0, "the direct way is back");
}

struct Forget<'a>(&'a Pending, u64);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}
