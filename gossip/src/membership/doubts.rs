//! Suspicions that nobody decides.
//!
//! foca forgets its timers when this node takes another identity, so whoever
//! was suspect then would stay it: the answers to probes do not clear a
//! suspect, only its own word does, and it may never have heard of the
//! suspicion. Such a one is suspected anew, and has to be told.

use std::collections::BTreeMap;
use std::time::Duration;

use foca::{Incarnation, Member, State};
use folkmoot_wire::NodeId;

use crate::identity::Identity;

/// Since when the members that are suspects are it.
#[derive(Debug, Default)]
pub(super) struct Doubts(BTreeMap<NodeId, (Identity, Incarnation, Duration)>);

impl Doubts {
    /// Looks at all members. Gives the suspicions that should have been
    /// decided within `limit`, in the form in which they are raised anew: with
    /// an incarnation that outdoes the one that is known.
    pub(super) fn look<'a>(
        &mut self,
        members: impl Iterator<Item = &'a Member<Identity>>,
        limit: Duration,
        now: Duration,
    ) -> Vec<Member<Identity>> {
        let before = std::mem::take(&mut self.0);
        let mut overdue = Vec::new();
        for suspect in members.filter(|member| member.state() == State::Suspect) {
            let (id, incarnation) = (suspect.id(), suspect.incarnation());
            let since = match before.get(&id.node()) {
                Some((same, at, since)) if same == id && *at == incarnation => *since,
                _ => now,
            };
            if now.saturating_sub(since) > limit {
                let anew = incarnation.saturating_add(1);
                overdue.push(Member::new(id.clone(), anew, State::Suspect));
            } else {
                self.0.insert(id.node(), (id.clone(), incarnation, since));
            }
        }
        overdue
    }
}
