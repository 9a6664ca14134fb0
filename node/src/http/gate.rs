//! So many TLS handshakes at once: each is a signature of the edge's key, and a
//! flood of connections is not to take the time of those that are there. And who
//! asks for nothing, before the handshake or behind it, is hung up on.

mod hurried;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use axum_server::accept::Accept;
use folkmoot_wire::limits;
use futures_util::future::{BoxFuture, FutureExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::edge::Door;
use hurried::Hurried;

/// An acceptor in front of which connections wait.
#[derive(Clone)]
pub(super) struct Gate<A> {
    inner: A,
    door: Arc<Door>,
}

impl<A> Gate<A> {
    pub(super) fn before(inner: A, door: Arc<Door>) -> Self {
        Self { inner, door }
    }
}

impl<A, S> Accept<TcpStream, S> for Gate<A>
where
    A: Accept<TcpStream, S> + Clone + Send + 'static,
    A::Future: Send,
    A::Stream: AsyncRead + AsyncWrite + Unpin + Send,
    A::Service: Send,
    S: Send + 'static,
{
    type Stream = Hurried<A::Stream>;
    type Service = A::Service;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, A::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let Self { inner, door } = self.clone();
        async move {
            // A place is for whoever has begun: silence takes none. That a socket
            // is readable may turn out not to be so; what was peeked at is there.
            timeout(limits::HANDSHAKE_WAIT, stream.peek(&mut [0])).await??;
            let Some(place) = door.enter().await else {
                return Err(io::Error::new(
                    io::ErrorKind::ConnectionRefused,
                    "too many come at once",
                ));
            };
            let accepted = inner.accept(stream, service).await;
            drop(place);
            let (stream, service) = accepted?;
            Ok((Hurried::new(stream, limits::HANDSHAKE_WAIT), service))
        }
        .boxed()
    }
}
