//! The same node for people who come into one group, and for those who look who
//! is in it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use folkmoot_client::{Client, GroupId, UserId};
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::{JoinBody, Kind, Ping, Send};
use prost::Message;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::client::{OPEN, Session};
use super::marks::{Answers, Asker, split};
use super::{Folkmoot, Running};
use crate::crowd::{Room, Setup};

/// The user who made the group, and so may add others.
const FOUNDER: &str = "publisher-0";

/// An empty group.
pub(crate) struct Joins {
    running: Running,
}

impl Folkmoot {
    /// Starts a node with one.
    pub(crate) async fn joins(&self, setup: &Setup) -> anyhow::Result<Joins> {
        Ok(Joins {
            running: self.run(setup).await?,
        })
    }
}

impl Joins {
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.running.pids()
    }

    pub(crate) fn group(&self) -> GroupId {
        self.running.group
    }

    /// Somebody in the group, with the SDK.
    pub(crate) fn member(&self) -> &Client {
        &self.running.founder
    }

    /// Where the node's store is.
    pub(crate) fn store(&self) -> PathBuf {
        self.running.cluster.nodes[0].store()
    }

    /// Devices that add people.
    pub(crate) async fn adders(&self, count: u64) -> anyhow::Result<Vec<(Adder, Answers)>> {
        let socket = self.running.dial.socket()?;
        let mut adders = Vec::new();
        for device in 0..count {
            let device = 1_000 + device;
            let session = self.running.session_on(&*socket, FOUNDER, device).await?;
            let (asker, answers) = split(session);
            let adder = Adder {
                asker,
                group: self.running.group,
                room: Arc::new(Semaphore::new(OPEN)),
            };
            adders.push((adder, answers));
        }
        Ok(adders)
    }

    /// A member who looks on.
    pub(crate) async fn onlooker(&self) -> anyhow::Result<Onlooker> {
        let socket = self.running.dial.socket()?;
        let mut session = self.running.session(&*socket, "onlooker").await?;
        session.join(self.running.group, "onlooker").await?;
        session.activate(self.running.group).await?;
        let seen = Arc::new(Seen::default());
        let looks = Arc::clone(&seen);
        let task = tokio::spawn(async move { look(session, &looks).await });
        Ok(Onlooker { seen, task })
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        Box::new(self.running).stop().await
    }
}

/// A device that adds people.
pub(crate) struct Adder {
    asker: Asker,
    group: GroupId,
    room: Arc<Semaphore>,
}

impl Adder {
    /// Gives room for one more, once one was answered.
    pub(crate) fn room(&self) -> Arc<Semaphore> {
        Arc::clone(&self.room)
    }

    /// Adds somebody, as was due then. Waits while too many are under way: that
    /// time is theirs.
    pub(crate) async fn add(
        &mut self,
        user: UserId,
        nick: String,
        due: Instant,
    ) -> anyhow::Result<()> {
        self.room.acquire().await?.forget();
        let body = JoinBody { nick, role: 0 };
        let join = self
            .asker
            .numbers
            .entry(self.group, Kind::Join, body.encode_to_vec());
        let join = Send {
            subject: user.to_bytes(),
            ..join
        };
        self.asker.ask(Request::Send(join), due).await
    }
}

/// What a member's session was sent.
#[derive(Default)]
struct Seen {
    frames: AtomicU64,
    bytes: AtomicU64,
}

/// A member who has the group open while others come.
pub(crate) struct Onlooker {
    seen: Arc<Seen>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Onlooker {
    /// Frames and bytes so far.
    pub(crate) fn seen(&self) -> (u64, u64) {
        let frames = self.seen.frames.load(Ordering::Relaxed);
        (frames, self.seen.bytes.load(Ordering::Relaxed))
    }
}

impl Drop for Onlooker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look(mut session: Session, seen: &Seen) -> anyhow::Result<()> {
    let mut heartbeat = Instant::now() + folkmoot_wire::limits::HEARTBEAT;
    loop {
        tokio::select! {
            biased;
            frame = session.frame() => {
                seen.frames.fetch_add(1, Ordering::Relaxed);
                seen.bytes.fetch_add(frame?.len() as u64, Ordering::Relaxed);
            }
            () = sleep_until(heartbeat) => {
                heartbeat = Instant::now() + folkmoot_wire::limits::HEARTBEAT;
                session.begin(Request::Ping(Ping {})).await?;
            }
        }
    }
}
