use std::net::{TcpListener, TcpStream};

use folkmoot_wire::limits;
use socket2::SockRef;

use super::{PROBE_EVERY, PROBES, keep_alive, keep_dialled_alive};

#[test]
fn both_ends_are_probed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    keep_alive(&listener).unwrap();
    let dialled = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    keep_dialled_alive(&dialled).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    for end in [SockRef::from(&dialled), SockRef::from(&accepted)] {
        assert!(end.keepalive().unwrap());
        let idle = end.tcp_keepalive_time().unwrap();
        assert_eq!(idle, limits::CLIENT_KEEP_ALIVE);
        let gone = idle + PROBE_EVERY * PROBES;
        assert!(gone <= limits::CLIENT_IDLE);
    }
}
