//! A device that looks at a group and then takes nothing from its socket, while
//! others go on talking. The edge has room for a little of that; of the rest it
//! has to say that it is missing, and what comes behind has to follow from what
//! is fetched for it.

use std::time::Duration;

use folkmoot_client::GroupId;
use folkmoot_transport::sim::StreamWindow;
use folkmoot_wire::entry::Chain;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{Deliver, Head, History, LogSlice, SealedEntry};
use tokio::time::{sleep, timeout};

use super::{PATIENCE, Raw};
use crate::sim::person::Person;

/// What the device's socket holds.
const SOCKET: StreamWindow = StreamWindow {
    frames: 2,
    bytes: 4 * 1024,
};
/// Nothing in so long a time: that was all.
const QUIET: Duration = Duration::from_millis(1_500);
/// Frames that are read when it looks again, at most.
const FRAMES: usize = 400;

/// Looks at a group, takes nothing for a while, and then looks at what there is.
pub async fn looks_away(person: &mut Person, group: GroupId) {
    let edges = person.edges().to_vec();
    let Some(edge) = person.draw.pick(&edges).cloned() else {
        return;
    };
    let looks = async {
        let mut raw = Raw::hello(person, &edge, SOCKET).await?;
        let from = raw.activate(group, 0, Vec::new()).await?.live_from;
        Some((raw, from))
    };
    let Ok(Some((mut raw, from))) = timeout(PATIENCE, looks).await else {
        return;
    };
    for _ in 0..=person.draw.below(6) {
        person.say(group).await;
    }
    let away = person.draw.between(500, 9_000);
    sleep(away).await;
    let mut place = Place {
        group,
        seq: from,
        chain: None,
    };
    for _ in 0..FRAMES {
        let Ok(Some(push)) = timeout(QUIET, raw.push()).await else {
            return;
        };
        let Some(followed) = place.goes_on(&mut raw, push).await else {
            return;
        };
        let findings = person.findings.under("timelines");
        findings.check(followed.is_ok(), || {
            let why = followed.as_ref().err().cloned().unwrap_or_default();
            format!("person {} looked away from {group}: {why}", person.id)
        });
    }
}

/// How far the device has what was pushed.
struct Place {
    group: GroupId,
    seq: u64,
    chain: Option<Chain>,
}

impl Place {
    /// What a push changes; none: there is no more of the group.
    async fn goes_on(&mut self, raw: &mut Raw, push: Body) -> Option<Result<(), String>> {
        match push {
            Body::Deliver(push) if push.group == self.group.as_bytes()[..] => {
                Some(self.deliver(&push))
            }
            Body::Gap(push) if push.group == self.group.as_bytes()[..] => {
                self.fetch(raw, &push.head?).await
            }
            Body::AccessLost(_) | Body::Closing(_) => None,
            _ => Some(Ok(())),
        }
    }

    fn deliver(&mut self, push: &Deliver) -> Result<(), String> {
        let covers = push.covers.unwrap_or_default();
        if covers.from != self.seq + 1 {
            let known = self.seq;
            return Err(format!("{covers:?} was pushed behind {known}, and no gap"));
        }
        self.take(&push.entries)
    }

    /// Fetches what a gap covers.
    async fn fetch(&mut self, raw: &mut Raw, head: &Head) -> Option<Result<(), String>> {
        while self.seq < head.seq {
            let ask = History {
                group: self.group.to_bytes(),
                after: self.seq,
                before: head.seq + 1,
                ..History::default()
            };
            let asked = timeout(PATIENCE, raw.ask(Request::History(ask))).await;
            let Ok(Some(Body::Log(slice))) = asked else {
                // Busy, or out of reach: another time.
                return None;
            };
            if slice.entries.is_empty() {
                return None;
            }
            if let Err(why) = self.page(&slice) {
                return Some(Err(why));
            }
        }
        Some(Ok(()))
    }

    fn page(&mut self, slice: &LogSlice) -> Result<(), String> {
        let before: Option<Chain> = slice.chain_before[..].try_into().ok();
        if self.chain.is_some() && self.chain != before {
            return Err(format!("what was fetched does not follow {}", self.seq));
        }
        self.chain = before;
        self.take(&slice.entries)
    }

    fn take(&mut self, entries: &[SealedEntry]) -> Result<(), String> {
        for entry in entries {
            let next = self.seq + 1;
            let own: Option<Chain> = entry.chain[..].try_into().ok();
            self.chain = match self.chain {
                Some(before) => {
                    let (_, chain) = entry.verify(&before, next).map_err(|e| e.to_string())?;
                    Some(chain)
                }
                None => own,
            };
            self.seq = next;
        }
        Ok(())
    }
}
