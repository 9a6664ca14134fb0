use std::time::Duration;

use proptest::prelude::*;

use super::{Act, Script, Step};
use crate::demo::irc::{self, Event};

fn of(events: impl IntoIterator<Item = Event>) -> Script {
    let at_once = |event| (Duration::ZERO, event);
    Script::timed(events.into_iter().map(at_once)).0
}

fn script(log: &str) -> Script {
    of(irc::events(log.as_bytes()))
}

/// Each step as `user kind nick body`.
fn told(script: &Script) -> Vec<String> {
    let line = |step: &Step| {
        let user = step.user.map_or("-", |user| script.users[user].as_str());
        format!(
            "{user}|{}|{}|{}",
            step.kind().as_str_name(),
            step.nick,
            step.body()
        )
    };
    script.steps.iter().map(line).collect()
}

#[test]
fn who_speaks_before_joining_is_joined_first() {
    let script = script("[11:11] <a> hi\n[11:11]  * b waves\n[11:12] <a> \n");
    assert_eq!(
        told(&script),
        [
            "a|KIND_JOIN|a|a",
            "a|KIND_MESSAGE|a|hi",
            "b|KIND_JOIN|b|b",
            "b|KIND_ACTION|b|waves",
            "a|KIND_MESSAGE|a|"
        ]
    );
}

#[test]
fn joining_when_present_and_leaving_when_absent_make_no_entry() {
    let script = script(
        "=== a has left #c\n=== a has joined #c\n=== a has joined #c\n=== a has left #c []\n=== a has left #c\n=== a has joined #c",
    );
    assert_eq!(
        told(&script),
        ["a|KIND_JOIN|a|a", "a|KIND_LEAVE|a|", "a|KIND_JOIN|a|a"]
    );
    assert_eq!(script.unchanged, 3);
}

#[test]
fn a_step_is_due_when_its_line_was() {
    let log = "[00:01] <a> hi\n=== a has joined #c\n[00:02] <b> yes";
    let timed = irc::times(log.as_bytes()).into_iter();
    let (script, due) = Script::timed(timed.zip(irc::events(log.as_bytes())));
    let seconds: Vec<u64> = due.iter().map(Duration::as_secs).collect();
    // Joins, says; joins, says.
    assert_eq!((script.steps.len(), seconds), (4, vec![60, 60, 120, 120]));
}

#[test]
fn a_rename_takes_the_user_along() {
    let script = script(
        "=== a has joined #c\n=== a is now known as b\n[11:11] <b> me\n[11:11] <a> somebody else",
    );
    assert_eq!(
        told(&script),
        [
            "a|KIND_JOIN|a|a",
            "a|KIND_RENAME|a|b",
            "a|KIND_MESSAGE|b|me",
            "a 2|KIND_JOIN|a|a",
            "a 2|KIND_MESSAGE|a|somebody else"
        ]
    );
}

#[test]
fn a_rename_onto_a_nick_that_is_there_is_a_notice() {
    let script = script(
        "[11:11] <a> x\n[11:11] <b> y\n=== a is now known as b\n=== a is now known as a\n[11:12] <a> z",
    );
    assert_eq!(
        told(&script)[4..],
        [
            "-|KIND_NOTICE|*|a is now known as b",
            "-|KIND_NOTICE|*|a is now known as a",
            "a|KIND_MESSAGE|a|z"
        ]
    );
}

#[test]
fn a_rename_to_the_same_nick_is_a_notice() {
    assert_eq!(
        told(&script("=== a is now known as a")),
        ["-|KIND_NOTICE|*|a is now known as a"]
    );
}

#[test]
fn whoever_renames_unseen_was_there() {
    assert_eq!(
        told(&script("=== a is now known as b")),
        ["a|KIND_JOIN|a|a", "a|KIND_RENAME|a|b"]
    );
}

#[test]
fn who_comes_back_is_the_same_user() {
    let script = script(
        "[11:11] <a> x\n=== a is now known as b\n=== b has left #c\n=== b has joined #c\n[11:12] <b> y",
    );
    assert_eq!(script.users, ["a"]);
}

