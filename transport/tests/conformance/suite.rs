//! What every carrier must do.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use folkmoot_transport::{
    Carrier, Connection, Counters, FrameLimits, FramedStream, PeerKind, TransportError,
    finish_and_close,
};
use folkmoot_wire::{Code, limits};

/// Two ends of one connection, of a client with an edge.
pub struct Pair {
    pub dialled: Arc<dyn Connection>,
    pub accepted: Arc<dyn Connection>,
    /// Endpoints that must live as long.
    pub keep: Box<dyn Any + Send>,
}

/// Largest frames of the dialling and the accepting side, and a place for the
/// accepting side to count.
#[derive(Clone)]
pub struct Setup {
    pub dialled: FrameLimits,
    pub accepted: FrameLimits,
    pub counters: Arc<Counters>,
}

pub type MakePair = dyn Fn(Setup) -> Pin<Box<dyn Future<Output = Pair> + Send>> + Sync;

pub fn frames(max: usize) -> FrameLimits {
    FrameLimits {
        client: max,
        node: max,
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            dialled: FrameLimits::default(),
            accepted: FrameLimits::default(),
            counters: Counters::new(),
        }
    }
}

async fn streams(pair: &Pair) -> (FramedStream, FramedStream) {
    let mut here = pair.dialled.open().await.unwrap();
    here.tx.send(Bytes::from_static(b"first")).await.unwrap();
    let mut there = pair.accepted.accept().await.unwrap().unwrap();
    assert_eq!(there.rx.recv().await.unwrap().unwrap(), "first");
    (here, there)
}

/// Frame number `i`: its length and bytes follow from the number.
fn frame(i: usize) -> Bytes {
    let len = (i * 7_919) % 9_000;
    Bytes::from_iter((0..len).map(|at| (at + i) as u8))
}

pub async fn frames_arrive_whole_and_in_order(pair: &MakePair) {
    let pair = pair(Setup::default()).await;
    let (mut here, mut there) = streams(&pair).await;
    let send = async {
        for i in (0..300).step_by(3) {
            here.tx.send(frame(i)).await.unwrap();
            here.tx
                .send_many(&[frame(i + 1), frame(i + 2)])
                .await
                .unwrap();
        }
        here.tx.send(Bytes::new()).await.unwrap();
    };
    let receive = async {
        for i in 0..300 {
            let got = there.rx.recv().await.unwrap().unwrap();
            assert_eq!(got, frame(i), "frame {i}");
        }
        assert_eq!(there.rx.recv().await.unwrap().unwrap(), "");
    };
    tokio::join!(send, receive);
}

pub async fn both_directions_at_once(pair: &MakePair) {
    async fn talk(mut stream: FramedStream) {
        let (tx, rx) = (&mut stream.tx, &mut stream.rx);
        let send = async {
            for i in 0..500 {
                tx.send(frame(i)).await.unwrap();
            }
        };
        let receive = async {
            for i in 0..500 {
                assert_eq!(rx.recv().await.unwrap().unwrap(), frame(i));
            }
        };
        tokio::join!(send, receive);
    }
    let pair = pair(Setup::default()).await;
    let (here, there) = streams(&pair).await;
    let (here, there) = (tokio::spawn(talk(here)), tokio::spawn(talk(there)));
    here.await.unwrap();
    there.await.unwrap();
}

pub async fn many_streams(pair: &MakePair) {
    const STREAMS: usize = 100;
    let pair = pair(Setup::default()).await;
    if pair.dialled.kind() == Carrier::WebSocket {
        let _one = streams(&pair).await;
        let again = pair.dialled.open().await.unwrap_err();
        assert!(matches!(again, TransportError::Unsupported(_)));
        let turned = pair.accepted.open().await.unwrap_err();
        assert!(matches!(turned, TransportError::Unsupported(_)));
        return;
    }
    // More than a client may have open at once: the rest wait their turn.
    let accepted = pair.accepted.clone();
    let echo = tokio::spawn(async move {
        for _ in 0..STREAMS {
            let mut stream = accepted.accept().await.unwrap().unwrap();
            tokio::spawn(async move {
                while let Some(frame) = stream.rx.recv().await.unwrap() {
                    stream.tx.send(frame).await.unwrap();
                }
            });
        }
    });
    let mut asking = Vec::new();
    for i in 0..STREAMS {
        let dialled = pair.dialled.clone();
        asking.push(tokio::spawn(async move {
            let mut stream = dialled.open().await.unwrap();
            for round in 0..3 {
                stream.tx.send(frame(i + round)).await.unwrap();
                let echoed = stream.rx.recv().await.unwrap().unwrap();
                assert_eq!(echoed, frame(i + round));
            }
            drop(stream.tx);
            assert_eq!(stream.rx.recv().await.unwrap(), None);
        }));
    }
    for asking in asking {
        asking.await.unwrap();
    }
    echo.await.unwrap();
    // The accepting side may open streams, too.
    let mut down = pair.accepted.open().await.unwrap();
    down.tx.send(Bytes::from_static(b"down")).await.unwrap();
    let mut got = pair.dialled.accept().await.unwrap().unwrap();
    assert_eq!(got.rx.recv().await.unwrap().unwrap(), "down");
}

