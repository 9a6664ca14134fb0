use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds {
    count: 60,
    bytes: 600,
    quantum: 4,
};

fn size(cost: usize) -> Size {
    Size {
        count: cost,
        bytes: cost,
        cost,
    }
}

#[test]
fn flows_take_turns() {
    let mut queue = FairQueue::new(BOUNDS);
    for n in 0..20 {
        assert!(queue.push("greedy", size(1), ("greedy", n)).is_empty());
    }
    for n in 0..6 {
        assert!(queue.push("modest", size(1), ("modest", n)).is_empty());
    }
    let taken: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
    let of = |from: usize, to: usize| taken[from..to].iter().map(|(who, _)| *who);
    assert!(of(0, 4).all(|who| who == "greedy"));
    assert!(of(4, 8).all(|who| who == "modest"));
    assert!(of(8, 12).all(|who| who == "greedy"));
    assert!(of(12, 14).all(|who| who == "modest"));
    assert_eq!(taken.len(), 26);
}

#[test]
fn a_full_queue_of_one_has_room_for_others() {
    let mut queue = FairQueue::new(BOUNDS);
    for n in 0..60 {
        assert!(queue.push(1, size(1), (1, n)).is_empty());
    }
    assert_eq!(queue.push(1, size(1), (1, 60)), [(1, 60)]);
    // Another's takes the place of its last ones.
    assert_eq!(queue.push(2, size(2), (2, 0)), [(1, 59), (1, 58)]);
    assert_eq!(queue.push(1, size(1), (1, 61)), [(1, 61)]);
    let taken: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
    assert_eq!(taken.len(), 59);
    assert!(taken[..5].contains(&(2, 0)));
    // With two alike nobody gives way.
    for n in 0..30 {
        assert!(queue.push(1, size(1), (1, n)).is_empty());
        assert!(queue.push(2, size(1), (2, n)).is_empty());
    }
    assert_eq!(queue.push(2, size(1), (2, 30)), [(2, 30)]);
}

#[test]
fn what_is_larger_than_all_there_may_be_passes_alone() {
    let mut queue = FairQueue::new(BOUNDS);
    assert!(queue.push(1, size(1_000), "large").is_empty());
    assert_eq!(queue.push(2, size(1_000), "other"), ["other"]);
    assert_eq!(queue.push(2, size(1), "small"), ["large"]);
    assert_eq!(queue.pop(), Some("small"));
    assert_eq!(queue.pop(), None);
}

#[derive(Debug, Clone)]
enum Step {
    Push(u8, usize, usize),
    Pop,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..5u8, 1..12usize, 0..90usize).prop_map(|(key, cost, bytes)| Step::Push(key, cost, bytes)),
        2 => Just(Step::Pop),
    ]
}

proptest! {
    /// Nothing is lost, nobody overtakes himself, and what waits is bounded.
    #[test]
    fn all_goes_in_and_out(steps in prop::collection::vec(step(), 0..200)) {
        let mut queue = FairQueue::new(BOUNDS);
        let mut waiting: BTreeMap<u8, Vec<(usize, Size)>> = BTreeMap::new();
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push(key, cost, bytes) => {
                    let size = Size { count: cost, bytes, cost };
                    waiting.entry(key).or_default().push((n, size));
                    let refused = queue.push(key, size, (key, n));
                    // Whoever is refused displaces nobody.
                    prop_assert!(refused.len() == 1 || !refused.contains(&(key, n)));
                    for (key, n) in refused {
                        let last = waiting.get_mut(&key).and_then(Vec::pop);
                        prop_assert_eq!(last.map(|(last, _)| last), Some(n));
                    }
                }
                Step::Pop => {
                    let popped = queue.pop();
                    let any = waiting.values().any(|of_key| !of_key.is_empty());
                    prop_assert_eq!(popped.is_some(), any);
                    if let Some((key, n)) = popped {
                        prop_assert_eq!(waiting.get_mut(&key).unwrap().remove(0).0, n);
                    }
                }
            }
            let all = || waiting.values().flatten().map(|(_, size)| size);
            let count = all().count();
            let (cost, bytes) = (all().map(|s| s.cost).sum::<usize>(), all().map(|s| s.bytes).sum::<usize>());
            prop_assert!(count <= 1 || (cost <= BOUNDS.count && bytes <= BOUNDS.bytes));
            prop_assert_eq!((queue.count, queue.bytes), (cost, bytes));
        }
    }

    /// Of those who always have something waiting none gets more than a turn and
    /// its largest piece ahead of another.
    #[test]
    fn shares_are_equal(costs in prop::collection::vec(1..9usize, 3), pops in 1..200usize) {
        let bounds = Bounds { count: usize::MAX / 2, bytes: usize::MAX / 2, ..BOUNDS };
        let mut queue = FairQueue::new(bounds);
        for (key, cost) in costs.iter().enumerate() {
            for _ in 0..pops {
                prop_assert!(queue.push(key, size(*cost), (key, *cost)).is_empty());
            }
        }
        let mut got = [0; 3];
        for _ in 0..pops {
            let (key, cost) = queue.pop().unwrap();
            got[key] += cost;
        }
        let (most, least) = (got.iter().max().unwrap(), got.iter().min().unwrap());
        let largest = costs.iter().max().unwrap();
        prop_assert!(most - least <= 2 * (BOUNDS.quantum + largest), "{got:?} of {costs:?}");
    }
}
