//! Every metric's name, in one place, and how it is observed.

use folkmoot_consensus::Snapshots;
use folkmoot_wire::ShardId;
use metrics::{counter, describe_counter, describe_gauge, gauge};

use crate::cluster::parts::StatusSource;
use crate::cluster::start::Node;
use crate::edge::EdgeStats;

const SESSIONS: &str = "folkmoot_sessions";
const ACTIVE_GROUPS: &str = "folkmoot_active_groups";
const QUEUE_BYTES: &str = "folkmoot_session_queue_bytes";
const DELIVERIES: &str = "folkmoot_deliveries_total";
const GAPS: &str = "folkmoot_gaps_total";
const PAGE_BYTES: &str = "folkmoot_history_page_bytes";
const PAGES_WAITING: &str = "folkmoot_history_pages_waiting";
const ONLINE: &str = "folkmoot_online_users";
const GREETINGS_WAITING: &str = "folkmoot_greetings_waiting";
const HANDSHAKES_WAITING: &str = "folkmoot_handshakes_waiting";
const REQUESTS: &str = "folkmoot_requests_total";
const REFUSED: &str = "folkmoot_refused_total";
const SHARD_APPLIED: &str = "folkmoot_shard_applied_index";
const SHARD_WATERMARK: &str = "folkmoot_shard_watermark";
const SHARD_FOLLOWERS: &str = "folkmoot_shard_followers";
const SHARD_LEADS: &str = "folkmoot_shard_leads";
const SHARD_TERM: &str = "folkmoot_shard_term";
const SHARD_LEADERS: &str = "folkmoot_shard_leader_changes_total";
const STALE_APPENDS: &str = "folkmoot_shard_stale_appends_refused_total";
const SEQUENCER_REFUSED: &str = "folkmoot_sequencer_refused_total";
const VOTER_LAG: &str = "folkmoot_shard_voter_lag";
const PUSHES_LOST: &str = "folkmoot_follow_pushes_lost_total";
const COPIES_DIVERGED: &str = "folkmoot_copies_diverged_total";
const ENTRIES_DAMAGED: &str = "folkmoot_damaged_entries_total";
const FOLLOW_STREAMS: &str = "folkmoot_follow_streams_total";
const ROW_SESSIONS: &str = "folkmoot_reconcile_sessions_total";
const ROW_BYTES: &str = "folkmoot_reconcile_bytes_total";
const ROW_FOUND: &str = "folkmoot_reconcile_rows_total";
const ROWS_GONE: &str = "folkmoot_tombstones_total";
const GROUPS_MOVED: &str = "folkmoot_group_moves_total";
const MEMBERS: &str = "folkmoot_gossip_members";
const GOSSIP_PACKETS: &str = "folkmoot_gossip_packets_total";
const GOSSIP_REFUSED: &str = "folkmoot_gossip_refused_total";
const CLOCK_OFF: &str = "folkmoot_clock_off_seconds";
const LEASES_ENDED: &str = "folkmoot_shards_not_served";
const SNAPSHOTS: &str = "folkmoot_snapshots_total";
const SNAPSHOT_BYTES: &str = "folkmoot_snapshot_bytes_total";
const TENTATIVE: &str = "folkmoot_tentative_messages";
const TENTATIVE_DONE: &str = "folkmoot_tentative_messages_total";
const TUNNELS: &str = "folkmoot_tunnels";
const TUNNEL_STREAMS: &str = "folkmoot_tunnel_streams_total";
const TUNNEL_BYTES: &str = "folkmoot_tunnel_bytes_total";
const STORE_BYTES: &str = "folkmoot_store_bytes";

