//! What people do: talk, read, come back, list, create.

use std::time::Duration;

use bytes::Bytes;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{
    Bump, CreateGroup, Deactivate, DigestRows, GetCursors, GetGroup, GetProfile, History, Kind,
    LogSlice, MarkRead, MemberSelf, OpenDirect, Ping, UpdateSelf, row,
};
use folkmoot_wire::{Code, GroupId};

use super::client::{Client, error, hello, said, text};
use super::world::World;

async fn history(client: &mut Client, ask: History) -> LogSlice {
    match client.call(Request::History(ask)).await {
        Body::Log(slice) => slice,
        other => panic!("no log: {other:?}"),
    }
}

fn of(group: GroupId) -> History {
    History {
        group: group.to_bytes(),
        ..History::default()
    }
}

#[tokio::test(start_paused = true)]
async fn two_sessions_chat() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let group = ann.create("tea", |_| {}).await;
    assert_eq!(bob.join(group, "bob").await, 2);
    let a = ann.activate(group, 0, Bytes::new()).await;
    let b = bob.activate(group, 0, Bytes::new()).await;
    assert!(a.error.is_none() && a.resumed && b.resumed);
    assert_eq!((a.live_from, b.live_from), (2, 2));
    for i in 0..30 {
        let who = if i % 3 == 0 { &mut bob } else { &mut ann };
        assert_eq!(who.say(group, &format!("line {i}")).await, 3 + i);
    }
    let seen_by_ann = ann.delivered(3, 32).await;
    let seen_by_bob = bob.delivered(3, 32).await;
    assert_eq!(seen_by_ann, seen_by_bob);
    for (i, entry) in seen_by_ann.iter().enumerate() {
        assert_eq!(said(entry), format!("line {i}"));
    }
    let slice = history(&mut bob, of(group)).await;
    assert_eq!(slice.entries.len(), 32);
    assert_eq!(slice.entries[2..], seen_by_ann[..]);
}

