//! What is tentative, and what became of it.

use bytes::Bytes;
use folkmoot_wire::proto::Settled;
use folkmoot_wire::{GroupId, UserId};

use super::subscriber::Subscriber;
use super::{Fanout, Link};
use crate::edge::tentative::frames;

impl Fanout {
    /// Shows it to the sessions that have the group active and asked for it.
    /// Those that are joining read it once they are live.
    pub(in crate::edge) fn tentative(&self, group: GroupId, frame: &Bytes) {
        let stripe = self.stripe(&group).lock();
        if let Some(state) = stripe.groups.get(&group) {
            state.tentative(&group, frame);
        }
    }

    fn is_live(&self, link: &Link, group: &GroupId) -> bool {
        let stripe = self.stripe(group).lock();
        let state = stripe.groups.get(group);
        let subscriber = state.and_then(|state| state.active.get(&link.id));
        subscriber.is_some_and(Subscriber::is_live)
    }

    /// Tells those who did it what became of it where the group is not live:
    /// they may have just joined it, or left.
    pub(in crate::edge) fn settled(&self, group: GroupId, settled: &Settled) {
        let Ok(sender) = UserId::from_slice(&settled.sender) else {
            return;
        };
        for link in self.sessions_of(&sender) {
            if link.tentative && !self.is_live(&link, &group) {
                for frame in frames(&group, Vec::new(), vec![settled.clone()]) {
                    link.outbound.aside(&group, frame);
                }
            }
        }
    }
}
