//! Cuts of every kind heal, and soon.

use super::secs;
use crate::membership::MemberState;
use crate::membership::sim::Net;

#[test]
fn an_isolated_node_comes_back_by_itself() {
    for seed in 0..10 {
        // Node 1 is the seed of all: cutting it off tests finding lost
        // members, cutting off another tests the seeds.
        for alone in [1, 3] {
            let mut net = Net::started(seed, 5);
            net.until(secs(15), "whole", Net::whole);
            net.cut([alone]);
            net.until(secs(60), "alone", |net| {
                net.all_see(alone, MemberState::Dead) && !net.machine(alone).connected()
            });
            net.run(secs(60));
            net.heal();
            net.until(secs(30), "whole again", Net::whole);
        }
    }
}

#[test]
fn whatever_was_cut_and_for_how_long_it_is_whole_again_soon() {
    type Fault = fn(&mut Net);
    let faults: [(&str, Fault); 4] = [
        ("one", |net| net.cut([5])),
        ("region", |net| net.cut([4, 5, 6])),
        ("mute", |net| net.mute([5])),
        ("deaf", |net| net.deafen([5])),
    ];
    for (name, fault) in faults {
        // 8 seconds: some verdicts have fallen, others are due after it.
        for away in [8, 20, 60] {
            for seed in 0..10 {
                let mut net = Net::started(seed, 9);
                net.until(secs(15), "whole", Net::whole);
                fault(&mut net);
                net.run(secs(away));
                net.heal();
                let what = format!("{name}, {away} s, seed {seed}");
                net.until(secs(12), &what, Net::whole);
            }
        }
    }
}

#[test]
fn lost_members_are_found_when_no_seed_is_left() {
    let mut net = Net::started(1, 4);
    net.until(secs(15), "whole", Net::whole);
    net.kill(1);
    net.cut([2]);
    net.run(secs(1_000));
    assert_eq!(net.sees(2, 3), None, "longer than the dead are remembered");
    net.heal();
    net.until(secs(60), "whole again without the seed", Net::whole);
}

#[test]
fn halves_that_forgot_each_other_meet_again() {
    let mut net = Net::started(3, 6);
    net.until(secs(15), "whole", Net::whole);
    net.cut([1, 2, 3]);
    net.run(secs(1_000));
    assert_eq!(net.sees(5, 1), None, "longer than the dead are remembered");
    net.heal();
    net.until(secs(60), "whole again", Net::whole);
}

#[test]
fn who_is_reached_through_others_is_not_held_for_dead() {
    let sides: [(u32, [&[u32]; 2]); 2] = [(3, [&[1], &[3]]), (9, [&[1, 2, 3], &[7, 8, 9]])];
    for (nodes, sides) in sides {
        for seed in 0..10 {
            let mut net = Net::started(seed, nodes);
            net.until(secs(15), "whole", Net::whole);
            let began = net.now;
            net.part(sides);
            net.run(secs(300));
            let dead = net
                .seen
                .iter()
                .find(|(at, _, _, state)| *at >= began && *state == MemberState::Dead);
            assert_eq!(dead, None, "{nodes} nodes, seed {seed}");
            net.heal();
            net.until(secs(12), "whole again", Net::whole);
        }
    }
}

#[test]
fn once_nobody_is_left_between_they_are() {
    let mut net = Net::started(5, 3);
    net.until(secs(15), "whole", Net::whole);
    net.part([&[1], &[3]]);
    net.kill(2);
    let dead = Some(MemberState::Dead);
    net.until(secs(60), "dead to each other", |net| {
        net.sees(1, 3) == dead && net.sees(3, 1) == dead
    });
}
