use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use folkmoot_transport::sim::{Delivered, Delivery, SIM_CA, SimNet, SimOptions};
use folkmoot_transport::{Dial, Fingerprint, FramedStream, Listener, PeerKind, TransportError};
use folkmoot_wire::{Code, NodeId, limits};
use tokio::time::Instant;

use crate::suite::{Pair, Setup};

const A: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1));
const B: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 2, 0, 1));
const PORT: u16 = 7400;
const AT_B: SocketAddr = SocketAddr::new(B, PORT);
const LATENCY: Duration = Duration::from_millis(40);

fn network() -> SimNet {
    SimNet::new(|a, b| if a == b { Duration::ZERO } else { LATENCY })
}

async fn pair_in(net: &SimNet, setup: Setup) -> Pair {
    let client = net.host(
        A,
        Some((NodeId(1), "west")),
        SimOptions {
            frames: setup.dialled,
            ..SimOptions::default()
        },
    );
    let server = net.host(
        B,
        Some((NodeId(2), "east")),
        SimOptions {
            frames: setup.accepted,
            counters: setup.counters,
            ..SimOptions::default()
        },
    );
    let listener = server.listen(PORT).unwrap();
    let dialled = client.dial_client(AT_B, "edge").await.unwrap();
    let accepted = listener.accept().await.unwrap();
    Pair {
        dialled,
        accepted,
        keep: Box::new((client, listener)),
    }
}

fn make(setup: Setup) -> std::pin::Pin<Box<dyn Future<Output = Pair> + Send>> {
    Box::pin(async move { pair_in(&network(), setup).await })
}

crate::conformance!(
    #[tokio::test(start_paused = true)]
    make
);

async fn streams(pair: &Pair) -> (FramedStream, FramedStream) {
    let mut here = pair.dialled.open().await.unwrap();
    here.tx.send(Bytes::from_static(b"first")).await.unwrap();
    let mut there = pair.accepted.accept().await.unwrap().unwrap();
    assert_eq!(there.rx.recv().await.unwrap().unwrap(), "first");
    (here, there)
}

#[tokio::test(start_paused = true)]
async fn everything_takes_exactly_its_latency() {
    let net = network();
    let start = Instant::now();
    let pair = pair_in(&net, Setup::default()).await;
    assert_eq!(start.elapsed(), 2 * LATENCY, "a dial is a round trip");
    let (mut here, mut there) = streams(&pair).await;
    assert_eq!(start.elapsed(), 3 * LATENCY);
    here.tx.send(Bytes::from_static(b"x")).await.unwrap();
    here.tx.send(Bytes::from_static(b"y")).await.unwrap();
    assert_eq!(start.elapsed(), 3 * LATENCY, "sending takes no time");
    there.rx.recv().await.unwrap().unwrap();
    there.rx.recv().await.unwrap().unwrap();
    assert_eq!(start.elapsed(), 4 * LATENCY, "frames fly side by side");
    here.tx.finish().await.unwrap();
    assert_eq!(start.elapsed(), 6 * LATENCY, "and are acknowledged");
}

#[tokio::test(start_paused = true)]
async fn a_short_cut_delays_and_loses_nothing() {
    let net = network();
    let pair = pair_in(&net, Setup::default()).await;
    let (mut here, mut there) = streams(&pair).await;
    net.partition(A, B);
    for i in 0..10_u8 {
        here.tx.send(Bytes::from(vec![i])).await.unwrap();
    }
    let early = tokio::time::timeout(Duration::from_secs(5), there.rx.recv()).await;
    assert!(early.is_err(), "nothing crosses a cut");
    net.heal(A, B);
    let healed = Instant::now();
    for i in 0..10_u8 {
        assert_eq!(there.rx.recv().await.unwrap().unwrap(), vec![i]);
    }
    assert_eq!(healed.elapsed(), LATENCY);
}

