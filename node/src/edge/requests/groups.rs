//! The user's groups: the list that the outbox keeps in the self group, and
//! what changed in it since the user was here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_wire::proto::{
    GetUnread, GroupInfo, GroupSummary, Groups, ListGroups, ListedValue, Unread, UnreadCount, row,
    server_frame,
};
use folkmoot_wire::row::{RowKey, RowKind};
use folkmoot_wire::{Code, Fault, GroupId, ShardId, limits};
use tokio::time::{sleep, timeout};

use super::changed::Token;
use super::group_id;
use crate::backend::Standing;
use crate::edge::fanout::PASSIVE_GROUPS_MAX;
use crate::edge::session::Session;

/// Groups in one answer; their heads and names fit a frame.
const PAGE_GROUPS: usize = 100;
/// Groups looked at when a session begins. Of more, the client asks by page.
const GROUPS_MAX: usize = PASSIVE_GROUPS_MAX;
/// First and longest pause between attempts to follow the user's list.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A group of the list, with what this node knows of it.
struct Known {
    group: GroupId,
    listed: ListedValue,
    /// Of a listed one.
    standing: Standing,
}

impl Known {
    fn summary(self) -> GroupSummary {
        GroupSummary {
            group: self.group.to_bytes(),
            name: self.listed.name,
            unread: self.standing.unread(),
            at_all: self.standing.unread_at_all(),
            mentions: self.standing.mentions,
            head: self.standing.head,
            cursor: self.standing.cursor,
            listed: self.listed.listed,
        }
    }
}

impl Session {
    /// A page of the list, and where it goes on (empty: nowhere).
    async fn listed(
        &self,
        after: Bytes,
        limit: u32,
    ) -> Result<(Vec<(GroupId, ListedValue)>, Bytes), Fault> {
        let own = self.user.self_group();
        let backend = &self.core.backend;
        let page = backend.rows(own, Some(RowKind::Listed), after, limit);
        let (rows, next) = match page.await {
            Ok(page) => page,
            // Made a moment after the user; until then the list is empty.
            Err(fault) if fault.code == Code::NotFound => return Ok((Vec::new(), Bytes::new())),
            Err(fault) => return Err(fault),
        };
        let listed =
            |row: folkmoot_wire::proto::Row| match (RowKey::from_slice(&row.key), row.value) {
                (Ok(RowKey::Listed(group)), Some(row::Value::Listed(value))) => {
                    Some((group, value))
                }
                _ => None,
            };
        Ok((rows.into_iter().filter_map(listed).collect(), next))
    }

    async fn whole_list(&self) -> Result<(Vec<(GroupId, ListedValue)>, bool), Fault> {
        let (mut all, mut after) = (Vec::new(), Bytes::new());
        loop {
            let (page, next) = self.listed(after, limits::PAGE_ROWS).await?;
            all.extend(page);
            if next.is_empty() || all.len() >= GROUPS_MAX {
                return Ok((all, !next.is_empty()));
            }
            after = next;
        }
    }

    /// Heads and cursors of groups; what cannot be known now is left out.
    async fn know(&self, groups: Vec<(GroupId, ListedValue)>) -> Vec<Known> {
        let listed = groups.iter().filter(|(_, listed)| listed.listed);
        let asked: Vec<GroupId> = listed.map(|(group, _)| *group).collect();
        let backend = &self.core.backend;
        let mut standings = backend.standings(self.user, &asked).await.into_iter();
        let known = |(group, listed): (GroupId, ListedValue)| {
            let standing = match listed.listed {
                true => standings.next().flatten().unwrap_or_default(),
                false => Standing::default(),
            };
            Known {
                group,
                listed,
                standing,
            }
        };
        groups.into_iter().map(known).collect()
    }

    fn shard_of(&self, group: &GroupId) -> Option<ShardId> {
        self.core.backend.home_of(group).map(|shard| shard.id)
    }

