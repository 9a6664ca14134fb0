//! News that a node publishes in one go.

use std::collections::BTreeMap;

use bytes::Bytes;
use folkmoot_wire::proto::{Covers, GroupPush, Row};

/// One push for each group: the entries in order, the latest of each row.
pub(super) fn merged(pushes: Vec<GroupPush>) -> Vec<GroupPush> {
    let mut groups: BTreeMap<Bytes, GroupPush> = BTreeMap::new();
    for push in pushes {
        let Some(held) = groups.get_mut(&push.group) else {
            groups.insert(push.group.clone(), push);
            continue;
        };
        held.covers = match (&held.covers, &push.covers) {
            (Some(first), Some(last)) => Some(Covers {
                from: first.from,
                to: last.to,
            }),
            (first, last) => first.as_ref().or(last.as_ref()).copied(),
        };
        held.head = push.head;
        held.entries.extend(push.entries);
        let rows = held.rows.drain(..).chain(push.rows);
        let latest: BTreeMap<Bytes, Row> = rows.map(|row| (row.key.clone(), row)).collect();
        held.rows = latest.into_values().collect();
    }
    groups.into_values().collect()
}
