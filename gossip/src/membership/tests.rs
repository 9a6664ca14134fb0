mod cuts;

use std::time::Duration;

use bytes::Bytes;
use foca::Codec as _;
use folkmoot_wire::NodeId;
use proptest::prelude::{any, proptest};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::sim::{Net, addr, seal};
use super::{Event, MemberState};
use crate::seal::Refused;
use crate::swim::{SwimCodec, SwimConfig, SwimConfigError};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn three_and_ten_nodes_find_each_other() {
    for count in [3, 10] {
        for seed in 0..10 {
            let mut net = Net::started(seed, count);
            net.until(secs(15), "everyone sees everyone", Net::whole);
            net.run(secs(60));
            assert!(net.whole(), "and nobody is lost without a fault");
            let listed: Vec<u32> = net.machine(2).members().map(|m| m.node.0).collect();
            assert_eq!(listed, net.ids(), "oneself included, in order");
        }
    }
}

#[test]
fn a_killed_node_is_dead_for_all_within_bounds() {
    for (seed, count) in (0..10).flat_map(|seed| [(seed, 3), (seed, 10)]) {
        let mut net = Net::started(seed, count);
        net.until(secs(15), "whole", Net::whole);
        net.kill(3);
        // Up to a round of probes, then the suspicion, then the spread.
        net.until(secs(20), "3 is dead", |net| {
            net.all_see(3, MemberState::Dead)
        });
        net.run(secs(30));
        assert!(net.all_see(3, MemberState::Dead), "and stays dead");
        net.until(secs(400), "3 is forgotten", |net| {
            net.ids().into_iter().all(|one| net.sees(one, 3).is_none())
        });
    }
}

#[test]
fn a_quick_restart_is_alive_with_its_new_incarnation() {
    for seed in 0..10 {
        let mut net = Net::started(seed, 5);
        net.until(secs(15), "whole", Net::whole);
        let before = net.seen.len();
        net.kill(4);
        net.start(4, 2);
        let new_life = |net: &Net| {
            net.ids().into_iter().all(|one| {
                net.machine(one).members().any(|m| {
                    m.node == NodeId(4) && m.incarnation == 2 && m.state == MemberState::Alive
                })
            })
        };
        net.until(secs(10), "4 is back", |net| net.whole() && new_life(net));
        net.run(secs(30));
        assert!(net.whole() && new_life(&net));
        let mourned = net.seen[before..]
            .iter()
            .any(|&(_, one, other, state)| one != 4 && other == 4 && state == MemberState::Dead);
        assert!(!mourned, "a restart is no death");
    }
}

#[test]
fn a_late_restart_comes_back_from_the_dead() {
    let mut net = Net::started(1, 5);
    net.until(secs(15), "whole", Net::whole);
    net.kill(4);
    net.until(secs(20), "dead", |net| net.all_see(4, MemberState::Dead));
    net.start(4, 2);
    net.until(secs(15), "back", Net::whole);
}

#[test]
fn a_leaver_is_left_and_not_dead() {
    for seed in 0..10 {
        let mut net = Net::started(seed, 10);
        net.until(secs(15), "whole", Net::whole);
        let before = net.seen.len();
        for _ in 0..3 {
            net.event(4, Event::Leave);
            net.run(Duration::from_millis(200));
        }
        assert_eq!(net.sees(4, 4), Some(MemberState::Left));
        net.until(secs(5), "4 left", |net| net.all_see(4, MemberState::Left));
        net.run(secs(1));
        let said = net.trace.len();
        net.event(4, Event::Announce(vec![addr(99)]));
        net.event(4, Event::Drain(true));
        net.run(secs(30));
        assert!(
            net.all_see(4, MemberState::Left),
            "still running, and still gone"
        );
        let speaks = net.trace[said..].iter().any(|line| line.contains(" 4->"));
        assert!(!speaks, "and silent");
        net.kill(4);
        net.run(secs(30));
        assert!(net.all_see(4, MemberState::Left));
        let wrong = net.seen[before..].iter().any(|&(_, _, other, state)| {
            other == 4 && matches!(state, MemberState::Dead | MemberState::Suspect)
        });
        assert!(!wrong, "never dead, never suspected");
        net.start(4, 2);
        net.until(secs(10), "and can come again", Net::whole);
    }
}

