use openraft::EntryPayload;

use super::{Found, Tail};
use crate::types::{Entry, LogId};

fn id(term: u64, index: u64) -> LogId {
    LogId::new_term_index(term, index)
}

fn blanks(term: u64, indexes: std::ops::Range<u64>) -> Vec<Entry> {
    indexes
        .map(|index| Entry {
            log_id: id(term, index),
            payload: EntryPayload::Blank,
        })
        .collect()
}

#[test]
fn keeps_what_is_not_stored_whatever_its_size() {
    let mut tail = Tail::new(0, None, None, None);
    let first = tail.append(blanks(1, 0..3));
    let second = tail.append(blanks(1, 3..5));
    assert_eq!(tail.read(0, 9, 1000), Found::Entries(blanks(1, 0..5)));
    assert_eq!(
        (tail.awaits(2), tail.awaits(3)),
        (Some(first), Some(second))
    );
    tail.stored(first);
    assert_eq!((tail.awaits(2), tail.awaits(3)), (None, Some(second)));
    assert_eq!(tail.read(0, 9, 1000), Found::InStore(3));
    assert_eq!(tail.read(3, 9, 1000), Found::Entries(blanks(1, 3..5)));
    tail.stored(second);
    assert_eq!(tail.read(3, 9, 1000), Found::InStore(5));
    assert_eq!(tail.read(5, 9, 1000), Found::Nothing);
}

#[test]
fn never_reads_behind_a_truncated_end() {
    let mut tail = Tail::new(0, Some(id(1, 9)), None, None);
    tail.truncate(Some(id(1, 4)));
    assert_eq!(tail.read(3, 20, 1000), Found::InStore(5));
    assert_eq!(tail.read(5, 20, 1000), Found::Nothing);
    tail.append(blanks(2, 5..6));
    assert_eq!(tail.read(5, 20, 1000), Found::Entries(blanks(2, 5..6)));
    assert_eq!(tail.read(2, 20, 1000), Found::InStore(5));
}

#[test]
fn a_read_is_bounded_and_never_empty() {
    let mut tail = Tail::new(1 << 20, None, None, None);
    tail.append(blanks(1, 0..100));
    assert_eq!(tail.read(0, 100, 0), Found::Entries(blanks(1, 0..1)));
    assert_eq!(tail.read(0, 100, 30), Found::Entries(blanks(1, 0..2)));
    assert_eq!(tail.read(10, 12, 1000), Found::Entries(blanks(1, 10..12)));
}

#[test]
fn purging_moves_both_ends() {
    let mut tail = Tail::new(1 << 20, None, None, None);
    tail.append(blanks(1, 0..10));
    assert_eq!(tail.purge(id(1, 3)), 0);
    assert_eq!(tail.purge(id(1, 5)), 4);
    assert_eq!(tail.read(5, 99, 1000), Found::Nothing);
    assert_eq!(tail.read(6, 99, 1000), Found::Entries(blanks(1, 6..10)));
    // A snapshot can be ahead of the log.
    assert_eq!(tail.purge(id(2, 40)), 6);
    assert_eq!(tail.last(), Some(id(2, 40)));
    assert_eq!(tail.purged(), Some(id(2, 40)));
    assert_eq!(tail.read(40, 99, 1000), Found::Nothing);
}

#[test]
fn the_commit_mark_rises_and_stays_within_the_log() {
    let mut tail = Tail::new(0, Some(id(1, 4)), None, Some(id(1, 9)));
    assert_eq!(tail.committed(), None);
    tail.set_committed(Some(id(1, 8)));
    assert_eq!(tail.take_committed(), None);
    tail.append(blanks(1, 5..12));
    assert_eq!(tail.committed(), Some(id(1, 9)));
    tail.set_committed(Some(id(1, 10)));
    assert_eq!(tail.take_committed(), Some(id(1, 10)));
    assert_eq!(tail.take_committed(), None);
}
