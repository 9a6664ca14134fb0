//! How a group arrives in a shard: part by part, each entry checked against
//! the chain, hidden until all of it is there.

use bytes::Bytes;
use folkmoot_storage::{Table, keys, value};
use folkmoot_wire::entry::chain_from;
use folkmoot_wire::proto::{
    ActivateGroup, EntryHeader, Floor, Head, HomePhase, ImportEntry, ImportGroup, Row, StoredDedup,
    StoredHome,
};
use folkmoot_wire::row::{self as row_key, RowKey};
use folkmoot_wire::{ClientMsgId, Code, DeviceId, Fault, GroupId, ShardId, UserId, entry};

use super::authority::Checked;
use super::{Answer, ApplyError, ShardApply, refuse};

/// Bytes of the hash in a dedup record.
const HASH_LEN: usize = 16;

impl ShardApply {
    pub(super) fn import(&mut self, group: GroupId, import: ImportGroup) -> Answer {
        let home = self.home(&group)?;
        let from = import.from_shard;
        if home.epoch > import.epoch {
            return self.home_state(&group);
        }
        if home.epoch < import.epoch {
            if !is_away(&home) {
                return refuse(Code::Busy, "an earlier move has not ended here");
            }
            if home.held {
                return refuse(
                    Code::Busy,
                    "what is left of the group from before is to go first",
                );
            }
            if from == self.config.shard.0 {
                return refuse(Code::Invalid, "a group moves to another shard");
            }
            let arriving = StoredHome {
                epoch: import.epoch,
                phase: HomePhase::Arriving as i32,
                peer: from,
                held: true,
                ..home
            };
            self.put_home(group, arriving);
            self.view.begin(&group, head_at(import.floor.as_ref()));
        } else if home.phase() != HomePhase::Arriving {
            return self.home_state(&group);
        } else if home.peer != from {
            return Self::unfit(&home, "an import from elsewhere", import.epoch);
        }
        for entry in import.entries {
            if let Err(fault) = self.import_entry(group, entry)? {
                return Ok(Err(fault));
            }
        }
        for row in import.rows {
            if let Err(fault) = self.import_row(group, row)? {
                return Ok(Err(fault));
            }
        }
        self.home_state(&group)
    }

    fn import_entry(&mut self, group: GroupId, imported: ImportEntry) -> Checked<()> {
        let head = self.view.head(&group)?.unwrap_or_default();
        let Some(sealed) = imported.entry else {
            return Ok(Err(Fault::new(Code::Invalid, "no entry")));
        };
        let invalid = |error: entry::EntryError| Fault::new(Code::Invalid, error.to_string());
        let seq = match sealed.decode_header() {
            Ok(header) => header.seq,
            Err(error) => return Ok(Err(invalid(error))),
        };
        if seq <= head.seq {
            return Ok(Ok(())); // it came before
        }
        let previous = match head.seq {
            0 => entry::genesis(&self.config.cluster, &group),
            _ => chain_from(&head.chain).map_err(|error| ApplyError::Corrupt {
                group,
                what: error.to_string(),
            })?,
        };
        let header = match sealed.verify(&previous, head.seq + 1) {
            Ok((header, _)) => header,
            Err(error) => return Ok(Err(invalid(error))),
        };
        let head = Head {
            seq: header.seq,
            hlc: header.hlc,
            chain: sealed.chain.clone(),
            count: header.count,
            at_all: header.at_all,
            epoch: header.epoch,
            ..head
        };
        self.view
            .push_entry(group, Bytes::copy_from_slice(&previous), sealed, head);
        if imported.content_hash.len() == HASH_LEN {
            self.import_dedup(group, &header, imported.content_hash)?;
        }
        Ok(Ok(()))
    }

