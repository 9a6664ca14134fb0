//! What an upstream answers to a fetch.

use bytes::Bytes;
use folkmoot_storage::{Direction, MemStore, Read, Table, keys, log, value};
use folkmoot_wire::GroupId;
use folkmoot_wire::entry;
use folkmoot_wire::proto::{Covers, LogSlice, RowPage};

use crate::follow::follower::{Event, Fetch};
use crate::testing::CLUSTER;

/// Small pages, so that walks have several.
const ENTRIES: usize = 3;
const ROWS: usize = 4;

/// What this store answers to a fetch, as a node does.
pub(crate) fn serve(store: &MemStore, fetch: &Fetch) -> Option<Event> {
    match fetch {
        Fetch::Log { group, after } => {
            let head = log::read_head(store, group).expect("reads")?;
            let floor = head.floor.as_ref().map_or(0, |floor| floor.seq);
            let start = (*after).max(floor);
            let entries = log::read_entries(store, group, start, head.seq + 1, ENTRIES, usize::MAX)
                .expect("reads");
            let chain_before = match (start, &head.floor) {
                (0, _) => Bytes::copy_from_slice(&entry::genesis(&CLUSTER, group)),
                (_, Some(f)) if f.seq == start => f.chain.clone(),
                _ => log::read_entry(store, group, start)
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
        Fetch::Rows { group, after_key } => {
            let head = log::read_head(store, group).expect("reads");
            let (mut from, to) = keys::rows::group_range(group);
            if !after_key.is_empty() {
                from = keys::successor(&[group.as_bytes(), &after_key[..]].concat());
            }
            let pairs = store
                .scan(Table::Rows, &from, &to, ROWS, Direction::Forward)
                .expect("scans");
            let next = match pairs.last() {
                Some((key, _)) if pairs.len() == ROWS => key.slice(GroupId::LEN..),
                _ => Bytes::new(),
            };
            let rows = pairs
                .into_iter()
                .map(|(_, bytes)| value::decode_value(bytes).expect("a row"))
                .collect();
            let page = RowPage {
                group: group.to_bytes(),
                rows,
                next,
                head,
            };
            Some(Event::Rows {
                group: *group,
                page,
            })
        }
    }
}
