//! The vectors that the TypeScript client is tested with, from the very same
//! file: ids and a log, so that both sides read and prove alike.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use bytes::Bytes;
use folkmoot_wire::entry::{chain_from, genesis, seal};
use folkmoot_wire::proto::SealedEntry;
use folkmoot_wire::{ClientMsgId, GroupId, MessageId, UserId};
use serde_json::Value;

fn vectors() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../client-sdk/web/test/vectors.json"
    );
    let text = std::fs::read_to_string(path).expect("the vectors");
    serde_json::from_str(&text).expect("JSON")
}

fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of[key].as_str().expect("a text")
}

fn bytes(of: &Value, key: &str) -> Bytes {
    hex::decode(text(of, key)).expect("hex").into()
}

fn agrees<T>(of: &Value, read: impl Fn(&[u8]) -> T)
where
    T: Display + FromStr + PartialEq + Debug,
    T::Err: Debug,
{
    let id = read(&bytes(of, "bytes"));
    assert_eq!(id.to_string(), text(of, "text"));
    assert_eq!(text(of, "text").parse::<T>().expect("an id"), id);
}

#[test]
fn ids_have_these_texts() {
    let vectors = vectors();
    let ids = vectors["ids"].as_array().expect("ids");
    assert!(ids.len() >= 15);
    for id in ids {
        match text(id, "kind") {
            "user" => agrees(id, |bytes| UserId::from_slice(bytes).expect("an id")),
            "group" => agrees(id, |bytes| GroupId::from_slice(bytes).expect("an id")),
            "message" => agrees(id, |bytes| MessageId::from_slice(bytes).expect("an id")),
            "client_msg" => agrees(id, |bytes| ClientMsgId::from_slice(bytes).expect("an id")),
            other => panic!("{other} is no kind of id"),
        }
    }
}

#[test]
fn the_log_is_proved_by_its_chain() {
    let vectors = vectors();
    let log = &vectors["log"];
    let cluster: [u8; 16] = bytes(log, "cluster")[..].try_into().expect("16 bytes");
    let group: GroupId = text(log, "group").parse().expect("an id");
    let mut chain = genesis(&cluster, &group);
    assert_eq!(hex::encode(chain), text(log, "genesis"));
    let entries = log["entries"].as_array().expect("entries");
    assert!(entries.len() >= 3);
    for (entry, seq) in entries.iter().zip(1..) {
        let held = SealedEntry {
            header: bytes(entry, "header"),
            salt: bytes(entry, "salt"),
            body: bytes(entry, "body"),
            body_hash: bytes(entry, "bodyHash"),
            chain: bytes(entry, "chain"),
        };
        let (header, next) = held.verify(&chain, seq).expect("it follows");
        if !held.is_erased() {
            // Not only read alike, but made alike.
            let (salt, body) = (held.salt.clone(), held.body.clone());
            assert_eq!(seal(&chain, &header, salt, body), held);
        }
        chain = next;
        assert_eq!(chain_from(&held.chain), Ok(chain));
    }
    let erased = |entry: &&Value| !text(entry, "bodyHash").is_empty();
    assert!(entries.iter().any(|entry| erased(&entry)));
}
