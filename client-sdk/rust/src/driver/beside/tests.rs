use super::*;

#[test]
fn a_few_attempts_at_once_and_then_one_at_a_time() {
    let start = Instant::now();
    let mut beside = Beside::default();
    for _ in 0..BURST {
        assert!(beside.take(start));
    }
    assert!(!beside.take(start));
    assert!(!beside.take(start + REFILL - Duration::from_millis(1)));
    assert!(beside.take(start + REFILL));
    assert!(!beside.take(start + REFILL));
    let later = start + 60 * REFILL;
    for _ in 0..BURST {
        assert!(beside.take(later));
    }
    assert!(!beside.take(later));
}

#[test]
fn an_edge_that_was_gone_is_left_for_nothing() {
    let start = Instant::now();
    let mut beside = Beside::default();
    for _ in 0..10 * BURST {
        assert!(beside.take(start));
        beside.judge(false);
    }
    // What has been given back is not given back by time again.
    assert!(beside.take(start));
    beside.judge(true);
    beside.judge(false);
    beside.judge(false);
    let later = start + 60 * REFILL;
    for _ in 0..BURST {
        assert!(beside.take(later));
    }
    assert!(!beside.take(later));
}
