//! Groups that were born in another region than that of the shard that keeps
//! them. What is their first 16 bytes in the tables of [`super::slots`] has
//! in front: region of the shard (2), the group's slot (2), [`MARK`] (1). So
//! they lie in their shard's ranges, beside the groups born there, and two
//! shards with replicas on one node never write the same keys.

use std::borrow::Cow;

use bytes::Bytes;
use folkmoot_wire::RegionId;

/// Stands where the class of an id stands. No class has this byte.
pub const MARK: u8 = 0xff;
/// Bytes in front.
const LEN: usize = 5;
/// Region and slot.
const PLACE: usize = 4;

/// Where a shard of `region` keeps what elsewhere lies under `key`, the key of
/// a group or the end of a range of such. Keys of groups born in `region`, and
/// what is too short to name a slot, stay as they are.
#[must_use]
pub fn seated(region: RegionId, key: &[u8]) -> Cow<'_, [u8]> {
    let own = region.0.to_be_bytes();
    if key.len() < PLACE || key[..2] == own || key == super::TABLE_END {
        return Cow::Borrowed(key);
    }
    let mut seated = Vec::with_capacity(LEN + key.len());
    seated.extend_from_slice(&own);
    seated.extend_from_slice(&key[2..PLACE]);
    seated.push(MARK);
    seated.extend_from_slice(key);
    Cow::Owned(seated)
}

/// Whether a key is a guest's.
#[must_use]
pub fn is_guest(key: &[u8]) -> bool {
    key.len() > LEN && key[PLACE] == MARK
}

/// The region of the shard, where that stands in front, and the key without
/// it.
#[must_use]
pub fn split(key: &[u8]) -> (Option<RegionId>, &[u8]) {
    match key {
        [a, b, ..] if is_guest(key) => {
            let region = RegionId(u16::from_be_bytes([*a, *b]));
            (Some(region), &key[LEN..])
        }
        _ => (None, key),
    }
}

/// The key as it begins with the group itself: the inverse of [`seated`].
#[must_use]
pub fn plain(key: &Bytes) -> Bytes {
    key.slice_ref(split(key).1)
}
