//! Who is mentioned where: of each user and group the last entries that do, kept
//! up to date by every write of an entry. "Mentioned 3 times" is then one read,
//! however much was said.

mod check;
mod record;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use folkmoot_wire::UserId;
use folkmoot_wire::proto::Kind;
use prost::Message;

pub(super) use check::check;
use record::Record;

use super::cut::Cut;
use crate::{Batch, Direction, Op, Place, Read, StoreError, Table, keys, value};

/// Records or entries read at once.
const PAGE: usize = 256;

/// How many entries of each group, behind a seq, mention a user by name, of
/// those that were not recalled: the last
/// [`MENTIONS_KEPT`](folkmoot_wire::limits::MENTIONS_KEPT) at most.
pub fn mentions(
    read: &dyn Read,
    user: &UserId,
    behind: &[(Place, u64)],
) -> Vec<Result<u64, StoreError>> {
    let key = |(place, _): &(Place, u64)| keys::mentions::key(&place.key(), user);
    let keys: Vec<Bytes> = behind.iter().map(key).collect();
    let records = read.get_many(Table::Mentions, &keys);
    let count = |(stored, (_, seq)): (Result<Option<Bytes>, StoreError>, &(Place, u64))| {
        let record = stored?.map_or(Ok(Record::default()), |stored| Record::stored(&stored));
        Ok(record?.behind(*seq))
    };
    records.into_iter().zip(behind).map(count).collect()
}

/// What there is to read here of an entry as it is stored: bodies and names
/// stay where they are.
#[derive(Clone, PartialEq, prost::Message)]
struct Sealed {
    #[prost(bytes = "bytes", tag = "1")]
    header: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    body_hash: Bytes,
}

/// The same of an `EntryHeader`.
#[derive(Clone, PartialEq, prost::Message)]
struct Header {
    #[prost(enumeration = "Kind", tag = "5")]
    kind: i32,
    #[prost(bool, tag = "10")]
    countable: bool,
    #[prost(bytes = "bytes", repeated, tag = "14")]
    mentions: Vec<Bytes>,
    #[prost(uint64, tag = "16")]
    target: u64,
}

/// What an entry says of mentions.
enum Said {
    Mentions {
        users: Vec<UserId>,
        /// Its body is no more.
        erased: bool,
    },
    Recalls(u64),
}

impl Said {
    /// Nothing, mostly. What cannot be read says nothing here: whoever reads the
    /// entry itself says what is wrong with it.
    fn by(stored: &Bytes) -> Option<Self> {
        let sealed: Sealed = value::decode_value(stored.clone()).ok()?;
        let header = Header::decode(sealed.header).ok()?;
        if header.kind() == Kind::Recall {
            return (header.target > 0).then_some(Self::Recalls(header.target));
        }
        if !header.countable || header.mentions.is_empty() {
            return None;
        }
        let users = header.mentions.iter();
        Some(Self::Mentions {
            users: users.filter_map(|u| UserId::from_slice(u).ok()).collect(),
            erased: !sealed.body_hash.is_empty(),
        })
    }
}

/// Whether a change of table Log changes who is mentioned.
pub(super) fn concern(op: &Op) -> bool {
    match op {
        Op::Put {
            table: Table::Log,
            value,
            ..
        } => Said::by(value).is_some(),
        Op::Delete { table, .. } | Op::DeleteRange { table, .. } => *table == Table::Log,
        Op::Put { .. } => false,
    }
}

/// The place and the seq of a key of table Log.
fn entry_of(key: &[u8]) -> Option<(&[u8], u64)> {
    let (_, rest) = Place::split(key).ok()?;
    let seq = u64::from_be_bytes(rest.try_into().ok()?);
    Some((&key[..key.len() - rest.len()], seq))
}

/// What a batch changes in who is mentioned.
pub(super) struct Mentions<'a> {
    /// As it is before the batch.
    read: &'a dyn Read,
    /// By their keys, as they are after what is in the batch so far.
    records: BTreeMap<Bytes, Record>,
    /// Entries of the batch that mention somebody, by their keys.
    entries: HashMap<Bytes, Bytes>,
    /// What the batch says was recalled.
    recalls: BTreeSet<Bytes>,
    /// Ranges of places that the batch emptied.
    cleared: Vec<(Bytes, Bytes)>,
}

impl<'a> Mentions<'a> {
    pub(super) fn over(read: &'a dyn Read) -> Self {
        Self {
            read,
            records: BTreeMap::new(),
            entries: HashMap::new(),
            recalls: BTreeSet::new(),
            cleared: Vec::new(),
        }
    }

    /// Takes a change; what it does at once is added to `out`.
    pub(super) fn index(&mut self, op: &Op, out: &mut Batch) -> Result<(), StoreError> {
        match op {
            Op::Put {
                table: Table::Log,
                key,
                value,
            } => self.put(key, value),
            Op::Delete {
                table: Table::Log,
                key,
            } => self.part(key, &keys::successor(key), out),
            Op::DeleteRange {
                table: Table::Log,
                from,
                to,
            } => self.range(from, to, out),
            _ => Ok(()),
        }
    }

