//! What is known of all nodes, readable at any time without waiting.

use std::collections::BTreeMap;

use folkmoot_wire::NodeId;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{KEYS_MAX, NODES_MAX, StateError, check};

/// What one node told in one life.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) incarnation: u64,
    /// Rises with each change; used only by the exchange that counts it.
    pub(super) version: u64,
    pub(super) values: BTreeMap<String, String>,
}

impl Told {
    fn visible(&self) -> BTreeMap<String, String> {
        self.values
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    fn is_within_limits(&self) -> bool {
        self.values.len() <= KEYS_MAX
            && self
                .values
                .iter()
                .all(|(key, value)| check(key, value).is_ok())
    }
}

pub(super) struct Table {
    me: NodeId,
    nodes: Mutex<BTreeMap<NodeId, Told>>,
    changes: watch::Sender<u64>,
}

impl Table {
    pub(super) fn new(me: NodeId, incarnation: u64) -> Self {
        let own = Told {
            incarnation,
            ..Told::default()
        };
        Self {
            me,
            nodes: Mutex::new(BTreeMap::from([(me, own)])),
            changes: watch::channel(0).0,
        }
    }

    /// Sets a pair of this node; whether that changed anything.
    pub(super) fn set(&self, key: &str, value: &str) -> Result<bool, StateError> {
        check(key, value)?;
        {
            let mut nodes = self.nodes.lock();
            let own = nodes.entry(self.me).or_default();
            match own.values.get(key) {
                Some(old) if old == value => return Ok(false),
                Some(_) => {}
                None if value.is_empty() => return Ok(false),
                None if own.values.len() >= KEYS_MAX => {
                    return Err(StateError::TooMany(key.to_owned()));
                }
                None => {}
            }
            own.values.insert(key.to_owned(), value.to_owned());
            own.version += 1;
        }
        self.changed();
        Ok(true)
    }

    /// One pair of another node was told. Without a pair: the node began the
    /// life of this incarnation.
    pub(super) fn observe(&self, node: NodeId, incarnation: u64, pair: Option<(&str, &str)>) {
        if node == self.me {
            return;
        }
        {
            let mut nodes = self.nodes.lock();
            if nodes.len() >= NODES_MAX && !nodes.contains_key(&node) {
                return;
            }
            let told = nodes.entry(node).or_insert_with(|| Told {
                incarnation,
                ..Told::default()
            });
            if incarnation < told.incarnation {
                return;
            }
            if incarnation > told.incarnation {
                *told = Told {
                    incarnation,
                    ..Told::default()
                };
            }
            if let Some((key, value)) = pair {
                let room = told.values.len() < KEYS_MAX || told.values.contains_key(key);
                if check(key, value).is_ok() && room {
                    told.values.insert(key.to_owned(), value.to_owned());
                }
            }
        }
        self.changed();
    }

    /// Everything another node told arrived; taken if it is later than what is
    /// known, and of a node that is known or `welcome`.
    pub(super) fn merge(&self, node: NodeId, told: Told, welcome: bool) {
        if node == self.me || !told.is_within_limits() {
            return;
        }
        {
            let mut nodes = self.nodes.lock();
            match nodes.get(&node) {
                Some(known)
                    if (known.incarnation, known.version) >= (told.incarnation, told.version) =>
                {
                    return;
                }
                None if !welcome || nodes.len() >= NODES_MAX => return,
                _ => {}
            }
            nodes.insert(node, told);
        }
        self.changed();
    }

    /// Keeps what these and this node told; drops the rest.
    pub(super) fn retain(&self, keep: impl Fn(NodeId) -> bool) {
        let dropped = {
            let mut nodes = self.nodes.lock();
            let before = nodes.len();
            nodes.retain(|&node, _| node == self.me || keep(node));
            nodes.len() < before
        };
        if dropped {
            self.changed();
        }
    }

    pub(super) fn nodes(&self) -> BTreeMap<NodeId, Told> {
        self.nodes.lock().clone()
    }

    /// This node's pairs, those taken back included.
    pub(super) fn own(&self) -> BTreeMap<String, String> {
        let nodes = self.nodes.lock();
        nodes
            .get(&self.me)
            .map(|own| own.values.clone())
            .unwrap_or_default()
    }

    pub(super) fn get(&self, node: NodeId) -> BTreeMap<String, String> {
        let nodes = self.nodes.lock();
        nodes.get(&node).map(Told::visible).unwrap_or_default()
    }

    pub(super) fn all(&self) -> BTreeMap<NodeId, BTreeMap<String, String>> {
        let nodes = self.nodes.lock();
        nodes
            .iter()
            .map(|(&node, told)| (node, told.visible()))
            .collect()
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn changed(&self) {
        self.changes.send_modify(|number| *number += 1);
    }
}
