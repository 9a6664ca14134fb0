//! Where a group is at home, as its shards know it, and how it leaves one.
//!
//! Each shard that had to do with a move has a record, and each step is a
//! command of one shard's log: applied twice, or late, it changes nothing. The
//! shard a group moves to has the last word about an epoch: it activates it or
//! cancels it, whichever it is asked first. The other one ends the move or
//! gives it up accordingly, so that there is never a second shard in which the
//! group can be changed, and never none for good.

use std::collections::BTreeMap;

use folkmoot_storage::{Table, keys, value};
use folkmoot_wire::id::Class;
use folkmoot_wire::proto::{
    Epoch, GroupMoved, GroupPush, HomePhase, HomeState, Moved, Outcome, StoredHome, command,
    outcome,
};
use folkmoot_wire::{Code, Fault, GroupId, ShardId, safeguard, version};

use super::records::{away, moved};
use super::{Answer, ApplyError, ShardApply, Step, refuse};
use crate::placement::has_slot;

/// Decoded records kept between batches. Full: all are read again.
const CACHED: usize = 16_384;

/// Records that were read.
#[derive(Default)]
pub(super) struct Homes {
    cached: BTreeMap<GroupId, StoredHome>,
    /// Groups that the batch being applied sent elsewhere.
    moved: BTreeMap<GroupId, GroupMoved>,
}

impl Homes {
    /// Forgets groups that were split off.
    pub(super) fn keep(&mut self, keeps: impl Fn(&GroupId) -> bool) {
        self.cached.retain(|group, _| keeps(group));
        self.moved.retain(|group, _| keeps(group));
    }

    /// The store has everything staged.
    pub(super) fn settled(&mut self) {
        if self.cached.len() > CACHED {
            self.cached.clear();
        }
    }
}

impl ShardApply {
    fn is_born_here(&self, group: &GroupId) -> bool {
        keys::slots::contains(self.config.region, self.slots(), group)
    }

    /// How this shard stands to a group.
    pub(super) fn home(&mut self, group: &GroupId) -> Result<StoredHome, ApplyError> {
        if let Some(home) = self.homes.cached.get(group) {
            return Ok(*home);
        }
        let key = keys::homes::key(self.config.shard, group);
        let home = match self.view.get(Table::Shards, &key)? {
            Some(bytes) => value::decode_value(bytes)?,
            None if self.is_born_here(group) => StoredHome {
                phase: HomePhase::Here as i32,
                held: true,
                ..StoredHome::default()
            },
            None => StoredHome::default(),
        };
        self.homes.cached.insert(*group, home);
        Ok(home)
    }

    pub(super) fn put_home(&mut self, group: GroupId, home: StoredHome) {
        let version = self.version;
        let home = StoredHome { version, ..home };
        self.applied.moves = true;
        self.homes.cached.insert(group, home);
        match moved(&home) {
            Some(moved) => self.homes.moved.insert(group, moved),
            None => self.homes.moved.remove(&group),
        };
        let key = keys::homes::key(self.config.shard, &group);
        self.view
            .put(Table::Shards, key, value::encode_value(&home));
    }

    /// The answer to a command of a group that is not to be changed here.
    pub(super) fn elsewhere(&mut self, group: &GroupId) -> Result<Option<Outcome>, ApplyError> {
        if !has_slot(self.slots(), group) {
            return Ok(Some(self.split_away()));
        }
        if !self.applied.moves {
            return Ok(None);
        }
        let home = self.home(group)?;
        if safeguard!(MoveFence, home.phase() == HomePhase::Fenced) {
            let fault = Fault::new(
                Code::Unavailable,
                "the group is about to be at home in another region",
            );
            return Ok(Some(super::rejected(&fault)));
        }
        Ok(away(&home).map(|moved| Outcome {
            result: Some(outcome::Result::Moved(moved)),
        }))
    }

