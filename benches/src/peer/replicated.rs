//! The port for what happens when a server dies: three servers that can be
//! killed and started again, and clients that carry on.

use async_trait::async_trait;

use super::{Publisher, Servers, Tag};

/// Three servers, any one of which can be lost. All is about the first target.
#[async_trait]
pub(crate) trait Replicated: Servers {
    /// Connects publishers, spread over the servers. Whatever server dies,
    /// each goes on by itself, with the same ids, until what it sent is
    /// acknowledged.
    async fn lasting(&mut self, count: usize) -> anyhow::Result<Vec<Box<dyn Publisher>>>;

    /// Which server puts the target in order.
    async fn leader(&self) -> anyhow::Result<usize>;

    /// Kills a server with SIGKILL, and waits until it is gone.
    async fn kill(&mut self, at: usize) -> anyhow::Result<()>;

    /// Starts it again, and waits until all servers hold all that is there.
    async fn again(&mut self, at: usize) -> anyhow::Result<()>;

    /// Every message of the target, in its order.
    async fn stored(&mut self) -> anyhow::Result<Vec<Tag>>;
}
