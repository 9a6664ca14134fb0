//! JetStream as a shelf: batches got directly, which is the fastest way it has
//! to read (ADR-31 of NATS); no consumer is made.

use std::net::SocketAddr;
use std::path::PathBuf;

use async_trait::async_trait;

use super::session::Session;
use super::{JetStream, Running, STREAM};
use crate::crowd::{Archive, Product, Reader, Setup, Shelf};
use crate::peer::{self, Peer, Servers, Tag, fill};

/// The peer.
pub(crate) struct JetStreamShelf(JetStream);

impl JetStreamShelf {
    pub(crate) fn new(program: Option<PathBuf>) -> Self {
        Self(JetStream::new(program))
    }
}

#[async_trait]
impl Product for JetStreamShelf {
    fn name(&self) -> String {
        "jetstream".to_owned()
    }

    fn notes(&self) -> String {
        "direct get in batches over TCP without TLS; file storage; no accounts, no receipts"
            .to_owned()
    }

    async fn prepare(&mut self) -> anyhow::Result<String> {
        Peer::prepare(&mut self.0).await
    }
}

#[async_trait]
impl Archive for JetStreamShelf {
    async fn shelf(
        &self,
        setup: &Setup,
        messages: Tag,
        newest: usize,
    ) -> anyhow::Result<Box<dyn Shelf>> {
        let mut running = self.0.run(&peer::Setup::of_one(setup)).await?;
        fill(&mut running, messages).await?;
        Ok(Box::new(Kept {
            running,
            readers: setup.listeners,
            from: messages - newest as Tag + 1,
            newest,
        }))
    }
}

struct Kept {
    running: Running,
    readers: usize,
    /// The seq of the first that is read.
    from: u64,
    newest: usize,
}

impl Kept {
    async fn comer(&self, addr: SocketAddr) -> anyhow::Result<Box<dyn Reader>> {
        let mut session = Session::connect(addr).await?;
        let inbox = session.subscribe("page").await?;
        Ok(Box::new(Comer {
            session,
            inbox,
            subject: format!("$JS.API.DIRECT.GET.{STREAM}"),
            from: self.from,
            newest: self.newest,
        }))
    }
}

#[async_trait]
impl Shelf for Kept {
    fn pids(&self) -> Vec<u32> {
        self.running.pids()
    }

    async fn readers(&mut self) -> anyhow::Result<Vec<Box<dyn Reader>>> {
        let mut all = Vec::new();
        for _ in 0..self.readers {
            all.push(self.comer(self.running.clients[0]).await?);
        }
        Ok(all)
    }

    fn must_run(&mut self) -> anyhow::Result<()> {
        Servers::must_run(&mut self.running)
    }

    async fn stop(self: Box<Self>) -> anyhow::Result<()> {
        Box::new(self.running).stop().await
    }
}

struct Comer {
    session: Session,
    inbox: String,
    subject: String,
    from: u64,
    newest: usize,
}

#[async_trait]
impl Reader for Comer {
    async fn catch_up(&mut self, read: &mut Vec<Tag>) -> anyhow::Result<()> {
        while read.len() < self.newest {
            let (from, count) = (self.from + read.len() as u64, self.newest - read.len());
            let question = format!("{{\"seq\":{from},\"batch\":{count}}}");
            let session = &mut self.session;
            session
                .batch(&self.subject, &self.inbox, question.as_bytes(), read)
                .await?;
        }
        Ok(())
    }
}