/// Says what each metric means.
pub fn describe() {
    describe_gauge!(SESSIONS, "clients connected, by transport");
    describe_gauge!(
        ACTIVE_GROUPS,
        "groups that some client connected here has active"
    );
    describe_gauge!(
        QUEUE_BYTES,
        "bytes that wait to be written to clients, of all sessions"
    );
    describe_counter!(DELIVERIES, "frames of entries queued for clients");
    describe_counter!(
        GAPS,
        "gaps told to clients because their queue was full or the edge had lost its place"
    );
    describe_gauge!(
        PAGE_BYTES,
        "bytes of pages of history that are on their way to clients"
    );
    describe_gauge!(
        PAGES_WAITING,
        "requests for history that wait until there is room for their pages"
    );
    describe_gauge!(
        HANDSHAKES_WAITING,
        "connections over TCP that wait for their TLS handshake, since many come at once"
    );
    describe_gauge!(
        GREETINGS_WAITING,
        "sessions that wait to be let in, since many come at once"
    );
    describe_gauge!(
        ONLINE,
        "users who are connected somewhere, of those whose shards this node leads"
    );
    describe_counter!(REQUESTS, "requests taken from clients");
    describe_counter!(
        REFUSED,
        "what clients were refused, and sessions that were ended, by what it was"
    );
    describe_gauge!(
        SHARD_APPLIED,
        "index of the last applied batch of a shard voted on here"
    );
    describe_gauge!(
        SHARD_WATERMARK,
        "shard version up to which everything is held here"
    );
    describe_gauge!(
        SHARD_FOLLOWERS,
        "nodes that follow a shard through this one"
    );
    describe_gauge!(SHARD_LEADS, "1 where this node sequences the shard");
    describe_gauge!(SHARD_TERM, "Raft term of a shard voted on here: its epoch");
    describe_counter!(
        SHARD_LEADERS,
        "times that a shard voted on here had another leader, or the same one in a later term"
    );
    describe_counter!(
        STALE_APPENDS,
        "messages refused because they came from a leader that is none any more"
    );
    describe_gauge!(
        VOTER_LAG,
        "entries of the Raft log that a voter of a shard led here is behind; 0 where it is not led"
    );
    describe_counter!(
        PUSHES_LOST,
        "pushes that followers lost to full queues and fetched"
    );
    describe_counter!(
        COPIES_DIVERGED,
        "copies thrown away because their chain was another"
    );
    describe_counter!(
        ENTRIES_DAMAGED,
        "times that an entry read from the store was not what had been written, and entries put in place from other nodes, by kind"
    );
    describe_counter!(FOLLOW_STREAMS, "follow streams opened");
    describe_counter!(
        ROW_SESSIONS,
        "sessions in which the rows of a copy were reconciled with its upstream's"
    );
    describe_counter!(ROW_BYTES, "bytes of their messages, both ways");
    describe_counter!(
        ROW_FOUND,
        "rows that such sessions brought, and rows here that were wrong, by kind"
    );
    describe_counter!(
        SEQUENCER_REFUSED,
        "commands that found no room in front of a shard's sequencer: answered busy"
    );
    describe_counter!(
        ROWS_GONE,
        "rows that only said that something is gone: collected by this node as a leader, and deleted here as a follower, by kind"
    );
    describe_counter!(
        GROUPS_MOVED,
        "groups that left a shard led here for another, and moves that were given up, by kind"
    );
    describe_counter!(
        SNAPSHOTS,
        "snapshots of a shard voted on here: sent, installed, and refused since what was in them did not hold, by kind"
    );
    describe_counter!(
        SNAPSHOT_BYTES,
        "bytes of snapshots sent, received, and spared since they were here already, by kind"
    );
    describe_gauge!(MEMBERS, "nodes known by gossip, by state");
    describe_counter!(GOSSIP_PACKETS, "gossip packets, by direction");
    describe_counter!(
        GOSSIP_REFUSED,
        "gossip packets refused, by reason: another cluster or key, or damaged"
    );
    describe_gauge!(CLOCK_OFF, "how far the clock is ahead of its peers' median");
    describe_gauge!(
        LEASES_ENDED,
        "shards whose home was not heard from for authority_lease: their groups are not served here"
    );
    describe_gauge!(
        TENTATIVE,
        "messages that wait here for a home that cannot be reached"
    );
    describe_counter!(
        TENTATIVE_DONE,
        "such messages accepted here, and committed or refused by the home in the end"
    );
    describe_gauge!(
        TUNNELS,
        "by role: nodes that this one reaches through a third region, streams of others that it passes on, and streams that were passed on to it"
    );
    describe_counter!(TUNNEL_STREAMS, "streams of others passed on");
    describe_counter!(TUNNEL_BYTES, "bytes of their frames, both ways");
    describe_gauge!(STORE_BYTES, "bytes of the store on disk, about");
}

