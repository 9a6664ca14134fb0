//! How groups begin and end.

use folkmoot_crdt::profile::Profile;
use folkmoot_wire::id::Class;
use folkmoot_wire::proto::{
    CreateBody, EntryHeader, GroupKind, GroupValue, Kind, MemberAuthority, MemberSelf,
    MemberStatus, Role,
};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{Code, Fault, GroupId, UserId, limits};

use super::group::{Age, Stamp, named};
use super::sequence::Request;
use super::{Answer, ApplyError, ShardApply, Step, refuse};

impl ShardApply {
    pub(super) fn create(&mut self, step: &Step, request: &Request) -> Answer {
        let body: CreateBody = match request.body() {
            Ok(body) => body,
            Err(fault) => return Ok(Err(fault)),
        };
        if let Err(fault) = check_create(request, &body) {
            return Ok(Err(fault));
        }
        if self.group_value(&request.group)?.is_some() {
            return refuse(Code::AlreadyExists, "");
        }
        let header = self.commit(step, request, &body.nick)?;
        self.begin(request, &header, &body)?;
        Self::committed(&header)
    }

    fn begin(
        &mut self,
        request: &Request,
        header: &EntryHeader,
        body: &CreateBody,
    ) -> Result<(), ApplyError> {
        let group = request.group;
        let mut members = vec![(request.sender, Role::Owner, body.nick.clone())];
        if body.kind() == GroupKind::Direct
            && let Some(peer) = request.subject
            && peer != request.sender
        {
            // The two of a direct group are equals.
            members[0].1 = Role::Member;
            members.push((peer, Role::Member, String::new()));
        }
        self.put_group_value(
            group,
            GroupValue {
                seq: header.seq,
                kind: body.kind,
                member_cap: effective_cap(body),
                history_from_join: body.history_from_join,
                open: body.open,
                member_count: members.len() as u32,
                name: body.name.clone(),
                owner: request.sender.to_bytes(),
                dissolved: false,
                quiet: 0,
            },
        )?;
        self.put_bytes_row(group, RowKey::Profile, Profile::new().save())?;
        for (user, role, nick) in members {
            let authority = MemberAuthority {
                seq: header.seq,
                status: MemberStatus::Member as i32,
                role: role as i32,
                visible_from: 1,
                ..MemberAuthority::default()
            };
            let own = named(Stamp::of(header), &MemberSelf::default(), nick);
            self.put_member(group, user, authority, own)?;
            self.list(group, user, Age::of(header), true)?;
        }
        Ok(())
    }

    /// Makes a user's self group, when it is not there yet (by the outbox of
    /// the shard that minted the user).
    pub(super) fn create_self(&mut self, step: &Step, user: UserId) -> Result<(), ApplyError> {
        let group = user.self_group();
        if self.group_value(&group)?.is_some() {
            return Ok(());
        }
        let body = CreateBody {
            kind: GroupKind::Self_ as i32,
            member_cap: 1,
            ..CreateBody::default()
        };
        let header = EntryHeader {
            kind: Kind::Create as i32,
            subject: user.to_bytes(),
            ..EntryHeader::default()
        };
        let bytes = prost::Message::encode_to_vec(&body);
        let header = self.place(step, group, header, system_salt(step, &group), bytes.into())?;
        self.put_group_value(
            group,
            GroupValue {
                seq: header.seq,
                kind: GroupKind::Self_ as i32,
                member_cap: 1,
                member_count: 1,
                owner: user.to_bytes(),
                ..GroupValue::default()
            },
        )?;
        let authority = MemberAuthority {
            seq: header.seq,
            status: MemberStatus::Member as i32,
            role: Role::Owner as i32,
            visible_from: 1,
            ..MemberAuthority::default()
        };
        self.put_member(group, user, authority, MemberSelf::default())
    }

    pub(super) fn dissolve(&mut self, step: &Step, request: &Request) -> Answer {
        let floor = match self.by_role(request, Role::Owner)? {
            Ok(floor) => floor,
            Err(fault) => return Ok(Err(fault)),
        };
        if floor.group.kind() != GroupKind::Group {
            return refuse(Code::Forbidden, "a user's own group is not dissolved");
        }
        let header = self.commit(step, request, &floor.sender.own.nick)?;
        self.put_group_value(
            request.group,
            GroupValue {
                seq: header.seq,
                quiet: 0,
                dissolved: true,
                ..floor.group
            },
        )?;
        Self::committed(&header)
    }
}

/// A salt that every replica makes alike. It hides nothing: such bodies are
/// no secret of anybody's.
pub(super) fn system_salt(step: &Step, group: &GroupId) -> bytes::Bytes {
    let mut hasher = blake3::Hasher::new_derive_key("folkmoot v1 system salt");
    hasher.update(group.as_bytes());
    hasher.update(&step.at.index.to_be_bytes());
    bytes::Bytes::copy_from_slice(&hasher.finalize().as_bytes()[..16])
}

fn check_create(request: &Request, body: &CreateBody) -> Result<(), Fault> {
    let invalid = |detail: &str| Err(Fault::new(Code::Invalid, detail));
    if body.name.len() > limits::NAME_MAX {
        return Err(Fault::new(
            Code::TooLarge,
            format!("a name has at most {} bytes", limits::NAME_MAX),
        ));
    }
    if body.nick.len() > limits::NICK_MAX {
        return Err(Fault::new(
            Code::TooLarge,
            format!("a nick has at most {} bytes", limits::NICK_MAX),
        ));
    }
    if body.member_cap > limits::MEMBER_CAP_MAX {
        return invalid("member_cap is over the cluster's limit");
    }
    match (body.kind(), request.group.class()) {
        (GroupKind::Group, Class::Group) => Ok(()),
        (GroupKind::Direct, Class::Direct) => match request.subject {
            Some(peer) if GroupId::direct(&request.sender, &peer) == request.group => Ok(()),
            _ => invalid("a direct group's id derives from its two users"),
        },
        _ => invalid("the group's id is of another kind"),
    }
}

fn effective_cap(body: &CreateBody) -> u32 {
    match (body.kind(), body.member_cap) {
        (GroupKind::Direct, _) => 2,
        (_, 0) => limits::MEMBER_CAP_DEFAULT,
        (_, cap) => cap,
    }
}
