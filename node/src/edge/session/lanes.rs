//! Sends of one session to one group keep their order: they are proposed in
//! the order received, what waits in one call, the next call only after the
//! one before has returned.
//!
//! When one fails for now, those behind it fail alike, those queued and those
//! that come before its retry: otherwise the retry would come after them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_wire::proto::{Kind, Outcome, Sent, command, outcome, server_frame};
use folkmoot_wire::{Code, Fault, GroupId, limits};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Asked, Session};

/// Commands in one call.
const CALL_COMMANDS: usize = 256;
/// Bytes of commands in one call, unless one alone is larger.
const CALL_BYTES: usize = limits::BATCH_BYTES / 2;
/// A client that does not repeat what failed is refused in its group for so
/// long. A frame that is under way for longer belongs to a session that both
/// sides have given up.
const SHUT_FOR: Duration = Duration::from_secs(5);
/// What is asked for and not queued may never be repeated: behind it a client
/// is refused as long as it was asked to wait, at most for this time.
const SHUT_BRIEFLY: Duration = Duration::from_secs(1);
/// Shut lanes that are kept before old ones are cleared away.
const SHUT_LANES: usize = 1_024;

/// A command that waits for its turn.
pub(in crate::edge) struct Job {
    pub(in crate::edge) asked: Asked,
    pub(in crate::edge) op: command::Op,
}

#[derive(Default)]
struct Lane {
    waiting: VecDeque<Job>,
    running: bool,
    shut: Option<Shut>,
}

/// A lane in which a command failed for now.
struct Shut {
    until: Instant,
    fault: Fault,
    /// Of what failed first: its retry opens the lane.
    retry: Option<Bytes>,
}

impl Lane {
    fn is_shut(&self, now: Instant) -> bool {
        self.shut.as_ref().is_some_and(|shut| now < shut.until)
    }

    /// Why a command may not come in now.
    fn refusal(&mut self, op: &command::Op, now: Instant) -> Option<Fault> {
        let shut = self.shut.take()?;
        let is_retry = shut.retry.is_some() && shut.retry == repeated_as(op);
        if is_retry || now >= shut.until {
            return None;
        }
        let fault = shut.fault.clone();
        self.shut = Some(shut);
        Some(fault)
    }
}

/// What a retry is recognised by, if clients queue commands of this kind and
/// repeat them until they pass.
fn repeated_as(op: &command::Op) -> Option<Bytes> {
    match op {
        command::Op::Append(append) if append.kind() != Kind::Profile => {
            Some(append.client_msg_id.clone())
        }
        _ => None,
    }
}

/// The lanes of one session. Their jobs are open requests, which bounds them.
#[derive(Default)]
pub(super) struct Lanes(Mutex<HashMap<GroupId, Lane>>);

impl Lanes {
    /// Drops what waits.
    pub(super) fn clear(&self) {
        let lanes = std::mem::take(&mut *self.0.lock());
        drop(lanes);
    }

    fn take(&self, group: &GroupId) -> Vec<Job> {
        let mut lanes = self.0.lock();
        let Some(lane) = lanes.get_mut(group) else {
            return Vec::new();
        };
        let (mut jobs, mut bytes) = (Vec::new(), 0);
        while let Some(job) = lane.waiting.front() {
            bytes += job.op.encoded_len();
            if jobs.len() == CALL_COMMANDS || (bytes > CALL_BYTES && !jobs.is_empty()) {
                break;
            }
            jobs.extend(lane.waiting.pop_front());
        }
        if jobs.is_empty() {
            lane.running = false;
            if !lane.is_shut(Instant::now()) {
                lanes.remove(group);
            }
        }
        jobs
    }

    /// Shuts a lane; gives back what waited in it.
    fn shut(&self, group: &GroupId, retry: Option<Bytes>, fault: Fault) -> VecDeque<Job> {
        let mut lanes = self.0.lock();
        let Some(lane) = lanes.get_mut(group) else {
            return VecDeque::new();
        };
        let time = match retry {
            Some(_) => SHUT_FOR,
            None => Duration::from_millis(fault.retry_after_ms).min(SHUT_BRIEFLY),
        };
        lane.shut = Some(Shut {
            until: Instant::now() + time,
            fault,
            retry,
        });
        std::mem::take(&mut lane.waiting)
    }
}

