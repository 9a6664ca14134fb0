use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::proto::Send;
use folkmoot_wire::{ClientMsgId, Code, Fault, GroupId, RegionId, Slot};
use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{Attempt, Outbox, OutboxOptions, State, Verdict};

const STAMP: Hlc = Hlc::from_u64(77 << 16);

fn group(n: u8) -> GroupId {
    GroupId::new(RegionId(1), Slot(u16::from(n)), [n; 11])
}

fn message(text: &str) -> Send {
    Send {
        body: Bytes::copy_from_slice(text.as_bytes()),
        ..Send::default()
    }
}

fn outbox(window: usize) -> (Outbox, StdRng) {
    let options = OutboxOptions {
        window,
        capacity: 50,
        ..OutboxOptions::default()
    };
    (Outbox::new(options), StdRng::seed_from_u64(1))
}

fn drain(outbox: &mut Outbox, now: Duration, rng: &mut StdRng) -> Vec<Attempt> {
    std::iter::from_fn(|| outbox.next(now, STAMP, rng)).collect()
}

fn busy() -> Fault {
    Fault::from(Code::Busy).retry_after(200)
}

#[test]
fn one_at_a_time_unless_pipelined() {
    let (mut one, mut rng) = outbox(1);
    let (mut three, _) = outbox(3);
    for text in ["a", "b", "c", "d"] {
        one.push(group(1), message(text)).expect("room");
        three.push(group(1), message(text)).expect("room");
    }
    let sent = drain(&mut one, Duration::ZERO, &mut rng);
    assert_eq!(sent.len(), 1);
    assert!(one.committed(sent[0].local).is_some());
    assert_eq!(drain(&mut one, Duration::ZERO, &mut rng)[0].send.body, "b");
    let bodies: Vec<Bytes> = drain(&mut three, Duration::ZERO, &mut rng)
        .into_iter()
        .map(|attempt| attempt.send.body)
        .collect();
    assert_eq!(bodies, ["a", "b", "c"]);
}

#[test]
fn a_retry_keeps_its_id_and_waits() {
    let (mut outbox, mut rng) = outbox(1);
    outbox.push(group(1), message("a")).expect("room");
    let first = outbox.next(Duration::ZERO, STAMP, &mut rng).expect("sent");
    assert!(first.first);
    assert_eq!(first.id.stamp(), STAMP);
    assert_eq!(first.send.client_msg_id, first.id.to_bytes());
    let Verdict::Retry(at) = outbox.failed(first.local, &busy(), Duration::ZERO, &mut rng) else {
        panic!("busy passes");
    };
    assert!(at >= Duration::from_millis(200));
    assert_eq!(outbox.wake_at(), Some(at));
    let early = at - Duration::from_millis(1);
    assert!(outbox.next(early, STAMP, &mut rng).is_none());
    let again = outbox.next(at, STAMP.next(), &mut rng).expect("retried");
    assert_eq!(again.id, first.id);
    assert!(!again.first);
}

#[test]
fn what_cannot_pass_leaves_and_the_next_one_goes() {
    let (mut outbox, mut rng) = outbox(1);
    outbox.push(group(1), message("a")).expect("room");
    outbox.push(group(1), message("b")).expect("room");
    let sent = outbox.next(Duration::ZERO, STAMP, &mut rng).expect("sent");
    let verdict = outbox.failed(sent.local, &Code::TooLarge.into(), Duration::ZERO, &mut rng);
    assert!(matches!(verdict, Verdict::Settled(item) if item.local == sent.local));
    let next = outbox.next(Duration::ZERO, STAMP, &mut rng).expect("sent");
    assert_eq!(next.send.body, "b");
    let late = outbox.failed(sent.local, &busy(), Duration::ZERO, &mut rng);
    assert_eq!(late, Verdict::Unknown);
}

#[test]
fn a_failure_closes_the_window_until_it_is_settled() {
    let (mut outbox, mut rng) = outbox(2);
    for text in ["a", "b", "c", "d"] {
        outbox.push(group(1), message(text)).expect("room");
    }
    let sent = drain(&mut outbox, Duration::ZERO, &mut rng);
    let Verdict::Retry(at) = outbox.failed(sent[0].local, &busy(), Duration::ZERO, &mut rng) else {
        panic!("busy passes");
    };
    outbox.committed(sent[1].local).expect("was in flight");
    assert!(drain(&mut outbox, Duration::ZERO, &mut rng).is_empty());
    let retry = drain(&mut outbox, at, &mut rng);
    assert_eq!(retry.len(), 1, "c waits behind the retry");
    assert_eq!(retry[0].id, sent[0].id);
    outbox.committed(sent[0].local).expect("was in flight");
    assert_eq!(drain(&mut outbox, at, &mut rng).len(), 2);
}

