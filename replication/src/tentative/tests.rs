mod order;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::proto::{Append, JoinBody, Kind};
use folkmoot_wire::{ClientMsgId, GroupId, MessageId, NodeId, RegionId, Slot, UserId};
use proptest::prelude::*;
use prost::Message;

use super::{Bounds, Full, Page, Standing, Tentative, Tentatives, Told};

const BOUNDS: Bounds = Bounds {
    messages: 40,
    of_sender: 40,
    bytes: 100_000,
    silence: Duration::from_secs(20),
};

fn group(n: u8) -> GroupId {
    GroupId::new(RegionId(1), Slot(0), [n; 11])
}

fn user(n: u8) -> UserId {
    UserId::new(RegionId(2), Slot(1), [n; 11])
}

/// What `who` said as its message `number`, stamped at `ms` by `node`.
fn said(in_group: u8, who: u8, number: u64, ms: u64, node: u32) -> Tentative {
    let append = Append {
        id: MessageId {
            hlc: Hlc::from_parts(ms, 0),
            node: NodeId(node),
        }
        .to_bytes(),
        sender: user(who).to_bytes(),
        device: 7,
        client_msg_id: ClientMsgId::new(Hlc::from_parts(1, 0), number).to_bytes(),
        kind: Kind::Message as i32,
        body: Bytes::from_static(b"hello"),
        ..Append::default()
    };
    Tentative::new(group(in_group), append).expect("a message may be tentative")
}

fn page(messages: usize, bytes: usize) -> Page {
    Page { messages, bytes }
}

fn ids(tentatives: &[Tentative]) -> Vec<u64> {
    tentatives.iter().map(|t| t.id().hlc.millis()).collect()
}

/// The same as `good`, of another kind and about somebody.
fn of_kind(good: &Append, kind: Kind, subject: Option<u8>) -> Append {
    Append {
        kind: kind as i32,
        subject: subject.map(|who| user(who).to_bytes()).unwrap_or_default(),
        ..good.clone()
    }
}

#[test]
fn what_is_said_and_what_people_do_about_themselves_may_be_tentative() {
    let good = said(1, 1, 1, 5, 1).append;
    let may = |append| Tentative::new(group(1), append).is_some();
    for kind in [
        Kind::Ban,
        Kind::Edit,
        Kind::Recall,
        Kind::Create,
        Kind::Role,
    ] {
        assert!(!may(of_kind(&good, kind, None)), "{kind:?}");
    }
    for kind in [Kind::Join, Kind::Leave, Kind::Rename] {
        assert!(may(of_kind(&good, kind, None)), "{kind:?}");
        assert!(may(of_kind(&good, kind, Some(1))), "{kind:?}");
        assert!(!may(of_kind(&good, kind, Some(2))), "{kind:?} of another");
    }
    assert!(may(of_kind(&good, Kind::Profile, None)));
    let nameless = Append {
        client_msg_id: Bytes::new(),
        ..good
    };
    assert!(!may(nameless));
}

#[test]
fn what_waits_last_tells_where_somebody_stands_for_the_device_it_came_from() {
    let nick = "ann".to_owned();
    let body = JoinBody {
        nick: nick.clone(),
        role: 0,
    };
    let of = |number, ms, kind, device| {
        let append = Append {
            device,
            body: body.encode_to_vec().into(),
            ..of_kind(&said(1, 1, number, ms, 1).append, kind, None)
        };
        Tentative::new(group(1), append).expect("about oneself")
    };
    let mut all = Tentatives::new(BOUNDS);
    let asked = |device| of(9, 99, Kind::Message, device).attempt();
    let mut take = |tentative: Tentative| {
        let taken = all.take(tentative, true, Duration::ZERO);
        assert_eq!(taken, Ok(Told::New));
        [7, 8].map(|device| all.standing(&group(1), &asked(device)))
    };
    assert_eq!(take(of(1, 5, Kind::Message, 7)), [None, None]);
    let comes = Some(Standing::Comes { nick });
    assert_eq!(take(of(2, 6, Kind::Join, 7)), [comes.clone(), None]);
    assert_eq!(take(of(3, 7, Kind::Message, 7)), [comes, None]);
    assert_eq!(take(of(4, 8, Kind::Leave, 7)), [Some(Standing::Goes), None]);
}

