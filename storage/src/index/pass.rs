//! A batch, with what it changes in the index.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use folkmoot_wire::UserId;
use folkmoot_wire::proto::StoredMemberCounts;

use super::cut::Cut;
use super::gone::Gone;
use super::mentions::Mentions;
use super::tally::{self, Tally, each_counted};
use super::{Entry, ROLES, member_of, place_of};
use crate::keys;
use crate::{Batch, Direction, Op, Read, StoreError, Table, value};

/// Rows read at once where a part of a group is deleted.
const PAGE: usize = 256;

pub(super) type Counts = [u64; ROLES];

/// How many members of each role a group has.
pub(super) fn read_counts(read: &dyn Read, place: &[u8]) -> Result<Counts, StoreError> {
    let mut counts = Counts::default();
    if let Some(stored) = read.get(Table::Index, &keys::index::counts(place))? {
        let stored: StoredMemberCounts = value::decode_value(stored)?;
        for (count, stored) in counts.iter_mut().zip(stored.by_role) {
            *count = stored;
        }
    }
    Ok(counts)
}

pub(super) fn put_counts(batch: &mut Batch, place: &[u8], counts: &Counts) {
    let by_role = counts.to_vec();
    let stored = value::encode_value(&StoredMemberCounts { by_role });
    batch.put(Table::Index, keys::index::counts(place), stored);
}

/// Adds what makes a member be found.
pub(super) fn put_entry(batch: &mut Batch, place: &[u8], user: &UserId, entry: &Entry) {
    let (role, nick) = keys_of(place, user, entry);
    batch.put(Table::Index, role, Bytes::new());
    batch.put(Table::Index, nick, Bytes::new());
}

fn keys_of(place: &[u8], user: &UserId, entry: &Entry) -> (Bytes, Bytes) {
    (
        keys::index::by_role(place, entry.role, user),
        keys::index::by_nick(place, &entry.nick, user),
    )
}

/// The batch, with what has to be written to the index beside it. And whether
/// there are groups that become large by it, or small: of more than so many
/// members, or fewer.
pub(super) fn with_index(
    read: &dyn Read,
    batch: Batch,
    small: u64,
) -> Result<(Batch, bool), StoreError> {
    let mut pass = Pass {
        read,
        out: Batch::new(),
        entries: HashMap::new(),
        counts: BTreeMap::new(),
        rows: BTreeMap::new(),
        cleared: Vec::new(),
    };
    let (mut mentions, mut gone) = (Mentions::over(read), Gone::over(read));
    for op in batch {
        pass.index(&op)?;
        mentions.index(&op, &mut pass.out)?;
        gone.index(&op, &mut pass.out)?;
        pass.out.push(op);
    }
    mentions.finish(&mut pass.out);
    let crossed = pass.tallies(small)?;
    for (place, counts) in &pass.counts {
        put_counts(&mut pass.out, place, counts);
    }
    Ok((pass.out, crossed))
}

struct Pass<'a> {
    /// As it is before the batch.
    read: &'a dyn Read,
    out: Batch,
    /// What members' rows are in the batch so far, by their keys.
    entries: HashMap<Bytes, Option<Entry>>,
    /// Of the places that the batch changes, so far.
    counts: BTreeMap<Bytes, Counts>,
    /// The counted rows in the batch so far, by their keys.
    rows: BTreeMap<Bytes, Option<Bytes>>,
    /// Ranges of places that the batch emptied.
    cleared: Vec<(Bytes, Bytes)>,
}

