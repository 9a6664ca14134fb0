//! JetStream with servers that die: a publisher that connects to another
//! server and sends again what is not acknowledged, under the same ids, as
//! NATS's own clients do it when asked to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::session::{Acknowledged, Sender, Session};
use crate::peer::{Publisher, Tag};

/// What is not acknowledged after this time is sent again; NATS's clients wait
/// as long before they try again.
const RETRY: Duration = Duration::from_millis(250);
/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(20);
const CONNECTING: Duration = Duration::from_secs(1);

/// A publisher that lasts.
pub(super) struct Lasting {
    servers: Vec<SocketAddr>,
    /// Which of them it is connected to, or was.
    at: usize,
    targets: Arc<[String]>,
    number: usize,
    sender: Option<Sender>,
    /// A task, because whoever waits for acknowledgements may be dropped at
    /// any time, and connecting must not begin anew each time.
    connecting: Option<JoinHandle<anyhow::Result<Session>>>,
    /// What is not acknowledged, and when it was sent last.
    open: BTreeMap<Tag, Instant>,
}

impl Lasting {
    /// Not connected yet.
    pub(super) fn new(servers: Vec<SocketAddr>, targets: Arc<[String]>, number: usize) -> Self {
        Self {
            at: number % servers.len(),
            servers,
            targets,
            number,
            sender: None,
            connecting: None,
            open: BTreeMap::new(),
        }
    }

    /// Connects, and sends again all that is open.
    async fn connect(&mut self) -> anyhow::Result<()> {
        let addr = self.servers[self.at % self.servers.len()];
        let connecting = self.connecting.get_or_insert_with(|| {
            tokio::spawn(async move {
                let session = timeout(CONNECTING, Session::connect(addr)).await;
                let session = session.map_err(anyhow::Error::from).flatten();
                if session.is_err() {
                    sleep(PAUSE).await;
                }
                session
            })
        });
        let session = connecting.await;
        self.connecting = None;
        let sender = Sender::new(session??, Arc::clone(&self.targets), self.number);
        self.sender = Some(sender);
        self.send_again(Duration::ZERO).await
    }

    /// The connection, or the attempt at one, failed: another server is next.
    fn failed(&mut self) {
        self.sender = None;
        self.at += 1;
    }

    /// Sends again what was sent at least so long ago.
    async fn send_again(&mut self, since: Duration) -> anyhow::Result<()> {
        let now = Instant::now();
        let sender = self.sender.as_mut().context("not connected")?;
        for (tag, sent) in &mut self.open {
            if now.duration_since(*sent) >= since {
                *sent = now;
                sender.send(0, *tag).await?;
            }
        }
        sender.flush().await
    }

    /// Waits until something is acknowledged, or it is time to send again.
    async fn wait(&mut self, tags: &mut Vec<Tag>) -> anyhow::Result<()> {
        let oldest = self.open.values().min().copied();
        let sender = self.sender.as_mut().context("not connected")?;
        let again = oldest.map_or(RETRY, |sent| (sent + RETRY) - Instant::now());
        match timeout(again, sender.acknowledgement()).await {
            Err(_) => self.send_again(RETRY).await,
            Ok(said) => {
                match said? {
                    Acknowledged::Stored(tag) => {
                        if self.open.remove(&tag).is_some() {
                            tags.push(tag);
                        }
                    }
                    // There is no leader: it is sent again in a while.
                    Acknowledged::NotNow => {}
                }
                Ok(())
            }
        }
    }
}

#[async_trait]
impl Publisher for Lasting {
    async fn send(&mut self, target: usize, tag: Tag) -> anyhow::Result<()> {
        self.open.insert(tag, Instant::now());
        if let Some(sender) = &mut self.sender {
            sender.send(target, tag).await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        if let Some(sender) = &mut self.sender
            && sender.flush().await.is_err()
        {
            self.failed();
        }
        Ok(())
    }

    async fn done(&mut self, tags: &mut Vec<Tag>) -> anyhow::Result<()> {
        while tags.is_empty() {
            let done = match self.sender {
                None => self.connect().await,
                Some(_) => self.wait(tags).await,
            };
            if done.is_err() {
                self.failed();
            }
        }
        Ok(())
    }

    async fn close(self: Box<Self>) {}
}
