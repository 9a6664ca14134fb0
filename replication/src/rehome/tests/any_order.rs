//! Whatever happens in whatever order: one order of entries, none twice, never
//! two homes, and in the end one.

use std::collections::BTreeMap;

use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::proto::HomePhase;
use folkmoot_wire::{ClientMsgId, Code};
use proptest::prelude::*;
use proptest::sample::Index;

use super::world::World;
use crate::rehome::Rehoming;
use crate::testing::{Got, START_MS};

/// Which shard, and which of two who both believe to lead it.
type Leader = (usize, usize);

#[derive(Debug, Clone)]
enum Event {
    /// A message, perhaps said before, to a shard, perhaps the wrong one.
    Say(usize, u64),
    /// A cursor moves.
    Read(usize, u64),
    /// A move is asked for at a shard, to another.
    Begin(usize, usize),
    /// A leader does what is next, so many times; the last answer may be lost.
    Drive(Leader, usize, bool),
    /// A leader begins anew.
    Forget(Leader),
    /// A leader is told to give the move up.
    GiveUp(Leader),
    /// What is left somewhere is dropped.
    Clean(usize),
    /// Something that was proposed before arrives once more.
    Late(Index),
}

fn event() -> impl Strategy<Value = Event> {
    let shard = || 1..=3_usize;
    let leader = || (shard(), 0..2_usize);
    prop_oneof![
        6 => (shard(), 1..40_u64).prop_map(|(shard, number)| Event::Say(shard, number)),
        2 => (shard(), 1..20_u64).prop_map(|(shard, seq)| Event::Read(shard, seq)),
        3 => (shard(), shard()).prop_map(|(shard, to)| Event::Begin(shard, to)),
        8 => (leader(), 1..5_usize, any::<bool>())
            .prop_map(|(leader, times, lost)| Event::Drive(leader, times, lost)),
        1 => leader().prop_map(Event::Forget),
        1 => leader().prop_map(Event::GiveUp),
        2 => shard().prop_map(Event::Clean),
        3 => any::<Index>().prop_map(Event::Late),
    ]
}

struct Run {
    world: World,
    drivers: BTreeMap<Leader, Rehoming>,
    /// Numbers of the messages, in the order of their entries.
    committed: Vec<u64>,
}

impl Run {
    fn handle(&mut self, event: Event) {
        match event {
            Event::Say(shard, number) => self.say(shard, number),
            Event::Read(shard, seq) => {
                self.world.read(shard, seq);
            }
            Event::Begin(shard, to) => {
                let epoch = self.world.home(shard).epoch + 1;
                let _ = self.world.begin(shard, epoch, to as u32);
            }
            Event::Drive(leader, times, lost) => {
                for n in 1..=times {
                    self.drive(leader, lost && n == times);
                }
            }
            Event::Forget(leader) => {
                self.drivers.remove(&leader);
            }
            Event::GiveUp(leader) => {
                if let Some(driver) = self.drivers.get_mut(&leader) {
                    driver.give_up();
                }
            }
            Event::Clean(shard) => self.world.clean(shard),
            Event::Late(which) => {
                if !self.world.proposed.is_empty() {
                    let (to, command) = which.get(&self.world.proposed).clone();
                    let _ = self.world.propose(to, command);
                }
            }
        }
        assert!(self.world.homes().len() <= 1, "two homes");
    }

    fn say(&mut self, shard: usize, number: u64) {
        match self.world.say(shard, 1, number) {
            Got::Seq(seq) => {
                self.committed.push(number);
                assert_eq!(seq, self.committed.len() as u64 + 1, "seqs are dense");
            }
            Got::Again(seq) => assert_eq!(self.committed[seq as usize - 2], number),
            Got::Moved(_) | Got::No(Code::Unavailable | Code::NotFound) => {}
            other => panic!("{other:?}"),
        }
    }

    /// Drivers outlive the move they are of: an old leader does not know.
    fn drive(&mut self, leader: Leader, lost: bool) {
        let known = self.drivers.remove(&leader);
        let Some(mut driver) = known.or_else(|| self.world.driver(leader.0)) else {
            return;
        };
        if self.world.drive(leader.0, &mut driver, lost) {
            self.drivers.insert(leader, driver);
        }
    }

    /// All faults are over.
    fn heal(&mut self) {
        for round in 0..300 {
            for shard in 1..=3 {
                self.world.clean(shard);
                self.drive((shard, round % 2), false);
            }
        }
    }

    fn check(&mut self) {
        let homes = self.world.homes();
        assert_eq!(homes.len(), 1, "one home");
        let home = homes[0];
        assert_eq!(self.world.phase(home), HomePhase::Here);
        let id = |number| ClientMsgId::new(Hlc::from_parts(START_MS, 0), number).to_bytes();
        let said = std::iter::once(0).chain(self.committed.iter().copied());
        let expected: Vec<_> = said.map(id).collect();
        let log = self.world.log_of(home);
        assert_eq!(log, expected, "what was committed, in that order");
        for other in (1..=3).filter(|other| *other != home) {
            assert!(self.world.log_of(other).is_empty(), "a copy was left");
        }
        if home != 1 {
            let told = self.world.home(1).redirect;
            assert_eq!(told, home as u32, "the birth shard knows");
        }
        for number in self.committed.clone() {
            let again = self.world.say(home, 1, number);
            assert!(matches!(again, Got::Again(_)), "{again:?}");
        }
        self.world.check_replicas();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn there_is_one_home_and_one_order(events in prop::collection::vec(event(), 1..120)) {
        let mut run = Run {
            world: World::new(),
            drivers: BTreeMap::new(),
            committed: Vec::new(),
        };
        for event in events {
            run.handle(event);
        }
        run.heal();
        run.check();
    }
}
