//! What stands behind the edge: the store and the apply of a [`World`].

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_replication::placement::{Placement, Shard};
use folkmoot_replication::presence::{Answer, News};
use folkmoot_storage::{
    Direction, Place, Table, find_readers, keys, log, member_counts, members, mentions, readers,
    value,
};
use folkmoot_wire::page::LogPage;
use folkmoot_wire::proto::{
    Command, Covers, CursorBatch, CursorChange, Head, LogSlice, Outcome, ResolveUser, Row,
    SealedEntry, command, outcome, row,
};
use folkmoot_wire::row::{RowKey, RowKind};
use folkmoot_wire::{Code, Fault, GroupId, NodeId, RegionId, ShardId, Slot, UserId, entry};

use super::super::setting::EPOCH_MS;
use super::{CLUSTER, World};
use crate::backend::{
    Backend, FoundMembers, LogRange, MembersWanted, Readers, ReadersWanted, Standing,
};

#[async_trait]
impl Backend for World {
    fn node(&self) -> NodeId {
        NodeId(1)
    }

    fn region(&self) -> String {
        "here".into()
    }

    fn cluster(&self) -> String {
        "03".repeat(16)
    }

    fn stamp(&self) -> Result<Hlc, Fault> {
        if self.no_stamp.load(Ordering::SeqCst) {
            return Err(Code::StorageFailed.into());
        }
        let now = Hlc::from_parts(self.wall_ms(), 0).as_u64();
        self.stamps.fetch_max(now, Ordering::SeqCst);
        Ok(Hlc::from_u64(self.stamps.fetch_add(1, Ordering::SeqCst)))
    }

    fn wall_ms(&self) -> u64 {
        EPOCH_MS + self.start.elapsed().as_millis() as u64
    }

    fn random(&self, out: &mut [u8]) {
        for byte in out {
            *byte = self.random.fetch_add(7, Ordering::SeqCst) as u8;
        }
    }

    fn home_of(&self, group: &GroupId) -> Option<Shard> {
        self.placement.birth_shard(group).cloned()
    }

    fn placement(&self) -> Arc<Placement> {
        Arc::clone(&self.placement)
    }

    async fn propose(&self, group: GroupId, op: command::Op) -> Result<Outcome, Fault> {
        self.propose_many(group, vec![op], false)
            .await
            .pop()
            .unwrap()
    }

    async fn propose_many(
        &self,
        group: GroupId,
        ops: Vec<command::Op>,
        _tentative: bool,
    ) -> Vec<Result<Outcome, Fault>> {
        self.calls.lock().push(ops.len());
        self.wait().await;
        if let Some(fault) = self.fail.lock().take() {
            return vec![Err(fault); ops.len()];
        }
        let command = |op| Command {
            group: group.to_bytes(),
            op: Some(op),
        };
        let outcomes = self.apply(ops.into_iter().map(command).collect());
        outcomes.into_iter().map(Ok).collect()
    }

    fn tentative(&self, group: &GroupId) -> Vec<SealedEntry> {
        self.tentative
            .lock()
            .get(group)
            .cloned()
            .unwrap_or_default()
    }

    async fn resolve_user(&self, realm: &str, subject: &str) -> Result<UserId, Fault> {
        let mut unique = [0; 11];
        self.random(&mut unique);
        let candidate = UserId::new(RegionId(1), Slot(7), unique);
        let resolve = Command {
            group: Bytes::new(),
            op: Some(command::Op::ResolveUser(ResolveUser {
                realm: realm.to_owned(),
                subject: subject.to_owned(),
                candidate: candidate.to_bytes(),
            })),
        };
        match self.apply(vec![resolve]).pop().unwrap().result {
            Some(outcome::Result::Resolved(resolved)) => {
                Ok(UserId::from_slice(&resolved.user).unwrap())
            }
            _ => Err(Code::Internal.into()),
        }
    }

    async fn head(&self, group: GroupId) -> Result<Option<Head>, Fault> {
        let old = self.head_here.lock().clone();
        let head = old.or_else(|| self.head_of(&group));
        self.wait().await;
        Ok(head)
    }

    async fn home_head(&self, group: GroupId) -> Result<Option<Head>, Fault> {
        Ok(self.head_of(&group))
    }

    async fn standings(&self, user: UserId, groups: &[GroupId]) -> Vec<Option<Standing>> {
        let mut standings = Vec::new();
        for group in groups {
            let head = self.head_of(group);
            let row = self.row(*group, RowKey::Cursor(user)).await.unwrap();
            let cursor = match row.and_then(|row| row.value) {
                Some(row::Value::Cursor(cursor)) => Some(cursor),
                _ => None,
            };
            let read = cursor.as_ref().map_or(0, |cursor| cursor.seq);
            let place = Place::of_birth(*group);
            let counted = mentions(&*self.store, &user, &[(place, read)]);
            standings.push(Some(Standing {
                head,
                cursor,
                mentions: *counted[0].as_ref().unwrap(),
            }));
        }
        self.wait().await;
        standings
    }

    async fn row(&self, group: GroupId, key: RowKey) -> Result<Option<Row>, Fault> {
        let is_not_here = self.not_here.lock().contains(&key);
        match is_not_here {
            true => Ok(None),
            false => self.row_at_home(group, key).await,
        }
    }

