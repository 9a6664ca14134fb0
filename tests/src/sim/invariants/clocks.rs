//! HLCs rise per log and per node, over restarts too, whatever the clocks of
//! the machines did. What is stamped beyond the drift bound gets nowhere.

use std::collections::BTreeMap;

use folkmoot_crdt::hlc::Hlc;
use folkmoot_storage::{Batch, Op, Read, Table};
use folkmoot_wire::{MessageId, limits};

use super::End;
use crate::sim::findings::Findings;

/// Key, in [`Table::Node`], of the bound that no stamp has passed.
const BOUND: &[u8] = b"hlc_bound";

/// Looks at a batch before it is written: the bound of a machine's stamps does
/// not go back.
pub fn never_go_back(machine: usize, batch: &Batch, disk: &dyn Read, findings: &Findings) {
    for op in batch {
        if let Op::Put { table, key, value } = op
            && *table == Table::Node
            && &key[..] == BOUND
            && let Ok(Some(before)) = disk.get(Table::Node, BOUND)
        {
            findings.check(before <= *value, || {
                format!("machine {machine}: the bound of its stamps goes back")
            });
        }
    }
}

pub(super) fn check(end: &End<'_>) {
    let mut ids = BTreeMap::new();
    for (group, log) in &end.logs {
        let pairs = log.headers.iter().zip(log.headers.iter().skip(1));
        for (before, after) in pairs {
            end.findings.check(before.hlc < after.hlc, || {
                format!("{group}: the HLC of entry {} is not later", after.seq)
            });
        }
        for header in &log.headers {
            // What an edge stamped has an id of its own in the whole cluster; an
            // entry that apply makes by itself, in its log.
            let by_edge = !header.client_msg_id.is_empty();
            let scope = (!by_edge).then_some(group);
            if let Some((other, seq)) = ids.insert((scope, &header.id), (group, header.seq)) {
                end.findings.add(format!(
                    "one id: entry {seq} of {other} and entry {} of {group}",
                    header.seq
                ));
            }
            let stamped = MessageId::from_slice(&header.id).map_or(0, |id| id.hlc.millis());
            let log_ms = Hlc::from_u64(header.hlc).millis();
            end.findings
                .check(stamped <= log_ms + limits::HLC_DRIFT_MS, || {
                    format!(
                        "{group}: entry {} was stamped {} ms ahead of the log",
                        header.seq,
                        stamped - log_ms
                    )
                });
        }
    }
}
