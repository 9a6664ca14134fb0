//! A stream in the simulated network: a bounded queue each way, in which
//! every frame waits for its time of arrival.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_wire::frame::PREFIX;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use super::link::{Arriving, Side};
use super::observe::Delivered;
use crate::error::{Result, TransportError};
use crate::port::{FrameRecv, FrameSend};

/// What one direction of a stream holds: sent and not yet received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamWindow {
    /// Frames, at least one.
    pub frames: usize,
    /// Bytes, at least one. A frame larger than this takes it all.
    pub bytes: u32,
}

impl Default for StreamWindow {
    fn default() -> Self {
        Self {
            frames: 1_024,
            bytes: 1024 * 1024,
        }
    }
}

struct Flying {
    at: Instant,
    frame: Bytes,
    /// Room in the window, given back when the frame is received.
    _room: OwnedSemaphorePermit,
}

type FinishedAt = Arc<Mutex<Option<Instant>>>;

pub(super) struct Out {
    queue: mpsc::Sender<Flying>,
    room: Arc<Semaphore>,
    window: StreamWindow,
    finished_at: FinishedAt,
}

pub(super) struct Back {
    queue: mpsc::Receiver<Flying>,
    finished_at: FinishedAt,
}

/// What one side of a stream sends into and receives from.
pub(super) struct Half {
    pub(super) out: Out,
    pub(super) back: Back,
}

/// One direction of a stream.
pub(super) fn pipe(window: StreamWindow) -> (Out, Back) {
    let (tx, rx) = mpsc::channel(window.frames.max(1));
    let finished_at = FinishedAt::default();
    let out = Out {
        queue: tx,
        room: Arc::new(Semaphore::new(window.bytes.max(1) as usize)),
        window,
        finished_at: finished_at.clone(),
    };
    let back = Back {
        queue: rx,
        finished_at,
    };
    (out, back)
}

pub(super) struct SimSend {
    side: Arc<Side>,
    out: Option<Out>,
    /// The peer's half, as long as it has not been told of the stream.
    announce: Option<(mpsc::Sender<Arriving>, Half)>,
}

impl SimSend {
    pub(super) fn new(
        side: Arc<Side>,
        out: Out,
        announce: Option<(mpsc::Sender<Arriving>, Half)>,
    ) -> Self {
        Self {
            side,
            out: Some(out),
            announce,
        }
    }

    async fn write(&mut self, frames: &[Bytes]) -> Result<()> {
        let side = &self.side;
        if let Some(frame) = frames.iter().find(|frame| frame.len() > side.max) {
            return Err(TransportError::FrameTooLarge {
                len: frame.len(),
                max: side.max,
            });
        }
        let Some(out) = &self.out else {
            return Err(TransportError::StreamFinished);
        };
        let (from, to) = side.outward();
        let announce = &mut self.announce;
        let write = async {
            if let Some((to_peer, _)) = announce {
                // Room first: dropping this future must not lose the half.
                let room = to_peer.clone().reserve_owned().await.ok();
                if let (Some(room), Some((_, half))) = (room, announce.take()) {
                    let at = side.link.net.arrival(from, to);
                    room.send(Arriving { at, half });
                }
            }
            for frame in frames {
                let most = out.window.bytes.max(1);
                let bytes = u32::try_from(frame.len()).unwrap_or(most).clamp(1, most);
                let stopped = TransportError::StreamReset { code: 0 };
                let free = out.room.clone();
                let room = tokio::select! {
                    biased;
                    // The peer does not listen any more.
                    () = out.queue.closed() => return Err(stopped),
                    room = free.acquire_many_owned(bytes) => room,
                };
                let room = room.map_err(|_| stopped.clone())?;
                let slot = out.queue.reserve().await.map_err(|_| stopped)?;
                slot.send(Flying {
                    at: side.link.net.arrival(from, to),
                    frame: frame.clone(),
                    _room: room,
                });
                side.meter.sent(frame.len(), PREFIX);
            }
            Ok(())
        };
        tokio::select! {
            biased;
            why = side.ended() => Err(why),
            written = write => written,
        }
    }

    fn end(&mut self) {
        let (from, to) = self.side.outward();
        let at = self.side.link.net.arrival(from, to);
        if let Some((to_peer, half)) = self.announce.take() {
            // Over the limit of streams an empty stream is not worth a wait.
            let _ = to_peer.try_send(Arriving { at, half });
        }
        if let Some(out) = self.out.take() {
            let mut finished = out
                .finished_at
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *finished = Some(at);
        }
    }
}

#[async_trait]
impl FrameSend for SimSend {
    async fn send(&mut self, frame: Bytes) -> Result<()> {
        self.write(std::slice::from_ref(&frame)).await
    }

    async fn send_many(&mut self, frames: &[Bytes]) -> Result<()> {
        self.write(frames).await
    }

    async fn finish(&mut self) -> Result<()> {
        if self.out.is_none() {
            return Err(TransportError::StreamFinished);
        }
        self.end();
        if let Some(why) = self.side.why() {
            return Err(why);
        }
        let (from, to) = self.side.outward();
        let net = &self.side.link.net;
        let acknowledged = async {
            net.arrive(from, to, net.arrival(from, to)).await;
            net.arrive(to, from, net.arrival(to, from)).await;
        };
        tokio::select! {
            biased;
            why = self.side.ended() => Err(why),
            () = acknowledged => Ok(()),
        }
    }
}

impl Drop for SimSend {
    fn drop(&mut self) {
        self.end();
    }
}

pub(super) struct SimRecv {
    side: Arc<Side>,
    back: Back,
    /// Taken from the queue and not there yet.
    next: Option<Flying>,
    failed: Option<TransportError>,
}

impl SimRecv {
    pub(super) fn new(side: Arc<Side>, back: Back) -> Self {
        Self {
            side,
            back,
            next: None,
            failed: None,
        }
    }
}

#[async_trait]
impl FrameRecv for SimRecv {
    async fn recv(&mut self) -> Result<Option<Bytes>> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.side.why() == Some(TransportError::ClosedHere) {
            return Err(TransportError::ClosedHere);
        }
        let side = &self.side;
        let (to, from) = side.outward();
        let (back, next) = (&mut self.back, &mut self.next);
        let arrive = async {
            if next.is_none() {
                *next = back.queue.recv().await;
            }
            let finished = *back
                .finished_at
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            match next.as_ref().map(|flying| flying.at).or(finished) {
                Some(at) => side.link.net.arrive(from, to, at).await,
                // The peer's side is gone without finishing.
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = arrive => {}
            why = side.ended() => return Err(why),
        }
        let Some(flying) = self.next.take() else {
            return Ok(None);
        };
        let (len, max) = (flying.frame.len(), self.side.max);
        if len > max {
            let error = TransportError::FrameTooLarge { len, max };
            self.failed = Some(error.clone());
            return Err(error);
        }
        self.side.meter.received(len, PREFIX);
        let (from, to) = self.side.inward();
        let net = &self.side.link.net;
        net.delivered(Delivered::Frame, from, to, &flying.frame);
        Ok(Some(flying.frame))
    }
}
