use std::time::Duration;

use proptest::prelude::*;

use super::{Event, event, events, times};

fn one(line: &str) -> Event {
    event(line.as_bytes()).expect("a line with something in it is an event")
}

fn message(nick: &str, text: &str) -> Event {
    Event::Message {
        nick: nick.into(),
        text: text.into(),
    }
}

fn notice(text: &str) -> Event {
    Event::Notice { text: text.into() }
}

#[test]
fn messages_keep_every_byte_that_was_typed() {
    assert_eq!(one("[11:11] <a> hi"), message("a", "hi"));
    assert_eq!(one("[11:11] <a>  hi "), message("a", " hi "));
    assert_eq!(
        one("[11:11] <a|b[]> x: <c> \u{3}4y\r"),
        message("a|b[]", "x: <c> \u{3}4y\r")
    );
    assert_eq!(
        one("[11:11:59] <a> === b has joined #c"),
        message("a", "=== b has joined #c")
    );
}

#[test]
fn an_empty_message_is_a_message() {
    assert_eq!(one("[08:52] <a> "), message("a", ""));
    assert_eq!(one("[08:52] <a>"), message("a", ""));
}

#[test]
fn actions() {
    let action = |nick: &str, text: &str| Event::Action {
        nick: nick.into(),
        text: text.into(),
    };
    assert_eq!(one("[15:44]  * a bangs  head"), action("a", "bangs  head"));
    assert_eq!(one("[15:44] * a waves"), action("a", "waves"));
    assert_eq!(one("[15:44]  * a"), action("a", ""));
}

#[test]
fn who_comes_and_goes() {
    let join = |nick: &str| Event::Join { nick: nick.into() };
    let leave = |nick: &str| Event::Leave { nick: nick.into() };
    assert_eq!(one("=== a has joined #ubuntu"), join("a"));
    assert_eq!(one("=== a   has joined #Ubuntu"), join("a"));
    assert_eq!(
        one("=== [PG] _Sinnlos  has joined #ubuntu"),
        join("[PG]_Sinnlos")
    );
    assert_eq!(one("=== a has left #ubuntu"), leave("a"));
    assert_eq!(one("=== a  has left #ubuntu [] "), leave("a"));
    assert_eq!(one("=== a  has left #ubuntu [\"see you]"), leave("a"));
}

#[test]
fn renames() {
    let rename = |from: &str, to: &str, text: &str| Event::Rename {
        from: from.into(),
        to: to.into(),
        text: text.into(),
    };
    assert_eq!(
        one("=== a is now known as b"),
        rename("a", "b", "a is now known as b")
    );
    assert_eq!(
        one("=== Bart]  is now known as _Bart_"),
        rename("Bart]", "_Bart_", "Bart]  is now known as _Bart_")
    );
    assert_eq!(
        one("=== a is now known as Cre[a] tiveEmb[a]"),
        rename(
            "a",
            "Cre[a]tiveEmb[a]",
            "a is now known as Cre[a] tiveEmb[a]"
        )
    );
}

#[test]
fn sentences_are_notices() {
    for text in [
        "a coughs",
        "mode/#ubuntu [+o a]  by ChanServ",
        "everybody I know has joined #ubuntu",
        "a has joined #ubuntu at last",
        "a has left #ubuntu for good",
        "a is now known as the king",
        "is now known as b",
        "",
    ] {
        assert_eq!(one(&format!("=== {text}")), notice(text), "{text}");
    }
}

#[test]
fn a_line_of_no_known_form_is_a_notice() {
    for line in [
        "hello",
        "[11:11]",
        "[nick] <a> b",
        "[11:11] <a b",
        "[11:11]  * ",
        "\r",
    ] {
        assert_eq!(one(line), notice(line));
    }
}

#[test]
fn what_is_not_utf8_becomes_the_replacement_character() {
    assert_eq!(
        event(b"[11:11] <a> caf\xe9 \xff!"),
        Some(message("a", "caf\u{fffd} \u{fffd}!"))
    );
}

#[test]
fn lines_end_with_line_feeds_only() {
    let log = b"\xef\xbb\xbf[11:11] <a> x\x0by\xc2\x85z\r\n\n=== b has joined #c";
    let found: Vec<Event> = events(log).collect();
    let join = Event::Join { nick: "b".into() };
    assert_eq!(found, [message("a", "x\u{b}y\u{85}z\r"), join]);
}

/// In seconds.
fn seconds(log: &str) -> Vec<u64> {
    times(log.as_bytes())
        .iter()
        .map(Duration::as_secs)
        .collect()
}

#[test]
fn lines_of_a_minute_are_spread_over_it() {
    let log =
        "=== a has joined #c\n[00:01] <a> 1\n[00:01] <a> 2\n=== a has left #c\n\n[00:03:07] <b> 3";
    assert_eq!(seconds(log), [60, 75, 90, 105, 180]);
    assert_eq!(
        seconds("no time\n[24:00] <a> none\n[x] <a> none"),
        [0, 20, 40]
    );
}

#[test]
fn a_clock_that_falls_back_is_the_next_day_or_wrong() {
    let day = 24 * 60 * 60;
    let log = "[23:59] <a> 1\n[00:00] <a> 2\n[12:00] <a> 3\n[11:58] <a> 4\n[00:00] <a> 5";
    let half = day / 2;
    assert_eq!(
        seconds(log),
        [day - 60, day, day + half, day + half + 30, 2 * day]
    );
}

proptest! {
    #[test]
    fn every_event_has_a_time_and_none_falls_back(log in "(\\[[0-2][0-9]:[0-5][0-9]\\] <a> x\n|===\n|\n|x\n){0,40}") {
        let times = times(log.as_bytes());
        prop_assert_eq!(times.len(), events(log.as_bytes()).count());
        prop_assert!(times.is_sorted());
    }

    #[test]
    fn any_bytes_are_read(log in proptest::collection::vec(any::<u8>(), 0..300)) {
        let lines = log.split(|b| *b == b'\n').filter(|line| !line.is_empty()).count();
        // A byte order mark alone on a line is the one thing that vanishes.
        prop_assert!(lines - events(&log).count() <= 1);
        prop_assert_eq!(times(&log).len(), events(&log).count());
    }

    #[test]
    fn what_is_written_is_read_back(nick in "[A-Za-z\\[\\]_|-]{1,20}", text in "[^\n]{0,80}") {
        prop_assert_eq!(one(&format!("[00:59] <{nick}> {text}")), message(&nick, &text));
        let action = Event::Action { nick: nick.clone(), text: text.clone() };
        prop_assert_eq!(one(&format!("[00:59]  * {nick} {text}")), action);
        let join = Event::Join { nick: nick.clone() };
        prop_assert_eq!(one(&format!("=== {nick}  has joined #x")), join);
    }
}
