//! What servers and generator used of their cores, and what others took.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use super::Cores;

/// Parts of one core, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Usage {
    /// All server processes together.
    pub(crate) server: f64,
    /// The load generator.
    pub(crate) generator: f64,
    /// What neither used of the two cores, and was used: other programs, and
    /// the kernel on behalf of nobody.
    pub(crate) others: f64,
}

/// From here on a core counts as full, in percent.
const FULL: f64 = 90.0;

/// Whose core was full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    /// Nobody's.
    None,
    Server,
    /// The figures say what the generator can do.
    Generator,
    Both,
}

impl Limit {
    /// For tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Server => "server",
            Self::Generator => "generator",
            Self::Both => "both",
        }
    }

    pub(crate) fn of(usage: &Usage) -> Self {
        match (usage.server >= FULL, usage.generator >= FULL) {
            (false, false) => Self::None,
            (true, false) => Self::Server,
            (false, true) => Self::Generator,
            (true, true) => Self::Both,
        }
    }
}

/// Measures from its making on.
pub(crate) struct Meter {
    pids: Vec<u32>,
    cores: Cores,
    at: Instant,
    server: Duration,
    generator: Duration,
    busy: Duration,
}

impl Meter {
    /// Begins to measure the servers `pids`, and this process as generator.
    pub(crate) fn start(pids: Vec<u32>, cores: Cores) -> anyhow::Result<Self> {
        Ok(Self {
            server: of_processes(&pids)?,
            generator: of_this_process(),
            busy: of_cores(cores)?,
            at: Instant::now(),
            pids,
            cores,
        })
    }

    /// What was used since.
    pub(crate) fn stop(self) -> anyhow::Result<Usage> {
        let time = self.at.elapsed().as_secs_f64();
        let percent = |used: Duration| used.as_secs_f64() / time * 100.0;
        let server = of_processes(&self.pids)?.saturating_sub(self.server);
        let generator = of_this_process().saturating_sub(self.generator);
        let busy = of_cores(self.cores)?.saturating_sub(self.busy);
        Ok(Usage {
            server: percent(server),
            generator: percent(generator),
            others: percent(busy.saturating_sub(server + generator)),
        })
    }
}

fn of_this_process() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    // The kernel gives neither a negative time nor a second of nanoseconds.
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

fn of_processes(pids: &[u32]) -> anyhow::Result<Duration> {
    let mut sum = 0;
    for pid in pids {
        let path = format!("/proc/{pid}/stat");
        let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        sum += process_ticks(&text).with_context(|| path.clone())?;
    }
    Ok(ticks(sum))
}

fn of_cores(cores: Cores) -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let sum = [cores.server, cores.generator]
        .into_iter()
        .flatten()
        .map(|core| core_ticks(&text, core).unwrap_or(0))
        .sum();
    Ok(ticks(sum))
}

fn ticks(count: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_secs_f64(count as f64 / per_second as f64)
}

/// User and system time in `/proc/PID/stat`. The name, in parentheses, may
/// hold anything.
fn process_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Time of a core that was not idle, in `/proc/stat`.
fn core_ticks(stat: &str, core: usize) -> Option<u64> {
    let name = format!("cpu{core}");
    let line = stat
        .lines()
        .find(|line| line.split_ascii_whitespace().next() == Some(&name))?;
    let fields: Option<Vec<u64>> = line
        .split_ascii_whitespace()
        .skip(1)
        .map(|field| field.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; guest time is in user's.
    let busy = |(at, value): (usize, u64)| if matches!(at, 3 | 4) { 0 } else { value };
    Some(fields?.into_iter().take(8).enumerate().map(busy).sum())
}
