//! Groups become active and passive. Why nothing is missed and nothing comes
//! twice between the answer and the first delivery: see [`super::super::fanout`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_wire::proto::{
    Activate, Activated, Deactivate, Head, Ok as Done, Resume, server_frame,
};
use folkmoot_wire::{Code, Fault, GroupId, limits, without};
use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, sleep, timeout_at};

use crate::backend::LogRange;
use crate::edge::fanout::GroupInfo;
use crate::edge::session::{Asked, Session, encode};
use crate::edge::tentative::frames;
use crate::edge::wants::Wanted;

use super::group_id;

/// Groups made active at once.
const AT_ONCE: usize = 16;
/// A client may come from an edge that is ahead of this one. It is waited for
/// this long...
const CATCH_UP: Duration = Duration::from_secs(2);
/// ...by looking this often.
const LOOK: Duration = Duration::from_millis(50);
/// Room asked for before an answer is made, in bytes; an answer to one group
/// is smaller.
const ANSWER_BYTES: usize = 1_024;

/// A group that is registered and not live yet, or why it is not.
pub(in crate::edge) struct Prepared {
    answer: Activated,
    joined: Option<(GroupId, GroupInfo)>,
}

/// Activates groups: one answer for each, in order; those before the last as
/// pushes, the last as the reply.
pub(in crate::edge) async fn activate(session: &Arc<Session>, asked: Asked, request: Activate) {
    if request.groups.is_empty() || request.groups.len() > limits::ACTIVE_GROUPS_MAX {
        let detail = format!("1 to {} groups", limits::ACTIVE_GROUPS_MAX);
        return asked.reply(Err(Fault::new(Code::Invalid, detail))).await;
    }
    let prepared = prepare(session, &request.groups).await;
    let outbound = &session.link.outbound;
    outbound
        .reserve(ANSWER_BYTES * prepared.len().min(64))
        .await;
    outbound.cork();
    let mut answers = go_live(session, prepared);
    let aside = tentative(session, &answers);
    let last = answers.pop().unwrap_or_default();
    let activated = |a| encode(0, server_frame::Body::Activated(a));
    let mut frames: Vec<_> = answers.into_iter().map(activated).collect();
    frames.push(asked.frame(Ok(server_frame::Body::Activated(last))));
    frames.extend(aside);
    outbound.uncork(frames);
}

/// Steps 1 to 3 of an activation, for each group. What is out of reach holds
/// up neither the others nor a Welcome for long.
pub(in crate::edge) async fn prepare(session: &Arc<Session>, resumes: &[Resume]) -> Vec<Prepared> {
    let until = Instant::now() + limits::ACTIVATE_DEADLINE;
    let prepare = |resume: &Resume| {
        let resume = resume.clone();
        async move {
            let answer = Activated {
                group: resume.group.clone(),
                ..Activated::default()
            };
            match join(session, resume, until).await {
                Ok((group, answer, info)) => Prepared {
                    answer,
                    joined: Some((group, info)),
                },
                Err(fault) => Prepared {
                    answer: Activated {
                        error: Some(fault.into()),
                        ..answer
                    },
                    joined: None,
                },
            }
        }
    };
    // Collected first: the borrow of a closure does not outlive this call.
    let work: Vec<_> = resumes.iter().map(prepare).collect();
    stream::iter(work).buffered(AT_ONCE).collect().await
}

/// Step 4. The session is corked, so that no delivery comes before the answer.
pub(in crate::edge) fn go_live(session: &Session, prepared: Vec<Prepared>) -> Vec<Activated> {
    let go_live = |Prepared { mut answer, joined }| {
        let Some((group, info)) = joined else {
            return answer;
        };
        let fanout = &session.core.fanout;
        match fanout.go_live(&session.link, &group, &info) {
            Ok(live_from) => answer.live_from = live_from,
            Err(code) => {
                fanout.leave(&session.link, &group);
                answer = Activated {
                    group: group.to_bytes(),
                    error: Some(Fault::from(code).into()),
                    ..Activated::default()
                };
            }
        }
        answer
    };
    prepared.into_iter().map(go_live).collect()
}

/// What is tentative in groups that have just become active. Read once they
/// are live: what comes later is pushed, and comes twice at worst.
pub(in crate::edge) fn tentative(session: &Session, answers: &[Activated]) -> Vec<Bytes> {
    if !session.link.tentative {
        return Vec::new();
    }
    let active = answers.iter().filter(|answer| answer.error.is_none());
    active
        .filter_map(|answer| GroupId::from_slice(&answer.group).ok())
        .flat_map(|group| {
            let entries = session.core.backend.tentative(&group);
            frames(&group, entries, Vec::new())
        })
        .collect()
}

