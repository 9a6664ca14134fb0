//! A TCP connection with what waits on both sides of it.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Most that may wait to be parsed: far above any answer that is asked for.
const INPUT_MAX: usize = 64 * 1024 * 1024;
const CHUNK: usize = 64 * 1024;

pub(super) struct Socket {
    stream: TcpStream,
    pub(super) input: BytesMut,
    pub(super) output: BytesMut,
}

impl Socket {
    pub(super) async fn connect(addr: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(addr)
            .await
            .with_context(|| addr.to_string())?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            input: BytesMut::new(),
            output: BytesMut::new(),
        })
    }

    /// This end's address.
    pub(super) fn local(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.stream.local_addr()?)
    }

    /// Writes what waits. May be dropped while it waits: what was not written
    /// stays.
    pub(super) async fn flush(&mut self) -> anyhow::Result<()> {
        while self.output.has_remaining() {
            self.stream.write_buf(&mut self.output).await?;
        }
        Ok(())
    }

    /// Writes what waits, then reads more. May be dropped while it waits.
    pub(super) async fn fill(&mut self) -> anyhow::Result<()> {
        self.flush().await?;
        if self.input.len() >= INPUT_MAX {
            bail!("an answer of more than {INPUT_MAX} bytes");
        }
        self.input.reserve(CHUNK);
        if self.stream.read_buf(&mut self.input).await? == 0 {
            bail!("the server has closed the connection");
        }
        Ok(())
    }
}
