//! Entries that a disk changed: found as they are read, or by looking through
//! all logs, and put in place again as other nodes have them.
//!
//! The chain says what is right: an entry is taken from whoever has one that
//! follows from ours before it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use folkmoot_replication::placement::Shard;
use folkmoot_storage::{Batch, Place, Read, Store, StoreError, Table, keys, log, value};
use folkmoot_wire::entry::Chain;
use folkmoot_wire::proto::{FetchLog, Head, SealedEntry, node_reply, node_request};
use folkmoot_wire::{GroupId, NodeId, limits, without};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::peers::{Class, Peers};
use super::read::proof::{self, Page, Unproven};
use super::view::ClusterView;

/// Copies whose logs are to be looked through, and what was found so far.
#[derive(Default)]
pub struct Suspects {
    copies: Mutex<BTreeSet<Place>>,
    added: Notify,
    found: AtomicU64,
    mended: AtomicU64,
}

impl Suspects {
    /// Entry `seq` does not follow from the one before it. When too many wait,
    /// it is found again by whoever reads it next.
    pub fn add(&self, place: Place, seq: u64) {
        let mut copies = self.copies.lock();
        if copies.len() < limits::SUSPECTS && copies.insert(place) {
            tracing::error!(
                group = %place.group, seq,
                "an entry of this node's copy is not what was written: its disk or memory changed it. It is fetched from other nodes; check the disk"
            );
            self.found.fetch_add(1, Ordering::Relaxed);
            self.added.notify_one();
        }
    }

    /// How often damage was found, and how many entries were put in place.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.found), read(&self.mended))
    }

    fn all(&self) -> Vec<Place> {
        self.copies.lock().iter().copied().collect()
    }
}

/// Why a log stays as it is for now.
#[derive(Debug, thiserror::Error)]
enum NotYet {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("no node that can be reached has entry {0} so that it follows from this node's")]
    Nobody(u64),
    #[error(
        "its head does not follow from its log: with the node stopped, `folkmoot node verify --data DIR` says more"
    )]
    Head,
}

/// Finds and mends.
pub struct Mender {
    pub cluster: [u8; 16],
    pub store: Arc<dyn Store>,
    pub suspects: Arc<Suspects>,
    pub peers: Arc<Peers>,
    pub view: Arc<ClusterView>,
}

/// How far a walk through all logs is.
#[derive(Default)]
struct Walk {
    place: Option<Place>,
    seq: u64,
}

impl Mender {
    /// Runs until the node stops.
    pub async fn run(self, stop: CancellationToken) {
        let _ = stop.run_until_cancelled(self.work()).await;
    }

    async fn work(&self) {
        let (mut walk, mut wait) = (Walk::default(), limits::SCRUB_EVERY);
        loop {
            let _ = timeout(wait, self.suspects.added.notified()).await;
            if self.mend_all().await {
                wait = limits::MEND_AGAIN;
                continue;
            }
            wait = match self.look(&mut walk) {
                Ok(true) => limits::SCRUB_EVERY,
                Ok(false) => limits::SCRUB_AGAIN,
                Err(error) => {
                    tracing::error!(%error, "logs cannot be looked through");
                    limits::SCRUB_AGAIN
                }
            };
        }
    }

    /// Whether something is left.
    async fn mend_all(&self) -> bool {
        let mut left = false;
        for place in self.suspects.all() {
            let group = place.group;
            match self.mend(&place).await {
                Ok(entries) => {
                    self.suspects.copies.lock().remove(&place);
                    tracing::info!(%group, entries, "damaged entries were put in place");
                }
                Err(error) => {
                    tracing::warn!(%group, %error, "a damaged log is not mended yet");
                    left = true;
                }
            }
        }
        left
    }

    /// Looks at the next page. False: that was the last.
    fn look(&self, walk: &mut Walk) -> Result<bool, StoreError> {
        let Some(place) = walk.place else {
            return self.next(walk);
        };
        let seat = place.seat(&*self.store);
        let Some(head) = log::read_head(&seat, &place.group)? else {
            return self.next(walk);
        };
        let floor = head.floor.as_ref().map_or(0, |floor| floor.seq);
        let page = Page {
            after: walk.seq.max(floor),
            before: head.seq.saturating_add(1),
            limit: limits::PAGE_ENTRIES as usize,
            max_bytes: limits::PAGE_BYTES,
            backward: false,
        };
        match proof::read(&seat, &self.cluster, &place.group, &head, &page) {
            Ok(proven) if proven.entries.is_empty() => self.next(walk),
            Ok(proven) => {
                walk.seq = proven.from - 1 + proven.entries.len() as u64;
                Ok(true)
            }
            Err(Unproven::Damaged { seq }) => {
                self.suspects.add(place, seq);
                self.next(walk)
            }
            Err(Unproven::Store(error)) => Err(error),
        }
    }

    fn next(&self, walk: &mut Walk) -> Result<bool, StoreError> {
        let next = log::read_heads(&*self.store, walk.place.as_ref(), 1)?;
        let place = next.first().map(|(place, _)| *place);
        *walk = Walk { place, seq: 0 };
        Ok(place.is_some())
    }

