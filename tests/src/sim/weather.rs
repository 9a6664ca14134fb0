//! What is wrong with the ways between regions. Cuts are the network's own, and
//! clocks are the machines'; here is only whether they keep anybody from being
//! served.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::Instant;

use super::draw;
use super::net::REGIONS;

/// What is lost is sent again after so long, at the least (QUIC's probe
/// timeout on a link that has been quiet), each time anew.
const RESENT: Duration = Duration::from_millis(150);
/// Losses in a row of one frame.
const IN_A_ROW: u32 = 6;

#[derive(Clone, Copy, Default)]
struct Way {
    slower_ms: u64,
    permille: u32,
}

struct State {
    ways: BTreeMap<(usize, usize), Way>,
    cut: bool,
    /// Until then a node has stamped what it must not stamp again.
    ahead: Instant,
    rng: StdRng,
}

/// The weather.
pub struct Weather(Mutex<State>);

impl Weather {
    /// Fine weather.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(State {
            ways: BTreeMap::new(),
            cut: false,
            ahead: Instant::now(),
            rng: draw::rng(seed, "weather"),
        }))
    }

    /// Both ways between two regions are so much longer than in fine weather,
    /// in all.
    pub fn slower(&self, a: usize, b: usize, by_ms: u64) {
        self.change(a, b, |way| way.slower_ms = by_ms);
    }

    /// Both ways lose so many of a thousand packets.
    pub fn lossy(&self, a: usize, b: usize, permille: u32) {
        self.change(a, b, |way| way.permille = permille);
    }

    fn change(&self, a: usize, b: usize, change: impl Fn(&mut Way)) {
        let mut state = self.0.lock();
        for pair in [(a, b), (b, a)] {
            change(state.ways.entry(pair).or_default());
        }
    }

    /// Whether some way is cut altogether.
    pub fn cut(&self, is_cut: bool) {
        self.0.lock().cut = is_cut;
    }

    /// A clock was set back that was so much ahead. Where its node is the only
    /// one that can lead, what it stamps is refused until that time has come.
    pub fn ahead(&self, by_ms: i64) {
        let ahead = Duration::from_millis(by_ms.max(0).unsigned_abs());
        let mut state = self.0.lock();
        state.ahead = state.ahead.max(Instant::now() + ahead);
    }

    /// Whether everybody reaches everybody, however slowly, and is served.
    #[must_use]
    pub fn serves(&self) -> bool {
        let state = self.0.lock();
        !state.cut && state.ahead <= Instant::now()
    }

    /// How much later than in fine weather a frame arrives that is sent now.
    #[must_use]
    pub fn delay(&self, from: usize, to: usize) -> Duration {
        let mut state = self.0.lock();
        let Some(way) = state.ways.get(&(from, to)).copied() else {
            return Duration::ZERO;
        };
        let mut delay = Duration::from_millis(way.slower_ms);
        for _ in 0..IN_A_ROW {
            if !state.rng.random_ratio(way.permille, 1_000) {
                break;
            }
            delay += RESENT;
        }
        delay
    }

    /// Whether a packet that is sent now is lost.
    #[must_use]
    pub fn loses(&self, from: usize, to: usize) -> bool {
        let mut state = self.0.lock();
        let permille = state.ways.get(&(from, to)).map_or(0, |way| way.permille);
        permille > 0 && state.rng.random_ratio(permille, 1_000)
    }
}

/// Every pair of regions, once.
#[must_use]
pub fn pairs() -> Vec<(usize, usize)> {
    let regions = REGIONS.len();
    (0..regions)
        .flat_map(|a| (a + 1..regions).map(move |b| (a, b)))
        .collect()
}
