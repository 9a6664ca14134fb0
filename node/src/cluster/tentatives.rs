//! Keeps what this region's people say while a home cannot be reached, shows
//! it to the region, and hands it over once the home is back (D9, D11).
//!
//! Every message has two keepers where the region has two nodes: the edge that
//! took it, and the relay, which is the region's one for the shard that the
//! group was born in (or, when that is the edge itself, the next node). The
//! relay hands over all it keeps, in the order of the message ids; the others
//! give theirs to the relay again and again until they hear what became of it.
//! So one order comes about, no keeper is waited for, and whatever happens
//! twice is harmless: the home knows a message by
//! its `(user, device, client_msg_id)`.

mod effects;
mod give;
mod handover;
mod may;
mod show;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use folkmoot_replication::placement::Shard;
use folkmoot_replication::tentative::{Attempt, Bounds, Page, Tentative, Tentatives, Told};
use folkmoot_storage::{Batch, Commit, Direction, Store, StoreError, Table, keys, value};
use folkmoot_wire::proto::{
    Accepted, Append, Command, Held, Outcome, SealedEntry, Settled, TentativeNews, command, outcome,
};
use folkmoot_wire::{Code, Fault, GroupId, NodeId, ShardId, limits};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::copies::Copies;
use super::outcome::is_awaited;
use super::read::storage;
use super::router::Router;
use effects::Effects;

/// Messages given to a keeper or handed over in one call.
const PAGE: Page = Page {
    messages: limits::BATCH_COMMANDS / 4,
    bytes: limits::BATCH_BYTES / 2,
};

/// Shows messages, and what became of others, to this edge's clients.
pub type Show = Box<dyn Fn(GroupId, Vec<SealedEntry>, Vec<Settled>) + Send + Sync>;

/// The parts of a [`Keeper`].
pub struct KeeperParts {
    pub store: Arc<dyn Store>,
    pub commit: Arc<dyn Commit>,
    pub copies: Arc<Copies>,
    pub router: Arc<Router>,
}

/// This node's part in it.
pub struct Keeper {
    parts: KeeperParts,
    known: Mutex<Tentatives>,
    /// Shards whose home was not reached the last time.
    cut: Mutex<BTreeSet<ShardId>>,
    began: Instant,
    work: Notify,
    show: OnceLock<Show>,
    effects: Effects,
    counts: Counts,
}

/// What became of messages here since the start.
#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    committed: AtomicU64,
    refused: AtomicU64,
}

impl Keeper {
    /// Opens what was kept before a restart.
    ///
    /// # Errors
    /// When the store fails or a message does not read back.
    pub fn open(parts: KeeperParts) -> Result<Self, StoreError> {
        let mut known = Tentatives::new(Bounds {
            messages: limits::TENTATIVE_MESSAGES,
            of_sender: limits::TENTATIVE_OF_SENDER,
            bytes: limits::TENTATIVE_BYTES,
            silence: limits::TENTATIVE_SILENCE,
        });
        let (mut from, to) = keys::node::tentatives();
        loop {
            let page = parts
                .store
                .scan(Table::Node, &from, &to, 1_000, Direction::Forward)?;
            let Some((last, _)) = page.last() else { break };
            from = keys::successor(last);
            for (_, bytes) in page {
                if let Some(tentative) = tentative_of(value::decode_value(bytes)?) {
                    // What was kept before fits into the bounds of before.
                    let _ = known.take(tentative, true, Duration::ZERO);
                }
            }
        }
        if !known.is_empty() {
            tracing::info!(
                messages = known.len(),
                "tentative messages wait for their home since before the restart"
            );
        }
        Ok(Self {
            parts,
            known: Mutex::new(known),
            cut: Mutex::default(),
            began: Instant::now(),
            work: Notify::new(),
            show: OnceLock::new(),
            effects: Effects::default(),
            counts: Counts::default(),
        })
    }

