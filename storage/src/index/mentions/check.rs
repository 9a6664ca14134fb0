//! Whether who is mentioned is what the log says.

use std::collections::BTreeMap;

use bytes::Bytes;
use folkmoot_wire::{UserId, limits};

use super::record::Record;
use super::{Said, entry_of};
use crate::index::check::each;
use crate::{Place, Read, StoreError, Table, keys};

/// Compares the records of a store with its entries: in which place they say
/// something else.
pub(in crate::index) fn check(read: &dyn Read) -> Result<Option<String>, StoreError> {
    let (mut place, mut heard) = (Bytes::new(), Heard::default());
    let (mut wrong, mut wanted, mut held) = (None, 0, 0);
    each(read, Table::Log, |key, stored| {
        let Some((at, seq)) = entry_of(key) else {
            return Ok(());
        };
        if place != at {
            wanted += heard.0.len();
            wrong = wrong.take().or(heard.differs(read, &place)?);
            (place, heard) = (Bytes::copy_from_slice(at), Heard::default());
        }
        heard.entry(seq, stored);
        Ok(())
    })?;
    wanted += heard.0.len();
    wrong = wrong.or(heard.differs(read, &place)?);
    each(read, Table::Mentions, |key, _| {
        let (_, rest) = Place::split(key)?;
        held += usize::from(keys::mentions::is_user(rest));
        Ok(())
    })?;
    if wrong.is_none() && held != wanted {
        wrong = Some(format!("{held} people mentioned, {wanted} by the log"));
    }
    Ok(wrong)
}

/// Who is mentioned in a place, and whether that was recalled.
#[derive(Default)]
struct Heard(BTreeMap<UserId, BTreeMap<u64, bool>>);

impl Heard {
    fn entry(&mut self, seq: u64, stored: &Bytes) {
        match Said::by(stored) {
            Some(Said::Mentions { users, erased }) => {
                for user in users {
                    self.0.entry(user).or_default().insert(seq, erased);
                }
            }
            Some(Said::Recalls(target)) => {
                let recalled = self.0.values_mut();
                for withdrawn in recalled.filter_map(|seqs| seqs.get_mut(&target)) {
                    *withdrawn = true;
                }
            }
            None => {}
        }
    }

    fn differs(&self, read: &dyn Read, place: &[u8]) -> Result<Option<String>, StoreError> {
        for (user, seqs) in &self.0 {
            let last = seqs.iter().rev().take(limits::MENTIONS_KEPT);
            let mut wanted = Record::default();
            for (seq, withdrawn) in last {
                wanted.add(*seq, *withdrawn);
            }
            let held = Record::read(read, &keys::mentions::key(place, user))?;
            if held != wanted {
                return Ok(Some(format!(
                    "{user} is mentioned in {place:02x?} as {wanted:?}, the index says {held:?}"
                )));
            }
        }
        Ok(None)
    }
}
