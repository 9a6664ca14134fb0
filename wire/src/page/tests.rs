use proptest::prelude::*;

use super::*;
use crate::proto::{Covers, EntryHeader, Head, ServerFrame, server_frame};

fn entries(sizes: &[usize]) -> Vec<SealedEntry> {
    let entry = |(at, size): (usize, &usize)| SealedEntry {
        header: vec![at as u8; 30].into(),
        salt: vec![1; 16].into(),
        body: vec![at as u8; *size].into(),
        chain: vec![at as u8; 32].into(),
        ..SealedEntry::default()
    };
    sizes.iter().enumerate().map(entry).collect()
}

fn slice(entries: Vec<SealedEntry>) -> LogSlice {
    LogSlice {
        group: vec![7; 16].into(),
        covers: Some(Covers { from: 5, to: 9 }),
        chain_before: vec![3; 32].into(),
        entries,
        head: Some(Head {
            seq: 77,
            ..Head::default()
        }),
        gone: true,
    }
}

proptest! {
    /// A page's frame is the one that its slice makes, in however many runs.
    #[test]
    fn frames_are_those_of_the_schema(
        sizes in proptest::collection::vec(0..400_usize, 0..40),
        cuts in proptest::collection::vec(0..50_u64, 0..4),
        id: u64,
        known in any::<bool>(),
    ) {
        let all = entries(&sizes);
        let slice = if known { slice(all.clone()) } else { LogSlice { entries: all.clone(), ..LogSlice::default() } };
        let run = Run::new(10, &all);
        let mut cuts: Vec<u64> = cuts.into_iter().map(|cut| 10 + cut).collect();
        cuts.push(10 + all.len() as u64);
        cuts.sort_unstable();
        let mut at = 10;
        let mut runs = Vec::new();
        for cut in cuts {
            runs.push(run.part(at, cut));
            at = at.max(cut);
        }
        let page = LogPage { slice: LogSlice { entries: Vec::new(), ..slice.clone() }, runs };
        let body = Some(server_frame::Body::Log(slice.clone()));
        let frame = ServerFrame { id, body }.encode_to_vec();
        prop_assert_eq!(&page.frame(id)[..], &frame[..]);
        prop_assert_eq!(&LogPage::from(slice.clone()).frame(id)[..], &frame[..]);
        prop_assert_eq!(LogSlice::from(page), slice);
    }

    /// As many as fit, counted one by one.
    #[test]
    fn what_fits_is_as_much_as_fits(
        sizes in proptest::collection::vec(0..400_usize, 0..40),
        (from, end) in (0..45_u64, 0..45_u64),
        bytes in 0..6_000_usize,
    ) {
        let all = entries(&sizes);
        let run = Run::new(1, &all).part(from, end);
        let one = |entry: &SealedEntry| field_len(entry);
        let mut left = bytes;
        let fits = |left: &mut usize, entry| left.checked_sub(one(entry)).map(|rest| *left = rest);
        let count = run.entries().iter().take_while(|entry| fits(&mut left, entry).is_some()).count();
        let front = run.fitting(bytes, false);
        prop_assert_eq!((front.first(), front.end()), (run.first(), run.first() + count as u64));
        left = bytes;
        let count = run.entries().iter().rev().take_while(|entry| fits(&mut left, entry).is_some()).count();
        let back = run.fitting(bytes, true);
        prop_assert_eq!((back.first(), back.end()), (run.end() - count as u64, run.end()));
    }
}

#[test]
fn a_part_knows_its_entries_and_their_bytes() {
    let all = entries(&[5; 20]);
    let run = Run::new(100, &all);
    let part = run.part(105, 108);
    assert_eq!((part.first(), part.end()), (105, 108));
    assert_eq!(part.entries(), &all[5..8]);
    assert_eq!(part.bytes().len(), 3 * field_len(&all[0]));
    assert_eq!(part.get(106), Some(&all[6]));
    assert_eq!((part.get(104), part.get(108)), (None, None));
    // Nothing outside of it comes back by asking for more.
    let same = part.part(0, u64::MAX);
    assert_eq!((same.first(), same.end()), (105, 108));
    assert!(run.part(50, 60).is_empty());
    assert!(run.part(500, 600).is_empty());
    assert!(run.part(110, 103).is_empty());
}

#[test]
fn entries_of_a_run_lie_in_its_bytes() {
    let all = entries(&[300; 4]);
    let run = Run::new(1, &all);
    assert_eq!(run.entries(), all);
    let range = run.bytes().as_ptr_range();
    for entry in run.entries() {
        assert!(range.contains(&entry.body.as_ptr()));
    }
}

#[test]
fn a_page_begins_where_it_is_told_to() {
    let all = entries(&[5; 6]);
    let run = Run::new(10, &all);
    let mut page = LogPage {
        slice: slice(Vec::new()),
        runs: vec![run.part(10, 12), run.part(12, 16)],
    };
    page.begin_at(13);
    assert_eq!(page.entries().cloned().collect::<Vec<_>>(), all[3..]);
    let sealed = |seq| SealedEntry {
        header: EntryHeader {
            seq,
            ..EntryHeader::default()
        }
        .encode_to_vec()
        .into(),
        ..SealedEntry::default()
    };
    let nameless = SealedEntry {
        header: vec![0xff].into(),
        ..SealedEntry::default()
    };
    let mut page = LogPage::from(slice(vec![sealed(5), nameless, sealed(6), sealed(7)]));
    page.begin_at(6);
    assert_eq!(page.slice.entries, [sealed(6), sealed(7)]);
}
