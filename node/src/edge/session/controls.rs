//! Activations and deactivations of one session, one after the other. Nobody
//! works on them while there are none: an idle session has no task for it.

use std::collections::VecDeque;
use std::sync::Arc;

use folkmoot_wire::proto::{Activate, Deactivate};
use parking_lot::Mutex;

use super::{Asked, Session};
use crate::edge::requests::activate;

/// What is worked on one after the other.
pub(super) enum Control {
    Activate(Asked, Activate),
    Deactivate(Asked, Deactivate),
}

/// What waits. These are open requests, which bounds them.
#[derive(Default)]
pub(super) struct Controls(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Control>,
    running: bool,
}

impl Controls {
    /// Drops what waits.
    pub(super) fn clear(&self) {
        let waiting = std::mem::take(&mut self.0.lock().waiting);
        drop(waiting);
    }

    /// True: somebody has to begin to work.
    fn put(&self, control: Control) -> bool {
        let mut queue = self.0.lock();
        queue.waiting.push_back(control);
        !std::mem::replace(&mut queue.running, true)
    }

    fn take(&self) -> Option<Control> {
        let mut queue = self.0.lock();
        let next = queue.waiting.pop_front();
        if next.is_none() {
            // Nor does it keep room for the next ones.
            *queue = Queue::default();
        }
        next
    }
}

impl Session {
    /// Queues it behind the session's earlier ones.
    pub(super) fn control(self: &Arc<Self>, control: Control) {
        if self.controls.put(control) {
            self.spawn(Arc::clone(self).work_on_controls());
        }
    }

    async fn work_on_controls(self: Arc<Self>) {
        while let Some(control) = self.controls.take() {
            match control {
                Control::Activate(asked, request) => {
                    activate::activate(&self, asked, request).await;
                }
                Control::Deactivate(asked, request) => {
                    activate::deactivate(&self, asked, request).await;
                }
            }
        }
    }
}
