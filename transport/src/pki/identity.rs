//! A node's key, and its proof of who it is.

use rcgen::{CertificateParams, KeyPair};
use ring::hmac;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use zeroize::Zeroizing;

use super::ca::make;
use super::{ClusterId, NodeName, PkiError};
use crate::tls;

/// A node's private key, made where it is used and never sent.
pub struct NodeKey {
    key: Zeroizing<KeyPair>,
}

impl std::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeKey")
    }
}

impl NodeKey {
    /// Makes a key (ECDSA P-256).
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, PkiError> {
        let key = Zeroizing::new(KeyPair::generate().map_err(make)?);
        Ok(Self { key })
    }

    /// Loads a key.
    ///
    /// # Errors
    /// When the PEM holds no key.
    pub fn from_pem(pem: &str) -> Result<Self, PkiError> {
        let key = KeyPair::from_pem(pem).map_err(|error| PkiError::Pem {
            what: "node key",
            reason: error.to_string(),
        })?;
        Ok(Self {
            key: Zeroizing::new(key),
        })
    }

    /// The key in PEM, for a file of mode 0600; wiped when dropped.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.key.serialize_pem())
    }

    /// A request to sign this key (PKCS#10, DER).
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn request(&self) -> Result<Vec<u8>, PkiError> {
        let request = CertificateParams::default()
            .serialize_request(&*self.key)
            .map_err(make)?;
        Ok(request.der().to_vec())
    }
}

/// A node's key with its certificate and the CA's: what it serves and dials
/// other nodes with.
pub struct NodeIdentity {
    name: NodeName,
    ca: CertificateDer<'static>,
    certified: Arc<CertifiedKey>,
    reset_secret: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for NodeIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeIdentity({})", self.name)
    }
}

impl NodeIdentity {
    /// Puts the parts together and checks that they belong together now.
    ///
    /// # Errors
    /// When the CA did not sign the certificate, it has ended, or the key is
    /// another.
    pub fn new(
        key: &NodeKey,
        certificate: CertificateDer<'static>,
        ca: CertificateDer<'static>,
        now: UnixTime,
    ) -> Result<Self, PkiError> {
        let name = NodeName::of(&certificate)?;
        tls::check_signed_by(&ca, &certificate, now)?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.key.serialize_der()));
        let reset_secret = reset_secret(der.secret_der());
        let certified = tls::certified(vec![certificate, ca.clone()], der)?;
        Ok(Self {
            name,
            ca,
            certified: Arc::new(certified),
            reset_secret,
        })
    }

    /// Who this node is.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// Its cluster.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.name.cluster
    }

    /// The CA's certificate.
    #[must_use]
    pub fn ca(&self) -> &CertificateDer<'static> {
        &self.ca
    }

    /// With what the node tells peers of its last run that it is gone: the
    /// same as long as its key.
    pub(crate) fn reset_secret(&self) -> &[u8; 32] {
        &self.reset_secret
    }

    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        self.certified.clone()
    }
}

fn reset_secret(key: &[u8]) -> Zeroizing<[u8; 32]> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let tag = hmac::sign(&key, b"folkmoot v1 quic stateless reset");
    let mut secret = Zeroizing::new([0; 32]);
    secret.copy_from_slice(tag.as_ref());
    secret
}
