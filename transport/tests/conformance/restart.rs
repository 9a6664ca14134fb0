//! A process that is killed says no goodbye. What its peers learn of it, they
//! learn from the one that comes after it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use folkmoot_transport::{
    Connection, Dial, EdgeCertificate, Listener, NodeIdentity, QuicConfig, QuicEndpoint,
    QuicOptions, TransportError, Trust,
};
use folkmoot_wire::NodeId;
use tokio::runtime::{Builder, Runtime};

use super::quic::{ANY, ca, edge, identity};

type Held = Arc<Mutex<Vec<Arc<dyn Connection>>>>;

/// A node's socket with everything that runs on it: what a process is here.
struct Process {
    runtime: Runtime,
    /// Dropping them closes them and so says goodbye, while anything runs.
    held: Held,
    addr: SocketAddr,
    edge: EdgeCertificate,
}

impl Process {
    fn start(bind: SocketAddr, identity: &Arc<NodeIdentity>) -> Self {
        let runtime = runtime();
        let identity = identity.clone();
        let edge = edge("localhost");
        let shown = edge.clone();
        let held = Held::default();
        let holder = held.clone();
        let addr = runtime.block_on(async move {
            let endpoint = QuicEndpoint::bind(QuicConfig {
                bind,
                edge: Some(shown),
                identity: Some(identity),
                trust: None,
                options: QuicOptions::default(),
            })
            .unwrap();
            let addr = endpoint.local();
            tokio::spawn(async move {
                while let Some(connection) = endpoint.accept().await {
                    holder.lock().unwrap().push(connection);
                }
            });
            addr
        });
        Self {
            runtime,
            held,
            addr,
            edge,
        }
    }

    /// Nothing is polled any more, so nothing is said.
    fn kill(self) {
        drop(self.runtime);
        drop(self.held);
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

/// Kills the node, starts it again, and gives what the connection ended with.
fn outlive(
    here: &Runtime,
    process: Process,
    identity: &Arc<NodeIdentity>,
    link: &dyn Connection,
) -> String {
    let addr = process.addr;
    process.kill();
    let again = Process::start(addr, identity);
    let ended = here.block_on(async {
        // On its way to a process that knows nothing of it.
        let mut stream = link.open().await.unwrap();
        stream.tx.send(b"hello"[..].into()).await.unwrap();
        link.closed().await
    });
    again.kill();
    match ended {
        TransportError::Lost { reason } => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn a_node_that_was_killed_and_is_back_tells_its_peers() {
    let ca = ca(1);
    let (killed, other) = (identity(&ca, 1, "west"), identity(&ca, 2, "east"));
    let process = Process::start(ANY, &killed);
    let here = runtime();
    let (_node, link) = here.block_on(async {
        let node = QuicEndpoint::bind(QuicConfig {
            bind: ANY,
            edge: None,
            identity: Some(other),
            trust: None,
            options: QuicOptions::default(),
        })
        .unwrap();
        let link = node.dial_node(NodeId(1), process.addr).await.unwrap();
        (node, link)
    });
    let reason = outlive(&here, process, &killed, &*link);
    assert!(reason.contains("reset"), "{reason}");
}

#[test]
fn and_its_clients() {
    let killed = identity(&ca(1), 1, "west");
    let process = Process::start(ANY, &killed);
    let trust = Trust::Pinned(process.edge.fingerprint());
    let here = runtime();
    let (_client, link) = here.block_on(async {
        let client = QuicEndpoint::bind(QuicConfig::client(trust, ANY)).unwrap();
        let link = client.dial_client(process.addr, "localhost").await.unwrap();
        (client, link)
    });
    let reason = outlive(&here, process, &killed, &*link);
    assert!(reason.contains("reset"), "{reason}");
}
