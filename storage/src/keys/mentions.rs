//! Table Mentions: where a group lies ([`Place::key`](crate::Place::key)), what
//! it is (1), and whom or what that is about. It is worked out from table Log and
//! from nothing else ([`Indexed`](crate::Indexed)), so it is in no snapshot of a
//! shard.
//!
//! | what | behind it | value |
//! |---|---|---|
//! | 0 | user (16) | a `StoredMentions`: the last entries that mention them |
//! | 1 | seq (8) | none: this entry was recalled |

use bytes::Bytes;
use folkmoot_wire::UserId;

const USER: u8 = 0;
const RECALLED: u8 = 1;

/// The key of one user in one group.
#[must_use]
pub fn key(place: &[u8], user: &UserId) -> Bytes {
    Bytes::from([place, &[USER], user.as_bytes()].concat())
}

/// The keys of all users of a group.
#[must_use]
pub fn users(place: &[u8]) -> (Bytes, Bytes) {
    super::prefix_range(&[place, &[USER]].concat())
}

/// Whether a key, behind its place, is a user's.
#[must_use]
pub fn is_user(rest: &[u8]) -> bool {
    rest.first() == Some(&USER)
}

/// The key of an entry that was recalled.
#[must_use]
pub fn recalled(place: &[u8], seq: u64) -> Bytes {
    Bytes::from([place, &[RECALLED], &seq.to_be_bytes()[..]].concat())
}