#[test]
fn an_addressed_member_is_mentioned() {
    let mention = |line: &str| {
        let log = format!("[11:11] <bob> x\n[11:11] <a> {line}\n");
        let script = script(&log);
        match &script.steps.last().expect("steps").act {
            Act::Message { mention, .. } => mention.map(|user| script.users[user].clone()),
            other => panic!("{other:?}"),
        }
    };
    let bob = Some("bob".to_owned());
    assert_eq!(mention("bob: look"), bob);
    assert_eq!(mention("bob, look"), bob);
    assert_eq!(mention("bob:"), bob);
    assert_eq!(mention("bob:look"), None);
    assert_eq!(mention("bob look: here"), None);
    assert_eq!(mention("Bob: look"), None);
    assert_eq!(mention("carol: look"), None);
    assert_eq!(mention(": look"), None);
}

#[test]
fn one_who_left_is_not_mentioned() {
    let script = script("[11:11] <bob> x\n=== bob has left #c\n[11:11] <a> bob: look");
    assert_eq!(
        script.steps.last().map(|step| step.act.clone()),
        Some(Act::Message {
            text: "bob: look".into(),
            mention: None
        })
    );
}

#[test]
fn long_nicks_are_cut_at_a_character() {
    let script = script(&format!("[11:11] <{}> x", "é".repeat(40)));
    assert_eq!(script.steps[0].nick, "é".repeat(32));
}

#[test]
fn spans_of_users() {
    let script = script("[11:11] <a> x\n[11:11] <b> y\n[11:11] <a> z");
    assert_eq!(script.spans(), [(0, 4), (2, 3)]);
}

#[test]
fn a_nick_that_passes_on_has_an_order() {
    let script = script(
        "[11:11] <a> x\n=== a is now known as b\n[11:12] <a> y\n=== a has left #c\n=== b is now known as a",
    );
    assert_eq!(
        told(&script),
        [
            "a|KIND_JOIN|a|a",
            "a|KIND_MESSAGE|a|x",
            "a|KIND_RENAME|a|b",
            "a 2|KIND_JOIN|a|a",
            "a 2|KIND_MESSAGE|a|y",
            "a 2|KIND_LEAVE|a|",
            "a|KIND_RENAME|b|a"
        ]
    );
    assert_eq!(
        script.nick_from(),
        [None, None, None, Some(2), None, None, Some(5)]
    );
}

fn any_event() -> impl Strategy<Value = Event> {
    let nick = || prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(str::to_owned);
    prop_oneof![
        (nick(), ".{0,8}").prop_map(|(nick, text)| Event::Message { nick, text }),
        (nick(), nick()).prop_map(|(nick, to)| Event::Message {
            nick,
            text: format!("{to}: x")
        }),
        (nick(), ".{0,8}").prop_map(|(nick, text)| Event::Action { nick, text }),
        nick().prop_map(|nick| Event::Join { nick }),
        nick().prop_map(|nick| Event::Leave { nick }),
        (nick(), nick()).prop_map(|(from, to)| Event::Rename {
            from,
            to,
            text: "r".into()
        }),
    ]
}

proptest! {
    /// Whatever happens: members only speak, outsiders only join, everyone
    /// under the nick they have, and no nick is two people's at once.
    #[test]
    fn steps_are_allowed_and_nicks_are_right(events in prop::collection::vec(any_event(), 0..60)) {
        let said: Vec<(String, String)> = events.iter().filter_map(|event| match event {
            Event::Message { nick, text } | Event::Action { nick, text } => Some((nick.clone(), text.clone())),
            _ => None,
        }).collect();
        let script = of(events);
        let mut nicks: Vec<Option<String>> = vec![None; script.users.len()];
        let mut heard = Vec::new();
        for step in &script.steps {
            let Some(user) = step.user else { continue };
            match &step.act {
                Act::Join => {
                    prop_assert_eq!(&nicks[user], &None);
                    prop_assert!(!nicks.contains(&Some(step.nick.clone())));
                    nicks[user] = Some(step.nick.clone());
                    continue;
                }
                act => {
                    prop_assert_eq!(&nicks[user], &Some(step.nick.clone()));
                    match act {
                        Act::Leave => nicks[user] = None,
                        Act::Rename { to } => {
                            prop_assert!(!nicks.contains(&Some(to.clone())));
                            nicks[user] = Some(to.clone());
                        }
                        Act::Message { text, mention } => {
                            if let Some(mention) = mention {
                                prop_assert!(nicks[*mention].is_some());
                            }
                            heard.push((step.nick.clone(), text.clone()));
                        }
                        Act::Action { text } => heard.push((step.nick.clone(), text.clone())),
                        Act::Join | Act::Notice { .. } => {}
                    }
                }
            }
        }
        prop_assert_eq!(heard, said);
    }
}
