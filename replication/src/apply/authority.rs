//! Who may do what. Checked at the edge as a courtesy and here for good.

use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::proto::{GroupValue, MemberAuthority, MemberSelf, MemberStatus, Role};
use folkmoot_wire::{Code, Fault, GroupId, UserId, without};

use super::sequence::Request;
use super::{ApplyError, ShardApply};

/// A member as apply sees one.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing {
    pub(super) authority: MemberAuthority,
    pub(super) own: MemberSelf,
}

impl Standing {
    pub(super) fn status(&self) -> MemberStatus {
        self.authority.status()
    }

    pub(super) fn is_member(&self) -> bool {
        self.status() == MemberStatus::Member
    }

    pub(super) fn rank(&self) -> i32 {
        if self.is_member() {
            self.authority.role
        } else {
            Role::None as i32
        }
    }
}

/// A group that takes commands, and the sender's standing in it.
pub(super) struct Floor {
    pub(super) group: GroupValue,
    pub(super) sender: Standing,
}

/// A check's result: a refusal is not an error of apply.
pub(super) type Checked<T> = Result<Result<T, Fault>, ApplyError>;

impl ShardApply {
    pub(super) fn standing(
        &mut self,
        group: &GroupId,
        user: &UserId,
    ) -> Result<Standing, ApplyError> {
        let value = self.member(group, user)?.unwrap_or_default();
        without!(BanAtApply => {
            let mut authority = value.authority.unwrap_or_default();
            if authority.status() == MemberStatus::Banned {
                authority.set_status(MemberStatus::Member);
                authority.role = Role::Member as i32;
            }
            let own = value.self_.unwrap_or_default();
            return Ok(Standing { authority, own });
        });
        Ok(Standing {
            authority: value.authority.unwrap_or_default(),
            own: value.self_.unwrap_or_default(),
        })
    }

    /// The group, if it is there and takes entries.
    pub(super) fn living(&mut self, request: &Request) -> Checked<GroupValue> {
        Ok(match self.group_value(&request.group)? {
            None => Err(Code::NotFound.into()),
            Some(value) if value.dissolved => Err(Code::Dissolved.into()),
            Some(value) => Ok(value),
        })
    }

    /// The sender is a member of a living group. An outsider learns nothing:
    /// the answer is that of a group that does not exist.
    pub(super) fn by_member(&mut self, request: &Request) -> Checked<Floor> {
        let sender = self.standing(&request.group, &request.sender)?;
        match sender.status() {
            MemberStatus::Member => {}
            MemberStatus::Banned => return Ok(Err(Code::Banned.into())),
            MemberStatus::None | MemberStatus::Left => return Ok(Err(Code::NotFound.into())),
        }
        Ok(self.living(request)?.map(|group| Floor { group, sender }))
    }

    /// A member who may post now.
    pub(super) fn by_poster(&mut self, request: &Request) -> Checked<Floor> {
        let floor = match self.by_member(request)? {
            Ok(floor) => floor,
            refused => return Ok(refused),
        };
        if floor.sender.rank() < Role::Member as i32 {
            return Ok(Err(Fault::new(
                Code::Forbidden,
                "read-only members do not post",
            )));
        }
        let now = self.log_time(request)?.millis();
        let until = floor.sender.authority.muted_until_ms;
        if until > now {
            let detail = format!("until {until} ms");
            return Ok(Err(Fault::new(Code::Muted, detail).retry_after(until - now)));
        }
        Ok(Ok(floor))
    }

    /// A member of at least `least`.
    pub(super) fn by_role(&mut self, request: &Request, least: Role) -> Checked<Floor> {
        Ok(match self.by_member(request)? {
            Ok(floor) if floor.sender.rank() < least as i32 => Err(Code::Forbidden.into()),
            checked => checked,
        })
    }

    /// An admin acting on somebody of lesser rank.
    pub(super) fn over_subject(&mut self, request: &Request) -> Checked<(Floor, Standing)> {
        let floor = match self.by_role(request, Role::Admin)? {
            Ok(floor) => floor,
            Err(fault) => return Ok(Err(fault)),
        };
        let subject = self.standing(&request.group, &request.subject())?;
        if subject.rank() >= floor.sender.rank() {
            return Ok(Err(Fault::new(
                Code::Forbidden,
                "only over members of a lesser role",
            )));
        }
        Ok(Ok((floor, subject)))
    }

    /// The HLC that the next entry would get: apply's only time.
    pub(super) fn log_time(&mut self, request: &Request) -> Result<Hlc, ApplyError> {
        let last = self.view.head(&request.group)?.map_or(0, |head| head.hlc);
        Ok(request.proposed.max(Hlc::from_u64(last).next()))
    }
}
