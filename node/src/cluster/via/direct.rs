//! Connections that this node dialled itself, one a peer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use folkmoot_transport::{Connection, Dial};
use folkmoot_wire::{Code, Fault, NodeId, limits};
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::unreachable;
use crate::cluster::view::ClusterView;

/// After a failed dial, the next one waits this long.
pub(in crate::cluster) const REDIAL: Duration = Duration::from_millis(300);

#[derive(Clone)]
enum State {
    Idle,
    /// Since when.
    Dialling(Instant),
    Up(Arc<dyn Connection>),
    Failed(Instant, Fault),
}

type Slot = Arc<watch::Sender<State>>;

/// The direct ways. A dial goes on when nobody waits for it any more: whoever
/// asks next finds it further on.
pub struct Direct {
    dial: Arc<dyn Dial>,
    view: Arc<ClusterView>,
    slots: Mutex<BTreeMap<NodeId, Slot>>,
}

impl Direct {
    pub(super) fn new(dial: Arc<dyn Dial>, view: Arc<ClusterView>) -> Self {
        Self {
            dial,
            view,
            slots: Mutex::default(),
        }
    }

    /// The connection to a node; dials when there is none.
    ///
    /// # Errors
    /// `unavailable` when the node cannot be reached.
    pub async fn get(&self, to: NodeId) -> Result<Arc<dyn Connection>, Fault> {
        let slot = self.dialled(to);
        dialled(to, &slot).await
    }

    /// The same, for who has another way: waits until a dial has been under
    /// way for [`limits::VIA_AFTER`], and no longer.
    ///
    /// # Errors
    /// `unavailable` when the node cannot be reached by then.
    pub async fn soon(&self, to: NodeId) -> Result<Arc<dyn Connection>, Fault> {
        let slot = self.dialled(to);
        let since = match &*slot.borrow() {
            State::Dialling(since) => *since,
            _ => Instant::now(),
        };
        timeout_at(since + limits::VIA_AFTER, dialled(to, &slot))
            .await
            .unwrap_or_else(|_| Err(unreachable(to, "it does not answer the dial")))
    }

    /// Whether a connection is there now.
    #[must_use]
    pub fn is_up(&self, to: NodeId) -> bool {
        let slot = self.slots.lock().get(&to).cloned();
        slot.is_some_and(|slot| matches!(&*slot.borrow(), State::Up(held) if lives(held)))
    }

    /// Closes every connection.
    pub fn close(&self) {
        for slot in self.slots.lock().values() {
            if let State::Up(connection) = &*slot.borrow() {
                connection.close(Code::Draining as u32, "the node is stopping");
            }
        }
    }

    /// The slot of a node, in which there is a connection, or a dial under
    /// way, or why the last one failed.
    fn dialled(&self, to: NodeId) -> Slot {
        let idle = || Arc::new(watch::Sender::new(State::Idle));
        let slot = Arc::clone(self.slots.lock().entry(to).or_insert_with(idle));
        let begins = slot.send_if_modified(|state| {
            let stays = match state {
                State::Idle => false,
                State::Dialling(_) => true,
                State::Up(connection) => lives(connection),
                State::Failed(at, _) => at.elapsed() < REDIAL,
            };
            if !stays {
                *state = State::Dialling(Instant::now());
            }
            !stays
        });
        if begins {
            self.begin(to, Arc::clone(&slot));
        }
        slot
    }

    fn begin(&self, to: NodeId, slot: Slot) {
        let Some(addr) = self.view.address(to) else {
            let fault = unreachable(to, "its address is not known");
            slot.send_replace(State::Failed(Instant::now(), fault));
            return;
        };
        let dial = Arc::clone(&self.dial);
        tokio::spawn(async move {
            let connection = match dial.dial_node(to, addr).await {
                Ok(connection) => connection,
                Err(error) => {
                    let fault = unreachable(to, &error.to_string());
                    slot.send_replace(State::Failed(Instant::now(), fault));
                    return;
                }
            };
            slot.send_replace(State::Up(Arc::clone(&connection)));
            let reason = connection.closed().await;
            tracing::debug!(node = to.0, %reason, "connection to a peer ended");
            slot.send_if_modified(|state| {
                let mine = matches!(state, State::Up(held) if Arc::ptr_eq(held, &connection));
                if mine {
                    *state = State::Idle;
                }
                mine
            });
        });
    }
}

async fn dialled(to: NodeId, slot: &Slot) -> Result<Arc<dyn Connection>, Fault> {
    let mut state = slot.subscribe();
    let state = state
        .wait_for(|state| !matches!(state, State::Dialling(_)))
        .await
        .map(|state| state.clone());
    match state {
        Ok(State::Up(connection)) => Ok(connection),
        Ok(State::Failed(_, fault)) => Err(fault),
        _ => Err(unreachable(to, "the connection ended")),
    }
}

fn lives(connection: &Arc<dyn Connection>) -> bool {
    connection.closed().now_or_never().is_none()
}