impl Session {
    /// Queues a command behind the session's earlier ones for the group.
    pub(in crate::edge) async fn submit(self: &Arc<Self>, group: GroupId, job: Job) {
        let now = Instant::now();
        let refused = {
            let mut lanes = self.lanes.0.lock();
            if lanes.len() > SHUT_LANES {
                lanes.retain(|_, lane| lane.running || lane.is_shut(now));
            }
            let lane = lanes.entry(group).or_default();
            match lane.refusal(&job.op, now) {
                Some(fault) => Some((job, fault)),
                None => {
                    lane.waiting.push_back(job);
                    if !std::mem::replace(&mut lane.running, true) {
                        self.spawn(Arc::clone(self).lane(group));
                    }
                    None
                }
            }
        };
        if let Some((job, fault)) = refused {
            job.asked.reply(Err(fault)).await;
        }
    }

    async fn lane(self: Arc<Self>, group: GroupId) {
        loop {
            let jobs = self.lanes.take(&group);
            if jobs.is_empty() {
                return;
            }
            let (asked, ops): (Vec<_>, Vec<_>) =
                jobs.into_iter().map(|job| (job.asked, job.op)).unzip();
            let retries: Vec<Option<Bytes>> = ops.iter().map(repeated_as).collect();
            let backend = &self.core.backend;
            let mut results = backend.propose_many(group, ops, self.link.tentative).await;
            results.resize_with(asked.len(), || Err(Code::Internal.into()));
            let failed = results.iter().zip(retries).find_map(|(result, retry)| {
                let fault = result.as_ref().err()?;
                holds_up(fault).then(|| (retry, fault.clone()))
            });
            let behind = match &failed {
                Some((retry, fault)) => self.lanes.shut(&group, retry.clone(), fault.clone()),
                None => VecDeque::new(),
            };
            let read = read_by_sending(&results);
            for (asked, result) in asked.into_iter().zip(results) {
                asked.reply(result.and_then(answer)).await;
            }
            for job in behind {
                let fault = failed.as_ref().map(|(_, fault)| fault.clone());
                let fault = fault.unwrap_or_else(|| Code::Internal.into());
                job.asked.reply(Err(fault)).await;
            }
            self.read_own(group, read).await;
        }
    }

    /// Sending is reading (D3): bumps of a group that the user has passive
    /// count from the message just sent.
    async fn read_own(&self, group: GroupId, read: Read) {
        let fanout = &self.core.fanout;
        let count = match read {
            Read::Nothing => return,
            Read::Count(count) => count,
            Read::Unknown if !fanout.is_passive(&self.user, &group) => return,
            Read::Unknown => match self.own_cursor(group).await {
                Ok(Some(cursor)) => cursor.count,
                _ => return,
            },
        };
        fanout.cursor_moved(&self.user, &group, count);
    }
}

/// How far commands moved their sender's cursor.
enum Read {
    Nothing,
    /// To this count.
    Count(u64),
    /// An earlier attempt did.
    Unknown,
}

fn read_by_sending(results: &[Result<Outcome, Fault>]) -> Read {
    let mut read = Read::Nothing;
    for result in results.iter().flatten() {
        match &result.result {
            Some(outcome::Result::Committed(committed)) if committed.duplicate => {
                return Read::Unknown;
            }
            Some(outcome::Result::Committed(committed)) if committed.read_count > 0 => {
                read = Read::Count(committed.read_count);
            }
            _ => {}
        }
    }
    read
}

/// Whether a failure says nothing about this one command: those behind it
/// would fare the same.
fn holds_up(fault: &Fault) -> bool {
    fault.code.temporary() && fault.code as u32 >= 500
}

/// The reply to a command that was applied. A command that changed nothing
/// (joining when present) makes no entry: its seq is 0.
pub(in crate::edge) fn answer(outcome: Outcome) -> Result<server_frame::Body, Fault> {
    match outcome.result {
        Some(outcome::Result::Committed(committed)) => Ok(server_frame::Body::Sent(Sent {
            seq: committed.seq,
            hlc: committed.hlc,
            id: committed.id,
            duplicate: committed.duplicate,
            accepted: false,
        })),
        Some(outcome::Result::Accepted(accepted)) => Ok(server_frame::Body::Sent(Sent {
            hlc: accepted.hlc,
            id: accepted.id,
            accepted: true,
            ..Sent::default()
        })),
        Some(outcome::Result::Done(_)) => Ok(server_frame::Body::Sent(Sent::default())),
        Some(outcome::Result::Rejected(rejected)) => Err(Fault::new(
            Code::from_u32(rejected.code).unwrap_or(Code::Internal),
            rejected.detail,
        )),
        Some(
            outcome::Result::Resolved(_)
            | outcome::Result::HomeState(_)
            | outcome::Result::Moved(_),
        )
        | None => Err(Fault::new(Code::Internal, "a strange outcome")),
    }
}
