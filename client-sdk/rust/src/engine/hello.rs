//! The beginning of a session.

use folkmoot_crdt::hlc::Hlc;
use folkmoot_transport::ClusterId;
use folkmoot_wire::proto::{Hello, Welcome};
use folkmoot_wire::{GroupId, NodeId, UserId, limits, version};
use std::time::Duration;

use super::{End, Engine};
use crate::error::ClientError;
use crate::event::Event;
use crate::store::{Identity, Record};

/// What an edge says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub(crate) region: String,
    pub(crate) node: NodeId,
    pub(crate) user: UserId,
}

impl Engine {
    pub(super) fn hello(&mut self, token: String) -> Hello {
        Hello {
            version_min: version::CLIENT.min,
            version_max: version::CLIENT.max,
            features: version::FEATURES.iter().map(|f| (*f).to_owned()).collect(),
            token,
            device: self.device.0,
            client: self.options.client.clone(),
            changed_since: self.changed_since.clone(),
            active: self.follows.resume(limits::ACTIVE_GROUPS_MAX),
        }
    }

    pub(super) fn welcome(&mut self, welcome: Welcome, now: Duration) -> Result<(), End> {
        if self.greeting.is_some() {
            return Err(End::protocol("a second Welcome"));
        }
        let bad = |what: String| End::protocol(format!("Welcome: {what}"));
        let user = UserId::from_slice(&welcome.user).map_err(|e| bad(e.to_string()))?;
        let cluster: ClusterId = welcome
            .cluster
            .parse()
            .map_err(|_| bad(format!("{:?} is not a cluster's id", welcome.cluster)))?;
        let identity = Identity {
            cluster: cluster.0,
            user,
        };
        match self.identity {
            Some(ours) if ours != identity => {
                return Err(End::new(ClientError::WrongStore {
                    expected: ours.user,
                    got: user,
                }));
            }
            Some(_) => {}
            None => {
                self.identity = Some(identity);
                self.output.records.push(Record::Identity(identity));
            }
        }
        // Not the greatest of all edges: one with a wrong clock would have every
        // later message refused, at the others too.
        self.stamp = Hlc::from_u64(welcome.stamp);
        if let Some(session) = &mut self.session {
            session.welcomed(welcome.heartbeat_ms);
        }
        if welcome.max_frame > 0 {
            self.max_frame = (welcome.max_frame as usize).min(limits::CLIENT_FRAME_MAX);
        }
        self.greeting = Some(Greeting {
            region: welcome.region,
            node: NodeId(welcome.node),
            user,
        });
        if let Some(changed) = welcome.changed {
            self.changed_since = changed.changed_since;
            if changed.whole {
                self.emit(Event::GroupsListed(changed.groups));
            } else if !changed.groups.is_empty() {
                self.emit(Event::GroupsChanged(changed.groups));
            }
        }
        for activated in &welcome.active {
            let Ok(group) = GroupId::from_slice(&activated.group) else {
                return Err(bad("an active group without an id".into()));
            };
            self.activated(group, activated, now);
        }
        self.follows.greeted();
        Ok(())
    }

    /// Within a session stamps only rise.
    pub(super) fn note_stamp(&mut self, stamp: u64) {
        self.stamp = self.stamp.max(Hlc::from_u64(stamp));
    }
}
