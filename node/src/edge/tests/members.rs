//! Members, page by page: by user, by role and by nick.

use bytes::Bytes;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{GetMembers, Kind, MemberOrder, Members, Role};
use folkmoot_wire::{Code, GroupId, limits};

use super::client::{Client, error};
use super::world::World;

async fn page(client: &mut Client, ask: GetMembers) -> Members {
    match client.call(Request::GetMembers(ask)).await {
        Body::Members(members) => members,
        other => panic!("no members: {other:?}"),
    }
}

/// The nicks of all pages, each of two. Nobody sees the settings of others.
pub(super) async fn all(
    client: &mut Client,
    group: GroupId,
    ask: impl Fn(&mut GetMembers),
) -> Vec<String> {
    let (mut seen, mut next) = (Vec::new(), Bytes::new());
    loop {
        let mut request = GetMembers {
            group: group.to_bytes(),
            page: next,
            limit: 2,
            ..GetMembers::default()
        };
        ask(&mut request);
        let members = page(client, request).await;
        for member in members.members {
            let own = member.value.unwrap().self_.unwrap();
            assert!(!own.hidden);
            seen.push(own.nick);
        }
        next = members.next;
        if next.is_empty() {
            return seen;
        }
    }
}

fn by_nick(prefix: &str) -> impl Fn(&mut GetMembers) {
    move |ask| {
        ask.order = MemberOrder::Nick as i32;
        ask.prefix = prefix.into();
    }
}

fn by_role(role: Role) -> impl Fn(&mut GetMembers) {
    move |ask| {
        ask.order = MemberOrder::Role as i32;
        ask.role = role as i32;
    }
}

async fn tea(world: &std::sync::Arc<World>) -> (Client, GroupId) {
    let mut ann = Client::connect(world, "ann").await;
    let group = ann.create("tea", |create| create.open = true).await;
    for nick in ["Bob", "bobby", "cid", "Anna"] {
        let mut guest = Client::connect(world, nick).await;
        guest.join(group, nick).await;
    }
    (ann, group)
}

#[tokio::test(start_paused = true)]
async fn members_are_found_by_nick_and_by_role() {
    let world = World::new();
    let (mut ann, group) = tea(&world).await;
    let sorted = all(&mut ann, group, by_nick("")).await;
    assert_eq!(sorted, ["Anna", "Bob", "bobby", "cid", "owner"]);
    assert_eq!(all(&mut ann, group, by_nick("BOB")).await, ["Bob", "bobby"]);
    assert_eq!(all(&mut ann, group, by_nick("x")).await, [""; 0]);
    assert_eq!(all(&mut ann, group, by_role(Role::Owner)).await, ["owner"]);
    assert_eq!(all(&mut ann, group, by_role(Role::Member)).await.len(), 4);
    assert_eq!(all(&mut ann, group, by_role(Role::Admin)).await, [""; 0]);
    // How many there are comes with the first page.
    let mut ask = GetMembers {
        group: group.to_bytes(),
        limit: 1,
        ..GetMembers::default()
    };
    by_nick("b")(&mut ask);
    let first = page(&mut ann, ask.clone()).await;
    let counts: Vec<_> = first.counts.iter().map(|c| (c.role(), c.members)).collect();
    assert_eq!(counts, [(Role::Member, 4), (Role::Owner, 1)]);
    ask.page = first.next;
    assert!(page(&mut ann, ask).await.counts.is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_is_found_no_more() {
    let world = World::new();
    let (mut ann, group) = tea(&world).await;
    let mut bob = Client::connect(&world, "Bob").await;
    let leave = bob.entry(group, Kind::Leave, Bytes::new());
    bob.send(leave).await;
    assert_eq!(all(&mut ann, group, by_nick("bob")).await, ["bobby"]);
    let ask = GetMembers {
        group: group.to_bytes(),
        order: MemberOrder::Nick as i32,
        ..GetMembers::default()
    };
    let (code, _) = error(bob.call(Request::GetMembers(ask)).await);
    assert_eq!(code, Code::NotFound);
}

#[tokio::test(start_paused = true)]
async fn bad_questions_are_named() {
    let world = World::new();
    let (mut ann, group) = tea(&world).await;
    let ask = |change: &dyn Fn(&mut GetMembers)| {
        let mut ask = GetMembers {
            group: group.to_bytes(),
            ..GetMembers::default()
        };
        change(&mut ask);
        ask
    };
    let role = MemberOrder::Role as i32;
    let nick = MemberOrder::Nick as i32;
    let bad = [
        ask(&|ask| ask.order = 9),
        ask(&|ask| ask.order = role),
        ask(&|ask| (ask.order, ask.role) = (role, 77)),
        ask(&|ask| ask.role = Role::Owner as i32),
        ask(&|ask| ask.prefix = "b".into()),
        ask(&|ask| (ask.order, ask.prefix) = (nick, "b".repeat(limits::NICK_MAX + 1))),
        ask(&|ask| ask.page = Bytes::from_static(b"forged")),
        ask(&|ask| {
            ask.order = nick;
            ask.page = vec![7; limits::MEMBER_PAGE_TOKEN + 1].into();
        }),
    ];
    for ask in bad {
        let (code, told) = error(ann.call(Request::GetMembers(ask.clone())).await);
        assert_eq!(code, Code::Invalid, "{ask:?}");
        assert!(!told.message.is_empty());
    }
    // One of another question gives nothing that this one would not.
    for forged in [&[0u8][..], &[2, 0xff], &[1, 4], b"any"] {
        let mut ask = ask(&by_nick("b"));
        ask.page = Bytes::copy_from_slice(forged);
        for member in page(&mut ann, ask).await.members {
            let nick = member.value.unwrap().self_.unwrap().nick;
            assert!(nick.to_lowercase().starts_with('b'));
        }
    }
}
