//! Letting the faults of a plan happen: each begins at its time and is over at
//! its time, whatever else is wrong meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context;
use folkmoot_storage::Crash;
use tokio::time::{Instant, sleep_until};

use super::faults::{Fault, Planned};
use super::invariants::bounds;
use super::lies::Lie;
use super::machine::Failed;
use super::net::{REGIONS, client_ip, node_ip, raw_ip};
use super::operator::Operator;
use super::oracle::Oracle;
use super::quiet;
use super::sometimes::State;
use super::weather::pairs;
use super::workload::Made;
use super::world::World;

/// What is wrong now.
pub struct Suffering<'a> {
    world: &'a mut World,
    oracle: &'a Oracle,
    operator: Operator<'a>,
    /// Faults that have begun and are not over.
    now: Vec<Fault>,
    /// Machines whose disk was made to fail.
    disks: BTreeSet<usize>,
    /// Ways that are cut, from host to host.
    cut: BTreeSet<(IpAddr, IpAddr)>,
    /// Appends of older terms that each machine's process refused.
    stale: BTreeMap<usize, u64>,
    /// Tunnels that it opened.
    tunnels: BTreeMap<usize, u64>,
    /// Its leases that have ended.
    leases: BTreeMap<usize, usize>,
}

impl<'a> Suffering<'a> {
    /// Nothing is wrong yet.
    pub fn new(world: &'a mut World, oracle: &'a Oracle, groups: &'a [Made]) -> Self {
        Self {
            world,
            oracle,
            operator: Operator::new(oracle, groups),
            now: Vec::new(),
            disks: BTreeSet::new(),
            cut: BTreeSet::new(),
            stale: BTreeMap::new(),
            tunnels: BTreeMap::new(),
            leases: BTreeMap::new(),
        }
    }

    /// Lets everything happen, to its end.
    ///
    /// # Errors
    /// When a node does not start again.
    pub async fn all(mut self, faults: &[Planned]) -> anyhow::Result<()> {
        let begin = Instant::now();
        for (at, fault, begins) in in_order(faults) {
            self.until(begin + at).await;
            bounds::check(self.world, &self.oracle.findings.under("bounds"));
            self.stale_appends();
            self.tunnels();
            self.leases();
            let done = match begins {
                true => self.begin(fault).await,
                false => self.end(fault).await,
            };
            done.with_context(|| fault.to_string())?;
            self.operate().await?;
        }
        let over = Instant::now();
        while !self.operator.rests(over).await? {
            self.operate().await?;
        }
        Ok(())
    }

    async fn operate(&mut self) -> anyhow::Result<()> {
        match self.operator.look(self.world).await? {
            Some(machine) => self.start(machine).await,
            None => Ok(()),
        }
    }

    /// Counts what replicas refused since they were looked at last.
    fn stale_appends(&mut self) {
        for (machine, node) in self.world.nodes() {
            let shards = node.voters.all();
            let all: u64 = shards.iter().map(|voter| voter.raft.stale_appends()).sum();
            let before = self.stale.insert(machine.index, all).unwrap_or(0);
            // A new process begins at 0.
            for _ in 0..all.saturating_sub(before) {
                self.oracle.sometimes.saw(State::StaleAppend);
            }
        }
    }

    /// The same for tunnels that they opened.
    fn tunnels(&mut self) {
        for (machine, node) in self.world.nodes() {
            let all = node.peers.tunnels().opened_ever();
            let before = self.tunnels.insert(machine.index, all).unwrap_or(0);
            for _ in 0..all.saturating_sub(before) {
                self.oracle.sometimes.saw(State::WentRound);
            }
        }
    }

    /// Counts leases that have ended since they were looked at last.
    fn leases(&mut self) {
        for (machine, node) in self.world.nodes() {
            let ended = node.leases.not_served();
            let before = self.leases.insert(machine.index, ended).unwrap_or(0);
            for _ in before..ended {
                self.oracle.sometimes.saw(State::LeaseEnded);
            }
        }
    }

    /// Waits, and lets processes end that cannot go on.
    async fn until(&mut self, at: Instant) {
        loop {
            let failed = tokio::select! {
                biased;
                () = sleep_until(at) => return,
                failed = self.world.failed.recv() => failed,
            };
            if let Some(failed) = failed {
                self.ended(failed).await;
            }
        }
    }

