//! Whatever order pushes, gaps, pages, cuts and lies come in: the reader gets
//! 1, 2, 3, ... once each.

use folkmoot_wire::proto::Covers;
use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::{CLUSTER, Log, Note, Start, Timeline, group};
use crate::core::timeline::{Entry, Fetch, Output};

#[derive(Debug, Clone)]
enum Event {
    /// Entries from here, so many: overlapping, late or too early.
    Deliver(u64, u64),
    /// The same of another history.
    Forged(u64, u64),
    /// A push that leaves one out and does not say so.
    Torn(u64, u64),
    Gap(u64),
    /// The answer to the open fetch, cut to so many entries.
    Page(u64),
    /// An answer of another history.
    ForgedPage,
    FetchFails,
    Reconnect(u64),
    Grant(usize),
    NewReader,
}

fn event(len: u64) -> impl Strategy<Value = Event> {
    let seq = 1..=len;
    prop_oneof![
        6 => (seq.clone(), 0u64..6).prop_map(|(from, more)| Event::Deliver(from, more)),
        1 => (seq.clone(), 0u64..6).prop_map(|(from, more)| Event::Forged(from, more)),
        1 => (seq.clone(), 2u64..6).prop_map(|(from, more)| Event::Torn(from, more)),
        2 => seq.clone().prop_map(Event::Gap),
        5 => (0u64..9).prop_map(Event::Page),
        1 => any::<()>().prop_map(|()| Event::ForgedPage),
        1 => any::<()>().prop_map(|()| Event::FetchFails),
        1 => seq.prop_map(Event::Reconnect),
        4 => (1usize..9).prop_map(Event::Grant),
        1 => any::<()>().prop_map(|()| Event::NewReader),
    ]
}

struct World {
    log: Log,
    forged: Log,
    len: u64,
    timeline: Timeline,
    open: Option<Fetch>,
    got: Vec<u64>,
}

impl World {
    fn take(&mut self, output: Output) {
        self.got.extend(output.entries.iter().map(Entry::seq));
        if output.notes.contains(&Note::Suspect) {
            self.reconnect(self.len);
        }
    }

    fn reconnect(&mut self, live_from: u64) {
        self.timeline.disconnected();
        self.open = None;
        let resume = self.timeline.resume();
        let resumed = resume.seq > 0 && resume.chain == self.log.chain(resume.seq);
        let answer = self.log.activated(live_from, resumed);
        let output = self.timeline.activated(&answer, &CLUSTER);
        self.take(output);
    }

    fn handle(&mut self, event: Event) {
        let end = |from: u64, more: u64| (from + more).min(self.len);
        match event {
            Event::Deliver(from, more) => {
                let output = self
                    .timeline
                    .deliver(self.log.deliver(from, end(from, more)));
                self.take(output);
            }
            Event::Forged(from, more) => {
                let output = self
                    .timeline
                    .deliver(self.forged.deliver(from, end(from, more)));
                self.take(output);
            }
            Event::Torn(from, more) => {
                let mut deliver = self.log.deliver(from, end(from, more));
                if deliver.entries.len() > 2 {
                    deliver.entries.remove(1);
                }
                let output = self.timeline.deliver(deliver);
                self.take(output);
            }
            Event::Gap(seq) => self.timeline.gap(&self.log.head(seq)),
            Event::Page(cut) => {
                if let Some(mut fetch) = self.open.take() {
                    fetch.limit = fetch.limit.min(u32::try_from(cut).expect("small"));
                    let page = self.log.page(fetch, self.len);
                    let output = self.timeline.fetched(&page).0;
                    self.take(output);
                }
            }
            Event::ForgedPage => {
                if let Some(fetch) = self.open.take() {
                    let mut page = self.forged.page(fetch, self.len);
                    page.covers = Some(Covers {
                        from: 1,
                        to: self.len,
                    });
                    let output = self.timeline.fetched(&page).0;
                    self.take(output);
                }
            }
            Event::FetchFails => {
                if self.open.take().is_some() {
                    self.timeline.fetch_failed();
                }
            }
            Event::Reconnect(live_from) => self.reconnect(live_from),
            Event::Grant(entries) => self.timeline.grant(entries),
            Event::NewReader => {
                let taken = self.timeline.position();
                self.timeline.rewind(taken);
            }
        }
        if self.open.is_none() {
            self.open = self.timeline.fetch();
        }
    }
}

proptest! {
    #[test]
    fn each_entry_comes_once_and_in_order(
        len in 1u64..40,
        events in prop::collection::vec(event(39), 0..120),
    ) {
        let mut world = World {
            log: Log::new(40, 0),
            forged: Log::forged(40),
            len: 40,
            timeline: Timeline::new(group(), Start::Beginning),
            open: None,
            got: Vec::new(),
        };
        world.reconnect(len);
        for event in events {
            world.handle(event);
            let so_far: Vec<u64> = (1..=world.got.len() as u64).collect();
            prop_assert_eq!(&world.got, &so_far);
        }
        // From here on the edge is well and the reader reads.
        world.reconnect(40);
        for _ in 0..40 {
            world.handle(Event::Grant(8));
            world.handle(Event::Page(8));
        }
        prop_assert_eq!(world.got, (1..=40).collect::<Vec<u64>>());
        prop_assert!(world.timeline.fetch().is_none());
    }
}
