use bytes::{Bytes, BytesMut};
use proptest::prelude::{any, proptest};
use proptest::strategy::Strategy;
use prost::Message;

use super::{MESSAGES, entries, frames, ids, messages, rows};
use crate::proto::row::Value;
use crate::proto::{
    ClientFrame, CursorValue, EntryHeader, FollowPush, GroupPush, MemberAuthority, MemberValue,
    Row, Send, ServerFrame, client_frame,
};
use crate::row::RowKey;
use crate::{GroupId, RegionId, Slot, UserId, entry, frame};

fn noise() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..300)
}

fn samples() -> Vec<Vec<u8>> {
    let user = UserId::new(RegionId(1), Slot(2), [3; 11]);
    let header = EntryHeader {
        seq: 5,
        nick: "ann".into(),
        mentions: vec![user.to_bytes()],
        ..Default::default()
    };
    let sealed = entry::seal(&[1; 32], &header, vec![2; 16].into(), "hello".into());
    let row = |key: RowKey, value| Row {
        key: key.to_bytes(),
        value: Some(value),
    };
    let cursor = row(
        RowKey::Cursor(user),
        Value::Cursor(CursorValue {
            seq: 7,
            count: 6,
            at_all: 1,
        }),
    );
    let member = row(
        RowKey::Member(user),
        Value::Member(MemberValue {
            authority: Some(MemberAuthority {
                seq: 3,
                status: 1,
                role: 2,
                ..Default::default()
            }),
            self_: None,
        }),
    );
    let push = FollowPush {
        shard: 1,
        groups: vec![GroupPush {
            group: user.self_group().to_bytes(),
            entries: vec![sealed.clone(), sealed.erased()],
            rows: vec![cursor.clone(), member.clone()],
            ..Default::default()
        }],
        ..Default::default()
    };
    let send = ClientFrame {
        id: 9,
        request: Some(client_frame::Request::Send(Send {
            body: "hi".into(),
            ..Default::default()
        })),
    };
    let mut stream = BytesMut::from(&[7][..]);
    for len in [0, 3, 64, 10] {
        frame::put(&vec![len as u8; len], &mut stream);
    }
    let two = |a: &Row, b: &Row| {
        let (a, b) = (a.encode_to_vec(), b.encode_to_vec());
        [&[a.len() as u8], &a[..], &b[..]].concat()
    };
    vec![
        sealed.encode_to_vec(),
        sealed.erased().encode_to_vec(),
        push.encode_to_vec(),
        send.encode_to_vec(),
        two(&cursor, &cursor),
        two(&member, &member),
        two(&member, &cursor),
        stream.to_vec(),
        user.as_bytes().to_vec(),
        user.to_string().into_bytes(),
        GroupId::direct(&user, &user).to_string().into_bytes(),
    ]
}

/// Honest bytes with a few of them changed: these get further than noise.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    (
        proptest::sample::select(samples()),
        proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        proptest::option::of(any::<proptest::sample::Index>()),
    )
        .prop_map(|(mut bytes, changes, cut)| {
            for (at, with) in changes {
                let at = at.index(bytes.len());
                bytes[at] = with;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len() + 1));
            }
            bytes
        })
}

fn all(bytes: &[u8]) {
    frames(bytes);
    entries(bytes);
    rows(bytes);
    messages(bytes);
    ids(bytes);
}

proptest! {
    #[test]
    fn noise_is_refused_or_read_faithfully(bytes in noise()) {
        all(&bytes);
    }

    #[test]
    fn damaged_messages_are_refused_or_read_faithfully(bytes in damaged()) {
        all(&bytes);
    }
}

#[test]
fn honest_bytes_reach_what_the_targets_check() {
    for bytes in samples() {
        all(&bytes);
    }
    assert!(crate::proto::SealedEntry::decode(&samples()[0][..]).is_ok());
    assert!(FollowPush::decode(&samples()[2][..]).is_ok());
}

#[test]
fn every_message_of_the_schema_is_in_the_list() {
    let schema: usize = [
        include_str!("../../proto/folkmoot/v1/entry.proto"),
        include_str!("../../proto/folkmoot/v1/command.proto"),
        include_str!("../../proto/folkmoot/v1/client.proto"),
        include_str!("../../proto/folkmoot/v1/node.proto"),
        include_str!("../../proto/folkmoot/v1/meta.proto"),
        include_str!("../../proto/folkmoot/v1/presence.proto"),
        include_str!("../../proto/folkmoot/v1/stored.proto"),
    ]
    .iter()
    .map(|file| file.lines().filter(|l| l.starts_with("message ")).count())
    .sum();
    assert_eq!(MESSAGES.len(), schema);
    assert!(MESSAGES.contains(&"SealedEntry") && MESSAGES.contains(&"NodeRequest"));
}

#[test]
fn deep_or_endless_messages_are_refused() {
    // A length that promises more than there is takes no memory.
    let promise = [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f];
    assert!(ServerFrame::decode(Bytes::copy_from_slice(&promise)).is_err());
    // Groups nested without end (wire type 3) of an unknown field.
    let nested = vec![0xfb; 100_000];
    assert!(ServerFrame::decode(&nested[..]).is_err());
    messages(&nested);
}
