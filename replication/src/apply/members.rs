//! Entries that change who is a member, and as what.

use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::proto::{
    EntryHeader, GroupKind, GroupValue, JoinBody, Kind, MemberAuthority, MemberSelf, MemberStatus,
    MuteBody, RenameBody, Role, RoleBody,
};
use folkmoot_wire::{Code, Fault, UserId, limits};

use super::authority::{Checked, Standing};
use super::group::{Age, Stamp, named};
use super::sequence::Request;
use super::{Answer, ApplyError, ShardApply, Step, done, refuse};

impl ShardApply {
    /// Joining when present changes nothing and makes no entry; nor does joining
    /// a large group.
    pub(super) fn join(&mut self, step: &Step, request: &Request) -> Answer {
        let body: JoinBody = match request.body().and_then(check_nick) {
            Ok(body) => body,
            Err(fault) => return Ok(Err(fault)),
        };
        let group = match self.may_join(request)? {
            Ok(group) => group,
            Err(fault) => return Ok(Err(fault)),
        };
        let user = request.subject();
        let before = self.standing(&request.group, &user)?;
        if before.is_member() {
            return done();
        }
        if before.status() == MemberStatus::Banned {
            return refuse(Code::Banned, "");
        }
        if group.member_count >= group.member_cap {
            return refuse(Code::GroupFull, format!("{} members", group.member_cap));
        }
        if self.joins_quietly(&group) {
            return self.join_quietly(step, request, group, &before, body.nick);
        }
        let nick = if user == request.sender {
            body.nick.clone()
        } else {
            self.standing(&request.group, &request.sender)?.own.nick
        };
        let header = self.commit(step, request, &nick)?;
        let visible_from = if group.history_from_join {
            header.seq
        } else {
            1
        };
        let authority = MemberAuthority {
            seq: header.seq,
            status: MemberStatus::Member as i32,
            role: Role::Member as i32,
            visible_from,
            muted_until_ms: before.authority.muted_until_ms,
            quiet: 0,
            cursor_base: before.authority.cursor_base,
        };
        let own = named(Stamp::of(&header), &before.own, body.nick);
        self.put_member(request.group, user, authority, own)?;
        self.put_group_value(
            request.group,
            GroupValue {
                seq: header.seq,
                quiet: 0,
                member_count: group.member_count + 1,
                ..group
            },
        )?;
        self.list(request.group, user, Age::of(&header), true)?;
        Self::committed(&header)
    }

    /// Anyone into an open group; else an admin adds people.
    fn may_join(&mut self, request: &Request) -> Checked<GroupValue> {
        let Some(group) = self.group_value(&request.group)? else {
            return Ok(Err(Code::NotFound.into()));
        };
        let sender = self.standing(&request.group, &request.sender)?;
        let stranger = sender.status() == MemberStatus::None;
        if group.kind() != GroupKind::Group || (stranger && !group.open) {
            // To an outsider a closed group does not exist.
            return Ok(Err(Code::NotFound.into()));
        }
        if group.dissolved {
            return Ok(Err(Code::Dissolved.into()));
        }
        if request.subject() == request.sender {
            return Ok(if group.open || sender.is_member() {
                Ok(group)
            } else {
                Err(Code::Forbidden.into())
            });
        }
        Ok(if sender.rank() >= Role::Admin as i32 {
            Ok(group)
        } else if sender.is_member() {
            Err(Code::Forbidden.into())
        } else {
            Err(Code::NotFound.into())
        })
    }

    /// Leaving when absent changes nothing and makes no entry.
    pub(super) fn leave(&mut self, step: &Step, request: &Request) -> Answer {
        let user = request.subject();
        let before = self.standing(&request.group, &user)?;
        let floor = if user == request.sender {
            if matches!(before.status(), MemberStatus::Left | MemberStatus::Banned) {
                return done();
            }
            if before.rank() == Role::Owner as i32 {
                return refuse(
                    Code::Forbidden,
                    "an owner makes somebody else owner first, or dissolves the group",
                );
            }
            self.by_member(request)?
        } else {
            self.over_subject(request)?.map(|(floor, _)| floor)
        };
        let floor = match floor {
            Ok(floor) => floor,
            Err(fault) => return Ok(Err(fault)),
        };
        if floor.group.kind() != GroupKind::Group {
            // Nobody could let the leaver in again.
            return refuse(Code::Forbidden, "a direct group is hidden, not left");
        }
        if !before.is_member() {
            return done();
        }
        let header = self.commit(step, request, &floor.sender.own.nick)?;
        self.depart(request, &before, header.seq, MemberStatus::Left)?;
        Self::committed(&header)
    }

    fn depart(
        &mut self,
        request: &Request,
        before: &Standing,
        seq: u64,
        status: MemberStatus,
    ) -> Result<(), ApplyError> {
        let (group, user) = (request.group, request.subject());
        let authority = MemberAuthority {
            seq,
            quiet: 0,
            status: status as i32,
            role: Role::None as i32,
            ..before.authority
        };
        self.put_member(group, user, authority, before.own.clone())?;
        if before.is_member()
            && let Some(value) = self.group_value(&group)?
        {
            self.put_group_value(
                group,
                GroupValue {
                    seq,
                    quiet: 0,
                    member_count: value.member_count.saturating_sub(1),
                    ..value
                },
            )?;
            self.list(group, user, Age { seq, quiet: 0 }, false)?;
        }
        Ok(())
    }

