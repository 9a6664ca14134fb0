//! What the measurements say, as far as it is shown.

use anyhow::Context;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Said;
use crate::machine::Machine;

/// All together.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) machine: Option<Machine>,
    pub(crate) commands: Vec<String>,
    pub(crate) fanout: Vec<Cell>,
    pub(crate) herd: Vec<Herd>,
    pub(crate) idle: Vec<Idle>,
    pub(crate) path: Vec<Path>,
    pub(crate) commit: Vec<Synced>,
}

/// Who was measured.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Host {
    #[serde(rename = "host")]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) kind: String,
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) notes: String,
}

/// Of one host in a room.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Cell {
    #[serde(flatten)]
    pub(crate) host: Host,
    pub(crate) listeners: u64,
    /// None: as fast as it goes.
    pub(crate) rate: Option<f64>,
    pub(crate) deliveries_per_second: f64,
    pub(crate) cpu_seconds_per_million: f64,
    pub(crate) delay_ms: Delays,
    pub(crate) lost: u64,
    pub(crate) limit: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Delays {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) most: f64,
}

/// Of one host that many come back to.
#[derive(Debug, Clone)]
pub(crate) struct Herd {
    pub(crate) clients: u64,
    pub(crate) newest: u64,
    pub(crate) of: HerdRow,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct HerdRow {
    #[serde(flatten)]
    pub(crate) host: Host,
    pub(crate) messages_per_second: Spread,
    pub(crate) cpu_seconds_per_million: f64,
    pub(crate) wait_ms: Delays,
    pub(crate) memory_more: u64,
    pub(crate) limit: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

/// Of connections that do nothing, in bytes for each.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Idle {
    #[serde(flatten)]
    pub(crate) host: Host,
    pub(crate) server: f64,
    pub(crate) slab: f64,
}

/// Of a message's way at one host.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Path {
    pub(crate) peer: String,
    pub(crate) version: String,
    pub(crate) replicas: u64,
    pub(crate) durability: String,
    pub(crate) cells: Vec<PathCell>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PathCell {
    pub(crate) window: Option<u64>,
    pub(crate) targets: Option<u64>,
    pub(crate) figures: Vec<Figure>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Figure {
    pub(crate) figure: String,
    #[serde(flatten)]
    pub(crate) spread: Spread,
}

/// Records made durable, a second.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Synced {
    pub(crate) in_flight: u64,
    pub(crate) group_commit: f64,
    pub(crate) bare_loop: f64,
}

impl PathCell {
    pub(crate) fn figure(&self, name: &str) -> Option<Spread> {
        let found = self.figures.iter().find(|figure| figure.figure == name)?;
        Some(found.spread)
    }
}

impl Report {
    /// Of each, by the first word of its command.
    pub(crate) fn read(said: &[Said]) -> anyhow::Result<Self> {
        let mut report = Self::default();
        for one in said {
            report.take(one).with_context(|| one.command.clone())?;
        }
        Ok(report)
    }

    fn take(&mut self, said: &Said) -> anyhow::Result<()> {
        let value = &said.report;
        self.machine = Some(read(value, "machine")?);
        self.commands.push(said.command.clone());
        match said.command.split_whitespace().nth(1) {
            Some("fanout") => self.fanout.extend(read::<Vec<Cell>>(value, "cells")?),
            Some("herd") => {
                let (clients, newest) = (read(value, "clients")?, read(value, "newest")?);
                let herd = |of| Herd {
                    clients,
                    newest,
                    of,
                };
                let rows: Vec<HerdRow> = read(value, "rows")?;
                self.herd.extend(rows.into_iter().map(herd));
            }
            Some("connections") => self.idle.extend(read::<Vec<Idle>>(value, "rows")?),
            Some("path") => self.path.extend(read::<Vec<Path>>(value, "rows")?),
            Some("commit") => self.commit.extend(read::<Vec<Synced>>(value, "rows")?),
            _ => anyhow::bail!("nobody knows what this says"),
        }
        Ok(())
    }

    /// Sizes and paces of fan-outs, each once, in order.
    pub(crate) fn loads(&self) -> Vec<(u64, Option<f64>)> {
        let mut loads: Vec<_> = self.fanout.iter().map(|c| (c.listeners, c.rate)).collect();
        let pace = |rate: Option<f64>| rate.unwrap_or(f64::INFINITY);
        loads.sort_by(|a, b| a.0.cmp(&b.0).then(pace(a.1).total_cmp(&pace(b.1))));
        loads.dedup();
        loads
    }

    /// Numbers of clients of herds, each once, in order.
    pub(crate) fn herds(&self) -> Vec<u64> {
        let mut herds: Vec<u64> = self.herd.iter().map(|herd| herd.clients).collect();
        herds.sort_unstable();
        herds.dedup();
        herds
    }
}

fn read<T: DeserializeOwned>(report: &Value, field: &str) -> anyhow::Result<T> {
    serde_json::from_value(report[field].clone()).with_context(|| field.to_owned())
}