/// Brings gauges up to date: called at each scrape.
pub fn observe(node: &Node) {
    let status = node.status();
    observe_edge(&node.edge.stats());
    gauge!(STORE_BYTES).set(node.store.approximate_bytes() as f64);
    gauge!(LEASES_ENDED).set(node.leases.not_served() as f64);
    gauge!(TENTATIVE).set(node.keeper.waiting() as f64);
    for (what, count) in node.keeper.counts() {
        counter!(TENTATIVE_DONE, "what" => what).absolute(count);
    }
    let (found, mended) = node.reads.suspects.counts();
    counter!(ENTRIES_DAMAGED, "kind" => "found").absolute(found);
    counter!(ENTRIES_DAMAGED, "kind" => "mended").absolute(mended);
    for shard in &status.shards {
        let label = shard.shard.to_string();
        gauge!(SHARD_WATERMARK, "shard" => label.clone()).set(shard.followed as f64);
        gauge!(SHARD_FOLLOWERS, "shard" => label.clone()).set(f64::from(shard.followers));
        if shard.voter {
            let leads = f64::from(u8::from(shard.leader == status.node));
            gauge!(SHARD_APPLIED, "shard" => label.clone()).set(shard.last_applied as f64);
            gauge!(SHARD_LEADS, "shard" => label.clone()).set(leads);
            gauge!(SHARD_TERM, "shard" => label.clone()).set(shard.term as f64);
            observe_voter(node, ShardId(shard.shard), &label);
        }
        observe_feed(node, ShardId(shard.shard), label);
    }
    if let Some(off) = node.clocks.system_off() {
        gauge!(CLOCK_OFF).set(off as f64 / 1_000.0);
    }
    gauge!(ONLINE).set(node.presences.online() as f64);
    observe_gossip(node);
    observe_tunnels(node);
}

fn observe_voter(node: &Node, shard: ShardId, label: &str) {
    let Some(voter) = node.voters.get(shard) else {
        return;
    };
    let label = || label.to_owned();
    counter!(SHARD_LEADERS, "shard" => label()).absolute(voter.leadership.changes());
    counter!(ROWS_GONE, "shard" => label(), "kind" => "collected").absolute(voter.collected());
    for (kind, count) in voter.moves.all() {
        counter!(GROUPS_MOVED, "shard" => label(), "kind" => kind).absolute(count);
    }
    counter!(STALE_APPENDS, "shard" => label()).absolute(voter.raft.stale_appends());
    counter!(SEQUENCER_REFUSED, "shard" => label()).absolute(voter.refused());
    observe_snapshots(&voter.raft.snapshots(), label);
    for (node, behind) in voter.behind() {
        let voter = node.0.to_string();
        gauge!(VOTER_LAG, "shard" => label(), "voter" => voter).set(behind as f64);
    }
}

fn observe_snapshots(of: &Snapshots, label: impl Fn() -> String) {
    for (kind, count) in [
        ("sent", of.sent),
        ("installed", of.installed),
        ("refused", of.refused),
    ] {
        counter!(SNAPSHOTS, "shard" => label(), "kind" => kind).absolute(count);
    }
    for (kind, bytes) in [
        ("sent", of.bytes_sent),
        ("received", of.bytes_received),
        ("spared", of.bytes_spared),
    ] {
        counter!(SNAPSHOT_BYTES, "shard" => label(), "kind" => kind).absolute(bytes);
    }
}

