use super::Sockets;
use crate::config::{Config, Layers};

fn config(flags: &[(&'static str, &str)]) -> Config {
    let free = ["listen", "gossip", "admin"].map(|key| (key, "127.0.0.1:0".to_owned()));
    let flags = flags.iter().map(|(key, text)| (*key, (*text).to_owned()));
    Config::load(Layers {
        flags: free.into_iter().chain(flags).collect(),
        ..Layers::default()
    })
    .expect("fits")
}

#[tokio::test]
async fn port_0_finds_one_number_for_tcp_and_udp() {
    let sockets = Sockets::bind(&config(&[])).await.expect("free ports");
    let listen = sockets.at.listen;
    assert_ne!(listen.port(), 0);
    assert_eq!(sockets.quic.local_addr().expect("bound"), listen);
    assert_eq!(sockets.at.advertise, listen);
    assert_ne!(sockets.at.gossip.port(), 0);
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let addr = taken.local_addr().expect("bound").to_string();
    for key in ["listen", "gossip"] {
        let refused = Sockets::bind(&config(&[(key, &addr)])).await;
        let said = refused.err().expect("in use").to_string();
        assert!(said.contains(&addr), "{said}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = taken.local_addr().expect("bound").to_string();
    for key in ["listen", "admin"] {
        let refused = Sockets::bind(&config(&[(key, &addr)])).await;
        let said = refused.err().expect("in use").to_string();
        assert!(said.contains(&addr), "{said}");
    }
}

#[tokio::test]
async fn a_name_may_be_advertised() {
    let sockets = Sockets::bind(&config(&[("advertise", "localhost:7443")])).await;
    let at = sockets.expect("localhost resolves").at;
    assert!(at.advertise.ip().is_loopback());
    assert_eq!(at.advertise.port(), 7443);
}