#[test]
fn draining_is_seen_by_all_and_can_be_taken_back() {
    for seed in 0..10 {
        let mut net = Net::started(seed, 10);
        net.until(secs(15), "whole", Net::whole);
        let before = net.seen.len();
        net.event(4, Event::Drain(true));
        net.until(secs(5), "draining", |net| {
            net.all_see(4, MemberState::Draining)
        });
        net.run(secs(30));
        assert!(net.all_see(4, MemberState::Draining));
        assert_eq!(net.sees(4, 4), Some(MemberState::Draining));
        net.event(4, Event::Drain(false));
        net.until(secs(5), "back at work", Net::whole);
        let lost = net.seen[before..]
            .iter()
            .any(|&(_, _, _, state)| !state.is_active());
        assert!(!lost, "nobody was dead for anybody meanwhile");
    }
}

#[test]
fn draining_while_alone_does_not_stop_the_way_back() {
    let mut net = Net::started(1, 3);
    net.until(secs(15), "whole", Net::whole);
    net.cut([2]);
    net.event(2, Event::Drain(true));
    net.until(secs(60), "2 notices that it is alone", |net| {
        net.sees(2, 1) == Some(MemberState::Dead) && !net.machine(2).connected()
    });
    net.heal();
    net.until(secs(30), "seen draining", |net| {
        net.all_see(2, MemberState::Draining)
    });
}

#[test]
fn strangers_are_refused_counted_and_reported_once() {
    let mut net = Net::started(1, 3);
    net.start_with(8, 1, seal("other", 1), SwimConfig::default());
    net.start_with(9, 1, seal("moot", 9), SwimConfig::default());
    net.run(secs(60));
    for node in 1..=3 {
        assert_eq!(net.sees(node, 8), None);
        assert_eq!(net.sees(node, 9), None);
    }
    let refused = &net.machine(1).stats().refused;
    assert!(refused[&Refused::Cluster] > 3, "{refused:?}");
    assert!(refused[&Refused::Forged] > 3, "{refused:?}");
    assert_eq!(
        net.warned
            .iter()
            .filter(|&&w| w == (1, Refused::Cluster))
            .count(),
        1
    );
    assert_eq!(
        net.warned
            .iter()
            .filter(|&&w| w == (1, Refused::Forged))
            .count(),
        1
    );
}

#[test]
fn the_set_of_reported_sources_is_bounded() {
    let mut net = Net::started(1, 1);
    for host in 0..2_000u16 {
        let from = std::net::SocketAddr::from(([10, 1, (host >> 8) as u8, host as u8], 1));
        let bytes = Bytes::from_static(b"junk");
        net.event(1, Event::Packet { from, bytes });
    }
    assert_eq!(net.machine(1).stats().refused[&Refused::Short], 2_000);
    assert_eq!(net.warned.len(), super::SOURCES_MAX);
}

#[test]
fn a_second_node_with_the_same_id_is_reported() {
    let mut net = Net::started(1, 2);
    net.until(secs(15), "whole", Net::whole);
    let twin = net.machine(2).me().clone();
    let mut codec = SwimCodec { me: twin.clone() };
    let mut plain = Vec::new();
    let header = foca::Header {
        src: twin.clone(),
        src_incarnation: 0,
        dst: twin,
        message: foca::Message::Gossip,
    };
    codec.encode_header(&header, &mut plain).unwrap();
    let packet = seal("moot", 1)
        .seal(&plain, &mut StdRng::seed_from_u64(1))
        .unwrap();
    net.event(
        2,
        Event::Packet {
            from: addr(3),
            bytes: packet.into(),
        },
    );
    assert!(net.warned.contains(&(2, Refused::OwnId)));
}

