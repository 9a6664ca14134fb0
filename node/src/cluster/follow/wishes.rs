//! What is wanted in full: by this node's edge, and by those who follow through
//! it.

use std::collections::BTreeSet;

use folkmoot_replication::apply::ApplyError;
use folkmoot_replication::follow::follower::Event;
use folkmoot_wire::GroupId;
use folkmoot_wire::proto::FollowUpdate;

use super::Task;
use super::handle::Wish;

impl Task {
    pub(super) async fn wish(&mut self, wish: Wish) -> Result<FollowUpdate, ApplyError> {
        let mut update = FollowUpdate::default();
        match wish {
            Wish::Want(group) => {
                if self.own.insert(group) && !self.relayed.contains(&group) {
                    self.want(group, &mut update).await?;
                }
            }
            Wish::Unwant(group) => {
                if self.own.remove(&group) && !self.relayed.contains(&group) {
                    self.unwant(group, &mut update).await?;
                }
            }
        }
        Ok(update)
    }

    /// A relay can give on in full only what it follows in full itself.
    pub(super) async fn relay(
        &mut self,
        now: BTreeSet<GroupId>,
    ) -> Result<FollowUpdate, ApplyError> {
        let mut update = FollowUpdate::default();
        let before = std::mem::replace(&mut self.relayed, now);
        if self.parts.all_groups {
            return Ok(update);
        }
        for group in self
            .relayed
            .difference(&before)
            .copied()
            .collect::<Vec<_>>()
        {
            if !self.own.contains(&group) {
                self.want(group, &mut update).await?;
            }
        }
        for group in before
            .difference(&self.relayed)
            .copied()
            .collect::<Vec<_>>()
        {
            if !self.own.contains(&group) {
                self.unwant(group, &mut update).await?;
            }
        }
        Ok(update)
    }

    async fn want(&mut self, group: GroupId, update: &mut FollowUpdate) -> Result<(), ApplyError> {
        update.add.push(group.to_bytes());
        let groups = vec![group];
        self.handle(Event::Want { groups }).await
    }

    async fn unwant(
        &mut self,
        group: GroupId,
        update: &mut FollowUpdate,
    ) -> Result<(), ApplyError> {
        update.remove.push(group.to_bytes());
        let groups = vec![group];
        self.handle(Event::Unwant { groups }).await
    }
}
