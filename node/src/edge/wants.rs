//! Which groups this edge needs entries of: the first session that has a
//! group active asks the node for it, the last one gives it back.

use std::collections::HashMap;
use std::sync::Arc;

use folkmoot_wire::{Fault, GroupId};
use parking_lot::Mutex;

use crate::backend::Backend;

#[derive(Default)]
struct Want {
    holders: usize,
    /// Whether the node has answered. Held while one session asks, so that
    /// the others wait for the same answer.
    asked: Arc<tokio::sync::Mutex<bool>>,
}

/// Counts the holders of each group.
pub(super) struct Wants {
    backend: Arc<dyn Backend>,
    groups: Mutex<HashMap<GroupId, Want>>,
}

/// One holder. Dropping it gives the group back.
pub(super) struct Wanted {
    wants: Arc<Wants>,
    group: GroupId,
}

impl Wants {
    pub(super) fn new(backend: Arc<dyn Backend>) -> Arc<Self> {
        Arc::new(Self {
            backend,
            groups: Mutex::default(),
        })
    }

    /// Holds `group`; returns when the node follows it.
    pub(super) async fn hold(self: &Arc<Self>, group: GroupId) -> Result<Wanted, Fault> {
        let asked = {
            let mut groups = self.groups.lock();
            let want = groups.entry(group).or_default();
            want.holders += 1;
            Arc::clone(&want.asked)
        };
        // From here on the count is given back by drop, also when this future
        // is dropped while it waits.
        let wanted = Wanted {
            wants: Arc::clone(self),
            group,
        };
        let mut done = asked.lock().await;
        if !*done {
            self.backend.want(group).await?;
            *done = true;
        }
        drop(done);
        Ok(wanted)
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        let mut groups = self.wants.groups.lock();
        let Some(want) = groups.get_mut(&self.group) else {
            return;
        };
        want.holders -= 1;
        if want.holders == 0 {
            groups.remove(&self.group);
            // Under the lock: a session that wants the group from now on asks
            // anew, and its question comes after this one.
            self.wants.backend.unwant(self.group);
        }
    }
}