#[test]
fn a_fifth_of_the_packets_lost_kills_nobody_for_long() {
    for seed in 0..5 {
        let mut net = Net::started(seed, 10);
        net.loss = 20;
        net.until(secs(60), "whole", Net::whole);
        let mut away = Duration::ZERO;
        for _ in 0..600 {
            net.run(Duration::from_millis(500));
            let dead = net
                .ids()
                .into_iter()
                .any(|one| net.machine(one).members().any(|m| !m.state.is_active()));
            away = if dead {
                away + Duration::from_millis(500)
            } else {
                Duration::ZERO
            };
            assert!(
                away < secs(15),
                "seed {seed}: somebody is held for dead since {away:?}"
            );
        }
        net.loss = 0;
        net.until(secs(20), "whole without loss", Net::whole);
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let run = |seed| {
        let mut net = Net::started(seed, 6);
        net.loss = 10;
        net.run(secs(30));
        net.kill(2);
        net.cut([3, 4]);
        net.run(secs(40));
        net.heal();
        net.event(5, Event::Drain(true));
        net.run(secs(40));
        net.trace
    };
    let first = run(42);
    assert!(first.len() > 1_000);
    assert_eq!(first, run(42));
    assert_ne!(first, run(43));
}

#[test]
fn timings_that_cannot_work_are_refused() {
    let good = SwimConfig::default();
    assert_eq!(good.validate(), Ok(()));
    let slow = SwimConfig {
        probe_rtt: secs(1),
        ..good.clone()
    };
    assert!(matches!(
        slow.validate(),
        Err(SwimConfigError::Probe { .. })
    ));
    let hasty = SwimConfig {
        suspect_for: secs(1),
        ..good.clone()
    };
    assert!(matches!(hasty.validate(), Err(SwimConfigError::Suspect(_))));
    let mute = SwimConfig {
        gossip_every: Duration::ZERO,
        ..good
    };
    assert!(matches!(mute.validate(), Err(SwimConfigError::Zero(_))));
}

proptest! {
    #[test]
    fn garbage_under_a_true_seal_never_panics(
        plains in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 1..20)
    ) {
        let mut net = Net::started(1, 3);
        net.run(secs(3));
        let mut rng = StdRng::seed_from_u64(1);
        for plain in plains {
            let packet = seal("moot", 1).seal(&plain, &mut rng).unwrap();
            net.event(1, Event::Packet { from: addr(9), bytes: packet.into() });
        }
        net.run(secs(5));
    }

    #[test]
    fn damaged_messages_under_a_true_seal_never_panic(
        message in 0u8..11, at in 0usize..200, byte in any::<u8>(), cut in 0usize..200, members in 0u16..5
    ) {
        let mut net = Net::started(1, 3);
        net.run(secs(3));
        let me = net.machine(1).me().clone();
        let peer = net.machine(2).me().clone();
        let mut codec = SwimCodec { me: me.clone() };
        let mut plain = Vec::new();
        let (target, origin) = (peer.clone(), peer.clone());
        let message = match message {
            0 => foca::Message::Ping(byte),
            1 => foca::Message::Ack(byte),
            2 => foca::Message::PingReq { target, probe_number: byte },
            3 => foca::Message::IndirectPing { origin, probe_number: byte },
            4 => foca::Message::IndirectAck { target, probe_number: byte },
            5 => foca::Message::ForwardedAck { origin, probe_number: byte },
            6 => foca::Message::Announce,
            7 => foca::Message::Feed,
            8 => foca::Message::Gossip,
            9 => foca::Message::Broadcast,
            _ => foca::Message::TurnUndead,
        };
        let header = foca::Header { src: peer.clone(), src_incarnation: 0, dst: me.clone(), message };
        codec.encode_header(&header, &mut plain).unwrap();
        plain.extend_from_slice(&members.to_be_bytes());
        for member in [foca::Member::down(peer.clone()), foca::Member::down(me), foca::Member::alive(peer)] {
            codec.encode_member(&member, &mut plain).unwrap();
        }
        if at < plain.len() { plain[at] = byte; }
        plain.truncate(plain.len().saturating_sub(cut));
        let packet = seal("moot", 1).seal(&plain, &mut StdRng::seed_from_u64(1)).unwrap();
        net.event(1, Event::Packet { from: addr(9), bytes: packet.into() });
        net.run(secs(5));
    }
}
