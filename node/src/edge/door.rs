//! Those who come in: connections before their TLS handshake, and sessions
//! between Hello and Welcome. Each of the latter costs look-ups, at other nodes
//! too; so many at once, and when a herd comes back the rest waits its turn
//! (D14). Beyond what may wait, and for who waited for too long, the answer is
//! `busy`, to come again at a time of its own; a connection is hung up on.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::line::Line;

/// A way in.
pub(crate) struct Door {
    places: Arc<Semaphore>,
    line: Line,
    patience: Duration,
    refused: AtomicUsize,
}

/// Held by one that comes in; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Door {
    /// So many places, and so many who may wait for one, for so long.
    pub(crate) fn new((places, waiting): (usize, usize), patience: Duration) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            line: Line::new(waiting),
            patience,
            refused: AtomicUsize::new(0),
        }
    }

    /// Waits for a place, in the order of coming. `None`: too many wait, or it
    /// took too long.
    pub(crate) async fn enter(&self) -> Option<Place> {
        let place = self.wait().await;
        if place.is_none() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        place
    }

    async fn wait(&self) -> Option<Place> {
        let _waiting = self.line.join()?;
        let permit = Arc::clone(&self.places).acquire_owned();
        // Never closed: it fails never.
        let permit = timeout(self.patience, permit).await.ok()?.ok()?;
        Some(Place { _permit: permit })
    }

    /// How many wait now.
    pub(crate) fn waiting(&self) -> usize {
        self.line.len()
    }

    /// How many were refused since the start.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }
}
