//! The state machines that consensus drives: a shard's and the meta shard's.

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_consensus::{Inspector, Machine, MachineError, Position, Range, Room};
use folkmoot_replication::apply::{At, ShardApply, encode_outcomes};
use folkmoot_replication::{meta, placement::Shard};
use folkmoot_storage::{Batch, Read, Store, Table, keys, value};
use folkmoot_wire::ShardId;
use folkmoot_wire::proto::{DirectoryRange, GroupPush, MetaCommand, MetaState};
use prost::Message;
use tokio::sync::mpsc;

use super::chains::Chains;
use super::extent::{Extent, Slots};
use super::view::ClusterView;

/// What apply did, on its way to the shard's feed.
#[derive(Debug)]
pub struct Applied {
    /// What changed, in order.
    pub pushes: Vec<GroupPush>,
    /// Shard version that is complete with it.
    pub version: u64,
    /// The state was replaced: followers have to compare heads.
    pub replaced: bool,
    /// The shard has these slots from now on.
    pub slots: Option<Slots>,
}

/// A shard's machine: apply, and what it did goes to the feed once written.
pub struct ShardMachine {
    apply: ShardApply,
    shard: Shard,
    directory: Vec<DirectoryRange>,
    staged: Vec<GroupPush>,
    chains: Arc<Chains>,
    extent: Arc<Extent>,
    /// Full: apply waits for its feed. This machine is the only sender, so a
    /// place that `room` saw is still there when `applied` takes it.
    feed: mpsc::Sender<Applied>,
}

impl ShardMachine {
    /// A machine that tells `feed`.
    #[must_use]
    pub fn new(
        apply: ShardApply,
        shard: Shard,
        directory: Vec<DirectoryRange>,
        chains: Arc<Chains>,
        extent: Arc<Extent>,
        feed: mpsc::Sender<Applied>,
    ) -> Self {
        extent.may_move(apply.has_moves());
        Self {
            apply,
            shard,
            directory,
            staged: Vec::new(),
            chains,
            extent,
            feed,
        }
    }
}

impl Machine for ShardMachine {
    fn apply(
        &mut self,
        at: Position,
        payload: &Bytes,
        batch: &mut Batch,
    ) -> Result<Bytes, MachineError> {
        let at = At {
            index: at.index,
            term: at.term,
            leader: at.leader,
        };
        let (outcomes, pushes) = self
            .apply
            .apply(at, payload, batch)
            .map_err(MachineError::new)?;
        self.staged.extend(pushes);
        self.extent.may_move(self.apply.has_moves());
        Ok(encode_outcomes(outcomes))
    }

    fn take_child(&mut self) -> Option<ShardId> {
        self.apply.take_child()
    }

    fn applied(&mut self) {
        self.apply.settled();
        self.extent.is_filled();
        let slots = self.apply.slots();
        let slots = self.extent.set(slots).then_some(slots);
        // A feed that is gone belongs to a node that is stopping.
        let _ = self.feed.try_send(Applied {
            pushes: std::mem::take(&mut self.staged),
            version: self.apply.applied_index(),
            replaced: false,
            slots,
        });
    }

    fn room(&self) -> Room {
        let feed = self.feed.clone();
        Box::pin(async move { drop(feed.reserve().await) })
    }

    fn ranges(&self) -> Vec<(Table, Bytes, Bytes)> {
        state_ranges(&self.shard, self.apply.slots(), &self.directory)
    }

    fn inspector(&self) -> Arc<dyn Inspector> {
        Arc::clone(&self.chains) as _
    }

    fn replacing(&mut self) {
        self.extent.is_emptied();
        self.extent.may_move(true);
    }

    fn restored(&mut self) -> Result<(), MachineError> {
        self.apply.reload().map_err(MachineError::new)?;
        let slots = self.apply.slots();
        self.extent.may_move(self.apply.has_moves());
        self.extent.is_filled();
        self.extent.set(slots);
        let _ = self.feed.try_send(Applied {
            pushes: Vec::new(),
            version: self.apply.applied_index(),
            replaced: true,
            slots: Some(slots),
        });
        Ok(())
    }
}

/// Every key of a shard's state, of whatever role it is here, where it keeps
/// these slots.
#[must_use]
pub fn state_ranges(
    shard: &Shard,
    (first, last): Slots,
    directory: &[DirectoryRange],
) -> Vec<Range> {
    let (from, to) = keys::slots::range(shard.region, first, last);
    let by_group = [
        Table::Log,
        Table::Heads,
        Table::Rows,
        Table::Dedup,
        Table::Inbox,
    ];
    let mut ranges: Vec<_> = by_group
        .into_iter()
        .map(|table| (table, from.clone(), to.clone()))
        .collect();
    let (from, to) = keys::shards::range(shard.id);
    ranges.push((Table::Shards, from, to));
    let (from, to) = keys::outbox::shard_range(shard.id);
    ranges.push((Table::Outbox, from, to));
    for range in directory {
        let (from, to) = keys::users::range(range.from as u16, range.to as u16);
        ranges.push((Table::Users, from, to));
    }
    ranges
}

/// The meta shard's machine. Its state is one value; the view gets every
/// version of it.
pub struct MetaMachine {
    state: MetaState,
    store: Arc<dyn Store>,
    view: Arc<ClusterView>,
}

impl MetaMachine {
    /// A machine over what the store holds.
    ///
    /// # Errors
    /// When the store fails.
    pub fn open(store: Arc<dyn Store>, view: Arc<ClusterView>) -> Result<Self, MachineError> {
        let state = load_meta(&*store)?;
        view.set_meta(state.clone());
        Ok(Self { state, store, view })
    }
}

fn load_meta(read: &dyn Read) -> Result<MetaState, MachineError> {
    match read
        .get(Table::Shards, &keys::shards::key(ShardId::META))
        .map_err(MachineError::new)?
    {
        Some(bytes) => value::decode_value(bytes).map_err(MachineError::new),
        None => Ok(MetaState::default()),
    }
}

impl Machine for MetaMachine {
    fn apply(
        &mut self,
        at: Position,
        payload: &Bytes,
        batch: &mut Batch,
    ) -> Result<Bytes, MachineError> {
        let command = MetaCommand::decode(payload.clone()).map_err(MachineError::new)?;
        let outcome = meta::apply(&mut self.state, at.index, command);
        batch.put(
            Table::Shards,
            keys::shards::key(ShardId::META),
            value::encode_value(&self.state),
        );
        Ok(outcome.encode_to_vec().into())
    }

    fn applied(&mut self) {
        self.view.set_meta(self.state.clone());
    }

    fn ranges(&self) -> Vec<(Table, Bytes, Bytes)> {
        let (from, to) = keys::shards::range(ShardId::META);
        vec![(Table::Shards, from, to)]
    }

    fn restored(&mut self) -> Result<(), MachineError> {
        self.state = load_meta(&*self.store)?;
        self.view.set_meta(self.state.clone());
        Ok(())
    }
}
