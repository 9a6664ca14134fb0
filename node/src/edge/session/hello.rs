//! Hello and Welcome.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::{ClientFrame, Hello, Welcome, server_frame};
use folkmoot_wire::version::{self, Range};
use folkmoot_wire::{Code, Fault, UserId, limits};
use prost::Message;

use super::{Session, encode};
use crate::edge::core::Core;
use crate::edge::door::Place;
use crate::edge::requests::{activate, groups};
use crate::edge::stats::Counters;

/// Activated groups in Welcome itself.
const WELCOME_ACTIVE: usize = 400;

/// A Hello that was found good.
pub(super) struct Greeting {
    pub(super) id: u64,
    pub(super) hello: Hello,
    pub(super) user: UserId,
    pub(super) version: u32,
    pub(super) features: Vec<String>,
    pub(super) stamp: Hlc,
    /// How long the token is still good.
    pub(super) lasts: Duration,
    /// Of those who come in, until Welcome.
    _place: Place,
}

/// Judges the first frame of a stream; a refusal comes with the id to answer
/// under (0: none).
pub(super) async fn greet(core: &Core, frame: Bytes) -> Result<Greeting, (u64, Fault)> {
    let frame = ClientFrame::decode(frame)
        .map_err(|error| (0, Fault::new(Code::MalformedFrame, error.to_string())))?;
    let id = frame.id;
    let Some(Request::Hello(hello)) = frame.request else {
        return Err((id, Code::HelloExpected.into()));
    };
    let fault = |fault: Fault| (id, fault);
    let theirs = Range {
        min: hello.version_min,
        max: hello.version_max,
    };
    let Some(version) = version::CLIENT.negotiate(theirs) else {
        let Range { min, max } = version::CLIENT;
        let detail = format!(
            "the client speaks {} to {}, this node {min} to {max}",
            theirs.min, theirs.max
        );
        return Err(fault(Fault::new(Code::UnsupportedVersion, detail)));
    };
    if hello.active.len() > limits::ACTIVE_GROUPS_MAX {
        let detail = format!("at most {} active groups", limits::ACTIVE_GROUPS_MAX);
        return Err(fault(Fault::new(Code::Invalid, detail)));
    }
    let now = core.backend.wall_ms();
    let identity = core.auth.check(&hello.token, now).map_err(|refused| {
        Counters::add(&core.counters.refused_tokens);
        fault(refused)
    })?;
    let user = core
        .backend
        .resolve_user(&identity.realm, &identity.subject)
        .await
        .map_err(fault)?;
    // Not before: who is not known here may have to be asked for far away, and
    // would keep out those who are.
    let Some(place) = core.door.enter().await else {
        return Err(fault(core.later(Code::Busy, limits::GREETING_WAIT)));
    };
    Ok(Greeting {
        id,
        stamp: core.backend.stamp().map_err(fault)?,
        user,
        version,
        features: version::common_features(&hello.features),
        lasts: Duration::from_millis(identity.ends_ms.saturating_sub(now)),
        _place: place,
        hello,
    })
}

impl Session {
    /// Says Welcome: what changed since the client was here last, and the
    /// groups it wants active.
    pub(super) async fn welcome(self: &Arc<Self>, greeting: Box<Greeting>) {
        let hello = &greeting.hello;
        let changed = groups::changed_since(self, &hello.changed_since).await;
        let prepared = activate::prepare(self, &hello.active).await;
        let backend = &self.core.backend;
        let mut welcome = Welcome {
            version: greeting.version,
            features: greeting.features,
            user: self.user.to_bytes(),
            node: backend.node().0,
            region: backend.region(),
            stamp: greeting.stamp.as_u64(),
            heartbeat_ms: limits::HEARTBEAT.as_millis() as u32,
            changed: Some(changed),
            active: Vec::new(),
            max_frame: limits::CLIENT_FRAME_MAX as u32,
            cluster: backend.cluster(),
        };
        // Corked since the session was made: Welcome is its first frame.
        let outbound = &self.link.outbound;
        let mut active = activate::go_live(self, prepared);
        let aside = activate::tentative(self, &active);
        // What does not fit into the frame follows as pushes.
        let rest = active.split_off(active.len().min(WELCOME_ACTIVE));
        welcome.active = active;
        let mut frames = vec![encode(greeting.id, server_frame::Body::Welcome(welcome))];
        let activated = |a| encode(0, server_frame::Body::Activated(a));
        frames.extend(rest.into_iter().map(activated));
        frames.extend(aside);
        outbound.uncork(frames);
        let session = Arc::clone(self);
        self.spawn(async move { groups::follow_own_list(&session).await });
    }
}
