//! One `(user, device, client_msg_id)` makes at most one entry (D9).
//!
//! A record is part of the append's batch. Its key begins with the stamp in
//! the client's id, so what is older than the window lies at the front of
//! the group's range and goes in one range delete.

use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_storage::{Table, keys, value};
use folkmoot_wire::proto::{Committed, EntryHeader, MemberStatus, Outcome, StoredDedup, outcome};
use folkmoot_wire::{ClientMsgId, Code, DeviceId, UserId, limits, without};

use super::sequence::Request;
use super::{ApplyError, ShardApply, refuse};

/// Records past the window are collected once in this many entries.
const COLLECT_EVERY: u64 = 1_024;

impl ShardApply {
    /// The answer, when this id was seen before or cannot be judged any more.
    pub(super) fn deduplicate(&mut self, request: &Request) -> Result<Option<Verdict>, ApplyError> {
        let Some(id) = request.client_msg_id else {
            return Ok(Some(Err(folkmoot_wire::Fault::new(
                Code::Invalid,
                "client_msg_id is missing",
            ))));
        };
        if let Some(answer) = self.outside_window(request, &id)? {
            return Ok(Some(answer));
        }
        without!(Dedup => {
            // A group is made by asking until the answer is the same twice.
            if request.kind != folkmoot_wire::proto::Kind::Create {
                return Ok(None);
            }
        });
        let Some(bytes) = self.record(request, &id)? else {
            return Ok(None);
        };
        let seen: StoredDedup = value::decode_value(bytes)?;
        if seen.content_hash != content_hash(request) {
            return Ok(Some(refuse(
                Code::Conflict,
                format!("it is entry {}", seen.seq),
            )?));
        }
        Ok(Some(Ok(Outcome {
            result: Some(outcome::Result::Committed(Committed {
                seq: seen.seq,
                hlc: seen.hlc,
                id: seen.id,
                duplicate: true,
                read_count: 0,
            })),
        })))
    }

    fn record(&mut self, request: &Request, id: &ClientMsgId) -> Result<Option<Bytes>, ApplyError> {
        let (group, store) = (&request.group, self.view.store());
        if self.newest.excludes(&*store, group, sender(request), id)? {
            return Ok(None);
        }
        self.view.get(Table::Dedup, &key(request, id))
    }

    fn outside_window(
        &mut self,
        request: &Request,
        id: &ClientMsgId,
    ) -> Result<Option<Verdict>, ApplyError> {
        let stamp = id.stamp().millis();
        if stamp > request.proposed.millis() + limits::HLC_DRIFT_MS {
            let answer = refuse(
                Code::ClockDrift,
                "client_msg_id begins with a stamp of the future",
            )?;
            return Ok(Some(answer));
        }
        let log = self.view.head(&request.group)?.map_or(0, |head| head.hlc);
        if stamp + limits::DEDUP_WINDOW_MS < Hlc::from_u64(log).millis() {
            let sender = self.standing(&request.group, &request.sender)?.status();
            let open = self.group_value(&request.group)?.is_some_and(|g| g.open);
            if sender == MemberStatus::None && !open {
                // "Expired" would tell an outsider that there is such a log.
                return Ok(Some(refuse(Code::NotFound, "")?));
            }
            return Ok(Some(refuse(Code::Expired, "")?));
        }
        Ok(None)
    }

    /// Remembers that `request` became the entry of `header`.
    pub(super) fn remember(&mut self, request: &Request, header: &EntryHeader) {
        let Some(id) = request.client_msg_id else {
            return;
        };
        let record = StoredDedup {
            seq: header.seq,
            hlc: header.hlc,
            id: header.id.clone(),
            content_hash: content_hash(request),
        };
        self.view.put(
            Table::Dedup,
            key(request, &id),
            value::encode_value(&record),
        );
        self.newest.remember(&request.group, sender(request), id);
        if header.seq.is_multiple_of(COLLECT_EVERY) {
            self.collect_dedup(request, header);
        }
    }

    fn collect_dedup(&mut self, request: &Request, header: &EntryHeader) {
        let now = Hlc::from_u64(header.hlc).millis();
        let Some(cutoff) = now.checked_sub(limits::DEDUP_WINDOW_MS) else {
            return;
        };
        let oldest = Hlc::from_parts(cutoff, 0);
        let (from, to) = keys::dedup::stamped_before(&request.group, oldest.as_u64());
        self.view.forget_range(Table::Dedup, from, to);
    }
}

/// An answer that is known: no further state is needed.
pub(super) type Verdict = Result<Outcome, folkmoot_wire::Fault>;

fn sender(request: &Request) -> (UserId, DeviceId) {
    (request.sender, DeviceId(request.append.device))
}

fn key(request: &Request, id: &ClientMsgId) -> Bytes {
    let device = DeviceId(request.append.device);
    keys::dedup::key(&request.group, id, &request.sender, device)
}

/// Hash of what the sender said, without what an attempt adds (id, salt).
fn content_hash(request: &Request) -> Bytes {
    let append = &request.append;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&append.kind.to_be_bytes());
    hasher.update(&append.target.to_be_bytes());
    hasher.update(&append.reply_to.to_be_bytes());
    hasher.update(&append.thread.to_be_bytes());
    hasher.update(&append.expires_at_ms.to_be_bytes());
    hasher.update(&append.cipher.to_be_bytes());
    hasher.update(&[u8::from(append.mentions_all), append.subject.len() as u8]);
    hasher.update(&append.subject);
    hasher.update(&(append.mentions.len() as u32).to_be_bytes());
    for mention in &append.mentions {
        hasher.update(mention);
    }
    hasher.update(&append.body);
    Bytes::copy_from_slice(&hasher.finalize().as_bytes()[..16])
}
