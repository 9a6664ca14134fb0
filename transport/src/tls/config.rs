//! TLS configurations by use.

use std::sync::Arc;

use folkmoot_wire::version::{ALPN_CLIENT, ALPN_JOIN, ALPN_NODE};
use rustls::client::{Resumption, danger::ServerCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::verify::{Accepts, NodeClientVerifier, ServerVerifier};
use super::{EdgeCertificate, Trust, provider, roots};
use crate::pki::{Fingerprint, NodeIdentity, PkiError};

fn make(error: rustls::Error) -> PkiError {
    PkiError::Make(error.to_string())
}

impl ResolvesServerCert for EdgeCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certified())
    }
}

/// Shows clients the edge's certificate and nodes the node's.
#[derive(Debug)]
struct ByAlpn {
    edge: Option<EdgeCertificate>,
    node: Option<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for ByAlpn {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // The order of preference is that of `alpn_protocols` below.
        let client = hello.alpn()?.any(|protocol| protocol == ALPN_CLIENT);
        match &self.edge {
            Some(edge) if client => Some(edge.certified()),
            _ => self.node.clone(),
        }
    }
}

/// One QUIC port for clients, nodes and joiners.
pub(crate) fn quic_server(
    edge: Option<&EdgeCertificate>,
    identity: Option<&NodeIdentity>,
) -> Result<ServerConfig, PkiError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(make)?;
    let builder = match identity {
        Some(identity) => builder.with_client_cert_verifier(Arc::new(NodeClientVerifier::new(
            identity.ca(),
            identity.cluster(),
        )?)),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(ByAlpn {
        edge: edge.cloned(),
        node: identity.map(NodeIdentity::certified),
    }));
    if edge.is_some() {
        config.alpn_protocols.push(ALPN_CLIENT.to_vec());
    }
    if identity.is_some() {
        config.alpn_protocols.push(ALPN_NODE.to_vec());
        config.alpn_protocols.push(ALPN_JOIN.to_vec());
    }
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// HTTPS on the same port number: the API, the web app, WebSocket.
///
/// # Errors
/// When TLS refuses the configuration.
pub fn https_server(edge: &EdgeCertificate) -> Result<ServerConfig, PkiError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(make)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(edge.clone()));
    // A connection of HTTP/2 has no bound on how long it may ask for nothing.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn accepting(verifier: Arc<dyn ServerCertVerifier>) -> Result<Dangerous, PkiError> {
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(make)?
        .dangerous()
        .with_custom_certificate_verifier(verifier))
}

type Dangerous = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn trusting(trust: &Trust) -> Result<Dangerous, PkiError> {
    let roots = match trust {
        Trust::Pinned(fingerprint) => {
            return accepting(ServerVerifier::new(Accepts::Exactly(*fingerprint)));
        }
        Trust::Ca(certificates) => roots(certificates.iter().cloned())?,
        Trust::Public => public_roots(),
    };
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(make)?
        .with_root_certificates(roots))
}

/// The system's roots; Mozilla's where the system has none (small containers).
fn public_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(system.certs);
    if added == 0 {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

fn finish(mut config: ClientConfig, alpn: &[u8]) -> ClientConfig {
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    config
}

/// A native client over QUIC.
pub(crate) fn quic_client(trust: &Trust) -> Result<ClientConfig, PkiError> {
    Ok(finish(trusting(trust)?.with_no_client_auth(), ALPN_CLIENT))
}

/// A client over HTTPS and WebSocket.
///
/// # Errors
/// When a trusted certificate cannot be read.
pub fn web_client(trust: &Trust) -> Result<ClientConfig, PkiError> {
    Ok(finish(trusting(trust)?.with_no_client_auth(), b"http/1.1"))
}

/// A node that connects to nodes.
pub(crate) fn node_client(identity: &NodeIdentity) -> Result<ClientConfig, PkiError> {
    let verifier = ServerVerifier::new(Accepts::Node {
        roots: roots([identity.ca().clone()])?,
        cluster: identity.cluster(),
    });
    let resolver = Arc::new(SingleCertAndKey::from(identity.certified()));
    Ok(finish(
        accepting(verifier)?.with_client_cert_resolver(resolver),
        ALPN_NODE,
    ))
}

/// A node that has no certificate yet.
pub(crate) fn join_client(ca: Fingerprint) -> Result<ClientConfig, PkiError> {
    let verifier = ServerVerifier::new(Accepts::NodeOfCa(ca));
    Ok(finish(
        accepting(verifier)?.with_no_client_auth(),
        ALPN_JOIN,
    ))
}