    /// The answer to a command of a group whose slot was split off: the last
    /// shard that was, or whoever asks should know better by now and finds out
    /// there.
    fn split_away(&self) -> Outcome {
        let shard = self.applied.split_off;
        let moved = Moved { shard, epoch: 0 };
        Outcome {
            result: Some(outcome::Result::Moved(moved)),
        }
    }

    /// What followers are told of a batch: not what nobody is to see, since all
    /// of it is not here yet, and where groups went.
    pub(super) fn told(&mut self, pushes: Vec<GroupPush>) -> Result<Vec<GroupPush>, ApplyError> {
        if !self.applied.moves {
            return Ok(pushes);
        }
        let mut told = Vec::with_capacity(pushes.len());
        for push in pushes {
            // What was split off in this batch has nobody else to tell of it.
            let group = GroupId::from_slice(&push.group).ok();
            let group = group.filter(|group| has_slot(self.slots(), group));
            if !matches!(group, Some(group) if away(&self.home(&group)?).is_some()) {
                told.push(push);
            }
        }
        let went = std::mem::take(&mut self.homes.moved).into_iter();
        told.extend(went.map(|(group, moved)| GroupPush::of_move(&group, moved)));
        Ok(told)
    }

    /// The epoch that an entry of the group is of.
    pub(super) fn epoch_of(&mut self, step: &Step, group: &GroupId) -> Result<Epoch, ApplyError> {
        if !self.applied.moves {
            return Ok(step.epoch);
        }
        Ok(Epoch {
            generation: step.epoch.generation.saturating_add(self.home(group)?.lift),
            term: step.epoch.term,
        })
    }

    /// One step of a group's way.
    pub(super) fn move_command(&mut self, group: GroupId, op: command::Op) -> Answer {
        if self.applied.apply_version < version::APPLY_MOVES {
            return refuse(
                Code::Unavailable,
                format!("groups move from apply version {} on", version::APPLY_MOVES),
            );
        }
        if group.class() == Class::SelfGroup {
            return refuse(Code::Invalid, "a user's own group stays with the user");
        }
        if !has_slot(self.slots(), &group) {
            return Ok(Ok(self.split_away()));
        }
        match op {
            command::Op::BeginMove(begin) => {
                self.begin_move(group, begin.epoch, ShardId(begin.to_shard))
            }
            command::Op::FenceGroup(fence) => self.fence(group, fence.epoch),
            command::Op::EndMove(end) => self.end_move(group, end.epoch),
            command::Op::AbortMove(abort) => self.abort_move(group, abort.epoch),
            command::Op::SetRedirect(set) => {
                self.set_redirect(group, set.epoch, ShardId(set.to_shard))
            }
            command::Op::ImportGroup(import) => self.import(group, import),
            command::Op::ActivateGroup(activate) => self.activate(group, &activate),
            command::Op::CancelImport(cancel) => {
                self.cancel(group, cancel.epoch, ShardId(cancel.from_shard))
            }
            command::Op::DropGroup(drop) => self.drop_group(group, drop.epoch),
            _ => refuse(Code::UnknownRequest, "not a step of a move"),
        }
    }

    /// How the shard stands to the group now.
    pub(super) fn home_state(&mut self, group: &GroupId) -> Answer {
        let home = self.home(group)?;
        let held = match home.held {
            true => self.view.head(group)?.map_or(0, |head| head.seq),
            false => 0,
        };
        Ok(Ok(Outcome {
            result: Some(outcome::Result::HomeState(HomeState {
                epoch: home.epoch,
                phase: home.phase,
                held,
            })),
        }))
    }

    /// A step that does not fit.
    pub(super) fn unfit(home: &StoredHome, what: &str, epoch: u64) -> Answer {
        let phase = home.phase().as_str_name();
        refuse(
            Code::Invalid,
            format!(
                "{what} of epoch {epoch}: here the group is in epoch {} ({phase})",
                home.epoch
            ),
        )
    }