fn observe_feed(node: &Node, shard: ShardId, label: String) {
    if let Some(feed) = node.feeds.get(shard) {
        counter!(PUSHES_LOST, "shard" => label.clone()).absolute(feed.status().borrow().lost);
    }
    if let Some(follower) = node.followers.get(shard) {
        let status = follower.status();
        counter!(COPIES_DIVERGED, "shard" => label.clone()).absolute(status.diverged);
        counter!(FOLLOW_STREAMS, "shard" => label.clone()).absolute(status.streams);
        counter!(ROWS_GONE, "shard" => label.clone(), "kind" => "deleted").absolute(status.gone);
        let rows = status.rows;
        counter!(ROW_SESSIONS, "shard" => label.clone()).absolute(rows.sessions);
        counter!(ROW_BYTES, "shard" => label.clone()).absolute(rows.bytes);
        let found =
            |kind: &'static str| counter!(ROW_FOUND, "shard" => label.clone(), "kind" => kind);
        found("brought").absolute(rows.rows);
        found("wrong").absolute(rows.wrong);
    }
}

fn observe_edge(stats: &EdgeStats) {
    gauge!(SESSIONS, "transport" => "quic").set(stats.sessions_quic as f64);
    gauge!(SESSIONS, "transport" => "websocket").set(stats.sessions_websocket as f64);
    gauge!(ACTIVE_GROUPS).set(stats.active_groups as f64);
    gauge!(QUEUE_BYTES).set(stats.queue_bytes as f64);
    counter!(DELIVERIES).absolute(stats.delivered);
    counter!(GAPS).absolute(stats.gaps);
    gauge!(PAGE_BYTES).set(stats.page_bytes as f64);
    gauge!(PAGES_WAITING).set(stats.pages_waiting as f64);
    gauge!(GREETINGS_WAITING).set(stats.greetings_waiting as f64);
    gauge!(HANDSHAKES_WAITING).set(stats.handshakes_waiting as f64);
    counter!(REQUESTS).absolute(stats.requests);
    for (what, count) in [
        ("token", stats.refused_tokens),
        ("session", stats.refused_sessions),
        ("greeting", stats.refused_greetings),
        ("handshake", stats.refused_handshakes),
        ("request", stats.too_many_requests),
        ("history", stats.refused_pages),
        ("slow_consumer", stats.slow_consumers),
        ("bad_frame", stats.bad_frames),
    ] {
        counter!(REFUSED, "what" => what).absolute(count);
    }
}

fn observe_tunnels(node: &Node) {
    let tunnels = node.peers.tunnels();
    let reached = tunnels.reached().len() as u64;
    for (role, count) in [
        ("reached", reached),
        ("passed_on", tunnels.passing()),
        ("served", tunnels.serving()),
    ] {
        gauge!(TUNNELS, "role" => role).set(count as f64);
    }
    let (streams, bytes) = tunnels.passed();
    counter!(TUNNEL_STREAMS).absolute(streams);
    counter!(TUNNEL_BYTES).absolute(bytes);
}

fn observe_gossip(node: &Node) {
    let members = node.view.members();
    for (name, state) in [
        ("alive", folkmoot_gossip::MemberState::Alive),
        ("suspect", folkmoot_gossip::MemberState::Suspect),
        ("dead", folkmoot_gossip::MemberState::Dead),
        ("left", folkmoot_gossip::MemberState::Left),
        ("draining", folkmoot_gossip::MemberState::Draining),
    ] {
        let count = members
            .iter()
            .filter(|member| member.state == state)
            .count();
        gauge!(MEMBERS, "state" => name).set(count as f64);
    }
    if let Some(gossip) = &node.gossip {
        let stats = gossip.stats();
        counter!(GOSSIP_PACKETS, "direction" => "in").absolute(stats.packets_in);
        counter!(GOSSIP_PACKETS, "direction" => "out").absolute(stats.packets_out);
        for (reason, count) in &stats.refused {
            counter!(GOSSIP_REFUSED, "reason" => reason.name()).absolute(*count);
        }
    }
}
