//! Which faults a seed has, and when.

use std::time::Duration;

use folkmoot_storage::Crash;

use super::draw::Draw;
use super::faults::{DiskFault, Fault, Planned};
use super::machine::SHORT_LEASE;
use super::net::REGIONS;
use super::plan::{self, Shape};

/// Faults begin within so many milliseconds of the people.
const BUSY: (u64, u64) = (1_000, 22_000);

/// Three crashes, two cuts, a region cut off every other time and one lost every
/// third, and one of each other kind or two; at any time, over each other as they
/// come. In order of time, and all is over in the end.
#[must_use]
pub fn draw(seed: u64, shape: &Shape) -> Vec<Planned> {
    let draw = &mut Draw::of(seed, "faults");
    let machines = shape.nodes.iter().sum();
    let mut planned = Vec::new();
    let mut add = |at: Duration, length: Duration, fault: Fault| {
        planned.push(Planned { at, length, fault });
    };
    for _ in 0..3 {
        let machine = draw.below(machines);
        let crash = crash(draw);
        let (at, length) = (at(draw), draw.between(200, 6_000));
        add(at, length, Fault::Crash { machine, crash });
    }
    for _ in 0..2 {
        let (from, to) = pair(draw);
        // Some are longer than connections last.
        let length = match draw.one_in(4) {
            true => draw.between(30_000, 40_000),
            false => draw.between(500, 9_000),
        };
        let cut = match draw.one_in(3) {
            true => Fault::CutOneWay { from, to },
            false => Fault::Cut { from, to },
        };
        add(at(draw), length, cut);
    }
    let machine = draw.below(machines);
    let one_way = draw.one_in(2);
    let (at_once, length) = (at(draw), draw.between(1_000, 9_000));
    add(at_once, length, Fault::Isolate { machine, one_way });
    let (from, to) = pair(draw);
    let link = match draw.one_in(2) {
        true => Fault::Loss {
            from,
            to,
            permille: 10 + draw.below(190) as u32,
        },
        false => Fault::SlowLink {
            from,
            to,
            by_ms: 50 + draw.below(950) as u64,
        },
    };
    add(at(draw), draw.between(2_000, 12_000), link);
    let machine = draw.below(machines);
    let disk = match draw.below(6) {
        0 => disk(machine, DiskFault::Write),
        1 => disk(machine, DiskFault::Sync),
        2 => disk(machine, DiskFault::Full),
        _ => Fault::SlowDisk {
            machine,
            by_ms: 20 + draw.below(300) as u64,
        },
    };
    add(at(draw), draw.between(1_000, 8_000), disk);
    for far in [false, true] {
        let machine = draw.below(machines);
        let by_ms = step(draw, far);
        let (at, length) = (at(draw), draw.between(1_000, 9_000));
        add(at, length, Fault::Step { machine, by_ms });
    }
    // The founder, machine 0, cannot be drained.
    if machines > REGIONS.len() {
        let machine = 1 + draw.below(machines - 1);
        let (at, length) = (at(draw), draw.between(3_000, 12_000));
        add(at, length, Fault::Drain { machine });
    }
    if let Some(machine) = shape.late() {
        add(at(draw), Duration::from_millis(1), Fault::Join { machine });
    }
    if draw.one_in(2) {
        let (machine, seed) = (draw.below(machines), draw.number());
        let (at, length) = (at(draw), draw.between(200, 4_000));
        add(at, length, Fault::Lie { machine, seed });
    }
    planned.extend(lost(&mut Draw::of(seed, "a region lost")));
    planned.extend(cut_off(&mut Draw::of(seed, "a region cut off"), shape));
    planned.extend(alone(&mut Draw::of(seed, "alone"), shape));
    planned.extend(moves(&mut Draw::of(seed, "moves")));
    planned.extend(splits(&mut Draw::of(seed, "splits")));
    planned.sort_by_key(|planned| planned.at);
    planned
}