    /// Where messages are shown. Once.
    pub fn show_to(&self, show: Show) {
        let _ = self.show.set(show);
    }

    fn me(&self) -> NodeId {
        self.parts.copies.peers.me()
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether what is said in the group now has to wait behind what waits
    /// already, or its home was not reached just now.
    pub fn is_cut(&self, shard: ShardId, group: &GroupId) -> bool {
        self.cut.lock().contains(&shard) || self.known.lock().keeps(group)
    }

    /// Messages that wait for a home here, or are shown.
    pub fn waiting(&self) -> usize {
        self.known.lock().len()
    }

    /// Since the start: messages accepted from this edge's clients, and what
    /// the home made of those that were kept here, by name.
    pub fn counts(&self) -> [(&'static str, u64); 3] {
        let Counts {
            accepted,
            committed,
            refused,
        } = &self.counts;
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("accepted", of(accepted)),
            ("committed", of(committed)),
            ("refused", of(refused)),
        ]
    }

    /// Takes what was said while the home cannot be reached. Answers once it
    /// is durable here and at one more node of the region, where there is one.
    pub async fn accept(
        &self,
        shard: &Shard,
        group: GroupId,
        appends: Vec<Append>,
        wall_ms: u64,
    ) -> Vec<Result<Outcome, Fault>> {
        let count = appends.len();
        match self.try_accept(shard, group, appends, wall_ms).await {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            Err(fault) => vec![Err(fault); count],
        }
    }

    async fn try_accept(
        &self,
        shard: &Shard,
        group: GroupId,
        appends: Vec<Append>,
        wall_ms: u64,
    ) -> Result<Vec<Outcome>, Fault> {
        self.parts.copies.leases.check(shard.id)?;
        let mut said = Vec::with_capacity(appends.len());
        for append in appends {
            let tentative =
                Tentative::new(group, append).ok_or_else(|| Fault::from(Code::Unavailable))?;
            self.may(&tentative, &said, wall_ms)?;
            said.push(tentative);
        }
        if self.cut.lock().insert(shard.id) {
            tracing::warn!(
                shard = shard.id.0,
                "the home cannot be reached: messages are tentative until it can"
            );
        }
        let outcomes = self.keep(&said).await?;
        self.second_copy(group, &said).await?;
        self.work.notify_one();
        let accepted = outcomes.len() as u64;
        self.counts.accepted.fetch_add(accepted, Ordering::Relaxed);
        Ok(outcomes)
    }

    /// Makes messages durable here, and shows those that are new.
    async fn keep(&self, said: &[Tentative]) -> Result<Vec<Outcome>, Fault> {
        let mut batch = Batch::default();
        let mut outcomes = Vec::with_capacity(said.len());
        let mut news = Vec::new();
        let mut full = None;
        let written = {
            let (mut known, now) = (self.known.lock(), self.now());
            for tentative in said {
                // Those taken before it are kept, and written: their retry is
                // told that they are known.
                let told = match known.take(tentative.clone(), true, now) {
                    Ok(told) => told,
                    Err(error) => {
                        full = Some(Fault::new(Code::Unavailable, error.to_string()));
                        break;
                    }
                };
                let (group, attempt) = (tentative.group, tentative.attempt());
                let tentative = known.get(group, attempt).unwrap_or(tentative);
                let id = tentative.id();
                if let Told::Renamed { from } = told {
                    batch.delete(Table::Node, keys::node::tentative(&group, &from));
                }
                if told != Told::Known {
                    batch.put(
                        Table::Node,
                        keys::node::tentative(&group, &id),
                        value::encode_value(&command_of(tentative)),
                    );
                }
                if told == Told::New {
                    news.push(tentative.clone());
                }
                outcomes.push(Outcome {
                    result: Some(outcome::Result::Accepted(Accepted {
                        hlc: id.hlc.as_u64(),
                        id: id.to_bytes(),
                    })),
                });
            }
            // Under the lock: one that is known was submitted before, so even
            // an empty batch waits for it.
            let (done, written) = oneshot::channel();
            let done = Box::new(move |result| drop(done.send(result)));
            self.parts.commit.submit(batch, done);
            written
        };
        match written.await {
            Ok(result) => result.map_err(storage)?,
            Err(_) => return Err(Code::Unavailable.into()),
        }
        self.show(&news, Vec::new());
        full.map_or(Ok(outcomes), Err)
    }

    fn region(&self) -> String {
        let placement = self.parts.copies.view.placement();
        let region = placement.region_of_node(self.me());
        region.unwrap_or_default().to_owned()
    }

    /// The other living nodes of the region.
    fn neighbours(&self) -> BTreeSet<NodeId> {
        let (me, placement) = (self.me(), self.parts.copies.view.placement());
        let region = placement.region_of_node(me);
        placement
            .nodes()
            .filter(|(id, node)| {
                *id != me
                    && Some(node.region.as_str()) == region
                    && self.parts.copies.view.alive(*id)
            })
            .map(|(id, _)| id)
            .collect()
    }

    /// Another node of the region tells of messages, or gives some to keep.
    ///
    /// # Errors
    /// When they cannot be kept.
    pub async fn told(&self, news: TentativeNews) -> Result<Held, Fault> {
        let said: Vec<Tentative> = news.held.into_iter().filter_map(tentative_of).collect();
        if news.keep {
            self.keep(&said).await?;
            self.work.notify_one();
        } else {
            self.glimpse(said);
        }
        let settled = news.settled.into_iter().filter_map(|settled| {
            let group = GroupId::from_slice(&settled.group).ok()?;
            Some((group, settled.settled?))
        });
        self.settle(settled.collect());
        Ok(Held {})
    }

    /// Shows messages that others keep.
    fn glimpse(&self, said: Vec<Tentative>) {
        let now = self.now();
        let mut news = Vec::new();
        for tentative in said {
            // Full: it is not shown, and loses nothing by it.
            let told = self.known.lock().take(tentative.clone(), false, now);
            if told == Ok(Told::New) {
                news.push(tentative);
            }
        }
        self.show(&news, Vec::new());
    }

    /// Takes out what the home has answered, and shows what became of it.
    fn settle(&self, settled: Vec<(GroupId, Settled)>) {
        let mut batch = Batch::default();
        let mut shown = Vec::new();
        for (group, settled) in settled {
            let Some(attempt) = attempt_of(&settled) else {
                continue;
            };
            if let Some(tentative) = self.known.lock().settle(group, attempt) {
                let key = keys::node::tentative(&group, &tentative.id());
                batch.delete(Table::Node, key);
                let count = match settled.error {
                    None => &self.counts.committed,
                    Some(_) => &self.counts.refused,
                };
                count.fetch_add(1, Ordering::Relaxed);
                match settled.error.is_none() && is_awaited(&tentative.append) {
                    true => self.effects.put(group, settled),
                    false => shown.push((group, settled)),
                }
            }
        }
        if !batch.is_empty() {
            // Lost in a crash: handed over again, and found to be there.
            self.parts.commit.submit(batch, Box::new(|_| ()));
        }
        self.show(&[], shown);
    }
}

fn command_of(tentative: &Tentative) -> Command {
    Command {
        group: tentative.group.to_bytes(),
        op: Some(command::Op::Append(tentative.append.clone())),
    }
}

fn tentative_of(command: Command) -> Option<Tentative> {
    let group = GroupId::from_slice(&command.group).ok()?;
    match command.op {
        Some(command::Op::Append(append)) => Tentative::new(group, append),
        _ => None,
    }
}

fn attempt_of(settled: &Settled) -> Option<Attempt> {
    Attempt::of(&Append {
        sender: settled.sender.clone(),
        device: settled.device,
        client_msg_id: settled.client_msg_id.clone(),
        ..Append::default()
    })
}