impl Pass<'_> {
    fn index(&mut self, op: &Op) -> Result<(), StoreError> {
        match op {
            Op::Put {
                table: Table::Rows,
                key,
                value,
            } => self.row(key, Some(value)),
            Op::Delete {
                table: Table::Rows,
                key,
            } => self.row(key, None),
            Op::DeleteRange {
                table: Table::Rows,
                from,
                to,
            } => self.range(from, to),
            _ => Ok(()),
        }
    }

    /// A row is to be this.
    fn row(&mut self, key: &Bytes, value: Option<&Bytes>) -> Result<(), StoreError> {
        if tally::counts(key) {
            self.rows.insert(key.clone(), value.cloned());
        }
        let Some((place, user)) = member_of(key) else {
            return Ok(());
        };
        let entry = value.and_then(Entry::stored);
        let before = self.before(key)?;
        if before == entry {
            return Ok(());
        }
        let mut counts = self.counts_of(place)?;
        if let Some(before) = &before {
            let (role, nick) = keys_of(place, &user, before);
            self.out.delete(Table::Index, role);
            self.out.delete(Table::Index, nick);
            let count = &mut counts[usize::from(before.role)];
            *count = count.saturating_sub(1);
        }
        if let Some(entry) = &entry {
            put_entry(&mut self.out, place, &user, entry);
            counts[usize::from(entry.role)] += 1;
        }
        self.counts.insert(Bytes::copy_from_slice(place), counts);
        self.entries.insert(key.clone(), entry);
        Ok(())
    }

    fn before(&self, key: &Bytes) -> Result<Option<Entry>, StoreError> {
        if let Some(entry) = self.entries.get(key) {
            return Ok(entry.clone());
        }
        if self.is_cleared(key) {
            return Ok(None);
        }
        let stored = self.read.get(Table::Rows, key)?;
        Ok(stored.as_ref().and_then(Entry::stored))
    }

    fn counts_of(&self, place: &[u8]) -> Result<Counts, StoreError> {
        match self.counts.get(place) {
            Some(counts) => Ok(*counts),
            None if self.is_cleared(place) => Ok(Counts::default()),
            None => read_counts(self.read, place),
        }
    }

    /// What the batch changes in what is counted of cursors. Whether a place
    /// became large, or small.
    fn tallies(&mut self, small: u64) -> Result<bool, StoreError> {
        let mut places: BTreeSet<Bytes> = self.counts.keys().cloned().collect();
        let of_rows = self.rows.keys().filter_map(|key| place_of(key));
        places.extend(of_rows.map(|(place, _)| Bytes::copy_from_slice(place)));
        let mut crossed = !self.cleared.is_empty();
        for place in places {
            let cleared = self.is_cleared(&place);
            let was = !cleared && tally::is_counted(self.read, &place)?;
            let is = self.counts_of(&place)?.iter().sum::<u64>() > small;
            crossed |= was != is;
            match (was, is) {
                (true, true) => self
                    .changes(&place)?
                    .add(self.read, &mut self.out, &place)?,
                (false, true) => self.whole(&place)?.put(&mut self.out, &place),
                (true, false) => {
                    let (from, to) = keys::index::tallies(&place);
                    self.out.delete_range(Table::Index, from, to);
                }
                (false, false) => {}
            }
        }
        Ok(crossed)
    }

    /// The rows of a place that the batch changes.
    fn rows_of(&self, place: &Bytes) -> impl Iterator<Item = (&Bytes, &Option<Bytes>)> {
        let (from, to) = keys::prefix_range(place);
        self.rows.range(from..to)
    }

    fn changes(&self, place: &Bytes) -> Result<Tally, StoreError> {
        let mut tally = Tally::default();
        for (key, now) in self.rows_of(place) {
            if !self.is_cleared(key)
                && let Some(before) = self.read.get(Table::Rows, key)?
            {
                tally.stored(&before, -1);
            }
            if let Some(now) = now {
                tally.stored(now, 1);
            }
        }
        Ok(tally)
    }

    fn whole(&self, place: &Bytes) -> Result<Tally, StoreError> {
        let mut tally = self.changes(place)?;
        if !self.is_cleared(place) {
            each_counted(self.read, place, |_, stored| tally.stored(stored, 1))?;
        }
        Ok(tally)
    }

    fn is_cleared(&self, key: &[u8]) -> bool {
        let within = |(from, to): &(Bytes, Bytes)| &from[..] <= key && key < &to[..];
        self.cleared.iter().any(within)
    }

    /// Rows are deleted. Of places that lie in the range as a whole the index
    /// has the same range; of the two at its ends, the rows are looked up.
    fn range(&mut self, from: &Bytes, to: &Bytes) -> Result<(), StoreError> {
        let cut = Cut::of(from, to);
        for (from, to) in &cut.parts {
            self.part(from, to)?;
        }
        if let Some(whole) = cut.whole {
            self.clear(whole);
        }
        Ok(())
    }

    /// Whole places are emptied.
    fn clear(&mut self, whole: (Bytes, Bytes)) {
        let within = |key: &Bytes| whole.0 <= *key && *key < whole.1;
        self.entries.retain(|key, _| !within(key));
        self.rows.retain(|key, _| !within(key));
        self.counts.retain(|place, _| !within(place));
        let (from, to) = whole.clone();
        self.out.delete_range(Table::Index, from, to);
        self.cleared.push(whole);
    }

    /// A part of one place's rows is deleted.
    fn part(&mut self, from: &Bytes, to: &Bytes) -> Result<(), StoreError> {
        let written = self.rows.range(from.clone()..to.clone());
        let doomed: Vec<Bytes> = written.map(|(key, _)| key.clone()).collect();
        for key in doomed {
            self.row(&key, None)?;
        }
        let mut next = from.clone();
        loop {
            let scan = self
                .read
                .scan(Table::Rows, &next, to, PAGE, Direction::Forward)?;
            let Some((last, _)) = scan.last() else {
                return Ok(());
            };
            next = keys::successor(last);
            for (key, _) in &scan {
                self.row(key, None)?;
            }
        }
    }
}