/// In every third seed a whole region loses power, and comes back.
fn lost(draw: &mut Draw) -> Option<Planned> {
    let (at, length) = (at(draw), draw.between(3_000, 15_000));
    let (region, crash) = (draw.below(REGIONS.len()), crash(draw));
    let fault = Fault::RegionLost { region, crash };
    draw.one_in(3).then_some(Planned { at, length, fault })
}

/// A cut between two regions is gone round through the third; this one is not.
///
/// Where leases are short it often outlasts them.
fn cut_off(draw: &mut Draw, shape: &Shape) -> Option<Planned> {
    let region = draw.below(REGIONS.len());
    let (at, mut length) = (at(draw), draw.between(3_000, 15_000));
    if shape.short_leases {
        length += SHORT_LEASE;
    }
    let fault = Fault::CutOff { region };
    draw.one_in(2).then_some(Planned { at, length, fault })
}

/// A region's only node starts while it reaches nobody, and its clock is ahead:
/// it has to go by that, and stamps what its people say beyond the drift bound.
fn alone(draw: &mut Draw, shape: &Shape) -> Vec<Planned> {
    let region = draw.below(REGIONS.len());
    let (begin, by_ms) = (at(draw), 1_000 + draw.below(4_000) as i64);
    let length = draw.between(4_000, 8_000);
    if shape.nodes[region] != 1 || draw.one_in(2) {
        return Vec::new();
    }
    let machine = shape.nodes.iter().take(region).sum();
    let crash = Fault::Crash {
        machine,
        crash: Crash::LoseUnsynced,
    };
    let soon = begin + Duration::from_millis(300);
    [
        (begin, length, Fault::CutOff { region }),
        (begin, length * 2, Fault::Step { machine, by_ms }),
        (soon, Duration::from_millis(500), crash),
    ]
    .into_iter()
    .map(|(at, length, fault)| Planned { at, length, fault })
    .collect()
}

/// In every other seed a group moves, and in some the same one again.
fn moves(draw: &mut Draw) -> Vec<Planned> {
    let group = draw.below(plan::GROUPS);
    let moves = [0, 1, 0, 2][draw.below(4)];
    (0..moves)
        .map(|_| Planned {
            at: at(draw),
            length: Duration::from_millis(1),
            fault: Fault::Rehome {
                group,
                to: draw.below(REGIONS.len()),
            },
        })
        .collect()
}

/// In three of four seeds a shard is split, and in some two, or one twice.
fn splits(draw: &mut Draw) -> Vec<Planned> {
    let splits = [0, 1, 1, 2][draw.below(4)];
    (0..splits)
        .map(|_| Planned {
            at: at(draw),
            length: Duration::from_millis(1),
            fault: Fault::Split {
                group: draw.below(plan::GROUPS),
                behind: draw.one_in(3),
            },
        })
        .collect()
}

fn at(draw: &mut Draw) -> Duration {
    draw.between(BUSY.0, BUSY.1)
}

fn pair(draw: &mut Draw) -> (usize, usize) {
    let region = draw.below(REGIONS.len());
    let other = region + 1 + draw.below(REGIONS.len() - 1);
    (region, other % REGIONS.len())
}

fn crash(draw: &mut Draw) -> Crash {
    match draw.below(3) {
        0 => Crash::LoseUnsynced,
        _ => Crash::KeepPrefix {
            seed: draw.number(),
        },
    }
}

fn disk(machine: usize, how: DiskFault) -> Fault {
    Fault::Disk { machine, how }
}

/// Milliseconds that a clock is off by: at most 200, or seconds and more than
/// the drift bound, or about a minute.
fn step(draw: &mut Draw, far: bool) -> i64 {
    let by = match (far, far && draw.one_in(2)) {
        (false, _) => 1 + draw.below(200) as i64,
        (true, false) => 600 + draw.below(5_000) as i64,
        (true, true) => 50_000 + draw.below(20_000) as i64,
    };
    if draw.one_in(2) { by } else { -by }
}
