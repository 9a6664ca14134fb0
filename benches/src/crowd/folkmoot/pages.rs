//! Pages of a group's history.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use folkmoot_client::GroupId;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{History, LogSlice, ServerFrame};
use prost::Message;
use tokio::time::sleep;

use super::client::{Session, tag};
use super::known::Known;
use crate::peer::Tag;

thread_local! {
    static PAGES: RefCell<Known<(u64, Answer)>> = const { RefCell::new(Known::new()) };
}

/// Entries.
#[derive(Clone)]
pub(super) struct Page {
    /// The seq of the first.
    pub(super) from: u64,
    /// Of those that are messages.
    pub(super) tags: Arc<[Tag]>,
}

/// What may be said to the question.
#[derive(Clone)]
enum Answer {
    Page(Page),
    /// Ask again, after this time.
    Later(Duration),
    /// It is to no question.
    Aside,
}

impl Session {
    /// The last `limit` entries before `before` (0: of all); asks again when the
    /// edge is busy.
    pub(super) async fn page(
        &mut self,
        group: GroupId,
        before: u64,
        limit: u32,
    ) -> anyhow::Result<Page> {
        let ask = History {
            group: group.to_bytes(),
            before,
            limit,
            backward: true,
            ..History::default()
        };
        loop {
            let question = self.begin(Request::History(ask.clone())).await?;
            let answer = loop {
                let frame = self.frame().await?;
                let (id, answer) = PAGES.with_borrow_mut(|known| known.read(frame, read))?;
                if id == question {
                    break answer;
                }
            };
            match answer {
                Answer::Page(page) => return Ok(page),
                Answer::Later(wait) => sleep(wait).await,
                Answer::Aside => bail!("a strange answer to a question for history"),
            }
        }
    }
}

fn read(frame: Bytes) -> anyhow::Result<(u64, Answer)> {
    let frame = ServerFrame::decode(frame)?;
    let answer = match frame.body {
        Some(Body::Log(slice)) => Answer::Page(page(&slice)?),
        Some(Body::Error(error)) if error.temporary && error.retry_after_ms > 0 => {
            Answer::Later(Duration::from_millis(error.retry_after_ms))
        }
        Some(Body::Error(error)) => bail!("refused: {} ({})", error.name, error.message),
        Some(Body::Closing(closing)) => bail!("closed: {}", closing.reason),
        _ => Answer::Aside,
    };
    Ok((frame.id, answer))
}

fn page(slice: &LogSlice) -> anyhow::Result<Page> {
    let covers = slice.covers.as_ref().context("a page of nothing")?;
    let mut tags = Vec::with_capacity(slice.entries.len());
    for entry in &slice.entries {
        tags.extend(tag(entry)?);
    }
    Ok(Page {
        from: covers.from,
        tags: tags.into(),
    })
}
