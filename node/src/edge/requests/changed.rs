//! The "changed since" token: how far a client knows its groups, in one
//! value whose size grows with shards, not with groups (D12).
//!
//! It holds, for each shard that keeps groups of the user, the greatest
//! version (index of the shard's log) that the client was told about, and the
//! version of the user's self group, which changes with the list itself. A
//! group has changed when its head's version is above that of its shard. A
//! token that is not one of ours, or not this user's, tells nothing:
//! everything has changed.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use folkmoot_wire::{ShardId, UserId};

const FORMAT: u8 = 1;
/// Shards that a token names; groups of others count as changed.
const SHARDS_MAX: usize = 4_096;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) user: UserId,
    pub(super) list: u64,
    pub(super) shards: BTreeMap<ShardId, u64>,
}

impl Token {
    pub(super) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(FORMAT);
        out.put_slice(self.user.as_bytes());
        out.put_u64(self.list);
        for (shard, version) in self.shards.iter().take(SHARDS_MAX) {
            out.put_u32(shard.0);
            out.put_u64(*version);
        }
        out.freeze()
    }

    /// Reads a token of this user.
    pub(super) fn decode(mut bytes: &[u8], user: &UserId) -> Option<Self> {
        const HEAD: usize = 1 + UserId::LEN + 8;
        const EACH: usize = 12;
        let rest = bytes.len().checked_sub(HEAD)?;
        if bytes.get_u8() != FORMAT || rest % EACH != 0 || rest / EACH > SHARDS_MAX {
            return None;
        }
        let (owner, mut bytes) = bytes.split_at(UserId::LEN);
        if owner != user.as_bytes() {
            return None;
        }
        let list = bytes.get_u64();
        let mut shards = BTreeMap::new();
        while bytes.has_remaining() {
            let shard = ShardId(bytes.get_u32());
            shards.insert(shard, bytes.get_u64());
        }
        Some(Self {
            user: *user,
            list,
            shards,
        })
    }

    pub(super) fn has_changed(&self, shard: ShardId, version: u64) -> bool {
        self.shards.get(&shard).is_none_or(|seen| version > *seen)
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_wire::{RegionId, Slot};
    use proptest::prelude::*;

    use super::*;

    fn user(n: u8) -> UserId {
        UserId::new(RegionId(1), Slot(2), [n; 11])
    }

    #[test]
    fn what_is_written_is_read() {
        let token = Token {
            user: user(1),
            list: 9,
            shards: BTreeMap::from([(ShardId(3), 7), (ShardId(1), u64::MAX)]),
        };
        let bytes = token.encode();
        assert_eq!(Token::decode(&bytes, &user(1)), Some(token.clone()));
        assert_eq!(Token::decode(&bytes, &user(2)), None);
        assert!(token.has_changed(ShardId(3), 8));
        assert!(!token.has_changed(ShardId(3), 7));
        assert!(token.has_changed(ShardId(4), 0));
    }

    proptest! {
        #[test]
        fn hostile_tokens_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(token) = Token::decode(&bytes, &user(1)) {
                prop_assert_eq!(token.user, user(1));
            }
        }
    }
}
