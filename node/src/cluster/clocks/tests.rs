use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use folkmoot_crdt::hlc::Hlc;
use folkmoot_storage::{MemStore, Store};
use folkmoot_wire::{NodeId, limits};
use tokio::time::{Instant, advance};

use super::{Clocks, Trouble, median};
use crate::ports::{Clock, Stamps};

const NOW: u64 = 1_800_000_000_000;

/// The system's clock, which is off by so much.
struct System(Instant, AtomicI64);

impl Clock for System {
    fn wall_ms(&self) -> u64 {
        let now = NOW + self.0.elapsed().as_millis() as u64;
        now.saturating_add_signed(self.1.load(Ordering::Relaxed))
    }
}

struct Node {
    system: Arc<System>,
    clocks: Arc<Clocks>,
    stamps: Stamps,
}

/// A node whose system's clock is off by so much as it starts.
fn node(off: i64, bound: Hlc) -> Node {
    let system = Arc::new(System(Instant::now(), AtomicI64::new(off)));
    let clocks = Arc::new(Clocks::new(Arc::clone(&system) as Arc<dyn Clock>, bound));
    let clock = Arc::clone(&clocks) as Arc<dyn Clock>;
    let stamps = Stamps::open(clock, Arc::new(MemStore::new()) as Arc<dyn Store>).unwrap();
    Node {
        system,
        clocks,
        stamps,
    }
}

impl Node {
    /// Peers whose clocks are off by so much.
    fn hear(&self, off: &[i64]) {
        self.clocks.know(off.len());
        let now = NOW + self.system.0.elapsed().as_millis() as u64;
        for (n, off) in off.iter().enumerate() {
            let theirs = now.saturating_add_signed(*off);
            let peer = NodeId(n as u32 + 2);
            self.clocks.sampled(peer, theirs, Duration::ZERO);
        }
    }

    fn set(&self, off: i64) {
        self.system.1.store(off, Ordering::Relaxed);
    }

    /// Milliseconds that its time is ahead of the right one.
    fn ahead(&self) -> i64 {
        let now = NOW + self.system.0.elapsed().as_millis() as u64;
        self.clocks.wall_ms().wrapping_sub(now) as i64
    }
}

fn off(peers: &[i64]) -> Option<i64> {
    let node = node(0, Hlc::ZERO);
    node.hear(peers);
    node.clocks.off()
}

#[tokio::test(start_paused = true)]
async fn a_clock_is_judged_by_the_majority_of_the_others() {
    let is_off = |peers: &[i64]| off(peers).is_some_and(super::is_far);
    assert_eq!(off(&[]), None);
    // Of two clocks nobody knows which is wrong.
    assert!(!is_off(&[-60_000]));
    // A peer that is a minute ahead is the peer's trouble.
    assert!(!is_off(&[60_000, 5]));
    assert!(!is_off(&[60_000, -60_000]));
    assert_eq!(off(&[-60_000, -60_010]), Some(60_000));
    assert!(!is_off(&[-240, -230]));
    assert!(is_off(&[300, 310, 5]));
    assert!(!is_off(&[300, 4, 5]));
}

#[test]
fn the_median_of_an_even_number_is_the_one_nearer_to_us() {
    assert_eq!(median(vec![1, 2, 3]), Some(2));
    assert_eq!(median(vec![10, 2, 30, 40]), Some(10));
    assert_eq!(median(vec![-10, -2, -30, -40]), Some(-10));
    assert_eq!(median(vec![-10, 10]), Some(0));
}

#[tokio::test(start_paused = true)]
async fn what_was_heard_long_ago_says_nothing() {
    let node = node(0, Hlc::ZERO);
    node.hear(&[-60_000, -60_000]);
    assert_eq!(node.clocks.off(), Some(60_000));
    advance(limits::CLOCK_SAMPLE_LIFE).await;
    assert_eq!(node.clocks.off(), None);
}

