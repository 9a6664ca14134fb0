//! The wide area in front of a node: the demo's, inside the node's own
//! namespace, so that its packet filter sees who really sends. Kernels without
//! netem are common; this needs nothing of them.

use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use anyhow::Context;
use folkmoot_node::demo::wan::{Carried, Wan};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::oneshot;

use super::lab::Space;

/// What stands in front of a node. It goes when dropped.
#[derive(Debug)]
pub struct Front {
    /// What the node advertises for QUIC.
    pub quic: SocketAddr,
    /// And for gossip.
    pub gossip: SocketAddr,
    _open: oneshot::Sender<()>,
}

impl Front {
    /// Opens it in the node's namespace, before `listen` and `gossip`.
    ///
    /// # Errors
    /// When the namespace cannot be entered or a socket not be bound.
    pub fn open(
        wan: &Arc<Wan>,
        space: &Space,
        listen: SocketAddr,
        gossip: SocketAddr,
    ) -> anyhow::Result<Self> {
        let (ready, opened) = mpsc::channel();
        let (open, closed) = oneshot::channel();
        let (wan, space) = (Arc::clone(wan), space.clone());
        // Which namespace a socket belongs to is its thread's affair.
        thread::Builder::new()
            .name(space.name.clone())
            .spawn(move || {
                let told = ready.clone();
                let ended = stand(&wan, &space, [listen, gossip], &ready, closed);
                if let Err(error) = ended {
                    // Nobody waits for it any more: then it was open before.
                    let _ = told.send(Err(error));
                }
            })?;
        let [quic, gossip] = opened.recv().context("the wide area")??;
        Ok(Self {
            quic,
            gossip,
            _open: open,
        })
    }
}

type Opened = anyhow::Result<[SocketAddr; 2]>;

fn stand(
    wan: &Arc<Wan>,
    space: &Space,
    targets: [SocketAddr; 2],
    ready: &mpsc::Sender<Opened>,
    closed: oneshot::Receiver<()>,
) -> anyhow::Result<()> {
    let file = File::open(space.file()).context("the namespace of a node")?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .context("entering the namespace of a node")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let [listen, gossip] = targets;
        let quic = wan.proxy(Carried::Quic, space.region, listen).await?;
        let gossip = wan.proxy(Carried::Gossip, space.region, gossip).await?;
        let opened = ready.send(Ok([quic.addr(), gossip.addr()]));
        opened.context("nobody waits for the wide area")?;
        // An error is the end too.
        let _ = closed.await;
        Ok(())
    })
}
