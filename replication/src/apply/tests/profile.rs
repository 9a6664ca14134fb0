//! The profile: changes are entries, the document is a row.

use bytes::Bytes;
use folkmoot_crdt::profile::Profile;
use folkmoot_wire::proto::{Append, Cipher, Kind, ProfileBody, row};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{Code, limits};
use prost::Message;

use crate::testing::{Got, Home, check_laws, group, user};

fn document(home: &Home) -> Profile {
    match home.row(group(1), RowKey::Profile) {
        Some(row::Value::Profile(bytes)) => {
            Profile::load(&bytes, limits::PROFILE_MAX).expect("loads")
        }
        other => panic!("not a profile: {other:?}"),
    }
}

fn change(home: &Home, actor: &[u8], name: &str) -> ProfileBody {
    let changes = document(home)
        .edit(actor, |editor| editor.set_name(name))
        .expect("edits");
    ProfileBody {
        changes: changes.into_iter().map(Bytes::from).collect(),
    }
}

#[test]
fn admins_change_the_profile_and_the_same_change_counts_once() {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[user(2)]);
    let body = change(&home, b"a", "coffee");
    let by_member = home.act(group(1), Kind::Profile, user(2), user(2), &body);
    assert_eq!(by_member, Got::No(Code::Forbidden));
    let sealed = Append {
        cipher: Cipher::Mls as i32,
        body: body.encode_to_vec().into(),
        ..home.fresh(user(1), Kind::Profile)
    };
    assert_eq!(home.one(group(1), sealed), Got::No(Code::Invalid));
    assert_eq!(
        home.act(group(1), Kind::Profile, user(1), user(1), &body),
        Got::Seq(3)
    );
    assert_eq!(
        home.act(group(1), Kind::Profile, user(1), user(1), &body),
        Got::Done
    );
    assert_eq!(document(&home).name(), "coffee");
    check_laws(&*home.store);
}

#[test]
fn what_is_no_change_is_refused() {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[]);
    let before = home.head(group(1));
    for junk in [&b""[..], b"junk", &[0xff; 100]] {
        let body = ProfileBody {
            changes: vec![Bytes::copy_from_slice(junk)],
        };
        let answer = home.act(group(1), Kind::Profile, user(1), user(1), &body);
        assert_eq!(answer, Got::No(Code::Invalid));
    }
    assert_eq!(home.head(group(1)).chain, before.chain);
}
