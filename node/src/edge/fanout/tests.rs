//! The pure parts: windows, cuts, frames.

use std::time::Duration;

use bytes::Bytes;
use folkmoot_wire::proto::{
    Covers, CursorValue, Deliver, EntryHeader, Head, Kind, MemberAuthority, MemberStatus,
    MemberValue, Row, SealedEntry, ServerFrame, Tombstone, row, server_frame,
};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{Code, GroupId, RegionId, Slot, UserId, limits};
use prost::Message;
use tokio::time::Instant;

use super::cuts::Cuts;
use super::encode::{deliveries, public_rows};
use super::window::{Gathered, Window, WindowOptions};

fn user(n: u8) -> UserId {
    UserId::new(RegionId(1), Slot(1), [n; 11])
}

fn entry(seq: u64, kind: Kind, subject: Bytes, size: usize) -> (u64, SealedEntry) {
    let header = EntryHeader {
        seq,
        kind: kind as i32,
        subject,
        ..EntryHeader::default()
    };
    let entry = SealedEntry {
        header: header.encode_to_vec().into(),
        body: vec![0; size].into(),
        ..SealedEntry::default()
    };
    (seq, entry)
}

fn messages(from: u64, to: u64, size: usize) -> Vec<(u64, SealedEntry)> {
    let message = |seq| entry(seq, Kind::Message, Bytes::new(), size);
    (from..=to).map(message).collect()
}

fn member(n: u8, seq: u64, status: MemberStatus, visible_from: u64) -> Row {
    let authority = MemberAuthority {
        seq,
        status: status as i32,
        visible_from,
        ..MemberAuthority::default()
    };
    Row {
        key: RowKey::Member(user(n)).to_bytes(),
        value: Some(row::Value::Member(MemberValue {
            authority: Some(authority),
            self_: None,
        })),
    }
}

fn read(frames: &[Bytes]) -> Vec<Deliver> {
    let deliver = |frame: &Bytes| {
        assert!(frame.len() <= limits::CLIENT_FRAME_MAX);
        match ServerFrame::decode(frame.clone()).unwrap().body {
            Some(server_frame::Body::Deliver(deliver)) => deliver,
            other => panic!("no delivery: {other:?}"),
        }
    };
    frames.iter().map(deliver).collect()
}

#[test]
fn large_news_are_split_into_frames_without_a_hole() {
    let group = GroupId::new(RegionId(1), Slot(1), [1; 11]);
    let mut news = Gathered::default();
    news.add(
        &messages(10, 40, limits::BODY_MAX),
        &[],
        &Head::default(),
        false,
    );
    let frames = deliveries(&group, &news, 10, 40, 0);
    assert!(frames.len() > 5);
    let (mut next, mut count) = (10, 0);
    for deliver in read(&frames) {
        let covers = deliver.covers.unwrap();
        assert_eq!(covers.from, next);
        next = covers.to + 1;
        count += deliver.entries.len();
    }
    assert_eq!((next, count), (41, 31));
}

#[test]
fn what_may_not_be_seen_is_covered_and_left_out() {
    let group = GroupId::new(RegionId(1), Slot(1), [1; 11]);
    let mut news = Gathered::default();
    news.add(&messages(1, 6, 10), &[], &Head::default(), false);
    let frames = deliveries(&group, &news, 2, 5, 4);
    let deliver = read(&frames).pop().unwrap();
    assert_eq!(deliver.covers, Some(Covers { from: 2, to: 5 }));
    let seqs: Vec<_> = deliver
        .entries
        .iter()
        .map(|e| e.decode_header().unwrap().seq)
        .collect();
    assert_eq!(seqs, [4, 5]);
}

#[test]
fn cursors_are_for_small_groups() {
    let cursor = Row {
        key: RowKey::Cursor(user(1)).to_bytes(),
        value: Some(row::Value::Cursor(CursorValue::default())),
    };
    let mut news = Gathered::default();
    let rows = [cursor, member(1, 1, MemberStatus::Member, 1)];
    news.add(&[], &rows, &Head::default(), false);
    assert_eq!(public_rows(&news, true).len(), 2);
    assert_eq!(public_rows(&news, false).len(), 1);
}

#[test]
fn entries_and_rows_cut_each_by_itself() {
    let ban = entry(5, Kind::Ban, user(1).to_bytes(), 0);
    let by_entry = Cuts::of(&[ban], &[], &[]);
    assert_eq!(by_entry.departure(&user(1), 0), Some((5, Code::Banned)));
    let by_row = Cuts::of(&[], &[member(2, 7, MemberStatus::Left, 1)], &[]);
    assert_eq!(by_row.departure(&user(2), 6), Some((7, Code::NotFound)));
    assert_eq!(by_row.departure(&user(2), 7), None, "came back since");
    // Of whom nothing is left.
    let gone = Tombstone {
        key: RowKey::Member(user(4)).to_bytes(),
        seq: 6,
        quiet: 0,
    };
    let by_absence = Cuts::of(&[], &[], &[gone]);
    assert_eq!(by_absence.departure(&user(4), 0), Some((6, Code::NotFound)));
    let stays = Cuts::of(
        &messages(1, 3, 0),
        &[member(3, 2, MemberStatus::Member, 2)],
        &[],
    );
    assert!(stays.lost.is_empty());
    assert_eq!(stays.visible_from[&user(3)], 2);
}

#[test]
fn a_window_closes_by_quiet_time_number_and_size() {
    let options = WindowOptions::default();
    let ms = Duration::from_millis;
    let start = Instant::now();
    let mut window = Window::default();
    let add = |window: &mut Window, at: Instant, entries: Vec<(u64, SealedEntry)>| {
        window
            .gather(at)
            .add(&entries, &[], &Head::default(), false);
        window.due(at, &options)
    };
    // After quiet the first leaves at once, the next one waits.
    assert!(add(&mut window, start, messages(1, 1, 10)));
    assert_eq!(window.take(start).entries.len(), 1);
    assert!(!add(&mut window, start + ms(1), messages(2, 2, 10)));
    assert_eq!(window.deadline(&options), Some(start + ms(51)));
    assert_eq!(window.deadline(&options), None, "the timer knows");
    assert!(window.due(start + ms(51), &options));
    window.take(start + ms(51));
    // By number and by size, once it is open for a moment.
    assert!(!add(&mut window, start + ms(52), messages(3, 11, 10)));
    assert!(!window.due(start + ms(57), &options), "not full");
    assert!(!add(&mut window, start + ms(56), messages(12, 12, 10)));
    assert!(window.due(start + ms(57), &options));
    window.take(start + ms(57));
    assert!(!add(&mut window, start + ms(58), messages(13, 13, 4_096)));
    assert!(add(&mut window, start + ms(63), messages(14, 14, 10)));
    window.take(start + ms(63));
    // What comes faster than that makes it larger, up to a bound.
    assert!(!add(&mut window, start + ms(64), messages(15, 173, 10)));
    assert!(add(&mut window, start + ms(64), messages(174, 174, 10)));
    window.take(start + ms(64));
    assert!(!add(
        &mut window,
        start + ms(65),
        messages(175, 175, 65_000)
    ));
    assert!(add(&mut window, start + ms(65), messages(176, 176, 1_000)));
}
