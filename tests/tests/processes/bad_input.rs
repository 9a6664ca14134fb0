//! What goes wrong around a real node: its disk, its neighbours, its clients.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_client::Carrier;
use folkmoot_gossip::{
    Gossip, GossipConfig, Identity, Keyring, LinkError, Ports, StateKind, StateLink, SwimConfig,
    UdpDatagrams,
};
use folkmoot_transport::{TransportError, Trust, tls};
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{Activate, Resume};
use folkmoot_wire::{Code, NodeId};
use rand::TryRngCore;
use serde_json::Value;
use zeroize::Zeroizing;

use super::log::{check_one_log, said_in};
use super::node::{Cluster, Node, command, until};
use super::people::{connect, make_group, runtime};
use super::raw::{Raw, message};

/// A node whose files may not grow beyond `kib`: writes then fail as on a
/// full disk, whoever runs the test.
fn cramped(kib: u32) -> Command {
    let mut shell = Command::new("sh");
    // In blocks of 512 bytes. The signal that goes with it would kill.
    let script = format!("ulimit -f {}; trap '' XFSZ; exec \"$0\" \"$@\"", kib * 2);
    shell.args(["-c", &script]).arg(command().get_program());
    shell
}

#[test]
fn a_node_whose_writes_fail_stops_and_has_kept_what_it_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("node");
    // Its first start, with room: the store is made, the group too.
    let mut node = Node::start(&data, &[], &[]);
    let (id, group) = make_group(&node, "lounge", "local");
    assert!(node.stop().success(), "{}", node.log());
    let mut node = Node::spawn(cramped(2_048), &data, &[], &[]);
    let runtime = runtime();
    let acknowledged = runtime.block_on(async {
        let ann = connect(&node, "ann", Carrier::Quic).await;
        let mut acknowledged = Vec::new();
        // Eight times what there is room for.
        for n in 0..400 {
            let text = format!("{n} {}", "x".repeat(40_000));
            match settled_or_ended(&mut node, ann.group(id).send(text.clone())).await {
                Some(Ok(_)) => acknowledged.push(text),
                // Before the disk failed it may be busy; it says why.
                Some(Err(error)) => eprintln!("message {n}: {error}"),
                None => break,
            }
        }
        acknowledged
    });
    let status = node.ended();
    assert!(!status.success());
    let log = node.log();
    assert!(log.contains("the node stopped"), "{log}");
    assert!(!acknowledged.is_empty(), "{log}");
    assert!(acknowledged.len() < 400, "it had no room for all");
    let mut node = Node::start(&data, &[], &[]);
    until("the node to be ready", || node.at.ready().then_some(()));
    assert!(node.stop().success(), "{}", node.log());
    let kept: Vec<String> = said_in(&check_one_log(&[node.offline(&group)]))
        .into_iter()
        .map(|said| said.2)
        .collect();
    // More may be there: written, and not acknowledged any more.
    let mut kept = kept.iter();
    for text in &acknowledged {
        assert!(kept.any(|held| held == text), "acknowledged, and lost");
    }
}

/// How a message ended, or that the node did.
async fn settled_or_ended<T>(node: &mut Node, sent: impl Future<Output = T>) -> Option<T> {
    tokio::pin!(sent);
    for _ in 0..1_200 {
        match tokio::time::timeout(Duration::from_millis(100), &mut sent).await {
            Ok(settled) => return Some(settled),
            Err(_) if node.has_ended() => return None,
            Err(_) => {}
        }
    }
    panic!("the node neither answers nor ends");
}

struct NoLink;

#[async_trait]
impl StateLink for NoLink {
    async fn send(&self, to: NodeId, _: Bytes) -> Result<(), LinkError> {
        Err(LinkError::Unreachable(to))
    }

    async fn recv(&self) -> Option<(NodeId, Bytes)> {
        std::future::pending().await
    }
}

