use bytes::Bytes;
use folkmoot_client::{Entry, GroupId, UserId};
use folkmoot_wire::proto::{EntryHeader, Kind};
use folkmoot_wire::{RegionId, Slot};

use super::{Reading, begins, follows};

fn user(number: u8) -> UserId {
    UserId::new(RegionId(1), Slot(0), [number; 11])
}

fn header(seq: u64, kind: Kind, sender: UserId, subject: Option<UserId>) -> EntryHeader {
    EntryHeader {
        seq,
        kind: kind as i32,
        sender: sender.to_bytes(),
        subject: subject.map_or_else(Bytes::new, |user| user.to_bytes()),
        ..EntryHeader::default()
    }
}

fn entry(seq: u64, follows: bool) -> Entry {
    Entry {
        group: GroupId::new(RegionId(1), Slot(0), [9; 11]),
        header: header(seq, Kind::Message, user(2), None),
        body: Bytes::new(),
        chain: [seq as u8; 32],
        erased: false,
        follows,
    }
}

/// The reader is put out and let in again twice before the slow one has read
/// the first return: both gaps are what the log says they are.
#[test]
fn gaps_are_those_that_end_with_a_return() {
    let log = [
        header(1, Kind::Create, user(2), None),
        header(2, Kind::Join, user(1), None),
        header(3, Kind::Leave, user(2), Some(user(1))),
        header(4, Kind::Message, user(2), None),
        header(5, Kind::Join, user(2), Some(user(1))),
        header(6, Kind::Join, user(3), None),
    ];
    let may = |seq, hides| begins(&log, hides, Some(&user(1)), seq);
    assert_eq!(
        (1..=7).filter(|&seq| may(seq, true)).collect::<Vec<_>>(),
        [1, 2, 5]
    );
    assert_eq!(
        (1..=7).filter(|&seq| may(seq, false)).collect::<Vec<_>>(),
        [1]
    );
    assert!(!begins(&log, true, None, 2), "nobody knows who that is");
}

#[test]
fn what_does_not_follow_is_wrong_or_a_jump() {
    let mut reading = Reading::default();
    let mut read = |seq, goes_on, fresh| follows(&mut reading, &entry(seq, goes_on), fresh);
    assert_eq!(read(2, false, true), Ok(()), "looked at in the end");
    assert_eq!(read(3, true, false), Ok(()));
    assert_eq!(read(3, true, true), Ok(()), "given once more");
    assert_eq!(read(4, true, false), Ok(()));
    assert!(read(4, true, false).is_err(), "twice in one stream");
    assert!(read(3, true, false).is_err(), "backwards");
    assert!(
        read(6, true, false).is_err(),
        "a gap that nobody was told of"
    );
    assert_eq!(read(9, false, false), Ok(()), "told of");
    assert_eq!(read(12, false, true), Ok(()));
    assert_eq!(reading.jumps, [2, 9, 12]);
    let mut other = entry(3, true);
    other.chain = [0; 32];
    assert!(
        follows(&mut reading, &other, true).is_err(),
        "another history"
    );
}
