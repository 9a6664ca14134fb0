use bytes::Bytes;
use folkmoot_wire::entry::seal;
use folkmoot_wire::proto::EntryHeader;

use super::*;

const BASE: u64 = 7;
const START: Chain = [9; 32];

/// Entries behind the base, said at their seqs in milliseconds.
fn log(texts: &[&'static str]) -> Vec<SealedEntry> {
    let mut chain = START;
    let mut entries = Vec::new();
    for (seq, text) in (BASE + 1..).zip(texts) {
        let header = EntryHeader {
            seq,
            hlc: Hlc::from_parts(seq, 0).as_u64(),
            ..EntryHeader::default()
        };
        let salt = Bytes::from_static(&[3; 16]);
        let entry = seal(&chain, &header, salt, Bytes::from_static(text.as_bytes()));
        chain = chain_from(&entry.chain).expect("a chain");
        entries.push(entry);
    }
    entries
}

#[test]
fn all_who_see_one_log_agree() {
    let log = log(&["a", "b", "c", "d"]);
    let mut order = Order::new(BASE, START);
    let batch = order.take(&log[..3]).expect("the log");
    assert_eq!((batch.from, batch.to()), (8, 10));
    assert_eq!(batch.sequenced[..], [8, 9, 10]);
    let batch = order.take(&log[1..]).expect("the log, of another");
    assert_eq!((batch.from, batch.to()), (9, 11));
    assert_eq!(
        order.chain(11).map(|chain| &chain[..]),
        Some(&log[3].chain[..])
    );
    assert_eq!(order.chain(BASE), Some(&START));
    assert_eq!(order.chain(12), None);
}

#[test]
fn another_log_is_noticed() {
    let (one, other) = (log(&["a", "b", "c"]), log(&["a", "x", "c"]));
    let mut order = Order::new(BASE, START);
    order.take(&one).expect("the log");
    assert!(order.take(&other[..1]).is_ok(), "so far it is the same");
    let error = order.take(&other).expect_err("another entry");
    assert!(error.to_string().contains("two orders"), "{error}");
}

#[test]
fn what_does_not_follow_is_noticed() {
    let (one, other) = (log(&["a", "b"]), log(&["x", "b"]));
    let mut order = Order::new(BASE, START);
    order.take(&one[..1]).expect("the first");
    assert!(order.take(&other[1..]).is_err(), "a chain from elsewhere");
    assert!(order.take(&[one[1].clone(), one[0].clone()]).is_err());
    assert!(order.take(&[]).is_err());
}
