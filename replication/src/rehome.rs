//! The way of a group from one shard to another, driven by the leader of the
//! shard it leaves: what to propose next, and where. What was decided stands in
//! the shards' records ([`crate::apply`]); here is only what spares work, so
//! another leader goes on from nothing.

pub mod people;
mod rows;

use bytes::Bytes;
use folkmoot_storage::{Read, StoreError, Table, keys, log, value};
use folkmoot_wire::proto::{
    AbortMove, ActivateGroup, CancelImport, Command, DropGroup, EndMove, EntryHeader, FenceGroup,
    Head, HomePhase, HomeState, ImportEntry, ImportGroup, Row, SealedEntry, SetRedirect,
    StoredDedup, StoredHome, command,
};
use folkmoot_wire::{ClientMsgId, Code, DeviceId, Fault, GroupId, ShardId, UserId, limits};

use crate::apply::{HomeRecord, applied};
use rows::Rows;

/// Entries that may be left when a group is fenced.
const NEAR: u64 = 256;
/// Activations that may be refused. More: the move is given up.
const REFUSED_MAX: u32 = 3;

/// Where a command is to be proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The shard the group leaves.
    Source,
    /// The one it moves to.
    Target,
    /// The one it was born in, where that is neither.
    Birth,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Propose this and report the answer.
    Propose(At, Box<Command>),
    /// Ask again: there is much to read.
    Again,
    /// Ask again a little later: what the shard has for others is on its way.
    Wait,
    /// Nothing: no move of this epoch is under way here any more.
    Done,
}

/// One move, as the leader of the shard that the group leaves drives it.
pub struct Rehoming {
    group: GroupId,
    shard: ShardId,
    /// As which shard the other one knows it.
    leaves_as: ShardId,
    /// The shard it was born in.
    birth: ShardId,
    epoch: u64,
    to: ShardId,
    /// What the other shard said last.
    there: Option<HomeState>,
    rows: Rows,
    /// Numbers of the shard's outbox that were given when the rows were there,
    /// before the fence and behind it.
    outbox: [Option<u64>; 2],
    redirected: bool,
    refused: u32,
    give_up: bool,
}

impl Rehoming {
    /// Drives the move that `record` of `shard` tells of.
    #[must_use]
    pub fn new(shard: ShardId, birth: ShardId, record: &HomeRecord) -> Self {
        Self {
            group: record.group,
            shard,
            leaves_as: match record.home.leaves_as {
                0 => shard,
                earlier => ShardId(earlier),
            },
            birth,
            epoch: record.home.epoch,
            to: ShardId(record.home.peer),
            there: None,
            rows: Rows::default(),
            outbox: [None; 2],
            redirected: false,
            refused: 0,
            give_up: false,
        }
    }

    /// The move it drives: the group and the epoch.
    #[must_use]
    pub fn of(&self) -> (GroupId, u64) {
        (self.group, self.epoch)
    }

    /// The shard the group moves to.
    #[must_use]
    pub fn to(&self) -> ShardId {
        self.to
    }

    /// Gives the move up, unless the other shard is the home already.
    pub fn give_up(&mut self) {
        self.give_up = true;
    }

