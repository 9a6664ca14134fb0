//! Whoever hands over, and wherever a device moves: its messages come into the
//! log in the order in which it said them.

use std::collections::BTreeSet;
use std::time::Duration;

use folkmoot_wire::NodeId;
use proptest::prelude::*;

use super::{BOUNDS, Bounds, Tentatives, group, page, said};
use crate::tentative::Tentative;

const NODES: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    /// The device says its next message. Its edge gives it to another node,
    /// which may not be heard.
    Say { to: usize, heard: bool },
    /// The device says its next message, and the home can be reached: which
    /// changes nothing while its edge keeps something.
    SayHome { to: usize },
    /// The device comes to another edge.
    Move(usize),
    /// A node takes itself for the relay.
    HandOver { node: usize, page: usize },
    /// A node gives another what it keeps, in its beat.
    Beat { from: usize, to: usize },
    /// A node hears what became of what it keeps.
    Hear(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let node = 0..NODES;
    prop_oneof![
        4 => (node.clone(), any::<bool>()).prop_map(|(to, heard)| Step::Say { to, heard }),
        2 => node.clone().prop_map(|to| Step::SayHome { to }),
        1 => node.clone().prop_map(Step::Move),
        2 => (node.clone(), 1usize..4).prop_map(|(node, page)| Step::HandOver { node, page }),
        1 => (node.clone(), node.clone()).prop_map(|(from, to)| Step::Beat { from, to }),
        1 => node.prop_map(Step::Hear),
    ]
}

fn number_of(one: &Tentative) -> u64 {
    let id = one.attempt().id;
    let unique = id.as_bytes().last_chunk::<8>().expect("sixteen bytes");
    u64::from_be_bytes(*unique)
}

/// A region that cannot reach the home, except for those who hand over.
struct Region {
    keepers: Vec<Tentatives>,
    /// How far each node's clock is ahead, in milliseconds.
    skew: Vec<u64>,
    now: u64,
    edge: usize,
    /// The numbers that the device has to say again before anything new: what
    /// it holds for accepted, after it moved, and what failed.
    again: Vec<u64>,
    accepted: BTreeSet<u64>,
    next: u64,
    log: Vec<u64>,
}

impl Region {
    fn new(skew: Vec<u64>) -> Self {
        let bounds = Bounds {
            messages: 1_000,
            of_sender: 1_000,
            ..BOUNDS
        };
        Self {
            keepers: (0..NODES).map(|_| Tentatives::new(bounds)).collect(),
            skew,
            now: 1_000,
            edge: 0,
            again: Vec::new(),
            accepted: BTreeSet::new(),
            next: 1,
            log: Vec::new(),
        }
    }

    fn keep(&mut self, node: usize, one: &Tentative) {
        self.keepers[node]
            .take(one.clone(), true, Duration::ZERO)
            .expect("room");
    }

    /// One attempt at the device's edge. Whether it is accepted.
    fn attempt(&mut self, number: u64, to: usize, heard: bool) -> bool {
        self.now += 1;
        let ms = self.now + self.skew[self.edge];
        let one = said(1, 1, number, ms, self.edge as u32);
        self.keep(self.edge, &one);
        if to == self.edge {
            return true;
        }
        let known = self.keepers[self.edge].get(group(1), one.attempt());
        let last = known.expect("kept").id();
        let owed =
            self.keepers[self.edge].owed(&group(1), NodeId(to as u32), last, page(99, 9_999));
        if heard {
            owed.iter().for_each(|one| self.keep(to, one));
            self.keepers[self.edge].given(NodeId(to as u32), &owed);
        }
        heard
    }

    fn attempt_home(&mut self, number: u64, to: usize) -> bool {
        if self.keepers[self.edge].keeps(&group(1)) {
            return self.attempt(number, to, true);
        }
        self.append(number);
        true
    }

    fn append(&mut self, number: u64) {
        if !self.log.contains(&number) {
            self.log.push(number);
        }
    }

    fn say(&mut self, attempt: impl Fn(&mut Self, u64) -> bool) {
        if self.again.is_empty() {
            self.again.push(self.next);
            self.next += 1;
        }
        while let Some(number) = self.again.first().copied() {
            if !attempt(self, number) {
                return;
            }
            self.again.remove(0);
            self.accepted.insert(number);
        }
    }

    fn hand_over(&mut self, node: usize, limit: usize) {
        for one in self.keepers[node].kept(|_| true, page(limit, 9_999)) {
            self.append(number_of(&one));
            self.keepers[node].settle(group(1), one.attempt());
        }
    }

    fn hear(&mut self, node: usize) {
        for number in self.log.clone() {
            self.keepers[node].settle(group(1), said(1, 1, number, 0, 0).attempt());
        }
        if node == self.edge {
            self.accepted.retain(|number| !self.log.contains(number));
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Say { to, heard } => self.say(|r, number| r.attempt(number, to, heard)),
            Step::SayHome { to } => self.say(|r, number| r.attempt_home(number, to)),
            Step::Move(to) => {
                self.edge = to;
                let again = std::mem::take(&mut self.again);
                let accepted = std::mem::take(&mut self.accepted);
                self.again = accepted.into_iter().chain(again).collect();
            }
            Step::HandOver { node, page } => self.hand_over(node, page),
            Step::Beat { from, to } => {
                for one in self.keepers[from].kept(|_| true, page(99, 9_999)) {
                    self.keep(to, &one);
                }
            }
            Step::Hear(node) => self.hear(node),
        }
    }
}

proptest! {
    #[test]
    fn a_device_is_heard_in_the_order_in_which_it_spoke(
        skew in prop::collection::vec(0u64..6, NODES),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut region = Region::new(skew);
        for one in steps {
            region.step(one);
            let log = &region.log;
            prop_assert!(log.is_sorted(), "{log:?}");
        }
    }
}
