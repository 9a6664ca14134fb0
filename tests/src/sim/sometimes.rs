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
}

/// Kinds of fault that a sufficient number of seeds has to have.
pub const FAULTS: &[&str] = &[
    "crash",
    "disk: a write fails",
    "disk: a sync fails",
    "disk: full",
    "disk: slow",
    "cut, both ways",
    "cut, one way",
    "packets lost",
    "slow link",
    "clock step within the bound",
    "clock step far ahead",
    "clock step far back",
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
