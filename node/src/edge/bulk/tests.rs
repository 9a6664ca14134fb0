use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::*;

const PAGE: usize = limits::CLIENT_FRAME_MAX;
const SOON: Duration = Duration::from_millis(10);

fn page(bytes: usize) -> Bytes {
    vec![7; bytes].into()
}

#[tokio::test(start_paused = true)]
async fn pages_wait_for_those_that_are_on_their_way() {
    let bulk = Bulk::new(2 * PAGE);
    let first = bulk.share(&Turns::default()).await.unwrap();
    let second = bulk.share(&Turns::default()).await.unwrap();
    assert_eq!(bulk.bytes(), 2 * PAGE);
    let turns = Turns::default();
    let mut third = std::pin::pin!(bulk.share(&turns));
    assert!(timeout(SOON, &mut third).await.is_err());
    assert_eq!(bulk.waiting(), 1);
    // Only when all who have it are done.
    let (frame, other) = {
        let frame = first.carry(page(PAGE));
        (frame.clone(), frame)
    };
    drop(frame);
    assert!(timeout(SOON, &mut third).await.is_err());
    drop(other);
    let third = timeout(SOON, third).await.unwrap().unwrap();
    assert_eq!(bulk.waiting(), 0);
    drop((second, third));
    assert_eq!(bulk.bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_small_page_holds_no_more_than_it_has() {
    let bulk = Bulk::new(PAGE);
    let share = bulk.share(&Turns::default()).await.unwrap();
    let frame = share.carry(page(3_000));
    assert_eq!(frame.len(), 3_000);
    assert_eq!(bulk.bytes(), 3 * UNIT);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_holds_others_up_for_a_while_only() {
    let bulk = Bulk::new(PAGE);
    let slow = Turns::default();
    let kept = bulk.share(&slow).await.unwrap().carry(page(PAGE));
    let turns = Turns::default();
    let before = Instant::now();
    let other = bulk.share(&turns).await.unwrap();
    assert_eq!(before.elapsed(), limits::PAGE_HELD);
    drop(other);
    // It is not given more than its turns while it has them.
    let mut more = Vec::new();
    for _ in 1..limits::SESSION_PAGES {
        more.push(bulk.share(&slow).await.unwrap());
    }
    let mut next = std::pin::pin!(bulk.share(&slow));
    assert!(timeout(10 * limits::PAGE_HELD, &mut next).await.is_err());
    drop(kept);
    assert!(timeout(10 * limits::PAGE_HELD, next).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn too_many_do_not_wait() {
    let bulk = Arc::new(Bulk::new(PAGE));
    let held = bulk.share(&Turns::default()).await.unwrap();
    for _ in 0..limits::PAGES_WAITING {
        let bulk = Arc::clone(&bulk);
        tokio::spawn(async move {
            let share = bulk.share(&Turns::default()).await;
            assert!(share.is_some());
        });
    }
    sleep(SOON).await;
    assert_eq!(bulk.waiting(), limits::PAGES_WAITING);
    assert!(bulk.share(&Turns::default()).await.is_none());
    drop(held);
    sleep(SOON).await;
    assert_eq!((bulk.waiting(), bulk.bytes()), (0, 0));
}
