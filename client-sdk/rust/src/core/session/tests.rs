use std::time::Duration;

use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::{ListGroups, Ping};

use super::Session;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn any_request() -> Request {
    Request::ListGroups(ListGroups::default())
}

#[test]
fn ids_rise_and_answers_come_back_once() {
    let mut session = Session::new(s(0));
    let first = session.request(any_request(), "a", s(5)).id;
    let second = session.request(any_request(), "b", s(5)).id;
    assert!(0 < first && first < second);
    assert_eq!(session.answered(second), Some("b"));
    assert_eq!(session.answered(second), None);
    assert_eq!(session.open(), 1);
    assert_eq!(session.end(), ["a"]);
}

#[test]
fn deadlines_pass_in_their_order() {
    let mut session = Session::new(s(0));
    session.request(any_request(), "late", s(9));
    session.request(any_request(), "early", s(3));
    let answered = session.request(any_request(), "answered", s(1)).id;
    session.answered(answered);
    assert_eq!(session.wake_at(), s(3));
    assert!(session.expired(s(2)).is_empty());
    assert_eq!(session.expired(s(9)), ["early", "late"]);
}

#[test]
fn it_pings_and_notices_silence() {
    let mut session = Session::new(s(0));
    session.set_heartbeat(10_000);
    assert!(session.ping(s(9), ()).is_none());
    let ping = session.ping(s(10), ()).expect("a heartbeat is due");
    assert_eq!(ping.request, Some(Request::Ping(Ping {})));
    assert!(session.ping(s(11), ()).is_none(), "one per interval");
    assert!(!session.is_silent(s(24)));
    assert!(session.is_silent(s(25)));
    session.heard(s(24));
    assert!(!session.is_silent(s(25)));
}

#[test]
fn an_absurd_heartbeat_is_bounded() {
    let mut session = Session::new(s(0));
    session.set_heartbeat(1);
    assert!(session.ping(Duration::from_millis(99), ()).is_none());
    session.set_heartbeat(u32::MAX);
    assert!(session.ping(s(300), ()).is_some());
}
