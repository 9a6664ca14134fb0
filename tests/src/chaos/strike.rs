//! Doing it, and undoing it.

use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::faults::{Fault, Kind};
use super::field::Field;
use super::lab::{REGIONS, net_of};
use super::machine::{Machine, SERVICE};
use super::rules::Rules;
use super::{rejoin, upgrade};
use crate::sim::draw::Draw;

/// Offsets of clocks, in milliseconds: below what a node may lead with, and
/// far beyond the bound.
const NEAR: i64 = 200;
const FAR: i64 = 60_000;
/// A clock that is a minute off is noticed within this time.
const NOTICES: Duration = Duration::from_secs(60);
/// A node that cannot start says so within this time.
const REFUSES: Duration = Duration::from_secs(20);
const NODE_LOSS: u32 = 33;
const REGION_LOSS: u32 = 10;
const FLIPS: usize = 24;

/// What a fault was.
#[derive(Debug, Clone)]
pub struct Struck {
    /// When it began.
    pub injected: Instant,
    /// When it was undone.
    pub healed: Instant,
    /// What came of it.
    pub note: String,
}

/// Injects a fault, waits, and heals it.
///
/// # Errors
/// When something did not go as it must.
pub async fn strike(field: &Field, fault: &Fault, seed: u64) -> anyhow::Result<Struck> {
    let machine = field.machines.get(fault.machine).context("no machine")?;
    let injected = Instant::now();
    let note = match fault.kind {
        Kind::Kill => kill(field, machine, fault).await?,
        Kind::Pause => {
            machine.signal(Signal::STOP)?;
            sleep(fault.hold).await;
            machine.signal(Signal::CONT)?;
            String::new()
        }
        Kind::Isolate | Kind::Deaf | Kind::Mute | Kind::Loss | Kind::NoClients => {
            machine.space.filter(&rules_of(fault.kind, &everywhere()))?;
            sleep(fault.hold).await;
            machine.space.filter(&Rules::default())?;
            String::new()
        }
        Kind::RegionCut | Kind::RegionDeaf | Kind::RegionLoss => region(field, fault).await?,
        Kind::NoRoutes => routes(machine, fault).await?,
        Kind::ClockNear | Kind::ClockFar => clock(machine, fault).await?,
        Kind::DiskFull => full(field, machine, fault).await?,
        Kind::DiskReadOnly => read_only(field, machine, fault).await?,
        Kind::Flip => {
            let mut draw = Draw::of(seed, &format!("flip {}", fault.number));
            machine.kill().await?;
            let flipped = machine.disk.flip(&mut draw, FLIPS)?;
            rejoin::after_damage(field, machine, &flipped).await?
        }
        Kind::Upgrade => upgrade::roll(field).await?,
    };
    Ok(Struck {
        injected,
        healed: Instant::now(),
        note,
    })
}

async fn kill(field: &Field, machine: &Machine, fault: &Fault) -> anyhow::Result<String> {
    machine.kill().await?;
    sleep(fault.hold / 4).await;
    machine.start(&field.binary(), &[])?;
    Ok(String::new())
}

/// Networks of all nodes.
fn everywhere() -> Vec<String> {
    (0..REGIONS).map(net_of).collect()
}

fn rules_of(kind: Kind, nets: &[String]) -> Rules {
    let mut rules = Rules::default();
    match kind {
        Kind::Deaf | Kind::RegionDeaf => rules.deaf_to = nets.to_vec(),
        Kind::Mute => rules.mute_to = nets.to_vec(),
        Kind::Loss => rules.lossy = Some((nets.to_vec(), NODE_LOSS)),
        Kind::RegionLoss => rules.lossy = Some((nets.to_vec(), REGION_LOSS)),
        Kind::NoClients => rules.no_clients = Some(("10.77.0.0/24".to_owned(), SERVICE)),
        _ => {
            rules.deaf_to = nets.to_vec();
            rules.mute_to = nets.to_vec();
        }
    }
    rules
}

async fn region(field: &Field, fault: &Fault) -> anyhow::Result<String> {
    let nets: Vec<String> = match fault.kind {
        Kind::RegionDeaf => vec![net_of(fault.other)],
        _ => (0..REGIONS)
            .filter(|other| *other != fault.region)
            .map(net_of)
            .collect(),
    };
    let rules = rules_of(fault.kind, &nets);
    for machine in field.of_region(fault.region) {
        machine.space.filter(&rules)?;
    }
    sleep(fault.hold).await;
    for machine in field.of_region(fault.region) {
        machine.space.filter(&Rules::default())?;
    }
    Ok(String::new())
}

async fn routes(machine: &Machine, fault: &Fault) -> anyhow::Result<String> {
    let others = || (0..REGIONS).filter(|other| *other != machine.space.region);
    for other in others() {
        machine.space.set_route(other, false)?;
    }
    sleep(fault.hold).await;
    for other in others() {
        machine.space.set_route(other, true)?;
    }
    Ok(String::new())
}

/// Beyond the bound a node has to step out of readiness, and to say why.
async fn clock(machine: &Machine, fault: &Fault) -> anyhow::Result<String> {
    let far = fault.kind == Kind::ClockFar;
    let off = if far { FAR } else { NEAR };
    let off = if fault.back { -off } else { off };
    machine.clock.set(off)?;
    let said = if far {
        Err(machine.becomes_unready(NOTICES).await?)
    } else {
        sleep(fault.hold).await;
        machine.ready().await
    };
    machine.clock.set(0)?;
    Ok(match said {
        Ok(()) => format!("{off} ms: it stayed ready"),
        Err(why) => format!("{off} ms: {why}"),
    })
}

/// A node without room stops as soon as it needs some; started again it needs
/// some at once.
async fn full(field: &Field, machine: &Machine, fault: &Fault) -> anyhow::Result<String> {
    machine.disk.fill()?;
    let ended = machine.ends_within(fault.hold).await?;
    let mut note = String::new();
    if let Some(status) = ended {
        anyhow::ensure!(!status.success(), "a full disk ended it with success");
        note = format!("stopped: {}; ", machine.last_words());
    }
    let refused = cannot_start(field, machine).await;
    machine.disk.empty()?;
    machine.start(&field.binary(), &[])?;
    Ok(format!("{note}did not start: {}", refused?))
}

async fn read_only(field: &Field, machine: &Machine, fault: &Fault) -> anyhow::Result<String> {
    machine.disk.freeze()?;
    sleep(fault.hold / 2).await;
    let refused = cannot_start(field, machine).await;
    machine.disk.thaw()?;
    machine.start(&field.binary(), &[])?;
    Ok(format!("did not start: {}", refused?))
}

/// Kills the node and starts it: it has to end, and to say why.
async fn cannot_start(field: &Field, machine: &Machine) -> anyhow::Result<String> {
    machine.kill().await?;
    machine.start(&field.binary(), &[])?;
    let ended = machine.ends_within(REFUSES).await?;
    let why = machine.last_words();
    match ended {
        Some(status) if !status.success() => Ok(why),
        _ => {
            machine.kill().await?;
            bail!(
                "{} starts on a disk it cannot write to: {why}",
                machine.name()
            )
        }
    }
}
