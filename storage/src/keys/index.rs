//! Table Index: where a group lies ([`Place::key`](crate::Place::key)), what it
//! is (1), and what that is sorted by. It is worked out from the rows of
//! members and from nothing else ([`Indexed`](crate::Indexed)), so it is in no
//! snapshot of a shard.
//!
//! | what | behind it | value |
//! |---|---|---|
//! | 0 | | a `StoredMemberCounts` |
//! | 1 | role (1), user (16) | none |
//! | 2 | folded nick, 0, user (16) | none |
//! | 3 | level (1), which of its spans (8) | a `StoredTally`, of large groups |

use bytes::Bytes;
use folkmoot_wire::UserId;

const COUNTS: u8 = 0;
const ROLE: u8 = 1;
const NICK: u8 = 2;
const TALLY: u8 = 3;

/// Longest folded nick, in bytes: a lower case may be longer than its upper
/// case. What is longer is cut, and found by what is left.
const FOLDED: usize = 96;

fn key(place: &[u8], parts: &[&[u8]]) -> Bytes {
    let mut key = place.to_vec();
    for part in parts {
        key.extend_from_slice(part);
    }
    Bytes::from(key)
}

/// A nick as it is sorted and looked for: in lower case.
#[must_use]
pub fn fold(nick: &str) -> String {
    let mut folded = nick.to_lowercase().replace('\0', "");
    let mut end = folded.len().min(FOLDED);
    while !folded.is_char_boundary(end) {
        end -= 1;
    }
    folded.truncate(end);
    folded
}

/// The key of how many members a group has.
#[must_use]
pub fn counts(place: &[u8]) -> Bytes {
    key(place, &[&[COUNTS]])
}

/// The key of a member of a role.
#[must_use]
pub fn by_role(place: &[u8], role: u8, user: &UserId) -> Bytes {
    key(place, &[&[ROLE, role], user.as_bytes()])
}

/// The keys of all members of a role.
#[must_use]
pub fn role_range(place: &[u8], role: u8) -> (Bytes, Bytes) {
    super::prefix_range(&key(place, &[&[ROLE, role]]))
}

/// The key of a member with a folded nick.
#[must_use]
pub fn by_nick(place: &[u8], folded: &str, user: &UserId) -> Bytes {
    key(place, &[&[NICK], folded.as_bytes(), &[0], user.as_bytes()])
}

/// The keys of all members whose folded nick begins so.
#[must_use]
pub fn nick_range(place: &[u8], prefix: &str) -> (Bytes, Bytes) {
    super::prefix_range(&key(place, &[&[NICK], prefix.as_bytes()]))
}

/// The key of how many cursors are in a span of seqs.
#[must_use]
pub fn tally(place: &[u8], level: u8, span: u64) -> Bytes {
    key(place, &[&[TALLY, level], &span.to_be_bytes()])
}

/// The keys of all that is counted of cursors.
#[must_use]
pub fn tallies(place: &[u8]) -> (Bytes, Bytes) {
    super::prefix_range(&key(place, &[&[TALLY]]))
}

/// Whether a key, behind its place, is one of [`tallies`].
#[must_use]
pub fn is_tally(rest: &[u8]) -> bool {
    rest.first() == Some(&TALLY)
}

/// The level and the span of a key of [`tallies`].
#[must_use]
pub fn span_of(key: &[u8]) -> Option<(u8, u64)> {
    let [level, span @ ..] = key.last_chunk::<9>()?;
    Some((*level, u64::from_be_bytes(*span)))
}

/// The user that a key by role or by nick ends with.
#[must_use]
pub fn user_of(key: &[u8]) -> Option<UserId> {
    let user = key.last_chunk::<{ UserId::LEN }>()?;
    UserId::from_slice(user).ok()
}
