use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep, timeout};

use super::line::{LINE_MAX, line};
use super::{Carried, Proxy, Wan};

fn packet(number: u32) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

#[tokio::test(start_paused = true)]
async fn packets_come_out_when_they_are_due_and_in_order() {
    let delay = Duration::from_millis(70);
    let (tx, mut rx) = line(delay);
    let start = Instant::now();
    let sender = tokio::spawn(async move {
        for number in 0..100 {
            assert!(tx.push(packet(number)));
            sleep(Duration::from_millis(u64::from(number % 3))).await;
        }
    });
    let mut expected = start + delay;
    for number in 0..100 {
        assert_eq!(rx.next().await, Some(packet(number)));
        assert_eq!(Instant::now(), expected, "packet {number}");
        expected += Duration::from_millis(u64::from(number % 3));
    }
    sender.await.expect("the sender");
    assert_eq!(rx.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_full_line_drops_the_newest() {
    let (tx, mut rx) = line(Duration::from_millis(1));
    let kept = (0..LINE_MAX as u32 + 10)
        .filter(|number| tx.push(packet(*number)))
        .count();
    assert_eq!(kept, LINE_MAX);
    assert_eq!(rx.next().await, Some(packet(0)));
    assert!(tx.push(packet(7)));
}

async fn socket() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a socket");
    let addr = socket.local_addr().expect("its address");
    (socket, addr)
}

async fn heard(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2048];
    let (len, from) = timeout(Duration::from_secs(10), socket.recv_from(&mut buffer))
        .await
        .expect("a packet in time")
        .expect("a packet");
    (buffer[..len].to_vec(), from)
}

/// A node of region 0 behind its proxy, a peer in region 1, a neighbour.
struct Regions {
    wan: Arc<Wan>,
    node: UdpSocket,
    peer: UdpSocket,
    near: UdpSocket,
    proxy: Proxy,
}

async fn regions() -> Regions {
    let wan = Wan::new(2, 0.0);
    let (node, node_addr) = socket().await;
    let (peer, peer_addr) = socket().await;
    let (near, near_addr) = socket().await;
    wan.place(peer_addr, 1);
    wan.place(near_addr, 0);
    let proxy = wan
        .proxy(Carried::Quic, 0, node_addr)
        .await
        .expect("a proxy");
    Regions {
        wan,
        node,
        peer,
        near,
        proxy,
    }
}

#[tokio::test]
async fn a_proxy_carries_both_ways_and_counts_between_regions() {
    let Regions {
        wan,
        node,
        peer,
        near,
        proxy,
    } = regions().await;
    for number in 0..20u8 {
        peer.send_to(&[number; 10], proxy.addr())
            .await
            .expect("sent");
    }
    let mut from_peer = None;
    for number in 0..20u8 {
        let (packet, from) = heard(&node).await;
        assert_eq!(packet, [number; 10]);
        from_peer = Some(from);
    }
    let from_peer = from_peer.expect("it came from somewhere");
    node.send_to(b"answer", from_peer).await.expect("sent");
    let (packet, from) = heard(&peer).await;
    assert_eq!((packet.as_slice(), from), (&b"answer"[..], proxy.addr()));
    near.send_to(b"neighbour", proxy.addr())
        .await
        .expect("sent");
    let (packet, from_near) = heard(&node).await;
    assert_eq!(packet, b"neighbour");
    assert_ne!(from_near, from_peer, "each sender has a socket of its own");
    let sample = wan.traffic().sample();
    assert_eq!(sample.quic, [[0, 6], [200, 0]]);
    assert_eq!(sample.gossip, [[0, 0], [0, 0]]);
    assert_eq!(sample.dropped, 0);
}

#[tokio::test]
async fn packets_of_a_far_region_wait() {
    let wan = Wan::new(3, 1.0);
    let (node, node_addr) = socket().await;
    let (peer, peer_addr) = socket().await;
    let (stranger, _) = socket().await;
    wan.place(peer_addr, 2);
    let proxy = wan
        .proxy(Carried::Gossip, 0, node_addr)
        .await
        .expect("a proxy");
    let start = Instant::now();
    peer.send_to(b"far", proxy.addr()).await.expect("sent");
    stranger
        .send_to(b"stranger", proxy.addr())
        .await
        .expect("sent");
    let mut packets = Vec::new();
    for _ in 0..2 {
        let (packet, _) = heard(&node).await;
        if packet == b"far" {
            // Not sooner, however slow this machine is.
            assert!(start.elapsed() >= Duration::from_millis(105));
        }
        packets.push(packet);
    }
    packets.sort();
    assert_eq!(packets, [b"far".to_vec(), b"stranger".to_vec()]);
    assert_eq!(wan.traffic().sample().gossip[2][0], 3);
}

#[tokio::test]
async fn nothing_gets_into_or_out_of_a_region_that_is_cut_off() {
    let Regions {
        wan,
        node,
        peer,
        near,
        proxy,
    } = regions().await;
    let to = proxy.addr();
    peer.send_to(b"before", to).await.expect("sent");
    let (packet, way_back) = heard(&node).await;
    assert_eq!(packet, b"before");
    assert!(wan.set_cut(1, true) && wan.is_cut(1) && !wan.is_cut(0));
    assert!(!wan.set_cut(2, true), "there is no such region");
    peer.send_to(b"lost", to).await.expect("sent");
    node.send_to(b"lost", way_back).await.expect("sent");
    // A neighbour's packet is behind those that are lost, and gets there.
    near.send_to(b"near", to).await.expect("sent");
    assert_eq!(heard(&node).await.0, b"near");
    sleep(Duration::from_millis(50)).await;
    assert!(wan.set_cut(1, false));
    peer.send_to(b"after", to).await.expect("sent");
    node.send_to(b"back", way_back).await.expect("sent");
    assert_eq!(heard(&node).await.0, b"after");
    assert_eq!(heard(&peer).await.0, b"back");
}

#[test]
fn two_regions_can_be_cut_off_from_each_other_alone() {
    let wan = Wan::new(3, 1.0);
    wan.set_apart(2, 0, true);
    assert!(!wan.passes(0, 2) && !wan.passes(2, 0));
    assert!(wan.passes(0, 1) && wan.passes(1, 2) && wan.passes(2, 2));
    wan.set_apart(0, 2, false);
    assert!(wan.passes(2, 0));
}