    async fn ended(&mut self, failed: Failed) {
        let (index, _) = failed.of;
        let machine = &self.world.machines[index];
        if !machine.is_of_now(&failed) {
            return;
        }
        if !self.disks.contains(&index) {
            let why = failed.why;
            self.oracle
                .findings
                .add(format!("machine {index} cannot go on: {why}"));
        }
        self.stop(index).await;
    }

    /// A process ends over its disk, or it was down and the disk failed under a
    /// lie. What was synced is there; of the rest, as much as the disk likes.
    async fn stop(&mut self, index: usize) {
        let machine = &mut self.world.machines[index];
        if machine.node.is_some() {
            self.oracle.sometimes.saw(State::StoppedByDisk);
        }
        let seed = self.world.plan.seed;
        machine.crash(Crash::KeepPrefix { seed }).await;
    }

    async fn begin(&mut self, fault: Fault) -> anyhow::Result<()> {
        self.oracle.sometimes.happened(fault.name());
        if !self.now.is_empty() {
            self.oracle.sometimes.saw(State::FaultsOverlap);
        }
        self.now.push(fault);
        match fault {
            Fault::Crash { machine, crash } => {
                let machine = &self.world.machines[machine];
                if machine.node.is_some() {
                    machine.mid_write().await;
                }
                self.crash(machine.index, crash).await;
            }
            Fault::RegionLost { region, crash } => {
                for machine in self.world.of_region(region) {
                    self.crash(machine, crash).await;
                }
            }
            Fault::Lie { machine, seed } => self.lie(machine, seed).await,
            Fault::Disk { machine, how } => {
                self.disks.insert(machine);
                self.world.machines[machine].disk.fail(how);
            }
            Fault::SlowDisk { machine, by_ms } => {
                self.world.machines[machine].slower(Duration::from_millis(by_ms));
            }
            Fault::Step { machine, by_ms } => self.world.machines[machine].clock.step(by_ms),
            Fault::Join { machine } => self.operator.join(self.world, machine)?,
            Fault::Drain { machine } => self.operator.drain(machine, true),
            Fault::Rehome { group, to } => self.operator.rehome(group, to),
            Fault::Split { group, behind } => self.operator.split(group, behind),
            _ => self.links(),
        }
        Ok(())
    }

    async fn crash(&mut self, index: usize, crash: Crash) {
        let machine = &mut self.world.machines[index];
        if machine.node.is_none() {
            return;
        }
        let unsynced = machine.crash(crash).await;
        if unsynced > 0 && crash == Crash::LoseUnsynced {
            self.oracle.sometimes.saw(State::LostUnsynced);
        }
    }

    async fn lie(&mut self, index: usize, seed: u64) {
        let placement = quiet::placement(self.world);
        let machine = &mut self.world.machines[index];
        if machine.node.is_some() {
            machine.crash(Crash::KeepPrefix { seed }).await;
        }
        let (Some(placement), Some(id)) = (placement, machine.id()) else {
            return;
        };
        if let Some(lie) = Lie::tell(&machine.disk, &placement, (index, id), seed) {
            self.oracle.sometimes.saw(State::Lied);
            self.world.lies.push(lie);
        }
    }

    async fn end(&mut self, fault: Fault) -> anyhow::Result<()> {
        if let Some(at) = self.now.iter().position(|now| *now == fault) {
            self.now.remove(at);
        }
        match fault {
            Fault::Crash { machine, .. } | Fault::Lie { machine, .. } => {
                self.start(machine).await?;
            }
            Fault::RegionLost { region, .. } => {
                for machine in self.world.of_region(region) {
                    self.start(machine).await?;
                }
            }
            Fault::Disk { machine, .. } => {
                self.disks.remove(&machine);
                if self.world.machines[machine].disk.mend() {
                    self.stop(machine).await;
                }
                self.start(machine).await?;
            }
            Fault::SlowDisk { machine, .. } => {
                self.world.machines[machine].slower(Duration::ZERO);
            }
            Fault::Step { machine, by_ms } => {
                self.world.machines[machine].clock.step(-by_ms);
                self.world.weather.ahead(by_ms);
            }
            Fault::Drain { machine } => self.operator.drain(machine, false),
            _ => self.links(),
        }
        Ok(())
    }