    pub(super) fn put(&mut self, key: &Bytes, stored: &Bytes) -> Result<(), StoreError> {
        let (Some((place, seq)), Some(said)) = (entry_of(key), Said::by(stored)) else {
            return Ok(());
        };
        match said {
            Said::Mentions { users, erased } => {
                // Written again by whoever mends a log: it may have been recalled
                // when it could not be read.
                let withdrawn = erased || self.is_recalled(place, seq)?;
                self.entries.insert(key.clone(), stored.clone());
                for user in users {
                    self.record(place, &user)?.add(seq, withdrawn);
                }
            }
            Said::Recalls(target) => {
                let key = [place, &target.to_be_bytes()].concat();
                let recalled = self.entry(&key)?.as_ref().and_then(Said::by);
                if let Some(Said::Mentions { users, .. }) = recalled {
                    for user in users {
                        self.record(place, &user)?.withdraw(target);
                    }
                }
                self.recalls.insert(keys::mentions::recalled(place, target));
            }
        }
        Ok(())
    }

    /// Whether an entry was recalled by one that is told of already.
    fn is_recalled(&self, place: &[u8], seq: u64) -> Result<bool, StoreError> {
        let key = keys::mentions::recalled(place, seq);
        if self.recalls.contains(&key) {
            return Ok(true);
        }
        Ok(!self.is_cleared(&key) && self.read.get(Table::Mentions, &key)?.is_some())
    }

    /// An entry that may mention somebody.
    fn entry(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.entries.get(key) {
            Some(stored) => Ok(Some(stored.clone())),
            None if self.is_cleared(key) => Ok(None),
            None => self.read.get(Table::Log, key),
        }
    }

    fn record(&mut self, place: &[u8], user: &UserId) -> Result<&mut Record, StoreError> {
        let key = keys::mentions::key(place, user);
        if !self.records.contains_key(&key) {
            let record = match self.is_cleared(&key) {
                true => Record::default(),
                false => Record::read(self.read, &key)?,
            };
            self.records.insert(key.clone(), record);
        }
        Ok(self.records.entry(key).or_default())
    }

    fn is_cleared(&self, key: &[u8]) -> bool {
        let within = |(from, to): &(Bytes, Bytes)| &from[..] <= key && key < &to[..];
        self.cleared.iter().any(within)
    }

    fn range(&mut self, from: &Bytes, to: &Bytes, out: &mut Batch) -> Result<(), StoreError> {
        let cut = Cut::of(from, to);
        for (from, to) in &cut.parts {
            self.part(from, to, out)?;
        }
        if let Some((from, to)) = cut.whole {
            let within = |key: &Bytes| from <= *key && *key < to;
            self.records.retain(|key, _| !within(key));
            self.entries.retain(|key, _| !within(key));
            self.recalls.retain(|key| !within(key));
            out.delete_range(Table::Mentions, from.clone(), to.clone());
            self.cleared.push((from, to));
        }
        Ok(())
    }

    /// A part of one place's entries is deleted: who was mentioned in it is not
    /// looked for in the entries, which may be many more than there are people.
    fn part(&mut self, from: &Bytes, to: &Bytes, out: &mut Batch) -> Result<(), StoreError> {
        let Ok((_, rest)) = Place::split(from) else {
            return Ok(());
        };
        let place = from.slice(..from.len() - rest.len());
        let doomed = seq_at(&place, from)..seq_at(&place, to);
        self.entries.retain(|key, _| !(from <= key && key < to));
        let (first, last) = [doomed.start, doomed.end]
            .map(|seq| keys::mentions::recalled(&place, seq))
            .into();
        self.recalls.retain(|key| !(first <= *key && *key < last));
        out.delete_range(Table::Mentions, first, last);
        let (begin, end) = keys::mentions::users(&place);
        for (_, record) in self.records.range_mut(begin.clone()..end.clone()) {
            record.remove(&doomed);
        }
        let mut next = begin;
        while !self.is_cleared(&next) {
            let page = self
                .read
                .scan(Table::Mentions, &next, &end, PAGE, Direction::Forward)?;
            let Some((last, _)) = page.last() else {
                break;
            };
            next = keys::successor(last);
            for (key, stored) in &page {
                if !self.records.contains_key(key) {
                    let mut record = Record::stored(stored)?;
                    if record.remove(&doomed) {
                        self.records.insert(key.clone(), record);
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds what is to be written.
    pub(super) fn finish(self, out: &mut Batch) {
        for key in self.recalls {
            out.put(Table::Mentions, key, Bytes::new());
        }
        for (key, record) in self.records {
            record.write(key, out);
        }
    }
}

/// The first seq of a place at a bound or behind it.
fn seq_at(place: &[u8], bound: &[u8]) -> u64 {
    let Some(rest) = bound.strip_prefix(place) else {
        return u64::MAX;
    };
    let mut seq = [0; 8];
    let told = rest.len().min(seq.len());
    seq[..told].copy_from_slice(&rest[..told]);
    let seq = u64::from_be_bytes(seq);
    seq.saturating_add(u64::from(rest.len() > 8))
}
