//! Joins and the like that the home has put in their places: told to clients
//! once the copy here has them too, so that whoever joined finds the group.

use std::sync::Arc;

use folkmoot_wire::GroupId;
use folkmoot_wire::proto::Settled;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Keeper;

/// They. Bounded as what is kept is: each was.
#[derive(Debug, Default)]
pub(super) struct Effects {
    due: Mutex<Vec<(GroupId, Settled)>>,
    work: Notify,
}

impl Effects {
    pub(super) fn put(&self, group: GroupId, settled: Settled) {
        self.due.lock().push((group, settled));
        self.work.notify_one();
    }
}

impl Keeper {
    /// Works until the node stops.
    pub async fn tell_effects(self: Arc<Self>, stop: CancellationToken) {
        let work = async {
            loop {
                self.effects.work.notified().await;
                let due = std::mem::take(&mut *self.effects.due.lock());
                join_all(
                    due.into_iter()
                        .map(|(group, settled)| self.tell_effect(group, settled)),
                )
                .await;
            }
        };
        let _ = stop.run_until_cancelled(work).await;
    }

    async fn tell_effect(&self, group: GroupId, settled: Settled) {
        let copies = &self.parts.copies;
        // 0: there was nothing to change.
        if settled.seq > 0
            && let Some(shard) = copies.view.home_of(&group)
            && let Err(fault) = copies.reach_effect(&shard, &group, settled.seq).await
        {
            tracing::warn!(%group, %fault, "the copy here is behind what was committed");
        }
        self.show(&[], vec![(group, settled)]);
    }
}
