//! What must hold, by section 5 of the design: one file each. Some are looked
//! at while the history runs, most at its end.

pub mod appenders;
pub mod bounds;
pub mod clocks;
pub mod committed;
pub mod cursors;
pub mod index;
pub mod joins;
pub mod leases;
pub mod members;
pub mod once;
pub mod order;
pub mod outsiders;
pub mod rows;
pub mod sequence;
pub mod timelines;

use std::collections::BTreeMap;

use folkmoot_client::{GroupId, UserId};
use folkmoot_storage::Place;
use folkmoot_wire::proto::{EntryHeader, Head, MemberStatus, SealedEntry};

use super::book::{Book, MessageNo, message_of};
use super::findings::Findings;
use super::oracle::Oracle;
use super::quiet::{self, Home};
use super::sometimes::Sometimes;
use super::workload::Made;
use super::world::World;

/// The log of one group, as its home has it.
pub struct Log {
    /// Where that keeps it.
    pub place: Place,
    pub head: Head,
    pub entries: Vec<SealedEntry>,
    pub headers: Vec<EntryHeader>,
    /// Whom its rows speak of.
    pub members: BTreeMap<UserId, MemberStatus>,
    /// How many members there are, by the group's own row.
    pub member_count: u32,
}

impl Log {
    /// The number of the message of an entry, if it is one of ours.
    #[must_use]
    pub fn message(&self, at: usize) -> Option<MessageNo> {
        let entry = self.entries.get(at)?;
        let content: folkmoot_wire::proto::Content =
            prost::Message::decode(&entry.body[..]).ok()?;
        message_of(&content.text)
    }
}

/// A history that has come to its end.
pub struct End<'a> {
    pub world: &'a World,
    pub book: &'a Book,
    pub groups: &'a [Made],
    pub logs: BTreeMap<GroupId, Log>,
    pub findings: Findings,
    pub sometimes: &'a Sometimes,
}

impl<'a> End<'a> {
    /// Reads what the homes hold.
    #[must_use]
    pub fn new(world: &'a World, oracle: &'a Oracle, groups: &'a [Made]) -> Self {
        let mut logs = BTreeMap::new();
        let placement = quiet::placement(world).unwrap_or_default();
        for (group, Home { shard, place, head }) in quiet::homes(world) {
            let disk = placement.shard(shard);
            let Some(disk) = disk.and_then(|shard| quiet::home_disk(world, shard)) else {
                continue;
            };
            let entries: Vec<SealedEntry> = quiet::entries(disk, &place)
                .into_iter()
                .map(|(_, entry)| entry)
                .collect();
            let headers = entries
                .iter()
                .map(|entry| entry.decode_header().unwrap_or_default())
                .collect();
            let log = Log {
                place,
                head,
                entries,
                headers,
                members: quiet::members(disk, &place),
                member_count: quiet::member_count(disk, &place),
            };
            if logs.insert(group, log).is_some() {
                let finding = format!("{group} is at home in two shards");
                oracle.findings.under("sequence").add(finding);
            }
        }
        Self {
            world,
            book: &oracle.book,
            groups,
            logs,
            findings: oracle.findings.clone(),
            sometimes: &oracle.sometimes,
        }
    }

    /// Looks at everything.
    pub fn check(&mut self) {
        let all = self.findings.clone();
        for (name, check) in CHECKS {
            self.findings = all.under(name);
            check(self);
        }
    }
}

type Check = fn(&End<'_>);

/// What is looked at when a history has come to its end.
const CHECKS: &[(&str, Check)] = &[
    ("sequence", sequence::check),
    ("clocks", clocks::check),
    ("committed", committed::check),
    ("order", order::check),
    ("members", members::check),
    ("joins", joins::check),
    ("once", once::check),
    ("timelines", timelines::check),
    ("cursors", cursors::check),
    ("rows", rows::check),
    ("index", index::check),
    ("outsiders", outsiders::check),
];
