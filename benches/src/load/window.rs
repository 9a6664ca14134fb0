//! As fast as it goes with a closed window: each publisher keeps so many
//! messages outstanding.

use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::machine::{Cores, Meter, Usage};
use crate::peer::{Publisher, Tag};

/// The last messages outstanding are acknowledged within this time.
const DRAIN: Duration = Duration::from_secs(30);

/// What load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Outstanding messages of each publisher.
    pub(crate) window: usize,
    /// Each publisher goes round all of them.
    pub(crate) targets: usize,
    /// Not measured.
    pub(crate) warmup: Duration,
    pub(crate) time: Duration,
    /// The first message's number.
    pub(crate) first: Tag,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// Acknowledged messages.
    pub(crate) per_second: f64,
    pub(crate) usage: Usage,
    /// Numbers from `first` on that are not free any more.
    pub(crate) numbers: u64,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    begin: Instant,
    end: Instant,
}

/// Runs the load.
pub(crate) async fn run(
    publishers: Vec<Box<dyn Publisher>>,
    plan: Plan,
    pids: Vec<u32>,
    cores: Cores,
) -> anyhow::Result<Rate> {
    let begin = Instant::now() + plan.warmup;
    let span = Span {
        begin,
        end: begin + plan.time,
    };
    let step = publishers.len() as u64;
    let mut tasks = JoinSet::new();
    for (number, publisher) in publishers.into_iter().enumerate() {
        // Numbers of different publishers never meet.
        let first = plan.first + number as u64;
        let start = plan.targets * number / (step as usize);
        tasks.spawn(publish(publisher, plan, span, (first, step), start));
    }
    let metered = async {
        sleep_until(span.begin).await;
        let meter = Meter::start(pids, cores)?;
        sleep_until(span.end).await;
        meter.stop()
    };
    let finished = async {
        let (mut counted, mut most) = (0, 0);
        while let Some(done) = tasks.join_next().await {
            let done = done??;
            counted += done.0;
            most = most.max(done.1);
        }
        anyhow::Ok((counted, most))
    };
    let all = async { tokio::try_join!(metered, finished) };
    let (usage, (counted, most)) = timeout(plan.warmup + plan.time + DRAIN, all)
        .await
        .context("messages were not acknowledged in time")??;
    Ok(Rate {
        per_second: counted as f64 / plan.time.as_secs_f64(),
        usage,
        numbers: most * step,
    })
}

/// Gives the messages acknowledged within the span, and all that were sent.
async fn publish(
    mut publisher: Box<dyn Publisher>,
    plan: Plan,
    span: Span,
    (mut tag, step): (Tag, u64),
    mut target: usize,
) -> anyhow::Result<(u64, u64)> {
    let (mut counted, mut sent, mut outstanding) = (0, 0, 0);
    let mut tags = Vec::new();
    loop {
        let now = Instant::now();
        if now < span.end {
            while outstanding < plan.window {
                publisher.send(target, tag).await?;
                tag += step;
                target = (target + 1) % plan.targets;
                outstanding += 1;
                sent += 1;
            }
            publisher.flush().await?;
        } else if outstanding == 0 {
            break;
        }
        publisher.done(&mut tags).await?;
        outstanding -= tags.len();
        let now = Instant::now();
        if now >= span.begin && now < span.end {
            counted += tags.len() as u64;
        }
        tags.clear();
    }
    publisher.close().await;
    Ok((counted, sent))
}
