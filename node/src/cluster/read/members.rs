//! Members by role and by nick, from the store's index.

use bytes::Bytes;
use folkmoot_storage::{Place, Sorted, member_counts, members};
use folkmoot_wire::proto::{FindMembers, MemberPage, find_members::By};
use folkmoot_wire::{Code, Fault, limits};

use super::{LocalReads, storage};
use crate::backend::{FoundMembers, MembersWanted};

impl LocalReads {
    /// A page of members.
    ///
    /// # Errors
    /// When the store fails.
    pub fn members(&self, place: &Place, wanted: &MembersWanted) -> Result<FoundMembers, Fault> {
        let limit = wanted.limit.clamp(1, limits::PAGE_ROWS) as usize;
        let (sorted, after) = (&wanted.sorted, &wanted.after);
        let (rows, next) = members(&*self.store, place, sorted, after, limit).map_err(storage)?;
        let by_role = member_counts(&*self.store, place).map_err(storage)?;
        Ok(FoundMembers {
            rows,
            next,
            by_role: by_role.to_vec(),
        })
    }

    /// Answers another node's question for members.
    ///
    /// # Errors
    /// When it asks for no order, or the store fails.
    pub fn find_members(&self, place: &Place, find: FindMembers) -> Result<MemberPage, Fault> {
        let sorted = match find.by {
            Some(By::Role(role)) => u8::try_from(role)
                .map(Sorted::Role)
                .map_err(|_| Fault::new(Code::Invalid, format!("there is no role {role}")))?,
            Some(By::Nick(prefix)) => Sorted::Nick(prefix),
            None => return Err(Fault::new(Code::Invalid, "by role or by nick?")),
        };
        let wanted = MembersWanted {
            sorted,
            after: find.after,
            limit: find.limit,
        };
        Ok(self.members(place, &wanted)?.into())
    }
}

/// The question for another node.
#[must_use]
pub fn question(wanted: &MembersWanted, group: Bytes, shard: u32) -> FindMembers {
    FindMembers {
        group,
        shard,
        as_voter: true,
        by: Some(match &wanted.sorted {
            Sorted::Role(role) => By::Role((*role).into()),
            Sorted::Nick(prefix) => By::Nick(prefix.clone()),
        }),
        after: wanted.after.clone(),
        limit: wanted.limit,
    }
}