    pub(super) fn rename(&mut self, step: &Step, request: &Request) -> Answer {
        let body: RenameBody = match request.body() {
            Ok(body) => body,
            Err(fault) => return Ok(Err(fault)),
        };
        if request.subject() != request.sender {
            return refuse(Code::Forbidden, "members rename themselves");
        }
        if body.to.is_empty() || body.to.len() > limits::NICK_MAX {
            return refuse(
                Code::Invalid,
                format!("a nick has 1 to {} bytes", limits::NICK_MAX),
            );
        }
        let floor = match self.by_member(request)? {
            Ok(floor) => floor,
            Err(fault) => return Ok(Err(fault)),
        };
        let header = self.commit(step, request, &floor.sender.own.nick)?;
        // The least stamp that wins over the row held: a setting that an edge
        // stamped later than that one still wins over this.
        let own = MemberSelf {
            nick: body.to,
            hlc: Hlc::from_u64(floor.sender.own.hlc).next().as_u64(),
            ..floor.sender.own
        };
        self.put_member(request.group, request.sender, floor.sender.authority, own)?;
        Self::committed(&header)
    }

    pub(super) fn role(&mut self, step: &Step, request: &Request) -> Answer {
        let body: RoleBody = match request.body() {
            Ok(body) => body,
            Err(fault) => return Ok(Err(fault)),
        };
        let (floor, subject) = match self.over_subject(request)? {
            Ok(both) => both,
            Err(fault) => return Ok(Err(fault)),
        };
        let Ok(role) = Role::try_from(body.role as i32) else {
            return refuse(Code::Invalid, format!("unknown role {}", body.role));
        };
        if !subject.is_member() || role == Role::None {
            return refuse(Code::Invalid, "a role is given to a member");
        }
        let owner = floor.sender.rank() == Role::Owner as i32;
        if role as i32 >= floor.sender.rank() && !(owner && role == Role::Owner) {
            return refuse(Code::Forbidden, "only roles below one's own");
        }
        let header = self.commit(step, request, &floor.sender.own.nick)?;
        let authority = MemberAuthority {
            seq: header.seq,
            quiet: 0,
            role: role as i32,
            ..subject.authority
        };
        self.put_member(request.group, request.subject(), authority, subject.own)?;
        if role == Role::Owner {
            self.hand_over(request, floor.sender, floor.group, header.seq)?;
        }
        Self::committed(&header)
    }

    /// There is one owner: the old one becomes an admin.
    fn hand_over(
        &mut self,
        request: &Request,
        sender: Standing,
        group: GroupValue,
        seq: u64,
    ) -> Result<(), ApplyError> {
        let authority = MemberAuthority {
            seq,
            quiet: 0,
            role: Role::Admin as i32,
            ..sender.authority
        };
        self.put_member(request.group, request.sender, authority, sender.own)?;
        self.put_group_value(
            request.group,
            GroupValue {
                seq,
                quiet: 0,
                owner: request.subject().to_bytes(),
                ..group
            },
        )
    }

    pub(super) fn mute(&mut self, step: &Step, request: &Request) -> Answer {
        let body: MuteBody = match request.body() {
            Ok(body) => body,
            Err(fault) => return Ok(Err(fault)),
        };
        let (floor, subject) = match self.over_subject(request)? {
            Ok(both) => both,
            Err(fault) => return Ok(Err(fault)),
        };
        if !subject.is_member() {
            return refuse(Code::Invalid, "only members are muted");
        }
        let header = self.commit(step, request, &floor.sender.own.nick)?;
        let authority = MemberAuthority {
            seq: header.seq,
            quiet: 0,
            muted_until_ms: body.until_ms,
            ..subject.authority
        };
        self.put_member(request.group, request.subject(), authority, subject.own)?;
        Self::committed(&header)
    }

    /// After this entry's seq, no append by that user.
    pub(super) fn ban(&mut self, step: &Step, request: &Request) -> Answer {
        let (floor, subject) = match self.over_subject(request)? {
            Ok(both) => both,
            Err(fault) => return Ok(Err(fault)),
        };
        if subject.status() == MemberStatus::Banned {
            return done();
        }
        let header = self.commit(step, request, &floor.sender.own.nick)?;
        self.depart(request, &subject, header.seq, MemberStatus::Banned)?;
        Self::committed(&header)
    }

    pub(super) fn unban(&mut self, step: &Step, request: &Request) -> Answer {
        let (floor, subject) = match self.over_subject(request)? {
            Ok(both) => both,
            Err(fault) => return Ok(Err(fault)),
        };
        if subject.status() != MemberStatus::Banned {
            return done();
        }
        let header = self.commit(step, request, &floor.sender.own.nick)?;
        self.depart(request, &subject, header.seq, MemberStatus::Left)?;
        Self::committed(&header)
    }
}

/// Whom an entry puts out of its group, and as what. Followers derive the
/// departure from it, so that no row of theirs lags behind it.
#[must_use]
pub fn departure(header: &EntryHeader) -> Option<(UserId, MemberStatus)> {
    let status = match header.kind() {
        Kind::Ban => MemberStatus::Banned,
        Kind::Leave => MemberStatus::Left,
        _ => return None,
    };
    let user = match header.subject.is_empty() {
        true => &header.sender,
        false => &header.subject,
    };
    Some((UserId::from_slice(user).ok()?, status))
}

fn check_nick(body: JoinBody) -> Result<JoinBody, Fault> {
    if body.nick.len() > limits::NICK_MAX {
        return Err(Fault::new(
            Code::TooLarge,
            format!("a nick has at most {} bytes", limits::NICK_MAX),
        ));
    }
    Ok(body)
}