    /// Whether it is to be given up.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.give_up
    }

    /// What to do next. `read` is the store as the shard that the group leaves
    /// sees it, `home` its record, read before.
    ///
    /// # Errors
    /// When the store fails or holds what it should not.
    pub fn next(&mut self, read: &dyn Read, home: &StoredHome) -> Result<Next, StoreError> {
        let fenced = match home.phase() {
            _ if home.epoch != self.epoch => return Ok(Next::Done),
            HomePhase::Leaving => false,
            HomePhase::Fenced => true,
            _ => return Ok(Next::Done),
        };
        let epoch = self.epoch;
        match self.there.map(|there| there.phase()) {
            Some(HomePhase::Cancelled) => {
                return Ok(self.propose(At::Source, command::Op::AbortMove(AbortMove { epoch })));
            }
            Some(HomePhase::Here) => return Ok(self.finish()),
            _ if self.give_up => {
                let from_shard = self.leaves_as.0;
                let cancel = CancelImport { epoch, from_shard };
                return Ok(self.propose(At::Target, command::Op::CancelImport(cancel)));
            }
            _ => {}
        }
        let head = log::read_head(read, &self.group)?.unwrap_or_default();
        let Some(there) = self.there else {
            return Ok(self.import(&head, Vec::new(), Vec::new()));
        };
        let left = head.seq.saturating_sub(there.held);
        if left > if fenced { 0 } else { NEAR } {
            let entries = self.entries(read, there.held)?;
            return Ok(self.import(&head, entries, Vec::new()));
        }
        match self.rows.next(read, &self.group, fenced)? {
            rows::Next::Send(rows) => Ok(self.import(&head, Vec::new(), rows)),
            rows::Next::Again => Ok(Next::Again),
            rows::Next::All if !self.is_delivered(read, fenced)? => Ok(Next::Wait),
            rows::Next::All if fenced => {
                let head = Some(head);
                let activate = ActivateGroup { epoch, head };
                Ok(self.propose(At::Target, command::Op::ActivateGroup(activate)))
            }
            rows::Next::All => {
                Ok(self.propose(At::Source, command::Op::FenceGroup(FenceGroup { epoch })))
            }
        }
    }

    /// Whether what the group has for others, lists of its members, has reached
    /// them: the next home's must not overtake it. Looked at before the fence so
    /// that it takes no time behind it.
    fn is_delivered(&mut self, read: &dyn Read, fenced: bool) -> Result<bool, StoreError> {
        let applied = applied(read, self.shard)?.unwrap_or_default();
        let given = applied.next_outbox.saturating_sub(1);
        let due = *self.outbox[usize::from(fenced)].get_or_insert(given);
        Ok(applied.outbox_waits == 0 && applied.outbox_acked >= due)
    }

    /// The answer to what was proposed last.
    pub fn answered(&mut self, at: At, proposed: &Command, answer: Result<HomeState, Fault>) {
        match (at, answer) {
            (At::Source, _) | (At::Birth, Err(_)) => {}
            (At::Birth, Ok(_)) => self.redirected = true,
            (At::Target, Ok(mut there)) => {
                if there.epoch > self.epoch {
                    // Only a home begins another move, and only from a home
                    // another can have come.
                    there.set_phase(HomePhase::Here);
                }
                self.there = Some(there);
                if is_import(proposed) {
                    self.rows.arrived();
                }
            }
            // Something is not there as it is here: all is sent again.
            (At::Target, Err(fault)) if fault.code == Code::NotHere => {
                self.rows = Rows::default();
                self.refused += 1;
                self.give_up |= self.refused > REFUSED_MAX;
            }
            // It will not take it at all: it has to say so for good.
            (At::Target, Err(fault)) if !fault.code.temporary() => {
                self.there = None;
                self.give_up = true;
            }
            (At::Target, Err(_)) => {}
        }
    }

    /// The other shard is the home: the rest is told.
    fn finish(&self) -> Next {
        let epoch = self.epoch;
        if !self.redirected && self.birth != self.shard && self.birth != self.to {
            let to_shard = self.to.0;
            let set = SetRedirect { epoch, to_shard };
            return self.propose(At::Birth, command::Op::SetRedirect(set));
        }
        self.propose(At::Source, command::Op::EndMove(EndMove { epoch }))
    }

    fn propose(&self, at: At, op: command::Op) -> Next {
        Next::Propose(at, Box::new(of_group(&self.group, op)))
    }

    fn import(&self, head: &Head, entries: Vec<ImportEntry>, rows: Vec<Row>) -> Next {
        let import = ImportGroup {
            epoch: self.epoch,
            from_shard: self.leaves_as.0,
            floor: head.floor.clone(),
            entries,
            rows,
        };
        self.propose(At::Target, command::Op::ImportGroup(import))
    }

    fn entries(&self, read: &dyn Read, after: u64) -> Result<Vec<ImportEntry>, StoreError> {
        let limit = limits::PAGE_ENTRIES as usize;
        let page = log::read_entries(read, &self.group, after, 0, limit, limits::PAGE_BYTES)?;
        let with_record = |(_, entry): (u64, SealedEntry)| {
            let content_hash = match entry.decode_header() {
                Ok(header) => self.content_hash(read, &header)?,
                // The other shard refuses it, and says why.
                Err(_) => Bytes::new(),
            };
            Ok(ImportEntry {
                entry: Some(entry),
                content_hash,
            })
        };
        page.into_iter().map(with_record).collect()
    }

    /// Of the dedup record of an entry, if there is one still.
    fn content_hash(&self, read: &dyn Read, header: &EntryHeader) -> Result<Bytes, StoreError> {
        let (Ok(id), Ok(user)) = (
            ClientMsgId::from_slice(&header.client_msg_id),
            UserId::from_slice(&header.sender),
        ) else {
            return Ok(Bytes::new());
        };
        let key = keys::dedup::key(&self.group, &id, &user, DeviceId(header.device));
        let Some(bytes) = read.get(Table::Dedup, &key)? else {
            return Ok(Bytes::new());
        };
        let record: StoredDedup = value::decode_value(bytes)?;
        // An id outside the window may have been used again.
        Ok(match record.seq == header.seq {
            true => record.content_hash,
            false => Bytes::new(),
        })
    }
}

fn is_import(command: &Command) -> bool {
    matches!(command.op, Some(command::Op::ImportGroup(_)))
}

/// A command of a group.
fn of_group(group: &GroupId, op: command::Op) -> Command {
    Command {
        group: group.to_bytes(),
        op: Some(op),
    }
}

/// What a shard is to propose to itself to be rid of what it holds of a group
/// that is at home elsewhere.
#[must_use]
pub fn leftover(record: &HomeRecord) -> Option<Command> {
    let away = matches!(record.home.phase(), HomePhase::Gone | HomePhase::Cancelled);
    let drop = DropGroup {
        epoch: record.home.epoch,
    };
    (away && record.home.held).then(|| of_group(&record.group, command::Op::DropGroup(drop)))
}

#[cfg(test)]
mod tests;