    /// The greatest version seen of each shard, and the heads read again.
    ///
    /// A token may claim a version only if no group of that shard has an
    /// unseen change at or below it. Reads are one after the other, so a
    /// group read early may have changed by the time another one, read later,
    /// shows a greater version. This node takes each shard's changes in their
    /// order: once that version was seen, a second look at the others shows
    /// everything up to it.
    async fn settle(&self, known: &mut [Known]) -> BTreeMap<ShardId, u64> {
        let mut versions = BTreeMap::new();
        for k in known.iter() {
            if let (Some(head), Some(shard)) = (&k.standing.head, self.shard_of(&k.group)) {
                let version = versions.entry(shard).or_insert(0);
                *version = head.version.max(*version);
            }
        }
        let is_behind = |k: &&mut Known| {
            let version = self.shard_of(&k.group).and_then(|s| versions.get(&s));
            let head = k.standing.head.as_ref().zip(version);
            head.is_some_and(|(head, version)| head.version < *version)
        };
        let behind: Vec<&mut Known> = known.iter_mut().filter(is_behind).collect();
        let asked: Vec<GroupId> = behind.iter().map(|k| k.group).collect();
        let again = self.core.backend.standings(self.user, &asked).await;
        for (k, standing) in behind.into_iter().zip(again) {
            k.standing = standing.unwrap_or_default();
        }
        for k in known
            .iter()
            .filter(|k| k.listed.listed && k.standing.head.is_none())
        {
            if let Some(shard) = self.shard_of(&k.group) {
                // Not known now: nothing may be claimed of its shard.
                versions.remove(&shard);
            }
        }
        versions
    }
}

/// What changed since the token was given, at most a page of it; behind
/// `next` the client goes on with `ListGroups`, and keeps the new token once
/// it has everything. Registers the groups as passive.
pub(in crate::edge) async fn changed_since(session: &Arc<Session>, since: &[u8]) -> Groups {
    let changed = timeout(limits::WELCOME_LIST, changed(session, since)).await;
    match changed.unwrap_or_else(|_| Err(Code::Deadline.into())) {
        Ok(groups) => groups,
        Err(fault) => {
            // The client keeps what it has, token included, and asks later.
            tracing::info!(user = %session.user, %fault, "the list of groups is out of reach");
            Groups {
                changed_since: Bytes::copy_from_slice(since),
                ..Groups::default()
            }
        }
    }
}

async fn changed(session: &Arc<Session>, since: &[u8]) -> Result<Groups, Fault> {
    let own = session.user.self_group();
    // Read before the list: what is listed after it shows in the next one.
    let (list, collected) = match session.core.backend.head(own).await {
        Ok(head) => head.map_or((0, 0), |head| (head.version, head.tombstones)),
        Err(fault) if fault.code == Code::NotFound => (0, 0),
        Err(fault) => return Err(fault),
    };
    let (groups, cut) = session.whole_list().await?;
    let mut known = session.know(groups).await;
    let shards = session.settle(&mut known).await;
    for k in known.iter().filter(|k| k.listed.listed) {
        let read = k.standing.cursor.as_ref().map_or(0, |cursor| cursor.count);
        let count = k.standing.head.is_some().then_some(read);
        let fanout = &session.core.fanout;
        fanout.add_passive(&session.link, k.group, k.standing.head.as_ref(), count);
    }
    let before = Token::decode(since, &session.user);
    let is_new = |k: &Known| match (&before, &k.standing.head, session.shard_of(&k.group)) {
        (Some(before), Some(head), Some(shard)) if before.list == list => {
            before.has_changed(shard, head.version)
        }
        // The list itself changed, and a row of it does not say when: all of
        // it, and what was taken off it, to clients that may hold it.
        (Some(before), None, _) if before.list == list => k.listed.listed,
        _ => k.listed.listed || !since.is_empty(),
    };
    let mut changed: Vec<Known> = known.into_iter().filter(is_new).collect();
    let more = cut || changed.len() > PAGE_GROUPS;
    changed.truncate(PAGE_GROUPS);
    let next = match changed.last() {
        Some(last) if more => last.group.to_bytes(),
        _ => Bytes::new(),
    };
    let token = Token {
        user: session.user,
        list,
        shards,
    };
    // What was taken off the list after the client was here, and collected
    // since, shows by its absence alone. All is in the answer then: the list
    // has changed.
    let whole = !since.is_empty() && before.is_none_or(|before| before.list < collected);
    Ok(Groups {
        groups: changed.into_iter().map(Known::summary).collect(),
        changed_since: token.encode(),
        next,
        whole,
    })
}

