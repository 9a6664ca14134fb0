//! Who may do what while the home is out of reach, as far as this node knows.
//!
//! By the copy here, which may be old, and by what waits already. A refusal is
//! the home's to give: whoever may not by the copy is told to try again.

use folkmoot_replication::tentative::{Standing, Tentative};
use folkmoot_wire::proto::{Kind, MemberAuthority, MemberStatus, MemberValue, Role, row};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{Code, Fault};

use super::Keeper;

impl Keeper {
    /// Whether it is taken, after what the same call `said` before it.
    pub(super) fn may(
        &self,
        said: &Tentative,
        before: &[Tentative],
        wall_ms: u64,
    ) -> Result<(), Fault> {
        let authority = self.member(said)?.and_then(|member| member.authority);
        let authority = authority.unwrap_or_default();
        let standing = self.waiting_standing(said, before);
        let may = match said.append.kind() {
            // Whom the group lets in the home knows.
            Kind::Join => authority.status() != MemberStatus::Banned,
            Kind::Leave | Kind::Rename => is_member(&authority, standing.as_ref()),
            Kind::Profile => {
                is_member(&authority, standing.as_ref()) && authority.role >= Role::Admin as i32
            }
            _ => may_speak(said, &authority, standing.as_ref(), wall_ms),
        };
        match may {
            true => Ok(()),
            false => Err(Code::Unavailable.into()),
        }
    }

    fn waiting_standing(&self, said: &Tentative, before: &[Tentative]) -> Option<Standing> {
        // All of one call are of one device.
        let now = before.iter().filter_map(Tentative::standing).last();
        now.or_else(|| self.known.lock().standing(&said.group, &said.attempt()))
    }

    /// The sender's row in the copy here.
    pub(super) fn member(&self, said: &Tentative) -> Result<Option<MemberValue>, Fault> {
        let key = RowKey::Member(said.attempt().user);
        let place = self.parts.copies.view.place_of(&said.group);
        let row = self.parts.copies.reads.row(&place, &key)?;
        Ok(match row.and_then(|row| row.value) {
            Some(row::Value::Member(member)) => Some(member),
            _ => None,
        })
    }
}

/// What waits was done after what the copy knows.
fn is_member(authority: &MemberAuthority, standing: Option<&Standing>) -> bool {
    match standing {
        Some(Standing::Comes { .. }) => authority.status() != MemberStatus::Banned,
        Some(Standing::Goes) => false,
        None => authority.status() == MemberStatus::Member,
    }
}

fn may_speak(
    said: &Tentative,
    authority: &MemberAuthority,
    standing: Option<&Standing>,
    wall_ms: u64,
) -> bool {
    let role = match standing {
        // As the home makes of whoever joins.
        Some(Standing::Comes { .. }) => authority.role.max(Role::Member as i32),
        _ => authority.role,
    };
    is_member(authority, standing)
        && role >= Role::Member as i32
        && authority.muted_until_ms <= wall_ms
        && (!said.append.mentions_all || role >= Role::Admin as i32)
}
