//! What was measured, and how it is shown.

use serde::Serialize;

use crate::machine::{Limit, Machine, Usage};
use crate::stats::Percentiles;
use crate::table::{align, thousands, titled};

/// Wanted: a page within so many milliseconds, joins a second, and bytes of a
/// member's rows on disk.
pub(super) const WANTED_MS: f64 = 5.0;
const WANTED_JOINS: f64 = 10_000.0;
pub(super) const WANTED_BYTES: f64 = 100.0;

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) machine: Machine,
    pub(super) members: u32,
    pub(super) joins: Joining,
    pub(super) pages: Vec<Page>,
    pub(super) disk: OnDisk,
}

/// People who came.
#[derive(Debug, Serialize)]
pub(super) struct Joining {
    pub(super) rate: u32,
    /// Joins that were answered, a second.
    pub(super) taken: f64,
    pub(super) refused: u64,
    /// From when a join was due to its answer.
    pub(super) delay_ms: Percentiles,
    /// CPU seconds of the server for a million.
    pub(super) server_s_per_million: f64,
    /// What a member who has the group open was sent meanwhile.
    pub(super) frames_per_thousand: f64,
    pub(super) bytes_per_join: f64,
    pub(super) usage: Usage,
    pub(super) limit: Limit,
}

/// One kind of page, of a hundred members.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    pub(super) what: &'static str,
    /// Of the server's core, for one page.
    pub(super) server_ms: f64,
    /// From when a page was due to when it was there.
    pub(super) delay_ms: Percentiles,
    pub(super) usage: Usage,
    pub(super) wanted_ms: f64,
}

/// Bytes for each member, of tables that were written anew.
#[derive(Debug, Serialize)]
pub(super) struct OnDisk {
    /// Rows of the group.
    pub(super) rows: f64,
    /// Rows of the members' own lists of groups.
    pub(super) lists: f64,
    pub(super) index: f64,
    pub(super) log: f64,
    pub(super) wanted_rows: f64,
}

pub(super) fn print(report: &Report) {
    let Report {
        members,
        joins,
        pages,
        disk,
        ..
    } = report;
    println!(
        "{} people come into one group",
        thousands(f64::from(*members))
    );
    let mut table = titled(&[
        "asked/s",
        "taken/s",
        "wanted",
        "refused",
        "p50 ms",
        "p99 ms",
        "CPU s/M",
        "frames/1,000",
        "bytes/join",
        "limit",
    ]);
    table.add_row([
        thousands(f64::from(joins.rate)),
        thousands(joins.taken),
        thousands(WANTED_JOINS),
        joins.refused.to_string(),
        format!("{:.1}", joins.delay_ms.p50),
        format!("{:.1}", joins.delay_ms.p99),
        format!("{:.1}", joins.server_s_per_million),
        format!("{:.1}", joins.frames_per_thousand),
        format!("{:.0}", joins.bytes_per_join),
        joins.limit.name().to_owned(),
    ]);
    align(&mut table);
    println!("{table}");
    println!("pages of a hundred members");
    let mut table = titled(&["page", "server ms", "p50 ms", "p99 ms", "wanted ms"]);
    for page in pages {
        table.add_row([
            page.what.to_owned(),
            format!("{:.2}", page.server_ms),
            format!("{:.2}", page.delay_ms.p50),
            format!("{:.2}", page.delay_ms.p99),
            format!("{WANTED_MS}"),
        ]);
    }
    align(&mut table);
    println!("{table}");
    println!(
        "on disk, for each member: {:.0} bytes of rows (wanted: at most {}), {:.0} of the index, {:.0} of the log, {:.0} of the member's own list",
        disk.rows, disk.wanted_rows, disk.index, disk.log, disk.lists
    );
}
