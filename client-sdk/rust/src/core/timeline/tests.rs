mod any_order;

use bytes::Bytes;
use folkmoot_wire::entry::{Chain, genesis, seal};
use folkmoot_wire::proto::{
    Activated, Covers, Deliver, EntryHeader, Floor, Head, Kind, LogSlice, SealedEntry,
};
use folkmoot_wire::{GroupId, RegionId, Slot};

use super::{Entry, Fetch, Note, Output, Point, Start, Timeline};

const CLUSTER: [u8; 16] = [3; 16];

fn group() -> GroupId {
    GroupId::new(RegionId(1), Slot(2), [4; 11])
}

/// A log of its own, told from others by `salt`.
struct Log {
    entries: Vec<SealedEntry>,
}

impl Log {
    fn new(len: u64, salt: u8) -> Self {
        Self::behind(genesis(&CLUSTER, &group()), len, salt)
    }

    /// A log that begins with another chain: no entry of it follows from any
    /// of the true one.
    fn forged(len: u64) -> Self {
        Self::behind([9; 32], len, 0)
    }

    fn behind(mut chain: Chain, len: u64, salt: u8) -> Self {
        let entries = (1..=len).map(|seq| {
            let header = EntryHeader {
                seq,
                kind: Kind::Message as i32,
                ..EntryHeader::default()
            };
            let body = Bytes::from(vec![seq as u8; 3]);
            let sealed = seal(&chain, &header, Bytes::from(vec![salt; 16]), body);
            chain = sealed.chain[..].try_into().expect("32 bytes");
            sealed
        });
        Self {
            entries: entries.collect(),
        }
    }

    fn chain(&self, seq: u64) -> Bytes {
        match seq {
            0 => Bytes::copy_from_slice(&genesis(&CLUSTER, &group())),
            seq => self.entries[seq as usize - 1].chain.clone(),
        }
    }

    fn range(&self, from: u64, to: u64) -> Vec<SealedEntry> {
        self.entries[from as usize - 1..to as usize].to_vec()
    }

    fn head(&self, seq: u64) -> Head {
        Head {
            seq,
            chain: self.chain(seq),
            ..Head::default()
        }
    }

    fn deliver(&self, from: u64, to: u64) -> Deliver {
        Deliver {
            group: group().to_bytes(),
            covers: Some(Covers { from, to }),
            entries: self.range(from, to),
        }
    }

    fn page(&self, fetch: Fetch, head: u64) -> LogSlice {
        let to = head.min(fetch.after + u64::from(fetch.limit));
        LogSlice {
            group: group().to_bytes(),
            covers: Some(Covers {
                from: fetch.after + 1,
                to,
            }),
            chain_before: self.chain(fetch.after),
            entries: self.range(fetch.after + 1, to.max(fetch.after)),
            head: Some(self.head(head)),
            gone: false,
        }
    }

    fn activated(&self, head: u64, resumed: bool) -> Activated {
        Activated {
            group: group().to_bytes(),
            head: Some(self.head(head)),
            resumed,
            live_from: head,
            ..Activated::default()
        }
    }
}

fn seqs(output: &Output) -> Vec<u64> {
    output.entries.iter().map(Entry::seq).collect()
}

fn at(log: &Log, head: u64, start: Start) -> Timeline {
    let mut timeline = Timeline::new(group(), start);
    timeline.resume();
    timeline.activated(&log.activated(head, false), &CLUSTER);
    timeline.grant(1_000);
    timeline
}

