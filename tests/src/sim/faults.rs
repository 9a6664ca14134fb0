//! What happens to the cluster.

use std::fmt;
use std::time::Duration;

use folkmoot_storage::Crash;

/// How a disk fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFault {
    /// A write does.
    Write,
    /// A sync does.
    Sync,
    /// It is full, a little later.
    Full,
}

/// One thing that happens, and is over after a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A machine loses power: its process, and what it had not synced.
    Crash { machine: usize, crash: Crash },
    /// All machines of a region lose power at once.
    RegionLost { region: usize, crash: Crash },
    /// A machine's disk fails, its process ends over it, and an operator
    /// starts it again over what the disk has.
    Disk { machine: usize, how: DiskFault },
    /// A machine loses power, and what its disk then has of a log that the
    /// machine follows is not what was written.
    Lie { machine: usize, seed: u64 },
    /// A machine's disk takes longer for each sync.
    SlowDisk { machine: usize, by_ms: u64 },
    /// Nothing gets from one region to another any more, or back.
    Cut { from: usize, to: usize },
    /// Nothing gets from one to the other; the other way is whole.
    CutOneWay { from: usize, to: usize },
    /// A region is cut off from all others.
    CutOff { region: usize },
    /// A machine and its neighbours, the other nodes of its region, hear nothing
    /// of each other; `one_way`: they hear nothing of it, and it hears them.
    Isolate { machine: usize, one_way: bool },
    /// Of what goes between two regions, so many of a thousand packets are
    /// lost: gossip's for good, what QUIC carries is sent again.
    Loss {
        from: usize,
        to: usize,
        permille: u32,
    },
    /// The way between two regions is longer.
    SlowLink { from: usize, to: usize, by_ms: u64 },
    /// A machine's clock is off, and then set right again.
    Step { machine: usize, by_ms: i64 },
    /// A machine that was not there joins the cluster, and stays.
    Join { machine: usize },
    /// Everything is moved off a machine's node, unless something would be
    /// lost by it, and then it may have its share again.
    Drain { machine: usize },
    /// A group's home moves to another region. Groups by their numbers.
    Rehome { group: usize, to: usize },
    /// The shard that a group is at home in is split at the group's slot, or
    /// behind it.
    Split { group: usize, behind: bool },
}

impl Fault {
    /// Its kind, as it is counted.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Crash { .. } => "crash",
            Self::RegionLost { .. } => "region lost",
            Self::Disk { how, .. } => match how {
                DiskFault::Write => "disk: a write fails",
                DiskFault::Sync => "disk: a sync fails",
                DiskFault::Full => "disk: full",
            },
            Self::Lie { .. } => "disk: a lie",
            Self::SlowDisk { .. } => "disk: slow",
            Self::Cut { .. } => "cut, both ways",
            Self::CutOneWay { .. } => "cut, one way",
            Self::CutOff { .. } => "region cut off",
            Self::Isolate { one_way, .. } => match one_way {
                false => "node isolated from its neighbours",
                true => "node isolated, one way",
            },
            Self::Loss { .. } => "packets lost",
            Self::SlowLink { .. } => "slow link",
            Self::Step { by_ms, .. } => match (by_ms.unsigned_abs() > DRIFT, *by_ms > 0) {
                (false, _) => "clock step within the bound",
                (true, true) => "clock step far ahead",
                (true, false) => "clock step far back",
            },
            Self::Join { .. } => "a node joins",
            Self::Drain { .. } => "a node is drained",
            Self::Rehome { .. } => "a group is moved",
            Self::Split { .. } => "a shard is split",
        }
    }
}

/// Steps beyond it break the drift bound.
const DRIFT: u64 = folkmoot_wire::limits::HLC_DRIFT_MS;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash { machine, crash } => write!(f, "machine {machine} crashes, {crash:?}"),
            Self::RegionLost { region, crash } => {
                write!(f, "all machines of region {region} crash, {crash:?}")
            }
            Self::Disk { machine, how } => write!(f, "machine {machine}'s disk fails, {how:?}"),
            Self::Lie { machine, .. } => write!(f, "machine {machine} crashes, its disk lies"),
            Self::SlowDisk { machine, by_ms } => {
                write!(f, "machine {machine}'s disk is {by_ms} ms slower")
            }
            Self::Cut { from, to } => write!(f, "regions {from} and {to} are cut"),
            Self::CutOneWay { from, to } => write!(f, "region {from} to {to} is cut"),
            Self::CutOff { region } => write!(f, "region {region} is cut off"),
            Self::Isolate { machine, one_way } => {
                let ways = if *one_way { "one way" } else { "both ways" };
                write!(f, "machine {machine} is cut from its neighbours, {ways}")
            }
            Self::Loss { from, to, permille } => {
                write!(
                    f,
                    "regions {from} and {to} lose {permille} of 1,000 packets"
                )
            }
            Self::SlowLink { from, to, by_ms } => {
                write!(f, "regions {from} and {to} are {by_ms} ms further apart")
            }
            Self::Step { machine, by_ms } => write!(f, "machine {machine} steps {by_ms} ms"),
            Self::Join { machine } => write!(f, "machine {machine} joins"),
            Self::Drain { machine } => write!(f, "machine {machine} is drained"),
            Self::Rehome { group, to } => write!(f, "group {group} is moved to region {to}"),
            Self::Split { group, behind } => {
                let place = if *behind { "behind" } else { "at" };
                write!(f, "the shard of group {group} is split {place} its slot")
            }
        }
    }
}

/// A fault with its time, counted from when the people begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    pub at: Duration,
    /// How long it lasts.
    pub length: Duration,
    pub fault: Fault,
}

impl Planned {
    /// When it is over.
    #[must_use]
    pub fn end(&self) -> Duration {
        self.at + self.length
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}, for {:?}", self.at, self.fault, self.length)
    }
}
