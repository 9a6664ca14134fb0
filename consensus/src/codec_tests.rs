use bytes::Bytes;
use openraft::EntryPayload;

use super::{decode_entry, decode_record, encode_entry, encode_record};
use crate::types::{Command, Entry, LogId, Membership, Vote};

fn entry(payload: crate::types::Payload) -> Entry {
    Entry {
        log_id: LogId::new_term_index(7, 42),
        payload,
    }
}

#[test]
fn entries_come_back() {
    let membership = Membership::new_with_defaults(vec![[1, 2, 3].into()], [4]);
    for payload in [
        EntryPayload::Blank,
        EntryPayload::Normal(Command {
            proposer: 9,
            data: Bytes::from_static(b"payload"),
        }),
        EntryPayload::Normal(Command {
            proposer: 0,
            data: Bytes::new(),
        }),
        EntryPayload::Membership(membership),
    ] {
        let entry = entry(payload);
        let bytes = encode_entry(&entry).unwrap();
        assert_eq!(decode_entry(42, bytes).unwrap(), entry);
    }
}

#[test]
fn a_decoded_payload_shares_memory() {
    let bytes = encode_entry(&entry(EntryPayload::Normal(Command {
        proposer: 1,
        data: Bytes::from(vec![5; 100]),
    })))
    .unwrap();
    let within = bytes.as_ptr_range();
    let EntryPayload::Normal(command) = decode_entry(42, bytes).unwrap().payload else {
        panic!("a command was encoded");
    };
    assert!(within.contains(&command.data.as_ptr()));
}

#[test]
fn damaged_bytes_are_errors() {
    let good = encode_entry(&entry(EntryPayload::Blank)).unwrap();
    for cut in 0..good.len() {
        assert!(decode_entry(42, good.slice(..cut)).is_err());
    }
    let mut wrong = good.to_vec();
    wrong[0] = 9;
    assert!(decode_entry(42, wrong.clone().into()).is_err());
    wrong[0] = 1;
    wrong[1] = 9;
    assert!(decode_entry(42, wrong.into()).is_err());
}

#[test]
fn records_carry_a_version() {
    let vote = Vote::new_committed(3, 2);
    let bytes = encode_record(&vote).unwrap();
    assert_eq!(decode_record::<Vote>("vote", &bytes).unwrap(), vote);
    assert!(decode_record::<Vote>("vote", &[]).is_err());
    assert!(decode_record::<Vote>("vote", &[2, 0]).is_err());
    assert!(decode_record::<Vote>("vote", &bytes[..1]).is_err());
}