#[test]
fn history_meets_live() {
    let log = Log::new(9, 0);
    let mut timeline = at(&log, 5, Start::Beginning);
    let fetch = timeline.fetch().expect("five are missing");
    assert_eq!(fetch.after, 0);
    assert!(timeline.fetch().is_none(), "one fetch at a time");
    assert!(timeline.deliver(log.deliver(6, 7)).entries.is_empty());
    assert!(timeline.deliver(log.deliver(8, 8)).entries.is_empty());
    let (output, moved) = timeline.fetched(&log.page(fetch, 5));
    assert_eq!(seqs(&output), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(moved && timeline.fetch().is_none());
    assert!(!output.entries[0].follows && output.entries[1].follows);
    assert_eq!(seqs(&timeline.deliver(log.deliver(7, 9))), [9]);
}

#[test]
fn a_gap_is_fetched() {
    let log = Log::new(9, 0);
    let mut timeline = at(&log, 3, Start::Recent(0));
    assert!(timeline.fetch().is_none());
    assert_eq!(seqs(&timeline.deliver(log.deliver(4, 4))), [4]);
    timeline.gap(&log.head(9));
    let fetch = timeline.fetch().expect("there is a gap");
    assert_eq!(fetch.after, 4);
    assert_eq!(
        seqs(&timeline.fetched(&log.page(fetch, 9)).0),
        [5, 6, 7, 8, 9]
    );
}

#[test]
fn recent_entries_only() {
    let log = Log::new(9, 0);
    let mut timeline = at(&log, 9, Start::Recent(2));
    let fetch = timeline.fetch().expect("two are missing");
    let output = timeline.fetched(&log.page(fetch, 9)).0;
    assert_eq!(seqs(&output), [8, 9]);
    assert!(!output.entries[0].follows);
}

#[test]
fn a_slow_reader_is_not_buffered_for() {
    let log = Log::new(9, 0);
    let mut timeline = Timeline::new(group(), Start::Beginning);
    timeline.activated(&log.activated(0, false), &CLUSTER);
    timeline.grant(2);
    assert_eq!(seqs(&timeline.deliver(log.deliver(1, 4))), [1, 2]);
    assert!(timeline.deliver(log.deliver(5, 9)).entries.is_empty());
    assert!(timeline.fetch().is_none(), "the reader asks for nothing");
    timeline.grant(3);
    let fetch = timeline.fetch().expect("the reader asks");
    assert_eq!((fetch.after, fetch.limit), (2, 3));
    assert_eq!(seqs(&timeline.fetched(&log.page(fetch, 9)).0), [3, 4, 5]);
}

#[test]
fn a_forged_entry_is_not_given_out() {
    let (log, forged) = (Log::new(5, 0), Log::new(5, 1));
    let mut timeline = at(&log, 2, Start::Recent(0));
    assert!(timeline.deliver(forged.deliver(3, 4)).entries.is_empty());
    let fetch = timeline.fetch().expect("it asks for the true ones");
    assert_eq!(seqs(&timeline.fetched(&log.page(fetch, 4)).0), [3, 4]);
}

#[test]
fn a_history_that_does_not_follow_is_checked_and_read_anew() {
    let (mine, other) = (Log::new(4, 0), Log::new(6, 1));
    let mut timeline = at(&mine, 4, Start::Recent(0));
    timeline.gap(&other.head(6));
    let mut notes = Vec::new();
    for _ in 0..3 {
        let fetch = timeline.fetch().expect("still missing");
        let (output, moved) = timeline.fetched(&other.page(fetch, 6));
        assert!(output.entries.is_empty() && !moved);
        notes.extend(output.notes);
    }
    assert_eq!(notes, [Note::Suspect]);
    assert_eq!(timeline.resume().seq, 4);
    let output = timeline.activated(&other.activated(6, false), &CLUSTER);
    assert_eq!(output.notes, [Note::Reset]);
    let fetch = timeline.fetch().expect("from the start");
    let output = timeline.fetched(&other.page(fetch, 6)).0;
    assert_eq!(seqs(&output), [1, 2, 3, 4, 5, 6]);
    assert!(!output.entries[0].follows);
}

#[test]
fn what_is_below_the_floor_is_told_and_passed() {
    let log = Log::new(9, 0);
    let mut timeline = at(&log, 9, Start::Beginning);
    let fetch = timeline.fetch().expect("all are missing");
    let mut head = log.head(9);
    head.floor = Some(Floor {
        seq: 6,
        count: 0,
        chain: log.chain(6),
    });
    let page = LogSlice {
        head: Some(head),
        gone: true,
        ..LogSlice::default()
    };
    let (output, moved) = timeline.fetched(&page);
    assert!(moved && fetch.after == 0);
    assert_eq!(output.notes, [Note::Gone { after: 0, to: 6 }]);
    let fetch = timeline.fetch().expect("the rest");
    assert_eq!(seqs(&timeline.fetched(&log.page(fetch, 9)).0), [7, 8, 9]);
}

#[test]
fn a_member_since_seq_5_reads_from_there() {
    let log = Log::new(9, 0);
    let mut timeline = Timeline::new(group(), Start::Beginning);
    timeline.grant(100);
    timeline.resume();
    let mut answer = log.activated(7, false);
    answer.visible_from = 5;
    timeline.activated(&answer, &CLUSTER);
    let fetch = timeline.fetch().expect("5 to 7");
    assert_eq!(fetch.after, 4);
    assert_eq!(seqs(&timeline.fetched(&log.page(fetch, 7)).0), [5, 6, 7]);
}

#[test]
fn a_new_reader_gets_what_the_old_one_left() {
    let log = Log::new(9, 0);
    let mut timeline = at(&log, 0, Start::Beginning);
    assert_eq!(timeline.deliver(log.deliver(1, 6)).entries.len(), 6);
    let taken = Point {
        seq: 4,
        chain: Some(log.chain(4)[..].try_into().expect("32 bytes")),
    };
    timeline.rewind(Some(taken));
    assert!(timeline.fetch().is_none(), "no credit yet");
    timeline.grant(10);
    let fetch = timeline.fetch().expect("5 and 6");
    assert_eq!(seqs(&timeline.fetched(&log.page(fetch, 6)).0), [5, 6]);
    timeline.rewind(None);
    timeline.grant(10);
    assert_eq!(timeline.fetch().expect("again").after, 4);
}
