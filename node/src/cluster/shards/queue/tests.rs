use super::*;

const BOUNDS: Bounds = Bounds {
    count: 4,
    bytes: 100,
    quantum: 1,
};
const ONE: Size = Size {
    count: 1,
    bytes: 1,
    cost: 1,
};

#[tokio::test]
async fn what_comes_wakes_who_waits() {
    let (inlet, outlet) = fair(BOUNDS);
    let waits = tokio::spawn(async move { (outlet.recv().await, outlet) });
    tokio::task::yield_now().await;
    assert!(inlet.push(1, ONE, "a").is_empty());
    let (first, outlet) = waits.await.unwrap();
    assert_eq!(first, Some("a"));
    assert_eq!(outlet.try_recv(), None);
    let other = inlet.clone();
    drop(inlet);
    assert!(other.push(1, ONE, "b").is_empty());
    drop(other);
    assert_eq!(outlet.recv().await, Some("b"));
    assert_eq!(outlet.recv().await, None);
}

#[tokio::test]
async fn closing_wakes_who_waits() {
    let (inlet, outlet) = fair::<u8, u8>(BOUNDS);
    let waits = tokio::spawn(async move { outlet.recv().await });
    tokio::task::yield_now().await;
    drop(inlet);
    assert_eq!(waits.await.unwrap(), None);
}

#[tokio::test]
async fn what_waits_is_dropped_when_nobody_takes_it() {
    let (inlet, outlet) = fair(BOUNDS);
    let (kept, late) = (Arc::new(()), Arc::new(()));
    assert!(inlet.push(1, ONE, Arc::clone(&kept)).is_empty());
    drop(outlet);
    assert!(inlet.push(1, ONE, Arc::clone(&late)).is_empty());
    assert_eq!((Arc::strong_count(&kept), Arc::strong_count(&late)), (1, 1));
}
