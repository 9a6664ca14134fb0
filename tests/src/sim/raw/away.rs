//! A device that opens its groups and then takes nothing from its socket, while
//! others go on talking. The edge has room for a little of that; of the rest it
//! has to say that it is missing, and what comes behind has to follow from what
//! is fetched for it.

use std::collections::BTreeMap;
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

/// Opens all groups at once, takes nothing for a while, and then looks at what
/// there is. One group that is out of reach keeps the answer back for all, while
/// the others go on.
pub async fn looks_away(person: &mut Person, group: GroupId) {
    let edges = person.edges().to_vec();
    let Some(edge) = person.draw.pick(&edges).cloned() else {
        return;
    };
    let groups: Vec<GroupId> = person.groups.iter().copied().collect();
    let opens = async {
        let mut raw = Raw::hello(person, &edge, SOCKET).await?;
        let last = raw.open(&groups).await?;
        Some((raw, last))
    };
    let Ok(Some((mut raw, last))) = timeout(PATIENCE, opens).await else {
        return;
    };
    for _ in 0..=person.draw.below(6) {
        person.say(group).await;
    }
    let away = person.draw.between(500, 9_000);
    sleep(away).await;
    // The last of the answers is the reply; those before it came as pushes.
    raw.pushes.push_back(last);
    let mut places = Places::default();
    for _ in 0..FRAMES {
        let Ok(Some(push)) = timeout(QUIET, raw.push()).await else {
            return;
        };
        let Some(followed) = places.go_on(&mut raw, push).await else {
            return;
        };
        let findings = person.findings.under("timelines");
        findings.check(followed.is_ok(), || {
            let why = followed.as_ref().err().cloned().unwrap_or_default();
            format!("person {} looked away: {why}", person.id)
        });
    }
}

/// How far the device has what was pushed, of each group that it has open.
#[derive(Default)]
struct Places(BTreeMap<GroupId, Place>);

impl Places {
    /// What a push changes; none: the device gives up.
    async fn go_on(&mut self, raw: &mut Raw, push: Body) -> Option<Result<(), String>> {
        match push {
            Body::Activated(told) if told.error.is_none() => {
                let group = GroupId::from_slice(&told.group).ok()?;
                let place = Place {
                    group,
                    seq: told.live_from,
                    chain: None,
                };
                self.0.insert(group, place);
                Some(Ok(()))
            }
            Body::Deliver(push) => Some(self.of(&push.group)?.deliver(&push)),
            Body::Gap(push) => self.of(&push.group)?.fetch(raw, &push.head?).await,
            Body::AccessLost(_) | Body::Closing(_) => None,
            _ => Some(Ok(())),
        }
    }

    fn of(&mut self, group: &[u8]) -> Option<&mut Place> {
        self.0.get_mut(&GroupId::from_slice(group).ok()?)
    }
}

/// The same of one.
struct Place {
    group: GroupId,
    seq: u64,
    chain: Option<Chain>,
}

impl Place {
    fn deliver(&mut self, push: &Deliver) -> Result<(), String> {
        let covers = push.covers.unwrap_or_default();
        if covers.from > self.seq + 1 {
            let known = self.seq;
            let group = self.group;
            return Err(format!(
                "{covers:?} of {group} was pushed behind {known}, and no gap"
            ));
        }
        // A gap may reach to a head whose entries are still to be pushed.
        let known = self.seq + 1 - covers.from;
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        self.take(push.entries.get(known..).unwrap_or_default())
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
            let (group, seq) = (self.group, self.seq);
            return Err(format!("what was fetched of {group} does not follow {seq}"));
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
