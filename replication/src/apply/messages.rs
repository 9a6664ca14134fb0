//! What people say, and what they do to what was said.

use folkmoot_wire::proto::{EntryHeader, Kind, Role};
use folkmoot_wire::{Code, Fault};

use super::authority::{Checked, Floor};
use super::sequence::Request;
use super::{Answer, ShardApply, Step};

impl ShardApply {
    pub(super) fn post(&mut self, step: &Step, request: &Request) -> Answer {
        let floor = match self.by_poster(request)? {
            Ok(floor) => floor,
            Err(fault) => return Ok(Err(fault)),
        };
        if request.append.mentions_all && floor.sender.rank() < Role::Admin as i32 {
            return super::refuse(Code::Forbidden, "only admins mention all");
        }
        self.say(step, request, &floor)
    }

    /// Notices speak for the group: an admin or a bridge makes them.
    pub(super) fn notice(&mut self, step: &Step, request: &Request) -> Answer {
        match self.by_role(request, Role::Admin)? {
            Ok(floor) => self.say(step, request, &floor),
            Err(fault) => Ok(Err(fault)),
        }
    }

    /// One's own message or action gets new content.
    pub(super) fn edit(&mut self, step: &Step, request: &Request) -> Answer {
        let floor = match self.by_poster(request)? {
            Ok(floor) => floor,
            Err(fault) => return Ok(Err(fault)),
        };
        match self.target(request)? {
            Ok(target) if target.sender == request.append.sender => self.say(step, request, &floor),
            Ok(_) => super::refuse(Code::Forbidden, "only one's own messages are edited"),
            Err(fault) => Ok(Err(fault)),
        }
    }

    /// One's own message, or anybody's by an admin, is withdrawn.
    pub(super) fn recall(&mut self, step: &Step, request: &Request) -> Answer {
        let floor = match self.by_member(request)? {
            Ok(floor) => floor,
            Err(fault) => return Ok(Err(fault)),
        };
        let target = match self.target(request)? {
            Ok(target) => target,
            Err(fault) => return Ok(Err(fault)),
        };
        let own = target.sender == request.append.sender;
        if !own && floor.sender.rank() < Role::Admin as i32 {
            return super::refuse(Code::Forbidden, "only admins recall what others said");
        }
        self.say(step, request, &floor)
    }

    fn say(&mut self, step: &Step, request: &Request, floor: &Floor) -> Answer {
        let header = self.commit(step, request, &floor.sender.own.nick)?;
        Self::committed(&header)
    }

    /// The message acted on, if the sender may see it.
    fn target(&mut self, request: &Request) -> Checked<EntryHeader> {
        let missing = || Ok(Err(Fault::from(Code::TargetNotFound)));
        let seq = request.append.target;
        let visible = self
            .standing(&request.group, &request.sender)?
            .authority
            .visible_from;
        if seq < visible {
            return missing();
        }
        let Some(entry) = self.view.entry(&request.group, seq)? else {
            return missing();
        };
        match entry.decode_header() {
            Ok(header) if matches!(header.kind(), Kind::Message | Kind::Action) => Ok(Ok(header)),
            Ok(_) => missing(),
            Err(error) => Err(super::ApplyError::Corrupt {
                group: request.group,
                what: format!("entry {seq}: {error}"),
            }),
        }
    }
}
