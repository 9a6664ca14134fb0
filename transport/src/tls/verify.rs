//! Verifiers: a node of the cluster, a node seen by a joiner, a pinned edge.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

use super::{provider, roots};
use crate::pki::{ClusterId, Fingerprint, NodeName, PkiError};

/// Checks one certificate that is signed by a root directly.
pub(super) fn signed_by(
    roots: &RootCertStore,
    certificate: &CertificateDer<'_>,
    now: UnixTime,
) -> Result<(), Error> {
    let algorithms = provider().signature_verification_algorithms;
    let parsed = ParsedCertificate::try_from(certificate)?;
    verify_server_cert_signed_by_trust_anchor(&parsed, roots, &[], now, algorithms.all)
}

fn not_of_cluster(error: PkiError) -> Error {
    Error::General(error.to_string())
}

fn check_cluster(certificate: &CertificateDer<'_>, expected: ClusterId) -> Result<(), Error> {
    let name = NodeName::of(certificate).map_err(not_of_cluster)?;
    if name.cluster == expected {
        return Ok(());
    }
    Err(not_of_cluster(PkiError::WrongCluster {
        expected,
        got: name.cluster,
    }))
}

/// Which server a client accepts.
#[derive(Debug)]
pub(super) enum Accepts {
    /// Any node that this CA signed. Which node it is, is checked after.
    Node {
        roots: RootCertStore,
        cluster: ClusterId,
    },
    /// Any node whose chain holds the CA with this fingerprint.
    NodeOfCa(Fingerprint),
    /// One certificate.
    Exactly(Fingerprint),
}

#[derive(Debug)]
pub(super) struct ServerVerifier {
    accepts: Accepts,
    provider: Arc<CryptoProvider>,
}

impl ServerVerifier {
    pub(super) fn new(accepts: Accepts) -> Arc<Self> {
        Arc::new(Self {
            accepts,
            provider: provider(),
        })
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.accepts {
            Accepts::Node { roots, cluster } => {
                signed_by(roots, end_entity, now)?;
                check_cluster(end_entity, *cluster)?;
            }
            Accepts::NodeOfCa(fingerprint) => {
                let ca = intermediates
                    .iter()
                    .find(|certificate| Fingerprint::of(certificate) == *fingerprint)
                    .ok_or(CertificateError::UnknownIssuer)?;
                let roots = roots([ca.clone().into_owned()]).map_err(not_of_cluster)?;
                signed_by(&roots, end_entity, now)?;
                NodeName::of(end_entity).map_err(not_of_cluster)?;
            }
            Accepts::Exactly(fingerprint) => {
                if Fingerprint::of(end_entity) != *fingerprint {
                    return Err(CertificateError::ApplicationVerificationFailure.into());
                }
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// What a node asks of those who connect: a certificate of the cluster, or
/// none. Who has none is no node; that is checked once the protocol is known.
#[derive(Debug)]
pub(super) struct NodeClientVerifier {
    inner: Arc<dyn ClientCertVerifier>,
    cluster: ClusterId,
}

impl NodeClientVerifier {
    pub(super) fn new(ca: &CertificateDer<'static>, cluster: ClusterId) -> Result<Self, PkiError> {
        let roots = Arc::new(roots([ca.clone()])?);
        let inner = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .allow_unauthenticated()
            .build()
            .map_err(|error| PkiError::Certificate(error.to_string()))?;
        Ok(Self { inner, cluster })
    }
}

impl ClientCertVerifier for NodeClientVerifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self
            .inner
            .verify_client_cert(end_entity, intermediates, now)?;
        check_cluster(end_entity, self.cluster)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
