//! One `(user, device, client_msg_id)` makes at most one entry, and has one
//! answer (D9): what was refused for good, or changed nothing, stays so,
//! however late another attempt of it comes.
//!
//! A record is part of the append's batch. Its key begins with the stamp in
//! the client's id, so what is older than the window lies at the front of
//! the group's range and goes in one range delete.

use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_storage::{Table, keys, value};
use folkmoot_wire::proto::{
    Committed, EntryHeader, GroupValue, Kind, MemberStatus, Outcome, StoredDedup, outcome,
};
use folkmoot_wire::{ClientMsgId, Code, DeviceId, UserId, limits, version, without};

use super::sequence::Request;
use super::{ApplyError, ShardApply, done, refuse};

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
            if request.kind != Kind::Create {
                return Ok(None);
            }
        });
        let Some(bytes) = self.record(request, &id)? else {
            return Ok(None);
        };
        let seen: StoredDedup = value::decode_value(bytes)?;
        if seen.content_hash != content_hash(request) {
            let detail = match seen.seq {
                0 => "it made no entry".to_owned(),
                seq => format!("it is entry {seq}"),
            };
            return Ok(Some(refuse(Code::Conflict, detail)?));
        }
        if seen.code != 0 {
            // A code of a later version is still a refusal.
            let code = Code::from_u32(seen.code).unwrap_or(Code::Forbidden);
            return Ok(Some(refuse(code, "")?));
        }
        if seen.seq == 0 {
            return Ok(Some(done()?));
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
            // "Expired" would tell an outsider that there is such a log.
            let code = match self.knows_of(request)? {
                true => Code::Expired,
                false => Code::NotFound,
            };
            return Ok(Some(refuse(code, "")?));
        }
        Ok(None)
    }

    /// Whether the sender has, or had, to do with the group, or anybody may.
    fn knows_of(&mut self, request: &Request) -> Result<bool, ApplyError> {
        let sender = self.standing(&request.group, &request.sender)?.status();
        let open = |group: GroupValue| group.open;
        Ok(sender != MemberStatus::None || self.group_value(&request.group)?.is_some_and(open))
    }

    /// Remembers what made no entry: another attempt may be on its way, and
    /// find the sender's standing changed. Nothing is kept of outsiders, who
    /// could fill the disk with it.
    pub(super) fn remember_without_entry(
        &mut self,
        request: &Request,
        verdict: &Verdict,
    ) -> Result<(), ApplyError> {
        let code = match verdict {
            Ok(Outcome {
                result: Some(outcome::Result::Done(_)),
            }) => 0,
            Err(fault) if !fault.code.temporary() => fault.code as u32,
            _ => return Ok(()),
        };
        let may = self.applied.apply_version >= version::APPLY_REMEMBERS;
        if may && request.kind != Kind::Create && self.knows_of(request)? {
            let record = StoredDedup {
                content_hash: content_hash(request),
                code,
                ..StoredDedup::default()
            };
            self.put_record(request, &record);
        }
        Ok(())
    }

    /// Remembers that `request` became the entry of `header`.
    pub(super) fn remember(&mut self, request: &Request, header: &EntryHeader) {
        let record = StoredDedup {
            seq: header.seq,
            hlc: header.hlc,
            id: header.id.clone(),
            content_hash: content_hash(request),
            code: 0,
        };
        self.put_record(request, &record);
        if header.seq.is_multiple_of(COLLECT_EVERY) {
            self.collect_dedup(request, header);
        }
    }

    fn put_record(&mut self, request: &Request, record: &StoredDedup) {
        let Some(id) = request.client_msg_id else {
            return;
        };
        self.view
            .put(Table::Dedup, key(request, &id), value::encode_value(record));
        self.newest.remember(&request.group, sender(request), id);
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
