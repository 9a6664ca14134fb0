//! What clients and edges say to each other, looked at on its way: stamps
//! that have to rise, and what shows that something interesting happened.

use std::collections::BTreeMap;
use std::net::IpAddr;

use folkmoot_client::Code;
use folkmoot_transport::sim::{Delivered, Delivery};
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{ClientFrame, EntryHeader, Kind, ServerFrame, Tentative};
use parking_lot::Mutex;
use prost::Message;

use super::findings::Findings;
use super::sometimes::{Sometimes, State};
use super::workload::PAGE;

/// Listens.
pub struct Talk {
    findings: Findings,
    sometimes: Sometimes,
    /// The last stamp that a node gave a device.
    stamps: Mutex<BTreeMap<(IpAddr, IpAddr), u64>>,
}

impl Talk {
    /// Has heard nothing yet.
    #[must_use]
    pub fn new(findings: Findings, sometimes: Sometimes) -> Self {
        Self {
            findings,
            sometimes,
            stamps: Mutex::default(),
        }
    }

    /// A client said something to an edge.
    pub fn said(&self, delivery: &Delivery<'_>) {
        if delivery.what != Delivered::Frame {
            return;
        }
        let Ok(frame) = ClientFrame::decode(delivery.bytes) else {
            return;
        };
        let resumes = match frame.request {
            Some(Request::History(history)) if history.limit != PAGE => {
                return self.sometimes.saw(State::GapFetched);
            }
            Some(Request::Hello(hello)) => hello.active,
            Some(Request::Activate(activate)) => activate.groups,
            _ => return,
        };
        if resumes.iter().any(|resume| resume.seq > 0) {
            self.sometimes.saw(State::Resumed);
        }
    }

    /// An edge said something to a client.
    pub fn heard(&self, delivery: &Delivery<'_>) {
        if delivery.what != Delivered::Frame {
            return;
        }
        let Ok(frame) = ServerFrame::decode(delivery.bytes) else {
            return;
        };
        match frame.body {
            Some(Body::Welcome(welcome)) => self.stamp(delivery, welcome.stamp),
            Some(Body::Pong(pong)) => self.stamp(delivery, pong.stamp),
            Some(Body::Error(error)) => match Code::from_u32(error.code) {
                Some(Code::Muted) => self.sometimes.saw(State::MutedRefused),
                Some(Code::ClockDrift) => self.sometimes.saw(State::DriftRefused),
                _ => {}
            },
            Some(Body::Sent(sent)) if sent.accepted => self.sometimes.saw(State::Accepted),
            Some(Body::Tentative(push)) => self.tentative(&push),
            Some(Body::Deliver(push)) if push.entries.len() > 1 => {
                self.sometimes.saw(State::Gathered);
            }
            Some(Body::Bump(_)) => self.sometimes.saw(State::Bumped),
            Some(Body::Gap(_)) => self.sometimes.saw(State::GapTold),
            Some(Body::AccessLost(_)) => self.sometimes.saw(State::AccessLost),
            Some(Body::Activated(activated)) if activated.error.is_none() && !activated.resumed => {
                self.sometimes.saw(State::NotResumed);
            }
            _ => {}
        }
    }

    fn tentative(&self, push: &Tentative) {
        if push.settled.iter().any(|settled| settled.error.is_some()) {
            self.sometimes.saw(State::AcceptedRefused);
        }
        let mut kinds = push
            .entries
            .iter()
            .filter_map(|entry| entry.decode_header().ok());
        let comes =
            |header: EntryHeader| matches!(header.kind(), Kind::Join | Kind::Leave | Kind::Rename);
        if kinds.any(comes) {
            self.sometimes.saw(State::CameTentative);
        }
    }

    /// The stamps that a node gives rise, over its restarts too.
    fn stamp(&self, delivery: &Delivery<'_>, stamp: u64) {
        let way = (delivery.from.ip(), delivery.to.ip());
        if let Some(before) = self.stamps.lock().insert(way, stamp) {
            self.findings.check(before < stamp, || {
                format!("{} gives {stamp:016x} after {before:016x}", way.0)
            });
        }
    }
}
