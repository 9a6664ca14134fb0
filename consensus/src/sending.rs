//! Sends a snapshot: its manifest, and of its chunks those that the other one
//! lacks.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use folkmoot_storage::Read;
use openraft::errors::{NetworkError, RPCError, StreamingError, Unreachable};
use openraft::network::RPCTypes;
use openraft::raft::SnapshotResponse;

use crate::applier::{Snapshot, SnapshotData};
use crate::codec::damaged;
use crate::compare::Amount;
use crate::cut::{Chunk, Cutter, Sizes};
use crate::manifest::{Begin, Lacks, ManifestPart, PART_CHUNKS, Step, encode_chunks};
use crate::network::{Answer, Way};
use crate::pages::{self, PageReader, to_wire};
use crate::port::{Range, Whose};
use crate::tally::add;
use crate::types::{SnapshotMeta, Types, Vote};
use crate::wire::{Kind, PartHeader, decode, encode, encode_part};

type Failed = StreamingError<Types>;
type Response = SnapshotResponse<Types>;

fn failed(error: io::Error) -> Failed {
    NetworkError::new(&error).into()
}

/// Not to be tried again at once.
fn pause(why: &str) -> Failed {
    RPCError::from(Unreachable::from_string(why)).into()
}

/// What goes, and what of it went.
struct Sending {
    step: Step,
    view: Arc<dyn Read>,
    all: Amount,
    went: Amount,
}

