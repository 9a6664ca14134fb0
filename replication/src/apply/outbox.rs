//! The transactional outbox (D18): an effect on another group is written in
//! the batch that causes it and delivered at least once; the receiver keeps
//! the highest number of each source, so once more changes nothing.

use bytes::Bytes;
use folkmoot_storage::{Direction, Read, StoreError, Table, keys, value};
use folkmoot_wire::proto::{
    Command, EntryHeader, Kind, ListedBody, ListedEffect, ListedValue, OutboxDelivery, Row,
    StoredOutbox, command, outbox_delivery, row,
};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{Code, GroupId, ShardId, UserId, version};
use prost::Message;

use super::create::system_salt;
use super::group::Age;
use super::split::applied;
use super::{Answer, ApplyError, ShardApply, Step, done, refuse};

/// One delivery that waits: its number and the command for its target.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Number in the source shard's outbox.
    pub number: u64,
    /// The group it is for.
    pub target: GroupId,
    /// What to propose to the shard of that group.
    pub command: Command,
}

/// The first `limit` deliveries of a shard that wait, in order.
///
/// # Errors
/// When the store fails or a record does not read back.
pub fn pending(read: &dyn Read, shard: ShardId, limit: usize) -> Result<Vec<Pending>, StoreError> {
    // From behind what was delivered: a scan from the range's beginning would
    // walk over the tombstones of all that was ever sent.
    let applied = applied(read, shard)?.unwrap_or_default();
    let next = applied.outbox_acked + 1;
    if applied.outbox_waits > 0 || next >= applied.next_outbox {
        return Ok(Vec::new());
    }
    let from = keys::outbox::key(shard, next);
    let to = keys::outbox::key(shard, u64::MAX);
    let rows = read.scan(Table::Outbox, &from, &to, limit, Direction::Forward)?;
    let mut waiting = Vec::with_capacity(rows.len());
    for (_, bytes) in rows {
        let stored: StoredOutbox = value::decode_value(bytes)?;
        let (Ok(target), Some(delivery)) = (GroupId::from_slice(&stored.target), stored.delivery)
        else {
            continue;
        };
        waiting.push(Pending {
            number: delivery.number,
            target,
            command: Command {
                group: target.to_bytes(),
                op: Some(command::Op::Delivery(delivery)),
            },
        });
    }
    Ok(waiting)
}

impl ShardApply {
    /// Puts an effect into this shard's outbox.
    pub(super) fn send(&mut self, target: GroupId, effect: outbox_delivery::Effect) {
        let number = self.applied.next_outbox.max(1);
        self.applied.next_outbox = number + 1;
        let stored = StoredOutbox {
            delivery: Some(OutboxDelivery {
                source_shard: self.config.shard.0,
                number,
                effect: Some(effect),
            }),
            target: target.to_bytes(),
        };
        self.view.put(
            Table::Outbox,
            keys::outbox::key(self.config.shard, number),
            value::encode_value(&stored),
        );
    }

    /// The user's list of groups gains or loses `group`.
    pub(super) fn list(
        &mut self,
        group: GroupId,
        user: UserId,
        age: Age,
        listed: bool,
    ) -> Result<(), ApplyError> {
        let name = self
            .group_value(&group)?
            .map(|value| value.name)
            .unwrap_or_default();
        self.send(
            user.self_group(),
            outbox_delivery::Effect::Listed(ListedEffect {
                user: user.to_bytes(),
                listed: Some(ListedBody {
                    group: group.to_bytes(),
                    listed,
                    source_seq: age.seq,
                    source_quiet: age.quiet,
                    name,
                }),
            }),
        );
        Ok(())
    }

    pub(super) fn outbox_ack(&mut self, up_to: u64) -> Answer {
        let up_to = up_to.min(self.applied.next_outbox.saturating_sub(1));
        for number in self.applied.outbox_acked + 1..=up_to {
            self.view
                .delete(Table::Outbox, keys::outbox::key(self.config.shard, number));
        }
        self.applied.outbox_acked = self.applied.outbox_acked.max(up_to);
        done()
    }

    pub(super) fn delivery(
        &mut self,
        step: &Step,
        target: GroupId,
        delivery: &OutboxDelivery,
    ) -> Answer {
        let source = ShardId(delivery.source_shard);
        let key = keys::inbox::key(&target, source);
        let last = match self.view.get(Table::Inbox, &key)? {
            Some(bytes) => u64::from_be_bytes(bytes[..].try_into().unwrap_or([0; 8])),
            None => 0,
        };
        if delivery.number <= last {
            return done();
        }
        let Some(user) = target.self_user() else {
            return refuse(Code::Invalid, "deliveries go to self groups");
        };
        // Whichever arrives first makes the group: shards deliver in their
        // own order, not in each other's.
        self.create_self(step, user)?;
        if let Some(outbox_delivery::Effect::Listed(effect)) = &delivery.effect
            && let Some(listed) = &effect.listed
        {
            self.listed(step, target, listed)?;
        }
        let number = Bytes::copy_from_slice(&delivery.number.to_be_bytes());
        self.view.put(Table::Inbox, key, number);
        done()
    }

    fn listed(
        &mut self,
        step: &Step,
        target: GroupId,
        listed: &ListedBody,
    ) -> Result<(), ApplyError> {
        let Ok(group) = GroupId::from_slice(&listed.group) else {
            return Ok(());
        };
        let key = RowKey::Listed(group);
        if let Some(row::Value::Listed(held)) = self.view.row(&target, key)?.and_then(|r| r.value)
            && (held.source_seq, held.source_quiet) >= (listed.source_seq, listed.source_quiet)
        {
            return Ok(());
        }
        if self.applied.apply_version < version::APPLY_JOINS_QUIETLY {
            let header = EntryHeader {
                kind: Kind::Listed as i32,
                ..EntryHeader::default()
            };
            let body = Bytes::from(listed.encode_to_vec());
            self.place(step, target, header, system_salt(step, &target), body)?;
        }
        let row = Row {
            key: key.to_bytes(),
            value: Some(row::Value::Listed(ListedValue {
                source_seq: listed.source_seq,
                source_quiet: listed.source_quiet,
                listed: listed.listed,
                name: listed.name.clone(),
            })),
        };
        self.view.put_row(target, key, row, false)
    }
}
