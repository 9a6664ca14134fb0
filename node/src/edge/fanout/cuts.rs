//! Who loses the group in a push, and where.

use std::collections::BTreeMap;

use folkmoot_wire::proto::{
    EntryHeader, MemberStatus, MemberValue, Row, SealedEntry, Tombstone, row,
};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{Code, UserId, without};

use crate::backend::{puts_out, refusal};

/// What one push says about who may see the group.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    /// Departures of users, who see nothing after these seqs, in order.
    pub(super) lost: BTreeMap<UserId, Vec<(u64, Code)>>,
    /// Members' first visible seq.
    pub(super) visible_from: BTreeMap<UserId, u64>,
}

impl Cuts {
    /// Reads a push. An entry that puts somebody out does so whether or not
    /// its row came along: rows may take another way.
    /// Nor does a member stay of whom nothing is left, not even a departure.
    pub(super) fn of(entries: &[(u64, SealedEntry)], rows: &[Row], gone: &[Tombstone]) -> Self {
        let mut cuts = Self::default();
        for row in gone {
            if let Ok(RowKey::Member(user)) = RowKey::from_slice(&row.key) {
                cuts.lose(user, row.seq, Code::NotFound);
            }
        }
        for (seq, entry) in entries {
            if let Ok(header) = entry.decode_header() {
                cuts.entry(*seq, &header);
            }
        }
        for row in rows {
            if let (Ok(RowKey::Member(user)), Some(row::Value::Member(value))) =
                (RowKey::from_slice(&row.key), &row.value)
            {
                cuts.member(user, value);
            }
        }
        cuts
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lost.is_empty() && self.visible_from.is_empty()
    }

    fn entry(&mut self, seq: u64, header: &EntryHeader) {
        if let Some((user, code)) = puts_out(header) {
            self.lose(user, seq, code);
        }
    }

    fn member(&mut self, user: UserId, value: &MemberValue) {
        let authority = value.authority.unwrap_or_default();
        match authority.status() {
            // Who comes without an entry sees nothing of the group here yet.
            MemberStatus::Member if authority.quiet > 0 => {}
            MemberStatus::Member => {
                self.visible_from.insert(user, authority.visible_from);
            }
            status => self.lose(user, authority.seq, refusal(status)),
        }
    }

    fn lose(&mut self, user: UserId, seq: u64, code: Code) {
        without!(CutAtEdge => { return; });
        let held = self.lost.entry(user).or_default();
        // The first word on a departure counts: an entry's is before its row's.
        let at = held.partition_point(|(other, _)| *other <= seq);
        held.insert(at, (seq, code));
    }

    /// The first departure of a user behind `seq`.
    pub(super) fn departure(&self, user: &UserId, seq: u64) -> Option<(u64, Code)> {
        let departures = self.lost.get(user)?;
        departures.iter().find(|(at, _)| *at > seq).copied()
    }

    /// A user's last departure.
    pub(super) fn last_departure(&self, user: &UserId) -> Option<(u64, Code)> {
        self.lost.get(user)?.last().copied()
    }
}
