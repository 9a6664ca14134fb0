//! Sessions whose access has to be looked up: what came by here was not all.

use std::collections::BTreeMap;
use std::sync::Arc;

use folkmoot_wire::{Code, GroupId};

use super::group::GroupState;
use super::subscriber::GroupInfo;
use super::{Fanout, Link, Stripe};

impl Fanout {
    pub(super) fn doubt(&self, stripe: &mut Stripe, group: GroupId) {
        stripe.doubted.insert(group);
        self.doubts.notify_one();
    }

    /// Waits until a session comes in doubt.
    pub(in crate::edge) async fn doubts(&self) {
        self.doubts.notified().await;
    }

    /// What this node holds of these groups was replaced: nothing that was
    /// known of them here is relied on.
    pub(in crate::edge) fn replaced(&self, is_of: &dyn Fn(&GroupId) -> bool) {
        for stripe in &self.stripes {
            let stripe = &mut *stripe.lock();
            let groups = stripe.groups.keys().filter(|group| is_of(group));
            for group in in_order(groups) {
                let Some(state) = stripe.groups.get_mut(&group) else {
                    continue;
                };
                if !state.passive.is_empty() {
                    stripe.bumped.insert(group);
                }
                if state.doubt() {
                    self.doubt(stripe, group);
                }
            }
        }
        let users = self.users.lock();
        let listed = users.keys().filter(|user| is_of(&user.self_group()));
        for user in in_order(listed) {
            for link in users.get(&user).into_iter().flat_map(BTreeMap::values) {
                // Its list of groups is another one now: it begins anew.
                link.outbound.fail(Code::Unavailable);
            }
        }
    }

    /// Sessions in doubt, by group. Each is to be reported by
    /// [`Fanout::is_sure`] or [`Fanout::lost`], or else doubted again.
    pub(in crate::edge) fn doubted(&self) -> Vec<(GroupId, Vec<Arc<Link>>)> {
        let mut all = Vec::new();
        for stripe in &self.stripes {
            let stripe = &mut *stripe.lock();
            for group in std::mem::take(&mut stripe.doubted) {
                let Some(state) = stripe.groups.get_mut(&group) else {
                    continue;
                };
                let doubted = state.active.values_mut().filter_map(|subscriber| {
                    let doubted = subscriber.look();
                    doubted.then(|| Arc::clone(&subscriber.link))
                });
                all.push((group, doubted.collect()));
            }
        }
        all
    }

    /// A session in doubt has access.
    pub(in crate::edge) fn is_sure(&self, link: &Link, group: GroupId, info: &GroupInfo) {
        let stripe = &mut *self.stripe(&group).lock();
        let Some(state) = stripe.groups.get_mut(&group) else {
            return;
        };
        state.learn(info);
        let known = state.head.as_ref().unwrap_or(&info.head);
        if let Some(subscriber) = state.active.get_mut(&link.id) {
            subscriber.is_sure(group, info, known);
            if subscriber.is_doubted() {
                // Not at once: what is read may not be what came by yet.
                stripe.doubted.insert(group);
            }
        }
    }

    /// A session in doubt has lost its access.
    pub(in crate::edge) fn lost(&self, link: &Link, group: GroupId, code: Code) {
        let lost = {
            let stripe = self.stripe(&group).lock();
            let state = stripe.groups.get(&group);
            let subscriber = state.and_then(|state| state.active.get(&link.id));
            subscriber.is_some_and(|subscriber| subscriber.was_looked_up())
        };
        if lost {
            self.leave(link, &group);
            link.outbound.lose(group, code);
        }
    }

    /// It could not be looked up: it is later.
    pub(in crate::edge) fn doubted_later(&self, group: GroupId) {
        let mut stripe = self.stripe(&group).lock();
        let doubted = |state: &GroupState| state.active.values().any(|s| s.is_doubted());
        if stripe.groups.get(&group).is_some_and(doubted) {
            stripe.doubted.insert(group);
        }
    }
}

/// A hash map gives its keys in an order of its own, and who is told first may
/// be the first to act.
fn in_order<'a, K: Ord + Copy + 'a>(keys: impl Iterator<Item = &'a K>) -> Vec<K> {
    let mut keys: Vec<K> = keys.copied().collect();
    keys.sort_unstable();
    keys
}
