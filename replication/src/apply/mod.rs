//! Apply: the deterministic state machine of a shard (D2, D4, D6).
//!
//! Apply reads only what apply wrote, and no clock: given the same commands
//! at the same positions, every replica writes the same bytes. A command
//! that is refused is refused here, with the same answer on every replica.

mod arrive;
mod authority;
mod create;
mod dedup;
mod directory;
mod group;
mod homes;
mod members;
mod messages;
mod newest;
mod outbox;
mod profile;
mod quiet;
mod quiet_joins;
mod records;
mod sequence;
mod split;
mod tombstones;
mod view;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_storage::{Batch, Read, StoreError, Table, keys, value};
use folkmoot_wire::proto::{
    Command, CommandBatch, Done, Epoch, GroupPush, Kind, Outcome, Rejected, StoredApplied, command,
    outcome,
};
use folkmoot_wire::{Code, Fault, GroupId, NodeId, RegionId, ShardId, Slot};
use prost::Message;

use homes::Homes;
use newest::Newest;
use view::View;

pub use directory::directory_place;
pub use members::departure;
pub use outbox::{Pending, pending};
pub use records::{HomeRecord, away, away_groups, home_record, home_records, moved_groups};
pub use sequence::{implied_cursor, unplaced};
pub use split::{applied, slots_held};
pub use tombstones::{Collectable, tombstones};

/// What every replica of a shard knows from its making.
#[derive(Debug, Clone)]
pub struct ShardConfig {
    /// The shard.
    pub shard: ShardId,
    /// The region that sequences it.
    pub region: RegionId,
    /// Its slots there, inclusive, unless the store knows of splits.
    pub slots: (Slot, Slot),
    /// The placement generation: the first half of the epoch.
    pub generation: u32,
    /// The cluster, part of every chain.
    pub cluster: [u8; 16],
    /// Key of row fingerprints.
    pub digest_key: [u8; 32],
}

/// Where a command stands in the Raft log.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// Index of the Raft log.
    pub index: u64,
    /// Raft term: the second half of the epoch.
    pub term: u64,
    /// Who proposed it.
    pub leader: NodeId,
}

/// Apply cannot go on: the replica must stop.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A committed batch does not decode: its proposer was of another version.
    #[error("committed batch at index {index}: {source}")]
    Batch {
        index: u64,
        source: prost::DecodeError,
    },
    /// A value that apply wrote does not read back.
    #[error("stored state of {group}: {what}")]
    Corrupt { group: GroupId, what: String },
}

/// Answer to one command; `Err` inside is a refusal and part of the truth.
type Answer = Result<Result<Outcome, Fault>, ApplyError>;

/// The state machine of one shard.
pub struct ShardApply {
    config: ShardConfig,
    store: Arc<dyn Read>,
    view: View,
    newest: Newest,
    homes: Homes,
    applied: StoredApplied,
    /// The shard version that the batch being applied makes.
    version: u64,
    /// The shard that the batch being applied has split off.
    child: Option<ShardId>,
}

impl ShardApply {
    /// Opens the machine over what the store holds.
    ///
    /// # Errors
    /// When the store fails or its record does not read back.
    pub fn open(config: ShardConfig, store: Arc<dyn Read>) -> Result<Self, ApplyError> {
        let applied = match store.get(Table::Shards, &keys::shards::key(config.shard))? {
            Some(bytes) => value::decode_value(bytes)?,
            None => StoredApplied {
                apply_version: 1,
                next_outbox: 1,
                ..StoredApplied::default()
            },
        };
        Ok(Self {
            view: View::new(Arc::clone(&store), config.region, config.digest_key),
            store,
            newest: Newest::default(),
            homes: Homes::default(),
            config,
            version: applied.index,
            applied,
            child: None,
        })
    }

