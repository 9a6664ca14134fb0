//! What each request does, one family per file. What they share: ids as they
//! come in, and who may see a group.

pub(super) mod activate;
mod changed;
mod create;
mod cursors;
mod digest;
pub(super) mod groups;
pub(super) mod history;
mod members;
mod own;
mod presence;
mod receipts;
pub(super) mod send;

use std::sync::Arc;

use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::{CursorValue, GroupValue, Head, MemberValue, row, server_frame};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{Code, Fault, GroupId, UserId};

use super::session::Session;

/// Answers a request that needs no turn.
pub(super) async fn answer(
    session: &Arc<Session>,
    request: Request,
) -> Result<server_frame::Body, Fault> {
    match request {
        Request::MarkRead(request) => cursors::mark_read(session, &request).await,
        Request::GetCursors(request) => cursors::get_cursors(session, &request).await,
        Request::GetMembers(request) => members::get_members(session, &request).await,
        Request::GetReceipts(request) => receipts::get_receipts(session, &request).await,
        Request::GetReaders(request) => receipts::get_readers(session, &request).await,
        Request::WatchPresence(request) => presence::watch(session, &request).await,
        Request::Typing(request) => presence::typing(session, &request).await,
        Request::CreateGroup(request) => create::create_group(session, request).await,
        Request::OpenDirect(request) => create::open_direct(session, &request).await,
        Request::GetGroup(request) => groups::get_group(session, &request.group).await,
        Request::ListGroups(request) => groups::list_groups(session, &request).await,
        Request::GetUnread(request) => groups::get_unread(session, &request).await,
        Request::GetProfile(request) => own::get_profile(session, &request.group).await,
        Request::UpdateSelf(request) => own::update_self(session, request).await,
        Request::DigestRows(request) => digest::digest_rows(session, &request.group).await,
        // The reader takes these itself.
        Request::Hello(_)
        | Request::Ping(_)
        | Request::Send(_)
        | Request::Activate(_)
        | Request::Deactivate(_)
        | Request::UpdateProfile(_)
        | Request::History(_)
        | Request::Goodbye(_) => Err(Code::UnknownRequest.into()),
    }
}

pub(super) fn invalid(detail: impl Into<String>) -> Fault {
    Fault::new(Code::Invalid, detail)
}

pub(super) fn group_id(bytes: &[u8]) -> Result<GroupId, Fault> {
    GroupId::from_slice(bytes).map_err(|error| invalid(error.to_string()))
}

pub(super) fn user_id(bytes: &[u8]) -> Result<UserId, Fault> {
    UserId::from_slice(bytes).map_err(|error| invalid(error.to_string()))
}

impl Session {
    /// The caller's member row, if it is a member.
    pub(super) async fn member(&self, group: GroupId) -> Result<MemberValue, Fault> {
        self.core.member(group, self.user).await
    }

    /// The first seq that the caller, a member, may see.
    pub(super) async fn visible_from(&self, group: GroupId) -> Result<u64, Fault> {
        let member = self.member(group).await?;
        Ok(member.authority.map_or(1, |a| a.visible_from).max(1))
    }

    /// The head of a group that the caller is a member of.
    pub(super) async fn head(&self, group: GroupId) -> Result<Head, Fault> {
        let head = self.core.backend.head(group).await?;
        head.ok_or_else(|| Code::NotFound.into())
    }

    /// The caller's cursor; none when nothing was read yet.
    pub(super) async fn own_cursor(&self, group: GroupId) -> Result<Option<CursorValue>, Fault> {
        let key = RowKey::Cursor(self.user);
        let row = self.core.backend.row(group, key).await?;
        Ok(match row.and_then(|r| r.value) {
            Some(row::Value::Cursor(cursor)) => Some(cursor),
            _ => None,
        })
    }

    /// The group's own row.
    pub(super) async fn group_value(&self, group: GroupId) -> Result<GroupValue, Fault> {
        let row = self.core.backend.row(group, RowKey::Group).await?;
        match row.and_then(|r| r.value) {
            Some(row::Value::Group(value)) => Ok(value),
            _ => Err(Code::NotFound.into()),
        }
    }
}
