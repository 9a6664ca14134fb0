//! Cursors never go back and never pass the head.

use std::collections::BTreeSet;

use bytes::Bytes;
use folkmoot_storage::keys::guests;
use folkmoot_storage::{Batch, Direction, Op, Read, Table, keys, value};
use folkmoot_wire::proto::{CursorValue, Row, row};
use folkmoot_wire::row::{RowKey, RowKind};
use parking_lot::Mutex;

use super::End;
use crate::sim::findings::Findings;

/// Looks at all disks at once.
pub struct Cursors {
    findings: Findings,
    /// Cursors that were deleted by their keys on any disk: collected with the
    /// departure of a member, who may come back and begin anew. A copy that
    /// hears of all that late takes the old cursor from the log it catches up
    /// with, and then the new one.
    collected: Mutex<BTreeSet<Bytes>>,
}

impl Cursors {
    /// Has seen nothing yet.
    #[must_use]
    pub fn new(findings: Findings) -> Self {
        Self {
            findings,
            collected: Mutex::default(),
        }
    }

    /// Looks at a batch before it is written: no cursor on this disk goes back.
    /// One that a crash took back has gone with it, and so has one that is
    /// deleted first, with the copy it belongs to.
    pub fn never_go_back(&self, machine: usize, batch: &Batch, disk: &dyn Read) {
        let mut gone: BTreeSet<&[u8]> = BTreeSet::new();
        let mut ranges: Vec<(&[u8], &[u8])> = Vec::new();
        for op in batch {
            match op {
                Op::Delete { table, key } if *table == Table::Rows => {
                    gone.insert(key);
                    self.collected.lock().insert(guests::plain(key));
                }
                Op::DeleteRange { table, from, to } if *table == Table::Rows => {
                    ranges.push((from, to));
                }
                Op::Put { table, key, value } if *table == Table::Rows => {
                    let Some(new) = cursor(key, value.clone()) else {
                        continue;
                    };
                    let plain = guests::plain(key);
                    let anew = self.collected.lock().contains(&plain)
                        || gone.contains(&key[..])
                        || ranges
                            .iter()
                            .any(|(from, to)| (*from..*to).contains(&&key[..]));
                    let old = match disk.get(Table::Rows, key) {
                        Ok(Some(old)) if !anew => cursor(key, old),
                        _ => None,
                    };
                    if let Some(old) = old.filter(|old| new.seq < old.seq) {
                        let whose = keys::rows::parse(&plain);
                        self.findings.add(format!(
                            "machine {machine}: {whose:?} goes back from {} to {}",
                            old.seq, new.seq
                        ));
                    }
                }
                _ => {}
            }
        }
    }
}

fn cursor(key: &[u8], bytes: bytes::Bytes) -> Option<CursorValue> {
    let (_, key) = guests::split(key);
    let (_, row_key) = keys::rows::parse(key).ok()?;
    if !matches!(row_key, RowKey::Cursor(_)) {
        return None;
    }
    match value::decode_value::<Row>(bytes).ok()?.value? {
        row::Value::Cursor(cursor) => Some(cursor),
        _ => None,
    }
}

pub(super) fn check(end: &End<'_>) {
    for (group, log) in &end.logs {
        for machine in &end.world.machines {
            let (from, to) = keys::rows::kind_range(group, RowKind::Cursor);
            let rows = log.place.seat(&*machine.disk).scan(
                Table::Rows,
                &from,
                &to,
                usize::MAX,
                Direction::Forward,
            );
            for (key, bytes) in rows.unwrap_or_default() {
                let Some(cursor) = cursor(&key, bytes) else {
                    end.findings.add(format!("{group}: a cursor row is none"));
                    continue;
                };
                let at = cursor.seq.checked_sub(1);
                let entry = at.and_then(|at| log.headers.get(at as usize));
                let copied = match entry {
                    Some(entry) => (entry.count, entry.at_all) == (cursor.count, cursor.at_all),
                    None => cursor.seq == 0,
                };
                end.findings
                    .check(copied && cursor.seq <= log.head.seq, || {
                        format!(
                            "machine {}: {cursor:?} in {group}, whose head is {}",
                            machine.index, log.head.seq
                        )
                    });
            }
        }
    }
}
