//! Whether what is to be tried was tried: how often each kind of fault, and
//! each state in which something could go wrong, occurred. A simulator that
//! never gets there proves nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// States, each with what it is called.
macro_rules! states {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        /// A state in which something could go wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum State { $($(#[$doc])* $name,)+ }

        impl State {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// In words.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

states! {
    /// A fault begins while another is there.
    FaultsOverlap = "a fault within another";
    /// A crash took writes back.
    LostUnsynced = "a crash lost unsynced writes";
    /// A process ended over its disk.
    StoppedByDisk = "a node stopped because its disk failed";
    /// A disk gave back an entry, or a head, that was never written...
    Lied = "a disk changed what was written";
    /// ...and it was found and put right.
    LieMended = "a lie of a disk was found and mended";
    /// A group had another home in the end than one before.
    Rehomed = "a group got another home";
    /// A client's device lost records that need no sync.
    DeviceForgot = "a device lost what it had not synced";
    /// A term began, and things were under way.
    LedAnew = "leader changed with proposals in flight";
    /// An entry of a Raft log gave way to one of a later term.
    Replaced = "an uncommitted entry gave way to another";
    /// A replica got a message of a leader that is none any more.
    StaleAppend = "stale append refused";
    /// A replica that was away got the state instead of the log.
    Snapshot = "snapshot installed";
    /// A repetition was answered with the place of the first.
    RetryDeduplicated = "retry answered from dedup";
    /// One id with two contents.
    ConflictRefused = "conflicting content under one id refused";
    /// Somebody banned tried to say something.
    BannedRefused = "a banned person refused";
    /// A ban was put into the log while the banned had sends in flight.
    BannedUnderWay = "ban while sends in flight";
    /// A muted person was told so.
    MutedRefused = "a muted person refused";
    /// A node whose clock is off was told so.
    DriftRefused = "stamps beyond the drift bound refused";
    /// An edge told a client that it sees a group no longer.
    AccessLost = "access lost while looking";
    /// Several entries were gathered and sent as one frame.
    Gathered = "entries gathered into one frame";
    /// A group that the client has not open moved on.
    Bumped = "a bump of a passive group";
    /// There was more for a client than its queue has room for.
    GapTold = "a slow client told of a gap";
    /// A client fetched what it had not been sent.
    GapFetched = "gap closed by fetch";
    /// What somebody has not read mentions them.
    Mentioned = "somebody mentioned in what is unread";
    /// A client went on from where it was.
    Resumed = "resume after overlap";
    /// A client's place is not one of this history, or not for it to see.
    NotResumed = "resume refused";
    /// A row that only said that something is gone went.
    Collected = "a row of something gone was deleted";
    /// A message was taken while its home could not be reached.
    Accepted = "accepted while the home was away";
    /// The same of a join, a leave, or a change of a nick.
    CameTentative = "a join or leave shown while the home was away";
    /// Somebody became a member, and no entry says so.
    JoinedQuietly = "a join without an entry";
    /// A node heard nothing from a home for a whole lease.
    LeaseEnded = "a lease ended: groups were not served";
    /// A region heard nothing for so long, and its people ask.
    LeaseOver = "a cut region's nodes answer their clients behind their lease";
    /// A node got to another through a third region.
    WentRound = "a cut was gone round through a third region";
    /// What was accepted was refused in the end.
    AcceptedRefused = "accepted, and then refused";
    /// A log goes on under another leader.
    NewEpoch = "a log goes on in another epoch";
    /// A shard has other voters than it had.
    VotersChanged = "a shard got other voters";
    /// The leader of a shard stands in another region than its home.
    LedAbroad = "a shard was led from outside its home";
    /// The meta shard goes on without the node that made the cluster.
    MetaElsewhere = "the meta shard was led by another than its founder";
    /// A shard came out of a split.
    Split = "a shard was split";
    /// A node may not be drained, as something would be lost.
    DrainRefused = "a drain refused: the node is needed";
}

/// Kinds of fault that a sufficient number of seeds has to have.
pub const FAULTS: &[&str] = &[
    "crash",
    "region lost",
    "disk: a write fails",
    "disk: a sync fails",
    "disk: full",
    "disk: a lie",
    "disk: slow",
    "cut, both ways",
    "cut, one way",
    "region cut off",
    "node isolated from its neighbours",
    "node isolated, one way",
    "packets lost",
    "slow link",
    "clock step within the bound",
    "clock step far ahead",
    "clock step far back",
    "a node joins",
    "a node is drained",
    "a group is moved",
    "a shard is split",
];

/// Counts, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    pub faults: BTreeMap<&'static str, u64>,
    pub states: BTreeMap<&'static str, u64>,
}

impl Counts {
    /// Nothing of anything.
    #[must_use]
    pub fn none() -> Self {
        Self {
            faults: FAULTS.iter().map(|name| (*name, 0)).collect(),
            states: State::ALL.iter().map(|state| (state.name(), 0)).collect(),
        }
    }

    /// Adds what another history counted.
    pub fn add(&mut self, other: &Self) {
        for (name, count) in &other.faults {
            *self.faults.entry(name).or_default() += count;
        }
        for (name, count) in &other.states {
            *self.states.entry(name).or_default() += count;
        }
    }

    /// What never occurred.
    #[must_use]
    pub fn never(&self) -> Vec<&'static str> {
        let all = self.faults.iter().chain(&self.states);
        all.filter(|(_, count)| **count == 0)
            .map(|(name, _)| *name)
            .collect()
    }
}

/// The counts of one history, while it runs. Clones are the same counts.
#[derive(Clone)]
pub struct Sometimes(Arc<Mutex<Counts>>);

impl Default for Sometimes {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Counts::none())))
    }
}

impl Sometimes {
    /// A fault of this kind began.
    pub fn happened(&self, fault: &'static str) {
        *self.0.lock().faults.entry(fault).or_default() += 1;
    }

    /// The state was there.
    pub fn saw(&self, state: State) {
        *self.0.lock().states.entry(state.name()).or_default() += 1;
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.lock().clone()
    }
}
