//! This node's time: how far it is off its peers' (D2), and what it goes by
//! when the system's clock is set. A node that is too far off does not lead
//! where others can, and says so.

mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use folkmoot_crdt::hlc::{Hlc, RESERVE_MS};
use folkmoot_crdt::steady::{Belief, SLEW_MS, SteadyClock};
use folkmoot_wire::{NodeId, limits};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::ports::{Clock, Stamps};
pub use watch::ClockWatch;

/// This node's time, and what peers' clocks said last.
///
/// When the system's clock is set, the node goes on as before until its peers
/// say that the new time is the better one; and it takes theirs where both are
/// wrong. Alone it follows, for nobody knows better.
pub struct Clocks {
    system: Arc<dyn Clock>,
    start: Instant,
    state: Mutex<State>,
    /// How many other nodes there are. Of two clocks nobody knows which is right.
    others: AtomicUsize,
    /// The system's clock was set.
    set: Notify,
}

struct State {
    steady: SteadyClock,
    samples: BTreeMap<NodeId, Sample>,
    /// The system's clock was set and is not followed.
    held: bool,
}

struct Sample {
    /// What the peer's clock showed when this node's monotonic one began, in
    /// milliseconds.
    began_ms: i64,
    at: Instant,
}

impl Clocks {
    /// The time goes on from the system's, or from `bound`, which no stamp of
    /// before the restart has passed, if the system's was set back meanwhile.
    #[must_use]
    pub fn new(system: Arc<dyn Clock>, bound: Hlc) -> Self {
        let (now, bound) = (system.wall_ms(), bound.millis());
        // What is reserved is no sign of that: it is waited out.
        let begin = if bound > now + RESERVE_MS { bound } else { now };
        Self {
            system,
            start: Instant::now(),
            state: Mutex::new(State {
                steady: SteadyClock::new(begin, 0),
                samples: BTreeMap::new(),
                held: false,
            }),
            others: AtomicUsize::new(0),
            set: Notify::new(),
        }
    }

    fn mono_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// So many other nodes there are.
    pub fn know(&self, others: usize) {
        self.others.store(others, Ordering::Relaxed);
    }

    /// A peer's clock shows `wall_ms`, `age` ago.
    pub fn sampled(&self, peer: NodeId, wall_ms: u64, age: Duration) {
        let then = self.mono_ms().saturating_sub(age.as_millis() as u64);
        let sample = Sample {
            began_ms: wall_ms.wrapping_sub(then) as i64,
            at: Instant::now(),
        };
        self.state.lock().samples.insert(peer, sample);
    }

    /// Milliseconds that this node's time is ahead of the median of its
    /// peers'. `None`: too few say so; of two clocks nobody knows which is
    /// right.
    #[must_use]
    pub fn off(&self) -> Option<i64> {
        let ours = self.wall_ms();
        self.state.lock().off(ours, self.mono_ms())
    }

    /// The same of the system's clock, which the node may not follow.
    #[must_use]
    pub fn system_off(&self) -> Option<i64> {
        let system = self.system.wall_ms();
        self.state.lock().off(system, self.mono_ms())
    }

    /// Whether somebody says that this clock is wrong, who may be wrong himself.
    fn is_contradicted(&self) -> bool {
        let ours = self.wall_ms().wrapping_sub(self.mono_ms()) as i64;
        let state = self.state.lock();
        let off = |sample: &Sample| ours.wrapping_sub(sample.began_ms);
        state.samples.values().any(|sample| is_far(off(sample)))
    }

    /// What is wrong with the node's time, the worst first.
    #[must_use]
    pub fn trouble(&self, stamps: &Stamps) -> Option<Trouble> {
        if let Some(off) = self.off().filter(|off| is_far(*off)) {
            return Some(Trouble::Off(off));
        }
        let ahead = stamps.ahead_ms();
        if ahead > limits::CLOCK_OFF_MS {
            return Some(Trouble::Stamps(ahead));
        }
        let system_off = self.system_off().filter(|off| is_far(*off));
        system_off.map(Trouble::System)
    }

