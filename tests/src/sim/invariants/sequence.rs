//! One `(group, seq)` is one entry, everywhere. Seqs are dense, and the chain
//! proves it. Epochs never go back.

use folkmoot_storage::Place;
use folkmoot_wire::{RegionId, entry};

use super::{End, Log};
use crate::sim::machine::CLUSTER;
use crate::sim::net::REGIONS;
use crate::sim::quiet;

pub(super) fn check(end: &End<'_>) {
    for (group, log) in &end.logs {
        if let Err(wrong) = whole(group, log) {
            end.findings.add(format!("{group} at its home: {wrong}"));
        }
        for machine in &end.world.machines {
            let entries = places(group)
                .into_iter()
                .flat_map(|place| quiet::entries(&*machine.disk, &place));
            for (seq, entry) in entries {
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

/// Wherever a node may keep a group, now or since before a move.
fn places(group: &folkmoot_client::GroupId) -> Vec<Place> {
    let regions = (0..=REGIONS.len() as u16).map(RegionId);
    let place = |region| Place {
        region,
        group: *group,
    };
    regions.map(place).collect()
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
