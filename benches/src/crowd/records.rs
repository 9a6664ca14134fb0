//! Listening where every message looks alike but for its payload: a message is
//! found by its length, which costs the generator next to nothing.

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use anyhow::{Context, bail};
use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::Listener;
use crate::load::payload::{PAYLOAD, tag_of};
use crate::peer::Tag;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

thread_local! {
    /// What is read into: who waits needs none.
    static INPUT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What is between messages.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Aside {
    /// So many bytes that say nothing.
    Skip(usize),
    /// So many bytes that are answered.
    Answer(usize, &'static [u8]),
    /// More has to come first.
    Part,
}

/// How a message looks.
pub(super) struct Form {
    /// Before its payload.
    pub(super) before: Vec<u8>,
    /// After it.
    pub(super) after: &'static [u8],
    /// What something else is, by how it begins.
    pub(super) aside: fn(&[u8]) -> anyhow::Result<Aside>,
}

/// What was found at the beginning of the input.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Message(Tag),
    Aside(Aside),
}

impl Form {
    fn len(&self) -> usize {
        self.before.len() + PAYLOAD + self.after.len()
    }

    fn find(&self, input: &[u8]) -> anyhow::Result<Found> {
        let known = input.len().min(self.before.len());
        if input[..known] != self.before[..known] {
            return Ok(Found::Aside((self.aside)(input)?));
        }
        if input.len() < self.len() {
            return Ok(Found::Aside(Aside::Part));
        }
        let (payload, after) = input[known..self.len()].split_at(PAYLOAD);
        if after != self.after {
            bail!("a message that does not end where it should");
        }
        let tag = tag_of(payload).context("a message that was not sent")?;
        Ok(Found::Message(tag))
    }
}

impl Form {
    /// Takes messages, and nothing but messages.
    pub(super) fn all(&self, mut input: &[u8], heard: &mut Vec<Tag>) -> anyhow::Result<()> {
        while !input.is_empty() {
            match self.find(input)? {
                Found::Message(tag) => heard.push(tag),
                Found::Aside(aside) => bail!("between messages: {aside:?}"),
            }
            input = &input[self.len()..];
        }
        Ok(())
    }
}

/// A connection that hears messages of one form.
pub(super) struct Records<S> {
    stream: S,
    form: Arc<Form>,
    /// The beginning of what has not come whole.
    rest: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Records<S> {
    pub(super) fn over(stream: S, form: Arc<Form>) -> Self {
        Self {
            stream,
            form,
            rest: Vec::new(),
        }
    }

    /// Takes what is in the input; gives how much that was.
    async fn take(&mut self, input: &[u8], heard: &mut Vec<Tag>) -> anyhow::Result<usize> {
        let mut at = 0;
        while at < input.len() {
            match self.form.find(&input[at..])? {
                Found::Message(tag) => {
                    heard.push(tag);
                    at += self.form.len();
                }
                Found::Aside(Aside::Skip(len)) => at += len,
                Found::Aside(Aside::Answer(len, answer)) => {
                    self.stream.write_all(answer).await?;
                    at += len;
                }
                Found::Aside(Aside::Part) => break,
            }
        }
        Ok(at)
    }

    /// Reads once, behind what is kept; gives the input and its length.
    async fn read(&mut self) -> anyhow::Result<(Vec<u8>, usize)> {
        let kept = self.rest.len();
        poll_fn(|task| {
            let mut input = INPUT.take();
            input.resize(kept + CHUNK, 0);
            let mut buffer = ReadBuf::new(&mut input[kept..]);
            let done = Pin::new(&mut self.stream).poll_read(task, &mut buffer);
            let len = buffer.filled().len();
            match done {
                Poll::Ready(Ok(())) => Poll::Ready(Ok((input, kept + len))),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => {
                    INPUT.set(input);
                    Poll::Pending
                }
            }
        })
        .await
        .context("reading")
    }
}

#[async_trait]
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Listener for Records<S> {
    async fn hear(&mut self, heard: &mut Vec<Tag>) -> anyhow::Result<()> {
        while heard.is_empty() {
            let (mut input, len) = self.read().await?;
            if len == self.rest.len() {
                bail!("the server has closed the connection");
            }
            input[..self.rest.len()].copy_from_slice(&self.rest);
            let taken = self.take(&input[..len], heard).await?;
            self.rest.clear();
            self.rest.extend_from_slice(&input[taken..len]);
            INPUT.set(input);
        }
        Ok(())
    }
}