#[test]
fn nobody_fills_the_book_alone() {
    let bounds = Bounds {
        of_sender: 2,
        ..BOUNDS
    };
    let mut all = Tentatives::new(bounds);
    let mut take = |t: Tentative| all.take(t, true, Duration::ZERO);
    let first = said(1, 1, 1, 5, 1);
    assert_eq!(take(first.clone()), Ok(Told::New));
    assert_eq!(take(said(2, 1, 2, 6, 1)), Ok(Told::New));
    assert_eq!(take(said(1, 1, 3, 7, 1)), Err(Full));
    assert_eq!(take(first.clone()), Ok(Told::Known));
    assert_eq!(take(said(1, 2, 1, 8, 1)), Ok(Told::New));
    all.settle(first.group, first.attempt());
    assert_eq!(
        all.take(said(1, 1, 3, 7, 1), true, Duration::ZERO),
        Ok(Told::New)
    );
}

#[test]
fn a_retry_finds_the_first_attempt_whatever_edge_took_it() {
    let mut all = Tentatives::new(BOUNDS);
    let first = said(1, 1, 1, 5, 1);
    assert_eq!(all.take(first.clone(), true, Duration::ZERO), Ok(Told::New));
    let retry = said(1, 1, 1, 9, 2);
    let told = all.take(retry, true, Duration::ZERO);
    assert_eq!(told, Ok(Told::Known));
    assert_eq!(all.len(), 1);
    assert_eq!(all.settle(group(1), first.attempt()), Some(first));
    assert!(all.is_empty() && !all.keeps(&group(1)));
}

#[test]
fn of_several_ids_the_smallest_counts() {
    let mut all = Tentatives::new(BOUNDS);
    let at = Duration::ZERO;
    let (late, early) = (said(1, 1, 1, 9, 1), said(1, 1, 1, 5, 2));
    all.take(late.clone(), true, at).unwrap();
    assert_eq!(all.take(early.clone(), false, at), Ok(Told::Known));
    assert_eq!(ids(&all.kept(|_| true, page(9, 9_999))), [9], "not kept");
    let renamed = Told::Renamed { from: late.id() };
    assert_eq!(all.take(early.clone(), true, at), Ok(renamed));
    assert_eq!(all.take(late.clone(), true, at), Ok(Told::Known));
    assert_eq!(all.get(group(1), late.attempt()), Some(&early));
    assert_eq!(all.settle(group(1), late.attempt()), Some(early));
    assert!(all.is_empty());
}

#[test]
fn a_node_is_owed_all_before_what_it_is_given_once() {
    let mut all = Tentatives::new(BOUNDS);
    let (one, two) = (NodeId(1), NodeId(2));
    let messages: Vec<Tentative> = (1..=4).map(|n| said(1, 1, n, n * 10, 1)).collect();
    for message in &messages {
        all.take(message.clone(), true, Duration::ZERO).unwrap();
    }
    let owed = |all: &Tentatives, node, upto: usize, limit| {
        ids(&all.owed(&group(1), node, messages[upto - 1].id(), page(limit, 9_999)))
    };
    assert_eq!(owed(&all, one, 3, 2), [10, 20]);
    all.given(one, &messages[..2]);
    assert_eq!(owed(&all, one, 3, 2), [30]);
    assert_eq!(owed(&all, two, 3, 9), [10, 20, 30]);
    all.given(two, &messages[..1]);
    assert_eq!(owed(&all, one, 4, 9), [10, 30, 40], "the last one said it");
}

