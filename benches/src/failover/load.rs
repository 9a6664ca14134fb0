//! An open loop that goes on whatever the servers do: every publisher sends
//! when a message is due, acknowledged or not.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::peer::{Publisher, Tag};

/// What is open when the load ends is acknowledged within this time.
const LAST: Duration = Duration::from_secs(60);

/// A running load.
pub(super) struct Load {
    book: Arc<Mutex<Book>>,
    pacer: JoinHandle<()>,
    publishers: Vec<JoinHandle<anyhow::Result<()>>>,
    stop: watch::Sender<bool>,
}

/// What was sent and acknowledged so far.
struct Book {
    next: Tag,
    acknowledged: Vec<Tag>,
    /// By publisher: its newest messages that are acknowledged, and when.
    latest: Vec<Option<(Tag, Instant)>>,
    /// The first acknowledgement of a message at least this new.
    first: Option<(Tag, Instant)>,
    mark: Tag,
    failed: Option<String>,
}

impl Book {
    fn took(&mut self, publisher: usize, tags: &[Tag]) {
        let now = Instant::now();
        for tag in tags {
            self.acknowledged.push(*tag);
            if self.latest[publisher].is_none_or(|(newest, _)| *tag > newest) {
                self.latest[publisher] = Some((*tag, now));
            }
            if *tag >= self.mark && self.first.is_none() {
                self.first = Some((*tag, now));
            }
        }
    }
}

impl Load {
    /// Starts: a message every `every`, to the publishers in turn.
    pub(super) fn start(publishers: Vec<Box<dyn Publisher>>, every: Duration) -> Self {
        let book = Arc::new(Mutex::new(Book {
            next: 1,
            acknowledged: Vec::new(),
            latest: vec![None; publishers.len()],
            first: None,
            mark: Tag::MAX,
            failed: None,
        }));
        let (stop, stopped) = watch::channel(false);
        let mut queues = Vec::new();
        let mut tasks = Vec::new();
        for (number, publisher) in publishers.into_iter().enumerate() {
            // Holds what becomes due during the longest pause there may be.
            let (queue, due) = mpsc::unbounded_channel();
            queues.push(queue);
            tasks.push(tokio::spawn(publish(
                publisher,
                due,
                number,
                Arc::clone(&book),
            )));
        }
        let pacer = tokio::spawn(pace(every, queues, Arc::clone(&book), stopped));
        Self {
            book,
            pacer,
            publishers: tasks,
            stop,
        }
    }

    /// Fails when a publisher has.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        match &self.book.lock().failed {
            Some(why) => bail!("a publisher ended: {why}"),
            None => Ok(()),
        }
    }

    /// The number of the next message; what was sent before is not asked for
    /// by [`first_since`](Self::first_since) from now on.
    pub(super) fn next_tag(&self) -> Tag {
        let mut book = self.book.lock();
        book.mark = book.next;
        book.first = None;
        book.next
    }

    /// When the first message from `tag` on was acknowledged.
    pub(super) fn first_since(&self, tag: Tag) -> Option<Instant> {
        let book = self.book.lock();
        let (first, at) = book.first?;
        (first >= tag).then_some(at)
    }

    /// When every publisher had one from `tag` on acknowledged; `None`: one
    /// has not yet.
    pub(super) fn all_since(&self, tag: Tag) -> Option<Instant> {
        let book = self.book.lock();
        let newest = book.latest.iter().map(|latest| {
            let (newest, at) = (*latest)?;
            (newest >= tag).then_some(at)
        });
        newest.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// Ends when all that was sent is acknowledged; gives that.
    pub(super) async fn stop(self) -> anyhow::Result<Vec<Tag>> {
        self.stop.send_replace(true);
        self.pacer.await?;
        for publisher in self.publishers {
            let ended = timeout(LAST, publisher).await;
            ended.context("messages that are never acknowledged")???;
        }
        Ok(std::mem::take(&mut self.book.lock().acknowledged))
    }
}

async fn pace(
    every: Duration,
    queues: Vec<mpsc::UnboundedSender<Tag>>,
    book: Arc<Mutex<Book>>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        tokio::select! {
            biased;
            _ = stopped.changed() => return,
            _ = ticks.tick() => {}
        }
        let tag = {
            let mut book = book.lock();
            book.next += 1;
            book.next - 1
        };
        // Refused: its publisher has failed, which the book says.
        let _ = queues[tag as usize % queues.len()].send(tag);
    }
}

async fn publish(
    publisher: Box<dyn Publisher>,
    due: mpsc::UnboundedReceiver<Tag>,
    number: usize,
    book: Arc<Mutex<Book>>,
) -> anyhow::Result<()> {
    let done = run(publisher, due, number, &book).await;
    if let Err(error) = &done {
        book.lock().failed = Some(format!("{error:#}"));
    }
    done
}

async fn run(
    mut publisher: Box<dyn Publisher>,
    mut due: mpsc::UnboundedReceiver<Tag>,
    number: usize,
    book: &Mutex<Book>,
) -> anyhow::Result<()> {
    let (mut open, mut is_due) = (0, true);
    let mut tags = Vec::new();
    while is_due || open > 0 {
        tokio::select! {
            biased;
            tag = due.recv(), if is_due => match tag {
                Some(tag) => {
                    publisher.send(0, tag).await?;
                    publisher.flush().await?;
                    open += 1;
                }
                None => is_due = false,
            },
            done = publisher.done(&mut tags), if open > 0 => {
                done?;
                book.lock().took(number, &tags);
                open -= tags.len();
                tags.clear();
            }
        }
    }
    publisher.close().await;
    Ok(())
}
