//! Changes of the group's profile are entries (D5); the document is a row.

use folkmoot_crdt::profile::Profile;
use folkmoot_wire::proto::{ProfileBody, Role, row};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{Code, limits};

use super::group::mismatch;
use super::sequence::Request;
use super::{Answer, ApplyError, ShardApply, Step, refuse};

impl ShardApply {
    pub(super) fn profile(&mut self, step: &Step, request: &Request) -> Answer {
        let body: ProfileBody = match request.body() {
            Ok(body) => body,
            Err(fault) => return Ok(Err(fault)),
        };
        let floor = match self.by_role(request, Role::Admin)? {
            Ok(floor) => floor,
            Err(fault) => return Ok(Err(fault)),
        };
        let mut profile = self.load_profile(request)?;
        match profile.apply(&body.changes, limits::PROFILE_MAX) {
            Ok(true) => {}
            Ok(false) => return super::done(),
            Err(error) => return refuse(Code::Invalid, error.to_string()),
        }
        let header = self.commit(step, request, &floor.sender.own.nick)?;
        self.put_bytes_row(request.group, RowKey::Profile, profile.save())?;
        Self::committed(&header)
    }

    fn load_profile(&mut self, request: &Request) -> Result<Profile, ApplyError> {
        let row = self.view.row(&request.group, RowKey::Profile)?;
        match row.and_then(|r| r.value) {
            None => Ok(Profile::new()),
            Some(row::Value::Profile(document)) => Profile::load(&document, limits::PROFILE_MAX)
                .map_err(|error| ApplyError::Corrupt {
                    group: request.group,
                    what: error.to_string(),
                }),
            Some(_) => Err(mismatch(&request.group, "profile")),
        }
    }
}
