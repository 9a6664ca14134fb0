use std::cmp::Ordering;

use folkmoot_wire::row::{RowKey, RowKind};
use folkmoot_wire::{ClientMsgId, DeviceId, GroupId, RegionId, ShardId, Slot, UserId};
use proptest::prelude::*;

use super::{
    TABLE_END, dedup, heads, homes, inbox, log, node, outbox, prefix_range, raft, rows, shards,
    slots, successor, users,
};

fn group() -> impl Strategy<Value = GroupId> {
    // Few regions, slots and ids, and the extremes, so that neighbours meet.
    let edge = prop_oneof![Just(0u16), Just(1), Just(0xff), Just(0x100), Just(0xffff)];
    let unique = prop_oneof![Just([0; 11]), Just([0xff; 11]), any::<[u8; 11]>()];
    (edge.clone(), edge, unique, any::<bool>()).prop_map(|(region, slot, unique, own)| {
        if own {
            UserId::new(RegionId(region), Slot(slot), unique).self_group()
        } else {
            GroupId::new(RegionId(region), Slot(slot), unique)
        }
    })
}

fn user() -> impl Strategy<Value = UserId> {
    (any::<u16>(), any::<u16>(), any::<[u8; 11]>())
        .prop_map(|(region, slot, unique)| UserId::new(RegionId(region), Slot(slot), unique))
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..600, Just(u64::MAX), Just(u64::MAX - 1), any::<u64>()]
}

fn shard() -> impl Strategy<Value = ShardId> {
    prop_oneof![0u32..600, Just(u32::MAX), any::<u32>()].prop_map(ShardId)
}

fn kind() -> impl Strategy<Value = raft::Kind> {
    use raft::Kind;
    prop_oneof![
        Just(Kind::Vote),
        Just(Kind::Committed),
        Just(Kind::Purged),
        Just(Kind::Snapshot),
        Just(Kind::Retired),
        Just(Kind::Entry)
    ]
}

fn row() -> impl Strategy<Value = RowKey> {
    prop_oneof![
        Just(RowKey::Group),
        Just(RowKey::Profile),
        user().prop_map(RowKey::Member),
        user().prop_map(RowKey::Cursor),
        group().prop_map(RowKey::Listed),
    ]
}

fn dedup_key() -> impl Strategy<Value = dedup::DedupKey> {
    (group(), any::<[u8; 16]>(), user(), number()).prop_map(|(group, id, user, device)| {
        dedup::DedupKey {
            group,
            id: ClientMsgId::from_slice(&id).unwrap(),
            user,
            device: DeviceId(device),
        }
    })
}

/// Keys sort as what they say, and none reaches the end of the table.
fn sorts<T: Ord>(a: &T, b: &T, key: impl Fn(&T) -> bytes::Bytes) -> Result<(), TestCaseError> {
    let (x, y) = (key(a), key(b));
    prop_assert_eq!(a.cmp(b), x.cmp(&y));
    prop_assert_eq!(x.as_ref().cmp(TABLE_END), Ordering::Less);
    Ok(())
}

fn within(key: &[u8], (from, to): &(bytes::Bytes, bytes::Bytes)) -> bool {
    from.as_ref() <= key && key < to.as_ref()
}

