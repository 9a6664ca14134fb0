//! The plots of docs/scale.md.

use super::clients::Room;
use super::follow::Figures;
use super::{ROOM_PACE, Report};
use crate::plot::{Axis, Chart, Series};

const NODES: &str = "nodes";

/// Names of files, and what is drawn into them.
pub(super) fn charts(report: &Report) -> Vec<(&'static str, Chart)> {
    vec![
        ("gossip.svg", gossip(report)),
        ("detection.svg", detection(report)),
        ("message.svg", message(report)),
        ("delay.svg", delay(report)),
        ("room.svg", room(report)),
        ("pace.svg", pace(report)),
        ("groups.svg", groups(report)),
    ]
}

fn gossip(report: &Report) -> Chart {
    let simulated = &report.simulated;
    let swim = simulated.gossip.iter();
    let swim = swim.map(|g| (f64::from(g.nodes), g.quiet.bytes_per_s));
    let states = simulated.states.iter();
    let states = states.map(|s| (f64::from(s.nodes), s.bytes_per_s));
    Chart {
        title: "What a node sends while nothing happens".into(),
        x: Axis::log(NODES),
        y: Axis::log("bytes a second"),
        series: vec![
            Series::new("membership (SWIM)", swim),
            Series::new("node states (chitchat)", states),
        ],
    }
}

fn detection(report: &Report) -> Chart {
    let gossip = &report.simulated.gossip;
    let of = |name: &str, time: fn(&super::swim::Figures) -> f64| {
        Series::new(name, gossip.iter().map(|g| (f64::from(g.nodes), time(g))))
    };
    let states = report.simulated.states.iter();
    let states = states.map(|s| (f64::from(s.nodes), s.all_s));
    Chart {
        title: "How long news take".into(),
        x: Axis::log(NODES),
        y: Axis::linear("seconds"),
        series: vec![
            of("killed: the first knows", |g| g.killed.first_s),
            of("killed: all know", |g| g.killed.all_s),
            of("killed, 1 % loss: all know", |g| g.killed_with_loss.all_s),
            of("joined: all know", |g| g.joined.all_s),
            Series::new("a changed value: all have it", states),
        ],
    }
}

/// Of all sizes, at the pace of the rooms.
fn paced<'a>(report: &'a Report) -> impl Iterator<Item = &'a Figures> + Clone + 'a {
    let follow = report.simulated.follow.iter();
    follow.filter(|figures| figures.per_s == ROOM_PACE)
}

fn message(report: &Report) -> Chart {
    let of = |name: &str, bytes: fn(&Figures) -> f64| {
        Series::new(name, paced(report).map(|f| (f64::from(f.nodes), bytes(f))))
    };
    Chart {
        title: "One message of 256 bytes, everybody follows, 100 a second".into(),
        x: Axis::log(NODES),
        y: Axis::log("bytes for each message"),
        series: vec![
            of("the leader sends", |f| f.leader.bytes),
            of("the busiest relay sends", |f| f.relay.bytes),
            of("between regions, in all", |f| f.between.bytes),
            of("inside regions, in all", |f| f.inside.bytes),
        ],
    }
}

fn delay(report: &Report) -> Chart {
    let of = |name: &str, ms: fn(&Figures) -> f64| {
        Series::new(name, paced(report).map(|f| (f64::from(f.nodes), ms(f))))
    };
    Chart {
        title: "From the commit to the nodes, 100 messages a second".into(),
        x: Axis::log(NODES),
        y: Axis::linear("milliseconds"),
        series: vec![
            of("half of the nodes", |f| f.half_ms),
            of("the last node", |f| f.last_ms),
        ],
    }
}

fn room(report: &Report) -> Chart {
    let rooms = report.computed.rooms.iter();
    let rooms = rooms.filter(|room| room.per_s == ROOM_PACE);
    let of = |name: &str, bytes: fn(&Room) -> f64| {
        let points = rooms.clone().map(|room| (room.members as f64, bytes(room)));
        Series::new(name, points)
    };
    Chart {
        title: "What one message costs, 100 a second".into(),
        x: Axis::log("members"),
        y: Axis::log("bytes for each message"),
        series: vec![
            of("between nodes", |room| room.between_nodes_bytes),
            of("their cursors, once a second (computed)", |room| {
                room.cursor_bytes
            }),
            of("to clients (computed)", |room| room.client_bytes),
        ],
    }
}

fn pace(report: &Report) -> Chart {
    let clients = &report.simulated.clients;
    let of = |name: &str, bytes: fn(&super::edge::Figures) -> f64| {
        let points = clients.iter().map(|got| (f64::from(got.per_s), bytes(got)));
        Series::new(name, points)
    };
    Chart {
        title: "What one client gets for each message".into(),
        x: Axis::log("messages a second"),
        y: Axis::log("bytes for each message"),
        series: vec![
            of("group open", |got| got.active_bytes),
            of("group in the list", |got| got.bump_bytes),
        ],
    }
}

fn groups(report: &Report) -> Chart {
    let groups = &report.simulated.groups;
    let of = |name: &str, bytes: fn(&super::growth::Groups) -> u64| {
        let points = groups.iter();
        Series::new(name, points.map(|g| (f64::from(g.groups), bytes(g) as f64)))
    };
    Chart {
        title: "A node begins to follow a shard".into(),
        x: Axis::log("groups of the shard"),
        y: Axis::log("bytes"),
        series: vec![
            of("inside a region", |g| g.bytes_inside),
            of("from another region", |g| g.bytes_between),
        ],
    }
}
