//! Cursors never go back and never pass the head.

use std::collections::BTreeSet;

use folkmoot_storage::keys::guests;
use folkmoot_storage::{Batch, Direction, Op, Read, Table, keys, value};
use folkmoot_wire::proto::{CursorValue, Row, row};
use folkmoot_wire::row::{RowKey, RowKind};

use super::End;
use crate::sim::findings::Findings;

/// Looks at a batch before it is written: no cursor on this disk goes back.
/// One that a crash took back has gone with it, and so has one that is
/// deleted first, with the copy it belongs to.
pub fn never_go_back(machine: usize, batch: &Batch, disk: &dyn Read, findings: &Findings) {
    let mut gone: BTreeSet<&[u8]> = BTreeSet::new();
    let mut ranges: Vec<(&[u8], &[u8])> = Vec::new();
    for op in batch {
        match op {
            Op::Delete { table, key } if *table == Table::Rows => {
                gone.insert(key);
            }
            Op::DeleteRange { table, from, to } if *table == Table::Rows => {
                ranges.push((from, to));
            }
            Op::Put { table, key, value } if *table == Table::Rows => {
                let deleted = gone.contains(&key[..])
                    || ranges
                        .iter()
                        .any(|(from, to)| (*from..*to).contains(&&key[..]));
                let old = match disk.get(Table::Rows, key) {
                    Ok(Some(old)) if !deleted => cursor(key, old),
                    _ => None,
                };
                if let (Some(old), Some(new)) = (old, cursor(key, value.clone()))
                    && new.seq < old.seq
                {
                    findings.add(format!(
                        "machine {machine}: a cursor goes back from {} to {}",
                        old.seq, new.seq
                    ));
                }
            }
            _ => {}
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
