//! The catalogue of keys: one file per table, each with its constructors, its
//! parser and its ranges. Everything is big endian, so that keys sort as what
//! they say. Keys of groups begin with region and slot (D18): a shard's part of
//! a table is a few ranges, and splitting a shard moves a range. A group that is
//! at home in another region than it was born in has more in front: [`guests`].
//!
//! | table | key |
//! |---|---|
//! | Raft | shard (4), kind (1), index (8) |
//! | Log | group (16), seq (8) |
//! | Heads | group (16) |
//! | Rows | group (16), row key (1 to 17) |
//! | Dedup | group (16), client message id (16), user (16), device (8) |
//! | Shards | shard (4); shard (4) and group (16) |
//! | Outbox | shard (4), number (8) |
//! | Users | directory slot (2), hash (16) |
//! | Inbox | group (16), source shard (4) |
//! | Index | group (16), what (1), and what that is sorted by |
//! | Mentions | group (16), what (1), and whom or what that is about |
//! | Gone | as Rows |
//! | Node | an ASCII name; `follow/`, `replica/` or `remembered/` and shard (4); `copy/` and group (16); `tentative/`, group (16) and message id (12); `start/` and node (4); `mark/`, shard (4) and node (4) |

pub mod dedup;
pub mod guests;
pub mod heads;
pub mod homes;
pub mod inbox;
pub mod index;
pub mod log;
pub mod mentions;
pub mod node;
pub mod outbox;
pub mod raft;
pub mod rows;
pub mod shards;
pub mod slots;
pub mod users;

mod reader;

use bytes::Bytes;

/// Behind every key of every table: the end of a scan that has no other end.
pub const TABLE_END: &[u8] = &[0xff; 32];

/// The keys that begin with `prefix`, as `[from, to)`.
#[must_use]
pub fn prefix_range(prefix: &[u8]) -> (Bytes, Bytes) {
    let mut end = prefix.to_vec();
    while end.last() == Some(&0xff) {
        end.pop();
    }
    let end = match end.last_mut() {
        Some(last) => {
            *last += 1;
            Bytes::from(end)
        }
        None => Bytes::from_static(TABLE_END),
    };
    (Bytes::copy_from_slice(prefix), end)
}

/// The key that comes next after `key`: where a page that ended with `key`
/// goes on.
#[must_use]
pub fn successor(key: &[u8]) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    Bytes::from(next)
}

#[cfg(test)]
mod tests;
