//! All that was measured, for people and programs.

use std::collections::BTreeMap;
use std::time::Duration;

use folkmoot_node::demo::regions;
use folkmoot_node::demo::replay::Quantiles;
use folkmoot_node::demo::report::{GroupReport, HeadReport};
use serde::Serialize;

use super::{Options, Played};
use crate::machine::Machine;
use crate::stats::Percentiles;

/// From here on the generator's one thread counts as full, in percent.
const FULL: f64 = 90.0;

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) machine: Machine,
    pub(super) version: String,
    /// Every region holds one log, all listeners were shown it, each entry once,
    /// and it is what was said.
    pub(super) ok: bool,
    pub(super) problems: Vec<String>,
    pub(super) lines: usize,
    /// So many times as fast as the channel was.
    pub(super) speed: f64,
    /// How long the channel took, in seconds, without the nights.
    pub(super) channel_seconds: f64,
    /// From the first line until everybody had the last.
    pub(super) seconds: f64,
    /// Entries by kind. The group is large: joins made none.
    pub(super) kinds: BTreeMap<String, u64>,
    pub(super) speakers: usize,
    pub(super) listeners: usize,
    /// Entries to listeners.
    pub(super) deliveries: u64,
    pub(super) deliveries_per_second: f64,
    /// Of all nodes, everything they do included.
    pub(super) cpu_seconds_per_million: f64,
    /// Parts of one core.
    pub(super) nodes_percent: f64,
    pub(super) generator_percent: f64,
    pub(super) others_percent: f64,
    /// The generator's thread was full: delays are its own as well.
    pub(super) generator_is_the_limit: bool,
    /// Of all nodes at the end, in bytes.
    pub(super) memory: u64,
    /// From when a line was due to the answer that it is committed.
    pub(super) due_to_commit: Vec<Quantiles>,
    /// And to a client with the SDK in each region.
    pub(super) due_to_deliver: Vec<Quantiles>,
    pub(super) regions: Vec<Region>,
    /// What the stopped nodes' folders hold.
    pub(super) heads: BTreeMap<String, HeadReport>,
}

/// What came to the listeners of a region.
#[derive(Debug, Serialize)]
pub(super) struct Region {
    pub(super) region: &'static str,
    pub(super) listeners: usize,
    pub(super) deliveries: u64,
    /// From when an entry was put in its place.
    pub(super) sequenced_to_delivered_ms: Percentiles,
    /// How often a listener was told that it was too slow.
    pub(super) gaps: u64,
    /// Deliveries that it had to ask for.
    pub(super) fetched: u64,
}

impl Report {
    pub(super) fn new(
        options: &Options,
        machine: Machine,
        version: String,
        played: &Played,
        held: GroupReport,
    ) -> Self {
        let Played {
            replay,
            people,
            usage,
            ..
        } = played;
        let tallies = people.hall.regions.iter().zip(&people.of_region);
        let regions: Vec<Region> = regions::NAMES
            .iter()
            .zip(tallies)
            .map(|(region, (tally, listeners))| {
                let tally = tally.lock();
                Region {
                    region,
                    listeners: *listeners,
                    deliveries: tally.deliveries,
                    sequenced_to_delivered_ms: Percentiles::of(&tally.delay),
                    gaps: tally.gaps,
                    fetched: tally.fetched,
                }
            })
            .collect();
        let deliveries: u64 = regions.iter().map(|region| region.deliveries).sum();
        let seconds = played.time.as_secs_f64();
        let channel = replay.groups.first().and_then(|group| group.due.last());
        let speakers = replay.groups.iter().map(|group| group.script.users.len());
        Self {
            machine,
            version,
            ok: played.problems.is_empty(),
            problems: played.problems.clone(),
            lines: held.lines,
            speed: options.speed,
            channel_seconds: channel.map_or(0.0, Duration::as_secs_f64),
            seconds,
            kinds: held.kinds,
            speakers: speakers.sum(),
            listeners: people.users.len(),
            deliveries,
            deliveries_per_second: deliveries as f64 / seconds,
            cpu_seconds_per_million: usage.server / 100.0 * seconds / (deliveries as f64 / 1e6),
            nodes_percent: usage.server,
            generator_percent: usage.generator,
            others_percent: usage.others,
            generator_is_the_limit: usage.generator >= FULL,
            memory: played.memory,
            due_to_commit: replay.send_to_commit(),
            due_to_deliver: replay.send_to_deliver(),
            regions,
            heads: held.heads,
        }
    }
}
