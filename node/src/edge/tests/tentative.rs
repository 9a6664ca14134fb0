//! What is in no log yet, and what became of it.

use bytes::Bytes;
use folkmoot_wire::GroupId;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{EntryHeader, Hello, SealedEntry, Settled, Tentative};
use prost::Message;

use super::client::{Client, hello};
use super::world::World;

async fn with_tentatives(world: &std::sync::Arc<World>, subject: &str) -> Client {
    let mut hello: Hello = hello(subject);
    hello.features.push("tentative".into());
    Client::hello(world, hello).await.0
}

/// The next push about what is tentative.
async fn told(client: &mut Client) -> Tentative {
    let told = client.push_of(|push| match push {
        Body::Tentative(tentative) => Some(tentative),
        _ => None,
    });
    told.await
}

fn settled(of: &Client) -> Settled {
    Settled {
        sender: of.user(),
        device: 1,
        client_msg_id: Bytes::from_static(&[7; 16]),
        seq: 9,
        ..Settled::default()
    }
}

fn entry(of: &Client) -> SealedEntry {
    let header = EntryHeader {
        sender: of.user(),
        ..EntryHeader::default()
    };
    SealedEntry {
        header: header.encode_to_vec().into(),
        ..SealedEntry::default()
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_the_group_open_sees_all_of_it_and_its_sender_what_became_of_it() {
    let world = World::new();
    let mut ann = with_tentatives(&world, "ann").await;
    let mut bob = with_tentatives(&world, "bob").await;
    let mut cat = with_tentatives(&world, "cat").await;
    let group: GroupId = ann.create("tea", |_| {}).await;
    ann.activate(group, 0, Bytes::new()).await;
    // Cat has joined, as far as this edge was told, and has not the group open.
    world.edge().tentative(group, vec![entry(&cat)], Vec::new());
    world
        .edge()
        .tentative(group, Vec::new(), vec![settled(&cat)]);
    assert_eq!(told(&mut ann).await.entries, [entry(&cat)]);
    assert_eq!(told(&mut ann).await.settled, [settled(&cat)]);
    let heard = told(&mut cat).await;
    assert_eq!(heard.group, group.to_bytes());
    assert_eq!(
        (heard.entries.len(), heard.settled),
        (0, vec![settled(&cat)])
    );
    // Ann hears of her own once, and Bob of nothing but his own.
    world
        .edge()
        .tentative(group, Vec::new(), vec![settled(&ann)]);
    world
        .edge()
        .tentative(group, vec![entry(&bob)], vec![settled(&bob)]);
    assert_eq!(told(&mut ann).await.settled, [settled(&ann)]);
    assert_eq!(told(&mut ann).await.settled, [settled(&bob)]);
    let heard = told(&mut bob).await;
    assert_eq!(
        (heard.entries.len(), heard.settled),
        (0, vec![settled(&bob)])
    );
}