    async fn row_at_home(&self, group: GroupId, key: RowKey) -> Result<Option<Row>, Fault> {
        let key = keys::rows::key(&group, &key);
        let bytes = self.store.get(Table::Rows, &key).unwrap();
        Ok(bytes.map(|bytes| value::decode_value(bytes).unwrap()))
    }

    async fn rows(
        &self,
        group: GroupId,
        kind: Option<RowKind>,
        after: Bytes,
        limit: u32,
    ) -> Result<(Vec<Row>, Bytes), Fault> {
        let (mut from, to) = match kind {
            Some(kind) => keys::rows::kind_range(&group, kind),
            None => keys::rows::group_range(&group),
        };
        if !after.is_empty() {
            let last = [group.as_bytes(), &after[..]].concat();
            from = from.max(keys::successor(&last));
        }
        let (limit, way) = (limit as usize, Direction::Forward);
        let scan = self.store.scan(Table::Rows, &from, &to, limit, way);
        let decoded = scan.unwrap().into_iter();
        let rows: Vec<Row> = decoded
            .map(|(_, bytes)| value::decode_value(bytes).unwrap())
            .collect();
        let full = rows.len() == limit;
        let next = rows.last().filter(|_| full).map(|row| row.key.clone());
        Ok((rows, next.unwrap_or_default()))
    }

    async fn members(&self, group: GroupId, wanted: &MembersWanted) -> Result<FoundMembers, Fault> {
        let (place, limit) = (Place::of_birth(group), wanted.limit as usize);
        let found = members(&*self.store, &place, &wanted.sorted, &wanted.after, limit);
        let (rows, next) = found.unwrap();
        let by_role = member_counts(&*self.store, &place).unwrap().to_vec();
        Ok(FoundMembers {
            rows,
            next,
            by_role,
        })
    }

    async fn readers(&self, group: GroupId, seqs: &[u64]) -> Result<Readers, Fault> {
        let place = Place::of_birth(group);
        let members = member_counts(&*self.store, &place).unwrap();
        Ok(Readers {
            by_seq: readers(&*self.store, &place, seqs).unwrap(),
            members: members.iter().sum(),
        })
    }

    async fn find_readers(
        &self,
        group: GroupId,
        wanted: &ReadersWanted,
    ) -> Result<FoundMembers, Fault> {
        let after = UserId::from_slice(&wanted.after).ok();
        let (place, limit) = (Place::of_birth(group), wanted.limit as usize);
        let (rows, next) = find_readers(&*self.store, &place, wanted.of, after, limit).unwrap();
        Ok(FoundMembers {
            rows,
            next,
            by_role: Vec::new(),
        })
    }

    async fn log(&self, group: GroupId, range: LogRange) -> Result<LogPage, Fault> {
        let head = self.head_of(&group).ok_or(Code::NotFound)?;
        let LogRange {
            after,
            before,
            max_bytes,
            backward,
            ..
        } = range;
        let limit = range.limit as usize;
        let read = if backward {
            log::read_entries_back(&*self.store, &group, after, before, limit, max_bytes)
        } else {
            log::read_entries(&*self.store, &group, after, before, limit, max_bytes)
        };
        let entries = read.unwrap();
        let from = entries.first().map_or(after + 1, |(seq, _)| *seq);
        let to = entries.last().map_or(after, |(seq, _)| *seq);
        let chain_before = match from {
            1 => Bytes::copy_from_slice(&entry::genesis(&CLUSTER, &group)),
            from => {
                let before = log::read_entry(&*self.store, &group, from - 1).unwrap();
                before.map(|entry| entry.chain).unwrap_or_default()
            }
        };
        Ok(LogPage::from(LogSlice {
            group: group.to_bytes(),
            covers: Some(Covers { from, to }),
            chain_before,
            entries: entries.into_iter().map(|(_, entry)| entry).collect(),
            head: Some(head),
            gone: false,
        }))
    }

    async fn want(&self, group: GroupId) -> Result<(), Fault> {
        *self.wanted.lock().entry(group).or_default() += 1;
        Ok(())
    }

    fn unwant(&self, group: GroupId) {
        *self.wanted.lock().entry(group).or_default() -= 1;
    }

    fn move_cursor(&self, group: GroupId, user: UserId, seq: u64) {
        let op = command::Op::Cursors(CursorBatch {
            changes: vec![CursorChange {
                user: user.to_bytes(),
                seq,
            }],
        });
        self.apply(vec![Command {
            group: group.to_bytes(),
            op: Some(op),
        }]);
    }

    async fn presence(&self, _shard: ShardId, news: &News) -> Result<(NodeId, Answer), Fault> {
        if let Some(fault) = self.no_homes.lock().clone() {
            return Err(fault);
        }
        let (answer, pushes) = {
            let (mut home, now) = (self.home.lock(), self.start.elapsed());
            (home.hear(NodeId(1), news, now), home.due(now))
        };
        for push in pushes {
            self.edge().presence(&push.states);
        }
        Ok((NodeId(1), answer))
    }
}