#[tokio::test(start_paused = true)]
async fn pipelined_sends_keep_their_order_and_share_calls() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let group = ann.create("tea", |_| {}).await;
    *world.latency.lock() = std::time::Duration::from_millis(20);
    world.calls.lock().clear();
    let mut ids = Vec::new();
    for i in 0..40 {
        let send = ann.entry(group, Kind::Message, text(&i.to_string()));
        ids.push(ann.ask(Request::Send(send)).await);
    }
    for (i, id) in ids.into_iter().enumerate() {
        match ann.answer(id).await {
            Body::Sent(sent) => assert_eq!(sent.seq, 2 + i as u64),
            other => panic!("not sent: {other:?}"),
        }
    }
    let calls = world.calls.lock().clone();
    assert_eq!(calls.iter().sum::<usize>(), 40);
    assert!(calls.len() < 10, "one call for what waits: {calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_resume_point_is_recognised_or_not() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let group = ann.create("tea", |_| {}).await;
    for i in 0..5 {
        ann.say(group, &i.to_string()).await;
    }
    let slice = history(&mut ann, of(group)).await;
    let chain = |seq: usize| slice.entries[seq - 1].chain.clone();
    let mut back = hello("ann");
    for (seq, with) in [(3, chain(3)), (6, chain(6)), (3, chain(4))] {
        back.active = vec![folkmoot_wire::proto::Resume {
            group: group.to_bytes(),
            seq,
            chain: with,
        }];
        let (_, welcome) = Client::hello(&world, back.clone()).await;
        let activated = &welcome.active[0];
        assert_eq!(activated.live_from, 6);
        assert_eq!(
            activated.resumed,
            back.active[0].chain == chain(seq as usize)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn cursors_are_seen_by_others_and_never_pass_the_head() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let group = ann.create("tea", |_| {}).await;
    bob.join(group, "bob").await;
    ann.activate(group, 0, Bytes::new()).await;
    let seq = ann.say(group, "read this").await;
    let mark = |seq| {
        Request::MarkRead(MarkRead {
            group: group.to_bytes(),
            seq,
        })
    };
    assert!(matches!(bob.call(mark(seq)).await, Body::Ok(_)));
    let (code, _) = error(bob.call(mark(seq + 1)).await);
    assert_eq!(code, Code::CursorAhead);
    // Said while the head that this edge goes by was already old: whoever
    // read it elsewhere may mark it as read here.
    *world.latency.lock() = Duration::from_secs(10);
    let asked = bob.ask(mark(seq + 1)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    *world.latency.lock() = Duration::ZERO;
    assert_eq!(ann.say(group, "and this").await, seq + 1);
    assert!(matches!(bob.answer(asked).await, Body::Ok(_)));
    let user = bob.user();
    let cursor = ann
        .push_of(|push| match push {
            Body::RowsChanged(changed) => changed.rows.into_iter().find_map(|row| {
                let of_bob = row.key.ends_with(&user);
                match row.value {
                    Some(row::Value::Cursor(cursor)) if of_bob => Some(cursor),
                    _ => None,
                }
            }),
            _ => None,
        })
        .await;
    assert_eq!((cursor.seq, cursor.count), (seq, 1));
    let ask = GetCursors {
        group: group.to_bytes(),
        users: vec![],
    };
    match ann.call(Request::GetCursors(ask)).await {
        Body::Cursors(cursors) => assert_eq!(cursors.cursors.len(), 2),
        other => panic!("no cursors: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn members_by_page_and_other_peoples_settings_stay_theirs() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let group = ann.create("tea", |_| {}).await;
    for i in 0..4 {
        let mut other = Client::connect(&world, &format!("user {i}")).await;
        other.join(group, &format!("n{i}")).await;
        let update = UpdateSelf {
            group: group.to_bytes(),
            self_: Some(MemberSelf {
                hidden: true,
                ..MemberSelf::default()
            }),
        };
        assert!(matches!(
            other.call(Request::UpdateSelf(update)).await,
            Body::Ok(_)
        ));
        match other
            .call(Request::GetGroup(GetGroup {
                group: group.to_bytes(),
            }))
            .await
        {
            Body::Group(info) => {
                assert!(info.me.unwrap().self_.unwrap().hidden);
                assert_eq!(info.home, "here");
            }
            other => panic!("no group: {other:?}"),
        }
    }
    let mut seen: Vec<String> = super::members::all(&mut ann, group, |_| {}).await;
    seen.sort();
    assert_eq!(seen, ["n0", "n1", "n2", "n3", "owner"]);
}

#[tokio::test(start_paused = true)]
async fn creating_again_makes_the_same_group() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let create = CreateGroup {
        client_msg_id: ann.new_id(),
        name: "once".into(),
        nick: "ann".into(),
        ..CreateGroup::default()
    };
    let first = ann.call(Request::CreateGroup(create.clone())).await;
    let again = ann.call(Request::CreateGroup(create.clone())).await;
    assert!(matches!(&first, Body::GroupCreated(_)));
    assert_eq!(first, again);
    let nowhere = CreateGroup {
        region: "atlantis".into(),
        ..create
    };
    let (code, _) = error(ann.call(Request::CreateGroup(nowhere)).await);
    assert_eq!(code, Code::UnknownRegion);
}

#[tokio::test(start_paused = true)]
async fn a_direct_group_is_one_whoever_opens_it() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let by_ann = OpenDirect {
        peer: bob.user(),
        client_msg_id: ann.new_id(),
    };
    let by_bob = OpenDirect {
        peer: ann.user(),
        client_msg_id: bob.new_id(),
    };
    let first = ann.call(Request::OpenDirect(by_ann)).await;
    let other = bob.call(Request::OpenDirect(by_bob)).await;
    assert!(matches!(&first, Body::GroupCreated(_)));
    assert_eq!(first, other);
}

#[tokio::test(start_paused = true)]
async fn passive_groups_are_bumped_once_and_with_what_is_unread() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let group = ann.create("tea", |_| {}).await;
    bob.join(group, "bob").await;
    bob.activate(group, 0, Bytes::new()).await;
    let deactivate = Deactivate {
        groups: vec![group.to_bytes()],
    };
    assert!(matches!(
        bob.call(Request::Deactivate(deactivate)).await,
        Body::Ok(_)
    ));
    for i in 0..7 {
        ann.say(group, &i.to_string()).await;
    }
    let bump = bob
        .push_of(|push| match push {
            Body::Bump(bump) if bump.unread > 0 => Some(bump),
            Body::Deliver(_) => panic!("a delivery to a passive session"),
            _ => None,
        })
        .await;
    assert_eq!(bump.unread, 7);
    assert_eq!(bump.head.unwrap().seq, 9);
}

async fn bump(client: &mut Client) -> Bump {
    let bump = client.push_of(|push| match push {
        Body::Bump(bump) => Some(bump),
        _ => None,
    });
    bump.await
}

#[tokio::test(start_paused = true)]
async fn a_group_that_takes_the_user_in_shows_as_a_bump() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let group = ann.create("tea", |c| c.open = false).await;
    let mut add = ann.entry(group, Kind::Join, Bytes::new());
    add.subject = bob.user();
    ann.send(add).await;
    let bump = bump(&mut bob).await;
    assert_eq!(bump.group, group.to_bytes());
}

#[tokio::test(start_paused = true)]
async fn a_group_that_takes_the_user_in_again_counts_from_where_it_had_read() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let group = ann.create("tea", |_| {}).await;
    bob.join(group, "bob").await;
    for i in 0..5 {
        bob.say(group, &i.to_string()).await;
    }
    let leave = bob.entry(group, Kind::Leave, Bytes::new());
    bob.send(leave).await;
    let mut bob = Client::connect(&world, "bob").await;
    ann.say(group, "one that was missed").await;
    let mut add = ann.entry(group, Kind::Join, Bytes::new());
    add.subject = bob.user();
    ann.send(add).await;
    let bump = bump(&mut bob).await;
    assert_eq!(bump.unread, 1);
}

#[tokio::test(start_paused = true)]
async fn profile_digest_and_ping_are_answered() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let group = ann.create("tea", |_| {}).await;
    let group = group.to_bytes();
    let ask = Request::GetProfile(GetProfile {
        group: group.clone(),
    });
    assert!(matches!(ann.call(ask).await, Body::Profile(p) if !p.document.is_empty()));
    let digest = match ann
        .call(Request::DigestRows(DigestRows {
            group: group.clone(),
        }))
        .await
    {
        Body::Digest(digest) => digest,
        other => panic!("no digest: {other:?}"),
    };
    assert_eq!((digest.rows.len(), digest.members.len()), (32, 32));
    assert_eq!(digest.count, 3);
    let (Body::Pong(one), Body::Pong(two)) = (
        ann.call(Request::Ping(Ping {})).await,
        ann.call(Request::Ping(Ping {})).await,
    ) else {
        panic!("no pong")
    };
    assert!(one.stamp < two.stamp);
}