#[tokio::test(start_paused = true)]
async fn a_long_cut_breaks_connections_on_both_sides() {
    let net = network();
    let pair = pair_in(&net, Setup::default()).await;
    let (mut here, mut there) = streams(&pair).await;
    net.partition(A, B);
    let (one, other) = tokio::join!(here.rx.recv(), there.rx.recv());
    for ended in [one.unwrap_err(), other.unwrap_err()] {
        assert!(matches!(ended, TransportError::Lost { .. }), "{ended}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_that_healed_in_time_does_not_count_with_a_later_one() {
    let net = network();
    let pair = pair_in(&net, Setup::default()).await;
    for _ in 0..3 {
        net.partition(A, B);
        tokio::time::sleep(limits::NODE_IDLE * 2 / 3).await;
        net.heal(A, B);
        let (_here, _there) = streams(&pair).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_way_cuts_are_one_way() {
    let net = network();
    let pair = pair_in(&net, Setup::default()).await;
    let (mut here, mut there) = streams(&pair).await;
    net.partition_one_way(A, B);
    here.tx.send(Bytes::from_static(b"up")).await.unwrap();
    there.tx.send(Bytes::from_static(b"down")).await.unwrap();
    assert_eq!(here.rx.recv().await.unwrap().unwrap(), "down");
    let cut = tokio::time::timeout(Duration::from_secs(5), there.rx.recv()).await;
    assert!(cut.is_err());
    net.heal_all();
    assert_eq!(there.rx.recv().await.unwrap().unwrap(), "up");
    net.partition(A, B);
    net.heal_one_way(B, A);
    here.tx.send(Bytes::from_static(b"up")).await.unwrap();
    there.tx.send(Bytes::from_static(b"down")).await.unwrap();
    assert_eq!(here.rx.recv().await.unwrap().unwrap(), "down");
    let cut = tokio::time::timeout(Duration::from_secs(5), there.rx.recv()).await;
    assert!(cut.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_killed_host_takes_everything_with_it() {
    let net = network();
    let mut pair = pair_in(&net, Setup::default()).await;
    let (mut here, mut there) = streams(&pair).await;
    net.kill(B);
    let killed = Instant::now();
    let gone = there.rx.recv().await.unwrap_err();
    assert!(matches!(gone, TransportError::Lost { .. }), "{gone}");
    assert_eq!(killed.elapsed(), Duration::ZERO);
    let gone = here.rx.recv().await.unwrap_err();
    assert!(matches!(gone, TransportError::Lost { .. }), "{gone}");
    assert_eq!(killed.elapsed(), LATENCY);
    // Nothing listens; another may take the address, and is not taken off it
    // when the dead listener goes.
    let other = net.host(A, None, SimOptions::default());
    let nobody = other.dial_client(AT_B, "edge").await.unwrap_err();
    assert!(
        matches!(nobody, TransportError::Unreachable { .. }),
        "{nobody}"
    );
    let reborn = net.host(B, None, SimOptions::default());
    let _listener = reborn.listen(PORT).unwrap();
    pair.keep = Box::new(());
    other.dial_client(AT_B, "edge").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_process_holds_of_its_host_is_no_use() {
    let net = network();
    let server = net.host(B, None, SimOptions::default());
    let _listener = server.listen(PORT).unwrap();
    let before = net.host(A, None, SimOptions::default());
    let under_way = before.dial_client(AT_B, "edge");
    let kill = async {
        tokio::time::sleep(LATENCY / 2).await;
        net.kill(A);
    };
    let (dialled, ()) = tokio::join!(under_way, kill);
    let dead = dialled.unwrap_err();
    assert!(matches!(dead, TransportError::Lost { .. }), "{dead}");
    let dead = before.dial_client(AT_B, "edge").await.unwrap_err();
    assert!(matches!(dead, TransportError::Lost { .. }), "{dead}");
    assert!(before.listen(PORT).is_err());
    let reborn = net.host(A, None, SimOptions::default());
    reborn.dial_client(AT_B, "edge").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_observer_is_told_of_every_delivery() {
    let seen: Arc<Mutex<Vec<(Delivered, Duration, usize)>>> = Arc::default();
    let (log, start) = (seen.clone(), Instant::now());
    let observe = Box::new(move |delivery: &Delivery<'_>| {
        assert_eq!(delivery.to.ip(), B);
        let entry = (delivery.what, delivery.at - start, delivery.bytes.len());
        log.lock().unwrap().push(entry);
    });
    let net = SimNet::observed(|_, _| LATENCY, observe);
    let server = net.host(B, None, SimOptions::default());
    let listener = server.listen(PORT).unwrap();
    let client = net.host(A, None, SimOptions::default());
    let dialled = client.dial_client(AT_B, "edge").await.unwrap();
    let mut here = dialled.open().await.unwrap();
    here.tx.send(Bytes::from_static(b"frame")).await.unwrap();
    let accepted = listener.accept().await.unwrap();
    let mut there = accepted.accept().await.unwrap().unwrap();
    there.rx.recv().await.unwrap();
    let (from, to) = (SocketAddr::new(A, 1), SocketAddr::new(B, 1));
    let out = net.datagrams(from, Box::new(|| false)).unwrap();
    let socket = net.datagrams(to, Box::new(|| false)).unwrap();
    out.send(to, b"packet").await.unwrap();
    socket.recv().await.unwrap();
    let expected = [
        (Delivered::Dial, LATENCY, 0),
        (Delivered::Frame, 3 * LATENCY, 5),
        (Delivered::Packet, 4 * LATENCY, 6),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn identities_are_those_of_the_hosts() {
    let net = network();
    let west = net.host(A, Some((NodeId(1), "west")), SimOptions::default());
    let east = net.host(B, Some((NodeId(2), "east")), SimOptions::default());
    let listener = east.listen(PORT).unwrap();
    let peer = |node, region: &str| PeerKind::Node {
        node: NodeId(node),
        region: region.into(),
    };
    let dialled = west.dial_node(NodeId(2), AT_B).await.unwrap();
    assert_eq!(dialled.peer(), &peer(2, "east"));
    assert_eq!(listener.accept().await.unwrap().peer(), &peer(1, "west"));
    let wrong = west.dial_node(NodeId(3), AT_B).await.unwrap_err();
    let expected = TransportError::WrongPeer {
        expected: NodeId(3),
        got: NodeId(2),
    };
    assert_eq!(wrong, expected);

    let fresh = net.host(A, None, SimOptions::default());
    let refused = fresh.dial_node(NodeId(2), AT_B).await.unwrap_err();
    assert!(matches!(refused, TransportError::Unsupported(_)));
    let refused = fresh
        .dial_join(AT_B, Fingerprint([0; 32]))
        .await
        .unwrap_err();
    assert!(matches!(refused, TransportError::Tls { .. }));
    let joined = fresh.dial_join(AT_B, SIM_CA).await.unwrap();
    assert_eq!(joined.peer(), &peer(2, "east"));
    let accepted = listener.accept().await.unwrap();
    assert_eq!(accepted.peer(), &PeerKind::Joiner);
    listener.close().await;
    let TransportError::Closed { code, .. } = joined.closed().await else {
        panic!("not closed");
    };
    assert_eq!(code, Code::Draining as u32);
}

#[tokio::test(start_paused = true)]
async fn a_dial_ends_by_its_deadline() {
    let net = network();
    let client = net.host(A, None, SimOptions::default());
    let server = net.host(B, None, SimOptions::default());
    let _listener = server.listen(PORT).unwrap();
    net.partition(A, B);
    let late = client.dial_client(AT_B, "edge").await.unwrap_err();
    assert!(matches!(late, TransportError::Deadline { .. }), "{late}");
}

#[tokio::test(start_paused = true)]
async fn packets_arrive_by_latency_and_are_lost_as_told() {
    let net = SimNet::new(|a, _| if a == A { LATENCY } else { LATENCY / 4 });
    let near = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 2, 0, 9)), 1);
    let mut count = 0;
    let every_third = Box::new(move || {
        count += 1;
        count % 3 == 0
    });
    let far = net.datagrams(SocketAddr::new(A, 1), every_third).unwrap();
    let close_by = net.datagrams(near, Box::new(|| false)).unwrap();
    let to = SocketAddr::new(B, 1);
    let socket = net.datagrams(to, Box::new(|| false)).unwrap();
    assert!(net.datagrams(to, Box::new(|| false)).is_err());

    for i in 0..6_u8 {
        far.send(to, &[i]).await.unwrap();
    }
    close_by.send(to, b"near").await.unwrap();
    let (from, packet) = socket.recv().await.unwrap();
    assert_eq!(
        (from, packet.as_ref()),
        (near, b"near".as_ref()),
        "sent last, is nearer"
    );
    for i in [0_u8, 1, 3, 4] {
        assert_eq!(socket.recv().await.unwrap().1, vec![i]);
    }
    net.partition(A, B);
    far.send(to, b"cut off").await.unwrap();
    net.heal(A, B);
    far.send(to, b"healed").await.unwrap();
    assert_eq!(socket.recv().await.unwrap().1, "healed");
    net.kill(B);
    assert!(socket.recv().await.is_err());
}

/// Two runs of the same busy program give the same trace.
#[tokio::test(start_paused = true)]
async fn one_program_gives_one_trace() {
    async fn run() -> Vec<(u8, Duration, u8)> {
        let start = Instant::now();
        let net = SimNet::new(|a, b| {
            let IpAddr::V4(a) = a else { return LATENCY };
            let IpAddr::V4(b) = b else { return LATENCY };
            Duration::from_millis(u64::from(a.octets()[3]) + u64::from(b.octets()[3]))
        });
        let server = net.host(B, None, SimOptions::default());
        let listener = server.listen(PORT).unwrap();
        let (tx, mut rx) = tokio::sync::mpsc::channel(1_000);
        for client in 1..20_u8 {
            let ip = IpAddr::V4(Ipv4Addr::new(10, 3, 0, client));
            let host = net.host(ip, None, SimOptions::default());
            tokio::spawn(async move {
                let connection = host.dial_client(AT_B, "edge").await.unwrap();
                let mut stream = connection.open().await.unwrap();
                for i in 0..10 {
                    let _ = stream.tx.send(Bytes::from(vec![client, i])).await;
                }
                stream.tx.finish().await
            });
        }
        tokio::spawn(async move {
            while let Some(connection) = listener.accept().await {
                let tx = tx.clone();
                tokio::spawn(async move {
                    let mut stream = connection.accept().await.unwrap().unwrap();
                    while let Ok(Some(frame)) = stream.rx.recv().await {
                        let seen = (frame[0], start.elapsed(), frame[1]);
                        tx.send(seen).await.unwrap();
                    }
                });
            }
        });
        let mut trace = Vec::new();
        while trace.len() < 190 {
            trace.push(rx.recv().await.unwrap());
            if trace.len() == 50 {
                net.partition(B, IpAddr::V4(Ipv4Addr::new(10, 3, 0, 7)));
                net.heal_all();
            }
        }
        trace
    }
    assert_eq!(run().await, run().await);
}
