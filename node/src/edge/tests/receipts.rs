//! How many have read, and who.

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{
    CreateGroup, GetReaders, GetReceipts, MarkRead, Receipts, SetApplyVersion, command,
};
use folkmoot_wire::{Code, GroupId, limits, version};

use super::client::{Client, error};
use super::world::World;
use crate::backend::Backend;

async fn ask(client: &mut Client, group: GroupId, seqs: &[u64]) -> Body {
    let (group, seqs) = (group.to_bytes(), seqs.to_vec());
    let request = Request::GetReceipts(GetReceipts { group, seqs });
    client.call(request).await
}

async fn receipts(client: &mut Client, group: GroupId, seqs: &[u64]) -> Receipts {
    match ask(client, group, seqs).await {
        Body::Receipts(receipts) => receipts,
        other => panic!("no receipts: {other:?}"),
    }
}

async fn read_by(client: &mut Client, group: GroupId, seqs: &[u64]) -> Vec<u64> {
    receipts(client, group, seqs).await.readers
}

async fn ask_who(client: &mut Client, group: GroupId, seq: u64, unread: bool) -> Body {
    let request = Request::GetReaders(GetReaders {
        group: group.to_bytes(),
        seq,
        unread,
        ..GetReaders::default()
    });
    client.call(request).await
}

/// The nicks of all pages, each of two members looked at, in their order.
async fn who(client: &mut Client, group: GroupId, seq: u64, unread: bool) -> Vec<String> {
    let (mut nicks, mut page) = (Vec::new(), Bytes::new());
    loop {
        let request = Request::GetReaders(GetReaders {
            group: group.to_bytes(),
            seq,
            unread,
            page,
            limit: 2,
        });
        let Body::Readers(readers) = client.call(request).await else {
            panic!("no readers")
        };
        for member in readers.members {
            nicks.push(member.value.unwrap().self_.unwrap().nick);
        }
        page = readers.next;
        if page.is_empty() {
            nicks.sort();
            return nicks;
        }
    }
}

async fn mark(client: &mut Client, group: GroupId, seq: u64) {
    let group = group.to_bytes();
    let marked = client.call(Request::MarkRead(MarkRead { group, seq }));
    assert!(matches!(marked.await, Body::Ok(_)));
}

fn large(create: &mut CreateGroup) {
    create.open = true;
    create.member_cap = limits::MEMBER_CAP_MAX;
}

async fn by_the_newest_rules(world: &Arc<World>, client: &Client) {
    let version = version::APPLY;
    let raise = command::Op::SetApplyVersion(SetApplyVersion { version });
    let own = client.user.unwrap().self_group();
    world.propose(own, raise).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn names_in_a_small_group_and_numbers_everywhere() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let group = ann.create("tea", |create| create.open = true).await;
    let mut guests = Vec::new();
    for nick in ["bob", "cid", "dot"] {
        let mut guest = Client::connect(&world, nick).await;
        guest.join(group, nick).await;
        guests.push(guest);
    }
    let first = ann.say(group, "hello").await;
    let second = ann.say(group, "is anybody here?").await;
    assert_eq!(read_by(&mut ann, group, &[first, second]).await, [1, 1]);
    mark(&mut guests[0], group, first).await;
    mark(&mut guests[1], group, second).await;
    // In the order of the question.
    let asked = receipts(&mut ann, group, &[second, first]).await;
    assert_eq!((&asked.readers[..], asked.members), (&[2, 3][..], 4));
    assert_eq!(
        who(&mut ann, group, first, false).await,
        ["bob", "cid", "owner"]
    );
    assert_eq!(who(&mut ann, group, first, true).await, ["dot"]);
    assert_eq!(who(&mut ann, group, second, true).await, ["bob", "dot"]);
    // Who speaks has read.
    guests[2].say(group, "yes").await;
    assert_eq!(read_by(&mut ann, group, &[first, second]).await, [4, 3]);
}

#[tokio::test(start_paused = true)]
async fn who_came_later_has_not_read() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    by_the_newest_rules(&world, &ann).await;
    let group = ann.create("square", large).await;
    let old = ann.say(group, "welcome").await;
    let mut bob = Client::connect(&world, "bob").await;
    bob.join(group, "bob").await;
    // It is not unread for bob, and was not read by him either.
    assert_eq!(read_by(&mut ann, group, &[old]).await, [1]);
    assert_eq!(who(&mut ann, group, old, true).await, ["bob"]);
    let new = ann.say(group, "hello, bob").await;
    mark(&mut bob, group, new).await;
    assert_eq!(read_by(&mut ann, group, &[old, new]).await, [1, 2]);
    assert_eq!(who(&mut ann, group, new, false).await, ["bob", "owner"]);
}

#[tokio::test(start_paused = true)]
async fn in_a_large_group_there_are_numbers_only() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    by_the_newest_rules(&world, &ann).await;
    let group = ann.create("square", large).await;
    let mut guests = Vec::new();
    for n in 0..limits::SMALL_GROUP + 10 {
        let mut guest = Client::connect(&world, &format!("guest {n}")).await;
        guest.join(group, &format!("guest {n}")).await;
        guests.push(guest);
    }
    let seq = ann.say(group, "how many are you?").await;
    for guest in &mut guests[..100] {
        mark(guest, group, seq).await;
    }
    let asked = receipts(&mut ann, group, &[1, seq]).await;
    let members = u64::from(limits::SMALL_GROUP) + 11;
    assert_eq!(
        (&asked.readers[..], asked.members),
        (&[1, 101][..], members)
    );
    let (code, refused) = error(ask_who(&mut ann, group, seq, false).await);
    assert_eq!(code, Code::Invalid);
    assert!(
        refused.message.contains("up to 200 members"),
        "{}",
        refused.message
    );
    let unread = who(&mut ann, group, seq, true).await;
    assert_eq!(unread.len(), guests.len() - 100);
}

#[tokio::test(start_paused = true)]
async fn what_one_may_not_see_is_not_told_of() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let group = ann
        .create("tea", |create| create.history_from_join = true)
        .await;
    let before = ann.say(group, "a secret").await;
    let mut eve = Client::connect(&world, "eve").await;
    for asked in [
        ask(&mut eve, group, &[1]).await,
        ask_who(&mut eve, group, 1, true).await,
    ] {
        assert_eq!(error(asked).0, Code::NotFound, "no member");
    }
    eve.join(group, "eve").await;
    for asked in [
        ask(&mut eve, group, &[before]).await,
        ask(&mut eve, group, &[0]).await,
        ask(&mut eve, group, &[u64::MAX; limits::RECEIPTS + 1]).await,
        ask_who(&mut eve, group, before, false).await,
        ask_who(&mut eve, group, 0, true).await,
    ] {
        assert_eq!(error(asked).0, Code::Invalid);
    }
    // Nobody who came later is asked for it.
    assert_eq!(who(&mut ann, group, before, true).await, [""; 0]);
    assert_eq!(read_by(&mut ann, group, &[u64::MAX]).await, [0]);
}
