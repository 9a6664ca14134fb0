use std::future::pending;
use std::sync::Mutex;

use folkmoot_transport::Listener;
use folkmoot_transport::sim::{SimHost, SimNet, SimOptions};

use super::*;

const PORT: u16 = 7300;

fn address(host: u8) -> SocketAddr {
    (Ipv4Addr::new(10, 0, 0, host), PORT).into()
}

/// Hosts 1 and 2 listen; to host 9 no packet gets, so nothing is refused
/// either.
struct Network {
    host: SimHost,
    dialed: Mutex<Vec<SocketAddr>>,
}

#[async_trait]
impl Dial for Network {
    async fn dial_node(
        &self,
        node: NodeId,
        addr: SocketAddr,
    ) -> folkmoot_transport::Result<Arc<dyn Connection>> {
        self.host.dial_node(node, addr).await
    }

    async fn dial_client(
        &self,
        addr: SocketAddr,
        name: &str,
    ) -> folkmoot_transport::Result<Arc<dyn Connection>> {
        self.dialed.lock().expect("no test panics").push(addr);
        if addr == address(9) {
            return pending().await;
        }
        self.host.dial_client(addr, name).await
    }

    async fn dial_join(
        &self,
        addr: SocketAddr,
        ca: Fingerprint,
    ) -> folkmoot_transport::Result<Arc<dyn Connection>> {
        self.host.dial_join(addr, ca).await
    }
}

fn dialers(edges: &[u8]) -> (Dialers, Arc<Network>) {
    let net = SimNet::new(|_, _| Duration::from_millis(20));
    for n in [1, 2] {
        let host = net.host(address(n).ip(), None, SimOptions::default());
        let listener = host.listen(PORT).expect("the port is free");
        tokio::spawn(async move {
            let _host = host;
            let mut open = Vec::new();
            while let Some(connection) = listener.accept().await {
                open.push(connection);
            }
        });
    }
    let network = Arc::new(Network {
        host: net.host(address(3).ip(), None, SimOptions::default()),
        dialed: Mutex::default(),
    });
    let dialers = Dialers {
        edges: edges.iter().map(|n| address(*n).to_string()).collect(),
        first: network.clone(),
        second: None,
        head_start: Duration::ZERO,
        deadline: Duration::from_secs(6),
    };
    (dialers, network)
}

#[tokio::test(start_paused = true)]
async fn a_dead_edge_holds_the_next_up_for_its_head_start_only() {
    let (dialers, _) = dialers(&[9, 1]);
    let start = tokio::time::Instant::now();
    let dialed = dialers.dial(0, None).await.expect("one edge is there");
    assert_eq!(dialed.edge, address(1).to_string());
    assert!(start.elapsed() < dialers.deadline, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_edge_that_is_there_is_alone() {
    let (dialers, network) = dialers(&[1, 2, 9]);
    let dialed = dialers.dial(1, None).await.expect("the second edge's turn");
    assert_eq!(dialed.edge, address(2).to_string());
    assert_eq!(*network.dialed.lock().expect("kept"), [address(2)]);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_in_doubt_is_left_out() {
    let (dialers, network) = dialers(&[1, 2]);
    let doubted = address(1).to_string();
    let dialed = dialers.dial(0, Some(&doubted)).await;
    assert_eq!(dialed.expect("the other").edge, address(2).to_string());
    assert_eq!(*network.dialed.lock().expect("kept"), [address(2)]);
}

#[tokio::test(start_paused = true)]
async fn when_none_is_there_each_was_tried_once() {
    let (dialers, network) = dialers(&[9, 9, 9, 9, 9]);
    let Err(error) = dialers.dial(3, None).await else {
        panic!("nobody is there");
    };
    assert!(error.to_string().contains("connecting"), "{error}");
    assert_eq!(network.dialed.lock().expect("kept").len(), 5);
}

#[tokio::test(start_paused = true)]
async fn without_edges_it_says_so() {
    let (dialers, _) = dialers(&[]);
    let Err(ClientError::Config(why)) = dialers.dial(0, None).await else {
        panic!("there is no edge");
    };
    assert!(why.contains("no edge"), "{why}");
}
