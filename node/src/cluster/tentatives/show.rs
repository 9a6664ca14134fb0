//! What this edge's clients see of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use folkmoot_replication::apply::unplaced;
use folkmoot_replication::tentative::{Standing, Tentative};
use folkmoot_wire::GroupId;
use folkmoot_wire::proto::{EntryHeader, SealedEntry, Settled};
use prost::Message;

use super::Keeper;

impl Keeper {
    /// The messages of a group, as clients see them.
    pub fn shown(&self, group: &GroupId) -> Vec<SealedEntry> {
        let known: Vec<Tentative> = self.known.lock().of(group).cloned().collect();
        known
            .iter()
            .map(|tentative| self.entry(tentative))
            .collect()
    }

    /// Shows what is new.
    pub(super) fn show(&self, said: &[Tentative], settled: Vec<(GroupId, Settled)>) {
        let Some(show) = self.show.get() else { return };
        let mut groups: BTreeMap<GroupId, (Vec<SealedEntry>, Vec<Settled>)> = BTreeMap::new();
        for tentative in said {
            let entry = self.entry(tentative);
            groups.entry(tentative.group).or_default().0.push(entry);
        }
        for (group, settled) in settled {
            groups.entry(group).or_default().1.push(settled);
        }
        for (group, (entries, settled)) in groups {
            show(group, entries, settled);
        }
    }

    /// An entry without a place in the log.
    fn entry(&self, tentative: &Tentative) -> SealedEntry {
        let append = &tentative.append;
        let header = EntryHeader {
            hlc: tentative.id().hlc.as_u64(),
            ..unplaced(append, &self.nick(tentative))
        };
        SealedEntry {
            header: header.encode_to_vec().into(),
            salt: append.salt.clone(),
            body: append.body.clone(),
            body_hash: Bytes::new(),
            chain: Bytes::new(),
        }
    }

    fn nick(&self, tentative: &Tentative) -> String {
        let waiting = match tentative.standing() {
            Some(standing) => Some(standing),
            None => {
                let known = self.known.lock();
                known.standing(&tentative.group, &tentative.attempt())
            }
        };
        if let Some(Standing::Comes { nick }) = waiting {
            return nick;
        }
        let member = self.member(tentative).ok().flatten();
        member
            .and_then(|member| member.self_)
            .unwrap_or_default()
            .nick
    }
}
