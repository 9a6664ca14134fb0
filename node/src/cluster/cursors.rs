//! Cursor changes of this edge's clients: merged, sent upstream once a second
//! or when a hundred wait, and kept until acknowledged (D5).

use std::collections::BTreeMap;
use std::sync::Arc;

use folkmoot_wire::proto::{Command, CursorBatch, CursorChange, command};
use folkmoot_wire::{GroupId, UserId, limits};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::router::Router;

/// Changes that may wait. Full: the oldest group's wait longer, and a change
/// that finds no place is dropped; the client's next one makes up for it.
const WAITING_MAX: usize = 200_000;

/// The changes that wait.
#[derive(Default)]
pub struct Cursors {
    waiting: Mutex<BTreeMap<(GroupId, UserId), u64>>,
    many: Notify,
}

impl Cursors {
    /// Moves a cursor; the furthest wins.
    pub fn put(&self, group: GroupId, user: UserId, seq: u64) {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= WAITING_MAX && !waiting.contains_key(&(group, user)) {
            return;
        }
        let held = waiting.entry((group, user)).or_default();
        *held = seq.max(*held);
        if waiting.len() >= limits::CURSOR_BATCH {
            self.many.notify_one();
        }
    }

    /// Sends what waits until the node stops.
    pub async fn run(self: Arc<Self>, router: Arc<Router>, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = timeout(limits::CURSOR_FLUSH, self.many.notified()) => {}
            }
            self.flush(&router).await;
            // The pace of a flood, so that one edge's commands stay few.
            sleep(limits::CURSOR_FLUSH / 20).await;
        }
    }

    /// Sends everything that waits once; what was not acknowledged stays.
    pub async fn flush(&self, router: &Router) {
        let mut by_group: BTreeMap<GroupId, Vec<(UserId, u64)>> = BTreeMap::new();
        for ((group, user), seq) in self.waiting.lock().iter() {
            by_group.entry(*group).or_default().push((*user, *seq));
        }
        for (group, changes) in by_group {
            for part in changes.chunks(limits::BATCH_COMMANDS) {
                let command = Command {
                    group: group.to_bytes(),
                    op: Some(command::Op::Cursors(batch(part))),
                };
                if router.propose_of(&group, vec![command]).await.is_ok() {
                    self.acknowledge(group, part);
                }
            }
        }
    }

    fn acknowledge(&self, group: GroupId, sent: &[(UserId, u64)]) {
        let mut waiting = self.waiting.lock();
        for (user, seq) in sent {
            if waiting.get(&(group, *user)) == Some(seq) {
                waiting.remove(&(group, *user));
            }
        }
    }
}

fn batch(changes: &[(UserId, u64)]) -> CursorBatch {
    CursorBatch {
        changes: changes
            .iter()
            .map(|(user, seq)| CursorChange {
                user: user.to_bytes(),
                seq: *seq,
            })
            .collect(),
    }
}
