//! Rows converge: once the network is quiet, who holds a group's head holds
//! the rows that its digest is of.

use folkmoot_crdt::digest::RowSetDigest;
use folkmoot_node::cluster::start::digest_key;
use folkmoot_replication::rows::{digest_of, fingerprint};
use folkmoot_storage::{Direction, Read, Table, keys, log, value};
use folkmoot_wire::proto::Row;

use super::End;
use crate::sim::machine::CLUSTER;

pub(super) fn check(end: &End<'_>) {
    let key = digest_key(&CLUSTER);
    for (group, home) in &end.logs {
        for machine in &end.world.machines {
            let seat = home.place.seat(&*machine.disk);
            let Ok(Some(head)) = log::read_head(&seat, group) else {
                continue;
            };
            // A copy that nobody looks at may lag.
            if head.version < home.head.version {
                continue;
            }
            end.findings.check(head == home.head, || {
                format!("machine {} has another head of {group}", machine.index)
            });
            let (from, to) = keys::rows::group_range(group);
            let rows = seat.scan(Table::Rows, &from, &to, usize::MAX, Direction::Forward);
            let mut digest = RowSetDigest::default();
            for (_, bytes) in rows.unwrap_or_default() {
                let row: Row = value::decode_value(bytes).unwrap_or_default();
                match fingerprint(&key, group, &row) {
                    Ok(print) => digest.insert(&print),
                    Err(error) => end.findings.add(format!("{group}: {error}")),
                }
            }
            end.findings.check(digest == digest_of(&head), || {
                format!(
                    "machine {}: the rows of {group} are not those of its head",
                    machine.index
                )
            });
        }
    }
}
