//! Folkmoot with nodes that die. The SDK does by itself all that is asked of
//! a publisher then.

use async_trait::async_trait;
use folkmoot_client::Start;

use super::clients::{self, Reader, Sender};
use super::{Publisher, Replicated, Running};
use crate::peer::{Servers, Tag};

#[async_trait]
impl Replicated for Running {
    async fn lasting(&mut self, count: usize) -> anyhow::Result<Vec<Box<dyn Publisher>>> {
        let mut all: Vec<Box<dyn Publisher>> = Vec::new();
        for number in 0..count {
            let mut nodes: Vec<_> = self.cluster.nodes.iter().collect();
            nodes.rotate_left(number % self.cluster.nodes.len());
            let client = clients::publisher(&nodes, number).await?;
            all.push(Box::new(Sender::new(client, &self.groups[..1])));
        }
        Ok(all)
    }

    async fn leader(&self) -> anyhow::Result<usize> {
        self.cluster.leader(self.groups[0]).await
    }

    async fn kill(&mut self, at: usize) -> anyhow::Result<()> {
        self.cluster.kill(at).await
    }

    async fn again(&mut self, at: usize) -> anyhow::Result<()> {
        self.cluster.again(at, self.groups[0]).await
    }

    async fn stored(&mut self) -> anyhow::Result<Vec<Tag>> {
        self.must_run()?;
        let head = self.cluster.head(self.groups[0]).await?;
        let node = &self.cluster.nodes[0];
        let reader = Reader::connect(node, self.groups[0], Start::Beginning);
        reader.await?.up_to(head).await
    }
}
