use std::time::Duration;

use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::{ListGroups, Ping};

use super::Session;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn any_request() -> Request {
    Request::ListGroups(ListGroups::default())
}

#[test]
fn ids_rise_and_answers_come_back_once() {
    let mut session = Session::new(s(0));
    let first = session.request(any_request(), "a", s(0), s(5)).id;
    let second = session.request(any_request(), "b", s(0), s(5)).id;
    assert!(0 < first && first < second);
    assert_eq!(session.answered(second), Some("b"));
    assert_eq!(session.answered(second), None);
    assert_eq!(session.open(), 1);
    assert_eq!(session.end(), ["a"]);
}

#[test]
fn deadlines_pass_in_their_order() {
    let mut session = Session::new(s(0));
    session.welcomed(0);
    session.request(any_request(), "late", s(0), s(9));
    session.request(any_request(), "early", s(0), s(3));
    let answered = session.request(any_request(), "answered", s(0), s(1)).id;
    session.answered(answered);
    assert_eq!(
        session.wake_at(),
        ms(1_500),
        "it asks whether the edge is there"
    );
    assert!(session.expired(s(2)).is_empty());
    assert_eq!(session.expired(s(9)), ["early", "late"]);
}

#[test]
fn it_pings_and_notices_silence() {
    let mut session = Session::new(s(0));
    session.welcomed(10_000);
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
    session.welcomed(1);
    assert!(session.ping(Duration::from_millis(99), ()).is_none());
    session.welcomed(u32::MAX);
    assert!(session.ping(s(300), ()).is_some());
}

#[test]
fn an_answer_that_is_long_in_coming_makes_it_ask_and_then_give_up() {
    let mut session = Session::new(s(0));
    session.welcomed(0);
    session.heard(s(9));
    session.request(any_request(), "sent", s(20), s(30));
    assert_eq!(session.wake_at(), ms(21_500));
    assert!(session.ping(ms(21_499), "ping").is_none());
    assert!(session.ping(ms(21_500), "ping").is_some());
    assert!(session.ping(s(22), "ping").is_none(), "once");
    assert!(!session.is_silent(ms(23_999)));
    assert!(session.is_silent(s(24)));
}

#[test]
fn an_edge_that_says_anything_is_there() {
    let mut session = Session::new(s(0));
    session.welcomed(0);
    session.request(any_request(), "sent", s(0), s(30));
    assert!(session.ping(ms(1_500), "ping").is_some());
    // A push, perhaps: the answer is still open.
    session.heard(s(3));
    assert!(!session.is_silent(s(4)));
    assert!(session.ping(s(4), "ping").is_none());
    assert!(session.ping(ms(4_500), "ping").is_some(), "asked anew");
    assert!(session.is_silent(s(7)));
}

#[test]
fn nobody_is_asked_for_nothing() {
    let mut session = Session::new(s(0));
    session.welcomed(0);
    let id = session.request(any_request(), "sent", s(0), s(30)).id;
    session.heard(s(1));
    session.answered(id);
    assert!(session.ping(s(29), "ping").is_none());
    assert_eq!(session.wake_at(), s(30), "the heartbeat");
}
