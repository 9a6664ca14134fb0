//! Who is there, and who is writing.

use folkmoot_wire::UserId;
use folkmoot_wire::proto::Typing;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use tokio::sync::oneshot;

use crate::client::strange;
use crate::engine::Command;
use crate::error::{ClientError, Result};
use crate::group::Group;

impl Group {
    /// From now on [`Event::Presence`](crate::Event::Presence) tells how these
    /// members are, once and then when it changes, instead of those named here
    /// before: name whom the user has on screen. The group has to be active; whom
    /// it does not have as members is passed over. After a lost connection all
    /// are told again. At most 500 people at once, over all groups.
    ///
    /// # Errors
    /// When there would be more, or the client is closed.
    pub async fn watch_presence(&self, users: impl IntoIterator<Item = UserId>) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Watch {
            group: self.id,
            users: users.into_iter().collect(),
            reply,
        };
        self.client.command(command).await?;
        answer.await.unwrap_or(Err(ClientError::Closed))
    }

    /// The user is writing. It shows for six seconds: say it again every four
    /// or so while it goes on.
    ///
    /// # Errors
    /// When the group is not active, has more than 200 members, or this user is
    /// muted there.
    pub async fn typing(&self) -> Result<()> {
        self.tell_typing(false).await
    }

    /// The user has stopped writing, other than by sending.
    ///
    /// # Errors
    /// As [`Group::typing`].
    pub async fn stopped_typing(&self) -> Result<()> {
        self.tell_typing(true).await
    }

    async fn tell_typing(&self, stopped: bool) -> Result<()> {
        let group = self.id.to_bytes();
        let request = Request::Typing(Typing { group, stopped });
        match self.client.call(request).await? {
            Body::Ok(_) => Ok(()),
            other => Err(strange(&other)),
        }
    }
}
