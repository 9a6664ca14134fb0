//! Pages of a group's log.

use folkmoot_wire::page::LogPage;
use folkmoot_wire::proto::{History, LogSlice};
use folkmoot_wire::{Code, Fault, limits};

use super::group_id;
use crate::backend::LogRange;
use crate::edge::session::Session;

pub(in crate::edge) async fn history(
    session: &Session,
    request: &History,
) -> Result<LogPage, Fault> {
    let group = group_id(&request.group)?;
    let visible_from = session.visible_from(group).await?;
    let range = range(request, visible_from);
    let page = match range {
        Some(range) => {
            let range = LogRange {
                reader: Some(session.user),
                ..range
            };
            let page = session.core.backend.log(group, range).await;
            if let Err(fault) = &page
                && matches!(fault.code, Code::NotFound | Code::Banned)
                && session.core.fanout.is_active(&session.link, &group)
            {
                // Whoever answered knows what this edge did not when the group
                // was made active: nothing more of it goes out.
                session.core.fanout.leave(&session.link, &group);
                session.link.outbound.lose(group, fault.code);
            }
            page?
        }
        None => LogPage::from(LogSlice {
            head: Some(session.head(group).await?),
            ..LogSlice::default()
        }),
    };
    let mut page = visible(page, visible_from);
    page.slice.group = group.to_bytes();
    Ok(page)
}

/// The part of what is asked for that the member may see; `None`: nothing.
fn range(request: &History, visible_from: u64) -> Option<LogRange> {
    let backward = request.backward || (request.after == 0 && request.before > 0);
    let after = request.after.max(visible_from - 1);
    if request.before > 0 && request.before <= after + 1 {
        return None;
    }
    let limit = match request.limit {
        0 => limits::PAGE_ENTRIES,
        limit => limit.min(limits::PAGE_ENTRIES),
    };
    Some(LogRange {
        after,
        before: request.before,
        limit,
        max_bytes: limits::PAGE_BYTES,
        backward,
        reader: None,
    })
}

/// A page from a node that answered more than it was asked is cut here:
/// nothing before `visible_from` passes, whatever stands behind the port.
fn visible(mut page: LogPage, visible_from: u64) -> LogPage {
    let Some(covers) = &mut page.slice.covers else {
        page.begin_at(u64::MAX);
        return page;
    };
    if covers.from < visible_from {
        covers.from = visible_from.min(covers.to + 1);
        page.slice.chain_before.clear();
        page.begin_at(visible_from);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(after: u64, before: u64, backward: bool) -> History {
        History {
            after,
            before,
            backward,
            limit: 1_000_000,
            ..History::default()
        }
    }

    #[test]
    fn nothing_before_visible_from_is_asked_for() {
        assert_eq!(range(&ask(0, 0, false), 7).unwrap().after, 6);
        assert_eq!(range(&ask(9, 0, false), 7).unwrap().after, 9);
        assert!(range(&ask(0, 7, false), 7).is_none());
        assert!(range(&ask(0, 8, false), 7).is_some());
    }

    #[test]
    fn pages_are_bounded_and_before_alone_goes_backward() {
        let range = range(&ask(0, 100, false), 1).unwrap();
        assert!(range.backward);
        assert_eq!(range.limit, limits::PAGE_ENTRIES);
    }
}
