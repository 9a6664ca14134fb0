//! Groups that follow their people, where the operator wants it.

use std::sync::Arc;

use folkmoot_consensus::Sequencer;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_replication::placement::{Placement, Shard};
use folkmoot_replication::rehome::people::Senders;
use folkmoot_storage::{Seat, StoreError, keys, log};
use folkmoot_wire::proto::Head;
use folkmoot_wire::{GroupId, MessageId, RegionId, UserId, limits};
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::cluster::start::Node;

/// Heads read at once.
const HEADS: usize = 512;

impl Node {
    /// Looks until the node stops for groups whose people are elsewhere, and
    /// has them move.
    pub fn follow_people(self: &Arc<Self>) {
        let node = Arc::clone(self);
        self.tasks.spawn(async move {
            let look = async {
                loop {
                    sleep(limits::FOLLOW_PEOPLE_EVERY).await;
                    node.look_for_people().await;
                }
            };
            node.stop.run_until_cancelled(look).await
        });
    }

    async fn look_for_people(&self) {
        let placement = self.view.placement();
        for shard in placement.shards() {
            let led = self.voters.get(shard.id);
            if led.is_some_and(|voter| voter.raft.status().is_leader)
                && let Err(error) = self.look_at(&placement, shard).await
            {
                tracing::error!(shard = shard.id.0, %error, "groups cannot be looked through");
            }
        }
    }

    async fn look_at(&self, placement: &Placement, shard: &Shard) -> Result<(), StoreError> {
        let (mut from, to) = keys::slots::range(shard.region, shard.slots.0, shard.slots.1);
        loop {
            let page = {
                let seat = Seat::new(&*self.store, shard.region);
                log::heads_in(&seat, &from, &to, HEADS)?
            };
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            from = keys::successor(&shard.place(*last).key());
            for (group, head) in page {
                let better = self.better_home(placement, shard, &group, &head)?;
                let region = better.and_then(|region| placement.region_name(region));
                if let Some(region) = region {
                    self.have_move(&group, region).await;
                }
                yield_now().await;
            }
        }
    }

    async fn have_move(&self, group: &GroupId, region: &str) {
        match self.rehome(*group, region).await {
            Ok(_) => tracing::info!(%group, region, "the group follows its people"),
            Err(fault) => {
                tracing::info!(%group, region, %fault, "the group does not follow its people now");
            }
        }
    }

    /// The region where most of those sit who spoke lately.
    fn better_home(
        &self,
        placement: &Placement,
        shard: &Shard,
        group: &GroupId,
        head: &Head,
    ) -> Result<Option<RegionId>, StoreError> {
        let lately = self
            .stamps
            .wall_ms()
            .saturating_sub(limits::FOLLOW_PEOPLE_LOOK.as_millis() as u64);
        let is_old = |hlc: u64| Hlc::from_u64(hlc).millis() < lately;
        if group.self_user().is_some() || is_old(head.hlc) {
            return Ok(None);
        }
        let seat = Seat::new(&*self.store, shard.region);
        let (limit, bytes) = (limits::FOLLOW_PEOPLE_ENTRIES, limits::PAGE_BYTES);
        let page = log::read_entries_back(&seat, group, 0, 0, limit, bytes)?;
        let mut senders = Senders::default();
        for (_, entry) in page.iter().rev() {
            let Ok(header) = entry.decode_header() else {
                continue;
            };
            if is_old(header.hlc) {
                break;
            }
            let from = MessageId::from_slice(&header.id).ok();
            let from = from.and_then(|id| placement.region_of_node(id.node));
            let region = from.and_then(|name| placement.region_id(name));
            let user = UserId::from_slice(&header.sender).ok();
            if let Some((user, region)) = user.zip(region) {
                senders.spoke(user, region);
            }
        }
        Ok(senders.better_home(shard.region))
    }
}