/// A node that is none of the cluster's, which knows where one of them is.
async fn stranger(node: &Node, cluster: &str, key: [u8; 32]) -> Gossip {
    let any = "127.0.0.1:0".parse().expect("an address");
    let socket = UdpDatagrams::bind(any).await.expect("a port");
    let at = folkmoot_gossip::Datagrams::local(&socket);
    let config = GossipConfig {
        cluster: cluster.to_owned(),
        me: Identity::new(NodeId(9), "elsewhere", at, at, 1).expect("an identity"),
        keyring: Keyring::new(1, [(1, Zeroizing::new(key))]).expect("a key"),
        seeds: vec![node.at.gossip.parse().expect("an address")],
        swim: SwimConfig::default(),
        state: StateKind::Memory,
    };
    let ports = Ports {
        rng: Box::new(rand::rngs::OsRng.unwrap_err()),
    };
    let started = Gossip::start(config, Arc::new(socket), Arc::new(NoLink), ports).await;
    started.expect("it starts")
}

#[test]
fn strangers_are_ignored_counted_and_logged_once() {
    let cluster = Cluster::start(&["eu"], &[]);
    let node = &cluster.nodes[0];
    let identity = std::fs::read(node.data.join("identity.json")).expect("an identity");
    let identity: Value = serde_json::from_slice(&identity).expect("JSON");
    let own = identity["cluster"].as_str().expect("a cluster");
    let counted = |reason: &str| {
        let label = format!("reason=\"{reason}\"");
        node.at.metric("folkmoot_gossip_refused_total", &[&label])
    };
    let runtime = runtime();
    // A wrong key under the number that the right one has, and another cluster.
    for (cluster, reason) in [
        (own, "forged"),
        ("00112233445566778899aabbccddeeff", "cluster"),
    ] {
        let other = runtime.block_on(stranger(node, cluster, [7; 32]));
        until("several packets to be refused", || {
            (counted(reason)? >= 3.0).then_some(())
        });
        runtime.block_on(other.stop());
        assert_eq!(other.members().len(), 1, "it met nobody");
    }
    let log = node.log();
    let warnings = log
        .lines()
        .filter(|line| line.contains("gossip packets refused"));
    assert_eq!(warnings.count(), 2, "{log}");
    let nodes = node.json(&["node", "ls"]);
    assert_eq!(nodes.as_array().map(Vec::len), Some(1));
}

/// A start that has to fail; what it said.
fn refused(folder: &tempfile::TempDir, name: &str, first: &Node, token: &str) -> String {
    let any = "127.0.0.1:0";
    let data = folder.path().join(name);
    let output = command()
        .args(["start", "--region", "us", "--data"])
        .arg(&data)
        .args(["--listen", any, "--gossip", any, "--admin", any])
        .args(["--join", &first.at.listen, "--token", token])
        .output()
        .expect("the command runs");
    assert!(!output.status.success());
    assert!(!data.exists(), "nothing was made");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_join_token_is_good_once_and_for_its_time() {
    let cluster = Cluster::start(&["eu", "us"], &["--shards", "1"]);
    let first = &cluster.nodes[0];
    let folder = tempfile::tempdir().expect("a folder");
    let token = |args: &[&str]| {
        let made = first.json(&[&["token", "create"], args].concat());
        made["token"].as_str().expect("a token").to_owned()
    };
    let once = token(&[]);
    let flags = ["--region", "us"];
    let join = ["--join", &first.at.listen, "--token", &once];
    let third = Node::start(&folder.path().join("third"), &flags, &join);
    drop(third);
    let said = refused(&folder, "fourth", first, &once);
    assert!(said.contains("used"), "{said}");
    let short = token(&["--seconds", "1"]);
    std::thread::sleep(Duration::from_millis(1_100));
    let said = refused(&folder, "fifth", first, &short);
    assert!(said.contains("expired"), "{said}");
    let other = token(&["--region", "ap"]);
    let said = refused(&folder, "sixth", first, &other);
    assert!(said.contains("\"ap\""), "{said}");
    // Of another cluster: its CA is not this one's.
    let foreign = Cluster::start(&["eu"], &[]);
    let made = foreign.nodes[0].json(&["token", "create"]);
    let said = refused(
        &folder,
        "seventh",
        first,
        made["token"].as_str().expect("a token"),
    );
    assert!(said.contains("refused"), "{said}");
}

#[test]
fn a_client_that_says_nothing_is_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder.path().join("node"), &[], &[]);
    runtime().block_on(async {
        for carrier in [Carrier::Quic, Carrier::WebSocket] {
            let client = Raw::connect(&node, carrier).await;
            let Raw {
                connection,
                mut stream,
                ..
            } = client;
            while let Ok(Some(_)) = stream.rx.recv().await {}
            match connection.closed().await {
                TransportError::Closed { code, .. } => {
                    assert_eq!(code, Code::HelloTimeout as u32);
                }
                other => panic!("{other}"),
            }
        }
    });
}