pub async fn the_largest_frame_passes(pair: &MakePair) {
    let pair = pair(Setup::default()).await;
    let (mut here, mut there) = streams(&pair).await;
    let large = Bytes::from(vec![7; limits::CLIENT_FRAME_MAX]);
    let (sent, got) = tokio::join!(here.tx.send(large.clone()), there.rx.recv());
    sent.unwrap();
    assert_eq!(got.unwrap().unwrap(), large);
}

pub async fn a_frame_over_the_readers_limit_is_refused_precisely(pair: &MakePair) {
    let setup = Setup {
        dialled: frames(100_000),
        accepted: frames(1_000),
        ..Setup::default()
    };
    let pair = pair(setup).await;
    let (mut here, mut there) = streams(&pair).await;
    let fits = Bytes::from(vec![0; 1_000]);
    here.tx.send(fits.clone()).await.unwrap();
    here.tx.send(Bytes::from(vec![0; 50_000])).await.unwrap();
    assert_eq!(there.rx.recv().await.unwrap().unwrap(), fits);
    let error = there.rx.recv().await.unwrap_err();
    let too_large = TransportError::FrameTooLarge {
        len: 50_000,
        max: 1_000,
    };
    assert_eq!(error, too_large);
    assert_eq!(error.code(), Code::FrameTooLarge);
    pair.accepted.close(error.code() as u32, "at most 1000");
    let closed = TransportError::Closed {
        code: Code::FrameTooLarge as u32,
        reason: "at most 1000".into(),
    };
    assert_eq!(here.rx.recv().await, Err(closed));
}

pub async fn a_frame_over_the_writers_limit_is_not_sent(pair: &MakePair) {
    let setup = Setup {
        dialled: frames(1_000),
        ..Setup::default()
    };
    let pair = pair(setup).await;
    let (mut here, mut there) = streams(&pair).await;
    let large = Bytes::from(vec![0; 1_001]);
    let too_large = TransportError::FrameTooLarge {
        len: 1_001,
        max: 1_000,
    };
    let refused = here.tx.send_many(&[Bytes::new(), large.clone()]).await;
    assert_eq!(refused, Err(too_large.clone()));
    assert_eq!(here.tx.send(large).await, Err(too_large));
    here.tx
        .send(Bytes::from_static(b"still good"))
        .await
        .unwrap();
    assert_eq!(there.rx.recv().await.unwrap().unwrap(), "still good");
}

pub async fn close_code_and_reason_arrive(pair: &MakePair) {
    let pair = pair(Setup::default()).await;
    let (mut here, mut there) = streams(&pair).await;
    pair.accepted
        .close(Code::Draining as u32, "back in a minute");
    let closed = TransportError::Closed {
        code: Code::Draining as u32,
        reason: "back in a minute".into(),
    };
    assert_eq!(here.rx.recv().await, Err(closed.clone()));
    assert_eq!(pair.dialled.closed().await, closed);
    assert!(pair.dialled.accept().await.unwrap().is_none());
    assert_eq!(here.tx.send(Bytes::new()).await, Err(closed));
    // And on the side that closed.
    assert_eq!(pair.accepted.closed().await, TransportError::ClosedHere);
    assert_eq!(there.rx.recv().await, Err(TransportError::ClosedHere));
    assert!(pair.accepted.accept().await.unwrap().is_none());
}

pub async fn what_was_sent_before_finish_arrives(pair: &MakePair) {
    let pair = pair(Setup::default()).await;
    let (mut here, mut there) = streams(&pair).await;
    let send = async {
        for i in 0..50 {
            here.tx.send(frame(i)).await.unwrap();
        }
        here.tx.finish().await.unwrap();
        let after = here.tx.send(Bytes::new()).await.unwrap_err();
        assert_eq!(after, TransportError::StreamFinished);
    };
    let receive = async {
        for i in 0..50 {
            assert_eq!(there.rx.recv().await.unwrap().unwrap(), frame(i));
        }
        assert_eq!(there.rx.recv().await.unwrap(), None);
    };
    tokio::join!(send, receive);
}

pub async fn last_words_arrive_before_the_close(pair: &MakePair) {
    let pair = pair(Setup::default()).await;
    let (mut here, mut there) = streams(&pair).await;
    let words = Bytes::from(vec![9; 100_000]);
    let speak = async {
        there.tx.send(words.clone()).await.unwrap();
        finish_and_close(&*pair.accepted, there.tx, 109, "too slow").await;
    };
    let listen = async {
        assert_eq!(here.rx.recv().await.unwrap().unwrap(), words);
        while let Ok(Some(_)) = here.rx.recv().await {}
        pair.dialled.closed().await
    };
    let ((), ended) = tokio::join!(speak, listen);
    let closed = TransportError::Closed {
        code: 109,
        reason: "too slow".into(),
    };
    assert_eq!(ended, closed);
    assert!(there.rx.recv().await.is_err());
}

