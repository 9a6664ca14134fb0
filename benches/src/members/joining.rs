//! People come, each when due.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::report::Joining;
use super::{nick, user};
use crate::crowd::{Adder, Answers, Joins, Said};
use crate::machine::{Cores, Limit, Meter};
use crate::stats::Percentiles;

/// Devices that add them, each with so many under way as one session may have.
const ADDERS: u64 = 8;
/// Joins become due in steps of this length.
const STEP: Duration = Duration::from_millis(2);
/// The last answer comes within this time.
const LAST: Duration = Duration::from_secs(600);
/// Longest delay that is told apart, in microseconds.
const LONGEST: u64 = 600_000_000;

pub(super) async fn measure(
    room: &Joins,
    members: u32,
    rate: u32,
    cores: Cores,
) -> anyhow::Result<Joining> {
    let (mut adders, answers): (Vec<_>, Vec<_>) = room.adders(ADDERS).await?.into_iter().unzip();
    let onlooker = room.onlooker().await?;
    let delays = Arc::new(Mutex::new(Histogram::new_with_max(LONGEST, 3)?));
    let rooms: Vec<_> = adders.iter().map(Adder::room).collect();
    let hearing: Vec<_> = (0..)
        .zip(answers.into_iter().zip(rooms))
        .map(|(number, (answers, room))| hear(answers, room, number, members, &delays))
        .collect();
    let before = onlooker.seen();
    let meter = Meter::start(room.pids(), cores)?;
    let start = Instant::now();
    pace(room, &mut adders, members, rate, start).await?;
    let mut refused = 0;
    for one in hearing {
        refused += timeout(LAST, one)
            .await
            .context("a join without answer")???;
    }
    let time = start.elapsed().as_secs_f64();
    let usage = meter.stop()?;
    let (frames, bytes) = onlooker.seen();
    let thousands = f64::from(members) / 1e3;
    let delays = delays.lock();
    Ok(Joining {
        rate,
        taken: delays.len() as f64 / time,
        refused,
        delay_ms: Percentiles::of(&delays),
        server_s_per_million: usage.server / 100.0 * time / (delays.len().max(1) as f64 / 1e6),
        frames_per_thousand: (frames - before.0) as f64 / thousands,
        bytes_per_join: (bytes - before.1) as f64 / f64::from(members),
        limit: Limit::of(&usage),
        usage,
    })
}

/// Reads the answers to one adder until it has all; gives the refusals.
fn hear(
    mut answers: Answers,
    room: Arc<Semaphore>,
    number: u32,
    members: u32,
    delays: &Arc<Mutex<Histogram<u64>>>,
) -> JoinHandle<anyhow::Result<u64>> {
    let delays = Arc::clone(delays);
    let adders = ADDERS as u32;
    let own = members / adders + u32::from(number < members % adders);
    tokio::spawn(async move {
        let mut refused = 0;
        for _ in 0..own {
            match answers.next().await? {
                Said::Done(due) => {
                    let delay = due.elapsed().as_micros() as u64;
                    delays.lock().saturating_record(delay);
                }
                Said::Refused => refused += 1,
            }
            room.add_permits(1);
        }
        Ok(refused)
    })
}

async fn pace(
    room: &Joins,
    adders: &mut [Adder],
    members: u32,
    rate: u32,
    start: Instant,
) -> anyhow::Result<()> {
    let (mut come, mut step) = (0, start);
    while come < members {
        sleep_until(step).await;
        let due = (step - start).as_secs_f64() * f64::from(rate);
        while come < members && f64::from(come) <= due {
            let at = start + Duration::from_secs_f64(f64::from(come) / f64::from(rate));
            let adder = &mut adders[(u64::from(come) % ADDERS) as usize];
            adder.add(user(room, come), nick(come), at).await?;
            come += 1;
        }
        step += STEP;
    }
    Ok(())
}