    /// Walks a log from its beginning, and mends what does not follow. Gives
    /// the entries that were put in place.
    async fn mend(&self, place: &Place) -> Result<u64, NotYet> {
        let (seat, group) = (place.seat(&*self.store), &place.group);
        let (mut seq, mut mended) = (0, 0);
        let mut known: Option<Chain> = None;
        loop {
            let Some(head) = log::read_head(&seat, group)? else {
                return Ok(mended);
            };
            if let Some(floor) = head.floor.as_ref().filter(|floor| floor.seq > seq) {
                (seq, known) = (floor.seq, None);
            }
            let chain = match known {
                Some(chain) => chain,
                None => proof::chain_at(&seat, &self.cluster, group, &head, seq)
                    .map_err(|_| NotYet::Head)?,
            };
            if seq >= head.seq {
                let follows = seq > head.seq || chain == head.chain[..];
                return follows.then_some(mended).ok_or(NotYet::Head);
            }
            let next = match entry(&seat, group, seq + 1)? {
                Some(sealed) => sealed.verify(&chain, seq + 1).ok(),
                None => None,
            };
            if let Some((_, chain)) = next {
                (seq, known) = (seq + 1, Some(chain));
                if seq % u64::from(limits::PAGE_ENTRIES) == 0 {
                    tokio::task::yield_now().await;
                }
                continue;
            }
            let sealed = self.elsewhere(place, seq, &chain).await?;
            known = Some(self.put(place, seq + 1, &sealed)?);
            (seq, mended) = (seq + 1, mended + 1);
        }
    }

    fn put(&self, place: &Place, seq: u64, sealed: &SealedEntry) -> Result<Chain, NotYet> {
        let chain = folkmoot_wire::entry::chain_from(&sealed.chain);
        let chain = chain.map_err(|_| NotYet::Nobody(seq))?;
        // A copy that was thrown away meanwhile is fetched whole.
        let (seat, group) = (place.seat(&*self.store), &place.group);
        let head = log::read_head(&seat, group)?;
        if head.is_some_and(|head: Head| head.seq >= seq) {
            let mut batch = Batch::new();
            let key = keys::log::key(group, seq);
            batch.put(Table::Log, key, value::encode_value(sealed));
            self.store.write(seat.batch(batch))?;
            self.suspects.mended.fetch_add(1, Ordering::Relaxed);
        }
        Ok(chain)
    }

    /// The entry behind `after`, from any node whose one follows from `chain`.
    async fn elsewhere(
        &self,
        place: &Place,
        after: u64,
        chain: &Chain,
    ) -> Result<SealedEntry, NotYet> {
        let placement = self.view.placement();
        let shard = placement.shard_of_slot(place.region, place.group.slot());
        let request = node_request::Request::FetchLog(FetchLog {
            group: place.group.to_bytes(),
            shard: shard.map_or(0, |shard| shard.id.0),
            after,
            before: after + 2,
            limit: 1,
            max_bytes: limits::PAGE_BYTES as u32,
            ..FetchLog::default()
        });
        for node in self.others(shard) {
            let call =
                self.peers
                    .call_living(node, Class::Bulk, request.clone(), limits::RPC_DEADLINE);
            let Ok(node_reply::Reply::Log(slice)) = call.await else {
                continue;
            };
            let first = slice.entries.into_iter().next();
            if let Some(sealed) = first.filter(|sealed| sealed.verify(chain, after + 1).is_ok()) {
                return Ok(sealed);
            }
        }
        Err(NotYet::Nobody(after + 1))
    }

    /// Voters of the shard first.
    fn others(&self, shard: Option<&Shard>) -> Vec<NodeId> {
        let placement = self.view.placement();
        let voters = shard.map(|shard| &shard.voters);
        let mut nodes: Vec<NodeId> = voters.into_iter().flatten().copied().collect();
        for (node, _) in placement.nodes() {
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        }
        nodes.retain(|node| *node != self.peers.me() && self.view.alive(*node));
        nodes.truncate(limits::MEND_ASKS);
        nodes
    }
}

/// One entry; `None`: it is not there, or is no entry.
fn entry(read: &dyn Read, group: &GroupId, seq: u64) -> Result<Option<SealedEntry>, StoreError> {
    match log::read_entry(read, group, seq) {
        Err(StoreError::Entry { .. }) => Ok(None),
        read => read,
    }
}

/// Heads read at once.
const HEADS: usize = 1_000;

/// Before anything of the store is used: a head has to be that of its log. One
/// whose chain is not that of its last entry gets it from there, if the entry
/// follows from the one before it. Gives how many did.
///
/// # Errors
/// When the store fails.
pub fn right_heads(store: &dyn Store, cluster: &[u8; 16]) -> Result<u64, StoreError> {
    without!(ChainCheck => { return Ok(0); });
    let (mut righted, mut after) = (0, None);
    loop {
        let heads = log::read_heads(store, after.as_ref(), HEADS)?;
        let Some((last, _)) = heads.last() else {
            return Ok(righted);
        };
        after = Some(*last);
        for (place, head) in heads {
            let (seat, group) = (place.seat(store), place.group);
            if let Some(chain) = other_chain(&seat, cluster, &group, &head) {
                tracing::error!(
                    %group,
                    "the head of this node's copy is not what was written: its disk or memory changed it. It is taken from the log; check the disk"
                );
                let head = Head { chain, ..head };
                let mut batch = Batch::new();
                let key = keys::heads::key(&group);
                batch.put(Table::Heads, key, value::encode_value(&head));
                store.write(seat.batch(batch))?;
                righted += 1;
            }
        }
    }
}

/// The chain that a head should have, where it has another. Of a log that does
/// not end with an entry that is proven nothing is known.
fn other_chain(
    store: &dyn Read,
    cluster: &[u8; 16],
    group: &GroupId,
    head: &Head,
) -> Option<Bytes> {
    let before = head.seq.checked_sub(1)?;
    let sealed = log::read_entry(store, group, head.seq).ok()??;
    if sealed.chain == head.chain {
        return None;
    }
    let previous = proof::chain_at(store, cluster, group, head, before).ok()?;
    sealed.verify(&previous, head.seq).ok()?;
    Some(sealed.chain)
}

#[cfg(test)]
mod tests;