impl Way {
    pub(crate) async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: Snapshot,
    ) -> Result<Response, Failed> {
        let SnapshotData::View { view, mut ranges } = snapshot.snapshot else {
            return Err(failed(damaged("only this replica's own state can be sent")));
        };
        ranges.retain(|(_, from, to)| from < to);
        let (shard, to) = (self.network.shard, self.to);
        let upto = snapshot.meta.last_log_id.map_or(0, |last| last.index);
        tracing::info!(
            %shard, %to, upto,
            "a node lacks more than the log still has: it gets a snapshot"
        );
        let mut sending = Sending {
            step: Step {
                vote,
                transfer: self.network.transfers.fetch_add(1, Ordering::Relaxed),
                number: 0,
            },
            view,
            all: Amount::default(),
            went: Amount::default(),
        };
        let meta = snapshot.meta;
        let sent = match self.offer(&mut sending, &ranges, meta.clone()).await {
            Ok(Some(response)) => Ok(response),
            Ok(None) => {
                tracing::info!(%shard, %to, "the node runs an earlier version: it is sent everything");
                self.send_pages(&mut sending, ranges, meta).await
            }
            Err(error) => Err(error),
        };
        let (went, all) = (sending.went, sending.all);
        match &sent {
            Ok(answer) if answer.vote == vote => {
                add(&self.network.tally.sent, 1);
                tracing::info!(
                    %shard, %to, chunks = went.chunks, of_chunks = all.chunks,
                    bytes = went.bytes, of_bytes = all.bytes,
                    "the node has the snapshot: it was sent what it lacked"
                );
            }
            Ok(_) => {
                tracing::info!(%shard, %to, "there is a newer leader than who sent a snapshot")
            }
            Err(error) => {
                tracing::warn!(%shard, %to, %error, "a snapshot was not taken: it is tried again");
            }
        }
        sent
    }

    /// `None`: the other one does not know what a manifest is.
    async fn offer(
        &self,
        sending: &mut Sending,
        ranges: &[Range],
        meta: SnapshotMeta,
    ) -> Result<Option<Response>, Failed> {
        let sizes = Sizes::of(self.network.part_bytes);
        let mut cutter = Cutter::new(Arc::clone(&sending.view), ranges.to_vec(), sizes);
        let mut begin = Some(Begin {
            meta,
            ranges: to_wire(ranges),
        });
        loop {
            let chunks = cut(&mut cutter).await.map_err(failed)?;
            if chunks.is_empty() && begin.is_none() {
                break;
            }
            let part = ManifestPart {
                step: sending.step.clone(),
                begin: begin.take(),
                chunks: chunks.iter().map(Into::into).collect(),
            };
            let Some(lacks) = self.name(&part).await? else {
                return Ok(None);
            };
            sending.step.number += 1;
            for chunk in &chunks {
                sending.all.add(chunk.sum.bytes);
            }
            self.send_chunks(sending, &chunks, &lacks).await?;
        }
        let install = encode(&sending.step);
        let deadline = self.network.install_deadline;
        let answer = self
            .ask(Kind::Install, RPCTypes::InstallSnapshot, install, deadline)
            .await?;
        Ok(Some(answer))
    }

    async fn name(&self, part: &ManifestPart) -> Result<Option<Lacks>, Failed> {
        let bytes = encode(part).map_err(failed)?;
        add(&self.network.tally.bytes_sent, bytes.len() as u64);
        let (action, deadline) = (RPCTypes::InstallSnapshot, self.network.call_deadline);
        let answer = self
            .exchange(Kind::Manifest, action, bytes, 0, deadline)
            .await?;
        match answer {
            Answer::Done(lacks) => decode(&lacks).map(Some).map_err(failed),
            Answer::Declined(why) => Err(pause(&why)),
            // Who knows manifests declines them otherwise.
            Answer::Refused(_) if part.step.number == 0 => Ok(None),
            Answer::Refused(why) => Err(pause(&why)),
        }
    }

    async fn send_chunks(
        &self,
        sending: &mut Sending,
        chunks: &[Chunk],
        lacks: &Lacks,
    ) -> Result<(), Failed> {
        let (mut pages, mut bytes) = (Vec::new(), 0);
        for (number, chunk) in chunks.iter().enumerate() {
            if lacks.has(number) {
                let page = self.page(&sending.view, chunk)?;
                bytes += page.len();
                sending.went.add(page.len() as u64);
                pages.push((number as u32, page));
            }
            let full = bytes >= self.network.part_bytes;
            if full || (number + 1 == chunks.len() && !pages.is_empty()) {
                self.send_some(&mut sending.step, &std::mem::take(&mut pages))
                    .await?;
                bytes = 0;
            }
        }
        Ok(())
    }

    /// Nothing that does not hold leaves this store.
    fn page(&self, view: &Arc<dyn Read>, chunk: &Chunk) -> Result<Bytes, Failed> {
        let sound = self
            .network
            .inspector
            .inspect(&**view, &chunk.range, Whose::Own);
        if let Err(error) = sound {
            add(&self.network.tally.refused, 1);
            tracing::error!(
                shard = %self.network.shard, to = %self.to, %error,
                "this node's own state does not hold: it is not given to others"
            );
            return Err(pause(&error.to_string()));
        }
        pages::read(&**view, &chunk.range).map_err(failed)
    }

    async fn send_some(&self, step: &mut Step, chunks: &[(u32, Bytes)]) -> Result<(), Failed> {
        let message = encode_chunks(step, chunks);
        let len = message.as_ref().map_or(0, Bytes::len);
        add(&self.network.tally.bytes_sent, len as u64);
        let (action, deadline) = (RPCTypes::InstallSnapshot, self.network.call_deadline);
        let () = self.ask(Kind::Chunks, action, message, deadline).await?;
        step.number += 1;
        Ok(())
    }

    /// All of it, to a node of a version without manifests.
    async fn send_pages(
        &self,
        sending: &mut Sending,
        ranges: Vec<Range>,
        meta: SnapshotMeta,
    ) -> Result<Response, Failed> {
        let mut header = PartHeader {
            vote: sending.step.vote,
            transfer: sending.step.transfer,
            number: 0,
            last: false,
            meta,
            ranges: to_wire(&ranges),
        };
        let view = Arc::clone(&sending.view);
        let mut pages = PageReader::new(view, ranges, self.network.part_bytes);
        let mut page = pages.next().map_err(failed)?;
        sending.all = Amount::default();
        loop {
            let next = pages.next().map_err(failed)?;
            header.last = next.is_none();
            let deadline = if header.last {
                self.network.install_deadline
            } else {
                self.network.call_deadline
            };
            let page_now = page.as_deref().unwrap_or_default();
            sending.all.add(page_now.len() as u64);
            sending.went = sending.all;
            let part = encode_part(&header, page_now);
            let len = part.as_ref().map_or(0, Bytes::len);
            add(&self.network.tally.bytes_sent, len as u64);
            let answer: Response = self
                .ask(Kind::Part, RPCTypes::InstallSnapshot, part, deadline)
                .await?;
            let superseded = answer.vote.leader_id.term > header.vote.leader_id.term;
            if header.last || superseded {
                return Ok(answer);
            }
            header.number += 1;
            header.ranges.clear();
            page = next;
        }
    }
}

async fn cut(cutter: &mut Cutter) -> io::Result<Vec<Chunk>> {
    let mut chunks = Vec::new();
    while chunks.len() < PART_CHUNKS
        && let Some(chunk) = cutter.next()?
    {
        chunks.push(chunk);
        // Much may have to be read, and this thread has other tasks.
        tokio::task::yield_now().await;
    }
    Ok(chunks)
}
