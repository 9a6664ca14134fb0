//! Groups that this node's sessions follow and that went to another shard: they
//! are followed there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use folkmoot_replication::placement::has_slot;
use folkmoot_wire::proto::{GroupPush, Moved};
use folkmoot_wire::{Code, Fault, GroupId, ShardId};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::backend::NodeBackend;
use super::extent::Slots;
use super::feeds::{News, Publish};
use super::follow::Followers;
use super::view::ClusterView;
use crate::edge::Edge;

/// Those that could not be followed are tried again after this time.
const AGAIN: Duration = Duration::from_secs(1);

/// What is to be followed elsewhere.
pub struct Again {
    view: Arc<ClusterView>,
    followers: Arc<Followers>,
    /// Of those that sessions want, which bounds it.
    due: Mutex<BTreeSet<GroupId>>,
    work: Notify,
}

impl Again {
    /// Nothing yet.
    pub fn new(view: Arc<ClusterView>, followers: Arc<Followers>) -> Self {
        Self {
            view,
            followers,
            due: Mutex::default(),
            work: Notify::new(),
        }
    }

    /// Where feeds publish to: what is for sessions goes on to an edge.
    ///
    /// Weakly, for the edge asks what holds the feeds.
    pub fn publish_to(self: &Arc<Self>, edge: &Arc<Edge>) -> Publish {
        let (again, edge) = (Arc::clone(self), Arc::downgrade(edge));
        Box::new(move |shard, news| {
            let Some(edge) = edge.upgrade() else { return };
            match news {
                News::Pushes(pushes) => match again.heed(shard, pushes) {
                    Some(others) => edge.publish(&others),
                    None => edge.publish(pushes),
                },
                News::Replaced => edge.replaced(|group| again.view.is_home(group, shard)),
            }
        })
    }

    /// What is wanted of a shard that lost slots is looked for where they are.
    pub fn look(&self, shard: ShardId, slots: Slots) {
        let mut wanted = self.followers.wanted(shard);
        wanted.retain(|group| !has_slot(slots, group));
        self.find(wanted);
    }

    /// These are looked for, wherever they are at home.
    pub fn find(&self, wanted: Vec<GroupId>) {
        if !wanted.is_empty() {
            self.due.lock().extend(wanted);
            self.work.notify_one();
        }
    }

    /// Takes out what is not for sessions, if there is such.
    fn heed(&self, shard: ShardId, pushes: &[GroupPush]) -> Option<Vec<GroupPush>> {
        if pushes.iter().all(|push| push.moved.is_none()) {
            return None;
        }
        for push in pushes {
            if let (Some(moved), Ok(group)) = (push.moved, GroupId::from_slice(&push.group)) {
                let to = Moved {
                    shard: moved.shard,
                    epoch: moved.epoch,
                };
                let _ask_again = self.view.moved(&group, shard, to);
                if self.followers.wanted_of(&group).is_some() {
                    self.due.lock().insert(group);
                    self.work.notify_one();
                }
            }
        }
        let others = pushes.iter().filter(|push| push.moved.is_none());
        Some(others.cloned().collect())
    }

    /// Works until the node stops.
    pub async fn run(self: Arc<Self>, backend: Arc<NodeBackend>, stop: CancellationToken) {
        let _ = stop.run_until_cancelled(self.work(&backend)).await;
    }

    async fn work(&self, backend: &NodeBackend) {
        loop {
            let waiting = !self.due.lock().is_empty();
            let notified = self.work.notified();
            match waiting {
                true => drop(timeout(AGAIN, notified).await),
                false => notified.await,
            }
            self.follow_due(|group| backend.want_again(group)).await;
        }
    }

    async fn follow_due<F>(&self, follow: impl Fn(GroupId) -> F)
    where
        F: Future<Output = Result<(), Fault>>,
    {
        // Taken out first: what becomes due while it is being followed went on
        // meanwhile, and is followed once more.
        let due = std::mem::take(&mut *self.due.lock());
        for group in due {
            match follow(group).await {
                Err(fault) if fault.code.temporary() => {
                    tracing::debug!(%group, %fault, "a group that moved is followed later");
                    self.due.lock().insert(group);
                }
                Err(fault) if fault.code != Code::NotFound => {
                    tracing::warn!(%group, %fault, "a group that moved is not followed");
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
