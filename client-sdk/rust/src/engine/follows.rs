//! The groups that are read: activation, fetches, readers.

use std::collections::BTreeMap;
use std::time::Duration;

use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::{
    Activate, Activated, Deactivate, Deliver, Head, History, LogSlice, Resume,
};
use folkmoot_wire::{Code, Fault, GroupId, limits};
use tokio::sync::oneshot;

use super::due::Due;
use super::{Engine, Open};
use crate::core::timeline::{Note, Output, Point, Start, Timeline};
use crate::error::{ClientError, Result};
use crate::event::Event;
use crate::feed::Feed;
use crate::store::Record;

type Waiter = oneshot::Sender<Result<Activated>>;

#[derive(Debug)]
struct Follow {
    timeline: Timeline,
    feed: Option<Feed>,
    waiters: Vec<Waiter>,
    activation: Option<Activated>,
    /// An Activate or a Hello with this group is not answered.
    asked: bool,
    failures: u32,
    not_before: Option<Duration>,
}

/// The groups that are read.
#[derive(Debug, Default)]
pub(super) struct Follows {
    groups: BTreeMap<GroupId, Follow>,
    due: Due,
}

impl Follows {
    pub(super) fn is_active(&self, group: &GroupId) -> bool {
        let follow = self.groups.get(group);
        follow.is_some_and(|follow| follow.timeline.is_active())
    }

    pub(super) fn retry_at(&self) -> Option<Duration> {
        self.due.next_at()
    }

    /// Resume points for a Hello.
    pub(super) fn resume(&mut self, max: usize) -> Vec<Resume> {
        let resume = |follow: &mut Follow| {
            follow.asked = true;
            follow.timeline.resume()
        };
        self.groups.values_mut().take(max).map(resume).collect()
    }

    /// The Welcome was dealt with: whatever it did not answer is asked for.
    pub(super) fn greeted(&mut self) {
        for (&group, follow) in &mut self.groups {
            follow.asked = false;
            self.due.now(group);
        }
    }

    pub(super) fn shut(&mut self, reason: &ClientError) {
        for (_, mut follow) in std::mem::take(self).groups {
            for waiter in follow.waiters.drain(..) {
                let _ = waiter.send(Err(reason.clone()));
            }
        }
    }

    fn wait_until(&mut self, group: GroupId, at: Duration) {
        if let Some(follow) = self.groups.get_mut(&group) {
            follow.not_before = Some(at);
            self.due.later(group, at);
        }
    }
}

impl Engine {
    pub(super) fn activate(
        &mut self,
        group: GroupId,
        start: Start,
        feed: Option<Feed>,
        reply: Waiter,
    ) {
        let is_new = !self.follows.groups.contains_key(&group);
        if is_new && self.follows.groups.len() >= limits::ACTIVE_GROUPS_MAX {
            let what = format!("{} groups are active", limits::ACTIVE_GROUPS_MAX);
            let _ = reply.send(Err(Fault::new(Code::Invalid, what).into()));
            return;
        }
        let saved = self.saved_points.get(&group);
        let start = match (start, saved) {
            (Start::Stored, Some(&point)) => Start::After(point),
            (start, _) => start,
        };
        let follow = self.follows.groups.entry(group).or_insert_with(|| Follow {
            timeline: Timeline::new(group, start),
            feed: None,
            waiters: Vec::new(),
            activation: None,
            asked: false,
            failures: 0,
            not_before: None,
        });
        if let Some(feed) = feed {
            let given = follow.feed.as_ref().and_then(Feed::given);
            follow.timeline.rewind(given);
            follow.timeline.grant(feed.take_credit());
            follow.feed = Some(feed);
        }
        match &follow.activation {
            Some(activation) if follow.timeline.is_active() => {
                let _ = reply.send(Ok(activation.clone()));
            }
            _ => follow.waiters.push(reply),
        }
        self.follows.due.now(group);
    }

    pub(super) fn deactivate(&mut self, group: GroupId, now: Duration) {
        self.save_point(group);
        if self.drop_follow(group, &ClientError::Inactive) && self.greeting.is_some() {
            let groups = vec![group.to_bytes()];
            self.request(
                Request::Deactivate(Deactivate { groups }),
                Open::Deactivate,
                now,
            );
        }
    }

    pub(super) fn access_lost(&mut self, group: GroupId, fault: Fault) {
        self.drop_follow(group, &ClientError::Fault(fault.clone()));
        self.emit(Event::AccessLost { group, fault });
    }

    fn drop_follow(&mut self, group: GroupId, reason: &ClientError) -> bool {
        self.watches.forget(&group);
        self.follows.due.forget(&group);
        let follow = self.follows.groups.remove(&group);
        let was_there = follow.is_some();
        for waiter in follow.into_iter().flat_map(|follow| follow.waiters) {
            let _ = waiter.send(Err(reason.clone()));
        }
        was_there
    }

    pub(super) fn activated(&mut self, group: GroupId, answer: &Activated, now: Duration) {
        if let Some(error) = &answer.error {
            self.activation_failed(group, Fault::from(error), now);
            return;
        }
        let Some(identity) = self.identity else {
            return;
        };
        let Some(follow) = self.follows.groups.get_mut(&group) else {
            return;
        };
        follow.asked = false;
        follow.not_before = None;
        follow.activation = Some(answer.clone());
        let output = follow.timeline.activated(answer, &identity.cluster);
        for waiter in follow.waiters.drain(..) {
            let _ = waiter.send(Ok(answer.clone()));
        }
        self.deal_out(group, output);
    }