    fn begin_move(&mut self, group: GroupId, epoch: u64, to: ShardId) -> Answer {
        let home = self.home(&group)?;
        let under_way = matches!(home.phase(), HomePhase::Leaving | HomePhase::Fenced);
        let epoch = match epoch {
            0 if under_way && home.peer == to.0 => home.epoch,
            0 => home.epoch + 1,
            epoch => epoch,
        };
        if under_way && home.epoch == epoch && home.peer == to.0 {
            return self.home_state(&group);
        }
        if home.phase() != HomePhase::Here || epoch != home.epoch + 1 {
            return Self::unfit(&home, "a move", epoch);
        }
        if to == self.config.shard || to == ShardId::META {
            return refuse(
                Code::Invalid,
                format!("a group of this shard to shard {to}"),
            );
        }
        if self.group_value(&group)?.is_none() {
            return refuse(Code::NotFound, "");
        }
        let leaving = StoredHome {
            epoch,
            phase: HomePhase::Leaving as i32,
            peer: to.0,
            leaves_as: 0,
            ..home
        };
        self.put_home(group, leaving);
        self.home_state(&group)
    }

    fn fence(&mut self, group: GroupId, epoch: u64) -> Answer {
        let home = self.home(&group)?;
        match home.phase() {
            HomePhase::Leaving if home.epoch == epoch => {
                let phase = HomePhase::Fenced as i32;
                self.put_home(group, StoredHome { phase, ..home });
            }
            HomePhase::Fenced if home.epoch == epoch => {}
            _ => return Self::unfit(&home, "a fence", epoch),
        }
        self.home_state(&group)
    }

    fn end_move(&mut self, group: GroupId, epoch: u64) -> Answer {
        let home = self.home(&group)?;
        match home.phase() {
            HomePhase::Fenced if home.epoch == epoch => {
                let gone = StoredHome {
                    phase: HomePhase::Gone as i32,
                    redirect: home.peer,
                    redirect_epoch: epoch,
                    ..home
                };
                self.put_home(group, gone);
            }
            HomePhase::Gone if home.epoch == epoch => {}
            _ => return Self::unfit(&home, "an end", epoch),
        }
        self.home_state(&group)
    }

    fn abort_move(&mut self, group: GroupId, epoch: u64) -> Answer {
        let home = self.home(&group)?;
        match home.phase() {
            HomePhase::Leaving | HomePhase::Fenced if home.epoch == epoch => {
                // The epoch is used up: that shard has cancelled it for good.
                let here = StoredHome {
                    phase: HomePhase::Here as i32,
                    peer: 0,
                    ..home
                };
                self.put_home(group, here);
            }
            HomePhase::Here if home.epoch == epoch => {}
            _ => return Self::unfit(&home, "an abort", epoch),
        }
        self.home_state(&group)
    }

    /// The greatest epoch wins; where the group is at home nothing is to be
    /// redirected.
    fn set_redirect(&mut self, group: GroupId, epoch: u64, to: ShardId) -> Answer {
        if !self.is_born_here(&group) {
            return refuse(Code::Invalid, "redirects are kept where a group was born");
        }
        let home = self.home(&group)?;
        let away = matches!(
            home.phase(),
            HomePhase::Gone | HomePhase::Arriving | HomePhase::Cancelled
        );
        if !away && epoch > home.epoch {
            return refuse(Code::Busy, "an earlier move has not ended here");
        }
        if away && epoch > home.redirect_epoch {
            let told = StoredHome {
                redirect: to.0,
                redirect_epoch: epoch,
                ..home
            };
            self.put_home(group, told);
        }
        self.home_state(&group)
    }

    /// What is here of a group that is not at home here goes.
    fn drop_group(&mut self, group: GroupId, epoch: u64) -> Answer {
        let home = self.home(&group)?;
        let gone = matches!(home.phase(), HomePhase::Gone | HomePhase::Cancelled);
        if home.epoch != epoch || !gone {
            return Self::unfit(&home, "a drop", epoch);
        }
        if home.held {
            self.view.drop_group(&group);
            self.put_home(
                group,
                StoredHome {
                    held: false,
                    ..home
                },
            );
        }
        self.home_state(&group)
    }
}