/// Keeps the user's list followed while the session lasts, so that a group
/// that takes the user in shows as a bump at once.
pub(in crate::edge) async fn follow_own_list(session: &Arc<Session>) {
    if !session.link.bumps {
        return;
    }
    let mut pause = RETRY.0;
    let _wanted = loop {
        match session.core.wants.hold(session.user.self_group()).await {
            Ok(wanted) => break wanted,
            Err(_) => sleep(pause).await,
        }
        pause = (pause * 2).min(RETRY.1);
    };
    // What was listed between the session's first look and now.
    if let Ok((groups, _)) = session.whole_list().await {
        for (group, listed) in groups {
            let known = session.link.held.lock().passive.contains(&group);
            if listed.listed && !known {
                session
                    .core
                    .fanout
                    .add_passive(&session.link, group, None, None);
            }
        }
    }
    std::future::pending::<()>().await;
}

/// Behind which row a page begins.
fn page_after(page: &[u8]) -> Result<Bytes, Fault> {
    if page.is_empty() {
        return Ok(Bytes::new());
    }
    GroupId::from_slice(page)
        .map(|group| RowKey::Listed(group).to_bytes())
        .map_err(|_| Fault::new(Code::Invalid, "page is not a token of an earlier answer"))
}

/// What there is to read, by subtraction (D3): in one answer however many
/// groups there are, up to [`limits::UNREAD_GROUPS`].
pub(super) async fn get_unread(
    session: &Session,
    request: &GetUnread,
) -> Result<server_frame::Body, Fault> {
    let mut after = page_after(&request.page)?;
    let (mut groups, mut next) = (Vec::new(), Bytes::new());
    while groups.len() < limits::UNREAD_GROUPS {
        let left = (limits::UNREAD_GROUPS - groups.len()) as u32;
        let (page, more) = session.listed(after, left.min(limits::PAGE_ROWS)).await?;
        groups.extend(page);
        next = match groups.last() {
            Some((last, _)) if !more.is_empty() => last.to_bytes(),
            _ => Bytes::new(),
        };
        if next.is_empty() {
            break;
        }
        after = more;
    }
    groups.retain(|(_, value)| value.listed);
    let mut unread = Unread {
        next,
        ..Unread::default()
    };
    for known in session.know(groups).await {
        let standing = known.standing;
        if standing.head.is_none() {
            unread.unknown.push(known.group.to_bytes());
        } else if standing.unread() > 0 {
            unread.groups.push(UnreadCount {
                group: known.group.to_bytes(),
                unread: standing.unread(),
                at_all: standing.unread_at_all(),
                mentions: standing.mentions,
            });
        }
    }
    Ok(server_frame::Body::Unread(unread))
}

pub(super) async fn list_groups(
    session: &Session,
    request: &ListGroups,
) -> Result<server_frame::Body, Fault> {
    let after = page_after(&request.page)?;
    let limit = match request.limit as usize {
        0 => PAGE_GROUPS,
        limit => limit.min(PAGE_GROUPS),
    };
    let (groups, more) = session.listed(after, limit as u32).await?;
    let next = match groups.last() {
        Some((last, _)) if !more.is_empty() => last.to_bytes(),
        _ => Bytes::new(),
    };
    let listed = groups
        .into_iter()
        .filter(|(_, value)| value.listed)
        .collect();
    let known = session.know(listed).await;
    Ok(server_frame::Body::Groups(Groups {
        groups: known.into_iter().map(Known::summary).collect(),
        changed_since: Bytes::new(),
        next,
        whole: false,
    }))
}

pub(super) async fn get_group(
    session: &Session,
    group: &[u8],
) -> Result<server_frame::Body, Fault> {
    let group = group_id(group)?;
    let me = session.member(group).await?;
    let placement = session.core.backend.placement();
    let home = session
        .core
        .backend
        .home_of(&group)
        .and_then(|shard| placement.region_name(shard.region))
        .unwrap_or_default()
        .to_owned();
    Ok(server_frame::Body::Group(GroupInfo {
        group: group.to_bytes(),
        value: Some(session.group_value(group).await?),
        head: Some(session.head(group).await?),
        home,
        me: Some(me),
        cursor: session.own_cursor(group).await?,
    }))
}
