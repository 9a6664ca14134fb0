//! A user's groups: what changed in them, and what is unread.

use std::collections::BTreeMap;

use bytes::Bytes;
use folkmoot_wire::Code;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{GetUnread, Kind, ListGroups, MarkRead, Send};

use super::client::{Client, error, hello, text};
use super::world::World;

#[tokio::test(start_paused = true)]
async fn what_changed_since_the_last_session() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let quiet = ann.create("quiet", |_| {}).await;
    let busy = ann.create("busy", |_| {}).await;
    let (mut ann, welcome) = Client::hello(&world, hello("ann")).await;
    let first = welcome.changed.unwrap();
    assert_eq!(first.groups.len(), 2);
    ann.say(busy, "news").await;
    let mut back = hello("ann");
    back.changed_since = first.changed_since.clone();
    let (_, welcome) = Client::hello(&world, back.clone()).await;
    let changed = welcome.changed.unwrap();
    let groups: Vec<_> = changed.groups.iter().map(|g| g.group.clone()).collect();
    assert_eq!(groups, [busy.to_bytes()]);
    // A token of somebody else, or of nobody, tells nothing.
    for forged in [Bytes::from_static(b"?"), Bytes::from(vec![1; 61])] {
        back.changed_since = forged;
        let (_, welcome) = Client::hello(&world, back.clone()).await;
        assert_eq!(welcome.changed.unwrap().groups.len(), 2);
    }
    let ask = ListGroups {
        limit: 1,
        ..ListGroups::default()
    };
    match ann.call(Request::ListGroups(ask)).await {
        Body::Groups(page) => {
            assert_eq!(page.groups.len(), 1);
            let rest = ListGroups {
                page: page.next,
                limit: 5,
            };
            match ann.call(Request::ListGroups(rest)).await {
                Body::Groups(rest) => {
                    assert_eq!(rest.groups.len(), 1);
                    let both = [&page.groups[0].group, &rest.groups[0].group];
                    assert!(both.contains(&&quiet.to_bytes()) && both.contains(&&busy.to_bytes()));
                }
                other => panic!("no groups: {other:?}"),
            }
        }
        other => panic!("no groups: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_unread_comes_in_one_answer() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let mut groups = Vec::new();
    for i in 0..30_u64 {
        let group = ann.create("tea", |_| {}).await;
        bob.join(group, "bob").await;
        let mut last = 0;
        for _ in 0..i % 3 {
            last = ann.say(group, "news").await;
        }
        groups.push((group, i % 3, last));
    }
    let unread = |body| match body {
        Body::Unread(unread) => {
            assert!(unread.unknown.is_empty() && unread.next.is_empty());
            let counts = unread.groups.into_iter();
            counts
                .map(|c| (c.group, c.unread))
                .collect::<BTreeMap<_, _>>()
        }
        other => panic!("no counts: {other:?}"),
    };
    let ask = || Request::GetUnread(GetUnread::default());
    let due: BTreeMap<_, _> = groups
        .iter()
        .filter(|(_, said, _)| *said > 0)
        .map(|(group, said, _)| (group.to_bytes(), *said))
        .collect();
    assert_eq!(unread(bob.call(ask()).await), due);
    // Saying something is reading it.
    assert_eq!(unread(ann.call(ask()).await), BTreeMap::new());
    for (group, _, last) in groups.iter().filter(|(_, said, _)| *said == 2) {
        let (group, seq) = (group.to_bytes(), last - 1);
        assert!(matches!(
            bob.call(Request::MarkRead(MarkRead { group, seq })).await,
            Body::Ok(_)
        ));
    }
    let one = unread(bob.call(ask()).await);
    assert!(one.len() == 20 && one.values().all(|count| *count == 1));
    let forged = GetUnread { page: "?".into() };
    let (code, _) = error(bob.call(Request::GetUnread(forged)).await);
    assert_eq!(code, Code::Invalid);
}

/// Unread, to all and to the user by name: as the counts and as the list say.
async fn counts(client: &mut Client) -> (u64, u64, u64) {
    let counted = match client.call(Request::GetUnread(GetUnread::default())).await {
        Body::Unread(unread) => unread.groups.into_iter().next().unwrap_or_default(),
        other => panic!("no counts: {other:?}"),
    };
    let listed = match client
        .call(Request::ListGroups(ListGroups::default()))
        .await
    {
        Body::Groups(mut groups) => groups.groups.remove(0),
        other => panic!("no groups: {other:?}"),
    };
    let counts = (counted.unread, counted.at_all, counted.mentions);
    assert_eq!((listed.unread, listed.at_all, listed.mentions), counts);
    counts
}

#[tokio::test(start_paused = true)]
async fn mentions_are_counted_apart() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut bob = Client::connect(&world, "bob").await;
    let group = ann.create("tea", |_| {}).await;
    bob.join(group, "bob").await;
    let both = vec![
        bob.user.unwrap().to_bytes(),
        ann.user.unwrap().to_bytes(),
        bob.user.unwrap().to_bytes(),
    ];
    let mut seqs = Vec::new();
    for (kind, named, all) in [
        (Kind::Message, true, false),
        (Kind::Message, false, true),
        (Kind::Action, true, true),
        (Kind::Notice, true, false),
        (Kind::Message, false, false),
    ] {
        let send = Send {
            mentions: if named { both.clone() } else { Vec::new() },
            mentions_all: all,
            ..ann.entry(group, kind, text("bob: look"))
        };
        seqs.push(ann.send(send).await.seq);
    }
    // What does not count as unread mentions nobody, but all.
    assert_eq!(counts(&mut bob).await, (4, 2, 2));
    // Saying something is reading it.
    assert_eq!(counts(&mut ann).await, (0, 0, 0));
    let recall = Send {
        target: seqs[0],
        ..ann.entry(group, Kind::Recall, Bytes::new())
    };
    ann.send(recall).await;
    assert_eq!(counts(&mut bob).await, (4, 2, 1));
    let read = |seq| {
        Request::MarkRead(MarkRead {
            group: group.to_bytes(),
            seq,
        })
    };
    assert!(matches!(bob.call(read(seqs[1])).await, Body::Ok(_)));
    assert_eq!(counts(&mut bob).await, (2, 1, 1));
    assert!(matches!(bob.call(read(seqs[2])).await, Body::Ok(_)));
    assert_eq!(counts(&mut bob).await, (1, 0, 0));
}
