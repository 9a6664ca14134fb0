use tokio::time::Instant;

use super::*;

const LANE: Lane = Lane {
    publisher: 1,
    group: 0,
};

fn line(seq: u64, body: &str) -> EntryLine {
    EntryLine {
        seq,
        epoch: "0.1".into(),
        hlc: String::new(),
        id: String::new(),
        chain: String::new(),
        kind: "message".into(),
        sender: String::new(),
        nick: String::new(),
        client_msg_id: String::new(),
        subject: String::new(),
        target: 0,
        mentions: Vec::new(),
        body: body.into(),
    }
}

fn acknowledged(seq: u64) -> Outcome {
    let at = Instant::now();
    Outcome::Acknowledged { seq, at }
}

/// Two messages with these outcomes, and a log with them at these places.
fn judged(outcomes: [Outcome; 2], places: &[(u64, usize)]) -> Vec<String> {
    let ledger = Ledger::default();
    let texts = outcomes.map(|outcome| {
        let (no, text) = ledger.sends(LANE);
        ledger.settled(no, outcome);
        text
    });
    let lines: Vec<EntryLine> = places
        .iter()
        .map(|(seq, which)| line(*seq, &texts[*which]))
        .collect();
    of_ledger(&ledger, LANE.group, &lines)
}

#[test]
fn what_was_acknowledged_is_there_once_and_in_order() {
    let both = || [acknowledged(2), acknowledged(5)];
    assert!(judged(both(), &[(2, 0), (5, 1)]).is_empty());
    assert!(judged(both(), &[(2, 0)])[0].contains("acknowledged as 5, found at []"));
    assert!(judged(both(), &[(2, 0), (4, 1)])[0].contains("found at [4]"));
    assert!(judged(both(), &[(2, 0), (5, 1), (6, 0)])[0].contains("twice"));
    let turned = judged([acknowledged(5), acknowledged(2)], &[(2, 1), (5, 0)]);
    assert!(turned[0].contains("overtook"));
}

#[test]
fn what_was_refused_is_not_there_and_the_unknown_may_be() {
    let outcomes = || [Outcome::Refused("no".into()), Outcome::Unknown("?".into())];
    assert!(judged(outcomes(), &[]).is_empty());
    assert!(judged(outcomes(), &[(2, 1)]).is_empty());
    assert!(judged(outcomes(), &[(2, 0)])[0].contains("refused (no), found at 2"));
}

#[test]
fn what_is_never_settled_and_what_nobody_said_is_told() {
    let wrong = judged([Outcome::Open, acknowledged(2)], &[(2, 1)]);
    assert!(wrong[0].contains("never settled"));
    let found = of_ledger(&Ledger::default(), 0, &[line(1, "hello")]);
    assert_eq!(found, ["nobody said \"hello\""]);
}
