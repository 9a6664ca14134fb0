//! Pushes without what the follower can work out: the head, the chains, what
//! they cover. In their place goes a mark of the head that must come out.

use bytes::Bytes;
use folkmoot_wire::proto::{GroupPush, Head, HeadMark, SealedEntry};
use prost::Message;

/// Bytes of a mark that stand for the chain: nobody finds by accident, nor on
/// purpose, another log with the same.
const CHAIN_MARK: usize = 16;
/// Bytes that stand for the rest of the head, which is compared in full
/// whenever somebody follows anew.
const STATE_MARK: usize = 8;

/// The mark of a head.
#[must_use]
pub(super) fn mark(head: &Head) -> HeadMark {
    HeadMark {
        version: head.version,
        chain: head.chain.slice(..CHAIN_MARK.min(head.chain.len())),
        state: state(head),
    }
}

/// Whether a log that ends with this chain is the marked one.
#[must_use]
pub(super) fn same_log(mark: &HeadMark, chain: &[u8]) -> bool {
    mark.chain.len() == CHAIN_MARK && chain.starts_with(&mark.chain)
}

/// Whether `head` is the marked one in all but the chain.
#[must_use]
pub(super) fn same_state(mark: &HeadMark, head: &Head) -> bool {
    mark.state == state(head)
}

fn state(head: &Head) -> Bytes {
    let rest = Head {
        chain: Bytes::new(),
        ..head.clone()
    };
    let mut hasher = blake3::Hasher::new_derive_key("folkmoot v1 head mark");
    hasher.update(&rest.encode_to_vec());
    Bytes::copy_from_slice(&hasher.finalize().as_bytes()[..STATE_MARK])
}

/// The push without what follows from `before`, the head that the follower was
/// told of last; `None` when its head does not follow from it.
#[must_use]
pub(super) fn shrink(push: &GroupPush, before: Option<&Head>) -> Option<GroupPush> {
    let head = push.head.as_ref()?;
    let moved = !push.entries.is_empty();
    if !moved && push.rows.is_empty() {
        return None;
    }
    let tombstones = before.map_or(0, |before| before.tombstones);
    if !push.gone.is_empty() || head.tombstones != tombstones {
        return None;
    }
    let floor = before.and_then(|before| before.floor.as_ref());
    let epoch = before.and_then(|before| before.epoch.as_ref());
    // The epoch of a head is that of its last entry.
    if head.floor.as_ref() != floor || !(moved || head.epoch.as_ref() == epoch) {
        return None;
    }
    Some(GroupPush {
        group: push.group.clone(),
        entries: push.entries.iter().map(unchained).collect(),
        rows: push.rows.clone(),
        mark: Some(mark(head)),
        ..GroupPush::default()
    })
}

fn unchained(entry: &SealedEntry) -> SealedEntry {
    SealedEntry {
        chain: Bytes::new(),
        ..entry.clone()
    }
}