#[test]
fn a_client_that_sends_faster_than_it_may_is_told_so_and_others_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder.path().join("node"), &[], &[]);
    let (id, group) = make_group(&node, "lounge", "local");
    runtime().block_on(async {
        let bob = connect(&node, "bob", Carrier::WebSocket).await;
        bob.group(id).join("Bob").await.expect("the group is open");
        let Raw {
            mut stream,
            connection,
            ..
        } = Raw::hello(&node, "ann", Carrier::Quic).await;
        let writer = tokio::spawn(async move {
            for n in 0..8_000 {
                let frame = folkmoot_wire::proto::ClientFrame {
                    id: n + 100,
                    request: Some(message(id, n, "hurry")),
                };
                let frame = prost::Message::encode_to_vec(&frame);
                if stream.tx.send(frame.into()).await.is_err() {
                    break;
                }
            }
            stream.tx
        });
        let (mut sent, mut told) = (0, 0);
        while sent + told < 8_000 {
            let Ok(Some(frame)) = stream.rx.recv().await else {
                break;
            };
            let frame: folkmoot_wire::proto::ServerFrame =
                prost::Message::decode(frame).expect("a frame");
            match frame.body {
                Some(Body::Sent(_)) => sent += 1,
                Some(Body::Error(error)) if error.code == Code::TooManyRequests as u32 => told += 1,
                Some(Body::Error(error)) => panic!("{error:?}"),
                _ => {}
            }
        }
        assert!(sent > 0 && told > 0, "{sent} sent, {told} refused");
        assert_eq!(sent + told, 8_000, "each was answered");
        drop(writer);
        drop(connection);
        bob.group(id).send("slowly").await.expect("sent");
        let shown = node.json(&["group", "show", &group]);
        assert_eq!(shown["count"].as_u64(), Some(sent + 1));
    });
}

#[test]
fn a_client_that_reads_nothing_is_cut_off_and_others_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder.path().join("node"), &[], &[]);
    let (id, _) = make_group(&node, "lounge", "local");
    runtime().block_on(async {
        let bob = connect(&node, "bob", Carrier::WebSocket).await;
        bob.group(id).join("Bob").await.expect("the group is open");
        let mut deaf = Raw::hello(&node, "ann", Carrier::Quic).await;
        let groups = vec![Resume {
            group: id.to_bytes(),
            ..Resume::default()
        }];
        deaf.ask(Request::Activate(Activate { groups }))
            .await
            .expect("written");
        let large = "x".repeat(60_000);
        for n in 0..150 {
            let sent = bob.group(id).send(format!("{n} {large}")).await;
            sent.expect("others are not held up");
        }
        match deaf.connection.closed().await {
            TransportError::Closed { code, .. } => assert_eq!(code, Code::SlowConsumer as u32),
            other => panic!("{other}"),
        }
        bob.group(id).send("still here").await.expect("sent");
    });
}

/// Whether the other end hung up before long.
fn hung_up(stream: &mut impl Read) -> bool {
    match stream.read(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) => matches!(
            error.kind(),
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
        ),
    }
}

#[test]
fn who_asks_for_nothing_is_hung_up_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::start(&folder.path().join("node"), &[], &[]);
    let open = || {
        let socket = TcpStream::connect(&node.at.listen).expect("a connection");
        let long = Some(Duration::from_secs(60));
        socket.set_read_timeout(long).expect("a timeout");
        socket
    };
    let status = node.at.get("/v1/status").expect("a status");
    let pin = status["certificate"].as_str().expect("a certificate");
    let trust = Trust::Pinned(pin.parse().expect("a fingerprint"));
    let config = Arc::new(tls::web_client(&trust).expect("a configuration"));
    let name = "localhost".try_into().expect("a name");
    let mut session = rustls::ClientConnection::new(config, name).expect("a session");
    let mut shaken = open();
    while session.is_handshaking() {
        session.complete_io(&mut shaken).expect("a handshake");
    }
    let mut silent = open();
    assert!(hung_up(&mut silent), "it said nothing at all");
    let mut asks_nothing = rustls::StreamOwned::new(session, shaken);
    assert!(hung_up(&mut asks_nothing), "it shook hands");
    assert!(node.stop().success(), "{}", node.log());
}
