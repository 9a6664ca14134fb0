//! What an upstream answers to a fetch.

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_storage::{MemStore, Place, log};
use folkmoot_wire::entry;
use folkmoot_wire::proto::{Covers, LogSlice};

use crate::follow::follower::{Event, Fetch};
use crate::reconcile::{RowSums, Shape, answer};
use crate::testing::{CLUSTER, DIGEST_KEY};

/// Small pages, so that walks have several.
const ENTRIES: usize = 3;
const SMALL: Shape = Shape {
    first: 2,
    parts: 2,
    leaf: 2,
};

/// What this store answers to a fetch, as a node does.
pub(crate) fn serve(store: &Arc<MemStore>, fetch: &Fetch) -> Option<Event> {
    match fetch {
        Fetch::Log { group, after } => {
            let head = log::read_head(&**store, group).expect("reads")?;
            let floor = head.floor.as_ref().map_or(0, |floor| floor.seq);
            let start = (*after).max(floor);
            let entries =
                log::read_entries(&**store, group, start, head.seq + 1, ENTRIES, usize::MAX)
                    .expect("reads");
            let chain_before = match (start, &head.floor) {
                (0, _) => Bytes::copy_from_slice(&entry::genesis(&CLUSTER, group)),
                (_, Some(f)) if f.seq == start => f.chain.clone(),
                _ => log::read_entry(&**store, group, start)
                    .expect("reads")
                    .map(|e| e.chain)
                    .unwrap_or_default(),
            };
            let slice = LogSlice {
                group: group.to_bytes(),
                covers: Some(Covers {
                    from: start.saturating_add(1),
                    to: entries.last().map_or(start, |(seq, _)| *seq),
                }),
                chain_before,
                entries: entries.into_iter().map(|(_, e)| e).collect(),
                gone: *after < floor,
                head: Some(head),
            };
            Some(Event::Log {
                group: *group,
                slice,
            })
        }
        Fetch::Rows { group, asked } => {
            let head = log::read_head(&**store, group).expect("reads");
            let (_, sums) = RowSums::over(store.clone(), DIGEST_KEY);
            let diff = sums.with(&Place::of_birth(*group), |sums| {
                while !sums.refresh(usize::MAX).expect("reads") {}
                answer(sums, &SMALL, asked, head).expect("answers")
            });
            Some(Event::Rows {
                group: *group,
                diff,
            })
        }
    }
}