#[tokio::test(start_paused = true)]
async fn a_step_of_the_systems_clock_takes_nobody_along() {
    for step in [60_000, -60_000] {
        let node = node(0, Hlc::ZERO);
        node.hear(&[3, -4]);
        node.set(step);
        advance(Duration::from_secs(7)).await;
        assert_eq!(node.ahead(), 0);
        assert_eq!(node.clocks.settle(), None);
        let trouble = node.clocks.trouble(&node.stamps).expect("it is told");
        assert!(matches!(trouble, Trouble::System(off) if (off - step).abs() < 10));
        assert!(!trouble.bars_from_leading());
        assert!(node.clocks.civil_ms().abs_diff(NOW + 7_000) < 10);
        node.set(0);
        assert_eq!(node.clocks.trouble(&node.stamps), None);
        assert_eq!(node.ahead(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn who_cannot_ask_the_others_now_does_not_follow_a_step_either() {
    let node = node(0, Hlc::ZERO);
    node.clocks.know(2);
    node.set(60_000);
    advance(limits::CLOCK_SAMPLE_LIFE).await;
    assert_eq!(node.ahead(), 0);
    node.hear(&[60_000, 60_010]);
    assert_eq!(node.clocks.settle(), Some(60_000));
}

#[tokio::test(start_paused = true)]
async fn a_step_that_sets_the_clock_right_is_followed_and_stamps_do_not_go_back() {
    let node = node(60_000, Hlc::ZERO);
    let before = node.stamps.tick().expect("a stamp");
    node.set(0);
    node.hear(&[0, 0]);
    assert_eq!(
        node.clocks.trouble(&node.stamps),
        Some(Trouble::Off(60_000))
    );
    assert_eq!(node.clocks.settle(), Some(-60_000));
    assert_eq!(node.ahead(), 0);
    assert!(node.stamps.tick().expect("a stamp") > before);
    let trouble = node.clocks.trouble(&node.stamps).expect("stamps are ahead");
    assert_eq!(trouble, Trouble::Stamps(60_000));
    assert!(trouble.bars_from_leading());
    advance(Duration::from_secs(60)).await;
    node.hear(&[0, 0]);
    assert_eq!(node.clocks.trouble(&node.stamps), None);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_starts_with_a_wrong_clock_takes_its_peers_time() {
    for off in [60_000, -60_000] {
        let node = node(off, Hlc::ZERO);
        node.hear(&[10, -20, 30]);
        assert_eq!(node.clocks.settle(), Some(10 - off));
        assert_eq!(node.ahead(), 10);
        let trouble = node.clocks.trouble(&node.stamps);
        assert_eq!(trouble, Some(Trouble::System(off - 10)));
        // Put right by somebody, and followed without a word.
        node.set(0);
        assert_eq!(node.ahead(), 0);
        assert_eq!(node.clocks.trouble(&node.stamps), None);
    }
}

#[tokio::test(start_paused = true)]
async fn alone_a_node_goes_by_the_systems_clock_and_never_stamps_far_ahead_of_itself() {
    let node = node(3_600_000, Hlc::ZERO);
    node.stamps.tick().expect("a stamp");
    node.set(0);
    assert_eq!(node.ahead(), 3_600_000);
    for _ in 0..10 {
        advance(Duration::from_secs(60)).await;
        node.stamps.tick().expect("a stamp");
        // What it stamps is not refused by itself.
        assert!(node.stamps.ahead_ms() < limits::HLC_DRIFT_MS);
    }
    assert_eq!(node.ahead(), 3_600_000 - 300_000, "it lingers");
    let now = NOW + 600_000;
    assert_eq!(node.clocks.civil_ms(), now, "tokens go by the system's");
    node.set(7_200_000);
    assert_eq!(node.ahead(), 7_200_000);
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_before_a_restart_is_told_from_what_was_reserved() {
    let bound = |ahead| Hlc::from_parts(NOW + ahead, 0);
    assert_eq!(node(0, bound(900)).ahead(), 0);
    let set_back = node(0, bound(60_000));
    assert_eq!(set_back.ahead(), 60_000);
    set_back.hear(&[0, 0]);
    assert_eq!(set_back.clocks.settle(), Some(-60_000));
}