async fn join(
    session: &Arc<Session>,
    resume: Resume,
    until: Instant,
) -> Result<(GroupId, Activated, GroupInfo), Fault> {
    let group = group_id(&resume.group)?;
    let wanted = timeout_at(until, enter(session, group)).await;
    let wanted = wanted.unwrap_or_else(|_| Err(late()))?;
    session.core.fanout.join(&session.link, group, wanted);
    let looked = timeout_at(until, look(session, group, &resume)).await;
    let looked = looked.unwrap_or_else(|_| Err(late()));
    if looked.is_err() {
        session.core.fanout.leave(&session.link, &group);
    }
    let (answer, info) = looked?;
    Ok((group, answer, info))
}

fn late() -> Fault {
    Fault::new(
        Code::Unavailable,
        "the group's home does not answer in time",
    )
}

/// What is asked before the session is registered.
async fn enter(session: &Arc<Session>, group: GroupId) -> Result<Wanted, Fault> {
    // Before anything is asked of the node on behalf of an outsider.
    session.member(group).await?;
    let held = session.link.held.lock().active.len();
    if held >= limits::ACTIVE_GROUPS_MAX {
        let detail = format!("at most {} active groups", limits::ACTIVE_GROUPS_MAX);
        return Err(Fault::new(Code::Invalid, detail));
    }
    session.core.wants.hold(group).await
}

/// What is read once the session is registered: from here on nothing that
/// happens to the group is missed.
async fn look(
    session: &Session,
    group: GroupId,
    resume: &Resume,
) -> Result<(Activated, GroupInfo), Fault> {
    let member = session.member(group).await?.authority.unwrap_or_default();
    // Live only where the entry has come by which one is a member.
    let head = catch_up(session, group, resume.seq.max(member.seq)).await?;
    let visible_from = member.visible_from.max(1);
    let value = session.group_value(group).await?;
    let cursor = session.own_cursor(group).await?;
    let resumed = is_ours(session, group, resume, &head, visible_from).await?;
    let answer = Activated {
        group: group.to_bytes(),
        head: Some(head.clone()),
        resumed,
        live_from: 0,
        cursor,
        visible_from,
        error: None,
    };
    let info = GroupInfo {
        head,
        visible_from,
        member_at: member.seq,
        members: value.member_count,
    };
    Ok((answer, info))
}

/// The head, once it is not behind what the client holds or the home knows.
async fn catch_up(session: &Session, group: GroupId, seq: u64) -> Result<Head, Fault> {
    let deadline = Instant::now() + CATCH_UP;
    loop {
        let head = session.head(group).await?;
        if head.seq >= seq {
            return Ok(head);
        }
        if Instant::now() >= deadline {
            let detail = format!("this node waits for entry {seq} and has {}", head.seq);
            return Err(Fault::new(Code::NotHere, detail));
        }
        sleep(LOOK).await;
    }
}

/// Whether the client's `(seq, chain)` is in this history.
async fn is_ours(
    session: &Session,
    group: GroupId,
    resume: &Resume,
    head: &Head,
    visible_from: u64,
) -> Result<bool, Fault> {
    without!(ResumeCheck => { return Ok(true); });
    if resume.seq == 0 {
        return Ok(true);
    }
    if resume.seq < visible_from {
        return Ok(false);
    }
    if resume.seq == head.seq {
        return Ok(resume.chain == head.chain);
    }
    if let Some(floor) = &head.floor
        && resume.seq <= floor.seq
    {
        return Ok(resume.seq == floor.seq && resume.chain == floor.chain);
    }
    let range = LogRange {
        after: resume.seq - 1,
        before: resume.seq + 1,
        limit: 1,
        max_bytes: limits::PAGE_BYTES,
        backward: false,
        reader: None,
    };
    let page = session.core.backend.log(group, range).await?;
    if page.slice.gone {
        return Ok(false);
    }
    match page.entries().next() {
        Some(entry) => Ok(entry.chain == resume.chain),
        None => Err(Code::NotHere.into()),
    }
}

/// Groups become passive again: bumps instead of entries.
pub(in crate::edge) async fn deactivate(session: &Arc<Session>, asked: Asked, request: Deactivate) {
    let groups: Result<Vec<GroupId>, Fault> =
        request.groups.iter().map(|bytes| group_id(bytes)).collect();
    let groups = match groups {
        Ok(groups) if groups.len() <= limits::ACTIVE_GROUPS_MAX => groups,
        Ok(_) => {
            let detail = format!("at most {} groups", limits::ACTIVE_GROUPS_MAX);
            return asked.reply(Err(Fault::new(Code::Invalid, detail))).await;
        }
        Err(fault) => return asked.reply(Err(fault)).await,
    };
    for group in groups {
        if !session.core.fanout.is_active(&session.link, &group) {
            continue;
        }
        session.core.fanout.leave(&session.link, &group);
        if session.member(group).await.is_ok()
            && let Ok(head) = session.head(group).await
        {
            let cursor = session.own_cursor(group).await.ok();
            let count = cursor.map(|cursor| cursor.map_or(0, |cursor| cursor.count));
            let fanout = &session.core.fanout;
            fanout.add_passive(&session.link, group, Some(&head), count);
        }
    }
    asked.reply(Ok(server_frame::Body::Ok(Done {}))).await;
}