proptest! {
    #[test]
    fn raft_keys(a in (shard(), kind(), number()), b in (shard(), kind(), number())) {
        let bytes = raft::key(a.0, a.1, a.2);
        let parsed = raft::parse(&bytes).unwrap();
        prop_assert_eq!((parsed.shard, parsed.kind, parsed.index), a);
        sorts(&a, &b, |k| raft::key(k.0, k.1, k.2))?;
        prop_assert_eq!(a.0 == b.0, within(&bytes, &raft::shard_range(b.0)));
        let tail = a.0 == b.0 && a.1 == raft::Kind::Entry && a.2 >= b.2;
        prop_assert_eq!(tail, within(&bytes, &raft::entries_from(b.0, b.2)));
    }

    #[test]
    fn log_keys(a in (group(), number()), b in (group(), number())) {
        let bytes = log::key(&a.0, a.1);
        prop_assert_eq!(log::parse(&bytes).unwrap(), a);
        sorts(&a, &b, |k| log::key(&k.0, k.1))?;
        prop_assert_eq!(a.0 == b.0, within(&bytes, &log::group_range(&b.0)));
        let range = log::range(&b.0, 5, b.1);
        prop_assert_eq!(a.0 == b.0 && (5..b.1).contains(&a.1), within(&bytes, &range));
    }

    #[test]
    fn head_keys(a in group(), b in group()) {
        prop_assert_eq!(heads::parse(&heads::key(&a)).unwrap(), a);
        sorts(&a, &b, heads::key)?;
    }

    #[test]
    fn row_keys(a in (group(), row()), b in (group(), row())) {
        let bytes = rows::key(&a.0, &a.1);
        prop_assert_eq!(rows::parse(&bytes).unwrap(), a);
        sorts(&a, &b, |k| rows::key(&k.0, &k.1))?;
        prop_assert_eq!(a.0 == b.0, within(&bytes, &rows::group_range(&b.0)));
        for kind in [RowKind::Group, RowKind::Member, RowKind::Listed] {
            let range = rows::kind_range(&b.0, kind);
            prop_assert_eq!(a.0 == b.0 && a.1.kind() == kind, within(&bytes, &range));
        }
    }

    #[test]
    fn dedup_keys(a in dedup_key(), b in dedup_key(), stamp in number()) {
        let key = |k: &dedup::DedupKey| dedup::key(&k.group, &k.id, &k.user, k.device);
        let bytes = key(&a);
        prop_assert_eq!(dedup::parse(&bytes).unwrap(), a);
        sorts(&a, &b, key)?;
        let old = a.group == b.group && a.id.stamp().as_u64() < stamp;
        prop_assert_eq!(old, within(&bytes, &dedup::stamped_before(&b.group, stamp)));
    }

    #[test]
    fn shard_keys(a in shard(), b in shard()) {
        let bytes = shards::key(a);
        prop_assert_eq!(shards::parse(&bytes).unwrap(), a);
        sorts(&a, &b, |k| shards::key(*k))?;
        prop_assert_eq!(a == b, within(&bytes, &shards::range(b)));
    }

    #[test]
    fn home_keys(a in (shard(), group()), b in (shard(), group())) {
        let bytes = homes::key(a.0, &a.1);
        prop_assert_eq!(homes::parse(&bytes).unwrap(), a);
        sorts(&a, &b, |k| homes::key(k.0, &k.1))?;
        prop_assert_eq!(a.0 == b.0, within(&bytes, &homes::shard_range(b.0)));
        // They go with their shard, which is not one of them.
        prop_assert_eq!(a.0 == b.0, within(&bytes, &shards::range(b.0)));
        prop_assert!(!within(&shards::key(b.0), &homes::shard_range(b.0)));
        prop_assert!(shards::parse(&bytes).is_err());
    }

    #[test]
    fn outbox_keys(a in (shard(), number()), b in (shard(), number())) {
        let bytes = outbox::key(a.0, a.1);
        prop_assert_eq!(outbox::parse(&bytes).unwrap(), a);
        sorts(&a, &b, |k| outbox::key(k.0, k.1))?;
        prop_assert_eq!(a.0 == b.0, within(&bytes, &outbox::shard_range(b.0)));
    }

    #[test]
    fn user_keys(
        a in (any::<u16>(), any::<[u8; 16]>()),
        b in (any::<u16>(), any::<[u8; 16]>()),
        low in any::<u16>(),
    ) {
        let bytes = users::key(a.0, &a.1);
        prop_assert_eq!(users::parse(&bytes).unwrap(), a);
        sorts(&a, &b, |k| users::key(k.0, &k.1))?;
        let range = users::range(low, b.0);
        prop_assert_eq!((low..=b.0).contains(&a.0), within(&bytes, &range));
    }

    #[test]
    fn inbox_keys(a in (group(), shard()), b in (group(), shard())) {
        let bytes = inbox::key(&a.0, a.1);
        prop_assert_eq!(inbox::parse(&bytes).unwrap(), a);
        sorts(&a, &b, |k| inbox::key(&k.0, k.1))?;
        prop_assert_eq!(a.0 == b.0, within(&bytes, &inbox::group_range(&b.0)));
    }

    #[test]
    fn node_keys(a in shard(), b in shard(), x in group(), y in group()) {
        let copy = node::copy(&x);
        prop_assert_eq!(node::parse_copy(&copy).unwrap(), x);
        sorts(&x, &y, node::copy)?;
        prop_assert!(within(&copy, &node::copies()));
        prop_assert!(node::parse_follow(&copy).is_err());
        let bytes = node::follow(a);
        prop_assert_eq!(node::parse_follow(&bytes).unwrap(), a);
        sorts(&a, &b, |k| node::follow(*k))?;
        prop_assert!(within(&bytes, &node::follows()));
        prop_assert!(!within(node::IDENTITY, &node::follows()));
        prop_assert!(node::parse_follow(node::IDENTITY).is_err());
        let bytes = node::lease(a);
        prop_assert_eq!(node::parse_lease(&bytes).unwrap(), a);
        sorts(&a, &b, |k| node::lease(*k))?;
        prop_assert!(within(&bytes, &node::leases()));
        prop_assert!(node::parse_lease(&node::follow(a)).is_err());
    }

    #[test]
    fn slot_ranges(a in group(), region in 0u16..3, first in any::<u16>(), last in any::<u16>()) {
        let range = slots::range(RegionId(region), Slot(first), Slot(last));
        let inside = a.region().0 == region && (first..=last).contains(&a.slot().0);
        prop_assert_eq!(inside, within(&heads::key(&a), &range));
        prop_assert_eq!(inside, within(&log::key(&a, u64::MAX), &range));
    }

    #[test]
    fn prefixes(prefix in prop::collection::vec(prop_oneof![Just(0xffu8), any::<u8>()], 0..6),
                key in prop::collection::vec(any::<u8>(), 0..6),
                rest in prop::collection::vec(any::<u8>(), 0..6)) {
        let range = prefix_range(&prefix);
        let longer = [prefix.clone(), rest].concat();
        prop_assert!(within(&longer, &range));
        prop_assert_eq!(key.starts_with(&prefix), within(&key, &range));
        let next = successor(&key);
        prop_assert!(key.as_slice() < next.as_ref());
        prop_assert!(!(key.as_slice() < longer.as_slice() && longer.as_slice() < next.as_ref()));
    }

    #[test]
    fn foreign_keys_are_errors_not_panics(bytes in prop::collection::vec(any::<u8>(), 0..70)) {
        if let Ok(key) = raft::parse(&bytes) {
            prop_assert_eq!(raft::key(key.shard, key.kind, key.index), bytes.clone());
        }
        if let Ok((group, seq)) = log::parse(&bytes) {
            prop_assert_eq!(log::key(&group, seq), bytes.clone());
        }
        let _ = (heads::parse(&bytes), rows::parse(&bytes), dedup::parse(&bytes));
        let _ = (shards::parse(&bytes), outbox::parse(&bytes), users::parse(&bytes));
        let _ = homes::parse(&bytes);
        let _ = (inbox::parse(&bytes), node::parse_follow(&bytes));
    }
}

#[test]
fn errors_name_the_table_and_the_part() {
    let error = log::parse(&[0; 3]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "not a key of table log: a group takes 16 bytes, 3 are left"
    );
    let mut key = log::key(&GroupId::new(RegionId(1), Slot(2), [3; 11]), 4).to_vec();
    key.push(0);
    assert_eq!(
        log::parse(&key).unwrap_err().to_string(),
        "not a key of table log: 1 bytes too many"
    );
}