    /// Starts a machine, unless another fault still keeps it down.
    async fn start(&mut self, index: usize) -> anyhow::Result<()> {
        let of = self.world.machines[index].region;
        let down = |fault: &Fault| match fault {
            Fault::RegionLost { region, .. } => *region == of,
            Fault::Crash { machine, .. }
            | Fault::Lie { machine, .. }
            | Fault::Disk { machine, .. } => *machine == index,
            _ => false,
        };
        let machine = &mut self.world.machines[index];
        let installed = machine.id().is_some();
        if installed && machine.node.is_none() && !self.now.iter().any(down) {
            machine.start().await?;
        }
        Ok(())
    }

    /// Makes the ways between regions what the faults of now say.
    fn links(&mut self) {
        let mut cut = BTreeSet::new();
        let mut slower: BTreeMap<(usize, usize), u64> = BTreeMap::new();
        let mut lossy: BTreeMap<(usize, usize), u32> = BTreeMap::new();
        for fault in &self.now {
            match *fault {
                Fault::Cut { from, to } => {
                    cut.extend(self.ways(from, to));
                    cut.extend(self.ways(to, from));
                }
                Fault::CutOneWay { from, to } => cut.extend(self.ways(from, to)),
                Fault::CutOff { region } => {
                    for other in (0..REGIONS.len()).filter(|other| *other != region) {
                        cut.extend(self.ways(region, other));
                        cut.extend(self.ways(other, region));
                    }
                }
                Fault::Isolate { machine, one_way } => {
                    let away = self.to_neighbours(machine);
                    if !one_way {
                        cut.extend(away.iter().map(|(a, b)| (*b, *a)));
                    }
                    cut.extend(away);
                }
                Fault::Loss { from, to, permille } => {
                    lossy.insert((from.min(to), from.max(to)), permille);
                }
                Fault::SlowLink { from, to, by_ms } => {
                    slower.insert((from.min(to), from.max(to)), by_ms);
                }
                _ => {}
            }
        }
        for (a, b) in pairs() {
            let weather = &self.world.weather;
            weather.slower(a, b, slower.get(&(a, b)).copied().unwrap_or(0));
            weather.lossy(a, b, lossy.get(&(a, b)).copied().unwrap_or(0));
        }
        for (a, b) in cut.difference(&self.cut) {
            self.world.net.partition_one_way(*a, *b);
        }
        for (a, b) in self.cut.difference(&cut) {
            self.world.net.heal_one_way(*a, *b);
        }
        self.world.weather.cut(!cut.is_empty());
        self.cut = cut;
    }

    fn ways(&self, from: usize, to: usize) -> Vec<(IpAddr, IpAddr)> {
        let there = self.hosts(to);
        let here = self.hosts(from);
        here.iter()
            .flat_map(|a| there.iter().map(|b| (*a, *b)))
            .collect()
    }

    /// From a machine to the other nodes of its region.
    fn to_neighbours(&self, machine: usize) -> Vec<(IpAddr, IpAddr)> {
        let it = &self.world.machines[machine];
        let others = self.world.machines.iter();
        others
            .filter(|other| other.region == it.region && other.index != machine)
            .map(|other| (it.ip, other.ip))
            .collect()
    }

    fn hosts(&self, region: usize) -> Vec<IpAddr> {
        let plan = &self.world.plan;
        let nodes = (0..plan.shape.nodes[region]).map(|n| node_ip(region, n));
        let clients = (0..plan.people).map(|n| client_ip(region, n));
        let devices = (0..plan.people).map(|n| raw_ip(region, n));
        nodes.chain(clients).chain(devices).collect()
    }
}

/// Beginnings and ends, by time; what ends at one time comes first.
fn in_order(faults: &[Planned]) -> Vec<(Duration, Fault, bool)> {
    let begins = faults.iter().map(|f| (f.at, f.fault, true));
    let ends = faults.iter().map(|f| (f.end(), f.fault, false));
    let mut all: Vec<_> = ends.chain(begins).collect();
    all.sort_by_key(|(at, _, begins)| (*at, *begins));
    all
}