pub async fn dropping_the_sender_ends_the_peers_recv(pair: &MakePair) {
    let pair = pair(Setup::default()).await;
    let (here, mut there) = streams(&pair).await;
    let FramedStream { mut tx, rx: _rx } = here;
    tx.send(Bytes::from_static(b"last")).await.unwrap();
    drop(tx);
    assert_eq!(there.rx.recv().await.unwrap().unwrap(), "last");
    assert_eq!(there.rx.recv().await.unwrap(), None);
}

pub async fn dropping_everything_ends_the_connection(pair: &MakePair) {
    let pair = pair(Setup::default()).await;
    let (here, mut there) = streams(&pair).await;
    drop((here, pair.dialled));
    // How it ends differs by carrier; that it ends does not.
    while let Ok(Some(_)) = there.rx.recv().await {}
    assert!(pair.accepted.accept().await.unwrap().is_none());
    assert!(matches!(
        pair.accepted.closed().await,
        TransportError::Closed { .. } | TransportError::Lost { .. }
    ));
}

pub async fn a_reader_that_does_not_read_blocks_the_writer(pair: &MakePair) {
    const FRAMES: usize = 1_024;
    const SIZE: usize = 64 * 1024;
    let pair = pair(Setup::default()).await;
    let (mut here, mut there) = streams(&pair).await;
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let writer = tokio::spawn(async move {
        for _ in 0..FRAMES {
            here.tx.send(Bytes::from(vec![1; SIZE])).await.unwrap();
            count.fetch_add(1, SeqCst);
        }
        here
    });
    // Until it gets no further.
    let mut before = usize::MAX;
    while before != sent.load(SeqCst) {
        before = sent.load(SeqCst);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    // The kernel's socket buffers are the largest part of what is under way.
    let under_way = sent.load(SeqCst) * SIZE;
    assert!(under_way <= 24 * 1024 * 1024, "{under_way} bytes under way");
    assert!(!writer.is_finished());
    for _ in 0..FRAMES {
        assert_eq!(there.rx.recv().await.unwrap().unwrap().len(), SIZE);
    }
    writer.await.unwrap();
}

pub async fn a_cancelled_recv_loses_nothing(pair: &MakePair) {
    let pair = pair(Setup::default()).await;
    let (mut here, mut there) = streams(&pair).await;
    let mut seen = 0;
    let sender = tokio::spawn(async move {
        for i in 0..200 {
            here.tx.send(frame(i)).await.unwrap();
            tokio::task::yield_now().await;
        }
        here
    });
    while seen < 200 {
        let mut polls = 0;
        let got = tokio::select! {
            biased;
            got = there.rx.recv() => Some(got),
            () = std::future::poll_fn(|cx| {
                polls += 1;
                cx.waker().wake_by_ref();
                if polls > 2 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            }) => None,
        };
        match got {
            Some(got) => {
                assert_eq!(got.unwrap().unwrap(), frame(seen), "frame {seen}");
                seen += 1;
            }
            None => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
    sender.await.unwrap();
}

pub async fn bytes_are_counted(pair: &MakePair) {
    let setup = Setup::default();
    let counters = setup.counters.clone();
    let pair = pair(setup).await;
    assert_eq!(pair.dialled.peer(), &PeerKind::Edge);
    assert_eq!(pair.accepted.peer(), &PeerKind::Client);
    let (mut here, mut there) = streams(&pair).await;
    here.tx.send(Bytes::from(vec![0; 10_000])).await.unwrap();
    there.rx.recv().await.unwrap().unwrap();
    there.tx.send(Bytes::from(vec![0; 500])).await.unwrap();
    here.rx.recv().await.unwrap().unwrap();

    let (out, back) = (pair.dialled.stats(), pair.accepted.stats());
    assert_eq!((out.frames_sent, out.payload_sent), (2, 10_005));
    assert_eq!((out.frames_received, out.payload_received), (1, 500));
    assert_eq!(back.payload_received, 10_005);
    assert!(out.wire_sent > 10_005 && back.wire_received > 10_005);

    let row = counters.snapshot().remove(0);
    assert_eq!((row.label.peer, row.label.region.as_str()), ("client", ""));
    assert_eq!(row.label.carrier, pair.accepted.kind());
    assert_eq!((row.open, row.made), (1, 1));
    assert_eq!(row.total.payload_received, 10_005);

    // What is gone stays counted.
    drop((here, there, pair));
    loop {
        let row = counters.snapshot().remove(0);
        assert_eq!((row.made, row.total.payload_received), (1, 10_005));
        if row.open == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