    /// The shard.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        self.config.shard
    }

    /// Index of the last batch applied.
    #[must_use]
    pub fn applied_index(&self) -> u64 {
        self.applied.index
    }

    /// Drops what was read before: the store was replaced under us.
    ///
    /// # Errors
    /// As [`ShardApply::open`].
    pub fn reload(&mut self) -> Result<(), ApplyError> {
        *self = Self::open(self.config.clone(), Arc::clone(&self.store))?;
        Ok(())
    }

    /// Applies one committed batch. What changed goes into `batch`; the
    /// outcomes are in the order of the commands; the pushes tell followers.
    ///
    /// # Errors
    /// Only such as must stop the replica. A refusal is an outcome.
    pub fn apply(
        &mut self,
        at: At,
        payload: &Bytes,
        batch: &mut Batch,
    ) -> Result<(Vec<Outcome>, Vec<GroupPush>), ApplyError> {
        // Its fields share the payload's memory: what is kept longer is copied.
        let commands =
            CommandBatch::decode(payload.clone()).map_err(|source| ApplyError::Batch {
                index: at.index,
                source,
            })?;
        let step = Step {
            at,
            epoch: Epoch {
                generation: self.config.generation,
                term: at.term,
            },
            proposed: Hlc::from_u64(commands.proposed_hlc),
            cluster: self.config.cluster,
        };
        self.version = at.index;
        let mut outcomes = Vec::with_capacity(commands.commands.len());
        for command in commands.commands {
            let outcome = match self.command(&step, command)? {
                Ok(outcome) => outcome,
                Err(fault) => rejected(&fault),
            };
            outcomes.push(outcome);
        }
        self.applied.index = at.index;
        self.applied.term = at.term;
        self.applied.leader = at.leader.0;
        self.view.put(
            Table::Shards,
            keys::shards::key(self.config.shard),
            value::encode_value(&self.applied),
        );
        let pushes = self.view.finish(at.index, batch)?;
        Ok((outcomes, self.told(pushes)?))
    }

    /// What was applied so far is in the store: staged copies may go.
    pub fn settled(&mut self) {
        self.view.settled();
        self.newest.settled();
        self.homes.settled();
    }

    fn command(&mut self, step: &Step, command: Command) -> Answer {
        let Some(op) = command.op else {
            return refuse(Code::UnknownRequest, "a command without an operation");
        };
        match op {
            command::Op::ResolveUser(resolve) => self.resolve_user(&resolve),
            command::Op::OutboxAck(ack) => self.outbox_ack(ack.up_to),
            command::Op::SplitOff(split) => self.split_off(step, &split),
            command::Op::BeginOutbox(begin) => self.begin_outbox(begin.up_to),
            command::Op::SetApplyVersion(set) => {
                self.applied.apply_version = self.applied.apply_version.max(set.version);
                done()
            }
            op => {
                let group = match GroupId::from_slice(&command.group) {
                    Ok(group) => group,
                    Err(error) => return refuse(Code::Invalid, error.to_string()),
                };
                self.group_command(step, group, op)
            }
        }
    }

    fn group_command(&mut self, step: &Step, group: GroupId, op: command::Op) -> Answer {
        if is_step_of_move(&op) {
            return self.move_command(group, op);
        }
        if let Some(answer) = self.elsewhere(&group)? {
            return Ok(Ok(answer));
        }
        match op {
            command::Op::Append(append) => self.append(step, group, append),
            command::Op::Cursors(cursors) => self.cursors(group, &cursors),
            command::Op::SelfRows(rows) => self.self_rows(step, group, rows),
            command::Op::Collect(collect) => self.collect(group, &collect),
            command::Op::Delivery(delivery) => self.delivery(step, group, &delivery),
            _ => refuse(Code::UnknownRequest, "not a group's command"),
        }
    }

    fn append(&mut self, step: &Step, group: GroupId, append: sequence::Append) -> Answer {
        let request = match sequence::Request::check(step, group, append) {
            Ok(request) => request,
            Err(fault) => return Ok(Err(fault)),
        };
        if let Some(answer) = self.deduplicate(&request)? {
            return Ok(answer);
        }
        let verdict = self.judge(step, &request)?;
        self.remember_without_entry(&request, &verdict)?;
        Ok(verdict)
    }

    fn judge(&mut self, step: &Step, request: &sequence::Request) -> Answer {
        match request.kind {
            Kind::Create => self.create(step, request),
            Kind::Join => self.join(step, request),
            Kind::Leave => self.leave(step, request),
            Kind::Rename => self.rename(step, request),
            Kind::Role => self.role(step, request),
            Kind::Mute => self.mute(step, request),
            Kind::Ban => self.ban(step, request),
            Kind::Unban => self.unban(step, request),
            Kind::Profile => self.profile(step, request),
            Kind::Message | Kind::Action => self.post(step, request),
            Kind::Notice => self.notice(step, request),
            Kind::Edit => self.edit(step, request),
            Kind::Recall => self.recall(step, request),
            Kind::Dissolve => self.dissolve(step, request),
            Kind::Listed | Kind::Unspecified => refuse(
                Code::Invalid,
                "this kind of entry is not a client's to send",
            ),
        }
    }
}

fn is_step_of_move(op: &command::Op) -> bool {
    use command::Op;
    matches!(
        op,
        Op::BeginMove(_)
            | Op::FenceGroup(_)
            | Op::ImportGroup(_)
            | Op::ActivateGroup(_)
            | Op::CancelImport(_)
            | Op::SetRedirect(_)
            | Op::EndMove(_)
            | Op::AbortMove(_)
            | Op::DropGroup(_)
    )
}

/// What holds for all commands of one batch.
struct Step {
    at: At,
    epoch: Epoch,
    proposed: Hlc,
    cluster: [u8; 16],
}

fn done() -> Answer {
    Ok(Ok(Outcome {
        result: Some(outcome::Result::Done(Done {})),
    }))
}

fn refuse(code: Code, detail: impl Into<String>) -> Answer {
    Ok(Err(Fault::new(code, detail)))
}

fn rejected(fault: &Fault) -> Outcome {
    Outcome {
        result: Some(outcome::Result::Rejected(Rejected {
            code: fault.code as u32,
            detail: fault.detail.clone(),
        })),
    }
}

/// Encodes outcomes for the proposer.
#[must_use]
pub fn encode_outcomes(outcomes: Vec<Outcome>) -> Bytes {
    Bytes::from(folkmoot_wire::proto::Outcomes { outcomes }.encode_to_vec())
}
