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
    assert_eq!(session.answered(second, s(0)), Some("b"));
    assert_eq!(session.answered(second, s(0)), None);
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
    session.answered(answered, s(0));
    assert_eq!(
        session.wake_at(s(0)),
        ms(300),
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
    assert!(session.ping(ms(10_299), ()).is_none(), "one per interval");
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
    assert_eq!(session.wake_at(s(20)), ms(20_300));
    assert!(session.ping(ms(20_299), "ping").is_none());
    assert!(session.ping(ms(20_300), "ping").is_some());
    assert!(session.ping(s(22), "ping").is_none(), "once");
    assert!(!session.is_silent(ms(22_799)));
    assert!(session.is_silent(ms(22_800)));
}

#[test]
fn an_edge_that_says_anything_is_there() {
    let mut session = Session::new(s(0));
    session.welcomed(0);
    session.request(any_request(), "sent", s(0), s(30));
    assert!(session.ping(ms(300), "ping").is_some());
    // A push, perhaps: the answer is still open.
    session.heard(ms(500));
    assert!(!session.is_in_doubt(s(1)));
    assert!(!session.is_silent(s(4)));
    assert!(session.ping(ms(1_099), "ping").is_none());
    assert!(session.ping(ms(1_100), "ping").is_some(), "asked anew");
    session.heard(s(2));
    assert!(session.ping(ms(3_199), "ping").is_none());
    assert!(session.ping(ms(3_200), "ping").is_some(), "and more rarely");
    assert!(session.is_silent(ms(5_700)));
}

#[test]
fn an_edge_that_does_not_say_that_it_is_there_is_in_doubt() {
    let mut session = Session::new(s(0));
    session.welcomed(0);
    let sent = session.request(any_request(), "sent", s(0), s(30)).id;
    assert!(!session.is_in_doubt(s(9)), "nobody asked it");
    assert!(session.ping(ms(300), "ping").is_some());
    assert_eq!(session.wake_at(ms(300)), ms(600));
    assert!(!session.is_in_doubt(ms(599)));
    assert!(session.is_in_doubt(ms(600)));
    assert_eq!(
        session.wake_at(ms(600)),
        ms(2_800),
        "nothing comes of waiting"
    );
    session.heard(ms(700));
    session.answered(sent, ms(700));
    assert!(!session.is_in_doubt(ms(700)));
}

#[test]
fn an_edge_far_away_has_longer() {
    let mut session = Session::new(s(0));
    session.welcomed(0);
    let beat = session.ping(s(30), "ping").expect("a heartbeat").id;
    session.heard(ms(30_250));
    session.answered(beat, ms(30_250));
    session.request(any_request(), "sent", s(40), s(30));
    assert!(session.ping(ms(40_300), "ping").is_some());
    assert!(!session.is_in_doubt(ms(41_299)));
    assert!(session.is_in_doubt(ms(41_300)), "after four round trips");
}

#[test]
fn what_is_still_on_its_way_up_is_no_silence() {
    let mut session = Session::new(s(0));
    session.welcomed(0);
    let large = Request::ListGroups(ListGroups {
        page: vec![0; 64 * 1024].into(),
        ..ListGroups::default()
    });
    let id = session.request(large, "large", s(0), s(30)).id;
    session.request(any_request(), "small", ms(1), s(30));
    assert!(session.ping(ms(4_299), "ping").is_none());
    session.heard(s(4));
    session.answered(id, s(4));
    session.heard(s(4));
    assert!(session.ping(ms(4_300), "ping").is_some());
}

#[test]
fn nobody_is_asked_for_nothing() {
    let mut session = Session::new(s(0));
    session.welcomed(0);
    let id = session.request(any_request(), "sent", s(0), s(30)).id;
    session.heard(s(1));
    session.answered(id, s(1));
    assert!(session.ping(s(29), "ping").is_none());
    assert_eq!(session.wake_at(s(29)), s(30), "the heartbeat");
}
