//! Who is trusted how, as TLS configurations. `ring` only; TLS 1.3 over QUIC,
//! 1.2 and 1.3 over TCP. QUIC does not resume sessions: a node's certificate
//! that is not accepted any more must not live on in a ticket.

mod config;
mod verify;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::sign::CertifiedKey;

pub use config::{https_server, web_client};
pub(crate) use config::{join_client, node_client, quic_client, quic_server};

use crate::pki::{self, Fingerprint, PkiError};

/// Whom a client trusts to be its edge.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Certificates of public authorities: the system's, or else Mozilla's.
    Public,
    /// Certificates signed by one of these.
    Ca(Vec<CertificateDer<'static>>),
    /// Exactly the certificate with this fingerprint, whatever names and dates
    /// are in it. For development and demonstrations.
    Pinned(Fingerprint),
}

impl Trust {
    /// Trusts the certificates in this PEM.
    ///
    /// # Errors
    /// When there are none.
    pub fn ca_pem(pem: &str) -> Result<Self, PkiError> {
        Ok(Self::Ca(read_chain("CA certificate", pem)?))
    }
}

/// The certificate that an edge shows to clients, with its key. Clones share
/// it: what is replaced in one is shown by all at their next handshake.
#[derive(Clone)]
pub struct EdgeCertificate {
    certified: Arc<RwLock<Arc<CertifiedKey>>>,
}

impl std::fmt::Debug for EdgeCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EdgeCertificate({})", self.fingerprint())
    }
}

impl EdgeCertificate {
    /// Makes a self-signed one for development; clients pin its fingerprint.
    /// `names`: DNS names and IP addresses. `now`: time since 1970.
    ///
    /// # Errors
    /// When a name is not one, or the system gives no randomness.
    pub fn self_signed(names: &[String], now: Duration, life: Duration) -> Result<Self, PkiError> {
        let (certificate, key) = pki::self_signed(names, now, life)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(Self::new(certified(vec![certificate], key)?))
    }

    /// From PEM: the chain, the edge's own certificate first, and its key.
    ///
    /// # Errors
    /// When one cannot be read or they do not belong together.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, PkiError> {
        let chain = read_chain("edge certificate", chain)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| PkiError::Pem {
            what: "edge key",
            reason: error.to_string(),
        })?;
        Ok(Self::new(certified(chain, key)?))
    }

    fn new(certified: CertifiedKey) -> Self {
        Self {
            certified: Arc::new(RwLock::new(Arc::new(certified))),
        }
    }

    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        let held = self.certified.read();
        // Nothing can fail while it is held, so it is whole in any case.
        Arc::clone(&held.unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows `other` from now on; connections that stand are not touched.
    pub fn replace(&self, other: &Self) {
        let certified = other.certified();
        let held = self.certified.write();
        *held.unwrap_or_else(PoisonError::into_inner) = certified;
    }

    /// What a client can pin.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate())
    }

    /// The certificate itself, to be trusted as a CA when it is self-signed.
    #[must_use]
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certified().cert[0].clone()
    }

    /// When it ends, as time since 1970.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn ends(&self) -> Result<Duration, PkiError> {
        pki::ends(&self.certificate())
    }
}

/// The one crypto provider.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A key with its chain (not empty), checked to belong together.
pub(crate) fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, PkiError> {
    let key =
        rustls::crypto::ring::sign::any_supported_type(&key).map_err(|error| PkiError::Pem {
            what: "private key",
            reason: error.to_string(),
        })?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|_| PkiError::KeyMismatch)?;
    Ok(certified)
}

/// Checks that `ca` signed `certificate` and that both are valid at `now`.
pub(crate) fn check_signed_by(
    ca: &CertificateDer<'static>,
    certificate: &CertificateDer<'_>,
    now: UnixTime,
) -> Result<(), PkiError> {
    verify::signed_by(&roots([ca.clone()])?, certificate, now)
        .map_err(|error| PkiError::Untrusted(error.to_string()))
}

pub(crate) fn roots(
    certificates: impl IntoIterator<Item = CertificateDer<'static>>,
) -> Result<RootCertStore, PkiError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots
            .add(certificate)
            .map_err(|error| PkiError::Certificate(error.to_string()))?;
    }
    Ok(roots)
}

fn read_chain(what: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| PkiError::Pem {
            what,
            reason: error.to_string(),
        })?;
    if chain.is_empty() {
        return Err(PkiError::Pem {
            what,
            reason: "there is no certificate in it".into(),
        });
    }
    Ok(chain)
}