    pub(super) fn activation_failed(&mut self, group: GroupId, fault: Fault, now: Duration) {
        let Some(follow) = self.follows.groups.get_mut(&group) else {
            return;
        };
        if !fault.code.temporary() {
            self.access_lost(group, fault);
            return;
        }
        follow.asked = false;
        follow.failures += 1;
        let asked = Duration::from_millis(fault.retry_after_ms);
        let backoff = self.options.backoff;
        let delay = backoff.delay(follow.failures, asked, &mut *self.rng);
        self.follows.wait_until(group, now + delay);
    }

    pub(super) fn follows_disconnected(&mut self) {
        self.follows.due.forget_later();
        for follow in self.follows.groups.values_mut() {
            follow.timeline.disconnected();
            follow.asked = false;
            follow.not_before = None;
        }
    }

    pub(super) fn delivered(&mut self, group: GroupId, deliver: Deliver) {
        if let Some(follow) = self.follows.groups.get_mut(&group) {
            let output = follow.timeline.deliver(deliver);
            self.deal_out(group, output);
        }
    }

    pub(super) fn gap(&mut self, group: GroupId, head: &Head) {
        if let Some(follow) = self.follows.groups.get_mut(&group) {
            follow.timeline.gap(head);
            self.follows.due.now(group);
        }
    }

    pub(super) fn fetched(&mut self, group: GroupId, slice: &LogSlice, now: Duration) {
        let Some(follow) = self.follows.groups.get_mut(&group) else {
            return;
        };
        let (output, moved) = follow.timeline.fetched(slice);
        if moved {
            follow.failures = 0;
        } else {
            self.slow_down(group, Duration::ZERO, now);
        }
        self.deal_out(group, output);
    }

    pub(super) fn fetch_failed(&mut self, group: GroupId, fault: &Fault, now: Duration) {
        if let Some(follow) = self.follows.groups.get_mut(&group) {
            follow.timeline.fetch_failed();
            self.slow_down(group, Duration::from_millis(fault.retry_after_ms), now);
        }
    }

    /// No fetch for a while, and not before the edge wants one.
    fn slow_down(&mut self, group: GroupId, asked: Duration, now: Duration) {
        if let Some(follow) = self.follows.groups.get_mut(&group) {
            follow.failures += 1;
            let backoff = self.options.backoff;
            let delay = backoff.delay(follow.failures, asked, &mut *self.rng);
            self.follows.wait_until(group, now + delay);
        }
    }

    /// A reader has made room, or is gone.
    pub(super) fn reader_woke(&mut self, group: GroupId) {
        self.save_point(group);
        let Some(follow) = self.follows.groups.get_mut(&group) else {
            return;
        };
        let Some(feed) = &follow.feed else {
            return;
        };
        if feed.is_closed() {
            let given = feed.given();
            follow.feed = None;
            follow.timeline.rewind(given);
        } else {
            follow.timeline.grant(feed.take_credit());
            self.follows.due.now(group);
        }
    }

    fn save_point(&mut self, group: GroupId) {
        let follow = self.follows.groups.get(&group);
        let done = follow.and_then(|f| f.feed.as_ref()).and_then(Feed::done);
        if let Some(point) = done
            && self.saved_points.get(&group) != Some(&point)
        {
            self.saved_points.insert(group, point);
            self.output.records.push(Record::Read { group, point });
        }
    }

    /// Keeps how far all groups were read; before the end.
    pub(crate) fn save_points(&mut self) {
        let groups: Vec<GroupId> = self.follows.groups.keys().copied().collect();
        for group in groups {
            self.save_point(group);
        }
    }

    fn deal_out(&mut self, group: GroupId, output: Output) {
        self.follows.due.now(group);
        for note in output.notes {
            match note {
                Note::Reset => {
                    let point = Point {
                        seq: 0,
                        chain: None,
                    };
                    if self.saved_points.insert(group, point).is_some() {
                        self.output.records.push(Record::Read { group, point });
                    }
                    self.emit(Event::HistoryReset { group });
                }
                Note::Gone { after, to } => self.emit(Event::HistoryGone { group, after, to }),
                Note::Suspect => {
                    if let Some(follow) = self.follows.groups.get_mut(&group) {
                        follow.timeline.disconnected();
                    }
                }
            }
        }
        let Some(follow) = self.follows.groups.get_mut(&group) else {
            return;
        };
        let Some(feed) = &follow.feed else {
            return;
        };
        if !output.entries.into_iter().all(|entry| feed.push(entry)) {
            let given = feed.given();
            follow.feed = None;
            follow.timeline.rewind(given);
        }
    }

    pub(super) fn pump_follows(&mut self, now: Duration) {
        while let Some(group) = self.follows.due.pop(now) {
            let Some(follow) = self.follows.groups.get_mut(&group) else {
                continue;
            };
            if follow.asked || follow.not_before.is_some_and(|at| at > now) {
                continue;
            }
            if !follow.timeline.is_active() {
                follow.asked = true;
                let groups = vec![follow.timeline.resume()];
                self.request(
                    Request::Activate(Activate { groups }),
                    Open::Activate(group),
                    now,
                );
            } else if let Some(fetch) = follow.timeline.fetch() {
                let history = History {
                    group: group.to_bytes(),
                    after: fetch.after,
                    before: 0,
                    limit: fetch.limit,
                    backward: false,
                };
                self.request(Request::History(history), Open::Fetch(group), now);
            }
        }
    }
}
