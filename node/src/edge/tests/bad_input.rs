//! The issue's list of bad input, as far as it meets a session.

use bytes::Bytes;
use folkmoot_transport::TransportError;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{
    Activate, ClientFrame, DigestRows, GetCursors, GetGroup, GetMembers, GetProfile, Hello,
    History, Kind, MarkRead, Ping, Resume, UpdateProfile, UpdateSelf,
};
use folkmoot_wire::{Code, GroupId, RegionId, Slot, limits};
use prost::Message;

use super::client::{Client, error, hello, text};
use super::world::{EPOCH_MS, SECRET, World};
use crate::edge::{Grant, SigningKey, issue};

#[tokio::test(start_paused = true)]
async fn malformed_frames_end_the_session_and_say_so() {
    let world = World::new();
    for garbage in [&b"\xff\xff\xff\xff"[..], b"\x0a\xff", b"\x08"] {
        let mut ann = Client::connect(&world, "ann").await;
        ann.raw(Bytes::from_static(garbage)).await;
        assert_eq!(ann.closing().await, Code::MalformedFrame);
        let mut nobody = Client::silent(&world, true);
        nobody.raw(Bytes::from_static(garbage)).await;
        assert_eq!(nobody.closing().await, Code::MalformedFrame);
    }
}

#[tokio::test(start_paused = true)]
async fn truncated_and_oversized_frames_end_the_session_and_say_so() {
    let world = World::new();
    let cases = [
        (TransportError::Truncated, Code::MalformedFrame),
        (
            TransportError::FrameTooLarge {
                len: 1 << 30,
                max: limits::CLIENT_FRAME_MAX,
            },
            Code::FrameTooLarge,
        ),
    ];
    for (seen, code) in cases {
        let mut ann = Client::connect(&world, "ann").await;
        ann.end.tx.send(Err(seen.clone())).await.unwrap();
        assert_eq!(ann.closing().await, code);
        let mut nobody = Client::silent(&world, true);
        nobody.end.tx.send(Err(seen)).await.unwrap();
        assert_eq!(nobody.closing().await, code);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_request_is_told_and_the_session_goes_on() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    // Field 200, which no version of this protocol has, with length 1.
    let mut frame = ClientFrame {
        id: 77,
        request: None,
    }
    .encode_to_vec();
    frame.extend_from_slice(&[0xc2, 0x0c, 0x01, 0x00]);
    ann.raw(frame.into()).await;
    let (code, _) = error(ann.answer(77).await);
    assert_eq!(code, Code::UnknownRequest);
    assert!(matches!(
        ann.call(Request::Ping(Ping {})).await,
        Body::Pong(_)
    ));
    let (code, _) = error(ann.call(Request::Hello(hello("ann"))).await);
    assert_eq!(code, Code::Invalid);
}

#[tokio::test(start_paused = true)]
async fn the_first_frame_is_hello() {
    let world = World::new();
    let mut nobody = Client::silent(&world, true);
    nobody.ask(Request::Ping(Ping {})).await;
    assert_eq!(nobody.closing().await, Code::HelloExpected);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_id_or_with_one_in_use_cannot_be_answered() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let frame = |id| {
        let request = Some(Request::Ping(Ping {}));
        Bytes::from(ClientFrame { id, request }.encode_to_vec())
    };
    ann.raw(frame(0)).await;
    assert_eq!(ann.closing().await, Code::MalformedFrame);
    let mut bob = Client::connect(&world, "bob").await;
    let group = bob.create("tea", |_| {}).await;
    *world.latency.lock() = std::time::Duration::from_secs(1);
    let send = bob.entry(group, Kind::Message, text("slow"));
    let id = bob.ask(Request::Send(send)).await;
    bob.raw(frame(id)).await;
    assert_eq!(bob.closing().await, Code::DuplicateRequest);
}

#[tokio::test(start_paused = true)]
async fn tokens_and_versions_are_refused_each_with_its_code() {
    let world = World::new();
    let grant = Grant {
        subject: "ann",
        issuer: "app",
        audience: "folkmoot",
        expires_ms: EPOCH_MS + 3_600_000,
        not_before_ms: None,
        nick: None,
    };
    let sign = |grant: &Grant| issue(&SigningKey::Hs256(SECRET.to_vec()), "k", grant).unwrap();
    let with = |token: String| Hello {
        token,
        ..hello("ann")
    };
    let claims = sign(&grant).split('.').nth(1).unwrap().to_owned();
    let cases = [
        (with(String::new()), Code::TokenMissing),
        (with("a.b.c".into()), Code::TokenMalformed),
        // {"alg":"none"}
        (
            with(format!("eyJhbGciOiJub25lIn0.{claims}.")),
            Code::TokenSignature,
        ),
        (
            with(sign(&Grant {
                expires_ms: EPOCH_MS - 60_000,
                ..grant.clone()
            })),
            Code::TokenExpired,
        ),
        (
            with(sign(&Grant {
                audience: "elsewhere",
                ..grant.clone()
            })),
            Code::TokenAudience,
        ),
        (
            with(sign(&Grant {
                issuer: "stranger",
                ..grant.clone()
            })),
            Code::TokenIssuer,
        ),
        (
            Hello {
                version_min: 7,
                version_max: 9,
                ..hello("ann")
            },
            Code::UnsupportedVersion,
        ),
    ];
    for (hello, code) in cases {
        let mut nobody = Client::silent(&world, true);
        nobody.ask(Request::Hello(hello)).await;
        assert_eq!(nobody.closing().await, code);
    }
    assert_eq!(world.edge().stats().refused_tokens, 6);
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_with_its_token() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    // Heartbeats, so that the session is not idle.
    let closing = loop {
        ann.ask(Request::Ping(Ping {})).await;
        tokio::time::sleep(limits::HEARTBEAT).await;
        match ann.frame().await.unwrap().body.unwrap() {
            Body::Pong(_) => {}
            Body::Closing(closing) => break closing,
            other => panic!("strange: {other:?}"),
        }
    };
    assert_eq!(closing.code, Code::TokenExpired as u32);
}

#[tokio::test(start_paused = true)]
async fn text_that_is_not_utf8_and_content_over_the_limit() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let group = ann.create("tea", |_| {}).await;
    let bad_text = Bytes::from_static(b"\x0a\x02\xc3\x28");
    for kind in [
        Kind::Message,
        Kind::Action,
        Kind::Notice,
        Kind::Edit,
        Kind::Join,
        Kind::Rename,
    ] {
        let send = ann.entry(group, kind, bad_text.clone());
        let (code, _) = error(ann.call(Request::Send(send)).await);
        assert_eq!(code, Code::NotUtf8, "{kind:?}");
    }
    let not_content = ann.entry(group, Kind::Message, Bytes::from_static(b"\xff"));
    let (code, _) = error(ann.call(Request::Send(not_content)).await);
    assert_eq!(code, Code::Invalid);
    let large = ann.entry(group, Kind::Message, text(&"x".repeat(limits::BODY_MAX)));
    let (code, _) = error(ann.call(Request::Send(large)).await);
    assert_eq!(code, Code::TooLarge);
    let mut crowd = ann.entry(group, Kind::Message, text("all of you"));
    crowd.mentions = vec![ann.user(); limits::MENTIONS_MAX + 1];
    let (code, _) = error(ann.call(Request::Send(crowd)).await);
    assert_eq!(code, Code::TooLarge);
    for kind in [Kind::Unspecified, Kind::Create, Kind::Listed] {
        let send = ann.entry(group, kind, Bytes::new());
        let (code, _) = error(ann.call(Request::Send(send)).await);
        assert_eq!(code, Code::Invalid, "{kind:?}");
    }
    let mut short = ann.entry(group, Kind::Message, text("hi"));
    short.client_msg_id = Bytes::from_static(b"short");
    let (code, _) = error(ann.call(Request::Send(short)).await);
    assert_eq!(code, Code::Invalid);
    // Nothing of all this became an entry.
    assert_eq!(ann.say(group, "fine").await, 2);
}

