//! The same loop, for whom all that is read was said just now: one frame as
//! long as a page.

use async_trait::async_trait;

use super::{Floor, Running};
use crate::crowd::{Archive, Listener, Reader, Room, Setup, Shelf, Speaker};
use crate::peer::Tag;

#[async_trait]
impl Archive for Floor {
    async fn shelf(
        &self,
        setup: &Setup,
        messages: Tag,
        newest: usize,
    ) -> anyhow::Result<Box<dyn Shelf>> {
        Ok(Box::new(Kept {
            running: self.run(setup, Some(newest))?,
            speaker: None,
            newest: messages - newest as Tag..messages,
        }))
    }
}

struct Kept {
    running: Running,
    speaker: Option<Box<dyn Speaker>>,
    newest: std::ops::Range<Tag>,
}

#[async_trait]
impl Shelf for Kept {
    fn pids(&self) -> Vec<u32> {
        self.running.pids()
    }

    async fn readers(&mut self) -> anyhow::Result<Vec<Box<dyn Reader>>> {
        let listeners = self.running.listeners().await?;
        self.speaker = Some(self.running.speaker().await?);
        let count = (self.newest.end - self.newest.start) as usize;
        let reader = |listener| Box::new(Hearer { listener, count }) as Box<dyn Reader>;
        Ok(listeners.into_iter().map(reader).collect())
    }

    async fn begin(&mut self) -> anyhow::Result<()> {
        if let Some(speaker) = &mut self.speaker {
            for tag in self.newest.clone() {
                speaker.say(tag).await?;
            }
        }
        Ok(())
    }

    fn must_run(&mut self) -> anyhow::Result<()> {
        self.running.must_run()
    }

    async fn stop(self: Box<Self>) -> anyhow::Result<()> {
        Box::new(self.running).stop().await
    }
}

struct Hearer {
    listener: Box<dyn Listener>,
    count: usize,
}

#[async_trait]
impl Reader for Hearer {
    async fn catch_up(&mut self, read: &mut Vec<Tag>) -> anyhow::Result<()> {
        let mut heard = Vec::new();
        while read.len() < self.count {
            self.listener.hear(&mut heard).await?;
            read.append(&mut heard);
        }
        Ok(())
    }
}