#[test]
fn what_is_shown_alone_goes_after_a_silence_and_what_is_kept_stays() {
    let mut all = Tentatives::new(BOUNDS);
    let at = Duration::from_secs;
    let (seen, kept) = (said(1, 1, 1, 5, 1), said(1, 2, 1, 6, 1));
    all.take(seen.clone(), false, at(0)).unwrap();
    all.take(kept.clone(), true, at(0)).unwrap();
    assert_eq!(ids(&all.kept(|_| true, page(9, 9_999))), [6]);
    all.take(seen.clone(), false, at(15)).unwrap();
    assert_eq!(all.expire(at(30)), []);
    assert_eq!(all.expire(at(35)), [seen]);
    assert_eq!(all.of(&group(1)).collect::<Vec<_>>(), [&kept]);
}

#[test]
fn what_was_shown_alone_may_be_given_to_keep() {
    let mut all = Tentatives::new(BOUNDS);
    let one = said(1, 1, 1, 5, 1);
    all.take(one.clone(), false, Duration::ZERO).unwrap();
    assert!(!all.keeps(&group(1)));
    assert_eq!(all.take(one.clone(), true, Duration::ZERO), Ok(Told::Kept));
    let told = all.take(one.clone(), false, Duration::ZERO);
    assert_eq!(told, Ok(Told::Known), "it stays kept");
    assert!(all.keeps(&group(1)));
    assert_eq!(all.expire(Duration::from_secs(99)), []);
}

#[test]
fn a_full_book_takes_no_more_and_loses_nothing() {
    let mut all = Tentatives::new(BOUNDS);
    for number in 0..40 {
        all.take(said(1, 1, number, number, 1), true, Duration::ZERO)
            .unwrap();
    }
    let more = said(2, 1, 99, 99, 1);
    assert_eq!(all.take(more.clone(), true, Duration::ZERO), Err(Full));
    all.settle(group(1), said(1, 1, 0, 0, 1).attempt()).unwrap();
    assert_eq!(all.take(more, true, Duration::ZERO), Ok(Told::New));
    assert_eq!(all.kept(|_| true, page(100, usize::MAX)).len(), 40);
}

#[test]
fn a_page_is_the_oldest_of_the_groups_asked_for() {
    let mut all = Tentatives::new(BOUNDS);
    for (group, ms) in [(1, 30), (2, 10), (1, 20), (3, 5), (2, 40)] {
        all.take(said(group, 1, ms, ms, 1), true, Duration::ZERO)
            .unwrap();
    }
    let wanted = |id: &GroupId| *id != group(3);
    assert_eq!(ids(&all.kept(wanted, page(3, usize::MAX))), [10, 20, 30]);
    assert_eq!(ids(&all.kept(wanted, page(9, 1))), [10], "one always fits");
}

proptest! {
    /// Whatever is told in whatever order: what is kept is what was given to
    /// keep and not settled, once each and in order, and nothing is left over
    /// when all is settled.
    #[test]
    fn the_book_is_what_was_told(
        steps in prop::collection::vec((0u8..3, 0u8..2, 0u64..6, any::<bool>(), any::<bool>()), 0..80)
    ) {
        let mut all = Tentatives::new(BOUNDS);
        let mut kept = BTreeMap::new();
        for (group_number, who, number, keep, settle) in steps {
            let ms = number * 10 + u64::from(who);
            let one = said(group_number, who, number, ms, 1);
            let at = (one.group, one.attempt());
            if settle {
                all.settle(one.group, one.attempt());
                kept.remove(&at);
            } else if all.take(one.clone(), keep, Duration::ZERO).is_ok() && keep {
                kept.insert(at, one);
            }
        }
        for number in 0..3 {
            let of: Vec<_> = all.kept(|id| *id == group(number), page(99, usize::MAX));
            let mut expected: Vec<_> =
                kept.values().filter(|t| t.group == group(number)).cloned().collect();
            expected.sort_by_key(Tentative::id);
            prop_assert_eq!(&of, &expected);
            prop_assert_eq!(all.keeps(&group(number)), !expected.is_empty());
        }
        for (group_id, attempt) in kept.keys() {
            prop_assert!(all.settle(*group_id, *attempt).is_some());
        }
        all.expire(Duration::from_secs(99));
        prop_assert!(all.is_empty());
        prop_assert_eq!(all.bytes, 0);
    }
}
