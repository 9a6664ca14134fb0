//! What each node tells of itself: a few short keys, spread to all.
//!
//! A narrow port with two implementations that one suite tests: chitchat in
//! production, and a deterministic one for the simulator. Values are hints:
//! never ownership, never bans.

mod chitchat;
mod memory;
mod outbox;
mod table;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use folkmoot_wire::NodeId;
use tokio::sync::watch;

pub use self::chitchat::ChitchatState;
pub use self::memory::{MESSAGE_MAX, MemoryState};
pub use self::outbox::StateTraffic;

/// Nodes of which something is kept. More: news of others is not taken.
pub const NODES_MAX: usize = 4_096;
/// Most keys of one node, those taken back included.
pub const KEYS_MAX: usize = 32;
/// Longest key, in bytes.
pub const KEY_MAX: usize = 64;
/// Longest value, in bytes.
pub const VALUE_MAX: usize = 512;
/// A round of exchange with a peer starts this often.
pub const ROUND: Duration = Duration::from_secs(1);
/// What a node told is dropped this long after it was last there.
pub const GRACE: Duration = Duration::from_secs(15 * 60);

/// Keys that the implementations use themselves begin so.
const INTERNAL: char = '_';

/// Why a value was not taken, or the exchange did not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The key is empty, too long, or reserved.
    #[error("a key is 1 to {KEY_MAX} bytes and does not begin with '{INTERNAL}', got {0:?}")]
    Key(String),
    /// The value is too long.
    #[error("the value of {key:?} is {length} bytes, at most {VALUE_MAX} are allowed")]
    Value {
        /// The key.
        key: String,
        /// The value's length, in bytes.
        length: usize,
    },
    /// This node has [`KEYS_MAX`] keys already.
    #[error("at most {KEYS_MAX} keys of a node; {0:?} is one too many")]
    TooMany(String),
    /// chitchat did not start.
    #[error("the exchange of node states did not start: {0}")]
    Start(String),
}

/// Checks a pair against the limits.
fn check(key: &str, value: &str) -> Result<(), StateError> {
    if key.is_empty() || key.len() > KEY_MAX || key.starts_with(INTERNAL) {
        return Err(StateError::Key(key.chars().take(KEY_MAX).collect()));
    }
    if value.len() > VALUE_MAX {
        return Err(StateError::Value {
            key: key.to_owned(),
            length: value.len(),
        });
    }
    Ok(())
}

/// What each node tells of itself.
#[async_trait]
pub trait NodeState: Send + Sync {
    /// Tells `key = value` of this node. An empty value takes the key back.
    ///
    /// # Errors
    /// When a limit is passed.
    fn set(&self, key: &str, value: &str) -> Result<(), StateError>;

    /// What `node` tells of itself in its latest incarnation known here.
    fn get(&self, node: NodeId) -> BTreeMap<String, String>;

    /// What all nodes tell, this one included.
    fn all(&self) -> BTreeMap<NodeId, BTreeMap<String, String>>;

    /// These other nodes are active now, and worth talking to.
    fn peers(&self, active: &[NodeId]);

    /// A number that rises whenever something told changes.
    fn changes(&self) -> watch::Receiver<u64>;

    /// The counters.
    fn traffic(&self) -> StateTraffic;

    /// Ends the exchange.
    async fn stop(&self);
}

#[cfg(test)]
mod tests;
