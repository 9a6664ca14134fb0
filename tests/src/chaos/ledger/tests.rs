use std::time::Duration;

use super::*;

const LANES: [Lane; 2] = [lane(0), lane(1)];

const fn lane(publisher: usize) -> Lane {
    Lane {
        publisher,
        group: 0,
    }
}

fn acknowledged(seq: u64) -> Outcome {
    Outcome::Acknowledged {
        seq,
        at: Instant::now(),
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_was_sent_since_counts() {
    let ledger = Ledger::default();
    let step = Duration::from_secs(1);
    let (early, text) = ledger.sends(LANES[0]);
    let (_, other) = ledger.sends(LANES[1]);
    assert_ne!(text, other);
    tokio::time::advance(step).await;
    let since = Instant::now();
    ledger.settled(early, acknowledged(1));
    assert_eq!(ledger.first_since(since, &LANES), [None, None]);
    let (late, _) = ledger.sends(LANES[0]);
    let (later, _) = ledger.sends(LANES[0]);
    tokio::time::advance(step).await;
    ledger.settled(late, acknowledged(2));
    tokio::time::advance(step).await;
    ledger.settled(later, acknowledged(3));
    assert_eq!(
        ledger.first_since(since, &LANES),
        [Some(since + step), None]
    );
    assert_eq!(ledger.open(), 1);
}