/// Everything that names a group.
fn about(group: GroupId, client: &mut Client) -> Vec<Request> {
    let bytes = group.to_bytes();
    vec![
        Request::Send(client.entry(group, Kind::Message, text("hi"))),
        Request::History(History {
            group: bytes.clone(),
            ..History::default()
        }),
        Request::MarkRead(MarkRead {
            group: bytes.clone(),
            seq: 1,
        }),
        Request::GetCursors(GetCursors {
            group: bytes.clone(),
            users: vec![],
        }),
        Request::GetMembers(GetMembers {
            group: bytes.clone(),
            ..GetMembers::default()
        }),
        Request::GetGroup(GetGroup {
            group: bytes.clone(),
        }),
        Request::GetProfile(GetProfile {
            group: bytes.clone(),
        }),
        Request::DigestRows(DigestRows {
            group: bytes.clone(),
        }),
        Request::UpdateProfile(UpdateProfile {
            group: bytes.clone(),
            client_msg_id: client.new_id(),
            changes: vec![],
        }),
        Request::UpdateSelf(UpdateSelf {
            group: bytes.clone(),
            self_: Some(folkmoot_wire::proto::MemberSelf::default()),
        }),
        Request::Activate(Activate {
            groups: vec![Resume {
                group: bytes,
                ..Resume::default()
            }],
        }),
    ]
}

#[tokio::test(start_paused = true)]
async fn an_outsider_cannot_tell_a_group_from_none() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let mut eve = Client::connect(&world, "eve").await;
    let group = ann.create("closed", |c| c.open = false).await;
    ann.say(group, "secret").await;
    let nowhere = GroupId::new(RegionId(1), Slot(9), [9; 11]);
    let unplaced = GroupId::new(RegionId(99), Slot(9), [9; 11]);
    let mut answers = Vec::new();
    for asked in [group, nowhere, unplaced] {
        let mut of_one = Vec::new();
        for request in about(asked, &mut eve) {
            let body = match eve.call(request).await {
                Body::Activated(activated) => Body::Error(activated.error.unwrap()),
                body => body,
            };
            let (code, told) = error(body);
            assert_eq!(code, Code::NotFound);
            of_one.push(told);
        }
        answers.push(of_one);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
    assert!(
        world.wanted.lock().get(&group).is_none(),
        "an outsider made the node follow"
    );
}

#[tokio::test(start_paused = true)]
async fn the_same_id_again_and_with_another_content() {
    let world = World::new();
    let mut ann = Client::connect(&world, "ann").await;
    let group = ann.create("tea", |_| {}).await;
    let send = ann.entry(group, Kind::Message, text("once"));
    let first = ann.send(send.clone()).await;
    let again = ann.send(send.clone()).await;
    assert!(!first.duplicate && again.duplicate);
    assert_eq!(
        (first.seq, first.hlc, first.id),
        (again.seq, again.hlc, again.id)
    );
    let other = folkmoot_wire::proto::Send {
        body: text("twice"),
        ..send
    };
    let (code, _) = error(ann.call(Request::Send(other)).await);
    assert_eq!(code, Code::Conflict);
    assert_eq!(ann.say(group, "next").await, first.seq + 1);
}
