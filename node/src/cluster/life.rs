//! What a node does while it runs, and how it ends.

use std::sync::Arc;

use folkmoot_storage::StoreError;
use folkmoot_transport::{Listener, PeerKind};

use super::clocks::ClockWatch;
use super::cursors::Cursors;
use super::leases::Renewal;
use super::mender::Mender;
use super::serve::Serve;
use super::start::Node;
use crate::ports::Random;

impl Node {
    pub(super) fn watch_clock(&self, random: Arc<dyn Random>) {
        let watch = ClockWatch {
            clocks: Arc::clone(&self.clocks),
            stamps: Arc::clone(&self.stamps),
            peers: Arc::clone(&self.peers),
            view: Arc::clone(&self.view),
            voters: Arc::clone(&self.voters),
            meta: Arc::clone(&self.meta),
            edge: Arc::clone(&self.edge),
            random,
        };
        self.tasks.spawn(watch.run(self.stop.clone()));
    }

    pub(super) fn run(self: &Arc<Self>, serve: Arc<Serve>, cursors: Arc<Cursors>) {
        for listener in &self.listeners {
            let (node, listener, serve) =
                (Arc::clone(self), Arc::clone(listener), Arc::clone(&serve));
            self.tasks
                .spawn(async move { node.accept(listener, serve).await });
        }
        let standing = Arc::clone(&self.standing);
        let witness = Arc::clone(&standing.witness);
        self.tasks.spawn(witness.run(self.stop.clone()));
        self.tasks.spawn(standing.run(self.stop.clone()));
        let node = Arc::clone(self);
        self.tasks.spawn(async move { node.keep_placed().await });
        self.tasks
            .spawn(cursors.run(Arc::clone(&self.router), self.stop.clone()));
        self.tasks
            .spawn(Arc::clone(&self.keeper).run(self.stop.clone()));
        self.tasks
            .spawn(Arc::clone(&self.keeper).tell_effects(self.stop.clone()));
        let presences = Arc::clone(&self.presences);
        self.tasks
            .spawn(presences.run(Arc::clone(&self.edge), self.stop.clone()));
        let renewal = Renewal {
            leases: Arc::clone(&self.leases),
            view: Arc::clone(&self.view),
            router: Arc::clone(&self.router),
            voters: Arc::clone(&self.voters),
            followers: Arc::clone(&self.followers),
            edge: Arc::clone(&self.edge),
        };
        self.tasks.spawn(renewal.run(self.stop.clone()));
        let mender = Mender {
            cluster: self.cluster,
            store: Arc::clone(&self.store),
            suspects: Arc::clone(&self.reads.suspects),
            peers: Arc::clone(&self.peers),
            view: Arc::clone(&self.view),
        };
        self.tasks.spawn(mender.run(self.stop.clone()));
        let meta = Arc::clone(&self.meta);
        self.tasks
            .spawn(meta.run(Arc::clone(&self.peers), self.stop.clone()));
        if let Some(gossip) = &self.gossip {
            let (view, mut members, stop) =
                (Arc::clone(&self.view), gossip.watch(), self.stop.clone());
            self.tasks.spawn(async move {
                loop {
                    let now = Arc::clone(&members.borrow_and_update());
                    view.set_members(&now);
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return,
                        changed = members.changed() => if changed.is_err() { return },
                    }
                }
            });
        }
    }

    async fn accept(self: Arc<Self>, listener: Arc<dyn Listener>, serve: Arc<Serve>) {
        loop {
            let connection = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                connection = listener.accept() => match connection {
                    Some(connection) => connection,
                    None => return,
                },
            };
            match connection.peer() {
                PeerKind::Node { node, .. } => {
                    let node = *node;
                    self.tasks
                        .spawn(Arc::clone(&serve).connection(node, connection));
                }
                PeerKind::Client => self.edge.serve(connection),
                PeerKind::Joiner => {
                    let joins = Arc::clone(&serve.joins);
                    self.tasks.spawn(super::join::serve(joins, connection));
                }
                PeerKind::Edge => {}
            }
        }
    }

    /// Waits for what the node cannot go on after: a disk that failed.
    pub async fn failed(&self) -> String {
        let failures = self.failures.lock().take();
        match failures {
            Some(mut failures) => failures.recv().await.unwrap_or_default(),
            None => std::future::pending().await,
        }
    }

    /// Stops: drains the edge, says goodbye, ends consensus, closes the store.
    ///
    /// # Errors
    /// When the store does not close.
    pub async fn shutdown(&self, goodbye: bool) -> Result<(), StoreError> {
        self.edge.drain().await;
        if let Some(gossip) = &self.gossip {
            if goodbye {
                let _ = gossip.leave().await;
            }
            gossip.stop().await;
        }
        self.end_consensus().await;
        self.stop.cancel();
        for listener in &self.listeners {
            listener.close().await;
        }
        self.peers.close().await;
        self.tasks.close();
        self.tasks.wait().await;
        self.store.sync()?;
        self.store.close()
    }

    /// Ends at once: no goodbye, nothing finished, nothing written. A killed
    /// process leaves no tasks behind; in a simulation, where many nodes share
    /// one process, this ends them.
    pub async fn halt(&self) {
        self.stop.cancel();
        self.edge.halt();
        if let Some(gossip) = &self.gossip {
            gossip.stop().await;
        }
        self.end_consensus().await;
    }

    async fn end_consensus(&self) {
        self.ending.cancel();
        *self.placing.lock().await = true;
        for voter in self.voters.all() {
            voter.end().await;
        }
        self.end_meta().await;
    }
}
