//! A connection in the simulated network.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock, Weak};

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::Instant;

use super::Net;
use super::stream::{Half, SimRecv, SimSend, StreamWindow, pipe};
use crate::counters::{ConnectionStats, Counters, Label, Measured, Meter};
use crate::error::{Result, TransportError};
use crate::port::{Carrier, Connection, FramedStream, PeerKind};

/// Streams opened and not yet accepted; more wait.
const STREAM_QUEUE: usize = 1_024;

/// A stream on its way to the side that accepts it.
pub(super) struct Arriving {
    pub(super) at: Instant,
    pub(super) half: Half,
}

#[derive(Default)]
struct Accepting {
    from_peer: Option<mpsc::Receiver<Arriving>>,
    /// Taken from the queue and not there yet.
    next: Option<Arriving>,
}

struct End {
    addr: SocketAddr,
    ended: watch::Sender<Option<TransportError>>,
    to_peer: mpsc::Sender<Arriving>,
    accepting: Mutex<Accepting>,
}

/// Both ends of a connection.
pub(super) struct Link {
    id: u64,
    pub(super) net: Arc<Net>,
    ends: [End; 2],
    /// Of each direction of its streams.
    window: StreamWindow,
}

impl Link {
    pub(super) fn new(
        net: Arc<Net>,
        dialler: SocketAddr,
        listener: SocketAddr,
        window: StreamWindow,
    ) -> Arc<Self> {
        let (to_listener, at_listener) = mpsc::channel(STREAM_QUEUE);
        let (to_dialler, at_dialler) = mpsc::channel(STREAM_QUEUE);
        let end = |addr, to_peer, from_peer| End {
            addr,
            ended: watch::Sender::new(None),
            to_peer,
            accepting: Mutex::new(Accepting {
                from_peer: Some(from_peer),
                next: None,
            }),
        };
        let ends = [
            end(dialler, to_listener, at_dialler),
            end(listener, to_dialler, at_listener),
        ];
        let mut state = net.state();
        state.next += 1;
        let id = state.next;
        let link = Arc::new(Self {
            id,
            net: net.clone(),
            ends,
            window,
        });
        state.links.insert(id, Arc::downgrade(&link));
        drop(state);
        link
    }

    fn host(&self, side: usize) -> IpAddr {
        self.ends[side].addr.ip()
    }

    pub(super) fn joins(&self, a: IpAddr, b: IpAddr) -> bool {
        let (x, y) = (self.host(0), self.host(1));
        (x, y) == (a, b) || (x, y) == (b, a)
    }

    pub(super) fn touches(&self, host: IpAddr) -> bool {
        self.host(0) == host || self.host(1) == host
    }

    pub(super) fn listens_at(&self, addr: SocketAddr) -> bool {
        self.ends[1].addr == addr
    }

    fn end(&self, side: usize, why: TransportError) -> bool {
        self.ends[side].ended.send_if_modified(|ended| {
            let first = ended.is_none();
            ended.get_or_insert(why);
            first
        })
    }

