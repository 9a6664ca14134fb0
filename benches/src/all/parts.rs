//! What is run, and what is read of it.

use serde_json::Value;

use super::rows::{self, Row};

type Rows = fn(&Value) -> anyhow::Result<Vec<Row>>;

/// One run of this program.
pub(super) struct Part {
    pub(super) name: &'static str,
    /// Its command, with all flags.
    quick: &'static str,
    long: &'static str,
    pub(super) rows: Rows,
}

impl Part {
    pub(super) fn words(&self, quick: bool) -> &'static str {
        if quick { self.quick } else { self.long }
    }
}

const fn part(name: &'static str, quick: &'static str, long: &'static str, rows: Rows) -> Part {
    Part {
        name,
        quick,
        long,
        rows,
    }
}

pub(super) const ALL: &[Part] = &[
    part(
        "fanout",
        "fanout --listeners 1000 --rates 100 --seconds 3 --only websocket,websocket-no-window,quic,redis,redis-tls,nats,nats-tls,mosquitto,floor-tls,floor-quic",
        "fanout --listeners 1000,5000 --rates 100 --seconds 10",
        rows::fanout,
    ),
    part(
        "quiet",
        "fanout --listeners 1000 --rates 10 --no-most --seconds 4 --only websocket,quic,nats,redis",
        "fanout --listeners 1000 --rates 10 --no-most --seconds 20 --only websocket,quic,nats,redis",
        rows::quiet,
    ),
    part(
        "slow",
        "fanout --listeners 1000 --rates 100 --no-most --seconds 4 --slow 0,10 --only websocket",
        "fanout --listeners 1000 --rates 100 --no-most --seconds 40 --slow 0,10 --only websocket",
        rows::slow,
    ),
    part("herd", "herd --rounds 2", "herd --rounds 7", rows::herd),
    part(
        "connections",
        "connections --quick --connections 1000",
        "connections",
        rows::connections,
    ),
    part(
        "members",
        "members --quick --members 50000",
        "members",
        rows::members,
    ),
    part(
        "cursors",
        "cursors --rates 100000 --seconds 3",
        "cursors --rates 100000 --seconds 10",
        rows::cursors,
    ),
    part("counts", "counts --seconds 3", "counts", rows::counts),
];
