//! One stream of pushes from each upstream: every shard that is followed there
//! has its subscription on it.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use folkmoot_transport::{FrameRecv, FrameSend, FramedStream};
use folkmoot_wire::proto::{
    FollowClose, FollowLink, FollowOpen, FollowPush, FollowRequest, FollowUpdate, follow_request,
    stream_open,
};
use folkmoot_wire::{Code, Fault, NodeId, limits};
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::time::timeout;

use crate::cluster::peers::Peers;

/// Requests that wait to be written. Full: the subscription that asks ends,
/// and its shard is followed anew.
const REQUESTS: usize = 1_024;
/// Pushes that wait for one shard's follower. Full: the stream waits, and with
/// it the other shards of this upstream.
const PUSHES: usize = 256;

type Routes = Arc<Mutex<BTreeMap<u64, mpsc::Sender<FollowPush>>>>;

#[derive(Clone)]
struct Link {
    requests: mpsc::Sender<FollowRequest>,
    routes: Routes,
}

/// The streams to all upstreams.
pub struct Links {
    peers: Arc<Peers>,
    links: Mutex<BTreeMap<NodeId, Arc<AsyncMutex<Option<Link>>>>>,
    next: AtomicU64,
}

/// One shard's part of a stream. It ends when dropped.
pub(super) struct Subscription {
    id: u64,
    link: Link,
    /// `None` at its end: the upstream or the stream has ended it.
    pub(super) pushes: mpsc::Receiver<FollowPush>,
}

impl Links {
    /// No streams yet: they are opened when somebody follows.
    #[must_use]
    pub fn new(peers: Arc<Peers>) -> Self {
        Self {
            peers,
            links: Mutex::default(),
            next: AtomicU64::new(1),
        }
    }

    /// Begins to follow through `node`.
    pub(super) async fn follow(
        &self,
        node: NodeId,
        open: FollowOpen,
    ) -> Result<Subscription, Fault> {
        let slot = Arc::clone(self.links.lock().entry(node).or_default());
        let mut held = slot.lock().await;
        let link = match held.as_ref() {
            Some(link) if !link.requests.is_closed() => link.clone(),
            _ => {
                let what = stream_open::What::Follow(FollowLink {});
                let link = run(self.peers.open(node, what).await?);
                held.insert(link).clone()
            }
        };
        drop(held);
        subscribe(link, self.next.fetch_add(1, Ordering::Relaxed), open)
    }
}

fn subscribe(link: Link, id: u64, mut open: FollowOpen) -> Result<Subscription, Fault> {
    open.subscription = id;
    let (pushes, receiver) = mpsc::channel(PUSHES);
    link.routes.lock().insert(id, pushes);
    let subscription = Subscription {
        id,
        link,
        pushes: receiver,
    };
    subscription.ask(follow_request::What::Open(open))?;
    Ok(subscription)
}

impl Subscription {
    /// Tells the upstream which groups are wanted.
    pub(super) fn update(&self, mut update: FollowUpdate) -> Result<(), Fault> {
        update.subscription = self.id;
        self.ask(follow_request::What::Update(update))
    }

    fn ask(&self, what: follow_request::What) -> Result<(), Fault> {
        let request = FollowRequest { what: Some(what) };
        self.link
            .requests
            .try_send(request)
            .map_err(|_| Fault::new(Code::Unavailable, "the stream of pushes is full or ended"))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.link.routes.lock().remove(&self.id);
        // When it does not leave now, it does at the next push for nobody.
        let _ = self.ask(close(self.id));
    }
}

fn close(subscription: u64) -> follow_request::What {
    follow_request::What::Close(FollowClose { subscription })
}

/// Runs a stream until it ends; then all its subscriptions do.
fn run(stream: FramedStream) -> Link {
    let (requests, queue) = mpsc::channel(REQUESTS);
    let link = Link {
        requests,
        routes: Routes::default(),
    };
    let reader = link.clone();
    let FramedStream { tx, rx } = stream;
    tokio::spawn(async move {
        // Whichever ends first takes the other along: the queue closes, and a
        // new stream is opened by who follows next.
        tokio::select! {
            () = write(queue, tx) => {}
            () = read(rx, &reader) => {}
        }
        reader.routes.lock().clear();
    });
    link
}

async fn write(mut queue: mpsc::Receiver<FollowRequest>, mut tx: Box<dyn FrameSend>) {
    let mut waiting = Vec::new();
    while queue.recv_many(&mut waiting, REQUESTS).await > 0 {
        let frames: Vec<_> = waiting
            .drain(..)
            .map(|request| request.encode_to_vec().into())
            .collect();
        if tx.send_many(&frames).await.is_err() {
            return;
        }
    }
}

async fn read(mut rx: Box<dyn FrameRecv>, link: &Link) {
    while let Ok(Ok(Some(frame))) = timeout(limits::FOLLOW_SILENCE, rx.recv()).await {
        let Ok(push) = FollowPush::decode(frame) else {
            return;
        };
        let id = push.subscription;
        if push.ended {
            link.routes.lock().remove(&id);
        } else if id != 0 {
            let route = link.routes.lock().get(&id).cloned();
            let gone = match route {
                Some(route) => route.send(push).await.is_err(),
                None => true,
            };
            if gone {
                let what = Some(close(id));
                let _ = link.requests.try_send(FollowRequest { what });
            }
        }
    }
}
