//! How many have read, and who.

use folkmoot_storage::ReadersOf;
use folkmoot_wire::proto::{GetReaders, GetReceipts, Readers, Receipts, server_frame};
use folkmoot_wire::{Fault, limits};

use super::members::seen;
use super::{group_id, invalid};
use crate::backend::ReadersWanted;
use crate::edge::session::Session;

/// Nobody is told who has read what they may not see.
fn seen_from(from: u64, seq: u64) -> Result<(), Fault> {
    match seq < from {
        true => Err(invalid(format!(
            "you see the group from seq {from} on, not {seq}"
        ))),
        false => Ok(()),
    }
}

pub(super) async fn get_receipts(
    session: &Session,
    request: &GetReceipts,
) -> Result<server_frame::Body, Fault> {
    let group = group_id(&request.group)?;
    let from = session.visible_from(group).await?;
    if request.seqs.len() > limits::RECEIPTS {
        return Err(invalid(format!(
            "at most {} seqs at once",
            limits::RECEIPTS
        )));
    }
    request
        .seqs
        .iter()
        .try_for_each(|seq| seen_from(from, *seq))?;
    let found = session.core.backend.readers(group, &request.seqs).await?;
    Ok(server_frame::Body::Receipts(Receipts {
        group: group.to_bytes(),
        readers: found.by_seq,
        members: found.members,
    }))
}

pub(super) async fn get_readers(
    session: &Session,
    request: &GetReaders,
) -> Result<server_frame::Body, Fault> {
    let group = group_id(&request.group)?;
    let from = session.visible_from(group).await?;
    seen_from(from, request.seq)?;
    let (most, what) = match request.unread {
        true => (limits::NOT_READ_BY, "who has not read"),
        false => (limits::SMALL_GROUP, "who has read"),
    };
    let members = session.group_value(group).await?.member_count;
    if members > most {
        let detail = format!("{what} is told in groups of up to {most} members: ask how many");
        return Err(invalid(detail));
    }
    let wanted = ReadersWanted {
        of: ReadersOf {
            seq: request.seq,
            unread: request.unread,
        },
        after: request.page.clone(),
        limit: match request.limit {
            0 => limits::PAGE_ROWS,
            limit => limit.min(limits::PAGE_ROWS),
        },
    };
    let found = session.core.backend.find_readers(group, &wanted).await?;
    Ok(server_frame::Body::Readers(Readers {
        group: group.to_bytes(),
        members: seen(session, found.rows),
        next: found.next,
    }))
}
