//! The same node as a shelf: pages of history, the newest first, to members
//! that have the group active.

use anyhow::{Context, bail};
use async_trait::async_trait;
use folkmoot_client::GroupId;

use super::client::{Mouth, Session};
use super::{Folkmoot, Running};
use crate::crowd::{Archive, Reader, Room, Setup, Shelf, Speaker};
use crate::peer::Tag;

#[async_trait]
impl Archive for Folkmoot {
    async fn shelf(
        &self,
        setup: &Setup,
        messages: Tag,
        newest: usize,
    ) -> anyhow::Result<Box<dyn Shelf>> {
        let running = self.run(setup).await?;
        Ok(Box::new(Kept {
            running,
            messages,
            newest,
        }))
    }
}

struct Kept {
    running: Running,
    messages: Tag,
    newest: usize,
}

impl Kept {
    async fn fill(&self) -> anyhow::Result<()> {
        let running = &self.running;
        let socket = running.dial.socket()?;
        let mut session = running.session(&*socket, "speaker").await?;
        session.join(running.group, "speaker").await?;
        let mut mouth = Mouth::of(session, running.group);
        for tag in 0..self.messages {
            mouth.say(tag).await?;
        }
        mouth.answered().await
    }
}

#[async_trait]
impl Shelf for Kept {
    fn pids(&self) -> Vec<u32> {
        self.running.pids()
    }

    async fn readers(&mut self) -> anyhow::Result<Vec<Box<dyn Reader>>> {
        // Who joined stands in the log: what is read was said after. And who has
        // the group active by then was told.
        let members = self.running.members().await?;
        self.fill().await.context("filling the log")?;
        let active = self.running.activate(members).await?;
        let (group, newest) = (self.running.group, self.newest);
        let reader = |session| {
            Box::new(Comer {
                session,
                group,
                newest,
            }) as Box<dyn Reader>
        };
        Ok(active.into_iter().map(reader).collect())
    }

    fn must_run(&mut self) -> anyhow::Result<()> {
        self.running.must_run()
    }

    async fn stop(self: Box<Self>) -> anyhow::Result<()> {
        Box::new(self.running).stop().await
    }
}

/// One that was away.
struct Comer {
    session: Session,
    group: GroupId,
    newest: usize,
}

#[async_trait]
impl Reader for Comer {
    async fn catch_up(&mut self, read: &mut Vec<Tag>) -> anyhow::Result<()> {
        let mut before = 0;
        while read.len() < self.newest {
            let limit = u32::try_from(self.newest - read.len())?;
            let page = self.session.page(self.group, before, limit).await?;
            if page.tags.is_empty() || page.from <= 1 {
                bail!("the log has but {} messages", read.len() + page.tags.len());
            }
            before = page.from;
            read.splice(..0, page.tags.iter().copied());
        }
        Ok(())
    }
}
