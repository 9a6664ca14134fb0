//! One group's replay as it runs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::speaker::Speaker;
use super::{Observers, Performance, Replay};

/// A speaker's client is connected so many steps before it is needed.
const AHEAD: usize = 48;
/// The same where lines have their times.
pub const TIME_AHEAD: Duration = Duration::from_secs(5);

/// A group, its speakers, and where they are.
pub(super) struct Stage {
    pub(super) replay: Arc<Replay>,
    pub(super) group: Arc<Performance>,
    pub(super) number: usize,
    pub(super) speakers: Vec<Arc<Speaker>>,
    /// Says the notices.
    pub(super) bridge: folkmoot_client::Client,
    /// With order: the step that is next.
    at: watch::Sender<usize>,
}

/// When lines are due.
#[derive(Debug, Clone, Copy)]
struct Clock {
    begin: Instant,
    speed: f64,
}

impl Clock {
    fn at(&self, time: Duration) -> Instant {
        self.begin + time.div_f64(self.speed)
    }
}

impl Stage {
    pub(super) fn new(replay: &Arc<Replay>, observers: &Observers, number: usize) -> Self {
        let group = Arc::clone(&replay.groups[number]);
        // A running number, so that transports alternate over all groups.
        let before: usize = replay.groups[..number]
            .iter()
            .map(|g| g.script.users.len())
            .sum();
        let speakers = (0..group.script.users.len())
            .map(|user| Arc::new(Speaker::new(replay, &group, user, before + user)))
            .collect();
        Self {
            replay: Arc::clone(replay),
            bridge: observers.client(group.home),
            number,
            group,
            speakers,
            at: watch::Sender::new(0),
        }
    }

    /// A line is said only when the one before it is committed.
    pub(super) async fn one_by_one(self: Arc<Self>) -> anyhow::Result<()> {
        let spans = self.group.script.spans();
        let ahead = tokio::spawn(Arc::clone(&self).connect_ahead(spans.clone()));
        for at in 0..self.group.script.steps.len() {
            self.at.send_replace(at);
            self.perform(at, None).await?;
            if let Some(user) = self.group.script.steps[at].user
                && spans[user].1 == at
            {
                let speaker = Arc::clone(&self.speakers[user]);
                tokio::spawn(async move { speaker.close().await });
            }
        }
        ahead.abort();
        Ok(())
    }

    /// Connects the clients of those who are soon to speak.
    async fn connect_ahead(self: Arc<Self>, spans: Vec<(usize, usize)>) {
        let mut first: Vec<(usize, usize)> = spans
            .iter()
            .enumerate()
            .map(|(user, span)| (span.0, user))
            .collect();
        first.sort_unstable();
        let mut at = self.at.subscribe();
        for (step, user) in first {
            if at.wait_for(|at| at + AHEAD >= step).await.is_err() {
                return;
            }
            let speaker = Arc::clone(&self.speakers[user]);
            // Whoever needs it meets the error again.
            tokio::spawn(async move { drop(speaker.client().await) });
        }
    }

    /// Each speaker says his lines in order, and waits for others only to
    /// take over a nick, or until a line is due.
    pub(super) async fn each_in_turn(self: Arc<Self>, speed: Option<f64>) -> anyhow::Result<()> {
        let mut lines: Vec<Vec<usize>> = vec![Vec::new(); self.speakers.len()];
        let mut notices = Vec::new();
        for (at, step) in self.group.script.steps.iter().enumerate() {
            match step.user {
                Some(user) => lines[user].push(at),
                None => notices.push(at),
            }
        }
        // Time begins when those who speak first may have connected.
        let begin = Instant::now() + TIME_AHEAD;
        let clock = speed.map(|speed| Clock { begin, speed });
        let nicks = Arc::new(Nicks::new(self.group.script.nick_from()));
        let mut speaking = JoinSet::new();
        let stage = Arc::clone(&self);
        speaking.spawn(async move {
            for at in notices {
                let due = stage.when(clock, at).await;
                stage.perform(at, due).await?;
            }
            anyhow::Ok(())
        });
        for (user, lines) in lines.into_iter().enumerate() {
            let (stage, nicks) = (Arc::clone(&self), Arc::clone(&nicks));
            match clock {
                None => speaking.spawn(stage.speak(user, lines, nicks)),
                Some(clock) => speaking.spawn(stage.speak_on_time(user, lines, nicks, clock)),
            };
        }
        while let Some(ended) = speaking.join_next().await {
            ended.context("a speaker ended early")??;
        }
        Ok(())
    }

    /// One of a bounded number who speak at once.
    async fn speak(
        self: Arc<Self>,
        user: usize,
        lines: Vec<usize>,
        nicks: Arc<Nicks>,
    ) -> anyhow::Result<()> {
        let mut turn = self.replay.speaking.acquire().await?;
        for at in lines {
            if let Some(before) = nicks.waits_for(at) {
                // The other may need this turn.
                drop(turn);
                before.wait().await;
                turn = self.replay.speaking.acquire().await?;
            }
            self.perform(at, None).await?;
            nicks.done(at);
        }
        self.speakers[user].close().await;
        drop(turn);
        Ok(())
    }

    /// One whose client is there while he has something to say.
    async fn speak_on_time(
        self: Arc<Self>,
        user: usize,
        lines: Vec<usize>,
        nicks: Arc<Nicks>,
        clock: Clock,
    ) -> anyhow::Result<()> {
        if let Some(first) = lines.first() {
            sleep_until(clock.at(self.group.due[*first]) - TIME_AHEAD).await;
            // Whoever needs it meets the error again.
            drop(self.speakers[user].client().await);
        }
        for at in lines {
            let due = self.when(Some(clock), at).await;
            if let Some(before) = nicks.waits_for(at) {
                before.wait().await;
            }
            self.perform(at, due).await?;
            nicks.done(at);
        }
        self.speakers[user].close().await;
        Ok(())
    }

    /// Waits until a step is due, if there is a time for it; gives that.
    async fn when(&self, clock: Option<Clock>, at: usize) -> Option<Instant> {
        let due = clock?.at(self.group.due[at]);
        sleep_until(due).await;
        Some(due)
    }
}

/// Steps that must not come before another user's.
struct Nicks {
    from: Vec<Option<usize>>,
    /// Steps that others wait for.
    awaited: HashMap<usize, Done>,
}

/// Whether a step is done.
struct Done(watch::Sender<bool>);

impl Done {
    async fn wait(&self) {
        // The sender lives as long as this.
        let _ = self.0.subscribe().wait_for(|done| *done).await;
    }
}

impl Nicks {
    fn new(from: Vec<Option<usize>>) -> Self {
        let awaited = from.iter().flatten();
        Self {
            awaited: awaited
                .map(|at| (*at, Done(watch::Sender::new(false))))
                .collect(),
            from,
        }
    }

    fn waits_for(&self, at: usize) -> Option<&Done> {
        self.awaited.get(&self.from[at]?)
    }

    fn done(&self, at: usize) {
        if let Some(done) = self.awaited.get(&at) {
            done.0.send_replace(true);
        }
    }
}
