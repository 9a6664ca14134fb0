//! One stream of pushes, counted as it would be written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, anyhow};
use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_node::cluster::pack::packed;
use folkmoot_transport::{FrameRecv, FrameSend, FramedStream};
use folkmoot_wire::frame::PREFIX;
use folkmoot_wire::proto::FollowPush;
use futures_util::FutureExt;
use prost::Message;

/// Counts what reaches the carrier.
#[derive(Default)]
struct Carrier {
    frames: AtomicU64,
    bytes: AtomicU64,
}

struct Counted(Arc<Carrier>);

/// Nobody writes back.
struct Silent;

#[async_trait]
impl FrameSend for Counted {
    async fn send(&mut self, frame: Bytes) -> folkmoot_transport::Result<()> {
        let bytes = (frame.len() + PREFIX) as u64;
        self.0.frames.fetch_add(1, Ordering::Relaxed);
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    async fn send_many(&mut self, frames: &[Bytes]) -> folkmoot_transport::Result<()> {
        for frame in frames {
            self.send(frame.clone()).await?;
        }
        Ok(())
    }

    async fn finish(&mut self) -> folkmoot_transport::Result<()> {
        Ok(())
    }
}

#[async_trait]
impl FrameRecv for Silent {
    async fn recv(&mut self) -> folkmoot_transport::Result<Option<Bytes>> {
        Ok(None)
    }
}

/// A stream to one follower. Between regions it is packed by the product's
/// own packer.
pub(in crate::scale) struct Link {
    tx: Box<dyn FrameSend>,
    carrier: Arc<Carrier>,
    subscription: u64,
}

impl Link {
    pub(in crate::scale) fn new(far: bool, subscription: u64) -> anyhow::Result<Self> {
        let carrier = Arc::new(Carrier::default());
        let stream = FramedStream {
            tx: Box::new(Counted(Arc::clone(&carrier))),
            rx: Box::new(Silent),
        };
        let stream = match far {
            true => packed(stream).map_err(|error| anyhow!("{error}"))?,
            false => stream,
        };
        Ok(Self {
            tx: stream.tx,
            carrier,
            subscription,
        })
    }

    /// Writes these in one go. Gives the frames.
    pub(in crate::scale) fn write(
        &mut self,
        pushes: Vec<FollowPush>,
    ) -> anyhow::Result<Vec<Bytes>> {
        let frames: Vec<Bytes> = pushes
            .into_iter()
            .map(|push| {
                let subscription = self.subscription;
                FollowPush {
                    subscription,
                    ..push
                }
                .encode_to_vec()
                .into()
            })
            .collect();
        let sent = self.tx.send_many(&frames).now_or_never();
        sent.context("a write that waits")?
            .map_err(|error| anyhow!("{error}"))?;
        Ok(frames)
    }

    /// What is written once a second when nothing else is.
    pub(in crate::scale) fn silence(&mut self) -> anyhow::Result<()> {
        let sent = self.tx.send(Bytes::new()).now_or_never();
        sent.context("a write that waits")?
            .map_err(|error| anyhow!("{error}"))
    }

    /// Frames and bytes on the carrier so far, with the length in front of each.
    pub(in crate::scale) fn counted(&self) -> (u64, u64) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (load(&self.carrier.frames), load(&self.carrier.bytes))
    }
}
