//! Writing through the group commit.

use std::io;

use folkmoot_storage::{Batch, Commit};
use tokio::sync::oneshot;

/// Submits a batch and waits until it is durable.
pub(crate) async fn make_durable(commit: &dyn Commit, batch: Batch) -> io::Result<()> {
    let (tx, rx) = oneshot::channel();
    commit.submit(
        batch,
        Box::new(move |result| {
            // Nobody waits any more: the replica is being shut down.
            let _ = tx.send(result);
        }),
    );
    match rx.await {
        Ok(result) => result.map_err(io::Error::other),
        Err(_) => Err(io::Error::other("the commit was closed")),
    }
}
