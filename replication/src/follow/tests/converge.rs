//! Once the network is quiet every follower holds what the home holds, by
//! whatever way it came there.

use folkmoot_wire::proto::{Command, CreateBody, CursorBatch, CursorChange, Kind, command};
use folkmoot_wire::{limits, version};
use proptest::prelude::*;

use crate::testing::{Got, Home, append, group, open_body, user};

use super::net::{Net, Tail};

/// What happens next; tails are counted from the home.
#[derive(Debug, Clone)]
enum Step {
    Say {
        group: u8,
        user: u8,
        times: u8,
    },
    Join {
        group: u8,
        user: u8,
    },
    Leave {
        group: u8,
        user: u8,
    },
    /// Those who left are forgotten.
    Collect {
        group: u8,
    },
    Read {
        group: u8,
        user: u8,
        seq: u64,
    },
    Deliver {
        tail: usize,
        times: u8,
    },
    Answer {
        tail: usize,
        fail: bool,
    },
    Tick {
        tail: usize,
    },
    TickFeed {
        tail: usize,
        watermark: bool,
    },
    Reconnect {
        tail: usize,
    },
    /// The second tail goes over to another upstream.
    Switch {
        upstream: usize,
    },
    Restart {
        tail: usize,
    },
    /// The transport takes nothing: the queue fills.
    Stall {
        tail: usize,
    },
    Want {
        group: u8,
        want: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let tail = 0..3usize;
    let (g, u) = (1..4u8, 1..6u8);
    prop_oneof![
        6 => (g.clone(), u.clone(), 1..5u8).prop_map(|(group, user, times)| Step::Say { group, user, times }),
        2 => (g.clone(), u.clone()).prop_map(|(group, user)| Step::Join { group, user }),
        2 => (g.clone(), u.clone()).prop_map(|(group, user)| Step::Leave { group, user }),
        2 => g.clone().prop_map(|group| Step::Collect { group }),
        2 => (g.clone(), u, 1..20u64).prop_map(|(group, user, seq)| Step::Read { group, user, seq }),
        8 => (tail.clone(), 1..6u8).prop_map(|(tail, times)| Step::Deliver { tail, times }),
        5 => (tail.clone(), proptest::bool::weighted(0.3)).prop_map(|(tail, fail)| Step::Answer { tail, fail }),
        2 => tail.clone().prop_map(|tail| Step::Tick { tail }),
        2 => (tail.clone(), any::<bool>()).prop_map(|(tail, watermark)| Step::TickFeed { tail, watermark }),
        2 => (0..2usize).prop_map(|upstream| Step::Switch { upstream }),
        1 => tail.clone().prop_map(|tail| Step::Reconnect { tail }),
        1 => tail.clone().prop_map(|tail| Step::Restart { tail }),
        1 => tail.prop_map(|tail| Step::Stall { tail }),
        2 => (g, any::<bool>()).prop_map(|(group, want)| Step::Want { group, want }),
    ]
}

/// The home of two groups and of a large one, a relay, an edge of all groups and
/// one of named groups.
fn chain() -> Net {
    let mut home = Home::new();
    home.raise(version::APPLY);
    for n in 1..3 {
        home.open_group(group(n), user(n), &[user(4)]);
    }
    let large = CreateBody {
        member_cap: limits::LARGE_GROUP + 1,
        ..open_body()
    };
    home.create(group(3), user(3), large);
    assert_eq!(home.join(group(3), user(4)), Got::Done);
    home.pushes.clear();
    Net::new(
        home,
        vec![Tail::new(true), Tail::new(true), Tail::new(false)],
    )
}

fn take(net: &mut Net, step: Step, number: &mut u64) {
    let mut fresh = |net: &Net, who: u8, kind| {
        *number += 1;
        append(user(who), kind, net.home.ms, 1_000_000 + *number)
    };
    match step {
        Step::Say {
            group: g,
            user,
            times,
        } => {
            let commands = (0..times)
                .map(|_| crate::testing::command(group(g), fresh(net, user, Kind::Message)))
                .collect();
            net.run(commands);
        }
        Step::Join { group: g, user } => {
            let mut join = fresh(net, user, Kind::Join);
            join.body.clear();
            net.run(vec![crate::testing::command(group(g), join)]);
        }
        Step::Leave { group: g, user } => {
            let leave = fresh(net, user, Kind::Leave);
            net.run(vec![crate::testing::command(group(g), leave)]);
        }
        Step::Collect { group: g } => {
            let collect = net.home.collectable(group(g));
            net.run(vec![collect]);
        }
        Step::Read {
            group: g,
            user: who,
            seq,
        } => {
            let changes = vec![CursorChange {
                user: user(who).to_bytes(),
                seq,
            }];
            net.run(vec![Command {
                group: group(g).to_bytes(),
                op: Some(command::Op::Cursors(CursorBatch { changes })),
            }]);
        }
        Step::Deliver { tail, times } => {
            for _ in 0..times {
                net.deliver(tail);
            }
        }
        Step::Answer { tail, fail } => {
            net.answer(tail, fail);
        }
        Step::Tick { tail } => net.event(tail, crate::follow::follower::Event::Tick),
        Step::TickFeed { tail, watermark } => net.tick_feed(tail, watermark),
        Step::Reconnect { tail } => net.connect(tail),
        Step::Switch { upstream } => net.switch(1, upstream),
        Step::Restart { tail } => net.restart(tail),
        Step::Stall { tail } => {
            for _ in 0..1_100 {
                net.tick_feed(tail, true);
            }
        }
        Step::Want { group: g, want } => net.want(2, group(g), want),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_interleaving_ends_in_equal_copies(
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut net = chain();
        let mut number = 0;
        let mut wanted = std::collections::BTreeSet::new();
        for step in steps {
            match &step {
                Step::Want { group, want: true } => { wanted.insert(*group); }
                Step::Want { group, want: false } => { wanted.remove(group); }
                Step::Restart { tail: 2 } => wanted.clear(),
                _ => {}
            }
            take(&mut net, step, &mut number);
            for n in 0..3 {
                net.assert_watermark(n);
            }
        }
        net.quiesce();
        net.assert_copies();
        for n in 1..4 {
            if wanted.contains(&n) {
                net.assert_copy(2, group(n));
            } else {
                let known = net.tails[2].follower.known_head(&group(n)).expect("a head");
                prop_assert_eq!(known, &net.home.head(group(n)));
            }
        }
    }
}

#[test]
fn a_new_follower_of_a_long_log_fetches_it_all() {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[user(2), user(3), user(4), user(5)]);
    for n in 0..40 {
        home.say(group(1), user(1 + n % 5));
    }
    home.pushes.clear();
    let mut net = Net::new(home, vec![Tail::new(true), Tail::new(true)]);
    net.quiesce();
    net.assert_copies();
    assert!(net.tails.iter().all(|tail| tail.diverged == 0));
}

#[test]
fn live_pushes_alone_need_no_fetch() {
    let mut net = Net::new(Home::new(), vec![Tail::new(true), Tail::new(true)]);
    net.home
        .create(group(1), user(1), crate::testing::open_body());
    net.publish();
    for n in 0..20 {
        match n % 3 {
            0 => net.home.join(group(1), user(2 + n / 3)),
            _ => net.home.say(group(1), user(1)),
        };
        net.publish();
    }
    while net.deliver(0) || net.deliver(1) {}
    assert!(net.tails.iter().all(|tail| tail.fetches.is_empty()));
    net.assert_copies();
}