#[test]
fn a_new_session_sends_everything_unsettled_again_in_order() {
    let (mut outbox, mut rng) = outbox(8);
    for text in ["a", "b", "c"] {
        outbox.push(group(1), message(text)).expect("room");
    }
    let before = drain(&mut outbox, Duration::ZERO, &mut rng);
    outbox.committed(before[1].local).expect("was in flight");
    outbox.disconnected();
    assert!(outbox.items().all(|item| item.state == State::Queued));
    let after = drain(&mut outbox, Duration::ZERO, &mut rng);
    let ids: Vec<ClientMsgId> = after.iter().map(|attempt| attempt.id).collect();
    assert_eq!(ids, [before[0].id, before[2].id]);
    assert!(outbox.committed(before[1].local).is_none());
}

#[test]
fn groups_take_turns_and_the_queue_is_bounded() {
    let (mut outbox, mut rng) = outbox(50);
    for n in 0..49 {
        outbox
            .push(group(1), message(&n.to_string()))
            .expect("room");
    }
    outbox.push(group(2), message("other")).expect("room");
    assert!(outbox.push(group(1), message("over")).is_err());
    let sent = drain(&mut outbox, Duration::ZERO, &mut rng);
    assert!(sent[..2].iter().any(|attempt| attempt.send.body == "other"));
}

#[test]
fn restored_messages_keep_ids_and_come_before_new_ones() {
    let (mut outbox, mut rng) = outbox(8);
    let id = ClientMsgId::new(Hlc::from_u64(5), 9);
    outbox.restore(4, group(1), Some(id), message("old"));
    let new = outbox.push(group(1), message("new")).expect("room");
    assert!(new > 4);
    let sent = drain(&mut outbox, Duration::ZERO, &mut rng);
    assert_eq!((sent[0].id, sent[0].first), (id, false));
    assert_eq!(sent[1].send.body, "new");
}

#[derive(Debug, Clone)]
enum Step {
    Push(u8),
    Send,
    Answer(usize),
    Refuse(usize),
    Cut,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u8..3).prop_map(Step::Push),
        4 => any::<()>().prop_map(|()| Step::Send),
        3 => any::<usize>().prop_map(Step::Answer),
        2 => any::<usize>().prop_map(Step::Refuse),
        1 => any::<()>().prop_map(|()| Step::Cut),
        2 => (0u64..30_000).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever the edge does: each message is committed exactly once, under
    /// one id, and with a window of 1 in the order of the calls.
    #[test]
    fn every_message_is_settled_once(
        window in 1usize..5, steps in prop::collection::vec(step(), 0..200)
    ) {
        let (mut outbox, mut rng) = outbox(window);
        let mut now = Duration::ZERO;
        let mut pushed: BTreeMap<GroupId, Vec<u64>> = BTreeMap::new();
        let mut committed: BTreeMap<GroupId, Vec<u64>> = BTreeMap::new();
        let mut ids: BTreeMap<u64, ClientMsgId> = BTreeMap::new();
        let mut flying: Vec<u64> = Vec::new();
        let mut left = 10_000;
        let mut steps = steps.into_iter();
        // After the given steps the edge is well, until all is settled.
        while left > 0 {
            let step = match steps.next() {
                Some(step) => step,
                None if outbox.is_empty() => break,
                None if flying.is_empty() && left % 2 == 0 => Step::Wait(30_000),
                None if left % 2 == 0 => Step::Answer(0),
                None => Step::Send,
            };
            left -= 1;
            match step {
                Step::Push(n) => if let Ok(local) = outbox.push(group(n), message("x")) {
                    pushed.entry(group(n)).or_default().push(local);
                },
                Step::Send => if let Some(attempt) = outbox.next(now, STAMP, &mut rng) {
                    prop_assert!(!flying.contains(&attempt.local));
                    prop_assert_eq!(attempt.first, !ids.contains_key(&attempt.local));
                    let id = *ids.entry(attempt.local).or_insert(attempt.id);
                    prop_assert_eq!(id, attempt.id);
                    flying.push(attempt.local);
                    let of_group = |local: &&u64| outbox.groups.get(local) == outbox.groups.get(&attempt.local);
                    prop_assert!(flying.iter().filter(of_group).count() <= window);
                },
                Step::Answer(at) => if !flying.is_empty() {
                    let local = flying.remove(at % flying.len());
                    let item = outbox.committed(local).expect("it is in flight");
                    committed.entry(item.group).or_default().push(local);
                },
                Step::Refuse(at) => if !flying.is_empty() {
                    let local = flying.remove(at % flying.len());
                    let verdict = outbox.failed(local, &busy(), now, &mut rng);
                    prop_assert!(matches!(verdict, Verdict::Retry(at) if at > now));
                },
                Step::Cut => { outbox.disconnected(); flying.clear(); }
                Step::Wait(ms) => now += Duration::from_millis(ms),
            }
            prop_assert_eq!(outbox.in_flight, flying.len());
        }
        prop_assert!(outbox.is_empty(), "not settled: {:?}", outbox);
        for (group, mut order) in committed {
            if window > 1 {
                order.sort_unstable();
            }
            prop_assert_eq!(Some(&order), pushed.get(&group));
        }
    }
}

