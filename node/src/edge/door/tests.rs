use std::sync::Arc;

use folkmoot_wire::limits;
use tokio::time::{Instant, sleep};

use super::Door;

#[tokio::test(start_paused = true)]
async fn who_comes_first_is_let_in_first() {
    let door = Arc::new(Door::new((1, 10), limits::GREETING_WAIT));
    let first = door.enter().await.expect("there is a place");
    let come = |door: &Arc<Door>| {
        let door = Arc::clone(door);
        tokio::spawn(async move { door.enter().await })
    };
    let second = come(&door);
    tokio::task::yield_now().await;
    let third = come(&door);
    tokio::task::yield_now().await;
    assert_eq!(door.waiting(), 2);
    drop(first);
    let second = second.await.unwrap().expect("its turn");
    tokio::task::yield_now().await;
    assert!(!third.is_finished());
    drop(second);
    assert!(third.await.unwrap().is_some());
    assert_eq!((door.waiting(), door.refused()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn of_those_who_wait_there_is_a_bound() {
    let door = Arc::new(Door::new((1, 2), limits::GREETING_WAIT));
    let place = door.enter().await.expect("there is a place");
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let door = Arc::clone(&door);
            tokio::spawn(async move { door.enter().await })
        })
        .collect();
    tokio::task::yield_now().await;
    assert!(door.enter().await.is_none());
    assert_eq!(door.refused(), 1);
    drop(place);
    for one in waiting {
        assert!(one.await.unwrap().is_some(), "those who were there first");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever() {
    let door = Door::new((1, 2), limits::GREETING_WAIT);
    let _place = door.enter().await.expect("there is a place");
    let began = Instant::now();
    assert!(door.enter().await.is_none());
    assert_eq!(began.elapsed(), limits::GREETING_WAIT);
    // One who goes leaves its place in the line.
    tokio::select! {
        biased;
        _ = door.enter() => panic!("there is no place"),
        () = sleep(limits::GREETING_WAIT / 2) => {}
    }
    assert_eq!((door.waiting(), door.refused()), (0, 1));
}