    /// The dedup record moves with its entry (D9).
    fn import_dedup(
        &mut self,
        group: GroupId,
        header: &EntryHeader,
        content_hash: Bytes,
    ) -> Result<(), ApplyError> {
        let (Ok(id), Ok(user)) = (
            ClientMsgId::from_slice(&header.client_msg_id),
            UserId::from_slice(&header.sender),
        ) else {
            return Ok(()); // the node's own entries have none
        };
        let device = DeviceId(header.device);
        // Looked for before it is written: so `newest` asks to be told.
        let store = self.view.store();
        self.newest.excludes(&*store, &group, (user, device), &id)?;
        let record = StoredDedup {
            seq: header.seq,
            hlc: header.hlc,
            id: header.id.clone(),
            content_hash,
            code: 0,
        };
        let key = keys::dedup::key(&group, &id, &user, device);
        self.view
            .put(Table::Dedup, key, value::encode_value(&record));
        self.newest.remember(&group, (user, device), id);
        Ok(())
    }

    fn import_row(&mut self, group: GroupId, row: Row) -> Checked<()> {
        let key = match RowKey::from_slice(&row.key) {
            Ok(key) => key,
            Err(error) => return Ok(Err(Fault::new(Code::Invalid, error.to_string()))),
        };
        if let Err(error) = row_key::fingerprint_input(&row) {
            return Ok(Err(Fault::new(Code::Invalid, error.to_string())));
        }
        self.view.put_row(group, key, row, false)?;
        Ok(Ok(()))
    }

    /// All of it is here: from now on this is the home.
    pub(super) fn activate(&mut self, group: GroupId, activate: &ActivateGroup) -> Answer {
        let home = self.home(&group)?;
        if home.epoch < activate.epoch {
            return Self::unfit(&home, "an activation", activate.epoch);
        }
        if home.epoch > activate.epoch || home.phase() != HomePhase::Arriving {
            return self.home_state(&group);
        }
        let held = self.view.head(&group)?.unwrap_or_default();
        let told = activate.head.clone().unwrap_or_default();
        // The digest in the head is that of before this batch.
        if held.seq == 0 || self.view.has_changed_rows(&group) || !is_same(&held, &told) {
            let detail = format!(
                "entries up to {} and {} rows are here, up to {} and {} are to be",
                held.seq, held.rows_count, told.seq, told.rows_count
            );
            return refuse(Code::NotHere, detail);
        }
        let before = told.epoch.unwrap_or_default().generation;
        let here = StoredHome {
            phase: HomePhase::Here as i32,
            peer: 0,
            lift: (before + 1).saturating_sub(self.config.generation),
            ..home
        };
        self.put_home(group, here);
        // The chain proves all but what a log without entries tells only in
        // its head.
        let head = Head {
            version: held.version,
            ..told
        };
        self.view.begin(&group, head);
        self.home_state(&group)
    }

    /// Unless it was activated, the import of this epoch never will be.
    pub(super) fn cancel(&mut self, group: GroupId, epoch: u64, from: ShardId) -> Answer {
        let home = self.home(&group)?;
        if home.epoch < epoch && !is_away(&home) {
            return refuse(Code::Busy, "an earlier move has not ended here");
        }
        let arriving = home.epoch == epoch && home.phase() == HomePhase::Arriving;
        if home.epoch < epoch || arriving {
            let cancelled = StoredHome {
                epoch,
                phase: HomePhase::Cancelled as i32,
                peer: from.0,
                ..home
            };
            self.put_home(group, cancelled);
        }
        self.home_state(&group)
    }
}

/// Whether nothing of the group can be under way at this shard.
fn is_away(home: &StoredHome) -> bool {
    matches!(
        home.phase(),
        HomePhase::Unknown | HomePhase::Gone | HomePhase::Cancelled
    )
}

/// Same entries, same rows.
fn is_same(a: &Head, b: &Head) -> bool {
    (a.seq, &a.chain) == (b.seq, &b.chain)
        && (a.rows_count, &a.rows_digest) == (b.rows_count, &b.rows_digest)
}

/// The head of a log of which nothing is here yet.
fn head_at(floor: Option<&Floor>) -> Head {
    match floor {
        None => Head::default(),
        Some(floor) => Head {
            seq: floor.seq,
            count: floor.count,
            chain: floor.chain.clone(),
            floor: Some(floor.clone()),
            ..Head::default()
        },
    }
}
