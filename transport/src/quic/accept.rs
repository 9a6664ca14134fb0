//! Taking connections: bounded handshakes, then who is there.

use std::sync::Arc;

use folkmoot_wire::Code;
use folkmoot_wire::version::{ALPN_CLIENT, ALPN_JOIN, ALPN_NODE};
use quinn::crypto::rustls::HandshakeData;
use quinn::{Incoming, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::sync::{Semaphore, mpsc};

use super::connection::QuicConnection;
use super::options::{QuicOptions, raise_to_node};
use crate::pki::{NodeName, PkiError};
use crate::port::{Connection, PeerKind};

/// What a node or joiner reads first: it was accepted.
pub(super) const ACCEPTED: u8 = 1;

pub(super) async fn run(
    endpoint: quinn::Endpoint,
    options: QuicOptions,
    accepted: mpsc::Sender<Arc<dyn Connection>>,
) {
    let handshakes = Arc::new(Semaphore::new(options.handshakes));
    while let Some(incoming) = endpoint.accept().await {
        if endpoint.open_connections() >= options.connections {
            incoming.refuse();
            continue;
        }
        let Ok(permit) = handshakes.clone().try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        let crowded = handshakes.available_permits() < options.handshakes / 2;
        if crowded && incoming.may_retry() && !incoming.remote_address_validated() {
            let _ = incoming.retry();
            continue;
        }
        let (options, accepted) = (options.clone(), accepted.clone());
        tokio::spawn(async move {
            let remote = incoming.remote_address();
            let deadline = options.handshake_deadline;
            let handshake = tokio::time::timeout(deadline, handshake(incoming, &options)).await;
            match handshake {
                // The permit is held until someone takes the connection: who
                // does not keep up with accepting gets no more to accept.
                Ok(Ok(connection)) => {
                    let _ = accepted.send(connection).await;
                }
                Ok(Err(error)) => tracing::debug!(%remote, error, "handshake failed"),
                Err(_) => tracing::debug!(%remote, ?deadline, "handshake took too long"),
            }
            drop(permit);
        });
    }
}

async fn handshake(
    incoming: Incoming,
    options: &QuicOptions,
) -> Result<Arc<dyn Connection>, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let connecting = incoming.accept().map_err(|error| text(&error))?;
    let quic = connecting.await.map_err(|error| text(&error))?;
    let peer = match peer_kind(&quic) {
        Ok(peer) => peer,
        Err(reason) => {
            quic.close(
                VarInt::from_u32(Code::WrongCluster as u32),
                reason.as_bytes(),
            );
            return Err(reason);
        }
    };
    if let PeerKind::Node { .. } = peer {
        raise_to_node(&quic);
    }
    if matches!(peer, PeerKind::Node { .. } | PeerKind::Joiner) {
        let mut word = quic.open_uni().await.map_err(|error| text(&error))?;
        word.write_all(&[ACCEPTED])
            .await
            .map_err(|error| text(&error))?;
        word.finish().map_err(|error| text(&error))?;
    }
    let max = options.frames.of(&peer);
    let counters = options.counters.clone();
    Ok(Arc::new(QuicConnection::new(quic, peer, max, counters)))
}

/// Who is there: the protocol says what it wants to be, and for a node the
/// certificate, which TLS has checked against the CA, says that it may.
fn peer_kind(quic: &quinn::Connection) -> Result<PeerKind, String> {
    let protocol = quic
        .handshake_data()
        .and_then(|data| data.downcast::<HandshakeData>().ok())
        .and_then(|data| data.protocol)
        .unwrap_or_default();
    match protocol.as_slice() {
        ALPN_CLIENT => Ok(PeerKind::Client),
        ALPN_JOIN => Ok(PeerKind::Joiner),
        ALPN_NODE => match certificate_name(quic) {
            Some(Ok(NodeName { node, region, .. })) => Ok(PeerKind::Node { node, region }),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("a node must show its certificate".into()),
        },
        _ => Err("no known protocol (ALPN)".into()),
    }
}

/// The name in the certificate that the peer has shown, if it has.
pub(super) fn certificate_name(quic: &quinn::Connection) -> Option<Result<NodeName, PkiError>> {
    let chain = quic
        .peer_identity()?
        .downcast::<Vec<CertificateDer<'static>>>()
        .ok()?;
    chain.first().map(NodeName::of)
}