    /// Judges after peers were heard: time that is far off theirs is set, to
    /// the system's where that is right, else to theirs; and the system's is
    /// followed, after it was set, where that is nearer to them. By how much the
    /// time changed, in milliseconds.
    fn settle(&self) -> Option<i64> {
        let (ours, system) = (self.wall_ms(), self.system.wall_ms());
        let mono_ms = self.mono_ms();
        let mut state = self.state.lock();
        let off = state.off(ours, mono_ms)?;
        let system_off = state.off(system, mono_ms)?;
        let to = match (is_far(off), is_far(system_off)) {
            (true, true) => ours.saturating_add_signed(-off),
            (true, false) => system,
            (false, _) if system_off.abs() < off.abs() => system,
            (false, _) => return None,
        };
        if to.abs_diff(ours) <= SLEW_MS {
            return None;
        }
        state.held = to != system;
        state.steady.follow(to, mono_ms);
        Some(to.wrapping_sub(ours) as i64)
    }
}

/// What is wrong with a node's time. In milliseconds, ahead of the peers'
/// median.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// What it goes by is off.
    Off(i64),
    /// Its time is right again and its stamps, which never go back, are still
    /// ahead of it by so much.
    Stamps(u64),
    /// It goes by a right time, and the system's clock is off.
    System(i64),
}

impl Trouble {
    /// Whether the node must not lead where others can.
    #[must_use]
    pub const fn bars_from_leading(self) -> bool {
        match self {
            Self::Off(_) | Self::Stamps(_) => true,
            Self::System(_) => false,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off(off) => write!(
                f,
                "the clock is {off} ms ahead of its peers' median: check time synchronisation (NTP)"
            ),
            Self::Stamps(ahead) => write!(
                f,
                "the clock was {ahead} ms further ahead before: until that time has come, what the node stamps is refused"
            ),
            Self::System(off) => write!(
                f,
                "the system's clock was set {off} ms ahead of the peers' median and is not followed: check time synchronisation (NTP)"
            ),
        }
    }
}

impl Clock for Clocks {
    fn wall_ms(&self) -> u64 {
        let (system, mono_ms) = (self.system.wall_ms(), self.mono_ms());
        let mut state = self.state.lock();
        // Who cannot ask now may soon; nothing is lost by waiting.
        let belief = match self.others.load(Ordering::Relaxed) {
            0 | 1 => Belief::System,
            _ => Belief::Steady,
        };
        let now = state.steady.read(system, mono_ms, belief);
        let held = belief == Belief::Steady && now != system;
        if std::mem::replace(&mut state.held, held) != held && held {
            self.set.notify_one();
        }
        now
    }

    /// The system's clock, unless peers say that it is wrong. It may go back.
    fn civil_ms(&self) -> u64 {
        let (ours, system) = (self.wall_ms(), self.system.wall_ms());
        match (self.off(), self.system_off()) {
            (Some(off), Some(system_off)) if off.abs() < system_off.abs() => ours,
            _ => system,
        }
    }
}

impl State {
    fn off(&mut self, clock_ms: u64, mono_ms: u64) -> Option<i64> {
        self.samples
            .retain(|_, sample| sample.at.elapsed() < limits::CLOCK_SAMPLE_LIFE);
        let ours = clock_ms.wrapping_sub(mono_ms) as i64;
        let samples = self.samples.values();
        let ahead = samples.map(|sample| sample.began_ms.wrapping_sub(ours));
        median(ahead.collect()).map(|ahead| -ahead)
    }
}

const fn is_far(off: i64) -> bool {
    off.unsigned_abs() > limits::CLOCK_OFF_MS
}

/// Of an even number the middle one that is nearer to us: half of the others
/// are no majority against us.
fn median(mut ahead: Vec<i64>) -> Option<i64> {
    if ahead.len() < 2 {
        return None;
    }
    ahead.sort_unstable();
    let (low, high) = (ahead[(ahead.len() - 1) / 2], ahead[ahead.len() / 2]);
    match low.signum() == high.signum() {
        true if low.abs() < high.abs() => Some(low),
        true => Some(high),
        false => Some(0),
    }
}

#[cfg(test)]
mod tests;