#[test]
fn an_accepted_message_holds_nothing_up_and_settles_later() {
    let (mut outbox, mut rng) = outbox(1);
    for text in ["a", "b"] {
        outbox.push(group(1), message(text)).expect("room");
    }
    let first = drain(&mut outbox, Duration::ZERO, &mut rng).remove(0);
    let id = outbox.accepted(first.local, Duration::ZERO);
    assert_eq!(id, Some(first.id));
    let second = drain(&mut outbox, Duration::ZERO, &mut rng).remove(0);
    assert_eq!(second.send.body, "b", "the next one goes");
    assert_eq!(outbox.len(), 2, "both are still there");
    assert!(outbox.settled(group(2), first.id).is_none());
    let settled = outbox.settled(group(1), first.id).expect("it was accepted");
    assert_eq!(settled.local, first.local);
    assert!(outbox.settled(group(1), first.id).is_none());
    assert!(outbox.committed(second.local).is_some());
    assert!(outbox.is_empty());
    assert_eq!(outbox.wake_at(), None);
}

#[test]
fn accepted_messages_come_first_in_the_next_session_with_their_ids() {
    let (mut outbox, mut rng) = outbox(1);
    for text in ["a", "b", "c"] {
        outbox.push(group(1), message(text)).expect("room");
    }
    let mut ids = Vec::new();
    for _ in 0..2 {
        let attempt = drain(&mut outbox, Duration::ZERO, &mut rng).remove(0);
        ids.extend(outbox.accepted(attempt.local, Duration::ZERO));
    }
    outbox.disconnected();
    for (text, id) in ["a", "b"].iter().zip(ids) {
        let attempt = drain(&mut outbox, Duration::ZERO, &mut rng).remove(0);
        assert_eq!((&attempt.send.body[..], attempt.id), (text.as_bytes(), id));
        assert!(!attempt.first);
        assert!(outbox.settled(group(1), id).is_none(), "the answer tells");
        assert!(outbox.committed(attempt.local).is_some());
    }
    assert_eq!(
        drain(&mut outbox, Duration::ZERO, &mut rng)[0].send.body,
        "c"
    );
}

#[test]
fn what_nothing_is_heard_of_is_asked_for() {
    let (mut outbox, mut rng) = outbox(1);
    outbox.push(group(1), message("a")).expect("room");
    let attempt = drain(&mut outbox, Duration::ZERO, &mut rng).remove(0);
    outbox.accepted(attempt.local, Duration::ZERO);
    let at = outbox.wake_at().expect("it is asked for some time");
    assert_eq!(
        drain(&mut outbox, at - Duration::from_millis(1), &mut rng),
        []
    );
    let again = drain(&mut outbox, at, &mut rng).remove(0);
    assert_eq!((again.local, again.id), (attempt.local, attempt.id));
    assert!(outbox.accepted(again.local, at).is_some());
    assert!(outbox.wake_at().expect("and again") > at);
}

#[test]
fn what_waits_for_the_home_goes_once_the_home_has_the_rest() {
    for (code, goes) in [(Code::Unavailable, true), (Code::Busy, false)] {
        let (mut outbox, mut rng) = outbox(1);
        for text in ["a", "b", "leave"] {
            outbox.push(group(1), message(text)).expect("room");
        }
        let mut accepted = Vec::new();
        for _ in 0..2 {
            let attempt = drain(&mut outbox, Duration::ZERO, &mut rng).remove(0);
            accepted.extend(outbox.accepted(attempt.local, Duration::ZERO));
        }
        let mut now = Duration::ZERO;
        for _ in 0..8 {
            let attempt = drain(&mut outbox, now, &mut rng).remove(0);
            let fault = Fault::from(code).retry_after(1_000);
            let Verdict::Retry(at) = outbox.failed(attempt.local, &fault, now, &mut rng) else {
                panic!("{code:?} passes");
            };
            now = at;
        }
        now -= Duration::from_millis(1);
        assert!(outbox.settled(group(1), accepted[0]).is_some());
        assert_eq!(drain(&mut outbox, now, &mut rng), [], "one more waits");
        assert!(outbox.settled(group(1), accepted[1]).is_some());
        assert_eq!(drain(&mut outbox, now, &mut rng).len(), usize::from(goes));
    }
}
