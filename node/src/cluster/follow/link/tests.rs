//! Both ends of a stream of pushes, joined in memory.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_replication::placement::Shard;
use folkmoot_storage::MemStore;
use folkmoot_transport::{FrameRecv, FrameSend, FramedStream, Result, TransportError};
use folkmoot_wire::proto::{FollowOpen, FollowPush, FollowRequest, GroupPush, Head, ShardRecord};
use folkmoot_wire::{GroupId, RegionId, ShardId, Slot, limits};
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Link, run, subscribe};
use crate::cluster::feeds::{Feeds, Publisher};
use crate::cluster::machine::Applied;
use crate::cluster::pack::packed;
use crate::cluster::serve::pushes::serve;

struct Tx(mpsc::Sender<Bytes>);
struct Rx(mpsc::Receiver<Bytes>);

#[async_trait]
impl FrameSend for Tx {
    async fn send(&mut self, frame: Bytes) -> Result<()> {
        let sent = self.0.send(frame).await;
        sent.map_err(|_| TransportError::StreamFinished)
    }

    async fn send_many(&mut self, frames: &[Bytes]) -> Result<()> {
        for frame in frames {
            self.send(frame.clone()).await?;
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl FrameRecv for Rx {
    async fn recv(&mut self) -> Result<Option<Bytes>> {
        Ok(self.0.recv().await)
    }
}

fn pair() -> (FramedStream, FramedStream) {
    let ((a, b), (c, d)) = (mpsc::channel(8), mpsc::channel(8));
    let stream = |tx, rx| FramedStream {
        tx: Box::new(Tx(tx)),
        rx: Box::new(Rx(rx)),
    };
    (stream(a, d), stream(c, b))
}

const SHARDS: [ShardId; 2] = [ShardId(7), ShardId(8)];

/// Feeds of two shards, served over a packed stream to a link.
fn joined() -> (Arc<Feeds>, Link) {
    let feeds = Arc::new(Feeds::new(
        Arc::new(MemStore::new()),
        Arc::new(Publisher::default()),
        CancellationToken::new(),
    ));
    for (n, shard) in SHARDS.into_iter().enumerate() {
        let slot = Slot(n as u16);
        let record = ShardRecord {
            id: shard.0,
            region: 1,
            slot_from: u32::from(slot.0),
            slot_to: u32::from(slot.0),
            ..ShardRecord::default()
        };
        feeds.start(&Shard::from(&record), 0).expect("starts");
    }
    let (here, there) = pair();
    let there = packed(there).expect("packs");
    tokio::spawn(serve(Arc::clone(&feeds), there, true));
    (feeds, run(packed(here).expect("packs")))
}

fn open(shard: ShardId) -> FollowOpen {
    FollowOpen {
        shard: shard.0,
        all_groups: true,
        ..FollowOpen::default()
    }
}

fn publish(feeds: &Feeds, shard: ShardId, version: u64) {
    let group = GroupId::new(RegionId(1), Slot(0), [version as u8; 11]);
    let head = Head {
        version,
        ..Head::default()
    };
    let push = GroupPush {
        group: group.to_bytes(),
        head: Some(head),
        ..GroupPush::default()
    };
    let applied = Applied {
        pushes: vec![push],
        version,
        replaced: false,
        slots: None,
    };
    let sink = feeds.get(shard).expect("a feed").sink();
    sink.try_send(applied).expect("the feed runs");
}

#[tokio::test(start_paused = true)]
async fn shards_share_a_stream_and_each_gets_its_own() {
    let (feeds, link) = joined();
    let mut both = Vec::new();
    for (id, shard) in (1..).zip(SHARDS) {
        let mut one = subscribe(link.clone(), id, open(shard)).expect("follows");
        let first = one.pushes.recv().await.expect("where it stands");
        assert_eq!((first.shard, first.subscription), (shard.0, id));
        both.push(one);
    }
    for version in 1..=50 {
        for shard in SHARDS {
            publish(&feeds, shard, version);
        }
    }
    for (one, shard) in both.iter_mut().zip(SHARDS) {
        for version in 1..=50 {
            let push = one.pushes.recv().await.expect("a push");
            assert_eq!((push.shard, push.watermark), (shard.0, version));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn in_silence_the_stream_lives_and_when_it_dies_all_end() {
    let (here, there) = pair();
    let link = run(here);
    let mut one = subscribe(link.clone(), 1, open(SHARDS[0])).expect("follows");
    let mut other = subscribe(link.clone(), 2, open(SHARDS[1])).expect("follows");
    let FramedStream { mut tx, rx: _rx } = there;
    for _ in 0..10 {
        sleep(limits::FOLLOW_WATERMARK).await;
        tx.send(Bytes::new()).await.expect("sends");
    }
    let soon = Duration::from_millis(1);
    assert!(timeout(soon, one.pushes.recv()).await.is_err(), "it lives");
    // Nothing more: the stream is given up, and with it its subscriptions.
    let end = timeout(2 * limits::FOLLOW_SILENCE, one.pushes.recv()).await;
    assert_eq!(end, Ok(None));
    assert_eq!(other.pushes.recv().await, None);
    assert!(subscribe(link, 3, open(SHARDS[0])).is_err());
}

#[tokio::test(start_paused = true)]
async fn an_upstream_says_that_it_lives() {
    let (_feeds, link) = joined();
    let mut one = subscribe(link, 1, open(SHARDS[0])).expect("follows");
    one.pushes.recv().await.expect("where it stands");
    let long = timeout(4 * limits::FOLLOW_SILENCE, one.pushes.recv()).await;
    assert!(long.is_err(), "it neither ended nor was anything pushed");
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_not_there_is_refused_and_the_others_go_on() {
    let (feeds, link) = joined();
    let mut one = subscribe(link.clone(), 1, open(SHARDS[0])).expect("follows");
    one.pushes.recv().await.expect("where it stands");
    let mut none = subscribe(link, 2, open(ShardId(99))).expect("asks");
    assert_eq!(none.pushes.recv().await, None);
    publish(&feeds, SHARDS[0], 3);
    assert_eq!(one.pushes.recv().await.expect("a push").watermark, 3);
}

/// What is pushed to a subscription that is gone reaches no other, of the same
/// shard neither: a watermark would be claimed whose pushes nobody took.
#[tokio::test(start_paused = true)]
async fn nobodys_pushes_reach_nobody() {
    let (here, there) = pair();
    let link = run(here);
    drop(subscribe(link.clone(), 1, open(SHARDS[0])).expect("follows"));
    let mut next = subscribe(link, 2, open(SHARDS[0])).expect("follows");
    let FramedStream { mut tx, mut rx } = there;
    for subscription in [1, 2] {
        let push = FollowPush {
            shard: SHARDS[0].0,
            watermark: subscription,
            subscription,
            ..FollowPush::default()
        };
        tx.send(push.encode_to_vec().into()).await.expect("sends");
    }
    assert_eq!(next.pushes.recv().await.expect("a push").watermark, 2);
    let mut closes = 0;
    while closes < 2 {
        let frame = rx.recv().await.expect("receives").expect("a request");
        let request = FollowRequest::decode(frame).expect("a request");
        closes += usize::from(request.what == Some(super::close(1)));
    }
}