    /// Ends one side at once, and lets the other hear of it by the network.
    pub(super) fn close(
        self: &Arc<Self>,
        side: usize,
        here: TransportError,
        there: TransportError,
    ) {
        if !self.end(side, here) {
            return;
        }
        let (from, to) = (self.host(side), self.host(1 - side));
        let at = self.net.arrival(from, to);
        let link = self.clone();
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            link.net.arrive(from, to, at).await;
            link.end(1 - side, there);
        });
    }

    pub(super) fn break_both(&self, why: &TransportError) {
        self.end(0, why.clone());
        self.end(1, why.clone());
    }

    pub(super) fn kill(self: &Arc<Self>, host: IpAddr) {
        for side in [0, 1] {
            if self.host(side) == host {
                let here = TransportError::lost("this host was killed");
                let there = TransportError::lost("the peer's host was killed");
                self.close(side, here, there);
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.net.state().links.remove(&self.id);
    }
}

/// One side's view of a link, shared by its connection and streams. When the
/// last of them goes the connection is closed, as QUIC does.
pub(super) struct Side {
    pub(super) link: Arc<Link>,
    pub(super) side: usize,
    peer: PeerKind,
    pub(super) max: usize,
    pub(super) meter: Meter,
    counters: Arc<Counters>,
    counted: OnceLock<u64>,
}

impl Side {
    /// Where this side's packets go from and to.
    pub(super) fn outward(&self) -> (IpAddr, IpAddr) {
        (self.link.host(self.side), self.link.host(1 - self.side))
    }

    /// Where the other side's packets come from and go to.
    pub(super) fn inward(&self) -> (SocketAddr, SocketAddr) {
        let ends = &self.link.ends;
        (ends[1 - self.side].addr, ends[self.side].addr)
    }

    pub(super) fn why(&self) -> Option<TransportError> {
        self.link.ends[self.side].ended.borrow().clone()
    }

    pub(super) async fn ended(&self) -> TransportError {
        let mut ended = self.link.ends[self.side].ended.subscribe();
        // The sender is in the link: it cannot be gone.
        let why = ended.wait_for(Option::is_some).await.ok();
        why.and_then(|why| why.clone())
            .unwrap_or(TransportError::ClosedHere)
    }

    fn close(&self, code: u32, reason: &str) {
        let there = TransportError::Closed {
            code,
            reason: reason.to_owned(),
        };
        self.link
            .close(self.side, TransportError::ClosedHere, there);
    }
}

impl Measured for Side {
    fn measure(&self) -> ConnectionStats {
        self.meter.read()
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.close(0, "");
        if let Some(id) = self.counted.get() {
            self.counters.retire(*id, &self.measure());
        }
    }
}

pub(super) struct SimConnection {
    side: Arc<Side>,
}

impl SimConnection {
    /// The view of a link from one side (0: the dialler, 1: the listener).
    pub(super) fn new(
        link: Arc<Link>,
        side: usize,
        peer: PeerKind,
        max: usize,
        counters: Arc<Counters>,
    ) -> Self {
        let label = Label::new(&peer, Carrier::Sim);
        let side = Arc::new(Side {
            link,
            side,
            peer,
            max,
            meter: Meter::default(),
            counters,
            counted: OnceLock::new(),
        });
        let source: Weak<Side> = Arc::downgrade(&side);
        let _ = side.counted.set(side.counters.register(label, source));
        Self { side }
    }

    fn framed(&self, half: Half, announce: Option<(mpsc::Sender<Arriving>, Half)>) -> FramedStream {
        FramedStream {
            tx: Box::new(SimSend::new(self.side.clone(), half.out, announce)),
            rx: Box::new(SimRecv::new(self.side.clone(), half.back)),
        }
    }
}

impl std::fmt::Debug for SimConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sim {} {:?}", self.remote(), self.side.peer)
    }
}

#[async_trait]
impl Connection for SimConnection {
    fn peer(&self) -> &PeerKind {
        &self.side.peer
    }

    fn remote(&self) -> SocketAddr {
        self.side.link.ends[1 - self.side.side].addr
    }

    fn kind(&self) -> Carrier {
        Carrier::Sim
    }

    async fn open(&self) -> Result<FramedStream> {
        if let Some(why) = self.side.why() {
            return Err(why);
        }
        let (there_out, there_back) = pipe(self.side.link.window);
        let (here_out, here_back) = pipe(self.side.link.window);
        let here = Half {
            out: there_out,
            back: here_back,
        };
        let there = Half {
            out: here_out,
            back: there_back,
        };
        let to_peer = self.side.link.ends[self.side.side].to_peer.clone();
        Ok(self.framed(here, Some((to_peer, there))))
    }

    async fn accept(&self) -> Result<Option<FramedStream>> {
        let side = &self.side;
        let mut accepting = side.link.ends[side.side].accepting.lock().await;
        let Accepting { from_peer, next } = &mut *accepting;
        let (to, from) = side.outward();
        let arrive = async {
            if next.is_none() {
                *next = match from_peer {
                    Some(queue) => queue.recv().await,
                    None => None,
                };
            }
            match next {
                Some(arriving) => side.link.net.arrive(from, to, arriving.at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = arrive => Ok(next.take().map(|arriving| self.framed(arriving.half, None))),
            _ = side.ended() => Ok(None),
        }
    }

    fn close(&self, code: u32, reason: &str) {
        self.side.close(code, reason);
    }

    async fn closed(&self) -> TransportError {
        self.side.ended().await
    }

    fn stats(&self) -> ConnectionStats {
        self.side.measure()
    }
}
