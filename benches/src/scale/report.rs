//! The figures, for people.

use comfy_table::{Cell, Color, Table};

use super::limits::{self, Limit};
use super::swim::{Newcomer, Start, Told};
use super::{Computed, Report, Simulated};
use crate::table::{align, thousands, titled};

/// Two digits and a half.
fn short(figure: f64) -> String {
    match figure.abs() {
        f if f >= 100.0 => thousands(figure),
        f if f >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

fn told(told: &Told) -> String {
    let [first, half, all] = [told.first_s, told.half_s, told.all_s].map(short);
    format!("{first} / {half} / {all}")
}

fn newcomer(found: &Newcomer) -> String {
    match found.all_s {
        Some(all_s) => format!("all after {} s", short(all_s)),
        None => format!("{} after {} s", found.knows, short(found.after_s)),
    }
}

fn show(title: &str, mut table: Table) {
    align(&mut table);
    println!("\n{title}\n{table}");
}

pub(super) fn print(report: &Report) {
    let simulated = &report.simulated;
    println!(
        "Seed {}; {:.0} % of the members online, {:.0} % of these with the group open.",
        report.seed,
        report.shares.online * 100.0,
        report.shares.active * 100.0
    );
    gossip(simulated);
    states(simulated);
    follow(simulated);
    cursors(simulated);
    clients(simulated);
    rooms(&report.computed);
    groups(report);
    clusters(report);
    bounds(&report.computed.limits);
}

fn gossip(simulated: &Simulated) {
    let mut traffic = titled(&[
        "nodes",
        "regions",
        "quiet: packets/s",
        "bytes/s",
        "after a death: bytes/s",
        "all start at once: s",
        "bytes",
        "most packets in 1 s",
    ]);
    let mut times = titled(&[
        "nodes",
        "killed: first / half / all, s",
        "with loss",
        "wrongly dead",
        "joined: first / half / all, s",
        "newcomer knows",
    ]);
    for found in &simulated.gossip {
        let started =
            |figure: fn(&Start) -> String| found.start.as_ref().map_or("-".into(), figure);
        traffic.add_row([
            found.nodes.to_string(),
            found.regions.to_string(),
            short(found.quiet.packets_per_s),
            short(found.quiet.bytes_per_s),
            short(found.killed_sent.bytes_per_s),
            started(|start| short(start.formed_s)),
            started(|start| short(start.bytes_per_node)),
            started(|start| start.most_packets_in.to_string()),
        ]);
        times.add_row([
            found.nodes.to_string(),
            told(&found.killed),
            told(&found.killed_with_loss),
            found.wrongly_dead.to_string(),
            told(&found.joined),
            newcomer(&found.newcomer),
        ]);
    }
    show("Membership, simulated: what each node sends", traffic);
    show("Membership, simulated: how long news take", times);
}

fn states(simulated: &Simulated) {
    let mut table = titled(&[
        "nodes",
        "messages/s",
        "bytes/s",
        "longest message",
        "a value: half / all, s",
    ]);
    for found in &simulated.states {
        table.add_row([
            found.nodes.to_string(),
            short(found.messages_per_s),
            short(found.bytes_per_s),
            thousands(found.longest_bytes as f64),
            format!("{} / {}", short(found.half_s), short(found.all_s)),
        ]);
    }
    show("Node states, simulated: what each node sends", table);
}

fn follow(simulated: &Simulated) {
    let mut table = titled(&[
        "nodes",
        "messages/s",
        "hops",
        "leader: streams inside, between",
        "leader sends",
        "busiest relay",
        "inside regions",
        "between",
        "frames",
        "half / last, ms",
    ]);
    for found in &simulated.follow {
        let (inside, between) = found.leader_followers;
        table.add_row([
            found.nodes.to_string(),
            thousands(f64::from(found.per_s)),
            found.hops.to_string(),
            format!("{inside}, {between}"),
            short(found.leader.bytes),
            short(found.relay.bytes),
            short(found.inside.bytes),
            short(found.between.bytes),
            short(found.inside.frames + found.between.frames),
            format!("{} / {}", short(found.half_ms), short(found.last_ms)),
        ]);
    }
    let entry = simulated.follow.first().map_or(0, |f| f.entry_bytes);
    let title = format!("Following, simulated: bytes for one message (an entry of {entry} bytes)");
    show(&title, table);
}

fn cursors(simulated: &Simulated) {
    let mut table = titled(&[
        "nodes",
        "leader sends",
        "busiest relay",
        "inside regions",
        "between",
    ]);
    for found in &simulated.cursors {
        table.add_row([
            found.nodes.to_string(),
            short(found.leader.bytes),
            short(found.relay.bytes),
            short(found.inside.bytes),
            short(found.between.bytes),
        ]);
    }
    show(
        "Cursors, simulated: bytes for one that moved, in batches of 100",
        table,
    );
}

fn clients(simulated: &Simulated) {
    let mut table = titled(&[
        "messages/s",
        "open: frames",
        "bytes",
        "in the list: bumps",
        "bytes",
        "one bump",
    ]);
    for found in &simulated.clients {
        table.add_row([
            thousands(f64::from(found.per_s)),
            format!("{:.3}", found.active_frames),
            short(found.active_bytes),
            format!("{:.4}", found.bump_frames),
            short(found.bump_bytes),
            short(found.bump_size),
        ]);
    }
    show("One client, simulated: for one message", table);
}

fn rooms(computed: &Computed) {
    let mut table = titled(&[
        "members",
        "nodes",
        "in full",
        "messages/s",
        "between nodes",
        "their cursors",
        "to clients: frames",
        "bytes",
        "an edge: frames",
        "bytes",
        "CPU ms: WebSocket, QUIC",
    ]);
    for found in &computed.rooms {
        table.add_row([
            thousands(found.members as f64),
            found.nodes.to_string(),
            found.wanting.to_string(),
            thousands(f64::from(found.per_s)),
            short(found.between_nodes_bytes),
            short(found.cursor_bytes),
            short(found.client_frames),
            short(found.client_bytes),
            short(found.edge_frames),
            short(found.edge_bytes),
            format!(
                "{}, {}",
                short(found.cpu_ms.websocket),
                short(found.cpu_ms.quic)
            ),
        ]);
    }
    show(
        "One message in a room: bytes between nodes simulated, cursors and clients computed, CPU estimated",
        table,
    );
}

fn groups(report: &Report) {
    let simulated = &report.simulated;
    let mut table = titled(&["groups", "frames", "bytes inside", "bytes between"]);
    for found in &simulated.groups {
        table.add_row([
            thousands(f64::from(found.groups)),
            thousands(found.frames as f64),
            thousands(found.bytes_inside as f64),
            thousands(found.bytes_between as f64),
        ]);
    }
    show("A node begins to follow a shard, simulated", table);
    println!(
        "A group's head takes {} bytes of a feed's memory (computed); a member's row {} bytes of a \
         store, a cursor's {} (both of real rows), and those of a million members {} MB (computed).",
        report.computed.head_in_memory_bytes,
        short(simulated.rows.member_bytes),
        short(simulated.rows.cursor_bytes),
        short(report.computed.rows_of_largest_room_bytes / 1e6)
    );
}

fn clusters(report: &Report) {
    let mut table = titled(&[
        "nodes",
        "shards",
        "cluster state, bytes",
        "shards followed",
        "through nodes",
        "most on a stream",
        "most relayed",
        "leases renewed/min",
    ]);
    for found in &report.computed.clusters {
        table.add_row([
            found.nodes.to_string(),
            found.shards.to_string(),
            thousands(found.meta_bytes as f64),
            short(found.followed),
            short(found.upstreams),
            found.most_on_a_stream.to_string(),
            found.most_relayed.to_string(),
            short(found.renewals_per_min),
        ]);
    }
    show("Shards and streams of a node, computed", table);
    let quiet = &report.simulated.quiet;
    let [near, far] = quiet.silence_bytes.map(short);
    let [moved_near, moved_far] = quiet.watermark_bytes.map(short);
    println!(
        "Each second: a stream without news {near} bytes inside a region and {far} between; a \
         shard that moved without news for the follower {moved_near} and {moved_far}."
    );
}

fn bounds(found: &[Limit]) {
    let first = limits::first(found);
    let mut table = titled(&["what grows", "what ends it", "at", "", ""]);
    for limit in found {
        let colour = match (limit.hard, first.is_some_and(|first| first == limit)) {
            (_, true) => Color::Red,
            (true, _) => Color::Yellow,
            (false, _) => Color::Reset,
        };
        table.add_row([
            Cell::new(limit.what),
            Cell::new(limit.bound),
            Cell::new(thousands(limit.at)).fg(colour),
            Cell::new(limit.unit),
            Cell::new(if limit.hard { "hard" } else { "budget" }).fg(colour),
        ]);
    }
    show("Limits, computed from the above", table);
    if let Some(first) = first {
        println!(
            "The first limit of nodes: {} ({}), at {} nodes.",
            first.what,
            first.bound,
            thousands(first.at)
        );
    }
}
