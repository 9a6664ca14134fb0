//! One `(group, seq)` is one entry, everywhere. Seqs are dense, and the chain
//! proves it. Epochs never go back.

use folkmoot_wire::entry;

use super::{End, Log};
use crate::sim::machine::CLUSTER;
use crate::sim::quiet;

pub(super) fn check(end: &End<'_>) {
    for (group, log) in &end.logs {
        if let Err(wrong) = whole(group, log) {
            end.findings.add(format!("{group} at its home: {wrong}"));
        }
        for machine in &end.world.machines {
            for (seq, entry) in quiet::entries(&*machine.disk, group) {
                let same = log.entries.get(seq as usize - 1) == Some(&entry);
                end.findings.check(same, || {
                    format!(
                        "machine {} has another entry {seq} of {group} than its home",
                        machine.index
                    )
                });
            }
        }
    }
}

fn whole(group: &folkmoot_client::GroupId, log: &Log) -> Result<(), String> {
    let mut chain = entry::genesis(&CLUSTER, group);
    let mut epoch = (0, 0);
    for (at, (sealed, header)) in log.entries.iter().zip(&log.headers).enumerate() {
        let seq = at as u64 + 1;
        let (_, next) = sealed
            .verify(&chain, seq)
            .map_err(|error| format!("entry {seq}: {error}"))?;
        chain = next;
        let now = header.epoch.map_or((0, 0), |e| (e.generation, e.term));
        if now < epoch {
            return Err(format!("epoch {now:?} of entry {seq} follows {epoch:?}"));
        }
        epoch = now;
    }
    if log.head.seq != log.entries.len() as u64 || log.head.chain[..] != chain {
        return Err(format!(
            "the head is at {}, the log at {}",
            log.head.seq,
            log.entries.len()
        ));
    }
    Ok(())
}
