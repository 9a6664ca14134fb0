//! The upstream's side of a stream of pushes: the subscriptions of one node,
//! to as many shards as it likes, served together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use folkmoot_transport::{FrameSend, FramedStream};
use folkmoot_wire::proto::{FollowPush, FollowRequest, follow_request};
use folkmoot_wire::{ShardId, limits};
use prost::Message;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::cluster::feeds::{Feeds, Subscription};

/// Bytes of pushes in one write.
const WRITE_BYTES: usize = 1024 * 1024;

type Subscriptions = BTreeMap<u64, Subscription>;

/// A subscription's next push; `None`: the feed began anew, and so has the
/// follower.
type News = (u64, Option<FollowPush>);

/// Serves a stream until it ends. `far`: to another region.
pub(in crate::cluster) async fn serve(feeds: Arc<Feeds>, stream: FramedStream, far: bool) {
    let FramedStream { mut tx, mut rx } = stream;
    let mut subscriptions = Subscriptions::new();
    let mut silence = interval(limits::FOLLOW_WATERMARK);
    silence.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            frame = rx.recv() => {
                let Ok(Some(frame)) = frame else { break };
                let Ok(FollowRequest { what: Some(what) }) = FollowRequest::decode(frame) else {
                    break;
                };
                if let Some(refused) = request(&feeds, &mut subscriptions, what).await
                    && tx.send(ended(refused).encode_to_vec().into()).await.is_err()
                {
                    break;
                }
            }
            news = next(&mut subscriptions) => {
                silence.reset();
                if write(&mut *tx, &mut subscriptions, news, far).await.is_none() {
                    break;
                }
            }
            _ = silence.tick(), if !subscriptions.is_empty() => {
                if tx.send(Bytes::new()).await.is_err() {
                    break;
                }
            }
        }
    }
    for (_, subscription) in subscriptions {
        subscription.close().await;
    }
}

/// Does what the follower asks. Gives the subscription that is refused: this
/// node has no such feed, or there are too many.
async fn request(
    feeds: &Feeds,
    subscriptions: &mut Subscriptions,
    what: follow_request::What,
) -> Option<u64> {
    match what {
        follow_request::What::Open(open) => {
            let id = open.subscription;
            let room = subscriptions.len() < limits::FOLLOW_SUBSCRIPTIONS;
            let feed = feeds.get(ShardId(open.shard)).filter(|_| room);
            let subscription = match feed {
                Some(feed) => feed.open(open).await,
                None => None,
            };
            let Some(subscription) = subscription else {
                return Some(id);
            };
            if let Some(before) = subscriptions.insert(id, subscription) {
                before.close().await;
            }
        }
        follow_request::What::Update(update) => {
            if let Some(subscription) = subscriptions.get(&update.subscription) {
                subscription.update(update).await;
            }
        }
        follow_request::What::Close(close) => {
            if let Some(subscription) = subscriptions.remove(&close.subscription) {
                subscription.close().await;
            }
        }
    }
    None
}

fn ended(subscription: u64) -> FollowPush {
    FollowPush {
        subscription,
        ended: true,
        ..FollowPush::default()
    }
}

/// The next news of any subscription; those with low numbers first, which ends
/// when they have none.
async fn next(subscriptions: &mut Subscriptions) -> News {
    std::future::poll_fn(|context| poll(subscriptions, context)).await
}

fn poll(subscriptions: &mut Subscriptions, context: &mut Context<'_>) -> Poll<News> {
    for (id, subscription) in subscriptions {
        if let Poll::Ready(push) = subscription.pushes.poll_recv(context) {
            return Poll::Ready((*id, push));
        }
    }
    Poll::Pending
}

/// Writes the news and what else there is by then; `None`: the stream ended.
async fn write(
    tx: &mut dyn FrameSend,
    subscriptions: &mut Subscriptions,
    first: News,
    far: bool,
) -> Option<()> {
    if far {
        sleep(limits::FOLLOW_GATHER).await;
    }
    let (mut frames, mut taken, mut bytes) = (Vec::new(), Vec::new(), 0);
    let mut news = Some(first);
    while let Some((id, push)) = news.take() {
        let push = match push {
            Some(push) => {
                taken.push(id);
                FollowPush {
                    subscription: id,
                    ..push
                }
            }
            None => {
                subscriptions.remove(&id);
                ended(id)
            }
        };
        let frame = Bytes::from(push.encode_to_vec());
        bytes += frame.len();
        frames.push(frame);
        if bytes < WRITE_BYTES
            && let Poll::Ready(more) = poll_now(subscriptions)
        {
            news = Some(more);
        }
    }
    tx.send_many(&frames).await.ok()?;
    for id in taken {
        if let Some(subscription) = subscriptions.get(&id) {
            subscription.taken().await;
        }
    }
    Some(())
}

fn poll_now(subscriptions: &mut Subscriptions) -> Poll<News> {
    poll(
        subscriptions,
        &mut Context::from_waker(std::task::Waker::noop()),
    )
}
