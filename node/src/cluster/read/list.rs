//! Which groups a node holds.

use bytes::Bytes;
use folkmoot_replication::placement::Placement;
use folkmoot_storage::{Place, log};
use folkmoot_wire::proto::{GroupHead, GroupHeads, ListGroupsOnNode};
use folkmoot_wire::{Code, Fault, limits};

use super::{LocalReads, storage};
use crate::cluster::extent::Kept;

impl LocalReads {
    /// Heads of the groups that this node holds, in the order in which it holds
    /// them. Left out are those that are here since they come or go.
    ///
    /// # Errors
    /// When the store fails or `after` is not from an earlier answer.
    pub fn list(
        &self,
        placement: &Placement,
        list: &ListGroupsOnNode,
    ) -> Result<GroupHeads, Fault> {
        let limit = list.limit.clamp(1, limits::PAGE_ROWS) as usize;
        let after = match list.after.len() {
            0 => None,
            _ => Some(after(&list.after)?),
        };
        let page = log::read_heads(&*self.store, after.as_ref(), limit).map_err(storage)?;
        let next = match page.last() {
            Some((last, _)) if page.len() == limit => last.key(),
            _ => Bytes::new(),
        };
        let mut heads = Vec::with_capacity(page.len());
        for (place, head) in page {
            let shard = placement.shard_of_slot(place.region, place.group.slot());
            let home = match shard {
                Some(shard) => self
                    .moved(shard, &place.group, Some(Kept::all_of(shard.slots)))?
                    .is_none(),
                None => true,
            };
            if home {
                heads.push(GroupHead {
                    group: place.group.to_bytes(),
                    head: Some(head),
                    home: None,
                });
            }
        }
        Ok(GroupHeads { heads, next })
    }
}

fn after(key: &Bytes) -> Result<Place, Fault> {
    match Place::split(key) {
        Ok((place, [])) => Ok(place),
        _ => Err(Fault::new(
            Code::Invalid,
            "not where an earlier answer ended",
        )),
    }
}
