use bytes::Bytes;
use openraft::EntryPayload;
use openraft::raft::AppendEntriesRequest;

use super::{decode_append, decode_part, encode_append, encode_part};
use crate::types::{Command, Entry, LogId, SnapshotMeta, Types, Vote};
use crate::wire::PartHeader;

fn request() -> AppendEntriesRequest<Types> {
    let entry = |index, payload| Entry {
        log_id: LogId::new_term_index(4, index),
        payload,
    };
    let command = Command {
        proposer: 2,
        data: Bytes::from_static(b"one"),
    };
    AppendEntriesRequest {
        vote: Vote::new_committed(4, 2),
        prev_log_id: Some(LogId::new_term_index(3, 9)),
        leader_commit: Some(LogId::new_term_index(3, 8)),
        entries: vec![
            entry(10, EntryPayload::Blank),
            entry(11, EntryPayload::Normal(command)),
        ],
    }
}

#[test]
fn appends_come_back() {
    let mut request = request();
    for entries in [request.entries.clone(), Vec::new()] {
        request.entries = entries;
        let read = decode_append(encode_append(&request).unwrap()).unwrap();
        assert_eq!(read.vote, request.vote);
        assert_eq!(read.prev_log_id, request.prev_log_id);
        assert_eq!(read.leader_commit, request.leader_commit);
        assert_eq!(read.entries, request.entries);
    }
}

#[test]
fn cut_or_reordered_appends_are_errors() {
    let whole = encode_append(&request()).unwrap();
    let ends = [12 + 14, 12 + 14 + 3].map(|len| whole.len() - len);
    for cut in 0..whole.len() {
        // After the header or an entry a shorter message is a whole one.
        if !ends.contains(&cut) && cut != whole.len() - (12 + 14 + 12 + 14 + 3) {
            assert!(
                decode_append(whole.slice(..cut)).is_err() || ends.contains(&cut),
                "{cut}"
            );
        }
    }
    let mut request = request();
    request.entries.swap(0, 1);
    assert!(decode_append(encode_append(&request).unwrap()).is_err());
}

#[test]
fn parts_come_back() {
    let header = PartHeader {
        vote: Vote::new_committed(4, 2),
        transfer: 7,
        number: 3,
        last: true,
        meta: SnapshotMeta::default(),
        ranges: vec![(1, Bytes::from_static(b"a"), Bytes::from_static(b"b"))],
    };
    let bytes = encode_part(&header, b"page").unwrap();
    let (read, page) = decode_part(bytes.clone()).unwrap();
    assert_eq!((read.transfer, read.number, read.last), (7, 3, true));
    assert_eq!(read.ranges, header.ranges);
    assert_eq!(page, Bytes::from_static(b"page"));
    assert!(decode_part(bytes.slice(..6)).is_err());
}
