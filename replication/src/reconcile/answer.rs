//! The side that is asked. It keeps nothing between two messages, and its work
//! for one is bounded, whatever is asked.

use std::collections::BTreeMap;

use folkmoot_wire::limits;
use folkmoot_wire::proto::{Head, ListedRows, ReconcileRows, RowDiff, RowList};
use prost::Message;

use super::held::between;
use super::span::{Span, rising};
use super::sums::Sums;
use super::{Range, Shape, print_word, sum_word};
use crate::apply::ApplyError;

/// Rows of a list read at once.
const CHUNK: usize = 512;

/// What one answer may still hold.
struct Room {
    ranges: usize,
    bytes: usize,
    /// Rows read for it, of all that were ever read.
    reads_until: u64,
}

impl Room {
    fn is_left(&self, sums: &Sums) -> bool {
        self.ranges > 0 && self.bytes > 0 && sums.reads() < self.reads_until
    }
}

/// What differs. `head` was read before the rows.
///
/// # Errors
/// When the store fails or holds what it should not.
pub fn answer(
    sums: &mut Sums,
    shape: &Shape,
    asked: &ReconcileRows,
    head: Option<Head>,
) -> Result<RowDiff, ApplyError> {
    let mut diff = RowDiff {
        group: asked.group.clone(),
        head,
        ..RowDiff::default()
    };
    let mut room = Room {
        ranges: limits::RECONCILE_ANSWER_RANGES,
        bytes: limits::RECONCILE_ANSWER_BYTES,
        reads_until: sums.reads() + limits::RECONCILE_ANSWER_READS as u64,
    };
    for (range, theirs) in rising(&asked.spans).take(2 * limits::RECONCILE_RANGES) {
        if !room.is_left(sums) {
            return Ok(diff);
        }
        diff.compared += 1;
        let ours = sums.sum(&range)?;
        if sum_word(&ours, asked.word) == theirs {
            continue;
        }
        let mut span = Span::new(&range.from);
        if ours.count <= shape.leaf as u64 {
            span.push(&range.to, sum_word(&ours, asked.word));
            room.ranges = room.ranges.saturating_sub(1);
        } else {
            for part in sums.split(&range, shape.parts)? {
                span.push(&part.end, sum_word(&part.digest, asked.word));
                room.ranges = room.ranges.saturating_sub(1);
            }
        }
        diff.spans.push(span.done());
    }
    for list in asked.lists.iter().take(limits::RECONCILE_RANGES) {
        if !room.is_left(sums) {
            break;
        }
        let listed = listed(sums, list, asked.word, &mut room)?;
        diff.listed.push(listed);
    }
    Ok(diff)
}

/// The rows that the asker does not have so, and the places of those that are
/// not so here.
fn listed(
    sums: &mut Sums,
    list: &RowList,
    word: u32,
    room: &mut Room,
) -> Result<ListedRows, ApplyError> {
    let mut range = Range {
        from: list.from.clone(),
        to: list.to.clone(),
    };
    let mut theirs: BTreeMap<u32, bool> = list.prints.iter().map(|p| (*p, false)).collect();
    let mut answer = ListedRows::default();
    while range.is_sound() {
        // One more tells that there are more, and where they begin.
        let mut rows = sums.read(&range, CHUNK + 1)?;
        let more = (rows.len() > CHUNK).then(|| rows.pop()).flatten();
        let last = rows.last().map(|held| held.row.key.clone());
        for held in rows {
            if let Some(seen) = theirs.get_mut(&print_word(&held.print, word)) {
                *seen = true;
            } else {
                room.bytes = room.bytes.saturating_sub(held.row.encoded_len());
                answer.rows.push(held.row);
            }
        }
        let (Some(last), Some(more)) = (last, more) else {
            break;
        };
        range.from = between(&last, &more.row.key);
        if !room.is_left(sums) {
            answer.upto = range.from;
            break;
        }
    }
    let places = list.prints.iter().zip(0..);
    let missing = places.filter(|(print, _)| theirs.get(*print) == Some(&false));
    answer.missing = missing.map(|(_, place)| place).collect();
    Ok(answer)
}
