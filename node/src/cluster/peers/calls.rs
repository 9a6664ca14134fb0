//! One stream of calls: many at once, each with its answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use folkmoot_transport::{Connection, FrameRecv, FramedStream};
use folkmoot_wire::proto::{NodeReply, StreamOpen, node_reply, stream_open};
use folkmoot_wire::{Code, Fault, limits, version};
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use crate::cluster::pack::packed;

/// Frames waiting to be written on one stream of calls. Full: callers wait.
const CALL_QUEUE: usize = 1_024;

pub(super) type Reply = Result<node_reply::Reply, Fault>;
pub(super) type Pending = Arc<Mutex<BTreeMap<u64, oneshot::Sender<Reply>>>>;

/// One stream of calls.
#[derive(Clone)]
pub(super) struct Calls {
    pub(super) frames: mpsc::Sender<Bytes>,
    pub(super) pending: Pending,
    pub(super) next: Arc<AtomicU64>,
}

pub(super) async fn open_on(
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
pub(in crate::cluster) async fn gather(
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
pub(super) fn run(stream: FramedStream, far: bool) -> Calls {
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
